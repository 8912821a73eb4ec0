//! A tariff is imported, dated, compared, sold, priced again and written out (V-13 to V-15, V-25,
//! V-26, R7, R8, R9, R11, A-48): from the request to what a call through billing costs.
#![allow(clippy::unwrap_used)] // a test may

mod world;

use std::sync::Arc;
use std::time::Duration;

use billing::{
    CreditControl, CreditSettings, Currency, Ended, Ledger, MemoryJournal, Money, OpId, Overdraft,
    Posting, RatedBy, RatedCall, RatedLeg, Record, Sides, explain, reprice,
};
use serde_json::{Value, json};
use vocabulary::{
    AccountId, AuthorizeRequest, CallFacts, CallId, CallKind, Candidate, Direction, ExtendRequest,
    LegFacts, Now, Party, ReleaseFacts, SettleRequest, TrunkId, Utc,
};
use world::backend::{Backend, on_both};
use world::{NOW, World, world};

on_both!(
    an_imported_tariff_prices_calls_line_by_line,
    a_version_that_begins_in_mid_call_is_split_by_setting,
    a_group_s_defaults_hold_where_rates_say_nothing,
    local_calls_have_increments_of_their_own,
    a_vendor_s_layout_that_cannot_hold_a_tariff_is_refused,
);

fn alice_pays(world: &World, call: &Call) -> Ended {
    let snapshot = world.control.published.lock().unwrap().last().unwrap().clone();
    let (ledger, journal) = (Arc::new(Ledger::new()), Arc::new(MemoryJournal::new()));
    for account in [call.account, call.carrier] {
        let terms = world.control.ledger.account(account).unwrap().terms;
        ledger.set_terms(account, terms).unwrap();
    }
    let (ten, eur) = (Money::units(10), Currency::EUR);
    let paid = Posting::top_up(OpId::outside(1), call.account, ten, eur, NOW, String::new());
    ledger.post(paid, Overdraft::Refuse, &*journal).unwrap();
    let mut credit = CreditControl::new(ledger, journal.clone());
    credit.set_rate_book(Arc::clone(&snapshot.rate_book));
    credit.set_settings(CreditSettings { first_slice_seconds: 7, ..CreditSettings::default() });
    let id = CallId::new(1, 0, 1);
    let now = |passed: Duration| Now { monotonic: passed, utc: call.at.plus(passed) };
    let cld = call.cld.parse().unwrap();
    let request = AuthorizeRequest {
        cli: call.cli.map(|cli| cli.parse().unwrap()),
        candidates: vec![Candidate::new(TrunkId(1), call.carrier, 1)],
        ..AuthorizeRequest::new(id, call.account, call.kind, cld, call.at)
    };
    let mut grant = credit.authorize(now(Duration::ZERO), &request).unwrap().grant;
    credit.answered(now(Duration::ZERO), id, None, call.at);
    while grant.talk_time < call.talked && !grant.is_final {
        grant = credit.extend(now(grant.talk_time), ExtendRequest { call: id }).grant;
    }
    credit.settle(now(call.talked), settle(call, &request));
    let records = journal.records().into_iter();
    let ended = records.filter_map(|(_, record)| match record {
        Record::Ended(ended) => Some(ended),
        _ => None,
    });
    let ended = ended.last().unwrap();
    // Priced again by the same book, it stands (R16).
    let legs: Vec<RatedLeg> = ended.cdrs.iter().map(RatedLeg::from).collect();
    let by = RatedBy { cli: request.cli, ..RatedBy::cld(request.cld) };
    let mut rated = RatedCall::of_legs(id, 0, call.at, by, &legs).unwrap();
    rated.kind = call.kind;
    let again = reprice(&snapshot.rate_book, &|_| Some(Currency::EUR), &rated, Sides::All);
    assert!(!again.iter().any(billing::RepricedSide::is_changed), "{again:?}");
    ended
}

fn settle(call: &Call, request: &AuthorizeRequest) -> SettleRequest {
    let leg = LegFacts {
        index: 0,
        direction: Direction::Ingress,
        account: Some(call.account),
        subscriber: None,
        trunk: None,
        remote: None,
        sip_call_id: "a".into(),
        cli: call.cli.unwrap_or_default().into(),
        cld: call.cld.into(),
        started_at: call.at,
        attestation: None,
        ringing_at: None,
        answered_at: Some(call.at),
        ended_at: call.at.plus(call.talked),
        talked: call.talked,
        release: ReleaseFacts { cause: "normal", q850: 16, sip_status: 200, by: Party::Caller },
    };
    let facts = CallFacts {
        cld: Some(request.cld),
        cli: request.cli,
        legs: vec![leg],
        ..CallFacts::new(request.call)
    };
    SettleRequest { talked: call.talked, answered_by: None, facts }
}

struct Call {
    account: AccountId,
    carrier: AccountId,
    kind: CallKind,
    cld: &'static str,
    cli: Option<&'static str>,
    at: Utc,
    talked: Duration,
}

/// What Alice pays, and the lines of the calculation.
fn charged(world: &World, call: &Call) -> (String, Vec<String>) {
    let ended = alice_pays(world, call);
    let charge = ended.cdrs[0].charge.clone().unwrap();
    let talk = billing::Talk::answered(call.at, call.talked);
    let lines = explain(&charge.applied, &talk).unwrap().lines;
    (charge.amount.to_string(), lines.into_iter().map(|line| line.sentence).collect())
}

/// Alice, and a carrier that takes nothing.
async fn alice(world: &World) -> (AccountId, AccountId) {
    let id = |account: &Value| AccountId(account["id"].as_u64().unwrap());
    world.made("/rate-groups", json!({"name": "free", "currency": "EUR"})).await;
    let rates = "prefix,price\n*,0\n".to_owned();
    assert_eq!(world.ask("POST", "/rate-groups/free/sheets?file=f.csv", None, rates).await.0, 201);
    let carrier = json!({"name": "carrier", "billing": "postpaid", "currency": "EUR",
        "carrier_rate_group": "free"});
    let carrier = id(&world.made("/accounts", carrier).await);
    (id(&world.get("/accounts/alice").await), carrier)
}

async fn import(world: &World, query: &str, tariff: &Value) -> Value {
    let path = format!("/rate-groups/retail/sheets?file=t.json{query}");
    let (status, told) = world.ask("POST", &path, None, tariff.to_string()).await;
    assert!(status == 201 || status == 200, "{told}");
    told
}

async fn patch(world: &World, path: &str, change: Value) -> (u16, Value) {
    world.ask("PATCH", path, None, change.to_string()).await
}

fn tariff() -> Value {
    json!({
        "currency": "EUR", "time_zone": "Europe/Berlin",
        "destinations": [{
            "prefix": "49", "destination": "Germany", "price": "0.06",
            "first_increment": 1, "next_increment": 1,
            "periods": [{"name": "day", "days": ["mon", "tue", "wed", "thu", "fri"],
                "from": "08:00", "till": "18:00", "price": "0.6",
                "steps": [{"from_seconds": 60, "price": "0.3", "increment": 10}]}],
            "origins": [{"name": "abroad", "prefixes": ["1"],
                "surcharges": [{"name": "origin", "amount": "0.10"}]}],
            "surcharges": [{"name": "fund", "percent": "10"}],
            "cap": {"amount": "5", "after": "free"}
        }]
    })
}

/// 2026-09-22 is a Tuesday; 07:59 in Berlin.
const MORNING: Utc = Utc(1_790_056_740_000_000);

fn a_call((account, carrier): (AccountId, AccountId)) -> Call {
    Call {
        account,
        carrier,
        kind: CallKind::Egress,
        cld: "49301234",
        cli: Some("12125550000"),
        at: MORNING,
        talked: Duration::from_secs(125),
    }
}

async fn an_imported_tariff_prices_calls_line_by_line(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let alice = alice(&world).await;
    let preview = import(&world, "&preview=true", &tariff()).await;
    assert_eq!((&preview["imported"], &preview["added"]), (&json!(false), &json!(1)));
    assert_eq!(preview["form"], "tariff");
    import(&world, "", &tariff()).await;
    // A minute at night at 0.06, then by day, which began after the first minute: from its second 60
    // on the step holds, 65 s in tens are 70 s at 0.30: 0.06 + 0.35 = 0.41; 10 % and 0.10 more.
    let (amount, lines) = charged(&world, &a_call(alice));
    assert_eq!(amount, "0.551000", "{lines:#?}");
    let lines = lines.join("\n");
    for part in [
        "60 s at 0.06 a minute",
        "from second 60 is 70 s at 0.3 a minute (day)",
        "Surcharge \"fund\": 10 %.",
        "Surcharge \"origin\": 0.1.",
    ] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    let shown = world.get("/rate-groups/retail/rates").await;
    assert_eq!(shown["items"][0]["special_terms"]["cap"]["amount"], "5");
    assert_eq!(shown["items"][0]["destination"], "Germany");
    // Out as a tariff and in again, nothing changes; as a spreadsheet neither.
    for (format, file) in [("json", "a.json"), ("csv", "a.csv")] {
        let path = format!("/rate-groups/retail/export?format={format}");
        let (status, out) = world.ask("GET", &path, None, String::new()).await;
        assert_eq!(status, 200, "{out}");
        let text = out.as_str().map_or_else(|| out.to_string(), str::to_owned);
        let path = format!("/rate-groups/retail/sheets?preview=true&file={file}");
        let (status, told) = world.ask("POST", &path, None, text).await;
        assert_eq!(
            (status, &told["unchanged"], &told["rows_in"]),
            (200, &json!(1), &json!(1)),
            "{told}"
        );
    }
    // The cap of 5 is a change that the preview names; rolled back, the old price holds again.
    let mut capped = tariff();
    capped["destinations"][0]["cap"]["amount"] = json!("0.2");
    let changed = import(&world, "", &capped).await;
    assert_eq!(changed["changed"], 1);
    assert_eq!(charged(&world, &a_call(alice)).0, "0.200000");
    let path = format!("/rate-sheets/{}/rollback", changed["id"]);
    world.made(&path, json!({})).await;
    world.control.advance(2_000_000);
    assert_eq!(charged(&world, &a_call(alice)).0, "0.551000");
}

async fn a_version_that_begins_in_mid_call_is_split_by_setting(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let alice = alice(&world).await;
    let plain = |price: &str| {
        json!({"currency": "EUR", "destinations": [
            {"prefix": "49", "price": price, "first_increment": 1, "next_increment": 1}]})
    };
    import(&world, "", &plain("0.6")).await;
    import(&world, "&valid_from=2026-09-22T06:00:00Z", &plain("1.2")).await;
    // 60 s of 125 are before it.
    assert_eq!(charged(&world, &a_call(alice)).0, "1.250000");
    let split = json!({"defaults": {"versions_apply": "each_increment"}});
    assert_eq!(patch(&world, "/rate-groups/retail", split).await.0, 200);
    let (amount, lines) = charged(&world, &a_call(alice));
    assert_eq!(amount, "1.900000", "{lines:#?}");
    assert!(lines[1].contains("65 s at 1.2 a minute (sheet 3)"), "{lines:#?}");
}

async fn a_group_s_defaults_hold_where_rates_say_nothing(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let alice = alice(&world).await;
    let path = "/rate-groups/retail/sheets?file=r.csv";
    let csv = "prefix,price,connect fee\n49,0.10,\n33,0.10,0\n";
    assert_eq!(world.ask("POST", path, None, csv.into()).await.0, 201);
    let call =
        |cld: &'static str| Call { cld, talked: Duration::from_millis(61_400), ..a_call(alice) };
    assert_eq!(charged(&world, &call("49301")).0, "0.200000");
    let change = json!({
        "rounding": "half_up", "decimals": 2, "duration_rounding": "nearest",
        "line_rounding": {"mode": "up", "decimals": 3},
        "invoice_rounding": {"mode": "half_even", "decimals": 2},
        "defaults": {"connect_fee": "0.0301", "first_increment": 1, "next_increment": 1}
    });
    let (status, told) = patch(&world, "/rate-groups/retail", change).await;
    assert_eq!(status, 200, "{told}");
    // 61 s are 0.10166… and so 0.102 as a line, the fee 0.031: 0.133, and the call 0.13.
    assert_eq!(charged(&world, &call("49301")).0, "0.130000");
    assert_eq!(charged(&world, &call("33301")).0, "0.100000");
    // What a default was is taken away by null; the rest stays.
    let less = json!({"defaults": {"connect_fee": null}, "line_rounding": null});
    let (_, told) = patch(&world, "/rate-groups/retail", less).await;
    assert_eq!(told["defaults"], json!({"first_increment": 1, "next_increment": 1}));
    assert_eq!(told["duration_rounding"], "nearest");
    assert_eq!(charged(&world, &call("49301")).0, "0.100000");
    let wrong = patch(&world, "/rate-groups/retail", json!({"defaults": {"price": "1"}})).await;
    assert_eq!(World::told(&wrong).2, "defaults");
    let wrong = patch(&world, "/rate-groups/retail", json!({"currency": "USD"})).await;
    assert_eq!(World::told(&wrong).2, "currency");
    let wrong = patch(
        &world,
        "/rate-groups/retail",
        json!({"line_rounding": {"mode": "up", "decimals": 7}}),
    );
    assert_eq!(World::told(&wrong.await).2, "line_rounding.decimals");
}

async fn local_calls_have_increments_of_their_own(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let alice = alice(&world).await;
    let local = |seconds| Call {
        kind: CallKind::Local,
        cld: "1002",
        talked: Duration::from_secs(seconds),
        ..a_call(alice)
    };
    let price = json!({"local_price": "0.60"});
    assert_eq!(patch(&world, "/accounts/alice", price).await.0, 200);
    assert_eq!(charged(&world, &local(61)).0, "1.200000");
    let tens = json!({"local_first_increment": 30, "local_next_increment": 6});
    assert_eq!(patch(&world, "/accounts/alice", tens).await.0, 200);
    assert_eq!(charged(&world, &local(31)).0, "0.360000");
    let wrong = patch(&world, "/accounts/alice", json!({"local_next_increment": 0})).await;
    assert_eq!(World::told(&wrong).2, "local_next_increment");
}

async fn a_vendor_s_layout_that_cannot_hold_a_tariff_is_refused(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    import(&world, "", &tariff()).await;
    let columns = json!({"columns": {"Code": "code", "Rate": "price"}});
    assert_eq!(patch(&world, "/rate-layouts/aurora", columns).await.0, 200);
    let path = "/rate-groups/retail/export?vendor=aurora";
    let (status, told) = world.ask("GET", path, None, String::new()).await;
    assert_eq!((status, &told["type"]), (422, &json!("urn:tandem:problem:lossy_export")), "{told}");
    let (status, told) =
        world.ask("GET", &format!("{path}&partial=true"), None, String::new()).await;
    assert_eq!((status, told.as_str()), (200, Some("Code,Rate\r\n49,0.06\r\n")));
}
