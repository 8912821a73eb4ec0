//! What fraud rules say of a call: refusals, notes in its record, and what the outside is told.

use std::fmt;
use std::time::Duration;

use vocabulary::{AccountId, Utc};

use super::rules::{Country, FraudAction, FraudKind, FraudRule, Hold};
use crate::release::Cause;

/// A rule has found something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    /// In whose calls.
    pub account: AccountId,
    /// Which rule.
    pub rule: FraudRule,
    /// What, in a few words.
    pub what: Box<str>,
    /// When.
    pub at: Utc,
    /// What is brought upon the account from now on and is to be stored, unless it or something worse
    /// is already.
    pub hold: Option<Hold>,
    /// It is to be told: the same was not told within the last hour.
    pub is_news: bool,
}

impl Trip {
    /// Whether the call that was looked at is refused.
    pub(crate) fn refuses(&self) -> bool {
        matches!(self.rule.action, FraudAction::Block(_))
    }

    /// Whether the rule does something to the calls that follow.
    pub(super) fn holds(&self) -> bool {
        self.rule.action.hold(self.rule.check.kind(), self.at).is_some()
    }
}

/// What the outside is told: to store it, and to tell people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FraudNote {
    /// A rule has found something.
    Tripped(Trip),
    /// An account has called a country for the first time, and may.
    Learned {
        /// Which account.
        account: AccountId,
        /// Which country.
        country: Country,
        /// When.
        at: Utc,
    },
}

impl FraudNote {
    /// Whose calls it is about.
    pub fn account(&self) -> AccountId {
        match self {
            FraudNote::Tripped(trip) => trip.account,
            FraudNote::Learned { account, .. } => *account,
        }
    }
}

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FraudRefusal {
    /// A rule found something in an earlier call. For how much longer; `None`: until it is lifted.
    Blocked(AccountId, FraudKind, Option<Duration>),
    /// A rule found something in this call.
    Found(AccountId, FraudKind, Box<str>),
}

impl FraudRefusal {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            FraudRefusal::Blocked(..) => "fraud_blocked",
            FraudRefusal::Found(_, kind, _) => kind.code(),
        }
    }

    pub(crate) fn cause(&self) -> Cause {
        Cause::Rejected
    }
}

impl fmt::Display for FraudRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FraudRefusal::Blocked(account, kind, left) => {
                let kind = kind.word();
                write!(f, "Account {account} places no calls because of the fraud rule {kind}, ")?;
                match left {
                    Some(left) => write!(f, "for another {} s.", left.as_secs()),
                    None => write!(f, "until that is lifted."),
                }
            }
            FraudRefusal::Found(account, kind, what) => {
                write!(f, "Account {account}, fraud rule {}: {what}.", kind.word())
            }
        }
    }
}

/// What is noted of a call that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FraudDecision {
    /// A rule found something.
    Found(FraudKind, Box<str>),
    /// Its account has fewer calls at the moment.
    Reduced(FraudKind),
    /// An emergency number is called: no fraud rule holds.
    Emergency,
}

impl FraudDecision {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            FraudDecision::Found(..) => "fraud_alarm",
            FraudDecision::Reduced(_) => "fraud_reduced",
            FraudDecision::Emergency => "emergency_number",
        }
    }
}

impl fmt::Display for FraudDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FraudDecision::Found(kind, what) => {
                write!(f, "Fraud rule {}: {what}.", kind.word())
            }
            FraudDecision::Reduced(kind) => write!(
                f,
                "The account has fewer calls at the moment because of the fraud rule {}.",
                kind.word()
            ),
            FraudDecision::Emergency => {
                write!(f, "An emergency number is called: fraud rules do not hold for it.")
            }
        }
    }
}

#[cfg(test)]
pub(crate) fn samples() -> Vec<FraudRefusal> {
    let (account, what) = (AccountId(7), || "what it found".into());
    let found = |kind| FraudRefusal::Found(account, kind, what());
    let left = Some(Duration::from_secs(9));
    let blocked = FraudRefusal::Blocked(account, FraudKind::ShortCalls, left);
    FraudKind::ALL.map(found).into_iter().chain([blocked]).collect()
}
