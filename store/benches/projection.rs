//! CPU of a two-leg call in `store`: its four records into the journal, and from there into SQLite.
//! `cargo bench -p store` prints one line each; figures of the whole process (`getrusage` by way of
//! /proc/self/stat), so the work of SQLite's and the journal's threads is in them.
#![allow(clippy::unwrap_used)] // a bench may

#[path = "../tests/world/mod.rs"]
mod world;

use std::fs;
use std::time::{Duration, Instant};

use billing::Money;
use store::journal::JournalOptions;
use world::World;
use world::backend::Backend;

const CALLS: u32 = 100_000;
/// Calls open at the same time.
const LIVE: usize = 100;

fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // USER_HZ is 100 on Linux.
    Duration::from_millis(ticks * 10)
}

fn calls(world: &mut World, count: u32) {
    for index in 0..count {
        world.open(u64::from(index % 3) + 1);
        let last = world.live.len() - 1;
        world.answer(last);
        world.extend(last);
        if world.live.len() > LIVE {
            world.end(0);
        }
        if index % 5000 == 0 {
            world.advance(1);
        }
    }
    while world.end(0).is_some() {}
}

fn line(what: &str, cpu: Duration, wall: Duration) {
    let per_call = |total: Duration| total.as_secs_f64() * 1e6 / f64::from(CALLS);
    println!("{what}: {:.1} µs CPU a call, {:.1} µs wall", per_call(cpu), per_call(wall));
}

async fn run(backend: Backend) {
    println!("{backend:?}:");
    // What the calls themselves cost (credit control, building the facts), to be taken off.
    let mut world = World::new(backend, JournalOptions::default()).await;
    for account in 1..=3 {
        world.top_up(account, Money::units(1_000_000));
    }
    let (cpu_before, began) = (cpu(), Instant::now());
    calls(&mut world, CALLS);
    let end = world.store.journal().end();
    world.store.journal().durable_at(end).await;
    line("credit control and journal, projection meanwhile", cpu() - cpu_before, began.elapsed());
    world.store.flush().await;
    line("all until it is in SQL", cpu() - cpu_before, began.elapsed());
    println!("journal: {} bytes a call", end / u64::from(CALLS));

    // The same journal once more into an empty database: the projection alone.
    let copy = tempfile::tempdir().unwrap();
    let data = copy.path().join("data");
    world::copy(&world.dir.join("journal"), &data.join("journal"));
    drop(world);
    let database = backend.fresh(&data).await;
    let (store, _) = world::open(&data, &database, JournalOptions::default()).await;
    let (cpu_before, began) = (cpu(), Instant::now());
    store.flush().await;
    line("projection alone", cpu() - cpu_before, began.elapsed());
    if let Some(file) = database.file() {
        let size = fs::metadata(file).unwrap().len();
        println!("database: {} bytes a call", size / u64::from(CALLS));
    }
}

fn main() {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            run(Backend::Sqlite).await;
            // Its server's CPU is not in these figures.
            if Backend::has_postgres() {
                run(Backend::Postgres).await;
            }
        });
}
