//! The client's side of the HTTP API.

use std::time::Duration;

use clap::Args;
use reqwest::header::{ACCEPT, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::error::{CliError, Problem};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one request may take; a bulk request of 10,000 links is the slowest.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);

/// How often a request is made at most while the server asks for patience (429, 503).
const ATTEMPTS_MAX: u32 = 5;

/// Items on one page of a list, as many as the server gives.
pub(super) const PAGE_ITEMS_MAX: usize = 500;

/// The longest pause between two attempts, whatever the server asks for.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Which server, and who asks.
#[derive(Debug, Clone, Args)]
pub(super) struct ServerArgs {
    /// Address of the server
    #[arg(long, env = "HOPLOG_URL", default_value = "http://127.0.0.1:8080")]
    #[arg(value_name = "URL", global = true)]
    pub(super) server: Url,
    /// API key
    #[arg(long, env = "HOPLOG_API_KEY", hide_env_values = true, value_name = "KEY", global = true)]
    pub(super) api_key: Option<String>,
}

/// A connection to a server.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    server: Url,
    api_key: Option<String>,
}

impl Client {
    /// Prepares a connection; nothing is sent yet.
    pub(super) fn new(args: ServerArgs) -> Result<Self, CliError> {
        if args.server.cannot_be_a_base() {
            return Err(CliError::Usage(format!("{} is not the address of a server", args.server)));
        }
        // A second call finds the first one's provider: the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("hoplog/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, server: args.server, api_key: args.api_key })
    }

    /// Starts a request. Each segment of the path is encoded, so that a code is never more than
    /// one segment; nor is it less: nothing, `.` and `..` would name something else.
    pub(super) fn request(
        &self,
        method: Method,
        path: &[&str],
    ) -> Result<RequestBuilder, CliError> {
        if let Some(name) = path.iter().find(|name| matches!(**name, "" | "." | "..")) {
            return Err(CliError::Usage(format!("{name:?} can't be the name of anything")));
        }
        let mut url = self.server.clone();
        let (path, domain) = apart(path)?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if let Some(domain) = domain {
            url.query_pairs_mut().append_pair("domain", domain);
        }
        let request = self.http.request(method, url);
        Ok(match &self.api_key {
            Some(key) => request.bearer_auth(key),
            None => request,
        })
    }

    /// Asks a question.
    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Value, CliError> {
        json(self.request(Method::GET, path)?.query(query)).await
    }

    /// Reads a list page by page, until there are enough items or no more.
    pub(super) async fn list(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        items_max: usize,
    ) -> Result<Vec<Value>, CliError> {
        let (mut items, mut cursor) = (Vec::new(), None);
        while items.len() < items_max {
            let limit = PAGE_ITEMS_MAX.min(items_max - items.len());
            let (page, next) = self.page(path, query, (limit, cursor.as_deref())).await?;
            items.extend(page);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(items)
    }

    /// Reads one page of a list, of at most so many items, behind a cursor; gives the next cursor.
    pub(super) async fn page(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        (limit, cursor): (usize, Option<&str>),
    ) -> Result<(Vec<Value>, Option<String>), CliError> {
        let limit = limit.to_string();
        let mut query = query.to_vec();
        query.push(("limit", &limit));
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let mut page = self.get(path, &query).await?;
        let Value::Array(items) = page["data"].take() else {
            return Err(CliError::Answer("the list has no data".to_owned()));
        };
        Ok((items, page["nextCursor"].as_str().map(str::to_owned)))
    }

    /// Gives a command, under an idempotency key of its own: a retry does nothing twice.
    pub(super) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, CliError> {
        self.post_once(path, body, &Uuid::new_v4().to_string()).await
    }

    /// Gives a command under a key: however often it is given, it is done once.
    pub(super) async fn post_once(
        &self,
        path: &[&str],
        body: &Value,
        key: &str,
    ) -> Result<Value, CliError> {
        let request = self.request(Method::POST, path)?.header("idempotency-key", key);
        json(request.json(body)).await
    }

    /// Opens an answer that is read while it arrives.
    pub(super) async fn stream(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        accept: &str,
        last_event_id: Option<&str>,
    ) -> Result<Response, CliError> {
        let mut request = self.request(Method::GET, path)?.query(query).header(ACCEPT, accept);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        checked(request.send().await?).await
    }
}

/// Sends a request and reads the JSON of its answer; `null` for an empty one.
pub(super) async fn json(request: RequestBuilder) -> Result<Value, CliError> {
    json_within(request, REQUEST_TIMEOUT).await
}

/// The same with a deadline of its own.
pub(super) async fn json_within(
    request: RequestBuilder,
    timeout: Duration,
) -> Result<Value, CliError> {
    let response = send(request.timeout(timeout)).await?;
    let body = checked(response).await?.bytes().await?;
    if body.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&body)?) }
}

/// Sends a request, and again while the server asks to come back later.
async fn send(request: RequestBuilder) -> Result<Response, CliError> {
    let mut attempt = 1;
    loop {
        let again = request.try_clone().filter(|_| attempt < ATTEMPTS_MAX);
        let Some(again) = again else { return Ok(request.send().await?) };
        let response = again.send().await?;
        match response.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                tokio::time::sleep(pause(&response)).await;
            }
            _ => return Ok(response),
        }
        attempt += 1;
    }
}

/// How long the server asks to wait.
fn pause(response: &Response) -> Duration {
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(1);
    Duration::from_secs(seconds).min(PAUSE_MAX)
}

/// The answer if it is a success, the problem it tells otherwise.
async fn checked(response: Response) -> Result<Response, CliError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let url = response.url().origin().ascii_serialization();
    let body = response.bytes().await?;
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    let is_gateway = matches!(status.as_u16(), 502..=504);
    if problem.title.is_empty() && is_gateway {
        // So speaks a proxy that finds no server behind it.
        return Err(CliError::Unreachable { url, reason: status.to_string() });
    }
    if problem.title.is_empty() {
        return Err(CliError::Answer(status.to_string()));
    }
    Err(problem.into())
}

/// A link is named by its code, or by its domain and its code, as in `go.example.com/launch`: no code has a slash.
fn apart<'a>(path: &[&'a str]) -> Result<(Vec<&'a str>, Option<&'a str>), CliError> {
    let mut path = path.to_vec();
    if let ["links", link, ..] = *path
        && let Some((domain, code)) = link.split_once('/')
        && !domain.is_empty()
        && !code.contains('/')
    {
        if matches!(code, "" | "." | "..") {
            return Err(CliError::Usage(format!("{link:?} can't be the name of a link")));
        }
        path[1] = code;
        return Ok((path, Some(domain)));
    }
    Ok((path, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(server: &str) -> Client {
        Client::new(ServerArgs { server: server.parse().unwrap(), api_key: None }).unwrap()
    }

    #[test]
    fn a_code_is_one_segment_whatever_is_in_it() {
        let url = |server, code| {
            let request = client(server).request(Method::GET, &["links", code]);
            request.unwrap().build().unwrap().url().to_string()
        };
        assert_eq!(url("http://a:1", "x/../y?z"), "http://a:1/api/v1/links/x%2F..%2Fy%3Fz");
        let on_domain = "http://a:1/api/v1/links/x?domain=go.example.com";
        assert_eq!(url("http://a:1", "go.example.com/x"), on_domain);
        assert_eq!(url("http://a:1/sub/", "x"), "http://a:1/sub/api/v1/links/x");
    }

    #[test]
    fn what_would_name_something_else_is_misuse() {
        for name in ["", ".", ".."] {
            let request = client("http://a:1").request(Method::GET, &["links", name, "stats"]);
            assert_eq!(request.unwrap_err().exit_code(), 2, "{name:?}");
        }
    }

    #[test]
    fn an_address_without_a_host_is_misuse() {
        let args = ServerArgs { server: "mailto:a@b".parse().unwrap(), api_key: None };
        assert_eq!(Client::new(args).unwrap_err().exit_code(), 2);
    }
}
