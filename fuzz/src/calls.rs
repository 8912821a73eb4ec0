//! A real shard under any sequence of inputs: callers, carriers and phones that say anything at any
//! time, billing, journal and resolver that answer late, twice, or things nobody asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use sip::auth;
use sip::message::uri::{Scheme, Uri};
use sip::message::{Message, Method};
use sip::transport::{Path, Transport};
use switch::{AnswerId, Effect, Input, QueryId, Shard, Shared, Target};
use vocabulary::{
    Authorization, AuthorizeRequest, CallId, DecisionLine, Extension, Grant, Now, Refused, TrunkId,
    Utc,
};

use crate::questions::Questions;
use crate::setting::{PEERS, address, directory};
use crate::{Choices, peers, setting};

const NUMBERS: [&str; 6] = ["4930123456", "4930123456", "4930555", "4930555", "1", "bob"];
/// What a run remembers of each kind, so that a long one stays quick.
const MEMORY: usize = 24;

/// One run.
pub fn run(bytes: &[u8]) {
    let mut world = World::new();
    let mut choices = Choices::new(bytes);
    let is_orderly = choices.byte() & 1 == 0;
    for _ in 0..256 {
        let Some(op) = choices.next() else { break };
        world.step(op, &mut choices);
        world.read(true);
    }
    world.end(is_orderly);
}

/// Where a caller's call stands, as far as the caller knows.
struct Caller {
    from: &'static str,
    call_id: String,
    cld: &'static str,
    answer: Option<Message>,
    has_acked: bool,
}

impl Caller {
    fn must_ack(&self) -> bool {
        !self.has_acked && self.answer.as_ref().is_some_and(|answer| answer.status() >= 200)
    }
}

struct World {
    shard: Shard,
    shared: Shared,
    now: Now,
    callers: Vec<Caller>,
    outbox: Vec<(String, Message)>,
    /// Requests of ours, and to whom.
    requests: Vec<(String, Message)>,
    /// INVITEs of ours that got no final answer yet.
    ringing: Vec<(String, Message)>,
    /// Everything that was ever said to us, to be damaged and repeated.
    heard: Vec<(String, Vec<u8>)>,
    asked: Vec<AuthorizeRequest>,
    queries: Vec<QueryId>,
    questions: Questions,
    kept: Vec<AnswerId>,
    /// From one call to another.
    joint: VecDeque<Input>,
    calls: BTreeMap<CallId, Facts>,
    /// The message that is being heard cannot be read.
    hears_nonsense: bool,
}

/// What a bystander knows of a call.
#[derive(Default)]
struct Facts {
    sip_call_id: String,
    grant: Duration,
    asked: u32,
    is_authorized: bool,
    extends: u32,
    answered: u32,
    is_recorded: bool,
    settled: u32,
}

fn path(remote: &str) -> Path {
    Path { transport: Transport::Udp, listener: 0, connection: 0, remote: address(remote) }
}

impl World {
    fn new() -> World {
        let now = Now { monotonic: Duration::from_secs(1), utc: Utc(1_700_000_000_000_000) };
        let (shard, shared) = setting::shard(now);
        World {
            shard,
            shared,
            now,
            callers: Vec::new(),
            outbox: Vec::new(),
            requests: Vec::new(),
            ringing: Vec::new(),
            heard: Vec::new(),
            asked: Vec::new(),
            queries: Vec::new(),
            questions: Questions::default(),
            kept: Vec::new(),
            joint: VecDeque::new(),
            calls: BTreeMap::new(),
            hears_nonsense: false,
        }
    }

    // In and out.

    fn input(&mut self, input: Input) {
        if let Input::Recorded { call, .. } = &input
            && let Some(facts) = self.calls.get_mut(call)
        {
            facts.is_recorded |= facts.answered > 0;
        }
        self.shard.handle(self.now, input);
        while let Some(effect) = self.shard.poll_effect() {
            self.effect(effect);
        }
        if let Some(input) = self.joint.pop_front() {
            self.input(input);
        }
        if let Some(answer) = self.kept.pop() {
            self.input(Input::BindingKept { answer });
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send(transmit) => {
                let text = transmit.bytes.clone();
                match Message::parse(transmit.bytes) {
                    Ok(message) => {
                        self.check_sent(&message);
                        self.outbox.push((transmit.path.remote.to_string(), message));
                    }
                    // A refusal repeats the headers of the request as they are, and no others.
                    Err(_) if self.hears_nonsense && !text.starts_with(b"SIP/2.0 2") => {}
                    Err(why) => panic!("we send what can be read: {why:?} {text:?}"),
                }
            }
            Effect::Authorize(request) => {
                let facts = self.calls.entry(request.call).or_default();
                facts.asked += 1;
                assert_eq!((facts.asked, facts.settled), (1, 0), "billing is asked once");
                facts.sip_call_id.clone_from(&request.origin.sip_call_id);
                self.asked.push(request);
            }
            Effect::Extend(request) => {
                let facts = self.calls.get_mut(&request.call).expect("authorised before");
                assert_eq!(facts.settled, 0, "no time is asked for a call that is over");
                facts.extends += 1;
            }
            Effect::Answered { call, .. } => {
                let facts = self.calls.get_mut(&call).expect("authorised before");
                facts.answered += 1;
                assert_eq!((facts.answered, facts.settled), (1, 0), "one callee answers");
            }
            Effect::Settle(request) => {
                let facts = self.calls.entry(request.facts.call).or_default();
                facts.settled += 1;
                assert_eq!(facts.settled, 1, "a call is settled once");
                assert!(request.talked <= facts.grant, "nobody talks beyond the grant");
                assert!(request.talked.is_zero() || facts.answered == 1);
                assert!(!request.facts.decisions.is_empty());
                let legs: BTreeSet<u8> = request.facts.legs.iter().map(|leg| leg.index).collect();
                assert!(legs.contains(&0) && legs.len() == request.facts.legs.len());
            }
            Effect::Onward(onward) => self.joint.push_back(Input::Onward(onward)),
            Effect::Relay { to, from, said } => {
                self.joint.push_back(Input::Relayed { to: to.key, from, said });
            }
            Effect::KeepPath(_) | Effect::Banned(_) | Effect::Fraud(_) | Effect::Attributed(_) => {}
            Effect::Resolve { query, .. } => self.queries.push(query),
            Effect::Ask { query, question } => self.questions.keep(query, question),
            Effect::BindingChanged { answer, .. } => self.kept.extend(answer),
        }
    }

    /// A caller hears an answer only when the journal has it.
    fn check_sent(&self, message: &Message) {
        if message.is_request() {
            let uri = Uri::parse(message.request_uri()).expect("we send to a URI");
            assert!(!matches!(uri.scheme(), Scheme::Other(_)), "nobody serves {message:?}");
        }
        if message.is_request() || message.cseq().1 != Method::Invite {
            return;
        }
        if (200..300).contains(&message.status()) {
            let call_id = String::from_utf8_lossy(message.call_id());
            let mut known = self.calls.values().filter(|facts| facts.sip_call_id == call_id);
            let is_caller = self.callers.iter().any(|caller| caller.call_id == call_id);
            assert!(!is_caller || known.any(|facts| facts.is_recorded), "{call_id} heard early");
        }
    }

    fn receive(&mut self, from: &str, bytes: Vec<u8>) {
        if self.heard.len() < MEMORY {
            self.heard.push((from.to_owned(), bytes.clone()));
        }
        self.deliver(from, bytes);
    }

    fn deliver(&mut self, from: &str, bytes: Vec<u8>) {
        let bytes = Bytes::from(bytes);
        self.hears_nonsense = Message::parse(bytes.clone()).is_err();
        self.input(Input::Message { path: path(from), bytes });
        self.hears_nonsense = false;
    }

    fn say(&mut self, from: &str, text: String) {
        self.receive(from, text.into_bytes());
    }

    /// The peers read what was sent to them; most answer a BYE, a CANCEL and the like at once.
    fn read(&mut self, is_polite: bool) {
        for _ in 0..8 {
            if self.outbox.is_empty() {
                return;
            }
            for (to, message) in std::mem::take(&mut self.outbox) {
                self.read_one(to, message, is_polite);
            }
        }
    }

    fn read_one(&mut self, to: String, message: Message, is_polite: bool) {
        if message.is_request() {
            let is_end = matches!(message.method(), Method::Bye | Method::Cancel);
            if is_end && is_polite && message.call_id().len() % 4 != 0 {
                self.say(&to, peers::plain(&to, &message, 200));
            } else if message.method() != Method::Ack {
                if self.requests.len() == MEMORY {
                    self.requests.remove(0);
                }
                if message.method() == Method::Invite {
                    self.ringing.push((to.clone(), message.clone()));
                }
                self.requests.push((to, message));
            }
        } else if message.cseq().1 == Method::Invite && message.status() > 100 {
            let call_id = String::from_utf8_lossy(message.call_id());
            let caller = self.callers.iter_mut().rev().find(|caller| caller.call_id == call_id);
            if let Some(caller) = caller {
                caller.answer = Some(message);
            }
        }
    }

    // The steps.

    fn step(&mut self, op: u8, choices: &mut Choices<'_>) {
        match op % 32 {
            0..3 => self.call(choices),
            3..14 => self.go_on(choices),
            14 => self.authorized(choices),
            15 => self.extended(choices),
            16 => self.recorded(choices),
            17 => self.resolved(choices),
            18..21 => self.callee_responds(choices),
            21..23 => self.caller_requests(choices),
            23..25 => self.callee_requests(choices),
            25 => self.cancel(choices),
            26 => self.repeat_damaged(choices),
            27 => self.outside(choices),
            28..31 => self.pass(Duration::from_millis(u64::from(choices.word()) / 4)),
            _ => {
                // Nobody said Timeout for so long.
                let secs = choices.pick(&[1, 2, 5, 10, 40, 200, 1000, 20_000]);
                self.now = self.now.plus(Duration::from_secs(secs));
                self.input(Input::Timeout);
            }
        }
    }

    /// What is not about one call's signalling.
    fn outside(&mut self, choices: &mut Choices<'_>) {
        match choices.below(8) {
            0..3 => self.register(choices),
            3..5 => self.path_fails(choices),
            5 => {
                if let Some(call) = self.any_call(choices) {
                    self.input(Input::HangUp { call });
                }
            }
            _ => self.configure(choices),
        }
    }

    /// The next thing that happens when nothing goes wrong.
    fn go_on(&mut self, choices: &mut Choices<'_>) {
        let find = |is: fn(&Facts) -> bool| {
            let mut live = self.calls.iter().filter(|(_, facts)| facts.settled == 0);
            live.find(|(_, facts)| is(facts)).map(|(call, _)| *call)
        };
        let secs = 5 + u64::from(choices.byte());
        let grant = Grant { talk_time: Duration::from_secs(secs), is_final: secs % 4 == 0 };
        if let Some(call) = find(|facts| facts.answered > 0 && !facts.is_recorded) {
            self.input(Input::Recorded { call, grant: None });
        } else if let Some(call) = find(|facts| facts.asked > 0 && !facts.is_authorized) {
            let request = self.asked.iter().find(|request| request.call == call);
            let candidates = &request.expect("asked").candidates;
            let egress = candidates.iter().map(|candidate| candidate.trunk).collect();
            self.authorize(call, grant, egress);
        } else if let Some(told) = self.questions.answer() {
            self.input(told);
        } else if let Some(query) = self.queries.pop() {
            let target = Target { transport: Transport::Udp, addr: address(PEERS[2]) };
            self.input(Input::Resolved { query, targets: vec![target] });
        } else if let Some(caller) = self.callers.iter_mut().find(|caller| caller.must_ack()) {
            caller.has_acked = true;
            let (from, answer) = (caller.from, caller.answer.clone().expect("just looked"));
            let text = peers::of_caller(from, &answer, "ACK", answer.cseq().0, choices);
            self.say(from, text);
        } else if let Some((from, invite)) = self.ringing.pop() {
            let status = choices.pick(&[200, 200, 200, 180, 183, 486]);
            if status < 200 {
                self.ringing.push((from.clone(), invite.clone()));
            }
            self.say(&from, peers::plain(&from, &invite, status));
        } else if let Some(call) = find(|facts| facts.extends > 0) {
            let extends = self.calls.get_mut(&call).map(|facts| &mut facts.extends);
            *extends.expect("just found") -= 1;
            let talk_time = self.calls[&call].grant + grant.talk_time;
            self.extend(call, Grant { talk_time, ..grant });
        } else {
            match choices.below(4) {
                0 => self.call(choices),
                1 => self.caller_requests(choices),
                2 => self.callee_requests(choices),
                _ => self.pass(Duration::from_secs(1 + secs / 2)),
            }
        }
    }

    fn call(&mut self, choices: &mut Choices<'_>) {
        let from = choices.pick(&[PEERS[0], PEERS[0], PEERS[0], PEERS[1], PEERS[6], PEERS[7]]);
        let cld = choices.pick(&NUMBERS);
        let is_repeat = choices.chance(30) && !self.callers.is_empty();
        let number = self.callers.len() - usize::from(is_repeat);
        let call_id = format!("call{number}");
        let cseq = 1 + u32::from(choices.chance(20));
        let mut text = peers::invite(from, &call_id, cld, cseq, choices);
        if from == PEERS[6]
            && let Some(line) = self.credentials(&call_id, cld, choices)
        {
            text = peers::with_line(&text, &line);
        }
        self.callers.push(Caller { from, call_id, cld, answer: None, has_acked: false });
        self.say(from, text);
    }

    /// Alice answers the newest challenge that she got, or makes something up.
    fn credentials(&self, call_id: &str, cld: &str, choices: &mut Choices<'_>) -> Option<String> {
        let challenge = self.callers.iter().rev().filter_map(|caller| caller.answer.as_ref());
        let challenge = challenge.into_iter().find(|answer| answer.status() == 407)?;
        let username = choices.pick(&["alice", "alice", "alice", "bob", "nobody"]);
        let password = choices.pick(&["secret", "secret", "secret", "wrong"]);
        let ours = auth::Credentials::new(username, password);
        let uri = format!("sip:{cld}@192.0.2.1");
        let cnonce = call_id.len() as u64;
        let method = Method::Invite;
        auth::answer_challenge(challenge, &ours, method, uri.as_bytes(), cnonce, false)
            .map(|header| format!("Proxy-Authorization: {}", header.value))
    }

    fn any_call(&self, choices: &mut Choices<'_>) -> Option<CallId> {
        let index = choices.below(self.calls.len() + 1);
        Some(self.calls.keys().nth(index).copied().unwrap_or(CallId::new(1, 0, 999)))
    }

    fn grant(choices: &mut Choices<'_>) -> Grant {
        let secs = u64::from(choices.byte());
        let talk_time = Duration::from_secs(if secs > 250 { u64::from(u32::MAX) } else { secs });
        Grant { talk_time, is_final: choices.chance(128) }
    }

    /// Billing answers a question: the newest, an older one once more, or one that nobody asked.
    fn authorized(&mut self, choices: &mut Choices<'_>) {
        let back = if choices.chance(60) { choices.below(8) } else { 0 };
        let newest = self.asked.len().wrapping_sub(1 + back);
        let request = self.asked.get(newest);
        let Some(call) = request.map(|request| request.call).or(self.any_call(choices)) else {
            return;
        };
        let mut egress: Vec<TrunkId> =
            request.map(|r| r.candidates.iter().map(|c| c.trunk).collect()).unwrap_or_default();
        if choices.chance(20) {
            egress.push(TrunkId(choices.below(12) as u64));
        }
        if choices.chance(30) {
            let result = Err(refused(choices));
            return self.input(Input::Authorized { call, result });
        }
        self.authorize(call, World::grant(choices), egress);
    }

    fn authorize(&mut self, call: CallId, grant: Grant, egress: Vec<TrunkId>) {
        self.raise_grant(call, grant);
        if let Some(facts) = self.calls.get_mut(&call) {
            facts.is_authorized = true;
        }
        let (skipped, decisions) = (Vec::new(), Vec::new());
        let result = Ok(Authorization { grant, egress, skipped, decisions });
        self.input(Input::Authorized { call, result });
    }

    fn extend(&mut self, call: CallId, grant: Grant) {
        self.raise_grant(call, grant);
        self.input(Input::Extended(Extension { call, grant }));
    }

    fn raise_grant(&mut self, call: CallId, grant: Grant) {
        if let Some(facts) = self.calls.get_mut(&call) {
            facts.grant = facts.grant.max(grant.talk_time);
        }
    }

    fn extended(&mut self, choices: &mut Choices<'_>) {
        let wants = self.calls.iter().rev().find(|(_, facts)| facts.extends > 0);
        let wants = wants.map(|(call, _)| *call);
        let call = if choices.chance(200) { wants } else { self.any_call(choices) };
        let Some(call) = call else { return };
        self.extend(call, World::grant(choices));
    }

    fn recorded(&mut self, choices: &mut Choices<'_>) {
        let waits = self.calls.iter().find(|(_, facts)| facts.answered > 0 && !facts.is_recorded);
        let waits = waits.map(|(call, _)| *call);
        let call = if choices.chance(220) { waits } else { self.any_call(choices) };
        if let Some(call) = call {
            self.input(Input::Recorded { call, grant: None });
        }
    }

    fn resolved(&mut self, choices: &mut Choices<'_>) {
        if choices.chance(64) {
            return self.input(self.questions.any_answer(choices));
        }
        let index = choices.below(self.queries.len().max(1));
        let made_up = QueryId(u64::from(choices.word()) << choices.pick(&[0, 16, 32, 48]));
        let query = self.queries.get(index).copied().unwrap_or(made_up);
        let targets = (0..choices.below(6)).map(|_| Target {
            transport: choices.pick(&[Transport::Udp, Transport::Udp, Transport::Tls]),
            addr: address(choices.pick(&PEERS)),
        });
        let targets = targets.collect();
        self.input(Input::Resolved { query, targets });
    }

    fn callee_responds(&mut self, choices: &mut Choices<'_>) {
        if let Some((from, request)) = self.request(choices) {
            let text = peers::any_response(&from, &request, choices);
            self.say(&from, text);
        }
    }

    /// A request of ours, a new one rather than an old one.
    fn request(&self, choices: &mut Choices<'_>) -> Option<(String, Message)> {
        let back = choices.below(MEMORY) / 4;
        let index = self.requests.len().checked_sub(1 + back.min(self.requests.len() / 2))?;
        Some(self.requests[index].clone())
    }

    fn caller_requests(&mut self, choices: &mut Choices<'_>) {
        let answered = self.callers.iter().filter(|caller| caller.answer.is_some());
        let answered: Vec<&Caller> = answered.collect();
        let Some(caller) = answered.get(choices.below(answered.len().max(1))) else { return };
        let (from, answer) = (caller.from, caller.answer.clone().expect("filtered"));
        let method = if choices.chance(80) { "ACK" } else { choices.pick(&peers::METHODS) };
        let cseq = if method == "ACK" { answer.cseq().0 } else { choices.below(6) as u32 };
        let text = peers::of_caller(from, &answer, method, cseq, choices);
        self.say(from, text);
    }

    fn callee_requests(&mut self, choices: &mut Choices<'_>) {
        let Some((from, request)) = self.request(choices) else { return };
        let method = choices.pick(&peers::METHODS);
        let cseq = choices.below(6) as u32;
        let text = peers::of_callee(&from, &request, method, cseq, choices);
        self.say(&from, text);
    }

    fn cancel(&mut self, choices: &mut Choices<'_>) {
        let index = choices.below(self.callers.len().max(1));
        let Some(Caller { from, call_id, cld, .. }) = self.callers.get(index) else { return };
        let (from, text) = (*from, peers::cancel(from, call_id, cld, 1));
        self.say(from, text);
    }

    /// An old message again: as it was, changed in a few places, cut off, from someone else.
    fn repeat_damaged(&mut self, choices: &mut Choices<'_>) {
        let index = choices.below(self.heard.len().max(1));
        let Some((from, mut bytes)) = self.heard.get(index).cloned() else { return };
        for _ in 0..choices.below(4) {
            let at = usize::from(choices.word()) % bytes.len().max(1);
            match choices.below(4) {
                0 => bytes[at] = choices.byte(),
                1 => bytes.insert(at, choices.byte()),
                2 => drop(bytes.remove(at)),
                _ => bytes[at] = choices.pick(b"0123456789;:,<>@\" \r\n"),
            }
        }
        let from = if choices.chance(40) { choices.pick(&PEERS).to_owned() } else { from };
        self.deliver(&from, bytes);
    }

    fn register(&mut self, choices: &mut Choices<'_>) {
        let user = choices.pick(&["alice", "bob", "nobody"]);
        let text = peers::register(PEERS[6], user, "reg", choices.below(4) as u32, choices);
        self.say(PEERS[6], text);
    }

    fn path_fails(&mut self, choices: &mut Choices<'_>) {
        let mut failed = path(choices.pick(&PEERS));
        if choices.chance(30) {
            failed.transport = Transport::Tcp;
        }
        self.input(Input::PathFailed(failed));
    }

    fn configure(&mut self, choices: &mut Choices<'_>) {
        let input = match choices.below(32) {
            0 => Input::Drain,
            1 => Input::ReleaseAll,
            n if n < 8 => Input::Pressure(switch::overload::Pressure::Share(130 * n as u16)),
            n => Input::Directory(directory(n % 2 == 0)),
        };
        self.input(input);
    }

    /// Lets time pass, with every timeout on the way.
    fn pass(&mut self, duration: Duration) {
        let end = self.now.plus(duration);
        while let Some(at) = self.shard.poll_timeout().filter(|at| *at <= end.monotonic) {
            self.now = self.now.plus(at.saturating_sub(self.now.monotonic));
            self.input(Input::Timeout);
        }
        self.now = end;
    }

    // The end.

    /// Whoever was asked answers in the end, or never does and everybody is sent away; then the
    /// timers run out.
    fn end(&mut self, is_orderly: bool) {
        if is_orderly {
            for request in std::mem::take(&mut self.asked) {
                let result = Err(refused(&mut Choices::new(&[])));
                self.input(Input::Authorized { call: request.call, result });
            }
            for call in self.calls.keys().copied().collect::<Vec<_>>() {
                self.input(Input::Recorded { call, grant: None });
            }
        } else {
            self.input(Input::ReleaseAll);
        }
        for secs in [1, 4, 8, 16, 33, 33, 70, 130, 310, 15_000, 2000, 2000, 400, 100, 40, 40, 1] {
            self.read(secs % 2 == 0);
            self.now = self.now.plus(Duration::from_secs(secs));
            self.input(Input::Timeout);
        }
        self.read(false);
        self.pass(Duration::from_secs(40));
        self.check_over();
    }

    fn check_over(&self) {
        for (call, facts) in &self.calls {
            assert_eq!(facts.settled, 1, "call {call} is settled once");
        }
        let stats = self.shard.stats();
        assert_eq!(stats.calls_started as usize, self.calls.len());
        assert!(self.shard.is_idle(), "{:?}", self.shard.live_calls());
        assert_eq!(self.shard.armed_calls(), 0);
        assert!(self.shared.admission.is_empty());
        assert_eq!((stats.calls_panicked, stats.calls_talking, stats.calls_live), (0, 0, 0));
    }
}

fn refused(choices: &mut Choices<'_>) -> Refused {
    let line = DecisionLine { code: "refused", sentence: "No.".into() };
    let reasons = [
        Refused::AccountInactive,
        Refused::NoRateGroup,
        Refused::NoRate,
        Refused::InsufficientCredit,
        Refused::NoCarrier,
    ];
    choices.pick(&reasons)(line)
}
