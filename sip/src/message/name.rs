//! Header names: full, compact and in any case.

use std::fmt;

macro_rules! names {
    ($($variant:ident $text:literal $compact:literal $shape:ident)*) => {
        /// The name of a header.
        #[derive(Clone, Copy)]
        #[allow(missing_docs)] // The names say it all.
        pub enum HeaderName<'a> {
            $($variant,)*
            /// A header without a variant; compared without regard to case.
            Other(&'a [u8]),
        }

        /// A header name in one byte, for the table of lines.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(clippy::enum_variant_names)] // Call-ID is a header.
        pub(super) enum Id {
            $($variant,)*
            #[default]
            Other,
        }

        /// Full name, compact form (or NUL) and shape by `Id`.
        const NAMES: &[(&[u8], u8, Shape, Id)] =
            &[$(($text, $compact, Shape::$shape, Id::$variant),)*];

        impl Id {
            /// `text` is the name as received, for a header that has no variant.
            pub(super) fn name(self, text: &[u8]) -> HeaderName<'_> {
                match self {
                    $(Id::$variant => HeaderName::$variant,)*
                    Id::Other => HeaderName::Other(text),
                }
            }
        }

        impl<'a> HeaderName<'a> {
            pub(super) fn id(&self) -> Id {
                match self {
                    $(HeaderName::$variant => Id::$variant,)*
                    HeaderName::Other(_) => Id::Other,
                }
            }
        }
    };
}

/// Whether commas separate values of this header.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// They do.
    List,
    /// They are part of the value, as in a date or in credentials.
    One,
}

names! {
    Accept b"Accept" 0 List
    AcceptContact b"Accept-Contact" b'a' List
    AcceptEncoding b"Accept-Encoding" 0 List
    AcceptLanguage b"Accept-Language" 0 List
    AlertInfo b"Alert-Info" 0 List
    Allow b"Allow" 0 List
    AllowEvents b"Allow-Events" b'u' List
    AuthenticationInfo b"Authentication-Info" 0 One
    Authorization b"Authorization" 0 One
    CallId b"Call-ID" b'i' One
    CallInfo b"Call-Info" 0 List
    Contact b"Contact" b'm' List
    ContentDisposition b"Content-Disposition" 0 One
    ContentEncoding b"Content-Encoding" b'e' List
    ContentLanguage b"Content-Language" 0 List
    ContentLength b"Content-Length" b'l' One
    ContentType b"Content-Type" b'c' One
    CSeq b"CSeq" 0 One
    Date b"Date" 0 One
    Diversion b"Diversion" 0 List
    ErrorInfo b"Error-Info" 0 List
    Event b"Event" b'o' One
    Expires b"Expires" 0 One
    From b"From" b'f' One
    HistoryInfo b"History-Info" 0 List
    Identity b"Identity" b'y' One
    IdentityInfo b"Identity-Info" b'n' One
    InfoPackage b"Info-Package" 0 One
    InReplyTo b"In-Reply-To" 0 List
    MaxForwards b"Max-Forwards" 0 One
    MimeVersion b"MIME-Version" 0 One
    MinExpires b"Min-Expires" 0 One
    MinSe b"Min-SE" 0 One
    Organization b"Organization" 0 One
    PAccessNetworkInfo b"P-Access-Network-Info" 0 List
    PAssertedIdentity b"P-Asserted-Identity" 0 List
    PChargingVector b"P-Charging-Vector" 0 One
    PPreferredIdentity b"P-Preferred-Identity" 0 List
    Path b"Path" 0 List
    Priority b"Priority" 0 One
    Privacy b"Privacy" 0 One
    ProxyAuthenticate b"Proxy-Authenticate" 0 One
    ProxyAuthorization b"Proxy-Authorization" 0 One
    ProxyRequire b"Proxy-Require" 0 List
    RAck b"RAck" 0 One
    RSeq b"RSeq" 0 One
    Reason b"Reason" 0 List
    RecordRoute b"Record-Route" 0 List
    RecvInfo b"Recv-Info" 0 List
    ReferTo b"Refer-To" b'r' One
    ReferredBy b"Referred-By" b'b' One
    RejectContact b"Reject-Contact" b'j' List
    RemotePartyId b"Remote-Party-ID" 0 List
    Replaces b"Replaces" 0 One
    ReplyTo b"Reply-To" 0 One
    RequestDisposition b"Request-Disposition" b'd' List
    Require b"Require" 0 List
    RetryAfter b"Retry-After" 0 One
    Route b"Route" 0 List
    Server b"Server" 0 One
    ServiceRoute b"Service-Route" 0 List
    SessionExpires b"Session-Expires" b'x' One
    SipETag b"SIP-ETag" 0 One
    SipIfMatch b"SIP-If-Match" 0 One
    Subject b"Subject" b's' One
    SubscriptionState b"Subscription-State" 0 One
    Supported b"Supported" b'k' List
    Timestamp b"Timestamp" 0 One
    To b"To" b't' One
    Unsupported b"Unsupported" 0 List
    UserAgent b"User-Agent" 0 One
    UserToUser b"User-to-User" 0 List
    Via b"Via" b'v' List
    Warning b"Warning" 0 List
    WwwAuthenticate b"WWW-Authenticate" 0 One
}

const SLOTS: usize = 256;
const EMPTY: u8 = u8::MAX;

/// Length, first and last letter tell most known names apart; the few that collide probe on.
const fn slot(name: &[u8]) -> usize {
    let first = (name[0] | 0x20) as usize;
    let last = (name[name.len() - 1] | 0x20) as usize;
    let middle = (name[name.len() / 2] | 0x20) as usize;
    (name.len() * 37 + first * 11 + last * 5 + middle * 23) % SLOTS
}

const fn slot_table() -> [u8; SLOTS] {
    let mut table = [EMPTY; SLOTS];
    let mut index = 0;
    while index < NAMES_LEN {
        let mut at = slot(NAMES[index].0);
        while table[at] != EMPTY {
            at = (at + 1) % SLOTS;
        }
        table[at] = index as u8;
        index += 1;
    }
    table
}

const fn compact_table() -> [u8; 32] {
    let mut table = [EMPTY; 32];
    let mut index = 0;
    while index < NAMES_LEN {
        if NAMES[index].1 != 0 {
            table[(NAMES[index].1 & 31) as usize] = index as u8;
        }
        index += 1;
    }
    table
}

const NAMES_LEN: usize = Id::Other as usize;
static SLOT_TABLE: [u8; SLOTS] = slot_table();
static COMPACT_TABLE: [u8; 32] = compact_table();

impl Id {
    pub(super) fn of(name: &[u8]) -> Id {
        match name {
            [] => Id::Other,
            [letter] if letter.is_ascii_alphabetic() => {
                match COMPACT_TABLE[usize::from(letter & 31)] {
                    EMPTY => Id::Other,
                    index => NAMES[usize::from(index)].3,
                }
            }
            _ => {
                let mut at = slot(name);
                while SLOT_TABLE[at] != EMPTY {
                    let known = &NAMES[usize::from(SLOT_TABLE[at])];
                    if known.0 == name || known.0.eq_ignore_ascii_case(name) {
                        return known.3;
                    }
                    at = (at + 1) % SLOTS;
                }
                Id::Other
            }
        }
    }

    pub(super) fn is_list(self) -> bool {
        NAMES.get(self as usize).is_some_and(|known| known.2 == Shape::List)
    }
}

impl<'a> HeaderName<'a> {
    /// The header of this name, which may be the compact form and in any case.
    pub fn from_bytes(name: &'a [u8]) -> HeaderName<'a> {
        Id::of(name).name(name)
    }

    /// The full name as RFCs write it; for `Other`, as it was received.
    pub fn as_bytes(&self) -> &'a [u8] {
        match self {
            HeaderName::Other(name) => name,
            known => NAMES[known.id() as usize].0,
        }
    }

    /// Whether commas separate values of this header.
    pub fn is_list(&self) -> bool {
        self.id().is_list()
    }
}

impl PartialEq for HeaderName<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (HeaderName::Other(left), HeaderName::Other(right)) => left.eq_ignore_ascii_case(right),
            _ => self.id() == other.id(),
        }
    }
}

impl Eq for HeaderName<'_> {}

impl fmt::Display for HeaderName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_bytes().escape_ascii(), f)
    }
}

impl fmt::Debug for HeaderName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_compact() {
        for &(name, compact, _, id) in NAMES {
            assert_eq!(Id::of(name), id);
            assert_eq!(Id::of(&name.to_ascii_lowercase()), id);
            assert_eq!(Id::of(&name.to_ascii_uppercase()), id);
            if compact != 0 {
                assert_eq!(Id::of(&[compact]), id);
                assert_eq!(Id::of(&[compact.to_ascii_uppercase()]), id);
            }
        }
        assert_eq!(HeaderName::from_bytes(b"X-Foo"), HeaderName::Other(b"x-foo"));
        assert_eq!(Id::of(b"!"), Id::Other);
        assert_eq!(Id::of(b"z"), Id::Other);
    }
}
