//! Whether a filter admits so few links that they are gathered and sorted.

use chrono::{DateTime, Utc};
use hoplog_events::link::{Destination, ExternalId, OwnerId, Tag};

use super::LinkFilter;
use super::order::Order;
use super::statement::pattern;
use crate::database::{DatabaseError, PIECE_CHARS, Rarity, Row, Value};
use crate::link_directory::queries::{LinkDirectory, SAME_URL};

/// So many links are few: they are gathered in some milliseconds. If a filter admits more, and they are
/// spread evenly over `n` links, a page of 50 is full after `n` / 100 of them.
pub(in crate::link_directory) const FEW: i64 = 5_000;

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
    let LinkFilter { owner, tag, url, external_id, .. } = filter;
    let links = "select l.number as number from {link_directory.links} l where ";
    let tags = "select g.number as number from {link_directory.tags} g where ";
    let mut sources = Vec::new();
    if let Some(id) = external_id.as_ref().map(ExternalId::as_str) {
        sources.push(Source::new(&format!("{links}l.external_id = ?"), id));
    }
    if let Some(url) = url.as_ref().map(Destination::as_str) {
        sources.push(Source::new(&format!("{links}{SAME_URL}"), url));
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
    /// The numbers of the links that one of the filters admits, if one admits few.
    pub(super) async fn few(
        &self,
        filter: &LinkFilter,
        order: &Order,
    ) -> Result<Option<Vec<i64>>, DatabaseError> {
        for source in sources(filter, order) {
            if let Some(numbers) = self.if_few(&source).await? {
                return Ok(Some(numbers));
            }
        }
        let Some(text) = &filter.text else { return Ok(None) };
        let Some(source) = self.with_text(text).await? else { return Ok(None) };
        self.if_few(&source).await
    }

    async fn if_few(
        &self,
        Source { sql, values }: &Source,
    ) -> Result<Option<Vec<i64>>, DatabaseError> {
        let sql = format!("{sql} limit {}", self.few + 1);
        let numbers = self.tables.fetch(&sql, values, |row| row.int(0)).await?;
        let are_few = i64::try_from(numbers.len()).is_ok_and(|count| count <= self.few);
        Ok(are_few.then_some(numbers))
    }

    /// The links that may have a text; `None`: it is too short to be looked for.
    pub(super) async fn with_text(&self, text: &str) -> Result<Option<Source>, DatabaseError> {
        if text.chars().count() < PIECE_CHARS {
            return Ok(None);
        }
        let database = &self.tables.database;
        let index = database.text_index("{link_directory.links}", "number", &TEXTS);
        let mut rarities = Vec::new();
        if let Some((sql, values)) = index.probe(text) {
            let read = |row: &Row| {
                let piece = row.text(0)?.to_owned();
                Ok(Rarity { piece, rows: row.int(1)?, reaches: row.optional_int(2)? })
            };
            rarities = self.tables.fetch(&sql, &values, read).await?;
        }
        let (sql, value) = index.find(&pattern(text), rarities);
        Ok(Some(Source::new(&sql, value)))
    }
}
