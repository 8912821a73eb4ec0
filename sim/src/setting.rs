//! The accounts, trunks, rates and routes of every simulated world.

use std::net::SocketAddr;
use std::sync::Arc;

use billing::{
    AccountTariff, CreditControl, Currency, DurationRounding, GroupTerms, Journal, Ledger,
    MemoryJournal, Money, MoneyRounding, OpId, Overdraft, Position, Posting, Price, Rate, RateBook,
    RateGroup, RateGroupId, RateRow, Record, Recovery, Terms,
};
use sip::auth::NonceCounts;
use sip::endpoint::Listener;
use sip::transport::Transport;
use switch::directory::{
    AccountRow, Directory, DirectoryBuilder, Limits, RouteRow, Settings, TrunkIngress, TrunkRow,
};
use switch::{Shard, ShardConfig, Shared};
use vocabulary::{AccountId, CallId, TrunkId, Utc};

/// Where the switch listens.
pub const SWITCH: &str = "10.0.0.1:5060";
/// Where the carriers listen, cheapest first.
pub const CARRIERS: [&str; 3] = ["10.1.0.1:5060", "10.1.0.2:5060", "10.1.0.3:5060"];
/// What callers dial: two that are priced (per second; per minute with a fee), one that is not.
pub const CLDS: [&str; 5] = ["442079460000", "442079460001", "49301234567", "49307654321", "99900"];
/// Who pays.
pub const CUSTOMER: AccountId = AccountId(1_000);
/// How many calls the customer may have at once.
pub const CONCURRENT_MAX: u32 = 60;
const CARRIER_FIRST: u64 = 2_000;
const CUSTOMER_TRUNK: TrunkId = TrunkId(1);

/// Everything configured.
pub(crate) struct Setting {
    directory: Arc<Directory>,
    rate_book: Arc<RateBook>,
    balance: Money,
    shared: Shared,
    currency: Currency,
}

/// Parses a literal address.
pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("a literal address")
}

/// Each caller has an address of its own, in the network of the customer's trunk.
pub(crate) fn caller(index: u32) -> SocketAddr {
    let [_, b, c, d] = index.to_be_bytes();
    SocketAddr::from(([10, 64 | b, c, d], 5060))
}

impl Setting {
    pub(crate) fn new(balance: Money) -> Setting {
        let currency: Currency = "EUR".parse().expect("EUR is a currency");
        Setting {
            directory: Arc::new(directory()),
            rate_book: Arc::new(rate_book(currency)),
            balance,
            shared: shared(),
            currency,
        }
    }

    /// A new shard; the third argument of a crash counts up.
    pub(crate) fn shard(&self, seed: u64, start: u32) -> Shard {
        let config = ShardConfig {
            shard: 0,
            shards: 1,
            start,
            listeners: vec![Listener {
                id: 0,
                transport: Transport::Udp,
                advertised: SWITCH.to_string(),
            }],
            calls_max: 100_000,
            server_name: String::new(),
            seed: seed ^ u64::from(start),
            nonce_secret: [7; 32],
        };
        let shared = if start == 1 { self.shared.clone() } else { shared() };
        Shard::new(config, shared, Arc::clone(&self.directory))
    }

    /// The sets of live calls of the first start.
    pub(crate) fn admission_is_empty(&self) -> bool {
        self.shared.admission.is_empty()
    }

    pub(crate) fn credit(
        &self,
        ledger: &Arc<Ledger>,
        journal: &Arc<MemoryJournal>,
    ) -> CreditControl {
        let journal: Arc<MemoryJournal> = Arc::clone(journal);
        let mut credit = CreditControl::new(Arc::clone(ledger), journal);
        credit.set_rate_book(Arc::clone(&self.rate_book));
        credit
    }

    fn terms(&self, ledger: &Ledger) {
        let set = |account, terms| ledger.set_terms(account, terms).expect("a new account");
        set(CUSTOMER, Terms::prepaid(self.currency));
        for index in 0..CARRIERS.len() as u64 {
            let terms = Terms::postpaid(self.currency, Money(0));
            set(AccountId(CARRIER_FIRST + index), terms);
        }
    }

    pub(crate) fn fill(&self, ledger: &Ledger, journal: &MemoryJournal, at: Utc) {
        self.terms(ledger);
        let op = OpId::outside(1);
        let note = "first money".to_string();
        let posting = Posting::top_up(op, CUSTOMER, self.balance, self.currency, at, note);
        ledger.post(posting, Overdraft::Refuse, journal).expect("a first top-up");
    }

    /// Rebuilds the books from the journal alone; returns the calls that it had to close.
    pub(crate) fn recover(&self, ledger: &Ledger, journal: &MemoryJournal) -> Vec<CallId> {
        self.terms(ledger);
        let mut recovery = Recovery::new(ledger, Position(0));
        for (position, record) in journal.records() {
            recovery.record(position, &record);
        }
        let closed = recovery.finish();
        for record in &closed {
            journal.append(record);
        }
        let call = |record: &Record| match record {
            Record::Ended(ended) => Some(ended.call),
            _ => None,
        };
        closed.iter().filter_map(call).collect()
    }
}

fn shared() -> Shared {
    Shared {
        bindings: Arc::default(),
        admission: Arc::default(),
        nonces: Arc::new(NonceCounts::new(1024)),
        guard: Arc::default(),
        fraud: Arc::default(),
        health: Arc::default(),
        quality: Arc::default(),
        tls_peers: Arc::default(),
    }
}

fn directory() -> Directory {
    let account = |id, name: &str, ingress| AccountRow { ingress, ..AccountRow::new(id, name) };
    let limits = Limits { concurrent: Some(CONCURRENT_MAX), per_second: None };
    let settings = Settings { session_expires: None, ..Settings::default() };
    let mut builder =
        DirectoryBuilder::new(settings, 1).account(account(CUSTOMER, "customer", limits));
    let mut from = TrunkRow::new(CUSTOMER_TRUNK, "customer", CUSTOMER);
    from.ingress = TrunkIngress {
        networks: vec!["10.64.0.0/10".parse().expect("a network")],
        ..TrunkIngress::default()
    };
    builder = builder.trunk(from);
    for (index, address) in CARRIERS.iter().enumerate() {
        let account_id = AccountId(CARRIER_FIRST + index as u64);
        let name = format!("carrier-{index}");
        let trunk = TrunkId(10 + index as u64);
        let (host, port) = address.split_once(':').expect("host:port");
        let mut row = TrunkRow::new(trunk, &name, account_id);
        row.host = host.to_string();
        row.port = port.parse().ok();
        row.transport = Some(Transport::Udp);
        // The first wants signed callers: its attempts wait for an answer from outside.
        row.stir.signs = index == 0;
        builder = builder
            .account(account(account_id, &name, Limits::default()))
            .trunk(row)
            .route(RouteRow::new("", trunk, 0));
    }
    builder.build().unwrap_or_else(|errors| panic!("the setting is wrong: {errors:?}"))
}

fn rate_book(currency: Currency) -> RateBook {
    let price = |text: &str| -> Price { text.parse().expect("a price") };
    let group = |id: u32, name: &str, per_minute: &str| {
        let terms = GroupTerms {
            id: RateGroupId(id),
            name: name.to_string(),
            currency,
            money_rounding: MoneyRounding::default(),
            special: None,
        };
        let mut builder = RateGroup::builder(terms);
        let mut per_second = Rate::per_minute(price(per_minute), 1, 1);
        let mut row = |prefix: &str, rate| {
            let row = RateRow {
                prefix: prefix.to_string(),
                rate,
                special: None,
                valid_from: None,
                valid_till: None,
                sheet_version: 1,
            };
            builder.row(&row).expect("a good row");
        };
        row("44", per_second);
        per_second.first_increment = 30;
        per_second.next_increment = 6;
        per_second.connect_fee = price("0.013");
        row("49", per_second);
        builder.build()
    };
    let tariff = |customer: Option<u32>, carrier: Option<u32>| AccountTariff {
        customer_group: customer.map(RateGroupId),
        carrier_group: carrier.map(RateGroupId),
        local_rate: Rate::per_minute(Price::ZERO, 1, 1),
        customer_duration: DurationRounding::default(),
        carrier_duration: DurationRounding::default(),
        discounts: Arc::default(),
        ..AccountTariff::default()
    };
    let mut book = RateBook::builder()
        .group(group(1, "retail", "0.12345"))
        .account(CUSTOMER, tariff(Some(1), None));
    for (index, cost) in ["0.02", "0.031", "0.047"].iter().enumerate() {
        let id = 10 + index as u32;
        book = book
            .group(group(id, "carrier", cost))
            .account(AccountId(CARRIER_FIRST + index as u64), tariff(None, Some(id)));
    }
    book.build().expect("the setting's rates")
}
