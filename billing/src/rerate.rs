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
mod legs;
mod record;

use std::time::Duration;

use vocabulary::{
    AccountId, CallId, CallKind, Location, Number, RateChoice, SiteId, SubscriberId, TrunkId, Utc,
};

use crate::cdr::CdrCharge;
use crate::rating::{Answered, CallQuery, RateBook, Side, Talk, Unrated, explain};
use crate::{Currency, Money, MoneyError, ReportRate};

pub use dry_run::{Draft, carrier_order, dry_run};
pub use effect::{BigChange, Change, CurrencyCode, DestinationChange, Effect};
pub use legs::RatedLeg;
pub use record::{Rerated, ReratedSide};

/// A call that is over, as its CDRs tell it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatedCall {
    /// The call.
    pub call: CallId,
    /// How often it was priced again; 0: as it ended.
    pub generation: u32,
    /// How it is priced.
    pub kind: CallKind,
    /// What its rates are looked up by.
    pub by: RatedBy,
    /// The subscriber who called, if one did.
    pub subscriber: Option<SubscriberId>,
    /// The trunk that it came in by, if it did.
    pub trunk: Option<TrunkId>,
    /// The site that it was from when it came in.
    pub site: Option<SiteId>,
    /// When the call came in: the rates in force at this moment count.
    pub at: Utc,
    /// Everybody who pays or is paid: payers by level, then the carrier.
    pub sides: Vec<RatedSide>,
}

/// What the rates of a call are looked up by, as they were when it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatedBy {
    /// The destination after number translation.
    pub cld: Number,
    /// The caller after caller-ID policy.
    pub cli: Option<Number>,
    /// By which of the payers' rate groups.
    pub rate_choice: RateChoice,
    /// How it was priced. `None` for records of a time when they did not say: then the call went to a
    /// carrier if a trunk answered, and to one of our own if none did.
    pub kind: Option<CallKind>,
    /// Where it went (T7).
    pub location: Location,
}

impl RatedBy {
    /// A destination, from nobody in particular, at the usual rates.
    pub fn cld(cld: Number) -> RatedBy {
        let (rate_choice, location) = (RateChoice::default(), Location::default());
        RatedBy { cld, cli: None, rate_choice, kind: None, location }
    }
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
    /// What its money is in the currency that profit is counted in, as it was fixed.
    pub report: Option<ReportRate>,
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
    /// The account has no NON-CLI rate group, and the call is to be priced by it (A-28).
    NoNonCliRateGroup,
    /// No rate of its group was in force for the number, or the DID is not there any more.
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
    pub const ALL: [Unpriced; 8] = [
        Unpriced::NoRateGroup,
        Unpriced::NoNonCliRateGroup,
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
            Unpriced::NoNonCliRateGroup => "no_non_cli_rate_group",
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
            Unrated::NoNonCliGroup => Unpriced::NoNonCliRateGroup,
            Unrated::NoRate(_) | Unrated::NoDid(_) => Unpriced::NoRate,
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
    /// What the sheet of the new rate calls the destination.
    pub destination: Option<String>,
}

impl RepricedSide {
    fn new(
        book: &RateBook,
        call: &RatedCall,
        side: &RatedSide,
        after: Result<CdrCharge, Unpriced>,
    ) -> RepricedSide {
        let RatedSide { role, account, before, .. } = side.clone();
        let name =
            |after: &CdrCharge| book.destination(&after.applied, &call.by.cld, &call.by.location);
        let destination = after.as_ref().ok().and_then(name).map(str::to_owned);
        RepricedSide { role, account, before, after, destination }
    }

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

    /// What stood, without taxes: what was earned.
    pub fn net_stood(&self) -> Money {
        self.before.as_ref().map_or(Money::ZERO, |before| before.applied.net(before.amount))
    }

    /// What stands afterwards, without taxes.
    pub fn net_stands(&self) -> Money {
        let after = self.after.as_ref();
        after.map_or_else(|_| self.net_stood(), |after| after.applied.net(after.amount))
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
        .map(|side| {
            let after = price_side(book, currency_of, call, side, call.at);
            RepricedSide::new(book, call, side, after)
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
        cld: &call.by.cld,
        cli: call.by.cli.as_ref(),
        at: call.at,
        in_force_at,
        site: call.site,
        location: call.by.location,
    };
    let priced = match side.role {
        Role::Carrier(_) => Side::Carrier(call.kind),
        Role::Payer(level) => Side::Payer(level.into(), call.kind, call.by.rate_choice),
    };
    let applied = book.rate_of(side.account, priced, &query, currency)?;
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
