//! Runs the SIPp scenarios: starts a fresh Tandem for each on ports of its own, fills it with the
//! world that all scenarios share, plays the scenario's SIPp scripts, and then looks at the CDRs,
//! the ledger, the live calls and the registrations. With `--target` it plays the scripts against a
//! Tandem that is already running and checks only what SIPp itself can see.

mod check;
pub(crate) mod scenario;
pub(crate) mod tandem;
mod tls;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::postgres::Cluster;
use scenario::{Scenario, Sipp};
use tandem::Tandem;

const USAGE: &str = "\
usage: cargo xtask scenarios [NAME ...] [--binary PATH] [--jobs N] [--keep] [--postgres]
       sipp-scenarios/run NAME [--target HOST:PORT]

  NAME      number, name or part of either; all scenarios if none is given
  --binary  the tandem to test (default: target/release/tandem)
  --jobs    scenarios at a time (default 4: they mostly wait)
  --keep    keep the temporary folders (logs, data) of failed scenarios
  --postgres  with the tables on a private PostgreSQL instead of SQLite
  --target  play against a running Tandem; its accounts must fit the scenario (see README)";

/// SIPp gets this long before a scenario counts as stuck.
const SCENARIO_LIMIT: Duration = Duration::from_secs(45);
const SLOW_SCENARIO_LIMIT: Duration = Duration::from_secs(150);
const PORTS_A_SCENARIO: u16 = 20;
const PORT_FIRST: u16 = 21_000;

struct Options {
    names: Vec<String>,
    binary: PathBuf,
    jobs: usize,
    keep: bool,
    target: Option<String>,
    postgres: Option<Cluster>,
}

/// Runs what `args` ask for; the closing line counts passed and failed.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let options = options(args)?;
    let scenarios = chosen(&options)?;
    let queue: Mutex<VecDeque<(usize, Scenario)>> =
        Mutex::new(scenarios.into_iter().enumerate().collect());
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no job panics while it holds this").pop_front();
                    let Some((slot, scenario)) = next else { return };
                    let started = Instant::now();
                    let outcome = play(&options, slot, &scenario);
                    let seconds = started.elapsed().as_secs_f32();
                    match &outcome {
                        Ok(()) => println!("PASS {:>5.1} s  {}", seconds, scenario.name),
                        Err(why) => println!(
                            "FAIL {:>5.1} s  {} ({})\n{why}",
                            seconds, scenario.name, scenario.verifies
                        ),
                    }
                    let failed = outcome.is_err().then(|| scenario.name.clone());
                    outcomes.lock().expect("no job panics while it holds this").push(failed);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("all jobs have ended");
    let failed: Vec<String> = outcomes.iter().flatten().cloned().collect();
    println!("scenarios: {} passed, {} failed", outcomes.len() - failed.len(), failed.len());
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn options(args: &[&str]) -> Result<Options, String> {
    let default = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_string());
    let mut options = Options {
        names: Vec::new(),
        binary: Path::new(&default).join("release/tandem"),
        jobs: 4,
        keep: false,
        target: None,
        postgres: None,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value\n{USAGE}"));
        match *arg {
            "--binary" => options.binary = PathBuf::from(value()?),
            "--jobs" => {
                options.jobs = value()?.parse().map_err(|_| "--jobs needs a number".to_string())?;
            }
            "--target" => options.target = Some((*value()?).to_string()),
            "--keep" => options.keep = true,
            "--postgres" => options.postgres = Some(Cluster::start()?),
            other if other.starts_with('-') => return Err(format!("unknown {other}\n{USAGE}")),
            name => options.names.push(name.to_string()),
        }
    }
    if options.target.is_none() && !options.binary.is_file() {
        return Err(format!(
            "{} is not there; build it with `cargo build --release -p server` or name one with --binary",
            options.binary.display()
        ));
    }
    Ok(options)
}

fn chosen(options: &Options) -> Result<Vec<Scenario>, String> {
    let all = scenario::read_all(&scenarios_dir())?;
    let wanted = |s: &Scenario| {
        options.names.is_empty() || options.names.iter().any(|n| s.name.contains(n.as_str()))
    };
    let mut chosen: Vec<Scenario> = all.into_iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(format!("no scenario is called {}", options.names.join(" or ")));
    }
    // The slow ones first, so that nobody waits for them at the end.
    chosen.sort_by_key(|s| !s.setup.slow);
    Ok(chosen)
}

pub(crate) fn scenarios_dir() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask lives in the workspace").join("sipp-scenarios")
}

fn play(options: &Options, slot: usize, scenario: &Scenario) -> Result<(), String> {
    let dir = std::env::temp_dir().join(format!("tandem-{}-{slot}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let base = PORT_FIRST + PORTS_A_SCENARIO * (slot as u16 % 1000);
    let outcome = match &options.target {
        Some(target) => play_scripts(scenario, &dir, base, target),
        None => {
            let create = |cluster: &Cluster| cluster.create(&format!("scenario_{slot}"));
            let database = options.postgres.as_ref().map(create).transpose();
            database.and_then(|url| play_fresh(options, scenario, &dir, base, url.as_deref()))
        }
    };
    if outcome.is_ok() || !options.keep {
        let _ = fs::remove_dir_all(&dir);
    } else {
        println!("     kept {}", dir.display());
    }
    outcome
}

fn play_fresh(
    options: &Options,
    scenario: &Scenario,
    dir: &Path,
    base: u16,
    database: Option<&str>,
) -> Result<(), String> {
    let mut tandem = Tandem::start_on(&options.binary, dir, base, database)?;
    tandem.provision(&scenario.setup)?;
    let played = play_scripts(scenario, dir, base, &format!("127.0.0.1:{base}"));
    let checked = played.and_then(|()| check::all(&tandem, scenario));
    tandem.stop()?;
    let checked = checked.and_then(|()| check::stopped(&tandem));
    checked.map_err(|why| format!("{why}\n{}", tandem.log_tail()))
}

fn play_scripts(scenario: &Scenario, dir: &Path, base: u16, target: &str) -> Result<(), String> {
    let mut running: Vec<(&Sipp, Child)> = Vec::new();
    for sipp in scenario.sipp.iter().filter(|s| s.first) {
        let child = start_sipp(scenario, sipp, dir, base, target)?;
        finish(sipp, child, scenario, dir)?;
    }
    let later = || scenario.sipp.iter().filter(|s| !s.first);
    let is_callee = |s: &Sipp| s.scenario.starts_with("uas");
    for sipp in later().filter(|s| is_callee(s)) {
        running.push((sipp, start_sipp(scenario, sipp, dir, base, target)?));
    }
    // The answering sides must be listening before the first INVITE.
    std::thread::sleep(Duration::from_millis(150));
    for sipp in later().filter(|s| !is_callee(s)) {
        running.push((sipp, start_sipp(scenario, sipp, dir, base, target)?));
    }
    running.reverse();
    let mut complaints = Vec::new();
    for (sipp, mut child) in running {
        if sipp.background {
            let _ = child.kill();
            let _ = child.wait();
            continue;
        }
        if let Err(why) = finish(sipp, child, scenario, dir) {
            complaints.push(why);
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}

fn start_sipp(
    scenario: &Scenario,
    sipp: &Sipp,
    dir: &Path,
    base: u16,
    target: &str,
) -> Result<Child, String> {
    let users = dir.join(format!("{}-users.csv", sipp.port));
    fs::write(&users, sipp.users_csv(base)).map_err(|e| format!("{}: {e}", users.display()))?;
    let script = scenarios_dir().join(&scenario.name).join(&sipp.scenario);
    let name = sipp.scenario.trim_end_matches(".xml");
    let errors = dir.join(format!("{name}.errors"));
    let messages = dir.join(format!("{name}.messages"));
    let port = scenario::port(base, &sipp.port);
    if sipp.transport.as_deref() == Some("tls") {
        let listener = format!("127.0.0.1:{}", scenario::port(base, "tls"));
        tls::bridge(scenario::port(base, "spare"), listener)?;
    }
    let mut command = Command::new("sipp");
    command
        .arg(sipp.target_for(target, base))
        .args(["-i", "127.0.0.1", "-nostdin", "-p", &port.to_string()])
        .arg("-sf")
        .arg(script)
        .arg("-inf")
        .arg(users)
        .args(["-s", sipp.service.as_deref().unwrap_or(scenario::CLD)])
        .args(["-m", &sipp.calls.to_string(), "-r", &sipp.rate.to_string()])
        .args(["-t", sipp.transport_flag()])
        .args(["-timeout", &format!("{}s", limit(scenario).as_secs()), "-timeout_error"])
        .args(["-trace_err", "-error_file"])
        .arg(&errors)
        .args(["-trace_msg", "-message_file"])
        .arg(&messages)
        .current_dir(dir);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot start sipp (Debian package sip-tester): {e}"))
}

fn limit(scenario: &Scenario) -> Duration {
    let usual = if scenario.setup.slow { SLOW_SCENARIO_LIMIT } else { SCENARIO_LIMIT };
    scenario.setup.limit_s.map_or(usual, Duration::from_secs)
}

fn finish(sipp: &Sipp, mut child: Child, scenario: &Scenario, dir: &Path) -> Result<(), String> {
    let deadline = Instant::now() + limit(scenario) + Duration::from_secs(5);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("     {} did not end", sipp.scenario));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    if status.success() || sipp.may_fail {
        return Ok(());
    }
    let name = sipp.scenario.trim_end_matches(".xml");
    let errors = fs::read_to_string(dir.join(format!("{name}.errors"))).unwrap_or_default();
    let shown: Vec<&str> = errors.lines().take(30).collect();
    Err(format!("     {} ended with {status}\n{}", sipp.scenario, shown.join("\n")))
}
