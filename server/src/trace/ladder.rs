//! Messages for people: a ladder, in full, and as JSON.

use std::net::SocketAddr;

use serde_json::{Value, json};
use store::moment::format_utc;

use super::message::{Passed, Way};

/// Peers that get a column of their own; all others share the last one.
const PEERS_MAX: usize = 6;
/// As wide as an IPv4 address with its port, and some room for what is said.
const COLUMN: usize = 28;
/// The moment before each line, without its date.
const MARGIN: usize = 17;
const OURS: usize = 1;

/// Who stands where: the first peer, we, the other peers in the order in which they came up.
struct Columns {
    peers: Vec<SocketAddr>,
}

impl Columns {
    fn of(messages: &[Passed]) -> Columns {
        let mut peers: Vec<SocketAddr> = Vec::new();
        for message in messages {
            if peers.len() < PEERS_MAX && !peers.contains(&message.remote) {
                peers.push(message.remote);
            }
        }
        Columns { peers }
    }

    fn count(&self) -> usize {
        self.peers.len() + 1
    }

    /// The column of a peer: ours is left out.
    fn column(&self, peer: SocketAddr) -> usize {
        let place = self.peers.iter().position(|known| *known == peer);
        let place = place.unwrap_or(self.peers.len().saturating_sub(1));
        if place >= OURS { place + 1 } else { place }
    }

    fn titles(&self) -> String {
        let mut line = " ".repeat(MARGIN);
        for column in 0..self.count() {
            let title = match column {
                OURS => "Tandem".to_owned(),
                column => self.peers[if column > OURS { column - 1 } else { column }].to_string(),
            };
            line.push_str(&format!("{title:^COLUMN$}"));
        }
        line.trim_end().to_owned()
    }

    /// One message: an arrow with what it is.
    fn rung(&self, message: &Passed) -> String {
        let mut canvas: Vec<char> = vec![' '; self.count() * COLUMN];
        let middle = |column: usize| column * COLUMN + COLUMN / 2;
        for column in 0..self.count() {
            canvas[middle(column)] = '|';
        }
        let peer = middle(self.column(message.remote));
        let ours = middle(OURS);
        let (left, right) = (peer.min(ours) + 1, peer.max(ours));
        canvas[left..right].fill('-');
        // To the right: our message to one at the right, or one from the left.
        let is_rightward = (message.way == Way::Out) == (peer > ours);
        if is_rightward {
            canvas[right - 1] = '>'
        } else {
            canvas[left] = '<'
        }
        let room = right - left - 4;
        let mut label: Vec<char> = format!(" {} ", what(message)).chars().collect();
        if label.len() > room {
            label.truncate(room - 1);
            label.push('…');
        }
        let start = left + 2 + (room - label.len()) / 2;
        canvas[start..start + label.len()].copy_from_slice(&label);
        let line: String = canvas.into_iter().collect();
        format!("{:<MARGIN$}{}", time_of_day(message), line.trim_end())
    }
}

/// By the day's clock in UTC, to the microsecond.
fn time_of_day(message: &Passed) -> String {
    let micros = message.at.0.rem_euclid(86_400_000_000);
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{micros:06}", seconds % 60)
}

/// What a message is, in a few words: `INVITE 4930123`, `180 Ringing (INVITE)`, and `+` with a body.
fn what(message: &Passed) -> String {
    let first = message.first_line();
    let mut text = match first.strip_prefix("SIP/2.0 ") {
        Some(status) => {
            let cseq = message.cseq().unwrap_or_default();
            let method = cseq.split_whitespace().nth(1).unwrap_or("?");
            format!("{status} ({method})")
        }
        None => {
            let mut words = first.split_whitespace();
            let (method, uri) = (words.next().unwrap_or("?"), words.next().unwrap_or(""));
            let after = uri.split_once(':').map_or(uri, |(_, rest)| rest);
            let user = after.split_once('@').map_or("", |(user, _)| user);
            format!("{method} {user}").trim_end().to_owned()
        }
    };
    if has_body(message) {
        text.push_str(" +");
    }
    text
}

fn has_body(message: &Passed) -> bool {
    let text = String::from_utf8_lossy(&message.bytes);
    text.split_once("\r\n\r\n").is_some_and(|(_, body)| !body.is_empty())
}

/// The ladder: who said what to whom, a line a message. A `+` says that it has a body.
pub(super) fn ladder(messages: &[Passed]) -> String {
    if messages.is_empty() {
        return "no messages\n".to_owned();
    }
    let columns = Columns::of(messages);
    let mut text = columns.titles() + "\n";
    for message in messages {
        text.push_str(&columns.rung(message));
        text.push('\n');
    }
    text
}

/// Every message in full, with a line before it that says when and between whom.
pub(super) fn in_full(messages: &[Passed]) -> String {
    let mut text = String::new();
    for message in messages {
        let (at, by) = (format_utc(message.at), message.transport.via_name());
        let (from, to) = (message.source(), message.destination());
        text.push_str(&format!("--- {at} {by} {from} -> {to}\n"));
        text.push_str(&String::from_utf8_lossy(&message.bytes).replace("\r\n", "\n"));
        text.push('\n');
    }
    text
}

/// The same as JSON.
pub(super) fn as_json(messages: &[Passed]) -> Value {
    let one = |message: &Passed| {
        json!({
            "at": format_utc(message.at),
            "direction": if message.way == Way::In { "received" } else { "sent" },
            "transport": message.transport.uri_name(),
            "local": message.local.to_string(),
            "remote": message.remote.to_string(),
            "first_line": message.first_line(),
            "call_id": sip::message::peek_call_id(&message.bytes)
                .map(|id| String::from_utf8_lossy(id).into_owned()),
            "text": String::from_utf8_lossy(&message.bytes),
        })
    };
    json!({ "items": messages.iter().map(one).collect::<Vec<Value>>() })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sip::transport::Transport;
    use vocabulary::Utc;

    use super::*;

    const CUSTOMER: &str = "192.0.2.1:5060";
    const CARRIER: &str = "198.51.100.1:5060";

    fn message(way: Way, remote: &str, first_line: &str, body: &str) -> Passed {
        let text = format!("{first_line}\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n\r\n{body}");
        Passed {
            at: Utc(1_790_000_000_123_456),
            way,
            transport: Transport::Udp,
            local: "192.0.2.9:5060".parse().unwrap(),
            remote: remote.parse().unwrap(),
            bytes: Bytes::from(text),
        }
    }

    fn call() -> [Passed; 6] {
        [
            message(Way::In, CUSTOMER, "INVITE sip:4930123@192.0.2.9 SIP/2.0", "v=0"),
            message(Way::Out, CUSTOMER, "SIP/2.0 100 Trying", ""),
            message(Way::Out, CARRIER, "INVITE sip:+4930123@198.51.100.1 SIP/2.0", "v=0"),
            message(Way::In, CARRIER, "SIP/2.0 180 Ringing", ""),
            message(Way::Out, CUSTOMER, "SIP/2.0 180 Ringing", ""),
            message(Way::In, "203.0.113.1:5060", "OPTIONS sip:192.0.2.9 SIP/2.0", ""),
        ]
    }

    #[test]
    fn a_call_reads_as_a_ladder() {
        // V-39
        let expected = "
                        192.0.2.1:5060                  Tandem                198.51.100.1:5060            203.0.113.1:5060
14:13:20.123456                |---- INVITE 4930123 + ---->|                           |                           |
14:13:20.123456                |<-- 100 Trying (INVITE) ---|                           |                           |
14:13:20.123456                |                           |---- INVITE +4930123 + --->|                           |
14:13:20.123456                |                           |<- 180 Ringing (INVITE) ---|                           |
14:13:20.123456                |<- 180 Ringing (INVITE) ---|                           |                           |
14:13:20.123456                |                           |<---------------------- OPTIONS -----------------------|
";
        let drawn = ladder(&call());
        assert_eq!(drawn.trim_end(), expected.trim_start_matches('\n').trim_end(), "\n{drawn}");
    }

    #[test]
    fn more_peers_than_columns_share_the_last() {
        let many: Vec<Passed> = (1..=20)
            .map(|n| message(Way::In, &format!("192.0.2.{n}:5060"), "BYE sip:a SIP/2.0", ""))
            .collect();
        let drawn = ladder(&many);
        assert_eq!(drawn.lines().count(), 21);
        assert!(drawn.lines().all(|line| line.len() <= MARGIN + (PEERS_MAX + 1) * COLUMN));
        assert_eq!(ladder(&[]), "no messages\n");
    }

    #[test]
    fn in_full_and_as_json_nothing_is_missing() {
        let text = in_full(&call()[..1]);
        let expected = "--- 2026-09-21T14:13:20.123456Z UDP 192.0.2.1:5060 -> 192.0.2.9:5060\n\
                        INVITE sip:4930123@192.0.2.9 SIP/2.0\nCall-ID: a\nCSeq: 1 INVITE\n\nv=0\n";
        assert_eq!(text, expected);
        let json = as_json(&call());
        let first = &json["items"][0];
        assert_eq!((&first["direction"], &first["call_id"]), (&json!("received"), &json!("a")));
        assert_eq!((&first["remote"], &first["transport"]), (&json!(CUSTOMER), &json!("udp")));
        assert_eq!(json["items"].as_array().unwrap().len(), 6);
    }
}
