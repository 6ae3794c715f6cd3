//! The webhooks that there are, in memory: a part of the same fold as the keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hoplog_events::webhook::{WebhookEvent, WebhookId};

use crate::domain::webhook::{Webhook, WebhookState, evolve};

/// All webhooks, by id.
#[derive(Debug, Default)]
pub(super) struct Roster {
    there: BTreeMap<WebhookId, Arc<Webhook>>,
    deleted: BTreeSet<WebhookId>,
}

impl Roster {
    /// Takes an event over.
    pub(super) fn apply(&mut self, stream: &str, event: &WebhookEvent, at: DateTime<Utc>) {
        let Some(id) = id_of(stream) else { return };
        let before = self.there.remove(&id).map(Arc::unwrap_or_clone);
        let Some(webhook) = evolve(before, event, at) else { return };
        if webhook.state == WebhookState::Deleted {
            self.deleted.insert(id);
        } else {
            self.there.insert(id, Arc::new(webhook));
        }
    }

    /// What can't be read may be its end: nothing is sent any more.
    pub(super) fn distrust(&mut self, stream: &str) {
        if let Some(id) = id_of(stream) {
            self.there.remove(&id);
        }
    }

    pub(super) fn get(&self, id: WebhookId) -> Option<Arc<Webhook>> {
        self.there.get(&id).cloned()
    }

    /// All of them, the newest first.
    pub(super) fn list(&self) -> Vec<Arc<Webhook>> {
        let mut list: Vec<_> = self.there.values().cloned().collect();
        list.sort_by_key(|webhook| std::cmp::Reverse((webhook.created_at, webhook.id)));
        list
    }

    /// Whether there was such a webhook, which is gone.
    pub(super) fn was_deleted(&self, id: WebhookId) -> bool {
        self.deleted.contains(&id)
    }
}

fn id_of(stream: &str) -> Option<WebhookId> {
    stream.strip_prefix("webhook/")?.parse().ok()
}
