//! INVITE client transaction: RFC 3261 section 17.1.1 (figure 5), RFC 6026 section 7.2, and the
//! CANCEL of section 9.1, which belongs to the INVITE it cancels: same branch, same path, and no
//! life of its own.

use std::time::Duration;

use super::{Clock, Failure, Send, Setting, Step, Timer};

/// ```text
/// Calling ──1xx──▶ Proceeding ──2xx──▶ Accepted ──M──▶ Terminated
///    │  └────2xx──────────┼───────────▶                ▲   ▲
///    │                    └──300-699─▶ Completed ──D───┘   │
///    └──B, transport error─────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The request is out, nothing came back.
    Calling {
        /// The running interval of timer A.
        interval: Duration,
        /// A CANCEL goes out as soon as a provisional response is here (section 9.1).
        cancel: bool,
    },
    /// A provisional response came.
    Proceeding {
        /// How far a CANCEL got.
        cancel: Cancel,
    },
    /// A final response other than 2xx came and was acknowledged.
    Completed,
    /// A 2xx came; more may, from other branches of a fork.
    Accepted,
    /// Over.
    Terminated,
}

/// How far the CANCEL of an INVITE got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// Not wanted.
    No,
    /// Sent; the running interval of its timer E.
    Sent(Duration),
    /// Answered.
    Answered,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A response with this status.
    Response(u16),
    /// A response to our CANCEL with this status.
    CancelResponse(u16),
    /// The user of the transaction gives up.
    Cancel,
    /// A timer fired.
    Timer(Timer),
    /// The transport could not deliver.
    TransportError,
}

/// The first step: the request goes out.
pub fn start(setting: Setting<'_>) -> Step<State> {
    let Setting { timing, reliable } = setting;
    let step = Step::to(State::Calling { interval: timing.t1, cancel: false })
        .send(Send::Request)
        .limit(Clock::Start(Timer::B, timing.timeout()));
    if reliable { step } else { step.repeat(Clock::Start(Timer::A, timing.t1)) }
}

/// One input.
pub fn step(state: State, input: Input, setting: Setting<'_>) -> Step<State> {
    match state {
        State::Calling { interval, cancel } => calling(interval, cancel, input, setting),
        State::Proceeding { cancel } => proceeding(cancel, input, setting),
        State::Completed => completed(input),
        State::Accepted => accepted(input),
        State::Terminated => Step::to(State::Terminated),
    }
}

fn calling(interval: Duration, cancel: bool, input: Input, setting: Setting<'_>) -> Step<State> {
    let timing = setting.timing;
    match input {
        Input::Response(100..=199) if cancel => send_cancel(setting).deliver(),
        Input::Response(100..=199) => Step::to(State::Proceeding { cancel: Cancel::No })
            .deliver()
            .repeat(Clock::Stop)
            .limit(Clock::Start(Timer::C, timing.invite_max)),
        Input::Response(status) => final_response(status, setting),
        Input::Cancel => Step::to(State::Calling { interval, cancel: true }),
        // Timer A doubles without the T2 limit: figure 5, unlike timer E in figure 6.
        Input::Timer(Timer::A) => Step::to(State::Calling { interval: interval * 2, cancel })
            .send(Send::Request)
            .repeat(Clock::Start(Timer::A, interval * 2)),
        Input::Timer(Timer::B) => end(Failure::Timeout),
        Input::TransportError => end(Failure::Transport),
        Input::CancelResponse(_) | Input::Timer(_) => Step::to(State::Calling { interval, cancel }),
    }
}

fn proceeding(cancel: Cancel, input: Input, setting: Setting<'_>) -> Step<State> {
    let stay = Step::to(State::Proceeding { cancel });
    match (input, cancel) {
        (Input::Response(100..=199), _) => stay.deliver(),
        (Input::Response(status), _) => final_response(status, setting),
        (Input::Cancel, Cancel::No) => send_cancel(setting),
        // No final response for very long: give up as a caller would.
        (Input::Timer(Timer::C), Cancel::No) => send_cancel(setting),
        (Input::Timer(Timer::E), Cancel::Sent(interval)) => {
            let interval = setting.timing.doubled(interval);
            Step::to(State::Proceeding { cancel: Cancel::Sent(interval) })
                .send(Send::Cancel)
                .repeat(Clock::Start(Timer::E, interval))
        }
        (Input::CancelResponse(200..=699), Cancel::Sent(_)) => {
            Step::to(State::Proceeding { cancel: Cancel::Answered }).repeat(Clock::Stop)
        }
        // The INVITE got no final response within 64·T1 of its CANCEL: it counts as cancelled
        // (section 9.1).
        (Input::Timer(Timer::F), _) => end(Failure::Timeout),
        (Input::TransportError, _) => end(Failure::Transport),
        (Input::CancelResponse(_) | Input::Cancel | Input::Timer(_), _) => stay,
    }
}

fn completed(input: Input) -> Step<State> {
    match input {
        Input::Response(300..=699) => Step::to(State::Completed).send(Send::Ack),
        Input::Timer(Timer::D) => Step::to(State::Terminated).quiet(),
        // Figure 5 informs the user of a failed ACK. It has its final response already and can do
        // nothing more, and one outcome per transaction is worth more to it.
        Input::TransportError => Step::to(State::Terminated).quiet(),
        _ => Step::to(State::Completed),
    }
}

fn accepted(input: Input) -> Step<State> {
    match input {
        Input::Response(200..=299) => Step::to(State::Accepted).deliver(),
        Input::Timer(Timer::M) => Step::to(State::Terminated).quiet(),
        _ => Step::to(State::Accepted),
    }
}

fn send_cancel(setting: Setting<'_>) -> Step<State> {
    let Setting { timing, reliable } = setting;
    Step::to(State::Proceeding { cancel: Cancel::Sent(timing.t1) })
        .send(Send::Cancel)
        .repeat(if reliable { Clock::Stop } else { Clock::Start(Timer::E, timing.t1) })
        .limit(Clock::Start(Timer::F, timing.timeout()))
}

fn final_response(status: u16, setting: Setting<'_>) -> Step<State> {
    let Setting { timing, reliable } = setting;
    if status < 300 {
        return Step::to(State::Accepted)
            .deliver()
            .repeat(Clock::Stop)
            .limit(Clock::Start(Timer::M, timing.timeout()));
    }
    // Timer D: at least 32 seconds, zero on reliable transports.
    if reliable {
        return Step::to(State::Terminated).send(Send::Ack).deliver().quiet();
    }
    Step::to(State::Completed)
        .send(Send::Ack)
        .deliver()
        .repeat(Clock::Stop)
        .limit(Clock::Start(Timer::D, timing.timeout()))
}

fn end(why: Failure) -> Step<State> {
    Step::to(State::Terminated).failed(why).quiet()
}
