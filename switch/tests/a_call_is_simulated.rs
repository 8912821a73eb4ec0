//! What `simulate` says is what a call would find.

mod support;

use support::*;
use switch::decision::{Decision, IdentityRefusal, Refusal};
use switch::registrar::Bindings;
use switch::routing::{Calling, Destination, Question, Simulation, Source, simulate};
use vocabulary::{CallKind, SubscriberId, Utc};

const NOW: Utc = Utc(1_700_000_000_000_000);

fn thought(rows: &Rows, bindings: &Bindings, from: &str, to: &str) -> Simulation {
    let question = Question { from, account: None, to, at: Utc(7), now: NOW };
    simulate(&rows.build(), bindings, Untested::default().trunks(), &question)
}

#[track_caller]
fn refused(rows: &Rows, from: &str, to: &str) -> Refusal {
    thought(rows, &Bindings::default(), from, to).outcome.expect_err("a refusal")
}

#[test]
fn a_call_out_lists_its_candidates_and_what_billing_is_asked() {
    let mut rows = Rows::default();
    rows.trunk(2).is_active = false;
    let simulation = thought(&rows, &Bindings::default(), "customer", "4930123456");
    let request = simulation.authorize.unwrap();
    assert_eq!((request.kind, request.at), (CallKind::Egress, Utc(7)));
    let trunks: Vec<u64> = request.candidates.iter().map(|c| c.trunk.0).collect();
    assert_eq!(trunks, [1, 3]);
    // Discounts go by the site of the trunk that calls (J-17).
    assert_eq!(request.origin.trunk, Some(CUSTOMER_TRUNK));
    let codes: Vec<_> = simulation.decisions.iter().map(Decision::code).collect();
    let expected =
        ["number_translated", "routes_found", "trunk_skipped_inactive", "trunks_accepted"];
    assert_eq!(codes, expected);
    let accepted = simulation.decisions.last().unwrap().to_string();
    assert_eq!(accepted, "Trunk 1, trunk 3 may carry the call.");
}

#[test]
fn a_local_call_names_the_subscriber() {
    let mut w = World::new();
    w.bob_at(&PHONES);
    let simulation = thought(&Rows::default(), &w.shared.bindings, "alice", "4930555");
    let codes: Vec<_> = simulation.decisions.iter().map(Decision::code).collect();
    assert_eq!(codes, ["number_translated", "to_subscriber"]);
    let routed = simulation.outcome.unwrap();
    assert_eq!(routed.destination, Destination::Subscriber(BOB));
    assert_eq!((routed.kind, routed.payer), (CallKind::Local, LOCAL_ACCOUNT));
}

/// As if `from`, the name of this account and of nothing else, called.
fn thought_of_account(rows: &Rows, from: &str, to: &str) -> Simulation {
    let account = Some(LOCAL_ACCOUNT);
    let question = Question { from, account, to, at: Utc(7), now: NOW };
    simulate(&rows.build(), &Bindings::default(), Untested::default().trunks(), &question)
}

#[test]
fn an_account_calls_by_none_of_its_phones() {
    // O3: from account X to number Y.
    let mut rows = Rows::default();
    let simulation = thought_of_account(&rows, "account3", "4930123456");
    assert_eq!(simulation.calling, Some(Calling::Account(LOCAL_ACCOUNT)));
    let request = simulation.authorize.unwrap();
    assert_eq!((request.account, request.cli), (LOCAL_ACCOUNT, None));
    assert_eq!((request.origin.subscriber, request.origin.trunk), (None, None));
    assert_eq!(request.candidates.len(), 3);
    // A phone of that name goes first: it is what a call would come from.
    let alice = thought_of_account(&rows, "alice", "4930123456");
    assert_eq!(alice.calling, Some(Calling::Source(Source::Subscriber(SubscriberId(20)))));
    // It is refused where its phones would be.
    rows.account(LOCAL_ACCOUNT).allows_local = false;
    let local = thought_of_account(&rows, "account3", "bob");
    assert_eq!(local.outcome, Err(Refusal::LocalNotAllowed(LOCAL_ACCOUNT)));
    rows.account(LOCAL_ACCOUNT).is_active = false;
    let inactive = thought_of_account(&rows, "account3", "4930123456");
    assert_eq!(inactive.outcome, Err(Refusal::AccountInactive(LOCAL_ACCOUNT)));
}

#[test]
fn refusals_are_those_of_a_real_call() {
    let mut rows = Rows::default();
    assert_eq!(
        refused(&rows, "nobody", "4930"),
        Refusal::Identity(IdentityRefusal::UnknownUser("nobody".into()))
    );
    assert_eq!(refused(&rows, "alice", "34600"), Refusal::NoRoute(number("34600")));
    assert_eq!(refused(&rows, "alice", "bob"), Refusal::NotRegistered(BOB));
    rows.account(LOCAL_ACCOUNT).allows_local = false;
    assert_eq!(refused(&rows, "alice", "bob"), Refusal::LocalNotAllowed(LOCAL_ACCOUNT));
    rows.subscribers[0].is_active = false;
    let inactive = Refusal::SubscriberInactive(SubscriberId(20));
    assert_eq!(refused(&rows, "alice", "bob"), inactive);
}

#[test]
fn a_call_is_not_routed_back_to_the_trunk_it_came_from() {
    let mut rows = Rows::default();
    rows.routes.truncate(1);
    rows.routes[0].trunk = CUSTOMER_TRUNK;
    let refusal = refused(&rows, "customer", "4930123456");
    assert_eq!(refusal, Refusal::NoTrunkUsable(number("4930123456")));
}
