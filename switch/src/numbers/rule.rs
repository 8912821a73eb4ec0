//! One row of a table of number rules, and what a table makes of a number.

use std::fmt;

use super::pattern::Pattern;
use super::written::{SIGNS_MAX, Written, is_sign};

/// Which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u64);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Whose number a rule or a list is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The caller's.
    Cli,
    /// The called one.
    Cld,
}

impl Subject {
    /// The word in the database and the API.
    pub fn word(self) -> &'static str {
        match self {
            Subject::Cli => "cli",
            Subject::Cld => "cld",
        }
    }

    /// The subject with this word.
    pub fn from_word(word: &str) -> Option<Subject> {
        [Subject::Cli, Subject::Cld].into_iter().find(|subject| subject.word() == word)
    }
}

/// What comes after a rule that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The rules behind it, with what it made of the number.
    Next,
    /// The number plan: the number is now as the peer would write it.
    Plan,
    /// Nothing: towards us it is the number, from us it is sent so.
    AsIs,
    /// The call is refused; towards a trunk, the trunk is left out.
    Reject,
}

impl Then {
    /// All of them.
    pub const ALL: [Then; 4] = [Then::Next, Then::Plan, Then::AsIs, Then::Reject];

    /// The word in the database and the API.
    pub fn word(self) -> &'static str {
        match self {
            Then::Next => "next",
            Then::Plan => "plan",
            Then::AsIs => "as_is",
            Then::Reject => "reject",
        }
    }

    /// The one with this word.
    pub fn from_word(word: &str) -> Option<Then> {
        Then::ALL.into_iter().find(|then| then.word() == word)
    }
}

/// One row: if the number is so, strip some signs, put others in front, and go on there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberRule {
    /// Which.
    pub id: RuleId,
    /// The numbers it is about.
    pub matches: Pattern,
    /// Of so many signs at least and at most, the `+` included.
    pub lengths: (u8, u8),
    /// How many signs to strip from the front.
    pub strip: u8,
    /// What to put in front then: digits, `*`, `#`, a leading `+`.
    pub prepend: Box<str>,
    /// What comes after it.
    pub then: Then,
}

/// Why a rule cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Signs that are no number's.
    #[error("{0:?} holds something other than digits, *, # and a leading +")]
    Prepend(String),
    /// More than a number has.
    #[error("{0:?} has more than 31 signs")]
    PrependTooLong(String),
    /// Signs would be stripped that need not be there.
    #[error("it strips {strip} signs, but {pattern} also matches numbers of {length_min}")]
    Strip {
        /// How many are stripped.
        strip: u8,
        /// The pattern.
        pattern: String,
        /// How many signs there are at least.
        length_min: usize,
    },
    /// No number has such a length.
    #[error("the lengths go from {0} to {1}; write 1 to 47, the smaller one first")]
    Lengths(u8, u8),
    /// A `+` would stand inside.
    #[error("it puts {0:?} before a +; strip the + too")]
    PlusInside(String),
    /// Callers' numbers are refused by lists.
    #[error("a rule rejects called numbers only; block a caller's number by a list")]
    RejectsCaller,
}

/// As many digits as a number has.
const PREPEND_MAX: usize = 31;

impl NumberRule {
    /// A rule without conditions on the length.
    pub fn new(id: RuleId, matches: Pattern, strip: u8, prepend: &str, then: Then) -> NumberRule {
        let lengths = (1, SIGNS_MAX as u8);
        NumberRule { id, matches, lengths, strip, prepend: prepend.into(), then }
    }

    /// Whether the rule makes numbers of numbers of this side.
    pub fn check(&self, subject: Subject) -> Result<(), RuleError> {
        if self.then == Then::Reject && subject == Subject::Cli {
            return Err(RuleError::RejectsCaller);
        }
        let prepend = || self.prepend.to_string();
        let digits = self.prepend.strip_prefix('+').unwrap_or(&self.prepend);
        if !digits.bytes().all(is_sign) {
            return Err(RuleError::Prepend(prepend()));
        }
        if self.prepend.len() > PREPEND_MAX {
            return Err(RuleError::PrependTooLong(prepend()));
        }
        let length_min = self.matches.length_min();
        if usize::from(self.strip) > length_min {
            let pattern = self.matches.as_str().to_owned();
            return Err(RuleError::Strip { strip: self.strip, pattern, length_min });
        }
        if self.strip == 0 && !self.prepend.is_empty() && self.matches.as_str().starts_with('+') {
            return Err(RuleError::PlusInside(prepend()));
        }
        let (from, till) = self.lengths;
        if from == 0 || from > till || usize::from(till) > SIGNS_MAX {
            return Err(RuleError::Lengths(from, till));
        }
        Ok(())
    }

    fn is_about(&self, written: &Written) -> bool {
        let signs = written.as_bytes();
        let (from, till) = self.lengths;
        (usize::from(from)..=usize::from(till)).contains(&signs.len())
            && self.matches.matches(signs)
    }
}

/// Where a number goes behind the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// To the number plan.
    Plan,
    /// Nowhere: it is the number.
    AsIs,
    /// The call goes no further.
    Rejected(RuleId),
}

/// Applies rules in their order to `written`. A rule whose result would be no number is passed over,
/// as if it did not match.
pub(super) fn apply<'a>(
    rules: impl Iterator<Item = &'a NumberRule>,
    written: &mut Written,
    mut on_match: impl FnMut(&NumberRule, &Written),
) -> Outcome {
    for rule in rules {
        if !rule.is_about(written) {
            continue;
        }
        if rule.then == Then::Reject {
            return Outcome::Rejected(rule.id);
        }
        let Some(rewritten) = written.rewritten(rule.strip, &rule.prepend) else { continue };
        *written = rewritten;
        on_match(rule, written);
        match rule.then {
            Then::Plan => return Outcome::Plan,
            Then::AsIs => return Outcome::AsIs,
            Then::Next | Then::Reject => {}
        }
    }
    Outcome::Plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: u64, matches: &str, strip: u8, prepend: &str, then: Then) -> NumberRule {
        NumberRule::new(RuleId(id), matches.parse().unwrap(), strip, prepend, then)
    }

    #[track_caller]
    fn check(rules: &[NumberRule], text: &str, becomes: &str, outcome: Outcome, matched: &[u64]) {
        let mut written = Written::of(text).unwrap();
        let mut ids = Vec::new();
        let found = apply(rules.iter(), &mut written, |rule, _| ids.push(rule.id.0));
        assert_eq!((written.as_str(), found, &*ids), (becomes, outcome, matched), "{text}");
    }

    #[test]
    fn the_first_that_matches_is_applied_and_says_what_follows() {
        let short = NumberRule { lengths: (3, 3), ..rule(4, "X.", 0, "4930", Then::AsIs) };
        let rules = [
            rule(1, "9.", 1, "", Then::Next),
            rule(2, "411", 3, "+12055576061", Then::AsIs),
            rule(3, "1900.", 0, "", Then::Reject),
            short,
            rule(5, "011.", 3, "+", Then::Plan),
            rule(6, "0!", 1, "", Then::Next),
        ];
        check(&rules, "411", "+12055576061", Outcome::AsIs, &[2]);
        check(&rules, "9411", "+12055576061", Outcome::AsIs, &[1, 2]);
        check(&rules, "1900123", "1900123", Outcome::Rejected(RuleId(3)), &[]);
        check(&rules, "555", "4930555", Outcome::AsIs, &[4]);
        check(&rules, "01149301", "+49301", Outcome::Plan, &[5]);
        check(&rules, "0301", "301", Outcome::Plan, &[6]);
        check(&rules, "49301", "49301", Outcome::Plan, &[]);
        // Nothing would be left of it.
        check(&rules, "0", "0", Outcome::Plan, &[]);
    }

    #[test]
    fn a_rule_that_makes_no_number_is_refused() {
        let fault = |rule: NumberRule| rule.check(Subject::Cld).unwrap_err().to_string();
        assert_eq!(rule(1, "00.", 2, "+", Then::Plan).check(Subject::Cli), Ok(()));
        let rejects = rule(1, "00.", 0, "", Then::Reject);
        assert_eq!(rejects.check(Subject::Cli), Err(RuleError::RejectsCaller));
        assert_eq!(rejects.check(Subject::Cld), Ok(()));
        assert_eq!(
            fault(rule(1, "00!", 3, "", Then::Plan)),
            "it strips 3 signs, but 00! also matches numbers of 2"
        );
        assert_eq!(
            fault(rule(1, "00.", 2, "4+9", Then::Plan)),
            "\"4+9\" holds something other than digits, *, # and a leading +"
        );
        assert_eq!(
            fault(rule(1, "+X.", 0, "99", Then::Plan)),
            "it puts \"99\" before a +; strip the + too"
        );
        let backwards = NumberRule { lengths: (9, 3), ..rule(1, "X.", 0, "", Then::Next) };
        assert_eq!(
            fault(backwards),
            "the lengths go from 9 to 3; write 1 to 47, the smaller one first"
        );
        let long = "1".repeat(32);
        assert!(fault(rule(1, "X.", 0, &long, Then::Next)).ends_with("has more than 31 signs"));
    }
}
