//! An answering trunk: each INVITE that reaches it is a call with a temper of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::random::Random;
use crate::text;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(32);

/// How one call is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Temper {
    Answers { hangs_up_after: Option<Duration> },
    Refuses { status: u16 },
    RingsForEver,
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ringing,
    Answered,
    Acknowledged,
    Closing,
    Over,
}

#[derive(Debug)]
struct Callee {
    temper: Temper,
    state: State,
    invite: String,
    decide_at: Duration,
    hang_up_at: Option<Duration>,
    /// What is being retransmitted, when next, at which interval, and until when.
    pending: Option<(String, Duration, Duration, Duration)>,
}

/// Talk that a carrier saw, for comparison with its CDR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Talked {
    /// Calls that got ACK for their 200.
    pub calls: u64,
}

/// One carrier with all its calls.
#[derive(Debug)]
pub struct Carrier {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it saw.
    pub talked: Talked,
    random: Random,
    callees: BTreeMap<String, Callee>,
    out: Vec<String>,
}

impl Carrier {
    /// `seed` decides the temper of each call.
    pub fn new(address: SocketAddr, seed: u64) -> Carrier {
        Carrier {
            address,
            talked: Talked::default(),
            random: Random::new(seed),
            callees: BTreeMap::new(),
            out: Vec::new(),
        }
    }

    /// Forgets its calls, which are over.
    pub(crate) fn forget(&mut self) {
        self.callees.clear();
    }

    /// Datagrams for the switch.
    pub fn drain(&mut self) -> Vec<String> {
        std::mem::take(&mut self.out)
    }

    /// When it wants to be called again.
    pub fn timeout(&self) -> Option<Duration> {
        self.callees.values().filter_map(Callee::timeout).min()
    }

    /// Its time has come, for some of its calls.
    pub fn handle_timeout(&mut self, now: Duration) {
        let address = self.address;
        for (call_id, callee) in &mut self.callees {
            callee.handle_timeout(now, call_id, address, &mut self.out);
        }
    }

    /// A datagram from the switch.
    pub fn receive(&mut self, now: Duration, message: &str) {
        let call_id = text::header(message, "Call-ID").unwrap_or("").to_string();
        if text::status(message).is_some() {
            if let Some(callee) = self.callees.get_mut(&call_id)
                && text::method(message) == "BYE"
                && text::status(message).is_some_and(|s| s >= 200)
            {
                callee.state = State::Over;
                callee.pending = None;
            }
            return;
        }
        match text::method(message) {
            "INVITE" => self.invite(now, call_id, message),
            "ACK" => self.ack(now, &call_id),
            "CANCEL" => self.cancel(now, &call_id, message),
            "BYE" => {
                self.out.push(text::response(message, 200, "", "", ""));
                if let Some(callee) = self.callees.get_mut(&call_id) {
                    callee.state = State::Over;
                    callee.pending = None;
                }
            }
            _ => self.out.push(text::response(message, 200, "", "", "")),
        }
    }

    fn invite(&mut self, now: Duration, call_id: String, message: &str) {
        if let Some(callee) = self.callees.get(&call_id) {
            // A retransmission: repeat what we said last.
            if let Some((bytes, ..)) = &callee.pending {
                self.out.push(bytes.clone());
            }
            return;
        }
        let random = &mut self.random;
        let second = Duration::from_secs(1);
        let temper = match random.below(100) {
            0..=64 => Temper::Answers {
                hangs_up_after: random.chance(40).then(|| random.between(second / 10, second * 90)),
            },
            65..=74 => Temper::Refuses { status: 486 },
            75..=89 => Temper::Refuses { status: [500, 503, 404][random.below(3) as usize] },
            90..=95 => Temper::RingsForEver,
            _ => Temper::Silent,
        };
        let decide_at = now + random.between(Duration::ZERO, second * 8);
        if temper != Temper::Silent && random.chance(80) {
            self.out.push(text::response(message, 180, "u", &uri(self.address), ""));
        }
        let callee = Callee {
            temper,
            state: State::Ringing,
            invite: message.to_string(),
            decide_at,
            hang_up_at: None,
            pending: None,
        };
        self.callees.insert(call_id, callee);
    }

    fn ack(&mut self, now: Duration, call_id: &str) {
        let Some(callee) = self.callees.get_mut(call_id) else { return };
        if callee.state == State::Answered {
            callee.state = State::Acknowledged;
            callee.pending = None;
            self.talked.calls += 1;
            if let Temper::Answers { hangs_up_after: Some(after) } = callee.temper {
                callee.hang_up_at = Some(now + after);
            }
        } else if callee.state != State::Acknowledged {
            callee.pending = None;
            callee.state = State::Over;
        }
    }

    fn cancel(&mut self, now: Duration, call_id: &str, message: &str) {
        self.out.push(text::response(message, 200, "u", "", ""));
        if let Some(callee) = self.callees.get_mut(call_id)
            && callee.state == State::Ringing
            && callee.pending.is_none()
        {
            callee.finally(now, 487, self.address, &mut self.out);
        }
    }
}

fn uri(address: SocketAddr) -> String {
    format!("sip:callee@{address}")
}

impl Callee {
    fn timeout(&self) -> Option<Duration> {
        let pending = self.pending.as_ref().map(|p| p.1);
        let own = match (self.state, self.temper) {
            (State::Ringing, Temper::Answers { .. } | Temper::Refuses { .. })
                if self.pending.is_none() =>
            {
                Some(self.decide_at)
            }
            (State::Acknowledged, _) => self.hang_up_at,
            _ => None,
        };
        [pending, own].into_iter().flatten().min()
    }

    fn handle_timeout(
        &mut self,
        now: Duration,
        call_id: &str,
        address: SocketAddr,
        out: &mut Vec<String>,
    ) {
        if let Some((bytes, at, interval, until)) = self.pending.clone()
            && now >= at
        {
            if now >= until {
                self.pending = None;
                self.state = State::Over;
                return;
            }
            out.push(bytes.clone());
            let next = (interval * 2).min(T2);
            self.pending = Some((bytes, now + next, next, until));
        }
        match (self.state, self.temper) {
            (State::Ringing, Temper::Answers { .. })
                if self.pending.is_none() && now >= self.decide_at =>
            {
                self.state = State::Answered;
                let answer = text::response(&self.invite, 200, "u", &uri(address), text::SDP);
                out.push(answer.clone());
                self.pending = Some((answer, now + T1, T1, now + GIVE_UP));
            }
            (State::Ringing, Temper::Refuses { status })
                if self.pending.is_none() && now >= self.decide_at =>
            {
                self.finally(now, status, address, out);
            }
            (State::Acknowledged, _) if self.hang_up_at.is_some_and(|at| now >= at) => {
                self.hang_up(now, call_id, address, out);
            }
            _ => {}
        }
    }

    fn finally(&mut self, now: Duration, status: u16, _at: SocketAddr, out: &mut Vec<String>) {
        let answer = text::response(&self.invite, status, "u", "", "");
        out.push(answer.clone());
        self.pending = Some((answer, now + T1, T1, now + GIVE_UP));
    }

    fn hang_up(&mut self, now: Duration, call_id: &str, at: SocketAddr, out: &mut Vec<String>) {
        let field = |name: &str| text::header(&self.invite, name).unwrap_or("").to_string();
        let target = text::contact(&self.invite).unwrap_or("sip:nobody");
        let bye = format!(
            "BYE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK-u-{call_id}\r\n\
             From: {};tag=u\r\nTo: {}\r\nCall-ID: {call_id}\r\nCSeq: 1 BYE\r\nMax-Forwards: 70\r\n",
            field("To"),
            field("From"),
        );
        let bye = text::finish(bye, "");
        out.push(bye.clone());
        self.state = State::Closing;
        self.pending = Some((bye, now + T1, T1, now + GIVE_UP));
    }
}
