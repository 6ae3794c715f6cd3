//! `GET /api/v1/webhooks`: the webhooks there are, page by page.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::WebhookAnswer;
use crate::app::AppState;
use crate::domain::webhook::Webhook;
use crate::http::auth::WebhookKeeper;
use crate::http::fields::Parameters;
use crate::http::newest_first::{self, Place};
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
    let place = |webhook: &Arc<Webhook>| Place::new(webhook.created_at, webhook.id.0);
    let next_cursor = newest_first::page(&mut webhooks, after, limit, place);
    let data = webhooks.iter().map(|webhook| WebhookAnswer::from(&**webhook)).collect();
    Ok(Json(WebhookList { data, next_cursor }))
}
