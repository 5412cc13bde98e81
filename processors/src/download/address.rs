//! Which addresses are public: everything that is reserved for something else is not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Address, length of prefix: not on the public Internet (RFC 6890 and the registries it began), or a
/// neighbour's metadata service.
const REFUSED_V4: [([u8; 4], u32); 17] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([168, 63, 129, 16], 32),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// Parts of the global unicast range 2000::/3 that are not public: protocol assignments with Teredo, benchmarks
/// and ORCHID, documentation.
const REFUSED_V6: [(u128, u32); 3] = [(0x2001_0000 << 96, 23), (0x2001_0db8 << 96, 32), (0x3fff_0000 << 96, 20)];

/// Says whether `address` is on the public Internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    !REFUSED_V4.iter().any(|&(base, length)| (bits ^ u32::from_be_bytes(base)) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = u128::from(address);
    let within = |base: u128, length: u32| (bits ^ base) >> (128 - length) == 0;
    // 6to4 carries an IPv4 address that its relay would connect to.
    if within(0x2002 << 112, 16) {
        return is_public_v4(Ipv4Addr::from((bits >> 80) as u32));
    }
    // Outside of global unicast lie loopback, mapped, NAT64, unique local, link-local and multicast.
    within(0x2000 << 112, 3) && !REFUSED_V6.iter().any(|&(base, length)| within(base, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, public: bool) {
        assert_eq!(is_public(address.parse().expect("an address")), public, "{address}");
    }

    #[test]
    fn public_addresses_are_admitted() {
        for address in ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "198.20.0.1"] {
            check(address, true);
        }
        for address in ["2606:4700:4700::1111", "2a00:1450:4001::8a", "2002:808:808::1", "2001:4860:4860::8888"] {
            check(address, true);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "203.0.113.9",
        ] {
            check(address, false);
        }
        for address in [
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            check(address, false);
        }
    }
}
