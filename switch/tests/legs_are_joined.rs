//! What one side says reaches the other: early media, hold, INFO, and the caller's identity as far
//! as it may be known.

mod support;

use sip::message::HeaderName;
use support::*;

#[test]
fn early_media_passes() {
    let mut w = World::new();
    w.call("4930123456");
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply_with_sdp(CARRIERS[0], &invite, "183 Session Progress");
    let progress = w.expect_soon(CUSTOMER, "SIP/2.0 183");
    assert_eq!(progress.body_bytes(), SDP.as_bytes());
}

#[test]
fn a_hold_passes_with_its_answer() {
    let mut w = World::new();
    let (_, _, answer) = w.talk(600, false);
    let held = SDP.replace("t=0 0", "t=0 0\r\na=sendonly");
    let reinvite = in_dialog(CUSTOMER, "c1", &answer, "INVITE", 2).replace(
        "Content-Length: 0\n\n",
        &format!(
            "Contact: <sip:caller@10.0.0.1>\nContent-Type: application/sdp\n\
             Content-Length: {}\n\n{held}",
            held.len()
        ),
    );
    w.receive(CUSTOMER, &reinvite);
    let passed = w.expect_soon(CARRIERS[0], "INVITE");
    assert_eq!(passed.body_bytes(), held.as_bytes());
    w.reply_with_sdp(CARRIERS[0], &passed, "200 OK");
    let accepted = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    assert_eq!(accepted.body_bytes(), SDP.as_bytes());
    assert_eq!(accepted.cseq().0, 2);
    w.expect_soon(CARRIERS[0], "ACK");
}

#[test]
fn an_info_passes() {
    let mut w = World::new();
    let (_, _, answer) = w.talk(600, false);
    let info = in_dialog(CUSTOMER, "c1", &answer, "INFO", 2).replace(
        "Content-Length: 0\n\n",
        "Content-Type: application/dtmf-relay\nContent-Length: 8\n\nSignal=5",
    );
    w.receive(CUSTOMER, &info);
    let passed = w.expect_soon(CARRIERS[0], "INFO");
    assert_eq!(passed.body_bytes(), b"Signal=5");
    w.reply(CARRIERS[0], &passed, "200 OK", "");
    w.expect_soon(CUSTOMER, "SIP/2.0 200");
}

#[test]
fn an_unknown_dialog_gets_481() {
    let mut w = World::new();
    let (_, _, answer) = w.talk(600, false);
    let tag = String::from_utf8_lossy(answer.to_tag().expect("a dialog")).into_owned();
    let bye = in_dialog(CUSTOMER, "c1", &answer, "BYE", 2);
    let last = if tag.ends_with('0') { '1' } else { '0' };
    let forged = format!("{}{last}", &tag[..tag.len() - 1]);
    w.receive(CUSTOMER, &bye.replace(&tag, &forged));
    w.expect_soon(CUSTOMER, "SIP/2.0 481");
    assert!(w.settled.is_empty());
}

/// The INVITE at the carrier, for a caller with these header lines.
fn passed(is_trusted: bool, lines: &str, from: Option<&str>) -> sip::message::Message {
    let mut rows = Rows::default();
    rows.trunk(10).is_trusted = true;
    rows.trunk(1).is_trusted = is_trusted;
    let mut w = World::with(rows);
    let mut text = invite(CUSTOMER, "c1", "4930123456", 1, lines);
    if let Some(from) = from {
        text = text.replace("\"Caller\" <sip:4989777@10.0.0.1:5060>", from);
    }
    w.receive(CUSTOMER, &text);
    w.grant(60, false);
    w.expect(CARRIERS[0], "INVITE")
}

#[test]
fn a_withheld_number_is_told_to_trusted_trunks_only() {
    let lines = "P-Asserted-Identity: <sip:+4989777@10.0.0.1>\nPrivacy: id\n";
    let anonymous = Some("\"Anonymous\" <sip:anonymous@anonymous.invalid>");
    for is_trusted in [true, false] {
        let invite = passed(is_trusted, lines, anonymous);
        let from = header(&invite, HeaderName::From);
        assert!(from.starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag="), "{from}");
        assert_eq!(header(&invite, HeaderName::Privacy), "id");
        let asserted = header(&invite, HeaderName::PAssertedIdentity);
        let expected = if is_trusted { "<sip:4989777@example.net>" } else { "" };
        assert_eq!(asserted, expected);
    }
}

#[test]
fn an_asserted_number_outranks_from() {
    let invite = passed(false, "P-Asserted-Identity: <sip:+4940111@10.0.0.1>\n", None);
    let from = header(&invite, HeaderName::From);
    assert!(from.starts_with("\"Caller\" <sip:4940111@example.net>;tag="), "{from}");
}
