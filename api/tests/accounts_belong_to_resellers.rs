//! Numbers, resellers, sites and the operator's own fields.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use serde_json::{Value, json};
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(
    every_account_has_a_number_of_its_own,
    resellers_form_chains_without_rings_of_at_most_six_levels,
    a_reseller_blocks_and_closes_its_own_and_nobody_elses,
    sites_belong_to_an_account_and_calls_to_a_site,
    fields_around_the_money_are_kept_and_checked,
);

async fn open(world: &World, name: &str, more: Value) -> (u16, Value) {
    let mut body = json!({"name": name, "billing": "prepaid", "currency": "EUR"});
    for (field, value) in more.as_object().unwrap() {
        body[field] = value.clone();
    }
    world.post("/accounts", body).await
}

async fn patch(world: &World, name: &str, body: Value) -> (u16, Value) {
    world.ask("PATCH", &format!("/accounts/{name}"), None, body.to_string()).await
}

async fn every_account_has_a_number_of_its_own(backend: Backend) {
    //
    let world = world(backend).await;
    let drawn = open(&world, "a", json!({})).await.1["number"].as_str().unwrap().to_owned();
    assert!(
        drawn.len() == 10
            && drawn.bytes().all(|byte| byte.is_ascii_digit())
            && !drawn.starts_with('0')
    );
    let chosen = open(&world, "b", json!({"number": "0123456789"})).await;
    assert_eq!(chosen.1["number"], "0123456789");
    let phone = open(&world, "c", json!({"number": "+12056055576"})).await;
    assert_eq!(phone.1["number"], "2056055576");
    let again = open(&world, "d", json!({"number": "2056055576"})).await;
    assert_eq!(World::told(&again).0, 409);
    assert_eq!(World::told(&again).2, "number");
    let short = open(&world, "d", json!({"number": "123"})).await;
    assert_eq!((World::told(&short).0, World::told(&short).2), (422, "number"));
}

async fn resellers_form_chains_without_rings_of_at_most_six_levels(backend: Backend) {
    let world = world(backend).await;
    for level in 0..6 {
        let parent = if level == 0 { Value::Null } else { json!(format!("l{}", level - 1)) };
        let answer = open(&world, &format!("l{level}"), json!({"parent": parent})).await;
        assert_eq!(answer.0, 201, "{}", answer.1);
    }
    let seventh = open(&world, "l6", json!({"parent": "l5"})).await;
    assert_eq!((World::told(&seventh).0, World::told(&seventh).2), (422, "parent"));
    let ring = patch(&world, "l0", json!({"parent": "l3"})).await;
    assert_eq!((World::told(&ring).0, World::told(&ring).2), (422, "parent"));
    let own = patch(&world, "l0", json!({"parent": "l0"})).await;
    assert_eq!(World::told(&own).0, 422);
    // a chain of two below a chain of six would make eight
    assert_eq!(open(&world, "x", json!({})).await.0, 201);
    assert_eq!(open(&world, "y", json!({"parent": "x"})).await.0, 201);
    assert_eq!(patch(&world, "x", json!({"parent": "l4"})).await.0, 422);
    assert_eq!(patch(&world, "x", json!({"parent": "l3"})).await.0, 200);
    let body = json!({"name": "usd", "billing": "prepaid", "currency": "USD", "parent": "l0"});
    assert_eq!(World::told(&world.post("/accounts", body).await).2, "parent");
    let closed = patch(&world, "l0", json!({"status": "closed"})).await;
    assert_eq!(World::told(&closed).0, 409);
}

async fn a_reseller_blocks_and_closes_its_own_and_nobody_elses(backend: Backend) {
    // P-026
    let world = world(backend).await;
    for (name, parent) in [
        ("top", Value::Null),
        ("mid", json!("top")),
        ("leaf", json!("mid")),
        ("other", Value::Null),
    ] {
        assert_eq!(open(&world, name, json!({"parent": parent})).await.0, 201);
    }
    let block = |reseller: &str| json!({"status": "blocked", "as_reseller": reseller});
    assert_eq!(patch(&world, "leaf", block("top")).await.1["status"], "blocked");
    assert_eq!(
        patch(&world, "leaf", json!({"status": "active", "as_reseller": "mid"})).await.0,
        200
    );
    for (account, reseller) in [("leaf", "other"), ("mid", "leaf"), ("top", "top")] {
        assert_eq!(patch(&world, account, block(reseller)).await.0, 403, "{account} by {reseller}");
    }
    let limit = patch(&world, "leaf", json!({"calls_in_max": 9, "as_reseller": "mid"})).await;
    assert_eq!(World::told(&limit).2, "calls_in_max");
    assert_eq!(
        patch(&world, "leaf", json!({"status": "closed", "as_reseller": "mid"})).await.0,
        200
    );
    let events = world.get("/accounts/leaf/events").await;
    let kinds: Vec<&str> =
        events["items"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["created", "blocked", "unblocked", "closed"]);
    assert_eq!(world.get("/events?after=4").await["items"].as_array().unwrap().len(), 3);
}

async fn sites_belong_to_an_account_and_calls_to_a_site(backend: Backend) {
    // J-18, J-11
    let world = world(backend).await;
    world.fill().await;
    world.made("/accounts/alice/sites", json!({"name": "Berlin"})).await;
    let twice = world.post("/accounts/alice/sites", json!({"name": "Berlin"})).await;
    assert_eq!(World::told(&twice).0, 409);
    let trunk = json!({"name": "t", "account": "alice", "host": "192.0.2.1", "site": "Berlin",
        "friendly_name": "Berlin PBX"});
    let trunk = world.made("/trunks", trunk).await;
    assert_eq!((&trunk["site"], &trunk["friendly_name"]), (&json!("Berlin"), &json!("Berlin PBX")));
    let phone =
        json!({"username": "p", "password": "long enough 1", "account": "alice", "site": "Ulm"});
    assert_eq!(World::told(&world.post("/subscribers", phone).await).2, "site");
    let used = world.ask("DELETE", "/accounts/alice/sites/Berlin", None, String::new()).await;
    assert_eq!(used.0, 409);
    let moved = world.ask("PATCH", "/trunks/t", None, json!({"site": null}).to_string()).await;
    assert_eq!((moved.0, &moved.1["site"]), (200, &Value::Null));
    let gone = world.ask("DELETE", "/accounts/alice/sites/Berlin", None, String::new()).await;
    assert_eq!(gone.0, 200);
}

async fn fields_around_the_money_are_kept_and_checked(backend: Backend) {
    // P-014, T5, V-11
    let world = world(backend).await;
    world.fill().await;
    let change = json!({"time_zone": "Europe/Berlin", "billing_day": 31, "loss_percent_max": "2.5",
        "non_cli_rate_group": "retail", "custom": {"crm": "4711", "phoneid": "x"},
        "call_seconds_max": 90});
    let (status, account) = patch(&world, "alice", change.clone()).await;
    assert_eq!(status, 200, "{account}");
    for (field, value) in change.as_object().unwrap() {
        assert_eq!(&account[field], value, "{field}");
    }
    let account = patch(&world, "alice", json!({"custom": {"crm": null}})).await.1;
    assert_eq!(account["custom"], json!({"phoneid": "x"}));
    for (field, value) in [
        ("time_zone", json!("Berlin")),
        ("billing_day", json!(32)),
        ("call_seconds_max", json!(0)),
        ("loss_percent_max", json!("-1")),
        ("non_cli_rate_group", json!("none")),
        ("custom", json!({"a\nb": "x"})),
    ] {
        let answer = patch(&world, "alice", json!({ field: value })).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field));
    }
}
