//! Lists of links: filters, four orders, pages by keyset (page 1,000 costs what page 1 does).
//!
//! ```text
//! few links that a filter admits ──► they are gathered by the filter's index, and sorted
//! many                           ──► the order's index is walked until the page is full
//! ```
//!
//! Either way few rows are looked at: what few links have is gathered, and of what many have a page
//! is full soon.

mod gather;
mod order;
mod statement;

use chrono::{DateTime, Utc};
use hoplog_events::link::{Destination, Domain, ExternalId, LinkState, OwnerId, Tag};

use super::queries::LinkDirectory;
use super::row::LinkRow;
use crate::click_statistics::ClickTotals;
use crate::cursor::{QueryError, cut, encode};
use crate::database::DatabaseError;
pub(crate) use gather::Limits;
use gather::Source;
use order::{Order, Place};
use statement::Statement;

/// Since this version tables have what lists are read by.
const INDEXED_SINCE: i64 = 4;

/// The most links one page holds.
pub const PAGE_MAX: usize = 1_000;

/// Which links are asked for; every field that is given narrows the list.
#[derive(Debug, Clone, Default)]
pub struct LinkFilter {
    /// Links of one owner; `None`: of all.
    pub owner: Option<OwnerId>,
    /// Links on one domain; `None`: on all.
    pub domain: Option<Domain>,
    /// Links with a tag.
    pub tag: Option<Tag>,
    /// Links in a state; `None`: all but deleted.
    pub state: Option<LinkState>,
    /// Links with a text in code, URL or title (ASCII letters in either case).
    pub text: Option<String>,
    /// Links to exactly this URL.
    pub url: Option<Destination>,
    /// Links with this name in their owner's system.
    pub external_id: Option<ExternalId>,
    /// Links that are put away, too?
    pub archived: Archived,
    /// Links whose time has come or not; `None`: both.
    pub validity: Option<Validity>,
    /// Created at this instant or later.
    pub created_after: Option<DateTime<Utc>>,
    /// Created before this instant.
    pub created_before: Option<DateTime<Utc>>,
}

/// Whether links that are put away are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Archived {
    /// The others only.
    #[default]
    Exclude,
    /// All links.
    Include,
    /// These only.
    Only,
}

/// Whether the time of a link has come, at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// It is served.
    Begun(DateTime<Utc>),
    /// It is not served yet.
    ToCome(DateTime<Utc>),
}

impl LinkFilter {
    /// Whether few links may be in the state that is asked for.
    fn is_narrow(&self) -> bool {
        self.archived == Archived::Only
            || self.state.is_some_and(|state| state != LinkState::Active)
            || matches!(self.validity, Some(Validity::ToCome(_)))
    }
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkSort {
    /// The newest first.
    #[default]
    NewestFirst,
    /// The oldest first.
    OldestFirst,
    /// By code.
    Code,
    /// The most clicked (bots included) first.
    MostClicked,
}

/// One page of a list is asked for.
#[derive(Debug, Clone, Default)]
pub struct LinkQuery {
    /// Which links.
    pub filter: LinkFilter,
    /// In which order.
    pub sort: LinkSort,
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// The most links to return; at most [`PAGE_MAX`].
    pub limit: usize,
}

/// Some links with their clicks so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPage {
    /// The links.
    pub links: Vec<(LinkRow, ClickTotals)>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
}

/// A link, its clicks, and what the cursor says of it.
type Listed = (LinkRow, ClickTotals, String);

impl LinkDirectory {
    /// One page of a list.
    ///
    /// # Errors
    /// For a cursor of another order, or when the database can't answer.
    pub async fn list(&self, query: &LinkQuery) -> Result<LinkPage, QueryError> {
        let limit = query.limit.clamp(1, PAGE_MAX);
        let order = query.sort.order();
        let after = query.cursor.as_deref().map(|cursor| order.place(cursor)).transpose()?;
        let rows = self.by_index(&query.filter, &order, after.as_ref(), limit + 1);
        let rows = tokio::time::timeout(self.tables.database.answer_timeout(), rows).await;
        let rows = match rows.unwrap_or(Err(DatabaseError::TooLong)) {
            Err(DatabaseError::Broken(_)) if self.is_of_a_version_before().await? => {
                let statement = Statement::plain(&query.filter, &order, after.as_ref());
                self.fetch(statement, limit + 1).await?
            }
            rows => rows?,
        };
        Ok(page(rows, limit, &order))
    }

    async fn by_index(
        &self,
        filter: &LinkFilter,
        order: &Order,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Vec<Listed>, DatabaseError> {
        let sources = self.sources(filter, order).await?;
        match self.few(&sources).await? {
            Some(numbers) if numbers.is_empty() => return Ok(Vec::new()),
            Some(numbers) => {
                let statement = Statement::gather(&numbers, filter, order, after);
                return self.fetch(statement, limit).await;
            }
            None => {}
        }
        if let Some(rows) = self.near_or_gathered(&sources, filter, order, after, limit).await? {
            return Ok(rows);
        }
        let mut rows = Vec::new();
        for statement in Statement::walks(filter, order, after) {
            rows.extend(self.fetch(statement, limit - rows.len()).await?);
            if rows.len() == limit {
                break;
            }
        }
        Ok(rows)
    }

    /// A page that the first rows of the order fill, or else, if they are not too many, that of all links of
    /// a source. `None`: it takes a walk. By clicks links are looked at as if there were no index rather than walked
    /// to: those of a filter may be the ones that nobody clicked.
    async fn near_or_gathered(
        &self,
        sources: &[Source],
        filter: &LinkFilter,
        order: &Order,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Option<Vec<Listed>>, DatabaseError> {
        let is_by_clicks = order.sort == LinkSort::MostClicked;
        if sources.is_empty() && !(is_by_clicks && filter.is_narrow()) {
            return Ok(None);
        }
        let near = if is_by_clicks {
            Some(Statement::near_by_clicks(filter, order, after, self.limits.reach))
        } else {
            let end = self.end(filter, order, after).await?;
            end.map(|end| Statement::walk(filter, order, after).up_to(order, &end))
        };
        let Some(near) = near else { return Ok(None) };
        let rows = self.fetch(near, limit).await?;
        if rows.len() == limit {
            return Ok(Some(rows));
        }
        let statement = match self.some(sources).await? {
            Some(source) => Statement::gather_all(source, filter, order, after),
            None if is_by_clicks => Statement::plain(filter, order, after),
            None => return Ok(None),
        };
        self.fetch(statement, limit).await.map(Some)
    }

    async fn fetch(
        &self,
        statement: Statement,
        limit: usize,
    ) -> Result<Vec<Listed>, DatabaseError> {
        let is_numeric = statement.is_numeric;
        let (sql, values) = statement.finish(limit);
        self.tables.fetch(&sql, &values, |row| statement::read(row, is_numeric)).await
    }

    /// Tables of a version before answer until those of this one are built.
    async fn is_of_a_version_before(&self) -> Result<bool, DatabaseError> {
        let (_, version) = self.tables.answering_set(super::NAME).await?;
        Ok(version.is_some_and(|version| version < INDEXED_SINCE))
    }
}

#[cfg(test)]
mod tests;

fn page(mut rows: Vec<Listed>, limit: usize, order: &Order) -> LinkPage {
    let last = cut(&mut rows, limit);
    let next_cursor =
        last.map(|(link, _, value)| encode(order.name, &[value, &link.key.to_string()]));
    LinkPage {
        links: rows.into_iter().map(|(link, clicks, _)| (link, clicks)).collect(),
        next_cursor,
    }
}
