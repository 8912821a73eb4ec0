//! Locating SIP servers (RFC 3263 section 4): NAPTR picks the transport, SRV the hosts and ports,
//! A and AAAA the addresses. Answers are kept for their TTL by the DNS client. It runs on the
//! runtime and never on a receive path.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::proto::rr::{RData, RecordType};
use sip::transport::Transport;
use switch::{HostToResolve, Target};

/// No answer names more addresses than this; nobody tries more.
const TARGETS_MAX: usize = 16;

/// An SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower goes first.
    pub priority: u16,
    /// Share of the load within one priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host.
    pub host: String,
}

/// A NAPTR record with flag `s`, as far as SIP reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lower goes first.
    pub order: u16,
    /// Within one order, lower goes first.
    pub preference: u16,
    /// `SIP+D2U`, `SIP+D2T`, `SIPS+D2T`.
    pub service: String,
    /// The name to ask SRV for.
    pub replacement: String,
}

/// DNS, as the procedure asks it; no answer and no such name are alike to it.
pub trait Records: Sync {
    /// NAPTR records with flag `s`.
    fn naptr(&self, name: &str) -> impl Future<Output = Vec<Naptr>> + Send;
    /// SRV records.
    fn srv(&self, name: &str) -> impl Future<Output = Vec<Srv>> + Send;
    /// A and AAAA records, in the order to try them.
    fn addresses(&self, name: &str) -> impl Future<Output = Vec<IpAddr>> + Send;
}

/// The machine's DNS client.
pub struct Dns {
    resolver: TokioResolver,
}

impl Dns {
    /// Uses the servers of `/etc/resolv.conf`.
    pub fn of_system() -> Result<Dns, hickory_resolver::net::NetError> {
        let mut builder = TokioResolver::builder_tokio()?;
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.cache_size = 4096;
        options.timeout = std::time::Duration::from_secs(2);
        options.attempts = 2;
        Ok(Dns { resolver: builder.build()? })
    }

    async fn lookup(&self, name: &str, kind: RecordType) -> Vec<RData> {
        match self.resolver.lookup(name, kind).await {
            Ok(found) => found.answers().iter().map(|record| record.data.clone()).collect(),
            Err(error) => {
                if !error.is_no_records_found() {
                    tracing::info!(name, ?kind, %error, "DNS");
                }
                Vec::new()
            }
        }
    }
}

impl Records for Dns {
    async fn naptr(&self, name: &str) -> Vec<Naptr> {
        let found = self.lookup(name, RecordType::NAPTR).await;
        let records = found.into_iter().filter_map(|record| match record {
            RData::NAPTR(naptr) if naptr.flags.eq_ignore_ascii_case(b"s") => Some(Naptr {
                order: naptr.order,
                preference: naptr.preference,
                service: String::from_utf8_lossy(&naptr.services).to_ascii_uppercase(),
                replacement: naptr.replacement.to_ascii(),
            }),
            _ => None,
        });
        records.collect()
    }

    async fn srv(&self, name: &str) -> Vec<Srv> {
        let found = self.lookup(name, RecordType::SRV).await;
        let records = found.into_iter().filter_map(|record| match record {
            RData::SRV(srv) => Some(Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                host: srv.target.to_ascii(),
            }),
            _ => None,
        });
        records.collect()
    }

    async fn addresses(&self, name: &str) -> Vec<IpAddr> {
        match self.resolver.lookup_ip(name).await {
            Ok(found) => found.iter().collect(),
            Err(error) => {
                tracing::info!(name, %error, "DNS");
                Vec::new()
            }
        }
    }
}

/// Every address of a SIP host, best first; empty if it has none. `random` returns a number below
/// its argument and spreads the load by SRV weights.
pub async fn locate(
    records: &impl Records,
    host: &HostToResolve,
    random: &mut (dyn FnMut(u32) -> u32 + Send),
) -> Vec<Target> {
    if let Some(target) = host.literal() {
        return vec![target];
    }
    let fallback = if host.is_secure { Transport::Tls } else { Transport::Udp };
    let transport = match host.transport {
        // `sips:` over `transport=tcp` is TLS on TCP (RFC 3261 section 26.2.2).
        Some(Transport::Tcp) if host.is_secure => Some(Transport::Tls),
        other => other,
    };
    // A port was written: no NAPTR, no SRV.
    if let Some(port) = host.port {
        return at(records, &host.host, transport.unwrap_or(fallback), port).await;
    }
    let mut targets = Vec::new();
    for (transport, name) in services(records, host, transport).await {
        for srv in in_order(records.srv(&name).await, random) {
            targets.extend(at(records, &srv.host, transport, srv.port).await);
            if targets.len() >= TARGETS_MAX {
                targets.truncate(TARGETS_MAX);
                return targets;
            }
        }
    }
    if targets.is_empty() {
        let transport = transport.unwrap_or(fallback);
        targets = at(records, &host.host, transport, transport.default_port()).await;
    }
    targets
}

/// The SRV names to ask, best first, each with the transport it stands for.
async fn services(
    records: &impl Records,
    host: &HostToResolve,
    transport: Option<Transport>,
) -> Vec<(Transport, String)> {
    if let Some(transport) = transport {
        return vec![(transport, srv_name(transport, &host.host))];
    }
    let mut naptr = records.naptr(&host.host).await;
    naptr.sort_by_key(|record| (record.order, record.preference));
    let allowed = |transport: Transport| !host.is_secure || transport == Transport::Tls;
    let chosen: Vec<_> = naptr
        .into_iter()
        .filter_map(|record| {
            let transport = match record.service.as_str() {
                "SIP+D2U" => Transport::Udp,
                "SIP+D2T" => Transport::Tcp,
                "SIPS+D2T" => Transport::Tls,
                _ => return None,
            };
            allowed(transport).then_some((transport, record.replacement))
        })
        .collect();
    if !chosen.is_empty() {
        return chosen;
    }
    [Transport::Udp, Transport::Tcp, Transport::Tls]
        .into_iter()
        .filter(|transport| allowed(*transport))
        .map(|transport| (transport, srv_name(transport, &host.host)))
        .collect()
}

fn srv_name(transport: Transport, host: &str) -> String {
    match transport {
        Transport::Udp => format!("_sip._udp.{host}"),
        Transport::Tcp => format!("_sip._tcp.{host}"),
        Transport::Tls => format!("_sips._tcp.{host}"),
    }
}

/// RFC 2782: by priority, and within one drawn by weight without putting back.
fn in_order(mut records: Vec<Srv>, random: &mut (dyn FnMut(u32) -> u32 + Send)) -> Vec<Srv> {
    // A single "." means: this service is decidedly not offered.
    records.retain(|record| !matches!(record.host.as_str(), "." | ""));
    // Weight 0 first, so that it is drawn only if the draw is 0.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|first| first.priority) {
        let same = records.iter().take_while(|record| record.priority == priority).count();
        let total: u32 = records[..same].iter().map(|record| u32::from(record.weight)).sum();
        let draw = random(total + 1);
        let mut sum = 0;
        let drawn = records[..same].iter().position(|record| {
            sum += u32::from(record.weight);
            sum >= draw
        });
        ordered.push(records.remove(drawn.unwrap_or(0)));
    }
    ordered
}

async fn at(records: &impl Records, host: &str, transport: Transport, port: u16) -> Vec<Target> {
    let addresses = records.addresses(host.trim_end_matches('.')).await;
    let target = |ip| Target { transport, addr: SocketAddr::new(ip, port) };
    addresses.into_iter().map(target).take(TARGETS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The zone of the examples in RFC 3263, and a few more.
    struct Zone;

    fn srv(priority: u16, weight: u16, port: u16, host: &str) -> Srv {
        Srv { priority, weight, port, host: host.into() }
    }

    fn naptr(order: u16, preference: u16, service: &str, replacement: &str) -> Naptr {
        Naptr { order, preference, service: service.into(), replacement: replacement.into() }
    }

    impl Records for Zone {
        async fn naptr(&self, name: &str) -> Vec<Naptr> {
            match name {
                "example.com" => vec![
                    naptr(100, 50, "SIP+D2U", "_sip._udp.example.com."),
                    naptr(50, 50, "SIPS+D2T", "_sips._tcp.example.com."),
                    naptr(90, 50, "SIP+D2T", "_sip._tcp.example.com."),
                    naptr(10, 50, "E2U+email", "mail.example.com."),
                ],
                _ => Vec::new(),
            }
        }

        async fn srv(&self, name: &str) -> Vec<Srv> {
            match name {
                "_sip._tcp.example.com" | "_sip._tcp.example.com." => vec![
                    srv(0, 1, 5060, "server1.example.com."),
                    srv(0, 2, 5061, "server2.example.com."),
                    srv(9, 0, 5062, "server3.example.com."),
                ],
                "_sips._tcp.example.com." => vec![srv(0, 1, 5071, "server1.example.com.")],
                "_sip._udp.nonaptr.com" => vec![srv(0, 0, 5088, "server2.example.com.")],
                "_sip._udp.notudp.com" => vec![srv(0, 0, 0, ".")],
                _ => Vec::new(),
            }
        }

        async fn addresses(&self, name: &str) -> Vec<IpAddr> {
            let texts: &[&str] = match name {
                "server1.example.com" => &["10.0.0.1", "2001:db8::1"],
                "server2.example.com" => &["10.0.0.2"],
                "server3.example.com" => &["10.0.0.3"],
                "plain.com" | "notudp.com" => &["10.0.0.9"],
                _ => &[],
            };
            texts.iter().map(|text| text.parse().unwrap()).collect()
        }
    }

    /// `uri` is a host as in a SIP URI; `draw` is what each random draw returns, if it may.
    #[track_caller]
    fn check(uri: &str, draw: u32, expected: &str) {
        let (scheme, rest) = uri.split_once(':').unwrap();
        let (rest, transport) = match rest.split_once(";transport=") {
            Some((rest, name)) => (rest, Transport::from_name(name.as_bytes())),
            None => (rest, None),
        };
        let (host, port) = match rest.split_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (rest, None),
        };
        let is_secure = scheme == "sips";
        let host = HostToResolve { host: host.into(), port, transport, is_secure };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut random = |below: u32| draw.min(below - 1);
        let targets = runtime.block_on(locate(&Zone, &host, &mut random));
        let text: Vec<String> =
            targets.iter().map(|t| format!("{} {}", t.transport.uri_name(), t.addr)).collect();
        assert_eq!(text.join(", "), expected);
    }

    #[test]
    fn addresses_and_ports_need_no_service_records() {
        check("sip:192.0.2.1", 0, "udp 192.0.2.1:5060");
        check("sips:192.0.2.1", 0, "tls 192.0.2.1:5061");
        check("sip:server2.example.com:5070", 0, "udp 10.0.0.2:5070");
        check("sip:server2.example.com:5070;transport=tcp", 0, "tcp 10.0.0.2:5070");
        check("sips:server2.example.com:5070;transport=tcp", 0, "tls 10.0.0.2:5070");
    }

    #[test]
    fn naptr_chooses_the_transport_in_order() {
        let all = "tls 10.0.0.1:5071, tls [2001:db8::1]:5071, tcp 10.0.0.2:5061, \
                   tcp 10.0.0.1:5060, tcp [2001:db8::1]:5060, tcp 10.0.0.3:5062";
        check("sip:example.com", 2, all);
        check("sips:example.com", 2, "tls 10.0.0.1:5071, tls [2001:db8::1]:5071");
    }

    #[test]
    fn weights_are_drawn_within_a_priority() {
        let first = "tcp 10.0.0.1:5060, tcp [2001:db8::1]:5060, tcp 10.0.0.2:5061, \
                     tcp 10.0.0.3:5062";
        check("sip:example.com;transport=tcp", 1, first);
        let second = "tcp 10.0.0.2:5061, tcp 10.0.0.1:5060, tcp [2001:db8::1]:5060, \
                      tcp 10.0.0.3:5062";
        check("sip:example.com;transport=tcp", 2, second);
    }

    #[test]
    fn what_is_missing_falls_back() {
        check("sip:nonaptr.com", 0, "udp 10.0.0.2:5088");
        check("sip:plain.com", 0, "udp 10.0.0.9:5060");
        check("sip:plain.com;transport=tcp", 0, "tcp 10.0.0.9:5060");
        check("sip:notudp.com", 0, "udp 10.0.0.9:5060");
        check("sip:nowhere.com", 0, "");
    }
}
