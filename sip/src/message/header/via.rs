//! Via (RFC 3261 section 20.42, RFC 3581).

use std::net::IpAddr;

use super::params::Params;
use crate::message::{text, uri};

/// One Via value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    transport: &'a [u8],
    host: &'a [u8],
    port: Option<u16>,
    params: Params<'a>,
    is_sip_2: bool,
}

impl<'a> Via<'a> {
    /// Reads one value. `None` if protocol or sent-by cannot be found; parameters are looked at
    /// only when asked for.
    pub fn parse(value: &'a [u8]) -> Option<Via<'a>> {
        let (name, rest) = split_word(value)?;
        let (version, rest) = split_word(rest)?;
        let rest = text::trim_start(rest);
        let transport_len = rest.iter().take_while(|&&byte| text::is_token_byte(byte)).count();
        let (transport, rest) = rest.split_at(transport_len);
        if transport.is_empty() || !rest.first().is_some_and(|&byte| text::is_lws(byte)) {
            return None;
        }
        let rest = text::trim_start(rest);
        let sent_by_len = memchr::memchr(b';', rest).unwrap_or(rest.len());
        let (sent_by, params) = rest.split_at(sent_by_len);
        let (host, port) = uri::split_host_port(text::trim_end(sent_by), true)?;
        Some(Via {
            transport,
            host,
            port,
            params: Params::new(params),
            is_sip_2: name.eq_ignore_ascii_case(b"SIP") && version == b"2.0",
        })
    }

    /// The transport's name as received, e.g. `UDP`.
    pub fn transport(&self) -> &'a [u8] {
        self.transport
    }

    /// The host of sent-by; an IPv6 address has its brackets.
    pub fn host(&self) -> &'a [u8] {
        self.host
    }

    /// The host of sent-by, if it is an address.
    pub fn host_ip(&self) -> Option<IpAddr> {
        uri::host_ip(self.host)
    }

    /// The port of sent-by, if there is one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// All parameters.
    pub fn params(&self) -> Params<'a> {
        self.params
    }

    /// The transaction's id.
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.params.get(b"branch")
    }

    /// `None`: not asked for. `Some(None)`: asked for. `Some(Some(port))`: filled in.
    pub fn rport(&self) -> Option<Option<u16>> {
        let param = self.params.find(b"rport")?;
        Some(param.value.and_then(uri::port))
    }

    /// Where the request came from, as the server that received it saw it. Both `[v6]` and bare
    /// `v6` are understood.
    pub fn received(&self) -> Option<IpAddr> {
        uri::host_ip(self.params.get(b"received")?)
    }

    /// The address to send responses to instead (RFC 3261 section 18.2.2).
    pub fn maddr(&self) -> Option<&'a [u8]> {
        self.params.get(b"maddr")
    }

    /// Whether the value follows the grammar in every part.
    pub fn is_well_formed(&self) -> bool {
        self.is_sip_2 && self.params.is_well_formed()
    }
}

/// A token, then a slash with white space around it.
fn split_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text::trim_start(text);
    let length = text.iter().take_while(|&&byte| text::is_token_byte(byte)).count();
    let (word, rest) = text.split_at(length);
    let rest = text::trim_start(rest).strip_prefix(b"/")?;
    if word.is_empty() { None } else { Some((word, rest)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &[u8], transport: &[u8], host: &[u8], port: Option<u16>) {
        let via = Via::parse(value).unwrap();
        assert_eq!((via.transport(), via.host(), via.port()), (transport, host, port));
        assert!(via.is_well_formed());
    }

    #[test]
    fn sent_by_is_read() {
        check(b"SIP/2.0/UDP 192.0.2.1", b"UDP", b"192.0.2.1", None);
        check(b"SIP / 2.0\r\n /TCP\thost.example : 5070 ;x", b"TCP", b"host.example", Some(5070));
        check(b"SIP/2.0/TLS [2001:db8::1]:5061;branch=z", b"TLS", b"[2001:db8::1]", Some(5061));
        check(b"SIP/2.0/UNKNOWN t5.example.com", b"UNKNOWN", b"t5.example.com", None);
    }

    #[test]
    fn parameters_are_read() {
        let via = Via::parse(b"SIP/2.0/UDP a;rport;received=2001:db8::9;branch=z9hG4bKx").unwrap();
        assert_eq!(via.rport(), Some(None));
        assert_eq!(via.received(), Some("2001:db8::9".parse().unwrap()));
        assert_eq!(via.branch(), Some(&b"z9hG4bKx"[..]));
        let via = Via::parse(b"SIP/2.0/UDP a;rport=5062;received=[2001:db8::9]").unwrap();
        assert_eq!(via.rport(), Some(Some(5062)));
        assert_eq!(via.received(), Some("2001:db8::9".parse().unwrap()));
    }

    #[test]
    fn what_is_no_via_is_refused() {
        for value in [
            &b""[..],
            b"SIP/2.0",
            b"SIP/2.0/UDP",
            b"SIP/2.0/UDP ",
            b"SIP/2.0/UDP ;branch=a",
            b"SIP/2.0/UDP a:port",
            b"SIP/2.0/UDP a:70000",
            b"SIP/2.0/UDP a b",
            b"SIP/2.0/UDP [::1",
        ] {
            assert_eq!(Via::parse(value), None, "{}", value.escape_ascii());
        }
        assert!(!Via::parse(b"SIP/3.0/UDP a").unwrap().is_well_formed());
        assert!(!Via::parse(b"SIP/2.0/UDP 192.0.2.15;;,;,,").unwrap().is_well_formed());
    }
}
