//! Whether a failed attempt ends the call or the next trunk is tried.

use crate::release::Cause;

/// The trunk's own wishes, which come before the general rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HuntCodes {
    /// SIP statuses after which no other trunk is tried.
    pub stop: Vec<u16>,
    /// SIP statuses after which the next trunk is tried though the rule says stop.
    pub hunt: Vec<u16>,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try the next trunk.
    Hunt,
    /// The failure is the callee's word: give it to the caller.
    Stop,
}

impl HuntCodes {
    /// The rule: what the *callee* said (busy, declined, gone, did not answer after ringing) ends
    /// the call, since another carrier would reach the same callee; everything that only says that
    /// *this way* did not work hunts on. A Q.850 cause in a Reason header outranks the status,
    /// because carriers often send 503 for everything.
    pub fn next(&self, status: u16, reason: Option<Cause>, has_rung: bool) -> Next {
        if self.hunt.contains(&status) {
            return Next::Hunt;
        }
        if self.stop.contains(&status) || status >= 600 {
            return Next::Stop;
        }
        let cause = reason.unwrap_or_else(|| Cause::from_sip_status(status));
        match cause {
            Cause::Busy
            | Cause::Declined
            | Cause::NumberChanged
            | Cause::InvalidNumber
            | Cause::NoAnswer
            | Cause::Cancelled
            | Cause::AnsweredElsewhere => Next::Stop,
            Cause::Absent | Cause::NoResponse if has_rung => Next::Stop,
            _ => Next::Hunt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(codes: (&[u16], &[u16]), status: u16, reason: Option<Cause>, rung: bool, next: Next) {
        let codes = HuntCodes { stop: codes.0.to_vec(), hunt: codes.1.to_vec() };
        assert_eq!(codes.next(status, reason, rung), next, "{status} {reason:?} {rung}");
    }

    #[test]
    fn the_callees_word_stops_and_the_ways_failure_hunts() {
        let none = (&[][..], &[][..]);
        for status in [486, 484, 410, 487, 600, 603, 604] {
            check(none, status, None, false, Next::Stop);
        }
        for status in [302, 401, 403, 404, 408, 480, 488, 500, 502, 503, 504] {
            check(none, status, None, false, Next::Hunt);
        }
        check(none, 480, None, true, Next::Stop);
        check(none, 408, None, true, Next::Stop);
    }

    #[test]
    fn a_trunks_own_codes_come_first() {
        check((&[404, 503], &[]), 404, None, false, Next::Stop);
        check((&[404, 503], &[]), 503, None, false, Next::Stop);
        check((&[], &[486]), 486, None, true, Next::Hunt);
    }

    #[test]
    fn a_q850_reason_outranks_the_status() {
        check((&[], &[]), 503, Some(Cause::Busy), false, Next::Stop);
        check((&[], &[]), 486, Some(Cause::NoCircuit), false, Next::Hunt);
    }
}
