//! One rate group loaded for lookup: an immutable trie of prefixes over dated versions. A version
//! takes 16 bytes; equal terms are held once.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::{Number, Utc};

use super::digit_trie::{DigitTrie, VALUE_MAX};
use super::{MoneyRounding, Rate, RateError, RateGroupId};
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
}

/// One row of a rate sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateRow {
    /// Digits; empty matches every number.
    pub prefix: String,
    /// The terms.
    pub rate: Rate,
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
}

const LAST: u32 = 1 << 31;

/// All rates of a group.
#[derive(Clone, Debug)]
pub struct RateGroup {
    terms: GroupTerms,
    trie: DigitTrie,
    /// The versions of one prefix lie together, newest first.
    versions: Vec<Version>,
    rates: Vec<Rate>,
}

impl RateGroup {
    /// Starts a group.
    pub fn builder(terms: GroupTerms) -> RateGroupBuilder {
        RateGroupBuilder {
            terms,
            rows: Vec::new(),
            digits: Vec::new(),
            rates: Vec::new(),
            numbers: HashMap::with_hasher(FixedState::default()),
        }
    }

    /// What belongs to the whole group.
    pub fn terms(&self) -> &GroupTerms {
        &self.terms
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
        Some(RateVersion {
            rate: &self.rates[version.terms as usize],
            sheet_version: version.sheet & !LAST,
            prefix_length,
        })
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
            + self.rates.capacity() * size_of::<Rate>()
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
    rows: Vec<Row>,
    digits: Vec<u8>,
    rates: Vec<Rate>,
    numbers: HashMap<Rate, u32, FixedState>,
}

impl RateGroupBuilder {
    /// Adds a row; an error names what is wrong with it, and the row is left out.
    pub fn row(&mut self, row: &RateRow) -> Result<(), RowError> {
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
        let terms = *self.numbers.entry(row.rate).or_insert_with(|| {
            self.rates.push(row.rate);
            (self.rates.len() - 1) as u32
        });
        let start = u32::try_from(self.digits.len()).map_err(|_| RowError::TooMany)?;
        self.digits.extend_from_slice(prefix);
        let version = Version { from, till, terms, sheet: row.sheet_version };
        self.rows.push(Row { digits: (start, prefix.len() as u8), version });
        Ok(())
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
        RateGroup { terms: self.terms, trie, versions, rates: self.rates }
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
