//! Any sequence of inputs to a shard settles every call once; the work is `calls::run`.
//!
//! `cargo +nightly fuzz run call_inputs`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tandem_fuzz::calls::run(bytes));
