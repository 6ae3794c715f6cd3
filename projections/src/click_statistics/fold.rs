//! From batches of clicks to counters and sketches. Everything merges by sum and union, so late
//! and shuffled clicks give the same rows.

use std::sync::Arc;

use async_trait::async_trait;
use hoplog_events::catalogue::DecodeError;
use hoplog_events::link::LinkKey;
use hoplog_events::position::Topic;

use super::cells::Counted;
use super::write::Writing;
use super::{NAME, VERSION};
use crate::clicks::BUILD_BATCH_BYTES;
use crate::database::{DatabaseError, Transaction};
use crate::partition::{Partitions, Share};
use crate::projection::{Changes, Projection, Table, alike};
use crate::runner::Batch;
use crate::table_set::TableSet;
use crate::user_agents::UserAgents;

/// Keeps counters and sketches.
#[derive(Debug)]
pub struct ClickStatisticsProjection {
    agents: Arc<UserAgents>,
}

impl ClickStatisticsProjection {
    /// Classifies clicks with the agents that are remembered.
    #[must_use]
    pub fn new(agents: Arc<UserAgents>) -> Self {
        Self { agents }
    }
}

#[async_trait]
impl Projection for ClickStatisticsProjection {
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

    fn build_batch_bytes(&self) -> usize {
        BUILD_BATCH_BYTES
    }

    fn tables(&self) -> &'static [Table] {
        &[
            Table { name: "totals", key: &["link"] },
            Table { name: "quarters", key: &["link", "bucket", "bot"] },
            Table { name: "sums", key: &["link", "bucket", "dimension", "value", "bot"] },
            Table { name: "unsummed", key: &["of_all", "step", "due", "link", "bucket"] },
        ]
    }

    fn fold(&self, batch: &Batch, share: Share) -> Result<Box<dyn Changes>, DecodeError> {
        let decoded = batch.clicks(share, &self.agents)?;
        Ok(Box::new(Batched { counted: Counted::of(&decoded, share.of()), partitions: share.of() }))
    }
}

/// What a batch of clicks adds up to.
struct Batched {
    counted: Counted,
    partitions: Partitions,
}

#[async_trait]
impl Changes for Batched {
    fn facts(&self) -> u64 {
        self.counted.clicks
    }

    fn links(&self) -> Vec<LinkKey> {
        // The rows of all links together are no link's.
        self.counted.totals.keys().filter_map(|link| link.parse().ok()).collect()
    }

    fn has_room(&self) -> bool {
        self.counted.has_room()
    }

    fn join(self: Box<Self>, later: Box<dyn Changes>) -> Result<Box<dyn Changes>, DatabaseError> {
        let counted = self.counted.join(alike::<Self>(later)?.counted)?;
        Ok(Box::new(Self { counted, partitions: self.partitions }))
    }

    async fn write(
        self: Box<Self>,
        transaction: &mut Transaction,
        set: TableSet,
    ) -> Result<(), DatabaseError> {
        Writing { transaction, set }.write(self.counted, self.partitions).await
    }
}
