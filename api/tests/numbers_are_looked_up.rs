//! T7: who is asked where numbers are served, in which states numbers are, and rate groups by that: from
//! the command to the snapshots that calls see.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod world;

use std::time::Duration;

use billing::{GroupsOfSide, JurisdictionGroups};
use serde_json::{Value, json};
use switch::lookup::{HttpLookup, LookupKind, OnFailure, SipLookup};
use vocabulary::Number;
use world::backend::{Backend, on_both};
use world::world;

on_both!(
    a_lookup_is_set_changed_and_removed,
    what_is_wrong_with_a_lookup_is_said,
    a_table_of_states_is_put_in_place_of_the_one_before,
    accounts_pay_and_take_by_jurisdiction
);

fn number(text: &str) -> Number {
    text.parse().unwrap()
}

async fn a_lookup_is_set_changed_and_removed(backend: Backend) {
    let world = world(backend).await;
    let wanted = json!({
        "url": "https://lrn.example/{number}", "pointer": "/lrn", "prefixes": ["+1", "1876"],
        "header_name": "X-Key", "header_value": "s3cret", "timeout_ms": 300, "ttl_s": 60,
    });
    let set = world.change("PATCH", "/lookups/dip", wanted).await;
    assert!(!set.to_string().contains("s3cret"), "a key is not told again: {set}");
    assert_eq!((&set["kind"], &set["on_failure"]), (&json!("http"), &json!("ignore")));
    let found = |text: &str| {
        let snapshot = world.control.published.lock().unwrap().last().unwrap().clone();
        snapshot.directory.lookups().find(&number(text)).cloned()
    };
    let lookup = found("18765551234").unwrap();
    assert_eq!((lookup.timeout, lookup.ttl), (Duration::from_millis(300), Duration::from_secs(60)));
    let http = HttpLookup {
        url: "https://lrn.example/{number}".into(),
        body: None,
        pointer: Some("/lrn".into()),
        header: Some(("X-Key".into(), "s3cret".into())),
    };
    assert_eq!(lookup.asks, LookupKind::Http(http));
    assert!(found("4930").is_none());

    // What is left out stays, null goes.
    let other = json!({"on_failure": "refuse", "pointer": null, "body": "tn={number}"});
    world.change("PATCH", "/lookups/dip", other).await;
    let lookup = found("1").unwrap();
    let LookupKind::Http(http) = &lookup.asks else { panic!("{lookup:?}") };
    assert_eq!((&http.pointer, http.body.as_deref()), (&None, Some("tn={number}")));
    assert_eq!(http.header.as_ref().unwrap().1.as_ref(), "s3cret");
    assert_eq!(lookup.on_failure, OnFailure::Refuse);
    // Another kind altogether; and off.
    let sip = json!({"host": "192.0.2.9", "port": 5070});
    world.change("PATCH", "/lookups/dip", sip).await;
    let expected = SipLookup { host: "192.0.2.9".into(), port: 5070 };
    assert_eq!(found("1").unwrap().asks, LookupKind::Sip(expected));
    world.change("PATCH", "/lookups/dip", json!({"enabled": false})).await;
    assert!(found("1").is_none());
    assert_eq!(world.get("/lookups").await["items"].as_array().unwrap().len(), 1);
    let answer = world.change("DELETE", "/lookups/dip", Value::Null).await;
    assert_eq!(answer, json!({"removed": "dip"}));
    assert_eq!(world.get("/lookups").await["items"], json!([]));
}

async fn what_is_wrong_with_a_lookup_is_said(backend: Backend) {
    let world = world(backend).await;
    for (body, field) in [
        (json!({}), "url"),
        (json!({"url": "ftp://x/{number}"}), "url"),
        (json!({"url": "http://x/"}), "url"),
        (json!({"url": "http://x/{number}", "host": "y"}), "host"),
        (json!({"url": "http://x/{number}", "pointer": "lrn"}), "pointer"),
        (json!({"url": "http://x/{number}", "header_name": "X"}), "header_value"),
        (
            json!({"url": "http://x/{number}", "header_name": "X\n", "header_value": "1"}),
            "header_name",
        ),
        (json!({"url": "http://x/{number}", "port": 1}), "port"),
        (json!({"host": "a b"}), "host"),
        (json!({"host": "a", "body": "{number}"}), "body"),
        (json!({"host": "a", "timeout_ms": 60_000}), "timeout_ms"),
        (json!({"host": "a", "on_failure": "hope"}), "on_failure"),
        (json!({"host": "a", "prefixes": ["1", "+1"]}), "prefixes"),
        (json!({"host": "a", "prefixes": ["x"]}), "prefix"),
    ] {
        assert_eq!(world.refused("PATCH", "/lookups/dip", body).await, field);
    }
    world.change("PATCH", "/lookups/one", json!({"host": "a", "prefixes": ["1"]})).await;
    let body = json!({"host": "b", "prefixes": ["1"]});
    assert_eq!(world.refused("PATCH", "/lookups/two", body).await, "prefixes");
}

async fn a_table_of_states_is_put_in_place_of_the_one_before(backend: Backend) {
    let world = world(backend).await;
    let put = async |text: &str| world.ask("POST", "/jurisdictions", None, text.into()).await;
    let (status, answer) = put("prefix,state,lata\n1,,\n1212,NY,132\n1202,DC,\n").await;
    assert_eq!((status, answer), (200, json!({"prefixes": 3})));
    let listed = world.get("/jurisdictions?prefix=12").await;
    let expected = json!([
        {"prefix": "1202", "state": "DC", "lata": null},
        {"prefix": "1212", "state": "NY", "lata": 132},
    ]);
    assert_eq!(listed["items"], expected);
    // All or nothing.
    let (status, answer) = put("1212,NY\nx,DC\n1202,DC,x\n").await;
    assert_eq!((status, &answer["errors"][1]["row"]), (422, &json!(3)), "{answer}");
    let (status, _) = put("1212,NY\n1212,NJ\n").await;
    assert_eq!(status, 422);
    assert_eq!(world.get("/jurisdictions").await["items"].as_array().unwrap().len(), 3);
    put("44,GB\n").await;
    assert_eq!(world.get("/jurisdictions").await["items"].as_array().unwrap().len(), 1);
    let published = world.control.published.lock().unwrap();
    assert_eq!(published.last().unwrap().directory.jurisdictions().len(), 1);
}

async fn accounts_pay_and_take_by_jurisdiction(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    world.made("/rate-groups", json!({"name": "intra", "currency": "EUR", "rate_by": "lrn"})).await;
    let groups = json!({"intra_rate_group": "intra", "carrier_undetermined_rate_group": "intra"});
    let account = world.change("PATCH", "/accounts/alice", groups).await;
    assert_eq!(account["intra_rate_group"], "intra");
    assert_eq!(account["undetermined_rate_group"], Value::Null);
    {
        let published = world.control.published.lock().unwrap();
        let snapshot = published.last().unwrap();
        let id = vocabulary::AccountId(account["id"].as_u64().unwrap());
        let tariff = snapshot.rate_book.tariff(id).unwrap();
        let groups = tariff.by_jurisdiction.as_deref().unwrap();
        let intra = groups.customer.intra;
        let expected = JurisdictionGroups {
            customer: GroupsOfSide { intra, undetermined: None },
            carrier: GroupsOfSide { intra: None, undetermined: intra },
        };
        assert_eq!(*groups, expected);
        assert!(snapshot.rate_book.group(intra.unwrap()).unwrap().is_by_lrn());
    }
    let unknown = json!({"carrier_intra_rate_group": "nowhere"});
    let field = world.refused("PATCH", "/accounts/alice", unknown).await;
    assert_eq!(field, "carrier_intra_rate_group");
    let field = world.refused("PATCH", "/rate-groups/intra", json!({"rate_by": "luck"})).await;
    assert_eq!(field, "rate_by");
    let none = json!({"intra_rate_group": null, "carrier_undetermined_rate_group": null});
    world.change("PATCH", "/accounts/alice", none).await;
    let published = world.control.published.lock().unwrap();
    let id = vocabulary::AccountId(account["id"].as_u64().unwrap());
    assert_eq!(published.last().unwrap().rate_book.tariff(id).unwrap().by_jurisdiction, None);
}
