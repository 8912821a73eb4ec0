//! The configuration, in the words of those who use it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use billing::CreditSettings;
use config::{Config, Digest, Listener, RedirectPolicy, Transport};
use sip::auth::Algorithm;
use sip::endpoint::Timing;
use switch::HostToResolve;
use switch::directory::{RedirectPolicy as Redirects, Settings};
use switch::routing::{BareNumber, NumberPlan};

use crate::net::streams::StreamLimits;

/// A 3xx may send a call on so often, where it is followed at all.
const REDIRECTS_MAX: u8 = 3;

/// Where the tables are.
pub fn database(config: &Config) -> Result<store::Database, store::BadDatabaseUrl> {
    match &config.database {
        Some(url) => store::Database::from_url(url.expose()),
        None => Ok(store::DataPaths::new(&config.data_directory).database()),
    }
}

/// Which of several nodes this is.
pub fn node(config: &Config) -> Option<store::NodeSettings> {
    let node = config.node.as_ref()?;
    Some(store::NodeSettings { name: node.name.clone(), lease_ttl: node.lease_ttl })
}

/// What the switch is told about this machine and its rules.
pub fn switch(config: &Config) -> Settings {
    let calls = &config.calls;
    Settings {
        realm: config.realm.clone(),
        algorithms: match config.digest {
            Digest::Md5 => vec![Algorithm::Md5],
            Digest::Sha256 => vec![Algorithm::Sha256],
            Digest::Both => vec![Algorithm::Sha256, Algorithm::Md5],
        },
        domains: config.domains.clone(),
        registration_min: config.registrations.expires_min,
        registration_default: config.registrations.expires_default,
        registration_max: config.registrations.expires_max,
        nat_keep_alive: config.registrations.nat_keep_alive,
        third_party_registrars: config.registrations.third_party.iter().map(registrar).collect(),
        plan: plan(config),
        ring_timeout: calls.ring_timeout,
        silence_timeout: calls.silence_timeout,
        progress_timeout: calls.progress_timeout,
        attempts_max: calls.attempts_max,
        same_calls_max: calls.same_calls_max,
        duration_max: calls.length_max,
        redirects: match calls.redirect {
            RedirectPolicy::Refuse => Redirects::Reject,
            RedirectPolicy::Follow => Redirects::Follow { hops_max: REDIRECTS_MAX },
        },
        retry_after_secs: seconds(config.limits.retry_after),
        session_expires: Some(calls.session_expires),
        session_min: calls.session_expires_min,
        dialog_probe: calls.dialog_probe,
        timing: Timing {
            t1: config.sip.t1,
            t2: config.sip.t2,
            t4: config.sip.t4,
            ..Timing::default()
        },
    }
}

fn registrar(registrar: &config::Registrar) -> HostToResolve {
    HostToResolve {
        host: registrar.host.clone(),
        port: registrar.port,
        transport: registrar.transport.map(transport),
        is_secure: false,
    }
}

/// How phones dial.
fn plan(config: &Config) -> NumberPlan {
    let numbers = &config.numbers;
    NumberPlan {
        country: numbers.country.clone(),
        international: numbers.international.clone(),
        national: numbers.national.clone(),
        bare: match numbers.bare {
            config::BareNumber::International => BareNumber::International,
            config::BareNumber::National => BareNumber::National,
        },
        ..NumberPlan::default()
    }
}

/// How credit control cuts its slices.
pub fn credit(config: &Config) -> CreditSettings {
    CreditSettings {
        first_slice_seconds: seconds(config.slices.first),
        longest_slice_seconds: seconds(config.slices.longest),
        ..CreditSettings::default()
    }
}

/// What peers on streams may make us hold.
pub fn streams(config: &Config) -> StreamLimits {
    StreamLimits {
        connections_max: config.limits.connections_max,
        connections_per_address_max: config.limits.connections_per_address_max,
        idle: config.limits.connection_idle,
        message_bytes_max: config.limits.message_bytes_max,
        ..StreamLimits::default()
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// How many workers: as configured, or one a core.
pub fn workers(config: &Config) -> u8 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = if config.workers == 0 { cores } else { config.workers };
    u8::try_from(workers).unwrap_or(u8::MAX)
}

/// The transport in the words of `sip`.
pub fn transport(transport: Transport) -> sip::transport::Transport {
    match transport {
        Transport::Udp => sip::transport::Transport::Udp,
        Transport::Tcp => sip::transport::Transport::Tcp,
        Transport::Tls => sip::transport::Transport::Tls,
    }
}

/// What peers are told to send to.
pub fn advertised(listener: &Listener, bound: SocketAddr) -> String {
    if let Some(advertised) = &listener.advertised {
        return advertised.clone();
    }
    let ip = if bound.ip().is_unspecified() { own_address(bound.ip()) } else { bound.ip() };
    SocketAddr::new(ip, bound.port()).to_string()
}

/// The address that this machine would use towards the world; nothing is sent to find out.
fn own_address(wildcard: IpAddr) -> IpAddr {
    let (any, world): (IpAddr, IpAddr) = if wildcard.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into())
    } else {
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into())
    };
    let chosen = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((world, 5060))?;
        socket.local_addr()
    });
    // Without any route only this machine can call.
    let loopback =
        if wildcard.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    chosen.map_or(loopback, |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(advertised_as: Option<&str>, bound: &str, expected: &str) {
        let bound = bound.parse().unwrap();
        let advertised_as = advertised_as.map(str::to_owned);
        let transport = Transport::Udp;
        let listener = Listener { transport, address: bound, advertised: advertised_as, tls: None };
        assert_eq!(advertised(&listener, bound), expected);
    }

    #[test]
    fn peers_are_told_where_to_send() {
        check(None, "127.0.0.1:5060", "127.0.0.1:5060");
        check(None, "[::1]:5070", "[::1]:5070");
        check(Some("sip.example.com"), "0.0.0.0:5060", "sip.example.com");
    }

    #[test]
    fn a_wildcard_is_never_told() {
        for bound in ["0.0.0.0:5060", "[::]:5060"] {
            let bound: SocketAddr = bound.parse().unwrap();
            let transport = Transport::Udp;
            let listener = Listener { transport, address: bound, advertised: None, tls: None };
            let told: SocketAddr = advertised(&listener, bound).parse().unwrap();
            assert!(!told.ip().is_unspecified() && told.port() == 5060);
        }
    }
}
