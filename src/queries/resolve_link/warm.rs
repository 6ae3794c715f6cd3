//! Bringing links into the cache before anybody follows them.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use hoplog_events::link::LinkKey;

use super::{LinkResolver, Target, loaded, millis};
use crate::cache::{Loaded, Pace, WARMING_LOADS_AT_ONCE, Warmed};
use crate::clock::Clock;

impl LinkResolver {
    /// Brings links into the cache: from Redis, from the read model if that can be believed, or from the
    /// log. Those that are missing then are those of which nobody could be asked.
    pub async fn warm(&self, links: &[LinkKey], pace: Pace, clock: &Clock) -> Warmed {
        let now_ms = || millis(clock.now());
        let load_many = |keys: Vec<LinkKey>| async move {
            let (mut links, doubtful) = self.load_believed(keys).await;
            let ask = |key: LinkKey| async move {
                // That there is no such link is an answer as well.
                let loaded = self.source.look_up(&key).await.ok()?;
                Some((key, loaded))
            };
            let asked = futures::stream::iter(doubtful)
                .map(ask)
                .buffer_unordered(WARMING_LOADS_AT_ONCE as usize);
            links.extend(asked.filter_map(std::future::ready).collect::<Vec<_>>().await);
            links
        };
        self.cache.warm(links, pace, now_ms, load_many).await
    }

    /// What the read model has and can be believed; the keys of all others.
    async fn load_believed(
        &self,
        keys: Vec<LinkKey>,
    ) -> (Vec<(LinkKey, Loaded<Arc<Target>>)>, Vec<LinkKey>) {
        let era = self.source.recent().era();
        let rows = self.source.directory.get_as_of(&keys).await.unwrap_or_default();
        let mut rows: HashMap<LinkKey, _> =
            rows.into_iter().map(|(row, as_of)| (row.key.clone(), (row, as_of))).collect();
        let (mut links, mut doubtful) = (Vec::new(), Vec::new());
        for key in keys {
            let row = rows.remove(&key);
            let is_believed = |version| version >= self.least_believed(&key);
            match row.filter(|(row, _)| is_believed(row.version)) {
                Some((row, as_of)) => {
                    let (changed, version) = (row.sequence, row.version);
                    self.source.note_ahead(era, &key, version, changed);
                    links.push((key, loaded(Arc::new(Target::from(row)), changed, as_of)));
                }
                None => doubtful.push(key),
            }
        }
        (links, doubtful)
    }
}
