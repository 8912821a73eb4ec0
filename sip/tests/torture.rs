//! Every message of RFC 4475: the valid ones are read right, the invalid ones are answered or
//! dropped as the RFC says. Files are named as in the RFC. In `mpart01` the S/MIME part is
//! replaced by as many bytes of every value.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use sip::message::header::{AuthParams, AuthScheme};
use sip::message::uri::{Scheme, Uri};
use sip::message::{HeaderName, Message, Method, ResponseDraft, peek_call_id};

fn file(name: &str) -> Bytes {
    let path = format!("{}/tests/torture/{name}.dat", env!("CARGO_MANIFEST_DIR"));
    Bytes::from(std::fs::read(path).unwrap())
}

#[track_caller]
fn valid(name: &str) -> Message {
    let message = Message::parse(file(name)).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    assert_eq!(peek_call_id(message.bytes()), Some(message.call_id()), "{name}");
    message
}

/// The RFC's outcome, and that the answer can be written and read.
#[track_caller]
fn refused(name: &str, status: u16) -> Message {
    let fault = Message::parse(file(name)).expect_err(name);
    assert_eq!(fault.status, Some(status), "{name}: {fault}");
    let message = *fault.message.expect("something to answer");
    let answer = ResponseDraft::with_tag(&message, status, "", b"ours").finish();
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(text.starts_with(&format!("SIP/2.0 {status} ")), "{name}: {text}");
    assert!(text.to_ascii_lowercase().contains("via:"), "{name}: {text}");
    message
}

#[track_caller]
fn dropped(name: &str) {
    let fault = Message::parse(file(name)).expect_err(name);
    assert_eq!(fault.status, None, "{name}: {fault}");
    assert!(fault.message.is_none(), "{name}");
}

#[track_caller]
fn values(message: &Message, name: HeaderName<'_>) -> Vec<String> {
    let all: Vec<&[u8]> = message.headers(name).collect();
    all.into_iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

#[test]
fn wsinv_a_short_tortuous_invite() {
    let message = valid("wsinv");
    assert_eq!(message.method(), Method::Invite);
    assert_eq!(message.request_uri(), b"sip:vivekg@chair-dnrc.example.com;unknownparam");
    assert_eq!(message.to().uri(), b"sip:vivekg@chair-dnrc.example.com");
    assert_eq!(message.to_tag(), Some(&b"1918181833n"[..]));
    assert_eq!(&*message.from().display_unquoted(), b"J Rosenberg \\\"");
    assert_eq!(message.from_tag(), Some(&b"98asjd8"[..]));
    assert_eq!(message.max_forwards(), Some(68));
    assert_eq!(message.cseq(), (9, Method::Invite));
    assert_eq!(message.header(HeaderName::Subject), Some(&b""[..]));
    let vias: Vec<_> = message.vias().collect();
    let read: Vec<_> = vias.iter().map(|via| (via.transport(), via.host())).collect();
    let expected: [(&[u8], &[u8]); 3] =
        [(b"UDP", b"192.0.2.2"), (b"TCP", b"spindle.example.com"), (b"UDP", b"192.168.255.111")];
    assert_eq!(read, expected);
    let branches: Vec<_> = vias.iter().map(|via| via.branch().unwrap()).collect();
    assert_eq!(branches, [&b"390skdjuw"[..], b"z9hG4bK9ikj8", b"z9hG4bK30239"]);
    let contact = message.contact().unwrap();
    assert_eq!(&*contact.display_unquoted(), b"Quoted string \"\"");
    assert_eq!(contact.params().get(b"newparam"), Some(&b"newvalue"[..]));
    assert!(contact.params().has(b"secondparam"));
    assert_eq!(contact.q(), Some(330));
    assert_eq!(
        message.name_addr(HeaderName::Route).unwrap().uri(),
        b"sip:services.example.com;lr;unknownwith=value;unknown-no-value"
    );
    let unusual = HeaderName::Other(b"unknownheaderwithunusualvalue");
    assert_eq!(message.header(unusual), Some(&b";;,,;;,;"[..]));
    let folded = message.header(HeaderName::Other(b"NewFangledHeader")).unwrap();
    assert_eq!(folded, b"newfangled value\r\n continued newfangled value");
    assert_eq!(message.body_bytes().len(), 150);
}

#[test]
fn intmeth_a_wide_range_of_valid_characters() {
    let message = valid("intmeth");
    let method = b"!interesting-Method0123456789_*+`.%indeed'~";
    assert_eq!(message.method(), Method::Extension(method));
    assert_eq!(message.cseq(), (139122385, Method::Extension(method)));
    let uri = message.parsed_request_uri().unwrap();
    assert_eq!(uri.user(), Some(&b"1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"[..]));
    assert_eq!(uri.password(), Some(&b"&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"[..]));
    assert_eq!(uri.host(), b"example.com");
    assert_eq!(&*message.to().display_unquoted(), b"BEL:\x07 NUL:\0 DEL:\x7F");
    assert_eq!(message.from().display(), b"token1~` token2'+_ token3*%!.-");
    assert_eq!(message.from_tag(), Some(&b"_token~1'+`*%!-."[..]));
    let param = message.from().params().get_unquoted(b"fromParam''~+*_!.-%").unwrap();
    assert_eq!(std::str::from_utf8(&param).unwrap(), "работающий");
    assert_eq!(message.call_id(), b"intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{");
    assert_eq!(message.top_via().unwrap().branch(), Some(&b"z9hG4bK-.!%66*_+`'~"[..]));
    let extension = message.header(HeaderName::Other(b"extensionHeader-!.%*+_`'~")).unwrap();
    assert_eq!(std::str::from_utf8(extension).unwrap(), "\u{feff}大停電");
}

#[test]
fn esc01_escapes_in_uris() {
    let message = valid("esc01");
    let uri = message.parsed_request_uri().unwrap();
    assert_eq!(uri.user_unescaped().unwrap(), &b"sips:user@example.com"[..]);
    assert_eq!(uri.host(), b"example.net");
    let to = message.to().parsed_uri().unwrap();
    assert!(to.is_equivalent(&Uri::parse(b"sip:user@example.com").unwrap()));
    let from = message.from().parsed_uri().unwrap();
    assert_eq!(from.user_unescaped().unwrap(), &b"I have spaces"[..]);
    let contact = message.contact().unwrap().parsed_uri().unwrap();
    assert_eq!(contact.user_unescaped().unwrap(), &b"caller"[..]);
    assert!(contact.params().has(b"%6C%72"));
    assert_eq!(message.content_type(), Some(&b"application/sdp"[..]));
}

#[test]
fn escnull_escaped_nulls_in_uris() {
    let message = valid("escnull");
    assert_eq!(message.method(), Method::Register);
    let to = message.to().parsed_uri().unwrap();
    assert_eq!(to.user_unescaped().unwrap(), &b"null-\0-null"[..]);
    let contacts: Vec<_> = message.contacts().map(|contact| contact.uri().to_vec()).collect();
    assert_eq!(contacts, [&b"sip:%00@host5.example.com"[..], b"sip:%00%00@host5.example.com"]);
    let (one, two) = (Uri::parse(&contacts[0]).unwrap(), Uri::parse(&contacts[1]).unwrap());
    assert!(!one.is_equivalent(&two));
}

#[test]
fn esc02_percent_signs_that_are_no_escapes() {
    let message = valid("esc02");
    assert_eq!(message.method(), Method::Extension(b"RE%47IST%45R"));
    assert_eq!(&*message.to().display_unquoted(), b"%Z%45");
    assert_eq!(message.contacts().count(), 2, "C%6Fntact is another header");
    assert!(message.header(HeaderName::Other(b"C%6Fntact")).is_some());
}

#[test]
fn lwsdisp_no_white_space_between_name_and_bracket() {
    let message = valid("lwsdisp");
    assert_eq!(message.from().display(), b"caller");
    assert_eq!(message.from().uri(), b"sip:caller@example.com");
}

#[test]
fn longreq_long_values() {
    let message = valid("longreq");
    assert_eq!(message.vias().count(), 34);
    assert_eq!(message.vias().last().unwrap().branch().unwrap().len(), 215);
    assert_eq!(message.from_tag().unwrap().len(), 106);
    assert_eq!(message.to().parsed_uri().unwrap().port(), Some(6000));
    assert_eq!(message.contact().unwrap().parsed_uri().unwrap().user().unwrap().len(), 115);
    assert_eq!(message.body_bytes().len(), 150);
    assert_eq!(message.header_lines().count(), 43);
}

#[test]
fn dblreq_what_follows_the_message_in_a_datagram_is_ignored() {
    let message = valid("dblreq");
    assert_eq!(message.method(), Method::Register);
    assert_eq!(message.call_id(), b"dblreq.0ha0isndaksdj99sdfafnl3lk233412");
    assert!(message.body_bytes().is_empty());
}

#[test]
fn semiuri_semicolons_in_the_user_part() {
    let message = valid("semiuri");
    let uri = message.parsed_request_uri().unwrap();
    assert_eq!(uri.user_unescaped().unwrap(), &b"user;par=u@example.net"[..]);
    assert_eq!(uri.host(), b"example.com");
    assert!(uri.params().iter().next().is_none());
    assert_eq!(values(&message, HeaderName::Accept).len(), 6);
    assert_eq!(values(&message, HeaderName::Accept)[5], "message/sipfrag");
}

#[test]
fn transports_known_and_unknown() {
    let message = valid("transports");
    let transports: Vec<_> = message.vias().map(|via| via.transport()).collect();
    assert_eq!(transports, [&b"UDP"[..], b"SCTP", b"TLS", b"UNKNOWN", b"TCP"]);
}

#[test]
fn mpart01_a_binary_body() {
    let message = valid("mpart01");
    assert_eq!(message.method(), Method::Message);
    assert_eq!(message.content_type(), Some(&b"multipart/mixed;boundary=7a9cbec02ceef655"[..]));
    let whole = file("mpart01");
    assert_eq!(message.body(), whole.slice(whole.len() - 553..));
    assert_eq!(message.top_via().unwrap().rport(), Some(None));
}

#[test]
fn unreason_a_reason_phrase_beyond_ascii() {
    let message = valid("unreason");
    assert_eq!(message.status(), 200);
    let reason = std::str::from_utf8(message.reason()).unwrap();
    assert_eq!(reason, "= 2**3 * 5**2 но сто девяносто девять - простое");
    assert_eq!(message.method(), Method::Invite);
}

#[test]
fn noreason_an_empty_reason_phrase() {
    let message = valid("noreason");
    assert_eq!((message.status(), message.reason()), (100, &b""[..]));
    assert_eq!(message.contact().unwrap().uri(), b"sip:user@host105.example.com");
}

#[test]
fn invalid_requests_are_answered() {
    refused("badinv01", 400);
    refused("clerr", 400);
    refused("ncl", 400);
    refused("scalar02", 400);
    refused("quotbal", 400);
    refused("ltgtruri", 400);
    refused("lwsruri", 400);
    refused("lwsstart", 400);
    refused("trws", 400);
    refused("escruri", 400);
    refused("baddate", 400);
    refused("regbadct", 400);
    refused("badaspec", 400);
    refused("baddn", 400);
    refused("badvers", 505);
    refused("mismatch01", 400);
    refused("mismatch02", 400);
}

#[test]
fn invalid_responses_are_dropped() {
    dropped("scalarlg");
    dropped("bigcode");
}

#[test]
fn badbranch_is_read_and_its_branch_is_empty_after_the_cookie() {
    assert_eq!(valid("badbranch").top_via().unwrap().branch(), Some(&b"z9hG4bK"[..]));
}

#[test]
fn requests_that_only_an_application_would_refuse() {
    let insufficient = refused("insuf", 400);
    assert_eq!(insufficient.call_id(), b"");
    assert_eq!(insufficient.cseq(), (193942, Method::Invite));
    refused("unkscm", 416);
    refused("novelsc", 416);
    refused("multi01", 400);
    refused("mcl01", 400);
}

#[test]
fn unksm2_unknown_schemes_in_to_and_contact_reach_the_registrar() {
    let message = valid("unksm2");
    assert_eq!(message.to().parsed_uri().unwrap().scheme(), Scheme::Other(b"isbn"));
    assert_eq!(message.from_tag(), Some(&b"3234233"[..]));
    assert_eq!(message.contact().unwrap().uri(), b"name:John_Smith");
}

#[test]
fn bext01_unknown_extensions_are_seen() {
    let message = valid("bext01");
    assert!(message.requires(b"nothingSupportsThisEither"));
    assert_eq!(message.tokens(HeaderName::ProxyRequire).count(), 2);
}

#[test]
fn invut_and_sdp01_bodies_are_not_looked_into() {
    assert_eq!(valid("invut").content_type(), Some(&b"application/unknownformat"[..]));
    assert_eq!(valid("invut").body_bytes().len(), 40);
    assert_eq!(values(&valid("sdp01"), HeaderName::Accept), ["text/nobodyKnowsThis"]);
}

#[test]
fn regaut01_an_unknown_authentication_scheme_is_told() {
    let message = valid("regaut01");
    let (scheme, _) =
        AuthParams::parse(message.header(HeaderName::Authorization).unwrap()).unwrap();
    assert_eq!(scheme, AuthScheme::Other);
}

#[test]
fn bcast_and_zeromf_are_read() {
    assert_eq!(valid("bcast").vias().count(), 2);
    assert_eq!(valid("zeromf").max_forwards(), Some(0));
}

#[test]
fn contact_parameters_belong_to_the_header_without_brackets_and_to_the_uri_within() {
    let without = valid("cparam01");
    assert!(without.contact().unwrap().params().has(b"unknownparam"));
    assert!(!without.contact().unwrap().parsed_uri().unwrap().params().has(b"unknownparam"));
    let within = valid("cparam02");
    assert!(!within.contact().unwrap().params().has(b"unknownparam"));
    assert!(within.contact().unwrap().parsed_uri().unwrap().params().has(b"unknownparam"));
}

#[test]
fn regescrt_escaped_headers_stay_part_of_the_contact() {
    let message = valid("regescrt");
    let uri = message.contact().unwrap().parsed_uri().unwrap();
    assert_eq!(uri.headers(), Some(&b"Route=%3Csip:sip.example.com%3E"[..]));
}

#[test]
fn inv2543_a_request_of_the_old_protocol() {
    let message = valid("inv2543");
    assert_eq!(message.max_forwards(), None);
    assert_eq!(message.from_tag(), None);
    assert_eq!(message.top_via().unwrap().branch(), None);
    assert!(message.body_bytes().ends_with(b"m=audio 49217 RTP/AVP 0\r\n"));
}
