//! What a rule looks for, in the signs of dial plans: digits, `*`, `#` and `+` for themselves, `X` for
//! any digit, `Z` for 1 to 9, `N` for 2 to 9, `[13-5]` for a choice of digits; at the end `.` for at
//! least one sign more or `!` for any rest, also none. Without these two it is the whole number.

use std::fmt;
use std::str::FromStr;

use super::written::SIGNS_MAX;

/// A set of signs, a bit each: ten digits, `*`, `#`, `+`.
type Signs = u16;

const DIGITS: Signs = 0x3FF;

fn bit(sign: u8) -> Signs {
    match sign {
        b'0'..=b'9' => 1 << (sign - b'0'),
        b'*' => 1 << 10,
        b'#' => 1 << 11,
        b'+' => 1 << 12,
        _ => 0,
    }
}

/// What may follow the signs that are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    AtLeastOne,
    Anything,
}

/// Which numbers a rule is about.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    signs: Box<[Signs]>,
    rest: Rest,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing, or only `.` or `!` where a sign is needed.
    #[error("the pattern is empty; write X. for every number")]
    Empty,
    /// More than a number has.
    #[error("the pattern has more than {SIGNS_MAX} signs")]
    TooLong,
    /// A sign without meaning.
    #[error(
        "{0:?} means nothing in a pattern; write digits, * # +, X (any digit), Z (1-9), N (2-9), \
         [13-5], and . or ! at the end"
    )]
    Sign(char),
    /// `.` or `!` before the end.
    #[error("{0:?} stands for the rest of the number, so nothing may follow it")]
    RestInside(char),
    /// A `+` that begins nothing.
    #[error("a + only begins a number")]
    PlusInside,
    /// A choice without its end or without a digit.
    #[error("a choice is written [13-5]: digits or ranges of digits between brackets")]
    Choice,
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Pattern, PatternError> {
        let mut signs = Vec::new();
        let mut rest = Rest::Nothing;
        let mut chars = text.chars();
        while let Some(sign) = chars.next() {
            if rest != Rest::Nothing {
                return Err(PatternError::RestInside(if rest == Rest::Anything {
                    '!'
                } else {
                    '.'
                }));
            }
            match sign {
                '0'..='9' | '*' | '#' => signs.push(bit(sign as u8)),
                '+' if signs.is_empty() => signs.push(bit(b'+')),
                '+' => return Err(PatternError::PlusInside),
                'X' | 'x' => signs.push(DIGITS),
                'Z' | 'z' => signs.push(DIGITS & !bit(b'0')),
                'N' | 'n' => signs.push(DIGITS & !bit(b'0') & !bit(b'1')),
                '[' => signs.push(choice(&mut chars).ok_or(PatternError::Choice)?),
                '.' => rest = Rest::AtLeastOne,
                '!' => rest = Rest::Anything,
                other => return Err(PatternError::Sign(other)),
            }
        }
        if signs.is_empty() {
            return Err(PatternError::Empty);
        }
        if signs.len() > SIGNS_MAX {
            return Err(PatternError::TooLong);
        }
        Ok(Pattern { text: text.into(), signs: signs.into(), rest })
    }
}

/// Up to the closing bracket.
fn choice(chars: &mut std::str::Chars<'_>) -> Option<Signs> {
    let mut signs: Signs = 0;
    let mut last: Option<u8> = None;
    loop {
        match chars.next()? {
            ']' => return (signs != 0).then_some(signs),
            '-' => {
                let till = u8::try_from(chars.next()?).ok().filter(u8::is_ascii_digit)?;
                let from = last.take().filter(|from| *from <= till)?;
                signs |= (from..=till).map(bit).fold(0, |all, one| all | one);
            }
            digit @ '0'..='9' => {
                signs |= bit(digit as u8);
                last = Some(digit as u8);
            }
            _ => return None,
        }
    }
}

impl Pattern {
    /// Whether the number is one of those.
    pub fn matches(&self, number: &[u8]) -> bool {
        let Some((begin, after)) = number.split_at_checked(self.signs.len()) else { return false };
        let rest_fits = match self.rest {
            Rest::Nothing => after.is_empty(),
            Rest::AtLeastOne => !after.is_empty(),
            Rest::Anything => true,
        };
        rest_fits && self.signs.iter().zip(begin).all(|(signs, sign)| signs & bit(*sign) != 0)
    }

    /// How many signs every number has at least that it matches.
    pub fn length_min(&self) -> usize {
        self.signs.len() + usize::from(self.rest == Rest::AtLeastOne)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_pattern_or_a_fault(
            text in "[0-9XZN+*#.!\\[\\]-]{0,12}|\\PC{0,12}",
            number in "[0-9+*#]{0,12}",
        ) {
            if let Ok(pattern) = text.parse::<Pattern>() {
                let is_long_enough = number.len() >= pattern.length_min();
                prop_assert!(is_long_enough || !pattern.matches(number.as_bytes()));
                prop_assert_eq!(pattern.as_str(), text);
            }
        }
    }

    #[track_caller]
    fn check(pattern: &str, fit: &[&str], unfit: &[&str]) {
        let pattern: Pattern = pattern.parse().unwrap();
        let are = |texts: &[&str], expected: bool| {
            for text in texts {
                assert_eq!(pattern.matches(text.as_bytes()), expected, "{pattern:?} {text}");
            }
        };
        are(fit, true);
        are(unfit, false);
        assert!(fit.iter().all(|text| text.len() >= pattern.length_min()));
    }

    #[test]
    fn patterns_match_whole_numbers() {
        check("411", &["411"], &["41", "4110", "+411", ""]);
        check("00.", &["001"], &["00", "0", "011", "+001"]);
        check("00!", &["00", "0012"], &["0", "01"]);
        check("+1NXXNXXXXXX", &["+12125550100"], &["+11125550100", "12125550100", "+1212555010"]);
        check("Z", &["1", "9"], &["0", "12", "*"]);
        check("[13-5]9x", &["190", "399", "499", "590"], &["290", "690", "39", "3990"]);
        check("*XX#", &["*21#"], &["*2#", "#21#", "*21"]);
        check("n.", &["20", "9*"], &["1", "10", "2"]);
    }

    #[test]
    fn what_is_wrong_with_a_pattern_is_told() {
        let fault = |text: &str| text.parse::<Pattern>().unwrap_err();
        assert_eq!(fault(""), PatternError::Empty);
        assert_eq!(fault("."), PatternError::Empty);
        assert_eq!(fault("0.1"), PatternError::RestInside('.'));
        assert_eq!(fault("0!!"), PatternError::RestInside('!'));
        assert_eq!(fault("0+1"), PatternError::PlusInside);
        assert_eq!(fault("0a"), PatternError::Sign('a'));
        for choice in ["[", "[]", "[1", "[5-3]", "[-3]", "[1-]", "[a]", "[1-3-5]"] {
            assert_eq!(fault(choice), PatternError::Choice, "{choice}");
        }
        assert_eq!(fault(&"1".repeat(SIGNS_MAX + 1)), PatternError::TooLong);
    }
}
