//! What we read of a certificate ourselves (RFC 5280) beside what rustls does with it: how long it
//! is valid, whose it is, and its public key. Nothing here decides about trust.

use rustls::pki_types::CertificateDer;
use vocabulary::Utc;

pub(crate) const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;
const OBJECT: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT`: the version.
const VERSION: u8 = 0xa0;
/// `[3] EXPLICIT`: the extensions.
const EXTENSIONS: u8 = 0xa3;
/// In a subjectAltName: `[2] dNSName` and `[6] uniformResourceIdentifier`.
const DNS_NAME: u8 = 0x82;
const URI_NAME: u8 = 0x86;
/// Before the point of a P-256 key: id-ecPublicKey, prime256v1, and a bit string of 65 bytes.
const P256_KEY: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// The certificate cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no X.509 certificate that we can read")]
pub struct Unreadable;

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Valid from then on.
    pub not_before: Utc,
    /// Valid until then.
    pub not_after: Utc,
    /// The SIP domains that it is for (RFC 5922 section 7.1): the hosts of its `sip:` and `sips:`
    /// URIs; if it has none, its DNS names. In lower case.
    pub sip_domains: Vec<Box<str>>,
}

impl Certificate {
    /// Reads the first certificate of a chain.
    pub fn read(der: &CertificateDer<'_>) -> Result<Certificate, Unreadable> {
        read(der).ok_or(Unreadable)
    }
}

/// The P-256 point that is the certificate's public key (RFC 5480 section 2), uncompressed. `None` if it
/// has another kind of key.
pub(crate) fn p256_key(der: &[u8]) -> Option<&[u8]> {
    parts(der)?.public_key.strip_prefix(P256_KEY)
}

/// What an extension says, by its object identifier; `None` if the certificate has none.
pub(crate) fn extension_of<'a>(der: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    extension(parts(der)?.extensions?, name)
}

fn read(der: &[u8]) -> Option<Certificate> {
    let Parts { not_before, not_after, extensions, .. } = parts(der)?;
    let sip_domains = extensions.map_or_else(|| Some(Vec::new()), domains)?;
    Some(Certificate { not_before, not_after, sip_domains })
}

/// What is read of a certificate.
struct Parts<'a> {
    not_before: Utc,
    not_after: Utc,
    public_key: &'a [u8],
    extensions: Option<&'a [u8]>,
}

fn parts(der: &[u8]) -> Option<Parts<'_>> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut body, _) = expect(certificate, SEQUENCE)?;
    if *body.first()? == VERSION {
        body = expect(body, VERSION)?.1;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        body = element(body)?.2;
    }
    let (validity, body) = expect(body, SEQUENCE)?;
    let (not_before, rest) = moment(validity)?;
    let (not_after, _) = moment(rest)?;
    // The subject comes before the key.
    let (_, _, body) = element(body)?;
    let (public_key, mut rest) = expect(body, SEQUENCE)?;
    let mut extensions = None;
    while !rest.is_empty() {
        let (tag, content, after) = element(rest)?;
        extensions = extensions.or((tag == EXTENSIONS).then_some(content));
        rest = after;
    }
    Some(Parts { not_before, not_after, public_key, extensions })
}

/// The content of the extension with this name.
fn extension<'a>(extensions: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (mut all, _) = expect(extensions, SEQUENCE)?;
    while !all.is_empty() {
        let (one, rest) = expect(all, SEQUENCE)?;
        let (object, mut value) = expect(one, OBJECT)?;
        if *value.first()? == BOOLEAN {
            value = element(value)?.2;
        }
        if object == name {
            return Some(expect(value, OCTET_STRING)?.0);
        }
        all = rest;
    }
    None
}

/// `None` if the names cannot be read; none at all is an empty list.
fn domains(extensions: &[u8]) -> Option<Vec<Box<str>>> {
    let Some(names) = extension(extensions, SUBJECT_ALT_NAME) else { return Some(Vec::new()) };
    let (mut names, _) = expect(names, SEQUENCE)?;
    let (mut hosts, mut sip): (Vec<Box<str>>, Vec<Box<str>>) = (Vec::new(), Vec::new());
    while !names.is_empty() {
        let (tag, content, rest) = element(names)?;
        let text = std::str::from_utf8(content).ok();
        match (tag, text) {
            (DNS_NAME, Some(host)) => hosts.push(host.to_ascii_lowercase().into()),
            (URI_NAME, Some(uri)) => sip.extend(domain_of(uri)),
            _ => {}
        }
        names = rest;
    }
    Some(if sip.is_empty() { hosts } else { sip })
}

/// The host of `sip:host`. RFC 5922 section 7.1: one with a user part names a user, not a domain.
fn domain_of(uri: &str) -> Option<Box<str>> {
    let (scheme, host) = uri.split_once(':')?;
    let is_sip = scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips");
    let host = host.split([';', '?']).next()?;
    (is_sip && !host.is_empty() && !host.contains('@')).then(|| host.to_ascii_lowercase().into())
}

/// One element: its tag, its content, and what follows.
pub(crate) fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 || rest.len() < count {
            return None;
        }
        let (bytes, rest) = rest.split_at(count);
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    if rest.len() < length {
        return None;
    }
    let (content, rest) = rest.split_at(length);
    Some((tag, content, rest))
}

/// The content of an element with this tag, and what follows.
pub(crate) fn expect(input: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    element(input).filter(|(tag, ..)| *tag == wanted).map(|(_, content, rest)| (content, rest))
}

/// RFC 5280 section 4.1.2.5: `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, always in UTC.
fn moment(input: &[u8]) -> Option<(Utc, &[u8])> {
    let (tag, content, rest) = element(input)?;
    let digits = content.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number =
        |from: &[u8]| from.iter().fold(0i64, |value, digit| value * 10 + i64::from(digit - b'0'));
    let (year, rest_of_it) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let year = number(&digits[..2]);
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (GENERALIZED_TIME, 14) => (number(&digits[..4]), &digits[4..]),
        _ => return None,
    };
    let part = |at: usize| number(&rest_of_it[at..at + 2]);
    let (month, day, hour, minute, second) = (part(0), part(2), part(4), part(6), part(8));
    let is_real = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let seconds = days_before(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    is_real.then_some((Utc(seconds * 1_000_000), rest))
}

/// Days from 1970-01-01 to this day of the Gregorian calendar. Years are counted from March, so that
/// the day that leap years add is the last one.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_before_month = (153 * month + 2) / 5;
    year * 365 + leap_days + days_before_month + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[track_caller]
    fn check_day(year: i64, month: i64, day: i64, expected: i64) {
        assert_eq!(days_before(year, month, day), expected);
    }

    #[test]
    fn days_are_counted() {
        check_day(1970, 1, 1, 0);
        check_day(1969, 12, 31, -1);
        check_day(2000, 2, 29, 11_016);
        check_day(2000, 3, 1, 11_017);
        check_day(2026, 11, 27, 20_784);
        check_day(2100, 3, 1, 47_541);
    }

    #[track_caller]
    fn check_moment(tag: u8, text: &str, expected: Option<i64>) {
        let length = u8::try_from(text.len()).unwrap();
        let der = [&[tag, length], text.as_bytes()].concat();
        assert_eq!(moment(&der).map(|(at, _)| at.seconds()), expected, "{text}");
    }

    /// RFC 5280 section 4.1.2.5.
    #[test]
    fn moments_have_two_forms() {
        check_moment(UTC_TIME, "700101000000Z", Some(0));
        check_moment(UTC_TIME, "491231235959Z", Some(2_524_607_999));
        check_moment(GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000));
        check_moment(UTC_TIME, "701301000000Z", None);
        check_moment(UTC_TIME, "7001010000Z", None);
        check_moment(GENERALIZED_TIME, "20500101000000", None);
    }

    #[track_caller]
    fn check_domain(uri: &str, expected: Option<&str>) {
        assert_eq!(domain_of(uri).as_deref(), expected);
    }

    /// RFC 5922 section 7.1.
    #[test]
    fn a_sip_uri_names_a_domain_unless_it_names_a_user() {
        check_domain("sip:Carrier.Example", Some("carrier.example"));
        check_domain("sips:carrier.example;transport=tls", Some("carrier.example"));
        check_domain("sip:alice@carrier.example", None);
        check_domain("https://carrier.example", None);
    }

    fn file(name: &str) -> CertificateDer<'static> {
        let path = format!("{}/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"));
        CertificateDer::from_pem_file(path).unwrap()
    }

    #[test]
    fn a_certificate_says_how_long_it_is_valid_and_whose_it_is() {
        let carrier = Certificate::read(&file("carrier.pem")).unwrap();
        assert!(carrier.not_before < carrier.not_after);
        assert_eq!(*carrier.sip_domains, ["carrier.test".into()]);
        // RFC 5922 section 7.1: with a SIP URI, DNS names say nothing.
        let trunk = Certificate::read(&file("trunk.pem")).unwrap();
        assert_eq!(*trunk.sip_domains, ["trunk.test".into()]);
        let expired = Certificate::read(&file("expired.pem")).unwrap();
        assert!(expired.not_after < carrier.not_after);
    }

    #[test]
    fn a_certificate_shows_its_key_and_what_it_is_asked_for() {
        let carrier = file("carrier.pem");
        let point = p256_key(&carrier).map(|point| (point.len(), point[0]));
        assert_eq!(point, Some((65, 4)), "uncompressed");
        assert!(extension_of(&carrier, SUBJECT_ALT_NAME).is_some());
        assert_eq!(extension_of(&carrier, &[0x55]), None);
    }

    #[test]
    fn a_broken_certificate_is_an_error_wherever_it_ends() {
        let whole = file("carrier.pem");
        for end in 0..whole.len() {
            let torn = CertificateDer::from(whole[..end].to_vec());
            assert_eq!(Certificate::read(&torn), Err(Unreadable), "{end} bytes");
        }
    }
}
