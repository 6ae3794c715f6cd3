//! Bringing links into the cache before anybody follows them.

use std::sync::Arc;

use hoplog_events::link::LinkKey;

use super::{LinkResolver, Target, loaded, millis};
use crate::cache::{Pace, Warmed};
use crate::clock::Clock;

impl LinkResolver {
    /// Brings links into the cache, from Redis or from the read model, if that can be believed.
    pub async fn warm(&self, links: &[LinkKey], pace: Pace, clock: &Clock) -> Warmed {
        let now_ms = || millis(clock.now());
        let load_many = |keys: Vec<LinkKey>| async move {
            let rows = self.source.directory.get_as_of(&keys).await.unwrap_or_default();
            let is_believed = |key: &LinkKey, version| version >= self.least_believed(key);
            let rows = rows.into_iter().filter(|(row, _)| is_believed(&row.key, row.version));
            let links = rows.map(|(row, as_of)| {
                let (key, changed) = (row.key.clone(), row.sequence);
                (key, loaded(Arc::new(Target::from(row)), changed, as_of))
            });
            links.collect()
        };
        self.cache.warm(links, pace, now_ms, load_many).await
    }
}
