//! How long it takes to parse and to write the three most frequent messages, beside copying their
//! bytes, in one run. That parsing allocates nothing is shown by tests/message_allocations.rs.
//! `cargo bench -p sip --bench scan`

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use sip::message::{HeaderName, Message, Method, RequestDraft, ResponseDraft, peek_call_id};

mod messages;

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
