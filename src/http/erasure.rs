//! `…/personal-data`: what people wrote in a link, and who made clicks, is erased.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use hoplog_events::click::VisitorHash;
use hoplog_projections::clicks::Visitor;
use serde::Serialize;
use utoipa::openapi::{self, RefOr};
use utoipa::{IntoResponses, ToSchema};

use super::auth::Administrator;
use super::contract::problems;
use super::fields::NoParameters;
use super::headers::{HOPLOG_POSITION, RequestId, ascii};
use super::links::answer::optional_instant;
use super::links::change::Change;
use super::path::{LinkAt, Segment};
use super::problem::{FieldError, Problem};
use crate::app::AppState;
use crate::app::erasure::{Erasure, ErasureError};

/// What was erased. Asked again: nothing more.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErasureAnswer {
    /// Events of the log that were rewritten.
    events: usize,
    /// Clicks that are anonymous now.
    clicks: usize,
    /// Not before this are files of read models written anew that still have copies of it, which nothing
    /// reads; null: there are none.
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_scrub_at: Option<DateTime<Utc>>,
}

/// Why nothing can be erased.
const REFUSED: [(&str, &str); 2] = [
    (
        "409",
        "events are parked that may have what is to be erased (`events_parked`), or the read models are of another log, or of this one before it was put back (`rebuild_needed`)",
    ),
    ("501", "the log can't be rewritten (`log_cannot_rewrite`)"),
];

/// An erasure, as far as it is refused.
struct Refused;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        problems(&REFUSED)
    }
}

/// The erasure of a link.
struct OfLink;

impl IntoResponses for OfLink {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let mut responses = Refused::responses();
        responses.extend(problems(&[
            ("404", "no such link of yours"),
            ("412", "the link has changed"),
            ("422", "the idempotency key was used for another request"),
        ]));
        responses
    }
}

fn respond(erasure: Erasure) -> Response {
    let Erasure { events, clicks, position, scrubbed_at: next_scrub_at } = erasure;
    let position = ascii(&position.to_string());
    let answer = Json(ErasureAnswer { events, clicks, next_scrub_at });
    (StatusCode::OK, [(HOPLOG_POSITION, position)], answer).into_response()
}

/// Deletes a link and erases its destination, title, note, tags and external id: from the log, the
/// read models and everything that this node keeps of it. Its code stays taken, its clicks stay
/// counted. This can't be undone. Whatever fails in the middle is finished by asking again.
#[utoipa::path(
    delete, path = "/api/v1/links/{code}/personal-data", tag = "links",
    params(LinkAt, Change),
    responses(
        (status = 200, description = "what was erased", body = ErasureAnswer),
        OfLink,
    ),
)]
pub async fn erase_link(
    State(app): State<AppState>,
    change: Change,
    LinkAt(key): LinkAt,
) -> Result<Response, Problem> {
    let request = format!("{key} erase");
    let (issuer, idempotency, expected) = change.into_parts(&app, request);
    let erases = AppState::clone(&app);
    let erasing =
        async move { erases.erase_link(&issuer, idempotency.as_ref(), &key, expected).await };
    to_the_end(&app, Box::pin(erasing)).await
}

/// What is begun is brought to its end, also when nobody waits for the answer any more.
async fn to_the_end(
    app: &AppState,
    erasing: impl Future<Output = Result<Erasure, ErasureError>> + Send + 'static,
) -> Result<Response, Problem> {
    let erasure = app.erase_to_the_end(erasing).await.ok_or_else(Problem::internal)?;
    Ok(respond(erasure?))
}

/// Makes all clicks of a visitor anonymous: visitor hash, address and raw user agent are erased. What
/// is counted stays, the referrer with it. A visitor that nobody knows is answered with zeros.
/// This can't be undone. Ask again whenever the answer is not 200: only the part that is under way is
/// finished without being asked for.
#[utoipa::path(
    delete, path = "/api/v1/visitors/{visitor}/personal-data", tag = "statistics",
    params(("visitor" = String, Path, description = "the 16 hexadecimal digits that clicks show as `visitor`, or an IP address, where addresses are kept")),
    responses(
        (status = 200, description = "what was erased", body = ErasureAnswer),
        Refused,
    ),
)]
pub async fn erase_visitor(
    State(app): State<AppState>,
    Administrator(principal): Administrator,
    request_id: RequestId,
    _: NoParameters,
    Segment(visitor): Segment,
) -> Result<Response, Problem> {
    let visitor = parse(visitor)?;
    let issuer = app.issuer(&principal, request_id);
    let erases = AppState::clone(&app);
    let erasing = async move { erases.erase_visitor(&issuer, &visitor).await };
    to_the_end(&app, Box::pin(erasing)).await
}

/// A visitor as a path names one.
fn parse(text: String) -> Result<Visitor, Problem> {
    if let Ok(address) = text.parse() {
        return Ok(Visitor::Address(address));
    }
    VisitorHash::try_from(text).map(Visitor::Hash).map_err(|_| {
        let detail =
            "must be 16 hexadecimal digits in lower case, as clicks show them, or an IP address";
        let (pointer, detail) = ("visitor".to_owned(), detail.to_owned());
        Problem::parameters(vec![FieldError { pointer, code: "invalid", detail }])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_is_a_hash_or_an_address() {
        assert_eq!(parse("00000000000000a1".into()).unwrap(), Visitor::Hash(VisitorHash(0xa1)));
        for address in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            let expected = Visitor::Address(address.parse().unwrap());
            assert_eq!(parse(address.into()).unwrap(), expected);
        }
        for text in ["", "a1", "00000000000000A1", "00000000000000a1x", "192.0.2", "ann"] {
            assert_eq!(parse(text.into()).unwrap_err().status(), StatusCode::BAD_REQUEST, "{text}");
        }
    }
}
