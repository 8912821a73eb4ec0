//! The ways to a leg's peer (RFC 3261 sections 12.2.1.1 and 18.1.1, RFC 3263): the connection it
//! was last heard on, the next hop of the dialog, the address that the INVITE went to. A request
//! takes the first that has not failed; one that fails is sent again by the next.
//!
//! ```text
//! datagrams:    next hop ──▶ where the peer was heard ──▶ where the INVITE went
//! a connection: the connection ──▶ next hop ──▶ where the INVITE went ──▶ its phone's registration
//! ```
//!
//! A connection to another address than the next hop's comes after the next hop. A peer behind NAT
//! has no next hop: what it says about its addresses is of no use.

use std::net::SocketAddr;

use sip::dialog::Dialog;
use sip::endpoint::{ClientTx, Listener};
use sip::message::RequestDraft;
use sip::message::uri::{Scheme, Uri};
use sip::transport::{Path, Transport};

use super::{At, Leg};
use crate::effect::{HostToResolve, Target};

/// Addresses of one next hop that are tried.
const TARGETS_MAX: usize = 4;
/// Failed ways that are remembered; a leg has hardly more.
const FAILED_MAX: usize = 8;

/// What is known of the ways besides the path where the peer was last heard. Most legs need none of
/// it.
#[derive(Default)]
pub(super) struct Ways {
    named_hop: Option<NamedHop>,
    /// Where the INVITE went, or where the peer was before it moved.
    origin: Option<Path>,
    /// The connection by which the peer's phone is registered now.
    registered: Option<Path>,
    /// What failed since the peer was last heard there.
    failed: Vec<Path>,
}

/// A next hop whose host is a name (RFC 3263).
struct NamedHop {
    /// The URI that was asked for.
    uri: Box<[u8]>,
    /// Where it is, best first; empty until that is known, and if it is nowhere.
    paths: Vec<Path>,
}

/// The path to a target: by the wanted listener if it fits, else by the first that does.
pub(crate) fn path_to(listeners: &[Listener], target: Target, wanted: Option<u16>) -> Option<Path> {
    let fits = |listener: &&Listener| {
        listener.transport == target.transport
            && listener.advertised.starts_with('[') == target.addr.is_ipv6()
    };
    let listener = listeners
        .iter()
        .filter(|listener| Some(listener.id) == wanted)
        .find(fits)
        .or_else(|| listeners.iter().find(fits))?;
    Some(Path {
        transport: target.transport,
        listener: listener.id,
        connection: 0,
        remote: target.addr,
    })
}

/// The transport that a URI asks for; for `sips:` that is TLS whatever it says.
fn wanted_transport(uri: &Uri<'_>) -> Option<Transport> {
    if uri.is_secure() {
        return Some(Transport::Tls);
    }
    uri.transport().and_then(Transport::from_name)
}

/// Where a next hop that names an address is, if it does: one target, or two if it leaves the
/// transport open. A peer that is heard by TCP and leaves out `transport=tcp` most likely listens
/// there too; one that is heard by TLS gets nothing in the clear.
fn literal(uri: &Uri<'_>, heard_by: Transport) -> [Option<Target>; 2] {
    let maddr = uri.params().get(b"maddr");
    let maddr = maddr.and_then(|host| std::str::from_utf8(host).ok()?.parse().ok());
    let Some(ip) = maddr.or(uri.host_ip()) else { return [None, None] };
    if !matches!(uri.scheme(), Scheme::Sip | Scheme::Sips) {
        return [None, None];
    }
    let to = |transport: Transport| {
        let port = uri.port().unwrap_or(transport.default_port());
        Some(Target { transport, addr: SocketAddr::new(ip, port) })
    };
    match wanted_transport(uri) {
        Some(transport) => [to(transport), None],
        None if heard_by == Transport::Tcp => [to(Transport::Tcp), to(Transport::Udp)],
        None => [to(heard_by), None],
    }
}

/// The same way, but for the connection.
fn is_same_address(one: Path, other: Path) -> bool {
    one.transport == other.transport && one.remote == other.remote
}

impl Leg {
    /// Where the next request of this dialog goes.
    pub(super) fn request_path(&self) -> Path {
        self.next_way().unwrap_or(self.path)
    }

    fn next_way(&self) -> Option<Path> {
        let failed = self.ways.as_ref().map_or(&[][..], |ways| &ways.failed);
        let hops = self.hops();
        let named = self.named_paths();
        let is_there = |hop: Path| hop.remote.ip() == self.path.remote.ip();
        let all = || hops.iter().flatten().chain(named).copied();
        let is_flow_first =
            self.path.transport.is_reliable() && (all().next().is_none() || all().any(is_there));
        let flow = Some(self.path);
        let others = self.ways.as_ref().map_or([None; 2], |ways| [ways.origin, ways.registered]);
        let ways = flow.filter(|_| is_flow_first).into_iter();
        let mut ways = ways.chain(all()).chain(flow).chain(others.into_iter().flatten());
        ways.find(|way| !failed.contains(way))
    }

    /// Sends a request; one too long for a datagram by a stream if the peer may take that (RFC 3261
    /// section 18.1.1).
    pub(super) fn transmit_by_size(
        &self,
        at: &mut At<'_>,
        path: Path,
        draft: RequestDraft,
    ) -> ClientTx {
        let uri = self.next_hop().and_then(Uri::parse);
        let is_udp_only = self.peer.is_udp_only
            || self.peer.is_behind_nat
            || uri.is_some_and(|uri| wanted_transport(&uri) == Some(Transport::Udp));
        if path.transport == Transport::Udp && !is_udp_only {
            at.endpoint.send_request_by_size(at.now, path, draft, self.user)
        } else {
            at.endpoint.send_request(at.now, path, draft, self.user)
        }
    }

    /// A peer that was called at a `sips:` address and names another for what follows gets nothing in
    /// the clear.
    fn may_go_by(&self, transport: Transport) -> bool {
        !self.peer.is_secure || transport == Transport::Tls
    }

    /// The next hop, if it names an address.
    fn hops(&self) -> [Option<Path>; 2] {
        let Some(uri) = self.next_hop().and_then(Uri::parse) else { return [None; 2] };
        literal(&uri, self.path.transport).map(|target| {
            let target = target.filter(|target| self.may_go_by(target.transport))?;
            path_to(self.config.listeners(), target, Some(self.path.listener))
        })
    }

    /// The next hop, if it is a name and was found.
    fn named_paths(&self) -> &[Path] {
        let named = self.ways.as_ref().and_then(|ways| ways.named_hop.as_ref());
        let named = named.filter(|named| self.next_hop() == Some(&named.uri));
        named.map_or(&[], |named| &named.paths)
    }

    fn next_hop(&self) -> Option<&[u8]> {
        self.dialog.as_ref().filter(|_| !self.peer.is_behind_nat).map(Dialog::next_hop)
    }

    /// The next hop, if its host is a name that was not asked for yet: it is looked up as soon as it
    /// is known, so that it is there when a request goes out. Until then, and if it is nowhere,
    /// requests go where the peer is known to be.
    pub fn hop_to_resolve(&mut self) -> Option<HostToResolve> {
        let next_hop = self.next_hop()?;
        let is_asked = |ways: &Ways| ways.named_hop.as_ref().is_some_and(|n| *n.uri == *next_hop);
        if self.ways.as_deref().is_some_and(is_asked) {
            return None;
        }
        let uri = Uri::parse(next_hop)?;
        // Phones in browsers have a name that leads nowhere on purpose (RFC 7118 section 5).
        if literal(&uri, self.path.transport)[0].is_some() || uri.host().ends_with(b".invalid") {
            return None;
        }
        let mut host = HostToResolve::of(&uri)?;
        if self.path.transport.is_reliable() {
            host.transport = host.transport.or(Some(self.path.transport));
        }
        if self.peer.is_secure {
            (host.is_secure, host.transport) = (true, Some(Transport::Tls));
        }
        let named = NamedHop { uri: next_hop.into(), paths: Vec::new() };
        self.ways.get_or_insert_default().named_hop = Some(named);
        Some(host)
    }

    /// Where the next hop last asked for is, best first.
    pub fn hop_resolved(&mut self, targets: &[Target]) {
        let to =
            |target: &Target| path_to(self.config.listeners(), *target, Some(self.path.listener));
        let paths: Vec<Path> = targets.iter().filter_map(to).take(TARGETS_MAX).collect();
        if let Some(named) = self.ways.as_mut().and_then(|ways| ways.named_hop.as_mut()) {
            named.paths = paths;
        }
    }

    /// The peer's phone is registered by this connection now: the last way to it.
    pub fn registered_by(&mut self, flow: Path) {
        if flow != self.path {
            self.ways.get_or_insert_default().registered = Some(flow);
        }
    }

    /// The peer was heard there: requests go there too, and that way works again.
    pub(super) fn heard(&mut self, path: Path) {
        if let Some(ways) = &mut self.ways {
            ways.failed.retain(|failed| !is_same_address(*failed, path));
        }
        if self.path != path && (path.transport.is_reliable() || self.peer.is_behind_nat) {
            let old = std::mem::replace(&mut self.path, path);
            // A connection that the peer opened is of no use once it is closed.
            if old.connection == 0 {
                self.ways.get_or_insert_default().origin = Some(old);
            }
        }
    }

    /// A request could not be sent there, or got no response: whether there is another way. If not,
    /// the next request begins again with the first.
    pub(super) fn has_other_way(&mut self, failed: Path) -> bool {
        let ways = self.ways.get_or_insert_default();
        if !ways.failed.contains(&failed) {
            ways.failed.truncate(FAILED_MAX - 1);
            ways.failed.push(failed);
        }
        let has_other = self.next_way().is_some();
        if !has_other && let Some(ways) = &mut self.ways {
            ways.failed.clear();
        }
        has_other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(next_hop: &str, heard_by: Transport, expected: &str) {
        let found = Uri::parse(next_hop.as_bytes()).map(|uri| literal(&uri, heard_by));
        let targets = found.into_iter().flatten().flatten();
        let words = targets.map(|t| format!("{} {}", t.transport.uri_name(), t.addr));
        assert_eq!(words.collect::<Vec<_>>().join(", "), expected);
    }

    #[test]
    fn addresses_are_followed_by_the_transport_they_name() {
        use Transport::{Tcp, Tls, Udp};
        check("sip:a@192.0.2.9:5090", Udp, "udp 192.0.2.9:5090");
        check("sip:192.0.2.9;lr", Udp, "udp 192.0.2.9:5060");
        check("sip:a@192.0.2.9;transport=TCP", Udp, "tcp 192.0.2.9:5060");
        check("sip:a@192.0.2.9;transport=udp", Tcp, "udp 192.0.2.9:5060");
        check("sip:a@192.0.2.9:5070", Tcp, "tcp 192.0.2.9:5070, udp 192.0.2.9:5070");
        check("sip:a@192.0.2.9", Tls, "tls 192.0.2.9:5061");
        check("sips:a@192.0.2.9;transport=tcp", Tcp, "tls 192.0.2.9:5061");
        check("sip:a@[2001:db8::1]", Udp, "udp [2001:db8::1]:5060");
        check("sip:a@carrier.example;maddr=192.0.2.8", Udp, "udp 192.0.2.8:5060");
        check("sip:a@carrier.example", Udp, "");
        check("tel:+4930", Udp, "");
    }
}
