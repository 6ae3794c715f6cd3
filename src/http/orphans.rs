//! `/api/v1/orphans`: visits that led nowhere. They are no owner's, so administrators ask for them.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use hoplog_events::orphan::OrphanKind;
use hoplog_projections::cursor::QueryError;
use hoplog_projections::orphans::{self, OrphanQuery, OrphanRow, WhichOrphans};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Administrator;
use super::export::{Asked, PAGE_ROWS, Page};
use super::fields::Parameters;
use super::headers::AtLeast;
use super::links::answer::instant;
use super::problem::Problem;
use super::range::TimeRange;
use super::stats::bots;
use crate::app::{App, AppState};
use crate::rows;

pub mod stats;

/// Visits on a page when the request does not say.
const PAGE_VISITS: usize = 50;

/// Visits on a page at most.
const PAGE_VISITS_MAX: usize = 500;

/// One visit that led nowhere. What is unknown is an empty text. It says nothing of who it was.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrphanAnswer {
    id: String,
    /// unknown-code, base-url, expired, spent, deleted, disabled, not-yet or quarantined.
    kind: String,
    domain: String,
    /// What was asked for: the code of the link, or what could have been meant for one; with `/` at its end where there
    /// was more behind it. Empty: nothing, or nothing that is kept.
    path: String,
    #[serde(serialize_with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    at: DateTime<Utc>,
    /// human, bot, preview, prefetch or head.
    class: String,
    country: String,
    region: String,
    city: String,
    device: String,
    browser: String,
    system: String,
    /// The referring host; empty: direct.
    referrer: String,
    language: String,
}

/// One page of visits that led nowhere.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrphanList {
    /// The visits, newest first.
    pub data: Vec<OrphanAnswer>,
    /// Give it as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

impl From<OrphanRow> for OrphanAnswer {
    fn from(row: OrphanRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            domain: row.domain,
            path: row.path,
            at: row.at,
            class: row.class,
            country: row.country,
            region: row.region,
            city: row.city,
            device: row.device,
            browser: row.browser,
            system: row.system,
            referrer: row.referrer,
            language: row.language,
        }
    }
}

/// Visits that led nowhere, newest first: unknown codes, the base URL, links that are not served.
///
/// No more of them are recorded than a limit allows; how many there were beyond it is in the statistics. With
/// `Accept: text/csv` or `application/x-ndjson` all of them, as a file that is written while it is read.
#[utoipa::path(
    get, path = "/api/v1/orphans", tag = "statistics",
    params(
        ("kind" = Option<String>, Query, description = "unknown-code, base-url, expired, spent, deleted, disabled, not-yet, quarantined: one or several with commas; default: all"),
        ("path" = Option<String>, Query, description = "what was asked for, exactly"),
        ("from" = Option<String>, Query, description = "first instant or day"),
        ("to" = Option<String>, Query, description = "the instant before which the range ends, or its last day"),
        ("tz" = Option<String>, Query, description = "IANA time zone of days; default UTC"),
        ("bots" = Option<String>, Query, description = "include (default), exclude or only"),
        ("limit" = Option<usize>, Query, description = "1 to 500 (default 50)"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
        AtLeast,
    ),
    responses((status = 200, description = "a page, or a file of all", content(
        (OrphanList = "application/json"),
        (String = "text/csv"),
        (String = "application/x-ndjson"),
    ))),
)]
pub async fn list_orphans(
    State(app): State<AppState>,
    Administrator(principal): Administrator,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
    asked: Asked,
) -> Result<Response, Problem> {
    let mut query = Parameters::new(query.as_deref());
    let form = asked.form(&mut query);
    let which = which(&mut query);
    let TimeRange { from, to, .. } = TimeRange::take(&mut query);
    let (bots, cursor) = (bots(&mut query), query.raw("cursor"));
    let limit = query.limit(PAGE_VISITS, PAGE_VISITS_MAX);
    query.finish()?;
    app.wait_for(orphans::NAME, position).await?;
    let query = OrphanQuery { which, from, to, bots, cursor, limit };
    let Some(form) = form else {
        return Ok(Json(page_of(&app, &query).await?).into_response());
    };
    let reader = AppState::clone(&app);
    let page = move |cursor| {
        let app = AppState::clone(&reader);
        let query = OrphanQuery { cursor, limit: PAGE_ROWS, ..query.clone() };
        async move {
            let OrphanList { data, next_cursor } = page_of(&app, &query).await?;
            Ok(Page::of(&data, next_cursor))
        }
    };
    asked.answer(app, principal, ("orphans", rows::orphan::table(form), form), page).await
}

async fn page_of(app: &App, query: &OrphanQuery) -> Result<OrphanList, QueryError> {
    let page = app.read_models.orphans().list(query).await?;
    let data = page.visits.into_iter().map(Into::into).collect();
    Ok(OrphanList { data, next_cursor: page.next_cursor })
}

/// Takes the kinds and the path from a query.
fn which(query: &mut Parameters) -> WhichOrphans {
    let (mut kinds, given) = (BTreeSet::new(), query.raw("kind"));
    for name in given.iter().flat_map(|given| given.split(',')) {
        if let Some(kind) = OrphanKind::ALL.into_iter().find(|kind| kind.name() == name.trim()) {
            kinds.insert(kind);
        } else {
            let names = OrphanKind::ALL.map(OrphanKind::name).join(", ");
            query.wrong("kind", "invalid", format!("must be of {names}; several with commas"));
        }
    }
    let paths = query.raw("path").into_iter().collect();
    WhichOrphans { kinds, paths }
}
