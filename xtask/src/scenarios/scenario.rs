//! `scenario.toml`: what a scenario proves, which SIPp scripts it plays, what must be true after.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::money::ExpectedPosting;
use super::phone::Phone;

/// The number that is called unless the scenario says otherwise.
pub(crate) const CLD: &str = "442079460000";
/// What the ports of a run are for, in their order.
pub(crate) const PORT_NAMES: [&str; 13] = [
    "sip",
    "tls",
    "api",
    "caller",
    "caller2",
    "trunk",
    "callee",
    "second",
    "carrier-a",
    "carrier-b",
    "carrier-c",
    "spare",
    "spare2",
];

/// One folder under `sipp-scenarios`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    #[serde(skip)]
    pub(crate) name: String,
    /// One sentence for the table in the README.
    pub(crate) verifies: String,
    /// Rows of the list of capabilities that it shows.
    pub(crate) rows: Vec<String>,
    #[serde(default)]
    pub(crate) sipp: Vec<Sipp>,
    /// Phones of our own, one after the other when all others play.
    #[serde(default)]
    pub(crate) phone: Vec<Phone>,
    #[serde(default)]
    pub(crate) cdr: Vec<ExpectedCdr>,
    /// The postings of its calls; if there is one here, all of them are.
    #[serde(default)]
    pub(crate) posting: Vec<ExpectedPosting>,
    #[serde(default)]
    pub(crate) setup: Setup,
    #[serde(default)]
    pub(crate) expect: Expect,
}

/// One SIPp process.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sipp {
    pub(crate) scenario: String,
    /// A name from the port table.
    pub(crate) port: String,
    /// Field 0 of the injection file; a subscriber of the world.
    pub(crate) user: Option<String>,
    /// The called number.
    pub(crate) service: Option<String>,
    #[serde(default = "one")]
    pub(crate) calls: u32,
    #[serde(default = "one")]
    pub(crate) rate: u32,
    /// Played to its end before the others start.
    #[serde(default)]
    pub(crate) first: bool,
    /// SIPp’s own verdict does not count: both orders of a race are right, the checks decide.
    #[serde(default)]
    pub(crate) may_fail: bool,
    /// Stopped when the others have ended.
    #[serde(default)]
    pub(crate) background: bool,
    /// `udp` (default), `tcp`, `tls`. An answering side on `tls` is called at the port `spare`.
    pub(crate) transport: Option<String>,
    /// Shows by TLS the certificate for `peer.test`, which the setup has made.
    #[serde(default)]
    pub(crate) shows_certificate: bool,
    /// What becomes fields 3, 4, … of the injection file: names of ports, `password`, or `passport`: one
    /// of now about a call from `user` (`setup.signer`).
    pub(crate) fields: Option<String>,
}

fn one() -> u32 {
    1
}

/// Differences from the shared world.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Setup {
    pub(crate) carrier_a_ring_timeout_s: Option<u32>,
    pub(crate) carrier_a_transport: Option<String>,
    pub(crate) retail_concurrent_out: Option<u32>,
    pub(crate) retail_cps_out: Option<u32>,
    /// Needs more than the usual time limit.
    pub(crate) slow: bool,
    /// A time limit of its own, in seconds: for races after which SIPp may wait for nothing.
    pub(crate) limit_s: Option<u64>,
    /// Responses of carrier-a that end the hunt, separated by commas.
    pub(crate) carrier_a_stop_codes: Option<String>,
    /// Files for the commands, by their names.
    pub(crate) files: BTreeMap<String, String>,
    /// More `tandem` command lines, after those of the world.
    pub(crate) commands: Vec<String>,
    /// And some that are run when the answering sides listen.
    pub(crate) commands_when_listening: Vec<String>,
    /// And some, after all others, that must be refused.
    pub(crate) refused_commands: Vec<String>,
    /// Peers that come by TLS are asked for a certificate: `optional` or `required`. One for
    /// `peer.test` and 127.0.0.1 is made, and who signed it is trusted as a carrier's authority too.
    pub(crate) client_certificate: Option<String>,
    /// `redirect` under `[calls]` in the configuration.
    redirect: Option<String>,
    /// `digest` in the configuration.
    digest: Option<String>,
    /// More lines of the configuration, with dotted keys; names of ports as in commands.
    configuration: Vec<String>,
    /// Somebody else signs callers, and serves the certificate by HTTPS on the port `spare2`. Who vouches
    /// for peers vouches for it, and is believed by Tandem.
    pub(crate) signer: bool,
    /// What a web server on the port `spare2` answers, by path: 200 with this text. It takes other
    /// requests and never answers them.
    pub(crate) web: BTreeMap<String, String>,
    /// Listen as a Homer on the port `spare2` (`[expect.hep]`).
    pub(crate) homer: bool,
}

impl Setup {
    /// `tandem` command lines that change the world for this scenario.
    pub(crate) fn changes(&self) -> Vec<String> {
        let mut changes = Vec::new();
        if let Some(seconds) = self.carrier_a_ring_timeout_s {
            changes.push(format!("trunk set carrier-a --ring-timeout {seconds}"));
        }
        if let Some(transport) = &self.carrier_a_transport {
            changes.push(format!("trunk set carrier-a --transport {transport}"));
        }
        if let Some(codes) = &self.carrier_a_stop_codes {
            changes.push(format!("trunk set carrier-a --stop-codes {codes}"));
        }
        if let Some(limit) = self.retail_concurrent_out {
            changes.push(format!("account set retail --in-concurrent {limit}"));
        }
        if let Some(limit) = self.retail_cps_out {
            changes.push(format!("account set retail --in-cps {limit}"));
        }
        changes.extend_from_slice(&self.commands);
        changes
    }

    /// What the configuration must say, in TOML with dotted keys.
    pub(crate) fn configuration(&self) -> Vec<String> {
        let redirect = self.redirect.iter().map(|word| format!("calls.redirect = \"{word}\""));
        let digest = self.digest.iter().map(|word| format!("digest = \"{word}\""));
        let trusts = self.client_certificate.is_some() || self.signer;
        let trust = trusts.then(|| "sip.tls_trust = [\"peers.pem\"]".into());
        let believed = ["stir.roots = \"peers.pem\"", "stir.private_hosts = [\"127.0.0.1\"]"];
        let believed = believed.iter().filter(|_| self.signer).map(|line| (*line).into());
        let written = self.configuration.iter().cloned();
        redirect.chain(digest).chain(trust).chain(believed).chain(written).collect()
    }
}

/// One CDR, found by its leg; only what is written here is compared.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedCdr {
    pub(crate) leg: u64,
    pub(crate) account: Option<String>,
    pub(crate) cause: Option<String>,
    pub(crate) sip_status: Option<u64>,
    pub(crate) answered: Option<bool>,
    /// Talk time rounded up to whole seconds.
    pub(crate) talked_s: Option<u64>,
    /// The caller's number on this leg.
    pub(crate) cli: Option<String>,
    /// What it was charged or paid.
    pub(crate) amount: Option<String>,
    /// A decision code that must occur in the `why` of its call.
    pub(crate) decision: Option<String>,
}

/// What must be true after the last message.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expect {
    /// Sum of all charges, as printed.
    pub(crate) charged: Option<String>,
    /// Whose balance fell by that; `retail` if not said.
    pub(crate) charged_account: Option<String>,
    /// What that account has in the end; never negative, and every second talked is billed.
    pub(crate) balance: Option<String>,
    /// Calls that were answered, of however many.
    pub(crate) answered: Option<u64>,
    /// Sum of all costs.
    pub(crate) cost: Option<String>,
    /// Contacts registered at the end.
    pub(crate) registered: Option<u64>,
    /// Networks banned at the end.
    pub(crate) bans: Option<u64>,
    /// Number of CDRs.
    pub(crate) legs: Option<u64>,
    /// Live calls at the end.
    pub(crate) live: Option<u64>,
    /// A decision code that must occur in some call’s `why`.
    pub(crate) refused: Option<String>,
    /// Words that must occur among the decisions of some call’s `why`.
    pub(crate) why: Vec<String>,
    /// Texts that must all occur in what `why` tells of one call.
    pub(crate) explained: Vec<String>,
    /// What these accounts have in the end.
    pub(crate) balances: BTreeMap<String, String>,
    /// What commands must print in the end, in their order.
    pub(crate) printed: Vec<Printed>,
    /// What Homer must have got.
    pub(crate) hep: Option<ExpectedHep>,
}

/// What was exported as HEP.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedHep {
    /// Texts that must each occur in some message.
    pub(crate) has: Vec<String>,
    /// Texts that must occur in none.
    pub(crate) lacks: Vec<String>,
    /// So many Call-IDs have one correlation id.
    pub(crate) together: usize,
}

/// A `tandem` command line and what it must print.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Printed {
    pub(crate) command: String,
    /// The command writes this capture file; looked at is what tshark reads in it, where that is
    /// installed.
    pub(crate) capture: Option<String>,
    /// Texts that must all occur.
    #[serde(default)]
    pub(crate) has: Vec<String>,
    /// Texts that must not.
    #[serde(default)]
    pub(crate) lacks: Vec<String>,
}

impl Sipp {
    /// SIPp's `-t`.
    pub(crate) fn transport_flag(&self) -> &'static str {
        match self.transport.as_deref() {
            Some("tcp" | "tls") => "t1",
            _ => "u1",
        }
    }

    /// Whether it answers calls, so that it must listen before any is made.
    pub(crate) fn is_callee(&self) -> bool {
        self.scenario.starts_with("uas")
    }
}

/// The port that `name` has in the run whose first port is `base`.
pub(crate) fn port(base: u16, name: &str) -> u16 {
    let index = PORT_NAMES.iter().position(|n| *n == name);
    base + index.unwrap_or_else(|| panic!("no port is called {name}")) as u16
}

/// Every scenario, in the order of their numbers.
pub(crate) fn read_all(dir: &Path) -> Result<Vec<Scenario>, String> {
    let entries = fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut scenarios = Vec::new();
    for entry in entries {
        let folder = entry.map_err(|e| e.to_string())?.path();
        let file = folder.join("scenario.toml");
        if !file.is_file() {
            continue;
        }
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let mut scenario: Scenario =
            toml::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
        scenario.name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        scenarios.push(scenario);
    }
    scenarios.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(scenarios)
}
