//! Who calls, as the INVITE says it: From, and what outranks it from those whom we believe
//! (RFC 3325 P-Asserted-Identity, Remote-Party-ID of draft-ietf-sip-privacy-04) or may be chosen by
//! those whom we do not (RFC 3325 P-Preferred-Identity).

use sip::message::header::NameAddr;
use sip::message::{HeaderName, Message};
use vocabulary::{AccountId, Number, SubscriberId};

use super::diversion::Diversions;
use crate::decision::Decision;
use crate::directory::{Directory, TrunkRow};
use crate::ingress::user_of;
use crate::numbers;
use crate::routing::Source;

/// What is known of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The display name, quotes and escapes as received; empty if there is none.
    pub(crate) display: Box<[u8]>,
    /// The user part of From: what a caller without a number is called.
    pub(crate) user: Box<str>,
    /// The number after the number plan.
    pub(crate) number: Option<Number>,
    /// Whether the caller wants to stay unknown (RFC 3323).
    pub(crate) is_withheld: bool,
    /// Who has diverted the call, as a trusted peer tells it.
    pub(crate) diversions: Diversions,
}

impl Identity {
    /// `account` pays, and owns what it may choose from. Numbers are read by the rules and the plan
    /// of the caller's side.
    pub(crate) fn of(
        directory: &Directory,
        source: Source,
        account: AccountId,
        message: &Message,
        decisions: &mut Vec<Decision>,
    ) -> Identity {
        let mut read = |sent: &str| numbers::calling(directory, source, account, sent, decisions);
        let (is_trusted, own) = match source {
            Source::Trunk(id) => (directory.trunk(id).is_some_and(|trunk| trunk.is_trusted), None),
            Source::Subscriber(id) => (false, directory.subscriber(id).and_then(|row| row.number)),
        };
        let from = message.from();
        let user = user_of(from.uri());
        let is_anonymous = user.eq_ignore_ascii_case("anonymous");
        let said = if is_trusted {
            asserted(&mut read, message)
        } else {
            preferred(&mut read, message).filter(|said| directory.owns(account, &said.number))
        };
        let privacy = Privacy::of(message);
        let hides = said.as_ref().is_some_and(|said| said.hides);
        // Whoever asks for no privacy, and is vouched for, is hidden by a mere name in From no more.
        let is_unhidden = privacy == Privacy::None && said.is_some();
        let display = said.as_ref().map_or(&b""[..], |said| said.display);
        let of_from = if is_anonymous { &b""[..] } else { from.display() };
        Identity {
            display: if display.is_empty() { of_from } else { display }.into(),
            number: said.map(|said| said.number).or_else(|| read(&user)).or(own),
            user,
            is_withheld: privacy == Privacy::Hide || hides || is_anonymous && !is_unhidden,
            diversions: if is_trusted { Diversions::of(message) } else { Diversions::default() },
        }
    }
}

/// The subscriber whose call a gateway sends (P-601): whom P-Asserted-Identity names or, without
/// one, From. Or else the name, which is no subscriber's.
pub(crate) fn named_subscriber(
    directory: &Directory,
    gateway: &TrunkRow,
    message: &Message,
) -> Result<SubscriberId, Box<str>> {
    let asserted = message.name_addrs(HeaderName::PAssertedIdentity).map(|address| address.uri());
    let mut names: Vec<Box<str>> = asserted.map(user_of).collect();
    if names.is_empty() {
        names.push(user_of(message.from().uri()));
    }
    let subscriber = |name: &str| {
        let number = || gateway.ingress_plan.ingress_cli(name);
        let row = directory.subscriber_by_username(name);
        row.or_else(|| directory.subscriber_by_number(&number()?)).map(|row| row.id)
    };
    names.iter().find_map(|name| subscriber(name)).ok_or_else(|| names.swap_remove(0))
}

/// What makes a number of what was sent.
type Reader<'a> = &'a mut dyn FnMut(&str) -> Option<Number>;

/// A number that a header other than From gives.
struct Said<'a> {
    display: &'a [u8],
    number: Number,
    hides: bool,
}

impl<'a> Said<'a> {
    fn of(read: Reader<'_>, address: NameAddr<'a>, hides: bool) -> Option<Said<'a>> {
        let number = read(&user_of(address.uri()))?;
        Some(Said { display: address.display(), number, hides })
    }
}

/// Asserted by a peer that we believe.
fn asserted<'a>(read: Reader<'_>, message: &'a Message) -> Option<Said<'a>> {
    let mut asserted = message.name_addrs(HeaderName::PAssertedIdentity);
    let mut remote = message.name_addrs(HeaderName::RemotePartyId).filter(|address| {
        let party = address.params().get(b"party");
        party.is_none_or(|party| party.eq_ignore_ascii_case(b"calling"))
    });
    asserted.find_map(|address| Said::of(read, address, false)).or_else(|| {
        remote.find_map(|address| {
            let privacy = address.params().get_unquoted(b"privacy").unwrap_or_default();
            let hides =
                [&b"full"[..], b"uri"].iter().any(|word| privacy.eq_ignore_ascii_case(word));
            Said::of(read, address, hides)
        })
    })
}

/// Chosen by one that we do not believe: it may choose among its own (RFC 3325 section 6).
fn preferred<'a>(read: Reader<'_>, message: &'a Message) -> Option<Said<'a>> {
    let mut preferred = message.name_addrs(HeaderName::PPreferredIdentity);
    preferred.find_map(|address| Said::of(read, address, false))
}

/// What the caller asks for in Privacy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Privacy {
    Unsaid,
    /// Shown whatever From looks like.
    None,
    /// `id`, `user` or `header`: we are a back-to-back user agent, so each of them is had by not
    /// showing who calls.
    Hide,
}

impl Privacy {
    fn of(message: &Message) -> Privacy {
        let mut privacy = Privacy::Unsaid;
        for value in message.headers(HeaderName::Privacy) {
            for word in value.split(|b| *b == b';').map(<[u8]>::trim_ascii) {
                let is = |wanted: &[u8]| word.eq_ignore_ascii_case(wanted);
                if is(b"id") || is(b"user") || is(b"header") {
                    return Privacy::Hide;
                }
                if is(b"none") {
                    privacy = Privacy::None;
                }
            }
        }
        privacy
    }
}
