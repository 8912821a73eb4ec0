//! What rates that begin later would have made of calls that are over (B6). Nothing is booked.

use vocabulary::{AccountId, CallKind, Utc};

use super::{RatedCall, RatedSide, RepricedSide, Role, price_all_payers_or_none, price_side};
use crate::Currency;
use crate::authorize::at_typical_talk;
use crate::rating::{CallQuery, RateBook, RateGroupId, Side};
use crate::slices::CreditSettings;

/// Rates to try: those of one group as they are at a moment, instead of those that were in force
/// when each call came in. Periods and discounts still go by the time of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The group.
    pub group: RateGroupId,
    /// The moment, such as the one at which a sheet begins.
    pub at: Utc,
}

/// What a call would cost with a draft. Sides that its group does not price keep what stands.
/// `currency_of` tells in which currency an account keeps its books.
pub fn dry_run(
    book: &RateBook,
    currency_of: &dyn Fn(AccountId) -> Option<Currency>,
    call: &RatedCall,
    draft: Draft,
) -> Vec<RepricedSide> {
    let side = |side: &RatedSide| {
        let after = match (is_priced_by(book, call, side, draft.group), &side.before) {
            (true, _) => price_side(book, currency_of, call, side, draft.at),
            (false, Some(before)) => Ok(before.clone()),
            (false, None) => price_side(book, currency_of, call, side, call.at),
        };
        RepricedSide::new(book, call, side, after)
    };
    let mut repriced: Vec<RepricedSide> = call.sides.iter().map(side).collect();
    price_all_payers_or_none(&mut repriced);
    repriced
}

/// The carriers that may take a call, by priority, then by cost at the typical talk as authorising
/// orders them, if the draft gives them another order: before and after. Who has no rate is left
/// out. Whether a carrier is active, has room or costs too much is not asked.
pub fn carrier_order(
    book: &RateBook,
    currency_of: &dyn Fn(AccountId) -> Option<Currency>,
    call: &RatedCall,
    candidates: &[(u16, AccountId)],
    draft: Draft,
) -> Option<(Vec<AccountId>, Vec<AccountId>)> {
    let jurisdiction = call.by.location.jurisdiction;
    let uses =
        |account| book.tariff(account).and_then(|tariff| tariff.group_of_carrier(jurisdiction));
    if !candidates.iter().any(|(_, account)| uses(*account) == Some(draft.group)) {
        return None;
    }
    let top = call.sides.iter().rfind(|side| matches!(side.role, Role::Payer(_)))?;
    let ours = currency_of(top.account)?;
    let order = |is_draft: bool| -> Vec<AccountId> {
        let cost = |(priority, account): &(u16, AccountId)| {
            let is_draft = is_draft && uses(*account) == Some(draft.group);
            let query = CallQuery {
                cld: &call.by.cld,
                cli: call.by.cli.as_ref(),
                at: call.at,
                in_force_at: if is_draft { draft.at } else { call.at },
                site: call.site,
                location: call.by.location,
            };
            let theirs = currency_of(*account)?;
            let rate = book.rate_of(*account, Side::Carrier(call.kind), &query, theirs).ok()?;
            let cost = at_typical_talk(&CreditSettings::default(), &rate, call.at);
            let exchanged = book.converted(cost, rate.currency, ours);
            let key = (*priority, exchanged.is_none(), exchanged.unwrap_or(cost));
            (rate.currency.code() == theirs.code()).then_some((key, *account))
        };
        let mut found: Vec<_> = candidates.iter().filter_map(cost).collect();
        found.sort_by_key(|(key, _)| *key);
        found.into_iter().map(|(_, account)| account).collect()
    };
    let (before, after) = (order(false), order(true));
    (before != after).then_some((before, after))
}

fn is_priced_by(book: &RateBook, call: &RatedCall, side: &RatedSide, group: RateGroupId) -> bool {
    let tariff = book.tariff(side.account);
    let jurisdiction = call.by.location.jurisdiction;
    let of_side = tariff.and_then(|tariff| match (side.role, call.kind) {
        (Role::Carrier(_), CallKind::Message) => tariff.carrier_message_group,
        (Role::Carrier(_), _) => tariff.group_of_carrier(jurisdiction),
        (Role::Payer(level), CallKind::Egress) => {
            tariff.group_of_payer(level.into(), call.by.rate_choice, jurisdiction).ok()
        }
        (Role::Payer(_), CallKind::Message | CallKind::LocalMessage) => tariff.message_group,
        (Role::Payer(_), _) => None,
    });
    of_side == Some(group)
}
