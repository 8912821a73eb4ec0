//! How an INVITE of ours shows the caller: From to everybody, an identity header and the diversions
//! to trunks that are trusted.

use bytes::Bytes;
use vocabulary::SubscriberId;

use super::diversion::{DiversionHeaders, DiversionPath};
use crate::call::{Caller, escaped};
use crate::directory::{Directory, TrunkRow};
use crate::forwarding::DivertedBy;

/// In which header a trusted trunk wants to be told who calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentityHeader {
    /// P-Asserted-Identity (RFC 3325): among networks that believe each other.
    #[default]
    Asserted,
    /// P-Preferred-Identity (RFC 3325): we are its customer, and it asserts.
    Preferred,
    /// Remote-Party-ID (draft-ietf-sip-privacy-04): older equipment.
    RemoteParty,
    /// None; From alone.
    None,
}

impl IdentityHeader {
    /// All of them.
    pub const ALL: [IdentityHeader; 4] = [
        IdentityHeader::Asserted,
        IdentityHeader::Preferred,
        IdentityHeader::RemoteParty,
        IdentityHeader::None,
    ];

    /// The word in the database and the API.
    pub fn word(self) -> &'static str {
        match self {
            IdentityHeader::Asserted => "pai",
            IdentityHeader::Preferred => "ppi",
            IdentityHeader::RemoteParty => "rpid",
            IdentityHeader::None => "none",
        }
    }

    /// The header with this word.
    pub fn from_word(word: &str) -> Option<IdentityHeader> {
        IdentityHeader::ALL.into_iter().find(|header| header.word() == word)
    }
}

/// How callers are known from a trunk and shown to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrunkCallerId {
    /// Where it is told who calls, if it is trusted.
    pub identity: IdentityHeader,
    /// Where it is told who has diverted the call, if it is trusted.
    pub diversions: DiversionHeaders,
    /// Whether it is told the names of callers.
    pub sends_names: bool,
    /// It is a gateway that sends the calls of our subscribers, and says whose each one is (P-601).
    pub names_subscribers: bool,
}

impl Default for TrunkCallerId {
    fn default() -> TrunkCallerId {
        TrunkCallerId {
            identity: IdentityHeader::default(),
            diversions: DiversionHeaders::default(),
            sends_names: true,
            names_subscribers: false,
        }
    }
}

/// Whom an INVITE shows as the caller.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) caller: &'a Caller,
    /// The number as the peer wants it, or what stands for one.
    pub(crate) cli: &'a str,
    /// The host of From.
    pub(crate) domain: &'a str,
    /// The display name, quotes and escapes as received; empty for none.
    pub(crate) display: &'a [u8],
    /// Whether the callee may be told what was found of the number.
    tells_verstat: bool,
}

impl<'a> Shown<'a> {
    /// To a trunk.
    pub(crate) fn to_trunk(
        trunk: &TrunkRow,
        caller: &'a Caller,
        cli: &'a str,
        domain: &'a str,
    ) -> Shown<'a> {
        let display = if trunk.caller_id.sends_names { &*caller.display } else { &[] };
        Shown { caller, cli, domain, display, tells_verstat: trunk.is_trusted }
    }

    /// To a phone.
    pub(crate) fn to_contact(caller: &'a Caller, cli: &'a str, domain: &'a str) -> Shown<'a> {
        Shown { caller, cli, domain, display: &caller.display, tells_verstat: true }
    }

    /// From, and the caller as it appears in it (RFC 3323 section 4.1.1.3 for the unknown one).
    pub(crate) fn from(&self) -> (Bytes, Box<str>) {
        if self.caller.is_withheld {
            let anonymous = b"\"Anonymous\" <sip:anonymous@anonymous.invalid>";
            return (Bytes::from_static(anonymous), "anonymous".into());
        }
        (self.address().into(), self.cli.into())
    }

    /// The header lines about the caller for a phone, before those that pass: it is told by From
    /// alone, and who has transferred the call to it.
    pub(crate) fn lines_to_contact(&self, directory: &Directory) -> Bytes {
        let mut lines = Vec::new();
        let row = self.caller.referred_by().and_then(|id| directory.subscriber(id));
        if let Some(row) = row {
            let plan = &directory.settings().plan;
            let number = row.number.as_ref().map(|number| escaped(&plan.egress_cli(number)));
            self.referred_by_line(&mut lines, &number.unwrap_or_else(|| row.username.clone()));
        }
        self.with_privacy(lines)
    }

    /// Whose doing it is that the caller calls (RFC 3892). What the phone itself said is not believed.
    fn referred_by_line(&self, lines: &mut Vec<u8>, user: &str) {
        let line = format!("Referred-By: <sip:{user}@{}>\r\n", self.domain);
        lines.extend_from_slice(line.as_bytes());
    }

    /// The header lines about the caller for a trunk, before those that pass. `called` is whom the
    /// INVITE calls there, as user and host.
    pub(crate) fn lines_to_trunk(
        &self,
        directory: &Directory,
        trunk: &TrunkRow,
        called: (&str, &str),
    ) -> Bytes {
        let mut lines = Vec::new();
        if trunk.is_trusted {
            if self.caller.number.is_some() {
                self.identity_line(&mut lines, trunk.caller_id.identity);
            }
            let forwarder =
                |by: &DivertedBy| Some((user_at(directory, trunk, by.by.subscriber()?), by.why?));
            let forwarders: Vec<_> = self.caller.diverted_by.iter().filter_map(forwarder).collect();
            if let Some(id) = self.caller.referred_by() {
                self.referred_by_line(&mut lines, &user_at(directory, trunk, id));
            }
            let path = DiversionPath { forwarders: &forwarders, domain: self.domain, called };
            self.caller.diversions.write(&mut lines, trunk.caller_id.diversions, &path);
        }
        self.with_privacy(lines)
    }

    fn identity_line(&self, lines: &mut Vec<u8>, identity: IdentityHeader) {
        let (name, params): (&[u8], &[u8]) = match (identity, self.caller.is_withheld) {
            (IdentityHeader::Asserted, _) => (b"P-Asserted-Identity: ", b""),
            (IdentityHeader::Preferred, _) => (b"P-Preferred-Identity: ", b""),
            (IdentityHeader::RemoteParty, false) => {
                (b"Remote-Party-ID: ", b";party=calling;screen=yes;privacy=off")
            }
            (IdentityHeader::RemoteParty, true) => {
                (b"Remote-Party-ID: ", b";party=calling;screen=yes;privacy=full")
            }
            (IdentityHeader::None, _) => return,
        };
        for part in [name, &self.address(), params, b"\r\n"] {
            lines.extend_from_slice(part);
        }
    }

    fn address(&self) -> Vec<u8> {
        let Shown { cli, domain, display, .. } = *self;
        let mut text = Vec::with_capacity(display.len() + cli.len() + domain.len() + 16);
        if !display.is_empty() {
            text.extend_from_slice(display);
            text.push(b' ');
        }
        // A caller without a user part: an empty one before the @ is no URI.
        let at = if cli.is_empty() { "" } else { "@" };
        let (user, number) = (escaped(cli), self.caller.number);
        let verstat = self.caller.verstat.filter(|_| self.tells_verstat && number.is_some());
        // A parameter of the number: of a tel URI that is the user part (RFC 3261 section 19.1.6).
        text.extend_from_slice(
            match verstat {
                None => format!("<sip:{user}{at}{domain}>"),
                Some(found) => format!("<sip:{user};verstat={}@{domain};user=phone>", found.word()),
            }
            .as_bytes(),
        );
        text
    }

    fn with_privacy(&self, mut lines: Vec<u8>) -> Bytes {
        let headers = &self.caller.headers;
        if self.caller.is_withheld {
            lines.extend_from_slice(b"Privacy: id\r\n");
        }
        if lines.is_empty() {
            return headers.clone();
        }
        lines.extend_from_slice(headers);
        lines.into()
    }
}

/// A subscriber of ours as a trunk is told of it: its number, or its name if it has none.
fn user_at(directory: &Directory, trunk: &TrunkRow, id: SubscriberId) -> String {
    let Some(row) = directory.subscriber(id) else { return String::new() };
    match &row.number {
        Some(number) => escaped(&trunk.egress_plan.egress_cli(number)),
        None => row.username.clone(),
    }
}
