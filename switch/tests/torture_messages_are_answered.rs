//! Every message of RFC 4475 through a whole shard: what comes back to its sender, and that nothing
//! is left behind. How each is read: `sip/tests/torture.rs`, where the files are.
#![allow(clippy::unwrap_used)] // In what the tests call, too.

mod support;

use bytes::Bytes;
use sip::auth;
use sip::message::{HeaderName, Message, Method};
use support::*;
use switch::{Effect, Input};
use vocabulary::SubscriberId;

/// Callees of the messages, whose phone is Bob's first.
const CALLEES: [(u64, &str); 3] = [(30, "user"), (31, "UserB"), (32, "watson")];
const PHONE: &str = PHONES[0];

fn file(name: &str) -> Bytes {
    let path = format!("{}/../sip/tests/torture/{name}.dat", env!("CARGO_MANIFEST_DIR"));
    Bytes::from(std::fs::read(path).unwrap())
}

/// With a header more after the first line, as another transaction.
fn with_header(name: &str, line: &str) -> Bytes {
    let whole = file(name);
    let text = std::str::from_utf8(&whole).unwrap();
    let (first, rest) = text.split_once("\r\n").unwrap();
    let rest = rest.replace("branch=z9hG4bK", "branch=z9hG4bKagain");
    Bytes::from(format!("{first}\r\n{line}\r\n{rest}"))
}

fn world() -> World {
    let mut rows = Rows::default();
    for (id, name) in CALLEES {
        rows.subscribers.push(subscriber(id, name, secret(name, "secret")));
    }
    let mut w = World::with(rows);
    for (id, name) in &CALLEES[..2] {
        w.is_at(SubscriberId(*id), name, &[PHONE]);
    }
    w
}

/// Everything that leaves when this message comes from the customer's trunk, all of it to there.
#[track_caller]
fn answers(w: &mut World, name: &str) -> Vec<Message> {
    w.receive_bytes(CUSTOMER, file(name));
    let sent: Vec<_> = w.outbox.drain(..).collect();
    for (path, message) in &sent {
        assert_eq!(path.remote, address(CUSTOMER), "{name}: {}", start(message));
    }
    sent.into_iter().map(|(_, message)| message).collect()
}

/// One final answer and no call. It goes back by the Vias of the request.
#[track_caller]
fn check(name: &str, status: u16) -> Message {
    let mut w = world();
    let mut answers = answers(&mut w, name);
    let statuses: Vec<u16> = answers.iter().map(Message::status).collect();
    assert_eq!(statuses, [status], "{name}");
    assert_eq!(w.shard.stats().calls_started, 0, "{name}");
    assert!(w.settled.is_empty(), "{name}");
    w.check_empty();
    answers.remove(0)
}

/// One answer, whose Via may be as broken as the request's: it is given back as it came.
#[track_caller]
fn refused(name: &str, status: u16) {
    let mut w = world();
    w.shard.handle(w.now, Input::Message { path: path(CUSTOMER), bytes: file(name) });
    let mut answers = Vec::new();
    while let Some(effect) = w.shard.poll_effect() {
        match effect {
            Effect::Send(transmit) => answers.push((transmit.path.remote, transmit.bytes)),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(answers.len(), 1, "{name}");
    let (to, answer) = &answers[0];
    // The port is the Via's: no message asks for rport.
    assert_eq!(to.ip(), address(CUSTOMER).ip(), "{name}");
    assert!(answer.starts_with(format!("SIP/2.0 {status} ").as_bytes()), "{name}: {answer:?}");
    assert_eq!(w.shard.stats().calls_started, 0, "{name}");
    w.check_empty();
}

#[test]
fn what_cannot_be_read_but_answered_gets_400() {
    let names = [
        "badinv01",
        "clerr",
        "ncl",
        "scalar02",
        "quotbal",
        "ltgtruri",
        "lwsruri",
        "lwsstart",
        "trws",
        "escruri",
        "baddate",
        "regbadct",
        "badaspec",
        "baddn",
        "mismatch01",
        "mismatch02",
        "insuf",
        "multi01",
        "mcl01",
    ];
    for name in names {
        refused(name, 400);
    }
}

#[test]
fn another_version_gets_505() {
    refused("badvers", 505);
}

#[test]
fn an_unknown_scheme_gets_416() {
    check("unkscm", 416);
    check("novelsc", 416);
}

/// Their top Via is not ours, or nothing waits for them.
#[test]
fn responses_that_nobody_waits_for_are_dropped() {
    for name in ["scalarlg", "bigcode", "bcast", "unreason", "noreason"] {
        let mut w = world();
        assert!(answers(&mut w, name).is_empty(), "{name}");
        w.check_empty();
    }
}

#[test]
fn options_is_answered_however_it_is_written() {
    for name in ["lwsdisp", "semiuri", "transports", "badbranch"] {
        let answer = check(name, 200);
        assert!(answer.header(HeaderName::Allow).is_some(), "{name}");
    }
    assert_eq!(check("transports", 200).vias().count(), 5);
}

/// A proxy would say 483. OPTIONS ends here, so it is served as by an endpoint; what would go on
/// does get 483.
#[test]
fn zeromf_is_served_unless_it_would_go_on() {
    check("zeromf", 200);
    let mut w = world();
    let text = String::from_utf8(file("zeromf").to_vec()).unwrap().replace("OPTIONS", "INVITE");
    let contact = "Contact: <sip:caller@10.0.0.1>\r\nContent-Length";
    let text = text.replace("Content-Length", contact);
    w.receive_bytes(CUSTOMER, Bytes::from(text));
    w.expect_soon(CUSTOMER, "SIP/2.0 483");
    assert_eq!(codes(&w.settlement()).last(), Some(&"too_many_hops"));
    w.check_empty();
}

#[test]
fn bext01_names_the_extensions_that_we_lack() {
    let answer = check("bext01", 420);
    let unsupported = header(&answer, HeaderName::Unsupported);
    assert_eq!(unsupported, "nothingSupportsThis, nothingSupportsThisEither");
}

#[test]
fn other_methods_get_their_answer() {
    check("intmeth", 501);
    check("esc02", 501);
    // Its To has a tag, and we have no such dialog.
    check("wsinv", 481);
}

/// A MESSAGE of a trunk that may send none is refused as a call would be, with a record.
#[test]
fn a_message_is_refused() {
    let mut w = world();
    let statuses: Vec<u16> = answers(&mut w, "mpart01").iter().map(Message::status).collect();
    assert_eq!(statuses, [403]);
    assert_eq!(w.settled.len(), 1);
    w.check_empty();
}

#[test]
fn a_register_is_challenged() {
    for name in ["escnull", "regaut01", "unksm2", "regescrt", "cparam01", "cparam02"] {
        let answer = check(name, 401);
        assert!(answer.header(HeaderName::WwwAuthenticate).is_some(), "{name}");
    }
}

/// Of the INVITE behind it in the same datagram nothing is seen.
#[test]
fn dblreq_is_one_register() {
    let mut w = world();
    let answers = answers(&mut w, "dblreq");
    let got: Vec<_> = answers.iter().map(|answer| (answer.status(), answer.method())).collect();
    assert_eq!(got, [(401, Method::Register)]);
    assert!(!w.effects.iter().any(|effect| matches!(effect, Effect::Authorize(_))));
    w.check_empty();
}

/// The REGISTER once more with the password of `username`; its answer.
#[track_caller]
fn registered(w: &mut World, name: &str, username: &str) -> Message {
    let challenge = answers(w, name).remove(0);
    let ours = auth::Credentials::new(username, "secret");
    let method = Method::Register;
    let answer = auth::answer_challenge(&challenge, &ours, method, b"sip:example.com", 7, false);
    let answer = answer.expect("a challenge that can be answered");
    w.receive_bytes(CUSTOMER, with_header(name, &format!("{}: {}", answer.name, answer.value)));
    let kept = w.effects.iter_mut().find_map(|effect| match effect {
        Effect::BindingChanged { answer, .. } => answer.take(),
        _ => None,
    });
    if let Some(answer) = kept {
        w.input(Input::BindingKept { answer });
    }
    w.effects.clear();
    w.expect_soon(CUSTOMER, "SIP/2.0")
}

#[test]
fn a_parameter_belongs_to_the_contact_or_to_its_uri() {
    let mut w = world();
    let answer = registered(&mut w, "cparam01", "watson");
    let contact = header(&answer, HeaderName::Contact);
    assert_eq!(contact, "<sip:+19725552222@gw1.example.net>;expires=3600");
    let answer = registered(&mut w, "cparam02", "watson");
    let contacts: Vec<_> = answer.headers(HeaderName::Contact).collect();
    let with = b"<sip:+19725552222@gw1.example.net;unknownparam>;expires=3600";
    assert!(contacts.contains(&&with[..]), "{contacts:?}");
}

#[test]
fn unksm2_is_no_address_of_record() {
    let mut w = world();
    assert_eq!(registered(&mut w, "unksm2", "user").status(), 400);
}

/// The customer's call comes to the phone with its body, and what the phone says comes back.
#[track_caller]
fn passes(name: &str, phone_says: &str, customer_hears: u16) {
    let mut w = world();
    w.receive_bytes(CUSTOMER, file(name));
    w.grant(60, false);
    let ours = w.expect(PHONE, "INVITE");
    let theirs = Message::parse(file(name)).unwrap();
    assert_eq!(ours.body_bytes(), theirs.body_bytes(), "{name}");
    assert_eq!(ours.content_type(), theirs.content_type(), "{name}");
    assert_ne!(ours.call_id(), theirs.call_id(), "{name}");
    w.reply(PHONE, &ours, phone_says, "");
    let answer = w.expect_soon(CUSTOMER, &format!("SIP/2.0 {customer_hears}"));
    assert_eq!(answer.call_id(), theirs.call_id());
    assert_eq!(answer.vias().count(), theirs.vias().count());
    w.settlement();
    w.check_empty();
}

#[test]
fn bodies_and_long_values_pass() {
    passes("longreq", "486 Busy Here", 486);
    passes("invut", "415 Unsupported Media Type", 415);
    passes("sdp01", "406 Not Acceptable", 406);
}

/// RFC 2543 knew calls without a From tag and a Contact; we want both, and the refusal has its CDR.
#[test]
fn inv2543_is_too_old() {
    let mut w = world();
    w.receive_bytes(CUSTOMER, file("inv2543"));
    w.expect_soon(CUSTOMER, "SIP/2.0 400");
    assert_eq!(codes(&w.settlement()), ["from_trunk", "bad_invite"]);
    w.check_empty();
}

/// `sips%3Auser%40example.com` is a user, not a URI: nobody here is called so.
#[test]
fn esc01_is_a_call_to_an_unknown_name() {
    let mut w = world();
    w.receive_bytes(CUSTOMER, file("esc01"));
    w.expect_soon(CUSTOMER, "SIP/2.0 404");
    assert_eq!(codes(&w.settlement()).last(), Some(&"unknown_name"));
    w.check_empty();
}

/// The header in the contact's URI is kept for the registrar's answer and sent to nobody.
#[test]
fn regescrt_does_not_steer_requests() {
    let mut w = world();
    let answer = registered(&mut w, "regescrt", "user");
    let kept = b"<sip:user@example.com?Route=%3Csip:sip.example.com%3E>;expires=3600";
    assert!(answer.headers(HeaderName::Contact).any(|contact| contact == kept));
}

#[test]
fn all_49_are_here() {
    let dir = format!("{}/../sip/tests/torture", env!("CARGO_MANIFEST_DIR"));
    let source = include_str!("torture_messages_are_answered.rs");
    let mut count = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".dat") else { continue };
        assert!(source.contains(&format!("\"{name}\"")), "{name} is not played");
        count += 1;
    }
    assert_eq!(count, 49);
}
