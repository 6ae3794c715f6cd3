//! `…/clicks`: single clicks of a link, and clicks of the past.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use hoplog_events::click::VisitorHash;
use hoplog_events::link::{Domain, LinkKey, ShortCode};
use hoplog_projections::clicks::{self, ClickQuery, ClickRow};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::auth::{Administrator, StatsReader};
use super::body::{JsonText, List, ListField, object_of};
use super::fields::{Fields, Parameters, Text};
use super::headers::{AtLeast, HOPLOG_POSITION, ascii};
use super::links::answer::instant;
use super::links::request::Rfc3339;
use super::path::{Segment, link_key};
use super::problem::{ERRORS_MAX, FieldError, Problem};
use super::range::TimeRange;
use super::stats::bots;
use crate::app::{App, AppState};
use crate::clicks::enrichment::HistoricalClick;
use crate::clicks::import::{IMPORT_CLICKS_MAX, click_time};
use crate::queries::resolve_link::{LinkPath, ResolveError};

/// Clicks on a page when the request does not say.
const PAGE_CLICKS: usize = 50;

/// Clicks on a page at most.
const PAGE_CLICKS_MAX: usize = 500;

/// The list in the body of an import.
const CLICKS: ListField = ListField { name: "clicks", items_max: IMPORT_CLICKS_MAX };

/// The longest source name, in characters.
const SOURCE_CHARS_MAX: usize = 255;

/// The longest name of a line in its source, in characters.
const IMPORT_ID_CHARS_MAX: usize = 64;

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
            visitor: VisitorHash(row.visitor).into(),
            user_agent: row.user_agent,
            address: row.address,
        }
    }
}

/// Single clicks of a link, newest first.
#[utoipa::path(
    get, path = "/api/v1/links/{code}/clicks", tag = "statistics",
    params(
        ("code" = String, Path, description = "the link's code"),
        ("from" = Option<String>, Query, description = "first instant or day"),
        ("to" = Option<String>, Query, description = "the instant before which the range ends, or its last day"),
        ("tz" = Option<String>, Query, description = "IANA time zone of days; default UTC"),
        ("bots" = Option<String>, Query, description = "include (default), exclude or only"),
        ("limit" = Option<usize>, Query, description = "1 to 500 (default 50)"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
        AtLeast,
    ),
    responses(
        (status = 200, description = "a page", body = ClickList),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such link of yours"),
    ),
)]
pub async fn list_clicks(
    State(app): State<AppState>,
    StatsReader(principal): StatsReader,
    Segment(code): Segment,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
) -> Result<Json<ClickList>, Problem> {
    let key = link_key(&code)?;
    let mut query = Parameters::new(query.as_deref());
    let TimeRange { from, to, .. } = TimeRange::take(&mut query);
    let (bots, cursor) = (bots(&mut query), query.raw("cursor"));
    let limit = query.limit(PAGE_CLICKS, PAGE_CLICKS_MAX);
    query.finish()?;
    app.find_link(&key, &principal.requester()).await?;
    app.wait_for(clicks::NAME, position).await?;
    let query = ClickQuery { link: key, from, to, bots, cursor, limit };
    let page = app.read_models.clicks().list(&query).await?;
    let data = page.clicks.into_iter().map(Into::into).collect();
    Ok(Json(ClickList { data, next_cursor: page.next_cursor }))
}

/// Clicks of the past, for the contract.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the JSON; the values are read field by field")]
pub struct ImportBody {
    /// Where they come from; the same line of the same source is recorded once.
    source: String,
    /// Up to 1,000 clicks.
    clicks: Vec<ImportClickBody>,
}

/// One click of the past.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the JSON; the values are read field by field")]
pub struct ImportClickBody {
    /// The link's code.
    code: String,
    /// When it happened.
    at: String,
    /// Names the line in its source.
    import_id: String,
    /// The visitor's address; dropped after country and visitor hash are computed.
    address: Option<String>,
    /// The HTTP method; default GET.
    method: Option<String>,
    /// The user agent.
    user_agent: Option<String>,
    /// The referrer.
    referrer: Option<String>,
}

/// What an import did.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportAnswer {
    /// Clicks that were recorded.
    pub added: usize,
    /// Clicks that had been recorded before.
    pub known: usize,
}

/// Records clicks of the past, each once however often it is sent.
#[utoipa::path(
    post, path = "/api/v1/clicks/import", tag = "statistics",
    request_body = ImportBody,
    responses(
        (status = 200, description = "what was added", body = ImportAnswer),
        (status = 422, description = "some fields are wrong; nothing was recorded", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn import_clicks(
    State(app): State<AppState>,
    Administrator(principal): Administrator,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let List { items: clicks, mut fields } = CLICKS.of(&body)?;
    let source = fields.required::<Text<SOURCE_CHARS_MAX>>("source");
    let now = app.clock.now();
    let mut errors = fields.finish().err().unwrap_or_default();
    let mut past = Vec::with_capacity(clicks.len());
    for (place, click) in clicks.into_iter().enumerate() {
        match historical_click(place, click, now) {
            Ok(click) => past.push(click),
            Err(more) => errors.extend(more.into_iter().take(ERRORS_MAX)),
        }
        errors.truncate(ERRORS_MAX);
    }
    errors.extend(unknown_links(&app, &past).await?);
    let Some(Text(source)) = source.filter(|_| errors.is_empty()) else {
        return Err(Problem::validation(errors));
    };
    let report = app.import.record(&source, past, &principal.actor).await?;
    let answer = Json(ImportAnswer { added: report.added, known: report.known });
    let mut response = (StatusCode::OK, answer).into_response();
    if let Some(position) = report.position {
        response.headers_mut().insert(HOPLOG_POSITION, ascii(&position.to_string()));
    }
    Ok(response)
}

/// Clicks of links that nobody has created: whoever took such a code later would inherit them.
async fn unknown_links(
    app: &App,
    clicks: &[HistoricalClick],
) -> Result<Vec<FieldError>, ResolveError> {
    let mut errors = Vec::new();
    let mut known = HashMap::new();
    for (place, HistoricalClick { link, .. }) in clicks.iter().enumerate() {
        let is_known = if let Some(is_known) = known.get(link) {
            *is_known
        } else {
            let path = LinkPath { domain: link.domain.as_str(), code: link.code.as_str() };
            let is_known = app.links.resolve(path, app.clock.now()).await?.is_some();
            known.insert(link, is_known);
            is_known
        };
        if !is_known {
            let (pointer, code) = (format!("/clicks/{place}/code"), "link_not_found");
            let detail = "must be the code of a link; create it first".to_owned();
            errors.push(FieldError { pointer, code, detail });
        }
    }
    Ok(errors)
}

fn historical_click(
    place: usize,
    click: &RawValue,
    now: DateTime<Utc>,
) -> Result<HistoricalClick, Vec<FieldError>> {
    let pointer = format!("/clicks/{place}");
    let object = object_of(click).map_err(|problem| problem.into_errors(&pointer))?;
    let mut fields = Fields::new(pointer, object);
    let code = fields.required::<ShortCode>("code");
    let at = fields.required::<Rfc3339>("at");
    if let Some(Err(detail)) = at.as_ref().map(|Rfc3339(at)| click_time(*at, now)) {
        fields.wrong("at", "out_of_range", detail);
    }
    let import_id = fields.required::<Text<IMPORT_ID_CHARS_MAX>>("importId");
    let method = fields.optional::<String>("method").unwrap_or_else(|| "GET".to_owned());
    let address = fields.optional("address");
    let user_agent = fields.optional::<String>("userAgent").map(Into::into);
    let referrer = fields.optional::<String>("referrer").map(Into::into);
    fields.finish()?;
    // What is missing has been noted: `finish` has returned.
    let (Some(code), Some(Rfc3339(at)), Some(Text(import_id))) = (code, at, import_id) else {
        return Err(Vec::new());
    };
    Ok(HistoricalClick {
        link: LinkKey { domain: Domain::service(), code },
        at,
        address,
        method: method.into(),
        user_agent,
        referrer,
        import_id: import_id.into(),
    })
}
