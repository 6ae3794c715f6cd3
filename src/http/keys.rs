//! `/api/v1/keys`: API keys.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use hoplog_events::account::{ApiKeyId, Scope};
use hoplog_events::link::{OwnerId, Title};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Administrator;
use super::body::JsonObject;
use super::fields::Patch;
use super::headers::{HOPLOG_POSITION, Idempotency, RequestId, ascii};
use super::links::answer::{instant, optional_instant};
use super::links::request::expiry;
use super::path::Segment;
use super::problem::Problem;
use crate::accounts::{KeyError, KeyRecord, NewKey, create_key, revoke_key};
use crate::app::AppState;

pub mod list;

/// A key that is wanted, for the contract.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the JSON; the values are read field by field")]
pub struct NewKeyBody {
    /// A name for people.
    #[schema(example = "newsletter")]
    name: String,
    /// links:read, links:write, stats:read, events:read, webhooks, ratelimit, admin.
    #[schema(example = json!(["links:read", "links:write"]))]
    scopes: Vec<String>,
    /// Whose links the key reaches; default: yours.
    owner: Option<String>,
    /// From this instant on it works no more.
    expires_at: Option<String>,
    /// Instead of `expiresAt`: how long it works, such as `90d`.
    expires_in: Option<String>,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyAnswer {
    id: String,
    name: String,
    owner: String,
    scopes: Vec<&'static str>,
    /// The key's first characters.
    prefix: String,
    #[serde(serialize_with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<DateTime<Utc>>,
    /// The key itself: in the answer to its creation, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl From<KeyRecord> for KeyAnswer {
    fn from(record: KeyRecord) -> Self {
        Self {
            id: record.created.id.to_string(),
            name: record.created.name.into(),
            owner: record.created.owner.into(),
            scopes: record.created.scopes.iter().map(|scope| scope.name()).collect(),
            prefix: record.created.prefix.into(),
            created_at: record.created_at,
            expires_at: record.created.expires_at,
            revoked_at: record.revoked_at,
            key: None,
        }
    }
}

/// Creates an API key. The answer holds the only copy.
#[utoipa::path(
    post, path = "/api/v1/keys", tag = "keys",
    request_body = NewKeyBody,
    params(Idempotency),
    responses(
        (status = 201, description = "the key", body = KeyAnswer),
        (status = 409, description = "made by an earlier request with this idempotency key", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "some fields are wrong", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(app): State<AppState>,
    Administrator(principal): Administrator,
    Idempotency(idempotency): Idempotency,
    request_id: RequestId,
    body: JsonObject,
) -> Result<Response, Problem> {
    let issuer = app.issuer(&principal, request_id);
    let mut fields = body.into_fields();
    let name = fields.required::<Title>("name");
    let owner = fields.optional::<OwnerId>("owner").unwrap_or_else(|| principal.owner.clone());
    let scopes = fields.required_list::<Scope>("scopes");
    let expires_at = match expiry(&mut fields) {
        Patch::Set(expiry) => Some(expiry.instant(issuer.now)),
        Patch::Keep | Patch::Clear => None,
    };
    fields.finish().map_err(Problem::validation)?;
    let name = name.ok_or_else(|| Problem::validation(Vec::new()))?;
    // A retry would make the same key: it finds that it exists.
    let seeded = |key: &String| {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{}\n{key}", principal.owner).as_bytes())
    };
    let id = ApiKeyId(idempotency.as_ref().map_or_else(Uuid::now_v7, seeded));
    let new = NewKey { owner, name, scopes, expires_at };
    let (key, created, position) = create_key(&app.log, &issuer, id, new).await?;
    // The answer holds the only copy of the key: it is given also if the log is away by now, and
    // the key works as soon as this node has read of it.
    if let Err(error) = app.keys.catch_up(&app.log, position.sequence).await {
        tracing::warn!(%error, "a new API key does not work on this node yet");
    }
    let record = KeyRecord { created, created_at: issuer.now, revoked_at: None };
    let answer = KeyAnswer { key: Some(key.reveal().to_owned()), ..record.into() };
    let headers = [
        (HOPLOG_POSITION, ascii(&position.to_string())),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((StatusCode::CREATED, headers, Json(answer)).into_response())
}

/// Revokes an API key: from now on, on every node.
#[utoipa::path(
    delete, path = "/api/v1/keys/{id}", tag = "keys",
    params(("id" = String, Path, description = "the key's id")),
    responses(
        (status = 204, description = "revoked"),
        (status = 404, description = "no such key", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn revoke(
    State(app): State<AppState>,
    Administrator(principal): Administrator,
    request_id: RequestId,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let id = Uuid::try_parse(&id).map(ApiKeyId).map_err(|_| KeyError::NotFound)?;
    let position = revoke_key(&app.log, &app.issuer(&principal, request_id), id).await?;
    app.keys.catch_up(&app.log, position.sequence).await?;
    let position = ascii(&position.to_string());
    Ok((StatusCode::NO_CONTENT, [(HOPLOG_POSITION, position)]).into_response())
}
