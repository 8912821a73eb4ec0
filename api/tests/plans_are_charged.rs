//! Plans, from their definition to the books.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(
    a_plan_is_charged_once_however_often_the_job_runs,
    a_job_that_was_late_charges_every_period_it_missed,
    a_charge_that_was_booked_before_a_crash_is_not_booked_again,
    who_cannot_pay_owes_waits_or_is_suspended,
    a_plan_that_ends_gives_back_what_was_paid_for_later_days,
    a_preview_shows_what_will_be_charged_and_charges_nothing,
    plans_are_refused_with_the_field_that_is_wrong,
    money_is_moved_by_hand_with_a_reason_or_a_label,
    minutes_are_given_when_their_period_is_paid_and_once,
);

/// `NOW` is 2026-09-21 14:13:20 UTC.
const DAY: i64 = 86_400_000_000;

async fn with_money(backend: Backend, amount: &str) -> World {
    let world = world(backend).await;
    world.fill().await;
    let body = json!({ "amount": amount }).to_string();
    assert_eq!(world.ask("POST", "/accounts/alice/topups", Some("t1"), body).await.0, 201);
    world
}

fn monthly(shortage: &str) -> Value {
    json!({"name": "basic", "currency": "EUR", "fees": [{
        "label": "Monthly fee", "amount": "30", "every": "month", "anchor": "1",
        "at_end": "by_day", "shortage": shortage }]})
}

async fn subscribe(world: &World, body: Value) -> Value {
    world.made("/accounts/alice/plans", body).await
}

async fn balance(world: &World) -> String {
    world.get("/accounts/alice").await["balance"].as_str().unwrap().to_owned()
}

async fn run(world: &World) -> Value {
    let (status, answer) = world.post("/charges/run", json!({})).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// The statement's labels and amounts are those of `charges`.
async fn charges(world: &World) -> Vec<String> {
    let list = world.get("/accounts/alice/charges").await;
    let line = |charge: &Value| {
        let text = |field: &str| charge[field].as_str().unwrap().to_owned();
        format!("{} {} {}", text("amount"), text("state"), text("label"))
    };
    list["items"].as_array().unwrap().iter().map(line).collect()
}

async fn a_plan_is_charged_once_however_often_the_job_runs(backend: Backend) {
    // V-06, J-19, J-23
    let world = with_money(backend, "100").await;
    let plan = world.made("/plans", monthly("retry")).await;
    assert_eq!(plan["fees"][0]["item"], 1);
    let subscription = subscribe(&world, json!({"plan": "basic", "quantity": 2})).await;
    assert_eq!(subscription["next_due_at"], "2026-09-21T14:13:20Z");
    // ten of thirty days, twice
    let first = run(&world).await;
    assert_eq!((&first["scheduled"], &first["booked"]), (&json!(1), &json!(1)));
    assert_eq!(balance(&world).await, "80.000000");
    let again = run(&world).await;
    assert_eq!((&again["scheduled"], &again["booked"]), (&json!(0), &json!(0)));
    world.control.advance(40 * DAY);
    assert_eq!(run(&world).await["booked"], 1);
    assert_eq!(balance(&world).await, "20.000000");
    assert_eq!(
        charges(&world).await,
        [
            "-60.000000 booked Monthly fee × 2, 2026-10-01 to 2026-10-31",
            "-20.000000 booked Monthly fee × 2, 2026-09-21 to 2026-09-30",
        ]
    );
}

async fn a_job_that_was_late_charges_every_period_it_missed(backend: Backend) {
    let world = with_money(backend, "1000").await;
    world.made("/plans", monthly("retry")).await;
    subscribe(&world, json!({"plan": "basic", "starts_at": "2026-04-01"})).await;
    world.control.advance(100 * DAY);
    assert_eq!(run(&world).await["booked"], 9);
    assert_eq!(balance(&world).await, "730.000000");
}

async fn a_charge_that_was_booked_before_a_crash_is_not_booked_again(backend: Backend) {
    let world = with_money(backend, "100").await;
    world.made("/plans", monthly("retry")).await;
    subscribe(&world, json!({"plan": "basic"})).await;
    world.control.loses_answers.store(true, Relaxed);
    assert_eq!(run(&world).await["booked"], 0);
    world.control.loses_answers.store(false, Relaxed);
    world.control.advance(DAY);
    assert_eq!(run(&world).await["booked"], 1);
    assert_eq!(balance(&world).await, "90.000000");
}

async fn who_cannot_pay_owes_waits_or_is_suspended(backend: Backend) {
    // P-013, A-08
    for (shortage, expected, is_suspended) in
        [("debt", "-8.000000", false), ("retry", "2.000000", false), ("suspend", "2.000000", true)]
    {
        let world = with_money(backend, "2").await;
        world.made("/plans", monthly(shortage)).await;
        subscribe(&world, json!({"plan": "basic"})).await;
        let ran = run(&world).await;
        assert_eq!(balance(&world).await, expected, "{shortage}: {ran}");
        let account = world.get("/accounts/alice").await;
        assert_eq!(account["suspended_at"].is_string(), is_suspended);
        let directory = world.control.published.lock().unwrap().last().unwrap().directory.clone();
        let id = vocabulary::AccountId(account["id"].as_u64().unwrap());
        assert_eq!(directory.account(id).unwrap().is_active, !is_suspended);
        if shortage == "debt" {
            continue;
        }
        // nothing happens until there is money; then at once
        world.control.advance(DAY / 2);
        assert_eq!(run(&world).await["refused"], 0);
        let body = json!({"amount": "20"}).to_string();
        world.ask("POST", "/accounts/alice/topups", Some("t2"), body).await;
        assert_eq!(run(&world).await["booked"], 1);
        assert_eq!(balance(&world).await, "12.000000");
        assert!(world.get("/accounts/alice").await["suspended_at"].is_null());
        let events = world.get("/accounts/alice/events").await;
        let kinds: Vec<&str> = events["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["kind"].as_str().unwrap())
            .collect();
        let mut expected = vec!["created", "plan_added", "charge_refused"];
        if is_suspended {
            expected.extend(["suspended", "resumed"]);
        }
        assert_eq!(kinds, expected);
    }
}

async fn a_plan_that_ends_gives_back_what_was_paid_for_later_days(backend: Backend) {
    let world = with_money(backend, "100").await;
    world.made("/plans", monthly("retry")).await;
    let id = subscribe(&world, json!({"plan": "basic"})).await["id"].as_u64().unwrap();
    run(&world).await;
    assert_eq!(balance(&world).await, "90.000000");
    let path = format!("/subscriptions/{id}/end");
    let past = world.post(&path, json!({"at": "2026-09-20"})).await;
    assert_eq!(World::told(&past).2, "at");
    assert_eq!(world.post(&path, json!({"at": "2026-09-26"})).await.0, 200);
    world.control.advance(10 * DAY);
    run(&world).await;
    // five of thirty days
    assert_eq!(balance(&world).await, "95.000000");
    assert_eq!(
        charges(&world).await[0],
        "5.000000 booked Monthly fee, given back, 2026-09-26 to 2026-09-30"
    );
    assert_eq!(world.post(&path, json!({})).await.0, 422);
}

async fn a_preview_shows_what_will_be_charged_and_charges_nothing(backend: Backend) {
    let world = with_money(backend, "100").await;
    world.made("/plans", monthly("retry")).await;
    subscribe(&world, json!({"plan": "basic"})).await;
    let asked = json!({"until": "2026-12-01", "preview": true});
    let (_, shown) = world.post("/charges/run", asked).await;
    let amounts: Vec<&str> = shown["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|due| due["amount"].as_str().unwrap())
        .collect();
    assert_eq!(amounts, ["-10.000000", "-30.000000", "-30.000000", "-30.000000"]);
    assert_eq!(balance(&world).await, "100.000000");
    let future = world.post("/charges/run", json!({"until": "2026-12-01"})).await;
    assert_eq!(World::told(&future).2, "until");
    assert_eq!(run(&world).await["booked"], 1);
}

async fn plans_are_refused_with_the_field_that_is_wrong(backend: Backend) {
    let world = with_money(backend, "1").await;
    world.made("/destination-sets", json!({"name": "de", "prefixes": ["49"]})).await;
    let of = |fees: Value, bundles: Value| json!({"name": "p", "currency": "EUR", "fees": fees, "bundles": bundles});
    let fee = json!({"label": "x", "amount": "1"});
    for (body, field) in [
        (of(json!([]), json!([])), "plan"),
        (of(json!([{"label": "x", "amount": "-1"}]), json!([])), "plan"),
        (of(json!([{"label": "x", "amount": "1", "every": "fortnight"}]), json!([])), "every"),
        (of(json!([{"label": "x", "amount": "1", "anchor": "monday"}]), json!([])), "anchor"),
        (of(json!([fee]), json!([{"label": "m", "destination_set": "fr"}])), "destination_set"),
        (of(json!([fee]), json!([{"label": "m", "destination_set": "de", "seconds": 0}])), "plan"),
    ] {
        let answer = world.post("/plans", body.clone()).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field), "{body}");
    }
    let bundle = json!({"label": "100 min", "destination_set": "de", "seconds": 6000,
        "every": "month", "anchor": "billing_day", "precedence": 5, "increment_s": 60});
    let good = world.made("/plans", of(json!([fee]), json!([bundle]))).await;
    assert_eq!(
        (&good["bundles"][0]["item"], &good["bundles"][0]["destination_set"]),
        (&json!(2), &json!("de"))
    );
    assert_eq!(World::told(&world.post("/plans", of(json!([fee]), json!([]))).await).0, 409);
    let used = world.ask("DELETE", "/destination-sets/de", None, String::new()).await;
    assert_eq!(used.0, 409);
    world.post("/plans/p/close", json!({})).await;
    let closed = world.post("/accounts/alice/plans", json!({"plan": "p"})).await;
    assert_eq!(World::told(&closed).2, "plan");
}

async fn money_is_moved_by_hand_with_a_reason_or_a_label(backend: Backend) {
    // J-24, J-33, J-35
    let world = with_money(backend, "10").await;
    let at = |what: &str| format!("/accounts/alice/{what}");
    let ask = async |what: &str, key: &str, body: Value| {
        world.ask("POST", &at(what), Some(key), body.to_string()).await
    };
    let given = ask("adjustments", "a1", json!({"amount": "1", "reason": "goodwill"})).await;
    assert_eq!((given.0, &given.1["balance"]), (201, &json!("11.000000")));
    let same = ask("adjustments", "a1", json!({"amount": "1", "reason": "goodwill"})).await;
    assert_eq!(same, given);
    let bare = ask("adjustments", "a2", json!({"amount": "1"})).await;
    assert_eq!(World::told(&bare).2, "reason");
    let unknown = ask("credit-notes", "c1", json!({"amount": "1", "reason": "setup"})).await;
    assert_eq!(World::told(&unknown).2, "reason");
    let free = json!({"amount": "2", "label": "Outage of 3 May"});
    assert_eq!(ask("credit-notes", "c2", free).await.1["balance"], "13.000000");
    assert_eq!(World::told(&ask("credit-notes", "c3", json!({"amount": "2"})).await).2, "label");
    let setup = json!({"amount": "5", "reason": "setup", "label": "line 2"});
    assert_eq!(ask("charges", "o1", setup).await.1["balance"], "8.000000");
    let too_much = json!({"amount": "9", "reason": "hardware"});
    assert_eq!(World::told(&ask("charges", "o2", too_much).await).2, "amount");
    let debt = json!({"amount": "9", "reason": "hardware", "allow_debt": true});
    assert_eq!(ask("charges", "o3", debt).await.1["balance"], "-1.000000");
    world.made("/reasons", json!({"kind": "charge", "code": "visit", "label": "Technician"})).await;
    let visit = json!({"amount": "1", "reason": "visit", "allow_debt": true});
    assert_eq!(ask("charges", "o4", visit).await.0, 201);
    assert_eq!(ask("charges", "o5", json!({"amount": "0", "reason": "visit"})).await.0, 422);
}

async fn minutes_are_given_when_their_period_is_paid_and_once(backend: Backend) {
    // V-04, P-019
    let world = with_money(backend, "2").await;
    world.made("/destination-sets", json!({"name": "de", "prefixes": ["49"]})).await;
    let mut plan = monthly("retry");
    plan["bundles"] = json!([{"label": "100 minutes", "destination_set": "de", "seconds": 6000,
        "every": "month", "anchor": "1", "precedence": 5, "increment_s": 60}]);
    world.made("/plans", plan).await;
    subscribe(&world, json!({"plan": "basic"})).await;
    let ran = run(&world).await;
    assert_eq!((&ran["refused"], &ran["granted"]), (&json!(1), &json!(0)));
    let body = json!({"amount": "50"}).to_string();
    world.ask("POST", "/accounts/alice/topups", Some("t2"), body).await;
    let ran = run(&world).await;
    assert_eq!((&ran["booked"], &ran["granted"]), (&json!(1), &json!(1)));
    assert_eq!(run(&world).await["granted"], 0);
    let free = json!({"destination_set": "de"}).to_string();
    let given = world.ask("POST", "/accounts/alice/compensations", Some("c"), free).await;
    assert_eq!((given.0, &given.1["valid_till"]), (201, &json!("2026-09-22T00:00:00Z")));
    assert_eq!(run(&world).await["granted"], 1);
    let bundles = world.get("/accounts/alice/bundles").await;
    let states: Vec<&Value> =
        bundles["items"].as_array().unwrap().iter().map(|bundle| &bundle["state"]).collect();
    assert_eq!(states, ["granted", "granted"]);
    let grants = world.control.journal.records().into_iter();
    let grants = grants.filter_map(|(_, record)| match record {
        billing::Record::BundleGranted(grant) => Some((grant.seconds, grant.precedence)),
        _ => None,
    });
    assert_eq!(grants.collect::<Vec<_>>(), [(6_000, 5), (u32::MAX, u16::MAX)]);
}
