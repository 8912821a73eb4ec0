//! Which worker a message belongs to, and the letters they get. The Call-ID decides: a hash for
//! those of others, the number written into those that we mint.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sip::message::peek_call_id;
use sip::transport::Path;
use switch::attribution::Following;
use switch::directory::Directory;
use switch::token::{LegAddress, LegKey, shard_of};
use switch::upstream::UpstreamStatus;
use switch::{Answer, LiveCall, QueryId, Said, Target};
use tokio::sync::oneshot;
use vocabulary::CallId;

use crate::mailbox::Post;
use crate::net::overload::refusal;
use crate::net::streams::{Delivery, Sink};

/// What a worker can find in its mailbox.
pub enum Letter {
    /// A message whose Call-ID is this worker's.
    Message {
        /// From where.
        path: Path,
        /// All of it.
        bytes: Bytes,
    },
    /// A connection is gone, or an address unreachable.
    PathFailed(Path),
    /// A connection is silent: is it needed?
    PathIdle(Path),
    /// The resolver's answer.
    Resolved {
        /// The question.
        query: QueryId,
        /// Best first.
        targets: Vec<Target>,
    },
    /// The answer to what a call asked.
    Told {
        /// The question.
        query: QueryId,
        /// What is known.
        answer: Answer,
    },
    /// A call of another worker speaks to one of this.
    Relayed {
        /// For which leg.
        to: LegKey,
        /// Whose leg speaks.
        from: LegAddress,
        /// What.
        said: Said,
    },
    /// A new snapshot of everything configured.
    Directory(Arc<Directory>),
    /// New prices.
    RateBook(Arc<billing::RateBook>),
    /// The database has answered about leases, or has not.
    Leases,
    /// An operator ends a call.
    HangUp(CallId),
    /// Somebody wants to see the live calls.
    Live(oneshot::Sender<Vec<LiveCall>>),
    /// Somebody wants to see how our registrations at trunks stand.
    Upstreams(oneshot::Sender<Vec<UpstreamStatus>>),
    /// Somebody follows messages, or no longer does.
    Follow(Following),
    /// Take no new calls.
    Drain,
    /// End all calls now.
    ReleaseAll,
    /// Finish: everything is released.
    Stop,
}

/// What did not get to its worker.
#[derive(Debug, Default)]
pub struct DispatchCounts {
    /// New work answered 503 because the owner's mailbox was over its mark.
    pub refused: AtomicU64,
    /// Datagrams lost because the owner's mailbox was full.
    pub lost: AtomicU64,
}

/// All mailboxes of the process; clones share them.
#[derive(Clone)]
pub struct Dispatch {
    posts: Arc<[Post<Letter>]>,
    counts: Arc<DispatchCounts>,
    mark: usize,
    retry_after: Duration,
}

impl Dispatch {
    /// One post a worker, in their order. A mailbox with more than `mark` letters takes no new
    /// work.
    pub fn new(posts: Vec<Post<Letter>>, mark: usize, retry_after: Duration) -> Dispatch {
        assert!(!posts.is_empty() && posts.len() <= 255, "a shard's number is a byte");
        Dispatch { posts: posts.into(), counts: Arc::default(), mark, retry_after }
    }

    /// The worker that a message belongs to. What has no Call-ID is answered by any: the first.
    pub fn owner(&self, bytes: &[u8]) -> u8 {
        match u8::try_from(self.posts.len()) {
            Ok(1) => 0,
            Ok(shards) => peek_call_id(bytes).map_or(0, |id| shard_of(id, shards)),
            Err(_) => unreachable!("there are at most 255"),
        }
    }

    /// Leaves a message in a worker's mailbox, unless that is too full.
    pub fn deliver(&self, owner: u8, path: Path, bytes: Bytes) -> Delivery {
        let post = &self.posts[usize::from(owner)];
        if post.length() > self.mark
            && let Some(answer) = refusal(&bytes, self.retry_after)
        {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return Delivery::Answered(answer);
        }
        match post.send(Letter::Message { path, bytes }) {
            Ok(()) => Delivery::Taken,
            Err(Letter::Message { bytes, .. }) => Delivery::Later(bytes),
            Err(_) => unreachable!("the letter that comes back is the one sent"),
        }
    }

    /// A datagram was lost here; its sender will repeat it.
    pub fn count_lost(&self) {
        self.counts.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts since the start.
    pub fn counts(&self) -> &DispatchCounts {
        &self.counts
    }

    /// One letter to one worker; never refused.
    pub fn send(&self, worker: u8, letter: Letter) {
        self.posts[usize::from(worker)].send_always(letter);
    }

    /// A letter to every worker; never refused.
    pub fn send_all(&self, letter: impl Fn() -> Letter) {
        for post in &*self.posts {
            post.send_always(letter());
        }
    }

    /// Nothing can be sent there; all shards may have business with it. Peers cause these, so a full
    /// mailbox refuses them: the timers of the shard's transactions then find out.
    pub fn tell_path_failed(&self, path: Path) {
        for post in &*self.posts {
            if post.send(Letter::PathFailed(path)).is_err() {
                self.count_lost();
            }
        }
    }

    /// Peers cause these: false if the mailbox is full. An end is never refused: there is one a call,
    /// and without it the other would go on, and be paid for, with nobody in it.
    pub fn relay(&self, to: LegAddress, from: LegAddress, said: Said) -> bool {
        let Some(post) = self.posts.get(usize::from(to.shard)) else { return false };
        let is_end = said.is_end();
        let letter = Letter::Relayed { to: to.key, from, said };
        if is_end {
            post.send_always(letter);
            return true;
        }
        post.send(letter).is_ok()
    }

    /// The posts, to wake workers or to look at their length.
    pub fn posts(&self) -> &[Post<Letter>] {
        &self.posts
    }
}

impl Sink for Dispatch {
    fn message(&self, path: Path, bytes: Bytes) -> Delivery {
        self.deliver(self.owner(&bytes), path, bytes)
    }

    fn path_failed(&self, path: Path) {
        self.tell_path_failed(path);
    }

    fn path_idle(&self, path: Path) -> bool {
        // All are asked, whoever has no room.
        let asked = self.posts.iter().map(|post| post.send(Letter::PathIdle(path)).is_ok());
        asked.fold(true, |all, one| all & one)
    }
}

#[cfg(test)]
mod tests {
    use sip::transport::Transport;
    use switch::leg::event::LegEvent;
    use switch::release::Cause;

    use super::*;
    use crate::mailbox::mailbox;

    #[test]
    fn peers_that_cannot_be_reached_fill_no_mailbox_beyond_its_limit() {
        let (post, _mailbox) = mailbox(3).unwrap();
        let dispatch = Dispatch::new(vec![post], 2, Duration::from_secs(5));
        let remote = "192.0.2.9:5060".parse().unwrap();
        let path = Path { transport: Transport::Udp, listener: 0, connection: 0, remote };
        for _ in 0..1000 {
            dispatch.path_failed(path);
        }
        assert_eq!(dispatch.posts()[0].length(), 3);
        assert_eq!(dispatch.counts().lost.load(Ordering::Relaxed), 997);
    }

    #[test]
    fn the_end_of_a_call_finds_room_in_a_full_mailbox() {
        let (post, _mailbox) = mailbox(2).unwrap();
        let dispatch = Dispatch::new(vec![post], 2, Duration::from_secs(5));
        let address = LegAddress { shard: 0, key: LegKey { slot: 1, generation: 1, leg: 1 } };
        let relay = |event| dispatch.relay(address, address, Said::Event(event));
        let rings = || relay(LegEvent::TransferProgress { status: 180 });
        assert_eq!([rings(), rings(), rings()], [true, true, false]);
        let (cause, sip_status) = (Cause::Normal, 200);
        assert!(relay(LegEvent::Release { cause, reason_header: None, sip_status }));
        assert_eq!(dispatch.posts()[0].length(), 3);
    }
}
