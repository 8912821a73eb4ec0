//! URIs: `sip:`, `sips:`, `tel:`, and anything else as opaque text (RFC 3261 section 19.1,
//! RFC 3966).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use memchr::memchr;

use super::header::Params;
use super::text::{escape_at, is_lws, is_token_byte, number, trim, unescape};

/// Which kind of URI it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme<'a> {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Any other; what follows it is not looked into.
    Other(&'a [u8]),
}

/// A URI in its parts. All parts are as received: escapes are undone by the accessors that say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    scheme: Scheme<'a>,
    user: Option<&'a [u8]>,
    password: Option<&'a [u8]>,
    host: &'a [u8],
    port: Option<u16>,
    params: Params<'a>,
    headers: Option<&'a [u8]>,
}

impl<'a> Uri<'a> {
    /// Reads a URI. `None` if it breaks the grammar of its scheme.
    pub fn parse(text: &'a [u8]) -> Option<Uri<'a>> {
        let colon = memchr(b':', text)?;
        let (scheme, rest) = (scheme(&text[..colon])?, &text[colon + 1..]);
        if !has_legal_bytes(rest, matches!(scheme, Scheme::Other(_))) {
            return None;
        }
        match scheme {
            Scheme::Sip | Scheme::Sips => Uri::parse_sip(scheme, rest),
            Scheme::Tel => Uri::parse_tel(rest),
            Scheme::Other(_) if rest.is_empty() => None,
            Scheme::Other(_) => Some(Uri { host: rest, ..Uri::empty(scheme) }),
        }
    }

    fn empty(scheme: Scheme<'a>) -> Uri<'a> {
        Uri {
            scheme,
            user: None,
            password: None,
            host: b"",
            port: None,
            params: Params::default(),
            headers: None,
        }
    }

    fn parse_sip(scheme: Scheme<'a>, text: &'a [u8]) -> Option<Uri<'a>> {
        let mut uri = Uri::empty(scheme);
        let mut rest = text;
        if let Some(at) = memchr(b'@', text) {
            let info = &text[..at];
            let colon = memchr(b':', info);
            let user = &info[..colon.unwrap_or(at)];
            if user.is_empty() {
                return None;
            }
            uri.user = Some(user);
            uri.password = colon.map(|colon| &info[colon + 1..]);
            rest = &text[at + 1..];
        }
        let end = rest.iter().position(|&byte| matches!(byte, b';' | b'?')).unwrap_or(rest.len());
        (uri.host, uri.port) = split_host_port(&rest[..end], false)?;
        rest = &rest[end..];
        if let Some(question) = memchr(b'?', rest) {
            uri.headers = Some(&rest[question + 1..]);
            rest = &rest[..question];
        }
        if rest.contains(&b'@') {
            return None;
        }
        uri.params = Params::new(rest);
        Some(uri)
    }

    fn parse_tel(text: &'a [u8]) -> Option<Uri<'a>> {
        let end = memchr(b';', text).unwrap_or(text.len());
        let digits = &text[..end];
        let is_number = digits.iter().all(|&byte| {
            byte.is_ascii_hexdigit()
                || matches!(byte, b'+' | b'*' | b'#' | b'-' | b'.' | b'(' | b')')
        });
        if digits.is_empty() || !is_number {
            return None;
        }
        let params = Params::new(&text[end..]);
        Some(Uri { user: Some(digits), params, ..Uri::empty(Scheme::Tel) })
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme<'a> {
        self.scheme
    }

    /// Whether TLS on every hop is asked for.
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::Sips
    }

    /// The user as received; the number of a `tel:` URI.
    pub fn user(&self) -> Option<&'a [u8]> {
        self.user
    }

    /// The user with escapes undone.
    pub fn user_unescaped(&self) -> Option<Cow<'a, [u8]>> {
        self.user.map(unescape)
    }

    /// The user without its own parameters, escapes undone: `+4930` of `sip:+4930;npdi@host`.
    pub fn user_number(&self) -> Option<Cow<'a, [u8]>> {
        let user = self.user?;
        Some(unescape(&user[..memchr(b';', user).unwrap_or(user.len())]))
    }

    /// The password as received. Do not log it.
    pub fn password(&self) -> Option<&'a [u8]> {
        self.password
    }

    /// The host as received, an IPv6 address with its brackets. Empty for `tel:`; everything after
    /// the colon for schemes we do not know.
    pub fn host(&self) -> &'a [u8] {
        self.host
    }

    /// The host, if it is an address.
    pub fn host_ip(&self) -> Option<IpAddr> {
        host_ip(self.host)
    }

    /// The port, if one is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// URI parameters.
    pub fn params(&self) -> Params<'a> {
        self.params
    }

    /// `transport=`, if it is there.
    pub fn transport(&self) -> Option<&'a [u8]> {
        self.params.get(b"transport")
    }

    /// What follows the question mark.
    pub fn headers(&self) -> Option<&'a [u8]> {
        self.headers
    }

    /// The header of this name that a request to this URI is to have, escapes undone.
    pub fn header(&self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        self.headers?.split(|byte| *byte == b'&').find_map(|header| {
            let end = memchr(b'=', header)?;
            let is_it = unescape(&header[..end]).eq_ignore_ascii_case(name);
            is_it.then(|| unescape(&header[end + 1..]))
        })
    }

    /// Whether two URIs are the same by RFC 3261 section 19.1.4. A `tel:` URI compares by RFC
    /// 3966 section 4: visual separators do not count.
    pub fn is_equivalent(&self, other: &Uri<'_>) -> bool {
        // The same text is the same URI, also if it names a parameter twice.
        if self == other {
            return true;
        }
        let schemes_match = match (self.scheme, other.scheme) {
            (Scheme::Other(left), Scheme::Other(right)) => left.eq_ignore_ascii_case(right),
            (Scheme::Sip, Scheme::Sip) => true,
            (Scheme::Sips, Scheme::Sips) | (Scheme::Tel, Scheme::Tel) => true,
            _ => false,
        };
        if !schemes_match {
            return false;
        }
        match self.scheme {
            Scheme::Other(_) => self.host == other.host,
            Scheme::Tel => {
                let digits = |uri: &Uri<'_>| -> Vec<u8> {
                    let text = uri.user.unwrap_or_default().iter();
                    let kept = text.filter(|byte| !matches!(byte, b'-' | b'.' | b'(' | b')'));
                    kept.map(u8::to_ascii_lowercase).collect()
                };
                digits(self) == digits(other) && all_params_match(self.params, other.params)
            }
            Scheme::Sip | Scheme::Sips => {
                unescaped_eq(self.user, other.user)
                    && unescaped_eq(self.password, other.password)
                    && hosts_match(self.host, other.host)
                    && self.port == other.port
                    && params_match(self.params, other.params)
                    && headers_match(self.headers, other.headers)
            }
        }
    }
}

fn scheme(text: &[u8]) -> Option<Scheme<'_>> {
    if text.eq_ignore_ascii_case(b"sip") {
        return Some(Scheme::Sip);
    }
    if text.eq_ignore_ascii_case(b"sips") {
        return Some(Scheme::Sips);
    }
    if text.eq_ignore_ascii_case(b"tel") {
        return Some(Scheme::Tel);
    }
    let is_scheme = text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    is_scheme.then_some(Scheme::Other(text))
}

const fn byte_table() -> [bool; 256] {
    let mut table = [true; 256];
    let mut byte = 0;
    while byte <= 0x20 {
        table[byte] = false;
        byte += 1;
    }
    table[b'<' as usize] = false;
    table[b'>' as usize] = false;
    table[b'"' as usize] = false;
    table[b'%' as usize] = false; // looked at again
    table[0x7F] = false;
    table
}

static LEGAL: [bool; 256] = byte_table();

/// No white space, brackets, quotes or control characters, and every `%` begins an escape. The
/// grammar forbids a few more (`#`, `{`, bytes above 127) that phones do send; they are harmless.
fn has_legal_bytes(text: &[u8], is_opaque: bool) -> bool {
    if text.iter().all(|&byte| LEGAL[usize::from(byte)]) {
        return true;
    }
    text.iter().enumerate().all(|(at, &byte)| {
        LEGAL[usize::from(byte)] || byte == b'%' && (is_opaque || escape_at(text, at).is_some())
    })
}

/// Whether `text` is a URI of any scheme, with the grammar checked as far as we know it.
pub(super) fn is_well_formed(text: &[u8]) -> bool {
    Uri::parse(text).is_some()
}

pub(super) fn port(text: &[u8]) -> Option<u16> {
    number(text).and_then(|port| u16::try_from(port).ok())
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`. White space around the colon is allowed in a Via, not
/// in a URI.
pub(super) fn split_host_port(text: &[u8], lws_allowed: bool) -> Option<(&[u8], Option<u16>)> {
    let host_len = match text.first()? {
        b'[' => memchr(b']', text)? + 1,
        _ => text.iter().take_while(|&&byte| is_host_byte(byte)).count(),
    };
    let (host, mut rest) = text.split_at(host_len);
    if host.is_empty() || host[0] == b'[' && host_ip(host).is_none() {
        return None;
    }
    if lws_allowed {
        rest = trim(rest);
    }
    if rest.is_empty() {
        return Some((host, None));
    }
    let mut digits = rest.strip_prefix(b":")?;
    if lws_allowed {
        digits = trim(digits);
    }
    Some((host, Some(port(digits)?)))
}

/// Letters, digits, dots and hyphens by the grammar. Underscores exist in real host names, and a
/// token's other bytes do no harm.
fn is_host_byte(byte: u8) -> bool {
    is_token_byte(byte) && byte != b'%' && !is_lws(byte)
}

/// The address that a host is, with or without brackets; `None` for a name.
pub fn host_ip(host: &[u8]) -> Option<IpAddr> {
    if let [b'[', inner @ .., b']'] = host {
        return v6(inner).map(IpAddr::V6);
    }
    if memchr(b':', host).is_some() {
        return v6(host).map(IpAddr::V6);
    }
    if !host.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(host).ok()?.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

fn v6(text: &[u8]) -> Option<Ipv6Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn hosts_match(left: &[u8], right: &[u8]) -> bool {
    match (host_ip(left), host_ip(right)) {
        (Some(left), Some(right)) => left == right,
        _ => left.eq_ignore_ascii_case(right),
    }
}

fn unescaped_eq(left: Option<&[u8]>, right: Option<&[u8]>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => left == right || unescape(left) == unescape(right),
        (None, None) => true,
        _ => false,
    }
}

fn text_eq(left: &[u8], right: &[u8]) -> bool {
    left.eq_ignore_ascii_case(right) || unescape(left).eq_ignore_ascii_case(&unescape(right))
}

/// A parameter in both must have the same value; these must be in both or in neither; any other
/// may be in one alone.
const PAIRED_PARAMS: [&[u8]; 5] = [b"user", b"ttl", b"method", b"maddr", b"transport"];

fn params_match(left: Params<'_>, right: Params<'_>) -> bool {
    let one_way = |from: Params<'_>, to: Params<'_>| {
        from.iter().all(|param| match to.find(param.name) {
            Some(other) => text_eq(param.value.unwrap_or(b""), other.value.unwrap_or(b"")),
            None => !PAIRED_PARAMS.iter().any(|name| param.name.eq_ignore_ascii_case(name)),
        })
    };
    one_way(left, right) && one_way(right, left)
}

fn all_params_match(left: Params<'_>, right: Params<'_>) -> bool {
    let one_way = |from: Params<'_>, to: Params<'_>| {
        from.iter().all(|param| {
            to.find(param.name).is_some_and(|other| {
                text_eq(param.value.unwrap_or(b""), other.value.unwrap_or(b""))
            })
        })
    };
    one_way(left, right) && one_way(right, left)
}

fn headers_match(left: Option<&[u8]>, right: Option<&[u8]>) -> bool {
    let sorted = |text: &[u8]| {
        let mut fields: Vec<Vec<u8>> = text
            .split(|&byte| byte == b'&')
            .map(|field| {
                let name_end = memchr(b'=', field).unwrap_or(field.len());
                let mut field = unescape(field).into_owned();
                let name_end = name_end.min(field.len());
                field[..name_end].make_ascii_lowercase();
                field
            })
            .collect();
        fields.sort();
        fields
    };
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => left == right || sorted(left) == sorted(right),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &[u8], user: Option<&[u8]>, host: &[u8], port: Option<u16>) {
        let uri = Uri::parse(text).expect("a URI");
        assert_eq!((uri.user(), uri.host(), uri.port()), (user, host, port));
    }

    #[test]
    fn uris_are_read() {
        check(b"sip:john.doe@example.net", Some(b"john.doe"), b"example.net", None);
        check(b"SIPS:example.net:5061", None, b"example.net", Some(5061));
        check(b"sip:u:p@[2001:db8::10]:5070;lr", Some(b"u"), b"[2001:db8::10]", Some(5070));
        check(
            b"sip:user;par=u%40example.net@example.com",
            Some(b"user;par=u%40example.net"),
            b"example.com",
            None,
        );
        check(b"tel:+1-201-555-0123;phone-context=x", Some(b"+1-201-555-0123"), b"", None);
        check(b"nobodyKnowsThisScheme:totallyopaquecontent", None, b"totallyopaquecontent", None);
        check(b"sip:*21#@host", Some(b"*21#"), b"host", None);
        check(b"sip:a@b?Subject=x&To=y", Some(b"a"), b"b", None);
        let uri = Uri::parse(b"sip:1_u/?,;;*:&it=1$o@h;a=b?Route=%3Csip:c%3E").unwrap();
        assert_eq!(uri.user(), Some(&b"1_u/?,;;*"[..]));
        assert_eq!(uri.password(), Some(&b"&it=1$o"[..]));
        assert_eq!(uri.headers(), Some(&b"Route=%3Csip:c%3E"[..]));
        assert_eq!(uri.header(b"route").unwrap(), &b"<sip:c>"[..]);
        assert_eq!(uri.header(b"Replaces"), None);
        assert_eq!(
            Uri::parse(b"sip:+4930;npdi=yes@h").unwrap().user_number().unwrap(),
            &b"+4930"[..]
        );
        assert_eq!(Uri::parse(b"sip:%61%00@h").unwrap().user_unescaped().unwrap(), &b"a\0"[..]);
    }

    #[test]
    fn what_breaks_the_grammar_is_refused() {
        for text in [
            &b""[..],
            b"sip:",
            b"sip:@host",
            b"sip:a@",
            b"sip:a b@c",
            b"sip:a@b; lr",
            b"<sip:a@b>",
            b"sip:a@b:99999",
            b"sip:a@b:",
            b"sip:a%4@b",
            b"sip:a@[::1",
            b"sip:a@[nonsense]",
            b"sip:a@b@c",
            b"tel:",
            b"tel:x",
            b"no scheme",
            b" sip:a@b",
        ] {
            assert_eq!(Uri::parse(text), None, "{}", text.escape_ascii());
        }
    }

    #[track_caller]
    fn check_equivalent(left: &str, right: &str, expected: bool) {
        let (left, right) =
            (Uri::parse(left.as_bytes()).unwrap(), Uri::parse(right.as_bytes()).unwrap());
        assert_eq!(left.is_equivalent(&right), expected);
        assert_eq!(right.is_equivalent(&left), expected);
    }

    /// The examples of RFC 3261 section 19.1.4.
    #[test]
    fn equivalence_is_the_rfcs() {
        let same = check_equivalent;
        same("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp", true);
        same("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true);
        same("sip:carol@chicago.com", "sip:carol@chicago.com;security=on", true);
        same(
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            true,
        );
        same(
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            true,
        );
        same("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false);
        same("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false);
        same("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false);
        same("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false);
        same("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false);
        same("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false);
        same("sip:a@[2001:DB8::1]", "sip:a@[2001:db8:0::1]", true);
        same("tel:+1-201-555-0123", "tel:+12015550123", true);
        same("sip:a@b", "sips:a@b", false);
    }
}
