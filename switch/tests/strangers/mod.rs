//! Those who come from anywhere and want something, by SIP messages that they have made up.
#![allow(dead_code)] // Each test file uses its part.
#![allow(clippy::unwrap_used)] // Not a #[test] itself, but nothing else calls it.

use std::sync::atomic::{AtomicU32, Ordering};

use sip::auth;
use sip::message::{Message, Method};
use sip::transport::Path;
use switch::guard::Ban;
use switch::{Effect, Input};

use crate::support::{World, start};

/// No two requests of a test are repetitions of each other.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// What leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    Options,
    Register,
    Invite,
    Bye,
    Garbage,
}

/// A sender that nobody knows yet.
pub(crate) struct Stranger {
    pub(crate) from: Path,
    /// Messages so far.
    pub(crate) sent: usize,
}

impl Stranger {
    pub(crate) fn new(from: Path) -> Stranger {
        Stranger { from, sent: 0 }
    }

    /// A request; `lines` are further headers, each with its end.
    pub(crate) fn request(&mut self, w: &mut World, method: &str, user: &str, lines: &str) {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let to_tag = if method == "BYE" { ";tag=nobodys" } else { "" };
        let remote = self.from.remote;
        let text = format!(
            "{method} sip:example.net SIP/2.0\n\
             Via: SIP/2.0/UDP {remote};branch=z9hG4bKs{n};rport\n\
             Max-Forwards: 70\n\
             From: <sip:{user}@example.net>;tag=s{n}\n\
             To: <sip:{user}@example.net>{to_tag}\n\
             Call-ID: stranger-{n}\n\
             CSeq: {n} {method}\n\
             Contact: <sip:{user}@{remote}>\n\
             {lines}Content-Length: 0\n\n"
        );
        self.sent += 1;
        w.receive_on(self.from, &text);
    }

    /// Sends it once.
    pub(crate) fn probe(&mut self, w: &mut World, kind: Probe) {
        match kind {
            Probe::Options => self.request(w, "OPTIONS", "nobody", ""),
            Probe::Register => self.request(w, "REGISTER", "nobody", ""),
            Probe::Invite => self.request(w, "INVITE", "nobody", ""),
            Probe::Bye => self.request(w, "BYE", "nobody", ""),
            Probe::Garbage => {
                self.sent += 1;
                let bytes = bytes::Bytes::from_static(b"INVITE sip:a@b SIP/2.0\r\nVia: ?\r\n\r\n");
                w.input(Input::Message { path: self.from, bytes });
            }
        }
    }

    /// Registers with this password if it is challenged: the last answer's status, 0 for silence.
    pub(crate) fn register(&mut self, w: &mut World, user: &str, password: Option<&str>) -> u16 {
        let Some(challenge) = self.challenge(w, user) else { return 0 };
        let Some(password) = password.filter(|_| challenge.status() == 401) else {
            return challenge.status();
        };
        let line = credentials(&challenge, user, password);
        self.request(w, "REGISTER", user, &line);
        keep(w);
        self.answer(w).map_or(0, |message| message.status())
    }

    /// What a REGISTER without credentials gets.
    pub(crate) fn challenge(&mut self, w: &mut World, user: &str) -> Option<Message> {
        self.request(w, "REGISTER", user, "");
        self.answer(w)
    }

    /// The newest message to this sender.
    fn answer(&self, w: &mut World) -> Option<Message> {
        let is_ours = |(path, message): &(Path, Message)| {
            path.remote == self.from.remote && start(message).starts_with("SIP/2.0")
        };
        let place = w.outbox.iter().rposition(is_ours)?;
        w.outbox.remove(place).map(|(_, message)| message)
    }
}

/// An Authorization line that answers a challenge.
pub(crate) fn credentials(challenge: &Message, user: &str, password: &str) -> String {
    let ours = auth::Credentials::new(user, password);
    let uri = b"sip:example.net";
    let answer = auth::answer_challenge(challenge, &ours, Method::Register, uri, 7, false).unwrap();
    format!("{}: {}\n", answer.name, answer.value)
}

/// The journal has all bindings so far.
fn keep(w: &mut World) {
    let mut answers = Vec::new();
    for effect in &mut w.effects {
        if let Effect::BindingChanged { answer, .. } = effect {
            answers.extend(answer.take());
        }
    }
    for answer in answers {
        w.input(Input::BindingKept { answer });
    }
}

/// The bans since the last time.
pub(crate) fn banned(w: &mut World) -> Vec<Ban> {
    let of = |effect: &Effect| if let Effect::Banned(ban) = effect { Some(*ban) } else { None };
    let bans = w.effects.iter().filter_map(of).collect();
    w.effects.retain(|effect| of(effect).is_none());
    bans
}
