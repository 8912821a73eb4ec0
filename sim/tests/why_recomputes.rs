//! B5: the decision record of a call is enough to find its route again. Random calls over random
//! directories, rates and faults of trunks; then each call's route, prices and order of carriers are found
//! again from its record, the directory of its time and nothing else, and must be the same.
//!
//! `TANDEM_WHY_CALLS=100000 cargo test --release -p sim --test why_recomputes` plays as many.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use billing::{
    AccountTariff, CreditControl, CreditSettings, Currency, GroupTerms, Journal, Ledger,
    MemoryJournal, Money, MoneyRounding, OpId, Overdraft, Posting, Price, Rate, RateBook,
    RateGroup, RateGroupId, RateRow, Terms, quote,
};
use bytes::Bytes;
use sim::random::Random;
use sip::auth::NonceCounts;
use sip::endpoint::Listener;
use sip::transport::{Path, Transport};
use switch::directory::{AccountRow, Directory, DirectoryBuilder, RouteRow, Settings, TrunkRow};
use switch::health::{Outcome, ProbePolicy};
use switch::numbers::Called;
use switch::quality::{Demands, QualityRule, QualityRuleId};
use switch::routing::{
    Clock, Conditions, Destination, PrefixId, Recorded, RoutePolicy, RoutePrefix, Source,
    TimeWindow, WindowId, destination,
};
use switch::{Effect, Input, Shard, ShardConfig, Shared};
use vocabulary::{
    AccountId, AuthorizeRequest, CallId, CallKind, DecisionLine, Now, SettleRequest, TrunkId, Utc,
};

const CUSTOMER: AccountId = AccountId(1_000);
const CUSTOMER_TRUNK: TrunkId = TrunkId(1);
const CARRIERS: u64 = 7;
const CALLS_AN_ERA: u32 = 250;

/// What decides where a call goes and what it costs; what an attempt came to is no part of it.
fn is_of_the_route(line: &DecisionLine) -> bool {
    let code = line.code;
    code == "routes_found"
        || code == "rate_found"
        || code == "unprofitable"
        || code == "no_carrier"
        || code == "no_route"
        || code == "no_trunk_usable"
        || code.starts_with("trunk")
        || code.starts_with("all_trunks")
        || code == "standby_used"
        || code.starts_with("carrier_")
}

fn account(index: u64) -> AccountId {
    AccountId(2_000 + index)
}

fn one_in(random: &mut Random, chances: u64) -> bool {
    random.below(chances) == 0
}

fn pick<T: Copy>(random: &mut Random, of: &[T]) -> T {
    of[random.below(of.len() as u64) as usize]
}

fn windows(random: &mut Random) -> Vec<TimeWindow> {
    let spans =
        ["mon-fri 08:00-18:00", "22:00-06:00", "sat,sun 00:00-24:00", "holiday 00:00-24:00"];
    let window = |id: u64| TimeWindow {
        id: WindowId(id),
        name: format!("w{id}").into(),
        clock: Clock::new("there", 3_600, [(1_774_746_000, 7_200), (1_792_890_000, 3_600)].into()),
        holidays: [20_500, 20_501].into(),
        spans: [pick(random, &spans), pick(random, &spans)]
            .map(|span| span.parse().expect("a span"))
            .into(),
    };
    (1..=3).map(window).collect()
}

fn directory(random: &mut Random) -> Directory {
    let settings = Settings { same_calls_max: None, ..Settings::default() };
    let mut from = TrunkRow::new(CUSTOMER_TRUNK, "customer", CUSTOMER);
    from.host = "10.0.0.2".into();
    from.ingress.networks.push("10.0.0.2".parse().expect("an address"));
    let mut builder = DirectoryBuilder::new(settings, 1)
        .account(AccountRow::new(CUSTOMER, "customer"))
        .trunk(from)
        .time_windows(windows(random));
    for index in 0..CARRIERS {
        let mut row = TrunkRow::new(TrunkId(10 + index), "carrier", account(index));
        row.host = format!("10.1.0.{}", index + 1);
        row.is_active = !one_in(random, 9);
        builder = builder.account(AccountRow::new(account(index), "carrier")).trunk(row);
    }
    let mut prefixes = Vec::new();
    for (id, prefix) in (1..).zip(["", "4", "44", "442", "49", "1"]) {
        let trunks: Vec<u64> = (0..CARRIERS).filter(|_| one_in(random, 2)).collect();
        for trunk in trunks {
            let priority = random.below(3) as u16;
            let mut row = RouteRow::new(prefix, TrunkId(10 + trunk), priority);
            row.weight = pick(random, &[1, 1, 0, 30, 70]);
            row.window = one_in(random, 3).then(|| WindowId(1 + random.below(3)));
            builder = builder.route(row);
        }
        // Where calls come from is a way out too, and never the way back.
        if one_in(random, 3) {
            builder = builder.route(RouteRow::new(prefix, CUSTOMER_TRUNK, 0));
        }
        let policy = pick(random, &RoutePolicy::ALL);
        let (id, limits) = (PrefixId(id), switch::directory::Limits::default());
        prefixes.push(RoutePrefix { id, prefix: prefix.into(), policy, limits });
    }
    prefixes.retain(|_| !one_in(random, 3));
    let built = builder.route_prefixes(prefixes).quality_rules(quality_rules(random)).build();
    built.unwrap_or_else(|errors| panic!("the rows are wrong: {errors:?}"))
}

fn quality_rules(random: &mut Random) -> Vec<QualityRule> {
    let mut rules = Vec::new();
    for (id, prefix) in (1..).zip(["", "44", "4930"]) {
        let demands = Demands {
            window: Duration::from_secs(86_400),
            calls_min: 1 + random.below(9) as u32,
            drop: Duration::from_secs(7_200),
            trial_calls: 1,
            ..Demands::default()
        };
        let trunk = one_in(random, 2).then(|| TrunkId(10 + random.below(CARRIERS)));
        let (id, prefix, is_by_route) = (QualityRuleId(id), prefix.into(), one_in(random, 2));
        rules.push(QualityRule { id, trunk, prefix, is_by_route, demands });
    }
    rules
}

fn group(random: &mut Random, id: u32, currency: Currency, most: u64) -> RateGroup {
    let terms = GroupTerms {
        id: RateGroupId(id),
        name: format!("g{id}"),
        currency,
        money_rounding: MoneyRounding::default(),
        special: None,
    };
    let mut builder = RateGroup::builder(terms);
    for prefix in ["", "44", "442079", "1"] {
        if prefix.is_empty() || !one_in(random, 4) {
            let price = format!("0.{:04}", 1 + random.below(most));
            let price: Price = price.parse().expect("a price");
            let rate = Rate::per_minute(price, pick(random, &[1, 6, 60]), pick(random, &[1, 60]));
            let row = RateRow {
                prefix: prefix.into(),
                rate,
                special: None,
                valid_from: None,
                valid_till: None,
                sheet_version: 1,
            };
            builder.row(&row).expect("a good row");
        }
    }
    builder.build()
}

fn rate_book(random: &mut Random, currency: Currency) -> RateBook {
    let tariff = |customer: Option<u32>, carrier: Option<u32>, is_loss_allowed| AccountTariff {
        customer_group: customer.map(RateGroupId),
        carrier_group: carrier.map(RateGroupId),
        is_loss_allowed,
        ..AccountTariff::default()
    };
    let is_loss_allowed = one_in(random, 2);
    let mut book = RateBook::builder()
        .group(group(random, 1, currency, 900))
        .account(CUSTOMER, tariff(Some(1), None, is_loss_allowed));
    for index in 0..CARRIERS {
        let id = 10 + index as u32;
        // One without a rate group is left out by billing.
        let carrier = (!one_in(random, 9)).then_some(id);
        book = book
            .group(group(random, id, currency, 900))
            .account(account(index), tariff(None, carrier, true));
    }
    book.build().expect("rates that can be used")
}

/// A call as it was, and what its record says of it.
struct Past {
    at: Utc,
    cld: String,
    egress: Option<Vec<TrunkId>>,
    record: Vec<DecisionLine>,
}

struct World {
    random: Random,
    now: Now,
    shared: Shared,
    shard: Shard,
    ledger: Arc<Ledger>,
    credit: CreditControl,
    currency: Currency,
    directory: Arc<Directory>,
    book: Arc<RateBook>,
    egress: Option<Vec<TrunkId>>,
    settled: VecDeque<SettleRequest>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let currency: Currency = "EUR".parse().expect("EUR is a currency");
        let shared = Shared {
            bindings: Arc::default(),
            admission: Arc::default(),
            nonces: Arc::new(NonceCounts::new(64)),
            guard: Arc::default(),
            fraud: Arc::default(),
            health: Arc::default(),
            quality: Arc::default(),
            tls_peers: Arc::default(),
        };
        let config = ShardConfig {
            shard: 0,
            shards: 1,
            start: 1,
            listeners: vec![Listener {
                id: 0,
                transport: Transport::Udp,
                advertised: "10.0.0.1:5060".into(),
            }],
            calls_max: 1_000,
            server_name: String::new(),
            seed,
            nonce_secret: [7; 32],
        };
        let directory = Arc::new(directory(&mut random));
        let book = Arc::new(rate_book(&mut random, currency));
        let journal = Arc::new(MemoryJournal::default());
        let ledger = Arc::new(Ledger::default());
        // The clock of a Monday in 2026, shortly before summer time begins.
        let now = Now { monotonic: Duration::from_secs(1), utc: Utc(1_774_224_000_000_000) };
        let set = |id, terms| ledger.set_terms(id, terms).expect("a new account");
        set(CUSTOMER, Terms::prepaid(currency));
        (0..CARRIERS).for_each(|index| set(account(index), Terms::postpaid(currency, Money(0))));
        let (op, much) = (OpId::outside(1), Money(1_000_000_000_000));
        let top_up = Posting::top_up(op, CUSTOMER, much, currency, now.utc, "money".into());
        let to: &dyn Journal = &*journal;
        ledger.post(top_up, Overdraft::Refuse, to).expect("a first top-up");
        let mut credit = CreditControl::new(Arc::clone(&ledger), journal);
        credit.set_rate_book(Arc::clone(&book));
        let shard = Shard::new(config, shared.clone(), Arc::clone(&directory));
        World {
            random,
            now,
            shared,
            shard,
            ledger,
            credit,
            currency,
            directory,
            book,
            egress: None,
            settled: VecDeque::new(),
        }
    }

    fn next_era(&mut self) {
        self.directory = Arc::new(directory(&mut self.random));
        self.book = Arc::new(rate_book(&mut self.random, self.currency));
        self.credit.set_rate_book(Arc::clone(&self.book));
        self.input(Input::Directory(Arc::clone(&self.directory)));
    }

    /// Trunks go down and come up, and are left for their quality.
    fn upset_trunks(&mut self) {
        let policy =
            ProbePolicy { every: Duration::from_secs(30), failures_max: 1, successes_min: 1 };
        for index in 0..CARRIERS {
            let trunk = TrunkId(10 + index);
            self.shared.health.watch(trunk, policy);
            let outcome = match one_in(&mut self.random, 3) {
                true => Outcome::Silent,
                false => Outcome::Status(200),
            };
            self.shared.health.probed(self.now.utc, trunk, outcome);
            for prefix in ["", "4", "44", "442", "49", "4930"] {
                let drop_for = one_in(&mut self.random, 3).then_some(Duration::from_secs(36_000));
                let rules = self.directory.quality_rules();
                let quality = &self.shared.quality;
                quality.set_by_hand(self.now.utc, rules, (trunk, prefix), drop_for);
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.shard.handle(self.now, input);
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Authorize(request) => {
                    let result = self.credit.authorize(self.now, &request);
                    self.egress = result.as_ref().ok().map(|granted| granted.egress.clone());
                    self.shard.handle(self.now, Input::Authorized { call: request.call, result });
                }
                Effect::Settle(request) => {
                    self.credit.settle(self.now, (*request).clone());
                    self.settled.push_back(*request);
                }
                _ => {}
            }
        }
    }

    fn say(&mut self, text: String) {
        let remote = "10.0.0.2:5060".parse().expect("an address");
        let path = Path { transport: Transport::Udp, listener: 0, connection: 0, remote };
        let bytes = Bytes::from(text.replace('\n', "\r\n"));
        self.input(Input::Message { path, bytes });
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.plus(time);
        while let Some(at) = self.shard.poll_timeout().filter(|at| *at <= end.monotonic) {
            self.now = self.now.plus(at.saturating_sub(self.now.monotonic));
            self.input(Input::Timeout);
        }
        self.now = end;
        self.input(Input::Timeout);
    }

    /// A call comes in, is routed and tried, and its caller gives up.
    fn call(&mut self, n: u32) -> Past {
        let cld = format!("{}{:07}", pick(&mut self.random, &["4420", "4930", "1212", "7"]), n);
        let at = self.now.utc;
        self.egress = None;
        let request = |method: &str| {
            format!(
                "{method} sip:{cld}@10.0.0.1 SIP/2.0\n\
                 Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK{n}\n\
                 Max-Forwards: 70\n\
                 From: <sip:4989777@10.0.0.2>;tag=f{n}\n\
                 To: <sip:{cld}@10.0.0.1>\n\
                 Call-ID: c{n}\n\
                 CSeq: 1 {method}\n\
                 Contact: <sip:c@10.0.0.2>\n\
                 Content-Length: 0\n\n"
            )
        };
        self.say(request("INVITE"));
        if self.settled.is_empty() {
            self.say(request("CANCEL"));
        }
        self.pass(Duration::from_secs(40));
        let settled = self.settled.pop_front().expect("a call that is over is settled");
        assert!(self.settled.is_empty(), "once");
        let record = settled.facts.decisions.into_iter().filter(is_of_the_route).collect();
        Past { at, cld, egress: self.egress.take(), record }
    }

    /// The same from the record alone.
    fn recompute(&self, past: &Past) -> (Option<Vec<TrunkId>>, Vec<DecisionLine>) {
        let pairs = past.record.iter().map(|line| (line.code, line.sentence.as_str()));
        let recorded = Recorded::of(past.at, pairs);
        let number = past.cld.parse().expect("digits");
        let mut decisions = Vec::new();
        let routed = destination(
            &self.directory,
            Some(Source::Trunk(CUSTOMER_TRUNK)),
            CUSTOMER,
            Called::Number(number),
            &Conditions::of(&recorded),
            &mut decisions,
        );
        let mut lines: Vec<DecisionLine> =
            decisions.into_iter().map(switch::decision::Decision::into_line).collect();
        let candidates = match routed {
            Ok(routed) => match routed.destination {
                Destination::Trunks(candidates) => candidates,
                other => panic!("nobody else is called: {other:?}"),
            },
            Err(refusal) => {
                lines.push(switch::decision::Decision::Refused(refusal).into_line());
                return (None, lines);
            }
        };
        let request = AuthorizeRequest {
            candidates,
            ..AuthorizeRequest::new(CallId(0), CUSTOMER, CallKind::Egress, number, past.at)
        };
        let settings = CreditSettings::default();
        let talk = Duration::from_secs(60);
        let quoted = quote(&self.ledger, &self.book, &settings, past.at, &request, talk);
        if let Err(refused) = quoted.grant {
            lines.push(refused.line().clone());
            return (None, lines);
        }
        lines.extend(quoted.decisions);
        let used = quoted.carriers.iter().filter(|carrier| carrier.left_out.is_none());
        let egress = used.map(|carrier| carrier.trunk).collect();
        lines.extend(quoted.carriers.into_iter().filter_map(|carrier| carrier.left_out));
        lines.retain(is_of_the_route);
        (Some(egress), lines)
    }
}

#[test]
fn the_record_of_a_call_finds_its_route_again() {
    let calls = std::env::var("TANDEM_WHY_CALLS").ok();
    let calls: u32 = calls.map_or(1_000, |text| text.parse().expect("a number of calls"));
    let mut world = World::new(5);
    let (mut drawn, mut closed, mut down, mut poor, mut graded) = (0, 0, 0, 0, 0);
    for era in 0..calls.div_ceil(CALLS_AN_ERA) {
        let mut past = Vec::new();
        for n in 0..CALLS_AN_ERA {
            if one_in(&mut world.random, 10) {
                world.upset_trunks();
            }
            past.push(world.call(era * CALLS_AN_ERA + n));
            let later = world.random.below(7_200);
            world.pass(Duration::from_secs(later));
        }
        world.upset_trunks();
        for past in &past {
            let (egress, lines) = world.recompute(past);
            let record = &past.record;
            assert_eq!(&lines, record, "{} at {:?}", past.cld, past.at);
            assert_eq!(egress, past.egress, "{record:?}");
            let has = |code: &str| u32::from(record.iter().any(|line| line.code == code));
            drawn += has("trunks_drawn");
            closed += has("trunk_skipped_closed");
            down += has("trunk_skipped_down") + has("all_trunks_down");
            poor += has("trunk_skipped_quality") + has("all_trunks_poor");
            graded += has("trunks_graded");
        }
        world.next_era();
    }
    assert!(world.shared.admission.is_empty());
    // The calls were of all kinds.
    let few = calls / 20;
    let kinds = [drawn, closed, down, poor, 2 * graded];
    assert!(kinds.iter().all(|count| *count > few), "{kinds:?} of {calls}");
}
