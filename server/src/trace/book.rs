//! The traces: what is followed, and the messages that belong to it. Decides for every message that
//! passed; knows neither threads nor sockets, and gets its time from outside.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::message::peek_call_id;
use switch::attribution::{Attribution, Followed};
use vocabulary::{CallId, Utc};

use super::groups::{Groups, SipCallId};
use super::message::Passed;

/// Traces that are kept, running ones and those that are over.
pub(super) const TRACES_MAX: usize = 32;
/// Messages of all traces together, in bytes.
const BYTES_MAX: usize = 64 << 20;
/// Messages of one trace, in bytes.
const TRACE_BYTES_MAX: usize = 16 << 20;
/// Call-IDs that one trace follows.
const FOLLOWED_MAX: usize = 20_000;
/// The messages just passed, in bytes and for how long: whose they are may be known a moment later.
const RECENT_BYTES_MAX: usize = 8 << 20;
const RECENT_FOR: Duration = Duration::from_secs(5);
/// What a message takes besides its bytes.
const MESSAGE_BYTES: usize = 160;

/// One trace.
#[derive(Debug)]
pub(super) struct Trace {
    /// Names it.
    pub(super) id: u64,
    /// What it follows.
    pub(super) followed: Followed,
    /// What it follows, for people.
    pub(super) label: String,
    /// When it began.
    pub(super) since: Utc,
    /// When it ends, or ended.
    pub(super) until: Utc,
    /// Whether it still runs.
    pub(super) is_running: bool,
    /// Messages that found no room.
    pub(super) missed: u64,
    messages: Vec<(u64, Passed)>,
    bytes: usize,
    sip_call_ids: HashSet<SipCallId>,
}

impl Trace {
    /// The messages in the order in which they passed, without secrets.
    pub(super) fn messages(&self) -> Vec<Passed> {
        let mut all: Vec<&(u64, Passed)> = self.messages.iter().collect();
        // Those that passed before it was known whose they were came in late.
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, passed)| passed.clone()).collect()
    }

    /// How many messages it has.
    pub(super) fn count(&self) -> usize {
        self.messages.len()
    }

    /// The bytes of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many Call-IDs it follows.
    pub(super) fn dialogs(&self) -> usize {
        self.sip_call_ids.len()
    }

    fn adopt(&mut self, sip_call_id: &SipCallId) -> bool {
        self.sip_call_ids.len() < FOLLOWED_MAX && self.sip_call_ids.insert(Arc::clone(sip_call_id))
    }
}

/// Why a trace does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotTraced {
    /// All places are taken by traces that run.
    #[error("{TRACES_MAX} traces are running; end one of them first")]
    TooMany,
}

/// Longer Call-IDs are not followed: those of phones and carriers have some fifty bytes.
const CALL_ID_MAX: usize = 256;

/// All traces, and what has just passed.
#[derive(Debug, Default)]
pub(super) struct Book {
    traces: BTreeMap<u64, Trace>,
    last_id: u64,
    groups: Groups,
    recent: VecDeque<(u64, Passed)>,
    recent_bytes: usize,
    passed: u64,
    bytes: usize,
    /// Who follows a Call-ID.
    followers: HashMap<SipCallId, Vec<u64>>,
    /// Messages are also sent elsewhere: their calls are of interest without a trace.
    is_exported: bool,
}

impl Book {
    /// `is_exported`: what belongs together is learnt even while no trace runs.
    pub(super) fn new(is_exported: bool) -> Book {
        Book { is_exported, ..Book::default() }
    }

    /// Begins a trace. The oldest that is over makes room if it must.
    pub(super) fn begin(
        &mut self,
        now: Utc,
        followed: Followed,
        label: String,
        length: Duration,
    ) -> Result<u64, NotTraced> {
        while self.traces.len() >= TRACES_MAX {
            let over = self.traces.values().find(|trace| !trace.is_running).map(|trace| trace.id);
            self.remove(over.ok_or(NotTraced::TooMany)?);
        }
        self.last_id += 1;
        let id = self.last_id;
        let until = now.plus(length);
        let trace = Trace {
            id,
            followed,
            label,
            since: now,
            until,
            is_running: true,
            missed: 0,
            messages: Vec::new(),
            bytes: 0,
            sip_call_ids: HashSet::new(),
        };
        self.traces.insert(id, trace);
        Ok(id)
    }

    /// Ends a trace before its time; it is kept. False if there is none.
    pub(super) fn end(&mut self, now: Utc, id: u64) -> bool {
        let Some(trace) = self.traces.get_mut(&id) else { return false };
        if trace.is_running {
            trace.is_running = false;
            trace.until = now;
        }
        self.unfollow(id);
        true
    }

    /// Forgets a trace. False if there is none.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        let Some(trace) = self.traces.remove(&id) else { return false };
        self.bytes -= trace.bytes;
        self.unfollow(id);
        true
    }

    fn unfollow(&mut self, id: u64) {
        self.followers.retain(|_, traces| {
            traces.retain(|one| *one != id);
            !traces.is_empty()
        });
    }

    /// All traces, the oldest first.
    pub(super) fn traces(&self) -> impl Iterator<Item = &Trace> {
        self.traces.values()
    }

    /// One trace.
    pub(super) fn trace(&self, id: u64) -> Option<&Trace> {
        self.traces.get(&id)
    }

    /// Whether any trace runs.
    pub(super) fn is_running(&self) -> bool {
        self.traces.values().any(|trace| trace.is_running)
    }

    /// Ends what has reached its time. True if a trace runs after it.
    pub(super) fn expire(&mut self, now: Utc) -> bool {
        let due = self.traces.values().filter(|trace| trace.is_running && trace.until <= now);
        let due: Vec<(u64, Utc)> = due.map(|trace| (trace.id, trace.until)).collect();
        for (id, until) in due {
            self.end(until, id);
        }
        self.groups.expire(now);
        let is_running = self.is_running();
        if !is_running {
            self.recent.clear();
            self.recent_bytes = 0;
            if !self.is_exported {
                self.groups.clear();
            }
        }
        is_running
    }

    /// Whose messages these are. What has just passed of them is caught up with.
    pub(super) fn attributed(&mut self, attribution: &Attribution) {
        // What is no call's is of interest to traces alone.
        if attribution.call.is_none() && !self.is_running() {
            return;
        }
        let sip_call_ids = self.groups.learn(attribution).to_vec();
        let follows = |trace: &&mut Trace| {
            trace.is_running
                && (trace.followed.covers(attribution)
                    || sip_call_ids.iter().any(|one| trace.sip_call_ids.contains(one)))
        };
        let mut caught_up = Vec::new();
        for trace in self.traces.values_mut().filter(follows) {
            for sip_call_id in &sip_call_ids {
                if trace.adopt(sip_call_id) {
                    caught_up.push((trace.id, Arc::clone(sip_call_id)));
                }
            }
        }
        for (id, sip_call_id) in caught_up {
            self.followers.entry(Arc::clone(&sip_call_id)).or_default().push(id);
            self.catch_up(id, &sip_call_id);
        }
    }

    /// Messages with this Call-ID that have just passed join the trace.
    fn catch_up(&mut self, id: u64, sip_call_id: &[u8]) {
        let of_it = |(_, passed): &&(u64, Passed)| peek_call_id(&passed.bytes) == Some(sip_call_id);
        let late: Vec<(u64, Passed)> = self.recent.iter().filter(of_it).cloned().collect();
        for (number, passed) in late {
            self.keep(id, number, &passed);
        }
    }

    /// A call is over.
    pub(super) fn over(&mut self, now: Utc, call: CallId) {
        self.groups.over(now, call);
    }

    /// A message passed. The Call-ID of the caller's leg of its call, if it has any.
    pub(super) fn passed(&mut self, passed: Passed) -> Option<Vec<u8>> {
        let sip_call_id = peek_call_id(&passed.bytes)?.to_vec();
        if sip_call_id.len() > CALL_ID_MAX {
            return None;
        }
        self.passed += 1;
        let number = self.passed;
        let mut followers = self.followers.get(&*sip_call_id).cloned().unwrap_or_default();
        // An address is followed message by message, and then with all legs of its calls.
        let remote = Followed::Address(passed.remote.ip());
        for trace in self.traces.values_mut() {
            if !trace.is_running || trace.followed != remote || followers.contains(&trace.id) {
                continue;
            }
            let name: SipCallId = sip_call_id.as_slice().into();
            if trace.adopt(&name) {
                self.followers.entry(name).or_default().push(trace.id);
                followers.push(trace.id);
            } else {
                trace.missed += 1;
            }
        }
        for id in followers {
            self.keep(id, number, &passed);
        }
        let first = self.groups.first(&sip_call_id).to_vec();
        self.remember(number, passed);
        Some(first)
    }

    fn remember(&mut self, number: u64, passed: Passed) {
        if !self.is_running() {
            return;
        }
        let now = passed.at;
        self.recent_bytes += passed.bytes.len() + MESSAGE_BYTES;
        self.recent.push_back((number, passed));
        while let Some((_, oldest)) = self.recent.front()
            && (self.recent_bytes > RECENT_BYTES_MAX || now.since(oldest.at) > RECENT_FOR)
        {
            self.recent_bytes -= oldest.bytes.len() + MESSAGE_BYTES;
            self.recent.pop_front();
        }
    }

    fn keep(&mut self, id: u64, number: u64, passed: &Passed) {
        let Some(trace) = self.traces.get_mut(&id).filter(|trace| trace.is_running) else { return };
        let cost = passed.bytes.len() + MESSAGE_BYTES;
        if trace.bytes + cost > TRACE_BYTES_MAX || self.bytes + cost > BYTES_MAX {
            trace.missed += 1;
            return;
        }
        trace.bytes += cost;
        self.bytes += cost;
        // One of a stream may be a small part of what was read at once, all of which it would hold.
        let masked = passed.masked();
        let bytes = Bytes::copy_from_slice(&masked.bytes);
        trace.messages.push((number, Passed { bytes, ..masked }));
    }
}

#[cfg(test)]
mod tests {
    use sip::transport::Transport;
    use vocabulary::{AccountId, TrunkId};

    use super::super::message::Way;
    use super::*;

    const CUSTOMER: &str = "192.0.2.1:5060";
    const CARRIER: &str = "198.51.100.1:5060";
    const MINUTE: Duration = Duration::from_secs(60);

    fn second(seconds: i64) -> Utc {
        Utc(seconds * 1_000_000)
    }

    /// At so many seconds, with this peer, such as `INVITE a`: method and Call-ID.
    fn pass(book: &mut Book, at: i64, remote: &str, what: &str) -> Option<Vec<u8>> {
        let (method, sip_call_id) = what.split_once(' ').unwrap();
        let text = format!("{method} sip:b SIP/2.0\r\nCall-ID: {sip_call_id}\r\n\r\n");
        book.passed(Passed {
            at: second(at),
            way: Way::In,
            transport: Transport::Udp,
            local: "192.0.2.9:5060".parse().unwrap(),
            remote: remote.parse().unwrap(),
            bytes: Bytes::from(text),
        })
    }

    /// A leg: of call 1 if `call`, of account 7 by trunk 3.
    fn attribution(sip_call_id: &str, call: Option<u64>) -> Attribution {
        Attribution {
            sip_call_id: sip_call_id.as_bytes().into(),
            call: call.map(CallId),
            account: Some(AccountId(7)),
            trunk: Some(TrunkId(3)),
            remote: None,
        }
    }

    fn begin(book: &mut Book, followed: Followed) -> u64 {
        book.begin(second(0), followed, "it".into(), MINUTE).unwrap()
    }

    /// Methods and Call-IDs that a trace has.
    fn shown(book: &Book, id: u64) -> Vec<String> {
        let one = |passed: Passed| {
            let sip_call_id = String::from_utf8_lossy(peek_call_id(&passed.bytes).unwrap());
            format!("{} {sip_call_id}", passed.first_line().split(' ').next().unwrap())
        };
        book.trace(id).unwrap().messages().into_iter().map(one).collect()
    }

    #[test]
    fn a_call_is_followed_from_its_first_message_over_all_its_legs() {
        // V-39: whose the INVITE is, is known only when it has passed.
        for followed in [
            Followed::Call(CallId(1)),
            Followed::Account(AccountId(7)),
            Followed::Trunk(TrunkId(3)),
            Followed::Address("192.0.2.1".parse().unwrap()),
        ] {
            let mut book = Book::new(false);
            let id = begin(&mut book, followed);
            pass(&mut book, 1, "203.0.113.5:5060", "INVITE other");
            pass(&mut book, 1, CUSTOMER, "INVITE a");
            book.attributed(&attribution("a", Some(1)));
            pass(&mut book, 1, CUSTOMER, "100 a");
            // The egress leg is of another account, by another trunk: it is of the same call.
            let egress = Attribution { account: None, trunk: None, ..attribution("b", Some(1)) };
            book.attributed(&egress);
            pass(&mut book, 1, CARRIER, "INVITE b");
            pass(&mut book, 2, CARRIER, "200 b");
            pass(&mut book, 2, CUSTOMER, "200 a");
            let expected = ["INVITE a", "100 a", "INVITE b", "200 b", "200 a"];
            assert_eq!(shown(&book, id), expected, "{followed:?}");
        }
    }

    #[test]
    fn what_goes_on_as_another_call_is_the_same_trace() {
        // V-39
        let mut book = Book::new(false);
        let id = begin(&mut book, Followed::Call(CallId(1)));
        book.attributed(&attribution("a", Some(1)));
        book.attributed(&attribution("a", Some(2)));
        book.attributed(&attribution("b", Some(2)));
        pass(&mut book, 1, CARRIER, "INVITE b");
        assert_eq!(shown(&book, id), ["INVITE b"]);
    }

    #[test]
    fn it_ends_at_its_time_and_is_kept() {
        let mut book = Book::new(false);
        let id = begin(&mut book, Followed::Address("192.0.2.1".parse().unwrap()));
        pass(&mut book, 59, CUSTOMER, "OPTIONS a");
        assert!(book.expire(second(59)) && !book.expire(second(60)));
        pass(&mut book, 61, CUSTOMER, "OPTIONS a");
        assert_eq!(shown(&book, id), ["OPTIONS a"]);
        assert!(book.followers.is_empty() && book.recent.is_empty());
        assert!(book.remove(id) && !book.remove(id));
        assert_eq!(book.bytes, 0);
    }

    #[test]
    fn places_and_bytes_are_bounded_and_what_finds_none_is_counted() {
        let mut book = Book::new(false);
        let all = Followed::Address("192.0.2.1".parse().unwrap());
        let first = begin(&mut book, all);
        for _ in 1..TRACES_MAX {
            begin(&mut book, all);
        }
        let more = book.begin(second(0), all, "it".into(), MINUTE);
        assert_eq!(more, Err(NotTraced::TooMany));
        // One that is over makes room.
        assert!(book.end(second(1), first));
        let last = begin(&mut book, all);
        assert!(book.trace(first).is_none() && book.trace(last).is_some());

        let text = format!("OPTIONS sip:b SIP/2.0\r\nCall-ID: a\r\n\r\n{}", "x".repeat(60_000));
        let one = |book: &mut Book| {
            let bytes = Bytes::from(text.clone());
            let (local, remote) = ("192.0.2.9:5060".parse().unwrap(), CUSTOMER.parse().unwrap());
            let (at, way, transport) = (second(2), Way::In, Transport::Udp);
            book.passed(Passed { at, way, transport, local, remote, bytes });
        };
        let mut passed = 0;
        while book.bytes + 100_000 < BYTES_MAX {
            one(&mut book);
            passed += 1;
        }
        (0..3).for_each(|_| one(&mut book));
        // What nobody's Call-ID is like is nothing to follow.
        pass(&mut book, 2, CUSTOMER, &format!("OPTIONS {}", "y".repeat(60_000)));
        let trace = book.trace(last).unwrap();
        assert!(trace.missed > 0 && trace.count() as u64 + trace.missed == passed + 3);
        assert!(book.bytes <= BYTES_MAX && book.recent_bytes <= RECENT_BYTES_MAX);
    }

    #[test]
    fn messages_of_all_legs_name_the_callers_call_id() {
        let mut book = Book::new(true);
        assert_eq!(pass(&mut book, 1, CUSTOMER, "INVITE a").as_deref(), Some(&b"a"[..]));
        book.attributed(&attribution("a", Some(1)));
        book.attributed(&attribution("b", Some(1)));
        assert_eq!(pass(&mut book, 1, CARRIER, "INVITE b").as_deref(), Some(&b"a"[..]));
        assert!(book.recent.is_empty());
    }
}
