//! Leases of several nodes on one account and one bundle of it, in any order of questions, charges, lost answers, deaths
//! and returns: neither is ever overdrawn, and nothing that a node may have used is given to
//! another. The database is a handful of numbers here; its decisions are the real ones.
#![allow(clippy::unwrap_used)] // a test may

use std::time::Duration;

use billing::{Ask, Use};
use billing::{
    Bundle, BundleGrant, BundleId, BundleOf, BundleShare, Currency, DestinationSetId, Fund,
    Journal, Lease, LeaseAnswer, LeaseAsk, LeaseAsks, LeaseSum, Ledger, MemoryJournal, Money, OpId,
    Outcome, Overdraft, Posting, PostingKind, ReservationId, Seconds, SecondsAnswer, SecondsAsk,
    SpendLimits, SpendPeriod, SystemAccount, SystemKind, Terms, Wanted,
};
use proptest::prelude::*;
use vocabulary::{AccountId, CallId, Utc};

const ACCOUNT: AccountId = AccountId(1000);
const BUNDLE: BundleId = BundleId(7);
const OF: BundleOf = BundleOf { account: ACCOUNT, bundle: BUNDLE };
const NODES: usize = 3;

/// What the database has.
#[derive(Default)]
struct Tables {
    /// As a customer.
    balance: i64,
    limit: i64,
    /// As a carrier.
    owed: i64,
    /// What is owed pays for calls.
    is_netted: bool,
    leases: [Lease; NODES],
    bundle: Pool,
}

/// A bundle.
#[derive(Clone, Copy, Default)]
struct Pool {
    granted: u32,
    increment: u32,
    used: i64,
    leases: [Lease<Seconds>; NODES],
}

impl Pool {
    fn left(&self) -> Seconds {
        Seconds(i64::from(self.granted) - self.used)
    }

    fn leased(&self) -> i64 {
        self.leases.iter().map(|lease| lease.granted.0 - lease.spent.0).sum()
    }

    fn fund(&self) -> Fund<Seconds> {
        let (left, leased) = (self.left(), Seconds(self.leased()));
        Fund { left, leased, spend_left: None, increment: self.increment.into() }
    }

    fn answer(&self, node: usize) -> SecondsAnswer {
        SecondsAnswer { of: OF, lease: self.leases[node], left: self.left() }
    }

    /// The CHECK, and that no node used what it had not claimed.
    fn check(&self) {
        assert!(self.left().0 >= self.leased(), "more seconds are leased than there are");
        for lease in &self.leases {
            assert!(lease.spent <= lease.claimed && lease.claimed <= lease.granted, "{lease:?}");
        }
    }

    /// As a node that starts finds it in the tables, with what its journal has besides.
    fn bundle(&self, untold: i64) -> Bundle {
        let grant = BundleGrant {
            op: OpId::outside(1),
            bundle: BUNDLE,
            account: ACCOUNT,
            destinations: DestinationSetId(1),
            seconds: self.granted,
            increment: self.increment,
            precedence: 1,
            valid_from: Utc(0),
            valid_till: None,
            at: Utc(0),
            note: String::new(),
        };
        Bundle { used: u32::try_from(self.used + untold).unwrap(), ..Bundle::from(&grant) }
    }
}

impl Tables {
    fn leased(&self) -> i64 {
        self.leases.iter().map(|lease| lease.granted.0 - lease.spent.0).sum()
    }

    fn left(&self) -> i64 {
        self.balance + self.limit + if self.is_netted { self.owed } else { 0 }
    }

    fn fund(&self) -> Fund {
        let (left, leased) = (Money(self.left()), Money(self.leased()));
        Fund { left, leased, spend_left: None, increment: Money(1) }
    }

    fn answer(&self, node: usize) -> LeaseAnswer {
        let (account, lease) = (ACCOUNT, self.leases[node]);
        LeaseAnswer { account, lease, left: Money(self.left()), limited_by: None }
    }

    /// The CHECK, and that no node used what it had not claimed. What is `paid_out` and not told is
    /// leased beyond what is there, unless it was taken of that.
    fn check(&self, paid_out: i64) {
        let over = if self.is_netted { 0 } else { paid_out };
        let leased = self.leased() - over;
        assert!(leased <= 0 || self.left() >= leased, "over-leased");
        for lease in &self.leases {
            assert!(lease.spent <= lease.claimed && lease.claimed <= lease.granted, "{lease:?}");
        }
    }
}

/// A node: its ledger, and what its journal has that the tables do not.
struct Node {
    ledger: Ledger,
    journal: MemoryJournal,
    open: Vec<(u64, i64, u32)>,
    calls: u64,
    untold: i64,
    untold_seconds: i64,
    increment: u32,
    /// Of its journal, what the account earned as a carrier, and was paid for it.
    earned: i64,
    paid_out: i64,
    is_dead: bool,
    /// A question whose answer is on its way.
    asked: Option<LeaseAsks>,
}

impl Node {
    fn new(lease: Lease, untold: i64) -> Node {
        Node::of(lease, untold, false, 0, Pool::default(), 0)
    }

    /// `seconds` of the pool are in its journal and not in the tables.
    fn of(
        lease: Lease,
        untold: i64,
        is_netted: bool,
        number: usize,
        pool: Pool,
        seconds: i64,
    ) -> Node {
        let ledger = Ledger::new();
        ledger.share();
        let terms = Terms { is_netted, ..Terms::prepaid(Currency::EUR) };
        ledger.set_terms(ACCOUNT, terms).unwrap();
        // As a start does: the tables' sums, then the journal's tail.
        let spent = Money(lease.spent.0 + untold);
        ledger.load_lease(ACCOUNT, Lease { spent, ..lease }, Currency::EUR);
        ledger.load_bundle(ACCOUNT, pool.bundle(seconds));
        let of_pool = pool.leases[number];
        let spent = Seconds(of_pool.spent.0 + seconds);
        ledger.load_bundle_lease(ACCOUNT, BUNDLE, Lease { spent, ..of_pool });
        let (untold_seconds, increment) = (seconds, pool.increment.max(1));
        let journal = MemoryJournal::new();
        let (open, calls, is_dead, asked) = (Vec::new(), 0, false, None);
        let (earned, paid_out) = (0, 0);
        Node {
            ledger,
            journal,
            open,
            calls,
            untold,
            untold_seconds,
            increment,
            earned,
            paid_out,
            is_dead,
            asked,
        }
    }

    /// A call that it carried has ended.
    fn earn(&mut self, amount: i64) {
        self.calls += 1;
        let call = CallId::new(0, 0, self.calls);
        let posting = Posting {
            op: OpId::cost(call, 1),
            kind: PostingKind::Cost,
            debit: SystemAccount { kind: SystemKind::Cost, currency: Currency::EUR }.id(),
            credit: ACCOUNT,
            amount: Money(amount),
            currency: Currency::EUR,
            at: Utc(0),
            call: Some(call),
            note: String::new(),
            tax: None,
        };
        self.ledger.lock(&[ACCOUNT]).post(&[], &[posting]).unwrap();
        self.earned += amount;
    }

    /// It is paid, of what was taken for that.
    fn pay_out(&mut self, amount: i64, taken: &LeaseAnswer) {
        self.calls += 1;
        let (op, kind) = (OpId::outside(self.calls.into()), PostingKind::Payout);
        let (amount, at, note) = (Money(amount), Utc(0), String::new());
        let paid = Money(-amount.0);
        let posting = Posting::between(kind, op, ACCOUNT, paid, Currency::EUR, at, note);
        let posted = self.ledger.post_taken(posting, Overdraft::Allow, Some(taken), &self.journal);
        assert_eq!(posted.unwrap().0, Outcome::Done);
        self.paid_out += amount.0;
    }

    fn used(&self) -> i64 {
        let view = self.ledger.account(ACCOUNT).unwrap();
        view.lease.unwrap().lease.spent.0 + view.counters.debits_pending.0
    }

    fn claimed(&self) -> i64 {
        self.ledger.account(ACCOUNT).unwrap().lease.unwrap().lease.claimed.0
    }

    fn bundle(&self) -> Bundle {
        self.ledger.lock(&[ACCOUNT]).bundle(ACCOUNT, BUNDLE).unwrap().clone()
    }

    fn used_seconds(&self) -> i64 {
        let bundle = self.bundle();
        bundle.lease.unwrap().lease.spent.0 + i64::from(bundle.pending)
    }

    fn claimed_seconds(&self) -> i64 {
        self.bundle().lease.unwrap().lease.claimed.0
    }

    /// Whole increments, as calls take them; of the last one what there is.
    fn reserve(&mut self, amount: i64, seconds: u32) {
        let call = CallId::new(0, 0, self.calls);
        let seconds = seconds.next_multiple_of(self.increment).min(self.bundle().free());
        let shares = [BundleShare { bundle: BUNDLE, seconds }];
        let ask = Ask {
            id: ReservationId { call, level: 0 },
            slice: 0,
            account: ACCOUNT,
            seller: SystemAccount { kind: SystemKind::Revenue, currency: Currency::EUR }.id(),
            amount: Money(amount),
            bundles: if seconds > 0 { &shares } else { &[] },
            expires_at: Utc(i64::MAX),
        };
        let mut locked = self.ledger.lock(&[ACCOUNT]);
        if locked.reserve(&[ask]).is_ok() {
            drop(locked);
            self.open.push((self.calls, amount, seconds));
            self.calls += 1;
        }
    }

    fn settle(&mut self, index: usize, part: i64) {
        if self.open.is_empty() {
            return;
        }
        let (call, amount, seconds) = self.open.remove(index % self.open.len());
        let used = u32::try_from(i64::from(seconds) * part / 100).unwrap();
        let used = used.next_multiple_of(self.increment).min(seconds);
        let shares = [BundleShare { bundle: BUNDLE, seconds: used }];
        let (call, charged) = (CallId::new(0, 0, call), amount * part / 100);
        let revenue = SystemAccount { kind: SystemKind::Revenue, currency: Currency::EUR }.id();
        let posting = Posting {
            op: OpId::charge(call, 0),
            kind: PostingKind::Charge,
            debit: ACCOUNT,
            credit: revenue,
            amount: Money(charged),
            currency: Currency::EUR,
            at: Utc(0),
            call: Some(call),
            note: String::new(),
            tax: None,
        };
        let id = ReservationId { call, level: 0 };
        let bundles = if seconds > 0 { &shares[..] } else { &[] };
        let made = Use { id, account: ACCOUNT, charge: Some(&posting), bundles };
        self.ledger.lock(&[ACCOUNT]).post(&[made], &[]).unwrap();
        self.journal.append(&billing::Record::Posted { posting, told: Vec::new() });
        self.untold += charged;
        self.untold_seconds += i64::from(used);
    }
}

#[derive(Clone, Debug)]
enum Step {
    TopUp(i64),
    /// A call that the account carried as a carrier ends on a node.
    Earn(usize, i64),
    /// A command on a node pays the account of what it is owed.
    PayOut(usize, i64),
    Reserve(usize, i64, u32),
    Settle(usize, usize, i64),
    /// The node asks because it needs to, or because it is time.
    Ask(usize, Option<i64>),
    /// The database decides.
    Decide(usize),
    /// What it decided before is heard, or never is.
    Hear(usize, bool),
    /// The journal gets into the tables.
    Tell(usize),
    Die(usize),
    /// The others take back what a silent node cannot have used; it may only be paused.
    Silent(usize),
    Return(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..NODES;
    prop_oneof![
        1 => (1i64..10_000).prop_map(Step::TopUp),
        3 => (node.clone(), 1i64..500).prop_map(|(n, a)| Step::Earn(n, a)),
        1 => (node.clone(), 1i64..500).prop_map(|(n, a)| Step::PayOut(n, a)),
        6 => (node.clone(), 0i64..500, prop_oneof![Just(0u32), 1u32..200])
            .prop_map(|(n, a, s)| Step::Reserve(n, a, s)),
        5 => (node.clone(), 0usize..8, 0i64..=100).prop_map(|(n, i, p)| Step::Settle(n, i, p)),
        6 => (node.clone(), proptest::option::of(1i64..20)).prop_map(|(n, p)| Step::Ask(n, p)),
        6 => node.clone().prop_map(Step::Decide),
        6 => (node.clone(), any::<bool>()).prop_map(|(n, lost)| Step::Hear(n, lost)),
        4 => node.clone().prop_map(Step::Tell),
        1 => node.clone().prop_map(Step::Die),
        1 => node.clone().prop_map(Step::Silent),
        2 => node.prop_map(Step::Return),
    ]
}

struct World {
    tables: Tables,
    nodes: Vec<Node>,
}

impl World {
    fn run(&mut self, step: &Step) {
        match *step {
            Step::TopUp(amount) => self.tables.balance += amount,
            Step::Earn(n, amount) if !self.nodes[n].is_dead => self.nodes[n].earn(amount),
            Step::PayOut(n, amount) if !self.nodes[n].is_dead => self.pay_out(n, amount),
            Step::Reserve(n, amount, seconds) if !self.nodes[n].is_dead => {
                self.nodes[n].reserve(amount, seconds);
            }
            Step::Settle(n, i, part) if !self.nodes[n].is_dead => self.nodes[n].settle(i, part),
            Step::Ask(n, periods) if !self.nodes[n].is_dead => self.ask(n, periods),
            Step::Decide(n) => self.decide(n),
            Step::Hear(n, is_lost) if !self.nodes[n].is_dead => self.hear(n, is_lost),
            Step::Tell(n) if !self.nodes[n].is_dead => {
                let node = &mut self.nodes[n];
                let untold = std::mem::take(&mut node.untold);
                let (earned, paid) =
                    (std::mem::take(&mut node.earned), std::mem::take(&mut node.paid_out));
                self.tables.balance -= untold;
                self.tables.owed += earned - paid;
                self.tables.leases[n].spent.0 += untold + paid;
                let seconds = std::mem::take(&mut node.untold_seconds);
                self.tables.bundle.used += seconds;
                self.tables.bundle.leases[n].spent.0 += seconds;
            }
            // A question that was sent may still arrive: `asked` stays.
            Step::Die(n) => self.nodes[n].is_dead = true,
            Step::Silent(n) => {
                let lease = &mut self.tables.leases[n];
                lease.granted = lease.claimed;
                let lease = &mut self.tables.bundle.leases[n];
                lease.granted = lease.claimed;
            }
            Step::Return(n) if self.nodes[n].is_dead => {
                // The new start waits for what the old one had sent, and refuses what comes later.
                let node = &self.nodes[n];
                // Its open calls are charged in full.
                let open: i64 = node.open.iter().map(|(_, amount, _)| amount).sum();
                let held: i64 = node.open.iter().map(|(.., held)| i64::from(*held)).sum();
                let seconds = node.untold_seconds + held;
                let (untold, earned, paid) = (node.untold + open, node.earned, node.paid_out);
                let (lease, is_netted) = (self.tables.leases[n], self.tables.is_netted);
                let pool = self.tables.bundle;
                self.nodes[n] = Node::of(lease, untold + paid, is_netted, n, pool, seconds);
                let node = &mut self.nodes[n];
                (node.untold, node.earned, node.paid_out) = (untold, earned, paid);
            }
            _ => {}
        }
    }

    /// No question is under way meanwhile, and no more is paid than is owed. Of a netted account it is
    /// money that no node has.
    fn pay_out(&mut self, n: usize, amount: i64) {
        let is_due = self.nodes.iter().map(|node| node.paid_out).sum::<i64>() + amount;
        let is_there = !self.tables.is_netted || self.tables.fund().free() >= Money(amount);
        if self.nodes[n].asked.is_some() || is_due > self.tables.owed || !is_there {
            return;
        }
        let lease = &mut self.tables.leases[n];
        lease.granted.0 += amount;
        lease.claimed.0 += amount;
        let taken = self.tables.answer(n);
        self.nodes[n].pay_out(amount, &taken);
    }

    fn ask(&mut self, n: usize, periods: Option<i64>) {
        let node = &mut self.nodes[n];
        if node.asked.is_some() {
            return;
        }
        let asks = match periods {
            Some(periods) => node.ledger.lease_asks_by_use(periods),
            None => {
                let mut asks = node.ledger.lease_asks();
                // As of a call that waits: it never asks for less than the node may use by now.
                if asks.money.is_empty() {
                    let more = (node.used() + 100).max(node.claimed());
                    asks.money.push(money(more + 100, more, more));
                }
                if asks.seconds.is_empty() {
                    let more = (node.used_seconds() + 60).max(node.claimed_seconds());
                    asks.seconds.push(seconds(more + 60, more, more));
                }
                asks
            }
        };
        node.asked = Some(asks).filter(|asks| !asks.is_empty());
    }

    fn decide(&mut self, n: usize) {
        let Some(asks) = &self.nodes[n].asked else { return };
        for ask in &asks.money {
            let held = self.tables.leases[n];
            self.tables.leases[n] = self.tables.fund().decide(held, &ask.wanted);
        }
        let pool = &mut self.tables.bundle;
        for ask in &asks.seconds {
            pool.leases[n] = pool.fund().decide(pool.leases[n], &ask.wanted);
        }
    }

    /// An answer that is lost is followed by a look at how things stand, before anything else.
    fn hear(&mut self, n: usize, is_lost: bool) {
        let answer = self.tables.answer(n);
        let of_seconds = self.tables.bundle.answer(n);
        let node = &mut self.nodes[n];
        if let Some(asks) = node.asked.take() {
            if is_lost {
                node.ledger.leases_unanswered(&asks);
            }
            node.ledger.hear_leases(&[answer]);
            node.ledger.hear_seconds(&[of_seconds]);
        }
    }

    fn check(&self) {
        let paid_out: i64 = self.nodes.iter().map(|node| node.paid_out).sum();
        self.tables.check(paid_out);
        let mut used = if self.tables.is_netted { 0 } else { -paid_out };
        for (n, node) in self.nodes.iter().enumerate() {
            let lease = self.tables.leases[n];
            assert!(node.used() <= lease.claimed.0, "node {n} used what it had not claimed");
            used += node.used() - lease.spent.0;
        }
        // Were every journal told and every call charged in full at this moment:
        assert!(self.tables.left() - used >= 0, "overdrawn");
        self.check_seconds();
    }

    fn check_seconds(&self) {
        let pool = &self.tables.bundle;
        pool.check();
        let mut used = pool.used;
        for (n, node) in self.nodes.iter().enumerate() {
            let lease = pool.leases[n];
            assert!(node.used_seconds() <= lease.claimed.0, "node {n} used seconds of others");
            used += node.used_seconds() - lease.spent.0;
        }
        assert!(used <= i64::from(pool.granted), "a second was given away twice");
    }
}

fn money(granted: i64, claimed: i64, least: i64) -> LeaseAsk {
    let (granted, claimed, least) = (Money(granted), Money(claimed), Money(least));
    let (wanted, spend) = (Wanted { granted, claimed, least }, SpendLimits::default());
    LeaseAsk { account: ACCOUNT, wanted, spend }
}

fn seconds(granted: i64, claimed: i64, least: i64) -> SecondsAsk {
    let (granted, claimed, least) = (Seconds(granted), Seconds(claimed), Seconds(least));
    SecondsAsk { of: OF, wanted: Wanted { granted, claimed, least } }
}

/// The node gets by the clock more than a waiting call would ask for.
#[test]
fn a_question_of_need_takes_back_nothing_that_the_node_may_use() {
    let nodes = (0..NODES).map(|_| Node::new(Lease::default(), 0)).collect();
    let mut world = World { tables: Tables { limit: 12, ..Tables::default() }, nodes };
    let first = [Step::Ask(1, None), Step::Decide(1), Step::Hear(1, false), Step::TopUp(390)];
    let by_clock = [Step::Reserve(1, 11, 0), Step::Ask(1, Some(18)), Step::Decide(1)];
    let by_need = [Step::Hear(1, false), Step::Ask(1, None), Step::Reserve(1, 101, 0)];
    for step in first.iter().chain(&by_clock).chain(&by_need).chain(&[Step::Decide(1)]) {
        world.run(step);
        world.check();
    }
    assert_eq!(world.nodes[1].used(), 112, "both calls were granted");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// A-02 too: whether what is owed to the account as a carrier pays for its calls or not.
    #[test]
    fn no_order_of_things_overdraws_account_or_bundle(
        granted in prop_oneof![Just(0u32), 1u32..3_000],
        increment in prop_oneof![Just(1u32), Just(6), Just(60)],
        limit in prop_oneof![Just(0i64), 1i64..5_000],
        is_netted in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let bundle = Pool { granted, increment, ..Pool::default() };
        let node = |n| Node::of(Lease::default(), 0, is_netted, n, bundle, 0);
        let nodes = (0..NODES).map(node).collect();
        let tables = Tables { limit, is_netted, bundle, ..Tables::default() };
        let mut world = World { tables, nodes };
        for step in &steps {
            world.run(step);
            world.check();
        }
    }
}

fn fund(left: i64, leased: i64) -> Fund {
    let (left, leased) = (Money(left), Money(leased));
    Fund { left, leased, spend_left: None, increment: Money(1) }
}

#[track_caller]
fn check(fund: Fund, held: (i64, i64), ask: (i64, i64, i64), expected: (i64, i64)) {
    let held = Lease { granted: Money(held.0), claimed: Money(held.1), spent: Money(0) };
    let given = fund.decide(held, &money(ask.0, ask.1, ask.2).wanted);
    assert_eq!((given.granted.0, given.claimed.0), expected);
}

#[test]
fn what_is_taken_ahead_leaves_half_to_the_others() {
    check(fund(1000, 0), (0, 0), (200, 100, 100), (200, 100));
    check(fund(300, 0), (0, 0), (200, 100, 100), (150, 100));
    check(fund(150, 0), (0, 0), (200, 100, 100), (100, 100));
    // A call gets what there is.
    check(fund(60, 0), (0, 0), (200, 100, 100), (60, 60));
    check(fund(60, 60), (0, 0), (200, 100, 100), (0, 0));
    // Below zero there is nothing to give, and nothing to take back.
    check(fund(-50, 60), (60, 60), (200, 100, 100), (60, 60));
    // Less gives back.
    check(fund(-50, 60), (60, 60), (20, 10, 0), (20, 10));
    let limited = Fund { spend_left: Some(Money(70)), ..fund(1000, 20) };
    check(limited, (0, 0), (200, 100, 100), (50, 50));
}

/// V-04 on several nodes: nobody is left with a part of an increment, and the last ones are not shared.
#[test]
fn seconds_are_leased_by_whole_increments() {
    let check = |left: i64, leased: i64, asked: (i64, i64, i64), expected: (i64, i64)| {
        let (left, leased) = (Seconds(left), Seconds(leased));
        let fund = Fund { left, leased, spend_left: None, increment: Seconds(60) };
        let wanted = seconds(asked.0, asked.1, asked.2).wanted;
        let given = fund.decide(Lease::default(), &wanted);
        assert_eq!((given.granted.0, given.claimed.0), expected);
    };
    check(6000, 0, (480, 240, 60), (480, 240));
    // Half of 700 is five minutes and a part of one.
    check(700, 0, (480, 240, 60), (300, 240));
    // Less than ten increments: all that is asked for.
    check(590, 0, (480, 240, 60), (480, 240));
    check(590, 300, (480, 240, 60), (290, 240));
    check(590, 590, (480, 240, 60), (0, 0));
}

#[test]
fn a_lease_grows_with_its_use_and_shrinks_without() {
    let mut node = Node::new(Lease::default(), 0);
    let mut tables = Tables { balance: 1_000_000, ..Tables::default() };
    // As a call that waits: nothing is leased yet.
    node.reserve(100, 0);
    assert_eq!(node.used(), 0);
    let first = money(800, 400, 100);
    let answer = |tables: &mut Tables, node: &Node, ask: &LeaseAsk| {
        tables.leases[0] = tables.fund().decide(tables.leases[0], &ask.wanted);
        node.ledger.hear_leases(&[tables.answer(0)]);
        tables.leases[0].claimed.0 - node.used()
    };
    assert_eq!(answer(&mut tables, &node, &first), 400);
    let mut ahead = Vec::new();
    for round in 0..40 {
        if round < 4 {
            for _ in 0..5 {
                node.reserve(100, 0);
            }
        } else {
            node.settle(0, 0);
        }
        for ask in node.ledger.lease_asks_by_use(2).money {
            ahead.push(answer(&mut tables, &node, &ask));
        }
    }
    let most = ahead.iter().copied().max().unwrap();
    assert!(most >= 1000, "{ahead:?}");
    // Everything went back.
    assert_eq!((tables.leased(), node.used()), (0, 0), "{ahead:?}");
}

#[test]
fn leases_hold_until_their_time_is_over() {
    let ledger = Ledger::new();
    assert!(ledger.are_leases_held(Duration::from_secs(1 << 40)));
    ledger.hold_leases_until(Duration::from_secs(10));
    assert!(ledger.are_leases_held(Duration::from_micros(9_999_999)));
    assert!(!ledger.are_leases_held(Duration::from_secs(10)));
}

#[test]
fn a_node_tells_of_a_limit_of_spending_when_it_hears_that_nothing_else_is_left() {
    // V-11, P-013.
    let (journal, day) = (MemoryJournal::new(), SpendPeriod::Day);
    let lease = Lease { granted: Money(90), claimed: Money(80), spent: Money(50) };
    let node = Node::new(lease, 0);
    let spend = SpendLimits { hour: None, day: Some(Money(90)), month: None };
    node.ledger.set_terms(ACCOUNT, Terms { spend, ..Terms::prepaid(Currency::EUR) }).unwrap();
    let hear = |limited_by| {
        let answer = LeaseAnswer { account: ACCOUNT, lease, left: Money(1_000), limited_by };
        node.ledger.hear_leases(&[answer]);
        node.ledger.account(ACCOUNT).unwrap().spend_limit_left()
    };
    assert_eq!(hear(None), None);
    assert_eq!(hear(Some(day)), Some((Money(30), day)));
    for at in [Utc(5), Utc(6)] {
        node.ledger.lock(&[ACCOUNT]).spend_limit_reached(ACCOUNT, day, at, &journal);
    }
    let records = journal.records();
    let told: Vec<_> = records.iter().flat_map(|(_, record)| record.told().1).collect();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].code(), told[0].account()), ("spend_limit_reached", ACCOUNT));
    assert_eq!(hear(None), None);
}

#[test]
fn what_leases_come_to_is_told_by_currency() {
    let lease = Lease { granted: Money(90), claimed: Money(80), spent: Money(50) };
    let mut node = Node::new(lease, 0);
    node.ledger.set_terms(AccountId(7), Terms::prepaid(Currency::USD)).unwrap();
    node.reserve(20, 0);
    let sums = node.ledger.lease_sums();
    let expected = LeaseSum {
        accounts: 1,
        short: 0,
        leased: Money(40),
        claimed: Money(30),
        reserved: Money(20),
    };
    assert_eq!(sums.into_iter().collect::<Vec<_>>(), [(Currency::EUR, expected)]);
    let other = Lease { granted: Money(5), claimed: Money(5), spent: Money(0) };
    node.ledger.load_lease(AccountId(7), other, Currency::USD);
    assert_eq!(node.ledger.lease_sums()[&Currency::USD].leased, Money(5));
}
