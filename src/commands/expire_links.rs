//! Note on the log that links have expired. They are not served from their instant on in any
//! case; the event makes it a fact that subscribers see.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use hoplog_events::link::LinkKey;

use super::Commands;
use crate::clock::Clock;
use crate::domain::link::{LinkCommand, Request};
use crate::execute::{Origin, Outcome};

/// How often due links are looked for.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How many due links one sweep takes.
pub const SWEEP_LINKS_MAX: usize = 1_000;

/// How many are noted at the same time.
const CONCURRENCY: usize = 64;

impl Commands {
    /// Notes the end of these links, as far as it has come: each decides for itself again, so
    /// that a link whose end was moved meanwhile lives on. Gives what was noted.
    pub async fn expire_links(&self, due: Vec<LinkKey>, clock: &Clock) -> Vec<Outcome> {
        let expire = |key: LinkKey| async move {
            let request = Request::of_service(LinkCommand::Expire, clock.now());
            let origin = Origin::once("system:expiry", None);
            let outcome = self.execute(&key, &request, &origin).await;
            outcome
                .inspect_err(|error| tracing::warn!(%key, %error, "a link's end was not noted"))
                .ok()
        };
        stream::iter(due)
            .map(expire)
            .buffer_unordered(CONCURRENCY)
            .filter_map(std::future::ready)
            .collect()
            .await
    }
}
