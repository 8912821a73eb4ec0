//! Exchange rates and discounts, from the command to the price of a call (R12, J-17, J-29); money
//! that is paid out, and whose revenue a fee is.
#![allow(clippy::unwrap_used)] // a test may

mod world;

use std::sync::Arc;
use std::time::Duration;

use billing::{
    CreditControl, Currency, Ledger, MemoryJournal, Money, OpId, Overdraft, Posting, RatedBy,
    RatedCall, RatedLeg, Record, Sides, SystemAccount, SystemKind, reprice,
};
use serde_json::{Value, json};
use vocabulary::{
    AccountId, AuthorizeRequest, CallFacts, CallId, CallKind, Candidate, Direction, LegFacts, Now,
    Origin, Party, ReleaseFacts, SettleRequest, SubscriberId, TrunkId,
};
use world::backend::{Backend, on_both};
use world::{NOW, World, world};

on_both!(
    a_carrier_in_another_currency_takes_calls_once_there_is_an_exchange_rate,
    an_exchange_rate_is_above_zero_between_two_currencies_and_stays_while_it_is_needed,
    a_discount_is_for_its_account_destination_site_and_time_also_when_priced_again,
    a_discount_that_makes_no_sense_is_refused,
    a_carrier_is_paid_what_it_is_owed_and_a_customer_gets_back_what_is_his_once,
    the_fee_of_a_resellers_customer_is_the_resellers_sale,
);

const MINUTE: Duration = Duration::from_secs(60);
const TRUNK: TrunkId = TrunkId(1);

fn id(account: &Value) -> AccountId {
    AccountId(account["id"].as_u64().unwrap())
}

/// Alice pays 0.10 EUR a minute; a carrier that is kept in EUR has its rates in USD.
async fn two_currencies(backend: Backend) -> (World, AccountId, AccountId) {
    let world = world(backend).await;
    world.fill().await;
    world.sheet("retail", "49,0.10").await;
    world.made("/rate-groups", json!({"name": "dollars", "currency": "USD"})).await;
    world.sheet("dollars", "49,0.05").await;
    let alice = id(&world.get("/accounts/alice").await);
    let carrier = json!({"name": "carrier", "billing": "postpaid", "currency": "EUR"});
    let carrier = id(&world.made("/accounts", carrier).await);
    (world, alice, carrier)
}

async fn set(world: &World, account: &str, change: Value) -> (u16, Value) {
    world.ask("PATCH", &format!("/accounts/{account}"), None, change.to_string()).await
}

/// What a minute of talk costs by the snapshot that went out last: what the customer pays and what
/// the carrier takes, with the journal's record of it.
fn minute(world: &World, alice: AccountId, carrier: AccountId, from: Option<u64>) -> Vec<Record> {
    let snapshot = world.control.published.lock().unwrap().last().unwrap().clone();
    let (ledger, journal) = (Arc::new(Ledger::new()), Arc::new(MemoryJournal::new()));
    for account in [alice, carrier] {
        let terms = world.control.ledger.account(account).unwrap().terms;
        ledger.set_terms(account, terms).unwrap();
    }
    let (ten, eur) = (Money::units(10), Currency::EUR);
    let paid = Posting::top_up(OpId::outside(1), alice, ten, eur, NOW, String::new());
    ledger.post(paid, Overdraft::Refuse, &*journal).unwrap();
    let mut credit = CreditControl::new(ledger, journal.clone());
    credit.set_rate_book(Arc::clone(&snapshot.rate_book));
    let call = CallId::new(1, 0, 1);
    let subscriber = from.map(SubscriberId);
    let now = |passed: Duration| Now { monotonic: passed, utc: NOW.plus(passed) };
    let cld = "49301234".parse().unwrap();
    let request = AuthorizeRequest {
        candidates: vec![Candidate::new(TRUNK, carrier, 1)],
        origin: Origin { subscriber, ..Origin::default() },
        ..AuthorizeRequest::new(call, alice, CallKind::Egress, cld, NOW)
    };
    let authorized = credit.authorize(now(Duration::ZERO), &request).unwrap();
    assert_eq!(authorized.egress, [TRUNK]);
    credit.answered(now(Duration::ZERO), call, Some(TRUNK), NOW);
    let leg = |index: u8| LegFacts {
        index,
        direction: if index == 0 { Direction::Ingress } else { Direction::Egress },
        account: Some(if index == 0 { alice } else { carrier }),
        subscriber: subscriber.filter(|_| index == 0),
        trunk: (index > 0).then_some(TRUNK),
        remote: None,
        sip_call_id: format!("leg-{index}"),
        cli: String::new(),
        cld: "49301234".into(),
        started_at: NOW,
        attestation: None,
        ringing_at: None,
        answered_at: Some(NOW),
        ended_at: NOW.plus(MINUTE),
        talked: MINUTE,
        release: ReleaseFacts { cause: "normal", q850: 16, sip_status: 200, by: Party::Caller },
    };
    let legs = vec![leg(0), leg(1)];
    let facts = CallFacts { cld: Some(cld), legs, ..CallFacts::new(call) };
    let settle = SettleRequest { talked: MINUTE, answered_by: Some(TRUNK), facts };
    credit.settle(now(MINUTE), settle);
    journal.records().into_iter().map(|(_, record)| record).collect()
}

fn ended(records: &[Record]) -> &billing::Ended {
    let ended = records.iter().find_map(|record| match record {
        Record::Ended(ended) => Some(ended),
        _ => None,
    });
    ended.unwrap()
}

fn amounts(records: &[Record]) -> Vec<String> {
    let charge = |cdr: &billing::Cdr| cdr.charge.as_ref().unwrap().amount.to_string();
    ended(records).cdrs.iter().map(charge).collect()
}

async fn a_carrier_in_another_currency_takes_calls_once_there_is_an_exchange_rate(
    backend: Backend,
) {
    // R12.
    let (world, alice, carrier) = two_currencies(backend).await;
    let dollars = json!({"carrier_rate_group": "dollars"});
    let refused = set(&world, "carrier", dollars.clone()).await;
    let told = World::told(&refused);
    assert_eq!((told.0, told.2), (422, "carrier_rate_group"));
    assert!(told.3.contains("set the exchange rate from USD to EUR first"), "{}", told.3);

    let rate = json!({"from": "USD", "to": "EUR", "rate": "0.92"});
    assert_eq!(world.post("/exchange-rates", rate).await.0, 200);
    assert_eq!(set(&world, "carrier", dollars).await.0, 200);
    let records = minute(&world, alice, carrier, None);
    assert_eq!(amounts(&records), ["0.100000", "0.046000"]);
    let cdr = ended(&records).cdrs[1].charge.clone().unwrap();
    let exchange = cdr.applied.special.as_ref().unwrap().exchange.unwrap();
    assert_eq!(exchange.rate.rate().to_string(), "0.92");
    assert_eq!((exchange.from, cdr.applied.currency), (Currency::USD, Currency::EUR));

    // The next call has the new rate; there is one row.
    let rate = json!({"from": "USD", "to": "EUR", "rate": "0.8"});
    assert_eq!(world.post("/exchange-rates", rate).await.0, 200);
    assert_eq!(amounts(&minute(&world, alice, carrier, None)), ["0.100000", "0.040000"]);
    let rates = world.get("/exchange-rates").await;
    assert_eq!(rates["items"].as_array().unwrap().len(), 1);
    assert_eq!(rates["items"][0]["rate"], "0.8");
}

async fn an_exchange_rate_is_above_zero_between_two_currencies_and_stays_while_it_is_needed(
    backend: Backend,
) {
    let (world, _, _) = two_currencies(backend).await;
    for (from, to, rate, field) in [
        ("USD", "EUR", "0", "rate"),
        ("USD", "EUR", "x", "rate"),
        ("USD", "USD", "1", "to"),
        ("dollars", "EUR", "1", "from"),
    ] {
        let answer =
            world.post("/exchange-rates", json!({"from": from, "to": to, "rate": rate})).await;
        let told = World::told(&answer);
        assert_eq!((told.0, told.2), (422, field), "{from} {to} {rate}");
    }
    let remove = || world.ask("DELETE", "/exchange-rates/USD/EUR", None, String::new());
    assert_eq!(remove().await.0, 404);
    world.post("/exchange-rates", json!({"from": "USD", "to": "EUR", "rate": "0.92"})).await;
    set(&world, "carrier", json!({"carrier_rate_group": "dollars"})).await;
    let (status, told) = remove().await;
    assert_eq!((status, told["detail"].as_str().unwrap().contains("carrier")), (409, true));
    set(&world, "carrier", json!({"carrier_rate_group": null})).await;
    assert_eq!(remove().await.0, 200);
}

async fn a_discount_is_for_its_account_destination_site_and_time_also_when_priced_again(
    backend: Backend,
) {
    // J-17, J-29, J-18.
    let (world, alice, carrier) = two_currencies(backend).await;
    world.made("/rate-groups", json!({"name": "cost", "currency": "EUR"})).await;
    world.sheet("cost", "49,0.01").await;
    set(&world, "carrier", json!({"carrier_rate_group": "cost"})).await;
    world.made("/accounts/alice/sites", json!({"name": "Berlin"})).await;
    let phone = json!({"username": "berlin", "account": "alice", "site": "Berlin",
        "password": "correct horse"});
    let berlin = world.made("/subscribers", phone).await["id"].as_u64().unwrap();
    world.made("/destination-sets", json!({"name": "germany", "prefixes": ["49"]})).await;
    world.made("/destination-sets", json!({"name": "france", "prefixes": ["33"]})).await;
    let paid = |from| amounts(&minute(&world, alice, carrier, from))[0].clone();
    let body = |name: &str, set: &str, percent: &str| json!({"name": name, "destination_set": set, "percent": percent});
    world.made("/discounts", body("elsewhere", "france", "90")).await;
    assert_eq!(paid(None), "0.100000");
    world.made("/discounts", body("all", "germany", "10")).await;
    assert_eq!(paid(None), "0.090000");
    let mut own = body("site", "germany", "25");
    (own["account"], own["site"]) = ("alice".into(), "Berlin".into());
    let site = world.made("/discounts", own).await;
    assert_eq!((paid(None), paid(Some(berlin))), ("0.090000".into(), "0.075000".into()));
    let mut past = body("past", "germany", "50");
    past["valid_till"] = "2026-01-01".into();
    world.made("/discounts", past).await;
    assert_eq!(paid(Some(berlin)), "0.075000");

    // Priced again, it is still a call of the site.
    let records = minute(&world, alice, carrier, Some(berlin));
    let legs: Vec<RatedLeg> = ended(&records).cdrs.iter().map(RatedLeg::from).collect();
    let by = RatedBy::cld("49301234".parse().unwrap());
    let rated = RatedCall::of_legs(CallId::new(1, 0, 1), 0, NOW, by, &legs).unwrap();
    let book = world.control.published.lock().unwrap().last().unwrap().rate_book.clone();
    let again = reprice(&book, &|_| Some(Currency::EUR), &rated, Sides::All);
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|side| side.after.is_ok() && !side.is_changed()), "{again:?}");

    // What is used stays; what has ended is over from then on.
    let remove = async |path: &str| world.ask("DELETE", path, None, String::new()).await;
    let (sites, sets) = ("/accounts/alice/sites/Berlin", "/destination-sets/germany");
    let end = format!("/discounts/{}/end", site["id"]);
    assert_eq!(world.post(&end, json!({})).await.0, 200);
    assert_eq!(paid(Some(berlin)), "0.090000");
    world.ask("DELETE", "/subscribers/berlin", None, String::new()).await;
    assert_eq!(remove(sites).await.0, 409);
    assert_eq!(remove(sets).await.0, 409);
    assert_eq!(remove(&format!("/discounts/{}", site["id"])).await.0, 200);
    assert_eq!(remove(&format!("/discounts/{}", site["id"])).await.0, 404);
    assert_eq!(remove(sites).await.0, 200);
    assert_eq!(world.get("/discounts").await["items"].as_array().unwrap().len(), 3);
}

async fn a_discount_that_makes_no_sense_is_refused(backend: Backend) {
    let (world, _, _) = two_currencies(backend).await;
    world.made("/destination-sets", json!({"name": "all", "prefixes": [""]})).await;
    let check = |field: &'static str, value: Value, about: &'static str| {
        let mut body = json!({"name": "d", "destination_set": "all", "percent": "5",
            "valid_from": "2026-06-01"});
        body[field] = value;
        let world = &world;
        async move {
            let answer = world.post("/discounts", body).await;
            let told = World::told(&answer);
            assert_eq!((told.0, told.2), (422, about), "{field}: {}", answer.1);
        }
    };
    check("percent", "0".into(), "percent").await;
    check("percent", "100.5".into(), "percent").await;
    check("percent", "1.234".into(), "percent").await;
    check("destination_set", "moon".into(), "destination_set").await;
    check("site", "Berlin".into(), "site").await;
    check("valid_till", "2026-06-01".into(), "valid_till").await;
}

async fn pay_out(world: &World, key: &str, account: &str, body: Value) -> (u16, Value) {
    world.ask("POST", &format!("/accounts/{account}/payouts"), Some(key), body.to_string()).await
}

async fn a_carrier_is_paid_what_it_is_owed_and_a_customer_gets_back_what_is_his_once(
    backend: Backend,
) {
    let (world, alice, carrier) = two_currencies(backend).await;
    let eur = Currency::EUR;
    let cost = SystemAccount { kind: SystemKind::Cost, currency: eur }.id();
    let earned = Posting {
        op: OpId::cost(CallId::new(1, 0, 9), 1),
        kind: billing::PostingKind::Cost,
        debit: cost,
        credit: carrier,
        amount: Money::units(5),
        currency: eur,
        at: NOW,
        call: None,
        note: String::new(),
        tax: None,
    };
    let control = &world.control;
    control.ledger.post(earned, Overdraft::Refuse, &*control.journal).unwrap();
    // The credit that a carrier has as a customer is none that it can be paid.
    set(&world, "carrier", json!({"credit_limit": "100"})).await;
    let five = json!({"amount": "4", "note": "invoice 7"});
    let (status, paid) = pay_out(&world, "p1", "carrier", five.clone()).await;
    assert_eq!((status, &paid["amount"]), (201, &json!("-4.000000")), "{paid}");
    assert_eq!(pay_out(&world, "p1", "carrier", five).await, (201, paid));
    let view = control.ledger.account(carrier).unwrap();
    assert_eq!((view.owed, view.balance_as_customer()), (Money::units(1), Money::ZERO));
    let more = pay_out(&world, "p2", "carrier", json!({"amount": "1.01"})).await;
    assert_eq!((World::told(&more).0, World::told(&more).2), (422, "amount"));
    let insisted = json!({"amount": "1.01", "allow_debt": true});
    assert_eq!(pay_out(&world, "p3", "carrier", insisted).await.0, 201);

    let body = json!({"amount": "3"}).to_string();
    world.ask("POST", "/accounts/alice/topups", Some("t1"), body).await;
    // It is no carrier: we owe it nothing as one.
    let refused = pay_out(&world, "p4", "alice", json!({"amount": "1"})).await;
    assert_eq!(World::told(&refused).2, "amount");
    let refund = |amount: &str| json!({"amount": amount, "refund": true});
    assert_eq!(pay_out(&world, "p5", "alice", refund("3.01")).await.0, 422);
    assert_eq!(pay_out(&world, "p6", "alice", refund("2")).await.0, 201);
    let view = control.ledger.account(alice).unwrap();
    assert_eq!((view.balance_as_customer(), view.owed), (Money::units(1), Money::ZERO));
    for (amount, field) in [("0", "amount"), ("-1", "amount")] {
        let answer = pay_out(&world, "p7", "alice", refund(amount)).await;
        assert_eq!((World::told(&answer).0, World::told(&answer).2), (422, field));
    }
    assert_eq!(control.ledger.check().problems, Vec::<String>::new());
}

async fn the_fee_of_a_resellers_customer_is_the_resellers_sale(backend: Backend) {
    let world = world(backend).await;
    world.fill().await;
    let shop = json!({"name": "shop", "billing": "prepaid", "currency": "EUR"});
    let shop = id(&world.made("/accounts", shop).await);
    assert_eq!(set(&world, "alice", json!({"parent": "shop"})).await.0, 200);
    let body = json!({"amount": "10"}).to_string();
    for (account, key) in [("alice", "t1"), ("shop", "t2")] {
        world.ask("POST", &format!("/accounts/{account}/topups"), Some(key), body.clone()).await;
    }
    let charge = json!({"amount": "2", "label": "Line"}).to_string();
    for (account, key) in [("alice", "c1"), ("shop", "c2")] {
        let path = format!("/accounts/{account}/charges");
        assert_eq!(world.ask("POST", &path, Some(key), charge.clone()).await.0, 201);
    }
    let back = json!({"amount": "0.5", "label": "Outage"}).to_string();
    let path = "/accounts/alice/credit-notes";
    assert_eq!(world.ask("POST", path, Some("n1"), back).await.0, 201);
    let ours = |kind| SystemAccount { kind, currency: Currency::EUR }.id();
    let (sales, revenue) = (ours(SystemKind::Sales(shop)), ours(SystemKind::Revenue));
    let mut moved = Vec::new();
    for (_, record) in world.control.journal.records() {
        let Record::Posted { posting, .. } = record else { continue };
        let sides = [(posting.debit, -1), (posting.credit, 1)];
        for (side, sign) in sides {
            if side == sales || side == revenue {
                moved.push((side == sales, posting.amount.micros() * sign));
            }
        }
    }
    assert_eq!(moved, [(true, 2_000_000), (false, 2_000_000), (true, -500_000)]);
    assert_eq!(world.control.ledger.check().problems, Vec::<String>::new());
}
