//! From records to one batch of rows: what the tables gain, by how much the counters move, and from
//! where the journal is still needed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use billing::{BundleGrant, BundleUse, Cdr, Ended, LedgerEvent, Money, Posting, Record, Rerated};
use vocabulary::{AccountId, CallId, SubscriberId, Utc};

use crate::bindings::BindingSet;
use crate::entry::{CallStep, Entry, Held, HeldLevel};
use crate::snapshot::{Applied, OpenCalls, Snapshot, StepRecord, Sums};

/// A call older than this is stored in `open_call`, so that the journal need not be kept for it.
const STORE_AFTER: Duration = Duration::from_secs(60);

/// What one transaction writes.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The tables must be at this position before,
    pub(crate) from: u64,
    /// and are at this one afterwards.
    pub(crate) position: u64,
    pub(crate) replay_from: u64,
    pub(crate) journal_at: Utc,
    pub(crate) cdrs: Vec<Cdr>,
    pub(crate) postings: Vec<Posting>,
    /// Calls priced again; some of them in `cdrs`.
    pub(crate) rerated: Vec<Rerated>,
    /// By how much the counters move.
    pub(crate) moved: BTreeMap<AccountId, Sums>,
    pub(crate) steps: Vec<(CallId, StepRecord)>,
    /// Calls that ended and have steps stored.
    pub(crate) ended: Vec<CallId>,
    pub(crate) bindings: BTreeMap<SubscriberId, BindingSet>,
    pub(crate) bundles: Vec<BundleGrant>,
    pub(crate) bundle_uses: Vec<Used>,
    /// What is told of accounts; each of them is in `moved` too.
    pub(crate) told: Vec<(Utc, LedgerEvent)>,
}

/// Seconds that a call used of a bundle.
#[derive(Debug)]
pub(crate) struct Used {
    pub(crate) call: CallId,
    /// When it ended.
    pub(crate) at: Utc,
    pub(crate) used: BundleUse,
}

/// What is known of the calls open at the position reached, and the batch under way.
pub(crate) struct Collector {
    applied: Applied,
    open: HashMap<CallId, OpenState>,
    /// Open calls not yet stored, in the order in which they began; some have ended meanwhile.
    young: VecDeque<Young>,
    batch: Batch,
}

struct Young {
    call: CallId,
    start: u64,
    opened_at: Utc,
}

struct OpenState {
    /// The records so far; given up once they are stored.
    steps: Vec<StepRecord>,
    is_stored: bool,
    held: Option<Held>,
}

impl Collector {
    /// Begins where the database is.
    pub(crate) fn new(snapshot: &Snapshot, open: &OpenCalls) -> Collector {
        let mut collector = Collector {
            applied: snapshot.applied,
            open: HashMap::new(),
            young: VecDeque::new(),
            batch: Batch { from: snapshot.applied.position, ..Batch::default() },
        };
        let stored = snapshot.stored();
        let mut young = Vec::new();
        for (call, steps) in open {
            let is_stored = stored.contains(call);
            let mut state = OpenState { steps: Vec::new(), is_stored, held: None };
            let mut opened_at = collector.applied.journal_at;
            for step in steps {
                let entry = Entry::decode(step.end, &step.bytes);
                let entry = entry.expect("decoded before, when the call was found open");
                if let Some(CallStep::Opens(_, at)) = entry.call_step() {
                    opened_at = at;
                }
                Held::follow(&mut state.held, &entry, &mut |_| {});
            }
            if !is_stored {
                state.steps.clone_from(steps);
                let start = steps.first().map_or(collector.applied.position, |step| step.start);
                young.push(Young { call: *call, start, opened_at });
            }
            collector.open.insert(*call, state);
        }
        young.sort_by_key(|young| young.start);
        collector.young = young.into();
        collector
    }

    /// Everything before this is in a batch that was taken.
    pub(crate) fn position(&self) -> u64 {
        self.applied.position
    }

    /// Adds one record: `start` and `end` are where the record before it and it itself end.
    pub(crate) fn feed(&mut self, start: u64, end: u64, bytes: &[u8], entry: Entry) {
        self.applied.journal_at = entry.proves(self.applied.journal_at);
        match entry.call_step() {
            Some(CallStep::Opens(call, opened_at)) => {
                self.young.push_back(Young { call, start, opened_at });
                // Most calls have these two: opened, answered. Room for more would cost each held call.
                let steps = Vec::with_capacity(2);
                self.open.insert(call, OpenState { steps, is_stored: false, held: None });
                self.step(call, start, end, bytes, &entry);
            }
            Some(CallStep::Continues(call)) => self.step(call, start, end, bytes, &entry),
            Some(CallStep::Ends(call)) => self.end(call),
            None => {}
        }
        if let Entry::Ledger(record) = &entry {
            let (at, told) = record.told();
            for event in told {
                self.batch.moved.entry(event.account()).or_default();
                self.batch.told.push((at, *event));
            }
        }
        match entry {
            Entry::Ledger(Record::Ended(ended)) => {
                let Ended { call, at, cdrs, postings, bundle_uses, .. } = ended;
                self.batch.cdrs.extend(cdrs);
                postings.into_iter().for_each(|posting| self.post(posting));
                let uses = bundle_uses.into_iter().map(|used| Used { call, at, used });
                self.batch.bundle_uses.extend(uses);
            }
            Entry::Ledger(Record::BundleGranted(grant)) => self.batch.bundles.push(grant),
            Entry::Ledger(Record::Posted { posting, .. }) => self.post(posting),
            Entry::Ledger(Record::Rerated(mut rerated)) => {
                rerated.postings.drain(..).for_each(|posting| self.post(posting));
                self.batch.rerated.push(rerated);
            }
            Entry::Ledger(_) => {}
            Entry::Bindings(set) => drop(self.batch.bindings.insert(set.subscriber, set)),
        }
    }

    fn step(&mut self, call: CallId, start: u64, end: u64, bytes: &[u8], entry: &Entry) {
        let Some(state) = self.open.get_mut(&call) else { return };
        let step = StepRecord { start, end, bytes: bytes.to_vec() };
        if state.is_stored {
            self.batch.steps.push((call, step));
        } else {
            state.steps.push(step);
        }
        let moved = &mut self.batch.moved;
        Held::follow(&mut state.held, entry, &mut |level| pend(moved, &level, level.amount));
    }

    fn end(&mut self, call: CallId) {
        // A call that was refused has no record but this one.
        let Some(state) = self.open.remove(&call) else { return };
        if let Some(held) = &state.held {
            for level in held.levels.iter() {
                pend(&mut self.batch.moved, level, Money(-level.amount.0));
            }
        }
        if state.is_stored {
            self.batch.ended.push(call);
        }
    }

    fn post(&mut self, posting: Posting) {
        let debit = self.batch.moved.entry(posting.debit).or_default();
        debit.debits_posted.0 += posting.amount.0;
        let changes_owed = posting.kind.changes_owed();
        if changes_owed {
            debit.owed.0 -= posting.amount.0;
        }
        let credit = self.batch.moved.entry(posting.credit).or_default();
        credit.credits_posted.0 += posting.amount.0;
        if changes_owed {
            credit.owed.0 += posting.amount.0;
        }
        self.batch.postings.push(posting);
    }

    /// The batch up to `position`.
    pub(crate) fn take(&mut self, position: u64) -> Batch {
        let mut replay_from = position;
        while let Some(oldest) = self.young.front() {
            let Some(state) = self.open.get_mut(&oldest.call).filter(|state| !state.is_stored)
            else {
                self.young.pop_front();
                continue;
            };
            if self.applied.journal_at.since(oldest.opened_at) < STORE_AFTER {
                replay_from = oldest.start;
                break;
            }
            state.is_stored = true;
            let steps = std::mem::take(&mut state.steps);
            self.batch.steps.extend(steps.into_iter().map(|step| (oldest.call, step)));
            self.young.pop_front();
        }
        self.applied.position = position;
        self.applied.replay_from = replay_from;
        let next = Batch { from: position, ..Batch::default() };
        let mut batch = std::mem::replace(&mut self.batch, next);
        batch.position = position;
        batch.replay_from = replay_from;
        batch.journal_at = self.applied.journal_at;
        batch
    }
}

/// Moves the pending sums on both sides of a reservation.
fn pend(moved: &mut BTreeMap<AccountId, Sums>, held: &HeldLevel, more: Money) {
    moved.entry(held.debit).or_default().debits_pending.0 += more.0;
    moved.entry(held.credit).or_default().credits_pending.0 += more.0;
}
