//! A Tandem of our own: a fresh data directory, ports of this run, filled through its command line
//! like an operator would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::scenario::{Setup, port};
use super::stage::Stage;
pub(crate) use super::stage::password;
use super::stir;
use super::world::World;

/// A running Tandem.
pub(crate) struct Tandem {
    binary: PathBuf,
    dir: PathBuf,
    base: u16,
    /// Before every command.
    options: &'static [&'static str],
    /// What starts it.
    run: &'static [&'static str],
    child: Option<Child>,
}

const CONFIGURED: &[&str] = &["--config", "tandem.toml"];

impl Tandem {
    /// Starts with an empty data directory under `dir` and waits until it answers.
    pub(crate) fn start(binary: &Path, dir: &Path, base: u16) -> Result<Tandem, String> {
        Tandem::start_on(binary, dir, base, None)
    }

    /// The same with its tables on PostgreSQL.
    pub(crate) fn start_on(
        binary: &Path,
        dir: &Path,
        base: u16,
        database: Option<&str>,
    ) -> Result<Tandem, String> {
        Tandem::start_with(binary, dir, base, database, &Setup::default())
    }

    /// The same with what a scenario wants in the configuration.
    pub(crate) fn start_with(
        binary: &Path,
        dir: &Path,
        base: u16,
        database: Option<&str>,
        setup: &Setup,
    ) -> Result<Tandem, String> {
        let binary = fs::canonicalize(binary).map_err(|e| format!("{}: {e}", binary.display()))?;
        certificate(dir)?;
        if setup.client_certificate.is_some() || setup.signer {
            peers_certificate(dir)?;
        }
        if setup.signer {
            stir::certificate(dir)?;
        }
        let config = config(base, database, setup);
        Tandem::start_configured(&binary, dir, base, &config)
    }

    /// With a configuration of the caller's.
    pub(crate) fn start_configured(
        binary: &Path,
        dir: &Path,
        base: u16,
        config: &str,
    ) -> Result<Tandem, String> {
        fs::write(dir.join("tandem.toml"), config).map_err(|e| e.to_string())?;
        let (binary, dir) = (binary.into(), dir.into());
        let run = &["run", "--no-demo"];
        Tandem { binary, dir, base, options: CONFIGURED, run, child: None }.started()
    }

    /// As whoever tries it first starts it: in an empty folder, without a word.
    pub(crate) fn start_as_it_comes(binary: &Path, dir: &Path) -> Result<Tandem, String> {
        let (binary, dir) = (binary.into(), dir.into());
        Tandem { binary, dir, base: 5060, options: &[], run: &[], child: None }.started()
    }

    fn started(mut self) -> Result<Tandem, String> {
        self.launch()?;
        Ok(self)
    }

    /// Starts the process on the data directory as it is, and waits until it answers.
    pub(crate) fn launch(&mut self) -> Result<(), String> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join("tandem.log"))
            .map_err(|e| e.to_string())?;
        let child = Command::new(&self.binary)
            .args(self.options)
            .args(self.run)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|e| e.to_string())?)
            .stderr(log)
            .spawn()
            .map_err(|e| format!("{}: {e}", self.binary.display()))?;
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if self.command("status").is_ok() {
                return Ok(());
            }
            if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
                return Err(format!("tandem ended at once: {status}\n{}", self.log_tail()));
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        Err(format!("tandem did not answer within 20 s\n{}", self.log_tail()))
    }

    /// Fills in the world and the scenario's differences from it.
    pub(crate) fn provision(&self, setup: &Setup) -> Result<(), String> {
        self.provision_on(&Stage::loopback(self.base), setup)
    }

    /// The same with carriers and customers where this stage has them.
    pub(crate) fn provision_on(&self, stage: &Stage, setup: &Setup) -> Result<(), String> {
        let world = World::read(&super::scenarios_dir())?;
        for (name, sheet) in world.sheets() {
            fs::write(self.dir.join(name), sheet).map_err(|e| e.to_string())?;
        }
        for (name, text) in &setup.files {
            fs::write(self.dir.join(name), text.trim_start()).map_err(|e| e.to_string())?;
        }
        for line in world.commands(stage, setup) {
            self.command(&line)?;
        }
        let mut refused = setup.refused_commands.iter();
        match refused.find(|line| self.command(line).is_ok()) {
            Some(line) => Err(format!("     `tandem {line}` must be refused")),
            None => Ok(()),
        }
    }

    /// One `tandem` command line; its words must not contain spaces. `{code:FILE}` is what stands
    /// last in a file that a command before has written.
    pub(crate) fn command(&self, line: &str) -> Result<String, String> {
        let mut line = line.to_owned();
        while let Some((before, rest)) = line.split_once("{code:") {
            let (file, after) = rest.split_once('}').unwrap_or((rest, ""));
            let text = super::stage::read(&self.dir.join(file))?;
            let code = text.trim_end().rsplit([',', '\n']).next().unwrap_or_default();
            line = format!("{before}{code}{after}");
        }
        let output = Command::new(&self.binary)
            .args(self.options)
            .args(line.split_whitespace())
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| e.to_string())?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("     `tandem {line}` failed: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// The same with `--json`.
    pub(crate) fn json(&self, line: &str) -> Result<Value, String> {
        let text = self.command(&format!("{line} --json"))?;
        serde_json::from_str(&text).map_err(|e| format!("     `tandem {line} --json`: {e}: {text}"))
    }

    /// A file that a command has written.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Ends it as systemd would.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(15);
        while Instant::now() < deadline {
            if let Ok(Some(status)) = child.try_wait() {
                let ok = status.success();
                return if ok { Ok(()) } else { Err(format!("     tandem ended with {status}")) };
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
        Err("     tandem did not end within 15 s of SIGTERM".to_string())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends it a signal, such as `-STOP`.
    pub(crate) fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            let _ = Command::new("kill").args([name, &child.id().to_string()]).status();
        }
    }

    /// Was it started, and not killed since?
    pub(crate) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// All that it has printed so far.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(self.dir.join("tandem.log")).unwrap_or_default()
    }

    /// The end of its log, for a failure’s report.
    pub(crate) fn log_tail(&self) -> String {
        let log = self.printed();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(15)..];
        format!("     log:\n{}", tail.join("\n"))
    }
}

impl Drop for Tandem {
    fn drop(&mut self) {
        self.kill();
    }
}

fn config(base: u16, database: Option<&str>, setup: &Setup) -> String {
    let wanted = Stage::loopback(base).filled_in(&setup.configuration().join("\n"));
    let database = database.map(|url| format!("[database]\nurl = \"{url}\"\n")).unwrap_or_default();
    let asks = |word| format!("client_ca = \"peers.pem\"\nclient_certificate = \"{word}\"");
    let clients = setup.client_certificate.as_ref().map(asks).unwrap_or_default();
    let sip = port(base, "sip");
    let tls = port(base, "tls");
    let api = port(base, "api");
    format!(
        r#"{wanted}
data_directory = "data"
realm = "tandem.test"
workers = 2

[[listener]]
transport = "udp"
address = "127.0.0.1:{sip}"

[[listener]]
transport = "tcp"
address = "127.0.0.1:{sip}"

[[listener]]
transport = "tls"
address = "127.0.0.1:{tls}"
certificate = "tls.crt"
key = "tls.key"
{clients}

[api]
address = "127.0.0.1:{api}"

{database}"#
    )
}

/// A self-signed certificate for the TLS listener and for SIPp.
pub(crate) fn certificate(dir: &Path) -> Result<(), String> {
    let names = "subjectAltName=IP:127.0.0.1";
    openssl(dir, &["-keyout", "tls.key", "-out", "tls.crt", "-subj", "/CN=localhost"], names)
}

/// Who vouches for peers (`peers.pem`), and a certificate from there for `peer.test` and 127.0.0.1.
fn peers_certificate(dir: &Path) -> Result<(), String> {
    let authority = ["-keyout", "peers.key", "-out", "peers.pem", "-subj", "/CN=Peers"];
    openssl(dir, &authority, "keyUsage=critical,keyCertSign")?;
    let peer = ["-keyout", "peer.key", "-out", "peer.crt", "-subj", "/CN=peer"];
    let signed = ["-CA", "peers.pem", "-CAkey", "peers.key"];
    let kind = ["-addext", "basicConstraints=CA:FALSE"];
    openssl(
        dir,
        &[&peer[..], &signed[..], &kind[..]].concat(),
        "subjectAltName=DNS:peer.test,IP:127.0.0.1",
    )
}

/// Makes a key and what it signs, or is signed for; `args` say which, where and for whom.
pub(crate) fn openssl(dir: &Path, args: &[&str], extension: &str) -> Result<(), String> {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-addext", extension])
        .args(args)
        .current_dir(dir)
        .output()
        .map_err(|e| format!("cannot run openssl: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("openssl: {}", String::from_utf8_lossy(&output.stderr)))
}
