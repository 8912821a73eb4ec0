//! Non-INVITE server transaction: RFC 3261 section 17.2.2 (figure 8) with RFC 4320: no provisional
//! response but 100, that one not before the client's timer E has reached T2, and never a 408.

use super::{Clock, Failure, Send, Setting, Step, Timer};

/// ```text
/// Trying ──100──▶ Proceeding ──200-699──▶ Completed ──J──▶ Terminated
///    │ └──200-699───────┼────────────────▶                  ▲
///    └──408, unanswered, transport error──────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing was sent yet.
    Trying,
    /// 100 was sent.
    Proceeding,
    /// The final response was sent.
    Completed,
    /// Over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The request again.
    Request,
    /// The user of the transaction answers with this status.
    Respond(u16),
    /// A timer fired.
    Timer(Timer),
    /// The transport could not deliver.
    TransportError,
}

/// The first step: the request is passed up.
pub fn start(setting: Setting<'_>) -> Step<State> {
    let timing = setting.timing;
    Step::to(State::Trying)
        .deliver()
        .repeat(Clock::Start(Timer::Trying, timing.trying_after_non_invite()))
        .limit(Clock::Start(Timer::Unanswered, timing.timeout()))
}

/// One input.
pub fn step(state: State, input: Input, setting: Setting<'_>) -> Step<State> {
    let Setting { timing, reliable } = setting;
    let open = matches!(state, State::Trying | State::Proceeding);
    match input {
        Input::Request if matches!(state, State::Proceeding | State::Completed) => {
            Step::to(state).send(Send::Response)
        }
        Input::Timer(Timer::Trying) if state == State::Trying => {
            Step::to(State::Proceeding).send(Send::Trying).repeat(Clock::Stop)
        }
        // On a reliable transport 100 may go at any time; on others only our own timer may send it.
        Input::Respond(100) if state == State::Trying && reliable => {
            Step::to(State::Proceeding).send(Send::Response).repeat(Clock::Stop)
        }
        Input::Respond(..200) => Step::to(state),
        // The client has given up by itself; a 408 would only be late noise (RFC 4320 section 4.2).
        Input::Respond(408) if open => Step::to(State::Terminated).quiet(),
        Input::Respond(_) if open && reliable => {
            Step::to(State::Terminated).send(Send::Response).quiet()
        }
        Input::Respond(_) if open => Step::to(State::Completed)
            .send(Send::Response)
            .repeat(Clock::Stop)
            .limit(Clock::Start(Timer::J, timing.timeout())),
        // Its client stopped waiting (timer F): an answer would find nobody.
        Input::Timer(Timer::Unanswered) if open => end(Failure::Timeout),
        Input::Timer(Timer::J) if state == State::Completed => Step::to(State::Terminated).quiet(),
        Input::TransportError if state != State::Terminated => end(Failure::Transport),
        _ => Step::to(state),
    }
}

fn end(why: Failure) -> Step<State> {
    Step::to(State::Terminated).failed(why).quiet()
}
