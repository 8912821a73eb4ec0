//! Forwarding and availability of a subscriber, from the command to the switch's snapshot.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use serde_json::json;
use switch::forwarding::Availability;
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(
    forwarding_is_set_shown_used_and_taken_away,
    a_subscriber_says_which_calls_its_phones_take,
);

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
    let none = json!({
        "always": null, "busy": null, "no_answer": null, "no_answer_after": null, "offline": null,
    });
    assert_eq!(world.ask("GET", path, None, String::new()).await, (200, none.clone()));
    let wanted = json!({"always": "0049170123456"});
    let shown = |changes: &[(&str, serde_json::Value)]| {
        let mut shown = none.clone();
        changes.iter().for_each(|(field, value)| shown[field] = value.clone());
        shown
    };
    let all = shown(&[("always", json!("0049170123456"))]);
    assert_eq!(world.ask("PATCH", path, None, wanted.to_string()).await, (200, all.clone()));
    assert_eq!(world.ask("GET", path, None, String::new()).await.1, all);
    assert_eq!(always().as_deref(), Some("0049170123456"));
    // What is not named stays.
    let body = json!({"always": null, "busy": "alice", "no_answer": "77", "offline": "78"});
    let fields = [("busy", json!("alice")), ("no_answer", json!("77")), ("offline", json!("78"))];
    let mut later = shown(&fields);
    later["no_answer_after"] = json!(20);
    assert_eq!(world.ask("PATCH", path, None, body.to_string()).await, (200, later.clone()));
    assert_eq!(always(), None);
    let body = json!({"no_answer_after": 45}).to_string();
    later["no_answer_after"] = json!(45);
    assert_eq!(world.ask("PATCH", path, None, body).await, (200, later));
    let body = json!({"busy": null, "no_answer": null, "offline": null}).to_string();
    assert_eq!(world.ask("PATCH", path, None, body).await, (200, none.clone()));
    for body in [json!({"no_answer_after": 9}), json!({"no_answer": "1", "no_answer_after": 0})] {
        let answer = world.ask("PATCH", path, None, body.to_string()).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, "no_answer_after"));
    }

    let body = json!({"always": "sip:x@y"}).to_string();
    let answer = world.ask("PATCH", path, None, body).await;
    assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, "always"));
    let nobody = "/subscribers/nobody/forwarding";
    assert_eq!(world.ask("GET", nobody, None, String::new()).await.0, 404);
    // What belongs to a subscriber goes with it.
    assert_eq!(world.ask("PATCH", path, None, wanted.to_string()).await.0, 200);
    assert_eq!(world.ask("DELETE", "/subscribers/desk", None, String::new()).await.0, 200);
}

async fn a_subscriber_says_which_calls_its_phones_take(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let phone = json!({"username": "desk", "account": "alice", "password": "Kq3-long-one-91"});
    world.made("/subscribers", phone).await;
    let path = "/subscribers/desk/availability";
    let used = || {
        let published = world.control.published.lock().unwrap();
        let directory = published.last().unwrap().directory.clone();
        directory.subscriber_by_username("desk").unwrap().availability
    };
    let shown =
        |quiet: bool, calls: Option<u32>| json!({"do_not_disturb": quiet, "calls_max": calls});
    assert_eq!(world.ask("GET", path, None, String::new()).await, (200, shown(false, None)));
    for (body, quiet, calls) in [
        (json!({"do_not_disturb": true}), true, None),
        (json!({"calls_max": 2}), true, Some(2)),
        (json!({"do_not_disturb": false}), false, Some(2)),
        (json!({"calls_max": null}), false, None),
    ] {
        let answer = world.ask("PATCH", path, None, body.to_string()).await;
        assert_eq!(answer, (200, shown(quiet, calls)));
        assert_eq!(used(), Availability { do_not_disturb: quiet, calls_max: calls });
    }
    let answer = world.ask("PATCH", path, None, json!({"calls_max": 0}).to_string()).await;
    assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, "calls_max"));
    let nobody = "/subscribers/nobody/availability";
    assert_eq!(world.ask("GET", nobody, None, String::new()).await.0, 404);
}
