//! The one writer: takes what has queued, commits it at once, answers.

use std::collections::HashMap;
use std::time::Instant;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot, watch};

use super::super::{Append, AppendError, Appended, Rewrite, RewriteError};
use super::files::OpenError;
use super::hold::Hold;
use super::insert::insert;
use super::plan::Plan;
use super::rewrite;
use crate::position::{LogId, Sequence, StreamId, Topic, Version};

/// Appends in one group at most.
const GROUP_APPENDS_MAX: usize = 2_048;

/// Bytes of bodies in one group at most, exceeded by one append at most.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Streams whose versions are remembered; about 100 bytes each.
const VERSIONS_MAX: usize = 20_000;

/// The answers to a group, in its order.
type Answers = Vec<Result<Appended, AppendError>>;

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Write this.
    Append(Pending),
    /// Put other bodies in the place of these.
    Rewrite(Rewriting),
    /// Write what has queued, then end.
    Close,
}

/// An append that waits for its answer.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) append: Append,
    pub(super) bytes: usize,
    pub(super) reply: oneshot::Sender<Result<Appended, AppendError>>,
}

/// What is to be rewritten, by somebody who waits for it.
#[derive(Debug)]
pub(super) struct Rewriting {
    pub(super) rewrites: Vec<Rewrite>,
    /// Whether the old bodies are gone, too.
    pub(super) reply: oneshot::Sender<Result<bool, RewriteError>>,
}

/// Owns the only connection that writes.
#[derive(Debug)]
pub(super) struct Writer {
    hold: Hold,
    log: LogId,
    heads: Vec<watch::Sender<Sequence>>,
    /// The versions of streams that were written lately. Nobody else writes, so they hold.
    versions: HashMap<StreamId, Version>,
    /// Whether the last group failed; told once, not once per group.
    failing: bool,
}

impl Writer {
    pub(super) fn new(hold: Hold, log: LogId, heads: Vec<watch::Sender<Sequence>>) -> Self {
        Self { hold, log, heads, versions: HashMap::new(), failing: false }
    }

    /// Writes until it is told to close or nobody is left to ask.
    pub(super) async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        while let Some(message) = messages.recv().await {
            let (group, rewriting) = gather(message, &mut messages);
            if !group.is_empty() {
                self.commit(group).await;
                if let Err(error) = self.hold.bound_wal().await {
                    tracing::warn!(%error, "the write-ahead log could not be made to begin anew");
                }
            }
            if let Some(Rewriting { rewrites, reply }) = rewriting {
                let _ = reply.send(self.rewrite(&rewrites).await);
            }
        }
        self.hold.close().await;
    }

    async fn commit(&mut self, group: Vec<Pending>) {
        let started = Instant::now();
        let result = self.write(&group).await;
        metrics::histogram!("hoplog_log_group_appends").record(to_f64(group.len()));
        metrics::histogram!("hoplog_log_append_seconds").record(started.elapsed().as_secs_f64());
        self.note_failing(result.as_ref().err());
        match result {
            Ok(answers) => {
                for (pending, answer) in group.into_iter().zip(answers) {
                    // A caller that went away has its events all the same.
                    let _ = pending.reply.send(answer);
                }
            }
            Err(error) => {
                let error = AppendError::Unavailable(error.to_string());
                for pending in group {
                    let _ = pending.reply.send(Err(error.clone()));
                }
            }
        }
    }

    fn note_failing(&mut self, error: Option<&OpenError>) {
        match error {
            Some(error) if !self.failing => tracing::error!(%error, "events can't be appended"),
            None if self.failing => tracing::info!("events can be appended again"),
            _ => {}
        }
        self.failing = error.is_some();
    }

    /// One transaction. If it fails, its connection goes with it: whether SQLite has ended the
    /// transaction, and even whether it was committed, is found out by a new one.
    async fn write(&mut self, group: &[Pending]) -> Result<Answers, OpenError> {
        let mut connection = self.connection().await?;
        let plan = self.transact(&mut connection, group).await?;
        self.hold.keep(connection);
        metrics::counter!("hoplog_log_append_events_total").increment(plan.rows.len() as u64);
        publish(&self.heads, &plan.heads);
        remember(&mut self.versions, plan.versions);
        Ok(plan.answers)
    }

    /// Puts other bodies in the place of old ones, of which the write-ahead log then holds no copy
    /// either; `false`: a reader keeps it from being emptied, and the same has to be asked again.
    async fn rewrite(&mut self, rewrites: &[Rewrite]) -> Result<bool, RewriteError> {
        let failed = |error: &dyn std::fmt::Display| RewriteError::Unavailable(error.to_string());
        let mut connection = self.connection().await.map_err(|error| failed(&error))?;
        let rewritten = rewrite::rewrite(&mut connection, rewrites).await;
        let rewritten = rewritten.map_err(|error| failed(&error))?;
        self.hold.keep(connection);
        rewritten?;
        self.hold.empty_wal().await.map_err(|error| failed(&error))
    }

    /// The connection, to be given back if all went well.
    async fn connection(&mut self) -> Result<SqliteConnection, OpenError> {
        match self.hold.take() {
            Some(connection) => Ok(connection),
            None => self.recover().await,
        }
    }

    /// Connects again, and forgets what may not be so.
    async fn recover(&mut self) -> Result<SqliteConnection, OpenError> {
        let (connection, heads) = self.hold.again(self.log).await?;
        self.versions.clear();
        publish(&self.heads, &heads);
        Ok(connection)
    }

    async fn transact<'g>(
        &self,
        connection: &mut SqliteConnection,
        group: &'g [Pending],
    ) -> Result<Plan<'g>, sqlx::Error> {
        let heads = self.heads.iter().map(|head| *head.borrow()).collect();
        let mut plan = Plan::new(self.log, heads);
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for topic in Topic::ALL {
            let of_topic = group.iter().map(|p| &p.append).filter(|a| a.stream.topic() == topic);
            let of_topic: Vec<&Append> = of_topic.collect();
            if !of_topic.is_empty() {
                plan.load(&mut transaction, topic, &of_topic, &self.versions).await?;
            }
        }
        for pending in group {
            plan.decide(&pending.append);
        }
        for topic in Topic::ALL {
            let rows: Vec<_> = plan.rows.iter().filter(|r| r.stream.topic() == topic).collect();
            insert(&mut transaction, topic, &rows).await?;
        }
        transaction.commit().await?;
        Ok(plan)
    }
}

/// Tells readers where the topics end.
fn publish(heads: &[watch::Sender<Sequence>], ends: &[Sequence]) {
    for (head, end) in heads.iter().zip(ends) {
        head.send_if_modified(|head| std::mem::replace(head, *end) != *end);
    }
}

/// Keeps the versions of the streams that were just written, within the bound.
fn remember(known: &mut HashMap<StreamId, Version>, written: HashMap<&StreamId, Version>) {
    if known.len() >= VERSIONS_MAX {
        known.clear();
    }
    for (stream, version) in written {
        match known.get_mut(stream) {
            Some(known) => *known = version,
            None => drop(known.insert(stream.clone(), version)),
        }
    }
}

/// The first message and every append that has queued behind it, within the bounds of a group and
/// up to what is to be rewritten.
fn gather(
    first: Message,
    messages: &mut mpsc::Receiver<Message>,
) -> (Vec<Pending>, Option<Rewriting>) {
    let (mut group, mut bytes) = (Vec::new(), 0);
    let mut next = Some(first);
    while let Some(message) = next {
        match message {
            Message::Append(pending) => {
                bytes += pending.bytes;
                group.push(pending);
            }
            Message::Rewrite(rewriting) => return (group, Some(rewriting)),
            // What queued before the close is still received; later sends fail.
            Message::Close => messages.close(),
        }
        if group.len() >= GROUP_APPENDS_MAX || bytes >= GROUP_BYTES_MAX {
            break;
        }
        next = messages.try_recv().ok();
    }
    (group, None)
}

fn to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
