//! A party that talks wants the other one to be connected to somebody else (RFC 5589). What it wants is
//! placed as a call of its own, without an offer; its answer brings one, with which the party that stays
//! is re-invited, and whose answer goes back (RFC 3725 section 4.1: only the parties make sessions). If it
//! wants it to be connected to the other party of another call (`Replaces`), that call gets the offer from
//! there, and says the same: to the call where it was wanted both are alike.

use bytes::Bytes;
use sip::message::header::Replaces;
use sip::message::uri::Uri;
use vocabulary::{Direction, Party};

use super::ending::Ending;
use super::hunting::{ATTEMPTS_CEILING, Way};
use super::legs::turn_away;
use super::{Call, Caller, Context, Released, State, Talking};
use crate::admission::Owner;
use crate::caller_id::Diversions;
use crate::decision::{Decision, End, Refusal};
use crate::effect::{Effect, Joining, JoiningHow, Said};
use crate::forwarding::DivertedBy;
use crate::leg::event::{Body, LegEvent, UpdateMethod};
use crate::release::Cause;
use crate::routing::{self, Source};
use crate::setup::dialled;
use crate::token::{LegAddress, Tag};
use crate::transfer::{ReplacesRefusal, TransferDecision, TransferRefusal};

/// What a new call may still pass of other switches (RFC 3261 section 8.1.1.6), less this one.
const MAX_FORWARDS: u8 = 69;

/// A transfer under way.
pub(super) struct Transfer {
    /// The leg of the party that wants it.
    by: u8,
    /// The side where whoever the other party is to be connected to is called.
    to: u8,
    stage: Stage,
    /// The party that wants it has hung up.
    is_transferor_gone: bool,
    /// Another call takes the place of the party's leg, and is counted instead (RFC 3891).
    takes_place: bool,
    /// What the party that stays has offered, until somebody answers it.
    offer: Option<Body>,
}

/// Trunks only if they are told so: their accounts pay for the calls that follow.
fn may_transfer(ctx: &Context<'_>, by: Source) -> bool {
    match by {
        Source::Subscriber(_) => true,
        Source::Trunk(id) => {
            ctx.directory.trunk(id).is_some_and(|row| row.interworking.may_transfer)
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Somebody is called, or the other call asked.
    Calling,
    /// Has answered, and the party that stays has been offered to talk there.
    Offered,
    /// Whoever takes the place of a party has offered that to the one that stays.
    Taken,
    /// For another call: the party that stays has been asked for an offer.
    Asked,
    /// For another call, which has that offer.
    HasOffer,
    /// The other call is gone, but what was asked has to be ended properly.
    Abandoned,
    /// The new one is gone, and the party that stays may yet take its offer.
    Undone,
    /// Nobody else took the offer of the party that stays: the one who wanted the transfer has it.
    Returned,
}

impl Talking {
    /// The two sides that talk with each other, the caller's first.
    pub(super) fn ends(&self) -> [u8; 2] {
        [self.near, self.winner + 1]
    }

    /// Whom this side talks with.
    pub(super) fn other_end(&self, leg: u8) -> Option<u8> {
        let [near, far] = self.ends();
        (leg == near).then_some(far).or((leg == far).then_some(near))
    }
}

impl Call {
    /// A party wants the other one to be connected there.
    pub(super) fn transfer_wanted(&mut self, ctx: &mut Context<'_>, leg: u8, refer_to: &[u8]) {
        let status = match self.begin_transfer(ctx, leg, refer_to) {
            Ok(()) => 202,
            Err(refusal) => {
                self.decide(Decision::Transfer(TransferDecision::Refused(refusal)));
                refusal.sip_status()
            }
        };
        self.tell(ctx, leg, LegEvent::TransferAnswer { status });
    }

    fn begin_transfer(
        &mut self,
        ctx: &mut Context<'_>,
        leg: u8,
        refer_to: &[u8],
    ) -> Result<(), TransferRefusal> {
        let State::Talking(talking) = &self.state else { return Err(TransferRefusal::UnderWay) };
        if talking.transfer.is_some() {
            return Err(TransferRefusal::UnderWay);
        }
        let by = self.owner_of(leg).filter(|by| may_transfer(ctx, *by));
        let by = by.ok_or(TransferRefusal::ByTrunk)?;
        let other = talking.other_end(leg).ok_or(TransferRefusal::UnderWay)?;
        if self.attempts.len() >= ATTEMPTS_CEILING {
            return Err(TransferRefusal::TooOften);
        }
        let uri = Uri::parse(refer_to).ok_or(TransferRefusal::Target(416))?;
        if let Some(replaces) = uri.header(b"Replaces") {
            return self.ask_other_call(ctx, leg, by, &replaces);
        }
        let target = |refusal: Refusal| TransferRefusal::Target(refusal.sip_status());
        let (to, is_secure) = dialled(ctx, &uri).map_err(target)?;
        self.decide(Decision::Transfer(TransferDecision::To(by, to.clone())));
        let caller = Caller { is_secure, ..self.stays(ctx, other, by, to) };
        self.call_for_transfer(ctx, leg, caller);
        Ok(())
    }

    /// Whose leg it is.
    fn owner_of(&self, leg: u8) -> Option<Source> {
        match leg.checked_sub(1) {
            None => self.ingress.source,
            Some(n) => Some(self.attempts.get(usize::from(n))?.way.owner()),
        }
    }

    /// Whoever stays, as the caller of the call to be placed.
    fn stays(&self, ctx: &Context<'_>, leg: u8, by: Source, to: Box<str>) -> Caller {
        let (number, user, is_withheld) = match leg {
            0 => (self.cli, self.ingress.cli.clone(), self.is_withheld),
            leg => {
                let attempt = &self.attempts[usize::from(leg - 1)];
                match attempt.way {
                    Way::Contact(id, _) => match ctx.directory.subscriber(id) {
                        Some(row) => (row.number, row.username.as_str().into(), false),
                        None => (None, attempt.cld.clone(), false),
                    },
                    Way::Trunk(_) => (self.cld, attempt.cld.clone(), false),
                    // Whoever somebody else has brought in; not the one who did.
                    Way::Onward(_) => (None, attempt.cld.clone(), false),
                }
            }
        };
        Caller {
            display: Box::default(),
            user,
            number,
            is_withheld,
            dialled: to,
            diversions: Diversions::default(),
            headers: Bytes::new(),
            body: None,
            is_secure: false,
            max_forwards: MAX_FORWARDS,
            diverted_by: vec![DivertedBy { by, why: None }],
            identity: None,
            verstat: None,
        }
    }

    fn call_for_transfer(&mut self, ctx: &mut Context<'_>, by: u8, caller: Caller) {
        let transferor = caller.diverted_by[0].by;
        // The transferor may not know whom it transfers.
        let cli = if caller.is_withheld { "anonymous".into() } else { caller.user.clone() };
        // Without an offer nothing early can be answered.
        let to = self.place_onward(ctx, transferor, caller, cli, false);
        self.transfer_begins(by, to, Stage::Calling, false);
    }

    fn transfer_begins(&mut self, by: u8, to: u8, stage: Stage, takes_place: bool) {
        if let State::Talking(talking) = &mut self.state {
            let (is_transferor_gone, offer) = (false, None);
            let transfer = Transfer { by, to, stage, is_transferor_gone, takes_place, offer };
            talking.transfer = Some(Box::new(transfer));
        }
    }

    /// The party has another call, and wants the other parties of both to talk (RFC 5589 section 7).
    fn ask_other_call(
        &mut self,
        ctx: &mut Context<'_>,
        leg: u8,
        by: Source,
        replaces: &[u8],
    ) -> Result<(), TransferRefusal> {
        let dialog = Replaces::parse(replaces).ok_or(TransferRefusal::Target(400))?;
        // A call that is not answered yet cannot be joined; one that is not ours neither.
        let place = Tag::read(dialog.to_tag).filter(|_| !dialog.is_early_only);
        let (shard, key) = place.ok_or(TransferRefusal::Target(481))?;
        self.decide(Decision::Transfer(TransferDecision::ToOtherCall(by)));
        let (to, own) = self.attempt_by_call(ctx, by, self.shown(leg), None);
        let said = Said::Join(Box::new(Joining {
            by,
            of: self.id(),
            call_id: dialog.call_id.into(),
            to_tag: dialog.to_tag.into(),
            from_tag: dialog.from_tag.into(),
            how: JoiningHow::Parties,
        }));
        ctx.effects.push_back(Effect::Relay { to: LegAddress { shard, key }, from: own, said });
        self.transfer_begins(leg, to, Stage::Calling, false);
        Ok(())
    }

    /// Caller and callee of the record of a side that takes the place of this one.
    fn shown(&self, leg: u8) -> (Box<str>, Box<str>) {
        match leg.checked_sub(1).and_then(|n| self.attempts.get(usize::from(n))) {
            Some(attempt) => (attempt.cli.clone(), attempt.cld.clone()),
            None => (self.ingress.cli.clone(), self.ingress.cld.clone()),
        }
    }

    /// Another call of the party of this leg is to take its place. False if that is not possible.
    pub(super) fn join_wanted(
        &mut self,
        ctx: &mut Context<'_>,
        leg: u8,
        from: LegAddress,
        joining: &Joining,
    ) -> bool {
        let is_replacing = matches!(joining.how, JoiningHow::Caller { .. });
        match self.is_joined(ctx, leg, from, joining) {
            Ok(()) => {
                self.drain(ctx);
                true
            }
            Err(why) if is_replacing => {
                self.refuse_place(ctx, (leg, from), why);
                true
            }
            Err(_) => false,
        }
    }

    fn is_joined(
        &mut self,
        ctx: &mut Context<'_>,
        leg: u8,
        from: LegAddress,
        joining: &Joining,
    ) -> Result<(), ReplacesRefusal> {
        let State::Talking(talking) = &self.state else { return Err(ReplacesRefusal::NoDialog) };
        let stays = talking.other_end(leg).ok_or(ReplacesRefusal::NoDialog)?;
        let is_busy = talking.transfer.is_some() || self.attempts.len() >= ATTEMPTS_CEILING;
        let is_it = self.side_mut(leg).and_then(|side| side.leg_mut()).is_some_and(|leg| {
            let dialog = leg.dialog();
            leg.has_tag(&joining.to_tag)
                && dialog.remote_tag == Some(&*joining.from_tag)
                && dialog.call_id == &*joining.call_id
        });
        if !is_it {
            return Err(ReplacesRefusal::NoDialog);
        }
        let (party, by) = (self.owner_of(leg), joining.by);
        let account = |of| routing::owner(ctx.directory, of);
        let is_its_own = match joining.how {
            JoiningHow::Parties => party == Some(by),
            JoiningHow::Caller { .. } => {
                let party = party.filter(|party| party.subscriber().is_some());
                party.is_some_and(|party| account(party).is_some() && account(party) == account(by))
            }
        };
        if !is_its_own {
            return Err(ReplacesRefusal::NotItsOwn);
        }
        if self.is_secure && matches!(joining.how, JoiningHow::Caller { is_secure: false, .. }) {
            return Err(ReplacesRefusal::Insecure);
        }
        let offer = match &joining.how {
            JoiningHow::Caller { is_early_only: true, .. } => {
                return Err(ReplacesRefusal::Answered);
            }
            _ if is_busy => return Err(ReplacesRefusal::Busy),
            JoiningHow::Caller { offer, .. } => offer.clone(),
            JoiningHow::Parties => None,
        };
        self.decide(Decision::Transfer(match joining.how {
            JoiningHow::Parties => TransferDecision::FromOtherCall(by, joining.of),
            JoiningHow::Caller { .. } => TransferDecision::Replaced(by, joining.of),
        }));
        let (to, own) = self.attempt_by_call(ctx, by, self.shown(leg), Some(from));
        let said = Said::Placed(self.id(), self.is_secure);
        ctx.effects.push_back(Effect::Relay { to: from, from: own, said });
        let stage = if offer.is_some() { Stage::Taken } else { Stage::Asked };
        self.transfer_begins(leg, to, stage, matches!(joining.how, JoiningHow::Caller { .. }));
        self.tell(ctx, stays, LegEvent::Update { method: UpdateMethod::ReInvite, body: offer });
        Ok(())
    }

    /// What a side says while a transfer is under way. Hands back what means the same as ever.
    pub(super) fn said_in_transfer(
        &mut self,
        ctx: &mut Context<'_>,
        leg: u8,
        event: LegEvent,
    ) -> Option<LegEvent> {
        let State::Talking(talking) = &mut self.state else { return Some(event) };
        let Some(transfer) = &mut talking.transfer else { return Some(event) };
        let (by, to, stage) = (transfer.by, transfer.to, transfer.stage);
        if leg == to {
            self.target_said(ctx, event);
            return None;
        }
        match event {
            event @ LegEvent::Release { .. } if stage == Stage::Returned => {
                self.returned(ctx, None);
                Some(event)
            }
            LegEvent::Release { .. } if leg == by => {
                transfer.is_transferor_gone = true;
                let takes_place = transfer.takes_place;
                let stays = talking.other_end(by);
                self.leaves(ctx, by, takes_place);
                if let Some(stays) = stays {
                    self.tell(ctx, stays, LegEvent::OtherSideLeft);
                }
                None
            }
            LegEvent::UpdateAnswer { body, .. } if leg == by && stage == Stage::Returned => {
                self.returned(ctx, body);
                None
            }
            LegEvent::UpdateAnswer { status, body } if leg != by && stage != Stage::Calling => {
                self.session_changed(ctx, leg, status, body);
                None
            }
            // Nobody is there to answer, or the session of the party that stays is being changed already.
            event
                if transfer.is_transferor_gone
                    || (stage != Stage::Calling && matches!(event, LegEvent::Update { .. })) =>
            {
                self.not_now(ctx, leg, event)
            }
            event => Some(event),
        }
    }

    /// Turns away what would need somebody at the other end. Hands back what does not.
    fn not_now(&mut self, ctx: &mut Context<'_>, leg: u8, event: LegEvent) -> Option<LegEvent> {
        if matches!(event, LegEvent::Release { .. }) {
            return Some(event);
        }
        if let Some(side) = self.side_mut(leg) {
            turn_away(ctx, side, &event);
        }
        None
    }

    /// What the call says that was placed for the transfer.
    fn target_said(&mut self, ctx: &mut Context<'_>, event: LegEvent) {
        let State::Talking(talking) = &mut self.state else { return };
        let Some(transfer) = &mut talking.transfer else { return };
        let (by, to) = (transfer.by, transfer.to);
        let attempt = &mut self.attempts[usize::from(to - 1)];
        match event {
            LegEvent::Ring { status, .. } => {
                attempt.ringing = attempt.ringing.or(Some(ctx.now));
                self.tell(ctx, by, LegEvent::TransferProgress { status });
            }
            LegEvent::Answer { body: Some(offer), .. } if transfer.stage == Stage::Calling => {
                attempt.answered_at = Some(ctx.now.utc);
                transfer.stage = Stage::Offered;
                let Some(stays) = talking.other_end(by) else { return };
                let (method, body) = (UpdateMethod::ReInvite, Some(offer));
                self.tell(ctx, stays, LegEvent::Update { method, body });
            }
            // It was asked for an offer, and has none.
            LegEvent::Answer { body: None, .. } if transfer.stage == Stage::Calling => {
                self.transfer_failed(ctx, 488);
            }
            // The other party of the other call takes the offer of this one's.
            LegEvent::Acknowledge { body } if transfer.stage == Stage::HasOffer => {
                let Some(stays) = talking.other_end(by) else { return };
                self.tell(ctx, stays, LegEvent::Acknowledge { body });
                self.transferred(ctx);
            }
            LegEvent::Release { sip_status, .. } => self.transfer_failed(ctx, sip_status),
            event => {
                if let Some(side) = attempt.side.as_deref_mut() {
                    turn_away(ctx, side, &event);
                }
            }
        }
    }

    /// The party that stays has answered the offer of the new one, or made one for it.
    fn session_changed(
        &mut self,
        ctx: &mut Context<'_>,
        stays: u8,
        status: u16,
        body: Option<Body>,
    ) {
        let State::Talking(talking) = &mut self.state else { return };
        let Some(transfer) = &mut talking.transfer else { return };
        let (to, is_success) = (transfer.to, (200..300).contains(&status) && body.is_some());
        match transfer.stage {
            Stage::Abandoned | Stage::Undone if transfer.is_transferor_gone => {
                talking.transfer = None;
                self.tell(ctx, stays, LegEvent::Acknowledge { body: None });
                self.decide(Decision::Ended(End::OtherCall(Cause::Normal)));
                self.release(ctx, Ending::by_switch(Cause::Normal, 200));
            }
            Stage::Abandoned => {
                transfer.offer = body.filter(|_| is_success);
                self.give_back(ctx);
            }
            // It talks to nobody now: it is asked for an offer, which the one it talked with answers.
            Stage::Undone if is_success => {
                transfer.stage = Stage::Abandoned;
                let (method, body) = (UpdateMethod::ReInvite, None);
                self.tell(ctx, stays, LegEvent::Update { method, body });
            }
            Stage::Undone => talking.transfer = None,
            stage if !is_success => {
                // Nothing is open at the party that stays.
                transfer.stage = Stage::Calling;
                if stage == Stage::Asked {
                    // It was asked for an offer and sent none: its 200 is acknowledged all the same.
                    self.tell(ctx, stays, LegEvent::Acknowledge { body: None });
                }
                self.transfer_failed(ctx, if status < 300 { 488 } else { status });
            }
            Stage::Asked => {
                transfer.stage = Stage::HasOffer;
                transfer.offer.clone_from(&body);
                self.tell(ctx, to, LegEvent::Answer { headers: Bytes::new(), body });
            }
            Stage::Taken => {
                self.tell(ctx, to, LegEvent::Answer { headers: Bytes::new(), body });
                self.transferred(ctx);
            }
            Stage::Offered => {
                self.tell(ctx, to, LegEvent::Acknowledge { body });
                self.transferred(ctx);
            }
            Stage::Calling | Stage::HasOffer | Stage::Returned => {}
        }
    }

    /// An offer that the party that stays was asked for wants an answer (RFC 3261 section 13.2.2.4): that of
    /// the party it talked with all the time.
    fn give_back(&mut self, ctx: &mut Context<'_>) {
        let State::Talking(talking) = &mut self.state else { return };
        let Some(transfer) = &mut talking.transfer else { return };
        match transfer.offer.take() {
            Some(offer) => {
                let by = transfer.by;
                transfer.stage = Stage::Returned;
                let (method, body) = (UpdateMethod::ReInvite, Some(offer));
                self.tell(ctx, by, LegEvent::Update { method, body });
            }
            None => self.returned(ctx, None),
        }
    }

    /// All is as it was before the transfer. Who refuses to answer leaves the session as it was, too.
    fn returned(&mut self, ctx: &mut Context<'_>, body: Option<Body>) {
        let State::Talking(talking) = &mut self.state else { return };
        let Some(transfer) = talking.transfer.take() else { return };
        let Some(stays) = talking.other_end(transfer.by) else { return };
        self.tell(ctx, stays, LegEvent::Acknowledge { body });
    }

    /// The party that stays talks to the new one; the one that wanted it leaves.
    fn transferred(&mut self, ctx: &mut Context<'_>) {
        let State::Talking(talking) = &mut self.state else { return };
        let Some(transfer) = talking.transfer.take() else { return };
        let Transfer { by, to, takes_place, .. } = *transfer;
        let stays = talking.other_end(by);
        let now = ctx.now.monotonic;
        match by == talking.near {
            true => talking.near = to,
            false => talking.winner = to - 1,
        }
        self.attempts[usize::from(to - 1)].talks_since = Some(now);
        self.decide(Decision::Transfer(TransferDecision::Done));
        self.tell(ctx, by, LegEvent::TransferProgress { status: 200 });
        let (cause, sip_status) = (Cause::Normal, 200);
        self.tell(ctx, by, LegEvent::Release { cause, reason_header: None, sip_status });
        self.leaves(ctx, by, takes_place);
        if let Some(stays) = stays {
            self.tell(ctx, stays, LegEvent::OtherSideLeft);
        }
    }

    /// Everybody stays where they are, if they are still there.
    fn transfer_failed(&mut self, ctx: &mut Context<'_>, status: u16) {
        let State::Talking(talking) = &mut self.state else { return };
        let Some(transfer) = &mut talking.transfer else { return };
        let &mut Transfer { by, to, is_transferor_gone, stage, .. } = &mut **transfer;
        match stage {
            Stage::Abandoned | Stage::Undone | Stage::Returned => return,
            Stage::Asked => transfer.stage = Stage::Abandoned,
            Stage::HasOffer if is_transferor_gone => self.returned(ctx, None),
            Stage::HasOffer => self.give_back(ctx),
            Stage::Offered | Stage::Taken => transfer.stage = Stage::Undone,
            Stage::Calling => talking.transfer = None,
        }
        let status = if status < 300 { Cause::Absent.sip_status() } else { status };
        let cause = Cause::from_sip_status(status);
        self.tell(ctx, to, LegEvent::Release { cause, reason_header: None, sip_status: status });
        let attempt = &mut self.attempts[usize::from(to - 1)];
        let (at, party) = (ctx.now.utc, Party::Callee);
        attempt.released = Some(Released { at, cause, status, by: party });
        self.decide(Decision::Transfer(TransferDecision::Failed(status)));
        if is_transferor_gone {
            self.decide(Decision::Ended(End::OtherCall(cause)));
            return self.release(ctx, Ending::by_switch(cause, status));
        }
        self.tell(ctx, by, LegEvent::TransferProgress { status });
    }

    /// A party is not in the call any more, while the call goes on. `takes_place`: another call is counted
    /// instead, at the party's account too; else the account pays on, and this is one of its calls.
    fn leaves(&mut self, ctx: &Context<'_>, leg: u8, takes_place: bool) {
        let State::Talking(talking) = &self.state else { return };
        // A timer may be late, but what was not paid for is not counted.
        let until = ctx.now.monotonic.min(talking.cut_at);
        let call = self.id;
        let Some(attempt) = leg.checked_sub(1).map(|n| &mut self.attempts[usize::from(n)]) else {
            let is_left = |owner| takes_place || !matches!(owner, Owner::Account(_));
            return ctx.admission.leave_where(call, Direction::Ingress, is_left);
        };
        if attempt.released.is_some() {
            return;
        }
        if let Some(since) = attempt.talks_since.take() {
            attempt.talked = until.saturating_sub(since);
        }
        let (at, cause, status, by) = (ctx.now.utc, Cause::Normal, 200, Party::Callee);
        attempt.released = Some(Released { at, cause, status, by });
        let account = attempt.account;
        let leave = |owner| ctx.admission.leave(call, owner, Direction::Egress);
        match attempt.way {
            Way::Contact(subscriber, _) => {
                leave(Owner::Subscriber(subscriber));
                if takes_place {
                    leave(Owner::Account(account));
                }
            }
            Way::Trunk(trunk) => {
                leave(Owner::Trunk(trunk));
                leave(Owner::Account(account));
            }
            Way::Onward(_) => {}
        }
    }

    pub(super) fn tell(&mut self, ctx: &mut Context<'_>, leg: u8, event: LegEvent) {
        if let Some(side) = self.side_mut(leg).filter(|side| !side.is_over()) {
            side.send(ctx, event);
        }
    }
}
