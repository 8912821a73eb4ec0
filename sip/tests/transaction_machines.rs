//! The four transaction machines, edge by edge of RFC 3261 figures 5 to 8 and RFC 6026: one row is
//! a state, an input, and everything that follows from it.

use std::fmt::Debug;
use std::time::Duration;

use sip::transaction::{Clock, Failure, Send, Setting, Step, Timer, Timing};
use sip::transaction::{client, invite_client, invite_server, server};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const T4: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(32);
const MAX: Duration = Duration::from_secs(900);
const TRYING: Duration = Duration::from_millis(200);

const UDP: bool = false;
const TCP: bool = true;

/// What a row expects beside the state.
#[derive(Default)]
struct Expected {
    send: Option<Send>,
    deliver: bool,
    failed: Option<Failure>,
    repeat: Clock,
    limit: Clock,
}

fn nothing() -> Expected {
    Expected::default()
}

fn send(what: Send) -> Expected {
    Expected { send: Some(what), ..Expected::default() }
}

fn deliver() -> Expected {
    Expected { deliver: true, ..Expected::default() }
}

/// The transaction is over.
fn over() -> Expected {
    nothing().repeat(Clock::Stop).limit(Clock::Stop)
}

fn failed(why: Failure) -> Expected {
    Expected { failed: Some(why), ..over() }
}

impl Expected {
    fn delivered(self) -> Expected {
        Expected { deliver: true, ..self }
    }

    fn sending(self, what: Send) -> Expected {
        Expected { send: Some(what), ..self }
    }

    fn told(self, why: Failure) -> Expected {
        Expected { failed: Some(why), ..self }
    }

    fn repeat(self, repeat: Clock) -> Expected {
        Expected { repeat, ..self }
    }

    fn limit(self, limit: Clock) -> Expected {
        Expected { limit, ..self }
    }
}

fn start(timer: Timer, after: Duration) -> Clock {
    Clock::Start(timer, after)
}

#[track_caller]
fn check_step<S: Debug + PartialEq>(step: Step<S>, next: S, expected: Expected) {
    let Expected { send, deliver, failed, repeat, limit } = expected;
    assert_eq!(step, Step { next, send, deliver, failed, repeat, limit });
}

mod invite_client_machine {
    use super::*;
    use invite_client::Cancel::{Answered, No, Sent};
    use invite_client::Input::{Cancel, CancelResponse, Response, Timer as Fired, TransportError};
    use invite_client::State::{self, Accepted, Calling, Completed, Proceeding, Terminated};

    const CALLING: State = Calling { interval: T1, cancel: false };
    const PROCEEDING: State = Proceeding { cancel: No };

    #[track_caller]
    fn check(
        reliable: bool,
        state: State,
        input: invite_client::Input,
        next: State,
        expected: Expected,
    ) {
        let timing = Timing::default();
        let setting = Setting { timing: &timing, reliable };
        check_step(invite_client::step(state, input, setting), next, expected);
    }

    #[test]
    fn it_starts_with_timers_a_and_b() {
        let timing = Timing::default();
        let udp = invite_client::start(Setting { timing: &timing, reliable: UDP });
        let expected = send(Send::Request).limit(start(Timer::B, TIMEOUT));
        check_step(udp, CALLING, expected.repeat(start(Timer::A, T1)));
        let tcp = invite_client::start(Setting { timing: &timing, reliable: TCP });
        check_step(tcp, CALLING, send(Send::Request).limit(start(Timer::B, TIMEOUT)));
    }

    #[test]
    fn calling() {
        let doubled = Calling { interval: T1 * 2, cancel: false };
        let again = send(Send::Request).repeat(start(Timer::A, T1 * 2));
        check(UDP, CALLING, Fired(Timer::A), doubled, again);
        check(UDP, CALLING, Fired(Timer::B), Terminated, failed(Failure::Timeout));
        check(UDP, CALLING, TransportError, Terminated, failed(Failure::Transport));
        let provisional = deliver().repeat(Clock::Stop).limit(start(Timer::C, MAX));
        check(UDP, CALLING, Response(100), PROCEEDING, provisional);
        let provisional = deliver().repeat(Clock::Stop).limit(start(Timer::C, MAX));
        check(TCP, CALLING, Response(183), PROCEEDING, provisional);
        check(UDP, CALLING, CancelResponse(200), CALLING, nothing());
        check(UDP, CALLING, Fired(Timer::D), CALLING, nothing());
    }

    #[test]
    fn timer_a_doubles_beyond_t2() {
        let state = Calling { interval: Duration::from_secs(8), cancel: false };
        let next = Calling { interval: Duration::from_secs(16), cancel: false };
        let again = send(Send::Request).repeat(start(Timer::A, Duration::from_secs(16)));
        check(UDP, state, Fired(Timer::A), next, again);
    }

    #[test]
    fn a_2xx_is_accepted_for_timer_m() {
        for state in [CALLING, PROCEEDING, Proceeding { cancel: Sent(T1) }] {
            for reliable in [UDP, TCP] {
                for status in [200, 202, 299] {
                    let accepted = deliver().repeat(Clock::Stop).limit(start(Timer::M, TIMEOUT));
                    check(reliable, state, Response(status), Accepted, accepted);
                }
            }
        }
    }

    #[test]
    fn a_failure_is_acknowledged_and_waits_for_timer_d_on_udp_only() {
        for state in [CALLING, PROCEEDING, Proceeding { cancel: Answered }] {
            for status in [300, 404, 487, 503, 699] {
                let udp = send(Send::Ack).delivered().repeat(Clock::Stop);
                let udp = udp.limit(start(Timer::D, TIMEOUT));
                check(UDP, state, Response(status), Completed, udp);
                let tcp = over().sending(Send::Ack).delivered();
                check(TCP, state, Response(status), Terminated, tcp);
            }
        }
    }

    #[test]
    fn proceeding() {
        check(UDP, PROCEEDING, Response(180), PROCEEDING, deliver());
        check(UDP, PROCEEDING, TransportError, Terminated, failed(Failure::Transport));
        check(UDP, PROCEEDING, Fired(Timer::A), PROCEEDING, nothing());
        check(UDP, PROCEEDING, CancelResponse(200), PROCEEDING, nothing());
    }

    #[test]
    fn a_cancel_waits_for_the_first_provisional_response() {
        let wanted = Calling { interval: T1, cancel: true };
        check(UDP, CALLING, Cancel, wanted, nothing());
        let sent = send(Send::Cancel).limit(start(Timer::F, TIMEOUT));
        let cancelling = Proceeding { cancel: Sent(T1) };
        let udp = sent.delivered().repeat(start(Timer::E, T1));
        check(UDP, wanted, Response(100), cancelling, udp);
        let tcp = send(Send::Cancel).limit(start(Timer::F, TIMEOUT)).repeat(Clock::Stop);
        check(TCP, PROCEEDING, Cancel, cancelling, tcp);
        // Until then the INVITE goes on, and may end as if there had been no CANCEL.
        let still = Calling { interval: T1 * 2, cancel: true };
        let again = send(Send::Request).repeat(start(Timer::A, T1 * 2));
        check(UDP, wanted, Fired(Timer::A), still, again);
        check(UDP, wanted, Fired(Timer::B), Terminated, failed(Failure::Timeout));
        let accepted = deliver().repeat(Clock::Stop).limit(start(Timer::M, TIMEOUT));
        check(UDP, wanted, Response(200), Accepted, accepted);
    }

    #[test]
    fn a_cancel_is_repeated_until_answered_or_given_up() {
        let first = Proceeding { cancel: Sent(T1) };
        let second = Proceeding { cancel: Sent(T1 * 2) };
        let again = send(Send::Cancel).repeat(start(Timer::E, T1 * 2));
        check(UDP, first, Fired(Timer::E), second, again);
        let capped = Proceeding { cancel: Sent(T2) };
        let again = send(Send::Cancel).repeat(start(Timer::E, T2));
        check(UDP, capped, Fired(Timer::E), capped, again);
        check(UDP, first, Cancel, first, nothing());
        check(UDP, first, CancelResponse(100), first, nothing());
        let answered = Proceeding { cancel: Answered };
        for status in [200, 481, 500] {
            check(UDP, first, CancelResponse(status), answered, nothing().repeat(Clock::Stop));
        }
        check(UDP, answered, Fired(Timer::E), answered, nothing());
        check(UDP, first, Fired(Timer::F), Terminated, failed(Failure::Timeout));
        check(UDP, answered, Fired(Timer::F), Terminated, failed(Failure::Timeout));
        check(UDP, first, Response(180), first, deliver());
    }

    #[test]
    fn an_invite_that_rings_for_ever_is_cancelled() {
        let cancel = send(Send::Cancel).repeat(start(Timer::E, T1)).limit(start(Timer::F, TIMEOUT));
        check(UDP, PROCEEDING, Fired(Timer::C), Proceeding { cancel: Sent(T1) }, cancel);
    }

    #[test]
    fn completed() {
        check(UDP, Completed, Response(486), Completed, send(Send::Ack));
        check(UDP, Completed, Response(180), Completed, nothing());
        check(UDP, Completed, Response(200), Completed, nothing());
        check(UDP, Completed, Fired(Timer::D), Terminated, over());
        check(UDP, Completed, TransportError, Terminated, over());
        check(UDP, Completed, Cancel, Completed, nothing());
        check(UDP, Completed, CancelResponse(200), Completed, nothing());
    }

    #[test]
    fn accepted() {
        check(UDP, Accepted, Response(200), Accepted, deliver());
        check(UDP, Accepted, Response(180), Accepted, nothing());
        check(UDP, Accepted, Response(486), Accepted, nothing());
        check(UDP, Accepted, Fired(Timer::M), Terminated, over());
        check(UDP, Accepted, TransportError, Accepted, nothing());
        check(UDP, Accepted, Cancel, Accepted, nothing());
    }
}

mod client_machine {
    use super::*;
    use client::Input::{Response, Timer as Fired, TransportError};
    use client::State::{self, Completed, Proceeding, Terminated, Trying};

    const TRYING: State = Trying { interval: T1 };

    #[track_caller]
    fn check(reliable: bool, state: State, input: client::Input, next: State, expected: Expected) {
        let timing = Timing::default();
        let setting = Setting { timing: &timing, reliable };
        check_step(client::step(state, input, setting), next, expected);
    }

    #[test]
    fn it_starts_with_timers_e_and_f() {
        let timing = Timing::default();
        let udp = client::start(Setting { timing: &timing, reliable: UDP });
        let expected = send(Send::Request).limit(start(Timer::F, TIMEOUT));
        check_step(udp, TRYING, expected.repeat(start(Timer::E, T1)));
        let tcp = client::start(Setting { timing: &timing, reliable: TCP });
        check_step(tcp, TRYING, send(Send::Request).limit(start(Timer::F, TIMEOUT)));
    }

    #[test]
    fn timer_e_doubles_up_to_t2() {
        let mut state = TRYING;
        for seconds in [1, 2, 4, 4, 4] {
            let interval = Duration::from_secs(seconds);
            let again = send(Send::Request).repeat(start(Timer::E, interval));
            check(UDP, state, Fired(Timer::E), Trying { interval }, again);
            state = Trying { interval };
        }
    }

    #[test]
    fn timer_e_is_t2_in_proceeding() {
        let again = send(Send::Request).repeat(start(Timer::E, T2));
        check(UDP, Proceeding, Fired(Timer::E), Proceeding, again);
    }

    #[test]
    fn trying_and_proceeding() {
        for state in [TRYING, Proceeding] {
            check(UDP, state, Response(100), Proceeding, deliver());
            check(UDP, state, Fired(Timer::F), Terminated, failed(Failure::Timeout));
            check(UDP, state, TransportError, Terminated, failed(Failure::Transport));
            check(UDP, state, Fired(Timer::K), state, nothing());
            for status in [200, 302, 408, 503] {
                let udp = deliver().repeat(Clock::Stop).limit(start(Timer::K, T4));
                check(UDP, state, Response(status), Completed, udp);
                check(TCP, state, Response(status), Terminated, over().delivered());
            }
        }
    }

    #[test]
    fn completed() {
        check(UDP, Completed, Response(200), Completed, nothing());
        check(UDP, Completed, TransportError, Completed, nothing());
        check(UDP, Completed, Fired(Timer::F), Completed, nothing());
        check(UDP, Completed, Fired(Timer::K), Terminated, over());
    }
}

mod invite_server_machine {
    use super::*;
    use invite_server::Input::{Ack, Invite, Respond, Timer as Fired, TransportError};
    use invite_server::State::{self, Accepted, Completed, Confirmed, Proceeding, Terminated};

    const SILENT: State = Proceeding { answered: false };
    const RINGING: State = Proceeding { answered: true };
    const COMPLETED: State = Completed { interval: T1 };

    #[track_caller]
    fn check(
        reliable: bool,
        state: State,
        input: invite_server::Input,
        next: State,
        expected: Expected,
    ) {
        let timing = Timing::default();
        let setting = Setting { timing: &timing, reliable };
        check_step(invite_server::step(state, input, setting), next, expected);
    }

    #[test]
    fn it_starts_by_passing_the_invite_up() {
        let timing = Timing::default();
        let step = invite_server::start(Setting { timing: &timing, reliable: UDP });
        let limit = start(Timer::Unanswered, MAX);
        check_step(step, SILENT, deliver().repeat(start(Timer::Trying, TRYING)).limit(limit));
        let at_once = Timing { trying_after: Duration::ZERO, ..timing };
        let step = invite_server::start(Setting { timing: &at_once, reliable: UDP });
        check_step(step, RINGING, send(Send::Trying).delivered().limit(limit));
    }

    #[test]
    fn a_100_is_sent_after_200_ms_or_to_an_impatient_client() {
        let trying = || send(Send::Trying).repeat(Clock::Stop);
        check(UDP, SILENT, Fired(Timer::Trying), RINGING, trying());
        check(UDP, SILENT, Invite, RINGING, trying());
    }

    #[test]
    fn proceeding() {
        check(UDP, RINGING, Invite, RINGING, send(Send::Response));
        for state in [SILENT, RINGING] {
            let ringing = || send(Send::Response).repeat(Clock::Stop);
            check(UDP, state, Respond(180), RINGING, ringing());
            for reliable in [UDP, TCP] {
                let accepted = ringing().limit(start(Timer::L, TIMEOUT));
                check(reliable, state, Respond(200), Accepted, accepted);
            }
            check(UDP, state, Ack, state, nothing());
            check(UDP, state, TransportError, state, nothing().told(Failure::Transport));
            let over = failed(Failure::Timeout);
            check(UDP, state, Fired(Timer::Unanswered), Terminated, over);
            check(UDP, state, Fired(Timer::G), state, nothing());
        }
    }

    #[test]
    fn timer_g_runs_on_udp_and_never_on_tcp() {
        for status in [300, 404, 487, 603] {
            let udp =
                send(Send::Response).repeat(start(Timer::G, T1)).limit(start(Timer::H, TIMEOUT));
            check(UDP, RINGING, Respond(status), COMPLETED, udp);
            let tcp = send(Send::Response).repeat(Clock::Stop).limit(start(Timer::H, TIMEOUT));
            check(TCP, RINGING, Respond(status), COMPLETED, tcp);
        }
    }

    #[test]
    fn timer_g_doubles_up_to_t2() {
        let mut state = COMPLETED;
        for seconds in [1, 2, 4, 4] {
            let interval = Duration::from_secs(seconds);
            let again = send(Send::Response).repeat(start(Timer::G, interval));
            check(UDP, state, Fired(Timer::G), Completed { interval }, again);
            state = Completed { interval };
        }
    }

    #[test]
    fn completed() {
        check(UDP, COMPLETED, Invite, COMPLETED, send(Send::Response));
        check(UDP, COMPLETED, Fired(Timer::H), Terminated, failed(Failure::Timeout));
        check(UDP, COMPLETED, TransportError, Terminated, failed(Failure::Transport));
        check(UDP, COMPLETED, Respond(200), COMPLETED, nothing());
        check(UDP, COMPLETED, Respond(500), COMPLETED, nothing());
        let confirmed = nothing().repeat(Clock::Stop).limit(start(Timer::I, T4));
        check(UDP, COMPLETED, Ack, Confirmed, confirmed);
        check(TCP, COMPLETED, Ack, Terminated, over());
    }

    #[test]
    fn confirmed() {
        for input in [Invite, Ack, Respond(200), TransportError, Fired(Timer::G)] {
            check(UDP, Confirmed, input, Confirmed, nothing());
        }
        check(UDP, Confirmed, Fired(Timer::I), Terminated, over());
    }

    #[test]
    fn accepted() {
        check(UDP, Accepted, Invite, Accepted, nothing());
        check(UDP, Accepted, Respond(200), Accepted, send(Send::Response));
        check(UDP, Accepted, Respond(180), Accepted, nothing());
        check(UDP, Accepted, Respond(486), Accepted, nothing());
        check(UDP, Accepted, Ack, Accepted, deliver());
        check(UDP, Accepted, TransportError, Accepted, nothing().told(Failure::Transport));
        check(UDP, Accepted, Fired(Timer::L), Terminated, over());
    }
}

mod server_machine {
    use super::*;
    use server::Input::{Request, Respond, Timer as Fired, TransportError};
    use server::State::{self, Completed, Proceeding, Terminated, Trying};

    #[track_caller]
    fn check(reliable: bool, state: State, input: server::Input, next: State, expected: Expected) {
        let timing = Timing::default();
        let setting = Setting { timing: &timing, reliable };
        check_step(server::step(state, input, setting), next, expected);
    }

    #[test]
    fn it_starts_by_passing_the_request_up() {
        let timing = Timing::default();
        let step = server::start(Setting { timing: &timing, reliable: UDP });
        let trying = start(Timer::Trying, Duration::from_millis(3_500));
        let limit = start(Timer::Unanswered, TIMEOUT);
        check_step(step, Trying, deliver().repeat(trying).limit(limit));
    }

    #[test]
    fn trying() {
        check(UDP, Trying, Request, Trying, nothing());
        check(UDP, Trying, Fired(Timer::J), Trying, nothing());
    }

    #[test]
    fn a_100_waits_until_timer_e_of_the_client_is_at_t2() {
        // RFC 4320 section 4.1.
        check(UDP, Trying, Respond(100), Trying, nothing());
        let trying = send(Send::Trying).repeat(Clock::Stop);
        check(UDP, Trying, Fired(Timer::Trying), Proceeding, trying);
        let response = send(Send::Response).repeat(Clock::Stop);
        check(TCP, Trying, Respond(100), Proceeding, response);
    }

    #[test]
    fn no_other_provisional_response_goes_out() {
        for state in [Trying, Proceeding, Completed] {
            for reliable in [UDP, TCP] {
                for status in [180, 183, 199] {
                    check(reliable, state, Respond(status), state, nothing());
                }
            }
        }
    }

    #[test]
    fn a_408_is_never_sent() {
        // RFC 4320 section 4.2.
        for state in [Trying, Proceeding] {
            check(UDP, state, Respond(408), Terminated, over());
        }
    }

    #[test]
    fn a_final_response_waits_for_timer_j_on_udp_only() {
        for state in [Trying, Proceeding] {
            for status in [200, 302, 404, 501, 603] {
                let udp = send(Send::Response).repeat(Clock::Stop).limit(start(Timer::J, TIMEOUT));
                check(UDP, state, Respond(status), Completed, udp);
                let tcp = over().sending(Send::Response);
                check(TCP, state, Respond(status), Terminated, tcp);
            }
            let unanswered = failed(Failure::Timeout);
            check(UDP, state, Fired(Timer::Unanswered), Terminated, unanswered);
            check(UDP, state, TransportError, Terminated, failed(Failure::Transport));
        }
    }

    #[test]
    fn proceeding_and_completed_repeat_the_response() {
        for state in [Proceeding, Completed] {
            check(UDP, state, Request, state, send(Send::Response));
        }
        check(UDP, Completed, Respond(500), Completed, nothing());
        check(UDP, Completed, Fired(Timer::J), Terminated, over());
        check(UDP, Completed, Fired(Timer::Unanswered), Completed, nothing());
        check(UDP, Completed, TransportError, Terminated, failed(Failure::Transport));
    }
}

#[test]
fn a_dead_machine_does_nothing() {
    let timing = Timing::default();
    let setting = Setting { timing: &timing, reliable: UDP };
    let timers = [Timer::A, Timer::B, Timer::E, Timer::F, Timer::G, Timer::H, Timer::Trying];
    for timer in timers {
        let step = invite_client::step(
            invite_client::State::Terminated,
            invite_client::Input::Timer(timer),
            setting,
        );
        check_step(step, invite_client::State::Terminated, nothing());
        let step = client::step(client::State::Terminated, client::Input::Timer(timer), setting);
        check_step(step, client::State::Terminated, nothing());
        let step = invite_server::step(
            invite_server::State::Terminated,
            invite_server::Input::Timer(timer),
            setting,
        );
        check_step(step, invite_server::State::Terminated, nothing());
        let step = server::step(server::State::Terminated, server::Input::Timer(timer), setting);
        check_step(step, server::State::Terminated, nothing());
    }
}
