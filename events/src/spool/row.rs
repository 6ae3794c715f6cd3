//! Batches as rows. Every statement is a transaction of its own.

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use uuid::Uuid;

use super::{Backlog, Lane, SpooledBatch, Ticket};
use crate::envelope::{CommandId, NewEvent};
use crate::position::{StreamId, Topic, Version};

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    batch: &SpooledBatch,
) -> Result<(), sqlx::Error> {
    let insert = sqlx::query(
        "INSERT INTO batch \
         (lane, stream, version, command_id, event_id, event_type, clicks, since, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    let insert = insert
        .bind(batch.lane)
        .bind(batch.stream.key())
        .bind(i64::try_from(batch.version.0).unwrap_or(i64::MAX))
        .bind(batch.command_id.0.as_bytes().as_slice())
        .bind(batch.event.id.as_bytes().as_slice())
        .bind(&*batch.event.event_type)
        .bind(batch.clicks)
        .bind(batch.since.timestamp_micros())
        .bind(batch.event.body.as_ref());
    insert.execute(connection).await.map(drop)
}

pub(super) async fn first(
    connection: &mut SqliteConnection,
    lane: Lane,
) -> Result<Option<(Ticket, SpooledBatch)>, sqlx::Error> {
    let select = sqlx::query(
        "SELECT id, stream, version, command_id, event_id, event_type, clicks, since, body \
         FROM batch WHERE lane = $1 ORDER BY id LIMIT 1",
    );
    let row = select.bind(lane).fetch_optional(connection).await?;
    row.map(|row| Ok((Ticket(row.try_get(0)?), batch(lane, &row)?))).transpose()
}

fn batch(lane: Lane, row: &SqliteRow) -> Result<SpooledBatch, sqlx::Error> {
    let event = NewEvent {
        id: uuid(row.try_get(4)?)?,
        event_type: row.try_get::<&str, _>(5)?.into(),
        body: row.try_get::<Vec<u8>, _>(8)?.into(),
    };
    Ok(SpooledBatch {
        lane,
        stream: StreamId::new(Topic::Clicks, row.try_get::<&str, _>(1)?),
        version: Version(row.try_get::<i64, _>(2)?.unsigned_abs()),
        command_id: CommandId(uuid(row.try_get(3)?)?),
        event,
        clicks: row.try_get(6)?,
        since: instant(row.try_get(7)?)?,
    })
}

pub(super) async fn remove(
    connection: &mut SqliteConnection,
    ticket: Ticket,
) -> Result<(), sqlx::Error> {
    let delete = sqlx::query("DELETE FROM batch WHERE id = $1").bind(ticket.0);
    delete.execute(connection).await.map(drop)
}

pub(super) async fn withdraw(
    connection: &mut SqliteConnection,
    command: CommandId,
) -> Result<(), sqlx::Error> {
    let delete = sqlx::query("DELETE FROM batch WHERE command_id = $1");
    delete.bind(command.0.as_bytes().as_slice()).execute(connection).await.map(drop)
}

pub(super) async fn backlogs(
    connection: &mut SqliteConnection,
) -> Result<Vec<Backlog>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT lanes.lane, batches, waiting, oldest, stream, version \
         FROM (SELECT lane, COUNT(*) AS batches, SUM(clicks) AS waiting, MIN(since) AS oldest, \
                      MAX(id) AS last FROM batch GROUP BY lane) AS lanes \
         JOIN batch ON batch.id = lanes.last ORDER BY lanes.lane",
    );
    rows.fetch_all(connection).await?.iter().map(backlog).collect()
}

fn backlog(row: &SqliteRow) -> Result<Backlog, sqlx::Error> {
    Ok(Backlog {
        lane: row.try_get(0)?,
        batches: row.try_get::<i64, _>(1)?.unsigned_abs(),
        clicks: row.try_get::<i64, _>(2)?.unsigned_abs(),
        since: instant(row.try_get(3)?)?,
        stream: StreamId::new(Topic::Clicks, row.try_get::<&str, _>(4)?),
        next: Version(row.try_get::<i64, _>(5)?.unsigned_abs() + 1),
    })
}

fn uuid(bytes: &[u8]) -> Result<Uuid, sqlx::Error> {
    Uuid::from_slice(bytes).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn instant(micros: i64) -> Result<DateTime<Utc>, sqlx::Error> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| sqlx::Error::Decode("not an instant".into()))
}
