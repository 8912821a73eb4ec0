//! Fraud rules (S4): from the command to the switch's snapshot, and what rules find, stored and told, over a
//! restart.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use switch::fraud::{
    AccountFraud, Fraud, FraudAction, FraudCheck, FraudKind, FraudNote, FraudRule, FraudRuleId,
    Hold, Trip,
};
use tokio::sync::mpsc;
use vocabulary::AccountId;
use world::backend::{Backend, on_both};
use world::calls::Calling;
use world::{NOW, World, world};

on_both!(
    rules_are_made_listed_and_removed,
    rules_that_mean_nothing_are_refused,
    what_rules_find_is_stored_told_and_lifted,
    what_cannot_be_stored_is_stored_later,
    what_is_not_stored_is_listed_and_lifted,
    usual_countries_are_no_news,
    an_hour_has_a_limit_of_spending,
);

async fn opened(backend: Backend) -> World {
    let world = world(backend).await;
    for name in ["acme", "globex"] {
        let account = json!({"name": name, "billing": "prepaid", "currency": "EUR"});
        world.made("/accounts", account).await;
    }
    world
}

async fn stored(world: &World, account: &str) -> AccountFraud {
    let id = world.id(account).await;
    let snapshot = world.api.snapshot().await;
    let fraud = snapshot.directory.account(id).unwrap().fraud.as_deref().cloned();
    fraud.unwrap_or_default()
}

async fn items(world: &World, path: &str) -> Vec<Value> {
    world.get(path).await["items"].as_array().unwrap().clone()
}

async fn rules_are_made_listed_and_removed(backend: Backend) {
    let world = opened(backend).await;
    let times = json!({"zone": "UTC", "spans": ["22:00-06:00"]});
    let window = world.ask("PUT", "/time-windows/nights", None, times.to_string()).await;
    assert_eq!(window.0, 200);
    let wanted = [
        json!({"kind": "calls_per_cli", "most": 30, "action": "reduce", "calls_max": 5, "lasting_s": 3600}),
        json!({"kind": "new_country", "action": "alarm"}),
        json!({"kind": "short_calls", "most": 80, "below_s": 6, "among": 30, "action": "block"}),
        json!({"kind": "hours", "window": "nights", "class": "premium", "country": "CU",
            "action": "block", "lasting_s": 0, "account": "acme"}),
        json!({"kind": "premium_minutes", "most": 60, "action": "alarm", "account": "acme"}),
    ];
    for (id, wanted) in (1..).zip(&wanted) {
        let made = world.made("/fraud-rules", wanted.clone()).await;
        assert_eq!(made["id"], id);
        for (field, value) in wanted.as_object().unwrap() {
            assert_eq!(&made[field], value, "{field} of {made}");
        }
    }
    assert_eq!(items(&world, "/fraud-rules").await.len(), 5);
    assert_eq!(items(&world, "/fraud-rules?account=acme").await.len(), 2);
    let id = world.id("acme").await;
    let world = world.crashed().await;
    let snapshot = world.api.snapshot().await;
    assert!(snapshot.directory.fraud_rules(id).is_some());
    assert_eq!(stored(&world, "acme").await.rules.len(), 2);
    assert_eq!(stored(&world, "globex").await, AccountFraud::default());
    drop(snapshot);
    let twice = world.post("/fraud-rules", wanted[1].clone()).await;
    assert_eq!(twice.0, 409, "{twice:?}");
    let used = world.ask("DELETE", "/time-windows/nights", None, String::new()).await;
    assert_eq!(used.0, 409, "{used:?}");
    let removed = world.ask("DELETE", "/fraud-rules/4", None, String::new()).await;
    assert_eq!((removed.0, &removed.1["kind"]), (200, &json!("hours")));
    assert_eq!(stored(&world, "acme").await.rules.len(), 1);
    assert_eq!(world.ask("DELETE", "/fraud-rules/4", None, String::new()).await.0, 404);
}

async fn rules_that_mean_nothing_are_refused(backend: Backend) {
    let world = opened(backend).await;
    for (body, field) in [
        (json!({"kind": "calls", "action": "alarm"}), "kind"),
        (json!({"kind": "new_country", "action": "shout"}), "action"),
        (json!({"kind": "calls_per_cli", "action": "alarm"}), "most"),
        (json!({"kind": "calls_per_cli", "most": 0, "action": "alarm"}), "most"),
        (json!({"kind": "new_country", "most": 3, "action": "alarm"}), "most"),
        (json!({"kind": "new_country", "action": "alarm", "lasting_s": 3}), "lasting_s"),
        (json!({"kind": "new_country", "action": "reduce"}), "calls_max"),
        (
            json!({"kind": "short_calls", "most": 50, "below_s": 5, "among": 65, "action": "alarm"}),
            "among",
        ),
        (json!({"kind": "hours", "action": "alarm"}), "window"),
    ] {
        let answer = world.post("/fraud-rules", body.clone()).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field), "{body}");
    }
    let nowhere = json!({"countries": ["XX"]}).to_string();
    let answer = world.ask("PUT", "/accounts/acme/countries", None, nowhere).await;
    assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, "countries"));
}

fn trip(account: AccountId, action: FraudAction, hold: Option<Hold>) -> FraudNote {
    let rule = FraudRule { id: FraudRuleId(1), check: FraudCheck::CallsPerCli(9), action };
    let what = "more than 9 calls".into();
    FraudNote::Tripped(Trip { account, rule, what, at: NOW, hold, is_news: true })
}

/// As the workers tell it.
async fn tell(world: &World, notes: Vec<FraudNote>) {
    let (tell, told) = mpsc::channel(16);
    for note in notes {
        tell.send(note).await.unwrap();
    }
    drop(tell);
    Arc::clone(&world.api).keep_fraud(told).await;
}

async fn what_rules_find_is_stored_told_and_lifted(backend: Backend) {
    let world = opened(backend).await;
    let (acme, globex) = (world.id("acme").await, world.id("globex").await);
    let lasting = Some(Duration::from_secs(600));
    let until = Some(NOW.plus(Duration::from_secs(600)));
    let kind = FraudKind::CallsPerCli;
    let hold = Hold { kind, reduced_to: None, since: NOW, until };
    let country = "GB".parse().unwrap();
    let notes = vec![
        trip(acme, FraudAction::Block(lasting), Some(hold)),
        trip(globex, FraudAction::Alarm, None),
        FraudNote::Learned { account: globex, country, at: NOW },
    ];
    tell(&world, notes).await;
    // An alarm alone changes nothing that calls know.
    tell(&world, vec![trip(globex, FraudAction::Alarm, None)]).await;
    assert_eq!(stored(&world, "acme").await.hold, Some(hold));
    assert_eq!(*stored(&world, "globex").await.countries, [country]);

    let world = world.crashed().await;
    let fraud = Fraud::default();
    let snapshot = world.api.snapshot().await;
    fraud.configure(NOW, snapshot.directory.fraud_of_accounts());
    assert_eq!((fraud.hold_of(NOW, acme), fraud.held()), (Some(hold), 1));
    drop(snapshot);
    let held = items(&world, "/fraud-holds").await;
    assert_eq!((held.len(), &held[0]["account"]), (1, &json!("acme")));
    assert_eq!((&held[0]["kind"], &held[0]["reduced_to"]), (&json!("calls_per_cli"), &Value::Null));
    let events = items(&world, "/events?kind=fraud_blocked,fraud_alarm").await;
    let details: Vec<&str> = events.iter().map(|event| event["detail"].as_str().unwrap()).collect();
    let alarm = "calls_per_cli: more than 9 calls";
    assert_eq!(details, [&format!("{alarm}; no more calls for 600 s"), alarm, alarm]);

    let lifted = world.ask("DELETE", "/fraud-holds/acme", None, String::new()).await;
    assert_eq!((lifted.0, &lifted.1["account"]), (200, &json!("acme")));
    assert_eq!(stored(&world, "acme").await.hold, None);
    assert_eq!(world.ask("DELETE", "/fraud-holds/acme", None, String::new()).await.0, 404);
    assert_eq!(items(&world, "/events?kind=fraud_lifted").await.len(), 1);
}

async fn rename(world: &World, from: &str, to: &str) {
    let sql = format!("ALTER TABLE {from} RENAME TO {to}");
    store::sql::query(&sql).execute(world.control.store.pool()).await.unwrap();
}

async fn what_cannot_be_stored_is_stored_later(backend: Backend) {
    let world = opened(backend).await;
    let acme = world.id("acme").await;
    let hold = Hold { kind: FraudKind::Hours, reduced_to: None, since: NOW, until: None };
    rename(&world, "fraud_hold", "away").await;
    let (tell, told) = mpsc::channel(16);
    let keeping = tokio::spawn(Arc::clone(&world.api).keep_fraud(told));
    // Of an account that is gone nothing is ever stored.
    for account in [AccountId(99), acme] {
        tell.send(trip(account, FraudAction::Block(None), Some(hold))).await.unwrap();
    }
    // They have arrived, and an answer later were tried.
    while tell.capacity() < tell.max_capacity() {
        tokio::task::yield_now().await;
    }
    items(&world, "/events").await;
    rename(&world, "away", "fraud_hold").await;
    while stored(&world, "acme").await.hold != Some(hold) {
        tokio::task::yield_now().await;
    }
    drop(tell);
    keeping.await.unwrap();
}

async fn what_is_not_stored_is_listed_and_lifted(backend: Backend) {
    let world = opened(backend).await;
    let acme = world.id("acme").await;
    let kind = FraudKind::NewCountry;
    let hold = Hold { kind, reduced_to: None, since: NOW, until: None };
    world.control.unstored_holds.lock().unwrap().push((acme, hold));
    let held = items(&world, "/fraud-holds").await;
    assert_eq!((held.len(), &held[0]["kind"]), (1, &json!("new_country")));
    let lift = || world.ask("DELETE", "/fraud-holds/acme", None, String::new());
    assert_eq!(lift().await.0, 200);
    assert_eq!(lift().await.0, 404);
    assert_eq!(items(&world, "/events?kind=fraud_lifted").await.len(), 1);
    assert_eq!(items(&world, "/fraud-holds").await.len(), 0);
}

async fn priced(backend: Backend) -> World {
    let world = opened(backend).await;
    for (group, row) in [("retail", "49,0.60\n44,0.60"), ("cost", "49,0.10\n44,0.10")] {
        world.made("/rate-groups", json!({"name": group, "currency": "EUR"})).await;
        world.sheet(group, row).await;
    }
    let carrier = json!({"name": "carrier", "billing": "postpaid", "currency": "EUR",
        "carrier_rate_group": "cost", "credit_limit": "10"});
    world.made("/accounts", carrier).await;
    world.made("/trunks", json!({"name": "c1", "account": "carrier", "host": "192.0.2.1"})).await;
    for prefix in ["49", "44"] {
        world.made("/routes", json!({"prefix": prefix, "trunk": "c1"})).await;
    }
    world.set("acme", json!({"rate_group": "retail"})).await;
    world.top_up("acme", "in", "100").await;
    world
}

async fn usual_countries_are_no_news(backend: Backend) {
    let world = priced(backend).await;
    let acme = world.id("acme").await;
    for cld in ["4930123456", "4989123456", "442079460000"] {
        world.control.talk(Calling::new(acme, cld), 60).unwrap();
    }
    world.made("/fraud-rules", json!({"kind": "new_country", "action": "alarm"})).await;
    let names = |items: Vec<Value>| -> Vec<String> {
        items.iter().map(|item| item["country"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(items(&world, "/accounts/acme/countries").await), ["DE", "GB"]);
    assert_eq!(stored(&world, "acme").await.countries.len(), 2);
    assert_eq!(names(items(&world, "/accounts/globex/countries").await), [""; 0]);
    let wanted = json!({"countries": ["GB", "AT", "GB"]}).to_string();
    let set = world.ask("PUT", "/accounts/acme/countries", None, wanted).await;
    assert_eq!((set.0, &set.1["countries"]), (200, &json!(["AT", "GB"])));
    assert_eq!(names(items(&world, "/accounts/acme/countries").await), ["AT", "GB"]);
}

async fn an_hour_has_a_limit_of_spending(backend: Backend) {
    let world = priced(backend).await;
    world.set("acme", json!({"spend_hour_max": "0.60"})).await;
    assert_eq!(world.get("/accounts/acme").await["spend_hour_max"], "0.600000");
    let acme = Calling::new(world.id("acme").await, "4930123456");
    world.control.talk(acme, 60).unwrap();
    assert_eq!(world.control.talk(acme, 60).unwrap_err().1, "spend_limit_reached");
    // A restart forgets neither what was spent nor that it was told.
    let world = world.crashed().await;
    assert_eq!(world.control.talk(acme, 60).unwrap_err().1, "spend_limit_reached");
    let told = items(&world, "/events?kind=spend_limit_reached").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["detail"], "the limit of the hour, 0.600000 EUR, is reached");
    world.control.advance(3_600_000_000);
    assert!(world.control.talk(acme, 60).is_ok(), "it is another hour");
    world.check_books().await;
}
