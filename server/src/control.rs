//! What the API asks of the running process, answered from the ledger, the journal and the
//! workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api::{
    Certificate, Control, Later, LedgerReport, NewTrace, Payment, PaymentRefused, Simulated,
    Snapshot, Status, Thought, TraceFormat, TraceView,
};
use arc_swap::ArcSwap;
use billing::{
    AccountView, BundleGrant, CreditSettings, Journal, LeaseAnswer, Ledger, LedgerError, Money,
    Overdraft, Posting, PostingKind, Rerated, Terms, quote,
};
use metrics_exporter_prometheus::PrometheusHandle;
use store::journal::JournalState;
use store::{LeaseError, Leases, Store, Taking};
use switch::decision::{Decision, Refusal};
use switch::directory::ClientCertificate;
use switch::fraud::Hold;
use switch::health::{HealthChange, HealthState, TrunkHealth};
use switch::quality::{QualityChange, QualityView};
use switch::registrar::StoredBinding;
use switch::routing::{Question, TrunksNow, simulate, simulate_like};
use switch::upstream::UpstreamStatus;
use switch::{LiveCall, Shared, Stats};
use tokio::sync::oneshot;
use vocabulary::{AccountId, AuthorizeRequest, CallId, DecisionLine, SubscriberId, TrunkId, Utc};

use crate::clock::Clock;
use crate::dispatch::{Dispatch, Letter};
use crate::leases::{ANSWER_MAX, LeaseDesk};
use crate::net::certificates::Certificates;
use crate::net::tls::{self, TlsClient};
use crate::totals::Totals;
use crate::trace::Tap;

/// How long a reader waits for the projection before it shows what there is.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// The running process, as the API sees it.
pub struct Switchboard {
    pub(crate) clock: Clock,
    pub(crate) started_at: Utc,
    pub(crate) listeners: Vec<String>,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) tls: TlsClient,
    pub(crate) workers: usize,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) credit: CreditSettings,
    pub(crate) store: Arc<Store>,
    pub(crate) dispatch: Dispatch,
    pub(crate) shared: Shared,
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) totals: Arc<Totals>,
    pub(crate) prometheus: PrometheusHandle,
    pub(crate) tap: Tap,
    pub(crate) is_draining: AtomicBool,
    /// With several nodes.
    pub(crate) leases: Option<Arc<LeaseDesk>>,
}

impl Switchboard {
    /// Asks all workers, each of which answers between two rounds.
    async fn ask<T>(&self, letter: impl Fn(oneshot::Sender<Vec<T>>) -> Letter) -> Vec<T> {
        let mut answers = Vec::with_capacity(self.workers);
        for worker in 0..self.workers {
            let (ask, answer) = oneshot::channel();
            let worker = u8::try_from(worker).expect("a shard's number is a byte");
            self.dispatch.send(worker, letter(ask));
            answers.push(answer);
        }
        let mut all = Vec::new();
        for answer in answers {
            // A worker that has ended has nothing.
            all.extend(answer.await.unwrap_or_default());
        }
        all
    }

    pub(crate) async fn ask_live(&self) -> Vec<LiveCall> {
        let mut calls = self.ask(Letter::Live).await;
        calls.sort_by_key(|call| call.call);
        calls
    }

    /// With several nodes: what is taken is taken from the shared account first, and the command's
    /// id is claimed for this node, so that no other carries it out too.
    async fn book_shared(&self, desk: &LeaseDesk, payment: Payment) -> Result<u64, PaymentRefused> {
        let mut leases = desk.lock().await;
        let answer = tokio::time::timeout(ANSWER_MAX, take(&mut leases, &payment)).await;
        let taken = answer.unwrap_or(Err(LeaseError::Silent)).map_err(refused)?;
        // Decided where all nodes look; and no question is under way until it is booked.
        self.book(Payment { overdraft: Overdraft::Allow, ..payment }, taken.as_ref())
    }

    async fn rerate_shared(&self, desk: &LeaseDesk, one: Rerated) -> Result<u64, String> {
        let mut leases = desk.lock().await;
        let mut taken = Vec::new();
        for posting in &one.postings {
            // From a customer, or from a carrier; the talk has been had, so it is taken in any case.
            let is_taken =
                matches!(posting.kind, PostingKind::ChargeRaised | PostingKind::CostLowered);
            let amount = if is_taken { posting.amount } else { Money::ZERO };
            let (account, is_forced) = (posting.debit, true);
            let (is_own, is_payout) = (false, false);
            let taking = Taking { account, amount, is_forced, is_own, is_payout };
            let answer = tokio::time::timeout(ANSWER_MAX, leases.take(posting.op, taking)).await;
            let answer = answer.unwrap_or(Err(LeaseError::Silent));
            taken.extend(answer.map_err(|error| error.to_string())?);
        }
        let journal: &dyn Journal = &**self.store.journal();
        let position = self.ledger.rerate_taken(one, &taken, journal);
        position.map(|position| position.0).map_err(|error| error.to_string())
    }

    fn rerate_alone(&self, one: Rerated) -> Result<u64, String> {
        let journal: &dyn Journal = &**self.store.journal();
        let position = self.ledger.rerate(one, journal);
        position.map(|position| position.0).map_err(|error| error.to_string())
    }

    fn book(&self, payment: Payment, taken: Option<&LeaseAnswer>) -> Result<u64, PaymentRefused> {
        let view = self.ledger.account(payment.account).ok_or(PaymentRefused::NoAccount)?;
        let (currency, at) = (view.terms.currency, self.clock.now().utc);
        let Payment { op, account, amount, kind, overdraft, note, tax } = payment;
        let snapshot = self.snapshot.load();
        let reseller = snapshot.rate_book.tariff(account).and_then(|tariff| tariff.parent);
        let posting = Posting::between(kind, op, account, amount, currency, at, note);
        let posting = posting.sold_by(reseller).taxed(tax);
        let journal: &dyn Journal = &**self.store.journal();
        match self.ledger.post_taken(posting, overdraft, taken, journal) {
            Ok((_, position)) => Ok(position.0),
            Err(LedgerError::NoAccount(_)) => Err(PaymentRefused::NoAccount),
            Err(LedgerError::Differs) => Err(PaymentRefused::Differs),
            Err(error) => Err(PaymentRefused::Amount(error.to_string())),
        }
    }
}

async fn take(leases: &mut Leases, payment: &Payment) -> Result<Option<LeaseAnswer>, LeaseError> {
    let Payment { op, account, kind, overdraft, .. } = *payment;
    let needed = Money(payment.amount.0.saturating_neg().max(0));
    let is_forced = overdraft == Overdraft::Allow;
    let (is_own, is_payout) = (kind == PostingKind::TopUp, kind == PostingKind::Payout);
    let taking = Taking { account, amount: needed, is_forced, is_own, is_payout };
    leases.take(op, taking).await
}

fn refused(error: LeaseError) -> PaymentRefused {
    match error {
        LeaseError::TooLittle { .. } => PaymentRefused::Amount(error.to_string()),
        error => PaymentRefused::Unavailable(error.to_string()),
    }
}

impl Control for Switchboard {
    fn now(&self) -> Utc {
        self.clock.now().utc
    }

    fn publish(&self, snapshot: &Snapshot, terms: &[(AccountId, Terms)]) {
        let (now, journal): (_, &dyn Journal) = (self.now(), &**self.store.journal());
        for (account, terms) in terms {
            if let Err(error) = self.ledger.change_terms(*account, *terms, now, journal) {
                tracing::error!(%account, %error, "the ledger refuses an account's terms");
            }
        }
        self.tls.present(&snapshot.directory);
        self.snapshot.store(Arc::new(snapshot.clone()));
        self.dispatch.send_all(|| Letter::RateBook(Arc::clone(&snapshot.rate_book)));
        self.dispatch.send_all(|| Letter::Directory(Arc::clone(&snapshot.directory)));
    }

    fn balance(&self, account: AccountId) -> Option<AccountView> {
        let mut view = self.ledger.account(account)?;
        if self.leases.is_none() {
            return Some(view);
        }
        // What this node knows is its lease; people ask for the whole.
        let pool = self.store.pool();
        let read = async { tokio::time::timeout(ANSWER_MAX, store::balance(pool, account)).await };
        let whole =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(read));
        if let Ok(Ok(Some((counters, owed)))) = whole {
            (view.counters, view.owed, view.lease) = (counters, owed, None);
        }
        Some(view)
    }

    fn charges_here(&self) -> bool {
        self.leases.as_ref().is_none_or(|desk| desk.is_first())
    }

    fn pay(&self, payment: Payment) -> Later<'_, Result<(), PaymentRefused>> {
        Box::pin(async move {
            let Some(desk) = &self.leases else {
                let position = self.book(payment, None)?;
                self.store.journal().durable_at(position).await;
                return Ok(());
            };
            let position = self.book_shared(desk, payment).await?;
            self.store.journal().durable_at(position).await;
            // The other nodes may use it from now on.
            self.catch_up().await;
            Ok(())
        })
    }

    fn rerate(&self, rerated: Vec<Rerated>) -> Later<'_, Option<String>> {
        Box::pin(async move {
            let mut last = None;
            let mut refused = None;
            for one in rerated {
                let call = one.call;
                let outcome = match &self.leases {
                    Some(desk) => self.rerate_shared(desk, one).await,
                    None => self.rerate_alone(one),
                };
                match outcome {
                    Ok(position) => last = Some(position),
                    Err(why) => {
                        refused = Some(format!("call {call} cannot be booked: {why}"));
                        break;
                    }
                }
            }
            if let Some(position) = last {
                self.store.journal().durable_at(position).await;
            }
            refused
        })
    }

    fn written(&self) -> Later<'_, ()> {
        Box::pin(self.store.flush())
    }

    fn grant(&self, grant: BundleGrant) -> Later<'_, Result<(), PaymentRefused>> {
        Box::pin(async move {
            if let Some(desk) = &self.leases {
                let (account, amount, is_forced) = (grant.account, Money::ZERO, true);
                let (is_own, is_payout) = (false, false);
                let taking = Taking { account, amount, is_forced, is_own, is_payout };
                desk.lock().await.take(grant.op, taking).await.map_err(refused)?;
            }
            let journal: &dyn Journal = &**self.store.journal();
            let position = match self.ledger.grant(grant, journal) {
                Ok((_, position)) => position.0,
                Err(LedgerError::NoAccount(_)) => return Err(PaymentRefused::NoAccount),
                Err(LedgerError::Differs) => return Err(PaymentRefused::Differs),
                Err(error) => return Err(PaymentRefused::Amount(error.to_string())),
            };
            self.store.journal().durable_at(position).await;
            if self.leases.is_some() {
                // Nothing of it is leased before it is in the tables.
                self.catch_up().await;
            }
            Ok(())
        })
    }

    fn live_calls(&self) -> Later<'_, Vec<LiveCall>> {
        Box::pin(self.ask_live())
    }

    fn hang_up(&self, call: CallId) -> Later<'_, bool> {
        Box::pin(async move {
            let is_live = self.ask_live().await.iter().any(|live| live.call == call);
            if is_live {
                self.dispatch.send(call.shard(), Letter::HangUp(call));
            }
            is_live
        })
    }

    fn bindings(&self, subscriber: SubscriberId) -> Vec<StoredBinding> {
        let now = self.clock.now().utc;
        let contacts = self.shared.bindings.contacts(subscriber, now);
        contacts.iter().map(switch::registrar::Binding::stored).collect()
    }

    fn trunk_health(&self, trunk: TrunkId) -> Option<TrunkHealth> {
        self.shared.health.of(trunk)
    }

    fn trunk_quality(&self) -> Vec<QualityView> {
        self.shared.quality.views(self.now())
    }

    fn set_trunk_quality(
        &self,
        trunk: TrunkId,
        prefix: &str,
        drop_for: Option<Duration>,
    ) -> Option<QualityView> {
        let snapshot = self.snapshot.load();
        let rules = snapshot.directory.quality_rules();
        self.shared.quality.set_by_hand(self.now(), rules, (trunk, prefix), drop_for)
    }

    fn unstored_fraud_holds(&self) -> Vec<(AccountId, Hold)> {
        self.shared.fraud.unstored(self.now())
    }

    fn lift_fraud(&self, account: AccountId) -> Option<Hold> {
        self.shared.fraud.lift(self.now(), account)
    }

    fn quality_change(&self) -> Option<QualityChange> {
        self.shared.quality.poll_change()
    }

    fn upstreams(&self) -> Later<'_, Vec<UpstreamStatus>> {
        Box::pin(self.ask(Letter::Upstreams))
    }

    fn trunk_change(&self) -> Option<HealthChange> {
        self.shared.health.poll_change()
    }

    fn begin_trace(&self, wanted: NewTrace) -> Result<TraceView, String> {
        self.tap.begin(&self.dispatch, wanted)
    }

    fn traces(&self) -> Vec<TraceView> {
        self.tap.traces()
    }

    fn end_trace(&self, id: u64) -> Option<TraceView> {
        self.tap.end(id)
    }

    fn remove_trace(&self, id: u64) -> bool {
        self.tap.remove(id)
    }

    fn trace_messages(&self, id: u64, format: TraceFormat) -> Option<Vec<u8>> {
        self.tap.messages(id, format)
    }

    fn simulate(&self, thought: &Thought<'_>) -> Simulated {
        let snapshot = self.snapshot.load();
        let Thought { from, account, to, at, talk, like, location } = *thought;
        let now = self.clock.now().utc;
        let question = Question { from, account, to, at, now };
        let Shared { bindings, health, quality, .. } = &self.shared;
        let trunks = TrunksNow { now, health, quality };
        let directory = &snapshot.directory;
        let simulation = match like {
            Some(recorded) => simulate_like(directory, bindings, recorded, &question),
            None => simulate(directory, bindings, trunks, &question),
        };
        let simulation = simulation.assuming(directory, location);
        let mut refusal = simulation.outcome.err();
        let ask = |request: &AuthorizeRequest| {
            quote(&self.ledger, &snapshot.rate_book, &self.credit, now, request, talk)
        };
        let mut quote = simulation.authorize.as_ref().map(ask);
        let mut decisions: Vec<DecisionLine> =
            simulation.decisions.into_iter().map(Decision::into_line).collect();
        if let Some(quote) = &mut quote {
            decisions.append(&mut quote.decisions);
            let refused = quote.grant.as_ref().err().cloned();
            refusal = refusal.or(refused.map(Refusal::Billing));
        }
        let refusal = refusal.map(|refusal| {
            let status = refusal.sip_status();
            (status, Decision::Refused(refusal).into_line())
        });
        Simulated { calling: simulation.calling, decisions, refusal, quote }
    }

    fn check_ledger(&self) -> Later<'_, LedgerReport> {
        Box::pin(async move {
            let books = self.ledger.check();
            let mut report = LedgerReport {
                counted: vec![
                    ("accounts", books.accounts as u64),
                    ("reservations", books.reservations as u64),
                ],
                faults: books.problems,
            };
            let root = self.store.data_dir().paths().root();
            match store::ledger_check(root, self.store.database()).await {
                Ok(stored) => {
                    for check in stored.checks {
                        report.counted.push((check.code, check.count));
                        if check.offender_count > 0 {
                            let some = check.offenders.join(", ");
                            let count = check.offender_count;
                            report.faults.push(format!(
                                "{}: broken {count} times, first by {some}",
                                check.sentence
                            ));
                        }
                    }
                }
                Err(error) => report.faults.push(format!("the check could not be made: {error}")),
            }
            report
        })
    }

    fn catch_up(&self) -> Later<'_, ()> {
        Box::pin(async move {
            let _ = tokio::time::timeout(CATCH_UP_MAX, self.store.flush()).await;
        })
    }

    fn certificates(&self) -> Vec<Certificate> {
        self.certificates.all()
    }

    fn read_client_certificate(
        &self,
        certificate: &ClientCertificate,
    ) -> Result<(Vec<Box<str>>, Utc), String> {
        let read = tls::read_client_certificate(certificate)?;
        Ok((read.sip_domains, read.not_after))
    }

    fn read_certificates_again(&self) -> Vec<Certificate> {
        tokio::task::block_in_place(|| self.certificates.read_again(self.now()));
        self.certificates.publish();
        self.certificates.all()
    }

    fn status(&self) -> Status {
        let stats: Stats = self.totals.sum();
        let mut counters: Vec<(&'static str, u64)> = stats.values().collect();
        let admission = &self.shared.admission;
        counters.push(("calls_admitted", admission.live_calls() as u64));
        counters.push(("admission_places_taken", admission.places_taken() as u64));
        let journal = self.store.journal();
        counters.push(("bans", self.shared.guard.banned() as u64));
        counters.push(("fraud_holds", self.shared.fraud.held() as u64));
        counters.extend(self.shared.health.counts().map(|(state, count)| {
            let name = match state {
                HealthState::Untested => "trunks_untested",
                HealthState::Up => "trunks_up",
                HealthState::Down => "trunks_down",
            };
            (name, count as u64)
        }));
        let (windows, not_open, unwatched) = self.shared.quality.counts();
        counters.push(("quality_windows", windows as u64));
        counters.push(("quality_windows_not_open", not_open as u64));
        counters.push(("quality_calls_not_watched", unwatched));
        counters.push(("journal_lag_bytes", journal.end().saturating_sub(journal.durable())));
        counters.push(("journal_failures", journal.failures()));
        counters.push(("projection_lag_bytes", self.store.projection().lag()));
        counters.push(("projection_failures", self.store.projection().failures()));
        if let Some(desk) = &self.leases {
            counters.extend(desk.counters());
        }
        Status {
            started_at: self.started_at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listeners: self.listeners.clone(),
            workers: self.workers,
            is_draining: self.is_draining.load(Ordering::Relaxed),
            is_journal_stuck: journal.state() != JournalState::Ready,
            counters,
        }
    }

    fn metrics(&self) -> String {
        self.prometheus.render()
    }
}
