//! `…/quarantine`, `…/release` and `…/appeal` of one link.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use hoplog_events::link::{Quarantine, Statement};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{LinkAnswer, instant};
use super::change::Change;
use crate::app::AppState;
use crate::domain::link::{LinkCommand, Oversee};
use crate::http::auth::Administrator;
use crate::http::body::JsonObject;
use crate::http::path::LinkAt;
use crate::http::problem::Problem;

/// The quarantine that a link is in.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuarantineAnswer {
    /// Why.
    reason: String,
    /// Who found it: operator, blocklist or reports.
    #[schema(example = "blocklist")]
    by: &'static str,
    /// The entry of the block list, where that found it.
    entry: Option<String>,
    /// Since when.
    #[serde(serialize_with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    since: DateTime<Utc>,
    /// What the owner says against it.
    appeal: Option<String>,
}

impl From<Quarantine> for QuarantineAnswer {
    fn from(quarantine: Quarantine) -> Self {
        let begun = quarantine.begun;
        Self {
            reason: begun.reason.into(),
            by: begun.by.name(),
            entry: begun.entry.map(Into::into),
            since: begun.since,
            appeal: quarantine.appeal.map(Into::into),
        }
    }
}

/// Why a link is put in quarantine.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the JSON; the value is read field by field")]
pub struct QuarantineBody {
    /// For its owner: one line of at most 500 characters.
    #[schema(example = "asks for passwords of a bank")]
    reason: String,
}

/// Why a link should be released.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the JSON; the value is read field by field")]
pub struct AppealBody {
    /// For the operator: at most 2,000 characters.
    text: String,
}

/// Lets a link lead nowhere until it is released.
#[utoipa::path(
    post, path = "/api/v1/links/{code}/quarantine", tag = "links",
    request_body = QuarantineBody,
    params(LinkAt, Change),
    responses((status = 200, description = "the link now", body = LinkAnswer), Change),
)]
pub async fn quarantine_link(
    State(app): State<AppState>,
    _: Administrator,
    change: Change,
    LinkAt(key): LinkAt,
    body: JsonObject,
) -> Result<Response, Problem> {
    let mut fields = body.into_fields();
    let reason = fields.required("reason");
    fields.finish().map_err(Problem::validation)?;
    let Some(reason) = reason else { return Err(Problem::internal()) };
    let what = format!("quarantine {reason}");
    change.answer(&app, key, &what, command(Oversee::Quarantine(reason))).await
}

/// Ends a link's quarantine, and deals with its reports, also of a link that is in none.
#[utoipa::path(
    post, path = "/api/v1/links/{code}/release", tag = "links",
    params(LinkAt, Change),
    responses((status = 200, description = "the link now", body = LinkAnswer), Change),
)]
pub async fn release_link(
    State(app): State<AppState>,
    _: Administrator,
    change: Change,
    LinkAt(key): LinkAt,
) -> Result<Response, Problem> {
    change.answer(&app, key, "release", command(Oversee::Release)).await
}

/// Says why a link should be released. A later appeal takes the place of the one before.
#[utoipa::path(
    post, path = "/api/v1/links/{code}/appeal", tag = "links",
    request_body = AppealBody,
    params(LinkAt, Change),
    responses((status = 200, description = "the link now", body = LinkAnswer), Change),
)]
pub async fn appeal(
    State(app): State<AppState>,
    change: Change,
    LinkAt(key): LinkAt,
    body: JsonObject,
) -> Result<Response, Problem> {
    let mut fields = body.into_fields();
    let text = fields.required::<Statement>("text");
    fields.finish().map_err(Problem::validation)?;
    let Some(text) = text else { return Err(Problem::internal()) };
    let what = format!("appeal {text}");
    change.answer(&app, key, &what, command(Oversee::Appeal(text))).await
}

fn command(oversee: Oversee) -> LinkCommand {
    LinkCommand::Oversee(Box::new(oversee))
}
