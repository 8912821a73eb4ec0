//! Certificates of those who sign callers, kept while they are fresh (RFC 9111), so that a call seldom
//! waits for one. Calls that want the same one at the same time wait for one fetch.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::header::{AGE, CACHE_CONTROL, HeaderMap};
use switch::stir::IdentityFault;
use tokio::sync::OnceCell;
use vocabulary::Utc;

use super::credential::Credential;
use crate::net::http::Url;

/// So many URLs are remembered.
const SHELF_MAX: usize = 1_000;
/// How long a certificate is kept, in seconds: if its server says nothing, and in any case.
const KEPT_S: i64 = 3_600;
const KEPT_S_MIN: i64 = 60;
const KEPT_S_MAX: i64 = 24 * 3_600;
/// How long it is remembered that there is none, in seconds.
const MISSED_S: i64 = 30;

/// What a fetch brought.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) credential: Result<Arc<Credential>, IdentityFault>,
    /// It is fetched again then.
    pub(super) until: Utc,
}

impl Fetched {
    /// With the headers of the answer, at this moment.
    pub(super) fn kept(credential: Credential, headers: &HeaderMap, at: Utc) -> Fetched {
        let until = Utc(at.0 + lifetime_s(headers) * 1_000_000).min(credential.valid_until());
        Fetched { credential: Ok(Arc::new(credential)), until }
    }

    pub(super) fn missed(fault: IdentityFault, at: Utc) -> Fetched {
        Fetched { credential: Err(fault), until: Utc(at.0 + MISSED_S * 1_000_000) }
    }
}

/// RFC 9111 section 4.2, bounded: a server must not have us ask at each call, nor keep for ever what was
/// withdrawn.
fn lifetime_s(headers: &HeaderMap) -> i64 {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut lifetime = KEPT_S;
    for directive in values.flat_map(|value| value.split(',')).map(str::trim) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return KEPT_S_MIN;
        }
        if name.eq_ignore_ascii_case("max-age") {
            lifetime = value.trim_matches('"').parse().unwrap_or(KEPT_S_MIN);
        }
    }
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.parse().ok()).unwrap_or(0i64);
    lifetime.saturating_sub(age.max(0)).clamp(KEPT_S_MIN, KEPT_S_MAX)
}

type Place = Arc<OnceCell<Fetched>>;

/// By where they are.
#[derive(Default)]
pub(super) struct Shelf {
    places: Mutex<HashMap<Url, Place>>,
}

impl Shelf {
    /// The one at `url` as of `at`; `fetch` is waited for if none is fresh and nobody fetches it already.
    pub(super) async fn get<F: Future<Output = Fetched>>(
        &self,
        url: &Url,
        at: Utc,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<Credential>, IdentityFault> {
        let place = self.place(url, at);
        place.get_or_init(fetch).await.credential.clone()
    }

    fn place(&self, url: &Url, at: Utc) -> Place {
        // One that is being fetched has no time yet.
        let is_fresh = |place: &Place| place.get().is_none_or(|fetched| fetched.until > at);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= SHELF_MAX && !places.contains_key(url) {
            make_room(&mut places, at);
        }
        match places.entry(url.clone()) {
            Entry::Occupied(mut entry) => {
                if !is_fresh(entry.get()) {
                    entry.insert(Place::default());
                }
                Arc::clone(entry.get())
            }
            Entry::Vacant(entry) => Arc::clone(entry.insert(Place::default())),
        }
    }
}

/// What is stale goes, or else what would be next: whoever fills the shelf loses its own, since what is
/// good is kept longer than what is not.
fn make_room(places: &mut HashMap<Url, Place>, at: Utc) {
    let until = |place: &Place| place.get().map_or(at, |fetched| fetched.until);
    let first = places.iter().min_by_key(|(_, place)| until(place)).map(|(url, _)| url.clone());
    places.retain(|_, place| until(place) > at);
    if places.len() >= SHELF_MAX {
        first.map(|first| places.remove(&first));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn check(headers: &[(&str, &str)], expected: i64) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: hyper::header::HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        assert_eq!(lifetime_s(&map), expected, "{headers:?}");
    }

    /// RFC 9111 sections 5.1 and 5.2.2.
    #[test]
    fn the_server_says_how_long_within_bounds() {
        check(&[], 3_600);
        check(&[("cache-control", "max-age=7200")], 7_200);
        check(&[("cache-control", "public, Max-Age=\"7200\""), ("age", "200")], 7_000);
        check(&[("cache-control", "public"), ("cache-control", "max-age=600")], 600);
        check(&[("cache-control", "max-age=1")], 60);
        check(&[("cache-control", "max-age=86400000")], 86_400);
        check(&[("cache-control", "max-age=99999999999999999999")], 60);
        check(&[("cache-control", "max-age=600, no-store")], 60);
        check(&[("cache-control", "max-age=600"), ("age", "-9")], 600);
    }

    fn url(n: usize) -> Url {
        Url::parse(&format!("https://cert.example/{n}")).unwrap()
    }

    fn second(n: i64) -> Utc {
        Utc(n * 1_000_000)
    }

    /// Asks at second `at`; whether it was fetched.
    fn fetches(shelf: &Shelf, n: usize, at: i64) -> bool {
        let mut was = false;
        let found = {
            let fetch = || {
                was = true;
                std::future::ready(Fetched::missed(IdentityFault::CertificateAway, second(at)))
            };
            let url = url(n);
            let mut get = pin!(shelf.get(&url, second(at), fetch));
            get.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        assert!(matches!(found, Poll::Ready(Err(IdentityFault::CertificateAway))));
        was
    }

    #[test]
    fn what_is_fresh_is_not_fetched_again() {
        let shelf = Shelf::default();
        assert!(fetches(&shelf, 1, 0));
        assert!(!fetches(&shelf, 1, 29));
        assert!(fetches(&shelf, 1, 30));
        assert!(!fetches(&shelf, 1, 59));
        assert!(fetches(&shelf, 2, 59));
    }

    #[test]
    fn one_fetch_is_for_all_who_wait() {
        let shelf = Shelf::default();
        let (at, first) = (second(0), url(1));
        let mut context = Context::from_waker(Waker::noop());
        let (send, receive) = tokio::sync::oneshot::channel();
        let mut asks = pin!(shelf.get(&first, at, || async { receive.await.unwrap() }));
        let mut waits = pin!(shelf.get(&first, at, || async { unreachable!("a second fetch") }));
        assert!(asks.as_mut().poll(&mut context).is_pending());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        send.send(Fetched::missed(IdentityFault::CertificateAway, at)).unwrap();
        assert!(asks.as_mut().poll(&mut context).is_ready());
        assert!(waits.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn the_shelf_is_no_longer_than_it_may_be() {
        let shelf = Shelf::default();
        for n in 0..SHELF_MAX + 10 {
            assert!(fetches(&shelf, n, i64::from(n >= SHELF_MAX)));
            assert!(shelf.places.lock().unwrap().len() <= SHELF_MAX);
        }
        // Those that were first to be stale have gone, the latest are there.
        assert!(!fetches(&shelf, SHELF_MAX + 9, 1));
        assert_eq!(shelf.places.lock().unwrap().len(), SHELF_MAX);
        // When all are stale, all go.
        assert!(fetches(&shelf, SHELF_MAX + 10, 100));
        assert_eq!(shelf.places.lock().unwrap().len(), 1);
    }
}
