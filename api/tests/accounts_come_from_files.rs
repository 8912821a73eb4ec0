//! Import and export of accounts (V-23, V-24, A-04, A-05), and closing them.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use world::backend::{Backend, on_both};
use world::{World, world};

on_both!(
    what_was_exported_and_imported_exports_the_same_bytes,
    no_cell_of_an_export_is_a_formula,
    an_export_has_what_the_list_has_with_the_same_filter,
    every_row_has_a_verdict_and_one_bad_row_stops_all,
    every_verdict_is_told_page_by_page,
    accounts_that_differ_are_changed_only_when_asked,
    faults_are_told_by_row_and_column,
    closing_takes_away_what_lets_an_account_call,
    a_reseller_is_closed_with_all_its_customers_or_not,
);

async fn export(world: &World, query: &str) -> Vec<u8> {
    let request = Request::builder()
        .uri(format!("/api/v1/accounts/export{query}"))
        .header("authorization", format!("Bearer {}", world.token))
        .body(Body::empty())
        .unwrap();
    let response = world.router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes().to_vec();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
    bytes
}

async fn send(world: &World, query: &str, body: impl Into<Body>) -> (u16, Value) {
    let request = Request::builder()
        .method("POST")
        .uri(format!("/api/v1/accounts/import{query}"))
        .header("authorization", format!("Bearer {}", world.token))
        .body(body.into())
        .unwrap();
    let (head, text) = world.send(request).await;
    (head.status().as_u16(), serde_json::from_str(&text).unwrap())
}

/// accepted, unchanged, changed, rejected; they must add up.
#[track_caller]
fn counts(answer: &(u16, Value)) -> [u64; 4] {
    let counts = ["accepted", "unchanged", "changed", "rejected"];
    let counts =
        counts.map(|name| answer.1[name].as_u64().unwrap_or_else(|| panic!("{}", answer.1)));
    assert_eq!(answer.1["rows_in"].as_u64().unwrap(), counts.iter().sum::<u64>());
    assert_eq!(answer.1["rows_in"], answer.1["verdicts"].as_array().unwrap().len());
    counts
}

/// row, column and words of the only reason for which nothing is imported
#[track_caller]
fn check_refused(answer: &(u16, Value), row: u64, column: &str, words: &str) {
    assert_eq!(answer.0, 422, "{}", answer.1);
    let errors = answer.1["errors"].as_array().unwrap();
    let told: Vec<(u64, &str)> = errors
        .iter()
        .map(|error| (error["row"].as_u64().unwrap(), error["column"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(row, column)], "{}", answer.1);
    assert!(errors[0]["detail"].as_str().unwrap().contains(words), "{}", answer.1);
}

async fn filled(backend: Backend) -> World {
    let world = world(backend).await;
    world.made("/rate-groups", json!({"name": "retail", "currency": "EUR"})).await;
    let accounts = [
        json!({"name": "customer", "billing": "prepaid"}),
        json!({"name": "reseller, \"north\"", "billing": "postpaid", "credit_limit": "100.5",
            "rate_group": "retail", "low_balance": ["-5", "10"], "number": "0000000042"}),
        json!({"name": "=1+1", "billing": "prepaid", "parent": "reseller, \"north\"",
            "calls_in_max": 3, "cps_out_max": 0, "spend_day_max": "7", "call_seconds_max": 600,
            "custom": {"crm; id": "@SUM(A1)", "note": "", "plus": "+49", "tis": "'tis|x"}}),
        json!({"name": "mayor", "billing": "postpaid", "allow_loss": true, "netted": true,
            "time_zone": "Europe/Berlin", "local_price": "0.010", "loss_percent_max": "2.50",
            "duration_rounding": "nearest", "custom": {"note": "ß \u{2028} 字"}}),
    ];
    for mut account in accounts {
        account["currency"] = "EUR".into();
        world.made("/accounts", account).await;
    }
    // a customer that is older than its reseller
    let parent = json!({"parent": "mayor"}).to_string();
    assert_eq!(world.ask("PATCH", "/accounts/customer", None, parent).await.0, 200);
    let topup = json!({"amount": "12.345678"}).to_string();
    assert_eq!(world.ask("POST", "/accounts/customer/topups", Some("a"), topup).await.0, 201);
    let debt = json!({"amount": "-3"}).to_string();
    assert_eq!(world.ask("POST", "/accounts/1001/topups", Some("b"), debt).await.0, 201);
    let closed = world.post("/accounts/close", json!({"accounts": ["mayor", "customer"]})).await;
    assert_eq!(closed.0, 200, "{}", closed.1);
    world
}

async fn what_was_exported_and_imported_exports_the_same_bytes(backend: Backend) {
    for form in ["csv", "txt", "xlsx"] {
        let old = filled(backend).await;
        let query = format!("?format={form}");
        let bytes = export(&old, &query).await;
        let new = world(backend).await;
        new.made("/rate-groups", json!({"name": "retail", "currency": "EUR"})).await;
        let answer = send(&new, "", bytes.clone()).await;
        assert_eq!((answer.0, counts(&answer)), (201, [4, 0, 0, 0]), "{form}");
        assert!(export(&new, &query).await == bytes, "{form} differs");
        assert_eq!(new.get("/accounts/customer").await["balance"], "12.345678");
        assert_eq!(new.get("/accounts/mayor").await["status"], "closed");
        let account = new.get("/accounts/1002").await;
        assert_eq!(account["custom"], old.get("/accounts/1002").await["custom"]);
        // once more changes nothing, money included
        let again = send(&new, "?update=true", bytes.clone()).await;
        assert_eq!((again.0, counts(&again)), (201, [0, 4, 0, 0]), "{form}");
        assert!(export(&new, &query).await == bytes, "{form} differs");
    }
}

async fn no_cell_of_an_export_is_a_formula(backend: Backend) {
    let world = filled(backend).await;
    let text = String::from_utf8(export(&world, "?format=txt").await).unwrap();
    let cells = text.lines().flat_map(|line| line.split('\t'));
    let formulas: Vec<&str> = cells
        .map(|cell| cell.trim_start_matches('"'))
        .filter(|cell| cell.starts_with(['=', '+', '-', '@']) && cell.parse::<f64>().is_err())
        .collect();
    assert_eq!(formulas, Vec::<&str>::new());
    assert!(text.contains("'=1+1\t") && text.contains("'+49") && text.contains("'@SUM(A1)"));
}

async fn an_export_has_what_the_list_has_with_the_same_filter(backend: Backend) {
    //
    let world = filled(backend).await;
    for (query, expected) in [
        ("", 4),
        ("?status=closed", 2),
        ("?status=active&billing=postpaid", 1),
        ("?parent=mayor", 1),
        ("?rate_group=retail", 1),
        ("?search=%2B49", 1),
        ("?search=NORTH", 1),
        ("?search=0000000042", 1),
        ("?currency=USD", 0),
    ] {
        let list = world.get(&format!("/accounts{query}")).await;
        let names: Vec<String> =
            list["items"].as_array().unwrap().iter().map(|a| a["id"].to_string()).collect();
        let text = String::from_utf8(export(&world, query).await).unwrap();
        assert_eq!((names.len(), text.lines().count() - 1), (expected, expected), "{query}");
    }
    for query in ["?status=open", "?parent=nobody", "?rate_group=x", "?statsu=active"] {
        let answer = world.ask("GET", &format!("/accounts{query}"), None, String::new()).await;
        assert!((400..500).contains(&answer.0), "{query}: {}", answer.1);
    }
}

async fn every_row_has_a_verdict_and_one_bad_row_stops_all(backend: Backend) {
    let world = filled(backend).await;
    let file = "currency,name,billing,parent,custom.a\n\
                EUR,kid,prepaid,dad,1\n\
                EUR,dad,prepaid,,\n\
                \n\
                EUR,bad,sometimes,,\n\
                EUR,customer,prepaid,mayor,\n\
                USD,lost,prepaid,dad,\n\
                EUR,low,prepaid,lost,\n";
    let preview = send(&world, "?preview=true", file).await;
    assert_eq!((preview.0, counts(&preview)), (200, [2, 1, 0, 3]));
    assert_eq!(preview.1["verdicts"][2]["row"], 5);
    assert_eq!(preview.1["verdicts"][2]["notes"][0]["column"], "billing");
    assert_eq!(preview.1["verdicts"][5]["notes"][0]["column"], "parent");
    let refused = send(&world, "", file).await;
    assert_eq!((refused.0, refused.1["errors"].as_array().unwrap().len()), (422, 3));
    assert_eq!(world.get("/accounts").await["items"].as_array().unwrap().len(), 4);
    let taken = send(&world, "?skip_rejected=true", file).await;
    assert_eq!((taken.0, counts(&taken)), (201, [2, 1, 0, 3]));
    assert_eq!(world.get("/accounts/kid").await["parent"], "dad");
    assert_eq!(world.get("/accounts/kid").await["custom"], json!({"a": "1"}));
    assert_eq!(world.get("/accounts").await["items"].as_array().unwrap().len(), 6);
}

async fn every_verdict_is_told_page_by_page(backend: Backend) {
    let world = world(backend).await;
    // More than are kept together, every third of them wrong.
    const ROWS: usize = 1_100;
    let rows = (0..ROWS).map(|row| {
        let billing = if row % 3 == 0 { "sometimes" } else { "prepaid" };
        format!("a{row},{billing},EUR,{row}\n")
    });
    let file = format!("name,billing,currency,custom.n\n{}", rows.collect::<String>());
    let file = axum::body::Bytes::from(file);
    let preview = send(&world, "?preview=true", file.clone()).await;
    assert_eq!((preview.0, counts(&preview)), (200, [733, 0, 0, 367]));
    let all = preview.1["verdicts"].as_array().unwrap().clone();
    assert_eq!((all.len(), &preview.1["verdicts_next"]), (ROWS, &Value::Null));
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = send(&world, &format!("?preview=true&limit=500{after}"), file.clone()).await;
        paged.extend(page.1["verdicts"].as_array().unwrap().clone());
        assert_eq!(page.1["verdicts_untold"], ROWS - paged.len());
        let Some(next) = page.1["verdicts_next"].as_str() else { break };
        after = format!("&rows_after={next}");
    }
    assert_eq!(paged, all);

    let imported = send(&world, "?skip_rejected=true&limit=5&rows=rejected", file.clone()).await;
    let sums = ["accepted", "rejected", "verdicts_untold"].map(|field| &imported.1[field]);
    assert_eq!((imported.0, sums), (201, [&json!(733), &json!(367), &json!(362)]));
    let first: Vec<&Value> = all.iter().filter(|one| one["verdict"] == "rejected").collect();
    let told = imported.1["verdicts"].as_array().unwrap();
    assert_eq!(told.iter().collect::<Vec<_>>(), first[..5]);
    // What was told then can be asked for later.
    let import = imported.1["import"].as_u64().unwrap();
    let (mut kept, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/account-imports/{import}/verdicts?limit=400{after}");
        let page = world.get(&path).await;
        kept.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(kept, all);
    let next = imported.1["verdicts_next"].as_str().unwrap();
    let path = format!("/account-imports/{import}/verdicts?rows=rejected&after={next}");
    let rest = world.get(&path).await["items"].as_array().unwrap().clone();
    assert_eq!(rest.iter().collect::<Vec<_>>(), first[5..]);
    let imports = world.get("/account-imports").await;
    assert_eq!(
        (&imports["items"][0]["id"], &imports["items"][0]["rejected"]),
        (&json!(import), &json!(367))
    );
    // A preview is not kept, and only a preview can be asked for its next page.
    assert_eq!(imports["items"].as_array().unwrap().len(), 1);
    let refused = send(&world, "?rows_after=5", file.clone()).await;
    assert_eq!((refused.0, &refused.1["field"]), (422, &json!("rows_after")));
    let refused = send(&world, "?preview=true&rows=good", file.clone()).await;
    assert_eq!((refused.0, &refused.1["field"]), (422, &json!("rows")));
    let missing = world.ask("GET", "/account-imports/99/verdicts", None, String::new()).await;
    assert_eq!(missing.0, 404);
}

async fn accounts_that_differ_are_changed_only_when_asked(backend: Backend) {
    let world = filled(backend).await;
    let file = "name;calls_in_max;rate_group;time_zone\n=1+1;9;retail;\n";
    check_refused(&send(&world, "", file).await, 2, "name", "--update");
    let changed = send(&world, "?update=true", file).await;
    assert_eq!((changed.0, counts(&changed)), (201, [0, 0, 1, 0]));
    let account = world.get("/accounts/1002").await;
    assert_eq!(account["calls_in_max"], 9);
    assert_eq!(account["cps_out_max"], 0, "a column that is not in the file stays");
    let opening = send(&world, "?update=true", "name,opening_balance\n=1+1,50\n").await;
    assert_eq!(counts(&opening), [0, 1, 0, 0]);
    assert_eq!(opening.1["verdicts"][0]["notes"][0]["column"], "opening_balance");
    assert_eq!(world.get("/accounts/1002").await["balance"], "0.000000");
    let block = send(&world, "?update=true", "name,status\n=1+1,blocked\n").await;
    assert_eq!(block.0, 201);
    let events = world.get("/accounts/1002/events").await;
    assert_eq!(events["items"].as_array().unwrap().last().unwrap()["kind"], "blocked");
}

async fn faults_are_told_by_row_and_column(backend: Backend) {
    let world = filled(backend).await;
    let head = "name,billing,currency";
    for (columns, row, column, words) in [
        ("parent", "x,prepaid,EUR,nobody", "parent", "no account"),
        ("parent", "x,prepaid,EUR,customer", "parent", "closed"),
        ("credit_limit", "x,prepaid,EUR,5", "credit_limit", "postpaid"),
        ("credit_limit", "x,postpaid,EUR,five", "credit_limit", "five"),
        ("rate_group", "x,prepaid,EUR,gold", "rate_group", "gold"),
        ("rate_group", "x,prepaid,USD,retail", "rate_group", "USD"),
        ("number", "x,prepaid,EUR,0000000042", "number", "taken"),
        ("number", "x,prepaid,EUR,42", "number", "ten digits"),
        ("allow_local", "x,prepaid,EUR,perhaps", "allow_local", "yes or no"),
        ("cps_in_max", "x,prepaid,EUR,-1", "cps_in_max", "whole number"),
        ("status", "customer,prepaid,EUR,active", "status", "stays closed"),
        ("status", "customer,postpaid,EUR,", "billing", "opened"),
        ("status", "x,,EUR,", "billing", "needs it"),
        ("status", "import,prepaid,EUR,", "name", "another name"),
        ("status", "x,prepaid,EUR,,more", "5", "no header"),
    ] {
        let answer = send(&world, "", format!("{head},{columns}\n{row}\n")).await;
        check_refused(&answer, 2, column, words);
    }
    for (file, words) in [
        ("name,billing,currency,credit\nx,prepaid,EUR,1\n", "\"credit\""),
        ("billing,currency\nprepaid,EUR\n", "\"name\""),
        ("name,name,billing\nx,y,prepaid\n", "two columns"),
        ("", "empty"),
    ] {
        let answer = send(&world, "", file).await;
        assert_eq!(answer.0, 422);
        assert!(answer.1["detail"].as_str().unwrap().contains(words), "{}", answer.1);
    }
    let twice = send(&world, "?preview=true", format!("{head}\nx,prepaid,EUR\nx,prepaid,EUR\n"));
    assert_eq!(counts(&twice.await), [0, 0, 0, 2]);
}

async fn closing_takes_away_what_lets_an_account_call(backend: Backend) {
    //
    let world = world(backend).await;
    world.fill().await;
    world.made("/accounts", json!({"name": "bob", "billing": "prepaid", "currency": "EUR"})).await;
    let phone = json!({"username": "p", "password": "long enough 1", "account": "alice"});
    world.made("/subscribers", phone).await;
    let trunk = json!({"name": "t", "account": "alice", "host": "192.0.2.1",
        "addresses": ["192.0.2.1"]});
    world.made("/trunks", trunk).await;
    world.made("/routes", json!({"prefix": "49", "trunk": "t"})).await;
    let nobody = world.post("/accounts/close", json!({"accounts": ["alice", "carol"]})).await;
    assert_eq!(nobody.0, 404);
    assert_eq!(world.get("/accounts/alice").await["status"], "active", "all or none");
    let (status, closed) =
        world.post("/accounts/close", json!({"accounts": ["alice", "bob"]})).await;
    assert_eq!(status, 200, "{closed}");
    let counted = ["subscribers_removed", "trunks_removed", "routes_removed", "pins_removed"];
    assert_eq!(counted.map(|name| closed["items"][0][name].as_u64().unwrap()), [1, 1, 1, 0]);
    for list in ["/subscribers", "/trunks", "/routes"] {
        assert_eq!(world.get(list).await["items"], json!([]), "{list}");
    }
    assert_eq!(world.get("/accounts").await["items"].as_array().unwrap().len(), 2);
    let live = world.control.published.lock().unwrap().last().unwrap().directory.clone();
    for id in [1000, 1001] {
        assert!(!live.account(vocabulary::AccountId(id)).unwrap().is_active, "calls go on");
    }
    let again = world.post("/accounts/close", json!({"accounts": ["bob"]})).await;
    assert_eq!(again.1["items"][0]["was_closed"], true);
}

async fn a_reseller_is_closed_with_all_its_customers_or_not(backend: Backend) {
    let world = world(backend).await;
    for (name, parent) in [("top", Value::Null), ("low", json!("top")), ("other", Value::Null)] {
        let account =
            json!({"name": name, "billing": "prepaid", "currency": "EUR", "parent": parent});
        world.made("/accounts", account).await;
    }
    let alone = world.post("/accounts/close", json!({"accounts": ["top"]})).await;
    assert_eq!(alone.0, 409);
    let file = send(&world, "?update=true", "name,status\ntop,closed\n").await;
    check_refused(&file, 2, "status", "belong to");
    let foreign = json!({"accounts": ["low", "other"], "as_reseller": "top"});
    assert_eq!(world.post("/accounts/close", foreign).await.0, 403);
    assert_eq!(world.get("/accounts/low").await["status"], "active");
    let both = send(&world, "?update=true", "name,status\ntop,closed\nlow,closed\n").await;
    assert_eq!((both.0, counts(&both)), (201, [0, 0, 2, 0]));
}
