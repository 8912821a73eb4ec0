//! Bytes as a journal record: arbitrary ones, and a record that was written and then damaged.

use std::sync::OnceLock;

use billing::{OpenCall, Record};

use crate::{Choices, books};

/// One run.
pub fn run(bytes: &[u8]) {
    decode(bytes);
    decode_call(bytes);
    decode(&damaged(&mut Choices::new(bytes)));
}

/// A decoder answers any bytes with an error or with a record that survives being written and
/// read again.
fn decode(bytes: &[u8]) {
    let Ok(record) = Record::decode(bytes) else { return };
    let mut written = Vec::new();
    record.encode(&mut written);
    assert_eq!(Record::decode(&written).as_ref(), Ok(&record));
    let mut again = Vec::new();
    Record::decode(&written).expect("read a line above").encode(&mut again);
    assert_eq!(written, again);
    if let Record::Opened(call) = &record {
        decode_call(&call.encode());
    }
}

fn decode_call(bytes: &[u8]) {
    if let Ok(call) = OpenCall::decode(bytes) {
        assert_eq!(OpenCall::decode(&call.encode()), Ok(call));
    }
}

/// A real record with some bytes changed, put in, taken out, or cut off.
fn damaged(choices: &mut Choices<'_>) -> Vec<u8> {
    let records = samples();
    let mut bytes = records[usize::from(choices.byte()) % records.len()].clone();
    while let Some(what) = choices.next() {
        let at = usize::from(choices.byte()) * bytes.len().max(1) / 256;
        match what % 4 {
            0 if at < bytes.len() => bytes[at] = choices.byte(),
            1 => bytes.insert(at, choices.byte()),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            _ => bytes.truncate(at.max(2)),
        }
    }
    bytes
}

/// One record of every kind and then some.
fn samples() -> &'static [Vec<u8>] {
    static SAMPLES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let encode = |record: &Record| {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            bytes
        };
        books::sample_records().iter().map(encode).collect()
    })
}
