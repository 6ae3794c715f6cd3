//! Where databases differ by nature: the order of texts, their length, what they may hold, and
//! times of any age.

use std::sync::Arc;

use chrono_tz::Tz;
use serde_json::json;

use super::world::{World, at, click, key};
use crate::ReadModels;
use crate::click_statistics::{Interval, Scope, StatisticsQuery};
use crate::clicks::{BotFilter, ClickQuery};
use crate::dimension::Dimension;
use crate::lease::Part;
use crate::link_directory::{LinkFilter, LinkQuery, LinkSort};
use crate::partition::Partitions;
use crate::read_models::every_projection;
use crate::table_set::TableSet;

fn all(scope: Scope) -> StatisticsQuery {
    StatisticsQuery {
        scope,
        from: None,
        to: None,
        tz: Tz::UTC,
        interval: Some(Interval::Month),
        bots: BotFilter::Include,
        filters: Vec::new(),
    }
}

impl World {
    async fn listed(&self, text: Option<&str>) -> Vec<String> {
        self.caught_up().await;
        let filter = LinkFilter { text: text.map(str::to_owned), ..LinkFilter::default() };
        let mut query = LinkQuery { filter, sort: LinkSort::Code, cursor: None, limit: 2 };
        let mut codes = Vec::new();
        loop {
            let page = self.models.link_directory().list(&query).await.unwrap();
            codes.extend(page.links.into_iter().map(|(row, _)| row.key.code.to_string()));
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                return codes;
            }
        }
    }
}

/// By bytes, whatever the locale of the database: capitals before small letters, signs between.
pub(crate) async fn texts_are_ordered_and_compared_byte_by_byte(world: World) {
    for code in ["b", "a", "B", "A", "a-b", "ab", "a_b", "Z9", "z9"] {
        world.link(code, "2026-01-01T00:00:00Z", json!({})).await;
    }
    let ordered = ["A", "B", "Z9", "a", "a-b", "a_b", "ab", "b", "z9"];
    assert_eq!(world.listed(None).await, ordered);
    assert_eq!(world.listed(Some("A-B")).await, ["a-b"], "ASCII letters in either case");
    assert_eq!(world.listed(Some("A_B")).await, ["a_b"], "a sign stands for itself");
    world.link("umlaut", "2026-01-01T00:00:00Z", json!({ "title": "Äpfel" })).await;
    assert_eq!(world.listed(Some("Äpf")).await, ["umlaut"]);
    assert!(world.listed(Some("äpf")).await.is_empty(), "other letters as they are");
    let sources = ["b", "a", "B", "ä", "A", "-"];
    let clicks = sources
        .map(|source| click("a", "2026-03-01T00:00:00Z", json!({ "utm": { "source": source } })));
    world.clicks(clicks.to_vec()).await;
    world.caught_up().await;
    let statistics = world.models.click_statistics().statistics(&all(Scope::All)).await.unwrap();
    let slices = &statistics.breakdowns[&Dimension::UtmSource];
    let values: Vec<&str> = slices.iter().map(|slice| slice.value.as_str()).collect();
    assert_eq!(values, ["-", "A", "B", "a", "b", "ä"]);
}

/// PostgreSQL can't keep NUL: it becomes the replacement character everywhere, and neither a
/// batch nor a question breaks on it.
pub(crate) async fn nul_in_a_text_breaks_nothing(world: World) {
    world.link("a", "2026-01-01T00:00:00Z", json!({})).await;
    let sources = ["x\u{0}y", "x\u{fffd}y"];
    let clicks = sources.map(|source| {
        let fields = json!({
            "utm": { "source": source }, "userAgent": source, "address": source, "importId": source,
            "referrer": source, "city": source,
        });
        click("a", "2026-03-01T00:00:00Z", fields)
    });
    world.clicks(clicks.to_vec()).await;
    world.verified().await;
    let statistics = world.models.click_statistics().statistics(&all(Scope::All)).await.unwrap();
    let slice = &statistics.breakdowns[&Dimension::UtmSource][0];
    assert_eq!((slice.value.as_str(), slice.clicks), ("x\u{fffd}y", 2));
    assert!(world.listed(Some("\u{0}")).await.is_empty());
}

/// No index has a bound that a text can pass: these don't shrink either.
pub(crate) async fn the_longest_texts_are_kept(world: World) {
    let noise = |n: usize, of: &[char]| -> String {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            of[usize::try_from(state >> 33).unwrap() % of.len()]
        };
        (0..n).map(|_| next()).collect()
    };
    let letters: Vec<char> = ('a'..='z').chain('0'..='9').collect();
    let wide: Vec<char> = ('\u{20000}'..'\u{21000}').collect();
    let url = format!("https://example.com/{}", noise(8_100, &letters));
    world.link("long", "2026-01-01T00:00:00Z", json!({ "url": url })).await;
    let code = noise(64, &letters);
    let domain = [63, 63, 63, 61].map(|n| noise(n, &letters)).join(".");
    let value = noise(600, &wide);
    let fields = json!({
        "domain": domain, "city": value, "referrer": value, "utm": { "campaign": value },
        "userAgent": value,
    });
    world.clicks(vec![click(&code, "2026-03-01T00:00:00Z", fields)]).await;
    world.verified().await;
    let (owner, url) = ("ann".parse().unwrap(), url.parse().unwrap());
    let now = at("2026-02-01T00:00:00Z");
    let found = world
        .models
        .link_directory()
        .find_reusable(&owner, (&hoplog_events::link::Domain::service(), &url), now)
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
}

/// Imports bring clicks from long ago; and a clock can be wrong by anything.
pub(crate) async fn clicks_of_any_age_are_kept(world: World) {
    let instants = [
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1989-12-31T23:59:59.999999Z",
        "2015-05-31T23:59:59.999999Z",
        "2015-06-01T00:00:00Z",
        "2024-02-29T12:00:00Z",
        "2026-12-31T23:59:59.999999Z",
        "2027-01-01T00:00:00Z",
        "2100-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ];
    for instant in instants.iter().rev() {
        world.clicks(vec![click("a", instant, json!({ "visitor": "ffffffffffffffff" }))]).await;
    }
    world.verified().await;
    world.models.rebuild("clicks").await.unwrap();
    let mut query = ClickQuery {
        link: key("a"),
        from: None,
        to: None,
        bots: BotFilter::Include,
        cursor: None,
        limit: 3,
    };
    let mut seen = Vec::new();
    loop {
        let page = world.models.clicks().list(&query).await.unwrap();
        seen.extend(page.clicks.into_iter().map(|click| (click.at, click.visitor)));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    let expected: Vec<_> = instants.iter().rev().map(|instant| (at(instant), u64::MAX)).collect();
    assert_eq!(seen, expected);
    world.verified().await;
}

/// Several processes that start at once on an empty database make one set of tables.
pub(crate) async fn many_that_open_at_once_agree_on_the_tables(world: World) {
    world.models.stop_projecting().await;
    // As if nobody had ever been here.
    let mut transaction = world.database.begin().await.unwrap();
    for table in ["projections", "checkpoints", "members", "turns", "pauses"] {
        transaction.define(&format!("drop table {table}")).await.unwrap();
    }
    for projection in every_projection() {
        let set = TableSet { projection: projection.name(), number: 1 };
        for table in projection.tables() {
            transaction.drop_table(&set.table(table.name)).await.unwrap();
        }
    }
    transaction.commit().await.unwrap();
    let open = |_| {
        let (database, log) = (world.database.clone(), Arc::clone(&world.log));
        tokio::spawn(
            async move { ReadModels::open(database, log, Part::Reader, Partitions::ONE).await },
        )
    };
    for opened in futures::future::join_all((0..4).map(open)).await {
        opened.unwrap().unwrap();
    }
    let models = world.opened_again().await;
    let position = world.clicks(vec![click("a", "2026-03-01T00:00:00Z", json!({}))]).await;
    models.wait_for_all(position, super::world::PATIENCE).await.unwrap();
}
