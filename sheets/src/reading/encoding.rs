//! How a text file is encoded: by its mark, by its zero bytes, by being UTF-8, or else as Windows
//! writes it in western Europe.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::ReadError;

pub(super) struct Decoded<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) encoding: &'static str,
    pub(super) has_unreadable_characters: bool,
}

pub(super) fn decode<'a>(bytes: &'a [u8], label: Option<&str>) -> Result<Decoded<'a>, ReadError> {
    let encoding = match label {
        Some(label) => Encoding::for_label(label.as_bytes())
            .ok_or_else(|| ReadError::NoSuchEncoding(label.to_owned()))?,
        None => guess(bytes),
    };
    // A byte order mark wins over everything.
    let (text, encoding, has_unreadable_characters) = encoding.decode(bytes);
    Ok(Decoded { text, encoding: encoding.name(), has_unreadable_characters })
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    let sample = &bytes[..bytes.len().min(4_096)];
    let zeros = |odd: usize| sample.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    // Latin text in UTF-16 has a zero in every second byte.
    if zeros(1) * 4 > sample.len() {
        return UTF_16LE;
    }
    if zeros(0) * 4 > sample.len() {
        return UTF_16BE;
    }
    if std::str::from_utf8(bytes).is_ok() { UTF_8 } else { WINDOWS_1252 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], label: Option<&str>, text: &str, encoding: &str) {
        let decoded = decode(bytes, label).unwrap();
        assert_eq!((&*decoded.text, decoded.encoding), (text, encoding));
    }

    #[test]
    fn the_usual_encodings_are_recognised() {
        check("Türkei".as_bytes(), None, "Türkei", "UTF-8");
        check(b"\xef\xbb\xbfa", None, "a", "UTF-8");
        check(b"T\xfcrkei", None, "Türkei", "windows-1252");
        check(b"\xff\xfea\0b\0", None, "ab", "UTF-16LE");
        check(b"a\0b\0c\0d\0", None, "abcd", "UTF-16LE");
        check(b"\0a\0b\0c\0d", None, "abcd", "UTF-16BE");
        check(b"\xd2", Some("windows-1251"), "Т", "windows-1251");
        assert!(decode(b"a", Some("klingon")).is_err());
    }
}
