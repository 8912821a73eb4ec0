//! What the journal keeps of a call that was priced again, and the postings of the differences.

use std::borrow::Cow;

use vocabulary::{AccountId, CallId, Utc};

use super::{RatedCall, RepricedSide, Role, talk};
use crate::cdr::{CdrCharge, CdrLine};
use crate::codec::{Code, DecodeError, Reader, code_struct, put_list, take_list};
use crate::ledger::{LedgerEvent, Posting, PostingKind, SystemAccount, SystemKind};
use crate::rating::explain;
use crate::{Money, OpId};

/// A call that was priced again, as the journal keeps it: what its CDRs say from now on, and the
/// postings of the differences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rerated {
    /// The run that did it: who, when and why.
    pub run: u64,
    /// The call.
    pub call: CallId,
    /// How often it has been priced again with this.
    pub generation: u32,
    /// When.
    pub at: Utc,
    /// What changed. A side that was to be priced and could not be is here too.
    pub sides: Vec<ReratedSide>,
    /// The new price, line by line.
    pub lines: Vec<CdrLine>,
    /// The differences; none of zero.
    pub postings: Vec<Posting>,
    /// What is told of accounts because of them: known when they are booked. Usually nothing.
    pub told: Vec<LedgerEvent>,
}

/// One side of a call that was priced again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReratedSide {
    /// As what.
    pub role: Role,
    /// Who.
    pub account: AccountId,
    /// What stood before.
    pub before: Option<CdrCharge>,
    /// What stands now; as before, if there is an error.
    pub after: Option<CdrCharge>,
    /// Why there is no new price.
    pub error: Option<Cow<'static, str>>,
    /// What the sheet of the new rate calls the destination.
    pub destination: Option<String>,
}

impl Rerated {
    /// What is to be written, if anything is: changed sides, and errors of sides that have no
    /// price at all.
    pub fn new(
        run: u64,
        at: Utc,
        call: &RatedCall,
        repriced: Vec<RepricedSide>,
    ) -> Option<Rerated> {
        let generation = call.generation.checked_add(1)?;
        let mut rerated = Rerated {
            run,
            call: call.call,
            generation,
            at,
            sides: Vec::new(),
            lines: Vec::new(),
            postings: Vec::new(),
            told: Vec::new(),
        };
        for side in repriced {
            let is_left = side.after.is_err() && side.before.is_none();
            if !side.is_changed() && !is_left {
                continue;
            }
            rerated.lines.extend(lines(call, &side));
            rerated.postings.extend(posting(call, &rerated, &side));
            let (after, error) = match side.after {
                Ok(after) => (Some(after), None),
                Err(why) => (side.before.clone(), Some(Cow::Borrowed(why.code()))),
            };
            let RepricedSide { role, account, before, destination, .. } = side;
            let side = ReratedSide { role, account, before, after, error, destination };
            rerated.sides.push(side);
        }
        (!rerated.sides.is_empty()).then_some(rerated)
    }

    /// Everybody whose money the postings move, ours apart.
    pub(crate) fn accounts(&self) -> Vec<AccountId> {
        let sides = self.postings.iter().flat_map(|posting| [posting.debit, posting.credit]);
        let mut accounts: Vec<_> = sides.filter(|side| !SystemAccount::is_system(*side)).collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }
}

/// The price of one side as sentences.
fn lines(call: &RatedCall, repriced: &RepricedSide) -> Vec<CdrLine> {
    let what = match repriced.role {
        Role::Payer(0) => "Charge".to_owned(),
        Role::Payer(level) => format!("Charge of account {}, level {level}", repriced.account),
        Role::Carrier(_) => "Cost".to_owned(),
    };
    let line = |code: &'static str, sentence: String| CdrLine { code: code.into(), sentence };
    let charge = match &repriced.after {
        Ok(charge) => charge,
        Err(why) => {
            let sentence = format!("{what} cannot be priced again: {}.", why.code());
            return vec![line("rerate_failed", sentence)];
        }
    };
    let side = call.sides.iter().find(|side| side.role == repriced.role);
    let explained = side.and_then(|side| explain(&charge.applied, &talk(side)).ok());
    let (before, after) = (repriced.stood(), charge.amount);
    let summary = format!("{what} was {before} {0}, is {after} {0}.", charge.applied.currency);
    let mut lines = vec![line("rerated", summary)];
    for step in explained.map(|charge| charge.lines).unwrap_or_default() {
        lines.push(line(step.code, format!("{what}: {}", step.sentence)));
    }
    lines
}

/// The difference between what stood and what stands.
fn posting(rated: &RatedCall, rerated: &Rerated, side: &RepricedSide) -> Option<Posting> {
    let difference = side.difference();
    if difference.is_zero() {
        return None;
    }
    let applied = &side.after.as_ref().ok()?.applied;
    let currency = applied.currency;
    let ours = |kind| SystemAccount { kind, currency }.id();
    let is_more = !difference.is_negative();
    let (call, generation) = (rerated.call, rerated.generation);
    let (op, kind, payer, paid) = match side.role {
        Role::Payer(level) => {
            let kind = if is_more { PostingKind::ChargeRaised } else { PostingKind::ChargeLowered };
            let op = OpId::charge(call, level).of_generation(generation);
            let above = Role::Payer(level.saturating_add(1));
            let above = rated.sides.iter().find(|side| side.role == above);
            let seller = above.map_or(SystemKind::Revenue, |s| SystemKind::Sales(s.account));
            (op, kind, side.account, ours(seller))
        }
        Role::Carrier(leg) => {
            let kind = if is_more { PostingKind::CostRaised } else { PostingKind::CostLowered };
            let op = OpId::cost(call, leg).of_generation(generation);
            (op, kind, ours(SystemKind::Cost), side.account)
        }
    };
    let (debit, credit) = if is_more { (payer, paid) } else { (paid, payer) };
    let amount = Money(difference.0.saturating_abs());
    Some(Posting {
        op,
        kind,
        debit,
        credit,
        amount,
        currency,
        at: rerated.at,
        call: Some(call),
        note: String::new(),
        tax: applied.posting_tax(amount),
    })
}

impl Code for Role {
    fn put(&self, out: &mut Vec<u8>) {
        let (kind, index) = match self {
            Role::Payer(level) => (0_u8, level),
            Role::Carrier(leg) => (1, leg),
        };
        kind.put(out);
        index.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Role, DecodeError> {
        match from.byte()? {
            0 => Ok(Role::Payer(Code::take(from)?)),
            1 => Ok(Role::Carrier(Code::take(from)?)),
            _ => Err(DecodeError::Value("role")),
        }
    }
}

code_struct!(ReratedSide { role, account, before, after, error } since 4 { destination });

impl Code for Rerated {
    fn put(&self, out: &mut Vec<u8>) {
        self.run.put(out);
        self.call.put(out);
        self.generation.put(out);
        self.at.put(out);
        put_list(&self.sides, out);
        put_list(&self.lines, out);
        put_list(&self.postings, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Rerated, DecodeError> {
        Ok(Rerated {
            run: Code::take(from)?,
            call: Code::take(from)?,
            generation: Code::take(from)?,
            at: Code::take(from)?,
            sides: take_list(from)?,
            lines: take_list(from)?,
            postings: take_list(from)?,
            // Before the record's tag.
            told: Vec::new(),
        })
    }
}
