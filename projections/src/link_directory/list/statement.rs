//! The statements that read a page.

use chrono::{DateTime, Utc};
use hoplog_events::link::{Destination, Domain, ExternalId, LinkState, OwnerId, Tag};

use super::gather::Source;
use super::order::{Order, Place};
use super::{Archived, LinkFilter, LinkSort, Listed, Validity};
use crate::click_statistics::ClickTotals;
use crate::database::{DatabaseError, Row, Value};
use crate::link_directory::queries::SAME_URL;
use crate::link_directory::row::{LinkRow, SELECTED, SELECTED_COLUMNS};

const LINKS: &str = "{link_directory.links} l";
const TOTALS: &str = "left join {click_statistics.totals} t on t.link = l.link";

/// The links that were clicked: in the order of an index.
const CLICKS: &str = "t.humans + t.bots";

/// Those that were not.
const UNCLICKED: &str = "not exists (select 1 from {click_statistics.totals} c \
    where c.link = l.link and c.humans + c.bots > 0)";

const TAGGED: &str = "l.link in (select link from {link_directory.tags} where tag = ?)";
const TAGGED_ROW: &str =
    "(select count(*) from {link_directory.tags} x where x.link = l.link and x.tag = ?) > 0";

const TEXT: &str = "(lower(l.code) like ? escape '!' or lower(l.url) like ? escape '!' \
    or lower(l.title) like ? escape '!')";

/// A statement for a page, or a part of it. Parameters are numbered as they are added.
pub(super) struct Statement {
    from: String,
    conditions: Vec<String>,
    values: Vec<Value>,
    /// What is sorted by: a value and the link.
    by: (&'static str, &'static str),
    /// The same, without a value that all rows share.
    order_by: Vec<&'static str>,
    direction: &'static str,
    /// Whether the clicks are among what is read. Else they are joined to the page.
    has_totals: bool,
    pub(super) is_numeric: bool,
    /// Whether the database may choose an index for a condition. Else rows are looked at one by one, in
    /// the order that was chosen here.
    is_free: bool,
}

impl Statement {
    fn new(from: String, by: (&'static str, &'static str), order: &Order) -> Self {
        Self {
            from,
            conditions: Vec::new(),
            values: Vec::new(),
            by,
            order_by: vec![by.0, by.1],
            direction: order.direction(),
            has_totals: true,
            is_numeric: order.numeric,
            is_free: false,
        }
    }

    /// The database finds its own way, as it did for tables of versions before.
    pub(super) fn plain(filter: &LinkFilter, order: &Order, after: Option<&Place>) -> Self {
        let mut statement = Self::new(format!("{LINKS} {TOTALS}"), (order.column, "l.link"), order);
        statement.is_free = true;
        statement.filter(filter);
        statement.after(order, after);
        statement
    }

    /// Few links are looked at, and sorted; clicks are read of those on the page, unless they are what is
    /// sorted by.
    pub(super) fn gather(
        numbers: &[i64],
        filter: &LinkFilter,
        order: &Order,
        after: Option<&Place>,
    ) -> Self {
        let is_by_clicks = order.sort == LinkSort::MostClicked;
        let totals = if is_by_clicks { TOTALS } else { "" };
        let from = format!("{{numbers in $1}} f cross join {LINKS} {totals}");
        let mut statement = Self::new(from, (order.column, "l.link"), order);
        statement.has_totals = is_by_clicks;
        let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
        statement.values.push(numbers.join(",").into());
        statement.conditions.push("l.number = f.number".to_owned());
        statement.filter(filter);
        statement.after(order, after);
        statement
    }

    /// The same for more, which the statement finds as well.
    pub(super) fn gather_all(
        source: &Source,
        filter: &LinkFilter,
        order: &Order,
        after: Option<&Place>,
    ) -> Self {
        let mut statement = Self::gather(&[], &LinkFilter::default(), order, None);
        statement.from = statement.from.replace("{numbers in $1}", &format!("({})", source.sql));
        statement.values.clone_from(&source.values);
        statement.conditions = vec!["l.number = f.number".to_owned()];
        statement.filter(filter);
        statement.after(order, after);
        statement
    }

    /// The links in their order, one part after the other.
    pub(super) fn walks(filter: &LinkFilter, order: &Order, after: Option<&Place>) -> Vec<Self> {
        if order.sort == LinkSort::MostClicked {
            return by_clicks(filter, order, after);
        }
        vec![Self::walk(filter, order, after)]
    }

    /// The same in one part: in any order but that by clicks.
    pub(super) fn walk(filter: &LinkFilter, order: &Order, after: Option<&Place>) -> Self {
        let (mut statement, rest) = Self::driven(filter, order, after);
        let is_of_tag = statement.by.1 == "g.link";
        if is_of_tag {
            statement.from.extend([" cross join ", LINKS]);
            statement.conditions.push("l.number = g.number".to_owned());
        }
        statement.from.extend([" ", TOTALS]);
        statement.filter(&rest);
        statement
    }

    /// What an index gives in its order, and what is left of the filter then.
    fn driven(filter: &LinkFilter, order: &Order, after: Option<&Place>) -> (Self, LinkFilter) {
        let mut rest = filter.clone();
        let tag = rest.tag.take_if(|_| order.is_by_creation());
        let (table, by, name) = match &tag {
            Some(_) => ("{link_directory.tags} g", ("g.created_at", "g.link"), "g"),
            None => (LINKS, (order.column, "l.link"), "l"),
        };
        let mut statement = Self::new(table.to_owned(), by, order);
        if order.is_by_creation() {
            statement.add_some("g.tag = ?", tag.as_ref().map(Tag::as_str));
            let owner = rest.owner.take();
            statement.add_some(&format!("{name}.owner = ?"), owner.as_ref().map(OwnerId::as_str));
            statement.created(&mut rest, name);
        }
        statement.after(order, after);
        (statement, rest)
    }

    /// Among so many of the most clicked links.
    pub(super) fn near_by_clicks(
        filter: &LinkFilter,
        order: &Order,
        after: Option<&Place>,
        rows: i64,
    ) -> Self {
        let mut statement = Self::new(String::new(), (CLICKS, "t.link"), order);
        statement.conditions.push(format!("{CLICKS} > 0"));
        if let Some(Place { value, link }) = after {
            statement.values.extend([value.clone(), link.as_str().into()]);
            statement.conditions.push(format!("{CLICKS} <= $1 and ({CLICKS} < $1 or t.link < $2)"));
        }
        statement.from = format!(
            "(select t.link, t.humans, t.bots from {{click_statistics.totals}} t where {} \
             order by {CLICKS} desc, t.link desc limit {rows}) t cross join {LINKS}",
            statement.conditions.join(" and ")
        );
        statement.conditions = vec!["l.link = t.link".to_owned()];
        statement.filter(filter);
        statement
    }

    /// Asks for the place that so many rows of the index lead to.
    pub(super) fn reach(
        filter: &LinkFilter,
        order: &Order,
        after: Option<&Place>,
        rows: i64,
    ) -> (String, Vec<Value>) {
        let (statement, _) = Self::driven(filter, order, after);
        let Self { from, conditions, by: (column, link), direction, values, .. } = statement;
        let conditions =
            if conditions.is_empty() { "true".to_owned() } else { conditions.join(" and ") };
        let sql = format!(
            "select {column}, {link} from {from} where {conditions} \
             order by {column} {direction}, {link} {direction} limit 1 offset {rows}"
        );
        (sql, values)
    }

    /// Not further than to a place.
    pub(super) fn up_to(mut self, order: &Order, end: &Place) -> Self {
        let until = if order.descending { ">=" } else { "<=" };
        self.compare(until, end);
        self
    }

    /// Adds a condition; `?` is the place of the value, any number of times.
    fn add(&mut self, sql: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.conditions.push(sql.replace('?', &format!("${}", self.values.len())));
    }

    fn add_some(&mut self, sql: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(sql, value);
        }
    }

    /// The same for a condition that no index is chosen for, here or by the database.
    fn check(&mut self, sql: &str, value: Option<impl Into<Value>>) {
        if self.is_free {
            self.add_some(sql, value);
        } else {
            self.add_some(&format!("case when {sql} then true else false end"), value);
        }
    }

    /// Takes the range of creation out of a filter, for the table whose index is walked.
    fn created(&mut self, filter: &mut LinkFilter, table: &str) {
        let micros = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_micros());
        let after = micros(filter.created_after.take());
        self.add_some(&format!("{table}.created_at >= ?"), after);
        let before = micros(filter.created_before.take());
        self.add_some(&format!("{table}.created_at < ?"), before);
    }

    fn filter(&mut self, filter: &LinkFilter) {
        let micros = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_micros());
        self.check("l.owner = ?", filter.owner.as_ref().map(OwnerId::as_str));
        self.check("l.domain = ?", filter.domain.as_ref().map(Domain::as_str));
        self.check(SAME_URL, filter.url.as_ref().map(Destination::as_str));
        self.check("l.external_id = ?", filter.external_id.as_ref().map(ExternalId::as_str));
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
        self.check("l.created_at >= ?", micros(filter.created_after));
        self.check("l.created_at < ?", micros(filter.created_before));
        let tagged = if self.is_free { TAGGED } else { TAGGED_ROW };
        self.check(tagged, filter.tag.as_ref().map(Tag::as_str));
        self.check(TEXT, filter.text.as_deref().map(pattern));
        match filter.state {
            Some(state) => self.add("l.state = ?", state.name()),
            None => self.add("l.state <> ?", LinkState::Deleted.name()),
        }
    }

    fn after(&mut self, order: &Order, after: Option<&Place>) {
        if let Some(place) = after {
            self.compare(order.further(), place);
        }
    }

    fn compare(&mut self, how: &str, Place { value, link }: &Place) {
        self.values.extend([value.clone(), link.as_str().into()]);
        let (value, link) = (self.values.len() - 1, self.values.len());
        let by = self.by;
        self.conditions.push(format!("({}, {}) {how} (${value}, ${link})", by.0, by.1));
    }

    /// The statement for so many rows, and its parameters.
    pub(super) fn finish(mut self, limit: usize) -> (String, Vec<Value>) {
        self.values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let Self { from, direction, by: (column, _), .. } = &self;
        let order_by: Vec<String> =
            self.order_by.iter().map(|by| format!("{by} {direction}")).collect();
        let (order, place) = (format!("order by {}", order_by.join(", ")), self.values.len());
        let (conditions, read) = (self.conditions.join(" and "), format!("select {SELECTED}"));
        let columns = format!("coalesce(t.humans, 0), coalesce(t.bots, 0), {column}");
        let sql = if self.has_totals {
            format!("{read}, {columns} from {from} where {conditions} {order} limit ${place}")
        } else {
            format!(
                "{read}, {columns} from (select l.number as number from {from} where {conditions} \
                 {order} limit ${place}) page cross join {LINKS} {TOTALS} \
                 where l.number = page.number {order}"
            )
        };
        (sql, self.values)
    }
}

/// Those with as many clicks as the last one, those with fewer, those with none: an index of
/// each, which none of the databases would make of one condition.
fn by_clicks(filter: &LinkFilter, order: &Order, after: Option<&Place>) -> Vec<Statement> {
    let clicked = |condition: &str, place: Option<&Place>| {
        let from = "{click_statistics.totals} t cross join {link_directory.links} l".to_owned();
        let mut statement = Statement::new(from, (CLICKS, "t.link"), order);
        statement.conditions.push("l.link = t.link".to_owned());
        statement.conditions.push(format!("{CLICKS} > 0"));
        statement.add_some(condition, place.map(|place| place.value.clone()));
        statement.filter(filter);
        statement
    };
    let mut unclicked =
        Statement::new(format!("{LINKS} {TOTALS}"), (order.column, "l.link"), order);
    unclicked.by.0 = "cast(0 as bigint)";
    unclicked.order_by = vec![unclicked.by.1];
    unclicked.conditions.push(UNCLICKED.to_owned());
    unclicked.filter(filter);
    match after {
        None => vec![clicked("", None), unclicked],
        Some(Place { value, link }) if *value == Value::from(0) => {
            unclicked.add("l.link < ?", link.as_str());
            vec![unclicked]
        }
        Some(place) => {
            let mut same = clicked("t.humans + t.bots = ?", Some(place));
            same.order_by = vec![same.by.1];
            same.add("t.link < ?", place.link.as_str());
            vec![same, clicked("t.humans + t.bots < ?", Some(place)), unclicked]
        }
    }
}

/// A pattern for `like` that finds a text anywhere.
pub(super) fn pattern(text: &str) -> String {
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

pub(super) fn read(row: &Row, is_numeric: bool) -> Result<Listed, DatabaseError> {
    let (humans, bots) = (row.count(SELECTED_COLUMNS)?, row.count(SELECTED_COLUMNS + 1)?);
    let last = SELECTED_COLUMNS + 2;
    let sorted = if is_numeric { row.int(last)?.to_string() } else { row.text(last)?.to_owned() };
    Ok((LinkRow::read(row)?, ClickTotals::new(humans, bots), sorted))
}
