//! Plays a scenario's scripts: first those that must be over before anything else, then the
//! answering sides, then the callers.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::scenario::{Scenario, Sipp};
use super::stage::{PASSPORT, Stage};
use super::{phone, scenarios_dir, stir, tls};

/// SIPp gets this long before a scenario counts as stuck.
const USUAL_LIMIT: Duration = Duration::from_secs(45);
const SLOW_LIMIT: Duration = Duration::from_secs(150);

/// Plays all scripts; logs go to `dir`. `listening` runs when the answering sides listen.
pub(super) fn scripts(
    scenario: &Scenario,
    dir: &Path,
    stage: &Stage,
    listening: &dyn Fn() -> Result<(), String>,
) -> Result<(), String> {
    for sipp in scenario.sipp.iter().filter(|s| s.first) {
        let child = start(scenario, sipp, dir, stage)?;
        finish(sipp, child, scenario, dir)?;
    }
    let mut running = Running { scenario, dir, children: Vec::new() };
    let later = || scenario.sipp.iter().filter(|s| !s.first);
    for sipp in later().filter(|s| s.is_callee()) {
        running.children.push((sipp, start(scenario, sipp, dir, stage)?));
    }
    // The answering sides must be listening before the first INVITE.
    std::thread::sleep(Duration::from_millis(150));
    listening()?;
    for sipp in later().filter(|s| !s.is_callee()) {
        running.children.push((sipp, start(scenario, sipp, dir, stage)?));
    }
    let mut complaints = Vec::new();
    for one in &scenario.phone {
        complaints.extend(phone::play(stage, one).err());
    }
    complaints.extend(running.finish());
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}

/// SIPp processes, none of which outlives a scenario that has failed.
struct Running<'a> {
    scenario: &'a Scenario,
    dir: &'a Path,
    children: Vec<(&'a Sipp, Child)>,
}

impl Running<'_> {
    /// Waits for the callers first.
    fn finish(&mut self) -> Vec<String> {
        let mut complaints = Vec::new();
        while let Some((sipp, mut child)) = self.children.pop() {
            if sipp.background {
                end(&mut child);
            } else {
                complaints.extend(finish(sipp, child, self.scenario, self.dir).err());
            }
        }
        complaints
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            end(child);
        }
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn start(scenario: &Scenario, sipp: &Sipp, dir: &Path, stage: &Stage) -> Result<Child, String> {
    let users = dir.join(format!("{}-users.csv", sipp.port));
    let mut csv = stage.users_csv(sipp);
    if csv.contains(PASSPORT) {
        let (from, to) = (sipp.user.as_deref(), stage.called(sipp.service.as_deref()));
        let port = stage.port("spare2");
        csv = csv.replace(PASSPORT, &stir::passport(dir, port, from.unwrap_or_default(), &to)?);
    }
    fs::write(&users, csv).map_err(|e| format!("{}: {e}", users.display()))?;
    let script = scenarios_dir().join(&scenario.name).join(&sipp.scenario);
    let name = sipp.scenario.trim_end_matches(".xml");
    let mut target = stage.target;
    if sipp.transport.as_deref() == Some("tls") {
        let bridge = SocketAddr::new(stage.local, stage.port("spare"));
        if sipp.is_callee() {
            tls::accept(bridge, SocketAddr::new(stage.local, stage.port(&sipp.port)), dir)?;
        } else {
            target = bridge;
            tls::bridge(target, stage.tls(), sipp.shows_certificate.then_some(dir))?;
        }
    }
    let mut command = Command::new("sipp");
    command
        .arg(target.to_string())
        .args(["-i", &stage.local_host(), "-nostdin", "-p", &stage.port(&sipp.port).to_string()])
        .arg("-sf")
        .arg(script)
        .arg("-inf")
        .arg(users)
        .args(["-s", &stage.called(sipp.service.as_deref())])
        .args(["-m", &sipp.calls.to_string(), "-r", &sipp.rate.to_string()])
        .args(["-t", sipp.transport_flag()])
        .args(["-timeout", &format!("{}s", limit(scenario).as_secs()), "-timeout_error"])
        .args(["-trace_err", "-error_file"])
        .arg(dir.join(format!("{name}.errors")))
        .args(["-trace_msg", "-message_file"])
        .arg(dir.join(format!("{name}.messages")))
        .current_dir(dir);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot start sipp (Debian package sip-tester): {e}"))
}

fn limit(scenario: &Scenario) -> Duration {
    let usual = if scenario.setup.slow { SLOW_LIMIT } else { USUAL_LIMIT };
    scenario.setup.limit_s.map_or(usual, Duration::from_secs)
}

fn finish(sipp: &Sipp, mut child: Child, scenario: &Scenario, dir: &Path) -> Result<(), String> {
    let deadline = Instant::now() + limit(scenario) + Duration::from_secs(5);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            break status;
        }
        if Instant::now() > deadline {
            end(&mut child);
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
