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
        segment.map(|Path(text)| Self(text)).map_err(|_| nothing_here())
    }
}

/// The two segments of a path that name something, the second a part of the first.
#[derive(Debug, Clone)]
pub struct TwoSegments(pub String, pub String);

impl<S: Send + Sync> FromRequestParts<S> for TwoSegments {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segments = Path::<(String, String)>::from_request_parts(parts, state).await;
        segments.map(|Path((one, two))| Self(one, two)).map_err(|_| nothing_here())
    }
}

fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here; see /docs")
}

/// The link a path names. A text that can't be a code names none.
///
/// # Errors
/// 404.
pub fn link_key(code: &str) -> Result<LinkKey, Problem> {
    let code = code.parse().map_err(|_| Problem::link_not_found())?;
    Ok(LinkKey { domain: Domain::service(), code })
}
