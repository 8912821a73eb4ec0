//! Lookups of numbers: who is asked where a called number is served since it was ported (LRN dip, T7),
//! for which numbers, and what becomes of calls without an answer. Whoever asks is outside.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sip::message::Portability;
use sip::message::uri::Uri;
use vocabulary::{Jurisdiction, Location, Number};

use crate::directory::Directory;
use crate::jurisdiction::Jurisdictions;
use crate::numbers::calling_code;
use crate::release::Cause;

/// A lookup's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(pub u64);

impl fmt::Display for LookupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What stands for the called number in what is asked.
pub const NUMBER_PLACE: &str = "{number}";

/// Somebody who knows where numbers are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Which.
    pub id: LookupId,
    /// For operators.
    pub name: Box<str>,
    /// How it is asked.
    pub asks: LookupKind,
    /// How long a call waits for the answer.
    pub timeout: Duration,
    /// How long an answer is kept.
    pub ttl: Duration,
    /// What becomes of a call without an answer.
    pub on_failure: OnFailure,
    /// The numbers that it is asked about begin so.
    pub prefixes: Box<[Box<str>]>,
}

impl Lookup {
    /// The shortest and the longest that a call may wait.
    pub const TIMEOUT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(5));
    /// The longest that an answer is kept.
    pub const TTL_MAX: Duration = Duration::from_secs(30 * 86_400);
}

/// How a lookup is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupKind {
    /// By HTTP.
    Http(HttpLookup),
    /// By an INVITE that is answered with a redirection whose Contact has the routing number (RFC 4694).
    Sip(SipLookup),
}

/// What is asked by HTTP, and where the answer has the number.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpLookup {
    /// With [`NUMBER_PLACE`] in it, unless the body has it.
    pub url: Box<str>,
    /// What is posted; `None`: it is a GET.
    pub body: Option<Box<str>>,
    /// Where in a JSON answer the number is (RFC 6901); `None`: the answer is the number, as text.
    pub pointer: Option<Box<str>>,
    /// A header with its value, for an API key.
    pub header: Option<(Box<str>, Box<str>)>,
}

impl fmt::Debug for HttpLookup {
    /// Without the value of the header, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpLookup")
            .field("url", &self.url)
            .field("body", &self.body)
            .field("pointer", &self.pointer)
            .field("header", &self.header.as_ref().map(|(name, _)| name))
            .finish()
    }
}

/// Who is asked by SIP, over UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipLookup {
    /// A host name or an address; IPv6 in brackets.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
}

/// What becomes of a call whose lookup gave no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It goes on as if the number were not ported.
    #[default]
    Ignore,
    /// It is refused.
    Refuse,
}

impl OnFailure {
    /// The word in the database and on the wire.
    pub fn word(self) -> &'static str {
        match self {
            OnFailure::Ignore => "ignore",
            OnFailure::Refuse => "refuse",
        }
    }

    /// The choice with this word.
    pub fn from_word(word: &str) -> Option<OnFailure> {
        [OnFailure::Ignore, OnFailure::Refuse].into_iter().find(|choice| choice.word() == word)
    }
}

/// All lookups, by the prefixes that they are asked about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lookups {
    by_prefix: BTreeMap<Box<str>, Arc<Lookup>>,
    longest: usize,
}

impl Lookups {
    /// Of two with the same prefix the later counts.
    pub fn new(lookups: impl IntoIterator<Item = Lookup>) -> Lookups {
        let mut by_prefix = BTreeMap::new();
        for lookup in lookups.into_iter().map(Arc::new) {
            let prefixes = lookup.prefixes.iter().cloned();
            by_prefix.extend(prefixes.map(|prefix| (prefix, lookup.clone())));
        }
        let longest = by_prefix.keys().map(|prefix| prefix.len()).max().unwrap_or_default();
        Lookups { by_prefix, longest }
    }

    /// Who is asked about a number: the one with the longest prefix that it begins with.
    pub fn find(&self, number: &Number) -> Option<&Arc<Lookup>> {
        if self.by_prefix.is_empty() {
            return None;
        }
        let digits = number.as_str();
        let lengths = (0..=self.longest.min(digits.len())).rev();
        lengths.into_iter().find_map(|length| self.by_prefix.get(&digits[..length]))
    }
}

/// What is known of where a call goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// It.
    pub location: Location,
    /// Somebody who knows was asked: a number without an LRN is not ported.
    pub is_dipped: bool,
}

/// What an INVITE says of where its number is served (RFC 4694), where its sender is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Where it was given out.
    NotPorted,
    /// There.
    Ported(RoutingNumber),
    /// What it says there is no number.
    Unreadable,
}

impl Said {
    /// `None` if it says nothing.
    pub(crate) fn of(uri: &Uri<'_>) -> Option<Said> {
        let Portability { rn, rn_context, .. } = Portability::of(uri)?;
        let Some(rn) = rn else { return Some(Said::NotPorted) };
        Some(RoutingNumber::read(rn, rn_context).map_or(Said::Unreadable, Said::Ported))
    }

    /// What that is for this called number; `None` if it is not sure where it is: then it is as good as
    /// not said, and the number is asked about.
    pub(crate) fn located(self, called: &Number) -> Option<Located> {
        let lrn = match self {
            Said::NotPorted => None,
            Said::Ported(routing) => Some(routing.as_e164(called)?),
            Said::Unreadable => return None,
        };
        Some(Located { location: Location { lrn, jurisdiction: None }, is_dipped: true })
    }
}

/// A routing number, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutingNumber {
    digits: Number,
    /// It was said of which country it is: by `+`, or by a context that is a global number.
    is_global: bool,
}

impl RoutingNumber {
    /// `rn` with its `rn-context`, if it has one (RFC 4694); `None` if it is no number.
    pub fn read(rn: &[u8], context: Option<&[u8]>) -> Option<RoutingNumber> {
        let rn = std::str::from_utf8(rn).ok()?;
        let context = context.and_then(|text| std::str::from_utf8(text).ok());
        let is_whole = rn.starts_with('+');
        let before = context.filter(|_| !is_whole).and_then(|text| text.strip_prefix('+'));
        let digits: Number = format!("{}{rn}", before.unwrap_or_default()).parse().ok()?;
        let is_number = digits.as_bytes().iter().all(u8::is_ascii_digit);
        is_number.then_some(RoutingNumber { digits, is_global: is_whole || before.is_some() })
    }

    /// As E.164, for this called number. A number is served in its own country: one of which it was not
    /// said where it is has to begin with the calling code of the called number, or be a national number
    /// of North America, all of which have ten digits. `None`: the national digits of one country may be
    /// a number of another, and nobody knows which is meant.
    pub fn as_e164(self, called: &Number) -> Option<Number> {
        let RoutingNumber { digits, is_global } = self;
        let (code, text) = (calling_code(called), digits.as_str());
        match (code, text.len()) {
            _ if is_global => Some(digits),
            // The ten digits never begin with 1, and 1 has ten digits after it.
            (Some("1"), 10) if !text.starts_with('1') => format!("1{text}").parse().ok(),
            (Some("1"), length) => (length == 11 && text.starts_with('1')).then_some(digits),
            (Some(code), _) => text.starts_with(code).then_some(digits),
            (None, _) => None,
        }
    }
}

/// The user part of a number that somebody was asked about (RFC 4694).
pub(crate) fn user_of(called: &str, located: &Located) -> String {
    match located.location.lrn {
        Some(lrn) => format!("{called};npdi;rn=+{}", lrn.as_str()),
        None if located.is_dipped => format!("{called};npdi"),
        None => called.to_owned(),
    }
}

/// Where a call from one number to another goes, and what is said of it.
pub(crate) fn locate(
    jurisdictions: &Jurisdictions,
    cli: Option<&Number>,
    cld: &Number,
    lrn: Option<Number>,
) -> (Location, Option<LocationDecision>) {
    let called = lrn.as_ref().unwrap_or(cld);
    let Some(called) = jurisdictions.place(called) else {
        return (Location { lrn, jurisdiction: None }, None);
    };
    let caller = cli.and_then(|cli| jurisdictions.place(cli));
    let jurisdiction = jurisdictions.between(caller, called);
    let name = |place| jurisdictions.name(place).map(Box::from);
    let decision = LocationDecision::Jurisdiction {
        jurisdiction,
        caller: caller.and_then(name),
        called: name(called),
    };
    (Location { lrn, jurisdiction: Some(jurisdiction) }, Some(decision))
}

/// The same for a call that is only thought of: what is assumed of it stands in place of what lookups and
/// tables say.
pub(crate) fn assume(
    directory: &Directory,
    cli: Option<&Number>,
    cld: &Number,
    assumed: Location,
) -> (Location, impl Iterator<Item = LocationDecision>) {
    let asked = match (assumed.lrn, directory.lookups().find(cld)) {
        (Some(lrn), _) => Some(LocationDecision::AssumedLrn(lrn)),
        (None, lookup) => lookup.map(|lookup| LocationDecision::WouldBeAsked(lookup.id)),
    };
    let (location, said) = match assumed.jurisdiction {
        Some(jurisdiction) => (assumed, Some(LocationDecision::Assumed(jurisdiction))),
        None => locate(directory.jurisdictions(), cli, cld, assumed.lrn),
    };
    (location, asked.into_iter().chain(said))
}

/// What was found of where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocationDecision {
    /// This lookup said where the number is served; `None`: where it was given out.
    Dipped(LookupId, Option<Number>),
    /// The trunk that sent the call said it.
    Said(Option<Number>),
    /// The trunk that sent the call said a number of which it is not sure where it is.
    SaidUnclear,
    /// This lookup would be asked; a simulation does not ask.
    WouldBeAsked(LookupId),
    /// This lookup gave no answer in time.
    Unanswered(LookupId),
    /// Where the call goes from and to.
    Jurisdiction {
        /// What that makes it.
        jurisdiction: Jurisdiction,
        /// The state of the caller, if it is known.
        caller: Option<Box<str>>,
        /// The state of the called number.
        called: Option<Box<str>>,
    },
    /// Somebody said what it is, in place of the tables.
    Assumed(Jurisdiction),
    /// Somebody said where the number is served, in place of a lookup.
    AssumedLrn(Number),
}

impl LocationDecision {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            LocationDecision::Dipped(..) => "number_dipped",
            LocationDecision::Said(_) => "number_dipped_before",
            LocationDecision::SaidUnclear => "lrn_unclear",
            LocationDecision::WouldBeAsked(_) => "number_would_be_dipped",
            LocationDecision::Unanswered(_) => "lookup_unanswered",
            LocationDecision::Jurisdiction { .. } => "jurisdiction_found",
            LocationDecision::Assumed(_) => "jurisdiction_assumed",
            LocationDecision::AssumedLrn(_) => "lrn_assumed",
        }
    }
}

impl fmt::Display for LocationDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let served = |lrn: &Option<Number>| match lrn {
            Some(lrn) => format!("is ported and served at {}", lrn.as_str()),
            None => "is not ported".to_owned(),
        };
        match self {
            LocationDecision::Dipped(id, lrn) => {
                write!(f, "Lookup {id} says that the called number {}.", served(lrn))
            }
            LocationDecision::Said(lrn) => {
                write!(f, "The caller's trunk says that the called number {}.", served(lrn))
            }
            LocationDecision::SaidUnclear => write!(
                f,
                "The caller's trunk says a routing number that is none, or of which it is not sure in which country it is: it is not believed."
            ),
            LocationDecision::WouldBeAsked(id) => {
                write!(f, "Lookup {id} would be asked where the called number is served.")
            }
            LocationDecision::Unanswered(id) => write!(
                f,
                "Lookup {id} gave no answer in time, or none that can be used: the call is priced by the number that was called."
            ),
            LocationDecision::Jurisdiction { jurisdiction, caller, called } => {
                let state = |name: &Option<Box<str>>| match name {
                    Some(name) => name.to_string(),
                    None => "a state that is not known".to_owned(),
                };
                let (from, to) = (state(caller), state(called));
                write!(f, "The call goes from {from} to {to}: it is {}.", jurisdiction.word())
            }
            LocationDecision::Assumed(jurisdiction) => {
                write!(f, "The call is taken for {}, as was asked for.", jurisdiction.word())
            }
            LocationDecision::AssumedLrn(lrn) => {
                let lrn = lrn.as_str();
                write!(f, "The called number is taken to be served at {lrn}, as was asked for.")
            }
        }
    }
}

/// The lookup gave no answer, and calls without one are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupRefusal(pub LookupId);

impl LookupRefusal {
    pub(crate) fn code(self) -> &'static str {
        "lookup_failed"
    }

    pub(crate) fn cause(self) -> Cause {
        Cause::TemporaryFailure
    }
}

impl fmt::Display for LookupRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LookupRefusal(id) = self;
        write!(
            f,
            "Lookup {id} gave no answer in time, or none that can be used, and calls without one are refused."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    fn lookup(id: u64, prefixes: &[&str]) -> Lookup {
        let sip = SipLookup { host: "lrn.example".into(), port: 5060 };
        Lookup {
            id: LookupId(id),
            name: "dip".into(),
            asks: LookupKind::Sip(sip),
            timeout: Duration::from_millis(300),
            ttl: Duration::from_secs(3600),
            on_failure: OnFailure::Ignore,
            prefixes: prefixes.iter().map(|prefix| Box::from(*prefix)).collect(),
        }
    }

    #[test]
    fn the_longest_prefix_says_who_is_asked() {
        let lookups = Lookups::new([lookup(1, &["1", "44"]), lookup(2, &["1876"])]);
        let found = |text: &str| lookups.find(&number(text)).map(|lookup| lookup.id.0);
        assert_eq!(found("12025551234"), Some(1));
        assert_eq!(found("18765551234"), Some(2));
        assert_eq!(found("4420"), Some(1));
        assert_eq!(found("4"), None);
        assert_eq!(found("4930"), None);
        assert_eq!(Lookups::default().find(&number("1")), None);
        let of_all = Lookups::new([lookup(3, &[""])]);
        assert_eq!(of_all.find(&number("4930")).map(|lookup| lookup.id.0), Some(3));
    }

    #[test]
    fn routing_numbers_are_read_with_their_context() {
        let read = |rn: &str, context: Option<&str>| {
            let routing = RoutingNumber::read(rn.as_bytes(), context.map(str::as_bytes))?;
            let number = routing.as_e164(&number("12025551234"))?;
            Some(number.as_str().to_owned())
        };
        assert_eq!(read("+1-202-555-0000", None).as_deref(), Some("12025550000"));
        assert_eq!(read("2025550000", Some("+1")).as_deref(), Some("12025550000"));
        assert_eq!(read("+12025550000", Some("+1")).as_deref(), Some("12025550000"));
        assert_eq!(read("12025550000", Some("example.com")).as_deref(), Some("12025550000"));
        assert_eq!(read("nobody", None), None);
        assert_eq!(read("*12", None), None);
    }

    #[test]
    fn routing_numbers_without_a_country_are_of_the_called_one_or_none() {
        // T7
        let check = |rn: &str, called: &str, expected: Option<&str>| {
            let routing = RoutingNumber::read(rn.as_bytes(), None).unwrap();
            assert_eq!(routing.as_e164(&number(called)), expected.map(number), "{rn} for {called}");
        };
        check("2025550000", "12025551234", Some("12025550000"));
        check("12025550000", "12025551234", Some("12025550000"));
        check("1202555000", "12025551234", None);
        check("202555000", "12025551234", None);
        check("442079460000", "12025551234", None);
        check("447700900123", "442079460000", Some("447700900123"));
        check("7700900123", "442079460000", None);
        check("2025550000", "4930123456", None);
        check("12025550000", "4930123456", None);
        // Sure of itself.
        check("+12025550000", "4930123456", Some("12025550000"));
        // No calling code.
        check("999", "999", None);
    }

    #[test]
    fn a_key_is_not_shown() {
        let header = Some(("X-Key".into(), "s3cret".into()));
        let http = HttpLookup { url: "http://lrn/".into(), body: None, pointer: None, header };
        assert!(!format!("{http:?}").contains("s3cret"));
    }
}
