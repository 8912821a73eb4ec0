//! What callers and carriers write: simple text templates, with parts that a run varies.

use sip::message::{HeaderName, Message, Method};

use crate::Choices;

/// A body; its contents do not matter to a switch.
pub const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
                       m=audio 4000 RTP/AVP 0\r\n";

/// Header lines that change what a request asks for.
const REQUEST_EXTRAS: [&str; 16] = [
    "",
    "",
    "",
    "Supported: 100rel, timer\r\n",
    "Require: 100rel\r\n",
    "Require: 100rel, timer, something\r\n",
    "Session-Expires: 90;refresher=uac\r\nSupported: timer\r\n",
    "Session-Expires: 30\r\nMin-SE: 20\r\nSupported: timer\r\n",
    "Privacy: id\r\nP-Asserted-Identity: <sip:4989777@10.0.0.1>\r\n",
    "Diversion: <sip:4930999@10.0.0.9>;reason=unconditional\r\n",
    "RAck: 1 1 INVITE\r\n",
    "RAck: 4294967295 4294967295 INVITE\r\n",
    "Record-Route: <sip:10.9.9.9;lr>\r\n",
    "Reason: Q.850;cause=16\r\n",
    "Expires: 1\r\n",
    "Route: <sip:192.0.2.1;lr>, <sip:10.9.9.9>\r\n",
];

const RESPONSE_EXTRAS: [&str; 16] = [
    "",
    "",
    "",
    "Require: 100rel\r\nRSeq: 1\r\n",
    "Require: 100rel\r\nRSeq: 2\r\n",
    "Require: 100rel\r\nRSeq: 4294967295\r\n",
    "Session-Expires: 90;refresher=uac\r\nRequire: timer\r\n",
    "Session-Expires: 90;refresher=uas\r\nRequire: timer\r\n",
    "Session-Expires: 1\r\n",
    "Proxy-Authenticate: Digest realm=\"a\", nonce=\"b\", qop=\"auth\"\r\n",
    "WWW-Authenticate: Digest realm=\"a\", nonce=\"b\", algorithm=SHA-256, stale=true\r\n",
    "Retry-After: 1\r\n",
    "Record-Route: <sip:10.9.9.9;lr>, <sip:10.9.9.8:5070>\r\n",
    "Min-SE: 1800\r\n",
    "Reason: Q.850;cause=17\r\n",
    "Contact: <sip:4930777@10.1.0.2>, <sip:4930777@carrier.example;transport=tcp>;q=0.1\r\n",
];

/// Statuses that a callee answers with; the frequent ones more than once.
const STATUSES: [u16; 32] = [
    100, 180, 180, 183, 183, 199, 200, 200, 200, 200, 202, 300, 302, 302, 305, 401, 404, 407, 408,
    420, 422, 480, 481, 486, 487, 491, 500, 503, 503, 504, 600, 699,
];

/// Methods of requests inside and outside of a dialog.
pub const METHODS: [&str; 14] = [
    "BYE", "BYE", "INVITE", "INVITE", "UPDATE", "PRACK", "INFO", "OPTIONS", "REFER", "NOTIFY",
    "MESSAGE", "CANCEL", "ACK", "FOO",
];

fn value(message: &Message, name: HeaderName<'_>) -> String {
    String::from_utf8_lossy(message.header(name).unwrap_or_default()).into_owned()
}

fn body(choices: &mut Choices<'_>) -> String {
    let body = if choices.chance(110) { SDP } else { "" };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A caller's INVITE outside of a dialog.
pub fn invite(
    from: &str,
    call_id: &str,
    cld: &str,
    cseq: u32,
    choices: &mut Choices<'_>,
) -> String {
    let extra = choices.pick(&REQUEST_EXTRAS);
    let hops = if choices.chance(4) { 0 } else { 70 };
    let body = body(choices);
    format!(
        "INVITE sip:{cld}@192.0.2.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP {from};branch=z9hG4bK{call_id}-{cseq};rport\r\n\
         Max-Forwards: {hops}\r\n\
         From: \"Caller\" <sip:4989777@{from}>;tag=ft-{call_id}\r\n\
         To: <sip:{cld}@192.0.2.1>\r\nCall-ID: {call_id}\r\nCSeq: {cseq} INVITE\r\n\
         Contact: <sip:caller@{from}>\r\n{extra}{body}"
    )
}

/// A caller's CANCEL of that INVITE.
pub fn cancel(from: &str, call_id: &str, cld: &str, cseq: u32) -> String {
    format!(
        "CANCEL sip:{cld}@192.0.2.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP {from};branch=z9hG4bK{call_id}-{cseq};rport\r\n\
         Max-Forwards: 70\r\n\
         From: \"Caller\" <sip:4989777@{from}>;tag=ft-{call_id}\r\n\
         To: <sip:{cld}@192.0.2.1>\r\nCall-ID: {call_id}\r\nCSeq: {cseq} CANCEL\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// A caller's request in the dialog that our response made, the ACK included.
pub fn of_caller(
    from: &str,
    answer: &Message,
    method: &str,
    cseq: u32,
    choices: &mut Choices<'_>,
) -> String {
    let call_id = value(answer, HeaderName::CallId);
    // The ACK of a refusal belongs to the transaction of its INVITE.
    let branch = match method {
        "ACK" | "CANCEL" if answer.status() >= 300 => String::new(),
        _ => format!("-{method}"),
    };
    let extra = choices.pick(&REQUEST_EXTRAS);
    let body = body(choices);
    format!(
        "{method} sip:192.0.2.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP {from};branch=z9hG4bK{call_id}-{cseq}{branch};rport\r\n\
         Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {call_id}\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:caller@{from}>\r\n{extra}{body}",
        value(answer, HeaderName::From),
        value(answer, HeaderName::To),
    )
}

/// A callee's request in the dialog that our INVITE made.
pub fn of_callee(
    from: &str,
    invite: &Message,
    method: &str,
    cseq: u32,
    choices: &mut Choices<'_>,
) -> String {
    let call_id = value(invite, HeaderName::CallId);
    let tag = choices.pick(&["callee", "callee", "callee", "fork"]);
    let extra = choices.pick(&REQUEST_EXTRAS);
    let body = body(choices);
    format!(
        "{method} sip:192.0.2.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP {from};branch=z9hG4bKcallee-{method}-{cseq}-{call_id}\r\n\
         Max-Forwards: 70\r\nFrom: {};tag={tag}\r\nTo: {}\r\nCall-ID: {call_id}\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:callee@{from}>\r\n{extra}{body}",
        value(invite, HeaderName::To),
        value(invite, HeaderName::From),
    )
}

/// An answer to a request of ours, of any status.
pub fn any_response(from: &str, request: &Message, choices: &mut Choices<'_>) -> String {
    let status = choices.pick(&STATUSES);
    let tag = choices.pick(&["callee", "callee", "callee", "fork", ""]);
    let extra = choices.pick(&RESPONSE_EXTRAS);
    response(from, request, status, tag, extra, &body(choices))
}

/// The answer of a peer that does what one expects.
pub fn plain(from: &str, request: &Message, status: u16) -> String {
    let is_invite = request.cseq().1 == Method::Invite;
    let (kind, body) = match is_invite && status > 180 && status < 300 {
        true => ("Content-Type: application/sdp\r\n", SDP),
        false => ("", ""),
    };
    let body = format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len());
    response(from, request, status, "callee", "", &body)
}

fn response(
    from: &str,
    request: &Message,
    status: u16,
    tag: &str,
    extra: &str,
    body: &str,
) -> String {
    let vias: Vec<String> = request
        .headers(HeaderName::Via)
        .map(|via| format!("Via: {}\r\n", String::from_utf8_lossy(via)))
        .collect();
    let mut to = value(request, HeaderName::To);
    if request.to_tag().is_none() && !tag.is_empty() {
        to.push_str(&format!(";tag={tag}"));
    }
    format!(
        "SIP/2.0 {status} Any\r\n{}From: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         Contact: <sip:callee@{from}>\r\n{extra}{body}",
        vias.concat(),
        value(request, HeaderName::From),
        value(request, HeaderName::CallId),
        value(request, HeaderName::CSeq),
    )
}

/// A phone registers, or tries to.
pub fn register(
    from: &str,
    user: &str,
    call_id: &str,
    cseq: u32,
    choices: &mut Choices<'_>,
) -> String {
    let contact = choices.pick(&["<sip:p@10.3.0.1>", "<sip:p@10.3.0.2>;expires=0", "*"]);
    let expires =
        choices.pick(&["", "Expires: 0\r\n", "Expires: 1\r\n", "Expires: 4294967295\r\n"]);
    format!(
        "REGISTER sip:example.net SIP/2.0\r\n\
         Via: SIP/2.0/UDP {from};branch=z9hG4bK{call_id}-r{cseq}\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@example.net>;tag=r\r\nTo: <sip:{user}@example.net>\r\n\
         Call-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\nContact: {contact}\r\n{expires}\
         Content-Length: 0\r\n\r\n"
    )
}

/// A request with this header line put before its Content-Length.
pub fn with_line(text: &str, line: &str) -> String {
    text.replacen("Content-Length:", &format!("{line}\r\nContent-Length:"), 1)
}
