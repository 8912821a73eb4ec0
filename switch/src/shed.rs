//! Who wants new work done while there is more of it than can be done, and what it wants. Whose turn it is
//! then is `overload`'s to decide.

use std::net::SocketAddr;

use sip::message::uri::Uri;
use sip::message::{HeaderName, Message, Method};
use sip::transport::Path;
use vocabulary::{AccountId, Now, TrunkId};

use crate::guard;
use crate::overload::{Wants, WantsWhat};
use crate::shard::Shard;

/// Whose share new work comes out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wanter {
    /// A trunk, known by its address.
    Trunk(TrunkId),
    /// The account that somebody claims who has shown right credentials from there lately.
    Account(AccountId),
    /// An address, or a network of IPv6.
    Source(SocketAddr),
}

impl Shard {
    /// Whether a request outside of dialogs is to be done. While there is no pressure: one look.
    pub(crate) fn has_room_for(&mut self, now: Now, message: &Message, path: Path) -> bool {
        if self.shedder.is_calm() {
            return true;
        }
        let wants = self.wants(now, message, path);
        self.shedder.admits(now.monotonic, wants)
    }

    fn wants(&self, now: Now, message: &Message, path: Path) -> Wants<Wanter> {
        let trunk = self.directory.trunk_by_address(path.remote);
        let is_proven = trunk.is_none() && self.shared.guard.is_proven(now.monotonic, path.remote);
        let claimed = || {
            let user = Uri::parse(message.from().uri()).and_then(|uri| uri.user_unescaped())?;
            let user = std::str::from_utf8(&user).ok()?;
            Some(Wanter::Account(self.directory.subscriber_by_username(user)?.account))
        };
        let source = match trunk {
            Some(row) => Wanter::Trunk(row.id),
            // What a stranger claims would be taken from whoever it claims to be.
            None => claimed()
                .filter(|_| is_proven)
                .unwrap_or(Wanter::Source(guard::source(path.remote))),
        };
        let has = |name| message.header(name).is_some();
        let shows_credentials = trunk.is_some()
            || has(HeaderName::ProxyAuthorization)
            || has(HeaderName::Authorization);
        let what = match message.method() {
            Method::Register if self.is_registered_here(now, path, message) => WantsWhat::Refresh,
            Method::Invite if self.calls_for_help(message) => WantsWhat::Help,
            _ if shows_credentials => WantsWhat::WithCredentials,
            _ => WantsWhat::New,
        };
        // Bindings outlive a restart, what was proven does not.
        let is_known = trunk.is_some() || is_proven || what == WantsWhat::Refresh;
        Wants { source, is_known, what }
    }

    /// By the number as it was dialled: there is no time for rules.
    fn calls_for_help(&self, message: &Message) -> bool {
        let number = Uri::parse(message.request_uri()).and_then(|uri| {
            let user = uri.user_number()?;
            let digits = user.strip_prefix(b"+").unwrap_or(&user);
            std::str::from_utf8(digits).ok()?.parse().ok()
        });
        number.is_some_and(|number| self.directory.is_emergency(&number))
    }

    /// After how many seconds whoever is refused may come again: not all at the same moment.
    pub(crate) fn retry_after_secs(&mut self) -> u64 {
        let least = u64::from(self.directory.settings().retry_after_secs);
        least + self.random.next() % (least + 1)
    }
}
