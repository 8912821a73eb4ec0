//! The bench of re-rating (DESIGN section 9, J-25): calls of two CDRs are made by the real credit
//! control, with journal and tables, and priced again with other rates: read from the tables, priced,
//! booked through journal and projection, as a run of the API does. Beside it, in the same run, a
//! plain loop over the same calls that finds a price by longest prefix in a hash map and multiplies.
//!
//! `cargo run --release -p bench --bin rerate -- [CALLS]`

use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use billing::{
    AccountTariff, CreditControl, Currency, Effect, GroupTerms, Journal, Ledger, Money,
    MoneyRounding, Rate, RateBook, RateGroup, RateGroupId, RateRow, Rerated, Sides, Terms, reprice,
};
use store::directory::DirectoryStore;
use store::journal::JournalOptions;
use store::rerate::{Cursor, SelectedCall, Selection};
use store::{Database, Opening, Store};
use vocabulary::{
    AccountId, AuthorizeRequest, CallFacts, CallId, CallKind, Candidate, Direction, LegFacts, Now,
    Number, Party, ReleaseFacts, SettleRequest, TrunkId, Utc,
};

const CALLS: u32 = 200_000;
/// What DESIGN section 9 wants of a core.
const WANTED: f64 = 200_000.0;
/// The pricing thread's own CPU, in nanoseconds, is the first figure there.
const OWN_CPU: &str = "/proc/thread-self/schedstat";
/// Clock ticks a second in /proc/self/stat; 100 on every Linux we build for.
const TICKS_PER_SECOND: u32 = 100;

const CUSTOMER: AccountId = AccountId(1000);
const CARRIER: AccountId = AccountId(1001);
const TRUNK: TrunkId = TrunkId(1);
const RETAIL: RateGroupId = RateGroupId(1);
const COST: RateGroupId = RateGroupId(2);
const START: Utc = Utc(1_795_248_000_000_000);
/// Prefixes of a group: 20000 to 99999.
const PREFIXES: std::ops::Range<u32> = 20_000..100_000;

fn main() {
    let calls = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(CALLS);
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    runtime.block_on(run(calls));
}

async fn run(calls: u32) {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let world = World::open(dir.path()).await;
    let start = Instant::now();
    world.make_calls(calls).await;
    let cdrs = f64::from(calls) * 2.0;
    println!("{calls} calls with two CDRs each, made in {:.1} s", start.elapsed().as_secs_f64());

    let book = book(2);
    let preview = world.price_again(&book, false).await;
    assert_eq!(preview.effect.calls, u64::from(calls), "every call is read");
    let plain = preview.plain.as_secs_f64();
    let priced = preview.priced.as_secs_f64();
    println!(
        "priced: {:.0} CDRs/s a core (at least {WANTED:.0}), {:.1} plain loops",
        cdrs / priced,
        priced / plain
    );
    println!("plain loop: {:.0} ns a CDR", plain * 1e9 / cdrs);
    println!("a preview, read from the tables: {:.0} CDRs a CPU second", cdrs / preview.all());
    let run = world.price_again(&book, true).await;
    assert_eq!(run.written, u64::from(calls), "the price of every call changes");
    println!("a run, booked and in the tables: {:.0} CDRs a CPU second", cdrs / run.all());
    let again = world.price_again(&book, true).await;
    assert_eq!(again.written, 0, "pricing again twice changes nothing");
    world.store.close().await.expect("what was booked is in the tables");
}

/// A price for every prefix, as a carrier's deck has: another one for every `factor`.
fn price(prefix: u32, factor: u32) -> u64 {
    u64::from(1_000 + prefix.wrapping_mul(7_919) % 90_000) * u64::from(factor)
}

fn group(id: RateGroupId, factor: u32) -> RateGroup {
    let mut group = RateGroup::builder(GroupTerms {
        id,
        name: format!("group {}", id.0),
        currency: Currency::EUR,
        money_rounding: MoneyRounding::default(),
        special: None,
    });
    for prefix in PREFIXES {
        let micros = price(prefix, factor);
        let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        let rate = Rate::per_minute(text.parse().expect("six decimals are a price"), 6, 6);
        let (prefix, special, sheet_version) = (prefix.to_string(), None, 1);
        let (valid_from, valid_till) = (None, None);
        let row = RateRow { prefix, rate, special, valid_from, valid_till, sheet_version };
        group.row(&row).expect("the row is whole");
    }
    group.build()
}

/// The customer pays `factor` times the deck, the carrier takes half of that.
fn book(factor: u32) -> RateBook {
    let customer = AccountTariff { customer_group: Some(RETAIL), ..AccountTariff::default() };
    let carrier = AccountTariff { carrier_group: Some(COST), ..AccountTariff::default() };
    let book = RateBook::builder().group(group(RETAIL, 2 * factor)).group(group(COST, factor));
    let book = book.account(CUSTOMER, customer).account(CARRIER, carrier);
    book.build().expect("the book is whole")
}

/// Ledger, journal and tables, without SIP.
struct World {
    store: Store,
    ledger: Arc<Ledger>,
    directory: DirectoryStore,
}

impl World {
    async fn open(dir: &std::path::Path) -> World {
        let data = dir.join("data");
        let database = Database::File(data.join("tandem.db"));
        let ledger = Arc::new(Ledger::new());
        let rich = Terms::postpaid(Currency::EUR, Money::units(100_000_000));
        for account in [CUSTOMER, CARRIER] {
            ledger.set_terms(account, rich).expect("the account is new");
        }
        let opening = Opening::begin(&data, &database, JournalOptions::default()).await;
        let opening = opening.expect("the data directory opens");
        let store = opening.recover(&ledger).await.expect("the directory is empty");
        let directory = DirectoryStore::open(&database).await.expect("the directory opens");
        World { store, ledger, directory }
    }

    /// Calls to numbers of all prefixes, of 1 to 600 seconds, one begun each 50 ms.
    async fn make_calls(&self, calls: u32) {
        let journal: Arc<dyn Journal> = self.store.journal().clone();
        let mut credit = CreditControl::new(Arc::clone(&self.ledger), journal);
        credit.set_rate_book(Arc::new(book(1)));
        for sequence in 0..calls {
            let since = Duration::from_millis(50) * sequence;
            let now = Now { monotonic: since, utc: START.plus(since) };
            let call = CallId::new(self.store.start_number(), 0, sequence.into());
            let prefix = PREFIXES.start + sequence.wrapping_mul(7_919) % PREFIXES.len() as u32;
            let cld: Number = format!("{prefix}{:06}", sequence % 1_000_000)
                .parse()
                .expect("eleven digits are a number");
            let request = AuthorizeRequest {
                candidates: vec![Candidate {
                    trunk: TRUNK,
                    carrier: CARRIER,
                    priority: 1,
                    rank: 0,
                    is_standby: false,
                }],
                ..AuthorizeRequest::new(call, CUSTOMER, CallKind::Egress, cld, now.utc)
            };
            credit.authorize(now, &request).expect("the customer is rich");
            credit.answered(now, call, Some(TRUNK), now.utc);
            let talked = Duration::from_secs(u64::from(sequence % 600 + 1));
            while !is_covered(&mut credit, now, call, talked) {}
            credit.settle(now, settle(call, cld, now.utc, talked));
            if sequence % 1_000 == 0 {
                // The disk may be slower than this loop.
                self.store.journal().durable_at(self.store.journal().end()).await;
            }
        }
        self.store.flush().await;
    }

    /// A preview, or with `books` a run.
    async fn price_again(&self, book: &RateBook, books: bool) -> Figures {
        let selection = Selection::between(START, Utc(i64::MAX));
        let currency = |account: AccountId| self.ledger.account(account).map(|a| a.terms.currency);
        let (mut figures, before) = (Figures::default(), process_cpu());
        let deck = plain_deck();
        let mut next = Some(Cursor::before(&selection));
        while let Some(cursor) = next {
            let batch = self.directory.selected_calls(&selection, cursor).await;
            let batch = batch.expect("the tables can be read");
            next = batch.next;
            let begun = own_cpu();
            black_box(plain(&deck, &batch.calls));
            let looped = own_cpu();
            let mut records = Vec::new();
            for SelectedCall { call, .. } in &batch.calls {
                let repriced = reprice(book, &currency, call, Sides::All);
                figures.effect.add(call, &repriced);
                records.extend(Rerated::new(1, START, call, repriced));
            }
            figures.plain += looped.saturating_sub(begun);
            figures.priced += own_cpu().saturating_sub(looped);
            if books {
                figures.written += records.len() as u64;
                self.book(records).await;
            }
        }
        if books {
            self.store.flush().await;
        }
        figures.process = process_cpu().saturating_sub(before);
        figures
    }

    async fn book(&self, records: Vec<Rerated>) {
        let journal: &dyn Journal = &**self.store.journal();
        for record in records {
            self.ledger.rerate(record, journal).expect("the accounts are rich");
        }
        self.store.journal().durable_at(self.store.journal().end()).await;
    }
}

/// Asks for more talk; true once there is enough.
fn is_covered(credit: &mut CreditControl, now: Now, call: CallId, talked: Duration) -> bool {
    let grant = credit.extend(now, vocabulary::ExtendRequest { call }).grant;
    grant.is_final || grant.talk_time >= talked
}

fn settle(call: CallId, cld: Number, at: Utc, talked: Duration) -> SettleRequest {
    let leg = |index: u8| LegFacts {
        index,
        direction: if index == 0 { Direction::Ingress } else { Direction::Egress },
        account: Some(if index == 0 { CUSTOMER } else { CARRIER }),
        subscriber: None,
        trunk: (index > 0).then_some(TRUNK),
        remote: None,
        sip_call_id: format!("{call}-{index}@example.net"),
        cli: String::new(),
        cld: cld.as_str().to_owned(),
        started_at: at,
        attestation: None,
        ringing_at: None,
        answered_at: Some(at),
        ended_at: at.plus(talked),
        talked,
        release: ReleaseFacts { cause: "normal", q850: 16, sip_status: 200, by: Party::Caller },
    };
    let facts = CallFacts { cld: Some(cld), legs: vec![leg(0), leg(1)], ..CallFacts::new(call) };
    SettleRequest { talked, answered_by: Some(TRUNK), facts }
}

/// What a preview or a run took, and did.
#[derive(Default)]
struct Figures {
    effect: Effect,
    written: u64,
    /// CPU of this thread in the plain loop,
    plain: Duration,
    /// and in pricing.
    priced: Duration,
    /// CPU of all threads.
    process: Duration,
}

impl Figures {
    /// CPU seconds of all threads, without the plain loop.
    fn all(&self) -> f64 {
        self.process.saturating_sub(self.plain).as_secs_f64().max(f64::EPSILON)
    }
}

fn plain_deck() -> HashMap<String, u64> {
    PREFIXES.map(|prefix| (prefix.to_string(), price(prefix, 1))).collect()
}

/// What any re-rating has to do: of every CDR the longest prefix that has a price, and a product.
fn plain(deck: &HashMap<String, u64>, calls: &[SelectedCall]) -> u64 {
    let mut sum = 0;
    for SelectedCall { call, .. } in calls {
        let digits = call.by.cld.as_str();
        for side in &call.sides {
            let price = (1..=digits.len()).rev().find_map(|length| deck.get(&digits[..length]));
            sum += price.copied().unwrap_or(0) * side.talked.as_secs().div_ceil(6) / 10;
        }
    }
    sum
}

/// CPU that this thread has had.
fn own_cpu() -> Duration {
    let text = fs::read_to_string(OWN_CPU).expect("Linux counts a thread's CPU");
    let nanos = text.split(' ').next().and_then(|figure| figure.parse().ok());
    Duration::from_nanos(nanos.expect("the first figure is nanoseconds"))
}

/// CPU that all threads have had.
fn process_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux counts a process's CPU");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // User and system time are the 14th and 15th; the name ends before the third.
    let ticks = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum::<u32>();
    Duration::from_secs(ticks.into()) / TICKS_PER_SECOND
}
