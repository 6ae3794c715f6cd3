use hoplog_events::position::{LogId, Sequence, Topic};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::table_set::TableSet;

fn member(number: usize) -> Member {
    Member(Uuid::from_u128(number as u128 + 1))
}

fn standing(members: &[Member], holders: &[Option<Member>]) -> Standing {
    let active = TableSet { projection: "clicks", number: 1 };
    let rows = vec![(LogId(Uuid::nil()), Sequence::START); holders.len()];
    let checkpoints = Checkpoint::split(active, Topic::Clicks, rows).unwrap();
    let (members, holders) = (members.to_vec(), holders.to_vec());
    let (version, parked, build, paused) = (1, 0, None, false);
    Standing { active, version, parked, build, paused, members, checkpoints, holders }
}

/// Lets members act one after the other until nobody wants to; how many partitions changed hands.
fn settle(members: &[Member], holders: &mut [Option<Member>]) -> usize {
    let mut moves = 0;
    loop {
        let mut still = true;
        for me in members {
            match next(&standing(members, holders), *me) {
                Move::Stay => continue,
                Move::Take(free) => free.iter().for_each(|number| {
                    assert_eq!(holders[*number as usize], None, "only what is free");
                    holders[*number as usize] = Some(*me);
                }),
                Move::GiveBack(number) => {
                    assert_eq!(holders[number as usize], Some(*me), "only one's own");
                    holders[number as usize] = None;
                    moves += 1;
                }
            }
            still = false;
        }
        assert!(moves <= holders.len(), "no end: {holders:?}");
        if still {
            return moves;
        }
    }
}

fn counts(members: &[Member], holders: &[Option<Member>]) -> Vec<usize> {
    let held = |member| holders.iter().filter(|holder| **holder == Some(member)).count();
    members.iter().map(|member| held(*member)).collect()
}

proptest! {
    /// From wherever it begins, the work ends up even, and no more changes hands than has to.
    #[test]
    fn work_is_spread_evenly_and_little_changes_hands(
        count in 1..6_usize,
        begin in prop::collection::vec(prop::option::of(0..6_usize), 1..65),
    ) {
        let members: Vec<Member> = (0..count).map(member).collect();
        let held = |holder: &Option<usize>| holder.filter(|holder| *holder < count).map(member);
        let mut holders: Vec<_> = begin.iter().map(held).collect();
        let (lower, higher) = (begin.len() / count, begin.len().div_ceil(count));
        let too_many: usize =
            counts(&members, &holders).iter().map(|count| count.saturating_sub(lower)).sum();
        let moves = settle(&members, &mut holders);
        let counts = counts(&members, &holders);
        prop_assert!(counts.iter().all(|count| (lower..=higher).contains(count)), "{counts:?}");
        prop_assert_eq!(counts.iter().sum::<usize>(), begin.len(), "nothing is left");
        prop_assert!(moves <= too_many, "{} of {}", moves, too_many);
    }
}

#[test]
fn what_a_dead_member_held_is_taken_at_once_by_whoever_has_room() {
    let two = [member(0), member(1)];
    // Its leases have ended, it counts as a member for a moment more: nobody takes too much.
    let holders = [Some(two[0]), Some(two[0]), None, None];
    assert_eq!(next(&standing(&two, &holders), two[0]), Move::Stay);
    let Move::Take(mut free) = next(&standing(&two[..1], &holders), two[0]) else {
        panic!("it stays")
    };
    free.sort_unstable();
    assert_eq!(free, [2, 3]);
}

#[test]
fn a_newcomer_is_given_one_after_the_other_until_the_work_is_even() {
    let two = [member(0), member(1)];
    let mut holders = [Some(two[0]); 4];
    assert_eq!(next(&standing(&two, &holders), two[0]), Move::GiveBack(3));
    holders[3] = None;
    assert_eq!(next(&standing(&two, &holders), two[0]), Move::Stay, "not before it is taken");
    assert_eq!(settle(&two, &mut holders), 1);
    assert_eq!(counts(&two, &holders), [2, 2]);
}

#[test]
fn more_members_than_partitions_change_nothing_among_those_who_have_one() {
    let many: Vec<Member> = (0..5).map(member).collect();
    let holders = [Some(many[4]), Some(many[2])];
    assert!(many.iter().all(|me| next(&standing(&many, &holders), *me) == Move::Stay));
}
