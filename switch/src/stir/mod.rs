//! STIR/SHAKEN (S5; RFC 8224, RFC 8225, RFC 8588): what a trunk wants of signed callers, and how sure we
//! are of ours. Pure: signatures and certificates are the affair of whoever answers
//! [`crate::question::Question`].

mod reason;

use bytes::Bytes;
use vocabulary::Number;

use crate::directory::{Directory, TrunkRole};
use crate::routing::{self, Source};

#[cfg(test)]
pub(crate) use reason::samples;
pub use reason::{IdentityFault, StirDecision, StirRefusal};
pub use vocabulary::Attestation;

/// How sure we are of a caller with this number. `is_sent_on`: one of our subscribers has sent the
/// call on, and the number is that of somebody else.
pub(crate) fn attestation(
    directory: &Directory,
    source: Option<Source>,
    number: &Number,
    is_sent_on: bool,
) -> Attestation {
    let account = source.and_then(|source| routing::owner(directory, source));
    if account.is_some_and(|account| directory.owns(account, number)) {
        return Attestation::Full;
    }
    match source {
        Some(Source::Subscriber(_)) if !is_sent_on => Attestation::Partial,
        Some(Source::Trunk(id)) if !is_sent_on => match directory.trunk(id).map(|row| row.role) {
            Some(TrunkRole::Customer | TrunkRole::Equipment) => Attestation::Partial,
            Some(TrunkRole::Peer) | None => Attestation::Gateway,
        },
        _ => Attestation::Gateway,
    }
}

/// What becomes of the Identity header of a call that a trunk sends us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// It is not looked at.
    #[default]
    Off,
    /// It is verified, the callee is told what came of it, and the call goes on.
    Mark,
    /// The same, but the call is refused unless it is valid with at least this attestation. Calls for
    /// help go on.
    Refuse(Attestation),
}

impl Verification {
    /// All of them.
    pub const ALL: [Verification; 5] = [
        Verification::Off,
        Verification::Mark,
        Verification::Refuse(Attestation::Gateway),
        Verification::Refuse(Attestation::Partial),
        Verification::Refuse(Attestation::Full),
    ];

    /// The word in the database and the API.
    pub fn word(self) -> &'static str {
        match self {
            Verification::Off => "off",
            Verification::Mark => "mark",
            Verification::Refuse(Attestation::Gateway) => "refuse",
            Verification::Refuse(Attestation::Partial) => "refuse_below_b",
            Verification::Refuse(Attestation::Full) => "refuse_below_a",
        }
    }

    /// The one with this word.
    pub fn from_word(word: &str) -> Option<Verification> {
        Verification::ALL.into_iter().find(|verification| verification.word() == word)
    }
}

/// What a callee is told of the caller's number: `verstat` (3GPP TS 24.229 section 7.2A.20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verstat {
    /// Signed by somebody who vouches for the number: attestation A.
    Passed,
    /// Signed, and it is not true.
    Failed,
    /// Nobody whom we could ask vouches for the number.
    NotValidated,
}

impl Verstat {
    /// What verification has found. B and C say who sent the call, not that the number is the caller's.
    pub(crate) fn of(outcome: Result<Attestation, IdentityFault>) -> Verstat {
        match outcome {
            Ok(Attestation::Full) => Verstat::Passed,
            Ok(Attestation::Partial | Attestation::Gateway) => Verstat::NotValidated,
            Err(fault) if fault.is_unknown() => Verstat::NotValidated,
            Err(_) => Verstat::Failed,
        }
    }

    /// As it stands in a URI.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verstat::Passed => "TN-Validation-Passed",
            Verstat::Failed => "TN-Validation-Failed",
            Verstat::NotValidated => "No-TN-Validation",
        }
    }
}

/// What a trunk wants of signed callers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StirPolicy {
    /// Calls that we send it carry an Identity header.
    pub signs: bool,
    /// Of the calls that it sends us.
    pub verification: Verification,
}

/// An Identity header that a call came with and that was not found to be false, with the numbers that it
/// came with. It goes on as it is while the call has these (RFC 8224 section 4.1: whoever passes a call on
/// leaves it alone).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PassingIdentity {
    pub(crate) value: Bytes,
    pub(crate) caller: Number,
    pub(crate) called: Number,
    /// If it was found to be valid.
    pub(crate) attestation: Option<Attestation>,
}

#[cfg(test)]
mod tests {
    use vocabulary::{SubscriberId, TrunkId};

    use super::*;
    use crate::support::{CUSTOMER_ACCOUNT, CUSTOMER_TRUNK, Rows, number};

    #[track_caller]
    fn check(source: Option<Source>, cli: &str, is_sent_on: bool, expected: Attestation) {
        let mut rows = Rows::default();
        let stored = vec![number("4989100")].into_boxed_slice();
        rows.account(CUSTOMER_ACCOUNT).caller_id.stored = stored;
        rows.trunk(CUSTOMER_TRUNK.0).role = TrunkRole::Customer;
        let directory = rows.build();
        let found = attestation(&directory, source, &number(cli), is_sent_on);
        assert_eq!(found, expected, "{source:?} with {cli}");
    }

    /// S5: A by ownership of the number, B for customers, C for what comes from elsewhere.
    #[test]
    fn attestation_goes_by_whose_the_number_is() {
        use Attestation::{Full, Gateway, Partial};
        let customer = Some(Source::Trunk(CUSTOMER_TRUNK));
        let bob = Some(Source::Subscriber(SubscriberId(21)));
        check(customer, "4989100", false, Full);
        check(customer, "4989101", false, Partial);
        check(bob, "4930555", false, Full);
        check(bob, "4989100", false, Partial);
        // A forwarder's own number, and that of whoever called it.
        check(bob, "4930555", true, Full);
        check(bob, "4989100", true, Gateway);
        // A carrier's trunk is a peer.
        check(Some(Source::Trunk(TrunkId(1))), "4989100", false, Gateway);
        check(None, "4989100", false, Gateway);
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for one in Verification::ALL {
            assert_eq!(Verification::from_word(one.word()), Some(one));
        }
        for one in Attestation::ALL {
            assert_eq!(Attestation::from_letter(one.letter()), Some(one));
        }
        assert_eq!(Verification::from_word("maybe"), None);
    }
}
