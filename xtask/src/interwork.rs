//! Real parts from Debian against a fresh Tandem, in networks of their own: two telephones behind
//! routers that translate addresses, and Kamailio as the proxy in front of Tandem and behind it.
//!
//! All of it happens in network namespaces that nobody else sees and that go when it ends: the run
//! starts itself again inside one (`unshare`), which takes root, or a system that lets users do that.

mod kamailio;
mod nat;
mod network;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::scenarios::scenario::Setup;
use crate::scenarios::stage::Stage;
use crate::scenarios::tandem::{self, Tandem};
use crate::softphones::{baresip, linphone};
use network::{CARRIER, Internet, TANDEM};

const USAGE: &str =
    "usage: cargo xtask interwork [nat|kamailio] [--binary PATH] [--keep] [--where-possible]";
/// What the run inside the namespace is called with first.
const INSIDE: &str = "--inside";
/// A network, mounts and processes of its own; all end with it.
const UNSHARE: &[&str] =
    &["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Makes one of everything that the networks are made of: kernels lack some, and containers forbid it.
const TRIAL: &str = "mount --make-rprivate / && mount -t tmpfs tmpfs /run \
    && ip link add wan type bridge && ip link add here type veth peer name there && ip netns add trial \
    && nft 'table ip trial { chain out { type nat hook postrouting priority 100; masquerade random; }; }' \
    && test -w /proc/sys/net/netfilter/nf_conntrack_udp_timeout";

struct Options {
    parts: Vec<&'static str>,
    binary: PathBuf,
    keep: bool,
    /// Whether to leave all of it out, and say so, where no such networks can be made.
    where_possible: bool,
    /// Where the run inside the namespace keeps its files; `None` outside.
    inside: Option<PathBuf>,
}

/// Runs all of it; the closing line counts passed and failed.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let options = options(args)?;
    if let Some(dir) = &options.inside {
        return inside(&options, dir);
    }
    let unshare = match private() {
        Ok(unshare) => unshare,
        Err(why) if options.where_possible => {
            println!("LEFT OUT: {why}");
            return Ok(());
        }
        Err(why) => return Err(why),
    };
    let dir = std::env::temp_dir().join(format!("tandem-interwork-{}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let outcome = outside(&options, &unshare, &dir);
    if options.keep {
        println!("kept {}", dir.display());
    } else {
        let _ = fs::remove_dir_all(&dir);
    }
    outcome
}

fn options(args: &[&str]) -> Result<Options, String> {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_string());
    let binary = Path::new(&target).join("release/tandem");
    let mut options =
        Options { parts: Vec::new(), binary, keep: false, where_possible: false, inside: None };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "nat" => options.parts.push("nat"),
            "kamailio" => options.parts.push("kamailio"),
            "--binary" => options.binary = args.next().ok_or(USAGE)?.into(),
            "--keep" => options.keep = true,
            "--where-possible" => options.where_possible = true,
            INSIDE => options.inside = Some(args.next().ok_or(USAGE)?.into()),
            _ => return Err(USAGE.to_string()),
        }
    }
    if options.parts.is_empty() {
        options.parts = vec!["nat", "kamailio"];
    }
    let there = fs::canonicalize(&options.binary);
    options.binary = there.map_err(|e| format!("{}: {e}", options.binary.display()))?;
    Ok(options)
}

/// Starts ourselves again in a namespace for each part. They mostly wait, so they play at once.
fn outside(options: &Options, unshare: &[&str], dir: &Path) -> Result<(), String> {
    let itself = std::env::current_exe().map_err(|e| e.to_string())?;
    let play = |part: &str| {
        let own = dir.join(part);
        fs::create_dir_all(&own).map_err(|e| format!("{}: {e}", own.display()))?;
        let mut command = Command::new(unshare[0]);
        command.args(&unshare[1..]).arg(&itself).args(["interwork", part]);
        command.arg("--binary").arg(&options.binary).arg(INSIDE).arg(own);
        command.env("PATH", path());
        let played = command.stdin(Stdio::null()).output();
        let played = played.map_err(|e| format!("{}: {e}", unshare[0]))?;
        print!("{}", String::from_utf8_lossy(&played.stdout));
        eprint!("{}", String::from_utf8_lossy(&played.stderr));
        if played.status.success() { Ok(()) } else { Err(format!("{part} failed")) }
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> = options.parts.iter().map(|part| scope.spawn(|| play(part))).collect();
        let played = parts.into_iter().map(|part| part.join().expect("no part panics"));
        let complaints: Vec<String> = played.filter_map(Result::err).collect();
        if complaints.is_empty() { Ok(()) } else { Err(complaints.join(", ")) }
    })
}

/// Most of what is started there lives where the path of users does not lead.
fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// The first way to private networks that this system lets us go. A proof that is left out silently is
/// none, so whoever cannot says why.
fn private() -> Result<Vec<&'static str>, String> {
    let ways: [&[&'static str]; 3] = [&[], &["sudo", "-n"], &["--user", "--map-root-user"]];
    let mut complaints = Vec::new();
    for way in ways {
        let words: Vec<&'static str> = match way {
            ["sudo", ..] => [way, UNSHARE].concat(),
            _ => [UNSHARE, way].concat(),
        };
        let mut probe = Command::new(words[0]);
        let probed =
            probe.args(&words[1..]).args(["sh", "-c", TRIAL]).stdin(Stdio::null()).output();
        match probed {
            Ok(output) if output.status.success() => return Ok(words),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                complaints.push(format!("{}: {}", words.join(" "), said.trim()));
            }
            Err(error) => complaints.push(format!("{}: {error}", words[0])),
        }
    }
    Err(format!(
        "cannot make a network namespace, and without one nothing of this is tested. Run it as root, \
         or with a sudo that asks for no password, or allow users to make namespaces.\n  {}",
        complaints.join("\n  ")
    ))
}

/// A Tandem on the open internet with the world of the scenarios and two telephones in it.
fn start_tandem(binary: &Path, dir: &Path, keep_alive_s: u64) -> Result<Tandem, String> {
    let authority = ["-keyout", "authority.key", "-out", "authority.pem", "-subj", "/CN=Authority"];
    tandem::openssl(dir, &authority, "keyUsage=critical,keyCertSign")?;
    let ours = ["-keyout", "tls.key", "-out", "tls.crt", "-subj", "/CN=tandem.test"];
    let signed = ["-CA", "authority.pem", "-CAkey", "authority.key"];
    let kind = ["-addext", "basicConstraints=CA:FALSE"];
    // Mbed TLS, which linphone has, finds an IP address only where names are.
    let names = format!("subjectAltName=IP:{TANDEM},DNS:{TANDEM}");
    tandem::openssl(dir, &[&ours[..], &signed[..], &kind[..]].concat(), &names)?;
    let config = format!(
        r#"data_directory = "data"
realm = "tandem.test"
workers = 2

[[listener]]
transport = "udp"
address = "{TANDEM}:5060"

[[listener]]
transport = "tcp"
address = "{TANDEM}:5060"

[[listener]]
transport = "tls"
address = "{TANDEM}:5061"
certificate = "tls.crt"
key = "tls.key"

[registrations]
nat_keep_alive_s = {keep_alive_s}

[api]
address = "127.0.0.1:8080"
"#
    );
    let tandem = Tandem::start_configured(binary, dir, 5060, &config)?;
    let stage = Stage::between(SocketAddr::new(TANDEM, 5060), CARRIER);
    tandem.provision_on(&stage, &Setup::default())?;
    for user in [baresip::NUMBER, linphone::NUMBER] {
        let password = tandem::password(user);
        tandem.command(&format!(
            "subscriber add {user} --account retail --password {password} --number {user}"
        ))?;
    }
    tandem.command("trace start --account retail --seconds 600")?;
    Ok(tandem)
}

/// What telephones and Kamailio have sent and got is in the capture file, and tshark has nothing
/// against any of it.
fn trace_is_read(tandem: &Tandem) -> Result<(), String> {
    const FILE: &str = "retail.pcapng";
    tandem.command(&format!("trace save 1 {FILE}"))?;
    let output = Command::new("tshark")
        .arg("-r")
        .arg(tandem.file(FILE))
        // In clear, by whatever they came.
        .args(["-d", "udp.port==5061,sip", "-T", "fields", "-e", "_ws.malformed"])
        .args(["-e", "sip.Method", "-e", "sip.Status-Code", "-e", "frame.protocols"])
        .output()
        .map_err(|e| format!("cannot run tshark (its Debian package): {e}"))?;
    if !output.status.success() {
        return Err(format!("     tshark: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let (mut messages, mut wrong) = (0, Vec::new());
    let mut missing = vec!["REGISTER", "INVITE", "ACK", "CANCEL", "BYE", "INFO", "REFER", "NOTIFY"];
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [malformed, method, status, protocols] = fields[..] else {
            return Err(format!("     tshark says {line:?}"));
        };
        messages += 1;
        missing.retain(|name| *name != method);
        let is_sip = !method.is_empty() || !status.is_empty();
        if !malformed.is_empty() || !is_sip || !protocols.contains(":sip") {
            wrong.push(line);
        }
    }
    if !missing.is_empty() || !wrong.is_empty() {
        return Err(format!(
            "     {messages} messages, none with {missing:?}; malformed: {wrong:#?}"
        ));
    }
    println!("      {messages} messages, none malformed");
    Ok(())
}

/// Plays one part; how many steps failed is in the error.
fn inside(options: &Options, dir: &Path) -> Result<(), String> {
    let mut internet = Internet::make()?;
    let failed = match options.parts[..] {
        ["nat"] => nat::all_steps(&options.binary, dir, &mut internet)?,
        ["kamailio"] => kamailio::all_steps(&options.binary, dir, &internet)?,
        _ => return Err(USAGE.to_string()),
    };
    if failed == 0 { Ok(()) } else { Err(format!("{failed} steps failed")) }
}
