//! Requests to the servers, as their protocol has them: what this log needs is a handful of
//! messages, some of which no client library has functions for.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, Request};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::connect::Patience;

/// Why a request was not answered as wished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    /// No answer: whether it was done is unknown.
    #[error("{0}")]
    Away(String),
    /// The servers take no message of this size; it was not sent, or not kept.
    #[error("the message is larger than the servers take")]
    TooLarge,
    /// The server's answer is no.
    #[error("{description} ({code})")]
    Refused {
        /// The server's own number for it.
        code: u32,
        /// What it says.
        description: String,
    },
}

/// `wrong last sequence`: the version check failed.
pub(super) const WRONG_LAST_SEQUENCE: u32 = 10_071;
/// The same without a number: another write of the subject is on its way.
pub(super) const WRONG_LAST_SEQUENCE_BUSY: u32 = 10_164;
/// The same message id is on its way.
pub(super) const DUPLICATE_BUSY: u32 = 10_158;
/// A batch holds a message id that is known.
pub(super) const BATCH_DUPLICATE: u32 = 10_201;
/// As many batches as the servers take at once are under way, by other nodes as well.
pub(super) const BATCHES_BUSY: u32 = 10_210;
/// Servers of 2.12 say that this way: the batch was not begun, or given up.
pub(super) const BATCH_INCOMPLETE: u32 = 10_176;
/// The stream takes no message of this size.
pub(super) const MESSAGE_TOO_LARGE: u32 = 10_054;
/// There is no such stream.
pub(super) const STREAM_NOT_FOUND: u32 = 10_059;
/// There is such a stream, made otherwise.
pub(super) const STREAM_EXISTS: u32 = 10_058;
/// There is no such message.
pub(super) const NO_MESSAGE: u32 = 10_037;

/// Speaks to the servers.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) timeout: Duration,
    pub(super) patience: Patience,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl Api {
    /// A request to the management API: `$JS.API.<name>`.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        name: &str,
        body: &Value,
    ) -> Result<T, ApiError> {
        let payload = if body.is_null() { String::new() } else { body.to_string() };
        self.send(format!("$JS.API.{name}"), HeaderMap::new(), payload.into()).await
    }

    /// A message with an answer in JSON.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<T, ApiError> {
        parse(&self.request(subject, headers, payload).await?)
    }

    /// A message with an answer.
    pub(super) async fn request(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Message, ApiError> {
        self.connected().await?;
        let request = Request::new().payload(payload).timeout(None);
        let request = if headers.is_empty() { request } else { request.headers(headers) };
        let answer = self.in_time(self.client.send_request(subject, request)).await?;
        answer.map_err(|error| match error.kind() {
            RequestErrorKind::MaxPayloadExceeded => ApiError::TooLarge,
            _ => ApiError::Away(error.to_string()),
        })
    }

    /// Waits for what a server says, as long as a request may take.
    pub(super) async fn in_time<T>(&self, answer: impl Future<Output = T>) -> Result<T, ApiError> {
        let Ok(answer) = timeout(self.timeout, answer).await else {
            self.patience.unanswered(&self.client).await;
            return Err(ApiError::Away("no answer in time".to_owned()));
        };
        self.patience.answered();
        Ok(answer)
    }

    /// How often a connection was made.
    pub(super) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// Without a connection, requests would be kept until there is one, and answered too late.
    pub(super) async fn connected(&self) -> Result<(), ApiError> {
        if self.client.connection_state() == State::Connected {
            return Ok(());
        }
        // Who asks again at once must not keep the connection's own task from being run.
        yield_now().await;
        Err(ApiError::Away("not connected".to_owned()))
    }
}

fn parse<T: DeserializeOwned>(answer: &Message) -> Result<T, ApiError> {
    let unreadable = |error: serde_json::Error| ApiError::Away(format!("odd answer: {error}"));
    if let Some(Refusal { err_code: code, description }) =
        serde_json::from_slice::<Answer>(&answer.payload).map_err(unreadable)?.error
    {
        return Err(ApiError::Refused { code, description });
    }
    serde_json::from_slice(&answer.payload).map_err(unreadable)
}
