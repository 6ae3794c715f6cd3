//! Where visitors wait for their link's turn, and what is known of the links.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use hoplog_events::link::LinkKey;
use hoplog_events::log::EventLog;
use quick_cache::unsync::Cache;

use super::{Grant, GrantError, Visitor, WAITING_MAX, WAITING_OF_LINK_MAX};
use crate::clock::Clock;
use crate::domain::link::Link;
use crate::execute::ExecuteError;
use crate::execute::grants::{Granted, grant};

/// Links that are known as the last append left them; about 500 bytes each.
const KNOWN_MAX: usize = 4_096;

/// Where visitors wait, and what is known of their links.
pub(super) struct Desk {
    pub(super) log: Arc<dyn EventLog>,
    clock: Clock,
    era: u64,
    /// The links whose turn it is, with those who came meanwhile.
    pub(super) waiting: HashMap<LinkKey, Vec<Visitor>>,
    /// All who have not been told yet.
    pub(super) present: usize,
    known: Cache<LinkKey, Link>,
    pub(super) under_way: FuturesUnordered<BoxFuture<'static, Turn>>,
}

/// What came of an append.
pub(super) struct Turn {
    link: LinkKey,
    era: u64,
    visitors: Vec<Visitor>,
    outcome: Result<Granted, ExecuteError>,
}

impl Desk {
    pub(super) fn new(log: Arc<dyn EventLog>, clock: Clock) -> Self {
        let (known, under_way) = (Cache::new(KNOWN_MAX), FuturesUnordered::new());
        Self { log, clock, era: 0, waiting: HashMap::new(), present: 0, known, under_way }
    }

    /// Whoever finds none waits in the queue, which is as long.
    pub(super) fn has_room(&self) -> bool {
        self.present < WAITING_MAX
    }

    pub(super) fn take(&mut self, visitor: Visitor) {
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
    pub(super) fn end(&mut self, Turn { link, era, visitors, outcome }: Turn) {
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
                for visitor in visitors {
                    tell(visitor, Err(error.clone()));
                }
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
