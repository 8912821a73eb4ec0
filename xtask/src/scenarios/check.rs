//! What must be true after the last message of a scenario. Looked at from outside, through the
//! command line, as an operator would.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::money;
use super::scenario::{Expect, ExpectedCdr, Printed, Scenario};
use super::tandem::Tandem;

/// All checks on a running Tandem.
pub(crate) fn all(tandem: &Tandem, scenario: &Scenario) -> Result<(), String> {
    let live = wait_until_idle(tandem)?;
    let mut complaints = Vec::new();
    admission(tandem, &mut complaints)?;
    if live != scenario.expect.live.unwrap_or(0) {
        complaints.push(format!("{live} calls are still live"));
    }
    let cdrs = list(&tandem.json("cdr --limit 10000")?, "items")?;
    compare_cdrs(tandem, &cdrs, &scenario.cdr, &mut complaints)?;
    let expect = &scenario.expect;
    if let Some(legs) = expect.legs
        && legs != cdrs.len() as u64
    {
        complaints.push(format!("{} CDRs instead of {legs}", cdrs.len()));
    }
    compare_money(tandem, &cdrs, expect, &mut complaints)?;
    money::compare(tandem, scenario, &cdrs, &mut complaints)?;
    if let Some(code) = &expect.refused {
        explain(tandem, &cdrs, code, &mut complaints)?;
    }
    if !expect.explained.is_empty() {
        explain_all(tandem, &cdrs, &expect.explained, &mut complaints)?;
    }
    if let Some(expected) = expect.registered {
        let found = list(&tandem.json("registrations")?, "items")?.len() as u64;
        if found != expected {
            complaints.push(format!("{found} contacts are registered instead of {expected}"));
        }
    }
    if let Some(expected) = expect.bans {
        bans(tandem, expected, &mut complaints)?;
    }
    for printed in &expect.printed {
        compare_printed(tandem, printed, &mut complaints)?;
    }
    ledger(tandem, &mut complaints);
    if complaints.is_empty() {
        return Ok(());
    }
    Err(complaints.iter().map(|c| format!("     {c}")).collect::<Vec<_>>().join("\n"))
}

fn compare_printed(
    tandem: &Tandem,
    printed: &Printed,
    complaints: &mut Vec<String>,
) -> Result<(), String> {
    let Printed { command, capture, has, lacks } = printed;
    let mut text = tandem.command(command)?;
    if let Some(file) = capture {
        let Some(read) = tshark(&tandem.file(file))? else { return Ok(()) };
        text = read;
    }
    let missing = has.iter().filter(|part| !text.contains(part.as_str()));
    let wrong: Vec<String> = missing
        .map(|part| format!("lacks {part:?}"))
        .chain(
            lacks.iter().filter(|part| text.contains(part.as_str())).map(|p| format!("has {p:?}")),
        )
        .collect();
    if !wrong.is_empty() {
        complaints.push(format!("`tandem {command}` {}:\n{text}", wrong.join(", ")));
    }
    Ok(())
}

/// The messages of a capture file, a line each, and what tshark has against them. `None` if it is not
/// installed.
fn tshark(file: &Path) -> Result<Option<String>, String> {
    let fields =
        ["_ws.malformed", "sip.Call-ID", "sip.CSeq", "sip.Request-Line", "sip.Status-Line"];
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-T", "fields", "-E", "separator=|"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let Ok(output) = command.output() else { return Ok(None) };
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("     tshark cannot read {}: {why}", file.display()));
    }
    Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Bans are stored a moment after they begin; gives that two seconds.
fn bans(tandem: &Tandem, expected: u64, complaints: &mut Vec<String>) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let found = list(&tandem.json("ban list")?, "items")?.len() as u64;
        if found == expected {
            return Ok(());
        }
        if Instant::now() > deadline {
            complaints.push(format!("{found} networks are banned instead of {expected}"));
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The ledger once more, from the data directory alone.
pub(crate) fn stopped(tandem: &Tandem) -> Result<(), String> {
    let mut complaints = Vec::new();
    ledger(tandem, &mut complaints);
    complaints.pop().map_or(Ok(()), |why| Err(format!("     after the stop: {why}")))
}

fn ledger(tandem: &Tandem, complaints: &mut Vec<String>) {
    if let Err(why) = tandem.command("ledger check") {
        complaints.push(why);
    }
}

/// Calls end a moment after SIPp saw their last message; gives them two seconds.
fn wait_until_idle(tandem: &Tandem) -> Result<u64, String> {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let live = list(&tandem.json("live")?, "items")?.len() as u64;
        if live == 0 || Instant::now() > deadline {
            return Ok(live);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// No limit counts a call that is over.
fn admission(tandem: &Tandem, complaints: &mut Vec<String>) -> Result<(), String> {
    let status = tandem.json("status")?;
    for counter in ["calls_admitted", "admission_places_taken"] {
        match status["counters"][counter].as_u64() {
            Some(0) => {}
            Some(left) => complaints.push(format!("{counter} is still {left}")),
            None => complaints.push(format!("`tandem status` does not tell {counter}")),
        }
    }
    Ok(())
}

/// The array that is the answer, or that is under `name` in it.
pub(crate) fn list(answer: &Value, name: &str) -> Result<Vec<Value>, String> {
    let array = answer.as_array().or_else(|| answer.get(name).and_then(Value::as_array));
    array.cloned().ok_or_else(|| format!("     no list of {name} in {answer}"))
}

fn compare_cdrs(
    tandem: &Tandem,
    cdrs: &[Value],
    expected: &[ExpectedCdr],
    complaints: &mut Vec<String>,
) -> Result<(), String> {
    for want in expected {
        let of_leg: Vec<&Value> = cdrs.iter().filter(|c| c["leg"] == want.leg).collect();
        if of_leg.is_empty() {
            complaints.push(format!("no CDR for leg {}", want.leg));
        }
        let fits = |cdr: &&&Value| differences(cdr, want).is_empty();
        match (of_leg.iter().find(fits), of_leg.first(), &want.decision) {
            (Some(cdr), _, Some(code)) if !says(tandem, cdr, code)? => {
                complaints.push(format!("the call of leg {} does not say {code}: {cdr}", want.leg));
            }
            (None, Some(cdr), _) => {
                complaints.push(format!("leg {}: {}", want.leg, differences(cdr, want).join(", ")));
            }
            _ => {}
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    for cdr in cdrs {
        if !seen.insert(format!("{}/{}", cdr["call"], cdr["leg"])) {
            complaints.push(format!("two CDRs for call {} leg {}", cdr["call"], cdr["leg"]));
        }
    }
    Ok(())
}

fn differences(cdr: &Value, want: &ExpectedCdr) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |name: &str, want: Option<Value>, is: Value| {
        if let Some(want) = want
            && want != is
        {
            found.push(format!("{name} is {is}, not {want}"));
        }
    };
    let text = |t: &Option<String>| t.as_deref().map(Value::from);
    let talked_us = cdr["talked_us"].as_u64().unwrap_or(0);
    compare("account", text(&want.account), cdr["account_name"].clone());
    compare("cause", text(&want.cause), cdr["cause"].clone());
    compare("sip_status", want.sip_status.map(Value::from), cdr["sip_status"].clone());
    compare("answered", want.answered.map(Value::from), (!cdr["answered_at"].is_null()).into());
    compare("cli", text(&want.cli), cdr["cli"].clone());
    let amount = want.amount.as_ref().map(|amount| micros(&amount.as_str().into()).into());
    compare("amount in micro-units", amount, micros(&cdr["amount"]).into());
    compare("talked_s", want.talked_s.map(Value::from), talked_us.div_ceil(1_000_000).into());
    found
}

fn compare_money(
    tandem: &Tandem,
    cdrs: &[Value],
    expect: &Expect,
    complaints: &mut Vec<String>,
) -> Result<(), String> {
    let sum = |direction: &str| -> i64 {
        let legs = cdrs.iter().filter(|c| c["direction"] == direction);
        legs.map(|c| micros(&c["amount"])).sum()
    };
    for (what, want, is) in
        [("charged", &expect.charged, sum("ingress")), ("cost", &expect.cost, sum("egress"))]
    {
        if let Some(want) = want
            && micros(&Value::from(want.as_str())) != is
        {
            complaints.push(format!("{what} is {is} micro-units, not {want}"));
        }
    }
    let answered: Vec<&Value> = cdrs
        .iter()
        .filter(|c| c["direction"] == "ingress" && !c["answered_at"].is_null())
        .collect();
    if let Some(want) = expect.answered
        && want != answered.len() as u64
    {
        complaints.push(format!("{} calls were answered, not {want}", answered.len()));
    }
    let name = expect.charged_account.as_deref().unwrap_or("retail");
    if let Some(want) = &expect.balance {
        let account = tandem.json(&format!("account show {name}"))?;
        let balance = &account["balance"];
        if balance != want || micros(balance) < 0 {
            complaints.push(format!("{name} has a balance of {balance}, not {want}"));
        }
        for cdr in answered.iter().filter(|c| c["billed_s"].as_u64() < c["talked_s"].as_u64()) {
            complaints.push(format!("{} talked without paying: {cdr}", cdr["call"]));
        }
    }
    if let Some(charged) = &expect.charged {
        let account = tandem.json(&format!("account show {name}"))?;
        let debits = micros(&account["debits_posted"]);
        if debits != micros(&Value::from(charged.as_str())) {
            complaints.push(format!("{name} was debited {debits} micro-units, not {charged}"));
        }
        if micros(&account["debits_pending"]) != 0 {
            complaints.push(format!("{name} has {} pending", account["debits_pending"]));
        }
    }
    Ok(())
}

/// `"0.020000"` → 20,000.
pub(crate) fn micros(amount: &Value) -> i64 {
    let text = amount.as_str().unwrap_or("0");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction:0<6}");
    digits.parse().unwrap_or(0)
}

fn explain(
    tandem: &Tandem,
    cdrs: &[Value],
    code: &str,
    complaints: &mut Vec<String>,
) -> Result<(), String> {
    for cdr in cdrs.iter().filter(|c| c["leg"] == 0) {
        if says(tandem, cdr, code)? {
            return Ok(());
        }
    }
    complaints.push(format!("no call’s `why` says {code}"));
    Ok(())
}

fn explain_all(
    tandem: &Tandem,
    cdrs: &[Value],
    texts: &[String],
    complaints: &mut Vec<String>,
) -> Result<(), String> {
    let mut told = String::new();
    for cdr in cdrs.iter().filter(|c| c["leg"] == 0) {
        let call = cdr["call"].as_str().unwrap_or_default();
        told = tandem.command(&format!("why {call}"))?;
        if texts.iter().all(|text| told.contains(text.as_str())) {
            return Ok(());
        }
    }
    let missing: Vec<&String> = texts.iter().filter(|text| !told.contains(text.as_str())).collect();
    complaints.push(format!("no call’s `why` says {missing:?}; the last says:\n{told}"));
    Ok(())
}

/// Whether the `why` of this CDR's call has this decision.
fn says(tandem: &Tandem, cdr: &Value, code: &str) -> Result<bool, String> {
    let why = tandem.json(&format!("why {}", cdr["call"].as_str().unwrap_or_default()))?;
    Ok(why.to_string().contains(&format!("\"{code}\"")))
}
