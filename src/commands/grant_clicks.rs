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

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use hoplog_events::link::LinkKey;
use hoplog_events::log::EventLog;
use hoplog_events::position::{Position, Version};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::clock::Clock;
use crate::domain::link::{Link, LinkError};

mod desk;

use desk::Desk;

/// Visitors of all links that wait, at most. Further ones are told to come back.
const WAITING_MAX: usize = 4_096;

/// Visitors of one link that wait, at most: the visitors of others shall find a place.
const WAITING_OF_LINK_MAX: usize = 1_024;

/// How long a visitor waits. Whoever does not wait any more is given nothing, unless it was under way.
const PATIENCE: Duration = Duration::from_secs(10);

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

#[cfg(test)]
mod tests;
