//! The running process as the API sees it: real books over a real data directory, time that passes
//! when a test says so, and calls that nobody sends.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::switch::LiveCall;
use ::switch::decision::{Decision, Refusal};
use ::switch::directory::ClientCertificate;
use ::switch::fraud::Hold;
use ::switch::health::{Health, HealthChange, TrunkHealth};
use ::switch::quality::{Quality, QualityChange, QualityView};
use ::switch::registrar::{Bindings, StoredBinding};
use ::switch::routing::{Question, TrunksNow, simulate, simulate_like};
use ::switch::upstream::UpstreamStatus;
use api::{
    Certificate, Control, Later, LedgerReport, NewTrace, Payment, PaymentRefused, Simulated,
    Snapshot, Status, Thought, TraceFormat, TraceView,
};
use billing::{
    AccountView, BundleGrant, CreditControl, CreditSettings, Journal, Ledger, LedgerError,
    Position, Posting, Record, Rerated, Terms, quote,
};
use store::journal::JournalFiles;
use store::{Opening, Store};
use tokio::sync::Notify;
use vocabulary::{AccountId, CallId, Now, SubscriberId, TrunkId, Utc};

/// Passes records on to the files and keeps a copy of each.
pub struct Recorder {
    files: Arc<JournalFiles>,
    records: Records,
}

pub type Records = Arc<Mutex<Vec<(Position, Record)>>>;

impl Recorder {
    pub fn records(&self) -> Vec<(Position, Record)> {
        self.records.lock().unwrap().clone()
    }

    /// The records, for whoever outlives the process.
    pub fn shared(&self) -> Records {
        Arc::clone(&self.records)
    }

    pub fn put_before(&self, earlier: &Records) {
        self.records.lock().unwrap().splice(..0, std::mem::take(&mut *earlier.lock().unwrap()));
    }

    /// What was recorded since this was last asked.
    pub fn take(&self) -> Vec<(Position, Record)> {
        std::mem::take(&mut self.records.lock().unwrap())
    }
}

impl Journal for Recorder {
    fn append(&self, record: &Record) -> Position {
        let mut records = self.records.lock().unwrap();
        let position = self.files.append(record);
        records.push((position, record.clone()));
        position
    }
}

pub struct Switch {
    pub store: Store,
    pub ledger: Arc<Ledger>,
    pub journal: Arc<Recorder>,
    pub credit: Mutex<CreditControl>,
    pub published: Mutex<Vec<Snapshot>>,
    pub is_draining: AtomicBool,
    pub is_journal_stuck: AtomicBool,
    /// Payments are booked, and whoever asked does not hear of it.
    pub loses_answers: AtomicBool,
    /// Payments and grants that are still made; whoever asks for more waits for ever.
    pub fuse: AtomicI64,
    blown: Notify,
    /// What is known of trunks, as far as a test says so.
    pub health: Health,
    /// How good trunks are.
    pub quality: Quality,
    pub unstored_holds: Mutex<Vec<(AccountId, Hold)>>,
    /// How our registrations at trunks stand, as far as a test says so.
    pub upstreams: Mutex<Vec<UpstreamStatus>>,
    /// Traces, which no message ever reaches.
    pub traces: Mutex<Vec<TraceView>>,
    /// What was asked to be traced.
    pub traced: Mutex<Vec<NewTrace>>,
    /// Calls that are live, as far as a test says so.
    pub live: Mutex<Vec<LiveCall>>,
    /// What is told of our listeners' certificates.
    pub certificates: Mutex<Vec<Certificate>>,
    pub(super) sequence: AtomicU64,
    begun: Utc,
    /// Since `begun`, in microseconds.
    elapsed: AtomicI64,
}

/// More than any test asks for.
const NO_FUSE: i64 = i64::MAX;

impl Switch {
    pub async fn open(
        opening: Opening,
        (snapshot, terms): (&Snapshot, &[(AccountId, Terms)]),
        begun: Utc,
    ) -> Switch {
        let ledger = Arc::new(Ledger::new());
        if opening.node().is_some() {
            ledger.share();
        }
        for (account, terms) in terms {
            ledger.set_terms(*account, *terms).unwrap();
            let (day, month) = snapshot.rate_book.day_and_month(*account, begun);
            ledger.lock(&[*account]).turn(*account, begun, &day, &month);
        }
        let store = opening.recover(&ledger).await.unwrap();
        let files = Arc::clone(store.journal());
        let journal = Arc::new(Recorder { files, records: Records::default() });
        let mut credit = CreditControl::new(Arc::clone(&ledger), journal.clone());
        credit.set_rate_book(Arc::clone(&snapshot.rate_book));
        Switch {
            store,
            ledger,
            journal,
            credit: Mutex::new(credit),
            published: Mutex::new(vec![snapshot.clone()]),
            is_draining: AtomicBool::new(false),
            is_journal_stuck: AtomicBool::new(false),
            loses_answers: AtomicBool::new(false),
            fuse: AtomicI64::new(NO_FUSE),
            blown: Notify::new(),
            health: Health::default(),
            quality: Quality::default(),
            unstored_holds: Mutex::default(),
            upstreams: Mutex::default(),
            traces: Mutex::default(),
            traced: Mutex::default(),
            live: Mutex::default(),
            certificates: Mutex::default(),
            sequence: AtomicU64::new(0),
            begun,
            elapsed: AtomicI64::new(0),
        }
    }

    pub fn snapshot(&self) -> Snapshot {
        self.published.lock().unwrap().last().unwrap().clone()
    }

    pub fn now(&self) -> Now {
        let elapsed = self.elapsed.load(Relaxed);
        let monotonic = Duration::from_micros(elapsed.cast_unsigned());
        Now { monotonic, utc: Utc(self.begun.0 + elapsed) }
    }

    pub fn now_utc(&self) -> Utc {
        self.now().utc
    }

    /// Lets time pass, in microseconds, with the heartbeat that a running process would have
    /// written last.
    pub fn advance(&self, micros: i64) {
        self.elapsed.fetch_add(micros, Relaxed);
        self.journal.append(&Record::Heartbeat { at: self.now_utc() });
    }

    fn book(&self, payment: Payment) -> Result<u64, PaymentRefused> {
        let view = self.ledger.account(payment.account).ok_or(PaymentRefused::NoAccount)?;
        let Payment { op, account, amount, kind, overdraft, note, tax } = payment;
        let snapshot = self.snapshot();
        let reseller = snapshot.rate_book.tariff(account).and_then(|tariff| tariff.parent);
        let (currency, at) = (view.terms.currency, self.now_utc());
        let posting = Posting::between(kind, op, account, amount, currency, at, note);
        match self.ledger.post(posting.sold_by(reseller).taxed(tax), overdraft, &*self.journal) {
            Ok(_) if self.loses_answers.load(Relaxed) => {
                Err(PaymentRefused::Amount("the answer is lost".into()))
            }
            Ok((_, position)) => Ok(position.0),
            Err(LedgerError::Differs) => Err(PaymentRefused::Differs),
            Err(error) => Err(PaymentRefused::Amount(error.to_string())),
        }
    }

    /// Waits until somebody has asked for one payment too many.
    pub async fn blown(&self) {
        self.blown.notified().await;
    }

    /// Never returns once the fuse has blown.
    async fn pass(&self) {
        if self.fuse.fetch_sub(1, Relaxed) <= 0 {
            self.blown.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

impl Control for Switch {
    fn now(&self) -> Utc {
        self.now_utc()
    }

    fn publish(&self, snapshot: &Snapshot, terms: &[(AccountId, Terms)]) {
        for (account, terms) in terms {
            let changed =
                self.ledger.change_terms(*account, *terms, self.now_utc(), &*self.journal);
            changed.unwrap();
        }
        self.credit.lock().unwrap().set_rate_book(Arc::clone(&snapshot.rate_book));
        self.published.lock().unwrap().push(snapshot.clone());
    }

    fn balance(&self, account: AccountId) -> Option<AccountView> {
        self.ledger.account(account)
    }

    fn pay(&self, payment: Payment) -> Later<'_, Result<(), PaymentRefused>> {
        Box::pin(async move {
            self.pass().await;
            let position = self.book(payment)?;
            self.store.journal().durable_at(position).await;
            Ok(())
        })
    }

    fn rerate(&self, rerated: Vec<Rerated>) -> Later<'_, Option<String>> {
        Box::pin(async move {
            let mut last = None;
            for one in rerated {
                match self.ledger.rerate(one, &*self.journal) {
                    Ok(position) => last = Some(position.0),
                    Err(why) => return Some(why.to_string()),
                }
            }
            if let Some(position) = last {
                self.store.journal().durable_at(position).await;
            }
            None
        })
    }

    fn written(&self) -> Later<'_, ()> {
        Box::pin(self.store.flush())
    }

    fn grant(&self, grant: BundleGrant) -> Later<'_, Result<(), PaymentRefused>> {
        Box::pin(async move {
            self.pass().await;
            match self.ledger.grant(grant, &*self.journal) {
                Ok((_, position)) => self.store.journal().durable_at(position.0).await,
                Err(error) => return Err(PaymentRefused::Amount(error.to_string())),
            }
            Ok(())
        })
    }

    fn live_calls(&self) -> Later<'_, Vec<LiveCall>> {
        Box::pin(std::future::ready(self.live.lock().unwrap().clone()))
    }

    fn hang_up(&self, _: CallId) -> Later<'_, bool> {
        Box::pin(std::future::ready(false))
    }

    fn bindings(&self, _: SubscriberId) -> Vec<StoredBinding> {
        Vec::new()
    }

    fn trunk_health(&self, trunk: TrunkId) -> Option<TrunkHealth> {
        self.health.of(trunk)
    }

    fn upstreams(&self) -> Later<'_, Vec<UpstreamStatus>> {
        Box::pin(std::future::ready(self.upstreams.lock().unwrap().clone()))
    }

    fn trunk_change(&self) -> Option<HealthChange> {
        self.health.poll_change()
    }

    fn trunk_quality(&self) -> Vec<QualityView> {
        self.quality.views(self.now_utc())
    }

    fn set_trunk_quality(
        &self,
        trunk: TrunkId,
        prefix: &str,
        drop_for: Option<Duration>,
    ) -> Option<QualityView> {
        let snapshot = self.snapshot();
        let rules = snapshot.directory.quality_rules();
        self.quality.set_by_hand(self.now_utc(), rules, (trunk, prefix), drop_for)
    }

    fn unstored_fraud_holds(&self) -> Vec<(AccountId, Hold)> {
        self.unstored_holds.lock().unwrap().clone()
    }

    fn lift_fraud(&self, account: AccountId) -> Option<Hold> {
        let mut holds = self.unstored_holds.lock().unwrap();
        let place = holds.iter().position(|(held, _)| *held == account)?;
        Some(holds.remove(place).1)
    }

    fn quality_change(&self) -> Option<QualityChange> {
        self.quality.poll_change()
    }

    fn begin_trace(&self, wanted: NewTrace) -> Result<TraceView, String> {
        let mut traces = self.traces.lock().unwrap();
        let id = traces.len() as u64 + 1;
        if id > 3 {
            return Err("3 traces are running; end one of them first".into());
        }
        let (label, since) = (wanted.label.clone(), self.now_utc());
        let (until, is_running) = (since.plus(wanted.length), true);
        let (messages, bytes, dialogs, missed) = (0, 0, 0, 0);
        let view =
            TraceView { id, label, since, until, is_running, messages, bytes, dialogs, missed };
        traces.push(view.clone());
        self.traced.lock().unwrap().push(wanted);
        Ok(view)
    }

    fn traces(&self) -> Vec<TraceView> {
        self.traces.lock().unwrap().clone()
    }

    fn end_trace(&self, id: u64) -> Option<TraceView> {
        let mut traces = self.traces.lock().unwrap();
        let trace = traces.iter_mut().find(|trace| trace.id == id)?;
        trace.is_running = false;
        Some(trace.clone())
    }

    fn remove_trace(&self, id: u64) -> bool {
        let mut traces = self.traces.lock().unwrap();
        let before = traces.len();
        traces.retain(|trace| trace.id != id);
        traces.len() < before
    }

    fn trace_messages(&self, id: u64, format: TraceFormat) -> Option<Vec<u8>> {
        let traces = self.traces.lock().unwrap();
        traces.iter().any(|trace| trace.id == id).then(|| format!("{format:?}").into_bytes())
    }

    fn certificates(&self) -> Vec<Certificate> {
        self.certificates.lock().unwrap().clone()
    }

    fn read_client_certificate(
        &self,
        certificate: &ClientCertificate,
    ) -> Result<(Vec<Box<str>>, Utc), String> {
        let text = &certificate.chain;
        let is_pem = text.starts_with("-----BEGIN CERTIFICATE-----");
        let domains = vec!["sip.example".into()];
        is_pem.then(|| (domains, self.now_utc())).ok_or_else(|| "no certificate in it".to_owned())
    }

    fn read_certificates_again(&self) -> Vec<Certificate> {
        self.certificates()
    }

    fn simulate(&self, thought: &Thought<'_>) -> Simulated {
        let snapshot = self.snapshot();
        let Thought { from, account, to, at, talk, like, location } = *thought;
        let now = self.now_utc();
        let question = Question { from, account, to, at, now };
        let (directory, bindings) = (&snapshot.directory, Bindings::default());
        let simulation = match like {
            Some(recorded) => simulate_like(directory, &bindings, recorded, &question),
            None => {
                let (health, quality) = (&self.health, &self.quality);
                simulate(directory, &bindings, TrunksNow { now, health, quality }, &question)
            }
        };
        let simulation = simulation.assuming(directory, location);
        let (settings, book) = (CreditSettings::default(), &snapshot.rate_book);
        let quote =
            simulation.authorize.map(|r| quote(&self.ledger, book, &settings, now, &r, talk));
        let refused = quote.as_ref().and_then(|quote| quote.grant.clone().err());
        let refusal = simulation.outcome.err().or(refused.map(Refusal::Billing));
        let line =
            |refusal: Refusal| (refusal.sip_status(), Decision::Refused(refusal).into_line());
        let decisions = simulation.decisions.into_iter().map(Decision::into_line).collect();
        let (calling, refusal) = (simulation.calling, refusal.map(line));
        Simulated { calling, decisions, refusal, quote }
    }

    fn check_ledger(&self) -> Later<'_, LedgerReport> {
        Box::pin(async move {
            let books = self.ledger.check();
            let mut report = LedgerReport {
                counted: vec![("accounts", books.accounts as u64)],
                faults: books.problems,
            };
            let root = self.store.data_dir().paths().root();
            let stored = store::ledger_check(root, self.store.database()).await.unwrap();
            for check in stored.checks {
                report.counted.push((check.code, check.count));
                if check.offender_count > 0 {
                    let (what, who) = (check.sentence, check.offenders);
                    report.faults.push(format!("{what}: {who:?}"));
                }
            }
            report
        })
    }

    fn catch_up(&self) -> Later<'_, ()> {
        Box::pin(self.store.flush())
    }

    fn status(&self) -> Status {
        Status {
            started_at: self.begun,
            version: "0".into(),
            is_draining: self.is_draining.load(Relaxed),
            is_journal_stuck: self.is_journal_stuck.load(Relaxed),
            ..Status::default()
        }
    }

    fn metrics(&self) -> String {
        "calls_live 0\n".into()
    }
}
