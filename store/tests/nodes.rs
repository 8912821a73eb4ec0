//! Several nodes on one database: each follows its own journal, none takes another's place, and the
//! books of all of them add up.
#![allow(clippy::unwrap_used)] // a test may

mod world;

use std::collections::BTreeSet;

use billing::{LeaseAsk, Money, SpendLimits, Wanted};
use store::journal::JournalOptions;
use store::query::{self, CdrFilter};
use store::{LeaseQuestion, Leases, Opening, ledger_check, sql};
use vocabulary::AccountId;
use world::World;
use world::backend::{Backend, moved};

async fn check(world: &World) {
    let report = ledger_check(&world.dir, &world.database).await.unwrap();
    let broken: Vec<_> = report.checks.iter().filter(|check| check.offender_count > 0).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

/// A call that has ended and one that goes on, of money that a node has leased.
async fn work(world: &mut World, account: u64) {
    world.top_up(account, Money::units(5));
    if let Some(node) = world.store.node().cloned() {
        world.store.flush().await;
        let known = world.ledger.account(AccountId(account)).unwrap().lease.unwrap().lease;
        let more = Money(known.granted.0 + 2_000_000);
        let (account, spend) = (AccountId(account), SpendLimits::default());
        let wanted = Wanted { granted: more, claimed: more, least: more };
        let ask = LeaseAsk { account, wanted, spend };
        let question = LeaseQuestion { ask, windows: None };
        let mut leases = Leases::new(world.database.clone(), node);
        world.ledger.hear_leases(&leases.ask(&[question], &[]).await.unwrap().money);
    }
    for _ in 0..2 {
        assert!(world.open(account));
        world.answer(world.live.len() - 1);
    }
    world.advance(7);
    world.end(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_a_database_and_keep_their_journals_apart() {
    if !Backend::has_postgres() {
        return;
    }
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Backend::Postgres.fresh(one.path()).await;
    let mut first = World::node(one.path(), &database, "one").await;
    let mut second = World::node(other.path(), &database, "two").await;
    // The ids of payments count up here; a server claims each for its node before.
    second.sequence = 1000;
    assert_ne!(first.store.start_number(), second.store.start_number());
    work(&mut first, 1).await;
    work(&mut second, 2).await;
    // Old enough to be stored apart from the journal.
    first.advance(90);
    second.advance(90);
    work(&mut first, 1).await;
    work(&mut second, 2).await;
    first.store.flush().await;
    second.store.flush().await;
    check(&first).await;
    check(&second).await;
    let starts = BTreeSet::from([first.store.start_number(), second.store.start_number()]);

    // Node "two" dies with calls under way; its next start closes those, and no others.
    let live = second.live.len();
    drop(second);
    let second = World::node(other.path(), &database, "two").await;
    assert!(!starts.contains(&second.store.start_number()));
    assert_eq!(second.store.report().closed.len(), live);
    assert_eq!(second.store.node().unwrap().epoch, 2);
    second.store.flush().await;
    check(&first).await;
    check(&second).await;
    let cdrs = query::cdrs(second.store.pool(), &CdrFilter::default()).await.unwrap();
    let legs: BTreeSet<_> = cdrs.iter().map(|cdr| (cdr.call, cdr.leg)).collect();
    assert_eq!((cdrs.len(), legs.len()), (2 * (2 + 2 + live), cdrs.len()));
    assert_eq!(first.live.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_the_place_of_a_node() {
    if !Backend::has_postgres() {
        return;
    }
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Backend::Postgres.fresh(one.path()).await;
    World::node(one.path(), &database, "one").await.store.close().await.unwrap();
    let refused = async |dir: &std::path::Path, name: Option<&str>| {
        let node = name.map(world::node);
        let options = JournalOptions::default();
        let opening = Opening::begin_as(node.as_ref(), dir, &database, options).await;
        opening.err().unwrap().to_string()
    };
    let error = refused(other.path(), Some("one")).await;
    assert!(error.contains("\"one\" is another data directory"), "{error}");
    let error = refused(one.path(), Some("uno")).await;
    assert!(error.contains("is node \"one\"; write that name"), "{error}");
    let error = refused(one.path(), None).await;
    assert!(error.contains("is shared by nodes; write [node] name"), "{error}");
    let error = refused(other.path(), None).await;
    assert!(error.contains("is shared by nodes"), "{error}");
    let file = store::DataPaths::new(other.path()).database();
    let node = world::node("two");
    let options = JournalOptions::default();
    let opening = Opening::begin_as(Some(&node), other.path(), &file, options).await;
    assert!(opening.err().unwrap().to_string().contains("need PostgreSQL"));
}

/// A Tandem that had the database to itself becomes its first node, and others may come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tandem_alone_becomes_the_first_node() {
    if !Backend::has_postgres() {
        return;
    }
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Backend::Postgres.fresh(one.path()).await;
    let mut alone = World::at(one.path(), database.clone(), JournalOptions::default()).await;
    work(&mut alone, 1).await;
    alone.store.flush().await;
    let options = JournalOptions::default();
    let early =
        Opening::begin_as(Some(&world::node("two")), other.path(), &database, options).await;
    assert!(early.err().unwrap().to_string().contains("belongs to another data directory"));
    let start = alone.store.start_number();
    drop(alone);
    let database = moved(&database, one.path());
    let first = World::node(one.path(), &database, "one").await;
    assert_eq!(first.store.report().closed.len(), 1);
    let second = World::node(other.path(), &database, "two").await;
    assert!(start < first.store.start_number());
    assert!(first.store.start_number() < second.store.start_number());
    first.store.flush().await;
    check(&first).await;
    check(&second).await;
}

/// What an earlier start of a node still wants to write is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_start_writes_no_more() {
    if !Backend::has_postgres() {
        return;
    }
    let one = tempfile::tempdir().unwrap();
    let database = Backend::Postgres.fresh(one.path()).await;
    let mut first = World::node(one.path(), &database, "one").await;
    first.store.flush().await;
    let pool = first.store.pool().clone();
    // As a second process on a copy of the directory would.
    let sql = "UPDATE applied SET epoch = epoch + 1";
    sql::query(sql).execute(&pool).await.unwrap();
    first.top_up(1, Money::units(1));
    first.store.journal().request_durable(first.store.journal().end());
    while first.store.projection().failures() == 0 {
        tokio::task::yield_now().await;
    }
    let count = "SELECT count(*) FROM posting";
    let postings: i64 = sql::query_scalar(count).fetch_one(&pool).await.unwrap();
    assert_eq!(postings, 0);
}
