//! Requests of ours within the dialog: session changes and INFO that the other leg asked for, the
//! refresh of the session, PRACK and BYE, and what belongs to our own 2xx until its ACK.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use sip::auth::{self, CredentialsHeader};
use sip::dialog::Identity as DialogIdentity;
use sip::dialog::prack::{Due, Repeated};
use sip::endpoint::{ClientTx, ServerTx};
use sip::message::{HeaderName, Message, Method};
use sip::transaction::Failure;
use sip::transport::Path;

use super::event::{Body, LegEvent, UpdateMethod};
use super::outbound::with_proposal;
use super::referral::Referral;
use super::{At, Leg, Phase, passed, reach};
use crate::release::Cause;

/// How often one request is sent again after 401, 407 or 422.
pub(super) const TRIES_MAX: u8 = 3;

/// INFOs of one leg that may wait for those before them.
const INFOS_MAX: usize = 8;

/// Requests in progress and what else goes away once things are quiet.
#[derive(Default)]
pub(super) struct Exchanges {
    /// Our 2xx to an INVITE, until its ACK.
    pub(super) answer: Option<SuccessSent>,
    /// CSeq of our INVITE whose 2xx carried an offer: the ACK waits for the other leg's answer.
    pub(super) held_ack: Option<u32>,
    /// The answer that went out in an ACK, for the ACK of a repeated 2xx.
    pub(super) late_answer: Option<(u32, Body)>,
    /// The peer's session change that the other leg decides on.
    pub(super) received: Option<Received>,
    /// The peer's INFOs that the other leg has not answered, in order.
    pub(super) received_infos: VecDeque<Received>,
    /// The peer's REFER that the call has not answered.
    pub(super) received_refer: Option<Received>,
    /// The one that it has.
    pub(super) referral: Option<Referral>,
    /// Our requests without a final response.
    pub(super) sent: Vec<Sent>,
    /// A session change that waits for the ACK of our 2xx (RFC 3261 section 14.1).
    pub(super) waiting_update: Option<(UpdateMethod, Option<Body>)>,
    /// INFOs that wait for the response to the one before.
    waiting_infos: VecDeque<(Bytes, Option<Body>)>,
    /// Tags of second 2xx responses that were ended already.
    ended_forks: Vec<Box<[u8]>>,
}

/// A 2xx to an INVITE without its ACK.
pub(super) struct SuccessSent {
    pub(super) repeated: Repeated,
    pub(super) tx: ServerTx,
    pub(super) cseq: u32,
    /// The ACK has to bring the answer.
    pub(super) carries_offer: bool,
}

/// A request of the peer that waits for the other leg.
pub(super) struct Received {
    pub(super) tx: ServerTx,
    pub(super) request: Box<Message>,
}

impl Received {
    pub(super) fn new(tx: ServerTx, request: &Message) -> Received {
        Received { tx, request: Box::new(request.clone()) }
    }
}

/// What a request of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A session change of the other leg, by INVITE.
    ReInvite,
    /// A session change of the other leg, by UPDATE.
    Update,
    /// Our session refresh, by INVITE with the last body.
    RefreshByInvite,
    /// Our session refresh, by UPDATE without a body.
    RefreshByUpdate,
    /// INFO of the other leg.
    Info,
    /// PRACK.
    Prack,
    /// NOTIFY of what came of a REFER.
    Notify,
    /// OPTIONS: is the peer there?
    Probe,
    /// BYE.
    Bye,
}

impl Kind {
    fn method(self) -> Method<'static> {
        match self {
            Kind::ReInvite | Kind::RefreshByInvite => Method::Invite,
            Kind::Update | Kind::RefreshByUpdate => Method::Update,
            Kind::Info => Method::Info,
            Kind::Prack => Method::Prack,
            Kind::Notify => Method::Notify,
            Kind::Probe => Method::Options,
            Kind::Bye => Method::Bye,
        }
    }

    fn is_session(self) -> bool {
        matches!(self.method(), Method::Invite | Method::Update)
    }

    fn is_refresh(self) -> bool {
        matches!(self, Kind::RefreshByInvite | Kind::RefreshByUpdate)
    }
}

/// A request of ours without a final response; enough of it to send it again.
pub(super) struct Sent {
    pub(super) tx: ClientTx,
    pub(super) kind: Kind,
    pub(super) path: Path,
    cseq: u32,
    headers: Bytes,
    body: Option<Body>,
    tries: u8,
    is_authenticated: bool,
}

impl Exchanges {
    pub(super) fn is_idle(&self) -> bool {
        self.answer.is_none()
            && self.held_ack.is_none()
            && self.late_answer.is_none()
            && self.received.is_none()
            && self.received_infos.is_empty()
            && self.received_refer.is_none()
            && self.referral.is_none()
            && self.sent.is_empty()
            && self.waiting_update.is_none()
            && self.waiting_infos.is_empty()
            && self.ended_forks.is_empty()
    }

    pub(super) fn next_at(&self) -> Option<Duration> {
        self.answer.as_ref().map(|answer| answer.repeated.next_at())
    }

    /// A session change of ours has no outcome yet.
    pub(super) fn has_session_sent(&self) -> bool {
        self.held_ack.is_some() || self.sent.iter().any(|sent| sent.kind.is_session())
    }

    /// Our INVITEs without a final response.
    pub(super) fn invites_sent(&self) -> impl Iterator<Item = ClientTx> {
        let invites = self.sent.iter().filter(|sent| sent.kind.method() == Method::Invite);
        invites.map(|sent| sent.tx)
    }

    /// No session change may begin on our side now.
    pub(super) fn is_session_busy(&self) -> bool {
        let offer_is_open = self.answer.as_ref().is_some_and(|answer| answer.carries_offer);
        offer_is_open
            || self.received.is_some()
            || self.waiting_update.is_some()
            || self.has_session_sent()
    }
}

impl Leg {
    /// Sends a request within the dialog. `credentials` answer the challenge of the try before.
    pub(super) fn transmit(
        &mut self,
        at: &mut At<'_>,
        kind: Kind,
        headers: Bytes,
        body: Option<Body>,
        tries: u8,
        credentials: Option<CredentialsHeader>,
    ) -> Sent {
        let path = self.request_path();
        let dialog = self.dialog.as_mut().expect("a request within the dialog needs the dialog");
        let mut draft = dialog.request(kind.method());
        let cseq = dialog.local_cseq();
        if kind.is_session() {
            draft = self.introduce(draft, path).header(HeaderName::Supported, self.supported());
            draft = with_proposal(draft, self.timer_proposal(), self.peer.min_se);
        } else if kind == Kind::Notify {
            draft = self.introduce(draft, path);
        }
        let is_authenticated = credentials.is_some();
        if let Some(credentials) = credentials {
            draft = draft.header(credentials.name, credentials.value);
        }
        for line in passed::lines(&headers) {
            draft = draft.raw(line);
        }
        if let Some(body) = &body {
            draft = draft.body(&body.content_type, body.bytes.clone());
        }
        let tx = self.transmit_by_size(at, path, draft);
        Sent { tx, kind, path, cseq, headers, body, tries, is_authenticated }
    }

    /// Sends a request again: with an answer to its challenge, or because it did not get through,
    /// by the way that is first now.
    pub(super) fn transmit_again(
        &mut self,
        at: &mut At<'_>,
        sent: Sent,
        credentials: Option<CredentialsHeader>,
    ) -> Sent {
        let Sent { kind, headers, body, tries, .. } = sent;
        let tries = tries + u8::from(credentials.is_some());
        self.transmit(at, kind, headers, body, tries, credentials)
    }

    /// The header that answers a challenge, if we can and it may help: once, and again if only
    /// the nonce was stale.
    pub(super) fn credentials_for(
        &mut self,
        response: &Message,
        method: Method<'_>,
        uri: &[u8],
        is_again: bool,
    ) -> Option<CredentialsHeader> {
        let credentials = self.credentials.clone()?;
        let cnonce = self.random_below(u64::MAX);
        auth::answer_challenge(response, &credentials, method, uri, cnonce, is_again)
    }

    /// What answers the challenge of a request within the dialog, if this response is one.
    pub(super) fn answer_challenge(
        &mut self,
        sent: &Sent,
        response: &Message,
    ) -> Option<CredentialsHeader> {
        if !matches!(response.status(), 401 | 407) || sent.tries >= TRIES_MAX {
            return None;
        }
        let dialog = self.dialog.as_ref()?;
        let uri = dialog.routes().address(dialog.remote_target()).request_uri;
        self.credentials_for(response, sent.kind.method(), &uri, sent.is_authenticated)
    }

    /// `Update` from the other leg.
    pub(super) fn update(&mut self, at: &mut At<'_>, method: UpdateMethod, body: Option<Body>) {
        if self.is_ending() {
            // The release is on its way to the other leg.
            return;
        }
        let can_update = self.peer.allows_update && self.dialog.is_some();
        let kind = match (&self.phase, method) {
            (Phase::Up, UpdateMethod::ReInvite) => Kind::ReInvite,
            (Phase::Up | Phase::Invited(_) | Phase::Inviting(_), _) if can_update => Kind::Update,
            (Phase::Up, _) => Kind::ReInvite,
            (Phase::Invited(_) | Phase::Inviting(_), _) => {
                return self.emit(LegEvent::UpdateAnswer { status: 488, body: None });
            }
            (Phase::Leaving(_) | Phase::Over, _) => return,
        };
        let is_early_offer_open = match &self.phase {
            Phase::Invited(invited) => invited.is_offer_open(),
            Phase::Inviting(inviting) => inviting.is_offer_open(),
            _ => false,
        };
        if is_early_offer_open || self.exchanges().is_session_busy() {
            // Both sides change the session at once: each tries again in its own time.
            return self.emit(LegEvent::UpdateAnswer { status: 491, body: None });
        }
        if self.exchanges().answer.is_some() {
            self.exchanges().waiting_update = Some((method, body));
            return;
        }
        self.keep_body(body.as_ref());
        let sent = self.transmit(at, kind, Bytes::new(), body, 0, None);
        self.exchanges().sent.push(sent);
    }

    /// `Info` from the other leg. One at a time, so that they stay in order over UDP.
    pub(super) fn inform(&mut self, at: &mut At<'_>, headers: Bytes, body: Option<Body>) {
        if self.is_ending() {
            return;
        }
        if self.dialog.is_none() {
            return self.emit(LegEvent::InfoAnswer { status: 481, body: None });
        }
        let exchanges = self.exchanges();
        if exchanges.sent.iter().any(|sent| sent.kind == Kind::Info) {
            if exchanges.waiting_infos.len() >= INFOS_MAX {
                return self.emit(LegEvent::InfoAnswer { status: 503, body: None });
            }
            exchanges.waiting_infos.push_back((headers, body));
            return;
        }
        let sent = self.transmit(at, Kind::Info, headers, body, 0, None);
        self.exchanges().sent.push(sent);
    }

    /// `Acknowledge` from the other leg: the answer to an offer in a 2xx or a reliable 1xx.
    pub(super) fn acknowledge(&mut self, at: &mut At<'_>, body: Option<Body>) {
        if self.answer_early_offer(at, body.as_ref()) {
            return;
        }
        let held = self.exchanges.as_mut().and_then(|exchanges| exchanges.held_ack.take());
        let Some(cseq) = held else { return };
        self.keep_body(body.as_ref());
        self.send_ack(at, cseq, body.as_ref());
        if let Some(body) = body {
            self.exchanges().late_answer = Some((cseq, compact(&body)));
        }
    }

    /// The ACK of a 2xx to our INVITE with this CSeq number.
    pub(super) fn send_ack(&self, at: &mut At<'_>, cseq: u32, body: Option<&Body>) {
        let Some(dialog) = &self.dialog else { return };
        let mut draft = dialog.ack(cseq);
        if let Some(body) = body {
            draft = draft.body(&body.content_type, body.bytes.clone());
        }
        at.endpoint.send_stateless(self.request_path(), draft);
    }

    /// A response to anything but the first INVITE while that has no final response.
    pub(super) fn exchange_answered(&mut self, at: &mut At<'_>, tx: ClientTx, response: &Message) {
        if self.bye_answered(at, tx, response) {
            return;
        }
        let index =
            self.exchanges.as_ref().and_then(|one| one.sent.iter().position(|s| s.tx == tx));
        let Some(index) = index else { return self.success_repeated(at, response) };
        if response.status() < 200 {
            return;
        }
        let sent = self.exchanges().sent.swap_remove(index);
        match self.answer_challenge(&sent, response) {
            Some(credentials) => {
                let again = self.transmit_again(at, sent, Some(credentials));
                self.exchanges().sent.push(again);
            }
            None => self.concluded(at, sent, response),
        }
    }

    /// The final response to one of our requests.
    fn concluded(&mut self, at: &mut At<'_>, sent: Sent, response: &Message) {
        let status = response.status();
        let is_success = (200..300).contains(&status);
        if self.is_ending() {
            // Nobody waits for it any more, but a 2xx to an INVITE still wants its ACK.
            if is_success && sent.kind.method() == Method::Invite {
                self.send_ack(at, sent.cseq, None);
            }
            return;
        }
        if is_success && sent.kind.is_session() {
            self.note_peer(response);
            if let Some(dialog) = &mut self.dialog {
                dialog.refresh_target(response);
            }
            self.session_agreed(at, response);
        }
        let (body, _) = match sent.kind.is_session() {
            true => self.narrowed(passed::body_of(response)),
            false => (passed::body_of(response), false),
        };
        match sent.kind {
            Kind::Bye | Kind::Prack => {}
            Kind::Info => {
                self.emit(LegEvent::InfoAnswer { status, body });
                self.next_info(at);
            }
            Kind::Notify => self.notified(at, is_success),
            Kind::Probe => return self.probe_answered(at, status),
            _ if status == 422 && sent.tries < TRIES_MAX && self.raise_interval(response) => {
                let Sent { kind, headers, body, tries, .. } = sent;
                let again = self.transmit(at, kind, headers, body, tries + 1, None);
                return self.exchanges().sent.push(again);
            }
            kind if kind.is_refresh() => self.refreshed(at, sent.cseq, kind, response),
            kind => {
                if is_success && kind == Kind::ReInvite {
                    match sent.body {
                        Some(_) => self.send_ack(at, sent.cseq, None),
                        None => self.exchanges().held_ack = Some(sent.cseq),
                    }
                }
                self.emit(LegEvent::UpdateAnswer { status, body });
            }
        }
        // Sections 12.2.1.2 and 14.1: the peer does not know the dialog any more.
        // That it does not know a subscription (any more) says nothing of the dialog (RFC 5057).
        let is_of_dialog = !matches!(sent.kind, Kind::Prack | Kind::Notify);
        if status == 481 && is_of_dialog || status == 408 && sent.kind.is_session() {
            self.peer_is_gone(at, status);
        }
    }

    /// One of our requests got no response.
    pub(super) fn exchange_failed(&mut self, at: &mut At<'_>, tx: ClientTx, why: Failure) {
        if self.bye_failed(at, tx) {
            return;
        }
        let index =
            self.exchanges.as_ref().and_then(|one| one.sent.iter().position(|s| s.tx == tx));
        let Some(index) = index else { return };
        let sent = self.exchanges().sent.swap_remove(index);
        let has_other_way = self.has_other_way(sent.path);
        if self.is_ending() {
            return;
        }
        // What was not sent at all is sent by the next way; nobody waits twice for a response.
        if why == Failure::Transport && has_other_way {
            let again = self.transmit_again(at, sent, None);
            return self.exchanges().sent.push(again);
        }
        if sent.kind == Kind::Probe {
            return self.probe_failed(at, why);
        }
        let status = match why {
            Failure::Timeout => 408,
            Failure::Transport => 503,
        };
        match sent.kind {
            Kind::Info => {
                self.emit(LegEvent::InfoAnswer { status, body: None });
                self.next_info(at);
            }
            Kind::ReInvite | Kind::Update => {
                self.emit(LegEvent::UpdateAnswer { status, body: None });
            }
            kind if kind.is_refresh() => self.refresh_later(at),
            Kind::Notify => self.notified(at, false),
            _ => {}
        }
        if status == 408 && sent.kind.is_session() {
            self.peer_is_gone(at, status);
        }
    }

    fn next_info(&mut self, at: &mut At<'_>) {
        if let Some((headers, body)) = self.exchanges().waiting_infos.pop_front() {
            self.inform(at, headers, body);
        }
    }

    fn peer_is_gone(&mut self, at: &mut At<'_>, status: u16) {
        // Before the answer the INVITE's own transaction tells how it ends.
        if matches!(self.phase, Phase::Up) {
            self.give_up(at, Cause::from_sip_status(status));
        }
    }

    /// A 2xx to an INVITE whose transaction is done: it repeats because the ACK was lost (RFC 3261
    /// section 13.2.2.4), or another branch of a fork answered too.
    fn success_repeated(&mut self, at: &mut At<'_>, response: &Message) {
        let (cseq, method) = response.cseq();
        let Some(dialog) = &self.dialog else { return };
        if method != Method::Invite || !(200..300).contains(&response.status()) {
            return;
        }
        if dialog.is_of_response(response) {
            let exchanges = self.exchanges.as_ref();
            if exchanges.is_some_and(|one| one.held_ack == Some(cseq)) {
                return;
            }
            let late = exchanges.and_then(|one| one.late_answer.as_ref());
            let body = late.filter(|(of, _)| *of == cseq).map(|(_, body)| body.clone());
            return self.send_ack(at, cseq, body.as_ref());
        }
        let identity = DialogIdentity {
            call_id: dialog.call_id(),
            from: dialog.local(),
            cseq,
            target: dialog.remote_target(),
        };
        let tag = response.to_tag().unwrap_or_default();
        let ended = self.exchanges.as_ref().map(|one| &one.ended_forks);
        if ended.is_some_and(|tags| tags.iter().any(|one| **one == *tag)) {
            // Its BYE is on the way; only the ACK was lost.
            return reach::acknowledge_only(at.endpoint, identity, response, self.path);
        }
        reach::end_answered(at.now, at.endpoint, identity, response, self.path, self.user);
        self.exchanges().ended_forks.push(tag.into());
    }

    /// Repeats a 2xx whose ACK did not come, or ends the call (section 13.3.1.4).
    pub(super) fn answer_due(&mut self, at: &mut At<'_>) {
        let Some(answer) = self.exchanges.as_mut().and_then(|one| one.answer.as_mut()) else {
            return;
        };
        match answer.repeated.due(at.now) {
            Due::Nothing => {}
            Due::Resend => {
                let (tx, bytes) = (answer.tx, answer.repeated.bytes.clone());
                at.endpoint.respond_again(at.now, tx, bytes);
            }
            Due::GiveUp if matches!(self.phase, Phase::Up) => self.give_up(at, Cause::NoAck),
            Due::GiveUp => {
                self.exchanges().answer = None;
                self.send_bye(at);
            }
        }
    }

    /// The ACK of our 2xx.
    pub(super) fn ack_received(&mut self, at: &mut At<'_>, ack: &Message) {
        let Some(exchanges) = &mut self.exchanges else { return };
        let is_awaited = |answer: &mut SuccessSent| answer.cseq == ack.cseq().0;
        let Some(answer) = exchanges.answer.take_if(is_awaited) else { return };
        let waiting = exchanges.waiting_update.take();
        if matches!(self.phase, Phase::Leaving(_)) {
            return self.send_bye(at);
        }
        if answer.carries_offer {
            let (body, _) = self.narrowed(passed::body_of(ack));
            self.emit(LegEvent::Acknowledge { body });
        }
        if let Some((method, body)) = waiting {
            self.update(at, method, body);
        }
    }
}

/// A copy that does not keep the datagram it came in.
pub(super) fn compact(body: &Body) -> Body {
    Body {
        content_type: Bytes::copy_from_slice(&body.content_type),
        bytes: Bytes::copy_from_slice(&body.bytes),
    }
}
