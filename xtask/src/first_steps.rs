//! What the README and the demo tell people to do, done word for word: a first billed call in an
//! empty folder, and the scenarios against a Tandem that somebody else has started.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::Options;
use crate::scenarios::check::{list, micros};
use crate::scenarios::scenarios_dir;
use crate::scenarios::tandem::{self, Tandem};

/// SIPp's five seconds, and what else there is to wait for.
const CALL_MAX: Duration = Duration::from_secs(30);
/// A minute's charge and cost at the demo's rates for the United Kingdom, in micro-units.
const DEMO_CHARGE: i64 = 18_000;
const DEMO_COST: i64 = 11_000;

/// `cargo xtask first-steps`.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let options = Options::read(args, "steps", 0)?;
    let binary = std::fs::canonicalize(&options.binary).map_err(|e| e.to_string())?;
    options.in_folder("demo", |dir| demo(&binary, dir))?;
    println!("PASS  the demo: one call by the two lines it prints, billed and explained");
    options.in_folder("elsewhere", |dir| elsewhere(&binary, dir))?;
    println!("PASS  the scenarios against a Tandem on 127.0.0.2");
    Ok(())
}

fn demo(binary: &Path, dir: &Path) -> Result<(), String> {
    for port in [5060, 5080, 5090] {
        std::net::UdpSocket::bind(("127.0.0.1", port))
            .map_err(|e| format!("the demo needs UDP port {port}: {e}"))?;
    }
    let mut tandem = Tandem::start_as_it_comes(binary, dir)?;
    let checked = first_call(&tandem, &binary.display().to_string());
    let stopped = tandem.stop();
    checked.and(stopped).map_err(|why| format!("{why}\n{}", tandem.log_tail()))?;
    tandem.command("ledger check").map(drop)
}

fn first_call(tandem: &Tandem, called_as: &str) -> Result<(), String> {
    wait_for("the demo is not printed", || tandem.printed().contains("sipp -sn uac"))?;
    let text = tandem.command("demo")?;
    if !tandem.printed().contains(text.trim()) {
        return Err("`tandem demo` prints something else than the start".into());
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let sipp: Vec<&str> = lines.iter().copied().filter(|l| l.starts_with("sipp ")).collect();
    let [carrier, customer] = sipp[..] else {
        return Err(format!("the demo prints {} lines of SIPp instead of two", sipp.len()));
    };
    let _carrier = Typed::start(carrier)?;
    std::thread::sleep(Duration::from_millis(300));
    Typed::start(customer)?.end(customer)?;
    let call = check_cdrs(tandem)?;
    explain(tandem, &call)?;
    // What it tells to look at afterwards.
    for line in lines {
        if let Some(command) = line.strip_prefix(called_as) {
            tandem.command(&command.replace("CALL-ID", &call))?;
        }
    }
    tandem.command("ledger check").map(drop)
}

/// The call has two legs, each at its price; gives its id.
fn check_cdrs(tandem: &Tandem) -> Result<String, String> {
    let mut legs = Vec::new();
    wait_for("there are no two CDRs", || {
        let cdrs = tandem.json("cdr").and_then(|cdrs| list(&cdrs, "items"));
        legs = cdrs.unwrap_or_default();
        legs.len() == 2
    })?;
    for cdr in &legs {
        let is_ingress = cdr["leg"] == 0;
        let (account, minute) =
            if is_ingress { ("wholesale", DEMO_CHARGE) } else { ("carrier", DEMO_COST) };
        let talked = cdr["talked_us"].as_i64().unwrap_or(0);
        let seconds = cdr["billed_s"].as_i64().unwrap_or(0);
        // By the second, the money rounded up.
        let amount = (minute * seconds + 59) / 60;
        let is_right = cdr["account_name"] == account
            && (5_000_000..7_000_000).contains(&talked)
            && seconds == (talked + 999_999) / 1_000_000
            && micros(&cdr["amount"]) == amount;
        if !is_right {
            return Err(format!(
                "{account} should pay {amount} micro-units for five seconds: {cdr}"
            ));
        }
        if is_ingress {
            let shown = tandem.json("account show wholesale")?;
            let debits = micros(&shown["debits_posted"]);
            if debits != amount || micros(&shown["debits_pending"]) != 0 {
                return Err(format!("wholesale was debited {debits}, not {amount}"));
            }
        }
    }
    let call = legs[0]["call"].as_str();
    call.map(str::to_owned).ok_or_else(|| format!("a CDR without its call: {}", legs[0]))
}

/// Who called, by which rate and carrier, and how both amounts came about.
fn explain(tandem: &Tandem, call: &str) -> Result<(), String> {
    let why = tandem.json(&format!("why {call}"))?;
    let decisions = list(&why["decisions"], "decisions")?;
    let has = |code: &str| decisions.iter().any(|decision| decision["code"] == code);
    let codes = ["from_trunk", "rate_found", "carrier_found", "credit_reserved", "answered"];
    if let Some(code) = codes.into_iter().find(|code| !has(code)) {
        return Err(format!("`why` does not say {code}: {why}"));
    }
    for leg in list(&why["legs"], "legs")? {
        let amount = leg["amount"].as_str().unwrap_or_default();
        let ends_in_it = |decision: &Value| {
            let sentence = decision["sentence"].as_str().unwrap_or_default();
            decision["code"] == "total" && sentence.contains(&format!(" {amount} "))
        };
        if !decisions.iter().any(ends_in_it) {
            return Err(format!("`why` does not end in {amount} for {}: {why}", leg["leg"]));
        }
    }
    Ok(())
}

/// A command line as one types it, in a shell.
struct Typed(Child);

impl Typed {
    fn start(line: &str) -> Result<Typed, String> {
        let mut command = Command::new("sh");
        // SIPp reads keys: without a terminal it must at least wait for them.
        command.args(["-c", &format!("exec {line}")]).stdin(Stdio::piped());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        child.map(Typed).map_err(|e| format!("{line}: {e}"))
    }

    fn end(&mut self, line: &str) -> Result<(), String> {
        let mut status = None;
        wait_for(&format!("`{line}` does not end"), || {
            status = self.0.try_wait().ok().flatten();
            status.is_some()
        })?;
        match status {
            Some(status) if status.success() => Ok(()),
            _ => Err(format!("`{line}` failed")),
        }
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(otherwise: &str, mut is_so: impl FnMut() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + CALL_MAX;
    while !is_so() {
        if Instant::now() > deadline {
            return Err(otherwise.to_owned());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

const ELSEWHERE: &str = r#"
data_directory = "data"

[[listener]]
transport = "udp"
address = "127.0.0.2:5060"

[[listener]]
transport = "tls"
address = "127.0.0.2:5061"
certificate = "tls.crt"
key = "tls.key"

[api]
address = "127.0.0.2:8080"
"#;

/// The world by the script that `sipp-scenarios/world` prints, the scenarios by `sipp-scenarios/run`.
fn elsewhere(binary: &Path, dir: &Path) -> Result<(), String> {
    tandem::certificate(dir)?;
    let mut tandem = Tandem::start_configured(binary, dir, 5060, ELSEWHERE)?;
    let target = ["--target", "127.0.0.2:5060"];
    let world = script(Command::new(scenarios_dir().join("world")).args(target))?;
    std::fs::write(dir.join("world.sh"), world).map_err(|e| e.to_string())?;
    let config = dir.join("tandem.toml");
    let called = format!("{} --config {}", binary.display(), config.display());
    script(Command::new("sh").arg("world.sh").current_dir(dir).env("TANDEM", &called))?;
    let names = ["10.", "12.", "18.", "20.", "50.", "69.", "81."];
    let mut run = Command::new(scenarios_dir().join("run"));
    let played = script(run.args(names).args(target));
    let played = played.and_then(|_| by_hand(&called, dir));
    let checked = played.and_then(|()| tandem.command("ledger check")).map(drop);
    tandem.stop()?;
    checked.map_err(|why| format!("{why}\n{}", tandem.log_tail()))
}

/// Some scenarios by the lines of the README, in a folder where it finds their scripts.
fn by_hand(tandem: &str, dir: &Path) -> Result<(), String> {
    let path = scenarios_dir().join("README.md");
    let readme = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let user = block(&readme, "## With plain sipp")?;
    for name in ["10.caller-hangs-up", "25.trunk-by-digest", "50.hunt-three-carriers"] {
        std::os::unix::fs::symlink(scenarios_dir().join(name), dir.join(name))
            .map_err(|e| format!("{name}: {e}"))?;
        let lines = block(&readme, &format!("### {name}"))?;
        let text = format!(
            "set -e\ntandem() {{ {tandem} \"$@\"; }}\n{user}\n\
             LOCAL=127.0.0.1 TARGET=127.0.0.2:5060 TLS=127.0.0.2:5061\n{lines}\nwait\n"
        );
        script(Command::new("timeout").args(["60", "sh", "-c", &text]).current_dir(dir))?;
    }
    Ok(())
}

/// The first lines for a shell under a heading.
fn block<'a>(text: &'a str, heading: &str) -> Result<&'a str, String> {
    let under = text.split_once(&format!("\n{heading}\n")).map(|(_, under)| under);
    let lines = under.and_then(|under| under.split_once("```sh\n")?.1.split_once("```"));
    lines.map(|(lines, _)| lines).ok_or_else(|| format!("the README has no lines under {heading}"))
}

/// What it prints.
fn script(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{command:?}: {e}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    Err(format!("{command:?}:\n{printed}{}", String::from_utf8_lossy(&output.stderr)))
}
