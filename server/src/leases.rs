//! With several nodes: the task that keeps this node's leases. It asks the database for more before
//! calls need it, gives back what they do not, and tells the others that the node lives. `billing`
//! decides how much, `store` has the statements; here is only the waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ::metrics::Histogram;
use api::Snapshot;
use billing::{Currency, Journal, LeaseAsk, LeaseAsks, LeaseSum, Ledger, hour_of};
use store::{LeaseAnswers, LeaseError, LeaseQuestion, Leases, Node};
use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::clock::Clock;
use crate::dispatch::{Dispatch, Letter};
use crate::metrics;

/// The node is heard of this often, whether it wants something or not.
const EVERY: Duration = Duration::from_millis(500);
/// A database that does not answer in this time has not.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Between two questions to a database that does not answer.
const RETRY: Duration = Duration::from_millis(200);
/// How often leases are made to fit their use, as a part of how long they hold.
const PERIODS: u32 = 10;
const PERIOD_MIN: Duration = Duration::from_secs(1);
const PERIOD_MAX: Duration = Duration::from_secs(30);
/// A node stops spending this part of its lease time early, for clocks that run at different speeds.
const MARGIN_PART: u32 = 8;

/// This node's leases: one question at a time.
pub struct LeaseDesk {
    node: Node,
    clock: Clock,
    ledger: Arc<Ledger>,
    journal: Arc<dyn Journal>,
    leases: Mutex<Leases>,
    wanted: Notify,
    is_first: AtomicBool,
    is_failing: AtomicBool,
    questions: AtomicU64,
    failures: AtomicU64,
    answer_delay: Histogram,
}

impl LeaseDesk {
    /// For this start of a node. Nothing is spent before the first answer.
    pub fn new(
        node: Node,
        clock: Clock,
        ledger: Arc<Ledger>,
        journal: Arc<dyn Journal>,
        leases: Leases,
    ) -> LeaseDesk {
        ledger.hold_leases_until(Duration::ZERO);
        LeaseDesk {
            node,
            clock,
            ledger,
            journal,
            leases: Mutex::new(leases),
            wanted: Notify::new(),
            is_first: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
            questions: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            answer_delay: metrics::lease_answer_delay(),
        }
    }

    /// Something ran low.
    pub fn hurry(&self) {
        self.wanted.notify_one();
    }

    /// Is this the node that charges what is due?
    pub fn is_first(&self) -> bool {
        self.is_first.load(Ordering::Relaxed)
    }

    /// How long leases may still be spent if the database is not heard of.
    pub fn holds_for(&self) -> Duration {
        self.ledger.leases_hold_for(self.clock.monotonic())
    }

    /// Figures for the status and the metrics.
    pub fn counters(&self) -> [(&'static str, u64); 3] {
        let is_held = self.ledger.are_leases_held(self.clock.monotonic());
        [
            ("lease_questions", self.questions.load(Ordering::Relaxed)),
            ("lease_failures", self.failures.load(Ordering::Relaxed)),
            ("leases_held", u64::from(is_held)),
        ]
    }

    /// For a command that takes money: no question is under way meanwhile.
    pub async fn lock(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().await
    }

    /// Runs until it is aborted.
    pub async fn keep(self: Arc<Self>, snapshot: impl Fn() -> Arc<Snapshot>, dispatch: Dispatch) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let period = (self.node.lease_ttl / PERIODS).clamp(PERIOD_MIN, PERIOD_MAX);
        let mut fitted_at = Duration::ZERO;
        let mut sums: BTreeMap<Currency, LeaseSum> = BTreeMap::new();
        loop {
            let is_tick = tokio::select! {
                _ = tick.tick() => true,
                () = self.wanted.notified() => false,
            };
            let now = self.clock.monotonic();
            let mut asks = LeaseAsks::default();
            if is_tick {
                self.ledger.retry_short_leases();
                asks.append(self.ledger.lease_spares());
                if now.saturating_sub(fitted_at) >= period {
                    fitted_at = now;
                    let periods = self.node.lease_ttl.as_millis() / period.as_millis().max(1);
                    let periods = i64::try_from(periods).unwrap_or(i64::MAX);
                    asks.append(self.ledger.lease_asks_by_use(periods));
                }
            }
            self.round(asks, &snapshot(), is_tick).await;
            if fitted_at == now {
                // A currency that nothing is leased of any more has zeros.
                sums.values_mut().for_each(|sum| *sum = LeaseSum::default());
                sums.extend(self.ledger.lease_sums());
                metrics::publish_lease_sums(&sums);
            }
            // Also after a failure: who has waited too long is told so.
            dispatch.send_all(|| Letter::Leases);
            if self.is_failing.load(Ordering::Relaxed) {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// The first question of a start: from its answer on leases may be spent.
    pub async fn begin(&self, snapshot: &Snapshot) {
        self.round(LeaseAsks::default(), snapshot, true).await;
    }

    /// At the end, when no call is live: everything that is not charged goes back.
    pub async fn end(&self, snapshot: &Snapshot) {
        self.round(self.ledger.lease_asks_to_end(), snapshot, false).await;
    }

    async fn round(&self, mut asks: LeaseAsks, snapshot: &Snapshot, is_tick: bool) {
        let mut leases = self.leases.lock().await;
        asks.append(self.ledger.lease_asks());
        // The last question of an account, or of a bundle, is the one that counts.
        let money: BTreeMap<_, _> = asks.money.into_iter().map(|ask| (ask.account, ask)).collect();
        let seconds: BTreeMap<_, _> = asks.seconds.into_iter().map(|ask| (ask.of, ask)).collect();
        let (money, seconds) = (money.into_values().collect(), seconds.into_values().collect());
        let asks = LeaseAsks { money, seconds };
        let sent_at = self.clock.monotonic();
        let questions = self.questions(&asks.money, snapshot);
        let count = questions.len() + asks.seconds.len();
        self.questions.fetch_add(count as u64, Ordering::Relaxed);
        let answer = leases.ask(&questions, &asks.seconds);
        let answer = tokio::time::timeout(ANSWER_MAX, answer).await;
        self.answer_delay.record(self.clock.monotonic().saturating_sub(sent_at));
        match answer.unwrap_or(Err(LeaseError::Silent)) {
            Ok(answers) => self.heard(answers, sent_at),
            Err(error) => {
                self.ledger.leases_unanswered(&asks);
                self.failed(&error);
                return;
            }
        }
        if is_tick {
            let watched = tokio::time::timeout(ANSWER_MAX, self.watch(&mut leases)).await;
            if let Err(error) = watched.unwrap_or(Err(LeaseError::Silent)) {
                self.failed(&error);
            }
        }
    }

    fn questions(&self, asks: &[LeaseAsk], snapshot: &Snapshot) -> Vec<LeaseQuestion> {
        let now = self.clock.now().utc;
        let question = |ask: &LeaseAsk| {
            let windows = ask.spend.are_set().then(|| {
                let (day, month) = snapshot.rate_book.day_and_month(ask.account, now);
                [hour_of(now), day, month]
            });
            LeaseQuestion { ask: *ask, windows }
        };
        asks.iter().map(question).collect()
    }

    fn heard(&self, answers: LeaseAnswers, sent_at: Duration) {
        let LeaseAnswers { money, seconds, not_found, new_bundles } = answers;
        let now = self.clock.now().utc;
        self.ledger.learn_bundles(new_bundles, now);
        self.ledger.hear_leases(&money);
        self.ledger.hear_seconds(&seconds);
        self.ledger.seconds_not_found(&not_found);
        self.ledger.tell_heard(&money, now, &*self.journal);
        let ttl = self.node.lease_ttl;
        self.ledger.hold_leases_until(sent_at + ttl - ttl / MARGIN_PART);
        if self.is_failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the database answers about leases again");
        }
    }

    fn failed(&self, error: &LeaseError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if matches!(error, LeaseError::Superseded) {
            self.ledger.hold_leases_until(Duration::ZERO);
        }
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            let held = self.node.lease_ttl;
            tracing::warn!(%error, ?held, "the database does not answer about leases; what is \
                                           leased is spent until its time is over");
        }
    }

    async fn watch(&self, leases: &mut Leases) -> Result<(), LeaseError> {
        let (accounts, bundles) = leases.scarce().await?;
        self.ledger.spare_leases(&accounts, &bundles);
        let (silent, is_first) = leases.watch_others().await?;
        self.is_first.store(is_first, Ordering::Relaxed);
        for node in silent {
            tracing::warn!(node, "a node is silent; what it cannot have used is free again");
        }
        Ok(())
    }
}
