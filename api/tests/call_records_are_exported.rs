//! Call records as files: what the list has with the same filter, to the last cell, however many there
//! are, with the clocks of the account (V-21, A-24).
#![allow(clippy::unwrap_used)] // a test may

mod world;

use serde_json::{Value, json};
use world::backend::{Backend, on_both};
use world::calls::Calling;
use world::{World, world};

on_both!(
    a_file_has_what_the_list_has_with_the_same_filter,
    more_records_than_are_read_at_once_are_each_in_it_once,
    clocks_are_those_of_the_account_or_of_the_zone_that_is_named,
    what_makes_no_sense_is_refused_before_the_file_begins,
);

/// Alice and bob call Germany over one carrier.
async fn callers(backend: Backend) -> World {
    let world = world(backend).await;
    world.fill().await;
    world.sheet("retail", "49,0.10").await;
    world.made("/rate-groups", json!({"name": "cost", "currency": "EUR"})).await;
    world.sheet("cost", "49,0.04").await;
    let bob = json!({"name": "bob", "billing": "postpaid", "currency": "EUR",
        "credit_limit": "1000", "rate_group": "retail"});
    world.made("/accounts", bob).await;
    let carrier = json!({"name": "=carrier", "billing": "postpaid", "currency": "EUR",
        "carrier_rate_group": "cost"});
    world.made("/accounts", carrier).await;
    let trunk = json!({"name": "t", "account": "=carrier", "host": "192.0.2.1",
        "friendly_name": "Berlin, \"east\""});
    world.made("/trunks", trunk).await;
    world.made("/routes", json!({"prefix": "49", "trunk": "t"})).await;
    world.top_up("alice", "a", "0.25").await;
    world
}

async fn call(world: &World, account: &str, cld: &str, seconds: u32) {
    let account = world.id(account).await;
    // Some are refused; they have their records too.
    let _ = world.control.talk(Calling::new(account, cld), seconds);
    world.control.advance(1_000_000);
}

/// All pages of the list.
async fn listed(world: &World, filter: &str) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/cdrs?limit=7{filter}{after}")).await;
        items.extend(page["items"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return items,
        }
    }
}

/// The rows of a file, its header first.
async fn exported(world: &World, query: &str) -> Vec<Vec<String>> {
    let request = axum::http::Request::builder()
        .uri(format!("/api/v1/cdrs/export?{query}"))
        .header("authorization", format!("Bearer {}", world.token));
    let request = request.body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(world.router.clone(), request).await.unwrap();
    assert_eq!(response.status(), 200, "{query}");
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let book = sheets::read_workbook(&body).unwrap();
    let table = &book.tables[0];
    let width = table.row(0).len();
    let cells = |row: usize| (0..width).map(|at| table.cell(row, at).text.to_owned()).collect();
    (0..table.len()).map(cells).collect()
}

/// What a cell of this record is in the column with this title.
fn cell(item: &Value, title: &str) -> String {
    let value = match title.strip_prefix("rate_") {
        Some(field) => &item["rate"][field],
        None => &item[title],
    };
    match value {
        Value::Null => String::new(),
        Value::String(text) => sheets::guarded(text).into_owned(),
        other => other.to_string(),
    }
}

#[track_caller]
fn check(rows: &[Vec<String>], items: &[Value], query: &str) {
    let (titles, rows) = rows.split_first().unwrap();
    assert_eq!(rows.len(), items.len(), "{query}");
    for (row, item) in rows.iter().zip(items) {
        let expected: Vec<String> = titles.iter().map(|title| cell(item, title)).collect();
        assert_eq!(row, &expected, "{query}");
    }
}

async fn a_file_has_what_the_list_has_with_the_same_filter(backend: Backend) {
    let world = callers(backend).await;
    for (account, cld, seconds) in
        [("alice", "49301", 60), ("bob", "49302", 30), ("bob", "33123", 5), ("alice", "49303", 60)]
    {
        call(&world, account, cld, seconds).await;
    }
    call(&world, "alice", "49304", 60).await; // her money is gone
    let all = listed(&world, "").await;
    assert!(all.len() >= 8, "{all:#?}");
    let filters = [
        ("", all.len()),
        ("&account=alice", 0),
        ("&account=bob&leg=0", 2),
        ("&trunk=t", 0),
        ("&leg=1", 0),
        ("&destination=4930", 0),
        ("&answered=true", 0),
        ("&answered=false", 0),
        ("&cause=normal", 0),
        ("&till=2026-01-01", 0),
    ];
    for (filter, least) in filters {
        let items = listed(&world, filter).await;
        assert!(items.len() >= least, "{filter}");
        for format in ["csv", "txt", "xlsx"] {
            let query = format!("format={format}{filter}&time_zone=UTC");
            check(&exported(&world, &query).await, &items, &query);
        }
    }
    let first = exported(&world, "limit=3").await;
    check(&first, &all[..3], "limit=3");
    // Every field of the list has its column.
    let titles = &first[0];
    for field in all[0].as_object().unwrap().keys().filter(|field| *field != "rate") {
        assert!(titles.contains(field), "{field}");
    }
}

async fn more_records_than_are_read_at_once_are_each_in_it_once(backend: Backend) {
    let world = callers(backend).await;
    let bob = world.id("bob").await;
    for _ in 0..1_050 {
        // All begin at the same moment: their ids keep them apart.
        world.control.talk(Calling::new(bob, "49301"), 0).unwrap();
    }
    for format in ["csv", "xlsx"] {
        let rows = exported(&world, &format!("format={format}&account=bob&leg=0")).await;
        assert_eq!(rows.len(), 1 + 1_050);
        let rows = exported(&world, &format!("format={format}")).await;
        let titles = &rows[0];
        let at = |title: &str| titles.iter().position(|other| other == title).unwrap();
        let (call, leg) = (at("call"), at("leg"));
        let mut keys: Vec<_> = rows[1..].iter().map(|row| (&row[call], &row[leg])).collect();
        assert_eq!(keys.len(), 2_100);
        assert!(keys.is_sorted_by(|a, b| a > b), "newest first");
        keys.dedup();
        assert_eq!(keys.len(), 2_100);
    }
}

async fn clocks_are_those_of_the_account_or_of_the_zone_that_is_named(backend: Backend) {
    let world = callers(backend).await;
    let zone = json!({"time_zone": "Europe/Berlin"});
    assert_eq!(world.set("alice", zone).await.0, 200);
    // 2026-09-21T14:13:20Z
    call(&world, "alice", "49301", 60).await;
    let started = |rows: &[Vec<String>]| {
        let at = rows[0].iter().position(|title| title == "started_at").unwrap();
        rows[1..].iter().map(|row| row[at].clone()).collect::<Vec<_>>()
    };
    let berlin = exported(&world, "account=alice").await;
    assert_eq!(started(&berlin), ["2026-09-21T16:13:20+02:00"]);
    let utc = exported(&world, "account=alice&time_zone=UTC").await;
    assert_eq!(started(&utc), ["2026-09-21T14:13:20Z"]);
    let auckland = exported(&world, "leg=0&time_zone=Pacific/Auckland").await;
    assert_eq!(started(&auckland), ["2026-09-22T02:13:20+12:00"]);
    // Days begin there too, in the list as in the file.
    for (filter, expected) in [
        ("&leg=0&from=2026-09-22&time_zone=Pacific/Auckland", 1),
        ("&leg=0&from=2026-09-22", 0),
        ("&leg=0&from=2026-09-21&till=2026-09-22", 1),
        ("&leg=0&till=2026-09-22&time_zone=Pacific/Auckland", 0),
    ] {
        assert_eq!(listed(&world, filter).await.len(), expected, "{filter}");
        assert_eq!(exported(&world, filter).await.len(), 1 + expected, "{filter}");
    }
    let path = "/reports/profit?from=2026-09-22&till=2026-09-23&by=day";
    let auckland = world.get(&format!("{path}&time_zone=Pacific/Auckland")).await;
    assert_eq!(auckland["items"][0]["period"], "2026-09-22");
    assert_eq!(world.get(path).await["items"], json!([]));
    // A statement is the account's: its days begin where it is.
    assert_eq!(world.set("alice", json!({"time_zone": "Pacific/Auckland"})).await.0, 200);
    let statement = world.get("/accounts/alice/statement?from=2026-09-22").await;
    assert_eq!(statement["postings"].as_array().unwrap().len(), 2, "{statement:#}");
}

async fn what_makes_no_sense_is_refused_before_the_file_begins(backend: Backend) {
    let world = callers(backend).await;
    for (query, field) in [
        ("/cdrs/export?format=pdf", "format"),
        ("/cdrs?format=csv", "format"),
        ("/cdrs/export?time_zone=Mars", "time_zone"),
        ("/cdrs/export?from=yesterday", "from"),
        ("/cdrs/export?after=x", "after"),
    ] {
        let answer = world.ask("GET", query, None, String::new()).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field), "{query}");
    }
    let nobody = world.ask("GET", "/cdrs/export?account=nobody", None, String::new()).await;
    assert_eq!(nobody.0, 404);
    assert_eq!(exported(&world, "format=csv").await.len(), 1, "a header and no record");
}
