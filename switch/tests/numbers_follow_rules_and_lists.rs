//! Number rules at the edges (T8, A-19, P-022, P-604) and lists (T9): for a call, for `simulate` and
//! for a number that is only tried.
#![allow(clippy::unwrap_used)] // a test may

mod support;

use std::sync::Arc;

use sip::message::HeaderName;
use support::*;
use switch::decision::Decision;
use switch::directory::Directory;
use switch::numbers::{
    Called, ListEffect, ListId, ListKind, ListUse, NumberList, NumberOwner, NumberPolicy,
    NumberRule, RuleId, Subject, Then, Trial, TrialEnd, called, try_out,
};
use switch::registrar::Bindings;
use switch::routing::{BareNumber, NumberPlan, Question, Rewrite, Simulation, Source, simulate};
use vocabulary::{Direction, SettleRequest, SubscriberId, TrunkId, Utc};

use Direction::{Egress, Ingress};
use Subject::{Cld, Cli};

fn rule(id: u64, matches: &str, strip: u8, prepend: &str, then: Then) -> NumberRule {
    NumberRule::new(RuleId(id), matches.parse().unwrap(), strip, prepend, then)
}

fn rules(
    direction: Direction,
    subject: Subject,
    rules: impl IntoIterator<Item = NumberRule>,
) -> Option<Arc<NumberPolicy>> {
    let mut policy = NumberPolicy::default();
    rules.into_iter().for_each(|rule| policy.add_rule(direction, subject, rule));
    Some(Arc::new(policy))
}

// T8, A-19: what is written becomes E.164.

/// Peers who write numbers in their own ways, all trunks of the customer.
fn peers() -> Rows {
    let mut rows = Rows::default();
    let pbx = NumberPlan {
        country: "49".into(),
        national: "0".into(),
        bare: BareNumber::National,
        ..NumberPlan::default()
    };
    let american = NumberPlan {
        country: "1".into(),
        international: "011".into(),
        national: "1".into(),
        bare: BareNumber::National,
        ..NumberPlan::default()
    };
    let tech = NumberPlan { tech_prefix: "7700#".into(), ..pbx.clone() };
    let rewriting = NumberPlan {
        rewrites: vec![Rewrite { matches: "0800".into(), strip: 1, prepend: "49".into() }],
        ..pbx.clone()
    };
    let short = |id, matches: &str| rule(id, matches, 0, "", Then::AsIs);
    let extension = NumberRule { lengths: (2, 3), ..rule(4, "[1-8]X!", 0, "4930555", Then::AsIs) };
    let roaming = [rule(1, "8850.", 4, "", Then::Plan), rule(2, "X.", 0, "", Then::Reject)];
    for (id, name, plan, its) in [
        (50, "plain", NumberPlan::default(), vec![]),
        (
            51,
            "pbx",
            pbx.clone(),
            vec![
                rule(1, "9.", 1, "", Then::Next),
                short(2, "11[02]"),
                rule(3, "*21*X.", 4, "", Then::Plan),
                extension,
                rule(5, "010ZX.", 5, "0", Then::Plan),
            ],
        ),
        (
            52,
            "american",
            american,
            vec![
                rule(1, "[49]11", 0, "", Then::Next),
                rule(2, "411", 3, "+12055576061", Then::AsIs),
                short(3, "911"),
                rule(4, "NXXXXXX", 0, "205", Then::Plan),
                rule(5, "1900.", 0, "", Then::Reject),
                rule(6, "+1900.", 0, "", Then::Reject),
            ],
        ),
        (53, "tech", tech, vec![]),
        (54, "rewriting", rewriting, vec![rule(1, "116117", 0, "", Then::AsIs)]),
        (55, "roaming", pbx, roaming.to_vec()),
    ] {
        let mut trunk = switch::directory::TrunkRow::new(TrunkId(id), name, CUSTOMER_ACCOUNT);
        trunk.host = format!("10.9.0.{id}");
        trunk.ingress_plan = plan;
        trunk.numbers = if its.is_empty() { None } else { rules(Ingress, Cld, its) };
        rows.trunks.push(trunk);
    }
    rows
}

/// What each peer writes, and which number or refusal comes of it.
const FORMS: &[(&str, &str, &str)] = &[
    // Bare E.164, as carriers write.
    ("plain", "4930123456", "4930123456"),
    ("plain", "+4930123456", "4930123456"),
    ("plain", "004930123456", "4930123456"),
    ("plain", "+49-30.123 (456)", "4930123456"),
    ("plain", "0301", "0301"),
    ("plain", "*100#", "*100#"),
    ("plain", "+", "invalid_number"),
    ("plain", "00", "invalid_number"),
    ("plain", "49x30", "unknown_name"),
    ("plain", "49+30", "invalid_number"),
    ("plain", "bob", "subscriber"),
    ("plain", "nobody", "unknown_name"),
    // A PBX: outside line, emergency and service numbers, extensions, call by call.
    ("pbx", "030123456", "4930123456"),
    ("pbx", "9030123456", "4930123456"),
    ("pbx", "9004420123", "4420123"),
    ("pbx", "004420123", "4420123"),
    ("pbx", "+4420123", "4420123"),
    ("pbx", "30123456", "4930123456"),
    ("pbx", "110", "110"),
    ("pbx", "112", "112"),
    ("pbx", "9112", "112"),
    ("pbx", "113", "4930555113"),
    ("pbx", "23", "493055523"),
    ("pbx", "123", "4930555123"),
    ("pbx", "923", "493055523"),
    ("pbx", "1234", "491234"),
    ("pbx", "*21*0301", "49301"),
    ("pbx", "*21*", "*21*"),
    ("pbx", "*100#", "*100#"),
    ("pbx", "#31#", "#31#"),
    ("pbx", "0101930123", "4930123"),
    ("pbx", "9", "499"),
    ("pbx", "bob", "subscriber"),
    ("pbx", "", "invalid_number"),
    // North America: 7, 10 and 11 digits, 011, N11 codes, premium.
    ("american", "5550100", "12055550100"),
    ("american", "2125550100", "12125550100"),
    ("american", "12125550100", "12125550100"),
    ("american", "+12125550100", "12125550100"),
    ("american", "(212) 555-0100", "12125550100"),
    ("american", "0114930123", "4930123"),
    ("american", "+4930123", "4930123"),
    ("american", "411", "12055576061"),
    ("american", "4-1-1", "12055576061"),
    ("american", "911", "911"),
    ("american", "19005550100", "number_rejected"),
    ("american", "+19005550100", "number_rejected"),
    ("american", "1900", "1900"),
    ("american", "011", "invalid_number"),
    ("american", "1555010", "1555010"),
    // A technical prefix, before and behind the plus.
    ("tech", "7700#030123", "4930123"),
    ("tech", "7700#+4420123", "4420123"),
    ("tech", "+7700#4420123", "4420123"),
    ("tech", "7700#004420123", "4420123"),
    ("tech", "7700#", "invalid_number"),
    ("tech", "030123", "invalid_number"),
    ("tech", "7701#030123", "invalid_number"),
    // The plan's own rewrites.
    ("rewriting", "0800123", "49800123"),
    ("rewriting", "030123", "4930123"),
    ("rewriting", "116117", "116117"),
    // A roaming partner: prefix and number, nothing else.
    ("roaming", "8850030123", "4930123"),
    ("roaming", "8850+4420", "invalid_number"),
    ("roaming", "88504930555", "494930555"),
    ("roaming", "8850", "number_rejected"),
    ("roaming", "030123", "number_rejected"),
    ("roaming", "+4930123", "4930123"),
    ("roaming", "bob", "subscriber"),
];

#[test]
fn what_is_written_becomes_e164() {
    let directory = peers().build();
    assert!(FORMS.len() >= 60);
    for (peer, written, expected) in FORMS {
        let id = directory.trunk_by_name(peer).unwrap().id;
        let mut decisions = Vec::new();
        let found =
            called(&directory, Some(Source::Trunk(id)), CUSTOMER_ACCOUNT, written, &mut decisions);
        let found = match &found {
            Ok(Called::Number(number)) => number.as_str(),
            Ok(Called::Subscriber(_)) => "subscriber",
            Err(refusal) => Decision::Refused(refusal.clone()).code(),
        };
        assert_eq!(found, *expected, "{peer} writes {written}: {decisions:?}");
        // A number that is only tried is never a name.
        if written.bytes().any(|byte| byte.is_ascii_alphabetic()) {
            continue;
        }
        let tried = try_out(&directory, NumberOwner::Trunk(id), Ingress, Cld, written).unwrap();
        let tried = match &tried.end {
            TrialEnd::Number(number, None) => number.as_str(),
            TrialEnd::Rejected(_) => "number_rejected",
            TrialEnd::NoNumber(_) => "invalid_number",
            other => panic!("{other:?}"),
        };
        assert_eq!(tried, *expected, "{peer} writes {written}");
    }
}

#[test]
fn a_trial_shows_each_step() {
    let mut rows = peers();
    rows.account(CUSTOMER_ACCOUNT).numbers =
        rules(Ingress, Cld, [rule(70, "0!", 1, "", Then::Next)]);
    rows.numbers_of_all.add_rule(Ingress, Cld, rule(71, "20.", 2, "0049", Then::Plan));
    let directory = rows.build();
    let pbx = NumberOwner::Trunk(TrunkId(51));
    let Trial { steps, by_plan, end } = try_out(&directory, pbx, Ingress, Cld, "9020301").unwrap();
    let steps: Vec<_> =
        steps.iter().map(|s| (s.rule.0, s.owner, &*s.matches, &*s.becomes)).collect();
    let account = NumberOwner::Account(CUSTOMER_ACCOUNT);
    let expected = [
        (1, pbx, "9.", "020301"),
        (70, account, "0!", "20301"),
        (71, NumberOwner::Switch, "20.", "0049301"),
    ];
    assert_eq!(steps, expected);
    assert_eq!((by_plan, end), (true, TrialEnd::Number(number("49301"), None)));
    let nobody = NumberOwner::Trunk(TrunkId(99));
    assert_eq!(try_out(&directory, nobody, Ingress, Cld, "1"), None);
}

// For a real call.

fn thought(directory: &Directory, from: &str, to: &str) -> Simulation {
    let question = Question { from, account: None, to, at: Utc(7), now: Utc(7) };
    simulate(directory, &Bindings::default(), Untested::default().trunks(), &question)
}

fn settled(w: &mut World, cld: &str) -> SettleRequest {
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", cld, 1));
    w.settlement()
}

fn sentence<'a>(settled: &'a SettleRequest, code: &str) -> &'a str {
    let found = settled.facts.decisions.iter().find(|line| line.code == code);
    &found.unwrap_or_else(|| panic!("no {code}: {:?}", settled.facts.decisions)).sentence
}

/// P-022: the service code is in the record as it was dialled, and the number that it stands for.
#[test]
fn a_service_code_is_priced_as_its_number() {
    let mut rows = Rows::default();
    rows.numbers_of_all.add_rule(Ingress, Cld, rule(7, "411", 3, "+4930123456", Then::AsIs));
    let directory = rows.build();
    let mut w = World::with(rows);
    w.call("411");
    let request = w.asked();
    assert_eq!(request.cld, number("4930123456"));
    let thought = thought(&directory, "alice", "411");
    assert_eq!(thought.authorize.unwrap().cld, request.cld);
    let settled = settled(&mut w, "411");
    assert_eq!(codes(&settled)[1..3], ["number_rules_matched", "number_translated"]);
    assert_eq!(
        sentence(&settled, "number_rules_matched"),
        "The called number 411 becomes +4930123456 by number rule 7."
    );
    assert_eq!(settled.facts.cld, Some(number("4930123456")));
    assert_eq!(settled.facts.legs[0].cld, "411");
    let thought: Vec<_> = thought.decisions.iter().map(Decision::code).collect();
    assert_eq!(thought[..2], ["number_rules_matched", "number_translated"]);
}

/// P-604: roaming prefix and number ring the phone that is registered here.
#[test]
fn a_roaming_prefix_leads_to_the_phone() {
    for (dialled, rings) in [("88504930555", "4930555"), ("8850777", "777")] {
        let mut rows = Rows::default();
        rows.trunk(10).numbers = rules(Ingress, Cld, [rule(1, "8850.", 4, "", Then::Plan)]);
        // Apps register by their number.
        rows.subscribers.push(subscriber(30, "777", secret("777", "secret")));
        let mut w = World::with(rows);
        w.bob_at(&PHONES[..1]);
        w.is_at(SubscriberId(30), "777", &PHONES[..1]);
        w.call(dialled);
        w.grant(60, false);
        let user = if rings == "777" { "777" } else { "bob" };
        w.expect(PHONES[0], &format!("INVITE sip:{user}@"));
        w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", dialled, 1));
    }
}

#[test]
fn the_callers_number_has_rules_of_its_own() {
    let mut rows = Rows::default();
    let pool = [rule(3, "4989777", 7, "+4930999", Then::AsIs)];
    rows.trunk(10).numbers = rules(Ingress, Cli, pool);
    let mut w = World::with(rows);
    w.call("4930123456");
    assert_eq!(w.asked().cli, Some(number("4930999")));
    let settled = settled(&mut w, "4930123456");
    assert_eq!(
        sentence(&settled, "caller_rules_matched"),
        "The caller's number 4989777 becomes +4930999 by number rule 3."
    );
    assert_eq!(settled.facts.legs[0].cli, "4989777");
    assert_eq!(settled.facts.cli, Some(number("4930999")));
}

#[test]
fn an_asserted_number_has_them_too() {
    let mut rows = Rows::default();
    rows.trunk(10).is_trusted = true;
    let extensions = [rule(3, "1XX", 0, "+4930555", Then::Plan)];
    rows.trunk(10).numbers = rules(Ingress, Cli, extensions);
    let mut w = World::with(rows);
    let asserted = "P-Asserted-Identity: <sip:101@10.0.0.1>\n";
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", "4930123456", 1, asserted));
    assert_eq!(w.asked().cli, Some(number("4930555101")));
}

/// The record of a call that is sent on is its forwarder's.
#[test]
fn a_withheld_number_is_in_no_reason_of_what_is_sent() {
    let mut rows = Rows::default();
    let of_carrier = rules(Egress, Cli, [rule(5, "4989.", 2, "43", Then::Plan)]);
    rows.trunk(1).numbers = of_carrier;
    let mut w = World::with(rows);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", "4930123456", 1, "Privacy: id\n"));
    w.grant(60, false);
    w.expect(CARRIERS[0], "INVITE");
    let settled = settled(&mut w, "4930123456");
    assert!(!codes(&settled).contains(&"caller_sent_by_rules"), "{:?}", settled.facts.decisions);
}

/// out, for a trunk and its account; the plan's form comes after a rule that does not end it.
#[test]
fn a_trunk_is_sent_what_its_rules_say() {
    let mut rows = Rows::default();
    rows.trunk(1).egress_plan.form = switch::routing::EgressForm::Plus;
    rows.trunk(1).numbers = rules(Egress, Cld, [rule(4, "4930.", 2, "0", Then::AsIs)]);
    let of_carrier = rules(Egress, Cli, [rule(5, "4989.", 2, "43", Then::Plan)]);
    rows.account(CARRIER_ACCOUNT).numbers = of_carrier;
    let mut w = World::with(rows);
    w.call("4930123456");
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE sip:030123456@");
    assert!(header(&invite, HeaderName::From).contains("<sip:+4389777@"), "{invite:?}");
    w.reply(CARRIERS[0], &invite, "503 Service Unavailable", "");
    let invite = w.expect_soon(CARRIERS[1], "INVITE sip:4930123456@");
    assert!(header(&invite, HeaderName::From).contains("<sip:4389777@"), "{invite:?}");
    let settled = settled(&mut w, "4930123456");
    assert_eq!(
        sentence(&settled, "number_sent_by_rules"),
        "The called number is 030123456 for trunk 1, by number rule 4."
    );
    assert_eq!(
        sentence(&settled, "caller_sent_by_rules"),
        "The caller's number is +4389777 for trunk 1, by number rule 5."
    );
    assert_eq!(settled.facts.legs[1].cld, "030123456");
    assert_eq!(settled.facts.legs[1].cli, "+4389777");
}

#[test]
fn a_phone_is_shown_what_its_rules_say() {
    let mut rows = Rows::default();
    let shown = rules(Egress, Cli, [rule(6, "49.", 2, "0", Then::AsIs)]);
    rows.subscribers[1].numbers = shown;
    let mut w = World::with(rows);
    w.bob_at(&PHONES[..1]);
    w.call("4930555");
    w.grant(60, false);
    let invite = w.expect(PHONES[0], "INVITE");
    assert!(header(&invite, HeaderName::From).contains("<sip:089777@"), "{invite:?}");
    let settled = settled(&mut w, "4930555");
    assert_eq!(
        sentence(&settled, "caller_sent_by_rules"),
        "The caller's number is 089777 for subscriber 21, by number rule 6."
    );
}

#[test]
fn a_trunk_whose_rule_rejects_the_number_is_left_out() {
    let mut rows = Rows::default();
    rows.trunk(1).numbers = rules(Egress, Cld, [rule(8, "4930!", 0, "", Then::Reject)]);
    let mut w = World::with(rows);
    w.call("4930123456");
    w.grant(60, false);
    w.expect_nothing(CARRIERS[0]);
    w.expect(CARRIERS[1], "INVITE");
    let settled = settled(&mut w, "4930123456");
    assert_eq!(
        sentence(&settled, "trunk_skipped_by_rule"),
        "Trunk 1 was left out: number rule 8 rejects the number."
    );
}

// T9: lists.

fn list(id: u64, kind: ListKind, lines: &[&str]) -> NumberList {
    let numbers = lines.iter().map(|line| line.parse().unwrap()).collect();
    NumberList { id: ListId(id), name: format!("list{id}"), kind, numbers }
}

type Use = (NumberOwner, u64, Subject, ListEffect);

const TRUNK: NumberOwner = NumberOwner::Trunk(CUSTOMER_TRUNK);
const ACCOUNT: NumberOwner = NumberOwner::Account(CUSTOMER_ACCOUNT);
const ALL: NumberOwner = NumberOwner::Switch;

/// 1 is Germany, 2 Berlin, 3 one number there, 4 numbers that never call, 5 premium, 6 nobody's.
fn listed(uses: &[Use]) -> Rows {
    let lists = vec![
        list(1, ListKind::Plain, &["49"]),
        list(2, ListKind::Plain, &["4930", "4433"]),
        list(3, ListKind::Plain, &["=4930123456"]),
        list(4, ListKind::DoNotOriginate, &["=4989777"]),
        list(5, ListKind::Premium, &["49900", "4930123"]),
        list(6, ListKind::Invalid, &["49301"]),
    ];
    let mut rows = Rows { lists, ..Rows::default() };
    let (mut trunk, mut account) = (NumberPolicy::default(), NumberPolicy::default());
    for (owner, list, subject, effect) in uses {
        let policy = match owner {
            NumberOwner::Trunk(_) => &mut trunk,
            NumberOwner::Account(_) => &mut account,
            _ => &mut rows.numbers_of_all,
        };
        policy.add_use(ListUse { list: ListId(*list), subject: *subject, effect: *effect });
    }
    rows.trunk(10).numbers = Some(Arc::new(trunk)).filter(|policy| !policy.is_empty());
    let account = Some(Arc::new(account)).filter(|policy| !policy.is_empty());
    rows.account(CUSTOMER_ACCOUNT).numbers = account;
    rows
}

/// The customer, 4989777, calls 4930123456.
#[track_caller]
fn check(uses: &[Use], expected: Result<Option<&str>, (u16, &str)>) {
    let directory = listed(uses).build();
    let mut w = World::with(listed(uses));
    w.call("4930123456");
    let thought = thought(&directory, "customer", "4930123456");
    match expected {
        Ok(allowed) => {
            w.asked();
            let settled = settled(&mut w, "4930123456");
            let found = codes(&settled).into_iter().find(|code| code.ends_with("_allowed"));
            assert_eq!(found, allowed, "{uses:?}");
        }
        Err((status, code)) => {
            w.expect_soon(CUSTOMER, &format!("SIP/2.0 {status}"));
            let settled = w.settlement();
            assert_eq!(codes(&settled).last(), Some(&code), "{uses:?}");
            assert_eq!(settled.facts.cld, Some(number("4930123456")));
            w.check_empty();
            // Simulated, a trunk calls with no number of its own.
            if uses.iter().all(|(_, _, subject, _)| *subject == Cld) {
                let refusal = thought.outcome.unwrap_err();
                assert_eq!(
                    (refusal.sip_status(), Decision::Refused(refusal).code()),
                    (status, code)
                );
            }
        }
    }
}

#[test]
fn lists_block_allow_and_fence() {
    use ListEffect::{Allow, AllowOnly, Block};
    let passes = Ok(None);
    let allowed = Ok(Some("number_allowed"));
    let blocked = Err((403, "number_blocked"));
    check(&[], passes);
    // One list.
    for owner in [TRUNK, ACCOUNT, ALL] {
        check(&[(owner, 1, Cld, Block)], blocked);
        check(&[(owner, 3, Cld, Block)], blocked);
        check(&[(owner, 1, Cld, AllowOnly)], passes);
        check(&[(owner, 4, Cld, AllowOnly)], Err((403, "number_not_allowed")));
        check(&[(owner, 1, Cld, Allow)], allowed);
    }
    check(&[(ALL, 5, Cld, Block)], Err((403, "premium_blocked")));
    check(&[(ALL, 6, Cld, Block)], Err((404, "number_not_in_use")));
    // Of one owner's lists the closest line decides; of two alike the one that blocks.
    check(&[(ALL, 1, Cld, Block), (ALL, 2, Cld, Allow)], allowed);
    check(&[(ALL, 1, Cld, Allow), (ALL, 2, Cld, Block)], blocked);
    check(&[(ALL, 2, Cld, Block), (ALL, 3, Cld, Allow)], allowed);
    check(&[(ALL, 2, Cld, Allow), (ALL, 2, Cld, Block)], blocked);
    check(&[(ALL, 3, Cld, Allow), (ALL, 4, Cld, AllowOnly)], allowed);
    // Premium numbers by account: the nearer owner decides, but a fence only fences.
    check(&[(ALL, 5, Cld, Block), (ACCOUNT, 5, Cld, Allow)], allowed);
    check(&[(ALL, 5, Cld, Allow), (ACCOUNT, 1, Cld, Block)], blocked);
    check(&[(ACCOUNT, 5, Cld, Allow), (TRUNK, 2, Cld, Block)], blocked);
    check(&[(ALL, 5, Cld, Block), (ACCOUNT, 1, Cld, AllowOnly)], Err((403, "premium_blocked")));
}

#[test]
fn callers_are_screened_too() {
    use ListEffect::{AllowOnly, Block};
    check(&[(ALL, 4, Cli, Block)], Err((403, "do_not_originate")));
    check(&[(ACCOUNT, 1, Cli, Block)], Err((403, "caller_blocked")));
    check(&[(TRUNK, 2, Cli, AllowOnly)], Err((403, "caller_not_allowed")));
    check(&[(TRUNK, 1, Cli, AllowOnly)], Ok(None));
    check(&[(TRUNK, 3, Cli, Block)], Ok(None));
}

#[test]
fn a_withheld_number_is_screened_and_no_number_is_on_no_list() {
    let mut w = World::with(listed(&[(ALL, 4, Cli, ListEffect::Block)]));
    w.receive(CUSTOMER, &invite(CUSTOMER, "c1", "4930123456", 1, "Privacy: id\n"));
    w.expect_soon(CUSTOMER, "SIP/2.0 403");
    let anonymous = |effect| {
        let mut w = World::with(listed(&[(ALL, 4, Cli, effect)]));
        let text = invite(CUSTOMER, "c1", "4930123456", 1, "").replace("4989777", "anonymous");
        w.receive(CUSTOMER, &text);
        w
    };
    anonymous(ListEffect::Block).asked();
    let mut fenced = anonymous(ListEffect::AllowOnly);
    assert_eq!(codes(&fenced.settlement()).last(), Some(&"caller_not_allowed"));
}

/// Forwarding to where the forwarder may not call does not get there.
#[test]
fn a_forwarder_is_held_to_its_own_lists() {
    let mut rows = listed(&[]);
    rows.subscribers[1].forwards.always = Some("4930123456".into());
    let mut policy = NumberPolicy::default();
    let effect = ListEffect::Block;
    policy.add_use(ListUse { list: ListId(5), subject: Cld, effect });
    // The caller's number is for the caller's own side to look at.
    policy.add_use(ListUse { list: ListId(4), subject: Cli, effect });
    rows.account(LOCAL_ACCOUNT).numbers = Some(Arc::new(policy));
    let mut w = World::with(rows);
    w.call("4930555");
    w.grant(60, false);
    // A caller is not told why the forwarder may not call.
    w.expect_soon(CUSTOMER, "SIP/2.0 480");
    let refused = w.settled.iter().find(|it| codes(it).last() == Some(&"premium_blocked"));
    assert_eq!(refused.map(|it| it.facts.legs[0].account), Some(Some(LOCAL_ACCOUNT)));
}
