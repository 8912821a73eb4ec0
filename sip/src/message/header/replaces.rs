//! Replaces (RFC 3891 section 6.1): which dialog a new one takes the place of.

use super::Params;
use crate::message::text::trim;

/// Names a dialog, as the side that keeps it sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaces<'a> {
    /// Its Call-ID.
    pub call_id: &'a [u8],
    /// The tag of whoever keeps it.
    pub to_tag: &'a [u8],
    /// The other tag.
    pub from_tag: &'a [u8],
    /// Only if it has not been answered yet.
    pub is_early_only: bool,
}

impl<'a> Replaces<'a> {
    /// Reads a value. `None` without a Call-ID or one of the tags.
    pub fn parse(value: &'a [u8]) -> Option<Replaces<'a>> {
        let end = value.iter().position(|byte| *byte == b';')?;
        let params = Params::new(&value[end..]);
        let call_id = trim(&value[..end]);
        let replaces = Replaces {
            call_id,
            to_tag: params.get(b"to-tag")?,
            from_tag: params.get(b"from-tag")?,
            is_early_only: params.has(b"early-only"),
        };
        (!call_id.is_empty()).then_some(replaces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Option<(&str, &str, &str, bool)>) {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        let found = Replaces::parse(value.as_bytes()).map(|found| {
            let Replaces { call_id, to_tag, from_tag, is_early_only } = found;
            (text(call_id), text(to_tag), text(from_tag), is_early_only)
        });
        assert_eq!(found, expected, "{value}");
    }

    /// The values are those of RFC 3891 section 6.1.
    #[test]
    fn a_dialog_is_named_by_its_call_id_and_both_tags() {
        check(
            "98732@sip.example.com;from-tag=r33th4x0r;to-tag=ff87ff",
            Some(("98732@sip.example.com", "ff87ff", "r33th4x0r", false)),
        );
        check(
            "12adf2f34456gs5;to-tag=12345;from-tag=54321",
            Some(("12adf2f34456gs5", "12345", "54321", false)),
        );
        check("87134@171.161.34.23;to-tag=24796;from-tag=0;early-only", {
            Some(("87134@171.161.34.23", "24796", "0", true))
        });
        check(" a ; To-Tag = b ; from-tag=c", Some(("a", "b", "c", false)));
        for value in ["", "a", "a;to-tag=b", "a;from-tag=b", ";to-tag=b;from-tag=c"] {
            check(value, None);
        }
    }
}
