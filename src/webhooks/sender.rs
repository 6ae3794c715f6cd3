//! Sends one message, and hears what the receiver says. Never follows a redirect, asks no proxy,
//! and connects to no address that it did not look at.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use hoplog_events::link::Destination;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use super::guard::{Guard, names};
use super::targets::{Targets, Way};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a receiver has for all of it.
const SEND_TIMEOUT: Duration = Duration::from_secs(15);

/// How much of an answer is read and kept.
const EXCERPT_BYTES_MAX: usize = 1_024;

/// How long the beginning of an answer's body is waited for.
const EXCERPT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an idle connection is kept.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// How many idle connections to a receiver are kept.
const IDLE_CONNECTIONS_MAX: usize = 4;

/// The most characters of a reason that are kept.
const REASON_CHARS_MAX: usize = 300;

/// What is sent.
pub(super) struct Parcel<'a> {
    pub(super) url: Destination,
    pub(super) id: &'a str,
    pub(super) timestamp: i64,
    pub(super) signatures: String,
    pub(super) body: String,
}

/// What the receiver said, if anything.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The status, if there was an answer.
    pub(super) status: Option<u16>,
    /// Why it is no success.
    pub(super) error: Option<String>,
    /// The beginning of its body.
    pub(super) excerpt: Option<String>,
    /// How long the receiver asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// How long it all took.
    pub(super) duration: Duration,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        self.error.is_none()
    }

    /// The receiver wants nothing more, ever.
    pub(super) fn is_gone(&self) -> bool {
        self.status == Some(410)
    }

    fn without(error: String, duration: Duration) -> Self {
        Self { status: None, error: Some(error), excerpt: None, retry_after: None, duration }
    }
}

/// A client for each way, as they may go to different addresses.
#[derive(Debug)]
pub(super) struct Sender {
    encrypted: Result<Client, String>,
    plain: Result<Client, String>,
    targets: Arc<Targets>,
}

impl Sender {
    pub(super) fn new(targets: &Arc<Targets>) -> Self {
        // A second call finds the first one's provider: the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = |way| client(targets, way).map_err(|error| root(&error));
        let (encrypted, plain) = (client(Way::Encrypted), client(Way::Plain));
        Self { encrypted, plain, targets: Arc::clone(targets) }
    }

    /// Sends a message; whatever happens is an answer.
    pub(super) async fn send(&self, parcel: Parcel<'_>) -> Answer {
        let begun = Instant::now();
        match self.try_send(parcel).await {
            Ok(response) => {
                let mut answer = read(response).await;
                answer.duration = begun.elapsed();
                answer
            }
            Err(reason) => Answer::without(reason, begun.elapsed()),
        }
    }

    async fn try_send(&self, parcel: Parcel<'_>) -> Result<Response, String> {
        let url = parcel.url.to_url().ok_or("the URL can't be read")?;
        // An address in the URL is connected to without being resolved.
        self.targets.check(&url).map_err(|refused| refused.to_string())?;
        let client = match Way::of(&url) {
            Way::Encrypted => &self.encrypted,
            Way::Plain => &self.plain,
        };
        let request = client.as_ref().map_err(Clone::clone)?.post(url);
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", parcel.id)
            .header("webhook-timestamp", parcel.timestamp)
            .header("webhook-signature", parcel.signatures)
            .body(parcel.body);
        request.send().await.map_err(|error| reason(&error))
    }
}

fn client(targets: &Arc<Targets>, way: Way) -> reqwest::Result<Client> {
    Client::builder()
        .https_only(way == Way::Encrypted)
        .dns_resolver(Arc::new(Guard::new(Arc::clone(targets), way, names())))
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(SEND_TIMEOUT)
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .user_agent(concat!("hoplog-webhooks/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// What went wrong, for whoever owns the webhook.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        let part = if error.is_connect() { "connection" } else { "answer" };
        return format!("no {part} in time");
    }
    root(error)
}

/// The innermost cause: the others say that there is one.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().chars().take(REASON_CHARS_MAX).collect()
}

async fn read(response: Response) -> Answer {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let error = if status.is_success() {
        None
    } else if status.is_redirection() {
        Some(format!("redirects are not followed ({status})"))
    } else {
        Some(format!("the answer is {status}"))
    };
    let excerpt = excerpt(response).await;
    let (status, duration) = (Some(status.as_u16()), Duration::ZERO);
    Answer { status, error, excerpt, retry_after, duration }
}

/// The beginning of an answer's body. How the rest of it goes changes nothing.
async fn excerpt(mut response: Response) -> Option<String> {
    let mut bytes = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            bytes.extend_from_slice(&chunk[..chunk.len().min(EXCERPT_BYTES_MAX - bytes.len())]);
            if bytes.len() == EXCERPT_BYTES_MAX {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(EXCERPT_TIMEOUT, read).await;
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// `Retry-After`: seconds, or an instant, which is held against the receiver's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(asked).ok()?;
    let now = DateTime::parse_from_rfc2822(text(reqwest::header::DATE)?).ok()?;
    (until - now).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs =
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn a_receiver_says_in_seconds_or_by_an_instant_when_it_is_back() {
        let date = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        let until = |text| headers(&[date, ("retry-after", text)]);
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(retry_after(&until("120")), seconds(120));
        assert_eq!(retry_after(&until("Wed, 21 Oct 2026 07:29:00 GMT")), seconds(60));
        assert_eq!(retry_after(&until("Wed, 21 Oct 2026 07:27:00 GMT")), None);
        for wrong in ["", "-1", "soon", "1.5"] {
            assert_eq!(retry_after(&until(wrong)), None, "{wrong}");
        }
        assert_eq!(retry_after(&headers(&[date])), None);
    }
}
