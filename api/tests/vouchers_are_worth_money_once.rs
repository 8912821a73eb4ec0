//! Vouchers and PIN batches: shown once, redeemed once, not guessed.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(
    codes_are_shown_once_and_differ,
    a_voucher_is_redeemed_by_one_account_once,
    a_voucher_claimed_before_a_crash_is_booked_after_it,
    withdrawn_late_and_guessed_codes_are_refused,
    batches_that_could_be_guessed_are_refused,
    a_batch_of_pins_opens_accounts_with_money_all_or_none,
);

async fn with_batch(backend: Backend, count: u32) -> (World, Vec<String>) {
    let world = world(backend).await;
    world.fill().await;
    let bob = json!({"name": "bob", "billing": "prepaid", "currency": "EUR"});
    world.made("/accounts", bob).await;
    let batch = json!({"name": "autumn", "count": count, "amount": "5", "currency": "EUR",
        "prefix": "77", "expires_at": "2026-12-01"});
    let batch = world.made("/voucher-batches", batch).await;
    let codes = batch["csv"].as_str().unwrap().lines().skip(1);
    let codes = codes.map(|line| line.split_once(',').unwrap().1.to_owned()).collect();
    (world, codes)
}

async fn redeem(world: &World, account: &str, code: &str) -> (u16, Value) {
    world.post(&format!("/accounts/{account}/vouchers"), json!({ "code": code })).await
}

async fn balance(world: &World, account: &str) -> String {
    world.get(&format!("/accounts/{account}")).await["balance"].as_str().unwrap().to_owned()
}

async fn codes_are_shown_once_and_differ(backend: Backend) {
    // V-12
    let (world, codes) = with_batch(backend, 200).await;
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 200);
    assert!(codes.iter().all(|code| code.len() == 16 && code.starts_with("77")));
    let list = world.get("/voucher-batches").await;
    assert_eq!(list["items"][0]["count"], 200);
    assert!(list["items"][0].get("csv").is_none());
    let body = json!({"name": "b", "count": 2, "amount": "1", "currency": "EUR"}).to_string();
    let first = world.ask("POST", "/voucher-batches", Some("k"), body.clone()).await;
    assert!(first.1["csv"].is_string());
    let again = world.ask("POST", "/voucher-batches", Some("k"), body).await;
    assert_eq!((again.0, &again.1["name"]), (201, &json!("b")));
    assert!(again.1.get("csv").is_none());
    // Neither the tables, if they are in files of ours, nor the journal tell one.
    world.control.store.flush().await;
    let holds = |bytes: &[u8]| bytes.windows(16).any(|window| window == codes[0].as_bytes());
    for folder in [world.dir.clone(), world.dir.join("journal")] {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            assert!(entry.is_dir() || !holds(&std::fs::read(&entry).unwrap()), "{entry:?}");
        }
    }
}

async fn a_voucher_is_redeemed_by_one_account_once(backend: Backend) {
    // P-025
    let (world, codes) = with_batch(backend, 3).await;
    let typed = format!(" {}-{} ", &codes[0][..8], &codes[0][8..]);
    let first = redeem(&world, "alice", &typed).await;
    assert_eq!((first.0, &first.1["amount"]), (201, &json!("5.000000")));
    assert_eq!(balance(&world, "alice").await, "5.000000");
    let again = redeem(&world, "alice", &codes[0]).await;
    assert_eq!(again.1, first.1);
    assert_eq!(balance(&world, "alice").await, "5.000000");
    let other = redeem(&world, "bob", &codes[0]).await;
    assert_eq!((World::told(&other).0, World::told(&other).2), (422, "code"));
    assert_eq!(balance(&world, "bob").await, "0.000000");
    assert_eq!(world.get("/voucher-batches").await["items"][0]["redeemed"], 1);
    let (a, b) = tokio::join!(redeem(&world, "alice", &codes[1]), redeem(&world, "bob", &codes[1]));
    assert_eq!([a.0, b.0].iter().filter(|status| **status == 201).count(), 1);
    let both = [balance(&world, "alice").await, balance(&world, "bob").await];
    assert!(both == ["10.000000", "0.000000"] || both == ["5.000000", "5.000000"], "{both:?}");
}

async fn a_voucher_claimed_before_a_crash_is_booked_after_it(backend: Backend) {
    use std::sync::atomic::Ordering::Relaxed;
    let (world, codes) = with_batch(backend, 1).await;
    world.control.loses_answers.store(true, Relaxed);
    assert_eq!(redeem(&world, "alice", &codes[0]).await.0, 201);
    world.control.loses_answers.store(false, Relaxed);
    world.control.advance(86_400_000_000);
    assert_eq!(world.post("/charges/run", json!({})).await.1["booked"], 1);
    assert_eq!(balance(&world, "alice").await, "5.000000");
}

async fn withdrawn_late_and_guessed_codes_are_refused(backend: Backend) {
    let (world, codes) = with_batch(backend, 3).await;
    for _ in 0..9 {
        assert_eq!(redeem(&world, "alice", "7700000000000000").await.0, 422);
    }
    // the right code is still taken before the tenth wrong one
    assert_eq!(redeem(&world, "alice", &codes[0]).await.0, 201);
    assert_eq!(redeem(&world, "alice", "7700000000000000").await.0, 422);
    let locked = redeem(&world, "alice", &codes[1]).await;
    assert_eq!(World::told(&locked).1, "too_many_attempts");
    assert_eq!(redeem(&world, "bob", &codes[1]).await.0, 201);
    world.control.advance(3_600_000_001);
    assert_eq!(world.post("/voucher-batches/autumn/void", json!({})).await.0, 200);
    let void = redeem(&world, "alice", &codes[2]).await;
    assert_eq!((void.0, World::told(&void).3), (422, "this code was withdrawn"));
    let late = json!({"name": "late", "count": 1, "amount": "1", "currency": "EUR", "expires_at": "2026-09-23"});
    let csv = world.made("/voucher-batches", late).await["csv"].as_str().unwrap().to_owned();
    world.control.advance(5 * 86_400_000_000);
    let code = csv.lines().nth(1).unwrap().split_once(',').unwrap().1;
    assert_eq!(World::told(&redeem(&world, "bob", code).await).3, "this code has expired");
}

async fn batches_that_could_be_guessed_are_refused(backend: Backend) {
    let (world, _) = with_batch(backend, 1).await;
    for (more, field) in [
        (json!({"length": 9}), "length"),
        (json!({"length": 40}), "length"),
        (json!({"prefix": "AB"}), "prefix"),
        (json!({"prefix": "ABO", "letters": true}), "prefix"),
        (json!({"count": 0}), "count"),
        (json!({"amount": "0"}), "amount"),
        (json!({"currency": "euro"}), "currency"),
        (json!({"expires_at": "2020-01-01"}), "expires_at"),
    ] {
        let mut body = json!({"name": "x", "count": 10_000, "amount": "1", "currency": "EUR"});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let answer = world.post("/voucher-batches", body).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field), "{more}");
    }
}

async fn a_batch_of_pins_opens_accounts_with_money_all_or_none(backend: Backend) {
    // V-12, A-14
    let (world, _) = with_batch(backend, 1).await;
    let (status, settings) =
        world.ask("PUT", "/pin-settings", None, json!({"pin_length": 12}).to_string()).await;
    assert_eq!((status, &settings["pin_length"]), (200, &json!(12)));
    let asked = json!({"name": "card", "count": 20, "currency": "EUR", "rate_group": "retail",
        "prefix": "5", "opening_balance": "3"});
    let batch = world.made("/pin-batches", asked.clone()).await;
    let rows: Vec<&str> = batch["csv"].as_str().unwrap().lines().skip(1).collect();
    let pins: BTreeSet<&str> = rows.iter().map(|row| row.rsplit_once(',').unwrap().1).collect();
    assert_eq!(pins.len(), 20);
    assert!(pins.iter().all(|pin| pin.len() == 12 && pin.starts_with('5')));
    assert_eq!(balance(&world, "card-00020").await, "3.000000");
    // the names are taken: nothing at all is opened
    let before = world.get("/accounts").await["items"].as_array().unwrap().len();
    let mut more = asked;
    more["count"] = 25.into();
    assert_eq!(world.post("/pin-batches", more).await.0, 409);
    assert_eq!(world.get("/accounts").await["items"].as_array().unwrap().len(), before);
    let pin = world.made("/accounts/alice/pin", json!({})).await;
    assert_eq!(pin["pin"].as_str().unwrap().len(), 12);
}
