//! Delivers: one process for all that share a database, with a worker for each webhook.
//!
//! ```text
//! turn taken ──► a worker for each active webhook ──► turn lost, or shutdown: all workers end
//!                  read the log ──► keep messages ──► send what is due ──► keep what became of it
//! ```
//!
//! A worker holds up nobody but its own webhook, and sends few messages at once; all of them
//! together are bounded as well. What was under way when a process ends is sent again by the next
//! one, under the same id.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hoplog_events::position::Topic;
use hoplog_events::webhook::WebhookId;
use hoplog_projections::DatabaseError;
use hoplog_projections::deliveries::TURN;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Webhooks;
use crate::domain::webhook::WebhookState;

#[cfg(test)]
mod tests;
mod worker;

use worker::Worker;

/// How often the turn is said to go on; several may fail.
const BEAT: Duration = Duration::from_secs(1);

/// How long receivers have at shutdown to answer what is under way.
const FINISH_TIMEOUT: Duration = Duration::from_secs(3);

/// How often old attempts are dropped, in beats.
const TRIM_BEATS: u64 = 60;

/// A worker that runs.
#[derive(Debug)]
struct Running {
    wake: Arc<Notify>,
    task: AbortHandle,
}

/// All workers of this process.
#[derive(Debug, Default)]
struct Staff {
    shutdown: CancellationToken,
    tasks: JoinSet<Option<WebhookId>>,
    running: HashMap<WebhookId, Running>,
    followed: Vec<Topic>,
}

/// Delivers whenever it is this process's turn, until shutdown.
pub async fn run(webhooks: Arc<Webhooks>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = somebody_subscribes(&webhooks) => {}
        }
        match webhooks.deliveries.take_turn().await {
            Ok(true) => deliver(&webhooks, &shutdown).await,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the turn at webhooks can't be taken"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(BEAT) => {}
        }
    }
    if let Err(error) = webhooks.deliveries.give_turn_back().await {
        tracing::debug!(%error, "the turn at webhooks is not given back");
    }
}

/// Where there are no webhooks, nothing is done.
async fn somebody_subscribes(webhooks: &Webhooks) {
    let mut changes = webhooks.keys.changes();
    while webhooks.keys.webhooks().is_empty() {
        // Never closed.
        let _ = changes.changed().await;
    }
}

/// Until the turn is over.
async fn deliver(webhooks: &Arc<Webhooks>, shutdown: &CancellationToken) {
    let mut staff = Staff { shutdown: shutdown.clone(), ..Staff::default() };
    let mut changes = webhooks.keys.changes();
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut taken, mut beat) = (Instant::now(), 0_u64);
    let mut tidying: Option<JoinHandle<()>> = None;
    loop {
        staff.meet(webhooks, changes.has_changed().unwrap_or_default());
        changes.mark_unchanged();
        tokio::select! {
            () = shutdown.cancelled() => {
                staff.finish().await;
                break;
            }
            _ = changes.changed() => changes.mark_changed(),
            Some(ended) = staff.tasks.join_next() => staff.leave(ended.ok().flatten()),
            _ = beats.tick() => {
                beat += 1;
                let before = Instant::now();
                match on_beat(webhooks, &staff).await {
                    Ok(true) => taken = before,
                    Ok(false) => break,
                    Err(error) => tracing::warn!(%error, "webhooks can't be looked after"),
                }
                if !webhooks.deliveries.are_alone() && taken.elapsed() > TURN {
                    break;
                }
                // Beside the beats: with many webhooks it takes longer than a turn.
                if beat % TRIM_BEATS == 1 && tidying.as_ref().is_none_or(JoinHandle::is_finished) {
                    tidying = Some(tokio::spawn(tidy(Arc::clone(webhooks))));
                }
            }
        }
    }
    staff.tasks.shutdown().await;
    // Whoever delivers now counts.
    metrics::gauge!("hoplog_webhook_pending").set(0.0);
}

/// Goes on with the turn, and wakes whoever has something to send; `false`: the turn is another
/// process's.
async fn on_beat(webhooks: &Webhooks, staff: &Staff) -> Result<bool, DatabaseError> {
    if !webhooks.deliveries.are_alone() && !webhooks.deliveries.take_turn().await? {
        return Ok(false);
    }
    for id in webhooks.deliveries.due_webhooks(webhooks.clock.now()).await? {
        if let Some(running) = staff.running.get(&id) {
            running.wake.notify_one();
        }
    }
    let waiting = webhooks.deliveries.waiting_in_all().await?;
    #[expect(clippy::cast_precision_loss, reason = "a metric")]
    metrics::gauge!("hoplog_webhook_pending").set(waiting as f64);
    Ok(true)
}

/// Drops what is too old, and what belongs to webhooks that are gone.
async fn tidy(webhooks: Arc<Webhooks>) {
    if let Err(error) = try_to_tidy(&webhooks).await {
        tracing::warn!(%error, "old deliveries are not dropped");
    }
}

async fn try_to_tidy(webhooks: &Webhooks) -> Result<(), DatabaseError> {
    for id in webhooks.deliveries.known().await? {
        if webhooks.keys.webhook_was_deleted(id) {
            webhooks.deliveries.forget(id).await?;
        } else {
            webhooks.deliveries.trim(id, webhooks.clock.now()).await?;
        }
    }
    Ok(())
}

impl Staff {
    /// A worker for each webhook that is active, and none for others: those end by themselves.
    fn meet(&mut self, webhooks: &Arc<Webhooks>, has_changed: bool) {
        for webhook in webhooks.keys.webhooks() {
            if webhook.state == WebhookState::Active {
                for topic in [Topic::Links, Topic::Clicks] {
                    self.follow(webhooks, topic, webhook.settings.read(topic));
                }
            }
            if let Some(running) = self.running.get(&webhook.id) {
                if has_changed {
                    running.wake.notify_one();
                }
                continue;
            }
            if webhook.state != WebhookState::Active {
                continue;
            }
            let (id, wake) = (webhook.id, Arc::new(Notify::new()));
            let (wakes, shutdown) = (Arc::clone(&wake), self.shutdown.clone());
            let worker = Worker::new(Arc::clone(webhooks), id, wakes, shutdown);
            let task = self.tasks.spawn(async move {
                worker.work().await;
                Some(id)
            });
            self.running.insert(id, Running { wake, task });
        }
    }

    /// Follows a topic that somebody reads, once.
    fn follow(&mut self, webhooks: &Arc<Webhooks>, topic: Topic, is_read: bool) {
        if !is_read || self.followed.contains(&topic) {
            return;
        }
        self.followed.push(topic);
        let webhooks = Arc::clone(webhooks);
        self.tasks.spawn(async move {
            webhooks.pages(topic).follow().await;
            None
        });
    }

    /// Waits for the workers, which end by themselves at shutdown, but not for ever.
    async fn finish(&mut self) {
        let all = async {
            while !self.running.is_empty() {
                let Some(ended) = self.tasks.join_next().await else { return };
                self.leave(ended.ok().flatten());
            }
        };
        // What is under way still is sent again.
        let _ = tokio::time::timeout(FINISH_TIMEOUT, all).await;
    }

    /// A worker has ended; what it left is looked for at the next meeting.
    fn leave(&mut self, id: Option<WebhookId>) {
        match id {
            Some(id) => drop(self.running.remove(&id)),
            // One that broke down does not say who it was.
            None => self.running.retain(|_, running| !running.task.is_finished()),
        }
    }
}
