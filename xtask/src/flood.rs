//! Random bytes, mutilated SIP and half-open TCP connections from one source while another places
//! ordinary calls: none of those may be lost.

use std::fs;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::scenarios::scenario::{self, Setup};
use crate::scenarios::tandem::{self, Tandem};

const BASE_PORT: u16 = 20_600;
const CALLS_PER_SECOND: u32 = 20;
/// Datagrams of rubbish a second; far above what a phone sends, below what fills the loopback.
const RUBBISH_PER_SECOND: u64 = 4_000;

/// Floods for as long as asked for.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let seconds: u32 = match args.first() {
        Some(text) => text.parse().map_err(|_| format!("{text} is not a number of seconds"))?,
        None => 20,
    };
    let dir = std::env::temp_dir().join(format!("tandem-flood-{}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let outcome = flood(&dir, seconds);
    let _ = fs::remove_dir_all(&dir);
    outcome
}

fn flood(dir: &Path, seconds: u32) -> Result<(), String> {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_string());
    let binary = PathBuf::from(target).join("release/tandem");
    let mut tandem = Tandem::start(&binary, dir, BASE_PORT)?;
    tandem.provision(&Setup::default())?;
    tandem.command("topup retail 1000000 --key flood-test")?;
    let done = AtomicBool::new(false);
    let sent = AtomicU64::new(0);
    let opened = AtomicU64::new(0);
    let lost = std::thread::scope(|scope| {
        scope.spawn(|| rubbish(&done, &sent));
        scope.spawn(|| half_open(&done, &opened));
        let lost = calls(dir, seconds);
        done.store(true, Ordering::Relaxed);
        lost
    })?;
    let calls = seconds * CALLS_PER_SECOND;
    tandem.stop()?;
    tandem.command("ledger check")?;
    println!(
        "flood: {} datagrams of rubbish, {} half-open connections, {calls} calls, {lost} lost",
        sent.load(Ordering::Relaxed),
        opened.load(Ordering::Relaxed)
    );
    if lost == 0 { Ok(()) } else { Err(format!("{lost} of {calls} calls were lost")) }
}

/// How many of the ordinary calls failed.
fn calls(dir: &Path, seconds: u32) -> Result<u32, String> {
    let load = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/load.d");
    let line = format!(
        "SEQUENTIAL\n1001;[authentication username=1001 password={}]\n",
        tandem::password("1001")
    );
    fs::write(dir.join("users.csv"), line).map_err(|e| e.to_string())?;
    let sipp = |script: &str, port: &str| {
        let mut command = Command::new("sipp");
        command
            .arg(format!("127.0.0.1:{BASE_PORT}"))
            .args(["-i", "127.0.0.1", "-nostdin", "-s", scenario::CLD, "-inf", "users.csv", "-sf"])
            .arg(load.join(script))
            .args(["-p", &scenario::port(BASE_PORT, port).to_string()])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    let started = |e| format!("cannot start sipp (Debian package sip-tester): {e}");
    let mut carrier = sipp("uas.xml", "carrier-a").spawn().map_err(started)?;
    let total = seconds * CALLS_PER_SECOND;
    let status = sipp("uac.xml", "caller")
        .args(["-m", &total.to_string(), "-r", &CALLS_PER_SECOND.to_string(), "-d", "1000"])
        .args(["-trace_stat", "-stf", "stat.csv", "-fd", "1"])
        .args(["-timeout", &format!("{}s", seconds + 60)])
        .status()
        .map_err(started)?;
    let _ = carrier.kill();
    let _ = carrier.wait();
    let text = fs::read_to_string(dir.join("stat.csv")).unwrap_or_default();
    let header: Vec<&str> = text.lines().next().unwrap_or("").split(';').collect();
    let last: Vec<&str> = text.lines().last().unwrap_or("").split(';').collect();
    let column = header.iter().position(|h| *h == "SuccessfulCall(C)");
    let succeeded: u32 = column.and_then(|c| last.get(c)).and_then(|v| v.parse().ok()).unwrap_or(0);
    if succeeded == 0 {
        return Err(format!("no call succeeded at all; sipp ended with {status}"));
    }
    Ok(total - succeeded.min(total))
}

fn rubbish(done: &AtomicBool, sent: &AtomicU64) {
    let Ok(socket) = UdpSocket::bind("127.0.0.1:0") else { return };
    let target = ("127.0.0.1", BASE_PORT);
    let invite = format!(
        "INVITE sip:44@127.0.0.1:{BASE_PORT} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\n\
         From: <sip:x@y>;tag=1\r\nTo: <sip:44@z>\r\nCall-ID: rubbish\r\nCSeq: 1 INVITE\r\n\
         Max-Forwards: 70\r\nContact: <sip:x@127.0.0.1:9>\r\nContent-Length: 0\r\n\r\n"
    );
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    while !done.load(Ordering::Relaxed) {
        for _ in 0..RUBBISH_PER_SECOND / 100 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let datagram = if state & 1 == 0 {
                (0..state % 1200).map(|i| (state.rotate_left(i as u32 % 64) >> 3) as u8).collect()
            } else {
                mutilated(&invite, state)
            };
            if socket.send_to(&datagram, target).is_ok() {
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A valid INVITE with one byte changed, one run removed, and a Call-ID of its own.
fn mutilated(invite: &str, random: u64) -> Vec<u8> {
    let mut bytes = invite.replace("rubbish", &format!("rubbish-{random}")).into_bytes();
    let at = random as usize % bytes.len();
    bytes[at] = (random >> 17) as u8;
    let cut = (random >> 9) as usize % bytes.len();
    let length = (random >> 25) as usize % 20;
    bytes.drain(cut..(cut + length).min(bytes.len()));
    bytes
}

/// Connections that say half a request and then nothing; old ones are dropped as new ones come.
fn half_open(done: &AtomicBool, opened: &AtomicU64) {
    let mut open = std::collections::VecDeque::new();
    while !done.load(Ordering::Relaxed) {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", BASE_PORT)) {
            let _ = stream.write_all(b"INVITE sip:44@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP ");
            opened.fetch_add(1, Ordering::Relaxed);
            open.push_back(stream);
        }
        if open.len() > 500 {
            open.pop_front();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
