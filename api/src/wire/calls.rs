//! Calls on the wire: live ones, their records and their reasons.

use std::borrow::Cow;
use std::time::Duration;

use billing::Zone;
use serde::Serialize;
use store::moment::{format_in, format_utc};
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
    lrn: Option<String>,
    jurisdiction: Option<String>,
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
    /// What of the amount are taxes (R13).
    tax: String,
    currency: Option<String>,
    rate: Option<AppliedRate>,
    /// What profit counts it in.
    report_currency: Option<String>,
    report_rate: Option<String>,
    error_code: Option<String>,
    /// How sure the signer of the caller's number is: A, B or C (S5).
    attestation: Option<String>,
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
        Cdr::told(cdr, directory, names, None)
    }

    /// With its moments as clocks show them there.
    pub(crate) fn told(
        cdr: stored::StoredCdr,
        directory: &Directory,
        names: &stored::CdrNames,
        zone: Option<&Zone>,
    ) -> Cdr {
        let trunk = cdr.trunk.and_then(|id| directory.trunk(id));
        let ring_end = cdr.answered_at.unwrap_or(cdr.ended_at);
        let account = cdr.account.and_then(|id| directory.account(id));
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let moment = |at: Utc| format_in(at, zone);
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
            lrn: cdr.lrn,
            jurisdiction: cdr.jurisdiction,
            started_at: moment(cdr.started_at),
            ringing_at: cdr.ringing_at.map(moment),
            answered_at: cdr.answered_at.map(moment),
            ended_at: moment(cdr.ended_at),
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
            tax: cdr.tax.to_string(),
            currency: cdr.currency,
            rate: cdr.rate.map(AppliedRate::from),
            report_currency: cdr.report.map(|report| report.currency.to_string()),
            report_rate: cdr.report.map(|report| report.rate.rate().to_string()),
            error_code: cdr.error_code,
            attestation: cdr.attestation,
            generation: cdr.generation,
        }
    }
}

/// A column of a file of CDRs, called as in JSON, and its cell.
type Column = (&'static str, fn(&Cdr) -> Cow<'_, str>);

fn text(text: &str) -> Cow<'_, str> {
    sheets::guarded(text)
}

fn maybe(text: Option<&String>) -> Cow<'_, str> {
    text.map_or(Cow::Borrowed(""), |text| sheets::guarded(text))
}

fn number<'a>(number: impl ToString) -> Cow<'a, str> {
    Cow::Owned(number.to_string())
}

fn maybe_number<'a>(number: Option<impl ToString>) -> Cow<'a, str> {
    number.map_or(Cow::Borrowed(""), |number| Cow::Owned(number.to_string()))
}

/// What people look at first, then what says why, then the ids. The fields of `rate` stand under
/// their names with `rate_` before them.
pub(crate) const CDR_COLUMNS: [Column; 50] = [
    ("started_at", |cdr| text(&cdr.started_at)),
    ("account_name", |cdr| maybe(cdr.account_name.as_ref())),
    ("site_name", |cdr| maybe(cdr.site_name.as_ref())),
    ("direction", |cdr| text(&cdr.direction)),
    ("cli", |cdr| text(&cdr.cli)),
    ("cld", |cdr| text(&cdr.cld)),
    ("caller", |cdr| maybe(cdr.caller.as_ref())),
    ("destination", |cdr| maybe(cdr.destination.as_ref())),
    ("destination_name", |cdr| maybe(cdr.destination_name.as_ref())),
    ("lrn", |cdr| maybe(cdr.lrn.as_ref())),
    ("jurisdiction", |cdr| maybe(cdr.jurisdiction.as_ref())),
    ("trunk_name", |cdr| maybe(cdr.trunk_name.as_ref())),
    ("trunk_friendly_name", |cdr| maybe(cdr.trunk_friendly_name.as_ref())),
    ("ringing_at", |cdr| maybe(cdr.ringing_at.as_ref())),
    ("answered_at", |cdr| maybe(cdr.answered_at.as_ref())),
    ("ended_at", |cdr| text(&cdr.ended_at)),
    ("talked_s", |cdr| number(cdr.talked_s)),
    ("billed_s", |cdr| number(cdr.billed_s)),
    ("bundle_s", |cdr| number(cdr.bundle_s)),
    ("amount", |cdr| text(&cdr.amount)),
    ("tax", |cdr| text(&cdr.tax)),
    ("currency", |cdr| maybe(cdr.currency.as_ref())),
    ("cause", |cdr| text(&cdr.cause)),
    ("q850", |cdr| number(cdr.q850)),
    ("sip_status", |cdr| number(cdr.sip_status)),
    ("released_by", |cdr| text(&cdr.released_by)),
    ("error_code", |cdr| maybe(cdr.error_code.as_ref())),
    ("post_dial_delay_us", |cdr| maybe_number(cdr.post_dial_delay_us)),
    ("ring_us", |cdr| maybe_number(cdr.ring_us)),
    ("talked_us", |cdr| number(cdr.talked_us)),
    ("rate_prefix", |cdr| maybe(cdr.rate.as_ref().and_then(|rate| rate.prefix.as_ref()))),
    ("rate_price", |cdr| maybe(cdr.rate.as_ref().map(|rate| &rate.price))),
    ("rate_connect_fee", |cdr| maybe(cdr.rate.as_ref().map(|rate| &rate.connect_fee))),
    ("rate_first_increment", |cdr| maybe_number(cdr.rate.as_ref().map(|r| r.first_increment))),
    ("rate_next_increment", |cdr| maybe_number(cdr.rate.as_ref().map(|r| r.next_increment))),
    ("rate_terms", |cdr| maybe(cdr.rate.as_ref().and_then(|rate| rate.terms.as_ref()))),
    ("rate_group", |cdr| maybe_number(cdr.rate.as_ref().map(|rate| rate.group))),
    ("rate_sheet", |cdr| maybe_number(cdr.rate.as_ref().map(|rate| rate.sheet))),
    ("report_currency", |cdr| maybe(cdr.report_currency.as_ref())),
    ("report_rate", |cdr| maybe(cdr.report_rate.as_ref())),
    ("attestation", |cdr| maybe(cdr.attestation.as_ref())),
    ("generation", |cdr| number(cdr.generation)),
    ("call", |cdr| text(&cdr.call)),
    ("leg", |cdr| number(cdr.leg)),
    ("sip_call_id", |cdr| text(&cdr.sip_call_id)),
    ("remote", |cdr| maybe(cdr.remote.as_ref())),
    ("account", |cdr| maybe_number(cdr.account)),
    ("site", |cdr| maybe_number(cdr.site)),
    ("trunk", |cdr| maybe_number(cdr.trunk)),
    ("subscriber", |cdr| maybe_number(cdr.subscriber)),
];

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
