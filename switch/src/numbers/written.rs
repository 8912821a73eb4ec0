//! A number as somebody wrote it, while rules work on it: a text of fixed size, so that they need no
//! memory of their own.

/// The longest text that rules work on. Nothing longer is a number.
pub const SIGNS_MAX: usize = 47;

/// Digits, `*`, `#` and a leading `+`; visual separators (RFC 3966 section 5.1.1) are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    signs: [u8; SIGNS_MAX],
    length: u8,
}

/// Whether a number may hold this sign. A `+` only begins one.
pub(super) fn is_sign(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'*' | b'#')
}

impl Written {
    /// `None` if the text is empty, too long or holds something else: then no rule is about it.
    pub fn of(text: &str) -> Option<Written> {
        let mut written = Written { signs: [0; SIGNS_MAX], length: 0 };
        for byte in text.bytes() {
            match byte {
                b'-' | b'.' | b'(' | b')' | b' ' => continue,
                b'+' if written.length == 0 => {}
                _ if is_sign(byte) => {}
                _ => return None,
            }
            *written.signs.get_mut(usize::from(written.length))? = byte;
            written.length += 1;
        }
        (written.length > 0).then_some(written)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("only ASCII is stored")
    }

    /// As bytes, for patterns.
    pub fn as_bytes(&self) -> &[u8] {
        &self.signs[..usize::from(self.length)]
    }

    /// Without the first `strip` signs, and with `prepend` in front instead. `None` if that is
    /// empty, too long, or has a `+` that does not begin it.
    pub(super) fn rewritten(&self, strip: u8, prepend: &str) -> Option<Written> {
        let rest = self.as_bytes().get(usize::from(strip)..)?;
        let length = prepend.len() + rest.len();
        let is_split_by_plus = !prepend.is_empty() && rest.first() == Some(&b'+');
        if length == 0 || length > SIGNS_MAX || is_split_by_plus {
            return None;
        }
        let mut written = Written { signs: [0; SIGNS_MAX], length: length as u8 };
        written.signs[..prepend.len()].copy_from_slice(prepend.as_bytes());
        written.signs[prepend.len()..length].copy_from_slice(rest);
        Some(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(Written::of(text).as_ref().map(Written::as_str), expected);
    }

    #[test]
    fn separators_are_dropped_and_letters_are_no_number() {
        check("+49 (30) 12-34", Some("+49301234"));
        check("*101#", Some("*101#"));
        check("49+30", None);
        check("alice", None);
        check("", None);
        check(" - ", None);
        check(&"1".repeat(SIGNS_MAX), Some(&"1".repeat(SIGNS_MAX)));
        check(&"1".repeat(SIGNS_MAX + 1), None);
    }

    #[test]
    fn a_rewrite_that_leaves_no_number_is_none() {
        let written = Written::of("+4930").unwrap();
        let as_text = |rewritten: Option<Written>| rewritten.map(|w| w.as_str().to_owned());
        assert_eq!(as_text(written.rewritten(1, "00")), Some("004930".into()));
        assert_eq!(as_text(written.rewritten(3, "")), Some("30".into()));
        assert_eq!(as_text(written.rewritten(5, "112")), Some("112".into()));
        assert_eq!(as_text(written.rewritten(0, "99")), None);
        assert_eq!(as_text(written.rewritten(5, "")), None);
        assert_eq!(as_text(written.rewritten(6, "1")), None);
        assert_eq!(as_text(written.rewritten(1, &"1".repeat(SIGNS_MAX))), None);
    }
}
