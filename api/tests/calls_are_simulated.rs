//! A call thought through: everybody's price, every carrier's profit, and that a real call books the
//! same (O3, promise 4 of the README).
#![allow(clippy::unwrap_used)] // a test may

mod world;

use serde_json::{Value, json};
use world::backend::{Backend, on_both};
use world::calls::Calling;
use world::{World, world};

on_both!(
    a_simulated_call_has_the_price_of_all_payers_and_of_all_carriers,
    a_past_call_is_thought_through_again,
    a_refused_call_is_told_with_its_prices,
    a_site_has_its_discount_also_in_a_simulation,
);

/// Alice pays 0.10 a minute, her reseller 0.06; carriers take 0.02 and 0.04 to Germany.
async fn market(backend: Backend) -> World {
    let world = world(backend).await;
    world.fill().await;
    world.sheet("retail", "49,0.10 44,0.02").await;
    world.made("/rate-groups", json!({"name": "whole", "currency": "EUR"})).await;
    world.sheet("whole", "49,0.06 44,0.02").await;
    let reseller = json!({"name": "muller", "billing": "prepaid", "currency": "EUR",
        "rate_group": "whole"});
    world.made("/accounts", reseller).await;
    assert_eq!(world.set("alice", json!({"parent": "muller"})).await.0, 200);
    for (carrier, price) in [("near", "0.02"), ("far", "0.04")] {
        let group = format!("{carrier}-cost");
        world.made("/rate-groups", json!({"name": group, "currency": "EUR"})).await;
        world.sheet(&group, &format!("49,{price} 44,{price}")).await;
        let account = json!({"name": carrier, "billing": "postpaid", "currency": "EUR",
            "carrier_rate_group": group});
        world.made("/accounts", account).await;
        let trunk =
            json!({"name": format!("{carrier}-1"), "account": carrier, "host": "192.0.2.1"});
        world.made("/trunks", trunk).await;
        for prefix in ["49", "44"] {
            let route = json!({"prefix": prefix, "trunk": format!("{carrier}-1")});
            world.made("/routes", route).await;
        }
    }
    world.top_up("alice", "a", "10").await;
    world.top_up("muller", "m", "10").await;
    world
}

fn part(items: &Value, fields: &[&str]) -> Value {
    let of_item = |item: &Value| fields.iter().map(|field| item[*field].clone()).collect();
    items.as_array().unwrap().iter().map(of_item).collect::<Vec<Value>>().into()
}

async fn a_simulated_call_has_the_price_of_all_payers_and_of_all_carriers(backend: Backend) {
    let world = market(backend).await;
    let call = world.get("/simulate?from=alice&to=49301234&duration=90").await;
    assert_eq!((&call["would_be_placed"], &call["calls_as"]), (&json!(true), &json!("account")));
    assert_eq!((&call["talk_s"], &call["granted_s"]), (&json!(90), &json!(60)));
    // Her 10.00 last 100 minutes.
    assert_eq!((&call["talk_s_max"], &call["is_final"]), (&json!(6000), &json!(false)));
    assert_eq!(call["call_s_max"], 14_400);
    let payers = part(&call["payers"], &["level", "account", "price", "billed_s", "profit"]);
    let expected =
        json!([[0, "alice", "0.200000", 120, null], [1, "muller", "0.120000", 120, "0.080000"],]);
    assert_eq!(payers, expected);
    let fields = ["trunk", "carrier", "cost", "currency", "profit", "profit_currency"];
    let expected = json!([
        ["near-1", "near", "0.040000", "EUR", "0.080000", "EUR"],
        ["far-1", "far", "0.080000", "EUR", "0.040000", "EUR"],
    ]);
    assert_eq!(part(&call["trunks"], &fields), expected);
    assert_eq!(call["skipped"], json!([]));
    assert_eq!(call["payers"][1]["lines"][0]["code"], "time");

    // The same call, placed.
    let alice = world.id("alice").await;
    world.control.talk(Calling::new(alice, "49301234"), 90).unwrap();
    world.control.store.flush().await;
    assert_eq!(world.balance("alice").await, "9.800000");
    assert_eq!(world.balance("muller").await, "9.880000");
    assert_eq!(world.balance("near").await, "0.040000");
    // V-11: and nobody of alice's talks longer than that.
    assert_eq!(world.set("alice", json!({"call_seconds_max": 300})).await.0, 200);
    assert_eq!(world.get("/simulate?from=alice&to=49301234").await["call_s_max"], 300);
    world.check_books().await;
}

/// B5: as a past call, at its moment.
async fn a_past_call_is_thought_through_again(backend: Backend) {
    let world = market(backend).await;
    let alice = world.id("alice").await;
    world.control.talk(Calling::new(alice, "49301234"), 90).unwrap();
    world.control.store.flush().await;
    let call = world.get("/cdrs?leg=0").await["items"][0]["call"].as_str().unwrap().to_owned();
    let before = world.get("/simulate?from=alice&to=49301234").await;
    // Dearer from now on: not then.
    world.control.advance(1_000_000);
    world.sheet("retail", "49,0.90").await;
    world.control.advance(1_000_000);
    let like = format!("/simulate?like={call}&from=alice");
    let again = world.get(&like).await;
    assert_eq!(again["payers"], before["payers"]);
    assert_ne!(world.get("/simulate?from=alice&to=49301234").await["payers"], before["payers"]);
    for (path, status) in [
        (format!("{like}&at=2026-01-01T00:00:00Z"), 422),
        // An account called, not a phone or trunk.
        (format!("/simulate?like={call}"), 422),
        ("/simulate?like=nothing".to_owned(), 404),
        ("/simulate?from=alice".to_owned(), 422),
    ] {
        assert_eq!(world.ask("GET", &path, None, String::new()).await.0, status, "{path}");
    }
}

async fn a_refused_call_is_told_with_its_prices(backend: Backend) {
    let world = market(backend).await;
    // neither carrier to Britain leaves anything.
    let call = world.get("/simulate?from=alice&to=44201234").await;
    assert_eq!((&call["would_be_placed"], &call["trunks"]), (&json!(true), &part_of_near()));
    let fields = ["trunk", "cost", "profit", "code"];
    assert_eq!(
        part(&call["skipped"], &fields),
        json!([["far-1", "0.040000", "-0.020000", "unprofitable"]])
    );
    world.control.advance(1_000_000);
    world.sheet("whole", "44,0.01").await;
    let loss = world.get("/simulate?from=alice&to=44201234").await;
    assert_eq!((&loss["would_be_placed"], &loss["granted_s"]), (&json!(false), &Value::Null));
    assert_eq!(loss["refusal"]["code"], "unprofitable");
    assert_eq!(
        part(&loss["skipped"], &fields),
        json!([
            ["near-1", "0.020000", "-0.010000", "unprofitable"],
            ["far-1", "0.040000", "-0.030000", "unprofitable"],
        ])
    );
    assert_eq!(part(&loss["payers"], &["price"]), json!([["0.020000"], ["0.010000"]]));
    let nobody = world.get("/simulate?from=carol&to=49301234").await;
    assert_eq!(
        (&nobody["refusal"]["code"], &nobody["payers"]),
        (&json!("unknown_user"), &json!([]))
    );
    let (status, problem) =
        world.ask("GET", "/simulate?from=alice&to=49&duration=99999999", None, String::new()).await;
    assert_eq!((status, &problem["field"]), (422, &json!("duration")));
}

/// The only carrier to Britain that does not lose.
fn part_of_near() -> Value {
    json!([{
        "trunk": "near-1", "carrier": "near", "cost": "0.020000", "currency": "EUR",
        "billed_s": 60, "profit": "0.000000", "profit_currency": "EUR",
        "lines": [
            {"code": "time", "sentence": "60 s in increments 60/60 is 60 s at 0.02 a minute."},
            {"code": "total", "sentence": "Rounded up once to 6 decimals: 0.020000 EUR."},
        ],
    }])
}

async fn a_site_has_its_discount_also_in_a_simulation(backend: Backend) {
    let world = market(backend).await;
    world.made("/accounts/alice/sites", json!({"name": "Berlin"})).await;
    let phone = json!({"username": "desk", "password": "Kq3-long-one-91", "account": "alice",
        "site": "Berlin"});
    world.made("/subscribers", phone).await;
    world.made("/destination-sets", json!({"name": "germany", "prefixes": ["49"]})).await;
    let discount = json!({"name": "berlin", "account": "alice", "site": "Berlin", "percent": "50",
        "destination_set": "germany"});
    world.made("/discounts", discount).await;
    let phone = world.get("/simulate?from=desk&to=49301234").await;
    assert_eq!(
        (&phone["calls_as"], &phone["payers"][0]["price"]),
        (&json!("subscriber"), &json!("0.050000"))
    );
    // The account by none of its phones is at no site.
    let account = world.get("/simulate?from=alice&to=49301234").await;
    assert_eq!(account["payers"][0]["price"], "0.100000");
}
