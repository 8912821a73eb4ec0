//! A hierarchical timing wheel: arming, disarming and firing cost the same whatever the number of
//! timers. It reads no clock; a tick is one millisecond and a timer never fires before its time.
//!
//! Six levels of 64 slots each: a slot of level 0 is one tick, a slot of level `n` is `64^n` ticks
//! (level 5 reaches two years; later deadlines wait there and are sorted in again). A timer sits
//! in the lowest level that can hold it and moves down when the wheel reaches its slot. Each slot
//! is a first-in first-out list, so timers of one tick fire in the order they were armed: the same
//! inputs give the same trace.

use std::time::Duration;

const LEVELS: usize = 6;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const NONE: u32 = u32::MAX;
/// The slot number of timers whose time had come when they were armed.
const DUE: u16 = (LEVELS * SLOTS) as u16;
/// The slot number of an entry that is not armed.
const FREE: u16 = DUE + 1;
/// How far ahead the highest level reaches, in ticks: all its slots but the one the wheel is in.
const REACH: u64 = (SLOTS as u64 - 1) << (SLOT_BITS * (LEVELS as u32 - 1));

/// Names one armed timer. A key outlives its timer harmlessly: disarming a timer that has fired
/// does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey {
    index: u32,
    generation: u32,
}

impl TimerKey {
    /// A key that never names a timer, for "not armed".
    pub const NONE: TimerKey = TimerKey { index: NONE, generation: 0 };
}

struct Entry<T> {
    tick: u64,
    token: Option<T>,
    generation: u32,
    previous: u32,
    next: u32,
    slot: u16,
}

#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

const EMPTY: List = List { head: NONE, tail: NONE };

/// Timers that each carry a token `T`, handed back when they fire.
pub struct TimerWheel<T> {
    entries: Vec<Entry<T>>,
    free: u32,
    armed: usize,
    /// Everything before this tick has fired.
    now: u64,
    /// One bit a slot that holds a timer, one word a level.
    occupied: [u64; LEVELS],
    /// All slots of all levels, then the list of timers already due.
    slots: Box<[List]>,
}

impl<T: Copy> TimerWheel<T> {
    /// A wheel that starts at `now`.
    pub fn new(now: Duration) -> TimerWheel<T> {
        TimerWheel {
            entries: Vec::new(),
            free: NONE,
            armed: 0,
            now: tick_at_or_before(now),
            occupied: [0; LEVELS],
            slots: vec![EMPTY; LEVELS * SLOTS + 1].into_boxed_slice(),
        }
    }

    /// Arms a timer that fires at `at`, rounded up to the next millisecond; if that is past, at
    /// the next `expire`.
    pub fn arm(&mut self, at: Duration, token: T) -> TimerKey {
        let index = self.take_entry();
        let entry = &mut self.entries[index as usize];
        entry.tick = tick_at_or_after(at);
        entry.token = Some(token);
        let generation = entry.generation;
        self.armed += 1;
        self.link(index);
        TimerKey { index, generation }
    }

    /// Disarms a timer and hands its token back; `None` if it fired or was disarmed before.
    pub fn disarm(&mut self, key: TimerKey) -> Option<T> {
        let entry = self.entries.get(key.index as usize)?;
        if entry.generation != key.generation || entry.slot == FREE {
            return None;
        }
        self.unlink(key.index);
        self.release(key.index)
    }

    /// The next timer due at `now`, earliest first. Call until it returns `None`.
    pub fn expire(&mut self, now: Duration) -> Option<T> {
        let now = tick_at_or_before(now);
        loop {
            let due = self.slots[usize::from(DUE)].head;
            if due != NONE {
                self.unlink(due);
                return self.release(due);
            }
            match self.first_slot() {
                Some((start, level, slot)) if start <= now => self.enter(start, level, slot),
                _ => {
                    self.now = self.now.max(now);
                    return None;
                }
            }
        }
    }

    /// When to call `expire` next. It is never later than the earliest timer, but may be earlier
    /// (by less than one slot of its level), when timers only move down a level.
    pub fn next_timeout(&self) -> Option<Duration> {
        if self.slots[usize::from(DUE)].head != NONE {
            return Some(Duration::from_millis(self.now));
        }
        self.first_slot().map(|(start, _, _)| Duration::from_millis(start))
    }

    /// How many timers are armed.
    pub fn len(&self) -> usize {
        self.armed
    }

    /// Whether no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.armed == 0
    }

    /// The occupied slot that begins first: its start tick, level and number. A lower level always
    /// begins before a higher one unless the wheel stands inside the higher one's slot, which is
    /// emptied on entering; so the lowest occupied level decides, and ties go to the higher level,
    /// whose timers must move down before the lower slot fires.
    fn first_slot(&self) -> Option<(u64, usize, usize)> {
        let mut first: Option<(u64, usize, usize)> = None;
        for level in 0..LEVELS {
            if self.occupied[level] == 0 {
                continue;
            }
            let shift = SLOT_BITS * level as u32;
            let position = self.now >> shift;
            let current = (position % SLOTS as u64) as u32;
            let ahead = self.occupied[level].rotate_right(current).trailing_zeros();
            let start = ((position + u64::from(ahead)) << shift).max(self.now);
            let slot = ((current + ahead) as usize) % SLOTS;
            if first.is_none_or(|(earliest, _, _)| start <= earliest) {
                first = Some((start, level, slot));
            }
        }
        first
    }

    /// Advances to a slot's start and sorts its timers in again: those of level 0 become due,
    /// those of higher levels move down.
    fn enter(&mut self, start: u64, level: usize, slot: usize) {
        self.now = start;
        let number = level * SLOTS + slot;
        let mut index = std::mem::replace(&mut self.slots[number], EMPTY).head;
        self.occupied[level] &= !(1 << slot);
        while index != NONE {
            let next = self.entries[index as usize].next;
            self.link(index);
            index = next;
        }
    }

    /// Puts an entry at the end of the list its tick belongs to, seen from `now`.
    fn link(&mut self, index: u32) {
        let tick = self.entries[index as usize].tick;
        let slot = if tick <= self.now {
            DUE
        } else {
            // A timer beyond the reach waits in the farthest slot and is sorted in again there.
            let tick = tick.min(self.now + REACH);
            // The level is where the highest differing bit lies, so that a timer never lands in
            // the slot of its level in which the wheel stands.
            let differing = (tick ^ self.now) | (SLOTS as u64 - 1);
            let level = ((63 - differing.leading_zeros()) / SLOT_BITS).min(LEVELS as u32 - 1);
            let slot = (tick >> (SLOT_BITS * level)) as usize % SLOTS;
            self.occupied[level as usize] |= 1 << slot;
            (level as usize * SLOTS + slot) as u16
        };
        let list = &mut self.slots[usize::from(slot)];
        let tail = std::mem::replace(&mut list.tail, index);
        if tail == NONE {
            list.head = index;
        } else {
            self.entries[tail as usize].next = index;
        }
        let entry = &mut self.entries[index as usize];
        entry.previous = tail;
        entry.next = NONE;
        entry.slot = slot;
    }

    fn unlink(&mut self, index: u32) {
        let Entry { previous, next, slot, .. } = self.entries[index as usize];
        let list = &mut self.slots[usize::from(slot)];
        if previous == NONE {
            list.head = next;
        }
        if next == NONE {
            list.tail = previous;
        }
        if list.head == NONE && slot != DUE {
            self.occupied[usize::from(slot) / SLOTS] &= !(1 << (usize::from(slot) % SLOTS));
        }
        if previous != NONE {
            self.entries[previous as usize].next = next;
        }
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
    }

    fn take_entry(&mut self) -> u32 {
        if self.free != NONE {
            let index = self.free;
            self.free = self.entries[index as usize].next;
            return index;
        }
        let index = u32::try_from(self.entries.len()).expect("fewer than 2^32 timers");
        self.entries.push(Entry {
            tick: 0,
            token: None,
            generation: 0,
            previous: NONE,
            next: NONE,
            slot: FREE,
        });
        index
    }

    fn release(&mut self, index: u32) -> Option<T> {
        self.armed -= 1;
        let free = std::mem::replace(&mut self.free, index);
        let entry = &mut self.entries[index as usize];
        entry.next = free;
        entry.slot = FREE;
        entry.generation = entry.generation.wrapping_add(1);
        entry.token.take()
    }
}

fn tick_at_or_before(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn tick_at_or_after(time: Duration) -> u64 {
    tick_at_or_before(time) + u64::from(!time.subsec_nanos().is_multiple_of(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Arms timers at the given milliseconds; drives the wheel by its own `next_timeout` and says
    /// when each fired.
    #[track_caller]
    fn check(armed: &[u64], fired: &[(u64, usize)]) {
        let mut wheel = TimerWheel::new(Duration::ZERO);
        for (number, at) in armed.iter().enumerate() {
            wheel.arm(ms(*at), number);
        }
        let mut seen = Vec::new();
        while let Some(at) = wheel.next_timeout() {
            while let Some(number) = wheel.expire(at) {
                seen.push((at.as_millis() as u64, number));
            }
        }
        assert_eq!(seen, fired);
        assert!(wheel.is_empty());
    }

    #[test]
    fn timers_fire_at_their_millisecond_in_order() {
        check(&[], &[]);
        check(&[500], &[(500, 0)]);
        check(&[500, 500, 499], &[(499, 2), (500, 0), (500, 1)]);
        check(&[0, 1, 63, 64, 65], &[(0, 0), (1, 1), (63, 2), (64, 3), (65, 4)]);
        check(&[32_000, 4_096, 4_095], &[(4_095, 2), (4_096, 1), (32_000, 0)]);
        check(&[1 << 36, 3], &[(3, 1), (1 << 36, 0)]);
        check(&[(1 << 36) + 70], &[((1 << 36) + 70, 0)]);
    }

    #[test]
    fn a_fraction_of_a_millisecond_rounds_up() {
        let mut wheel = TimerWheel::new(Duration::ZERO);
        wheel.arm(Duration::from_micros(1_500), ());
        assert_eq!(wheel.expire(Duration::from_micros(1_900)), None);
        assert_eq!(wheel.expire(ms(2)), Some(()));
    }

    #[test]
    fn a_late_call_fires_everything_in_order() {
        let mut wheel = TimerWheel::new(ms(10));
        for at in [900, 20, 70_000, 20, 5] {
            wheel.arm(ms(at), at);
        }
        let fired: Vec<u64> = std::iter::from_fn(|| wheel.expire(ms(100_000))).collect();
        assert_eq!(fired, [5, 20, 20, 900, 70_000]);
        assert_eq!(wheel.next_timeout(), None);
    }

    #[test]
    fn a_disarmed_timer_does_not_fire_and_its_key_dies() {
        let mut wheel = TimerWheel::new(Duration::ZERO);
        let first = wheel.arm(ms(5), 'a');
        assert_eq!(wheel.disarm(first), Some('a'));
        assert_eq!(wheel.disarm(first), None);
        let second = wheel.arm(ms(5), 'b');
        assert_eq!(wheel.disarm(first), None, "the slot was taken again");
        assert_eq!(wheel.expire(ms(5)), Some('b'));
        assert_eq!(wheel.disarm(second), None);
        assert_eq!(wheel.disarm(TimerKey::NONE), None);
        assert_eq!(wheel.next_timeout(), None);
    }

    #[derive(Clone, Debug)]
    enum Operation {
        Arm(u64),
        Disarm(usize),
        Advance(u64),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            prop_oneof![0..100u64, 0..40_000u64, 0..20_000_000u64].prop_map(Operation::Arm),
            (0..64usize).prop_map(Operation::Disarm),
            prop_oneof![0..50u64, 0..5_000u64, 0..10_000_000u64].prop_map(Operation::Advance),
        ]
    }

    proptest! {
        /// The wheel does what a sorted map does.
        #[test]
        fn the_wheel_behaves_as_a_sorted_map(operations in prop::collection::vec(operation(), 1..200)) {
            let mut wheel = TimerWheel::new(Duration::ZERO);
            let mut model: BTreeMap<(u64, usize), TimerKey> = BTreeMap::new();
            let (mut now, mut number) = (0, 0);
            for operation in operations {
                match operation {
                    Operation::Arm(after) => {
                        let at = now + after;
                        model.insert((at, number), wheel.arm(ms(at), (at, number)));
                        number += 1;
                    }
                    Operation::Disarm(pick) => {
                        if let Some(&entry) = model.keys().nth(pick) {
                            let key = model.remove(&entry).unwrap();
                            prop_assert_eq!(wheel.disarm(key), Some(entry));
                        }
                    }
                    Operation::Advance(by) => {
                        now += by;
                        let mut fired: Vec<_> =
                            std::iter::from_fn(|| wheel.expire(ms(now))).collect();
                        fired.sort_unstable();
                        let later = model.split_off(&(now + 1, 0));
                        let due: Vec<_> = std::mem::replace(&mut model, later).into_keys().collect();
                        prop_assert_eq!(fired, due);
                    }
                }
                prop_assert_eq!(wheel.len(), model.len());
                let earliest = model.keys().next().map(|(at, _)| ms(*at));
                prop_assert!(wheel.next_timeout() <= earliest || earliest.is_none());
                prop_assert_eq!(wheel.next_timeout().is_none(), earliest.is_none());
            }
        }
    }
}
