//! From batches of clicks to one row per click.

use std::sync::Arc;

use async_trait::async_trait;
use hoplog_events::catalogue::DecodeError;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::erasure::is_erasure;
use hoplog_events::position::Topic;

use super::NAME;
use super::batch::{ClickPlace, each_click};
use super::erased::ErasedVisitors;
use super::recorded::RecordedClick;
use crate::database::{Column, DatabaseError, Rows, Transaction};
use crate::dimension::Dimension;
use crate::partition::Share;
use crate::projection::{Changes, Projection, Table};
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
        2
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

    fn fold(
        &self,
        events: &[RecordedEvent],
        share: Share,
    ) -> Result<Box<dyn Changes>, DecodeError> {
        let erased = ErasedVisitors::default();
        let mut changes = NewClicks { rows: Rows::new(COLUMNS), count: 0, erased };
        for event in events {
            if is_erasure(&event.event_type) {
                changes.erased.take(event, share)?;
                continue;
            }
            each_click(event, share, |place, link, click| {
                push(&mut changes.rows, place, link, click, &self.agents);
                changes.count += 1;
            })?;
        }
        Ok(Box::new(changes))
    }
}

fn push(
    rows: &mut Rows,
    place: ClickPlace,
    link: &str,
    click: &RecordedClick<'_>,
    agents: &UserAgents,
) {
    let classified = click.classify(agents);
    let values = classified.values();
    rows.push(|row| {
        row.count(place.sequence.0)
            .count(place.index as u64)
            .text(place.event_id.hyphenated().encode_lower(&mut [0; 36]))
            .text(link)
            .int(click.at.timestamp_micros())
            .int(place.recorded_at.timestamp_micros())
            .int(classified.class.is_bot().into())
            .int(click.visitor.0.cast_signed());
        for dimension in Dimension::ALL.into_iter().skip(1) {
            row.text(values.get(dimension));
        }
        row.optional_text(click.user_agent())
            .optional_text(click.address())
            .optional_text(click.import_id());
    });
}

/// Clicks to be written.
struct NewClicks {
    rows: Rows,
    count: u64,
    /// What changes in rows that are there, these among them.
    erased: ErasedVisitors,
}

#[async_trait]
impl Changes for NewClicks {
    fn facts(&self) -> u64 {
        self.count
    }

    async fn write(
        self: Box<Self>,
        transaction: &mut Transaction,
        set: TableSet,
    ) -> Result<(), DatabaseError> {
        // The checkpoint keeps a batch from being written twice. If it did not, the key would: a
        // row that is there already is an error, not passed over.
        transaction.append_by_month(&set.table("clicks"), self.rows).await?;
        self.erased.write(transaction, set).await
    }
}
