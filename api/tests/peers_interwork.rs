//! What is done for peers, from the command to the switch's snapshot (S8).
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use serde_json::json;
use switch::interworking::{EarlyMedia, Reliability};
use vocabulary::{AccountId, TrunkId};
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(a_trunk_has_settings, an_account_has_codecs,);

async fn a_trunk_has_settings(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let trunk = json!({"name": "far", "account": "alice", "host": "192.0.2.9"});
    let id = TrunkId(world.made("/trunks", trunk).await["id"].as_u64().unwrap());
    let path = "/trunks/far/interworking";
    let mut expected = json!({
        "codecs": null, "early_media": "pass", "reliable_provisional": "supported",
        "may_transfer": false,
    });
    assert_eq!(world.ask("GET", path, None, String::new()).await, (200, expected.clone()));
    for (field, value) in [
        ("codecs", json!(["PCMA", "G729"])),
        ("early_media", json!("ringing")),
        ("reliable_provisional", json!("required")),
        ("may_transfer", json!(true)),
    ] {
        expected[field] = value.clone();
        let change = json!({field: value}).to_string();
        assert_eq!(world.ask("PATCH", path, None, change).await, (200, expected.clone()));
        assert_eq!(world.ask("GET", path, None, String::new()).await.1, expected);
    }
    {
        let published = world.control.published.lock().unwrap();
        let set = &published.last().unwrap().directory.trunk(id).unwrap().interworking;
        assert_eq!(set.codecs.as_ref().unwrap().to_string(), "PCMA,G729");
        assert_eq!(set.early_media, EarlyMedia::Ringing);
        assert_eq!(set.reliability, Reliability::Required);
        assert!(set.may_transfer);
    }
    for (field, wrong) in [
        ("codecs", json!([])),
        ("codecs", json!(["PCMA/8000"])),
        ("codecs", json!(["telephone-event"])),
        ("early_media", json!("loud")),
        ("reliable_provisional", json!("maybe")),
    ] {
        let answer = world.ask("PATCH", path, None, json!({field: wrong}).to_string()).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field), "{wrong}");
    }
    let all = json!({"codecs": null}).to_string();
    assert_eq!(world.ask("PATCH", path, None, all).await.1["codecs"], json!(null));
    assert_eq!(world.ask("DELETE", "/trunks/far", None, String::new()).await.0, 200);
}

async fn an_account_has_codecs(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let (_, account) = world.ask("GET", "/accounts/alice", None, String::new()).await;
    let id = AccountId(account["id"].as_u64().unwrap());
    let path = "/accounts/alice/codecs";
    for list in [json!(["opus", "PCMA"]), json!(["PCMA"]), json!(null)] {
        let set = json!({"codecs": list});
        let answer = world.ask("PATCH", path, None, set.to_string()).await;
        assert_eq!(answer, (200, set.clone()));
        assert_eq!(world.ask("GET", path, None, String::new()).await.1, set);
        let published = world.control.published.lock().unwrap();
        let row = published.last().unwrap().directory.account(id).unwrap().codecs.clone();
        let names = row.map(|codecs| codecs.names().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(json!(names), list);
    }
    let answer = world.ask("PATCH", path, None, json!({"codecs": ["a b"]}).to_string()).await;
    assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, "codecs"));
}
