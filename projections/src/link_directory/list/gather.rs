//! Whether a filter admits so few links that they are gathered and sorted.

use chrono::{DateTime, Utc};
use hoplog_events::link::{Destination, ExternalId, OwnerId, Tag};

use super::LinkFilter;
use super::order::{Order, Place};
use super::statement::{Statement, pattern};
use crate::database::{DatabaseError, Rarity, Row, Value};
use crate::link_directory::queries::{LinkDirectory, SAME_URL};

/// How many links are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// So many are gathered before the order's index is walked: it takes some milliseconds. If a filter
    /// admits more, and they are spread evenly over `n` links, a page of 50 is full after `n` / 100 rows.
    pub(crate) few: i64,
    /// After so many rows it is clear that they are not spread evenly, ...
    pub(crate) reach: i64,
    /// ... and so many are gathered all the same.
    pub(crate) many: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { few: 5_000, reach: 10_000, many: 200_000 }
    }
}

/// The columns that texts are looked for in.
const TEXTS: [&str; 3] = ["code", "url", "title"];

/// A statement for the numbers of some links, and its parameters.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Source {
    /// `?` is the place of the value, any number of times.
    fn new(sql: &str, value: impl Into<Value>) -> Self {
        Self { sql: sql.replace('?', "$1"), values: vec![value.into()] }
    }
}

/// What an index answers, the filters first that mostly admit fewest. Where the order's own index
/// begins with a filter, it is walked.
pub(super) fn sources(filter: &LinkFilter, order: &Order) -> Vec<Source> {
    let LinkFilter { owner, domain, tag, url, external_id, .. } = filter;
    let links = "select l.number as number from {link_directory.links} l where ";
    let tags = "select g.number as number from {link_directory.tags} g where ";
    let mut sources = Vec::new();
    if let Some(id) = external_id.as_ref().map(ExternalId::as_str) {
        sources.push(Source::new(&format!("{links}l.external_id = ?"), id));
    }
    if let Some(url) = url.as_ref().map(Destination::as_str) {
        sources.push(Source::new(&format!("{links}{SAME_URL}"), url));
    }
    if let Some(domain) = domain {
        // Links begin with their domain and a slash, and what comes behind it is a zero.
        let mut source =
            Source::new(&format!("{links}l.link >= ? and l.link < $2"), format!("{domain}/"));
        source.values.push(format!("{domain}0").into());
        sources.push(source);
    }
    let (owner, tag) = (owner.as_ref().map(OwnerId::as_str), tag.as_ref().map(Tag::as_str));
    let is_walked = order.is_by_creation() && filter.text.is_none();
    match (owner, tag) {
        _ if is_walked => {}
        (Some(owner), Some(tag)) => {
            let mut source = Source::new(&format!("{tags}g.owner = ? and g.tag = $2"), owner);
            source.values.push(tag.into());
            sources.push(source);
        }
        (None, Some(tag)) => sources.push(Source::new(&format!("{tags}g.tag = ?"), tag)),
        (Some(owner), None) => sources.push(Source::new(&format!("{links}l.owner = ?"), owner)),
        (None, None) => {}
    }
    if (filter.created_after.is_some() || filter.created_before.is_some())
        && (filter.text.is_some() || !order.is_by_creation())
    {
        let micros = |at: Option<DateTime<Utc>>, or| at.map_or(or, |at| at.timestamp_micros());
        let range = "l.created_at >= ? and l.created_at < $2";
        let mut source =
            Source::new(&format!("{links}{range}"), micros(filter.created_after, i64::MIN));
        source.values.push(micros(filter.created_before, i64::MAX).into());
        sources.push(source);
    }
    sources
}

impl LinkDirectory {
    /// The sources of a filter.
    pub(super) async fn sources(
        &self,
        filter: &LinkFilter,
        order: &Order,
    ) -> Result<Vec<Source>, DatabaseError> {
        let mut sources = sources(filter, order);
        if let Some(text) = &filter.text {
            sources.extend(self.with_text(text).await?);
        }
        Ok(sources)
    }

    /// The numbers of the links of one of the sources, if one has few.
    pub(super) async fn few(&self, sources: &[Source]) -> Result<Option<Vec<i64>>, DatabaseError> {
        for Source { sql, values } in sources {
            let sql = format!("{sql} limit {}", self.limits.few + 1);
            let numbers = self.tables.fetch(&sql, values, |row| row.int(0)).await?;
            if i64::try_from(numbers.len()).is_ok_and(|count| count <= self.limits.few) {
                return Ok(Some(numbers));
            }
        }
        Ok(None)
    }

    /// A source that has not too many links to be gathered.
    pub(super) async fn some<'a>(
        &self,
        sources: &'a [Source],
    ) -> Result<Option<&'a Source>, DatabaseError> {
        let limit = self.limits.many + 1;
        for source in sources {
            let sql = format!("select count(*) from ({} limit {limit}) s", source.sql);
            let counted = self.tables.fetch(&sql, &source.values, |row| row.int(0)).await?;
            if counted.into_iter().all(|count| count < limit) {
                return Ok(Some(source));
            }
        }
        Ok(None)
    }

    /// Where the rows end that are looked at before links are gathered; `None`: there are not so many.
    pub(super) async fn end(
        &self,
        filter: &LinkFilter,
        order: &Order,
        after: Option<&Place>,
    ) -> Result<Option<Place>, DatabaseError> {
        let (sql, values) = Statement::reach(filter, order, after, self.limits.reach);
        let read = |row: &Row| {
            let value = if order.numeric { row.int(0)?.into() } else { row.text(0)?.into() };
            Ok(Place { value, link: row.text(1)?.to_owned() })
        };
        Ok(self.tables.fetch(&sql, &values, read).await?.pop())
    }

    /// The links that may have a text; `None`: no index gives them, as it is too short, or has nothing that is
    /// looked for, or the database has no such index.
    pub(super) async fn with_text(&self, text: &str) -> Result<Option<Source>, DatabaseError> {
        let database = &self.tables.database;
        let index = database.text_index("{link_directory.links}", "number", &TEXTS);
        let Some((sql, values)) = index.probe(text) else { return Ok(None) };
        let read = |row: &Row| {
            let piece = row.text(0)?.to_owned();
            Ok(Rarity { piece, rows: row.int(1)?, reaches: row.optional_int(2)? })
        };
        let rarities = self.tables.fetch(&sql, &values, read).await?;
        if rarities.is_empty() {
            return Ok(None);
        }
        let (sql, value) = index.find(&pattern(text), rarities);
        Ok(Some(Source::new(&sql, value)))
    }
}
