//! Rankings: from the shared cache where that is as far as is asked for, else from the read model.

use std::collections::HashMap;

use hoplog_events::link::LinkKey;
use hoplog_events::position::{Position, Sequence, Topic};
use hoplog_projections::click_statistics::ClickTotals;
use hoplog_projections::link_directory;
use hoplog_projections::top_links::{self, Among, Around, Ranked, Ranking};

use super::App;
use super::Shared;
use crate::domain::link::{Link, Requester};
use crate::execute::ExecuteError;
use crate::queries::QueryFailure;

/// What is ranked, and how far the answer has to be.
#[derive(Debug)]
pub struct RankingQuery {
    /// By which clicks.
    pub ranking: Ranking,
    /// Which links.
    pub among: Among,
    /// What the answer has to account for.
    pub position: Option<Position>,
}

/// A link and its clicks; `None`: it can't be read.
pub type Described = Option<(Link, ClickTotals)>;

impl App {
    /// The first links of a ranking.
    ///
    /// # Errors
    /// When the read model is away or does not reach the position in time.
    pub async fn top_links(
        &self,
        query: &RankingQuery,
        limit: usize,
    ) -> Result<Vec<Ranked>, QueryFailure> {
        self.wait_for(link_directory::NAME, query.position).await?;
        let now = self.clock.now();
        if let Some((shared, at_least)) = self.shared_rankings(query)
            && let Some(top) = shared.rankings.top(&query.ranking, at_least, now, limit).await
        {
            return Ok(top);
        }
        self.wait_for(top_links::NAME, query.position).await?;
        Ok(self.read_models.top_links().top(&query.ranking, &query.among, limit).await?)
    }

    /// A link in a ranking, and its neighbours; `None`: it has no clicks there.
    ///
    /// # Errors
    /// When the read model is away or does not reach the position in time.
    pub async fn link_rank(
        &self,
        query: &RankingQuery,
        link: &LinkKey,
        neighbours: usize,
    ) -> Result<Option<Around>, QueryFailure> {
        self.wait_for(link_directory::NAME, query.position).await?;
        let RankingQuery { ranking, among, position } = query;
        let (now, asked) = (self.clock.now(), (link, neighbours));
        if let Some((shared, at_least)) = self.shared_rankings(query)
            && let Some(around) = shared.rankings.around(ranking, at_least, now, asked).await
        {
            return Ok(around);
        }
        self.wait_for(top_links::NAME, *position).await?;
        Ok(self.read_models.top_links().around(ranking, among, link, neighbours).await?)
    }

    /// What links are, and how often they were clicked. One that is nowhere is left out, and of one that
    /// has an event which can't be read nobody knows what it is: an operator has to look at that.
    ///
    /// # Errors
    /// When nobody can be asked.
    pub async fn describe_links(
        &self,
        keys: &[LinkKey],
        requester: &Requester,
    ) -> Result<HashMap<LinkKey, Described>, QueryFailure> {
        let mut totals = self.read_models.click_statistics().totals(keys).await?;
        let mut described = HashMap::with_capacity(keys.len());
        for (row, _) in self.read_models.link_directory().get_as_of(keys).await? {
            let clicks = totals.remove(&row.key).unwrap_or_default();
            described.insert(row.key.clone(), Some((Link::from(row), clicks)));
        }
        for key in keys.iter().filter(|key| !described.contains_key(*key)).collect::<Vec<_>>() {
            // The directory is behind, or has parked an event of it: the log knows.
            match self.find_link(key, requester).await {
                Ok(link) => {
                    let clicks = totals.remove(key).unwrap_or_default();
                    described.insert(key.clone(), Some((link, clicks)));
                }
                Err(QueryFailure::NotFound) => {}
                Err(QueryFailure::Log(ExecuteError::Unreadable(error))) => {
                    tracing::error!(%error, %key, "a link can't be read");
                    described.insert(key.clone(), None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(described)
    }

    /// Redis ranks all links together. It has to be as far as is asked for, and as far as the read
    /// model: its answer is never older than that one's would be.
    fn shared_rankings(&self, query: &RankingQuery) -> Option<(&Shared, Sequence)> {
        let shared = self.shared.as_ref().filter(|_| query.among.is_everything())?;
        let applied = self.read_models.top_links().applied()?;
        let asked = match query.position {
            Some(position) if position.log != self.log.id() => return None,
            Some(position) if position.topic == Topic::Clicks => position.sequence,
            _ => Sequence::START,
        };
        Some((shared, asked.max(applied)))
    }
}
