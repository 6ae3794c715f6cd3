//! The questions about tags: which there are, how many links have each, and which links those are.

use chrono::{DateTime, Utc};
use hoplog_events::link::{LinkKey, LinkState, OwnerId, Tag};
use hoplog_events::position::Sequence;

use super::NAME;
use super::queries::LinkDirectory;
use crate::cursor::{QueryError, cut, decode, encode};
use crate::database::{DatabaseError, Row, Value};

/// Since this version tags know which links were deleted.
const DELETED_SINCE: i64 = 10;

/// The most tags, and the most links of a tag, one page holds.
pub const TAGS_PAGE_MAX: usize = 1_000;

/// What a cursor of the list of tags begins with.
const KIND: &str = "tags";

/// A page of the tags of an owner (`None`: of all) is asked for.
#[derive(Debug, Clone, Default)]
pub struct TagQuery {
    /// Whose links.
    pub owner: Option<OwnerId>,
    /// Tags that begin with this text, as it is.
    pub prefix: Option<Tag>,
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// The most tags to return; at most [`TAGS_PAGE_MAX`].
    pub limit: usize,
}

/// Some tags in the order of their bytes, each with how many links have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPage {
    /// The tags. Links that were deleted don't count.
    pub tags: Vec<(Tag, u64)>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
}

/// A link that has a tag, as far as the tables know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedLink {
    /// Which.
    pub key: LinkKey,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Its last event that the tables account for.
    pub sequence: Sequence,
    /// Whether it was deleted: it keeps its tags.
    pub is_deleted: bool,
}

/// A statement that is put together.
struct Statement {
    values: Vec<Value>,
    /// Whose tags: a condition on `g`.
    scope: String,
}

impl Statement {
    fn of(owner: Option<&OwnerId>) -> Self {
        let values: Vec<Value> = owner.iter().map(|owner| owner.as_str().into()).collect();
        let scope = if values.is_empty() { "" } else { " and g.owner = $1" };
        Self { values, scope: scope.to_owned() }
    }

    /// The place of another parameter.
    fn place(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }
}

impl LinkDirectory {
    /// One page of the tags, from the index of tags: each is found behind the one before it, and its entries
    /// are counted.
    ///
    /// # Errors
    /// For a cursor of another list, or when the database can't answer.
    pub async fn tags(&self, query: &TagQuery) -> Result<TagPage, QueryError> {
        let limit = query.limit.clamp(1, TAGS_PAGE_MAX);
        let mut after =
            query.cursor.as_deref().map(|cursor| decode::<1>(KIND, cursor)).transpose()?;
        let (mut tags, mut is_more) = (Vec::new(), true);
        // A tag that only deleted links have is found and not listed.
        while is_more && tags.len() <= limit {
            let wanted = limit + 1 - tags.len();
            let found = self.next_tags(query, after.as_ref().map(|[tag]| tag.as_str()), wanted);
            let found = found.await?;
            is_more = found.len() == wanted;
            after = found.last().map(|(tag, _)| [tag.to_string()]).or(after);
            tags.extend(found.into_iter().filter(|(_, links)| *links > 0));
        }
        let next_cursor = cut(&mut tags, limit).map(|(tag, _)| encode(KIND, &[tag.as_str()]));
        Ok(TagPage { tags, next_cursor })
    }

    /// So many tags behind one, with how many links have them: may be none.
    async fn next_tags(
        &self,
        query: &TagQuery,
        after: Option<&str>,
        wanted: usize,
    ) -> Result<Vec<(Tag, u64)>, DatabaseError> {
        let fetch = async |counted: &str| {
            let (sql, values) = next_tags(query, after, wanted, counted);
            self.tables.fetch(&sql, &values, |row| Ok((row.parse(0)?, row.count(1)?))).await
        };
        match fetch(" and g.deleted = 0").await {
            // Tables of a version before answer until those of this one are built.
            Err(DatabaseError::Broken(_)) if self.knows_no_deleted().await? => fetch("").await,
            found => found,
        }
    }

    async fn knows_no_deleted(&self) -> Result<bool, DatabaseError> {
        let (_, version) = self.tables.answering_set(NAME).await?;
        Ok(version.is_some_and(|version| version < DELETED_SINCE))
    }

    /// Whether a link of the owner (`None`: any) has a tag. Deleted ones don't count.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn has_tag(&self, owner: Option<&OwnerId>, tag: &Tag) -> Result<bool, DatabaseError> {
        let mut after = None;
        loop {
            let page = self.links_with_tag(owner, tag, after.as_ref(), TAGS_PAGE_MAX).await?;
            if page.iter().any(|link| !link.is_deleted) {
                return Ok(true);
            }
            if page.len() < TAGS_PAGE_MAX {
                return Ok(false);
            }
            after = page.into_iter().next_back();
        }
    }

    /// The next links of the owner (`None`: of all) that have a tag, behind one of them, in the order of their
    /// creation.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn links_with_tag(
        &self,
        owner: Option<&OwnerId>,
        tag: &Tag,
        after: Option<&TaggedLink>,
        limit: usize,
    ) -> Result<Vec<TaggedLink>, DatabaseError> {
        let (sql, values) = tagged_links(owner, tag, after, limit);
        let read = |row: &Row| {
            Ok(TaggedLink {
                key: row.parse(0)?,
                created_at: row.instant(1)?,
                sequence: Sequence(row.count(2)?),
                is_deleted: row.parse::<LinkState>(3)? == LinkState::Deleted,
            })
        };
        self.tables.fetch(&sql, &values, read).await
    }
}

/// The index gives their order, and each link is read by its number.
fn tagged_links(
    owner: Option<&OwnerId>,
    tag: &Tag,
    after: Option<&TaggedLink>,
    limit: usize,
) -> (String, Vec<Value>) {
    let mut statement = Statement::of(owner);
    let tag = statement.place(tag.as_str());
    let further = after.map(|TaggedLink { key, created_at, .. }| {
        let at = statement.place(created_at.timestamp_micros());
        let link = statement.place(key.to_string());
        format!(" and (g.created_at, g.link) > ({at}, {link})")
    });
    let limit = statement.place(i64::try_from(limit.min(TAGS_PAGE_MAX)).unwrap_or(i64::MAX));
    let (scope, further) = (&statement.scope, further.unwrap_or_default());
    let sql = format!(
        "select l.link, l.created_at, l.sequence, l.state from \
         (select g.created_at, g.link, g.number from {{link_directory.tags}} g \
          where g.tag = {tag}{scope}{further} order by g.created_at, g.link limit {limit}) p \
         cross join {{link_directory.links}} l where l.number = p.number \
         order by p.created_at, p.link"
    );
    (sql, statement.values)
}

/// Each step finds the next tag by the index, however many entries the one before it has.
fn next_tags(
    TagQuery { owner, prefix, .. }: &TagQuery,
    after: Option<&str>,
    wanted: usize,
    counted: &str,
) -> (String, Vec<Value>) {
    let mut statement = Statement::of(owner.as_ref());
    let prefix = prefix.as_ref().map(Tag::as_str).unwrap_or_default();
    let first = match after.filter(|after| *after >= prefix) {
        Some(after) => format!("g.tag > {}", statement.place(after)),
        None => format!("g.tag >= {}", statement.place(prefix)),
    };
    let end = behind(prefix).map(|end| format!(" and g.tag < {}", statement.place(end)));
    let wanted = statement.place(i64::try_from(wanted).unwrap_or(i64::MAX));
    let (scope, end) = (&statement.scope, end.unwrap_or_default());
    let next = |condition: &str| {
        format!(
            "(select g.tag from {{link_directory.tags}} g where {condition}{end}{scope} \
             order by g.tag limit 1)"
        )
    };
    let sql = format!(
        "with recursive t(tag, nth) as (select {}, cast(1 as bigint) union all \
         select {}, t.nth + 1 from t where t.tag is not null and t.nth < {wanted}) \
         select t.tag, (select count(*) from {{link_directory.tags}} g \
         where g.tag = t.tag{scope}{counted}) from t where t.tag is not null order by t.nth",
        next(&first),
        next("g.tag > t.tag")
    );
    (sql, statement.values)
}

/// The first text behind all that begin with this one; `None`: there is none.
fn behind(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // No character is between those two.
        let next =
            if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests;
