//! Properties of parser, framer and writer: nothing panics, printing and parsing are inverse, and
//! the framer and the parser agree about where a message ends.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use proptest::prelude::*;
use sip::message::{
    Frame, Framer, HeaderName, Limits, Message, Method, RequestDraft, peek_call_id, probe,
};

fn torture() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torture");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "dat"));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[derive(Clone, Debug)]
enum Mutation {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, u8),
    Repeat(prop::sample::Index, u8),
    Truncate(prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..4),
        prop::sample::select(vec![
            "\r\n",
            "\r\n ",
            "\"",
            "<",
            ">",
            ";",
            ",",
            ":",
            "@",
            "%",
            "=",
            "\\",
            "\0",
            "[",
            "]",
            "Via: ",
            "To: ",
            "l: 5\r\n",
            " SIP/2.0",
            "sip:",
            "tag=",
            "?",
            "99999999999",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at(), piece).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        (at(), 1..40u8).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (at(), 1..80u8).prop_map(|(at, length)| Mutation::Repeat(at, length)),
        at().prop_map(Mutation::Truncate),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    let end = |at: usize, length: u8, len: usize| (at + usize::from(length)).min(len);
    match mutation {
        _ if bytes.is_empty() => {}
        Mutation::Set(at, byte) => *at.get_mut(bytes) = *byte,
        Mutation::Insert(at, piece) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, piece.iter().copied());
        }
        Mutation::Remove(at, length) => {
            let at = at.index(bytes.len());
            let end = end(at, *length, bytes.len());
            bytes.drain(at..end);
        }
        Mutation::Repeat(at, length) => {
            let at = at.index(bytes.len());
            let end = end(at, *length, bytes.len());
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        Mutation::Truncate(at) => {
            let at = at.index(bytes.len());
            bytes.truncate(at);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..600), cut in 0..600usize) {
        probe::message(&bytes);
        probe::stream(&bytes, cut);
    }

    #[test]
    fn mutations_of_real_messages_do_no_harm(
        which in any::<prop::sample::Index>(),
        mutations in prop::collection::vec(mutation(), 0..6),
        cut in 0..3000usize,
    ) {
        let all = torture();
        let mut bytes = which.get(&all).clone();
        for each in &mutations {
            mutate(&mut bytes, each);
        }
        probe::message(&bytes);
        probe::stream(&bytes, cut);
    }

    #[test]
    fn what_is_written_is_read(
        user in "[a-z0-9+]{1,12}",
        tag in "[a-zA-Z0-9]{1,12}",
        subject in "[^\r\n\0]{0,40}",
        cseq in 0..(1u32 << 31),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let uri = format!("sip:{user}@example.com");
        let bytes = RequestDraft::new(Method::Message, uri.as_bytes())
            .header(HeaderName::From, format!("<{uri}>;tag={tag}"))
            .header(HeaderName::To, format!("\"{user}\" <{uri}>"))
            .header(HeaderName::CallId, &tag)
            .header(HeaderName::Subject, &subject)
            .header_fmt(HeaderName::CSeq, format_args!("{cseq} MESSAGE"))
            .body(b"application/octet-stream", Bytes::from(body.clone()))
            .finish(b"SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKa");
        let message = Message::parse(bytes.clone()).expect("what we write is valid");
        prop_assert_eq!(message.request_uri(), uri.as_bytes());
        prop_assert_eq!(message.from_tag(), Some(tag.as_bytes()));
        prop_assert_eq!(message.to().uri(), uri.as_bytes());
        prop_assert_eq!(message.cseq(), (cseq, Method::Message));
        let subject_bytes = subject.trim_matches([' ', '\t']).as_bytes();
        prop_assert_eq!(message.header(HeaderName::Subject), Some(subject_bytes));
        prop_assert_eq!(message.body_bytes(), &body[..]);
        prop_assert_eq!(peek_call_id(&bytes), Some(tag.as_bytes()));

        let mut framer = Framer::new(Limits::default());
        framer.push(&bytes);
        prop_assert_eq!(framer.poll_frame(), Some(Frame::Message(bytes)));

        let mut copy = RequestDraft::new(message.method(), message.request_uri());
        let kept = |name: HeaderName<'_>| {
            name != HeaderName::Via && name != HeaderName::ContentLength && name != HeaderName::ContentType
        };
        let mut kept_lines = Vec::new();
        for line in message.header_lines().filter(|line| kept(line.name)) {
            copy = copy.raw(line.raw);
            kept_lines.push(line.raw.to_vec());
        }
        let copy = Message::parse(copy.finish(b"SIP/2.0/UDP h;branch=z9hG4bKb")).expect("a copy is valid");
        let mut lines = copy.header_lines().map(|line| line.raw);
        for line in &kept_lines {
            prop_assert!(lines.by_ref().any(|copied| copied == &line[..]), "byte for byte, in order");
        }
    }
}
