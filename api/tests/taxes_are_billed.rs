//! Taxes from their definition to the bill of a period (R13, R7).
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use world::backend::{Backend, on_both};
use world::calls::Calling;
use world::{NOW, World, world};

on_both!(
    taxes_on_top_are_taken_from_the_balance_with_each_call,
    a_bill_adds_the_taxes_that_no_posting_has,
    prices_with_taxes_in_them_are_split,
    a_rate_that_changes_changes_nothing_before,
    a_call_priced_again_has_its_new_taxes_only,
    who_is_exempt_pays_no_tax_and_the_bill_says_why,
    fees_and_credit_notes_have_their_taxes,
    a_fee_is_given_back_with_the_taxes_it_had,
    a_repeat_has_the_taxes_of_the_first_try,
    what_is_wrong_with_taxes_is_said,
);

/// `NOW` is 2026-09-21 14:13:20 UTC.
const SPAN: &str = "from=2026-09-01&till=2026-10-01";

/// Alice, prepaid with 10 EUR, pays 0.60 a minute to Germany by the second; we pay 0.10.
async fn selling(backend: Backend, billing: &str) -> World {
    let world = world(backend).await;
    for (group, row) in [("retail", "49,0.60"), ("cost", "49,0.10")] {
        world.made("/rate-groups", json!({"name": group, "currency": "EUR"})).await;
        let sheet =
            format!("prefix,price,first_increment,next_increment,destination\n{row},1,1,Germany\n");
        world.import(group, sheet, NOW).await;
    }
    let mut alice = json!({"name": "alice", "billing": billing, "currency": "EUR",
        "rate_group": "retail"});
    if billing == "postpaid" {
        alice["credit_limit"] = "100".into();
    }
    world.made("/accounts", alice).await;
    let carrier = json!({"name": "carrier", "billing": "postpaid", "currency": "EUR",
        "carrier_rate_group": "cost"});
    world.made("/accounts", carrier).await;
    let trunk = json!({"name": "c1", "account": "carrier", "host": "192.0.2.1"});
    world.made("/trunks", trunk).await;
    world.made("/routes", json!({"prefix": "49", "trunk": "c1"})).await;
    put(&world, "/tax-sets/germany", json!({"taxes": [{"name": "VAT", "percent": "19"}]})).await;
    world
}

async fn put(world: &World, path: &str, body: Value) -> Value {
    let (status, answer) = world.ask("PUT", path, None, body.to_string()).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

async fn taxed(world: &World, body: Value) {
    put(world, "/accounts/alice/taxes", body).await;
}

async fn by_hand(world: &World, what: &str, body: Value) {
    let path = format!("/accounts/alice/{what}");
    let answer = world.ask("POST", &path, Some(what), body.to_string()).await;
    assert_eq!(answer.0, 201, "{}", answer.1);
}

async fn talk(world: &World, seconds: u32) -> Value {
    let alice = world.id("alice").await;
    let call = world.control.talk(Calling::new(alice, "4930111"), seconds).unwrap();
    world.control.store.flush().await;
    world.get(&format!("/why/{call}")).await
}

async fn bill(world: &World) -> Value {
    world.get(&format!("/accounts/alice/bill?{SPAN}")).await
}

/// Net, tax, gross.
fn sums(value: &Value) -> [&str; 3] {
    ["net", "tax", "gross"].map(|field| value[field].as_str().unwrap())
}

async fn taxes_on_top_are_taken_from_the_balance_with_each_call(backend: Backend) {
    let world = selling(backend, "prepaid").await;
    taxed(&world, json!({"tax_set": "germany", "on_top": "balance"})).await;
    world.top_up("alice", "t1", "1").await;
    // 1 EUR is 84 s at 0.0119 a second; the 85th would be 1.0115.
    let why = talk(&world, 600).await;
    let leg = &why["legs"][0];
    assert_eq!(
        (&leg["billed_s"], &leg["amount"], &leg["tax"]),
        (&json!(84), &json!("0.999600"), &json!("0.159600"))
    );
    assert!(leg["rate"]["terms"].as_str().unwrap().contains("with_charge"), "{leg}");
    let sentences = why["decisions"].to_string();
    assert!(sentences.contains("Taxes on 0.840000: VAT 19 % 0.159600."), "{sentences}");
    let posting = &why["postings"][0];
    assert_eq!((&posting["amount"], &posting["tax"]), (&json!("0.999600"), &json!("0.159600")));
    assert_eq!(posting["taxes"]["taxes"][0]["percent"], "19");
    assert_eq!(world.balance("alice").await, "0.000400");
    // Nobody earns taxes: 0.84 for 0.14.
    let profit = world.get(&format!("/reports/profit?{SPAN}")).await;
    let row = &profit["items"][0];
    assert_eq!((&row["revenue"], &row["cost"]), (&json!("0.840000"), &json!("0.140000")));
    let bill = bill(&world).await;
    assert_eq!(sums(&bill["total"]), ["0.840000", "0.160000", "1.000000"]);
    assert_eq!((&bill["posted"], &bill["tax_on_top"]), (&json!("0.999600"), &json!("0.000000")));
    assert_eq!(bill["rounded_off"], "0.000400");
    assert_eq!(
        (&bill["others"][0]["kind"], &bill["others"][0]["posted"]),
        (&json!("payment"), &json!("-1.000000"))
    );
    assert_eq!((&bill["opening"], &bill["closing"]), (&json!("0.000000"), &json!("0.000400")));
    world.check_books().await;
}

async fn a_bill_adds_the_taxes_that_no_posting_has(backend: Backend) {
    let world = selling(backend, "postpaid").await;
    taxed(&world, json!({"tax_set": "germany"})).await;
    let why = talk(&world, 33).await;
    assert_eq!(
        (&why["legs"][0]["amount"], &why["legs"][0]["tax"]),
        (&json!("0.330000"), &json!("0.000000"))
    );
    by_hand(&world, "charges", json!({"amount": "0.335", "label": "Set-up"})).await;
    let total = bill(&world).await;
    // 0.665 is 0.67, and of that the tax 0.1273; as lines 0.33 and 0.34.
    assert_eq!(sums(&total["total"]), ["0.670000", "0.130000", "0.800000"]);
    let lines = total["lines"].as_array().unwrap();
    let (calls, fee) = (&lines[0], &lines[1]);
    assert_eq!(
        (&calls["kind"], &calls["label"], &calls["count"]),
        (&json!("calls"), &json!("Germany"), &json!(1))
    );
    assert_eq!(
        (&calls["billed_seconds"], sums(calls)),
        (&json!(33), ["0.330000", "0.060000", "0.390000"])
    );
    assert_eq!((&fee["kind"], &fee["label"]), (&json!("one_time"), &json!("Set-up")));
    assert_eq!(
        (&fee["posted"], sums(fee)),
        (&json!("0.335000"), ["0.340000", "0.060000", "0.400000"])
    );
    assert_eq!(sums(&total["rounding_difference"]), ["0.000000", "0.010000", "0.010000"]);
    assert_eq!(
        (&total["tax_on_top"], &total["rounded_off"]),
        (&json!("0.130000"), &json!("0.005000"))
    );
    assert_eq!(total["taxes"][0]["base"], "0.670000");
    assert_eq!(total["closing"], "-0.665000");
    // Asked again it is the same, and the group's roundings are what it is rounded by (V-16).
    assert_eq!(bill(&world).await, total);
    let by_line =
        json!({"tax_rounding": "line", "invoice_rounding": {"mode": "down", "decimals": 2}});
    let group = world.ask("PATCH", "/rate-groups/retail", None, by_line.to_string()).await;
    assert_eq!((group.0, &group.1["tax_rounding"]), (200, &json!("line")));
    let by_line = bill(&world).await;
    assert_eq!(sums(&by_line["total"]), ["0.660000", "0.120000", "0.780000"]);
    assert_eq!(sums(&by_line["rounding_difference"]), ["0.000000"; 3]);
    assert_eq!(by_line["rounded_off"], "-0.005000");
    world.check_books().await;
}

async fn prices_with_taxes_in_them_are_split(backend: Backend) {
    let world = selling(backend, "prepaid").await;
    let with = json!({"prices_include_tax": true}).to_string();
    assert_eq!(world.ask("PATCH", "/rate-groups/retail", None, with).await.0, 200);
    // Who pays the taxes is of no account where the price contains them.
    taxed(&world, json!({"tax_set": "germany", "on_top": "balance"})).await;
    world.top_up("alice", "t1", "10").await;
    let why = talk(&world, 119).await;
    assert_eq!(
        (&why["legs"][0]["amount"], &why["legs"][0]["tax"]),
        (&json!("1.190000"), &json!("0.190000"))
    );
    assert_eq!(sums(&bill(&world).await["total"]), ["1.000000", "0.190000", "1.190000"]);
    world.check_books().await;
}

async fn a_rate_that_changes_changes_nothing_before(backend: Backend) {
    let world = selling(backend, "prepaid").await;
    taxed(&world, json!({"tax_set": "germany", "on_top": "balance"})).await;
    world.top_up("alice", "t1", "10").await;
    talk(&world, 100).await;
    // The call ends at 14:15; from 14:20 on 16 %.
    let at = "2026-09-21T14:20:00Z";
    let both = json!({"taxes": [
        {"name": "VAT", "percent": "19", "valid_till": at},
        {"name": "VAT", "percent": "16", "valid_from": at}]});
    put(&world, "/tax-sets/germany", both).await;
    talk(&world, 100).await;
    world.control.advance(600 * 1_000_000);
    let why = talk(&world, 100).await;
    assert_eq!(why["legs"][0]["amount"], "1.160000");
    let bill = bill(&world).await;
    let taxes = bill["taxes"].as_array().unwrap();
    let told = |tax: &Value| {
        ["percent", "base", "amount"].map(|field| tax[field].as_str().unwrap().to_owned())
    };
    assert_eq!(told(&taxes[0]), ["16", "1.000000", "0.160000"]);
    assert_eq!(told(&taxes[1]), ["19", "2.000000", "0.380000"]);
    // Priced again, a call has the taxes of its own time: nothing changes (R16).
    let again = json!({"from": "2026-09-01", "till": "2026-10-01", "reason": "again"});
    let run = world.done(&world.post("/rerates", again).await).await;
    assert_eq!((&run["calls"], &run["changed"]), (&json!(3), &json!(0)), "{run:#}");
    world.check_books().await;
}

async fn a_call_priced_again_has_its_new_taxes_only(backend: Backend) {
    let world = selling(backend, "prepaid").await;
    taxed(&world, json!({"tax_set": "germany", "on_top": "balance"})).await;
    world.top_up("alice", "t1", "10").await;
    talk(&world, 100).await;
    let again = async |changed: u64, balance: &str, total: [&str; 3]| {
        let asked = json!({"from": "2026-09-01", "till": "2026-10-01", "reason": "taxes"});
        let run = world.done(&world.post("/rerates", asked).await).await;
        assert_eq!(run["changed"], changed, "{run:#}");
        world.control.store.flush().await;
        assert_eq!(world.balance("alice").await, balance);
        let bill = bill(&world).await;
        assert_eq!(sums(&bill["total"]), total, "{bill:#}");
        let profit = world.get(&format!("/reports/profit?{SPAN}")).await;
        assert_eq!(profit["items"][0]["revenue"], "1.000000", "{profit:#}");
        world.check_books().await;
        bill
    };
    again(0, "8.810000", ["1.000000", "0.190000", "1.190000"]).await;
    // The bill adds what the balance has paid until now, and the other way round.
    taxed(&world, json!({"tax_set": "germany", "on_top": "statement"})).await;
    let on_top = again(1, "9.000000", ["1.000000", "0.190000", "1.190000"]).await;
    assert_eq!(
        (&on_top["posted"], &on_top["tax_on_top"]),
        (&json!("1.000000"), &json!("0.190000"))
    );
    again(0, "9.000000", ["1.000000", "0.190000", "1.190000"]).await;
    taxed(&world, json!({"tax_set": "germany", "on_top": "balance"})).await;
    again(1, "8.810000", ["1.000000", "0.190000", "1.190000"]).await;
    // Without taxes nothing of them is left.
    taxed(&world, json!({"tax_set": null})).await;
    let untaxed = again(1, "9.000000", ["1.000000", "0.000000", "1.000000"]).await;
    assert_eq!(untaxed["taxes"][0]["amount"], "0.000000");
    again(0, "9.000000", ["1.000000", "0.000000", "1.000000"]).await;
    // Exempt pays as much, and is named.
    let exemptions = json!([{"tax": "VAT", "reason": "Reverse charge"}]);
    let exempt = json!({"tax_set": "germany", "on_top": "balance", "exemptions": exemptions});
    taxed(&world, exempt).await;
    let exempt = again(1, "9.000000", ["1.000000", "0.000000", "1.000000"]).await;
    let named = exempt["taxes"].as_array().unwrap().iter().find(|tax| tax["exempt"].is_string());
    assert_eq!(named.unwrap()["base"], "1.000000", "{exempt:#}");
}

async fn who_is_exempt_pays_no_tax_and_the_bill_says_why(backend: Backend) {
    let world = selling(backend, "prepaid").await;
    let exempt = json!({"tax_set": "germany", "on_top": "balance",
        "exemptions": [{"tax": "VAT", "reason": "Reverse charge, Art. 196"}]});
    taxed(&world, exempt).await;
    let shown = world.get("/accounts/alice/taxes").await;
    assert_eq!(shown["exemptions"][0]["reason"], "Reverse charge, Art. 196");
    world.top_up("alice", "t1", "10").await;
    assert_eq!(talk(&world, 100).await["legs"][0]["amount"], "1.000000");
    let bill = bill(&world).await;
    assert_eq!(sums(&bill["total"]), ["1.000000", "0.000000", "1.000000"]);
    let tax = &bill["taxes"][0];
    assert_eq!(
        (&tax["exempt"], &tax["amount"]),
        (&json!("Reverse charge, Art. 196"), &json!("0.000000"))
    );
    // From another node's or another start's tables it is the same.
    let world = world.crashed().await;
    assert_eq!(talk(&world, 100).await["legs"][0]["amount"], "1.000000");
}

async fn fees_and_credit_notes_have_their_taxes(backend: Backend) {
    let world = selling(backend, "prepaid").await;
    let set = json!({"taxes": [{"name": "VAT", "percent": "20", "applies_to": ["recurring", "one_time", "credit_note"]}]});
    put(&world, "/tax-sets/germany", set).await;
    taxed(&world, json!({"tax_set": "germany", "on_top": "balance"})).await;
    world.top_up("alice", "t1", "100").await;
    let plan = json!({"name": "basic", "currency": "EUR", "fees": [{
        "label": "Monthly fee", "amount": "10", "every": "month", "anchor": "start"}]});
    world.made("/plans", plan).await;
    world.made("/accounts/alice/plans", json!({"plan": "basic"})).await;
    let (_, shown) = world.post("/charges/run", json!({"preview": true})).await;
    assert_eq!(shown["items"][0]["amount"], "-12.000000", "as it will be charged: {shown}");
    let (_, run) = world.post("/charges/run", json!({})).await;
    assert_eq!(run["booked"], 1, "{run}");
    assert_eq!(world.balance("alice").await, "88.000000");
    let charge = &world.get("/accounts/alice/charges").await["items"][0];
    assert_eq!((&charge["amount"], &charge["tax"]), (&json!("-12.000000"), &json!("2.000000")));
    by_hand(&world, "charges", json!({"amount": "5", "label": "Set-up"})).await;
    by_hand(&world, "credit-notes", json!({"amount": "1", "label": "Sorry"})).await;
    let adjusted = json!({"amount": "-3", "reason": "correction"});
    by_hand(&world, "adjustments", adjusted).await;
    assert_eq!(world.balance("alice").await, "80.200000");
    let bill = bill(&world).await;
    let lines = bill["lines"].as_array().unwrap();
    let told: Vec<_> =
        lines.iter().map(|line| (line["kind"].as_str().unwrap(), sums(line))).collect();
    assert_eq!(
        told,
        [
            ("recurring", ["10.000000", "2.000000", "12.000000"]),
            ("one_time", ["5.000000", "1.000000", "6.000000"]),
            ("credit_note", ["-1.000000", "-0.200000", "-1.200000"]),
            ("adjustment", ["3.000000", "0.000000", "3.000000"]),
        ]
    );
    assert_eq!(sums(&bill["total"]), ["17.000000", "2.800000", "19.800000"]);
    assert_eq!((&bill["closing"], &bill["rounded_off"]), (&json!("80.200000"), &json!("0.000000")));
    world.check_books().await;
}

async fn a_fee_is_given_back_with_the_taxes_it_had(backend: Backend) {
    let world = selling(backend, "prepaid").await;
    taxed(&world, json!({"tax_set": "germany", "on_top": "balance"})).await;
    world.top_up("alice", "t1", "100").await;
    let plan = json!({"name": "basic", "currency": "EUR", "fees": [{
        "label": "Monthly fee", "amount": "30", "every": "month", "anchor": "start",
        "at_end": "by_day"}]});
    world.made("/plans", plan).await;
    let plan = world.made("/accounts/alice/plans", json!({"plan": "basic"})).await;
    world.post("/charges/run", json!({})).await;
    assert_eq!(world.balance("alice").await, "64.300000");
    let end = format!("/subscriptions/{}/end", plan["id"]);
    assert_eq!(world.post(&end, json!({"at": "2026-09-22"})).await.0, 200);
    put(&world, "/tax-sets/germany", json!({"taxes": [{"name": "VAT", "percent": "50"}]})).await;
    world.control.advance(2 * 86_400 * 1_000_000);
    world.post("/charges/run", json!({})).await;
    // One of thirty days was used.
    let back = &world.get("/accounts/alice/charges").await["items"][0];
    assert_eq!((&back["amount"], &back["tax"]), (&json!("34.510000"), &json!("5.510000")));
    assert_eq!(world.balance("alice").await, "98.810000");
    assert_eq!(sums(&bill(&world).await["total"]), ["1.000000", "0.190000", "1.190000"]);
    world.check_books().await;
}

async fn a_repeat_has_the_taxes_of_the_first_try(backend: Backend) {
    let world = selling(backend, "prepaid").await;
    taxed(&world, json!({"tax_set": "germany", "on_top": "balance"})).await;
    world.top_up("alice", "t1", "100").await;
    let tell = async |what: &str, key: &str, amount: &str| {
        let body = json!({"amount": amount, "label": "By hand"}).to_string();
        world.ask("POST", &format!("/accounts/alice/{what}"), Some(key), body).await
    };
    world.control.loses_answers.store(true, Relaxed);
    for (what, amount) in [("charges", "10"), ("credit-notes", "1")] {
        assert_ne!(tell(what, what, amount).await.0, 201);
    }
    world.control.loses_answers.store(false, Relaxed);
    put(&world, "/tax-sets/germany", json!({"taxes": [{"name": "VAT", "percent": "50"}]})).await;
    for (what, amount, moved) in
        [("charges", "10", "-11.900000"), ("credit-notes", "1", "1.190000")]
    {
        let (status, answer) = tell(what, what, amount).await;
        assert_eq!((status, &answer["amount"]), (201, &json!(moved)), "{answer}");
    }
    assert_eq!(world.balance("alice").await, "89.290000");
    // Another amount is no repeat.
    world.control.loses_answers.store(true, Relaxed);
    assert_ne!(tell("charges", "other", "10").await.0, 201);
    world.control.loses_answers.store(false, Relaxed);
    assert_eq!(tell("charges", "other", "15").await.0, 422);
    world.check_books().await;
}

async fn what_is_wrong_with_taxes_is_said(backend: Backend) {
    let world = selling(backend, "prepaid").await;
    let refused = async |path: &str, body: Value| {
        let answer = world.ask("PUT", path, None, body.to_string()).await;
        let told = World::told(&answer);
        (told.0, told.2.to_owned(), told.3.to_owned())
    };
    let percent = json!({"taxes": [{"name": "VAT", "percent": "1.00001"}]});
    let (status, field, what) = refused("/tax-sets/x", percent).await;
    assert_eq!((status, field.as_str()), (422, "taxes.percent"));
    assert!(what.contains("at most 4 decimals"), "{what}");
    let twice =
        json!({"taxes": [{"name": "VAT", "percent": "1"}, {"name": "VAT", "percent": "2"}]});
    assert!(refused("/tax-sets/x", twice).await.2.contains("holds twice"));
    let unknown = json!({"tax_set": "mars"});
    assert_eq!(refused("/accounts/alice/taxes", unknown).await.1, "tax_set");
    let levy = json!({"tax_set": "germany", "exemptions": [{"tax": "Levy", "reason": "x"}]});
    let (_, field, what) = refused("/accounts/alice/taxes", levy).await;
    assert_eq!(field, "exemptions");
    assert!(what.contains("the taxes are VAT"), "{what}");
    let none = json!({"tax_set": null, "on_top": "balance"});
    let (_, field, what) = refused("/accounts/alice/taxes", none).await;
    assert_eq!(field, "on_top");
    assert!(what.contains("name its tax_set too"), "{what}");
    // What somebody is exempt from cannot go.
    let exempt = json!({"tax_set": "germany", "exemptions": [{"tax": "VAT", "reason": "x"}]});
    taxed(&world, exempt).await;
    let other = json!({"taxes": [{"name": "GST", "percent": "5"}]});
    assert_eq!(refused("/tax-sets/germany", other).await.1, "exemptions");
    let (status, _) = world.ask("DELETE", "/tax-sets/germany", None, String::new()).await;
    assert_eq!(status, 409);
    taxed(&world, json!({"tax_set": null})).await;
    let (status, _) = world.ask("DELETE", "/tax-sets/germany", None, String::new()).await;
    assert_eq!(status, 200);
    assert_eq!(world.get("/tax-sets").await["items"], json!([]));
    let path = "/accounts/alice/bill?from=2026-10-01&till=2026-09-01";
    let backwards = world.ask("GET", path, None, String::new()).await;
    assert_eq!(World::told(&backwards).2, "till");
}
