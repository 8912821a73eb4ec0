//! Where calls live: slots that are used again, their timers, and the wall that keeps a panic in one
//! call from the others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use sip::timer_wheel::TimerKey;
use vocabulary::{CallId, Now};

use super::{Alarm, Shard};
use crate::call::{Call, Context};
use crate::token::LegKey;

const GENERATION_MASK: u32 = (1 << 24) - 1;

pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) call: Option<Box<Call>>,
    pub(super) timer: TimerKey,
    /// When it fires; a call whose deadline moved later is asked again then.
    pub(super) armed: Option<Duration>,
    /// Its entry in `merged`.
    pub(super) merge_key: Option<u64>,
}

impl Shard {
    /// A place for a new call, with its id; `None` if all are taken.
    pub(crate) fn reserve_slot(&mut self) -> Option<(CallId, LegKey)> {
        let slot = match self.free.last() {
            Some(slot) => *slot,
            None if self.slots.len() < self.config.calls_max as usize => {
                let timer = TimerKey::NONE;
                let slot = Slot { generation: 0, call: None, timer, armed: None, merge_key: None };
                self.slots.push(slot);
                self.free.push(self.slots.len() as u32 - 1);
                self.slots.len() as u32 - 1
            }
            None => return None,
        };
        let id = CallId::new(self.config.start, self.config.shard, self.sequence);
        self.sequence += 1;
        Some((id, LegKey { slot, generation: self.slots[slot as usize].generation, leg: 0 }))
    }

    /// Puts a call into the slot reserved for it, and lets it begin.
    pub(crate) fn begin(
        &mut self,
        now: Now,
        key: LegKey,
        merge_key: Option<u64>,
        call: Call,
        first: impl FnOnce(&mut Call, &mut Context<'_>),
    ) {
        let taken = self.free.pop();
        debug_assert_eq!(taken, Some(key.slot), "reserved just now");
        self.by_id.insert(call.id(), key.slot);
        if let Some(merge_key) = merge_key {
            self.merged.insert(merge_key, key.slot);
        }
        self.stats.calls_started += 1;
        let slot = &mut self.slots[key.slot as usize];
        slot.call = Some(Box::new(call));
        slot.merge_key = merge_key;
        self.with_slot(now, key.slot, first);
    }

    /// Whether this INVITE is the same request on another way.
    pub(crate) fn is_merged(&self, merge_key: u64) -> bool {
        self.merged.contains_key(&merge_key)
    }

    /// Whether this is the tag of a leg that lives here.
    pub(crate) fn has_leg(&self, tag: &[u8]) -> bool {
        let Some(key) = self.key_of(tag) else { return false };
        self.slots.get(key.slot as usize).is_some_and(|slot| {
            let call = slot.call.as_ref().filter(|_| slot.generation == key.generation);
            call.is_some_and(|call| call.has_tag(key.leg, tag))
        })
    }

    pub(super) fn with_id(
        &mut self,
        now: Now,
        id: CallId,
        act: impl FnOnce(&mut Call, &mut Context<'_>),
    ) {
        // A late answer to a call that is gone is a normal input.
        if let Some(slot) = self.by_id.get(&id).copied() {
            self.with_slot(now, slot, act);
        }
    }

    pub(super) fn with_key<R>(
        &mut self,
        now: Now,
        key: LegKey,
        act: impl FnOnce(&mut Call, u8, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let slot = self.slots.get(key.slot as usize)?;
        if slot.call.is_none() || slot.generation != key.generation {
            return None;
        }
        let mut result = None;
        self.with_slot(now, key.slot, |call, ctx| {
            result = Some(act(call, key.leg, ctx));
            call.drain(ctx);
        });
        result
    }

    /// Runs one input through one call. A panic drops this call and no other.
    pub(super) fn with_slot(
        &mut self,
        now: Now,
        index: u32,
        act: impl FnOnce(&mut Call, &mut Context<'_>),
    ) {
        let slot = &mut self.slots[index as usize];
        let Some(mut call) = slot.call.take() else { return };
        let mut ctx = Context {
            now,
            shard: self.config.shard,
            is_followed: self.is_followed,
            endpoint: &mut self.endpoint,
            listeners: &self.config.listeners,
            directory: &self.directory,
            bindings: &self.shared.bindings,
            admission: &self.shared.admission,
            fraud: &self.shared.fraud,
            health: &self.shared.health,
            quality: &self.shared.quality,
            tls_peers: &self.shared.tls_peers,
            leg_config: &self.leg_config,
            effects: &mut self.effects,
            random: &mut self.random,
            stats: &mut self.stats,
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            act(&mut call, &mut ctx);
            call.is_over()
        }));
        let is_over = match outcome {
            Ok(is_over) => is_over,
            Err(_) => {
                ctx.stats.calls_panicked += 1;
                let told = catch_unwind(AssertUnwindSafe(|| call.wreck(&mut ctx)));
                if told.is_err() && !call.is_settled() {
                    let super::Shared { admission, fraud, quality, .. } = &self.shared;
                    let shared = (&**admission, &**fraud, &**quality);
                    call.settle_only(now, shared, &mut self.effects);
                }
                true
            }
        };
        if is_over {
            let key = self.slots[index as usize].merge_key;
            if let (Some(key), Some(status)) = (key, call.told_sender()) {
                self.outcomes.note(now.monotonic, key, status);
            }
            self.remove(index, call.id());
        } else {
            let deadline = call.poll_timeout();
            self.slots[index as usize].call = Some(call);
            self.arm(index, deadline);
        }
    }

    /// A deadline that moved later is left to fire and is then looked at again: most calls arm
    /// far fewer timers so.
    fn arm(&mut self, index: u32, deadline: Option<Duration>) {
        let slot = &mut self.slots[index as usize];
        let is_soon_enough = match (slot.armed, deadline) {
            (Some(armed), Some(deadline)) => armed <= deadline,
            (None, None) => true,
            _ => false,
        };
        if !is_soon_enough {
            self.wheel.disarm(slot.timer);
            let key = deadline.map(|at| self.wheel.arm(at, Alarm::Call(index)));
            slot.timer = key.unwrap_or(TimerKey::NONE);
            slot.armed = deadline;
        }
    }

    fn remove(&mut self, index: u32, id: CallId) {
        self.arm(index, None);
        let slot = &mut self.slots[index as usize];
        slot.generation = (slot.generation + 1) & GENERATION_MASK;
        let merge_key = slot.merge_key;
        self.by_id.remove(&id);
        if let Some(merge_key) = merge_key
            && self.merged.get(&merge_key) == Some(&index)
        {
            self.merged.remove(&merge_key);
        }
        self.free.push(index);
    }
}

#[cfg(test)]
mod tests {
    use crate::support::*;

    #[test]
    fn a_panic_in_one_call_settles_it_and_hurts_no_other() {
        let mut w = World::new();
        for id in ["c1", "c2"] {
            w.receive(CUSTOMER, &invite(CUSTOMER, id, "4930", 1, ""));
        }
        let now = w.now;
        w.shard.with_slot(now, 0, |_, _| panic!("a fault in one call"));
        w.pass_secs(0);
        assert_eq!(w.settled.len(), 1);
        assert_eq!(w.shard.stats().calls_panicked, 1);
        assert_eq!(w.shard.live_calls().len(), 1);
        assert_eq!(w.shared.admission.live_calls(), 1);
        w.receive(CUSTOMER, &invite(CUSTOMER, "c3", "4930", 1, ""));
        assert_eq!(w.shard.live_calls().len(), 2);
    }
}
