//! The questions: which links are on top, and where one link stands.
//!
//! Of all links in one span an index answers: the first rows of it, or those around a link. Whose
//! links are chosen by owner or tag, or whose scores are of several spans, are gathered first, which
//! takes a turn as other long answers do.

use std::fmt::Write;
use std::sync::Arc;

use hoplog_events::link::{LinkKey, OwnerId, Tag};
use hoplog_events::position::Sequence;
use tokio::sync::{Semaphore, watch};

use super::span::{Ranking, Span};
use crate::database::{DatabaseError, Row, Value};
use crate::long_answers;
use crate::runner::{Progress, State};
use crate::table_set::Tables;

/// Ranks behind this are not told: finding one out costs as much as there are links before it.
pub const RANK_MAX: u64 = 100_000;

/// Which links are ranked; those that were deleted, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Among {
    /// Of one owner, as far as the link directory knows them; `None`: of all.
    pub owner: Option<OwnerId>,
    /// With a tag, likewise.
    pub tag: Option<Tag>,
}

impl Among {
    /// Whether all links are ranked.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.owner.is_none() && self.tag.is_none()
    }
}

/// A link in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked {
    /// From 1; `None`: behind [`RANK_MAX`].
    pub rank: Option<u64>,
    /// The link.
    pub link: LinkKey,
    /// Its score: clicks, or what [`Span::worth`] makes of it.
    pub score: u64,
}

/// A link and those next to it, from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    /// Ranked higher, the highest first.
    pub above: Vec<Ranked>,
    /// The link.
    pub own: Ranked,
    /// Ranked lower, the highest first.
    pub below: Vec<Ranked>,
}

/// Answers questions about ranks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TopLinks {
    tables: Tables,
    long_answers: Arc<Semaphore>,
    progress: watch::Receiver<Progress>,
}

const EVERY_LINK: &str = "s as not materialized (select link, score, earliness \
    from {top_links.scores} where span = $1)";
/// Sums of several spans. The sum of whole numbers is a decimal in PostgreSQL.
const SUMS: &str = "t.link as link, cast(sum(t.score) as bigint) as score, \
    max(t.earliness) as earliness";

/// Where a link stands, and who is next to it: its own row, those above and
/// those below. `{above}` compares with numbers, not with what a subquery finds: SQLite would read all
/// links of one score then.
const AROUND: &str = "select cast(0 as bigint) as part, link, score, earliness, \
    (select count(*) from (select 1 from s where {above} limit {higher_max}) as higher) as higher \
    from s where link = {link} \
    union all select * from (select cast(1 as bigint), link, score, earliness, cast(0 as bigint) \
    from s where {above} order by score, earliness limit {neighbours}) as above \
    union all select * from (select cast(2 as bigint), link, score, earliness, cast(0 as bigint) \
    from s where {below} order by score desc, earliness desc limit {neighbours}) as below";

impl TopLinks {
    pub(crate) fn new(
        tables: Tables,
        long_answers: Arc<Semaphore>,
        progress: watch::Receiver<Progress>,
    ) -> Self {
        Self { tables, long_answers, progress }
    }

    /// The last event of topic CLICKS that the tables of every partition account for, as far as this
    /// process knows. `None`, while they can't go on: they may be of another log.
    #[must_use]
    pub fn applied(&self) -> Option<Sequence> {
        let progress = self.progress.borrow();
        (progress.state != State::Failed).then_some(progress.sequence)
    }

    /// The first links of a ranking.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn top(
        &self,
        ranking: &Ranking,
        among: &Among,
        limit: usize,
    ) -> Result<Vec<Ranked>, DatabaseError> {
        let mut source = Source::of(ranking, among);
        let limit = source.parameter(count(limit));
        let sql = format!(
            "with {} select link, score from s order by score desc, earliness desc limit {limit}",
            source.sql
        );
        let _turn = self.turn(&source).await?;
        let read = |row: &Row| Ok((row.parse(0)?, row.count(1)?));
        let rows = self.tables.fetch(&sql, &source.values, read).await?;
        let ranked = |(rank, (link, score))| Ranked { rank: Some(rank), link, score };
        Ok((1..).zip(rows).map(ranked).collect())
    }

    /// A link in a ranking, with as many neighbours on each side; `None`: it is not in it.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn around(
        &self,
        ranking: &Ranking,
        among: &Among,
        link: &LinkKey,
        neighbours: usize,
    ) -> Result<Option<Around>, DatabaseError> {
        let mut source = Source::of(ranking, among);
        let _turn = self.turn(&source).await?;
        let link = source.parameter(link.to_string());
        let own = format!("with {} select score, earliness from s where link = {link}", source.sql);
        let read = |row: &Row| Ok((row.int(0)?, row.int(1)?));
        let own = self.tables.fetch(&own, &source.values, read).await?;
        let Some((score, earliness)) = own.into_iter().next() else { return Ok(None) };
        let own = format!("({}, {})", source.parameter(score), source.parameter(earliness));
        // Of neighbours that rank high enough the rank is told, also where the link's own is not.
        let higher_max = RANK_MAX + neighbours as u64;
        // It may have been clicked since.
        let others = |than: &str| format!("(score, earliness) {than} {own} and link <> {link}");
        let parts = AROUND
            .replace("{above}", &others(">"))
            .replace("{below}", &others("<"))
            .replace("{link}", &link)
            .replace("{higher_max}", &higher_max.to_string())
            .replace("{neighbours}", &source.parameter(count(neighbours)));
        let sql = format!("with {} {parts}", source.sql);
        let rows = self.tables.fetch(&sql, &source.values, Found::read).await?;
        Ok(in_their_places(rows, higher_max))
    }

    async fn turn(
        &self,
        source: &Source,
    ) -> Result<Option<tokio::sync::SemaphorePermit<'_>>, DatabaseError> {
        Ok(if source.is_long { Some(long_answers::turn(&self.long_answers).await?) } else { None })
    }
}

fn count(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

/// Where scores come from: common table expressions, the last of them `s`, and their parameters.
struct Source {
    sql: String,
    values: Vec<Value>,
    is_long: bool,
}

impl Source {
    fn of(ranking: &Ranking, among: &Among) -> Self {
        let mut source = Self { sql: String::new(), values: Vec::new(), is_long: true };
        let spans: Vec<String> =
            ranking.spans().iter().map(|span| source.parameter(Span::number(*span))).collect();
        if among.is_everything() && spans.len() == 1 {
            return Self { sql: EVERY_LINK.to_owned(), is_long: false, ..source };
        }
        let spans = spans.join(", ");
        let from = source.chosen(among);
        // Writing to a string can't fail.
        let _ = write!(
            source.sql,
            "s as materialized (select {SUMS} from {from} where t.span in ({spans}) group by t.link)"
        );
        source
    }

    /// Names the links that are ranked, and says where their rows are.
    fn chosen(&mut self, among: &Among) -> &'static str {
        if among.is_everything() {
            return "{top_links.scores} t";
        }
        let tables = [
            ("links", "owner", among.owner.as_ref().map(OwnerId::as_str)),
            ("tags", "tag", among.tag.as_ref().map(Tag::as_str)),
        ];
        let mut chosen = Vec::new();
        for (table, column, value) in tables {
            if let Some(value) = value {
                let place = self.parameter(value);
                chosen.push(format!(
                    "select link from {{link_directory.{table}}} where {column} = {place}"
                ));
            }
        }
        self.sql = format!("chosen as materialized ({}), ", chosen.join(" intersect "));
        "chosen join {top_links.scores} t on t.link = chosen.link"
    }

    fn parameter(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }
}

/// A row of [`AROUND`].
struct Found {
    part: i64,
    link: LinkKey,
    score: u64,
    earliness: i64,
    higher: u64,
}

impl Found {
    fn read(row: &Row) -> Result<Self, DatabaseError> {
        let (part, link) = (row.int(0)?, row.parse(1)?);
        let (score, earliness, higher) = (row.count(2)?, row.int(3)?, row.count(4)?);
        Ok(Self { part, link, score, earliness, higher })
    }
}

/// Sorts the rows, and gives each its rank. No more than `higher_max` links above were counted.
fn in_their_places(mut rows: Vec<Found>, higher_max: u64) -> Option<Around> {
    rows.sort_by_key(|row| {
        (row.part != 1, row.part, std::cmp::Reverse((row.score, row.earliness)))
    });
    let place = rows.iter().position(|row| row.part == 0)?;
    // The first row's rank.
    let higher = Some(rows[place].higher).filter(|higher| *higher < higher_max);
    let first = higher.map(|higher| higher + 1 - place as u64);
    let ranked = |(n, row): (usize, Found)| {
        let rank = first.map(|first| first + n as u64);
        Ranked { rank: rank.filter(|rank| *rank <= RANK_MAX), link: row.link, score: row.score }
    };
    let mut above: Vec<Ranked> = rows.into_iter().enumerate().map(ranked).collect();
    let below = above.split_off(place + 1);
    let own = above.pop()?;
    Some(Around { above, own, below })
}
