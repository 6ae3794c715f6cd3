//! Clicks whose visitor was erased: their rows change where they stand.
//!
//! The event names a click by its event and its place in it, which it has on every log; the row's
//! key is a sequence, which a log that was moved counts otherwise. So the row is found among those
//! of its link and instant, by the index that tables have which are read. Tables that are being
//! built have no index yet, and need no change: they are made of the log, which was rewritten before
//! the event was appended, and no event is appended while tables are built that were begun before
//! that.

use hoplog_events::catalogue::{DecodeError, Event};
use hoplog_events::click::{ClickEvent, ErasedClickRecord};
use hoplog_events::envelope::RecordedEvent;

use super::NAME;
use crate::database::{Column, DatabaseError, Rows, Transaction};
use crate::partition::Share;
use crate::table_set::TableSet;

const ERASED: &[Column] = &[
    Column::Text("event_id"),
    Column::Int("place"),
    Column::Text("link"),
    Column::Int("at"),
    Column::Int("visitor"),
    Column::Text("user_agent"),
];

const ERASE: &str = "update {clicks.clicks} as c set visitor = batch.visitor, \
    user_agent = batch.user_agent, address = null from {rows} \
    where c.link = batch.link and c.at = batch.at and c.place = batch.place \
    and c.event_id = batch.event_id";

const PROJECTION: &[Column] = &[Column::Text("name")];

const READ_ACTIVE: &str =
    "select p.active_set from {rows} cross join projections p where p.name = batch.name";

/// What stands in the place of erased visitors.
#[derive(Debug)]
pub(super) struct ErasedVisitors(Rows);

impl Default for ErasedVisitors {
    fn default() -> Self {
        Self(Rows::new(ERASED))
    }
}

impl ErasedVisitors {
    /// Takes an event, if it is such a one.
    pub(super) fn take(&mut self, event: &RecordedEvent, share: Share) -> Result<(), DecodeError> {
        let Some(envelope) = event.decode()? else { return Ok(()) };
        let Event::Click(ClickEvent::Erased(erased)) = envelope.event else { return Ok(()) };
        for click in &erased.clicks {
            let link = format!("{}/{}", click.domain, click.code);
            if share.holds(&link) {
                push(&mut self.0, &link, click);
            }
        }
        Ok(())
    }

    /// Changes the rows, if they are of tables that are read.
    pub(super) async fn write(
        self,
        transaction: &mut Transaction,
        set: TableSet,
    ) -> Result<(), DatabaseError> {
        if self.0.is_empty() || !is_read(transaction, set).await? {
            return Ok(());
        }
        transaction.write(&set.render(ERASE), self.0).await?;
        transaction.mark_unscrubbed(&set.table("erased")).await
    }
}

fn push(rows: &mut Rows, link: &str, click: &ErasedClickRecord) {
    rows.push(|row| {
        row.text(click.event.hyphenated().encode_lower(&mut [0; 36]))
            .count(u64::from(click.place))
            .text(link)
            .int(click.at.timestamp_micros())
            .int(click.visitor.0.cast_signed())
            .optional_text(click.user_agent.as_deref());
    });
}

async fn is_read(transaction: &mut Transaction, set: TableSet) -> Result<bool, DatabaseError> {
    let mut rows = Rows::new(PROJECTION);
    rows.push(|row| {
        row.text(NAME);
    });
    let mut is_read = false;
    transaction
        .read(READ_ACTIVE, rows, |row| {
            is_read = row.int(0)? == set.number;
            Ok(())
        })
        .await?;
    Ok(is_read)
}
