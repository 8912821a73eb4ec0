//! Codecs, early media and reliable provisional responses by trunk and account (S8).
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod support;

use std::sync::Arc;

use sip::message::{HeaderName, Message};
use support::*;
use switch::interworking::{Codecs, EarlyMedia, Interworking, Reliability};

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n";
/// PCMU, PCMA, G729 and digits, and a line that nobody knows.
const OFFER: &str = "m=audio 4000 RTP/AVP 0 8 18 101\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n\
                     a=rtpmap:101 telephone-event/8000\r\nz=?\r\n";
const FAX: &str = "m=image 4002 udptl t38\r\na=T38FaxVersion:0\r\n";

fn codecs(text: &str) -> Option<Arc<Codecs>> {
    Some(Arc::new(text.parse().unwrap()))
}

/// Of the customer's trunk 10, and the carriers 1 and 2.
fn world(change: impl Fn(&mut Rows)) -> World {
    let mut rows = Rows::default();
    change(&mut rows);
    World::with(rows)
}

fn with_media(text: &str, media: &str) -> String {
    let (head, _) = text.split_once("\n\n").unwrap();
    let body = format!("{HEAD}{media}");
    let length = format!("Content-Length: {}", SDP.len());
    let head = head.replace(&length, &format!("Content-Length: {}", body.len()));
    format!("{head}\n\n{body}")
}

fn offering(w: &mut World, lines: &str, media: &str) {
    let text = invite(CUSTOMER, "c1", "4930123456", 1, lines);
    w.receive(CUSTOMER, &with_media(&text, media));
}

fn media_of(message: &Message) -> String {
    let body = String::from_utf8_lossy(&message.body()).into_owned();
    body.strip_prefix(HEAD).expect("what is no codec stays").to_owned()
}

fn reply_with(
    w: &mut World,
    from: &str,
    request: &Message,
    status: &str,
    extra: &str,
    media: &str,
) {
    let body = format!("{HEAD}{media}");
    w.receive(from, &response(from, request, status, extra, &body));
}

#[test]
fn an_offer_is_narrowed_for_the_trunk_it_goes_to() {
    let mut w = world(|rows| rows.trunk(1).interworking.codecs = codecs("PCMA,PCMU"));
    offering(&mut w, "", OFFER);
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    let narrowed = "m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\nz=?\r\n";
    assert_eq!(media_of(&invite), narrowed);
    // An answer beside the offer is as little for it.
    let odd = "m=audio 5000 RTP/AVP 18 8\r\n";
    reply_with(&mut w, CARRIERS[0], &invite, "200 OK", "", odd);
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    assert_eq!(media_of(&answer), "m=audio 5000 RTP/AVP 8\r\n");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
    w.forget();
    // A session change is narrowed too, and told once.
    let again = in_dialog(CUSTOMER, "c1", &answer, "INVITE", 2);
    let body = format!("{HEAD}{OFFER}");
    let typed = format!("Content-Type: application/sdp\nContent-Length: {}\n\n", body.len());
    w.receive(CUSTOMER, &again.replace("Content-Length: 0\n\n", &format!("{typed}{body}")));
    let changed = w.expect_soon(CARRIERS[0], "INVITE");
    assert_eq!(media_of(&changed), narrowed);
    reply_with(&mut w, CARRIERS[0], &changed, "200 OK", "", "m=audio 5000 RTP/AVP 8\r\n");
    w.expect_soon(CARRIERS[0], "ACK");
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 3));
    let settled = w.settlement();
    let removed = codes(&settled).iter().filter(|code| **code == "codecs_removed").count();
    assert_eq!(removed, 1, "{:?}", settled.facts.decisions);
    let line = settled.facts.decisions.iter().find(|line| line.code == "codecs_removed").unwrap();
    let expected = "Codecs that the callee of attempt 1 may not use were taken out: G729.";
    assert_eq!(line.sentence, expected);
}

#[test]
fn the_codecs_of_trunk_and_account_hold_for_the_caller() {
    let mut w = world(|rows| {
        rows.trunk(10).interworking.codecs = codecs("G729,PCMA");
        rows.account(CUSTOMER_ACCOUNT).codecs = codecs("PCMA,PCMU");
    });
    offering(&mut w, "", OFFER);
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    let narrowed = "m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\nz=?\r\n";
    assert_eq!(media_of(&invite), narrowed);
}

#[test]
fn a_caller_without_a_codec_hears_488_with_a_warning() {
    let mut w = world(|rows| rows.trunk(10).interworking.codecs = codecs("opus"));
    offering(&mut w, "", OFFER);
    let refused = w.expect_soon(CUSTOMER, "SIP/2.0 488");
    let warning = "305 192.0.2.1:5060 \"Incompatible media format\"";
    assert_eq!(header(&refused, HeaderName::Warning), warning);
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &refused));
    let settled = w.settlement();
    assert_eq!(outcomes(&settled), [("incompatible_media", 488)]);
    assert!(codes(&settled).contains(&"no_codec"));
    w.check_empty();
}

#[test]
fn fax_passes_where_no_codec_does() {
    let mut w = world(|rows| rows.trunk(1).interworking.codecs = codecs("opus"));
    offering(&mut w, "", &format!("m=audio 4000 RTP/AVP 0\r\n{FAX}"));
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    assert_eq!(media_of(&invite), format!("m=audio 0 RTP/AVP 0\r\n{FAX}"));
}

#[test]
fn a_trunk_that_takes_none_of_the_codecs_is_passed_over() {
    let mut w = world(|rows| rows.trunk(1).interworking.codecs = codecs("opus"));
    offering(&mut w, "", OFFER);
    w.grant(60, false);
    w.expect_nothing(CARRIERS[0]);
    let invite = w.expect(CARRIERS[1], "INVITE");
    assert_eq!(media_of(&invite), OFFER);
    w.reply(CARRIERS[1], &invite, "486 Busy Here", "");
    let refused = w.expect_soon(CUSTOMER, "SIP/2.0 486");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &refused));
    assert!(codes(&w.settlement()).contains(&"no_codec_for_trunk"));
    w.check_empty();
}

#[test]
fn nobody_who_takes_a_codec_is_488() {
    let mut w = world(|rows| rows.account(CARRIER_ACCOUNT).codecs = codecs("opus"));
    offering(&mut w, "", OFFER);
    w.grant(60, false);
    let refused = w.expect_soon(CUSTOMER, "SIP/2.0 488");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &refused));
    let settled = w.settlement();
    assert_eq!(codes(&settled).last(), Some(&"no_codec_for_callee"));
    w.check_empty();
}

#[test]
fn a_phone_whose_account_takes_no_codec_is_not_rung() {
    let mut w = world(|rows| rows.account(LOCAL_ACCOUNT).codecs = codecs("opus"));
    w.bob_at(&PHONES);
    w.call("4930555");
    w.grant(60, false);
    PHONES.iter().for_each(|phone| w.expect_nothing(phone));
    let refused = w.expect_soon(CUSTOMER, "SIP/2.0 488");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &refused));
    assert!(codes(&w.settlement()).contains(&"no_codec_for_phone"));
    w.check_empty();
}

#[test]
fn a_change_to_what_may_not_be_used_is_488_and_changes_nothing() {
    let mut w = world(|rows| rows.trunk(10).interworking.codecs = codecs("PCMU"));
    let (_, _, answer) = w.talk(60, false);
    let body = format!("{HEAD}m=audio 4000 RTP/AVP 18\r\n");
    let text = in_dialog(CUSTOMER, "c1", &answer, "INVITE", 2);
    let typed = format!("Content-Type: application/sdp\nContent-Length: {}\n\n", body.len());
    w.receive(CUSTOMER, &text.replace("Content-Length: 0\n\n", &format!("{typed}{body}")));
    let refused = w.expect_soon(CUSTOMER, "SIP/2.0 488");
    assert!(header(&refused, HeaderName::Warning).starts_with("305 "));
    w.expect_nothing(CARRIERS[0]);
}

/// What the customer hears of a carrier's 183 with early media, and what its 200 says.
fn early(early_media: EarlyMedia, does_100rel: bool) -> (Vec<String>, String, Vec<&'static str>) {
    let mut w = world(|rows| rows.trunk(1).interworking.early_media = early_media);
    offering(&mut w, "", OFFER);
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    let extra = if does_100rel { "Require: 100rel\nRSeq: 7\n" } else { "" };
    let media = "m=audio 5000 RTP/AVP 8\r\n";
    reply_with(&mut w, CARRIERS[0], &invite, "183 Session Progress", extra, media);
    if does_100rel {
        let prack = w.expect_soon(CARRIERS[0], "PRACK");
        w.reply(CARRIERS[0], &prack, "200 OK", "");
        // It has answered already, and need not do it again.
        w.reply(CARRIERS[0], &invite, "200 OK", "");
    } else {
        reply_with(&mut w, CARRIERS[0], &invite, "200 OK", "", media);
    }
    let mut heard = Vec::new();
    while let Some(place) = w.outbox.iter().position(|(path, _)| path.remote == address(CUSTOMER)) {
        let (_, message) = w.outbox.remove(place).unwrap();
        heard.push(format!("{} {}", message.status(), !message.body().is_empty()));
    }
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    let said = codes(&w.settlement());
    heard.retain(|line| !line.starts_with("100"));
    (heard, media_of(&answer), said)
}

#[test]
fn early_media_passes_rings_or_is_kept() {
    let media = "m=audio 5000 RTP/AVP 8\r\n";
    let (heard, answer, said) = early(EarlyMedia::Pass, false);
    assert_eq!((heard, answer.as_str()), (vec!["183 true".to_owned()], media));
    assert!(!said.contains(&"early_media_held"));
    for does_100rel in [false, true] {
        let (heard, answer, said) = early(EarlyMedia::Ringing, does_100rel);
        assert_eq!((heard, answer.as_str()), (vec!["180 false".to_owned()], media));
        assert!(said.contains(&"early_media_held"));
        let (heard, answer, _) = early(EarlyMedia::Suppress, does_100rel);
        assert_eq!((heard, answer.as_str()), (Vec::new(), media));
    }
}

fn reliable(reliability: Reliability) -> impl Fn(&mut Rows) {
    move |rows| {
        for trunk in [1, 10] {
            rows.trunk(trunk).interworking =
                Interworking { reliability, ..Interworking::default() };
        }
    }
}

#[test]
fn a_trunk_is_asked_for_reliable_responses_as_it_is_set() {
    for (reliability, supported, required) in [
        (Reliability::Supported, "100rel, timer", ""),
        (Reliability::Required, "100rel, timer", "100rel"),
        (Reliability::Off, "timer", ""),
    ] {
        let mut w = world(reliable(reliability));
        w.receive(CUSTOMER, &invite(CUSTOMER, "c1", "4930123456", 1, "Supported: 100rel\n"));
        w.grant(60, false);
        let sent = w.expect(CARRIERS[0], "INVITE");
        assert_eq!(header(&sent, HeaderName::Supported), supported);
        assert_eq!(header(&sent, HeaderName::Require), required);
    }
}

#[test]
fn a_customer_must_know_what_its_trunk_requires() {
    let mut w = world(reliable(Reliability::Required));
    w.call("4930123456");
    let refused = w.expect_soon(CUSTOMER, "SIP/2.0 421");
    assert_eq!(header(&refused, HeaderName::Require), "100rel");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &refused));
    assert_eq!(outcomes(&w.settlement()), [("interworking", 421)]);
    // One that does gets every provisional response reliably, whatever the carrier does.
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", "4930123456", 1, "Supported: 100rel\n"));
    w.grant(60, false);
    let sent = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &sent, "180 Ringing", "");
    let rings = w.expect_soon(CUSTOMER, "SIP/2.0 180");
    assert_eq!(header(&rings, HeaderName::Require), "100rel");
}

#[test]
fn a_customer_may_not_require_what_is_off() {
    let mut w = world(reliable(Reliability::Off));
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", "4930123456", 1, "Require: 100rel\n"));
    let refused = w.expect_soon(CUSTOMER, "SIP/2.0 420");
    assert_eq!(header(&refused, HeaderName::Unsupported), "100rel");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &refused));
    w.settlement();
    // Who only supports it is not asked for it: early media comes as it always can.
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", "4930123456", 1, "Supported: 100rel\n"));
    w.grant(60, false);
    let sent = w.expect(CARRIERS[0], "INVITE");
    w.reply_with_sdp(CARRIERS[0], &sent, "183 Session Progress");
    let progress = w.expect_soon(CUSTOMER, "SIP/2.0 183");
    assert_eq!(header(&progress, HeaderName::Require), "");
    assert_eq!(header(&progress, HeaderName::Supported), "timer");
}

/// RFC 3891 section 5: who is told of the extension may use it. Trunks may not, but by a REFER if they
/// may transfer calls.
#[test]
fn replaces_is_known_to_trunks_that_may_use_it() {
    let may_transfer = |rows: &mut Rows| rows.trunk(10).interworking.may_transfer = true;
    let mut w = world(may_transfer);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", "4930123456", 1, "Require: replaces\n"));
    w.grant(60, false);
    let sent = w.expect(CARRIERS[0], "INVITE");
    assert_eq!(header(&sent, HeaderName::Supported), "100rel, timer");
    w.reply_with_sdp(CARRIERS[0], &sent, "183 Session Progress");
    let progress = w.expect_soon(CUSTOMER, "SIP/2.0 183");
    assert_eq!(header(&progress, HeaderName::Supported), "100rel, replaces, timer");

    let mut w = world(|_| {});
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", "4930123456", 1, "Require: replaces\n"));
    let refused = w.expect_soon(CUSTOMER, "SIP/2.0 420");
    assert_eq!(header(&refused, HeaderName::Unsupported), "replaces");
}
