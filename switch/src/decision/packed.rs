//! Sentences packed for the time in which a call is only held: some 1.5 KB of text in some 300 bytes.
//!
//! ```text
//! record   := { 0xFF word sentence }            0xFF occurs in no UTF-8
//! word     := place of the code in MODEL, or RARE: the next of `rare`
//! packed   := { lengths [more] literals place [more] } lengths [more] literals
//! lengths  := literals in the upper three bits, copied bytes - COPY_MIN in the lower five;
//!             7 and 31 and what is above: see `more`
//! more     := { 255 } rest                       what is above 7 or 31
//! place    := two bytes, low one first: where to copy from, in MODEL and the record behind it
//! ```
//!
//! Whatever the sentences are they come back as they were; the more they are like those of the model
//! and like one another, the shorter they get.

use std::sync::LazyLock;

use vocabulary::DecisionLine;

use super::model::MODEL;

/// In place of a code that the model does not have.
const RARE: u8 = 0x7F;
const BEGIN: u8 = 0xFF;
/// A copy costs three bytes.
const COPY_MIN: usize = 4;
/// From so many literals or copied bytes on there are more bytes of length.
const LITERALS_MORE: usize = 7;
const COPIED_MORE: usize = 31;
const HASH_BITS: u32 = 11;
/// Bytes up to here can be copied from: a place is two bytes.
const REACH: usize = u16::MAX as usize;

type Places = [u16; 1 << HASH_BITS];

/// Reasons of a held call.
#[derive(Default)]
pub(super) struct Packed {
    bytes: Box<[u8]>,
    /// Codes that the model does not have, in order.
    rare: Box<[&'static str]>,
}

/// The model as bytes, and where its sequences of `COPY_MIN` bytes were seen last.
struct Window {
    text: Vec<u8>,
    places: Places,
}

static WINDOW: LazyLock<Window> = LazyLock::new(|| {
    let mut text = Vec::new();
    for (code, sentence) in MODEL {
        text.extend([BEGIN, word(code)]);
        text.extend(sentence.as_bytes());
    }
    let mut places = [0; 1 << HASH_BITS];
    for at in 0..text.len().saturating_sub(COPY_MIN) {
        places[hash(&text[at..])] = at as u16;
    }
    Window { text, places }
});

impl Packed {
    pub(super) fn new(lines: &[DecisionLine]) -> Packed {
        let window = &*WINDOW;
        let length: usize = lines.iter().map(|line| line.sentence.len() + 2).sum();
        let mut text = Vec::with_capacity(window.text.len() + length);
        text.extend(&window.text);
        let mut rare = Vec::new();
        for line in lines {
            let word = word(line.code);
            if word == RARE {
                rare.push(line.code);
            }
            text.extend([BEGIN, word]);
            text.extend(line.sentence.as_bytes());
        }
        let bytes = pack(&text, window.text.len(), &window.places);
        // Copied, not shrunk: an allocator may leave what is shrunk in a block of twice its size.
        Packed { bytes: bytes.as_slice().into(), rare: rare.as_slice().into() }
    }

    /// The very lines.
    pub(super) fn lines(&self) -> Vec<DecisionLine> {
        if self.bytes.is_empty() {
            return Vec::new();
        }
        let model = &WINDOW.text;
        let text = unpack(&self.bytes, model).expect("packed above");
        let mut rare = self.rare.iter();
        let lines = text[model.len()..].split(|byte| *byte == BEGIN).skip(1);
        let lines = lines.map(|line| {
            let (word, sentence) = line.split_first().expect("a word is never the last byte");
            let code = match MODEL.get(usize::from(*word)) {
                Some((code, _)) => code,
                None => *rare.next().expect("one for each such word"),
            };
            let sentence = String::from_utf8(sentence.to_vec()).expect("it was text");
            DecisionLine { code, sentence }
        });
        lines.collect()
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + size_of_val::<[_]>(&self.rare)
    }
}

/// The first place of this code in the model.
fn word(code: &str) -> u8 {
    let place = MODEL.iter().position(|(known, _)| *known == code);
    place.and_then(|place| u8::try_from(place).ok()).map_or(RARE, |place| place.min(RARE))
}

fn hash(bytes: &[u8]) -> usize {
    let four = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    (four.wrapping_mul(0x9E37_79B1) >> (u32::BITS - HASH_BITS)) as usize
}

/// Packs `text[from..]`; what is before may be copied from.
fn pack(text: &[u8], from: usize, model: &Places) -> Vec<u8> {
    let mut places = *model;
    let mut out = Vec::with_capacity((text.len() - from) / 3);
    let (mut at, mut literals) = (from, from);
    while at + COPY_MIN <= text.len() {
        let key = hash(&text[at..]);
        // The newest of its kind, or the model's.
        let found = [places[key], model[key]].map(usize::from);
        let found = found.map(|place| (same(&text[at..], &text[place..at]), place));
        let (length, place) = found[0].max(found[1]);
        if at < REACH {
            places[key] = at as u16;
        }
        if length < COPY_MIN {
            at += 1;
            continue;
        }
        put_lengths(&text[literals..at], length - COPY_MIN, &mut out);
        out.extend((place as u16).to_le_bytes());
        put_more(length - COPY_MIN, COPIED_MORE, &mut out);
        // What is copied is the newest of its kind too.
        for seen in at + 1..(at + length).min(text.len() - COPY_MIN).min(REACH) {
            places[hash(&text[seen..])] = seen as u16;
        }
        at += length;
        literals = at;
    }
    put_lengths(&text[literals..], 0, &mut out);
    out
}

fn same(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The lengths and the literals.
fn put_lengths(literals: &[u8], copied: usize, out: &mut Vec<u8>) {
    out.push((literals.len().min(LITERALS_MORE) << 5 | copied.min(COPIED_MORE)) as u8);
    put_more(literals.len(), LITERALS_MORE, out);
    out.extend(literals);
}

fn put_more(length: usize, from: usize, out: &mut Vec<u8>) {
    let Some(mut more) = length.checked_sub(from) else { return };
    while more >= 255 {
        out.push(255);
        more -= 255;
    }
    out.push(more as u8);
}

/// `model` with the text behind it; `None` if that is not what `pack` has made.
fn unpack(mut packed: &[u8], model: &[u8]) -> Option<Vec<u8>> {
    let from = &mut packed;
    let mut text = Vec::with_capacity(model.len() + from.len() * 6);
    text.extend(model);
    loop {
        let lengths = usize::from(byte(from)?);
        let literals = with_more(lengths >> 5, LITERALS_MORE, from)?;
        let (literals, rest) = from.split_at_checked(literals)?;
        text.extend(literals);
        *from = rest;
        if from.is_empty() {
            return Some(text);
        }
        let place = usize::from(u16::from_le_bytes([byte(from)?, byte(from)?]));
        let length = with_more(lengths & COPIED_MORE, COPIED_MORE, from)? + COPY_MIN;
        if place + length > text.len() {
            return None;
        }
        text.extend_from_within(place..place + length);
    }
}

fn byte(from: &mut &[u8]) -> Option<u8> {
    let (first, rest) = from.split_first()?;
    *from = rest;
    Some(*first)
}

fn with_more(length: usize, more_from: usize, from: &mut &[u8]) -> Option<usize> {
    if length < more_from {
        return Some(length);
    }
    let mut all = length;
    loop {
        let more = byte(from)?;
        all += usize::from(more);
        if more < 255 {
            return Some(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_model_fits_its_words_and_places() {
        assert!(MODEL.len() < usize::from(RARE));
        assert!(WINDOW.text.len() < 4096, "{} bytes are read for each call", WINDOW.text.len());
    }

    #[test]
    fn a_sentence_of_the_model_takes_a_few_bytes() {
        for (code, sentence) in MODEL {
            let lines = [DecisionLine { code, sentence: (*sentence).to_owned() }];
            let packed = Packed::new(&lines);
            assert!(packed.size() <= 16, "{code}: {} bytes", packed.size());
            assert_eq!(packed.lines(), lines);
        }
    }

    #[test]
    fn more_text_than_a_place_reaches_comes_back() {
        let sentence = "Tried trunk 7 at 192.0.2.1:5060. ".repeat(5_000);
        let lines = [
            DecisionLine { code: "tried_trunk", sentence: sentence.clone() },
            DecisionLine { code: "of_its_own", sentence },
        ];
        assert_eq!(Packed::new(&lines).lines(), lines);
    }

    fn line() -> impl Strategy<Value = DecisionLine> {
        let codes: Vec<&'static str> =
            MODEL.iter().map(|(code, _)| *code).chain(["of_its_own", ""]).collect();
        let model = prop::sample::select(MODEL).prop_map(|(_, sentence)| sentence.to_owned());
        let sentence = prop_oneof![
            ".{0,300}",
            model,
            "Trunk [0-9]{1,4} of carrier [0-9]{1,4} costs 0\\.[0-9]{6} EUR for 60 s\\.",
            "[ab]{0,600}",
        ];
        (prop::sample::select(codes), sentence)
            .prop_map(|(code, sentence)| DecisionLine { code, sentence })
    }

    proptest! {
        #[test]
        fn any_lines_come_back(lines in prop::collection::vec(line(), 0..40)) {
            prop_assert_eq!(Packed::new(&lines).lines(), lines);
        }

        #[test]
        fn any_bytes_unpack_to_something_or_nothing(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = unpack(&bytes, b"a model");
        }
    }
}
