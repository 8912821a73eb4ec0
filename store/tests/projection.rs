//! The journal as tables: what is in them, that they catch up, and that nothing gets in twice.
#![allow(clippy::unwrap_used)] // a test may

mod world;

use std::time::Duration;

use billing::Money;
use store::journal::JournalOptions;
use store::query::{self, CdrFilter};
use store::sql;
use store::{BindingSet, Opening, ledger_check};
use switch::registrar::StoredBinding;
use vocabulary::{AccountId, SubscriberId, Utc};
use world::backend::{Backend, copied, lock, moved, on_both};
use world::{CARRIER, World};

on_both!(
    a_database_on_a_server_belongs_to_one_data_directory,
    a_priced_call_is_told_line_by_line,
    while_the_database_is_locked_calls_go_on_and_it_catches_up,
    long_calls_are_stored_so_that_segments_can_go,
    bindings_come_back_the_newest_of_each_subscriber,
    the_check_finds_what_was_tampered_with,
);

#[track_caller]
fn check_ok(report: &store::CheckReport) {
    let broken: Vec<_> = report.checks.iter().filter(|c| c.offender_count > 0).collect();
    assert!(report.is_ok(), "{broken:#?}");
}

async fn a_priced_call_is_told_line_by_line(backend: Backend) {
    let mut world = World::new(backend, JournalOptions::default()).await;
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
        assert!(!sql::query(&sql).fetch_all(pool).await.unwrap().is_empty());
    }
    let sql = "SELECT balance FROM account_balance_readable WHERE account_id = 1";
    let balance: String = sql::query_scalar(sql).fetch_one(pool).await.unwrap();
    assert_eq!(balance, "9.870000");
    check_ok(&ledger_check(&world.dir, &world.database).await.unwrap());
}

async fn while_the_database_is_locked_calls_go_on_and_it_catches_up(backend: Backend) {
    let mut world = World::new(backend, JournalOptions::default()).await;
    world.top_up(1, Money::units(100));
    world.store.flush().await;
    let lock = lock(world.store.pool()).await;
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
    check_ok(&ledger_check(&world.dir, &world.database).await.unwrap());
}

async fn long_calls_are_stored_so_that_segments_can_go(backend: Backend) {
    let options = JournalOptions { segment_bytes: 2000, ..JournalOptions::default() };
    let mut world = World::new(backend, options).await;
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
    let report = ledger_check(&world.dir, &world.database).await.unwrap();
    check_ok(&report);
    assert_eq!(report.open_calls, 1);

    // The oldest record of the live call is gone from the journal, not from the database.
    let dir = world.dir.clone();
    let live = world.live[0].call;
    let World { store, ledger, database, _temp: temp, .. } = world;
    let held = ledger.account(AccountId(1)).unwrap().counters.debits_pending;
    assert!(held > Money::ZERO);
    drop(ledger);
    store.close().await.unwrap();
    let (store, ledger) = world::open(&dir, &database, options).await;
    assert_eq!(store.report().closed, [live]);
    assert_eq!(ledger.account(AccountId(1)).unwrap().counters.debits_pending, Money::ZERO);
    store.flush().await;
    let story = query::call(store.pool(), live).await.unwrap().unwrap();
    assert_eq!(story.cdrs[0].cause, "node_lost");
    assert!(story.cdrs[0].amount > Money::ZERO);
    check_ok(&ledger_check(&dir, &database).await.unwrap());
    drop(temp);
}

async fn bindings_come_back_the_newest_of_each_subscriber(backend: Backend) {
    let mut world = World::new(backend, JournalOptions::default()).await;
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
    let database = moved(&world.database, &copy);
    let (mut store, _) = world::open(&copy, &database, JournalOptions::default()).await;
    let expected = [set(1, &["sip:e"]), set(3, &["sip:d"]), set(4, &["sip:f", "sip:g"])];
    assert_eq!(store.take_bindings(), expected);
    store.flush().await;
    store.close().await.unwrap();
    let (mut store, _) = world::open(&copy, &database, JournalOptions::default()).await;
    assert_eq!(store.take_bindings(), expected);
}

async fn the_check_finds_what_was_tampered_with(backend: Backend) {
    let mut world = World::new(backend, JournalOptions::default()).await;
    world.top_up(1, Money::units(10));
    world.open(1);
    world.answer(0);
    world.advance(30);
    world.end(0);
    world.store.flush().await;
    let report = ledger_check(&world.dir, &world.database).await.unwrap();
    check_ok(&report);
    assert!(report.is_server_running);
    let World { store, dir, database, _temp: temp, .. } = world;
    store.close().await.unwrap();
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
        let other = tempfile::tempdir().unwrap();
        let copy = other.path().join("data");
        world::copy(&dir, &copy);
        let database = copied(&database, &copy).await;
        let pool = database.open().await.unwrap();
        sql::query(sql).execute(&pool).await.unwrap();
        pool.close().await;
        let report = ledger_check(&copy, &database).await.unwrap();
        assert!(!report.is_server_running);
        let broken = report.checks.iter().find(|check| check.code == code).unwrap();
        assert!(broken.offender_count > 0 && !broken.offenders.is_empty(), "{sql}");
    }
    drop(temp);
}

async fn a_database_on_a_server_belongs_to_one_data_directory(backend: Backend) {
    let world = World::new(backend, JournalOptions::default()).await;
    let other = tempfile::tempdir().unwrap();
    let opening = Opening::begin(other.path(), &world.database, JournalOptions::default()).await;
    let error = opening.err().map(|error| error.to_string());
    match backend {
        Backend::Sqlite => assert_eq!(error, None),
        Backend::Postgres => {
            let error = error.unwrap();
            assert!(error.contains("belongs to another data directory"), "{error}");
        }
    }
}

/// The columns of the views are the same on both databases.
#[tokio::test]
async fn both_databases_have_the_same_views() {
    if !Backend::has_postgres() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (sqlite, postgres) =
        (Backend::Sqlite.fresh(dir.path()), Backend::Postgres.fresh(dir.path()));
    let (sqlite, postgres) =
        (sqlite.await.open().await.unwrap(), postgres.await.open().await.unwrap());
    let columns = "SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
                   WHERE m.type = 'view' ORDER BY 1";
    let ours: Vec<String> = sql::query_scalar(columns).fetch_all(&sqlite).await.unwrap();
    let columns = "SELECT table_name || '.' || column_name COLLATE \"C\"
                   FROM information_schema.columns JOIN information_schema.views
                   USING (table_schema, table_name) WHERE table_schema = 'public' ORDER BY 1";
    let theirs: Vec<String> = sql::query_scalar(columns).fetch_all(&postgres).await.unwrap();
    assert!(ours.len() > 30);
    assert_eq!(ours, theirs);
}
