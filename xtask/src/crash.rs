//! `kill -9` at random moments under load. After each restart: the ledger checks, no call is live,
//! nothing is reserved, and every call that SIPp saw answered has exactly one CDR a leg. Every
//! fourth time the database is locked during the load, so that the restart has all of it to replay.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::load::{self, DatabaseLock, Killed, Options};
use crate::scenarios::scenario::Setup;
use crate::scenarios::tandem::Tandem;

const BASE_PORT: u16 = 20_500;
const RATE: u32 = 200;
/// How long the tables may lag behind the journal after a restart.
const PROJECTION_LIMIT: Duration = Duration::from_secs(10);
/// Every so many kills the database is away before.
const LOCKED_EVERY: u32 = 4;

/// Kills as often as asked for.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let options = Options::read(args, "kills", 5)?;
    options.in_folder("crash", |dir| Crash::start(&options, dir)?.run(options.count))
}

struct Crash<'a> {
    dir: &'a Path,
    tandem: Tandem,
    _carrier: Killed,
    random: u64,
    /// Call-IDs whose INVITE a caller saw answered with 200.
    answered: BTreeSet<String>,
    longest_restart: Duration,
}

impl Crash<'_> {
    fn start<'a>(options: &Options, dir: &'a Path) -> Result<Crash<'a>, String> {
        let tandem = Tandem::start(&options.binary, dir, BASE_PORT)?;
        tandem.provision(&Setup::default())?;
        tandem.command("topup retail 1000000 --key crash-test")?;
        let carrier = load::sipp(dir, BASE_PORT, "uas.xml", "carrier-a")?;
        let mut crash = Crash {
            dir,
            tandem,
            _carrier: started(carrier)?,
            random: seed(),
            answered: BTreeSet::new(),
            longest_restart: Duration::ZERO,
        };
        println!("crash: seed {}", crash.random);
        crash.next_random();
        Ok(crash)
    }

    fn run(&mut self, kills: u32) -> Result<(), String> {
        for kill in 1..=kills {
            let outcome = self.kill_once(kill);
            outcome.map_err(|why| format!("kill {kill}: {why}\n{}", self.tandem.log_tail()))?;
        }
        let stopped_in = self.stop_gracefully()?;
        let cdrs = self.cdrs()?;
        println!(
            "crash: {kills} kills, {} answered calls, none without its CDR, none twice, of {} \
             attempts; ledger in order; longest restart {} ms, graceful stop {} ms",
            self.answered.len(),
            cdrs.len(),
            self.longest_restart.as_millis(),
            stopped_in.as_millis()
        );
        Ok(())
    }

    fn kill_once(&mut self, kill: u32) -> Result<(), String> {
        let caller = self.caller(kill)?;
        std::thread::sleep(Duration::from_millis(300));
        let lock =
            kill.is_multiple_of(LOCKED_EVERY).then(|| DatabaseLock::take(self.dir)).transpose()?;
        let more = self.next_random() % 2700;
        std::thread::sleep(Duration::from_millis(more));
        self.tandem.kill();
        drop(caller);
        let was_locked = lock.is_some();
        drop(lock);
        let before = self.answered.len();
        collect_answered(self.dir, kill, &mut self.answered);
        let restart = Instant::now();
        self.tandem.launch()?;
        let restart = restart.elapsed();
        self.longest_restart = self.longest_restart.max(restart);
        self.check()?;
        println!(
            "kill {kill} after {} ms{}: {} answered calls, {} in all, each with its CDRs; restart {} ms",
            300 + more,
            if was_locked { ", database locked" } else { "" },
            self.answered.len() - before,
            self.answered.len(),
            restart.as_millis()
        );
        Ok(())
    }

    /// SIGTERM under load: what is live ends, what is new is refused, and the books are closed.
    fn stop_gracefully(&mut self) -> Result<Duration, String> {
        let caller = self.caller(0)?;
        std::thread::sleep(Duration::from_millis(1500));
        let stop = Instant::now();
        self.tandem.stop()?;
        let stop = stop.elapsed();
        drop(caller);
        collect_answered(self.dir, 0, &mut self.answered);
        self.tandem.command("ledger check")?;
        self.wrong()?.map_or(Ok(stop), |why| Err(format!("after the stop: {why}")))
    }

    fn caller(&self, kill: u32) -> Result<Killed, String> {
        let mut caller = load::sipp(self.dir, BASE_PORT, "uac.xml", "caller")?;
        caller.args(["-m", "100000", "-r", &RATE.to_string(), "-d", "700"]);
        caller.args(["-trace_msg", "-message_file", &messages(kill)]);
        started(caller)
    }

    /// All that must hold on a Tandem that has just started again.
    fn check(&self) -> Result<(), String> {
        let live = self.tandem.json("live")?;
        if live.as_array().or_else(|| live["items"].as_array()).is_none_or(|l| !l.is_empty()) {
            return Err(format!("calls are live after the restart: {live}"));
        }
        self.tandem.command("ledger check")?;
        let deadline = Instant::now() + PROJECTION_LIMIT;
        while let Some(why) = self.wrong()? {
            if Instant::now() > deadline {
                return Err(why);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What does not hold in the tables, if anything.
    fn wrong(&self) -> Result<Option<String>, String> {
        let pending = load::query(
            self.dir,
            "SELECT account_id, debits_pending, credits_pending FROM account_balance \
             WHERE debits_pending <> 0 OR credits_pending <> 0",
        )?;
        let legs = load::query(
            self.dir,
            "SELECT sip_call_id FROM cdr AS i WHERE leg = 0 AND answered_at IS NOT NULL \
             AND 1 <> (SELECT count(*) FROM cdr AS e WHERE e.call_id = i.call_id AND e.leg > 0 \
             AND e.answered_at IS NOT NULL) LIMIT 10",
        )?;
        let cdrs = self.cdrs()?;
        let twice: Vec<_> = cdrs.iter().filter(|(_, cdr)| cdr.0 != 1).take(10).collect();
        let is_right = |id: &&String| cdrs.get(*id) == Some(&(1, true));
        let missing: Vec<_> = self.answered.iter().filter(|id| !is_right(id)).take(10).collect();
        let findings = [
            (!pending.is_empty(), format!("reserved without a call: {pending:?}")),
            (!legs.is_empty(), format!("answered without one answered egress leg: {legs:?}")),
            (!twice.is_empty(), format!("two CDRs for one attempt: {twice:?}")),
            (!missing.is_empty(), format!("answered, but no CDR says so: {missing:?}")),
        ];
        Ok(findings.into_iter().find(|(is_wrong, _)| *is_wrong).map(|(_, why)| why))
    }

    /// By the caller's Call-ID: the number of its ingress CDRs, and whether they say answered.
    fn cdrs(&self) -> Result<BTreeMap<String, (u32, bool)>, String> {
        let sql = "SELECT count(*), min(answered_at IS NOT NULL), sip_call_id FROM cdr \
                   WHERE leg = 0 GROUP BY sip_call_id";
        let rows = load::query(self.dir, sql)?;
        let read = |row: &String| {
            let mut columns = row.splitn(3, '|');
            let count = columns.next()?.parse().ok()?;
            let is_answered = columns.next()? == "1";
            Some((columns.next()?.to_string(), (count, is_answered)))
        };
        rows.iter().map(|row| read(row).ok_or_else(|| format!("sqlite3 said {row}"))).collect()
    }

    fn next_random(&mut self) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }
}

fn started(mut command: std::process::Command) -> Result<Killed, String> {
    command.spawn().map(Killed).map_err(load::no_sipp)
}

pub(crate) fn messages(kill: u32) -> String {
    format!("messages-{kill}.log")
}

/// Reads, then removes, the caller's log of messages.
pub(crate) fn collect_answered(dir: &Path, kill: u32, answered: &mut BTreeSet<String>) {
    let path = dir.join(messages(kill));
    let log = fs::read(&path).unwrap_or_default();
    for message in String::from_utf8_lossy(&log).split("\n-----------------------") {
        if !message.contains("message received") || !message.contains("SIP/2.0 200 ") {
            continue;
        }
        let header = |name: &str| {
            message.lines().find_map(|l| l.trim().strip_prefix(name)).map(|v| v.trim().to_string())
        };
        if header("CSeq:").is_some_and(|c| c.ends_with("INVITE"))
            && let Some(call_id) = header("Call-ID:")
        {
            answered.insert(call_id);
        }
    }
    let _ = fs::remove_file(path);
}

pub(crate) fn seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64
}
