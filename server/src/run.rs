//! Starting and ending the process. Start: data directory, recovery, snapshots, sockets, workers,
//! API. End: no new calls, the live ones up to a limit, settled, journal and database written.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use api::{Api, ApiConfig, Control, Snapshot, Token};
use arc_swap::ArcSwap;
use billing::Ledger;
use config::Config;
use sip::auth::NonceCounts;
use store::directory::DirectoryStore;
use store::journal::JournalOptions;
use store::{Opening, Store};
use switch::Shared;
use switch::admission::Admission;
use switch::fraud::Fraud;
use switch::guard::Guard;
use switch::registrar::Bindings;
use tokio::runtime::Runtime;
use tokio::signal::unix::Signal;
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::control::Switchboard;
use crate::desk::ToBeStored;
use crate::dip::Dips;
use crate::dispatch::{Dispatch, Letter};
use crate::leases::LeaseDesk;
use crate::log;
use crate::net::certificates::Certificates;
use crate::net::http::HttpClient;
use crate::net::listeners::{self, Bound, StreamListener};
use crate::net::lookup::Lookup;
use crate::net::streams::Streams;
use crate::net::tls::TlsClient;
use crate::questions::Questions;
use crate::secrets::{self, Secrets};
use crate::stir::{Stir, StirError};
use crate::totals::Totals;
use crate::trace::{Exporter, Tapped};
use crate::workers::{Make, mailboxes};
use crate::{metrics, settings, shutdown, trace};

/// How much less of a processor the database's threads get than others, if both want it: a tenth.
const DATABASE_NICE: i32 = 10;
/// How long released calls may take to say goodbye at the end.
const GOODBYE: Duration = Duration::from_secs(5);
/// Digest nonces remembered at the same time, 4 bytes each; an older one costs its phone one more
/// round.
const NONCES: usize = 1 << 20;
/// How often what has become due is charged, besides when a command asks for it.
const CHARGE_EACH: Duration = Duration::from_secs(60);
/// With several nodes: how often it is looked whether another one has changed the directory.
const FOLLOW_EACH: Duration = Duration::from_millis(300);
/// How often it is looked which trunks went down or came up, to log and store that.
const WATCH_EACH: Duration = Duration::from_millis(500);
/// How often the end looks whether it is there.
const LOOK: Duration = Duration::from_millis(50);

/// Why the process cannot start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address of the database.
    #[error("[database] url: {0}")]
    DatabaseUrl(#[from] store::BadDatabaseUrl),
    /// The data directory.
    #[error("the data directory cannot be opened: {0}")]
    Open(#[from] store::OpenError),
    /// What is in it.
    #[error("the directory of accounts cannot be read: {0}")]
    Directory(#[from] store::directory::ChangeError),
    /// Randomness, and what is kept of it.
    #[error(transparent)]
    Secrets(#[from] secrets::SecretsError),
    /// The ledger.
    #[error("an account cannot be used: {0}")]
    Ledger(#[from] billing::LedgerError),
    /// A socket.
    #[error("{what}: {source}")]
    Socket {
        /// Which.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// Certificates.
    #[error("TLS: {0}")]
    Tls(#[from] crate::net::tls::TlsError),
    /// What callers are signed with, and who vouches for others.
    #[error(transparent)]
    Stir(#[from] StirError),
    /// The administrator's token.
    #[error(transparent)]
    Token(#[from] api::TokenError),
    /// Metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// Threads, signals, randomness.
    #[error("{0}")]
    System(#[from] io::Error),
    /// The end.
    #[error("the database could not be brought up to date at the end: {0}")]
    Close(#[from] store::ReplayError),
    /// A worker.
    #[error("a worker has died")]
    WorkerDied,
}

/// Runs until a signal ends it. The store's tables are brought up to date before the return.
pub fn run(config: Config) -> Result<(), RunError> {
    run_and_tell(config, |_| {})
}

/// The same; `started` hears of it once calls are taken.
pub fn run_and_tell(
    config: Config,
    started: impl FnOnce(&Arc<Switchboard>),
) -> Result<(), RunError> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("runtime")
        .enable_all()
        .build()?;
    let database = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("database")
        .on_thread_start(yield_to_calls)
        .enable_all()
        .build()?;
    let running = Running::start(config, &runtime, &database)?;
    started(&running.switchboard);
    runtime.block_on(running.until_signal());
    running.end(&runtime)
}

/// The tables follow the journal in bursts of many milliseconds; on a processor that a worker needs,
/// a call must not wait for them. Threads that this one starts (SQLite's) do the same.
fn yield_to_calls() {
    if let Err(error) = rustix::process::nice(DATABASE_NICE) {
        tracing::warn!(%error, "the database's threads keep the priority of calls");
    }
}

/// Every call takes sockets of no kind, but connections, files and the database do.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard) } else { Ok(()) }
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// A started process.
struct Running {
    switchboard: Arc<Switchboard>,
    threads: Vec<JoinHandle<()>>,
    signal: watch::Receiver<bool>,
    worker_died: Arc<AtomicBool>,
    stop_api: oneshot::Sender<()>,
    api: tokio::task::JoinHandle<()>,
    drain_limit: Duration,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Running {
    fn start(config: Config, runtime: &Runtime, database: &Runtime) -> Result<Running, RunError> {
        let clock = Clock::start();
        let opened = database.block_on(open(&config, clock))?;
        let _inside = runtime.enter();
        let (signal, hangup) = (shutdown::listen()?, shutdown::hangup()?);
        let bound = listeners::bind(&config.listeners, settings::workers(&config))?;
        let workers = settings::workers(&config);
        let (posts, mailboxes) = mailboxes(workers, config.limits.queue_max)?;
        let dispatch = Dispatch::new(posts, config.limits.queue_max, config.limits.retry_after);
        let tls = tls_client(&config, &opened)?;
        let (tap, reader) = trace::tap(clock, exporter(&config)?);
        let streams = Streams::new(
            settings::streams(&config),
            Arc::new(Tapped { dispatch: dispatch.clone(), tap: tap.clone() }),
            Arc::clone(&opened.shared.guard),
            tls.clone(),
            bound.addresses.clone(),
            runtime.handle().clone(),
        );
        let lookup = Lookup::new(tls.clone(), dispatch.clone(), runtime.handle().clone());
        let leases = lease_desk(&opened, clock, runtime);
        let switchboard = Arc::new(Switchboard {
            clock,
            started_at: clock.now().utc,
            listeners: bound.names.clone(),
            certificates: Arc::new(Certificates::new(bound.tls())),
            tls,
            workers: workers.into(),
            ledger: opened.ledger,
            credit: settings::credit(&config),
            store: Arc::new(opened.store),
            dispatch,
            shared: opened.shared,
            snapshot: ArcSwap::from_pointee(opened.snapshot),
            totals: Arc::new(Totals::new(workers.into())),
            prometheus: metrics::install()?,
            tap,
            is_draining: AtomicBool::new(false),
            leases,
        });
        let worker_died = Arc::new(AtomicBool::new(false));
        let (to_store, to_be_stored) = ToBeStored::way();
        let Bound { udp, streams: accepting, advertised, addresses, .. } = bound;
        let make = Make {
            config: &config,
            switchboard: &switchboard,
            streams: &streams,
            lookup: &lookup,
            questions: &questions(&config, &switchboard, &lookup, runtime)?,
            to_store,
            secrets: opened.secrets,
            listeners: advertised,
            worker_died: &worker_died,
        };
        let mut threads = make.workers(mailboxes, udp)?;
        threads.push(reader.start(addresses, switchboard.dispatch.clone())?);
        // Not before recovery has closed what was open: a heartbeat proves that calls live.
        switchboard.store.journal().start_heartbeat(move || clock.now().utc);
        let mut tasks = accept(accepting, &streams, &switchboard, hangup, runtime);
        tasks.push(runtime.spawn(each_second(Arc::clone(&switchboard), streams)));
        let (stop_api, stopped) = oneshot::channel();
        let directory = (opened.directory, opened.last_change);
        let (api, serving) =
            runtime.block_on(serve_api(&config, &switchboard, directory, stopped))?;
        tasks.extend(share(&switchboard, &api, runtime));
        tasks.extend(keep_house(api, to_be_stored, runtime));
        tracing::info!(listeners = ?switchboard.listeners, workers, "taking calls");
        let (drain_limit, api) = (config.calls.drain_limit, serving);
        Ok(Running { switchboard, threads, signal, worker_died, stop_api, api, drain_limit, tasks })
    }

    /// Waits for a signal, or for a worker that should not have ended.
    async fn until_signal(&self) {
        let mut signal = self.signal.clone();
        let mut look = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = signal.wait_for(|asked| *asked) => return,
                _ = look.tick() => if self.worker_died.load(Ordering::Relaxed) { return },
            }
        }
    }

    /// Takes no new calls, waits for the live ones, ends the rest, and closes the store.
    fn end(self, runtime: &Runtime) -> Result<(), RunError> {
        let dispatch = &self.switchboard.dispatch;
        self.switchboard.is_draining.store(true, Ordering::Relaxed);
        dispatch.send_all(|| Letter::Drain);
        let died = || self.worker_died.load(Ordering::Relaxed);
        if !died() {
            runtime.block_on(self.calls_gone(self.drain_limit));
            dispatch.send_all(|| Letter::ReleaseAll);
            runtime.block_on(self.calls_gone(GOODBYE));
        }
        dispatch.send_all(|| Letter::Stop);
        self.switchboard.tap.finish();
        let mut is_whole = true;
        for thread in self.threads {
            is_whole &= thread.join().is_ok();
        }
        let _ = self.stop_api.send(());
        for task in &self.tasks {
            task.abort();
        }
        runtime.block_on(async {
            let _ = tokio::time::timeout(GOODBYE, self.api).await;
            for task in self.tasks {
                let _ = task.await;
            }
        });
        if let Some(desk) = &self.switchboard.leases {
            runtime.block_on(desk.end(&self.switchboard.snapshot.load_full()));
        }
        let store = Arc::clone(&self.switchboard.store);
        drop(self.switchboard);
        match Arc::try_unwrap(store) {
            Ok(store) => runtime.block_on(store.close())?,
            // A request of the API outlived its limit; what matters is that the journal is whole.
            Err(store) => store.journal().close(),
        }
        tracing::info!("ended");
        if is_whole { Ok(()) } else { Err(RunError::WorkerDied) }
    }

    async fn calls_gone(&self, limit: Duration) {
        let gone = async {
            while !self.switchboard.ask_live().await.is_empty() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(limit, gone).await.is_err() {
            tracing::warn!(?limit, "calls are still live");
        }
    }
}

/// The tasks that accept connections, and the one that renews the certificates they begin with.
fn accept(
    listeners: Vec<StreamListener>,
    streams: &Streams,
    switchboard: &Switchboard,
    hangup: Signal,
    runtime: &Runtime,
) -> Vec<tokio::task::JoinHandle<()>> {
    let accept = |(number, listener, tls)| {
        runtime.spawn(crate::net::tcp::accept(listener, number, tls, streams.clone()))
    };
    let mut tasks: Vec<_> = listeners.into_iter().map(accept).collect();
    let certificates = Arc::clone(&switchboard.certificates);
    tasks.push(runtime.spawn(certificates.watch(switchboard.clock, hangup)));
    tasks
}

/// Our side of TLS when we connect to others.
fn tls_client(config: &Config, opened: &Opened) -> Result<TlsClient, RunError> {
    let trust: Vec<&Path> = config.sip.tls_trust.iter().map(PathBuf::as_path).collect();
    let tls = TlsClient::new(&trust)?.telling(&opened.shared.tls_peers);
    tls.present(&opened.snapshot.directory);
    Ok(tls)
}

/// With several nodes: where money is leased. Its first answer is there, or was waited for.
fn lease_desk(opened: &Opened, clock: Clock, runtime: &Runtime) -> Option<Arc<LeaseDesk>> {
    let node = opened.store.node()?.clone();
    let leases = opened.store.leases()?;
    let journal = Arc::clone(opened.store.journal());
    let desk = LeaseDesk::new(node, clock, Arc::clone(&opened.ledger), journal, leases);
    runtime.block_on(desk.begin(&opened.snapshot));
    Some(Arc::new(desk))
}

/// With several nodes: the tasks that keep this one in step with the others.
fn share(
    switchboard: &Arc<Switchboard>,
    api: &Arc<Api>,
    runtime: &Runtime,
) -> Vec<tokio::task::JoinHandle<()>> {
    let Some(desk) = &switchboard.leases else { return Vec::new() };
    let (desk, board) = (Arc::clone(desk), Arc::clone(switchboard));
    let keep = desk.keep(move || board.snapshot.load_full(), switchboard.dispatch.clone());
    let follow = Arc::clone(api).follow_changes(FOLLOW_EACH);
    vec![runtime.spawn(keep), runtime.spawn(follow)]
}

/// What the API does unasked: it stores the guard's bans and what fraud rules say, tells which trunks went down or came up, and charges
/// what is due.
fn keep_house(
    api: Arc<Api>,
    ToBeStored { bans, fraud }: ToBeStored,
    runtime: &Runtime,
) -> [tokio::task::JoinHandle<()>; 4] {
    let bans = runtime.spawn(Arc::clone(&api).keep_bans(bans));
    let fraud = runtime.spawn(Arc::clone(&api).keep_fraud(fraud));
    let trunks = runtime.spawn(Arc::clone(&api).watch_trunks(WATCH_EACH));
    [bans, fraud, trunks, runtime.spawn(api.charge_always(CHARGE_EACH))]
}

/// Who answers what calls ask of the outside.
fn questions(
    config: &Config,
    switchboard: &Switchboard,
    lookup: &Lookup,
    runtime: &Runtime,
) -> Result<Questions, RunError> {
    let client = HttpClient::new(&switchboard.tls, lookup.dns());
    let stir = Stir::open(&config.stir, client.clone())?;
    let dips = Dips::new(switchboard.clock, client, lookup.dns());
    let (dispatch, runtime) = (switchboard.dispatch.clone(), runtime.handle().clone());
    Ok(Questions::new(dispatch, runtime, stir, dips))
}

/// Where messages are sent as HEP, if anywhere.
fn exporter(config: &Config) -> Result<Option<Exporter>, RunError> {
    let Some(hep) = &config.hep else { return Ok(None) };
    let exporter = Exporter::to(hep.target, hep.capture_id, hep.key.expose());
    let what = format!("[hep] target {}", hep.target);
    exporter.map(Some).map_err(|source| RunError::Socket { what, source })
}

/// The data directory, recovered, and all that is made of it.
struct Opened {
    store: Store,
    directory: DirectoryStore,
    snapshot: Snapshot,
    ledger: Arc<Ledger>,
    shared: Shared,
    secrets: Secrets,
    last_change: Option<i64>,
}

async fn open(config: &Config, clock: Clock) -> Result<Opened, RunError> {
    let database = settings::database(config)?;
    let (node, options) = (settings::node(config), JournalOptions::default());
    let root = &config.data_directory;
    let opening = Opening::begin_as(node.as_ref(), root, &database, options).await?;
    let directory = DirectoryStore::open(&database).await?;
    // Before the directory is read: what is changed in between is read again.
    let last_change = match opening.node() {
        Some(_) => Some(directory.last_change().await?),
        None => None,
    };
    let secrets = secrets::load(&directory).await?;
    let (snapshot, terms) = api::load(&directory, settings::switch(config), secrets.seed).await?;
    let ledger = Arc::new(Ledger::new());
    if opening.node().is_some() {
        ledger.share();
    }
    for (account, terms) in &terms {
        ledger.set_terms(*account, *terms)?;
        // Before the books are put together: what was charged today is looked up from here.
        if terms.spend.are_set() {
            let now = clock.now().utc;
            let (day, month) = snapshot.rate_book.day_and_month(*account, now);
            ledger.lock(&[*account]).turn(*account, now, &day, &month);
        }
    }
    drop(terms);
    let mut store = opening.recover_with(&ledger, &snapshot.rate_book).await?;
    let report = store.report();
    tracing::info!(
        start = store.start_number(),
        replayed = report.replayed,
        closed = report.closed.len(),
        torn = report.torn.is_some(),
        "books recovered"
    );
    let (bindings, guard) = (Bindings::default(), Guard::new(secrets.seed));
    guard.configure(clock.now().utc, snapshot.directory.guard());
    let fraud = Fraud::new(secrets.seed);
    fraud.configure(clock.now().utc, snapshot.directory.fraud_of_accounts());
    let known_for = snapshot.directory.settings().registration_max;
    for set in store.take_bindings() {
        if snapshot.directory.subscriber(set.subscriber).is_some() {
            for binding in &set.bindings {
                guard.prove(clock.monotonic(), binding.remote, known_for);
            }
            bindings.restore(set.subscriber, set.bindings);
        }
    }
    tracing::info!(subscribers = bindings.len(), at = ?clock.now().utc, "registrations restored");
    let shared = Shared {
        bindings: Arc::new(bindings),
        admission: Arc::new(Admission::default()),
        nonces: Arc::new(NonceCounts::new(NONCES)),
        guard: Arc::new(guard),
        fraud: Arc::new(fraud),
        health: Arc::default(),
        quality: Arc::default(),
        tls_peers: Arc::default(),
    };
    Ok(Opened { store, directory, snapshot, ledger, shared, secrets, last_change })
}

/// The figures that belong to no worker, and the books' own housekeeping.
async fn each_second(switchboard: Arc<Switchboard>, streams: Streams) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let Switchboard { store, dispatch, ledger, clock, prometheus, shared, leases, .. } =
            &*switchboard;
        let journal = store.journal();
        let lag = journal.end().saturating_sub(journal.durable());
        metrics::publish_shared(&streams, dispatch, lag, store.projection().lag());
        metrics::publish_admission(&shared.admission);
        metrics::publish_bans(&shared.guard);
        metrics::publish_fraud(&shared.fraud);
        metrics::publish_health(&shared.health);
        metrics::publish_quality(&shared.quality);
        metrics::publish_traces(&switchboard.tap);
        metrics::publish_log(log::lines_left_out());
        leases.iter().for_each(|desk| metrics::publish_leases(desk));
        prometheus.run_upkeep();
        ledger.expire(clock.now().utc);
        metrics::publish_events(ledger);
    }
}

async fn serve_api(
    config: &Config,
    switchboard: &Arc<Switchboard>,
    (directory, last_change): (DirectoryStore, Option<i64>),
    stopped: oneshot::Receiver<()>,
) -> Result<(Arc<Api>, tokio::task::JoinHandle<()>), RunError> {
    let address: SocketAddr = config.api.address;
    let socket = |source| RunError::Socket { what: format!("the API at {address}"), source };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(socket)?;
    let control: Arc<dyn Control> = switchboard.clone();
    let api = Arc::new(Api::new(ApiConfig {
        store: directory,
        control,
        snapshot: (*switchboard.snapshot.load_full()).clone(),
        token: Token::read_or_create(&config.data_directory)?,
        settings: settings::switch(config),
        seed: secrets::fresh_seed()?,
        body_bytes_max: config.api.body_bytes_max,
        import_bytes_max: config.api.import_bytes_max,
        request_timeout: config.api.request_timeout,
        last_change,
    }));
    let serving = axum::serve(listener, api.router()).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let serving = tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the API has ended");
        }
    });
    Ok((api, serving))
}
