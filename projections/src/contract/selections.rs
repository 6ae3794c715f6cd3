//! What statistics of tags and domains promise: they are those of the links that are meant, added up.

use hoplog_events::link::{LinkCreated, LinkDeleted, LinkErased, LinkKey, LinkTagged};
use serde_json::json;

use super::clicks::query;
use super::partitions::statistics_in;
use super::sums::{Numbers, clicks};
use super::world::{World, at, key};
use crate::click_statistics::{
    ClickStatistics, DimensionFilter, Scope, Selection, Statistics, StatisticsQuery,
};
use crate::clicks::BotFilter;
use crate::dimension::Dimension;

const CODES: [&str; 5] = ["a", "b", "c", "d", "e"];

impl World {
    /// Links of two owners with and without tags, and clicks of all kinds on them.
    async fn tagged_links(&self) {
        for (code, owner, tags) in [
            ("a", "ann", json!(["x", "y"])),
            ("b", "ann", json!(["x"])),
            ("c", "bob", json!(["x", "all of bob"])),
            ("d", "ann", json!([])),
            ("e", "bob", json!(["all of bob"])),
        ] {
            let fields = json!({ "owner": owner, "tags": tags });
            self.link(code, "2023-01-01T00:00:00Z", fields).await;
        }
        let mut all = clicks(&mut Numbers(11));
        for (nth, click) in all.iter_mut().enumerate() {
            click["code"] = json!(CODES[nth * 7 % 11 % CODES.len()]);
        }
        for batch in all.chunks(211) {
            self.clicks(batch.to_vec()).await;
            self.caught_up().await;
        }
    }
}

fn with_tag(tag: &str, owner: Option<&str>) -> Scope {
    let owner = owner.map(|owner| owner.parse().unwrap());
    Scope::Selected(Selection { owner, tag: tag.parse().ok(), domain: None })
}

async fn ask(of: &ClickStatistics, scope: Scope, bots: BotFilter, by_one: bool) -> Statistics {
    let any = DimensionFilter { dimension: Dimension::Country, include: vec![], exclude: vec![] };
    let filters = if by_one { vec![any] } else { vec![] };
    let (from, to) = (Some(at("2023-12-31T12:00:00Z")), Some(at("2024-04-07T00:00:00Z")));
    let asked = StatisticsQuery { from, to, bots, filters, ..query(scope) };
    of.statistics(&asked).await.unwrap()
}

/// All clicks, and those of each point and of each country.
fn numbers(of: &Statistics) -> Vec<(String, u64)> {
    let points = of.series.iter().map(|point| (point.start.to_string(), point.clicks));
    let countries = of.breakdowns.get(&Dimension::Country).into_iter().flatten();
    let countries = countries.map(|slice| (slice.value.clone(), slice.clicks));
    let mut all = vec![("all".to_owned(), of.total_clicks)];
    all.extend(points.chain(countries));
    all.retain(|(_, clicks)| *clicks > 0);
    all.sort();
    all
}

fn added(all: impl IntoIterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut sums = std::collections::BTreeMap::new();
    for (name, clicks) in all {
        *sums.entry(name).or_default() += clicks;
    }
    sums.into_iter().collect()
}

/// Those of a scope are those of these links: from sums and one by one, in however many partitions.
async fn is_sum(world: &World, scope: &Scope, codes: &[&str]) {
    world.caught_up().await;
    let models = [world.models.click_statistics(), statistics_in(world, 4).await];
    for bots in [BotFilter::Include, BotFilter::Exclude] {
        let mut parts = Vec::new();
        for code in codes {
            let one = ask(&models[0], Scope::Link(key(code)), bots, false).await;
            assert!(one.total_clicks > 10, "{code}");
            parts.extend(numbers(&one));
        }
        let single = ask(&models[0], scope.clone(), bots, true).await;
        assert_eq!(numbers(&single), added(parts), "{scope:?}");
        for model in &models {
            assert_eq!(ask(model, scope.clone(), bots, false).await, single, "{scope:?}");
        }
    }
}

/// Of the links that have the tag now: also after one has lost it, and after one was erased.
pub(crate) async fn statistics_of_a_tag_are_those_of_its_links(world: World) {
    world.tagged_links().await;
    is_sum(&world, &with_tag("x", None), &["a", "b", "c"]).await;
    is_sum(&world, &with_tag("x", Some("ann")), &["a", "b"]).await;
    is_sum(&world, &with_tag("y", None), &["a"]).await;
    is_sum(&world, &with_tag("nobody's", None), &[]).await;
    is_sum(&world, &with_tag("' or 1 = 1 --", None), &[]).await;
    let all = BotFilter::Include;
    let models = world.models.click_statistics();
    let bobs = ask(&models, Scope::Owner("bob".parse().unwrap()), all, false).await;
    assert_eq!(ask(&models, with_tag("all of bob", None), all, false).await, bobs);
    let tags = vec!["z".parse().unwrap()].try_into().unwrap();
    world.change("a", LinkTagged { tags }).await;
    is_sum(&world, &with_tag("x", None), &["b", "c"]).await;
    is_sum(&world, &with_tag("y", Some("ann")), &[]).await;
    is_sum(&world, &with_tag("z", Some("ann")), &["a"]).await;
    world.change("b", LinkDeleted {}).await;
    is_sum(&world, &with_tag("x", None), &["b", "c"]).await;
    world.change("b", LinkErased {}).await;
    is_sum(&world, &with_tag("x", None), &["c"]).await;
    world.verified().await;
}

/// Names that begin alike are other domains.
pub(crate) async fn statistics_of_a_domain_are_those_of_its_links(world: World) {
    world.tagged_links().await;
    let of = |domain: &str, owner: Option<&str>| {
        let owner = owner.map(|owner| owner.parse().unwrap());
        let tag = owner.is_none().then(|| "x".parse().unwrap());
        Scope::Selected(Selection { owner, tag, domain: domain.parse().ok() })
    };
    let near = ["default.example", "default-x", "default0", "defaul"];
    for domain in near {
        let link: LinkCreated = serde_json::from_value(json!({
            "domain": domain, "code": "a", "url": "https://example.com/", "owner": "ann",
            "redirect": 302, "tags": ["x"],
        }))
        .unwrap();
        let stream = format!("{domain}/a").parse::<LinkKey>().unwrap().stream();
        world.append(stream, link.into(), at("2023-01-01T00:00:00Z")).await;
        let click = super::world::click("a", "2024-03-01T00:00:00Z", json!({ "domain": domain }));
        world.clicks(vec![click]).await;
    }
    is_sum(&world, &of("default", None), &["a", "b", "c"]).await;
    is_sum(&world, &of("default", Some("bob")), &["c", "e"]).await;
    let whole = Selection { domain: "default".parse().ok(), ..Selection::default() };
    is_sum(&world, &Scope::Selected(whole), &CODES).await;
    let models = world.models.click_statistics();
    for domain in near {
        for owner in [None, Some("ann")] {
            let found = ask(&models, of(domain, owner), BotFilter::Include, false).await;
            assert_eq!(found.total_clicks, 1, "{domain}");
        }
    }
}
