//! A line of a list: what it blocks, or what is wrong with it.
//!
//! ```text
//! 0.0.0.0 bad.example worse.example     a line of a hosts file
//! bad.example                           a name, and everything below it; so is *.bad.example
//! *.bad                                 a whole top-level domain: only so
//! 203.0.113.7                           an address
//! bad.example/page                      a page of this host, with any query
//! https://bad.example/offers/*          all pages that begin so, by either scheme
//! # or ! begin a comment
//! ```

use std::net::{IpAddr, Ipv6Addr};

use url::{Host, Url};

use super::{Entry, Place};

/// The longest line, in bytes; no destination is longer.
const LINE_BYTES_MAX: usize = 8_192;

/// What hosts files say of the machine itself, and of networks.
const OWN_NAMES: &[&str] = &[
    "0.0.0.0",
    "broadcasthost",
    "ip6-allhosts",
    "ip6-allnodes",
    "ip6-allrouters",
    "ip6-localhost",
    "ip6-localnet",
    "ip6-loopback",
    "ip6-mcastprefix",
    "local",
    "localhost",
    "localhost.localdomain",
];

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Write it in UTF-8.
    #[error("is not UTF-8")]
    Encoding,
    /// Shorten it.
    #[error("is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// Write one entry on each line, or an address before names.
    #[error("has several words, and the first is no address")]
    Words,
    /// Block the names without an address, or with 0.0.0.0.
    #[error("gives names an address, as a hosts file does that blocks nothing")]
    Address,
    /// Correct the name.
    #[error("is no name or address of a host")]
    Host,
    /// Say so if everything below it is meant.
    #[error("is a whole top-level domain; write *. before it if that is meant")]
    TopLevel,
    /// List addresses one by one.
    #[error("is a network; only single addresses can be listed")]
    Network,
    /// Put it where it means something.
    #[error("has a * that neither begins a name (*.name) nor ends a page (name/page*)")]
    Star,
    /// Shorten the list.
    #[error("has no room: the list is longer than 4 GiB")]
    Full,
}

/// What a line lists.
pub(super) fn entries(line: &str) -> Result<Vec<Entry>, LineError> {
    let line = without_comment(line.trim_start_matches('\u{feff}').trim());
    if line.len() > LINE_BYTES_MAX {
        return Err(LineError::TooLong);
    }
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else { return Ok(Vec::new()) };
    let names: Vec<&str> = words.collect();
    if names.is_empty() {
        return Ok(vec![entry(first)?]);
    }
    let address = address(first).ok_or(LineError::Words)?;
    let names: Vec<_> = names.into_iter().filter(|name| !OWN_NAMES.contains(name)).collect();
    if !names.is_empty() && !address.is_unspecified() && !address.is_loopback() {
        return Err(LineError::Address);
    }
    names.into_iter().map(entry).collect()
}

fn without_comment(line: &str) -> &str {
    if line.starts_with(['#', '!']) {
        return "";
    }
    // A `#` in a URL is none.
    let comment = line.match_indices('#').find(|(at, _)| {
        line.get(..*at).is_some_and(|before| before.ends_with(char::is_whitespace))
    });
    comment.and_then(|(at, _)| line.get(..at)).unwrap_or(line)
}

/// Hosts files name a network card behind some addresses.
fn address(word: &str) -> Option<IpAddr> {
    word.split('%').next()?.parse().ok()
}

fn entry(word: &str) -> Result<Entry, LineError> {
    let rest = without_scheme(word)?;
    let (host, page) = match rest.find(['/', '?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (host, is_below) = match host.strip_prefix("*.") {
        Some(host) => (host, true),
        None => (host, false),
    };
    let host = read_host(host)?;
    let is_address = !matches!(host, Host::Domain(_));
    let page = page.split('#').next().unwrap_or_default();
    if matches!(page, "" | "/" | "/*") {
        let name = place(&host, "/")?.host;
        let is_top_level = !is_address && !name.contains('.');
        return if is_top_level && !is_below {
            Err(LineError::TopLevel)
        } else {
            Ok(Entry::Name(name))
        };
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if is_address && page.strip_prefix('/').is_some_and(is_number) {
        return Err(LineError::Network);
    }
    let (page, begins) = match page.strip_suffix('*') {
        Some(page) => (page, true),
        None => (page, false),
    };
    // Pages are listed for one host: below it there are others.
    if page.contains('*') || is_below {
        return Err(LineError::Star);
    }
    let place = place(&host, page)?;
    // No page is on such a host: where a text has this, it is no list.
    if place.is_named && !place.host.contains('.') {
        return Err(LineError::Host);
    }
    let page = place.page_and_query;
    Ok(if begins { Entry::Beginning(page) } else { Entry::Page(page) })
}

fn without_scheme(word: &str) -> Result<&str, LineError> {
    let Some((scheme, rest)) = word.split_once("://") else { return Ok(word) };
    let is_known = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    // Otherwise it stands in a page.
    if scheme.contains(['/', '?', '#']) {
        return Ok(word);
    }
    if is_known { Ok(rest) } else { Err(LineError::Host) }
}

/// A host without its port: a place is blocked on all of them.
fn read_host(text: &str) -> Result<Host, LineError> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(Host::Ipv6(address));
    }
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    let text = match text.rsplit_once(':') {
        Some((host, port)) if is_port(port) => host,
        _ => text,
    };
    if text.contains('*') {
        return Err(LineError::Star);
    }
    let text = text.trim_end_matches('.');
    // The parser takes more than hosts have, and decodes some: who writes a list means none of it.
    let is_bracketed = text.starts_with('[');
    if text.is_empty() || text.starts_with('.') || !(is_bracketed || is_of_host(text)) {
        return Err(LineError::Host);
    }
    match Host::parse(text) {
        Ok(Host::Domain(name)) if !is_of_host(&name) => Err(LineError::Host),
        host => host.map_err(|_| LineError::Host),
    }
}

/// Whether a text has only what names of hosts have. What is not ASCII becomes so, or is refused, when it is read.
fn is_of_host(text: &str) -> bool {
    text.chars().all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn place(host: &Host, page: &str) -> Result<Place, LineError> {
    let url = Url::parse(&format!("http://{host}{page}")).map_err(|_| LineError::Host)?;
    Place::of(&url).ok_or(LineError::Host)
}
