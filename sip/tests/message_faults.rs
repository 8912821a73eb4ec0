//! Faults seen in other SIP stacks that a parser, a framer or a writer can have. Each test is
//! named after what must hold.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use sip::message::{
    Frame, Framer, HeaderName, Limits, Message, Method, RequestDraft, ResponseDraft, peek_call_id,
};

const HEAD: &str = "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa\r\n\
    From: <sip:a@example.net>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: x@y\r\n";

fn request(method: &str, extra: &str, body: &str) -> Vec<u8> {
    let text = format!(
        "{method} sip:b@example.com SIP/2.0\r\n{HEAD}CSeq: 1 {method}\r\n{extra}\r\n{body}"
    );
    text.into_bytes()
}

fn parse(bytes: impl Into<Bytes>) -> Message {
    Message::parse(bytes.into()).unwrap_or_else(|fault| panic!("{fault}"))
}

#[track_caller]
fn check_fault(bytes: impl Into<Bytes>, status: Option<u16>) {
    let fault = Message::parse(bytes.into()).expect_err("a fault");
    assert_eq!(fault.status, status, "{fault}");
    assert_eq!(fault.message.is_some(), status.is_some());
}

#[test]
fn without_content_length_the_rest_of_a_datagram_is_the_body() {
    assert_eq!(parse(request("INVITE", "", "v=0\r\n")).body_bytes(), b"v=0\r\n");
    let on_a_stream = Message::parse_framed(request("INVITE", "", "").into()).unwrap();
    assert!(on_a_stream.body_bytes().is_empty());
}

#[test]
fn content_length_rules() {
    let length = |extra: &str| request("INVITE", extra, "12345");
    assert_eq!(parse(length("Content-Length: 3\r\n")).body_bytes(), b"123");
    assert_eq!(parse(length("l: 5\r\nContent-Length: 5\r\n")).body_bytes(), b"12345");
    check_fault(length("Content-Length: 6\r\n"), Some(400));
    check_fault(length("Content-Length: 3\r\nl: 4\r\n"), Some(400));
    check_fault(length("Content-Length: -1\r\n"), Some(400));
    check_fault(length("Content-Length:\r\n"), Some(400));
    check_fault(length("Content-Length: 99999999999\r\n"), Some(413));
    check_fault(length("Content-Length: 99999999999999999999999\r\n"), Some(400));
}

#[test]
fn a_space_before_the_colon_of_content_length_counts_on_a_stream() {
    let hidden = "BYE sip:b@example.com SIP/2.0\r\n\r\n";
    let first = request("INVITE", &format!("Content-Length : {}\r\n", hidden.len()), hidden);
    let mut framer = Framer::new(Limits::default());
    framer.push(&first);
    assert_eq!(framer.poll_frame(), Some(Frame::Message(first.clone().into())));
    assert_eq!(framer.poll_frame(), None);
    assert_eq!(Message::parse_framed(first.into()).unwrap().body_bytes(), hidden.as_bytes());
}

#[test]
fn a_byte_beyond_utf_8_does_not_end_the_headers() {
    let mut bytes = request("INVITE", "Subject: \u{1}X\r\nExpires: 60\r\n", "");
    let at = bytes.iter().position(|&byte| byte == 1).unwrap();
    bytes[at] = 0xFF;
    let message = parse(bytes);
    assert_eq!(message.header(HeaderName::Subject), Some(&b"\xFFX"[..]));
    assert_eq!(message.expires(), Some(60));
}

#[test]
fn a_display_name_with_a_tag_in_it_is_not_the_tag() {
    let text = "INVITE sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\n\
        From: \"<sip:x@y>;tag=wrong\" <sip:a@b>;tag=right\r\nTo: <sip:b@c>\r\nCall-ID: x\r\n\
        CSeq: 1 INVITE\r\n\r\n";
    assert_eq!(parse(text).from_tag(), Some(&b"right"[..]));
}

#[test]
fn a_tel_uri_in_to_is_kept() {
    let text = "INVITE tel:+15550123 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <tel:+1-555-0123;phone-context=x>;tag=9\r\nCall-ID: x\r\n\
        CSeq: 1 INVITE\r\n\r\n";
    let message = parse(text);
    assert_eq!(message.to().uri(), b"tel:+1-555-0123;phone-context=x");
    assert_eq!(message.to().parsed_uri().unwrap().user(), Some(&b"+1-555-0123"[..]));
    assert_eq!(message.to_tag(), Some(&b"9"[..]));
    assert_eq!(message.parsed_request_uri().unwrap().user(), Some(&b"+15550123"[..]));
}

#[test]
fn a_user_with_a_dot_is_a_user() {
    let message = parse(request("INVITE", "m: <sip:john.doe@example.net>\r\n", ""));
    let contact = message.contact().unwrap().parsed_uri().unwrap();
    assert_eq!((contact.user(), contact.host()), (Some(&b"john.doe"[..]), &b"example.net"[..]));
}

#[test]
fn compact_names_folded_lines_and_joined_vias_are_read() {
    let text = "INVITE sip:b@[2001:db8::1]:5070 SIP/2.0\r\n\
        v: SIP/2.0/UDP [2001:db8::9]:5062;received=2001:db8::8;branch=z9hG4bKa ,\r\n\
        \tSIP/2.0/TCP second;branch=z9hG4bKb\r\n\
        f: <sip:a@b>;tag=1\r\nt: <sip:b@c>\r\ni :x@y\r\nCSEQ: 1 INVITE\r\n\
        k: 100rel\r\nSupported: timer,replaces\r\n\r\n";
    let message = parse(text);
    let top = message.top_via().unwrap();
    assert_eq!(top.host_ip(), Some("2001:db8::9".parse().unwrap()));
    assert_eq!(top.received(), Some("2001:db8::8".parse().unwrap()));
    assert_eq!((top.port(), top.branch()), (Some(5062), Some(&b"z9hG4bKa"[..])));
    assert_eq!(message.vias().nth(1).unwrap().branch(), Some(&b"z9hG4bKb"[..]));
    assert!(message.supports(b"timer") && message.supports(b"100rel"));
    assert_eq!(message.parsed_request_uri().unwrap().port(), Some(5070));
    assert_eq!(peek_call_id(text.as_bytes()), Some(&b"x@y"[..]));
}

#[test]
fn any_method_is_read() {
    assert_eq!(parse(request("FROBNICATE", "", "")).method(), Method::Extension(b"FROBNICATE"));
    assert_eq!(parse(request("invite", "", "")).method(), Method::Extension(b"invite"));
}

#[test]
fn a_malformed_ack_or_response_is_never_answered() {
    check_fault(request("ACK", "Content-Length: x\r\n", ""), None);
    check_fault(format!("SIP/2.0 200 OK\r\n{HEAD}\r\n"), None);
    check_fault(format!("SIP/3.0 200 OK\r\n{HEAD}CSeq: 1 INVITE\r\n\r\n"), None);
    check_fault(&b""[..], None);
    check_fault(&b"\r\n\r\n"[..], None);
    check_fault(&b"hello\r\n\r\n"[..], None);
    check_fault(&b"\0\0\0\0"[..], None);
}

#[test]
fn line_ends_must_be_crlf() {
    check_fault(request("INVITE", "X: a\nVia: evil\r\n", ""), Some(400));
    check_fault(request("INVITE", "X: a\rb\r\n", ""), Some(400));
    check_fault(request("INVITE", "no colon\r\n", ""), Some(400));
    check_fault(request("INVITE", "b\u{e9}d: x\r\n", ""), Some(400));
}

#[test]
fn limits_are_kept() {
    let small =
        Limits { message_bytes: 600, head_bytes: 500, header_lines: 8, line_bytes: 100, vias: 2 };
    let status = |extra: &str, body: &str| {
        Message::parse_within(request("INVITE", extra, body).into(), &small, false)
            .map_or_else(|fault| fault.status, |_| None)
    };
    assert_eq!(status("", ""), None);
    assert_eq!(status(&"A: b\r\n".repeat(4), ""), Some(513));
    assert_eq!(status(&format!("A: {}\r\n", "b".repeat(100)), ""), Some(513));
    assert_eq!(status(&format!("A: {}\r\n", "b".repeat(500)), ""), Some(513));
    assert_eq!(status("", &"b".repeat(500)), Some(413));
    assert_eq!(status("Via: SIP/2.0/UDP a, SIP/2.0/UDP b\r\n", ""), Some(513));
}

#[test]
fn more_lines_than_fit_inline_are_kept() {
    let message = parse(request("INVITE", &"X-A: 1\r\n".repeat(60), ""));
    assert_eq!(message.headers(HeaderName::Other(b"x-a")).count(), 60);
    assert_eq!(message.header_lines().count(), 65);
}

#[test]
fn the_framer_gives_the_same_messages_wherever_the_stream_is_cut() {
    let one = request("INVITE", "Content-Length: 5\r\n", "v=0\r\n");
    let two = request("OPTIONS", "l: 0\r\n", "");
    let stream = [&one[..], b"\r\n\r\n", &two, b"\r\n", &one].concat();
    let expected = [
        Frame::Message(one.clone().into()),
        Frame::Ping,
        Frame::Message(two.into()),
        Frame::Pong,
        Frame::Message(one.into()),
    ];
    for cut in 0..stream.len() {
        let mut framer = Framer::new(Limits::default());
        let mut frames = Vec::new();
        for part in [&stream[..cut], &stream[cut..]] {
            framer.push(part);
            frames.extend(std::iter::from_fn(|| framer.poll_frame()));
        }
        assert_eq!(frames, expected, "cut at {cut}");
        assert!(!framer.is_partial());
    }
}

#[track_caller]
fn check_broken(stream: &[u8], status: Option<u16>) {
    let mut framer = Framer::new(Limits::default());
    framer.push(stream);
    let Some(Frame::Broken(bytes)) = framer.poll_frame() else { panic!("a broken stream") };
    assert_eq!(Message::parse_framed(bytes).expect_err("a fault").status, status);
    framer.push(&request("OPTIONS", "l: 0\r\n", ""));
    assert_eq!(framer.poll_frame(), None);
}

#[test]
fn a_stream_that_lost_its_framing_is_given_up() {
    check_broken(&request("INVITE", "l: 3\r\nl: 4\r\n", "1234"), Some(400));
    check_broken(&request("INVITE", "Content-Length: -5\r\n", ""), Some(400));
    check_broken(&request("INVITE", "Content-Length: 1000000\r\n", ""), Some(413));
    check_broken(&request("INVITE", &"A: b\r\n".repeat(6000), ""), Some(513));
    check_broken(b"\rX", None);
    check_broken(&[b'x'; 40_000], None);
}

#[test]
fn a_written_request_reads_back() {
    let via = b"SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKx;rport";
    let draft = || {
        RequestDraft::new(Method::Invite, b"sip:b@example.com")
            .header(HeaderName::From, "<sip:a@example.net>;tag=1")
            .header(HeaderName::To, b"<sip:b@example.com>")
            .header(HeaderName::CallId, "x@y")
            .header_fmt(HeaderName::CSeq, format_args!("{} INVITE", 7))
            .raw(b"X-Folded: a\r\n b")
            .body(b"application/sdp", Bytes::from_static(b"v=0\r\n"))
    };
    assert_eq!(draft().method(), Method::Invite);
    assert_eq!(draft().request_uri(), b"sip:b@example.com");
    for via in [&via[..], &[&via[..], &[b'x'; 300]].concat()] {
        let bytes = draft().finish(via);
        let message = parse(bytes.clone());
        assert!(bytes.starts_with(b"INVITE sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP"));
        assert_eq!(message.header(HeaderName::Via), Some(via));
        assert_eq!(message.max_forwards(), Some(70));
        assert_eq!(message.cseq(), (7, Method::Invite));
        assert_eq!(message.header(HeaderName::Other(b"X-Folded")), Some(&b"a\r\n b"[..]));
        assert_eq!(message.body_bytes(), b"v=0\r\n");
        assert_eq!(message.header(HeaderName::ContentLength), Some(&b"5"[..]));
    }
}

#[test]
fn no_value_can_inject_a_header() {
    let evil = "x\r\nEvil: 1\r\n\r\nbody\0";
    let bytes = RequestDraft::new(Method::Extension(b"A\r\nEvil: 1"), b"sip:b c\r\nEvil: 1")
        .header(HeaderName::Subject, evil)
        .header_fmt(HeaderName::UserAgent, format_args!("{evil}"))
        .header(HeaderName::Other(b"X\r\nEvil"), "1")
        .raw(evil.trim_end_matches('\0').as_bytes())
        .finish(evil.as_bytes());
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(!text.contains("\r\nEvil") && !text.contains('\0'), "{text}");
    assert_eq!(text.matches("\r\n\r\n").count(), 1);
    let request = parse(request("INVITE", "", ""));
    let bytes = ResponseDraft::to(&request, 400, "a\r\nEvil: 1").finish();
    assert!(!String::from_utf8(bytes.to_vec()).unwrap().contains("\r\nEvil"));
}

#[test]
fn a_response_copies_what_the_rfc_wants() {
    let text = "INVITE sip:b@example.com SIP/2.0\r\n\
        Via: SIP/2.0/UDP host.example;rport;branch=z9hG4bKa;received=9.9.9.9, SIP/2.0/TCP p;branch=b\r\n\
        v: SIP/2.0/UDP q;branch=c\r\nRecord-Route: <sip:r;lr>\r\n\
        f: A <sip:a@b>;tag=1\r\nt : <sip:b@c>\r\ni: x\r\nCSeq: 1 INVITE\r\nTimestamp: 54\r\n\r\n";
    let mut request = parse(text);
    request.set_source("192.0.2.7:1024".parse().unwrap());
    let bytes = ResponseDraft::with_tag(&request, 180, "", b"ours").record_route(&request).finish();
    let expected = "SIP/2.0 180 Ringing\r\n\
        Via: SIP/2.0/UDP host.example;rport=1024;branch=z9hG4bKa;received=192.0.2.7, SIP/2.0/TCP p;branch=b\r\n\
        v: SIP/2.0/UDP q;branch=c\r\n\
        f: A <sip:a@b>;tag=1\r\nt : <sip:b@c>;tag=ours\r\ni: x\r\nCSeq: 1 INVITE\r\n\
        Record-Route: <sip:r;lr>\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(std::str::from_utf8(&bytes).unwrap(), expected);
    let trying = ResponseDraft::to(&request, 100, "").finish();
    assert!(String::from_utf8(trying.to_vec()).unwrap().contains("Timestamp: 54\r\n"));
}

#[test]
fn every_response_but_100_has_a_tag_and_the_same_one_each_time() {
    let request = parse(request("OPTIONS", "", ""));
    let tag = |status: u16| {
        let response = parse(ResponseDraft::to(&request, status, "").finish());
        response.to_tag().map(<[u8]>::to_vec)
    };
    assert_eq!(tag(100), None);
    assert_eq!(tag(401).map(|tag| tag.len()), Some(16));
    assert_eq!(tag(401), tag(200));
    let within = parse(
        b"BYE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\n\
        To: <sip:b>;tag=theirs\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n\r\n"
            .to_vec(),
    );
    let response = parse(ResponseDraft::to(&within, 481, "").finish());
    assert_eq!(response.to_tag(), Some(&b"theirs"[..]));
}

#[test]
fn received_is_added_only_when_it_says_something() {
    let via = |line: &str, source: &str| {
        let text = format!(
            "OPTIONS sip:b SIP/2.0\r\nVia: {line}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b>\r\n\
             Call-ID: x\r\nCSeq: 1 OPTIONS\r\n\r\n"
        );
        let mut request = parse(text);
        request.set_source(source.parse().unwrap());
        let response = parse(ResponseDraft::to(&request, 200, "OK").finish());
        String::from_utf8(response.header(HeaderName::Via).unwrap().to_vec()).unwrap()
    };
    let same = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa";
    assert_eq!(via(same, "192.0.2.1:9"), same);
    assert_eq!(via(same, "192.0.2.2:9"), format!("{same};received=192.0.2.2"));
    assert_eq!(
        via("SIP/2.0/UDP [2001:db8::1];branch=a", "[2001:db8::1]:9"),
        "SIP/2.0/UDP [2001:db8::1];branch=a"
    );
    assert_eq!(
        via("SIP/2.0/UDP 192.0.2.1;rport;branch=a", "192.0.2.1:9"),
        "SIP/2.0/UDP 192.0.2.1;rport=9;branch=a;received=192.0.2.1"
    );
}

#[test]
fn a_tag_is_not_added_to_a_to_that_has_one_or_cannot_be_read() {
    let with_tag = parse(request("BYE", "", ""));
    let bytes = ResponseDraft::with_tag(&with_tag, 200, "", b"ours").finish();
    let again = parse(bytes);
    assert_eq!(again.to_tag(), Some(&b"ours"[..]));
    let text = String::from_utf8(request("BYE", "", ""))
        .unwrap()
        .replace("example.com>\r\nCall", "example.com>;tag=theirs\r\nCall");
    let tagged = parse(text);
    let bytes = ResponseDraft::with_tag(&tagged, 200, "", b"ours").finish();
    assert_eq!(parse(bytes).to_tag(), Some(&b"theirs"[..]));
}
