//! How long a call may go on, and what each of its payers holds for that: bundles first, then
//! money (R14). The grant is what the poorest payer can do; every other one holds no more than
//! that takes.

use std::time::Duration;

use vocabulary::{AccountId, AuthorizeRequest, CallId, CallKind, Utc};

use crate::Money;
use crate::chain::{Chain, LEVELS_MAX};
use crate::codec::{Code, DecodeError, Reader, code_struct, put_list, take_list};
use crate::ledger::{
    AccountView, Ask, BundleOf, BundleShare, Locked, ReservationId, Status, SystemAccount,
    SystemKind,
};
use crate::rating::{Answered, AppliedRate, RateBook, Talk, disconnect_after, price};
use crate::slices::{self, CreditSettings, Purse, SECONDS_MAX, Step};

/// One payer of a live call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payer {
    /// Who.
    pub account: AccountId,
    /// What this one pays.
    pub rate: AppliedRate,
    /// Money held.
    pub reserved: Money,
    /// The newest slice's part of it.
    pub newest: Money,
    /// The bundles that the call may use, fixed when it came in, in the order of use, each with
    /// the seconds held of it so far. Usually none.
    pub bundles: Vec<BundleShare>,
}

impl Code for Vec<BundleShare> {
    fn put(&self, out: &mut Vec<u8>) {
        put_list(self, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Vec<BundleShare>, DecodeError> {
        take_list(from)
    }
}

code_struct!(Payer { account, rate, reserved, newest, bundles });

impl Payer {
    pub(crate) fn new(account: AccountId, rate: AppliedRate) -> Payer {
        let bundles = Vec::new();
        Payer { account, rate, reserved: Money::ZERO, newest: Money::ZERO, bundles }
    }

    /// All seconds of bundles that the call may use.
    pub fn bundle_seconds(&self) -> u32 {
        sum(&self.bundles)
    }

    /// The talk of the call as this payer's rate prices it.
    pub(crate) fn talk(&self, at: Utc, lasted: Duration) -> Talk {
        Talk::Answered(Answered { at, lasted, bundle_seconds: self.bundle_seconds() })
    }

    /// May more seconds be taken from bundles? Not once money pays for time.
    fn is_bundle_open(&self, granted_seconds: u32) -> bool {
        !self.bundles.is_empty()
            && self.bundle_seconds() >= bundle_need(&self.rate, granted_seconds)
    }
}

/// What one payer holds more for a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// Who.
    pub account: AccountId,
    /// Money.
    pub amount: Money,
    /// Seconds of bundles; at the opening of a call also those that it may use later, with 0.
    pub bundles: Vec<BundleShare>,
}

code_struct!(Raise { account, amount, bundles });

impl Raise {
    /// Adds this to what a payer holds.
    pub(crate) fn add_to(&self, payer: &mut Payer) {
        payer.reserved.0 = payer.reserved.0.saturating_add(self.amount.0);
        payer.newest = self.amount;
        for share in &self.bundles {
            match payer.bundles.iter_mut().find(|held| held.bundle == share.bundle) {
                Some(held) => held.seconds = held.seconds.saturating_add(share.seconds),
                None => payer.bundles.push(*share),
            }
        }
    }
}

fn sum(shares: &[BundleShare]) -> u32 {
    shares.iter().fold(0, |sum, share| sum.saturating_add(share.seconds))
}

/// The seconds of bundles with which so much talk takes no time from money.
fn bundle_need(rate: &AppliedRate, seconds: u32) -> u32 {
    if seconds == 0 { 0 } else { seconds.max(rate.rate.minimum_seconds) }
}

/// Whose account is credited with what this level pays.
pub(crate) fn seller(payers: &Chain<Payer>, level: usize) -> AccountId {
    let currency = payers.get(level).expect("a level of the chain").rate.currency;
    let kind = match payers.get(level + 1) {
        Some(reseller) => SystemKind::Sales(reseller.account),
        None => SystemKind::Revenue,
    };
    SystemAccount { kind, currency }.id()
}

/// The accounts of a chain, to be locked; what is behind them repeats the first.
pub(crate) fn accounts(payers: &Chain<Payer>) -> [AccountId; LEVELS_MAX] {
    let mut accounts = [payers.first.account; LEVELS_MAX];
    for (slot, payer) in accounts.iter_mut().zip(payers.iter()) {
        *slot = payer.account;
    }
    accounts
}

/// Finds the bundles that a call may use: valid when it comes in, and for its destination, in the
/// order of use. The accounts are locked.
pub(crate) fn find_bundles(
    locked: &Locked<'_>,
    book: &RateBook,
    payers: &mut Chain<Payer>,
    request: &AuthorizeRequest,
) {
    // Free minutes are for calls that one places.
    let is_placed = matches!(request.kind, CallKind::Egress | CallKind::Local);
    if !is_placed {
        return;
    }
    let (cld, at) = (&request.cld, request.at);
    for payer in payers.iter_mut() {
        let bundles = locked.bundles(payer.account);
        let fitting = bundles.filter(|bundle| {
            bundle.may_pay() && bundle.is_valid_at(at) && book.covers(bundle.destinations, cld)
        });
        payer.bundles.extend(fitting.map(|b| BundleShare { bundle: b.id, seconds: 0 }));
    }
}

/// How much further a call goes.
#[derive(Debug)]
pub(crate) struct Funding {
    /// The whole grant.
    pub(crate) total_seconds: u32,
    /// The level at which not one increment more would fit, if there is one.
    pub(crate) last_at: Option<usize>,
    /// A cap ends the call there.
    pub(crate) is_capped: bool,
    /// What each level holds more.
    pub(crate) raises: Chain<Raise>,
}

impl Funding {
    /// Will no more follow?
    pub(crate) fn is_final(&self) -> bool {
        self.last_at.is_some() || self.is_capped
    }
}

/// What one level could do.
struct Offer {
    total_seconds: u32,
    is_last: bool,
    is_capped: bool,
}

/// The next slice of a call with these payers, whose accounts are locked; or the level that cannot
/// pay for any. Nothing is held yet.
pub(crate) fn fund(
    settings: &CreditSettings,
    locked: &Locked<'_>,
    payers: &Chain<Payer>,
    at: Utc,
    step: Step,
) -> Result<Funding, usize> {
    let granted = step.granted();
    let levels = || payers.iter().enumerate();
    let Targets { floor, wanted, least } = targets(settings, payers, at, step);
    let mut total_seconds = u32::MAX;
    let mut last_at = None;
    let mut is_capped = false;
    for (level, payer) in levels() {
        let offer = offer(locked, payer, at, granted, wanted, least).ok_or(level)?;
        // Another level's first increment may be longer than this one's cap lets the call be.
        let ends_before = offer.is_capped && matches!(step, Step::First);
        if offer.total_seconds < floor && !ends_before {
            return Err(level);
        }
        if offer.total_seconds < total_seconds {
            (total_seconds, last_at, is_capped) = (offer.total_seconds, None, false);
        }
        if offer.total_seconds == total_seconds {
            last_at = last_at.or(offer.is_last.then_some(level));
            is_capped |= offer.is_capped;
        }
    }
    let raises = payers
        .try_map(|level, payer| raise(locked, payer, at, granted, total_seconds).ok_or(level))?;
    Ok(Funding { total_seconds, last_at, is_capped, raises })
}

/// How long a grant must, should and may well be.
struct Targets {
    floor: u32,
    wanted: u32,
    least: u32,
}

fn targets(settings: &CreditSettings, payers: &Chain<Payer>, at: Utc, step: Step) -> Targets {
    let granted = step.granted();
    let floor = match step {
        Step::First => payers.iter().map(|payer| slices::floor_seconds(&payer.rate)).max(),
        Step::Next { .. } => granted.checked_add(1),
    };
    let floor = floor.unwrap_or(SECONDS_MAX);
    // A total that is the end of an increment at every level wastes nobody's money.
    let whole = |total: u32| {
        payers.iter().fold(total, |total, payer| match payer.is_bundle_open(granted) {
            true => total,
            false => slices::whole(&payer.rate, at, total, payer.bundle_seconds()).max(total),
        })
    };
    let (wanted, least) = slices::targets(settings, step, floor, whole);
    Targets { floor, wanted, least }
}

/// What this level would have to be able to reserve, so that the next slice is as long as wanted and
/// not the last.
pub(crate) fn need(
    settings: &CreditSettings,
    payers: &Chain<Payer>,
    level: usize,
    at: Utc,
    step: Step,
) -> Option<Money> {
    let payer = payers.get(level)?;
    let Targets { wanted, .. } = targets(settings, payers, at, step);
    let more = wanted.saturating_add(1).saturating_mul(2).saturating_sub(step.granted());
    let total = price(&payer.rate, &payer.talk(at, Duration::from_secs(more.into()))).ok()?;
    Some(Money(total.0.saturating_sub(payer.reserved.0).max(1)))
}

/// The bundles of which this node has not got all that the next slice should take, and how many seconds
/// that is: others may have them. What is used after such a bundle does not make up for it.
pub(crate) fn missing_seconds(
    settings: &CreditSettings,
    locked: &Locked<'_>,
    payers: &Chain<Payer>,
    at: Utc,
    step: Step,
) -> Vec<(BundleOf, u32)> {
    let granted = step.granted();
    let mut missing = Vec::new();
    if payers.iter().all(|payer| payer.bundles.is_empty()) {
        return missing;
    }
    let Targets { wanted, .. } = targets(settings, payers, at, step);
    for payer in payers.iter().filter(|payer| payer.is_bundle_open(granted)) {
        let mut need = bundle_need(&payer.rate, wanted).saturating_sub(payer.bundle_seconds());
        for share in &payer.bundles {
            let Some(bundle) = locked.bundle(payer.account, share.bundle) else { continue };
            let whole = need.div_ceil(bundle.increment).saturating_mul(bundle.increment);
            if bundle.free() < whole {
                missing.push((BundleOf { account: payer.account, bundle: bundle.id }, whole));
            }
            need = need.saturating_sub(whole.min(bundle.free()));
        }
    }
    missing
}

/// What this level's bundles and money reach.
fn offer(
    locked: &Locked<'_>,
    payer: &Payer,
    at: Utc,
    granted: u32,
    wanted: u32,
    least: u32,
) -> Option<Offer> {
    let view = locked.account(payer.account)?;
    let mut bundle_seconds = payer.bundle_seconds();
    let mut is_bundle_open = payer.is_bundle_open(granted);
    if is_bundle_open {
        let need = bundle_need(&payer.rate, wanted);
        bundle_seconds = bundle_seconds.saturating_add(sum(&more_shares(locked, payer, need)));
        is_bundle_open = bundle_seconds >= need;
    }
    let end = cap_end(&payer.rate, at, bundle_seconds);
    let (wanted, least) = (wanted.min(end), least.min(end));
    let purse = Purse {
        at,
        bundle_seconds,
        reserved: payer.reserved,
        available: view.spendable(),
        calls: calls(&view, granted),
    };
    let slice = slices::choose(&payer.rate, purse, wanted, least)?;
    // What bundles hold beyond this slice is not looked at before it is asked for.
    let is_capped = slice.total_seconds >= end;
    let is_last = slice.is_final && !is_bundle_open && !is_capped;
    Some(Offer { total_seconds: slice.total_seconds, is_last, is_capped })
}

/// The talk at which the cap of this rate ends the call, if one does; past grace and free seconds
/// in any case.
fn cap_end(rate: &AppliedRate, at: Utc, bundle_seconds: u32) -> u32 {
    let end = disconnect_after(rate, at, bundle_seconds);
    end.map_or(u32::MAX, |end| end.max(slices::floor_seconds(rate)))
}

/// The talk at which the first cap among the payers' rates ends the call.
pub(crate) fn first_cap_end(payers: &Chain<Payer>, at: Utc) -> u32 {
    let end = |payer: &Payer| cap_end(&payer.rate, at, payer.bundle_seconds());
    payers.iter().map(end).min().unwrap_or(u32::MAX)
}

/// Calls that live off the account, the one that is about to open included.
fn calls(view: &AccountView, granted: u32) -> u32 {
    view.open_reservations.saturating_add(u32::from(granted == 0)).max(1)
}

/// What this level holds more for a grant of so much; `None` if it has no price.
fn raise(
    locked: &Locked<'_>,
    payer: &Payer,
    at: Utc,
    granted: u32,
    total_seconds: u32,
) -> Option<Raise> {
    let account = payer.account;
    let mut bundles = Vec::new();
    if payer.is_bundle_open(granted) {
        bundles = more_shares(locked, payer, bundle_need(&payer.rate, total_seconds));
    }
    let bundle_seconds = payer.bundle_seconds().saturating_add(sum(&bundles));
    let lasted = Duration::from_secs(total_seconds.into());
    let talk = Talk::Answered(Answered { at, lasted, bundle_seconds });
    let total = price(&payer.rate, &talk).ok()?;
    // After a cheaper answer than was reserved for, the next slice may be paid for already.
    let amount = Money(total.checked_sub(payer.reserved).ok()?.0.max(0));
    Some(Raise { account, amount, bundles })
}

/// The seconds still to be taken from each bundle, in order, until `need` is held in all.
fn more_shares(locked: &Locked<'_>, payer: &Payer, need: u32) -> Vec<BundleShare> {
    let mut missing = need.saturating_sub(payer.bundle_seconds());
    let mut more = Vec::with_capacity(payer.bundles.len());
    for share in &payer.bundles {
        let Some(bundle) = locked.bundle(payer.account, share.bundle) else { continue };
        let whole = missing.div_ceil(bundle.increment).saturating_mul(bundle.increment);
        let seconds = whole.min(bundle.free());
        missing = missing.saturating_sub(seconds);
        more.push(BundleShare { bundle: share.bundle, seconds });
    }
    more
}

/// How the seconds that a call used of bundles fall on the ones that it holds: in order, each in
/// its own increments.
pub(crate) fn used_shares(locked: &Locked<'_>, payer: &Payer, used: u32) -> Vec<BundleShare> {
    let mut rest = used;
    let mut shares = Vec::new();
    for held in &payer.bundles {
        if rest == 0 {
            break;
        }
        let increment = locked.bundle(payer.account, held.bundle).map_or(1, |b| b.increment);
        let whole = rest.div_ceil(increment).saturating_mul(increment);
        let seconds = whole.min(held.seconds);
        rest = rest.saturating_sub(seconds);
        if seconds > 0 {
            shares.push(BundleShare { bundle: held.bundle, seconds });
        }
    }
    shares
}

/// Every level's reservation, raised; as many of them as there are levels.
pub(crate) fn asks<'a>(
    call: CallId,
    slice: u16,
    payers: &Chain<Payer>,
    raises: &'a Chain<Raise>,
) -> ([Ask<'a>; LEVELS_MAX], usize) {
    let ask = |level: usize, raise: &'a Raise| Ask {
        id: reservation(call, level),
        slice,
        account: raise.account,
        seller: seller(payers, level),
        amount: raise.amount,
        bundles: &raise.bundles,
        expires_at: NEVER,
    };
    let mut asks = [ask(0, &raises.first); LEVELS_MAX];
    for (level, raise) in raises.upper.iter().enumerate() {
        asks[level + 1] = ask(level + 1, raise);
    }
    (asks, raises.len())
}

/// Reservations of calls never run out by themselves: settlement or recovery closes them.
pub(crate) const NEVER: Utc = Utc(i64::MAX);

pub(crate) fn reservation(call: CallId, level: usize) -> ReservationId {
    ReservationId { call, level: u8::try_from(level).expect("a call has few payers") }
}

/// The level whose account may not go on, if there is one.
pub(crate) fn inactive(locked: &Locked<'_>, payers: &Chain<Payer>) -> Option<usize> {
    payers.iter().position(|payer| {
        locked.account(payer.account).is_none_or(|view| view.terms.status != Status::Active)
    })
}
