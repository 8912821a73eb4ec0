//! A month of an operator's life in virtual time: accounts under resellers of three levels, plans,
//! recurring charges, top-ups, vouchers, discounts, exchange rates, new sheets and re-rating, with a
//! job that runs twice, late or is cut off, and with crashes. After every step the books balance to
//! the micro-unit; each evening the tables are added up anew (R12, R16, V-06, J-19 to J-26, B1).
//!
//! A larger one is played by hand (CONTRIBUTING.md).
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod month;
mod world;

use std::collections::BTreeMap;
use std::time::Instant;

use month::{Month, Size};
use world::backend::Backend;

/// Plays a month on each database that there is, at the same time, and compares where they end.
fn on_each_database(size: Size) {
    let mut backends = vec![Backend::Sqlite];
    backends.extend(Backend::has_postgres().then_some(Backend::Postgres));
    let start = |backend: Backend| std::thread::spawn(move || run(play(backend, size)));
    let runs: Vec<_> = backends.into_iter().map(start).collect();
    let ends: Vec<Ends> = runs.into_iter().map(|run| run.join().unwrap()).collect();
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "the databases differ: {ends:#?}");
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(future)
}

/// Who has how much.
type Ends = BTreeMap<String, String>;

async fn play(backend: Backend, size: Size) -> Ends {
    let began = Instant::now();
    let mut month = Month::begin(backend, size).await;
    for _ in 0..size.days {
        month.day().await;
    }
    let tally = month.tally();
    eprintln!("{backend:?}, {size:?}: {tally:?} in {:?}", began.elapsed());
    assert!(tally.is_full(), "not everything happened: {tally:?}");
    month.ends()
}

/// `TANDEM_MONTH=1000,3000,1` plays a larger or another month: accounts, calls a day, seed.
#[test]
fn a_month_balances_after_every_step() {
    let asked = std::env::var("TANDEM_MONTH").unwrap_or_else(|_| "100,60,1".to_owned());
    let mut numbers = asked.split(',').map(|number| number.parse::<usize>().unwrap());
    let mut number = || numbers.next().expect("accounts, calls a day and seed, commas between");
    let (accounts, calls_a_day, seed) = (number(), number(), number() as u64);
    on_each_database(Size { accounts, days: 31, calls_a_day, seed });
}
