//! The part of `sipp-scenarios/README.md` that is made from the scenarios: for each what it proves
//! and the plain `sipp` command lines. A test says when it is not what the scenarios say.

use std::fmt::Write as _;
use std::fs;

use super::scenario::{self, Scenario, Sipp};
use super::scenarios_dir;
use super::stage::{self, PORT_FIRST, password};
use super::world::with_codes;

const MARK: &str = "<!-- From here on written by `cargo xtask scenarios --readme`; change scenario.toml instead. -->\n";

/// Writes it.
pub(super) fn write() -> Result<(), String> {
    let path = scenarios_dir().join("README.md");
    let text = renewed()?;
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// The README with the part that is made from the scenarios as they are now.
fn renewed() -> Result<String, String> {
    let dir = scenarios_dir();
    let old = stage::read(&dir.join("README.md"))?;
    let Some((by_hand, _)) = old.split_once(MARK) else {
        return Err(format!("sipp-scenarios/README.md has lost its line {MARK}"));
    };
    let mut text = format!("{by_hand}{MARK}");
    for scenario in scenario::read_all(&dir)? {
        describe(&mut text, &scenario);
    }
    Ok(text)
}

fn describe(text: &mut String, scenario: &Scenario) {
    let Scenario { name, verifies, rows, setup, .. } = scenario;
    let _ = write!(text, "\n### {name}\n\n{verifies} ({})\n\n```sh\n", rows.join(", "));
    for key in setup.configuration() {
        let _ = writeln!(text, "# needs in tandem.toml: {}", with_ports(&key));
    }
    for (file, contents) in &setup.files {
        let _ = writeln!(text, "cat > {file} <<'END'\n{}\nEND", contents.trim());
    }
    for line in setup.changes() {
        let words: Vec<String> = with_ports(&line).split_whitespace().map(quoted).collect();
        let _ = writeln!(text, "tandem {}", words.join(" "));
    }
    // In the order in which the runner starts them.
    let (first, later): (Vec<&Sipp>, Vec<&Sipp>) = scenario.sipp.iter().partition(|s| s.first);
    let (callees, callers): (Vec<&Sipp>, Vec<&Sipp>) =
        later.into_iter().partition(|s| s.is_callee());
    for sipp in first {
        command(text, name, sipp, "");
    }
    let last = callers.len().checked_sub(1).filter(|_| scenario.phone.is_empty());
    for sipp in callees {
        command(text, name, sipp, " &");
    }
    for line in &setup.commands_when_listening {
        let _ = writeln!(text, "tandem {}", with_ports(line));
    }
    for (n, sipp) in callers.into_iter().enumerate() {
        command(text, name, sipp, if Some(n) == last { "" } else { " &" });
    }
    if scenario.setup.signer {
        text.push_str(
            "# PASSPORT is one of now; the runner signs it and serves its certificate.\n",
        );
    }
    if !scenario.phone.is_empty() {
        let number = name.split('.').next().unwrap_or(name);
        let _ = writeln!(text, "./run {number}. --target $TARGET   # SIPp cannot play this phone");
    }
    text.push_str("```\n");
}

fn command(text: &mut String, name: &str, sipp: &Sipp, end: &str) {
    let port = scenario::port(PORT_FIRST, &sipp.port);
    let mut line = format!("sipp -sf {name}/{} -i $LOCAL -p {port}", sipp.scenario);
    if let Some(file) = users(text, sipp) {
        let _ = write!(line, " -inf {file}");
    }
    if !sipp.is_callee() && !sipp.scenario.starts_with("register") {
        let _ = write!(line, " -s {}", sipp.service.as_deref().unwrap_or(scenario::CLD));
    }
    let _ = write!(line, " -m {}", sipp.calls);
    if sipp.rate > 1 {
        let _ = write!(line, " -r {}", sipp.rate);
    }
    let to = match sipp.transport.as_deref() {
        Some("tls") => " -t l1 $TLS",
        Some("tcp") if sipp.is_callee() => " -t t1",
        Some("tcp") => " -t t1 $TARGET",
        _ if sipp.is_callee() => "",
        _ => " $TARGET",
    };
    let _ = writeln!(text, "{line}{to}{end}");
}

/// The line that makes its injection file, and the file's name; none if it needs none.
fn users(text: &mut String, sipp: &Sipp) -> Option<String> {
    if sipp.user.is_none() && sipp.fields.is_none() {
        return None;
    }
    let user = sipp.user.as_deref().unwrap_or("nobody");
    let fields = sipp.fields.as_deref().unwrap_or("").split_whitespace();
    let fields: Vec<String> = fields.map(|name| field(user, name)).collect();
    let fields = fields.join(";");
    let more = if fields.is_empty() { String::new() } else { format!(" '{fields}'") };
    let _ = writeln!(text, "user {user} {}{more}", password(user));
    Some(format!("{user}.csv"))
}

fn field(user: &str, name: &str) -> String {
    match name {
        "password" => password(user),
        // Of the moment when it is used; only the runner makes one.
        "passport" => "PASSPORT".to_owned(),
        port => scenario::port(PORT_FIRST, port).to_string(),
    }
}

/// JSON, so that the shell leaves it alone.
fn quoted(word: &str) -> String {
    if word.contains(['{', '"']) { format!("'{word}'") } else { word.to_owned() }
}

fn with_ports(line: &str) -> String {
    let mut line = with_codes(&line.replace("{local}", "$LOCAL"));
    for name in scenario::PORT_NAMES {
        line = line.replace(&format!("{{{name}}}"), &scenario::port(PORT_FIRST, name).to_string());
    }
    while let Some((before, rest)) = line.split_once("{password:") {
        let (user, after) = rest.split_once('}').unwrap_or((rest, ""));
        line = format!("{before}{}{after}", password(user));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_says_what_the_scenarios_say() {
        let path = scenarios_dir().join("README.md");
        let is = stage::read(&path).expect("it is in the repository");
        let wanted = renewed().expect("the scenarios can be read");
        let differs = is.lines().zip(wanted.lines()).find(|(is, wanted)| is != wanted);
        assert!(
            is == wanted,
            "run `cargo xtask scenarios --readme`; first difference: {differs:?}"
        );
    }
}
