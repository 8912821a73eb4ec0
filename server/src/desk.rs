//! What a worker's shard asks of the rest of the process, and who answers.

use std::sync::Arc;

use store::Store;
use switch::attribution::Attribution;
use switch::fraud::FraudNote;
use switch::guard::Ban;
use switch::token::LegAddress;
use switch::{HostToResolve, QueryId, Question, Said};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use vocabulary::CallId;

use crate::dispatch::Dispatch;
use crate::exchange::Outside;
use crate::leases::LeaseDesk;
use crate::net::lookup::Lookup;
use crate::net::streams::Streams;
use crate::questions::Questions;
use crate::trace::Tap;

/// What waits to be stored; more of it only holds until the next start.
const WAITING_MAX: usize = 4096;

/// To whoever stores what shards have found out.
#[derive(Clone)]
pub(crate) struct ToStore {
    bans: mpsc::Sender<Ban>,
    fraud: mpsc::Sender<FraudNote>,
}

/// Where that arrives.
pub(crate) struct ToBeStored {
    pub(crate) bans: mpsc::Receiver<Ban>,
    pub(crate) fraud: mpsc::Receiver<FraudNote>,
}

impl ToBeStored {
    /// The way to it, and its end.
    pub(crate) fn way() -> (ToStore, ToBeStored) {
        let (to_bans, bans) = mpsc::channel(WAITING_MAX);
        let (to_fraud, fraud) = mpsc::channel(WAITING_MAX);
        (ToStore { bans: to_bans, fraud: to_fraud }, ToBeStored { bans, fraud })
    }
}

/// What a worker's shard asks of the rest of the process.
pub(crate) struct Desk {
    pub(crate) worker: u8,
    pub(crate) dispatch: Dispatch,
    pub(crate) lookup: Lookup,
    pub(crate) questions: Questions,
    pub(crate) streams: Streams,
    pub(crate) store: Arc<Store>,
    pub(crate) leases: Option<Arc<LeaseDesk>>,
    pub(crate) tap: Tap,
    pub(crate) to_store: ToStore,
}

impl Outside for Desk {
    fn relay(&self, to: LegAddress, from: LegAddress, said: Said) -> bool {
        self.dispatch.relay(to, from, said)
    }

    fn attributed(&self, attribution: Box<Attribution>) {
        self.tap.attributed(attribution);
    }

    fn over(&self, call: CallId) {
        self.tap.over(call);
    }

    fn ask_leases(&self) {
        if let Some(leases) = &self.leases {
            leases.hurry();
        }
    }

    fn banned(&self, ban: Ban) {
        if self.to_store.bans.try_send(ban).is_err() {
            tracing::warn!(network = %ban.network, "a ban is not stored: it ends with this process");
        }
    }

    fn fraud(&self, note: FraudNote) {
        if let Err(error) = self.to_store.fraud.try_send(note) {
            let (TrySendError::Full(note) | TrySendError::Closed(note)) = error;
            tracing::warn!(
                ?note,
                "what a fraud rule says is not stored: it ends with this process"
            );
        }
    }

    fn resolve(&self, query: QueryId, host: HostToResolve) {
        self.lookup.ask(self.worker, query, host);
    }

    fn ask(&self, query: QueryId, question: Question) {
        self.questions.ask(self.worker, query, question);
    }

    fn keep_path(&self, path: sip::transport::Path) {
        self.streams.keep(path);
    }

    fn keep_bindings(
        &self,
        subscriber: vocabulary::SubscriberId,
        bindings: Vec<switch::registrar::StoredBinding>,
    ) -> u64 {
        self.store.journal().append_bindings(&store::BindingSet { subscriber, bindings })
    }
}
