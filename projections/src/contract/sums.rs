//! What sums of longer spans promise: they change how much is read, and nothing else.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::clicks::query;
use super::partitions::statistics_in;
use super::world::{World, at, click, key};
use crate::click_statistics::{DimensionFilter, Interval, Scope, StatisticsQuery};
use crate::clicks::BotFilter;
use crate::database::Purpose;
use crate::dimension::Dimension;

/// The same numbers at every run, all over the place.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()].clone()
    }
}

/// The ends of days, months and of a leap day, where clocks change in Berlin and in Lord Howe, and an instant before 1970.
const AROUND: [&str; 12] = [
    "1969-12-31T23:50:00Z",
    "2023-12-31T23:59:59Z",
    "2024-01-01T00:00:00Z",
    "2024-01-31T18:20:00Z",
    "2024-02-28T18:10:00Z",
    "2024-02-29T12:00:00Z",
    "2024-03-01T00:00:00Z",
    "2024-03-15T06:00:00Z",
    "2024-03-31T00:50:00Z",
    "2024-04-06T14:50:00Z",
    "2024-04-07T05:59:00Z",
    "2024-05-20T13:07:00Z",
];

const ZONES: [Tz; 6] = [
    Tz::UTC,
    Tz::Asia__Kolkata,
    Tz::Asia__Kathmandu,
    Tz::Europe__Berlin,
    Tz::Australia__Lord_Howe,
    Tz::America__St_Johns,
];

/// Not far from one of those.
fn near(numbers: &mut Numbers) -> DateTime<Utc> {
    let minutes = numbers.below(1_200).cast_signed() - 600;
    at(numbers.of(&AROUND)) + TimeDelta::minutes(minutes)
}

/// Clicks of all kinds, in no order: few of a quarter, and so many that they are sums.
pub(super) fn clicks(numbers: &mut Numbers) -> Vec<Value> {
    let mut instants: Vec<DateTime<Utc>> = (0..200).map(|_| near(numbers)).collect();
    for _ in 0..24 {
        let quarter = near(numbers);
        instants.extend(
            (0..60).map(|_| quarter + TimeDelta::seconds(numbers.below(600).cast_signed())),
        );
    }
    let mut clicks: Vec<(u64, Value)> = Vec::new();
    for instant in instants {
        let fields = json!({
            "visitor": format!("{:016x}", numbers.below(90) + 1),
            "country": numbers.of(&["DE", "IN", "US"]),
            "userAgent": numbers.of(&[super::world::CHROME, super::world::CHROME, "curl/8"]),
            "referrer": format!("https://site{}.example/a", numbers.below(15)),
            "utm": if numbers.below(4) == 0 { json!({ "source": "mail" }) } else { json!({}) },
        });
        let code = numbers.of(&["a", "a", "a", "b"]);
        clicks.push((numbers.below(1 << 20), click(code, &instant.to_rfc3339(), fields)));
    }
    clicks.sort_by_key(|(order, _)| *order);
    clicks.into_iter().map(|(_, click)| click).collect()
}

fn question(numbers: &mut Numbers) -> StatisticsQuery {
    let ann = Scope::Owner("ann".parse().unwrap());
    let scope = numbers.of(&[Scope::Link(key("a")), Scope::Link(key("b")), Scope::All, ann]);
    let (one, other) = (near(numbers), near(numbers));
    let (from, to) = (one.min(other), one.max(other) + TimeDelta::minutes(1));
    let is_short = to - from < TimeDelta::days(100);
    let (from, to) = numbers.of(&[
        (Some(from), Some(to)),
        (Some(from), Some(to)),
        (Some(from), None),
        (None, Some(to)),
        (None, None),
    ]);
    let lengths = [None, Some(Interval::Day), Some(Interval::Week), Some(Interval::Month)];
    let is_short = is_short && from.is_some() && to.is_some() && numbers.below(3) == 0;
    let tz = numbers.of(&ZONES);
    // Days of half a century are too many.
    let is_long = from.is_none_or(|from| from < at("2000-01-01T00:00:00Z"));
    let interval = if is_short {
        Some(Interval::Hour)
    } else {
        numbers.of(&lengths).filter(|length| !is_long || *length != Interval::Day)
    };
    let bots = numbers.of(&[BotFilter::Include, BotFilter::Exclude, BotFilter::Only]);
    StatisticsQuery { from, to, tz, interval, bots, ..query(scope) }
}

/// Whatever is asked for, the numbers are those of the clicks one by one, estimates of visitors included; and
/// the rows are those of a rebuild, whose batches are others.
pub(crate) async fn sums_of_every_range_are_what_its_clicks_add_up_to(world: World) {
    let everything =
        DimensionFilter { dimension: Dimension::Country, include: vec![], exclude: vec![] };
    for code in ["a", "b"] {
        world.link(code, "2023-01-01T00:00:00Z", json!({})).await;
    }
    let mut numbers = Numbers(7);
    for (n, batch) in clicks(&mut numbers).chunks(97).enumerate() {
        world.clicks(batch.to_vec()).await;
        if n % 2 == 0 {
            world.caught_up().await;
        }
    }
    world.caught_up().await;
    let models = world.models.click_statistics();
    let in_parts = statistics_in(&world, 4).await;
    let mut counted = 0;
    for _ in 0..150 {
        let sums = question(&mut numbers);
        let single = StatisticsQuery { filters: vec![everything.clone()], ..sums.clone() };
        let expected = models.statistics(&single).await.unwrap();
        assert_eq!(models.statistics(&sums).await.unwrap(), expected, "{sums:?}");
        assert_eq!(in_parts.statistics(&sums).await.unwrap(), expected, "in parts: {sums:?}");
        counted += usize::from(expected.total_clicks > 500);
    }
    assert!(counted > 20, "{counted} of many clicks");
    world.verified().await;
    world.models.rebuild("click_statistics").await.unwrap();
    world.verified().await;
}

/// How many quarters have many clicks does not matter to a question about a year.
pub(crate) async fn a_question_about_a_year_reads_few_rows(world: World) {
    let begin = at("2024-01-01T00:00:00Z");
    // Two of these are too long for one row.
    let referrer = |n: i64| format!("https://site.example/{n}{}", "x".repeat(460));
    // Into the next February, so that the year is over.
    for day in 0..366 + 33 {
        let mut clicks = Vec::new();
        for (code, quarters) in [("warm", 2), ("hot", 6)] {
            for n in 0..quarters * 2 {
                let instant =
                    begin + TimeDelta::days(day) + TimeDelta::hours(n / 2 * 23 / quarters);
                clicks.push(click(
                    code,
                    &instant.to_rfc3339(),
                    json!({ "referrer": referrer(n % 2) }),
                ));
            }
        }
        world.clicks(clicks).await;
    }
    world.caught_up().await;
    let models = world.models.click_statistics();
    let (from, to) = (Some(begin), Some(at("2025-01-01T00:00:00Z")));
    let rows =
        async |code: &str, query: &StatisticsQuery| models.rows_of_link(&key(code), query).await;
    let open = query(Scope::Link(key("hot")));
    let year = StatisticsQuery { from, to, ..open.clone() };
    // A total for each day; for each month seven values with one text, and two referrers.
    assert_eq!([rows("warm", &year).await, rows("hot", &year).await], [366 + 12 * 9; 2]);
    // It ends with the last click, so that the last month is days and the last day is shorter spans.
    let edges = [rows("warm", &open).await, rows("hot", &open).await];
    assert!(edges.iter().all(|rows| *rows < 800), "{edges:?}");
    let months = StatisticsQuery { interval: Some(Interval::Month), ..year.clone() };
    assert_eq!(rows("hot", &months).await, 12 + 12 * 9);
    // Weeks of Berlin begin within days of UTC, and are many: they are made of hours.
    let weeks =
        StatisticsQuery { tz: Tz::Europe__Berlin, interval: Some(Interval::Week), ..year.clone() };
    assert_eq!(rows("hot", &weeks).await, 366 * 6 + 12 * 9);
    // Many days that do not begin at a full hour of UTC are made of quarters.
    let kathmandu = StatisticsQuery { tz: Tz::Asia__Kathmandu, ..year };
    assert_eq!(rows("hot", &kathmandu).await, 366 * 6 + 12 * 9);
}

/// A span is summed up when it is over, and has what comes too late for that all the same. Rows are
/// those of a rebuild, which sees all of it in one batch.
pub(crate) async fn what_comes_late_is_in_the_sums_of_spans_that_are_over(world: World) {
    let many = |code: &str, instant: &str| -> Vec<Value> {
        let visit = |n: u32| click(code, instant, json!({ "visitor": format!("{:016x}", n + 1) }));
        (0..80).map(visit).collect()
    };
    let sums = async |longer: &str| {
        let sql = format!(
            "select count(*) from click_statistics_1_sums where link = 'default/a' and {longer}"
        );
        let rows = world.database.fetch(Purpose::Answer, sql, &[], |row| row.int(0)).await;
        rows.unwrap()[0]
    };
    // Of months, of days, of hours; all clicks together.
    let spans = async || {
        let mut rows = Vec::new();
        for kind in [4_i64, 5, 6] {
            let (from, before) = ((kind << 40) - (1 << 39), (kind << 40) + (1 << 39));
            rows.push(sums(&format!("bucket >= {from} and bucket < {before}")).await);
        }
        rows
    };
    for (code, instant, expected) in [
        ("a", "2024-01-30T01:00:00Z", [0, 0, 0]),
        ("a", "2024-01-30T05:59:00Z", [0, 0, 0]),
        // The six hours are over.
        ("b", "2024-01-30T12:00:00Z", [0, 0, 2]),
        ("a", "2024-01-30T13:00:00Z", [0, 0, 2]),
        // And so is the day, and what was of it.
        ("b", "2024-01-31T06:00:00Z", [0, 1, 3]),
        ("a", "2024-01-30T20:00:00Z", [0, 1, 4]),
        // The month is over as well.
        ("b", "2024-03-05T00:00:00Z", [1, 1, 4]),
        ("a", "2024-01-02T00:00:00Z", [1, 2, 5]),
        ("a", "2024-02-01T00:00:00Z", [2, 3, 6]),
        // Of this month the day is over, and not the month.
        ("a", "2024-03-01T00:00:00Z", [2, 4, 7]),
        ("b", "2024-04-01T06:00:00Z", [3, 4, 7]),
    ] {
        world.clicks(many(code, instant)).await;
        world.caught_up().await;
        assert_eq!(spans().await, expected, "{instant}");
        world.verified().await;
    }
    let all = query(Scope::Link(key("a")));
    let year = StatisticsQuery { from: Some(at("2023-12-31T00:00:00Z")), ..all };
    let statistics = world.models.click_statistics().statistics(&year).await;
    assert_eq!(statistics.unwrap().total_clicks, 7 * 80);
}
