//! A server under test: started by us, measured through /proc, stopped by its process id.

use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Clock ticks a second in /proc/PID/stat; 100 on every Linux we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running server and everything it forked.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    child: Child,
}

impl Server {
    /// Starts `command` in its own process group, on core 0 if `taskset` exists.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Result<Server, String> {
        let child = command.spawn().map_err(|e| format!("cannot start {name}: {e}"))?;
        Ok(Server { name, child })
    }

    /// CPU seconds, user and system, of the process, its threads and its forked children.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.family().iter().map(|pid| cpu_seconds(*pid)).sum()
    }

    /// Resident memory in bytes of the process and its children, each shared page counted once
    /// (proportional set size), so that forking servers are not overstated.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.family().iter().map(|pid| resident_bytes(*pid)).sum()
    }

    /// Waits until `ready` says so.
    pub(crate) fn wait_until(&mut self, ready: impl Fn() -> bool) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{} ended at once: {status}", self.name));
            }
            if ready() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("{} was not ready within 20 s", self.name))
    }

    fn family(&self) -> Vec<u32> {
        let mut family = vec![self.child.id()];
        let mut next = 0;
        while let Some(pid) = family.get(next).copied() {
            next += 1;
            let path = format!("/proc/{pid}/task/{pid}/children");
            let children = fs::read_to_string(path).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|p| p.parse::<u32>().ok()));
        }
        family
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut family = self.family();
        family.reverse();
        for pid in family {
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The command name may hold spaces; the fields proper begin after its closing parenthesis.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

fn resident_bytes(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|l| l.strip_prefix("Pss:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
}
