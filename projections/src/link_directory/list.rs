//! Lists of links: filters, three orders, pages by keyset (page 1,000 costs what page 1 does).

use chrono::{DateTime, Utc};
use hoplog_events::link::{Destination, ExternalId, LinkState, OwnerId, Tag};

use super::queries::{LinkDirectory, SAME_URL};
use super::row::{LinkRow, SELECTED, SELECTED_COLUMNS};
use crate::click_statistics::ClickTotals;
use crate::cursor::{QueryError, cut, decode, encode};
use crate::database::{DatabaseError, Row, Value};

/// The most links one page holds.
pub const PAGE_MAX: usize = 1_000;

/// Which links are asked for; every field that is given narrows the list.
#[derive(Debug, Clone, Default)]
pub struct LinkFilter {
    /// Links of one owner; `None`: of all.
    pub owner: Option<OwnerId>,
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

/// How one order is written: the sorted column, its direction, and how a cursor goes on.
struct Order {
    name: &'static str,
    column: &'static str,
    descending: bool,
    numeric: bool,
}

impl LinkSort {
    fn order(self) -> Order {
        let (name, column, descending, numeric) = match self {
            Self::NewestFirst => ("newest", "l.created_at", true, true),
            Self::OldestFirst => ("oldest", "l.created_at", false, true),
            Self::Code => ("code", "l.code", false, false),
            Self::MostClicked => ("clicks", "coalesce(t.humans + t.bots, 0)", true, true),
        };
        Order { name, column, descending, numeric }
    }
}

/// Conditions and their parameters, numbered as they are added.
#[derive(Default)]
struct Conditions {
    sql: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition; `?` is the place of the value, any number of times.
    fn add(&mut self, sql: &str, value: impl Into<Value>) {
        let parameter = self.parameter(value);
        self.sql.push(sql.replace('?', &parameter));
    }

    fn add_some(&mut self, sql: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(sql, value);
        }
    }

    fn parameter(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn filter(&mut self, filter: &LinkFilter) {
        let micros = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_micros());
        self.add_some("l.owner = ?", filter.owner.as_ref().map(OwnerId::as_str));
        self.add_some(SAME_URL, filter.url.as_ref().map(Destination::as_str));
        self.add_some("l.external_id = ?", filter.external_id.as_ref().map(ExternalId::as_str));
        match filter.archived {
            Archived::Exclude => self.add("l.archived = ?", 0_i64),
            Archived::Only => self.add("l.archived = ?", 1_i64),
            Archived::Include => {}
        }
        match filter.validity {
            Some(Validity::ToCome(now)) => self.add("l.valid_from > ?", now.timestamp_micros()),
            Some(Validity::Begun(now)) => {
                self.add("(l.valid_from is null or l.valid_from <= ?)", now.timestamp_micros());
            }
            None => {}
        }
        self.add_some("l.created_at >= ?", micros(filter.created_after));
        self.add_some("l.created_at < ?", micros(filter.created_before));
        let tag = "l.link in (select link from {link_directory.tags} where tag = ?)";
        self.add_some(tag, filter.tag.as_ref().map(Tag::as_str));
        let text = "(lower(l.code) like ? escape '!' or lower(l.url) like ? escape '!' \
                    or lower(l.title) like ? escape '!')";
        self.add_some(text, filter.text.as_deref().map(pattern));
        match filter.state {
            Some(state) => self.add("l.state = ?", state.name()),
            None => self.add("l.state <> ?", LinkState::Deleted.name()),
        }
    }

    fn after(&mut self, order: &Order, cursor: &str) -> Result<(), QueryError> {
        let [value, link] = decode::<2>(order.name, cursor)?;
        let value = if order.numeric {
            Value::from(value.parse::<i64>().map_err(|_| QueryError::Cursor)?)
        } else {
            Value::from(value)
        };
        let (value, link) = (self.parameter(value), self.parameter(link));
        let further = if order.descending { "<" } else { ">" };
        self.sql.push(format!("({}, l.link) {further} ({value}, {link})", order.column));
        Ok(())
    }
}

/// A pattern for `like` that finds a text anywhere.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.to_ascii_lowercase().chars() {
        if matches!(c, '!' | '%' | '_') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

impl LinkDirectory {
    /// One page of a list.
    ///
    /// # Errors
    /// For a cursor of another order, or when the database can't answer.
    pub async fn list(&self, query: &LinkQuery) -> Result<LinkPage, QueryError> {
        let order = query.sort.order();
        let limit = query.limit.clamp(1, PAGE_MAX);
        let mut conditions = Conditions::default();
        conditions.filter(&query.filter);
        if let Some(cursor) = &query.cursor {
            conditions.after(&order, cursor)?;
        }
        let limit_place = conditions.parameter(i64::try_from(limit + 1).unwrap_or(i64::MAX));
        let (column, direction) = (order.column, if order.descending { "desc" } else { "asc" });
        let sql = format!(
            "select {SELECTED}, coalesce(t.humans, 0), coalesce(t.bots, 0), {column} \
             from {{link_directory.links}} l \
             left join {{click_statistics.totals}} t on t.link = l.link where {} \
             order by {column} {direction}, l.link {direction} limit {limit_place}",
            conditions.sql.join(" and ")
        );
        let read = |row: &Row| read(row, order.numeric);
        let rows = self.tables.fetch(&sql, &conditions.values, read).await?;
        Ok(page(rows, limit, &order))
    }
}

fn page(mut rows: Vec<(LinkRow, ClickTotals, String)>, limit: usize, order: &Order) -> LinkPage {
    let last = cut(&mut rows, limit);
    let next_cursor =
        last.map(|(link, _, value)| encode(order.name, &[value, &link.key.to_string()]));
    LinkPage {
        links: rows.into_iter().map(|(link, clicks, _)| (link, clicks)).collect(),
        next_cursor,
    }
}

fn read(row: &Row, numeric: bool) -> Result<(LinkRow, ClickTotals, String), DatabaseError> {
    let (humans, bots) = (row.count(SELECTED_COLUMNS)?, row.count(SELECTED_COLUMNS + 1)?);
    let last = SELECTED_COLUMNS + 2;
    let sorted = if numeric { row.int(last)?.to_string() } else { row.text(last)?.to_owned() };
    Ok((LinkRow::read(row)?, ClickTotals::new(humans, bots), sorted))
}
