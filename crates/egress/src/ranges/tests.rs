//! The table against a second formulation: lists of prefixes, as the registries print them.

use super::{Closed, closed};
use ipnet::IpNet;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const CLOSED_V4: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

/// All of IPv6 but global unicast, and what is special within that. Mapped and NAT64 forms are apart.
const CLOSED_V6: &[&str] =
    &["::/3", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "4000::/2", "8000::/1"];

fn within(prefixes: &[&str], address: IpAddr) -> bool {
    prefixes.iter().any(|prefix| prefix.parse::<IpNet>().unwrap().contains(&address))
}

fn expected(address: IpAddr) -> bool {
    let IpAddr::V6(six) = address else { return within(CLOSED_V4, address) };
    let nat64: IpNet = "64:ff9b::/96".parse().unwrap();
    let embedded = six.to_ipv4_mapped().or_else(|| {
        let [.., a, b, c, d] = six.octets();
        nat64.contains(&address).then(|| Ipv4Addr::new(a, b, c, d))
    });
    embedded.map_or_else(|| within(CLOSED_V6, address), |four| within(CLOSED_V4, four.into()))
}

/// Addresses at and just beyond the ends of every prefix: where an off-by-one would show.
fn edges() -> Vec<IpAddr> {
    let mut edges = Vec::new();
    for prefix in CLOSED_V4.iter().chain(CLOSED_V6) {
        match prefix.parse::<IpNet>().unwrap() {
            IpNet::V4(net) => {
                let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
                let all = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
                edges.extend(all.map(|bits| IpAddr::from(Ipv4Addr::from(bits))));
            }
            IpNet::V6(net) => {
                let (first, last) = (u128::from(net.network()), u128::from(net.broadcast()));
                let all = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
                edges.extend(all.map(|bits| IpAddr::from(Ipv6Addr::from(bits))));
            }
        }
    }
    edges
}

fn forms(four: Ipv4Addr) -> [Ipv6Addr; 6] {
    let bits = u128::from(u32::from(four));
    [
        four.to_ipv6_mapped(),
        Ipv6Addr::from(bits),
        Ipv6Addr::from((0x64_ff9b_u128 << 96) | bits),
        Ipv6Addr::from((0x64_ff9b_0001_u128 << 80) | bits),
        Ipv6Addr::from((0x2002_u128 << 112) | (bits << 80) | 1),
        // Teredo hides the client's address by inverting its bits (RFC 4380, section 4).
        Ipv6Addr::from((0x2001_0000_u128 << 96) | (u128::from(!u32::from(four))) | (0x0808_0808_u128 << 64)),
    ]
}

#[test]
fn the_known_dangers_are_closed_and_each_says_why() {
    let cases = [
        ("169.254.169.254", Closed::LinkLocal),
        ("169.254.170.2", Closed::LinkLocal),
        ("fd00:ec2::254", Closed::Private),
        ("fd20:ce::254", Closed::Private),
        ("100.100.100.200", Closed::Private),
        ("168.63.129.16", Closed::Metadata),
        ("127.0.0.1", Closed::Loopback),
        ("::1", Closed::Loopback),
        ("::", Closed::Unspecified),
        ("0.0.0.0", Closed::Unspecified),
        ("255.255.255.255", Closed::Unspecified),
        ("10.1.2.3", Closed::Private),
        ("fec0::1", Closed::Private),
        ("fe80::1", Closed::LinkLocal),
        ("224.0.0.1", Closed::Multicast),
        ("ff02::1", Closed::Multicast),
        ("192.0.0.1", Closed::Reserved),
        ("198.19.255.255", Closed::Reserved),
        ("240.0.0.1", Closed::Reserved),
        ("2001:db8::1", Closed::Reserved),
        ("::ffff:127.0.0.1", Closed::Loopback),
        ("::ffff:169.254.169.254", Closed::LinkLocal),
        ("64:ff9b::10.0.0.1", Closed::Private),
        ("64:ff9b:1::10.0.0.1", Closed::Reserved),
        ("::127.0.0.1", Closed::Transition),
        ("2002:7f00:1::1", Closed::Transition),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", Closed::Transition),
    ];
    for (address, why) in cases {
        assert_eq!(closed(address.parse().unwrap()), Some(why), "{address}");
    }
}

#[test]
fn the_open_internet_is_open() {
    let open =
        ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8"];
    for address in open.into_iter().chain(["64:ff9b::8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1"]) {
        assert_eq!(closed(address.parse().unwrap()), None, "{address}");
    }
}

#[test]
fn the_edges_of_every_range_are_exact() {
    for address in edges() {
        assert_eq!(closed(address).is_some(), expected(address), "{address}");
    }
}

#[test]
fn nothing_that_std_calls_special_is_open() {
    for first in 0..=255 {
        for second in 0..=255 {
            let four = Ipv4Addr::new(first, second, 0, 1);
            let special =
                four.is_private() || four.is_loopback() || four.is_link_local() || four.is_multicast();
            assert!(!special || closed(four.into()).is_some(), "{four}");
        }
    }
    for first in 0..=u16::MAX {
        let six = Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 1);
        let special = six.is_loopback() || six.is_multicast() || six.is_unique_local();
        assert!(!(special || six.is_unicast_link_local()) || closed(six.into()).is_some(), "{six}");
    }
}

proptest! {
    #[test]
    fn ipv4_agrees_with_the_prefixes(bits: u32) {
        let address = IpAddr::from(Ipv4Addr::from(bits));
        prop_assert_eq!(closed(address).is_some(), expected(address));
    }

    #[test]
    fn ipv6_agrees_with_the_prefixes(bits: u128, prefix in prop::sample::select(CLOSED_V6), keep in 0u32..128) {
        let IpNet::V6(net) = prefix.parse::<IpNet>().unwrap() else { unreachable!() };
        // Far from uniform: addresses that share some leading bits with a prefix of the list.
        let near = (u128::from(net.network()) & !(u128::MAX >> keep)) | (bits >> keep);
        for bits in [bits, near] {
            let address = IpAddr::from(Ipv6Addr::from(bits));
            prop_assert_eq!(closed(address).is_some(), expected(address), "{}", address);
        }
    }

    #[test]
    fn no_ipv6_form_opens_a_closed_ipv4_address(
        prefix in prop::sample::select(CLOSED_V4),
        offset: u32,
    ) {
        let IpNet::V4(net) = prefix.parse::<IpNet>().unwrap() else { unreachable!() };
        let four = Ipv4Addr::from(u32::from(net.network()) | (offset & u32::from(net.hostmask())));
        prop_assert!(closed(four.into()).is_some());
        for six in forms(four) {
            prop_assert!(closed(six.into()).is_some(), "{} {}", four, six);
        }
    }
}
