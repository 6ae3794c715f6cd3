//! Erasures that are under way: what each has set out to do is kept until everybody has been told, so
//! that one whose process died is brought to its end by another.
//!
//! This is no read model: it can't be computed from the log. Nothing that is to be erased is in it.

use hoplog_events::position::LogId;
use uuid::Uuid;

use crate::database::{Database, DatabaseError, Purpose, Row};

const DEFINITION: &str = "create table if not exists erasures ( \
    id {text} primary key, log_id {text} not null, plan {text} not null)";

/// The erasures of a database that are under way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Erasures {
    database: Database,
}

/// An erasure that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Its id. Those that were begun later have greater ones.
    pub id: Uuid,
    /// The log that it is about.
    pub log: LogId,
    /// What it has set out to do, as whoever began it wrote it down.
    pub plan: String,
}

impl Erasures {
    /// Opens the table, and makes it if it is missing.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn open(database: Database) -> Result<Self, DatabaseError> {
        let turn = database.definition_turn().await?;
        let mut transaction = database.begin().await?;
        transaction.define(DEFINITION).await?;
        transaction.commit().await?;
        drop(turn);
        Ok(Self { database })
    }

    /// Notes that one begins. When this returns, the note outlives also the machine's loss of power, as
    /// what is done to the log behind it does.
    ///
    /// # Errors
    /// When the database can't be written: then nothing may be begun.
    pub async fn begin(&self, begun: &Begun) -> Result<(), DatabaseError> {
        let sql = "insert into erasures (id, log_id, plan) values ($1, $2, $3)".to_owned();
        let Begun { id, log, plan } = begun;
        let values = [id.to_string().into(), log.to_string().into(), plan.as_str().into()];
        let mut transaction = self.database.begin_durable().await?;
        transaction.execute(sql, &values).await?;
        transaction.commit().await
    }

    /// The first that is under way behind an id.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn next(&self, after: Uuid) -> Result<Option<Begun>, DatabaseError> {
        self.first("id > $1", after).await
    }

    /// One that is under way.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn get(&self, id: Uuid) -> Result<Option<Begun>, DatabaseError> {
        self.first("id = $1", id).await
    }

    async fn first(&self, condition: &str, id: Uuid) -> Result<Option<Begun>, DatabaseError> {
        let sql =
            format!("select id, log_id, plan from erasures where {condition} order by id limit 1");
        let read = |row: &Row| {
            let (id, log) = (row.parse(0)?, LogId(row.parse(1)?));
            Ok(Begun { id, log, plan: row.text(2)?.to_owned() })
        };
        let values = [id.to_string().into()];
        let found = self.database.fetch(Purpose::Projection, sql, &values, read).await?;
        Ok(found.into_iter().next())
    }

    /// Notes that one is done.
    ///
    /// # Errors
    /// When the database can't be written: it is done once more then, which changes nothing.
    pub async fn end(&self, id: Uuid) -> Result<(), DatabaseError> {
        let sql = "delete from erasures where id = $1";
        self.database.change(sql, &[id.to_string().into()]).await.map(drop)
    }
}
