//! INVITE server transaction: RFC 3261 section 17.2.1 (figure 7) with RFC 6026 section 7.1.

use std::time::Duration;

use super::{Clock, Failure, Send, Setting, Step, Timer};

/// ```text
/// Proceeding ──2xx──▶ Accepted ──L──────────────────▶ Terminated
///     │                                                ▲     ▲
///     └──300-699──▶ Completed ──ACK──▶ Confirmed ──I───┘     │
///                       └──H──────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No final response yet.
    Proceeding {
        /// Whether any response was sent.
        answered: bool,
    },
    /// A final response other than 2xx was sent, its ACK is awaited.
    Completed {
        /// The running interval of timer G.
        interval: Duration,
    },
    /// The ACK came; more copies of it may.
    Confirmed,
    /// A 2xx was sent. Repeating it is the leg's work, since its ACK is not ours.
    Accepted,
    /// Over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The INVITE again.
    Invite,
    /// An ACK with the INVITE's branch.
    Ack,
    /// The user of the transaction answers with this status.
    Respond(u16),
    /// A timer fired.
    Timer(Timer),
    /// The transport could not deliver.
    TransportError,
}

/// The first step: the INVITE is passed up. With `trying_after` zero the 100 goes out at once.
pub fn start(setting: Setting<'_>) -> Step<State> {
    let timing = setting.timing;
    let limit = Clock::Start(Timer::Unanswered, timing.invite_max);
    if timing.trying_after.is_zero() {
        let answered = Step::to(State::Proceeding { answered: true });
        return answered.send(Send::Trying).deliver().limit(limit);
    }
    Step::to(State::Proceeding { answered: false })
        .deliver()
        .repeat(Clock::Start(Timer::Trying, timing.trying_after))
        .limit(limit)
}

/// One input.
pub fn step(state: State, input: Input, setting: Setting<'_>) -> Step<State> {
    match state {
        State::Proceeding { answered } => proceeding(answered, input, setting),
        State::Completed { interval } => completed(interval, input, setting),
        State::Confirmed => match input {
            Input::Timer(Timer::I) => Step::to(State::Terminated).quiet(),
            _ => Step::to(State::Confirmed),
        },
        State::Accepted => accepted(input),
        State::Terminated => Step::to(State::Terminated),
    }
}

fn proceeding(answered: bool, input: Input, setting: Setting<'_>) -> Step<State> {
    let Setting { timing, reliable } = setting;
    let stay = Step::to(State::Proceeding { answered });
    match input {
        Input::Invite if answered => stay.send(Send::Response),
        // The client asks again before our 200 ms are over: it gets its 100 now.
        Input::Invite | Input::Timer(Timer::Trying) => {
            Step::to(State::Proceeding { answered: true }).send(Send::Trying).repeat(Clock::Stop)
        }
        Input::Respond(100..=199) => {
            Step::to(State::Proceeding { answered: true }).send(Send::Response).repeat(Clock::Stop)
        }
        Input::Respond(200..=299) => Step::to(State::Accepted)
            .send(Send::Response)
            .repeat(Clock::Stop)
            .limit(Clock::Start(Timer::L, timing.timeout())),
        Input::Respond(_) => Step::to(State::Completed { interval: timing.t1 })
            .send(Send::Response)
            .repeat(if reliable { Clock::Stop } else { Clock::Start(Timer::G, timing.t1) })
            .limit(Clock::Start(Timer::H, timing.timeout())),
        Input::Timer(Timer::Unanswered) => end(Failure::Timeout),
        // RFC 6026: the user is told, and still has to answer.
        Input::TransportError => stay.failed(Failure::Transport),
        Input::Ack | Input::Timer(_) => stay,
    }
}

fn completed(interval: Duration, input: Input, setting: Setting<'_>) -> Step<State> {
    let Setting { timing, reliable } = setting;
    let stay = Step::to(State::Completed { interval });
    match input {
        Input::Invite => stay.send(Send::Response),
        Input::Timer(Timer::G) => {
            let interval = timing.doubled(interval);
            Step::to(State::Completed { interval })
                .send(Send::Response)
                .repeat(Clock::Start(Timer::G, interval))
        }
        Input::Timer(Timer::H) => end(Failure::Timeout),
        Input::Ack if reliable => Step::to(State::Terminated).quiet(),
        Input::Ack => {
            Step::to(State::Confirmed).repeat(Clock::Stop).limit(Clock::Start(Timer::I, timing.t4))
        }
        Input::TransportError => end(Failure::Transport),
        Input::Respond(_) | Input::Timer(_) => stay,
    }
}

fn accepted(input: Input) -> Step<State> {
    let stay = Step::to(State::Accepted);
    match input {
        // The leg repeats its 2xx, a fork may add another.
        Input::Respond(200..=299) => stay.send(Send::Response),
        Input::Ack => stay.deliver(),
        Input::TransportError => stay.failed(Failure::Transport),
        Input::Timer(Timer::L) => Step::to(State::Terminated).quiet(),
        // Repeated INVITEs are absorbed without an answer (RFC 6026 section 7.1).
        Input::Invite | Input::Respond(_) | Input::Timer(_) => stay,
    }
}

fn end(why: Failure) -> Step<State> {
    Step::to(State::Terminated).failed(why).quiet()
}
