//! `PATCH` and `DELETE` of one webhook, and what else can be done with it.

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hoplog_events::webhook::DisabledReason;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::answer::WebhookAnswer;
use super::request::{WebhookPatchBody, edit};
use super::{execute, parse, respond};
use crate::accounts::Principal;
use crate::app::AppState;
use crate::commands::IdempotencyKey;
use crate::domain::webhook::WebhookCommand;
use crate::http::auth::WebhookKeeper;
use crate::http::body::JsonObject;
use crate::http::headers::{HOPLOG_POSITION, Idempotency, RequestId, ascii};
use crate::http::links::place::Places;
use crate::http::path::Segment;
use crate::http::problem::Problem;
use crate::webhooks::manage::{self, Outcome};
use crate::webhooks::secret;

/// Who does something with a webhook, and in which request.
pub struct Change {
    principal: Principal,
    request_id: RequestId,
    idempotency: Option<String>,
}

impl FromRequestParts<AppState> for Change {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        let WebhookKeeper(principal) = WebhookKeeper::from_request_parts(parts, app).await?;
        let Idempotency(idempotency) = Idempotency::from_request_parts(parts, app).await?;
        // This one can't fail.
        let Ok(request_id) = RequestId::from_request_parts(parts, app).await;
        Ok(Self { principal, request_id, idempotency })
    }
}

impl IntoParams for Change {
    fn into_params(provider: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        Idempotency::into_params(provider)
    }
}

impl Change {
    async fn execute(
        self,
        app: &AppState,
        id: &str,
        what: &str,
        command: WebhookCommand,
    ) -> Result<Outcome, Problem> {
        let issuer = app.issuer(&self.principal, self.request_id);
        let request = format!("{id}\n{what}");
        let idempotency = self.idempotency.map(|key| IdempotencyKey { key, request });
        let (id, principal) = (parse(id)?, &self.principal);
        execute(app, &issuer, principal, id, idempotency.as_ref(), command).await
    }
}

fn answer(outcome: &Outcome) -> Response {
    respond(outcome.position, WebhookAnswer::from(&outcome.webhook)).into_response()
}

/// Changes some settings of a webhook (merge patch; `null` clears).
#[utoipa::path(
    patch, path = "/api/v1/webhooks/{id}", tag = "webhooks",
    request_body(content = WebhookPatchBody, content_type = "application/merge-patch+json"),
    params(("id" = String, Path, description = "the webhook's id"), Change),
    responses((status = 200, description = "the webhook now", body = WebhookAnswer)),
)]
pub async fn edit_webhook(
    State(app): State<AppState>,
    change: Change,
    Segment(id): Segment,
    places: Places,
    body: JsonObject,
) -> Result<Response, Problem> {
    let what = serde_json::to_string(&body.0).unwrap_or_default();
    let mut fields = body.into_fields();
    let start = manage::heads(app.log.as_ref()).await?;
    let edit = edit(&mut fields, (&app.webhooks.targets, &places), start);
    fields.finish().map_err(Problem::validation)?;
    let command = WebhookCommand::Edit(Box::new(edit));
    Ok(answer(&change.execute(&app, &id, &what, command).await?))
}

/// Deletes a webhook, with what it had still to send.
#[utoipa::path(
    delete, path = "/api/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "the webhook's id"), Change),
    responses((status = 204, description = "deleted")),
)]
pub async fn delete_webhook(
    State(app): State<AppState>,
    change: Change,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let outcome = change.execute(&app, &id, "delete", WebhookCommand::Delete).await?;
    let position = ascii(&outcome.position.to_string());
    Ok((StatusCode::NO_CONTENT, [(HOPLOG_POSITION, position)]).into_response())
}

/// Gives a webhook another secret, which the answer shows. For a day the one before signs as well.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{id}/rotate-secret", tag = "webhooks",
    params(("id" = String, Path, description = "the webhook's id"), Change),
    responses(
        (status = 200, description = "the webhook, with its new secret", body = WebhookAnswer),
        (status = 422, description = "the idempotency key was used for another request", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn rotate_secret(
    State(app): State<AppState>,
    change: Change,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let command = WebhookCommand::RotateSecret(secret::generate());
    let outcome = change.execute(&app, &id, "rotate-secret", command).await?;
    let (position, answer) = (outcome.position, WebhookAnswer::with_secret(outcome.webhook));
    Ok(respond(position, answer).into_response())
}

/// Sends nothing more until the webhook is enabled. What happens meanwhile is not lost.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{id}/disable", tag = "webhooks",
    params(("id" = String, Path, description = "the webhook's id"), Change),
    responses(
        (status = 200, description = "the webhook now", body = WebhookAnswer),
        (status = 422, description = "the idempotency key was used for another request", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn disable_webhook(
    State(app): State<AppState>,
    change: Change,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let command = WebhookCommand::Disable(DisabledReason::Operator);
    Ok(answer(&change.execute(&app, &id, "disable", command).await?))
}

/// Lets a webhook go on where it stopped: also what waits for its next attempt is sent now.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{id}/enable", tag = "webhooks",
    params(("id" = String, Path, description = "the webhook's id"), Change),
    responses(
        (status = 200, description = "the webhook now", body = WebhookAnswer),
        (status = 422, description = "the idempotency key was used for another request", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn enable_webhook(
    State(app): State<AppState>,
    change: Change,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let outcome = change.execute(&app, &id, "enable", WebhookCommand::Enable).await?;
    let (id, now) = (outcome.webhook.id, app.clock.now());
    // It is enabled: what waits is sent in its time, if not now.
    if let Err(error) = app.webhooks.deliveries.begin_again(id, now).await {
        tracing::warn!(%error, webhook = %id, "what waits is not sent at once");
    }
    Ok(answer(&outcome))
}
