//! The servers under test, started on core 0 with their state in a temporary folder.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::everything;
use crate::process::Server;
use crate::sipp::{CLD, PASSWORD, UAS_PORT, USER};

pub(crate) const TANDEM_PORT: u16 = 5060;
pub(crate) const KAMAILIO_PORT: u16 = 5070;
pub(crate) const REGISTRAR_PORT: u16 = 5071;
const API_PORT: u16 = 8095;
const REALM: &str = "load.test";
/// What customers pay and what the carrier takes.
const RATES: &str = "\
prefix,destination,price,first_increment,next_increment
44,United Kingdom,0.60,1,1
49,Germany,0.60,60,60
";

/// What the calls of a bench's Tandem have to pass.
#[derive(Clone, Copy)]
pub(crate) enum Features {
    /// One prepaid account that will not run dry, one rate, one carrier.
    Few,
    /// See `everything`.
    All,
}

/// Tandem with one worker.
pub(crate) fn tandem(dir: &Path, features: Features) -> Result<Server, String> {
    let config = dir.join("tandem.toml");
    fs::write(&config, tandem_config(dir)).map_err(|e| format!("{}: {e}", config.display()))?;
    let log = fs::File::create(dir.join("tandem.log")).map_err(|e| e.to_string())?;
    let mut command = Command::new("taskset");
    command
        .args(["-c", "0"])
        .arg(crate::binary("tandem"))
        .arg("--config")
        .arg(&config)
        .args(["run", "--no-demo"])
        .stdout(Stdio::null())
        .stderr(log);
    let mut server = Server::start("tandem", &mut command)?;
    server.wait_until(|| TcpStream::connect(("127.0.0.1", API_PORT)).is_ok())?;
    provision(dir, &config, features)?;
    Ok(server)
}

fn tandem_config(dir: &Path) -> String {
    let data = dir.join("data");
    format!(
        r#"data_directory = "{}"
realm = "{REALM}"
workers = 1

[[listener]]
transport = "udp"
address = "127.0.0.1:{TANDEM_PORT}"

[api]
address = "127.0.0.1:{API_PORT}"

[log]
level = "warn"
"#,
        data.display()
    )
}

/// Filled through its command line, as an operator would.
fn provision(dir: &Path, config: &Path, features: Features) -> Result<(), String> {
    let rates = dir.join("rates.csv");
    fs::write(&rates, RATES).map_err(|e| format!("{}: {e}", rates.display()))?;
    let mut lines = vec![
        format!("rates import {} --group standard", rates.display()),
        "account add load --prepaid --rate-group standard".to_owned(),
        "topup load 100000000".to_owned(),
        format!("subscriber add {USER} --account load --password {PASSWORD}"),
    ];
    match features {
        Features::Few => lines.extend([
            "account add carrier --postpaid --carrier-rate-group standard".to_owned(),
            format!(
                "trunk add carrier --account carrier --host 127.0.0.1 --port {UAS_PORT} \
                 --transport udp"
            ),
            format!("route add {} --trunk carrier", &CLD[..2]),
        ]),
        Features::All => lines.extend(everything::commands(dir)?),
    }
    lines.iter().try_for_each(|line| command(config, line))
}

/// Further subscribers of the load account, with the password that all have.
pub(crate) fn add_subscribers(dir: &Path, users: &[String]) -> Result<(), String> {
    let config = dir.join("tandem.toml");
    // Each of them registers many times a second here, which no phone does.
    command(&config, "security set registers_of_subscriber_max 0")?;
    for user in users {
        command(&config, &format!("subscriber add {user} --account load --password {PASSWORD}"))?;
    }
    Ok(())
}

fn command(config: &Path, line: &str) -> Result<(), String> {
    let output = Command::new(crate::binary("tandem"))
        .arg("--config")
        .arg(config)
        .args(line.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("`tandem {line}` failed: {error}"))
}

/// Kamailio from Debian with load.d/kamailio.cfg.
pub(crate) fn kamailio() -> Result<Server, String> {
    kamailio_with("kamailio.cfg", KAMAILIO_PORT)
}

/// Kamailio from Debian with load.d/registrar.cfg.
pub(crate) fn kamailio_registrar() -> Result<Server, String> {
    kamailio_with("registrar.cfg", REGISTRAR_PORT)
}

fn kamailio_with(config: &str, port: u16) -> Result<Server, String> {
    let config: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("load.d").join(config);
    let mut command = Command::new("taskset");
    command
        .args(["-c", "0", "kamailio", "-DD", "-E", "-m", "512", "-M", "64", "-w", "/tmp", "-f"])
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut server = Server::start("kamailio (Debian package kamailio)", &mut command)?;
    // It opens no TCP port to ask: wait until its worker has been forked and has read its config.
    server.wait_until(|| {
        let listening = fs::read_to_string("/proc/net/udp").unwrap_or_default();
        listening.contains(&format!(":{port:04X} "))
    })?;
    Ok(server)
}
