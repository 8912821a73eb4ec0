//! Who is kept out and who never is (S7): by hand and by the guard, from the command to the switch's
//! snapshot, and over a restart. And what a password must be.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use switch::directory::Directory;
use switch::guard::{Ban, BanReason, Guard};
use tokio::sync::mpsc;
use world::backend::{Backend, on_both};
use world::{NOW, World, world};

on_both!(
    bans_are_made_listed_and_lifted,
    the_guards_bans_are_stored_and_outlive_a_restart,
    the_guard_overrules_nobody,
    thresholds_are_settings,
    passwords_follow_the_policy,
);

fn directory(world: &World) -> Arc<Directory> {
    world.control.published.lock().unwrap().last().unwrap().directory.clone()
}

fn is_banned(directory: &Directory, remote: &str) -> bool {
    let guard = Guard::default();
    guard.configure(NOW, directory.guard());
    guard.is_banned(remote.parse().unwrap())
}

async fn networks(world: &World, path: &str) -> Vec<String> {
    let listed = world.get(path).await;
    let items = listed["items"].as_array().unwrap().iter();
    items.map(|item| item["network"].as_str().unwrap().to_owned()).collect()
}

async fn bans_are_made_listed_and_lifted(backend: Backend) {
    let world = world(backend).await;
    let body = json!({"network": "198.51.100.0/24", "reason": "scans", "seconds": 60});
    let made = world.made("/bans", body).await;
    let expected = json!({
        "network": "198.51.100.0/24", "reason": "scans", "made_by": "operator",
        "since": store::moment::format_utc(NOW),
        "until": store::moment::format_utc(NOW.plus(Duration::from_secs(60))),
    });
    assert_eq!(made, expected);
    assert_eq!(world.get("/bans").await["items"], json!([expected]));
    assert!(is_banned(&directory(&world), "198.51.100.7:5060"));

    // An allowed one in the midst of it.
    world.made("/allowed-sources", json!({"network": "198.51.100.7"})).await;
    assert_eq!(networks(&world, "/allowed-sources").await, ["198.51.100.7"]);
    assert!(!is_banned(&directory(&world), "198.51.100.7:5060"));
    assert!(is_banned(&directory(&world), "198.51.100.8:5060"));
    let gone = world.ask("DELETE", "/allowed-sources/198.51.100.7", None, String::new()).await;
    assert_eq!(gone.0, 200);
    assert!(is_banned(&directory(&world), "198.51.100.7:5060"));

    let lifted = world.ask("DELETE", "/bans/198.51.100.0%2F24", None, String::new()).await;
    assert_eq!(lifted, (200, json!({"removed": "198.51.100.0/24"})));
    assert!(!is_banned(&directory(&world), "198.51.100.8:5060"));
    assert_eq!(networks(&world, "/bans").await, [""; 0]);
    let again = world.ask("DELETE", "/bans/198.51.100.0%2F24", None, String::new()).await;
    assert_eq!(again.0, 404);

    for (body, field) in [
        (json!({"network": "scanner.example"}), "network"),
        (json!({"network": "198.51.100.1/24"}), "network"),
        (json!({"network": "198.51.100.1:5060"}), "network"),
        (json!({"network": "198.51.100.1", "seconds": 0}), "seconds"),
        (json!({"network": "198.51.100.1", "reason": "x".repeat(201)}), "reason"),
    ] {
        let answer = world.post("/bans", body).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field));
    }
}

fn ban(network: &str) -> Ban {
    let until = NOW.plus(Duration::from_secs(3600));
    let network = network.parse().unwrap();
    Ban { network, reason: BanReason::WrongCredentials, since: NOW, until }
}

/// As the workers tell it.
async fn tell(world: &World, bans: &[Ban]) {
    let (tell, told) = mpsc::channel(16);
    for ban in bans {
        tell.send(*ban).await.unwrap();
    }
    drop(tell);
    Arc::clone(&world.api).keep_bans(told).await;
}

async fn the_guards_bans_are_stored_and_outlive_a_restart(backend: Backend) {
    let world = world(backend).await;
    tell(&world, &[ban("192.0.2.7"), ban("2001:db8:1:2::/64")]).await;
    let listed = world.get("/bans").await["items"].clone();
    assert_eq!(listed[0]["reason"], "wrong_credentials");
    assert_eq!(listed[0]["made_by"], "guard");
    let both = ["192.0.2.7", "2001:db8:1:2::/64"];
    assert_eq!(networks(&world, "/bans").await, both);
    assert!(is_banned(&directory(&world), "192.0.2.7:9"));

    let world = world.crashed().await;
    assert_eq!(networks(&world, "/bans").await, both);
    let snapshot = world.api.snapshot().await;
    assert!(is_banned(&snapshot.directory, "[2001:db8:1:2:3::1]:5060"));
    let lifted = world.ask("DELETE", "/bans/2001:db8:1:2::%2F64", None, String::new()).await;
    assert_eq!(lifted.0, 200);
    assert_eq!(networks(&world, "/bans").await, ["192.0.2.7"]);
}

async fn the_guard_overrules_nobody(backend: Backend) {
    let world = world(backend).await;
    world.made("/allowed-sources", json!({"network": "192.0.2.7", "reason": "office"})).await;
    world.made("/bans", json!({"network": "192.0.2.8", "reason": "for good"})).await;
    tell(&world, &[ban("192.0.2.7"), ban("192.0.2.8")]).await;
    assert_eq!(networks(&world, "/allowed-sources").await, ["192.0.2.7"]);
    let listed = world.get("/bans").await["items"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!((&listed[0]["reason"], &listed[0]["until"]), (&json!("for good"), &Value::Null));
}

async fn thresholds_are_settings(backend: Backend) {
    let world = world(backend).await;
    assert_eq!(world.get("/security-settings").await["offences_max"], 8);
    let set = |body: Value| world.ask("PATCH", "/security-settings", None, body.to_string());
    let (status, all) = set(json!({"offences_max": 3, "ban_s": 120})).await;
    assert_eq!((status, &all["offences_max"], &all["unproven_max"]), (200, &json!(3), &json!(16)));
    let limits = directory(&world).guard().limits.clone();
    assert_eq!((limits.offences_max, limits.ban), (3, Duration::from_secs(120)));
    let answer = set(json!({"ban_s": 0})).await;
    assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, "ban_s"));
    let answer = set(json!({"bans": 1})).await;
    assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, "name"));
    let world = world.crashed().await;
    assert_eq!(world.get("/security-settings").await["offences_max"], 3);
    assert_eq!(world.api.snapshot().await.directory.guard().limits, limits);
}

async fn passwords_follow_the_policy(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let phone = |username: &str, password: &str| json!({"username": username, "account": "alice", "password": password});
    let secret = || {
        let directory = directory(&world);
        directory.subscriber_by_username("desk").unwrap().secret.clone()
    };
    let refused = world.post("/subscribers", phone("receptionist", "Receptionist")).await;
    assert_eq!((World::told(&refused).0, World::told(&refused).2), (422, "password"));
    world.made("/subscribers", phone("desk", "only-small-ones")).await;
    let before = secret();
    let stricter = json!({"password_length_min": 12, "password_kinds_min": 3}).to_string();
    assert_eq!(world.ask("PATCH", "/security-settings", None, stricter).await.0, 200);
    for password in ["only-small-ones", "Short-1"] {
        let refused = world.post("/subscribers", phone("desk2", password)).await;
        assert_eq!((World::told(&refused).0, World::told(&refused).2), (422, "password"));
        let body = json!({"password": password}).to_string();
        let refused = world.ask("PATCH", "/subscribers/desk", None, body).await;
        assert_eq!((World::told(&refused).0, World::told(&refused).2), (422, "password"));
        assert_eq!(secret(), before);
    }
    let trunk = json!({"name": "pbx", "account": "alice", "ingress_username": "pbx", "ingress_password": "only-small-ones"});
    let refused = world.post("/trunks", trunk).await;
    assert_eq!((World::told(&refused).0, World::told(&refused).2), (422, "ingress_password"));
    let body = json!({"password": "Longer-and-1"}).to_string();
    assert_eq!(world.ask("PATCH", "/subscribers/desk", None, body).await.0, 200);
    assert_eq!(secret(), store::directory::digest_secret("desk", "tandem", "Longer-and-1"));
    let body = json!({"password": "Longer-and-1"}).to_string();
    assert_eq!(world.ask("PATCH", "/subscribers/nobody", None, body).await.0, 404);
}
