//! T7: a call asks where its number is served before billing is asked, waits no longer than the lookup
//! may take, and knows whether it leaves its state.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod support;

use std::time::Duration;

use sip::message::HeaderName;
use support::*;
use switch::decision::Decision;
use switch::jurisdiction::JurisdictionRow;
use switch::lookup::{Lookup, LookupId, LookupKind, OnFailure, SipLookup};
use switch::registrar::Bindings;
use switch::routing::{Question as Thought, Simulation, simulate};
use switch::{Answer, Effect, Input, QueryId, Question};
use vocabulary::{Jurisdiction, Location, Number, Utc};

const CLD: &str = "4930123456";
const TIMEOUT: Duration = Duration::from_millis(300);

fn number(text: &str) -> Number {
    text.parse().unwrap()
}

fn lookup(prefix: &str, on_failure: OnFailure) -> Lookup {
    Lookup {
        id: LookupId(7),
        name: "dip".into(),
        asks: LookupKind::Sip(SipLookup { host: "lrn.example".into(), port: 5060 }),
        timeout: TIMEOUT,
        ttl: Duration::from_secs(60),
        on_failure,
        prefixes: [prefix.into()].into(),
    }
}

/// The caller is in Munich, the called number in Berlin.
fn states() -> Vec<JurisdictionRow> {
    [("49", None), ("4930", Some("BE")), ("4989", Some("BY"))]
        .map(|(prefix, state)| JurisdictionRow {
            prefix: prefix.into(),
            state: state.map(Box::from),
            lata: None,
        })
        .into()
}

fn rows(on_failure: OnFailure) -> Rows {
    Rows { lookups: vec![lookup("49", on_failure)], jurisdictions: states(), ..Rows::default() }
}

fn calls(w: &mut World, cld: &str) {
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", cld, 1, ""));
}

fn question(w: &mut World) -> Option<(QueryId, Question)> {
    let place = w.effects.iter().position(|effect| matches!(effect, Effect::Ask { .. }))?;
    match w.effects.remove(place) {
        Some(Effect::Ask { query, question }) => Some((query, question)),
        _ => None,
    }
}

fn told(w: &mut World, query: QueryId, answer: Answer) {
    w.input(Input::Told { query, answer });
}

fn located(lrn: Option<&str>, jurisdiction: Option<Jurisdiction>) -> Location {
    Location { lrn: lrn.map(number), jurisdiction }
}

/// Gives up; what its record says of where it went.
fn given_up(w: &mut World) -> Vec<&'static str> {
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", CLD, 1));
    codes(&w.settlement())
}

#[test]
fn billing_is_told_where_a_ported_number_is_served() {
    let mut w = World::with(rows(OnFailure::Ignore));
    calls(&mut w, CLD);
    let (query, asked) = question(&mut w).unwrap();
    let Question::Dip(dip) = &asked else { panic!("{asked:?}") };
    assert_eq!((dip.number, dip.lookup.id, asked.limit()), (number(CLD), LookupId(7), TIMEOUT));
    assert!(!w.effects.iter().any(|effect| matches!(effect, Effect::Authorize(_))));
    told(&mut w, query, Answer::Dipped(Some(number("4989555"))));
    let request = w.asked();
    // Served in the caller's state.
    let location = located(Some("4989555"), Some(Jurisdiction::Intra));
    assert_eq!((request.cld, request.location), (number(CLD), location));
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", CLD, 1));
    let settled = w.settlement();
    assert_eq!((settled.facts.cld, settled.facts.location), (Some(number(CLD)), location));
    let said: Vec<&str> = settled.facts.decisions.iter().map(|d| d.sentence.as_str()).collect();
    let expected = "Lookup 7 says that the called number is ported and served at 4989555.";
    assert!(said.contains(&expected), "{said:?}");
    assert!(said.contains(&"The call goes from BY to BY: it is intra."), "{said:?}");
}

#[test]
fn a_number_that_is_not_ported_is_where_it_was_given_out() {
    let mut w = World::with(rows(OnFailure::Ignore));
    calls(&mut w, CLD);
    let (query, _) = question(&mut w).unwrap();
    told(&mut w, query, Answer::Dipped(None));
    assert_eq!(w.asked().location, located(None, Some(Jurisdiction::Inter)));
    let said = given_up(&mut w);
    assert!(said.contains(&"number_dipped") && said.contains(&"jurisdiction_found"), "{said:?}");
}

#[test]
fn a_lookup_delays_a_call_by_its_time_at_most() {
    let mut w = World::with(rows(OnFailure::Ignore));
    calls(&mut w, CLD);
    let (query, _) = question(&mut w).unwrap();
    w.pass(TIMEOUT);
    assert_eq!(w.asked().location, located(None, Some(Jurisdiction::Inter)));
    // Too late: it changes nothing.
    told(&mut w, query, Answer::Dipped(Some(number("4989555"))));
    assert!(question(&mut w).is_none());
    assert!(given_up(&mut w).contains(&"lookup_unanswered"));
}

#[test]
fn a_call_without_an_answer_may_be_refused() {
    let mut w = World::with(rows(OnFailure::Refuse));
    calls(&mut w, CLD);
    let (query, _) = question(&mut w).unwrap();
    told(&mut w, query, Answer::Nothing);
    w.expect_soon(CUSTOMER, "SIP/2.0 500");
    let settled = w.settlement();
    assert_eq!(codes(&settled).last(), Some(&"lookup_failed"));
    w.check_empty();
}

#[test]
fn nobody_is_asked_about_numbers_that_no_lookup_is_for() {
    // Another prefix, and a subscriber of ours.
    let other = Rows { lookups: vec![lookup("4989", OnFailure::Ignore)], ..Rows::default() };
    let mut w = World::with(other);
    calls(&mut w, CLD);
    assert!(question(&mut w).is_none());
    assert_eq!(w.asked().location, Location::default());
    let mut w = World::with(rows(OnFailure::Ignore));
    w.bob_at(&PHONES);
    calls(&mut w, "4930555");
    assert!(question(&mut w).is_none());
    assert_eq!(w.asked().location, Location::default());
}

/// The INVITE says of its number what RFC 4694 has.
#[track_caller]
fn check_said(parameters: &str, is_believed: bool, asks: bool, expected: Location) {
    let mut rows = rows(OnFailure::Ignore);
    // Who calls is another matter: it may say that, and not what the call costs.
    rows.trunk(CUSTOMER_TRUNK.0).is_trusted = !is_believed;
    rows.trunk(CUSTOMER_TRUNK.0).believes_lrn = is_believed;
    let mut w = World::with(rows);
    calls(&mut w, &format!("+{CLD}{parameters}"));
    let asked = question(&mut w);
    assert_eq!(asked.is_some(), asks, "{parameters}");
    if let Some((query, _)) = asked {
        told(&mut w, query, Answer::Nothing);
    }
    assert_eq!(w.asked().location, expected, "{parameters}");
}

#[test]
fn what_a_trunk_says_that_is_believed_is_not_asked_again() {
    let inter = located(None, Some(Jurisdiction::Inter));
    let lrn = located(Some("4989555"), Some(Jurisdiction::Intra));
    check_said(";npdi;rn=+4989555", true, false, lrn);
    check_said(";npdi;rn=89555;rn-context=+49", true, false, lrn);
    check_said(";npdi;rn=4989555", true, false, lrn);
    check_said(";npdi", true, false, inter);
    check_said(";npdi;rn=+4989555", false, true, inter);
    check_said(";npdi;rn=nobody", true, true, inter);
    check_said("", true, true, inter);
}

#[test]
fn a_routing_number_of_no_country_is_not_believed_and_the_record_says_so() {
    let inter = located(None, Some(Jurisdiction::Inter));
    check_said(";npdi;rn=89555", true, true, inter);
    let mut rows = rows(OnFailure::Ignore);
    rows.trunk(CUSTOMER_TRUNK.0).believes_lrn = true;
    let mut w = World::with(rows);
    calls(&mut w, &format!("+{CLD};npdi;rn=2025550000"));
    let (query, _) = question(&mut w).unwrap();
    told(&mut w, query, Answer::Dipped(None));
    assert_eq!(w.asked().location, inter);
    let said = given_up(&mut w);
    assert_eq!(said.iter().filter(|code| **code == "lrn_unclear").count(), 1, "{said:?}");
}

/// The Request-URI that a carrier gets.
fn sent(sends_lrn: bool, answer: Answer) -> String {
    let mut rows = rows(OnFailure::Ignore);
    rows.trunk(1).sends_lrn = sends_lrn;
    let mut w = World::with(rows);
    calls(&mut w, CLD);
    let (query, _) = question(&mut w).unwrap();
    told(&mut w, query, answer);
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    assert!(!header(&invite, HeaderName::To).contains("npdi"));
    String::from_utf8_lossy(invite.request_uri()).into_owned()
}

#[test]
fn a_carrier_is_told_where_the_number_is_served_if_it_wants_that() {
    let ported = || Answer::Dipped(Some(number("4989555")));
    let plain = sent(false, ported());
    assert!(!plain.contains(';'), "{plain}");
    let (user, host) = plain.split_once('@').unwrap();
    assert_eq!(sent(true, ported()), format!("{user};npdi;rn=+4989555@{host}"));
    assert_eq!(sent(true, Answer::Dipped(None)), format!("{user};npdi@{host}"));
    assert_eq!(sent(true, Answer::Nothing), plain);
}

fn thought(assumed: Location) -> (Simulation, Vec<&'static str>) {
    let (rows, at) = (rows(OnFailure::Ignore), Utc(7));
    let question = Thought { from: "customer", account: None, to: CLD, at, now: at };
    let directory = rows.build();
    let untested = Untested::default();
    let simulation = simulate(&directory, &Bindings::default(), untested.trunks(), &question);
    let simulation = simulation.assuming(&directory, assumed);
    let codes = simulation.decisions.iter().map(Decision::code);
    let of_location = ["number_would_be_dipped", "lrn_assumed", "jurisdiction_assumed"];
    let codes = codes.filter(|code| of_location.contains(code)).collect();
    (simulation, codes)
}

#[test]
fn a_simulated_call_goes_where_it_is_told() {
    let (simulation, codes) = thought(Location::default());
    assert_eq!(codes, ["number_would_be_dipped"]);
    // Nobody knows the caller's number of a trunk.
    let location = located(None, Some(Jurisdiction::Undetermined));
    assert_eq!(simulation.authorize.unwrap().location, location);
    let assumed = located(Some("4989555"), Some(Jurisdiction::Intra));
    let (simulation, codes) = thought(assumed);
    assert_eq!(codes, ["lrn_assumed", "jurisdiction_assumed"]);
    assert_eq!(simulation.authorize.unwrap().location, assumed);
}
