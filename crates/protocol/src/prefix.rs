//! The network that an address belongs to, for shares of whatever strangers can hold open.
//!
//! An address costs nothing to whoever has a network full of them, so those of one network count
//! together: an IPv4 /24, an IPv6 /48.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network that a peer's address belongs to. Peers with the same prefix have one share.
///
/// A machine of a private network (10/8, 172.16/12, 192.168/16, 100.64/10, 169.254/16, fc00::/7,
/// fe80::/10) is a prefix of its own: nodes of one network at home or at work are not crowded out
/// by each other, and no network gives its machines away by the thousand. The beginning of
/// loopback (127.0.0.0/24, ::1) has none: whoever is there is this machine, or a proxy that speaks
/// for clients from anywhere. The rest of 127/8 is like the internet, which lets tests on one
/// machine come from many networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Prefix(pub u64);

impl Prefix {
    /// The prefix of this machine, and of addresses that are not known. Shares nothing.
    pub const NONE: Self = Self(0);

    /// The prefix of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => of_v4(v4),
            IpAddr::V6(v6) => of_v6(v6),
        }
    }

    /// Whether those with this prefix have one share.
    #[must_use]
    pub fn is_shared(self) -> bool {
        self != Self::NONE
    }
}

// The kinds differ in their highest bits, so that no two networks look alike.
const V4_NETWORK: u64 = 1 << 32;
const V4_MACHINE: u64 = 1 << 33;
const V6_NETWORK: u64 = 1 << 62;
const V6_MACHINE: u64 = 1 << 63;

fn of_v4(address: Ipv4Addr) -> Prefix {
    let [a, b, c, _] = address.octets();
    let bits = u64::from(u32::from(address));
    if [a, b, c] == [127, 0, 0] {
        return Prefix::NONE;
    }
    let is_carrier = a == 100 && b & 0xc0 == 64;
    if address.is_private() || address.is_link_local() || is_carrier {
        return Prefix(V4_MACHINE | bits);
    }
    Prefix(V4_NETWORK | bits >> 8)
}

fn of_v6(address: Ipv6Addr) -> Prefix {
    if address.is_loopback() {
        return Prefix::NONE;
    }
    let bits = u128::from(address);
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
    if address.is_unique_local() || address.is_unicast_link_local() {
        // The interface, which within a network names the machine.
        return Prefix(V6_MACHINE | half(bits) >> 2);
    }
    Prefix(V6_NETWORK | half(bits >> 80))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Prefix;

    fn of(address: &str) -> Prefix {
        Prefix::of(address.parse().unwrap())
    }

    #[test]
    fn a_network_of_the_internet_is_one_prefix() {
        for (one, same, other) in [
            ("192.0.2.1", "192.0.2.254", "192.0.3.1"),
            ("127.9.0.1", "127.9.0.200", "127.9.1.1"),
            ("2001:db8:7:1::1", "2001:db8:7:ffff::9", "2001:db8:8:1::1"),
            ("::ffff:192.0.2.1", "192.0.2.9", "::ffff:192.0.3.1"),
        ] {
            assert!(of(one).is_shared());
            assert_eq!(of(one), of(same), "{one} {same}");
            assert_ne!(of(one), of(other), "{one} {other}");
        }
    }

    #[test]
    fn a_machine_of_a_private_network_is_a_prefix_and_this_machine_is_none() {
        for (one, other) in [
            ("10.1.2.3", "10.1.2.4"),
            ("172.16.0.1", "172.16.0.2"),
            ("192.168.1.1", "192.168.1.2"),
            ("100.64.0.1", "100.127.0.1"),
            ("169.254.1.1", "169.254.1.2"),
            ("fd00::1:0", "fd00::2:0"),
            ("fe80::5054:ff:fe00:1", "fe80::5054:ff:fe01:1"),
        ] {
            assert!(of(one).is_shared() && of(other).is_shared());
            assert_ne!(of(one), of(other), "{one} {other}");
        }
        assert_eq!(of("100.128.0.1"), of("100.128.0.2"), "of the internet again");
        for this in ["127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"] {
            assert!(!of(this).is_shared(), "{this}");
        }
    }

    #[test]
    fn kinds_of_networks_do_not_look_alike() {
        let all = ["0.0.1.0", "10.0.0.1", "::2", "fd00::a:0:1", "0:0:a00::1", "1::", "0.10.0.0"];
        let prefixes: BTreeSet<_> = all.iter().map(|address| of(address)).collect();
        assert_eq!(prefixes.len(), all.len(), "{prefixes:?}");
    }
}
