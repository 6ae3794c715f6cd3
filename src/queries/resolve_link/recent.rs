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

/// Of which log something is: one that was put back is another. Taken before anything is asked or done, and
/// compared when what came of it is noted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Era(u64);

impl Era {
    /// Another number for each.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// The changes of links that others may not have seen.
#[derive(Debug)]
pub(super) struct RecentChanges {
    era: Era,
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
    /// The last creation that was forgotten.
    created_forgotten: Sequence,
    /// How far this node has read the log.
    reached: Sequence,
}

impl RecentChanges {
    /// Remembers what the read model needs, and, if there is a shared cache, what that needs.
    pub(super) fn new(has_shared_cache: bool) -> Self {
        Self {
            era: Era::default(),
            newest: HashMap::new(),
            created: VecDeque::new(),
            changed: VecDeque::new(),
            changed_max: if has_shared_cache { CHANGED_MAX } else { UNPROJECTED_MAX },
            complete_after: None,
            forgotten: Sequence::START,
            created_forgotten: Sequence::START,
            reached: Sequence::START,
        }
    }

    /// Forgets everything: the log was put back. What was begun before that is not noted any more.
    pub(super) fn start_over(&mut self, has_shared_cache: bool) {
        *self = Self { era: Era(self.era.0 + 1), ..Self::new(has_shared_cache) };
    }

    /// Of which log this is.
    pub(super) fn era(&self) -> Era {
        self.era
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

    /// The last change of a link that is remembered; `START`: none is.
    pub(super) fn newest_position(&self, key: &LinkKey) -> Sequence {
        self.newest.get(key).map_or(Sequence::START, |(_, sequence)| *sequence)
    }

    /// Everything up to here has been read.
    pub(super) fn reaches(&mut self, sequence: Sequence) {
        self.reached = self.reached.max(sequence);
    }

    /// How far this node has read the log.
    pub(super) fn reached(&self) -> Sequence {
        self.reached
    }

    /// Whether a link that was last changed at `changed`, as of an event, is known not to have changed
    /// since. What accounts for more than this node has read is of nodes that are ahead, or of a log that
    /// was put back: neither can be judged. A change that should be remembered and is not is of such a
    /// log as well, also when the new one has grown beyond it.
    pub(super) fn vouches_for(&self, key: &LinkKey, changed: Sequence, as_of: Sequence) -> bool {
        let Some(after) = self.complete_after() else { return false };
        let newest = self.newest_position(key);
        let is_old = changed <= after.max(self.created_forgotten);
        (after..=self.reached).contains(&as_of) && (changed == newest || changed > newest && is_old)
    }

    /// From now on every change behind `sequence` is noted before it is asked about.
    pub(super) fn is_complete_after(&mut self, sequence: Sequence) {
        self.complete_after = Some(sequence);
    }

    /// The log can't be read: nothing can be said until it was read again.
    pub(super) fn is_incomplete(&mut self) {
        self.complete_after = None;
    }

    /// Every change behind this is remembered, as far as this node has read the log; `None`: nothing
    /// can be said. A link that was at some version when everything up to here, or further, had happened
    /// can't have changed since unless a newer version is remembered.
    fn complete_after(&self) -> Option<Sequence> {
        self.complete_after.map(|sequence| sequence.max(self.forgotten))
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
        self.created_forgotten = self.created_forgotten.max(created.unwrap_or_default());
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

    /// Whether a link that was changed then is known not to have changed since.
    fn is_current(recent: &RecentChanges, code: &str, changed: u64, as_of: u64) -> bool {
        recent.vouches_for(&key(code), Sequence(changed), Sequence(as_of))
    }

    #[test]
    fn an_entry_is_current_if_everything_since_it_is_remembered_and_is_not_a_change() {
        let mut recent = noted(&[("a", 2, 50)]);
        assert!(!is_current(&recent, "b", 1, 1_000), "nothing can be said yet");
        recent.is_complete_after(Sequence(40));
        recent.reaches(Sequence(60));
        assert!(is_current(&recent, "b", 1, 40), "and not changed since");
        assert!(!is_current(&recent, "b", 1, 39), "it may have changed at 40");
        assert!(!is_current(&recent, "a", 49, 49), "it has changed since");
        assert!(is_current(&recent, "a", 50, 50) && is_current(&recent, "a", 50, 60));
        assert!(!is_current(&recent, "a", 60, 60), "this log has no such change");
        assert!(!is_current(&recent, "b", 45, 60) && is_current(&recent, "b", 40, 60));
        assert!(!is_current(&recent, "b", 1, 61), "this node has not read so far");
        assert_eq!(recent.newest_position(&key("a")), Sequence(50));
        assert_eq!(recent.newest_position(&key("b")), Sequence::START);
    }

    /// Forgetting costs trust, never truth.
    #[test]
    fn what_is_forgotten_makes_older_entries_too_old() {
        let mut recent = noted(&[]);
        recent.is_complete_after(Sequence::START);
        let count = CHANGED_MAX as u64 + 10;
        for n in 1..=count {
            recent.note(&key(&format!("k{n}")), Version(2), Sequence(n));
        }
        recent.reaches(Sequence(count));
        recent.forget(Sequence(4));
        assert_eq!(recent.forgotten, Sequence(4), "the read model has seen no more");
        recent.forget(Sequence(count));
        assert_eq!((recent.changed.len(), recent.newest.len()), (CHANGED_MAX, CHANGED_MAX));
        assert!(!is_current(&recent, "k1", 1, 0));
        assert!(!is_current(&recent, "other", 1, 9));
        assert!(is_current(&recent, "other", 1, 10));
        assert!(!is_current(&recent, "k11", 1, 10));
    }

    #[test]
    fn creations_are_kept_for_the_read_model_only_and_cost_no_trust() {
        let mut recent = noted(&[]);
        recent.is_complete_after(Sequence::START);
        for n in 1..=2_000 {
            recent.note(&key(&format!("k{n}")), Version(1), Sequence(n));
        }
        recent.forget(Sequence(0));
        assert_eq!(recent.newest(&key("k1")), Version(1), "the read model has not seen it");
        // A read model that goes back behind that, as a restored one does, lacks what nobody knows.
        assert_eq!(recent.forget(Sequence(2_000)), Some(Sequence(2_000 - UNPROJECTED_MAX as u64)));
        assert_eq!(recent.newest.len(), UNPROJECTED_MAX);
        assert!(is_current(&recent, "old", 1, 0));
    }

    /// A read model that stands still for hours fills no memory: it is not believed instead.
    #[test]
    fn a_read_model_that_stands_still_costs_no_more_than_so_much() {
        let mut recent = noted(&[]);
        recent.is_complete_after(Sequence::START);
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
