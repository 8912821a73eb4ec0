//! Random operations: nothing panics, every transaction ends, every request has one outcome, and no
//! timer outlives its transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use sip::endpoint::{ClientTx, Event, ServerTx};
use sip::message::{Message, Method, ResponseDraft};
use sip::transport::Path;

use crate::world::{World, request, tcp, udp};

#[derive(Clone, Debug)]
enum Operation {
    /// The peer sends a request: its method, its branch, the path.
    Request(usize, u8, bool),
    /// We answer one of the requests we have heard.
    Respond(usize, u16),
    /// We send a request.
    Send(bool, bool),
    /// The peer answers something that we sent, as it is or as the CANCEL of it.
    Reply(usize, u16),
    Cancel(usize),
    Fail(bool, u32),
    /// Milliseconds; the timers may be late by as much.
    Pass(u64),
    Garbage(Vec<u8>),
}

const METHODS: [&str; 7] = ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER", "FOO"];

fn operation() -> impl Strategy<Value = Operation> {
    let status = prop_oneof![
        Just(100),
        Just(180),
        Just(183),
        Just(200),
        Just(302),
        Just(401),
        Just(408),
        Just(487),
        Just(603)
    ];
    let reply = status.clone();
    prop_oneof![
        6 => (0..METHODS.len(), 0..4u8, any::<bool>())
            .prop_map(|(method, branch, is_tcp)| Operation::Request(method, branch, is_tcp)),
        6 => (0..16usize, status).prop_map(|(pick, status)| Operation::Respond(pick, status)),
        4 => (any::<bool>(), any::<bool>())
            .prop_map(|(is_invite, is_tcp)| Operation::Send(is_invite, is_tcp)),
        6 => (0..16usize, reply).prop_map(|(pick, status)| Operation::Reply(pick, status)),
        2 => (0..16usize).prop_map(Operation::Cancel),
        1 => (any::<bool>(), 0..11u32).prop_map(|(is_tcp, c)| Operation::Fail(is_tcp, c)),
        6 => prop_oneof![0..300u64, 0..5_000u64, 0..40_000u64].prop_map(Operation::Pass),
        1 => prop::collection::vec(any::<u8>(), 0..80).prop_map(Operation::Garbage),
    ]
}

/// The world and what its users remember.
struct Run {
    world: World,
    heard: Vec<(ServerTx, Message)>,
    sent: Vec<(Path, Message)>,
    clients: Vec<ClientTx>,
    /// Final outcomes of our requests: a failure, or a final response that is no 2xx, is one.
    outcomes: BTreeMap<String, u32>,
}

fn path(is_tcp: bool) -> Path {
    if is_tcp { tcp() } else { udp() }
}

impl Run {
    fn apply(&mut self, operation: Operation) {
        let now = self.world.now;
        match operation {
            Operation::Request(method, branch, is_tcp) => {
                let transport = if is_tcp { "TCP" } else { "UDP" };
                let via = format!("{transport} 192.0.2.7:5066;branch=z9hG4bK{branch}");
                self.world.receive(path(is_tcp), &request(METHODS[method], &via, ""));
            }
            Operation::Respond(pick, status) => {
                if let Some((tx, message)) = self.heard.iter().rev().nth(pick) {
                    let draft = ResponseDraft::with_tag(message, status, "", b"b");
                    self.world.endpoint.respond(now, *tx, draft);
                }
            }
            Operation::Send(is_invite, is_tcp) => {
                let method = if is_invite { Method::Invite } else { Method::Bye };
                self.clients.push(self.world.send(path(is_tcp), method));
            }
            Operation::Reply(pick, status) => {
                if let Some((path, message)) = self.sent.iter().rev().nth(pick) {
                    self.world.reply(*path, message, status);
                }
            }
            Operation::Cancel(pick) => {
                if let Some(tx) = self.clients.iter().rev().nth(pick) {
                    self.world.endpoint.cancel(now, *tx, b"Reason: SIP;cause=200");
                }
            }
            Operation::Fail(is_tcp, connection) => {
                let connection = if is_tcp { connection } else { 0 };
                let failed = Path { connection, ..path(is_tcp) };
                self.world.endpoint.transport_failed(now, failed);
            }
            Operation::Pass(by) => {
                self.world.now += Duration::from_millis(by);
                self.world.endpoint.handle_timeout(self.world.now);
            }
            Operation::Garbage(bytes) => {
                self.world.endpoint.receive(now, udp(), Bytes::from(bytes));
            }
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.world.endpoint.poll_event() {
            match event {
                Event::Request { tx, message, .. } => self.heard.push((tx, message)),
                Event::Response { tx, message, .. } if message.status() >= 300 => {
                    *self.outcomes.entry(format!("{tx:?}")).or_default() += 1;
                }
                Event::Failed { tx, .. } => {
                    *self.outcomes.entry(format!("{tx:?}")).or_default() += 1;
                }
                _ => {}
            }
        }
        while let Some(transmit) = self.world.endpoint.poll_transmit() {
            let message = Message::parse(transmit.bytes).expect("what we send can be read");
            if message.is_request() && message.method() != Method::Ack {
                self.sent.push((transmit.path, message));
            }
        }
        let endpoint = &self.world.endpoint;
        assert!(endpoint.armed() <= 2 * endpoint.transactions(), "a dead machine has a timer");
        assert!(endpoint.armed() >= endpoint.transactions(), "a machine would never end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_order_of_events_comes_to_an_end(
        operations in prop::collection::vec(operation(), 1..120)
    ) {
        let mut run = Run {
            world: World::new(),
            heard: Vec::new(),
            sent: Vec::new(),
            clients: Vec::new(),
            outcomes: BTreeMap::new(),
        };
        for operation in operations {
            run.apply(operation);
        }
        run.world.end();
        run.drain();
        prop_assert!(run.outcomes.values().all(|count| *count == 1), "{:?}", run.outcomes);
    }
}
