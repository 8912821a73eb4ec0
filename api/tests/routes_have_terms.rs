//! Routes, what holds for their prefixes, the times at which they hold, and what causes mean to their
//! trunks: from the command to the switch's snapshot (T3, T4, T6, S6).
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use std::sync::Arc;

use serde_json::{Value, json};
use switch::directory::{Directory, Limits};
use switch::routing::RoutePolicy;
use vocabulary::TrunkId;
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(
    a_route_has_terms,
    a_prefix_has_a_policy_and_limits,
    quality_is_asked_of_trunks,
    windows_open_and_close,
    causes_mean_what_a_trunk_says
);

async fn trunk(world: &World) -> TrunkId {
    world.fill().await;
    let new = json!({"name": "out", "account": "alice", "host": "192.0.2.9"});
    TrunkId(world.made("/trunks", new).await["id"].as_u64().unwrap())
}

fn directory(world: &World) -> Arc<Directory> {
    let published = world.control.published.lock().unwrap();
    Arc::clone(&published.last().unwrap().directory)
}

async fn a_route_has_terms(backend: Backend) {
    let world = world(backend).await;
    let trunk = trunk(&world).await;
    let office = json!({"zone": "UTC", "spans": ["08:00-18:00"]});
    world.change("PUT", "/time-windows/office", office).await;
    let plain = world.made("/routes", json!({"prefix": "+33", "trunk": "out"})).await;
    let mut expected = json!({
        "id": plain["id"], "prefix": "33", "trunk": "out", "priority": 1, "weight": 1,
        "window": null, "calls_max": null, "cps_max": null,
    });
    assert_eq!(plain, expected);
    let path = format!("/routes/{}", plain["id"]);
    for (field, value) in [
        ("priority", json!(4)),
        ("weight", json!(70)),
        ("window", json!("office")),
        ("calls_max", json!(30)),
        ("cps_max", json!(2)),
    ] {
        expected[field] = value.clone();
        let answer = world.change("PATCH", &path, json!({field: value})).await;
        assert_eq!(answer, expected);
    }
    assert_eq!(world.get("/routes").await["items"][0], expected);
    let number = "33123".parse().unwrap();
    let found = *directory(&world).route(&number, trunk).unwrap();
    assert_eq!((found.priority, found.weight), (4, 70));
    assert_eq!(found.limits, Limits { concurrent: Some(30), per_second: Some(2) });
    assert!(directory(&world).time_window(found.window.unwrap()).is_some());
    let open = json!({"window": null, "calls_max": null});
    let answer = world.change("PATCH", &path, open).await;
    assert_eq!((&answer["window"], &answer["calls_max"]), (&Value::Null, &Value::Null));
    assert_eq!(world.refused("PATCH", &path, json!({"prefix": "44"})).await, "prefix");
    assert_eq!(world.refused("PATCH", &path, json!({"weight": 70_000})).await, "weight");
    let body = json!({"window": "nowhere"}).to_string();
    assert_eq!(world.ask("PATCH", &path, None, body).await.0, 404);
    assert_eq!(world.ask("PATCH", "/routes/99", None, "{}".into()).await.0, 404);
}

async fn a_prefix_has_a_policy_and_limits(backend: Backend) {
    let world = world(backend).await;
    trunk(&world).await;
    let path = "/route-prefixes";
    let weight = json!({"prefix": "33", "policy": "weight"});
    let set = world.change("PATCH", path, weight).await;
    let mut expected = json!({
        "id": set["id"], "prefix": "33", "policy": "weight", "calls_max": null, "cps_max": null,
    });
    assert_eq!(set, expected);
    expected["cps_max"] = 5.into();
    let limited = json!({"prefix": "33", "cps_max": 5});
    assert_eq!(world.change("PATCH", path, limited).await, expected);
    assert_eq!(world.get(path).await["items"], json!([expected]));
    let number = "33123".parse().unwrap();
    world.made("/routes", json!({"prefix": "33", "trunk": "out"})).await;
    let row = directory(&world).route_prefix(&number).unwrap().clone();
    assert_eq!((row.policy, row.limits.per_second), (RoutePolicy::Weight, Some(5)));
    let wrong = json!({"prefix": "33", "policy": "cheapest"});
    assert_eq!(world.refused("PATCH", path, wrong).await, "policy");
    assert_eq!(world.refused("PATCH", path, json!({"prefix": "3x"})).await, "prefix");
    let one = format!("{path}/{}", set["id"]);
    world.change("DELETE", &one, Value::Null).await;
    assert!(directory(&world).route_prefix(&number).is_none());
    assert_eq!(world.ask("DELETE", &one, None, String::new()).await.0, 404);
}

async fn quality_is_asked_of_trunks(backend: Backend) {
    // T4
    let world = world(backend).await;
    let trunk = trunk(&world).await;
    let path = "/quality-rules";
    let of_all = world.change("PATCH", path, json!({"prefix": "+33", "asr_min_percent": 40})).await;
    let mut expected = json!({
        "id": of_all["id"], "trunk": null, "prefix": "33", "by_route": true, "window_s": 900,
        "calls_min": 20, "asr_min_percent": 40, "acd_min_ms": null, "pdd_max_ms": null,
        "drop_s": 600, "trial_calls": 5, "hysteresis_percent": 10,
    });
    assert_eq!(of_all, expected);
    // The same rule has other demands then.
    expected["asr_min_percent"] = Value::Null;
    expected["pdd_max_ms"] = 4_500.into();
    let other = json!({"prefix": "33", "asr_min_percent": null, "pdd_max_ms": 4_500});
    assert_eq!(world.change("PATCH", path, other).await, expected);
    let own = json!({"trunk": "out", "prefix": "33", "acd_min_ms": 30_000, "by_route": false});
    let own = world.change("PATCH", path, own).await;
    assert_eq!((&own["trunk"], &own["acd_min_ms"]), (&json!("out"), &json!(30_000)));
    assert_eq!(world.get(path).await["items"], json!([expected, own]));
    let known = directory(&world);
    let rule = known.quality_rules().find(trunk, "33123").unwrap();
    assert_eq!((rule.id.0, rule.is_by_route), (own["id"].as_u64().unwrap(), false));
    for (body, field) in [
        (json!({"prefix": "3x"}), "prefix"),
        (json!({"window_s": 59}), "window_s"),
        (json!({"drop_s": 86_401}), "drop_s"),
        (json!({"calls_min": 0}), "calls_min"),
        (json!({"asr_min_percent": 101}), "asr_min_percent"),
        (json!({"hysteresis_percent": 101}), "hysteresis_percent"),
        (json!({"pdd_max_ms": 0}), "pdd_max_ms"),
    ] {
        assert_eq!(world.refused("PATCH", path, body).await, field);
    }
    // An operator leaves the trunk and lifts it.
    let out = json!({"trunk": "out", "prefix": "33"});
    for path in ["/trunk-quality/drop", "/trunk-quality/lift"] {
        assert_eq!(world.refused("POST", path, out.clone()).await, "prefix", "it has no route");
    }
    world.made("/routes", json!({"prefix": "33", "trunk": "out"})).await;
    let long = json!({"trunk": "out", "prefix": "3".repeat(32)});
    assert_eq!(world.refused("POST", "/trunk-quality/drop", long).await, "prefix");
    assert_eq!(world.get("/trunk-quality").await["items"], json!([]));
    let dropped = world.change("POST", "/trunk-quality/drop", out.clone()).await;
    assert_eq!((&dropped["state"], &dropped["trunk"]), (&json!("dropped"), &json!("out")));
    assert_eq!(world.get("/trunk-quality").await["items"], json!([dropped]));
    let lifted = world.change("POST", "/trunk-quality/lift", out).await;
    assert_eq!((&lifted["state"], &lifted["calls"]), (&json!("open"), &json!(0)));
    let unruled = json!({"trunk": "out", "prefix": "44"});
    assert_eq!(world.refused("POST", "/trunk-quality/drop", unruled).await, "prefix");
    let one = format!("{path}/{}", of_all["id"]);
    world.change("DELETE", &one, Value::Null).await;
    assert_eq!(world.ask("DELETE", &one, None, String::new()).await.0, 404);
    // A trunk that goes takes its rules along.
    world.change("DELETE", "/trunks/out", Value::Null).await;
    assert!(directory(&world).quality_rules().is_empty());
    assert_eq!(world.get(path).await["items"], json!([]));
}

async fn windows_open_and_close(backend: Backend) {
    let world = world(backend).await;
    trunk(&world).await;
    let path = "/time-windows/always";
    let times = json!({"zone": "Europe/Berlin", "spans": ["mon-sun 00:00-12:00", "12:00-24:00"],
        "holidays": ["2026-12-25"]});
    world.change("PUT", path, times).await;
    let listed = world.get("/time-windows").await["items"][0].take();
    let spans = json!(["mon,tue,wed,thu,fri,sat,sun 00:00-12:00", "12:00-24:00"]);
    assert_eq!((&listed["spans"], &listed["zone"]), (&spans, &json!("Europe/Berlin")));
    assert_eq!((&listed["holidays"], &listed["open"]), (&json!(["2026-12-25"]), &json!(true)));
    let wrong = |zone: &str, span: &str, holiday: &str| {
        let mut body = json!({"zone": zone, "spans": [span], "holidays": []});
        if !holiday.is_empty() {
            body["holidays"] = json!([holiday]);
        }
        body
    };
    for (body, field) in [
        (wrong("Mars", "08:00-09:00", ""), "zone"),
        (wrong("UTC", "08:00-08:00", ""), "spans"),
        (wrong("UTC", "moon 08:00-09:00", ""), "spans"),
        (wrong("UTC", "08:00-09:00", "soon"), "holidays"),
        (json!({"zone": "UTC", "spans": []}), "spans"),
    ] {
        assert_eq!(world.refused("PUT", path, body).await, field);
    }
    // Not while a route holds in it.
    let new = json!({"prefix": "33", "trunk": "out", "window": "always"});
    let route = world.made("/routes", new).await;
    let (status, answer) = world.ask("DELETE", path, None, String::new()).await;
    assert_eq!(status, 409, "{answer}");
    world.change("DELETE", &format!("/routes/{}", route["id"]), Value::Null).await;
    world.change("DELETE", path, Value::Null).await;
    assert_eq!(world.ask("DELETE", path, None, String::new()).await.0, 404);
}

async fn causes_mean_what_a_trunk_says(backend: Backend) {
    let world = world(backend).await;
    let trunk = trunk(&world).await;
    let path = "/trunks/out/causes";
    assert_eq!(world.get(path).await, json!({"heard": {}, "told": {}}));
    let heard = json!({"503": "404", "q34": "Q17"});
    let expected = json!({"heard": {"503": "404", "Q34": "Q17"}, "told": {}});
    assert_eq!(world.change("PATCH", path, json!({"heard": heard})).await, expected);
    let told = json!({"told": {"404": "503"}});
    let both = json!({"heard": {"503": "404", "Q34": "Q17"}, "told": {"404": "503"}});
    assert_eq!(world.change("PATCH", path, told).await, both);
    let causes = directory(&world).trunk(trunk).unwrap().causes.clone();
    assert_eq!((causes.heard.len(), causes.told.len()), (2, 1));
    for (table, field) in [
        (json!({"heard": {"200": "404"}}), "heard"),
        (json!({"heard": {"503": "200"}}), "heard"),
        (json!({"told": {"404": "401"}}), "told"),
        (json!({"told": {"404": "busy"}}), "told"),
    ] {
        assert_eq!(world.refused("PATCH", path, table).await, field);
    }
    let none = world.change("PATCH", path, json!({"heard": {}})).await;
    assert_eq!(none, json!({"heard": {}, "told": {"404": "503"}}));
}
