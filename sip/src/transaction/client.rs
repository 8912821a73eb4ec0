//! Non-INVITE client transaction: RFC 3261 section 17.1.2 (figure 6).

use std::time::Duration;

use super::{Clock, Failure, Send, Setting, Step, Timer};

/// ```text
/// Trying ──1xx──▶ Proceeding ──200-699──▶ Completed ──K──▶ Terminated
///    │ └──200-699────────┼───────────────▶                  ▲
///    └──F, transport error────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The request is out, nothing came back.
    Trying {
        /// The running interval of timer E.
        interval: Duration,
    },
    /// A provisional response came.
    Proceeding,
    /// The final response came.
    Completed,
    /// Over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A response with this status.
    Response(u16),
    /// A timer fired.
    Timer(Timer),
    /// The transport could not deliver.
    TransportError,
}

/// The first step: the request goes out.
pub fn start(setting: Setting<'_>) -> Step<State> {
    let Setting { timing, reliable } = setting;
    let step = Step::to(State::Trying { interval: timing.t1 })
        .send(Send::Request)
        .limit(Clock::Start(Timer::F, timing.timeout()));
    if reliable { step } else { step.repeat(Clock::Start(Timer::E, timing.t1)) }
}

/// One input.
pub fn step(state: State, input: Input, setting: Setting<'_>) -> Step<State> {
    let timing = setting.timing;
    match (state, input) {
        (State::Trying { interval }, Input::Timer(Timer::E)) => {
            let interval = timing.doubled(interval);
            Step::to(State::Trying { interval })
                .send(Send::Request)
                .repeat(Clock::Start(Timer::E, interval))
        }
        // In Proceeding timer E fires every T2, whatever it was before; the interval that ran when
        // the provisional response came runs out first.
        (State::Proceeding, Input::Timer(Timer::E)) => Step::to(State::Proceeding)
            .send(Send::Request)
            .repeat(Clock::Start(Timer::E, timing.t2)),
        (State::Trying { .. } | State::Proceeding, Input::Timer(Timer::F)) => end(Failure::Timeout),
        (State::Trying { .. } | State::Proceeding, Input::TransportError) => {
            end(Failure::Transport)
        }
        (State::Trying { .. } | State::Proceeding, Input::Response(100..=199)) => {
            Step::to(State::Proceeding).deliver()
        }
        (State::Trying { .. } | State::Proceeding, Input::Response(_)) => {
            if setting.reliable {
                return Step::to(State::Terminated).deliver().quiet();
            }
            Step::to(State::Completed)
                .deliver()
                .repeat(Clock::Stop)
                .limit(Clock::Start(Timer::K, timing.t4))
        }
        (State::Completed, Input::Timer(Timer::K)) => Step::to(State::Terminated).quiet(),
        (state, _) => Step::to(state),
    }
}

fn end(why: Failure) -> Step<State> {
    Step::to(State::Terminated).failed(why).quiet()
}
