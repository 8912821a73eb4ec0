//! One call costs the same to the micro-unit on every path (B4), for every payer and for the
//! carrier: paid beforehand in slices, paid afterwards, recovered after a crash, simulated, priced
//! again from its CDRs, tried in a dry run, and as the sum of what was posted for it.
//!
//! A million calls, in some minutes; bench/README.md has the last run:
//! `TANDEM_PRICE_CASES=1000000 cargo test --release -p billing --test all_paths_price_alike`
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(unreachable_pub, reason = "a module of its own keeps the generator apart")]

mod any_call;
mod common;

use std::sync::Arc;
use std::time::Duration;

use any_call::{AnyCall, CARRIER, GROUPS, any_call};
use billing::{
    Cdr, CreditControl, CreditSettings, Currency, Draft, Ended, Ledger, MemoryJournal, Money, OpId,
    Overdraft, Position, Posting, RateBook, RatedBy, RatedCall, RatedLeg, Record, Recovery,
    RepricedSide, Sides, Talk, Terms, dry_run, explain, quote, reprice,
};
use proptest::prelude::*;
use vocabulary::{
    AccountId, AuthorizeRequest, CallFacts, CallKind, Candidate, ExtendRequest, Now, RateChoice,
    SettleRequest, TrunkId,
};

const CASES: u32 = 3_000;
const TRUNK: TrunkId = TrunkId(200);
const EUR: Currency = Currency::EUR;

fn cases() -> u32 {
    std::env::var("TANDEM_PRICE_CASES").map_or(CASES, |text| text.parse().unwrap())
}

/// What each payer pays, the caller first, and last what the carrier takes.
type Amounts = Vec<Money>;

/// One way of paying, played to the end.
struct Played {
    amounts: Amounts,
    counted: Duration,
    ended: Ended,
    before_end: Vec<(Position, Record)>,
}

struct World {
    ledger: Arc<Ledger>,
    journal: Arc<MemoryJournal>,
    credit: CreditControl,
    settings: CreditSettings,
}

fn world(any: &AnyCall, book: &Arc<RateBook>, terms: Terms, settings: CreditSettings) -> World {
    let (ledger, journal) = (Arc::new(Ledger::new()), Arc::new(MemoryJournal::new()));
    set_terms(any, &ledger, terms);
    if terms == Terms::prepaid(EUR) {
        for (op, account) in (1..).zip(any.payers()) {
            let (op, much) = (OpId::outside(op), Money::units(100_000_000));
            let paid = Posting::top_up(op, *account, much, EUR, any.at, String::new());
            ledger.post(paid, Overdraft::Refuse, &*journal).unwrap();
        }
    }
    for grant in any.bundles() {
        ledger.grant(grant, &*journal).unwrap();
    }
    let mut credit = CreditControl::new(ledger.clone(), journal.clone());
    credit.set_rate_book(Arc::clone(book));
    credit.set_settings(settings);
    World { ledger, journal, credit, settings }
}

fn set_terms(any: &AnyCall, ledger: &Ledger, terms: Terms) {
    for account in any.payers() {
        ledger.set_terms(*account, terms).unwrap();
    }
    ledger.set_terms(CARRIER, Terms::postpaid(EUR, Money::ZERO)).unwrap();
}

fn request(any: &AnyCall) -> AuthorizeRequest {
    let cld = "493012345".parse().unwrap();
    let rate_choice = if any.is_non_cli { RateChoice::NonCli } else { RateChoice::Usual };
    AuthorizeRequest {
        rate_choice,
        location: any.location,
        cli: any.cli.map(|cli| cli.parse().unwrap()),
        candidates: vec![Candidate::new(TRUNK, CARRIER, 1)],
        ..AuthorizeRequest::new(common::call(1), any.payers()[0], CallKind::Egress, cld, any.at)
    }
}

fn settle(any: &AnyCall, request: &AuthorizeRequest) -> SettleRequest {
    let mut legs =
        vec![common::leg(0, None, Some(any.talked)), common::leg(1, Some(TRUNK), Some(any.talked))];
    for (leg, account) in legs.iter_mut().zip([any.payers()[0], CARRIER]) {
        leg.account = Some(account);
        leg.started_at = any.at;
        leg.answered_at = Some(any.answered_at());
        leg.ringing_at = leg.answered_at;
        leg.ended_at = any.answered_at().plus(any.talked);
    }
    let facts = CallFacts {
        cld: Some(request.cld),
        cli: request.cli,
        rate_choice: request.rate_choice,
        location: request.location,
        kind: Some(request.kind),
        legs,
        ..CallFacts::new(request.call)
    };
    SettleRequest { talked: any.talked, answered_by: Some(TRUNK), facts }
}

/// Authorised, extended as long as it talks, settled.
fn play(any: &AnyCall, mut world: World) -> Played {
    let request = request(any);
    let now = |passed: Duration| Now { monotonic: passed, utc: any.at.plus(passed) };
    world.credit.authorize(now(Duration::ZERO), &request).unwrap();
    let answered_at = any.answered_at();
    let answer = world.credit.answered(now(any.ringing), request.call, Some(TRUNK), answered_at);
    let mut grant = answer.grant;
    while grant.talk_time < any.talked && !grant.is_final {
        let at = now(any.ringing + grant.talk_time);
        grant = world.credit.extend(at, ExtendRequest { call: request.call }).grant;
    }
    let before_end = world.journal.records();
    let counted = any.talked.min(grant.talk_time);
    world.credit.settle(now(any.ringing + any.talked), settle(any, &request));
    let check = world.ledger.check();
    assert_eq!((check.problems, check.reservations, check.pending), (vec![], 0, Money::ZERO));
    let records = world.journal.records().into_iter().map(|(_, record)| record);
    let ended = only_end(records.collect());
    Played { amounts: of_cdrs(&ended.cdrs), counted, ended, before_end }
}

fn of_cdrs(cdrs: &[Cdr]) -> Amounts {
    let caller = cdrs[0].charge.as_ref().unwrap().amount;
    let upper = cdrs[0].upper.iter().map(|upper| upper.charge.amount);
    let cost = cdrs[1].charge.as_ref().unwrap().amount;
    [caller].into_iter().chain(upper).chain([cost]).collect()
}

fn of_postings(any: &AnyCall, ended: &Ended) -> Amounts {
    let sum = |is: &dyn Fn(&Posting) -> bool| {
        Money(ended.postings.iter().filter(|posting| is(posting)).map(|p| p.amount.0).sum())
    };
    let mut amounts: Amounts =
        any.payers().iter().map(|account| sum(&|posting| posting.debit == *account)).collect();
    amounts.push(sum(&|posting| posting.credit == CARRIER));
    amounts
}

fn of_sides(sides: &[RepricedSide]) -> Amounts {
    assert!(!sides.iter().any(RepricedSide::is_changed), "{sides:#?}");
    sides.iter().map(RepricedSide::stands).collect()
}

fn only_end(records: Vec<Record>) -> Ended {
    let ended = records.into_iter().find_map(|record| match record {
        Record::Ended(ended) => Some(ended),
        _ => None,
    });
    ended.unwrap()
}

/// A crash at the end of the talk: closed by what the journal holds.
fn recover(any: &AnyCall, played: &Played) -> Ended {
    let ledger = Ledger::new();
    set_terms(any, &ledger, Terms::prepaid(EUR));
    let mut recovery = Recovery::new(&ledger, Position(0));
    for (position, record) in &played.before_end {
        // As it is read from the disk.
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        recovery.record(*position, &Record::decode(&bytes).unwrap());
    }
    let alive = Record::Heartbeat { at: any.answered_at().plus(played.counted) };
    recovery.record(Position(played.before_end.len() as u64 + 1), &alive);
    only_end(recovery.finish())
}

/// As `tandem simulate` says it: of a call that is answered at once.
fn simulate(any: &AnyCall, world: &World, book: &RateBook, played: &Played) -> Amounts {
    let quoted = {
        let request = request(any);
        quote(&world.ledger, book, &world.settings, request.at, &request, played.counted)
    };
    let charges = quoted.payers.iter().map(|payer| payer.charge.as_ref().unwrap());
    let mut amounts: Amounts = charges.map(|charge| charge.amount).collect();
    let (cost, _) = quoted.carriers[0].cost.as_ref().unwrap();
    amounts.push(cost.as_ref().unwrap().amount);
    let applied = &played.ended.cdrs[0].charge.as_ref().unwrap().applied;
    assert_eq!(quoted.payers[0].rate, *applied);
    amounts
}

/// The lines that `why` shows add up to what was charged.
fn explained(any: &AnyCall, ended: &Ended) -> Money {
    let charge = ended.cdrs[0].charge.as_ref().unwrap();
    let answered = billing::Answered {
        at: any.answered_at(),
        lasted: ended.cdrs[0].talked,
        bundle_seconds: charge.bundle_allowance,
    };
    explain(&charge.applied, &Talk::Answered(answered)).unwrap().amount
}

/// The same call on every path, each named.
fn paths(any: &AnyCall) -> Vec<(&'static str, Amounts)> {
    let book = Arc::new(any.book());
    let slices = CreditSettings {
        first_slice_seconds: any.slices.0,
        longest_slice_seconds: any.slices.1,
        ..CreditSettings::default()
    };
    let whole = CreditSettings {
        first_slice_seconds: 10_000,
        longest_slice_seconds: 10_000,
        ..CreditSettings::default()
    };
    let rich = Terms::postpaid(EUR, Money::units(100_000_000));
    let prepaid = play(any, world(any, &book, Terms::prepaid(EUR), slices));
    let postpaid = play(any, world(any, &book, rich, whole));
    assert_eq!(prepaid.counted, postpaid.counted);
    let recovered = recover(any, &prepaid);

    let request = request(any);
    let legs: Vec<RatedLeg> = prepaid.ended.cdrs.iter().map(RatedLeg::from).collect();
    let (cld, cli, rate_choice) = (request.cld, request.cli, request.rate_choice);
    let location = prepaid.ended.cdrs[0].location;
    let by = RatedBy { cld, cli, rate_choice, kind: prepaid.ended.cdrs[0].kind, location };
    let rated = RatedCall::of_legs(request.call, 0, any.at, by, &legs).unwrap();
    let in_euro = |_: AccountId| Some(EUR);
    let mut paths = vec![
        ("posted in slices", of_postings(any, &prepaid.ended)),
        ("postpaid", postpaid.amounts.clone()),
        ("posted at once", of_postings(any, &postpaid.ended)),
        ("recovered", of_cdrs(&recovered.cdrs)),
        ("posted by the recovery", of_postings(any, &recovered)),
        ("priced again", of_sides(&reprice(&book, &in_euro, &rated, Sides::All))),
    ];
    for group in [GROUPS[0], GROUPS[any.resellers], GROUPS[3]] {
        let draft = Draft { group, at: any.at };
        paths.push(("tried in a dry run", of_sides(&dry_run(&book, &in_euro, &rated, draft))));
    }
    if any.ringing.is_zero() {
        let world = world(any, &book, Terms::prepaid(EUR), slices);
        paths.push(("simulated", simulate(any, &world, &book, &prepaid)));
    }
    let mut explained_first = prepaid.amounts.clone();
    explained_first[0] = explained(any, &prepaid.ended);
    paths.push(("explained", explained_first));
    paths.insert(0, ("prepaid", prepaid.amounts));
    paths
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn a_call_costs_the_same_on_every_path(any in any_call()) {
        let paths = paths(&any);
        let (first, amounts) = paths[0].clone();
        prop_assert_eq!(amounts.len(), any.resellers + 2);
        for (path, others) in &paths[1..] {
            prop_assert_eq!(others, &amounts, "{} and {}", first, path);
        }
    }
}
