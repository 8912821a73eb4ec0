//! Operations on credit control and the ledger, in any order and with repeats, and recovery from
//! what they left in the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use billing::{
    AccountState, AccountTariff, Ask, Bundle, BundleGrant, BundleId, CreditControl, CreditSettings,
    Currency, DestinationSet, DestinationSetId, DurationRounding, GroupTerms, Journal, Ledger,
    MemoryJournal, Money, MoneyMode, MoneyRounding, OpId, Overdraft, Position, Posting,
    PostingKind, Price, Rate, RateBook, RateGroup, RateGroupId, RateRow, Record, Recovery,
    ReservationId, SpendLimits, Spending, Status, SystemAccount, SystemKind, Terms,
};
use vocabulary::{
    AccountId, AuthorizeRequest, CallFacts, CallId, CallKind, Candidate, DidId, Direction,
    ExtendRequest, LegFacts, Now, Origin, Party, RateChoice, ReleaseFacts, SettleRequest,
    SubscriberId, TrunkId, Utc,
};

use crate::Choices;

const EUR: Currency = Currency::EUR;
const START: Utc = Utc(1_800_000_000_000_000);
/// A prepaid customer, a postpaid one, two carriers, and the reseller of the first.
const ACCOUNTS: [AccountId; 5] = [AccountId(1), AccountId(2), AccountId(3), AccountId(4), RESELLER];
const RESELLER: AccountId = AccountId(5);
const CUSTOMERS: [AccountId; 2] = [ACCOUNTS[0], ACCOUNTS[1]];
const CARRIERS: [AccountId; 2] = [ACCOUNTS[2], ACCOUNTS[3]];
const KINDS: [SystemKind; 5] = [
    SystemKind::Revenue,
    SystemKind::Cost,
    SystemKind::Cash,
    SystemKind::Adjustment,
    SystemKind::Sales(RESELLER),
];
/// Bundles may be for these: one destination, or every one.
const SETS: [(DestinationSetId, &str); 2] =
    [(DestinationSetId(1), "4930"), (DestinationSetId(2), "")];
/// Reservations that are no call's, so that something can expire; they are not journaled.
const STRAY: u64 = 1000;
const DID: DidId = DidId(1);

/// One run.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut books = Books::new(&mut choices);
    let cut = choices.byte();
    let applied = choices.byte();
    while let Some(op) = choices.next() {
        books.step(op, &mut choices);
        books.check();
    }
    let records = books.journal.records();
    for part in [cut, 255] {
        let length = (records.len() * (usize::from(part) + 1)) >> 8;
        let applied = Position((length * usize::from(applied) / 255) as u64);
        recover(&records[..length], applied);
    }
    let recovered = load(&records, Position(0));
    let (before, _) = replay(&recovered, &records, Position(0));
    assert_eq!(before, posted(&books.ledger));
    books.end();
}

/// Records as a busy switch writes them, one of every kind at least.
pub fn sample_records() -> Vec<Record> {
    let mut books = Books::new(&mut Choices::new(&[]));
    let mut steps =
        Choices::new(&[4, 0, 0, 100, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 2, 0, 0, 3, 0, 9]);
    while let Some(op) = steps.next() {
        books.step(op, &mut steps);
    }
    let mut records: Vec<Record> = books.journal.records().into_iter().map(|(_, r)| r).collect();
    records.push(Record::Heartbeat { at: START });
    let expires_at = START.plus(Duration::from_secs(3600));
    for binding in [Some(b"sip:bob@10.2.0.1".to_vec()), None] {
        let (subscriber, key) = (SubscriberId(21), b"bob-1".to_vec());
        records.push(Record::Binding { subscriber, key, binding, expires_at });
    }
    records
}

struct Books {
    ledger: Arc<Ledger>,
    journal: Arc<MemoryJournal>,
    workers: [CreditControl; 2],
    clock: Duration,
    granted: BTreeSet<CallId>,
    settled: BTreeSet<CallId>,
}

fn terms(account: AccountId) -> Terms {
    match account {
        AccountId(1) => Terms::prepaid(EUR),
        AccountId(2) => Terms {
            spend: SpendLimits { hour: None, day: Some(Money::units(1)), month: None },
            is_netted: true,
            ..Terms::postpaid(EUR, Money::units(2))
        },
        RESELLER => Terms {
            low_balance: [Some(Money(-1_000_000)), Some(Money::ZERO), None, None],
            ..Terms::postpaid(EUR, Money::units(3))
        },
        _ => Terms::postpaid(EUR, Money::ZERO),
    }
}

fn price(choices: &mut Choices<'_>, decimals: usize) -> Price {
    let price = format!("{}.{:0decimals$}", choices.byte() >> 6, choices.byte());
    price.parse().expect("a decimal number")
}

fn seconds(choices: &mut Choices<'_>) -> u32 {
    if choices.chance(200) { 0 } else { u32::from(choices.byte()) }
}

fn rate(choices: &mut Choices<'_>) -> Rate {
    let increments = [1, 6, 60, 30, 7, 86_400];
    let (first, next) = (choices.pick(&increments), choices.pick(&increments));
    let mut rate = Rate::per_minute(price(choices, 3), first, next);
    if choices.chance(128) {
        rate.connect_fee = price(choices, 4);
        rate.grace_seconds = seconds(choices);
        rate.free_seconds = seconds(choices);
        rate.minimum_seconds = seconds(choices);
        rate.minimum_charge = if choices.chance(60) { price(choices, 7) } else { Price::ZERO };
    }
    rate
}

fn group(id: u32, choices: &mut Choices<'_>) -> RateGroup {
    let modes = [MoneyMode::Up, MoneyMode::Down, MoneyMode::HalfUp, MoneyMode::HalfEven];
    let mode = choices.pick(&modes);
    let decimals = 6 - choices.below(7) as u8;
    let mut builder = RateGroup::builder(GroupTerms {
        id: RateGroupId(id),
        name: format!("group {id}"),
        currency: EUR,
        money_rounding: MoneyRounding { mode, decimals },
        special: None,
    });
    for prefix in ["49", "4930"] {
        let (prefix, rate) = (prefix.into(), rate(choices));
        let row = RateRow {
            prefix,
            rate,
            special: None,
            valid_from: None,
            valid_till: None,
            sheet_version: 1,
        };
        builder.row(&row).expect("within bounds");
    }
    builder.build()
}

fn rate_book(choices: &mut Choices<'_>) -> RateBook {
    let roundings = [DurationRounding::Up, DurationRounding::Nearest, DurationRounding::Down];
    let mut builder = RateBook::builder();
    for (id, account) in (1..).zip(ACCOUNTS) {
        builder = builder.group(group(id, choices));
        let group = Some(RateGroupId(id));
        let is_customer = CUSTOMERS.contains(&account) || account == RESELLER;
        let tariff = AccountTariff {
            customer_group: group.filter(|_| is_customer),
            carrier_group: group.filter(|_| !is_customer),
            local_rate: rate(choices),
            customer_duration: choices.pick(&roundings),
            carrier_duration: choices.pick(&roundings),
            is_loss_allowed: choices.chance(200),
            parent: (account == CUSTOMERS[0]).then_some(RESELLER),
            ..AccountTariff::default()
        };
        builder = builder.account(account, tariff);
    }
    let set = |(id, prefix): (DestinationSetId, &str)| {
        (id, DestinationSet::new([prefix]).expect("digits"))
    };
    builder = builder.did(DID, Some((CUSTOMERS[0], rate(choices))));
    builder.destinations(SETS.map(set)).build().expect("every group exists")
}

impl Books {
    fn new(choices: &mut Choices<'_>) -> Books {
        let (ledger, journal) = (Arc::new(Ledger::new()), Arc::new(MemoryJournal::new()));
        for account in ACCOUNTS {
            ledger.set_terms(account, terms(account)).expect("a new account");
        }
        let book = Arc::new(rate_book(choices));
        let workers = [(); 2].map(|()| {
            let mut credit = CreditControl::new(ledger.clone(), journal.clone());
            credit.set_rate_book(book.clone());
            credit
        });
        let (granted, settled) = (BTreeSet::new(), BTreeSet::new());
        Books { ledger, journal, workers, clock: Duration::ZERO, granted, settled }
    }

    fn now(&self) -> Now {
        Now { monotonic: self.clock, utc: START.plus(self.clock) }
    }

    fn worker(&mut self, call: CallId) -> &mut CreditControl {
        &mut self.workers[(call.0 & 1) as usize]
    }

    fn step(&mut self, op: u8, choices: &mut Choices<'_>) {
        let now = self.now();
        let call = CallId::new(1, 0, choices.below(8) as u64);
        match op % 13 {
            0 => self.authorize(call, choices),
            1 => {
                let was = self.worker(call).extend(now, ExtendRequest { call }).grant;
                let is = self.worker(call).extend(now, ExtendRequest { call }).grant;
                assert!(is.talk_time >= was.talk_time && (is == was || !was.is_final));
            }
            2 => {
                let trunk = choices.pick(&[Some(TrunkId(3)), Some(TrunkId(4)), None]);
                self.worker(call).answered(now, call, trunk, now.utc);
            }
            3 => self.settle(call, choices),
            4 | 5 => self.posting(op, choices),
            6 => self.stray(choices),
            7 => {
                let passed = Duration::from_secs(choices.byte().into());
                self.ledger.expire(START.plus(passed));
            }
            8 => self.clock += Duration::from_millis(choices.word().into()),
            9 => drop(self.journal.append(&Record::Heartbeat { at: now.utc })),
            10 => {
                let account = choices.pick(&ACCOUNTS);
                let status = choices.pick(&[Status::Active, Status::Active, Status::Blocked]);
                let terms = Terms { status, ..terms(account) };
                self.ledger.set_terms(account, terms).expect("the currency stays");
            }
            11 => self.grant(choices),
            _ => {
                let settings = CreditSettings {
                    first_slice_seconds: choices.byte().into(),
                    longest_slice_seconds: choices.word().into(),
                    shortest_slice_seconds: choices.byte().into(),
                    typical_talk_seconds: choices.byte().into(),
                };
                self.worker(call).set_settings(settings);
            }
        }
    }

    fn authorize(&mut self, call: CallId, choices: &mut Choices<'_>) {
        let kind = choices.pick(&[
            CallKind::Egress,
            CallKind::Egress,
            CallKind::Local,
            CallKind::Inbound(DID),
            CallKind::Internal,
        ]);
        let candidate = |(n, carrier): (u64, AccountId)| Candidate::new(TrunkId(3 + n), carrier, 1);
        let account = choices.pick(&CUSTOMERS);
        let cld = choices.pick(&["49301234", "4989", "1"]).parse().expect("a number");
        let request = AuthorizeRequest {
            rate_choice: choices.pick(&[RateChoice::Usual, RateChoice::Usual, RateChoice::NonCli]),
            candidates: match kind {
                CallKind::Egress | CallKind::Message => {
                    (0..).zip(CARRIERS).map(candidate).collect()
                }
                CallKind::Local
                | CallKind::LocalMessage
                | CallKind::Inbound(_)
                | CallKind::Internal => Vec::new(),
            },
            origin: Origin { sip_call_id: "a@b".into(), ..Origin::default() },
            ..AuthorizeRequest::new(call, account, kind, cld, self.now().utc)
        };
        let now = self.now();
        let granted = self.worker(call).authorize(now, &request);
        if let Ok(authorization) = granted {
            assert!(!self.settled.contains(&call), "a call that is over was given money");
            // A repeat is answered with what stands, whatever it asks for.
            if self.granted.insert(call) {
                assert_eq!(authorization.egress.is_empty(), kind != CallKind::Egress);
            }
        }
    }

    fn settle(&mut self, call: CallId, choices: &mut Choices<'_>) {
        let talked = choices.chance(200).then(|| Duration::from_millis(choices.word().into()) * 4);
        let trunk = choices.pick(&[Some(TrunkId(3)), Some(TrunkId(4)), None]);
        let at = self.now().utc;
        let leg = |index: u8, trunk| LegFacts {
            index,
            direction: if index == 0 { Direction::Ingress } else { Direction::Egress },
            account: None,
            subscriber: None,
            trunk,
            remote: None,
            sip_call_id: "a@b".into(),
            cli: String::new(),
            cld: "49301234".into(),
            started_at: START,
            attestation: None,
            ringing_at: None,
            answered_at: talked.map(|_| START),
            ended_at: at,
            talked: talked.unwrap_or_default(),
            release: ReleaseFacts { cause: "normal", q850: 16, sip_status: 200, by: Party::Caller },
        };
        let mut legs = vec![leg(0, None)];
        legs.extend(trunk.map(|trunk| leg(1, Some(trunk))));
        let facts = CallFacts { legs, ..CallFacts::new(call) };
        let talked = talked.unwrap_or_default();
        let now = self.now();
        let request = SettleRequest { talked, answered_by: trunk, facts };
        let (ledger, before) = (self.ledger.clone(), self.journal.len());
        self.worker(call).settle(now, request.clone());
        let (books, written) = (posted(&ledger), self.journal.len());
        let is_new = self.settled.insert(call);
        assert_eq!(written - before, usize::from(is_new), "a call has one end");
        self.worker(call).settle(now, request);
        assert_eq!((posted(&ledger), self.journal.len()), (books, written));
    }

    fn posting(&mut self, op: u8, choices: &mut Choices<'_>) {
        let id = OpId::outside(choices.below(16) as u128);
        let account = choices.pick(&ACCOUNTS);
        let amount = match choices.below(16) {
            // Twice this is nearly all that an account can hold; what ours have left is enough
            // for the others.
            15 if account == ACCOUNTS[0] => i64::MAX / 2 - (1 << 50),
            14 | 15 => 0,
            shift => i64::from(choices.word()) << (2 * shift),
        };
        let at = self.now().utc;
        let note = String::new();
        let posting = if op % 13 == 4 {
            Posting::top_up(id, account, Money(amount), EUR, at, note)
        } else {
            let amount = if choices.chance(128) { -amount } else { amount };
            Posting::adjustment(id, account, Money(amount), EUR, at, note)
        };
        let again = posting.clone();
        let first = self.ledger.post(posting, Overdraft::Refuse, &*self.journal);
        let length = self.journal.len();
        let second = self.ledger.post(again, Overdraft::Refuse, &*self.journal);
        assert_eq!(first.is_ok(), second.is_ok(), "a repeat is answered like the first");
        assert_eq!(length, self.journal.len(), "a repeat leaves no record");
    }

    fn grant(&mut self, choices: &mut Choices<'_>) {
        let number = choices.below(8) as u64;
        let from = self.now().utc;
        let valid = choices.chance(128).then(|| Duration::from_secs(choices.byte().into()));
        let grant = BundleGrant {
            op: OpId::outside(1000 + u128::from(number)),
            bundle: BundleId(number),
            account: choices.pick(&[CUSTOMERS[0], CUSTOMERS[1], RESELLER]),
            destinations: choices.pick(&SETS).0,
            seconds: choices.word().into(),
            increment: choices.pick(&[1, 6, 60, 7]),
            precedence: choices.byte().into(),
            valid_from: from,
            valid_till: valid.map(|valid| from.plus(valid)),
            at: from,
            note: String::new(),
        };
        let first = self.ledger.grant(grant.clone(), &*self.journal);
        let length = self.journal.len();
        let second = self.ledger.grant(grant, &*self.journal);
        assert_eq!(first.is_ok(), second.is_ok(), "a repeat is answered like the first");
        assert_eq!(length, self.journal.len(), "a repeat leaves no record");
    }

    fn stray(&mut self, choices: &mut Choices<'_>) {
        let number = choices.below(4) as u64;
        let account = ACCOUNTS[number as usize];
        let id = ReservationId { call: CallId::new(1, 0, STRAY + number), level: 0 };
        let mut locked = self.ledger.lock(&[account]);
        if choices.chance(60) {
            let _ = locked.void(id, account);
        } else {
            let slice = choices.below(4) as u16;
            let amount = Money((i64::from(choices.word()) - 100) * 1000);
            let expires_at = START.plus(Duration::from_secs(choices.byte().into()));
            let seller = SystemAccount { kind: SystemKind::Revenue, currency: EUR }.id();
            let ask = Ask { id, slice, account, seller, amount, bundles: &[], expires_at };
            let _ = locked.reserve(&[ask]);
        }
    }

    #[track_caller]
    fn check(&self) {
        let check = self.ledger.check();
        assert!(check.problems.is_empty(), "{:?}", check.problems);
        assert!(check.overdrawn.is_empty(), "overdrawn: {:?}", check.overdrawn);
    }

    /// Everybody hangs up: nothing stays reserved.
    fn end(&mut self) {
        for number in 0..8 {
            self.settle(CallId::new(1, 0, number), &mut Choices::new(&[]));
        }
        self.ledger.expire(START.plus(Duration::from_secs(1000)));
        self.check();
        let check = self.ledger.check();
        assert_eq!((check.reservations, check.pending), (0, Money::ZERO));
        assert_eq!(self.workers.each_ref().map(CreditControl::open_calls), [0, 0]);
    }
}

/// The posted sums of every account, ours last.
fn posted(ledger: &Ledger) -> Vec<(Money, Money)> {
    let theirs = ACCOUNTS.iter().map(|account| ledger.account(*account).expect("known").counters);
    let ours = KINDS.iter().map(|kind| ledger.system(SystemAccount { kind: *kind, currency: EUR }));
    theirs.chain(ours).map(|sums| (sums.debits_posted, sums.credits_posted)).collect()
}

/// A ledger as a projection keeps it: what the records up to `applied` posted.
fn load(records: &[(Position, Record)], applied: Position) -> Ledger {
    let mut sums: BTreeMap<AccountId, (i64, i64)> = BTreeMap::new();
    for (_, record) in records.iter().filter(|(position, _)| *position <= applied) {
        let postings = match record {
            Record::Ended(ended) => ended.postings.as_slice(),
            Record::Posted { posting, .. } => std::slice::from_ref(posting),
            Record::Rerated(rerated) => rerated.postings.as_slice(),
            _ => continue,
        };
        for posting in postings {
            sums.entry(posting.debit).or_default().0 += posting.amount.0;
            sums.entry(posting.credit).or_default().1 += posting.amount.0;
        }
    }
    let sums = |account| {
        let (debits, credits) = sums.get(&account).copied().unwrap_or_default();
        (Money(debits), Money(credits))
    };
    let ledger = Ledger::new();
    for account in ACCOUNTS {
        let (debits_posted, credits_posted) = sums(account);
        let terms = terms(account);
        let owed = owed(records, applied, account);
        let spending = Spending::default();
        let state = AccountState { account, terms, credits_posted, debits_posted, owed, spending };
        ledger.load(&state);
    }
    for (account, bundle) in bundles(records, applied).into_values() {
        ledger.load_bundle(account, bundle);
    }
    for kind in KINDS {
        let account = SystemAccount { kind, currency: EUR };
        let (debits, credits) = sums(account.id());
        ledger.load_system(account, credits, debits);
    }
    ledger
}

/// What we owe an account as a carrier.
fn owed(records: &[(Position, Record)], applied: Position, account: AccountId) -> Money {
    let records = records.iter().filter(|(position, _)| *position <= applied);
    let postings = records.flat_map(|(_, record)| match record {
        Record::Ended(ended) => ended.postings.as_slice(),
        Record::Posted { posting, .. } => std::slice::from_ref(posting),
        _ => &[],
    });
    let costs = postings.filter(|p| p.kind == PostingKind::Cost && p.credit == account);
    Money(costs.map(|posting| posting.amount.0).sum())
}

/// The bundles as a projection keeps them: what was granted and used up to `applied`.
fn bundles(
    records: &[(Position, Record)],
    applied: Position,
) -> BTreeMap<BundleId, (AccountId, Bundle)> {
    let mut bundles = BTreeMap::new();
    for (_, record) in records.iter().filter(|(position, _)| *position <= applied) {
        match record {
            Record::BundleGranted(grant) => {
                bundles.insert(grant.bundle, (grant.account, Bundle::from(grant)));
            }
            Record::Ended(ended) => {
                for used in &ended.bundle_uses {
                    let (owner, bundle) = bundles.get_mut(&used.share.bundle).expect("granted");
                    assert_eq!(*owner, used.account);
                    bundle.used += used.share.seconds;
                    assert!(bundle.used <= bundle.granted, "a second was used twice");
                }
            }
            _ => {}
        }
    }
    bundles
}

/// The seconds used of every bundle of which something is left.
fn used(ledger: &Ledger) -> Vec<(BundleId, u32)> {
    let of = |account: &AccountId| {
        let locked = ledger.lock(&[*account]);
        let left = locked.bundles(*account).filter(|bundle| bundle.left() > 0);
        left.map(|bundle| (bundle.id, bundle.used)).collect::<Vec<_>>()
    };
    ACCOUNTS.iter().flat_map(of).collect()
}

/// The posted sums after a replay, and the ends that recovery then makes.
fn replay(
    ledger: &Ledger,
    records: &[(Position, Record)],
    applied: Position,
) -> (Vec<(Money, Money)>, Vec<Record>) {
    let mut recovery = Recovery::new(ledger, applied);
    for (position, record) in records {
        recovery.record(*position, record);
        recovery.record(*position, record);
    }
    let check = ledger.check();
    assert!(check.problems.is_empty(), "recovered: {:?}", check.problems);
    assert!(check.overdrawn.is_empty(), "recovered overdrawn: {:?}", check.overdrawn);
    let before = posted(ledger);
    let payers: usize = recovery.open_calls().map(|call| call.payers.len()).sum();
    assert_eq!(payers, check.reservations, "every payer's reservation is back");
    let calls = recovery.open_calls().count();
    let ended = recovery.finish();
    assert_eq!(ended.len(), calls, "every open call gets its end");
    (before, ended)
}

/// A crash after these records leaves right books, wherever the projection was; a second crash
/// after the recovery changes nothing.
fn recover(records: &[(Position, Record)], applied: Position) {
    let ledger = load(records, applied);
    let (_, ended) = replay(&ledger, records, applied);
    let check = ledger.check();
    assert!(check.problems.is_empty(), "after recovery: {:?}", check.problems);
    assert!(check.overdrawn.is_empty(), "after recovery: {:?}", check.overdrawn);
    assert_eq!((check.reservations, check.pending), (0, Money::ZERO));

    let mut all = records.to_vec();
    let next = records.len() as u64 + 1;
    all.extend((next..).map(Position).zip(ended));
    let again = load(&all, Position(0));
    let (_, ended) = replay(&again, &all, Position(0));
    assert!(ended.is_empty());
    assert_eq!(posted(&again), posted(&ledger));
    assert_eq!(used(&again), used(&ledger));
    let kept = bundles(&all, Position(u64::MAX)).into_values().filter(|(_, b)| b.left() > 0);
    let mut kept: Vec<_> = kept.map(|(_, bundle)| (bundle.id, bundle.used)).collect();
    let mut left = used(&ledger);
    kept.sort_unstable();
    left.sort_unstable();
    assert_eq!(left, kept, "what the records say of bundles");
}
