//! The side that is called: from the peer's INVITE to our final response (RFC 3261 section 13.3),
//! with reliable provisional responses (RFC 3262 section 3).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::dialog::prack::{Due, Repeated};
use sip::dialog::session_timer::{self, Asked};
use sip::dialog::{Dialog, NoDialog};
use sip::endpoint::{Endpoint, ServerTx};
use sip::message::header::{Refresher, SessionExpires};
use sip::message::{HeaderName, Message, Method, ResponseDraft};
use sip::transaction::Failure;
use sip::transport::Path;
use vocabulary::Now;

use super::config::{Identity, LegConfig};
use super::event::{Body, LegEvent, UpdateMethod};
use super::exchange::{Received, SuccessSent};
use super::{At, Leg, Phase, passed, reach, reason_of};
use crate::interworking::Reliability;
use crate::release::Cause;

/// So many events wait for a PRACK at most; what is more is not told to the caller.
const HELD_MAX: usize = 8;

/// What is known until the final response.
pub(super) struct Invited {
    tx: ServerTx,
    invite: Message,
    has_offer: bool,
    /// The caller insists on reliable provisional responses.
    requires_100rel: bool,
    /// The last RSeq that was used.
    rseq: u32,
    unacknowledged: Option<Unacknowledged>,
    /// What waits for the PRACK (RFC 3262 section 3: one at a time; a 2xx waits too if the
    /// response carried a session description).
    held: VecDeque<LegEvent>,
    /// Offer and answer were exchanged in reliable responses: UPDATE is possible.
    is_negotiated: bool,
    /// What the 2xx says about the session timer.
    agreed: Option<SessionExpires>,
}

/// A reliable provisional response without its PRACK.
struct Unacknowledged {
    repeated: Repeated,
    has_body: bool,
}

impl Invited {
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.unacknowledged.as_ref().map(|one| one.repeated.next_at())
    }

    /// An offer of the caller cannot be taken now (RFC 3311 section 5.2): ours or its own is open.
    pub(super) fn is_offer_open(&self) -> bool {
        !self.is_negotiated || self.unacknowledged.is_some()
    }
}

impl Leg {
    /// A leg for an INVITE that began a new call.
    pub fn inbound(
        now: Now,
        config: &Arc<LegConfig>,
        identity: Identity,
        endpoint: &mut Endpoint,
        tx: ServerTx,
        invite: &Message,
        path: Path,
    ) -> Leg {
        let at = At::new(now, endpoint);
        at.endpoint.set_user(tx, identity.user);
        let mut leg = Leg::new(config, identity, path, Phase::Over);
        leg.peer.is_caller = true;
        leg.peer.is_secure = reach::is_secure(invite.request_uri());
        leg.peer.is_behind_nat = reach::is_behind_nat(invite, path);
        let reliability = leg.reliability();
        leg.peer.does_100rel = reliability != Reliability::Off
            && (invite.supports(b"100rel") || invite.requires(b"100rel"));
        leg.note_peer(invite);
        match leg.examine(invite) {
            Ok(agreed) => {
                leg.phase = Phase::Invited(Box::new(Invited {
                    tx,
                    invite: invite.clone(),
                    has_offer: !invite.body_bytes().is_empty(),
                    requires_100rel: invite.requires(b"100rel")
                        || reliability == Reliability::Required,
                    // Section 3 asks for a random start below 2^31; a small one avoids overflow.
                    rseq: u32::try_from(leg.random_below(1 << 30)).expect("it is below 2^30"),
                    unacknowledged: None,
                    held: VecDeque::new(),
                    is_negotiated: false,
                    agreed,
                }));
            }
            Err((status, header)) => {
                let mut response = leg.response_to(invite, status);
                if let Some((name, value)) = header {
                    response = response.header(name, value);
                }
                at.endpoint.respond(at.now, tx, response);
                leg.emit_release(Cause::from_sip_status(status), None, status);
            }
        }
        leg
    }

    /// Whether the INVITE can become a leg. Else the status and a header that explains it.
    #[allow(clippy::type_complexity)] // Only here, and only for one line.
    fn examine(
        &mut self,
        invite: &Message,
    ) -> Result<Option<SessionExpires>, (u16, Option<(HeaderName<'static>, Vec<u8>)>)> {
        if let Some(unknown) = reach::unknown_extensions(invite, self.extensions()) {
            return Err((420, Some((HeaderName::Unsupported, unknown))));
        }
        if self.reliability() == Reliability::Required && !self.peer.does_100rel {
            return Err((421, Some((HeaderName::Require, b"100rel".to_vec()))));
        }
        let asked = Asked::of(invite);
        let agreed = session_timer::answer(self.config.session_timer, asked).map_err(|small| {
            (422, Some((HeaderName::MinSe, small.min_se.to_string().into_bytes())))
        })?;
        match Dialog::from_request(invite, self.tag.as_bytes()) {
            Ok(dialog) => self.dialog = Some(dialog),
            Err(NoDialog::NoContact | NoDialog::NoTag | NoDialog::RouteNotSip) => {
                return Err((400, None));
            }
            Err(NoDialog::RouteTooLong) => return Err((513, None)),
        }
        Ok(agreed)
    }

    /// `Ring` or `Answer` from the other leg.
    pub(super) fn tell_caller(&mut self, at: &mut At<'_>, event: LegEvent) {
        let Phase::Invited(invited) = &mut self.phase else { return };
        let must_wait = match (&event, &invited.unacknowledged) {
            (_, None) => false,
            (LegEvent::Answer { .. }, Some(one)) => one.has_body || !invited.held.is_empty(),
            _ => true,
        };
        if must_wait {
            if invited.held.len() < HELD_MAX || matches!(event, LegEvent::Answer { .. }) {
                invited.held.push_back(event);
            }
            return;
        }
        match event {
            LegEvent::Ring { status, headers, body } => self.ring(at, status, &headers, body),
            LegEvent::Answer { headers, body } => self.answer(at, &headers, body),
            _ => unreachable!("only these two are held"),
        }
    }

    fn ring(&mut self, at: &mut At<'_>, status: u16, headers: &Bytes, body: Option<Body>) {
        let prefers_reliable = self.config.is_early_media_reliable && self.peer.does_100rel;
        let Phase::Invited(invited) = &self.phase else { return };
        let is_reliable = invited.requires_100rel || (prefers_reliable && body.is_some());
        if !(101..200).contains(&status) {
            return;
        }
        let (tx, rseq) = (invited.tx, invited.rseq + 1);
        let mut response = self.response_to(&invited.invite, status).record_route(&invited.invite);
        response = self.introduce_in(response);
        if is_reliable {
            response = response
                .header(HeaderName::Require, b"100rel")
                .header_fmt(HeaderName::RSeq, format_args!("{rseq}"));
        }
        let has_body = body.is_some();
        let bytes = with_payload(response, headers, body).finish();
        at.endpoint.respond(at.now, tx, bytes.clone());
        let t1 = self.config.t1;
        if let Phase::Invited(invited) = &mut self.phase
            && is_reliable
        {
            invited.rseq = rseq;
            let repeated = Repeated::provisional(at.now, t1, bytes);
            invited.unacknowledged = Some(Unacknowledged { repeated, has_body });
        }
    }

    fn answer(&mut self, at: &mut At<'_>, headers: &Bytes, body: Option<Body>) {
        let Phase::Invited(invited) = &self.phase else { return };
        let (tx, cseq, agreed) = (invited.tx, invited.invite.cseq().0, invited.agreed);
        let carries_offer = !invited.has_offer && !invited.is_negotiated;
        let response = self.response_to(&invited.invite, 200).record_route(&invited.invite);
        let response = with_session_timer(self.introduce_in(response), agreed);
        self.timer = agreed.map(|agreed| session_timer::SessionTimer::start(at.now, agreed, false));
        self.keep_body(body.as_ref());
        let bytes = with_payload(response, headers, body).finish();
        self.phase = Phase::Up;
        self.succeed(at, tx, cseq, bytes, carries_offer);
    }

    /// Sends a 2xx to an INVITE and repeats it until its ACK (section 13.3.1.4).
    pub(super) fn succeed(
        &mut self,
        at: &mut At<'_>,
        tx: ServerTx,
        cseq: u32,
        bytes: Bytes,
        carries_offer: bool,
    ) {
        at.endpoint.respond(at.now, tx, bytes.clone());
        let repeated = Repeated::success(at.now, self.config.t1, self.config.t2, bytes);
        self.exchanges().answer = Some(SuccessSent { repeated, tx, cseq, carries_offer });
    }

    /// PRACK (RFC 3262 section 3).
    pub(super) fn prack_received(&mut self, at: &mut At<'_>, tx: ServerTx, prack: &Message) {
        let Phase::Invited(invited) = &mut self.phase else {
            // Our 2xx overtook it and ended the repetition; it still wants its 200.
            let is_late = self.exchanges.as_ref().is_some_and(|one| one.answer.is_some());
            return self.respond(at, tx, prack, if is_late { 200 } else { 481 });
        };
        let is_ours = prack.rack().is_some_and(|rack| {
            rack.rseq == invited.rseq
                && rack.cseq == invited.invite.cseq().0
                && rack.method == Method::Invite
        });
        let Some(acknowledged) = invited.unacknowledged.take_if(|_| is_ours) else {
            return self.respond(at, tx, prack, 481);
        };
        let carried_offer = acknowledged.has_body && !invited.has_offer && !invited.is_negotiated;
        invited.is_negotiated |= acknowledged.has_body;
        let is_offer = !carried_offer && invited.is_negotiated;
        let (body, is_nothing_left) = self.narrowed(passed::body_of(prack));
        if is_offer && is_nothing_left {
            self.refuse_offer(at, tx, prack);
        } else if carried_offer {
            self.emit(LegEvent::Acknowledge { body });
            self.respond(at, tx, prack, 200);
        } else if body.is_some() && is_offer {
            self.emit(LegEvent::Update { method: UpdateMethod::Prack, body });
            self.exchanges().received = Some(Received::new(tx, prack));
        } else {
            self.respond(at, tx, prack, 200);
        }
        self.flush_held(at);
    }

    fn flush_held(&mut self, at: &mut At<'_>) {
        while let Phase::Invited(invited) = &mut self.phase {
            let is_free = invited.unacknowledged.is_none();
            let Some(event) = invited.held.pop_front().filter(|_| is_free) else { return };
            self.tell_caller(at, event);
            if matches!(&self.phase, Phase::Invited(invited) if invited.unacknowledged.is_some()) {
                return;
            }
        }
    }

    /// Repeats a reliable provisional response, or gives up (section 3: reject the request).
    pub(super) fn provisional_due(&mut self, at: &mut At<'_>) {
        let Phase::Invited(invited) = &mut self.phase else { return };
        let Some(one) = &mut invited.unacknowledged else { return };
        match one.repeated.due(at.now) {
            Due::Nothing => {}
            Due::Resend => {
                let bytes = one.repeated.bytes.clone();
                at.endpoint.respond_again(at.now, invited.tx, bytes);
            }
            Due::GiveUp => {
                self.refuse_invite(at, 504, None, None);
                self.emit_release(Cause::TimerExpired, None, 504);
            }
        }
    }

    /// CANCEL. Only the first INVITE is ended by it: a re-INVITE is being changed at the other
    /// leg too, and the two ends must come to the same session.
    pub(super) fn cancel_received(&mut self, at: &mut At<'_>, tx: ServerTx, cancel: &Message) {
        if !matches!(&self.phase, Phase::Invited(invited) if invited.tx == tx) {
            return;
        }
        let (cause, reason_header) = reason_of(cancel);
        let is_elsewhere = cancel.reasons().any(|reason| {
            reason.protocol.eq_ignore_ascii_case(b"SIP") && reason.cause() == Some(200)
        });
        let cause = match cause {
            Some(Cause::AnsweredElsewhere) => Cause::AnsweredElsewhere,
            _ if is_elsewhere => Cause::AnsweredElsewhere,
            _ => Cause::Cancelled,
        };
        self.refuse_invite(at, 487, None, None);
        self.emit_release(cause, reason_header, 487);
    }

    /// BYE of an early dialog ends the INVITE like a CANCEL (section 15.1.2).
    pub(super) fn bye_received_early(&mut self, at: &mut At<'_>, tx: ServerTx, bye: &Message) {
        self.respond(at, tx, bye, 200);
        self.refuse_invite(at, 487, None, None);
        self.emit_release(Cause::Cancelled, reason_of(bye).1, 487);
    }

    /// The INVITE's transaction ended under us, or its caller cannot be reached.
    pub(super) fn invite_lost(&mut self, at: &mut At<'_>, tx: ServerTx, why: Failure) {
        let Phase::Invited(invited) = &self.phase else { return };
        // An unreachable UDP peer may be back for the next message; a closed connection is final.
        let is_passing = why == Failure::Transport && !self.path.transport.is_reliable();
        if invited.tx != tx || is_passing {
            return;
        }
        let (cause, status) = match why {
            Failure::Timeout => (Cause::TimerExpired, 408),
            Failure::Transport => (Cause::DestinationOutOfOrder, 500),
        };
        self.refuse_invite(at, status, None, None);
        self.emit_release(cause, None, status);
    }

    /// 3xx to the caller.
    pub(super) fn redirect(&mut self, at: &mut At<'_>, status: u16, contacts: &[Bytes]) {
        let Phase::Invited(invited) = &self.phase else { return };
        let mut response = self.response_to(&invited.invite, status);
        for contact in contacts {
            let value = [b"<", &contact[..], b">"].concat();
            response = response.header(HeaderName::Contact, value);
        }
        at.endpoint.respond(at.now, invited.tx, response);
        self.answer_what_is_pending(at, 487);
        self.phase = Phase::Over;
    }

    /// The final response of an INVITE that does not succeed.
    pub(super) fn refuse_invite(
        &mut self,
        at: &mut At<'_>,
        status: u16,
        reason: Option<Bytes>,
        retry_after: Option<u32>,
    ) {
        let Phase::Invited(invited) = &self.phase else { return };
        let mut response = self.response_to(&invited.invite, status);
        if status == 488 {
            response = self.warned(response);
        }
        if let Some(reason) = reason {
            response = response.header(HeaderName::Reason, reason);
        }
        if let Some(seconds) = retry_after {
            response = response.header_fmt(HeaderName::RetryAfter, format_args!("{seconds}"));
        }
        at.endpoint.respond(at.now, invited.tx, response);
        self.answer_what_is_pending(at, 487);
        self.phase = Phase::Over;
    }
}

/// Adds what passes from the other leg.
pub(super) fn with_payload(
    mut response: ResponseDraft,
    headers: &Bytes,
    body: Option<Body>,
) -> ResponseDraft {
    for line in passed::lines(headers) {
        response = response.raw(line);
    }
    match body {
        Some(body) => response.body(&body.content_type, body.bytes),
        None => response,
    }
}

/// Adds what a 2xx says about the session timer (RFC 4028 section 9: a client that refreshes must
/// be told so with `Require`).
pub(super) fn with_session_timer(
    response: ResponseDraft,
    agreed: Option<SessionExpires>,
) -> ResponseDraft {
    let Some(agreed) = agreed else { return response };
    let response = response.header(HeaderName::SessionExpires, session_timer::to_value(agreed));
    match agreed.refresher {
        Some(Refresher::Uac) => response.header(HeaderName::Require, b"timer"),
        _ => response,
    }
}
