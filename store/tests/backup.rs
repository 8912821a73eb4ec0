//! A backup under load, restored elsewhere, is the state at its position: its books balance, and each
//! balance is what a replay of all records up to there gives.
#![allow(clippy::unwrap_used)] // a test may

mod world;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use billing::{Counters, Ledger, Money, Position, Record, Recovery};
use store::journal::JournalOptions;
use store::{BackupError, DataPaths, backup, ledger_check, restore};
use vocabulary::AccountId;
use world::backend::Backend;
use world::{CARRIER, CUSTOMERS, World};

fn counters(ledger: &Ledger) -> Vec<Counters> {
    let accounts = (1..=CUSTOMERS).map(AccountId).chain([CARRIER]);
    accounts.map(|account| ledger.account(account).unwrap().counters).collect()
}

/// What all records up to `position` make of empty books, after a start has closed open calls.
fn replayed(records: &[(Position, Record)], position: u64) -> Vec<Counters> {
    let ledger = world::ledger();
    let mut recovery = Recovery::new(&ledger, Position(0));
    for (at, record) in records.iter().filter(|(at, _)| at.0 <= position) {
        recovery.record(*at, record);
        if let Record::Heartbeat { at } = record {
            recovery.alive_at(*at);
        }
    }
    recovery.finish();
    counters(&ledger)
}

/// Small segments: the running store removes some while they are copied.
fn options() -> JournalOptions {
    JournalOptions { segment_bytes: 20_000, ..JournalOptions::default() }
}

async fn check_restored(from: &Path, to: &Path, position: u64, expected: &[Counters]) {
    let restored = restore(from, to).await.unwrap();
    assert_eq!(restored.position, position);
    assert!(ledger_check(to, &DataPaths::new(to).database()).await.unwrap().is_ok());
    let (store, ledger) = world::open(to, &DataPaths::new(to).database(), options()).await;
    assert_eq!(counters(&ledger), expected);
    store.close().await.unwrap();
    assert!(ledger_check(to, &DataPaths::new(to).database()).await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_the_state_at_its_position() {
    let mut world = World::new(Backend::Sqlite, options()).await;
    let temp = tempfile::tempdir().unwrap();
    let data = world.dir.clone();
    for account in 1..=CUSTOMERS {
        world.top_up(account, Money::units(1000));
    }
    let is_over = AtomicBool::new(false);
    let journal = Arc::clone(world.store.journal());
    let mut taken = Vec::new();
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let (world, is_over) = (&mut world, &is_over);
            scope.spawn(move || {
                let mut turn = 0;
                while !is_over.load(Ordering::Relaxed) {
                    turn += 1;
                    world.open(1 + turn % CUSTOMERS);
                    world.answer(world.live.len().saturating_sub(2));
                    world.extend(0);
                    world.advance(1);
                    if world.live.len() > 20 {
                        world.end(usize::try_from(turn % 20).unwrap());
                    }
                    if turn % 50 == 0 {
                        world.top_up(1, Money(7));
                    }
                    // As fast as the disk takes it: backups see segments come and go.
                    let end = world.recorder.append_end();
                    world.store.journal().wait_durable(end);
                }
            });
            for number in 0..4 {
                let to = temp.path().join(format!("backup{number}"));
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let made = runtime.unwrap().block_on(backup(&data, &to)).unwrap();
                // A backup can be quicker than the next sync, and the one after it is of a later state.
                journal.wait_durable(made.position + 1);
                taken.push((to, made.position));
            }
            is_over.store(true, Ordering::Relaxed);
        });
    });
    let records = world.recorder.records.lock().unwrap().clone();
    assert!(taken.windows(2).all(|pair| pair[0].1 < pair[1].1), "{taken:?}");
    assert!(records.last().unwrap().0.0 > taken[0].1, "there was load after the first");
    for (index, (from, position)) in taken.iter().enumerate() {
        let to = temp.path().join(format!("restored{index}"));
        check_restored(from, &to, *position, &replayed(&records, *position)).await;
    }
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_leaves_nothing_half() {
    let mut world = World::new(Backend::Sqlite, JournalOptions::default()).await;
    world.top_up(1, Money::units(5));
    let end = world.store.journal().end();
    world.store.journal().wait_durable(end);
    let temp = tempfile::tempdir().unwrap();
    let to = temp.path().join("backup");
    backup(&world.dir, &to).await.unwrap();
    let refused = backup(&world.dir, &to).await.unwrap_err();
    assert!(matches!(refused, BackupError::Exists(_)), "{refused}");
    // A running data directory is not overwritten by a restore either.
    assert!(matches!(restore(&to, &world.dir).await, Err(BackupError::Exists(_))));
    let nowhere = temp.path().join("nothing");
    let other = temp.path().join("other");
    backup(&nowhere, &other).await.unwrap_err();
    let mut names: Vec<_> = std::fs::read_dir(temp.path()).unwrap().flatten().collect();
    names.retain(|entry| entry.path() != to);
    assert!(names.is_empty(), "{names:?}");
}
