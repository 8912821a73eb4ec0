//! With several nodes: what a command of another node has changed becomes live here too. A number is
//! looked at a few times a second, never for a call; and a command of our own begins with what others
//! have changed before it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use store::directory::{Change, ChangeError};

use crate::Api;
use crate::control::Snapshot;

/// Which changes the snapshot has.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// All up to this one,
    last: i64,
    /// and these of our own.
    own: BTreeSet<i64>,
}

impl Seen {
    pub(crate) fn up_to(last: i64) -> Mutex<Seen> {
        Mutex::new(Seen { last, own: BTreeSet::new() })
    }
}

impl Api {
    /// Tells the other nodes of a command that is about to be committed; its number, for
    /// [`Api::have_told`].
    pub(crate) async fn tell_nodes(&self, change: &mut Change) -> Result<Option<i64>, ChangeError> {
        match &self.seen {
            Some(_) => change.tell_nodes().await.map(Some),
            None => Ok(None),
        }
    }

    /// It is committed: there is nothing to read again.
    pub(crate) fn have_told(&self, number: Option<i64>) {
        if let (Some(seen), Some(number)) = (&self.seen, number) {
            seen.lock().expect("nothing panics while it is locked").own.insert(number);
        }
    }

    /// Looks each `interval` whether another node has changed something.
    pub async fn follow_changes(self: Arc<Self>, interval: Duration) {
        let mut turn = tokio::time::interval(interval);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_failing = false;
        loop {
            turn.tick().await;
            let outcome = self.take_changes().await;
            if let Err(error) = &outcome
                && !is_failing
            {
                tracing::warn!(%error, "changes of other nodes cannot be read; tried again");
            }
            is_failing = outcome.is_err();
        }
    }

    /// Makes live what other nodes have changed since the last time.
    pub async fn take_changes(&self) -> Result<(), ChangeError> {
        let Some(seen) = &self.seen else { return Ok(()) };
        let last = seen.lock().expect("nothing panics while it is locked").last;
        if self.store.last_change().await? == last {
            return Ok(());
        }
        // In turn with our own commands: their snapshots would otherwise be overtaken.
        let mut snapshot = self.queue().await;
        let mut change = self.store.begin_read().await?;
        self.follow_in(&mut change, &mut snapshot).await
    }

    /// The same in a transaction of the caller's, whose turn it is.
    pub(crate) async fn follow_in(
        &self,
        change: &mut Change,
        snapshot: &mut Snapshot,
    ) -> Result<(), ChangeError> {
        let Some(seen) = &self.seen else { return Ok(()) };
        let (last, own) = {
            let seen = seen.lock().expect("nothing panics while it is locked");
            (seen.last, seen.own.clone())
        };
        let (last, has_others) = change.note_others(last, &own).await?;
        if has_others {
            let next = self.remake(change, snapshot).await?;
            self.go_live(snapshot, next);
        }
        change.begin_own();
        let mut seen = seen.lock().expect("nothing panics while it is locked");
        seen.last = last;
        seen.own = seen.own.split_off(&(last + 1));
        Ok(())
    }
}
