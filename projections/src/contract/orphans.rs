//! Visits that led nowhere: listed, counted, forgotten, on every database.

use std::collections::BTreeSet;

use chrono::DateTime;
use chrono_tz::Tz;
use hoplog_events::orphan::{OrphanKind, OrphansRecorded};
use hoplog_events::position::{Position, StreamId, Topic};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::world::{CHROME, World, at, click};
use crate::click_statistics::{DimensionFilter, Scope, Slice, StatisticsQuery};
use crate::clicks::BotFilter;
use crate::cursor::QueryError;
use crate::database::DatabaseError;
use crate::dimension::Dimension;
use crate::orphans::{KindCount, OrphanQuery, OrphanRow, OrphanStatistics, WhichOrphans};
use crate::runner::First;

/// Before everything that is told here.
const EVER: &str = "2020-01-01T00:00:00Z";

/// A visit that led nowhere, with other fields on top.
fn orphan(path: &str, at: &str, fields: Value) -> Value {
    let mut orphan = json!({
        "kind": "unknown-code", "domain": "default", "path": path, "at": at,
        "visitor": "00000000000000a1", "userAgent": CHROME,
    });
    let Value::Object(fields) = fields else { panic!("an object") };
    orphan.as_object_mut().unwrap().extend(fields);
    orphan
}

fn all() -> OrphanQuery {
    let which = WhichOrphans::default();
    let (bots, limit) = (BotFilter::Include, 1_000);
    OrphanQuery { which, from: None, to: None, bots, cursor: None, limit }
}

fn numbers(from: Option<&str>, to: Option<&str>) -> StatisticsQuery {
    StatisticsQuery {
        scope: Scope::All,
        from: from.map(at),
        to: to.map(at),
        tz: Tz::UTC,
        interval: None,
        bots: BotFilter::Include,
        filters: Vec::new(),
    }
}

impl World {
    /// Records visits, and counts more, of which all are kept from an instant on.
    pub(super) async fn orphans(
        &self,
        visits: Vec<Value>,
        unrecorded: &[(&str, u64)],
        kept_from: &str,
    ) -> Position {
        let more = |(since, visits): &(&str, u64)| json!({ "kind": "unknown-code", "domain": "default", "since": since, "visits": visits });
        let more: Vec<Value> = unrecorded.iter().map(more).collect();
        let event = json!({ "visits": visits, "unrecorded": more, "keptFrom": kept_from });
        let event: OrphansRecorded = serde_json::from_value(event).unwrap();
        let stream = StreamId::new(Topic::Clicks, "orphans/0");
        self.append(stream, event.into(), at("2026-03-01T00:00:00Z")).await
    }

    /// Records one visit of a path, and counts another.
    pub(super) async fn orphan(&self, path: &str) {
        let (visits, when) = (vec![orphan(path, "2026-03-01T00:00:00Z", json!({}))], EVER);
        self.orphans(visits, &[("2026-03-01T00:00:00Z", 1)], when).await;
    }

    /// A batch that can't be read.
    async fn poison_orphans(&self) {
        let visit = orphan("a", "2026-02-01T10:00:00Z", json!({}));
        let event: OrphansRecorded =
            serde_json::from_value(json!({ "visits": [visit], "keptFrom": EVER })).unwrap();
        let stream = StreamId::new(Topic::Clicks, "orphans/0");
        self.poison(stream, event.into(), r#""at":"2026"#, r#""at":"never"#).await;
    }

    async fn listed_orphans(&self, query: &OrphanQuery) -> Vec<OrphanRow> {
        let (mut query, mut found) = (query.clone(), Vec::new());
        loop {
            let page = self.models.orphans().list(&query).await.unwrap();
            assert!(page.visits.len() <= query.limit);
            found.extend(page.visits);
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                return found;
            }
        }
    }

    async fn paths(&self, query: &OrphanQuery) -> Vec<String> {
        self.listed_orphans(query).await.into_iter().map(|row| row.path).collect()
    }

    async fn counted(&self, query: &StatisticsQuery, which: &WhichOrphans) -> OrphanStatistics {
        self.models.orphans().statistics(query, which).await.unwrap()
    }
}

fn slices(slices: &[Slice]) -> Vec<(&str, u64, u64)> {
    slices.iter().map(|slice| (&*slice.value, slice.clicks, slice.visitors)).collect()
}

/// Two people and a bot, at three instants.
async fn some(world: &World) {
    let other =
        json!({ "visitor": "00000000000000b2", "country": "AT", "referrer": "news.example" });
    let bot = json!({ "visitor": "00000000000000c3", "userAgent": "curl/8", "method": "HEAD" });
    let base = json!({ "kind": "base-url", "path": null, "country": "AT" });
    let visits = vec![
        orphan("lunch", "2026-02-01T10:00:00Z", json!({})),
        orphan("lunch", "2026-02-01T10:20:00Z", other),
        orphan("wp-admin/", "2026-02-02T10:00:00Z", bot),
        orphan("", "2026-02-02T10:00:00Z", base),
        orphan("launch", "2026-02-03T10:00:00Z", json!({ "kind": "expired" })),
    ];
    world.clicks(vec![click("a", "2026-02-01T10:00:00Z", json!({}))]).await;
    world.orphans(visits, &[("2026-02-02T10:00:00Z", 7), ("2026-02-05T00:00:00Z", 2)], EVER).await;
    world.caught_up().await;
}

pub(crate) async fn orphan_visits_are_listed_newest_first_page_by_page(world: World) {
    some(&world).await;
    for limit in [1, 2, 1_000] {
        let paths = world.paths(&OrphanQuery { limit, ..all() }).await;
        assert_eq!(paths, ["launch", "", "wp-admin/", "lunch", "lunch"], "{limit}");
    }
    let of = |kinds: &[OrphanKind]| WhichOrphans {
        kinds: kinds.iter().copied().collect(),
        paths: BTreeSet::new(),
    };
    let ended = OrphanQuery { which: of(&[OrphanKind::Expired, OrphanKind::Spent]), ..all() };
    assert_eq!(world.paths(&ended).await, ["launch"]);
    let lunch = BTreeSet::from(["lunch".to_owned()]);
    let lunch = WhichOrphans { paths: lunch, ..WhichOrphans::default() };
    assert_eq!(world.paths(&OrphanQuery { which: lunch, ..all() }).await.len(), 2);
    for (bots, paths) in [(BotFilter::Only, vec!["wp-admin/"]), (BotFilter::Exclude, vec![""])] {
        let (from, to) = (Some(at("2026-02-02T00:00:00Z")), Some(at("2026-02-03T00:00:00Z")));
        assert_eq!(world.paths(&OrphanQuery { from, to, bots, ..all() }).await, paths);
    }
    let row = world.listed_orphans(&all()).await.remove(2);
    assert_eq!((&*row.kind, &*row.domain, &*row.class), ("unknown-code", "default", "head"));
    let cursor = Some("6f".to_owned());
    let refused = world.models.orphans().list(&OrphanQuery { cursor, ..all() }).await;
    assert!(matches!(refused, Err(QueryError::Cursor)));
    world.verified().await;
}

pub(crate) async fn orphan_visits_are_counted_by_what_is_known_of_them(world: World) {
    some(&world).await;
    let of_all = world.counted(&numbers(None, None), &WhichOrphans::default()).await;
    assert_eq!((of_all.recorded.total_clicks, of_all.recorded.unique_visitors), (5, 3));
    assert_eq!(
        slices(&of_all.kinds),
        [("unknown-code", 3, 3), ("base-url", 1, 1), ("expired", 1, 1)]
    );
    assert_eq!(slices(&of_all.paths), [("lunch", 2, 2), ("launch", 1, 1), ("wp-admin/", 1, 1)]);
    let by = |dimension| slices(&of_all.recorded.breakdowns[&dimension]);
    assert_eq!(by(Dimension::Class), [("human", 4, 2), ("head", 1, 1)]);
    assert_eq!(by(Dimension::Country), [("", 3, 2), ("AT", 2, 2)]);
    assert_eq!(by(Dimension::Referrer), [("", 4, 2), ("news.example", 1, 1)]);
    assert_eq!(
        of_all.recorded.series.iter().map(|point| point.clicks).collect::<Vec<_>>(),
        [2, 2, 1]
    );
    let kind = "unknown-code".to_owned();
    assert_eq!(of_all.unrecorded, [KindCount { kind: kind.clone(), visits: 9 }]);

    // A range holds for both; a filter for what is known of.
    let day = numbers(Some("2026-02-02T00:00:00Z"), Some("2026-02-03T00:00:00Z"));
    let of_day = world.counted(&day, &WhichOrphans::default()).await;
    assert_eq!(of_day.recorded.total_clicks, 2);
    assert_eq!(of_day.unrecorded, [KindCount { kind, visits: 7 }]);
    let (include, exclude) = (vec!["AT".to_owned()], Vec::new());
    let filter = DimensionFilter { dimension: Dimension::Country, include, exclude };
    let austrian = StatisticsQuery { filters: vec![filter], ..numbers(None, None) };
    assert_eq!(world.counted(&austrian, &WhichOrphans::default()).await.recorded.total_clicks, 2);
    let base = BTreeSet::from([OrphanKind::BaseUrl]);
    let base = WhichOrphans { kinds: base, ..WhichOrphans::default() };
    let base = world.counted(&numbers(None, None), &base).await;
    assert_eq!((base.recorded.total_clicks, base.unrecorded.len()), (1, 0));
    let people = StatisticsQuery { bots: BotFilter::Exclude, ..numbers(None, None) };
    assert_eq!(world.counted(&people, &WhichOrphans::default()).await.recorded.total_clicks, 4);
    // Clicks are another thing.
    let clicks = world.models.click_statistics().statistics(&numbers(None, None)).await.unwrap();
    assert_eq!(clicks.total_clicks, 1);
}

/// Whoever tries codes chooses what he says of himself: a hundred of each are counted and told, those that most visits have.
pub(crate) async fn orphan_visits_are_told_by_the_values_that_most_have(world: World) {
    let visit = |n: usize| {
        let value = format!("v{:03}", n % 150);
        let said = json!({ "referrer": value, "language": value, "region": value, "city": value });
        orphan(&value, "2026-02-01T10:00:00Z", said)
    };
    // The last value twice; two that say nothing.
    let mut visits: Vec<Value> = (0..150).map(visit).collect();
    visits.push(visit(149));
    visits.extend((0..2).map(|_| orphan("", "2026-02-01T10:00:00Z", json!({}))));
    world.orphans(visits, &[], EVER).await;
    world.caught_up().await;
    let numbers = world.counted(&numbers(None, None), &WhichOrphans::default()).await;
    assert_eq!(numbers.recorded.total_clicks, 153);
    let by = |dimension| slices(&numbers.recorded.breakdowns[&dimension]);
    for told in [slices(&numbers.paths), by(Dimension::Region), by(Dimension::City)] {
        assert_eq!(told.len(), 100);
        assert_eq!((told[0], told[1], told[99]), (("v149", 2, 1), ("v000", 1, 1), ("v098", 1, 1)));
    }
    for told in [by(Dimension::Referrer), by(Dimension::Language)] {
        assert_eq!(told.len(), 100);
        assert_eq!((told[0], told[1], told[99]), (("", 2, 1), ("v149", 2, 1), ("v097", 1, 1)));
    }
    assert_eq!(by(Dimension::Class), [("human", 153, 1)]);
}

/// Questions that may have to read all of them take turns; others don't.
pub(crate) async fn orphan_visits_are_looked_through_in_turn(world: World) {
    some(&world).await;
    let no_turns = Semaphore::new(0);
    no_turns.close();
    let orphans = world.models.orphans().with_turns(no_turns);
    assert_eq!(orphans.list(&all()).await.unwrap().visits.len(), 5);
    let paths = BTreeSet::from(["launch".to_owned()]);
    let launch = WhichOrphans { paths, ..WhichOrphans::default() };
    let launch = OrphanQuery { which: launch, ..all() };
    let people = OrphanQuery { bots: BotFilter::Exclude, ..all() };
    for (query, visits) in [(launch, 1), (people, 4)] {
        let refused = orphans.list(&query).await;
        assert!(matches!(refused, Err(QueryError::Database(DatabaseError::Busy))), "{refused:?}");
        assert_eq!(world.paths(&query).await.len(), visits);
    }
}

/// What is forgotten is decided by the events, whatever their order, and whenever tables are built.
pub(crate) async fn orphan_visits_are_forgotten_as_their_events_say(world: World) {
    let visit = |path: &str, at: &str| vec![orphan(path, at, json!({}))];
    world.orphans(visit("old", "2026-01-01T10:00:00Z"), &[("2026-01-01T10:00:00Z", 3)], EVER).await;
    world
        .orphans(
            visit("new", "2026-04-01T10:00:00Z"),
            &[("2026-04-01T10:00:00Z", 5)],
            "2026-02-01T00:00:00Z",
        )
        .await;
    // One that comes late, from a node whose clock is behind or that keeps them for longer.
    world
        .orphans(
            visit("late", "2026-01-31T23:59:59Z"),
            &[("2026-01-31T23:45:00Z", 9)],
            "2025-01-01T00:00:00Z",
        )
        .await;
    world
        .orphans(visit("just", "2026-02-01T00:00:00Z"), &[("2026-02-01T00:00:00Z", 1)], EVER)
        .await;
    world.caught_up().await;
    for _ in 0..2 {
        assert_eq!(world.paths(&all()).await, ["new", "just"]);
        let numbers = world.counted(&numbers(None, None), &WhichOrphans::default()).await;
        assert_eq!(numbers.unrecorded.iter().map(|count| count.visits).sum::<u64>(), 6);
        world.verified().await;
        world.models.rebuild("orphans").await.unwrap();
    }
}

/// One that can't be read is put aside, and holds up neither the others nor clicks.
pub(crate) async fn a_poison_batch_of_orphan_visits_is_parked_alone(world: World) {
    let visit = |path: &str| vec![orphan(path, "2026-02-01T10:00:00Z", json!({}))];
    world.orphans(visit("a"), &[], EVER).await;
    world.poison_orphans().await;
    world.orphans(visit("b"), &[], EVER).await;
    world.clicks(vec![click("a", "2026-02-01T10:00:00Z", json!({}))]).await;
    world.caught_up().await;
    assert_eq!(world.paths(&all()).await, ["b", "a"]);
    let status = world.models.status(DateTime::UNIX_EPOCH).await;
    let parked: Vec<_> = status.iter().map(|it| (it.name, it.parked)).collect();
    let of_others = parked.iter().filter(|(name, _)| *name != "orphans");
    assert!(of_others.clone().all(|(_, parked)| *parked == 0), "{parked:?}");
    let sequence = world.models.parked("orphans", "", 10).await.unwrap().remove(0).sequence_of;
    world.models.retry("orphans", &sequence, First::PassOver(None)).await.unwrap();
    world.verified().await;
    world.models.rebuild("orphans").await.unwrap();
    assert_eq!(world.paths(&all()).await, ["b", "a"]);
}
