//! Runs the SIPp scenarios: starts a fresh Tandem for each on ports of its own, fills it with the
//! world that all scenarios share, plays the scenario's scripts, and then looks at the CDRs, the
//! ledger, the live calls, the admission sets and the registrations. With `--target` it plays the
//! scripts against a Tandem that is already running and checks only what SIPp itself can see.

pub(crate) mod check;
mod homer;
mod money;
mod phone;
mod play;
mod readme;
pub(crate) mod scenario;
pub(crate) mod stage;
mod stir;
pub(crate) mod tandem;
mod tls;
mod web;
mod world;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use crate::postgres::Cluster;
use homer::Homer;
use scenario::Scenario;
use stage::{Stage, Wanted};
use tandem::Tandem;
use web::Web;
use world::World;

const USAGE: &str = "\
usage: cargo xtask scenarios [NAME ...] [--binary PATH] [--jobs N] [--keep] [--postgres]
       sipp-scenarios/run NAME ... --target HOST:PORT [STAGE]
       sipp-scenarios/world [NAME] --target HOST:PORT [STAGE]
       cargo xtask scenarios --readme

  NAME        number, beginning or part of the name; all scenarios if none is given
  --binary    the tandem to test (default: target/release/tandem)
  --jobs      scenarios at a time (default 4: they mostly wait)
  --keep      keep the temporary folders (logs, data) of failed scenarios
  --postgres  with the tables on a private PostgreSQL instead of SQLite
  --target    play against a running Tandem, which needs the world of the scenarios
  --world     print the shell script that makes this world, and what NAME changes in it
  --readme    write the part of sipp-scenarios/README.md that is made from the scenarios

STAGE:
  --tls HOST:PORT     the target's TLS listener (default: port 5061)
  --local ADDRESS     play from here (default: where the route to the target leaves)
  --ports FIRST       the first of twenty ports to play from (default 21000)
  --called NUMBER     what is dialled (default 442079460000)
  --phone 1001=USERNAME:PASSWORD
                      who a phone of the world is there; may be repeated
  --stage FILE        all of these in TOML (sipp-scenarios/README.md)";

const PORTS_A_SCENARIO: u16 = 20;

struct Options {
    names: Vec<String>,
    binary: PathBuf,
    jobs: usize,
    keep: bool,
    stage: Wanted,
    is_world: bool,
    postgres: Option<Cluster>,
}

/// Runs what `args` ask for; the closing line counts passed and failed.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    if args == ["--readme"] {
        return readme::write();
    }
    let options = options(args)?;
    if options.is_world {
        return print_world(&options);
    }
    let scenarios = chosen(&options)?;
    if options.stage.target.is_some() {
        println!("{}", stage::needs(&options.stage.set()?));
    }
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
        stage: Wanted::default(),
        is_world: false,
        postgres: None,
    };
    let mut args = args.iter().copied();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value\n{USAGE}"));
        if options.stage.take(arg, &mut value)? {
            continue;
        }
        match arg {
            "--binary" => options.binary = PathBuf::from(value()?),
            "--jobs" => {
                options.jobs = value()?.parse().map_err(|_| "--jobs needs a number".to_string())?;
            }
            "--world" => options.is_world = true,
            "--keep" => options.keep = true,
            "--postgres" => options.postgres = Some(Cluster::start()?),
            other if other.starts_with('-') => return Err(format!("unknown {other}\n{USAGE}")),
            name => options.names.push(name.to_string()),
        }
    }
    if options.stage.target.is_some() {
        // They share the carriers' ports.
        options.jobs = 1;
    } else if !options.is_world && !options.binary.is_file() {
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
        options.names.is_empty() || options.names.iter().any(|name| is_called(&s.name, name))
    };
    let mut chosen: Vec<Scenario> = all.into_iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(format!("no scenario is called {}", options.names.join(" or ")));
    }
    // The slow ones first, so that nobody waits for them at the end.
    chosen.sort_by_key(|s| !s.setup.slow);
    Ok(chosen)
}

/// A number is a whole number, and what begins with one a beginning: 10 is not 110.
fn is_called(scenario: &str, name: &str) -> bool {
    if name.bytes().all(|b| b.is_ascii_digit()) {
        return scenario.split('.').next() == Some(name);
    }
    let is_beginning = name.starts_with(|c: char| c.is_ascii_digit());
    if is_beginning { scenario.starts_with(name) } else { scenario.contains(name) }
}

pub(crate) fn scenarios_dir() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask lives in the workspace").join("sipp-scenarios")
}

fn print_world(options: &Options) -> Result<(), String> {
    let scenarios = if options.names.is_empty() { Vec::new() } else { chosen(options)? };
    if scenarios.len() > 1 {
        return Err("--world takes one scenario: each changes the world in its own way".into());
    }
    let world = World::read(&scenarios_dir())?;
    print!("{}", world.script(&options.stage.set()?, scenarios.first()));
    Ok(())
}

fn play(options: &Options, slot: usize, scenario: &Scenario) -> Result<(), String> {
    let dir = std::env::temp_dir().join(format!("tandem-{}-{slot}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let outcome = if options.stage.target.is_some() {
        options.stage.set().and_then(|stage| play::scripts(scenario, &dir, &stage, &|| Ok(())))
    } else {
        let base = stage::PORT_FIRST + PORTS_A_SCENARIO * (slot as u16 % 1000);
        let create = |cluster: &Cluster| cluster.create(&format!("scenario_{slot}"));
        let database = options.postgres.as_ref().map(create).transpose();
        database.and_then(|url| play_fresh(options, scenario, &dir, base, url.as_deref()))
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
    let setup = &scenario.setup;
    let mut tandem = Tandem::start_with(&options.binary, dir, base, database, setup)?;
    tandem.provision(setup)?;
    let stage = Stage::loopback(base);
    let listening = || {
        let mut lines = setup.commands_when_listening.iter();
        lines.try_for_each(|line| tandem.command(&stage.filled_in(line)).map(drop))
    };
    let _signer = setup.signer.then(|| stir::Web::serve(dir, stage.port("spare2"))).transpose()?;
    let web = &setup.web;
    let _web = match web.is_empty() {
        true => None,
        false => Some(Web::serve(stage.port("spare2"), web.clone())?),
    };
    let homer = setup.homer.then(|| Homer::listen(stage.port("spare2"))).transpose()?;
    let played = play::scripts(scenario, dir, &stage, &listening);
    let checked = played.and_then(|()| check::all(&tandem, scenario));
    let exported = homer.zip(scenario.expect.hep.as_ref());
    let exported = exported.map_or(Ok(()), |(homer, expected)| homer.check(expected));
    let checked = checked.and(exported);
    tandem.stop()?;
    let checked = checked.and_then(|()| check::stopped(&tandem));
    checked.map_err(|why| format!("{why}\n{}", tandem.log_tail()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(scenario: &str, name: &str, expected: bool) {
        assert_eq!(is_called(scenario, name), expected, "{name} for {scenario}");
    }

    #[test]
    fn a_number_names_one_scenario() {
        check("10.caller-hangs-up", "10", true);
        check("110.non-cli-rates", "10", false);
        check("110.non-cli-rates", "10.", false);
        check("10.caller-hangs-up", "10.caller", true);
        check("10.caller-hangs-up", "hangs", true);
    }
}
