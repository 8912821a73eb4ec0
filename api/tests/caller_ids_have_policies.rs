//! The caller-ID policy of an account, from the command to the switch's and billing's snapshots.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use serde_json::json;
use switch::caller_id::CliPool;
use vocabulary::AccountId;
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(a_policy_is_set_shown_and_used, an_unknown_mode_is_told_with_the_known_ones,);

async fn a_policy_is_set_shown_and_used(backend: Backend) {
    //
    let world = world(backend).await;
    world.fill().await;
    world.made("/rate-groups", json!({"name": "dear", "currency": "EUR"})).await;
    let body = json!({"non_cli_rate_group": "dear"}).to_string();
    let (status, account) = world.ask("PATCH", "/accounts/alice", None, body).await;
    assert_eq!(status, 200, "{account}");
    let id = AccountId(account["id"].as_u64().unwrap());

    let path = "/accounts/alice/caller-id";
    assert_eq!(world.ask("GET", path, None, String::new()).await.1, json!({"pool": "off"}));
    let wanted = json!({"pool": "non_cli_unless_did"});
    assert_eq!(world.ask("PUT", path, None, wanted.to_string()).await, (200, wanted.clone()));
    assert_eq!(world.ask("GET", path, None, String::new()).await.1, wanted);

    let published = world.control.published.lock().unwrap();
    let snapshot = published.last().unwrap();
    let row = snapshot.directory.account(id).unwrap();
    assert_eq!(row.caller_id.pool, CliPool::NonCliUnlessDid);
    let tariff = snapshot.rate_book.tariff(id).unwrap();
    assert!(tariff.non_cli_group.is_some() && tariff.non_cli_group != tariff.customer_group);
}

async fn an_unknown_mode_is_told_with_the_known_ones(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let body = json!({"pool": "sometimes"}).to_string();
    let answer = world.ask("PUT", "/accounts/alice/caller-id", None, body).await;
    assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, "pool"));
    let detail = answer.1["detail"].as_str().unwrap();
    assert!(detail.contains("off, non_cli_unless_did, reject_unless_did"), "{detail}");
    let nobody = world.ask("GET", "/accounts/nobody/caller-id", None, String::new()).await;
    assert_eq!(nobody.0, 404);
}
