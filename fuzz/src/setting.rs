//! What the calls of a run meet: a shard, who is where, and the directory.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sip::auth::{self, NonceCounts};
use sip::endpoint::Listener;
use sip::transport::Transport;
use switch::admission::Admission;
use switch::directory::{
    AccountRow, Credentials, DigestSecret, Directory, DirectoryBuilder, Limits, NumberRow,
    RouteRow, Settings, SubscriberRow, TrunkRegistration, TrunkRow,
};
use switch::registrar::{Bindings, StoredBinding};
use switch::stir::Verification;
use switch::{Shard, ShardConfig, Shared};
use vocabulary::{AccountId, Now, SubscriberId, TrunkId};

/// Where messages come from: the customer's trunk, three carriers, Bob's phones, Alice, a stranger.
pub const PEERS: [&str; 8] = [
    "10.0.0.1:5060",
    "10.1.0.1:5060",
    "10.1.0.2:5060",
    "10.1.0.3:5060",
    "10.2.0.1:5060",
    "10.2.0.2:5060",
    "10.3.0.1:5060",
    "10.9.0.1:5060",
];
/// The subscriber with a number and two phones.
const BOB: SubscriberId = SubscriberId(21);

/// An address as it is written.
pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A shard without calls, and Bob's two phones registered.
pub fn shard(now: Now) -> (Shard, Shared) {
    let advertised = "192.0.2.1:5060".into();
    let config = ShardConfig {
        shard: 0,
        shards: 1,
        start: 1,
        listeners: vec![Listener { id: 0, transport: Transport::Udp, advertised }],
        calls_max: 8,
        server_name: "tandem".into(),
        seed: 42,
        nonce_secret: [7; 32],
    };
    let shared = Shared {
        bindings: Arc::new(Bindings::default()),
        admission: Arc::new(Admission::default()),
        nonces: Arc::new(NonceCounts::new(64)),
        guard: Arc::default(),
        fraud: Arc::default(),
        health: Arc::default(),
        quality: Arc::default(),
        tls_peers: Arc::default(),
    };
    let binding = |remote: &&str| StoredBinding {
        uri: format!("sip:bob@{remote}"),
        path: Vec::new(),
        q: 1000,
        expires_at: now.utc.plus(Duration::from_secs(86_400)),
        call_id: format!("reg-{remote}"),
        cseq: 1,
        transport: Transport::Udp,
        listener: 0,
        remote: address(remote),
        is_behind_nat: false,
    };
    shared.bindings.restore(BOB, PEERS[4..6].iter().map(binding).collect());
    (Shard::new(config, shared.clone(), directory(false)), shared)
}

fn account(id: u64, ingress: Limits) -> AccountRow {
    AccountRow { ingress, ..AccountRow::new(AccountId(id), &format!("account{id}")) }
}

fn secret(username: &str) -> DigestSecret {
    DigestSecret {
        ha1_md5: auth::ha1_md5(username, "example.net", "secret"),
        ha1_sha256: auth::ha1_sha256(username, "example.net", "secret"),
    }
}

/// The usual directory, and one with less in it.
pub fn directory(is_small: bool) -> Arc<Directory> {
    static BOTH: OnceLock<[Arc<Directory>; 2]> = OnceLock::new();
    BOTH.get_or_init(|| [Arc::new(build(false)), Arc::new(build(true))])[usize::from(is_small)]
        .clone()
}

fn build(is_small: bool) -> Directory {
    let settings = Settings {
        realm: "example.net".into(),
        ring_timeout: Duration::from_secs(if is_small { 20 } else { 120 }),
        ..Settings::default()
    };
    let few = Limits { concurrent: Some(4), per_second: Some(20) };
    let mut builder = DirectoryBuilder::new(settings, 7);
    for row in [account(1, few), account(2, Limits::default()), account(3, Limits::default())] {
        builder = builder.account(row);
    }
    for (id, username) in [(20, "alice"), (21, "bob")].into_iter().take(2 - usize::from(is_small)) {
        let (id, secret) = (SubscriberId(id), secret(username));
        let row = SubscriberRow::new(id, AccountId(3), username, secret);
        builder = builder.subscriber(SubscriberRow { contacts_max: 4, ..row });
    }
    let mut customer = TrunkRow::new(TrunkId(10), "customer", AccountId(1));
    customer.ingress.networks.push("10.0.0.1".parse().expect("a network"));
    customer.stir.verification = Verification::Mark;
    builder = builder.trunk(customer);
    for (n, host) in (1..).zip(["10.1.0.1", "carrier.example", "10.1.0.3"]) {
        let mut carrier = TrunkRow::new(TrunkId(n), host, AccountId(2));
        carrier.host = host.into();
        carrier.stir.signs = n == 2;
        carrier.is_active = !is_small || n != 1;
        carrier.egress_limits.concurrent = (n == 1).then_some(3);
        if n == 3 {
            let (username, password) = ("we".to_owned(), "secret".to_owned());
            carrier.credentials = Some(Credentials { username, password });
            let expires = Duration::from_secs(3600);
            let username = "we".into();
            carrier.registration =
                Some(TrunkRegistration { username, domain: String::new(), expires });
        }
        let priority = n as u16;
        let route = RouteRow::new("49", TrunkId(n), priority);
        builder = builder.trunk(carrier).route(route);
    }
    if !is_small {
        let number = "4930555".parse().expect("a number");
        builder = builder.number(NumberRow { number, subscriber: BOB });
    }
    builder.build().expect("a directory")
}
