//! A calling trunk: places one call, retransmits like RFC 3261 wants, talks for a while, hangs up
//! or waits for the other side, cancels if it is impatient.
//!
//! ```text
//! Inviting ─▶ Talking ─▶ Closing ─▶ Over
//!    ├─▶ Cancelling ─▶ Over
//!    └─▶ Over (refused)
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use crate::text;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(32);

/// What the caller means to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its number within the run; makes its Call-ID.
    pub index: u32,
    /// The trunk's address.
    pub from: SocketAddr,
    /// The switch.
    pub to: SocketAddr,
    /// The number it dials.
    pub cld: String,
    /// How long after the answer it hangs up.
    pub talk: Duration,
    /// How long it waits for an answer before it cancels.
    pub patience: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Inviting,
    Cancelling,
    Talking,
    Closing,
    Over,
}

/// What became of the call, as the caller saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The final status of its INVITE.
    pub final_status: Option<u16>,
    /// When the first 200 came.
    pub answered_at: Option<Duration>,
    /// When it sent or received BYE.
    pub ended_at: Option<Duration>,
}

/// One caller.
#[derive(Debug)]
pub struct Caller {
    /// Its plan.
    pub plan: Plan,
    /// What it saw.
    pub seen: Seen,
    state: State,
    started_at: Duration,
    /// The request that is being retransmitted, when next, and at which interval.
    pending: Option<(String, Duration, Duration)>,
    heard_provisional: bool,
    cancel_wanted: bool,
    remote_target: String,
    remote_to: String,
    ack: String,
    out: Vec<String>,
}

impl Caller {
    /// Starts at once.
    pub fn new(now: Duration, plan: Plan) -> Caller {
        let mut caller = Caller {
            seen: Seen::default(),
            state: State::Inviting,
            started_at: now,
            pending: None,
            heard_provisional: false,
            cancel_wanted: false,
            remote_target: format!("sip:{}@{}", plan.cld, plan.to),
            remote_to: format!("<sip:{}@{}>", plan.cld, plan.to),
            ack: String::new(),
            out: Vec::new(),
            plan,
        };
        let invite = caller.request("INVITE", 1, "i", text::SDP);
        caller.transmit(now, invite);
        caller
    }

    /// Its Call-ID.
    pub fn call_id(&self) -> String {
        format!("sim-{}", self.plan.index)
    }

    /// Whether nothing more will come from it.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Datagrams for the switch.
    pub fn drain(&mut self) -> Vec<String> {
        std::mem::take(&mut self.out)
    }

    /// When it wants to be called again.
    pub fn timeout(&self) -> Option<Duration> {
        let retransmit = self.pending.as_ref().map(|p| p.1);
        let own = match self.state {
            State::Inviting if !self.cancel_wanted => Some(self.started_at + self.plan.patience),
            State::Inviting | State::Cancelling => Some(self.started_at + GIVE_UP * 4),
            State::Talking => self.seen.answered_at.map(|at| at + self.plan.talk),
            State::Closing | State::Over => None,
        };
        [retransmit, own].into_iter().flatten().min()
    }

    /// Its time has come.
    pub fn handle_timeout(&mut self, now: Duration) {
        if let Some((bytes, at, interval)) = self.pending.clone()
            && now >= at
        {
            if interval > GIVE_UP {
                self.pending = None;
                if matches!(self.state, State::Closing | State::Inviting | State::Cancelling) {
                    self.state = State::Over;
                }
                return;
            }
            self.out.push(bytes.clone());
            let is_invite = text::method(&bytes) == "INVITE";
            let next = if is_invite { interval * 2 } else { (interval * 2).min(T2) };
            let spent = at - self.started_at;
            let next = if !is_invite && spent > GIVE_UP * 6 { GIVE_UP * 2 } else { next };
            self.pending = Some((bytes, now + next, next));
        }
        match self.state {
            State::Inviting
                if !self.cancel_wanted && now >= self.started_at + self.plan.patience =>
            {
                self.cancel_wanted = true;
                self.cancel_if_allowed(now);
            }
            State::Inviting | State::Cancelling if now >= self.started_at + GIVE_UP * 4 => {
                self.state = State::Over;
                self.pending = None;
            }
            State::Talking
                if self.seen.answered_at.is_some_and(|at| now >= at + self.plan.talk) =>
            {
                self.state = State::Closing;
                self.seen.ended_at = Some(now);
                let bye = self.request("BYE", 2, "b", "");
                self.transmit(now, bye);
            }
            _ => {}
        }
    }

    /// A datagram from the switch.
    pub fn receive(&mut self, now: Duration, message: &str) {
        match text::status(message) {
            Some(status) => self.response(now, status, message),
            None => self.request_received(now, message),
        }
    }

    fn response(&mut self, now: Duration, status: u16, message: &str) {
        match (text::method(message), status) {
            ("INVITE", 100..=199) => {
                self.heard_provisional = true;
                if self.state == State::Inviting {
                    self.pending = None;
                    self.cancel_if_allowed(now);
                }
            }
            ("INVITE", 200..=299) => self.answered(now, status, message),
            ("INVITE", _) => {
                let to = text::header(message, "To").unwrap_or("").to_string();
                self.remote_to = to;
                let ack = self.request("ACK", 1, "i", "");
                self.out.push(ack);
                if matches!(self.state, State::Inviting | State::Cancelling) {
                    self.seen.final_status = Some(status);
                    self.state = State::Over;
                    self.pending = None;
                }
            }
            ("BYE", 200..) if self.state == State::Closing => {
                self.state = State::Over;
                self.pending = None;
            }
            ("CANCEL", 200..) if self.state == State::Cancelling => self.pending = None,
            _ => {}
        }
    }

    fn answered(&mut self, now: Duration, status: u16, message: &str) {
        if self.seen.final_status.is_none() {
            self.seen.final_status = Some(status);
            self.remote_target = text::contact(message).unwrap_or("sip:nobody").to_string();
            self.remote_to = text::header(message, "To").unwrap_or("").to_string();
            self.ack = self.request("ACK", 1, "a", "");
            self.pending = None;
            self.seen.answered_at = Some(now);
            if self.state == State::Cancelling {
                // It answered before our CANCEL arrived: hang up at once.
                self.plan.talk = Duration::ZERO;
            }
            self.state = State::Talking;
        }
        self.out.push(self.ack.clone());
    }

    fn request_received(&mut self, now: Duration, message: &str) {
        let answer = |status| text::response(message, status, "", "", "");
        match text::method(message) {
            "BYE" => {
                self.out.push(answer(200));
                if matches!(self.state, State::Talking | State::Closing) {
                    self.seen.ended_at.get_or_insert(now);
                    if self.state == State::Talking {
                        self.state = State::Over;
                        self.pending = None;
                    }
                }
            }
            "ACK" => {}
            _ => self.out.push(answer(200)),
        }
    }

    fn cancel_if_allowed(&mut self, now: Duration) {
        if self.cancel_wanted && self.heard_provisional && self.state == State::Inviting {
            self.state = State::Cancelling;
            let cancel = self.request("CANCEL", 1, "i", "");
            self.transmit(now, cancel);
        }
    }

    fn transmit(&mut self, now: Duration, bytes: String) {
        self.out.push(bytes.clone());
        self.pending = Some((bytes, now + T1, T1));
    }

    fn request(&self, method: &str, cseq: u32, branch: &str, body: &str) -> String {
        let Plan { index, from, cld, to, .. } = &self.plan;
        let first = format!("sip:{cld}@{to}");
        let in_dialog = method == "BYE" || branch == "a";
        let uri = if in_dialog { &self.remote_target } else { &first };
        let to_header = if in_dialog || method == "ACK" {
            self.remote_to.clone()
        } else {
            format!("<{first}>")
        };
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK-{index}-{branch}\r\n\
             From: <sip:4930{index}@{from}>;tag=c{index}\r\nTo: {to_header}\r\n\
             Call-ID: sim-{index}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n\
             Contact: <sip:caller@{from}>\r\n"
        );
        text::finish(text, body)
    }
}
