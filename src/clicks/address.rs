//! Whose request it is: the other end of the connection, or what trusted proxies say of it.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use ipnet::IpNet;

/// Hops that are looked at; a longer list is cut off, as no real chain is that long.
const HOPS_MAX: usize = 32;

/// The client's address. Forwarding headers are read from the right, hop by hop, for as long as
/// the hop that wrote them is trusted; the first address that is not is the client's. Anybody
/// can write whatever they like further left.
#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if trusted.is_empty() || !is_trusted(&peer) {
        return peer;
    }
    let mut client = peer;
    for hop in hops(headers) {
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
/// `Forwarded` (RFC 7239).
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines: Vec<&str> = values(headers, "x-forwarded-for");
    let mut hops: Vec<_> = if lines.is_empty() {
        let lines = values(headers, header::FORWARDED.as_str());
        lines.iter().flat_map(|line| line.split(',')).map(forwarded_for).collect()
    } else {
        lines.iter().flat_map(|line| line.split(',')).map(address).collect()
    };
    hops.reverse();
    hops.truncate(HOPS_MAX);
    hops
}

fn values<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
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

    fn client(peer: &str, header: (&'static str, &[&str])) -> String {
        let mut headers = HeaderMap::new();
        for value in header.1 {
            headers.append(header.0, value.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
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

    #[test]
    fn without_trusted_proxies_nothing_is_believed() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "1.1.1.1".parse().unwrap());
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(client_address(peer, &headers, &[]), peer);
    }
}
