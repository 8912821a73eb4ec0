//! Who has diverted a call before it goes on: as trusted peers tell it, and with those subscribers of
//! ours who forward it. In Diversion (RFC 5806) and in History-Info (RFC 7044).

use bytes::Bytes;
use sip::message::header::NameAddr;
use sip::message::{HeaderName, Message};

use crate::forwarding::Condition;
use crate::ingress::user_of;

/// Where a trusted trunk is told who has diverted a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiversionHeaders {
    /// Nowhere.
    None,
    /// In Diversion.
    Diversion,
    /// In History-Info.
    HistoryInfo,
    /// In both; they do not contradict each other, and a peer reads the one that it knows.
    #[default]
    Both,
}

impl DiversionHeaders {
    /// All of them.
    pub const ALL: [DiversionHeaders; 4] = [
        DiversionHeaders::None,
        DiversionHeaders::Diversion,
        DiversionHeaders::HistoryInfo,
        DiversionHeaders::Both,
    ];

    /// The word in the database and the API.
    pub fn word(self) -> &'static str {
        match self {
            DiversionHeaders::None => "none",
            DiversionHeaders::Diversion => "diversion",
            DiversionHeaders::HistoryInfo => "history_info",
            DiversionHeaders::Both => "both",
        }
    }

    /// The headers with this word.
    pub fn from_word(word: &str) -> Option<DiversionHeaders> {
        DiversionHeaders::ALL.into_iter().find(|headers| headers.word() == word)
    }
}

/// What a trusted peer says of who has diverted the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Diversions {
    /// Diversion lines, each with its CRLF: the latest diversion comes first.
    diversion: Bytes,
    /// History-Info, if it can be continued: its lines, each with its CRLF, in the order of their
    /// indexes.
    history: Bytes,
    /// The last entry of `history`.
    last: Option<Box<LastEntry>>,
    /// How often it has been diverted, by whichever header counts more.
    times: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct LastEntry {
    /// Its user part.
    user: Box<str>,
    /// Such as `1.1.2`.
    index: Box<str>,
}

impl LastEntry {
    fn of(entry: &NameAddr<'_>) -> Option<Box<LastEntry>> {
        let index = std::str::from_utf8(entry.params().get(b"index")?).ok()?;
        let is_index = index.split('.').all(|part| {
            (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        });
        let user = user_of(entry.uri());
        (is_index && index.len() <= INDEX_MAX)
            .then(|| Box::new(LastEntry { user, index: index.into() }))
    }

    /// Whether it is this user. Numbers have a plus or none.
    fn is(&self, user: &str) -> bool {
        self.user.trim_start_matches('+') == user.trim_start_matches('+')
    }
}

/// Longest index that is continued, in bytes.
const INDEX_MAX: usize = 64;

/// How the call went on here.
pub(crate) struct DiversionPath<'a> {
    /// The user parts of those who forwarded it, in their order, and why each did.
    pub(crate) forwarders: &'a [(String, Condition)],
    /// Where they are at home: our domain at this trunk.
    pub(crate) domain: &'a str,
    /// User and host that the INVITE calls.
    pub(crate) called: (&'a str, &'a str),
}

impl Diversions {
    /// As a message tells it.
    pub(crate) fn of(message: &Message) -> Diversions {
        let (mut diversion, mut history) = (Vec::new(), Vec::new());
        for line in message.header_lines() {
            let lines = match line.name {
                HeaderName::Diversion => &mut diversion,
                HeaderName::HistoryInfo => &mut history,
                _ => continue,
            };
            lines.extend_from_slice(line.raw);
            lines.extend_from_slice(b"\r\n");
        }
        let last = message.name_addrs(HeaderName::HistoryInfo).last();
        let last = last.as_ref().and_then(LastEntry::of);
        if last.is_none() {
            history.clear();
        }
        let by_diversion: u32 =
            message.name_addrs(HeaderName::Diversion).map(|entry| counter(&entry)).sum();
        let by_history = message.name_addrs(HeaderName::HistoryInfo).filter(is_diverted).count();
        let times = by_diversion.max(by_history.try_into().unwrap_or(u32::MAX));
        Diversions {
            diversion: diversion.into(),
            history: history.into(),
            last,
            times: times.try_into().unwrap_or(u8::MAX),
        }
    }

    /// How often the call has been diverted before it came to us.
    pub(crate) fn times(&self) -> u8 {
        self.times
    }

    /// Puts the lines for a peer there.
    pub(crate) fn write(
        &self,
        lines: &mut Vec<u8>,
        wanted: DiversionHeaders,
        path: &DiversionPath<'_>,
    ) {
        if matches!(wanted, DiversionHeaders::Diversion | DiversionHeaders::Both) {
            for (user, why) in path.forwarders.iter().rev() {
                let (domain, reason) = (path.domain, why.reason());
                let line =
                    format!("Diversion: <sip:{user}@{domain}>;reason={reason};counter=1\r\n");
                lines.extend_from_slice(line.as_bytes());
            }
            lines.extend_from_slice(&self.diversion);
        }
        if matches!(wanted, DiversionHeaders::HistoryInfo | DiversionHeaders::Both) {
            lines.extend_from_slice(&self.history);
            self.write_history(lines, path);
        }
    }

    /// Each who forwarded it, and where that led: `mp` names the entry that it was diverted from, and
    /// `cause` says why (RFC 4458).
    fn write_history(&self, lines: &mut Vec<u8>, path: &DiversionPath<'_>) {
        let Some(((first, _), rest)) = path.forwarders.split_first() else { return };
        let domain = path.domain;
        let last = self.last.as_ref();
        let mut index = match last {
            Some(entry) if entry.is(first) => entry.index.to_string(),
            // How it came from the last entry to us is not known (RFC 7044 section 10.3).
            Some(entry) => format!("{}.0.1", entry.index),
            None => "1".to_owned(),
        };
        if last.is_none_or(|entry| !entry.is(first)) {
            let line = format!("History-Info: <sip:{first}@{domain}>;index={index}\r\n");
            lines.extend_from_slice(line.as_bytes());
        }
        let led_to = rest.iter().map(|(user, _)| (user.as_str(), domain)).chain([path.called]);
        for ((_, why), (user, host)) in path.forwarders.iter().zip(led_to) {
            let cause = why.history_cause();
            let line = format!(
                "History-Info: <sip:{user}@{host};cause={cause}>;index={index}.1;mp={index}\r\n"
            );
            lines.extend_from_slice(line.as_bytes());
            index.push_str(".1");
        }
    }
}

/// `counter` of a Diversion: how many diversions the entry stands for.
fn counter(entry: &NameAddr<'_>) -> u32 {
    let counter = entry.params().get(b"counter").and_then(|value| std::str::from_utf8(value).ok());
    let counted = counter.and_then(|text| text.parse::<u8>().ok());
    u32::from(counted.unwrap_or(1))
}

/// Whether an entry of History-Info came to be by a diversion (RFC 7044 `mp`, RFC 4458 `cause`).
fn is_diverted(entry: &NameAddr<'_>) -> bool {
    let has_cause = entry.parsed_uri().is_some_and(|uri| uri.params().has(b"cause"));
    has_cause || entry.params().has(b"mp")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Diversions {
        let text = format!(
            "INVITE sip:4930555@b.example SIP/2.0\nVia: SIP/2.0/UDP a.example;branch=z9hG4bK1\n\
             From: <sip:1@a.example>;tag=1\nTo: <sip:4930555@b.example>\nCall-ID: c\n\
             CSeq: 1 INVITE\nMax-Forwards: 70\nContent-Length: 0\n{lines}\n"
        );
        let bytes = Bytes::from(text.replace('\n', "\r\n"));
        Diversions::of(&Message::parse(bytes).expect("an INVITE"))
    }

    /// What is told of a call to 49170 that these forwarded.
    fn told(before: &str, forwarders: &[&str], wanted: DiversionHeaders) -> Vec<String> {
        let forwarder = |&user: &&str| (user.to_owned(), Condition::Always);
        let forwarders: Vec<_> = forwarders.iter().map(forwarder).collect();
        let called = ("49170", "carrier.example");
        let path = DiversionPath { forwarders: &forwarders, domain: "us.example", called };
        let mut lines = Vec::new();
        read(before).write(&mut lines, wanted, &path);
        let text = String::from_utf8(lines).expect("text");
        text.lines().map(str::to_owned).collect()
    }

    const DIVERSIONS: &str = "Diversion: <sip:2@a.example>;reason=user-busy;counter=3\n\
                              Diversion: <sip:1@a.example>;reason=no-answer\n";
    const HISTORY: &str = "History-Info: <sip:1@a.example>;index=1\n\
        History-Info: <sip:+4930555@b.example;cause=486>;index=1.1;mp=1\n";

    #[test]
    fn diversions_are_counted_by_the_header_that_tells_more() {
        for (lines, times) in [
            ("", 0),
            (DIVERSIONS, 4),
            (HISTORY, 1),
            (&format!("{DIVERSIONS}{HISTORY}"), 4),
            ("Diversion: <sip:2@a.example>;counter=many\n", 1),
            ("Diversion: <sip:2@a.example>;counter=255, <sip:1@a.example>;counter=9\n", 255),
            ("History-Info: <sip:1@a.example>;index=1, <sip:2@a.example>;index=1.1\n", 0),
        ] {
            assert_eq!(read(lines).times(), times, "{lines}");
        }
    }

    #[test]
    fn the_last_to_divert_comes_first_in_diversion() {
        let told = told(DIVERSIONS, &["4930555", "4930666"], DiversionHeaders::Diversion);
        let ours =
            |user| format!("Diversion: <sip:{user}@us.example>;reason=unconditional;counter=1");
        let theirs = DIVERSIONS.lines().map(str::to_owned);
        let expected: Vec<String> =
            [ours("4930666"), ours("4930555")].into_iter().chain(theirs).collect();
        assert_eq!(told, expected);
    }

    /// RFC 7044: what follows the lines of the peer.
    #[test]
    fn history_goes_on_where_the_peer_left_off() {
        let entry = |address, index: &str| format!("History-Info: <sip:{address}>;index={index}");
        for (before, forwarders, expected) in [
            ("", &[][..], vec![]),
            (HISTORY, &[], vec![]),
            (
                "",
                &["4930555"],
                vec![
                    entry("4930555@us.example", "1"),
                    entry("49170@carrier.example;cause=302", "1.1;mp=1"),
                ],
            ),
            (
                "",
                &["4930555", "4930666"],
                vec![
                    entry("4930555@us.example", "1"),
                    entry("4930666@us.example;cause=302", "1.1;mp=1"),
                    entry("49170@carrier.example;cause=302", "1.1.1;mp=1.1"),
                ],
            ),
            // The last entry is who forwards, with another way to write it.
            (HISTORY, &["4930555"], vec![entry("49170@carrier.example;cause=302", "1.1.1;mp=1.1")]),
            // It is another: something is missing in between.
            (
                HISTORY,
                &["alice"],
                vec![
                    entry("alice@us.example", "1.1.0.1"),
                    entry("49170@carrier.example;cause=302", "1.1.0.1.1;mp=1.1.0.1"),
                ],
            ),
        ] {
            let told = told(before, forwarders, DiversionHeaders::HistoryInfo);
            let theirs = before.lines().map(str::to_owned);
            assert_eq!(told, theirs.chain(expected).collect::<Vec<_>>(), "{forwarders:?}");
        }
    }

    /// RFC 5806 section 4, RFC 4458 section 2.
    #[test]
    fn both_headers_say_why_a_call_was_forwarded() {
        for (why, reason, cause) in [
            (Condition::Always, "unconditional", 302),
            (Condition::DoNotDisturb, "do-not-disturb", 486),
            (Condition::Busy, "user-busy", 486),
            (Condition::NoAnswer, "no-answer", 408),
            (Condition::Offline, "unavailable", 503),
        ] {
            let forwarders = [("4930555".to_owned(), why)];
            let called = ("49170", "carrier.example");
            let path = DiversionPath { forwarders: &forwarders, domain: "us.example", called };
            let mut lines = Vec::new();
            Diversions::default().write(&mut lines, DiversionHeaders::Both, &path);
            let text = String::from_utf8(lines).expect("text");
            let expected = format!(
                "Diversion: <sip:4930555@us.example>;reason={reason};counter=1\r\n\
                 History-Info: <sip:4930555@us.example>;index=1\r\n\
                 History-Info: <sip:49170@carrier.example;cause={cause}>;index=1.1;mp=1\r\n"
            );
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_history_that_cannot_be_continued_does_not_pass() {
        for index in ["", ";index", ";index=", ";index=1.", ";index=1.x", ";index=1.1234567890"] {
            let lines = format!("History-Info: <sip:1@a.example>{index}\n");
            assert_eq!(told(&lines, &[], DiversionHeaders::Both), [""; 0], "{index}");
        }
    }

    #[test]
    fn a_peer_is_told_in_the_headers_that_it_wants() {
        let names = |wanted| {
            let lines = told(&format!("{DIVERSIONS}{HISTORY}"), &["4930555"], wanted);
            let name = |line: &String| line.split(':').next().map(str::to_owned);
            let mut names: Vec<String> = lines.iter().filter_map(name).collect();
            names.dedup();
            names
        };
        assert_eq!(names(DiversionHeaders::None), [""; 0]);
        assert_eq!(names(DiversionHeaders::Diversion), ["Diversion"]);
        assert_eq!(names(DiversionHeaders::HistoryInfo), ["History-Info"]);
        assert_eq!(names(DiversionHeaders::Both), ["Diversion", "History-Info"]);
        for headers in DiversionHeaders::ALL {
            assert_eq!(DiversionHeaders::from_word(headers.word()), Some(headers));
        }
    }
}
