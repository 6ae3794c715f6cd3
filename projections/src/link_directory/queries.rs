//! The questions about one link, and what the jobs ask.

use chrono::{DateTime, Utc};
use hoplog_events::link::{Destination, Domain, LinkKey, OwnerId};
use hoplog_events::position::Sequence;
use tokio::sync::watch;

use super::NAME;
use super::list::Limits;
use super::row::{LinkRow, SELECTED, SELECTED_COLUMNS};
use crate::checkpoint::{AsOf, as_of};
use crate::database::{DatabaseError, Row, Value};
use crate::runner::{Progress, State};
use crate::table_set::Tables;

/// Links to the URL `?`. Its index holds the beginnings of URLs: no database takes entries as long
/// as a URL can be.
pub(super) const SAME_URL: &str = "(substr(l.url, 1, 500) = substr(?, 1, 500) and l.url = ?)";

/// Answers questions about links. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LinkDirectory {
    pub(super) tables: Tables,
    progress: watch::Receiver<Progress>,
    pub(super) limits: Limits,
}

impl LinkDirectory {
    pub(crate) fn new(tables: Tables, progress: watch::Receiver<Progress>) -> Self {
        Self { tables, progress, limits: Limits::default() }
    }

    /// The same for so few links that a test has more.
    #[cfg(test)]
    pub(crate) fn limited(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The last event of topic LINKS that the tables of every partition account for. A link that is not found
    /// may be younger than that. Nothing, while the directory can't go on: its tables may be of another log.
    #[must_use]
    pub fn applied(&self) -> Sequence {
        let progress = self.progress.borrow();
        if progress.state == State::Failed { Sequence::START } else { progress.sequence }
    }

    /// One link; `None`: not here (yet), or events of it are parked: what it became is not known here.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn get(&self, key: &LinkKey) -> Result<Option<LinkRow>, DatabaseError> {
        let not_parked = not_parked();
        let sql = format!(
            "select {SELECTED} from {{link_directory.links}} l where l.link = $1 and {not_parked}"
        );
        let rows = self.tables.look_up(&sql, &[key.to_string().into()], LinkRow::read).await?;
        Ok(rows.into_iter().next())
    }

    /// Some links, each with the last event of topic LINKS that it accounts for: nothing up to
    /// that one has changed it since. At most [`LINKS_PER_STATEMENT_MAX`] are looked for.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn get_as_of(
        &self,
        keys: &[LinkKey],
    ) -> Result<Vec<(LinkRow, Sequence)>, DatabaseError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys = &keys[..keys.len().min(LINKS_PER_STATEMENT_MAX)];
        let places: Vec<String> = (1..=keys.len()).map(|n| format!("${n}")).collect();
        let (as_of, places, not_parked) = (as_of(NAME, "links"), places.join(", "), not_parked());
        let sql = format!(
            "select {SELECTED}, {as_of} from {{link_directory.links}} l where l.link in ({places}) \
             and {not_parked}"
        );
        let values: Vec<Value> = keys.iter().map(|key| key.to_string().into()).collect();
        let read = |row: &Row| {
            let link = LinkRow::read(row)?;
            let as_of = AsOf::read(row.optional_text(SELECTED_COLUMNS)?)?.of(row.text(0)?);
            let as_of = as_of.max(link.sequence);
            Ok((link, as_of))
        };
        self.tables.look_up(&sql, &values, read).await
    }

    /// The owner's live links to a URL, newest first: candidates for reuse, to be compared with
    /// what is asked for (expiry, redirect) by the caller.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn find_reusable(
        &self,
        owner: &OwnerId,
        (domain, url): (&Domain, &Destination),
        now: DateTime<Utc>,
    ) -> Result<Vec<LinkRow>, DatabaseError> {
        let sql = format!(
            "select {SELECTED} from {{link_directory.links}} l where {} and l.owner = $2 \
             and l.domain = $4 and l.state = 'active' and (l.expires_at is null or l.expires_at > $3) and {} \
             order by l.created_at desc, l.link limit {REUSE_CANDIDATES_MAX}",
            SAME_URL.replace('?', "$1"),
            not_parked()
        );
        let values = [
            url.as_str().into(),
            owner.as_str().into(),
            now.timestamp_micros().into(),
            domain.as_str().into(),
        ];
        self.tables.look_up(&sql, &values, LinkRow::read).await
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
             and l.expires_at is not null and l.expires_at <= $1 and {} \
             order by l.expires_at, l.link limit $2",
            not_parked()
        );
        let values = [now.timestamp_micros().into(), i64::from(limit).into()];
        self.tables.look_up(&sql, &values, LinkRow::read).await
    }
}

/// Nothing is told of a link that has parked events: it may have been deleted since.
fn not_parked() -> String {
    format!(
        "not exists (select 1 from parked k where k.projection = '{NAME}' \
         and k.sequence_of = l.link \
         and '{NAME}_' || k.table_set || '_links' = '{{{NAME}.links}}')"
    )
}

/// How many links one statement looks for.
pub const LINKS_PER_STATEMENT_MAX: usize = 500;

/// More live links of one owner to one URL than this are not looked at for reuse.
const REUSE_CANDIDATES_MAX: usize = 100;
