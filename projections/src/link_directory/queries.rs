//! The questions about one link, and what the jobs ask.

use chrono::{DateTime, Utc};
use hoplog_events::link::{Destination, LinkKey, OwnerId};
use hoplog_events::position::Sequence;
use tokio::sync::watch;

use super::row::{LinkRow, SELECTED};
use crate::database::DatabaseError;
use crate::runner::Progress;
use crate::table_set::Tables;

/// Answers questions about links. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LinkDirectory {
    pub(super) tables: Tables,
    progress: watch::Receiver<Progress>,
}

impl LinkDirectory {
    pub(crate) fn new(tables: Tables, progress: watch::Receiver<Progress>) -> Self {
        Self { tables, progress }
    }

    /// The last event of topic LINKS that the tables account for. A link that is not found
    /// may be younger than that.
    #[must_use]
    pub fn applied(&self) -> Sequence {
        self.progress.borrow().sequence
    }

    /// One link; `None`: not here (yet).
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn get(&self, key: &LinkKey) -> Result<Option<LinkRow>, DatabaseError> {
        let sql = format!("select {SELECTED} from {{link_directory.links}} l where l.link = $1");
        let rows = self.tables.fetch(&sql, &[key.to_string().into()], LinkRow::read).await?;
        Ok(rows.into_iter().next())
    }

    /// The owner's live links to a URL, newest first: candidates for reuse, to be compared with
    /// what is asked for (expiry, redirect) by the caller.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn find_reusable(
        &self,
        owner: &OwnerId,
        url: &Destination,
        now: DateTime<Utc>,
    ) -> Result<Vec<LinkRow>, DatabaseError> {
        let sql = format!(
            "select {SELECTED} from {{link_directory.links}} l where l.url = $1 and l.owner = $2 \
             and l.state = 'active' and (l.expires_at is null or l.expires_at > $3) \
             order by l.created_at desc, l.link limit {REUSE_CANDIDATES_MAX}"
        );
        let values = [url.as_str().into(), owner.as_str().into(), now.timestamp_micros().into()];
        self.tables.fetch(&sql, &values, LinkRow::read).await
    }

    /// Active links whose expiry instant has passed, longest past first.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn due_for_expiry(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<LinkRow>, DatabaseError> {
        let sql = format!(
            "select {SELECTED} from {{link_directory.links}} l where l.state = 'active' \
             and l.expires_at is not null and l.expires_at <= $1 order by l.expires_at limit $2"
        );
        let values = [now.timestamp_micros().into(), i64::from(limit).into()];
        self.tables.fetch(&sql, &values, LinkRow::read).await
    }
}

/// More live links of one owner to one URL than this are not looked at for reuse.
const REUSE_CANDIDATES_MAX: usize = 100;
