//! What is known of our registration at a trunk (V-37), for whoever wants to see it.

use vocabulary::{Now, TrunkId, Utc};

use super::{State, Upstream, Upstreams};
use crate::health::Outcome;
use crate::shard::Shard;

/// Whether a trunk knows us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpstreamState {
    /// The first attempt is under way, or about to be.
    Registering,
    /// It does.
    Registered,
    /// It does not: the last attempt failed. It is tried again.
    Failed,
}

impl UpstreamState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            UpstreamState::Registering => "registering",
            UpstreamState::Registered => "registered",
            UpstreamState::Failed => "failed",
        }
    }
}

/// Our registration at one trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamStatus {
    /// Where.
    pub trunk: TrunkId,
    /// How it stands.
    pub state: UpstreamState,
    /// Since when; `None` before the first outcome.
    pub since: Option<Utc>,
    /// Until when the trunk knows us, unless it is refreshed; `None` if it does not.
    pub expires_at: Option<Utc>,
    /// The last attempt that is over, and what came of it.
    pub last: Option<(Utc, Outcome)>,
    /// When the next REGISTER is due: a refresh, or another attempt; `None` while one is under way.
    pub next_at: Option<Utc>,
    /// Attempts in a row that failed; each doubles the wait, up to a quarter of an hour.
    pub failures: u32,
}

/// What came of the attempts so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// Until when the trunk knows us, if it does.
    expires_at: Option<Utc>,
    changed_at: Option<Utc>,
    last: Option<(Utc, Outcome)>,
    failures: u32,
}

impl Standing {
    /// The trunk took a registration, with this final response, and keeps it until then.
    pub(super) fn succeeded(&mut self, now: Utc, status: u16, expires_at: Utc) {
        if !self.is_registered() {
            self.changed_at = Some(now);
        }
        self.expires_at = Some(expires_at);
        self.last = Some((now, Outcome::Status(status)));
        self.failures = 0;
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, now: Utc, outcome: Outcome) {
        if self.state() != UpstreamState::Failed {
            self.changed_at = Some(now);
        }
        self.expires_at = None;
        self.last = Some((now, outcome));
        self.failures = self.failures.saturating_add(1);
    }

    /// Attempts in a row that failed.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn is_registered(&self) -> bool {
        self.expires_at.is_some()
    }

    pub(super) fn state(&self) -> UpstreamState {
        match (self.expires_at, self.failures) {
            (Some(_), _) => UpstreamState::Registered,
            (None, 0) => UpstreamState::Registering,
            (None, _) => UpstreamState::Failed,
        }
    }
}

impl Upstream {
    fn status(&self, now: Now) -> UpstreamStatus {
        let Standing { expires_at, changed_at, last, failures } = self.standing;
        let next_at = match self.state {
            State::Idle { due } => Some(now.utc.plus(due.saturating_sub(now.monotonic))),
            State::Resolving { .. } | State::Waiting { .. } => None,
        };
        let (trunk, state) = (self.row.id, self.standing.state());
        UpstreamStatus { trunk, state, since: changed_at, expires_at, last, next_at, failures }
    }
}

impl Upstreams {
    /// How many registrations stand so.
    pub(crate) fn count(&self, state: UpstreamState) -> u64 {
        self.all.iter().filter(|upstream| upstream.standing.state() == state).count() as u64
    }
}

impl Shard {
    /// The registrations at trunks that this shard keeps up.
    pub fn upstreams(&self, now: Now) -> Vec<UpstreamStatus> {
        self.upstreams.all.iter().map(|upstream| upstream.status(now)).collect()
    }
}
