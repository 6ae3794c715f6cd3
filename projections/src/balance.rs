//! Who should hold which partitions. Every member looks at the same rows and decides for itself;
//! at most one gives a partition back at a time, so that few change hands when a node comes or goes.

use std::cmp::Reverse;

use crate::lease::{Member, Standing};

/// What a member does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// Everybody has what they should have, or others have to move first.
    Stay,
    /// Nobody holds these.
    Take(Vec<u32>),
    /// Somebody else has fewer.
    GiveBack(u32),
}

/// What a member does next, as things stand.
///
/// With `n` partitions and `m` members everybody gets `⌊n/m⌋`, some one more. A member takes what
/// is free up to the lower number, and up to the higher one once nobody is below the lower. Whoever
/// holds most gives one back, if it is too much for an even share, and only when nothing is free:
/// what is free goes to whoever lacks it first.
pub(crate) fn next(standing: &Standing, me: Member) -> Move {
    let mut counts: Vec<(usize, Reverse<Member>)> = Vec::new();
    let others = standing.members.iter().filter(|member| **member != me);
    for member in others.chain([&me]) {
        counts.push((standing.held_by(*member).count(), Reverse(*member)));
    }
    let (all, members) = (standing.holders.len(), counts.len());
    let (lower, higher) = (all / members, all.div_ceil(members));
    let mine = standing.held_by(me).count();
    let someone_lacks = counts.iter().any(|(count, who)| who.0 != me && *count < lower);
    let free = (0..).zip(&standing.holders).filter(|(_, holder)| holder.is_none());
    let free: Vec<u32> = free.map(|(number, _)| number).collect();
    if !free.is_empty() {
        let limit = if someone_lacks { lower } else { higher };
        let more = limit.saturating_sub(mine);
        // Not all begin with the same one.
        let begin = usize::try_from(me.0.as_u128() % free.len() as u128).unwrap_or_default();
        let taken: Vec<u32> =
            free.iter().cycle().skip(begin).take(more.min(free.len())).copied().collect();
        return if taken.is_empty() { Move::Stay } else { Move::Take(taken) };
    }
    let too_many = mine > higher || (mine > lower && someone_lacks);
    let holds_most = counts.iter().max().is_some_and(|(_, who)| who.0 == me);
    match standing.held_by(me).last() {
        Some(last) if too_many && holds_most => Move::GiveBack(last),
        _ => Move::Stay,
    }
}

#[cfg(test)]
mod tests;
