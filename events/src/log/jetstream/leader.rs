//! A message as the leader of its stream has it: others give what they have heard of so far.

use async_nats::header::HeaderName;
use async_nats::{HeaderMap, HeaderValue, Message};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::api::{ApiError, NO_MESSAGE};
use super::read::{Reader, away};
use crate::log::ReadError;

/// What the leader has.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) sequence: u64,
    /// Since when.
    pub(super) time: DateTime<Utc>,
    /// As a direct read gives it.
    pub(super) message: Message,
}

#[derive(Deserialize)]
struct Answer {
    message: Encoded,
}

#[derive(Deserialize)]
struct Encoded {
    subject: String,
    seq: u64,
    time: DateTime<Utc>,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

impl Reader {
    /// The message that is asked for; `None`: there is none.
    pub(super) async fn stored(
        &self,
        name: &str,
        wanted: &Value,
    ) -> Result<Option<Stored>, ReadError> {
        match self.api.ask::<Answer>(&format!("STREAM.MSG.GET.{name}"), wanted).await {
            Ok(Answer { message }) => {
                let sequence = message.seq;
                let unreadable = || away(&format!("message {sequence} of {name} can't be read"));
                message.decoded().map(Some).ok_or_else(unreadable)
            }
            Err(ApiError::Refused { code: NO_MESSAGE, .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Encoded {
    fn decoded(self) -> Option<Stored> {
        let Self { subject, seq: sequence, time, hdrs, data } = self;
        let mut headers = headers(&STANDARD.decode(hdrs).ok()?)?;
        headers.insert("Nats-Sequence", sequence.to_string());
        headers.insert("Nats-Subject", subject.as_str());
        let payload = STANDARD.decode(data).ok()?;
        let length = payload.len();
        let message = Message {
            subject: subject.into(),
            reply: None,
            payload: payload.into(),
            headers: Some(headers),
            status: None,
            description: None,
            length,
        };
        Some(Stored { sequence, time, message })
    }
}

/// Headers as they are on the wire: a line that names the protocol, then one for each.
fn headers(raw: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in std::str::from_utf8(raw).ok()?.lines().skip(1).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let (name, value): (HeaderName, HeaderValue) =
            (name.parse().ok()?, value.trim().parse().ok()?);
        headers.insert(name, value);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_are_on_the_wire() {
        let read = headers(b"NATS/1.0\r\nHoplog-Version: 7\r\nHoplog-Type:a:b\r\n\r\n").unwrap();
        assert_eq!(read.get("Hoplog-Version").unwrap().as_str(), "7");
        assert_eq!(read.get("Hoplog-Type").unwrap().as_str(), "a:b");
        assert_eq!(headers(b"").unwrap().len(), 0);
        assert!(headers(b"NATS/1.0\r\nno header\r\n\r\n").is_none());
    }
}
