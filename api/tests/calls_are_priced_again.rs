//! Re-rating and recycling over the API, on a database that has calls in it: refused without start
//! and end, previewed, run, asked about; and the reports (R16, J-25, V-17).
#![allow(clippy::unwrap_used)] // a test may

mod world;

use serde_json::{Value, json};
use vocabulary::CallId;
use world::backend::{Backend, on_both};
use world::calls::Calling;
use world::{NOW, World, world};

on_both!(
    start_and_end_are_mandatory_and_every_name_must_be_known,
    a_run_is_previewed_made_once_and_kept,
    a_dry_run_of_a_file_stores_nothing,
    reports_of_nothing_are_empty,
    a_carriers_statement_is_compared_and_its_layout_kept,
    real_calls_are_previewed_then_priced_again_once_at_every_level,
    only_what_is_selected_is_priced_again,
    a_run_that_a_crash_cut_off_is_finished_by_the_next,
    a_call_that_had_no_price_is_recycled,
    a_dry_run_on_real_calls_shows_what_a_sheet_would_change,
    reports_tell_of_real_calls,
    a_carriers_statement_is_compared_with_real_calls,
);

const SPAN: &str = "from=2026-01-01&till=2027-01-01";

async fn start_and_end_are_mandatory_and_every_name_must_be_known(backend: Backend) {
    let world = world(backend).await;
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

async fn a_run_is_previewed_made_once_and_kept(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let body = |preview: bool| {
        json!({"from": "2026-01-01", "till": "2026-02-01", "account": "alice",
            "destination": "+49,44", "reason": "new deck", "preview": preview})
    };
    let preview = world.done(&world.post("/rerates", body(true)).await).await;
    assert_eq!((&preview["preview"], &preview["state"]), (&json!(true), &json!("done")));
    assert_eq!((&preview["calls"], &preview["changed"]), (&json!(0), &json!(0)));
    assert_eq!(world.get("/rerates").await["items"], json!([]));

    let first = world.ask("POST", "/rerates", Some("k1"), body(false).to_string()).await;
    assert_eq!(world.done(&first).await["state"], "done");
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
    assert_eq!(world.done(&world.post("/rerates", recycle).await).await["state"], "done");
    assert_eq!(world.get("/rerates").await["items"][0]["kind"], "recycle");
}

async fn a_dry_run_of_a_file_stores_nothing(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let ask = async |query: &str, sheet: &str| {
        let path = format!("/rate-groups/retail/dry-run{query}");
        world.ask("POST", &path, None, sheet.to_owned()).await
    };
    let good = "prefix,price\n49,0.01\n";
    let tariff = r#"{"currency": "EUR", "destinations": [
        {"prefix": "49", "price": "0.01", "cap": {"amount": "1", "after": "free"}}]}"#;
    let files =
        [("?days=3&at=2026-12-01", good), ("?full=true", good), ("", ""), ("?days=3", tariff)];
    for (query, sheet) in files {
        let run = world.done(&ask(query, sheet).await).await;
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

async fn reports_of_nothing_are_empty(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    for path in [
        format!("/reports/profit?{SPAN}&by=customer,carrier,destination,month"),
        format!("/reports/quality?{SPAN}&digits=3"),
        "/reports/balances?at=2026-06-01".to_owned(),
    ] {
        assert_eq!(world.get(&path).await["items"], json!([]), "{path}");
    }
}

async fn a_carriers_statement_is_compared_and_its_layout_kept(backend: Backend) {
    // O13; the pairing itself is tested in `sheets`.
    let world = world(backend).await;
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

/// By the second, in force when the calls of `with_calls` began.
fn by_second(rows: &str) -> String {
    let rows: String = rows.split(' ').map(|row| format!("{row},1,1\n")).collect();
    format!("prefix,price,first_increment,next_increment\n{rows}")
}

/// A sheet that has been so all the time.
async fn sheet(world: &World, group: &str, rows: &str) {
    world.import(group, by_second(rows), NOW).await;
}

/// Alice belongs to a shop, Bob to nobody; one carrier. A minute of talk to Germany costs Alice
/// 0.60 and the shop 0.30, Bob 0.60, and us 0.10; to Britain the double, and the carrier 0.20.
/// Alice talks for 60 s, Bob for 90 and for 30 s; then Bob asks for a number without a rate.
async fn with_calls(backend: Backend) -> (World, [CallId; 4]) {
    let world = world(backend).await;
    for (group, rows) in [
        ("retail", "49,0.60 44,1.20"),
        ("wholesale", "49,0.30 44,0.60"),
        ("cost", "49,0.10 44,0.20 33,0.10"),
    ] {
        world.made("/rate-groups", json!({"name": group, "currency": "EUR"})).await;
        sheet(&world, group, rows).await;
    }
    for (name, group, parent) in [
        ("shop", "wholesale", Value::Null),
        ("alice", "retail", "shop".into()),
        ("bob", "retail", Value::Null),
    ] {
        let account = json!({"name": name, "billing": "prepaid", "currency": "EUR",
            "rate_group": group, "parent": parent, "allow_loss": true});
        world.made("/accounts", account).await;
        world.top_up(name, name, "10000").await;
    }
    let carrier = json!({"name": "carrier", "billing": "postpaid", "currency": "EUR",
        "carrier_rate_group": "cost"});
    world.made("/accounts", carrier).await;
    let trunk = json!({"name": "c1", "account": "carrier", "host": "192.0.2.1"});
    world.made("/trunks", trunk).await;
    for prefix in ["49", "44", "33"] {
        world.made("/routes", json!({"prefix": prefix, "trunk": "c1"})).await;
    }
    let (alice, bob) = (world.id("alice").await, world.id("bob").await);
    let talk = |account, cld, seconds| world.control.talk(Calling::new(account, cld), seconds);
    let calls = [
        talk(alice, "4930111", 60).unwrap(),
        talk(bob, "4930222", 90).unwrap(),
        talk(bob, "4420333", 30).unwrap(),
        talk(bob, "3314444", 30).unwrap_err().0,
    ];
    assert_eq!(balances(&world).await, ["9999.400000", "9999.700000", "9998.500000", "0.350000"]);
    (world, calls)
}

/// Of Alice, the shop, Bob and the carrier.
async fn balances(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    for account in ["alice", "shop", "bob", "carrier"] {
        all.push(world.balance(account).await);
    }
    all
}

/// The calls of September 2026, in which all of these are.
fn all(more: Value) -> Value {
    let mut body = json!({"from": "2026-09-01", "till": "2026-10-01", "reason": "wrong sheet"});
    for (field, value) in more.as_object().unwrap() {
        body[field] = value.clone();
    }
    body
}

async fn rerate(world: &World, more: Value) -> Value {
    let run = world.done(&world.post("/rerates", all(more)).await).await;
    assert_eq!(run["state"], "done", "{run}");
    run
}

fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap()).collect()
}

async fn real_calls_are_previewed_then_priced_again_once_at_every_level(backend: Backend) {
    // J-25, J-26
    let (world, calls) = with_calls(backend).await;
    sheet(&world, "retail", "49,0.90").await;
    sheet(&world, "wholesale", "49,0.24").await;
    let preview = rerate(&world, json!({"preview": true})).await;
    assert_eq!((&preview["calls"], &preview["changed"]), (&json!(3), &json!(2)), "{preview:#}");
    assert_eq!(
        preview["payers"],
        json!([
            {"account": "shop", "level": 1, "currency": "EUR", "calls": 1, "changed": 1,
                "seconds": 60, "before": "0.300000", "after": "0.240000",
                "difference": "-0.060000"},
            {"account": "alice", "level": 0, "currency": "EUR", "calls": 1, "changed": 1,
                "seconds": 60, "before": "0.600000", "after": "0.900000",
                "difference": "0.300000"},
            {"account": "bob", "level": 0, "currency": "EUR", "calls": 2, "changed": 1,
                "seconds": 120, "before": "1.500000", "after": "1.950000",
                "difference": "0.450000"},
        ])
    );
    let before = ["9999.400000", "9999.700000", "9998.500000", "0.350000"];
    assert_eq!(balances(&world).await, before, "a preview moves nothing");

    let run = rerate(&world, json!({})).await;
    assert_eq!((&run["changed"], &run["written"]), (&json!(2), &json!(2)));
    let after = ["9999.100000", "9999.760000", "9998.050000", "0.350000"];
    assert_eq!(balances(&world).await, after);
    world.check_books().await;

    let again = rerate(&world, json!({})).await;
    assert_eq!((&again["calls"], &again["changed"]), (&json!(3), &json!(0)));
    assert_eq!(again["written"], 0);
    assert_eq!(balances(&world).await, after, "a second run is none");

    // The CDR has what stands, its story what stood and who changed it, the statement both.
    let why = world.get(&format!("/why/{}", calls[0])).await;
    assert_eq!(why["legs"][0]["amount"], "0.900000", "{why:#}");
    let kinds = texts(&why["postings"], "kind");
    assert_eq!(kinds, ["charge", "charge", "charge_raised", "charge_lowered", "cost"], "{why:#}");
    assert_eq!(texts(&why["history"], "before"), ["0.600000", "0.300000"]);
    assert_eq!(texts(&why["history"], "reason"), ["wrong sheet", "wrong sheet"]);
    let statement = world.get("/accounts/alice/statement?from=2026-09-01&till=2026-10-01").await;
    assert_eq!(statement["closing"], "9999.100000", "{statement:#}");
    assert_eq!(texts(&statement["postings"], "kind"), ["topup", "charge", "charge_raised"]);
}

async fn only_what_is_selected_is_priced_again(backend: Backend) {
    // J-25
    let (world, _) = with_calls(backend).await;
    sheet(&world, "retail", "49,0.90 44,1.80").await;
    sheet(&world, "cost", "49,0.05").await;
    for (more, calls, written) in [
        (json!({"account": "alice", "sides": "payers"}), 1, 1),
        (json!({"destination": "44", "sides": "carriers"}), 1, 0),
        (json!({"account": "bob", "destination": "49", "sides": "carriers"}), 1, 1),
        (json!({"trunk_out": "c1", "sides": "carriers"}), 3, 1),
        (json!({"trunk_in": "c1"}), 0, 0),
        (json!({"from": "2026-09-22"}), 0, 0),
        (json!({}), 3, 2),
    ] {
        let run = rerate(&world, more.clone()).await;
        assert_eq!((&run["calls"], &run["written"]), (&json!(calls), &json!(written)), "{more}");
    }
    assert_eq!(balances(&world).await[1..], ["9999.700000", "9997.750000", "0.225000"]);
    world.check_books().await;
}

async fn a_run_that_a_crash_cut_off_is_finished_by_the_next(backend: Backend) {
    // J-26
    let (world, _) = with_calls(backend).await;
    sheet(&world, "retail", "49,0.90 44,1.80").await;
    let first = rerate(&world, json!({"destination": "44"})).await;
    assert_eq!(first["written"], 1);
    let world = world.crashed().await;
    let rest = rerate(&world, json!({})).await;
    assert_eq!((&rest["calls"], &rest["written"]), (&json!(3), &json!(2)));
    assert_eq!(balances(&world).await, ["9999.100000", "9999.700000", "9997.750000", "0.350000"]);
    world.check_books().await;
    assert_eq!(rerate(&world, json!({})).await["written"], 0);
}

async fn a_call_that_had_no_price_is_recycled(backend: Backend) {
    // J-27, J-28
    let (world, _) = with_calls(backend).await;
    // A slip in the carrier's sheet: a week at this price is more than money can hold.
    let since = world.control.now_utc();
    world.import("cost", by_second("49,1000000000"), since).await;
    let bob = world.id("bob").await;
    let week = 7 * 86_400;
    let call = world.control.talk(Calling::new(bob, "4930555"), week).unwrap();
    assert_eq!(world.balance("bob").await, "3950.500000", "a week at 0.60 a minute");
    let span = json!({"till": "2026-10-02", "recycle": true, "error_code": "cost_failed"});
    let still = rerate(&world, span.clone()).await;
    assert_eq!((&still["calls"], &still["written"]), (&json!(1), &json!(1)), "{still:#}");
    assert_eq!(still["refused"], json!([{"error_code": "amount_too_large", "sides": 1}]));
    // The new reason is what it is found by now.
    assert_eq!(rerate(&world, span.clone()).await["calls"], 0);
    world.import("cost", by_second("49,0.10"), since).await;
    let any = json!({"till": "2026-10-02", "recycle": true});
    let mended = rerate(&world, any.clone()).await;
    assert_eq!((&mended["calls"], &mended["written"]), (&json!(1), &json!(1)), "{mended:#}");
    assert_eq!(world.balance("carrier").await, "1008.350000");
    assert_eq!(rerate(&world, any).await["calls"], 0);
    let why = world.get(&format!("/why/{call}")).await;
    assert_eq!(why["legs"][1]["amount"], "1008.000000", "{why:#}");
    assert_eq!(world.balance("bob").await, "3950.500000", "who had a price keeps it");
    world.check_books().await;
}

async fn a_dry_run_on_real_calls_shows_what_a_sheet_would_change(backend: Backend) {
    // B6
    let (world, _) = with_calls(backend).await;
    // A second carrier, which is dearer than the first to Germany.
    let other = json!({"name": "other", "billing": "postpaid", "currency": "EUR",
        "carrier_rate_group": "cost-2"});
    world.made("/rate-groups", json!({"name": "cost-2", "currency": "EUR"})).await;
    sheet(&world, "cost-2", "49,0.15").await;
    world.made("/accounts", other).await;
    let trunk = json!({"name": "c2", "account": "other", "host": "192.0.2.2"});
    world.made("/trunks", trunk).await;
    world.made("/routes", json!({"prefix": "49", "trunk": "c2"})).await;
    let dry = async |group: &str, sheet: &str| {
        let path = format!("/rate-groups/{group}/dry-run?days=7");
        world.done(&world.ask("POST", &path, None, sheet.to_owned()).await).await
    };
    let run = dry("retail", &by_second("49,0.08")).await;
    assert_eq!((&run["calls"], &run["changed"]), (&json!(3), &json!(2)), "{run:#}");
    let total = &run["totals"][0];
    assert_eq!(
        (&total["revenue_before"], &total["revenue_after"]),
        (&json!("1.800000"), &json!("1.020000")),
        "the shop pays us, not Alice: {run:#}"
    );
    assert_eq!(
        (&total["profit_before"], &total["profit_after"]),
        (&json!("1.450000"), &json!("0.670000"))
    );
    // Now the carrier's: the other one becomes the cheapest for the two calls to Germany.
    let run = dry("cost", &by_second("49,0.20")).await;
    let order = json!({"destination": "49", "calls": 2, "before": ["carrier", "other"],
        "after": ["other", "carrier"]});
    assert_eq!(run["carrier_orders"], json!([order]), "{run:#}");
    assert_eq!(run["carriers"][0]["difference"], "0.250000");
    assert_eq!(run["totals"][0]["cost_after"], "0.600000");
    assert_eq!(balances(&world).await, ["9999.400000", "9999.700000", "9998.500000", "0.350000"]);
    assert_eq!(world.get("/rerates").await["items"], json!([]));
    let rates = world.get("/rate-groups/retail/rates?prefix=49").await;
    assert_eq!(rates["items"][0]["price"], "0.6");
}

async fn reports_tell_of_real_calls(backend: Backend) {
    // V-17, O5
    let (world, _) = with_calls(backend).await;
    let profit = async |by: &str| {
        let rows = world.get(&format!("/reports/profit?{SPAN}&by={by}")).await["items"].take();
        let cells = ["customer", "carrier", "destination", "period", "calls", "revenue", "cost"];
        let cell = |row: &Value, name: &str| match &row[name] {
            Value::String(text) => text.clone(),
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        let line = |row: &Value| cells.map(|name| cell(row, name)).join(" ");
        let mut lines: Vec<String> = rows.as_array().unwrap().iter().map(line).collect();
        lines.sort();
        lines
    };
    assert_eq!(
        profit("customer").await,
        ["alice - - - 1 0.300000 0.100000", "bob - - - 2 1.500000 0.250000"],
    );
    assert_eq!(
        profit("carrier,destination").await,
        ["- carrier 44 - 1 0.600000 0.100000", "- carrier 49 - 2 1.200000 0.250000"],
    );
    assert_eq!(profit("month").await, ["- - - 2026-09 3 1.800000 0.350000"]);
    let quality = world.get(&format!("/reports/quality?{SPAN}&digits=2")).await;
    let rows = quality["items"].as_array().unwrap();
    let row =
        |row: &Value| (row["destination"].clone(), row["attempts"].clone(), row["acd_s"].clone());
    let rows: Vec<_> = rows.iter().map(row).collect();
    assert_eq!(
        rows,
        [("49".into(), json!(2), "75.0".into()), ("44".into(), json!(1), "30.0".into())]
    );
    let now = world.get("/reports/balances?at=2026-10-01").await;
    let sum: f64 =
        texts(&now["items"], "balance").iter().map(|text| text.parse::<f64>().unwrap()).sum();
    assert!(sum.abs() < 1e-6, "what one gives another gets: {now:#}");
    let before = world.get("/reports/balances?at=2026-09-01").await;
    assert_eq!(before["items"], json!([]), "nothing had happened yet");
    let cdrs = world.get("/cdrs?leg=0&account=bob").await;
    assert_eq!(texts(&cdrs["items"], "cause"), ["no_route", "normal", "normal"], "{cdrs:#}");
}

async fn a_carriers_statement_is_compared_with_real_calls(backend: Backend) {
    // O13: the second is longer and dearer than ours, the third is none of ours, and ours to Britain
    // is missing.
    let (world, _) = with_calls(backend).await;
    let file = "time,number,duration,amount\n\
                2026-09-21 14:13:20,4930111,60,0.10\n\
                2026-09-21 14:14:20,4930222,120,0.20\n\
                2026-09-21 14:15:00,4930999,10,0.02\n";
    let path = "/reports/carrier-statement?carrier=carrier&till=2026-09-22";
    let (status, found) = world.ask("POST", path, None, file.to_owned()).await;
    assert_eq!(status, 200, "{found}");
    let counts = ["rows_in", "matched", "differing", "theirs_only", "ours_only", "rejected"];
    let counts = counts.map(|count| found[count].as_u64().unwrap_or_else(|| panic!("{found:#}")));
    assert_eq!(counts, [3, 1, 1, 1, 1, 0], "{found:#}");
    let total = &found["total"];
    assert_eq!(
        (&total["their_amount"], &total["our_cost"]),
        (&json!("0.320000"), &json!("0.350000"))
    );
}
