//! A leg of a message (RFC 3428): one MESSAGE and its final response, and no dialog. To its call it is
//! a leg like any other: a 2xx is an answer, everything else a release. What a message says is passed
//! on as it came, and nobody here looks at it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::auth::{self, CredentialsHeader};
use sip::endpoint::{ClientTx, Endpoint, ServerTx};
use sip::message::{HeaderName, Message, Method, RequestDraft, ResponseDraft, reason_phrase};
use sip::transaction::Failure;
use sip::transport::{Path, Transport};
use vocabulary::Now;

use super::config::{Identity, LegConfig, Outgoing};
use super::event::LegEvent;
use super::exchange::TRIES_MAX;
use super::{passed, reason_of};
use crate::release::Cause;
use crate::token::{Randomness, Tag};

/// How long somebody who is sent a message may take to answer: the sender gives up after 64·T1, 32 s, and is
/// to hear of the next trunk's answer before.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct Pager {
    state: State,
    event: Option<LegEvent>,
    path: Path,
    user: u64,
}

enum State {
    /// The sender waits for its response.
    Received(ServerTx, Box<Message>),
    /// It has had this one.
    Answered(u16),
    /// Sent on; no final response yet.
    Sent(Box<Sent>),
    /// The receiver has answered, or nobody waits for that any more.
    Over,
}

struct Sent {
    outgoing: Outgoing,
    tag: Tag,
    tx: Option<ClientTx>,
    cseq: u32,
    tries: u8,
    /// The last try carried credentials: another challenge means that they were not good enough.
    is_authenticated: bool,
    random: Randomness,
}

impl Pager {
    /// For a message that has come in.
    pub(crate) fn inbound(
        user: u64,
        endpoint: &mut Endpoint,
        tx: ServerTx,
        message: &Message,
        path: Path,
    ) -> Pager {
        endpoint.set_user(tx, user);
        Pager { state: State::Received(tx, Box::new(message.clone())), event: None, path, user }
    }

    /// Sends it on.
    pub(crate) fn outbound(
        now: Now,
        identity: Identity,
        endpoint: &mut Endpoint,
        outgoing: Outgoing,
        random: u64,
    ) -> Pager {
        let (path, user) = (outgoing.path, identity.user);
        let mut sent = Box::new(Sent {
            outgoing,
            tag: identity.tag,
            tx: None,
            cseq: 0,
            tries: 0,
            is_authenticated: false,
            random: Randomness::new(random),
        });
        sent.send(now, endpoint, user, None);
        Pager { state: State::Sent(sent), event: None, path, user }
    }

    /// What its call wants: the sender hears `Answer` and `Release`; a message that was sent on cannot be
    /// taken back.
    pub(crate) fn send(&mut self, now: Now, endpoint: &mut Endpoint, event: LegEvent) {
        let status = match event {
            LegEvent::Answer { .. } => 200,
            LegEvent::Release { sip_status, .. } => sip_status.max(300),
            _ => return,
        };
        match &self.state {
            State::Received(tx, message) => {
                let response = ResponseDraft::to(message, status, reason_phrase(status));
                endpoint.respond(now.monotonic, *tx, response);
                self.state = State::Answered(status);
            }
            State::Sent(_) if status >= 300 => self.state = State::Over,
            State::Sent(_) | State::Answered(_) | State::Over => {}
        }
    }

    /// A response to it.
    pub(crate) fn response(
        &mut self,
        now: Now,
        endpoint: &mut Endpoint,
        tx: ClientTx,
        message: &Message,
    ) {
        let State::Sent(sent) = &mut self.state else { return };
        let status = message.status();
        if sent.tx != Some(tx) || status < 200 {
            return;
        }
        if status < 300 {
            self.state = State::Over;
            self.event = Some(LegEvent::Answer { headers: Bytes::new(), body: None });
            return;
        }
        if sent.tries < TRIES_MAX
            && let Some(credentials) = sent.credentials_for(message)
        {
            sent.tries += 1;
            return sent.send(now, endpoint, self.user, Some(credentials));
        }
        let (cause, reason_header) = reason_of(message);
        let cause = cause.unwrap_or(Cause::from_sip_status(status));
        self.fails(cause, reason_header, status);
    }

    /// It could not be sent, or nobody has answered (RFC 3261 section 8.1.3.1).
    pub(crate) fn failed(&mut self, tx: ClientTx, why: Failure) {
        let State::Sent(sent) = &self.state else { return };
        if sent.tx == Some(tx) {
            match why {
                Failure::Timeout => self.fails(Cause::NoResponse, None, 408),
                Failure::Transport => self.fails(Cause::DestinationOutOfOrder, None, 503),
            }
        }
    }

    fn fails(&mut self, cause: Cause, reason_header: Option<Bytes>, sip_status: u16) {
        self.state = State::Over;
        self.event = Some(LegEvent::Release { cause, reason_header, sip_status });
    }

    /// What it has to tell its call.
    pub(crate) fn poll_event(&mut self) -> Option<LegEvent> {
        self.event.take()
    }

    /// Nothing more will happen.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Over | State::Answered(_)) && self.event.is_none()
    }

    /// What the sender has heard.
    pub(crate) fn told(&self) -> Option<u16> {
        if let State::Answered(status) = self.state { Some(status) } else { None }
    }

    /// By which path the peer is reached.
    pub(crate) fn path(&self) -> Path {
        self.path
    }
}

impl Sent {
    fn credentials_for(&mut self, response: &Message) -> Option<CredentialsHeader> {
        let credentials = self.outgoing.credentials.as_ref().map(Arc::clone)?;
        let (uri, is_again) = (&self.outgoing.request_uri, self.is_authenticated);
        let cnonce = self.random.next();
        auth::answer_challenge(response, &credentials, Method::Message, uri, cnonce, is_again)
    }

    /// Sends it, with the next CSeq number. There is no Contact (RFC 3428 section 4).
    fn send(
        &mut self,
        now: Now,
        endpoint: &mut Endpoint,
        user: u64,
        credentials: Option<CredentialsHeader>,
    ) {
        self.cseq += 1;
        let outgoing = &self.outgoing;
        let from: &[&[u8]] = &[&outgoing.from, b";tag=", self.tag.as_bytes()];
        let mut draft = RequestDraft::new(Method::Message, &outgoing.request_uri)
            .header(HeaderName::From, from.concat())
            .header(HeaderName::To, &outgoing.to)
            .header(HeaderName::CallId, &outgoing.call_id)
            .header_fmt(HeaderName::CSeq, format_args!("{} MESSAGE", self.cseq))
            .header_fmt(HeaderName::MaxForwards, format_args!("{}", outgoing.max_forwards));
        if let Some(route) = &outgoing.route {
            draft = draft.header(HeaderName::Route, route);
        }
        self.is_authenticated = credentials.is_some();
        if let Some(credentials) = credentials {
            draft = draft.header(credentials.name, credentials.value);
        }
        for line in passed::lines(&outgoing.headers) {
            draft = draft.raw(line);
        }
        if let Some(body) = &outgoing.body {
            draft = draft.body(&body.content_type, body.bytes.clone());
        }
        let path = outgoing.path;
        let is_by_size =
            path.transport == Transport::Udp && !outgoing.is_udp_only && !outgoing.is_behind_nat;
        let tx = match is_by_size {
            true => endpoint.send_request_by_size(now.monotonic, path, draft, user),
            false => endpoint.send_request(now.monotonic, path, draft, user),
        };
        self.tx = Some(tx);
    }
}

/// The header lines of a message that pass, each with its CRLF: what passes with a call, when it was
/// written and until when it is of use, and what it answers.
pub(crate) fn message_headers(config: &LegConfig, message: &Message) -> Bytes {
    let mut lines = passed::passed_headers(config, message).to_vec();
    let of_messages = [HeaderName::Date, HeaderName::Expires, HeaderName::InReplyTo];
    for line in message.header_lines().filter(|line| of_messages.contains(&line.name)) {
        lines.extend_from_slice(line.raw);
        lines.extend_from_slice(b"\r\n");
    }
    lines.into()
}
