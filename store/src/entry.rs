//! What one journal record of this crate is: a byte that says whose it is, then its bytes. Records
//! of the ledger are `billing`'s, bindings are ours.

use billing::{Chain, Ended, Money, OpenCall, Payer, Record};
use vocabulary::{AccountId, CallId, Utc};

use crate::bindings::BindingSet;

const LEDGER: u8 = 1;
const BINDINGS: u8 = 2;

/// One record of the journal.
#[allow(clippy::large_enum_variant)] // made one at a time and taken apart at once
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// Money and calls.
    Ledger(Record),
    /// Where a subscriber is.
    Bindings(BindingSet),
}

/// A record that was written whole, yet cannot be read: written by a later version, or by a fault.
#[derive(Debug, thiserror::Error)]
#[error("the journal record that ends at position {position} cannot be read: {what}")]
pub struct UnreadableRecord {
    /// Where it ends.
    pub position: u64,
    /// In what way.
    pub what: String,
}

pub(crate) fn encode_record(record: &Record, out: &mut Vec<u8>) {
    out.push(LEDGER);
    record.encode(out);
}

pub(crate) fn encode_bindings(set: &BindingSet, out: &mut Vec<u8>) {
    out.push(BINDINGS);
    set.encode(out);
}

impl Entry {
    pub(crate) fn decode(position: u64, bytes: &[u8]) -> Result<Entry, UnreadableRecord> {
        let unreadable = |what: String| UnreadableRecord { position, what };
        match bytes.split_first() {
            Some((&LEDGER, bytes)) => {
                Record::decode(bytes).map(Entry::Ledger).map_err(|e| unreadable(e.to_string()))
            }
            Some((&BINDINGS, bytes)) => BindingSet::decode(bytes)
                .map(Entry::Bindings)
                .map_err(|e| unreadable(e.to_string())),
            Some((other, _)) => Err(unreadable(format!("unknown kind {other}"))),
            None => Err(unreadable("empty".into())),
        }
    }

    /// What the record does to which call.
    pub(crate) fn call_step(&self) -> Option<CallStep> {
        match self {
            Entry::Ledger(Record::Opened(call)) => Some(CallStep::Opens(call.call, call.at)),
            Entry::Ledger(Record::Extended { call, .. } | Record::Answered { call, .. }) => {
                Some(CallStep::Continues(*call))
            }
            Entry::Ledger(Record::Ended(Ended { call, .. })) => Some(CallStep::Ends(*call)),
            Entry::Ledger(_) | Entry::Bindings(_) => None,
        }
    }

    /// The newest moment that the journal has proven, with this record. A heartbeat sets it, also
    /// back: wall time may step, and a moment ahead of the clock would lengthen every lost call.
    pub(crate) fn proves(&self, proven: Utc) -> Utc {
        match (self, self.at()) {
            (Entry::Ledger(Record::Heartbeat { at }), _) => *at,
            (_, Some(at)) => proven.max(at),
            (_, None) => proven,
        }
    }

    /// When it was written, by our own clock.
    fn at(&self) -> Option<Utc> {
        match self {
            Entry::Ledger(Record::Opened(call)) => Some(call.at),
            Entry::Ledger(
                Record::Answered { at, .. }
                | Record::Ended(Ended { at, .. })
                | Record::Heartbeat { at },
            ) => Some(*at),
            Entry::Ledger(_) | Entry::Bindings(_) => None,
        }
    }
}

/// What an open call holds of its payers' money, as its records say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// One a payer, the account that calls first.
    pub(crate) levels: Chain<HeldLevel>,
    slice: u16,
}

/// What one payer holds for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldLevel {
    pub(crate) debit: AccountId,
    pub(crate) credit: AccountId,
    pub(crate) amount: Money,
}

impl Held {
    fn new(call: &OpenCall) -> Held {
        let level = |level: usize, payer: &Payer| HeldLevel {
            debit: payer.account,
            credit: call.seller(level),
            amount: payer.reserved,
        };
        Held { levels: call.payers.map(level), slice: call.slice }
    }

    /// Follows one record of the call, and tells by how much more is held at which level.
    pub(crate) fn follow(held: &mut Option<Held>, entry: &Entry, more: &mut dyn FnMut(HeldLevel)) {
        match (entry, held) {
            (Entry::Ledger(Record::Opened(call)), held @ None) => {
                let opened = held.insert(Held::new(call));
                opened.levels.iter().for_each(|level| more(*level));
            }
            // The same slice again only says that the grant became final.
            (Entry::Ledger(Record::Extended { slice, raises, .. }), Some(held))
                if *slice > held.slice =>
            {
                held.slice = *slice;
                for (level, raise) in held.levels.iter_mut().zip(raises.iter()) {
                    level.amount.0 += raise.amount.0;
                    more(HeldLevel { amount: raise.amount, ..*level });
                }
            }
            _ => {}
        }
    }
}

/// What a record does to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallStep {
    /// The first record of the call.
    Opens(CallId, Utc),
    /// One of those between.
    Continues(CallId),
    /// The last: its CDRs and postings.
    Ends(CallId),
}
