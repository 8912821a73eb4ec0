//! Which codecs pass between the peer of a leg and the other side (S8).

use sip::endpoint::ServerTx;
use sip::message::{HeaderName, Message, ResponseDraft};

use super::event::{Body, LegEvent};
use super::{At, Leg};

impl Leg {
    /// What is left of a body of the peer, or for it, and whether no stream of it is left.
    pub(super) fn narrowed(&mut self, body: Option<Body>) -> (Option<Body>, bool) {
        let found = self.policy.as_ref().zip(body.as_ref());
        let Some(left) = found.and_then(|(policy, body)| policy.narrow(body)) else {
            return (body, false);
        };
        if !left.removed.is_empty() {
            self.emit(LegEvent::CodecsRemoved { names: left.removed.join(", ").into() });
        }
        (body.map(|body| Body { bytes: left.sdp, ..body }), left.is_nothing_left)
    }

    /// What the peer is told. `None`: nothing, and the other side has its answer.
    pub(super) fn narrowed_for_peer(&mut self, mut event: LegEvent) -> Option<LegEvent> {
        if self.policy.is_none() {
            return Some(event);
        }
        let is_offer = matches!(event, LegEvent::Update { .. });
        let (LegEvent::Ring { body, .. }
        | LegEvent::Answer { body, .. }
        | LegEvent::Acknowledge { body }
        | LegEvent::Update { body, .. }
        | LegEvent::UpdateAnswer { body, .. }) = &mut event
        else {
            return Some(event);
        };
        let (left, is_nothing_left) = self.narrowed(body.take());
        *body = left;
        if is_offer && is_nothing_left {
            self.emit(LegEvent::UpdateAnswer { status: 488, body: None });
            return None;
        }
        Some(event)
    }

    /// The peer offers what it may not use.
    pub(super) fn refuse_offer(&self, at: &mut At<'_>, tx: ServerTx, request: &Message) {
        let response = self.warned(self.response_to(request, 488));
        at.endpoint.respond(at.now, tx, response);
    }

    /// Adds to a 488 what is not acceptable (RFC 3261 sections 13.3.1.3 and 20.43).
    pub(super) fn warned(&self, response: ResponseDraft) -> ResponseDraft {
        let agent = self.config.host(self.path);
        let text = "Incompatible media format";
        response.header_fmt(HeaderName::Warning, format_args!("305 {agent} \"{text}\""))
    }
}
