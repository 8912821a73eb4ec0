//! How a trunk is asked whether it is there, from the command to the switch's snapshot, and what that
//! found from the switch to whoever reads (T4).
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use std::time::Duration;

use serde_json::{Value, json};
use switch::health::{Outcome, ProbePolicy};
use switch::upstream::{UpstreamState, UpstreamStatus};
use vocabulary::{TrunkId, Utc};
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(
    a_policy_is_set_shown_and_used,
    health_is_shown_and_its_changes_are_events,
    registrations_at_trunks_are_shown_with_their_health
);

/// A carrier's trunk; its id.
async fn trunk(world: &World) -> TrunkId {
    world.fill().await;
    let new = json!({"name": "out", "account": "alice", "host": "192.0.2.9"});
    TrunkId(world.made("/trunks", new).await["id"].as_u64().unwrap())
}

async fn a_policy_is_set_shown_and_used(backend: Backend) {
    let world = world(backend).await;
    let id = trunk(&world).await;
    let path = "/trunks/out/probe";
    let mut expected = json!({
        "enabled": false, "every_s": 30, "failures_max": 3, "successes_min": 2,
        "health": null, "health_since": null, "last_probe_at": null, "last_answer": null,
    });
    assert_eq!(world.get(path).await, expected);
    for (field, value) in [
        ("enabled", json!(true)),
        ("every_s", json!(60)),
        ("failures_max", json!(5)),
        ("successes_min", json!(1)),
    ] {
        expected[field] = value.clone();
        let answer = world.ask("PATCH", path, None, json!({field: value}).to_string()).await;
        assert_eq!(answer, (200, expected.clone()));
        assert_eq!(world.get(path).await, expected);
    }
    let policy = || {
        let published = world.control.published.lock().unwrap();
        published.last().unwrap().directory.trunk(id).unwrap().probe
    };
    let every = Duration::from_secs(60);
    assert_eq!(policy(), Some(ProbePolicy { every, failures_max: 5, successes_min: 1 }));

    for (field, value) in
        [("every_s", 4), ("every_s", 3601), ("failures_max", 0), ("successes_min", 101)]
    {
        let answer = world.ask("PATCH", path, None, json!({field: value}).to_string()).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field), "{value}");
    }
    // Off keeps the numbers.
    world.ask("PATCH", path, None, json!({"enabled": false}).to_string()).await;
    assert_eq!(policy(), None);
    assert_eq!(world.get(path).await["every_s"], 60);
    // Who has no address cannot be asked.
    let inward = json!({"name": "in", "account": "alice", "addresses": ["192.0.2.8"]});
    world.made("/trunks", inward).await;
    let body = json!({"enabled": true}).to_string();
    let answer = world.ask("PATCH", "/trunks/in/probe", None, body).await;
    assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, "enabled"));

    let gone = world.ask("DELETE", "/trunks/out", None, String::new()).await;
    assert_eq!(gone.0, 200, "{}", gone.1);
    assert_eq!(world.ask("GET", path, None, String::new()).await.0, 404);
}

async fn health_is_shown_and_its_changes_are_events(backend: Backend) {
    let world = world(backend).await;
    let id = trunk(&world).await;
    let health = &world.control.health;
    assert_eq!(world.get("/trunks/out").await["health"], Value::Null);
    let policy = ProbePolicy { failures_max: 2, successes_min: 1, ..ProbePolicy::default() };
    health.watch(id, policy);
    assert_eq!(world.get("/trunks/out").await["health"], "untested");
    let at = Utc(1_790_000_000_000_000);
    for _ in 0..2 {
        health.probed(at, id, Outcome::Status(503));
    }
    assert_eq!(world.get("/trunks/out").await["health"], "down");
    assert_eq!(world.get("/trunks").await["items"][0]["health"], "down");
    let shown = world.get("/trunks/out/probe").await;
    assert_eq!((&shown["health"], &shown["last_answer"]), (&json!("down"), &json!("503")));
    assert_eq!(shown["health_since"], shown["last_probe_at"]);
    assert!(shown["health_since"].as_str().unwrap().starts_with("2026-09-2"), "{shown}");
    health.probed(at, id, Outcome::Status(200));

    while let Some(change) = health.poll_change() {
        world.api.keep_trunk_event(change).await.unwrap();
    }
    let events = world.get("/accounts/alice/events").await;
    let told: Vec<_> = events["items"].as_array().unwrap().iter().rev().take(2).collect();
    assert_eq!((&told[1]["kind"], &told[0]["kind"]), (&json!("trunk_down"), &json!("trunk_up")));
    let why = "out: 2 OPTIONS in a row failed, the last with: 503";
    assert_eq!(told[1]["detail"], why);
}

async fn registrations_at_trunks_are_shown_with_their_health(backend: Backend) {
    // V-37
    let world = world(backend).await;
    let probed = trunk(&world).await;
    let new = json!({
        "name": "in", "account": "alice", "host": "192.0.2.8", "registers": true,
        "egress_username": "us", "egress_password": "xYz-4711-kq",
    });
    let id = TrunkId(world.made("/trunks", new).await["id"].as_u64().unwrap());
    world.made("/trunks", json!({"name": "idle", "account": "alice", "host": "192.0.2.7"})).await;
    world.ask("PATCH", "/trunks/out/probe", None, json!({"enabled": true}).to_string()).await;
    world.control.health.watch(probed, ProbePolicy::default());

    // Its first attempt is not over: nothing is known yet.
    let shown = world.get("/upstreams").await;
    let [out, into] = &shown["items"].as_array().unwrap()[..] else { panic!("{shown}") };
    assert_eq!((&out["trunk"], &out["registration"]), (&json!("out"), &Value::Null));
    assert_eq!((&out["health"], &out["username"]), (&json!("untested"), &Value::Null));
    assert_eq!((&into["trunk"], &into["username"]), (&json!("in"), &json!("us")));

    let at = Utc(1_790_000_000_000_000);
    world.control.upstreams.lock().unwrap().push(UpstreamStatus {
        trunk: id,
        state: UpstreamState::Failed,
        since: Some(at),
        expires_at: None,
        last: Some((at, Outcome::Status(403))),
        next_at: Some(at.plus(Duration::from_secs(60))),
        failures: 2,
    });
    let into = &world.get("/upstreams").await["items"][1];
    let expected = json!({
        "trunk": "in", "host": "192.0.2.8", "username": "us", "registration": "failed",
        "registration_since": into["last_answer_at"], "expires_at": null,
        "last_answer": "403", "last_answer_at": into["registration_since"],
        "next_try_at": into["next_try_at"], "failures": 2, "health": null,
        "health_since": null, "last_probe_answer": null, "last_probe_at": null,
    });
    assert_eq!(*into, expected);
    assert!(into["next_try_at"].as_str().unwrap().starts_with("2026-09-21T14:14:20"), "{into}");
}
