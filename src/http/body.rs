//! JSON request bodies.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Map, Value};

use super::fields::{Fields, kind};
use super::problem::Problem;

/// The largest body of a request that is about one thing, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The largest body of a bulk request, in bytes.
pub const BULK_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

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
        match from_request(request, state).await? {
            Value::Object(object) => Ok(Self(object)),
            other => {
                let detail = format!("the body must be a JSON object, not {}", kind(&other));
                Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_json", detail))
            }
        }
    }
}

async fn from_request<S: Send + Sync>(request: Request, state: &S) -> Result<Value, Problem> {
    if !is_json(request.headers()) {
        let detail = "send Content-Type: application/json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, "unsupported_media_type", detail));
    }
    let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
        let status = rejection.into_response().status();
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = "the body is larger than this request allows";
            Problem::new(status, "too_large", detail)
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "incomplete_body", "the body did not arrive")
        }
    })?;
    // The parser stops at a depth of 128, so a deeply nested body can't exhaust the stack.
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_json",
            format!("the body is not JSON: {error}"),
        )
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("application/merge-patch+json")
}
