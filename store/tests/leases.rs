//! Leases in PostgreSQL: many takers at once never lease more than there is, a late write of a node
//! takes no effect, a silent node keeps what it may have used, and one that is given up keeps nothing.
#![allow(clippy::unwrap_used)] // a test may

mod world;

use std::time::Duration;

use billing::{
    Bundle, BundleGrant, BundleId, BundleOf, LeaseAsk, LeaseAsks, Money, OpId, Seconds, SecondsAsk,
    SpendLimits, SpendPeriod, Wanted,
};
use store::directory::{Account, BillingKind, DirectoryStore};
use store::journal::JournalOptions;
use store::{
    Database, LeaseError, LeaseQuestion, Leases, Node, Opening, Taking, ledger_check, sql,
};
use tempfile::TempDir;
use vocabulary::{AccountId, Utc};
use world::World;
use world::backend::Backend;

/// A database with an account and these nodes.
async fn nodes(count: usize) -> (Vec<TempDir>, Database, AccountId, Vec<Node>) {
    let dirs: Vec<TempDir> = (0..count).map(|_| tempfile::tempdir().unwrap()).collect();
    let database = Backend::Postgres.fresh(dirs[0].path()).await;
    let mut nodes = Vec::new();
    for (number, dir) in dirs.iter().enumerate() {
        let node = world::node(&format!("node-{number}"));
        let options = JournalOptions::default();
        let opening = Opening::begin_as(Some(&node), dir.path(), &database, options).await.unwrap();
        nodes.push(opening.node().unwrap().clone());
    }
    let directory = DirectoryStore::open(&database).await.unwrap();
    let mut change = directory.begin().await.unwrap();
    let account = change
        .add_account(Account::new("shared", BillingKind::Prepaid, "EUR", Utc(0)))
        .await
        .unwrap()
        .id;
    change.commit().await.unwrap();
    (dirs, database, account, nodes)
}

/// What `posting` says is for others to check; here only the balance counts.
async fn pay_in(database: &Database, account: AccountId, micros: i64) {
    let pool = database.open().await.unwrap();
    let sql = "INSERT INTO account_balance (account_id, credits_posted) VALUES (?, ?) \
               ON CONFLICT (account_id) DO UPDATE SET \
               credits_posted = account_balance.credits_posted + excluded.credits_posted";
    sql::query(sql).bind(account.0.cast_signed()).bind(micros).execute(&pool).await.unwrap();
}

async fn number(database: &Database, sql: &str) -> i64 {
    let pool = database.open().await.unwrap();
    sql::query_scalar(sql).fetch_one(&pool).await.unwrap()
}

fn question(account: AccountId, granted: i64, claimed: i64, least: i64) -> LeaseQuestion {
    let (granted, claimed, least) = (Money(granted), Money(claimed), Money(least));
    let (wanted, spend) = (Wanted { granted, claimed, least }, SpendLimits::default());
    let ask = LeaseAsk { account, wanted, spend };
    LeaseQuestion { ask, windows: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_takers_never_lease_more_than_there_is() {
    if !Backend::has_postgres() {
        return;
    }
    let (_dirs, database, account, nodes) = nodes(5).await;
    pay_in(&database, account, 10_000).await;
    let tasks = nodes.into_iter().enumerate().map(|(seed, node)| {
        let database = database.clone();
        tokio::spawn(async move {
            let mut leases = Leases::new(database, node);
            let mut random = seed as u64 + 1;
            for _ in 0..60 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let wanted = i64::try_from(random >> 33).unwrap() % 6000;
                let asked = question(account, wanted, wanted / 2, wanted / 3);
                // A CHECK that failed would be an error here.
                let answers = leases.ask(&[asked], &[]).await.unwrap().money;
                let lease = answers.last().unwrap().lease;
                assert!(lease.claimed <= lease.granted && lease.granted <= Money(10_000));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let leased = number(&database, "SELECT max(leased) FROM account_balance").await;
    let of_nodes = "SELECT CAST(sum(granted - spent) AS BIGINT) FROM lease";
    assert_eq!(leased, number(&database, of_nodes).await);
    assert!((0..=10_000).contains(&leased), "{leased}");
}

/// V-11: a limit of spending is the reason only for the node that has all that it leaves; of what
/// another one has, it may yet give back.
#[tokio::test]
async fn who_has_all_that_a_limit_leaves_hears_that_it_is_the_reason() {
    if !Backend::has_postgres() {
        return;
    }
    let (_dirs, database, account, nodes) = nodes(2).await;
    pay_in(&database, account, 10_000).await;
    let [mut one, mut two] = [0, 1].map(|at| Leases::new(database.clone(), nodes[at].clone()));
    let asked = |granted: i64, claimed: i64| {
        let mut question = question(account, granted, claimed, claimed);
        question.ask.spend =
            SpendLimits { hour: None, day: Some(Money(2_000)), month: Some(Money(1_000)) };
        question.windows = Some([Utc(0)..Utc(5), Utc(0)..Utc(10), Utc(0)..Utc(100)]);
        [question]
    };
    let hears = async |leases: &mut Leases, granted, claimed| {
        let answers = leases.ask(&asked(granted, claimed), &[]).await.unwrap().money;
        let answer = *answers.last().unwrap();
        (answer.lease.granted.0, answer.limited_by)
    };
    assert_eq!(hears(&mut one, 400, 200).await, (400, None));
    assert_eq!(hears(&mut one, 1_200, 1_200).await, (1_000, Some(SpendPeriod::Month)));
    assert_eq!(hears(&mut two, 100, 100).await, (0, None));
    assert_eq!(hears(&mut one, 900, 900).await, (900, None));
}

#[tokio::test]
async fn a_late_write_takes_no_effect() {
    if !Backend::has_postgres() {
        return;
    }
    let (_dirs, database, account, nodes) = nodes(1).await;
    pay_in(&database, account, 1000).await;
    let mut late = Leases::new(database.clone(), nodes[0].clone());
    late.ask(&[question(account, 400, 200, 0)], &[]).await.unwrap();
    // Its node took it for lost, looked how things stand, and went on.
    let mut next = Leases::new(database.clone(), nodes[0].clone());
    let standing = next.ask(&[], &[]).await.unwrap().money;
    assert_eq!((standing[0].lease.granted, standing[0].lease.claimed), (Money(400), Money(200)));
    let outcome = late.ask(&[question(account, 0, 0, 0)], &[]).await;
    assert!(matches!(outcome, Err(LeaseError::Superseded)));
    assert_eq!(number(&database, "SELECT max(leased) FROM account_balance").await, 400);
    // An earlier start writes nothing at all.
    let earlier = Node { epoch: nodes[0].epoch - 1, ..nodes[0].clone() };
    let outcome = Leases::new(database.clone(), earlier).ask(&[], &[]).await;
    assert!(matches!(outcome, Err(LeaseError::Superseded)));
}

#[tokio::test]
async fn a_silent_node_keeps_what_it_may_have_used_until_it_is_given_up() {
    if !Backend::has_postgres() {
        return;
    }
    let (dirs, database, account, nodes) = nodes(2).await;
    pay_in(&database, account, 1000).await;
    let mut silent = Leases::new(database.clone(), nodes[0].clone());
    silent.ask(&[question(account, 400, 150, 0)], &[]).await.unwrap();
    let mut other = Leases::new(database.clone(), nodes[1].clone());
    assert_eq!(other.watch_others().await.unwrap(), (vec![], false));
    let directory = DirectoryStore::open(&database).await.unwrap();
    let early = directory.forget_node("node-0").await.unwrap_err().to_string();
    assert!(early.contains("stop it, or wait"), "{early}");

    let pool = database.open().await.unwrap();
    let past = "UPDATE node SET expires_at = expires_at - 600000000 WHERE name = 'node-0'";
    sql::query(past).execute(&pool).await.unwrap();
    assert_eq!(other.watch_others().await.unwrap(), (vec!["node-0".to_owned()], true));
    assert_eq!(number(&database, "SELECT max(leased) FROM account_balance").await, 150);
    let states = directory.nodes().await.unwrap();
    assert_eq!((states[0].state.as_str(), states[1].state.as_str()), ("down", "up"));
    assert_eq!(states[0].claimed, [("EUR".to_owned(), Money(150))]);

    // It may only have been paused: then it is back, with what it may have used and no more.
    let answers = loop {
        if let Ok(answers) = silent.ask(&[], &[]).await {
            break answers.money;
        }
    };
    assert_eq!((answers[0].lease.granted, answers[0].lease.claimed), (Money(150), Money(150)));
    assert_eq!(directory.nodes().await.unwrap()[0].state, "up");

    sql::query(past).execute(&pool).await.unwrap();
    let forgotten = directory.forget_node("node-0").await.unwrap();
    assert_eq!(forgotten.uncharged, [("EUR".to_owned(), Money(150))]);
    assert_eq!(number(&database, "SELECT max(leased) FROM account_balance").await, 0);
    assert!(matches!(silent.ask(&[], &[]).await, Err(LeaseError::Superseded)));
    let node = world::node("node-0");
    let options = JournalOptions::default();
    let back = Opening::begin_as(Some(&node), dirs[0].path(), &database, options).await;
    assert!(back.err().unwrap().to_string().contains("was given up"));
}

#[tokio::test]
async fn a_command_takes_money_once_and_on_one_node() {
    if !Backend::has_postgres() {
        return;
    }
    let (_dirs, database, account, nodes) = nodes(2).await;
    pay_in(&database, account, 1000).await;
    let mut one = Leases::new(database.clone(), nodes[0].clone());
    let mut other = Leases::new(database.clone(), nodes[1].clone());
    let op = OpId::outside(7);
    let (is_forced, is_own, is_payout) = (false, false, false);
    let taking = Taking { account, amount: Money(700), is_forced, is_own, is_payout };
    let taken = one.take(op, taking).await.unwrap().unwrap();
    assert_eq!((taken.lease.granted, taken.lease.claimed), (Money(700), Money(700)));
    let elsewhere = other.take(op, taking).await.unwrap_err().to_string();
    assert!(elsewhere.contains("\"node-0\" is carrying out this command"), "{elsewhere}");
    let refused = other.take(OpId::outside(8), taking).await.unwrap_err();
    assert!(matches!(refused, LeaseError::TooLittle { free: Money(300), .. }), "{refused}");
    // An operator may insist: the balance goes below zero, and nothing more is leased.
    let forced = Taking { is_forced: true, ..taking };
    other.take(OpId::outside(8), forced).await.unwrap();
    assert_eq!(number(&database, "SELECT max(leased) FROM account_balance").await, 1400);
    let answers = one.ask(&[question(account, 900, 900, 900)], &[]).await.unwrap().money;
    assert_eq!(answers.last().unwrap().lease.granted, Money(700));
}

/// A node's charges come off its lease in the commit that writes them, and its next start knows what
/// is left of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn charges_come_off_the_lease() {
    if !Backend::has_postgres() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let database = Backend::Postgres.fresh(dir.path()).await;
    let mut world = World::node(dir.path(), &database, "one").await;
    let node = world.store.node().unwrap().clone();
    let mut leases = Leases::new(database.clone(), node);
    world.top_up(1, Money::units(5));
    assert!(!world.open(1), "nothing is leased yet");
    world.store.flush().await;
    let asked = [question(AccountId(1), 2_000_000, 1_000_000, 0)];
    world.ledger.hear_leases(&leases.ask(&asked, &[]).await.unwrap().money);
    assert!(world.open(1));
    world.answer(0);
    world.advance(5);
    world.end(0);
    assert!(world.open(1));
    world.answer(0);
    world.advance(5);
    world.store.flush().await;
    let spent = number(&database, "SELECT max(spent) FROM lease").await;
    assert!(spent > 0);
    let leased = number(&database, "SELECT leased FROM account_balance WHERE account_id = 1").await;
    assert_eq!(leased, 2_000_000 - spent);
    let view = world.ledger.account(AccountId(1)).unwrap();
    assert_eq!(view.lease.unwrap().lease.spent, Money(spent));
    drop(world);

    let world = World::node(dir.path(), &database, "one").await;
    assert_eq!(world.store.report().closed.len(), 1);
    world.store.flush().await;
    let view = world.ledger.account(AccountId(1)).unwrap();
    let spent = Money(number(&database, "SELECT max(spent) FROM lease").await);
    assert_eq!(view.lease.unwrap().lease.spent, spent);
    assert_eq!(view.available(), Money(1_000_000 - spent.0));
    let report = ledger_check(dir.path(), &database).await.unwrap();
    let broken: Vec<_> = report.checks.iter().filter(|check| check.offender_count > 0).collect();
    assert!(broken.is_empty(), "{broken:?}");
    assert!(world.ledger.are_leases_held(Duration::from_secs(1 << 40)));
}

/// As its calls' costs get into the tables.
async fn earn(database: &Database, account: AccountId, micros: i64) {
    pay_in(database, account, micros).await;
    let pool = database.open().await.unwrap();
    let sql = "UPDATE account_balance SET owed = owed + ? WHERE account_id = ?";
    sql::query(sql).bind(micros).bind(account.0.cast_signed()).execute(&pool).await.unwrap();
}

/// The setting, as a command changes it.
async fn set_netted(database: &Database, is_netted: bool) {
    let directory = DirectoryStore::open(database).await.unwrap();
    let mut change = directory.begin().await.unwrap();
    let mut known = change.account("shared").await.unwrap();
    known.credit.is_netted = is_netted;
    change.set_account(&known).await.unwrap();
    change.commit().await.unwrap();
}

/// what a netted carrier is owed is leased to its own calls on every node, and nobody is paid
/// what is leased.
#[tokio::test]
async fn what_a_netted_carrier_is_owed_is_leased_to_its_calls() {
    if !Backend::has_postgres() {
        return;
    }
    let (_dirs, database, account, nodes) = nodes(2).await;
    pay_in(&database, account, 100).await;
    earn(&database, account, 1000).await;
    let mut one = Leases::new(database.clone(), nodes[0].clone());
    let mut other = Leases::new(database.clone(), nodes[1].clone());
    let hears = async |leases: &mut Leases, least| {
        let asked = [question(account, least, least, least)];
        let answer = *leases.ask(&asked, &[]).await.unwrap().money.last().unwrap();
        (answer.lease.granted.0, answer.left.0)
    };
    let pay_out = async |leases: &mut Leases, op, amount| {
        let (amount, is_forced, is_own) = (Money(amount), false, false);
        let taking = Taking { account, amount, is_forced, is_own, is_payout: true };
        leases.take(OpId::outside(op), taking).await
    };
    assert_eq!(hears(&mut one, 400).await, (100, 100));
    set_netted(&database, true).await;
    assert_eq!(hears(&mut one, 400).await, (400, 1100));
    // All of the rest is 700; owed are 1000.
    let refused = pay_out(&mut other, 1, 701).await.unwrap_err();
    assert!(matches!(refused, LeaseError::TooLittle { free: Money(700), .. }), "{refused}");
    let taken = pay_out(&mut other, 2, 600).await.unwrap().unwrap();
    assert_eq!(taken.lease.claimed, Money(600));
    assert_eq!(hears(&mut one, 900).await, (500, 1100));

    // What is out stays out when netting ends, and nothing more is leased.
    set_netted(&database, false).await;
    assert_eq!(hears(&mut one, 600).await, (500, 100));
    assert_eq!(hears(&mut one, 300).await, (300, 100));
    // Of a carrier that is not netted, what is owed is nobody's lease.
    let refused = pay_out(&mut other, 3, 1001).await.unwrap_err();
    assert!(matches!(refused, LeaseError::TooLittle { free: Money(1000), .. }), "{refused}");
    pay_out(&mut other, 4, 1000).await.unwrap();
}

const SECONDS_EACH: u32 = 600;

/// A node of the small world that has a bundle of ten minutes, or learns of it.
async fn world_of(dir: &std::path::Path, database: &Database, name: &str) -> (World, Leases) {
    let world = World::node(dir, database, name).await;
    let leases = world.store.leases().unwrap();
    (world, leases)
}

fn ten_minutes(world: &World, bundle: u64) -> BundleOf {
    let grant = BundleGrant {
        op: OpId::outside(u128::from(bundle) + 1_000_000),
        bundle: BundleId(bundle),
        account: AccountId(1),
        destinations: world::EVERYWHERE,
        seconds: SECONDS_EACH,
        increment: 60,
        precedence: 1,
        valid_from: Utc(0),
        valid_till: None,
        at: world.now.utc,
        note: "Free minutes".into(),
    };
    world.ledger.grant(grant, &*world.recorder).unwrap();
    BundleOf { account: AccountId(1), bundle: BundleId(bundle) }
}

fn seconds(of: BundleOf, granted: i64, claimed: i64, least: i64) -> SecondsAsk {
    let (granted, claimed, least) = (Seconds(granted), Seconds(claimed), Seconds(least));
    SecondsAsk { of, wanted: Wanted { granted, claimed, least } }
}

/// As the server's lease desk does: what the ledger asks, and what is answered.
async fn round(world: &World, leases: &mut Leases, asks: LeaseAsks) {
    let questions: Vec<LeaseQuestion> =
        asks.money.iter().map(|ask| LeaseQuestion { ask: *ask, windows: None }).collect();
    let answers = leases.ask(&questions, &asks.seconds).await.unwrap();
    world.ledger.learn_bundles(answers.new_bundles, world.now.utc);
    world.ledger.hear_leases(&answers.money);
    world.ledger.hear_seconds(&answers.seconds);
    world.ledger.seconds_not_found(&answers.not_found);
}

/// The connect fee of a call: bundles do not pay it.
async fn fee(world: &mut World, leases: &mut Leases) {
    world.sequence += 100 * world.store.node().unwrap().id.unsigned_abs();
    world.top_up(1, Money(10_000));
    world.store.flush().await;
    let held = world.ledger.account(AccountId(1)).unwrap().lease.unwrap().lease.granted.0 + 10_000;
    let money = vec![question(AccountId(1), held, held, held).ask];
    round(world, leases, LeaseAsks { money, ..LeaseAsks::default() }).await;
}

fn known(world: &World, of: BundleOf) -> Option<Bundle> {
    world.ledger.lock(&[of.account]).bundle(of.account, of.bundle).cloned()
}

async fn in_order(world: &World) {
    let report = ledger_check(&world.dir, &world.database).await.unwrap();
    let broken: Vec<_> = report.checks.iter().filter(|check| check.offender_count > 0).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

/// V-04, P-007: a bundle that one node gave is used on another one, up to its last second and no
/// further; what a call used is charged to the lease in the commit that writes it; that it is used up is
/// told once, by the last of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_use_a_bundle_up_together() {
    if !Backend::has_postgres() {
        return;
    }
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let database = Backend::Postgres.fresh(dirs[0].path()).await;
    let (mut one, mut of_one) = world_of(dirs[0].path(), &database, "one").await;
    let (mut two, mut of_two) = world_of(dirs[1].path(), &database, "two").await;
    let of = ten_minutes(&one, 7);
    // It is not in the tables yet.
    round(&one, &mut of_one, LeaseAsks::default()).await;
    one.store.flush().await;
    assert!(known(&two, of).is_none());
    round(&two, &mut of_two, LeaseAsks::default()).await;
    assert_eq!(known(&two, of).unwrap().left(), SECONDS_EACH);
    // A second time is none.
    assert!(of_two.ask(&[], &[]).await.unwrap().new_bundles.is_empty());

    // Who is not in the directory is told nothing.
    let pool = database.open().await.unwrap();
    let sql = "INSERT INTO account (id, name, billing, currency, created_at) \
               VALUES (1, 'alice', 'prepaid', 'EUR', 0)";
    sql::query(sql).execute(&pool).await.unwrap();

    // What node one has taken, node two does not get; there is no money but for two connect fees.
    fee(&mut one, &mut of_one).await;
    fee(&mut two, &mut of_two).await;
    let asked = LeaseAsks { seconds: vec![seconds(of, 300, 300, 300)], ..LeaseAsks::default() };
    round(&one, &mut of_one, asked).await;
    let asked = LeaseAsks { seconds: vec![seconds(of, 600, 600, 600)], ..LeaseAsks::default() };
    round(&two, &mut of_two, asked).await;
    assert_eq!(known(&two, of).unwrap().free(), 300);
    assert_eq!(number(&database, "SELECT leased_s FROM bundle").await, 600);
    for world in [&mut one, &mut two] {
        assert!(world.open(1));
        world.answer(0);
        for _ in 0..20 {
            world.advance(20);
            world.extend(0);
        }
        assert_eq!(world.live[0].grant, Duration::from_secs(300));
        world.end(0);
        world.store.flush().await;
        let events = "SELECT count(*) FROM account_event WHERE kind = 'bundle_exhausted'";
        let used = number(&database, "SELECT used_s FROM bundle").await;
        assert_eq!(number(&database, events).await, i64::from(used == 600));
        assert_eq!(number(&database, "SELECT leased_s FROM bundle").await, 600 - used);
        in_order(world).await;
    }
    assert_eq!(number(&database, "SELECT used_s FROM bundle").await, 600);
    assert!(!two.open(1), "nothing is left");

    // The next start of a node knows what it has used.
    drop(one);
    let (one, _) = world_of(dirs[0].path(), &database, "one").await;
    in_order(&one).await;
}

/// As with money: what a silent node cannot have used is free again, and the rest when it is given up.
/// A node that dies amid a call has used what the call had talked, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_node_keeps_the_seconds_that_it_may_have_used() {
    if !Backend::has_postgres() {
        return;
    }
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let database = Backend::Postgres.fresh(dirs[0].path()).await;
    let (mut one, mut of_one) = world_of(dirs[0].path(), &database, "one").await;
    let (two, mut of_two) = world_of(dirs[1].path(), &database, "two").await;
    let of = ten_minutes(&one, 7);
    one.store.flush().await;
    let asked = LeaseAsks { seconds: vec![seconds(of, 240, 120, 60)], ..LeaseAsks::default() };
    round(&one, &mut of_one, asked).await;
    fee(&mut one, &mut of_one).await;
    assert!(one.open(1));
    one.answer(0);
    one.advance(5);
    one.store.flush().await;
    let pool = database.open().await.unwrap();
    let past = "UPDATE node SET expires_at = expires_at - 600000000 WHERE name = 'one'";
    sql::query(past).execute(&pool).await.unwrap();
    of_two.watch_others().await.unwrap();
    assert_eq!(number(&database, "SELECT leased_s FROM bundle").await, 120);
    in_order(&two).await;
    // Back again, it closes the call: a minute was begun.
    drop((one, of_one));
    let (one, mut of_one) = world_of(dirs[0].path(), &database, "one").await;
    assert_eq!(one.store.report().closed.len(), 1);
    one.store.flush().await;
    assert_eq!(number(&database, "SELECT used_s FROM bundle").await, 60);
    assert_eq!(known(&one, of).unwrap().free(), 60);
    in_order(&one).await;
    // At the end of a node what is not used goes back.
    round(&one, &mut of_one, one.ledger.lease_asks_to_end()).await;
    assert_eq!(number(&database, "SELECT leased_s FROM bundle").await, 0);
    let asked = LeaseAsks { seconds: vec![seconds(of, 180, 180, 60)], ..LeaseAsks::default() };
    round(&one, &mut of_one, asked).await;
    sql::query(past).execute(&pool).await.unwrap();
    let directory = DirectoryStore::open(&database).await.unwrap();
    assert_eq!(directory.forget_node("one").await.unwrap().untold_seconds, 120);
    assert_eq!(number(&database, "SELECT leased_s FROM bundle").await, 0);
    in_order(&two).await;
}

/// A Tandem that had the database to itself becomes a node while a call holds minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seconds_used_before_there_were_nodes_are_covered() {
    if !Backend::has_postgres() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let database = Backend::Postgres.fresh(dir.path()).await;
    let mut alone = World::at(dir.path(), database.clone(), JournalOptions::default()).await;
    alone.top_up(1, Money::units(1));
    alone.store.flush().await;
    let of = ten_minutes(&alone, 7);
    assert!(alone.open(1));
    alone.answer(0);
    alone.advance(70);
    alone.extend(0);
    drop(alone);
    let database = world::backend::moved(&database, dir.path());
    let (world, _) = world_of(dir.path(), &database, "one").await;
    assert_eq!(world.store.report().closed.len(), 1);
    world.store.flush().await;
    let used = number(&database, "SELECT used_s FROM bundle").await;
    assert!(used > 0, "{used}");
    assert_eq!(number(&database, "SELECT leased_s FROM bundle").await, 0);
    assert_eq!(i64::from(known(&world, of).unwrap().left()), 600 - used);
    in_order(&world).await;
}

/// Nodes that lock accounts and bundles in any order do not stop each other, and nobody gets more than
/// there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_takers_never_lease_more_seconds_than_there_are() {
    if !Backend::has_postgres() {
        return;
    }
    let (_dirs, database, account, nodes) = nodes(4).await;
    pay_in(&database, account, 10_000).await;
    let pool = database.open().await.unwrap();
    for bundle in 1..=3 {
        let sql = "INSERT INTO bundle (id, op_id, account_id, destination_set_id, precedence, \
                   increment_s, valid_from, granted_s, granted_at, note) \
                   VALUES (?1, ?2, 1, 1, 1, 60, 0, 1000, 0, '')";
        let op = vec![u8::try_from(bundle).unwrap(); 16];
        sql::query(sql).bind(bundle).bind(op).execute(&pool).await.unwrap();
    }
    let tasks = nodes.into_iter().enumerate().map(|(seed, node)| {
        let database = database.clone();
        tokio::spawn(async move {
            let mut leases = Leases::new(database, node);
            let mut random = seed as u64 + 1;
            for _ in 0..60 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let wanted = i64::try_from(random >> 33).unwrap() % 900;
                let mut asked: Vec<SecondsAsk> = (1..=3)
                    .map(|bundle| BundleOf { account, bundle: BundleId(bundle) })
                    .map(|of| seconds(of, wanted, wanted / 2, wanted / 3))
                    .collect();
                if random & 1 << 40 == 0 {
                    asked.reverse();
                }
                let money = [question(account, wanted, wanted / 2, wanted / 3)];
                // A CHECK that failed, or a deadlock, would be an error here.
                let answers = leases.ask(&money, &asked).await.unwrap();
                for answer in answers.seconds {
                    let lease = answer.lease;
                    assert!(lease.claimed <= lease.granted && lease.granted <= Seconds(1000));
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let wrong = "SELECT count(*) FROM bundle b WHERE leased_s > granted_s OR leased_s <> \
                 (SELECT sum(granted_s - spent_s) FROM bundle_lease WHERE bundle_id = b.id)";
    assert_eq!(number(&database, wrong).await, 0);
}
