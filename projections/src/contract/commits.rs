//! What others are told after a commit, and what they read then, on every database.

use std::sync::{Arc, Mutex};

use hoplog_events::link::LinkDisabled;
use serde_json::json;

use super::world::{NAMES, World, click, key};
use crate::click_statistics;
use crate::commit::{Commit, CommitListener};
use crate::link_directory;

/// Keeps what it is told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<Commit>>);

impl CommitListener for Told {
    fn committed(&self, commit: Commit) {
        self.0.lock().unwrap().push(commit);
    }
}

impl Told {
    fn take(&self) -> Vec<Commit> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

pub(crate) async fn live_commits_are_told_and_rebuilds_are_not(world: World) {
    let told = Arc::new(Told::default());
    world.models.tell(Arc::<Told>::clone(&told));
    world.link("a", "2026-01-01T00:00:00Z", json!({})).await;
    let disabled = world.change("a", LinkDisabled {}).await;
    let link = world.link("b", "2026-01-01T00:00:00Z", json!({})).await;
    let clicked = world.clicks(vec![click("a", "2026-03-01T00:00:00Z", json!({}))]).await;
    world.caught_up().await;

    let commits = told.take();
    let of = |name: &str| commits.iter().filter(|commit| commit.projection == name).collect();
    let of_links: Vec<&Commit> = of(link_directory::NAME);
    assert_eq!(of_links.last().unwrap().position, link);
    let mut links: Vec<_> = of_links.iter().flat_map(|commit| commit.links.clone()).collect();
    links.sort();
    links.dedup();
    assert_eq!(links, [key("a"), key("b")]);
    let of_clicks: Vec<&Commit> = of(click_statistics::NAME);
    assert_eq!(of_clicks.len(), 1);
    assert_eq!((of_clicks[0].position, &of_clicks[0].links[..]), (clicked, &[key("a")][..]));

    // What is read says what it accounts for, also of rows that did not change lately.
    let keys = [key("a"), key("b"), key("c")];
    let mut rows = world.models.link_directory().get_as_of(&keys).await.unwrap();
    rows.sort_by_key(|(row, _)| row.key.clone());
    let as_of: Vec<_> = rows.iter().map(|(row, as_of)| (row.sequence, *as_of)).collect();
    assert_eq!(
        as_of,
        [(disabled.sequence, link.sequence), (link.sequence, link.sequence)],
        "{rows:?}"
    );
    let totals = world.models.click_statistics().totals_as_of(&keys).await.unwrap();
    assert_eq!(totals.len(), 1);
    assert_eq!((totals[&key("a")].0.total, totals[&key("a")].1), (1, clicked.sequence));

    assert_eq!(world.models.link_directory().get_as_of(&[]).await.unwrap(), []);
    world.verified().await;
    for name in NAMES {
        world.models.rebuild(name).await.unwrap();
    }
    assert_eq!(told.take(), [], "nothing changed for those who read");
    let rebuilt = world.models.link_directory().get_as_of(&keys).await.unwrap();
    assert!(rebuilt.iter().all(|(_, as_of)| *as_of == link.sequence), "{rebuilt:?}");
}
