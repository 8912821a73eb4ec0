//! What the ledger tells of accounts is in `account_event` once, wherever the process dies (P-007,
//! P-013).
#![allow(clippy::unwrap_used)] // a test may

mod world;

use std::path::Path;

use billing::{Currency, Ledger, Money, SpendLimits, Terms};
use store::directory::{DirectoryStore, EventFilter};
use store::journal::JournalOptions;
use store::{Database, sql};
use vocabulary::{AccountId, Utc};
use world::World;
use world::backend::{Backend, on_both};

on_both!(
    each_fall_is_told_once_and_so_is_the_end_of_it,
    what_the_tables_do_not_have_yet_is_told_after_a_crash,
    lists_are_cut_by_account_kind_and_place,
    a_limit_of_spending_is_told_once_a_day,
);

const POOR: AccountId = AccountId(1);

fn terms() -> Terms {
    let low_balance = [Some(Money::units(5)), Some(Money::units(1)), None, None];
    Terms { low_balance, ..Terms::prepaid(Currency::EUR) }
}

fn prepare(ledger: &Ledger) {
    ledger.set_terms(POOR, terms()).unwrap();
}

/// A prepaid account in the directory that is told below 5 and below 1.
async fn poor(backend: Backend) -> World {
    let world = World::new(backend, JournalOptions::default()).await;
    known(&world.database, 1, "poor").await;
    prepare(&world.ledger);
    world
}

async fn known(database: &Database, id: i64, name: &str) {
    let pool = database.open().await.unwrap();
    let sql = "INSERT INTO account (id, name, billing, currency, created_at) \
               VALUES (?, ?, 'prepaid', 'EUR', 0)";
    sql::query(sql).bind(id).bind(name.to_owned()).execute(&pool).await.unwrap();
}

async fn kinds(world: &World) -> Vec<String> {
    world.store.flush().await;
    let directory = DirectoryStore::open(&world.database).await.unwrap();
    let events = directory.account_events(&all()).await.unwrap();
    assert!(events.iter().all(|event| event.account == POOR && event.at > Utc(0)));
    events.into_iter().map(|event| event.kind).collect()
}

fn all() -> EventFilter {
    EventFilter { limit: 1000, ..EventFilter::default() }
}

/// The process dies, with the journal on disk and the tables wherever they are.
async fn killed(world: World) -> World {
    killed_with(world, prepare).await
}

async fn killed_with(world: World, prepare: impl FnOnce(&Ledger)) -> World {
    let (dir, database, now) = (world.dir.clone(), world.database.clone(), world.now);
    let (temp, sequence) = (world._temp, world.sequence);
    world.store.journal().close();
    drop((world.store, world.credit, world.recorder, world.ledger));
    let mut again = World::prepared(&dir, database, prepare).await;
    (again.now, again._temp, again.sequence) = (now, temp, sequence);
    again
}

fn pay(world: &mut World, units: i64) {
    world.top_up(1, Money::units(units));
}

/// One after the other: money comes, is talked away until a call is refused, and comes again.
const STEPS: [fn(&mut World); 8] = [
    |world| pay(world, 10),
    |world| assert!(world.open(1)),
    |world| world.answer(0),
    |world| (0..30).for_each(|_| world.extend(0)),
    |world| {
        world.advance(2_000);
        world.end(0).unwrap();
    },
    |world| assert!(!world.open(1)),
    |world| pay(world, 4),
    |world| pay(world, 4),
];

/// What is told by them: by the first extension that finds no more, by the end of the call, and by the
/// money that comes in.
const TOLD: [&str; 4] = ["credit_limit_reached", "low_balance", "low_balance", "balance_restored"];

async fn each_fall_is_told_once_and_so_is_the_end_of_it(backend: Backend) {
    let mut world = poor(backend).await;
    STEPS.iter().for_each(|step| step(&mut world));
    assert_eq!(kinds(&world).await, TOLD);
    let directory = DirectoryStore::open(&world.database).await.unwrap();
    let events = directory.account_events(&all()).await.unwrap();
    let money = |event: usize| (events[event].left.unwrap(), events[event].threshold);
    let (end, five) = (money(1).0, Some(Money::units(5)));
    assert_eq!((money(0), money(1), money(2).0), ((Money::units(10), None), (end, five), end));
    assert_eq!(money(3), (Money(end.0 + 4_000_000), None));
    assert!(end < Money(100_000) && events[1].detail.ends_with("EUR left, below 5.000000"));
    drop(directory);
    // A restart knows what was told, and that it is over.
    let mut world = killed(world).await;
    assert_eq!(kinds(&world).await, TOLD);
    assert_eq!(world.ledger.poll_event(), None);
    STEPS[1..].iter().for_each(|step| step(&mut world));
    assert_eq!(kinds(&world).await, [TOLD, TOLD].concat());
}

async fn what_the_tables_do_not_have_yet_is_told_after_a_crash(backend: Backend) {
    for tables_at in 0..=STEPS.len() {
        let mut world = poor(backend).await;
        STEPS[..tables_at].iter().for_each(|step| step(&mut world));
        world.store.flush().await;
        STEPS[tables_at..].iter().for_each(|step| step(&mut world));
        let world = killed(world).await;
        assert_eq!(kinds(&world).await, TOLD, "the tables were at step {tables_at}");
    }
    // It dies in between, and lives on: a call that it closes tells what its end tells.
    for dies_after in 1..STEPS.len() {
        let mut world = poor(backend).await;
        STEPS[..dies_after].iter().for_each(|step| step(&mut world));
        let was_live = !world.live.is_empty();
        let mut world = killed(world).await;
        assert_eq!(world.store.report().closed.len(), usize::from(was_live));
        // Another call talks away what the one that was closed has left.
        let next = if was_live { 1 } else { dies_after };
        STEPS[next..].iter().for_each(|step| step(&mut world));
        assert_eq!(kinds(&world).await, TOLD, "died after step {dies_after}");
    }
}

async fn lists_are_cut_by_account_kind_and_place(backend: Backend) {
    let mut world = poor(backend).await;
    STEPS.iter().for_each(|step| step(&mut world));
    // Nobody is told of an account that the directory does not have.
    assert!(!world.open(2));
    assert_eq!(kinds(&world).await, TOLD);
    known(&world.database, 3, "third").await;
    assert!(!world.open(3));
    world.store.flush().await;
    let directory = DirectoryStore::open(&world.database).await.unwrap();
    let ids = async |filter: EventFilter| {
        let events = directory.account_events(&filter).await.unwrap();
        events.into_iter().map(|event| (event.account.0, event.kind)).collect::<Vec<_>>()
    };
    let (low, limit) = ("low_balance".to_owned(), "credit_limit_reached".to_owned());
    let of_third = EventFilter { account: Some(AccountId(3)), ..all() };
    assert_eq!(ids(of_third).await, [(3, limit.clone())]);
    let kinds = vec![limit.clone(), low.clone()];
    let some = EventFilter { kinds: kinds.clone(), limit: 2, ..all() };
    assert_eq!(ids(some.clone()).await, [(1, limit.clone()), (1, low.clone())]);
    let last = directory.account_events(&some).await.unwrap()[1].id;
    let rest = EventFilter { kinds, after: last, ..all() };
    assert_eq!(ids(rest).await, [(1, low), (3, limit)]);
}

/// V-11: also by a process that has not told it itself.
async fn a_limit_of_spending_is_told_once_a_day(backend: Backend) {
    let spend = SpendLimits { hour: None, day: Some(Money(30_000)), month: None };
    let prepare = |ledger: &Ledger| {
        ledger.set_terms(POOR, Terms { spend, ..Terms::prepaid(Currency::EUR) }).unwrap();
    };
    let mut world = World::new(backend, JournalOptions::default()).await;
    known(&world.database, 1, "poor").await;
    prepare(&world.ledger);
    pay(&mut world, 10);
    for dies in [false, true, false] {
        // Connect fee and first slice are more.
        assert!(!world.open(1));
        assert_eq!(kinds(&world).await, ["spend_limit_reached"]);
        if dies {
            world = killed_with(world, prepare).await;
        }
    }
    let directory = DirectoryStore::open(&world.database).await.unwrap();
    let event = &directory.account_events(&all()).await.unwrap()[0];
    assert_eq!((event.threshold, event.left), (Some(Money(30_000)), None));
    assert_eq!(event.detail, "the limit of the day, 0.030000 EUR, is reached");
    world.advance(86_400);
    assert!(!world.open(1));
    assert_eq!(kinds(&world).await, ["spend_limit_reached", "spend_limit_reached"]);
}

/// Each of several nodes sees the account fall below a threshold: one tells it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_nodes_see_is_told_once() {
    if !Backend::has_postgres() {
        return;
    }
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let database = Backend::Postgres.fresh(dirs[0].path()).await;
    let node = async |dir: &Path, name| {
        let world = World::node(dir, &database, name).await;
        prepare(&world.ledger);
        world
    };
    let mut one = node(dirs[0].path(), "one").await;
    let mut two = node(dirs[1].path(), "two").await;
    known(&database, 1, "poor").await;
    // Other ids than the first one's.
    two.sequence = 5_000;
    // Each knows of ten, takes six, and has not heard of the other.
    for world in [&mut one, &mut two] {
        world.top_up(1, Money::units(10));
        world.store.flush().await;
    }
    for world in [&mut one, &mut two] {
        world.take(1, Money::units(6));
        assert_eq!(world.ledger.poll_event().unwrap().code(), "low_balance");
        assert_eq!(kinds(world).await, ["low_balance"]);
    }
    // What comes in between makes it another fall.
    for world in [&mut one, &mut two] {
        world.top_up(1, Money::units(6));
        world.store.flush().await;
    }
    one.take(1, Money::units(6));
    assert_eq!(kinds(&one).await, ["low_balance", "low_balance"]);
}
