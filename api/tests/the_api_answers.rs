//! The API against a real database, with a switch that books and talks without SIP.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use api::{Control, Payment};
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use store::directory::DirectoryStore;
use vocabulary::AccountId;
use world::backend::{Backend, on_both};
use world::{Told, World, world};

on_both!(
    health_is_503_while_new_calls_are_refused,
    only_health_is_open_to_all,
    a_change_is_live_when_it_is_answered,
    mistakes_name_their_field,
    money_moves_once_for_one_key,
    what_keeps_a_payment_from_being_booked_is_named_with_its_cure,
    a_payment_booked_before_a_crash_is_not_booked_again,
    a_payment_that_only_the_tables_remember_is_not_booked_again,
    a_repeated_command_gets_the_same_answer_and_changes_nothing,
    trunks_and_routes_keep_what_they_are_given,
    a_sheet_goes_in_whole_or_not_at_all,
    questions_about_calls_are_answered,
    rates_are_tabulated_for_sql,
);

async fn health_is_503_while_new_calls_are_refused(backend: Backend) {
    let world = world(backend).await;
    for (is_draining, is_journal_stuck, code, status) in [
        (false, false, 200, "ok"),
        (false, true, 503, "journal_stuck"),
        (true, false, 503, "draining"),
        (true, true, 503, "draining"),
    ] {
        world.control.is_draining.store(is_draining, Relaxed);
        world.control.is_journal_stuck.store(is_journal_stuck, Relaxed);
        let request = Request::builder().uri("/health").body(Body::empty()).unwrap();
        let (head, text) = world.send(request).await;
        assert_eq!(head.status().as_u16(), code);
        assert_eq!(text, json!({ "status": status }).to_string());
    }
}

async fn only_health_is_open_to_all(backend: Backend) {
    let world = world(backend).await;
    let request = |path: &str, token: &str| {
        let builder = Request::builder().uri(path);
        builder.header("authorization", token).body(Body::empty()).unwrap()
    };
    for (path, token, status) in [
        ("/health", "", 200),
        ("/metrics", "", 401),
        ("/api/v1/accounts", "", 401),
        ("/api/v1/accounts", "Bearer wrong", 401),
        ("/api/v1/nowhere", "Bearer wrong", 401),
        ("/api/v1/accounts", &format!("bearer {}", world.token), 200),
        ("/api/v1/accounts", &format!("Basic {}", world.token), 401),
        ("/metrics", &format!("Bearer {}", world.token), 200),
        ("/api/v1/nowhere", &format!("Bearer {}", world.token), 404),
    ] {
        let (head, text) = world.send(request(path, token)).await;
        assert_eq!(head.status().as_u16(), status, "{path} {token}: {text}");
        if status == 401 {
            assert_eq!(head.headers()["www-authenticate"], "Bearer realm=\"tandem\"");
            assert_eq!(head.headers()["content-type"], "application/problem+json");
        }
    }
}

async fn a_change_is_live_when_it_is_answered(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let phone = json!({"username": "alice", "password": "long enough 1", "account": "alice",
        "number": "+493023125101"});
    let answer = world.made("/subscribers", phone).await;
    assert_eq!(answer["number"], "493023125101");
    assert!(answer.get("password").is_none());
    let directory = Arc::clone(&world.control.published.lock().unwrap().last().unwrap().directory);
    assert!(directory.subscriber_by_username("alice").is_some());

    let body = json!({"status": "blocked", "calls_in_max": null}).to_string();
    let (status, account) = world.ask("PATCH", "/accounts/alice", None, body).await;
    assert_eq!(
        (status, &account["status"], &account["calls_in_max"]),
        (200, &json!("blocked"), &Value::Null)
    );
    let directory = Arc::clone(&world.control.published.lock().unwrap().last().unwrap().directory);
    assert!(!directory.account(AccountId(1000)).unwrap().is_active);

    world.ask("DELETE", "/subscribers/alice", None, String::new()).await;
    assert_eq!(world.get("/subscribers").await["items"], json!([]));
}

async fn mistakes_name_their_field(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    #[rustfmt::skip]
    let table: Vec<(&str, Value, Told<'_>)> = vec![
        ("/accounts", json!({"name": "x", "billing": "prepaid", "currency": "EUR", "credit_limit": "5"}),
            (422, "invalid_value", "credit_limit", "a prepaid account has none; make it postpaid, or leave the limit out")),
        ("/accounts", json!({"name": "alice", "billing": "prepaid", "currency": "EUR"}),
            (409, "taken", "name", "name: \"alice\" is taken; choose another")),
        ("/accounts", json!({"name": "x", "billing": "credit", "currency": "EUR"}),
            (422, "invalid_value", "billing", "\"credit\" is not one of prepaid, postpaid")),
        ("/accounts", json!({"name": "x", "billing": "prepaid", "currency": "euro"}),
            (422, "invalid_value", "currency", "write an ISO 4217 code such as EUR or USD")),
        ("/accounts", json!({"name": "x", "billing": "prepaid", "currency": "EUR", "calls_in_max": -1}),
            (422, "invalid_value", "calls_in_max", "invalid value: integer `-1`, expected u32 at line 1 column 38")),
        ("/accounts", json!({"name": "x", "billing": "prepaid", "currency": "EUR", "rate_group": "none such"}),
            (422, "invalid_value", "rate_group", "there is no rate group \"none such\"; add it first")),
        ("/subscribers", json!({"username": "bob", "password": "short", "account": "alice"}),
            (422, "invalid_value", "password", "write at least 8 characters")),
        ("/subscribers", json!({"username": "bob", "password": "password", "account": "alice"}),
            (422, "invalid_value", "password", "everyone would guess it; write another")),
        ("/subscribers", json!({"username": "bob", "password": "long enough 1", "account": "nobody"}),
            (404, "not_found", "", "there is no account \"nobody\"")),
        ("/subscribers", json!({"username": "b b", "password": "long enough 1", "account": "alice"}),
            (422, "invalid_value", "username", "write 1 to 64 letters, digits or any of - _ . + ~")),
        ("/trunks", json!({"name": "t", "account": "alice", "host": "127.0.0.1", "egress_username": "u"}),
            (422, "invalid_value", "egress_password", "a user name needs its password in the same request")),
        ("/routes", json!({"prefix": "4x", "trunk": "t"}), (404, "not_found", "", "there is no trunk \"t\"")),
    ];
    for (path, body, expected) in table {
        let answer = world.post(path, body.clone()).await;
        assert_eq!(World::told(&answer), expected, "{path} {body}");
    }
    let unknown = world.post("/accounts", json!({"name": "x", "colour": "red"})).await;
    assert_eq!((unknown.0, unknown.1["field"].as_str()), (422, Some("colour")));
    let bad_json = world.ask("POST", "/routes", None, "{".into()).await;
    assert_eq!(World::told(&bad_json).1, "invalid_body");
    let large = world.ask("POST", "/accounts", None, "x".repeat(10_001)).await;
    assert_eq!(World::told(&large).0, 413);
    // Nothing of all this is stored.
    assert_eq!(world.get("/accounts").await["items"].as_array().unwrap().len(), 1);
}

async fn money_moves_once_for_one_key(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let pay = async |key, amount: &str| {
        let body = json!({"amount": amount, "note": "cash"}).to_string();
        world.ask("POST", "/accounts/alice/topups", key, body).await
    };
    assert_eq!(World::told(&pay(None, "5").await).1, "idempotency_key_missing");
    let first = pay(Some("k1"), "5").await;
    assert_eq!((first.0, &first.1["balance"]), (201, &json!("5.000000")));
    assert_eq!(pay(Some("k1"), "5").await, first);
    assert_eq!(World::told(&pay(Some("k1"), "6").await).1, "idempotency_key_reused");
    assert_eq!(pay(Some("k2"), "1").await.1["balance"], "6.000000");
    assert_eq!(World::told(&pay(Some("k3"), "1.2345678").await).2, "amount");
    assert_eq!(World::told(&pay(Some("k3"), "0").await).2, "amount");
    assert_eq!(world.get("/accounts/alice").await["balance"], "6.000000");
    assert_eq!(world.get("/accounts/1000").await["available"], "6.000000");
}

async fn what_keeps_a_payment_from_being_booked_is_named_with_its_cure(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let pay = async |key: &str| {
        let body = json!({ "amount": "1" }).to_string();
        world.ask("POST", "/accounts/alice/topups", Some(key), body).await
    };
    world.control.is_journal_stuck.store(true, Relaxed);
    let (status, problem) = pay("k1").await;
    assert_eq!((status, &problem["type"]), (503, &json!("urn:tandem:problem:journal_stuck")));
    world.control.is_journal_stuck.store(false, Relaxed);
    // Somebody works on the database with another program.
    let other = DirectoryStore::open(&world.database).await.unwrap();
    let held = other.begin().await.unwrap();
    let (status, problem) = pay("k1").await;
    assert_eq!((status, &problem["type"]), (503, &json!("urn:tandem:problem:database_locked")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("end it") && detail.contains("same Idempotency-Key"), "{detail}");
    drop(held);
    assert_eq!(pay("k1").await.0, 201);
}

async fn a_payment_booked_before_a_crash_is_not_booked_again(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    // The books have it, the answer was never stored: as after a crash in between.
    let hash = store::rate_deck::fingerprint(b"k1");
    let chosen = u128::from_be_bytes(hash[..16].try_into().unwrap());
    let payment = Payment {
        op: billing::OpId::outside(chosen),
        account: AccountId(1000),
        amount: "5".parse().unwrap(),
        kind: billing::PostingKind::TopUp,
        overdraft: billing::Overdraft::Refuse,
        note: "cash".into(),
        tax: None,
    };
    world.control.pay(payment).await.unwrap();
    let body = json!({"amount": "5", "note": "cash"}).to_string();
    let answer = world.ask("POST", "/accounts/alice/topups", Some("k1"), body).await;
    assert_eq!((answer.0, &answer.1["balance"]), (201, &json!("5.000000")));
}

async fn a_payment_that_only_the_tables_remember_is_not_booked_again(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    // As after a restart: the ledger began with the sums of the tables and no memory of ids.
    let hash = store::rate_deck::fingerprint(b"k1");
    store::sql::query(
        "INSERT INTO posting (op_id, kind, debit_account_id, credit_account_id, amount, currency,
            at, note) VALUES (?, 'topup', 1, 1000, 5000000, 'EUR', 0, 'cash')",
    )
    .bind([&[0x10][..], &hash[1..16]].concat())
    .execute(world.control.store.pool())
    .await
    .unwrap();
    let top_up = async |amount: &str| {
        let body = json!({"amount": amount, "note": "cash"}).to_string();
        world.ask("POST", "/accounts/alice/topups", Some("k1"), body).await
    };
    let differs = top_up("6").await;
    assert_eq!(World::told(&differs).1, "idempotency_key_reused");
    let answer = top_up("5").await;
    assert_eq!((answer.0, &answer.1["balance"]), (201, &json!("0.000000")));
}

async fn a_repeated_command_gets_the_same_answer_and_changes_nothing(backend: Backend) {
    let world = world(backend).await;
    let body = json!({"name": "a", "billing": "postpaid", "currency": "EUR"}).to_string();
    let first = world.ask("POST", "/accounts", Some("k"), body.clone()).await;
    assert_eq!(first.0, 201);
    assert_eq!(world.ask("POST", "/accounts", Some("k"), body).await, first);
    let other = json!({"name": "b", "billing": "postpaid", "currency": "EUR"}).to_string();
    let refused = world.ask("POST", "/accounts", Some("k"), other).await;
    assert_eq!(World::told(&refused).1, "idempotency_key_reused");
    assert_eq!(world.get("/accounts").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(world.control.published.lock().unwrap().len(), 2, "the one it began with, and one");
}

async fn trunks_and_routes_keep_what_they_are_given(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let trunk = json!({"name": "c1", "account": "alice", "host": "carrier.example", "port": 5070,
        "transport": "tcp", "addresses": ["192.0.2.0/28"], "egress_username": "u",
        "egress_password": "p", "egress_plan": {"form": "plus"}, "hunt_codes": [486],
        "ring_timeout_s": 20, "cps_out_max": 9});
    let made = world.made("/trunks", trunk).await;
    assert_eq!(made["egress_plan"]["form"], "plus");
    assert!(!made.to_string().contains("\"p\""), "a password is never shown");
    let route = world.made("/routes", json!({"prefix": "+49", "trunk": "c1"})).await;
    assert_eq!((&route["prefix"], &route["priority"]), (&json!("49"), &json!(1)));
    let patch = json!({"port": null, "enabled": false}).to_string();
    let (_, changed) = world.ask("PATCH", "/trunks/c1", None, patch).await;
    assert_eq!((&changed["port"], &changed["enabled"]), (&Value::Null, &json!(false)));
    assert_eq!(
        (&changed["host"], &changed["egress_username"]),
        (&json!("carrier.example"), &json!("u"))
    );
    let no_host = world.ask("PATCH", "/trunks/c1", None, json!({"host": null}).to_string()).await;
    assert_eq!(no_host.0, 409, "a route leads there: {}", no_host.1);
    world.ask("DELETE", "/trunks/c1", None, String::new()).await;
    assert_eq!(world.get("/routes").await["items"], json!([]));
}

async fn a_sheet_goes_in_whole_or_not_at_all(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let path = "/rate-groups/retail/sheets?file=r.csv";
    let bad = "prefix,price\n49,0.01\n4x,0.02\n".to_owned();
    let (status, problem) = world.ask("POST", path, None, bad).await;
    assert_eq!(status, 422);
    assert_eq!(problem["detail"], "r.csv has a fault; nothing was imported");
    assert_eq!(
        problem["errors"][0],
        json!({"row": 3, "column": "prefix",
        "detail": "\"4x\" is neither a code nor a range such as 49172-49174"})
    );

    let good = "prefix,destination,price\n49,Germany,0.01\n1,USA,0.02\n".to_owned();
    let preview = format!("{path}&preview=true");
    let (_, counts) = world.ask("POST", &preview, None, good.clone()).await;
    assert_eq!((&counts["added"], &counts["imported"]), (&json!(2), &json!(false)));
    assert_eq!(world.get("/rate-groups/retail/rates").await["items"], json!([]));

    let (status, stored) = world.ask("POST", path, None, good).await;
    assert_eq!((status, &stored["rows"], &stored["imported"]), (201, &json!(2), &json!(true)));
    let rates = world.get("/rate-groups/retail/rates?prefix=4").await;
    assert_eq!(rates["items"][0]["destination"], "Germany");
    let book = Arc::clone(&world.control.published.lock().unwrap().last().unwrap().rate_book);
    assert_eq!(book.group(billing::RateGroupId(1)).unwrap().len(), 2);
    assert_eq!(world.get("/rate-sheets").await["items"].as_array().unwrap().len(), 1);
    let large = world.ask("POST", path, None, "x".repeat(100_001)).await;
    assert_eq!(large.0, 413);
}

async fn questions_about_calls_are_answered(backend: Backend) {
    let world = world(backend).await;
    assert_eq!(world.get("/calls").await["items"], json!([]));
    assert_eq!(world.get("/cdrs?answered=true").await, json!({"items": [], "next": null}));
    assert_eq!(world.get("/registrations").await["items"], json!([]));
    assert_eq!(world.get("/ledger/check").await["ok"], true);
    assert_eq!(world.get("/status").await["version"], "0");
    let simulated = world.get("/simulate?from=bob&to=49").await;
    assert_eq!(
        (&simulated["would_be_placed"], &simulated["sip_status"]),
        (&json!(false), &json!(403))
    );
    for (path, status) in [
        ("/why/unknown", 404),
        ("/why/00000000000000aa", 404),
        ("/cdrs?account=nobody", 404),
        ("/cdrs?colour=red", 400),
        ("/cdrs?from=yesterday", 422),
        ("/cdrs?after=1", 422),
        ("/simulate?from=a", 422),
        ("/simulate?from=a&to=1&at=noon", 422),
    ] {
        let (found, problem) = world.ask("GET", path, None, String::new()).await;
        assert_eq!(found, status, "{path}: {problem}");
    }
    let (status, _) = world.ask("DELETE", "/calls/00000000000000aa", None, String::new()).await;
    assert_eq!(status, 404);
}

async fn rates_are_tabulated_for_sql(backend: Backend) {
    // V-27
    let world = world(backend).await;
    world.fill().await;
    world.sheet("retail", "49,0.60 4930,0.50 44,1.20").await;
    let listing = world.post("/rate-groups/retail/listing", json!({})).await;
    assert_eq!((listing.0, &listing.1["rows"]), (200, &json!(3)));
    assert_eq!(world.post("/rate-groups/gold/listing", json!({})).await.0, 404);
    let listed = async || {
        let sql = "SELECT prefix, price, first_increment_s, is_current, valid_till FROM rate_readable \
                   WHERE rate_group = 'retail' ORDER BY prefix, valid_from";
        let pool = world.control.store.pool();
        let rows = store::sql::query(sql).fetch_all(pool).await.unwrap();
        let row = |row: &store::sql::Row| {
            let (prefix, price): (String, String) =
                (row.try_get(0).unwrap(), row.try_get(1).unwrap());
            let (first, is_current): (i64, i64) =
                (row.try_get(2).unwrap(), row.try_get(3).unwrap());
            let has_end = row.try_get::<Option<String>, _>(4).unwrap().is_some();
            (format!("{prefix} {price} {first}"), is_current == 1, has_end)
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    let row = |text: &str, is_current, has_end| (text.to_owned(), is_current, has_end);
    let three = [("44 1.2 60"), ("49 0.6 60"), ("4930 0.5 60")];
    assert_eq!(listed().await, three.map(|text| row(text, true, false)));
    // A later sheet is not in it, and it says so.
    world.control.advance(3_600_000_000);
    world.sheet("retail", "49,0.70").await;
    assert_eq!(listed().await, three.map(|text| row(text, false, false)));
    world.post("/rate-groups/retail/listing", json!({})).await;
    let four = [
        row("44 1.2 60", true, false),
        row("49 0.6 60", true, true),
        row("49 0.7 60", true, false),
        row("4930 0.5 60", true, false),
    ];
    assert_eq!(listed().await, four);
}
