//! From how long inputs wait to how much new work is refused: additive increase while a queue stands,
//! multiplicative decrease while there is none.

use std::time::Duration;

/// So long may inputs wait: enough to keep a worker busy without a pause, and nobody hears it.
const TARGET: Duration = Duration::from_millis(20);
/// The share changes this often.
const STEP: Duration = Duration::from_millis(20);
/// A queue shorter than this is as good as none: then the share shrinks. In between it stays, so that there
/// is always something to do.
const NONE_BELOW: Duration = Duration::from_millis(5);
/// By so many in a thousand the share grows in a step, times the square of how often `TARGET` is in the
/// delay: calls that were let in have most of their messages still to come, so a little over is a little
/// too much …
const GROWS_BY: u64 = 2;
/// … and by this many at most.
const GROWS_BY_MOST: u64 = 60;
/// This part of the share is taken back in a step without a queue …
const SHRINKS_BY_PART: u16 = 128;
/// … and this one when there was none for so many steps.
const SHRINKS_BY_PART_LATER: u16 = 16;
const LATER: u32 = 25;
/// So many in a thousand at most: whoever repeats must have a chance to get in.
const MOST: u16 = 950;
/// Steps that are made up for after a pause; then nothing is left of the share.
const STEPS_MADE_UP: u32 = 512;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Controller {
    share: u16,
    /// When the present step began.
    since: Duration,
    /// The shortest delay in the present step: one burst makes no queue that stands.
    least: Option<Duration>,
    /// Steps without a queue.
    idle: u32,
}

impl Controller {
    /// At `now`, of the monotonic clock, the oldest input has waited for `delay`. How many in a thousand
    /// of new requests are to be refused from now on.
    pub fn observe(&mut self, now: Duration, delay: Duration) -> u16 {
        let steps = now.saturating_sub(self.since).as_millis() / STEP.as_millis();
        if steps > 0 {
            let steps = u32::try_from(steps).unwrap_or(u32::MAX).min(STEPS_MADE_UP);
            self.step();
            // Nothing was there to be done in between.
            (1..steps).for_each(|_| self.shrink());
            self.since = now;
            self.least = None;
        }
        self.least = Some(self.least.map_or(delay, |least| least.min(delay)));
        self.share
    }

    fn step(&mut self) {
        match self.least {
            Some(least) if least > TARGET => {
                let over = least.as_millis() / TARGET.as_millis();
                let over = u64::try_from(over).unwrap_or(u64::MAX);
                let more = over.saturating_mul(over).saturating_mul(GROWS_BY).min(GROWS_BY_MOST);
                self.share = (self.share + more as u16).min(MOST);
                self.idle = 0;
            }
            Some(least) if least >= NONE_BELOW => self.idle = 0,
            _ => self.shrink(),
        }
    }

    fn shrink(&mut self) {
        self.idle += 1;
        let part = if self.idle < LATER { SHRINKS_BY_PART } else { SHRINKS_BY_PART_LATER };
        self.share -= self.share.div_ceil(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share after so many steps of 20 ms with this delay.
    fn after(controller: &mut Controller, now: &mut u64, steps: u64, delay_ms: u64) -> u16 {
        for _ in 0..steps * 4 {
            *now += 5;
            let delay = Duration::from_millis(delay_ms);
            controller.observe(Duration::from_millis(*now), delay);
        }
        controller.share
    }

    #[test]
    fn the_share_grows_while_a_queue_stands_and_shrinks_when_it_is_gone() {
        let (mut controller, mut now) = (Controller::default(), 0);
        assert_eq!(after(&mut controller, &mut now, 50, 20), 0, "as long as inputs may wait");
        let grown = after(&mut controller, &mut now, 10, 45);
        assert!((70..=80).contains(&grown), "two targets for ten steps: {grown}");
        assert_eq!(
            after(&mut controller, &mut now, 50, 10),
            grown,
            "it stays while there is enough to do"
        );
        assert_eq!(after(&mut controller, &mut now, 100, 5_000), MOST);
        let shrunk = after(&mut controller, &mut now, 20, 0);
        assert!((780..=850).contains(&shrunk), "gently at first: {shrunk}");
        let shrunk = after(&mut controller, &mut now, 80, 0);
        assert!(shrunk < 20, "and gone two seconds after the last queue: {shrunk}");
        assert_eq!(after(&mut controller, &mut now, 400, 0), 0);
    }

    #[test]
    fn a_burst_and_a_pause_make_no_queue() {
        let mut controller = Controller::default();
        for step in 0..50 {
            let now = |ms: u64| Duration::from_millis(step * 20 + ms);
            controller.observe(now(0), Duration::from_millis(90));
            assert_eq!(controller.observe(now(10), Duration::ZERO), 0);
        }
        let mut now = 1_000;
        after(&mut controller, &mut now, 100, 500);
        assert_eq!(controller.observe(Duration::from_secs(60), Duration::ZERO), 0, "after a pause");
    }
}
