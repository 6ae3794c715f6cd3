//! Who keeps a projection up to date where several processes share a database: whoever holds its
//! lease. What keeps the tables right is the checkpoint's compare-and-set; a lease only saves
//! work that would be thrown away. Its clock is the database's, so that nodes need not agree.

use std::time::Duration;

use uuid::Uuid;

use crate::database::{Database, DatabaseError, Purpose, Value};
use crate::table_set::TableSet;

/// How long a lease lasts: a projector that was killed is replaced after this, and a poll.
pub const LEASE: Duration = Duration::from_secs(2);

/// How often the holder renews it; two renewals may fail.
pub(crate) const RENEWAL: Duration = Duration::from_millis(600);

/// What a process does for the read models of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It keeps them up to date, and nobody else does.
    Alone,
    /// It takes turns with others.
    Member(Member),
    /// It only reads what others keep up to date.
    Reader,
}

impl Part {
    /// Whether others may work on the same tables.
    #[must_use]
    pub fn takes_turns(self) -> bool {
        self != Self::Alone
    }
}

/// A process that takes turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member(pub Uuid);

/// What a process has to know of a projection that others may be working on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The tables that are read now.
    pub(crate) active: TableSet,
    /// An operator stopped it, for everybody.
    pub(crate) paused: bool,
    /// Nobody holds the lease.
    pub(crate) vacant: bool,
}

/// How a projection stands; `None`: nobody has ever opened it.
pub(crate) async fn standing(
    database: &Database,
    projection: &'static str,
) -> Result<Option<Standing>, DatabaseError> {
    let sql = "select p.active_set, \
               cast(case when s.projection is null then 0 else 1 end as bigint), \
               cast(case when l.ends > {now} then 0 else 1 end as bigint) from projections p \
               left join pauses s on s.projection = p.name \
               left join leases l on l.projection = p.name where p.name = $1";
    let values = [projection.into()];
    let rows = database.fetch(Purpose::Projection, sql.to_owned(), &values, |row| {
        let active = TableSet { projection, number: row.int(0)? };
        Ok(Standing { active, paused: row.int(1)? != 0, vacant: row.int(2)? != 0 })
    });
    Ok(rows.await?.into_iter().next())
}

/// Takes or renews a lease. `false`: somebody else holds it.
pub(crate) async fn take(
    database: &Database,
    projection: &'static str,
    member: Member,
) -> Result<bool, DatabaseError> {
    let free = "where leases.holder = excluded.holder or leases.ends <= {now}";
    hold(database, projection, member, free).await
}

/// Takes a lease away from whoever holds it; they notice at the next renewal, at the latest.
pub(crate) async fn seize(
    database: &Database,
    projection: &'static str,
    member: Member,
) -> Result<bool, DatabaseError> {
    hold(database, projection, member, "").await
}

async fn hold(
    database: &Database,
    projection: &'static str,
    member: Member,
    unless: &str,
) -> Result<bool, DatabaseError> {
    let sql = format!(
        "insert into leases (projection, holder, ends) values ($1, $2, {{now}} + $3) \
         on conflict (projection) do update set holder = excluded.holder, ends = excluded.ends \
         {unless}"
    );
    let micros = i64::try_from(LEASE.as_micros()).unwrap_or(i64::MAX);
    let values = [projection.into(), member.0.to_string().into(), micros.into()];
    Ok(change(database, sql, &values).await? == 1)
}

/// Gives a lease back, so that the next one need not wait for its end.
pub(crate) async fn give_back(
    database: &Database,
    projection: &'static str,
    member: Member,
) -> Result<(), DatabaseError> {
    let sql = "delete from leases where projection = $1 and holder = $2".to_owned();
    change(database, sql, &[projection.into(), member.0.to_string().into()]).await.map(|_| ())
}

/// Stops a projection, or lets it go on, in every process.
pub(crate) async fn set_paused(
    database: &Database,
    projection: &'static str,
    paused: bool,
) -> Result<(), DatabaseError> {
    let sql = if paused {
        "insert into pauses (projection) values ($1) on conflict (projection) do nothing"
    } else {
        "delete from pauses where projection = $1"
    };
    change(database, sql.to_owned(), &[projection.into()]).await.map(|_| ())
}

async fn change(database: &Database, sql: String, values: &[Value]) -> Result<u64, DatabaseError> {
    let mut transaction = database.begin().await?;
    let changed = transaction.execute(sql, values).await?;
    transaction.commit().await?;
    Ok(changed)
}
