//! What follows from a command.

use hoplog_events::webhook::{
    WebhookChanged, WebhookCreated, WebhookDeleted, WebhookDisabled, WebhookEnabled, WebhookEvent,
    WebhookSecretRotated, WebhookSettings,
};

use super::{
    CreateWebhook, EditWebhook, PREVIOUS_SECRET, TYPES_MAX, Webhook, WebhookCommand, WebhookError,
    WebhookRequest, WebhookState,
};

/// What follows from a command on a webhook; nothing: it is so already.
///
/// # Errors
/// When the rules refuse it.
pub fn decide(
    webhook: Option<&Webhook>,
    request: &WebhookRequest,
) -> Result<Vec<WebhookEvent>, WebhookError> {
    if let WebhookCommand::Create(create) = &request.command {
        return match webhook {
            // The id of a new one is random, or its idempotency key's own.
            Some(_) => Err(WebhookError::NotFound),
            None => self::create(create, request),
        };
    }
    let webhook = webhook.filter(|webhook| webhook.is_seen_by(&request.requester));
    let webhook = webhook.ok_or(WebhookError::NotFound)?;
    let event = match &request.command {
        WebhookCommand::Create(_) => None,
        WebhookCommand::Edit(edit) => self::edit(webhook, edit, request)?,
        WebhookCommand::RotateSecret(secret) => {
            Some(WebhookEvent::SecretRotated(WebhookSecretRotated {
                secret: secret.clone(),
                previous_until: request.now + PREVIOUS_SECRET,
            }))
        }
        WebhookCommand::Disable(reason) => (webhook.state == WebhookState::Active)
            .then_some(WebhookEvent::Disabled(WebhookDisabled { reason: *reason })),
        WebhookCommand::Enable => (webhook.state != WebhookState::Active)
            .then_some(WebhookEvent::Enabled(WebhookEnabled {})),
        WebhookCommand::Delete => Some(WebhookEvent::Deleted(WebhookDeleted {})),
    };
    Ok(event.into_iter().collect())
}

fn create(
    create: &CreateWebhook,
    request: &WebhookRequest,
) -> Result<Vec<WebhookEvent>, WebhookError> {
    check(&create.settings, request)?;
    let CreateWebhook { id, owner, settings, secret, start } = create.clone();
    let created = WebhookCreated { id, owner, settings, secret, after: start };
    Ok(vec![WebhookEvent::Created(created)])
}

fn edit(
    webhook: &Webhook,
    edit: &EditWebhook,
    request: &WebhookRequest,
) -> Result<Option<WebhookEvent>, WebhookError> {
    let (now, edit) = (webhook.settings.clone(), edit.clone());
    let settings = WebhookSettings {
        url: edit.url.unwrap_or(now.url),
        types: edit.types.unwrap_or(now.types),
        link: edit.link.unwrap_or(now.link),
        tag: edit.tag.unwrap_or(now.tag),
        description: edit.description.unwrap_or(now.description),
    };
    if settings == webhook.settings {
        return Ok(None);
    }
    check(&settings, request)?;
    Ok(Some(WebhookEvent::Changed(WebhookChanged { settings, after: edit.start })))
}

fn check(settings: &WebhookSettings, request: &WebhookRequest) -> Result<(), WebhookError> {
    if !settings.url.as_str().starts_with("https:") && !request.plain_is_allowed {
        return Err(WebhookError::PlainHttp);
    }
    if settings.types.is_empty() || settings.types.len() > TYPES_MAX {
        return Err(WebhookError::Types);
    }
    Ok(())
}
