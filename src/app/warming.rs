//! Keeps at hand what is followed most: at the start, and as traffic shifts.

use std::collections::HashSet;
use std::time::Duration;

use hoplog_events::link::LinkKey;
use hoplog_projections::top_links::{Among, HalfLife, Ranking};

use super::App;
use crate::cache::Pace;

/// How often it is looked what is hot, at most; half of it at least, by chance, so that nodes do not
/// look together.
const INTERVAL: Duration = Duration::from_mins(1);

/// How many links are brought in each time.
const LINKS_MAX: usize = 2_000;

/// Slowly: a database answers some ten thousand a second.
const PACE: Pace = Pace { loads_per_second: 1_000 };

/// How often links that could not be brought in at the start are tried again.
const TRIES: u32 = 5;

/// How long before that.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Warms for as long as it is polled. What can't be found out is tried again the next time.
pub(super) async fn keep_warm(app: &App) {
    let mut is_warm = false;
    app.links.until_followed().await;
    loop {
        let links = hot_links(app, !is_warm).await;
        if !links.is_empty() {
            if is_warm {
                let warmed = app.links.warm(&links, PACE, &app.clock).await;
                tracing::debug!(links = links.len(), ?warmed, "the cache follows the traffic");
            } else {
                warm_at_the_start(app, &links).await;
                is_warm = true;
            }
        }
        tokio::time::sleep(INTERVAL.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

/// Says that the cache is warm when it is.
async fn warm_at_the_start(app: &App, links: &[LinkKey]) {
    for _ in 0..TRIES {
        let warmed = app.links.warm(links, PACE, &app.clock).await;
        if warmed.missing == 0 {
            tracing::info!(links = links.len(), ?warmed, "the cache is warm");
            return;
        }
        tracing::info!(links = links.len(), ?warmed, "the cache is being warmed");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    tracing::warn!(links = links.len(), "some of the hottest links could not be brought in");
}

/// What is hot now; at the start, what was followed most of all as well.
async fn hot_links(app: &App, at_the_start: bool) -> Vec<LinkKey> {
    let mut rankings = vec![Ranking::trending(HalfLife::Hour, app.clock.now())];
    if at_the_start {
        rankings.push(Ranking::ever());
    }
    let (mut links, mut seen) = (Vec::new(), HashSet::new());
    for ranking in rankings {
        let top = app.read_models.top_links().top(&ranking, &Among::default(), LINKS_MAX).await;
        match top {
            Ok(top) => {
                let new = top.into_iter().filter(|ranked| seen.insert(ranked.link.clone()));
                links.extend(new.map(|ranked| ranked.link));
            }
            Err(error) => tracing::debug!(%error, "the top links can't be looked up"),
        }
    }
    links
}
