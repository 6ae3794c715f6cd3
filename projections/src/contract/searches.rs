//! What lists with filters promise, whichever way they are read: what a look at every link gives.

use std::collections::HashMap;

use hoplog_events::link::{
    LinkDeleted, LinkDestinationChanged, LinkErased, LinkTagged, LinkTitled, Tags,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::world::{World, at, click, key};
use crate::link_directory::{Limits, LinkFilter, LinkQuery, LinkRow, LinkSort};

/// Letters that mean something in patterns, quotes, upper and lower case, and of one to four bytes.
const TITLES: &str = "[aAbBxX%_!\\\\'\"/:* äÄÖß😀👍1]{1,12}";
const TEXTS: &str = "[aAbBxX%_!\\\\'\"/:* äÄÖß😀👍1]{1,4}";

const SORTS: [LinkSort; 4] =
    [LinkSort::NewestFirst, LinkSort::OldestFirst, LinkSort::Code, LinkSort::MostClicked];

/// Low enough for every way of reading: walks, walks that end and links that are gathered then, links that are
/// gathered at once.
const LIMITS: [Limits; 5] = [
    Limits { few: 0, reach: 1_000, many: 0 },
    Limits { few: 0, reach: 2, many: 0 },
    Limits { few: 0, reach: 3, many: 5_000 },
    Limits { few: 4, reach: 10, many: 5_000 },
    Limits { few: 5_000, reach: 0, many: 0 },
];
const WALKED: Limits = LIMITS[0];
const GATHERED: Limits = LIMITS[4];

/// A sample of a strategy, the same at every run.
fn samples<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

impl World {
    async fn pages(
        &self,
        limits: Limits,
        filter: &LinkFilter,
        sort: LinkSort,
        limit: usize,
    ) -> Vec<String> {
        let directory = self.models.link_directory().limited(limits);
        let mut query = LinkQuery { filter: filter.clone(), sort, limit, cursor: None };
        let mut codes = Vec::new();
        loop {
            let page = directory.list(&query).await.unwrap();
            codes.extend(page.links.into_iter().map(|(row, _)| row.key.code.to_string()));
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                return codes;
            }
        }
    }

    pub(crate) async fn codes_with(&self, text: &str) -> Vec<String> {
        let filter = LinkFilter { text: Some(text.to_owned()), ..LinkFilter::default() };
        let gathered = self.pages(GATHERED, &filter, LinkSort::Code, 10).await;
        assert_eq!(self.pages(WALKED, &filter, LinkSort::Code, 10).await, gathered, "{text:?}");
        gathered
    }

    /// Sixty links, some at one instant, with clicks.
    async fn many_links(&self) -> (Vec<LinkRow>, HashMap<String, usize>) {
        let titles = samples(TITLES, 60);
        let paths = samples("[a-cA-C/%_~-]{0,8}", 60);
        let (mut codes, mut clicks) = (Vec::new(), HashMap::new());
        for (n, (title, path)) in titles.iter().zip(&paths).enumerate() {
            let code = format!("{}{n}", ["a", "B", "ab", "c-b", "d_d"][n % 5]);
            let title = title.trim();
            let fields = json!({
                "owner": (["ann", "bob", "cid"][n % 3]), "title": (!title.is_empty()).then_some(title),
                "url": format!("https://shop{}.example/{path}", n % 7),
                "tags": ([["x"].as_slice(), &["x", "y"], &["z"], &[]][n % 4]),
            });
            self.link(&code, &format!("2026-01-01T00:00:{:02}Z", n % 17), fields).await;
            clicks.insert(code.clone(), [0, 3, 0, 1, 1, 7][n % 6]);
            codes.push(code);
        }
        for code in &codes[50..] {
            self.change(code, LinkTitled { title: "x%_ again 😀😀".parse().ok() }).await;
            let tags = Tags::try_from(vec!["y".parse().unwrap()]).unwrap();
            self.change(code, LinkTagged { tags }).await;
        }
        self.change(&codes[7], LinkDeleted {}).await;
        let visits = clicks.iter().flat_map(|(code, count)| {
            (0..*count).map(|_| click(code, "2026-03-01T00:00:00Z", json!({})))
        });
        self.clicks(visits.collect()).await;
        self.caught_up().await;
        let mut rows = Vec::new();
        for code in codes.iter().filter(|code| **code != codes[7]) {
            rows.push(self.models.link_directory().get(&key(code)).await.unwrap().unwrap());
        }
        (rows, clicks)
    }
}

/// What a filter admits, one link after the other.
fn admits(filter: &LinkFilter, row: &LinkRow) -> bool {
    let has = |text: &String| {
        let title = row.title.as_ref().map_or("", |title| title.as_str());
        let fields = [row.key.code.as_str(), row.url.as_str(), title];
        let text = text.to_ascii_lowercase();
        fields.iter().any(|field| field.to_ascii_lowercase().contains(&text))
    };
    filter.owner.as_ref().is_none_or(|owner| *owner == row.owner)
        && filter.tag.as_ref().is_none_or(|tag| row.tags.iter().any(|has| has == tag))
        && filter.created_after.is_none_or(|after| row.created_at >= after)
        && filter.created_before.is_none_or(|before| row.created_at < before)
        && filter.text.as_ref().is_none_or(has)
}

fn expected(
    filter: &LinkFilter,
    sort: LinkSort,
    rows: &[LinkRow],
    clicks: &HashMap<String, usize>,
) -> Vec<String> {
    let mut found: Vec<&LinkRow> = rows.iter().filter(|row| admits(filter, row)).collect();
    found.sort_by_key(|row| row.key.to_string());
    match sort {
        LinkSort::Code => found.sort_by_key(|row| row.key.code.to_string()),
        LinkSort::OldestFirst => found.sort_by_key(|row| row.created_at),
        LinkSort::NewestFirst => {
            found.sort_by_key(|row| row.created_at);
            found.reverse();
        }
        LinkSort::MostClicked => {
            found.sort_by_key(|row| clicks[row.key.code.as_str()]);
            found.reverse();
        }
    }
    found.into_iter().map(|row| row.key.code.to_string()).collect()
}

fn filters() -> Vec<LinkFilter> {
    let text = prop_oneof![
        3 => TEXTS,
        1 => "(shop[0-9]|example|https://|[a-c]{1,3}|[a-zA-Z]{1,2}[0-9]|x%_ again|😀😀|nowhere)",
    ];
    let owner = prop_oneof![Just(None), Just(Some("ann")), Just(Some("nobody"))];
    let tag = prop_oneof![Just(None), Just(Some("x")), Just(Some("y")), Just(Some("none"))];
    let text = prop_oneof![3 => text.prop_map(Some), 1 => Just(None)];
    let range = prop_oneof![Just((None, None)), Just((Some(3), Some(12))), Just((None, Some(5)))];
    let second = |second: u32| at(&format!("2026-01-01T00:00:{second:02}Z"));
    samples((owner, tag, text, range), 120)
        .into_iter()
        .map(|(owner, tag, text, (after, before))| LinkFilter {
            owner: owner.and_then(|owner| owner.parse().ok()),
            tag: tag.and_then(|tag| tag.parse().ok()),
            text,
            created_after: after.map(second),
            created_before: before.map(second),
            ..LinkFilter::default()
        })
        .collect()
}

/// In every order, by every way of reading, in pages of any length: nothing is left out and nothing comes
/// twice.
pub(crate) async fn lists_are_what_a_look_at_every_link_gives(world: World) {
    let (rows, clicks) = world.many_links().await;
    let mut found = 0;
    for (n, filter) in filters().into_iter().enumerate() {
        let sort = SORTS[n % SORTS.len()];
        let expected = expected(&filter, sort, &rows, &clicks);
        for limits in LIMITS {
            let limit = [1, 3, 100][(n / SORTS.len()) % 3];
            let codes = world.pages(limits, &filter, sort, limit).await;
            assert_eq!(codes, expected, "{filter:?} {sort:?} by {limit}, {limits:?}");
        }
        found += expected.len();
    }
    assert!(found > 250, "only {found}");
    world.verified().await;
}

pub(crate) async fn a_text_is_found_wherever_it_is_and_as_it_is_now(world: World) {
    let before = json!({ "url": "https://needle.example/?q=100%25", "title": "It's a \"Title\"" });
    world.link("a", "2026-01-01T00:00:00Z", before).await;
    world.link("haystack", "2026-01-01T00:00:01Z", json!({ "title": "ÄÖÜ \u{0301}x 😀👍🏽" })).await;
    let cases = [
        ("NEEDLE", vec!["a"]),
        ("100%25", vec!["a"]),
        ("it's a \"t", vec!["a"]),
        ("aYSt", vec!["haystack"]),
        ("ÄÖÜ", vec!["haystack"]),
        ("äöü", vec![]),
        ("\u{0301}x ", vec!["haystack"]),
        ("😀👍🏽", vec!["haystack"]),
        ("👍", vec!["haystack"]),
        ("a\nhttps", vec![]),
        ("https://", vec!["a", "haystack"]),
        ("n_edle", vec![]),
        ("ne%le", vec![]),
        ("\" OR \"", vec![]),
        ("\u{0}\u{0}\u{0}", vec![]),
    ];
    world.caught_up().await;
    for (text, expected) in cases {
        assert_eq!(world.codes_with(text).await, expected, "{text:?}");
    }
    world
        .change("a", LinkDestinationChanged { url: "https://other.example/".parse().unwrap() })
        .await;
    world.change("haystack", LinkTitled { title: None }).await;
    world.caught_up().await;
    assert!(world.codes_with("needle").await.is_empty());
    assert!(world.codes_with("ÄÖÜ").await.is_empty());
    assert_eq!(world.codes_with("other").await, ["a"]);
    assert_eq!(world.codes_with("title").await, ["a"], "what stayed");
    world.models.rebuild("link_directory").await.unwrap();
    assert!(world.codes_with("needle").await.is_empty());
    assert_eq!(world.codes_with("other").await, ["a"]);
    world.models.rollback("link_directory").await.unwrap();
    assert_eq!(world.codes_with("other").await, ["a"]);
    world.verified().await;
}

/// Trap: an index that keeps what the rows no longer have.
pub(crate) async fn an_erased_link_leaves_no_text_to_find(world: World) {
    let fields = json!({ "url": "https://telltale.example/", "title": "telltale" });
    world.link("a", "2026-01-01T00:00:00Z", fields).await;
    world.link("b", "2026-01-01T00:00:00Z", json!({})).await;
    world.caught_up().await;
    let directory = world.models.link_directory();
    assert_eq!(directory.count_with_text("telltale").await, 1);
    world.change("a", LinkDeleted {}).await;
    world.change("a", LinkErased {}).await;
    world.caught_up().await;
    assert_eq!(directory.count_with_text("telltale").await, 0);
    assert_eq!(directory.count_with_text("erased.invalid").await, 1);
}

/// Trap: an index that loses a link because another one of its batch changed.
pub(crate) async fn a_batch_that_changes_makes_and_erases_links_loses_none(world: World) {
    let fields = || json!({ "title": "a needle" });
    for code in ["a", "m", "z"] {
        world.link(code, "2026-01-01T00:00:00Z", fields()).await;
    }
    world.caught_up().await;
    world.models.pause("link_directory").await.unwrap();
    for (changed, made) in [("a", "b"), ("z", "0")] {
        world.change(changed, LinkTitled { title: "the needle".parse().ok() }).await;
        world.link(made, "2026-01-01T00:00:01Z", fields()).await;
    }
    world.change("m", LinkDeleted {}).await;
    world.change("m", LinkErased {}).await;
    world.models.resume("link_directory").await.unwrap();
    world.caught_up().await;
    assert_eq!(world.codes_with("needle").await, ["0", "a", "b", "z"]);
    assert_eq!(world.models.link_directory().count_with_text("needle").await, 4);
    world.models.rebuild("link_directory").await.unwrap();
    assert_eq!(world.codes_with("needle").await, ["0", "a", "b", "z"]);
    assert_eq!(world.models.link_directory().count_with_text("needle").await, 4);
}

/// Tables of the version before answer until those of this one are built.
pub(crate) async fn lists_of_the_version_before_are_read(world: World) {
    let (rows, clicks) = world.many_links().await;
    let filter = LinkFilter {
        owner: "ann".parse().ok(),
        tag: "x".parse().ok(),
        text: Some("shop".into()),
        ..LinkFilter::default()
    };
    world.models.stop_projecting().await;
    world.execute("alter table link_directory_1_tags rename to tags_of_now", &[]).await;
    let before = "create table link_directory_1_tags as select link, tag from tags_of_now";
    world.execute(before, &[]).await;
    world.execute("alter table link_directory_1_links rename column number to other", &[]).await;
    let query = LinkQuery { filter: filter.clone(), limit: 5, ..LinkQuery::default() };
    assert!(world.models.link_directory().list(&query).await.is_err(), "they are of this version");
    world.execute("update projections set version = 3 where name = 'link_directory'", &[]).await;
    for sort in SORTS {
        let codes = world.pages(GATHERED, &filter, sort, 4).await;
        assert_eq!(codes, expected(&filter, sort, &rows, &clicks), "{sort:?}");
    }
}
