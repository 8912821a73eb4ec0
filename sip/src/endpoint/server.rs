//! The server side: requests of others, our responses, ACK and CANCEL.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::table::{Alarm, Entry, Kind, ServerTx};
use super::{Endpoint, Event};
use crate::message::{Message, Method, ResponseDraft};
use crate::transaction::{Send, Setting, Step, invite_server, server};
use crate::transport::{Path, Transport};

/// Where responses go (RFC 3261 section 18.2.2): back through the connection, or to the source
/// address and the port in Via, or, only if `rport` was asked for, to the source port (RFC 3581).
pub(super) fn response_path(request: &Message, path: Path) -> Path {
    if path.transport != Transport::Udp {
        return path;
    }
    let Some(via) = request.top_via() else { return path };
    if via.rport().is_some() {
        return path;
    }
    let port = via.port().unwrap_or(Transport::Udp.default_port());
    Path { remote: SocketAddr::new(path.remote.ip(), port), ..path }
}

impl Endpoint {
    pub(super) fn request_received(&mut self, now: Duration, mut message: Message, path: Path) {
        message.set_source(path.remote);
        match message.method() {
            Method::Ack => self.ack_received(now, message, path),
            Method::Cancel => self.cancel_received(message, path),
            method => {
                let is_invite = method == Method::Invite;
                let key = self.table.server_key(&message, method);
                match self.table.find_server(key) {
                    Some(index) => self.request_repeated(now, index),
                    None => self.start_server(now, key, is_invite, message, path),
                }
            }
        }
    }

    fn start_server(
        &mut self,
        now: Duration,
        key: u64,
        is_invite: bool,
        message: Message,
        path: Path,
    ) {
        if !self.admits(&message, path) {
            return;
        }
        let setting =
            Setting { timing: &self.config.timing, reliable: path.transport.is_reliable() };
        let step = if is_invite {
            invite_server::start(setting).map(Kind::InviteServer)
        } else {
            server::start(setting).map(Kind::Server)
        };
        let back = response_path(&message, path);
        let index = self.table.insert(step.next, key, back, 0);
        let via_port = message.top_via().and_then(|via| via.port());
        let entry = self.table.entry(index);
        entry.bytes = message.bytes().clone();
        entry.source_port = path.remote.port();
        entry.via_port = via_port.unwrap_or(path.transport.default_port());
        self.apply_server(now, index, step);
        let tx = self.table.server_tx(index);
        self.outbox.event(Event::Request { tx, message, path });
    }

    /// Refuses new work when there is too much; what belongs to a dialog is served.
    fn admits(&mut self, message: &Message, path: Path) -> bool {
        let (count, max) = (self.table.len(), self.config.transactions_max);
        if count < max {
            return true;
        }
        if count >= max.saturating_mul(4) {
            self.stats.dropped += 1;
            return false;
        }
        let is_new_work = matches!(message.method(), Method::Invite | Method::Register);
        let is_refused =
            message.to_tag().is_none() && (is_new_work || count >= max.saturating_mul(2));
        if is_refused {
            self.stats.refused += 1;
            self.refuse(message, path, 503, "", None);
        }
        !is_refused
    }

    fn request_repeated(&mut self, now: Duration, index: u32) {
        self.stats.repeats_received += 1;
        let setting = self.server_setting(index);
        let step = match self.table.kind(index) {
            Some(Kind::InviteServer(state)) => {
                let input = invite_server::Input::Invite;
                invite_server::step(state, input, setting).map(Kind::InviteServer)
            }
            Some(Kind::Server(state)) => {
                server::step(state, server::Input::Request, setting).map(Kind::Server)
            }
            _ => return,
        };
        self.apply_server(now, index, step);
    }

    fn ack_received(&mut self, now: Duration, message: Message, path: Path) {
        let key = self.table.server_key(&message, Method::Invite);
        let found = self.table.find_server(key);
        let Some((index, Kind::InviteServer(state))) =
            found.and_then(|index| self.table.kind(index).map(|kind| (index, kind)))
        else {
            self.outbox.event(Event::Ack { message, path });
            return;
        };
        let setting = self.server_setting(index);
        let step = invite_server::step(state, invite_server::Input::Ack, setting);
        let deliver = step.deliver;
        self.apply_server(now, index, step.map(Kind::InviteServer));
        if deliver {
            self.outbox.event(Event::Ack { message, path });
        }
    }

    /// The CANCEL is answered without a transaction: the answer to a repeat is the same.
    fn cancel_received(&mut self, message: Message, path: Path) {
        let key = self.table.server_key(&message, Method::Invite);
        let found = self.table.find_server(key);
        let Some(index) = found else {
            return self.refuse(&message, path, 481, "", None);
        };
        // The To tag should be the one of the responses to the INVITE (section 9.2).
        let newest = Message::parse(self.table.entry(index).bytes.clone()).ok();
        let tag = newest.as_ref().and_then(|response| response.to_tag());
        self.refuse(&message, path, 200, "", tag);
        let tx = self.table.server_tx(index);
        let entry = self.table.entry(index);
        let is_open =
            matches!(entry.kind, Some(Kind::InviteServer(invite_server::State::Proceeding { .. })));
        if is_open && !entry.is_cancelled {
            entry.is_cancelled = true;
            let user = entry.user;
            self.outbox.event(Event::Cancelled { tx, user, message });
        }
    }

    pub(super) fn respond_server(&mut self, now: Duration, tx: ServerTx, bytes: Bytes) {
        let digits = bytes.get(8..11).and_then(|text| std::str::from_utf8(text).ok());
        let status: u16 = digits.and_then(|text| text.parse().ok()).unwrap_or(500);
        let Some(kind) = self.table.server_mut(tx).and_then(|entry| entry.kind) else { return };
        let setting = self.server_setting(tx.index);
        let step = match kind {
            Kind::InviteServer(state) => {
                let input = invite_server::Input::Respond(status);
                invite_server::step(state, input, setting).map(Kind::InviteServer)
            }
            Kind::Server(state) => {
                server::step(state, server::Input::Respond(status), setting).map(Kind::Server)
            }
            Kind::Client(_) | Kind::InviteClient(_) => return,
        };
        if step.send == Some(Send::Response) {
            // What is kept for half a minute should not keep the room that a draft has to spare.
            let is_kept = matches!(step.next, Kind::Server(server::State::Completed));
            let bytes = if is_kept { Bytes::copy_from_slice(&bytes) } else { bytes };
            self.table.entry(tx.index).bytes = bytes;
        }
        self.apply_server(now, tx.index, step);
    }

    pub(super) fn server_timer(&mut self, now: Duration, alarm: Alarm) {
        let setting = self.server_setting(alarm.index);
        let step = match self.table.kind(alarm.index) {
            Some(Kind::InviteServer(state)) => {
                let input = invite_server::Input::Timer(alarm.timer);
                invite_server::step(state, input, setting).map(Kind::InviteServer)
            }
            Some(Kind::Server(state)) => {
                server::step(state, server::Input::Timer(alarm.timer), setting).map(Kind::Server)
            }
            _ => return,
        };
        if step.send == Some(Send::Response) {
            self.stats.repeats_sent += 1;
        }
        self.apply_server(now, alarm.index, step);
    }

    /// The connection is gone: responses go to the port in Via on another one (section 18.2.2);
    /// only if that fails too, the transaction has failed.
    pub(super) fn server_transport_failed(&mut self, now: Duration, index: u32) {
        let entry = self.table.entry(index);
        let Path { connection, remote, .. } = entry.path;
        if connection != 0 {
            let remote = SocketAddr::new(remote.ip(), entry.via_port);
            let path = Path { connection: 0, remote, ..entry.path };
            let has_final = matches!(
                entry.kind,
                Some(Kind::InviteServer(invite_server::State::Completed { .. }))
            );
            let bytes = entry.bytes.clone();
            self.table.redirect(index, path);
            if has_final {
                self.outbox.transmit(path, bytes);
            }
            return;
        }
        let setting = self.server_setting(index);
        let step = match self.table.kind(index) {
            Some(Kind::InviteServer(state)) => {
                let input = invite_server::Input::TransportError;
                invite_server::step(state, input, setting).map(Kind::InviteServer)
            }
            Some(Kind::Server(state)) => {
                server::step(state, server::Input::TransportError, setting).map(Kind::Server)
            }
            _ => return,
        };
        self.apply_server(now, index, step);
    }

    fn server_setting(&self, index: u32) -> Setting<'_> {
        let reliable = self.table.is_reliable(index);
        Setting { timing: &self.config.timing, reliable }
    }

    fn apply_server(&mut self, now: Duration, index: u32, step: Step<Kind>) {
        let tx = self.table.server_tx(index);
        let entry = self.table.entry(index);
        entry.kind = Some(step.next);
        let (path, user) = (entry.path, entry.user);
        if step.send == Some(Send::Trying) {
            entry.bytes = trying(entry);
        }
        if step.send.is_some() {
            let bytes = entry.bytes.clone();
            self.outbox.transmit(path, bytes);
        }
        if matches!(
            step.next,
            Kind::InviteServer(invite_server::State::Accepted | invite_server::State::Confirmed)
        ) {
            self.table.entry(index).bytes = Bytes::new();
        }
        if let Some(why) = step.failed {
            self.outbox.event(Event::ServerFailed { tx, user, why });
        }
        self.set_clocks(now, index, step.repeat, step.limit);
        let is_over = matches!(
            step.next,
            Kind::InviteServer(invite_server::State::Terminated)
                | Kind::Server(server::State::Terminated)
        );
        if is_over {
            self.remove(index);
        }
    }
}

/// 100 (Trying) to the request that the transaction keeps until its first response.
fn trying(entry: &Entry) -> Bytes {
    let bytes = entry.bytes.clone();
    let parsed = if entry.path.transport.is_reliable() {
        Message::parse_framed(bytes)
    } else {
        Message::parse(bytes)
    };
    let Ok(mut request) = parsed else { return Bytes::new() };
    request.set_source(SocketAddr::new(entry.path.remote.ip(), entry.source_port));
    ResponseDraft::to(&request, 100, "").finish()
}
