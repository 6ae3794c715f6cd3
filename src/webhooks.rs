//! Webhooks: whoever subscribes is told of events over HTTP, signed as Standard Webhooks says.
//!
//! ```text
//! log ──► pages ──► selection ──► messages (in the database, with the checkpoint)
//!                                    │
//!                  courier: one process for all, a worker for each webhook
//!                                    │
//!                                    ▼
//!           sender ──► targets (is that address allowed?) ──► the receiver
//! ```
//!
//! The rules are in [`crate::domain::webhook`]; [`manage`] is their write path; which webhooks
//! there are is a part of what [`crate::accounts::KeyRing`] knows. Where to start reading:
//! [`courier`].

use std::sync::Arc;

use chrono::{DateTime, Utc};
use hoplog_events::envelope::rfc3339;
use hoplog_events::log::{EventLog, ReadError};
use hoplog_events::position::{Sequence, Topic};
use hoplog_events::webhook::{WebhookId, WebhookStart};
use hoplog_projections::DatabaseError;
use hoplog_projections::deliveries::{Attempt, Deliveries, Outcome};
use hoplog_projections::link_directory::LinkDirectory;
use serde_json::json;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::accounts::KeyRing;
use crate::clock::Clock;
use crate::domain::webhook::Webhook;

pub mod courier;
pub mod erasure;
pub mod guard;
pub mod manage;
mod pages;
mod schedule;
pub mod secret;
mod selection;
mod sender;
mod signature;
pub mod targets;

use pages::Pages;
use selection::Selection;
use sender::{Answer, Parcel, Sender};
use targets::Targets;

/// How many messages a process sends at once.
const SENDS_MAX: usize = 128;

/// How many tests a process sends at once.
const TESTS_MAX: usize = 16;

/// The type of the event in a test message; no log has one.
pub const TEST_TYPE: &str = "hoplog.webhook.test.v1";

/// Everything that deliveries need. One per process.
#[derive(Debug)]
pub struct Webhooks {
    /// What became of everything.
    pub deliveries: Deliveries,
    /// Where messages may go.
    pub targets: Arc<Targets>,
    log: Arc<dyn EventLog>,
    /// Where the log ended when this process began.
    opened: WebhookStart,
    keys: Arc<KeyRing>,
    clock: Clock,
    selection: Selection,
    sender: Sender,
    links: Pages,
    clicks: Pages,
    sends: Arc<Semaphore>,
    tests: Semaphore,
}

/// Why no test was sent.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// Try again a little later.
    #[error("too many tests are under way")]
    Busy,
    /// It was sent, but not written down.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Webhooks {
    /// Puts the parts together; nothing is sent yet. `opened`: where the log ends now.
    #[must_use]
    pub fn new(
        log: &Arc<dyn EventLog>,
        opened: WebhookStart,
        keys: &Arc<KeyRing>,
        deliveries: Deliveries,
        directory: LinkDirectory,
        targets: Targets,
        clock: &Clock,
    ) -> Self {
        let targets = Arc::new(targets);
        Self {
            deliveries,
            sender: Sender::new(&targets),
            targets,
            keys: Arc::clone(keys),
            clock: clock.clone(),
            selection: Selection::new(Arc::clone(log), directory),
            links: Pages::new(Arc::clone(log), Topic::Links),
            clicks: Pages::new(Arc::clone(log), Topic::Clicks),
            log: Arc::clone(log),
            opened,
            sends: Arc::new(Semaphore::new(SENDS_MAX)),
            tests: Semaphore::new(TESTS_MAX),
        }
    }

    /// Sends a message that tells of nothing, now, and gives what the receiver said. `seed`: what
    /// its id is made of, so that a request that is sent twice sends the same message.
    ///
    /// # Errors
    /// See [`TestError`].
    pub async fn test(&self, webhook: &Webhook, seed: Uuid) -> Result<Attempt, TestError> {
        let _place = self.tests.try_acquire().map_err(|_| TestError::Busy)?;
        let (at, message) = (self.clock.now(), message_id(webhook.id, seed));
        let body = json!({
            "specversion": "1.0", "id": seed, "source": "/hoplog", "type": TEST_TYPE,
            "subject": webhook.id.stream().key(), "time": rfc3339(at),
            "datacontenttype": "application/json", "data": { "webhook": webhook.id.to_string() },
        });
        let answer = self.send(webhook, &message, body.to_string(), at).await;
        count(if answer.is_success() { "delivered" } else { "failed" });
        let outcome = if answer.is_success() { Outcome::Delivered } else { Outcome::Failed };
        let attempt = attempt(message, TEST_TYPE.to_owned(), 1, at, outcome, answer);
        self.deliveries.record_test(webhook.id, &attempt).await?;
        Ok(attempt)
    }

    async fn send(&self, webhook: &Webhook, id: &str, body: String, at: DateTime<Utc>) -> Answer {
        let (url, secrets) = (webhook.settings.url.clone(), webhook.secrets(at));
        let timestamp = at.timestamp();
        let signatures = signature::header(&secrets, id, timestamp, &body);
        self.sender.send(Parcel { url, id, timestamp, signatures, body }).await
    }

    /// Accounts for what webhooks were changed to, here or by another node, up to a place in ACCOUNTS.
    async fn know_accounts(&self, sequence: Sequence) -> Result<(), ReadError> {
        if self.keys.applied() >= sequence {
            return Ok(());
        }
        self.keys.catch_up(&self.log, sequence).await
    }

    fn pages(&self, topic: Topic) -> &Pages {
        if topic == Topic::Clicks { &self.clicks } else { &self.links }
    }
}

/// The id of the message that tells a webhook of an event: the same at every attempt, and on
/// every node.
fn message_id(webhook: WebhookId, event: Uuid) -> String {
    format!("msg_{}", Uuid::new_v5(&webhook.0, event.as_bytes()).simple())
}

/// What is written down of an attempt.
fn attempt(
    message: String,
    event_type: String,
    attempt: u32,
    at: DateTime<Utc>,
    outcome: Outcome,
    answer: Answer,
) -> Attempt {
    let Answer { status, error, excerpt, duration, .. } = answer;
    let next_at = None;
    Attempt { message, event_type, attempt, at, outcome, status, error, excerpt, duration, next_at }
}

fn count(outcome: &'static str) {
    metrics::counter!("hoplog_webhook_deliveries_total", "outcome" => outcome).increment(1);
}
