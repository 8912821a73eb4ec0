//! The workers: each in a thread of its own, with its sockets, its shard and its way to the others.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use billing::CreditControl;
use config::Config;

use crate::call_log::CallLog;
use crate::control::Switchboard;
use crate::desk::{Desk, ToStore};
use crate::dispatch::Letter;
use crate::exchange::Exchange;
use crate::mailbox::mailbox;
use crate::metrics::WorkerMetrics;
use crate::net::lookup::Lookup;
use crate::net::shield::Shield;
use crate::net::streams::Streams;
use crate::questions::Questions;
use crate::secrets::Secrets;
use crate::worker::{Parts, Port, Worker, WorkerSettings};

/// A mailbox holds this many times the mark beyond which new work is refused: room for what must
/// be served.
const MAILBOX_ROOM: usize = 8;
/// How long datagrams gather at most in dense traffic. Measured on loopback (CPU for one datagram in
/// and one out): at 2,800 a second 7.9 µs when each wakes the worker, 3.6 µs with this; at 20,000 a
/// second 3.4 and 2.1. The longest wait is only used between 1,000 and 2,000 datagrams a second;
/// from there on it is what eight datagrams take.
const GATHER: Duration = Duration::from_millis(4);
/// Workers come before whatever else wants their processor, three to one: a packet that waits for a
/// turn is post-dial delay. It takes the privilege to raise a priority; without it all is as before.
const WORKER_NICE: i32 = -5;
type Mailboxes = (Vec<crate::mailbox::Post<Letter>>, Vec<crate::mailbox::Mailbox<Letter>>);

/// One for each worker, which is over its mark beyond so many letters.
pub(crate) fn mailboxes(workers: u8, mark: usize) -> io::Result<Mailboxes> {
    let made = (0..workers).map(|_| mailbox(mark.saturating_mul(MAILBOX_ROOM)));
    Ok(made.collect::<io::Result<Vec<_>>>()?.into_iter().unzip())
}

/// What every worker is made of.
pub(crate) struct Make<'a> {
    pub(crate) config: &'a Config,
    pub(crate) switchboard: &'a Arc<Switchboard>,
    pub(crate) streams: &'a Streams,
    pub(crate) lookup: &'a Lookup,
    pub(crate) questions: &'a Questions,
    pub(crate) to_store: ToStore,
    pub(crate) secrets: Secrets,
    pub(crate) listeners: Vec<sip::endpoint::Listener>,
    pub(crate) worker_died: &'a Arc<AtomicBool>,
}

impl Make<'_> {
    /// Starts them.
    pub(crate) fn workers(
        &self,
        mailboxes: Vec<crate::mailbox::Mailbox<Letter>>,
        sockets: Vec<Vec<(u16, socket2::Socket)>>,
    ) -> io::Result<Vec<JoinHandle<()>>> {
        let parts = mailboxes.into_iter().zip(sockets);
        (0..).zip(parts).map(|(number, (mailbox, own))| self.worker(number, mailbox, own)).collect()
    }

    fn worker(
        &self,
        number: u8,
        mailbox: crate::mailbox::Mailbox<Letter>,
        sockets: Vec<(u16, socket2::Socket)>,
    ) -> io::Result<JoinHandle<()>> {
        let Switchboard { clock, ledger, store, dispatch, totals, tap, .. } = &**self.switchboard;
        let snapshot = self.switchboard.snapshot.load_full();
        let shard = switch::Shard::new(
            self.shard_config(number),
            self.switchboard.shared.clone(),
            Arc::clone(&snapshot.directory),
        );
        let journal = Arc::clone(store.journal());
        let mut credit = CreditControl::new(Arc::clone(ledger), journal.clone());
        credit.set_settings(self.switchboard.credit);
        credit.set_rate_book(Arc::clone(&snapshot.rate_book));
        let lookup = self.lookup.clone();
        let (streams, leases) = (self.streams.clone(), self.switchboard.leases.clone());
        let desk = Desk {
            worker: number,
            dispatch: dispatch.clone(),
            lookup,
            questions: self.questions.clone(),
            streams: streams.clone(),
            store: Arc::clone(store),
            leases,
            tap: tap.clone(),
            to_store: self.to_store.clone(),
        };
        let workers = u32::try_from(self.switchboard.workers).expect("a byte");
        let call_log = CallLog::new(self.config.log.call_lines_per_second.div_ceil(workers));
        let exchange = Exchange::new(shard, credit, journal, desk, call_log);
        let (post, waits) = (dispatch.posts()[usize::from(number)].clone(), exchange.is_waiting());
        store.journal().on_durable(Arc::new(move |_| {
            if waits.load(Ordering::SeqCst) {
                post.wake();
            }
        }));
        let settings = WorkerSettings { number, gather: GATHER, pin: None };
        let (clock, dispatch, tap) = (*clock, dispatch.clone(), tap.clone());
        let metrics = WorkerMetrics::new(number, Arc::clone(totals));
        let alarm = Alarm(Arc::clone(self.worker_died));
        let shield = Shield::new(Arc::clone(&self.switchboard.shared.guard));
        std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let _alarm = alarm;
            come_before_others(number);
            let port =
                |(listener, socket)| Port { listener, udp: crate::net::udp::UdpPort::new(socket) };
            let ports = sockets.into_iter().map(port).collect();
            let parts = Parts {
                settings,
                clock,
                ports,
                shield,
                tap,
                mailbox,
                dispatch,
                streams,
                exchange,
                metrics,
            };
            Worker::new(parts).run();
        })
    }

    fn shard_config(&self, number: u8) -> switch::ShardConfig {
        let workers = self.switchboard.workers;
        let calls_max = self.config.limits.calls_max.div_ceil(workers).min(1 << 23);
        switch::ShardConfig {
            shard: number,
            shards: u8::try_from(workers).expect("a shard's number is a byte"),
            start: self.switchboard.store.start_number(),
            listeners: self.listeners.clone(),
            calls_max: u32::try_from(calls_max).expect("limited above"),
            server_name: concat!("Tandem/", env!("CARGO_PKG_VERSION")).to_owned(),
            seed: self.secrets.seed ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            nonce_secret: self.secrets.nonce,
        }
    }
}

fn come_before_others(worker: u8) {
    if let Err(error) = rustix::process::nice(WORKER_NICE) {
        tracing::debug!(worker, %error, "a worker keeps the usual priority");
    }
}

/// Says so if its worker ends by a panic.
struct Alarm(Arc<AtomicBool>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
