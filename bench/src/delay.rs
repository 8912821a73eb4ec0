//! The post-dial delay that a server adds, seen on the wire: from the INVITE that reaches it to the
//! one that leaves it, and from the callee's 180 to the caller's. SIPp's own clock has steps of 4 ms;
//! the kernel's stamps on captured packets do not, and the generator's time is not in them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sipp::UAS_PORT;

/// INVITEs and 18x responses: `INVI`, or `SIP/` and `18`.
const FILTER: &str = "udp and (udp[8:4]=0x494e5649 or (udp[8:4]=0x5349502f and udp[16:2]=0x3138))";
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// A running capture on loopback.
pub(crate) struct Capture {
    child: Child,
    path: PathBuf,
    server: u16,
}

/// When the messages of one call passed, microseconds.
#[derive(Clone, Copy, Default)]
struct Passed {
    invite_in: Option<u64>,
    invite_out: Option<u64>,
    ringing_in: Option<u64>,
    ringing_out: Option<u64>,
}

impl Passed {
    fn added(&self) -> Option<u64> {
        let there = self.invite_out?.saturating_sub(self.invite_in?);
        let back = self.ringing_out?.saturating_sub(self.ringing_in?);
        Some(there + back)
    }
}

impl Capture {
    /// Starts to watch the server on this port. `None` without dumpcap (Debian package tshark) or
    /// the right to capture.
    pub(crate) fn start(dir: &Path, server: u16) -> Option<Capture> {
        let path = dir.join("delay.pcap");
        let _ = fs::remove_file(&path);
        let child = Command::new("taskset")
            .args(["-c", "1", "dumpcap", "-q", "-P", "-i", "lo", "-s", "700", "-B", "64"])
            .args(["-f", FILTER, "-w"])
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut capture = Capture { child, path, server };
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if capture.child.try_wait().ok()?.is_some() {
                return None;
            }
            // The file's header is written once packets are taken.
            if fs::metadata(&capture.path).is_ok_and(|file| file.len() >= FILE_HEADER as u64) {
                return Some(capture);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }

    /// Ends the capture: the 99th percentile of the delay added, milliseconds.
    pub(crate) fn finish(mut self) -> Option<f64> {
        // What was captured last is still on its way through dumpcap's buffer.
        std::thread::sleep(Duration::from_millis(500));
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status().ok()?;
        self.child.wait().ok()?;
        let mut added: Vec<u64> = calls(&fs::read(&self.path).ok()?, self.server)
            .values()
            .filter_map(Passed::added)
            .collect();
        added.sort_unstable();
        Some(*added.get(added.len() * 99 / 100)? as f64 / 1000.0)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every call places another number, which stands in the To of all its messages on both legs.
fn calls(capture: &[u8], server: u16) -> HashMap<Vec<u8>, Passed> {
    let mut calls: HashMap<Vec<u8>, Passed> = HashMap::new();
    let mut rest = capture.get(FILE_HEADER..).unwrap_or_default();
    while let Some((header, after)) = rest.split_at_checked(RECORD_HEADER) {
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
        let Some((frame, next)) = after.split_at_checked(word(8) as usize) else { break };
        rest = next;
        let at = u64::from(word(0)) * 1_000_000 + u64::from(word(4));
        let Some((to, message)) = datagram(frame) else { continue };
        let Some(number) = called_number(message) else { continue };
        let call = calls.entry(number.to_vec()).or_default();
        let is_invite = message.starts_with(b"INVITE");
        // The first INVITE is challenged; the one with credentials is the call.
        let is_challenged = !contains(message, b"Authorization:");
        let moment = match (to == server, is_invite) {
            (true, true) if is_challenged => continue,
            (true, true) => &mut call.invite_in,
            (true, false) => &mut call.ringing_in,
            (false, true) if to == UAS_PORT => &mut call.invite_out,
            (false, true) => continue,
            (false, false) => &mut call.ringing_out,
        };
        moment.get_or_insert(at);
    }
    calls
}

/// The destination port and the payload of an IPv4 UDP packet in an Ethernet frame.
fn datagram(frame: &[u8]) -> Option<(u16, &[u8])> {
    let packet = frame.get(14..)?;
    let header = usize::from(packet.first()? & 15) * 4;
    let udp = packet.get(header..)?;
    let to = u16::from_be_bytes(udp.get(2..4)?.try_into().ok()?);
    Some((to, udp.get(8..)?))
}

fn called_number(message: &[u8]) -> Option<&[u8]> {
    let line = message.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"To:"))?;
    let start = line.windows(4).position(|part| part == b"sip:")? + 4;
    let length = line[start..].iter().position(|byte| !byte.is_ascii_digit())?;
    Some(&line[start..start + length])
}

fn contains(message: &[u8], part: &[u8]) -> bool {
    message.windows(part.len()).any(|window| window == part)
}
