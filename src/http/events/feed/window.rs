//! The last events of a topic, as far as they have room.

use std::collections::VecDeque;
use std::sync::Arc;

use hoplog_events::position::Sequence;

use crate::http::events::batch::Batch;

/// What a window may hold. The newest batch is held whatever its size.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Everything on a topic behind a place.
#[derive(Debug)]
pub(super) struct Window {
    after: Sequence,
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
}

/// What there is behind a place.
#[derive(Debug)]
pub(super) enum Look {
    /// These are next.
    Found(Arc<Batch>),
    /// Nothing, yet.
    AtEnd,
    /// What is next has left the window.
    Behind,
}

impl Window {
    pub(super) fn new(after: Sequence) -> Self {
        Self { after, batches: VecDeque::new(), bytes: 0 }
    }

    /// Adds what follows; what is oldest leaves for it.
    pub(super) fn add(&mut self, batch: Batch) {
        self.bytes += batch.weight_bytes();
        self.batches.push_back(Arc::new(batch));
        while self.bytes > BYTES_MAX && self.batches.len() > 1 {
            let Some(oldest) = self.batches.pop_front() else { return };
            self.bytes -= oldest.weight_bytes();
            self.after = oldest.last();
        }
    }

    pub(super) fn look(&self, after: Sequence) -> Look {
        if after < self.after {
            return Look::Behind;
        }
        let next = self.batches.partition_point(|batch| batch.last() <= after);
        self.batches.get(next).map_or(Look::AtEnd, |batch| Look::Found(Arc::clone(batch)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::events::batch::tests::events;

    /// Batches of ten events, each so many bytes long.
    fn window(batches: u64, bytes: usize) -> Window {
        let mut window = Window::new(Sequence(100));
        for n in 0..batches {
            window.add(Batch::of(events(101 + n * 10, 10, bytes)));
        }
        window
    }

    /// The first and the last event of what comes next.
    fn found(window: &Window, after: u64) -> (u64, u64) {
        match window.look(Sequence(after)) {
            Look::Found(batch) => (batch.first().0, batch.last().0),
            other => panic!("{other:?} after {after}"),
        }
    }

    #[test]
    fn a_place_leads_to_what_is_next() {
        let window = window(3, 10);
        assert_eq!(found(&window, 100), (101, 110));
        assert_eq!(found(&window, 109), (101, 110));
        assert_eq!(found(&window, 110), (111, 120));
        assert!(matches!(window.look(Sequence(130)), Look::AtEnd));
        assert!(matches!(window.look(Sequence(131)), Look::AtEnd));
        assert!(matches!(window.look(Sequence(99)), Look::Behind));
    }

    #[test]
    fn what_has_no_room_leaves_and_is_missed() {
        let window = window(100, 20_000);
        assert!(window.bytes <= BYTES_MAX && window.batches.len() > 3, "{}", window.bytes);
        let begins = window.after.0;
        assert!(matches!(window.look(Sequence(begins - 1)), Look::Behind));
        assert_eq!(found(&window, begins), (begins + 1, begins + 10));
        assert_eq!(found(&window, 1_099), (1_091, 1_100));
    }

    #[test]
    fn an_event_that_is_larger_than_the_window_is_given_all_the_same() {
        let mut window = Window::new(Sequence(0));
        window.add(Batch::of(events(1, 1, 3 * BYTES_MAX)));
        assert_eq!(found(&window, 0), (1, 1));
    }
}
