//! Random bytes, mutilated SIP and half-open TCP connections from one source while another port of the
//! same address places ordinary calls: none of those may be lost, and nobody is banned, for the source
//! of a datagram may be forged. For a third of the time, at most 20 seconds, the
//! database is locked too: calls go on, and afterwards every one of them has its CDR.

use std::io::{IoSlice, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};

use crate::load::{self, DatabaseLock, Killed, Options};
use crate::scenarios::scenario::Setup;
use crate::scenarios::tandem::Tandem;

const BASE_PORT: u16 = 20_600;
const CALLS_PER_SECOND: u32 = 20;
/// Datagrams of rubbish a second unless `--junk` says otherwise; far above what a phone sends, below what
/// fills the loopback.
const RUBBISH_PER_SECOND: u32 = 4_000;
/// So many different ones are made; then they come again.
const RUBBISH_KINDS: usize = 4_096;
/// Datagrams for one system call.
const BATCH: usize = 64;
/// Rubbish is sent this often a second.
const BEATS_PER_SECOND: u32 = 100;
/// The database is locked no longer than this.
const LOCK_MAX_SECONDS: u32 = 20;
/// How long the tables may take to catch up after the last call.
const PROJECTION_LIMIT: Duration = Duration::from_secs(10);

/// How long calls may take to be gone after the last one.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);

/// Floods for as long as asked for.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let (junk, rest) = match args.iter().position(|arg| *arg == "--junk") {
        None => (RUBBISH_PER_SECOND, args.to_vec()),
        Some(at) => {
            let text = args.get(at + 1).ok_or("--junk needs a number of datagrams a second")?;
            let junk = text.parse().map_err(|_| format!("{text} is not a number of datagrams"))?;
            (junk, [&args[..at], &args[at + 2..]].concat())
        }
    };
    let options = Options::read(&rest, "seconds", 30)?;
    options.in_folder("flood", |dir| flood(&options, junk, dir))
}

fn flood(options: &Options, junk: u32, dir: &Path) -> Result<(), String> {
    let seconds = options.count;
    let mut tandem = Tandem::start(&options.binary, dir, BASE_PORT)?;
    tandem.provision(&Setup::default())?;
    tandem.command("topup retail 1000000 --key flood-test")?;
    let mut carrier = load::sipp(dir, BASE_PORT, "uas.xml", "carrier-a")?;
    let _carrier = Killed(carrier.spawn().map_err(load::no_sipp)?);
    let done = AtomicBool::new(false);
    let sent = AtomicU64::new(0);
    let opened = AtomicU64::new(0);
    let (outcome, locked) = std::thread::scope(|scope| {
        scope.spawn(|| rubbish(junk, &done, &sent));
        scope.spawn(|| half_open(&done, &opened));
        let locked = scope.spawn(|| lock_database(dir, seconds));
        let outcome = calls(dir, seconds);
        done.store(true, Ordering::Relaxed);
        (outcome, locked.join().expect("it does not panic"))
    });
    let (succeeded, missing_in_lock) = (outcome?, locked?);
    let cdrs = cdrs_of(dir, succeeded)?;
    nothing_lives(&tandem)?;
    let muted = nobody_is_banned(&tandem)?;
    tandem.stop()?;
    tandem.command("ledger check")?;
    let calls = seconds * CALLS_PER_SECOND;
    let lost = calls - succeeded.min(calls);
    println!(
        "flood: {} datagrams of rubbish, {} half-open connections; {calls} calls, {lost} lost; \
         {cdrs} CDRs, {missing_in_lock} of them waited for the locked database; {muted} datagrams \
         dropped unanswered",
        sent.load(Ordering::Relaxed),
        opened.load(Ordering::Relaxed)
    );
    if lost > 0 {
        return Err(format!("{lost} of {calls} calls were lost\n{}", tandem.log_tail()));
    }
    if cdrs == u64::from(calls) { Ok(()) } else { Err(format!("{cdrs} CDRs for {calls} calls")) }
}

/// Locks the database for a while in the midst of the calls; how many CDRs came after it from then.
fn lock_database(dir: &Path, seconds: u32) -> Result<u64, String> {
    let third = Duration::from_secs((seconds / 3).into());
    std::thread::sleep(third);
    let lock = DatabaseLock::take(dir)?;
    let before = answered(dir)?;
    std::thread::sleep(third.min(Duration::from_secs(LOCK_MAX_SECONDS.into())));
    if answered(dir)? != before {
        return Err("the locked database was written to".to_string());
    }
    lock.release()?;
    std::thread::sleep(Duration::from_secs(3).min(third));
    Ok(answered(dir)? - before)
}

/// Answered calls by their CDRs.
fn answered(dir: &Path) -> Result<u64, String> {
    let sql = "SELECT count(*) FROM cdr WHERE leg = 0 AND answered_at IS NOT NULL";
    let rows = load::query(dir, sql)?;
    rows.first().and_then(|count| count.parse().ok()).ok_or_else(|| "no count of CDRs".to_string())
}

/// The same when all are there, or after the tables have had time enough.
fn cdrs_of(dir: &Path, calls: u32) -> Result<u64, String> {
    let deadline = Instant::now() + PROJECTION_LIMIT;
    loop {
        let count = answered(dir)?;
        if count >= u64::from(calls) || Instant::now() > deadline {
            return Ok(count);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The last call ends a moment after its caller has gone; nothing else may be live.
fn nothing_lives(tandem: &Tandem) -> Result<(), String> {
    let deadline = Instant::now() + RELEASE_LIMIT;
    loop {
        let live = tandem.json("live")?;
        if live.as_array().or_else(|| live["items"].as_array()).is_some_and(Vec::is_empty) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("calls are live without a caller: {live}\n{}", tandem.log_tail()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The flood has the address of the callers: it is muted, not banned. How many datagrams that was.
fn nobody_is_banned(tandem: &Tandem) -> Result<u64, String> {
    let bans = tandem.json("ban list")?;
    if !bans.as_array().is_some_and(Vec::is_empty) {
        return Err(format!("the flood has banned somebody: {bans}"));
    }
    let muted = tandem.json("status")?["counters"]["messages_muted"].as_u64().unwrap_or(0);
    if muted == 0 {
        return Err("none of the flood was dropped unanswered".to_string());
    }
    Ok(muted)
}

/// How many of the ordinary calls succeeded.
fn calls(dir: &Path, seconds: u32) -> Result<u32, String> {
    let total = seconds * CALLS_PER_SECOND;
    let status = load::sipp(dir, BASE_PORT, "uac.xml", "caller")?
        .args(["-m", &total.to_string(), "-r", &CALLS_PER_SECOND.to_string(), "-d", "1000"])
        .args(["-trace_stat", "-stf", "stat.csv", "-fd", "1", "-trace_err"])
        .args(["-error_file", "caller.errors", "-timeout", &format!("{}s", seconds + 60)])
        .status()
        .map_err(load::no_sipp)?;
    let succeeded = load::succeeded(dir);
    if succeeded == 0 {
        return Err(format!("no call succeeded at all; sipp ended with {status}"));
    }
    Ok(succeeded)
}

/// All of it from one socket, in as few system calls as possible: so many a second as one asks for, or as
/// the machine gives.
fn rubbish(per_second: u32, done: &AtomicBool, sent: &AtomicU64) {
    let Ok(socket) = UdpSocket::bind("127.0.0.1:0") else { return };
    if socket.connect(("127.0.0.1", BASE_PORT)).is_err() {
        return;
    }
    let kinds = kinds_of_rubbish();
    let mut headers = MultiHeaders::preallocate(BATCH, None);
    let (start, mut count) = (Instant::now(), 0u64);
    while !done.load(Ordering::Relaxed) {
        let due = (start.elapsed().as_secs_f64() * f64::from(per_second)) as u64;
        while count < due && !done.load(Ordering::Relaxed) {
            let at = count as usize % (RUBBISH_KINDS - BATCH);
            let batch = &kinds[at..at + BATCH.min((due - count) as usize)];
            let slices: Vec<[IoSlice<'_>; 1]> =
                batch.iter().map(|bytes| [IoSlice::new(bytes)]).collect();
            let nobody: Vec<Option<SockaddrStorage>> = vec![None; batch.len()];
            let flags = MsgFlags::empty();
            // A refusal of the kernel's (ICMP, a full buffer) costs those of this call.
            let gone = sendmmsg(socket.as_raw_fd(), &mut headers, &slices, &nobody, [], flags);
            sent.fetch_add(gone.map_or(0, Iterator::count) as u64, Ordering::Relaxed);
            count += batch.len() as u64;
        }
        std::thread::sleep(Duration::from_secs(1) / BEATS_PER_SECOND);
    }
}

/// Half of it random bytes, half of it INVITEs with a fault.
fn kinds_of_rubbish() -> Vec<Vec<u8>> {
    let invite = format!(
        "INVITE sip:44@127.0.0.1:{BASE_PORT} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\n\
         From: <sip:x@y>;tag=1\r\nTo: <sip:44@z>\r\nCall-ID: rubbish\r\nCSeq: 1 INVITE\r\n\
         Max-Forwards: 70\r\nContact: <sip:x@127.0.0.1:9>\r\nContent-Length: 0\r\n\r\n"
    );
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if state & 1 == 0 {
            return (0..state % 1200)
                .map(|i| (state.rotate_left(i as u32 % 64) >> 3) as u8)
                .collect();
        }
        mutilated(&invite, state)
    };
    (0..RUBBISH_KINDS).map(|_| next()).collect()
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
