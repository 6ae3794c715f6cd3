//! The one way errors are answered: RFC 9457 `application/problem+json` with a stable `code`.
//!
//! Which error type to use where: domain, commands and queries have enums of their own; handlers
//! turn them into a [`Problem`] with `?` (the conversions are in `http/errors.rs`). What went
//! wrong inside (SQL, files) is logged, never sent.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Mistakes that are named at most: what is wrong a thousand times is understood before.
pub const ERRORS_MAX: usize = 50;

/// An answer that says what is wrong and what is allowed.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `about:blank`: the status and the code say it all; of a limit that is reached, what kind it is.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What programs may rely on; listed in `docs/api.md`.
    #[schema(example = "validation_failed")]
    code: &'static str,
    /// The status in words.
    title: &'static str,
    /// What is wrong this time, and what to do.
    detail: String,
    /// The limits that are reached.
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    violated_policies: Vec<String>,
    /// The fields that are wrong, the first 50 of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON Pointer into the body (`/url`), or `?name` for a query parameter.
    pub pointer: String,
    /// What programs may rely on.
    pub code: &'static str,
    /// What is wrong and what is allowed.
    pub detail: String,
}

impl Problem {
    /// A problem with a status, a stable code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self {
            kind: "about:blank",
            status: status.as_u16(),
            code,
            title,
            detail: detail.into(),
            violated_policies: Vec::new(),
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Fields of the body that are wrong: 422.
    #[must_use]
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let detail = "some fields are wrong; see errors";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", detail).with_errors(errors)
    }

    /// Query parameters that are wrong: 400.
    #[must_use]
    pub fn parameters(errors: Vec<FieldError>) -> Self {
        let detail = "some query parameters are wrong; see errors";
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", detail).with_errors(errors)
    }

    /// The same with each field under the name that it has in the request: rules know the fields
    /// of a link, not what a route calls them or where in a body the link stands.
    #[must_use]
    pub fn with_pointers(mut self, in_request: impl Fn(&str) -> String) -> Self {
        for error in &mut self.errors {
            error.pointer = in_request(&error.pointer);
        }
        self
    }

    /// What is wrong with a part of a body, for the list of what is wrong with the whole of it;
    /// `part` is the part's own pointer.
    #[must_use]
    pub fn into_errors(self, part: &str) -> Vec<FieldError> {
        if self.errors.is_empty() {
            let (pointer, code) = (part.to_owned(), self.code);
            return vec![FieldError { pointer, code, detail: self.detail }];
        }
        self.with_pointers(|pointer| format!("{part}{pointer}")).errors
    }

    fn with_errors(mut self, mut errors: Vec<FieldError>) -> Self {
        errors.truncate(ERRORS_MAX);
        self.errors = errors;
        self
    }

    /// Something this server depends on is away: 503, and when to try again.
    pub fn unavailable(code: &'static str, detail: impl Into<String>, retry_after_s: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from(retry_after_s))
    }

    /// Something went wrong that nobody outside can mend; the cause is in the log.
    #[must_use]
    pub fn internal() -> Self {
        let detail = "the server made a mistake; its log says more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// Of a registered type.
    #[must_use]
    pub fn with_type(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Names the limits that are reached.
    #[must_use]
    pub fn violating(mut self, policies: Vec<String>) -> Self {
        self.violated_policies = policies;
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What the answer has to say besides, such as when to try again, in whatever form it is given.
    #[must_use]
    pub fn into_headers(self) -> Vec<(HeaderName, HeaderValue)> {
        self.headers
    }

    /// The fields that are wrong.
    #[must_use]
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.extend(self.headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
