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

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::api::{ApiError, NO_MESSAGE, WRONG_LAST_SEQUENCE, WRONG_LAST_SEQUENCE_BUSY};
use super::read::{Found, FoundMessage, Reader};
use super::rewritten::Rewritten;
use super::{COMMAND_ID, EVENT_TYPE, STORED, VERSION};
use crate::envelope::{CommandId, RecordedEvent};
use crate::log::{ReadError, Rewrite, RewriteError};
use crate::position::{Sequence, Topic};

/// How many events are rewritten at the same time.
const UNDER_WAY_MAX: usize = 16;

/// What was rewritten of clicks stays that much longer than they would: it is not to go before what
/// lies around it.
const SLACK: Duration = Duration::from_hours(1);

/// How often, and with which pause, the replicas are asked whether they have deleted what the
/// leader has.
const SETTLED_ATTEMPTS: u32 = 250;
const SETTLED_PAUSE: Duration = Duration::from_millis(20);

/// Rewrites one log.
#[derive(Debug)]
pub(super) struct Rewriter {
    pub(super) reader: Reader,
    /// How old clicks get.
    pub(super) clicks_max_age: Option<Duration>,
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

/// When a click gets too old.
#[derive(Clone, Copy)]
struct Ends {
    age: Duration,
    now: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Info {
    /// The server's clock.
    ts: DateTime<Utc>,
    #[serde(default)]
    cluster: Cluster,
}

#[derive(Deserialize, Default)]
struct Cluster {
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Replica {
    name: String,
    #[serde(default)]
    current: bool,
    #[serde(default)]
    offline: bool,
    #[serde(default)]
    lag: u64,
}

impl Rewriter {
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
        let ends = self.ends(&topics).await?;
        stream::iter(planned)
            .map(|planned| self.carry_out(planned, ends))
            .buffer_unordered(UNDER_WAY_MAX)
            .try_collect::<()>()
            .await?;
        for topic in topics {
            self.settle(&self.reader.subjects.stream_name(topic)).await?;
        }
        Ok(())
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

    /// When clicks get too old to be kept: how old, and what time it is for the servers.
    async fn ends(&self, topics: &BTreeSet<Topic>) -> Result<Option<Ends>, RewriteError> {
        match self.clicks_max_age {
            Some(age) if topics.contains(&Topic::Clicks) => {
                let now = self.info(&self.reader.subjects.rewritten_name()).await?.ts;
                Ok(Some(Ends { age, now }))
            }
            _ => Ok(None),
        }
    }

    async fn carry_out(&self, planned: Planned, ends: Option<Ends>) -> Result<(), RewriteError> {
        let Planned { event, body, is_kept, .. } = &planned;
        if *is_kept && event.body == *body {
            return Ok(());
        }
        let (name, subject) =
            (self.reader.subjects.rewritten_name(), self.reader.subjects.rewritten(event));
        let newest = if event.body == *body {
            planned.newest
        } else {
            self.store(&planned, &subject, ends).await?
        };
        let next = json!({ "seq": 1, "next_by_subj": subject });
        while let Some(older) = self.message(&name, &next).await?.filter(|it| it.seq < newest) {
            self.erase(&name, older.seq).await?;
        }
        if *is_kept {
            let (topic, sequence) = (event.position.topic, event.position.sequence);
            self.erase(&self.reader.subjects.stream_name(topic), sequence.0).await?;
        }
        Ok(())
    }

    /// Stores what an event becomes, if nobody has stored anything else meanwhile. Gives its place.
    async fn store(
        &self,
        planned: &Planned,
        subject: &str,
        ends: Option<Ends>,
    ) -> Result<u64, RewriteError> {
        let mut headers = headers(planned, ends);
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

    /// Deletes what was rewritten of clicks that are no longer kept: up to a number at a time.
    pub(super) async fn sweep(&self, count_max: usize) -> Result<(), RewriteError> {
        let subjects = &self.reader.subjects;
        let name = subjects.rewritten_name();
        let listed = self.reader.listed(&subjects.all_rewritten_clicks()).await?;
        if listed.is_empty() {
            return Ok(());
        }
        let oldest = self.reader.oldest(Topic::Clicks).await?;
        let gone = listed.into_iter().take_while(|(place, _)| *place < oldest).take(count_max);
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

    /// Overwrites a message and deletes it. One that is gone is no error.
    async fn erase(&self, name: &str, sequence: u64) -> Result<(), RewriteError> {
        let wanted = json!({ "seq": sequence, "no_erase": false });
        let request = format!("STREAM.MSG.DELETE.{name}");
        let deleted = self.reader.api.ask::<Value>(&request, &wanted).await;
        let Err(error) = deleted else { return Ok(()) };
        match self.message(name, &json!({ "seq": sequence })).await? {
            None => Ok(()),
            Some(_) => Err(unavailable(&error)),
        }
    }

    async fn info(&self, name: &str) -> Result<Info, RewriteError> {
        let info = self.reader.api.ask(&format!("STREAM.INFO.{name}"), &Value::Null).await;
        info.map_err(|error| unavailable(&error))
    }

    /// Waits until every server that answers reads has deleted what the leader has. One that is away
    /// does so before it answers any.
    async fn settle(&self, name: &str) -> Result<(), RewriteError> {
        let mut settled = BTreeSet::new();
        for _ in 0..SETTLED_ATTEMPTS {
            if !self.reader.replicated {
                return Ok(());
            }
            let Info { cluster, .. } = self.info(name).await?;
            let all = cluster.replicas.len();
            let done = cluster
                .replicas
                .into_iter()
                .filter(|replica| replica.offline || (replica.current && replica.lag == 0));
            settled.extend(done.map(|replica| replica.name));
            if settled.len() >= all {
                return Ok(());
            }
            sleep(SETTLED_PAUSE).await;
        }
        Err(RewriteError::Unavailable("a replica still has the old bytes".to_owned()))
    }
}

fn headers(planned: &Planned, ends: Option<Ends>) -> HeaderMap {
    let Planned { event, stored, .. } = planned;
    let mut headers = HeaderMap::new();
    let CommandId(command) = event.command_id;
    headers.insert(VERSION, event.version.to_string());
    headers.insert(COMMAND_ID, command.simple().to_string());
    headers.insert(EVENT_TYPE, &*event.event_type);
    headers.insert(STORED, stored.to_rfc3339());
    headers.insert("Content-Type", "application/cloudevents+json");
    if let Some(Ends { age, now }) = ends.filter(|_| event.position.topic == Topic::Clicks) {
        let passed = (now - *stored).to_std().unwrap_or_default();
        let left = (age + SLACK).saturating_sub(passed).as_secs().max(1);
        headers.insert("Nats-TTL", format!("{left}s"));
    }
    headers
}

fn unavailable(error: &ApiError) -> RewriteError {
    RewriteError::Unavailable(error.to_string())
}

impl From<ReadError> for RewriteError {
    fn from(error: ReadError) -> Self {
        RewriteError::Unavailable(error.to_string())
    }
}
