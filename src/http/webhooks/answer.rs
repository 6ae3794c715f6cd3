//! What is told of webhooks.

use chrono::{DateTime, Utc};
use hoplog_events::link::LinkKey;
use hoplog_events::webhook::WebhookSecret;
use hoplog_projections::deliveries::Attempt;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::webhook::{Webhook, WebhookState};
use crate::http::links::answer::{instant, optional_instant};

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookAnswer {
    id: String,
    /// Whose links it is told of; `null`: of every owner's.
    owner: Option<String>,
    url: String,
    types: Vec<String>,
    /// Only events of this link.
    link: Option<String>,
    /// Only events of links with this tag.
    tag: Option<String>,
    description: Option<String>,
    /// `active` or `disabled`.
    state: &'static str,
    /// `operator`; `failures`: nothing was taken for three days; `gone`: the receiver said 410.
    disabled_reason: Option<&'static str>,
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
    /// Until then the secret before the last rotation signs beside the new one.
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_secret_until: Option<DateTime<Utc>>,
    /// What signs its messages: in the answer to its creation or a rotation, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl WebhookAnswer {
    /// The same with the secret.
    pub(super) fn with_secret(webhook: Webhook) -> Self {
        let answer = Self::from(&webhook);
        let WebhookSecret(secret) = webhook.secret;
        Self { secret: Some(secret.into()), ..answer }
    }
}

/// As requests name it.
fn name_of(link: &LinkKey) -> String {
    if link.domain.is_service() { link.code.to_string() } else { link.to_string() }
}

impl From<&Webhook> for WebhookAnswer {
    fn from(webhook: &Webhook) -> Self {
        let settings = &webhook.settings;
        let (state, reason, disabled_at) = match webhook.state {
            WebhookState::Disabled { reason, at } => ("disabled", Some(reason.name()), Some(at)),
            WebhookState::Active => ("active", None, None),
            WebhookState::Deleted => ("deleted", None, None),
        };
        Self {
            id: webhook.id.to_string(),
            owner: webhook.owner.clone().map(Into::into),
            url: settings.url.as_str().to_owned(),
            types: settings.types.iter().map(ToString::to_string).collect(),
            link: settings.link.as_ref().map(name_of),
            tag: settings.tag.clone().map(Into::into),
            description: settings.description.clone().map(Into::into),
            state,
            disabled_reason: reason,
            disabled_at,
            created_at: webhook.created_at,
            previous_secret_until: webhook.previous.as_ref().map(|(_, until)| *until),
            secret: None,
        }
    }
}

/// One attempt to deliver a message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryAnswer {
    /// The message's id, the same at every attempt: `webhook-id`.
    message_id: String,
    /// The type of the event it tells of.
    #[serde(rename = "type")]
    event_type: String,
    /// Which attempt it was, from 1.
    attempt: u32,
    #[serde(serialize_with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    at: DateTime<Utc>,
    /// `delivered`; `retrying`: it is tried again; `failed`: it was given up.
    outcome: &'static str,
    /// The status of the answer, if there was one.
    status: Option<u16>,
    /// Why it was no success.
    error: Option<String>,
    /// The beginning of the answer.
    response: Option<String>,
    duration_ms: u64,
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<DateTime<Utc>>,
}

impl From<Attempt> for DeliveryAnswer {
    fn from(attempt: Attempt) -> Self {
        Self {
            message_id: attempt.message,
            event_type: attempt.event_type,
            attempt: attempt.attempt,
            at: attempt.at,
            outcome: attempt.outcome.name(),
            status: attempt.status,
            error: attempt.error,
            response: attempt.excerpt,
            duration_ms: u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX),
            next_attempt_at: attempt.next_at,
        }
    }
}
