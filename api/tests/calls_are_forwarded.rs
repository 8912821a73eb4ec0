//! Forwarding of a subscriber, from the command to the switch's snapshot.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use serde_json::json;
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(forwarding_is_set_shown_used_and_taken_away,);

async fn forwarding_is_set_shown_used_and_taken_away(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let phone = json!({"username": "desk", "account": "alice", "password": "Kq3-long-one-91"});
    world.made("/subscribers", phone).await;
    let path = "/subscribers/desk/forwarding";
    let always = || {
        let published = world.control.published.lock().unwrap();
        let directory = published.last().unwrap().directory.clone();
        directory.subscriber_by_username("desk").unwrap().forwards.always.clone()
    };
    let none = json!({ "always": null });
    assert_eq!(world.ask("GET", path, None, String::new()).await, (200, none.clone()));
    let wanted = json!({"always": "0049170123456"});
    assert_eq!(world.ask("PUT", path, None, wanted.to_string()).await, (200, wanted.clone()));
    assert_eq!(world.ask("GET", path, None, String::new()).await.1, wanted);
    assert_eq!(always().as_deref(), Some("0049170123456"));
    assert_eq!(world.ask("PUT", path, None, none.to_string()).await, (200, none));
    assert_eq!(always(), None);

    let body = json!({"always": "sip:x@y"}).to_string();
    let answer = world.ask("PUT", path, None, body).await;
    assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, "always"));
    let nobody = "/subscribers/nobody/forwarding";
    assert_eq!(world.ask("GET", nobody, None, String::new()).await.0, 404);
    // What belongs to a subscriber goes with it.
    assert_eq!(world.ask("PUT", path, None, wanted.to_string()).await.0, 200);
    assert_eq!(world.ask("DELETE", "/subscribers/desk", None, String::new()).await.0, 200);
}
