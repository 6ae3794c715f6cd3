//! The short forms: `POST /api/shorten` and `GET /api/analytics/{code}`.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::auth::{LinksWriter, StatsReader};
use super::body::JsonObject;
use super::fields::Fields;
use super::headers::{AtLeast, HOPLOG_POSITION, Idempotency, RequestId, ascii};
use super::links::answer::optional_instant;
use super::links::create::{make, of_request};
use super::links::place::{DOMAIN, Places};
use super::links::request::NewLink;
use super::origin::Origin;
use super::path::LinkAt;
use super::problem::{FieldError, Problem};
use super::stats::{PointAnswer, SliceAnswer, StatisticsParameters, link_statistics};
use crate::app::AppState;
use crate::passwords::Lane;

/// The body of `POST /api/shorten`.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the JSON; the values are read field by field")]
pub struct ShortenBody {
    /// Where the link leads.
    #[serde(rename = "longURL")]
    #[schema(example = "https://example.com/launch")]
    long_url: String,
    /// The code you choose.
    #[serde(rename = "customAlias")]
    custom_alias: Option<String>,
    /// How long the link lives, such as `7d`, or a number of seconds.
    #[serde(rename = "expiresIn")]
    expires_in: Option<String>,
    /// The domain the link lives on; without it the service's own.
    domain: Option<String>,
}

/// A short link.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShortenAnswer {
    /// The short link.
    #[serde(rename = "shortURL")]
    pub short_url: String,
    /// Its code.
    #[serde(rename = "shortCode")]
    pub short_code: String,
    /// Where it leads.
    #[serde(rename = "longURL")]
    pub long_url: String,
    /// From this instant on it is not served.
    #[serde(rename = "expiresAt", serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<chrono::DateTime<chrono::Utc>>,
}

/// What the fields are called in the long form.
const FIELDS: [(&str, &str); 4] = [
    ("longURL", "url"),
    ("customAlias", "alias"),
    ("expiresIn", "expiresIn"),
    ("domain", "domain"),
];

/// Creates a link (short form).
#[utoipa::path(
    post, path = "/api/shorten", tag = "short forms",
    request_body = ShortenBody,
    params(Idempotency),
    responses(
        (status = 201, description = "created", body = ShortenAnswer),
        (status = 409, description = "the alias is taken", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "some fields are wrong", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn shorten(
    State(app): State<AppState>,
    LinksWriter(principal): LinksWriter,
    Idempotency(key): Idempotency,
    request_id: RequestId,
    origin: Origin,
    JsonObject(body): JsonObject,
) -> Result<Response, Problem> {
    let idempotency = key.map(|key| of_request(key, &body));
    let named = body.get(DOMAIN).and_then(Value::as_str).into_iter();
    let places = Places::of(&app, &origin).knowing(&app, named).await?;
    let new = parse(body, &places)?;
    let issuer = app.issuer(&principal, request_id);
    let made = make(&app, &issuer, &origin, idempotency.as_ref(), (new, Lane::Owner)).await;
    let made = made.map_err(|problem| problem.with_pointers(short_pointer))?;
    let answer = ShortenAnswer {
        short_url: origin.short_url(&made.link.key),
        short_code: made.link.key.code.into(),
        long_url: made.link.url.into(),
        expires_at: made.link.expires_at,
    };
    let mut response = (StatusCode::CREATED, Json(answer)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Some(position) = made.position {
        headers.insert(HOPLOG_POSITION, ascii(&position.to_string()));
    }
    Ok(response)
}

/// The link that a body asks for.
fn parse(body: Map<String, Value>, places: &Places) -> Result<Option<NewLink>, Problem> {
    let (known, unknown) = translate(body);
    let mut fields = Fields::new(String::new(), known);
    let new = NewLink::parse(&mut fields, places);
    let mut errors = fields.finish().err().unwrap_or_default();
    for error in &mut errors {
        error.pointer = short_pointer(&error.pointer);
    }
    errors.extend(unknown);
    if errors.is_empty() { Ok(new) } else { Err(Problem::validation(errors)) }
}

/// The fields under their long names, and those that there are not.
fn translate(body: Map<String, Value>) -> (Map<String, Value>, Vec<FieldError>) {
    let mut known = Map::new();
    let mut unknown = Fields::new(String::new(), Map::new());
    for (name, value) in body {
        match FIELDS.iter().find(|(short, _)| *short == name) {
            Some((_, long)) => {
                known.insert((*long).to_owned(), value);
            }
            None => unknown.wrong(&name, "unknown_field", "is not a field of this request"),
        }
    }
    (known, unknown.finish().err().unwrap_or_default())
}

/// A field under the name that the client used.
fn short_pointer(pointer: &str) -> String {
    let is_it = |long: &str| pointer.strip_prefix('/') == Some(long);
    let short = FIELDS.iter().find(|(_, long)| is_it(long)).map(|(short, _)| format!("/{short}"));
    short.unwrap_or_else(|| pointer.to_owned())
}

/// Analytics of a link (short form).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalyticsAnswer {
    /// All clicks in the range.
    pub total_clicks: u64,
    /// Day by day.
    pub clicks_by_day: Vec<PointAnswer>,
    /// ISO 3166 codes; empty: unknown.
    pub clicks_by_country: Vec<SliceAnswer>,
    /// desktop, mobile, tablet, bot, other.
    pub clicks_by_device: Vec<SliceAnswer>,
}

/// Analytics of a link (short form). Takes the parameters of the long form.
#[utoipa::path(
    get, path = "/api/analytics/{code}", tag = "short forms",
    params(
        LinkAt,
        StatisticsParameters,
        AtLeast,
    ),
    responses(
        (status = 200, description = "the numbers", body = AnalyticsAnswer),
        (status = 404, description = "no such link of yours", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn analytics(
    app: State<AppState>,
    reader: StatsReader,
    link: LinkAt,
    query: RawQuery,
    position: AtLeast,
) -> Result<Json<AnalyticsAnswer>, Problem> {
    let Json(statistics) = link_statistics(app, reader, link, query, position).await?;
    Ok(Json(AnalyticsAnswer {
        total_clicks: statistics.total_clicks,
        clicks_by_day: statistics.series,
        clicks_by_country: statistics.countries,
        clicks_by_device: statistics.devices,
    }))
}
