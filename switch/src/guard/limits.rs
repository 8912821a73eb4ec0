//! What operators decide: how much a source may do, who is kept out, and who never is.

use std::net::SocketAddr;
use std::time::Duration;

use vocabulary::Utc;

use super::bucket::Measure;
use crate::directory::{Network, NetworkTable};

/// A whole source may send so many unproven requests a second, over the burst that it is granted.
const UNPROVEN_OF_SOURCE_PER_SECOND: u32 = 100;
const MINUTE: Duration = Duration::from_secs(60);

/// How much a source may do. Zero in `offences_max`, `registers_of_source_max` or
/// `registers_of_subscriber_max` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardLimits {
    /// So many wrong credentials within `offences_window` ban a source.
    pub offences_max: u32,
    /// See `offences_max`.
    pub offences_window: Duration,
    /// How long a source is banned.
    pub ban: Duration,
    /// Unproven requests that one address and port may send at once; then one a second.
    pub unproven_max: u32,
    /// The same for all ports of an address together; then 100 a second.
    pub unproven_of_source_max: u32,
    /// REGISTERs a minute from one source.
    pub registers_of_source_max: u32,
    /// REGISTERs a minute by one subscriber.
    pub registers_of_subscriber_max: u32,
}

impl Default for GuardLimits {
    fn default() -> GuardLimits {
        GuardLimits {
            offences_max: 8,
            offences_window: Duration::from_secs(600),
            ban: Duration::from_secs(3600),
            unproven_max: 16,
            unproven_of_source_max: 400,
            registers_of_source_max: 0,
            registers_of_subscriber_max: 60,
        }
    }
}

impl GuardLimits {
    pub(super) fn offences(&self) -> Measure {
        Measure { max: self.offences_max, emptied_in: self.offences_window }
    }

    pub(super) fn unproven(&self) -> Measure {
        let max = self.unproven_max;
        Measure { max, emptied_in: Duration::from_secs(max.into()) }
    }

    pub(super) fn unproven_of_source(&self) -> Measure {
        let max = self.unproven_of_source_max;
        let emptied_in = Duration::from_secs(max.into()) / UNPROVEN_OF_SOURCE_PER_SECOND;
        Measure { max, emptied_in }
    }

    pub(super) fn registers_of_source(&self) -> Measure {
        Measure { max: self.registers_of_source_max, emptied_in: MINUTE }
    }

    pub(super) fn registers_of_subscriber(&self) -> Measure {
        Measure { max: self.registers_of_subscriber_max, emptied_in: MINUTE }
    }
}

/// Until when a network is kept out; `None`: until an operator lifts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until(pub Option<Utc>);

impl Until {
    pub(super) fn is_over(self, now: Utc) -> bool {
        self.0.is_some_and(|until| until <= now)
    }
}

/// What is stored about sources, in a directory's snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuardRows {
    /// Kept out. Some may have run out since they were read.
    pub bans: NetworkTable<Until>,
    /// Never banned for what they do, and never limited.
    pub allowed: NetworkTable<()>,
    /// How much the others may do.
    pub limits: GuardLimits,
}

impl GuardRows {
    /// Whether an operator has said that this sender is to be trusted.
    pub fn is_allowed(&self, remote: SocketAddr) -> bool {
        !self.allowed.is_empty() && self.allowed.find(remote).is_some()
    }

    /// Adds a ban; a later one for the same network replaces it.
    pub fn ban(&mut self, network: Network, until: Option<Utc>) {
        self.bans.put(network, Until(until));
    }

    /// Adds a network to those that are never banned.
    pub fn allow(&mut self, network: Network) {
        self.allowed.put(network, ());
    }
}
