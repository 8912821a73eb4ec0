//! Parsing and reading the usual messages allocates nothing; writing one allocates its buffer.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use sip::message::{Message, ResponseDraft, peek_call_id};

#[path = "../benches/messages/mod.rs"]
mod messages;

/// Shared, as the slices of a receive buffer are: the first clone of an unshared `Bytes` allocates.
fn received(text: String) -> Bytes {
    let bytes = Bytes::from(text.into_bytes());
    bytes.clone()
}

#[track_caller]
fn check(text: String) {
    let bytes = received(text);
    let counted = allocation_counter::measure(|| {
        assert!(peek_call_id(&bytes).is_some());
        let message = Message::parse(bytes.clone()).unwrap();
        let via = message.top_via().unwrap();
        assert!(via.branch().is_some() && via.host_ip().is_some());
        assert!(message.from_tag().is_some() && message.to_tag().is_none_or(|tag| !tag.is_empty()));
        assert!(message.contact().unwrap().parsed_uri().unwrap().host_ip().is_some());
        assert!(message.cseq().0 > 0 && !message.call_id().is_empty());
        assert_eq!(message.body(), message.body_bytes());
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn the_usual_messages_are_read_without_an_allocation() {
    check(messages::invite());
    check(messages::register());
    check(messages::ok());
}

#[test]
fn a_response_is_written_into_one_buffer() {
    let request = Message::parse(received(messages::invite())).unwrap();
    let counted = allocation_counter::measure(|| {
        drop(ResponseDraft::with_tag(&request, 180, "", b"8321234356").finish());
    });
    assert!(counted.count_total <= 2, "the buffer and the count of its owners: {counted:?}");
}
