//! Two endpoints with legs, joined in memory, in virtual time. Every crossing of messages is made
//! by the network between them: `fates` decides what happens to each datagram.
#![allow(dead_code, unreachable_pub)] // Each test file uses a part.
#![allow(clippy::unwrap_used)] // All of it is test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::auth::Credentials;
use sip::endpoint::{Endpoint, EndpointConfig, Event, Listener};
use sip::message::{HeaderName, Message, Method, ResponseDraft};
use sip::transport::{Path, Transport};
use switch::leg::event::{Body, LegEvent, UpdateMethod};
use switch::leg::{self, Identity, Leg, LegConfig, Outgoing};
use switch::release::Cause;
use switch::token::{LegKey, Tag};
use vocabulary::{Now, Utc};

/// The side that calls.
pub const CALLER: usize = 0;
/// The side that is called.
pub const CALLEE: usize = 1;
/// How long a datagram takes.
pub const LATENCY: Duration = Duration::from_millis(10);

const ADDRESSES: [&str; 2] = ["192.0.2.1:5060", "192.0.2.2:5060"];

/// What happens to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Deliver,
    Drop,
    Twice,
    After(Duration),
}

/// One datagram on its way, or one that was.
#[derive(Clone, Debug)]
pub struct Packet {
    pub at: Duration,
    pub to: usize,
    pub bytes: Bytes,
}

impl Packet {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("the tests write ASCII")
    }

    /// `INVITE 1 INVITE`, `200 1 INVITE`: first word that matters, and CSeq.
    pub fn label(&self) -> String {
        let text = self.text();
        let mut words = text.split([' ', '\r']);
        let first = words.next().unwrap_or_default();
        let first = if first == "SIP/2.0" { words.next().unwrap_or_default() } else { first };
        format!("{first} {}", self.header("CSeq").unwrap_or_default())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.text().split("\r\n\r\n").next()?;
        head.split("\r\n").find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

pub struct Side {
    pub endpoint: Endpoint,
    pub config: Arc<LegConfig>,
    pub legs: Vec<Leg>,
    /// What the legs said, in order, each with its leg.
    pub said: Vec<(usize, LegEvent)>,
}

type Fates = Box<dyn FnMut(&Packet) -> Fate>;

pub struct World {
    pub now: Now,
    pub sides: [Side; 2],
    /// Everything that was sent, whatever became of it.
    pub sent: Vec<Packet>,
    pub fates: Fates,
    /// Changes what is sent on its way.
    pub rewrite: fn(&str) -> Option<String>,
    /// The called side asks for credentials in these methods.
    pub challenged: Vec<Method<'static>>,
    /// No credentials are good enough for it.
    pub refuse_credentials: bool,
    /// So many times it finds that a nonce is too old.
    pub stale_nonces: u32,
    wire: BTreeMap<(Duration, usize), Packet>,
    count: usize,
}

pub fn path_to(side: usize) -> Path {
    let remote: SocketAddr = ADDRESSES[side].parse().unwrap();
    Path { transport: Transport::Udp, listener: 0, connection: 0, remote }
}

pub fn sdp(text: &str) -> Option<Body> {
    Some(Body {
        content_type: Bytes::from_static(b"application/sdp"),
        bytes: Bytes::copy_from_slice(text.as_bytes()),
    })
}

pub fn hang_up() -> LegEvent {
    release(Cause::Normal)
}

pub fn release(cause: Cause) -> LegEvent {
    LegEvent::Release { cause, reason_header: None, sip_status: cause.sip_status() }
}

pub fn ring(status: u16, body: Option<Body>) -> LegEvent {
    LegEvent::Ring { status, headers: Bytes::new(), body }
}

pub fn answer(body: Option<Body>) -> LegEvent {
    LegEvent::Answer { headers: Bytes::new(), body }
}

pub fn update(method: UpdateMethod, body: Option<Body>) -> LegEvent {
    LegEvent::Update { method, body }
}

pub fn update_answer(status: u16, body: Option<Body>) -> LegEvent {
    LegEvent::UpdateAnswer { status, body }
}

/// A short word for an event, for comparison in tests.
pub fn word(event: &LegEvent) -> String {
    let body = |body: &Option<Body>| match body {
        Some(body) => format!(" {}", String::from_utf8_lossy(&body.bytes)),
        None => String::new(),
    };
    match event {
        LegEvent::Ring { status, body: b, .. } => format!("ring {status}{}", body(b)),
        LegEvent::Answer { body: b, .. } => format!("answer{}", body(b)),
        LegEvent::Acknowledge { body: b } => format!("acknowledge{}", body(b)),
        LegEvent::Update { method, body: b } => format!("update {method:?}{}", body(b)),
        LegEvent::UpdateAnswer { status, body: b } => format!("updated {status}{}", body(b)),
        LegEvent::Info { body: b, .. } => format!("info{}", body(b)),
        LegEvent::InfoAnswer { status, .. } => format!("informed {status}"),
        LegEvent::Redirect { status, contacts } => {
            let uris: Vec<_> = contacts.iter().map(|c| String::from_utf8_lossy(c)).collect();
            format!("redirect {status} {}", uris.join(" "))
        }
        LegEvent::Transfer { refer_to } => {
            format!("transfer {}", String::from_utf8_lossy(refer_to))
        }
        LegEvent::TransferAnswer { status } => format!("transfer answer {status}"),
        LegEvent::TransferProgress { status } => format!("transfer progress {status}"),
        LegEvent::CodecsRemoved { names } => format!("codecs removed {names}"),
        LegEvent::OtherSideLeft => "other side left".into(),
        LegEvent::Release { cause, sip_status, .. } => {
            format!("release {} {sip_status}", cause.word())
        }
    }
}

impl World {
    pub fn new() -> World {
        World::with(|_, _| {})
    }

    /// A world whose leg settings `change` may change, per side.
    pub fn with(change: impl Fn(usize, &mut LegConfig)) -> World {
        let side = |index: usize| {
            let listener = Listener {
                id: 0,
                transport: Transport::Udp,
                advertised: ADDRESSES[index].to_owned(),
            };
            let mut config = LegConfig::new([(0, Transport::Udp, ADDRESSES[index])]);
            change(index, &mut config);
            Side {
                endpoint: Endpoint::new(EndpointConfig::new(vec![listener]), 7 + index as u64),
                config: Arc::new(config),
                legs: Vec::new(),
                said: Vec::new(),
            }
        };
        World {
            now: Now { monotonic: Duration::from_secs(1), utc: Utc(1_700_000_000_000_000) },
            sides: [side(0), side(1)],
            sent: Vec::new(),
            fates: Box::new(|_| Fate::Deliver),
            rewrite: |_| None,
            challenged: Vec::new(),
            refuse_credentials: false,
            stale_nonces: 0,
            wire: BTreeMap::new(),
            count: 0,
        }
    }

    fn identity(side: usize, leg: usize) -> Identity {
        let key = LegKey { slot: leg as u32, generation: side as u32, leg: 0 };
        let random = 0x5eed_0000 + (leg * 2 + side) as u64 * 0x9e37_79b9_7f4a;
        Identity {
            tag: Tag::new(0, key, random),
            user: leg as u64,
            policy: None,
            may_replace: true,
        }
    }

    pub fn outgoing(body: Option<Body>) -> Outgoing {
        Outgoing {
            path: path_to(CALLEE),
            request_uri: Bytes::from_static(b"sip:4930@192.0.2.2"),
            from: Bytes::from_static(b"\"A\" <sip:4940@192.0.2.1>"),
            to: Bytes::from_static(b"<sip:4930@192.0.2.2>"),
            call_id: Bytes::from_static(b"call-1"),
            route: None,
            headers: Bytes::from_static(b"Subject: test\r\n"),
            body,
            credentials: None,
            max_forwards: 69,
            is_behind_nat: false,
            is_udp_only: false,
            caller_does_100rel: true,
        }
    }

    /// The caller's leg sends its INVITE.
    pub fn call(&mut self, outgoing: Outgoing) {
        let side = &mut self.sides[CALLER];
        let identity = World::identity(CALLER, side.legs.len());
        let leg = Leg::outbound(self.now, &side.config, identity, &mut side.endpoint, outgoing);
        side.legs.push(leg);
        self.collect();
    }

    /// A call that was answered and acknowledged.
    pub fn talking(mut self) -> World {
        self.call(World::outgoing(sdp("offer")));
        self.run_for(LATENCY * 3);
        self.tell(CALLEE, ring(180, None));
        self.run_for(LATENCY * 3);
        self.tell(CALLEE, answer(sdp("answer")));
        self.run_for(LATENCY * 6);
        self.sides[CALLER].said.clear();
        self.sides[CALLEE].said.clear();
        self.sent.clear();
        self
    }

    /// The call of this side speaks to its first leg.
    pub fn tell(&mut self, side: usize, event: LegEvent) {
        let one = &mut self.sides[side];
        one.legs[0].send(self.now, &mut one.endpoint, event);
        self.collect();
    }

    /// Every call speaks to every leg.
    pub fn tell_all(&mut self, event: LegEvent) {
        for Side { legs, endpoint, .. } in &mut self.sides {
            for leg in legs {
                leg.send(self.now, endpoint, event.clone());
            }
        }
        self.collect();
    }

    /// Puts a datagram on the wire as if a side had sent it.
    pub fn inject(&mut self, to: usize, text: &str) {
        let at = self.now.monotonic + LATENCY;
        self.put(Packet { at, to, bytes: Bytes::copy_from_slice(text.as_bytes()) });
    }

    fn put(&mut self, packet: Packet) {
        self.count += 1;
        self.wire.insert((packet.at, self.count), packet);
    }

    /// Takes everything out of both endpoints and legs.
    fn collect(&mut self) {
        for side in 0..2 {
            for index in 0..self.sides[side].legs.len() {
                while let Some(event) = self.sides[side].legs[index].poll_event() {
                    self.sides[side].said.push((index, event));
                }
            }
            while let Some(transmit) = self.sides[side].endpoint.poll_transmit() {
                let to = ADDRESSES.iter().position(|a| *a == transmit.path.remote.to_string());
                let Some(to) = to else { continue };
                let sent_at = self.now.monotonic;
                let mut packet = Packet { at: sent_at, to, bytes: transmit.bytes };
                if let Some(text) = (self.rewrite)(packet.text()) {
                    packet.bytes = Bytes::from(text);
                }
                let fate = (self.fates)(&packet);
                self.sent.push(packet.clone());
                packet.at = sent_at + LATENCY;
                match fate {
                    Fate::Deliver => self.put(packet),
                    Fate::Drop => {}
                    Fate::Twice => {
                        self.put(packet.clone());
                        packet.at += LATENCY;
                        self.put(packet);
                    }
                    Fate::After(wait) => {
                        packet.at = sent_at + wait;
                        self.put(packet);
                    }
                }
            }
        }
    }

    fn next_at(&self) -> Option<Duration> {
        let wire = self.wire.keys().next().map(|(at, _)| *at);
        let timers = self.sides.iter().flat_map(|side| {
            let legs = side.legs.iter().filter_map(|leg| leg.poll_timeout().map(|(at, _)| at));
            legs.chain(side.endpoint.poll_timeout())
        });
        wire.into_iter().chain(timers).min()
    }

    /// Lets this much time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now.monotonic + duration;
        let mut steps = 0;
        while let Some(at) = self.next_at().filter(|at| *at <= end) {
            steps += 1;
            assert!(steps < 100_000, "something is due again and again");
            let wait = at.saturating_sub(self.now.monotonic);
            self.now = self.now.plus(wait);
            self.step();
        }
        self.now = self.now.plus(end - self.now.monotonic);
    }

    fn step(&mut self) {
        while let Some(entry) = self.wire.first_entry() {
            if entry.key().0 > self.now.monotonic {
                break;
            }
            let packet = entry.remove();
            let from = path_to(1 - packet.to);
            let endpoint = &mut self.sides[packet.to].endpoint;
            endpoint.receive(self.now.monotonic, from, packet.bytes);
            self.dispatch(packet.to);
            self.collect();
        }
        for side in 0..2 {
            self.sides[side].endpoint.handle_timeout(self.now.monotonic);
            self.dispatch(side);
            let Side { legs, endpoint, .. } = &mut self.sides[side];
            for leg in legs.iter_mut() {
                if leg.poll_timeout().is_some_and(|(at, _)| at <= self.now.monotonic) {
                    leg.handle_timeout(self.now, endpoint);
                }
            }
        }
        self.collect();
    }

    /// What a shard does: finds the leg for every event of the endpoint.
    fn dispatch(&mut self, index: usize) {
        let now = self.now;
        let challenged = self.challenged.clone();
        let refuses = self.refuse_credentials || self.stale_nonces > 0;
        let side = &mut self.sides[index];
        while let Some(event) = side.endpoint.poll_event() {
            let Side { endpoint, legs, config, .. } = &mut *side;
            match event {
                Event::Request { tx, message, .. }
                    if index == CALLEE
                        && message
                            .method()
                            .known()
                            .is_some_and(|method| challenged.contains(&method))
                        && (refuses
                            || message.header(HeaderName::ProxyAuthorization).is_none()) =>
                {
                    let mut challenge =
                        "Digest realm=\"carrier\", nonce=\"n\", qop=\"auth\"".to_owned();
                    if message.header(HeaderName::ProxyAuthorization).is_some()
                        && self.stale_nonces > 0
                    {
                        self.stale_nonces -= 1;
                        challenge += ", stale=true";
                    }
                    let response = ResponseDraft::with_tag(&message, 407, "", b"challenge");
                    let response = response.header(HeaderName::ProxyAuthenticate, challenge);
                    endpoint.respond(now.monotonic, tx, response);
                }
                Event::Request { tx, message, path } => match message.to_tag() {
                    None if message.method() == Method::Invite => {
                        let identity = World::identity(index, legs.len());
                        let leg = Leg::inbound(now, config, identity, endpoint, tx, &message, path);
                        legs.push(leg);
                    }
                    _ => match find(legs, &message) {
                        Some(leg) => leg.request(now, endpoint, tx, &message, path),
                        None => leg::refuse(now, endpoint, tx, &message),
                    },
                },
                Event::Ack { message, .. } => {
                    if let Some(leg) = find(legs, &message) {
                        leg.ack(now, endpoint, &message);
                    }
                }
                Event::Cancelled { tx, user, message } => {
                    legs[user as usize].cancelled(now, endpoint, tx, &message);
                }
                Event::Response { tx, user, message, path } => {
                    legs[user as usize].response(now, endpoint, tx, &message, path);
                }
                Event::Failed { tx, user, why } => {
                    legs[user as usize].failed(now, endpoint, tx, why);
                }
                Event::ServerFailed { tx, user, why } => {
                    legs[user as usize].server_failed(now, endpoint, tx, why);
                }
            }
        }
    }

    pub fn words(&self, side: usize) -> Vec<String> {
        self.sides[side].said.iter().map(|(_, event)| word(event)).collect()
    }

    /// What the legs of a side said, in order.
    #[track_caller]
    pub fn check_said(&self, side: usize, expected: &[&str]) {
        assert_eq!(self.words(side), expected, "wire: {:#?}", self.labels());
    }

    /// Every datagram sent: `>` from the caller's side, `<` from the callee's.
    pub fn labels(&self) -> Vec<String> {
        let arrow = |packet: &Packet| if packet.to == CALLEE { '>' } else { '<' };
        self.sent.iter().map(|packet| format!("{} {}", arrow(packet), packet.label())).collect()
    }

    #[track_caller]
    pub fn check_wire(&self, expected: &[&str]) {
        assert_eq!(self.labels(), expected);
    }

    /// How often a datagram with this label was sent.
    pub fn count(&self, label: &str) -> usize {
        self.labels().iter().filter(|found| *found == label).count()
    }

    /// The last datagram with this label.
    #[track_caller]
    pub fn last(&self, label: &str) -> &Packet {
        let labels = self.labels();
        let index = labels.iter().rposition(|found| found == label);
        &self.sent[index.unwrap_or_else(|| panic!("no {label:?} in {labels:#?}"))]
    }

    #[track_caller]
    pub fn check_over(&self) {
        for (index, side) in self.sides.iter().enumerate() {
            assert!(side.legs.iter().all(Leg::is_over), "side {index}: {:#?}", self.labels());
        }
    }

    pub fn credentials() -> Option<Arc<Credentials>> {
        Some(Arc::new(Credentials::new("trunk", "secret")))
    }
}

fn find<'a>(legs: &'a mut [Leg], message: &Message) -> Option<&'a mut Leg> {
    let tag = message.to_tag()?;
    let key = Tag::read(tag)?.1;
    let leg = legs.get_mut(key.slot as usize)?;
    (leg.dialog().local_tag == tag).then_some(leg)
}
