//! Senders who did not prove who they are.

use std::fmt;
use std::net::SocketAddr;

use vocabulary::TrunkId;

use crate::release::Cause;

/// Why a sender is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityRefusal {
    /// The answer to our challenge was wrong.
    WrongPassword(Box<str>),
    /// Nobody has this user name.
    UnknownUser(Box<str>),
    /// The credentials belong to another than the trunk that sent them.
    ForeignCredentials(TrunkId, Box<str>),
    /// A trunk with address and digest sent the digest from elsewhere.
    WrongAddress(TrunkId, SocketAddr),
    /// A trunk that is known by its certificate has shown none that names it.
    WrongCertificate(TrunkId),
    /// A gateway that sends our subscribers' calls names somebody else.
    NamesNobody(TrunkId, Box<str>),
}

impl IdentityRefusal {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            IdentityRefusal::WrongPassword(_) => "wrong_password",
            IdentityRefusal::UnknownUser(_) => "unknown_user",
            IdentityRefusal::ForeignCredentials(..) => "foreign_credentials",
            IdentityRefusal::WrongAddress(..) => "wrong_address",
            IdentityRefusal::WrongCertificate(_) => "wrong_certificate",
            IdentityRefusal::NamesNobody(..) => "gateway_names_nobody",
        }
    }

    pub(crate) fn cause(&self) -> Cause {
        Cause::Unauthenticated
    }
}

impl fmt::Display for IdentityRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityRefusal::WrongPassword(name) => write!(f, "The password of {name} was wrong."),
            IdentityRefusal::UnknownUser(name) => write!(f, "There is no user {name}."),
            IdentityRefusal::ForeignCredentials(id, name) => {
                write!(f, "Trunk {id} sent the credentials of {name}, which are not its own.")
            }
            IdentityRefusal::WrongAddress(id, from) => {
                write!(f, "Trunk {id} may not send from {from}.")
            }
            IdentityRefusal::WrongCertificate(id) => {
                write!(
                    f,
                    "Trunk {id} must show its TLS certificate, and has shown none that names it."
                )
            }
            IdentityRefusal::NamesNobody(id, name) => write!(
                f,
                "Trunk {id} sends the calls of subscribers and names \"{name}\", who is none."
            ),
        }
    }
}

#[cfg(test)]
pub(super) fn samples() -> Vec<IdentityRefusal> {
    vec![
        IdentityRefusal::WrongPassword("alice".into()),
        IdentityRefusal::UnknownUser("mallory".into()),
        IdentityRefusal::ForeignCredentials(TrunkId(2), "other".into()),
        IdentityRefusal::WrongAddress(TrunkId(2), ([192, 0, 2, 9], 5060).into()),
        IdentityRefusal::WrongCertificate(TrunkId(2)),
        IdentityRefusal::NamesNobody(TrunkId(2), "mallory".into()),
    ]
}
