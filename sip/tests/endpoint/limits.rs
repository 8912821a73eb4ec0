//! More requests than there is room for.

use sip::message::HeaderName;

use crate::world::{World, request, udp};

fn via(number: usize) -> String {
    format!("UDP 192.0.2.7:5066;branch=z9hG4bK{number}")
}

/// An endpoint that has as many transactions as it wants.
fn full(transactions_max: usize) -> World {
    let mut world = World::with(|config| config.transactions_max = transactions_max);
    for number in 0..transactions_max {
        world.receive(udp(), &request("OPTIONS", &via(number), ""));
        world.requested();
    }
    world
}

#[test]
fn above_the_limit_new_work_gets_503_with_retry_after() {
    let mut world = full(10);
    for method in ["INVITE", "REGISTER"] {
        world.receive(udp(), &request(method, &via(10), ""));
        assert!(world.event().is_none());
        let response = world.sent_message();
        assert_eq!(response.status(), 503);
        assert!(response.header(HeaderName::RetryAfter).is_some());
        assert!(response.to_tag().is_some());
    }
    assert_eq!(world.endpoint.transactions(), 10);
    assert_eq!(world.endpoint.stats().refused, 2);
    world.receive(udp(), &request("ACK", &via(10), ""));
    world.event();
    assert!(world.names().is_empty(), "the ACK to such a 503 is not answered");
}

#[test]
fn above_the_limit_what_belongs_to_a_dialog_is_served() {
    let mut world = full(10);
    for (number, method) in ["INVITE", "BYE", "UPDATE", "INFO"].iter().enumerate() {
        let text = request(method, &via(20 + number), "");
        world.receive(udp(), &text.replace("To: <sip:bob@192.0.2.1>", "To: <sip:bob@x>;tag=t"));
        world.requested();
    }
    let (tx, message) = {
        world.receive(udp(), &request("OPTIONS", &via(30), ""));
        world.requested()
    };
    world.answer(tx, &message, 200);
    assert_eq!(world.names(), ["200 OPTIONS"], "cheap questions too");
}

#[test]
fn at_twice_the_limit_everything_new_is_refused_and_at_four_times_all_is_dropped() {
    let mut world = full(5);
    let in_dialog = |world: &mut World, number: usize| {
        let text = request("INFO", &via(number), "");
        world.receive(udp(), &text.replace("To: <sip:bob@192.0.2.1>", "To: <sip:bob@x>;tag=t"));
    };
    for number in 5..20 {
        in_dialog(&mut world, number);
        world.requested();
    }
    assert_eq!(world.endpoint.transactions(), 20);
    world.receive(udp(), &request("OPTIONS", &via(100), ""));
    in_dialog(&mut world, 101);
    assert!(world.event().is_none() && world.names().is_empty());
    assert_eq!(world.endpoint.transactions(), 20);

    let mut world = full(5);
    for number in 5..10 {
        in_dialog(&mut world, number);
        world.requested();
    }
    world.receive(udp(), &request("OPTIONS", &via(100), ""));
    assert_eq!(world.names(), ["503 OPTIONS"]);
}

#[test]
fn above_the_limit_a_known_request_is_still_matched() {
    let mut world = World::with(|config| config.transactions_max = 1);
    let invite = request("INVITE", &via(0), "");
    world.receive(udp(), &invite);
    let (tx, message) = world.requested();
    world.receive(udp(), &invite);
    world.answer(tx, &message, 486);
    assert_eq!(world.names(), ["100 INVITE", "486 INVITE"]);
    world.end();
}
