//! Who pays for a call: the account, its resellers, its bundles, within limits of spending; and
//! carriers that are customers too.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::Duration;

use billing::{
    AccountTariff, AfterCap, BundleGrant, BundleId, Calendar, Cap, Cdr, CreditSettings, Currency,
    Days, DestinationSet, DestinationSetId, Ended, Journal, Ledger, LedgerEvent, Money, OpId,
    Percent, Period, PeriodChoice, Position, Posting, Quote, QuotedCarrier, QuotedPayer, Rate,
    RateBook, RateGroupId, RateRow, Record, Recovery, SpecialTerms, SpendLimits, SystemAccount,
    SystemKind, Terms, TimePrice, Zone, quote,
};
use common::*;
use proptest::prelude::*;
use vocabulary::{AccountId, CallKind, ExtendRequest, Grant, Now, Refused, TrunkId};

const RESELLER: AccountId = AccountId(7);
const TOP: AccountId = AccountId(8);
const GERMANY: DestinationSetId = DestinationSetId(1);
const BERLIN: DestinationSetId = DestinationSetId(2);
const EUR: Currency = Currency::EUR;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The book with a reseller above the customer, and one above that.
fn chain_book(book: &RateBook, prices: [Rate; 2]) -> RateBook {
    let parent = |above: Option<AccountId>, group: u32| AccountTariff {
        customer_group: Some(RateGroupId(group)),
        parent: above,
        is_loss_allowed: true,
        ..AccountTariff::default()
    };
    book.change()
        .group(group(RateGroupId(70), &[row("49", prices[0])]))
        .group(group(RateGroupId(80), &[row("49", prices[1])]))
        .account(CUSTOMER, AccountTariff { parent: Some(RESELLER), ..customer_tariff() })
        .account(RESELLER, parent(Some(TOP), 70))
        .account(TOP, parent(None, 80))
        .destinations([
            (GERMANY, DestinationSet::new(["49"]).unwrap()),
            (BERLIN, DestinationSet::new(["4930"]).unwrap()),
        ])
        .build()
        .unwrap()
}

/// The customer pays 0.60 a minute, its reseller 0.30, the one above 0.12.
fn chain(customer: &str, reseller: &str, top: &str) -> World {
    let mut world = World::prepaid(rate("0.60", 1, 1), customer);
    for (account, amount, op) in [(RESELLER, reseller, 70), (TOP, top, 80)] {
        world.ledger.set_terms(account, Terms::prepaid(EUR)).unwrap();
        let amount: Money = amount.parse().unwrap();
        let op = OpId::outside(op);
        let posting = Posting::top_up(op, account, amount, EUR, START, String::new());
        let refuse = billing::Overdraft::Refuse;
        world.ledger.post(posting, refuse, &*world.journal).unwrap();
    }
    let book = chain_book(&world.book, [rate("0.30", 60, 60), rate("0.12", 6, 6)]);
    world.book = book.into();
    world.credit.set_rate_book(world.book.clone());
    world
}

fn last_end(world: &World) -> Ended {
    let (_, record) = world.journal.records().pop().unwrap();
    let Record::Ended(ended) = record else { panic!("{record:?} is no end") };
    ended
}

fn give(world: &World, id: u64, to: AccountId, set: DestinationSetId, minutes: u32, rank: u16) {
    let grant = BundleGrant {
        op: OpId::outside(5_000 + u128::from(id)),
        bundle: BundleId(id),
        account: to,
        destinations: set,
        seconds: minutes * 60,
        increment: 1,
        precedence: rank,
        valid_from: START,
        valid_till: Some(START.plus(seconds(3_600))),
        at: START,
        note: "free minutes".into(),
    };
    world.ledger.grant(grant, &*world.journal).unwrap();
}

fn left(ledger: &Ledger, account: AccountId) -> Vec<(u64, u32, u32)> {
    let locked = ledger.lock(&[account]);
    locked.bundles(account).map(|bundle| (bundle.id.0, bundle.left(), bundle.pending)).collect()
}

fn lines(cdr: &Cdr, code: &str) -> Vec<String> {
    let lines = cdr.decisions.iter().filter(|line| line.code == code);
    lines.map(|line| line.sentence.clone()).collect()
}

fn events(world: &World) -> Vec<&'static str> {
    std::iter::from_fn(|| world.ledger.poll_event()).map(|event| event.code()).collect()
}

#[test]
fn every_level_pays_by_its_own_rate() {
    let mut world = chain("10", "10", "10");
    let authorization = world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    // Whole minutes of the reseller: nobody's money is wasted.
    assert_eq!(authorization.grant, Grant { talk_time: seconds(60), is_final: false });
    world.credit.answered(at(0), call(1), Some(CHEAP_TRUNK), START);
    world.credit.settle(at(31_000), ended(call(1), Some(CHEAP_TRUNK), Some(seconds(31))));
    let end = last_end(&world);
    let sales = |account| SystemAccount { kind: SystemKind::Sales(account), currency: EUR }.id();
    let revenue = SystemAccount { kind: SystemKind::Revenue, currency: EUR }.id();
    let postings: Vec<_> =
        end.postings.iter().map(|p| (p.debit, p.credit, p.amount.to_string())).collect();
    assert_eq!(
        postings[..3],
        [
            (CUSTOMER, sales(RESELLER), "0.310000".to_owned()),
            (RESELLER, sales(TOP), "0.300000".to_owned()),
            (TOP, revenue, "0.072000".to_owned()),
        ]
    );
    let cdr = &end.cdrs[0];
    assert_eq!(cdr.charge.as_ref().unwrap().amount.to_string(), "0.310000");
    let upper: Vec<_> = cdr.upper.iter().map(|u| (u.account, u.charge.billed_seconds)).collect();
    assert_eq!(upper, [(RESELLER, 60), (TOP, 36)]);
    assert_eq!(world.balance(RESELLER), "9.700000");
    world.check_over();
}

/// Account and price of each payer, and what a reseller keeps of what its customer pays.
fn prices(quoted: &Quote) -> Vec<(AccountId, String, Option<String>)> {
    let payer = |payer: &QuotedPayer| {
        let charge = payer.charge.as_ref().unwrap().amount.to_string();
        (payer.account, charge, payer.profit.map(|profit| profit.to_string()))
    };
    quoted.payers.iter().map(payer).collect()
}

/// Trunk, cost and profit of each carrier, and why it would not be tried.
fn costs(quoted: &Quote) -> Vec<(TrunkId, String, String, Option<&'static str>)> {
    let carrier = |carrier: &QuotedCarrier| {
        let (cost, currency) = carrier.cost.as_ref().unwrap();
        let (profit, counted_in) = carrier.profit.unwrap();
        assert_eq!((currency.code(), counted_in.code()), (EUR.code(), EUR.code()));
        let cost = cost.as_ref().unwrap().amount.to_string();
        (carrier.trunk, cost, profit.to_string(), carrier.left_out.as_ref().map(|line| line.code))
    };
    quoted.carriers.iter().map(carrier).collect()
}

fn quoted(world: &World, cld: &str, talk: u64) -> Quote {
    let settings = CreditSettings::default();
    quote(&world.ledger, &world.book, &settings, START, &request(call(1), cld), seconds(talk))
}

#[test]
fn a_quote_has_the_price_of_every_payer_and_the_profit_with_every_carrier() {
    // O3: what settling the same call books (promise 4 of the README).
    let mut world = chain("10", "10", "10");
    let thought = quoted(&world, "49301234", 31);
    let some = |text: &str| Some(text.to_owned());
    let payers = [
        (CUSTOMER, "0.310000".to_owned(), None),
        (RESELLER, "0.300000".to_owned(), some("0.010000")),
        (TOP, "0.072000".to_owned(), some("0.228000")),
    ];
    assert_eq!(prices(&thought), payers);
    let carriers = [
        (CHEAP_TRUNK, "0.010000".to_owned(), "0.062000".to_owned(), None),
        (TRUNK, "0.010334".to_owned(), "0.061666".to_owned(), None),
    ];
    assert_eq!(costs(&thought), carriers);

    let authorization = world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    assert_eq!(thought.grant, Ok(authorization.grant));
    world.credit.answered(at(0), call(1), Some(CHEAP_TRUNK), START);
    world.credit.settle(at(31_000), ended(call(1), Some(CHEAP_TRUNK), Some(seconds(31))));
    let end = last_end(&world);
    let booked: Vec<_> = end.postings.iter().map(|posting| posting.amount.to_string()).collect();
    assert_eq!(booked, ["0.310000", "0.300000", "0.072000", "0.010000"]);
}

#[test]
fn a_refused_call_is_quoted_too() {
    // O3: the reason, and what it would have cost.
    let mut world = chain("0.001", "10", "10");
    let poor = quoted(&world, "49301234", 31);
    assert!(matches!(poor.grant, Err(Refused::InsufficientCredit(_))), "{:?}", poor.grant);
    assert_eq!(prices(&poor)[0].1, "0.310000");
    assert_eq!(poor.longest_talk, Some(Duration::ZERO));
    let nowhere = quoted(&world, "3312345", 31);
    assert!(matches!(nowhere.grant, Err(Refused::NoRate(_))), "{:?}", nowhere.grant);
    assert_eq!((nowhere.payers, nowhere.longest_talk), (Vec::new(), None));

    let strict =
        AccountTariff { customer_group: Some(RateGroupId(80)), ..AccountTariff::default() };
    let cheap = group(RateGroupId(80), &[row("49", rate("0.012", 6, 6))]);
    world.book = world.book.change().group(cheap).account(TOP, strict).build().unwrap().into();
    let loss = quoted(&world, "49301234", 31);
    assert!(matches!(loss.grant, Err(Refused::NoCarrier(_))), "{:?}", loss.grant);
    let unprofitable = Some("unprofitable");
    let carriers = [
        (TRUNK, "0.010334".to_owned(), "-0.003134".to_owned(), unprofitable),
        (CHEAP_TRUNK, "0.010000".to_owned(), "-0.002800".to_owned(), unprofitable),
    ];
    assert_eq!(costs(&loss), carriers);
}

/// 6 a minute until half a minute past eight, then 0.60; a call costs at most 1 and then ends.
fn capped_by_day() -> RateRow {
    let zone = Zone::named("UTC").unwrap();
    let day = Period {
        days: Days::ALL,
        from_second: 8 * 3_600 + 30,
        till_second: 86_400,
        price: TimePrice { name: "day".into(), ..TimePrice::of(&rate("0.60", 1, 1)) },
    };
    let calendar = Calendar {
        zone,
        holidays: Box::default(),
        periods: [day].into(),
        choice: PeriodChoice::EachIncrement,
    };
    let special = SpecialTerms {
        calendar: Some(calendar.into()),
        cap: Some(Cap { amount: "1".parse().unwrap(), after: AfterCap::Disconnect }),
        ..SpecialTerms::default()
    };
    RateRow { special: Some(special.into()), ..row("49", rate("6", 1, 1)) }
}

#[test]
fn where_a_cap_ends_a_call_is_counted_from_the_answer() {
    let mut world = World::prepaid(rate("0", 1, 1), "10");
    let group = group(CUSTOMER_GROUP, &[capped_by_day()]);
    world.credit.set_rate_book(world.book.change().group(group).build().unwrap().into());
    // Eight o'clock: ten seconds at 6 a minute are the cap.
    let grant = world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap().grant;
    assert_eq!(grant, Grant { talk_time: seconds(10), is_final: true });
    // Answered half a minute later, a second costs a cent.
    let answered = START.plus(seconds(30));
    let grant = world.credit.answered(at(30_000), call(1), Some(CHEAP_TRUNK), answered).grant;
    assert_eq!(grant, Grant { talk_time: seconds(10), is_final: false });
    let mut grant = grant;
    while !grant.is_final {
        grant = world.credit.extend(at(40_000), ExtendRequest { call: call(1) }).grant;
    }
    assert_eq!(grant.talk_time, seconds(100));
}

#[test]
fn a_cap_of_one_level_may_end_before_the_first_increment_of_another() {
    // The reseller's whole minute is longer than the ten seconds that the customer's cap allows.
    let mut world = chain("10", "10", "10");
    let group = group(CUSTOMER_GROUP, &[capped_by_day()]);
    world.credit.set_rate_book(world.book.change().group(group).build().unwrap().into());
    let grant = world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap().grant;
    assert_eq!(grant, Grant { talk_time: seconds(10), is_final: true });
    world.credit.answered(at(0), call(1), Some(CHEAP_TRUNK), START);
    world.credit.settle(at(10_000), ended(call(1), Some(CHEAP_TRUNK), Some(seconds(10))));
    assert_eq!(
        (world.balance(CUSTOMER), world.balance(RESELLER)),
        ("9.000000".into(), "9.700000".into())
    );
    world.check_over();
}

#[test]
fn the_poorest_level_ends_the_call() {
    // The one at the top can pay 18 s: three increments.
    let mut world = chain("10", "10", "0.04");
    let grant = world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap().grant;
    assert_eq!(grant, Grant { talk_time: seconds(18), is_final: true });
    assert_eq!(events(&world), ["credit_limit_reached"]);
    world.credit.settle(at(99_000), ended(call(1), Some(TRUNK), Some(seconds(99))));
    assert_eq!(world.balance(TOP), "0.004000");
    world.check_over();
}

#[track_caller]
fn check_refused(world: &mut World, code: &str, sentence: &str) {
    let refused = world.credit.authorize(at(0), &request(call(9), "49301234")).unwrap_err();
    let (Refused::AccountInactive(line)
    | Refused::NoRateGroup(line)
    | Refused::NoRate(line)
    | Refused::InsufficientCredit(line)
    | Refused::NoCarrier(line)) = refused;
    assert_eq!((line.code, line.sentence.as_str()), (code, sentence));
    world.check_over();
}

#[test]
fn a_refusal_names_the_level() {
    let mut world = chain("10", "0.29", "10");
    let poor = "Reseller 7 (level 1) has 0.290000 EUR available; connect fee and first increment \
                cost 0.300000.";
    check_refused(&mut world, "insufficient_credit", poor);
    let blocked = Terms { status: billing::Status::Blocked, ..Terms::prepaid(EUR) };
    world.ledger.set_terms(TOP, blocked).unwrap();
    check_refused(&mut world, "account_blocked", "Reseller 8 (level 2) is blocked.");
    let circle = AccountTariff { parent: Some(CUSTOMER), ..AccountTariff::default() };
    let circle = AccountTariff { customer_group: Some(CUSTOMER_GROUP), ..circle };
    let book = world.book.change().account(RESELLER, circle).build().unwrap();
    world.credit.set_rate_book(book.into());
    let ring = "Account 1 has more than 5 resellers above it, or is above itself.";
    check_refused(&mut world, "too_many_resellers", ring);
}

#[test]
fn blocking_a_reseller_ends_its_customers_calls_at_what_is_paid() {
    let mut world = chain("10", "10", "10");
    world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    let blocked = Terms { status: billing::Status::Blocked, ..Terms::prepaid(EUR) };
    world.ledger.set_terms(RESELLER, blocked).unwrap();
    let grant = world.credit.extend(at(30_000), ExtendRequest { call: call(1) }).grant;
    assert_eq!(grant, Grant { talk_time: seconds(60), is_final: true });
}

#[test]
fn a_crash_gives_every_level_back_what_it_had() {
    let mut world = chain("10", "10", "10");
    give(&world, 3, CUSTOMER, BERLIN, 1, 1);
    world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    world.credit.answered(at(0), call(1), Some(CHEAP_TRUNK), START);
    world.credit.extend(at(40_000), ExtendRequest { call: call(1) });
    world.journal_heartbeat(70);
    let recovered = chain("0", "0", "0").ledger;
    let mut recovery = Recovery::new(&recovered, billing::Position(0));
    for (position, record) in world.journal.records() {
        recovery.record(position, &record);
    }
    for account in [CUSTOMER, RESELLER, TOP] {
        let (is, was) = (recovered.account(account), world.ledger.account(account));
        assert_eq!(is.unwrap().counters.debits_pending, was.unwrap().counters.debits_pending);
    }
    assert_eq!(left(&recovered, CUSTOMER), left(&world.ledger, CUSTOMER));
    let Record::Ended(end) = &recovery.finish()[0] else { panic!("no end") };
    world.credit.settle(at(70_000), ended(call(1), Some(CHEAP_TRUNK), Some(seconds(70))));
    let live = last_end(&world);
    let money = |end: &Ended| {
        let amounts = end.postings.iter().map(|p| (p.op, p.debit, p.amount));
        (amounts.collect::<Vec<_>>(), end.bundle_uses.clone(), end.cdrs[0].upper.clone())
    };
    assert_eq!(money(end), money(&live));
    assert_eq!(left(&recovered, CUSTOMER), left(&world.ledger, CUSTOMER));
    assert_eq!(recovered.check().problems, Vec::<String>::new());
}

impl World {
    fn journal_heartbeat(&self, second: u64) {
        let at = START.plus(seconds(second));
        billing::Journal::append(&*self.journal, &Record::Heartbeat { at });
    }
}

#[test]
fn free_seconds_end_in_mid_call_and_money_goes_on() {
    // R14: never the whole call free because a second was left.
    let mut world = chain("10", "10", "10");
    give(&world, 3, CUSTOMER, BERLIN, 1, 1);
    world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    assert_eq!(
        (world.available().as_str(), left(&world.ledger, CUSTOMER)),
        ("10.000000", vec![(3, 60, 60)])
    );
    let grant = world.credit.extend(at(40_000), ExtendRequest { call: call(1) }).grant;
    assert_eq!(grant, Grant { talk_time: seconds(120), is_final: false });
    assert_eq!(world.available(), "9.400000");
    world.credit.settle(at(75_000), ended(call(1), Some(TRUNK), Some(seconds(75))));
    let end = last_end(&world);
    let charge = end.cdrs[0].charge.clone().unwrap();
    assert_eq!(
        (charge.amount.to_string().as_str(), charge.billed_seconds, charge.bundle_seconds),
        ("0.150000", 15, 60)
    );
    assert_eq!(lines(&end.cdrs[0], "bundle_used"), ["60 s of bundle 3 of account 1 are used."]);
    assert_eq!(left(&world.ledger, CUSTOMER), [(3, 0, 0)]);
    assert_eq!(events(&world), ["bundle_exhausted"]);
    let event = LedgerEvent::BundleExhausted { account: CUSTOMER, bundle: BundleId(3) };
    assert_eq!(end.told, [event]);
    world.check_over();
}

/// P-007: a call that a crash ends uses a bundle up as well, and one that had ended is not told of
/// again.
#[test]
fn a_bundle_that_a_lost_call_used_up_is_told_by_its_end() {
    let mut world = chain("10", "10", "10");
    give(&world, 3, CUSTOMER, BERLIN, 1, 1);
    world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    world.credit.answered(at(0), call(1), Some(TRUNK), START);
    let alive = world.journal.append(&Record::Heartbeat { at: at(60_000).utc });
    let cut = |records: &[(Position, Record)]| {
        let ledger = Ledger::new();
        for account in [CUSTOMER, RESELLER, TOP] {
            ledger.set_terms(account, Terms::prepaid(EUR)).unwrap();
        }
        let mut recovery = Recovery::new(&ledger, Position(0));
        records.iter().for_each(|(position, record)| recovery.record(*position, record));
        let made = recovery.finish();
        assert_eq!(std::iter::from_fn(|| ledger.poll_event()).count(), made.len());
        made.iter().flat_map(|record| record.told().1.to_vec()).collect::<Vec<_>>()
    };
    let event = LedgerEvent::BundleExhausted { account: CUSTOMER, bundle: BundleId(3) };
    let records = world.journal.records();
    assert_eq!(records.last().unwrap().0, alive);
    assert_eq!(cut(&records), [event]);
    world.credit.settle(at(60_000), ended(call(1), Some(TRUNK), Some(seconds(60))));
    assert_eq!(last_end(&world).told, [event]);
    assert_eq!(cut(&world.journal.records()), []);
}

#[test]
fn bundles_are_used_in_order_and_the_last_one_is_told() {
    let mut world = chain("10", "10", "10");
    give(&world, 3, CUSTOMER, GERMANY, 2, 1);
    give(&world, 4, CUSTOMER, BERLIN, 1, 9);
    let mut talk = |sequence: u64, talked: u64| {
        let call = call(sequence);
        let mut grant = world.credit.authorize(at(0), &request(call, "49301234")).unwrap().grant;
        while grant.talk_time < seconds(talked) {
            grant = world.credit.extend(at(0), ExtendRequest { call }).grant;
        }
        world.credit.settle(at(0), ended(call, Some(TRUNK), Some(seconds(talked))));
        (left(&world.ledger, CUSTOMER), events(&world))
    };
    assert_eq!(talk(1, 40), (vec![(4, 20, 0), (3, 120, 0)], vec![]));
    assert_eq!(talk(2, 50), (vec![(4, 0, 0), (3, 90, 0)], vec![]));
    assert_eq!(talk(3, 90), (vec![(4, 0, 0), (3, 0, 0)], vec!["bundle_exhausted"]));
    assert_eq!(world.available(), "10.000000");
}

#[test]
fn two_calls_never_use_the_same_second() {
    let mut world = chain("10", "10", "10");
    give(&world, 3, CUSTOMER, BERLIN, 1, 1);
    world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    world.credit.authorize(at(0), &request(call(2), "49301234")).unwrap();
    // The first holds the minute; the second pays.
    assert_eq!(world.available(), "9.400000");
    for sequence in [1, 2] {
        let end = ended(call(sequence), Some(TRUNK), Some(seconds(60)));
        world.credit.settle(at(60_000), end);
    }
    assert_eq!(
        (world.balance(CUSTOMER).as_str(), left(&world.ledger, CUSTOMER)),
        ("9.400000", vec![(3, 0, 0)])
    );
    world.check_over();
}

#[test]
fn a_bundle_counts_when_the_call_comes_in() {
    let mut world = chain("10", "10", "10");
    give(&world, 3, CUSTOMER, BERLIN, 1, 1);
    let late = |sequence, second| {
        let mut request = request(call(sequence), "49301234");
        request.at = START.plus(seconds(second));
        request
    };
    world.credit.authorize(at(0), &late(1, 3_599)).unwrap();
    assert_eq!(world.available(), "10.000000");
    world.credit.settle(at(0), ended(call(1), Some(TRUNK), None));
    world.credit.authorize(at(0), &late(2, 3_600)).unwrap();
    assert_eq!(world.available(), "9.400000");
}

#[test]
fn a_day_s_limit_holds_whatever_the_balance() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "100");
    let spend = SpendLimits { hour: None, day: Some("1.20".parse().unwrap()), month: None };
    world.ledger.set_terms(CUSTOMER, Terms { spend, ..Terms::prepaid(EUR) }).unwrap();
    let now = at(0);
    world.credit.authorize(now, &request(call(1), "49301234")).unwrap();
    world.credit.settle(at(60_000), ended(call(1), Some(TRUNK), Some(seconds(60))));
    world.credit.authorize(at(61_000), &request(call(2), "49301234")).unwrap();
    let refused = world.credit.authorize(at(61_000), &request(call(3), "49301234")).unwrap_err();
    let Refused::InsufficientCredit(line) = refused else { panic!("{refused:?}") };
    let sentence = "Account 1 may spend 0.000000 EUR more this day; connect fee and first \
                    increment cost 0.600000.";
    assert_eq!((line.code, line.sentence.as_str()), ("spend_limit_reached", sentence));
    assert_eq!(events(&world), ["spend_limit_reached"]);
    world.credit.settle(at(62_000), ended(call(2), Some(TRUNK), None));
    // The next day is another, also for a call that is only thought through.
    let tomorrow = at(86_400_000);
    let ask = |now: Now| {
        let (settings, asked) = (CreditSettings::default(), request(call(9), "49301234"));
        quote(&world.ledger, &world.book, &settings, now.utc, &asked, seconds(60))
    };
    assert_eq!(ask(at(62_000)).longest_talk, Some(seconds(60)));
    assert_eq!(ask(tomorrow).longest_talk, Some(seconds(120)));
    world.credit.authorize(tomorrow, &request(call(4), "49301234")).unwrap();
    assert_eq!(world.ledger.account(CUSTOMER).unwrap().spending.day.spent, Money::ZERO);
    let month = world.ledger.account(CUSTOMER).unwrap().spending.month;
    assert_eq!(month.spent.to_string(), "0.600000");
}

#[test]
fn a_limit_of_spending_is_told_once_in_its_day_or_month() {
    // V-11, P-013.
    let mut world = World::prepaid(rate("0.60", 60, 60), "100");
    let limit = |day: &str| {
        let spend = SpendLimits { hour: None, day: day.parse().ok(), month: "2.40".parse().ok() };
        world.ledger.set_terms(CUSTOMER, Terms { spend, ..Terms::prepaid(EUR) }).unwrap();
    };
    limit("1.20");
    let ask = |number| request(call(number), "49301234");
    world.credit.authorize(at(0), &ask(1)).unwrap();
    assert_eq!(events(&world), Vec::<&str>::new());
    // The second is the last that it pays for; those that are refused after it tell nothing new.
    world.credit.authorize(at(0), &ask(2)).unwrap();
    world.credit.extend(at(0), ExtendRequest { call: call(2) });
    for refused in [3, 4] {
        world.credit.authorize(at(1_000), &ask(refused)).unwrap_err();
    }
    assert_eq!(events(&world), ["spend_limit_reached"]);
    // Another limit is reached anew.
    limit("1.80");
    world.credit.authorize(at(1_000), &ask(5)).unwrap();
    world.credit.authorize(at(1_000), &ask(6)).unwrap_err();
    assert_eq!(events(&world), ["spend_limit_reached"]);
    for paid in [1, 2, 5] {
        world.credit.settle(at(60_000), ended(call(paid), Some(TRUNK), Some(seconds(60))));
    }
    // The next day the month is what is short.
    let tomorrow = at(86_400_000);
    world.credit.authorize(tomorrow, &ask(7)).unwrap();
    world.credit.authorize(tomorrow, &ask(8)).unwrap_err();
    assert_eq!(events(&world), ["spend_limit_reached"]);
    let records = world.journal.records();
    let told = records.iter().flat_map(|(_, record)| record.told().1.to_vec());
    let told: Vec<String> = told.map(|event| event.detail()).collect();
    let expected = [
        "the limit of the day, 1.200000 EUR, is reached",
        "the limit of the day, 1.800000 EUR, is reached",
        "the limit of the month, 2.400000 EUR, is reached",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_threshold_is_told_once_a_crossing() {
    let world = World::prepaid(rate("0.60", 60, 60), "10");
    let low_balance = [Some(Money::units(5)), Some(Money::units(2)), None, None];
    world.ledger.set_terms(CUSTOMER, Terms { low_balance, ..Terms::prepaid(EUR) }).unwrap();
    let take = |op: u128, amount: i64| {
        let op = OpId::outside(900 + op);
        let posting =
            Posting::adjustment(op, CUSTOMER, Money::units(amount), EUR, START, String::new());
        world.ledger.post(posting, billing::Overdraft::Refuse, &*world.journal).unwrap();
        std::iter::from_fn(|| world.ledger.poll_event())
            .map(|event| match event {
                LedgerEvent::LowBalance { threshold, .. } => threshold.0 / 1_000_000,
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(take(1, -5), Vec::<i64>::new());
    assert_eq!(take(2, -1), [5]);
    assert_eq!(take(3, -1), Vec::<i64>::new());
    assert_eq!(take(4, -2), [2]);
    assert_eq!(take(5, 9), Vec::<i64>::new());
    assert_eq!(take(6, -9), [5, 2]);
}

#[test]
fn what_a_changed_credit_limit_does_is_told_at_once() {
    let low_balance = [Some(Money::units(5)), None, None, None];
    let terms = |limit| Terms { low_balance, ..Terms::postpaid(EUR, Money::units(limit)) };
    let world = World::new(rate("0.60", 60, 60), terms(10), "0");
    assert_eq!(events(&world), Vec::<&str>::new());
    let change = |terms| {
        let before = world.journal.len();
        world.ledger.change_terms(CUSTOMER, terms, START, &*world.journal).unwrap();
        let records = world.journal.records().split_off(before);
        assert_eq!(events(&world).len(), records.len());
        records.into_iter().map(|(_, record)| record).collect::<Vec<_>>()
    };
    let event = LedgerEvent::LowBalance {
        account: CUSTOMER,
        threshold: Money::units(5),
        left: Money::units(4),
        currency: EUR,
    };
    assert_eq!(change(terms(10)), []);
    assert_eq!(change(terms(4)), [Record::Told { at: START, event }]);
    assert_eq!(change(terms(3)), []);
    assert_eq!(change(terms(20)), []);
    // A threshold that is set above what is left counts as told.
    let above = Terms { low_balance: [Some(Money::units(30)); 4], ..terms(20) };
    assert_eq!(change(above), []);
    assert_eq!(change(Terms { credit_limit: Money::units(19), ..above }), []);
}

#[test]
fn after_the_limit_money_restores() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "0.1");
    for sequence in 1..3 {
        world.credit.authorize(at(0), &request(call(sequence), "49301234")).unwrap_err();
    }
    assert_eq!(events(&world), ["credit_limit_reached"]);
    world.top_up(44, "5");
    assert_eq!(events(&world), ["balance_restored"]);
    world.top_up(45, "5");
    assert_eq!(events(&world), Vec::<&str>::new());
}

#[test]
fn no_reseller_loses_by_a_call_unless_its_customer_s_terms_allow_it() {
    // at every level: for 90 s the customer pays 0.90, its reseller 0.60, the top 0.18.
    let authorize = |change: &dyn Fn(&RateBook) -> RateBook| {
        let mut world = chain("10", "10", "10");
        world.credit.set_rate_book(change(&world.book).into());
        world.credit.authorize(at(0), &request(call(1), "49301234"))
    };
    let tariff = |parent, group, loss: Option<&str>| AccountTariff {
        customer_group: Some(RateGroupId(group)),
        parent,
        is_loss_allowed: loss.is_none(),
        loss: loss.unwrap_or("0").parse::<Percent>().unwrap(),
        ..AccountTariff::default()
    };
    // `None` allows any loss.
    let customer_pays = |price: &'static str, loss: Option<&'static str>| {
        authorize(&move |book: &RateBook| {
            let sold = group(CUSTOMER_GROUP, &[row("49", rate(price, 1, 1))]);
            let tariff = tariff(Some(RESELLER), CUSTOMER_GROUP.0, loss);
            book.change().group(sold).account(CUSTOMER, tariff).build().unwrap()
        })
    };
    assert!(customer_pays("0.60", Some("0")).is_ok());
    assert!(customer_pays("0.40", Some("0")).is_ok(), "at cost is no loss");
    let Err(Refused::NoCarrier(line)) = customer_pays("0.30", Some("0")) else { panic!() };
    let sentence =
        "Reseller 7 (level 1) would pay 0.600000 EUR for 90 s where account 1 brings it 0.450000.";
    assert_eq!((line.code, line.sentence.as_str()), ("unprofitable", sentence));
    // 33 % of loss are too few, 34 are enough (T5).
    assert!(customer_pays("0.30", Some("33")).is_err());
    assert!(customer_pays("0.30", Some("34")).is_ok());
    assert!(customer_pays("0.30", None).is_ok());

    // The next level up has a rule of its own, for what its own customer pays.
    let reseller_pays = |price: &'static str, loss: Option<&'static str>| {
        authorize(&move |book: &RateBook| {
            let sold = group(RateGroupId(70), &[row("49", rate(price, 60, 60))]);
            let tariff = tariff(Some(TOP), 70, loss);
            book.change().group(sold).account(RESELLER, tariff).build().unwrap()
        })
    };
    let Err(Refused::NoCarrier(line)) = reseller_pays("0.08", Some("0")) else { panic!() };
    assert_eq!(
        line.sentence,
        "Reseller 8 (level 2) would pay 0.180000 EUR for 90 s where account 7 brings it 0.160000."
    );
    assert!(reseller_pays("0.08", None).is_ok());
    assert!(reseller_pays("0.09", Some("0")).is_ok());
}

#[test]
fn a_carrier_that_costs_more_than_the_call_brings_is_passed_over() {
    // A-47, T5: at 90 s the call brings 0.0255, the carriers take 0.03 and 0.02.
    let mut world = World::prepaid(rate("0.017", 1, 1), "10");
    let strict = |loss: &str| AccountTariff {
        is_loss_allowed: false,
        loss: loss.parse::<Percent>().unwrap(),
        ..customer_tariff()
    };
    let mut with = |tariff: AccountTariff, sequence| {
        let book = world.book.change().account(CUSTOMER, tariff).build().unwrap();
        world.credit.set_rate_book(book.into());
        world.credit.authorize(at(0), &request(call(sequence), "49301234"))
    };
    let first = with(strict("0"), 1).unwrap();
    assert_eq!(first.egress, [CHEAP_TRUNK]);
    assert_eq!(first.skipped[0].reason.code, "unprofitable");
    // 17.5 % of loss are too few, 18 are enough.
    assert_eq!(with(strict("17.5"), 2).unwrap().egress, [CHEAP_TRUNK]);
    assert_eq!(with(strict("18"), 3).unwrap().egress, [CHEAP_TRUNK, TRUNK]);
    assert_eq!(with(customer_tariff(), 4).unwrap().egress, [CHEAP_TRUNK, TRUNK]);
    let mut world = World::prepaid(rate("0.001", 1, 1), "10");
    let book = world.book.change().account(CUSTOMER, strict("0")).build().unwrap();
    world.credit.set_rate_book(book.into());
    let refused = world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap_err();
    assert!(matches!(refused, Refused::NoCarrier(line) if line.code == "unprofitable"));
}

#[test]
fn what_a_carrier_earns_pays_for_its_own_calls_if_netted() {
    // the customer carries calls too and has earned 1.00.
    let mut world = World::prepaid(rate("0.60", 60, 60), "0");
    let ours = SystemAccount { kind: SystemKind::Cost, currency: EUR }.id();
    let earned = Posting {
        op: OpId::cost(call(50), 1),
        kind: billing::PostingKind::Cost,
        debit: ours,
        credit: CUSTOMER,
        amount: Money::units(1),
        currency: EUR,
        at: START,
        call: Some(call(50)),
        note: String::new(),
        tax: None,
    };
    world.ledger.post(earned, billing::Overdraft::Refuse, &*world.journal).unwrap();
    assert!(world.credit.authorize(at(0), &request(call(1), "49301234")).is_err());
    let netted = Terms { is_netted: true, ..Terms::prepaid(EUR) };
    world.ledger.set_terms(CUSTOMER, netted).unwrap();
    assert!(world.credit.authorize(at(0), &request(call(2), "49301234")).is_ok());
    let view = world.ledger.account(CUSTOMER).unwrap();
    assert_eq!((view.owed, view.balance_as_customer()), (Money::units(1), Money::ZERO));
    let payout =
        Posting::payout(OpId::outside(60), CUSTOMER, Money(400_000), EUR, START, "".into());
    world.ledger.post(payout, billing::Overdraft::Refuse, &*world.journal).unwrap();
    assert_eq!(world.ledger.account(CUSTOMER).unwrap().owed, Money(600_000));
}

#[test]
fn local_calls_go_through_the_chain_at_each_level_s_local_price() {
    //
    let mut world = chain("10", "10", "10");
    let local = |price: &str, parent| AccountTariff {
        local_rate: rate(price, 60, 60),
        parent,
        ..customer_tariff()
    };
    let book = world.book.change();
    let book = book.account(CUSTOMER, local("0.05", Some(RESELLER)));
    let book = book.account(RESELLER, local("0.02", None)).build().unwrap();
    world.credit.set_rate_book(book.into());
    let mut request = request(call(1), "4930555");
    (request.kind, request.candidates) = (CallKind::Local, Vec::new());
    world.credit.authorize(at(0), &request).unwrap();
    world.credit.settle(at(61_000), ended(call(1), None, Some(seconds(50))));
    assert_eq!(
        (world.balance(CUSTOMER), world.balance(RESELLER)),
        ("9.950000".into(), "9.980000".into())
    );
    world.check_over();
}

/// Plays one call through the chain, in slices of this length, and gives what everybody paid.
fn play(
    customer: &str,
    longest: u32,
    minutes: u32,
    talked: Duration,
) -> Option<(Vec<Money>, Duration)> {
    let mut world = chain(customer, "1000", "1000");
    if minutes > 0 {
        give(&world, 3, CUSTOMER, BERLIN, minutes, 1);
        give(&world, 4, RESELLER, GERMANY, minutes, 1);
    }
    world.credit.set_settings(CreditSettings {
        first_slice_seconds: longest,
        longest_slice_seconds: longest,
        ..CreditSettings::default()
    });
    let mut grant = world.credit.authorize(at(0), &request(call(1), "49301234")).ok()?.grant;
    world.credit.answered(at(0), call(1), Some(TRUNK), START);
    while grant.talk_time < talked && !grant.is_final {
        grant = world.credit.extend(at(0), ExtendRequest { call: call(1) }).grant;
        assert_eq!(world.ledger.check().overdrawn, Vec::new());
        assert_eq!(world.ledger.check().problems, Vec::<String>::new());
    }
    world.credit.settle(at(0), ended(call(1), Some(TRUNK), Some(talked)));
    world.check_over();
    let end = last_end(&world);
    let cdr = &end.cdrs[0];
    let charges = std::iter::once(cdr.charge.as_ref().unwrap());
    let charges = charges.chain(cdr.upper.iter().map(|upper| &upper.charge));
    for charge in charges.clone() {
        // Priced again from its CDR.
        let talk = billing::Talk::Answered(billing::Answered {
            at: cdr.answered_at.unwrap(),
            lasted: cdr.talked,
            bundle_seconds: charge.bundle_allowance,
        });
        assert_eq!(billing::price(&charge.applied, &talk), Ok(charge.amount));
    }
    Some((charges.map(|charge| charge.amount).collect(), cdr.talked))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn slices_change_no_price_in_a_chain_with_bundles(
        talked in (1..900_000_u64).prop_map(Duration::from_millis),
        longest in 1..400_u32,
        minutes in 0..8_u32,
    ) {
        let in_slices = play("1000", longest, minutes, talked);
        prop_assert_eq!(&in_slices, &play("1000", 5_000, minutes, talked));
        prop_assert_eq!(in_slices.unwrap().1, talked);
    }

    #[test]
    fn nobody_in_a_chain_is_overdrawn(
        millis in 0..3_000_u32,
        minutes in 0..3_u32,
        longest in 1..100_u32,
    ) {
        let balance = Money(i64::from(millis) * 1_000).to_string();
        play(&balance, longest, minutes, Duration::from_secs(500));
    }
}

#[test]
fn a_bundle_that_a_call_may_use_and_does_not_hold_can_be_forgotten() {
    let mut world = World::prepaid(rate("0.60", 1, 1), "10");
    world.book = chain_less(&world).into();
    world.credit.set_rate_book(world.book.clone());
    give(&world, 1, CUSTOMER, GERMANY, 1, 9);
    give(&world, 2, CUSTOMER, GERMANY, 1, 1);
    world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    let later = BundleGrant {
        op: OpId::outside(9_000),
        bundle: BundleId(3),
        account: CUSTOMER,
        destinations: GERMANY,
        seconds: 60,
        increment: 1,
        precedence: 1,
        valid_from: START,
        valid_till: None,
        at: START.plus(seconds(30 * 86_400)),
        note: String::new(),
    };
    world.ledger.grant(later, &*world.journal).unwrap();
    assert_eq!(world.ledger.lock(&[CUSTOMER]).bundle(CUSTOMER, BundleId(2)), None);
    assert_eq!(world.ledger.check().problems, Vec::<String>::new());
    world.credit.settle(at(5_000), ended(call(1), Some(TRUNK), Some(seconds(5))));
    world.check_over();
}

fn chain_less(world: &World) -> RateBook {
    let germany = (GERMANY, DestinationSet::new(["49"]).unwrap());
    world.book.change().destinations([germany]).build().unwrap()
}
