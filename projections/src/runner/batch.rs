//! Some events of a topic, one after the other, that can be cut without being copied.

use std::ops::Range;
use std::sync::Arc;

use hoplog_events::envelope::RecordedEvent;

use crate::parking::Aside;
use crate::partition::Share;
use crate::projection::Projection;

/// A part of what was read at once.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    events: Arc<Vec<RecordedEvent>>,
    range: Range<usize>,
}

impl From<Vec<RecordedEvent>> for Batch {
    fn from(events: Vec<RecordedEvent>) -> Self {
        let range = 0..events.len();
        Self { events: Arc::new(events), range }
    }
}

impl Batch {
    /// The events.
    pub(crate) fn events(&self) -> &[RecordedEvent] {
        &self.events[self.range.clone()]
    }

    /// Both halves; `None`: there is only one event, or none.
    pub(crate) fn halves(&self) -> Option<(Self, Self)> {
        let Range { start, end } = self.range;
        let middle = start.midpoint(end);
        let part = |range| Self { events: Arc::clone(&self.events), range };
        (middle > start).then(|| (part(start..middle), part(middle..end)))
    }

    /// What is to be folded, and what has to wait for events that are parked.
    pub(crate) fn part(
        &self,
        aside: &Aside,
        share: Share,
        projection: &dyn Projection,
    ) -> (Self, Vec<RecordedEvent>) {
        if aside.is_empty() {
            return (self.clone(), Vec::new());
        }
        let (mut due, mut waiting) = (Vec::new(), Vec::new());
        for event in self.events().iter().filter(|event| !aside.skips(event)) {
            if !aside.waits(event, projection) {
                due.push(event.clone());
            } else if share.holds(event.stream.key()) || !projection.keeps_order() {
                waiting.push(event.clone());
            }
        }
        (due.into(), waiting)
    }
}
