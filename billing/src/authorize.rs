//! On which terms a call would be carried, before any money is held: every payer's rate, and the
//! carriers that may take it, cheapest first. Shared by credit control and by quotes.

use std::time::Duration;

use vocabulary::{
    AccountId, AuthorizeRequest, CallKind, Candidate, DecisionLine, Refused, SiteId, Skipped, Utc,
};

use crate::call_state::{CallContext, CarrierRate};
use crate::chain::{Chain, LEVELS_MAX};
use crate::funding::Payer;
use crate::ledger::{AccountView, Ledger, LedgerError, SpendPeriod, Status};
use crate::rating::{
    AppliedRate, CallQuery, Percent, RATE_GROUP_NONE, RateBook, Side, Talk, Unrated, price,
};
use crate::slices::{CreditSettings, floor_seconds};
use crate::{Currency, Money};

/// The terms of a call.
pub(crate) struct CallTerms {
    pub(crate) payers: Chain<Payer>,
    pub(crate) carriers: Vec<CarrierRate>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) context: CallContext,
    /// There are rates, but the call may not be placed by them.
    pub(crate) refusal: Option<Refused>,
}

pub(crate) fn line(code: &'static str, sentence: String) -> DecisionLine {
    DecisionLine { code, sentence }
}

/// How a payer is called in a sentence.
pub(crate) fn who(level: usize, account: AccountId) -> String {
    match level {
        0 => format!("Account {account}"),
        level => format!("Reseller {account} (level {level})"),
    }
}

/// The payer's account, if it may spend.
fn active(ledger: &Ledger, level: usize, account: AccountId) -> Result<AccountView, Refused> {
    let refuse = |code, what| {
        let sentence = format!("{} {what}.", who(level, account));
        Err(Refused::AccountInactive(line(code, sentence)))
    };
    match ledger.account(account) {
        None => refuse("account_unknown", "does not exist"),
        Some(view) => match view.terms.status {
            Status::Active => Ok(view),
            Status::Blocked => refuse("account_blocked", "is blocked"),
            Status::Closed => refuse("account_closed", "is closed"),
        },
    }
}

/// Finds the rates, with a decision about each, or says why the call may not be placed.
pub(crate) fn call_terms(
    ledger: &Ledger,
    book: &RateBook,
    settings: &CreditSettings,
    request: &AuthorizeRequest,
) -> Result<(CallTerms, Vec<DecisionLine>), Refused> {
    let mut decisions = Vec::with_capacity(4);
    let mut terms = find_terms(ledger, book, settings, request, &mut decisions)?;
    match terms.refusal.take() {
        Some(refused) => Err(refused),
        None => Ok((terms, decisions)),
    }
}

/// Finds the rates, or says why there are none.
pub(crate) fn find_terms(
    ledger: &Ledger,
    book: &RateBook,
    settings: &CreditSettings,
    request: &AuthorizeRequest,
    decisions: &mut Vec<DecisionLine>,
) -> Result<CallTerms, Refused> {
    let site = site_of(book, request);
    let query = CallQuery::of(request, site);
    let payers = payers(ledger, book, request, &query, decisions)?;
    let paid = payers.last().rate.currency;
    let context = CallContext { site, report: book.report_rate(paid, paid) };
    let (mut carriers, mut skipped, mut refusal) = (Vec::new(), Vec::new(), None);
    if request.kind.is_carried() {
        refusal = losing_reseller(book, settings, &payers, request.at);
        (carriers, skipped) = order_carriers(ledger, book, settings, request, &query, &payers);
        decisions.extend(standby_line(request, &carriers));
        if carriers.is_empty() {
            refusal.get_or_insert_with(|| Refused::NoCarrier(no_carrier(&skipped)));
        }
        let lines = carriers.iter().map(|carrier| carrier_line(settings, carrier, request.at));
        decisions.extend(lines);
    }
    Ok(CallTerms { payers, carriers, skipped, context, refusal })
}

/// The payer's site that the call is from. Who pays for what comes in to its DID does not call.
fn site_of(book: &RateBook, request: &AuthorizeRequest) -> Option<SiteId> {
    let is_its_own = request.kind.did().is_none();
    is_its_own.then(|| book.site(request.origin.subscriber, request.origin.trunk)).flatten()
}

/// The rate of a carrier that was left out, if it has one: what it would cost all the same.
pub(crate) fn rate_left_out(
    ledger: &Ledger,
    book: &RateBook,
    request: &AuthorizeRequest,
    candidate: &Candidate,
    paid: Currency,
) -> Option<CarrierRate> {
    let site = book.site(request.origin.subscriber, request.origin.trunk);
    carrier_rate(ledger, book, &CallQuery::of(request, site), (request.kind, candidate), paid).ok()
}

/// The account that calls and the resellers above it, each with its own rate.
fn payers(
    ledger: &Ledger,
    book: &RateBook,
    request: &AuthorizeRequest,
    query: &CallQuery<'_>,
    decisions: &mut Vec<DecisionLine>,
) -> Result<Chain<Payer>, Refused> {
    let first = payer(ledger, book, request, query, (0, request.account), decisions)?;
    let mut payers = Chain::of(first);
    let mut above = book.parent(request.account);
    while let Some(account) = above {
        let level = payers.len();
        if level == LEVELS_MAX || payers.iter().any(|payer| payer.account == account) {
            let sentence = format!(
                "Account {} has more than {} resellers above it, or is above itself.",
                request.account,
                LEVELS_MAX - 1
            );
            return Err(Refused::AccountInactive(line("too_many_resellers", sentence)));
        }
        let upper = payer(ledger, book, request, query, (level, account), decisions)?;
        payers.upper.push(upper);
        above = book.parent(account);
    }
    Ok(payers)
}

fn payer(
    ledger: &Ledger,
    book: &RateBook,
    request: &AuthorizeRequest,
    query: &CallQuery<'_>,
    (level, account): (usize, AccountId),
    decisions: &mut Vec<DecisionLine>,
) -> Result<Payer, Refused> {
    let currency = active(ledger, level, account)?.terms.currency;
    let side = Side::Payer(level, request.kind, request.rate_choice);
    let rate = book.rate_of(account, side, query, currency);
    let rate = rate.map_err(|why| unrated(book, request, (level, account), why))?;
    if rate.currency.code() != currency.code() {
        let sentence = format!(
            "Rate group {} is in {}, but account {account} is in {currency}.",
            rate.group, rate.currency
        );
        return Err(Refused::NoRate(line("rate_currency_differs", sentence)));
    }
    let mut sentence = rate_sentence(request, account, &rate);
    if level > 0 {
        sentence = format!("{}: {sentence}", who(level, account));
    }
    decisions.push(line("rate_found", sentence));
    Ok(Payer::new(account, rate))
}

fn unrated(
    book: &RateBook,
    request: &AuthorizeRequest,
    (level, account): (usize, AccountId),
    why: Unrated,
) -> Refused {
    let rated = |group| {
        let by_lrn = book.group(group).is_some_and(|group| group.is_by_lrn());
        request.location.lrn.as_ref().filter(|_| by_lrn).unwrap_or(&request.cld).as_str()
    };
    // The sentences about groups name no account: for a reseller they must.
    let of = |sentence: String| match level {
        0 => sentence,
        level => format!("{}: {sentence}", who(level, account)),
    };
    match why {
        Unrated::NoGroup => Refused::NoRateGroup(line(
            "no_rate_group",
            format!("{} has no rate group, so it can place no call.", who(level, account)),
        )),
        Unrated::NoNonCliGroup => Refused::NoRateGroup(line(
            "no_non_cli_rate_group",
            format!(
                "{} has no NON-CLI rate group, so it can place no call with a number that is not \
                 its own.",
                who(level, account)
            ),
        )),
        Unrated::NoRate(group) => Refused::NoRate(line(
            "no_rate",
            of(format!("Rate group {group} has no rate in force for {}.", rated(group))),
        )),
        Unrated::Blocked(RATE_GROUP_NONE, _) => Refused::NoRate(line(
            "destination_blocked",
            of(format!("Local calls of account {account} are blocked.")),
        )),
        Unrated::Blocked(group, digits) => Refused::NoRate(line(
            "destination_blocked",
            of(format!("Rate group {group} blocks the prefix {:?}.", prefix(rated(group), digits))),
        )),
        Unrated::NoDid(did) => Refused::NoRate(line(
            "did_without_price",
            of(format!("DID {did} has no price: it is not there any more.")),
        )),
    }
}

fn prefix(cld: &str, digits: u8) -> &str {
    cld.get(..usize::from(digits)).unwrap_or(cld)
}

fn rate_sentence(request: &AuthorizeRequest, account: AccountId, applied: &AppliedRate) -> String {
    let rate = &applied.rate;
    let found = match request.kind {
        CallKind::Local => format!("Local price of account {account}"),
        CallKind::Inbound(did) => format!("Price of DID {did}, of account {account}"),
        CallKind::Internal => "Free, as part of a call that is charged elsewhere".to_owned(),
        CallKind::Message | CallKind::LocalMessage if applied.group == RATE_GROUP_NONE => {
            return format!("Free, since account {account} has no rate group for messages.");
        }
        CallKind::Egress | CallKind::Message | CallKind::LocalMessage => {
            let rated = applied.rated_number(&request.cld, &request.location).as_str();
            let of = if applied.is_by_lrn { " of the LRN" } else { "" };
            let prefix = prefix(rated, applied.prefix_length);
            let (group, version) = (applied.group, applied.sheet_version);
            format!("Rate group {group}, prefix {prefix:?}{of}, sheet version {version}")
        }
    };
    if request.kind.is_message() {
        return format!("{found}: {} {} a message.", rate.connect_fee, applied.currency);
    }
    let fee = match rate.connect_fee.is_zero() {
        true => String::new(),
        false => format!(", connect fee {}", rate.connect_fee),
    };
    let (first, next) = (rate.first_increment, rate.next_increment);
    format!("{found}: {} {} a minute, {first}/{next}{fee}.", rate.price, applied.currency)
}

/// As if it were answered as it comes in; without taxes, which nobody earns.
pub(crate) fn at_typical_talk(settings: &CreditSettings, rate: &AppliedRate, at: Utc) -> Money {
    let talk = Duration::from_secs(settings.typical_talk_seconds.into());
    price(rate, &Talk::answered(at, talk)).map_or(Money(i64::MAX), |amount| rate.net(amount))
}

fn carrier_line(settings: &CreditSettings, carrier: &CarrierRate, at: Utc) -> DecisionLine {
    let cost = at_typical_talk(settings, &carrier.rate, at);
    let sentence = format!(
        "Trunk {} of carrier {} costs {cost} {} for {} s.",
        carrier.trunk, carrier.account, carrier.rate.currency, settings.typical_talk_seconds
    );
    line("carrier_found", sentence)
}

fn no_carrier(skipped: &[Skipped]) -> DecisionLine {
    let mut sentence = "No carrier is left for the call".to_owned();
    for (index, skipped) in skipped.iter().enumerate() {
        sentence.push_str(if index == 0 { ": " } else { " " });
        sentence.push_str(&skipped.reason.sentence);
    }
    if skipped.is_empty() {
        sentence.push('.');
    }
    // whoever would have carried it at a loss is the reason that counts.
    let is_loss = skipped.iter().any(|skipped| skipped.reason.code == UNPROFITABLE);
    line(if is_loss { UNPROFITABLE } else { "no_carrier" }, sentence)
}

const UNPROFITABLE: &str = "unprofitable";

/// What a payer brings its seller at the typical talk, and what may be lost of it (A-46, A-47, T5),
/// before any bundle. The seller is its reseller, or us at the top.
struct Profit {
    charge: Money,
    currency: Currency,
    loss: Percent,
}

/// Why a seller would lose.
enum Loss {
    /// It would pay this much, in the currency of what it is paid.
    Cost(Money),
    /// Nobody knows: there is no exchange rate.
    NoExchangeRate,
}

impl Profit {
    /// `None`: calls of this payer may bring a loss.
    fn needed(
        book: &RateBook,
        settings: &CreditSettings,
        payer: &Payer,
        at: Utc,
    ) -> Option<Profit> {
        let tariff = book.tariff(payer.account)?;
        let charge = || at_typical_talk(settings, &payer.rate, at);
        (!tariff.is_loss_allowed).then(|| Profit {
            charge: charge(),
            currency: payer.rate.currency,
            loss: tariff.loss,
        })
    }

    /// Is this cost too much?
    fn loss(&self, book: &RateBook, cost: Money, of: Currency) -> Option<Loss> {
        let Some(cost) = book.converted(cost, of, self.currency) else {
            return Some(Loss::NoExchangeRate);
        };
        let whole = 10_000_i128;
        let allowed = i128::from(self.charge.0) * (whole + i128::from(self.loss.hundredths()));
        (i128::from(cost.0) * whole > allowed).then_some(Loss::Cost(cost))
    }

    /// Why not this carrier?
    fn refusal(&self, book: &RateBook, cost: Money, of: Currency) -> Option<String> {
        let (currency, charge) = (self.currency, self.charge);
        Some(match self.loss(book, cost, of)? {
            Loss::Cost(cost) => format!("costs {cost} {currency} where the call brings {charge}"),
            Loss::NoExchangeRate => format!(
                "is paid in {of}, for which there is no exchange rate to {currency}, so a loss \
                 cannot be ruled out"
            ),
        })
    }
}

/// A reseller that would pay more for the call than its customer pays for it, whose calls may bring it
/// no loss. No other carrier helps: what it pays does not depend on who carries the call.
fn losing_reseller(
    book: &RateBook,
    settings: &CreditSettings,
    payers: &Chain<Payer>,
    at: Utc,
) -> Option<Refused> {
    let mut sales = payers.iter().zip(&payers.upper).zip(1..);
    sales.find_map(|((customer, reseller), level)| {
        let profit = Profit::needed(book, settings, customer, at)?;
        let cost = at_typical_talk(settings, &reseller.rate, at);
        let pays = match profit.loss(book, cost, reseller.rate.currency)? {
            Loss::Cost(cost) => format!("{cost} {}", profit.currency),
            Loss::NoExchangeRate => format!("{cost} {}", reseller.rate.currency),
        };
        let sentence = format!(
            "{} would pay {pays} for {} s where account {} brings it {}.",
            who(level, reseller.account),
            settings.typical_talk_seconds,
            customer.account,
            profit.charge
        );
        Some(Refused::NoCarrier(line(UNPROFITABLE, sentence)))
    })
}

/// That a trunk is used which routing had left out. Where it was left nothing else, it has said so.
fn standby_line(request: &AuthorizeRequest, carriers: &[CarrierRate]) -> Option<DecisionLine> {
    let used = carriers.first()?.trunk;
    let standby = request.candidates.iter().find(|c| c.trunk == used && c.is_standby)?;
    let is_said = standby.rank == 0 && request.candidates.iter().all(|c| c.is_standby);
    let sentence =
        format!("Trunk {used} is tried all the same: no other carrier can take the call.");
    (!is_said).then(|| line("standby_used", sentence))
}

/// Where a carrier stands: whether it only stands by, priority, rank, whether its cost is in another
/// currency that cannot be compared, and the cost.
type Order = (bool, u16, u16, bool, Money);

/// Carriers that may be used, by priority and rank, then by cost at the typical length in real increments,
/// in the currency of the payer. Equal ones stay in the order of routing. Of those
/// that stand by the first is used, if there are no others.
fn order_carriers(
    ledger: &Ledger,
    book: &RateBook,
    settings: &CreditSettings,
    request: &AuthorizeRequest,
    query: &CallQuery<'_>,
    payers: &Chain<Payer>,
) -> (Vec<CarrierRate>, Vec<Skipped>) {
    let currency = payers.last().rate.currency;
    let profit = Profit::needed(book, settings, payers.last(), request.at);
    let mut found: Vec<(Order, CarrierRate)> = Vec::with_capacity(request.candidates.len());
    let mut skipped = Vec::new();
    for candidate in &request.candidates {
        let carrier = carrier_rate(ledger, book, query, (request.kind, candidate), currency);
        let carrier = carrier.and_then(|carrier| {
            let cost = at_typical_talk(settings, &carrier.rate, request.at);
            let loss = profit.as_ref().and_then(|p| p.refusal(book, cost, carrier.rate.currency));
            loss.map_or(Ok((carrier, cost)), |why| Err((UNPROFITABLE, why)))
        });
        match carrier {
            Ok((carrier, cost)) => {
                let exchanged = book.converted(cost, carrier.rate.currency, currency);
                let Candidate { priority, rank, is_standby, .. } = *candidate;
                let cost = (exchanged.is_none(), exchanged.unwrap_or(cost));
                let key = (is_standby, priority, rank, cost.0, cost.1);
                found.push((key, carrier));
            }
            Err((code, why)) => {
                let sentence =
                    format!("Trunk {} of carrier {} {why}.", candidate.trunk, candidate.carrier);
                skipped.push(Skipped { trunk: candidate.trunk, reason: line(code, sentence) });
            }
        }
    }
    found.sort_by_key(|(key, _)| *key);
    match found.partition_point(|((is_standby, ..), _)| !is_standby) {
        0 => found.truncate(1),
        used => {
            found.truncate(used);
            // Nobody asks what they would have cost.
            let is_standby =
                |trunk| request.candidates.iter().any(|c| c.trunk == trunk && c.is_standby);
            skipped.retain(|skipped: &Skipped| !is_standby(skipped.trunk));
        }
    }
    (found.into_iter().map(|(_, carrier)| carrier).collect(), skipped)
}

fn carrier_rate(
    ledger: &Ledger,
    book: &RateBook,
    query: &CallQuery<'_>,
    (kind, candidate): (CallKind, &Candidate),
    paid: Currency,
) -> Result<CarrierRate, (&'static str, String)> {
    let account = candidate.carrier;
    let Some(view) = ledger.account(account) else {
        return Err(("carrier_unknown", "has no account".into()));
    };
    if view.terms.status != Status::Active {
        return Err(("carrier_inactive", "is not active".into()));
    }
    if view.is_owed_limit_reached() {
        let owed = if view.terms.is_netted { view.counters.balance() } else { view.owed };
        return Err(("carrier_limit_reached", format!("is owed {owed}, its limit")));
    }
    match book.rate_of(account, Side::Carrier(kind), query, view.terms.currency) {
        Ok(rate) if rate.currency.code() != view.terms.currency.code() => Err((
            "carrier_currency_differs",
            format!("has rates in {} and books in {}", rate.currency, view.terms.currency),
        )),
        Ok(rate) => {
            let report = book.report_rate(rate.currency, paid);
            Ok(CarrierRate { trunk: candidate.trunk, account, rate, report })
        }
        Err(Unrated::NoGroup | Unrated::NoNonCliGroup) => {
            Err(("carrier_no_rate_group", "has no rate group".into()))
        }
        Err(Unrated::NoDid(_)) => unreachable!("DIDs are priced for those who pay"),
        Err(Unrated::NoRate(group)) => {
            Err(("carrier_no_rate", format!("has no rate for the number in group {group}")))
        }
        Err(Unrated::Blocked(group, _)) => {
            Err(("carrier_destination_blocked", format!("blocks the number in group {group}")))
        }
    }
}

/// Is it a limit of spending, not the balance, that leaves less to this account?
pub(crate) fn limiting_period(view: &AccountView) -> Option<(Money, SpendPeriod)> {
    // What a node has leased is what the limit leaves.
    let is_leased = view.lease.is_some();
    view.spend_limit_left().filter(|(left, _)| is_leased || *left < view.available())
}

/// The refusal of a call whose first slice does not fit.
pub(crate) fn insufficient(level: usize, payer: &Payer, at: Utc, view: &AccountView) -> Refused {
    let floor = Duration::from_secs(floor_seconds(&payer.rate).into());
    let needed = price(&payer.rate, &Talk::answered(at, floor)).unwrap_or(Money(i64::MAX));
    let (who, currency) = (who(level, payer.account), view.terms.currency);
    let needs = format!("connect fee and first increment cost {needed}");
    Refused::InsufficientCredit(match limiting_period(view) {
        Some((left, period)) => line(
            "spend_limit_reached",
            format!("{who} may spend {left} {currency} more this {}; {needs}.", period.as_str()),
        ),
        None => line(
            "insufficient_credit",
            format!("{who} has {} {currency} available; {needs}.", view.available()),
        ),
    })
}

/// What the ledger said to a reservation.
pub(crate) fn refused_by_ledger(level: usize, account: AccountId, why: LedgerError) -> Refused {
    let sentence = format!("{} cannot pay for the call: {why}.", who(level, account));
    Refused::AccountInactive(line("account_refused", sentence))
}

/// What was reserved, as a decision a payer.
pub(crate) fn reserved_line(
    level: usize,
    payer: &Payer,
    total_seconds: u32,
    is_final: bool,
) -> DecisionLine {
    let more = if is_final { ", and no more is available" } else { "" };
    let bundles = match payer.bundle_seconds() {
        0 => String::new(),
        seconds => format!(" and {seconds} s of bundles"),
    };
    let of = match level {
        0 => format!("account {}", payer.account),
        level => format!("reseller {} (level {level})", payer.account),
    };
    let sentence = format!(
        "{} {}{bundles} reserved from {of} for the first {total_seconds} s{more}.",
        payer.reserved, payer.rate.currency
    );
    line("credit_reserved", sentence)
}
