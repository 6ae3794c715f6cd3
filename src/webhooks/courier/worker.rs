//! The worker of one webhook: reads the log for it, and sends what is due.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use hoplog_events::log::ReadError;
use hoplog_events::position::Topic;
use hoplog_events::webhook::WebhookId;
use hoplog_projections::DatabaseError;
use hoplog_projections::deliveries::{Message, Waiting};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::webhook::{Webhook, WebhookState};
use crate::webhooks::Webhooks;
use crate::webhooks::erasure::KeptError;
use crate::webhooks::manage::ManageError;
use crate::webhooks::selection::SelectionError;
use crate::webhooks::sender::Answer;

mod outcome;
mod place;

use place::Place;

/// How many messages of a webhook are sent at once.
const LANES_MAX: usize = 4;

/// How many messages of a webhook may wait before no more are read from the log: the rest waits
/// there.
const WAITING_MAX: u64 = 1_000;

/// How many messages of clicks may wait for their first attempt before no more clicks are read.
const NEW_CLICKS_MAX: u64 = 4;

/// How long to wait when the log or the database is away.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest a worker sleeps.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// Why a worker can't go on just now.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkerError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Selection(#[from] SelectionError),
    #[error(transparent)]
    Manage(#[from] ManageError),
    #[error(transparent)]
    Kept(#[from] KeptError),
    #[error("another process delivers")]
    NotMyTurn,
}

/// A message that was sent.
struct Sent {
    message: Message,
    at: DateTime<Utc>,
    answer: Answer,
}

/// The worker of one webhook.
pub(super) struct Worker {
    webhooks: Arc<Webhooks>,
    id: WebhookId,
    wake: Arc<Notify>,
    shutdown: CancellationToken,
    places: [Place; 2],
    under_way: FuturesUnordered<BoxFuture<'static, Sent>>,
    busy: Vec<String>,
    /// The last attempt failed: one at a time will do.
    fails: bool,
    /// How many outcomes in a row could not be kept.
    unkept: u32,
    /// What waited when it was last looked at.
    waiting: Waiting,
    /// Something happened since then.
    is_stale: bool,
}

impl Worker {
    pub(super) fn new(
        webhooks: Arc<Webhooks>,
        id: WebhookId,
        wake: Arc<Notify>,
        shutdown: CancellationToken,
    ) -> Self {
        let places = [Topic::Links, Topic::Clicks].map(Place::new);
        let (under_way, busy) = (FuturesUnordered::new(), Vec::new());
        let (fails, unkept, waiting, is_stale) = (false, 0, Waiting::default(), true);
        Self {
            webhooks,
            id,
            wake,
            shutdown,
            places,
            under_way,
            busy,
            fails,
            unkept,
            waiting,
            is_stale,
        }
    }

    /// Works until the webhook is active no more.
    pub(super) async fn work(mut self) {
        let mut links = self.webhooks.pages(Topic::Links).news();
        let mut clicks = self.webhooks.pages(Topic::Clicks).news();
        while let Some(webhook) = self.active() {
            let sleep = match self.go_on(&webhook).await {
                Ok(until) => until,
                Err(error) => {
                    tracing::warn!(%error, webhook = %self.id, "a webhook waits");
                    PAUSE
                }
            };
            let until = Instant::now() + sleep;
            let read = [Topic::Links, Topic::Clicks].map(|topic| webhook.settings.read(topic));
            tokio::select! {
                () = self.shutdown.cancelled() => return self.finish().await,
                Some(sent) = self.under_way.next() => self.settle(sent).await,
                () = self.wake.notified() => self.is_stale = true,
                _ = links.changed(), if read[0] => {}
                _ = clicks.changed(), if read[1] => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// Hears what receivers say to what is under way, and begins nothing.
    async fn finish(mut self) {
        while let Some(sent) = self.under_way.next().await {
            self.settle(sent).await;
        }
    }

    fn active(&self) -> Option<Arc<Webhook>> {
        let webhook = self.webhooks.keys.webhook(self.id);
        webhook.filter(|webhook| webhook.state == WebhookState::Active)
    }

    /// Does what there is to do now; how long until there is more, at the latest.
    async fn go_on(&mut self, webhook: &Arc<Webhook>) -> Result<Duration, WorkerError> {
        self.look().await?;
        let more = self.waiting.messages < WAITING_MAX && self.read_on(webhook).await?;
        self.look().await?;
        let now = self.webhooks.clock.now();
        let left = self.waiting.next.map(|next| (next - now).to_std().unwrap_or_default());
        if left.is_some_and(|left| left.is_zero()) {
            // As it is after the events were read: what was changed before they happened is known.
            let Some(webhook) = self.active() else { return Ok(Duration::ZERO) };
            self.send_due(&webhook).await?;
        }
        if more {
            return Ok(Duration::ZERO);
        }
        Ok(match left {
            // What is due and was not begun waits for what is under way: here, or elsewhere.
            Some(Duration::ZERO) if self.under_way.is_empty() => PAUSE,
            Some(Duration::ZERO) | None => SLEEP_MAX,
            Some(left) => left.min(SLEEP_MAX),
        })
    }

    /// Looks at what waits, if that may have changed.
    async fn look(&mut self) -> Result<(), WorkerError> {
        if self.is_stale {
            self.waiting = self.webhooks.deliveries.waiting(self.id).await?;
            self.is_stale = false;
        }
        Ok(())
    }

    /// Reads a page of each topic; whether there may be more.
    async fn read_on(&mut self, webhook: &Webhook) -> Result<bool, WorkerError> {
        let mut more = false;
        // Clicks are sent one message behind the other: those that come meanwhile gather on the
        // log, and go together.
        let is_full = self.waiting.new_clicks >= NEW_CLICKS_MAX;
        for place in &mut self.places {
            let waits = place.topic() == Topic::Clicks && is_full;
            if webhook.settings.read(place.topic()) && !waits {
                let read = place.read_on(&self.webhooks, webhook).await?;
                more |= read.more;
                self.is_stale |= read.has_kept;
            }
        }
        Ok(more)
    }

    /// Begins to send what is due, as far as there is room: here, and in the process.
    async fn send_due(&mut self, webhook: &Arc<Webhook>) -> Result<(), WorkerError> {
        let lanes_max = if self.fails { 1 } else { LANES_MAX };
        let room = lanes_max.saturating_sub(self.busy.len());
        let place = |_| Arc::clone(&self.webhooks.sends).try_acquire_owned().ok();
        let mut places: Vec<_> = (0..room).map_while(place).collect();
        while !places.is_empty() {
            let (id, now) = (self.id, self.webhooks.clock.now());
            let due = self.webhooks.deliveries.due(id, now, &self.busy, places.len()).await?;
            if due.is_empty() {
                self.is_stale |= self.under_way.is_empty();
                break;
            }
            for message in due {
                if self.busy.contains(&message.lane) {
                    continue;
                }
                let Some(place) = places.pop() else { break };
                self.busy.push(message.lane.clone());
                let (webhooks, webhook) = (Arc::clone(&self.webhooks), Arc::clone(webhook));
                self.under_way.push(Box::pin(async move {
                    let sent = send(&webhooks, &webhook, message).await;
                    drop(place);
                    sent
                }));
            }
        }
        Ok(())
    }
}

async fn send(webhooks: &Webhooks, webhook: &Webhook, message: Message) -> Sent {
    let at = webhooks.clock.now();
    let answer = webhooks.send(webhook, &message.id, message.body.clone(), at).await;
    Sent { message, at, answer }
}
