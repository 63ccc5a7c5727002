//! Addresses: which of them are on this machine or in a network of its own, where a message should not go by mistake.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// Whether an address is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    url.host_str() == Some("localhost") || literal(url).is_some_and(|ip| ip.is_loopback())
}

/// The IP address that a URL names, where it names one.
pub(crate) fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// Whether everybody reaches the same machine under this IP address: it is neither private, shared, link-local,
/// loopback, multicast nor reserved. Of an IPv6 address that carries an IPv4 address, that one counts.
///
/// The ranges are those of <https://www.iana.org/assignments/iana-ipv4-special-registry> and
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => carried(ip).map_or_else(|| is_public_v6(ip), is_public_v4),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let special = match ip.octets() {
        [0 | 10 | 127, ..] | [240..=255, ..] => true,
        // Behind a carrier's NAT, and the metadata of some clouds.
        [100, second, ..] => (64..128).contains(&second),
        [169, 254, ..] | [192, 168, ..] | [192, 0, 0, _] => true,
        [172, second, ..] => (16..32).contains(&second),
        // For measurements, and for documents: nobody has one, and a network may use it for itself.
        [198, 18 | 19, ..] | [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        _ => ip.is_multicast(),
    };
    !special
}

/// Only 2000::/3 is given out. Outside of it are loopback, IPv4-compatible (`::/96`), locally translated
/// (64:ff9b:1::/48), discarded (100::/64), unique local, link-local, site-local (fec0::/10) and multicast addresses.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let special = match ip.segments() {
        // Teredo: through a tunnel, to an IPv4 address that is hidden in it.
        [0x2001, 0, ..] => true,
        // For documents.
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => true,
        [first, ..] => first & 0xe000 != 0x2000,
    };
    !special
}

/// The IPv4 address inside an IPv6 address: mapped (`::ffff:a.b.c.d`), NAT64 (`64:ff9b::a.b.c.d`) or 6to4
/// (`2002:ab:cd::`). Under NAT64 a network without IPv4 reaches all that has no IPv6, chat services included.
fn carried(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones_at_the_edges_of_their_ranges() {
        // The last public address before a range, its first and its last, and the first public one after it; `-` where
        // another range begins at once.
        let all = "
            - 0.0.0.0 0.255.255.255 1.0.0.0
            9.255.255.255 10.0.0.0 10.255.255.255 11.0.0.0
            100.63.255.255 100.64.0.0 100.127.255.255 100.128.0.0
            126.255.255.255 127.0.0.0 127.255.255.255 128.0.0.0
            169.253.255.255 169.254.0.0 169.254.255.255 169.255.0.0
            172.15.255.255 172.16.0.0 172.31.255.255 172.32.0.0
            191.255.255.255 192.0.0.0 192.0.0.255 192.0.1.0
            192.0.1.255 192.0.2.0 192.0.2.255 192.0.3.0
            192.167.255.255 192.168.0.0 192.168.255.255 192.169.0.0
            198.17.255.255 198.18.0.0 198.19.255.255 198.20.0.0
            198.51.99.255 198.51.100.0 198.51.100.255 198.51.101.0
            203.0.112.255 203.0.113.0 203.0.113.255 203.0.114.0
            223.255.255.255 224.0.0.0 239.255.255.255 -
            - 240.0.0.0 255.255.255.255 -
            - :: ::ffff:ffff -
            ::ffff:9.255.255.255 ::ffff:10.0.0.0 ::ffff:10.255.255.255 ::ffff:11.0.0.0
            64:ff9b::9.255.255.255 64:ff9b::10.0.0.0 64:ff9b::10.255.255.255 64:ff9b::11.0.0.0
            64:ff9b::192.167.255.255 64:ff9b::192.168.0.0 64:ff9b::192.168.255.255 64:ff9b::192.169.0.0
            - 64:ff9b:1:: 64:ff9b:1:ffff:ffff:ffff:ffff:ffff -
            - 100:: 100::ffff:ffff:ffff:ffff -
            2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2001:: 2001:0:ffff:ffff:ffff:ffff:ffff:ffff 2001:1::
            2001:db7:ffff:ffff:ffff:ffff:ffff:ffff 2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2001:db9::
            2002:9ff:ffff:: 2002:a00:: 2002:aff:ffff:ffff:ffff:ffff:ffff:ffff 2002:b00::
            2002:c0a7:ffff:: 2002:c0a8:: 2002:c0a8:ffff:: 2002:c0a9::
            - 1fff:: 1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2000::
            3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff 3fff:: 3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff 3fff:1000::
            - fc00:: fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -
            - fe80:: febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff -
            3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 4000:: fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -
            - fec0:: feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -
            - ff00:: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -
            - ::1 ::1 -
            - ::127.0.0.1 ::10.0.0.1 -
            1.1.1.1 100.100.100.200 169.254.169.254 2606:4700::1111
            64:ff9b::1.1.1.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 2002:101:101::";
        for range in all.lines().filter(|line| !line.trim().is_empty()) {
            let edges: Vec<&str> = range.split_whitespace().collect();
            assert_eq!(edges.len(), 4, "{range}");
            for (address, public) in edges.into_iter().zip([true, false, false, true]) {
                if address != "-" {
                    assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
                }
            }
        }
    }

    #[test]
    fn loopback_is_known_by_name_and_by_number() {
        for (url, loopback) in [
            ("http://localhost:1/", true),
            ("http://127.0.0.1/", true),
            ("http://127.1/", true),
            ("http://[::1]:80/", true),
            ("http://localhost.example.com/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), loopback, "{url}");
        }
    }
}
