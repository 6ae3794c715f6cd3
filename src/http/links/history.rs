//! `GET /api/v1/links/{code}/history`: the link's own events.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::link::LinkKey;
use hoplog_events::log::ReadLimit;
use hoplog_events::position::Version;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::app::{App, AppState};
use crate::http::auth::LinksReader;
use crate::http::fields::Parameters;
use crate::http::path::LinkAt;
use crate::http::problem::Problem;

/// Events on a page when the request does not say.
const PAGE_EVENTS: usize = 50;

/// Events on a page at most.
const PAGE_EVENTS_MAX: usize = 500;

/// Bytes of events on a page at most.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// One page of what happened to a link.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The link's events (CloudEvents), oldest first.
    #[schema(value_type = Vec<serde_json::Value>)]
    pub data: Vec<Box<RawValue>>,
    /// Give it as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// Who changed what, when: the link's own events. Also of a deleted link.
#[utoipa::path(
    get, path = "/api/v1/links/{code}/history", tag = "links",
    params(
        LinkAt,
        ("limit" = Option<usize>, Query, description = "1 to 500 (default 50)"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses(
        (status = 200, description = "its events, oldest first", body = History),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such link of yours"),
    ),
)]
pub async fn link_history(
    State(app): State<AppState>,
    LinksReader(principal): LinksReader,
    LinkAt(key): LinkAt,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut query = Parameters::of_link(query.as_deref());
    let after = query.cursor().map_or(Version::NONE, Version);
    let events_max = query.limit(PAGE_EVENTS, PAGE_EVENTS_MAX);
    query.finish()?;
    app.find_link(&key, &principal.requester()).await?;
    let limit = ReadLimit { events_max, bytes_max: PAGE_BYTES_MAX };
    let page = page(&app, &key, after, limit).await?;
    Ok(([(header::CACHE_CONTROL, "private, no-cache")], Json(page)).into_response())
}

/// Pages end at versions, so that nobody reads the whole of a long history for one of them.
async fn page(
    app: &App,
    key: &LinkKey,
    after: Version,
    limit: ReadLimit,
) -> Result<History, Problem> {
    let stream = key.stream();
    let events = app.log.read_page(&stream, after, limit).await?;
    let newest = app.log.last(&stream).await?.map_or(Version::NONE, |event| event.version);
    let read = events.last().map_or(after, |event| event.version);
    let raw = |event: &RecordedEvent| RawValue::from_string(event.to_cloud_event());
    let data = events.iter().map(raw).collect::<Result<_, _>>().map_err(|error| {
        tracing::error!(%error, %key, "an event of a link is no JSON");
        Problem::internal()
    })?;
    Ok(History { data, next_cursor: (read < newest).then(|| read.to_string()) })
}
