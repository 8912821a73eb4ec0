//! Figures for Prometheus. A worker counts in plain integers and hands the growth over once a
//! second, so that counting costs the calls nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use billing::{Currency, LeaseSum, Ledger};
use metrics::{Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use switch::Stats;
use switch::admission::Admission;
use switch::fraud::Fraud;
use switch::guard::Guard;
use switch::health::Health;
use switch::quality::Quality;
use vocabulary::{CallFacts, Party};

use crate::dispatch::Dispatch;
use crate::leases::LeaseDesk;
use crate::net::streams::Streams;
use crate::net::udp::UdpCounts;
use crate::totals::Totals;
use crate::trace::Tap;

/// Bounds of the delay histograms, in seconds: from a good local answer to a ring timeout.
const DELAYS: [f64; 14] =
    [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
/// Bounds of the talk time, in seconds: from a wrong number to a day. Without bounds the exporter
/// would keep quantiles, at several times the cost.
const TALKS: [f64; 10] = [1.0, 6.0, 15.0, 30.0, 60.0, 180.0, 600.0, 1_800.0, 7_200.0, 86_400.0];

/// Makes the recorder of the process. The handle renders what `/metrics` shows.
pub fn install() -> Result<PrometheusHandle, metrics_exporter_prometheus::BuildError> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_delay_seconds".into()), &DELAYS)?
        .set_buckets_for_metric(Matcher::Suffix("_talk_seconds".into()), &TALKS)?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::debug!("metrics were installed before");
    }
    describe();
    Ok(handle)
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("tandem_attempts_total", "Ended calls by cause and by who ended them");
    describe_counter!("tandem_account_events_total", "Low balances, limits, used-up bundles");
    describe_histogram!("tandem_post_dial_delay_seconds", "From INVITE to the first ringing");
    describe_histogram!("tandem_setup_delay_seconds", "From INVITE to the answer");
    describe_histogram!("tandem_talk_seconds", "Talk time of answered calls");
    describe_counter!("tandem_lookups_total", "Questions where a number is served, by outcome");
    describe_counter!("tandem_udp_received_total", "Datagrams received");
    describe_counter!("tandem_udp_sent_total", "Datagrams sent");
    describe_counter!("tandem_icmp_errors_total", "Peers reported unreachable");
    describe_counter!("tandem_udp_banned_total", "Datagrams of banned sources, not read");
    describe_gauge!("tandem_bans", "Networks that are banned");
    describe_gauge!("tandem_fraud_holds", "Accounts whose calls fraud rules block or reduce");
    describe_gauge!("tandem_queue_length", "Inputs that wait for a worker");
    describe_gauge!("tandem_calls_admitted", "Calls that limits count, in any set");
    describe_gauge!("tandem_admission_places_taken", "Sizes of all sets that limits look at");
    describe_gauge!("tandem_trunks", "Trunks that are asked with OPTIONS, by what that found");
    describe_gauge!("tandem_quality_windows", "Trunks and prefixes whose calls are judged");
    describe_gauge!("tandem_quality_windows_not_open", "Those that are left or on trial");
    describe_counter!("tandem_quality_calls_not_watched_total", "Too many windows for these calls");
    describe_gauge!("tandem_journal_lag_bytes", "Journal not yet on disk");
    describe_gauge!("tandem_projection_lag_bytes", "Journal not yet in the database");
    describe_gauge!("tandem_traces_running", "SIP traces that run");
    describe_counter!("tandem_traced_dropped_total", "Messages not looked at by traces and HEP");
    describe_counter!("tandem_hep_sent_total", "Messages sent to Homer");
    describe_counter!("tandem_hep_failed_total", "Messages that could not be sent to Homer");
    describe_gauge!(
        "tandem_tls_certificate_expiry_timestamp_seconds",
        "When the certificate of a TLS listener expires, in seconds since 1970"
    );
    describe_counter!("tandem_tls_reloads_total", "Certificates read again, taken and refused");
    describe_gauge!("tandem_connections", "Open TCP and TLS connections");
    describe_leases();
}

/// Only several nodes on one database have these.
fn describe_leases() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("tandem_lease_questions_total", "Accounts that the database was asked about");
    describe_counter!("tandem_lease_failures_total", "Questions that were not answered");
    describe_histogram!("tandem_lease_answer_delay_seconds", "How long answers took");
    describe_gauge!("tandem_leases_held", "1: what is leased may be spent");
    describe_gauge!("tandem_leases_hold_seconds", "So long it may be, without another answer");
    describe_gauge!("tandem_lease_accounts", "Accounts of which something is leased");
    describe_gauge!("tandem_lease_accounts_short", "Those that had no more when they were asked");
    describe_gauge!("tandem_lease_amount", "What is leased, claimed of it, reserved by calls");
    describe_gauge!("tandem_calls_waiting_for_lease", "Calls that cannot go on before an answer");
}

/// What one shard's ended calls were like, since the last flush.
pub struct Tally {
    ended: BTreeMap<(&'static str, &'static str), u64>,
    // Looked up once: by name, three times a call, they cost more than all the rest here.
    post_dial: Histogram,
    setup: Histogram,
    talk: Histogram,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            ended: BTreeMap::new(),
            post_dial: histogram!("tandem_post_dial_delay_seconds"),
            setup: histogram!("tandem_setup_delay_seconds"),
            talk: histogram!("tandem_talk_seconds"),
        }
    }
}

impl Tally {
    /// Counts a call that has ended, and records its delays.
    pub fn settled(&mut self, facts: &CallFacts) {
        let Some(ingress) = facts.legs.first() else { return };
        let by = match ingress.release.by {
            Party::Caller => "caller",
            Party::Callee => "callee",
            Party::Switch => "switch",
        };
        *self.ended.entry((ingress.release.cause, by)).or_default() += 1;
        if let Some(ringing) = ingress.ringing_at {
            self.post_dial.record(ringing.since(ingress.started_at));
        }
        if let Some(answered) = ingress.answered_at {
            self.setup.record(answered.since(ingress.started_at));
            self.talk.record(ingress.talked);
        }
    }
}

/// What waits at one worker.
pub struct Queues {
    /// Inputs that it has not looked at.
    pub inputs: usize,
    /// With several nodes: calls whose account has too little leased.
    pub for_lease: Option<usize>,
}

/// Hands one worker's counters over.
pub struct WorkerMetrics {
    number: u8,
    worker: String,
    totals: Arc<Totals>,
    due: Duration,
    udp: UdpCounts,
    stats: Stats,
}

/// Those of a shard's figures that go up and down.
const GAUGES: [&str; 5] = [
    "calls_live",
    "calls_talking",
    "upstream_registered",
    "upstream_registering",
    "upstream_failed",
];

impl WorkerMetrics {
    /// For the worker with this number.
    pub fn new(number: u8, totals: Arc<Totals>) -> WorkerMetrics {
        WorkerMetrics {
            number,
            worker: number.to_string(),
            totals,
            due: Duration::ZERO,
            udp: UdpCounts::default(),
            stats: Stats::default(),
        }
    }

    /// True once a second.
    pub fn is_due(&mut self, now: Duration) -> bool {
        let is_due = now >= self.due;
        if is_due {
            self.due = now + Duration::from_secs(1);
        }
        is_due
    }

    /// Publishes what has grown since the last time.
    pub fn flush(&mut self, udp: UdpCounts, stats: &Stats, queues: Queues, tally: &mut Tally) {
        let worker = || self.worker.clone();
        self.totals.set(self.number, *stats);
        let last = std::mem::replace(&mut self.udp, udp);
        for (name, now, before) in [
            ("tandem_udp_received_total", udp.received, last.received),
            ("tandem_udp_sent_total", udp.sent, last.sent),
            ("tandem_udp_receive_batches_total", udp.receive_batches, last.receive_batches),
            ("tandem_udp_send_batches_total", udp.send_batches, last.send_batches),
            ("tandem_icmp_errors_total", udp.icmp_errors, last.icmp_errors),
            ("tandem_udp_dropped_total", udp.dropped, last.dropped),
            ("tandem_udp_banned_total", udp.banned, last.banned),
        ] {
            counter!(name, "worker" => worker()).increment(now - before);
        }
        let last = std::mem::replace(&mut self.stats, *stats);
        for ((name, now), (_, before)) in stats.values().zip(last.values()) {
            if GAUGES.contains(&name) {
                gauge!(format!("tandem_{name}"), "worker" => worker()).set(now as f64);
            } else {
                let grown = now.saturating_sub(before);
                counter!(format!("tandem_{name}_total"), "worker" => worker()).increment(grown);
            }
        }
        gauge!("tandem_queue_length", "worker" => worker()).set(queues.inputs as f64);
        if let Some(calls) = queues.for_lease {
            gauge!("tandem_calls_waiting_for_lease", "worker" => worker()).set(calls as f64);
        }
        for ((cause, by), count) in std::mem::take(&mut tally.ended) {
            counter!("tandem_attempts_total", "cause" => cause, "by" => by).increment(count);
        }
    }
}

/// What the ledger has to tell, counted and in the log.
pub fn publish_events(ledger: &Ledger) {
    while let Some(event) = ledger.poll_event() {
        counter!("tandem_account_events_total", "event" => event.code()).increment(1);
        tracing::info!(account = %event.account(), event = event.code(), "{event}");
    }
    counter!("tandem_account_events_dropped_total").absolute(ledger.events_dropped());
}

/// Lines of the log that its reader was too slow for.
pub fn publish_log(left_out: u64) {
    counter!("tandem_log_lines_left_out_total").absolute(left_out);
}

/// The sets that limits look at; with no call live they must be empty.
pub fn publish_admission(admission: &Admission) {
    gauge!("tandem_calls_admitted").set(admission.live_calls() as f64);
    gauge!("tandem_admission_places_taken").set(admission.places_taken() as f64);
}

/// Who is kept out at this moment.
pub fn publish_bans(guard: &Guard) {
    gauge!("tandem_bans").set(guard.banned() as f64);
}

/// Accounts upon which fraud rules have brought something.
pub fn publish_fraud(fraud: &Fraud) {
    gauge!("tandem_fraud_holds").set(fraud.held() as f64);
}

/// How many trunks are up and down, of those that are asked.
pub fn publish_health(health: &Health) {
    for (state, count) in health.counts() {
        gauge!("tandem_trunks", "health" => state.word()).set(count as f64);
    }
}

/// What is known of the quality of trunks.
pub fn publish_quality(quality: &Quality) {
    let (windows, not_open, unwatched) = quality.counts();
    gauge!("tandem_quality_windows").set(windows as f64);
    gauge!("tandem_quality_windows_not_open").set(not_open as f64);
    counter!("tandem_quality_calls_not_watched_total").absolute(unwatched);
}

/// How this node stands with the database that several share.
pub fn publish_leases(desk: &LeaseDesk) {
    for (name, count) in desk.counters() {
        match name {
            "leases_held" => gauge!("tandem_leases_held").set(count as f64),
            _ => counter!(format!("tandem_{name}_total")).absolute(count),
        }
    }
    gauge!("tandem_leases_hold_seconds").set(desk.holds_for().as_secs_f64());
}

/// What it has leased, by currency.
pub fn publish_lease_sums(sums: &BTreeMap<Currency, LeaseSum>) {
    for (currency, sum) in sums {
        let code = || currency.code().to_owned();
        gauge!("tandem_lease_accounts", "currency" => code()).set(sum.accounts as f64);
        gauge!("tandem_lease_accounts_short", "currency" => code()).set(sum.short as f64);
        let parts = [("leased", sum.leased), ("claimed", sum.claimed), ("reserved", sum.reserved)];
        for (part, amount) in parts {
            let units = amount.0 as f64 / 1e6;
            gauge!("tandem_lease_amount", "currency" => code(), "part" => part).set(units);
        }
    }
}

/// Looked up once.
pub fn lease_answer_delay() -> Histogram {
    histogram!("tandem_lease_answer_delay_seconds")
}

/// What is followed, and what could not be.
pub fn publish_traces(tap: &Tap) {
    let counts = tap.counts();
    gauge!("tandem_traces_running").set(tap.running() as f64);
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    counter!("tandem_traced_dropped_total").absolute(read(&counts.dropped));
    counter!("tandem_hep_sent_total").absolute(read(&counts.exported));
    counter!("tandem_hep_failed_total").absolute(read(&counts.not_exported));
}

/// What belongs to no worker: streams, dispatch, journal and projection.
pub fn publish_shared(
    streams: &Streams,
    dispatch: &Dispatch,
    journal_lag: u64,
    projection_lag: u64,
) {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counts = streams.counts();
    counter!("tandem_connections_accepted_total").absolute(read(&counts.accepted));
    counter!("tandem_connections_opened_total").absolute(read(&counts.opened));
    counter!("tandem_connections_refused_total").absolute(read(&counts.refused));
    counter!("tandem_connections_failed_total").absolute(read(&counts.failed));
    counter!("tandem_connections_expelled_total").absolute(read(&counts.expelled));
    counter!("tandem_stream_received_total").absolute(read(&counts.received));
    counter!("tandem_stream_sent_total").absolute(read(&counts.sent));
    gauge!("tandem_connections").set(streams.open() as f64);
    counter!("tandem_dispatch_refused_total").absolute(read(&dispatch.counts().refused));
    counter!("tandem_dispatch_lost_total").absolute(read(&dispatch.counts().lost));
    gauge!("tandem_journal_lag_bytes").set(journal_lag as f64);
    gauge!("tandem_projection_lag_bytes").set(projection_lag as f64);
}

#[cfg(test)]
mod tests {
    use billing::Money;

    use super::*;

    #[test]
    fn what_is_leased_is_told_by_currency_and_part() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let sum = LeaseSum {
            accounts: 3,
            short: 1,
            leased: Money(2_500_000),
            claimed: Money(1_250_000),
            reserved: Money(10_000),
        };
        let sums = BTreeMap::from([(Currency::EUR, sum), (Currency::USD, LeaseSum::default())]);
        ::metrics::with_local_recorder(&recorder, || publish_lease_sums(&sums));
        let text = handle.render();
        for line in [
            "tandem_lease_accounts{currency=\"EUR\"} 3",
            "tandem_lease_accounts_short{currency=\"EUR\"} 1",
            "tandem_lease_amount{currency=\"EUR\",part=\"leased\"} 2.5",
            "tandem_lease_amount{currency=\"EUR\",part=\"claimed\"} 1.25",
            "tandem_lease_amount{currency=\"EUR\",part=\"reserved\"} 0.01",
            "tandem_lease_amount{currency=\"USD\",part=\"leased\"} 0",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
    }
}
