//! Phones behind NAT stay reachable only while their router sees traffic, and a router need not count what
//! comes from outside (RFC 4787 section 4.3). So each is asked something now and then (OPTIONS, RFC 3261
//! section 11): its answer is what counts. To the switch it says nothing, so nobody waits for it.

use std::time::Duration;

use sip::message::{HeaderName, Method, RequestDraft};
use sip::timer_wheel::TimerKey;
use sip::transport::{Path, Transport};
use vocabulary::Now;

use crate::registrar::Binding;
use crate::shard::{Alarm, Shard};
use crate::token::Randomness;
use crate::upstream::{contact_host, own_call_id};

/// How often phones are looked for whose turn it is.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// So many seconds' phones may be asked in one.
const LATE_MAX: u64 = 3;

/// What the questions of one shard have in common.
#[derive(Debug)]
pub(crate) struct KeepAlives {
    timer: Option<TimerKey>,
    call_id: String,
    tag: u64,
    cseq: u32,
    /// Who has a turn up to this second of monotonic time had it.
    asked_until: u64,
}

impl KeepAlives {
    pub(crate) fn new(place: (u8, u8), random: &mut Randomness) -> KeepAlives {
        let call_id = own_call_id('k', place, random);
        KeepAlives { timer: None, call_id, tag: random.next(), cseq: 0, asked_until: 0 }
    }

    fn draft(&mut self, binding: &Binding, our_host: &str) -> RequestDraft {
        self.cseq = self.cseq.wrapping_add(1) & 0x7fff_ffff;
        let to: &[&[u8]] = &[b"<", &binding.uri, b">"];
        RequestDraft::new(Method::Options, &binding.uri)
            .header_fmt(HeaderName::From, format_args!("<sip:{our_host}>;tag={:016x}", self.tag))
            .header(HeaderName::To, to.concat())
            .header(HeaderName::CallId, &self.call_id)
            .header_fmt(HeaderName::CSeq, format_args!("{} OPTIONS", self.cseq))
    }
}

/// A way through a router that only we keep open: connections have keep-alives of their own, and a phone
/// behind an edge proxy is the proxy's to reach.
fn needs_us(binding: &Binding) -> bool {
    binding.is_behind_nat && binding.source.transport == Transport::Udp && binding.path.is_empty()
}

impl Shard {
    /// Begins or ends, as the settings say.
    pub(crate) fn reconcile_keep_alives(&mut self, now: Duration) {
        match (self.directory.settings().nat_keep_alive, self.keep_alives.timer) {
            (Some(_), None) => {
                self.keep_alives.asked_until = now.as_secs();
                self.arm_keep_alives(now);
            }
            (None, Some(key)) => {
                self.wheel.disarm(key);
                self.keep_alives.timer = None;
            }
            _ => {}
        }
    }

    fn arm_keep_alives(&mut self, now: Duration) {
        self.keep_alives.timer = Some(self.wheel.arm(now + LOOK_EACH, Alarm::KeepAlives));
    }

    /// Asks the phones whose turn has come. Each has its second of the interval, by its number, so that they
    /// are not all asked at once. Each shard asks those of its own part of the bindings.
    pub(crate) fn keep_phones_alive(&mut self, now: Now) {
        let Some(every) = self.directory.settings().nat_keep_alive else {
            self.keep_alives.timer = None;
            return;
        };
        self.arm_keep_alives(now.monotonic);
        let every = every.as_secs().max(1);
        let until = now.monotonic.as_secs();
        // Whoever was late asks those of the seconds in between too, each once; after a pause they wait for
        // their next turn instead of being asked all at once.
        let passed = (until - self.keep_alives.asked_until.min(until)).min(every).min(LATE_MAX);
        self.keep_alives.asked_until = until;
        let is_due = |number: u64| (until % every + every - number % every) % every < passed;
        let own = (self.config.shard, self.config.shards.max(1));
        let due = self.shared.bindings.those_of(now.utc, own, |id| is_due(id.0), needs_us);
        for binding in due {
            self.ask_phone(&binding);
        }
    }

    fn ask_phone(&mut self, binding: &Binding) {
        let path: Path = binding.source;
        let our_host = contact_host(&self.config.listeners, path);
        let draft = self.keep_alives.draft(binding, &our_host);
        self.endpoint.send_stateless(path, draft);
    }
}
