//! Keeps at hand what is followed most: at the start, and as traffic shifts.

use std::collections::HashSet;
use std::fmt::Display;
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
        let Hot { links, is_all } = hot_links(app, !is_warm).await;
        if !links.is_empty() {
            if is_warm {
                let warmed = app.links.warm(&links, PACE, &app.clock).await;
                tracing::debug!(links = links.len(), ?warmed, "the cache follows the traffic");
            } else {
                is_warm = warm_at_the_start(app, &links, is_all).await;
            }
        }
        let is_at_the_start = !is_warm && !is_all;
        let interval = INTERVAL.mul_f64(rand::random_range(0.5..1.0));
        tokio::time::sleep(if is_at_the_start { RETRY_PAUSE } else { interval }).await;
    }
}

/// Says that the cache is warm when it is, which it is not while some of what is hot is unknown. Returns
/// whether it is.
async fn warm_at_the_start(app: &App, links: &[LinkKey], is_all: bool) -> bool {
    for _ in 0..TRIES {
        let warmed = app.links.warm(links, PACE, &app.clock).await;
        if warmed.missing == 0 && !is_all {
            tracing::debug!(links = links.len(), ?warmed, "what is hot is not known yet");
            return false;
        }
        if warmed.missing == 0 {
            tracing::info!(links = links.len(), ?warmed, "the cache is warm");
            return true;
        }
        tracing::info!(links = links.len(), ?warmed, "the cache is being warmed");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    tracing::warn!(links = links.len(), "some of the hottest links could not be brought in");
    false
}

/// What is hot.
#[derive(Debug, PartialEq, Eq)]
struct Hot {
    /// Each once, the hottest first.
    links: Vec<LinkKey>,
    /// Every ranking that was asked has answered.
    is_all: bool,
}

/// What is hot now; at the start, what was followed most of all as well.
async fn hot_links(app: &App, at_the_start: bool) -> Hot {
    let mut rankings = vec![Ranking::trending(HalfLife::Hour, app.clock.now())];
    if at_the_start {
        rankings.push(Ranking::ever());
    }
    let mut answers = Vec::new();
    for ranking in rankings {
        let top = app.read_models.top_links().top(&ranking, &Among::default(), LINKS_MAX).await;
        answers.push(top.map(|top| top.into_iter().map(|ranked| ranked.link).collect()));
    }
    of_all(answers)
}

/// What some rankings say, as far as they have answered.
fn of_all<E: Display>(rankings: Vec<Result<Vec<LinkKey>, E>>) -> Hot {
    let (mut links, mut seen, mut is_all) = (Vec::new(), HashSet::new(), true);
    for ranking in rankings {
        match ranking {
            Ok(top) => links.extend(top.into_iter().filter(|link| seen.insert(link.clone()))),
            Err(error) => {
                is_all = false;
                tracing::debug!(%error, "the top links can't be looked up");
            }
        }
    }
    Hot { links, is_all }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one ranking says is brought in, and is not all that there is.
    #[test]
    fn of_two_rankings_one_alone_is_not_all() {
        let keys = |codes: &[&str]| -> Vec<LinkKey> {
            codes.iter().map(|code| format!("default/{code}").parse().unwrap()).collect()
        };
        let both = of_all::<&str>(vec![Ok(keys(&["a1", "b1"])), Ok(keys(&["b1", "c1"]))]);
        assert_eq!(both, Hot { links: keys(&["a1", "b1", "c1"]), is_all: true });
        let one = of_all(vec![Err("away"), Ok(keys(&["b1"]))]);
        assert_eq!(one, Hot { links: keys(&["b1"]), is_all: false });
    }
}
