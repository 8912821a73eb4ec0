//! PostgreSQL taken away while calls run: half of the time stopped as by a crash, half of it hanging,
//! so that connections neither answer nor break. No call may be refused for it; what needs SQL says so
//! within seconds; and when it is back every call has its CDRs and the books are in order (B7).

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::{self, Killed, Options};
use crate::postgres::Cluster;
use crate::scenarios::scenario::Setup;
use crate::scenarios::tandem::Tandem;

const BASE_PORT: u16 = 20_700;
const RATE: u32 = 500;
/// Calls run so long before, between and after.
const CALM: Duration = Duration::from_secs(2);
/// How long the tables may take to catch up: as long as the outage, and this.
const CATCH_UP: Duration = Duration::from_secs(30);
/// An answer that the database is away must come within this.
const REFUSAL_MAX: Duration = Duration::from_secs(10);
/// The ordinary calls talk this long.
const TALK_MS: u32 = 700;

/// `[SECONDS] [--rate CPS] [--binary PATH] [--keep]`.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let mut rate = RATE;
    let mut rest = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if *arg == "--rate" {
            let text = args.next().ok_or("--rate needs a number of calls a second")?;
            rate = text.parse().map_err(|_| format!("--rate {text} is no number"))?;
        } else {
            rest.push(*arg);
        }
    }
    let options = Options::read(&rest, "seconds", 10)?;
    options.in_folder("outage", |dir| outage(&options, dir, rate))
}

fn outage(options: &Options, dir: &Path, rate: u32) -> Result<(), String> {
    let mut cluster = Cluster::start()?;
    let database = cluster.create("outage")?;
    let mut tandem = Tandem::start_on(&options.binary, dir, BASE_PORT, Some(&database))?;
    tandem.provision(&Setup::default())?;
    tandem.command("topup retail 1000000 --key outage-test")?;
    let mut carrier = load::sipp(dir, BASE_PORT, "uas.xml", "carrier-a")?;
    let _carrier = Killed(carrier.spawn().map_err(load::no_sipp)?);
    let half = Duration::from_secs(u64::from(options.count)) / 2;
    let seconds = u64::from(options.count) + 3 * CALM.as_secs() + 1;
    let calls = rate * u32::try_from(seconds).map_err(|_| "so long nobody waits")?;
    let mut caller = Killed(caller(dir, calls, rate)?);

    std::thread::sleep(CALM);
    cluster.stop_server();
    let begin = Instant::now();
    let refused_in = sql_is_refused(&tandem)?;
    std::thread::sleep(half.saturating_sub(begin.elapsed()));
    let lag = counter(&tandem, "projection_lag_bytes")?;
    cluster.start_server()?;
    std::thread::sleep(CALM);
    cluster.hang(true);
    let begin = Instant::now();
    let hung = sql_is_refused(&tandem);
    std::thread::sleep(half.saturating_sub(begin.elapsed()));
    cluster.hang(false);
    let hung_in = hung?;

    caller.0.wait().map_err(|error| error.to_string())?;
    let succeeded = load::succeeded(dir);
    let back = Instant::now();
    let answered = all_there(&cluster, succeeded, back + half * 2 + CATCH_UP)?;
    let caught_up = back.elapsed();
    println!(
        "outage: {calls} calls at {rate}/s, {succeeded} succeeded, {answered} have their CDRs; SQL refused \
         in {} ms stopped and {} ms hanging; journal {} KiB ahead; caught up {} ms after the last call",
        refused_in.as_millis(),
        hung_in.as_millis(),
        lag / 1024,
        caught_up.as_millis()
    );
    tandem.command("ledger check")?;
    tandem.stop()?;
    tandem.command("ledger check")?;
    if succeeded != calls {
        return Err(format!("{} calls were lost\n{}", calls - succeeded, tandem.log_tail()));
    }
    if answered != u64::from(calls) {
        return Err(format!("{answered} CDRs for {calls} calls\n{}", tandem.log_tail()));
    }
    if lag == 0 {
        return Err("the journal did not grow while the database was away".to_owned());
    }
    Ok(())
}

fn caller(dir: &Path, calls: u32, rate: u32) -> Result<Child, String> {
    load::sipp(dir, BASE_PORT, "uac.xml", "caller")?
        .args(["-m", &calls.to_string(), "-r", &rate.to_string(), "-d", &TALK_MS.to_string()])
        .args(["-trace_stat", "-stf", "stat.csv", "-fd", "1", "-trace_err"])
        .args(["-error_file", "caller.errors"])
        .spawn()
        .map_err(load::no_sipp)
}

/// A question that needs the tables is refused with a sentence, and not too late.
fn sql_is_refused(tandem: &Tandem) -> Result<Duration, String> {
    let asked = Instant::now();
    match tandem.command("cdr") {
        Ok(_) => Err("CDRs were listed without a database".to_owned()),
        Err(why) if !why.contains("the database cannot be reached") => {
            Err(format!("the refusal does not say why: {why}"))
        }
        Err(_) if asked.elapsed() > REFUSAL_MAX => {
            Err(format!("the refusal took {} s", asked.elapsed().as_secs()))
        }
        Err(_) => Ok(asked.elapsed()),
    }
}

fn counter(tandem: &Tandem, name: &str) -> Result<u64, String> {
    let status = tandem.json("status")?;
    let find = |value: &Value| value[name].as_u64();
    find(&status["counters"]).ok_or_else(|| format!("`tandem status` has no {name}: {status}"))
}

/// The number of answered calls in the tables, once it is `calls` or the deadline is there.
fn all_there(cluster: &Cluster, calls: u32, deadline: Instant) -> Result<u64, String> {
    let sql = "SELECT count(*) FROM cdr WHERE leg = 0 AND answered_at IS NOT NULL";
    loop {
        let count = cluster.psql("outage", sql)?;
        let count = count.parse().map_err(|_| format!("psql said {count:?}"))?;
        if count >= u64::from(calls) || Instant::now() > deadline {
            return Ok(count);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
