//! What rankings promise.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use hoplog_events::link::LinkDeleted;
use hoplog_events::log::ReadLimit;
use hoplog_events::position::{Sequence, Topic};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::partitions::create;
use super::world::{World, at, click, key};
use crate::partition::{Partitions, Share};
use crate::runner::Batch;
use crate::top_links::{Among, Around, HalfLife, NAME, Period, Ranked, Ranking};

/// How many logs are made up.
const CASES: u32 = 8;

/// When questions about now are asked.
const NOW: &str = "2026-03-05T12:00:00Z";

/// A click of a made-up log: which link, how long before now in minutes, of a bot or not.
type Visit = (u8, i64, bool);

fn everything() -> Among {
    Among::default()
}

fn rankings() -> Vec<Ranking> {
    let today = at(NOW).date_naive();
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    vec![
        Ranking::ever(),
        Ranking::of(Period::Day, today),
        Ranking::of(Period::Week, today),
        Ranking::of(Period::Month, today),
        Ranking::between(day("2026-02-27"), day("2026-03-04")).unwrap(),
        Ranking::trending(HalfLife::Hour, at(NOW)),
        Ranking::trending(HalfLife::Day, at(NOW)),
        Ranking::trending(HalfLife::Week, at(NOW)),
    ]
}

/// The same from a list of clicks, in the order of the log.
fn expected(clicks: &[(String, DateTime<Utc>)], ranking: &Ranking) -> Vec<(String, i64)> {
    let mut sums: BTreeMap<&str, (i64, usize)> = BTreeMap::new();
    for (place, (code, at)) in clicks.iter().enumerate() {
        for (span, weight) in crate::top_links::span::spans_of(*at) {
            if ranking.spans().contains(&span) {
                sums.entry(code).or_insert((0, place)).0 += weight;
            }
        }
    }
    let mut ranked: Vec<_> = sums.into_iter().collect();
    ranked.sort_by_key(|(_, (score, first))| (-score, *first));
    ranked.into_iter().map(|(code, (score, _))| (code.to_owned(), score)).collect()
}

fn shown(ranked: &[Ranked]) -> Vec<(Option<u64>, String, i64)> {
    let one = |it: &Ranked| (it.rank, it.link.code.to_string(), it.score.cast_signed());
    ranked.iter().map(one).collect()
}

fn in_order(around: Around) -> Vec<Ranked> {
    around.above.into_iter().chain([around.own]).chain(around.below).collect()
}

impl World {
    async fn top(&self, ranking: &Ranking, among: &Among, limit: usize) -> Vec<Ranked> {
        self.models.top_links().top(ranking, among, limit).await.unwrap()
    }

    async fn around(&self, ranking: &Ranking, code: &str, neighbours: usize) -> Option<Around> {
        let links = self.models.top_links();
        links.around(ranking, &everything(), &key(code), neighbours).await.unwrap()
    }

    /// Every ranking, and every place in it, is as the list says.
    async fn ranks_as(&self, clicks: &[(String, DateTime<Utc>)], among: &Among) {
        for ranking in rankings() {
            let expected = expected(clicks, &ranking);
            let expected: Vec<_> =
                (1..).zip(expected).map(|(n, (code, score))| (Some(n), code, score)).collect();
            let all = self.top(&ranking, among, 100).await;
            assert_eq!(shown(&all), expected, "{ranking:?} {among:?}");
            assert_eq!(
                shown(&self.top(&ranking, among, 2).await),
                expected[..expected.len().min(2)]
            );
            for (place, own) in all.iter().enumerate() {
                let links = self.models.top_links();
                let around = links.around(&ranking, among, &own.link, 2).await.unwrap().unwrap();
                assert_eq!(around.own, *own, "{ranking:?} {among:?}");
                let part = place.saturating_sub(2)..(place + 3).min(all.len());
                assert_eq!(shown(&in_order(around)), expected[part], "{ranking:?} {among:?}");
            }
        }
    }
}

async fn check(world: &World, round: usize, visits: &[Vec<Visit>]) {
    let mut clicks = Vec::new();
    for batch in visits {
        let mut event: Vec<Value> = Vec::new();
        for (link, minutes, bot) in batch {
            let (code, at) =
                (format!("r{round}c{link}"), at(NOW) - chrono::TimeDelta::minutes(*minutes));
            let agent = if *bot { "curl/8" } else { super::world::CHROME };
            event.push(click(&code, &at.to_rfc3339(), json!({ "userAgent": agent })));
            if !bot {
                clicks.push((code, at));
            }
        }
        world.clicks(event).await;
    }
    for link in 0..6_u8 {
        let owner = if link % 2 == 0 { "even" } else { "odd" };
        let tags = if link < 3 { json!(["low", "all"]) } else { json!(["all"]) };
        let fields = json!({ "owner": format!("{owner}{round}"), "tags": tags });
        world.link(&format!("r{round}c{link}"), "2026-01-01T00:00:00Z", fields).await;
    }
    world.caught_up().await;
    let of = |wanted: &dyn Fn(u8) -> bool| -> Vec<_> {
        let link = |code: &str| code.rsplit('c').next().unwrap().parse::<u8>().unwrap();
        clicks.iter().filter(|(code, _)| wanted(link(code))).cloned().collect()
    };
    let even = Among { owner: format!("even{round}").parse().ok(), tag: None };
    world.ranks_as(&of(&|link| link % 2 == 0), &even).await;
    let low = Among { tag: "low".parse().ok(), ..even };
    world.ranks_as(&of(&|link| link % 2 == 0 && link < 3), &low).await;
    if round == 0 {
        world.ranks_as(&clicks, &everything()).await;
        let low = Among { owner: None, ..low };
        world.ranks_as(&of(&|link| link < 3), &low).await;
    }
}

pub(crate) async fn links_are_ranked_as_a_list_of_clicks_says(world: World) {
    let minutes = prop_oneof![0..300_i64, 0..20_000_i64, 0..200_000_i64];
    let visit = (0..6_u8, minutes, prop::bool::weighted(0.1));
    let strategy = prop::collection::vec(prop::collection::vec(visit, 1..20), 1..10);
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let round = std::cell::Cell::new(0);
    tokio::task::block_in_place(|| {
        let run = TestRunner::new(config).run(&strategy, |visits| {
            Handle::current().block_on(check(&world, round.replace(round.get() + 1), &visits));
            Ok(())
        });
        run.unwrap();
    });
    world.verified().await;
}

pub(crate) async fn of_two_with_one_score_the_one_that_came_first_ranks_higher(world: World) {
    let visit = |code: &str, at: &str| click(code, at, json!({}));
    // Who came first on the log, not by the clock, nor by name; `a` is ahead today only.
    world.clicks(vec![visit("a", "2026-03-04T10:00:00Z")]).await;
    world
        .clicks(vec![visit("c", "2026-03-05T10:00:00Z"), visit("b", "2026-03-05T09:00:00Z")])
        .await;
    world
        .clicks(vec![visit("b", "2026-03-05T10:00:00Z"), visit("a", "2026-03-05T08:00:00Z")])
        .await;
    world
        .clicks(vec![visit("c", "2026-03-05T08:00:00Z"), visit("a", "2026-03-05T08:00:00Z")])
        .await;
    world.caught_up().await;
    let codes = async |ranking: Ranking| {
        let top = world.top(&ranking, &everything(), 10).await;
        top.into_iter().map(|it| (it.link.code.to_string(), it.score)).collect::<Vec<_>>()
    };
    let all = [("a".to_owned(), 3), ("c".to_owned(), 2), ("b".to_owned(), 2)];
    assert_eq!(codes(Ranking::ever()).await, all);
    let today = [("c".to_owned(), 2), ("b".to_owned(), 2), ("a".to_owned(), 2)];
    assert_eq!(codes(Ranking::of(Period::Day, at(NOW).date_naive())).await, today);
}

pub(crate) async fn neighbours_end_where_the_ranking_ends(world: World) {
    for n in 0..5 {
        world.clicks(vec![click(&format!("c{n}"), NOW, json!({})); 5 - n]).await;
    }
    world.caught_up().await;
    let codes = |of: &[Ranked]| of.iter().map(|it| it.link.code.to_string()).collect::<Vec<_>>();
    let ever = Ranking::ever();
    let first = world.around(&ever, "c0", 3).await.unwrap();
    assert_eq!((codes(&first.above).len(), first.own.rank), (0, Some(1)));
    assert_eq!(codes(&first.below), ["c1", "c2", "c3"]);
    let last = world.around(&ever, "c4", 2).await.unwrap();
    assert_eq!((codes(&last.above), last.own.rank), (vec!["c2".into(), "c3".into()], Some(5)));
    assert_eq!(last.below, []);
    let alone = world.around(&ever, "c2", 0).await.unwrap();
    assert_eq!((alone.above, alone.own.rank, alone.below), (vec![], Some(3), vec![]));
    assert_eq!(world.around(&ever, "nobody", 3).await, None);
    let before = Ranking::of(Period::Day, "2026-03-04".parse().unwrap());
    assert_eq!(world.around(&before, "c0", 3).await, None);
}

pub(crate) async fn bots_and_strangers_do_not_count(world: World) {
    let bot = json!({ "userAgent": "curl/8" });
    world.link("a", "2026-01-01T00:00:00Z", json!({ "owner": "ann", "tags": ["x"] })).await;
    world.link("b", "2026-01-01T00:00:00Z", json!({ "owner": "bob", "tags": ["x"] })).await;
    world.clicks(vec![click("b", NOW, json!({})), click("a", NOW, json!({}))]).await;
    world.clicks(vec![click("a", NOW, bot.clone()), click("a", NOW, bot)]).await;
    world.change("a", LinkDeleted {}).await;
    world.caught_up().await;
    let ever = Ranking::ever();
    assert_eq!(shown(&world.top(&ever, &everything(), 10).await).len(), 2);
    assert_eq!(world.top(&ever, &everything(), 10).await[0].link, key("b"), "bots don't count");
    let ann = Among { owner: "ann".parse().ok(), tag: "x".parse().ok() };
    let top = world.top(&ever, &ann, 10).await;
    assert_eq!(shown(&top), [(Some(1), "a".to_owned(), 1)], "deleted or not");
    let links = world.models.top_links();
    assert_eq!(links.around(&ever, &ann, &key("b"), 3).await.unwrap(), None);
    let nobody = Among { owner: "nobody".parse().ok(), tag: None };
    assert_eq!(world.top(&ever, &nobody, 10).await, []);
}

/// Sums and maxima: the tables are the same however the events are cut, and whichever come first.
pub(crate) async fn shuffled_batches_give_the_same_scores(world: World) {
    for n in 0..40_u32 {
        let visit = |m: u32| {
            let at = format!("2026-0{}-{:02}T{:02}:00:00Z", 1 + m % 3, 1 + n % 27, (n * m) % 24);
            click(&format!("c{}", (n + m) % 7), &at, json!({}))
        };
        world.clicks((0..=n % 5).map(visit).collect()).await;
    }
    world.verified().await;
    let all = world.appliers();
    let applier = all.iter().find(|it| it.projection.name() == NAME).unwrap();
    let events =
        world.log.read_all(Topic::Clicks, Sequence::START, ReadLimit::default()).await.unwrap();
    let reversed: Vec<_> = events.iter().rev().cloned().collect();
    let mut sets = Vec::new();
    for (events, size) in [(&events, usize::MAX), (&events, 1), (&reversed, 1), (&reversed, 7)] {
        let set = create(applier, Partitions::ONE).await.set;
        for batch in events.chunks(size.min(events.len())) {
            let batch = Batch::from(batch.to_vec());
            let changes = applier.projection.fold(&batch, Share::All(Partitions::ONE)).unwrap();
            let mut transaction = world.database.begin().await.unwrap();
            changes.write(&mut transaction, set).await.unwrap();
            transaction.commit().await.unwrap();
        }
        sets.push(set);
    }
    for other in &sets[1..] {
        assert_eq!(world.differing(applier, [sets[0], *other]).await, 0, "{other:?}");
    }
    for set in sets {
        applier.drop_set(set).await.unwrap();
    }
}

/// Trap 20 (U22): ranks are kept, not counted: without a single row of a click or a bucket they are
/// all there.
pub(crate) async fn trap_20_ranks_are_read_and_not_counted(world: World) {
    let clicks = (0..60).map(|n| click(&format!("c{}", n % 11), NOW, json!({})));
    world.clicks(clicks.collect()).await;
    world.caught_up().await;
    let trending = Ranking::trending(HalfLife::Hour, at(NOW));
    let before = world.top(&trending, &everything(), 100).await;
    world.models.stop_projecting().await;
    for table in ["clicks_1_clicks", "click_statistics_1_sums", "click_statistics_1_totals"] {
        world.execute(&format!("delete from {table}"), &[]).await;
    }
    assert_eq!(before.len(), 11);
    assert_eq!(world.top(&trending, &everything(), 100).await, before);
    let around = world.around(&trending, "c3", 2).await.unwrap();
    assert_eq!(around.own, before[3]);
}

/// What lies behind the highest ranks is found without counting all that is before it.
pub(crate) async fn behind_a_hundred_thousand_no_rank_is_told(world: World) {
    let rows = "with recursive n(n) as (select cast(1 as bigint) union all select n + 1 from n where n < 100005) \
        insert into top_links_1_scores (span, link, score, earliness) \
        select 0, 'default/c' || n, 7, -n from n";
    world.execute(rows, &[]).await;
    let ranks = async |code: &str, neighbours: usize| {
        let around = world.around(&Ranking::ever(), code, neighbours).await.unwrap();
        in_order(around).into_iter().map(|ranked| ranked.rank).collect::<Vec<_>>()
    };
    assert_eq!(
        ranks("c99999", 2).await,
        [Some(99_997), Some(99_998), Some(99_999), Some(100_000), None]
    );
    assert_eq!(ranks("c100000", 1).await, [Some(99_999), Some(100_000), None]);
    assert_eq!(ranks("c100002", 2).await, [Some(100_000), None, None, None, None]);
    assert_eq!(ranks("c100003", 2).await, [None; 5]);
    assert_eq!(ranks("c100005", 0).await, [None]);
    assert_eq!(ranks("c1", 1).await, [Some(1), Some(2)]);
}
