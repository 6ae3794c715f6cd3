//! How far each set of tables is. The checkpoint is written in the transaction that writes the
//! rows it accounts for, by compare-and-set: a worker that lost its place changes nothing.

use hoplog_events::position::{LogId, Sequence, Topic};
use uuid::Uuid;

use crate::database::{Database, DatabaseError, Purpose, Transaction};
use crate::table_set::TableSet;

/// The tables that this crate keeps about the projections themselves.
pub(crate) const DEFINITION: &str = include_str!("checkpoint.sql");

/// How far a set of tables is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The tables.
    pub set: TableSet,
    /// The topic they are made of.
    pub topic: Topic,
    /// The log they are made of.
    pub log: LogId,
    /// The last event in them.
    pub sequence: Sequence,
}

impl Checkpoint {
    /// The parameters `$1` to `$4` of every statement about one checkpoint.
    fn key(&self) -> [crate::database::Value; 4] {
        [
            self.set.projection.into(),
            self.set.number.into(),
            self.topic.name().into(),
            self.log.to_string().into(),
        ]
    }

    /// Writes a new set's checkpoint.
    pub(crate) async fn insert(self, transaction: &mut Transaction) -> Result<(), DatabaseError> {
        let sql = "insert into checkpoints (projection, table_set, topic, log_id, sequence) \
                   values ($1, $2, $3, $4, $5)";
        let values = [&self.key()[..], &[self.sequence.0.cast_signed().into()]].concat();
        transaction.execute(sql.to_owned(), &values).await?;
        Ok(())
    }

    /// Moves on from here. `false`: the checkpoint is not here any more, somebody else moved it;
    /// the transaction must be dropped.
    pub(crate) async fn advance(
        self,
        transaction: &mut Transaction,
        to: Sequence,
    ) -> Result<bool, DatabaseError> {
        let sql = "update checkpoints set sequence = $5 where projection = $1 \
                   and table_set = $2 and topic = $3 and log_id = $4 and sequence = $6";
        let places = [to.0.cast_signed().into(), self.sequence.0.cast_signed().into()];
        let values = [&self.key()[..], &places[..]].concat();
        Ok(transaction.execute(sql.to_owned(), &values).await? == 1)
    }

    /// The checkpoint of a set; `None`: there is no such set.
    pub(crate) async fn load(
        database: &Database,
        purpose: Purpose,
        set: TableSet,
        topic: Topic,
    ) -> Result<Option<Self>, DatabaseError> {
        let sql = "select log_id, sequence from checkpoints \
                   where projection = $1 and table_set = $2 and topic = $3";
        let values = [set.projection.into(), set.number.into(), topic.name().into()];
        let rows = database.fetch(purpose, sql.to_owned(), &values, |row| {
            let log = LogId(row.parse::<Uuid>(0)?);
            Ok(Self { set, topic, log, sequence: Sequence(row.count(1)?) })
        });
        Ok(rows.await?.into_iter().next())
    }
}

/// An expression for the last event in the rows of a table of this projection, to be read in the
/// statement that reads them: both then come from one state of the database. `null`: there is
/// no checkpoint.
pub(crate) fn as_of(projection: &str, table: &str) -> String {
    format!(
        "(select c.sequence from checkpoints c where c.projection = '{projection}' \
         and '{projection}_' || c.table_set || '_{table}' = '{{{projection}.{table}}}')"
    )
}

/// The highest set number that a projection ever had a checkpoint for, and all that exist.
pub(crate) async fn set_numbers(
    database: &Database,
    projection: &'static str,
) -> Result<Vec<i64>, DatabaseError> {
    let sql = "select table_set from checkpoints where projection = $1 order by table_set";
    database
        .fetch(Purpose::Projection, sql.to_owned(), &[projection.into()], |row| row.int(0))
        .await
}
