//! Some events of a topic, one after the other, that can be cut without being copied.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use hoplog_events::catalogue::DecodeError;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::position::Sequence;

use crate::clicks::decoded::Decoded;
use crate::parking::Aside;
use crate::partition::Share;
use crate::projection::Projection;
use crate::user_agents::UserAgents;

/// Events of a topic that follow one another: all that was read at once, or a part of that.
#[derive(Debug, Clone)]
pub struct Batch {
    read: Arc<ReadEvents>,
    range: Range<usize>,
}

/// What was read at once.
#[derive(Debug)]
struct ReadEvents {
    events: Vec<RecordedEvent>,
    /// Their clicks, decoded by whoever needs them first.
    clicks: OnceLock<Result<Arc<Decoded>, DecodeError>>,
}

impl From<Vec<RecordedEvent>> for Batch {
    fn from(events: Vec<RecordedEvent>) -> Self {
        let (range, clicks) = (0..events.len(), OnceLock::new());
        Self { read: Arc::new(ReadEvents { events, clicks }), range }
    }
}

impl Batch {
    /// The events.
    #[must_use]
    pub fn events(&self) -> &[RecordedEvent] {
        &self.read.events[self.range.clone()]
    }

    /// The clicks of a share of the links. All those of all that was read are decoded once, however
    /// many ask.
    ///
    /// # Errors
    /// When an event can't be read.
    pub(crate) fn clicks(
        &self,
        share: Share,
        agents: &UserAgents,
    ) -> Result<Arc<Decoded>, DecodeError> {
        let decode = || Decoded::of(self.events(), share, agents).map(Arc::new);
        if share.is_everything() && self.events().len() == self.read.events.len() {
            self.read.clicks.get_or_init(decode).clone()
        } else {
            decode()
        }
    }

    /// Those up to a place in the log.
    pub(crate) fn up_to(&self, last: Sequence) -> Self {
        let wanted = self.events().partition_point(|event| event.position.sequence <= last);
        let range = self.range.start..self.range.start + wanted;
        Self { read: Arc::clone(&self.read), range }
    }

    /// Both halves; `None`: there is only one event, or none.
    pub(crate) fn halves(&self) -> Option<(Self, Self)> {
        let Range { start, end } = self.range;
        let middle = start.midpoint(end);
        let part = |range| Self { read: Arc::clone(&self.read), range };
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
