//! The records that must survive, and the door to whoever keeps them. A record is appended under
//! the lock of the account it concerns, so the order per account is total.

use std::sync::Mutex;
use std::time::Duration;

use vocabulary::{AccountId, CallId, SubscriberId, Utc};

use crate::call_state::{CarrierRate, OpenCall};
use crate::cdr::Cdr;
use crate::chain::Chain;
use crate::codec::{Code, DecodeError, Reader, code_struct, put_list, take_list};
use crate::funding::Raise;
use crate::ledger::{BundleGrant, BundleShare, LedgerEvent, Posting};
use crate::rerate::Rerated;

/// Where in the journal a record is: later ones are greater. 0 is before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// Keeps records. Appending is quick (it copies); being on disk is another matter, which the
/// position is for.
pub trait Journal: Send + Sync {
    /// Takes the record; its position is greater than that of any record appended before.
    fn append(&self, record: &Record) -> Position;
}

/// What happened to money, calls or bindings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a record lives on the stack for one append; boxing would allocate once a call"
)]
pub enum Record {
    /// A call was authorised and its first slice reserved.
    Opened(OpenCall),
    /// A further slice was reserved, or the grant became final.
    Extended {
        /// The call.
        call: CallId,
        /// The slice's number; the same as before if only `is_final` changed.
        slice: u16,
        /// The whole grant.
        granted: Duration,
        /// No more will follow.
        is_final: bool,
        /// What the slice added to what each payer holds.
        raises: Chain<Raise>,
    },
    /// The callee answered.
    Answered {
        /// The call.
        call: CallId,
        /// When.
        at: Utc,
        /// The egress trunk, if any.
        trunk: Option<vocabulary::TrunkId>,
        /// What its carrier takes.
        carrier: Option<CarrierRate>,
        /// The whole grant: less than before if what is held pays for less at the prices of this
        /// moment.
        granted: Duration,
        /// No more will follow.
        is_final: bool,
    },
    /// The call is over: its CDRs and the postings that they sum up to, in one record.
    Ended(Ended),
    /// A posting from outside: a top-up, an adjustment.
    Posted {
        /// It.
        posting: Posting,
        /// What is told of accounts because of it. Usually nothing.
        told: Vec<LedgerEvent>,
    },
    /// A call that is over was priced again.
    Rerated(Rerated),
    /// Seconds of a bundle were given to an account.
    BundleGranted(BundleGrant),
    /// Something is told of an account although none of its money moved.
    Told {
        /// When.
        at: Utc,
        /// What.
        event: LedgerEvent,
    },
    /// Calls that were live are still live at this moment.
    Heartbeat {
        /// The moment.
        at: Utc,
    },
    /// A registrar binding was made, refreshed or removed.
    Binding {
        /// Whose.
        subscriber: SubscriberId,
        /// Which of theirs, in the registrar's own form.
        key: Vec<u8>,
        /// The binding in the registrar's own form; `None`: removed.
        binding: Option<Vec<u8>>,
        /// When it ends by itself.
        expires_at: Utc,
    },
}

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The call.
    pub call: CallId,
    /// When.
    pub at: Utc,
    /// The account that called, if the call was authorised: its reservation and those of its
    /// resellers are closed.
    pub payer: Option<AccountId>,
    /// One a leg.
    pub cdrs: Vec<Cdr>,
    /// Charges, lowest level first, and the cost; none of zero.
    pub postings: Vec<Posting>,
    /// What was used of bundles. Usually nothing.
    pub bundle_uses: Vec<BundleUse>,
    /// What is told of accounts because of it. Usually nothing.
    pub told: Vec<LedgerEvent>,
}

/// Seconds that a call used of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleUse {
    /// The payer's level.
    pub level: u8,
    /// Whose bundle it is.
    pub account: AccountId,
    /// Which, and how many seconds.
    pub share: BundleShare,
}

code_struct!(BundleUse { level, account, share });
code_struct!(BundleShare { bundle, seconds });
code_struct!(BundleGrant {
    op,
    bundle,
    account,
    destinations,
    seconds,
    increment,
    precedence,
    valid_from,
    valid_till,
    at,
    note,
});

/// The version that is written. Read are also
///
/// - 2: without `rate_choice` of calls and CDRs and `is_withheld` of an origin;
/// - 3: without what reports need: sites, names of destinations, exchange rates to the currency
///   that profit is counted in;
/// - 4: without `kind` of CDRs;
/// - 5: without taxes of rates and postings;
/// - 6: without attestations of CDRs, and without where calls go, in open calls and CDRs.
pub(crate) const VERSION: u8 = 7;
const OLDEST_VERSION: u8 = 2;

pub(crate) fn check_version(from: &mut Reader<'_>) -> Result<(), DecodeError> {
    match from.byte()? {
        version @ OLDEST_VERSION..=VERSION => {
            from.of_version(version);
            Ok(())
        }
        other => Err(DecodeError::Version(other)),
    }
}

/// Comes before the tag of a record because of which something is told, with what that is: it is in
/// the journal with its cause or not at all. A record without costs nothing for it.
const TELLING: u8 = 10;

impl Record {
    /// What is told of accounts because of it, and when; usually nothing.
    pub fn told(&self) -> (Utc, &[LedgerEvent]) {
        match self {
            Record::Ended(ended) => (ended.at, &ended.told),
            Record::Posted { posting, told } => (posting.at, told),
            Record::Rerated(rerated) => (rerated.at, &rerated.told),
            Record::Told { at, event } => (*at, std::slice::from_ref(event)),
            _ => (Utc(0), &[]),
        }
    }

    /// Appends the record's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        match self {
            Record::Ended(Ended { told, .. })
            | Record::Posted { told, .. }
            | Record::Rerated(Rerated { told, .. })
                if !told.is_empty() =>
            {
                out.push(TELLING);
                put_list(told, out);
            }
            _ => {}
        }
        match self {
            Record::Opened(call) => {
                out.push(1);
                call.put(out);
            }
            Record::Extended { call, slice, granted, is_final, raises } => {
                out.push(2);
                call.put(out);
                slice.put(out);
                granted.put(out);
                is_final.put(out);
                raises.put(out);
            }
            Record::Answered { call, at, trunk, carrier, granted, is_final } => {
                out.push(3);
                call.put(out);
                at.put(out);
                trunk.put(out);
                carrier.put(out);
                granted.put(out);
                is_final.put(out);
            }
            Record::Ended(ended) => {
                out.push(4);
                ended.put(out);
            }
            Record::Posted { posting, .. } => {
                out.push(5);
                posting.put(out);
            }
            Record::Heartbeat { at } => {
                out.push(6);
                at.put(out);
            }
            Record::Binding { subscriber, key, binding, expires_at } => {
                out.push(7);
                subscriber.put(out);
                key.put(out);
                binding.put(out);
                expires_at.put(out);
            }
            Record::Rerated(rerated) => {
                out.push(9);
                rerated.put(out);
            }
            Record::BundleGranted(grant) => {
                out.push(8);
                grant.put(out);
            }
            Record::Told { at, event } => {
                out.push(11);
                at.put(out);
                event.put(out);
            }
        }
    }

    /// The inverse of `encode`. Any input is safe: what is no record is an error.
    pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
        let mut from = Reader::new(bytes);
        check_version(&mut from)?;
        let from = &mut from;
        let mut tag = from.byte()?;
        let mut told = Vec::new();
        if tag == TELLING {
            told = take_list(from)?;
            tag = from.byte()?;
            if told.is_empty() || !matches!(tag, 4 | 5 | 9) {
                return Err(DecodeError::Value("record that tells"));
            }
        }
        let record = match tag {
            1 => Record::Opened(Code::take(from)?),
            2 => Record::Extended {
                call: Code::take(from)?,
                slice: Code::take(from)?,
                granted: Code::take(from)?,
                is_final: Code::take(from)?,
                raises: Code::take(from)?,
            },
            3 => Record::Answered {
                call: Code::take(from)?,
                at: Code::take(from)?,
                trunk: Code::take(from)?,
                carrier: Code::take(from)?,
                granted: Code::take(from)?,
                is_final: Code::take(from)?,
            },
            4 => Record::Ended(Ended { told, ..Code::take(from)? }),
            5 => Record::Posted { posting: Code::take(from)?, told },
            6 => Record::Heartbeat { at: Code::take(from)? },
            7 => Record::Binding {
                subscriber: Code::take(from)?,
                key: Code::take(from)?,
                binding: Code::take(from)?,
                expires_at: Code::take(from)?,
            },
            9 => Record::Rerated(Rerated { told, ..Code::take(from)? }),
            8 => Record::BundleGranted(Code::take(from)?),
            11 => Record::Told { at: Code::take(from)?, event: Code::take(from)? },
            _ => return Err(DecodeError::Value("record kind")),
        };
        from.end()?;
        Ok(record)
    }
}

impl Code for Ended {
    fn put(&self, out: &mut Vec<u8>) {
        self.call.put(out);
        self.at.put(out);
        self.payer.put(out);
        put_list(&self.cdrs, out);
        put_list(&self.postings, out);
        put_list(&self.bundle_uses, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Ended, DecodeError> {
        Ok(Ended {
            call: Code::take(from)?,
            at: Code::take(from)?,
            payer: Code::take(from)?,
            cdrs: take_list(from)?,
            postings: take_list(from)?,
            bundle_uses: take_list(from)?,
            // Before the record's tag.
            told: Vec::new(),
        })
    }
}

code_struct!(Posting { op, kind, debit, credit, amount, currency, at, call, note } since 6 { tax });

/// A journal in memory, for tests and the simulator: it keeps the bytes, as a disk would.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    records: Mutex<Vec<Vec<u8>>>,
}

impl MemoryJournal {
    /// An empty one.
    pub fn new() -> MemoryJournal {
        MemoryJournal::default()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.lock().expect("a journal never panics while it is locked").len()
    }

    /// None yet?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes every record, as a journal does whose records are all in the database.
    pub fn clear(&self) {
        let mut records = self.records.lock().expect("a journal never panics while it is locked");
        *records = Vec::new();
    }

    /// Every record, read back from its bytes, with its position.
    pub fn records(&self) -> Vec<(Position, Record)> {
        let records = self.records.lock().expect("a journal never panics while it is locked");
        let read = |(index, bytes): (usize, &Vec<u8>)| {
            let record = Record::decode(bytes).expect("what was encoded can be decoded");
            (Position(index as u64 + 1), record)
        };
        records.iter().enumerate().map(read).collect()
    }
}

impl Journal for MemoryJournal {
    fn append(&self, record: &Record) -> Position {
        let mut bytes = Vec::with_capacity(256);
        record.encode(&mut bytes);
        let mut records = self.records.lock().expect("a journal never panics while it is locked");
        records.push(bytes);
        Position(records.len() as u64)
    }
}
