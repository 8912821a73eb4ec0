//! SIP traces from the command to the switch, and back to whoever looks at them (V-39).
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use std::time::Duration;

use api::NewTrace;
use serde_json::{Value, json};
use switch::attribution::Followed;
use switch::{LiveCall, LiveState};
use vocabulary::{CallId, TrunkId, Utc};
use world::backend::{Backend, on_both};
use world::{NOW, World, world};

on_both!(
    a_trace_begins_runs_ends_and_goes,
    one_of_four_things_is_followed,
    what_cannot_be_followed_is_said,
);

async fn get(world: &World, path: &str) -> (u16, String) {
    let (status, answer) = world.ask("GET", path, None, String::new()).await;
    (status, answer.to_string())
}

async fn a_trace_begins_runs_ends_and_goes(backend: Backend) {
    let world = world(backend).await;
    let begun = world.made("/traces", json!({"address": "192.0.2.7", "seconds": 60})).await;
    let until = store::moment::format_utc(NOW.plus(Duration::from_secs(60)));
    let expected = json!({
        "id": 1, "follows": "address 192.0.2.7", "running": true,
        "since": store::moment::format_utc(NOW), "until": until,
        "messages": 0, "bytes": 0, "dialogs": 0, "missed": 0,
    });
    assert_eq!(begun, expected);
    assert_eq!(world.get("/traces").await["items"], json!([expected]));
    assert_eq!(world.get("/traces/1").await, expected);
    let ended = world.ask("POST", "/traces/1/end", None, String::new()).await;
    assert_eq!((ended.0, &ended.1["running"]), (200, &json!(false)));
    let gone = world.ask("DELETE", "/traces/1", None, String::new()).await;
    assert_eq!(gone, (200, json!({"removed": 1})));
    for (method, path) in [
        ("GET", "/traces/1"),
        ("GET", "/traces/1/messages?format=ladder"),
        ("POST", "/traces/1/end"),
        ("DELETE", "/traces/1"),
    ] {
        let answer = world.ask(method, path, None, String::new()).await;
        assert_eq!(answer.0, 404, "{method} {path}: {}", answer.1);
    }
}

/// A call that is up.
fn live(call: CallId) -> LiveCall {
    LiveCall {
        call,
        state: LiveState::Talking,
        account: None,
        subscriber: None,
        ingress_trunk: None,
        egress_trunk: None,
        cli: None,
        cld: None,
        sip_call_id: "abc@192.0.2.1".into(),
        started_at: Utc(0),
        answered_at: None,
        granted: Duration::ZERO,
    }
}

async fn one_of_four_things_is_followed(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let new = json!({"name": "out", "account": "alice", "host": "192.0.2.9"});
    let trunk = TrunkId(world.made("/trunks", new).await["id"].as_u64().unwrap());
    let call = CallId::new(1, 0, 7);
    world.control.live.lock().unwrap().push(live(call));
    let traced = async |body: Value| {
        // Its place is needed again.
        world.control.traces.lock().unwrap().clear();
        world.made("/traces", body).await;
        let NewTrace { followed, label, length } =
            world.control.traced.lock().unwrap().pop().unwrap();
        assert_eq!(length, Duration::from_secs(600));
        (followed, label)
    };
    let named = format!("call {call}");
    let by_id = traced(json!({"call": call.to_string()})).await;
    assert_eq!(by_id, (Followed::Call(call), named.clone()));
    assert_eq!(traced(json!({"call": "abc@192.0.2.1"})).await, (Followed::Call(call), named));
    let by_trunk = traced(json!({"trunk": "out"})).await;
    assert_eq!(by_trunk, (Followed::Trunk(trunk), "trunk out".into()));
    let (account, label) = traced(json!({"account": "alice"})).await;
    assert!(matches!(account, Followed::Account(_)) && label == "account alice");
    let address = traced(json!({"address": "2001:db8::1"})).await.0;
    assert_eq!(address, Followed::Address("2001:db8::1".parse().unwrap()));
}

async fn what_cannot_be_followed_is_said(backend: Backend) {
    let world = world(backend).await;
    for (body, status, field) in [
        (json!({}), 422, ""),
        (json!({"account": "a", "trunk": "b"}), 422, ""),
        (json!({"address": "192.0.2.7:5060"}), 422, "address"),
        (json!({"address": "192.0.2.7", "seconds": 0}), 422, "seconds"),
        (json!({"address": "192.0.2.7", "seconds": 86_401}), 422, "seconds"),
        (json!({"call": "unknown"}), 404, ""),
        (json!({"account": "unknown"}), 404, ""),
        (json!({"trunk": "unknown"}), 404, ""),
        (json!({"number": "4930"}), 422, "number"),
    ] {
        let answer = world.ask("POST", "/traces", None, body.to_string()).await;
        assert_eq!(answer.0, status, "{body}: {}", answer.1);
        if !field.is_empty() {
            assert_eq!(World::told(&answer).2, field, "{}", answer.1);
        }
    }
    assert!(world.control.traced.lock().unwrap().is_empty());
    for _ in 0..3 {
        world.made("/traces", json!({"address": "192.0.2.7"})).await;
    }
    let body = json!({"address": "192.0.2.7"}).to_string();
    let full = world.ask("POST", "/traces", None, body).await;
    assert_eq!((full.0, World::told(&full).1), (409, "too_many_traces"));
    assert_eq!(get(&world, "/traces/1/messages?format=odd").await.0, 400);
}
