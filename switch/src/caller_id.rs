//! What the caller's number means for a call that leaves us: whether it is one of the account's own,
//! and by which rates the call is then priced, or that it is refused. Pure: asked by a
//! call and by `tandem simulate` alike.

use std::fmt;

use vocabulary::{AccountId, Number, RateChoice};

use crate::decision::Decision;
use crate::directory::Directory;
use crate::release::Cause;

/// What an account's calls to carriers need of their caller's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CliPool {
    /// Nothing: it passes as it is, at the usual rates.
    #[default]
    Off,
    /// One that is no number of the account is priced by the NON-CLI rate group.
    NonCliUnlessDid,
    /// One that is no number of the account is refused.
    RejectUnlessDid,
}

impl CliPool {
    /// All of them.
    pub const ALL: [CliPool; 3] =
        [CliPool::Off, CliPool::NonCliUnlessDid, CliPool::RejectUnlessDid];

    /// The word in the database and the API.
    pub fn word(self) -> &'static str {
        match self {
            CliPool::Off => "off",
            CliPool::NonCliUnlessDid => "non_cli_unless_did",
            CliPool::RejectUnlessDid => "reject_unless_did",
        }
    }

    /// The mode with this word.
    pub fn from_word(word: &str) -> Option<CliPool> {
        CliPool::ALL.into_iter().find(|mode| mode.word() == word)
    }
}

/// An account's caller-ID policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerIdPolicy {
    /// What its calls need of their caller's number.
    pub pool: CliPool,
}

/// What the policy made of a caller's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerIdDecision {
    /// It is a number of the account.
    OwnDid(AccountId),
    /// It is not, so the NON-CLI rate group prices the call.
    NonCliRates(AccountId),
}

impl CallerIdDecision {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            CallerIdDecision::OwnDid(_) => "cli_is_own_did",
            CallerIdDecision::NonCliRates(_) => "cli_non_cli_rates",
        }
    }
}

impl fmt::Display for CallerIdDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallerIdDecision::OwnDid(id) => {
                write!(f, "The caller's number is one of account {id}.")
            }
            CallerIdDecision::NonCliRates(id) => write!(
                f,
                "The caller's number is none of account {id}: its NON-CLI rate group applies."
            ),
        }
    }
}

/// Why a caller's number is not let out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerIdRefusal {
    /// It is no number of the account, and the account's policy asks for one.
    NoOwnDid(AccountId),
}

impl CallerIdRefusal {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            CallerIdRefusal::NoOwnDid(_) => "cli_not_own_did",
        }
    }

    pub(crate) fn cause(&self) -> Cause {
        match self {
            CallerIdRefusal::NoOwnDid(_) => Cause::Rejected,
        }
    }
}

impl fmt::Display for CallerIdRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallerIdRefusal::NoOwnDid(id) => write!(
                f,
                "The caller's number is none of account {id}, which may call with its own only."
            ),
        }
    }
}

/// By which rates a call of this account to a carrier is priced.
pub(crate) fn rate_choice(
    directory: &Directory,
    account: AccountId,
    cli: Option<&Number>,
    decisions: &mut Vec<Decision>,
) -> Result<RateChoice, CallerIdRefusal> {
    let pool = directory.account(account).map_or(CliPool::Off, |row| row.caller_id.pool);
    let is_own = || cli.is_some_and(|cli| directory.is_number_of(account, cli));
    match pool {
        CliPool::Off => Ok(RateChoice::Usual),
        CliPool::NonCliUnlessDid | CliPool::RejectUnlessDid if is_own() => {
            decisions.push(Decision::CallerId(CallerIdDecision::OwnDid(account)));
            Ok(RateChoice::Usual)
        }
        CliPool::NonCliUnlessDid => {
            decisions.push(Decision::CallerId(CallerIdDecision::NonCliRates(account)));
            Ok(RateChoice::NonCli)
        }
        CliPool::RejectUnlessDid => Err(CallerIdRefusal::NoOwnDid(account)),
    }
}
