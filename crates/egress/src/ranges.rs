//! The addresses that the open internet has: everything else is refused.
//!
//! From IANA's registries of special-purpose addresses (RFC 6890 and its updates) and the providers' own
//! documentation of their metadata services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not of the open internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Closed {
    /// Not an address of one machine: unspecified, "this network" (RFC 791), broadcast.
    #[error("unspecified or broadcast")]
    Unspecified,
    /// The machine itself (RFC 1122, RFC 4291).
    #[error("loopback")]
    Loopback,
    /// Private use (RFC 1918), shared by a carrier (RFC 6598), unique local (RFC 4193), site local (RFC 3879).
    #[error("private")]
    Private,
    /// This link alone (RFC 3927, RFC 4291); most clouds' metadata services are here.
    #[error("link-local")]
    LinkLocal,
    /// A cloud's service for its own machines, at an address that looks public.
    #[error("metadata")]
    Metadata,
    /// Groups of machines (RFC 5771, RFC 4291).
    #[error("multicast")]
    Multicast,
    /// Documentation, benchmarks, protocol assignments, and what is not assigned at all.
    #[error("reserved")]
    Reserved,
    /// An IPv6 form that stands for an IPv4 address in a way that nobody should use any more.
    #[error("transition")]
    Transition,
}

/// Says why `address` is closed, or nothing where it is of the open internet.
pub(crate) fn closed(address: IpAddr) -> Option<Closed> {
    match address {
        IpAddr::V4(address) => closed_v4(address),
        IpAddr::V6(address) => closed_v6(address),
    }
}

fn closed_v4(address: Ipv4Addr) -> Option<Closed> {
    match address.octets() {
        [0, ..] | [255, 255, 255, 255] => Some(Closed::Unspecified),
        [127, ..] => Some(Closed::Loopback),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Some(Closed::Private),
        [169, 254, ..] => Some(Closed::LinkLocal),
        // Azure's platform address (DNS, health probes, the WireServer of the machine's agent).
        [168, 63, 129, 16] => Some(Closed::Metadata),
        [224..=239, ..] => Some(Closed::Multicast),
        // Protocol assignments (RFC 6890), 6to4 relays (RFC 7526), benchmarks (RFC 2544).
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => Some(Closed::Reserved),
        // Documentation (RFC 5737, RFC 6676 for multicast is above) and the future (RFC 1112).
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [240..=255, ..] => Some(Closed::Reserved),
        _ => None,
    }
}

fn closed_v6(address: Ipv6Addr) -> Option<Closed> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let tail = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        // Unspecified, loopback, and the rest of the IPv4-compatible block (RFC 4291, section 2.5.5.1).
        (0, 0) if (c, d, e, f) == (0, 0, 0, 0) => Some(match u32::from(tail) {
            0 => Closed::Unspecified,
            1 => Closed::Loopback,
            _ => Closed::Transition,
        }),
        // IPv4-mapped and NAT64's well-known prefix (RFC 6052) reach what the IPv4 address reaches.
        (0, 0) if (c, d, e, f) == (0, 0, 0, 0xffff) => closed_v4(tail),
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => closed_v4(tail),
        // Teredo, ORCHID, benchmarks and the other protocol assignments (RFC 2928); 6to4 (RFC 3056).
        (0x2001, 0..=0x1ff) => Some(if b == 0 { Closed::Transition } else { Closed::Reserved }),
        (0x2002, _) => Some(Closed::Transition),
        // Documentation (RFC 3849, RFC 9637).
        (0x2001, 0xdb8) | (0x3fff, 0..=0xfff) => Some(Closed::Reserved),
        // Global unicast, the one block from which the registries assign (RFC 4291, RFC 3587).
        (0x2000..=0x3fff, _) => None,
        (0xfc00..=0xfdff, _) | (0xfec0..=0xfeff, _) => Some(Closed::Private),
        (0xfe80..=0xfebf, _) => Some(Closed::LinkLocal),
        (0xff00..=0xffff, _) => Some(Closed::Multicast),
        // The local NAT64 prefix (RFC 8215) among them: what it reaches only its network knows.
        _ => Some(Closed::Reserved),
    }
}

#[cfg(test)]
mod tests;
