//! Whose request it is: the other end of the connection, or what trusted proxies say of it.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue, header};
use ipnet::IpNet;

/// Hops that are looked at; a longer list is cut off, as no real chain is that long.
const HOPS_MAX: usize = 32;

/// Who is believed, and what of theirs.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    /// Where they are.
    pub networks: Vec<IpNet>,
    /// What they write.
    pub header: ForwardedHeader,
}

/// The header that trusted proxies write. A visitor can bring along the one that they don't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, or `Forwarded` where there is none: right for proxies that always write
    /// the former.
    #[default]
    Either,
    /// `X-Forwarded-For`.
    Legacy,
    /// `Forwarded`.
    Standard,
}

/// The client's address. Forwarding headers are read from the right, hop by hop, for as long as
/// the hop that wrote them is trusted; the first address that is not is the client's. Anybody
/// can write whatever they like further left.
#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> IpAddr {
    let trusted = &proxies.networks;
    let peer = peer.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if trusted.is_empty() || !is_trusted(&peer) {
        return peer;
    }
    let mut client = peer;
    for hop in hops(headers, proxies.header) {
        // A hop that is not an address was written by nobody who can be believed further.
        let Some(hop) = hop else { break };
        client = hop;
        if !is_trusted(&hop) {
            break;
        }
    }
    client
}

/// The hops from the nearest to the furthest: `X-Forwarded-For` where it is there, otherwise
/// `Forwarded` (RFC 7239). What a line says is looked at byte by byte, since a visitor may have
/// written the beginning of a line that a proxy then finished.
fn hops(headers: &HeaderMap, which: ForwardedHeader) -> Vec<Option<IpAddr>> {
    let lines = |name: &str| -> Vec<&[u8]> {
        headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
    };
    let hops_of = |lines: &[&[u8]], read: fn(&str) -> Option<IpAddr>| -> Vec<Option<IpAddr>> {
        let hops = lines.iter().flat_map(|line| line.split(|byte| *byte == b','));
        hops.map(|hop| read(std::str::from_utf8(hop).ok()?)).collect()
    };
    let legacy = match which {
        ForwardedHeader::Standard => Vec::new(),
        ForwardedHeader::Either | ForwardedHeader::Legacy => lines("x-forwarded-for"),
    };
    let mut hops = if legacy.is_empty() && which != ForwardedHeader::Legacy {
        hops_of(&lines(header::FORWARDED.as_str()), forwarded_for)
    } else {
        hops_of(&legacy, address)
    };
    hops.reverse();
    hops.truncate(HOPS_MAX);
    hops
}

/// The `for` parameter of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| address(value.trim().trim_matches('"')))?
    })
}

/// An address, with or without a port; IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address =
        bare.parse().ok().or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Line = (&'static str, &'static [u8]);

    fn proxies(header: ForwardedHeader) -> TrustedProxies {
        let networks = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        TrustedProxies { networks, header }
    }

    fn of(peer: &str, lines: &[Line], header: ForwardedHeader) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &proxies(header)).to_string()
    }

    fn client(peer: &str, (name, values): (&'static str, &[&'static str])) -> String {
        let lines: Vec<_> = values.iter().map(|value| (name, value.as_bytes())).collect();
        of(peer, &lines, ForwardedHeader::Either)
    }

    /// Trap 15 (R16): only what a trusted proxy wrote is believed.
    #[test]
    fn trap_15_forwarding_headers_are_walked_from_the_right_through_trusted_proxies() {
        let xff = |values: &'static [&'static str]| ("x-forwarded-for", values);
        let cases = [
            // A stranger says who they are.
            ("203.0.113.9", xff(&["1.1.1.1"]), "203.0.113.9"),
            // A proxy says so.
            ("10.0.0.1", xff(&["1.1.1.1"]), "1.1.1.1"),
            // What stands left of the client is the client's own invention.
            ("10.0.0.1", xff(&["6.6.6.6, 1.1.1.1"]), "1.1.1.1"),
            ("10.0.0.1", xff(&["6.6.6.6", "1.1.1.1, 10.0.0.2"]), "1.1.1.1"),
            // Inventing trusted addresses does not help either.
            ("10.0.0.1", xff(&["10.9.9.9, 1.1.1.1"]), "1.1.1.1"),
            // Garbage ends the walk.
            ("10.0.0.1", xff(&["1.1.1.1, unknown, 10.0.0.2"]), "10.0.0.2"),
            ("10.0.0.1", xff(&[""]), "10.0.0.1"),
            ("10.0.0.1", xff(&["1.1.1.1:4711"]), "1.1.1.1"),
            ("::ffff:10.0.0.1", xff(&["::ffff:1.1.1.1"]), "1.1.1.1"),
            ("fd00::1", xff(&["[2001:db8::7]:443"]), "2001:db8::7"),
            (
                "10.0.0.1",
                ("forwarded", &["for=6.6.6.6, FOR=\"[2001:db8::7]:4711\";proto=https"]),
                "2001:db8::7",
            ),
            ("10.0.0.1", ("forwarded", &["for=_hidden"]), "10.0.0.1"),
        ];
        for (peer, header, expected) in cases {
            assert_eq!(client(peer, header), expected, "{peer} {header:?}");
        }
    }

    /// Trap 15 (R16): a byte that is no text hides nothing that a proxy wrote behind it.
    #[test]
    fn trap_15_a_visitor_can_t_make_a_proxys_header_unreadable() {
        let visitor: &[Line] =
            &[("x-forwarded-for", b"\xe9, 203.0.113.9"), ("forwarded", b"for=6.6.6.6")];
        for header in [ForwardedHeader::Either, ForwardedHeader::Legacy] {
            assert_eq!(of("10.0.0.1", visitor, header), "203.0.113.9");
        }
        let garbage: &[Line] = &[("x-forwarded-for", b"\xe9"), ("forwarded", b"for=6.6.6.6")];
        assert_eq!(of("10.0.0.1", garbage, ForwardedHeader::Either), "10.0.0.1");
    }

    /// Trap 15 (R16): behind a proxy that writes the one, the other is the visitor's.
    #[test]
    fn trap_15_only_the_header_that_the_proxy_writes_is_read() {
        let both: &[Line] = &[("forwarded", b"for=203.0.113.9"), ("x-forwarded-for", b"7.7.7.7")];
        assert_eq!(of("10.0.0.1", both, ForwardedHeader::Standard), "203.0.113.9");
        assert_eq!(of("10.0.0.1", both, ForwardedHeader::Legacy), "7.7.7.7");
        let standard_only = &both[..1];
        assert_eq!(of("10.0.0.1", standard_only, ForwardedHeader::Legacy), "10.0.0.1");
        assert_eq!(of("10.0.0.1", standard_only, ForwardedHeader::Either), "203.0.113.9");
    }

    #[test]
    fn without_trusted_proxies_nothing_is_believed() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "1.1.1.1".parse().unwrap());
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(client_address(peer, &headers, &TrustedProxies::default()), peer);
    }
}
