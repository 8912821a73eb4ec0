//! Addresses of peers: networks, some with a port, and which is the narrowest for a sender.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A network, and optionally the one port that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    /// The address, host bits zero.
    address: IpAddr,
    /// How many bits of it count.
    length: u8,
    /// The source port that counts; `None`: any.
    port: Option<u16>,
}

/// Why a text is not a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Not an IP address.
    #[error("{0:?} is not an IP address, network (10.0.0.0/24) or address with port")]
    NotAnAddress(String),
    /// The mask is longer than the address.
    #[error("/{0} is longer than the address")]
    MaskTooLong(u8),
    /// `10.0.0.1/24`: probably not what was meant.
    #[error("{0} has bits behind its mask; the network is {1}")]
    HostBits(String, Network),
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

/// An IPv4 address that came in through an IPv6 socket is the same peer.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

impl Network {
    /// What is taken for one source: an IPv4 address, or the /64 of an IPv6 address, in which a host
    /// has as many addresses as it likes.
    pub fn of_source(address: IpAddr) -> Network {
        let address = plain(address);
        let length = if address.is_ipv4() { 32 } else { 64 };
        Network { address: masked(address, length), length, port: None }
    }

    /// Its address, host bits zero.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether it names a port.
    pub fn has_port(&self) -> bool {
        self.port.is_some()
    }

    /// Whether a sender belongs to it.
    pub fn contains(&self, remote: SocketAddr) -> bool {
        let address = plain(remote.ip());
        address.is_ipv4() == self.address.is_ipv4()
            && masked(address, self.length) == self.address
            && self.port.is_none_or(|port| port == remote.port())
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let text = text.trim();
        let wrong = || NetworkError::NotAnAddress(text.to_owned());
        if let Ok(whole) = text.parse::<SocketAddr>() {
            let address = plain(whole.ip());
            let length = if address.is_ipv4() { 32 } else { 128 };
            return Ok(Network { address, length, port: Some(whole.port()) });
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
        let address: IpAddr = bare.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(longest);
        if length > longest {
            return Err(NetworkError::MaskTooLong(length));
        }
        let network = Network { address: masked(address, length), length, port: None };
        if network.address != address {
            return Err(NetworkError::HostBits(text.to_owned(), network));
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.length) {
            (Some(port), _) => write!(f, "{}", SocketAddr::new(self.address, port)),
            (None, 32) if self.address.is_ipv4() => write!(f, "{}", self.address),
            (None, 128) => write!(f, "{}", self.address),
            (None, length) => write!(f, "{}/{length}", self.address),
        }
    }
}

/// Networks and what is known of each: a map asked from the longest mask down.
#[derive(Clone, Debug)]
pub struct NetworkTable<T> {
    /// Descending by mask length, IPv4 and IPv6 apart.
    lengths: Vec<(bool, u8)>,
    known: HashMap<Network, T, FixedState>,
}

impl<T> Default for NetworkTable<T> {
    fn default() -> NetworkTable<T> {
        NetworkTable { lengths: Vec::new(), known: HashMap::default() }
    }
}

/// Alike if they find alike: a mask length without networks finds nothing.
impl<T: PartialEq> PartialEq for NetworkTable<T> {
    fn eq(&self, other: &NetworkTable<T>) -> bool {
        self.known == other.known
    }
}

impl<T: Copy + PartialEq> NetworkTable<T> {
    /// Adds a network; gives what is known of it already, if that is something else.
    pub(super) fn add(&mut self, network: Network, value: T) -> Option<T> {
        match self.known.get(&network) {
            Some(other) if *other != value => Some(*other),
            _ => {
                self.put(network, value);
                None
            }
        }
    }

    /// Takes a network out; one of which something else is known stays.
    pub(super) fn remove(&mut self, network: &Network, value: T) {
        if self.known.get(network) == Some(&value) {
            self.known.remove(network);
        }
    }

    /// Adds a network, or replaces what is known of it.
    pub fn put(&mut self, network: Network, value: T) {
        let key = (network.address.is_ipv4(), network.length);
        if !self.lengths.contains(&key) {
            self.lengths.push(key);
            self.lengths.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
        }
        self.known.insert(network, value);
    }

    /// Keeps those that `is_kept` says so of.
    pub fn retain(&mut self, mut is_kept: impl FnMut(T) -> bool) {
        self.known.retain(|_, value| is_kept(*value));
    }

    /// What is known of exactly this network.
    pub fn get(&self, network: &Network) -> Option<T> {
        self.known.get(network).copied()
    }

    /// What is known of the narrowest network that a sender belongs to; one that names the port comes
    /// before one of the same width that does not.
    pub fn find(&self, remote: SocketAddr) -> Option<T> {
        let address = plain(remote.ip());
        let lengths = self.lengths.iter().filter(|(is_v4, _)| *is_v4 == address.is_ipv4());
        lengths
            .flat_map(|(_, length)| {
                let network =
                    Network { address: masked(address, *length), length: *length, port: None };
                [Network { port: Some(remote.port()), ..network }, network]
            })
            .find_map(|network| self.known.get(&network).copied())
    }

    /// How many networks there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// All networks, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Network, T)> {
        self.known.iter().map(|(network, value)| (*network, *value))
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::TrunkId;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let shown = text.parse::<Network>().map(|n| n.to_string()).map_err(|e| e.to_string());
        assert_eq!(shown.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn networks_are_read() {
        check("10.0.0.1", Ok("10.0.0.1"));
        check("10.0.0.0/24", Ok("10.0.0.0/24"));
        check("10.0.0.1:5080", Ok("10.0.0.1:5080"));
        check("[2001:db8::1]:5060", Ok("[2001:db8::1]:5060"));
        check("2001:db8::/32", Ok("2001:db8::/32"));
        check("[2001:db8::1]", Ok("2001:db8::1"));
        check("0.0.0.0/0", Ok("0.0.0.0/0"));
        check("10.0.0.0/33", Err("/33 is longer than the address"));
        check(
            "10.0.0.1/24",
            Err("10.0.0.1/24 has bits behind its mask; the network is 10.0.0.0/24"),
        );
        check(
            "carrier.example",
            Err(
                "\"carrier.example\" is not an IP address, network (10.0.0.0/24) or address with port",
            ),
        );
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_a_64th_of_ipv6() {
        let source = |text: &str| Network::of_source(text.parse().unwrap()).to_string();
        assert_eq!(source("192.0.2.7"), "192.0.2.7");
        assert_eq!(source("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(source("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    }

    #[test]
    fn the_narrowest_network_wins_and_a_port_before_none() {
        let mut table = NetworkTable::default();
        for (text, trunk) in [
            ("10.0.0.0/8", 1),
            ("10.1.0.0/16", 2),
            ("10.1.2.3", 3),
            ("10.1.2.3:5080", 4),
            ("2001:db8::/32", 5),
        ] {
            assert_eq!(table.add(text.parse().unwrap(), TrunkId(trunk)), None);
        }
        let same = table.add("10.1.2.3".parse().unwrap(), TrunkId(9));
        assert_eq!(same, Some(TrunkId(3)));
        let find = |remote: &str| table.find(remote.parse().unwrap()).map(|t| t.0);
        assert_eq!(find("10.9.9.9:5060"), Some(1));
        assert_eq!(find("10.1.9.9:5060"), Some(2));
        assert_eq!(find("10.1.2.3:5060"), Some(3));
        assert_eq!(find("10.1.2.3:5080"), Some(4));
        assert_eq!(find("[::ffff:10.1.2.3]:5080"), Some(4));
        assert_eq!(find("[2001:db8::7]:5060"), Some(5));
        assert_eq!(find("192.0.2.1:5060"), None);
    }
}
