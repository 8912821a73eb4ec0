//! The file as written: which keys there are, their limits and their defaults.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use crate::problem::Problems;
use crate::section::{Section, Source};
use crate::{
    Api, BareNumber, Calls, Config, DatabaseUrl, Digest, Hep, Limits, Listener, Log, LogFormat,
    Node, Numbers, RedirectPolicy, Registrar, Registrations, Secret, Sip, Slices, Stir, StirKey,
    TlsFiles, Transport,
};

const DAY_S: u64 = 86_400;
/// Registrars of others that may be told of registrations.
const REGISTRARS_MAX: usize = 8;
const MEBIBYTE: usize = 1024 * 1024;

pub(crate) fn parse(text: &str, path: &Path) -> Result<Config, Problems> {
    let source = Source { path, text, problems: RefCell::default() };
    let config = match DeTable::parse(text) {
        Ok(table) => Some(config(Section::root(&source, table.get_ref()))),
        Err(error) => {
            let remedy = "see https://toml.io for the syntax";
            source.report(error.span(), "", error.message().replace('\n', ", "), remedy);
            None
        }
    };
    let mut problems = source.problems.into_inner();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => {
            problems.sort_by_key(|problem| (problem.line, problem.column));
            Err(Problems(problems))
        }
    }
}

const DIGESTS: [(&str, Digest); 3] =
    [("md5", Digest::Md5), ("sha-256", Digest::Sha256), ("both", Digest::Both)];

fn config(root: Section<'_>) -> Config {
    let base = root.source().path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let data_directory = root.path("data_directory").unwrap_or_else(|| "tandem-data".into());
    let config = Config {
        data_directory: base.join(data_directory),
        database: database(root.section("database")),
        node: node(root.section("node")),
        realm: realm(&root),
        digest: root.word("digest", &DIGESTS).unwrap_or(Digest::Md5),
        domains: root.texts("domains").unwrap_or_default(),
        workers: root.count("workers", 0..=255).unwrap_or(0),
        listeners: listeners(&root, &base),
        api: api(root.section("api")),
        calls: calls(root.section("calls")),
        registrations: registrations(root.section("registrations")),
        slices: slices(root.section("slices")),
        sip: sip(root.section("sip"), &base),
        limits: limits(root.section("limits")),
        numbers: numbers(root.section("numbers")),
        hep: hep(root.section("hep")),
        stir: stir(root.section("stir"), &base),
        log: log(root.section("log")),
    };
    if config.node.is_some() && config.database.is_none() {
        let remedy = "write [database] url, or remove [node]";
        root.report("node", "needs PostgreSQL".to_owned(), remedy);
    }
    root.finish();
    config
}

fn realm(root: &Section<'_>) -> String {
    let realm = root.text("realm").unwrap_or("tandem");
    if realm.is_empty() || realm.contains(['"', '\\']) || realm.chars().any(char::is_control) {
        let what = "cannot stand in a digest challenge".to_owned();
        root.report("realm", what, "use letters, digits, dots and dashes");
    }
    realm.to_owned()
}

fn database(section: Section<'_>) -> Option<DatabaseUrl> {
    let url = section.text("url").filter(|url| !url.is_empty());
    let is_postgres =
        |url: &str| url.starts_with("postgres://") || url.starts_with("postgresql://");
    if url.is_some_and(|url| !is_postgres(url)) {
        let what = "is no PostgreSQL address".to_owned();
        let remedy = "write postgres://USER:PASSWORD@HOST/DATABASE, or leave it out for SQLite";
        section.report_secret("url", what, remedy);
    }
    section.finish();
    url.map(|url| DatabaseUrl(url.to_owned()))
}

fn node(section: Section<'_>) -> Option<Node> {
    let name = section.text("name");
    let lease_ttl = section.seconds("lease_ttl_s", 3..=DAY_S).unwrap_or(Duration::from_secs(300));
    let is_plain = |name: &str| {
        (1..=63).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match name {
        None if section.is_written() => {
            let remedy = "name this node, such as name = \"berlin-1\", or remove [node]";
            section.report("name", "is missing".to_owned(), remedy);
        }
        Some(name) if !is_plain(name) => {
            let remedy = "write 1 to 63 letters, digits, dots, dashes and underscores";
            section.report("name", "is no name of a node".to_owned(), remedy);
        }
        _ => {}
    }
    section.finish();
    name.map(|name| Node { name: name.to_owned(), lease_ttl })
}

fn listeners(root: &Section<'_>, base: &Path) -> Vec<Listener> {
    let Some(sections) = root.sections("listener") else {
        let everywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 5060);
        return [Transport::Udp, Transport::Tcp]
            .map(|transport| Listener {
                transport,
                address: everywhere,
                advertised: None,
                tls: None,
            })
            .to_vec();
    };
    let mut listeners: Vec<Listener> = Vec::new();
    for section in sections {
        let Some(listener) = listener(&section, base) else {
            section.finish();
            continue;
        };
        // TLS runs on TCP, so two of them collide on one port; UDP is apart.
        let is_datagram = |transport| transport == Transport::Udp;
        let collides = listeners.iter().any(|other| {
            is_datagram(other.transport) == is_datagram(listener.transport)
                && other.address == listener.address
                && other.address.port() != 0
        });
        if collides {
            let remedy = "give each listener its own port";
            section.report("address", "is taken by a listener above".to_owned(), remedy);
        }
        section.finish();
        listeners.push(listener);
    }
    if listeners.is_empty() && root.source().problems.borrow().is_empty() {
        let remedy = "add a [[listener]], or leave `listener` out for UDP and TCP on port 5060";
        root.report("listener", "is empty".to_owned(), remedy);
    }
    listeners
}

fn listener(section: &Section<'_>, base: &Path) -> Option<Listener> {
    let words = [("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)];
    let transport = section.word("transport", &words);
    let remedy = "write an IP address and a port, such as \"0.0.0.0:5060\" or \"[::]:5060\"";
    let address: Option<SocketAddr> = section.parsed("address", remedy);
    if address.is_none() && section.value("address").is_none() {
        section.report("address", "is missing".to_owned(), remedy);
    }
    if transport.is_none() && section.value("transport").is_none() {
        let remedy = "write transport = \"udp\", \"tcp\" or \"tls\"";
        section.report("transport", "is missing".to_owned(), remedy);
    }
    let advertised = section.text("advertised").map(str::to_owned);
    if let Some(text) = &advertised
        && !is_host_port(text)
    {
        let remedy = "write a host or host:port without \"sip:\"; IPv6 goes in brackets";
        section.report("advertised", "is not an address".to_owned(), remedy);
    }
    let certificate = section.path("certificate").map(|path| base.join(path));
    let key = section.path("key").map(|path| base.join(path));
    let client_ca = section.path("client_ca").map(|path| base.join(path));
    let words = [("optional", false), ("required", true)];
    let needs_client_certificate = section.word("client_certificate", &words);
    if needs_client_certificate.is_some() && client_ca.is_none() {
        let remedy = "name the PEM file of the authorities that vouch for peers as `client_ca`";
        section.report("client_certificate", "has nobody who vouches for it".to_owned(), remedy);
    }
    if client_ca.is_some() && transport.is_some_and(|transport| transport != Transport::Tls) {
        let remedy = "set transport = \"tls\", or remove it";
        section.report("client_ca", "is only for TLS".to_owned(), remedy);
    }
    let needs_client_certificate = needs_client_certificate.unwrap_or(false);
    let tls = match (transport?, certificate, key) {
        (Transport::Tls, Some(certificate), Some(key)) => {
            Some(TlsFiles { certificate, key, client_ca, needs_client_certificate })
        }
        (Transport::Tls, certificate, _) => {
            let missing = if certificate.is_none() { "certificate" } else { "key" };
            let remedy = "a TLS listener needs `certificate` and `key`, both PEM files";
            section.report(missing, "is missing".to_owned(), remedy);
            None
        }
        (_, None, None) => None,
        (_, certificate, _) => {
            let extra = if certificate.is_some() { "certificate" } else { "key" };
            let remedy = "set transport = \"tls\", or remove it";
            section.report(extra, "is only for TLS".to_owned(), remedy);
            None
        }
    };
    Some(Listener { transport: transport?, address: address?, advertised, tls })
}

/// `host`, `host:port`, `1.2.3.4:5060`, `[::1]`, `[::1]:5060`.
fn is_host_port(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((host, port)) = rest.split_once(']') else { return false };
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            if !port.is_empty() && !port.starts_with(':') {
                return false;
            }
            ("v6", port.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_name = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    is_name && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn api(section: Section<'_>) -> Api {
    let remedy = "write an IP address and a port, such as \"127.0.0.1:8080\"";
    let api = Api {
        address: section
            .parsed("address", remedy)
            .unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080)),
        body_bytes_max: section.count("body_bytes_max", 1_024..=1 << 30).unwrap_or(MEBIBYTE),
        import_bytes_max: section
            .count("import_bytes_max", 1_024..=4 << 30)
            .unwrap_or(256 * MEBIBYTE),
        request_timeout: section
            .seconds("request_timeout_s", 1..=600)
            .unwrap_or(Duration::from_secs(60)),
    };
    section.finish();
    api
}

/// A call whose peer is gone is paid for five minutes at most, and a peer asked no oftener notices little.
const DIALOG_PROBE: Duration = Duration::from_secs(300);

fn calls(section: Section<'_>) -> Calls {
    let redirect = [("refuse", RedirectPolicy::Refuse), ("follow", RedirectPolicy::Follow)];
    let seconds = Duration::from_secs;
    let calls = Calls {
        ring_timeout: section.seconds("ring_timeout_s", 1..=600).unwrap_or(seconds(60)),
        silence_timeout: section.seconds("silence_timeout_s", 1..=60).unwrap_or(seconds(5)),
        progress_timeout: section.seconds("progress_timeout_s", 1..=600).unwrap_or(seconds(30)),
        attempts_max: section
            .number("attempts_max", 1..=50)
            .map_or(8, |attempts| u8::try_from(attempts).expect("at most 50")),
        same_calls_max: match section.number("same_calls_max", 0..=10_000) {
            None => Some(10),
            Some(0) => None,
            Some(calls) => u32::try_from(calls).ok(),
        },
        length_max: section.seconds("length_s_max", 1..=30 * DAY_S).unwrap_or(seconds(DAY_S)),
        session_expires: section.seconds("session_expires_s", 90..=DAY_S).unwrap_or(seconds(1800)),
        session_expires_min: section
            .seconds("session_expires_s_min", 90..=DAY_S)
            .unwrap_or(seconds(90)),
        dialog_probe: section
            .seconds("dialog_probe_s", 0..=DAY_S)
            .map_or(Some(DIALOG_PROBE), |every| (!every.is_zero()).then_some(every)),
        redirect: section.word("redirect", &redirect).unwrap_or(RedirectPolicy::Refuse),
        drain_limit: section.seconds("drain_limit_s", 0..=DAY_S).unwrap_or(seconds(30)),
    };
    if calls.session_expires < calls.session_expires_min {
        let what = "is longer than session_expires_s".to_owned();
        section.report("session_expires_s_min", what, "make it the smaller of the two");
    }
    section.finish();
    calls
}

/// Less than the 30 s after which many a router forgets who sent it a datagram (RFC 4787 section 4.3 asks
/// for at least two minutes).
const NAT_KEEP_ALIVE: Duration = Duration::from_secs(25);

fn registrations(section: Section<'_>) -> Registrations {
    let within = 1..=30 * DAY_S;
    let expires = |key, default: u64| {
        section.seconds(key, within.clone()).unwrap_or(Duration::from_secs(default))
    };
    let registrations = Registrations {
        expires_default: expires("expires_s_default", 3600),
        expires_min: expires("expires_s_min", 60),
        expires_max: expires("expires_s_max", 7200),
        nat_keep_alive: section
            .seconds("nat_keep_alive_s", 0..=600)
            .map_or(Some(NAT_KEEP_ALIVE), |every| (!every.is_zero()).then_some(every)),
        third_party: third_party(&section),
    };
    let in_order = registrations.expires_min <= registrations.expires_default
        && registrations.expires_default <= registrations.expires_max;
    if !in_order {
        let what = "is not between expires_s_min and expires_s_max".to_owned();
        section.report("expires_s_default", what, "keep min ≤ default ≤ max");
    }
    section.finish();
    registrations
}

/// `sip:host`, `sip:host:port`, with `;transport=udp` and the like.
fn third_party(section: &Section<'_>) -> Vec<Registrar> {
    let key = "third_party";
    let texts = section.texts(key).unwrap_or_default();
    if texts.len() > REGISTRARS_MAX {
        let remedy = format!("write at most {REGISTRARS_MAX}: each gets every registration");
        section.report(key, "are too many".to_owned(), remedy);
    }
    let read = |text: &String| {
        let (address, transport) = match text.strip_prefix("sip:")?.split_once(";transport=") {
            Some((address, "udp")) => (address, Some(Transport::Udp)),
            Some((address, "tcp")) => (address, Some(Transport::Tcp)),
            Some((address, "tls")) => (address, Some(Transport::Tls)),
            Some(_) => return None,
            None => (&text["sip:".len()..], None),
        };
        let bracket = address.find(']').unwrap_or(0);
        let (host, port) = match address[bracket..].find(':').map(|at| at + bracket) {
            Some(colon) => (&address[..colon], address[colon + 1..].parse().ok()),
            None => (address, None),
        };
        is_host_port(address).then(|| Registrar { host: host.to_owned(), port, transport })
    };
    let registrars: Vec<Registrar> = texts.iter().filter_map(read).collect();
    if registrars.len() < texts.len() {
        let remedy =
            "write \"sip:HOST\", \"sip:HOST:PORT\", with \";transport=tcp\" or \"tls\" if need be";
        section.report(key, "has what is no registrar's address".to_owned(), remedy);
    }
    registrars
}

fn slices(section: Section<'_>) -> Slices {
    let slices = Slices {
        first: section.seconds("first_s", 1..=3600).unwrap_or(Duration::from_secs(10)),
        longest: section.seconds("longest_s", 1..=3600).unwrap_or(Duration::from_secs(300)),
    };
    if slices.longest < slices.first {
        let what = "is shorter than first_s".to_owned();
        section.report("longest_s", what, "make it at least as long");
    }
    section.finish();
    slices
}

fn sip(section: Section<'_>, base: &Path) -> Sip {
    let millis = |key, within, default: u64| {
        Duration::from_millis(section.number(key, within).unwrap_or(default))
    };
    let trust = section.texts("tls_trust").unwrap_or_default();
    let sip = Sip {
        t1: millis("t1_ms", 50..=10_000, 500),
        t2: millis("t2_ms", 50..=60_000, 4_000),
        t4: millis("t4_ms", 50..=60_000, 5_000),
        tls_trust: trust.iter().map(|file| base.join(file)).collect(),
    };
    if sip.t2 < sip.t1 {
        let what = "is shorter than t1_ms".to_owned();
        section.report("t2_ms", what, "make it at least as long; RFC 3261 has 500 and 4000");
    }
    section.finish();
    sip
}

fn limits(section: Section<'_>) -> Limits {
    let limits = Limits {
        message_bytes_max: section.count("message_bytes_max", 4_096..=1 << 20).unwrap_or(65_535),
        connections_max: section.count("connections_max", 1..=1_000_000).unwrap_or(10_000),
        connections_per_address_max: section
            .count("connections_per_address_max", 1..=1_000_000)
            .unwrap_or(1_000),
        connection_idle: section
            .seconds("connection_idle_s", 5..=DAY_S)
            .unwrap_or(Duration::from_secs(600)),
        calls_max: section.count("calls_max", 1..=10_000_000).unwrap_or(100_000),
        queue_max: section.count("queue_max", 16..=1_000_000).unwrap_or(8_192),
        retry_after: section.seconds("retry_after_s", 1..=3600).unwrap_or(Duration::from_secs(5)),
    };
    section.finish();
    limits
}

fn numbers(section: Section<'_>) -> Numbers {
    let digits = |key, default: &str| {
        let text = section.text(key).unwrap_or(default);
        if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.len() > 8 {
            let what = "is not at most 8 digits".to_owned();
            section.report(key, what, "write digits only, or leave it empty");
        }
        text.to_owned()
    };
    let words = [("international", BareNumber::International), ("national", BareNumber::National)];
    let numbers = Numbers {
        country: digits("country", ""),
        international: digits("international", "00"),
        national: digits("national", ""),
        bare: section.word("bare", &words).unwrap_or(BareNumber::International),
    };
    let needs_country = !numbers.national.is_empty() || numbers.bare == BareNumber::National;
    if needs_country && numbers.country.is_empty() {
        let what = "is missing".to_owned();
        section.report("country", what, "national numbers need it, such as country = \"49\"");
    }
    section.finish();
    numbers
}

fn hep(section: Section<'_>) -> Option<Hep> {
    let remedy = "write an IP address and a port, such as \"192.0.2.40:9060\"";
    let target: Option<SocketAddr> = section.parsed("target", remedy);
    if section.is_written() && target.is_none() && section.value("target").is_none() {
        section.report("target", "is missing".to_owned(), format!("{remedy}, or remove [hep]"));
    }
    let capture_id = section.number("capture_id", 0..=u64::from(u32::MAX)).unwrap_or(2001);
    let key = section.text("key").unwrap_or_default();
    section.finish();
    Some(Hep {
        target: target?,
        capture_id: u32::try_from(capture_id).expect("limited above"),
        key: Secret(key.to_owned()),
    })
}

fn stir(section: Section<'_>, base: &Path) -> Stir {
    let path = |key| section.path(key).map(|path| base.join(path));
    let hosts = section.texts("private_hosts").unwrap_or_default();
    let is_host = |host: &String| !host.is_empty() && !host.contains(['/', '@', '[', ' ']);
    if !hosts.iter().all(is_host) {
        let remedy = "write hosts alone, such as \"cert.internal\" or \"10.1.2.3\"";
        section.report("private_hosts", "has what is no host".to_owned(), remedy);
    }
    let stir = Stir {
        signing: stir_key(&section, &path),
        roots: path("roots"),
        private_hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
    };
    section.finish();
    stir
}

fn stir_key(
    section: &Section<'_>,
    path: &dyn Fn(&'static str) -> Option<PathBuf>,
) -> Option<StirKey> {
    let remedy = "write where others fetch the certificate, such as \"https://cert.example/a.pem\"";
    let url = section.text("certificate_url");
    let is_url = |url: &str| {
        // It stands between angle brackets in a header.
        let is_sign = |byte: u8| byte.is_ascii_graphic() && !b"<>\"".contains(&byte);
        let host = url.strip_prefix("https://");
        host.is_some_and(|host| !host.is_empty()) && url.bytes().all(is_sign)
    };
    if url.is_some_and(|url| !is_url(url)) {
        section.report("certificate_url", "is no HTTPS URL".to_owned(), remedy);
    }
    let (key, certificate) = (path("key"), path("certificate"));
    let is_wanted = ["certificate_url", "key", "certificate"].map(|name| section.value(name));
    if is_wanted.iter().any(Option::is_some) {
        for name in ["certificate_url", "key"].into_iter().filter(|n| section.value(n).is_none()) {
            let remedy = "callers are signed with `certificate_url` and `key`; or remove both";
            section.report(name, "is missing".to_owned(), remedy);
        }
    }
    Some(StirKey { certificate_url: url?.to_owned(), key: key?, certificate })
}

fn log(section: Section<'_>) -> Log {
    let log = Log {
        format: section
            .word("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)])
            .unwrap_or(LogFormat::Text),
        level: section.text("level").unwrap_or("info").to_owned(),
        call_lines_per_second: section
            .number("call_lines_per_second", 0..=100_000)
            .map_or(100, |lines| u32::try_from(lines).expect("limited above")),
    };
    section.finish();
    log
}
