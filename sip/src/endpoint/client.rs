//! The client side: requests of ours, their responses, CANCEL, and the ACK to a failure.

use std::time::Duration;

use bytes::Bytes;

use super::table::{Alarm, ClientTx, Kind, Which};
use super::{Endpoint, Event};
use crate::message::{HeaderName, Message, Method, RequestDraft};
use crate::timer_wheel::TimerKey;
use crate::transaction::{Clock, Send, Setting, Step, client, invite_client};
use crate::transport::Path;

impl Endpoint {
    pub(super) fn start_client(
        &mut self,
        now: Duration,
        path: Path,
        draft: RequestDraft,
        user: u64,
        is_by_size: bool,
    ) -> ClientTx {
        let is_invite = draft.method() == Method::Invite;
        let mut step = self.first_step(is_invite, path);
        let token = self.table.next_token();
        let index = self.table.insert(step.next, token, path, user);
        let mut via = self.via(path);
        self.table.write_branch(&mut via, index);
        let bytes = draft.finish(&via);
        let stream = self.stream_for(now, path, bytes.len()).filter(|_| is_by_size);
        let entry = self.table.entry(index);
        entry.bytes = bytes;
        entry.datagrams_of = stream.map(|_| path.listener);
        if let Some(stream) = stream {
            self.change_way(index, stream);
            step = self.first_step(is_invite, stream);
        }
        let tx = self.table.client_tx(index);
        self.apply_client(now, index, step, None);
        tx
    }

    fn first_step(&self, is_invite: bool, path: Path) -> Step<Kind> {
        let setting =
            Setting { timing: &self.config.timing, reliable: path.transport.is_reliable() };
        if is_invite {
            invite_client::start(setting).map(Kind::InviteClient)
        } else {
            client::start(setting).map(Kind::Client)
        }
    }

    pub(super) fn response_received(&mut self, now: Duration, message: Message, path: Path) {
        let found = message
            .top_via()
            .and_then(|via| via.branch().and_then(|branch| self.table.find_client(branch)));
        let Some(index) = found else {
            self.stats.stray_responses += 1;
            return;
        };
        let setting = self.client_setting(index);
        let status = message.status();
        // The method in CSeq must match too (section 17.1.3): it tells INVITE from CANCEL.
        let step = match (self.table.kind(index), message.cseq().1) {
            (Some(Kind::InviteClient(state)), method @ (Method::Invite | Method::Cancel)) => {
                let input = if method == Method::Cancel {
                    invite_client::Input::CancelResponse(status)
                } else {
                    invite_client::Input::Response(status)
                };
                invite_client::step(state, input, setting).map(Kind::InviteClient)
            }
            (Some(Kind::Client(state)), method)
                if !matches!(method, Method::Invite | Method::Cancel) =>
            {
                client::step(state, client::Input::Response(status), setting).map(Kind::Client)
            }
            _ => {
                self.stats.stray_responses += 1;
                return;
            }
        };
        self.apply_client(now, index, step, Some((message, path)));
    }

    pub(super) fn cancel_client(&mut self, now: Duration, tx: ClientTx, lines: &[u8]) {
        let Some(entry) = self.table.client_mut(tx) else { return };
        let Some(Kind::InviteClient(state)) = entry.kind else { return };
        if matches!(
            state,
            invite_client::State::Calling { .. } | invite_client::State::Proceeding { .. }
        ) && entry.cancel.is_empty()
            && let Ok(invite) = Message::parse(entry.bytes.clone())
        {
            entry.cancel = derived(&invite, Method::Cancel, invite.header_line_to(), lines);
        }
        let setting = self.client_setting(tx.index);
        let step = invite_client::step(state, invite_client::Input::Cancel, setting);
        self.apply_client(now, tx.index, step.map(Kind::InviteClient), None);
    }

    pub(super) fn client_timer(&mut self, now: Duration, alarm: Alarm) {
        let setting = self.client_setting(alarm.index);
        let timer = alarm.timer;
        let step = match self.table.kind(alarm.index) {
            Some(Kind::InviteClient(state)) => {
                let input = invite_client::Input::Timer(timer);
                invite_client::step(state, input, setting).map(Kind::InviteClient)
            }
            Some(Kind::Client(state)) => {
                client::step(state, client::Input::Timer(timer), setting).map(Kind::Client)
            }
            _ => return,
        };
        // Timer C cancels by itself: make the CANCEL that the step wants to send.
        if step.send == Some(Send::Cancel) && self.table.entry(alarm.index).cancel.is_empty() {
            let entry = self.table.entry(alarm.index);
            if let Ok(invite) = Message::parse(entry.bytes.clone()) {
                entry.cancel = derived(&invite, Method::Cancel, invite.header_line_to(), b"");
            }
        }
        if step.send.is_some() {
            self.stats.repeats_sent += 1;
        }
        self.apply_client(now, alarm.index, step, None);
    }

    pub(super) fn client_transport_failed(&mut self, now: Duration, index: u32) {
        if self.take_datagrams(now, index) {
            return;
        }
        let setting = self.client_setting(index);
        let step = match self.table.kind(index) {
            Some(Kind::InviteClient(state)) => {
                let input = invite_client::Input::TransportError;
                invite_client::step(state, input, setting).map(Kind::InviteClient)
            }
            Some(Kind::Client(state)) => {
                client::step(state, client::Input::TransportError, setting).map(Kind::Client)
            }
            _ => return,
        };
        self.apply_client(now, index, step, None);
    }

    fn client_setting(&self, index: u32) -> Setting<'_> {
        let reliable = self.table.is_reliable(index);
        Setting { timing: &self.config.timing, reliable }
    }

    pub(super) fn apply_client(
        &mut self,
        now: Duration,
        index: u32,
        step: Step<Kind>,
        message: Option<(Message, Path)>,
    ) {
        let is_response = message.is_some();
        let tx = self.table.client_tx(index);
        let entry = self.table.entry(index);
        entry.kind = Some(step.next);
        let (path, user) = (entry.path, entry.user);
        match step.send {
            Some(Send::Request) => {
                let bytes = entry.bytes.clone();
                self.outbox.transmit(path, bytes);
            }
            Some(Send::Cancel) if !entry.cancel.is_empty() => {
                let bytes = entry.cancel.clone();
                self.outbox.transmit(path, bytes);
            }
            Some(Send::Ack) => {
                // The first time the INVITE is still here; later its ACK has taken the place.
                if let Some((response, _)) = &message
                    && let Ok(sent) = Message::parse(entry.bytes.clone())
                    && sent.method() == Method::Invite
                {
                    entry.bytes = derived(&sent, Method::Ack, response.header_line_to(), b"");
                }
                let bytes = entry.bytes.clone();
                self.outbox.transmit(path, bytes);
            }
            _ => {}
        }
        let entry = self.table.entry(index);
        match step.next {
            Kind::InviteClient(invite_client::State::Accepted)
            | Kind::Client(client::State::Completed) => {
                entry.bytes = Bytes::new();
                entry.cancel = Bytes::new();
            }
            _ => {}
        }
        if step.deliver
            && let Some((message, path)) = message
        {
            self.outbox.event(Event::Response { tx, user, message, path });
        } else if is_response {
            self.stats.repeats_received += 1;
        }
        if let Some(why) = step.failed {
            self.outbox.event(Event::Failed { tx, user, why });
        }
        self.set_clocks(now, index, step.repeat, step.limit);
        let is_over = matches!(
            step.next,
            Kind::InviteClient(invite_client::State::Terminated)
                | Kind::Client(client::State::Terminated)
        );
        if is_over {
            self.remove(index);
        }
    }

    pub(super) fn set_clocks(&mut self, now: Duration, index: u32, repeat: Clock, limit: Clock) {
        for (which, clock) in [(Which::Repeat, repeat), (Which::Limit, limit)] {
            if clock == Clock::Keep {
                continue;
            }
            let entry = self.table.entry(index);
            let generation = entry.generation;
            let slot = match which {
                Which::Repeat => &mut entry.repeat,
                Which::Limit => &mut entry.limit,
            };
            self.wheel.disarm(*slot);
            *slot = match clock {
                Clock::Start(timer, after) => {
                    self.wheel.arm(now + after, Alarm { index, generation, which, timer })
                }
                Clock::Keep | Clock::Stop => TimerKey::NONE,
            };
        }
    }

    pub(super) fn remove(&mut self, index: u32) {
        self.set_clocks(Duration::ZERO, index, Clock::Stop, Clock::Stop);
        self.table.remove(index);
    }
}

/// CANCEL or ACK made from the INVITE: same branch, Request-URI, Route, From, Call-ID and CSeq
/// number (RFC 3261 sections 9.1 and 17.1.1.3).
fn derived(invite: &Message, method: Method<'_>, to: Option<&[u8]>, lines: &[u8]) -> Bytes {
    let mut draft = RequestDraft::new(method, invite.request_uri());
    let mut via: &[u8] = b"";
    for line in invite.header_lines() {
        match line.name {
            HeaderName::Via if via.is_empty() => via = line.value,
            HeaderName::Route | HeaderName::From | HeaderName::CallId | HeaderName::MaxForwards => {
                draft = draft.raw(line.raw);
            }
            _ => {}
        }
    }
    if let Some(to) = to {
        draft = draft.raw(to);
    }
    let number = invite.cseq().0;
    draft = draft.header_fmt(HeaderName::CSeq, format_args!("{number} {method}"));
    for line in lines.split(|byte| *byte == b'\n').filter(|line| line.len() > 1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        draft = draft.raw(line);
    }
    draft.finish(via)
}

impl Message {
    /// The To line as it is, with its line end.
    fn header_line_to(&self) -> Option<&[u8]> {
        self.header_lines().find(|line| line.name == HeaderName::To).map(|line| line.raw)
    }
}
