//! The directory that the calls of a run are decided by.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sip::auth;
use switch::directory::{
    AccountRow, Credentials, DigestSecret, Directory, DirectoryBuilder, Limits, NumberRow,
    RouteRow, Settings, SubscriberRow, TrunkRegistration, TrunkRow,
};
use vocabulary::{AccountId, SubscriberId, TrunkId};

/// The subscriber with a number and two phones.
pub const BOB: SubscriberId = SubscriberId(21);

fn account(id: u64, ingress: Limits) -> AccountRow {
    AccountRow {
        id: AccountId(id),
        name: format!("account{id}"),
        is_active: true,
        allows_local: true,
        ingress,
        egress: Limits::default(),
    }
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
        builder = builder.subscriber(SubscriberRow {
            id: SubscriberId(id),
            account: AccountId(3),
            username: username.into(),
            secret: secret(username),
            number: None,
            is_active: true,
            contacts_max: 4,
            plan: None,
        });
    }
    let mut customer = TrunkRow::new(TrunkId(10), "customer", AccountId(1));
    customer.ingress.networks.push("10.0.0.1".parse().expect("a network"));
    builder = builder.trunk(customer);
    for (n, host) in (1..).zip(["10.1.0.1", "carrier.example", "10.1.0.3"]) {
        let mut carrier = TrunkRow::new(TrunkId(n), host, AccountId(2));
        carrier.host = host.into();
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
        let route = RouteRow { prefix: "49".into(), trunk: TrunkId(n), priority };
        builder = builder.trunk(carrier).route(route);
    }
    if !is_small {
        let number = "4930555".parse().expect("a number");
        builder = builder.number(NumberRow { number, subscriber: BOB });
    }
    builder.build().expect("a directory")
}
