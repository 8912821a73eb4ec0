//! What goes over the wire. Written by hand, apart from the rows of the store, so that a change
//! inside changes nothing outside. Money and prices are text, moments are RFC 3339 in UTC.

mod calls;
mod plan;
mod rates;
mod rerate;
mod simulate;
mod statement;

use std::collections::BTreeMap;

use billing::{AccountView, Money, SystemAccount, SystemKind};
use serde::{Deserialize, Deserializer, Serialize};
use store::directory as rows;
use store::moment::format_utc;
use store::query as stored;
use switch::directory::Directory;
use switch::health::TrunkHealth;
use vocabulary::{AccountId, Utc};

use crate::control::{Certificate, LedgerReport, Status};

pub(crate) use calls::{CDR_COLUMNS, Cdr, Live, Reason, Why};
pub(crate) use plan::Plan;
pub(crate) use rates::{
    Layout, Rate, RateChange, RateGroup, Sheet, SheetReport, SheetVerdict, Told, column, verdicts,
};
pub(crate) use rerate::{balance, effect, past, profit, quality, run};
pub(crate) use simulate::SimulatedCall;
pub(crate) use statement::{ComparedStatement, statement_layout, statement_rows};

/// A list, so that more can stand beside it one day.
#[derive(Serialize)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
}

/// One page of a list; `next` given as `after` continues it.
#[derive(Serialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// Tells a field that is null from one that is not there.
pub(crate) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

macro_rules! limits_on_the_wire {
    ($name:ident { $($field:ident),+ }) => {
        /// Changes of limits; null is no limit.
        #[derive(Default, Deserialize)]
        pub(crate) struct $name {
            $(#[serde(default, deserialize_with = "nullable")]
            pub(crate) $field: Option<Option<u32>>,)+
        }

        impl $name {
            pub(crate) fn apply(&self, limits: &mut rows::CallLimits) {
                $(if let Some(value) = self.$field { limits.$field = value; })+
            }
        }
    };
}
limits_on_the_wire!(LimitsChange { calls_in_max, calls_out_max, cps_in_max, cps_out_max });

#[derive(Serialize)]
pub(crate) struct Limits {
    calls_in_max: Option<u32>,
    calls_out_max: Option<u32>,
    cps_in_max: Option<u32>,
    cps_out_max: Option<u32>,
}

impl From<rows::CallLimits> for Limits {
    fn from(limits: rows::CallLimits) -> Limits {
        Limits {
            calls_in_max: limits.calls_in_max,
            calls_out_max: limits.calls_out_max,
            cps_in_max: limits.cps_in_max,
            cps_out_max: limits.cps_out_max,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Account {
    id: u64,
    name: String,
    billing: &'static str,
    currency: String,
    credit_limit: String,
    status: &'static str,
    balance: String,
    /// What was taken and what is reserved, as the ledger counts it.
    debits_posted: String,
    debits_pending: String,
    available: String,
    rate_group: Option<String>,
    carrier_rate_group: Option<String>,
    #[serde(flatten)]
    limits: Limits,
    call_seconds_max: Option<u32>,
    receipts: bool,
    allow_local: bool,
    local_price: String,
    local_first_increment: u32,
    local_next_increment: u32,
    allow_loss: bool,
    duration_rounding: &'static str,
    carrier_duration_rounding: &'static str,
    number: Option<String>,
    parent: Option<String>,
    time_zone: String,
    billing_day: u8,
    loss_percent_max: String,
    non_cli_rate_group: Option<String>,
    intra_rate_group: Option<String>,
    undetermined_rate_group: Option<String>,
    carrier_intra_rate_group: Option<String>,
    carrier_undetermined_rate_group: Option<String>,
    custom: BTreeMap<String, String>,
    /// Of the balance, what we owe it as a carrier.
    owed: String,
    owed_limit: Option<String>,
    netted: bool,
    spend_hour_max: Option<String>,
    spend_day_max: Option<String>,
    spend_month_max: Option<String>,
    low_balance: Vec<String>,
    suspended_at: Option<String>,
    created_at: String,
}

impl Account {
    /// `money` is none until the ledger has heard of the account: then it has nothing.
    pub(crate) fn new(account: rows::Account, money: Option<AccountView>) -> Account {
        let counters = money.map(|view| view.counters).unwrap_or_default();
        let balance = counters.balance();
        let available = money.map_or(Money(account.credit_limit), |view| view.available());
        Account {
            id: account.id.0,
            name: account.name,
            billing: account.billing.as_str(),
            currency: account.currency,
            credit_limit: Money(account.credit_limit).to_string(),
            status: account.status.as_str(),
            balance: balance.to_string(),
            debits_posted: counters.debits_posted.to_string(),
            debits_pending: counters.debits_pending.to_string(),
            available: available.to_string(),
            rate_group: account.rate_group,
            carrier_rate_group: account.carrier_rate_group,
            limits: account.limits.into(),
            call_seconds_max: account.call_seconds_max,
            receipts: account.receipts,
            allow_local: account.allow_local,
            local_price: account.local_price.to_string(),
            local_first_increment: account.local_first_increment,
            local_next_increment: account.local_next_increment,
            allow_loss: account.allow_loss,
            duration_rounding: account.duration_rounding.as_str(),
            carrier_duration_rounding: account.carrier_duration_rounding.as_str(),
            number: account.number,
            parent: account.parent,
            time_zone: account.time_zone,
            billing_day: account.billing_day,
            loss_percent_max: account.loss_percent_max.to_string(),
            non_cli_rate_group: account.non_cli_rate_group,
            intra_rate_group: account.jurisdiction_rates.intra,
            undetermined_rate_group: account.jurisdiction_rates.undetermined,
            carrier_intra_rate_group: account.jurisdiction_rates.carrier_intra,
            carrier_undetermined_rate_group: account.jurisdiction_rates.carrier_undetermined,
            custom: account.custom,
            owed: money.map_or(Money::ZERO, |view| view.owed).to_string(),
            owed_limit: account.credit.owed_limit.map(|limit| Money(limit).to_string()),
            netted: account.credit.is_netted,
            spend_hour_max: account.credit.spend_hour_max.map(|limit| Money(limit).to_string()),
            spend_day_max: account.credit.spend_day_max.map(|limit| Money(limit).to_string()),
            spend_month_max: account.credit.spend_month_max.map(|limit| Money(limit).to_string()),
            low_balance: account.credit.low_balance.iter().map(|m| Money(*m).to_string()).collect(),
            suspended_at: account.suspended_at.map(format_utc),
            created_at: format_utc(account.created_at),
        }
    }
}

impl Account {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn currency(&self) -> &str {
        &self.currency
    }

    pub(crate) fn balance(&self) -> &str {
        &self.balance
    }

    pub(crate) fn available(&self) -> &str {
        &self.available
    }
}

/// One movement of money. Our own accounts have names as well: `revenue`, `cost`, `cash`,
/// `adjustment`.
#[derive(Serialize)]
pub(crate) struct Posting {
    op_id: String,
    kind: String,
    debit_account: u64,
    debit_name: String,
    credit_account: u64,
    credit_name: String,
    amount: String,
    currency: String,
    at: String,
    call: Option<String>,
    leg: Option<u8>,
    note: String,
    /// What of the amount are taxes, and which (R13).
    tax: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    taxes: Option<serde_json::Value>,
}

impl Posting {
    pub(crate) fn new(posting: stored::StoredPosting, directory: &Directory) -> Posting {
        Posting {
            op_id: posting.op_id.to_string(),
            kind: posting.kind,
            debit_account: posting.debit.0,
            debit_name: name_of(posting.debit, directory),
            credit_account: posting.credit.0,
            credit_name: name_of(posting.credit, directory),
            amount: posting.amount.to_string(),
            currency: posting.currency,
            at: format_utc(posting.at),
            call: posting.call.map(|call| call.to_string()),
            leg: posting.leg,
            note: posting.note,
            tax: posting.tax.to_string(),
            taxes: posting.taxes.and_then(|text| serde_json::from_str(&text).ok()),
        }
    }
}

fn name_of(account: AccountId, directory: &Directory) -> String {
    let ours = SystemAccount::kind_of(account).map(|kind| match kind {
        SystemKind::Revenue => "revenue".to_owned(),
        SystemKind::Cost => "cost".to_owned(),
        SystemKind::Cash => "cash".to_owned(),
        SystemKind::Adjustment => "adjustment".to_owned(),
        SystemKind::Sales(seller) => format!("sales of {}", name_of(seller, directory)),
    });
    match (ours, directory.account(account)) {
        (Some(name), _) => name,
        (None, Some(row)) => row.name.clone(),
        (None, None) => account.to_string(),
    }
}

#[derive(Serialize)]
pub(crate) struct Statement {
    opening: String,
    postings: Vec<Posting>,
    closing: String,
    is_cut: bool,
}

impl Statement {
    pub(crate) fn new(statement: stored::Statement, directory: &Directory) -> Statement {
        let postings = statement.postings.into_iter();
        Statement {
            opening: statement.opening.to_string(),
            postings: postings.map(|posting| Posting::new(posting, directory)).collect(),
            closing: statement.closing.to_string(),
            is_cut: statement.is_cut,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Subscriber {
    id: u64,
    username: String,
    account: String,
    site: Option<String>,
    number: Option<String>,
    contacts_max: u8,
    contacts: usize,
    created_at: String,
}

impl Subscriber {
    pub(crate) fn new(subscriber: rows::Subscriber, contacts: usize) -> Subscriber {
        Subscriber {
            id: subscriber.id.0,
            username: subscriber.username,
            account: subscriber.account_name,
            site: subscriber.site,
            number: subscriber.number.map(|number| number.as_str().to_owned()),
            contacts_max: subscriber.contacts_max,
            contacts,
            created_at: format_utc(subscriber.created_at),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Registration {
    pub(crate) username: String,
    pub(crate) contact: String,
    pub(crate) address: String,
    pub(crate) transport: &'static str,
    pub(crate) expires_at: String,
    pub(crate) behind_nat: bool,
}

#[derive(Serialize)]
pub(crate) struct Trunk {
    id: u64,
    name: String,
    account: String,
    enabled: bool,
    host: Option<String>,
    port: Option<u16>,
    transport: Option<&'static str>,
    addresses: Vec<String>,
    ingress_username: Option<String>,
    egress_username: Option<String>,
    registers: bool,
    register_expires_s: u64,
    ingress_plan: Plan,
    egress_plan: Plan,
    #[serde(flatten)]
    limits: Limits,
    hunt_codes: Vec<u16>,
    stop_codes: Vec<u16>,
    ring_timeout_s: Option<u64>,
    trusted: bool,
    sends_lrn: bool,
    believes_lrn: bool,
    site: Option<String>,
    friendly_name: Option<String>,
    /// untested, up, down; null: it is not asked.
    health: Option<&'static str>,
    created_at: String,
}

impl Trunk {
    pub(crate) fn with_health(self, health: Option<TrunkHealth>) -> Trunk {
        Trunk { health: health.map(|health| health.state.word()), ..self }
    }
}

impl From<rows::Trunk> for Trunk {
    fn from(trunk: rows::Trunk) -> Trunk {
        Trunk {
            id: trunk.id.0,
            name: trunk.name,
            account: trunk.account_name,
            enabled: trunk.enabled,
            host: trunk.host,
            port: trunk.port,
            transport: trunk.transport.map(rows::TrunkTransport::as_str),
            addresses: trunk.addresses,
            ingress_username: trunk.ingress.map(|(username, _)| username),
            egress_username: trunk.egress.map(|credentials| credentials.username),
            registers: trunk.registers,
            register_expires_s: trunk.register_expires.as_secs(),
            ingress_plan: Plan::from(&trunk.ingress_plan),
            egress_plan: Plan::from(&trunk.egress_plan),
            limits: trunk.limits.into(),
            hunt_codes: trunk.hunt_codes,
            stop_codes: trunk.stop_codes,
            ring_timeout_s: trunk.ring_timeout.map(|timeout| timeout.as_secs()),
            trusted: trunk.trusted,
            sends_lrn: trunk.sends_lrn,
            believes_lrn: trunk.believes_lrn,
            site: trunk.site,
            friendly_name: trunk.friendly_name,
            health: None,
            created_at: format_utc(trunk.created_at),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Check {
    ok: bool,
    counted: serde_json::Map<String, serde_json::Value>,
    faults: Vec<String>,
}

impl From<LedgerReport> for Check {
    fn from(report: LedgerReport) -> Check {
        let counted = report.counted.into_iter();
        Check {
            ok: report.faults.is_empty(),
            counted: counted.map(|(name, count)| (name.to_owned(), count.into())).collect(),
            faults: report.faults,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Process {
    version: String,
    started_at: String,
    uptime_s: u64,
    listeners: Vec<String>,
    certificates: Vec<String>,
    workers: usize,
    draining: bool,
    journal_stuck: bool,
    counters: serde_json::Map<String, serde_json::Value>,
}

impl Process {
    pub(crate) fn new(status: Status, certificates: Vec<Certificate>, now: Utc) -> Process {
        let counters = status.counters.into_iter();
        let certificate = |one: Certificate| {
            let problem = one.problem.map(|problem| format!(", not renewed: {problem}"));
            let until = format_utc(one.expires_at);
            format!("{} until {until}{}", one.listener, problem.unwrap_or_default())
        };
        Process {
            version: status.version,
            started_at: format_utc(status.started_at),
            uptime_s: now.since(status.started_at).as_secs(),
            listeners: status.listeners,
            certificates: certificates.into_iter().map(certificate).collect(),
            workers: status.workers,
            draining: status.is_draining,
            journal_stuck: status.is_journal_stuck,
            counters: counters.map(|(name, count)| (name.to_owned(), count.into())).collect(),
        }
    }
}
