//! What happened to accounts, as whoever follows it reads it (P-007, P-013).
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use serde_json::{Value, json};
use world::backend::{Backend, on_both};
use world::calls::Calling;
use world::{World, world};

on_both!(
    events_of_money_and_of_commands_are_one_list,
    a_raised_limit_lets_an_account_call_again,
    another_rate_group_is_told_of,
    a_limit_of_spending_is_told_of_and_is_over_the_next_day,
);

async fn events(world: &World, query: &str) -> Vec<Value> {
    world.get(&format!("/events{query}")).await["items"].as_array().unwrap().clone()
}

async fn kinds(world: &World, query: &str) -> Vec<String> {
    let events = events(world, query).await;
    events.iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
}

async fn poor(backend: Backend) -> World {
    let world = world(backend).await;
    let account = json!({"name": "poor", "billing": "prepaid", "currency": "EUR",
        "low_balance": ["5", "1"]});
    world.made("/accounts", account).await;
    world.top_up("poor", "in", "10").await;
    world
}

async fn events_of_money_and_of_commands_are_one_list(backend: Backend) {
    let world = poor(backend).await;
    world.set("poor", json!({"status": "blocked"})).await;
    world.top_up("poor", "out", "-7").await;
    // The process dies: what the journal has told and the tables do not have yet is not lost.
    let world = world.crashed().await;
    assert_eq!(kinds(&world, "").await, ["created", "blocked", "low_balance"]);
    assert_eq!(kinds(&world, "?kind=low_balance,created").await, ["created", "low_balance"]);
    let low = &events(&world, "?account=poor&kind=low_balance").await[0];
    assert_eq!(low["left"], "3.000000");
    assert_eq!(low["threshold"], "5.000000");
    assert_eq!(low["detail"], "3.000000 EUR left, below 5.000000");
    let page = world.get("/accounts/poor/events?limit=2").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let next = page["next"].as_str().unwrap();
    assert_eq!(kinds(&world, &format!("?after={next}")).await, ["low_balance"]);
    let (status, told) = world.ask("GET", "/events?kind=low_balanse", None, String::new()).await;
    assert_eq!((status, &told["field"]), (422, &json!("kind")));
    assert!(told["detail"].as_str().unwrap().contains("low_balance, credit_limit_reached"));
    assert_eq!(world.ask("GET", "/events?account=nobody", None, String::new()).await.0, 404);
}

async fn a_raised_limit_lets_an_account_call_again(backend: Backend) {
    let world = world(backend).await;
    for (group, row) in [("retail", "49,0.60"), ("cost", "49,0.10")] {
        world.made("/rate-groups", json!({"name": group, "currency": "EUR"})).await;
        world.sheet(group, row).await;
    }
    let account = |name: &str, group: &str, rates: &str| json!({"name": name, "billing": "postpaid", "currency": "EUR", group: rates});
    world.made("/accounts", account("late", "rate_group", "retail")).await;
    world.made("/accounts", account("carrier", "carrier_rate_group", "cost")).await;
    let trunk = json!({"name": "c1", "account": "carrier", "host": "192.0.2.1"});
    world.made("/trunks", trunk).await;
    world.made("/routes", json!({"prefix": "49", "trunk": "c1"})).await;
    let late = Calling::new(world.id("late").await, "4930111");
    for _ in 0..2 {
        assert_eq!(world.control.talk(late, 60).unwrap_err().1, "insufficient_credit");
    }
    let told = ["created", "credit_limit_reached", "balance_restored"];
    assert_eq!(kinds(&world, "?account=late").await, told[..2]);
    // Neither the process that raised it nor the next forgets it, or says it twice.
    world.set("late", json!({"credit_limit": "20"})).await;
    let world = world.crashed().await;
    assert_eq!(kinds(&world, "?account=late").await, told);
    assert!(world.control.talk(late, 60).is_ok());
    let world = world.crashed().await;
    assert_eq!(kinds(&world, "?account=late").await, told);
}

async fn a_limit_of_spending_is_told_of_and_is_over_the_next_day(backend: Backend) {
    let world = poor(backend).await;
    for (group, row) in [("retail", "49,0.60"), ("cost", "49,0.10")] {
        world.made("/rate-groups", json!({"name": group, "currency": "EUR"})).await;
        world.sheet(group, row).await;
    }
    world.set("poor", json!({"rate_group": "retail", "spend_day_max": "0.60"})).await;
    let carrier = json!({"name": "carrier", "billing": "postpaid", "currency": "EUR",
        "carrier_rate_group": "cost", "credit_limit": "10"});
    world.made("/accounts", carrier).await;
    world.made("/trunks", json!({"name": "c1", "account": "carrier", "host": "192.0.2.1"})).await;
    world.made("/routes", json!({"prefix": "49", "trunk": "c1"})).await;
    let poor = Calling::new(world.id("poor").await, "4930111");
    world.control.talk(poor, 60).unwrap();
    for _ in 0..2 {
        assert_eq!(world.control.talk(poor, 60).unwrap_err().1, "spend_limit_reached");
    }
    let world = world.crashed().await;
    let told = events(&world, "?kind=spend_limit_reached").await;
    assert_eq!((told.len(), &told[0]["threshold"]), (1, &json!("0.600000")));
    let thought = "/simulate?from=poor&to=4930111";
    let call = world.get(thought).await;
    assert_eq!(
        (&call["would_be_placed"], &call["refusal"]["code"]),
        (&json!(false), &json!("spend_limit_reached"))
    );
    // Nobody has called yet on the next day.
    world.control.advance(86_400_000_000);
    assert_eq!(world.get(thought).await["would_be_placed"], true);
}

async fn another_rate_group_is_told_of(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let gold = json!({"name": "gold", "currency": "EUR"});
    world.made("/rate-groups", gold).await;
    world.set("alice", json!({"rate_group": "gold"})).await;
    world.set("alice", json!({"rate_group": "gold"})).await;
    let told = events(&world, "?account=alice&kind=rates_changed").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["detail"], "retail to gold");
}
