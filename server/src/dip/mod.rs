//! Asks where called numbers are served since they were ported (LRN dips, T7): by HTTP or by SIP, as the
//! operator has set. What was answered is kept for a while, and a lookup that fails again and again is
//! left alone for a while.

mod http;
mod known;
mod sip;

use std::sync::{Arc, Mutex, PoisonError};

use metrics::counter;
use switch::Answer;
use switch::lookup::{Lookup, LookupKind, RoutingNumber};
use switch::question::NumberToDip;
use tokio::time::timeout;
use vocabulary::Number;

use self::known::{Before, Known};
use crate::clock::Clock;
use crate::net::http::{FetchError, HttpClient};
use crate::net::resolver::Dns;

/// Shared by all workers.
#[derive(Clone)]
pub(crate) struct Dips {
    clock: Clock,
    client: HttpClient,
    /// `None` if this machine has no resolver: then only addresses can be asked.
    dns: Option<Arc<Dns>>,
    known: Arc<Mutex<Known>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum DipError {
    /// The web server was not reached, or not in time.
    #[error("{}", without_url(.0))]
    Fetch(#[from] FetchError),
    /// The URL is none once the number is in it.
    #[error("its URL is none any more once the number is in it")]
    Url,
    /// It says that something is wrong.
    #[error("it answers with status {0}")]
    Status(u16),
    /// What it answers has no number where one should be, or one that may be of any country.
    #[error("its answer has no number, or neither + nor the calling code of the called one: {0}")]
    NoNumber(String),
    /// The host has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// The socket.
    #[error(transparent)]
    Socket(#[from] std::io::Error),
    /// Nothing came in time.
    #[error("nothing came within {0:?}")]
    Late(std::time::Duration),
}

impl DipError {
    /// It was not there, not able or not willing: what the next call would find too. Other answers are
    /// about the number that was asked about, and show that it is alive.
    fn is_failure(&self) -> bool {
        match self {
            DipError::Fetch(_) | DipError::NoAddress(_) | DipError::Socket(_) => true,
            DipError::Late(_) => true,
            DipError::Status(status) => matches!(status, 401 | 403 | 429 | 500..=599),
            DipError::Url | DipError::NoNumber(_) => false,
        }
    }
}

/// The URL has the number that was called, and perhaps a key.
fn without_url(error: &FetchError) -> String {
    match error {
        FetchError::NotSecure(_) | FetchError::NotPublic(_) => "it may not be asked".to_owned(),
        FetchError::NoAddress(_) => "its host has no address".to_owned(),
        FetchError::Unreachable { why, .. } => format!("it is not reached: {why}"),
        FetchError::Tls { why, .. } => format!("no TLS: {why}"),
        FetchError::Http { why, .. } => why.to_string(),
        FetchError::TooLong { body_max, .. } => {
            format!("it answers with more than {body_max} bytes")
        }
        FetchError::Late { time, .. } => format!("it has not answered within {time:?}"),
    }
}

/// What was answered, as far as a log may have it: the start, without its digits.
fn masked(answered: &[u8]) -> String {
    let text = String::from_utf8_lossy(answered);
    let masked = text.chars().take(80);
    masked.map(|c| if c.is_ascii_digit() { '#' } else { c }).collect()
}

impl Dips {
    /// Web servers are asked by `client`, whose names `dns` knows too.
    pub(crate) fn new(clock: Clock, client: HttpClient, dns: Option<Arc<Dns>>) -> Dips {
        Dips { clock, client, dns, known: Arc::default() }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // What a panic has left is whole: each change of it is one insertion.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer without asking: it is known, or the lookup is left alone.
    pub(crate) fn at_once(&self, dip: &NumberToDip) -> Option<Answer> {
        let now = self.clock.monotonic();
        match self.known().before(now, &dip.lookup, dip.number) {
            Before::Known(lrn) => {
                told(&dip.lookup, "kept");
                Some(Answer::Dipped(lrn))
            }
            Before::Rests => {
                told(&dip.lookup, "left_alone");
                Some(Answer::Nothing)
            }
            Before::Ask => None,
        }
    }

    /// Asks, for no longer than the call waits.
    pub(crate) async fn ask(&self, dip: &NumberToDip) -> Answer {
        let NumberToDip { lookup, number } = dip;
        let limit = lookup.timeout;
        let answer = match &lookup.asks {
            LookupKind::Http(http) => {
                let asked = http::ask(&self.client, http, number, limit);
                timeout(limit, asked).await.unwrap_or(Err(DipError::Late(limit)))
            }
            LookupKind::Sip(host) => sip::ask(self.dns.as_deref(), host, number, limit).await,
        };
        let now = self.clock.monotonic();
        match answer {
            Ok(lrn) => {
                self.known().heard(now, lookup, *number, lrn);
                told(lookup, "answered");
                Answer::Dipped(lrn)
            }
            Err(why) if !why.is_failure() => {
                self.known().spoke(lookup);
                if matches!(why, DipError::NoNumber(_)) && self.known().is_news(now, lookup) {
                    tracing::warn!(lookup = %lookup.name, %why, "an answer cannot be used");
                }
                tracing::debug!(lookup = %lookup.name, %why, "no LRN");
                told(lookup, "no_number");
                Answer::Nothing
            }
            Err(why) => {
                if self.known().failed(now, lookup) {
                    let rest = known::REST.as_secs();
                    tracing::warn!(
                        lookup = %lookup.name, %why,
                        "the lookup failed again and again; it is left alone for {rest} s"
                    );
                }
                tracing::debug!(lookup = %lookup.name, %why, "no LRN");
                told(lookup, "failed");
                Answer::Nothing
            }
        }
    }
}

fn told(lookup: &Lookup, outcome: &'static str) {
    counter!("tandem_lookups_total", "lookup" => lookup.name.to_string(), "outcome" => outcome)
        .increment(1);
}

/// A routing number as it was answered: nothing, or the number itself, is one that was not ported.
fn lrn(answered: &str, called: &Number) -> Option<Option<Number>> {
    let answered = answered.trim();
    if answered.is_empty() {
        return Some(None);
    }
    served_at(answered.as_bytes(), None, called)
}

/// Where a routing number with its context says that the called number is served.
fn served_at(rn: &[u8], context: Option<&[u8]>, called: &Number) -> Option<Option<Number>> {
    let lrn = RoutingNumber::read(rn, context)?.as_e164(called)?;
    Some((lrn != *called).then_some(lrn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_that_a_lookup_is_alive_is_no_failure() {
        // T7
        let is_failure = |status| DipError::Status(status).is_failure();
        assert!([404, 604, 400, 480, 410, 200].iter().all(|status| !is_failure(*status)));
        assert!([401, 403, 429, 500, 503].iter().all(|status| is_failure(*status)));
        assert!(!DipError::NoNumber("<html>".into()).is_failure());
        assert!(DipError::Late(std::time::Duration::from_millis(300)).is_failure());
        assert!(DipError::NoAddress("lrn.test".into()).is_failure());
        assert!(DipError::Socket(std::io::ErrorKind::ConnectionRefused.into()).is_failure());
    }

    #[track_caller]
    fn check(answered: &str, expected: Option<Option<&str>>) {
        let found = lrn(answered, &"12025551234".parse().unwrap());
        let expected = expected.map(|lrn| lrn.map(|lrn| lrn.parse().unwrap()));
        assert_eq!(found, expected);
    }

    #[test]
    fn answers_become_numbers() {
        // T7
        check("12025550000", Some(Some("12025550000")));
        check(" +1 (202) 555-0000\n", Some(Some("12025550000")));
        check("2025550000", Some(Some("12025550000")));
        check("", Some(None));
        check("12025551234", Some(None));
        check("2025551234", Some(None));
        check("not found", None);
        check("#", None);
        // Of which country?
        check("555000", None);
        check("442079460000", None);
    }
}
