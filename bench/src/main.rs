//! The load bench of DESIGN section 9: one call is REGISTER-less digest INVITE (407, again with
//! credentials), 180, 200, ACK, 100 ms of talk, BYE, over UDP on both legs, with rating,
//! reservation, journal and CDR. Figures are given beside Kamailio's from the same run, because the
//! machines it runs on are shared and noisy.

mod delay;
mod everything;
mod process;
mod registrations;
mod servers;
mod sipp;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::Server;
use crate::servers::Features;
use crate::sipp::{Outcome, Run, Uas};

const USAGE: &str = "\
usage: bench/load [--registrations | --everything] [--with-kamailio] [--json] [--quick]

  --registrations  measure REGISTER with digest instead of calls
  --everything     calls that pass every rule: five carriers, a reseller, free minutes, number rules, ...
  --with-kamailio  measure Kamailio from Debian (digest + dialog + accounting) in the same run
  --json           print only the JSON line
  --quick          shorter phases and a coarser search; for checking that the bench works";

const TALK: Duration = Duration::from_millis(100);

struct Options {
    with_kamailio: bool,
    json_only: bool,
    registrations: bool,
    features: Features,
    quick: bool,
}

/// One server's figures.
struct Figures {
    /// Highest rate that ended without a failure or a retransmission.
    clean_cps: u32,
    /// CPU seconds per 1,000 calls at that rate.
    cpu_at_saturation: f64,
    /// The same at 200 calls/s, where waking up dominates.
    cpu_at_200: f64,
    failed: u64,
    retransmissions: u64,
    /// At half the clean rate, SIPp's own share in it.
    pdd_ms_p99: f64,
    /// The same between SIPp and SIPp at that rate: what the generator itself needs.
    pdd_ms_p99_direct: f64,
    /// What the server adds, at half the clean rate, from packet stamps; `None` without dumpcap.
    pdd_added_ms_p99: Option<f64>,
    bytes_per_held_call: f64,
    generator_is_limit: bool,
}

fn main() {
    let mut options = Options {
        with_kamailio: false,
        json_only: false,
        registrations: false,
        features: Features::Few,
        quick: false,
    };
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--with-kamailio" => options.with_kamailio = true,
            "--registrations" => options.registrations = true,
            "--everything" => options.features = Features::All,
            "--json" => options.json_only = true,
            "--quick" => options.quick = true,
            _ => {
                eprintln!("{USAGE}");
                std::process::exit(2);
            }
        }
    }
    match bench(&options) {
        Ok(line) => println!("{line}"),
        Err(message) => {
            eprintln!("bench/load: {message}");
            std::process::exit(1);
        }
    }
}

fn bench(options: &Options) -> Result<Value, String> {
    let dir = std::env::temp_dir().join(format!("tandem-load-{}", std::process::id()));
    std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let outcome = if options.registrations {
        registrations::measured(options, &dir)
    } else {
        measured(options, &dir)
    };
    let _ = std::fs::remove_dir_all(&dir);
    outcome
}

fn measured(options: &Options, dir: &Path) -> Result<Value, String> {
    let _uas = Uas::start(dir)?;
    let ceiling = generator_ceiling(options, dir)?;
    report(options, &format!("SIPp against itself: {ceiling} calls/s without a retransmission"));

    let mut servers =
        vec![("Tandem", servers::tandem(dir, options.features)?, servers::TANDEM_PORT)];
    if options.with_kamailio {
        servers.push(("Kamailio", servers::kamailio()?, servers::KAMAILIO_PORT));
    }
    // Warm-up: page in code, grow tables, fill caches.
    for (_, _, port) in &servers {
        sipp::call(dir, *port, &Run { calls: 500, rate: 250, talk: TALK })?;
    }
    let at_200 = at_200(options, dir, &servers)?;
    let mut all = Vec::new();
    for ((name, server, port), cpu_at_200) in servers.iter().zip(at_200) {
        let figures = Figures { cpu_at_200, ..figures(options, dir, server, *port, ceiling)? };
        tell(options, name, &figures);
        all.push(figures);
    }
    Ok(as_json(&all[0], all.get(1), ceiling))
}

/// CPU seconds per 1,000 calls at 200 calls/s, where waking up is most of it and everything else on
/// the machine has its say. The servers take turns, and the median of each one's turns counts.
fn at_200(
    options: &Options,
    dir: &Path,
    servers: &[(&str, Server, u16)],
) -> Result<Vec<f64>, String> {
    let (turns, seconds) = if options.quick { (3, 3) } else { (5, 6) };
    let mut measured = vec![Vec::new(); servers.len()];
    for _ in 0..turns {
        for ((_, server, port), all) in servers.iter().zip(&mut measured) {
            all.push(phase(dir, server, *port, 200, seconds)?.1);
        }
    }
    let median = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Ok(measured.into_iter().map(median).collect())
}

fn as_json(ours: &Figures, kamailio: Option<&Figures>, ceiling: u32) -> Value {
    let theirs = |value: fn(&Figures) -> f64| kamailio.map(|k| round(value(k)));
    json!({
        "cps": ours.clean_cps,
        "cpu_s_per_1000": round(ours.cpu_at_saturation),
        "cpu_s_per_1000_at_200": round(ours.cpu_at_200),
        "failed": ours.failed,
        "retransmissions": ours.retransmissions,
        "pdd_ms_p99": round(ours.pdd_ms_p99),
        "pdd_ms_p99_direct": round(ours.pdd_ms_p99_direct),
        "pdd_added_ms_p99": ours.pdd_added_ms_p99.map(round),
        "kamailio_pdd_added_ms_p99": kamailio.and_then(|k| k.pdd_added_ms_p99).map(round),
        "kamailio_pdd_ms_p99": theirs(|k| k.pdd_ms_p99),
        "bytes_per_held_call": ours.bytes_per_held_call.round(),
        "generator_cps": ceiling,
        "generator_is_limit": ours.generator_is_limit,
        "kamailio_cps": kamailio.map(|k| k.clean_cps),
        "kamailio_cpu_s_per_1000": theirs(|k| k.cpu_at_200),
        "kamailio_cpu_s_per_1000_at_saturation": theirs(|k| k.cpu_at_saturation),
        "kamailio_bytes_per_held_call": theirs(|k| k.bytes_per_held_call),
        "ratio": kamailio.map(|k| round(ours.cpu_at_200 / k.cpu_at_200)),
        "ratio_cps": kamailio.map(|k| round(f64::from(ours.clean_cps) / f64::from(k.clean_cps))),
    })
}

/// All phases against one server but the one at 200 calls/s.
fn figures(
    options: &Options,
    dir: &Path,
    server: &Server,
    port: u16,
    ceiling: u32,
) -> Result<Figures, String> {
    let bytes_per_held_call = held_call_bytes(options, dir, server, port)?;

    let seconds = if options.quick { 4 } else { 15 };
    let (clean_cps, at_best, cpu_at_saturation) =
        saturate(options, ceiling, |rate, seconds| phase(dir, server, port, rate, seconds))?;
    let rate = (clean_cps / 2).max(1);
    let capture = delay::Capture::start(dir, port);
    let (half, _) = phase(dir, server, port, rate, seconds)?;
    let pdd_added_ms_p99 = capture.and_then(delay::Capture::finish);
    let direct = sipp::direct(dir, &Run { calls: rate * seconds, rate, talk: TALK })?;
    Ok(Figures {
        clean_cps,
        cpu_at_saturation,
        cpu_at_200: 0.0,
        failed: at_best.failed,
        retransmissions: at_best.retransmissions,
        pdd_ms_p99: half.pdd_ms_p99,
        pdd_ms_p99_direct: direct.pdd_ms_p99,
        pdd_added_ms_p99,
        bytes_per_held_call,
        generator_is_limit: f64::from(clean_cps) >= f64::from(ceiling) * 0.9,
    })
}

/// `rate` calls a second for `seconds`; the outcome and CPU seconds per 1,000 calls.
fn phase(
    dir: &Path,
    server: &Server,
    port: u16,
    rate: u32,
    seconds: u32,
) -> Result<(Outcome, f64), String> {
    let before = server.cpu_seconds();
    let outcome = sipp::call(dir, port, &Run { calls: rate * seconds, rate, talk: TALK })?;
    let cpu = server.cpu_seconds() - before;
    Ok((outcome, cpu * 1000.0 / (outcome.succeeded.max(1) as f64)))
}

fn is_clean(outcome: &Outcome) -> bool {
    outcome.failed == 0 && outcome.retransmissions == 0
}

/// Doubles the rate until it is no longer clean, then halves the gap.
fn saturate(
    options: &Options,
    ceiling: u32,
    phase: impl Fn(u32, u32) -> Result<(Outcome, f64), String>,
) -> Result<(u32, Outcome, f64), String> {
    let seconds = if options.quick { 3 } else { 8 };
    let step_min = if options.quick { 800 } else { 200 };
    let mut best = (0, Outcome::default(), 0.0);
    let (mut low, mut rate, mut high) = (0, 1000, None);
    loop {
        let (outcome, cpu) = phase(rate, seconds)?;
        // One noisy moment of the machine is no verdict: a rate gets two tries.
        let (outcome, cpu) =
            if is_clean(&outcome) { (outcome, cpu) } else { phase(rate, seconds)? };
        if is_clean(&outcome) {
            low = rate;
            best = (rate, outcome, cpu);
        } else {
            high = Some(rate);
        }
        rate = match high {
            None => rate * 2,
            Some(high) if high - low <= step_min => return Ok(best),
            Some(high) => low + (high - low) / 2,
        };
        if low >= ceiling {
            return Ok(best);
        }
    }
}

/// What SIPp can do without anybody between its two ends.
fn generator_ceiling(options: &Options, dir: &Path) -> Result<u32, String> {
    let seconds = if options.quick { 2 } else { 4 };
    let mut best = 0;
    for rate in [2000, 4000, 6000, 8000, 10000, 12000, 16000] {
        let run = Run { calls: rate * seconds, rate, talk: TALK };
        // Two tries, as in the search.
        if !is_clean(&sipp::direct(dir, &run)?) && !is_clean(&sipp::direct(dir, &run)?) {
            break;
        }
        best = rate;
    }
    Ok(best)
}

/// Resident memory that one more answered call costs, from two counts of held calls, so that what
/// the server allocated for itself cancels out.
fn held_call_bytes(
    options: &Options,
    dir: &Path,
    server: &Server,
    port: u16,
) -> Result<f64, String> {
    let held: u32 = if options.quick { 2_000 } else { 10_000 };
    let rate = 500;
    let ramp = Duration::from_secs(u64::from(held / rate));
    let before = server.resident_bytes();
    let run = Run { calls: held, rate, talk: ramp + Duration::from_secs(6) };
    let caller = sipp::start(dir, port, &run)?;
    std::thread::sleep(ramp + Duration::from_secs(3));
    let during = server.resident_bytes();
    let outcome = caller.finish()?;
    if outcome.failed > u64::from(held) / 100 {
        return Err(format!("{} of {held} held calls failed", outcome.failed));
    }
    Ok((during.saturating_sub(before)) as f64 / f64::from(held))
}

fn tell(options: &Options, name: &str, figures: &Figures) {
    report(
        options,
        &format!(
            "{name}: {} clean calls/s; CPU s per 1,000 calls {:.3} there, {:.3} at 200/s; \
             PDD p99 {:.1} ms at half load (SIPp alone {:.1}), {} of it added; \
             {:.0} bytes a held call",
            figures.clean_cps,
            figures.cpu_at_saturation,
            figures.cpu_at_200,
            figures.pdd_ms_p99,
            figures.pdd_ms_p99_direct,
            figures.pdd_added_ms_p99.map_or("unknown".to_owned(), |ms| format!("{ms:.1} ms")),
            figures.bytes_per_held_call
        ),
    );
}

fn report(options: &Options, line: &str) {
    if !options.json_only {
        println!("{line}");
    }
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Where the binaries of this build are.
pub(crate) fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.parent().unwrap_or(Path::new(".")).join(name)
}
