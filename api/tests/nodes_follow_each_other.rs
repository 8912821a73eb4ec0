//! Several nodes on one PostgreSQL: what a command of one has changed is what calls of another go by.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use std::path::Path;

use billing::{LeaseAsk, Money, SpendLimits, Wanted};
use serde_json::json;
use store::{LeaseQuestion, Leases};
use vocabulary::AccountId;
use world::World;
use world::backend::Backend;
use world::calls::Calling;

const TO: &str = "4930111";

/// Two nodes; the first has sold an account calls to Germany over a carrier.
async fn two() -> Option<(World, World, AccountId)> {
    if !Backend::has_postgres() {
        return None;
    }
    let database = Backend::Postgres.fresh(Path::new("unused")).await;
    let one = World::node("one", &database).await;
    let two = World::node("two", &database).await;
    for (group, row) in [("retail", "49,0.60"), ("cost", "49,0.10")] {
        one.made("/rate-groups", json!({"name": group, "currency": "EUR"})).await;
        one.sheet(group, row).await;
    }
    let account = json!({"name": "alice", "billing": "prepaid", "currency": "EUR",
        "rate_group": "retail"});
    one.made("/accounts", account).await;
    let carrier = json!({"name": "carrier", "billing": "postpaid", "currency": "EUR",
        "carrier_rate_group": "cost"});
    one.made("/accounts", carrier).await;
    one.made("/trunks", json!({"name": "c1", "account": "carrier", "host": "192.0.2.1"})).await;
    one.made("/routes", json!({"prefix": "49", "trunk": "c1"})).await;
    one.top_up("alice", "paid", "10").await;
    one.control.store.flush().await;
    let alice = one.id("alice").await;
    Some((one, two, alice))
}

/// As the server's lease desk does: five of the account's money, for the calls of this node.
async fn lease(world: &World, account: AccountId) {
    let node = world.control.store.node().unwrap().clone();
    let (five, spend) = (Money::units(5), SpendLimits::default());
    let wanted = Wanted { granted: five, claimed: five, least: five };
    let ask = LeaseAsk { account, wanted, spend };
    let question = LeaseQuestion { ask, windows: None };
    let answers = Leases::new(world.database.clone(), node).ask(&[question], &[]).await.unwrap();
    world.control.ledger.hear_leases(&answers.money);
}

/// What a minute costs that alice talks over this node, or why she does not.
async fn minute(world: &World, alice: AccountId) -> Result<String, &'static str> {
    let call = world.control.talk(Calling::new(alice, TO), 60).map_err(|(_, code)| code)?;
    world.control.store.flush().await;
    let story = world.directory.call_story(call).await.unwrap().unwrap();
    Ok(story.cdrs[0].amount.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_one_node_changes_calls_so_over_the_other() {
    let Some((one, two, alice)) = two().await else { return };
    assert!(two.control.snapshot().directory.account(alice).is_none(), "it is not heard of yet");
    two.api.take_changes().await.unwrap();
    assert!(two.control.snapshot().directory.account(alice).is_some());
    lease(&two, alice).await;
    assert_eq!(minute(&two, alice).await, Ok("0.600000".to_owned()));
    // Another price.
    one.control.advance(120_000_000);
    two.control.advance(60_000_000);
    one.sheet("retail", "49,1.20").await;
    assert_eq!(minute(&two, alice).await, Ok("0.600000".to_owned()), "it is not heard of yet");
    two.control.advance(60_000_000);
    two.api.take_changes().await.unwrap();
    assert_eq!(minute(&two, alice).await, Ok("1.200000".to_owned()));
    // No more calls, and calls again.
    for (status, expected) in
        [("blocked", Err("account_blocked")), ("active", Ok("1.200000".into()))]
    {
        assert_eq!(one.set("alice", json!({"status": status})).await.0, 200);
        two.api.take_changes().await.unwrap();
        assert_eq!(minute(&two, alice).await, expected);
    }
    two.check_books().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_begins_with_what_other_nodes_have_changed() {
    let Some((one, two, alice)) = two().await else { return };
    // The second node has not looked since: its own command does.
    assert_eq!(two.set("alice", json!({"calls_in_max": 2})).await.0, 200);
    let directory = two.control.snapshot().directory;
    assert!(directory.account(alice).is_some() && directory.routes(&TO.parse().unwrap()).is_some());
    // And the first hears of that one, which its own next command must not undo.
    assert_eq!(one.set("alice", json!({"allow_local": false})).await.0, 200);
    let account = one.get("/accounts/alice").await;
    assert_eq!((&account["calls_in_max"], &account["allow_local"]), (&json!(2), &json!(false)));
    for world in [&one, &two] {
        world.api.take_changes().await.unwrap();
        let shown = world.get("/accounts/alice").await;
        assert_eq!((&shown["calls_in_max"], &shown["allow_local"]), (&json!(2), &json!(false)));
    }
}
