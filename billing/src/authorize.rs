//! On which terms a call would be carried, before any money is held: the payer's rate, and the
//! carriers that may take it, cheapest first. Shared by credit control and by quotes.

use std::time::Duration;

use vocabulary::{
    AccountId, AuthorizeRequest, CallKind, Candidate, DecisionLine, Refused, Skipped, Utc,
};

use crate::call_state::CarrierRate;
use crate::ledger::{AccountView, Ledger, Status};
use crate::rating::{AppliedRate, CallQuery, RATE_GROUP_NONE, RateBook, Talk, Unrated, price};
use crate::slices::{CreditSettings, Purse, Slice, floor_seconds};
use crate::{Currency, Money};

/// The terms of a call.
pub(crate) struct CallTerms {
    pub(crate) rate: AppliedRate,
    pub(crate) carriers: Vec<CarrierRate>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) decisions: Vec<DecisionLine>,
}

pub(crate) fn line(code: &'static str, sentence: String) -> DecisionLine {
    DecisionLine { code, sentence }
}

/// The payer's account, if it may spend.
pub(crate) fn active(ledger: &Ledger, account: AccountId) -> Result<AccountView, Refused> {
    let refuse = |code, what| {
        Err(Refused::AccountInactive(line(code, format!("Account {account} {what}."))))
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

/// Finds the rates, or says why there are none.
pub(crate) fn call_terms(
    ledger: &Ledger,
    book: &RateBook,
    settings: &CreditSettings,
    request: &AuthorizeRequest,
) -> Result<CallTerms, Refused> {
    let payer = active(ledger, request.account)?;
    let currency = payer.terms.currency;
    let rate = match request.kind {
        CallKind::Local => book.local_rate(request.account, currency),
        CallKind::Egress => book.customer_rate(request.account, &CallQuery::of(request), currency),
    };
    let rate = rate.map_err(|why| unrated(request, why))?;
    if rate.currency.code() != currency.code() {
        let sentence = format!(
            "Rate group {} is in {}, but account {} is in {currency}.",
            rate.group, rate.currency, request.account
        );
        return Err(Refused::NoRate(line("rate_currency_differs", sentence)));
    }
    let mut decisions = vec![line("rate_found", rate_sentence(request, &rate))];
    let (mut carriers, mut skipped) = (Vec::new(), Vec::new());
    if request.kind == CallKind::Egress {
        (carriers, skipped) = order_carriers(ledger, book, settings, request, currency);
        if carriers.is_empty() {
            return Err(Refused::NoCarrier(no_carrier(&skipped)));
        }
        decisions
            .extend(carriers.iter().map(|carrier| carrier_line(settings, carrier, request.at)));
    }
    Ok(CallTerms { rate, carriers, skipped, decisions })
}

fn unrated(request: &AuthorizeRequest, why: Unrated) -> Refused {
    let (account, cld) = (request.account, request.cld.as_str());
    match why {
        Unrated::NoGroup => Refused::NoRateGroup(line(
            "no_rate_group",
            format!("Account {account} has no rate group, so it can place no call."),
        )),
        Unrated::NoRate(group) => Refused::NoRate(line(
            "no_rate",
            format!("Rate group {group} has no rate in force for {cld}."),
        )),
        Unrated::Blocked(RATE_GROUP_NONE, _) => Refused::NoRate(line(
            "destination_blocked",
            format!("Local calls of account {account} are blocked."),
        )),
        Unrated::Blocked(group, digits) => Refused::NoRate(line(
            "destination_blocked",
            format!("Rate group {group} blocks the prefix {:?}.", prefix(cld, digits)),
        )),
    }
}

fn prefix(cld: &str, digits: u8) -> &str {
    cld.get(..usize::from(digits)).unwrap_or(cld)
}

fn rate_sentence(request: &AuthorizeRequest, applied: &AppliedRate) -> String {
    let rate = &applied.rate;
    let found = if applied.group == RATE_GROUP_NONE {
        format!("Local price of account {}", request.account)
    } else {
        format!(
            "Rate group {}, prefix {:?}, sheet version {}",
            applied.group,
            prefix(request.cld.as_str(), applied.prefix_length),
            applied.sheet_version
        )
    };
    let fee = match rate.connect_fee.is_zero() {
        true => String::new(),
        false => format!(", connect fee {}", rate.connect_fee),
    };
    let (first, next) = (rate.first_increment, rate.next_increment);
    format!("{found}: {} {} a minute, {first}/{next}{fee}.", rate.price, applied.currency)
}

/// As if it were answered as it comes in.
fn cost_at_typical_talk(settings: &CreditSettings, carrier: &CarrierRate, at: Utc) -> Money {
    let talk = Duration::from_secs(settings.typical_talk_seconds.into());
    price(&carrier.rate, &Talk::answered(at, talk)).unwrap_or(Money(i64::MAX))
}

fn carrier_line(settings: &CreditSettings, carrier: &CarrierRate, at: Utc) -> DecisionLine {
    let cost = cost_at_typical_talk(settings, carrier, at);
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
    line("no_carrier", sentence)
}

/// Carriers that may be used, by priority, then those in the payer's currency, then by cost at the
/// typical length in real increments. Equal ones stay in the order of routing.
fn order_carriers(
    ledger: &Ledger,
    book: &RateBook,
    settings: &CreditSettings,
    request: &AuthorizeRequest,
    currency: Currency,
) -> (Vec<CarrierRate>, Vec<Skipped>) {
    let mut found: Vec<((u16, bool, Money), CarrierRate)> =
        Vec::with_capacity(request.candidates.len());
    let mut skipped = Vec::new();
    for candidate in &request.candidates {
        match carrier_rate(ledger, book, request, candidate) {
            Ok(carrier) => {
                let is_foreign = carrier.rate.currency.code() != currency.code();
                let cost = cost_at_typical_talk(settings, &carrier, request.at);
                found.push(((candidate.priority, is_foreign, cost), carrier));
            }
            Err((code, why)) => {
                let sentence =
                    format!("Trunk {} of carrier {} {why}.", candidate.trunk, candidate.carrier);
                skipped.push(Skipped { trunk: candidate.trunk, reason: line(code, sentence) });
            }
        }
    }
    found.sort_by_key(|(key, _)| *key);
    (found.into_iter().map(|(_, carrier)| carrier).collect(), skipped)
}

fn carrier_rate(
    ledger: &Ledger,
    book: &RateBook,
    request: &AuthorizeRequest,
    candidate: &Candidate,
) -> Result<CarrierRate, (&'static str, String)> {
    let account = candidate.carrier;
    let Some(view) = ledger.account(account) else {
        return Err(("carrier_unknown", "has no account".into()));
    };
    if view.terms.status != Status::Active {
        return Err(("carrier_inactive", "is not active".into()));
    }
    if view.is_owed_limit_reached() {
        let owed = view.counters.balance();
        return Err(("carrier_limit_reached", format!("is owed {owed}, its limit")));
    }
    match book.carrier_rate(account, &CallQuery::of(request), view.terms.currency) {
        Ok(rate) if rate.currency.code() != view.terms.currency.code() => Err((
            "carrier_currency_differs",
            format!("has rates in {} and books in {}", rate.currency, view.terms.currency),
        )),
        Ok(rate) => Ok(CarrierRate { trunk: candidate.trunk, account, rate }),
        Err(Unrated::NoGroup) => Err(("carrier_no_rate_group", "has no rate group".into())),
        Err(Unrated::NoRate(group)) => {
            Err(("carrier_no_rate", format!("has no rate for the number in group {group}")))
        }
        Err(Unrated::Blocked(group, _)) => {
            Err(("carrier_destination_blocked", format!("blocks the number in group {group}")))
        }
    }
}

/// The purse of a call that is about to open.
pub(crate) fn opening_purse(view: &AccountView, at: Utc) -> Purse {
    Purse {
        at,
        reserved: Money::ZERO,
        available: view.available(),
        calls: view.open_reservations.saturating_add(1),
    }
}

/// The refusal of a call whose first slice does not fit.
pub(crate) fn insufficient(
    rate: &AppliedRate,
    at: Utc,
    account: AccountId,
    view: &AccountView,
) -> Refused {
    let floor = Talk::answered(at, Duration::from_secs(floor_seconds(rate, at).into()));
    let needed = price(rate, &floor).unwrap_or(Money(i64::MAX));
    let sentence = format!(
        "Account {account} has {} {} available; connect fee and first increment cost {needed}.",
        view.available(),
        view.terms.currency
    );
    Refused::InsufficientCredit(line("insufficient_credit", sentence))
}

/// What was reserved, as a decision.
pub(crate) fn reserved_line(account: AccountId, slice: &Slice, currency: Currency) -> DecisionLine {
    let more = if slice.is_final { ", and no more is available" } else { "" };
    let sentence = format!(
        "{} {currency} reserved from account {account} for the first {} s{more}.",
        slice.amount, slice.total_seconds
    );
    line("credit_reserved", sentence)
}
