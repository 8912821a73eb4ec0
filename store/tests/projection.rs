//! The journal as tables: what is in them, that they catch up, and that nothing gets in twice.
#![allow(clippy::unwrap_used)] // a test may

mod world;

use std::time::Duration;

use billing::Money;
use sqlx::{ConnectOptions, Connection, Row};
use store::journal::JournalOptions;
use store::query::{self, CdrFilter};
use store::{BindingSet, ledger_check};
use switch::registrar::StoredBinding;
use vocabulary::{AccountId, SubscriberId, Utc};
use world::{CARRIER, World};

#[track_caller]
fn check_ok(report: &store::CheckReport) {
    let broken: Vec<_> = report.checks.iter().filter(|c| c.offender_count > 0).collect();
    assert!(report.is_ok(), "{broken:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_priced_call_is_told_line_by_line() {
    let mut world = World::new(JournalOptions::default()).await;
    world.top_up(1, Money::units(10));
    world.open(1);
    world.answer(0);
    world.advance(9);
    let call = world.end(0).unwrap();
    world.open(2);
    world.store.flush().await;
    let pool = world.store.pool();

    let story = query::call(pool, call).await.unwrap().unwrap();
    let [ingress, egress] = &story.cdrs[..] else { panic!("{story:#?}") };
    // 9 s in 6/6 is 12 s at 0.6 a minute, and the fee.
    assert_eq!(ingress.amount.to_string(), "0.130000");
    assert_eq!(egress.amount.to_string(), "0.030000");
    assert_eq!(ingress.billed, Duration::from_secs(12));
    let rate = ingress.rate.as_ref().unwrap();
    assert_eq!((rate.price.as_str(), rate.prefix.as_deref()), ("0.6", Some("49")));
    assert_eq!((rate.group, rate.sheet_version, rate.terms.as_ref()), (1, 3, None));
    assert_eq!(ingress.decisions[0].code, "route_found");
    assert_eq!(ingress.decisions[0].sentence, "The route \"49\" leads to trunk 1.");
    assert!(egress.decisions.is_empty());
    let legs: Vec<_> = story.postings.iter().map(|p| (p.kind.as_str(), p.leg)).collect();
    assert_eq!(legs, [("charge", Some(0)), ("cost", Some(1))]);

    let all = query::cdrs(pool, &CdrFilter::default()).await.unwrap();
    assert_eq!(all.len(), 3);
    let refused = CdrFilter { cause: Some("no_credit".into()), ..CdrFilter::default() };
    assert_eq!(query::cdrs(pool, &refused).await.unwrap()[0].account, Some(AccountId(2)));
    let first = CdrFilter { limit: 1, ..CdrFilter::default() };
    let first = query::cdrs(pool, &first).await.unwrap().remove(0);
    let after = Some((first.started_at, first.call, first.leg));
    let rest = CdrFilter { after, ..CdrFilter::default() };
    assert_eq!(query::cdrs(pool, &rest).await.unwrap(), all[1..]);
    let carried = CdrFilter {
        account: Some(CARRIER),
        destination_prefix: Some("4930".into()),
        is_answered: Some(true),
        ..CdrFilter::default()
    };
    assert_eq!(query::cdrs(pool, &carried).await.unwrap(), std::slice::from_ref(egress));
    let calls = query::calls_by_sip_call_id(pool, &ingress.sip_call_id).await.unwrap();
    assert_eq!(calls, [call]);

    let (from, till) = (Utc(0), Utc(i64::MAX));
    let statement = query::statement(pool, AccountId(1), from, till).await.unwrap();
    assert_eq!(statement.closing.to_string(), "9.870000");
    let later = statement.postings[1].at;
    let statement = query::statement(pool, AccountId(1), later, till).await.unwrap();
    assert_eq!((statement.opening, statement.postings.len()), (Money::units(10), 1));

    for view in ["cdr_readable", "posting_readable", "account_balance_readable"] {
        let sql = format!("SELECT * FROM {view}");
        assert!(!sqlx::query(&sql).fetch_all(pool).await.unwrap().is_empty());
    }
    let sql = "SELECT balance FROM account_balance_readable WHERE account_id = 1";
    let row = sqlx::query(sql).fetch_one(pool).await.unwrap();
    assert_eq!(row.get::<String, _>(0), "9.870000");
    check_ok(&ledger_check(&world.dir).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_locked_calls_go_on_and_it_catches_up() {
    let mut world = World::new(JournalOptions::default()).await;
    world.top_up(1, Money::units(100));
    world.store.flush().await;
    let path = world.store.data_dir().paths().database();
    let mut other =
        sqlx::sqlite::SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let lock = other.begin_with("BEGIN EXCLUSIVE").await.unwrap();
    for _ in 0..20 {
        assert!(world.open(1));
        world.answer(0);
        world.advance(1);
        world.end(0);
    }
    let end = world.store.journal().end();
    world.store.journal().durable_at(end).await;
    while world.store.projection().failures() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(world.store.projection().is_failing());
    assert!(world.store.projection().lag() > 0);
    lock.rollback().await.unwrap();
    world.store.flush().await;
    assert!(!world.store.projection().is_failing());
    let all = query::cdrs(world.store.pool(), &CdrFilter::default()).await.unwrap();
    assert_eq!(all.len(), 40);
    check_ok(&ledger_check(&world.dir).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_calls_are_stored_so_that_segments_can_go() {
    let options = JournalOptions { segment_bytes: 2000, ..JournalOptions::default() };
    let mut world = World::new(options).await;
    world.top_up(1, Money::units(100));
    world.open(1);
    world.answer(0);
    for _ in 0..60 {
        world.open(1);
        world.advance(5);
        world.extend(0);
        world.end(1);
        world.store.flush().await;
    }
    let journal = world.dir.join("journal");
    let segments = std::fs::read_dir(&journal).unwrap().count();
    assert!(segments < 12, "{segments} segments");
    let report = ledger_check(&world.dir).await.unwrap();
    check_ok(&report);
    assert_eq!(report.open_calls, 1);

    // The oldest record of the live call is gone from the journal, not from the database.
    let dir = world.dir.clone();
    let live = world.live[0].call;
    let World { store, ledger, _temp: temp, .. } = world;
    let held = ledger.account(AccountId(1)).unwrap().counters.debits_pending;
    assert!(held > Money::ZERO);
    drop(ledger);
    store.close().await.unwrap();
    let (store, ledger) = world::open(&dir, options).await;
    assert_eq!(store.report().closed, [live]);
    assert_eq!(ledger.account(AccountId(1)).unwrap().counters.debits_pending, Money::ZERO);
    store.flush().await;
    let story = query::call(store.pool(), live).await.unwrap().unwrap();
    assert_eq!(story.cdrs[0].cause, "node_lost");
    assert!(story.cdrs[0].amount > Money::ZERO);
    check_ok(&ledger_check(&dir).await.unwrap());
    drop(temp);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bindings_come_back_the_newest_of_each_subscriber() {
    let mut world = World::new(JournalOptions::default()).await;
    let binding = |uri: &str| StoredBinding {
        uri: uri.into(),
        path: vec!["<sip:edge.example;lr>".into()],
        q: 1000,
        expires_at: Utc(i64::MAX),
        call_id: "1@phone".into(),
        cseq: 1,
        transport: switch::directory::Transport::Udp,
        listener: 1,
        remote: "192.0.2.9:5060".parse().unwrap(),
        is_behind_nat: true,
    };
    let set = |subscriber: u64, uris: &[&str]| BindingSet {
        subscriber: SubscriberId(subscriber),
        bindings: uris.iter().map(|uri| binding(uri)).collect(),
    };
    assert!(world.store.take_bindings().is_empty());
    let journal = world.store.journal();
    for set in [set(1, &["sip:a", "sip:b"]), set(2, &["sip:c"]), set(3, &["sip:d"])] {
        journal.append_bindings(&set);
    }
    world.store.flush().await;
    let dir = tempfile::tempdir().unwrap();
    for set in [set(1, &["sip:e"]), set(2, &[]), set(4, &["sip:f", "sip:g"])] {
        journal.append_bindings(&set);
    }
    journal.wait_durable(journal.end());
    let (at, copy) = (world.dir.clone(), dir.path().join("data"));
    drop(world.store);
    world::copy(&at, &copy);
    let (mut store, _) = world::open(&copy, JournalOptions::default()).await;
    let expected = [set(1, &["sip:e"]), set(3, &["sip:d"]), set(4, &["sip:f", "sip:g"])];
    assert_eq!(store.take_bindings(), expected);
    store.flush().await;
    store.close().await.unwrap();
    let (mut store, _) = world::open(&copy, JournalOptions::default()).await;
    assert_eq!(store.take_bindings(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_finds_what_was_tampered_with() {
    let mut world = World::new(JournalOptions::default()).await;
    world.top_up(1, Money::units(10));
    world.open(1);
    world.answer(0);
    world.advance(30);
    world.end(0);
    world.store.flush().await;
    let cases = [
        (
            "UPDATE account_balance SET credits_posted = credits_posted + 1 WHERE account_id = 1",
            "counters_equal_postings",
        ),
        ("UPDATE cdr SET amount = amount + 1 WHERE leg = 0", "charges_equal_postings"),
        ("DELETE FROM posting WHERE kind = 'cost'", "applied_are_in_tables"),
        ("DELETE FROM cdr WHERE leg = 0", "calls_have_their_legs"),
        (
            "UPDATE account_balance SET debits_pending = 5 WHERE account_id = 1",
            "pending_is_of_open_calls",
        ),
    ];
    for (sql, code) in cases {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("data");
        world::copy(&world.dir, &copy);
        let pool = store::open_database(&copy.join("tandem.db")).await.unwrap();
        sqlx::query(sql).execute(&pool).await.unwrap();
        pool.close().await;
        let report = ledger_check(&copy).await.unwrap();
        assert!(!report.is_server_running);
        let broken = report.checks.iter().find(|check| check.code == code).unwrap();
        assert!(broken.offender_count > 0 && !broken.offenders.is_empty(), "{sql}");
    }
    let report = ledger_check(&world.dir).await.unwrap();
    check_ok(&report);
    assert!(report.is_server_running);
}
