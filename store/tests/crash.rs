//! Crashes at any point: random operations, the database as it was some time before, the journal
//! cut anywhere behind that. Recovery must equal a replay of the records that are left, from the
//! very first one over empty books, which is the plainest way to get there.
#![allow(clippy::unwrap_used)] // a test may

mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use billing::{Ledger, Money, Position, Record, Recovery};
use proptest::prelude::*;
use store::journal::{JournalOptions, Tail};
use store::query::{self, CdrFilter};
use store::{CheckReport, Database, ledger_check};
use vocabulary::{AccountId, CallId, Utc};
use world::backend::{Backend, lock, moved};
use world::{CARRIER, CUSTOMERS, World};

#[derive(Clone, Debug)]
enum Operation {
    TopUp(u64, i64),
    Open(u64),
    Answer(usize),
    Extend(usize),
    End(usize),
    Advance(u64),
    /// The database catches up; a crash finds it at the last of these.
    Flush,
}

fn operation() -> impl Strategy<Value = Operation> {
    let account = 1..=CUSTOMERS;
    prop_oneof![
        2 => (account.clone(), 1i64..3_000_000).prop_map(|(a, m)| Operation::TopUp(a, m)),
        5 => account.prop_map(Operation::Open),
        4 => (0usize..6).prop_map(Operation::Answer),
        3 => (0usize..6).prop_map(Operation::Extend),
        3 => (0usize..6).prop_map(Operation::End),
        4 => (1u64..40).prop_map(Operation::Advance),
        1 => Just(Operation::Flush),
    ]
}

impl World {
    fn run(&mut self, operation: &Operation) {
        match *operation {
            Operation::TopUp(account, micros) => drop(self.top_up(account, Money(micros))),
            Operation::Open(account) => drop(self.open(account)),
            Operation::Answer(index) => self.answer(index),
            Operation::Extend(index) => self.extend(index),
            Operation::End(index) => drop(self.end(index)),
            Operation::Advance(seconds) => self.advance(seconds),
            Operation::Flush => {}
        }
    }
}

fn time_of(record: &Record) -> Option<Utc> {
    match record {
        Record::Opened(call) => Some(call.at),
        Record::Answered { at, .. } | Record::Heartbeat { at } => Some(*at),
        Record::Ended(ended) => Some(ended.at),
        _ => None,
    }
}

/// The plainest recovery: all records over empty books. The records it closes calls with.
fn replay(ledger: &Ledger, records: &[(Position, Record)]) -> Vec<Record> {
    let mut recovery = Recovery::new(ledger, Position(0));
    for (position, record) in records {
        recovery.record(*position, record);
        if let Some(at) = time_of(record) {
            recovery.alive_at(at);
        }
    }
    recovery.finish()
}

#[track_caller]
fn check_report(report: &CheckReport, open_calls: u64) {
    let broken: Vec<_> = report.checks.iter().filter(|c| c.offender_count > 0).collect();
    assert!(report.is_ok(), "{broken:#?}");
    assert_eq!(report.open_calls, open_calls);
}

fn counters(ledger: &Ledger) -> Vec<billing::Counters> {
    let accounts = (1..=CUSTOMERS).map(AccountId).chain([CARRIER]);
    accounts.map(|account| ledger.account(account).unwrap().counters).collect()
}

/// Cuts the last segment so that the journal ends at `end`.
fn cut(journal: &Path, end: u64) {
    let mut segments: Vec<_> = fs::read_dir(journal).unwrap().map(|e| e.unwrap().path()).collect();
    segments.sort();
    while let Some(last) = segments.pop() {
        let base: u64 = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        if base <= end {
            let file = fs::File::options().write(true).open(&last).unwrap();
            file.set_len(end - base + 20).unwrap();
            return;
        }
        fs::remove_file(&last).unwrap();
    }
}

/// Everything but the journal, while the database rests.
fn copy_database(world: &World, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let names: &[&str] = match world.database {
        Database::File(_) => &["start", "tandem.db", "tandem.db-wal"],
        Database::Postgres(_) => &["start", "identity"],
    };
    for name in names {
        fs::copy(world.dir.join(name), to.join(name)).unwrap();
    }
}

/// Links to the segments, so that those removed later are still whole: the database that the crash
/// finds may be older than the one for which they were removed.
fn keep_segments(journal: &Path, kept: &Path) {
    for entry in fs::read_dir(journal).unwrap() {
        let path = entry.unwrap().path();
        let link = kept.join(path.file_name().unwrap());
        if !link.exists() && fs::hard_link(&path, &link).is_err() {
            assert!(!path.exists());
        }
    }
}

async fn crash_and_recover(
    backend: Backend,
    operations: &[Operation],
    options: JournalOptions,
    cut_at: f64,
) {
    let mut world = World::new(backend, options).await;
    let temp = tempfile::tempdir().unwrap();
    let (crashed, kept) = (temp.path().join("data"), temp.path().join("kept"));
    fs::create_dir_all(&kept).unwrap();
    world.store.flush().await;
    copy_database(&world, &crashed);
    let mut applied = world.store.projection().applied();
    let last_flush = operations.iter().rposition(|o| matches!(o, Operation::Flush));
    let kept_from = last_flush.map_or(0, |index| index + 1);
    let mut kept_back = None;
    for (index, operation) in operations.iter().enumerate() {
        // A database on a server cannot be copied under way: it is kept as it is from here on.
        if backend == Backend::Postgres && index == kept_from {
            kept_back = Some(lock(world.store.pool()).await);
        }
        world.run(operation);
        keep_segments(&world.dir.join("journal"), &kept);
        if matches!(operation, Operation::Flush) {
            world.store.flush().await;
            applied = world.store.projection().applied();
            copy_database(&world, &crashed);
        }
    }
    let journal = world.store.journal();
    let end = journal.end();
    journal.durable_at(end).await;
    keep_segments(&world.dir.join("journal"), &kept);
    world::copy(&kept, &crashed.join("journal"));
    cut(&crashed.join("journal"), applied + ((end - applied) as f64 * cut_at) as u64);
    let records: Vec<_> = world.recorder.records.lock().unwrap().clone();
    let database = moved(&world.database, &crashed);
    drop(world);
    if let Some(lock) = kept_back {
        lock.rollback().await.unwrap();
    }

    recover(&crashed, &database, options, records).await;
}

/// The crashed directory opened again, and once more; `records` are all that were ever appended.
async fn recover(
    crashed: &Path,
    database: &Database,
    options: JournalOptions,
    records: Vec<(Position, Record)>,
) {
    // A torn tail is no damage, and no reason for a check to fail.
    let report = ledger_check(crashed, database).await.unwrap();
    assert!(report.is_ok(), "{report:#?}");
    let (store, ledger) = world::open(crashed, database, options).await;
    let kept_end = store.report().torn.map_or_else(|| last_position(crashed), |t| t.position);
    let kept: Vec<_> = records.into_iter().filter(|(position, _)| position.0 <= kept_end).collect();
    let expected = world::ledger();
    let closing = replay(&expected, &kept);
    assert_eq!(counters(&ledger), counters(&expected));
    assert_eq!(ledger.check().problems, Vec::<String>::new());
    assert_eq!(ledger.check().pending, Money::ZERO);
    let closed: Vec<CallId> = closing.iter().map(call_ended).collect();
    assert_eq!(store.report().closed, closed);

    store.flush().await;
    check_report(&ledger_check(crashed, database).await.unwrap(), 0);
    let cdrs = query::cdrs(store.pool(), &CdrFilter::default()).await.unwrap();
    let with_cdr: BTreeSet<CallId> = cdrs.iter().map(|cdr| cdr.call).collect();
    let opened: BTreeSet<CallId> = kept.iter().filter_map(|(_, r)| call_known(r)).collect();
    assert_eq!(with_cdr, opened);

    // And once more: nothing is left to do, nothing changes.
    let before = counters(&ledger);
    store.close().await.unwrap();
    let (store, ledger) = world::open(crashed, database, options).await;
    assert_eq!(store.report().closed, []);
    assert_eq!(counters(&ledger), before);
    assert_eq!(store.start_number(), 2);
    store.flush().await;
    check_report(&ledger_check(crashed, database).await.unwrap(), 0);
}

/// The end of the journal before recovery wrote to it, if nothing was torn: the last record that is
/// no closing one. Read from the files.
fn last_position(dir: &Path) -> u64 {
    let journal = dir.join("journal");
    let mut segments: Vec<_> = fs::read_dir(&journal).unwrap().map(|e| e.unwrap().path()).collect();
    segments.sort();
    let base: u64 = segments[0].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let mut ends = vec![];
    let mut tail = Tail::new(&journal, base);
    while tail.read(u64::MAX, 1 << 20, &mut |end, bytes| ends.push((end, bytes.to_vec()))).unwrap()
    {
    }
    let is_closing = |bytes: &[u8]| match Record::decode(&bytes[1..]) {
        Ok(Record::Ended(ended)) => ended.cdrs[0].cause == "node_lost",
        _ => false,
    };
    ends.iter().rev().find(|(_, bytes)| !is_closing(bytes)).map_or(0, |(end, _)| *end)
}

fn call_ended(record: &Record) -> CallId {
    match record {
        Record::Ended(ended) => ended.call,
        other => panic!("{other:?}"),
    }
}

fn call_known(record: &Record) -> Option<CallId> {
    match record {
        Record::Opened(call) => Some(call.call),
        Record::Ended(ended) => Some(ended.call),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_ahead_does_not_lengthen_lost_calls() {
    for is_applied in [true, false] {
        let options = JournalOptions::default();
        let mut world = World::new(Backend::Sqlite, options).await;
        world.top_up(1, Money::units(100));
        world.open(1);
        world.answer(0);
        for _ in 0..6 {
            world.extend(0);
        }
        let answered_at = world.now;
        world.advance(3600);
        if is_applied {
            world.store.flush().await;
        }
        world.now = answered_at;
        world.advance(12);
        if is_applied {
            world.store.flush().await;
        }
        let dir = world.dir.clone();
        let World { store, database, _temp: temp, .. } = world;
        drop(store);
        let (store, _) = world::open(&dir, &database, options).await;
        store.flush().await;
        let cdrs = query::cdrs(store.pool(), &CdrFilter::default()).await.unwrap();
        assert!(cdrs.iter().all(|cdr| cdr.talked == Duration::from_secs(12)), "{cdrs:#?}");
        drop(temp);
    }
}

fn block_on(future: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn recovery_equals_a_replay_of_what_is_left(
        operations in prop::collection::vec(operation(), 1..120),
        cut_at in 0.0f64..=1.0,
        small in any::<bool>(),
    ) {
        let segment_bytes = if small { 3000 } else { 64 << 20 };
        let options = JournalOptions { segment_bytes, ..JournalOptions::default() };
        block_on(crash_and_recover(Backend::Sqlite, &operations, options, cut_at));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn recovery_from_postgres_equals_a_replay_of_what_is_left(
        operations in prop::collection::vec(operation(), 1..80),
        cut_at in 0.0f64..=1.0,
    ) {
        if Backend::has_postgres() {
            let options = JournalOptions::default();
            block_on(crash_and_recover(Backend::Postgres, &operations, options, cut_at));
        }
    }
}

#[test]
fn a_cut_at_every_byte_of_the_last_records_recovers() {
    let mut operations = vec![Operation::TopUp(1, 1_000_000), Operation::Flush];
    operations.extend([Operation::Open(1), Operation::Answer(0), Operation::Advance(3)]);
    operations.push(Operation::End(0));
    for part in 0..=40 {
        let options = JournalOptions::default();
        let cut_at = f64::from(part) / 40.0;
        block_on(crash_and_recover(Backend::Sqlite, &operations, options, cut_at));
    }
}
