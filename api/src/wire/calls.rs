//! Calls on the wire: live ones, their records and their reasons.

use std::time::Duration;

use serde::Serialize;
use store::moment::format_utc;
use store::query as stored;
use switch::LiveCall;
use switch::directory::Directory;
use vocabulary::Utc;

use super::Posting;

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
    site: Option<u64>,
    site_name: Option<String>,
    trunk: Option<u64>,
    trunk_name: Option<String>,
    trunk_friendly_name: Option<String>,
    subscriber: Option<u64>,
    remote: Option<String>,
    sip_call_id: String,
    cli: String,
    cld: String,
    caller: Option<String>,
    destination: Option<String>,
    destination_name: Option<String>,
    started_at: String,
    ringing_at: Option<String>,
    answered_at: Option<String>,
    ended_at: String,
    /// INVITE to the first 18x, or to the answer.
    post_dial_delay_us: Option<u64>,
    /// First 18x to the answer, or to the end.
    ring_us: Option<u64>,
    talked_s: u64,
    talked_us: u64,
    /// Paid for with money, and by bundles: the split of a call that outlasts them (V-04).
    billed_s: u64,
    bundle_s: u64,
    cause: String,
    q850: u8,
    sip_status: u16,
    released_by: String,
    amount: String,
    currency: Option<String>,
    rate: Option<AppliedRate>,
    /// What profit counts it in.
    report_currency: Option<String>,
    report_rate: Option<String>,
    error_code: Option<String>,
    /// How often it was priced again.
    generation: u32,
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
    pub(crate) fn new(
        cdr: stored::StoredCdr,
        directory: &Directory,
        names: &stored::CdrNames,
    ) -> Cdr {
        let trunk = cdr.trunk.and_then(|id| directory.trunk(id));
        let ring_end = cdr.answered_at.unwrap_or(cdr.ended_at);
        let account = cdr.account.and_then(|id| directory.account(id));
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Cdr {
            call: cdr.call.to_string(),
            leg: cdr.leg,
            direction: cdr.direction,
            account: cdr.account.map(|id| id.0),
            account_name: account.map(|account| account.name.clone()),
            site: cdr.site.map(|id| id.0),
            site_name: cdr.site.and_then(|id| names.sites.get(&id.0)).cloned(),
            trunk: cdr.trunk.map(|id| id.0),
            trunk_friendly_name: cdr.trunk.and_then(|id| names.trunks.get(&id.0)).cloned(),
            trunk_name: trunk.map(|trunk| trunk.name.clone()),
            subscriber: cdr.subscriber.map(|id| id.0),
            remote: cdr.remote,
            sip_call_id: cdr.sip_call_id,
            cli: cdr.cli,
            cld: cdr.cld,
            caller: cdr.caller,
            destination: cdr.destination,
            destination_name: cdr.destination_name,
            started_at: format_utc(cdr.started_at),
            ringing_at: cdr.ringing_at.map(format_utc),
            answered_at: cdr.answered_at.map(format_utc),
            ended_at: format_utc(cdr.ended_at),
            post_dial_delay_us: cdr.post_dial_delay.map(micros),
            ring_us: cdr.ringing_at.map(|at| micros(ring_end.since(at))),
            talked_s: micros(cdr.talked).div_ceil(1_000_000),
            talked_us: micros(cdr.talked),
            billed_s: cdr.billed.as_secs(),
            bundle_s: cdr.bundle.as_secs(),
            cause: cdr.cause,
            q850: cdr.q850,
            sip_status: cdr.sip_status,
            released_by: cdr.released_by,
            amount: cdr.amount.to_string(),
            currency: cdr.currency,
            rate: cdr.rate.map(AppliedRate::from),
            report_currency: cdr.report.map(|report| report.currency.to_string()),
            report_rate: cdr.report.map(|report| report.rate.rate().to_string()),
            error_code: cdr.error_code,
            generation: cdr.generation,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Reason {
    pub(crate) code: String,
    pub(crate) sentence: String,
}

/// Everything known about one call.
#[derive(Serialize)]
pub(crate) struct Why {
    pub(crate) call: String,
    pub(crate) decisions: Vec<Reason>,
    pub(crate) legs: Vec<Cdr>,
    pub(crate) postings: Vec<Posting>,
    /// What stood before, each time the call was priced again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) history: Vec<serde_json::Value>,
    /// Other calls with the same SIP Call-ID.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) others: Vec<String>,
}
