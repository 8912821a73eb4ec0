//! One rate group loaded for lookup: an immutable trie of prefixes over dated versions. A version
//! takes 20 bytes; equal terms and equal names of destinations are held once.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::{Number, Utc};

use super::digit_trie::{DigitTrie, VALUE_MAX};
use super::{CallQuery, MoneyRounding, Rate, RateError, RateGroupId, SpecialTerms};
use crate::Currency;

/// What belongs to the whole group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupTerms {
    /// Its id; not 0.
    pub id: RateGroupId,
    /// Its name, for operators.
    pub name: String,
    /// The currency of its prices.
    pub currency: Currency,
    /// How its charges are rounded.
    pub money_rounding: MoneyRounding,
    /// What all its rates have, unless they say otherwise (V-15).
    pub special: Option<Arc<SpecialTerms>>,
}

/// One row of a rate sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateRow {
    /// Digits; empty matches every number.
    pub prefix: String,
    /// The terms.
    pub rate: Rate,
    /// What it has beyond them (V-14); nothing for most.
    pub special: Option<Arc<SpecialTerms>>,
    /// In force from this moment, to the second. `None`: always was.
    pub valid_from: Option<Utc>,
    /// Not in force from this moment on. `None`: open.
    pub valid_till: Option<Utc>,
    /// The version of the rate sheet that brought the row; of two rows with the same prefix and
    /// start, the higher version counts.
    pub sheet_version: u32,
}

/// A rate found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateVersion<'a> {
    /// The terms.
    pub rate: &'a Rate,
    /// What it has beyond them, the group's included.
    pub special: Option<&'a Arc<SpecialTerms>>,
    /// The version of the rate sheet that brought it.
    pub sheet_version: u32,
    /// How many digits matched.
    pub prefix_length: u8,
}

/// Seconds since 1970 in 32 bits (until 2106), and terms by number. The highest bit of `sheet`
/// marks the last version of a prefix.
#[derive(Clone, Copy, Debug)]
struct Version {
    from: u32,
    till: u32,
    terms: u32,
    sheet: u32,
    /// What the sheet calls the destination; 0 is nothing.
    name: u32,
}

const LAST: u32 = 1 << 31;

/// All rates of a group.
#[derive(Clone, Debug)]
pub struct RateGroup {
    terms: GroupTerms,
    includes_tax: bool,
    is_by_lrn: bool,
    trie: DigitTrie,
    /// The versions of one prefix lie together, newest first.
    versions: Vec<Version>,
    rates: Vec<(Rate, Option<Arc<SpecialTerms>>)>,
    /// The first is empty.
    names: Vec<Box<str>>,
}

impl RateGroup {
    /// Starts a group.
    pub fn builder(terms: GroupTerms) -> RateGroupBuilder {
        RateGroupBuilder {
            terms,
            includes_tax: false,
            is_by_lrn: false,
            rows: Vec::new(),
            digits: Vec::new(),
            rates: Vec::new(),
            numbers: HashMap::with_hasher(FixedState::default()),
            names: vec!["".into()],
            name_numbers: HashMap::with_hasher(FixedState::default()),
        }
    }

    /// What belongs to the whole group.
    pub fn terms(&self) -> &GroupTerms {
        &self.terms
    }

    /// Are its prices stated with the taxes in them (R13)?
    pub fn includes_tax(&self) -> bool {
        self.includes_tax
    }

    /// Whether calls to ported numbers are priced by where those are served (T7).
    pub fn is_by_lrn(&self) -> bool {
        self.is_by_lrn
    }

    /// The number that the rate of a call is looked up by.
    pub(super) fn rated_number<'c>(&self, call: &'c CallQuery<'_>) -> &'c Number {
        call.location.lrn.as_ref().filter(|_| self.is_by_lrn).unwrap_or(call.cld)
    }

    /// The rate of the longest prefix that has one in force at `at`.
    #[inline]
    pub fn lookup(&self, cld: &Number, at: Utc) -> Option<RateVersion<'_>> {
        let second = clamp_seconds(at);
        let in_force = |first: u32| {
            let versions = &self.versions[first as usize..];
            for version in versions {
                if version.from <= second && second < version.till {
                    return Some(*version);
                }
                if version.sheet & LAST != 0 {
                    break;
                }
            }
            None
        };
        let (prefix_length, version) = self.trie.longest(cld.as_bytes(), in_force)?;
        let (rate, special) = &self.rates[version.terms as usize];
        Some(RateVersion {
            rate,
            special: special.as_ref(),
            sheet_version: version.sheet & !LAST,
            prefix_length,
        })
    }

    /// The moments after `from` and until `till` at which a rate of some prefix of the number begins
    /// or ends, in order.
    pub(super) fn changes(&self, cld: &Number, from: Utc, till: Utc) -> Vec<Utc> {
        let (from, till) = (clamp_seconds(from), clamp_seconds(till));
        let mut moments = Vec::new();
        self.trie.longest(cld.as_bytes(), |first| {
            for version in &self.versions[first as usize..] {
                let ends = [version.from, version.till];
                moments.extend(ends.into_iter().filter(|at| from < *at && *at <= till));
                if version.sheet & LAST != 0 {
                    break;
                }
            }
            None::<()>
        });
        moments.sort_unstable();
        moments.dedup();
        moments.into_iter().map(|second| Utc(i64::from(second) * 1_000_000)).collect()
    }

    /// What a prefix is called in the sheet of this version, or else in any other (J-14).
    pub fn destination(&self, prefix: &[u8], sheet_version: u32) -> Option<&str> {
        let named = |first: u32| {
            let mut found = None;
            for version in &self.versions[first as usize..] {
                let is_it = version.sheet & !LAST == sheet_version;
                if version.name != 0 && (is_it || found.is_none()) {
                    found = Some(version.name);
                }
                if is_it || version.sheet & LAST != 0 {
                    break;
                }
            }
            found
        };
        let (length, name) = self.trie.longest(prefix, named)?;
        (usize::from(length) == prefix.len()).then(|| &*self.names[name as usize])
    }

    /// How many dated versions there are.
    pub fn len(&self) -> usize {
        self.versions.len()
    }

    /// No rate at all?
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// Memory taken, in bytes.
    pub fn bytes(&self) -> usize {
        self.trie.bytes()
            + self.versions.capacity() * size_of::<Version>()
            + self.rates.capacity() * size_of::<(Rate, Option<Arc<SpecialTerms>>)>()
            + self.names.iter().map(|name| name.len() + size_of::<Box<str>>()).sum::<usize>()
    }
}

/// A moment as the versions hold it. The last second of the range means "never ends".
fn clamp_seconds(at: Utc) -> u32 {
    u32::try_from(at.seconds().max(0)).unwrap_or(u32::MAX).min(u32::MAX - 1)
}

struct Row {
    digits: (u32, u8),
    version: Version,
}

/// Collects the rows of a group.
pub struct RateGroupBuilder {
    terms: GroupTerms,
    includes_tax: bool,
    is_by_lrn: bool,
    rows: Vec<Row>,
    digits: Vec<u8>,
    rates: Vec<(Rate, Option<Arc<SpecialTerms>>)>,
    numbers: HashMap<(Rate, Option<Arc<SpecialTerms>>), u32, FixedState>,
    names: Vec<Box<str>>,
    name_numbers: HashMap<Box<str>, u32, FixedState>,
}

impl RateGroupBuilder {
    /// Says whether its prices are stated with the taxes in them (R13); otherwise they are without.
    #[must_use]
    pub fn including_tax(mut self, includes_tax: bool) -> RateGroupBuilder {
        self.includes_tax = includes_tax;
        self
    }

    /// Says whether calls to ported numbers are priced by where those are served, their LRN (T7);
    /// otherwise they are by the called number.
    #[must_use]
    pub fn by_lrn(mut self, is_by_lrn: bool) -> RateGroupBuilder {
        self.is_by_lrn = is_by_lrn;
        self
    }

    /// Adds a row; an error names what is wrong with it, and the row is left out.
    pub fn row(&mut self, row: &RateRow) -> Result<(), RowError> {
        self.row_named(row, "")
    }

    /// Adds a row to a destination of this name.
    pub fn row_named(&mut self, row: &RateRow, destination: &str) -> Result<(), RowError> {
        let prefix = row.prefix.as_bytes();
        if prefix.len() > 31 || !prefix.iter().all(u8::is_ascii_digit) {
            return Err(RowError::Prefix(row.prefix.clone()));
        }
        row.rate.validate()?;
        let from = row.valid_from.map_or(0, clamp_seconds);
        let till = row.valid_till.map_or(u32::MAX, clamp_seconds);
        if till <= from {
            return Err(RowError::EndsBeforeStart);
        }
        if row.sheet_version >= LAST || self.rows.len() >= VALUE_MAX as usize {
            return Err(RowError::TooMany);
        }
        let special = self.special(row)?;
        let terms = *self.numbers.entry((row.rate, special)).or_insert_with_key(|key| {
            self.rates.push(key.clone());
            (self.rates.len() - 1) as u32
        });
        let start = u32::try_from(self.digits.len()).map_err(|_| RowError::TooMany)?;
        self.digits.extend_from_slice(prefix);
        let name = self.name(destination);
        let version = Version { from, till, terms, sheet: row.sheet_version, name };
        self.rows.push(Row { digits: (start, prefix.len() as u8), version });
        Ok(())
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        if let Some(number) = self.name_numbers.get(name) {
            return *number;
        }
        // Fewer than rows, which are fewer than 2^31.
        let number = self.names.len() as u32;
        self.names.push(name.into());
        self.name_numbers.insert(name.into(), number);
        number
    }

    /// The row's special terms over the group's.
    fn special(&self, row: &RateRow) -> Result<Option<Arc<SpecialTerms>>, RateError> {
        if let Some(own) = &row.special {
            own.validate()?;
        }
        Ok(match (&row.special, &self.terms.special) {
            (None, group) => group.clone(),
            (Some(own), None) => Some(Arc::clone(own)),
            (Some(own), Some(group)) => Some(Arc::new(own.over(group))),
        })
    }

    /// Sorts the rows into the immutable group.
    pub fn build(mut self) -> RateGroup {
        let digits = &self.digits;
        let prefix = |row: &Row| {
            let start = row.digits.0 as usize;
            &digits[start..start + usize::from(row.digits.1)]
        };
        // Newest start first, and of equal starts the newest sheet: the first in force counts.
        self.rows.sort_by(|a, b| {
            (prefix(a), b.version.from, b.version.sheet).cmp(&(
                prefix(b),
                a.version.from,
                a.version.sheet,
            ))
        });
        let mut trie = DigitTrie::new();
        let mut versions = Vec::with_capacity(self.rows.len());
        for rows in self.rows.chunk_by(|a, b| prefix(a) == prefix(b)) {
            trie.insert(prefix(&rows[0]), versions.len() as u32);
            versions.extend(rows.iter().map(|row| row.version));
            versions.last_mut().expect("a chunk is never empty").sheet |= LAST;
        }
        trie.shrink();
        self.rates.shrink_to_fit();
        self.names.shrink_to_fit();
        let RateGroupBuilder { terms, includes_tax, is_by_lrn, rates, names, .. } = self;
        RateGroup { terms, includes_tax, is_by_lrn, trie, versions, rates, names }
    }
}

/// Why a row of a rate sheet cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Not digits, or more than 31.
    #[error("the prefix {0:?} is not 0 to 31 digits")]
    Prefix(String),
    /// The terms are out of bounds.
    #[error(transparent)]
    Terms(#[from] RateError),
    /// `valid_till` is not after `valid_from`.
    #[error("the rate ends before it starts")]
    EndsBeforeStart,
    /// 2^31 versions in a group.
    #[error("the rate group is full")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rating::Price;

    fn row(prefix: &str, price: &str, from: Option<i64>, till: Option<i64>, sheet: u32) -> RateRow {
        let at = |seconds: i64| Utc(seconds * 1_000_000);
        RateRow {
            prefix: prefix.into(),
            rate: Rate::per_minute(price.parse().unwrap(), 60, 60),
            special: None,
            valid_from: from.map(at),
            valid_till: till.map(at),
            sheet_version: sheet,
        }
    }

    fn group(rows: &[RateRow]) -> RateGroup {
        let mut builder = RateGroup::builder(GroupTerms {
            id: RateGroupId(1),
            name: "retail".into(),
            currency: Currency::EUR,
            money_rounding: MoneyRounding::default(),
            special: None,
        });
        for row in rows {
            builder.row(row).unwrap();
        }
        builder.build()
    }

    #[track_caller]
    fn check(group: &RateGroup, cld: &str, at: i64, expected: Option<(&str, u8)>) {
        let found = group.lookup(&cld.parse().unwrap(), Utc(at * 1_000_000));
        let found = found.map(|found| (found.rate.price, found.prefix_length));
        let expected = expected.map(|(price, length)| (price.parse::<Price>().unwrap(), length));
        assert_eq!(found, expected, "{cld} at {at}");
    }

    #[test]
    fn the_longest_prefix_with_a_rate_in_force_wins() {
        let group = group(&[
            row("49", "0.1", None, None, 1),
            row("4930", "0.2", Some(100), Some(200), 1),
            row("4930", "0.3", Some(200), None, 2),
            row("", "9", None, None, 1),
        ]);
        check(&group, "49301", 99, Some(("0.1", 2)));
        check(&group, "49301", 100, Some(("0.2", 4)));
        check(&group, "49301", 199, Some(("0.2", 4)));
        check(&group, "49301", 200, Some(("0.3", 4)));
        check(&group, "4931", 200, Some(("0.1", 2)));
        check(&group, "33", 200, Some(("9", 0)));
        check(&group, "*33", 200, Some(("9", 0)));
    }

    #[test]
    fn the_newer_start_and_the_newer_sheet_win() {
        let group = group(&[
            row("49", "0.1", None, None, 1),
            row("49", "0.2", Some(100), None, 2),
            row("49", "0.3", Some(100), None, 3),
            row("49", "0.4", Some(300), Some(400), 1),
        ]);
        check(&group, "49", 50, Some(("0.1", 2)));
        check(&group, "49", 100, Some(("0.3", 2)));
        check(&group, "49", 350, Some(("0.4", 2)));
        check(&group, "49", 400, Some(("0.3", 2)));
        check(&group, "33", 400, None);
    }

    #[test]
    fn a_destination_is_called_what_the_sheet_of_its_rate_calls_it() {
        let mut builder = RateGroup::builder(group(&[]).terms().clone());
        builder.row_named(&row("49", "0.1", None, None, 1), "Germany").unwrap();
        builder.row_named(&row("49", "0.2", Some(100), None, 2), "Germany fixed").unwrap();
        builder.row_named(&row("4915", "0.3", None, None, 2), "Germany mobile").unwrap();
        builder.row(&row("33", "0.3", None, None, 2)).unwrap();
        let group = builder.build();
        let name = |prefix: &str, sheet| group.destination(prefix.as_bytes(), sheet);
        assert_eq!(name("49", 1), Some("Germany"));
        assert_eq!(name("49", 2), Some("Germany fixed"));
        // The sheet is gone; the prefix is called something still.
        assert_eq!(name("49", 9), Some("Germany fixed"));
        assert_eq!(name("4915", 2), Some("Germany mobile"));
        assert_eq!(name("4916", 2), None);
        assert_eq!(name("33", 2), None);
    }

    #[test]
    fn rows_that_make_no_sense_are_named() {
        let mut builder = RateGroup::builder(group(&[]).terms().clone());
        assert_eq!(builder.row(&row("4a", "1", None, None, 1)), Err(RowError::Prefix("4a".into())));
        let backwards = row("49", "1", Some(5), Some(5), 1);
        assert_eq!(builder.row(&backwards), Err(RowError::EndsBeforeStart));
        let mut zero = row("49", "1", None, None, 1);
        zero.rate.next_increment = 0;
        assert_eq!(builder.row(&zero), Err(RowError::Terms(RateError::Increment)));
        assert!(builder.build().is_empty());
    }
}
