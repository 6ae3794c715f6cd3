//! The partitions that this process works on, all in one task: each folds on a thread of its own
//! and waits for the database by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::task::Poll;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::follow::Follower;
use super::{Backoff, WorkerError};
use crate::table_set::TableSet;

/// Which partitions are to be worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Of which tables.
    pub(super) set: TableSet,
    /// Their numbers.
    pub(super) numbers: BTreeSet<u32>,
}

/// A seat is the work on one partition. What is dropped is cut off in a transaction, which then
/// changed nothing.
type Seats<'a> = BTreeMap<u32, BoxFuture<'a, WorkerError>>;

impl Follower<'_> {
    /// Works on what is wanted, until something fails.
    pub(super) async fn follow_wanted(
        self,
        mut wanted: watch::Receiver<Wanted>,
        backoff: &Backoff,
    ) -> WorkerError {
        let mut seats = Seats::new();
        let mut set = None;
        loop {
            let now = wanted.borrow_and_update().clone();
            if set != Some(now.set) {
                seats.clear();
                set = Some(now.set);
            }
            seats.retain(|number, _| now.numbers.contains(number));
            for number in now.numbers {
                seats.entry(number).or_insert_with(|| {
                    let projection = self.applier.projection.name();
                    tracing::info!(projection, partition = number, "projecting");
                    self.follow(number, backoff).boxed()
                });
            }
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return WorkerError::Stopped },
                error = first_end(&mut seats) => return error,
            }
        }
    }
}

/// The error of whichever ends first.
async fn first_end(seats: &mut Seats<'_>) -> WorkerError {
    poll_fn(|context| {
        for seat in seats.values_mut() {
            if let Poll::Ready(error) = seat.poll_unpin(context) {
                return Poll::Ready(error);
            }
        }
        Poll::Pending
    })
    .await
}
