//! Asks a page what it calls itself. Follows a few redirects, each looked at like the first address; asks no proxy, sends no
//! cookie, and reads no more than it needs.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use hoplog_events::link::{Destination, Title};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use url::Url;

use super::page::{Look, Page};
use super::{names, text};
use crate::webhooks::guard::{Guard, Names, NoAddress};
use crate::webhooks::targets::{Targets, Way};

/// How long all of it may take: names, connections, hops, and reading.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3);

/// How much of a page is read.
pub(super) const BYTES_MAX: usize = 256 * 1_024;

/// How many redirects are followed.
pub(super) const HOPS_MAX: usize = 5;

/// What is read: pages, and nothing else.
const TYPES: [&str; 2] = ["text/html", "application/xhtml+xml"];

/// What is fetched is for everybody, so it may come by any way; where the way leads is looked at as for what is encrypted:
/// to public addresses, and to networks that the operator names.
const WAY: Way = Way::Encrypted;

/// Why there is no title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Nothing can be done: it leads inside, or by another way than http(s).
    #[error("the address is not to be asked")]
    Refused,
    /// The name may be known later, if it is a good one.
    #[error("the host is not known, or has no address that may be asked")]
    NoAddress,
    /// The server may be there later.
    #[error("the server is not reached, or breaks off")]
    Unreachable,
    /// The server may be faster later.
    #[error("it takes too long")]
    TimedOut,
    /// The server may be well later.
    #[error("the server has no answer now")]
    Busy,
    /// Nothing can be done.
    #[error("there is no such page")]
    Status,
    /// Nothing can be done.
    #[error("there are too many redirects")]
    TooManyHops,
    /// Nothing can be done.
    #[error("it is no page")]
    Type,
    /// Nothing can be done: nobody asked for that.
    #[error("it is packed")]
    Packed,
    /// Nothing can be done.
    #[error("there is no title where one is looked for")]
    NoTitle,
    /// See the reason.
    #[error("there is no client")]
    NoClient,
}

impl FetchError {
    /// The word in metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::NoAddress => "no_address",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timeout",
            Self::Busy => "busy",
            Self::Status => "status",
            Self::TooManyHops => "redirects",
            Self::Type => "type",
            Self::Packed => "packed",
            Self::NoTitle => "no_title",
            Self::NoClient => "no_client",
        }
    }

    /// Whether it may be otherwise a little later.
    #[must_use]
    pub fn may_pass(self) -> bool {
        matches!(self, Self::NoAddress | Self::Unreachable | Self::TimedOut | Self::Busy)
    }
}

/// Fetches titles.
#[derive(Debug)]
pub struct Fetcher {
    client: Option<Client>,
    targets: Arc<Targets>,
}

impl Fetcher {
    /// One that asks every public address, and what these targets name.
    #[must_use]
    pub fn new(targets: Targets) -> Self {
        Self::asking(targets, names())
    }

    /// The same by names of somebody else's.
    pub(super) fn asking(targets: Targets, names: Names) -> Self {
        // A second call finds the first one's provider: the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let targets = Arc::new(targets);
        let client = client(Guard::new(Arc::clone(&targets), WAY, names));
        let client = client.inspect_err(|error| tracing::error!(%error, "titles can't be fetched"));
        Self { client: client.ok(), targets }
    }

    /// What the page at a destination calls itself.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn title_of(&self, url: &Destination) -> Result<Title, FetchError> {
        let url = url.to_url().ok_or(FetchError::Refused)?;
        let title = tokio::time::timeout(TIMEOUT, self.follow(url)).await;
        title.map_err(|_| FetchError::TimedOut)?
    }

    async fn follow(&self, mut url: Url) -> Result<Title, FetchError> {
        for _ in 0..=HOPS_MAX {
            let response = self.ask(&url).await?;
            match next_hop(&url, &response)? {
                Some(next) => url = next,
                None => return read(response).await,
            }
        }
        Err(FetchError::TooManyHops)
    }

    async fn ask(&self, url: &Url) -> Result<Response, FetchError> {
        // An address in the URL is connected to without being resolved.
        self.targets.check_by(url, WAY).map_err(|_| FetchError::Refused)?;
        let client = self.client.as_ref().ok_or(FetchError::NoClient)?;
        let request = client.get(url.clone()).header(ACCEPT, TYPES.join(", "));
        let answer = request.header(ACCEPT_ENCODING, "identity").send().await;
        answer.map_err(|error| {
            if is_no_address(&error) { FetchError::NoAddress } else { FetchError::Unreachable }
        })
    }
}

fn client(guard: Guard) -> reqwest::Result<Client> {
    Client::builder()
        .dns_resolver(Arc::new(guard))
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .http1_only()
        .pool_max_idle_per_host(0)
        .user_agent(concat!(
            "hoplog-titles/",
            env!("CARGO_PKG_VERSION"),
            " (bot; asks pages for their titles)"
        ))
        .build()
}

fn is_no_address(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if error.is::<NoAddress>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Where an answer leads; `None`: it is the page.
fn next_hop(url: &Url, response: &Response) -> Result<Option<Url>, FetchError> {
    const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(FetchError::Busy);
    }
    if !REDIRECTS.contains(&status.as_u16()) {
        return if status.is_success() { Ok(None) } else { Err(FetchError::Status) };
    }
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let next = url.join(location.ok_or(FetchError::Status)?).map_err(|_| FetchError::Refused)?;
    let is_web = matches!(next.scheme(), "http" | "https");
    let names_somebody = !next.username().is_empty() || next.password().is_some();
    if is_web && !names_somebody { Ok(Some(next)) } else { Err(FetchError::Refused) }
}

/// Reads a page until its title is there, or can't come any more.
async fn read(mut response: Response) -> Result<Title, FetchError> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let of_type = header(CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let mut parts = of_type.split(';').map(str::trim);
    if !parts.next().is_some_and(|name| TYPES.contains(&name)) {
        return Err(FetchError::Type);
    }
    if header(CONTENT_ENCODING).is_some_and(|how| !how.eq_ignore_ascii_case("identity")) {
        return Err(FetchError::Packed);
    }
    let charset = parts.find_map(|part| part.strip_prefix("charset="));
    let charset = charset.map(|label| label.trim_matches('"').to_owned());
    let mut page = Page::default();
    while let Some(chunk) = response.chunk().await.map_err(|_| FetchError::Unreachable)? {
        let room = BYTES_MAX - page.len();
        match page.add(&chunk[..chunk.len().min(room)]) {
            Look::Title(title) => {
                let title = text::decode(title, page.bytes(), charset.as_deref());
                return text::one_line(&title).ok_or(FetchError::NoTitle);
            }
            Look::None => return Err(FetchError::NoTitle),
            Look::More if chunk.len() >= room => return Err(FetchError::NoTitle),
            Look::More => {}
        }
    }
    Err(FetchError::NoTitle)
}
