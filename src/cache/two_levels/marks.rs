//! What is invalid although its entries are still here: everything that was here before a gap, and
//! all entries with a tag that account for less than a position.
//!
//! Nothing is looked for when something becomes invalid: a number grows, and whoever reads an entry
//! that was judged by an older number judges it again. An entry that is judged by the newest number
//! costs one comparison.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use super::super::level1::Tags;

/// How many tags are remembered. Of those that are forgotten the greatest position counts for all.
const TAGS_MAX: usize = 10_000;

/// What holds of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is valid, by this number.
    Valid(u64),
    /// It is from before a gap: it may have been valid.
    Doubtful,
    /// It is not.
    Invalid,
}

#[derive(Debug, Default)]
pub(super) struct Marks {
    /// How often something became invalid.
    number: AtomicU64,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// What was begun to be loaded before this number is from before a gap.
    gap: u64,
    tags: HashMap<Box<str>, u64>,
    /// Counts for all tags.
    forgotten: u64,
}

impl Marks {
    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// From now on nothing that is here can be vouched for. Returns the number of what can.
    pub(super) fn gap(&self) -> u64 {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.gap = self.number.fetch_add(1, Ordering::AcqRel) + 1;
        inner.gap
    }

    /// The same, and the positions of all tags mean nothing any more.
    pub(super) fn start_over(&self) -> u64 {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.gap = self.number.fetch_add(1, Ordering::AcqRel) + 1;
        inner.tags.clear();
        inner.forgotten = 0;
        inner.gap
    }

    /// Whether no tag makes an entry invalid that was not here yet: what became invalid before it was
    /// begun to be loaded does not show in its number.
    pub(super) fn admits(&self, as_of: u64, tags: &Tags) -> bool {
        tags.is_none() || {
            let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
            inner.admits(as_of, tags)
        }
    }

    /// From now on entries with a tag are invalid if they account for less than a position.
    pub(super) fn tag(&self, tag: &str, position: u64) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.least(tag) >= position {
            return;
        }
        if inner.tags.len() >= TAGS_MAX && !inner.tags.contains_key(tag) {
            inner.forgotten = inner.tags.values().copied().max().unwrap_or_default();
            inner.tags.clear();
        }
        inner.tags.insert(tag.into(), position);
        self.number.fetch_add(1, Ordering::AcqRel);
    }

    /// Judges an entry that was judged by an older number.
    pub(super) fn judge(&self, stamp: u64, as_of: u64, tags: &Tags) -> Verdict {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        if !inner.admits(as_of, tags) {
            return Verdict::Invalid;
        }
        if stamp < inner.gap { Verdict::Doubtful } else { Verdict::Valid(self.number()) }
    }
}

impl Inner {
    fn admits(&self, as_of: u64, tags: &Tags) -> bool {
        let mut tags = tags.iter().flat_map(|tags| tags.iter());
        tags.all(|tag| as_of >= self.least(tag))
    }

    fn least(&self, tag: &str) -> u64 {
        self.tags.get(tag).copied().unwrap_or_default().max(self.forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(tags: &[&str]) -> Tags {
        let tags: std::sync::Arc<[_]> = tags.iter().map(|tag| Box::from(*tag)).collect();
        Some(tags).filter(|tags| !tags.is_empty())
    }

    #[test]
    fn an_entry_is_as_valid_as_its_least_valid_tag() {
        let marks = Marks::default();
        marks.tag("ann", 5);
        let judge = |as_of, names: &[&str]| marks.judge(marks.number(), as_of, &tags(names));
        assert_eq!(judge(4, &["bob", "ann"]), Verdict::Invalid);
        assert_eq!(judge(5, &["ann"]), Verdict::Valid(1));
        assert_eq!(judge(4, &["bob"]), Verdict::Valid(1));
        marks.tag("ann", 3);
        assert_eq!(marks.number(), 1, "nothing new");
        assert_eq!(judge(4, &["ann"]), Verdict::Invalid);
    }

    #[test]
    fn what_was_loaded_before_a_gap_is_doubtful() {
        let marks = Marks::default();
        let before = marks.number();
        marks.gap();
        assert_eq!(marks.judge(before, 9, &None), Verdict::Doubtful);
        assert_eq!(marks.judge(marks.number(), 9, &None), Verdict::Valid(1));
    }

    /// Trap 7 (C15): tags take no more than so much, and forgetting one makes nothing valid.
    #[test]
    fn a_forgotten_tag_counts_for_all() {
        let marks = Marks::default();
        for n in 0..=TAGS_MAX {
            marks.tag(&format!("t{n}"), 7);
        }
        assert_eq!(marks.judge(0, 6, &tags(&["t0"])), Verdict::Invalid);
        assert_eq!(marks.judge(0, 6, &tags(&["other"])), Verdict::Invalid);
        assert_eq!(marks.judge(0, 7, &tags(&["t0"])), Verdict::Valid(marks.number()));
        assert!(marks.inner.read().unwrap().tags.len() <= TAGS_MAX);
    }
}
