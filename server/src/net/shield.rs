//! What is dropped before anything of it is read: datagrams of banned sources.

use std::net::SocketAddr;
use std::sync::Arc;

use switch::guard::{BanWatch, Guard};

/// One worker's view of the bans.
pub struct Shield {
    guard: Arc<Guard>,
    watch: BanWatch,
    dropped: u64,
}

impl Shield {
    /// Nobody is banned until the first look.
    pub fn new(guard: Arc<Guard>) -> Shield {
        Shield { guard, watch: BanWatch::default(), dropped: 0 }
    }

    /// Looks whether there are other bans than before: one load if not. Once a batch is enough.
    pub fn look(&mut self) {
        self.watch.refresh(&self.guard);
    }

    /// Whether this sender is banned; then its datagram is counted and to be forgotten.
    pub fn stops(&mut self, remote: SocketAddr) -> bool {
        let is_banned = self.watch.is_banned(remote);
        self.dropped += u64::from(is_banned);
        is_banned
    }

    /// Datagrams stopped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use switch::guard::GuardRows;
    use vocabulary::Utc;

    use super::*;

    #[test]
    fn it_stops_whom_the_guard_bans_from_the_next_look_on() {
        let guard = Arc::new(Guard::default());
        let mut shield = Shield::new(Arc::clone(&guard));
        let scanner: SocketAddr = "198.51.100.7:5060".parse().unwrap();
        let mut rows = GuardRows::default();
        rows.ban("198.51.100.0/24".parse().unwrap(), None);
        guard.configure(Utc(0), &rows);
        assert!(!shield.stops(scanner), "it has not looked yet");
        shield.look();
        assert!(shield.stops(scanner) && shield.stops(scanner));
        assert!(!shield.stops("192.0.2.1:5060".parse().unwrap()));
        assert_eq!(shield.dropped(), 2);
        guard.configure(Utc(0), &GuardRows::default());
        shield.look();
        assert!(!shield.stops(scanner));
    }
}
