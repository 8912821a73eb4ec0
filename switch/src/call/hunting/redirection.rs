//! 3xx: where a callee sends the call instead, if that is followed.

use bytes::Bytes;
use sip::message::uri::Uri;
use vocabulary::{AccountId, Party, SubscriberId};

use super::super::failure::{Failure, FailureKind};
use super::super::{Call, Context, Released};
use super::{ATTEMPTS_CEILING, Way};
use crate::decision::Decision;
use crate::directory::RedirectPolicy;
use crate::effect::HostToResolve;
use crate::release::Cause;

impl Call {
    pub(super) fn redirected(
        &mut self,
        ctx: &mut Context<'_>,
        n: u8,
        status: u16,
        contacts: &[Bytes],
    ) {
        let way = self.attempts[usize::from(n)].way;
        let hops_max = match ctx.directory.settings().redirects {
            RedirectPolicy::Follow { hops_max } => hops_max,
            RedirectPolicy::Reject => 0,
        };
        let failure =
            Failure { leg: n + 1, status, cause: Cause::Redirected, kind: FailureKind::Redirected };
        let may_follow = self.attempts.len() < ATTEMPTS_CEILING
            && self.hunt_mut().is_some_and(|hunt| hunt.redirects < hops_max);
        if !may_follow || !self.can_follow(ctx, n, way, contacts) {
            return self.failed(ctx, n, failure, None);
        }
        let attempt = &mut self.attempts[usize::from(n)];
        let (at, cause) = (ctx.now.utc, Cause::Redirected);
        attempt.released = Some(Released { at, cause, status, by: Party::Callee });
        self.decide(Decision::RedirectFollowed(n + 1));
        if let Some(hunt) = self.hunt_mut() {
            hunt.redirects += 1;
        }
        self.follow(ctx, n, way, contacts);
    }

    /// A redirection may change neither who is paid nor what the call costs.
    fn can_follow(&self, ctx: &Context<'_>, n: u8, way: Way, contacts: &[Bytes]) -> bool {
        contacts.iter().any(|contact| match way {
            Way::Trunk(_) => self.same_number(n, contact).is_some(),
            Way::Contact(from, _) => redirect_target(ctx, from, contact).is_some(),
            Way::Onward(_) => false,
        })
    }

    /// The host in a redirection to the same number.
    fn same_number(&self, n: u8, contact: &[u8]) -> Option<HostToResolve> {
        let uri = Uri::parse(contact)?;
        let cld = self.attempts[usize::from(n)].cld.as_bytes();
        uri.user_unescaped()
            .filter(|user| user.as_ref() == cld)
            .and_then(|_| HostToResolve::of(&uri))
    }

    fn follow(&mut self, ctx: &mut Context<'_>, n: u8, way: Way, contacts: &[Bytes]) {
        for contact in contacts {
            match way {
                Way::Trunk(id) => {
                    if let Some(host) = self.same_number(n, contact) {
                        let listener = ctx.directory.trunk(id).and_then(|trunk| trunk.listener);
                        return self.look_up(ctx, way, Some(contact.clone()), host, listener);
                    }
                }
                Way::Contact(from, _) => {
                    if let Some(to) = redirect_target(ctx, from, contact) {
                        if !self.ring(ctx, to) {
                            self.after_failure(ctx, way);
                        }
                        return;
                    }
                }
                Way::Onward(_) => {}
            }
        }
    }
}

/// The subscriber a phone sends its calls on to, if it is one of the same account.
fn redirect_target(ctx: &Context<'_>, from: SubscriberId, contact: &[u8]) -> Option<SubscriberId> {
    let uri = Uri::parse(contact)?;
    let user = uri.user_number()?;
    let user = std::str::from_utf8(&user).ok()?;
    let directory = ctx.directory;
    let account =
        |id: SubscriberId| -> Option<AccountId> { Some(directory.subscriber(id)?.account) };
    let plan = &directory.settings().plan;
    let row = directory
        .subscriber_by_username(user)
        .or_else(|| directory.subscriber_by_number(&plan.ingress(user).ok()?))?;
    let is_reachable = !ctx.bindings.contacts(row.id, ctx.now.utc).is_empty();
    let is_allowed = row.is_active && row.id != from && account(from) == Some(row.account);
    (is_allowed && is_reachable).then_some(row.id)
}
