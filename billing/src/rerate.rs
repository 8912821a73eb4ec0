//! Pricing a call again after it is over: with corrected rates (J-25, J-26), or because it could
//! not be priced when it ended (J-27, J-28). The new price replaces the old one: only the
//! difference is posted, so the balance is what it would be had the call been priced so at first,
//! and doing it twice changes nothing.
//!
//! ```text
//! CDR, generation n ──reprice(book)──▶ Repriced: what stands, what should stand
//!                                          └─ at generation n + 1 ──▶ Rerated ──▶ journal
//! ```

mod dry_run;
mod effect;

use std::borrow::Cow;
use std::time::Duration;

use vocabulary::{AccountId, CallId, CallKind, Number, SubscriberId, TrunkId, Utc};

use crate::cdr::{Cdr, CdrCharge, CdrLine, UpperCharge};
use crate::codec::{Code, DecodeError, Reader, code_struct, put_list, take_list};
use crate::ledger::{Posting, PostingKind, SystemAccount, SystemKind};
use crate::rating::{Answered, CallQuery, RateBook, Talk, Unrated, explain};
use crate::{Currency, Money, MoneyError, OpId};

pub use dry_run::{Draft, carrier_order, dry_run};
pub use effect::{BigChange, Change, CurrencyCode, DestinationChange, Effect};

/// A call that is over, as its CDRs tell it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatedCall {
    /// The call.
    pub call: CallId,
    /// How often it was priced again; 0: as it ended.
    pub generation: u32,
    /// Local or egress.
    pub kind: CallKind,
    /// The destination after number translation.
    pub cld: Number,
    /// The caller after caller-ID policy.
    pub cli: Option<Number>,
    /// The subscriber who called, if one did.
    pub subscriber: Option<SubscriberId>,
    /// The trunk that it came in by, if it did.
    pub trunk: Option<TrunkId>,
    /// When the call came in: the rates in force at this moment count.
    pub at: Utc,
    /// Everybody who pays or is paid: payers by level, then the carrier.
    pub sides: Vec<RatedSide>,
}

/// One who pays or is paid for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatedSide {
    /// As what.
    pub role: Role,
    /// Who.
    pub account: AccountId,
    /// When the call was answered; `None`: it was not, and costs nothing.
    pub answered_at: Option<Utc>,
    /// The talk that counts on this side's leg, limited to the grant.
    pub talked: Duration,
    /// What stands; `None` if it could not be priced.
    pub before: Option<CdrCharge>,
}

/// One leg of a call as its CDR tells it, as far as money is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatedLeg {
    /// 0 is the ingress leg.
    pub leg: u8,
    /// Who pays for it, or is paid for it.
    pub account: Option<AccountId>,
    /// The subscriber at its other end.
    pub subscriber: Option<SubscriberId>,
    /// The trunk at its other end.
    pub trunk: Option<TrunkId>,
    /// When it was answered.
    pub answered_at: Option<Utc>,
    /// The talk that counts.
    pub talked: Duration,
    /// What stands.
    pub charge: Option<CdrCharge>,
    /// What stands for the resellers above the account, lowest first; on leg 0 only.
    pub upper: Vec<UpperCharge>,
}

impl From<&Cdr> for RatedLeg {
    fn from(cdr: &Cdr) -> RatedLeg {
        RatedLeg {
            leg: cdr.leg,
            account: cdr.account,
            subscriber: cdr.subscriber,
            trunk: cdr.trunk,
            answered_at: cdr.answered_at,
            talked: cdr.talked,
            charge: cdr.charge.clone(),
            upper: cdr.upper.clone(),
        }
    }
}

impl RatedLeg {
    /// Who pays for this leg, lowest first, or is paid for it.
    fn sides(&self) -> Vec<RatedSide> {
        let Some(side) = self.side() else { return Vec::new() };
        let mut sides = vec![side];
        for (upper, level) in self.upper.iter().zip(1..) {
            sides.push(RatedSide {
                role: Role::Payer(level),
                account: upper.account,
                answered_at: self.answered_at,
                talked: self.talked,
                before: Some(upper.charge.clone()),
            });
        }
        sides
    }

    fn side(&self) -> Option<RatedSide> {
        let is_egress = self.leg > 0;
        // Who answers as our own subscriber is not paid.
        if self.answered_at.is_none() || (is_egress && self.trunk.is_none()) {
            return None;
        }
        // Nor a second carrier whose answer crossed with our CANCEL.
        if is_egress && self.charge.is_none() && self.talked.is_zero() {
            return None;
        }
        Some(RatedSide {
            role: if is_egress { Role::Carrier(self.leg) } else { Role::Payer(0) },
            account: self.account?,
            answered_at: self.answered_at,
            talked: self.talked,
            before: self.charge.clone(),
        })
    }
}

impl RatedCall {
    /// The call that these legs tell of; `at` is when it came in. `None`: it was never answered or
    /// belongs to nobody, so there is nothing to price.
    pub fn of_legs(
        call: CallId,
        generation: u32,
        at: Utc,
        (cli, cld): (Option<Number>, Number),
        legs: &[RatedLeg],
    ) -> Option<RatedCall> {
        let is_carried =
            |leg: &RatedLeg| leg.leg > 0 && leg.answered_at.is_some() && leg.trunk.is_some();
        let kind = match legs.iter().any(is_carried) {
            true => CallKind::Egress,
            false => CallKind::Local,
        };
        let sides: Vec<RatedSide> = legs.iter().flat_map(RatedLeg::sides).collect();
        let is_priced = !sides.is_empty();
        let ingress = legs.iter().find(|leg| leg.leg == 0);
        let (subscriber, trunk) = ingress.map_or((None, None), |leg| (leg.subscriber, leg.trunk));
        is_priced.then_some(RatedCall {
            call,
            generation,
            kind,
            cld,
            cli,
            subscriber,
            trunk,
            at,
            sides,
        })
    }
}

/// What somebody is in a call's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Pays: 0 is the calling account, 1 its reseller, and so on upwards.
    Payer(u8),
    /// Is paid, for this egress leg.
    Carrier(u8),
}

impl Role {
    /// The level of a payer.
    pub fn level(self) -> Option<u8> {
        match self {
            Role::Payer(level) => Some(level),
            Role::Carrier(_) => None,
        }
    }
}

/// Why a side has no price. The words stay: they are the error codes that recycling selects (J-28).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unpriced {
    /// The account has no rate group, as a customer or as a carrier.
    NoRateGroup,
    /// No rate of its group was in force for the number.
    NoRate,
    /// The rate blocks the destination.
    Blocked,
    /// The rate is in another currency than the account's books.
    CurrencyDiffers,
    /// The price is more than an amount can hold.
    TooLarge,
    /// The directory does not know the account any more.
    NoAccount,
    /// Another payer of the same call has no price: all of them are charged or none.
    OtherPayer,
}

impl Unpriced {
    /// All of them.
    pub const ALL: [Unpriced; 7] = [
        Unpriced::NoRateGroup,
        Unpriced::NoRate,
        Unpriced::Blocked,
        Unpriced::CurrencyDiffers,
        Unpriced::TooLarge,
        Unpriced::NoAccount,
        Unpriced::OtherPayer,
    ];

    /// The error code.
    pub fn code(self) -> &'static str {
        match self {
            Unpriced::NoRateGroup => "no_rate_group",
            Unpriced::NoRate => "no_rate",
            Unpriced::Blocked => "destination_blocked",
            Unpriced::CurrencyDiffers => "rate_currency_differs",
            Unpriced::TooLarge => "amount_too_large",
            Unpriced::NoAccount => "no_account",
            Unpriced::OtherPayer => "other_payer_unpriced",
        }
    }
}

impl From<Unrated> for Unpriced {
    fn from(why: Unrated) -> Unpriced {
        match why {
            Unrated::NoGroup => Unpriced::NoRateGroup,
            Unrated::NoRate(_) => Unpriced::NoRate,
            Unrated::Blocked(..) => Unpriced::Blocked,
        }
    }
}

/// One side priced again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepricedSide {
    /// As what.
    pub role: Role,
    /// Who.
    pub account: AccountId,
    /// What stood.
    pub before: Option<CdrCharge>,
    /// What should stand. A side without a price keeps what it has.
    pub after: Result<CdrCharge, Unpriced>,
}

impl RepricedSide {
    /// Would anything be written differently: the amount, the billed time or the rate named?
    pub fn is_changed(&self) -> bool {
        self.after.as_ref().is_ok_and(|after| Some(after) != self.before.as_ref())
    }

    /// How much more is to be paid than stands; negative: less.
    pub fn difference(&self) -> Money {
        match &self.after {
            Ok(after) => Money(after.amount.0.saturating_sub(self.stood().0)),
            Err(_) => Money::ZERO,
        }
    }

    /// What stood as an amount.
    pub fn stood(&self) -> Money {
        self.before.as_ref().map_or(Money::ZERO, |before| before.amount)
    }

    /// What stands afterwards as an amount.
    pub fn stands(&self) -> Money {
        self.after.as_ref().map_or(self.stood(), |after| after.amount)
    }
}

/// Which sides are priced again; the others are left as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sides {
    /// Everybody.
    #[default]
    All,
    /// Those who pay.
    Payers,
    /// Carriers.
    Carriers,
    /// Those that have no price yet (J-27).
    Unpriced,
}

impl Sides {
    fn includes(self, side: &RatedSide) -> bool {
        match self {
            Sides::All => true,
            Sides::Payers => matches!(side.role, Role::Payer(_)),
            Sides::Carriers => matches!(side.role, Role::Carrier(_)),
            Sides::Unpriced => side.before.is_none(),
        }
    }
}

/// Prices the chosen sides of a call with this book. `currency_of` tells in which currency an
/// account keeps its books.
pub fn reprice(
    book: &RateBook,
    currency_of: &dyn Fn(AccountId) -> Option<Currency>,
    call: &RatedCall,
    sides: Sides,
) -> Vec<RepricedSide> {
    let chosen = call.sides.iter().filter(|side| sides.includes(side));
    let mut repriced: Vec<RepricedSide> = chosen
        .map(|side| RepricedSide {
            role: side.role,
            account: side.account,
            before: side.before.clone(),
            after: price_side(book, currency_of, call, side, call.at),
        })
        .collect();
    price_all_payers_or_none(&mut repriced);
    repriced
}

/// A reseller is never charged for a call that its customer is not charged for.
fn price_all_payers_or_none(repriced: &mut [RepricedSide]) {
    let is_payer = |side: &RepricedSide| matches!(side.role, Role::Payer(_));
    if repriced.iter().any(|side| is_payer(side) && side.after.is_err()) {
        for side in repriced.iter_mut().filter(|side| is_payer(side) && side.after.is_ok()) {
            side.after = Err(Unpriced::OtherPayer);
        }
    }
}

fn price_side(
    book: &RateBook,
    currency_of: &dyn Fn(AccountId) -> Option<Currency>,
    call: &RatedCall,
    side: &RatedSide,
    in_force_at: Utc,
) -> Result<CdrCharge, Unpriced> {
    let currency = currency_of(side.account).ok_or(Unpriced::NoAccount)?;
    let query = CallQuery {
        cld: &call.cld,
        cli: call.cli.as_ref(),
        at: call.at,
        in_force_at,
        subscriber: call.subscriber,
        trunk: call.trunk,
    };
    let applied = match (side.role, call.kind) {
        (Role::Carrier(_), _) => book.carrier_rate(side.account, &query, currency),
        (Role::Payer(_), CallKind::Egress) => book.customer_rate(side.account, &query, currency),
        (Role::Payer(_), CallKind::Local) => book.local_rate(side.account, currency),
    }?;
    if applied.currency.code() != currency.code() {
        return Err(Unpriced::CurrencyDiffers);
    }
    let charge = explain(&applied, &talk(side)).map_err(|_: MoneyError| Unpriced::TooLarge)?;
    Ok(CdrCharge {
        amount: charge.amount,
        billed_seconds: charge.billed_seconds,
        bundle_seconds: charge.bundle_seconds,
        bundle_allowance: allowance(side),
        applied,
    })
}

/// The seconds of bundles that the call held when it ended: neither more nor less are used now.
fn allowance(side: &RatedSide) -> u32 {
    side.before.as_ref().map_or(0, |before| before.bundle_allowance)
}

fn talk(side: &RatedSide) -> Talk {
    match side.answered_at {
        Some(at) => {
            let (lasted, bundle_seconds) = (side.talked, allowance(side));
            Talk::Answered(Answered { at, lasted, bundle_seconds })
        }
        None => Talk::Unanswered,
    }
}

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
            let RepricedSide { role, account, before, .. } = side;
            rerated.sides.push(ReratedSide { role, account, before, after, error });
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
    let currency = side.after.as_ref().ok()?.applied.currency;
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
    Some(Posting {
        op,
        kind,
        debit,
        credit,
        amount: Money(difference.0.saturating_abs()),
        currency,
        at: rerated.at,
        call: Some(call),
        note: String::new(),
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

code_struct!(ReratedSide { role, account, before, after, error });

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
        })
    }
}
