//! The route set of a dialog (RFC 3261 sections 12.1 and 12.2.1.1): the proxies that stay in the
//! path, and how a request is addressed to go through them.

use crate::message::header::NameAddr;
use crate::message::uri::{Scheme, Uri};
use crate::message::{HeaderName, Message};

/// The largest route set that is kept, bytes. A longer one would cost every request of the dialog
/// and fit into no datagram.
pub const ROUTES_MAX: usize = 4096;

/// Route header values in the order in which a request passes them. Fixed once the dialog is
/// there (section 12.2: a re-INVITE does not change it).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteSet {
    /// The values, each followed by a NUL, which occurs in no header.
    values: Box<[u8]>,
}

/// The Request-URI and the Route header with which a request goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressing {
    /// The Request-URI.
    pub request_uri: Vec<u8>,
    /// The value of the Route header, if there is one.
    pub route: Option<Vec<u8>>,
}

/// Why Record-Routes make no route set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRoutes {
    /// Longer than `ROUTES_MAX`.
    TooLong,
    /// The first proxy, to which every request goes, has no SIP URI.
    NotSip,
}

impl RouteSet {
    /// The side that received the request keeps the order (section 12.1.1).
    ///
    /// # Errors
    /// It is too long, or leads to no SIP proxy.
    pub fn from_request(request: &Message) -> Result<RouteSet, BadRoutes> {
        RouteSet::join(request.headers(HeaderName::RecordRoute))
    }

    /// The side that sent the request reverses it (section 12.1.2).
    ///
    /// # Errors
    /// It is too long, or leads to no SIP proxy.
    pub fn from_response(response: &Message) -> Result<RouteSet, BadRoutes> {
        let values: Vec<&[u8]> = response.headers(HeaderName::RecordRoute).collect();
        RouteSet::join(values.into_iter().rev())
    }

    fn join<'a>(list: impl Iterator<Item = &'a [u8]>) -> Result<RouteSet, BadRoutes> {
        let mut values = Vec::new();
        for value in list {
            values.extend_from_slice(value);
            values.push(0);
            if values.len() > ROUTES_MAX {
                return Err(BadRoutes::TooLong);
            }
        }
        let set = RouteSet { values: values.into_boxed_slice() };
        // A strict router's URI becomes our Request-URI, and a loose one's says where we send.
        if set.is_empty() || set.first_uri().is_some_and(is_sip) {
            Ok(set)
        } else {
            Err(BadRoutes::NotSip)
        }
    }

    /// Whether there are no proxies.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let whole = self.values.strip_suffix(&[0]);
        whole.into_iter().flat_map(|values| values.split(|byte| *byte == 0))
    }

    /// The URI of the first proxy.
    pub fn first_uri(&self) -> Option<&[u8]> {
        self.iter().next().and_then(NameAddr::parse).map(|value| value.uri())
    }

    /// How a request to `target` is addressed (section 12.2.1.1).
    pub fn address(&self, target: &[u8]) -> Addressing {
        let Some(first) = self.first_uri() else {
            return Addressing { request_uri: target.to_vec(), route: None };
        };
        if is_loose(first) {
            let route = self.iter().collect::<Vec<_>>().join(&b", "[..]);
            return Addressing { request_uri: target.to_vec(), route: Some(route) };
        }
        // A strict router takes the Request-URI for its own address, and finds the target at the
        // end of the list.
        let mut route = Vec::new();
        for value in self.iter().skip(1) {
            route.extend_from_slice(value);
            route.extend_from_slice(b", ");
        }
        route.push(b'<');
        route.extend_from_slice(target);
        route.push(b'>');
        Addressing { request_uri: as_request_uri(first), route: Some(route) }
    }
}

fn is_sip(uri: &[u8]) -> bool {
    Uri::parse(uri).is_some_and(|uri| matches!(uri.scheme(), Scheme::Sip | Scheme::Sips))
}

fn is_loose(uri: &[u8]) -> bool {
    Uri::parse(uri).is_some_and(|uri| uri.params().has(b"lr"))
}

/// Leaves out what a Request-URI must not carry: headers and the `method` parameter (section
/// 19.1.1, table 1).
fn as_request_uri(uri: &[u8]) -> Vec<u8> {
    let end = uri.iter().position(|byte| *byte == b'?').unwrap_or(uri.len());
    let mut parts = uri[..end].split(|byte| *byte == b';');
    let mut out = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let is_method = part.len() > 7 && part[..7].eq_ignore_ascii_case(b"method=");
        if !is_method {
            out.push(b';');
            out.extend_from_slice(part);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(routes: &[&str], request_uri: &str, route: Option<&str>) {
        let set = RouteSet::join(routes.iter().map(|route| route.as_bytes())).unwrap();
        let found = set.address(b"sip:user@target;x=1");
        assert_eq!(String::from_utf8(found.request_uri).unwrap(), request_uri);
        assert_eq!(found.route.map(|r| String::from_utf8(r).unwrap()).as_deref(), route);
    }

    #[test]
    fn requests_are_addressed_through_loose_and_strict_routers() {
        check(&[], "sip:user@target;x=1", None);
        check(
            &["<sip:p1;lr>", "\"B\" <sip:p2;lr>;x"],
            "sip:user@target;x=1",
            Some("<sip:p1;lr>, \"B\" <sip:p2;lr>;x"),
        );
        check(
            &["<sip:p1;method=INVITE;a=b?h=1>", "<sip:p2;lr>"],
            "sip:p1;a=b",
            Some("<sip:p2;lr>, <sip:user@target;x=1>"),
        );
        check(&["<sip:p1>"], "sip:p1", Some("<sip:user@target;x=1>"));
    }

    #[test]
    fn an_endless_route_set_is_refused() {
        let long = vec![b'x'; ROUTES_MAX];
        assert_eq!(RouteSet::join([&long[..]].into_iter()), Err(BadRoutes::TooLong));
        assert_eq!(RouteSet::join(std::iter::empty()).map(|set| set.iter().count()), Ok(0));
    }

    /// Found by the fuzz target `call_inputs`: our BYE had `ip:10.9.9.9;lr` as its Request-URI.
    #[test]
    fn a_proxy_without_a_sip_uri_is_refused() {
        let check = |first: &str, expected| {
            let routes = [first.as_bytes(), b"<sip:p2;lr>"];
            assert_eq!(RouteSet::join(routes.into_iter()).err(), expected, "{first}");
        };
        check("<ip:10.9.9.9;lr>", Some(BadRoutes::NotSip));
        check("<tel:+4930>", Some(BadRoutes::NotSip));
        check("<>", Some(BadRoutes::NotSip));
        check("<sips:p1.example;lr>", None);
    }
}
