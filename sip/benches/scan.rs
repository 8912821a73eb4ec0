//! How long it takes to parse and to write the three most frequent messages, beside copying their
//! bytes, in one run. Allocations are counted; there must be none on the usual path.
//! `cargo bench -p sip --bench scan`

use std::alloc::System;
use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use sip::message::{HeaderName, Message, Method, RequestDraft, ResponseDraft, peek_call_id};

mod messages {
    //! What SIPp and softphones send, with their usual header lines.
    pub(super) const SDP: &str = "v=0\r\no=user1 53655765 2353687637 IN IP4 192.0.2.10\r\ns=-\r\n\
        c=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 6000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\n\
        a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
        a=sendrecv\r\n";

    pub(super) fn invite() -> String {
        format!(
            "INVITE sip:15551234567@192.0.2.1:5060;user=phone SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bK-524287-1-7f3a9c;rport\r\n\
             Max-Forwards: 70\r\n\
             From: \"Alice Example\" <sip:alice@example.com>;tag=9fxced76sl\r\n\
             To: <sip:15551234567@example.com;user=phone>\r\n\
             Call-ID: 3848276298220188511@atlanta.example.com\r\n\
             CSeq: 1 INVITE\r\n\
             Contact: <sip:alice@192.0.2.10:5070;transport=udp>\r\n\
             Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, REFER, NOTIFY, OPTIONS\r\n\
             Supported: replaces, 100rel, timer\r\n\
             User-Agent: Example Phone/4.2.1\r\n\
             Content-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        )
    }

    pub(super) fn register() -> String {
        "REGISTER sip:example.com SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bKnashds7;rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:alice@example.com>;tag=456248\r\n\
         To: <sip:alice@example.com>\r\n\
         Call-ID: 843817637684230@998sdasdh09\r\n\
         CSeq: 1826 REGISTER\r\n\
         Contact: <sip:alice@192.0.2.10:5070>;expires=3600;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"\r\n\
         Authorization: Digest username=\"alice\", realm=\"example.com\", nonce=\"84a4cc6f3082121f32b42a2187831a9e\", uri=\"sip:example.com\", response=\"7587245234b3434cc3412213e5f113a5\", algorithm=MD5, cnonce=\"0a4f113b\", qop=auth, nc=00000001\r\n\
         Expires: 3600\r\n\
         User-Agent: Example Phone/4.2.1\r\n\
         Content-Length: 0\r\n\r\n"
            .to_owned()
    }

    pub(super) fn ok() -> String {
        format!(
            "SIP/2.0 200 OK\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-98a7b6c5;received=192.0.2.1;rport=5060\r\n\
             From: \"Alice Example\" <sip:alice@example.com>;tag=as58f4201b\r\n\
             To: <sip:15551234567@example.com>;tag=8321234356\r\n\
             Call-ID: 12013223@192.0.2.1\r\n\
             CSeq: 102 INVITE\r\n\
             Contact: <sip:15551234567@192.0.2.20:5060>\r\n\
             Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n\
             Content-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        )
    }
}

/// Runs `work` often enough to see nanoseconds; the best of seven rounds.
fn measure(name: &str, mut work: impl FnMut()) -> f64 {
    const ROUND: u32 = 100_000;
    let mut best = f64::MAX;
    for _ in 0..7 {
        #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
        let start = Instant::now();
        for _ in 0..ROUND {
            work();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(ROUND));
    }
    println!("{name:<52}{best:>9.0} ns");
    best
}

/// Parse, and what the stack reads of every message: keys of the transaction and the dialog.
fn parse_and_view(bytes: &Bytes) {
    let message = Message::parse(bytes.clone()).expect("valid");
    let via = message.top_via().expect("a parsed message has one");
    black_box((via.branch(), via.host(), via.port()));
    black_box((message.from_tag(), message.to_tag(), message.call_id(), message.cseq()));
    black_box(message.contact());
}

fn main() {
    let _ = System;
    for (name, text) in [
        ("INVITE", messages::invite()),
        ("REGISTER", messages::register()),
        ("200 OK", messages::ok()),
    ] {
        let bytes = Bytes::from(text.into_bytes());
        let mut copy = Vec::with_capacity(bytes.len());
        println!("-- {name}, {} bytes", bytes.len());
        let base = measure("copy the bytes", || {
            copy.clear();
            copy.extend_from_slice(black_box(&bytes));
            black_box(&copy);
        });
        measure("peek Call-ID", || {
            black_box(peek_call_id(black_box(&bytes)));
        });
        measure("parse", || {
            black_box(Message::parse(black_box(&bytes).clone())).expect("valid");
        });
        let all = measure("parse, Via, From, To, Call-ID, CSeq, Contact", || {
            parse_and_view(black_box(&bytes));
        });
        println!("{:<52}{:>9.1}", "ratio to the copy", all / base);
    }
    let invite = Message::parse(messages::invite().into_bytes().into()).expect("valid");
    measure("write the 180 to the INVITE", || {
        black_box(ResponseDraft::with_tag(black_box(&invite), 180, "", b"8321234356").finish());
    });
    measure("write the INVITE with its body", || {
        let draft = RequestDraft::new(Method::Invite, invite.request_uri())
            .header(HeaderName::From, b"<sip:alice@example.com>;tag=9fxced76sl")
            .header(HeaderName::To, b"<sip:15551234567@example.com>")
            .header(HeaderName::CallId, b"1.2.3.4.5")
            .header_fmt(HeaderName::CSeq, format_args!("{} INVITE", black_box(1)))
            .header(HeaderName::Contact, b"<sip:192.0.2.1:5060>")
            .header(HeaderName::Supported, b"100rel, timer")
            .body(b"application/sdp", invite.body());
        black_box(draft.finish(b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1234567890;rport"));
    });
}
