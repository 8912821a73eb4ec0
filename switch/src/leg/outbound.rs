//! The side that calls: from our INVITE to its final response (RFC 3261 section 13.2), with forked
//! early dialogs, credentials, 422, and the crossing of CANCEL with a 2xx.

use std::sync::Arc;

use bytes::Bytes;
use sip::auth::CredentialsHeader;
use sip::dialog::prack::{Arrival, arrival};
use sip::dialog::session_timer::{self, SessionTimer};
use sip::dialog::{Dialog, Identity as DialogIdentity};
use sip::endpoint::{ClientTx, Endpoint};
use sip::message::header::SessionExpires;
use sip::message::{HeaderName, Message, Method, RequestDraft};
use sip::transaction::Failure;
use vocabulary::Now;

use super::config::{Identity, LegConfig, Outgoing};
use super::event::{Body, LegEvent};
use super::exchange::{Kind, TRIES_MAX};
use super::{At, DialogView, Leg, Phase, passed, reach, reason_of};
use crate::interworking::Reliability;
use crate::release::Cause;
use crate::token::Tag;

/// So many early dialogs of one INVITE are told apart; more branches than that share one.
const FORKS_MAX: usize = 8;

/// What is known until the final response.
pub(super) struct Inviting {
    outgoing: Outgoing,
    /// The value of From with our tag.
    from: Bytes,
    tx: Option<ClientTx>,
    cseq: u32,
    /// How often a 401, 407 or 422 was answered.
    tries: u8,
    /// The last try carried credentials: another challenge means that they were not good enough.
    is_authenticated: bool,
    /// The interval that we propose, seconds.
    interval: Option<u32>,
    /// Early dialogs other than the newest, which is the leg's.
    parked: Vec<Dialog>,
    /// RSeq of a reliable early offer; its PRACK waits for the other leg's answer.
    open_offer: Option<u32>,
    /// Offer and answer were exchanged in a reliable response.
    is_negotiated: bool,
    /// The call gave up: whatever comes is only cleared away.
    pub(super) is_cancelled: bool,
    reason: Bytes,
}

impl Inviting {
    pub(super) fn is_of(&self, tx: ClientTx) -> bool {
        self.tx == Some(tx)
    }

    pub(super) fn view<'a>(&'a self, tag: &'a Tag) -> DialogView<'a> {
        DialogView {
            call_id: &self.outgoing.call_id,
            local_tag: tag.as_bytes(),
            remote_tag: None,
            remote_target: &self.outgoing.request_uri,
        }
    }

    /// An offer of ours is open, so the peer's must wait (RFC 3311 section 5.2).
    pub(super) fn is_offer_open(&self) -> bool {
        !self.is_negotiated
    }

    /// Cancels the INVITE, once.
    pub(super) fn cancel(&mut self, at: &mut At<'_>, reason: &[u8]) {
        if std::mem::replace(&mut self.is_cancelled, true) {
            return;
        }
        self.reason = Bytes::copy_from_slice(reason);
        let line = if reason.is_empty() { Vec::new() } else { [b"Reason: ", reason].concat() };
        if let Some(tx) = self.tx {
            at.endpoint.cancel(at.now, tx, &line);
        }
    }

    fn identity(&self) -> DialogIdentity<'_> {
        DialogIdentity {
            call_id: &self.outgoing.call_id,
            from: &self.from,
            cseq: self.cseq,
            target: &self.outgoing.request_uri,
        }
    }
}

impl Leg {
    /// Places a call.
    pub fn outbound(
        now: Now,
        config: &Arc<LegConfig>,
        identity: Identity,
        endpoint: &mut Endpoint,
        outgoing: Outgoing,
    ) -> Leg {
        let tag = identity.tag;
        let mut leg = Leg::new(config, identity, outgoing.path, Phase::Over);
        leg.peer.is_behind_nat = outgoing.is_behind_nat;
        leg.peer.is_udp_only = outgoing.is_udp_only;
        leg.peer.is_secure = reach::is_secure(&outgoing.request_uri);
        leg.credentials = outgoing.credentials.clone();
        let from = [&outgoing.from[..], b";tag=", tag.as_bytes()].concat();
        let mut inviting = Inviting {
            from: from.into(),
            tx: None,
            cseq: 0,
            tries: 0,
            is_authenticated: false,
            interval: config.session_timer.interval,
            parked: Vec::new(),
            open_offer: None,
            is_negotiated: false,
            is_cancelled: false,
            reason: Bytes::new(),
            outgoing,
        };
        leg.place(&mut At::new(now, endpoint), &mut inviting, None);
        leg.phase = Phase::Inviting(Box::new(inviting));
        leg
    }

    /// Sends the INVITE, with the next CSeq number.
    fn place(
        &self,
        at: &mut At<'_>,
        inviting: &mut Inviting,
        credentials: Option<CredentialsHeader>,
    ) {
        inviting.cseq += 1;
        let outgoing = &inviting.outgoing;
        let can_answer_early = outgoing.body.is_some() || outgoing.caller_does_100rel;
        let reliability = self.reliability();
        let does_100rel = can_answer_early && reliability != Reliability::Off;
        let supported = reach::supported(does_100rel, self.peer.may_replace);
        let draft = RequestDraft::new(Method::Invite, &outgoing.request_uri)
            .header(HeaderName::From, &inviting.from)
            .header(HeaderName::To, &outgoing.to)
            .header(HeaderName::CallId, &outgoing.call_id)
            .header_fmt(HeaderName::CSeq, format_args!("{} INVITE", inviting.cseq))
            .header_fmt(HeaderName::MaxForwards, format_args!("{}", outgoing.max_forwards))
            .header(HeaderName::Supported, supported);
        let mut draft = self.introduce(draft, self.path);
        let proposal = inviting.interval.map(|seconds| SessionExpires { seconds, refresher: None });
        draft = with_proposal(draft, proposal, self.peer.min_se);
        if does_100rel && reliability == Reliability::Required {
            draft = draft.header(HeaderName::Require, b"100rel");
        }
        if let Some(route) = &outgoing.route {
            draft = draft.header(HeaderName::Route, route);
        }
        inviting.is_authenticated = credentials.is_some();
        if let Some(credentials) = credentials {
            draft = draft.header(credentials.name, credentials.value);
        }
        for line in passed::lines(&outgoing.headers) {
            draft = draft.raw(line);
        }
        if let Some(body) = &outgoing.body {
            draft = draft.body(&body.content_type, body.bytes.clone());
        }
        inviting.tx = Some(self.transmit_by_size(at, self.path, draft));
    }

    /// A response to our INVITE while it has no final one.
    pub(super) fn invite_answered(&mut self, at: &mut At<'_>, response: &Message) {
        match response.status() {
            100 => {}
            101..=199 => self.progress(at, response),
            200..=299 => self.invite_accepted(at, response),
            status => self.invite_refused(at, status, response),
        }
    }

    /// Makes the dialog of this response the leg's current one. `false` if there is none.
    fn enter(&mut self, response: &Message) -> bool {
        let Phase::Inviting(inviting) = &mut self.phase else { return false };
        if self.dialog.as_ref().is_some_and(|dialog| dialog.is_of_response(response)) {
            return true;
        }
        let known = inviting.parked.iter().position(|dialog| dialog.is_of_response(response));
        let entered = match known {
            Some(index) => inviting.parked.swap_remove(index),
            None => match Dialog::from_response(inviting.identity(), response) {
                Ok(dialog) => dialog,
                Err(_) => return false,
            },
        };
        if let Some(left) = self.dialog.replace(entered)
            && inviting.parked.len() < FORKS_MAX
        {
            inviting.parked.push(left);
        }
        true
    }

    /// Makes the early dialog that this request belongs to the current one.
    pub(super) fn enter_for_request(&mut self, request: &Message) {
        let Phase::Inviting(inviting) = &mut self.phase else { return };
        let found = inviting.parked.iter_mut().find(|dialog| dialog.is_of_request(request));
        if let (Some(found), Some(current)) = (found, &mut self.dialog) {
            std::mem::swap(found, current);
        }
    }

    fn progress(&mut self, at: &mut At<'_>, response: &Message) {
        let has_dialog = self.enter(response);
        self.note_peer(response);
        let Phase::Inviting(inviting) = &mut self.phase else { return };
        let has_offer = inviting.outgoing.body.is_some();
        let mut body = passed::body_of(response);
        let is_reliable = response.requires(b"100rel") && has_dialog;
        if let Some(rseq) = response.rseq().filter(|_| is_reliable) {
            let dialog = self.dialog.as_mut().expect("it was just entered");
            match arrival(dialog.remote_rseq, rseq) {
                Arrival::Next => dialog.remote_rseq = rseq,
                // It comes again, and its PRACK repeats itself.
                Arrival::Repeated | Arrival::OutOfOrder => return,
            }
            let is_early_offer = body.is_some() && !has_offer && !inviting.is_negotiated;
            if is_early_offer && !inviting.is_cancelled {
                inviting.open_offer = Some(rseq);
            } else {
                inviting.is_negotiated |= body.is_some();
                self.prack(at, rseq, None);
            }
        } else if !has_offer {
            // Unreliable: it cannot be an offer, and there is nothing that it could answer.
            body = None;
        }
        if matches!(&self.phase, Phase::Inviting(inviting) if !inviting.is_cancelled) {
            let headers = passed::passed_headers(&self.config, response);
            let (body, _) = self.narrowed(body);
            self.emit(LegEvent::Ring { status: response.status(), headers, body });
        }
    }

    fn prack(&mut self, at: &mut At<'_>, rseq: u32, body: Option<Body>) {
        let Phase::Inviting(inviting) = &self.phase else { return };
        let rack = format!("RAck: {rseq} {} INVITE\r\n", inviting.cseq);
        let sent = self.transmit(at, Kind::Prack, rack.into(), body, 0, None);
        self.exchanges().sent.push(sent);
    }

    /// The other leg's answer to an early offer goes out in the PRACK. `false`: there is none.
    pub(super) fn answer_early_offer(&mut self, at: &mut At<'_>, body: Option<&Body>) -> bool {
        let Phase::Inviting(inviting) = &mut self.phase else { return false };
        let Some(rseq) = inviting.open_offer.take() else { return false };
        inviting.is_negotiated = true;
        self.prack(at, rseq, body.cloned());
        true
    }

    fn invite_accepted(&mut self, at: &mut At<'_>, response: &Message) {
        if !self.enter(response) {
            let Phase::Inviting(inviting) = &self.phase else { return };
            let was_released = inviting.is_cancelled;
            self.phase = Phase::Over;
            if !was_released {
                self.emit_release(Cause::ProtocolError, None, 500);
            }
            return;
        }
        self.note_peer(response);
        if let Some(dialog) = &mut self.dialog {
            // A route set that cannot be used leaves the one of the early dialog.
            let _ = dialog.confirm(response);
        }
        let Phase::Inviting(inviting) = std::mem::replace(&mut self.phase, Phase::Up) else {
            unreachable!("only called while inviting")
        };
        let agreed = response.session_expires();
        self.timer = agreed.map(|agreed| SessionTimer::start(at.now, agreed, true));
        let must_wait = inviting.outgoing.body.is_none() && !inviting.is_negotiated;
        if must_wait && !inviting.is_cancelled {
            self.exchanges().held_ack = Some(inviting.cseq);
        } else {
            self.send_ack(at, inviting.cseq, None);
        }
        if inviting.is_cancelled {
            // The 2xx crossed our CANCEL (section 9.1): we have a call that nobody wants.
            return self.leave(at, inviting.reason);
        }
        self.keep_body(inviting.outgoing.body.as_ref());
        let headers = passed::passed_headers(&self.config, response);
        let (body, is_nothing_left) = self.narrowed(passed::body_of(response));
        if is_nothing_left {
            // An offer, or an answer beside ours: there is nothing to talk with.
            let cause = Cause::IncompatibleMedia;
            self.emit_release(cause, None, cause.sip_status());
            return self.leave(at, cause.reason_header().into());
        }
        self.emit(LegEvent::Answer { headers, body });
    }

    fn invite_refused(&mut self, at: &mut At<'_>, status: u16, response: &Message) {
        let Phase::Inviting(mut inviting) = std::mem::replace(&mut self.phase, Phase::Over) else {
            unreachable!("only called while inviting")
        };
        if inviting.is_cancelled {
            return;
        }
        if self.tries_again(at, &mut inviting, status, response) {
            // The refused attempt's early dialogs ended with it (section 12.3).
            inviting.parked.clear();
            self.dialog = None;
            self.phase = Phase::Inviting(inviting);
            return;
        }
        self.answer_what_is_pending(at, 487);
        if (300..400).contains(&status) {
            let contacts = contacts_of(response);
            return self.emit(LegEvent::Redirect { status, contacts });
        }
        let (cause, reason_header) = reason_of(response);
        let cause = cause.unwrap_or(Cause::from_sip_status(status));
        self.emit_release(cause, reason_header, status);
    }

    /// Answers 401, 407 and 422 with another INVITE, if that may help.
    fn tries_again(
        &mut self,
        at: &mut At<'_>,
        inviting: &mut Inviting,
        status: u16,
        response: &Message,
    ) -> bool {
        if inviting.tries >= TRIES_MAX {
            return false;
        }
        let credentials = match status {
            401 | 407 => {
                let uri = &inviting.outgoing.request_uri.clone();
                let is_again = inviting.is_authenticated;
                match self.credentials_for(response, Method::Invite, uri, is_again) {
                    Some(header) => Some(header),
                    None => return false,
                }
            }
            422 => {
                let Some(min_se) = response.min_se() else { return false };
                self.peer.min_se = self.peer.min_se.max(min_se);
                inviting.interval = Some(min_se.max(inviting.interval.unwrap_or(0)));
                None
            }
            _ => return false,
        };
        inviting.tries += 1;
        self.place(at, inviting, credentials);
        true
    }

    /// Our INVITE got no final response.
    pub(super) fn invite_failed(&mut self, why: Failure) {
        let Phase::Inviting(inviting) = std::mem::replace(&mut self.phase, Phase::Over) else {
            unreachable!("only called while inviting")
        };
        if inviting.is_cancelled {
            return;
        }
        // Section 8.1.3.1: a timeout counts as 408, an error of the transport as 503.
        let (cause, status) = match why {
            Failure::Timeout => (Cause::NoResponse, 408),
            Failure::Transport => (Cause::DestinationOutOfOrder, 503),
        };
        self.emit_release(cause, None, status);
    }

    /// What a request that refreshes the session proposes about its timer.
    pub(super) fn timer_proposal(&self) -> Option<SessionExpires> {
        self.timer.as_ref().map(SessionTimer::proposal)
    }
}

/// The Contacts of a 3xx, the best first; equals stay in order (section 8.1.3.4).
fn contacts_of(response: &Message) -> Vec<Bytes> {
    let mut contacts: Vec<(u16, Bytes)> = response
        .contacts()
        .map(|contact| (contact.q().unwrap_or(1000), Bytes::copy_from_slice(contact.uri())))
        .collect();
    contacts.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
    contacts.into_iter().map(|(_, uri)| uri).collect()
}

/// Adds Session-Expires, and the Min-SE that a 422 asked for (RFC 4028 section 7.4).
pub(super) fn with_proposal(
    mut draft: RequestDraft,
    proposal: Option<SessionExpires>,
    min_se: u32,
) -> RequestDraft {
    if let Some(proposal) = proposal {
        draft = draft.header(HeaderName::SessionExpires, session_timer::to_value(proposal));
    }
    if min_se > 0 {
        draft = draft.header_fmt(HeaderName::MinSe, format_args!("{min_se}"));
    }
    draft
}
