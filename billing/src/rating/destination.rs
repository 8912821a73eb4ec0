//! Named sets of prefixes, and the discounts that accounts have on them at rating (J-17, J-29).

use std::fmt;
use std::sync::Arc;

use vocabulary::{Number, SiteId, Utc};

use super::special::{AppliedDiscount, Percent};
use super::{CallQuery, RateError};

/// Prefixes: a destination, or a region of several.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct DestinationSet {
    /// Sorted.
    prefixes: Box<[Box<str>]>,
}

impl DestinationSet {
    /// From prefixes in any order; the empty one matches every number.
    pub fn new<'a>(
        prefixes: impl IntoIterator<Item = &'a str>,
    ) -> Result<DestinationSet, RateError> {
        let mut sorted: Vec<Box<str>> = Vec::new();
        for prefix in prefixes {
            if prefix.len() > 31 || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(RateError::Destination);
            }
            sorted.push(prefix.into());
        }
        sorted.sort_unstable();
        sorted.dedup();
        Ok(DestinationSet { prefixes: sorted.into() })
    }

    /// The length of the longest prefix of the number.
    pub fn longest(&self, number: &Number) -> Option<usize> {
        let digits = number.as_str();
        (0..=digits.len()).rev().find(|length| {
            let prefix = &digits[..*length];
            self.prefixes.binary_search_by(|known| known.as_ref().cmp(prefix)).is_ok()
        })
    }

    /// Is the number in it?
    pub fn contains(&self, number: &Number) -> bool {
        self.longest(number).is_some()
    }

    /// Its prefixes, sorted.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.prefixes.iter().map(AsRef::as_ref)
    }
}

impl fmt::Debug for DestinationSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.prefixes).finish()
    }
}

/// Percent off connect fee and time of calls to some destinations, for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discount {
    /// What it is called in the explanation.
    pub name: String,
    /// Calls to these.
    pub destinations: Arc<DestinationSet>,
    /// Calls from this site; `None`: from all.
    pub site: Option<SiteId>,
    /// For calls that come in from this moment on. `None`: always did.
    pub valid_from: Option<Utc>,
    /// For calls that come in before this moment. `None`: open.
    pub valid_till: Option<Utc>,
    /// At most 100 %.
    pub percent: Percent,
}

impl Discount {
    fn applies(&self, call: &CallQuery<'_>) -> Option<usize> {
        let has_begun = self.valid_from.is_none_or(|from| from <= call.at);
        let goes_on = self.valid_till.is_none_or(|till| call.at < till);
        let is_from = self.site.is_none_or(|site| call.site == Some(site));
        if has_begun && goes_on && is_from { self.destinations.longest(call.cld) } else { None }
    }
}

/// The one discount of a call: of the longest prefix, then the greatest. Discounts do not add up.
pub(super) fn discount(discounts: &[Discount], call: &CallQuery<'_>) -> Option<AppliedDiscount> {
    let applying = discounts.iter().filter_map(|discount| {
        let length = discount.applies(call)?;
        Some(((length, discount.percent), discount))
    });
    let (_, found) = applying.max_by_key(|(key, _)| *key)?;
    Some(AppliedDiscount { name: found.name.clone(), percent: found.percent })
}

#[cfg(test)]
mod tests {
    use vocabulary::Location;

    use super::*;

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_prefix_of_a_set_counts() {
        let set = DestinationSet::new(["49", "4930", "1"]).unwrap();
        assert_eq!(set.longest(&number("49301")), Some(4));
        assert_eq!(set.longest(&number("4931")), Some(2));
        assert_eq!(set.longest(&number("33")), None);
        assert_eq!(DestinationSet::new([""]).unwrap().longest(&number("33")), Some(0));
        assert_eq!(DestinationSet::new(["+49"]), Err(RateError::Destination));
    }

    #[test]
    fn a_discount_is_for_its_site_and_its_time() {
        // J-17: site S1 has 10 % off to a destination from t1 to t2.
        let of = |percent: &str, prefix: &str, site| Discount {
            name: "summer".into(),
            destinations: Arc::new(DestinationSet::new([prefix]).unwrap()),
            site,
            valid_from: Some(Utc(100)),
            valid_till: Some(Utc(200)),
            percent: percent.parse().unwrap(),
        };
        let discounts = [of("10", "49", Some(SiteId(7))), of("5", "4", None), of("20", "4", None)];
        let check = |site: u64, at: i64, cld: &str, expected: Option<&str>| {
            let call = CallQuery {
                cld: &number(cld),
                cli: None,
                at: Utc(at),
                in_force_at: Utc(at),
                site: Some(SiteId(site)),
                location: Location::default(),
            };
            let found = discount(&discounts, &call).map(|found| found.percent.to_string());
            assert_eq!(found.as_deref(), expected, "{site} {at} {cld}");
        };
        check(7, 100, "4930", Some("10"));
        check(7, 199, "4930", Some("10"));
        check(7, 200, "4930", None);
        check(7, 99, "4930", None);
        check(8, 150, "4930", Some("20"));
        check(7, 150, "4830", Some("20"));
        check(7, 150, "33", None);
    }
}
