//! One link, as its owner sees it: never older than what this node has seen of it.

use hoplog_events::link::{Destination, LinkKey, LinkState};
use hoplog_events::position::Version;
use hoplog_projections::link_directory::{LinkDirectory, LinkRow};

use super::QueryFailure;
use crate::domain::link::{Link, Requester};
use crate::execute::load_link;

use hoplog_events::log::EventLog;

/// The link with this key, deleted or not. `least`: the version that a read model must have to be
/// believed; otherwise the log is asked.
///
/// # Errors
/// When there is none, it is not the requester's, or nobody can be asked.
pub async fn find_link(
    log: &dyn EventLog,
    directory: &LinkDirectory,
    least: Version,
    key: &LinkKey,
    requester: &Requester,
) -> Result<Link, QueryFailure> {
    let link = match directory.get(key).await? {
        Some(row) if row.version >= least => Some(Link::from(row)),
        _ => load_link(log, key).await?,
    };
    link.filter(|link| requester.sees(&link.owner)).ok_or(QueryFailure::NotFound)
}

/// A deleted link is no link.
///
/// # Errors
/// When it was deleted.
pub fn not_deleted(link: Link) -> Result<Link, QueryFailure> {
    if link.state == LinkState::Deleted { Err(QueryFailure::Deleted) } else { Ok(link) }
}

impl From<LinkRow> for Link {
    fn from(row: LinkRow) -> Self {
        Self {
            // Nobody who may be told of it asks the read models: decisions fold the link's events.
            is_erased: row.state == LinkState::Deleted && row.url == Destination::erased(),
            key: row.key,
            url: row.url,
            owner: row.owner,
            created_at: row.created_at,
            expires_at: row.expires_at,
            redirect: row.redirect,
            title: row.title,
            tags: row.tags,
            note: row.note,
            external_id: row.external_id,
            extras: row.extras,
            state: row.state,
            version: row.version,
        }
    }
}
