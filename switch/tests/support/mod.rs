//! A shard, its clock and its peers, all in one place and without a socket: what is sent waits in
//! an outbox, what is asked of others waits in a list.
#![allow(dead_code)] // Each test file uses its part.
#![allow(clippy::unwrap_used)] // Not a #[test] itself, but nothing else calls it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::auth::NonceCounts;
use sip::endpoint::Listener;
use sip::message::{HeaderName, Message};
use sip::transport::{Path, Transport};
use switch::admission::Admission;
use switch::did::DidRow;
use switch::directory::{
    AccountRow, DigestSecret, Directory, DirectoryBuilder, NumberRow, RouteRow, Settings,
    SubscriberRow, TrunkRow,
};
use switch::guard::GuardRows;
use switch::health::Health;
use switch::jurisdiction::{JurisdictionRow, Jurisdictions};
use switch::lookup::Lookup;
use switch::numbers::{NumberList, NumberPolicy};
use switch::quality::{Quality, QualityRule};
use switch::registrar::{Bindings, StoredBinding};
use switch::routing::{RoutePrefix, TrunksNow};
use switch::{Effect, Input, Shard, ShardConfig, Shared};
use vocabulary::{
    AccountId, Authorization, AuthorizeRequest, CallId, Extension, Grant, Now, Number, Refused,
    SettleRequest, SubscriberId, TrunkId, Utc,
};

/// Of which trunks nothing is known.
#[derive(Default)]
pub(crate) struct Untested {
    health: Health,
    quality: Quality,
}

impl Untested {
    pub(crate) fn trunks(&self) -> TrunksNow<'_> {
        TrunksNow { now: Utc(0), health: &self.health, quality: &self.quality }
    }
}

/// The customer's trunk, known by its address.
pub(crate) const CUSTOMER: &str = "10.0.0.1:5060";
/// Carriers in the order of their routes' priorities.
pub(crate) const CARRIERS: [&str; 3] = ["10.1.0.1:5060", "10.1.0.2:5060", "10.1.0.3:5060"];
/// Bob's phones.
pub(crate) const PHONES: [&str; 2] = ["10.2.0.1:5060", "10.2.0.2:5060"];
/// Alice's phone.
pub(crate) const ALICE: &str = "10.3.0.1:5060";

pub(crate) const CUSTOMER_ACCOUNT: AccountId = AccountId(1);
pub(crate) const CARRIER_ACCOUNT: AccountId = AccountId(2);
pub(crate) const LOCAL_ACCOUNT: AccountId = AccountId(3);
pub(crate) const CUSTOMER_TRUNK: TrunkId = TrunkId(10);
pub(crate) const BOB: SubscriberId = SubscriberId(21);

pub(crate) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
                       m=audio 4000 RTP/AVP 0\r\n";

pub(crate) fn number(text: &str) -> Number {
    text.parse().unwrap()
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The rows of the usual world; a test changes what it is about.
pub(crate) struct Rows {
    pub(crate) settings: Settings,
    pub(crate) accounts: Vec<AccountRow>,
    pub(crate) subscribers: Vec<SubscriberRow>,
    pub(crate) trunks: Vec<TrunkRow>,
    pub(crate) routes: Vec<RouteRow>,
    pub(crate) numbers: Vec<(Number, SubscriberId)>,
    pub(crate) dids: Vec<DidRow>,
    pub(crate) guard: GuardRows,
    pub(crate) lists: Vec<NumberList>,
    pub(crate) numbers_of_all: NumberPolicy,
    pub(crate) quality: Vec<QualityRule>,
    pub(crate) prefixes: Vec<RoutePrefix>,
    pub(crate) lookups: Vec<Lookup>,
    pub(crate) jurisdictions: Vec<JurisdictionRow>,
}

fn account(id: AccountId) -> AccountRow {
    AccountRow::new(id, &format!("account{id}"))
}

pub(crate) fn subscriber(id: u64, username: &str, secret: DigestSecret) -> SubscriberRow {
    let row = SubscriberRow::new(SubscriberId(id), LOCAL_ACCOUNT, username, secret);
    SubscriberRow { contacts_max: 4, ..row }
}

impl Default for Rows {
    fn default() -> Rows {
        let mut customer = TrunkRow::new(CUSTOMER_TRUNK, "customer", CUSTOMER_ACCOUNT);
        customer.ingress.networks.push("10.0.0.1".parse().unwrap());
        customer.host = "10.0.0.1".into();
        let mut trunks = vec![customer];
        let mut routes = Vec::new();
        for (n, host) in (1..).zip(CARRIERS) {
            let mut carrier = TrunkRow::new(TrunkId(n), &format!("carrier{n}"), CARRIER_ACCOUNT);
            carrier.host = host.split(':').next().unwrap().into();
            trunks.push(carrier);
            let priority = n as u16;
            routes.push(RouteRow::new("49", TrunkId(n), priority));
        }
        let settings = Settings { realm: "example.net".into(), ..Settings::default() };
        let secret = |username| secret(username, "secret");
        Rows {
            settings,
            accounts: [CUSTOMER_ACCOUNT, CARRIER_ACCOUNT, LOCAL_ACCOUNT].map(account).to_vec(),
            subscribers: vec![
                subscriber(20, "alice", secret("alice")),
                subscriber(21, "bob", secret("bob")),
            ],
            trunks,
            routes,
            numbers: vec![(number("4930555"), BOB)],
            dids: Vec::new(),
            guard: GuardRows::default(),
            lists: Vec::new(),
            numbers_of_all: NumberPolicy::default(),
            quality: Vec::new(),
            prefixes: Vec::new(),
            lookups: Vec::new(),
            jurisdictions: Vec::new(),
        }
    }
}

/// What a directory keeps of a password.
pub(crate) fn secret(username: &str, password: &str) -> DigestSecret {
    DigestSecret {
        ha1_md5: sip::auth::ha1_md5(username, "example.net", password),
        ha1_sha256: sip::auth::ha1_sha256(username, "example.net", password),
    }
}

impl Rows {
    pub(crate) fn trunk(&mut self, id: u64) -> &mut TrunkRow {
        self.trunks.iter_mut().find(|trunk| trunk.id == TrunkId(id)).unwrap()
    }

    pub(crate) fn account(&mut self, id: AccountId) -> &mut AccountRow {
        self.accounts.iter_mut().find(|account| account.id == id).unwrap()
    }

    pub(crate) fn build(&self) -> Directory {
        let builder = DirectoryBuilder::new(self.settings.clone(), 7);
        let builder = builder.guard(self.guard.clone());
        let builder = builder.numbers_of_all(self.numbers_of_all.clone());
        let builder = builder.route_prefixes(self.prefixes.clone()).lookups(self.lookups.clone());
        let table = Jurisdictions::new(self.jurisdictions.clone());
        let builder = builder.jurisdictions(table);
        let mut builder = builder.quality_rules(self.quality.clone());
        for list in &self.lists {
            builder = builder.number_list(list.clone());
        }
        for row in &self.accounts {
            builder = builder.account(row.clone());
        }
        for row in &self.subscribers {
            builder = builder.subscriber(row.clone());
        }
        for row in &self.trunks {
            builder = builder.trunk(row.clone());
        }
        for row in &self.routes {
            builder = builder.route(row.clone());
        }
        for (number, subscriber) in &self.numbers {
            builder = builder.number(NumberRow { number: *number, subscriber: *subscriber });
        }
        for did in &self.dids {
            builder = builder.did(did.clone());
        }
        builder.build().unwrap()
    }
}

pub(crate) struct World {
    pub(crate) shard: Shard,
    pub(crate) now: Now,
    pub(crate) shared: Shared,
    pub(crate) outbox: VecDeque<(Path, Message)>,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) settled: Vec<SettleRequest>,
    /// Calls that are joined speak with each other; with several shards the test hands it over.
    is_alone: bool,
}

pub(crate) fn path(remote: &str) -> Path {
    Path { transport: Transport::Udp, listener: 0, connection: 0, remote: address(remote) }
}

/// A connection of a peer; number 0 for one that is to be opened.
pub(crate) fn tcp(remote: &str, connection: u32) -> Path {
    Path { transport: Transport::Tcp, listener: 1, connection, remote: address(remote) }
}

/// The only shard of a small switch.
pub(crate) fn config() -> ShardConfig {
    ShardConfig {
        shard: 0,
        shards: 1,
        start: 1,
        listeners: vec![
            listener(0, Transport::Udp, "192.0.2.1:5060"),
            listener(1, Transport::Tcp, "192.0.2.1:5060"),
            listener(2, Transport::Tls, "192.0.2.1:5061"),
        ],
        calls_max: 1000,
        server_name: String::new(),
        seed: 42,
        nonce_secret: [7; 32],
    }
}

fn listener(id: u16, transport: Transport, advertised: &str) -> Listener {
    Listener { id, transport, advertised: advertised.into() }
}

impl World {
    pub(crate) fn new() -> World {
        World::with(Rows::default())
    }

    pub(crate) fn with(rows: Rows) -> World {
        World::in_shard(rows, 0, 1)
    }

    /// One shard of several.
    pub(crate) fn in_shard(rows: Rows, shard: u8, shards: u8) -> World {
        World::of(rows, ShardConfig { shard, shards, ..config() })
    }

    pub(crate) fn of(rows: Rows, config: ShardConfig) -> World {
        let shared = Shared {
            bindings: Arc::new(Bindings::default()),
            admission: Arc::new(Admission::default()),
            nonces: Arc::new(NonceCounts::new(1024)),
            guard: Arc::default(),
            fraud: Arc::default(),
            health: Arc::default(),
            quality: Arc::default(),
            tls_peers: Arc::default(),
        };
        World::sharing(rows, config, shared)
    }

    /// The same, with what it shares with other shards.
    pub(crate) fn sharing(rows: Rows, config: ShardConfig, shared: Shared) -> World {
        let is_alone = config.shards == 1;
        let shard = Shard::new(config, shared.clone(), Arc::new(rows.build()));
        let now = Now { monotonic: Duration::from_secs(1), utc: Utc(1_700_000_000_000_000) };
        World {
            shard,
            now,
            shared,
            outbox: VecDeque::new(),
            effects: VecDeque::new(),
            settled: Vec::new(),
            is_alone,
        }
    }

    /// Registers Bob at these addresses, as if restored from a store.
    pub(crate) fn bob_at(&mut self, phones: &[&str]) {
        self.is_at(BOB, "bob", phones);
    }

    /// The same for any subscriber.
    pub(crate) fn is_at(&mut self, subscriber: SubscriberId, user: &str, phones: &[&str]) {
        let binding = |remote: &&str| StoredBinding {
            uri: format!("sip:{user}@{remote}"),
            path: Vec::new(),
            q: 1000,
            expires_at: self.now.utc.plus(Duration::from_secs(86400)),
            call_id: format!("reg-{remote}"),
            cseq: 1,
            transport: Transport::Udp,
            listener: 0,
            remote: address(remote),
            is_behind_nat: false,
        };
        self.shared.bindings.restore(subscriber, phones.iter().map(binding).collect());
    }

    // In.

    pub(crate) fn input(&mut self, input: Input) {
        let mut joint = VecDeque::from([input]);
        while let Some(input) = joint.pop_front() {
            self.handle(input, &mut joint);
        }
    }

    fn handle(&mut self, input: Input, joint: &mut VecDeque<Input>) {
        self.shard.handle(self.now, input);
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Send(transmit) => {
                    let message = Message::parse(transmit.bytes).expect("we send what we can read");
                    self.outbox.push_back((transmit.path, message));
                }
                Effect::Settle(request) => self.settled.push(*request),
                Effect::Onward(onward) if self.is_alone => joint.push_back(Input::Onward(onward)),
                Effect::Relay { to, from, said } if self.is_alone => {
                    joint.push_back(Input::Relayed { to: to.key, from, said });
                }
                other => self.effects.push_back(other),
            }
        }
    }

    /// A message from a peer; lines may end in LF alone.
    pub(crate) fn receive(&mut self, from: &str, text: &str) {
        self.receive_on(path(from), text);
    }

    /// The same by a way of the test's choice. The Via says what that is.
    pub(crate) fn receive_on(&mut self, path: Path, text: &str) {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut whole = head.trim_end().replace('\n', "\r\n");
        if path.transport.is_reliable() && !whole.starts_with("SIP/2.0") {
            let by = format!("Via: SIP/2.0/{}", path.transport.via_name());
            whole = whole.replace("Via: SIP/2.0/UDP", &by);
        }
        whole.push_str("\r\n\r\n");
        whole.push_str(body);
        self.input(Input::Message { path, bytes: Bytes::from(whole) });
    }

    /// A connection ends, as the server tells it.
    pub(crate) fn lose(&mut self, path: Path) {
        self.input(Input::PathFailed(Path { connection: 0, ..path }));
        self.input(Input::PathFailed(path));
    }

    /// Whether the switch needs this connection though nothing is heard on it.
    pub(crate) fn needs(&mut self, path: Path) -> bool {
        self.input(Input::PathIdle(path));
        let place =
            self.effects.iter().position(|e| matches!(e, Effect::KeepPath(p) if *p == path));
        place.and_then(|place| self.effects.remove(place)).is_some()
    }

    /// A datagram as it is.
    pub(crate) fn receive_bytes(&mut self, from: &str, bytes: Bytes) {
        self.input(Input::Message { path: path(from), bytes });
    }

    /// Lets time pass, with every timeout on the way.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now.plus(duration);
        while let Some(at) = self.shard.poll_timeout().filter(|at| *at <= end.monotonic) {
            let step = at.saturating_sub(self.now.monotonic);
            self.now = self.now.plus(step);
            self.input(Input::Timeout);
        }
        self.now = end;
        self.input(Input::Timeout);
    }

    pub(crate) fn pass_secs(&mut self, secs: u64) {
        self.pass(Duration::from_secs(secs));
    }

    // Out.

    /// The next message to this peer, which must begin so: `INVITE`, `200`, `BYE`…
    #[track_caller]
    pub(crate) fn expect(&mut self, to: &str, begins: &str) -> Message {
        let to_addr = address(to);
        let place = self.outbox.iter().position(|(path, _)| path.remote == to_addr);
        let Some(place) = place else {
            panic!("nothing for {to}, expected {begins}; outbox: {:?}", self.outbox);
        };
        let (_, message) = self.outbox.remove(place).unwrap();
        let text = start(&message);
        assert!(text.starts_with(begins), "for {to} expected {begins}, found {text}");
        message
    }

    /// Like `expect`, but other messages to this peer may come before.
    #[track_caller]
    pub(crate) fn expect_soon(&mut self, to: &str, begins: &str) -> Message {
        let to_addr = address(to);
        let place = self
            .outbox
            .iter()
            .position(|(path, m)| path.remote == to_addr && start(m).starts_with(begins));
        let Some(place) = place else {
            panic!("no {begins} for {to}; outbox: {:?}", self.outbox);
        };
        self.outbox.remove(place).unwrap().1
    }

    /// The next message on this path.
    #[track_caller]
    pub(crate) fn expect_on(&mut self, path: Path, begins: &str) -> Message {
        let place = self.outbox.iter().position(|(found, _)| *found == path);
        let Some(place) = place else {
            panic!("nothing on {path:?}, expected {begins}; outbox: {:?}", self.outbox);
        };
        let (_, message) = self.outbox.remove(place).unwrap();
        let text = start(&message);
        assert!(text.starts_with(begins), "on {path:?} expected {begins}, found {text}");
        message
    }

    /// The next INVITE to this peer, if there is one.
    pub(crate) fn maybe(&mut self, to: &str) -> Option<Message> {
        let is_it = |(path, message): &(Path, Message)| {
            path.remote == address(to) && start(message).starts_with("INVITE")
        };
        let place = self.outbox.iter().position(is_it)?;
        self.outbox.remove(place).map(|(_, message)| message)
    }

    #[track_caller]
    pub(crate) fn expect_nothing(&mut self, to: &str) {
        let found = self.outbox.iter().find(|(path, _)| path.remote == address(to));
        assert!(found.is_none(), "unexpected for {to}: {found:?}");
    }

    pub(crate) fn forget(&mut self) {
        self.outbox.clear();
    }

    #[track_caller]
    pub(crate) fn asked(&mut self) -> AuthorizeRequest {
        let place = self.effects.iter().position(|e| matches!(e, Effect::Authorize(_)));
        match place.and_then(|place| self.effects.remove(place)) {
            Some(Effect::Authorize(request)) => request,
            _ => panic!("billing was not asked: {:?}", self.effects),
        }
    }

    /// The same, and billing is still asked: this account is.
    #[track_caller]
    pub(crate) fn asked_by(&mut self, account: AccountId) -> AuthorizeRequest {
        let request = self.asked();
        assert_eq!(request.account, account);
        self.effects.push_back(Effect::Authorize(request.clone()));
        request
    }

    /// Billing grants so many seconds, and all candidates in order; of those that stand by one if there is
    /// no other.
    #[track_caller]
    pub(crate) fn grant(&mut self, secs: u64, is_final: bool) -> CallId {
        let request = self.asked();
        let standby = request.candidates.iter().position(|c| c.is_standby);
        let used = standby.map_or(request.candidates.len(), |first| first.max(1));
        let egress = request.candidates.iter().take(used).map(|c| c.trunk).collect();
        let grant = Grant { talk_time: Duration::from_secs(secs), is_final };
        let authorization =
            Authorization { grant, egress, skipped: Vec::new(), decisions: Vec::new() };
        self.input(Input::Authorized { call: request.call, result: Ok(authorization) });
        request.call
    }

    #[track_caller]
    pub(crate) fn deny(&mut self, refused: Refused) {
        let call = self.asked().call;
        self.input(Input::Authorized { call, result: Err(refused) });
    }

    /// The journal has the answer.
    #[track_caller]
    pub(crate) fn record(&mut self) {
        let place = self.effects.iter().position(|e| matches!(e, Effect::Answered { .. }));
        match place.and_then(|place| self.effects.remove(place)) {
            Some(Effect::Answered { call, .. }) => {
                self.input(Input::Recorded { call, grant: None })
            }
            _ => panic!("no answer to be recorded: {:?}", self.effects),
        }
    }

    pub(crate) fn take_extend(&mut self) -> Option<CallId> {
        let place = self.effects.iter().position(|e| matches!(e, Effect::Extend(_)))?;
        match self.effects.remove(place) {
            Some(Effect::Extend(request)) => Some(request.call),
            _ => None,
        }
    }

    pub(crate) fn extend(&mut self, call: CallId, secs: u64, is_final: bool) {
        let grant = Grant { talk_time: Duration::from_secs(secs), is_final };
        self.input(Input::Extended(Extension { call, grant }));
    }

    /// The one settlement there must be now.
    #[track_caller]
    pub(crate) fn settlement(&mut self) -> SettleRequest {
        assert_eq!(self.settled.len(), 1, "{:?}", self.settled);
        self.settled.pop().unwrap()
    }

    /// What must hold when all calls are over.
    #[track_caller]
    pub(crate) fn check_empty(&mut self) {
        self.pass_secs(400);
        assert!(self.shard.is_idle(), "{:?}", self.shard.live_calls());
        assert_eq!(self.shard.armed_calls(), 0);
        assert!(self.shared.admission.is_empty());
    }

    // Peers.

    /// The customer calls.
    pub(crate) fn call(&mut self, cld: &str) {
        self.receive(CUSTOMER, &invite(CUSTOMER, "c1", cld, 1, ""));
    }

    /// The peer answers a request of ours.
    pub(crate) fn reply(&mut self, from: &str, request: &Message, status: &str, extra: &str) {
        self.receive(from, &response(from, request, status, extra, ""));
    }

    pub(crate) fn reply_with_sdp(&mut self, from: &str, request: &Message, status: &str) {
        self.receive(from, &response(from, request, status, "", SDP));
    }

    /// A straight call up to the 200 at the customer; gives the call, the INVITE at the first
    /// carrier and the 200 at the customer.
    #[track_caller]
    pub(crate) fn talk(&mut self, grant_secs: u64, is_final: bool) -> (CallId, Message, Message) {
        self.call("4930123456");
        let call = self.grant(grant_secs, is_final);
        let invite = self.expect(CARRIERS[0], "INVITE");
        self.reply(CARRIERS[0], &invite, "180 Ringing", "");
        self.expect_soon(CUSTOMER, "SIP/2.0 180");
        self.reply_with_sdp(CARRIERS[0], &invite, "200 OK");
        self.record();
        let answer = self.expect_soon(CUSTOMER, "SIP/2.0 200");
        self.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
        self.expect_soon(CARRIERS[0], "ACK");
        self.forget();
        (call, invite, answer)
    }
}

pub(crate) fn start(message: &Message) -> String {
    let bytes = message.bytes();
    let end = bytes.windows(2).position(|w| w == b"\r\n").unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

pub(crate) fn header(message: &Message, name: HeaderName<'_>) -> String {
    String::from_utf8_lossy(message.header(name).unwrap_or_default()).into_owned()
}

fn to_header(message: &Message) -> String {
    header(message, HeaderName::To)
}

/// An INVITE of a caller's.
pub(crate) fn invite(from: &str, call_id: &str, cld: &str, cseq: u32, extra: &str) -> String {
    format!(
        "INVITE sip:{cld}@192.0.2.1 SIP/2.0\n\
         Via: SIP/2.0/UDP {from};branch=z9hG4bK{call_id}-{cseq};rport\n\
         Max-Forwards: 70\n\
         From: \"Caller\" <sip:4989777@{from}>;tag=ft-{call_id}\n\
         To: <sip:{cld}@192.0.2.1>\n\
         Call-ID: {call_id}\n\
         CSeq: {cseq} INVITE\n\
         Contact: <sip:caller@{from}>\n\
         {extra}Content-Type: application/sdp\n\
         Content-Length: {}\n\n{SDP}",
        SDP.len()
    )
}

/// The ACK to our final response: of a 2xx a request of its own, else hop by hop.
pub(crate) fn ack(from: &str, call_id: &str, answer: &Message) -> String {
    let cseq = answer.cseq().0;
    let branch = if answer.status() < 300 { "ack" } else { "" };
    format!(
        "ACK sip:192.0.2.1 SIP/2.0\n\
         Via: SIP/2.0/UDP {from};branch=z9hG4bK{call_id}-{cseq}{branch};rport\n\
         Max-Forwards: 70\n\
         From: \"Caller\" <sip:4989777@{from}>;tag=ft-{call_id}\n\
         To: {}\n\
         Call-ID: {call_id}\n\
         CSeq: {cseq} ACK\n\
         Content-Length: 0\n\n",
        to_header(answer)
    )
}

pub(crate) fn cancel(from: &str, call_id: &str, cld: &str, cseq: u32) -> String {
    format!(
        "CANCEL sip:{cld}@192.0.2.1 SIP/2.0\n\
         Via: SIP/2.0/UDP {from};branch=z9hG4bK{call_id}-{cseq};rport\n\
         Max-Forwards: 70\n\
         From: \"Caller\" <sip:4989777@{from}>;tag=ft-{call_id}\n\
         To: <sip:{cld}@192.0.2.1>\n\
         Call-ID: {call_id}\n\
         CSeq: {cseq} CANCEL\n\
         Content-Length: 0\n\n"
    )
}

/// A request of the caller's in the dialog that our answer made.
pub(crate) fn in_dialog(
    from: &str,
    call_id: &str,
    answer: &Message,
    method: &str,
    cseq: u32,
) -> String {
    format!(
        "{method} sip:192.0.2.1 SIP/2.0\n\
         Via: SIP/2.0/UDP {from};branch=z9hG4bK{call_id}-{method}-{cseq};rport\n\
         Max-Forwards: 70\n\
         From: \"Caller\" <sip:4989777@{from}>;tag=ft-{call_id}\n\
         To: {}\n\
         Call-ID: {call_id}\n\
         CSeq: {cseq} {method}\n\
         Content-Length: 0\n\n",
        to_header(answer)
    )
}

/// A request of the callee's in the dialog that our INVITE made.
pub(crate) fn from_callee(from: &str, invite: &Message, method: &str, cseq: u32) -> String {
    format!(
        "{method} sip:192.0.2.1 SIP/2.0\n\
         Via: SIP/2.0/UDP {from};branch=z9hG4bKcallee-{method}-{cseq}\n\
         Max-Forwards: 70\n\
         From: {};tag=callee-{from}\n\
         To: {}\n\
         Call-ID: {}\n\
         CSeq: {cseq} {method}\n\
         Content-Length: 0\n\n",
        to_header(invite),
        header(invite, HeaderName::From),
        header(invite, HeaderName::CallId),
    )
}

pub(crate) fn response(
    from: &str,
    request: &Message,
    status: &str,
    extra: &str,
    body: &str,
) -> String {
    let vias: Vec<String> = request
        .headers(HeaderName::Via)
        .map(|via| format!("Via: {}\n", String::from_utf8_lossy(via)))
        .collect();
    let mut to = to_header(request);
    if request.to_tag().is_none() && !status.starts_with("100") {
        to.push_str(&format!(";tag=callee-{from}"));
    }
    let content_type = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
    format!(
        "SIP/2.0 {status}\n{}From: {}\nTo: {to}\nCall-ID: {}\nCSeq: {}\n\
         Contact: <sip:callee@{from}>\n{extra}{content_type}Content-Length: {}\n\n{body}",
        vias.concat(),
        header(request, HeaderName::From),
        header(request, HeaderName::CallId),
        header(request, HeaderName::CSeq),
        body.len()
    )
}

/// The codes of a settled call's decisions.
pub(crate) fn codes(request: &SettleRequest) -> Vec<&'static str> {
    request.facts.decisions.iter().map(|line| line.code).collect()
}

/// Cause, status and who, of each leg.
pub(crate) fn outcomes(request: &SettleRequest) -> Vec<(&'static str, u16)> {
    request.facts.legs.iter().map(|leg| (leg.release.cause, leg.release.sip_status)).collect()
}
