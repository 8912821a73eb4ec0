//! A small softswitch without SIP: the real credit control over a real data directory, calls that
//! are opened, answered, extended and ended, and crashes made by copying files.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)] // a test may; each test file uses a part

pub mod backend;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use billing::{
    AccountTariff, CreditControl, Currency, DestinationSet, DestinationSetId, GroupTerms, Journal,
    Ledger, Money, MoneyRounding, OpId, Overdraft, Position, Posting, Rate, RateBook, RateGroup,
    RateGroupId, RateRow, Record, Terms,
};
use store::journal::{JournalFiles, JournalOptions};
use store::{Database, NodeSettings, Opening, Store};
use tempfile::TempDir;
use vocabulary::{
    AccountId, AuthorizeRequest, CallFacts, CallId, CallKind, Candidate, DecisionLine, Direction,
    ExtendRequest, LegFacts, Location, Now, Party, ReleaseFacts, SettleRequest, TrunkId, Utc,
};

use backend::Backend;

pub const CUSTOMERS: u64 = 3;
pub const CARRIER: AccountId = AccountId(900);
pub const TRUNK: TrunkId = TrunkId(1);
/// A destination set of every number.
pub const EVERYWHERE: DestinationSetId = DestinationSetId(1);
const EPOCH: Utc = Utc(1_700_000_000_000_000);

/// Passes records on and keeps a copy of each with its position.
pub struct Recorder {
    journal: Arc<JournalFiles>,
    pub records: Mutex<Vec<(Position, Record)>>,
}

impl Journal for Recorder {
    fn append(&self, record: &Record) -> Position {
        let mut records = self.records.lock().unwrap();
        let position = self.journal.append(record);
        records.push((position, record.clone()));
        position
    }
}

impl Recorder {
    /// Where the journal ends now.
    pub fn append_end(&self) -> u64 {
        self.journal.end()
    }
}

pub struct Live {
    pub call: CallId,
    pub account: AccountId,
    pub opened_at: Utc,
    pub answered_at: Option<Now>,
    pub grant: Duration,
}

pub struct World {
    pub dir: PathBuf,
    pub database: Database,
    pub store: Store,
    pub ledger: Arc<Ledger>,
    pub recorder: Arc<Recorder>,
    pub credit: CreditControl,
    pub now: Now,
    pub live: Vec<Live>,
    /// Where its calls go.
    pub location: Location,
    pub sequence: u64,
    pub _temp: Option<TempDir>,
}

pub fn ledger() -> Arc<Ledger> {
    let ledger = Ledger::new();
    set_terms(&ledger);
    Arc::new(ledger)
}

fn set_terms(ledger: &Ledger) {
    for account in 1..=CUSTOMERS {
        ledger.set_terms(AccountId(account), Terms::prepaid(Currency::EUR)).unwrap();
    }
    let carrier = Terms::postpaid(Currency::EUR, Money::units(1000));
    ledger.set_terms(CARRIER, carrier).unwrap();
}

fn book() -> RateBook {
    let group = |id: u32, price: &str| {
        let mut group = RateGroup::builder(GroupTerms {
            id: RateGroupId(id),
            name: format!("group {id}"),
            currency: Currency::EUR,
            money_rounding: MoneyRounding::default(),
            special: None,
        });
        let mut rate = Rate::per_minute(price.parse().unwrap(), 6, 6);
        rate.connect_fee = "0.01".parse().unwrap();
        let prefix = String::from("49");
        let row = RateRow {
            prefix,
            rate,
            special: None,
            valid_from: None,
            valid_till: None,
            sheet_version: 3,
        };
        group.row(&row).unwrap();
        group.build()
    };
    let tariff = |customer: Option<u32>, carrier: Option<u32>| AccountTariff {
        customer_group: customer.map(RateGroupId),
        carrier_group: carrier.map(RateGroupId),
        ..AccountTariff::default()
    };
    let everywhere = (EVERYWHERE, DestinationSet::new([""]).unwrap());
    let mut book = RateBook::builder().group(group(1, "0.6")).group(group(2, "0.1"));
    book = book.destinations([everywhere]);
    for account in 1..=CUSTOMERS {
        book = book.account(AccountId(account), tariff(Some(1), None));
    }
    book.account(CARRIER, tariff(None, Some(2))).build().unwrap()
}

/// The same as a node of this name.
pub async fn open_node(dir: &Path, database: &Database, name: &str) -> (Store, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::new());
    ledger.share();
    set_terms(&ledger);
    let node = node(name);
    let options = JournalOptions::default();
    let opening = Opening::begin_as(Some(&node), dir, database, options).await.unwrap();
    let store = opening.recover(&ledger).await.unwrap();
    (store, ledger)
}

pub fn node(name: &str) -> NodeSettings {
    NodeSettings { name: name.to_owned(), lease_ttl: Duration::from_secs(60) }
}

pub async fn open(
    dir: &Path,
    database: &Database,
    options: JournalOptions,
) -> (Store, Arc<Ledger>) {
    open_prepared(dir, database, options, |_| {}).await
}

async fn open_prepared(
    dir: &Path,
    database: &Database,
    options: JournalOptions,
    prepare: impl FnOnce(&Ledger),
) -> (Store, Arc<Ledger>) {
    let ledger = ledger();
    prepare(&ledger);
    let opening = Opening::begin(dir, database, options).await.unwrap();
    let store = opening.recover(&ledger).await.unwrap();
    (store, ledger)
}

impl World {
    pub async fn new(backend: Backend, options: JournalOptions) -> World {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("data");
        let database = backend.fresh(&dir).await;
        let mut world = World::at(&dir, database, options).await;
        world._temp = Some(temp);
        world
    }

    pub async fn at(dir: &Path, database: Database, options: JournalOptions) -> World {
        let (store, ledger) = open(dir, &database, options).await;
        World::of(dir, database, store, ledger)
    }

    /// With other terms than the usual.
    pub async fn prepared(dir: &Path, database: Database, prepare: impl FnOnce(&Ledger)) -> World {
        let options = JournalOptions::default();
        let (store, ledger) = open_prepared(dir, &database, options, prepare).await;
        World::of(dir, database, store, ledger)
    }

    pub async fn node(dir: &Path, database: &Database, name: &str) -> World {
        let (store, ledger) = open_node(dir, database, name).await;
        World::of(dir, database.clone(), store, ledger)
    }

    fn of(dir: &Path, database: Database, store: Store, ledger: Arc<Ledger>) -> World {
        let journal = Arc::clone(store.journal());
        let recorder = Arc::new(Recorder { journal, records: Mutex::default() });
        let mut credit = CreditControl::new(Arc::clone(&ledger), recorder.clone());
        credit.set_rate_book(Arc::new(book()));
        World {
            dir: dir.to_owned(),
            database,
            store,
            ledger,
            recorder,
            credit,
            now: Now { monotonic: Duration::ZERO, utc: EPOCH },
            live: Vec::new(),
            location: Location::default(),
            sequence: 0,
            _temp: None,
        }
    }

    /// Time goes on, with the heartbeat that a running server would have written last.
    pub fn advance(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
        self.recorder.append(&Record::Heartbeat { at: self.now.utc });
    }

    pub fn top_up(&mut self, account: u64, amount: Money) -> Position {
        self.sequence += 1;
        let op = OpId::outside(u128::from(self.sequence));
        let note = String::from("cash desk");
        let account = AccountId(account);
        let posting = Posting::top_up(op, account, amount, Currency::EUR, self.now.utc, note);
        self.ledger.post(posting, Overdraft::Refuse, &*self.recorder).unwrap().1
    }

    /// Takes money away, whatever is there.
    pub fn take(&mut self, account: u64, amount: Money) {
        self.sequence += 1;
        let (op, eur) = (OpId::outside(u128::from(self.sequence)), Currency::EUR);
        let amount = Money(-amount.0);
        let (account, at, note) = (AccountId(account), self.now.utc, String::new());
        let posting = Posting::adjustment(op, account, amount, eur, at, note);
        self.ledger.post(posting, Overdraft::Allow, &*self.recorder).unwrap();
    }

    /// Opens a call; false if it was refused, which leaves a CDR.
    pub fn open(&mut self, account: u64) -> bool {
        let call = CallId::new(self.store.start_number(), (account % 2) as u8, self.sequence);
        self.sequence += 1;
        let (account_id, cld) = (AccountId(account), "4930123456".parse().unwrap());
        let request = AuthorizeRequest {
            cli: Some("4989765432".parse().unwrap()),
            candidates: vec![Candidate::new(TRUNK, CARRIER, 1)],
            location: self.location,
            ..AuthorizeRequest::new(call, account_id, CallKind::Egress, cld, self.now.utc)
        };
        match self.credit.authorize(self.now, &request) {
            Ok(authorization) => {
                self.live.push(Live {
                    call,
                    account: AccountId(account),
                    opened_at: self.now.utc,
                    answered_at: None,
                    grant: authorization.grant.talk_time,
                });
                true
            }
            Err(_) => {
                let live = Live {
                    call,
                    account: AccountId(account),
                    opened_at: self.now.utc,
                    answered_at: None,
                    grant: Duration::ZERO,
                };
                self.settle(live, "no_credit");
                false
            }
        }
    }

    pub fn answer(&mut self, index: usize) {
        let Some(live) = self.live.get_mut(index) else { return };
        if live.answered_at.is_none() {
            live.answered_at = Some(self.now);
            self.credit.answered(self.now, live.call, Some(TRUNK), self.now.utc);
        }
    }

    pub fn extend(&mut self, index: usize) {
        let Some(live) = self.live.get_mut(index) else { return };
        let extension = self.credit.extend(self.now, ExtendRequest { call: live.call });
        live.grant = extension.grant.talk_time;
    }

    pub fn end(&mut self, index: usize) -> Option<CallId> {
        if index >= self.live.len() {
            return None;
        }
        let live = self.live.remove(index);
        let call = live.call;
        self.settle(live, "normal");
        Some(call)
    }

    fn settle(&mut self, live: Live, cause: &'static str) -> Position {
        let talked = live
            .answered_at
            .map_or(Duration::ZERO, |at| (self.now.monotonic - at.monotonic).min(live.grant));
        let leg = |index: u8| LegFacts {
            index,
            direction: if index == 0 { Direction::Ingress } else { Direction::Egress },
            account: Some(if index == 0 { live.account } else { CARRIER }),
            subscriber: None,
            trunk: (index > 0).then_some(TRUNK),
            remote: Some("192.0.2.1:5060".parse().unwrap()),
            sip_call_id: format!("{}-{index}@example.net", live.call),
            cli: "4989765432".into(),
            cld: "4930123456".into(),
            started_at: live.opened_at,
            attestation: None,
            ringing_at: None,
            answered_at: live.answered_at.map(|at| at.utc),
            ended_at: self.now.utc,
            talked,
            release: ReleaseFacts { cause, q850: 16, sip_status: 200, by: Party::Caller },
        };
        let request = SettleRequest {
            talked,
            answered_by: live.answered_at.map(|_| TRUNK),
            facts: CallFacts {
                cld: Some("4930123456".parse().unwrap()),
                cli: Some("4989765432".parse().unwrap()),
                location: self.location,
                legs: if cause == "normal" { vec![leg(0), leg(1)] } else { vec![leg(0)] },
                decisions: vec![DecisionLine {
                    code: "route_found",
                    sentence: "The route \"49\" leads to trunk 1.".into(),
                }],
                ..CallFacts::new(live.call)
            },
        };
        self.credit.settle(self.now, request)
    }
}

/// Copies a data directory as it is; without the lock. SQLite takes its log away while it closes: then what was
/// copied by then belongs to no one moment, and is copied again.
pub fn copy(from: &Path, to: &Path) {
    while let Err(e) = try_copy(from, to) {
        assert_eq!(e.kind(), std::io::ErrorKind::NotFound, "{e}");
        fs::remove_dir_all(to).unwrap();
    }
}

fn try_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            try_copy(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
