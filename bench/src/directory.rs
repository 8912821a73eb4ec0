//! The bench of a large directory (DESIGN sections 3 and 9): a million accounts, each with a phone.
//! How long from the start of the process to the first call, and from the request that changes one
//! account, phone, trunk or route to the call that it changes.
//!
//! `cargo run --release -p bench --bin directory -- [ACCOUNTS]`; needs UDP 5060 and TCP 8095.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use process::Server;
use store::directory::{
    Account, BillingKind, DirectoryStore, RateGroup, Route, Subscriber, Trunk, digest_secret,
};
use vocabulary::{SubscriberId, Utc};

#[allow(dead_code)]
mod process;

const REALM: &str = "bench.test";
const SIP: &str = "127.0.0.1:5060";
const API: &str = "127.0.0.1:8095";
/// How often each kind of change is made; the slowest counts.
const ROUNDS: usize = 5;

fn main() {
    let accounts = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    if let Err(fault) = run(accounts) {
        eprintln!("directory: {fault}");
        std::process::exit(1);
    }
}

fn run(accounts: u64) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let data = dir.path().join("data");
    fs::create_dir(&data).map_err(|error| error.to_string())?;
    let start = Instant::now();
    runtime.block_on(fill(&data, accounts)).map_err(|error| error.to_string())?;
    say("fill the tables", start.elapsed());

    let socket = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let mut caller = Caller { socket, calls: 0 };
    // The first start also writes down what a start looks at.
    for what in ["start to first call", "start to first call, again"] {
        let start = Instant::now();
        let server = tandem(dir.path(), &data)?;
        let deadline = start + Duration::from_secs(120);
        while caller.call().is_none() {
            if Instant::now() > deadline {
                return Err("no call was answered within 120 s".into());
            }
        }
        say(what, start.elapsed());
        println!("{:<44} {:>9} MiB", "resident", server.resident_bytes() >> 20);
    }

    let _server = tandem(dir.path(), &data)?;
    while caller.call().is_none() {}
    let token = fs::read_to_string(data.join("api-token")).map_err(|error| error.to_string())?;
    changes(&mut caller, token.trim(), accounts)
}

/// Each change, the time until the API has answered, and for that of the calling account the time
/// until a call meets it.
fn changes(caller: &mut Caller, token: &str, accounts: u64) -> Result<(), String> {
    let name = |round: usize| format!("customer{}", 1 + round as u64 * (accounts / ROUNDS as u64));
    slowest("change an account", |round| {
        ask(token, "PATCH", &format!("/accounts/{}", name(round)), r#"{"calls_in_max":7}"#)
    })?;
    slowest("add a subscriber", |round| {
        let body = format!(
            r#"{{"username":"new{round}","account":"{}","password":"3f9a77c1e0"}}"#,
            name(round)
        );
        ask(token, "POST", "/subscribers", &body)
    })?;
    slowest("change a trunk", |round| {
        ask(token, "PATCH", "/trunks/peer", &format!(r#"{{"calls_out_max":{}}}"#, 100 + round))
    })?;
    slowest("add a route", |round| {
        let body = format!(r#"{{"prefix":"44{round}","trunk":"peer","priority":1}}"#);
        ask(token, "POST", "/routes", &body)
    })?;
    for status in ["blocked", "active"] {
        let before = caller.call();
        let start = Instant::now();
        ask(token, "PATCH", "/accounts/peer", &format!(r#"{{"status":"{status}"}}"#))?;
        while caller.call() == before {
            if start.elapsed() > Duration::from_secs(60) {
                return Err(format!("an account is {status} and its calls do not show it"));
            }
        }
        say(&format!("an account is {status}, until a call meets it"), start.elapsed());
    }
    Ok(())
}

fn say(what: &str, took: Duration) {
    println!("{what:<44} {:>9.3} s", took.as_secs_f64());
}

fn slowest(what: &str, mut change: impl FnMut(usize) -> Result<(), String>) -> Result<(), String> {
    let mut worst = Duration::ZERO;
    for round in 0..ROUNDS {
        let start = Instant::now();
        change(round)?;
        worst = worst.max(start.elapsed());
    }
    say(what, worst);
    Ok(())
}

/// A million customers with a phone each, and a peer whose address is the caller's.
async fn fill(data: &Path, accounts: u64) -> Result<(), store::directory::ChangeError> {
    let database = store::DataPaths::new(data).database();
    database.open().await?.close().await;
    let store = DirectoryStore::open(&database).await?;
    let mut change = store.begin().await?;
    change.set_setting("realm", REALM).await?;
    let group = RateGroup::new("standard", "EUR");
    change.add_rate_group(group).await?;
    let peer = Account::new("peer", BillingKind::Postpaid, "EUR", Utc(0));
    let peer = change.add_account(peer).await?;
    let mut trunk = Trunk::new("peer", peer.id, Utc(0));
    trunk.host = Some("127.0.0.1".into());
    trunk.port = Some(9);
    trunk.addresses.push("127.0.0.1".into());
    let trunk = change.add_trunk(trunk).await?;
    let route = Route::new("49", trunk.id, 1);
    change.add_route(route).await?;
    for n in 1..=accounts {
        let mut account =
            Account::new(&format!("customer{n}"), BillingKind::Prepaid, "EUR", Utc(0));
        account.rate_group = Some("standard".into());
        let account = change.add_account(account).await?;
        let username = format!("phone{n}");
        let subscriber = Subscriber {
            id: SubscriberId(0),
            account: account.id,
            account_name: account.name,
            site: None,
            number: format!("4930{n:08}").parse().ok(),
            secret: digest_secret(&username, REALM, "c0ffee-and-tea"),
            username,
            contacts_max: 5,
            created_at: Utc(0),
        };
        change.add_subscriber(subscriber).await?;
    }
    change.commit().await
}

fn tandem(dir: &Path, data: &Path) -> Result<Server, String> {
    let config = dir.join("tandem.toml");
    let text = format!(
        r#"data_directory = "{}"
realm = "{REALM}"
[[listener]]
transport = "udp"
address = "{SIP}"
[api]
address = "{API}"
[log]
level = "warn"
"#,
        data.display()
    );
    fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let binary: PathBuf = own.with_file_name("tandem");
    let mut command = Command::new(binary);
    command.arg("--config").arg(&config).args(["run", "--no-demo"]).stdout(Stdio::null());
    Server::start("tandem", &mut command)
}

/// A peer that calls a number that nobody has, over the trunk with its address.
struct Caller {
    socket: UdpSocket,
    calls: u64,
}

impl Caller {
    /// The status that a new call gets, the first one but 100; `None` if nothing comes.
    fn call(&mut self) -> Option<u16> {
        self.calls += 1;
        let (n, local) = (self.calls, self.socket.local_addr().ok()?);
        let invite = format!(
            "INVITE sip:33123456@{SIP} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKd{n}\r\n\
             From: <sip:1@{local}>;tag={n}\r\nTo: <sip:33123456@{SIP}>\r\nCall-ID: d{n}@bench\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:1@{local}>\r\nMax-Forwards: 70\r\n\
             Content-Length: 0\r\n\r\n"
        );
        // Refused until the socket is there.
        if self.socket.send_to(invite.as_bytes(), SIP).is_err() {
            std::thread::sleep(Duration::from_millis(5));
            return None;
        }
        let deadline = Instant::now() + Duration::from_millis(50);
        let mut buffer = [0; 4096];
        while let left @ 1.. = deadline.saturating_duration_since(Instant::now()).as_millis() {
            let wait = Duration::from_millis(u64::try_from(left).unwrap_or(1));
            self.socket.set_read_timeout(Some(wait)).ok()?;
            let Ok(length) = self.socket.recv(&mut buffer) else { continue };
            let text = String::from_utf8_lossy(&buffer[..length]);
            let is_ours = text.contains(&format!("Call-ID: d{n}@bench"));
            let status = text.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
            if let Some(status) = status.filter(|status| is_ours && *status >= 200) {
                return Some(status);
            }
        }
        None
    }
}

fn ask(token: &str, method: &str, path: &str, body: &str) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("{method} {path}: {error}");
    let mut stream = TcpStream::connect(API).map_err(fail)?;
    let request = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: {API}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).map_err(fail)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(fail)?;
    match answer.split(' ').nth(1) {
        Some("200" | "201") => Ok(()),
        _ => Err(format!("{method} {path}: {answer}")),
    }
}
