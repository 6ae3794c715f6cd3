//! Keeping up with what other nodes change.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hoplog_events::catalogue::{CLICKS_GRANTED, Event};
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::link::{LinkEvent, LinkKey};
use hoplog_events::log::{ReadError, ReadLimit, Subscription};
use hoplog_events::position::{Sequence, Topic};

use super::LinkResolver;

/// How long to wait before a log that can't be read is tried again.
const FOLLOW_PAUSE: Duration = Duration::from_millis(200);

/// How many events before the last one are read again at the start where there is a shared cache:
/// entries that account for less are not believed.
pub const READ_BACK_EVENTS: u64 = 50_000;

/// The last event before those that this node has followed from the first on: what came until
/// then it knows from others only, and those may lack some of it.
#[derive(Debug)]
pub(super) struct Followed {
    from: AtomicU64,
    /// Nobody else is believed any more.
    distrusts: AtomicBool,
}

impl Default for Followed {
    /// Nothing is followed yet.
    fn default() -> Self {
        Self { from: AtomicU64::new(u64::MAX), distrusts: AtomicBool::new(false) }
    }
}

impl Followed {
    fn begin(&self, head: Sequence) {
        self.from.store(head.0, Ordering::Release);
    }

    fn has_begun(&self) -> bool {
        self.from.load(Ordering::Acquire) != u64::MAX
    }

    pub(super) fn distrust(&self) {
        self.distrusts.store(true, Ordering::Release);
    }

    pub(super) fn distrusts(&self) -> bool {
        self.distrusts.load(Ordering::Acquire)
    }

    /// What was followed until then is forgotten.
    fn forget(&self, until: Sequence) {
        self.from.fetch_max(until.0, Ordering::AcqRel);
    }

    /// Whether somebody who accounts for everything up to `applied` lacks nothing but what this
    /// node has followed.
    pub(super) fn is_behind(&self, applied: Sequence) -> bool {
        !self.distrusts() && applied.0 >= self.from.load(Ordering::Acquire)
    }
}

impl LinkResolver {
    /// Waits until changes are followed: what is loaded before is doubted then.
    pub async fn until_followed(&self) {
        while !self.source.followed.has_begun() {
            tokio::time::sleep(FOLLOW_PAUSE).await;
        }
    }

    /// Drops what other nodes change, for as long as it is polled. A log that can't be read is
    /// tried again.
    pub async fn follow(&self) {
        loop {
            let Err(error) = self.begin_to_follow().await;
            // What is missed meanwhile is unknown: nothing here can be vouched for.
            tracing::warn!(%error, "link changes can't be followed yet; the cache is not believed");
            if matches!(error, ReadError::Rewound { .. }) {
                self.distrust_others();
            } else {
                self.doubt_everything();
            }
            tokio::time::sleep(FOLLOW_PAUSE).await;
        }
    }

    /// Neither what is at hand is vouched for, nor what others have written: first of all that, or it would
    /// come back from there.
    fn doubt_everything(&self) {
        self.source.recent().is_incomplete();
        self.cache.doubt_everything();
    }

    /// The log was put back. The read model and Redis are of what was lost, and so is what is remembered:
    /// from now on the log is asked. A new start believes the tables that were built anew.
    pub(super) fn distrust_others(&self) {
        self.source.followed.distrust();
        self.source.recent().start_over(self.source.has_shared_cache);
        self.cache.start_over();
    }

    async fn begin_to_follow(&self) -> Result<Infallible, ReadError> {
        if !self.source.followed.distrusts() {
            // Tables that are ahead of the log are of one that was put back while nobody followed it.
            let applied = self.source.directory.applied();
            let one = ReadLimit { events_max: 1, ..ReadLimit::default() };
            self.source.log.read_kept(Topic::Links, applied, one).await?;
        }
        let head = self.source.log.head(Topic::Links).await?.sequence;
        let read_back = if self.source.has_shared_cache { READ_BACK_EVENTS } else { 0 };
        let from = Sequence(head.0.saturating_sub(read_back));
        let changes = self.source.log.subscribe(Topic::Links, from, ReadLimit::default()).await?;
        self.source.followed.begin(head);
        // What was loaded before this may have been changed since by what is not followed.
        self.cache.doubt_everything();
        self.keep_following(changes, from, head).await
    }

    /// The changes begin behind `from`. What others share is believed as soon as the changes have
    /// reached `head`. A subscription that fails goes on where it was.
    async fn keep_following(
        &self,
        mut changes: Box<dyn Subscription>,
        from: Sequence,
        head: Sequence,
    ) -> Result<Infallible, ReadError> {
        let mut reached = from;
        self.source.recent().reaches(from);
        if reached >= head {
            self.source.recent().is_complete_after(from);
        }
        loop {
            match changes.next().await {
                Ok(events) => {
                    for event in events {
                        self.invalidate(&event);
                        reached = event.position.sequence;
                        self.source.recent().reaches(reached);
                    }
                    if reached >= head {
                        self.source.recent().is_complete_after(from);
                    }
                }
                Err(error @ ReadError::Rewound { .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "link changes can't be read; the cache is not believed");
                    self.doubt_everything();
                    tokio::time::sleep(FOLLOW_PAUSE).await;
                }
            }
            let forgotten = self.source.recent().forget(self.source.directory.applied());
            if let Some(forgotten) = forgotten {
                self.source.followed.forget(forgotten);
            }
        }
    }

    fn invalidate(&self, event: &RecordedEvent) {
        let Ok(key) = event.stream.key().parse::<LinkKey>() else { return };
        if leaves_clicks(event) {
            return;
        }
        // Whoever follows is who notices that the log was put back.
        self.source.recent().note(&key, event.version, event.position.sequence);
        self.cache.invalidate(&key, event.position.sequence.0);
    }
}

/// Whether visitors were given clicks of a budget that has more: that changes nothing of where the link leads, and
/// comes with every click. To drop the link each time would be to read all its events each time.
fn leaves_clicks(event: &RecordedEvent) -> bool {
    if &*event.event_type != CLICKS_GRANTED {
        return false;
    }
    let granted = event.decode().ok().flatten().map(|envelope| envelope.event);
    matches!(granted, Some(Event::Link(LinkEvent::ClicksGranted(granted))) if granted.left > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_believed_if_they_lack_nothing_but_what_was_followed() {
        let followed = Followed::default();
        assert!(!followed.is_behind(Sequence(1_000)), "nothing is followed yet");
        followed.begin(Sequence(10));
        assert!(followed.is_behind(Sequence(10)) && !followed.is_behind(Sequence(9)));
        followed.forget(Sequence(20));
        assert!(followed.is_behind(Sequence(20)) && !followed.is_behind(Sequence(19)));
        followed.distrust();
        followed.begin(Sequence(5));
        assert!(!followed.is_behind(Sequence(1_000)), "their log is not this one");
    }
}
