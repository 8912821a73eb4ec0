//! Who calls, from the INVITE that came to the INVITE that leaves: RFC 3323, RFC 3325 and
//! Remote-Party-ID, by the trust in either trunk.

mod support;

use sip::message::{HeaderName, Message};
use support::*;
use switch::caller_id::{DiversionHeaders, IdentityHeader, TrunkCallerId};

const IDENTITY: [HeaderName<'static>; 3] =
    [HeaderName::PAssertedIdentity, HeaderName::PPreferredIdentity, HeaderName::RemotePartyId];
const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// The INVITE at the carrier. The customer's DID is 4989111; its From says Caller, 4989777.
fn sent(
    trusts: (bool, bool),
    caller_id: TrunkCallerId,
    from: Option<&str>,
    lines: &str,
) -> Message {
    let mut rows = Rows::default();
    rows.trunk(10).is_trusted = trusts.0;
    rows.trunk(1).is_trusted = trusts.1;
    rows.trunk(1).caller_id = caller_id;
    let phone = subscriber(30, "desk", secret("desk", "secret"));
    let account = CUSTOMER_ACCOUNT;
    rows.subscribers.push(switch::directory::SubscriberRow { account, ..phone });
    rows.numbers.push((number("4989111"), vocabulary::SubscriberId(30)));
    let mut w = World::with(rows);
    let mut text = invite(CUSTOMER, "c1", "4930123456", 1, lines);
    if let Some(from) = from {
        text = text.replace("\"Caller\" <sip:4989777@10.0.0.1:5060>", from);
    }
    w.receive(CUSTOMER, &text);
    w.grant(60, false);
    w.expect(CARRIERS[0], "INVITE")
}

fn told(identity: IdentityHeader) -> TrunkCallerId {
    TrunkCallerId { identity, ..TrunkCallerId::default() }
}

/// What came (the trust in the sender, From, further lines) and the From and Privacy that leave.
#[track_caller]
fn check(is_trusted: bool, from: Option<&str>, lines: &str, shown: &str, privacy: &str) {
    let invite = sent((is_trusted, false), TrunkCallerId::default(), from, lines);
    let found = header(&invite, HeaderName::From);
    assert!(found.starts_with(&format!("{shown};tag=")), "{found}, not {shown}");
    assert_eq!(header(&invite, HeaderName::Privacy), privacy);
    for name in IDENTITY {
        assert_eq!(header(&invite, name), "", "told to a trunk that is not trusted");
    }
}

#[test]
fn who_is_believed_says_who_calls() {
    let as_in_from = "\"Caller\" <sip:4989777@example.net>";
    check(true, None, "", as_in_from, "");
    // P-Asserted-Identity, with its name if it has one.
    let asserted = "P-Asserted-Identity: \"Ann\" <sip:+4940111@10.0.0.1>\n";
    check(true, None, asserted, "\"Ann\" <sip:4940111@example.net>", "");
    check(false, None, asserted, as_in_from, "");
    // Remote-Party-ID: only the caller's, and after P-Asserted-Identity.
    let remote = "Remote-Party-ID: <sip:4940222@10.0.0.1>;party=calling;privacy=off\n";
    check(true, None, remote, "\"Caller\" <sip:4940222@example.net>", "");
    check(false, None, remote, as_in_from, "");
    let both = format!("{remote}{asserted}");
    check(true, None, &both, "\"Ann\" <sip:4940111@example.net>", "");
    let called = "Remote-Party-ID: <sip:4940222@10.0.0.1>;party=called\n";
    check(true, None, called, as_in_from, "");
}

#[test]
fn who_is_not_believed_may_choose_among_its_own() {
    let own = "P-Preferred-Identity: <sip:+4989111@10.0.0.1>\n";
    check(false, None, own, "\"Caller\" <sip:4989111@example.net>", "");
    let foreign = "P-Preferred-Identity: <sip:+4989222@10.0.0.1>\n";
    check(false, None, foreign, "\"Caller\" <sip:4989777@example.net>", "");
}

#[test]
fn privacy_hides_the_caller() {
    for lines in
        ["Privacy: id\n", "Privacy: user\n", "Privacy: header;session\n", "Privacy: none;id\n"]
    {
        check(true, None, lines, ANONYMOUS, "id");
        check(false, None, lines, ANONYMOUS, "id");
    }
    check(false, None, "Privacy: session\n", "\"Caller\" <sip:4989777@example.net>", "");
    check(false, Some(ANONYMOUS), "", ANONYMOUS, "id");
    check(false, Some(ANONYMOUS), "Privacy: none\n", ANONYMOUS, "id");
    let full = "Remote-Party-ID: <sip:4940222@10.0.0.1>;privacy=full\n";
    check(true, None, full, ANONYMOUS, "id");
    // Vouched for, and asked not to be hidden.
    let shown = "P-Asserted-Identity: <sip:4940111@10.0.0.1>\nPrivacy: none\n";
    check(true, Some(ANONYMOUS), shown, "<sip:4940111@example.net>", "");
    check(false, Some(ANONYMOUS), shown, ANONYMOUS, "id");
}

#[test]
fn a_trusted_trunk_is_told_in_the_header_it_wants() {
    use IdentityHeader::{Asserted, None as Nothing, Preferred, RemoteParty};
    let open = "\"Caller\" <sip:4989777@example.net>";
    let of_remote = |privacy| format!("{open};party=calling;screen=yes;privacy={privacy}");
    for (identity, values) in [
        (Asserted, [open.to_owned(), String::new(), String::new()]),
        (Preferred, [String::new(), open.to_owned(), String::new()]),
        (RemoteParty, [String::new(), String::new(), of_remote("off")]),
        (Nothing, [const { String::new() }; 3]),
    ] {
        let invite = sent((false, true), told(identity), None, "");
        assert_eq!(IDENTITY.map(|name| header(&invite, name)), values);
        let hidden = sent((false, true), told(identity), None, "Privacy: id\n");
        let values = values.map(|value| value.replace("privacy=off", "privacy=full"));
        assert_eq!(IDENTITY.map(|name| header(&hidden, name)), values);
        assert!(header(&hidden, HeaderName::From).starts_with(ANONYMOUS));
        assert_eq!(header(&hidden, HeaderName::Privacy), "id");
    }
}

/// RFC 5806, RFC 7044: between trusted trunks, unless it is not wanted there.
#[test]
fn diversions_pass_between_trusted_trunks() {
    let lines = "Diversion: <sip:4930555@a.example>;reason=no-answer;counter=2\n\
                 History-Info: <sip:4930555@a.example>;index=1, <sip:4930556@a.example>;index=1.1\n";
    for (trusts, diversions, passes) in [
        ((true, true), DiversionHeaders::Both, [true, true]),
        ((true, true), DiversionHeaders::Diversion, [true, false]),
        ((true, true), DiversionHeaders::HistoryInfo, [false, true]),
        ((true, true), DiversionHeaders::None, [false, false]),
        ((true, false), DiversionHeaders::Both, [false, false]),
        ((false, true), DiversionHeaders::Both, [false, false]),
    ] {
        let wanted = TrunkCallerId { diversions, ..TrunkCallerId::default() };
        let invite = sent(trusts, wanted, None, lines);
        let diversion = header(&invite, HeaderName::Diversion);
        let history = invite.headers(HeaderName::HistoryInfo).count();
        let expected = "<sip:4930555@a.example>;reason=no-answer;counter=2";
        assert_eq!(diversion, if passes[0] { expected } else { "" }, "{trusts:?} {diversions:?}");
        assert_eq!(history, if passes[1] { 2 } else { 0 }, "{trusts:?} {diversions:?}");
    }
}

#[test]
fn names_are_sent_where_they_are_wanted() {
    let lines = "P-Asserted-Identity: \"Ann\" <sip:+4940111@10.0.0.1>\n";
    for (sends_names, address) in
        [(true, "\"Ann\" <sip:4940111@example.net>"), (false, "<sip:4940111@example.net>")]
    {
        let wanted = TrunkCallerId { sends_names, ..TrunkCallerId::default() };
        let invite = sent((true, true), wanted, None, lines);
        assert!(header(&invite, HeaderName::From).starts_with(&format!("{address};tag=")));
        assert_eq!(header(&invite, HeaderName::PAssertedIdentity), address);
    }
}
