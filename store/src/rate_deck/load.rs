//! From sheets to the rate book that billing asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use billing::{
    AccountTariff, Currency, DestinationSet, DestinationSetId, ExchangeRate, GroupTerms,
    GroupsOfSide, JurisdictionGroups, Percent, Price, Rate, RateBook, RateGroup, RateGroupId,
    RateRow, SpecialTerms, Zone,
};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sheets::{Deck, OPEN, SheetTerms, moment};
use vocabulary::AccountId;

use super::chunk;
use crate::directory::{
    Account, Change, ChangeError, MessageGroups, RateBy, RateGroup as GroupRow, all_exchange_rates,
    all_groups, dids_for_snapshot, load_discounts, load_taxes, message_groups, signed,
    site_members, site_of, unsigned, with_parents,
};
use crate::sql::{self, Executor, Row};

/// The chunks of a group, each with its sheet's version.
pub(super) async fn chunks(
    executor: impl Executor<'_>,
    group: u64,
) -> Result<Vec<(u32, Vec<u8>)>, ChangeError> {
    let rows = sql::query(
        "SELECT rate_sheet_id, rates FROM rate_chunk
         JOIN rate_sheet ON rate_sheet.id = rate_chunk.rate_sheet_id
         WHERE rate_sheet.rate_group_id = ? ORDER BY rate_sheet_id, ordinal",
    )
    .bind(signed(group))
    .fetch_all(executor)
    .await?;
    let chunk = |row: &Row| Ok((narrow(unsigned(row.try_get(0)?))?, row.try_get(1)?));
    rows.iter().map(chunk).collect()
}

/// What counts of a group's sheets besides their rows.
pub(super) async fn sheet_terms(
    executor: impl Executor<'_>,
    group: u64,
) -> Result<BTreeMap<u32, SheetTerms>, ChangeError> {
    let rows = sql::query(
        "SELECT rate_sheet.id, rate_sheet.is_full, later.begins_at FROM rate_sheet
         LEFT JOIN rate_sheet AS later ON later.rolls_back = rate_sheet.id
         WHERE rate_sheet.rate_group_id = ?",
    )
    .bind(signed(group))
    .fetch_all(executor)
    .await?;
    let terms = |row: &Row| {
        let rolled_back_at: Option<i64> = row.try_get(2)?;
        let terms = SheetTerms {
            is_full: row.try_get::<i32, _>(1)? != 0,
            rolled_back_at: rolled_back_at.map(super::at_second),
        };
        Ok((narrow(unsigned(row.try_get(0)?))?, terms))
    };
    rows.iter().map(terms).collect()
}

fn narrow(id: u64) -> Result<u32, ChangeError> {
    u32::try_from(id).map_err(|_| ChangeError::Corrupt { column: "id", value: id.to_string() })
}

impl Change {
    /// The rate book as this command has left it. Groups are taken over from `before` unless the
    /// command has changed them: a deck of a million rates is only read when it is new.
    pub async fn rate_book(&mut self, before: Option<&RateBook>) -> Result<RateBook, ChangeError> {
        let accounts = with_parents(&mut *self.tx, None).await?;
        self.whole_rate_book(before, &accounts).await
    }

    /// The same, with the tariffs of all accounts, which are these, made anew.
    pub(crate) async fn whole_rate_book(
        &mut self,
        before: Option<&RateBook>,
        accounts: &[(Account, Option<AccountId>)],
    ) -> Result<RateBook, ChangeError> {
        let mut builder = RateBook::builder();
        let (groups, ids) = self.groups(before).await?;
        for group in groups {
            builder = builder.group(group);
        }
        let destinations = destinations(&mut *self.tx).await?;
        let find = |id| destinations.iter().find(|(known, _)| *known == id).map(|(_, set)| set);
        let discounts = load_discounts(&mut self.tx, &|id| find(id).cloned(), None).await?;
        let mut taxes = load_taxes(&mut self.tx, None).await?;
        let messages = message_groups(&mut *self.tx, None).await?;
        let tariffs = accounts.iter().map(|(account, parent)| {
            let (discounts, taxes) = (discounts.of(account.id), taxes.remove(&account.id));
            let priced = tariff(account, *parent, &ids, messages.get(&account.id));
            (account.id, AccountTariff { discounts, taxes, ..priced })
        });
        let tariffs: Vec<_> = tariffs.collect();
        for did in dids_for_snapshot(&mut self.tx, None).await? {
            builder = builder.did(did.row.id, Some((did.row.account, did.rate)));
        }
        builder
            .accounts(tariffs)
            .exchange_rates(exchange_rates(&mut *self.tx).await?)
            .sites(site_members(&mut self.tx).await?)
            .report_currency(self.report_currency().await?)
            .destinations(destinations)
            .build()
            .map_err(|error| ChangeError::InUse(error.to_string()))
    }

    /// The rate book that follows `before`: with the tariffs of these accounts and whatever else
    /// the command has changed made anew.
    pub(crate) async fn changed_rate_book(
        &mut self,
        before: &RateBook,
        accounts: &[(Account, Option<AccountId>)],
    ) -> Result<RateBook, ChangeError> {
        let mut builder = before.change();
        let (groups, ids) = self.groups(Some(before)).await?;
        for group in groups {
            builder = builder.group(group);
        }
        let sets = match self.touched.destinations {
            true => Some(destinations(&mut *self.tx).await?),
            false => None,
        };
        for (account, parent) in accounts {
            let set_of = |id| match &sets {
                Some(sets) => {
                    sets.iter().find(|(known, _)| *known == id).map(|(_, set)| set.clone())
                }
                None => before.destination_set(id).cloned(),
            };
            let discounts = load_discounts(&mut self.tx, &set_of, Some(account.id)).await?;
            let discounts = discounts.of(account.id);
            let taxes = load_taxes(&mut self.tx, Some(account.id)).await?.remove(&account.id);
            let messages = message_groups(&mut *self.tx, Some(account.id)).await?;
            let priced = tariff(account, *parent, &ids, messages.get(&account.id));
            let tariff = AccountTariff { discounts, taxes, ..priced };
            builder = builder.account(account.id, tariff);
        }
        if let Some(sets) = sets {
            builder = builder.destinations(sets);
        }
        if self.touched.exchange_rates {
            builder = builder.exchange_rates(exchange_rates(&mut *self.tx).await?);
            builder = builder.report_currency(self.report_currency().await?);
        }
        for id in self.touched.subscribers.clone() {
            let site = site_of(&mut self.tx, "subscriber", id.0).await?;
            builder = builder.subscriber_site(id, site);
        }
        for id in self.touched.dids.clone() {
            let did = dids_for_snapshot(&mut self.tx, Some(id)).await?.pop();
            builder = builder.did(id, did.map(|did| (did.row.account, did.rate)));
        }
        for id in self.touched.trunks.clone() {
            builder = builder.trunk_site(id, site_of(&mut self.tx, "trunk", id.0).await?);
        }
        builder.build().map_err(|error| ChangeError::InUse(error.to_string()))
    }

    /// All groups, and their names.
    async fn groups(
        &mut self,
        before: Option<&RateBook>,
    ) -> Result<(Vec<Arc<RateGroup>>, Vec<(String, RateGroupId)>), ChangeError> {
        let rows = all_groups(&mut *self.tx).await?;
        let mut groups = Vec::with_capacity(rows.len());
        let mut ids = Vec::with_capacity(rows.len());
        let mut building = Vec::new();
        for row in rows {
            let id = RateGroupId(narrow(row.id)?);
            ids.push((row.name.clone(), id));
            let is_changed = self.touched.has_group(row.id);
            if let Some(group) = before.and_then(|book| book.group(id)).filter(|_| !is_changed) {
                groups.push(Arc::clone(group));
                continue;
            }
            // Built on other cores while the next one is read.
            let chunks = chunks(&mut *self.tx, row.id).await?;
            let sheets = sheet_terms(&mut *self.tx, row.id).await?;
            building.push(tokio::task::spawn_blocking(move || build(&row, id, &chunks, &sheets)));
        }
        for built in building {
            let group = built.await.expect("building a rate group does not panic")?;
            groups.push(Arc::new(group));
        }
        Ok((groups, ids))
    }
}

async fn exchange_rates(
    executor: impl Executor<'_>,
) -> Result<Vec<(Currency, Currency, ExchangeRate)>, ChangeError> {
    let all = all_exchange_rates(executor).await?;
    Ok(all.into_iter().map(|exchange| (exchange.from, exchange.to, exchange.rate)).collect())
}

/// All sets of destinations.
async fn destinations(
    executor: impl Executor<'_>,
) -> Result<Vec<(DestinationSetId, DestinationSet)>, ChangeError> {
    let sql = "SELECT destination_set_id, prefix FROM destination_set_prefix \
               ORDER BY destination_set_id, prefix";
    let mut sets: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for row in sql::query(sql).fetch_all(executor).await? {
        sets.entry(narrow(unsigned(row.try_get(0)?))?).or_default().push(row.try_get(1)?);
    }
    let set = |(id, prefixes): (u32, Vec<String>)| {
        let set = DestinationSet::new(prefixes.iter().map(String::as_str))
            .map_err(|error| ChangeError::Corrupt { column: "prefix", value: error.to_string() })?;
        Ok((DestinationSetId(id), set))
    };
    sets.into_iter().map(set).collect()
}

/// A group with one sheet more, which gets the next version.
pub(super) fn with_draft(
    row: &GroupRow,
    mut chunks: Vec<(u32, Vec<u8>)>,
    mut sheets: BTreeMap<u32, SheetTerms>,
    sheet: &Deck,
    is_full: bool,
) -> Result<RateGroup, ChangeError> {
    let version = sheets.last_key_value().map_or(1, |(last, _)| last.saturating_add(1));
    let rows = sheet.rows.chunks(chunk::ROWS_MAX);
    chunks.extend(rows.map(|rows| (version, chunk::encode(sheet, rows))));
    sheets.insert(version, SheetTerms { is_full, rolled_back_at: None });
    build(row, RateGroupId(narrow(row.id)?), &chunks, &sheets)
}

fn build(
    row: &GroupRow,
    id: RateGroupId,
    chunks: &[(u32, Vec<u8>)],
    sheets: &BTreeMap<u32, SheetTerms>,
) -> Result<RateGroup, ChangeError> {
    let head = row.head()?;
    let money_rounding = row.rounding.into();
    let mut deck = super::resolved(chunks, sheets)?;
    deck.fill(&row.defaults()?);
    // A rate that rounds as its group does is a plain one.
    for terms in &mut deck.terms {
        terms.special = terms.special.take().and_then(|special| {
            let own = special.money_rounding.filter(|own| *own != money_rounding);
            let special = SpecialTerms { money_rounding: own, ..SpecialTerms::clone(&special) };
            (!special.is_empty()).then(|| Arc::new(special))
        });
    }
    let terms =
        GroupTerms { id, name: head.name, currency: head.currency, money_rounding, special: None };
    let mut builder = RateGroup::builder(terms).including_tax(row.prices_include_tax);
    builder = builder.by_lrn(row.rate_by == RateBy::Lrn);
    let mut rate = RateRow {
        prefix: String::new(),
        rate: Rate::per_minute(Price::ZERO, 60, 60),
        special: None,
        valid_from: None,
        valid_till: None,
        sheet_version: 0,
    };
    for row in &deck.rows {
        let Some(terms) = deck.terms.get(row.terms as usize) else { continue };
        rate.prefix.clear();
        row.prefix.write(&mut rate.prefix);
        rate.rate = terms.rate;
        rate.special.clone_from(&terms.special);
        rate.valid_from = (row.from > 0).then(|| moment(row.from));
        rate.valid_till = (row.till != OPEN).then(|| moment(row.till));
        rate.sheet_version = row.source;
        builder
            .row_named(&rate, deck.name(row))
            .map_err(|error| ChangeError::Corrupt { column: "rates", value: error.to_string() })?;
    }
    Ok(builder.build())
}

fn tariff(
    account: &Account,
    parent: Option<AccountId>,
    groups: &[(String, RateGroupId)],
    messages: Option<&MessageGroups>,
) -> AccountTariff {
    let messages = messages.copied().unwrap_or_default();
    let group = |name: &Option<String>| {
        let name = name.as_ref()?;
        groups.iter().find(|(known, _)| known == name).map(|(_, id)| *id)
    };
    let price = Price::new(account.local_price).expect("checked when the account was stored");
    AccountTariff {
        customer_group: group(&account.rate_group),
        non_cli_group: group(&account.non_cli_rate_group),
        carrier_group: group(&account.carrier_rate_group),
        by_jurisdiction: by_jurisdiction(account, group),
        message_group: messages.customer,
        carrier_message_group: messages.carrier,
        local_rate: Rate::per_minute(
            price,
            account.local_first_increment,
            account.local_next_increment,
        ),
        customer_duration: account.duration_rounding.into(),
        carrier_duration: account.carrier_duration_rounding.into(),
        discounts: Arc::default(),
        taxes: None,
        parent,
        is_loss_allowed: account.allow_loss,
        loss: percent(account.loss_percent_max),
        zone: Some(account.time_zone.as_str())
            .filter(|name| *name != "UTC")
            .and_then(|name| Zone::named(name).ok()),
    }
}

/// Shared by nobody, but most accounts have none.
fn by_jurisdiction(
    account: &Account,
    group: impl Fn(&Option<String>) -> Option<RateGroupId>,
) -> Option<Arc<JurisdictionGroups>> {
    let rates = &account.jurisdiction_rates;
    let side = |intra, undetermined| GroupsOfSide {
        intra: group(intra),
        undetermined: group(undetermined),
    };
    let groups = JurisdictionGroups {
        customer: side(&rates.intra, &rates.undetermined),
        carrier: side(&rates.carrier_intra, &rates.carrier_undetermined),
    };
    (groups != JurisdictionGroups::default()).then(|| Arc::new(groups))
}

/// In hundredths, the rest cut off: a share of a loss that is not asked for is none.
fn percent(percent: Decimal) -> Percent {
    let hundredths = (percent * Decimal::from(100)).trunc().to_u32().unwrap_or(0);
    Percent::from_hundredths(hundredths).unwrap_or_default()
}
