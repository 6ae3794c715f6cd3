//! Events that a projection can't handle, and those that have to wait for them.
//!
//! An event that can't be handled is parked with its error, and so is everything later in its
//! sequence: what a link became can't be told without what happened in between. Others go on. An
//! operator has the sequence tried again, or passes the event over; what is passed over stays so
//! in every set of tables that is built later.
//!
//! The rows are written in the transaction that moves the checkpoint over the events, and the
//! checkpoint counts the changes ([`crate::checkpoint::Checkpoint::parking`]): whoever folds finds
//! out in its own transaction that it knows of all of them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::position::{LogId, Sequence};

use crate::checkpoint::Checkpoint;
use crate::database::{
    Column, Database, DatabaseError, Purpose, Row, Rows, Transaction, Value, bad_row,
};
use crate::partition::Share;
use crate::projection::Projection;
use crate::table_set::TableSet;

/// The most events that a projection parks. When there are more, it is not about single events:
/// the projection fails.
pub const PARKED_MAX: u64 = 10_000;

/// The longest error that is kept, in characters.
const ERROR_MAX: usize = 1_000;

/// A sequence of events that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedSequence {
    /// Its name: a link as `domain/code`; or one event alone, where the order does not matter.
    pub sequence_of: String,
    /// The first of its events that waits.
    pub first: Sequence,
    /// What that one is.
    pub event_type: String,
    /// Why it can't be handled.
    pub error: String,
    /// How often that was tried.
    pub attempts: u64,
    /// How many events wait, the first one included.
    pub events: u64,
    /// Since when.
    pub parked_at: DateTime<Utc>,
}

/// What is done with an event that can't be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unhandled {
    /// It is parked: the tables are read.
    Park,
    /// The same, and nobody is told: the tables are compared with ones where it is parked.
    PassOver,
    /// It is an error: tables without it are not wanted.
    Refuse,
}

/// What a share of a set of tables is folded without.
#[derive(Debug, Clone)]
pub(crate) struct Aside {
    pub(crate) unhandled: Unhandled,
    sequences: HashSet<Box<str>>,
    skipped: HashSet<u64>,
}

impl Aside {
    /// What is parked and what an operator passed over. Read after the checkpoint. Of tables whose
    /// partitions move together nothing is parked: they are being built.
    pub(crate) async fn load(
        database: &Database,
        of: &Checkpoint,
        unhandled: Unhandled,
    ) -> Result<Self, DatabaseError> {
        let sql = "select distinct sequence_of from parked where projection = $1 \
                   and table_set = $2 and partition = $3";
        let mut sequences = HashSet::new();
        if let Share::One(partition) = of.share {
            let set = [of.set.projection.into(), of.set.number.into()];
            let values = [&set[..], &[i64::from(partition.number()).into()]].concat();
            let read = |row: &Row| Ok(row.text(0)?.into());
            let found = database.fetch(Purpose::Projection, sql.to_owned(), &values, read);
            sequences.extend(found.await?);
        }
        let skipped = skipped(database, of.set.projection, of.log).await?;
        Ok(Self { unhandled, sequences, skipped })
    }

    /// What several shares of a set are folded without.
    pub(crate) fn together(all: Vec<Self>, unhandled: Unhandled) -> Self {
        let mut together = Self { unhandled, sequences: HashSet::new(), skipped: HashSet::new() };
        for aside in all {
            together.sequences.extend(aside.sequences);
            together.skipped.extend(aside.skipped);
        }
        together
    }

    /// From now on the sequence waits.
    pub(crate) fn add(&mut self, sequence: String) {
        self.sequences.insert(sequence.into());
    }

    /// Whether there is nothing to be looked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.sequences.is_empty() && self.skipped.is_empty()
    }

    /// Whether an operator has passed the event over.
    pub(crate) fn skips(&self, event: &RecordedEvent) -> bool {
        self.skipped.contains(&event.position.sequence.0)
    }

    /// Whether the event has to wait for another one.
    pub(crate) fn waits(&self, event: &RecordedEvent, projection: &dyn Projection) -> bool {
        !self.sequences.is_empty()
            && self.sequences.contains(&*sequence_of(event, projection.keeps_order()))
    }
}

/// The name of the sequence that an event is of.
pub(crate) fn sequence_of(event: &RecordedEvent, ordered: bool) -> String {
    let stream = event.stream.key();
    if ordered { stream.to_owned() } else { format!("{stream}@{}", event.position.sequence.0) }
}

const PARKED: &[Column] = &[
    Column::Text("projection"),
    Column::Int("table_set"),
    Column::Int("partition"),
    Column::Int("sequence"),
    Column::Text("sequence_of"),
    Column::Text("event_type"),
    Column::Text("error"),
    Column::Int("attempts"),
];

const PARK: &str = "insert into parked (projection, table_set, partition, sequence, sequence_of, \
    event_type, error, attempts, parked_at) \
    select projection, table_set, partition, sequence, sequence_of, event_type, error, attempts, \
    {now} from {rows}";

/// Parks events of a partition: the one that can't be handled has an error, those that wait for
/// one have none.
pub(crate) async fn park(
    transaction: &mut Transaction,
    of: &Checkpoint,
    events: &[RecordedEvent],
    ordered: bool,
    error: Option<&str>,
) -> Result<(), DatabaseError> {
    let error = error.map(shortened);
    let mut rows = Rows::new(PARKED);
    for event in events {
        rows.push(|row| {
            row.text(of.set.projection)
                .int(of.set.number)
                .int(number(of.share).into())
                .count(event.position.sequence.0)
                .text(&sequence_of(event, ordered))
                .text(&event.event_type)
                .optional_text(error.as_deref())
                .int(error.is_some().into());
        });
    }
    transaction.write(PARK, rows).await
}

/// How many events of a set are parked.
pub(crate) async fn count(database: &Database, set: TableSet) -> Result<u64, DatabaseError> {
    let sql = "select count(*) from parked where projection = $1 and table_set = $2".to_owned();
    let values = [set.projection.into(), set.number.into()];
    let counts = database.fetch(Purpose::Projection, sql, &values, |row| row.count(0)).await?;
    Ok(counts.first().copied().unwrap_or_default())
}

/// Sequences that wait, in the order of their names, after one of those.
pub(crate) async fn list(
    database: &Database,
    set: TableSet,
    after: &str,
    limit: u32,
) -> Result<Vec<ParkedSequence>, DatabaseError> {
    let sql = "select sequence_of, min(sequence), count(distinct sequence), max(attempts), \
               min(parked_at), coalesce(max(error), ''), \
               coalesce(max(case when error is null then null else event_type end), '') \
               from parked where projection = $1 and table_set = $2 and sequence_of > $3 \
               group by sequence_of order by sequence_of limit $4";
    let values = [set.projection.into(), set.number.into(), after.into(), i64::from(limit).into()];
    let read = |row: &Row| {
        Ok(ParkedSequence {
            sequence_of: row.text(0)?.to_owned(),
            first: Sequence(row.count(1)?),
            events: row.count(2)?,
            attempts: row.count(3)?,
            parked_at: row.instant(4)?,
            error: row.text(5)?.to_owned(),
            event_type: row.text(6)?.to_owned(),
        })
    };
    database.fetch(Purpose::Projection, sql.to_owned(), &values, read).await
}

/// The events of a sequence that wait, by partition and in their order; at most so many.
pub(crate) async fn events_of(
    database: &Database,
    set: TableSet,
    sequence: &str,
    limit: u32,
) -> Result<Vec<(u32, Sequence)>, DatabaseError> {
    let sql = "select partition, sequence from parked where projection = $1 and table_set = $2 \
               and sequence_of = $3 order by partition, sequence limit $4";
    let values =
        [set.projection.into(), set.number.into(), sequence.into(), i64::from(limit).into()];
    let read = |row: &Row| {
        let partition = u32::try_from(row.int(0)?).map_err(|_| bad_row("not a partition"))?;
        Ok((partition, Sequence(row.count(1)?)))
    };
    database.fetch(Purpose::Projection, sql.to_owned(), &values, read).await
}

/// The rows of some of a sequence's events, up to one of them.
fn up_to(of: &Checkpoint, sequence: &str, last: Sequence) -> [Value; 5] {
    [
        of.set.projection.into(),
        of.set.number.into(),
        i64::from(number(of.share)).into(),
        sequence.into(),
        last.0.cast_signed().into(),
    ]
}

/// They wait no longer. Returns how many did.
pub(crate) async fn release(
    transaction: &mut Transaction,
    of: &Checkpoint,
    sequence: &str,
    last: Sequence,
) -> Result<u64, DatabaseError> {
    let sql = "delete from parked where projection = $1 and table_set = $2 and partition = $3 \
               and sequence_of = $4 and sequence <= $5";
    transaction.execute(sql.to_owned(), &up_to(of, sequence, last)).await
}

/// The first one was tried once more.
pub(crate) async fn note_attempt(
    database: &Database,
    of: &Checkpoint,
    sequence: &str,
    first: Sequence,
    error: &str,
) -> Result<(), DatabaseError> {
    let sql = "update parked set attempts = attempts + 1, error = $6 where projection = $1 \
               and table_set = $2 and partition = $3 and sequence_of = $4 and sequence = $5";
    let values = [&up_to(of, sequence, first)[..], &[shortened(error).into()]].concat();
    database.change(sql, &values).await.map(|_| ())
}

/// The event is passed over, in every set of tables from now on.
pub(crate) async fn skip(
    transaction: &mut Transaction,
    of: &Checkpoint,
    sequence: &str,
    event: Sequence,
) -> Result<(), DatabaseError> {
    let sql = "insert into skipped (projection, log_id, sequence, sequence_of, error, skipped_at) \
               select k.projection, $6, k.sequence, k.sequence_of, k.error, {now} from parked k \
               where k.projection = $1 and k.table_set = $2 and k.partition = $3 \
               and k.sequence_of = $4 and k.sequence = $5 on conflict do nothing";
    let values = [&up_to(of, sequence, event)[..], &[of.log.to_string().into()]].concat();
    transaction.execute(sql.to_owned(), &values).await?;
    release(transaction, of, sequence, event).await.map(|_| ())
}

/// Forgets what is parked of a set that goes away.
pub(crate) async fn forget(
    transaction: &mut Transaction,
    set: TableSet,
) -> Result<(), DatabaseError> {
    let sql = "delete from parked where projection = $1 and table_set = $2";
    let values = [set.projection.into(), set.number.into()];
    transaction.execute(sql.to_owned(), &values).await.map(|_| ())
}

async fn skipped(
    database: &Database,
    projection: &'static str,
    log: LogId,
) -> Result<HashSet<u64>, DatabaseError> {
    let sql = "select sequence from skipped where projection = $1 and log_id = $2".to_owned();
    let values = [projection.into(), log.to_string().into()];
    let all = database.fetch(Purpose::Projection, sql, &values, |row| row.count(0)).await?;
    Ok(all.into_iter().collect())
}

/// Under which number a share's events are parked.
fn number(share: Share) -> u32 {
    match share {
        Share::All(_) => 0,
        Share::One(partition) => partition.number(),
    }
}

fn shortened(error: &str) -> String {
    error.chars().take(ERROR_MAX).collect()
}
