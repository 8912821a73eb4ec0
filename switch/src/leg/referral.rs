//! REFER of the peer within the dialog, and the NOTIFYs that tell it what came of it (RFC 3515).

use bytes::Bytes;
use sip::endpoint::ServerTx;
use sip::message::uri::Uri;
use sip::message::{HeaderName, Message, reason_phrase};

use super::event::{Body, LegEvent};
use super::exchange::{Kind, Received};
use super::{At, Leg, Phase};

/// A REFER that was accepted, until the peer has heard its end.
pub(super) struct Referral {
    /// The CSeq number of the REFER: tells its NOTIFYs from those of another.
    id: u32,
    /// What the peer is to hear once it has answered the NOTIFY before.
    next: Option<u16>,
}

/// How long a subscription lasts, seconds: longer than anything rings.
const EXPIRES: u32 = 600;

impl Leg {
    pub(super) fn refer_received(&mut self, at: &mut At<'_>, tx: ServerTx, refer: &Message) {
        let exchanges = self.exchanges();
        let is_busy = exchanges.received_refer.is_some() || exchanges.referral.is_some();
        if is_busy || !matches!(self.phase, Phase::Up) {
            return self.respond(at, tx, refer, 491);
        }
        let mut targets = refer.name_addrs(HeaderName::ReferTo);
        // RFC 3515 section 2.4.2: exactly one.
        let (Some(target), None) = (targets.next(), targets.next()) else {
            return self.respond(at, tx, refer, 400);
        };
        let Some(uri) = Uri::parse(target.uri()) else {
            return self.respond(at, tx, refer, 416);
        };
        // A phone may be told to do other things than to call; we are no phone.
        let is_call = uri.params().get(b"method").is_none_or(|method| method == b"INVITE");
        if !is_call {
            return self.respond(at, tx, refer, 501);
        }
        let refer_to = Bytes::copy_from_slice(target.uri());
        self.exchanges().received_refer = Some(Received::new(tx, refer));
        self.emit(LegEvent::Transfer { refer_to });
    }

    /// `TransferAnswer` from the call.
    pub(super) fn answer_transfer(&mut self, at: &mut At<'_>, status: u16) {
        let received = self.exchanges.as_mut().and_then(|one| one.received_refer.take());
        let Some(Received { tx, request }) = received else { return };
        if !(200..300).contains(&status) {
            return self.respond(at, tx, &request, status.max(300));
        }
        let response = self.introduce_in(self.response_to(&request, 202));
        at.endpoint.respond(at.now, tx, response);
        self.exchanges().referral = Some(Referral { id: request.cseq().0, next: None });
        // Section 2.4.4: at once, whatever is known.
        self.tell_transferor(at, 100);
    }

    /// `TransferProgress` from the call: a NOTIFY, one at a time so that they stay in order.
    pub(super) fn tell_transferor(&mut self, at: &mut At<'_>, status: u16) {
        let Some(exchanges) = &mut self.exchanges else { return };
        let is_waiting = exchanges.sent.iter().any(|sent| sent.kind == Kind::Notify);
        let Some(referral) = &mut exchanges.referral else { return };
        if is_waiting {
            referral.next = Some(status);
        } else if !self.is_ending() {
            self.notify(at, status);
        }
    }

    fn notify(&mut self, at: &mut At<'_>, status: u16) {
        let Some(exchanges) = &mut self.exchanges else { return };
        let Some(Referral { id, .. }) = exchanges.referral.take() else { return };
        let is_final = status >= 200;
        if !is_final {
            exchanges.referral = Some(Referral { id, next: None });
        }
        let state = match is_final {
            true => "terminated;reason=noresource".to_owned(),
            false => format!("active;expires={EXPIRES}"),
        };
        let headers = format!("Event: refer;id={id}\r\nSubscription-State: {state}\r\n");
        let fragment = format!("SIP/2.0 {status} {}\r\n", reason_phrase(status));
        let body = Body {
            content_type: Bytes::from_static(b"message/sipfrag;version=2.0"),
            bytes: fragment.into(),
        };
        let sent = self.transmit(at, Kind::Notify, headers.into(), Some(body), 0, None);
        self.exchanges().sent.push(sent);
    }

    /// The peer has answered a NOTIFY, or will not: `knows_it` says whether it still wants any.
    pub(super) fn notified(&mut self, at: &mut At<'_>, knows_it: bool) {
        let Some(exchanges) = &mut self.exchanges else { return };
        if !knows_it {
            exchanges.referral = None;
        }
        let next = exchanges.referral.as_mut().and_then(|referral| referral.next.take());
        if let Some(status) = next {
            self.notify(at, status);
        }
    }

    /// The leg ends: what came of the REFER goes out before the BYE.
    pub(super) fn end_referral(&mut self, at: &mut At<'_>) {
        let referral = self.exchanges.as_mut().and_then(|one| one.referral.as_mut());
        let next = referral.and_then(|referral| referral.next.take());
        if let Some(status) = next.filter(|status| *status >= 200) {
            self.notify(at, status);
        }
    }
}
