//! What an event makes of a webhook.

use chrono::{DateTime, Utc};
use hoplog_events::position::{Topic, Version};
use hoplog_events::webhook::{WebhookEvent, WebhookSettings, WebhookStart};

use super::{Webhook, WebhookState};

/// The webhook behind an event. What does not begin with its creation is none.
#[must_use]
pub fn evolve(
    webhook: Option<Webhook>,
    event: &WebhookEvent,
    at: DateTime<Utc>,
) -> Option<Webhook> {
    if let WebhookEvent::Created(created) = event {
        let created = created.clone();
        return Some(Webhook {
            id: created.id,
            owner: created.owner,
            settings: created.settings,
            secret: created.secret,
            previous: None,
            start: created.after,
            created_at: at,
            state: WebhookState::Active,
            version: Version(1),
        });
    }
    let mut webhook = webhook?;
    match event {
        WebhookEvent::Created(_) => {}
        WebhookEvent::Changed(changed) => {
            webhook.start = start(&webhook, &changed.settings, changed.after);
            webhook.settings = changed.settings.clone();
        }
        WebhookEvent::SecretRotated(rotated) => {
            let before = std::mem::replace(&mut webhook.secret, rotated.secret.clone());
            webhook.previous = Some((before, rotated.previous_until));
        }
        WebhookEvent::Disabled(disabled) => {
            webhook.state = WebhookState::Disabled { reason: disabled.reason, at };
        }
        WebhookEvent::Enabled(_) => webhook.state = WebhookState::Active,
        WebhookEvent::Deleted(_) => webhook.state = WebhookState::Deleted,
    }
    webhook.version = Version(webhook.version.0 + 1);
    Some(webhook)
}

/// What was not wanted before begins with the change.
fn start(before: &Webhook, settings: &WebhookSettings, after: WebhookStart) -> WebhookStart {
    let is_new = |topic| settings.read(topic) && !before.settings.read(topic);
    let mut start = before.start;
    if start.log != after.log {
        return after;
    }
    if is_new(Topic::Links) {
        start.links = after.links;
    }
    if is_new(Topic::Clicks) {
        start.clicks = after.clicks;
    }
    start
}
