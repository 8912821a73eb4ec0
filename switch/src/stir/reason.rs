//! What was found of signed callers, in words.

use std::fmt;

use vocabulary::TrunkId;

use super::Attestation;
use crate::release::Cause;

/// What is wrong with an Identity header (RFC 8224 section 6.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityFault {
    /// There is none that says who calls.
    Missing,
    /// It was signed too long before the call came, or after it.
    Stale,
    /// It does not say by one HTTPS URL where its certificate is.
    BadInfo,
    /// Its certificate cannot be fetched, or is none.
    CertificateAway,
    /// Nobody whom we trust vouches for its certificate, or not for this use or number, or not now.
    CertificateUntrusted,
    /// It is in the compact form, which leaves out what is signed; RFC 8588 section 6 wants the full one.
    Compact,
    /// It is no such token, or of a kind that we do not know.
    Malformed,
    /// Its signature is not that of its certificate.
    Signature,
    /// It is about other numbers than the call.
    OtherNumbers,
    /// It could not be verified in time.
    Unanswered,
}

impl IdentityFault {
    /// All of them.
    pub const ALL: [IdentityFault; 10] = [
        IdentityFault::Missing,
        IdentityFault::Stale,
        IdentityFault::BadInfo,
        IdentityFault::CertificateAway,
        IdentityFault::CertificateUntrusted,
        IdentityFault::Compact,
        IdentityFault::Malformed,
        IdentityFault::Signature,
        IdentityFault::OtherNumbers,
        IdentityFault::Unanswered,
    ];

    /// The status that RFC 8224 section 6.2.2 has for it.
    fn sip_status(self) -> u16 {
        match self {
            IdentityFault::Missing => 428,
            IdentityFault::Stale => 403,
            IdentityFault::BadInfo | IdentityFault::CertificateAway | IdentityFault::Unanswered => {
                436
            }
            IdentityFault::CertificateUntrusted => 437,
            IdentityFault::Compact
            | IdentityFault::Malformed
            | IdentityFault::Signature
            | IdentityFault::OtherNumbers => 438,
        }
    }

    /// Whether it may be true all the same: it could not be found out.
    pub(crate) fn is_unknown(self) -> bool {
        use IdentityFault::{CertificateAway, Missing, Unanswered};
        matches!(self, Missing | CertificateAway | Unanswered)
    }

    fn code(self) -> &'static str {
        match self {
            IdentityFault::Missing => "identity_missing",
            IdentityFault::Stale => "identity_stale",
            IdentityFault::BadInfo => "identity_info_wrong",
            IdentityFault::CertificateAway => "identity_certificate_away",
            IdentityFault::CertificateUntrusted => "identity_certificate_untrusted",
            IdentityFault::Compact => "identity_compact",
            IdentityFault::Malformed => "identity_malformed",
            IdentityFault::Signature => "identity_signature_wrong",
            IdentityFault::OtherNumbers => "identity_of_other_numbers",
            IdentityFault::Unanswered => "identity_not_verified",
        }
    }
}

impl fmt::Display for IdentityFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IdentityFault::Missing => "the call has no Identity header that says who calls",
            IdentityFault::Stale => {
                "its Identity header was not signed within a minute of the call"
            }
            IdentityFault::BadInfo => {
                "its Identity header does not say by one HTTPS URL where its certificate is"
            }
            IdentityFault::CertificateAway => {
                "the certificate of its Identity header cannot be fetched"
            }
            IdentityFault::CertificateUntrusted => {
                "nobody whom we trust vouches for the certificate of its Identity header, or not for this number"
            }
            IdentityFault::Compact => {
                "its Identity header is in the compact form, where shaken wants the full one"
            }
            IdentityFault::Malformed => "its Identity header is no shaken PASSporT with ES256",
            IdentityFault::Signature => {
                "the signature of its Identity header is not that of the certificate"
            }
            IdentityFault::OtherNumbers => {
                "its Identity header is about other numbers than those of the call"
            }
            IdentityFault::Unanswered => "its Identity header could not be verified in time",
        })
    }
}

/// What was found, or done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StirDecision {
    /// The Identity header is valid.
    Valid(Attestation),
    /// It is not, and the call goes on all the same.
    Invalid(IdentityFault),
    /// An INVITE to this trunk was signed by us.
    Signed(TrunkId, Attestation),
    /// An INVITE to this trunk has the Identity header that the call came with.
    Passed(TrunkId),
    /// There was no signature for an INVITE to this trunk.
    Unsigned(TrunkId),
    /// Nothing was signed for an INVITE to this trunk, because it may not know the caller's number or
    /// there is none.
    Nameless(TrunkId),
}

impl StirDecision {
    pub(crate) fn code(self) -> &'static str {
        match self {
            StirDecision::Valid(_) => "identity_valid",
            StirDecision::Invalid(IdentityFault::Missing) => "identity_missing",
            StirDecision::Invalid(_) => "identity_invalid",
            StirDecision::Signed(..) => "identity_signed",
            StirDecision::Passed(_) => "identity_passed",
            StirDecision::Unsigned(_) => "identity_unsigned",
            StirDecision::Nameless(_) => "identity_without_number",
        }
    }
}

impl fmt::Display for StirDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StirDecision::Valid(how) => {
                let letter = how.letter();
                write!(f, "The caller's Identity header is valid, with attestation {letter}.")
            }
            StirDecision::Invalid(fault) => write!(f, "The caller is not verified: {fault}."),
            StirDecision::Signed(trunk, how) => {
                let letter = how.letter();
                write!(f, "The call to trunk {trunk} was signed with attestation {letter}.")
            }
            StirDecision::Passed(trunk) => {
                write!(f, "The call to trunk {trunk} has the Identity header that it came with.")
            }
            StirDecision::Unsigned(trunk) => write!(
                f,
                "The call to trunk {trunk} was not signed: no key is configured or no signature came in time."
            ),
            StirDecision::Nameless(trunk) => write!(
                f,
                "The call to trunk {trunk} was not signed: there is no caller's number that it may know."
            ),
        }
    }
}

/// Why a trunk's policy refuses a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StirRefusal {
    /// The call that this trunk sends is not verified.
    Fault(TrunkId, IdentityFault),
    /// It is, with less than the trunk has to give.
    Weak(TrunkId, Attestation),
}

impl StirRefusal {
    pub(crate) fn code(self) -> &'static str {
        match self {
            // As distinct from the decision of a call that goes on.
            StirRefusal::Fault(_, IdentityFault::Missing) => "identity_required",
            StirRefusal::Fault(_, fault) => fault.code(),
            StirRefusal::Weak(..) => "identity_attestation_too_weak",
        }
    }

    pub(crate) fn cause(self) -> Cause {
        match self {
            StirRefusal::Fault(..) | StirRefusal::Weak(..) => Cause::Rejected,
        }
    }

    pub(crate) fn sip_status(self) -> u16 {
        match self {
            StirRefusal::Fault(_, fault) => fault.sip_status(),
            StirRefusal::Weak(..) => 403,
        }
    }
}

impl fmt::Display for StirRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StirRefusal::Fault(trunk, fault) => {
                write!(f, "Trunk {trunk} must send verified callers, and {fault}.")
            }
            StirRefusal::Weak(trunk, how) => write!(
                f,
                "Trunk {trunk} must send callers with more than attestation {}.",
                how.letter()
            ),
        }
    }
}

/// Every refusal, with its SIP status.
#[cfg(test)]
pub(crate) fn samples() -> Vec<(StirRefusal, u16)> {
    let faults = IdentityFault::ALL.map(|fault| StirRefusal::Fault(TrunkId(2), fault));
    let statuses = [428, 403, 436, 436, 437, 438, 438, 438, 438, 436];
    let weak = (StirRefusal::Weak(TrunkId(2), Attestation::Partial), 403);
    faults.into_iter().zip(statuses).chain([weak]).collect()
}
