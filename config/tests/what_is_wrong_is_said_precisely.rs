//! Mistakes in a file, and the sentence each one gets.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config, EXAMPLE, Listener, Registrar, Transport};

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let problems = Config::parse(text, Path::new("t.toml")).expect_err("the text has mistakes");
    let lines: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
    assert_eq!(lines, expected);
}

#[test]
fn the_example_is_the_defaults() {
    let example = Config::parse(EXAMPLE, Path::new("tandem.toml")).unwrap();
    assert_eq!(example, Config::default());
    assert_eq!(Config::parse("", Path::new("tandem.toml")).unwrap(), Config::default());
}

#[test]
fn sip_timers_have_limits_and_an_order() {
    let late = "[sip]\nt1_ms = 1000\nt2_ms = 900\n";
    check(
        late,
        &[
            "t.toml:3:9: sip.t2_ms = 900: is shorter than t1_ms; make it at least as long; RFC 3261 \
           has 500 and 4000",
        ],
    );
    let text = "[sip]\nt1_ms = 1000\ntls_trust = [\"ca.pem\"]\n";
    let config = Config::parse(text, Path::new("/etc/tandem.toml")).unwrap();
    assert_eq!(config.sip.t1, Duration::from_secs(1));
    assert_eq!(config.sip.tls_trust, [PathBuf::from("/etc/ca.pem")]);
}

#[test]
fn everything_commented_out_in_the_example_is_valid_too() {
    let text: String = EXAMPLE
        .lines()
        .filter(|line| !line.starts_with("#    "))
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') || rest.contains(" = ") => rest,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let config = Config::parse(&text, Path::new("/etc/tandem/tandem.toml")).unwrap();
    assert_eq!(config.node.as_ref().unwrap().name, "berlin-1");
    assert_eq!(config.listeners[0].advertised.as_deref(), Some("203.0.113.5:5060"));
    let tls = config.listeners[2].tls.as_ref().unwrap();
    assert_eq!(tls.certificate, PathBuf::from("/etc/tandem/tls/chain.pem"));
    assert_eq!(tls.client_ca, Some(PathBuf::from("/etc/tandem/tls/peers.pem")));
    assert!(!tls.needs_client_certificate);
    assert_eq!(config.data_directory, PathBuf::from("/etc/tandem/tandem-data"));
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    check("realn = \"x\"", &["t.toml:1:1: realn: is not a known key; did you mean `realm`?"]);
    check(
        "[calls]\nring_timeout = 3",
        &["t.toml:2:1: calls.ring_timeout: is not a known key; did you mean `ring_timeout_s`?"],
    );
    check(
        "[log]\nx = 3",
        &[
            "t.toml:2:1: log.x: is not a known key; the keys here are format, level, call_lines_per_second",
        ],
    );
}

#[test]
fn the_address_of_a_database_is_never_shown() {
    check(
        "[database]\nurl = \"mysql://u:secret@h/d\"",
        &["t.toml:2:7: database.url: is no PostgreSQL address; write \
           postgres://USER:PASSWORD@HOST/DATABASE, or leave it out for SQLite"],
    );
    let text = "[database]\nurl = \"postgres://u:secret@h/d\"";
    let config = Config::parse(text, Path::new("t.toml")).unwrap();
    assert_eq!(config.database.as_ref().unwrap().expose(), "postgres://u:secret@h/d");
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn a_node_needs_a_name_and_a_server() {
    check(
        "[node]\nlease_ttl_s = 60\n[database]\nurl = \"postgres://h/d\"\n",
        &["t.toml: node.name: is missing; name this node, such as name = \"berlin-1\", or remove \
         [node]"],
    );
    check(
        "[node]\nname = \"a b\"\n[database]\nurl = \"postgres://h/d\"\n",
        &[
            "t.toml:2:8: node.name = \"a b\": is no name of a node; write 1 to 63 letters, digits, dots, \
         dashes and underscores",
        ],
    );
    let text = "[database]\nurl = \"postgres://h/d\"\n[node]\nname = \"b\"\nlease_ttl_s = 60\n";
    let config = Config::parse(text, Path::new("t.toml")).unwrap();
    assert_eq!(config.node.unwrap().lease_ttl, Duration::from_secs(60));
    let problems = Config::parse("[node]\nname = \"b\"\n", Path::new("t.toml")).unwrap_err();
    assert!(problems.to_string().contains("needs PostgreSQL; write [database] url"), "{problems}");
}

#[test]
fn values_are_refused_where_they_stand() {
    check(
        "\n[calls]\nring_timeout_s = 0",
        &[
            "t.toml:3:18: calls.ring_timeout_s = 0: is too small; write a whole number from 1 to 600",
        ],
    );
    check(
        "workers = 1.5",
        &["t.toml:1:11: workers = 1.5: is a decimal number, not a whole number; \
           write a whole number from 0 to 255"],
    );
    check(
        "workers = -1",
        &["t.toml:1:11: workers = -1: is too small; write a whole number from 0 to 255"],
    );
    check("realm = 3", &["t.toml:1:9: realm = 3: is a whole number, not a text; put it in quotes"]);
    check(
        "[log]\nformat = \"jsn\"",
        &["t.toml:2:10: log.format = \"jsn\": is not known; did you mean \"json\"? \
           It can be \"text\", \"json\""],
    );
    check(
        "[api]\naddress = \"localhost\"",
        &["t.toml:2:11: api.address = \"localhost\": cannot be read; \
           write an IP address and a port, such as \"127.0.0.1:8080\""],
    );
    check(
        "calls = 3",
        &["t.toml:1:9: calls = 3: is a whole number, not a table; write it as [calls]"],
    );
    check(
        "domains = \"a\"",
        &["t.toml:1:11: domains = \"a\": is not a list of texts; write it as [\"one\", \"two\"]"],
    );
    check(
        "[registrations]\nexpires_s_default = 10",
        &["t.toml:2:21: registrations.expires_s_default = 10: is not between expires_s_min and \
           expires_s_max; keep min ≤ default ≤ max"],
    );
}

#[test]
fn national_numbers_need_a_country() {
    check(
        "[numbers]\nnational = \"0\"",
        &[
            "t.toml: numbers.country: is missing; national numbers need it, such as country = \"49\"",
        ],
    );
    check(
        "[numbers]\ncountry = \"+49\"",
        &["t.toml:2:11: numbers.country = \"+49\": is not at most 8 digits; \
           write digits only, or leave it empty"],
    );
}

#[test]
fn listeners_are_checked() {
    check(
        "[[listener]]\ntransport = \"upd\"\naddress = \"0.0.0.0:5060\"",
        &["t.toml:2:13: listener[0].transport = \"upd\": is not known; did you mean \"udp\"? \
           It can be \"udp\", \"tcp\", \"tls\""],
    );
    check(
        "[[listener]]\ntransport = \"tls\"\naddress = \"0.0.0.0:5061\"",
        &["t.toml: listener[0].certificate: is missing; \
           a TLS listener needs `certificate` and `key`, both PEM files"],
    );
    check(
        "[[listener]]\ntransport = \"udp\"\naddress = \"0.0.0.0:5061\"\nkey = \"k\"",
        &[
            "t.toml:4:7: listener[0].key = \"k\": is only for TLS; set transport = \"tls\", or remove it",
        ],
    );
    check(
        "[[listener]]\ntransport = \"tcp\"\naddress = \"0.0.0.0:5061\"\nclient_ca = \"c\"",
        &["t.toml:4:13: listener[0].client_ca = \"c\": is only for TLS; \
           set transport = \"tls\", or remove it"],
    );
    check(
        "[[listener]]\ntransport = \"tls\"\naddress = \"0.0.0.0:5061\"\ncertificate = \"c\"\n\
         key = \"k\"\nclient_certificate = \"required\"",
        &[
            "t.toml:6:22: listener[0].client_certificate = \"required\": has nobody who vouches for it; \
           name the PEM file of the authorities that vouch for peers as `client_ca`",
        ],
    );
    check(
        "[[listener]]\ntransport = \"tcp\"\naddress = \"0.0.0.0:5060\"\n\
         [[listener]]\ntransport = \"tcp\"\naddress = \"0.0.0.0:5060\"",
        &["t.toml:6:11: listener[1].address = \"0.0.0.0:5060\": is taken by a listener above; \
           give each listener its own port"],
    );
    check(
        "[[listener]]\ntransport = \"udp\"\naddress = \"0.0.0.0:5060\"\nadvertised = \"sip:a\"",
        &["t.toml:4:14: listener[0].advertised = \"sip:a\": is not an address; \
           write a host or host:port without \"sip:\"; IPv6 goes in brackets"],
    );
    check(
        "listener = []",
        &["t.toml:1:12: listener = []: is empty; \
           add a [[listener]], or leave `listener` out for UDP and TCP on port 5060"],
    );
}

#[test]
fn several_mistakes_come_in_one_go() {
    let text = "realm = 3\nwrokers = 2\n[slices]\nfirst_s = 20\nlongest_s = 10";
    let problems = Config::parse(text, Path::new("t.toml")).unwrap_err();
    assert_eq!(problems.0.iter().map(|p| p.line).collect::<Vec<_>>(), [1, 2, 5]);
}

#[test]
fn syntax_is_refused_with_its_place() {
    let problems = Config::parse("a = 1\nb = = 2", Path::new("t.toml")).unwrap_err();
    assert_eq!((problems.0[0].line, problems.0[0].column), (2, 5));
}

#[test]
fn a_missing_file_is_named() {
    let problems = Config::read(Path::new("/nowhere/t.toml")).unwrap_err();
    assert!(problems.to_string().starts_with("/nowhere/t.toml: cannot be read: "));
}

#[test]
fn a_file_is_read() {
    let text = "workers = 3\n[[listener]]\ntransport = \"udp\"\naddress = \"[::1]:5070\"\n\
                advertised = \"[2001:db8::1]:5070\"\n[calls]\ndrain_limit_s = 0";
    let config = Config::parse(text, Path::new("t.toml")).unwrap();
    assert_eq!(config.workers, 3);
    assert_eq!(config.calls.drain_limit, Duration::ZERO);
    assert_eq!(
        config.listeners,
        [Listener {
            transport: Transport::Udp,
            address: "[::1]:5070".parse().unwrap(),
            advertised: Some("[2001:db8::1]:5070".to_owned()),
            tls: None,
        }]
    );
    assert!(config.is_loopback_only());
    assert!(!Config::default().is_loopback_only());
}

#[test]
fn registrars_of_others_are_read() {
    // P-603
    let text = "[registrations]\nthird_party = [\"sip:presence.example\", \"sip:[::1]:5070;transport=tcp\"]\n";
    let config = Config::parse(text, Path::new("t.toml")).unwrap();
    let named = |host: &str, port, transport| Registrar { host: host.into(), port, transport };
    let expected =
        [named("presence.example", None, None), named("[::1]", Some(5070), Some(Transport::Tcp))];
    assert_eq!(config.registrations.third_party, expected);
    for wrong in ["presence.example", "sip:", "sip:a b", "sip:a:0", "sip:a;transport=sctp"] {
        let text = format!("[registrations]\nthird_party = [\"{wrong}\"]\n");
        let problems = Config::parse(&text, Path::new("t.toml")).unwrap_err();
        assert_eq!(problems.0[0].key, "registrations.third_party", "{wrong}");
    }
}

#[test]
fn homer_is_an_address_and_its_key_is_never_shown() {
    // V-39
    let text = "[hep]\ntarget = \"192.0.2.40:9060\"\nkey = \"secret\"\n";
    let config = Config::parse(text, Path::new("t.toml")).unwrap();
    let hep = config.hep.as_ref().unwrap();
    assert_eq!((hep.target.port(), hep.capture_id, hep.key.expose()), (9060, 2001, "secret"));
    assert!(!format!("{config:?}").contains("secret"));
    check(
        "[hep]\ntarget = \"homer.example:9060\"",
        &[
            "t.toml:2:10: hep.target = \"homer.example:9060\": cannot be read; write an IP address and a \
           port, such as \"192.0.2.40:9060\"",
        ],
    );
    let problems = Config::parse("[hep]\ncapture_id = 7", Path::new("t.toml")).unwrap_err();
    assert_eq!(problems.0[0].key, "hep.target");
}

#[test]
fn callers_are_signed_with_a_key_whose_certificate_is_somewhere() {
    // S5
    let text = "[stir]\ncertificate_url = \"https://cert.example/a.pem\"\nkey = \"stir.key\"\n";
    let config = Config::parse(text, Path::new("etc/t.toml")).unwrap();
    let stir = config.stir.signing.unwrap();
    assert_eq!(stir.certificate_url, "https://cert.example/a.pem");
    assert_eq!(stir.key, Path::new("etc/stir.key"));
    assert_eq!(Config::parse("", Path::new("t.toml")).unwrap().stir, Default::default());
    // Others are verified without it.
    let text = "[stir]\nroots = \"sti.pem\"\nprivate_hosts = [\"Cert.Internal\"]";
    let stir = Config::parse(text, Path::new("etc/t.toml")).unwrap().stir;
    assert_eq!((stir.signing, stir.roots), (None, Some("etc/sti.pem".into())));
    assert_eq!(stir.private_hosts, ["cert.internal"]);
    for (text, key) in [
        ("[stir]\nkey = \"stir.key\"", "stir.certificate_url"),
        ("[stir]\ncertificate_url = \"https://cert.example/a.pem\"", "stir.key"),
        ("[stir]\ncertificate = \"a.pem\"", "stir.certificate_url"),
        ("[stir]\nprivate_hosts = [\"https://a\"]", "stir.private_hosts"),
        ("[stir]\ncertificate_url = \"http://cert.example\"\nkey = \"a\"", "stir.certificate_url"),
        ("[stir]\ncertificate_url = \"cert.example\"\nkey = \"a\"", "stir.certificate_url"),
        ("[stir]\ncertificate_url = \"https://a>b\"\nkey = \"a\"", "stir.certificate_url"),
    ] {
        let problems = Config::parse(text, Path::new("t.toml")).unwrap_err();
        assert_eq!(problems.0[0].key, key, "{text}");
    }
}
