//! A Homer that only listens: what was exported as HEP version 3.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use super::scenario::ExpectedHep;

const PAYLOAD: u16 = 0x0f;
const CORRELATION_ID: u16 = 0x11;
/// The last messages may still be on their way.
const QUIET: Duration = Duration::from_millis(300);

pub(super) struct Homer {
    socket: UdpSocket,
}

impl Homer {
    /// The kernel keeps what comes until it is looked at: a scenario has few messages.
    pub(super) fn listen(port: u16) -> Result<Homer, String> {
        let socket = UdpSocket::bind(("127.0.0.1", port)).map_err(|e| format!("Homer: {e}"))?;
        socket.set_read_timeout(Some(QUIET)).map_err(|e| e.to_string())?;
        Ok(Homer { socket })
    }

    pub(super) fn check(&self, expected: &ExpectedHep) -> Result<(), String> {
        let messages = self.messages()?;
        let mut complaints = Vec::new();
        for part in expected.has.iter().filter(|part| !messages.iter().any(|m| m.0.contains(*part)))
        {
            complaints.push(format!("no message exported has {part:?}"));
        }
        for part in
            expected.lacks.iter().filter(|part| messages.iter().any(|m| m.0.contains(*part)))
        {
            complaints.push(format!("a message exported has {part:?}"));
        }
        let mut together: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (text, correlation) in &messages {
            let call_id = text.lines().find_map(|line| line.strip_prefix("Call-ID:"));
            together.entry(correlation).or_default().insert(call_id.unwrap_or_default().trim());
        }
        let most = together.values().map(BTreeSet::len).max().unwrap_or(0);
        if most != expected.together {
            complaints.push(format!("{most} Call-IDs have one correlation id: {together:?}"));
        }
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(format!("     {}", complaints.join("\n     ")))
        }
    }

    /// Messages with their correlation ids.
    fn messages(&self) -> Result<Vec<(String, String)>, String> {
        let (mut messages, mut buffer) = (Vec::new(), vec![0; 65_536]);
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => messages.push(decode(&buffer[..length])?),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Ok(messages);
                }
                Err(error) => return Err(format!("     Homer: {error}")),
            }
        }
    }
}

fn decode(packet: &[u8]) -> Result<(String, String), String> {
    let wrong = || "     a packet that is not HEP version 3".to_string();
    let word = |at: usize| Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?));
    if !packet.starts_with(b"HEP3") || word(4).map(usize::from) != Some(packet.len()) {
        return Err(wrong());
    }
    let (mut at, mut chunks) = (6, BTreeMap::new());
    while at < packet.len() {
        let kind = word(at + 2).ok_or_else(wrong)?;
        let length = usize::from(word(at + 4).ok_or_else(wrong)?).max(6);
        let value = packet.get(at + 6..at + length).ok_or_else(wrong)?;
        chunks.insert(kind, String::from_utf8_lossy(value).into_owned());
        at += length;
    }
    let payload = chunks.remove(&PAYLOAD).ok_or_else(wrong)?;
    Ok((payload, chunks.remove(&CORRELATION_ID).unwrap_or_default()))
}
