//! Twice as many calls as can be carried: nine tenths of what can be are completed, a customer who wants
//! little loses nothing, and every request in a dialog is answered (issue "Overload", S7).
//!
//! Nothing is known of the machine and nothing asserted of it. Tandem has one processor and the callers have the
//! others, so that more callers do not make it slower. What it can carry is measured; then it is offered once
//! and twice as much in turns, and the sums of both are compared: whatever else runs there slows both.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::load::{self, Killed, Options};
use crate::scenarios::scenario::Setup;
use crate::scenarios::tandem::Tandem;

const BASE_PORT: u16 = 20_640;
/// Calls a second that are offered first, and then twice as many each time …
const FIRST_RATE: u32 = 500;
/// … up to this: SIPp must be able to offer twice as many.
const RATE_MOST: u32 = 2_000;
/// If they are carried, Tandem gets less of its processor: this many loops beside it at most.
const BURNERS_MOST: usize = 12;
/// More is offered than can be carried when less than so many in a hundred are completed.
const CARRIED: u64 = 85;
/// One run lasts so long, of which the beginning is not counted: the first calls have not ended.
const RUN_SECONDS: u32 = 6;
const BEGINNING: Duration = Duration::from_millis(1_500);
const TALK_MS: &str = "1000";
/// At twice the capacity so many in a hundred of what is completed at once the capacity.
const COMPLETED_LEAST: u64 = 90;
/// The customer who wants little calls so often a second.
const SMALL_RATE: u32 = 10;
/// Calls of which neither an end nor a 503 came, in a thousand, at most: what SIPp itself loses.
const FAILED_MOST: u64 = 5;
/// Calls may be live for so long after their callers have gone: an answer that is never acknowledged is
/// repeated for 32 s, and only then hung up (RFC 3261, 13.3.1.4); and the tables must have them.
const SETTLED_WITHIN: Duration = Duration::from_secs(64);

/// What came of one run, or of several.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    runs: u64,
    offered: u64,
    /// Ended neither with an answered BYE nor with a 503.
    failed: u64,
    /// Answered and hung up by the caller in the time that is counted.
    completed: u64,
    counted: Duration,
    /// 503s for new work.
    refused: u64,
    /// Calls of the small customer, and those of them that came to an end as they should.
    small: (u64, u64),
}

impl Outcome {
    fn completed_per_second(&self) -> u64 {
        self.completed * 1_000 / u64::try_from(self.counted.as_millis().max(1)).unwrap_or(u64::MAX)
    }

    fn offered_per_second(&self) -> u64 {
        self.offered / u64::from(RUN_SECONDS) / self.runs.max(1)
    }

    fn add(&mut self, other: Outcome) {
        self.runs += other.runs;
        self.offered += other.offered;
        self.failed += other.failed;
        self.completed += other.completed;
        self.counted += other.counted;
        self.refused += other.refused;
        self.small.0 += other.small.0;
        self.small.1 += other.small.1;
    }
}

/// Who calls, and whom they call.
struct Bench<'a> {
    tandem: &'a Tandem,
    dir: &'a Path,
}

/// Overloads so many times.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let options = Options::read(args, "rounds", 3)?;
    options.in_folder("overload", |dir| overload(&options, dir))
}

fn overload(options: &Options, dir: &Path) -> Result<(), String> {
    let (own, others) = processors()?;
    stay_on(&own)?;
    let mut tandem = Tandem::start(&options.binary, dir, BASE_PORT)?;
    stay_on(&others)?;
    tandem.provision(&Setup::default())?;
    tandem.command("topup retail 1000000 --key overload-test")?;
    tandem.command("topup wholesale 1000000 --key overload-small")?;
    let mut carrier = load::sipp(dir, BASE_PORT, "uas.xml", "carrier-a")?;
    let _carrier = Killed(carrier.spawn().map_err(load::no_sipp)?);
    let bench = Bench { tandem: &tandem, dir };
    let mut burners = Burners::default();
    let capacity = bench.capacity(&own, &mut burners)?;
    let (mut once, mut twice) = (Outcome::default(), Outcome::default());
    let mut rate = capacity;
    for _ in 0..options.count.max(1) {
        let outcome = bench.calls(rate)?;
        // Others take of the machine now more, now less.
        let carried = outcome.completed_per_second().max(1);
        once.add(outcome);
        twice.add(bench.calls(u32::try_from(2 * carried).map_err(|error| error.to_string())?)?);
        rate = u32::try_from(carried * 11 / 10).map_err(|error| error.to_string())?;
    }
    let lost = bench
        .count("answered_at IS NOT NULL AND (released_by <> 'caller' OR cause <> 'normal')")?;
    drop(burners);
    tandem.stop()?;
    tandem.command("ledger check")?;
    let (at_once, at_twice) = (once.completed_per_second(), twice.completed_per_second());
    let percent = at_twice * 100 / at_once.max(1);
    println!(
        "overload: {at_once} calls/s completed of {} offered, {at_twice} of {}: {percent} %; {} of \
         {} calls refused, {} failed; the small customer completed {} of {}; {lost} calls lost a request",
        once.offered_per_second(),
        twice.offered_per_second(),
        twice.refused,
        twice.offered,
        twice.failed,
        twice.small.1,
        twice.small.0
    );
    verdict(&twice, percent, lost).map_err(|why| format!("{why}: {twice:?}\n{}", tandem.log_tail()))
}

fn verdict(twice: &Outcome, percent: u64, lost: u64) -> Result<(), String> {
    if twice.refused == 0 {
        return Err("nothing was refused: that was no overload".to_owned());
    }
    if percent < COMPLETED_LEAST {
        return Err(format!("{percent} % of the capacity is too little"));
    }
    if twice.failed * 1_000 > twice.offered * FAILED_MOST || lost > 0 {
        return Err("requests were not answered".to_owned());
    }
    if twice.small.0 != twice.small.1 {
        return Err("the customer who wants little has lost calls to the one who floods".to_owned());
    }
    Ok(())
}

impl Bench<'_> {
    /// Calls a second that are completed when somewhat more are offered than can be.
    fn capacity(&self, own: &CpuSet, burners: &mut Burners) -> Result<u32, String> {
        let mut rate = FIRST_RATE;
        loop {
            let outcome = self.calls(rate)?;
            let completed = outcome.completed_per_second();
            println!(
                "overload: {completed} of {rate} calls/s completed, {} refused",
                outcome.refused
            );
            if completed * 100 < u64::from(rate) * CARRIED {
                return u32::try_from(completed.max(1)).map_err(|error| error.to_string());
            }
            match rate * 2 <= RATE_MOST {
                true => rate *= 2,
                false if burners.threads.len() < BURNERS_MOST => burners.add(own)?,
                false => {
                    return Err(format!("{completed} calls/s: SIPp cannot offer twice as many"));
                }
            }
        }
    }

    /// So many a second of one customer, and a few of another.
    fn calls(&self, rate: u32) -> Result<Outcome, String> {
        let refused_before = self.refused()?;
        let (total, small) = (rate * RUN_SECONDS, SMALL_RATE * RUN_SECONDS);
        let began = SystemTime::now();
        let few = self.caller("uac-direct.xml", "trunk", SMALL_RATE, small)?;
        let many = self.caller("uac-overload.xml", "caller", rate, total)?;
        let ended = ended_of(many, &self.dir.join("caller.csv"))?;
        let small_ended = ended_of(few, &self.dir.join("trunk.csv"))?;
        self.settle()?;
        let run = Duration::from_secs(RUN_SECONDS.into());
        let (from, till) = (micros(began + BEGINNING), micros(began + run));
        let completed = format!(
            "released_by = 'caller' AND cause = 'normal' AND answered_at IS NOT NULL \
             AND ended_at BETWEEN {from} AND {till}"
        );
        Ok(Outcome {
            runs: 1,
            offered: total.into(),
            failed: u64::from(total - ended.min(total)),
            completed: self.count(&completed)?,
            counted: run - BEGINNING,
            refused: self.refused()? - refused_before,
            small: (small.into(), small_ended.into()),
        })
    }

    fn caller(&self, script: &str, port: &str, rate: u32, total: u32) -> Result<Child, String> {
        let mut sipp: Command = load::sipp(self.dir, BASE_PORT, script, port)?;
        sipp.args(["-m", &total.to_string(), "-r", &rate.to_string(), "-d", TALK_MS])
            .args(["-l", &(rate * 20).to_string(), "-fd", "1"])
            .args(["-trace_stat", "-stf", &format!("{port}.csv")])
            .args(["-timeout", &format!("{}s", RUN_SECONDS + 60)])
            .spawn()
            .map_err(load::no_sipp)
    }

    fn count(&self, which: &str) -> Result<u64, String> {
        let sql = format!("SELECT count(*) FROM cdr WHERE leg = 0 AND {which}");
        let rows = load::query(self.dir, &sql)?;
        let count = rows.first().and_then(|count| count.parse().ok());
        count.ok_or_else(|| "no count of CDRs".to_owned())
    }

    /// Waits until no call lives and each that was answered has its CDR. (The journal is never quite at
    /// rest: it beats.)
    fn settle(&self) -> Result<(), String> {
        let deadline = Instant::now() + SETTLED_WITHIN;
        let mut last = None;
        loop {
            let counters = &self.tandem.json("status")?["counters"];
            let counter = |name: &str| counters[name].as_u64();
            let answered = self.count("answered_at IS NOT NULL")?;
            let is_quiet = counter("calls_live") == Some(0)
                && counter("calls_admitted") == Some(0)
                && counter("calls_answered") == Some(answered);
            if is_quiet && last.replace(answered) == Some(answered) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "{answered} CDRs of answered calls, and calls live or not counted: {counters}\n{}",
                    self.tandem.log_tail()
                ));
            }
            // Counters of workers are a second old.
            std::thread::sleep(Duration::from_millis(1_100));
        }
    }

    fn refused(&self) -> Result<u64, String> {
        let status = self.tandem.json("status")?;
        Ok(status["counters"]["overload_refusals"].as_u64().unwrap_or(0))
    }
}

/// How many calls of this caller ended as they should, when all have ended.
fn ended_of(mut caller: Child, statistics: &Path) -> Result<u32, String> {
    caller.wait().map_err(|error| error.to_string())?;
    Ok(load::succeeded_by(statistics))
}

fn micros(at: SystemTime) -> u128 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()
}

/// One for Tandem, and the others; the same if there is one only.
fn processors() -> Result<(CpuSet, CpuSet), String> {
    let all = sched_getaffinity(Pid::from_raw(0)).map_err(|error| error.to_string())?;
    let (mut own, mut others) = (CpuSet::new(), CpuSet::new());
    let mut usable = (0..CpuSet::count()).filter(|cpu| all.is_set(*cpu) == Ok(true));
    let first = usable.next().ok_or("no processor may be used")?;
    own.set(first).map_err(|error| error.to_string())?;
    let mut is_alone = true;
    for cpu in usable {
        others.set(cpu).map_err(|error| error.to_string())?;
        is_alone = false;
    }
    Ok((own, if is_alone { own } else { others }))
}

/// This thread, and whatever it starts from now on.
fn stay_on(processors: &CpuSet) -> Result<(), String> {
    sched_setaffinity(Pid::from_raw(0), processors).map_err(|error| error.to_string())
}

/// Loops that take their part of a processor until this is dropped.
#[derive(Default)]
struct Burners {
    is_over: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Burners {
    fn add(&mut self, processors: &CpuSet) -> Result<(), String> {
        let (is_over, processors) = (Arc::clone(&self.is_over), *processors);
        let burn = move || {
            let stays = stay_on(&processors).is_ok();
            while stays && !is_over.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        };
        let thread = std::thread::Builder::new().spawn(burn).map_err(|error| error.to_string())?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
