//! Which addresses are public: none of a special-purpose block.
//!
//! The tables are the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and
//! its updates) with multicast (RFC 5771, RFC 4291) and what is deprecated. A block that is
//! reachable from everywhere is refused all the same: nobody serves an API there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// First address, prefix length and name.
const V4: [(Ipv4Addr, u32, &str); 19] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private use"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "carrier-grade NAT"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private use"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "IETF protocol assignments"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 31, 196, 0), 24, "AS112"),
    (Ipv4Addr::new(192, 52, 193, 0), 24, "multicast tunnelling"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relays"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private use"),
    (Ipv4Addr::new(192, 175, 48, 0), 24, "AS112"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(255, 255, 255, 255), 32, "broadcast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// Global unicast, outside of which nothing is public.
const GLOBAL: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// First address, prefix length and name: those that name what lies outside of global
/// unicast, then those within it.
const V6: [(Ipv6Addr, u32, &str); 20] = [
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, "IPv4-mapped"),
    (Ipv6Addr::UNSPECIFIED, 96, "IPv4-compatible"),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, "NAT64"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "NAT64"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "discard-only"),
    (Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0), 64, "dummy prefix"),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, "segment routing"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "unique local"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "site-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "Teredo"),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, "benchmarking"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "IETF protocol assignments"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, "AS112"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
];

/// Why an address is not one of the public internet; nothing if it is.
#[must_use]
pub fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => {
            V4.iter().find(|(block, length, _)| within_v4(address, *block, *length)).map(|found| found.2)
        }
        IpAddr::V6(address) => {
            let named = V6.iter().find(|(block, length, _)| within_v6(address, *block, *length)).map(|found| found.2);
            named.or_else(|| (!within_v6(address, GLOBAL.0, GLOBAL.1)).then_some("unassigned"))
        }
    }
}

fn within_v4(address: Ipv4Addr, block: Ipv4Addr, length: u32) -> bool {
    (address.to_bits() ^ block.to_bits()).leading_zeros() >= length
}

fn within_v6(address: Ipv6Addr, block: Ipv6Addr, length: u32) -> bool {
    (address.to_bits() ^ block.to_bits()).leading_zeros() >= length
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every row of the two registries: block, name, where it is defined, and whether the
    /// registry says that it is reachable from everywhere. (`192.0.0.170/32` and its neighbour
    /// share a row there; Teredo and 6to4 have a footnote in place of an answer.)
    const REGISTRY: [(&str, &str, &str, bool); 51] = [
        ("0.0.0.0/8", "this network", "RFC 791", false),
        ("0.0.0.0/32", "this host on this network", "RFC 1122", false),
        ("10.0.0.0/8", "private use", "RFC 1918", false),
        ("100.64.0.0/10", "shared address space", "RFC 6598", false),
        ("127.0.0.0/8", "loopback", "RFC 1122", false),
        ("169.254.0.0/16", "link local", "RFC 3927", false),
        ("172.16.0.0/12", "private use", "RFC 1918", false),
        ("192.0.0.0/24", "IETF protocol assignments", "RFC 6890", false),
        ("192.0.0.0/29", "IPv4 service continuity prefix", "RFC 7335", false),
        ("192.0.0.8/32", "IPv4 dummy address", "RFC 7600", false),
        ("192.0.0.9/32", "Port Control Protocol anycast", "RFC 7723", true),
        ("192.0.0.10/32", "TURN anycast", "RFC 8155", true),
        ("192.0.0.170/32", "NAT64/DNS64 discovery", "RFC 8880", false),
        ("192.0.0.171/32", "NAT64/DNS64 discovery", "RFC 8880", false),
        ("192.0.2.0/24", "documentation (TEST-NET-1)", "RFC 5737", false),
        ("192.31.196.0/24", "AS112-v4", "RFC 7535", true),
        ("192.52.193.0/24", "AMT", "RFC 7450", true),
        ("192.88.99.0/24", "6to4 relay anycast, deprecated", "RFC 7526", false),
        ("192.88.99.2/32", "6a44 relay anycast", "RFC 6751", false),
        ("192.168.0.0/16", "private use", "RFC 1918", false),
        ("192.175.48.0/24", "direct delegation AS112 service", "RFC 7534", true),
        ("198.18.0.0/15", "benchmarking", "RFC 2544", false),
        ("198.51.100.0/24", "documentation (TEST-NET-2)", "RFC 5737", false),
        ("203.0.113.0/24", "documentation (TEST-NET-3)", "RFC 5737", false),
        ("240.0.0.0/4", "reserved", "RFC 1112", false),
        ("255.255.255.255/32", "limited broadcast", "RFC 919", false),
        ("::1/128", "loopback address", "RFC 4291", false),
        ("::/128", "unspecified address", "RFC 4291", false),
        ("::ffff:0:0/96", "IPv4-mapped address", "RFC 4291", false),
        ("64:ff9b::/96", "IPv4-IPv6 translation", "RFC 6052", true),
        ("64:ff9b:1::/48", "IPv4-IPv6 translation", "RFC 8215", false),
        ("100::/64", "discard-only address block", "RFC 6666", false),
        ("100:0:0:1::/64", "dummy IPv6 prefix", "RFC 9780", false),
        ("2001::/23", "IETF protocol assignments", "RFC 2928", false),
        ("2001::/32", "Teredo", "RFC 4380", false),
        ("2001:1::1/128", "Port Control Protocol anycast", "RFC 7723", true),
        ("2001:1::2/128", "TURN anycast", "RFC 8155", true),
        ("2001:1::3/128", "DNS-SD service registration anycast", "RFC 9665", true),
        ("2001:2::/48", "benchmarking", "RFC 5180", false),
        ("2001:3::/32", "AMT", "RFC 7450", true),
        ("2001:4:112::/48", "AS112-v6", "RFC 7535", true),
        ("2001:10::/28", "ORCHID, deprecated", "RFC 4843", false),
        ("2001:20::/28", "ORCHIDv2", "RFC 7343", true),
        ("2001:30::/28", "drone remote ID protocol entity tags", "RFC 9374", true),
        ("2001:db8::/32", "documentation", "RFC 3849", false),
        ("2002::/16", "6to4", "RFC 3056", false),
        ("2620:4f:8000::/48", "direct delegation AS112 service", "RFC 7534", true),
        ("3fff::/20", "documentation", "RFC 9637", false),
        ("5f00::/16", "segment routing (SRv6) SIDs", "RFC 9602", false),
        ("fc00::/7", "unique-local", "RFC 4193", false),
        ("fe80::/10", "link-local unicast", "RFC 4291", false),
    ];

    /// What is no place on the public internet beside them: multicast, what is deprecated, and
    /// what lies outside of global unicast.
    const BESIDE: [(&str, &str, &str); 19] = [
        ("224.0.0.0/4", "multicast", "RFC 5771"),
        ("224.0.0.0/24", "multicast of the local network", "RFC 5771"),
        ("232.0.0.0/8", "source-specific multicast", "RFC 5771"),
        ("233.252.0.0/24", "multicast for documentation", "RFC 5771"),
        ("239.0.0.0/8", "multicast of an administrative scope", "RFC 2365"),
        ("ff00::/8", "multicast", "RFC 4291"),
        ("fec0::/10", "site-local, deprecated", "RFC 3879"),
        ("::/96", "IPv4-compatible, deprecated", "RFC 4291"),
        ("::ffff:0:0:0/96", "IPv4-translated", "RFC 7915"),
        ("200::/7", "NSAP, deprecated", "RFC 4048"),
        ("4000::/3", "unassigned", "RFC 4291"),
        ("6000::/3", "unassigned", "RFC 4291"),
        ("8000::/3", "unassigned", "RFC 4291"),
        ("a000::/3", "unassigned", "RFC 4291"),
        ("c000::/3", "unassigned", "RFC 4291"),
        ("e000::/4", "unassigned", "RFC 4291"),
        ("f000::/5", "unassigned", "RFC 4291"),
        ("f800::/6", "unassigned", "RFC 4291"),
        ("fe00::/9", "unassigned", "RFC 4291"),
    ];

    fn blocks() -> impl Iterator<Item = &'static str> {
        REGISTRY.into_iter().map(|row| row.0).chain(BESIDE.into_iter().map(|row| row.0))
    }

    /// The first and last address of a block.
    fn ends(block: &str) -> (IpAddr, IpAddr) {
        let (first, length) = block.split_once('/').unwrap();
        let length: u32 = length.parse().unwrap();
        match first.parse().unwrap() {
            IpAddr::V4(first) => {
                let last = first.to_bits() | u32::MAX.checked_shr(length).unwrap_or(0);
                (first.into(), Ipv4Addr::from_bits(last).into())
            }
            IpAddr::V6(first) => {
                let last = first.to_bits() | u128::MAX.checked_shr(length).unwrap_or(0);
                (first.into(), Ipv6Addr::from_bits(last).into())
            }
        }
    }

    fn listed(address: IpAddr) -> bool {
        blocks().map(ends).any(|(first, last)| (first..=last).contains(&address))
    }

    #[test]
    fn no_block_of_the_registries_is_public_from_its_first_to_its_last_address() {
        let rows = REGISTRY.into_iter().map(|(block, name, defined, _)| (block, name, defined)).chain(BESIDE);
        for (block, name, defined) in rows {
            let (first, last) = ends(block);
            assert!(special(first).is_some() && special(last).is_some(), "{block} ({name}, {defined})");
        }
    }

    /// The registries call some blocks globally reachable: anycast of protocols, AS112, the
    /// translation of IPv4, identifiers. None of them has an API, and NAT64 would lead inwards;
    /// whoever means one writes `allow_private`.
    #[test]
    fn blocks_that_are_reachable_from_everywhere_are_refused_all_the_same() {
        let reachable: Vec<&str> = REGISTRY.into_iter().filter(|row| row.3).map(|row| row.0).collect();
        assert_eq!(reachable.len(), 14, "{reachable:?}");
        for block in ["192.0.0.9/32", "192.0.0.10/32", "2001:1::1/128", "2001:20::/28", "2001:30::/28"] {
            assert!(reachable.contains(&block), "{block}");
        }
        for block in reachable {
            let (first, last) = ends(block);
            assert!(special(first).is_some() && special(last).is_some(), "{block}");
        }
    }

    #[test]
    fn what_is_next_to_a_block_is_public_unless_another_block_has_it() {
        let step = |address: IpAddr, up: bool| match address {
            IpAddr::V4(a) if up => a.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
            IpAddr::V4(a) => a.to_bits().checked_sub(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
            IpAddr::V6(a) if up => a.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
            IpAddr::V6(a) => a.to_bits().checked_sub(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
        };
        let mut public = 0;
        for (first, last) in blocks().map(ends) {
            for next in
                [step(first, false), step(last, true)].into_iter().flatten().filter(|next: &IpAddr| !listed(*next))
            {
                let global = matches!(next, IpAddr::V4(_)) || within_v6_global(next);
                assert_eq!(special(next).is_none(), global, "{next}");
                public += usize::from(global);
            }
        }
        assert!(public > 20, "{public}");
    }

    fn within_v6_global(address: IpAddr) -> bool {
        matches!(address, IpAddr::V6(address) if address.segments()[0] >> 13 == 1)
    }

    #[test]
    fn addresses_that_hold_an_ipv4_address_are_told_by_name() {
        for (address, name) in [
            ("::ffff:7f00:1", "IPv4-mapped"),
            ("::7f00:1", "IPv4-compatible"),
            ("64:ff9b::7f00:1", "NAT64"),
            ("2002:7f00:1::", "6to4"),
            ("2001:0:53aa:64c::1", "Teredo"),
            ("169.254.169.254", "link-local"),
        ] {
            assert_eq!(special(address.parse().unwrap()), Some(name), "{address}");
        }
        for public in ["8.8.8.8", "1.1.1.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"] {
            assert_eq!(special(public.parse().unwrap()), None, "{public}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_public_if_no_block_of_the_registries_has_it(v4 in any::<u32>(), v6 in any::<u128>()) {
            let (v4, v6): (IpAddr, IpAddr) = (Ipv4Addr::from_bits(v4).into(), Ipv6Addr::from_bits(v6).into());
            prop_assert_eq!(special(v4).is_some(), listed(v4));
            prop_assert_eq!(special(v6).is_some(), listed(v6) || !within_v6_global(v6));
        }
    }
}
