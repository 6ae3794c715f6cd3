//! Put links in quarantine that lead to what block lists have.

use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt};
use hoplog_events::link::{FoundBy, LinkKey};

use super::Commands;
use crate::clock::Clock;
use crate::domain::link::{LinkCommand, Oversee, Request};
use crate::execute::{ExecuteError, Origin, Outcome};

/// How many are looked at at the same time.
const CONCURRENCY: usize = 16;

impl Commands {
    /// Puts those of these links in quarantine that lead to what the block lists have now: each decides for itself, by
    /// its own events. Gives those that are now, and how many links could not be asked.
    pub async fn quarantine_blocked(
        &self,
        links: Vec<LinkKey>,
        clock: &Clock,
    ) -> (Vec<Outcome>, usize) {
        let decide = |key: LinkKey| async move {
            let request = Request {
                blocked: self.blocked.current(),
                ..Request::of_service(
                    LinkCommand::Oversee(Box::new(Oversee::QuarantineIfBlocked)),
                    clock.now(),
                )
            };
            let origin = Origin::once("system:blocklist", None);
            let outcome = self.execute(&key, &request, &origin).await;
            let outcome = outcome
                .inspect_err(|error| tracing::warn!(%key, %error, "a link was not looked at"));
            outcome.map(|outcome| is_by_list_since(&outcome, request.now).then_some(outcome))
        };
        let all: Vec<_> =
            stream::iter(links).map(decide).buffer_unordered(CONCURRENCY).collect().await;
        // One that was deleted meanwhile needs nothing.
        let failed = |outcome: &&Result<Option<Outcome>, ExecuteError>| matches!(outcome, Err(error) if !matches!(error, ExecuteError::Refused(_)));
        let missing = all.iter().filter(failed).count();
        (all.into_iter().flatten().flatten().collect(), missing)
    }
}

/// Whether it was this that put the link in quarantine: it may have had nothing to do.
fn is_by_list_since(outcome: &Outcome, now: DateTime<Utc>) -> bool {
    let quarantine = outcome.link.extras.quarantine();
    quarantine.is_some_and(|it| it.begun.by == FoundBy::Blocklist && it.begun.since == now)
}
