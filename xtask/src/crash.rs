//! `kill -9` at random moments under load. After each restart: the ledger checks, no call is
//! pending, and every call that SIPp saw answered has exactly one CDR per leg.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::scenarios::scenario::{self, Setup};
use crate::scenarios::tandem::{self, Tandem};

const BASE_PORT: u16 = 20_500;
const RATE: u32 = 200;

/// Kills as often as asked for.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let kills: u32 = match args.first() {
        Some(text) => text.parse().map_err(|_| format!("{text} is not a number of kills"))?,
        None => 5,
    };
    let dir = std::env::temp_dir().join(format!("tandem-crash-{}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let outcome = kill_again_and_again(&dir, kills);
    if outcome.is_ok() {
        let _ = fs::remove_dir_all(&dir);
    } else {
        println!("kept {}", dir.display());
    }
    outcome
}

fn kill_again_and_again(dir: &Path, kills: u32) -> Result<(), String> {
    let binary =
        PathBuf::from(std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_string()))
            .join("release/tandem");
    let mut tandem = Tandem::start(&binary, dir, BASE_PORT)?;
    tandem.provision(&Setup::default())?;
    tandem.command("topup retail 1000000 --key crash-test")?;
    let _carrier = Killed(sipp(dir, "uas.xml", "carrier-a", &[])?);
    let mut answered = BTreeSet::new();
    let mut random = seed();
    for kill in 1..=kills {
        let caller = Killed(sipp(dir, "uac.xml", "caller", &caller_args(kill))?);
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(1200 + (random >> 33) % 1800));
        tandem.kill();
        drop(caller);
        collect_answered(dir, kill, &mut answered);
        tandem.launch()?;
        tandem.command("ledger check")?;
        let live = tandem.json("live")?;
        if live.to_string().contains("\"call\"") {
            return Err(format!("kill {kill}: calls are live after the restart: {live}"));
        }
        let missing = without_cdr(&tandem, &answered)?;
        if !missing.is_empty() {
            return Err(format!("kill {kill}: answered without one CDR each: {missing:?}"));
        }
        println!("kill {kill}: {} answered calls so far, all with their CDRs", answered.len());
    }
    tandem.stop()?;
    tandem.command("ledger check")?;
    println!("crash: {kills} kills, {} answered calls, ledger in order", answered.len());
    Ok(())
}

fn caller_args(kill: u32) -> Vec<String> {
    let messages = format!("messages-{kill}.log");
    ["-m", "100000", "-r", &RATE.to_string(), "-d", "700", "-trace_msg", "-message_file", &messages]
        .map(str::to_string)
        .to_vec()
}

/// Call-IDs whose INVITE the caller saw answered with 200.
fn collect_answered(dir: &Path, kill: u32, answered: &mut BTreeSet<String>) {
    let log = fs::read_to_string(dir.join(format!("messages-{kill}.log"))).unwrap_or_default();
    for message in log.split("-----------------------------------------------") {
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
}

fn without_cdr(tandem: &Tandem, answered: &BTreeSet<String>) -> Result<Vec<String>, String> {
    let list = tandem.json("cdr --limit 1000000")?;
    let cdrs = list.as_array().or_else(|| list["cdrs"].as_array()).cloned().unwrap_or_default();
    let mut ingress: Vec<String> = cdrs
        .iter()
        .filter(|c| c["leg"] == 0)
        .filter_map(|c| c["sip_call_id"].as_str().map(str::to_string))
        .collect();
    ingress.sort();
    let once = |id: &&String| {
        let first = ingress.partition_point(|x| x < *id);
        let count = ingress[first..].iter().take_while(|x| x == id).count();
        count != 1
    };
    Ok(answered.iter().filter(once).take(10).cloned().collect())
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sipp(dir: &Path, script: &str, port: &str, more: &[String]) -> Result<Child, String> {
    let users = dir.join("users.csv");
    let line = format!(
        "SEQUENTIAL\n1001;[authentication username=1001 password={}]\n",
        tandem::password("1001")
    );
    fs::write(&users, line).map_err(|e| e.to_string())?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/load.d").join(script);
    Command::new("sipp")
        .arg(format!("127.0.0.1:{BASE_PORT}"))
        .args(["-i", "127.0.0.1", "-nostdin", "-s", scenario::CLD, "-sf"])
        .arg(root)
        .args(["-p", &scenario::port(BASE_PORT, port).to_string(), "-inf", "users.csv"])
        .args(more)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot start sipp (Debian package sip-tester): {e}"))
}

fn seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64
}
