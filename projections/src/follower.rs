//! How far something is that follows the log beside the read models and makes no rows, and whose turn it is to do so.
//!
//! It is no read model: what was done can't be computed from the log, and no rebuild does it again. So its place is beside
//! the deliveries, in a table of its own.

use std::sync::Arc;
use std::time::Duration;

use hoplog_events::position::{LogId, Sequence};
use uuid::Uuid;

use crate::database::{Database, DatabaseError, Purpose, Row};
use crate::deliveries::Deliveries;

const DEFINITION: &str = "create table if not exists followers (
    name {text} primary key,
    holder {text} not null,
    ends bigint not null,
    log_id {text},
    sequence bigint
);";

/// How long a turn lasts without another beat.
pub const TURN: Duration = Duration::from_secs(5);

/// One who follows the log: among the processes that share a database, one at a time.
#[derive(Debug, Clone)]
pub struct Follower {
    database: Database,
    name: &'static str,
    /// This process among those that share the database.
    holder: Arc<str>,
    alone: bool,
}

impl Follower {
    /// Opens the place of a follower, beside deliveries.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn open(deliveries: &Deliveries, name: &'static str) -> Result<Self, DatabaseError> {
        let database = deliveries.database().clone();
        let turn = database.definition_turn().await?;
        let mut transaction = database.begin().await?;
        transaction.define(DEFINITION).await?;
        transaction.commit().await?;
        drop(turn);
        let (holder, alone) = (Uuid::new_v4().to_string().into(), deliveries.are_alone());
        Ok(Self { database, name, holder, alone })
    }

    /// Takes the turn if nobody has it, or says that this process goes on with it. `false`: it is another one's.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn take_turn(&self) -> Result<bool, DatabaseError> {
        // Whoever is alone with the database waits for nobody: that was itself before a restart.
        let unless = if self.alone {
            ""
        } else {
            "where followers.holder = excluded.holder or followers.ends <= {now}"
        };
        let sql = format!(
            "insert into followers (name, holder, ends) values ($1, $2, {{now}} + $3) \
             on conflict (name) do update set holder = excluded.holder, ends = excluded.ends {unless}"
        );
        let values = [self.name.into(), (*self.holder).into(), TURN.into()];
        Ok(self.database.change(&sql, &values).await? == 1)
    }

    /// Whether nobody else can have a turn: it has to be taken once.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Everything up to here was followed; `None`: nothing was yet, or another log was.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn place(&self, log: LogId) -> Result<Option<Sequence>, DatabaseError> {
        let sql = "select sequence from followers where name = $1 and log_id = $2";
        let values = [self.name.into(), log.to_string().into()];
        let read = |row: &Row| Ok(Sequence(row.count(0)?));
        let found = self.database.fetch(Purpose::Projection, sql.to_owned(), &values, read).await?;
        Ok(found.into_iter().next())
    }

    /// Notes that everything up to here was followed. `false`: the turn is another process's.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn reach(&self, log: LogId, sequence: Sequence) -> Result<bool, DatabaseError> {
        let sql = "update followers set log_id = $3, sequence = $4 where name = $1 and holder = $2";
        let values = [
            self.name.into(),
            (*self.holder).into(),
            log.to_string().into(),
            sequence.0.cast_signed().into(),
        ];
        Ok(self.database.change(sql, &values).await? == 1)
    }
}
