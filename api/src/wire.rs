//! What goes over the wire. Written by hand, apart from the rows of the store, so that a change
//! inside changes nothing outside. Money and prices are text, moments are RFC 3339 in UTC.

use std::time::Duration;

use billing::{AccountView, Money};
use serde::{Deserialize, Deserializer, Serialize};
use store::directory as rows;
use store::moment::format_utc;
use store::query as stored;
use store::rate_deck::{SheetCounts, SheetRow, StoredSheet};
use switch::LiveCall;
use switch::directory::Directory;
use vocabulary::{DecisionLine, Utc};

use crate::control::{LedgerReport, Simulated, Status};

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
    allow_local: bool,
    local_price: String,
    allow_loss: bool,
    duration_rounding: &'static str,
    carrier_duration_rounding: &'static str,
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
            allow_local: account.allow_local,
            local_price: account.local_price.to_string(),
            allow_loss: account.allow_loss,
            duration_rounding: account.duration_rounding.as_str(),
            carrier_duration_rounding: account.carrier_duration_rounding.as_str(),
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

#[derive(Serialize)]
pub(crate) struct Posting {
    op_id: String,
    kind: String,
    debit_account: u64,
    credit_account: u64,
    amount: String,
    currency: String,
    at: String,
    call: Option<String>,
    leg: Option<u8>,
    note: String,
}

impl From<stored::StoredPosting> for Posting {
    fn from(posting: stored::StoredPosting) -> Posting {
        Posting {
            op_id: posting.op_id.to_string(),
            kind: posting.kind,
            debit_account: posting.debit.0,
            credit_account: posting.credit.0,
            amount: posting.amount.to_string(),
            currency: posting.currency,
            at: format_utc(posting.at),
            call: posting.call.map(|call| call.to_string()),
            leg: posting.leg,
            note: posting.note,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Statement {
    opening: String,
    postings: Vec<Posting>,
    closing: String,
    is_cut: bool,
}

impl From<stored::Statement> for Statement {
    fn from(statement: stored::Statement) -> Statement {
        Statement {
            opening: statement.opening.to_string(),
            postings: statement.postings.into_iter().map(Posting::from).collect(),
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
    created_at: String,
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
            created_at: format_utc(trunk.created_at),
        }
    }
}

/// A number plan; what is left out is the default.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Plan {
    country: String,
    international: String,
    national: String,
    bare: Bare,
    tech_prefix: String,
    form: Form,
    rewrites: Vec<Rewrite>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Bare {
    International,
    National,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Bare,
    Plus,
    International,
    National,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rewrite {
    matches: String,
    #[serde(default)]
    strip: u8,
    #[serde(default)]
    prepend: String,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan::from(&switch::routing::NumberPlan::default())
    }
}

impl From<&switch::routing::NumberPlan> for Plan {
    fn from(plan: &switch::routing::NumberPlan) -> Plan {
        use switch::routing::{BareNumber, EgressForm};
        let rewrites = plan.rewrites.iter().map(|rule| Rewrite {
            matches: rule.matches.clone(),
            strip: rule.strip,
            prepend: rule.prepend.clone(),
        });
        Plan {
            country: plan.country.clone(),
            international: plan.international.clone(),
            national: plan.national.clone(),
            bare: match plan.bare {
                BareNumber::International => Bare::International,
                BareNumber::National => Bare::National,
            },
            tech_prefix: plan.tech_prefix.clone(),
            form: match plan.form {
                EgressForm::Bare => Form::Bare,
                EgressForm::Plus => Form::Plus,
                EgressForm::International => Form::International,
                EgressForm::National => Form::National,
            },
            rewrites: rewrites.collect(),
        }
    }
}

impl From<Plan> for switch::routing::NumberPlan {
    fn from(plan: Plan) -> switch::routing::NumberPlan {
        use switch::routing::{BareNumber, EgressForm};
        let rewrites = plan.rewrites.into_iter().map(|rule| switch::routing::Rewrite {
            matches: rule.matches,
            strip: rule.strip,
            prepend: rule.prepend,
        });
        switch::routing::NumberPlan {
            country: plan.country,
            international: plan.international,
            national: plan.national,
            bare: match plan.bare {
                Bare::International => BareNumber::International,
                Bare::National => BareNumber::National,
            },
            tech_prefix: plan.tech_prefix,
            rewrites: rewrites.collect(),
            form: match plan.form {
                Form::Bare => EgressForm::Bare,
                Form::Plus => EgressForm::Plus,
                Form::International => EgressForm::International,
                Form::National => EgressForm::National,
            },
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Route {
    id: u64,
    prefix: String,
    trunk: String,
    priority: u16,
}

impl From<rows::Route> for Route {
    fn from(route: rows::Route) -> Route {
        let (trunk, priority) = (route.trunk_name, route.priority);
        Route { id: route.id, prefix: route.prefix, trunk, priority }
    }
}

#[derive(Serialize)]
pub(crate) struct RateGroup {
    name: String,
    currency: String,
    rounding: &'static str,
    decimals: u8,
    rates: u64,
}

impl From<rows::RateGroup> for RateGroup {
    fn from(group: rows::RateGroup) -> RateGroup {
        RateGroup {
            name: group.name,
            currency: group.currency,
            rounding: group.rounding.as_str(),
            decimals: group.decimals,
            rates: group.rate_count,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Rate {
    prefix: String,
    destination: String,
    price: String,
    connect_fee: String,
    first_increment: u32,
    next_increment: u32,
    grace_seconds: u32,
    free_seconds: u32,
    minimum_seconds: u32,
    minimum_charge: String,
    blocked: bool,
    valid_from: Option<String>,
    valid_till: Option<String>,
    sheet: u32,
}

impl From<SheetRow> for Rate {
    fn from(row: SheetRow) -> Rate {
        let rate = row.rate.rate;
        Rate {
            prefix: row.rate.prefix,
            destination: row.destination,
            price: rate.price.to_string(),
            connect_fee: rate.connect_fee.to_string(),
            first_increment: rate.first_increment,
            next_increment: rate.next_increment,
            grace_seconds: rate.grace_seconds,
            free_seconds: rate.free_seconds,
            minimum_seconds: rate.minimum_seconds,
            minimum_charge: rate.minimum_charge.to_string(),
            blocked: rate.is_blocked,
            valid_from: row.rate.valid_from.map(format_utc),
            valid_till: row.rate.valid_till.map(format_utc),
            sheet: row.rate.sheet_version,
        }
    }
}

/// A sheet that was imported, or with `imported` false would be.
#[derive(Serialize)]
pub(crate) struct Sheet {
    id: Option<u64>,
    rate_group: String,
    file: String,
    imported: bool,
    imported_at: Option<String>,
    rows: u64,
    added: u64,
    increased: u64,
    decreased: u64,
    changed: u64,
    unchanged: u64,
}

impl Sheet {
    pub(crate) fn preview(group: &str, file: &str, rows: u64, counts: SheetCounts) -> Sheet {
        Sheet {
            id: None,
            rate_group: group.to_owned(),
            file: file.to_owned(),
            imported: false,
            imported_at: None,
            rows,
            added: counts.added,
            increased: counts.increased,
            decreased: counts.decreased,
            changed: counts.changed,
            unchanged: counts.unchanged,
        }
    }
}

impl From<StoredSheet> for Sheet {
    fn from(sheet: StoredSheet) -> Sheet {
        Sheet {
            id: Some(sheet.id),
            imported: true,
            imported_at: Some(format_utc(sheet.imported_at)),
            ..Sheet::preview(&sheet.group, &sheet.file, sheet.row_count, sheet.counts)
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Live {
    call: String,
    state: &'static str,
    account: Option<String>,
    from: Option<String>,
    to: Option<String>,
    trunk_in: Option<String>,
    trunk_out: Option<String>,
    started_at: String,
    answered_at: Option<String>,
    talked_s: Option<u64>,
    granted_s: u64,
    sip_call_id: String,
}

impl Live {
    pub(crate) fn new(live: LiveCall, directory: &Directory, now: Utc) -> Live {
        let trunk = |id| directory.trunk(id).map(|trunk| trunk.name.clone());
        let account = live.account.and_then(|id| directory.account(id));
        Live {
            call: live.call.to_string(),
            state: live.state.word(),
            account: account.map(|account| account.name.clone()),
            from: live.cli.map(|number| number.as_str().to_owned()),
            to: live.cld.map(|number| number.as_str().to_owned()),
            trunk_in: live.ingress_trunk.and_then(trunk),
            trunk_out: live.egress_trunk.and_then(trunk),
            started_at: format_utc(live.started_at),
            answered_at: live.answered_at.map(format_utc),
            talked_s: live.answered_at.map(|answered| now.since(answered).as_secs()),
            granted_s: live.granted.as_secs(),
            sip_call_id: live.sip_call_id,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Cdr {
    call: String,
    leg: u8,
    direction: String,
    account: Option<u64>,
    account_name: Option<String>,
    trunk: Option<u64>,
    trunk_name: Option<String>,
    subscriber: Option<u64>,
    remote: Option<String>,
    sip_call_id: String,
    cli: String,
    cld: String,
    destination: Option<String>,
    started_at: String,
    ringing_at: Option<String>,
    answered_at: Option<String>,
    ended_at: String,
    talked_s: u64,
    talked_us: u64,
    billed_s: u64,
    cause: String,
    q850: u8,
    sip_status: u16,
    released_by: String,
    amount: String,
    currency: Option<String>,
    rate: Option<AppliedRate>,
}

/// The rate by which a leg was priced.
#[derive(Serialize)]
struct AppliedRate {
    group: u32,
    sheet: u32,
    prefix: Option<String>,
    price: String,
    connect_fee: String,
    first_increment: u32,
    next_increment: u32,
    terms: Option<String>,
}

impl From<stored::StoredRate> for AppliedRate {
    fn from(rate: stored::StoredRate) -> AppliedRate {
        AppliedRate {
            group: rate.group,
            sheet: rate.sheet_version,
            prefix: rate.prefix,
            price: rate.price,
            connect_fee: rate.connect_fee,
            first_increment: rate.first_increment_s,
            next_increment: rate.next_increment_s,
            terms: rate.terms,
        }
    }
}

impl Cdr {
    pub(crate) fn new(cdr: stored::StoredCdr, directory: &Directory) -> Cdr {
        let trunk = cdr.trunk.and_then(|id| directory.trunk(id));
        let account = cdr.account.and_then(|id| directory.account(id));
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Cdr {
            call: cdr.call.to_string(),
            leg: cdr.leg,
            direction: cdr.direction,
            account: cdr.account.map(|id| id.0),
            account_name: account.map(|account| account.name.clone()),
            trunk: cdr.trunk.map(|id| id.0),
            trunk_name: trunk.map(|trunk| trunk.name.clone()),
            subscriber: cdr.subscriber.map(|id| id.0),
            remote: cdr.remote,
            sip_call_id: cdr.sip_call_id,
            cli: cdr.cli,
            cld: cdr.cld,
            destination: cdr.destination,
            started_at: format_utc(cdr.started_at),
            ringing_at: cdr.ringing_at.map(format_utc),
            answered_at: cdr.answered_at.map(format_utc),
            ended_at: format_utc(cdr.ended_at),
            talked_s: micros(cdr.talked).div_ceil(1_000_000),
            talked_us: micros(cdr.talked),
            billed_s: cdr.billed.as_secs(),
            cause: cdr.cause,
            q850: cdr.q850,
            sip_status: cdr.sip_status,
            released_by: cdr.released_by,
            amount: cdr.amount.to_string(),
            currency: cdr.currency,
            rate: cdr.rate.map(AppliedRate::from),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Reason {
    pub(crate) code: String,
    pub(crate) sentence: String,
}

impl From<DecisionLine> for Reason {
    fn from(line: DecisionLine) -> Reason {
        Reason { code: line.code.to_owned(), sentence: line.sentence }
    }
}

/// Everything known about one call.
#[derive(Serialize)]
pub(crate) struct Why {
    pub(crate) call: String,
    pub(crate) decisions: Vec<Reason>,
    pub(crate) legs: Vec<Cdr>,
    pub(crate) postings: Vec<Posting>,
    /// Other calls with the same SIP Call-ID.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) others: Vec<String>,
}

#[derive(Serialize)]
pub(crate) struct SimulatedCall {
    would_be_placed: bool,
    sip_status: Option<u16>,
    refusal: Option<Reason>,
    decisions: Vec<Reason>,
    trunks: Vec<SimulatedTrunk>,
    skipped: Vec<SkippedTrunk>,
    price_of_a_minute: Option<String>,
    currency: Option<String>,
    talk_s_max: Option<u64>,
    price: Vec<Reason>,
}

#[derive(Serialize)]
struct SimulatedTrunk {
    trunk: String,
    cost_of_a_minute: Option<String>,
}

#[derive(Serialize)]
struct SkippedTrunk {
    trunk: String,
    #[serde(flatten)]
    reason: Reason,
}

impl From<Simulated> for SimulatedCall {
    fn from(simulated: Simulated) -> SimulatedCall {
        let cost = |name: &str| {
            let cost = simulated.costs.iter().find(|(trunk, _)| trunk == name);
            cost.map(|(_, cost)| cost.to_string())
        };
        let trunks = simulated
            .trunks
            .iter()
            .map(|name| SimulatedTrunk { trunk: name.clone(), cost_of_a_minute: cost(name) });
        let trunks = trunks.collect();
        let (sip_status, refusal) = simulated.refusal.unzip();
        let (minute, currency) = simulated.price.minute.unzip();
        let skipped = simulated.skipped.into_iter();
        SimulatedCall {
            would_be_placed: refusal.is_none(),
            sip_status,
            refusal: refusal.map(Reason::from),
            decisions: simulated.decisions.into_iter().map(Reason::from).collect(),
            trunks,
            skipped: skipped
                .map(|(trunk, reason)| SkippedTrunk { trunk, reason: reason.into() })
                .collect(),
            price_of_a_minute: minute.map(|minute| minute.to_string()),
            currency,
            talk_s_max: simulated.price.talk_seconds_max,
            price: simulated.price.lines.into_iter().map(Reason::from).collect(),
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
    workers: usize,
    draining: bool,
    counters: serde_json::Map<String, serde_json::Value>,
}

impl Process {
    pub(crate) fn new(status: Status, now: Utc) -> Process {
        let counters = status.counters.into_iter();
        Process {
            version: status.version,
            started_at: format_utc(status.started_at),
            uptime_s: now.since(status.started_at).as_secs(),
            listeners: status.listeners,
            workers: status.workers,
            draining: status.is_draining,
            counters: counters.map(|(name, count)| (name.to_owned(), count.into())).collect(),
        }
    }
}
