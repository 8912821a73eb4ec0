//! Calls that are a side of another call.

use vocabulary::Now;

use super::Shard;
use crate::call::{Call, OnwardCall};
use crate::decision::Refusal;
use crate::effect::{Effect, Said};
use crate::leg::event::LegEvent;
use crate::release::Cause;
use crate::routing;
use crate::setup::Setup;
use crate::token::{LegAddress, LegKey};

impl Shard {
    /// Places a call for one that waits for it.
    pub(super) fn onward(&mut self, now: Now, onward: OnwardCall) {
        let Some((id, key)) = self.reserve_slot() else {
            return self.relay_end(onward.from, onward.from, Cause::NoCircuit);
        };
        let own = LegAddress { shard: self.config.shard, key };
        let account = routing::owner(&self.directory, onward.by);
        let call = Call::new(id, key, onward.ingress(now, own, account));
        self.attribute_call(&call, None);
        let is_draining = self.is_draining;
        self.begin(now, key, None, call, |call, ctx| {
            call.answers_to(ctx, own, &onward);
            let setup = match is_draining {
                true => Err(Refusal::Draining),
                false => Setup::onward(call, ctx, onward),
            };
            match setup {
                Ok(setup) => call.set_up(ctx, Box::new(setup)),
                Err(refusal) => call.refuse(ctx, refusal),
            }
            call.drain(ctx);
        });
    }

    /// What one call says to another, both ours.
    pub(super) fn relayed(&mut self, now: Now, to: LegKey, from: LegAddress, said: Said) {
        let is_end = said.is_end();
        let is_heard = self.with_key(now, to, |call, leg, ctx| call.told(ctx, leg, from, said));
        // Who speaks to a call that is gone must not wait for it.
        if is_heard != Some(true) && !is_end {
            let gone = LegAddress { shard: self.config.shard, key: to };
            self.relay_end(from, gone, Cause::Normal);
        }
    }

    fn relay_end(&mut self, to: LegAddress, from: LegAddress, cause: Cause) {
        let sip_status = cause.sip_status();
        let event = LegEvent::Release { cause, reason_header: None, sip_status };
        self.effects.push_back(Effect::Relay { to, from, said: Said::Event(event) });
    }
}
