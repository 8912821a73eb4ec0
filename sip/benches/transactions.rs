//! What a call costs in transactions: an INVITE server and client pair with their responses, ACKs
//! and BYEs, as a back-to-back user agent has them. `cargo bench -p sip --bench transactions`.
//! CPU of this process, not wall time, so that a busy machine changes little.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::endpoint::{Endpoint, EndpointConfig, Event, Listener, ServerTx};
use sip::message::{HeaderName, Message, Method, RequestDraft, ResponseDraft};
use sip::transport::{Path, Transport};

const CALLS: u32 = 100_000;
/// Calls a second of virtual time, so that timers and finished transactions are as many as in life.
const RATE: u32 = 2_000;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
    m=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";

fn path() -> Path {
    let remote = ([192, 0, 2, 7], 5060).into();
    Path { transport: Transport::Udp, listener: 1, connection: 0, remote }
}

fn request(method: &str, number: u32, branch: &str, sdp: &str) -> Bytes {
    let type_line = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let length = sdp.len();
    Bytes::from(format!(
        "{method} sip:4930123456@192.0.2.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK{branch}{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: \"Alice\" <sip:alice@192.0.2.7>;tag=from{number}\r\n\
         To: <sip:4930123456@192.0.2.1>\r\nCall-ID: {number}-call@192.0.2.7\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:alice@192.0.2.7:5060>\r\nUser-Agent: bench\r\n\
         Allow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n{type_line}\
         Content-Length: {length}\r\n\r\n{sdp}"
    ))
}

fn heard(endpoint: &mut Endpoint) -> (ServerTx, Message) {
    match endpoint.poll_event() {
        Some(Event::Request { tx, message, .. }) => (tx, message),
        other => panic!("{other:?}"),
    }
}

fn respond(endpoint: &mut Endpoint, now: Duration, tx: ServerTx, request: &Message, status: u16) {
    let draft = ResponseDraft::with_tag(request, status, "", b"ours");
    let draft = draft.header(HeaderName::Contact, "<sip:192.0.2.1:5060>");
    if status == 200 && request.method() == Method::Invite {
        let body = Bytes::from_static(SDP.as_bytes());
        endpoint.respond(now, tx, draft.body(b"application/sdp", body));
    } else {
        endpoint.respond(now, tx, draft);
    }
    endpoint.poll_transmit();
}

fn send(endpoint: &mut Endpoint, now: Duration, number: u32, method: Method<'_>) -> Message {
    let draft = RequestDraft::new(method, b"sip:4930123456@192.0.2.7:5060")
        .header(HeaderName::From, "<sip:alice@192.0.2.1>;tag=egress")
        .header(HeaderName::To, "<sip:4930123456@192.0.2.7>")
        .header_fmt(HeaderName::CallId, format_args!("{number}-egress@192.0.2.1"))
        .header_fmt(HeaderName::CSeq, format_args!("1 {method}"))
        .header(HeaderName::Contact, "<sip:192.0.2.1:5060>");
    let draft = match method {
        Method::Invite => draft.body(b"application/sdp", Bytes::from_static(SDP.as_bytes())),
        _ => draft,
    };
    endpoint.send_request(now, path(), draft, u64::from(number));
    let transmit = endpoint.poll_transmit().expect("the request");
    Message::parse(transmit.bytes).expect("a message")
}

fn reply(endpoint: &mut Endpoint, now: Duration, request: &Message, status: u16) {
    let bytes = ResponseDraft::with_tag(request, status, "", b"theirs").finish();
    endpoint.receive(now, path(), bytes);
    let event = endpoint.poll_event();
    assert!(matches!(event, Some(Event::Response { .. })), "{event:?}");
}

/// Fourteen messages: INVITE, 100, 180, 200, ACK, BYE and 200 on either side.
fn call(endpoint: &mut Endpoint, now: Duration, number: u32) {
    endpoint.receive(now, path(), request("INVITE", number, "i", SDP));
    let (tx, invite) = heard(endpoint);
    respond(endpoint, now, tx, &invite, 100);
    let egress = send(endpoint, now, number, Method::Invite);
    for status in [100, 180, 200] {
        reply(endpoint, now, &egress, status);
        if status > 100 {
            respond(endpoint, now, tx, &invite, status);
        }
    }
    let ack = RequestDraft::new(Method::Ack, b"sip:4930123456@192.0.2.7:5060")
        .header(HeaderName::From, "<sip:alice@192.0.2.1>;tag=egress")
        .header(HeaderName::To, "<sip:4930123456@192.0.2.7>;tag=theirs")
        .header_fmt(HeaderName::CallId, format_args!("{number}-egress@192.0.2.1"))
        .header(HeaderName::CSeq, "1 ACK");
    endpoint.send_stateless(path(), ack);
    endpoint.poll_transmit();
    endpoint.receive(now, path(), request("ACK", number, "a", ""));
    assert!(matches!(endpoint.poll_event(), Some(Event::Ack { .. })));
    endpoint.receive(now, path(), request("BYE", number, "b", ""));
    let (tx, bye) = heard(endpoint);
    let egress = send(endpoint, now, number, Method::Bye);
    reply(endpoint, now, &egress, 200);
    respond(endpoint, now, tx, &bye, 200);
    endpoint.handle_timeout(now);
    while endpoint.poll_event().is_some() || endpoint.poll_transmit().is_some() {}
}

/// User and system time of this process in clock ticks of 10 ms.
fn cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split_whitespace().nth(1)?.parse::<u64>().ok().map(|pages| pages * 4096)
}

#[allow(clippy::disallowed_methods)] // A measurement needs a clock.
fn main() {
    let listener =
        Listener { id: 1, transport: Transport::Udp, advertised: "192.0.2.1:5060".into() };
    let mut endpoint = Endpoint::new(EndpointConfig::new(vec![listener]), 7);
    let before = resident_bytes();
    let (cpu_before, started) = (cpu(), Instant::now());
    let mut most = 0;
    for number in 0..CALLS {
        let now = Duration::from_secs(1) * number / RATE;
        call(&mut endpoint, now, number);
        most = most.max(endpoint.transactions());
    }
    let spent = cpu().zip(cpu_before).map_or(started.elapsed(), |(after, before)| after - before);
    let grown = resident_bytes().zip(before).map_or(0, |(after, before)| after - before);
    println!(
        "{CALLS} calls: {:.1} us CPU a call (both sides of the wire), {:.2} us a message",
        spent.as_secs_f64() * 1e6 / f64::from(CALLS),
        spent.as_secs_f64() * 1e6 / f64::from(CALLS) / 14.0,
    );
    println!(
        "at most {most} transactions at a time at {RATE} calls/s, {} bytes each with timers",
        grown / most as u64,
    );
}
