//! By which rate groups messages are priced and over which trunks they go, from the command to the
//! snapshots that calls read.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use serde_json::json;
use vocabulary::TrunkId;
use world::backend::{Backend, on_both};
use world::world;

on_both!(messages_have_rate_groups_of_their_own, a_trunk_carries_messages_when_it_is_told_to);

async fn messages_have_rate_groups_of_their_own(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    world.made("/rate-groups", json!({"name": "texts", "currency": "EUR"})).await;
    let path = "/accounts/alice/messages";
    let mut expected = json!({"rate_group": null, "carrier_rate_group": null});
    assert_eq!(world.get(path).await, expected);
    for field in ["rate_group", "carrier_rate_group"] {
        expected[field] = json!("texts");
        let answer = world.ask("PATCH", path, None, json!({field: "texts"}).to_string()).await;
        assert_eq!(answer, (200, expected.clone()));
        assert_eq!(world.get(path).await, expected);
    }
    let alice = world.get("/accounts/alice").await["id"].as_u64().unwrap();
    let groups = || {
        let published = world.control.published.lock().unwrap();
        let tariff = published.last().unwrap().rate_book.tariff(vocabulary::AccountId(alice));
        tariff.map(|tariff| (tariff.message_group, tariff.carrier_message_group)).unwrap()
    };
    assert!(groups().0.is_some() && groups().0 == groups().1);
    let (status, answer) =
        world.ask("PATCH", path, None, json!({"rate_group": "none"}).to_string()).await;
    assert_eq!((status, &answer["field"]), (422, &json!("rate_group")), "{answer}");
    let (status, _) = world.ask("PATCH", path, None, json!({"rate_group": null}).to_string()).await;
    assert_eq!((status, groups().0), (200, None));
}

async fn a_trunk_carries_messages_when_it_is_told_to(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let new = json!({"name": "out", "account": "alice", "host": "192.0.2.9"});
    let id = TrunkId(world.made("/trunks", new).await["id"].as_u64().unwrap());
    let path = "/trunks/out/messages";
    assert_eq!(world.get(path).await, json!({"allowed": false}));
    let answer = world.ask("PATCH", path, None, json!({"allowed": true}).to_string()).await;
    assert_eq!(answer, (200, json!({"allowed": true})));
    assert_eq!(world.get(path).await, json!({"allowed": true}));
    let published = world.control.published.lock().unwrap();
    assert!(published.last().unwrap().directory.trunk(id).unwrap().carries_messages);
}
