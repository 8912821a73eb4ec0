//! Fraud limits (S4, V-11) on real calls: what is refused, with which status and record; what the outside
//! is told; and that numbers for help are never refused.

mod support;

use std::time::Duration;

use support::*;
use switch::directory::{Directory, Limits};
use switch::fraud::{
    AccountFraud, FraudAction, FraudCheck, FraudKind, FraudNote, FraudRule, FraudRuleId, Hold,
};
use switch::numbers::{ListId, ListKind, NumberList};
use switch::{Effect, Input};
use vocabulary::AccountId;

const CLD: &str = "4930123456";

fn rule(check: FraudCheck, action: FraudAction) -> FraudRule {
    FraudRule { id: FraudRuleId(1), check, action }
}

fn with_fraud(fraud: AccountFraud) -> Rows {
    let mut rows = Rows::default();
    rows.account(CUSTOMER_ACCOUNT).fraud = Some(fraud.into());
    rows
}

fn with_rule(check: FraudCheck, action: FraudAction) -> Rows {
    with_fraud(AccountFraud { rules: Box::new([rule(check, action)]), ..AccountFraud::default() })
}

/// What the outside was told, as words.
fn told(w: &mut World) -> Vec<String> {
    let mut told = Vec::new();
    w.effects.retain(|effect| {
        let Effect::Fraud(note) = effect else { return true };
        told.push(match &**note {
            FraudNote::Tripped(trip) => format!("{}: {}", trip.rule.action.word(), trip.what),
            FraudNote::Learned { country, .. } => format!("learned {country}"),
        });
        false
    });
    told
}

/// A call that is refused; the codes of its record.
#[track_caller]
fn refused(w: &mut World, id: &str, cld: &str) -> Vec<&'static str> {
    w.receive(CUSTOMER, &invite(CUSTOMER, id, cld, 1, ""));
    w.expect_soon(CUSTOMER, "SIP/2.0 403");
    let settled = w.settlement();
    assert_eq!(settled.facts.legs.len(), 1);
    assert_eq!(outcomes(&settled), [("rejected", 403)]);
    codes(&settled)
}

fn swap(w: &mut World, directory: Directory) {
    w.input(Input::Directory(directory.into()));
}

#[test]
fn a_fourth_call_in_a_minute_blocks_the_account_until_it_is_over() {
    let minute = FraudAction::Block(Some(Duration::from_secs(60)));
    let mut w = World::with(with_rule(FraudCheck::CallsPerCli(3), minute));
    for id in ["c1", "c2", "c3"] {
        w.receive(CUSTOMER, &invite(CUSTOMER, id, CLD, 1, ""));
        w.asked();
    }
    assert_eq!(told(&mut w), [""; 0]);
    assert_eq!(refused(&mut w, "c4", CLD).last(), Some(&"fraud_calls_per_cli"));
    let found = "block: more than 3 calls in a minute with one caller's number";
    assert_eq!(told(&mut w), [found]);
    // A call of the account to whomever; it is told once.
    assert_eq!(refused(&mut w, "c5", "34600123").last(), Some(&"fraud_blocked"));
    assert_eq!(told(&mut w), [""; 0]);
    assert_eq!((w.shared.fraud.held(), w.shard.stats().fraud_found), (1, 1));
    w.pass_secs(61);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c6", CLD, 1, ""));
    w.asked();
}

#[test]
fn a_block_that_is_stored_holds_from_the_start_and_ends_when_it_is_lifted() {
    let now = World::new().now.utc;
    let hold = Hold { kind: FraudKind::ShortCalls, reduced_to: None, since: now, until: None };
    let rows = with_fraud(AccountFraud { hold: Some(hold), ..AccountFraud::default() });
    let mut w = World::new();
    swap(&mut w, rows.build());
    assert_eq!(refused(&mut w, "c1", CLD).last(), Some(&"fraud_blocked"));
    swap(&mut w, Rows::default().build());
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", CLD, 1, ""));
    w.asked();
}

#[test]
fn a_first_country_is_told_and_learned_and_the_call_goes_on() {
    let mut rows = with_rule(FraudCheck::NewCountry, FraudAction::Alarm);
    let mut own = AccountFraud::clone(rows.account(CUSTOMER_ACCOUNT).fraud.as_ref().unwrap());
    own.countries = Box::new(["GB".parse().unwrap()]);
    rows.account(CUSTOMER_ACCOUNT).fraud = Some(own.into());
    let mut w = World::with(rows);
    let (_, _, answer) = w.talk(600, true);
    assert_eq!(told(&mut w), ["learned DE", "alarm: the first call to DE"]);
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    assert!(codes(&w.settlement()).contains(&"fraud_alarm"));
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", CLD, 1, ""));
    w.asked();
    assert_eq!(told(&mut w), [""; 0], "once");
}

#[test]
fn short_calls_are_counted_as_they_end() {
    let below = Duration::from_secs(5);
    let storm = FraudCheck::ShortCalls { below, percent: 100, among: 1 };
    let mut w = World::with(with_rule(storm, FraudAction::Block(None)));
    let (_, _, answer) = w.talk(600, true);
    w.pass_secs(2);
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    assert!(!codes(&w.settlement()).contains(&"fraud_short_calls"), "the call itself was good");
    assert_eq!(told(&mut w), ["block: 1 of the last 1 answered calls were shorter than 5 s"]);
    assert_eq!(refused(&mut w, "c2", CLD).last(), Some(&"fraud_blocked"));
}

#[test]
fn a_reduced_account_has_room_for_fewer_calls() {
    let limits = Limits { concurrent: Some(1), per_second: None };
    let reduce = FraudAction::Reduce(limits, Some(Duration::from_secs(60)));
    let mut w = World::with(with_rule(FraudCheck::CallsPerCli(1), reduce));
    for id in ["c1", "c2"] {
        w.receive(CUSTOMER, &invite(CUSTOMER, id, CLD, 1, ""));
        w.asked();
    }
    assert_eq!(told(&mut w).len(), 1);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c3", CLD, 1, ""));
    w.expect_soon(CUSTOMER, "SIP/2.0 503");
    let codes = codes(&w.settlement());
    assert!(codes.contains(&"fraud_reduced"), "{codes:?}");
    assert_eq!(codes.last(), Some(&"account_concurrency_exceeded"));
    w.pass_secs(61);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c4", CLD, 1, ""));
    w.asked();
}

#[test]
fn numbers_for_help_are_called_by_whoever_is_blocked() {
    let mut rows = with_rule(FraudCheck::CallsPerCli(0), FraudAction::Block(None));
    rows.lists.push(NumberList {
        id: ListId(3),
        name: "help".into(),
        kind: ListKind::Emergency,
        numbers: ["=4930112".parse().unwrap()].into_iter().collect(),
    });
    let mut w = World::with(rows);
    assert_eq!(refused(&mut w, "c1", CLD).last(), Some(&"fraud_calls_per_cli"));
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", "4930112", 1, ""));
    assert_eq!(w.asked().account, CUSTOMER_ACCOUNT);
    assert_eq!(refused(&mut w, "c3", "49301123").last(), Some(&"fraud_blocked"));
}

#[test]
fn rules_of_everybody_hold_for_whoever_has_none_of_the_kind() {
    let mut w = World::new();
    let change = Rows::default().build().change();
    let block = rule(FraudCheck::CallsPerCli(0), FraudAction::Block(None));
    swap(&mut w, change.fraud_rules(vec![block]).build().unwrap());
    assert_eq!(refused(&mut w, "c1", CLD).last(), Some(&"fraud_calls_per_cli"));
    assert_eq!(told(&mut w).len(), 1);
    // Whoever has no rules and no hold is not looked at.
    assert_eq!(w.shared.fraud.hold_of(w.now.utc, AccountId(99)), None);
}
