//! What fuzzing and property tests do with arbitrary bytes: call everything, and check that the
//! parts agree. Part of the crate, so that it compiles with every build.

use bytes::Bytes;

use super::header::AuthParams;
use super::uri::Uri;
use super::{Frame, Framer, HeaderName, Limits, Malformed, Message, ResponseDraft, peek_call_id};

/// Parses a datagram, calls every accessor, and answers what can be answered.
pub fn message(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    for parsed in [Message::parse(bytes.clone()), Message::parse_framed(bytes.clone())] {
        match parsed {
            Ok(message) => {
                assert_eq!(peek_call_id(&bytes), Some(message.call_id()));
                read_all(&message);
                assert!(message.top_via().is_some() && !message.call_id().is_empty());
                answer(&message, 200);
            }
            Err(Malformed { status, message, .. }) => {
                assert_eq!(status.is_some(), message.is_some());
                if let (Some(status), Some(message)) = (status, message) {
                    read_all(&message);
                    answer(&message, status);
                }
            }
        }
    }
}

/// Cuts a stream in two at `cut`, and checks that this changes nothing and that every message is
/// used up to its last byte.
pub fn stream(bytes: &[u8], cut: usize) {
    let cut = cut.min(bytes.len());
    let frames = |parts: [&[u8]; 2]| {
        let mut framer = Framer::new(Limits::default());
        let mut frames = Vec::new();
        for part in parts {
            framer.push(part);
            while let Some(frame) = framer.poll_frame() {
                frames.push(frame);
            }
        }
        frames
    };
    let whole = frames([bytes, b""]);
    let broken_at = whole.iter().position(|frame| matches!(frame, Frame::Broken(_)));
    // How much a broken frame holds depends on how much had arrived.
    let sound = broken_at.unwrap_or(whole.len());
    let parts = frames([&bytes[..cut], &bytes[cut..]]);
    assert_eq!(whole.get(..sound), parts.get(..sound));
    assert_eq!(whole.len(), parts.len());
    for frame in whole {
        if let Frame::Message(bytes) = frame {
            let parsed = Message::parse_framed(bytes.clone());
            if let Ok(message) = parsed {
                let body_end = message.body_bytes().as_ptr_range().end;
                assert_eq!(body_end, bytes.as_ptr_range().end);
            }
        }
    }
}

fn read_all(message: &Message) {
    let _ = (message.method(), message.status(), message.reason(), message.cseq());
    let _ = (message.max_forwards(), message.expires(), message.min_expires(), message.rseq());
    let _ = (message.rack(), message.session_expires(), message.min_se(), message.retry_after());
    let _ = (message.supports(b"100rel"), message.requires(b"timer"), message.content_type());
    let _ = (message.reasons().count(), message.body().len(), format!("{message:?}"));
    for via in message.vias() {
        let _ = (via.branch(), via.rport(), via.received(), via.maddr(), via.is_well_formed());
    }
    for line in message.header_lines() {
        let _ = message.headers(line.name).count();
        assert!(message.header(line.name).is_some());
        let _ = AuthParams::parse(line.value).map(|(_, params)| params.count());
    }
    for name in [
        HeaderName::From,
        HeaderName::To,
        HeaderName::Contact,
        HeaderName::Route,
        HeaderName::RecordRoute,
        HeaderName::Path,
        HeaderName::PAssertedIdentity,
        HeaderName::Diversion,
        HeaderName::ReferTo,
    ] {
        for address in message.name_addrs(name) {
            let _ = (address.display_unquoted(), address.tag(), address.expires(), address.q());
            let _ = (address.instance(), address.reg_id(), address.is_well_formed());
            if let Some(uri) = address.parsed_uri() {
                read_uri(&uri);
            }
        }
    }
    if let Some(uri) = message.parsed_request_uri() {
        read_uri(&uri);
    }
}

fn read_uri(uri: &Uri<'_>) {
    let _ = (uri.user_unescaped(), uri.user_number(), uri.host_ip(), uri.transport());
    assert!(uri.is_equivalent(uri));
}

/// The answer must be a message itself if the request was one.
fn answer(request: &Message, status: u16) {
    if !request.is_request() {
        return;
    }
    let mut request = request.clone();
    request.set_source(([192, 0, 2, 1], 5060).into());
    let bytes = ResponseDraft::with_tag(&request, status, "", b"t").record_route(&request).finish();
    let answer = Message::parse(bytes);
    if status == 200 {
        let answer = answer.expect("an answer to a valid request is valid");
        assert_eq!(answer.call_id(), request.call_id());
        assert_eq!(answer.cseq(), request.cseq());
        assert_eq!(answer.vias().count(), request.vias().count());
        assert!(answer.to_tag().is_some());
    }
}
