//! name-addr and addr-spec with parameters: From, To, Contact, Route, Record-Route, Path,
//! P-Asserted-Identity, Diversion, Refer-To (RFC 3261 section 20.10).

use std::borrow::Cow;

use memchr::{memchr, memchr3};

use super::params::Params;
use crate::message::text;
use crate::message::uri::{self, Uri};

/// A display name, a URI and parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameAddr<'a> {
    display: &'a [u8],
    uri: &'a [u8],
    params: Params<'a>,
    is_bracketed: bool,
}

impl<'a> NameAddr<'a> {
    /// Reads one value. `None` if no URI can be found: an open quote, an open bracket, nothing.
    pub fn parse(value: &'a [u8]) -> Option<NameAddr<'a>> {
        let value = text::trim(value);
        let bracket = match value.first()? {
            b'"' => {
                let quoted = text::quoted_len(value)?;
                let spaces = value[quoted..].iter().take_while(|&&byte| text::is_lws(byte)).count();
                if value.get(quoted + spaces) != Some(&b'<') {
                    return None;
                }
                Some(quoted + spaces)
            }
            _ => memchr3(b'<', b';', b'"', value).filter(|&at| value[at] != b';'),
        };
        let Some(open) = bracket else { return NameAddr::addr_spec(value) };
        if value[open] == b'"' {
            return None;
        }
        let close = open + memchr(b'>', &value[open..])?;
        let params = text::trim_start(&value[close + 1..]);
        if !matches!(params.first(), None | Some(b';')) {
            return None;
        }
        let uri = &value[open + 1..close];
        if uri.is_empty() {
            return None;
        }
        let display = text::trim_end(&value[..open]);
        Some(NameAddr { display, uri, params: Params::new(params), is_bracketed: true })
    }

    /// Without brackets every semicolon begins a header parameter (RFC 3261 section 20.10).
    fn addr_spec(value: &'a [u8]) -> Option<NameAddr<'a>> {
        let end = memchr(b';', value).unwrap_or(value.len());
        let uri = text::trim_end(&value[..end]);
        if uri.is_empty() {
            return None;
        }
        let params = Params::new(&value[end..]);
        Some(NameAddr { display: b"", uri, params, is_bracketed: false })
    }

    /// The display name as received, with its quotes; empty without one.
    pub fn display(&self) -> &'a [u8] {
        self.display
    }

    /// The display name without quotes and their escapes.
    pub fn display_unquoted(&self) -> Cow<'a, [u8]> {
        text::unquote(self.display)
    }

    /// The URI as received, without brackets.
    pub fn uri(&self) -> &'a [u8] {
        self.uri
    }

    /// The URI in its parts.
    pub fn parsed_uri(&self) -> Option<Uri<'a>> {
        Uri::parse(self.uri)
    }

    /// Header parameters, which are not the URI's.
    pub fn params(&self) -> Params<'a> {
        self.params
    }

    /// The dialog tag of From and To.
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.params.get(b"tag")
    }

    /// `Contact: *`, which removes all bindings.
    pub fn is_star(&self) -> bool {
        self.uri == b"*" && !self.is_bracketed
    }

    /// `expires` of a Contact, held at `u32::MAX`; 3600 if it is no number (RFC 3261 section
    /// 20.10 asks for that); `None` if it is not there.
    pub fn expires(&self) -> Option<u32> {
        self.params.get(b"expires").map(|value| text::saturating_u32(value).unwrap_or(3600))
    }

    /// `q` of a Contact in thousandths, 0 to 1000.
    pub fn q(&self) -> Option<u16> {
        q_thousandths(self.params.get(b"q")?)
    }

    /// `+sip.instance` of a Contact (RFC 5626), without quotes.
    pub fn instance(&self) -> Option<Cow<'a, [u8]>> {
        self.params.get_unquoted(b"+sip.instance")
    }

    /// `reg-id` of a Contact (RFC 5626).
    pub fn reg_id(&self) -> Option<u32> {
        self.params.get(b"reg-id").and_then(text::saturating_u32)
    }

    /// Whether the value follows the grammar in every part.
    pub fn is_well_formed(&self) -> bool {
        if self.is_star() {
            return true;
        }
        let display_fits = self.display.first() == Some(&b'"')
            || !self.display.iter().any(|&byte| is_display_stop(byte));
        let uri_fits = self.is_bracketed || !self.uri.contains(&b'?');
        display_fits && uri_fits && uri::is_well_formed(self.uri) && self.params.is_well_formed()
    }
}

/// What would be read as something else in a display name without quotes. The grammar allows only
/// tokens there; other printable bytes, UTF-8 among them, are common and do no harm.
fn is_display_stop(byte: u8) -> bool {
    matches!(byte, b',' | b';' | b':' | b'"' | b'>' | b'@' | b'\\' | 0 | 0x7F)
}

fn q_thousandths(value: &[u8]) -> Option<u16> {
    let (whole, fraction) = match memchr(b'.', value) {
        Some(dot) => (&value[..dot], &value[dot + 1..]),
        None => (value, &b""[..]),
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut thousandths = match whole {
        b"1" => 1000,
        b"0" => 0,
        b"" if !fraction.is_empty() => 0,
        _ => return None,
    };
    for (digit, weight) in fraction.iter().zip([100, 10, 1]) {
        thousandths += u16::from(digit - b'0') * weight;
    }
    Some(thousandths).filter(|&q| q <= 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &[u8], display: &[u8], uri: &[u8], tag: Option<&[u8]>) {
        let parsed = NameAddr::parse(value).unwrap();
        assert_eq!((&*parsed.display_unquoted(), parsed.uri(), parsed.tag()), (display, uri, tag));
        assert!(parsed.is_well_formed(), "{}", value.escape_ascii());
    }

    #[test]
    fn both_forms_are_read() {
        check(b"<sip:a@b>;tag=1", b"", b"sip:a@b", Some(b"1"));
        check(b"sip:a@b ;   tag    = 1", b"", b"sip:a@b", Some(b"1"));
        check(
            b"\"J \\\\\\\"\"       <sip:a@b>\r\n  ;\r\n  tag = 9",
            b"J \\\"",
            b"sip:a@b",
            Some(b"9"),
        );
        check(b"caller<sip:a@b;x=y>;tag=323", b"caller", b"sip:a@b;x=y", Some(b"323"));
        check(b"tel:+4930123456;tag=5", b"", b"tel:+4930123456", Some(b"5"));
        check(b"*", b"", b"*", None);
    }

    #[test]
    fn a_display_name_with_brackets_does_not_hide_the_tag() {
        check(
            b"\"<sip:x@y>;tag=wrong\" <sip:a@b>;tag=right",
            b"<sip:x@y>;tag=wrong",
            b"sip:a@b",
            Some(b"right"),
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for value in
            [&b""[..], b"\"open <sip:a@b>", b"<sip:a@b", b"<>", b"\"x\" sip:a@b", b"<sip:a@b> x"]
        {
            assert_eq!(NameAddr::parse(value), None, "{}", value.escape_ascii());
        }
        for value in [
            &b"Bell, Alexander <sip:a@b>"[..],
            b"\"W, T\" < sip:a@b >",
            b"sip:a@b?Route=%3Csip:c%3E",
            b"<sip:a@b>;;;;",
            b"<nocolon>",
        ] {
            assert!(!NameAddr::parse(value).unwrap().is_well_formed(), "{}", value.escape_ascii());
        }
    }

    #[test]
    fn contact_parameters_are_read() {
        let contact = NameAddr::parse(
            b"<sip:a@b>;q=0.33;expires=99999999999;+sip.instance=\"<urn:uuid:1>\";reg-id=2",
        );
        let contact = contact.unwrap();
        assert_eq!(contact.q(), Some(330));
        assert_eq!(contact.expires(), Some(u32::MAX));
        assert_eq!(contact.instance().as_deref(), Some(&b"<urn:uuid:1>"[..]));
        assert_eq!(contact.reg_id(), Some(2));
        assert_eq!(NameAddr::parse(b"<sip:a@b>;expires=x").unwrap().expires(), Some(3600));
        for (text, q) in
            [("1", Some(1000)), ("1.0", Some(1000)), (".5", Some(500)), ("1.1", None), ("", None)]
        {
            assert_eq!(q_thousandths(text.as_bytes()), q, "{text}");
        }
    }
}
