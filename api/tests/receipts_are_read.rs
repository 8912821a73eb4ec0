//! Receipts of prepaid accounts, as a list, as files and one by one.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use serde_json::{Value, json};
use world::backend::{Backend, on_both};
use world::calls::Calling;
use world::{World, world};

on_both!(
    charges_and_payments_have_receipts,
    who_gets_receipts_is_a_setting,
    receipts_are_exported_and_read_page_by_page,
);

async fn items(world: &World, query: &str) -> Vec<Value> {
    world.get(&format!("/receipts{query}")).await["items"].as_array().unwrap().clone()
}

async fn account(world: &World, name: &str, more: Value) -> Value {
    let mut body = json!({"name": name, "billing": "prepaid", "currency": "EUR"});
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    world.made("/accounts", body).await
}

/// `buyer` belongs to `shop`, and both are prepaid.
async fn sold(backend: Backend) -> World {
    let world = world(backend).await;
    for (group, row) in [("retail", "49,0.60"), ("cost", "49,0.10")] {
        world.made("/rate-groups", json!({"name": group, "currency": "EUR"})).await;
        world.sheet(group, row).await;
    }
    account(&world, "shop", json!({"rate_group": "cost"})).await;
    account(&world, "buyer", json!({"rate_group": "retail", "parent": "shop"})).await;
    let carrier = json!({"name": "carrier", "billing": "postpaid", "currency": "EUR",
        "carrier_rate_group": "cost", "credit_limit": "100"});
    world.made("/accounts", carrier).await;
    let trunk = json!({"name": "c1", "account": "carrier", "host": "192.0.2.1"});
    world.made("/trunks", trunk).await;
    world.made("/routes", json!({"prefix": "49", "trunk": "c1"})).await;
    for name in ["shop", "buyer"] {
        world.top_up(name, &format!("in-{name}"), "10").await;
    }
    world
}

async fn charges_and_payments_have_receipts(backend: Backend) {
    let world = sold(backend).await;
    world.control.talk(Calling::new(world.id("buyer").await, "4930111"), 60).unwrap();
    let charge = json!({"amount": "2", "label": "new SIM"}).to_string();
    let path = "/accounts/buyer/charges";
    assert_eq!(world.ask("POST", path, Some("sim"), charge).await.0, 201);
    // The process dies: what the journal has and the tables do not is not lost, and not there twice.
    let world = world.crashed().await;
    let of_buyer = items(&world, "?account=buyer").await;
    let told: Vec<_> = of_buyer
        .iter()
        .map(|one| {
            (
                one["number"].as_u64().unwrap(),
                one["kind"].as_str().unwrap(),
                one["amount"].as_str().unwrap(),
                one["balance_after"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        (1, "topup", "10.000000", "10.000000"),
        (2, "charge", "-0.600000", "9.400000"),
        (3, "fee", "-2.000000", "7.400000"),
    ];
    assert_eq!(told, expected);
    assert!(of_buyer.iter().all(|one| one["seller"] == "shop" && one["account"] == "buyer"));
    assert_eq!(
        (&of_buyer[1]["destination"], &of_buyer[1]["talked_s"]),
        (&json!("4930111"), &json!(60))
    );
    assert_eq!(of_buyer[2]["note"], "new SIM");
    // What the reseller pays for the call is on a receipt of ours; the carrier gets none.
    let ours = items(&world, "?own=true").await;
    let told: Vec<_> =
        ours.iter().map(|one| (&one["number"], &one["account"], &one["amount"])).collect();
    let shop = json!("shop");
    assert_eq!(
        told,
        [(&json!(1), &shop, &json!("10.000000")), (&json!(2), &shop, &json!("-0.100000"))]
    );
    assert_eq!(ours[1]["call"], of_buyer[1]["call"]);
    assert_eq!(world.get("/receipts/2?seller=shop").await, of_buyer[1]);
    assert_eq!(world.get("/receipts/2").await, ours[1]);
    assert_eq!(world.ask("GET", "/receipts/3", None, String::new()).await.0, 404);
    world.check_books().await;
}

async fn who_gets_receipts_is_a_setting(backend: Backend) {
    let world = world(backend).await;
    let prepaid = account(&world, "usual", json!({})).await;
    assert_eq!(prepaid["receipts"], true);
    assert_eq!(account(&world, "without", json!({"receipts": false})).await["receipts"], false);
    let late = account(&world, "late", json!({"billing": "postpaid"})).await;
    assert_eq!(late["receipts"], false);
    let refused = world.set("late", json!({"receipts": true})).await;
    assert_eq!((World::told(&refused).0, World::told(&refused).2), (422, "receipts"));
    // What was paid before the setting changes is as it was.
    for (receipts, key) in [(true, "a"), (false, "b"), (true, "c")] {
        assert_eq!(world.set("usual", json!({"receipts": receipts})).await.0, 200);
        world.top_up("usual", key, "1").await;
    }
    world.top_up("without", "d", "1").await;
    let told = items(&world, "").await;
    let balances: Vec<_> = told.iter().map(|one| one["balance_after"].as_str().unwrap()).collect();
    assert_eq!(balances, ["1.000000", "3.000000"]);
    // A file of accounts has it too, and a new account of a file begins like any other.
    let file = "name,billing,currency,receipts\nfile1,prepaid,EUR,\nfile2,postpaid,EUR,\nfile3,prepaid,EUR,no\n";
    let answer = world.ask("POST", "/accounts/import?file=a.csv", None, file.to_owned()).await;
    assert_eq!(answer.0, 201, "{}", answer.1);
    for (name, receipts) in [("file1", true), ("file2", false), ("file3", false)] {
        assert_eq!(world.get(&format!("/accounts/{name}")).await["receipts"], receipts, "{name}");
    }
}

async fn receipts_are_exported_and_read_page_by_page(backend: Backend) {
    let world = sold(backend).await;
    for key in ["a", "b", "c"] {
        world.top_up("buyer", key, "1").await;
    }
    let all = items(&world, "").await;
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/receipts?limit=2{after}")).await;
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!((paged, all.len()), (all.clone(), 5));
    let (head, text) = world.file("/receipts/export?account=buyer&time_zone=Asia/Tokyo").await;
    assert_eq!(head, "attachment; filename=\"receipts.csv\"");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5);
    assert!(lines[0].starts_with("seller,number,at,account,kind,amount,currency,balance_after"));
    assert!(
        lines[4].starts_with("shop,4,2026-")
            && lines[4].contains("+09:00,buyer,topup,1.000000,EUR,13.000000")
    );
    let by_posting = format!("?account=buyer&op_id={}", all[2]["op_id"].as_str().unwrap());
    assert_eq!(items(&world, &by_posting).await, all[2..3]);
    for (query, field) in [
        ("?op_id=12", "op_id"),
        ("?after=x", "after"),
        ("?seller=shop&own=true", "own"),
        ("?format=csv", "format"),
        ("?from=x", "from"),
    ] {
        let answer = world.ask("GET", &format!("/receipts{query}"), None, String::new()).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field), "{query}");
    }
}
