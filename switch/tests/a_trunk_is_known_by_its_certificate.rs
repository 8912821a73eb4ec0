//! Mutual TLS: a trunk is known by a name in its certificate, alone or together with its address and its
//! digest (S1, RFC 5922).

mod support;

use sip::auth;
use sip::message::Method;
use sip::transport::{Path, Transport};
use support::*;
use switch::decision::Decision;
use vocabulary::TrunkId;

/// A connection from the customer's address, or another.
fn tls(remote: &str) -> Path {
    Path { transport: Transport::Tls, listener: 2, connection: 5, remote: address(remote) }
}

const ELSEWHERE: &str = "10.9.9.9:40000";

/// What a trunk needs, what a sender has, and what becomes of its call.
struct Case<'a> {
    needs_address: bool,
    needs_digest: bool,
    needs_certificate: bool,
    from: &'a str,
    shows: &'a [&'a str],
    expected: Result<&'a str, &'a str>,
}

#[track_caller]
fn check(case: &Case<'_>) {
    let mut rows = Rows::default();
    let trunk = &mut rows.trunk(CUSTOMER_TRUNK.0).ingress;
    if !case.needs_address {
        trunk.networks.clear();
    }
    if case.needs_digest {
        trunk.digest = Some(("customer".into(), secret("customer", "secret")));
    }
    if case.needs_certificate {
        trunk.certificate_names = vec!["customer.example".into(), "customer.test".into()];
    }
    let mut w = World::with(rows);
    let names = case.shows.iter().map(|name| (*name).into()).collect();
    w.shared.tls_peers.named(5, names);
    w.receive_on(tls(case.from), &invite(case.from, "c1", "4930123456", 1, ""));
    match case.expected {
        Ok("challenged") => {
            w.expect_soon(case.from, "SIP/2.0 407");
        }
        Ok(code) => {
            w.grant(60, false);
            w.receive_on(tls(case.from), &cancel(case.from, "c1", "4930123456", 1));
            let settled = w.settlement();
            assert_eq!(codes(&settled)[0], code);
            assert_eq!(settled.facts.legs[0].trunk, Some(CUSTOMER_TRUNK));
        }
        Err(code) => {
            w.expect_soon(case.from, "SIP/2.0 403");
            assert!(codes(&w.settlement()).contains(&code));
        }
    }
}

const NOTHING: Case<'_> = Case {
    needs_address: false,
    needs_digest: false,
    needs_certificate: false,
    from: CUSTOMER,
    shows: &[],
    expected: Ok("challenged"),
};

#[test]
fn what_a_trunk_needs_it_must_have() {
    let by_certificate = Ok("from_trunk_by_certificate");
    let own: &[&str] = &["other.example", "customer.test"];
    let certificate = Case { needs_certificate: true, ..NOTHING };
    check(&Case { from: ELSEWHERE, shows: own, expected: by_certificate, ..certificate });
    check(&Case { from: ELSEWHERE, shows: &["other.example"], ..certificate });
    check(&Case { from: ELSEWHERE, ..certificate });

    let both = Case { needs_address: true, ..certificate };
    check(&Case { shows: own, expected: by_certificate, ..both });
    check(&Case { from: ELSEWHERE, shows: own, expected: Err("wrong_address"), ..both });
    check(&Case { shows: &["other.example"], expected: Err("wrong_certificate"), ..both });
    check(&Case { expected: Err("wrong_certificate"), ..both });

    let all = Case { needs_digest: true, ..both };
    check(&Case { shows: own, ..all });
    check(&Case { from: ELSEWHERE, shows: own, expected: Err("wrong_address"), ..all });
    check(&Case { expected: Err("wrong_certificate"), ..all });

    // A certificate that nobody is known by changes nothing.
    let address = Case { needs_address: true, ..NOTHING };
    check(&Case { shows: own, expected: Ok("from_trunk"), ..address });
}

/// Two trunks behind one address are told apart by their certificates.
#[test]
fn a_certificate_goes_before_the_address() {
    let mut rows = Rows::default();
    rows.trunk(1).ingress.certificate_names = vec!["carrier.example".into()];
    let mut w = World::with(rows);
    w.shared.tls_peers.named(5, vec!["carrier.example".into()]);
    w.receive_on(tls(CUSTOMER), &invite(CUSTOMER, "c1", "4930123456", 1, ""));
    w.grant(60, false);
    w.receive_on(tls(CUSTOMER), &cancel(CUSTOMER, "c1", "4930123456", 1));
    let settled = w.settlement();
    assert_eq!(settled.facts.legs[0].trunk, Some(TrunkId(1)));
    let line = Decision::FromTrunkByCertificate(TrunkId(1), "carrier.example".into()).into_line();
    assert_eq!(settled.facts.decisions[0], line);
}

/// The right digest is not enough without the certificate.
#[test]
fn a_digest_without_its_certificate_is_refused() {
    let mut rows = Rows::default();
    let ingress = &mut rows.trunk(CUSTOMER_TRUNK.0).ingress;
    ingress.networks.clear();
    ingress.digest = Some(("customer".into(), secret("customer", "secret")));
    ingress.certificate_names = vec!["customer.example".into()];
    let mut w = World::with(rows);
    w.receive_on(tls(ELSEWHERE), &invite(ELSEWHERE, "c1", "4930123456", 1, ""));
    let challenge = w.expect_soon(ELSEWHERE, "SIP/2.0 407");
    w.receive_on(tls(ELSEWHERE), &ack(ELSEWHERE, "c1", &challenge));
    let ours = auth::Credentials::new("customer", "secret");
    let uri = b"sip:4930123456@192.0.2.1";
    let answer = auth::answer_challenge(&challenge, &ours, Method::Invite, uri, 7, false).unwrap();
    let answer = format!("{}: {}\n", answer.name, answer.value);
    w.receive_on(tls(ELSEWHERE), &invite(ELSEWHERE, "c1", "4930123456", 2, &answer));
    w.expect_soon(ELSEWHERE, "SIP/2.0 403");
    assert!(codes(&w.settlement()).contains(&"wrong_certificate"));
}
