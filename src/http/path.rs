//! What stands in paths.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use hoplog_events::link::{Domain, LinkKey};

use super::problem::Problem;

/// The one segment of a path that names something. What is no text names nothing: 404.
#[derive(Debug, Clone)]
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segment = Path::<String>::from_request_parts(parts, state).await;
        let detail = "there is nothing here; see /docs";
        segment
            .map(|Path(text)| Self(text))
            .map_err(|_| Problem::new(StatusCode::NOT_FOUND, "not_found", detail))
    }
}

/// The link a path names. A text that can't be a code names none.
///
/// # Errors
/// 404.
pub fn link_key(code: &str) -> Result<LinkKey, Problem> {
    let code = code.parse().map_err(|_| Problem::link_not_found())?;
    Ok(LinkKey { domain: Domain::service(), code })
}
