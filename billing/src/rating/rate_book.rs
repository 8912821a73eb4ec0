//! All rate groups and which account uses which: an immutable snapshot, swapped whole. Groups are
//! shared between snapshots, so that a changed account or group costs only itself.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use snapshot_map::SnapshotMap;
use vocabulary::{
    AccountId, CallKind, DidId, Jurisdiction, Location, Number, RateChoice, SiteId, SubscriberId,
    TrunkId, Utc,
};

use super::calendar;
use super::{
    AppliedRate, CallQuery, DestinationSet, Discount, DurationRounding, ExchangeRate,
    JurisdictionGroups, MoneyRounding, NotRated, PayerTerms, Percent, Price, RATE_GROUP_NONE, Rate,
    RateGroup, RateGroupId, Zone,
};
use crate::{AccountTaxes, AppliedTaxes, Currency, DestinationSetId, Money, ReportRate};

/// How an account is priced, as customer and as carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountTariff {
    /// What it pays for its calls; mandatory for placing any.
    pub customer_group: Option<RateGroupId>,
    /// What it pays instead for calls whose caller's number is not one of its own.
    pub non_cli_group: Option<RateGroupId>,
    /// What it takes for calls that it carries for us.
    pub carrier_group: Option<RateGroupId>,
    /// What it pays and takes instead for calls of some jurisdictions (T7); `None` for most.
    pub by_jurisdiction: Option<Arc<JurisdictionGroups>>,
    /// What it pays for its messages: the connect fee of their rates. `None`: nothing.
    pub message_group: Option<RateGroupId>,
    /// What it takes for messages that it carries for us, in the same way.
    pub carrier_message_group: Option<RateGroupId>,
    /// What it pays for calls to our own subscribers. Free by default.
    pub local_rate: Rate,
    /// Percentages off what it pays, by destination, site and time (J-17, J-29).
    pub discounts: Arc<[Discount]>,
    /// Its reseller, who pays for its calls too, by a rate of its own.
    pub parent: Option<AccountId>,
    /// Calls may go to a carrier that costs more than they bring; otherwise that carrier is
    /// passed over.
    pub is_loss_allowed: bool,
    /// A cost this much above the charge is no loss yet (T5).
    pub loss: Percent,
    /// Where its days and months begin; `None`: in UTC.
    pub zone: Option<Arc<Zone>>,
    /// Rounding of its talk time when it pays.
    pub customer_duration: DurationRounding,
    /// Rounding of talk time when it is paid.
    pub carrier_duration: DurationRounding,
    /// The taxes on what it pays (R13).
    pub taxes: Option<Arc<AccountTaxes>>,
}

impl Default for AccountTariff {
    fn default() -> AccountTariff {
        AccountTariff {
            customer_group: None,
            non_cli_group: None,
            carrier_group: None,
            by_jurisdiction: None,
            message_group: None,
            carrier_message_group: None,
            local_rate: Rate::per_minute(Price::ZERO, 60, 60),
            discounts: Arc::default(),
            parent: None,
            is_loss_allowed: false,
            loss: Percent::default(),
            zone: None,
            customer_duration: DurationRounding::Up,
            carrier_duration: DurationRounding::Up,
            taxes: None,
        }
    }
}

impl AccountTariff {
    /// The group by which it pays for a call to a carrier. The caller's number is a matter of the
    /// account that calls: it needs the second group to be priced by it, its resellers pay by their
    /// first if they have no other. Calls by the usual group go by that of their jurisdiction.
    pub(crate) fn group_of_payer(
        &self,
        level: usize,
        choice: RateChoice,
        jurisdiction: Option<Jurisdiction>,
    ) -> Result<RateGroupId, Unrated> {
        let usual = self.customer_group.ok_or(Unrated::NoGroup)?;
        let groups = self.by_jurisdiction.as_deref();
        let usual = groups.and_then(|of| of.customer.of(jurisdiction)).unwrap_or(usual);
        match (choice, self.non_cli_group) {
            (RateChoice::Usual, _) => Ok(usual),
            (RateChoice::NonCli, Some(group)) => Ok(group),
            (RateChoice::NonCli, None) if level > 0 => Ok(usual),
            (RateChoice::NonCli, None) => Err(Unrated::NoNonCliGroup),
        }
    }

    /// The group by which it is paid for carrying a call.
    pub(crate) fn group_of_carrier(
        &self,
        jurisdiction: Option<Jurisdiction>,
    ) -> Option<RateGroupId> {
        let groups = self.by_jurisdiction.as_deref();
        groups.and_then(|of| of.carrier.of(jurisdiction)).or(self.carrier_group)
    }
}

/// On which side of a call an account is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// It pays for a call of this kind: level 0 has called or has the DID, those above are its
    /// resellers.
    Payer(usize, CallKind, RateChoice),
    /// It carries a call of this kind.
    Carrier(CallKind),
}

/// Why no rate applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unrated {
    NoGroup,
    NoNonCliGroup,
    NoRate(RateGroupId),
    Blocked(RateGroupId, u8),
    NoDid(DidId),
}

/// Why the parts make no book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateBookError {
    /// An account names a group that was not loaded.
    #[error("account {account} uses rate group {group}, which does not exist")]
    UnknownGroup {
        /// The account.
        account: AccountId,
        /// The missing group.
        group: RateGroupId,
    },
    /// Group 0 is the local price's.
    #[error("a rate group cannot have the id 0")]
    GroupZero,
    /// An account's local price has increments out of bounds.
    #[error("the local price of account {0} is out of bounds: {1}")]
    LocalRate(AccountId, super::RateError),
    /// A DID's price has increments out of bounds.
    #[error("the price of DID {0} is out of bounds: {1}")]
    DidRate(DidId, super::RateError),
}

/// The snapshot.
#[derive(Clone, Debug)]
pub struct RateBook {
    groups: HashMap<RateGroupId, Arc<RateGroup>, FixedState>,
    tariffs: SnapshotMap<AccountId, Arc<AccountTariff>>,
    /// One unit of the first currency in the second.
    exchange_rates: Arc<BTreeMap<(u64, u64), ExchangeRate>>,
    destinations: Arc<HashMap<DestinationSetId, DestinationSet, FixedState>>,
    sites: SiteMembers,
    /// What a minute of a call to them costs, if they are ours; free ones too.
    /// Whose they are, and what they cost.
    dids: SnapshotMap<DidId, Arc<(AccountId, Rate)>>,
    /// What profit is counted in; `None`: in the currency of whoever pays us for the call.
    report_currency: Option<Currency>,
}

/// Who belongs to which site (J-18).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SiteMembers {
    /// Sites of subscribers.
    pub subscribers: SnapshotMap<SubscriberId, SiteId>,
    /// Sites of trunks.
    pub trunks: SnapshotMap<TrunkId, SiteId>,
}

impl SiteMembers {
    /// The site of a call from this subscriber or this trunk.
    pub fn site(&self, subscriber: Option<SubscriberId>, trunk: Option<TrunkId>) -> Option<SiteId> {
        let of_subscriber = subscriber.and_then(|id| self.subscribers.get(&id));
        of_subscriber.or_else(|| self.trunks.get(&trunk?)).copied()
    }
}

impl Default for RateBook {
    fn default() -> RateBook {
        RateBook {
            groups: HashMap::with_hasher(FixedState::default()),
            tariffs: SnapshotMap::default(),
            exchange_rates: Arc::default(),
            destinations: Arc::new(HashMap::with_hasher(FixedState::default())),
            sites: SiteMembers::default(),
            dids: SnapshotMap::default(),
            report_currency: None,
        }
    }
}

impl RateBook {
    /// Starts an empty book.
    pub fn builder() -> RateBookBuilder {
        RateBook::default().change()
    }

    /// Starts from this book; what is not changed is shared with it.
    pub fn change(&self) -> RateBookBuilder {
        RateBookBuilder {
            book: self.clone(),
            unchecked: Vec::new(),
            unchecked_dids: Vec::new(),
            is_group_gone: false,
        }
    }

    /// A loaded group.
    pub fn group(&self, id: RateGroupId) -> Option<&Arc<RateGroup>> {
        self.groups.get(&id)
    }

    /// An account's tariff.
    pub fn tariff(&self, account: AccountId) -> Option<&AccountTariff> {
        self.tariffs.get(&account).map(|tariff| &**tariff)
    }

    /// Whether both price every account by the same terms and groups. The rates in the groups are
    /// not looked at.
    pub fn has_terms_of(&self, other: &RateBook) -> bool {
        self.groups.len() == other.groups.len()
            && self.groups.keys().all(|id| other.groups.contains_key(id))
            && self.tariffs == other.tariffs
            && self.exchange_rates == other.exchange_rates
            && self.destinations == other.destinations
            && self.sites == other.sites
            && self.dids == other.dids
            && self.report_currency == other.report_currency
    }

    /// The account's reseller.
    pub(crate) fn parent(&self, account: AccountId) -> Option<AccountId> {
        self.tariffs.get(&account)?.parent
    }

    /// A set of destinations.
    pub fn destination_set(&self, id: DestinationSetId) -> Option<&DestinationSet> {
        self.destinations.get(&id)
    }

    /// Is the number in this set of destinations? An unknown set has none.
    pub(crate) fn covers(&self, destinations: DestinationSetId, cld: &Number) -> bool {
        self.destinations.get(&destinations).is_some_and(|set| set.contains(cld))
    }

    /// The site that a call from this subscriber or this trunk belongs to.
    pub fn site(&self, subscriber: Option<SubscriberId>, trunk: Option<TrunkId>) -> Option<SiteId> {
        self.sites.site(subscriber, trunk)
    }

    /// What amounts in this currency are in the one that profit is counted in, for a call that is
    /// paid for in `paid`; `None` without an exchange rate.
    pub fn report_rate(&self, of: Currency, paid: Currency) -> Option<ReportRate> {
        let currency = self.report_currency.unwrap_or(paid);
        let rate = match of.code() == currency.code() {
            true => ExchangeRate::one(),
            false => self.exchange(of, currency)?,
        };
        Some(ReportRate { currency, rate })
    }

    /// What the sheet of a rate calls the destination of a call to this number, which goes there
    /// (J-14).
    pub fn destination(
        &self,
        applied: &AppliedRate,
        cld: &Number,
        location: &Location,
    ) -> Option<&str> {
        let digits = applied
            .rated_number(cld, location)
            .as_bytes()
            .get(..usize::from(applied.prefix_length))?;
        self.groups.get(&applied.group)?.destination(digits, applied.sheet_version)
    }

    /// An amount in another currency, rounded up; `None` without an exchange rate.
    pub(crate) fn converted(&self, amount: Money, from: Currency, to: Currency) -> Option<Money> {
        if from.code() == to.code() {
            return Some(amount);
        }
        let rate = self.exchange(from, to)?.rate();
        let nanos = i128::from(amount.0) * i128::from(rate.nanos());
        let whole = nanos / 1_000_000_000 + i128::from(nanos % 1_000_000_000 > 0);
        i64::try_from(whole).ok().map(Money)
    }

    /// The day and the month that this moment is in, where the account is.
    pub fn day_and_month(&self, account: AccountId, at: Utc) -> (Range<Utc>, Range<Utc>) {
        let zone = self.tariff(account).and_then(|tariff| tariff.zone.as_deref());
        calendar::day_and_month(zone, at)
    }

    /// What the account pays, or takes for carrying it, for a call to this number at this moment.
    pub(crate) fn rate_of(
        &self,
        account: AccountId,
        side: Side,
        call: &CallQuery<'_>,
        currency: Currency,
    ) -> Result<AppliedRate, Unrated> {
        let tariff = self.tariffs.get(&account).ok_or(Unrated::NoGroup)?;
        let taxes = |group| self.taxes(tariff, group, call.at);
        let (group, duration_rounding, discounts): (_, _, &[Discount]) = match side {
            Side::Payer(_, CallKind::Local, _) => {
                let rate = local_rate(tariff, currency)?;
                return Ok(AppliedRate { taxes: taxes(tariff.customer_group), ..rate });
            }
            Side::Payer(level, CallKind::Inbound(did), _) => {
                let (owner, rate) = **self.dids.get(&did).ok_or(Unrated::NoDid(did))?;
                // What it costs its new owner is nothing to the one before.
                if level == 0 && owner != account {
                    return Err(Unrated::NoDid(did));
                }
                let rate = ungrouped(rate, tariff, currency);
                return Ok(AppliedRate { taxes: taxes(tariff.customer_group), ..rate });
            }
            Side::Payer(_, CallKind::Internal, _) => {
                return Ok(ungrouped(free(), tariff, currency));
            }
            Side::Payer(_, CallKind::Message | CallKind::LocalMessage, _) => {
                // Who may place no call sends nothing either.
                tariff.customer_group.ok_or(Unrated::NoGroup)?;
                let group = tariff.message_group;
                let rate = self.message_rate(tariff, group, call, (currency, &tariff.discounts))?;
                return Ok(AppliedRate { taxes: taxes(group.or(tariff.customer_group)), ..rate });
            }
            Side::Carrier(CallKind::Message) => {
                let group = tariff.carrier_message_group;
                return self.message_rate(tariff, group, call, (currency, &[]));
            }
            Side::Payer(level, CallKind::Egress, choice) => {
                let jurisdiction = call.location.jurisdiction;
                let group = tariff.group_of_payer(level, choice, jurisdiction)?;
                (group, tariff.customer_duration, &tariff.discounts)
            }
            Side::Carrier(_) => {
                let group = tariff.group_of_carrier(call.location.jurisdiction);
                let group = group.ok_or(Unrated::NoGroup)?;
                (group, tariff.carrier_duration, &[])
            }
        };
        let payer = PayerTerms { duration_rounding, currency, exchange: None, discounts };
        let rate = self.rate(group, call, &payer)?;
        match side {
            Side::Payer(..) => Ok(AppliedRate { taxes: taxes(Some(group)), ..rate }),
            Side::Carrier(_) => Ok(rate),
        }
    }

    /// The taxes on a call that is priced by this group. What has no group of its own is stated as the
    /// prices of the account's are.
    fn taxes(
        &self,
        tariff: &AccountTariff,
        group: Option<RateGroupId>,
        at: Utc,
    ) -> Option<Arc<AppliedTaxes>> {
        let taxes = tariff.taxes.as_ref()?;
        let group = group.and_then(|id| self.groups.get(&id));
        taxes.on_usage(at, group.is_some_and(|group| group.includes_tax()))
    }

    fn exchange(&self, from: Currency, to: Currency) -> Option<ExchangeRate> {
        self.exchange_rates.get(&(from.index(), to.index())).copied()
    }

    fn check(&self, account: AccountId, tariff: &AccountTariff) -> Result<(), RateBookError> {
        let of_calls = [tariff.customer_group, tariff.non_cli_group, tariff.carrier_group];
        let of_messages = [tariff.message_group, tariff.carrier_message_group];
        let others = tariff.by_jurisdiction.iter().flat_map(|of| of.all());
        let groups = of_calls.into_iter().chain(of_messages).chain(others);
        for group in groups.flatten() {
            if !self.groups.contains_key(&group) {
                return Err(RateBookError::UnknownGroup { account, group });
            }
        }
        tariff.local_rate.validate().map_err(|fault| RateBookError::LocalRate(account, fault))
    }

    pub(super) fn rate(
        &self,
        id: RateGroupId,
        call: &CallQuery<'_>,
        payer: &PayerTerms<'_>,
    ) -> Result<AppliedRate, Unrated> {
        let group = self.groups.get(&id).ok_or(Unrated::NoGroup)?;
        let exchange = self.exchange(group.terms().currency, payer.currency);
        group.apply(call, &PayerTerms { exchange, ..*payer }).map_err(|why| match why {
            NotRated::NoRate => Unrated::NoRate(id),
            NotRated::Blocked { prefix_length } => Unrated::Blocked(id, prefix_length),
        })
    }
}

/// What calls from equipment of ours cost (P-607).
pub(super) fn free() -> Rate {
    Rate::per_minute(Price::ZERO, 60, 60)
}

/// The local price. Without a rate group an account places no call at all.
fn local_rate(tariff: &AccountTariff, currency: Currency) -> Result<AppliedRate, Unrated> {
    tariff.customer_group.ok_or(Unrated::NoGroup)?;
    if tariff.local_rate.is_blocked {
        return Err(Unrated::Blocked(RATE_GROUP_NONE, 0));
    }
    Ok(ungrouped(tariff.local_rate, tariff, currency))
}

/// A rate that is in no rate group, for this payer.
pub(super) fn ungrouped(rate: Rate, tariff: &AccountTariff, currency: Currency) -> AppliedRate {
    AppliedRate {
        rate,
        duration_rounding: tariff.customer_duration,
        money_rounding: MoneyRounding::default(),
        currency,
        group: RATE_GROUP_NONE,
        sheet_version: 0,
        prefix_length: 0,
        is_by_lrn: false,
        special: None,
        taxes: None,
    }
}

/// Makes a book, from nothing or from another.
#[derive(Debug)]
pub struct RateBookBuilder {
    book: RateBook,
    /// Accounts whose tariffs are new.
    unchecked: Vec<AccountId>,
    /// DIDs whose prices are new.
    unchecked_dids: Vec<DidId>,
    /// So every account may have lost its own.
    is_group_gone: bool,
}

impl RateBookBuilder {
    /// Adds a group or replaces the one with its id.
    #[must_use]
    pub fn group(mut self, group: impl Into<Arc<RateGroup>>) -> RateBookBuilder {
        let group = group.into();
        self.book.groups.insert(group.terms().id, group);
        self
    }

    /// Removes a group.
    #[must_use]
    pub fn without_group(mut self, id: RateGroupId) -> RateBookBuilder {
        self.is_group_gone |= self.book.groups.remove(&id).is_some();
        self
    }

    /// Sets an account's tariff.
    #[must_use]
    pub fn account(mut self, account: AccountId, tariff: AccountTariff) -> RateBookBuilder {
        self.book.tariffs.insert(account, Arc::new(tariff));
        self.unchecked.push(account);
        self
    }

    /// Replaces all tariffs, e.g. when the directory is read anew.
    #[must_use]
    pub fn accounts(
        mut self,
        tariffs: impl IntoIterator<Item = (AccountId, AccountTariff)>,
    ) -> RateBookBuilder {
        self.book.tariffs = SnapshotMap::default();
        tariffs
            .into_iter()
            .fold(self, |builder, (account, tariff)| builder.account(account, tariff))
    }

    /// Sets what one unit of a currency is in another; the inverse is its own entry (R12).
    #[must_use]
    pub fn exchange_rate(
        mut self,
        from: Currency,
        to: Currency,
        rate: ExchangeRate,
    ) -> RateBookBuilder {
        Arc::make_mut(&mut self.book.exchange_rates).insert((from.index(), to.index()), rate);
        self
    }

    /// Replaces all exchange rates: one unit of the first currency in the second.
    #[must_use]
    pub fn exchange_rates(
        mut self,
        rates: impl IntoIterator<Item = (Currency, Currency, ExchangeRate)>,
    ) -> RateBookBuilder {
        self.book.exchange_rates = Arc::default();
        rates
            .into_iter()
            .fold(self, |builder, (from, to, rate)| builder.exchange_rate(from, to, rate))
    }

    /// Replaces all sets of destinations.
    #[must_use]
    pub fn destinations(
        mut self,
        sets: impl IntoIterator<Item = (DestinationSetId, DestinationSet)>,
    ) -> RateBookBuilder {
        let mut map = HashMap::with_hasher(FixedState::default());
        map.extend(sets);
        self.book.destinations = Arc::new(map);
        self
    }

    /// Replaces who belongs to which site.
    #[must_use]
    pub fn sites(mut self, members: SiteMembers) -> RateBookBuilder {
        self.book.sites = members;
        self
    }

    /// Sets the site that a subscriber belongs to.
    #[must_use]
    pub fn subscriber_site(mut self, id: SubscriberId, site: Option<SiteId>) -> RateBookBuilder {
        let members = &mut self.book.sites.subscribers;
        match site {
            Some(site) => drop(members.insert(id, site)),
            None => drop(members.remove(&id)),
        }
        self
    }

    /// Sets the site that a trunk belongs to.
    #[must_use]
    pub fn trunk_site(mut self, id: TrunkId, site: Option<SiteId>) -> RateBookBuilder {
        let members = &mut self.book.sites.trunks;
        match site {
            Some(site) => drop(members.insert(id, site)),
            None => drop(members.remove(&id)),
        }
        self
    }

    /// Sets whose a DID is and what a minute of a call to it costs; `None`: it is not ours any more.
    #[must_use]
    pub fn did(mut self, id: DidId, terms: Option<(AccountId, Rate)>) -> RateBookBuilder {
        match terms {
            Some(terms) => {
                self.book.dids.insert(id, Arc::new(terms));
                self.unchecked_dids.push(id);
            }
            None => drop(self.book.dids.remove(&id)),
        }
        self
    }

    /// Sets the currency that profit is counted in.
    #[must_use]
    pub fn report_currency(mut self, currency: Option<Currency>) -> RateBookBuilder {
        self.book.report_currency = currency;
        self
    }

    /// Checks that the groups of every account exist that may have none.
    pub fn build(self) -> Result<RateBook, RateBookError> {
        if self.book.groups.contains_key(&RATE_GROUP_NONE) {
            return Err(RateBookError::GroupZero);
        }
        let RateBookBuilder { book, unchecked, unchecked_dids, is_group_gone } = self;
        for (id, terms) in
            unchecked_dids.into_iter().filter_map(|id| Some((id, book.dids.get(&id)?)))
        {
            terms.1.validate().map_err(|fault| RateBookError::DidRate(id, fault))?;
        }
        if is_group_gone {
            book.tariffs.iter().try_for_each(|(account, tariff)| book.check(*account, tariff))?;
        } else {
            let tariffs = unchecked.into_iter().filter_map(|id| Some((id, book.tariff(id)?)));
            tariffs.into_iter().try_for_each(|(account, tariff)| book.check(account, tariff))?;
        }
        Ok(book)
    }
}
