//! Profit of calls that are paid for in one currency and cost in another: both in one, by the
//! exchange rates that were fixed when each call came in (R12, V-17); and what a CDR knows of its
//! destination (J-14).
#![allow(clippy::unwrap_used)] // a test may

mod world;

use std::sync::Arc;

use billing::{
    AccountTariff, Currency, Draft, Effect, ExchangeRate, GroupTerms, Money, MoneyRounding, Rate,
    RateBook, RateGroup, RateGroupId, RateRow, Terms, Zone, dry_run,
};
use store::directory::DirectoryStore;
use store::journal::JournalOptions;
use store::query::{self, CdrFilter};
use store::report::{Period, ProfitBy, ProfitRow};
use store::rerate::{Cursor, Selection};
use vocabulary::{AccountId, Utc};
use world::backend::{Backend, on_both};
use world::{CARRIER, World};

on_both!(
    a_customer_in_euros_and_a_carrier_in_dollars_are_in_one_row,
    both_sides_are_in_the_currency_of_reports,
    without_an_exchange_rate_neither_side_is_a_loss,
    a_day_begins_where_the_zone_has_it,
);

const EVER: (Utc, Utc) = (Utc(0), Utc(i64::MAX / 2));

fn group(id: u32, price: &str, currency: Currency, name: &str) -> RateGroup {
    let mut group = RateGroup::builder(GroupTerms {
        id: RateGroupId(id),
        name: format!("group {id}"),
        currency,
        money_rounding: MoneyRounding::default(),
        special: None,
    });
    let row = RateRow {
        prefix: "4930".into(),
        rate: Rate::per_minute(price.parse().unwrap(), 1, 1),
        special: None,
        valid_from: None,
        valid_till: None,
        sheet_version: 7,
    };
    group.row_named(&row, name).unwrap();
    group.build()
}

/// Customers in EUR at 0.6 a minute, the carrier in USD at this price.
fn book(
    cost: &str,
    exchange: &[(Currency, Currency, &str)],
    reports: Option<Currency>,
) -> RateBook {
    let tariff = |customer: Option<u32>, carrier: Option<u32>| AccountTariff {
        customer_group: customer.map(RateGroupId),
        carrier_group: carrier.map(RateGroupId),
        is_loss_allowed: true,
        ..AccountTariff::default()
    };
    let mut book = RateBook::builder()
        .group(group(1, "0.6", Currency::EUR, "Berlin"))
        .group(group(2, cost, Currency::USD, "Germany Berlin"))
        .report_currency(reports);
    for (from, to, rate) in exchange {
        let rate = ExchangeRate::new(rate.parse().unwrap()).unwrap();
        book = book.exchange_rate(*from, *to, rate);
    }
    for account in 1..=world::CUSTOMERS {
        book = book.account(AccountId(account), tariff(Some(1), None));
    }
    book.account(CARRIER, tariff(None, Some(2))).build().unwrap()
}

async fn opened(backend: Backend) -> World {
    let mut world = World::new(backend, JournalOptions::default()).await;
    let dollars = Terms::postpaid(Currency::USD, Money::units(1000));
    world.ledger.set_terms(CARRIER, dollars).unwrap();
    world.top_up(1, Money::units(10));
    world
}

fn call(world: &mut World, book: RateBook, seconds: u64) {
    world.credit.set_rate_book(Arc::new(book));
    assert!(world.open(1));
    world.answer(0);
    for _ in 0..4 {
        world.extend(0);
    }
    world.advance(seconds);
    world.end(0);
}

async fn directory(world: &World) -> DirectoryStore {
    world.store.flush().await;
    DirectoryStore::open(&world.database).await.unwrap()
}

async fn profit(directory: &DirectoryStore, by: ProfitBy) -> Vec<ProfitRow> {
    directory.profit(EVER.0, EVER.1, by, None).await.unwrap()
}

async fn a_customer_in_euros_and_a_carrier_in_dollars_are_in_one_row(backend: Backend) {
    let (eur, usd) = (Currency::EUR, Currency::USD);
    let mut world = opened(backend).await;
    // 0.6 EUR against 0.5 USD = 0.45 EUR, and against 0.7 USD = 0.63 EUR.
    call(&mut world, book("0.5", &[(usd, eur, "0.9")], None), 60);
    call(&mut world, book("0.7", &[(usd, eur, "0.9")], None), 60);
    // What the rate is later changes nothing about them.
    world.credit.set_rate_book(Arc::new(book("0.5", &[(usd, eur, "2")], None)));
    let directory = directory(&world).await;
    let by = ProfitBy { customer: true, destination: true, ..ProfitBy::default() };
    let rows = profit(&directory, by).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!((row.currency.as_str(), row.calls, row.split_calls), ("EUR", 2, 0));
    assert_eq!((row.revenue, row.cost), (Money(1_200_000), Money(1_080_000)));
    assert_eq!((row.loss_calls, row.profit()), (1, Money(120_000)));
    assert_eq!(row.destination_name.as_deref(), Some("Berlin"));

    // J-14: each side's sheet calls the destination what it will.
    let cdrs = query::cdrs(world.store.pool(), &CdrFilter::default()).await.unwrap();
    let names = cdrs.iter().map(|cdr| cdr.destination_name.as_deref().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["Germany Berlin", "Berlin", "Germany Berlin", "Berlin"]);
    let told: Vec<_> = cdrs
        .iter()
        .map(|cdr| cdr.report.unwrap())
        .map(|report| (report.currency, report.rate.rate().to_string()))
        .collect();
    assert_eq!(told[..2], [(eur, "0.9".to_owned()), (eur, "1".to_owned())]);

    // B6: a dry run counts its totals likewise.
    let book = book("0.25", &[(usd, eur, "2")], None);
    let selection = Selection::between(EVER.0, EVER.1);
    let batch = directory.selected_calls(&selection, Cursor::before(&selection)).await.unwrap();
    let currency = |account| Some(if account == CARRIER { usd } else { eur });
    let draft = Draft { group: RateGroupId(2), at: world.now.utc };
    let mut effect = Effect::default();
    for call in &batch.calls {
        effect.add(&call.call, &dry_run(&book, &currency, &call.call, draft));
    }
    let totals = effect.totals();
    assert_eq!(totals.len(), 1);
    let total = totals[b"EUR"];
    assert_eq!((total.revenue.before, total.revenue.after), (1_200_000, 1_200_000));
    // 0.25 USD each, at the 0.9 that was fixed.
    assert_eq!((total.cost.before, total.cost.after), (1_080_000, 450_000));
}

async fn both_sides_are_in_the_currency_of_reports(backend: Backend) {
    let (eur, usd, chf) = (Currency::EUR, Currency::USD, "CHF".parse().unwrap());
    let mut world = opened(backend).await;
    // An amount times a rate that has more than 64 bits.
    let rates = [(eur, chf, "900000"), (usd, chf, "0.8")];
    call(&mut world, book("0.5", &rates, Some(chf)), 60);
    let rows = profit(&directory(&world).await, ProfitBy::default()).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0].currency, "CHF");
    assert_eq!((rows[0].revenue, rows[0].cost), (Money::units(540_000), Money(400_000)));
}

async fn without_an_exchange_rate_neither_side_is_a_loss(backend: Backend) {
    let mut world = opened(backend).await;
    call(&mut world, book("0.5", &[], None), 60);
    let rows = profit(&directory(&world).await, ProfitBy::default()).await;
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.currency.as_str(), row.loss_calls, row.split_calls, row.profit()))
        .collect();
    assert_eq!(told, [("USD", 0, 1, Money(-500_000)), ("EUR", 0, 1, Money(600_000))]);
}

async fn a_day_begins_where_the_zone_has_it(backend: Backend) {
    let eur = Currency::EUR;
    let mut world = opened(backend).await;
    // 2023-11-14T22:13:20Z is the 14th in UTC and the 15th in Kolkata.
    let rates = [(Currency::USD, eur, "1")];
    call(&mut world, book("0.5", &rates, None), 60);
    let directory = directory(&world).await;
    let by = ProfitBy { period: Some(Period::Day), ..ProfitBy::default() };
    let days = async |zone: Option<&str>| {
        let zone = zone.map(|name| Zone::named(name).unwrap());
        let rows = directory.profit(EVER.0, EVER.1, by, zone.as_deref()).await.unwrap();
        rows.into_iter().map(|row| row.period.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(days(None).await, ["2023-11-14"]);
    assert_eq!(days(Some("Asia/Kolkata")).await, ["2023-11-15"]);
    // Summer time has ended by then, although the whole span has many changes.
    assert_eq!(days(Some("Europe/Berlin")).await, ["2023-11-14"]);
    assert_eq!(days(Some("Europe/Helsinki")).await, ["2023-11-15"]);
}
