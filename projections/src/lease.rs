//! Who keeps a partition of a projection up to date where several processes share a database:
//! whoever holds its lease. What keeps the tables right is the checkpoint's compare-and-set; a
//! lease only saves work that would be thrown away. The clock is the database's, so that nodes
//! need not agree.

use std::time::Duration;

use hoplog_events::position::{LogId, Sequence, Topic};
use uuid::Uuid;

use crate::builds::{self, Build};
use crate::checkpoint::Checkpoint;
use crate::database::{Database, DatabaseError, Purpose, Row, bad_row};
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
    /// It shares the partitions with others.
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

/// A process that shares the partitions with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member(pub Uuid);

/// What a process has to know of a projection that others may be working on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The tables that are read now.
    pub(crate) active: TableSet,
    /// The version of the code that made them.
    pub(crate) version: i64,
    /// How many events are parked.
    pub(crate) parked: u64,
    /// The tables that are being built, if any are.
    pub(crate) build: Option<Build>,
    /// An operator stopped it, for everybody.
    pub(crate) paused: bool,
    /// The processes that have said lately that they are there.
    pub(crate) members: Vec<Member>,
    /// How far each partition is.
    pub(crate) checkpoints: Vec<Checkpoint>,
    /// Who holds it; `None`: nobody.
    pub(crate) holders: Vec<Option<Member>>,
}

impl Standing {
    /// The partitions that a member holds.
    pub(crate) fn held_by(&self, member: Member) -> impl Iterator<Item = u32> {
        let held = (0..).zip(&self.holders).filter(move |(_, holder)| **holder == Some(member));
        held.map(|(number, _)| number)
    }
}

/// One row for each partition.
fn standing_sql() -> String {
    format!(
        "select p.active_set, p.version, \
         cast(case when s.projection is null then 0 else 1 end as bigint), \
         (select string_agg(m.member, ' ') from members m \
         where m.projection = p.name and m.ends > {{now}}), \
         c.log_id, c.sequence, t.holder, \
         (select count(*) from parked k where k.projection = p.name \
         and k.table_set = p.active_set), {} \
         from projections p join checkpoints c \
         on c.projection = p.name and c.table_set = p.active_set and c.topic = $2 \
         left join pauses s on s.projection = p.name \
         left join builds b on b.projection = p.name and b.ends > {{now}} \
         left join turns t on t.projection = p.name and t.partition = c.partition \
         and t.ends > {{now}} where p.name = $1 order by c.partition",
        builds::COLUMNS
    )
}

/// How a projection stands; `None`: nobody has ever opened it.
pub(crate) async fn standing(
    database: &Database,
    projection: &'static str,
    topic: Topic,
) -> Result<Option<Standing>, DatabaseError> {
    let values = [projection.into(), topic.name().into()];
    let (mut shared, mut rows, mut holders) = (None, Vec::new(), Vec::new());
    let read = |row: &Row| {
        let members = row.optional_text(3)?.unwrap_or_default().split_whitespace().map(member);
        shared = Some(Standing {
            active: TableSet { projection, number: row.int(0)? },
            version: row.int(1)?,
            paused: row.int(2)? != 0,
            members: members.collect::<Result<_, _>>()?,
            parked: row.count(7)?,
            build: Build::read(row, 8)?,
            checkpoints: Vec::new(),
            holders: Vec::new(),
        });
        rows.push((LogId(row.parse(4)?), Sequence(row.count(5)?)));
        holders.push(row.optional_text(6)?.map(member).transpose()?);
        Ok(())
    };
    database.for_each(Purpose::Projection, standing_sql(), &values, read).await?;
    let Some(shared) = shared else { return Ok(None) };
    let checkpoints = Checkpoint::split(shared.active, topic, rows)?;
    Ok(Some(Standing { checkpoints, holders, ..shared }))
}

fn member(text: &str) -> Result<Member, DatabaseError> {
    text.parse().map(Member).map_err(|_| bad_row("not a member"))
}

/// Says that a member is there, and renews the leases that it holds. Returns how many those are.
pub(crate) async fn beat(
    database: &Database,
    projection: &'static str,
    member: Member,
) -> Result<u64, DatabaseError> {
    let here = "insert into members (projection, member, ends) values ($1, $2, {now} + $3) \
                on conflict (projection, member) do update set ends = excluded.ends";
    // Not of partitions that the tables had before a rebuild.
    let renew = "update turns set ends = {now} + $3 where projection = $1 and holder = $2 \
                 and exists (select 1 from projections p join checkpoints c \
                 on c.projection = p.name and c.table_set = p.active_set \
                 where p.name = turns.projection and c.partition = turns.partition)";
    let values = [projection.into(), member.0.to_string().into(), LEASE.into()];
    let mut transaction = database.begin().await?;
    transaction.execute(here.to_owned(), &values).await?;
    let renewed = transaction.execute(renew.to_owned(), &values).await?;
    transaction.commit().await?;
    Ok(renewed)
}

/// Takes a lease that nobody holds. `false`: somebody was faster.
pub(crate) async fn take(
    database: &Database,
    projection: &'static str,
    number: u32,
    member: Member,
) -> Result<bool, DatabaseError> {
    let sql = "insert into turns (projection, holder, ends, partition) values ($1, $2, {now} + $3, $4) \
         on conflict (projection, partition) do update \
         set holder = excluded.holder, ends = excluded.ends \
         where turns.holder = excluded.holder or turns.ends <= {now}";
    let member = member.0.to_string().into();
    let values = [projection.into(), member, LEASE.into(), i64::from(number).into()];
    Ok(database.change(sql, &values).await? == 1)
}

/// Gives a lease back, so that the next one need not wait for its end.
pub(crate) async fn give_back(
    database: &Database,
    projection: &'static str,
    number: u32,
    member: Member,
) -> Result<(), DatabaseError> {
    let sql = "delete from turns where projection = $1 and holder = $2 and partition = $3";
    let values = [projection.into(), member.0.to_string().into(), i64::from(number).into()];
    database.change(sql, &values).await.map(|_| ())
}

/// Gives all leases back, and says that the member is not there; the next [`beat`] says it is.
pub(crate) async fn leave(
    database: &Database,
    projection: &'static str,
    member: Member,
) -> Result<(), DatabaseError> {
    let values = [projection.into(), member.0.to_string().into()];
    let mut transaction = database.begin().await?;
    for sql in [
        "delete from turns where projection = $1 and holder = $2",
        "delete from members where projection = $1 and (member = $2 or ends <= {now})",
    ] {
        transaction.execute(sql.to_owned(), &values).await?;
    }
    transaction.commit().await
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
    database.change(sql, &[projection.into()]).await.map(|_| ())
}
