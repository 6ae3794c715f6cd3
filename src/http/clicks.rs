//! `…/clicks`: single clicks of a link, and clicks of the past.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use hoplog_events::click::VisitorHash;
use hoplog_projections::clicks::{self, ClickQuery, ClickRow};
use hoplog_projections::cursor::QueryError;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::StatsReader;
use super::export::{Asked, PAGE_ROWS, Page};
use super::fields::Parameters;
use super::headers::AtLeast;
use super::links::answer::instant;
use super::path::LinkAt;
use super::problem::Problem;
use super::range::TimeRange;
use super::stats::bots;
use crate::app::{App, AppState};
use crate::rows;

pub mod import;

/// Clicks on a page when the request does not say.
const PAGE_CLICKS: usize = 50;

/// Clicks on a page at most.
const PAGE_CLICKS_MAX: usize = 500;

/// One click. What is unknown is an empty text.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClickAnswer {
    id: String,
    code: String,
    #[serde(serialize_with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    at: DateTime<Utc>,
    #[serde(serialize_with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    recorded_at: DateTime<Utc>,
    /// human, bot, preview, prefetch or head.
    class: String,
    country: String,
    region: String,
    city: String,
    device: String,
    browser: String,
    system: String,
    referrer: String,
    referrer_url: String,
    language: String,
    utm: UtmValues,
    /// The variant of the link's split that it was led to.
    variant: String,
    /// The rule of the link that led it, by name or number; empty: none, or one that clicks do not name.
    rule: String,
    /// The same for the same visitor on the same UTC day.
    visitor: String,
    user_agent: Option<String>,
    /// Only where the operator keeps addresses.
    address: Option<String>,
}

/// Campaign parameters of a click.
#[derive(Debug, Serialize, ToSchema)]
pub struct UtmValues {
    source: String,
    medium: String,
    campaign: String,
    term: String,
    content: String,
}

/// One page of clicks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClickList {
    /// The clicks, newest first.
    pub data: Vec<ClickAnswer>,
    /// Give it as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

impl From<ClickRow> for ClickAnswer {
    fn from(row: ClickRow) -> Self {
        let [source, medium, campaign, term, content] = row.utm;
        Self {
            id: row.id,
            code: row.link.code.into(),
            at: row.at,
            recorded_at: row.recorded_at,
            class: row.class,
            country: row.country,
            region: row.region,
            city: row.city,
            device: row.device,
            browser: row.browser,
            system: row.system,
            referrer: row.referrer,
            referrer_url: row.referrer_url,
            language: row.language,
            utm: UtmValues { source, medium, campaign, term, content },
            variant: row.variant,
            rule: row.rule,
            visitor: VisitorHash(row.visitor).into(),
            user_agent: row.user_agent,
            address: row.address,
        }
    }
}

/// Single clicks of a link, newest first.
///
/// With `Accept: text/csv` or `application/x-ndjson` all of them, as a file that is written while it is read.
#[utoipa::path(
    get, path = "/api/v1/links/{code}/clicks", tag = "statistics",
    params(
        LinkAt,
        ("from" = Option<String>, Query, description = "first instant or day"),
        ("to" = Option<String>, Query, description = "the instant before which the range ends, or its last day"),
        ("tz" = Option<String>, Query, description = "IANA time zone of days; default UTC"),
        ("bots" = Option<String>, Query, description = "include (default), exclude or only"),
        ("limit" = Option<usize>, Query, description = "1 to 500 (default 50)"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
        AtLeast,
    ),
    responses(
        (status = 200, description = "a page, or a file of all", content(
            (ClickList = "application/json"),
            (String = "text/csv"),
            (String = "application/x-ndjson"),
        )),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such link of yours"),
    ),
)]
pub async fn list_clicks(
    State(app): State<AppState>,
    StatsReader(principal): StatsReader,
    LinkAt(key): LinkAt,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
    asked: Asked,
) -> Result<Response, Problem> {
    let mut query = Parameters::of_link(query.as_deref());
    let form = asked.form(&mut query);
    let TimeRange { from, to, .. } = TimeRange::take(&mut query);
    let (bots, cursor) = (bots(&mut query), query.raw("cursor"));
    let limit = query.limit(PAGE_CLICKS, PAGE_CLICKS_MAX);
    query.finish()?;
    app.find_link(&key, &principal.requester()).await?;
    app.wait_for(clicks::NAME, position).await?;
    let query = ClickQuery { link: key, from, to, bots, cursor, limit };
    let Some(form) = form else {
        return Ok(Json(page_of_clicks(&app, &query).await?).into_response());
    };
    let reader = AppState::clone(&app);
    let page = move |cursor| {
        let app = AppState::clone(&reader);
        let query = ClickQuery { cursor, limit: PAGE_ROWS, ..query.clone() };
        async move {
            let ClickList { data, next_cursor } = page_of_clicks(&app, &query).await?;
            Ok(Page::of(&data, next_cursor))
        }
    };
    asked.answer(app, principal, ("clicks", rows::click::table(form), form), page).await
}

async fn page_of_clicks(app: &App, query: &ClickQuery) -> Result<ClickList, QueryError> {
    let page = app.read_models.clicks().list(query).await?;
    let data = page.clicks.into_iter().map(Into::into).collect();
    Ok(ClickList { data, next_cursor: page.next_cursor })
}
