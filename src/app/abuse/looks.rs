//! When links are looked through, and how: on the node that keeps the link directory. Who keeps it next begins anew; a link
//! that is in quarantine already gets no second event.

use std::time::Duration;

use hoplog_events::link::{LinkKey, LinkState};
use hoplog_events::position::Topic;
use hoplog_projections::link_directory::{
    self, Archived, LinkFilter, LinkQuery, LinkRow, LinkSort,
};
use tokio::time::Instant;

use crate::app::App;
use crate::domain::blocklist::BlockLists;
use crate::domain::link::uncleared;

/// How often it is asked whether there is something to do.
const POLL: Duration = Duration::from_secs(1);

/// How many links are read at once.
const PAGE_LINKS: usize = 500;

/// How long to leave the database alone between two pages.
const PAUSE: Duration = Duration::from_millis(20);

/// Which lists links were looked through by.
#[derive(Debug, Default, PartialEq, Eq)]
struct Looks {
    /// The lists' number at the last look; `None`: there was none.
    seen: Option<u64>,
    /// When the second look by the same lists is.
    again: Option<Instant>,
}

impl Looks {
    fn is_due(&self, lists: u64, now: Instant) -> bool {
        self.seen != Some(lists) || self.again.is_some_and(|again| again <= now)
    }

    /// Another node may have decided by the lists of before until it has looked at them itself, and a command may have
    /// begun before that: so there is a second look when that is over.
    fn are_done(&mut self, lists: u64, now: Instant, interval: Duration) {
        self.again = (self.seen != Some(lists)).then(|| now + interval * 2);
        self.seen = Some(lists);
    }
}

/// Looks through all links whenever the lists have changed.
pub(super) async fn look_through_links(app: &App) {
    let (lists, mut looks) = (app.commands.blocked(), Looks::default());
    loop {
        tokio::time::sleep(POLL).await;
        if !app.read_models.leads() {
            looks = Looks::default();
            continue;
        }
        let number = lists.changes();
        if !looks.is_due(number, Instant::now()) {
            continue;
        }
        if let Some((looked_at, quarantined)) = look(app).await {
            tracing::info!(looked_at, quarantined, "links were held against the block lists");
            looks.are_done(number, Instant::now(), lists.interval());
        } else {
            // It is due again at once.
            tracing::warn!("not all links could be held against the block lists yet");
        }
    }
}

/// One look through all links: how many there are, and how many were put in quarantine. `None`: it was broken off.
async fn look(app: &App) -> Option<(usize, usize)> {
    if app.commands.blocked().current().is_empty() {
        return Some((0, 0));
    }
    // What was there when the lists changed is in the directory then.
    let head = app.log.head(Topic::Links).await.ok()?;
    app.wait_for(link_directory::NAME, Some(head)).await.ok()?;
    let filter = LinkFilter { archived: Archived::Include, ..LinkFilter::default() };
    // What is created meanwhile comes last.
    let mut query =
        LinkQuery { filter, sort: LinkSort::OldestFirst, cursor: None, limit: PAGE_LINKS };
    let (mut looked_at, mut quarantined) = (0, 0);
    while app.read_models.leads() {
        let page = app.read_models.link_directory().list(&query).await.ok()?;
        looked_at += page.links.len();
        let lists = app.commands.blocked().current();
        let found = page.links.iter().map(|(row, _)| row).filter(|row| is_blocked(row, &lists));
        quarantined += quarantine(app, found.map(|row| row.key.clone()).collect()).await?;
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return Some((looked_at, quarantined));
        }
        tokio::time::sleep(PAUSE).await;
    }
    None
}

/// Whether a link may have to be put in quarantine: its own events decide.
fn is_blocked(row: &LinkRow, lists: &BlockLists) -> bool {
    row.state != LinkState::Quarantined && uncleared(&row.url, &row.extras, lists).is_some()
}

async fn quarantine(app: &App, links: Vec<LinkKey>) -> Option<usize> {
    if links.is_empty() {
        return Some(0);
    }
    let era = app.links.era();
    let (outcomes, missing) = app.commands.quarantine_blocked(links, &app.clock).await;
    let quarantined = outcomes.len();
    for outcome in outcomes {
        app.links.remember(era, outcome.link, outcome.position, app.clock.now());
    }
    metrics::counter!("hoplog_blocklist_quarantined_total").increment(quarantined as u64);
    (missing == 0).then_some(quarantined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_looked_through_twice_for_each_change_of_the_lists() {
        let (mut looks, begin) = (Looks::default(), Instant::now());
        let interval = Duration::from_mins(5);
        assert!(looks.is_due(0, begin), "also by the lists of the start");
        looks.are_done(0, begin, interval);
        assert!(!looks.is_due(0, begin + interval));
        assert!(looks.is_due(0, begin + interval * 2), "when every node has the lists");
        looks.are_done(0, begin + interval * 2, interval);
        assert!(!looks.is_due(0, begin + interval * 100));
        assert!(looks.is_due(1, begin + interval * 100));
        looks.are_done(1, begin, interval);
        assert!(looks.is_due(2, begin), "also before the second look");
        looks.are_done(2, begin + interval, interval);
        assert!(!looks.is_due(2, begin + interval * 2) && looks.is_due(2, begin + interval * 3));
    }
}
