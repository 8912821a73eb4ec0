//! Which addresses are of the public Internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address may be that of a stranger's server: not one of this machine, of a private network or
/// of a special purpose (the registries of RFC 6890).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_special = match (first, second, third) {
        // This network, shared (RFC 6598), protocol assignments, benchmarks (RFC 2544).
        (0, ..) | (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _) => true,
        // Multicast, reserved, broadcast.
        (224.., ..) => true,
        _ => address.is_private() || address.is_loopback() || address.is_link_local(),
    };
    !is_special && !address.is_documentation()
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let (segments, octets) = (address.segments(), address.octets());
    let last: [u8; 4] = [octets[12], octets[13], octets[14], octets[15]];
    match segments {
        // An IPv4 address behind NAT64 (RFC 6052), or mapped.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0, 0xffff, ..] => is_public_v4(last.into()),
        // Teredo and other assignments of protocols, documentation, 6to4.
        [0x2001, ..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, ..=0xfff, ..] => {
            false
        }
        // What is given out so far is 2000::/3.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(addresses: &[&str], expected: bool) {
        for address in addresses {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn what_is_inside_is_not_public() {
        check(&["8.8.8.8", "192.0.1.1", "198.20.0.1", "100.128.0.1", "172.32.0.1"], true);
        check(&["0.0.0.0", "10.1.2.3", "127.0.0.1", "169.254.169.254", "172.16.0.1"], false);
        check(&["192.168.1.1", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1"], false);
        check(&["255.255.255.255", "203.0.113.7", "198.51.100.7"], false);
        check(&["2a00:1450::1", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"], true);
        check(&["::", "::1", "fe80::1", "fc00::1", "fd12::1", "fec0::1", "ff02::1"], false);
        check(&["::ffff:10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b:1::1", "::127.0.0.1"], false);
        check(&["2001:db8::1", "2001::1", "2002:a00:1::1", "3fff::1"], false);
    }
}
