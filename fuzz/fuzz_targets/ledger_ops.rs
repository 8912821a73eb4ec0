//! Any operations on the ledger and on credit control keep the books; the work is `books::run`.
//!
//! `cargo +nightly fuzz run ledger_ops`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tandem_fuzz::books::run(bytes));
