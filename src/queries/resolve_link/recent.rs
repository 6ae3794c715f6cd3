//! The changes that this node has seen of late: what decides whether others are believed.
//!
//! A read model may not have seen a change yet; the shared cache may never see one (Redis was
//! away). Neither can tell. So every change is remembered: until the read model has it, and, where
//! there is a shared cache, for much longer. An entry of the shared cache says up to which event
//! it accounts for its link (`as_of`):
//!
//! ```text
//!   log ──┬───────────────┬──────────────────────────────┬──► now
//!         │ as_of: too old│ as_of: believed, if no newer │
//!         │ to be judged  │ version is remembered        │
//!         └───────────────┴──────────────────────────────┘
//!                         complete_after: every change behind it is remembered here
//! ```
//!
//! That needs no word of whoever wrote the entry, or failed to: not their success, not their
//! clock, not what else is in Redis.

use std::collections::{HashMap, VecDeque};

use hoplog_events::link::LinkKey;
use hoplog_events::position::{Sequence, Version};

/// How many changes are remembered at least until the read model has seen them.
const UNPROJECTED_MAX: usize = 1_024;

/// How many changes are remembered at most, whatever the read model has seen; about 200 bytes each.
const REMEMBERED_MAX: usize = 4 * CHANGED_MAX;

/// How many changes of links (not their creations) are remembered for the shared cache's sake;
/// about 200 bytes each.
const CHANGED_MAX: usize = 65_536;

/// The changes of links that others may not have seen.
#[derive(Debug)]
pub(super) struct RecentChanges {
    newest: HashMap<LinkKey, (Version, Sequence)>,
    /// Creations, about in the order of the log. No entry can be older than its link, so these
    /// are kept for the read model only.
    created: VecDeque<(Sequence, LinkKey)>,
    /// All other changes, about in the order of the log.
    changed: VecDeque<(Sequence, LinkKey)>,
    changed_max: usize,
    /// Every change behind this is remembered; `None`: nothing can be said yet.
    complete_after: Option<Sequence>,
    /// The last change that was forgotten.
    forgotten: Sequence,
}

impl RecentChanges {
    /// Remembers what the read model needs, and, if there is a shared cache, what that needs.
    pub(super) fn new(has_shared_cache: bool) -> Self {
        Self {
            newest: HashMap::new(),
            created: VecDeque::new(),
            changed: VecDeque::new(),
            changed_max: if has_shared_cache { CHANGED_MAX } else { UNPROJECTED_MAX },
            complete_after: None,
            forgotten: Sequence::START,
        }
    }

    /// Remembers a change.
    pub(super) fn note(&mut self, key: &LinkKey, version: Version, sequence: Sequence) {
        let newest = self.newest.entry(key.clone()).or_default();
        if *newest >= (version, sequence) {
            return;
        }
        *newest = (version, sequence);
        let queue = if version == Version(1) { &mut self.created } else { &mut self.changed };
        queue.push_back((sequence, key.clone()));
    }

    /// The newest version of a link that is remembered; `NONE`: none is.
    pub(super) fn newest(&self, key: &LinkKey) -> Version {
        self.newest.get(key).map_or(Version::NONE, |(version, _)| *version)
    }

    /// From now on every change behind `sequence` is noted before it is asked about.
    pub(super) fn complete_after(&mut self, sequence: Sequence) {
        self.complete_after = Some(sequence);
    }

    /// Whether a link that was at this version when everything up to `as_of` had happened can't
    /// have changed since, as far as this node has read the log.
    pub(super) fn is_current(&self, key: &LinkKey, version: Version, as_of: Sequence) -> bool {
        let complete_after = self.complete_after.map(|sequence| sequence.max(self.forgotten));
        complete_after.is_some_and(|sequence| as_of >= sequence) && version >= self.newest(key)
    }

    /// Forgets the oldest changes, if there are too many and the read model has seen them, or if
    /// there are far too many. Returns the last that was forgotten: a read model that is not, or no
    /// longer, so far lacks what nobody remembers.
    pub(super) fn forget(&mut self, projected: Sequence) -> Option<Sequence> {
        let newest = &mut self.newest;
        let any = Sequence(u64::MAX);
        let created = drop_oldest(&mut self.created, UNPROJECTED_MAX, projected, newest)
            .max(drop_oldest(&mut self.created, REMEMBERED_MAX, any, newest));
        let changed = drop_oldest(&mut self.changed, self.changed_max, projected, newest)
            .max(drop_oldest(&mut self.changed, REMEMBERED_MAX, any, newest));
        self.forgotten = self.forgotten.max(changed.unwrap_or_default());
        created.max(changed)
    }
}

/// Drops what is over the bound and was projected. Returns the last that was dropped.
fn drop_oldest(
    queue: &mut VecDeque<(Sequence, LinkKey)>,
    max: usize,
    projected: Sequence,
    newest: &mut HashMap<LinkKey, (Version, Sequence)>,
) -> Option<Sequence> {
    let mut last = None;
    while queue.len() > max && queue.front().is_some_and(|(sequence, _)| *sequence <= projected) {
        let Some((sequence, key)) = queue.pop_front() else { break };
        if newest.get(&key).is_some_and(|(_, newest)| *newest == sequence) {
            newest.remove(&key);
        }
        last = last.max(Some(sequence));
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: &str) -> LinkKey {
        format!("default/{code}").parse().unwrap()
    }

    fn noted(changes: &[(&str, u64, u64)]) -> RecentChanges {
        let mut recent = RecentChanges::new(true);
        for (code, version, sequence) in changes {
            recent.note(&key(code), Version(*version), Sequence(*sequence));
        }
        recent
    }

    #[test]
    fn an_entry_is_current_if_everything_since_it_is_remembered_and_is_not_a_change() {
        let mut recent = noted(&[("a", 2, 50)]);
        let is = |recent: &RecentChanges, code: &str, version: u64, as_of: u64| {
            recent.is_current(&key(code), Version(version), Sequence(as_of))
        };
        assert!(!is(&recent, "b", 1, 1_000), "nothing can be said yet");
        recent.complete_after(Sequence(40));
        assert!(is(&recent, "b", 1, 40), "and not changed since");
        assert!(!is(&recent, "b", 1, 39), "it may have changed at 40");
        assert!(!is(&recent, "a", 1, 49), "it has changed since");
        assert!(is(&recent, "a", 2, 50) && is(&recent, "a", 3, 60));
    }

    /// Forgetting costs trust, never truth.
    #[test]
    fn what_is_forgotten_makes_older_entries_too_old() {
        let mut recent = noted(&[]);
        recent.complete_after(Sequence::START);
        let count = CHANGED_MAX as u64 + 10;
        for n in 1..=count {
            recent.note(&key(&format!("k{n}")), Version(2), Sequence(n));
        }
        recent.forget(Sequence(4));
        assert_eq!(recent.forgotten, Sequence(4), "the read model has seen no more");
        recent.forget(Sequence(count));
        assert_eq!((recent.changed.len(), recent.newest.len()), (CHANGED_MAX, CHANGED_MAX));
        assert!(!recent.is_current(&key("k1"), Version(1), Sequence(0)));
        assert!(!recent.is_current(&key("other"), Version(1), Sequence(9)));
        assert!(recent.is_current(&key("other"), Version(1), Sequence(10)));
        assert!(!recent.is_current(&key("k11"), Version(1), Sequence(10)));
    }

    #[test]
    fn creations_are_kept_for_the_read_model_only_and_cost_no_trust() {
        let mut recent = noted(&[]);
        recent.complete_after(Sequence::START);
        for n in 1..=2_000 {
            recent.note(&key(&format!("k{n}")), Version(1), Sequence(n));
        }
        recent.forget(Sequence(0));
        assert_eq!(recent.newest(&key("k1")), Version(1), "the read model has not seen it");
        // A read model that goes back behind that, as a restored one does, lacks what nobody knows.
        assert_eq!(recent.forget(Sequence(2_000)), Some(Sequence(2_000 - UNPROJECTED_MAX as u64)));
        assert_eq!(recent.newest.len(), UNPROJECTED_MAX);
        assert!(recent.is_current(&key("old"), Version(1), Sequence(0)));
    }

    /// A read model that stands still for hours fills no memory: it is not believed instead.
    #[test]
    fn a_read_model_that_stands_still_costs_no_more_than_so_much() {
        let mut recent = noted(&[]);
        recent.complete_after(Sequence::START);
        let count = REMEMBERED_MAX as u64 + 5;
        for n in 1..=count {
            recent.note(&key(&format!("c{n}")), Version(1), Sequence(n));
            recent.note(&key(&format!("k{n}")), Version(2), Sequence(count + n));
        }
        assert_eq!(recent.forget(Sequence(0)), Some(Sequence(count + 5)));
        assert_eq!(recent.newest.len(), 2 * REMEMBERED_MAX);
        assert_eq!(recent.forget(Sequence(0)), None);
    }

    /// A node's own command and the log tell the same change.
    #[test]
    fn a_change_is_remembered_once_and_an_older_one_is_no_news() {
        let recent = noted(&[("a", 3, 9), ("a", 3, 9), ("a", 2, 8)]);
        assert_eq!((recent.changed.len(), recent.newest(&key("a"))), (1, Version(3)));
    }
}
