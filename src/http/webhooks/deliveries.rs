//! The delivery log of a webhook, tests, and what is tried again.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::DeliveryAnswer;
use super::find;
use crate::app::AppState;
use crate::http::auth::WebhookKeeper;
use crate::http::fields::Parameters;
use crate::http::headers::Idempotency;
use crate::http::path::{Segment, TwoSegments};
use crate::http::problem::Problem;

/// Attempts on a page when the request does not say.
const PAGE_ATTEMPTS: usize = 50;

/// Attempts on a page at most.
const PAGE_ATTEMPTS_MAX: usize = 500;

/// One page of the delivery log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryList {
    /// Attempts, the newest first.
    pub data: Vec<DeliveryAnswer>,
    /// Give it as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// What was sent, and what the receiver said: kept for seven days.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{id}/deliveries", tag = "webhooks",
    params(
        ("id" = String, Path, description = "the webhook's id"),
        ("limit" = Option<usize>, Query, description = "1 to 500 (default 50)"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses((status = 200, description = "a page", body = DeliveryList)),
)]
pub async fn list_deliveries(
    State(app): State<AppState>,
    WebhookKeeper(principal): WebhookKeeper,
    Segment(id): Segment,
    RawQuery(query): RawQuery,
) -> Result<Json<DeliveryList>, Problem> {
    let mut query = Parameters::new(query.as_deref());
    let cursor = query.raw("cursor");
    let limit = query.limit(PAGE_ATTEMPTS, PAGE_ATTEMPTS_MAX);
    query.finish()?;
    let webhook = find(&app, &principal, &id).await?;
    let page = app.webhooks.deliveries.attempts(webhook.id, cursor.as_deref(), limit).await?;
    let data = page.attempts.into_iter().map(Into::into).collect();
    Ok(Json(DeliveryList { data, next_cursor: page.next_cursor }))
}

/// Sends a message that tells of nothing, now, and answers with what the receiver said. Also of a
/// webhook that is disabled.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{id}/test", tag = "webhooks",
    params(("id" = String, Path, description = "the webhook's id"), Idempotency),
    responses((status = 200, description = "what the receiver said, if anything", body = DeliveryAnswer)),
)]
pub async fn test_webhook(
    State(app): State<AppState>,
    WebhookKeeper(principal): WebhookKeeper,
    Idempotency(idempotency): Idempotency,
    Segment(id): Segment,
) -> Result<Json<DeliveryAnswer>, Problem> {
    let webhook = find(&app, &principal, &id).await?;
    // The same request sends a message with the same id.
    let seed = |key: String| Uuid::new_v5(&webhook.id.0, format!("test\n{key}").as_bytes());
    let seed = idempotency.map_or_else(Uuid::now_v7, seed);
    Ok(Json(app.webhooks.test(&webhook, seed).await?.into()))
}

/// Has a message tried again at once, also one that was given up.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{id}/deliveries/{messageId}/retry", tag = "webhooks",
    params(
        ("id" = String, Path, description = "the webhook's id"),
        ("messageId" = String, Path, description = "the message's id"),
        Idempotency,
    ),
    responses(
        (status = 202, description = "it is tried again, unless the webhook is disabled"),
        (status = 404, description = "no such webhook of yours, or no such message that waits or was given up", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn retry_delivery(
    State(app): State<AppState>,
    WebhookKeeper(principal): WebhookKeeper,
    // To be tried again twice is to be tried again.
    Idempotency(_): Idempotency,
    TwoSegments(id, message): TwoSegments,
) -> Result<StatusCode, Problem> {
    let webhook = find(&app, &principal, &id).await?;
    if app.webhooks.deliveries.retry(webhook.id, &message, app.clock.now()).await? {
        return Ok(StatusCode::ACCEPTED);
    }
    let detail = "there is no such message, or it was delivered";
    Err(Problem::new(StatusCode::NOT_FOUND, "message_not_found", detail))
}
