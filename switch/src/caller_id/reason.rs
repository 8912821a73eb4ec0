//! What the policy made of a caller's number, in words.

use std::fmt;

use vocabulary::{AccountId, Number};

use super::Owned;
use crate::release::Cause;

/// What the policy made of a caller's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerIdDecision {
    /// The caller has no number, so the account's default is shown.
    Default(AccountId, Number),
    /// It is a DID of the account.
    OwnDid(AccountId),
    /// It is stored for the account.
    Stored(AccountId),
    /// It is neither, so this one of the account's is shown.
    Replaced(AccountId, Owned, Number),
    /// It is none of these, so the NON-CLI rate group prices the call.
    NonCliRates(AccountId, Owned),
}

impl CallerIdDecision {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            CallerIdDecision::Default(..) => "cli_default",
            CallerIdDecision::OwnDid(_) => "cli_is_own_did",
            CallerIdDecision::Stored(_) => "cli_is_stored",
            CallerIdDecision::Replaced(..) => "cli_replaced",
            CallerIdDecision::NonCliRates(..) => "cli_non_cli_rates",
        }
    }
}

impl Owned {
    /// As in "no NOUN of account 7".
    fn noun(self) -> &'static str {
        match self {
            Owned::Did => "DID",
            Owned::Stored => "stored caller ID",
            Owned::Either => "DID or stored caller ID",
        }
    }
}

impl fmt::Display for CallerIdDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallerIdDecision::Default(id, number) => write!(
                f,
                "The caller has no number: {}, the default of account {id}, stands for it.",
                number.as_str()
            ),
            CallerIdDecision::OwnDid(id) => {
                write!(f, "The caller's number is a DID of account {id}.")
            }
            CallerIdDecision::Stored(id) => {
                write!(f, "The caller's number is a stored caller ID of account {id}.")
            }
            CallerIdDecision::Replaced(id, owned, by) => write!(
                f,
                "The caller's number is no {} of account {id}: {} was drawn in its place.",
                owned.noun(),
                by.as_str()
            ),
            CallerIdDecision::NonCliRates(id, owned) => write!(
                f,
                "The caller's number is no {} of account {id}: its NON-CLI rate group applies.",
                owned.noun()
            ),
        }
    }
}

/// Why a caller's number is not let out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerIdRefusal {
    /// It is none of these, and the account's policy asks for one.
    NotOwned(AccountId, Owned),
    /// It is to be replaced and there is none to replace it.
    PoolEmpty(AccountId, Owned),
}

impl CallerIdRefusal {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            CallerIdRefusal::NotOwned(_, Owned::Did) => "cli_not_own_did",
            CallerIdRefusal::NotOwned(_, Owned::Stored) => "cli_not_stored",
            CallerIdRefusal::NotOwned(_, Owned::Either) => "cli_neither_did_nor_stored",
            CallerIdRefusal::PoolEmpty(..) => "cli_pool_empty",
        }
    }

    pub(crate) fn cause(&self) -> Cause {
        match self {
            CallerIdRefusal::NotOwned(..) | CallerIdRefusal::PoolEmpty(..) => Cause::Rejected,
        }
    }
}

impl fmt::Display for CallerIdRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallerIdRefusal::NotOwned(id, owned) => write!(
                f,
                "The caller's number is no {0} of account {id}, which may call with such only.",
                owned.noun()
            ),
            CallerIdRefusal::PoolEmpty(id, owned) => write!(
                f,
                "The caller's number is no {0} of account {id}, which has no {0} to call with.",
                owned.noun()
            ),
        }
    }
}

#[cfg(test)]
pub(crate) fn samples() -> Vec<CallerIdRefusal> {
    let owned = [Owned::Did, Owned::Stored, Owned::Either];
    let account = AccountId(1);
    let not_owned = owned.map(|owned| CallerIdRefusal::NotOwned(account, owned));
    not_owned.into_iter().chain([CallerIdRefusal::PoolEmpty(account, Owned::Stored)]).collect()
}
