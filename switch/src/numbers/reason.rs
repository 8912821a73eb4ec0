//! What number rules and lists did, and why they refuse a call.

use std::fmt;

use vocabulary::{SubscriberId, TrunkId};

use super::list::{ListId, ListKind};
use super::policy::NumberOwner;
use super::rule::{RuleId, Subject};
use crate::release::Cause;

/// What rules or lists did with a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberDecision {
    /// Rules matched what the caller sent.
    Received {
        /// Whose number.
        subject: Subject,
        /// As it was written.
        written: Box<str>,
        /// What the rules made of it; the number plan comes after them.
        becomes: Box<str>,
        /// Those that matched, in their order.
        rules: Box<[RuleId]>,
    },
    /// Rules matched what a trunk is sent.
    SentToTrunk {
        /// The trunk.
        trunk: TrunkId,
        /// Whose number.
        subject: Subject,
        /// As it is sent.
        sent: Box<str>,
        /// Those that matched, in their order.
        rules: Box<[RuleId]>,
    },
    /// Rules matched the caller's number that a phone is shown.
    ShownToSubscriber {
        /// The callee.
        subscriber: SubscriberId,
        /// As it is sent.
        sent: Box<str>,
        /// Those that matched, in their order.
        rules: Box<[RuleId]>,
    },
    /// A list lets the number pass.
    Allowed {
        /// The list.
        list: ListId,
        /// For whom it does.
        owner: NumberOwner,
        /// Whose number.
        subject: Subject,
    },
}

impl NumberDecision {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            NumberDecision::Received { subject: Subject::Cld, .. } => "number_rules_matched",
            NumberDecision::Received { subject: Subject::Cli, .. } => "caller_rules_matched",
            NumberDecision::SentToTrunk { subject: Subject::Cld, .. } => "number_sent_by_rules",
            NumberDecision::SentToTrunk { subject: Subject::Cli, .. }
            | NumberDecision::ShownToSubscriber { .. } => "caller_sent_by_rules",
            NumberDecision::Allowed { subject: Subject::Cld, .. } => "number_allowed",
            NumberDecision::Allowed { subject: Subject::Cli, .. } => "caller_allowed",
        }
    }
}

/// `The called number` or `The caller's number`.
struct The(Subject);

impl fmt::Display for The {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Subject::Cld => "The called number",
            Subject::Cli => "The caller's number",
        })
    }
}

/// `rule 3` or `rules 3, 7`.
struct Rules<'a>(&'a [RuleId]);

impl fmt::Display for Rules<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.len() == 1 { "rule" } else { "rules" })?;
        for (n, rule) in self.0.iter().enumerate() {
            write!(f, "{} {rule}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for NumberDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NumberDecision::Received { subject, written, becomes, rules } => {
                let (the, rules) = (The(*subject), Rules(rules));
                write!(f, "{the} {written} becomes {becomes} by number {rules}.")
            }
            NumberDecision::SentToTrunk { trunk, subject, sent, rules } => {
                let (the, rules) = (The(*subject), Rules(rules));
                write!(f, "{the} is {sent} for trunk {trunk}, by number {rules}.")
            }
            NumberDecision::ShownToSubscriber { subscriber, sent, rules } => {
                let (the, rules) = (The(Subject::Cli), Rules(rules));
                write!(f, "{the} is {sent} for subscriber {subscriber}, by number {rules}.")
            }
            NumberDecision::Allowed { list, owner, subject } => {
                let the = The(*subject);
                write!(f, "{the} is on list {list}, which is allowed for {owner}.")
            }
        }
    }
}

/// Why a number is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberRefusal {
    /// A number rule says so.
    RuleRejects(RuleId),
    /// It is on a list.
    Listed {
        /// The list.
        list: ListId,
        /// What its numbers are.
        kind: ListKind,
        /// Whose number.
        subject: Subject,
        /// For whom the list blocks.
        owner: NumberOwner,
    },
    /// It is on none of the lists that it would have to be on.
    NotListed {
        /// Whose number.
        subject: Subject,
        /// Who may call only with or to listed ones.
        owner: NumberOwner,
    },
}

impl NumberRefusal {
    pub(crate) fn code(&self) -> &'static str {
        use ListKind::{DoNotOriginate, Emergency, Invalid, Plain, Premium};
        use Subject::{Cld, Cli};
        match self {
            NumberRefusal::RuleRejects(_) => "number_rejected",
            NumberRefusal::Listed { kind, subject, .. } => match (kind, subject) {
                (DoNotOriginate, _) => "do_not_originate",
                (Premium, _) => "premium_blocked",
                (Invalid, Cld) => "number_not_in_use",
                (Invalid, Cli) => "caller_not_in_use",
                (Plain | Emergency, Cld) => "number_blocked",
                (Plain | Emergency, Cli) => "caller_blocked",
            },
            NumberRefusal::NotListed { subject: Cld, .. } => "number_not_allowed",
            NumberRefusal::NotListed { subject: Cli, .. } => "caller_not_allowed",
        }
    }

    pub(crate) fn cause(&self) -> Cause {
        match self {
            NumberRefusal::Listed { kind: ListKind::Invalid, subject: Subject::Cld, .. } => {
                Cause::UnallocatedNumber
            }
            NumberRefusal::RuleRejects(_)
            | NumberRefusal::Listed { .. }
            | NumberRefusal::NotListed { .. } => Cause::Rejected,
        }
    }
}

impl fmt::Display for NumberRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NumberRefusal::RuleRejects(rule) => {
                write!(f, "The called number is rejected by number rule {rule}.")
            }
            NumberRefusal::Listed { list, kind, subject, owner } => {
                let of = match kind {
                    ListKind::Plain => "",
                    ListKind::Invalid => " of numbers that are not in use",
                    ListKind::DoNotOriginate => " of numbers that never call",
                    ListKind::Premium => " of premium numbers",
                    ListKind::Emergency => " of emergency numbers",
                };
                let the = The(*subject);
                write!(f, "{the} is on list {list}{of}, which is blocked for {owner}.")
            }
            NumberRefusal::NotListed { subject: Subject::Cld, owner } => {
                write!(f, "The called number is on no list that {owner} is confined to.")
            }
            NumberRefusal::NotListed { subject: Subject::Cli, owner } => write!(
                f,
                "The caller's number is on no list that the callers of {owner} are confined to."
            ),
        }
    }
}

/// Every refusal, for the test of all of them, with its SIP status and its Q.850 value.
#[cfg(test)]
pub(crate) fn samples() -> Vec<(NumberRefusal, u16, u8)> {
    let owner = NumberOwner::Account(vocabulary::AccountId(7));
    let listed = |kind, subject| NumberRefusal::Listed { list: ListId(3), kind, subject, owner };
    vec![
        (NumberRefusal::RuleRejects(RuleId(4)), 403, 21),
        (listed(ListKind::Plain, Subject::Cld), 403, 21),
        (listed(ListKind::Plain, Subject::Cli), 403, 21),
        (listed(ListKind::Invalid, Subject::Cld), 404, 1),
        (listed(ListKind::Invalid, Subject::Cli), 403, 21),
        (listed(ListKind::DoNotOriginate, Subject::Cli), 403, 21),
        (listed(ListKind::Premium, Subject::Cld), 403, 21),
        (NumberRefusal::NotListed { subject: Subject::Cld, owner }, 403, 21),
        (NumberRefusal::NotListed { subject: Subject::Cli, owner }, 403, 21),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_name_the_rules_and_the_list() {
        let received = NumberDecision::Received {
            subject: Subject::Cld,
            written: "9411".into(),
            becomes: "+12055576061".into(),
            rules: [RuleId(3), RuleId(7)].into(),
        };
        let expected = "The called number 9411 becomes +12055576061 by number rules 3, 7.";
        assert_eq!(received.to_string(), expected);
        let sent = NumberDecision::SentToTrunk {
            trunk: TrunkId(2),
            subject: Subject::Cli,
            sent: "0301".into(),
            rules: [RuleId(9)].into(),
        };
        assert_eq!(sent.to_string(), "The caller's number is 0301 for trunk 2, by number rule 9.");
        let listed = NumberRefusal::Listed {
            list: ListId(3),
            kind: ListKind::Premium,
            subject: Subject::Cld,
            owner: NumberOwner::Switch,
        };
        let expected =
            "The called number is on list 3 of premium numbers, which is blocked for everybody.";
        assert_eq!(listed.to_string(), expected);
    }
}
