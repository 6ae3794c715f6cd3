//! Gives visitors the clicks of a link that is good for so many.
//!
//! ```text
//!  visitors ──► at the link's turn: one append for all who wait ──► kept on the log ──► answered
//!                   ▲                                                   │
//!                   └────── those who came meanwhile wait for it ◄──────┘
//! ```
//!
//! Of a link one append is under way at a time, of all links as many as there are. Nothing is taken in advance:
//! a node that dies has given away what it was asked for, and no more.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use hoplog_events::link::LinkKey;
use hoplog_events::log::EventLog;
use hoplog_events::position::{Position, Version};
use quick_cache::unsync::Cache;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::clock::Clock;
use crate::domain::link::{Link, LinkError};
use crate::execute::ExecuteError;
use crate::execute::grants::{Granted, grant};

/// Visitors of all links that wait, at most. Further ones are told to come back.
const WAITING_MAX: usize = 4_096;

/// Visitors of one link that wait, at most: the visitors of others shall find a place.
const WAITING_OF_LINK_MAX: usize = 1_024;

/// How long a visitor waits. Whoever does not wait any more is given nothing, unless it was under way.
const PATIENCE: Duration = Duration::from_secs(10);

/// Links that are known as the last append left them; about 500 bytes each.
const KNOWN_MAX: usize = 10_000;

/// What a visitor is told.
#[derive(Debug)]
pub enum Grant {
    /// There is a click for them.
    Given,
    /// There is, and it was the last: the link as it is now, and where that is on the log.
    Last(Box<(Link, Position)>),
    /// Nothing is left.
    Spent,
}

/// Why a visitor is not told whether there is a click.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// The link is another one meanwhile, or gone.
    #[error(transparent)]
    Refused(#[from] LinkError),
    /// Come back in a moment.
    #[error("too many visitors wait for a click of this link")]
    Busy,
    /// Come back later. A click may have been taken that nobody was given.
    #[error("the clicks of this link can't be counted right now; it is not served uncounted")]
    Away,
}

/// Somebody who waits.
#[derive(Debug)]
struct Visitor {
    link: LinkKey,
    least: Version,
    era: u64,
    answer: oneshot::Sender<Result<Grant, GrantError>>,
}

/// Gives clicks away, one append at a time for each link.
#[derive(Debug)]
pub struct ClickBudgets {
    log: Arc<dyn EventLog>,
    clock: Clock,
    door: mpsc::Sender<Visitor>,
    /// Held by whoever gives.
    queue: Mutex<mpsc::Receiver<Visitor>>,
}

impl ClickBudgets {
    /// Nobody waits yet.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, clock: Clock) -> Self {
        let (door, queue) = mpsc::channel(WAITING_MAX);
        Self { log, clock, door, queue: Mutex::new(queue) }
    }

    /// Asks for one click of a link, and waits until it is on the log. `least`: the version of the link that the
    /// visitor was shown; `era`: of which log that is.
    ///
    /// # Errors
    /// See [`GrantError`].
    pub async fn ask(&self, link: LinkKey, least: Version, era: u64) -> Result<Grant, GrantError> {
        let (answer, told) = oneshot::channel();
        let visitor = Visitor { link, least, era, answer };
        self.door.try_send(visitor).map_err(|_| GrantError::Busy)?;
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(grant)) => grant,
            Ok(Err(_)) | Err(_) => Err(GrantError::Away),
        }
    }

    /// Gives clicks, for as long as it is polled.
    pub async fn give(&self) {
        let mut queue = self.queue.lock().await;
        let mut desk = Desk::new(Arc::clone(&self.log), self.clock.clone());
        loop {
            tokio::select! {
                visitor = queue.recv(), if desk.has_room() => match visitor {
                    Some(visitor) => desk.take(visitor),
                    None => return,
                },
                Some(turn) = desk.under_way.next() => desk.end(turn),
                // Never: where there is no room, somebody is waited for.
                else => return,
            }
        }
    }
}

/// Where visitors wait, and what is known of their links.
struct Desk {
    log: Arc<dyn EventLog>,
    clock: Clock,
    era: u64,
    /// The links whose turn it is, with those who came meanwhile.
    waiting: HashMap<LinkKey, Vec<Visitor>>,
    /// All who have not been told yet.
    present: usize,
    known: Cache<LinkKey, Link>,
    under_way: FuturesUnordered<BoxFuture<'static, Turn>>,
}

/// What came of an append.
struct Turn {
    link: LinkKey,
    era: u64,
    visitors: Vec<Visitor>,
    outcome: Result<Granted, ExecuteError>,
}

impl Desk {
    fn new(log: Arc<dyn EventLog>, clock: Clock) -> Self {
        let (known, under_way) = (Cache::new(KNOWN_MAX), FuturesUnordered::new());
        Self { log, clock, era: 0, waiting: HashMap::new(), present: 0, known, under_way }
    }

    /// Whoever finds none waits in the queue, which is as long.
    fn has_room(&self) -> bool {
        self.present < WAITING_MAX
    }

    fn take(&mut self, visitor: Visitor) {
        if visitor.era != self.era {
            // The log was put back: what is known is of another one.
            self.known.clear();
            self.era = visitor.era;
        }
        let waiting = self.waiting.get_mut(&visitor.link);
        if waiting.as_ref().is_some_and(|waiting| waiting.len() >= WAITING_OF_LINK_MAX) {
            return tell(visitor, Err(GrantError::Busy));
        }
        self.present += 1;
        match waiting {
            Some(waiting) => waiting.push(visitor),
            None => self.begin(visitor.link.clone(), vec![visitor]),
        }
    }

    /// It is the link's turn.
    fn begin(&mut self, link: LinkKey, mut visitors: Vec<Visitor>) {
        // Who is gone takes nothing away from the others.
        let all = visitors.len();
        visitors.retain(|visitor| !visitor.answer.is_closed());
        self.present -= all - visitors.len();
        let count = u32::try_from(visitors.len()).ok().and_then(NonZeroU32::new);
        let Some(count) = count else {
            self.waiting.remove(&link);
            return;
        };
        self.waiting.insert(link.clone(), Vec::new());
        let least = visitors.iter().map(|visitor| visitor.least).max().unwrap_or_default();
        let (known, era) = (self.known.remove(&link).map(|(_, known)| known), self.era);
        let (log, now) = (Arc::clone(&self.log), self.clock.now());
        self.under_way.push(Box::pin(async move {
            let outcome = grant(&log, &link, (known, least), count, now).await;
            Turn { link, era, visitors, outcome }
        }));
    }

    /// Everybody of a turn is told, and those who came meanwhile have the next one.
    fn end(&mut self, Turn { link, era, visitors, outcome }: Turn) {
        self.present -= visitors.len();
        match outcome {
            Ok(granted) => {
                if era == self.era {
                    self.known.insert(link.clone(), granted.link.clone());
                }
                share_out(granted, visitors);
            }
            Err(error) => {
                let error = refusal(error);
                visitors.into_iter().for_each(|visitor| tell(visitor, Err(error.clone())));
            }
        }
        let next = self.waiting.remove(&link).unwrap_or_default();
        self.begin(link, next);
    }
}

/// Who came first is given first.
fn share_out(Granted { count, link, position }: Granted, visitors: Vec<Visitor>) {
    let last = position.filter(|_| link.extras.is_spent()).map(|position| (count, position));
    for (number, visitor) in (1..).zip(visitors) {
        let grant = match last {
            _ if number > count => Grant::Spent,
            Some((last, position)) if number == last => {
                Grant::Last(Box::new((link.clone(), position)))
            }
            _ => Grant::Given,
        };
        tell(visitor, Ok(grant));
    }
}

/// Whoever does not wait any more is not told.
fn tell(visitor: Visitor, grant: Result<Grant, GrantError>) {
    let _ = visitor.answer.send(grant);
}

fn refusal(error: ExecuteError) -> GrantError {
    match error {
        ExecuteError::Refused(refused) => GrantError::Refused(refused),
        ExecuteError::Contended => GrantError::Busy,
        error => {
            tracing::error!(%error, "clicks of a budget can't be given");
            GrantError::Away
        }
    }
}

#[cfg(test)]
mod tests;
