//! Whatever happens in whatever order: each call is settled exactly once, nothing stays in the
//! admission sets, no timer stays armed, nobody talks beyond the grant.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use sip::message::{Message, Method};
use support::*;
use switch::forwarding::{Forwards, NoAnswer};
use switch::{Effect, Input};
use vocabulary::{Authorization, CallId, DecisionLine, Extension, Grant, Refused};

#[derive(Clone, Debug)]
enum Step {
    Call {
        to_bob: bool,
    },
    /// Somebody talks with Bob, if he is there.
    Talk,
    /// Whoever is called answers, and the caller takes it.
    Connect,
    /// Bob has the last caller connected to a carrier.
    Transfer,
    /// Bob has his last two callers connected.
    Consult,
    RepeatInvite {
        caller: usize,
    },
    Cancel {
        caller: usize,
    },
    CallerBye {
        caller: usize,
    },
    Ack {
        caller: usize,
    },
    Bill {
        granted: bool,
        secs: u64,
        is_final: bool,
    },
    Record,
    Extend {
        secs: u64,
        is_final: bool,
    },
    Reply {
        request: usize,
        status: usize,
    },
    CalleeBye {
        request: usize,
    },
    CalleeRefers {
        request: usize,
        cseq: u32,
        to_bob: bool,
    },
    CalleeJoins {
        request: usize,
        other: usize,
        cseq: u32,
    },
    CallerAnswers {
        request: usize,
        is_ok: bool,
    },
    PathFails {
        carrier: usize,
    },
    HangUp {
        call: usize,
    },
    Pass {
        ms: u64,
    },
    LateTimer {
        ms: u64,
    },
}

const STATUSES: [&str; 9] = [
    "100 Trying",
    "180 Ringing",
    "183 Session Progress",
    "200 OK",
    "200 OK",
    "404 Not Found",
    "486 Busy Here",
    "503 Service Unavailable",
    "302 Moved Temporarily",
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(|to_bob| Step::Call { to_bob }),
        2 => Just(Step::Talk),
        3 => Just(Step::Connect),
        2 => Just(Step::Transfer),
        2 => Just(Step::Consult),
        1 => (0usize..8).prop_map(|caller| Step::RepeatInvite { caller }),
        2 => (0usize..8).prop_map(|caller| Step::Cancel { caller }),
        2 => (0usize..8).prop_map(|caller| Step::CallerBye { caller }),
        3 => (0usize..8).prop_map(|caller| Step::Ack { caller }),
        6 => (prop::bool::weighted(0.9), 1u64..60, any::<bool>())
            .prop_map(|(granted, secs, is_final)| Step::Bill { granted, secs, is_final }),
        5 => Just(Step::Record),
        2 => (1u64..120, any::<bool>()).prop_map(|(secs, is_final)| Step::Extend { secs, is_final }),
        9 => (0usize..12, 0usize..STATUSES.len())
            .prop_map(|(request, status)| Step::Reply { request, status }),
        2 => (0usize..12).prop_map(|request| Step::CalleeBye { request }),
        4 => (0usize..12, 1u32..6, any::<bool>())
            .prop_map(|(request, cseq, to_bob)| Step::CalleeRefers { request, cseq, to_bob }),
        3 => (0usize..12, 0usize..12, 1u32..6)
            .prop_map(|(request, other, cseq)| Step::CalleeJoins { request, other, cseq }),
        4 => (0usize..4, prop::bool::weighted(0.7))
            .prop_map(|(request, is_ok)| Step::CallerAnswers { request, is_ok }),
        1 => (0usize..3).prop_map(|carrier| Step::PathFails { carrier }),
        1 => (0usize..8).prop_map(|call| Step::HangUp { call }),
        4 => (0u64..8000).prop_map(|ms| Step::Pass { ms }),
        1 => (0u64..20_000).prop_map(|ms| Step::LateTimer { ms }),
    ]
}

/// What the peers remember.
#[derive(Default)]
struct Peers {
    callers: Vec<(String, &'static str)>,
    answers: BTreeMap<String, Message>,
    requests: Vec<(String, Message)>,
    /// Re-INVITEs to callers.
    offers: Vec<Message>,
    grants: BTreeMap<CallId, Duration>,
}

impl Peers {
    fn read(&mut self, w: &mut World) {
        for (path, message) in std::mem::take(&mut w.outbox) {
            let to = path.remote;
            if message.is_request() {
                match message.method() {
                    Method::Invite if to.to_string() == CUSTOMER => self.offers.push(message),
                    Method::Invite => self.requests.push((to.to_string(), message)),
                    // In-dialog requests and CANCEL are answered at once, most of the time.
                    Method::Bye | Method::Cancel | Method::Notify => {
                        let from = to.to_string();
                        w.reply(&from, &message, "200 OK", "");
                    }
                    _ => {}
                }
            } else if message.status() >= 200 && message.method() == Method::Invite {
                let call_id = String::from_utf8_lossy(message.call_id()).into_owned();
                self.answers.insert(call_id, message);
            }
        }
        if !w.outbox.is_empty() {
            self.read(w);
        }
    }

    fn play(&mut self, w: &mut World, step: &Step) {
        match step {
            Step::Talk => {
                self.play_one(w, &Step::Call { to_bob: true });
                self.connect(w);
                let caller = self.callers.len() - 1;
                self.play_one(w, &Step::Ack { caller });
            }
            Step::Connect => self.connect(w),
            Step::Transfer => {
                let request = self.requests.len().saturating_sub(1);
                self.refer(w, &Step::CalleeRefers { request, cseq: 1, to_bob: false });
                self.connect(w);
            }
            Step::Consult => {
                let request = self.requests.len().saturating_sub(1);
                // Both of his phones rang.
                let other = request.saturating_sub(2);
                self.refer(w, &Step::CalleeJoins { request, other, cseq: 1 });
                for _ in 0..2 {
                    let request = self.offers.len().saturating_sub(1);
                    self.play_one(w, &Step::CallerAnswers { request, is_ok: true });
                }
            }
            Step::CalleeRefers { .. } | Step::CalleeJoins { .. } => self.refer(w, step),
            step => self.play_one(w, step),
        }
    }

    fn connect(&mut self, w: &mut World) {
        self.play_one(w, &Step::Bill { granted: true, secs: 50, is_final: false });
        let request = self.requests.len().saturating_sub(1);
        self.play_one(w, &Step::Reply { request, status: 3 });
        self.play_one(w, &Step::Record);
        let request = self.offers.len().saturating_sub(1);
        self.play_one(w, &Step::CallerAnswers { request, is_ok: true });
    }

    fn play_one(&mut self, w: &mut World, step: &Step) {
        let caller =
            |n: usize| (!self.callers.is_empty()).then(|| &self.callers[n % self.callers.len()]);
        match step {
            Step::Call { to_bob } => {
                let cld = if *to_bob { "4930555" } else { "4930123456" };
                let id = format!("p{}", self.callers.len());
                w.receive(CUSTOMER, &invite(CUSTOMER, &id, cld, 1, ""));
                self.callers.push((id, cld));
            }
            Step::RepeatInvite { caller: n } => {
                if let Some((id, cld)) = caller(*n) {
                    w.receive(CUSTOMER, &invite(CUSTOMER, id, cld, 1, ""));
                }
            }
            Step::Cancel { caller: n } => {
                if let Some((id, cld)) = caller(*n) {
                    w.receive(CUSTOMER, &cancel(CUSTOMER, id, cld, 1));
                }
            }
            Step::CallerBye { caller: n } => {
                if let Some((id, _)) = caller(*n)
                    && let Some(answer) = self.answers.get(id).filter(|a| a.status() < 300)
                {
                    w.receive(CUSTOMER, &in_dialog(CUSTOMER, id, answer, "BYE", 2));
                }
            }
            Step::Ack { caller: n } => {
                if let Some((id, _)) = caller(*n)
                    && let Some(answer) = self.answers.get(id)
                {
                    w.receive(CUSTOMER, &ack(CUSTOMER, id, answer));
                }
            }
            Step::Bill { granted, secs, is_final } => self.bill(w, *granted, *secs, *is_final),
            Step::Record => record(w),
            Step::Extend { secs, is_final } => self.extend(w, *secs, *is_final),
            Step::Reply { request, status } => {
                if let Some((from, request)) = self.request(*request) {
                    let body = if STATUSES[*status].starts_with("200") { SDP } else { "" };
                    w.receive(&from, &response(&from, &request, STATUSES[*status], "", body));
                }
            }
            Step::CalleeBye { request } => {
                if let Some((from, request)) = self.request(*request) {
                    w.receive(&from, &from_callee(&from, &request, "BYE", 1));
                }
            }
            Step::CallerAnswers { request, is_ok } => self.answer_offer(w, *request, *is_ok),
            Step::PathFails { carrier } => w.input(Input::PathFailed(path(CARRIERS[*carrier]))),
            Step::HangUp { call } => {
                let live = w.shard.live_calls();
                if !live.is_empty() {
                    w.input(Input::HangUp { call: live[call % live.len()].call });
                }
            }
            Step::Pass { ms } => w.pass(Duration::from_millis(*ms)),
            Step::LateTimer { ms } => {
                w.now = w.now.plus(Duration::from_millis(*ms));
                w.input(Input::Timeout);
            }
            other => unreachable!("{other:?} is made of others"),
        }
        self.read(w);
    }

    fn answer_offer(&mut self, w: &mut World, request: usize, is_ok: bool) {
        if self.offers.is_empty() {
            return;
        }
        let offer = self.offers.remove(request % self.offers.len());
        let (status, body) = if is_ok { ("200 OK", SDP) } else { ("488 Not Acceptable Here", "") };
        w.receive(CUSTOMER, &response(CUSTOMER, &offer, status, "", body));
    }

    fn refer(&mut self, w: &mut World, step: &Step) {
        match step {
            Step::CalleeRefers { request, cseq, to_bob } => {
                if let Some((from, request)) = self.request(*request) {
                    let to = if *to_bob { "4930555" } else { "4930123456" };
                    refer(w, &from, &request, *cseq, &format!("sip:{to}@192.0.2.1"));
                }
            }
            Step::CalleeJoins { request, other, cseq } => {
                if let (Some((from, request)), Some((at, other))) =
                    (self.request(*request), self.request(*other))
                {
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    let to = format!(
                        "sip:x@192.0.2.1?Replaces={}%3Bto-tag%3D{}%3Bfrom-tag%3Dcallee-{at}",
                        text(other.call_id()),
                        text(other.from_tag().unwrap_or_default()),
                    );
                    refer(w, &from, &request, *cseq, &to);
                }
            }
            _ => unreachable!("only these refer"),
        }
        self.read(w);
    }

    fn request(&self, n: usize) -> Option<(String, Message)> {
        (!self.requests.is_empty()).then(|| self.requests[n % self.requests.len()].clone())
    }

    fn extend(&mut self, w: &mut World, secs: u64, is_final: bool) {
        if let Some(call) = w.take_extend() {
            let talk_time = self.grants[&call] + Duration::from_secs(secs);
            self.grants.insert(call, talk_time);
            let grant = Grant { talk_time, is_final };
            w.input(Input::Extended(Extension { call, grant }));
        }
    }

    fn bill(&mut self, w: &mut World, granted: bool, secs: u64, is_final: bool) {
        let place = w.effects.iter().position(|e| matches!(e, Effect::Authorize(_)));
        let Some(Effect::Authorize(request)) = place.and_then(|n| w.effects.remove(n)) else {
            return;
        };
        let talk_time = Duration::from_secs(secs);
        self.grants.insert(request.call, talk_time);
        let result = if granted {
            Ok(Authorization {
                grant: Grant { talk_time, is_final },
                egress: request.candidates.iter().map(|c| c.trunk).collect(),
                skipped: Vec::new(),
                decisions: Vec::new(),
            })
        } else {
            let line = DecisionLine { code: "no_credit", sentence: "None left.".into() };
            Err(Refused::InsufficientCredit(line))
        };
        w.input(Input::Authorized { call: request.call, result });
    }
}

fn refer(w: &mut World, from: &str, invite: &Message, cseq: u32, to: &str) {
    let lines = format!("Refer-To: <{to}>\nContent-Length: 0\n\n");
    let refer = from_callee(from, invite, "REFER", cseq);
    w.receive(from, &refer.replace("Content-Length: 0\n\n", &lines));
}

fn record(w: &mut World) {
    let place = w.effects.iter().position(|e| matches!(e, Effect::Answered { .. }));
    if let Some(Effect::Answered { call, .. }) = place.and_then(|n| w.effects.remove(n)) {
        w.input(Input::Recorded { call, grant: None });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn every_call_settles_once(
        steps in proptest::collection::vec(step(), 1..80),
        bob_forwards in proptest::array::uniform4(any::<bool>()),
        bob_takes_one: bool,
    ) {
        let mut rows = Rows::default();
        let to = |condition: usize| bob_forwards[condition].then(|| "4930123456".into());
        let no_answer = |to| NoAnswer { to, after: Duration::from_secs(5) };
        rows.subscribers[1].forwards = Forwards {
            always: to(0).filter(|_| bob_forwards[1]),
            busy: to(1),
            no_answer: to(2).map(no_answer),
            offline: to(3),
        };
        rows.subscribers[1].availability.calls_max = bob_takes_one.then_some(1);
        let mut w = World::with(rows);
        w.bob_at(&PHONES);
        let mut peers = Peers::default();
        for step in &steps {
            peers.play(&mut w, step);
        }
        w.input(Input::ReleaseAll);
        peers.read(&mut w);
        for _ in 0..8 {
            w.pass(Duration::from_secs(60));
            peers.read(&mut w);
        }
        let started = w.shard.stats().calls_started as usize;
        let mut settled: Vec<CallId> = w.settled.iter().map(|s| s.facts.call).collect();
        prop_assert_eq!(settled.len(), started);
        settled.sort_unstable();
        settled.dedup();
        prop_assert_eq!(settled.len(), started);
        for request in &w.settled {
            let grant = peers.grants.get(&request.facts.call).copied().unwrap_or_default();
            prop_assert!(request.talked <= grant);
            prop_assert!(!request.facts.legs.is_empty());
            prop_assert!(!request.facts.decisions.is_empty());
        }
        prop_assert!(w.shared.admission.is_empty());
        prop_assert!(w.shard.is_idle(), "{:?}", w.shard.live_calls());
        prop_assert_eq!(w.shard.armed_calls(), 0);
        prop_assert_eq!(w.shard.stats().calls_panicked, 0);
        prop_assert_eq!(w.shard.stats().calls_talking, 0);
    }
}
