//! The caller-ID policy of an account, from the command to the switch's and billing's snapshots.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use serde_json::json;
use switch::caller_id::{CliPool, DiversionHeaders, IdentityHeader, TrunkCallerId};
use vocabulary::{AccountId, TrunkId};
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(
    a_policy_is_set_shown_and_used,
    an_unknown_mode_is_told_with_the_known_ones,
    caller_ids_are_stored_and_taken_away,
    a_trunk_is_told_who_calls_as_it_wants,
);

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
    let off = json!({"pool": "off", "default_number": null, "default_name": null});
    assert_eq!(world.ask("GET", path, None, String::new()).await.1, off);
    let (all, number, name) = ("non_cli_unless_did", json!("4930100"), json!("Alice Ltd"));
    for (change, number, name) in [
        (json!({"pool": all}), &json!(null), &json!(null)),
        (json!({"default_number": "+49 30 100", "default_name": name}), &number, &name),
        (json!({"default_number": null}), &json!(null), &name),
        (json!({"default_number": "4930100"}), &number, &name),
    ] {
        let after = json!({"pool": all, "default_number": number, "default_name": name});
        assert_eq!(world.ask("PATCH", path, None, change.to_string()).await, (200, after.clone()));
        assert_eq!(world.ask("GET", path, None, String::new()).await.1, after);
    }

    let published = world.control.published.lock().unwrap();
    let snapshot = published.last().unwrap();
    let row = snapshot.directory.account(id).unwrap();
    assert_eq!(row.caller_id.pool, CliPool::NonCliUnlessDid);
    let default = row.caller_id.default.as_deref().unwrap();
    assert_eq!(default.number, Some("4930100".parse().unwrap()));
    assert_eq!(&*default.name, "Alice Ltd");
    let tariff = snapshot.rate_book.tariff(id).unwrap();
    assert!(tariff.non_cli_group.is_some() && tariff.non_cli_group != tariff.customer_group);
}

async fn an_unknown_mode_is_told_with_the_known_ones(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    for (body, field, detail) in [
        (json!({"pool": "sometimes"}), "pool", "non_cli_unless_stored, non_cli_unless_either"),
        (json!({"default_number": "*31#"}), "default_number", "more than digits"),
        (json!({"default_name": "a\nb"}), "default_name", "64 printable bytes"),
        (json!({"default_name": ""}), "default_name", "null for none"),
    ] {
        let answer = world.ask("PATCH", "/accounts/alice/caller-id", None, body.to_string()).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field));
        let told = answer.1["detail"].as_str().unwrap();
        assert!(told.contains(detail), "{told}");
    }
    let nobody = world.ask("GET", "/accounts/nobody/caller-id", None, String::new()).await;
    assert_eq!(nobody.0, 404);
}

async fn caller_ids_are_stored_and_taken_away(backend: Backend) {
    //
    let world = world(backend).await;
    world.fill().await;
    let path = "/accounts/alice/clis";
    let body = json!({"numbers": ["+49 30 2", "4930 1"]});
    assert_eq!(world.ask("POST", path, None, body.to_string()).await.0, 201);
    let both = json!({"items": [{"number": "49301"}, {"number": "49302"}]});
    assert_eq!(world.ask("GET", path, None, String::new()).await.1, both);
    let gone = world.ask("DELETE", "/accounts/alice/clis/49301", None, String::new()).await;
    assert_eq!(gone, (200, json!({"removed": "49301"})));
    let again = world.ask("DELETE", "/accounts/alice/clis/49301", None, String::new()).await;
    assert_eq!(again.0, 404);
    let alice = world.ask("GET", "/accounts/alice", None, String::new()).await.1;
    let id = AccountId(alice["id"].as_u64().unwrap());
    {
        let published = world.control.published.lock().unwrap();
        let directory = &published.last().unwrap().directory;
        assert_eq!(*directory.account(id).unwrap().caller_id.stored, ["49302".parse().unwrap()]);
    }
    for wrong in ["*31#", "alice", ""] {
        let body = json!({"numbers": [wrong]}).to_string();
        let answer = world.ask("POST", path, None, body).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, "numbers"), "{wrong}");
    }
}

async fn a_trunk_is_told_who_calls_as_it_wants(backend: Backend) {
    // P-601
    let world = world(backend).await;
    world.fill().await;
    let trunk = json!({"name": "far", "account": "alice", "host": "192.0.2.9"});
    let id = world.made("/trunks", trunk).await["id"].as_u64().unwrap();
    let path = "/trunks/far/caller-id".to_owned();
    let mut expected = json!({
        "identity": "pai", "diversions": "both", "sends_names": true, "names_subscribers": false,
    });
    assert_eq!(world.ask("GET", &path, None, String::new()).await, (200, expected.clone()));
    for (field, value) in [
        ("identity", json!("rpid")),
        ("diversions", json!("history_info")),
        ("sends_names", json!(false)),
        ("names_subscribers", json!(true)),
    ] {
        expected[field] = value.clone();
        let change = json!({field: value}).to_string();
        assert_eq!(world.ask("PATCH", &path, None, change).await, (200, expected.clone()));
        assert_eq!(world.ask("GET", &path, None, String::new()).await.1, expected);
    }
    {
        let published = world.control.published.lock().unwrap();
        let directory = &published.last().unwrap().directory;
        let set = TrunkCallerId {
            identity: IdentityHeader::RemoteParty,
            diversions: DiversionHeaders::HistoryInfo,
            sends_names: false,
            names_subscribers: true,
        };
        assert_eq!(directory.trunk(TrunkId(id)).unwrap().caller_id, set);
    }
    for field in ["identity", "diversions"] {
        let answer = world.ask("PATCH", &path, None, json!({field: "from"}).to_string()).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field));
    }
    let gone = world.ask("DELETE", path.trim_end_matches("/caller-id"), None, String::new()).await;
    assert_eq!(gone.0, 200, "{}", gone.1);
}
