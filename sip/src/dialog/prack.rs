//! Reliable provisional responses (RFC 3262): numbering, acknowledgement and repetition.

use std::time::Duration;

use bytes::Bytes;

/// What a reliable provisional response is to its receiver (RFC 3262 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The next one: PRACK it.
    Next,
    /// Seen before; its PRACK is on its way.
    Repeated,
    /// One before it is missing: must not be acknowledged yet, it will come again.
    OutOfOrder,
}

/// Judges the `RSeq` of a response against the last one acknowledged in the same dialog; 0 is
/// "none yet", since numbering starts at 1 or above.
pub fn arrival(last: u32, rseq: u32) -> Arrival {
    match rseq {
        _ if last == 0 => Arrival::Next,
        n if n == last.wrapping_add(1) => Arrival::Next,
        n if n <= last => Arrival::Repeated,
        _ => Arrival::OutOfOrder,
    }
}

/// A response that is repeated until it is acknowledged: a reliable provisional response until its
/// PRACK (RFC 3262 section 3: no limit on the interval), or a 2xx to an INVITE until its ACK
/// (RFC 3261 section 13.3.1.4: the interval stops growing at T2). Both give up after 64·T1. The
/// transport does not matter: behind a reliable one there may be hops that are not.
#[derive(Clone, Debug)]
pub struct Repeated {
    /// The response as it was sent.
    pub bytes: Bytes,
    interval: Duration,
    interval_max: Duration,
    next_at: Duration,
    give_up_at: Duration,
}

/// What is due for a repeated response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// Send it again.
    Resend,
    /// 64·T1 are over: nobody acknowledged it.
    GiveUp,
}

impl Repeated {
    /// A reliable provisional response just sent.
    pub fn provisional(now: Duration, t1: Duration, bytes: Bytes) -> Repeated {
        Repeated::new(now, t1, Duration::MAX, bytes)
    }

    /// A 2xx just sent.
    pub fn success(now: Duration, t1: Duration, t2: Duration, bytes: Bytes) -> Repeated {
        Repeated::new(now, t1, t2, bytes)
    }

    fn new(now: Duration, t1: Duration, interval_max: Duration, bytes: Bytes) -> Repeated {
        Repeated { bytes, interval: t1, interval_max, next_at: now + t1, give_up_at: now + t1 * 64 }
    }

    /// When to ask `due` again.
    pub fn next_at(&self) -> Duration {
        self.next_at.min(self.give_up_at)
    }

    /// What the time asks for; a `Resend` moves the next one on.
    pub fn due(&mut self, now: Duration) -> Due {
        if now >= self.give_up_at {
            return Due::GiveUp;
        }
        if now < self.next_at {
            return Due::Nothing;
        }
        self.interval = (self.interval * 2).min(self.interval_max);
        // From `now`, not from when it was due: a late timer must not send a burst.
        self.next_at = now + self.interval;
        Due::Resend
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mut repeated: Repeated, expected: &[u64]) {
        let mut sent = Vec::new();
        let end = loop {
            let now = repeated.next_at();
            match repeated.due(now) {
                Due::Resend => sent.push(u64::try_from(now.as_millis()).unwrap()),
                Due::GiveUp => break now,
                Due::Nothing => unreachable!("it said that something is due"),
            }
        };
        assert_eq!(sent, expected);
        assert_eq!(end, Duration::from_secs(32));
    }

    const T1: Duration = Duration::from_millis(500);
    const T2: Duration = Duration::from_secs(4);

    #[test]
    fn a_2xx_is_repeated_for_32_seconds_at_most_every_t2() {
        let expected = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        check(Repeated::success(Duration::ZERO, T1, T2, Bytes::new()), &expected);
    }

    #[test]
    fn a_reliable_provisional_doubles_without_limit() {
        let expected = [500, 1500, 3500, 7500, 15_500, 31_500];
        check(Repeated::provisional(Duration::ZERO, T1, Bytes::new()), &expected);
    }

    #[test]
    fn rseq_must_rise_by_one() {
        assert_eq!(arrival(0, 988_789), Arrival::Next);
        assert_eq!(arrival(5, 6), Arrival::Next);
        assert_eq!(arrival(5, 5), Arrival::Repeated);
        assert_eq!(arrival(5, 4), Arrival::Repeated);
        assert_eq!(arrival(5, 7), Arrival::OutOfOrder);
    }
}
