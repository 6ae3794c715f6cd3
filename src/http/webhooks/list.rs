//! `GET /api/v1/webhooks`: the webhooks there are, page by page.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use hoplog_events::webhook::WebhookId;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::WebhookAnswer;
use crate::app::AppState;
use crate::domain::webhook::Webhook;
use crate::http::auth::WebhookKeeper;
use crate::http::fields::Parameters;
use crate::http::problem::Problem;

/// Webhooks on a page when the request does not say.
const PAGE_WEBHOOKS: usize = 50;

/// Webhooks on a page at most.
const PAGE_WEBHOOKS_MAX: usize = 500;

/// One page of webhooks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookList {
    /// The webhooks, the newest first.
    pub data: Vec<WebhookAnswer>,
    /// Give it as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// Where a webhook stands among all; also where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    created_at_us: i64,
    id: WebhookId,
}

impl Place {
    fn of(webhook: &Webhook) -> Self {
        Self { created_at_us: webhook.created_at.timestamp_micros(), id: webhook.id }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.created_at_us, self.id)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(token: &str) -> Result<Self, ()> {
        let (created_at_us, id) = token.split_once('.').ok_or(())?;
        let created_at_us = created_at_us.parse().map_err(|_| ())?;
        Ok(Self { created_at_us, id: id.parse().map_err(|_| ())? })
    }
}

/// Your webhooks, or everybody's with the scope admin; without their secrets.
#[utoipa::path(
    get, path = "/api/v1/webhooks", tag = "webhooks",
    params(
        ("limit" = Option<usize>, Query, description = "1 to 500 (default 50)"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses((status = 200, description = "a page", body = WebhookList)),
)]
pub async fn list_webhooks(
    State(app): State<AppState>,
    WebhookKeeper(principal): WebhookKeeper,
    RawQuery(query): RawQuery,
) -> Result<Json<WebhookList>, Problem> {
    let mut query = Parameters::new(query.as_deref());
    let after = query.cursor();
    let limit = query.limit(PAGE_WEBHOOKS, PAGE_WEBHOOKS_MAX);
    query.finish()?;
    let requester = principal.requester();
    let mut webhooks = app.keys.webhooks();
    webhooks.retain(|webhook| webhook.is_seen_by(&requester));
    Ok(Json(page(webhooks, after, limit)))
}

/// A page of webhooks that are in order, the newest first.
fn page(mut webhooks: Vec<Arc<Webhook>>, after: Option<Place>, limit: usize) -> WebhookList {
    webhooks.retain(|webhook| after.is_none_or(|after| Place::of(webhook) < after));
    let more = webhooks.len() > limit;
    webhooks.truncate(limit);
    let last = webhooks.last().filter(|_| more).map(|last| Place::of(last).to_string());
    let data = webhooks.iter().map(|webhook| WebhookAnswer::from(&**webhook)).collect();
    WebhookList { data, next_cursor: last }
}
