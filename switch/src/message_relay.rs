//! MESSAGE outside of a dialog (RFC 3428): a message is a call without talk. Its sender is known as a
//! caller is, the same stages lead to its receiver, billing is asked before it goes on, and it has the
//! same record. Its money is taken when the answer of whoever took it is on disk, and then the sender
//! hears 200. Nothing is stored for who is not there.

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use sip::endpoint::ServerTx;
use sip::message::{HeaderName, Message, ResponseDraft, reason_phrase};
use sip::transport::Path;
use vocabulary::Now;

use crate::ingress::merge_key;
use crate::leg::unknown_extensions;
use crate::shard::Shard;

/// The longest body, bytes: RFC 3428 section 8 keeps messages out of the way of congested networks.
const BODY_BYTES_MAX: usize = 1300;
/// As long as a sender may repeat a request (64·T1, RFC 3261 section 17.1.2.2).
const REMEMBERED: Duration = Duration::from_secs(32);
/// So many are remembered at most, the newest.
const REMEMBERED_MAX: usize = 65_536;

/// What became of the messages of the last half minute: a sender who tries again on another way hears it
/// once more, and pays once.
#[derive(Debug)]
pub(crate) struct Outcomes {
    order: VecDeque<(Duration, u64)>,
    statuses: HashMap<u64, u16, FixedState>,
}

impl Outcomes {
    pub(crate) fn new(seed: u64) -> Outcomes {
        let statuses = HashMap::with_hasher(FixedState::with_seed(seed));
        Outcomes { order: VecDeque::new(), statuses }
    }

    pub(crate) fn note(&mut self, now: Duration, message: u64, status: u16) {
        self.forget(now, REMEMBERED_MAX - 1);
        self.order.push_back((now, message));
        self.statuses.insert(message, status);
    }

    fn forget(&mut self, now: Duration, most: usize) {
        while let Some((at, message)) = self.order.front().copied()
            && (self.order.len() > most || at + REMEMBERED <= now)
        {
            self.order.pop_front();
            self.statuses.remove(&message);
        }
    }

    fn of(&mut self, now: Duration, message: u64) -> Option<u16> {
        self.forget(now, REMEMBERED_MAX);
        self.statuses.get(&message).copied()
    }
}

impl Shard {
    /// A MESSAGE without To tag.
    pub(crate) fn message(&mut self, now: Now, tx: ServerTx, message: &Message, path: Path) {
        if !self.has_room_for(now, message, path) {
            return self.turn_away(now, tx, message);
        }
        let key = merge_key(message, self.config.seed);
        let refused = |status: u16| ResponseDraft::to(message, status, reason_phrase(status));
        let refusal = if self.is_merged(key) {
            Some(refused(482))
        } else if let Some(status) = self.outcomes.of(now.monotonic, key) {
            Some(refused(status))
        } else if let Some(unknown) = unknown_extensions(message, &[]) {
            Some(refused(420).header(HeaderName::Unsupported, unknown))
        } else if message.header(HeaderName::Replaces).is_some() {
            // It belongs in an INVITE (RFC 3891 section 3).
            Some(refused(400))
        } else if message.body_bytes().len() > BODY_BYTES_MAX {
            Some(refused(413))
        } else {
            None
        };
        match refusal {
            Some(response) => self.endpoint.respond(now.monotonic, tx, response),
            None => self.arrives(now, tx, message, path, key),
        }
    }
}
