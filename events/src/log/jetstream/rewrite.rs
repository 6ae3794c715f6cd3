//! Rewriting: what an event becomes is stored, then the old message is overwritten and deleted.
//!
//! ```text
//!  check all ──► store the new ──► erase what is older of it ──► erase the old ──► replicas have it
//!                               a crash here leaves both: readers give the old one, and the same
//!                               again finishes it
//! ```
//!
//! A new body is made of the one that was read. So it is stored only if that is what the event still
//! is for the leaders, and if nothing was stored for it since (`Nats-Expected-Last-Subject-Sequence`):
//! of two that read the same, the second is told to read again.
//!
//! The servers check versions against the last message that they have of a subject. So the last
//! event of a link is not rewritten: its code could be claimed again. Of clicks it may be: who
//! appends there looks for the end of the stream among what was rewritten as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{ApiError, NO_MESSAGE, WRONG_LAST_SEQUENCE, WRONG_LAST_SEQUENCE_BUSY};
use super::read::{Found, FoundMessage, Reader};
use super::rewritten::Rewritten;
use super::{COMMAND_ID, EVENT_TYPE, STORED, VERSION};
use crate::envelope::{CommandId, RecordedEvent};
use crate::log::{ReadError, Rewrite, RewriteError};
use crate::position::{Sequence, Topic};

/// How many events are rewritten at the same time.
pub(super) const UNDER_WAY_MAX: usize = 16;

/// How much of what was rewritten of clicks that are gone is deleted at a time, and how often that is
/// looked for where much is rewritten.
const SWEPT_MAX: usize = 1_000;
const SWEEP_INTERVAL: Duration = Duration::from_mins(10);

/// Rewrites one log.
#[derive(Debug)]
pub(super) struct Rewriter {
    pub(super) reader: Reader,
    /// When it was looked for what is no longer kept.
    swept: Mutex<Option<Instant>>,
}

/// What is to be done.
struct Planned {
    /// The event as it is read now.
    event: RecordedEvent,
    body: Bytes,
    /// When it was stored.
    stored: DateTime<Utc>,
    /// Whether it is still where it was appended.
    is_kept: bool,
    /// The newest message that it was rewritten to; 0: there is none.
    newest: u64,
}

impl Planned {
    fn has_work(&self) -> bool {
        !self.is_kept || self.event.body != self.body
    }

    /// Whether a message is to be deleted for it that is there still: its own, or else one that it was
    /// rewritten to.
    fn is_to_erase(&self, its_own: bool) -> bool {
        self.event.body != self.body && self.is_kept == its_own
    }
}

/// A message that is gone.
struct Erased {
    name: String,
    sequence: u64,
    /// Deleted just now, not earlier or by somebody else.
    is_ours: bool,
}

/// What an event is.
struct Current {
    event: RecordedEvent,
    stored: DateTime<Utc>,
    is_kept: bool,
    newest: u64,
}

#[derive(Deserialize)]
struct Acknowledgement {
    seq: u64,
}

impl Rewriter {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader, swept: Mutex::default() }
    }

    /// All of these. Nothing is changed before every one was found.
    pub(super) async fn rewrite(&self, rewrites: Vec<Rewrite>) -> Result<(), RewriteError> {
        let topics: BTreeSet<Topic> = rewrites.iter().map(|rewrite| rewrite.topic).collect();
        if topics.contains(&Topic::Accounts) {
            return Err(RewriteError::Unsupported);
        }
        let planned: Vec<Planned> = stream::iter(rewrites)
            .map(|rewrite| self.plan(rewrite))
            .buffer_unordered(UNDER_WAY_MAX)
            .try_collect()
            .await?;
        for (name, erased) in self.carry_out_all(planned).await? {
            self.settle(&name, &erased).await?;
        }
        if topics.contains(&Topic::Clicks) {
            self.sweep().await;
        }
        Ok(())
    }

    /// Gives for each stream the messages that stand for all that were erased. Of those that are erased at
    /// the same time nobody knows the order in which the servers were told. So one of each stream is kept
    /// for last: a server that has done that has done all, also what others did before. One that
    /// others were faster with says nothing of the rest: then each speaks for itself.
    async fn carry_out_all(
        &self,
        mut planned: Vec<Planned>,
    ) -> Result<BTreeMap<String, Vec<u64>>, RewriteError> {
        let mut last = Vec::new();
        if self.reader.replicated {
            for (topic, its_own) in Topic::ALL.into_iter().flat_map(|it| [(it, false), (it, true)])
            {
                let stands_for_all =
                    |it: &Planned| it.event.position.topic == topic && it.is_to_erase(its_own);
                last.extend(
                    planned.iter().rposition(stands_for_all).map(|place| planned.remove(place)),
                );
            }
        }
        let erased: Vec<Vec<Erased>> = stream::iter(planned)
            .map(|planned| self.carry_out(planned))
            .buffer_unordered(UNDER_WAY_MAX)
            .try_collect()
            .await?;
        let mut by_stream = BTreeMap::<String, Vec<u64>>::new();
        for Erased { name, sequence, .. } in erased.into_iter().flatten() {
            by_stream.entry(name).or_default().push(sequence);
        }
        for planned in last {
            for Erased { name, sequence, is_ours } in self.carry_out(planned).await? {
                let of_stream = by_stream.entry(name).or_default();
                if is_ours {
                    of_stream.clear();
                }
                of_stream.push(sequence);
            }
        }
        Ok(by_stream)
    }

    async fn plan(&self, rewrite: Rewrite) -> Result<Planned, RewriteError> {
        let Rewrite { topic, sequence, command_id, read, body } = rewrite;
        let Current { event, stored, is_kept, newest } = self.current(topic, sequence).await?;
        if event.position.sequence != sequence || event.command_id != command_id {
            return Err(RewriteError::Missing);
        }
        if event.body != body {
            if event.body != read {
                return Err(RewriteError::Changed);
            }
            if is_kept && topic != Topic::Clicks {
                self.check_that_it_is_not_the_last(&event).await?;
            }
        }
        Ok(Planned { event, body, stored, is_kept, newest })
    }

    /// What an event is now, as the leaders have it. Where the old message and a new one are both
    /// there, somebody is between storing and deleting, or died there: what he stored counts, as
    /// he may be about to answer that it does.
    async fn current(&self, topic: Topic, sequence: Sequence) -> Result<Current, RewriteError> {
        let Reader { subjects, .. } = &self.reader;
        let (name, rewritten) = (subjects.stream_name(topic), subjects.rewritten_name());
        let kept = self.reader.stored(&name, &json!({ "seq": sequence.0 })).await?;
        // Behind that: what is deleted has a replacement by then.
        let last = json!({ "last_by_subj": subjects.rewritten_at(topic, sequence) });
        match (kept, self.reader.stored(&rewritten, &last).await?) {
            (None, None) => Err(RewriteError::Missing),
            (Some(kept), None) => {
                let event = self.reader.event(topic, &kept.message)?;
                Ok(Current { event, stored: kept.time, is_kept: true, newest: 0 })
            }
            (kept, Some(newest)) => {
                if kept.is_some() {
                    self.erase(&name, sequence.0).await?;
                }
                let Rewritten { event, stored } = self.reader.rewritten(&newest.message)?;
                Ok(Current { event, stored, is_kept: false, newest: newest.sequence })
            }
        }
    }

    async fn check_that_it_is_not_the_last(
        &self,
        event: &RecordedEvent,
    ) -> Result<(), RewriteError> {
        let subject = self.reader.subjects.of(&event.stream);
        let last = self.reader.leaders_last(event.position.topic, &subject).await?;
        if last.is_some_and(|last| last > event.position.sequence) {
            return Ok(());
        }
        let reason = format!(
            "event {} is the last of {}, which tells the servers whether the stream exists: append \
             something to it first",
            event.position.sequence, event.stream
        );
        Err(RewriteError::Unavailable(reason))
    }

    /// Gives what was erased for it, in that order.
    async fn carry_out(&self, planned: Planned) -> Result<Vec<Erased>, RewriteError> {
        let Planned { event, body, is_kept, .. } = &planned;
        let mut erased = Vec::new();
        if !planned.has_work() {
            return Ok(erased);
        }
        let (name, subject) =
            (self.reader.subjects.rewritten_name(), self.reader.subjects.rewritten(event));
        let newest = if event.body == *body {
            planned.newest
        } else {
            self.store(&planned, &subject).await?
        };
        // Where there was none before, the one that was stored is the first.
        if planned.newest > 0 {
            let next = json!({ "seq": 1, "next_by_subj": subject });
            while let Some(older) = self.message(&name, &next).await?.filter(|it| it.seq < newest) {
                let is_ours = self.erase(&name, older.seq).await?;
                erased.push(Erased { name: name.clone(), sequence: older.seq, is_ours });
            }
        }
        // Also where it is gone: who erased it may not have seen to it that the replicas did.
        let (topic, Sequence(sequence)) = (event.position.topic, event.position.sequence);
        let name = self.reader.subjects.stream_name(topic);
        let is_ours = *is_kept && self.erase(&name, sequence).await?;
        erased.push(Erased { name, sequence, is_ours });
        Ok(erased)
    }

    /// Stores what an event becomes, if nobody has stored anything else meanwhile. Gives its place.
    async fn store(&self, planned: &Planned, subject: &str) -> Result<u64, RewriteError> {
        let mut headers = headers(planned);
        headers.insert("Nats-Expected-Last-Subject-Sequence", planned.newest.to_string());
        let sent = self.reader.api.send(subject.to_owned(), headers, planned.body.clone()).await;
        match sent {
            Ok(Acknowledgement { seq }) => Ok(seq),
            Err(ApiError::Refused {
                code: WRONG_LAST_SEQUENCE | WRONG_LAST_SEQUENCE_BUSY, ..
            }) => Err(RewriteError::Changed),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Deletes what was rewritten of clicks that are no longer kept, some of it, if it was not looked
    /// for just now. Nothing ends on its own: how long clicks are kept may change.
    pub(super) async fn sweep(&self) {
        {
            let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
            if swept.is_some_and(|swept| swept.elapsed() < SWEEP_INTERVAL) {
                return;
            }
            *swept = Some(Instant::now());
        }
        if let Err(error) = self.sweep_some().await {
            tracing::warn!(%error, "what was rewritten of clicks that are gone stays for now");
        }
    }

    async fn sweep_some(&self) -> Result<(), RewriteError> {
        let subjects = &self.reader.subjects;
        let name = subjects.rewritten_name();
        let listed = self.reader.listed(&subjects.all_rewritten_clicks()).await?;
        if listed.is_empty() {
            return Ok(());
        }
        let oldest = self.reader.oldest(Topic::Clicks).await?;
        let gone = listed.into_iter().take_while(|(place, _)| *place < oldest).take(SWEPT_MAX);
        for (_, (_, subject)) in gone {
            let last = json!({ "last_by_subj": subject });
            while let Some(message) = self.message(&name, &last).await? {
                self.erase(&name, message.seq).await?;
            }
        }
        Ok(())
    }

    /// A message as the leader has it.
    async fn message(
        &self,
        name: &str,
        wanted: &Value,
    ) -> Result<Option<FoundMessage>, RewriteError> {
        match self.reader.api.ask::<Found>(&format!("STREAM.MSG.GET.{name}"), wanted).await {
            Ok(found) => Ok(Some(found.message)),
            Err(ApiError::Refused { code: NO_MESSAGE, .. }) => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Overwrites a message and deletes it. One that is gone is no error: `false`.
    async fn erase(&self, name: &str, sequence: u64) -> Result<bool, RewriteError> {
        let wanted = json!({ "seq": sequence, "no_erase": false });
        let request = format!("STREAM.MSG.DELETE.{name}");
        let deleted = self.reader.api.ask::<Value>(&request, &wanted).await;
        let Err(error) = deleted else { return Ok(true) };
        match self.message(name, &json!({ "seq": sequence })).await? {
            None => Ok(false),
            Some(_) => Err(unavailable(&error)),
        }
    }
}

fn headers(planned: &Planned) -> HeaderMap {
    let Planned { event, stored, .. } = planned;
    let mut headers = HeaderMap::new();
    let CommandId(command) = event.command_id;
    headers.insert(VERSION, event.version.to_string());
    headers.insert(COMMAND_ID, command.simple().to_string());
    headers.insert(EVENT_TYPE, &*event.event_type);
    headers.insert(STORED, stored.to_rfc3339());
    headers.insert("Content-Type", "application/cloudevents+json");
    headers
}

pub(super) fn unavailable(error: &ApiError) -> RewriteError {
    RewriteError::Unavailable(error.to_string())
}

impl From<ReadError> for RewriteError {
    fn from(error: ReadError) -> Self {
        RewriteError::Unavailable(error.to_string())
    }
}

#[cfg(test)]
mod tests;
