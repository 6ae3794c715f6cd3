//! JSON request bodies.

use std::error::Error;

use axum::RequestExt;
use axum::body::BodyDataStream;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use futures::StreamExt;
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};

use super::fields::{Fields, kind};
use super::problem::Problem;

mod list;

pub use list::{List, ListField, object_of};

/// The largest body of a request that is about one thing, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The largest body of a bulk request, in bytes.
pub const BULK_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How many pieces of a body that is too large are read and thrown away. A client that is still
/// sending when the connection is closed would never see the answer.
const DISCARDED_PIECES_MAX: usize = 256;

/// A body that is a JSON object.
#[derive(Debug)]
pub struct JsonObject(pub Map<String, Value>);

impl JsonObject {
    /// The object's fields, to be taken one by one.
    #[must_use]
    pub fn into_fields(self) -> Fields {
        Fields::new(String::new(), self.0)
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let JsonText(text) = JsonText::from_request(request, state).await?;
        // The parser stops at a depth of 128, so a deeply nested body can't exhaust the stack.
        match serde_json::from_slice(&text).map_err(|error| invalid_json(&error))? {
            Value::Object(object) => Ok(Self(object)),
            other => {
                let detail = format!("the body must be a JSON object, not {}", kind(&other));
                Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_json", detail))
            }
        }
    }
}

/// A body that says it is JSON, not parsed yet.
#[derive(Debug)]
pub struct JsonText(pub Vec<u8>);

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "send Content-Type: application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "unsupported_media_type", detail));
        }
        read(request.with_limited_body().into_body().into_data_stream()).await.map(Self)
    }
}

fn invalid_json(error: &serde_json::Error) -> Problem {
    let detail = format!("the body is not JSON as it is wanted: {error}");
    Problem::new(StatusCode::BAD_REQUEST, "invalid_json", detail)
}

fn too_large() -> Problem {
    let detail = "the body, or a part of it, is larger than this request allows";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

/// The whole body, within the limit of its route.
async fn read(mut body: BodyDataStream) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) if is_too_large(&error) => {
                let rest = body.take(DISCARDED_PIECES_MAX);
                rest.for_each(|_| std::future::ready(())).await;
                return Err(too_large());
            }
            Err(_) => {
                let detail = "the body did not arrive";
                return Err(Problem::new(StatusCode::BAD_REQUEST, "incomplete_body", detail));
            }
        }
    }
    Ok(bytes)
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("application/merge-patch+json")
}
