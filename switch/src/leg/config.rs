//! What all legs of a shard have in common, and what is told to a new one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::auth::Credentials;
use sip::dialog::session_timer::SessionTimerPolicy;
use sip::endpoint::Listener;
use sip::transport::{Path, Transport};

use super::event::Body;
use crate::interworking::LegPolicy;
use crate::token::Tag;

/// Settings of legs, shared by all of a shard.
#[derive(Clone, Debug)]
pub struct LegConfig {
    /// Our Contact value, by listener number.
    contacts: Vec<Bytes>,
    /// The same as a `sips:` address, for dialogs that began with one (RFC 3261 section 8.1.1.8).
    secure_contacts: Vec<Bytes>,
    listeners: Vec<Listener>,
    /// Round-trip estimate (RFC 3261 section 17.1.1.1).
    pub t1: Duration,
    /// The longest interval between repetitions of a 2xx.
    pub t2: Duration,
    /// Seconds in the Retry-After of a 503 that says that we are going down.
    pub retry_after_secs: u32,
    /// What we want of session timers.
    pub session_timer: SessionTimerPolicy,
    /// A peer without a session timer that was silent for so long is asked whether it is there
    /// (S3); whole seconds. `None`: never.
    pub dialog_probe: Option<Duration>,
    /// Early media goes out in a reliable response if the caller supports that; callers that
    /// require it get it anyway (RFC 3262).
    pub is_early_media_reliable: bool,
    /// Further headers that pass between the legs, besides those of `passed_headers`.
    pub passed_headers: Vec<String>,
}

impl LegConfig {
    /// Default settings. Each listener is told by its number, its transport and the `host:port`
    /// under which peers reach it.
    pub fn new<'a>(listeners: impl IntoIterator<Item = (u16, Transport, &'a str)>) -> LegConfig {
        let (mut contacts, mut secure_contacts) = (Vec::new(), Vec::new());
        let mut known = Vec::new();
        for (number, transport, advertised) in listeners {
            known.push(Listener { id: number, transport, advertised: advertised.to_owned() });
            let index = usize::from(number);
            if contacts.len() <= index {
                contacts.resize(index + 1, Bytes::new());
                secure_contacts.resize(index + 1, Bytes::new());
            }
            secure_contacts[index] = format!("<sips:{advertised}>").into();
            contacts[index] = match transport {
                Transport::Udp => format!("<sip:{advertised}>"),
                other => format!("<sip:{advertised};transport={}>", other.uri_name()),
            }
            .into();
        }
        LegConfig {
            contacts,
            secure_contacts,
            listeners: known,
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            retry_after_secs: 5,
            session_timer: SessionTimerPolicy::default(),
            dialog_probe: None,
            is_early_media_reliable: true,
            passed_headers: Vec::new(),
        }
    }

    /// Where we listen, and so by what we can send.
    pub(super) fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Who we are to the peer of this path: `host:port`.
    pub(super) fn host(&self, path: Path) -> &str {
        let listener = self.listeners.iter().find(|listener| listener.id == path.listener);
        listener.map_or("", |listener| &listener.advertised)
    }

    /// The Contact that brings the peer of this path back to us. It names no call: the tags do.
    /// A `sips:` address that came by another way than TLS has passed something that speaks TLS for us.
    pub(super) fn contact(&self, path: Path, is_secure: bool) -> &[u8] {
        let contacts = if is_secure { &self.secure_contacts } else { &self.contacts };
        let contact = contacts.get(usize::from(path.listener));
        contact.expect("every path comes from a listener of the configuration")
    }
}

/// Who a new leg is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Our tag in its dialog; leads its messages back to it.
    pub tag: Tag,
    /// Leads its transactions back to it.
    pub user: u64,
    /// What its peer is spoken to by, if anything is special.
    pub policy: Option<Box<LegPolicy>>,
    /// Whether the peer may take the place of a party, so that it is told that we know `replaces`.
    pub may_replace: bool,
}

/// An INVITE to be placed.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Where it is sent.
    pub path: Path,
    /// The Request-URI.
    pub request_uri: Bytes,
    /// The value of From, without a tag.
    pub from: Bytes,
    /// The value of To.
    pub to: Bytes,
    /// The Call-ID; ours, never the one of another leg.
    pub call_id: Bytes,
    /// The value of a Route header (a Path or an outbound proxy).
    pub route: Option<Bytes>,
    /// Further header lines, each with its CRLF: identity, privacy, what passes.
    pub headers: Bytes,
    /// The offer; none asks the callee for one.
    pub body: Option<Body>,
    /// What a 401 or 407 is answered with.
    pub credentials: Option<Arc<Credentials>>,
    /// What is left of it after the hop that we are.
    pub max_forwards: u8,
    /// The callee is reached only where it registered from: its Contact is not to be believed.
    pub is_behind_nat: bool,
    /// It is reached by datagrams alone: it is told so, or there is a NAT before it.
    pub is_udp_only: bool,
    /// `Leg::does_100rel` of the caller. Without an offer in the INVITE, the callee may be reliable
    /// only if the caller can answer its early offer.
    pub caller_does_100rel: bool,
}
