//! DIDs, limits of phones, roles of trunks and phones made with accounts: from the command to the
//! snapshots of switch and billing (S2, A-16, P-607).
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use switch::did::DidTarget;
use switch::directory::{Directory, TrunkRole};
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(
    dids_are_added_changed_listed_and_removed,
    dids_come_from_files_and_go_into_them,
    phones_have_limits_and_trunks_roles,
    an_account_comes_with_a_phone_or_without,
);

fn live(world: &World) -> std::sync::Arc<Directory> {
    world.control.published.lock().unwrap().last().unwrap().directory.clone()
}

async fn phone(world: &World, username: &str) {
    let phone = json!({"username": username, "account": "alice", "password": "Kq3-long-one-91"});
    world.made("/subscribers", phone).await;
}

async fn dids_are_added_changed_listed_and_removed(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    phone(&world, "desk").await;
    phone(&world, "hall").await;
    let new = json!({
        "number": "+4930600", "account": "alice", "subscribers": ["desk"], "price": "0.06",
        "calls_max": 2,
    });
    let made = world.made("/dids", new).await;
    assert_eq!((&made["number"], &made["target"]), (&json!("4930600"), &json!("subscriber")));
    let number = "4930600".parse().unwrap();
    let row = live(&world).did_by_number(&number).cloned().unwrap();
    let desk = live(&world).subscriber_by_username("desk").unwrap().id;
    assert_eq!(row.target, DidTarget::Subscriber(desk));
    assert_eq!(row.limits.concurrent, Some(2));

    let path = "/dids/4930600";
    let change = json!({"subscribers": ["desk", "hall"], "target": "at_once", "calls_max": null});
    let (status, changed) = world.ask("PATCH", path, None, change.to_string()).await;
    assert_eq!((status, &changed["calls_max"]), (200, &Value::Null));
    assert_eq!(changed["subscribers"], json!(["desk", "hall"]));
    assert_eq!(world.get(path).await, changed);
    assert_eq!(world.get("/dids?account=alice").await["items"], json!([changed]));
    let row = live(&world).did_by_number(&number).cloned().unwrap();
    assert!(matches!(row.target, DidTarget::Group(_)) && !row.limits.is_limited());

    for (change, field) in [
        (json!({"number": "4930601"}), "number"),
        (json!({"price": "-1"}), "price"),
        (json!({"subscribers": []}), "subscribers"),
        (json!({"trunk": "nowhere", "subscribers": ["desk"]}), "subscribers"),
        (json!({"target": "queue"}), "target"),
    ] {
        let answer = world.ask("PATCH", path, None, change.to_string()).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field), "{answer:?}");
    }
    // What it leads to stays while it does.
    assert_eq!(world.ask("DELETE", "/subscribers/desk", None, String::new()).await.0, 409);
    let again = json!({"number": "4930600", "account": "alice", "subscribers": ["desk"]});
    assert_eq!(world.post("/dids", again).await.0, 409);
    assert_eq!(world.ask("DELETE", path, None, String::new()).await.0, 200);
    assert!(live(&world).did_by_number(&number).is_none());
    assert_eq!(world.ask("GET", path, None, String::new()).await.0, 404);
    assert_eq!(world.ask("DELETE", "/subscribers/desk", None, String::new()).await.0, 200);
}

async fn dids_come_from_files_and_go_into_them(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    phone(&world, "desk").await;
    phone(&world, "hall").await;
    let send = |query: &'static str, file: &'static str| {
        let path = format!("/dids/import{query}");
        let world = &world;
        async move { world.ask("POST", &path, None, file.to_owned()).await }
    };
    let verdicts = |answer: &Value| -> Vec<String> {
        let rows = answer["verdicts"].as_array().unwrap().iter();
        rows.map(|row| row["verdict"].as_str().unwrap().to_owned()).collect()
    };
    let good = "number,account,subscribers,target,price,calls_max\n\
                +4930600,alice,desk,,0.06,3\n\
                4930601,alice,desk hall,in_order,,\n";
    let (status, preview) = send("?preview=true", good).await;
    assert_eq!((status, verdicts(&preview)), (200, vec!["accepted".into(), "accepted".into()]));
    assert_eq!(world.get("/dids").await["items"], json!([]));
    let (status, done) = send("", good).await;
    assert_eq!((status, &done["accepted"], &done["imported"]), (201, &json!(2), &json!(true)));
    assert_eq!(verdicts(&send("", good).await.1), ["unchanged", "unchanged"]);
    let row = live(&world).did_by_number(&"4930600".parse().unwrap()).cloned().unwrap();
    assert_eq!(row.limits.concurrent, Some(3));

    // All or nothing, unless the good rows are asked for.
    let mixed = "number,account,subscribers,price,calls_max\n\
                 4930600,alice,desk,0.07,\n\
                 4930602,nobody,desk,,\n\
                 4930603,alice,desk,cheap,\n\
                 4930604,alice,desk,,many\n\
                 4930605,alice,desk,,1\n\
                 4930605,alice,desk,,1\n";
    let refused = send("?update=true", mixed).await;
    assert_eq!(refused.0, 422);
    let rows = refused.1["errors"].as_array().unwrap().iter();
    let rows: Vec<_> = rows.map(|row| (row["row"].clone(), row["column"].clone())).collect();
    let expected = [(3, ""), (4, "price"), (5, "calls_max"), (7, "number")];
    assert_eq!(rows, expected.map(|(row, column)| (json!(row), json!(column))));
    assert_eq!(world.get("/dids/4930600").await["price"], "0.06");
    let (status, done) = send("?update=true&skip_rejected=true", mixed).await;
    assert_eq!((status, &done["changed"], &done["accepted"]), (201, &json!(1), &json!(1)));
    let changed = world.get("/dids/4930600").await;
    assert_eq!((&changed["price"], &changed["calls_max"]), (&json!("0.07"), &Value::Null));
    // One that differs is changed if that is asked for.
    let (_, preview) = send("?preview=true", "number,price\n4930600,0.08\n").await;
    assert_eq!(preview["verdicts"][0]["column"], "number");

    // What is written is read again as it is.
    let asked = Request::builder()
        .uri("/api/v1/dids/export")
        .header("authorization", format!("Bearer {}", world.token))
        .body(Body::empty())
        .unwrap();
    let (_, file) = world.send(asked).await;
    assert_eq!(file.lines().count(), 4);
    let (status, again) = world.ask("POST", "/dids/import?update=true", None, file).await;
    assert_eq!((status, &again["unchanged"]), (201, &json!(3)));
    let unknown = send("", "number,colour\n1,2\n").await;
    assert_eq!((World::told(&unknown).0, World::told(&unknown).1), (422, "invalid_file"));
}

async fn phones_have_limits_and_trunks_roles(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    phone(&world, "desk").await;
    let path = "/subscribers/desk/limits";
    let none = json!({
        "calls_in_max": null, "calls_out_max": null, "cps_in_max": null, "cps_out_max": null,
    });
    assert_eq!(world.get(path).await, none);
    let change = json!({"calls_out_max": 1}).to_string();
    assert_eq!(world.ask("PATCH", path, None, change).await.1["calls_out_max"], 1);
    let row = |world: &World| live(world).subscriber_by_username("desk").unwrap().clone();
    assert_eq!(row(&world).egress.concurrent, Some(1));
    let change = json!({"calls_out_max": null}).to_string();
    assert_eq!(world.ask("PATCH", path, None, change).await, (200, none));
    assert!(!row(&world).egress.is_limited());

    let trunk = json!({"name": "queue", "account": "alice", "host": "192.0.2.9"});
    world.made("/trunks", trunk).await;
    let path = "/trunks/queue/role";
    assert_eq!(world.get(path).await, json!({"role": "peer"}));
    let equipment = json!({"role": "equipment"});
    let answer = world.ask("PUT", path, None, equipment.to_string()).await;
    assert_eq!(answer, (200, equipment));
    assert_eq!(live(&world).trunk_by_name("queue").unwrap().role, TrunkRole::Equipment);
    let answer = world.ask("PUT", path, None, json!({"role": "x"}).to_string()).await;
    assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, "role"));
}

async fn an_account_comes_with_a_phone_or_without(backend: Backend) {
    //
    let world = world(backend).await;
    world.fill().await;
    let account = |name: &str| json!({"name": name, "billing": "prepaid", "currency": "EUR"});
    let with = |mut account: Value, fields: Value| {
        let fields = fields.as_object().unwrap().clone();
        account.as_object_mut().unwrap().extend(fields);
        account
    };
    let device = json!({"create_device": true, "device_password": "Kq3-long-one-91"});
    let made = world.made("/accounts", with(account("zoe"), device.clone())).await;
    assert_eq!(made["device"], "zoe");
    let directory = live(&world);
    let row = directory.subscriber_by_username("zoe").unwrap();
    assert_eq!(directory.account(row.account).unwrap().name, "zoe");
    let made = world.made("/accounts", account("yan")).await;
    assert_eq!(made.get("device"), None);
    assert!(live(&world).subscriber_by_username("yan").is_none());
    // Both or neither.
    for (name, fields, field) in [
        ("xi", json!({"create_device": true}), "device_password"),
        ("xi", json!({"device_password": "Kq3-long-one-91"}), "device_password"),
        ("x y", device.clone(), "username"),
        ("xi", json!({"create_device": true, "device_password": "xi"}), "device_password"),
    ] {
        let answer = world.post("/accounts", with(account(name), fields)).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field), "{answer:?}");
        assert_eq!(world.ask("GET", "/accounts/xi", None, String::new()).await.0, 404);
    }
}
