//! From batches of clicks to one row per click.

use std::slice::Chunks;
use std::sync::Arc;

use async_trait::async_trait;
use hoplog_events::catalogue::DecodeError;
use hoplog_events::erasure::is_erasure;
use hoplog_events::position::Topic;

use super::decoded::{Decoded, DecodedClick};
use super::erased::ErasedVisitors;
use super::{BUILD_BATCH_BYTES, NAME, VERSION};
use crate::database::{Column, DatabaseError, PART_ROWS, Rows, Texts, Transaction};
use crate::partition::Share;
use crate::projection::{Changes, Projection, Table};
use crate::runner::Batch;
use crate::table_set::TableSet;
use crate::user_agents::UserAgents;

const COLUMNS: &[Column] = &[
    Column::Int("sequence"),
    Column::Int("place"),
    Column::Text("event_id"),
    Column::Text("link"),
    Column::Int("at"),
    Column::Int("recorded_at"),
    Column::Int("bot"),
    Column::Int("visitor"),
    Column::Text("class"),
    Column::Text("country"),
    Column::Text("region"),
    Column::Text("city"),
    Column::Text("device"),
    Column::Text("browser"),
    Column::Text("system"),
    Column::Text("referrer"),
    Column::Text("referrer_url"),
    Column::Text("language"),
    Column::Text("utm_source"),
    Column::Text("utm_medium"),
    Column::Text("utm_campaign"),
    Column::Text("utm_term"),
    Column::Text("utm_content"),
    Column::Text("variant"),
    Column::Text("rule"),
    Column::Text("user_agent"),
    Column::Text("address"),
    Column::Text("import_id"),
];

/// Keeps every click.
#[derive(Debug)]
pub struct ClicksProjection {
    agents: Arc<UserAgents>,
}

impl ClicksProjection {
    /// Classifies clicks with the agents that are remembered.
    #[must_use]
    pub fn new(agents: Arc<UserAgents>) -> Self {
        Self { agents }
    }
}

#[async_trait]
impl Projection for ClicksProjection {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i64 {
        VERSION
    }

    fn topic(&self) -> Topic {
        Topic::Clicks
    }

    fn definition(&self) -> &'static str {
        include_str!("tables.sql")
    }

    fn indexes(&self) -> &'static str {
        include_str!("indexes.sql")
    }

    fn keeps_order(&self) -> bool {
        false
    }

    fn tables(&self) -> &'static [Table] {
        &[Table { name: "clicks", key: &["sequence", "place"] }]
    }

    fn build_batch_bytes(&self) -> usize {
        BUILD_BATCH_BYTES
    }

    fn fold(&self, batch: &Batch, share: Share) -> Result<Box<dyn Changes>, DecodeError> {
        let mut erased = ErasedVisitors::default();
        for event in batch.events().iter().filter(|event| is_erasure(&event.event_type)) {
            erased.take(event, share)?;
        }
        Ok(Box::new(NewClicks { clicks: batch.clicks(share, &self.agents)?, erased }))
    }
}

/// The rows of some clicks.
fn rows(texts: &Arc<Texts>, clicks: &[DecodedClick]) -> Rows {
    let mut rows = Rows::of(COLUMNS, Arc::clone(texts));
    for click in clicks {
        let place = &click.place;
        rows.push(|row| {
            row.count(place.sequence.0)
                .count(place.index as u64)
                .text_id(click.event)
                .text_id(click.link)
                .int(click.at.timestamp_micros())
                .int(place.recorded_at.timestamp_micros())
                .int(click.class.is_bot().into())
                .int(click.visitor.0.cast_signed());
            for value in &click.values[1..] {
                row.text_id(*value);
            }
            row.optional_text_id(click.user_agent)
                .optional_text_id(click.address)
                .optional_text_id(click.import_id);
        });
    }
    rows
}

/// The rows, part by part.
struct Parts<'a> {
    texts: &'a Arc<Texts>,
    clicks: Chunks<'a, DecodedClick>,
}

impl Iterator for Parts<'_> {
    type Item = Rows;

    fn next(&mut self) -> Option<Rows> {
        self.clicks.next().map(|clicks| rows(self.texts, clicks))
    }
}

/// Clicks to be written.
struct NewClicks {
    clicks: Arc<Decoded>,
    /// What changes in rows that are there, these among them.
    erased: ErasedVisitors,
}

#[async_trait]
impl Changes for NewClicks {
    fn facts(&self) -> u64 {
        self.clicks.clicks.len() as u64
    }

    async fn write(
        self: Box<Self>,
        transaction: &mut Transaction,
        set: TableSet,
    ) -> Result<(), DatabaseError> {
        // The checkpoint keeps a batch from being written twice. If it did not, the key would: a
        // row that is there already is an error, not passed over.
        let Decoded { texts, clicks } = &*self.clicks;
        let times = clicks.iter().map(|click| click.at.timestamp_micros());
        let parts = Parts { texts, clicks: clicks.chunks(PART_ROWS) };
        transaction.append_by_month(&set.table("clicks"), times, parts).await?;
        self.erased.write(transaction, set).await
    }
}
