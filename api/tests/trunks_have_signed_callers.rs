//! What a trunk wants of signed callers, from the command to the switch's snapshot (S5).
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use serde_json::json;
use switch::stir::{Attestation, StirPolicy, Verification};
use vocabulary::TrunkId;
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(it_is_set_shown_and_used);

async fn it_is_set_shown_and_used(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let new = json!({"name": "out", "account": "alice", "host": "192.0.2.9"});
    let id = TrunkId(world.made("/trunks", new).await["id"].as_u64().unwrap());
    let path = "/trunks/out/stir";
    let shown = async || world.ask("GET", path, None, String::new()).await;
    let stir = || {
        let published = world.control.published.lock().unwrap();
        published.last().unwrap().directory.trunk(id).unwrap().stir
    };
    assert_eq!(shown().await, (200, json!({"signs": false, "verifies": "off"})));
    for wanted in [true, false, true] {
        let body = json!({ "signs": wanted });
        let answer = world.ask("PATCH", path, None, body.to_string()).await;
        let all = json!({"signs": wanted, "verifies": "off"});
        assert_eq!(answer, (200, all.clone()));
        assert_eq!(shown().await, (200, all));
        assert_eq!(stir(), StirPolicy { signs: wanted, verification: Verification::Off });
    }
    for verification in Verification::ALL {
        let body = json!({"verifies": verification.word()});
        let answer = world.ask("PATCH", path, None, body.to_string()).await;
        assert_eq!(answer, (200, json!({"signs": true, "verifies": verification.word()})));
        assert_eq!(stir(), StirPolicy { signs: true, verification });
    }
    // Another command about the trunk leaves it.
    world.ask("PATCH", "/trunks/out", None, json!({"trusted": true}).to_string()).await;
    let verification = Verification::Refuse(Attestation::Full);
    assert_eq!(stir(), StirPolicy { signs: true, verification });
    let answer = world.ask("PATCH", path, None, json!({"sings": true}).to_string()).await;
    assert_eq!(World::told(&answer).0, 422);
    let answer = world.ask("PATCH", path, None, json!({"verifies": "maybe"}).to_string()).await;
    assert_eq!(World::told(&answer).0, 422);
    assert_eq!(world.ask("GET", "/trunks/nobody/stir", None, String::new()).await.0, 404);
}
