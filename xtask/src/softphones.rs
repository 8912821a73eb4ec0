//! Two real telephones of different make, baresip and linphone from Debian, against a fresh Tandem:
//! they register, call each other both ways and a carrier (SIPp), hold, resume and hang up, and at
//! the end they log off. After each call its CDRs are compared with what the telephones did.
//! Neither needs a sound card: baresip sends back what it hears, linphone plays a file.

mod baresip;
mod linphone;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::scenarios::scenario::{self, Setup};
use crate::scenarios::tandem::{self, Tandem};
use baresip::Baresip;
use linphone::Linphone;

const USAGE: &str = "usage: cargo xtask softphones [--binary PATH] [--keep]";
const BASE_PORT: u16 = 20_700;
/// Longest wait for anything that a telephone or Tandem should do at once.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long each state of a call lasts at least, so that the CDRs have something to measure.
const STRETCH: Duration = Duration::from_millis(600);
/// Customers of the world pay 0.60 a minute by the second, its carrier takes half.
const CHARGE_A_SECOND: u64 = 10_000;
const COST_A_SECOND: u64 = 5_000;
/// What the world's customer has at first.
const TOPPED_UP: u64 = 10_000_000;

/// What a telephone can be seen to do in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Incoming,
    Ringing,
    Talking,
    /// It holds, and the other side has agreed.
    Holds,
    /// The other side holds it.
    IsHeld,
    Resumed,
    WasResumed,
    Ended,
}

/// A telephone under remote control.
pub(crate) trait Phone {
    /// Its make, for messages.
    fn make(&self) -> &'static str;
    /// Its user at Tandem, who is also its number.
    fn number(&self) -> &'static str;
    fn dial(&mut self, number: &str) -> Result<(), String>;
    fn answer(&mut self) -> Result<(), String>;
    fn hold(&mut self) -> Result<(), String>;
    fn resume(&mut self) -> Result<(), String>;
    fn hang_up(&mut self) -> Result<(), String>;
    /// Waits until it has been seen to do this since it was last waited for.
    fn wait(&mut self, what: Seen) -> Result<(), String>;
    /// Ends it politely: it takes its registration back.
    fn quit(&mut self) -> Result<(), String>;
}

/// Where a telephone of this run keeps its files, and where it listens.
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) server: String,
    pub(crate) sip_port: u16,
    pub(crate) rtp_port: u16,
    pub(crate) control_port: u16,
}

/// Runs all of it; the closing line counts passed and failed.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_string());
    let mut binary = Path::new(&target).join("release/tandem");
    let mut keep = false;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--binary" => binary = args.next().ok_or(USAGE)?.into(),
            "--keep" => keep = true,
            _ => return Err(USAGE.to_string()),
        }
    }
    let dir = std::env::temp_dir().join(format!("tandem-softphones-{}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let outcome = all_steps(&binary, &dir);
    if keep {
        println!("kept {}", dir.display());
    } else {
        let _ = fs::remove_dir_all(&dir);
    }
    let failed = outcome?;
    if failed == 0 { Ok(()) } else { Err(format!("{failed} steps with softphones failed")) }
}

/// One step after the other; how many failed.
fn all_steps(binary: &Path, dir: &Path) -> Result<usize, String> {
    let mut tandem = Tandem::start(binary, dir, BASE_PORT)?;
    tandem.provision(&Setup::default())?;
    for user in [baresip::NUMBER, linphone::NUMBER] {
        let password = tandem::password(user);
        tandem.command(&format!(
            "subscriber add {user} --account retail --password {password} --number {user}"
        ))?;
    }
    let mut baresip = Baresip::start(&place(dir, "baresip", 20)?)?;
    let mut linphone = Linphone::start(&place(dir, "linphone", 50)?)?;
    let mut steps = Steps::default();
    steps.done("both register", wait_for_registrations(&tandem, 2));
    let call = call_each_other(&tandem, &mut baresip, &mut linphone);
    steps.done("baresip calls linphone; the caller holds, resumes and hangs up", call);
    let call = call_each_other(&tandem, &mut linphone, &mut baresip);
    steps.done("linphone calls baresip; the caller holds, resumes and hangs up", call);
    let call = call_is_held_by_the_called(&tandem, &mut baresip, &mut linphone);
    steps.done("baresip calls linphone; the called holds, resumes and hangs up", call);
    let call = call_is_held_by_the_called(&tandem, &mut linphone, &mut baresip);
    steps.done("linphone calls baresip; the called holds, resumes and hangs up", call);
    let call = call_the_carrier(&tandem, dir, &mut baresip);
    steps.done("baresip calls a carrier, holds, resumes and hangs up", call);
    let call = call_the_carrier(&tandem, dir, &mut linphone);
    steps.done("linphone calls a carrier, holds, resumes and hangs up", call);
    steps.done("the money adds up", money_adds_up(&tandem));
    let gone = baresip.quit().and_then(|()| linphone.quit());
    steps.done("both log off", gone.and_then(|()| wait_for_registrations(&tandem, 0)));
    let ended = tandem.stop().and_then(|()| tandem.command("ledger check").map(drop));
    steps.done("Tandem ends, the ledger is in order", ended);
    println!("softphones: {} passed, {} failed", steps.passed, steps.failed);
    if steps.failed > 0 {
        println!("{}", tandem.log_tail());
    }
    Ok(steps.failed)
}

#[derive(Default)]
struct Steps {
    passed: usize,
    failed: usize,
}

impl Steps {
    fn done(&mut self, name: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => {
                println!("PASS  {name}");
                self.passed += 1;
            }
            Err(why) => {
                println!("FAIL  {name}\n{why}");
                self.failed += 1;
            }
        }
    }
}

fn place(dir: &Path, name: &str, offset: u16) -> Result<Place, String> {
    let dir = dir.join(name);
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let sip_port = BASE_PORT + offset;
    Ok(Place {
        dir,
        server: format!("127.0.0.1:{BASE_PORT}"),
        sip_port,
        // baresip takes the port after its SIP port for TLS.
        control_port: sip_port + 2,
        rtp_port: sip_port + 4,
    })
}

/// The caller holds, resumes and hangs up.
fn call_each_other(
    tandem: &Tandem,
    caller: &mut dyn Phone,
    called: &mut dyn Phone,
) -> Result<(), String> {
    let talk = connect(caller, called).and_then(|started| {
        hold_and_resume(caller, called)?;
        hang_up(caller, called)?;
        Ok(started.elapsed())
    });
    let talked = talk.map_err(|why| give_up(why, &mut [caller, called]))?;
    check_cdrs(tandem, caller.number(), called.number(), talked, "caller", [0, 0])
}

/// The called side holds, resumes and hangs up.
fn call_is_held_by_the_called(
    tandem: &Tandem,
    caller: &mut dyn Phone,
    called: &mut dyn Phone,
) -> Result<(), String> {
    let talk = connect(caller, called).and_then(|started| {
        hold_and_resume(called, caller)?;
        hang_up(called, caller)?;
        Ok(started.elapsed())
    });
    let talked = talk.map_err(|why| give_up(why, &mut [caller, called]))?;
    check_cdrs(tandem, caller.number(), called.number(), talked, "callee", [0, 0])
}

/// The carrier's script insists on both re-INVITEs and on `a=sendonly` in the first.
fn call_the_carrier(tandem: &Tandem, dir: &Path, caller: &mut dyn Phone) -> Result<(), String> {
    let mut carrier = Carrier::start(dir)?;
    let talk = caller.dial(scenario::CLD).and_then(|()| {
        caller.wait(Seen::Talking)?;
        let started = Instant::now();
        std::thread::sleep(STRETCH);
        caller.hold()?;
        caller.wait(Seen::Holds)?;
        std::thread::sleep(STRETCH);
        caller.resume()?;
        caller.wait(Seen::Resumed)?;
        std::thread::sleep(STRETCH);
        caller.hang_up()?;
        caller.wait(Seen::Ended)?;
        Ok(started.elapsed())
    });
    let talked = talk.map_err(|why| give_up(why, &mut [caller]))?;
    carrier.finish()?;
    let prices = [CHARGE_A_SECOND, COST_A_SECOND];
    check_cdrs(tandem, caller.number(), scenario::CLD, talked, "caller", prices)
}

/// When the call was seen connected on both sides.
fn connect(caller: &mut dyn Phone, called: &mut dyn Phone) -> Result<Instant, String> {
    caller.dial(called.number())?;
    called.wait(Seen::Incoming)?;
    caller.wait(Seen::Ringing)?;
    called.answer()?;
    called.wait(Seen::Talking)?;
    caller.wait(Seen::Talking)?;
    let started = Instant::now();
    std::thread::sleep(STRETCH);
    Ok(started)
}

fn hold_and_resume(holder: &mut dyn Phone, other: &mut dyn Phone) -> Result<(), String> {
    holder.hold()?;
    other.wait(Seen::IsHeld)?;
    holder.wait(Seen::Holds)?;
    std::thread::sleep(STRETCH);
    holder.resume()?;
    other.wait(Seen::WasResumed)?;
    holder.wait(Seen::Resumed)?;
    std::thread::sleep(STRETCH);
    Ok(())
}

fn hang_up(first: &mut dyn Phone, other: &mut dyn Phone) -> Result<(), String> {
    first.hang_up()?;
    other.wait(Seen::Ended)?;
    first.wait(Seen::Ended)
}

/// Leaves no call behind for the next step.
fn give_up(why: String, phones: &mut [&mut dyn Phone]) -> String {
    let mut why = format!("     {why}");
    for phone in phones {
        if let Err(also) = phone.hang_up() {
            why.push_str(&format!("\n     {}: {also}", phone.make()));
        }
    }
    why
}

/// The newest call has one CDR a leg, and they say what the telephones did. `prices` are what each
/// begun second costs on the ingress and the egress leg, in micro-units.
fn check_cdrs(
    tandem: &Tandem,
    from: &str,
    to: &str,
    talked: Duration,
    released_by: &str,
    prices: [u64; 2],
) -> Result<(), String> {
    let legs = wait_for_newest_call(tandem)?;
    let mut complaints = Vec::new();
    let mut compare = |leg: &Value, name: &str, want: Value| {
        if leg[name] != want {
            complaints.push(format!("leg {}: {name} is {}, not {want}", leg["leg"], leg[name]));
        }
    };
    for (leg, price) in legs.iter().zip(prices) {
        for (name, want) in [("cli", from), ("cld", to), ("cause", "normal")] {
            compare(leg, name, want.into());
        }
        compare(leg, "released_by", released_by.into());
        compare(leg, "sip_status", 200.into());
        compare(leg, "talked_us", legs[0]["talked_us"].clone());
        let seconds = leg["talked_us"].as_u64().unwrap_or(0).div_ceil(1_000_000);
        let amount = seconds * price;
        compare(leg, "amount", format!("{}.{:06}", amount / 1_000_000, amount % 1_000_000).into());
    }
    if legs.len() != 2 || legs.iter().map(|leg| &leg["leg"]).ne([&Value::from(0), &1.into()]) {
        complaints.push(format!("{} CDRs instead of legs 0 and 1", legs.len()));
    }
    let measured = Duration::from_micros(legs[0]["talked_us"].as_u64().unwrap_or(0));
    // The telephones are asked a moment after the fact, at both ends.
    if measured.abs_diff(talked) > Duration::from_millis(400) {
        complaints.push(format!("talked {measured:?} by the CDR, {talked:?} by the telephones"));
    }
    if !complaints.is_empty() {
        return Err(format!("     {}", complaints.join("\n     ")));
    }
    println!(
        "      {from} → {to}: talked {:.3} s, ingress {}, egress {}, released by the {released_by}",
        measured.as_secs_f64(),
        legs[0]["amount"].as_str().unwrap_or("?"),
        legs[1]["amount"].as_str().unwrap_or("?"),
    );
    Ok(())
}

/// The CDRs of the newest call, by leg, once no call is live any more.
fn wait_for_newest_call(tandem: &Tandem) -> Result<Vec<Value>, String> {
    until("no call is live", || Ok(items(&tandem.json("live")?).is_empty()))?;
    let mut newest = Vec::new();
    // A CDR is in the journal at once and in the list a moment later.
    until("the call has both its CDRs", || {
        let all = items(&tandem.json("cdr")?);
        let started = |cdr: &Value| cdr["started_at"].as_str().unwrap_or_default().to_string();
        let Some(last) = all.iter().max_by_key(|cdr| started(cdr)) else { return Ok(false) };
        newest = all.iter().filter(|cdr| cdr["call"] == last["call"]).cloned().collect();
        newest.sort_by_key(|cdr| cdr["leg"].as_u64());
        Ok(newest.len() >= 2)
    })?;
    Ok(newest)
}

/// The balances are exactly what the CDRs say, and nothing is reserved.
fn money_adds_up(tandem: &Tandem) -> Result<(), String> {
    let cdrs = items(&tandem.json("cdr")?);
    for (account, direction) in [("retail", "ingress"), ("carrier-a", "egress")] {
        let of_account = |cdr: &&Value| {
            cdr["direction"] == direction && cdr["account_name"].as_str() == Some(account)
        };
        let sum: u64 = cdrs.iter().filter(of_account).map(|cdr| micros(&cdr["amount"])).sum();
        // The customer has paid it, the carrier has earned it.
        let want = if direction == "ingress" { TOPPED_UP - sum } else { sum };
        let shown = tandem.json(&format!("account show {account}"))?;
        let balance = micros(&shown["balance"]);
        let pending = micros(&shown["debits_pending"]);
        if sum == 0 || balance != want || pending != 0 {
            return Err(format!(
                "     {account}: CDRs say {sum} micro-units, the balance is {balance} instead of \
                 {want}, pending {pending}"
            ));
        }
        println!("      {account}: {sum} micro-units in its CDRs, balance {}", shown["balance"]);
    }
    tandem.command("ledger check").map(drop)
}

/// `"0.020000"` → 20,000.
fn micros(amount: &Value) -> u64 {
    amount.as_str().unwrap_or("0").replace('.', "").parse().unwrap_or(0)
}

fn wait_for_registrations(tandem: &Tandem, count: usize) -> Result<(), String> {
    until(&format!("{count} contacts are registered"), || {
        Ok(items(&tandem.json("registrations")?).len() == count)
    })
}

fn items(answer: &Value) -> Vec<Value> {
    let array = answer.as_array().or_else(|| answer["items"].as_array());
    array.cloned().unwrap_or_default()
}

/// Asks again and again until it is so, or patience ends.
pub(crate) fn until(
    what: &str,
    mut is_so: impl FnMut() -> Result<bool, String>,
) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so()? {
        if Instant::now() > deadline {
            return Err(format!("     not within {PATIENCE:?}: {what}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A process that does not outlive us.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Waits for its end.
    pub(crate) fn ended(&mut self, what: &str) -> Result<bool, String> {
        let mut success = false;
        until(what, || {
            let status = self.0.try_wait().map_err(|e| e.to_string())?;
            success = status.is_some_and(|status| status.success());
            Ok(status.is_some())
        })?;
        Ok(success)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// SIPp as the carrier for one call.
struct Carrier {
    sipp: Running,
    errors: PathBuf,
}

impl Carrier {
    fn start(dir: &Path) -> Result<Carrier, String> {
        let script = crate::scenarios::scenarios_dir().join("42.hold-and-resume/uas.xml");
        let port = scenario::port(BASE_PORT, "carrier-a");
        let errors = dir.join("carrier.errors");
        let _ = fs::remove_file(&errors);
        let sipp = Command::new("sipp")
            .arg(format!("127.0.0.1:{BASE_PORT}"))
            .args(["-i", "127.0.0.1", "-nostdin", "-m", "1", "-p", &port.to_string(), "-sf"])
            .arg(script)
            .args(["-trace_err", "-error_file"])
            .arg(&errors)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("cannot start sipp (Debian package sip-tester): {e}"))?;
        let carrier = Carrier { sipp: Running(sipp), errors };
        // It listens when nobody else can take its port.
        until("sipp listens", || Ok(std::net::UdpSocket::bind(("127.0.0.1", port)).is_err()))?;
        Ok(carrier)
    }

    fn finish(&mut self) -> Result<(), String> {
        if self.sipp.ended("the carrier has seen its whole call")? {
            return Ok(());
        }
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        let shown: Vec<&str> = errors.lines().take(30).collect();
        Err(format!("     the carrier complains:\n{}", shown.join("\n")))
    }
}
