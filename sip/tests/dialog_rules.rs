//! Dialogs on both sides as RFC 3261 section 12 makes them, from messages as they come.
#![allow(clippy::unwrap_used)] // All of it is test.

use bytes::Bytes;
use sip::dialog::{CSeqOrder, Dialog, Identity, NoDialog};
use sip::message::{Message, Method};

fn parse(lines: &[&str]) -> Message {
    let text = lines.join("\r\n") + "\r\nContent-Length: 0\r\n\r\n";
    Message::parse(Bytes::from(text)).expect("the test's message is well formed")
}

fn invite(extra: &[&str]) -> Message {
    let mut lines = vec![
        "INVITE sip:4930@192.0.2.1 SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1",
        "Max-Forwards: 70",
        "f: \"A ;tag=no\" <sip:a@example.net>;tag=caller",
        "t: <sip:4930@example.net>",
        "i: call-1",
        "CSeq: 7 INVITE",
    ];
    lines.extend_from_slice(extra);
    parse(&lines)
}

fn in_dialog(method: &str, cseq: u32, to_tag: &str, from_tag: &str, contact: &str) -> Message {
    parse(&[
        &format!("{method} sip:192.0.2.1 SIP/2.0"),
        "Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK2",
        "Max-Forwards: 70",
        &format!("From: <sip:a@example.net>;tag={from_tag}"),
        &format!("To: <sip:4930@example.net>;tag={to_tag}"),
        "Call-ID: call-1",
        &format!("CSeq: {cseq} {method}"),
        &format!("Contact: <{contact}>"),
    ])
}

fn ok(to_tag: &str, extra: &[&str]) -> Message {
    let to = format!("To: <sip:4930@example.net>;tag={to_tag}");
    let mut lines = vec![
        "SIP/2.0 200 OK",
        "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK3",
        "From: <sip:a@example.net>;tag=ours",
        &to,
        "Call-ID: call-2",
        "CSeq: 3 INVITE",
    ];
    lines.extend_from_slice(extra);
    parse(&lines)
}

fn identity() -> Identity<'static> {
    let from = b"<sip:a@example.net>;tag=ours";
    Identity { call_id: b"call-2", from, cseq: 3, target: b"sip:4930@carrier.example" }
}

/// What the next request of the dialog looks like.
#[track_caller]
fn check_request(dialog: &mut Dialog, method: Method<'_>, expected: &[&str]) {
    let bytes = dialog.request(method).finish(b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK4");
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    for line in expected {
        assert!(text.split("\r\n").any(|found| found == *line), "no {line:?} in\n{text}");
    }
}

const ROUTES: &[&str] = &[
    "Record-Route: <sip:p3.example;lr>, <sip:p2.example;lr>",
    "Record-Route: <sip:p1.example;lr>",
];

#[test]
fn the_called_side_keeps_the_order_of_routes_and_turns_from_and_to_around() {
    let mut lines = ROUTES.to_vec();
    lines.push("Contact: <sip:a@192.0.2.9:5070>");
    let mut dialog = Dialog::from_request(&invite(&lines), b"ours").unwrap();
    assert_eq!((dialog.local_tag(), dialog.remote_tag()), (&b"ours"[..], &b"caller"[..]));
    assert_eq!(dialog.next_hop(), b"sip:p3.example;lr");
    check_request(
        &mut dialog,
        Method::Bye,
        &[
            "BYE sip:a@192.0.2.9:5070 SIP/2.0",
            "Route: <sip:p3.example;lr>, <sip:p2.example;lr>, <sip:p1.example;lr>",
            "From: <sip:4930@example.net>;tag=ours",
            "To: \"A ;tag=no\" <sip:a@example.net>;tag=caller",
            "Call-ID: call-1",
            "CSeq: 1 BYE",
        ],
    );
}

#[test]
fn the_calling_side_reverses_the_routes() {
    let mut lines = ROUTES.to_vec();
    lines.push("Contact: <sip:b@198.51.100.7>");
    let mut dialog = Dialog::from_response(identity(), &ok("theirs", &lines)).unwrap();
    assert_eq!(dialog.next_hop(), b"sip:p1.example;lr");
    check_request(
        &mut dialog,
        Method::Bye,
        &[
            "BYE sip:b@198.51.100.7 SIP/2.0",
            "Route: <sip:p1.example;lr>, <sip:p2.example;lr>, <sip:p3.example;lr>",
            "From: <sip:a@example.net>;tag=ours",
            "To: <sip:4930@example.net>;tag=theirs",
            "Call-ID: call-2",
            "CSeq: 4 BYE",
        ],
    );
}

#[test]
fn a_strict_router_gets_the_request_uri() {
    let lines = ["Record-Route: <sip:strict.example;x=1>", "Contact: <sip:b@198.51.100.7>"];
    let mut dialog = Dialog::from_response(identity(), &ok("theirs", &lines)).unwrap();
    check_request(
        &mut dialog,
        Method::Info,
        &["INFO sip:strict.example;x=1 SIP/2.0", "Route: <sip:b@198.51.100.7>"],
    );
}

#[test]
fn an_ack_has_the_cseq_of_its_invite() {
    let mut dialog = Dialog::from_response(identity(), &ok("theirs", &[])).unwrap();
    check_request(&mut dialog, Method::Info, &["CSeq: 4 INFO"]);
    let ack = dialog.ack(3).finish(b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK5");
    let text = String::from_utf8(ack.to_vec()).unwrap();
    // Without a Contact in the 2xx the request's target stays.
    assert!(text.starts_with("ACK sip:4930@carrier.example SIP/2.0\r\n"), "{text}");
    assert!(text.contains("\r\nCSeq: 3 ACK\r\n"), "{text}");
}

#[test]
fn cseq_may_jump_ahead_and_must_not_fall_back() {
    let invite = invite(&["Contact: <sip:a@192.0.2.9>"]);
    let mut dialog = Dialog::from_request(&invite, b"ours").unwrap();
    let mut receive = |cseq, method| {
        dialog.receive(&in_dialog(method, cseq, "ours", "caller", "sip:a@192.0.2.9"))
    };
    assert_eq!(receive(7, "INFO"), CSeqOrder::OutOfOrder);
    // A request in between was lost or challenged: the BYE is not held back for it.
    assert_eq!(receive(9, "BYE"), CSeqOrder::InOrder);
    assert_eq!(receive(8, "INFO"), CSeqOrder::OutOfOrder);
    assert_eq!(receive(10, "INFO"), CSeqOrder::InOrder);
}

#[test]
fn tags_and_call_id_decide_whose_request_it_is() {
    let invite = invite(&["Contact: <sip:a@192.0.2.9>"]);
    let dialog = Dialog::from_request(&invite, b"ours").unwrap();
    let contact = "sip:a@192.0.2.9";
    assert!(dialog.is_of_request(&in_dialog("BYE", 8, "ours", "caller", contact)));
    assert!(!dialog.is_of_request(&in_dialog("BYE", 8, "Ours", "caller", contact)));
    assert!(!dialog.is_of_request(&in_dialog("BYE", 8, "ours", "other", contact)));
}

#[test]
fn a_target_refresh_moves_the_target_and_not_the_routes() {
    let mut lines = ROUTES.to_vec();
    lines.push("Contact: <sip:a@192.0.2.9>");
    let mut dialog = Dialog::from_request(&invite(&lines), b"ours").unwrap();
    dialog.refresh_target(&in_dialog("INVITE", 8, "ours", "caller", "sip:a@192.0.2.77:6000"));
    assert_eq!(dialog.remote_target(), b"sip:a@192.0.2.77:6000");
    assert_eq!(dialog.next_hop(), b"sip:p3.example;lr");
}

#[test]
fn branches_of_a_fork_are_told_apart_by_their_tags() {
    let first = Dialog::from_response(identity(), &ok("one", &[])).unwrap();
    assert!(first.is_of_response(&ok("one", &[])));
    assert!(!first.is_of_response(&ok("two", &[])));
}

#[test]
fn what_makes_no_dialog_is_said() {
    let no_contact = Dialog::from_request(&invite(&[]), b"ours");
    assert_eq!(no_contact.err(), Some(NoDialog::NoContact));
    let star = Dialog::from_request(&invite(&["Contact: *"]), b"ours");
    assert_eq!(star.err(), Some(NoDialog::NoContact));
    for contact in ["Contact: <http://a.example>", "Contact: <sip:a@192.0.2.9?subject=b>"] {
        let unreachable = Dialog::from_request(&invite(&[contact]), b"ours");
        assert_eq!(unreachable.err(), Some(NoDialog::NoContact));
    }
    let long = format!("Record-Route: <sip:{}.example;lr>", "p".repeat(4096));
    let lines = [&long[..], "Contact: <sip:a@192.0.2.9>"];
    assert_eq!(Dialog::from_request(&invite(&lines), b"ours").err(), Some(NoDialog::RouteTooLong));
}

#[test]
fn a_held_dialog_is_small() {
    let lines = ["Contact: <sip:4930123456@198.51.100.7:5060>"];
    let dialog = Dialog::from_response(identity(), &ok("theirs", &lines)).unwrap();
    let total = size_of::<Dialog>() + dialog.heap_len();
    assert!(total < 300, "{total} bytes");
}
