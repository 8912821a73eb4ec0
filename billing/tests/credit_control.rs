//! Calls and their money, from authorisation to settlement.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::Duration;

use billing::{
    AccountTariff, AfterCap, Calendar, Cap, Cdr, CreditSettings, Currency, Days, LedgerEvent,
    Money, Period, PeriodChoice, Posting, Price, Rate, RateRow, Record, SpecialTerms, Status,
    Terms, TimePrice, Zone, quote,
};
use common::*;
use vocabulary::{AuthorizeRequest, CallKind, Candidate, ExtendRequest, Grant, Refused};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn last_end(world: &World) -> (Vec<Cdr>, Vec<Posting>) {
    let (_, record) = world.journal.records().pop().unwrap();
    let Record::Ended(ended) = record else { panic!("{record:?} is no end") };
    (ended.cdrs, ended.postings)
}

#[test]
fn an_answered_call_pays_for_its_talk_and_its_carrier() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    let authorization = world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    assert_eq!(authorization.grant, Grant { talk_time: seconds(60), is_final: false });
    assert_eq!(authorization.egress, [CHEAP_TRUNK, TRUNK]);
    assert_eq!(world.available(), "9.400000");
    world.credit.answered(at(0), call(1), Some(CHEAP_TRUNK), START);
    let extension = world.credit.extend(at(40_000), ExtendRequest { call: call(1) });
    assert_eq!(extension.grant, Grant { talk_time: seconds(120), is_final: false });
    assert_eq!(world.available(), "8.800000");
    let talked = Some(Duration::from_millis(61_200));
    world.credit.settle(at(61_200), ended(call(1), Some(CHEAP_TRUNK), talked));
    assert_eq!(world.available(), "8.800000");
    assert_eq!(world.balance(CHEAP), "0.020000");
    let (cdrs, postings) = last_end(&world);
    assert_eq!((cdrs.len(), postings.len()), (2, 2));
    let charge = cdrs[0].charge.clone().unwrap();
    assert_eq!((charge.amount.to_string().as_str(), charge.billed_seconds), ("1.200000", 120));
    assert_eq!((charge.applied.sheet_version, cdrs[0].rated_prefix()), (7, Some("49")));
    assert_eq!(cdrs[1].charge.as_ref().unwrap().amount.to_string(), "0.020000");
    assert_eq!(cdrs[1].rated_prefix(), Some("4930"));
    let lines: Vec<_> = cdrs[0].decisions.iter().map(|line| line.sentence.as_str()).collect();
    assert!(
        lines.contains(&"Charge: 62 s in increments 60/60 is 120 s at 0.6 a minute."),
        "{lines:?}"
    );
    world.check_over();
}

#[test]
fn an_unanswered_call_costs_nothing_and_leaves_its_cdrs() {
    let mut charge = rate("0.60", 60, 60);
    charge.connect_fee = "1".parse().unwrap();
    let mut world = World::prepaid(charge, "10");
    world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    assert_eq!(world.available(), "8.400000");
    world.credit.settle(at(9_000), ended(call(1), Some(TRUNK), None));
    assert_eq!(world.available(), "10.000000");
    let (cdrs, postings) = last_end(&world);
    assert_eq!((cdrs.len(), postings.len(), cdrs[0].charge.clone()), (2, 0, None));
    world.check_over();
}

#[test]
fn talk_beyond_the_grant_is_never_counted() {
    // A timer fires 50 ms late: the call still ends within what is reserved.
    let mut world = World::prepaid(rate("0.60", 1, 1), "0.125");
    let authorization = world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    assert_eq!(authorization.grant, Grant { talk_time: seconds(10), is_final: false });
    let extension = world.credit.extend(at(6_000), ExtendRequest { call: call(1) });
    assert_eq!(extension.grant, Grant { talk_time: seconds(12), is_final: true });
    let again = world.credit.extend(at(7_000), ExtendRequest { call: call(1) });
    assert_eq!(again.grant, extension.grant);
    let late = Some(Duration::from_millis(12_050));
    world.credit.settle(at(12_050), ended(call(1), Some(TRUNK), late));
    assert_eq!(world.available(), "0.005000");
    assert_eq!(last_end(&world).0[0].talked, seconds(12));
    world.check_over();
}

#[test]
fn settling_twice_charges_once() {
    let mut world = World::prepaid(rate("0.60", 1, 1), "10");
    world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    let end = ended(call(1), Some(TRUNK), Some(seconds(5)));
    let first = world.credit.settle(at(5_000), end.clone());
    let records = world.journal.len();
    assert_eq!(world.credit.settle(at(5_000), end), first);
    assert_eq!((world.journal.len(), world.available().as_str()), (records, "9.950000"));
    let late = world.credit.extend(at(6_000), ExtendRequest { call: call(1) });
    assert_eq!(late.grant, Grant { talk_time: Duration::ZERO, is_final: true });
    assert_eq!(world.journal.len(), records);
    world.check_over();
}

#[test]
fn authorizing_twice_reserves_once() {
    let mut world = World::prepaid(rate("0.60", 1, 1), "10");
    let request = request(call(1), "49301234");
    let first = world.credit.authorize(at(0), &request).unwrap();
    let second = world.credit.authorize(at(1), &request).unwrap();
    assert_eq!((first.grant, first.egress), (second.grant, second.egress));
    assert_eq!((world.available().as_str(), world.credit.open_calls()), ("9.900000", 1));
}

#[test]
fn a_call_that_never_went_ahead_leaves_its_cdr() {
    let mut world = World::prepaid(rate("0.60", 1, 1), "10");
    world.credit.settle(at(5), ended(call(1), None, None));
    let (cdrs, postings) = last_end(&world);
    assert_eq!((cdrs.len(), postings.len()), (1, 0));
}

/// The code and the sentence of a refusal.
#[track_caller]
fn check_refused(world: &mut World, cld: &str, code: &str, sentence: &str) {
    let refused = world.credit.authorize(at(0), &request(call(9), cld)).unwrap_err();
    let line = match refused {
        Refused::AccountInactive(line)
        | Refused::NoRateGroup(line)
        | Refused::NoRate(line)
        | Refused::InsufficientCredit(line)
        | Refused::NoCarrier(line) => line,
    };
    assert_eq!((line.code, line.sentence.as_str()), (code, sentence));
    assert_eq!(world.credit.open_calls(), 0);
    world.check_over();
}

#[test]
fn every_refusal_says_why() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "0.599999");
    check_refused(
        &mut world,
        "49301234",
        "insufficient_credit",
        "Account 1 has 0.599999 EUR available; connect fee and first increment cost 0.600000.",
    );
    check_refused(&mut world, "331", "no_rate", "Rate group 10 has no rate in force for 331.");
    check_refused(
        &mut world,
        "499055",
        "destination_blocked",
        "Rate group 10 blocks the prefix \"4990\".",
    );
    let blocked = Terms { status: Status::Blocked, ..Terms::prepaid(Currency::EUR) };
    world.ledger.set_terms(CUSTOMER, blocked).unwrap();
    check_refused(&mut world, "49301234", "account_blocked", "Account 1 is blocked.");
    world.ledger.set_terms(CUSTOMER, Terms::prepaid(Currency::EUR)).unwrap();
    let book = world.book.change().account(CUSTOMER, AccountTariff::default()).build().unwrap();
    world.credit.set_rate_book(book.into());
    check_refused(
        &mut world,
        "49301234",
        "no_rate_group",
        "Account 1 has no rate group, so it can place no call.",
    );
}

#[test]
fn without_any_carrier_the_call_is_refused_with_each_reason() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    let owed =
        Terms { owed_limit: Some(Money::ZERO), ..Terms::postpaid(Currency::EUR, Money::ZERO) };
    world.ledger.set_terms(CARRIER, owed).unwrap();
    check_refused(
        &mut world,
        "49891234",
        "no_carrier",
        "No carrier is left for the call: Trunk 200 of carrier 2 is owed 0.000000, its limit. \
         Trunk 300 of carrier 3 has no rate for the number in group 30.",
    );
}

#[test]
fn a_carrier_without_a_rate_is_skipped() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    let authorization = world.credit.authorize(at(0), &request(call(1), "49891234")).unwrap();
    assert_eq!(authorization.egress, [TRUNK]);
    assert_eq!(authorization.skipped.len(), 1);
    assert_eq!(authorization.skipped[0].reason.code, "carrier_no_rate");
}

#[test]
fn a_trunk_that_stands_by_is_used_if_no_other_has_a_rate() {
    // T4: one that is up and has no price must not hide one that is down and has one.
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    let standby = |trunk, carrier, rank| {
        let candidate = Candidate::new(trunk, carrier, 0);
        Candidate { rank, is_standby: true, ..candidate }
    };
    let mut request = request(call(1), "49891234");
    request.candidates = vec![
        Candidate::new(CHEAP_TRUNK, CHEAP, 1),
        standby(CHEAP_TRUNK, CHEAP, 0),
        standby(TRUNK, CARRIER, 1),
    ];
    let authorization = world.credit.authorize(at(0), &request).unwrap();
    assert_eq!(authorization.egress, [TRUNK]);
    let codes: Vec<_> = authorization.decisions.iter().map(|line| line.code).collect();
    assert!(codes.contains(&"standby_used"), "{codes:?}");
    // Nor is one used, or asked for its price, while another can take the call.
    let mut request = AuthorizeRequest { call: call(2), ..request };
    request.candidates = vec![Candidate::new(TRUNK, CARRIER, 9), standby(CHEAP_TRUNK, CHEAP, 0)];
    let authorization = world.credit.authorize(at(0), &request).unwrap();
    assert_eq!((authorization.egress, authorization.skipped.len()), (vec![TRUNK], 0));
    // Where routing has left nothing else, it has said so.
    let mut request = AuthorizeRequest { call: call(3), ..request };
    request.candidates = vec![standby(TRUNK, CARRIER, 0), standby(CHEAP_TRUNK, CHEAP, 1)];
    let authorization = world.credit.authorize(at(0), &request).unwrap();
    assert_eq!(authorization.egress, [TRUNK]);
    assert!(authorization.decisions.iter().all(|line| line.code != "standby_used"));
}

#[test]
fn priority_goes_before_cost() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    let mut request = request(call(1), "49301234");
    request.candidates[1].priority = 2;
    let authorization = world.credit.authorize(at(0), &request).unwrap();
    assert_eq!(authorization.egress, [TRUNK, CHEAP_TRUNK]);
}

#[test]
fn cost_is_compared_in_real_increments() {
    // 0.01 in whole minutes against 0.02 by the second: at 20 s the second is cheaper.
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    world
        .credit
        .set_settings(CreditSettings { typical_talk_seconds: 20, ..CreditSettings::default() });
    let authorization = world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    assert_eq!(authorization.egress, [TRUNK, CHEAP_TRUNK]);
}

#[test]
fn a_postpaid_account_talks_until_its_limit() {
    let terms = Terms::postpaid(Currency::EUR, "1.20".parse().unwrap());
    let mut world = World::new(rate("0.60", 60, 60), terms, "0");
    let mut open = Vec::new();
    for sequence in 0..3 {
        open.push(world.credit.authorize(at(0), &request(call(sequence), "49301234")).is_ok());
    }
    assert_eq!(open, [true, true, false]);
    for sequence in 0..2 {
        let end = ended(call(sequence), Some(TRUNK), Some(seconds(60)));
        world.credit.settle(at(60_000), end);
    }
    assert_eq!(
        (world.balance(CUSTOMER), world.available()),
        ("-1.200000".into(), "0.000000".into())
    );
    world.check_over();
}

#[test]
fn a_credit_limit_on_a_prepaid_account_is_ignored() {
    let terms = Terms { credit_limit: Money::units(100), ..Terms::prepaid(Currency::EUR) };
    let mut world = World::new(rate("0.60", 60, 60), terms, "0.5");
    assert!(world.credit.authorize(at(0), &request(call(1), "49301234")).is_err());
    world.top_up(2, "0.1");
    assert!(world.credit.authorize(at(0), &request(call(1), "49301234")).is_ok());
}

#[test]
fn local_calls_have_the_account_s_own_price() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "1");
    let mut local = request(call(1), "100");
    local.kind = CallKind::Local;
    local.candidates.clear();
    world.credit.authorize(at(0), &local).unwrap();
    assert_eq!(world.available(), "1.000000");
    world.credit.settle(at(9_000), ended(call(1), None, Some(seconds(9))));
    assert_eq!(world.available(), "1.000000");

    let price: Price = "0.06".parse().unwrap();
    let tariff = AccountTariff { local_rate: Rate::per_minute(price, 60, 60), ..customer_tariff() };
    let book = world.book.change().account(CUSTOMER, tariff).build().unwrap();
    world.credit.set_rate_book(book.into());
    local.call = call(2);
    world.credit.authorize(at(0), &local).unwrap();
    world.credit.settle(at(9_000), ended(call(2), None, Some(seconds(9))));
    assert_eq!(world.available(), "0.940000");
    world.check_over();
}

#[test]
fn blocking_an_account_ends_its_call_at_what_is_paid() {
    let mut world = World::prepaid(rate("0.60", 1, 1), "100");
    let grant = world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap().grant;
    let blocked = Terms { status: Status::Blocked, ..Terms::prepaid(Currency::EUR) };
    world.ledger.set_terms(CUSTOMER, blocked).unwrap();
    let extension = world.credit.extend(at(6_000), ExtendRequest { call: call(1) });
    assert_eq!(extension.grant, Grant { is_final: true, ..grant });
    world.credit.settle(at(10_000), ended(call(1), Some(TRUNK), Some(seconds(10))));
    world.check_over();
}

#[test]
fn a_new_rate_book_leaves_live_calls_alone() {
    let mut world = World::prepaid(rate("0.60", 1, 1), "100");
    world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    world.credit.set_rate_book(book(rate("6", 1, 1)).into());
    world.credit.extend(at(6_000), ExtendRequest { call: call(1) });
    world.credit.settle(at(30_000), ended(call(1), Some(CHEAP_TRUNK), Some(seconds(30))));
    assert_eq!(world.available(), "99.700000");
}

#[test]
fn many_calls_share_a_small_balance() {
    // 100 calls on money for 1,500 s: each starts, and none takes much more than another.
    let mut world = World::prepaid(rate("0.60", 1, 1), "15");
    let calls: Vec<_> = (0..100).map(call).collect();
    for call in &calls {
        world.credit.authorize(at(0), &request(*call, "49301234")).unwrap();
    }
    let mut grants = vec![Grant { talk_time: Duration::ZERO, is_final: false }; 100];
    for _ in 0..100 {
        for (call, grant) in calls.iter().zip(&mut grants) {
            *grant = world.credit.extend(at(0), ExtendRequest { call: *call }).grant;
        }
    }
    let least = grants.iter().map(|grant| grant.talk_time).min().unwrap();
    let most = grants.iter().map(|grant| grant.talk_time).max().unwrap();
    assert!(grants.iter().all(|grant| grant.is_final));
    assert_eq!(world.available(), "0.000000");
    assert!(least >= seconds(10) && most <= seconds(30), "{least:?} to {most:?}");
    for (call, grant) in calls.iter().zip(&grants) {
        world.credit.settle(at(0), ended(*call, Some(TRUNK), Some(grant.talk_time)));
    }
    assert_eq!(world.balance(CUSTOMER), "0.000000");
    world.check_over();
}

#[test]
fn a_quote_tells_the_same_and_touches_nothing() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    let request = request(call(1), "49301234");
    let settings = CreditSettings::default();
    let quoted = quote(&world.ledger, &world.book, &settings, START, &request, seconds(61));
    assert_eq!(world.available(), "10.000000");
    assert_eq!(quoted.longest_talk, Some(seconds(960)));
    let payer = &quoted.payers[0];
    assert_eq!(payer.charge.as_ref().unwrap().amount.to_string(), "1.200000");
    let authorization = world.credit.authorize(at(0), &request).unwrap();
    assert_eq!(quoted.grant, Ok(authorization.grant));
    let trunks: Vec<_> = quoted.carriers.iter().map(|carrier| carrier.trunk).collect();
    assert_eq!(trunks, authorization.egress);
    assert_eq!(quoted.decisions, authorization.decisions);
}

#[test]
fn a_call_that_is_over_is_given_no_money() {
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    world.credit.settle(at(0), ended(call(1), None, None));
    let late = world.credit.authorize(at(1), &request(call(1), "49301234"));
    assert!(matches!(late, Err(Refused::AccountInactive(line)) if line.code == "call_over"));
    world.check_over();
}

/// A customer with 1000 whose calls cost 0.60 a minute, by the second, with these terms.
fn world_of(terms: SpecialTerms) -> World {
    let mut world = World::prepaid(rate("0.60", 1, 1), "1000");
    let row = RateRow { special: Some(terms.into()), ..row("49", rate("0.60", 1, 1)) };
    let book = world.book.change().group(group(CUSTOMER_GROUP, &[row])).build().unwrap();
    world.credit.set_rate_book(book.into());
    world
}

fn cap_at(amount: &str) -> Option<Cap> {
    Some(Cap { amount: amount.parse().unwrap(), after: AfterCap::Disconnect })
}

#[test]
fn a_call_is_granted_no_talk_beyond_the_cap_that_ends_it() {
    let mut world = world_of(SpecialTerms { cap: cap_at("0.50"), ..SpecialTerms::default() });
    let first = world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    assert_eq!(first.grant, Grant { talk_time: seconds(10), is_final: false });
    world.credit.answered(at(0), call(1), Some(TRUNK), START);
    let ask = ExtendRequest { call: call(1) };
    assert_eq!(world.credit.extend(at(5_000), ask).grant.talk_time, seconds(30));
    // 0.50 is reached with the 50th second.
    let last = Grant { talk_time: seconds(50), is_final: true };
    assert_eq!(world.credit.extend(at(20_000), ask).grant, last);
    assert_eq!(world.credit.extend(at(40_000), ask).grant, last);
    world.credit.settle(at(50_400), ended(call(1), Some(TRUNK), Some(seconds(51))));
    assert_eq!(world.available(), "999.500000");
    // Nobody ran out of money.
    let events: Vec<LedgerEvent> = std::iter::from_fn(|| world.ledger.poll_event()).collect();
    assert_eq!(events, []);
    world.check_over();
}

#[test]
fn a_dearer_answer_brings_the_end_by_the_cap_forward() {
    // START is 2027-01-15 08:00 UTC; from 08:01 on a minute costs 6, so that a second costs 0.10.
    let dear = TimePrice { price: "6".parse().unwrap(), ..TimePrice::of(&rate("6", 1, 1)) };
    let period = Period {
        days: Days::ALL,
        from_second: 8 * 3_600 + 60,
        till_second: 9 * 3_600,
        price: dear,
    };
    let calendar = Calendar {
        zone: Zone::named("UTC").unwrap(),
        holidays: Box::default(),
        periods: Box::new([period]),
        choice: PeriodChoice::EachIncrement,
    };
    let calendar = Some(calendar.into());
    let terms = SpecialTerms { cap: cap_at("0.50"), calendar, ..SpecialTerms::default() };
    let mut world = world_of(terms);
    let first = world.credit.authorize(at(0), &request(call(1), "49301234")).unwrap();
    assert_eq!(first.grant, Grant { talk_time: seconds(10), is_final: false });
    let answer = world.credit.answered(at(70_000), call(1), Some(TRUNK), at(70_000).utc);
    assert_eq!(answer.grant, Grant { talk_time: seconds(5), is_final: true });
    world.credit.settle(at(75_000), ended(call(1), Some(TRUNK), Some(seconds(5))));
    assert_eq!(world.available(), "999.500000");
    world.check_over();
}

#[test]
fn a_cdr_knows_its_site_and_what_profit_is_counted_in() {
    // J-18, R12: fixed when the call comes in, also for one that a restart finds open.
    let mut world = World::prepaid(rate("0.6", 1, 1), "10");
    let phone = vocabulary::SubscriberId(5);
    let mut members = billing::SiteMembers::default();
    members.subscribers.insert(phone, vocabulary::SiteId(8));
    let before = world.book.change().sites(members).build().unwrap();
    world.credit.set_rate_book(before.into());
    let mut asked = request(call(1), "49301234");
    asked.origin.subscriber = Some(phone);
    world.credit.authorize(at(0), &asked).unwrap();
    world.credit.answered(at(1000), call(1), Some(TRUNK), at(1000).utc);
    let records = world.journal.records();
    // Whoever moves the phone meanwhile moves no call.
    world.credit.set_rate_book(world.book.clone());
    let talked = Some(Duration::from_secs(30));
    world.credit.settle(at(31_000), ended(call(1), Some(TRUNK), talked));
    let cdrs_of = |record: &Record| match record {
        Record::Ended(ended) => ended.cdrs.clone(),
        other => panic!("{other:?} is no end"),
    };
    let told = |cdrs: &[billing::Cdr]| {
        let eur = |cdr: &billing::Cdr| cdr.report.map(|report| report.currency);
        cdrs.iter().map(|cdr| (cdr.site.map(|site| site.0), eur(cdr))).collect::<Vec<_>>()
    };
    let expected = [(Some(8), Some(Currency::EUR)), (None, Some(Currency::EUR))];
    let (_, last) = world.journal.records().pop().unwrap();
    assert_eq!(told(&cdrs_of(&last)), expected);

    let ledger = billing::Ledger::new();
    let mut recovery = billing::Recovery::new(&ledger, billing::Position(0));
    for (position, record) in &records {
        recovery.record(*position, record);
    }
    assert_eq!(told(&cdrs_of(&recovery.finish()[0])), expected);

    // A call that is refused is from its site too.
    let mut refused = ended(call(2), None, None);
    refused.facts.legs[0].trunk = None;
    refused.facts.legs[0].subscriber = Some(phone);
    let mut members = billing::SiteMembers::default();
    members.subscribers.insert(phone, vocabulary::SiteId(9));
    let book = world.book.change().sites(members).build().unwrap();
    world.credit.set_rate_book(book.into());
    world.credit.settle(at(40_000), refused);
    let (_, last) = world.journal.records().pop().unwrap();
    assert_eq!(told(&cdrs_of(&last)), [(Some(9), None)]);
}
