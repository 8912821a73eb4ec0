//! SIPp as the load generator and as the answering carrier.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) const UAS_PORT: u16 = 5080;
pub(crate) const CLD: &str = "442079";
pub(crate) const USER: &str = "load";
pub(crate) const PASSWORD: &str = "load-secret";
/// So many subscribers register.
const REGISTRANTS: u32 = 200;

/// One run of calls.
pub(crate) struct Run {
    pub(crate) calls: u32,
    pub(crate) rate: u32,
    pub(crate) talk: Duration,
}

/// What SIPp says of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) retransmissions: u64,
    /// 99th percentile from the authenticated INVITE to the 180, milliseconds.
    pub(crate) pdd_ms_p99: f64,
}

/// The answering side, alive until dropped.
pub(crate) struct Uas(Child);

impl Uas {
    pub(crate) fn start(dir: &Path) -> Result<Uas, String> {
        Uas::playing(dir, "uas.xml")
    }

    /// A registrar that asks for credentials and takes any.
    pub(crate) fn registrar(dir: &Path) -> Result<Uas, String> {
        Uas::playing(dir, "registrar.xml")
    }

    fn playing(dir: &Path, scenario: &str) -> Result<Uas, String> {
        let child = pinned("sipp")
            .args(["-sf", &file(scenario), "-i", "127.0.0.1", "-nostdin", "-rp", "1000"])
            .args(["-p", &UAS_PORT.to_string(), "-buff_size", "8388608"])
            .current_dir(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("cannot start sipp (Debian package sip-tester): {e}"))?;
        Ok(Uas(child))
    }
}

impl Drop for Uas {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Places `run.calls` calls towards `port` and waits for their end.
pub(crate) fn call(dir: &Path, port: u16, run: &Run) -> Result<Outcome, String> {
    start(dir, port, run)?.finish()
}

/// The same number of messages, SIPp to SIPp, nobody between: the generator's own limit.
pub(crate) fn direct(dir: &Path, run: &Run) -> Result<Outcome, String> {
    let child = generator(dir, "uac-direct.xml", UAS_PORT, run, &[USER.to_owned()])?;
    child.finish()
}

/// Registers `run.calls` times towards `port`, each time another subscriber.
pub(crate) fn register(dir: &Path, port: u16, run: &Run) -> Result<Outcome, String> {
    generator(dir, "register.xml", port, run, &registrants())?.finish()
}

/// The user names of the subscribers that register.
pub(crate) fn registrants() -> Vec<String> {
    (0..REGISTRANTS).map(|n| format!("phone{n}")).collect()
}

/// Calls under way.
pub(crate) struct Caller {
    child: Child,
    dir: PathBuf,
    calls: u32,
}

/// Starts placing calls and returns at once.
pub(crate) fn start(dir: &Path, port: u16, run: &Run) -> Result<Caller, String> {
    generator(dir, "uac.xml", port, run, &[USER.to_owned()])
}

fn generator(
    dir: &Path,
    scenario: &str,
    port: u16,
    run: &Run,
    users: &[String],
) -> Result<Caller, String> {
    let line =
        |user: &String| format!("{user};[authentication username={user} password={PASSWORD}]\n");
    let lines: String = users.iter().map(line).collect();
    let users = dir.join("users.csv");
    fs::write(&users, format!("SEQUENTIAL\n{lines}"))
        .map_err(|e| format!("{}: {e}", users.display()))?;
    for old in ["stat.csv", "rtt.csv"] {
        let _ = fs::remove_file(dir.join(old));
    }
    let seconds = run.calls / run.rate.max(1) + run.talk.as_secs() as u32 + 40;
    let child = pinned("sipp")
        .args(["-sf", &file(scenario), "-inf", "users.csv", "-s", CLD, "-i", "127.0.0.1"])
        .args(["-p", "5090", "-nostdin", "-buff_size", "8388608"])
        .args(["-m", &run.calls.to_string(), "-r", &run.rate.to_string()])
        .args(["-l", &(run.rate * 4 + run.calls).to_string()])
        .args(["-d", &run.talk.as_millis().to_string()])
        .args(["-trace_stat", "-stf", "stat.csv", "-fd", "1"])
        .args(["-trace_rtt", "-rtt_freq", "100"])
        .args(["-timeout", &format!("{seconds}s")])
        .arg(format!("127.0.0.1:{port}"))
        .current_dir(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot start sipp: {e}"))?;
    Ok(Caller { child, dir: dir.into(), calls: run.calls })
}

impl Caller {
    /// Waits for the last call and reads SIPp's own figures.
    pub(crate) fn finish(mut self) -> Result<Outcome, String> {
        self.child.wait().map_err(|e| format!("sipp: {e}"))?;
        let mut outcome = read_statistics(&self.dir.join("stat.csv"))?;
        outcome.failed = u64::from(self.calls) - outcome.succeeded.min(u64::from(self.calls));
        outcome.pdd_ms_p99 = percentile_99(&self.dir);
        Ok(outcome)
    }
}

fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("load.d").join(name).display().to_string()
}

/// SIPp on the last core, so that it disturbs the server (core 0) as little as two cores allow.
fn pinned(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "1", program]);
    command
}

fn read_statistics(path: &Path) -> Result<Outcome, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split(';').collect();
    let last: Vec<&str> = lines.last().unwrap_or("").split(';').collect();
    let value = |name: &str| {
        let column = header.iter().position(|h| *h == name);
        column.and_then(|c| last.get(c)).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0)
    };
    Ok(Outcome {
        succeeded: value("SuccessfulCall(C)"),
        failed: value("FailedCall(C)"),
        retransmissions: value("Retransmissions(C)"),
        pdd_ms_p99: 0.0,
    })
}

/// SIPp names the file after the scenario and its process id: uac_PID_rtt.csv.
fn percentile_99(dir: &Path) -> f64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0.0 };
    let mut times: Vec<f64> = Vec::new();
    for path in entries.filter_map(Result::ok).map(|e| e.path()) {
        if path.file_name().is_some_and(|n| n.to_string_lossy().ends_with("_rtt.csv")) {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let column = |line: &str| line.split(';').nth(1).and_then(|t| t.parse::<f64>().ok());
            times.extend(text.lines().skip(1).filter_map(column));
            let _ = fs::remove_file(&path);
        }
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() * 99 / 100).copied().unwrap_or(0.0)
}
