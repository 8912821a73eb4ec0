//! Each charge and each payment of a prepaid account has one receipt, with a number that has no gap
//! before it, wherever the process dies.
#![allow(clippy::unwrap_used)] // a test may

mod world;

use std::path::Path;

use billing::Money;
use store::directory::DirectoryStore;
use store::journal::JournalOptions;
use store::receipt::{ReceiptFilter, StoredReceipt};
use store::{Database, sql};
use vocabulary::AccountId;
use world::World;
use world::backend::{Backend, on_both};

on_both!(
    each_movement_of_money_has_a_receipt,
    a_process_that_dies_leaves_no_gap_and_no_second_receipt,
    each_seller_counts_for_itself,
    only_accounts_that_want_receipts_get_them,
);

const BUYER: AccountId = AccountId(1);

/// An account of the directory; 2 belongs to nobody and wants none.
async fn known(database: &Database, id: i64, parent: Option<i64>, receipts: i64) {
    let pool = database.open().await.unwrap();
    let sql = "INSERT INTO account (id, name, billing, currency, created_at, parent_id, receipts) \
               VALUES (?, ?, 'prepaid', 'EUR', 0, ?, ?)";
    let query = sql::query(sql).bind(id).bind(format!("account {id}"));
    query.bind(parent).bind(receipts).execute(&pool).await.unwrap();
}

async fn buyer(backend: Backend) -> World {
    let world = World::new(backend, JournalOptions::default()).await;
    known(&world.database, 1, None, 1).await;
    world
}

async fn receipts(world: &World, filter: ReceiptFilter) -> Vec<StoredReceipt> {
    world.store.flush().await;
    let directory = DirectoryStore::open(&world.database).await.unwrap();
    directory.receipts(&filter).await.unwrap()
}

/// Number, kind, amount and balance after it.
async fn told(world: &World) -> Vec<(u64, String, Money, Money)> {
    let receipts = receipts(world, ReceiptFilter::default()).await;
    let told = |one: StoredReceipt| (one.number, one.kind, one.amount, one.balance_after);
    receipts.into_iter().map(told).collect()
}

fn pay(world: &mut World, account: u64, units: i64) {
    world.top_up(account, Money::units(units));
}

/// Each of them moves money of the account, but for those that let a call begin.
const STEPS: [fn(&mut World); 7] = [
    |world| pay(world, 1, 10),
    |world| assert!(world.open(1)),
    |world| world.answer(0),
    |world| {
        world.advance(6);
        world.end(0).unwrap();
    },
    |world| pay(world, 1, 2),
    |world| world.take(1, Money::units(1)),
    // What others pay is on none of its receipts.
    |world| pay(world, 2, 7),
];

/// Connect fee and six seconds at 0.6 a minute.
const CALL: Money = Money(70_000);

fn expected() -> Vec<(u64, String, Money, Money)> {
    let after_call = Money(10_000_000 - CALL.0);
    let row = |number, kind: &str, amount, balance| (number, kind.to_owned(), amount, balance);
    vec![
        row(1, "topup", Money::units(10), Money::units(10)),
        row(2, "charge", Money(-CALL.0), after_call),
        row(3, "topup", Money::units(2), Money(after_call.0 + 2_000_000)),
        row(4, "adjustment", Money::units(-1), Money(after_call.0 + 1_000_000)),
    ]
}

async fn each_movement_of_money_has_a_receipt(backend: Backend) {
    let mut world = buyer(backend).await;
    STEPS.iter().for_each(|step| step(&mut world));
    assert_eq!(told(&world).await, expected());
    let all = receipts(&world, ReceiptFilter::default()).await;
    assert!(all.iter().all(|one| one.account == BUYER && one.seller.is_none()));
    assert_eq!((&*all[0].note, &all[0].call), ("cash desk", &None));
    let call = all[1].call.as_ref().unwrap();
    assert_eq!(call.destination.as_deref(), Some("4930123456"));
    assert_eq!(call.talked.as_secs(), 6);
    // A page goes on behind the one before, and one receipt is found by its posting.
    let of = ReceiptFilter { account: Some(BUYER), ..ReceiptFilter::default() };
    let page = ReceiptFilter { after: Some((0, 2)), limit: 1, ..of.clone() };
    assert_eq!(receipts(&world, page).await, all[2..3]);
    let by_posting = ReceiptFilter { op_id: Some(all[3].op_id), ..of.clone() };
    assert_eq!(receipts(&world, by_posting).await, all[3..]);
    let paid_in = ReceiptFilter { kinds: vec!["topup".to_owned()], ..of.clone() };
    assert_eq!(receipts(&world, paid_in).await, [all[0].clone(), all[2].clone()]);
    let later = ReceiptFilter { from: Some(all[1].at), ..of.clone() };
    assert_eq!(receipts(&world, later).await, all[1..]);
    let before = ReceiptFilter { till: Some(all[1].at), ..of };
    assert_eq!(receipts(&world, before).await, all[..1]);
    check(&world).await;
}

async fn check(world: &World) {
    world.store.flush().await;
    let report = store::ledger_check(&world.dir, &world.database).await.unwrap();
    assert!(report.is_ok(), "{report:#?}");
    let receipts = report.checks.iter().find(|one| one.code == "receipts_are_counted").unwrap();
    assert!(receipts.count > 0);
}

/// The process dies, with the journal on disk and the tables wherever they are.
async fn killed(world: World) -> World {
    let (dir, database, now) = (world.dir.clone(), world.database.clone(), world.now);
    let (temp, sequence) = (world._temp, world.sequence);
    world.store.journal().close();
    drop((world.store, world.credit, world.recorder, world.ledger));
    let mut again = World::at(&dir, database, JournalOptions::default()).await;
    (again.now, again._temp, again.sequence) = (now, temp, sequence);
    again
}

async fn a_process_that_dies_leaves_no_gap_and_no_second_receipt(backend: Backend) {
    for tables_at in 0..=STEPS.len() {
        let mut world = buyer(backend).await;
        STEPS[..tables_at].iter().for_each(|step| step(&mut world));
        world.store.flush().await;
        STEPS[tables_at..].iter().for_each(|step| step(&mut world));
        let mut world = killed(world).await;
        assert_eq!(told(&world).await, expected(), "the tables were at step {tables_at}");
        // Its numbers go on, and no restart makes another one for what was before.
        world.top_up(1, Money::units(1));
        let world = killed(killed(world).await).await;
        let told = told(&world).await;
        assert_eq!((told.len(), told[4].0, told[4].1.as_str()), (5, 5, "topup"));
        check(&world).await;
    }
}

async fn each_seller_counts_for_itself(backend: Backend) {
    let mut world = buyer(backend).await;
    known(&world.database, 2, Some(1), 1).await;
    known(&world.database, 3, Some(1), 1).await;
    for account in [2, 1, 3, 2] {
        world.top_up(account, Money::units(1));
    }
    let all = receipts(&world, ReceiptFilter::default()).await;
    let place =
        |one: &StoredReceipt| (one.seller.map(|seller| seller.0), one.number, one.account.0);
    let places: Vec<_> = all.iter().map(place).collect();
    assert_eq!(places, [(None, 1, 1), (Some(1), 1, 2), (Some(1), 2, 3), (Some(1), 3, 2)]);
    assert_eq!(all[3].balance_after, Money::units(2));
    let ours = ReceiptFilter { seller: Some(None), ..ReceiptFilter::default() };
    assert_eq!(receipts(&world, ours).await, all[..1]);
    let theirs = ReceiptFilter { seller: Some(Some(BUYER)), number: Some(2), ..Default::default() };
    assert_eq!(receipts(&world, theirs).await, all[2..3]);
    check(&world).await;
}

async fn only_accounts_that_want_receipts_get_them(backend: Backend) {
    let mut world = buyer(backend).await;
    known(&world.database, 2, None, 0).await;
    world.top_up(2, Money::units(1));
    world.top_up(1, Money::units(1));
    world.store.flush().await;
    let pool = world.database.open().await.unwrap();
    let change = sql::query("UPDATE account SET receipts = 1 - receipts");
    change.execute(&pool).await.unwrap();
    world.top_up(1, Money::units(1));
    world.top_up(2, Money::units(1));
    let all = receipts(&world, ReceiptFilter::default()).await;
    let of: Vec<_> = all.iter().map(|one| (one.number, one.account.0, one.balance_after)).collect();
    assert_eq!(of, [(1, 1, Money::units(1)), (2, 2, Money::units(2))]);
}

/// Two journals, one series: neither leaves a gap, and each balance has what the other one booked before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_count_together() {
    if !Backend::has_postgres() {
        return;
    }
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let database = Backend::Postgres.fresh(dirs[0].path()).await;
    let node = async |dir: &Path, name| World::node(dir, &database, name).await;
    let mut one = node(dirs[0].path(), "one").await;
    let mut two = node(dirs[1].path(), "two").await;
    known(&database, 1, None, 1).await;
    // Other ids than the first one's.
    two.sequence = 5_000;
    for _ in 0..20 {
        for world in [&mut one, &mut two] {
            world.top_up(1, Money::units(1));
        }
    }
    tokio::join!(one.store.flush(), two.store.flush());
    let told = told(&one).await;
    let balances = (1..=40).map(Money::units);
    let expected = (1..=40)
        .zip(balances)
        .map(|(number, balance)| (number, "topup".to_owned(), Money::units(1), balance));
    assert_eq!(told, expected.collect::<Vec<_>>());
}
