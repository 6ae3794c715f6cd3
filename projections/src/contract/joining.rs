//! What changes promise that are written together.

use hoplog_events::log::{ReadLimit, Seen};
use hoplog_events::position::{Sequence, Topic};

use super::partitions::{create, step};
use super::sums::{Numbers, clicks};
use super::world::World;
use crate::checkpoint::Checkpoint;
use crate::parking::{Aside, Unhandled};
use crate::partition::Partitions;
use crate::projection::Changes;
use crate::runner::{Applier, Batch};

/// How many batches are written together, one time after the other.
const TOGETHER: [usize; 4] = [1, 5, 2, 7];

/// Writes what some batches change, folded one by one.
async fn write_together(applier: &Applier, from: Checkpoint, batches: &[Batch]) -> Checkpoint {
    let mut all: Option<Box<dyn Changes>> = None;
    for batch in batches {
        let changes = applier.fold(batch.clone(), from.share).await.unwrap();
        all = Some(match all {
            Some(earlier) => {
                assert!(earlier.has_room());
                applier.join(earlier, changes).await.unwrap()
            }
            None => changes,
        });
    }
    let last = batches.iter().flat_map(Batch::events).last().map(Seen::from);
    let aside = Aside::load(&applier.database, &from, Unhandled::Refuse).await.unwrap();
    let (to, all) = (from.at(last.unwrap()), all.unwrap());
    applier.write(from, to, all, &aside, &[]).await.unwrap().0
}

/// Batch by batch or several at once: the rows are the same.
pub(crate) async fn batches_written_together_give_the_same_rows(world: World) {
    world.models.stop_projecting().await;
    for batch in clicks(&mut Numbers(11)).chunks(61) {
        world.clicks(batch.to_vec()).await;
    }
    let all = ReadLimit { events_max: usize::MAX, bytes_max: usize::MAX };
    let events = world.log.read_all(Topic::Clicks, Sequence::START, all).await.unwrap();
    let batches: Vec<Batch> = events.into_iter().map(|event| vec![event].into()).collect();
    for name in ["click_statistics", "top_links"] {
        let appliers = world.appliers();
        let applier = appliers.iter().find(|applier| applier.projection.name() == name).unwrap();
        let mut one_by_one = create(applier, Partitions::ONE).await;
        for _ in &batches {
            one_by_one = step(applier, one_by_one, 1).await;
        }
        let mut together = create(applier, Partitions::ONE).await;
        let (mut rest, mut turns) = (&batches[..], TOGETHER.iter().cycle());
        while !rest.is_empty() {
            let (part, after) = rest.split_at((*turns.next().unwrap()).min(rest.len()));
            together = write_together(applier, together, part).await;
            rest = after;
        }
        assert_eq!(together.sequence, one_by_one.sequence);
        let sets = [one_by_one.set, together.set];
        assert_eq!(world.differing_where(applier, sets, "true").await, 0, "{name}");
    }
}
