//! A link as the API answers it.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use hoplog_events::envelope::rfc3339;
use hoplog_events::link::{
    Destination, LinkState, MaxClicks, OwnPreview, QueryForwarding, Rules, SERVICE_DOMAIN, Split,
    Tag,
};
use hoplog_events::position::{Position, Version};
use hoplog_projections::click_statistics::ClickTotals as Totals;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::place::DOMAIN;
use super::preview::PreviewBody;
use super::quarantine::QuarantineAnswer;
use super::rules::RuleBody;
use super::split::VariantBody;
use crate::domain::link::Link;
use crate::domain::utm::utm_of;
use crate::domain::warnings::warnings;
use crate::http::headers::{HOPLOG_POSITION, ascii, etag};
use crate::http::origin::Origin;

/// A link.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkAnswer {
    /// The link's identity.
    #[schema(example = "default/launch")]
    pub id: String,
    /// The path of the short link.
    #[schema(example = "launch")]
    pub code: String,
    /// The host of the short link.
    #[schema(example = "go.example.com")]
    pub domain: String,
    /// The short link.
    #[schema(example = "https://go.example.com/launch")]
    pub short_url: String,
    /// Where it leads; hosts in punycode.
    pub url: String,
    /// When it was created.
    #[serde(serialize_with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: DateTime<Utc>,
    /// From this instant on it is not served.
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<DateTime<Utc>>,
    /// The status of the redirect.
    pub redirect: u16,
    /// active, scheduled (not valid yet), disabled, expired, quarantined or deleted.
    #[schema(example = "active")]
    pub state: &'static str,
    /// A name for people.
    pub title: Option<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// Free text.
    pub note: Option<String>,
    /// Its name in the owner's system.
    pub external_id: Option<String>,
    /// Before this instant it is answered as if there were no such link.
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub valid_from: Option<DateTime<Utc>>,
    /// Where it leads once it has expired; hosts in punycode.
    pub expired_url: Option<String>,
    /// Lists leave it out unless they are asked for it.
    pub archived: bool,
    /// What becomes of the query of visitors: append or override; `null`: nothing.
    pub forward_query: Option<&'static str>,
    /// Whether paths behind the code are forwarded.
    pub forward_path: bool,
    /// Whether visitors have to know a password. Nobody is told which.
    pub has_password: bool,
    /// How many clicks of people it is good for; `null`: any number.
    pub max_clicks: Option<u32>,
    /// How many of them are left; 0: it has ended, and leads to its `expiredUrl`.
    pub clicks_left: Option<u32>,
    /// Where it leads some visitors instead: the first rule that holds decides.
    #[schema(value_type = Vec<RuleBody>)]
    pub rules: Rules,
    /// How it shares those whom no rule leads elsewhere, by weight; empty: all are led to its `url`.
    #[schema(value_type = Vec<VariantBody>)]
    pub split: Split,
    /// What chats and networks show of it; `null`: what the destination says of itself.
    #[schema(value_type = Option<PreviewBody>)]
    pub preview: Option<OwnPreview>,
    /// What the page at its destination calls itself, where the service looks and the link has no title.
    pub fetched_title: Option<String>,
    /// Why it leads nowhere until it is released; `null`: it is in no quarantine.
    pub quarantine: Option<QuarantineAnswer>,
    /// How often visitors have reported it since it was created, or released.
    pub reports: u32,
    /// The campaign fields of the destination.
    pub utm: LinkUtm,
    /// Who it belongs to.
    pub owner: String,
    /// Clicks so far; `null` of a link as it was.
    pub clicks: Option<ClickTotals>,
    /// How many events it is the sum of; also the `ETag`.
    pub version: u64,
    /// What the owner should know about the destination.
    pub warnings: Vec<Warning>,
}

/// The campaign fields of a destination.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LinkUtm {
    /// `utm_source`.
    pub source: Option<String>,
    /// `utm_medium`.
    pub medium: Option<String>,
    /// `utm_campaign`.
    pub campaign: Option<String>,
    /// `utm_term`.
    pub term: Option<String>,
    /// `utm_content`.
    pub content: Option<String>,
}

impl From<&Destination> for LinkUtm {
    fn from(url: &Destination) -> Self {
        let [source, medium, campaign, term, content] = utm_of(url);
        Self { source, medium, campaign, term, content }
    }
}

/// Clicks so far.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub struct ClickTotals {
    /// All of them.
    pub total: u64,
    /// Of people.
    pub humans: u64,
    /// Of bots, previews, prefetches and HEAD requests.
    pub bots: u64,
}

/// Something the owner should know.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Warning {
    /// What programs may rely on.
    pub code: &'static str,
    /// What it means.
    pub detail: String,
}

/// Writes an instant as every JSON of ours does.
pub fn instant<S: Serializer>(instant: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*instant))
}

/// The same for an instant that may be missing.
pub fn optional_instant<S: Serializer>(
    value: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => instant(value, serializer),
        None => serializer.serialize_none(),
    }
}

impl From<Totals> for ClickTotals {
    fn from(totals: Totals) -> Self {
        Self { total: totals.total, humans: totals.humans, bots: totals.bots }
    }
}

impl LinkAnswer {
    /// A link with its clicks, as it is at `now`.
    #[must_use]
    pub fn new(link: Link, totals: Totals, origin: &Origin, now: DateTime<Utc>) -> Self {
        let state = state_at(&link, now);
        let reports = link.extras.reports();
        let quarantine = link.extras.quarantine().cloned().map(Into::into);
        let (warnings, clicks_left) = (warnings_of(&link), link.extras.clicks_left());
        Self {
            id: link.key.to_string(),
            short_url: origin.short_url(&link.key),
            domain: origin.host_of(&link.key.domain).to_owned(),
            code: link.key.code.into(),
            utm: LinkUtm::from(&link.url),
            url: link.url.into(),
            created_at: link.created_at,
            expires_at: link.expires_at,
            redirect: link.redirect.into(),
            state,
            title: link.title.map(Into::into),
            tags: link.tags.iter().map(Tag::to_string).collect(),
            note: link.note.map(Into::into),
            external_id: link.external_id.map(Into::into),
            valid_from: link.extras.valid_from,
            expired_url: link.extras.expired_url.map(Into::into),
            archived: link.extras.archived,
            forward_query: link.extras.forward_query.map(QueryForwarding::name),
            forward_path: link.extras.forward_path,
            has_password: link.extras.password.is_some(),
            max_clicks: link.extras.max_clicks.map(MaxClicks::get),
            clicks_left,
            quarantine,
            reports,
            rules: link.extras.rules,
            split: link.extras.split,
            preview: link.extras.preview.map(|preview| *preview),
            fetched_title: link.extras.fetched_title.map(Into::into),
            owner: link.owner.into(),
            clicks: Some(totals.into()),
            version: link.version.0,
            warnings,
        }
    }

    /// A link as it was at an instant. How often it had been clicked by then is for its statistics to say.
    #[must_use]
    pub fn as_of(link: Link, origin: &Origin, at: DateTime<Utc>) -> Self {
        Self { clicks: None, ..Self::new(link, Totals::default(), origin, at) }
    }
}

fn warnings_of(link: &Link) -> Vec<Warning> {
    let all = warnings(&link.url, &link.extras, link.answered_redirect());
    all.into_iter().map(|w| Warning { code: w.code(), detail: w.to_string() }).collect()
}

/// The state of a link that is active on the log and not valid yet.
pub const SCHEDULED: &str = "scheduled";

/// A link whose instant has passed is expired, whether the event is on the log yet or not.
fn state_at(link: &Link, now: DateTime<Utc>) -> &'static str {
    let passed = link.expires_at.is_some_and(|expires_at| expires_at <= now);
    match link.state {
        LinkState::Active if passed => LinkState::Expired.name(),
        LinkState::Active if link.extras.is_before_validity(now) => SCHEDULED,
        state => state.name(),
    }
}

/// Where a link is in the API.
fn place_of(answer: &LinkAnswer) -> String {
    let of_service = answer.id.split_once('/').is_none_or(|(domain, _)| domain == SERVICE_DOMAIN);
    let domain = if of_service { String::new() } else { format!("?{DOMAIN}={}", answer.domain) };
    format!("/api/v1/links/{}{domain}", answer.code)
}

/// A link with its `ETag` and, after a command, its position.
pub fn respond(status: StatusCode, answer: LinkAnswer, position: Option<Position>) -> Response {
    let tag = etag(Version(answer.version));
    let location = ascii(&place_of(&answer));
    let mut response = (status, Json(answer)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if status == StatusCode::CREATED {
        headers.insert(header::LOCATION, location);
    }
    if let Some(position) = position {
        headers.insert(HOPLOG_POSITION, ascii(&position.to_string()));
    }
    response
}
