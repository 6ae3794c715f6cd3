//! What single clicks and statistics promise.

use chrono_tz::Tz;
use serde_json::{Value, json};

use super::world::{World, at, click, key};
use crate::click_statistics::{DimensionFilter, Interval, Scope, Statistics, StatisticsQuery};
use crate::clicks::{BotFilter, ClickQuery, earlier};
use crate::database::{Purpose, Row, bad_row};
use crate::dimension::Dimension;
use crate::table_set::{ActiveSets, Tables, active_set};

/// Quarters of an hour around the ends of days in Kolkata (+5:30) and Kathmandu (+5:45).
const INSTANTS: [&str; 8] = [
    "2026-02-28T18:14:59.999999Z",
    "2026-02-28T18:15:00Z",
    "2026-02-28T18:29:59Z",
    "2026-02-28T18:30:00Z",
    "2026-03-01T00:00:00Z",
    "2026-03-01T18:14:59Z",
    "2026-03-01T18:15:00Z",
    "2026-03-01T18:30:00Z",
];

pub(crate) fn query(scope: Scope) -> StatisticsQuery {
    StatisticsQuery {
        scope,
        from: None,
        to: None,
        tz: Tz::UTC,
        interval: Some(Interval::Day),
        bots: BotFilter::Include,
        filters: Vec::new(),
    }
}

impl World {
    async fn statistics(&self, query: &StatisticsQuery) -> Statistics {
        self.caught_up().await;
        self.models.click_statistics().statistics(query).await.unwrap()
    }

    /// Clicks at all the instants, of people and bots from two countries, by 5 visitors.
    async fn some_clicks(&self, code: &str) -> usize {
        let mut clicks: Vec<Value> = Vec::new();
        for (n, instant) in INSTANTS.iter().cycle().take(40).enumerate() {
            clicks.push(click(code, instant, json!({
                "visitor": format!("{:016x}", (n % 5 + 1) * 0x1234_5678_9abc),
                "country": if n % 2 == 0 { "DE" } else { "IN" },
                "userAgent": if n % 7 == 0 { json!("curl/8") } else { json!(super::world::CHROME) },
                "referrer": format!("https://news{}.example.com/a\u{0}b", n % 3),
                "language": if n % 3 == 0 { json!("de-at") } else { Value::Null },
                "utm": if n % 4 == 0 { json!({ "source": "mail" }) } else { json!({}) },
                "variant": if n % 4 == 1 { json!(["green", "b"][n / 4 % 2]) } else { Value::Null },
                "rule": if n % 4 == 2 { json!("1") } else { Value::Null },
            })));
        }
        for batch in clicks.chunks(9) {
            self.clicks(batch.to_vec()).await;
        }
        clicks.len()
    }
}

pub(crate) async fn clicks_are_listed_newest_first_page_by_page(world: World) {
    let count = world.some_clicks("a").await;
    world.some_clicks("b").await;
    world.caught_up().await;
    let mut query = ClickQuery {
        link: key("a"),
        from: None,
        to: None,
        bots: BotFilter::Include,
        cursor: None,
        limit: 7,
    };
    let mut seen = Vec::new();
    loop {
        let page = world.models.clicks().list(&query).await.unwrap();
        seen.extend(page.clicks);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), count);
    assert!(seen.is_sorted_by(|one, next| one.at >= next.at));
    let mut ids: Vec<_> = seen.iter().map(|click| &click.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "each once");
    assert!(seen.iter().all(|click| click.link == key("a")));
}

/// Traps 10 and 13: a total is the sum of its days, in every time zone; nothing is lost at
/// midnight.
pub(crate) async fn days_add_up_to_the_total_in_every_zone(world: World) {
    let count = world.some_clicks("a").await as u64;
    for tz in [Tz::UTC, Tz::Asia__Kolkata, Tz::Asia__Kathmandu, Tz::America__St_Johns] {
        for interval in [Interval::Hour, Interval::Day, Interval::Week, Interval::Month] {
            let query =
                StatisticsQuery { tz, interval: Some(interval), ..query(Scope::Link(key("a"))) };
            let statistics = world.statistics(&query).await;
            assert_eq!(statistics.total_clicks, count);
            let sum: u64 = statistics.series.iter().map(|point| point.clicks).sum();
            assert_eq!(sum, count, "{tz} {interval:?}");
        }
    }
    // Each of the eight instants has five clicks.
    let kathmandu = StatisticsQuery { tz: Tz::Asia__Kathmandu, ..query(Scope::Link(key("a"))) };
    let kathmandu: Vec<u64> =
        world.statistics(&kathmandu).await.series.iter().map(|p| p.clicks).collect();
    assert_eq!(kathmandu, [5, 25, 10]);
    let kolkata = StatisticsQuery { tz: Tz::Asia__Kolkata, ..query(Scope::Link(key("a"))) };
    let kolkata: Vec<u64> =
        world.statistics(&kolkata).await.series.iter().map(|p| p.clicks).collect();
    assert_eq!(kolkata, [15, 20, 5]);
}

/// Trap 20 (U22): numbers are kept, not counted when a page is opened: without a single row of a
/// click they are all there. Nor is there a row that each click of a batch is written to.
pub(crate) async fn trap_20_a_page_of_numbers_counts_no_clicks(world: World) {
    let clicks = (0..2_000).map(|n| {
        let visitor = format!("{:016x}", n % 7 + 1);
        click("hot", "2026-03-01T12:00:00Z", json!({ "visitor": visitor }))
    });
    world.clicks(clicks.collect()).await;
    let query = query(Scope::Link(key("hot")));
    let before = world.statistics(&query).await;
    assert_eq!((before.total_clicks, before.series.len()), (2_000, 1));
    let name = |projection, table: &str| {
        let (database, table) = (world.database.clone(), table.to_owned());
        async move { active_set(&database, projection).await.unwrap().0.table(&table) }
    };
    let (rows, sums) = (name("clicks", "clicks").await, name("click_statistics", "sums").await);
    let mut transaction = world.database.begin().await.unwrap();
    transaction.execute(format!("delete from {rows}"), &[]).await.unwrap();
    transaction.commit().await.unwrap();
    let after = world.models.click_statistics().statistics(&query).await.unwrap();
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
    let count = format!("select count(*) from {sums}");
    let count = world.database.fetch(Purpose::Answer, count, &[], |row| row.count(0)).await;
    assert!(count.unwrap()[0] < 100, "one row for a value and a length of time");
}

/// Trap 13: a range that applies to one number and not to another.
pub(crate) async fn a_range_holds_for_every_number_alike(world: World) {
    world.some_clicks("a").await;
    let range = StatisticsQuery {
        from: Some(at("2026-02-28T18:15:00Z")),
        to: Some(at("2026-03-01T18:15:00Z")),
        ..query(Scope::Link(key("a")))
    };
    for bots in [BotFilter::Include, BotFilter::Exclude, BotFilter::Only] {
        let statistics = world.statistics(&StatisticsQuery { bots, ..range.clone() }).await;
        if bots == BotFilter::Include {
            assert_eq!(statistics.total_clicks, 25);
        }
        for dimension in
            [Dimension::Class, Dimension::Country, Dimension::Browser, Dimension::Referrer]
        {
            let sum: u64 = statistics.breakdowns[&dimension].iter().map(|slice| slice.clicks).sum();
            assert_eq!(sum, statistics.total_clicks, "{dimension:?} {bots:?}");
        }
    }
}

/// Unfiltered numbers come from sums, filtered ones from single clicks: the same questions
/// have the same answers.
pub(crate) async fn sums_and_single_clicks_give_the_same_numbers(world: World) {
    world.some_clicks("a").await;
    world.some_clicks("b").await;
    let everything =
        DimensionFilter { dimension: Dimension::Country, include: vec![], exclude: vec![] };
    let ranges = [
        (None, None),
        (Some("2026-02-28T18:15:00Z"), None),
        (None, Some("2026-03-01T00:00:00Z")),
        (Some("2026-02-28T18:30:00Z"), Some("2026-03-01T18:15:00Z")),
        (Some("2026-01-01T00:00:00Z"), Some("2026-01-02T00:00:00Z")),
    ];
    for (from, to) in ranges {
        for tz in [Tz::UTC, Tz::Asia__Kathmandu] {
            for bots in [BotFilter::Include, BotFilter::Exclude, BotFilter::Only] {
                let (from, to) = (from.map(at), to.map(at));
                let plain = StatisticsQuery { from, to, tz, bots, ..query(Scope::Link(key("a"))) };
                let filters = vec![everything.clone()];
                let filtered = StatisticsQuery { filters, ..plain.clone() };
                assert_eq!(
                    world.statistics(&plain).await,
                    world.statistics(&filtered).await,
                    "{plain:?}"
                );
            }
        }
    }
}

/// A few clicks of a quarter of an hour are one row, many are a row for each value: whichever they
/// are, and in whichever batches they became so, the numbers are those of the clicks.
pub(crate) async fn few_clicks_and_many_have_the_same_numbers(world: World) {
    let (few, many) = (query(Scope::Link(key("few"))), query(Scope::Link(key("many"))));
    let everything =
        DimensionFilter { dimension: Dimension::Country, include: vec![], exclude: vec![] };
    let mut count = 0;
    for size in [1_u64, 30, 1, 200, 1, 300] {
        let clicks = (count..count + size).map(|n| {
            let country = if n % 2 == 0 { "DE" } else { "FR" };
            let fields = json!({
                "visitor": format!("{:016x}", n % 97 + 1), "country": country,
                "referrer": format!("https://site{}.example/page", n % 13),
            });
            let code = if n % 50 == 0 { "few" } else { "many" };
            click(code, "2026-03-01T12:00:00Z", fields)
        });
        world.clicks(clicks.collect()).await;
        count += size;
        let mut total = 0;
        for query in [&few, &many] {
            let filtered = StatisticsQuery { filters: vec![everything.clone()], ..query.clone() };
            let numbers = world.statistics(query).await;
            assert_eq!(numbers, world.statistics(&filtered).await, "{count}");
            total += numbers.total_clicks;
        }
        assert_eq!(total, count);
        world.verified().await;
    }
    let links = async |table: &str| {
        let sql = format!("select distinct link from {table} where link <> ''");
        let read = |row: &crate::database::Row| row.text(0).map(str::to_owned);
        world.database.fetch(Purpose::Answer, sql, &[], read).await.unwrap()
    };
    assert_eq!(links("click_statistics_1_quarters").await, ["default/few"]);
    assert_eq!(links("click_statistics_1_sums").await, ["default/many"]);
}

impl World {
    /// Gives the statistics the tables that versions before had, without sums of longer spans.
    pub(crate) async fn without_sums(&self) {
        let quarters = "select link, case when bucket < 549755813888 then bucket else bucket - 7 * 1099511627776 end \
            as bucket, dimension, value, bot, clicks, visitors from click_statistics_1_sums \
            where bucket < 549755813888 or bucket > 7 * 1099511627776 - 549755813888";
        let all = "select link, bucket, bot, substr(visitors, 1, 0) from click_statistics_1_buckets \
            where dimension = 0 and link <> ''";
        for sql in [
            format!("create table click_statistics_1_buckets as {quarters}"),
            format!("insert into click_statistics_1_quarters (link, bucket, bot, clicks) {all}"),
            "drop table click_statistics_1_sums".to_owned(),
            "drop table click_statistics_1_unsummed".to_owned(),
        ] {
            self.execute(&sql, &[]).await;
        }
        for column in ["first_human", "last_human", "first_bot", "last_bot"] {
            let sql = format!("alter table click_statistics_1_totals drop column {column}");
            self.execute(&sql, &[]).await;
        }
    }
}

/// Tables of versions before, which had no sums or no quarters, answer until those of this one are built.
pub(crate) async fn statistics_of_the_version_before_are_read(world: World) {
    let visit = |n: i64, at| click("a", at, json!({ "visitor": format!("{:016x}", n + 1) }));
    world.clicks((0..300).map(|n| visit(n, "2026-03-01T12:00:00Z")).collect()).await;
    world.clicks((0..3).map(|n| visit(n, "2026-04-02T12:00:00Z")).collect()).await;
    let (from, to) = (Some(at("2026-02-01T00:00:00Z")), Some(at("2026-05-01T00:00:00Z")));
    let open = query(Scope::Link(key("a")));
    let all = StatisticsQuery { scope: Scope::All, ..open.clone() };
    let queries = [StatisticsQuery { from, to, ..open.clone() }, all, open];
    let mut before = Vec::new();
    for query in &queries {
        before.push(world.statistics(query).await);
    }
    assert_eq!(before[2].total_clicks, 303);
    world.models.stop_projecting().await;
    world.without_sums().await;
    let models = world.models.click_statistics();
    let version = async |version: i64| {
        let sql = "update projections set version = $1 where name = 'click_statistics'";
        world.execute(sql, &[version.into()]).await;
    };
    for (query, before) in queries.iter().zip(&before) {
        version(crate::click_statistics::VERSION).await;
        assert!(
            models.statistics(query).await.is_err(),
            "of this version there is no table too few"
        );
        version(3).await;
        assert_eq!(models.statistics(query).await.unwrap(), *before, "{query:?}");
    }
    world.execute("drop table click_statistics_1_quarters", &[]).await;
    version(2).await;
    for (query, expected) in queries.iter().zip([300, 303, 300]) {
        assert_eq!(models.statistics(query).await.unwrap().total_clicks, expected, "{query:?}");
    }
}

/// Clicks that a variant or a rule led are told apart, few and many of a quarter alike; the others are in no breakdown.
pub(crate) async fn variants_and_rules_are_counted(world: World) {
    let visit = |n: usize, link: &str, at: &str| {
        let mut led = json!({ "visitor": format!("{:016x}", n * 0x1234_5678_9abc) });
        match n % 4 {
            0 => led["variant"] = json!("control"),
            1 | 2 => led["variant"] = json!("green button"),
            _ => led["rule"] = json!("phones"),
        }
        click(link, at, led)
    };
    for (link, count) in [("few", 8), ("many", 400)] {
        let clicks = (0..count).map(|n| visit(n, link, "2026-03-01T12:00:00Z"));
        world
            .clicks(clicks.chain([click(link, "2026-03-01T12:00:00Z", json!({}))]).collect())
            .await;
        let told = world.statistics(&query(Scope::Link(key(link)))).await;
        let count = count as u64;
        assert_eq!(told.total_clicks, count + 1);
        let slices = |dimension| -> Vec<(&str, u64)> {
            let slices = told.breakdowns[&dimension].iter();
            slices.map(|slice| (&*slice.value, slice.clicks)).collect()
        };
        let variants = [("green button", count / 2), ("control", count / 4)];
        assert_eq!(slices(Dimension::Variant), variants);
        assert_eq!(slices(Dimension::Rule), [("phones", count / 4)]);
    }
    let page = ClickQuery {
        link: key("few"),
        from: None,
        to: None,
        bots: BotFilter::Include,
        cursor: None,
        limit: 3,
    };
    let page = world.models.clicks().list(&page).await.unwrap();
    let told: Vec<_> = page.clicks.iter().map(|row| (&*row.variant, &*row.rule)).collect();
    assert_eq!(told, [("", ""), ("", "phones"), ("green button", "")]);
    world.verified().await;
}

/// A row that can't be read ends an answer: those before it were handed over, and are not once more.
pub(crate) async fn no_click_is_handed_over_twice(world: World) {
    world.some_clicks("a").await;
    world.caught_up().await;
    let (set, _) = active_set(&world.database, "clicks").await.unwrap();
    let tables = Tables { database: world.database.clone(), sets: ActiveSets::new([set]) };
    let mut rows = 0;
    let third_is_odd = |_: &Row| {
        rows += 1;
        if rows == 3 { Err(bad_row("odd")) } else { Ok(()) }
    };
    let sql = "select at from {clicks.clicks}";
    assert!(earlier::for_each(&tables, sql, &[], third_is_odd).await.is_err());
    assert_eq!(rows, 3);
}

/// Tables of the version before, which knew neither variants nor rules, answer until those of this one are built.
pub(crate) async fn clicks_of_the_version_before_are_read(world: World) {
    world.some_clicks("a").await;
    world.caught_up().await;
    world.models.stop_projecting().await;
    let page = ClickQuery {
        link: key("a"),
        from: None,
        to: None,
        bots: BotFilter::Include,
        cursor: None,
        limit: 50,
    };
    let before = world.models.clicks().list(&page).await.unwrap();
    assert!(before.clicks.iter().any(|row| row.variant == "green"));
    for column in ["variant", "rule"] {
        let sql = format!("alter table clicks_1_clicks drop column {column}");
        world.execute(&sql, &[]).await;
    }
    assert!(
        world.models.clicks().list(&page).await.is_err(),
        "of this version there is no column too few"
    );
    world.execute("update projections set version = 2 where name = 'clicks'", &[]).await;
    let told = world.models.clicks().list(&page).await.unwrap();
    let without = |mut page: crate::clicks::ClickPage| {
        for row in &mut page.clicks {
            (row.variant, row.rule) = (String::new(), String::new());
        }
        page
    };
    assert_eq!(told, without(before));
    let filter = |dimension, value: &str| {
        let (include, exclude) = (vec![value.to_owned()], Vec::new());
        let filters = vec![DimensionFilter { dimension, include, exclude }];
        StatisticsQuery { filters, ..query(Scope::Link(key("a"))) }
    };
    let statistics = world.models.click_statistics();
    for (dimension, value, clicks) in [
        (Dimension::Country, "DE", 20),
        (Dimension::Variant, "green", 0),
        (Dimension::Rule, "", 40),
    ] {
        let counted = statistics.statistics(&filter(dimension, value)).await.unwrap();
        assert_eq!(counted.total_clicks, clicks, "{dimension:?}");
    }
}

pub(crate) async fn a_filter_counts_what_it_admits(world: World) {
    world.some_clicks("a").await;
    let filter = |dimension, include: &[&str], exclude: &[&str]| DimensionFilter {
        dimension,
        include: include.iter().map(|value| (*value).to_owned()).collect(),
        exclude: exclude.iter().map(|value| (*value).to_owned()).collect(),
    };
    let (country, source) = (Dimension::Country, Dimension::UtmSource);
    let cases = [
        (vec![filter(country, &["DE"], &[])], 20),
        (vec![filter(country, &["DE", "IN", "FR"], &[])], 40),
        (vec![filter(country, &["FR"], &[])], 0),
        (vec![filter(country, &[], &["IN"])], 20),
        (vec![filter(country, &["DE"], &["DE"])], 0),
        (vec![filter(country, &["DE"], &[]), filter(source, &["mail"], &[])], 10),
        (vec![filter(source, &[""], &[])], 30),
        (vec![filter(Dimension::ReferrerUrl, &["https://news0.example.com/a\u{0}b"], &[])], 14),
        (vec![filter(Dimension::Class, &["bot"], &[])], 6),
        (vec![filter(Dimension::Variant, &["green"], &[])], 5),
        (vec![filter(Dimension::Variant, &[], &["green", ""])], 5),
        (vec![filter(Dimension::Variant, &[""], &[]), filter(Dimension::Rule, &["1"], &[])], 10),
        (vec![filter(country, &["' or 1 = 1 --"], &[])], 0),
    ];
    for (filters, expected) in cases {
        let query = StatisticsQuery { filters, ..query(Scope::Link(key("a"))) };
        assert_eq!(world.statistics(&query).await.total_clicks, expected, "{:?}", query.filters);
    }
}

/// Unaligned bounds are widened, to the same for every number, and the answer says to which.
pub(crate) async fn the_answer_says_which_range_was_counted(world: World) {
    let minutes = ["09:59", "10:00", "10:04", "10:14", "10:15"];
    let clicks = minutes.map(|time| click("a", &format!("2026-03-01T{time}:00Z"), json!({})));
    world.clicks(clicks.to_vec()).await;
    let time = |time: &str| at(&format!("2026-03-01T{time}:00Z"));
    for (from, to, counted_from, counted_to, clicks) in [
        (Some("10:01"), Some("10:05"), "10:00", "10:15", 3),
        (Some("10:05"), Some("10:16"), "10:00", "10:30", 4),
        (Some("10:00"), Some("10:15"), "10:00", "10:15", 3),
        (None, Some("10:01"), "09:45", "10:15", 4),
        (None, None, "09:45", "10:30", 5),
    ] {
        let (from, to) = (from.map(time), to.map(time));
        let query = StatisticsQuery { from, to, ..query(Scope::Link(key("a"))) };
        let found = world.statistics(&query).await;
        assert_eq!(found.total_clicks, clicks, "{query:?}");
        assert_eq!((found.from, found.to), (Some(time(counted_from)), Some(time(counted_to))));
    }
    let nothing = world.statistics(&query(Scope::Link(key("none")))).await;
    assert_eq!((nothing.from, nothing.to), (None, None));
}

pub(crate) async fn owners_and_everybody_are_counted_together(world: World) {
    world.link("a", "2026-01-01T00:00:00Z", json!({})).await;
    world.link("b", "2026-01-01T00:00:00Z", json!({})).await;
    world.link("c", "2026-01-01T00:00:00Z", json!({ "owner": "bob" })).await;
    let count = world.some_clicks("a").await as u64;
    world.some_clicks("b").await;
    world.some_clicks("c").await;
    let ann = query(Scope::Owner("ann".parse().unwrap()));
    assert_eq!(world.statistics(&ann).await.total_clicks, 2 * count);
    let all = world.statistics(&query(Scope::All)).await;
    assert_eq!((all.total_clicks, all.unique_visitors), (3 * count, 5));
    let totals = world.models.click_statistics().totals(&[key("a"), key("nobody")]).await.unwrap();
    assert_eq!((totals.len(), totals[&key("a")].total), (1, count));
}
