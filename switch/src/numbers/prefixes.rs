//! Many prefixes and numbers in little memory: 16 bytes each, found by binary search, once for each
//! length that occurs.

use std::str::FromStr;

use vocabulary::Number;

use super::class::{NumberClass, classify};

/// One line of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Every number that begins so: `4930`.
    Prefix(Number),
    /// Just this number: `=4930123456`.
    Whole(Number),
    /// Every number of this class, in whatever country: `@premium`.
    Class(NumberClass),
}

/// Why a text is not a line of a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListedError {
    /// Neither of the three.
    #[error(
        "{0:?} is no prefix: write digits, * and #, without +; = before a whole number; @ before a \
         class"
    )]
    Sign(String),
    /// No such class.
    #[error("{0:?} is no class of numbers; there are {known}", known = classes())]
    Class(String),
}

fn classes() -> String {
    NumberClass::ALL.map(|class| format!("@{}", class.word())).join(", ")
}

impl FromStr for Listed {
    type Err = ListedError;

    fn from_str(text: &str) -> Result<Listed, ListedError> {
        if let Some(word) = text.strip_prefix('@') {
            let class = NumberClass::from_word(word);
            return class.map(Listed::Class).ok_or_else(|| ListedError::Class(text.to_owned()));
        }
        let fault = || ListedError::Sign(text.to_owned());
        let number = |digits: &str| match digits.bytes().all(super::written::is_sign) {
            true => digits.parse().map_err(|_| fault()),
            false => Err(fault()),
        };
        match text.strip_prefix('=') {
            Some(digits) => number(digits).map(Listed::Whole),
            None => number(text).map(Listed::Prefix),
        }
    }
}

/// Behind the digits of a whole number; no sign has it.
const EXACT: u128 = 0xF;

/// Where the n-th sign, counted from 1, lies in a key.
fn shift(n: usize) -> usize {
    128 - 4 * n
}

/// The key of a whole number.
fn whole(digits: &[u8]) -> u128 {
    key(digits) | EXACT << shift(digits.len() + 1)
}

/// Four bits a sign, from the top; 0 is behind the last. 31 signs leave four bits for [`EXACT`].
fn key(digits: &[u8]) -> u128 {
    (1..).zip(digits).fold(0, |key, (n, sign)| key | u128::from(code(*sign)) << shift(n))
}

fn code(sign: u8) -> u8 {
    match sign {
        b'*' => 11,
        b'#' => 12,
        digit => digit - b'0' + 1,
    }
}

/// A set of prefixes and whole numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixSet {
    keys: Box<[u128]>,
    /// Bit n: some prefix has n digits.
    lengths: u32,
    has_exact: bool,
    classes: Vec<NumberClass>,
}

impl FromIterator<Listed> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = Listed>>(lines: I) -> PrefixSet {
        let mut set = PrefixSet::default();
        let mut keys = Vec::new();
        for line in lines {
            match line {
                Listed::Prefix(digits) => {
                    set.lengths |= 1 << digits.as_bytes().len();
                    keys.push(key(digits.as_bytes()));
                }
                Listed::Whole(digits) => {
                    set.has_exact = true;
                    keys.push(whole(digits.as_bytes()));
                }
                Listed::Class(class) => set.classes.push(class),
            }
        }
        set.classes.sort_unstable();
        set.classes.dedup();
        keys.sort_unstable();
        keys.dedup();
        set.keys = keys.into();
        set
    }
}

impl PrefixSet {
    /// How closely the set knows the number: more for a longer prefix, most for the number itself,
    /// least for its class. `None` if it is not in it.
    pub fn find(&self, number: &Number) -> Option<u8> {
        let digits = number.as_bytes();
        let is_there = |key: u128| self.keys.binary_search(&key).is_ok();
        if self.has_exact && is_there(whole(digits)) {
            return Some(2 * digits.len() as u8 + 1);
        }
        let all = key(digits);
        let mut lengths = (1..=digits.len()).rev().filter(|n| self.lengths & 1 << n != 0);
        let found = lengths.find(|n| is_there(all & !0 << shift(*n)));
        found.map(|length| 2 * length as u8).or_else(|| self.has_class_of(number).then_some(1))
    }

    fn has_class_of(&self, number: &Number) -> bool {
        let class = (!self.classes.is_empty()).then(|| classify(number)).flatten();
        class.is_some_and(|classified| self.classes.contains(&classified.class))
    }

    /// How many lines.
    pub fn len(&self) -> usize {
        self.keys.len() + self.classes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(lines: &[&str]) -> PrefixSet {
        lines.iter().map(|line| line.parse::<Listed>().unwrap()).collect()
    }

    #[test]
    fn a_whole_number_counts_more_than_any_prefix() {
        let longest = "1".repeat(31);
        let set = set(&["49", "4930", "=4930", "*1", &longest, &format!("={longest}")]);
        let find = |number: &str| set.find(&number.parse().unwrap());
        assert_eq!(find("4930"), Some(9));
        assert_eq!(find("49301"), Some(8));
        assert_eq!(find("4989"), Some(4));
        assert_eq!(find("4"), None);
        assert_eq!(find("*100#"), Some(4));
        assert_eq!(find("34"), None);
        assert_eq!(find(&longest), Some(63));
        assert_eq!(set.len(), 6);
    }

    #[test]
    fn what_is_no_line_is_told() {
        for text in ["", "=", "+49", "49x", "= 49", &"1".repeat(32)] {
            assert_eq!(text.parse::<Listed>(), Err(ListedError::Sign(text.into())));
        }
        let fault = "@dear".parse::<Listed>().unwrap_err().to_string();
        assert!(fault.contains("there are @fixed, @mobile, "), "{fault}");
    }

    #[test]
    fn a_class_counts_less_than_any_prefix() {
        let set = set(&["@premium", "@toll_free", "499"]);
        let find = |number: &str| set.find(&number.parse().unwrap());
        assert_eq!(find("499001234567"), Some(6));
        assert_eq!(find("19005550100"), Some(1));
        assert_eq!(find("4915123456789"), None);
        assert_eq!((find("112"), set.len()), (None, 3));
    }

    proptest! {
        #[test]
        fn the_set_agrees_with_a_search_through_its_lines(
            lines in proptest::collection::vec("=?[0-2*#]{1,5}", 0..20),
            digits in "[0-2*#]{1,8}",
        ) {
            let set = set(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            let closeness = |line: &String| match line.strip_prefix('=') {
                Some(whole) => (whole == digits).then_some(2 * whole.len() as u8 + 1),
                None => digits.starts_with(line.as_str()).then_some(2 * line.len() as u8),
            };
            let expected = lines.iter().filter_map(closeness).max();
            prop_assert_eq!(set.find(&digits.parse().unwrap()), expected);
        }
    }
}
