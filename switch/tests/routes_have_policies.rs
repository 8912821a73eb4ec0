//! How the routes of a prefix share calls, when they hold, how many calls they carry (T3, T6), what
//! causes mean to their trunks (S6), and calls that come back.

mod support;

use std::collections::BTreeMap;

use support::*;
use switch::admission::Owner;
use switch::decision::Decision;
use switch::directory::{Directory, DirectoryBuilder, Limits, RouteRow};
use switch::registrar::Bindings;
use switch::routing::{
    CauseMap, Clock, Code, PrefixId, Question, RouteId, RoutePolicy, RoutePrefix, Simulation,
    TimeWindow, WindowId, simulate,
};
use vocabulary::{Direction, TrunkId, Utc};

const CLD: &str = "4930123456";

/// The usual world with routes of the same priority.
fn rows() -> Rows {
    let mut rows = Rows::default();
    for route in &mut rows.routes {
        route.priority = 1;
        route.id = RouteId(route.trunk.0 + 100);
    }
    rows
}

fn prefix(policy: RoutePolicy, limits: Limits) -> RoutePrefix {
    RoutePrefix { id: PrefixId(9), prefix: "49".into(), policy, limits }
}

fn with_policy(rows: &Rows, policy: RoutePolicy) -> Directory {
    let change = rows.build().change();
    let change = change.route_prefixes(vec![prefix(policy, Limits::default())]);
    change.build().expect("the rows are right")
}

fn thought(directory: &Directory, at: Utc) -> Simulation {
    let question = Question { from: "customer", account: None, to: CLD, at, now: at };
    simulate(directory, &Bindings::default(), Untested::default().trunks(), &question)
}

fn trunks(simulation: &Simulation) -> Vec<u64> {
    let request = simulation.authorize.as_ref().expect("a call that may go out");
    request.candidates.iter().map(|candidate| candidate.trunk.0).collect()
}

fn said(decisions: &[Decision]) -> Vec<String> {
    decisions.iter().map(Decision::to_string).collect()
}

#[test]
fn ten_thousand_simulated_calls_are_shared_70_to_30_within_two_percent() {
    // T3.
    let mut rows = rows();
    rows.routes[0].weight = 70;
    rows.routes[1].weight = 30;
    rows.routes[2].weight = 0;
    let directory = with_policy(&rows, RoutePolicy::Weight);
    let mut firsts = BTreeMap::new();
    for call in 0..10_000 {
        // A call a second, at no round moment.
        let simulation = thought(&directory, Utc(1_700_000_000_000_000 + call * 1_000_003));
        let order = trunks(&simulation);
        assert_eq!(order[2], 3, "weight 0 comes last");
        *firsts.entry(order[0]).or_insert(0) += 1;
    }
    assert!((6_800..=7_200).contains(&firsts[&1]), "{firsts:?}");
    assert_eq!(firsts[&1] + firsts[&2], 10_000);
}

#[test]
fn a_drawn_order_is_in_the_record_and_is_not_ordered_by_cost() {
    let rows = rows();
    let simulation = thought(&with_policy(&rows, RoutePolicy::Weight), Utc(7));
    let codes: Vec<_> = simulation.decisions.iter().map(Decision::code).collect();
    assert_eq!(codes[1..], ["routes_found", "trunks_drawn", "trunks_accepted"]);
    let drawn = "Trunks that share calls by weight were drawn for their places, by 7.";
    assert_eq!(said(&simulation.decisions)[2], drawn);
    let candidates = simulation.authorize.unwrap().candidates;
    assert_eq!(
        candidates.iter().map(|c| (c.priority, c.rank)).collect::<Vec<_>>(),
        [(1, 0), (1, 1), (1, 2)]
    );
    // Without weights nothing is drawn, and nothing is said of it.
    let plain = thought(&rows.build(), Utc(7));
    assert_eq!(trunks(&plain), [1, 2, 3]);
    assert!(plain.decisions.iter().all(|decision| decision.code() != "trunks_drawn"));
}

#[test]
fn least_cost_goes_before_priority() {
    // T1: billing orders by cost what is equal here.
    let mut rows = rows();
    rows.routes[0].priority = 7;
    let priorities = |directory: &Directory| {
        let request = thought(directory, Utc(7)).authorize.unwrap();
        request.candidates.iter().map(|c| (c.trunk.0, c.priority)).collect::<Vec<_>>()
    };
    assert_eq!(priorities(&rows.build()), [(2, 1), (3, 1), (1, 7)]);
    let directory = with_policy(&rows, RoutePolicy::LeastCost);
    assert_eq!(priorities(&directory), [(2, 0), (3, 0), (1, 0)]);
}

#[test]
fn a_route_holds_in_its_time_window() {
    let mut rows = rows();
    rows.routes[0].window = Some(WindowId(4));
    let window = TimeWindow {
        id: WindowId(4),
        name: "day".into(),
        clock: Clock::new("UTC", 0, [].into()),
        holidays: [].into(),
        spans: ["08:00-18:00".parse().unwrap()].into(),
    };
    let missing = rows.routes[0].clone();
    rows.routes.retain(|route| route.window.is_none());
    let builder = rows.build().change().route(missing.clone()).build().unwrap_err();
    let fault = "the route for prefix \"49\" holds in time window 4, which is not there";
    assert_eq!(builder.iter().map(ToString::to_string).collect::<Vec<_>>(), [fault]);
    let change = rows.build().change().time_windows(vec![window]);
    let directory = change.route(missing).build().unwrap();
    let at = |hour: i64| Utc((20_000 * 86_400 + hour * 3_600) * 1_000_000);
    assert_eq!(trunks(&thought(&directory, at(12))), [1, 2, 3]);
    let night = thought(&directory, at(20));
    assert_eq!(trunks(&night), [2, 3]);
    let closed = "Trunk 1 was left out: time window 4 is closed.";
    assert!(said(&night.decisions).contains(&closed.to_owned()));
}

fn second_call(w: &mut World) {
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", CLD, 1, ""));
}

#[test]
fn a_route_that_is_full_leaves_the_call_to_the_next() {
    // T6.
    let mut rows = rows();
    rows.routes[0].limits = Limits { concurrent: Some(1), per_second: None };
    let mut w = World::with(rows);
    let (_, _, answer) = w.talk(3600, true);
    let route = || (Owner::Route(RouteId(101)), Direction::Egress);
    assert_eq!(w.shared.admission.live(route().0, route().1), 1);
    second_call(&mut w);
    w.grant(60, false);
    let invite = w.expect_soon(CARRIERS[1], "INVITE");
    w.reply(CARRIERS[1], &invite, "486 Busy Here", "");
    let settled = w.settlement();
    assert!(codes(&settled).contains(&"trunk_skipped_full"));
    let full = "Trunk 1 was left out: Route 101 is receiving 1 calls already, as many as it may.";
    assert!(settled.facts.decisions.iter().any(|line| line.sentence == full));
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    assert_eq!(w.shared.admission.live(route().0, route().1), 0);
    w.settlement();
    w.check_empty();
}

#[test]
fn an_attempt_that_failed_leaves_its_route() {
    let mut rows = rows();
    rows.routes[0].limits = Limits { concurrent: Some(1), per_second: None };
    let mut w = World::with(rows);
    w.call(CLD);
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &invite, "503 Service Unavailable", "");
    assert_eq!(w.shared.admission.live(Owner::Route(RouteId(101)), Direction::Egress), 0);
    w.expect_soon(CARRIERS[1], "INVITE");
}

#[test]
fn a_prefix_that_is_full_refuses_the_call_whichever_trunk_has_room() {
    let limits = Limits { concurrent: None, per_second: Some(1) };
    let rows = rows();
    let directory = rows.build().change();
    let directory = directory.route_prefixes(vec![prefix(RoutePolicy::Priority, limits)]);
    let mut w = World::with(rows);
    w.input(switch::Input::Directory(directory.build().unwrap().into()));
    w.call(CLD);
    w.asked();
    second_call(&mut w);
    w.expect_soon(CUSTOMER, "SIP/2.0 503");
    let settled = w.settlement();
    assert!(codes(&settled).contains(&"prefix_cps_exceeded"));
    // A second later there is room; another prefix was never full.
    w.pass_secs(1);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c3", CLD, 1, ""));
    w.asked();
}

fn causes(heard: &[(&str, &str)], told: &[(&str, &str)]) -> CauseMap {
    let code = |text: &str| text.parse::<Code>().expect("a code");
    let rows =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(from, to)| (code(from), code(to))).collect();
    CauseMap { heard: rows(heard), told: rows(told) }
}

#[test]
fn what_a_trunk_answers_means_what_its_table_says() {
    // S6: this carrier says 503 when the callee is busy; the CDR keeps what it said.
    let mut rows = rows();
    rows.trunk(1).causes = causes(&[("503", "486")], &[]);
    let mut w = World::with(rows);
    w.call(CLD);
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &invite, "503 Service Unavailable", "");
    w.expect_soon(CUSTOMER, "SIP/2.0 486");
    w.expect_nothing(CARRIERS[1]);
    let settled = w.settlement();
    assert_eq!(outcomes(&settled), [("busy", 486), ("congestion", 503)]);
    let line = settled.facts.decisions.iter().find(|line| line.code == "cause_heard").unwrap();
    assert_eq!(line.sentence, "Attempt 1 ended with 503, which from this trunk means busy.");
    w.check_empty();
}

#[test]
fn a_q850_value_of_a_trunk_outranks_its_status() {
    let mut rows = rows();
    rows.trunk(1).causes = causes(&[("486", "404"), ("Q17", "Q34")], &[]);
    let mut w = World::with(rows);
    w.call(CLD);
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &invite, "486 Busy Here", "Reason: Q.850;cause=17\n");
    // No circuit: another carrier may have one.
    w.expect_soon(CARRIERS[1], "INVITE");
}

#[test]
fn a_trunks_own_stop_code_comes_before_what_the_code_means() {
    let mut rows = rows();
    rows.trunk(1).causes = causes(&[("503", "404")], &[]);
    rows.trunk(1).codes.stop = vec![503];
    let mut w = World::with(rows);
    w.call(CLD);
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &invite, "503 Service Unavailable", "");
    w.expect_nothing(CARRIERS[1]);
    w.expect_soon(CUSTOMER, "SIP/2.0 404");
}

#[test]
fn a_customers_trunk_is_told_what_its_table_says() {
    let mut rows = rows();
    rows.trunk(CUSTOMER_TRUNK.0).causes = causes(&[], &[("404", "503"), ("Q17", "Q34")]);
    let mut w = World::with(rows);
    w.call("33123");
    let refused = w.expect_soon(CUSTOMER, "SIP/2.0 503");
    let reason = header(&refused, sip::message::HeaderName::Reason);
    assert!(reason.starts_with("Q.850;cause=3;"), "the real cause stays: {reason}");
    let settled = w.settlement();
    assert_eq!(outcomes(&settled), [("no_route", 503)]);
    assert!(codes(&settled).contains(&"cause_told"));

    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", CLD, 1, ""));
    w.grant(60, false);
    let sent = w.expect_soon(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &sent, "486 Busy Here", "");
    let refused = w.expect_soon(CUSTOMER, "SIP/2.0 503");
    assert_eq!(header(&refused, sip::message::HeaderName::Reason), "Q.850;cause=34");
    let settled = w.settlement();
    assert_eq!(outcomes(&settled), [("busy", 503), ("busy", 486)]);
    w.check_empty();
}

/// Carrier 1 also sends us calls.
fn both_ways() -> Rows {
    let mut rows = rows();
    rows.trunk(1).ingress.networks.push("10.1.0.1".parse().expect("an address"));
    rows
}

#[test]
fn a_call_that_its_carrier_sends_back_is_refused_and_goes_to_another() {
    let mut w = World::with(both_ways());
    w.call(CLD);
    w.grant(60, false);
    let sent = w.expect(CARRIERS[0], "INVITE");
    // As a switch that writes a dialog of its own sends it: nothing of ours is left but the numbers.
    w.receive(CARRIERS[0], &invite(CARRIERS[0], "other", CLD, 1, ""));
    w.expect_soon(CARRIERS[0], "SIP/2.0 482");
    let settled = w.settlement();
    assert!(codes(&settled).contains(&"loop_sent_back"), "{:?}", codes(&settled));
    w.reply(CARRIERS[0], &sent, "482 Loop Detected", "");
    w.expect_soon(CARRIERS[1], "INVITE");
    // Now it is not on its way there any more.
    w.receive(CARRIERS[0], &invite(CARRIERS[0], "later", CLD, 1, ""));
    w.asked();
}

#[test]
fn a_call_between_the_same_numbers_is_no_loop_once_the_first_is_answered() {
    let mut w = World::with(both_ways());
    let (_, _, answer) = w.talk(3600, true);
    w.receive(CARRIERS[0], &invite(CARRIERS[0], "other", CLD, 1, ""));
    w.asked();
    w.receive(CARRIERS[0], &cancel(CARRIERS[0], "other", CLD, 1));
    w.receive(CUSTOMER, &in_dialog(CUSTOMER, "c1", &answer, "BYE", 2));
    w.check_empty();
}

#[test]
fn many_calls_between_the_same_numbers_that_nobody_answers_are_a_loop() {
    let mut rows = rows();
    rows.settings.same_calls_max = Some(2);
    let mut w = World::with(rows);
    for call in ["c1", "c2"] {
        w.receive(CUSTOMER, &invite(CUSTOMER, call, CLD, 1, ""));
        w.grant(60, false);
    }
    w.receive(CUSTOMER, &invite(CUSTOMER, "c3", CLD, 1, ""));
    w.expect_soon(CUSTOMER, "SIP/2.0 482");
    let settled = w.settlement();
    assert!(codes(&settled).contains(&"loop_repeated"));
    // Other numbers, and those whose caller gave up, do not count.
    w.receive(CUSTOMER, &invite(CUSTOMER, "c4", "4930123457", 1, ""));
    w.asked();
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", CLD, 1));
    w.receive(CUSTOMER, &invite(CUSTOMER, "c5", CLD, 1, ""));
    w.asked();
}

#[test]
fn a_snapshot_without_a_trunk_has_none_of_its_routes() {
    let mut builder: DirectoryBuilder = rows().build().change();
    builder = builder.without_trunk(TrunkId(1));
    let directory = builder.build().unwrap();
    assert!(directory.route(&number(CLD), TrunkId(1)).is_none());
    let row = RouteRow::new("49", TrunkId(2), 1);
    assert_eq!(
        directory.route(&number(CLD), TrunkId(2)).map(|found| found.weight),
        Some(row.weight)
    );
}
