//! The configuration: what the file says (`file.rs`), turned into what the process uses
//! ([`Config`]). Only what belongs to this machine is here: sockets, directories, limits.
//! Accounts, trunks, routes and rates are in the data directory and change through the API.

mod file;
mod problem;
mod section;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use problem::{Problem, Problems};

/// The documented example; a test loads it.
pub const EXAMPLE: &str = include_str!("../example.toml");

/// Everything the process needs to know about the machine it runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Journal, database and administrator token.
    pub data_directory: PathBuf,
    /// The PostgreSQL server that has the tables; `None` is SQLite in the data directory.
    pub database: Option<DatabaseUrl>,
    /// Which of several nodes on that database this is; `None`: it has the database to itself.
    pub node: Option<Node>,
    /// The digest realm; also the name in the `Server` header's place of authority.
    pub realm: String,
    /// What digest challenges ask for.
    pub digest: Digest,
    /// Host names that mean this switch in a request URI, besides its own addresses.
    pub domains: Vec<String>,
    /// Threads that switch calls; 0 is one a core.
    pub workers: usize,
    /// SIP sockets, at least one.
    pub listeners: Vec<Listener>,
    /// The JSON API.
    pub api: Api,
    /// Rules for calls.
    pub calls: Calls,
    /// Rules for registrations.
    pub registrations: Registrations,
    /// How much talk is reserved at a time.
    pub slices: Slices,
    /// The protocol's own timers, and whom we trust.
    pub sip: Sip,
    /// What a peer may make us hold or do.
    pub limits: Limits,
    /// How phones dial.
    pub numbers: Numbers,
    /// Where every SIP message is sent as HEP, if anywhere.
    pub hep: Option<Hep>,
    /// What we sign callers with, and whom we believe who does.
    pub stir: Stir,
    /// What is logged, and how.
    pub log: Log,
}

/// STIR/SHAKEN (RFC 8224, RFC 8588).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stir {
    /// What callers are signed with, if with anything.
    pub signing: Option<StirKey>,
    /// The file with the certificates of the authorities whose certificates may sign callers: PEM.
    pub roots: Option<PathBuf>,
    /// Hosts whose certificates are fetched though their addresses are not public, in lower case.
    pub private_hosts: Vec<String>,
}

/// The key that callers are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StirKey {
    /// Where others fetch our certificate (`x5u`, RFC 8225 section 4.3).
    pub certificate_url: String,
    /// The private key of that certificate: of P-256, PKCS#8 in a PEM file.
    pub key: PathBuf,
    /// A copy of that certificate, which is compared with the key.
    pub certificate: Option<PathBuf>,
}

/// A Homer, or another collector of HEP version 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hep {
    /// Where it listens, by UDP.
    pub target: SocketAddr,
    /// Which capture agent this is.
    pub capture_id: u32,
    /// What it wants to see before it believes us; may be empty.
    pub key: Secret,
}

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One of several nodes that share a PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Unique among them.
    pub name: String,
    /// How long it may spend what it has leased without hearing from the database; so long after its
    /// death the others get back what it cannot have used.
    pub lease_ttl: Duration,
}

/// The address of a PostgreSQL database. Its password is in it, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The address with its password, to connect with.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

/// With which hash a phone must prove its password (RFC 8760).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// MD5 alone: every phone can.
    Md5,
    /// SHA-256 alone.
    Sha256,
    /// Either; SHA-256 is asked for first.
    Both,
}

/// A SIP transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Streams in clear.
    Tcp,
    /// Streams in TLS.
    Tls,
}

/// One SIP socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Over what.
    pub transport: Transport,
    /// Bound to.
    pub address: SocketAddr,
    /// What peers are told to send to (Via, Contact): `host`, `host:port` or `[v6]:port`. `None`
    /// is the bound address, or the machine's own address if that is a wildcard.
    pub advertised: Option<String>,
    /// Certificate and key; always there for TLS and only for TLS.
    pub tls: Option<TlsFiles>,
}

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// Those who vouch for peers that show a certificate, in a PEM file; `None` asks for none.
    pub client_ca: Option<PathBuf>,
    /// Whether who shows no such certificate is turned away.
    pub needs_client_certificate: bool,
}

/// The JSON API's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Bound to; a loopback address unless the file says otherwise.
    pub address: SocketAddr,
    /// The largest request body, except a rate sheet's.
    pub body_bytes_max: usize,
    /// The largest rate sheet.
    pub import_bytes_max: usize,
    /// How long one request may take.
    pub request_timeout: Duration,
}

/// What is done with a 3xx from the called side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectPolicy {
    /// It counts as a failure of that carrier; the next is tried.
    Refuse,
    /// Another address of the same number, or another phone of the same account, is tried first.
    Follow,
}

/// Rules for calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// How long a callee may ring, unless its trunk says otherwise.
    pub ring_timeout: Duration,
    /// How long a target may stay silent before the next is tried.
    pub silence_timeout: Duration,
    /// How long a target may take until it rings.
    pub progress_timeout: Duration,
    /// How many targets one call tries.
    pub attempts_max: u8,
    /// How many calls of one trunk between the same two numbers may wait for an answer; more are taken
    /// for a loop. `None`: any number.
    pub same_calls_max: Option<u32>,
    /// The longest call; every call ends there.
    pub length_max: Duration,
    /// RFC 4028: what we ask for.
    pub session_expires: Duration,
    /// RFC 4028: the shortest we accept.
    pub session_expires_min: Duration,
    /// How long a peer without session timers may be silent before it is asked whether it is there;
    /// `None`: it is not asked.
    pub dialog_probe: Option<Duration>,
    /// 3xx.
    pub redirect: RedirectPolicy,
    /// At shutdown, how long live calls may go on before they are ended.
    pub drain_limit: Duration,
}

/// Rules for registrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registrations {
    /// Given if none is asked for.
    pub expires_default: Duration,
    /// Less than this is answered 423.
    pub expires_min: Duration,
    /// More than this is shortened.
    pub expires_max: Duration,
    /// How often phones behind NAT are asked something so that their way stays open; `None`: never.
    pub nat_keep_alive: Option<Duration>,
    /// Registrars of others that are told of every registration.
    pub third_party: Vec<Registrar>,
}

/// Where another registrar listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registrar {
    /// A name or an address; IPv6 in brackets.
    pub host: String,
    /// If one is written; else DNS says, or it is the transport's own.
    pub port: Option<u16>,
    /// If one is written; else DNS says, or it is UDP.
    pub transport: Option<Transport>,
}

/// How much talk is reserved at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slices {
    /// The first reservation of a call; each next one is twice the one before.
    pub first: Duration,
    /// The largest.
    pub longest: Duration,
}

/// The protocol's own timers (RFC 3261 section 17.1.1.1 and appendix A), and whom we trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sip {
    /// Round-trip estimate: the first retransmission comes after it, the end after 64 times.
    pub t1: Duration,
    /// The longest interval between retransmissions; at least T1.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
    /// PEM files of certificate authorities that vouch for TLS peers, besides the system's.
    pub tls_trust: Vec<PathBuf>,
}

/// What a peer may make us hold or do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest SIP message.
    pub message_bytes_max: usize,
    /// Open TCP and TLS connections.
    pub connections_max: usize,
    /// Open connections of one remote address.
    pub connections_per_address_max: usize,
    /// A connection without a complete message for this long is closed.
    pub connection_idle: Duration,
    /// Live calls of the whole process.
    pub calls_max: usize,
    /// Inputs that may wait for one worker; beyond, new INVITEs and REGISTERs get 503.
    pub queue_max: usize,
    /// The `Retry-After` of those 503s.
    pub retry_after: Duration,
}

/// What a number without a country code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareNumber {
    /// It has one: `49301234`.
    International,
    /// It is in our country: `301234`.
    National,
}

/// How phones dial; trunks have number plans of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Country code; empty if there is none.
    pub country: String,
    /// International prefix, `00` or `011`; empty if there is none.
    pub international: String,
    /// National prefix, `0`; empty if there is none.
    pub national: String,
    /// A number with neither.
    pub bare: BareNumber,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The form.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a tracing filter such as
    /// `info,server::net=debug`.
    pub level: String,
    /// At most so many lines a second about calls; 0 writes none.
    pub call_lines_per_second: u32,
}

impl Config {
    /// Reads a file. A relative data directory or PEM file is relative to that file.
    pub fn read(path: &Path) -> Result<Config, Problems> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Problems(vec![Problem {
                file: path.to_path_buf(),
                line: 0,
                column: 0,
                key: String::new(),
                value: String::new(),
                what: format!("cannot be read: {error}"),
                remedy: "name another file with --config FILE, or leave it out to use the defaults"
                    .to_owned(),
            }])
        })?;
        Config::parse(&text, path)
    }

    /// Reads a text; `path` is its name in error messages and the base of relative paths.
    pub fn parse(text: &str, path: &Path) -> Result<Config, Problems> {
        file::parse(text, path)
    }

    /// Every SIP listener and the API are on loopback addresses: nobody else reaches them.
    pub fn is_loopback_only(&self) -> bool {
        self.api.address.ip().is_loopback()
            && self.listeners.iter().all(|listener| listener.address.ip().is_loopback())
    }
}

impl Default for Config {
    /// What an empty file means: UDP and TCP on port 5060 of every IPv4 address, the API on
    /// 127.0.0.1:8080, `tandem-data` in the working directory.
    fn default() -> Config {
        file::parse("", Path::new("tandem.toml")).expect("the defaults are valid")
    }
}
