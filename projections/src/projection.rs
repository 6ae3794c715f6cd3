//! What a read model promises to the runner.

use std::any::Any;

use async_trait::async_trait;
use hoplog_events::catalogue::DecodeError;
use hoplog_events::link::LinkKey;
use hoplog_events::position::Topic;

use crate::database::{DatabaseError, Transaction, bad_row};
use crate::partition::Share;
use crate::runner::Batch;
use crate::table_set::TableSet;

/// One table of a projection.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The name inside the set.
    pub name: &'static str,
    /// The columns that tell its rows apart.
    pub key: &'static [&'static str],
}

/// A read model: how the events of one topic become rows. `docs/projections.md` shows one that is
/// written from the beginning.
///
/// # What every projection owes the runner
///
/// 1. **The events decide alone.** The same events give the same rows, byte for byte: no clock,
///    no randomness, nothing from outside.
/// 2. **Batches do not matter.** Cutting the same events into other batches gives the same rows.
/// 3. **Partitions share no row.** A row is changed by the facts of links of one partition only,
///    so that several processes can write the same tables. Whatever counts links together has a
///    row for each partition, and whoever reads adds them up.
/// 4. **A new version for new rows.** When the rows that the same events give change, `version`
///    changes too, and the tables are built again.
#[async_trait]
pub trait Projection: Send + Sync + std::fmt::Debug {
    /// The name in commands, metrics and table names.
    fn name(&self) -> &'static str;

    /// Which rows this code makes of the events.
    fn version(&self) -> i64;

    /// The topic it reads.
    fn topic(&self) -> Topic;

    /// The definition of its tables; they are called `{name.table}` in it.
    fn definition(&self) -> &'static str;

    /// Indexes that its questions need and its writes don't, each made `if not exists`: when the tables
    /// are full, and at a start with tables that lack one.
    fn indexes(&self) -> &'static str {
        ""
    }

    /// Whether what an event means depends on what came before it in its stream. If one can't be
    /// handled, the stream's later ones then wait for it; otherwise each stands for itself.
    fn keeps_order(&self) -> bool {
        true
    }

    /// How much is folded at once while tables are built, in bytes of events. More is better where
    /// many facts meet in one row.
    fn build_batch_bytes(&self) -> usize {
        8 * 1024 * 1024
    }

    /// Its tables.
    fn tables(&self) -> &'static [Table];

    /// Reduces a batch in memory, without the database: the facts of a share of the links. Others
    /// are passed over as early as possible.
    ///
    /// # Errors
    /// When an event can't be read. It is looked for, and parked.
    fn fold(&self, batch: &Batch, share: Share) -> Result<Box<dyn Changes>, DecodeError>;
}

/// What a batch of events changes.
#[async_trait]
#[expect(private_interfaces, reason = "only this crate has transactions, and implements this")]
pub trait Changes: Send + Any {
    /// How many facts were folded: links' events, or single clicks.
    fn facts(&self) -> u64;

    /// The links whose rows change, for those who are told after the commit.
    fn links(&self) -> Vec<LinkKey> {
        Vec::new()
    }

    /// Whether what later events change is to be written together with this. Only where tables are built, and as long as
    /// both are little for the memory: a row that many batches change is then written once.
    fn has_room(&self) -> bool {
        false
    }

    /// Adds what later events change, folded by the same projection for the same share. Asked only where there
    /// [is room](Self::has_room).
    ///
    /// # Errors
    /// When these are no changes that can be added.
    fn join(self: Box<Self>, _later: Box<dyn Changes>) -> Result<Box<dyn Changes>, DatabaseError> {
        Err(bad_row("not changes that others can be added to"))
    }

    /// Writes the changes: one statement for each table.
    ///
    /// # Errors
    /// When the database refuses; the transaction is dropped then.
    async fn write(
        self: Box<Self>,
        transaction: &mut Transaction,
        set: TableSet,
    ) -> Result<(), DatabaseError>;
}

/// Later changes, of the same kind as those they are added to.
///
/// # Errors
/// When they are of another kind.
pub(crate) fn alike<C: Changes>(later: Box<dyn Changes>) -> Result<Box<C>, DatabaseError> {
    let later: Box<dyn Any> = later;
    later.downcast().map_err(|_| bad_row("not changes of the same projection"))
}
