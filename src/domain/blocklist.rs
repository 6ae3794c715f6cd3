//! Places where no link may lead: names of hosts, and addresses of pages.
//!
//! A list of a million names is kept as one text and where its entries end, sorted: 4 bytes for each entry beside its
//! letters, and a look is a few searches in it. Both sides of a comparison are written as the URL parser writes them.

use std::fmt::{self, Write};
use std::iter;
use std::sync::Arc;

use hoplog_events::link::Destination;
use url::{Host, Url};

mod line;
mod sorted;
#[cfg(test)]
mod tests;

pub use line::LineError;
use sorted::{Gathered, Sorted};

/// What one source lists.
#[derive(Default, PartialEq, Eq)]
pub struct BlockList {
    /// Hosts, with everything below them.
    names: Sorted,
    /// Pages: host, path and perhaps query.
    pages: Sorted,
    /// What pages begin with.
    beginnings: Sorted,
}

/// A list that is being read.
#[derive(Debug, Default)]
pub struct BlockListReader {
    names: Gathered,
    pages: Gathered,
    beginnings: Gathered,
}

/// An entry as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Name(String),
    Page(String),
    Beginning(String),
}

impl BlockListReader {
    /// Takes a line, and says whether it lists something; one that is wrong leaves nothing.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn line(&mut self, line: &str) -> Result<bool, LineError> {
        let entries = line::entries(line)?;
        let lists = !entries.is_empty();
        for entry in entries {
            match entry {
                Entry::Name(text) => self.names.push(&text)?,
                Entry::Page(text) => self.pages.push(&text)?,
                Entry::Beginning(text) => self.beginnings.push(&text)?,
            }
        }
        Ok(lists)
    }

    /// The list that the lines were of.
    #[must_use]
    pub fn finish(self) -> BlockList {
        BlockList {
            names: self.names.sorted(),
            pages: self.pages.sorted(),
            beginnings: self.beginnings.sorted(),
        }
    }
}

impl BlockList {
    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len() + self.pages.len() + self.beginnings.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much memory it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.names.bytes() + self.pages.bytes() + self.beginnings.bytes()
    }

    /// All that a place is under: names, pages, what pages begin with.
    fn entries<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = Box<str>> + 'a {
        let names = iter::successors(Some(place.host.as_str()), move |name| {
            // An address has nothing above it.
            name.split_once('.').map(|(_, above)| above).filter(|_| place.is_named)
        });
        let page = (place.page != place.page_and_query).then_some(place.page.as_str());
        let pages = page.into_iter().chain([place.page_and_query.as_str()]);
        let names = names.filter(|name| self.names.has(name));
        let pages = pages.filter(|page| self.pages.has(page));
        let beginnings = self.beginnings.beginnings_of(&place.page_and_query);
        names.chain(pages).map(Into::into).chain(beginnings.map(|text| format!("{text}*").into()))
    }
}

impl fmt::Debug for BlockList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockList({} entries)", self.len())
    }
}

/// What all sources list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockLists(Box<[Arc<BlockList>]>);

impl BlockLists {
    /// The lists of several sources.
    #[must_use]
    pub fn of(lists: impl IntoIterator<Item = Arc<BlockList>>) -> Self {
        Self(lists.into_iter().filter(|list| !list.is_empty()).collect())
    }

    /// How many entries they have, those that several have counted for each.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|list| list.len()).sum()
    }

    /// Whether they have none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How much memory they take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|list| list.bytes()).sum()
    }

    /// The first entry that a destination is under; `None`: it may be led to.
    #[must_use]
    pub fn find(&self, destination: &Destination) -> Option<Box<str>> {
        let place = self.place(destination)?;
        self.0.iter().find_map(|list| list.entries(&place).next())
    }

    /// All entries that a destination is under; one that several lists have comes as often.
    #[must_use]
    pub fn entries(&self, destination: &Destination) -> Vec<Box<str>> {
        let Some(place) = self.place(destination) else { return Vec::new() };
        self.0.iter().flat_map(|list| list.entries(&place)).collect()
    }

    fn place(&self, destination: &Destination) -> Option<Place> {
        if self.is_empty() {
            return None;
        }
        Place::of(&destination.to_url()?)
    }
}

/// A URL as it is compared: neither its scheme nor its port make it another place.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    host: String,
    /// Whether the host is a name, and no address.
    is_named: bool,
    page: String,
    page_and_query: String,
}

impl Place {
    fn of(url: &Url) -> Option<Self> {
        let (host, is_named) = match url.host()? {
            // A dot at the end is the same host.
            Host::Domain(name) => (name.trim_end_matches('.').to_ascii_lowercase(), true),
            Host::Ipv4(address) => (address.to_string(), false),
            // The same machine as by the address that is in it.
            Host::Ipv6(address) => match address.to_ipv4_mapped() {
                Some(mapped) => (mapped.to_string(), false),
                None => (format!("[{address}]"), false),
            },
        };
        let page = host.clone() + &plain(url.path());
        let query = url.query().map(|query| format!("?{}", plain(query))).unwrap_or_default();
        Some(Self { page_and_query: page.clone() + &query, page, host, is_named })
    }
}

/// A text of a URL in one spelling: what need not be percent-encoded is not, and the rest in capitals.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let Some((byte, behind)) = byte.zip(after.get(2..)) else {
            plain.push('%');
            rest = after;
            continue;
        };
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            plain.push(byte.into());
        } else {
            // A string takes everything.
            let _ = write!(plain, "%{byte:02X}");
        }
        rest = behind;
    }
    plain + rest
}
