//! Give a tag of some links another name.

use futures::stream::{self, StreamExt};
use hoplog_events::link::LinkKey;

use super::{Commands, Issuer};
use crate::domain::link::{LinkCommand, RenameTag};
use crate::execute::{ExecuteError, Origin, Outcome};

/// How many links are changed at the same time: enough to fill the log's groups.
const CONCURRENCY: usize = 64;

impl Commands {
    /// Renames a tag of these links: each decides for itself, by its own events, so that one that has lost the tag
    /// meanwhile stays as it is. Gives what became of each.
    pub async fn rename_tag(
        &self,
        issuer: &Issuer,
        links: Vec<LinkKey>,
        rename: &RenameTag,
    ) -> Vec<(LinkKey, Result<Outcome, ExecuteError>)> {
        let change = |key: LinkKey| async move {
            let command = LinkCommand::RenameTag(Box::new(rename.clone()));
            let request = self.request(issuer, None, None, command);
            let origin = Origin::once(&issuer.actor, Some(issuer.correlation_id.clone()));
            let outcome = self.execute(&key, &request, &origin).await;
            (key, outcome)
        };
        stream::iter(links).map(change).buffer_unordered(CONCURRENCY).collect().await
    }
}
