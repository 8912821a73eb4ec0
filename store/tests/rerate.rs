//! Calls are selected, priced again through ledger and journal, and told by the tables: CDRs with
//! what stands, history with what stood, and books that still add up (R16, J-25 to J-28, V-17).
#![allow(clippy::unwrap_used)] // a test may

mod world;

use billing::{
    Currency, Effect, GroupTerms, Money, MoneyRounding, Rate, RateBook, RateGroup, RateGroupId,
    RateRow, Rerated, Sides, reprice,
};
use store::directory::DirectoryStore;
use store::journal::JournalOptions;
use store::query::CdrFilter;
use store::report::{Period, ProfitBy};
use store::rerate::{Cursor, SelectedCall, Selection};
use store::{ledger_check, sql};
use vocabulary::{AccountId, Jurisdiction, Location, TrunkId, Utc};
use world::backend::{Backend, on_both};
use world::{CARRIER, TRUNK, World};

on_both!(
    cdrs_tell_what_stands_and_history_what_stood,
    each_filter_narrows_the_set_alone_and_together,
    an_unpriced_call_is_recycled_by_its_error_code,
    profit_is_the_books_own_and_losses_are_first,
    quality_and_past_balances_are_counted_exactly,
    what_went_to_a_carrier_is_read_for_its_statement,
    a_call_is_priced_again_by_where_it_went,
);

const EVER: (Utc, Utc) = (Utc(0), Utc(i64::MAX / 2));

fn ever() -> Selection {
    Selection::between(EVER.0, EVER.1)
}

/// Three customers and the carrier at these prices a minute; no price: no rate.
fn book(charge: Option<&str>, cost: &str) -> RateBook {
    book_of(charge, cost, &["4930"], false)
}

/// The same with rates for these prefixes, of the called number or of the LRN.
fn book_of(charge: Option<&str>, cost: &str, prefixes: &[&str], is_by_lrn: bool) -> RateBook {
    let group = |id: u32, price: Option<&str>| {
        let mut group = RateGroup::builder(GroupTerms {
            id: RateGroupId(id),
            name: format!("group {id}"),
            currency: Currency::EUR,
            money_rounding: MoneyRounding::default(),
            special: None,
        })
        .by_lrn(is_by_lrn);
        for prefix in prefixes {
            let Some(price) = price else { continue };
            let rate = Rate::per_minute(price.parse().unwrap(), 6, 6);
            let row = RateRow {
                prefix: (*prefix).to_owned(),
                rate,
                special: None,
                valid_from: None,
                valid_till: None,
                sheet_version: 4,
            };
            group.row(&row).unwrap();
        }
        group.build()
    };
    let mut book = RateBook::builder().group(group(1, charge)).group(group(2, Some(cost)));
    for account in 1..=world::CUSTOMERS {
        let tariff = billing::AccountTariff {
            customer_group: Some(RateGroupId(1)),
            ..billing::AccountTariff::default()
        };
        book = book.account(AccountId(account), tariff);
    }
    let carrier = billing::AccountTariff {
        carrier_group: Some(RateGroupId(2)),
        ..billing::AccountTariff::default()
    };
    book.account(CARRIER, carrier).build().unwrap()
}

/// `seconds` of talk by each of these accounts, one after the other.
async fn talked(backend: Backend, calls: &[(u64, u64)]) -> (World, DirectoryStore) {
    let mut world = World::new(backend, JournalOptions::default()).await;
    for account in 1..=world::CUSTOMERS {
        world.top_up(account, Money::units(10));
    }
    for (account, seconds) in calls {
        assert!(world.open(*account));
        world.answer(0);
        for _ in 0..4 {
            world.extend(0);
        }
        world.advance(*seconds);
        world.end(0);
        world.advance(1000);
    }
    world.store.flush().await;
    let directory = DirectoryStore::open(&world.database).await.unwrap();
    (world, directory)
}

async fn read(directory: &DirectoryStore, selection: &Selection) -> Vec<SelectedCall> {
    let (mut calls, mut next) = (Vec::new(), Some(Cursor::before(selection)));
    while let Some(cursor) = next {
        let batch = directory.selected_calls(selection, cursor).await.unwrap();
        calls.extend(batch.calls);
        next = batch.next;
    }
    calls
}

/// Prices the selection with this book, through ledger and journal; how many records that made.
async fn rerate(
    world: &World,
    directory: &DirectoryStore,
    (selection, sides): (&Selection, Sides),
    book: &RateBook,
) -> (usize, Effect) {
    let eur = |_: AccountId| Some(Currency::EUR);
    let (mut count, mut effect) = (0, Effect::default());
    for SelectedCall { call, .. } in read(directory, selection).await {
        let repriced = reprice(book, &eur, &call, sides);
        effect.add(&call, &repriced);
        let Some(rerated) = Rerated::new(9, world.now.utc, &call, repriced) else { continue };
        world.ledger.rerate(rerated, &*world.recorder).unwrap();
        count += 1;
    }
    world.store.flush().await;
    (count, effect)
}

async fn check_books(world: &World) {
    let report = ledger_check(&world.dir, &world.database).await.unwrap();
    let broken: Vec<_> = report.checks.iter().filter(|c| c.offender_count > 0).collect();
    assert!(report.is_ok(), "{broken:#?}");
}

fn balance(world: &World, account: AccountId) -> String {
    world.ledger.account(account).unwrap().counters.balance().to_string()
}

async fn cdrs_tell_what_stands_and_history_what_stood(backend: Backend) {
    // At 0.6 with a fee of 0.01: 0.13 for 9 s, which are 12 s; the carrier takes 0.03.
    let (world, directory) = talked(backend, &[(1, 9), (2, 60)]).await;
    assert_eq!(balance(&world, AccountId(1)), "9.870000");
    let dearer = book(Some("1.2"), "0.05");
    let all = ever();
    let (count, effect) = rerate(&world, &directory, (&all, Sides::All), &dearer).await;
    assert_eq!((count, effect.calls, effect.changed), (2, 2, 2));
    assert_eq!(balance(&world, AccountId(1)), "9.760000");
    assert_eq!(balance(&world, CARRIER), "0.060000");
    check_books(&world).await;
    let call = read(&directory, &all).await.remove(0).call;
    assert_eq!(
        (call.generation, call.sides[0].before.as_ref().unwrap().amount),
        (1, Money(240_000))
    );
    let story = directory.call_story(call.call).await.unwrap().unwrap();
    let [ingress, egress] = &story.cdrs[..] else { panic!("{story:#?}") };
    assert_eq!((ingress.amount, egress.amount), (Money(240_000), Money(10_000)));
    let rate = ingress.rate.as_ref().unwrap();
    assert_eq!((rate.prefix.as_deref(), rate.sheet_version), (Some("4930"), 4));
    let kinds: Vec<&str> = story.postings.iter().map(|posting| posting.kind.as_str()).collect();
    assert_eq!(kinds, ["charge", "charge_raised", "cost", "cost_lowered"]);
    let history = directory.charge_history(call.call).await.unwrap();
    let amounts: Vec<_> = history.iter().map(|past| (past.role.as_str(), past.before)).collect();
    assert_eq!(amounts, [("payer", Some(Money(130_000))), ("carrier", Some(Money(30_000)))]);
    assert_eq!((history[0].run, history[0].after), (9, Some(Money(240_000))));

    // J-26: again changes nothing, and back gives what was.
    assert_eq!(rerate(&world, &directory, (&all, Sides::All), &dearer).await.0, 0);
    rerate(&world, &directory, (&all, Sides::Payers), &book(Some("0.6"), "0.05")).await;
    assert_eq!(balance(&world, AccountId(1)), "9.880000");
    assert_eq!(directory.charge_history(call.call).await.unwrap().len(), 3);
    check_books(&world).await;
    assert!(world.store.close().await.is_ok());
    // What a restart makes of the journal is the same.
    let (again, ledger) = world::open(&world.dir, &world.database, JournalOptions::default()).await;
    let is = ledger.account(AccountId(1)).unwrap().counters.balance();
    assert_eq!(is.to_string(), "9.880000");
    drop(again);
}

/// How many calls each selection has.
async fn each_filter_narrows_the_set_alone_and_together(backend: Backend) {
    let (world, directory) = talked(backend, &[(1, 9), (2, 60), (1, 30)]).await;
    let calls = read(&directory, &ever()).await;
    assert_eq!(calls.len(), 3);
    let second = calls[1].call.at;
    let check = |selection: Selection, expected: usize| {
        let directory = &directory;
        async move {
            let count = read(directory, &selection).await.len();
            assert_eq!(count, expected, "{selection:?}");
        }
    };
    check(Selection::between(second, EVER.1), 2).await;
    check(Selection::between(EVER.0, second), 1).await;
    check(Selection { account: Some(AccountId(1)), ..ever() }, 2).await;
    check(Selection { trunk_out: Some(TRUNK), ..ever() }, 3).await;
    check(Selection { trunk_out: Some(TrunkId(77)), ..ever() }, 0).await;
    check(Selection { trunk_in: Some(TrunkId(77)), ..ever() }, 0).await;
    let prefixes = |prefixes: &[&str]| prefixes.iter().map(|p| (*p).to_owned()).collect();
    check(Selection { prefixes: prefixes(&["4930"]), ..ever() }, 3).await;
    check(Selection { prefixes: prefixes(&["33", "493012"]), ..ever() }, 3).await;
    check(Selection { prefixes: prefixes(&["33"]), ..ever() }, 0).await;
    check(Selection { error_code: Some(String::new()), ..ever() }, 0).await;
    let together = Selection {
        account: Some(AccountId(1)),
        trunk_out: Some(TRUNK),
        prefixes: prefixes(&["49"]),
        ..Selection::between(second, EVER.1)
    };
    check(together, 1).await;
    drop(world);
}

async fn an_unpriced_call_is_recycled_by_its_error_code(backend: Backend) {
    let (world, directory) = talked(backend, &[(1, 9)]).await;
    let call = read(&directory, &ever()).await.remove(0).call;
    // As if its price had been too large to be held when it ended.
    let id = call.call.0.cast_signed();
    for sql in [
        "UPDATE cdr SET amount = 0, currency = NULL, charge = NULL, error_code = 'charge_failed' \
         WHERE leg = 0 AND call_id = ?",
        "DELETE FROM posting WHERE kind = 'charge' AND call_id = ?",
    ] {
        sql::query(sql).bind(id).execute(world.store.pool()).await.unwrap();
    }
    let with_code = |code: &str| Selection { error_code: Some(code.to_owned()), ..ever() };
    assert_eq!(read(&directory, &with_code("charge_failed")).await.len(), 1);
    assert_eq!(read(&directory, &with_code("")).await.len(), 1);
    assert_eq!(read(&directory, &with_code("no_rate")).await.len(), 0);
    // No rate yet: a new code. Then a rate: priced.
    let recycle = (&with_code("charge_failed"), Sides::Unpriced);
    assert_eq!(rerate(&world, &directory, recycle, &book(None, "0.1")).await.0, 1);
    assert_eq!(read(&directory, &with_code("charge_failed")).await.len(), 0);
    let recycle = (&with_code("no_rate"), Sides::Unpriced);
    assert_eq!(rerate(&world, &directory, recycle, &book(Some("0.6"), "0.1")).await.0, 1);
    assert_eq!(read(&directory, &with_code("")).await.len(), 0);
    let story = directory.call_story(call.call).await.unwrap().unwrap();
    assert_eq!(story.cdrs[0].amount, Money(120_000));
    // A carrier that had its price was left alone.
    assert_eq!(story.cdrs[1].amount, Money(30_000));
}

async fn profit_is_the_books_own_and_losses_are_first(backend: Backend) {
    let (world, directory) = talked(backend, &[(1, 9), (2, 60), (1, 30)]).await;
    let by = |by: ProfitBy| {
        let directory = &directory;
        async move { directory.profit(EVER.0, EVER.1, by, None).await.unwrap() }
    };
    let total = by(ProfitBy::default()).await;
    assert_eq!(total.len(), 1);
    // 12 s, 60 s and 30 s at 0.01 with a fee of 0.01; cost 0.01 and 0.1 a minute.
    assert_eq!((total[0].revenue, total[0].cost), (Money(1_050_000), Money(200_000)));
    assert_eq!((total[0].calls, total[0].seconds, total[0].loss_calls), (3, 99, 0));
    assert_eq!(total[0].margin(), Some(8_095));
    // From now on the second customer costs more than it pays.
    let second = Selection { account: Some(AccountId(2)), ..ever() };
    rerate(&world, &directory, (&second, Sides::All), &book(Some("0.1"), "0.3")).await;
    let customers = by(ProfitBy { customer: true, ..ProfitBy::default() }).await;
    let rows: Vec<_> = customers
        .iter()
        .map(|row| (row.customer.unwrap().0, row.profit(), row.loss_calls))
        .collect();
    assert_eq!(rows, [(2, Money(-200_000), 1), (1, Money(350_000), 0)]);
    let all = ProfitBy {
        site: true,
        customer: true,
        carrier: true,
        destination: true,
        period: Some(Period::Day),
    };
    let rows = by(all).await;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].carrier, Some(CARRIER));
    assert_eq!(rows[0].destination.as_deref(), Some("4930"));
    assert_eq!(rows[0].period.as_deref(), Some("2023-11-14"));
    let months = by(ProfitBy { period: Some(Period::Month), ..ProfitBy::default() }).await;
    assert_eq!(months[0].period.as_deref(), Some("2023-11"));
    let none = directory.profit(EVER.0, Utc(1), ProfitBy::default(), None).await.unwrap();
    assert_eq!(none, []);
}

async fn what_went_to_a_carrier_is_read_for_its_statement(backend: Backend) {
    // O13; the comparison is in `sheets`.
    let (world, directory) = talked(backend, &[(1, 9), (2, 60)]).await;
    let legs = directory.carrier_legs(CARRIER, EVER.0, EVER.1, 10).await.unwrap();
    let told: Vec<_> =
        legs.iter().map(|leg| (leg.leg, leg.talked.as_secs(), leg.billed.as_secs())).collect();
    assert_eq!(told, [(1, 9, 12), (1, 60, 60)]);
    let first = &legs[0];
    assert_eq!((first.cld.as_str(), first.cost), ("4930123456", Money(30_000)));
    let rate = &first.charge.as_ref().unwrap().applied.rate;
    assert_eq!(rate.price.to_string(), "0.1");
    let later = directory.carrier_legs(CARRIER, Utc(first.started_at.0 + 1), EVER.1, 10).await;
    assert_eq!(later.unwrap(), legs[1..]);
    let more = directory.carrier_legs(CARRIER, EVER.0, EVER.1, 1).await.unwrap();
    assert_eq!(more.len(), 2);
    assert_eq!(directory.carrier_legs(AccountId(1), EVER.0, EVER.1, 10).await.unwrap(), []);
    drop(world);
}

async fn quality_and_past_balances_are_counted_exactly(backend: Backend) {
    let (mut world, directory) = talked(backend, &[(1, 9), (2, 60)]).await;
    assert!(world.open(3));
    world.end(0);
    world.store.flush().await;
    let rows = directory.quality(EVER.0, EVER.1, 2).await.unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.trunk, row.carrier, row.destination.as_str()), (TRUNK, Some(CARRIER), "49"));
    assert_eq!((row.attempts, row.answered, row.seconds), (3, 2, 69));

    let calls = read(&directory, &ever()).await;
    let between = calls[1].call.at;
    let balances = directory.balances_at(between).await.unwrap();
    let of = |account: u64| balances.iter().find(|row| row.account.0 == account).unwrap().balance();
    assert_eq!((of(1), of(2), of(CARRIER.0)), (Money(9_870_000), Money::units(10), Money(30_000)));
    let sum: i64 = balances.iter().map(|row| row.balance().0).sum();
    assert_eq!(sum, 0);
    let now = directory.balances_at(EVER.1).await.unwrap();
    for row in now.iter().filter(|row| row.account.0 < 1000) {
        assert_eq!(row.balance().to_string(), balance(&world, row.account));
    }
    assert_eq!(directory.balances_at(Utc(0)).await.unwrap(), []);
}

/// T7: LRN and jurisdiction are in the CDR, and with it prices are found again.
async fn a_call_is_priced_again_by_where_it_went(backend: Backend) {
    let mut world = World::new(backend, JournalOptions::default()).await;
    let lrn = Some("4917000000".parse().unwrap());
    let location = Location { lrn, jurisdiction: Some(Jurisdiction::Intra) };
    for (location, account) in [(location, 1), (Location::default(), 2)] {
        world.location = location;
        world.top_up(account, Money::units(10));
        assert!(world.open(account));
        world.answer(0);
        world.advance(6);
        world.end(0);
    }
    world.store.flush().await;
    let directory = DirectoryStore::open(&world.database).await.unwrap();
    let calls = read(&directory, &ever()).await;
    let locations: Vec<Location> = calls.iter().map(|found| found.call.by.location).collect();
    assert_eq!(locations, [location, Location::default()]);
    let cdrs = directory.cdrs(&CdrFilter::default()).await.unwrap();
    let told = cdrs.iter().map(|cdr| (cdr.lrn.as_deref(), cdr.jurisdiction.as_deref()));
    let ported = (Some("4917000000"), Some("intra"));
    assert_eq!(told.collect::<Vec<_>>(), [(None, None), (None, None), ported, ported]);
    for (is_by_lrn, of_ported) in [(true, "4917"), (false, "4930")] {
        // Other prices each time, for what is priced the same stays as it is.
        let (charge, cost) = if is_by_lrn { ("0.9", "0.3") } else { ("0.8", "0.2") };
        let book = book_of(Some(charge), cost, &["4917", "4930"], is_by_lrn);
        let (count, _) = rerate(&world, &directory, (&ever(), Sides::All), &book).await;
        assert_eq!(count, 2);
        let cdrs = directory.cdrs(&CdrFilter::default()).await.unwrap();
        let prefixes = cdrs.iter().map(|cdr| cdr.rate.as_ref()?.prefix.as_deref());
        let expected = ["4930", "4930", of_ported, of_ported].map(Some);
        assert_eq!(prefixes.collect::<Vec<_>>(), expected, "{is_by_lrn}");
    }
    check_books(&world).await;
}
