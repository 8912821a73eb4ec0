//! The desk where workers leave host names: each question becomes a task on the runtime, and the
//! answer a letter.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sip::transport::Transport;
use switch::{HostToResolve, QueryId};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::resolver::{Dns, locate};
use super::tls::TlsClient;
use crate::dispatch::{Dispatch, Letter};

/// Questions under way at the same time; beyond it they are answered with nothing.
const QUESTIONS_MAX: usize = 1024;

/// Shared by all workers.
#[derive(Clone)]
pub struct Lookup {
    /// `None` if this machine has no resolver: then only addresses can be called.
    dns: Option<Arc<Dns>>,
    names: TlsClient,
    dispatch: Dispatch,
    runtime: Handle,
    places: Arc<Semaphore>,
    draws: Arc<Draws>,
}

/// Random draws for the weights of SRV records: nothing depends on their quality.
struct Draws {
    state: RandomState,
    count: AtomicU64,
}

impl Draws {
    fn below(&self, limit: u32) -> u32 {
        let hash = self.state.hash_one(self.count.fetch_add(1, Ordering::Relaxed));
        let drawn = (u128::from(hash) * u128::from(limit.max(1))) >> 64;
        u32::try_from(drawn).expect("a draw is below its limit")
    }
}

impl Lookup {
    /// Uses the machine's resolver; names of TLS hosts are told to `names`.
    pub fn new(names: TlsClient, dispatch: Dispatch, runtime: Handle) -> Lookup {
        let dns = Dns::of_system().map(Arc::new);
        if let Err(error) = &dns {
            tracing::warn!(%error, "no DNS: only addresses can be called");
        }
        let draws = Draws { state: RandomState::new(), count: AtomicU64::new(0) };
        Lookup {
            dns: dns.ok(),
            names,
            dispatch,
            runtime,
            places: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            draws: Arc::new(draws),
        }
    }

    /// The machine's DNS client, whose answers are kept for others too.
    pub fn dns(&self) -> Option<Arc<Dns>> {
        self.dns.clone()
    }

    /// Answers `worker` with a letter, soon.
    pub fn ask(&self, worker: u8, query: QueryId, host: HostToResolve) {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let (Some(dns), Ok(place)) = (self.dns.clone(), place) else {
            let targets = host.literal().into_iter().collect();
            return self.dispatch.send(worker, Letter::Resolved { query, targets });
        };
        let (names, dispatch) = (self.names.clone(), self.dispatch.clone());
        let draws = Arc::clone(&self.draws);
        self.runtime.spawn(async move {
            let targets = locate(&*dns, &host, &mut |limit| draws.below(limit)).await;
            // RFC 5922: the certificate names the domain that was asked for.
            for target in targets.iter().filter(|t| t.transport == Transport::Tls) {
                names.remember(target.addr, &host.host);
            }
            dispatch.send(worker, Letter::Resolved { query, targets });
            drop(place);
        });
    }
}
