//! An endpoint, its clock, and the messages that its peer writes.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sip::endpoint::{ClientTx, Endpoint, EndpointConfig, Event, Listener, ServerTx};
use sip::message::{HeaderName, Message, Method, RequestDraft, ResponseDraft};
use sip::transport::{Path, Transport};

pub(crate) const PEER: &str = "192.0.2.7:5066";

pub(crate) struct World {
    pub(crate) endpoint: Endpoint,
    pub(crate) now: Duration,
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn listener(id: u16, transport: Transport) -> Listener {
    Listener { id, transport, advertised: "192.0.2.1:5060".into() }
}

pub(crate) fn udp() -> Path {
    Path { transport: Transport::Udp, listener: 1, connection: 0, remote: PEER.parse().unwrap() }
}

pub(crate) fn tcp() -> Path {
    Path { transport: Transport::Tcp, listener: 2, connection: 9, remote: PEER.parse().unwrap() }
}

/// A request as the peer writes it; `more` are further lines, each with CRLF.
pub(crate) fn request(method: &str, via: &str, more: &str) -> String {
    format!(
        "{method} sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/{via}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@192.0.2.7>;tag=a\r\nTo: <sip:bob@192.0.2.1>\r\nCall-ID: call\r\n\
         CSeq: 7 {method}\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

pub(crate) const VIA: &str = "UDP 192.0.2.7:5066;branch=z9hG4bKpeer";
pub(crate) const VIA_TCP: &str = "TCP 192.0.2.7:5066;branch=z9hG4bKpeer";

impl World {
    pub(crate) fn new() -> World {
        World::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut EndpointConfig)) -> World {
        let listeners = vec![listener(1, Transport::Udp), listener(2, Transport::Tcp)];
        let mut config = EndpointConfig::new(listeners);
        change(&mut config);
        World { endpoint: Endpoint::new(config, 42), now: Duration::from_secs(100) }
    }

    pub(crate) fn receive(&mut self, path: Path, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.endpoint.receive(self.now, path, bytes);
    }

    /// What the endpoint has to say, and nothing more than one thing.
    #[track_caller]
    pub(crate) fn event(&mut self) -> Option<Event> {
        let event = self.endpoint.poll_event();
        let second = self.endpoint.poll_event();
        assert!(second.is_none(), "more than one event: {second:?}");
        event
    }

    /// Takes the request that came in.
    #[track_caller]
    pub(crate) fn requested(&mut self) -> (ServerTx, Message) {
        match self.event() {
            Some(Event::Request { tx, message, .. }) => (tx, message),
            other => panic!("a request was expected, not {other:?}"),
        }
    }

    /// What is sent: the start line's method or status, and where to.
    pub(crate) fn sent(&mut self) -> Vec<(String, SocketAddr)> {
        std::iter::from_fn(|| self.endpoint.poll_transmit())
            .map(|transmit| {
                let message = Message::parse(transmit.bytes).unwrap();
                let what = match message.status() {
                    0 => message.method().to_string(),
                    status => format!("{status} {}", message.cseq().1),
                };
                (what, transmit.path.remote)
            })
            .collect()
    }

    /// The one message that is sent.
    #[track_caller]
    pub(crate) fn sent_message(&mut self) -> Message {
        let transmit = self.endpoint.poll_transmit().expect("something is sent");
        assert!(self.endpoint.poll_transmit().is_none(), "one message only");
        Message::parse(transmit.bytes).unwrap()
    }

    /// Names of what is sent.
    pub(crate) fn names(&mut self) -> Vec<String> {
        self.sent().into_iter().map(|(name, _)| name).collect()
    }

    /// Drives time up to `until` and says what was sent when, in milliseconds from the first call.
    pub(crate) fn trace(&mut self, until: Duration) -> Vec<(u64, String)> {
        let begin = self.now;
        let mut trace = Vec::new();
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= begin + until) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            let after = (self.now - begin).as_millis() as u64;
            trace.extend(self.names().into_iter().map(|name| (after, name)));
        }
        self.now = begin + until;
        self.endpoint.handle_timeout(self.now);
        trace
    }

    /// When each message of this name was sent.
    pub(crate) fn times(&mut self, until: Duration, name: &str) -> Vec<u64> {
        let trace = self.trace(until);
        trace.into_iter().filter(|(_, sent)| sent == name).map(|(at, _)| at).collect()
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.now += by;
        self.endpoint.handle_timeout(self.now);
    }

    pub(crate) fn answer(&mut self, tx: ServerTx, request: &Message, status: u16) {
        let draft = ResponseDraft::with_tag(request, status, "", b"b");
        self.endpoint.respond(self.now, tx, draft);
    }

    pub(crate) fn send(&mut self, path: Path, method: Method<'_>) -> ClientTx {
        let draft = RequestDraft::new(method, b"sip:bob@192.0.2.7:5066;lr")
            .header(HeaderName::From, "<sip:alice@192.0.2.1>;tag=ours")
            .header(HeaderName::To, "<sip:bob@192.0.2.7>")
            .header(HeaderName::CallId, "our-call")
            .header(HeaderName::Route, "<sip:proxy.example;lr>, <sip:next.example;lr>")
            .header_fmt(HeaderName::CSeq, format_args!("3 {method}"));
        self.endpoint.send_request(self.now, path, draft, 77)
    }

    /// The peer answers our request.
    pub(crate) fn reply(&mut self, path: Path, request: &Message, status: u16) {
        let bytes = ResponseDraft::with_tag(request, status, "", b"theirs").finish();
        self.endpoint.receive(self.now, path, bytes);
    }

    /// The status of the response that came up.
    #[track_caller]
    pub(crate) fn responded(&mut self) -> u16 {
        match self.event() {
            Some(Event::Response { user: 77, message, .. }) => message.status(),
            other => panic!("a response was expected, not {other:?}"),
        }
    }

    /// Lets all time pass; then nothing may be left.
    #[track_caller]
    pub(crate) fn end(&mut self) {
        self.trace(Duration::from_secs(2_000));
        assert_eq!(self.endpoint.transactions(), 0, "a transaction never ended");
        assert_eq!(self.endpoint.armed(), 0, "a timer of a dead transaction is armed");
        assert_eq!(self.endpoint.poll_timeout(), None);
    }
}
