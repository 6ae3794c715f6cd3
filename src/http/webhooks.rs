//! `/api/v1/webhooks`: who is told of what happens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hoplog_events::link::OwnerId;
use hoplog_events::position::Position;
use hoplog_events::webhook::WebhookId;
use uuid::Uuid;

use super::auth::WebhookKeeper;
use super::body::JsonObject;
use super::fields::{Fields, NoParameters};
use super::headers::{HOPLOG_POSITION, Idempotency, RequestId, ascii};
use super::links::place::Places;
use super::path::Segment;
use super::problem::Problem;
use crate::accounts::Principal;
use crate::app::{App, AppState};
use crate::commands::{IdempotencyKey, Issuer};
use crate::domain::webhook::{
    CreateWebhook, WEBHOOKS_MAX, Webhook, WebhookCommand, WebhookError, WebhookRequest,
};
use crate::webhooks::manage::{self, Outcome};
use crate::webhooks::secret;

mod answer;
pub mod change;
pub mod deliveries;
pub mod list;
mod request;

use answer::WebhookAnswer;
use request::{NewWebhookBody, settings};

/// Makes a webhook. The answer shows its secret, which no other answer does.
///
/// It is told of what happens from now on, as CloudEvents, signed as Standard Webhooks says: see
/// the guide, docs/webhooks.md. With a key that is not an administrator's it is told of its
/// owner's links and their clicks only.
#[utoipa::path(
    post, path = "/api/v1/webhooks", tag = "webhooks",
    request_body = NewWebhookBody,
    params(Idempotency),
    responses(
        (status = 201, description = "the webhook, with its secret", body = WebhookAnswer),
        (status = 409, description = "the owner has as many webhooks as there may be", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "some fields are wrong", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(app): State<AppState>,
    WebhookKeeper(principal): WebhookKeeper,
    Idempotency(idempotency): Idempotency,
    request_id: RequestId,
    places: Places,
    body: JsonObject,
) -> Result<Response, Problem> {
    let idempotency = idempotency.map(|key| IdempotencyKey {
        key,
        request: serde_json::to_string(&body.0).unwrap_or_default(),
    });
    let issuer = app.issuer(&principal, request_id);
    let mut fields = body.into_fields();
    let owner = owner(&mut fields, &principal);
    let settings = settings(&mut fields, &app.webhooks.targets, &places);
    fields.finish().map_err(Problem::validation)?;
    let settings = settings.ok_or_else(|| Problem::validation(Vec::new()))?;
    // A retry finds what was made.
    let seeded = |known: &IdempotencyKey| {
        let name = format!("webhook\n{}\n{}", principal.owner, known.key);
        Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
    };
    let id = WebhookId(idempotency.as_ref().map_or_else(Uuid::now_v7, seeded));
    let siblings = app.keys.webhooks().iter().filter(|one| one.owner == owner).count();
    if siblings >= WEBHOOKS_MAX && app.keys.webhook(id).is_none() {
        let detail = format!("there are {WEBHOOKS_MAX} webhooks already; delete one");
        return Err(Problem::new(StatusCode::CONFLICT, "too_many_webhooks", detail));
    }
    let (secret, start) = (secret::generate(), manage::heads(app.log.as_ref()).await?);
    let command =
        WebhookCommand::Create(Box::new(CreateWebhook { id, owner, settings, secret, start }));
    let outcome = execute(&app, &issuer, &principal, id, idempotency.as_ref(), command).await?;
    let (position, answer) = (outcome.position, WebhookAnswer::with_secret(outcome.webhook));
    Ok((StatusCode::CREATED, respond(position, answer)).into_response())
}

/// One webhook.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "the webhook's id")),
    responses(
        (status = 200, description = "the webhook, without its secret", body = WebhookAnswer),
        (status = 404, description = "no such webhook of yours", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn show(
    State(app): State<AppState>,
    WebhookKeeper(principal): WebhookKeeper,
    Segment(id): Segment,
    _: NoParameters,
) -> Result<Json<WebhookAnswer>, Problem> {
    Ok(Json(WebhookAnswer::from(&find(&app, &principal, &id).await?)))
}

/// Whose links a new webhook is told of. An administrator's is told of everybody's, unless one
/// owner is named.
fn owner(fields: &mut Fields, principal: &Principal) -> Option<OwnerId> {
    let named = fields.optional::<OwnerId>("owner");
    let Some(own) = principal.only_owner() else { return named };
    if named.is_some_and(|named| named != own) {
        fields.wrong("owner", "not_yours", "must be your own, or be left out");
    }
    Some(own)
}

/// A webhook as the log has it: never older than what anybody was answered.
async fn find(app: &App, principal: &Principal, id: &str) -> Result<Webhook, Problem> {
    let found = manage::find(app.log.as_ref(), parse(id)?).await?;
    let found = found.filter(|webhook| webhook.is_seen_by(&principal.requester()));
    Ok(found.ok_or(WebhookError::NotFound)?)
}

fn parse(id: &str) -> Result<WebhookId, Problem> {
    id.parse().map_err(|_| WebhookError::NotFound.into())
}

async fn execute(
    app: &Arc<App>,
    issuer: &Issuer,
    principal: &Principal,
    id: WebhookId,
    idempotency: Option<&IdempotencyKey>,
    command: WebhookCommand,
) -> Result<Outcome, Problem> {
    let request = WebhookRequest {
        requester: principal.requester(),
        now: issuer.now,
        plain_is_allowed: app.webhooks.targets.plain_is_allowed(),
        command,
    };
    let origin = issuer.origin(idempotency);
    let outcome = manage::execute(&app.log, id, &request, &origin).await?;
    // It is done: that this node is a moment behind is no reason for an error.
    if let Err(error) = app.keys.catch_up(&app.log, outcome.position.sequence).await {
        tracing::warn!(%error, "a webhook is not known on this node yet");
    }
    Ok(outcome)
}

/// An answer to a command, with what may be secret in it.
fn respond(position: Position, answer: WebhookAnswer) -> impl IntoResponse {
    let headers = [
        (HOPLOG_POSITION, ascii(&position.to_string())),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Json(answer))
}
