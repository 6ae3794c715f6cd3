//! `POST /api/v1/clicks/import`: clicks of the past.

use std::collections::HashMap;
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::app::{App, AppState};
use crate::clicks::enrichment::HistoricalClick;
use crate::clicks::import::{IMPORT_CLICKS_MAX, click_time};
use crate::http::auth::Administrator;
use crate::http::body::{JsonText, List, ListField, object_of};
use crate::http::fields::{Fields, Text};
use crate::http::headers::{HOPLOG_POSITION, ascii};
use crate::http::links::place::{LinkName, Places};
use crate::http::links::request::Rfc3339;
use crate::http::problem::{ERRORS_MAX, FieldError, Problem};
use crate::queries::resolve_link::{LinkPath, ResolveError};

/// The list in the body of an import.
const CLICKS: ListField = ListField { name: "clicks", items_max: IMPORT_CLICKS_MAX };

/// The longest source name, in characters.
const SOURCE_CHARS_MAX: usize = 255;

/// The longest name of a line in its source, in characters.
const IMPORT_ID_CHARS_MAX: usize = 64;

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
    /// The link's code; of a link on another domain than the service's own: domain/code.
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
    /// Where the visitor was (ISO 3166, such as `IN`), if the source knows it; the address goes before it.
    #[schema(min_length = 2, max_length = 2)]
    country: Option<String>,
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
    places: Places,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let List { items: clicks, mut fields } = CLICKS.of(&body)?;
    let source = fields.required::<Text<SOURCE_CHARS_MAX>>("source");
    let now = app.clock.now();
    let mut errors = fields.finish().err().unwrap_or_default();
    let mut past = Vec::with_capacity(clicks.len());
    for (place, click) in clicks.into_iter().enumerate() {
        match historical_click(place, click, (now, &places)) {
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
    (now, places): (DateTime<Utc>, &Places),
) -> Result<HistoricalClick, Vec<FieldError>> {
    let pointer = format!("/clicks/{place}");
    let object = object_of(click).map_err(|problem| problem.into_errors(&pointer))?;
    let mut fields = Fields::new(pointer, object);
    let code = fields.required::<LinkName>("code");
    let link = places.take_link(&mut fields, "code", code);
    let at = fields.required::<Rfc3339>("at");
    if let Some(Err(detail)) = at.as_ref().map(|Rfc3339(at)| click_time(*at, now)) {
        fields.wrong("at", "out_of_range", detail);
    }
    let import_id = fields.required::<Text<IMPORT_ID_CHARS_MAX>>("importId");
    let method = fields.optional::<String>("method").unwrap_or_else(|| "GET".to_owned());
    let address = fields.optional("address");
    let user_agent = fields.optional::<String>("userAgent").map(Into::into);
    let referrer = fields.optional::<String>("referrer").map(Into::into);
    let country = fields.optional::<CountryCode>("country").map(|CountryCode(code)| code);
    fields.finish()?;
    // What is missing has been noted: `finish` has returned.
    let (Some(link), Some(Rfc3339(at)), Some(Text(import_id))) = (link, at, import_id) else {
        return Err(Vec::new());
    };
    Ok(HistoricalClick {
        link,
        at,
        address,
        method: method.into(),
        user_agent,
        referrer,
        country,
        import_id: import_id.into(),
    })
}

/// A country as ISO 3166 writes it.
struct CountryCode(Box<str>);

impl FromStr for CountryCode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        is_code.then(|| Self(text.into())).ok_or("must be two capital letters, such as IN")
    }
}
