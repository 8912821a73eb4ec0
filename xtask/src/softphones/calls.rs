//! Calls between telephones and to a carrier (SIPp), with hold and resume, and what must be in the CDRs
//! and on the accounts afterwards. The same for every network that they are played in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::phone::{Phone, Running, Seen, until};
use crate::scenarios::scenario;
use crate::scenarios::scenarios_dir;
use crate::scenarios::stage::Stage;
use crate::scenarios::tandem::Tandem;

/// How long each state of a call lasts at least, so that the CDRs have something to measure.
const STRETCH: Duration = Duration::from_millis(600);
/// The telephones are asked a moment after the fact, at both ends.
const TELLING_TAKES: Duration = Duration::from_millis(400);
/// Customers of the world pay 0.60 a minute by the second, its carrier takes half.
pub(crate) const CHARGE_A_SECOND: u64 = 10_000;
pub(crate) const COST_A_SECOND: u64 = 5_000;
/// What the world's customer has at first.
const TOPPED_UP: u64 = 10_000_000;

/// Where the calls are made.
pub(crate) struct Scene<'a> {
    pub(crate) tandem: &'a Tandem,
    /// Where carriers play.
    pub(crate) stage: &'a Stage,
    pub(crate) dir: &'a Path,
}

/// Counts what went well.
#[derive(Default)]
pub(crate) struct Steps {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Steps {
    pub(crate) fn done(&mut self, name: &str, outcome: Result<(), String>) {
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

impl Scene<'_> {
    /// The caller holds, resumes and hangs up.
    pub(crate) fn held_by_the_caller(
        &self,
        caller: &mut dyn Phone,
        called: &mut dyn Phone,
    ) -> Result<(), String> {
        let talk = connect(caller, called).and_then(|started| {
            hold_and_resume(caller, called)?;
            hang_up(caller, called)?;
            Ok(started.elapsed())
        });
        let talked = talk.map_err(|why| give_up(why, &mut [caller, called]))?;
        self.check_cdrs(caller.number(), called.number(), talked, "caller", [0, 0])
    }

    /// The called side holds, resumes and hangs up.
    pub(crate) fn held_by_the_called(
        &self,
        caller: &mut dyn Phone,
        called: &mut dyn Phone,
    ) -> Result<(), String> {
        let talk = connect(caller, called).and_then(|started| {
            hold_and_resume(called, caller)?;
            hang_up(called, caller)?;
            Ok(started.elapsed())
        });
        let talked = talk.map_err(|why| give_up(why, &mut [caller, called]))?;
        self.check_cdrs(caller.number(), called.number(), talked, "callee", [0, 0])
    }

    /// The carrier's script insists on both re-INVITEs and on `a=sendonly` in the first.
    pub(crate) fn call_the_carrier(&self, caller: &mut dyn Phone) -> Result<(), String> {
        let mut carrier = self.carrier("42.hold-and-resume/uas.xml")?;
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
        self.check_cdrs(caller.number(), scenario::CLD, talked, "caller", prices)
    }

    /// The caller presses a key, the called side sees it, the caller hangs up.
    pub(crate) fn keys_reach(
        &self,
        caller: &mut dyn Phone,
        called: &mut dyn Phone,
    ) -> Result<(), String> {
        let talk = connect(caller, called).and_then(|started| {
            caller.press('5')?;
            called.wait(Seen::Digit('5'))?;
            hang_up(caller, called)?;
            Ok(started.elapsed())
        });
        let talked = talk.map_err(|why| give_up(why, &mut [caller, called]))?;
        self.check_cdrs(caller.number(), called.number(), talked, "caller", [0, 0])
    }

    /// The carrier's script insists on the INFO with the key.
    pub(crate) fn keys_reach_the_carrier(&self, caller: &mut dyn Phone) -> Result<(), String> {
        let mut carrier = self.carrier("45.info-passes/uas.xml")?;
        let talk = caller.dial(scenario::CLD).and_then(|()| {
            caller.wait(Seen::Talking)?;
            let started = Instant::now();
            std::thread::sleep(STRETCH);
            caller.press('5')?;
            caller.wait(Seen::KeyTaken)?;
            caller.hang_up()?;
            caller.wait(Seen::Ended)?;
            Ok(started.elapsed())
        });
        let talked = talk.map_err(|why| give_up(why, &mut [caller]))?;
        carrier.finish()?;
        let prices = [CHARGE_A_SECOND, COST_A_SECOND];
        self.check_cdrs(caller.number(), scenario::CLD, talked, "caller", prices)
    }

    /// The caller gives up while it rings.
    pub(crate) fn cancelled(
        &self,
        caller: &mut dyn Phone,
        called: &mut dyn Phone,
    ) -> Result<(), String> {
        let before = self.calls()?;
        let mut call = || {
            caller.dial(called.number())?;
            called.wait(Seen::Incoming)?;
            caller.wait(Seen::Ringing)?;
            hang_up(caller, called)
        };
        let call = call();
        call.map_err(|why| give_up(why, &mut [caller, called]))?;
        for leg in self.new_calls(&before, 1)?.into_iter().flatten() {
            let is_right = leg["cause"] == "cancelled"
                && leg["sip_status"] == 487
                && leg["released_by"] == "caller"
                && leg["talked_us"] == 0
                && leg["amount"] == "0.000000";
            if !is_right {
                return Err(format!("     not the CDR of a call that was cancelled: {leg}"));
            }
        }
        Ok(())
    }

    /// The called side sends its caller to a carrier; the caller hangs up there. The first call is what
    /// the caller had from its start to its end, the second is the transferor's, who pays for it.
    pub(crate) fn transferred_to_the_carrier(
        &self,
        caller: &mut dyn Phone,
        called: &mut dyn Phone,
    ) -> Result<(), String> {
        let before = self.calls()?;
        let mut carrier = self.carrier("185.blind-transfer/uas.xml")?;
        let mut talk = || {
            let started = connect(caller, called)?;
            called.transfer(scenario::CLD)?;
            called.wait(Seen::Ended)?;
            let moved = Instant::now();
            std::thread::sleep(STRETCH);
            caller.hang_up()?;
            caller.wait(Seen::Ended)?;
            Ok::<_, String>((started.elapsed(), moved - started, moved.elapsed()))
        };
        let talk = talk();
        let (whole, first, second) = talk.map_err(|why| give_up(why, &mut [caller, called]))?;
        carrier.finish()?;
        let (from, to) = (caller.number(), called.number());
        let calls = self.new_calls(&before, 2)?;
        let mut complaints = Vec::new();
        for (call, leg, cld, released_by, talked, price) in [
            (0, 0, to, "caller", whole, 0),
            (0, 1, to, "callee", first, 0),
            (0, 2, scenario::CLD, "caller", second, 0),
            (1, 0, scenario::CLD, "caller", second, CHARGE_A_SECOND),
            (1, 1, scenario::CLD, "caller", second, COST_A_SECOND),
        ] {
            let Some(cdr) = calls[call].get(leg) else {
                complaints.push(format!("call {call} has no CDR of leg {leg}"));
                continue;
            };
            let measured = Duration::from_micros(cdr["talked_us"].as_u64().unwrap_or(0));
            let amount = measured.as_micros().div_ceil(1_000_000) as u64 * price;
            for (name, want) in [
                ("cli", from.into()),
                ("cld", cld.into()),
                ("cause", "normal".into()),
                ("released_by", released_by.into()),
                ("amount", amount_text(amount)),
            ] {
                if cdr[name] != *want {
                    complaints.push(format!(
                        "call {call} leg {leg}: {name} is {}, not {want}",
                        cdr[name]
                    ));
                }
            }
            if measured.abs_diff(talked) > TELLING_TAKES {
                complaints.push(format!(
                    "call {call} leg {leg}: talked {measured:?} by the CDR, {talked:?} by the telephones"
                ));
            }
        }
        let legs = calls.iter().map(Vec::len).sum::<usize>();
        if legs != 5 {
            complaints.push(format!("{legs} CDRs instead of 5"));
        }
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(format!("     {}", complaints.join("\n     ")))
        }
    }

    /// The ids of all calls that have a CDR.
    fn calls(&self) -> Result<BTreeSet<String>, String> {
        let all = items(&self.tandem.json("cdr --limit 10000")?);
        Ok(all.iter().map(|cdr| cdr["call"].to_string()).collect())
    }

    /// The CDRs of the calls that were not `before`, in their order, once none of the calls is live.
    fn new_calls(
        &self,
        before: &BTreeSet<String>,
        count: usize,
    ) -> Result<Vec<Vec<Value>>, String> {
        until("no call is live", || Ok(items(&self.tandem.json("live")?).is_empty()))?;
        let mut calls: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        until(&format!("{count} calls have their CDRs"), || {
            calls.clear();
            for cdr in items(&self.tandem.json("cdr --limit 10000")?) {
                let call = cdr["call"].to_string();
                if !before.contains(&call) {
                    calls.entry(call).or_default().push(cdr);
                }
            }
            Ok(calls.len() == count && calls.values().all(|legs| legs.len() >= 2))
        })?;
        let mut calls: Vec<Vec<Value>> = calls.into_values().collect();
        calls.sort_by_key(|legs| legs[0]["started_at"].to_string());
        for legs in &mut calls {
            legs.sort_by_key(|leg| leg["leg"].as_u64());
        }
        Ok(calls)
    }

    /// The newest call has one CDR a leg, and they say what the telephones did. `prices` are what each
    /// begun second costs on the ingress and the egress leg, in micro-units.
    pub(crate) fn check_cdrs(
        &self,
        from: &str,
        to: &str,
        talked: Duration,
        released_by: &str,
        prices: [u64; 2],
    ) -> Result<(), String> {
        let legs = self.newest_call()?;
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
            compare(leg, "amount", amount_text(amount).into());
        }
        if legs.len() != 2 || legs.iter().map(|leg| &leg["leg"]).ne([&Value::from(0), &1.into()]) {
            complaints.push(format!("{} CDRs instead of legs 0 and 1", legs.len()));
        }
        let measured = Duration::from_micros(legs[0]["talked_us"].as_u64().unwrap_or(0));
        if measured.abs_diff(talked) > TELLING_TAKES {
            complaints
                .push(format!("talked {measured:?} by the CDR, {talked:?} by the telephones"));
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
    pub(crate) fn newest_call(&self) -> Result<Vec<Value>, String> {
        until("no call is live", || Ok(items(&self.tandem.json("live")?).is_empty()))?;
        let mut newest = Vec::new();
        // A CDR is in the journal at once and in the list a moment later.
        until("the call has both its CDRs", || {
            let all = items(&self.tandem.json("cdr --limit 10000")?);
            let started = |cdr: &Value| cdr["started_at"].as_str().unwrap_or_default().to_string();
            let Some(last) = all.iter().max_by_key(|cdr| started(cdr)) else { return Ok(false) };
            newest = all.iter().filter(|cdr| cdr["call"] == last["call"]).cloned().collect();
            newest.sort_by_key(|cdr| cdr["leg"].as_u64());
            Ok(newest.len() >= 2)
        })?;
        Ok(newest)
    }

    /// The balances are exactly what the CDRs say, and nothing is reserved.
    pub(crate) fn money_adds_up(&self) -> Result<(), String> {
        let cdrs = items(&self.tandem.json("cdr --limit 10000")?);
        for (account, direction) in [("retail", "ingress"), ("carrier-a", "egress")] {
            let of_account = |cdr: &&Value| {
                cdr["direction"] == direction && cdr["account_name"].as_str() == Some(account)
            };
            let sum: u64 = cdrs.iter().filter(of_account).map(|cdr| micros(&cdr["amount"])).sum();
            // The customer has paid it, the carrier has earned it.
            let want = if direction == "ingress" { TOPPED_UP - sum } else { sum };
            let shown = self.tandem.json(&format!("account show {account}"))?;
            let balance = micros(&shown["balance"]);
            let pending = micros(&shown["debits_pending"]);
            if sum == 0 || balance != want || pending != 0 {
                return Err(format!(
                    "     {account}: CDRs say {sum} micro-units, the balance is {balance} instead of \
                     {want}, pending {pending}"
                ));
            }
            println!(
                "      {account}: {sum} micro-units in its CDRs, balance {}",
                shown["balance"]
            );
        }
        self.tandem.command("ledger check").map(drop)
    }

    /// Waits until so many contacts are registered.
    pub(crate) fn wait_for_registrations(&self, count: usize) -> Result<(), String> {
        let mut registered = Vec::new();
        let waited = until(&format!("{count} contacts are registered"), || {
            registered = items(&self.tandem.json("registrations")?);
            Ok(registered.len() == count)
        });
        waited.map_err(|why| format!("{why}; there are {registered:?}"))
    }
}

/// When the call was seen connected on both sides.
pub(crate) fn connect(caller: &mut dyn Phone, called: &mut dyn Phone) -> Result<Instant, String> {
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

pub(crate) fn hold_and_resume(holder: &mut dyn Phone, other: &mut dyn Phone) -> Result<(), String> {
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

pub(crate) fn hang_up(first: &mut dyn Phone, other: &mut dyn Phone) -> Result<(), String> {
    first.hang_up()?;
    other.wait(Seen::Ended)?;
    first.wait(Seen::Ended)
}

/// Leaves no call behind for the next step.
pub(crate) fn give_up(why: String, phones: &mut [&mut dyn Phone]) -> String {
    let mut why = format!("     {why}");
    for phone in phones {
        if let Err(also) = phone.hang_up() {
            why.push_str(&format!("\n     {}: {also}", phone.make()));
        }
    }
    why
}

/// 20,000 → `"0.020000"`.
fn amount_text(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// `"0.020000"` → 20,000.
fn micros(amount: &Value) -> u64 {
    amount.as_str().unwrap_or("0").replace('.', "").parse().unwrap_or(0)
}

pub(crate) fn items(answer: &Value) -> Vec<Value> {
    let array = answer.as_array().or_else(|| answer["items"].as_array());
    array.cloned().unwrap_or_default()
}

/// SIPp, playing one part of a call.
pub(crate) struct Part {
    name: String,
    sipp: Running,
    errors: PathBuf,
}

impl Scene<'_> {
    /// A carrier of the world that plays this script once.
    pub(crate) fn carrier(&self, script: &str) -> Result<Part, String> {
        self.answering(script, "carrier-a")
    }

    /// Whoever listens on the port of this name, and plays this script once.
    pub(crate) fn answering(&self, script: &str, port: &str) -> Result<Part, String> {
        let part = self.start(script, port, self.stage.target, &[])?;
        let address = (self.stage.local, self.stage.port(port));
        // It listens when nobody else can take its port.
        until("sipp listens", || Ok(UdpSocket::bind(address).is_err()))?;
        Ok(part)
    }

    /// Calls or registers at `target` once; `args` are SIPp's.
    pub(crate) fn start(
        &self,
        script: &str,
        port: &str,
        target: SocketAddr,
        args: &[&str],
    ) -> Result<Part, String> {
        let errors = self.dir.join(format!("{port}.errors"));
        let _ = fs::remove_file(&errors);
        let sipp = Command::new("sipp")
            .arg(target.to_string())
            .args(["-i", &self.stage.local_host(), "-nostdin", "-m", "1"])
            .args(["-p", &self.stage.port(port).to_string(), "-sf"])
            .arg(scenarios_dir().join(script))
            .args(args)
            .args(["-timeout", "20s", "-timeout_error", "-trace_err", "-error_file"])
            .arg(&errors)
            .current_dir(self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("cannot start sipp (Debian package sip-tester): {e}"))?;
        Ok(Part { name: script.to_string(), sipp: Running(sipp), errors })
    }
}

impl Part {
    /// Waits until it has seen its whole call.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        if self.sipp.ended(&format!("{} is over", self.name))? {
            return Ok(());
        }
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        let shown: Vec<&str> = errors.lines().take(30).collect();
        Err(format!("     {} complains:\n{}", self.name, shown.join("\n")))
    }
}
