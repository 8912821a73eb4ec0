//! How one record lies in a journal file: a word with a mark and the length, a CRC-32 over the
//! record's position, that word and the payload, then the payload. The position is part of the
//! checksum, so that a frame copied or left over at another place never passes for one.
//!
//! Two kinds: a record of the ledger, and a durability mark that the journal writes for itself. The
//! mark says up to where the file was on disk when it was written; with it a torn tail (never
//! acknowledged, may be cut off) is told from damage to acknowledged records (never cut off).

/// Bytes before the payload.
pub(crate) const FRAME_HEADER: usize = 8;
/// The longest payload: 20 bits of length.
pub const PAYLOAD_MAX: usize = (1 << 20) - 1;

const LENGTH_MASK: u32 = (1 << 20) - 1;
const RECORD_MARK: u32 = 0xD7A << 20;
const DURABLE_MARK: u32 = 0xD7B << 20;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A record of the ledger.
    Record,
    /// Eight bytes, little-endian: everything before this position is on disk.
    DurableMark,
}

/// One frame found in a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    /// Length in the file.
    pub(crate) fn length(&self) -> usize {
        FRAME_HEADER + self.payload.len()
    }

    /// For a durability mark: the position it vouches for.
    pub(crate) fn durable(&self) -> Option<u64> {
        match self.kind {
            Kind::Record => None,
            Kind::DurableMark => self.payload.try_into().ok().map(u64::from_le_bytes),
        }
    }
}

/// Why no frame could be read at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoFrame {
    /// The bytes end inside the frame.
    Short,
    /// The mark is missing or the checksum differs.
    Bad,
}

/// Appends a frame that starts at `position`; `fill` writes the payload straight into the buffer.
pub(crate) fn push(
    buffer: &mut Vec<u8>,
    position: u64,
    kind: Kind,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; FRAME_HEADER]);
    fill(buffer);
    let length = buffer.len() - start - FRAME_HEADER;
    assert!(length <= PAYLOAD_MAX, "a journal record has at most {PAYLOAD_MAX} bytes");
    let mark = match kind {
        Kind::Record => RECORD_MARK,
        Kind::DurableMark => DURABLE_MARK,
    };
    let word = mark | u32::try_from(length).expect("checked against PAYLOAD_MAX");
    let crc = checksum(position, word, &buffer[start + FRAME_HEADER..]);
    buffer[start..start + 4].copy_from_slice(&word.to_le_bytes());
    buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// Reads the frame that starts at `position`, which is where `bytes` begins.
pub(crate) fn read(bytes: &[u8], position: u64) -> Result<Frame<'_>, NoFrame> {
    let Some((word, rest)) = bytes.split_first_chunk::<4>() else { return Err(NoFrame::Short) };
    let word = u32::from_le_bytes(*word);
    let kind = match word & !LENGTH_MASK {
        RECORD_MARK => Kind::Record,
        DURABLE_MARK => Kind::DurableMark,
        _ => return Err(NoFrame::Bad),
    };
    let Some((crc, rest)) = rest.split_first_chunk::<4>() else { return Err(NoFrame::Short) };
    let length = (word & LENGTH_MASK) as usize;
    let payload = rest.get(..length).ok_or(NoFrame::Short)?;
    if checksum(position, word, payload) == u32::from_le_bytes(*crc) {
        Ok(Frame { kind, payload })
    } else {
        Err(NoFrame::Bad)
    }
}

fn checksum(position: u64, word: u32, payload: &[u8]) -> u32 {
    let mut head = [0; 12];
    head[..8].copy_from_slice(&position.to_le_bytes());
    head[8..].copy_from_slice(&word.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_back_only_at_its_own_position() {
        let mut buffer = Vec::new();
        push(&mut buffer, 700, Kind::Record, |b| b.extend_from_slice(b"hello"));
        let frame = read(&buffer, 700).unwrap();
        assert_eq!((frame.kind, frame.payload, frame.length()), (Kind::Record, &b"hello"[..], 13));
        assert_eq!(read(&buffer, 701).unwrap_err(), NoFrame::Bad);
    }

    #[test]
    fn every_flipped_bit_and_every_shorter_length_is_noticed() {
        let mut good = Vec::new();
        push(&mut good, 5, Kind::DurableMark, |b| b.extend_from_slice(&77u64.to_le_bytes()));
        assert_eq!(read(&good, 5).unwrap().durable(), Some(77));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bad, 5).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert_eq!(read(&good[..length], 5).unwrap_err(), NoFrame::Short);
        }
    }
}
