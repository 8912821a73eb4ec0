//! Trunks whose calls are poor are left, tried again, and back when they are clearly better (T4): ASR,
//! ACD and PDD as calls find them, in virtual time.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use support::*;
use switch::directory::Limits;
use switch::numbers::Called;
use switch::quality::{Demands, QualityRule, QualityRuleId, QualityRules, Standing};
use switch::routing::{Conditions, PrefixId, Recorded, RoutePolicy, RoutePrefix, destination};
use vocabulary::{Candidate, SettleRequest, TrunkId};

const DEMANDS: Demands = Demands {
    window: Duration::from_secs(600),
    calls_min: 10,
    asr_min: None,
    acd_min: None,
    pdd_max: None,
    drop: Duration::from_secs(300),
    trial_calls: 4,
    hysteresis: 25,
};

fn rows(demands: Demands) -> Rows {
    let (id, prefix) = (QualityRuleId(5), "49".into());
    let rule = QualityRule { id, trunk: Some(TrunkId(1)), prefix, is_by_route: true, demands };
    Rows { quality: vec![rule], ..Rows::default() }
}

/// The same rule for each trunk.
fn rows_of_each(demands: Demands) -> Rows {
    let mut all = rows(demands);
    all.quality[0].trunk = None;
    all
}

/// An operator has each trunk left for so many seconds.
fn drop_by_hand(w: &World, seconds: [u64; 3]) {
    let rules = QualityRules::new(rows_of_each(DEMANDS).quality);
    for (trunk, seconds) in (1..).zip(seconds) {
        let drop_for = Some(Duration::from_secs(seconds));
        let of = (TrunkId(trunk), "49");
        w.shared.quality.set_by_hand(w.now.utc, &rules, of, drop_for).unwrap();
    }
}

/// Trunks of one priority go by quality.
fn rows_by_quality() -> Rows {
    let mut all = rows_of_each(Demands { calls_min: 4, ..DEMANDS });
    all.routes.iter_mut().for_each(|route| route.priority = 1);
    let (id, prefix, limits) = (PrefixId(1), "49".into(), Limits::default());
    all.prefixes = vec![RoutePrefix { id, prefix, policy: RoutePolicy::Quality, limits }];
    all
}

/// Calls, one after the other.
struct Caller {
    w: World,
    calls: u32,
}

impl Caller {
    fn new(rows: Rows) -> Caller {
        Caller { w: World::with(rows), calls: 0 }
    }

    /// A call, as the first carrier has it: `None` if it is not asked, and then the second answers. It
    /// rings after so long, and talks for so long if it is answered.
    #[track_caller]
    fn call(&mut self, is_answered: bool, (rings, talks): (u64, u64)) -> SettleRequest {
        let w = &mut self.w;
        self.calls += 1;
        let id = format!("q{}", self.calls);
        w.receive(CUSTOMER, &invite(CUSTOMER, &id, "4930123456", 1, ""));
        w.grant(3_600, false);
        let mut at = CARRIERS[0];
        let first = w.maybe_invite(at);
        let mut invite = first.unwrap_or_else(|| {
            at = CARRIERS[1];
            w.expect_soon(at, "INVITE")
        });
        if at == CARRIERS[0] && !is_answered {
            w.pass_secs(rings);
            w.reply(at, &invite, "503 Service Unavailable", "");
            at = CARRIERS[1];
            invite = w.expect_soon(at, "INVITE");
        } else {
            w.reply(at, &invite, "100 Trying", "");
            w.pass_secs(rings);
            w.reply(at, &invite, "180 Ringing", "");
        }
        w.reply_with_sdp(at, &invite, "200 OK");
        w.record();
        let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
        w.receive(CUSTOMER, &ack(CUSTOMER, &id, &answer));
        w.expect_soon(at, "ACK");
        w.forget();
        w.pass_secs(talks);
        let bye = from_callee(at, &invite, "BYE", 2);
        w.receive(at, &bye);
        let settled = w.settlement();
        w.pass_secs(40);
        w.forget();
        settled
    }

    fn standing(&self) -> Standing {
        let views = self.w.shared.quality.views(self.w.now.utc);
        views.first().map_or(Standing::Open, |view| view.standing)
    }

    fn has_tried_first(settled: &SettleRequest) -> bool {
        settled.facts.legs.iter().any(|leg| leg.index > 0 && leg.trunk == Some(TrunkId(1)))
    }
}

impl World {
    fn maybe_invite(&mut self, to: &str) -> Option<sip::message::Message> {
        self.maybe(to).filter(|message| start(message).starts_with("INVITE"))
    }
}

#[test]
fn a_carrier_at_ten_percent_is_left_in_its_window_tried_left_again_and_back() {
    // T4: "a carrier at 10 % ASR is left within its window and retried".
    let mut caller = Caller::new(rows(Demands { asr_min: Some(40), ..DEMANDS }));
    for n in 0..10 {
        let settled = caller.call(n == 3, (0, 5));
        assert!(Caller::has_tried_first(&settled), "{n}");
    }
    assert_eq!(caller.standing().word(), "dropped");
    let change = caller.w.shared.quality.poll_change().unwrap();
    let Standing::Dropped { ground, .. } = change.standing else { panic!("{change:?}") };
    assert_eq!(ground.to_string(), "ASR 10.0 % of 10 calls");
    let settled = caller.call(true, (0, 5));
    assert!(
        !Caller::has_tried_first(&settled) && codes(&settled).contains(&"trunk_skipped_quality")
    );
    caller.w.pass_secs(300);
    // On trial one of four is not enough, nor are two: 50 % are asked for.
    for answered in [1, 0] {
        assert_eq!(caller.standing().word(), "on_trial");
        for n in 0..4 {
            assert!(Caller::has_tried_first(&caller.call(n < answered, (0, 5))));
        }
        assert_eq!(caller.standing().word(), "dropped");
        assert!(!Caller::has_tried_first(&caller.call(true, (0, 5))));
        caller.w.pass_secs(300);
    }
    for n in 0..4 {
        assert!(Caller::has_tried_first(&caller.call(n < 2, (0, 5))));
    }
    assert_eq!(caller.standing(), Standing::Open);
    caller.w.check_empty();
}

#[test]
fn slow_ringing_and_short_calls_are_poor_too() {
    // T4: PDD.
    let pdd_max = Some(Duration::from_secs(3));
    let mut caller = Caller::new(rows(Demands { pdd_max, calls_min: 3, ..DEMANDS }));
    for rings in [2, 4, 4] {
        assert_eq!(caller.standing(), Standing::Open);
        caller.call(true, (rings, 5));
    }
    assert_eq!(caller.standing().word(), "dropped");
    // ACD.
    let acd_min = Some(Duration::from_secs(30));
    let mut caller = Caller::new(rows(Demands { acd_min, calls_min: 3, ..DEMANDS }));
    for talks in [60, 10, 19] {
        assert_eq!(caller.standing(), Standing::Open);
        caller.call(true, (0, talks));
    }
    assert_eq!(caller.standing().word(), "dropped");
}

#[test]
fn a_caller_who_gives_up_counts_as_a_call_without_an_answer() {
    let mut caller = Caller::new(rows(Demands { asr_min: Some(40), calls_min: 1, ..DEMANDS }));
    let w = &mut caller.w;
    w.call("4930123456");
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &invite, "180 Ringing", "");
    w.receive(CUSTOMER, &cancel(CUSTOMER, "c1", "4930123456", 1));
    assert_eq!(caller.standing().word(), "dropped");
}

#[test]
fn those_that_are_left_stand_by() {
    let mut w = World::with(rows_of_each(DEMANDS));
    drop_by_hand(&w, [120, 60, 120]);
    // The second is on trial by then.
    w.pass_secs(61);
    w.call("4930123456");
    let candidates = w.asked().candidates;
    let candidates: Vec<_> = candidates.iter().map(|c| (c.trunk.0, c.is_standby)).collect();
    assert_eq!(candidates, [(2, false), (1, true), (3, true)]);
}

#[test]
fn if_all_are_poor_the_least_bad_is_tried_and_the_record_says_so() {
    // T4
    let mut w = World::with(rows_of_each(DEMANDS));
    drop_by_hand(&w, [300; 3]);
    w.call("4930123456");
    w.grant(60, false);
    let invite = w.expect(CARRIERS[0], "INVITE");
    w.reply(CARRIERS[0], &invite, "486 Busy Here", "");
    let settled = w.settlement();
    let record = codes(&settled);
    assert!(record.contains(&"all_trunks_poor"), "{record:?}");
    assert_eq!(record.iter().filter(|code| **code == "trunk_skipped_quality").count(), 2);
}

#[test]
fn by_quality_the_better_goes_first_and_the_record_finds_the_order_again() {
    // T4, B5
    let mut caller = Caller::new(rows_by_quality());
    // Three of the first carrier's four calls fail, which the second then answers.
    for n in 0..4 {
        caller.call(n == 0, (0, 5));
    }
    let w = &mut caller.w;
    w.receive(CUSTOMER, &invite(CUSTOMER, "last", "4930123456", 1, ""));
    let request = w.asked();
    let order = |candidates: &[Candidate]| {
        candidates.iter().map(|c| (c.trunk.0, c.rank)).collect::<Vec<_>>()
    };
    // 25 % of the first one's; of the others not enough is known.
    let expected = [(1, 75), (2, 0), (3, 0)];
    assert_eq!(order(&request.candidates), expected);
    w.receive(CUSTOMER, &cancel(CUSTOMER, "last", "4930123456", 1));
    let settled = w.settlement();
    let lines = settled.facts.decisions.iter().map(|line| (line.code, line.sentence.as_str()));
    let recorded = Recorded::of(request.at, lines);
    let directory = rows_by_quality().build();
    let called = Called::Number(number("4930123456"));
    let (conditions, mut again) = (Conditions::of(&recorded), Vec::new());
    let routed = destination(&directory, None, CUSTOMER_ACCOUNT, called, &conditions, &mut again);
    assert_eq!(order(routed.unwrap().candidates()), expected);
}
