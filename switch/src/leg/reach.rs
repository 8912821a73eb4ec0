//! How a leg's messages reach the peer, and what every message of ours says about us.

use std::net::{IpAddr, SocketAddr};

use sip::dialog::{Dialog, Identity};
use sip::endpoint::{Endpoint, ServerTx};
use sip::message::uri::Uri;
use sip::message::{HeaderName, Message, Method, RequestDraft, ResponseDraft};
use sip::transport::{Path, Transport};
use vocabulary::Now;

use super::Leg;
use crate::interworking::Reliability;

/// The methods that a leg takes.
pub(super) const ALLOW: &[u8] = b"INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, INFO, OPTIONS, REFER";

/// What a leg can be required to know.
pub(crate) const EXTENSIONS: [&[u8]; 3] = [b"100rel", b"replaces", b"timer"];

/// The extensions that a leg knows as the one who is asked: with a peer with whom something is reliable
/// before the answer, and with one who may take the place of a party.
pub(super) fn supported(does_100rel: bool, may_replace: bool) -> &'static [u8] {
    match (does_100rel, may_replace) {
        (true, true) => b"100rel, replaces, timer",
        (true, false) => b"100rel, timer",
        (false, true) => b"replaces, timer",
        (false, false) => b"timer",
    }
}

/// What a request requires beyond `known` (RFC 3261 section 8.2.2.3), as the value of an
/// Unsupported header. Proxy-Require is not looked at: no request is proxied here.
pub(crate) fn unknown_extensions(request: &Message, known: &[&[u8]]) -> Option<Vec<u8>> {
    let required = request.tokens(HeaderName::Require);
    let is_unknown = |option: &&[u8]| !known.iter().any(|known| option.eq_ignore_ascii_case(known));
    let unknown: Vec<&[u8]> = required.filter(is_unknown).collect();
    (!unknown.is_empty()).then(|| unknown.join(&b", "[..]))
}

/// Whether the peer's Via names another address than it sends from: then there is a NAT between
/// us, and what it says about its addresses is of no use.
pub(super) fn is_behind_nat(request: &Message, path: Path) -> bool {
    let via = request.top_via();
    let claimed = via.and_then(|via| via.host_ip());
    claimed.is_some_and(|ip| ip.to_canonical() != path.remote.ip().to_canonical())
}

/// Whether this is a `sips:` address.
pub(super) fn is_secure(uri: &[u8]) -> bool {
    Uri::parse(uri).is_some_and(|uri| uri.is_secure())
}

/// The path to `next_hop` for a dialog that no leg keeps, starting from the path that is known to
/// work: only an address reached by datagrams is followed.
fn follow(known: Path, next_hop: &[u8]) -> Path {
    let Some(uri) = Uri::parse(next_hop) else { return known };
    let is_udp = uri.transport().is_none_or(|name| name.eq_ignore_ascii_case(b"udp"));
    match uri.host_ip() {
        Some(ip) if is_udp && !uri.is_secure() && is_same_family(ip, known.remote.ip()) => {
            let port = uri.port().unwrap_or(Transport::Udp.default_port());
            Path { remote: SocketAddr::new(ip, port), ..known }
        }
        _ => known,
    }
}

fn is_same_family(left: IpAddr, right: IpAddr) -> bool {
    left.is_ipv4() == right.is_ipv4()
}

impl Leg {
    /// Whether provisional responses to and from this peer are reliable.
    pub(super) fn reliability(&self) -> Reliability {
        self.policy.as_ref().map_or(Reliability::default(), |policy| policy.reliability)
    }

    /// What this peer may require.
    pub(super) fn extensions(&self) -> &'static [&'static [u8]] {
        match (self.reliability(), self.peer.may_replace) {
            (Reliability::Off, true) => &[b"replaces", b"timer"],
            (Reliability::Off, false) => &[b"timer"],
            (Reliability::Supported | Reliability::Required, true) => &EXTENSIONS,
            (Reliability::Supported | Reliability::Required, false) => &[b"100rel", b"timer"],
        }
    }

    /// The same, as it is told.
    pub(super) fn supported(&self) -> &'static [u8] {
        supported(self.reliability() != Reliability::Off, self.peer.may_replace)
    }

    /// What a request that forms or refreshes a dialog says about us.
    pub(super) fn introduce(&self, draft: RequestDraft, path: Path) -> RequestDraft {
        draft
            .header(HeaderName::Contact, self.config.contact(path, self.peer.is_secure))
            .header(HeaderName::Allow, ALLOW)
    }

    /// The same for a response.
    pub(super) fn introduce_in(&self, draft: ResponseDraft) -> ResponseDraft {
        draft
            .header(HeaderName::Contact, self.config.contact(self.path, self.peer.is_secure))
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Supported, self.supported())
    }
}

/// Answers a request within a dialog that does not exist (any more): 481.
pub fn refuse(now: Now, endpoint: &mut Endpoint, tx: ServerTx, request: &Message) {
    endpoint.respond(now.monotonic, tx, ResponseDraft::to(request, 481, ""));
}

/// Ends what a 2xx to an INVITE of ours began after its leg was gone: ACK and BYE (RFC 3261
/// section 13.2.2.4: a dialog that is not wanted). `user` should lead to no leg.
pub fn refuse_stray_answer(
    now: Now,
    endpoint: &mut Endpoint,
    response: &Message,
    path: Path,
    user: u64,
) {
    let (cseq, method) = response.cseq();
    if method != Method::Invite || !(200..300).contains(&response.status()) {
        return;
    }
    let identity = Identity {
        call_id: response.call_id(),
        from: response.header(HeaderName::From).unwrap_or_default(),
        cseq,
        target: b"",
    };
    end_answered(now.monotonic, endpoint, identity, response, path, user);
}

/// ACK and BYE in the dialog that `response` makes.
pub(super) fn end_answered(
    now: std::time::Duration,
    endpoint: &mut Endpoint,
    identity: Identity<'_>,
    response: &Message,
    path: Path,
    user: u64,
) {
    let cseq = identity.cseq;
    let Ok(mut dialog) = Dialog::from_response(identity, response) else { return };
    if dialog.remote_target().is_empty() {
        return;
    }
    let path = if path.transport.is_reliable() { path } else { follow(path, dialog.next_hop()) };
    endpoint.send_stateless(path, dialog.ack(cseq));
    endpoint.send_request(now, path, dialog.request(Method::Bye), user);
}

/// The ACK of a repeated 2xx from a branch that was ended already.
pub(super) fn acknowledge_only(
    endpoint: &mut Endpoint,
    identity: Identity<'_>,
    response: &Message,
    path: Path,
) {
    let cseq = identity.cseq;
    let Ok(dialog) = Dialog::from_response(identity, response) else { return };
    let path = if path.transport.is_reliable() { path } else { follow(path, dialog.next_hop()) };
    endpoint.send_stateless(path, dialog.ack(cseq));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(next_hop: &str, expected: &str) {
        let remote = "192.0.2.1:5080".parse().unwrap();
        let known = Path { transport: Transport::Udp, listener: 0, connection: 0, remote };
        assert_eq!(follow(known, next_hop.as_bytes()).remote.to_string(), expected);
    }

    #[test]
    fn addresses_are_followed_and_names_are_not() {
        check("sip:a@192.0.2.9:5090", "192.0.2.9:5090");
        check("sip:192.0.2.9;lr", "192.0.2.9:5060");
        check("sip:a@carrier.example", "192.0.2.1:5080");
        check("sip:a@192.0.2.9;transport=tcp", "192.0.2.1:5080");
        check("sips:a@192.0.2.9", "192.0.2.1:5080");
        check("sip:a@[2001:db8::1]", "192.0.2.1:5080");
        check("tel:+4930", "192.0.2.1:5080");
    }
}
