//! A trunk that is asked with OPTIONS goes out when it does not answer, and comes back in when it does;
//! calls leave it out meanwhile, unless there is no other (T4).

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sip::message::{HeaderName, Message};
use sip::transport::{Path, Transport};
use support::*;
use switch::decision::Decision;
use switch::health::{Ground, HealthState, Outcome, ProbePolicy};
use switch::routing::{Question, TrunksNow, simulate};
use switch::token::shard_of;
use switch::{Effect, Input, ShardConfig, Target};
use vocabulary::{TrunkId, Utc};

const FIRST: &str = CARRIERS[0];
const POLICY: ProbePolicy =
    ProbePolicy { every: Duration::from_secs(30), failures_max: 3, successes_min: 2 };

/// The first `n` carriers are watched.
fn rows(n: u64) -> Rows {
    let mut rows = Rows::default();
    for trunk in 1..=n {
        rows.trunk(trunk).probe = Some(POLICY);
    }
    rows
}

/// Time begins and the first questions go out.
fn world(rows: Rows) -> World {
    let mut w = World::with(rows);
    w.input(Input::Timeout);
    w
}

fn state(w: &World, trunk: u64) -> HealthState {
    w.shared.health.of(TrunkId(trunk)).expect("it is watched").state
}

/// Takes the next question to this carrier, and everything else that waits for it.
#[track_caller]
fn question(w: &mut World, carrier: &str) -> Message {
    let question = w.expect_soon(carrier, "OPTIONS");
    w.outbox.retain(|(path, _)| path.remote != address(carrier));
    question
}

/// Time passes until the next question to this carrier, which is answered so.
#[track_caller]
fn answer(w: &mut World, carrier: &str, status: &str) {
    w.outbox.retain(|(path, _)| path.remote != address(carrier));
    w.pass_secs(30);
    let question = question(w, carrier);
    w.reply(carrier, &question, status, "");
}

/// The first carrier says three times that it is not there.
#[track_caller]
fn down() -> World {
    let mut w = world(rows(1));
    let first = question(&mut w, FIRST);
    w.reply(FIRST, &first, "200 OK", "");
    for _ in 0..3 {
        assert_eq!(state(&w, 1), HealthState::Up);
        answer(&mut w, FIRST, "503 Service Unavailable");
    }
    assert_eq!(state(&w, 1), HealthState::Down);
    w.forget();
    w
}

/// Those that billing would use, if all of them have prices.
fn candidates(w: &mut World) -> Vec<u64> {
    w.call("4930123456");
    let all = w.asked().candidates;
    let used = all.iter().filter(|candidate| !candidate.is_standby).count().max(1);
    all.iter().take(used).map(|candidate| candidate.trunk.0).collect()
}

#[test]
fn it_is_asked_as_rfc_3261_has_it() {
    let mut w = world(rows(1));
    let options = question(&mut w, FIRST);
    assert_eq!(options.request_uri(), b"sip:10.1.0.1");
    assert_eq!(header(&options, HeaderName::To), "<sip:10.1.0.1>");
    assert_eq!(header(&options, HeaderName::Contact), "<sip:192.0.2.1:5060>");
    assert_eq!(header(&options, HeaderName::Accept), "application/sdp");
    assert_eq!(header(&options, HeaderName::MaxForwards), "70");
    assert!(header(&options, HeaderName::From).starts_with("<sip:192.0.2.1:5060>;tag="));
    assert_eq!((w.shard.stats().probes_sent, w.shard.stats().probes_failed), (1, 0));
    // Carriers that are not watched are not asked.
    w.pass_secs(100);
    w.expect_nothing(CARRIERS[1]);
}

#[test]
fn it_goes_out_and_in() {
    let mut w = down();
    let change = w.shared.health.poll_change().unwrap();
    assert_eq!((change.trunk, change.is_up), (TrunkId(1), false));
    assert_eq!(change.ground, Ground::Failures(3, Outcome::Status(503)));
    assert_eq!(candidates(&mut w), [2, 3]);

    answer(&mut w, FIRST, "200 OK");
    assert_eq!(state(&w, 1), HealthState::Down);
    // Whoever wants credentials is there.
    answer(&mut w, FIRST, "401 Unauthorized");
    assert_eq!(state(&w, 1), HealthState::Up);
    let change = w.shared.health.poll_change().unwrap();
    assert_eq!((change.is_up, change.ground), (true, Ground::Answers(2)));
    assert_eq!(w.shared.health.poll_change(), None);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", "4930123456", 1, ""));
    assert_eq!(w.asked().candidates.len(), 3);
}

#[test]
fn silence_is_a_failure_after_as_long_as_a_call_waits() {
    let mut w = world(rows(1));
    question(&mut w, FIRST);
    w.pass_secs(4);
    assert_eq!(w.shard.stats().probes_failed, 0);
    w.pass_secs(2);
    assert_eq!(w.shard.stats().probes_failed, 1);
    // Three questions, each silent for 5 s, 27 to 30 s apart.
    w.pass_secs(75);
    assert_eq!(state(&w, 1), HealthState::Down);
    assert_eq!(w.shared.health.poll_change().unwrap().ground, Ground::Failures(3, Outcome::Silent));
}

#[test]
fn an_answer_to_an_earlier_question_is_none() {
    let mut w = world(rows(1));
    let early = question(&mut w, FIRST);
    w.pass_secs(6);
    w.reply(FIRST, &early, "200 OK", "");
    assert_eq!(state(&w, 1), HealthState::Untested);
    assert_eq!(w.shard.stats().probes_failed, 1);
}

#[test]
fn a_provisional_response_is_no_answer_yet() {
    let mut w = world(rows(1));
    let first = question(&mut w, FIRST);
    w.reply(FIRST, &first, "100 Trying", "");
    assert_eq!(state(&w, 1), HealthState::Untested);
    w.reply(FIRST, &first, "200 OK", "");
    assert_eq!(state(&w, 1), HealthState::Up);
}

#[test]
fn an_unreachable_peer_is_found_out_at_once() {
    let mut w = world(rows(1));
    w.input(Input::PathFailed(path(FIRST)));
    assert_eq!(w.shard.stats().probes_failed, 1);
    assert_eq!(w.shared.health.of(TrunkId(1)).unwrap().last.unwrap().1, Outcome::Silent);
}

#[test]
fn every_address_of_its_host_is_asked() {
    let mut rows = rows(1);
    rows.trunk(1).host = "carrier.example".into();
    let mut w = world(rows);
    let Some(Effect::Resolve { query, host }) = w.effects.pop_front() else { panic!("no query") };
    assert_eq!(host.host, "carrier.example");
    let target = |at| Target { transport: Transport::Udp, addr: address(at) };
    let targets = vec![target(FIRST), target(CARRIERS[1])];
    w.input(Input::Resolved { query, targets });
    question(&mut w, FIRST);
    w.expect_nothing(CARRIERS[1]);
    w.pass_secs(6);
    let second = question(&mut w, CARRIERS[1]);
    assert_eq!(second.request_uri(), b"sip:carrier.example");
    w.reply(CARRIERS[1], &second, "200 OK", "");
    assert_eq!(state(&w, 1), HealthState::Up);

    // A resolver that knows nothing, or says nothing.
    for targets in [Some(Vec::new()), None] {
        let failed = w.shard.stats().probes_failed;
        w.pass_secs(30);
        let Some(Effect::Resolve { query, .. }) = w.effects.pop_front() else { panic!("no query") };
        match targets {
            Some(targets) => w.input(Input::Resolved { query, targets }),
            None => w.pass_secs(30),
        }
        assert_eq!(w.shard.stats().probes_failed, failed + 1);
        let last = w.shared.health.of(TrunkId(1)).unwrap().last.unwrap().1;
        assert_eq!(last, Outcome::Unresolved);
    }
}

/// Calls that find it silent make it suspect: it is asked at once, and one more failure takes it out.
#[test]
fn silent_calls_have_it_asked_at_once() {
    let mut w = world(rows(1));
    let first = question(&mut w, FIRST);
    w.reply(FIRST, &first, "200 OK", "");
    w.forget();
    for n in 0..3 {
        w.expect_nothing(FIRST);
        w.receive(CUSTOMER, &invite(CUSTOMER, &format!("s{n}"), "4930123456", 1, ""));
        w.grant(60, false);
        let tried = w.expect_soon(FIRST, "INVITE");
        w.reply(FIRST, &tried, "503 Service Unavailable", "");
        w.expect_soon(FIRST, "ACK");
        w.expect_soon(CARRIERS[1], "INVITE");
    }
    assert_eq!(state(&w, 1), HealthState::Up);
    w.pass_secs(1);
    let asked = question(&mut w, FIRST);
    w.reply(FIRST, &asked, "503 Service Unavailable", "");
    assert_eq!(state(&w, 1), HealthState::Down);
    let change = w.shared.health.poll_change().unwrap();
    assert_eq!(change.ground, Ground::CallsToo(Outcome::Status(503)));
}

/// A call counts once, whatever number of addresses it tries; and one that is taken is an answer.
#[test]
fn a_call_is_one_piece_of_evidence() {
    let mut rows = rows(1);
    rows.trunk(1).host = "carrier.example".into();
    let mut w = world(rows);
    let Some(Effect::Resolve { query, .. }) = w.effects.pop_front() else { panic!("no query") };
    let target = |at| Target { transport: Transport::Udp, addr: address(at) };
    w.input(Input::Resolved { query, targets: vec![target(FIRST)] });
    let asked = question(&mut w, FIRST);
    w.reply(FIRST, &asked, "200 OK", "");
    let dead = ["10.1.1.1:5060", "10.1.1.2:5060", "10.1.1.3:5060"];
    w.call("4930123456");
    w.grant(60, false);
    let Some(Effect::Resolve { query, .. }) = w.effects.pop_front() else { panic!("no query") };
    w.input(Input::Resolved { query, targets: dead.map(target).to_vec() });
    for to in dead {
        w.expect_soon(to, "INVITE");
        w.input(Input::PathFailed(path(to)));
    }
    w.expect_soon(CARRIERS[1], "INVITE");
    w.forget();
    w.pass_secs(2);
    assert!(!w.effects.iter().any(|effect| matches!(effect, Effect::Resolve { .. })));
    w.expect_nothing(FIRST);
}

#[test]
fn with_every_trunk_down_the_least_bad_is_tried() {
    let mut w = world(rows(3));
    for _ in 0..3 {
        for carrier in CARRIERS {
            let asked = question(&mut w, carrier);
            w.now.utc = w.now.utc.plus(Duration::from_millis(1));
            w.reply(carrier, &asked, "503 Service Unavailable", "");
        }
        w.pass_secs(30);
    }
    for trunk in 1..=3 {
        assert_eq!(state(&w, trunk), HealthState::Down);
    }
    // The second has begun to answer.
    let asked = question(&mut w, CARRIERS[1]);
    w.reply(CARRIERS[1], &asked, "200 OK", "");
    assert_eq!(candidates(&mut w), [2]);
    let directory = rows(3).build();
    let bindings = &w.shared.bindings;
    let trunks = TrunksNow { now: Utc(7), health: &w.shared.health, quality: &w.shared.quality };
    let (at, now, account) = (Utc(7), Utc(7), None);
    let question = Question { from: "customer", account, to: "4930123456", at, now };
    let thought = simulate(&directory, bindings, trunks, &question);
    let codes: Vec<_> = thought.decisions.iter().map(Decision::code).collect();
    let left_out = "trunk_skipped_down";
    let (found, tried) = ("routes_found", "all_trunks_down");
    let expected = ["number_translated", found, left_out, left_out, tried, "trunks_accepted"];
    assert_eq!(codes, expected);
    let said: Vec<_> = thought.decisions[2..5].iter().map(Decision::to_string).collect();
    let last = "Every trunk that could carry the call is down; trunk 2, the least bad, is tried.";
    let out = |n| format!("Trunk {n} was left out: it is down.");
    // The least bad first.
    assert_eq!(said, [out(3), out(1), last.to_owned()]);
}

#[test]
fn a_trunk_that_may_not_carry_the_call_is_no_reason_to_try_one_that_is_down() {
    let mut w = down();
    let mut changed = rows(1);
    changed.trunk(3).is_active = false;
    w.input(Input::Directory(Arc::new(changed.build())));
    assert_eq!(candidates(&mut w), [2]);
    let mut changed = rows(1);
    changed.trunk(2).is_active = false;
    changed.trunk(3).is_active = false;
    w.input(Input::Directory(Arc::new(changed.build())));
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", "4930123456", 1, ""));
    assert_eq!(w.asked().candidates[0].trunk, TrunkId(1));
}

#[test]
fn a_change_of_policy_keeps_what_is_known_and_a_change_of_address_does_not() {
    let mut w = down();
    let mut changed = rows(1);
    changed.trunk(1).probe = Some(ProbePolicy { successes_min: 1, ..POLICY });
    changed.trunk(1).ring_timeout = Some(Duration::from_secs(9));
    w.input(Input::Directory(Arc::new(changed.build())));
    assert_eq!(state(&w, 1), HealthState::Down);
    answer(&mut w, FIRST, "200 OK");
    assert_eq!(state(&w, 1), HealthState::Up);

    let mut w = down();
    let mut moved = rows(1);
    moved.trunk(1).host = "10.1.0.9".into();
    w.input(Input::Directory(Arc::new(moved.build())));
    w.input(Input::Timeout);
    assert_eq!(state(&w, 1), HealthState::Untested);
    let asked = question(&mut w, "10.1.0.9:5060");
    w.reply("10.1.0.9:5060", &asked, "200 OK", "");

    w.input(Input::Directory(Arc::new(Rows::default().build())));
    assert_eq!(w.shared.health.of(TrunkId(1)), None);
    w.forget();
    w.pass_secs(100);
    assert!(w.outbox.is_empty(), "{:?}", w.outbox);
}

/// Each trunk is asked by one shard, what it answers is dispatched to that one, and all shards know.
#[test]
fn one_shard_asks_and_all_know() {
    for shards in 1..=4 {
        let mut asked = BTreeSet::new();
        for shard in 0..shards {
            let mut w = World::in_shard(rows(3), shard, shards);
            w.input(Input::Timeout);
            for (to, options) in w.outbox.drain(..) {
                assert_eq!(shard_of(options.call_id(), shards), shard, "of {shards}");
                assert!(asked.insert(to.remote), "asked twice by {shards}");
            }
        }
        assert_eq!(asked.len(), 3, "of {shards}");
    }

    // Trunk 1 is shard 1's; shard 0 has the call.
    let mut asking = World::in_shard(rows(1), 1, 2);
    asking.input(Input::Timeout);
    let config = ShardConfig { shards: 2, ..config() };
    let mut calling = World::sharing(rows(1), config, asking.shared.clone());
    for _ in 0..3 {
        let question = question(&mut asking, FIRST);
        asking.reply(FIRST, &question, "503 Service Unavailable", "");
        asking.pass_secs(30);
    }
    calling.input(Input::Timeout);
    calling.expect_nothing(FIRST);
    assert_eq!(candidates(&mut calling), [2, 3]);
}

#[test]
fn a_trunk_by_tcp_is_asked_by_tcp() {
    let mut rows = rows(1);
    rows.trunk(1).transport = Some(Transport::Tcp);
    rows.trunk(1).port = Some(5070);
    let mut w = world(rows);
    let to: Path = tcp("10.1.0.1:5070", 0);
    let options = w.expect_on(to, "OPTIONS");
    assert_eq!(options.request_uri(), b"sip:10.1.0.1:5070;transport=tcp");
}
