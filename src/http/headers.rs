//! Request headers with a meaning of their own: position, idempotency key, expected version,
//! request id.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hoplog_events::position::{Position, Version};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use uuid::Uuid;

use super::contract::header;
use super::problem::Problem;

mod if_match;

pub use if_match::IfMatch;

/// Carries a position: in answers to commands, and in queries that wait for it.
pub const HOPLOG_POSITION: HeaderName = HeaderName::from_static("hoplog-position");

/// Says where events start: behind this position, or with the earliest that there ever was.
pub const HOPLOG_STARTS_AFTER: HeaderName = HeaderName::from_static("hoplog-starts-after");

/// Carries the key under which a POST is done once.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Carries the position of the last event that a reader of a live stream has seen.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Carries the identity of a request through logs and events.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest idempotency key, in characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;

/// The longest request id that is taken over, in characters.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// `Hoplog-Position`: answer with what is known at this position or later.
#[derive(Debug, Clone, Copy)]
pub struct AtLeast(pub Option<Position>);

/// `Idempotency-Key`: do it once.
#[derive(Debug, Clone)]
pub struct Idempotency(pub Option<String>);

/// `Last-Event-ID`: go on behind this event.
#[derive(Debug, Clone)]
pub struct LastEventId(pub Option<String>);

/// `X-Request-Id`, or a new one.
#[derive(Debug, Clone)]
pub struct RequestId(pub Box<str>);

/// A header's value as text; `None`: not there. Not text, or there twice: 400.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(text) if values.next().is_none() => Ok(Some(text)),
        _ => Err(invalid(format!("{name} must be given once, in visible ASCII characters"))),
    }
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_header", detail)
}

impl IntoParams for AtLeast {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![header("Hoplog-Position", "wait until this position is known")]
    }
}

impl<S: Sync> FromRequestParts<S> for AtLeast {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(token) = text(&parts.headers, &HOPLOG_POSITION)? else { return Ok(Self(None)) };
        let position = token.parse().map_err(|_| {
            let detail = "Hoplog-Position must be a token from an earlier answer";
            Problem::new(StatusCode::BAD_REQUEST, "invalid_position", detail)
        })?;
        Ok(Self(Some(position)))
    }
}

impl IntoParams for Idempotency {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![header("Idempotency-Key", "done once per key; a retry gets the first answer")]
    }
}

impl<S: Sync> FromRequestParts<S> for Idempotency {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(key) = text(&parts.headers, &IDEMPOTENCY_KEY)? else { return Ok(Self(None)) };
        if key.is_empty() || key.len() > IDEMPOTENCY_KEY_CHARS_MAX {
            return Err(invalid("Idempotency-Key must have 1 to 255 characters"));
        }
        Ok(Self(Some(key.to_owned())))
    }
}

impl IntoParams for LastEventId {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![header("Last-Event-ID", "the last event that was seen, before `after`")]
    }
}

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(text(&parts.headers, &LAST_EVENT_ID)?.map(str::to_owned)))
    }
}

impl RequestId {
    /// The request's own id if it is short and plain, otherwise a new one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(&X_REQUEST_ID).and_then(|value| value.to_str().ok());
        let given = given.filter(|id| {
            !id.is_empty()
                && id.len() <= REQUEST_ID_CHARS_MAX
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b))
        });
        Self(given.map_or_else(|| Uuid::now_v7().to_string().into(), Into::into))
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let known = parts.extensions.get::<RequestId>().cloned();
        Ok(known.unwrap_or_else(|| RequestId::of(&parts.headers)))
    }
}

/// The `ETag` of a link at a version.
#[must_use]
pub fn etag(version: Version) -> HeaderValue {
    ascii(&format!("\"{version}\""))
}

/// A header value of a text that is known to be plain ASCII.
#[must_use]
pub fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn parts(name: &HeaderName, values: &[&[u8]]) -> Parts {
        let mut parts = Request::new(()).into_parts().0;
        for value in values {
            parts.headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        parts
    }

    #[tokio::test]
    async fn a_header_that_is_wrong_is_refused_by_name() {
        let long = "k".repeat(256);
        for values in [&[&b""[..]][..], &[long.as_bytes()], &[b"\xff"], &[b"a", b"b"]] {
            let mut parts = parts(&IDEMPOTENCY_KEY, values);
            let problem = Idempotency::from_request_parts(&mut parts, &()).await.unwrap_err();
            assert_eq!(problem.code(), "invalid_header", "{values:?}");
        }
        let mut parts = parts(&HOPLOG_POSITION, &[b"17"]);
        let problem = AtLeast::from_request_parts(&mut parts, &()).await.unwrap_err();
        assert_eq!(problem.code(), "invalid_position");
    }

    #[test]
    fn a_strange_request_id_is_replaced() {
        let id = |value: &str| RequestId::of(&parts(&X_REQUEST_ID, &[value.as_bytes()]).headers).0;
        assert_eq!(&*id("abc-1"), "abc-1");
        assert_ne!(&*id("a b"), "a b");
        assert_ne!(id(&"a".repeat(129)).len(), 129);
    }
}
