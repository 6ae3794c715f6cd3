//! Put links in quarantine that lead to what block lists have.

use futures::stream::{self, StreamExt};
use hoplog_events::link::LinkKey;

use super::Commands;
use crate::clock::Clock;
use crate::domain::link::{LinkCommand, Oversee, Request, Requester};
use crate::execute::{ExecuteError, Origin, Outcome};

/// How many are looked at at the same time.
const CONCURRENCY: usize = 16;

impl Commands {
    /// Puts those of these links in quarantine that lead to what the block lists have now: each decides for itself, by
    /// its own events. Gives what became of them, and how many could not be asked.
    pub async fn quarantine_blocked(
        &self,
        links: Vec<LinkKey>,
        clock: &Clock,
    ) -> (Vec<Outcome>, usize) {
        let decide = |key: LinkKey| async move {
            let request = Request {
                requester: Requester::Admin,
                now: clock.now(),
                expected: None,
                named: None,
                own_hosts: Vec::new(),
                blocked: self.blocked.current(),
                command: LinkCommand::Oversee(Box::new(Oversee::QuarantineIfBlocked)),
            };
            let origin = Origin::once("system:blocklist", None);
            let outcome = self.execute(&key, &request, &origin).await;
            outcome.inspect_err(|error| tracing::warn!(%key, %error, "a link was not looked at"))
        };
        let all: Vec<_> =
            stream::iter(links).map(decide).buffer_unordered(CONCURRENCY).collect().await;
        // One that was deleted meanwhile needs nothing.
        let failed = |outcome: &&Result<Outcome, ExecuteError>| matches!(outcome, Err(error) if !matches!(error, ExecuteError::Refused(_)));
        let missing = all.iter().filter(failed).count();
        (all.into_iter().flatten().collect(), missing)
    }
}
