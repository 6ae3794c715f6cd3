//! The questions that single clicks answer.

use chrono::{DateTime, Utc};
use hoplog_events::link::LinkKey;

use super::{NAME, earlier};
use crate::cursor::{QueryError, cut, decode_place, encode_place};
use crate::database::{DatabaseError, Row, Value};
use crate::table_set::Tables;

/// The most clicks one page holds.
pub const PAGE_MAX: usize = 1_000;

/// Which clicks count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum BotFilter {
    /// People only.
    #[default]
    Exclude,
    /// Everything.
    Include,
    /// Everything but people.
    Only,
}

impl BotFilter {
    /// Whether a click counts.
    #[must_use]
    pub fn admits(self, bot: bool) -> bool {
        match self {
            Self::Exclude => !bot,
            Self::Include => true,
            Self::Only => bot,
        }
    }

    /// The lowest and the highest value of the `bot` column that count.
    pub(crate) fn range(self) -> (i64, i64) {
        match self {
            Self::Exclude => (0, 0),
            Self::Include => (0, 1),
            Self::Only => (1, 1),
        }
    }
}

/// One click.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClickRow {
    /// The event's id, a dash and the place in the event.
    pub id: String,
    /// The link.
    pub link: LinkKey,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// When it was written down.
    pub recorded_at: DateTime<Utc>,
    /// human, bot, preview, prefetch or head.
    pub class: String,
    /// Empty: unknown, here and below.
    pub country: String,
    /// The region.
    pub region: String,
    /// The city.
    pub city: String,
    /// desktop, mobile, tablet, bot or other.
    pub device: String,
    /// The browser.
    pub browser: String,
    /// The operating system.
    pub system: String,
    /// The referring host; empty: direct.
    pub referrer: String,
    /// The whole referrer, up to 512 characters.
    pub referrer_url: String,
    /// The language.
    pub language: String,
    /// source, medium, campaign, term, content.
    pub utm: [String; 5],
    /// The variant of the link's split that it was led to; empty: none.
    pub variant: String,
    /// The rule of the link that led it; empty: none.
    pub rule: String,
    /// The visitor's hash.
    pub visitor: u64,
    /// The raw agent.
    pub user_agent: Option<String>,
    /// The address, where the operator keeps addresses.
    pub address: Option<String>,
}

/// Which clicks of a link are asked for.
#[derive(Debug, Clone)]
pub struct ClickQuery {
    /// The link.
    pub link: LinkKey,
    /// From this instant on.
    pub from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub to: Option<DateTime<Utc>>,
    /// Which clicks count.
    pub bots: BotFilter,
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// The most clicks to return; at most [`PAGE_MAX`].
    pub limit: usize,
}

/// Some clicks, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClickPage {
    /// The clicks.
    pub clicks: Vec<ClickRow>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
}

/// Answers questions about single clicks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clicks {
    pub(super) tables: Tables,
}

const PAGE: &str = "select sequence, place, event_id, link, at, recorded_at, visitor, class, \
    country, region, city, device, browser, system, referrer, referrer_url, language, utm_source, \
    utm_medium, utm_campaign, utm_term, utm_content, user_agent, address, variant, rule \
    from {clicks.clicks} \
    where link = $1 and at >= $2 and at < $3 and bot between $4 and $5 \
    and (at, sequence, place) < ($6, $7, $8) \
    order by at desc, sequence desc, place desc limit $9";

impl Clicks {
    pub(crate) fn new(tables: Tables) -> Self {
        Self { tables }
    }

    /// One page of a link's clicks, newest first.
    ///
    /// # Errors
    /// For a cursor of another list, or when the database can't answer.
    pub async fn list(&self, query: &ClickQuery) -> Result<ClickPage, QueryError> {
        let after = decode_place(NAME, query.cursor.as_deref())?;
        let limit = query.limit.clamp(1, PAGE_MAX);
        let (lowest, highest) = query.bots.range();
        let mut values = vec![
            Value::from(query.link.to_string()),
            query.from.map_or(i64::MIN, |from| from.timestamp_micros()).into(),
            query.to.map_or(i64::MAX, |to| to.timestamp_micros()).into(),
            lowest.into(),
            highest.into(),
        ];
        values.extend(after.map(Value::from));
        values.push(i64::try_from(limit + 1).unwrap_or(i64::MAX).into());
        let mut rows = Vec::new();
        let each = |row: &Row| {
            rows.push(read(row)?);
            Ok(())
        };
        earlier::for_each(&self.tables, PAGE, &values, each).await?;
        let next_cursor = cut(&mut rows, limit).map(|(place, _)| encode_place(NAME, *place));
        Ok(ClickPage { clicks: rows.into_iter().map(|(_, row)| row).collect(), next_cursor })
    }
}

fn read(row: &Row) -> Result<([i64; 3], ClickRow), DatabaseError> {
    let text = |column| row.text(column).map(str::to_owned);
    let optional = |column| row.optional_text(column).map(|text| text.map(str::to_owned));
    let click = ClickRow {
        id: format!("{}-{}", row.text(2)?, row.int(1)?),
        link: row.parse(3)?,
        at: row.instant(4)?,
        recorded_at: row.instant(5)?,
        visitor: row.count(6)?,
        class: text(7)?,
        country: text(8)?,
        region: text(9)?,
        city: text(10)?,
        device: text(11)?,
        browser: text(12)?,
        system: text(13)?,
        referrer: text(14)?,
        referrer_url: text(15)?,
        language: text(16)?,
        utm: [text(17)?, text(18)?, text(19)?, text(20)?, text(21)?],
        user_agent: optional(22)?,
        address: optional(23)?,
        variant: text(24)?,
        rule: text(25)?,
    };
    Ok(([row.int(4)?, row.int(0)?, row.int(1)?], click))
}
