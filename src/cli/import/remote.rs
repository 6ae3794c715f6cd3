//! Another program's API. Only the address that was given is asked: redirects are not followed, and nothing that an
//! answer names is.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use reqwest::header::{HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use serde_json::Value;
use url::{Host, Url};

use crate::cli::error::{CliError, input};
use crate::cli::table::one_line;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_mins(1);

/// How often a request is made at most while the other side asks for patience.
const ATTEMPTS_MAX: u32 = 8;

/// The longest pause between two attempts, whatever the other side asks for.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Characters of a reason that are told.
const REASON_CHARS_MAX: usize = 300;

/// Where the token is taken from, if no file is named.
pub(super) const TOKEN: &str = "HOPLOG_SOURCE_TOKEN";

/// How another program's API is asked.
#[derive(Debug, Args)]
pub(super) struct RemoteArgs {
    /// A file with the token of its API; without it the environment variable `HOPLOG_SOURCE_TOKEN` has it. It is
    /// never an argument: those are seen by everybody on the machine
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Only links of this domain
    #[arg(long, value_name = "HOST")]
    pub(super) domain: Option<String>,
    /// Say what would be done and print every conflict; do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// How a token is sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Token {
    /// `Authorization: Bearer …`
    Bearer,
    /// In a header of its own.
    Header(&'static str),
}

/// The other side.
#[derive(Debug)]
pub(super) struct Remote {
    http: reqwest::Client,
    base: Url,
    header: (HeaderName, HeaderValue),
}

/// An answer that is none of the good ones.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    told: String,
}

impl From<Refusal> for CliError {
    fn from(refusal: Refusal) -> Self {
        CliError::Failed(refusal.told)
    }
}

impl Remote {
    /// Prepares to ask; nothing is sent yet.
    pub(super) fn new(base: Url, args: &RemoteArgs, token: Token) -> Result<Self, CliError> {
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            let allowed = "an address such as https://links.example.com";
            return Err(CliError::Usage(format!("{base} is none of an API; allowed: {allowed}")));
        }
        if base.scheme() == "http" && !is_here(&base) {
            writeln!(
                std::io::stderr(),
                "warning: {base} is not encrypted: the token can be read on its way"
            )?;
        }
        let secret = secret(args.token_file.as_deref())?;
        let (name, value) = match token {
            Token::Bearer => ("authorization", format!("Bearer {secret}")),
            Token::Header(name) => (name, secret),
        };
        let unfit =
            || CliError::Usage("the token has characters that no header can have".to_owned());
        let mut value = HeaderValue::try_from(value).map_err(|_| unfit())?;
        value.set_sensitive(true);
        let name = HeaderName::try_from(name).map_err(|_| unfit())?;
        // A second call finds the first one's provider: the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .user_agent(concat!("hoplog/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, base, header: (name, value) })
    }

    /// Names where things come from, in every run alike.
    pub(super) fn source(&self, program: &str) -> String {
        format!("{program}:{}", self.base.origin().ascii_serialization())
    }

    /// Reads an answer.
    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Value, CliError> {
        Ok(self.ask(path, query).await??)
    }

    /// The same, for those who can do without it.
    pub(super) async fn ask(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Result<Value, Refusal>, CliError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut attempt = 1;
        loop {
            let (name, value) = self.header.clone();
            let request = self.http.get(url.clone()).query(query).header(name, value);
            let response = request.header("accept", "application/json").send().await?;
            let status = response.status();
            let is_busy =
                matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            if is_busy && attempt < ATTEMPTS_MAX {
                tokio::time::sleep(pause(&response)).await;
                attempt += 1;
                continue;
            }
            if !status.is_success() {
                return Ok(Err(self.refusal(response, &url, attempt).await));
            }
            let body = bounded(response).await?;
            let not_json = |error| {
                CliError::Failed(format!("{} does not answer with JSON: {error}", place(&url)))
            };
            return serde_json::from_slice(&body).map(Ok).map_err(not_json);
        }
    }

    /// What went wrong, and what can be done about it.
    async fn refusal(&self, response: Response, url: &Url, attempts: u32) -> Refusal {
        let status = response.status();
        let to =
            response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
        let body = bounded(response).await.unwrap_or_default();
        let mut told = format!("{} answers {status}", place(url));
        if let Some(reason) = reason(&body) {
            let _ = write!(told, ": {reason}");
        }
        let advice = match (status.as_u16(), to) {
            (300..=399, Some(to)) => {
                format!(
                    "it redirects to {to}, which is not followed; give that address if it is right"
                )
            }
            (401 | 403, _) => "check the token and what it may do".to_owned(),
            (404, _) => "check the address, and that the API is switched on there".to_owned(),
            (429 | 503, _) => {
                format!(
                    "it was asked {attempts} times; import again later, which goes on from here"
                )
            }
            (500..=599, _) => "import again later, which goes on from here".to_owned(),
            _ => return Refusal { status, told: one_line(&told) },
        };
        let _ = write!(told, "; {advice}");
        Refusal { status, told: one_line(&told) }
    }
}

/// An address without what is asked of it.
fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn secret(file: Option<&Path>) -> Result<String, CliError> {
    let secret = match file {
        Some(path) => std::fs::read_to_string(path).map_err(|error| input(path, &error))?,
        None => std::env::var(TOKEN).unwrap_or_default(),
    };
    let secret = secret.trim();
    if secret.is_empty() {
        let needed =
            format!("the API needs a token: set {TOKEN}, or name a file with --token-file");
        return Err(CliError::Usage(needed));
    }
    Ok(secret.to_owned())
}

/// How long the other side asks to wait, within bounds.
fn pause(response: &Response) -> Duration {
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = seconds.and_then(|text| text.trim().parse().ok()).unwrap_or(1);
    Duration::from_secs(seconds).min(PAUSE_MAX)
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, CliError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            let place = place(response.url());
            return Err(CliError::Failed(format!("the answer of {place} is too long")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What an answer says of what went wrong: each program has a place of its own for it.
fn reason(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let places = ["/detail", "/error/message", "/description", "/message", "/error", "/title"];
    let said = places.iter().find_map(|place| body.pointer(place)?.as_str());
    said.map(|said| said.chars().take(REASON_CHARS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_says_its_reason_somewhere() {
        for (body, expected) in [
            (r#"{"title":"Not authorized","detail":"no key"}"#, Some("no key")),
            (r#"{"error":{"code":"forbidden","message":"no plan"}}"#, Some("no plan")),
            (r#"{"message":"FORBIDDEN","description":"not yours"}"#, Some("not yours")),
            (r#"{"error":"Unauthorized"}"#, Some("Unauthorized")),
            ("<html>", None),
            ("{}", None),
        ] {
            assert_eq!(reason(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn a_machine_knows_itself() {
        for (url, here) in [
            ("http://localhost:1", true),
            ("http://127.0.0.1/x", true),
            ("http://[::1]/", true),
            ("http://e.com", false),
        ] {
            assert_eq!(is_here(&url.parse().unwrap()), here, "{url}");
        }
    }
}
