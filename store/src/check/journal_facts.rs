//! The invariants between the journal and the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use billing::{Cdr, Ended, OpId, Posting, Record};
use vocabulary::{AccountId, CallId};

use super::{Check, Finding, leg_name};
use crate::entry::{CallStep, Entry, Held};
use crate::journal;
use crate::projection::{cdr_key, posting_key};
use crate::snapshot::{OpenCalls, ReplayError, Snapshot, Sums, each_entry};
use crate::sql::{Builder, Connection};

/// Ids asked for in one question.
const CHUNK: usize = 500;

/// What the retained journal says.
pub(super) struct JournalFacts {
    pub(super) end: u64,
    /// The calls open at the end.
    pub(super) open: BTreeSet<CallId>,
    open_at_applied: OpenCalls,
    answered: BTreeSet<CallId>,
    ended: BTreeSet<CallId>,
    /// CDRs and postings, and whether each is before the applied position.
    cdrs: BTreeMap<(CallId, u8), bool>,
    postings: BTreeMap<OpId, bool>,
    twice: Vec<String>,
}

impl JournalFacts {
    /// Reads all segments that there are, also those that the tables no longer need.
    pub(super) fn read(directory: &Path, snapshot: &Snapshot) -> Result<JournalFacts, ReplayError> {
        let open_at_applied = snapshot.open_calls(directory)?;
        let mut facts = JournalFacts {
            end: 0,
            open: snapshot.stored(),
            open_at_applied,
            answered: BTreeSet::new(),
            ended: BTreeSet::new(),
            cdrs: BTreeMap::new(),
            postings: BTreeMap::new(),
            twice: Vec::new(),
        };
        let first = journal::first_position(directory)?.unwrap_or(0);
        facts.end = each_entry(directory, first, u64::MAX, &mut |_, end, _, entry| {
            facts.take(end <= snapshot.applied.position, entry);
            Ok(())
        })?;
        Ok(facts)
    }

    fn take(&mut self, is_applied: bool, entry: Entry) {
        match entry.call_step() {
            Some(CallStep::Opens(call, _)) => drop(self.open.insert(call)),
            Some(CallStep::Ends(call)) => {
                self.open.remove(&call);
                if !self.ended.insert(call) {
                    self.twice.push(format!("call {call} ended twice"));
                }
            }
            Some(CallStep::Continues(_)) | None => {}
        }
        match entry {
            Entry::Ledger(Record::Answered { call, .. }) => drop(self.answered.insert(call)),
            Entry::Ledger(Record::Ended(Ended { cdrs, postings, .. })) => {
                cdrs.iter().for_each(|cdr| self.take_cdr(is_applied, cdr));
                postings.iter().for_each(|posting| self.take_posting(is_applied, posting));
            }
            Entry::Ledger(Record::Posted { posting, .. }) => {
                self.take_posting(is_applied, &posting)
            }
            Entry::Ledger(Record::Rerated(rerated)) => {
                rerated.postings.iter().for_each(|posting| self.take_posting(is_applied, posting));
            }
            _ => {}
        }
    }

    fn take_cdr(&mut self, is_applied: bool, cdr: &Cdr) {
        let (call, leg) = cdr_key(cdr);
        if self.cdrs.insert((call, leg), is_applied).is_some() {
            self.twice.push(format!("{}: a second CDR", leg_name(call, leg)));
        }
    }

    fn take_posting(&mut self, is_applied: bool, posting: &Posting) {
        if self.postings.insert(posting.op, is_applied).is_some() {
            self.twice.push(format!("posting {}: a second time", posting.op));
        }
    }

    pub(super) fn nothing_twice(&self) -> Check {
        let mut finding =
            Finding::new("nothing_twice", "No call ends twice; no CDR or posting is made twice.");
        finding.counted((self.cdrs.len() + self.postings.len()) as u64);
        for twice in &self.twice {
            finding.offender(|| twice.clone());
        }
        finding.done()
    }

    /// An answered call whose answer is still in the journal ends there too, or is open.
    pub(super) fn answered_have_an_end(&self) -> Check {
        let mut finding =
            Finding::new("answered_have_an_end", "Each answered call has its CDR or is open.");
        finding.counted(self.answered.len() as u64);
        for call in &self.answered {
            let has_cdr = self.cdrs.contains_key(&(*call, 0));
            if !has_cdr && !self.open.contains(call) {
                finding.offender(|| format!("call {call} was answered and has no CDR"));
            }
        }
        finding.done()
    }

    /// What the tables hold as pending of this node is what its calls open at their position have
    /// reserved.
    pub(super) fn pending_is_of_open_calls(&self, pending: &BTreeMap<AccountId, Sums>) -> Check {
        let mut finding = Finding::new(
            "pending_is_of_open_calls",
            "What is pending on an account is reserved by open calls.",
        );
        let mut reserved: BTreeMap<AccountId, Sums> = BTreeMap::new();
        for steps in self.open_at_applied.values() {
            let mut held = None;
            for step in steps {
                let entry = Entry::decode(step.end, &step.bytes);
                let entry = entry.expect("decoded when the call was found open");
                Held::follow(&mut held, &entry, &mut |_| {});
            }
            for held in held.iter().flat_map(|held: &Held| held.levels.iter()) {
                reserved.entry(held.debit).or_default().debits_pending.0 += held.amount.0;
                reserved.entry(held.credit).or_default().credits_pending.0 += held.amount.0;
            }
        }
        finding.counted(self.open_at_applied.len() as u64);
        let accounts: BTreeSet<_> = reserved.keys().chain(pending.keys()).collect();
        for account in accounts {
            let is = pending.get(account).copied().unwrap_or_default();
            let must = reserved.get(account).copied().unwrap_or_default();
            if (is.debits_pending, is.credits_pending)
                != (must.debits_pending, must.credits_pending)
            {
                finding.offender(|| {
                    format!(
                        "account {account}: pending {} and {}, reserved {} and {}",
                        is.debits_pending,
                        is.credits_pending,
                        must.debits_pending,
                        must.credits_pending
                    )
                });
            }
        }
        finding.done()
    }

    /// What lies before the applied position is in the tables.
    pub(super) async fn applied_are_in_tables(
        &self,
        connection: &mut Connection,
    ) -> Result<Check, sqlx::Error> {
        let mut finding = Finding::new(
            "applied_are_in_tables",
            "Each CDR and posting of the journal that counts as applied is in the tables.",
        );
        let (cdrs, postings) = self.of_side(true);
        finding.counted((cdrs.len() + postings.len()) as u64);
        let found = found_cdrs(connection, &cdrs).await?;
        for (call, leg) in cdrs.iter().filter(|key| !found.contains(key)) {
            finding.offender(|| format!("{}: no CDR", leg_name(*call, *leg)));
        }
        let found = found_postings(connection, &postings).await?;
        for op in postings.iter().filter(|op| !found.contains(op)) {
            finding.offender(|| format!("posting {op} is missing"));
        }
        Ok(finding.done())
    }

    /// What lies behind it is not: it would be there twice.
    pub(super) async fn new_are_not_in_tables(
        &self,
        connection: &mut Connection,
    ) -> Result<Check, sqlx::Error> {
        let mut finding = Finding::new(
            "new_are_not_in_tables",
            "No CDR or posting that is yet to be applied is in the tables already.",
        );
        let (cdrs, postings) = self.of_side(false);
        finding.counted((cdrs.len() + postings.len()) as u64);
        for (call, leg) in found_cdrs(connection, &cdrs).await? {
            finding.offender(|| format!("{}: there is a CDR", leg_name(call, leg)));
        }
        for op in found_postings(connection, &postings).await? {
            finding.offender(|| format!("posting {op} is there"));
        }
        Ok(finding.done())
    }

    fn of_side(&self, is_applied: bool) -> (Vec<(CallId, u8)>, Vec<OpId>) {
        let cdrs = self.cdrs.iter().filter(|(_, side)| **side == is_applied);
        let postings = self.postings.iter().filter(|(_, side)| **side == is_applied);
        (cdrs.map(|(key, _)| *key).collect(), postings.map(|(op, _)| *op).collect())
    }
}

async fn found_cdrs(
    connection: &mut Connection,
    keys: &[(CallId, u8)],
) -> Result<BTreeSet<(CallId, u8)>, sqlx::Error> {
    let mut found = BTreeSet::new();
    for chunk in keys.chunks(CHUNK) {
        let mut query = Builder::new("SELECT call_id, leg FROM cdr WHERE call_id IN (");
        query.push_list(chunk.iter().map(|(call, _)| call.0.cast_signed())).push(")");
        let wanted: BTreeSet<_> = chunk.iter().copied().collect();
        for row in query.build().fetch_all(&mut *connection).await? {
            let key = (CallId(row.try_get::<i64, _>(0)?.cast_unsigned()), row.try_get(1)?);
            if wanted.contains(&key) {
                found.insert(key);
            }
        }
    }
    Ok(found)
}

async fn found_postings(
    connection: &mut Connection,
    ops: &[OpId],
) -> Result<BTreeSet<OpId>, sqlx::Error> {
    let mut found = BTreeSet::new();
    for chunk in ops.chunks(CHUNK) {
        let mut query = Builder::new("SELECT op_id FROM posting WHERE op_id IN (");
        query.push_list(chunk.iter().map(|op| posting_key(*op))).push(")");
        for row in query.build().fetch_all(&mut *connection).await? {
            let bytes: Vec<u8> = row.try_get(0)?;
            if let Ok(bytes) = bytes.try_into() {
                found.insert(OpId(u128::from_be_bytes(bytes)));
            }
        }
    }
    Ok(found)
}
