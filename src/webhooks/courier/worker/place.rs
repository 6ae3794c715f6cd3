//! How far a webhook is in one topic.

use std::time::Duration;

use hoplog_events::log::{ReadError, Seen};
use hoplog_events::position::{Sequence, Topic};
use hoplog_projections::deliveries::Progress;
use tokio::time::Instant;

use super::WorkerError;
use crate::domain::webhook::Webhook;
use crate::webhooks::Webhooks;
use crate::webhooks::erasure::Erased;

/// How often it is kept that events were passed over which are not wanted. Whoever goes on from
/// before looks at them again and finds nothing, as before.
const KEEP_EVERY: Duration = Duration::from_secs(5);

/// The place of a webhook in a topic.
#[derive(Debug)]
pub(super) struct Place {
    topic: Topic,
    /// As it is kept; nothing: not looked at yet.
    kept: Option<Progress>,
    /// Everything up to here was looked at.
    seen: Sequence,
    kept_at: Instant,
}

/// What came of reading on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Read {
    /// There may be more.
    pub(super) more: bool,
    /// Messages were kept, to be sent.
    pub(super) has_kept: bool,
}

impl Place {
    pub(super) fn new(topic: Topic) -> Self {
        Self { topic, kept: None, seen: Sequence::START, kept_at: Instant::now() }
    }

    pub(super) fn topic(&self) -> Topic {
        self.topic
    }

    /// Looks at what comes next, and keeps what the webhook is to be told. Nothing, if it has been changed: then
    /// it may be told of something else.
    pub(super) async fn read_on(
        &mut self,
        webhooks: &Webhooks,
        webhook: &Webhook,
    ) -> Result<Read, WorkerError> {
        let kept = self.begin(webhooks, webhook).await?;
        let page = match webhooks.pages(self.topic).after(self.seen).await {
            Ok(page) => page,
            Err(ReadError::Unavailable(reason)) => {
                return Err(ReadError::Unavailable(reason).into());
            }
            Err(error) => return self.leap(webhooks, webhook, &error).await,
        };
        let Some(last) = page.events.last().map(Seen::from) else { return Ok(Read::default()) };
        webhooks.know_accounts(page.accounts).await?;
        if webhooks.keys.webhook(webhook.id).as_deref() != Some(webhook) {
            return Ok(Read { more: true, has_kept: false });
        }
        let now = webhooks.clock.now();
        let messages = webhooks.selection.messages(webhook, &page.events, now).await?;
        // Wanted or not: what the webhook still has of what is erased is erased with it.
        let erased = Erased::of(&page.events);
        let rewritten = webhooks.rewritten(webhook.id, &erased, &messages).await?;
        let is_news = !messages.is_empty() || !rewritten.is_empty();
        if is_news || self.kept_at.elapsed() >= KEEP_EVERY {
            let (id, topic) = (webhook.id, self.topic);
            let deliveries = &webhooks.deliveries;
            let advanced = deliveries.advance(id, topic, kept, last, &messages, &rewritten).await?;
            if !advanced {
                self.kept = None;
                return Err(WorkerError::NotMyTurn);
            }
            let (sequence, command) = (last.sequence, Some(last.command_id));
            self.kept = Some(Progress { sequence, last: command, ..kept });
            self.kept_at = Instant::now();
        }
        self.seen = last.sequence;
        Ok(Read { more: true, has_kept: !messages.is_empty() })
    }

    /// Where the webhook stands: behind what was there before it, or before it wanted it.
    async fn begin(
        &mut self,
        webhooks: &Webhooks,
        webhook: &Webhook,
    ) -> Result<Progress, WorkerError> {
        let log = webhooks.log.id();
        let start = webhook.start;
        let least = (start.log == log).then(|| start.of(self.topic));
        if let Some(kept) = self.kept.filter(|_| least.is_none_or(|least| self.seen >= least)) {
            return Ok(kept);
        }
        let found = webhooks.deliveries.progress(webhook.id, self.topic).await?;
        let found = found.filter(|found| found.log == log);
        let progress = match (found, least) {
            (Some(found), least) if least.is_none_or(|least| least <= found.sequence) => {
                self.confirm(webhooks, webhook, found).await?
            }
            (None, Some(least)) => {
                let founded = webhooks.deliveries.foundation(log, self.topic).await?;
                Progress { log, sequence: least.max(founded.unwrap_or_default()), last: None }
            }
            (Some(_), Some(sequence)) => Progress { log, sequence, last: None },
            // The log was moved: its places are others now.
            (None | Some(_), None) => self.head(webhooks).await?,
        };
        let sequence = progress.sequence;
        if found != Some(progress) {
            webhooks.deliveries.place(webhook.id, self.topic, progress).await?;
        }
        (self.kept, self.seen, self.kept_at) = (Some(progress), sequence, Instant::now());
        Ok(progress)
    }

    /// The log may have been put back since: then it has another event there, or none.
    async fn confirm(
        &self,
        webhooks: &Webhooks,
        webhook: &Webhook,
        found: Progress,
    ) -> Result<Progress, WorkerError> {
        let Some(command_id) = found.last else { return Ok(found) };
        let seen = Seen { sequence: found.sequence, command_id };
        match webhooks.log.confirm(self.topic, seen).await {
            Err(error @ ReadError::Rewound { .. }) => {
                gap(webhook, &error);
                self.put_back(webhooks).await
            }
            answer => Ok(answer.map(|()| found)?),
        }
    }

    /// Where to go on on a log that was put back: what has come since this process began is new.
    async fn put_back(&self, webhooks: &Webhooks) -> Result<Progress, WorkerError> {
        let head = self.head(webhooks).await?;
        Ok(Progress { sequence: head.sequence.min(webhooks.opened.of(self.topic)), ..head })
    }

    async fn head(&self, webhooks: &Webhooks) -> Result<Progress, WorkerError> {
        let head = webhooks.log.head(self.topic).await?;
        Ok(Progress { log: head.log, sequence: head.sequence, last: None })
    }

    /// What comes next is not on the log: it got too old to be kept, or the log was put back.
    async fn leap(
        &mut self,
        webhooks: &Webhooks,
        webhook: &Webhook,
        error: &ReadError,
    ) -> Result<Read, WorkerError> {
        gap(webhook, error);
        let progress = match error {
            ReadError::Trimmed { to, .. } => {
                Progress { log: webhooks.log.id(), sequence: *to, last: None }
            }
            _ => self.put_back(webhooks).await?,
        };
        let sequence = progress.sequence;
        webhooks.deliveries.place(webhook.id, self.topic, progress).await?;
        (self.kept, self.seen, self.kept_at) = (Some(progress), sequence, Instant::now());
        Ok(Read { more: true, has_kept: false })
    }
}

/// A webhook is not told of something.
fn gap(webhook: &Webhook, error: &ReadError) {
    tracing::error!(%error, webhook = %webhook.id, "a webhook is not told of some events");
    metrics::counter!("hoplog_webhook_gaps_total").increment(1);
}
