//! The bench of registrations: REGISTER, 401, REGISTER with credentials, 200, over UDP, by many
//! subscribers. Tandem has each binding in its journal, on disk, before the 200 leaves. Beside it, in
//! the same run: SIPp against itself, and Kamailio with the same digest and its bindings in memory.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::Server;
use crate::servers::Features;
use crate::sipp::{self, Outcome, Run, Uas};
use crate::{Options, is_clean, report, round, saturate, servers};

/// One registrar's figures.
struct Figures {
    /// Highest rate that ended without a failure or a retransmission.
    clean_per_s: u32,
    /// CPU seconds per 1,000 registrations at that rate.
    cpu: f64,
    outcome: Outcome,
}

/// Runs it and gives the JSON line.
pub(crate) fn measured(options: &Options, dir: &Path) -> Result<Value, String> {
    let ceiling = generator_ceiling(options, dir)?;
    let line = format!("SIPp against itself: {ceiling} registrations/s without a retransmission");
    report(options, &line);
    let tandem = servers::tandem(dir, Features::Few)?;
    servers::add_subscribers(dir, &sipp::registrants())?;
    let ours = figures(options, dir, &tandem, servers::TANDEM_PORT, ceiling)?;
    tell(options, "Tandem", &ours);
    drop(tandem);
    let mut theirs = None;
    if options.with_kamailio {
        let kamailio = servers::kamailio_registrar()?;
        let figures = figures(options, dir, &kamailio, servers::REGISTRAR_PORT, ceiling)?;
        tell(options, "Kamailio", &figures);
        theirs = Some(figures);
    }
    Ok(as_json(&ours, theirs.as_ref(), ceiling))
}

fn as_json(ours: &Figures, kamailio: Option<&Figures>, ceiling: u32) -> Value {
    let to = |theirs: u32| round(f64::from(ours.clean_per_s) / f64::from(theirs.max(1)));
    json!({
        "registrations_per_s": ours.clean_per_s,
        "cpu_s_per_1000": round(ours.cpu),
        "failed": ours.outcome.failed,
        "retransmissions": ours.outcome.retransmissions,
        "generator_per_s": ceiling,
        "ratio_generator": to(ceiling),
        "generator_is_limit": f64::from(ours.clean_per_s) >= f64::from(ceiling) * 0.9,
        "kamailio_registrations_per_s": kamailio.map(|k| k.clean_per_s),
        "kamailio_cpu_s_per_1000": kamailio.map(|k| round(k.cpu)),
        "ratio_cps": kamailio.map(|k| to(k.clean_per_s)),
        "ratio": kamailio.map(|k| round(ours.cpu / k.cpu)),
    })
}

fn figures(
    options: &Options,
    dir: &Path,
    server: &Server,
    port: u16,
    ceiling: u32,
) -> Result<Figures, String> {
    // Warm-up: every subscriber has a binding afterwards.
    phase(dir, server, port, 250, 4)?;
    let (clean_per_s, outcome, cpu) =
        saturate(options, ceiling, |rate, seconds| phase(dir, server, port, rate, seconds))?;
    Ok(Figures { clean_per_s, cpu, outcome })
}

/// `rate` registrations a second for `seconds`; the outcome and CPU seconds per 1,000.
fn phase(
    dir: &Path,
    server: &Server,
    port: u16,
    rate: u32,
    seconds: u32,
) -> Result<(Outcome, f64), String> {
    let before = server.cpu_seconds();
    let outcome = sipp::register(dir, port, &run(rate, seconds))?;
    let cpu = server.cpu_seconds() - before;
    Ok((outcome, cpu * 1000.0 / (outcome.succeeded.max(1) as f64)))
}

fn run(rate: u32, seconds: u32) -> Run {
    Run { calls: rate * seconds, rate, talk: Duration::ZERO }
}

/// What SIPp can do without anybody between its two ends.
fn generator_ceiling(options: &Options, dir: &Path) -> Result<u32, String> {
    let _registrar = Uas::registrar(dir)?;
    let seconds = if options.quick { 2 } else { 4 };
    let mut best = 0;
    for rate in [2000, 4000, 6000, 8000, 10000, 12000, 16000] {
        let attempt = || sipp::register(dir, sipp::UAS_PORT, &run(rate, seconds));
        if !is_clean(&attempt()?) && !is_clean(&attempt()?) {
            break;
        }
        best = rate;
    }
    Ok(best)
}

fn tell(options: &Options, name: &str, figures: &Figures) {
    let Figures { clean_per_s, cpu, .. } = figures;
    report(
        options,
        &format!("{name}: {clean_per_s} clean registrations/s; CPU s per 1,000 there {cpu:.3}"),
    );
}
