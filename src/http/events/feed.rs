//! What is new on a topic, read once for all who follow it.
//!
//! ```text
//!  log ──► one subscription ──► window: the last few megabytes, ready to be sent
//!                                 │      │      │
//!  reader at the end ◄────────────┘      │      │   takes what comes, without a copy
//!  reader a little behind ◄──────────────┘      │
//!  reader far behind ── reads the log itself ───┘   until it is in the window
//! ```
//!
//! Readers hold their own place and ask: who does not ask costs nothing, and keeps nothing from
//! anybody. The window is bounded whoever reads. The subscription is there while somebody follows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::erasure::is_erasure;
use hoplog_events::log::{EventLog, ReadError, ReadLimit};
use hoplog_events::position::{Sequence, Topic};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::batch::Batch;
use window::{Look, Window};

mod window;

/// How much is read, and sent, at once at most, but for a single event that is larger.
const READ: ReadLimit = ReadLimit { events_max: 500, bytes_max: 64 * 1024 };

/// The pause before a replica is asked again for what another one had.
const REPLICA_PAUSE: Duration = Duration::from_millis(10);

/// The feeds of all topics.
#[derive(Debug)]
pub struct Feeds([Arc<Feed>; Topic::ALL.len()]);

impl Feeds {
    /// Feeds of a log; nothing is read until somebody follows.
    #[must_use]
    pub fn new(log: &Arc<dyn EventLog>) -> Self {
        Self(Topic::ALL.map(|topic| Arc::new(Feed::new(Arc::clone(log), topic))))
    }

    /// Ends all reading. Whoever still follows is told to come again.
    pub async fn close(&self) {
        for feed in &self.0 {
            let task = feed.end();
            if let Some(task) = task {
                task.abort();
                // Ended now, one way or the other.
                let _ = task.await;
            }
        }
    }

    /// Follows a topic.
    pub(super) fn follow(&self, topic: Topic) -> Follower {
        let feed = self.0.iter().find(|feed| feed.topic == topic).unwrap_or(&self.0[0]);
        Feed::follow(feed)
    }
}

#[derive(Debug)]
struct Feed {
    log: Arc<dyn EventLog>,
    topic: Topic,
    state: Mutex<State>,
    /// Changes with the window.
    news: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    runs: bool,
    /// Who reads, or did last.
    task: Option<JoinHandle<()>>,
    /// Which subscription this is: one that failed takes its followers along.
    generation: u64,
    window: Option<Window>,
}

/// One who follows a topic.
#[derive(Debug)]
pub(super) struct Follower {
    feed: Arc<Feed>,
    generation: u64,
    news: watch::Receiver<()>,
}

impl Feed {
    fn new(log: Arc<dyn EventLog>, topic: Topic) -> Self {
        let (news, _) = watch::channel(());
        Self { log, topic, state: Mutex::default(), news }
    }

    fn follow(self: &Arc<Self>) -> Follower {
        let mut state = self.state();
        let news = self.news.subscribe();
        if !state.runs {
            state.runs = true;
            state.task = Some(tokio::spawn(Arc::clone(self).run()));
        }
        Follower { feed: Arc::clone(self), generation: state.generation, news }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads for all until nobody follows any more, or the log can't be read.
    async fn run(self: Arc<Self>) {
        if let Err(error) = self.read_on().await {
            tracing::warn!(topic = %self.topic, %error, "those who follow a topic have to come again");
            self.end();
        }
    }

    /// Lets go of those who follow; gives who reads for them.
    fn end(&self) -> Option<JoinHandle<()>> {
        let task = {
            let mut state = self.state();
            let generation = state.generation + 1;
            std::mem::replace(&mut *state, State { generation, ..State::default() }).task
        };
        self.news.send_replace(());
        task
    }

    async fn read_on(&self) -> Result<(), ReadError> {
        let head = self.log.head(self.topic).await?.sequence;
        let mut subscription = self.log.subscribe(self.topic, head, READ).await?;
        self.open(head);
        loop {
            let read = tokio::select! {
                read = subscription.next() => read,
                () = self.news.closed() => {
                    if self.is_left() {
                        return Ok(());
                    }
                    continue;
                }
            };
            match read {
                Ok(events) => {
                    metrics::counter!("hoplog_event_reads_total", "for" => "all").increment(1);
                    self.take(events);
                }
                // Those who have not seen it yet are told when they look for it themselves.
                Err(ReadError::Trimmed { to, .. }) => self.open(to),
                Err(error) => return Err(error),
            }
        }
    }

    /// What is known begins behind a place.
    fn open(&self, after: Sequence) {
        self.state().window = Some(Window::new(after));
        self.news.send_replace(());
    }

    /// What is erased is not given any more: whoever has not seen it yet reads the log for himself.
    fn take(&self, events: Vec<RecordedEvent>) {
        let erases = events.iter().any(|event| is_erasure(&event.event_type));
        match events.last() {
            Some(last) if erases => self.open(last.position.sequence),
            _ => self.add(Batch::of(events)),
        }
    }

    fn add(&self, batch: Batch) {
        if let Some(window) = &mut self.state().window {
            window.add(batch);
        }
        self.news.send_replace(());
    }

    /// Whether nobody follows; then this is the end, and whoever comes next begins anew.
    fn is_left(&self) -> bool {
        let mut state = self.state();
        let is_left = self.news.receiver_count() == 0;
        if is_left {
            (state.runs, state.window) = (false, None);
        }
        is_left
    }
}

impl Follower {
    /// Events behind a place, some of which may be before it; waits for them as long as it takes.
    /// `None`: the log can't be read. A call that is dropped loses nothing.
    pub(super) async fn next(&mut self, after: Sequence) -> Option<Arc<Batch>> {
        loop {
            self.news.mark_unchanged();
            match self.look(after)? {
                Look::Found(batch) => return Some(batch),
                Look::AtEnd => self.news.changed().await.ok()?,
                Look::Behind => {
                    if let Some(batch) = self.read(after).await? {
                        return Some(batch);
                    }
                }
            }
        }
    }

    fn look(&self, after: Sequence) -> Option<Look> {
        let state = self.feed.state();
        if state.generation != self.generation {
            return None;
        }
        Some(state.window.as_ref().map_or(Look::AtEnd, |window| window.look(after)))
    }

    async fn read(&self, after: Sequence) -> Option<Option<Arc<Batch>>> {
        let Feed { log, topic, .. } = &*self.feed;
        metrics::counter!("hoplog_event_reads_total", "for" => "one").increment(1);
        let events = log.read_all(*topic, after, READ).await.ok()?;
        if events.is_empty() {
            tokio::time::sleep(REPLICA_PAUSE).await;
            return Some(None);
        }
        Some(Some(Arc::new(Batch::of(events))))
    }
}

#[cfg(test)]
mod tests;
