//! Asks a page what it calls itself. Follows a few redirects, each looked at like the first address; asks no proxy, sends no
//! cookie, and reads no more than it needs.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hoplog_events::link::{Destination, Title};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::look_ups::Places;
use super::page::{Look, Page};
use super::slow::SlowHosts;
use super::text;
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

/// Where pages are for everybody. Behind other ports of public addresses, and of this machine's own, may be what is for few.
const WEB_PORTS: [u16; 2] = [80, 443];

/// What is fetched is for everybody, so it may come by http as well; where that leads is looked at as for what is encrypted: to
/// public addresses and to networks that the operator names, and by other ports to those networks only.
fn way_of(url: &Url) -> Way {
    let is_web = url.port_or_known_default().is_some_and(|port| WEB_PORTS.contains(&port));
    if is_web { Way::Encrypted } else { Way::Plain }
}

/// Whether a URL may be asked, whatever its address is: at every hop.
pub type MayAsk = Box<dyn Fn(&Url) -> bool + Send + Sync>;

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
    /// It was not asked: it may be asked in a minute.
    #[error("the host took too long a moment ago")]
    Slow,
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
            Self::Slow => "slow_host",
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
        matches!(
            self,
            Self::NoAddress | Self::Unreachable | Self::TimedOut | Self::Slow | Self::Busy
        )
    }
}

/// Fetches titles.
pub struct Fetcher {
    /// Of pages of everybody.
    web: Option<Client>,
    /// Of what the operator names.
    inside: Option<Client>,
    targets: Arc<Targets>,
    may_ask: MayAsk,
    places: Arc<Places>,
    slow: SlowHosts,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("targets", &self.targets).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// One that asks every public address, and what these targets name, but only what it may.
    #[must_use]
    pub fn new(targets: Targets, may_ask: MayAsk) -> Self {
        let places = Arc::<Places>::default();
        Self::asking((targets, may_ask), (places.names(), places))
    }

    /// The same by names of somebody else's.
    pub(super) fn asking(
        (targets, may_ask): (Targets, MayAsk),
        (names, places): (Names, Arc<Places>),
    ) -> Self {
        // A second call finds the first one's provider: the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let targets = Arc::new(targets);
        let client = |way| {
            let client = client(Guard::new(Arc::clone(&targets), way, Arc::clone(&names)));
            client.inspect_err(|error| tracing::error!(%error, "titles can't be fetched")).ok()
        };
        let (web, inside) = (client(Way::Encrypted), client(Way::Plain));
        Self { web, inside, targets, may_ask, places, slow: SlowHosts::default() }
    }

    /// What the page at a destination calls itself.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn title_of(&self, url: &Destination) -> Result<Title, FetchError> {
        let mut url = url.to_url().ok_or(FetchError::Refused)?;
        let mut left = TIMEOUT;
        for _ in 0..=HOPS_MAX {
            match self.hop(&url, &mut left).await? {
                Hop::To(next) => url = next,
                Hop::Title(title) => return Ok(title),
            }
        }
        Err(FetchError::TooManyHops)
    }

    /// One hop, in what is left of the time. A place for the look-up is waited for beside it: it is nothing that this page does.
    async fn hop(&self, url: &Url, left: &mut Duration) -> Result<Hop, FetchError> {
        let host = url.host_str().ok_or(FetchError::Refused)?;
        // An address in the URL is connected to without being resolved.
        self.targets.check_by(url, way_of(url)).map_err(|_| FetchError::Refused)?;
        if !(self.may_ask)(url) {
            return Err(FetchError::Refused);
        }
        let _place = self.places.of(url).await;
        if self.slow.has(host, Instant::now()) {
            return Err(FetchError::Slow);
        }
        let begun = Instant::now();
        let asked = tokio::time::timeout(*left, async {
            let response = self.ask(url).await?;
            match next_hop(url, &response)? {
                Some(next) => Ok(Hop::To(next)),
                None => read(response).await.map(Hop::Title),
            }
        });
        let answer = asked.await;
        *left = left.saturating_sub(begun.elapsed());
        answer.unwrap_or_else(|_| {
            self.slow.add(host, Instant::now());
            Err(FetchError::TimedOut)
        })
    }

    async fn ask(&self, url: &Url) -> Result<Response, FetchError> {
        let client = if way_of(url) == Way::Plain { &self.inside } else { &self.web };
        let client = client.as_ref().ok_or(FetchError::NoClient)?;
        let request = client.get(url.clone()).header(ACCEPT, TYPES.join(", "));
        let answer = request.header(ACCEPT_ENCODING, "identity").send().await;
        answer.map_err(|error| {
            if is_no_address(&error) { FetchError::NoAddress } else { FetchError::Unreachable }
        })
    }
}

/// What a hop comes to.
enum Hop {
    To(Url),
    Title(Title),
}

fn client(guard: Guard) -> reqwest::Result<Client> {
    Client::builder()
        .dns_resolver(Arc::new(guard))
        .redirect(Policy::none())
        .no_proxy()
        // Whatever other parts of the program have reqwest learn: a bomb is not unpacked.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
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
