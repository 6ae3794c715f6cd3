//! How often links were clicked, ever.

use std::collections::HashMap;

use hoplog_events::link::LinkKey;
use hoplog_events::position::Sequence;

use super::NAME;
use super::queries::ClickStatistics;
use crate::checkpoint::{AsOf, as_of};
use crate::database::{DatabaseError, Value};

/// Clicks so far. 64 bits: no counter of ours ends at two billion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClickTotals {
    /// All of them.
    pub total: u64,
    /// Of people.
    pub humans: u64,
    /// Of bots, previews, prefetches and HEAD requests.
    pub bots: u64,
}

/// How many links one statement asks for.
const LINKS_PER_STATEMENT: usize = 500;

impl ClickTotals {
    pub(crate) fn new(humans: u64, bots: u64) -> Self {
        Self { total: humans + bots, humans, bots }
    }
}

impl ClickStatistics {
    /// The clicks of some links so far; a link that was never clicked is left out.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn totals(
        &self,
        links: &[LinkKey],
    ) -> Result<HashMap<LinkKey, ClickTotals>, DatabaseError> {
        let mut totals = HashMap::with_capacity(links.len());
        for links in links.chunks(LINKS_PER_STATEMENT) {
            let (sql, values) = select("", links);
            let rows = self.tables.fetch(&sql, &values, |row| {
                Ok((row.parse(0)?, ClickTotals::new(row.count(1)?, row.count(2)?)))
            });
            totals.extend(rows.await?);
        }
        Ok(totals)
    }

    /// The same, each with the last event of topic CLICKS that it accounts for.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn totals_as_of(
        &self,
        links: &[LinkKey],
    ) -> Result<HashMap<LinkKey, (ClickTotals, Sequence)>, DatabaseError> {
        let mut totals = HashMap::with_capacity(links.len());
        for links in links.chunks(LINKS_PER_STATEMENT) {
            let (sql, values) = select(&format!(", {}", as_of(NAME, "totals")), links);
            let rows = self.tables.fetch(&sql, &values, |row| {
                let as_of = AsOf::read(row.optional_text(3)?)?.of(row.text(0)?);
                Ok((row.parse(0)?, (ClickTotals::new(row.count(1)?, row.count(2)?), as_of)))
            });
            totals.extend(rows.await?);
        }
        Ok(totals)
    }
}

/// The statement for the totals of some links, with more columns behind, and its parameters.
fn select(columns: &str, links: &[LinkKey]) -> (String, Vec<Value>) {
    let places: Vec<String> = (1..=links.len()).map(|n| format!("${n}")).collect();
    let places = places.join(", ");
    let sql = format!(
        "select link, humans, bots{columns} from {{click_statistics.totals}} where link in ({places})"
    );
    (sql, links.iter().map(|link| link.to_string().into()).collect())
}
