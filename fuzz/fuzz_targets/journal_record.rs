//! Arbitrary bytes, and damaged records, as a journal record; the work is `journal::run`.
//!
//! `cargo +nightly fuzz run journal_record`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tandem_fuzz::journal::run(bytes));
