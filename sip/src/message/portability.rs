//! What a number in a URI says of number portability (RFC 4694): that a database was asked, and where
//! a ported number is served.

use super::header::Params;
use super::uri::{Scheme, Uri};

/// What the parameters of a number tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portability<'a> {
    /// A database was asked; without `rn` the number is not ported (RFC 4694 section 5.2).
    pub is_dipped: bool,
    /// The routing number, as received.
    pub rn: Option<&'a [u8]>,
    /// What a routing number without `+` belongs to, such as `+1`.
    pub rn_context: Option<&'a [u8]>,
}

impl<'a> Portability<'a> {
    /// Of a `tel:` URI, or of the number in the user part of a SIP URI (RFC 3261 section 19.1.6).
    /// `None` if nothing is said.
    pub fn of(uri: &Uri<'a>) -> Option<Portability<'a>> {
        let params = match uri.scheme() {
            Scheme::Tel => uri.params(),
            _ => {
                let user = uri.user()?;
                let start = memchr::memchr(b';', user)?;
                Params::new(&user[start..])
            }
        };
        let found = Portability {
            // A flag (RFC 4694 section 4); some write a value, and mean no by it.
            is_dipped: params.find(b"npdi").is_some_and(|npdi| !says_no(npdi.value)),
            rn: params.get(b"rn").filter(|rn| !rn.is_empty()),
            rn_context: params.get(b"rn-context"),
        };
        (found.is_dipped || found.rn.is_some()).then_some(found)
    }
}

fn says_no(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| value.eq_ignore_ascii_case(b"no"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uri: &str, expected: Option<(bool, Option<&str>, Option<&str>)>) {
        let uri = Uri::parse(uri.as_bytes()).unwrap();
        let text = |text: Option<&[u8]>| text.map(|text| String::from_utf8_lossy(text).to_string());
        let found = Portability::of(&uri);
        let found = found.map(|of| (of.is_dipped, text(of.rn), text(of.rn_context)));
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let expected = expected.map(|(dipped, rn, context)| (dipped, owned(rn), owned(context)));
        assert_eq!(found, expected);
    }

    #[test]
    fn numbers_say_that_they_are_ported() {
        // RFC 4694 section 6
        check("tel:+1-202-555-1234;npdi;rn=+12025550000", Some((true, Some("+12025550000"), None)));
        check(
            "sip:+12025551234;npdi;rn=2025550000;rn-context=+1@gw.example",
            Some((true, Some("2025550000"), Some("+1"))),
        );
        check("sip:+12025551234;npdi@gw.example;user=phone", Some((true, None, None)));
        check("sip:+12025551234;RN=12025550000@gw", Some((false, Some("12025550000"), None)));
        check("sip:+12025551234;npdi=no@gw", None);
        check("sip:+12025551234;rn=@gw", None);
        // Of the URI and not of the number.
        check("sip:+12025551234@gw;npdi;rn=+1", None);
        check("sip:gw.example", None);
        check("tel:+12025551234", None);
    }
}
