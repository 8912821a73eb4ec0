//! What the journal keeps of a call that was priced again, and the postings of the differences.

use std::borrow::Cow;
use std::sync::Arc;

use vocabulary::{AccountId, CallId, Utc};

use super::{RatedCall, RepricedSide, Role, talk};
use crate::cdr::{CdrCharge, CdrLine};
use crate::codec::{Code, DecodeError, Reader, code_struct, put_list, take_list};
use crate::ledger::{LedgerEvent, Posting, PostingKind, SystemAccount, SystemKind};
use crate::rating::explain;
use crate::{Money, OpId, PostingTax};

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
            for one in moves(&side) {
                rerated.postings.extend(posting(call, &rerated, &side, one));
            }
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

/// Money that moves because of a new price.
struct Move {
    /// Above 0: more is to be paid.
    amount: Money,
    tax: Option<PostingTax>,
    is_taken_back: bool,
}

/// The difference between what stood and what stands, taxes and all. Where both do not have the same
/// taxes, what stood is given back with its own, and what stands is taken with the new ones: a
/// difference of the two would be taxed like neither.
fn moves(side: &RepricedSide) -> Vec<Move> {
    let Ok(after) = &side.after else { return Vec::new() };
    let tax_of = |charge: &CdrCharge| charge.applied.posting_tax(charge.amount);
    let (old, new) = (side.before.as_ref().and_then(tax_of), tax_of(after));
    let mut moves = match difference_of_same_taxes(side.difference(), old.as_ref(), new.as_ref()) {
        Some(one) => vec![one],
        None => {
            let back = Money(side.stood().0.saturating_neg());
            vec![
                Move { amount: back, tax: old, is_taken_back: true },
                Move { amount: after.amount, tax: new, is_taken_back: false },
            ]
        }
    };
    moves.retain(|one| !one.amount.is_zero());
    moves
}

/// `None`: the taxes are not the same, or are rounded in another way, so that what they differ by is
/// no part of what the amounts differ by.
fn difference_of_same_taxes(
    amount: Money,
    old: Option<&PostingTax>,
    new: Option<&PostingTax>,
) -> Option<Move> {
    let tax = match (old, new) {
        (None, None) => None,
        (Some(old), Some(new)) if old.taxes == new.taxes => {
            let more = new.contained.checked_sub(old.contained).ok()?;
            let contained = if amount.is_negative() { Money(-more.0) } else { more };
            let is_part = !contained.is_negative() && contained.0 <= amount.0.saturating_abs();
            is_part.then(|| PostingTax { contained, taxes: Arc::clone(&new.taxes) })?.into()
        }
        _ => return None,
    };
    Some(Move { amount, tax, is_taken_back: false })
}

/// What moves because of a new price as a posting.
fn posting(
    rated: &RatedCall,
    rerated: &Rerated,
    side: &RepricedSide,
    one: Move,
) -> Option<Posting> {
    let currency = side.after.as_ref().ok()?.applied.currency;
    let ours = |kind| SystemAccount { kind, currency }.id();
    let is_more = !one.amount.is_negative();
    let (call, generation) = (rerated.call, rerated.generation);
    let (op, kind, payer, paid) = match side.role {
        Role::Payer(level) => {
            let kind = if is_more { PostingKind::ChargeRaised } else { PostingKind::ChargeLowered };
            let above = Role::Payer(level.saturating_add(1));
            let above = rated.sides.iter().find(|side| side.role == above);
            let seller = above.map_or(SystemKind::Revenue, |s| SystemKind::Sales(s.account));
            (OpId::charge(call, level), kind, side.account, ours(seller))
        }
        Role::Carrier(leg) => {
            let kind = if is_more { PostingKind::CostRaised } else { PostingKind::CostLowered };
            (OpId::cost(call, leg), kind, ours(SystemKind::Cost), side.account)
        }
    };
    let op = op.of_generation(generation);
    let op = if one.is_taken_back { op.taken_back() } else { op };
    let (debit, credit) = if is_more { (payer, paid) } else { (paid, payer) };
    let amount = Money(one.amount.0.saturating_abs());
    let (at, note) = (rerated.at, String::new());
    Some(Posting {
        op,
        kind,
        debit,
        credit,
        amount,
        currency,
        at,
        call: Some(call),
        note,
        tax: one.tax,
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
