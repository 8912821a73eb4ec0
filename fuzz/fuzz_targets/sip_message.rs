//! Arbitrary bytes as a datagram and as a stream cut in two. The work is `sip::message::probe`, so
//! that it compiles with every build.
//!
//! `cargo +nightly fuzz run sip_message fuzz/corpus/sip_message sip/tests/torture`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let cut = bytes.first().map_or(0, |&byte| usize::from(byte) * bytes.len() / 256);
    sip::message::probe::message(bytes);
    sip::message::probe::stream(bytes, cut);
});
