//! Requests of the peer within the dialog (RFC 3261 sections 12.2.2 and 14.2, RFC 3311, RFC 6086).

use bytes::Bytes;
use sip::dialog::CSeqOrder;
use sip::dialog::session_timer::{self, Asked, SessionTimer};
use sip::endpoint::ServerTx;
use sip::message::header::SessionExpires;
use sip::message::{HeaderName, Message, Method};
use sip::transport::Path;

use super::event::{Body, LegEvent, UpdateMethod};
use super::exchange::Received;
use super::inbound::{with_payload, with_session_timer};
use super::{At, Leg, Phase, passed, reach};

/// INFOs of one peer that may wait for the other leg.
const INFOS_MAX: usize = 8;

impl Leg {
    pub(super) fn request_received(
        &mut self,
        at: &mut At<'_>,
        tx: ServerTx,
        request: &Message,
        path: Path,
    ) {
        self.enter_for_request(request);
        let Some(dialog) = self.dialog.as_mut().filter(|dialog| dialog.is_of_request(request))
        else {
            return self.respond(at, tx, request, 481);
        };
        if dialog.receive(request) == CSeqOrder::OutOfOrder {
            return self.respond(at, tx, request, 500);
        }
        // Its NAT may have given it another address meanwhile, or it opened a new connection.
        self.heard(path);
        if let Some(unknown) = reach::unknown_extensions(request, self.extensions()) {
            let response = self.response_to(request, 420);
            let response = response.header(HeaderName::Unsupported, unknown);
            return at.endpoint.respond(at.now, tx, response);
        }
        let is_ending = self.is_ending();
        match request.method() {
            Method::Bye => self.bye_received(at, tx, request),
            _ if is_ending => self.respond(at, tx, request, 481),
            Method::Invite => self.reinvite_received(at, tx, request),
            Method::Update => self.update_received(at, tx, request),
            Method::Prack => self.prack_received(at, tx, request),
            Method::Info => self.info_received(at, tx, request),
            Method::Refer => self.refer_received(at, tx, request),
            Method::Options => {
                let response = self.introduce_in(self.response_to(request, 200));
                let response = response.header(HeaderName::Accept, b"application/sdp");
                at.endpoint.respond(at.now, tx, response);
            }
            Method::Extension(_) => self.respond_with_allow(at, tx, request, 501),
            _ => self.respond_with_allow(at, tx, request, 405),
        }
    }

    fn respond_with_allow(&self, at: &mut At<'_>, tx: ServerTx, request: &Message, status: u16) {
        let response = self.response_to(request, status).header(HeaderName::Allow, reach::ALLOW);
        at.endpoint.respond(at.now, tx, response);
    }

    /// 500 with a random wait below ten seconds (section 14.2).
    fn respond_later(&mut self, at: &mut At<'_>, tx: ServerTx, request: &Message) {
        let seconds = self.random_below(10);
        let response = self.response_to(request, 500);
        let response = response.header_fmt(HeaderName::RetryAfter, format_args!("{seconds}"));
        at.endpoint.respond(at.now, tx, response);
    }

    fn reinvite_received(&mut self, at: &mut At<'_>, tx: ServerTx, request: &Message) {
        let has_sent = self.exchanges().has_session_sent();
        let has_received = self.exchanges().received.is_some();
        match self.phase {
            Phase::Invited(_) => return self.respond_later(at, tx, request),
            Phase::Inviting(_) => return self.respond(at, tx, request, 491),
            _ if has_sent => return self.respond(at, tx, request, 491),
            _ if has_received => return self.respond_later(at, tx, request),
            _ => {}
        }
        if !self.accept_target_refresh(at, tx, request) {
            return;
        }
        let (body, is_nothing_left) = self.narrowed(passed::body_of(request));
        if is_nothing_left {
            return self.refuse_offer(at, tx, request);
        }
        self.exchanges().received = Some(Received::new(tx, request));
        self.emit(LegEvent::Update { method: UpdateMethod::ReInvite, body });
    }

    fn update_received(&mut self, at: &mut At<'_>, tx: ServerTx, request: &Message) {
        let body = passed::body_of(request);
        let (is_ours_open, is_theirs_open) = match &self.phase {
            Phase::Invited(invited) => (false, invited.is_offer_open()),
            Phase::Inviting(inviting) => (inviting.is_offer_open(), false),
            _ => (false, false),
        };
        let has_sent = self.exchanges().has_session_sent() || is_ours_open;
        let has_received = self.exchanges().received.is_some();
        if has_received || body.is_some() && is_theirs_open {
            return self.respond_later(at, tx, request);
        }
        if body.is_some() && has_sent {
            return self.respond(at, tx, request, 491);
        }
        if !self.accept_target_refresh(at, tx, request) {
            return;
        }
        let (body, is_nothing_left) = self.narrowed(body);
        if is_nothing_left {
            return self.refuse_offer(at, tx, request);
        }
        if body.is_some() {
            self.exchanges().received = Some(Received::new(tx, request));
            return self.emit(LegEvent::Update { method: UpdateMethod::Update, body });
        }
        // It only refreshes (RFC 4028 section 9); the other leg has a timer of its own.
        let agreed = self.agree_with(at, request);
        let response = self.introduce_in(self.response_to(request, 200));
        at.endpoint.respond(at.now, tx, with_session_timer(response, agreed));
    }

    /// Takes the new Contact; refuses a session interval that is too small.
    fn accept_target_refresh(&mut self, at: &mut At<'_>, tx: ServerTx, request: &Message) -> bool {
        let asked = Asked::of(request);
        if let Err(small) = session_timer::answer(self.config.session_timer, asked) {
            let response = self.response_to(request, 422);
            let min_se = small.min_se;
            let response = response.header_fmt(HeaderName::MinSe, format_args!("{min_se}"));
            at.endpoint.respond(at.now, tx, response);
            return false;
        }
        self.note_peer(request);
        if let Some(dialog) = &mut self.dialog {
            dialog.refresh_target(request);
        }
        true
    }

    /// Restarts the session timer as a 2xx to `request` says; before the answer there is none.
    fn agree_with(&mut self, at: &At<'_>, request: &Message) -> Option<SessionExpires> {
        if !matches!(self.phase, Phase::Up) {
            return None;
        }
        let asked = Asked::of(request);
        let agreed = session_timer::answer(self.config.session_timer, asked).unwrap_or(None);
        self.timer = agreed.map(|agreed| SessionTimer::start(at.now, agreed, false));
        agreed
    }

    /// `UpdateAnswer` from the other leg.
    pub(super) fn answer_update(&mut self, at: &mut At<'_>, status: u16, body: Option<Body>) {
        let received = self.exchanges.as_mut().and_then(|exchanges| exchanges.received.take());
        let Some(Received { tx, request }) = received.filter(|_| status >= 200) else { return };
        let is_success = status < 300;
        let mut response = self.response_to(&request, if is_success { 200 } else { status });
        if !is_success {
            return at.endpoint.respond(at.now, tx, response);
        }
        if request.method() != Method::Prack {
            let agreed = self.agree_with(at, &request);
            response = with_session_timer(self.introduce_in(response), agreed);
        }
        self.keep_body(body.as_ref());
        let bytes = with_payload(response, &Bytes::new(), body).finish();
        if request.method() == Method::Invite {
            let carries_offer = request.body_bytes().is_empty();
            self.succeed(at, tx, request.cseq().0, bytes, carries_offer);
        } else {
            at.endpoint.respond(at.now, tx, bytes);
        }
    }

    fn info_received(&mut self, at: &mut At<'_>, tx: ServerTx, request: &Message) {
        if self.exchanges().received_infos.len() >= INFOS_MAX {
            return self.respond_later(at, tx, request);
        }
        self.exchanges().received_infos.push_back(Received::new(tx, request));
        let headers = passed::passed_headers(&self.config, request);
        self.emit(LegEvent::Info { headers, body: passed::body_of(request) });
    }

    /// `InfoAnswer` from the other leg; they come in the order of the INFOs.
    pub(super) fn answer_info(&mut self, at: &mut At<'_>, status: u16, body: Option<Body>) {
        let exchanges = self.exchanges.as_mut();
        let received = exchanges.and_then(|exchanges| exchanges.received_infos.pop_front());
        let Some(Received { tx, request }) = received else { return };
        let response = self.response_to(&request, status.max(200));
        at.endpoint.respond(at.now, tx, with_payload(response, &Bytes::new(), body));
    }

    /// `OtherSideLeft`: no answer will come from there any more.
    pub(super) fn answer_for_who_left(&mut self, at: &mut At<'_>) {
        self.answer_update(at, 491, None);
        while self.exchanges.as_ref().is_some_and(|one| !one.received_infos.is_empty()) {
            self.answer_info(at, 480, None);
        }
    }

    /// The leg ends: whatever the peer still waits for gets its answer (section 15.1.2), and a
    /// re-INVITE of ours does not wait for one for ever.
    pub(super) fn answer_what_is_pending(&mut self, at: &mut At<'_>, status: u16) {
        let Some(exchanges) = &mut self.exchanges else { return };
        let received = exchanges.received.take();
        let infos = std::mem::take(&mut exchanges.received_infos);
        let refer = exchanges.received_refer.take();
        exchanges.waiting_update = None;
        for tx in exchanges.invites_sent() {
            at.endpoint.cancel(at.now, tx, b"");
        }
        for Received { tx, request } in received.into_iter().chain(infos).chain(refer) {
            self.respond(at, tx, &request, status);
        }
    }
}
