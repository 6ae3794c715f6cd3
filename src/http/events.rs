//! `GET /api/v1/events`: the log itself, a page at a time, in bulk, or live.

use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use hoplog_events::account::Scope;
use hoplog_events::position::Topic;

use super::auth::EventsReader;
use super::headers::LastEventId;
use super::links::place::Places;
use super::problem::Problem;
use super::server::Cut;
use crate::app::AppState;

mod batch;
mod bulk;
mod feed;
mod filter;
mod live;
mod page;
mod readers;
mod scan;
mod selection;
mod types;

pub use feed::Feeds;
pub use readers::Readers;
pub(super) use readers::Reading;

use selection::Selection;

/// The media type of one page.
const BATCH_JSON: &str = "application/cloudevents-batch+json";

/// Events of a topic after a position.
///
/// The `Accept` header chooses the form: `application/cloudevents-batch+json` one page,
/// `application/x-ndjson` everything up to now (zstd or gzip by `Accept-Encoding`),
/// `text/event-stream` everything and what is to come. A live stream is resumed with
/// `Last-Event-ID`. A full page that starts at a token never changes: it may be kept. A key with
/// `events:read` sees the events of every owner.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events",
    params(
        ("topic" = Option<String>, Query, description = "links (default), clicks or, with the scope admin, accounts"),
        ("types" = Option<String>, Query, description = "event types, comma-separated, with or without their version"),
        ("link" = Option<String>, Query, description = "only events of this link (its code, or domain/code); of clicks, batches that have one of the link"),
        ("after" = Option<String>, Query, description = "a position token, earliest (default) or latest"),
        ("limit" = Option<usize>, Query, description = "events on a page, 1 to 1000 (default 100)"),
        ("If-None-Match" = Option<String>, Header, description = "the ETag of a page that is known: 304 if it is still that"),
        LastEventId,
    ),
    responses(
        (status = 200, description = "CloudEvents", body = Vec<serde_json::Value>, content_type = "application/cloudevents-batch+json", headers(
            ("Hoplog-Position" = String, description = "of a page or a bulk answer: where to go on when all of it is read"),
            ("Hoplog-Starts-After" = String, description = "the position the answer starts behind; earliest: nothing is missing before it"),
            ("Link" = String, description = "of a page that is full: the address of the next one, rel=next"),
            ("ETag" = String, description = "of a page"),
        )),
        (status = 304, description = "the page is the one that is known"),
        (status = 406, description = "none of these forms is accepted", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "the position is of another log", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "what comes after the position is no longer kept", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn read_events(
    State(app): State<AppState>,
    EventsReader(principal): EventsReader,
    RawQuery(query): RawQuery,
    LastEventId(last): LastEventId,
    cut: Option<Extension<Cut>>,
    (headers, places): (HeaderMap, Places),
) -> Result<Response, Problem> {
    let selection = Selection::take(app.log.id(), query.as_deref(), last, &places)?;
    if selection.topic == Topic::Accounts && !principal.can(Scope::Admin) {
        let detail = "the topic accounts needs a key with the scope admin";
        return Err(Problem::new(StatusCode::FORBIDDEN, "missing_scope", detail));
    }
    let cut = cut.map(|Extension(cut)| cut).unwrap_or_default();
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    if accept.contains("text/event-stream") {
        live::live(&app, principal, selection, app.streams.readers.enter(cut)?).await
    } else if accept.contains("application/x-ndjson") {
        bulk::bulk(&app, principal, selection, (&headers, app.streams.readers.enter(cut)?)).await
    } else if accept.is_empty() || accept.contains("*/*") || accept.contains("json") {
        page::page(&app.log, &selection, (query.as_deref(), &headers), app.streams.page_cache).await
    } else {
        let detail = format!("accept {BATCH_JSON}, application/x-ndjson or text/event-stream");
        Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail))
    }
}
