//! Fraud limits (S4, V-11): what the calls of an account look like, beside what they cost. An operator
//! says by rules what is looked for and what is done when it is found: people are told, the account's
//! calls are refused, or reduced.
//!
//! Shared by all shards in sharded locks. An account for which no rule holds and upon which nothing was
//! brought takes no lock; others take one for an attempt and one for an end, two if calls are counted by
//! caller. What is counted is this node's; what was brought upon an account, and which countries it has
//! called, is stored and gets to other nodes by the directory.

mod book;
mod reason;
mod rules;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use vocabulary::{AccountId, Now, Number, Utc};

use crate::directory::Directory;
use crate::guard::sources::Sources;
use crate::numbers::{NumberClass, classify};
use book::{Book, HOUR, Held, Sliding};

#[cfg(test)]
pub(crate) use reason::samples;
pub use reason::{FraudDecision, FraudNote, FraudRefusal, Trip};
pub use rules::{
    AccountFraud, Country, FraudAction, FraudCheck, FraudKind, FraudRule, FraudRuleId, FraudRules,
    Hold, NoCountry,
};

/// So that workers seldom meet.
const PARTS: usize = 64;
/// Callers of accounts whose calls are counted by caller; whoever makes up new ones pushes out the oldest.
const CALLERS_MAX: usize = 1 << 16;
const MINUTE: Duration = Duration::from_secs(60);

/// A call that an account is about to place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) account: AccountId,
    pub(crate) cli: Option<Number>,
    /// Whom it calls, if that is not one of ours.
    pub(crate) outside: Option<Number>,
}

/// What is to be remembered of a call until it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    account: AccountId,
    /// It counts as a call to there.
    country: Option<Country>,
    is_premium: bool,
}

impl Watched {
    pub(crate) fn account(&self) -> AccountId {
        self.account
    }
}

/// What rules say of an attempt.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// What they have found.
    pub(crate) trips: Vec<Trip>,
    /// A country that the account has not called before, and now may.
    pub(crate) learned: Option<Country>,
    /// To be handed back when the call ends; `None` if it is refused.
    pub(crate) watched: Option<Watched>,
}

/// See the module.
#[derive(Debug)]
pub struct Fraud {
    parts: Vec<Mutex<HashMap<AccountId, Book, FixedState>>>,
    callers: Sources<(AccountId, Number), Sliding>,
    /// How many accounts something was brought upon.
    holds: AtomicUsize,
}

/// Without a secret; for tests.
impl Default for Fraud {
    fn default() -> Fraud {
        Fraud::new(0)
    }
}

impl Fraud {
    /// Nothing is remembered. The seed keys what strangers choose; keep it secret.
    pub fn new(seed: u64) -> Fraud {
        let part = || Mutex::new(HashMap::with_hasher(FixedState::with_seed(seed)));
        Fraud {
            parts: (0..PARTS).map(|_| part()).collect(),
            callers: Sources::new(seed, CALLERS_MAX),
            holds: AtomicUsize::new(0),
        }
    }

    fn lock(&self, account: AccountId) -> MutexGuard<'_, HashMap<AccountId, Book, FixedState>> {
        let mixed = account.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Every change is of one small value, so a panic elsewhere leaves none half made.
        self.parts[(mixed >> 58) as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many accounts something was brought upon.
    pub fn held(&self) -> usize {
        self.holds.load(Ordering::Relaxed)
    }

    /// What was brought upon this account; one load while there is no such account at all.
    pub fn hold_of(&self, now: Utc, account: AccountId) -> Option<Hold> {
        if self.held() == 0 {
            return None;
        }
        let mut part = self.lock(account);
        let book = part.get_mut(&account)?;
        let hold = book.held?.hold;
        if hold.is_over(now) {
            self.put(book, None);
            return None;
        }
        Some(hold)
    }

    fn put(&self, book: &mut Book, held: Option<Held>) {
        let (was, is) = (book.held.is_some(), held.is_some());
        book.held = held;
        match (was, is) {
            (false, true) => _ = self.holds.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.holds.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
    }

    /// What was brought upon accounts and is stored nowhere, by account.
    pub fn unstored(&self, now: Utc) -> Vec<(AccountId, Hold)> {
        let mut unstored = Vec::new();
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            let held = part.iter().filter_map(|(account, book)| Some((*account, book.held?)));
            let is_here_alone = |held: &Held| held.stored.is_none() && !held.hold.is_over(now);
            let here = held.filter(|(_, held)| is_here_alone(held));
            unstored.extend(here.map(|(account, held)| (account, held.hold)));
        }
        unstored.sort_unstable_by_key(|(account, _)| *account);
        unstored
    }

    /// Lifts what was brought upon an account, whether it is stored or not; what that was.
    pub fn lift(&self, now: Utc, account: AccountId) -> Option<Hold> {
        let lifted = self.hold_of(now, account)?;
        if let Some(book) = self.lock(account).get_mut(&account) {
            self.put(book, None);
        }
        Some(lifted)
    }

    /// Looks at a call that an account is about to place.
    pub(crate) fn attempt(
        &self,
        now: Now,
        directory: &Directory,
        rules: FraudRules<'_>,
        attempt: &Attempt,
    ) -> Verdict {
        let seen = Seen::of(now, directory, rules, attempt);
        let calls = self.calls_of_caller(now.monotonic, rules, attempt);
        let mut verdict = Verdict::default();
        let mut part = self.lock(attempt.account);
        let book = part.entry(attempt.account).or_default();
        for rule in rules.iter() {
            if let Some(what) = seen.found(book, rule, calls) {
                let trip = self.trip(book, now, attempt.account, *rule, what);
                verdict.trips.push(trip);
            }
        }
        self.forget_caller(attempt, &verdict.trips);
        if verdict.trips.iter().any(Trip::refuses) {
            return verdict;
        }
        if let Some(country) = seen.country {
            if seen.learns && !seen.is_known(book, country) {
                book.learned.push(country);
                verdict.learned = Some(country);
            }
            book.call(now.monotonic, country);
        }
        let Seen { country, is_premium, .. } = seen;
        verdict.watched = Some(Watched { account: attempt.account, country, is_premium });
        verdict
    }

    /// How many calls came within a minute with this caller's number, if a rule asks.
    fn calls_of_caller(&self, now: Duration, rules: FraudRules<'_>, attempt: &Attempt) -> u64 {
        let is_asked = |rule: &FraudRule| rule.check.kind() == FraudKind::CallsPerCli;
        let Some(cli) = attempt.cli.filter(|_| rules.iter().any(is_asked)) else { return 0 };
        self.callers.change((attempt.account, cli), |calls| {
            calls.add(now, MINUTE, 1);
            calls.sum(now, MINUTE)
        })
    }

    /// When something was brought upon the account, or goes on for longer, its caller is counted anew: so what ends does not
    /// begin again at once.
    fn forget_caller(&self, attempt: &Attempt, trips: &[Trip]) {
        let is_it = |trip: &Trip| trip.holds() && trip.rule.check.kind() == FraudKind::CallsPerCli;
        if let Some(cli) = attempt.cli.filter(|_| trips.iter().any(is_it)) {
            self.callers.forget((attempt.account, cli));
        }
    }

    /// A call has ended that was looked at. `talked`: how long, if it was answered. Without rules it is
    /// only taken out of what is live.
    pub(crate) fn ended(
        &self,
        now: Now,
        rules: Option<FraudRules<'_>>,
        watched: Watched,
        talked: Option<Duration>,
    ) -> Vec<Trip> {
        let mut trips = Vec::new();
        let Watched { account, country, is_premium } = watched;
        let mut part = self.lock(account);
        let Some(book) = part.get_mut(&account) else { return trips };
        if let Some(country) = country {
            book.leave(country);
        }
        let Some((rules, talked)) = rules.zip(talked) else { return trips };
        if is_premium {
            book.premium.add(now.monotonic, HOUR, talked.as_secs());
        }
        for rule in rules.iter() {
            let what = match rule.check {
                FraudCheck::ShortCalls { below, percent, among } => {
                    book.shorts.add(talked < below);
                    short_calls(book, below, percent, among)
                }
                FraudCheck::PremiumMinutes(most) if is_premium => premium(book, now, most),
                _ => None,
            };
            if let Some(what) = what {
                trips.push(self.trip(book, now, account, *rule, what));
            }
        }
        trips
    }

    fn trip(
        &self,
        book: &mut Book,
        now: Now,
        account: AccountId,
        rule: FraudRule,
        what: String,
    ) -> Trip {
        let kind = rule.check.kind();
        // A new storm is found anew, so that a hold that ends does not begin again at once.
        if kind == FraudKind::ShortCalls {
            book.shorts = book::Shorts::default();
        }
        let is_news = book.is_news(now.monotonic, rule.id);
        let found = rule.action.hold(kind, now.utc);
        let hold = found.and_then(|hold| self.bring(book, now.utc, hold, is_news));
        // A hold is stored as it is told.
        let is_news = is_news || hold.is_some();
        Trip { account, rule, what: what.into(), at: now.utc, hold, is_news }
    }

    /// Brings this upon an account. What is to be stored of it: while a reduction lasts only what is told
    /// anyway, as callers choose how often it is found.
    fn bring(&self, book: &mut Book, now: Utc, mut hold: Hold, is_news: bool) -> Option<Hold> {
        let held = book.held.filter(|held| !held.hold.is_over(now));
        let stored = held.and_then(|held| held.stored);
        let Some(Held { hold: before, .. }) = held else {
            self.put(book, Some(Held { hold, stored }));
            return Some(hold);
        };
        before.reduced_to?;
        let is_same = (before.kind, before.reduced_to) == (hold.kind, hold.reduced_to);
        if is_same && before.until.is_none() {
            return None;
        }
        let is_told = is_news || hold.reduced_to.is_none();
        if is_same && !is_told {
            hold.since = before.since;
        }
        self.put(book, Some(Held { hold, stored }));
        is_told.then_some(hold)
    }

    /// Takes over what is stored of accounts. What was stored before and is not any more is lifted.
    pub fn configure<'a>(
        &self,
        now: Utc,
        accounts: impl Iterator<Item = (AccountId, Option<&'a AccountFraud>)>,
    ) {
        for (account, stored) in accounts {
            let hold = stored.and_then(|stored| stored.hold).filter(|hold| !hold.is_over(now));
            let mut part = self.lock(account);
            if hold.is_none() && !part.contains_key(&account) {
                continue;
            }
            let book = part.entry(account).or_default();
            let held = match (hold, book.held) {
                (Some(hold), held) => Some(Held::beside_stored(held, hold, now)),
                (None, Some(held)) if held.is_lifted(now) => None,
                (None, held) => held.map(|held| Held { stored: None, ..held }),
            };
            self.put(book, held);
            let countries = stored.map_or(&[][..], |stored| &stored.countries);
            book.learned.retain(|country| countries.binary_search(country).is_err());
            if stored.is_none() && book.is_blank() {
                part.remove(&account);
            }
        }
    }
}

/// What there is to be known of an attempt before the account's book is opened.
struct Seen<'a> {
    now: Now,
    directory: &'a Directory,
    /// As far as a rule asks for it.
    country: Option<Country>,
    class: Option<NumberClass>,
    is_premium: bool,
    is_outside: bool,
    stored: &'a [Country],
    /// A rule wants to know the countries.
    learns: bool,
}

impl<'a> Seen<'a> {
    fn of(
        now: Now,
        directory: &'a Directory,
        rules: FraudRules<'a>,
        attempt: &Attempt,
    ) -> Seen<'a> {
        let learns = rules.iter().any(|rule| rule.check == FraudCheck::NewCountry);
        let classified = attempt.outside.as_ref().and_then(classify);
        let class = classified.map(|found| found.class);
        let is_premium = class == Some(NumberClass::Premium)
            || attempt.outside.is_some_and(|number| directory.is_premium(&number));
        Seen {
            now,
            directory,
            country: classified.map(|found| Country::written(found.region)),
            class,
            is_premium,
            is_outside: attempt.outside.is_some(),
            stored: rules.countries(),
            learns,
        }
    }

    fn is_known(&self, book: &Book, country: Country) -> bool {
        self.stored.binary_search(&country).is_ok() || book.learned.contains(&country)
    }

    /// What this rule finds, in a few words.
    fn found(&self, book: &mut Book, rule: &FraudRule, calls_of_caller: u64) -> Option<String> {
        let now = self.now;
        match rule.check {
            FraudCheck::CallsPerCli(most) => (calls_of_caller > u64::from(most))
                .then(|| format!("more than {most} calls in a minute with one caller's number")),
            FraudCheck::CountriesAtOnce(most) => {
                let count = book.live_with(self.country?);
                (count > most as usize).then(|| {
                    format!("calls to {count} countries at the same time, {most} are allowed")
                })
            }
            FraudCheck::CountriesPerHour(most) => {
                let count = book.lately_with(now.monotonic, self.country?);
                (count > most as usize).then(|| {
                    format!("calls to {count} countries within an hour, {most} are allowed")
                })
            }
            FraudCheck::NewCountry => {
                let country = self.country?;
                // The first country of all is where the account is at home.
                let has_any = !self.stored.is_empty() || !book.learned.is_empty();
                (has_any && !self.is_known(book, country))
                    .then(|| format!("the first call to {country}"))
            }
            FraudCheck::Hours { window, class, country } => {
                let is_meant = self.is_outside
                    && class.is_none_or(|class| self.class == Some(class))
                    && country.is_none_or(|country| self.country == Some(country));
                let window = self.directory.time_window(window).filter(|_| is_meant)?;
                window
                    .is_open(now.utc)
                    .then(|| format!("a call while the time window {} is open", window.name))
            }
            FraudCheck::PremiumMinutes(most) if self.is_premium => premium(book, now, most),
            FraudCheck::PremiumMinutes(_) | FraudCheck::ShortCalls { .. } => None,
        }
    }
}

fn premium(book: &mut Book, now: Now, most: u32) -> Option<String> {
    let minutes = book.premium.sum(now.monotonic, HOUR) / 60;
    (minutes >= u64::from(most))
        .then(|| format!("{minutes} minutes to premium numbers within an hour, {most} are allowed"))
}

fn short_calls(book: &Book, below: Duration, percent: u32, among: u32) -> Option<String> {
    let short = book.shorts.among(among)?;
    (u64::from(short) * 100 >= u64::from(percent) * u64::from(among)).then(|| {
        let below = below.as_secs();
        format!("{short} of the last {among} answered calls were shorter than {below} s")
    })
}

#[cfg(test)]
mod tests;
