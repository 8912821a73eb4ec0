//! A call to a `sips:` address leaves by TLS or not at all (RFC 3261 section 26.2.2, RFC 5630; S8).

mod support;

use sip::message::HeaderName;
use sip::transport::{Path, Transport};
use support::*;
use switch::registrar::StoredBinding;
use vocabulary::TrunkId;

fn tls(remote: &str, connection: u32) -> Path {
    Path { transport: Transport::Tls, listener: 2, connection, remote: address(remote) }
}

/// The customer calls a `sips:` address by TLS.
fn call(w: &mut World, cld: &str) {
    let text = invite(CUSTOMER, "c1", cld, 1, "").replace("INVITE sip:", "INVITE sips:");
    w.receive_on(tls(CUSTOMER, 5), &text);
}

fn carriers_by(transports: [Option<Transport>; 3]) -> World {
    let mut rows = Rows::default();
    for (n, transport) in (1..).zip(transports) {
        rows.trunk(n).transport = transport;
    }
    World::with(rows)
}

#[test]
fn only_trunks_that_take_tls_are_candidates() {
    let mut w = carriers_by([Some(Transport::Udp), Some(Transport::Tls), Some(Transport::Tcp)]);
    call(&mut w, "4930123456");
    let trunks: Vec<TrunkId> = {
        let request = w.asked();
        w.effects.push_front(switch::Effect::Authorize(request.clone()));
        request.candidates.iter().map(|candidate| candidate.trunk).collect()
    };
    assert_eq!(trunks, [TrunkId(2)]);
    w.grant(60, false);
    let there = tls("10.1.0.2:5061", 0);
    let invite = w.expect_on(there, "INVITE sips:4930123456@10.1.0.2 SIP/2.0");
    assert_eq!(header(&invite, HeaderName::To), "<sips:4930123456@10.1.0.2>");
    // RFC 3261 section 8.1.1.8: what leads back to us must be secure too.
    assert_eq!(header(&invite, HeaderName::Contact), "<sips:192.0.2.1:5061>");
    w.receive_on(there, &response("10.1.0.2:5061", &invite, "200 OK", "", SDP));
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    assert_eq!(header(&answer, HeaderName::Contact), "<sips:192.0.2.1:5061>");
    w.receive_on(tls(CUSTOMER, 5), &ack(CUSTOMER, "c1", &answer));
    // The carrier's Contact says `sip:`: what follows stays on TLS all the same.
    w.expect_on(there, "ACK");
    w.receive_on(tls(CUSTOMER, 5), &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    let bye = w.expect_on(there, "BYE");
    w.receive_on(there, &response("10.1.0.2:5061", &bye, "200 OK", "", ""));
    let skipped = codes(&w.settlement());
    assert_eq!(skipped.iter().filter(|code| **code == "trunk_skipped_insecure").count(), 2);
    w.check_empty();
}

/// A trunk that leaves the transport to RFC 3263 is asked for TLS.
#[test]
fn a_trunk_without_a_transport_is_called_by_tls() {
    let mut w = carriers_by([None, Some(Transport::Udp), Some(Transport::Udp)]);
    call(&mut w, "4930123456");
    w.grant(60, false);
    w.expect_on(tls("10.1.0.1:5061", 0), "INVITE sips:");
}

#[test]
fn a_call_that_would_leave_in_the_clear_is_refused() {
    let mut w = carriers_by([Some(Transport::Udp), Some(Transport::Tcp), Some(Transport::Udp)]);
    call(&mut w, "4930123456");
    w.expect_soon(CUSTOMER, "SIP/2.0 480");
    let settled = w.settlement();
    assert!(codes(&settled).contains(&"no_secure_trunk"));
    w.check_empty();
}

/// Bob's phones, by UDP and by TLS.
fn bob_at(w: &mut World, by: &[(Transport, &str)]) {
    let binding = |(transport, remote): &(Transport, &str)| StoredBinding {
        uri: format!("sip:bob@{remote};transport={}", transport.uri_name()),
        path: Vec::new(),
        q: 1000,
        expires_at: w.now.utc.plus(std::time::Duration::from_secs(86_400)),
        call_id: format!("reg-{remote}"),
        cseq: 1,
        transport: *transport,
        listener: if *transport == Transport::Tls { 2 } else { 0 },
        remote: address(remote),
        is_behind_nat: false,
    };
    w.shared.bindings.restore(BOB, by.iter().map(binding).collect());
}

#[test]
fn only_phones_that_registered_by_tls_ring() {
    let mut w = World::new();
    bob_at(&mut w, &[(Transport::Udp, PHONES[0]), (Transport::Tls, PHONES[1])]);
    call(&mut w, "4930555");
    w.grant(60, false);
    w.expect_on(tls(PHONES[1], 0), "INVITE sip:bob@");
    w.expect_nothing(PHONES[0]);
}

#[test]
fn a_phone_that_registered_in_the_clear_is_not_called() {
    let mut w = World::new();
    bob_at(&mut w, &[(Transport::Udp, PHONES[0])]);
    call(&mut w, "4930555");
    w.expect_soon(CUSTOMER, "SIP/2.0 480");
    let settled = w.settlement();
    assert!(codes(&settled).contains(&"no_secure_contact"));
    w.check_empty();
}

/// The operator sees why nothing went there, in words that say what to do.
#[test]
fn a_refused_certificate_is_told() {
    let mut w = carriers_by([Some(Transport::Tls), Some(Transport::Udp), Some(Transport::Udp)]);
    w.call("4930123456");
    w.grant(60, false);
    w.expect_on(tls("10.1.0.1:5061", 0), "INVITE");
    let why = "it is not for 10.1.0.1: give the trunk the host name that its certificate names";
    w.shared.tls_peers.refused(address("10.1.0.1:5061"), why);
    w.lose(tls("10.1.0.1:5061", 1));
    w.expect_soon(CARRIERS[1], "INVITE");
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", "4930123456", 1));
    let settled = w.settlement();
    let line = settled.facts.decisions.iter().find(|line| line.code == "certificate_refused");
    let expected = format!("The certificate of the peer of leg 1 was refused: {why}.");
    assert_eq!(line.map(|line| &*line.sentence), Some(&*expected));
}
