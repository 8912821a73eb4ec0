//! Re-rating and recycling over the API, on a database that has calls in it: refused without start
//! and end, previewed, run, asked about; and the reports (R16, J-25, V-17).
#![allow(clippy::unwrap_used)] // a test may

mod world;

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use world::World;

const SPAN: &str = "from=2026-01-01&till=2027-01-01";

/// Waits until the run that an answer names is through.
async fn done(world: &World, answer: &(u16, Value)) -> Value {
    assert_eq!(answer.0, StatusCode::ACCEPTED.as_u16(), "{}", answer.1);
    let path = format!("/rerates/{}", answer.1["run"]);
    let through = async {
        loop {
            let run = world.get(&path).await;
            if run["state"] != "running" {
                return run;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), through).await.unwrap()
}

#[tokio::test]
async fn start_and_end_are_mandatory_and_every_name_must_be_known() {
    let world = world::world().await;
    world.fill().await;
    let whole = json!({"from": "2026-01-01", "till": "2026-02-01", "reason": "new deck"});
    let check = |field: &'static str, value: Value, about: &'static str| {
        let (mut body, world) = (whole.clone(), &world);
        body[field] = value;
        async move {
            let answer = world.post("/rerates", body).await;
            let told = World::told(&answer);
            assert_eq!((told.0, told.2), (422, about), "{field}: {}", answer.1);
        }
    };
    check("from", Value::Null, "from").await;
    check("till", Value::Null, "till").await;
    check("till", "2026-01-01".into(), "till").await;
    check("trunk_in", "nowhere".into(), "trunk_in").await;
    check("trunk_out", "nowhere".into(), "trunk_out").await;
    check("site", "berlin".into(), "account").await;
    check("destination", "Germany".into(), "destination").await;
    check("sides", "both".into(), "sides").await;
    check("error_code", "no_rate".into(), "error_code").await;
    check("reason", " ".into(), "reason").await;
    let (status, _) = world.ask("GET", "/reports/profit?by=customer", None, String::new()).await;
    assert_eq!(status, 422);
    let path = format!("/reports/profit?{SPAN}&by=moon");
    assert_eq!(world.ask("GET", &path, None, String::new()).await.0, 422);
    assert_eq!(world.ask("GET", "/rerates/9", None, String::new()).await.0, 404);
}

#[tokio::test]
async fn a_run_is_previewed_made_once_and_kept() {
    let world = world::world().await;
    world.fill().await;
    let body = |preview: bool| {
        json!({"from": "2026-01-01", "till": "2026-02-01", "account": "alice",
            "destination": "+49,44", "reason": "new deck", "preview": preview})
    };
    let preview = done(&world, &world.post("/rerates", body(true)).await).await;
    assert_eq!((&preview["preview"], &preview["state"]), (&json!(true), &json!("done")));
    assert_eq!((&preview["calls"], &preview["changed"]), (&json!(0), &json!(0)));
    assert_eq!(world.get("/rerates").await["items"], json!([]));

    let first = world.ask("POST", "/rerates", Some("k1"), body(false).to_string()).await;
    assert_eq!(done(&world, &first).await["state"], "done");
    let again = world.ask("POST", "/rerates", Some("k1"), body(false).to_string()).await;
    assert_eq!(again, first);
    let runs = world.get("/rerates").await;
    assert_eq!(runs["items"].as_array().unwrap().len(), 1);
    let run = &runs["items"][0];
    assert_eq!((&run["kind"], &run["state"]), (&json!("rerate"), &json!("done")));
    assert_eq!((&run["reason"], &run["started_by"]), (&json!("new deck"), &json!("administrator")));
    assert_eq!(run["selection"]["destination"], "+49,44");
    let recycle = json!({"from": "2026-01-01", "till": "2026-02-01", "recycle": true,
        "error_code": "no_rate", "reason": "rates arrived"});
    assert_eq!(done(&world, &world.post("/rerates", recycle).await).await["state"], "done");
    assert_eq!(world.get("/rerates").await["items"][0]["kind"], "recycle");
}

#[tokio::test]
async fn a_dry_run_of_a_file_stores_nothing() {
    let world = world::world().await;
    world.fill().await;
    let ask = async |query: &str, sheet: &str| {
        let path = format!("/rate-groups/retail/dry-run{query}");
        world.ask("POST", &path, None, sheet.to_owned()).await
    };
    let good = "prefix,price\n49,0.01\n";
    for (query, sheet) in [("?days=3&at=2026-12-01", good), ("?full=true", good), ("", "")] {
        let run = done(&world, &ask(query, sheet).await).await;
        let (is_preview, calls) = (&run["preview"], &run["calls"]);
        assert_eq!((is_preview, calls), (&json!(true), &json!(0)), "{query}: {run}");
    }
    assert_eq!(World::told(&ask("?days=0", good).await).2, "days");
    assert_eq!(World::told(&ask("?at=soon", good).await).2, "at");
    let bad = ask("", "prefix,price\n49,cheap\n").await;
    assert_eq!((bad.0, World::told(&bad).1), (422, "invalid_sheet"), "{}", bad.1);
    let nobody = world.ask("POST", "/rate-groups/none/dry-run", None, String::new()).await;
    assert_eq!(nobody.0, 404);
    assert_eq!(world.get("/rate-sheets").await["items"], json!([]));
    assert_eq!(world.get("/rerates").await["items"], json!([]));
}

#[tokio::test]
async fn reports_of_nothing_are_empty() {
    let world = world::world().await;
    world.fill().await;
    for path in [
        format!("/reports/profit?{SPAN}&by=customer,carrier,destination,month"),
        format!("/reports/quality?{SPAN}&digits=3"),
        "/reports/balances?at=2026-06-01".to_owned(),
    ] {
        assert_eq!(world.get(&path).await["items"], json!([]), "{path}");
    }
}

#[tokio::test]
async fn a_carriers_statement_is_compared_and_its_layout_kept() {
    // O13; the pairing itself is tested in `sheets`.
    let world = world::world().await;
    world.fill().await;
    let compare = async |query: &str, file: &str| {
        let path = format!("/reports/carrier-statement?carrier=alice{query}");
        world.ask("POST", &path, None, file.to_owned()).await
    };
    let file = "when,number,duration,amount\n2026-12-01 08:00:00,+4930111,65,0.12345678\n\
                ,4930111,65,1\n2026-12-02 08:00:00,4930111,65,1\n,,,\n";
    let refused = compare("", file).await;
    assert_eq!((refused.0, World::told(&refused).1), (422, "invalid_statement"));
    let (status, kept) = world
        .ask(
            "PATCH",
            "/statement-layouts/alice",
            None,
            json!({"columns": {"when": "time"}, "time_zone": "Europe/Berlin"}).to_string(),
        )
        .await;
    assert_eq!((status, &kept["layout"]["window_seconds"]), (200, &json!(60)), "{kept}");
    assert_eq!(world.get("/statement-layouts/alice").await, kept);
    let (status, found) = compare("&till=2026-12-02", file).await;
    assert_eq!(status, 200, "{found}");
    let counts =
        ["lines", "other_lines", "rows_in", "matched", "differing", "theirs_only", "rejected"];
    assert_eq!(counts.map(|count| found[count].as_u64().unwrap()), [5, 2, 3, 0, 0, 1, 2]);
    assert_eq!(found["total"]["their_amount"], "0.12345678");
    let items = found["items"].as_array().unwrap();
    assert_eq!(items[0]["their_time"], "2026-12-01T07:00:00Z");
    assert!(items[1]["reason"].as_str().unwrap().contains("no time"), "{found}");
    assert!(items[2]["reason"].as_str().unwrap().contains("outside"), "{found}");
    let bad = compare("&rows=some", file).await;
    assert_eq!(World::told(&bad).2, "rows");
    let bad = compare("&layout=%7B%22time_zone%22:%22Mars%22%7D", file).await;
    assert!(World::told(&bad).3.contains("time_zone"), "{}", bad.1);
    let (status, _) =
        world.ask("POST", "/reports/carrier-statement?carrier=nobody", None, String::new()).await;
    assert_eq!(status, 404);
}
