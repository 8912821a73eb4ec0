//! What the endpoint and the resolver have to say, and the call that it is for.

use sip::endpoint::{ClientTx, Event, ServerTx};
use sip::message::{Message, Method};
use sip::transport::Path;
use vocabulary::Now;

use super::Shard;
use crate::effect::{QueryId, Target};
use crate::question::Answer;
use crate::token::{LegKey, Tag};
use crate::upstream;
use crate::{health, leg, register_copy};

/// The user word of transactions whose outcome interests nobody. Calls leave the top byte zero.
const NOBODY: u64 = 2 << 56;

impl Shard {
    pub(super) fn handle_events(&mut self, now: Now) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Request { tx, message, path } => self.request(now, tx, message, path),
                Event::Ack { message, .. } => self.ack(now, &message),
                Event::Cancelled { tx, user, message } => {
                    self.with_key(now, LegKey::from_user(user), |call, leg, ctx| {
                        if let Some(leg) = call.leg_mut(leg) {
                            leg.cancelled(ctx.now, ctx.endpoint, tx, &message);
                        }
                    });
                }
                Event::Response { tx, user, message, path } => {
                    self.response(now, tx, user, &message, path);
                }
                Event::Failed { user: NOBODY, .. } => {}
                Event::Failed { tx, user, why } => {
                    if upstream::is_upstream(user) {
                        self.upstream_failed(now, user);
                        continue;
                    }
                    if health::is_probe(user) {
                        self.probe_failed(now, user);
                        continue;
                    }
                    if register_copy::is_copy(user) {
                        self.copy_failed(user);
                        continue;
                    }
                    self.with_key(now, LegKey::from_user(user), |call, leg, ctx| {
                        call.leg_failed(ctx, leg, tx, why);
                    });
                }
                Event::ServerFailed { tx, user, why } => {
                    self.with_key(now, LegKey::from_user(user), |call, leg, ctx| {
                        if let Some(leg) = call.leg_mut(leg) {
                            leg.server_failed(ctx.now, ctx.endpoint, tx, why);
                        }
                    });
                }
            }
        }
    }

    fn request(&mut self, now: Now, tx: ServerTx, message: Message, path: Path) {
        let Some(tag) = message.to_tag() else {
            return match message.method() {
                Method::Invite => self.invite(now, tx, &message, path),
                Method::Message => self.message(now, tx, &message, path),
                Method::Register => self.register(now, tx, &message, path),
                _ => self.out_of_dialog(now, tx, &message, path),
            };
        };
        let key = self.key_of(tag);
        let is_found = key.is_some_and(|key| {
            self.with_key(now, key, |call, leg, ctx| {
                if let Some(leg) = call.leg_mut(leg) {
                    leg.request(ctx.now, ctx.endpoint, tx, &message, path);
                    return true;
                }
                false
            })
            .unwrap_or(false)
        });
        if !is_found {
            self.stats.strays += 1;
            self.leads_nowhere(now, path);
            leg::refuse(now, &mut self.endpoint, tx, &message);
        }
    }

    fn ack(&mut self, now: Now, message: &Message) {
        let key = message.to_tag().and_then(|tag| self.key_of(tag));
        if let Some(key) = key {
            self.with_key(now, key, |call, leg, ctx| {
                if let Some(leg) = call.leg_mut(leg) {
                    leg.ack(ctx.now, ctx.endpoint, message);
                }
            });
        }
    }

    fn response(&mut self, now: Now, tx: ClientTx, user: u64, message: &Message, path: Path) {
        if user == NOBODY {
            return;
        }
        if upstream::is_upstream(user) {
            return self.upstream_response(now, user, message, path);
        }
        if health::is_probe(user) {
            return self.probe_response(now, user, message);
        }
        if register_copy::is_copy(user) {
            return self.copy_answered(user, message);
        }
        let is_found = self.with_key(now, LegKey::from_user(user), |call, leg, ctx| {
            call.response(ctx, leg, tx, message, path)
        });
        if is_found != Some(true) {
            leg::refuse_stray_answer(now, &mut self.endpoint, message, path, NOBODY);
        }
    }

    pub(super) fn key_of(&self, tag: &[u8]) -> Option<LegKey> {
        Tag::read(tag).filter(|(shard, _)| *shard == self.config.shard).map(|(_, key)| key)
    }

    pub(super) fn resolved(&mut self, now: Now, query: QueryId, targets: &[Target]) {
        if upstream::is_upstream(query.0) {
            return self.upstream_resolved(now, query.0, targets);
        }
        if health::is_probe(query.0) {
            return self.probe_resolved(now, query.0, targets);
        }
        if register_copy::is_copy(query.0) {
            return self.copy_resolved(now, query.0, targets);
        }
        let key = LegKey::from_user(query.0);
        self.with_key(now, key, |call, _, ctx| call.resolved(ctx, query, targets));
    }

    /// An answer from outside. The call may be gone, and its place taken by another.
    pub(super) fn told(&mut self, now: Now, query: QueryId, answer: Answer) {
        let key = LegKey::from_user(query.0);
        self.with_key(now, key, |call, _, ctx| call.hears(ctx, query, answer));
    }
}
