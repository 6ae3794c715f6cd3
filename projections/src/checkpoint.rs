//! How far each set of tables is, partition by partition. A checkpoint is written in the
//! transaction that writes the rows it accounts for, by compare-and-set: a worker that lost its
//! place changes nothing.

use hoplog_events::envelope::CommandId;
use hoplog_events::log::Seen;
use hoplog_events::position::{LogId, Sequence, Topic};
use uuid::Uuid;

use crate::database::{Database, DatabaseError, Purpose, Transaction, Value, bad_row};
use crate::partition::{Partitions, Share};
use crate::table_set::TableSet;

/// How far a share of a set of tables is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The tables.
    pub set: TableSet,
    /// The topic they are made of.
    pub topic: Topic,
    /// The log they are made of.
    pub log: LogId,
    /// Whose rows: those of one partition, or of all, which then are equally far.
    pub share: Share,
    /// The last event in them.
    pub sequence: Sequence,
    /// Whose that was, if it is known: a log that was put back to an older copy has, or will
    /// have, another event there.
    pub command_id: Option<CommandId>,
    /// Counts how often it changed which events are parked there: whoever folds has to know them.
    pub parking: i64,
}

impl Checkpoint {
    /// Moved on to an event.
    pub(crate) fn at(self, last: Seen) -> Self {
        let Seen { sequence, command_id } = last;
        Self { sequence, command_id: Some(command_id), ..self }
    }

    /// Where another set of parked events begins.
    pub(crate) fn with_other_parking(self) -> Self {
        Self { parking: self.parking + 1, ..self }
    }

    /// The parameters `$1` to `$4` of every statement about checkpoints.
    fn key(&self) -> [Value; 4] {
        [
            self.set.projection.into(),
            self.set.number.into(),
            self.topic.name().into(),
            self.log.to_string().into(),
        ]
    }

    /// Writes the checkpoints of a new set: as many rows as there are partitions.
    pub(crate) async fn insert(self, transaction: &mut Transaction) -> Result<(), DatabaseError> {
        let sql = "insert into checkpoints (projection, table_set, topic, log_id, sequence, \
                   partition) values ($1, $2, $3, $4, $5, $6)";
        for number in 0..self.share.of().count() {
            let place = [self.sequence.0.cast_signed().into(), i64::from(number).into()];
            let values = [&self.key()[..], &place[..]].concat();
            transaction.execute(sql.to_owned(), &values).await?;
        }
        Ok(())
    }

    /// Moves on from here. `false`: a checkpoint is not here any more, somebody else moved it;
    /// the transaction must be dropped.
    pub(crate) async fn advance(
        self,
        transaction: &mut Transaction,
        to: Self,
    ) -> Result<bool, DatabaseError> {
        let sql = "update checkpoints set sequence = $5, last_event = $9, parking = $11 \
                   where projection = $1 and table_set = $2 and topic = $3 and log_id = $4 \
                   and sequence = $6 and partition between $7 and $8 and parking = $10";
        let (first, last) = match self.share {
            Share::All(of) => (0, of.count() - 1),
            Share::One(partition) => (partition.number(), partition.number()),
        };
        let from = self.sequence.0.cast_signed();
        let last_event = Value::Text(to.command_id.map(|command| last_event(to.sequence, command)));
        let places = [to.sequence.0.cast_signed().into(), from.into()];
        let numbers = [i64::from(first).into(), i64::from(last).into(), last_event];
        let parking = [self.parking.into(), to.parking.into()];
        let values = [&self.key()[..], &places[..], &numbers[..], &parking[..]].concat();
        let moved = transaction.execute(sql.to_owned(), &values).await?;
        Ok(moved == u64::from(last - first + 1))
    }

    /// The checkpoints of a set, partition by partition; none: there is no such set.
    pub(crate) async fn load(
        database: &Database,
        purpose: Purpose,
        set: TableSet,
        topic: Topic,
    ) -> Result<Vec<Self>, DatabaseError> {
        let sql = "select log_id, sequence, last_event, parking from checkpoints \
                   where projection = $1 and table_set = $2 and topic = $3 order by partition";
        let values = [set.projection.into(), set.number.into(), topic.name().into()];
        let rows = database.fetch(purpose, sql.to_owned(), &values, |row| {
            let sequence = Sequence(row.count(1)?);
            let command_id = command_of(row.optional_text(2)?, sequence);
            Ok(((LogId(row.parse::<Uuid>(0)?), sequence), (command_id, row.int(3)?)))
        });
        let (rows, details): (Vec<_>, Vec<_>) = rows.await?.into_iter().unzip();
        let mut all = Self::split(set, topic, rows)?;
        for (checkpoint, (command_id, parking)) in all.iter_mut().zip(details) {
            (checkpoint.command_id, checkpoint.parking) = (command_id, parking);
        }
        Ok(all)
    }

    /// The rows of a set, in the order of the partitions; none: no set.
    pub(crate) fn split(
        set: TableSet,
        topic: Topic,
        rows: Vec<(LogId, Sequence)>,
    ) -> Result<Vec<Self>, DatabaseError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let of = u32::try_from(rows.len()).ok().and_then(Partitions::new);
        let of = of.ok_or_else(|| bad_row("too many checkpoints of one set"))?;
        let one = |(number, (log, sequence))| {
            let share = Share::One(of.get(number)?);
            Some(Self { set, topic, log, share, sequence, command_id: None, parking: 0 })
        };
        Ok((0..).zip(rows).filter_map(one).collect())
    }
}

/// What is kept of the last event. With its place: a process of a version before moves the
/// checkpoint and leaves this as it was.
fn last_event(at: Sequence, CommandId(command): CommandId) -> String {
    format!("{} {command}", at.0)
}

/// Whose the event at a checkpoint is, if what is kept is about that one.
fn command_of(last_event: Option<&str>, at: Sequence) -> Option<CommandId> {
    let (sequence, command) = last_event?.split_once(' ')?;
    let here = sequence.parse() == Ok(at.0);
    here.then(|| Uuid::parse_str(command).ok().map(CommandId))?
}

/// An expression for the last events in the rows of a table of this projection, to be read in the
/// statement that reads them: both then come from one state of the database. [`AsOf`] reads it;
/// `null`: there is no checkpoint.
pub(crate) fn as_of(projection: &str, table: &str) -> String {
    format!(
        "(select string_agg(cast(c.partition as text) || '=' || cast(c.sequence as text), ' ') \
         from checkpoints c where c.projection = '{projection}' \
         and '{projection}_' || c.table_set || '_{table}' = '{{{projection}.{table}}}')"
    )
}

/// What [`as_of`] gives: how far each partition is.
#[derive(Debug, Default)]
pub(crate) struct AsOf(Vec<(u32, Sequence)>);

impl AsOf {
    pub(crate) fn read(text: Option<&str>) -> Result<Self, DatabaseError> {
        let one = |word: &str| {
            let (partition, sequence) = word.split_once('=')?;
            Some((partition.parse().ok()?, Sequence(sequence.parse().ok()?)))
        };
        let all: Option<Vec<_>> = text.unwrap_or_default().split_whitespace().map(one).collect();
        all.map(Self).ok_or_else(|| bad_row("not the checkpoints of a set"))
    }

    /// The last event that a link's rows account for: its own partition's checkpoint.
    pub(crate) fn of(&self, link: &str) -> Sequence {
        let partitions = u32::try_from(self.0.len()).ok().and_then(Partitions::new);
        let number = partitions.map(|partitions| partitions.number_of(link));
        let found = self.0.iter().find(|(partition, _)| Some(*partition) == number);
        found.map_or(Sequence::START, |(_, sequence)| *sequence)
    }
}

/// The numbers of a projection's sets, in order.
pub(crate) async fn set_numbers(
    database: &Database,
    projection: &'static str,
) -> Result<Vec<i64>, DatabaseError> {
    let sql = "select distinct table_set from checkpoints where projection = $1 order by table_set";
    database
        .fetch(Purpose::Projection, sql.to_owned(), &[projection.into()], |row| row.int(0))
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_as_far_as_its_partition() {
        let two = Partitions::new(2).unwrap();
        let links = [0, 1].map(|number| {
            let mut names = (0..).map(|n| format!("default/c{n}"));
            names.find(|link| two.number_of(link) == number).unwrap()
        });
        let as_of = AsOf::read(Some("1=70 0=50")).unwrap();
        assert_eq!(links.each_ref().map(|link| as_of.of(link)), [Sequence(50), Sequence(70)]);
        assert_eq!(AsOf::read(Some("0=7")).unwrap().of("default/any"), Sequence(7));
        assert_eq!(AsOf::read(None).unwrap().of("default/any"), Sequence::START);
        assert!(AsOf::read(Some("7")).is_err());
    }
}
