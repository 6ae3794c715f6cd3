use hoplog_events::position::{LogId, Topic};
use uuid::Uuid;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::table_set::TableSet;

fn standing(sequences: &[u64], paused: bool) -> Standing {
    let active = TableSet { projection: "clicks", number: 1 };
    let row = |sequence: &u64| (LogId(Uuid::nil()), Sequence(*sequence));
    let rows = sequences.iter().map(row).collect();
    let checkpoints = Checkpoint::split(active, Topic::Clicks, rows).unwrap();
    let holders = vec![None; sequences.len()];
    let (members, parked, build) = (Vec::new(), 0, None);
    Standing { active, version: 1, parked, build, paused, members, checkpoints, holders }
}

#[test]
fn the_whole_is_as_far_as_the_partition_that_is_furthest_behind() {
    let mut progress = Progress::default();
    progress.follow(&standing(&[7, 5, 9], false), |_| false, State::Standby);
    assert_eq!((progress.sequence, progress.state), (Sequence(5), State::Standby));
    progress.advance(1, Sequence(8));
    assert_eq!(progress.sequence, Sequence(7));
    // What is kept here is known better here.
    progress.follow(&standing(&[10, 5, 9], false), |number| number == 1, State::Standby);
    assert_eq!(progress.sequence, Sequence(8));
    progress.reach(2, Sequence(20));
    assert_eq!((progress.sequence, progress.partitions().count()), (Sequence(20), 2));
    progress.went_at(0, 3.0);
    progress.went_at(1, 4.0);
    assert!((progress.rate() - 7.0).abs() < f64::EPSILON);
}

#[test]
fn the_state_of_the_whole_is_that_of_the_partitions_that_are_kept_here() {
    let mut progress = Progress::default();
    progress.follow(&standing(&[1, 1, 1], false), |_| false, State::Standby);
    assert!(progress.enter(0, State::CatchingUp) && !progress.enter(0, State::CatchingUp));
    assert!(progress.enter(1, State::Live));
    assert_eq!(progress.state, State::CatchingUp);
    assert!(progress.enter(0, State::Live));
    assert_eq!(progress.state, State::Live);
    let states = |progress: &Progress| progress.partitions().map(|it| it.state).collect::<Vec<_>>();
    assert_eq!(states(&progress), [State::Live, State::Live, State::Standby]);
    // What is built beside it is told, and changes nothing.
    let (purpose, elapsed) = (BuildPurpose::Rebuild, std::time::Duration::ZERO);
    let (events_done, events_total, facts) = (0, 0, 0);
    progress.build = Some(Build { purpose, events_done, events_total, facts, elapsed });
    assert_eq!((progress.state, progress.told_state()), (State::Live, State::Rebuilding));
    assert_eq!(states(&progress), [State::Live, State::Live, State::Standby]);
    // What an operator does is done to all of it.
    progress.follow(&standing(&[1, 1, 1], true), |_| false, State::Standby);
    assert_eq!(states(&progress), [State::Paused; 3]);
    assert_eq!(progress.told_state(), State::Paused);
    assert!(!progress.enter(9, State::Live), "none is called that");
}
