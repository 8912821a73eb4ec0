//! Twice as many calls as can be carried: nine tenths of what can be must be completed, and every request in
//! a dialog answered. How many can be is measured first, on the same machine with the same callers: so
//! run it where nothing else runs.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::load::{self, Killed, Options};
use crate::scenarios::scenario::Setup;
use crate::scenarios::tandem::Tandem;

const BASE_PORT: u16 = 20_640;
/// Calls a second of the first run; each further one has half as many more.
const FIRST_RATE: u32 = 200;
/// No more are tried: SIPp is at its own end there.
const RATE_MAX: u32 = 6_000;
/// How long one run looks for the capacity.
const MEASURE_SECONDS: u32 = 5;
/// Between the last good rate and the first bad one so often the middle is tried.
const HALVINGS: u32 = 3;
const TALK_MS: &str = "1000";
/// Of the capacity, in a hundred.
const COMPLETED_LEAST: u64 = 90;
/// Calls of which neither an end nor a 503 came, in a thousand, at most: what SIPp itself loses.
const FAILED_MOST: u64 = 5;
/// How long the tables may take to have every call.
const PROJECTION_LIMIT: Duration = Duration::from_secs(30);

/// What came of one run.
#[derive(Debug)]
struct Outcome {
    offered: u64,
    /// Ended neither with an answered BYE nor with a 503.
    failed: u64,
    /// Answered and hung up by the caller.
    completed: u64,
    /// 503s for new work.
    refused: u64,
}

/// Overloads for as long as asked for.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let options = Options::read(args, "seconds", 20)?;
    options.in_folder("overload", |dir| overload(&options, dir))
}

fn overload(options: &Options, dir: &Path) -> Result<(), String> {
    let mut tandem = Tandem::start(&options.binary, dir, BASE_PORT)?;
    tandem.provision(&Setup::default())?;
    tandem.command("topup retail 1000000 --key overload-test")?;
    let mut carrier = load::sipp(dir, BASE_PORT, "uas.xml", "carrier-a")?;
    let _carrier = Killed(carrier.spawn().map_err(load::no_sipp)?);
    let capacity = capacity(&tandem, dir)?;
    let offered = 2 * capacity;
    println!("overload: {capacity} calls/s are carried without a refusal; now {offered} calls/s");
    let outcome = calls(&tandem, dir, offered, options.count)?;
    let lost = answered_but_not_hung_up(dir)?;
    tandem.stop()?;
    tandem.command("ledger check")?;
    let per_second = outcome.completed / u64::from(options.count);
    let percent = per_second * 100 / u64::from(capacity);
    println!(
        "overload: {} calls in {} s, {} completed ({per_second}/s, {percent} % of the capacity), {} times \
         503, {} failed; {lost} calls ended otherwise than by the caller's BYE",
        outcome.offered, options.count, outcome.completed, outcome.refused, outcome.failed
    );
    if percent < COMPLETED_LEAST {
        return Err(format!("{percent} % of the capacity is too little\n{}", tandem.log_tail()));
    }
    if outcome.failed * 1_000 > outcome.offered * FAILED_MOST || lost > 0 {
        return Err(format!("requests were not answered: {outcome:?}\n{}", tandem.log_tail()));
    }
    Ok(())
}

/// Calls a second at which nothing is refused.
fn capacity(tandem: &Tandem, dir: &Path) -> Result<u32, String> {
    let (mut good, mut bad) = (0, None);
    let mut rate = FIRST_RATE;
    let mut halvings = 0;
    while halvings < HALVINGS && rate <= RATE_MAX {
        let outcome = calls(tandem, dir, rate, MEASURE_SECONDS)?;
        println!("overload: at {rate} calls/s: {outcome:?}");
        match outcome.refused == 0 && outcome.failed == 0 {
            true => good = rate,
            false => bad = Some(rate),
        }
        rate = match bad {
            None => rate + rate / 2,
            Some(bad) => {
                halvings += 1;
                good + (bad - good) / 2
            }
        };
    }
    if good > 0 { Ok(good) } else { Err(format!("not even {FIRST_RATE} calls/s are carried")) }
}

fn calls(tandem: &Tandem, dir: &Path, rate: u32, seconds: u32) -> Result<Outcome, String> {
    let (before, refused_before) = (completed(dir)?, refused(tandem)?);
    let total = rate * seconds;
    load::sipp(dir, BASE_PORT, "uac-overload.xml", "caller")?
        .args(["-m", &total.to_string(), "-r", &rate.to_string(), "-rp", "1000", "-d", TALK_MS])
        .args(["-l", &(rate * 20).to_string(), "-trace_stat", "-stf", "stat.csv", "-fd", "1"])
        .args(["-timeout", &format!("{}s", seconds + 60)])
        .status()
        .map_err(load::no_sipp)?;
    let ended = load::succeeded(dir);
    let completed = settled(tandem, dir)? - before;
    Ok(Outcome {
        offered: total.into(),
        failed: u64::from(total - ended.min(total)),
        completed,
        refused: refused(tandem)? - refused_before,
    })
}

/// Calls that were answered and that the caller has hung up, by their CDRs.
fn completed(dir: &Path) -> Result<u64, String> {
    count(dir, "answered_at IS NOT NULL AND released_by = 'caller' AND cause = 'normal'")
}

/// Those that ended otherwise: a request in their dialog was lost.
fn answered_but_not_hung_up(dir: &Path) -> Result<u64, String> {
    count(dir, "answered_at IS NOT NULL AND (released_by <> 'caller' OR cause <> 'normal')")
}

fn count(dir: &Path, which: &str) -> Result<u64, String> {
    let rows = load::query(dir, &format!("SELECT count(*) FROM cdr WHERE leg = 0 AND {which}"))?;
    rows.first().and_then(|count| count.parse().ok()).ok_or_else(|| "no count of CDRs".to_owned())
}

/// The number of completed calls when no call lives and the tables have all of them.
fn settled(tandem: &Tandem, dir: &Path) -> Result<u64, String> {
    let deadline = Instant::now() + PROJECTION_LIMIT;
    let mut last = None;
    while Instant::now() < deadline {
        let counters = &tandem.json("status")?["counters"];
        let is_quiet = ["calls_live", "journal_lag_bytes", "projection_lag_bytes"]
            .iter()
            .all(|name| counters[*name].as_u64() == Some(0));
        let count = completed(dir)?;
        if is_quiet && last.replace(count) == Some(count) {
            return Ok(count);
        }
        // Counters of workers are a second old.
        std::thread::sleep(Duration::from_millis(1_100));
    }
    Err(format!("calls are live without a caller\n{}", tandem.log_tail()))
}

fn refused(tandem: &Tandem) -> Result<u64, String> {
    let status = tandem.json("status")?;
    Ok(status["counters"]["overload_refusals"].as_u64().unwrap_or(0))
}
