//! The four transaction machines of RFC 3261 section 17, with the Accepted state of RFC 6026.
//!
//! A machine here is a small `Copy` state and one function `step(state, input) -> Step`. It holds
//! no message, no address and no timer: what to send, what to tell the user of the transaction and
//! which timer to arm are said in the `Step`, and the endpoint does it. So every edge of figures 5
//! to 8 is one row of a table in the tests.

pub mod client;
pub mod invite_client;
pub mod invite_server;
pub mod key;
pub mod server;

use std::time::Duration;

/// The timers of RFC 3261 table 4 and RFC 6026, and `Trying`, the 200 ms of section 17.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// INVITE request retransmit, unreliable transports only.
    A,
    /// INVITE transaction timeout.
    B,
    /// The longest a provisional response holds an INVITE.
    C,
    /// Wait time for response retransmits of an INVITE client.
    D,
    /// Non-INVITE (and CANCEL) request retransmit, unreliable transports only.
    E,
    /// Non-INVITE (and CANCEL) transaction timeout.
    F,
    /// INVITE response retransmit, unreliable transports only.
    G,
    /// Wait time for the ACK.
    H,
    /// Wait time for ACK retransmits.
    I,
    /// Wait time for non-INVITE request retransmits.
    J,
    /// Wait time for response retransmits of a non-INVITE client.
    K,
    /// Accepted state of the INVITE server: wait time for INVITE retransmits.
    L,
    /// Accepted state of the INVITE client: wait time for more 2xx responses.
    M,
    /// When we send 100 (Trying) because the user of the transaction has not answered.
    Trying,
    /// How long the user of a server transaction may take to answer at all.
    Unanswered,
}

/// The base timers, and two limits that the RFC leaves to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Round-trip estimate.
    pub t1: Duration,
    /// The longest interval between retransmissions.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
    /// When an unanswered INVITE gets its 100 (section 17.2.1 allows 200 ms).
    pub trying_after: Duration,
    /// How long an INVITE may stay without a final response, either side. The leg's ring timeout
    /// comes long before it; this one only bounds what a forgotten transaction costs.
    pub invite_max: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            trying_after: Duration::from_millis(200),
            invite_max: Duration::from_secs(15 * 60),
        }
    }
}

impl Timing {
    /// 64·T1, the life of most things in section 17.
    pub fn timeout(&self) -> Duration {
        self.t1 * 64
    }

    /// When a non-INVITE request may be answered with 100: once timer E of its client has reached
    /// T2, which is after intervals of T1, 2·T1, … (RFC 4320 section 4.1).
    pub fn trying_after_non_invite(&self) -> Duration {
        let (mut at, mut interval) = (Duration::ZERO, self.t1);
        while interval < self.t2 {
            at += interval;
            interval *= 2;
        }
        at
    }

    fn doubled(&self, interval: Duration) -> Duration {
        (interval * 2).min(self.t2)
    }
}

/// What stays the same over the life of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting<'a> {
    /// The timers.
    pub timing: &'a Timing,
    /// Whether the transport repeats what is lost: then nothing is retransmitted, and nothing
    /// waits for retransmissions.
    pub reliable: bool,
}

/// What a step does to one of a transaction's two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Clock {
    /// Leave it as it is.
    #[default]
    Keep,
    /// Disarm it.
    Stop,
    /// Arm it, replacing what was armed.
    Start(Timer, Duration),
}

/// What a step sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Send {
    /// The request, for the first time or again.
    Request,
    /// The response just given, or the newest one again.
    Response,
    /// 100 (Trying), made by the transaction.
    Trying,
    /// The ACK to a final response other than 2xx.
    Ack,
    /// The CANCEL of this INVITE, for the first time or again.
    Cancel,
}

/// Why a transaction failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Nothing came in time.
    Timeout,
    /// The transport could not deliver.
    Transport,
}

/// What follows from one input: the next state, then effects in the order of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<S> {
    /// The state after the input.
    pub next: S,
    /// What goes out.
    pub send: Option<Send>,
    /// Whether the message just received is passed up.
    pub deliver: bool,
    /// The failure to report.
    pub failed: Option<Failure>,
    /// The retransmission clock.
    pub repeat: Clock,
    /// The clock that ends a state.
    pub limit: Clock,
}

impl<S> Step<S> {
    fn to(next: S) -> Step<S> {
        Step {
            next,
            send: None,
            deliver: false,
            failed: None,
            repeat: Clock::Keep,
            limit: Clock::Keep,
        }
    }

    fn send(mut self, send: Send) -> Step<S> {
        self.send = Some(send);
        self
    }

    fn deliver(mut self) -> Step<S> {
        self.deliver = true;
        self
    }

    fn failed(mut self, why: Failure) -> Step<S> {
        self.failed = Some(why);
        self
    }

    fn repeat(mut self, clock: Clock) -> Step<S> {
        self.repeat = clock;
        self
    }

    fn limit(mut self, clock: Clock) -> Step<S> {
        self.limit = clock;
        self
    }

    /// The same step of a machine that wraps this one.
    pub fn map<T>(self, wrap: impl FnOnce(S) -> T) -> Step<T> {
        let Step { next, send, deliver, failed, repeat, limit } = self;
        Step { next: wrap(next), send, deliver, failed, repeat, limit }
    }

    /// Stops both clocks: the end of a state in which either may run.
    fn quiet(self) -> Step<S> {
        self.repeat(Clock::Stop).limit(Clock::Stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timer_e_reaches_t2_after_three_and_a_half_seconds() {
        let timing = Timing::default();
        assert_eq!(timing.trying_after_non_invite(), Duration::from_millis(3_500));
        assert_eq!(timing.timeout(), Duration::from_secs(32));
    }
}
