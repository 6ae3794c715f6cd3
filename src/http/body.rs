//! JSON request bodies.

use axum::RequestExt;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use super::fields::{Fields, kind};
use super::problem::Problem;
use crate::app::AppState;

mod arrival;
mod form;
mod list;

use arrival::Patience;
pub use form::{form_field, form_fields};
pub use list::{List, ListField, object_of};

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

impl FromRequest<AppState> for JsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Problem> {
        let JsonText(text) = JsonText::from_request(request, app).await?;
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

impl FromRequest<AppState> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "send Content-Type: application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "unsupported_media_type", detail));
        }
        let body = request.with_limited_body().into_body().into_data_stream();
        arrival::read(body, &app.shutdown, Patience::USUAL).await.map(Self)
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

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("application/merge-patch+json")
}
