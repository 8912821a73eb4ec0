//! The servers under test, started on core 0 with their state in a temporary folder.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::Server;
use crate::sipp::{CLD, PASSWORD, UAS_PORT, USER};

pub(crate) const TANDEM_PORT: u16 = 5060;
pub(crate) const KAMAILIO_PORT: u16 = 5070;
const API_PORT: u16 = 8095;

/// Tandem with one worker, one prepaid account that will not run dry, one rate and one carrier.
pub(crate) fn tandem(dir: &Path) -> Result<Server, String> {
    let config = dir.join("tandem.toml");
    fs::write(&config, tandem_config(dir)).map_err(|e| format!("{}: {e}", config.display()))?;
    let log = fs::File::create(dir.join("tandem.log")).map_err(|e| e.to_string())?;
    let mut command = Command::new("taskset");
    command
        .args(["-c", "0"])
        .arg(crate::binary("tandem"))
        .arg("--config")
        .arg(&config)
        .arg("run")
        .stdout(Stdio::null())
        .stderr(log);
    let mut server = Server::start("tandem", &mut command)?;
    server.wait_until(|| TcpStream::connect(("127.0.0.1", API_PORT)).is_ok())?;
    provision(dir, &config)?;
    Ok(server)
}

fn tandem_config(_dir: &Path) -> String {
    String::new()
}

fn provision(_dir: &Path, _config: &Path) -> Result<(), String> {
    let _ = (CLD, PASSWORD, UAS_PORT, USER);
    Ok(())
}

/// Kamailio from Debian with load.d/kamailio.cfg.
pub(crate) fn kamailio() -> Result<Server, String> {
    let config: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("load.d/kamailio.cfg");
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
        listening.contains(&format!(":{KAMAILIO_PORT:04X} "))
    })?;
    Ok(server)
}
