//! The door of a shard: what is dropped before it costs anything, and what is remembered of those who
//! come. What follows from that is `guard`'s to decide.

use bytes::Bytes;
use sip::auth::DigestResponse;
use sip::message::uri::Uri;
use sip::message::{HeaderName, Limits, Message, Method};
use sip::transport::Path;
use vocabulary::Now;

use crate::directory::DigestOwner;
use crate::effect::Effect;
use crate::guard::{Ban, GuardLimits};
use crate::shard::Shard;

impl Shard {
    /// A datagram, or one message cut out of a stream.
    pub(crate) fn message_received(&mut self, now: Now, path: Path, bytes: Bytes) {
        if self.shared.guard.is_alert(now.monotonic)
            && self.shared.guard.is_muted(now.monotonic, self.limits(), path)
            && !self.belongs_to_something(now, path, &bytes)
        {
            self.stats.messages_muted += 1;
            return;
        }
        let malformed = self.endpoint.stats().malformed;
        self.endpoint.receive(now.monotonic, path, bytes);
        if self.endpoint.stats().malformed > malformed {
            self.leads_nowhere(now, path);
        }
    }

    fn limits(&self) -> &GuardLimits {
        &self.directory.guard().limits
    }

    /// Trunks' addresses and those that an operator allows are never limited.
    fn is_exempt(&self, path: Path) -> bool {
        self.directory.trunk_by_address(path.remote).is_some()
            || self.directory.guard().is_allowed(path.remote)
    }

    /// What a muted sender may send all the same, because it cannot be made up: a request with the tag
    /// of a leg, with a nonce that was sent to this very address, or from where the caller is
    /// registered. ACK and CANCEL leave nothing behind, and neither do responses.
    fn belongs_to_something(&self, now: Now, path: Path, bytes: &Bytes) -> bool {
        if bytes.starts_with(b"SIP/2.0 ") || self.is_exempt(path) {
            return true;
        }
        let is_stream = path.transport.is_reliable();
        let Ok(message) = Message::parse_within(bytes.clone(), &Limits::default(), is_stream)
        else {
            return false;
        };
        matches!(message.method(), Method::Ack | Method::Cancel)
            || message.to_tag().is_some_and(|tag| self.has_leg(tag))
            || self.has_received_a_challenge(now, path, &message)
            || self.is_registered_here(now, path, &message)
    }

    fn has_received_a_challenge(&self, now: Now, path: Path, message: &Message) -> bool {
        [HeaderName::Authorization, HeaderName::ProxyAuthorization].into_iter().any(|name| {
            message.headers(name).filter_map(DigestResponse::parse).any(|response| {
                self.verifier.has_received(now.monotonic, path.remote.ip(), &response)
            })
        })
    }

    pub(crate) fn is_registered_here(&self, now: Now, path: Path, message: &Message) -> bool {
        let user = Uri::parse(message.from().uri()).and_then(|uri| uri.user_unescaped());
        let user = user.as_deref().and_then(|user| std::str::from_utf8(user).ok());
        let row = user.and_then(|user| self.directory.subscriber_by_username(user));
        row.is_some_and(|row| self.shared.bindings.is_at(now.utc, row.id, path.remote))
    }

    /// Somebody has been asked for credentials.
    pub(crate) fn unproven(&self, now: Now, path: Path) {
        if !self.is_exempt(path) {
            self.shared.guard.unproven(now.monotonic, self.limits(), path);
        }
    }

    /// Somebody wants what nobody needs who has business here: it cannot be read, belongs to no dialog,
    /// or only asks whether we are there.
    pub(crate) fn leads_nowhere(&mut self, now: Now, path: Path) {
        if self.is_exempt(path) {
            return;
        }
        self.shared.guard.unproven(now.monotonic, self.limits(), path);
        // Whoever sends this over a connection is where it says it is.
        if path.transport.is_reliable() {
            let ban = self.shared.guard.probe(now, self.limits(), path.remote);
            self.banned(ban);
        }
    }

    /// Somebody has shown right credentials. A phone shows them again before its registration ends.
    pub(crate) fn proven(&self, now: Now, path: Path) {
        let lasting = self.directory.settings().registration_max;
        self.shared.guard.prove(now.monotonic, path.remote, lasting);
    }

    /// Somebody who has received our challenge has shown wrong credentials.
    pub(crate) fn wrong_credentials(&mut self, now: Now, path: Path) {
        self.stats.authentication_failures += 1;
        if !self.is_exempt(path) {
            let ban = self.shared.guard.offence(now, self.limits(), path.remote);
            self.banned(ban);
        }
    }

    fn banned(&mut self, ban: Option<Ban>) {
        if let Some(ban) = ban {
            self.stats.sources_banned += 1;
            self.effects.push_back(Effect::Banned(ban));
        }
    }

    /// Whether these credentials are not worth looking at: their source has shown too many wrong ones,
    /// and they are not those of somebody who is there already. Other phones behind the same address
    /// go on.
    pub(crate) fn is_only_guessing(
        &mut self,
        now: Now,
        owner: Option<DigestOwner>,
        path: Path,
    ) -> bool {
        if !self.shared.guard.is_guessing(now.monotonic, self.limits(), path.remote)
            || self.is_exempt(path)
        {
            return false;
        }
        let is_at_home = match owner {
            Some(DigestOwner::Subscriber(id)) => {
                self.shared.bindings.is_at(now.utc, id, path.remote)
            }
            Some(DigestOwner::Trunk(_)) => self.shared.guard.is_proven(now.monotonic, path.remote),
            None => false,
        };
        if !is_at_home {
            self.stats.guesses_refused += 1;
        }
        !is_at_home
    }

    /// Whether this source may send one more REGISTER.
    pub(crate) fn may_source_register(&self, now: Now, path: Path) -> bool {
        self.limits().registers_of_source_max == 0
            || self.is_exempt(path)
            || self.shared.guard.may_source_register(now.monotonic, self.limits(), path.remote)
    }

    /// Whether this subscriber may register once more; a trunk never registers with us.
    pub(crate) fn may_owner_register(&self, now: Now, owner: DigestOwner) -> bool {
        let DigestOwner::Subscriber(id) = owner else { return true };
        self.shared.guard.may_subscriber_register(now.monotonic, self.limits(), id)
    }
}
