//! Connections over loopback sockets: framing, reuse, keep-alives, limits, and what the switch
//! hears when a connection is gone.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use config::TlsFiles;
use server::net::certificates::{Certificates, ListenerTls};
use server::net::streams::{Delivery, Sink, StreamLimits, Streams};
use server::net::tcp;
use server::net::tls::{self, TlsClient};
use sip::transport::{Path, Transmit, Transport};
use switch::directory::{AccountRow, ClientCertificate, DirectoryBuilder, Settings, TrunkRow};
use switch::guard::{Guard, GuardRows};
use switch::tls_peers::TlsPeers;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use vocabulary::Utc;

const OPTIONS: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\n\
    From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\
    Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Message(Path, Bytes),
    Failed(Path),
    Idle(Path),
}

struct Ear(mpsc::UnboundedSender<Heard>);

impl Sink for Ear {
    fn message(&self, path: Path, bytes: Bytes) -> Delivery {
        self.0.send(Heard::Message(path, bytes)).unwrap();
        Delivery::Taken
    }

    fn path_failed(&self, path: Path) {
        self.0.send(Heard::Failed(path)).unwrap();
    }

    fn path_idle(&self, path: Path) -> bool {
        self.0.send(Heard::Idle(path)).unwrap();
        true
    }
}

struct Side {
    streams: Streams,
    heard: mpsc::UnboundedReceiver<Heard>,
    address: SocketAddr,
}

/// A listening switch side.
fn side(limits: StreamLimits) -> Side {
    side_that_trusts(limits, TlsClient::new(&[]).unwrap())
}

fn side_that_trusts(limits: StreamLimits, tls: TlsClient) -> Side {
    side_with(limits, tls, Arc::default())
}

fn side_with(limits: StreamLimits, tls: TlsClient, guard: Arc<Guard>) -> Side {
    let (ear, heard) = mpsc::unbounded_channel();
    let listener = tcp::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let streams = Streams::new(
        limits,
        Arc::new(Ear(ear)),
        guard,
        tls,
        vec![address],
        tokio::runtime::Handle::current(),
    );
    tokio::spawn(tcp::accept(listener, 0, None, streams.clone()));
    Side { streams, heard, address }
}

impl Side {
    async fn message(&mut self) -> (Path, Bytes) {
        match self.hear().await {
            Heard::Message(path, bytes) => (path, bytes),
            other => panic!("{other:?}"),
        }
    }

    /// A connection is over: those who left it open by which connection they send hear it first, so
    /// that what they open instead is not taken for it.
    async fn failed(&mut self) -> Path {
        let Heard::Failed(open) = self.hear().await else { panic!("it was not over") };
        let Heard::Failed(path) = self.hear().await else { panic!("only half of it was over") };
        assert_ne!(path.connection, 0);
        assert_eq!(open, Path { connection: 0, ..path });
        path
    }

    async fn hear(&mut self) -> Heard {
        let heard = tokio::time::timeout(Duration::from_secs(10), self.heard.recv());
        heard.await.expect("something happens").expect("the ear lives")
    }

    fn send(&self, path: Path, text: &'static str) {
        self.streams.send(Transmit { path, bytes: Bytes::from_static(text.as_bytes()) });
    }
}

async fn read_exactly(stream: &mut TcpStream, expected: &str) {
    let mut buffer = vec![0; expected.len()];
    stream.read_exact(&mut buffer).await.unwrap();
    assert_eq!(String::from_utf8(buffer).unwrap(), expected);
}

/// The connection ends, by a close or a reset.
async fn is_closed(stream: &mut TcpStream) {
    let mut buffer = [0; 64];
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer));
    assert!(matches!(ended.await.expect("it is closed"), Ok(0) | Err(_)));
}

fn to(remote: SocketAddr) -> Path {
    Path { transport: Transport::Tcp, listener: 0, connection: 0, remote }
}

#[tokio::test]
async fn messages_are_cut_out_of_the_stream_and_answers_use_it() {
    let mut side = side(StreamLimits::default());
    let mut peer = TcpStream::connect(side.address).await.unwrap();
    let (first, rest) = OPTIONS.split_at(40);
    peer.write_all(first).await.unwrap();
    peer.write_all(&[rest, OPTIONS].concat()).await.unwrap();
    let (path, bytes) = side.message().await;
    assert_eq!(bytes, OPTIONS);
    assert_eq!((path.remote, path.listener), (peer.local_addr().unwrap(), 0));
    assert_ne!(path.connection, 0);
    assert_eq!(side.message().await, (path, Bytes::from_static(OPTIONS)));
    side.send(path, "answer");
    read_exactly(&mut peer, "answer").await;
    // A request to that address finds the same connection.
    side.send(to(path.remote), "request");
    read_exactly(&mut peer, "request").await;
    assert_eq!(side.streams.open(), 1);
    drop(peer);
    assert_eq!(side.failed().await, path);
    assert_eq!(side.streams.open(), 0);
    // Its flow is gone and nobody listens on the peer's ephemeral port.
    side.send(path, "late");
    assert_eq!(side.hear().await, Heard::Failed(path));
}

/// S7: what is open is closed at the next word, and nothing new is opened.
#[tokio::test]
async fn a_banned_source_has_no_connection() {
    let guard = Arc::new(Guard::default());
    let tls = TlsClient::new(&[]).unwrap();
    let mut side = side_with(StreamLimits::default(), tls, Arc::clone(&guard));
    let mut peer = TcpStream::connect(side.address).await.unwrap();
    peer.write_all(OPTIONS).await.unwrap();
    let (path, _) = side.message().await;
    let mut rows = GuardRows::default();
    rows.ban("127.0.0.0/8".parse().unwrap(), None);
    guard.configure(Utc(0), &rows);
    peer.write_all(OPTIONS).await.unwrap();
    assert_eq!(side.failed().await, path);
    is_closed(&mut peer).await;
    is_closed(&mut TcpStream::connect(side.address).await.unwrap()).await;
    assert_eq!(side.streams.counts().refused.load(Ordering::Relaxed), 1);
    guard.configure(Utc(0), &GuardRows::default());
    let mut again = TcpStream::connect(side.address).await.unwrap();
    again.write_all(OPTIONS).await.unwrap();
    side.message().await;
}

#[tokio::test]
async fn a_connection_that_we_open_is_reused_both_ways() {
    let mut side = side(StreamLimits::default());
    let carrier = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = carrier.local_addr().unwrap();
    side.send(to(remote), "one");
    side.send(to(remote), "two");
    let (mut accepted, _) = carrier.accept().await.unwrap();
    read_exactly(&mut accepted, "onetwo").await;
    accepted.write_all(OPTIONS).await.unwrap();
    let (path, _) = side.message().await;
    assert_eq!(path.remote, remote);
    side.send(path, "three");
    read_exactly(&mut accepted, "three").await;
    assert_eq!(side.streams.open(), 1);
    drop(accepted);
    assert_eq!(side.failed().await, path);
}

#[tokio::test]
async fn an_unreachable_peer_is_reported() {
    let mut side = side(StreamLimits::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = listener.local_addr().unwrap();
    drop(listener);
    side.send(to(remote), "lost");
    assert_eq!(side.failed().await.remote, remote);
}

#[tokio::test]
async fn a_ping_is_answered_with_a_pong() {
    let side = side(StreamLimits::default());
    let mut peer = TcpStream::connect(side.address).await.unwrap();
    peer.write_all(b"\r\n\r\n").await.unwrap();
    read_exactly(&mut peer, "\r\n").await;
}

#[tokio::test]
async fn we_ping_on_connections_that_we_opened() {
    let ping = Duration::from_millis(20);
    let side = side(StreamLimits { ping, ..StreamLimits::default() });
    let carrier = TcpListener::bind("127.0.0.1:0").await.unwrap();
    side.send(to(carrier.local_addr().unwrap()), "one");
    let (mut accepted, _) = carrier.accept().await.unwrap();
    read_exactly(&mut accepted, "one\r\n\r\n").await;
}

#[tokio::test]
async fn silent_and_half_open_peers_are_expelled() {
    let short = Duration::from_millis(50);
    let limits = StreamLimits { first_message: short, message: short, ..StreamLimits::default() };
    let mut side = side(limits);
    let mut silent = TcpStream::connect(side.address).await.unwrap();
    is_closed(&mut silent).await;
    side.failed().await;
    // Keep-alives alone are no message.
    let mut pinging = TcpStream::connect(side.address).await.unwrap();
    pinging.write_all(b"\r\n\r\n").await.unwrap();
    read_exactly(&mut pinging, "\r\n").await;
    is_closed(&mut pinging).await;
    side.failed().await;
    // After a whole message, half of one must be finished in time too.
    let mut half = TcpStream::connect(side.address).await.unwrap();
    half.write_all(&[OPTIONS, &OPTIONS[..50]].concat()).await.unwrap();
    side.message().await;
    is_closed(&mut half).await;
    side.failed().await;
    assert_eq!(side.streams.open(), 0);
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let idle = Duration::from_millis(50);
    let mut side = side(StreamLimits { idle, ..StreamLimits::default() });
    let mut peer = TcpStream::connect(side.address).await.unwrap();
    peer.write_all(OPTIONS).await.unwrap();
    let (path, _) = side.message().await;
    assert_eq!(side.hear().await, Heard::Idle(path), "asked first");
    is_closed(&mut peer).await;
    assert_eq!(side.failed().await, path);
}

#[tokio::test]
async fn an_idle_connection_that_somebody_needs_stays_open() {
    let idle = Duration::from_millis(50);
    let mut side = side(StreamLimits { idle, ..StreamLimits::default() });
    let mut peer = TcpStream::connect(side.address).await.unwrap();
    peer.write_all(OPTIONS).await.unwrap();
    let (path, _) = side.message().await;
    for _ in 0..3 {
        assert_eq!(side.hear().await, Heard::Idle(path));
        side.streams.keep(path);
    }
    side.send(path, "still here");
    read_exactly(&mut peer, "still here").await;
    assert_eq!(side.hear().await, Heard::Idle(path));
    is_closed(&mut peer).await;
}

#[tokio::test]
async fn a_lost_connection_to_a_peer_is_replaced_by_another() {
    let mut side = side(StreamLimits::default());
    let carrier = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = carrier.local_addr().unwrap();
    side.send(to(remote), "one");
    let (mut accepted, _) = carrier.accept().await.unwrap();
    read_exactly(&mut accepted, "one").await;
    drop(accepted);
    let lost = side.failed().await;
    assert_eq!(lost.remote, remote);
    side.send(to(remote), "two");
    let (mut accepted, _) = carrier.accept().await.unwrap();
    read_exactly(&mut accepted, "two").await;
}

#[tokio::test]
async fn connections_are_limited_by_address_and_in_all() {
    let limits = StreamLimits { connections_per_address_max: 2, ..StreamLimits::default() };
    let mut side = side(limits);
    let mut peers = Vec::new();
    for _ in 0..2 {
        let mut peer = TcpStream::connect(side.address).await.unwrap();
        peer.write_all(OPTIONS).await.unwrap();
        side.message().await;
        peers.push(peer);
    }
    let mut third = TcpStream::connect(side.address).await.unwrap();
    is_closed(&mut third).await;
    drop(peers.pop());
    side.failed().await;
    let mut next = TcpStream::connect(side.address).await.unwrap();
    next.write_all(OPTIONS).await.unwrap();
    side.message().await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_loses_its_connection() {
    let limits = StreamLimits { output_bytes_max: 100_000, ..StreamLimits::default() };
    let mut side = side(limits);
    let mut peer = TcpStream::connect(side.address).await.unwrap();
    peer.write_all(OPTIONS).await.unwrap();
    let (path, _) = side.message().await;
    let bytes = Bytes::from(vec![b'x'; 50_000]);
    let failed = loop {
        side.streams.send(Transmit { path, bytes: bytes.clone() });
        if !side.heard.is_empty() {
            break side.failed().await;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(failed, path);
}

#[tokio::test]
async fn a_peer_that_pings_and_never_reads_loses_its_connection() {
    let limits = StreamLimits { output_bytes_max: 100_000, ..StreamLimits::default() };
    let mut side = side(limits);
    let mut peer = TcpStream::connect(side.address).await.unwrap();
    peer.write_all(OPTIONS).await.unwrap();
    let (path, _) = side.message().await;
    // Each four bytes of ours ask for two of theirs, until the kernel's buffers are full.
    let pings = b"\r\n".repeat(64 * 1024);
    let failed = loop {
        if peer.write_all(&pings).await.is_err() || !side.heard.is_empty() {
            break side.failed().await;
        }
    };
    assert_eq!(failed, path);
    assert_eq!(side.streams.counts().expelled.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_is_not_sip_is_expelled() {
    let limits = StreamLimits { message_bytes_max: 4096, ..StreamLimits::default() };
    let mut side = side(limits);
    let mut peer = TcpStream::connect(side.address).await.unwrap();
    let long = String::from_utf8(OPTIONS.to_vec()).unwrap();
    peer.write_all(long.replace("Length: 0", "Length: 9999").as_bytes()).await.unwrap();
    // The switch sees it, so that it can answer 413 before the connection goes.
    let (path, _) = side.message().await;
    side.send(path, "413");
    read_exactly(&mut peer, "413").await;
    side.failed().await;
    is_closed(&mut peer).await;
}

/// A trunk on TLS with the certificate of `carrier.test`, and us who know it by this name.
async fn tls_trunk(host: &str) -> (Side, TcpListener, tokio_rustls::TlsAcceptor, Path) {
    let file = |name| FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name);
    let files = own_files(file("carrier.pem"));
    let acceptor = tokio_rustls::TlsAcceptor::from(tls::server_side(&files).unwrap().0);
    let carrier = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = carrier.local_addr().unwrap();
    let trust = TlsClient::new(&[&file("authority.pem")]).unwrap();
    trust.remember(remote, host);
    let side = side_that_trusts(StreamLimits::default(), trust);
    (side, carrier, acceptor, Path { transport: Transport::Tls, ..to(remote) })
}

#[tokio::test]
async fn a_trunk_is_called_over_tls_once_its_certificate_is_verified() {
    let (mut side, carrier, acceptor, path) = tls_trunk("carrier.test").await;
    side.send(path, "INVITE");
    let (stream, _) = carrier.accept().await.unwrap();
    let mut accepted = acceptor.accept(stream).await.unwrap();
    let mut buffer = [0; 6];
    accepted.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"INVITE");
    accepted.write_all(OPTIONS).await.unwrap();
    accepted.flush().await.unwrap();
    let (heard_on, bytes) = side.message().await;
    assert_eq!((heard_on.transport, heard_on.remote), (Transport::Tls, path.remote));
    assert_eq!(bytes, OPTIONS);
}

#[tokio::test]
async fn a_trunk_with_the_certificate_of_another_gets_nothing() {
    let (mut side, carrier, acceptor, path) = tls_trunk("other.test").await;
    side.send(path, "INVITE");
    let (stream, _) = carrier.accept().await.unwrap();
    assert!(acceptor.accept(stream).await.is_err(), "we end the handshake");
    assert_eq!(side.failed().await.remote, path.remote);
    assert_eq!(side.streams.counts().failed.load(Ordering::Relaxed), 1);
}

/// S8: certificates are renewed while calls run. Who is connected stays, who comes then gets the new one.
#[tokio::test]
async fn a_renewed_certificate_is_for_new_connections_and_costs_none() {
    let from = |name: &str| FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name);
    let dir = tempfile::tempdir().unwrap();
    let files = own_files(dir.path().join("own.pem"));
    std::fs::copy(from("carrier.pem"), &files.certificate).unwrap();
    let listener = Arc::new(ListenerTls::read("tls", &files).unwrap());
    let (ear, mut heard) = mpsc::unbounded_channel();
    let socket = tcp::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let streams = Streams::new(
        StreamLimits::default(),
        Arc::new(Ear(ear)),
        Arc::default(),
        TlsClient::new(&[]).unwrap(),
        vec![address],
        tokio::runtime::Handle::current(),
    );
    tokio::spawn(tcp::accept(socket, 0, Some(Arc::clone(&listener)), streams.clone()));

    let before = connected(address).await;
    assert_eq!(shown(&before), certificate(&from("carrier.pem")));
    std::fs::copy(from("renewed.pem"), &files.certificate).unwrap();
    Certificates::new(vec![listener]).look(Utc(0));
    let after = connected(address).await;
    assert_eq!(shown(&after), certificate(&from("renewed.pem")));
    let mut phones = [before, after];
    for phone in &mut phones {
        phone.write_all(OPTIONS).await.unwrap();
        phone.flush().await.unwrap();
        let Heard::Message(path, _) = heard.recv().await.unwrap() else { panic!("no message") };
        streams.send(Transmit { path, bytes: Bytes::from_static(b"answer") });
        let mut answer = [0; 6];
        phone.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
    }
    assert_eq!(streams.counts().accepted.load(Ordering::Relaxed), 2);
}

type Phone = tokio_rustls::client::TlsStream<TcpStream>;

/// Our key, and the chain in this file.
fn own_files(certificate: std::path::PathBuf) -> TlsFiles {
    let key = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls/carrier.key");
    TlsFiles { certificate, key, client_ca: None, needs_client_certificate: false }
}

/// A phone that trusts the tests' authority and calls us `carrier.test`.
async fn connected(address: SocketAddr) -> Phone {
    connected_as(address, trusting().with_no_client_auth()).await.unwrap()
}

fn trusting() -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = rustls::RootCertStore::empty();
    let dir = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    roots.add(certificate(&dir.join("authority.pem"))).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ));
    let config = config.with_safe_default_protocol_versions().unwrap();
    config.with_root_certificates(roots)
}

async fn connected_as(address: SocketAddr, config: rustls::ClientConfig) -> std::io::Result<Phone> {
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = rustls::pki_types::ServerName::try_from("carrier.test").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    connector.connect(name, stream).await
}

fn certificate(file: &FilePath) -> rustls::pki_types::CertificateDer<'static> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_file(file).unwrap()
}

fn shown(phone: &Phone) -> rustls::pki_types::CertificateDer<'static> {
    phone.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// A listener that asks peers for a certificate, and what it says of them.
struct Guarded {
    address: SocketAddr,
    heard: mpsc::UnboundedReceiver<Heard>,
    streams: Streams,
    peers: Arc<TlsPeers>,
}

fn guarded(needs_client_certificate: bool) -> Guarded {
    let dir = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    let client_ca = Some(dir.join("authority.pem"));
    let own = own_files(dir.join("carrier.pem"));
    let files = TlsFiles { client_ca, needs_client_certificate, ..own };
    let listener = Arc::new(ListenerTls::read("tls", &files).unwrap());
    let (ear, heard) = mpsc::unbounded_channel();
    let socket = tcp::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let peers = Arc::default();
    let streams = Streams::new(
        StreamLimits::default(),
        Arc::new(Ear(ear)),
        Arc::default(),
        TlsClient::new(&[]).unwrap().telling(&peers),
        vec![address],
        tokio::runtime::Handle::current(),
    );
    tokio::spawn(tcp::accept(socket, 0, Some(listener), streams.clone()));
    Guarded { address, heard, streams, peers }
}

/// Connects with this certificate; who is told to be there, once a message has come, or that none came.
async fn names_of(guarded: &mut Guarded, shows: Option<&str>) -> Option<Option<Vec<Box<str>>>> {
    let dir = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    let config = match shows {
        None => trusting().with_no_client_auth(),
        Some(name) => {
            use rustls::pki_types::pem::PemObject;
            let key = dir.join(format!("{name}.key"));
            let key = rustls::pki_types::PrivateKeyDer::from_pem_file(key).unwrap();
            let chain = vec![certificate(&dir.join(format!("{name}.pem")))];
            trusting().with_client_auth_cert(chain, key).unwrap()
        }
    };
    // With TLS 1.3 the refusal comes after the client's side is done.
    let mut phone = connected_as(guarded.address, config).await.ok()?;
    let _ = phone.write_all(OPTIONS).await;
    let _ = phone.flush().await;
    match guarded.heard.recv().await.unwrap() {
        Heard::Message(path, _) => Some(guarded.peers.names(path).map(|names| names.to_vec())),
        _ => None,
    }
}

/// Mutual TLS (S1): who shows a certificate is known by it, and one that nobody vouches for is refused.
#[tokio::test]
async fn peers_are_known_by_their_certificates() {
    let name: Vec<Box<str>> = vec!["trunk.test".into()];
    let mut optional = guarded(false);
    assert_eq!(names_of(&mut optional, Some("trunk")).await, Some(Some(name.clone())));
    assert_eq!(names_of(&mut guarded(false), None).await, Some(None));
    assert_eq!(names_of(&mut guarded(false), Some("stranger")).await, None);
    assert_eq!(names_of(&mut guarded(true), Some("trunk")).await, Some(Some(name)));
    assert_eq!(names_of(&mut guarded(true), None).await, None);
    assert_eq!(optional.streams.counts().accepted.load(Ordering::Relaxed), 1);
}

/// We show a trunk what it is configured to see, and others nothing.
#[tokio::test]
async fn a_trunk_sees_our_certificate_for_it() {
    let dir = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap().into();
    let ours = ClientCertificate { chain: read("trunk.pem"), key: read("trunk.key") };
    for (host, expected) in [("carrier.test", true), ("other.example", false)] {
        let mut carrier = guarded(false);
        let account = vocabulary::AccountId(1);
        let mut trunk = TrunkRow::new(vocabulary::TrunkId(1), "carrier", account);
        trunk.host = host.into();
        trunk.client_certificate = Some(Arc::new(ours.clone()));
        let builder = DirectoryBuilder::new(Settings::default(), 7);
        let builder = builder.account(AccountRow::new(account, "carrier")).trunk(trunk);
        let client = TlsClient::new(&[&dir.join("authority.pem")]).unwrap();
        client.present(&builder.build().unwrap());
        client.remember(carrier.address, "carrier.test");
        let side = side_that_trusts(StreamLimits::default(), client);
        let path = Path { transport: Transport::Tls, ..to(carrier.address) };
        side.streams.send(Transmit { path, bytes: Bytes::from_static(OPTIONS) });
        let Heard::Message(path, _) = carrier.heard.recv().await.unwrap() else { panic!() };
        let shown = carrier.peers.names(path).is_some();
        assert_eq!(shown, expected, "{host}");
    }
}
