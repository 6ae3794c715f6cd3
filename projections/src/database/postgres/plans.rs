//! Fills a database and writes down how the server answers every question: the statements are
//! the real ones, the plans are what `auto_explain` saw.

use std::fmt::Write as _;
use std::path::Path;

use chrono_tz::Tz;
use serde_json::json;

use crate::click_statistics::{DimensionFilter, Interval, Scope, StatisticsQuery};
use crate::clicks::{BotFilter, ClickQuery};
use crate::contract::{World, at, click, key};
use crate::database::Purpose;
use crate::dimension::Dimension;
use crate::link_directory::{LinkFilter, LinkQuery, LinkSort};
use crate::postgres_server::PostgresServer;
use crate::top_links::{Among, HalfLife, Period, Ranking, Span};
use crate::{Database, PostgresOptions};

const LOGGED: &str = "&options[session_preload_libraries]=auto_explain\
    &options[auto_explain.log_min_duration]=0&options[auto_explain.log_analyze]=on\
    &options[auto_explain.log_timing]=off&options[log_min_messages]=log";

/// 100,000 links, 1,000,000 clicks in 24 months, 2,700,000 rows of sums of quarters: a fifth of the clicks
/// are `c0`'s, the others are spread evenly.
const FILL: &str = "
insert into link_directory_1_links
    select 'default/c' || n, 'default', 'c' || n, 'https://example.com/' || n, 'owner' || n % 100,
        1700000000000000 + n * 600000000, case when n % 50 = 0 then 1764547200000000 + n end, 302,
        'active', 'Title ' || n, null, null, '', 1, n + 100, 0, null, null, n + 100
    from generate_series(0::bigint, 99999) n;
insert into link_directory_1_tags select 'default/c' || n, 'tag' || n % 500, 'owner' || n % 100,
    1700000000000000 + n * 600000000, n + 100, 0 from generate_series(0::bigint, 99999) n;
create temporary table visits as
    select n, 'default/c' || case when n % 5 = 0 then 0 else n % 99991 end as link,
        1701388800000000 + n * 63071999 as at
    from generate_series(0, 999999::bigint) n;
insert into clicks_1_clicks
    select n + 1000, 0, c.event_id, v.link, v.at, v.at, 0, n * 7919, class,
        (array['DE', 'IN', 'US', 'FR'])[1 + n % 4], region, city, device, browser, system,
        referrer, referrer_url, language, utm_source, utm_medium, utm_campaign, utm_term,
        utm_content, variant, rule, user_agent, address, import_id
    from visits v cross join (select * from clicks_1_clicks order by sequence limit 1) c;
insert into click_statistics_1_sums
    select v.link, v.at / 900000000 + case when b.dimension = 0 then 7 * 1099511627776 else 0 end,
        b.dimension, b.value, 0, count(*), b.visitors from visits v
    cross join (select distinct on (dimension) dimension, value, visitors from click_statistics_1_sums
                where link = '' and dimension < 3 order by dimension, bucket) b
    group by 1, 2, 3, 4, b.visitors on conflict do nothing;
insert into click_statistics_1_sums
    select '', bucket, dimension, value, bot, sum(clicks), min(visitors::text)::bytea
    from click_statistics_1_sums where link <> '' group by 2, 3, 4, 5 on conflict do nothing;
insert into click_statistics_1_sums
    select link, kind * 1099511627776 + case when kind in (3, 4)
            then extract(year from at)::bigint * 12 + extract(month from at)::bigint - 1
            else bucket / case kind when 1 then 24 when 6 then 4 else 96 end end,
        dimension, value, bot, sum(clicks), min(visitors::text)::bytea
    from (select *, to_timestamp(bucket * 900) at time zone 'UTC' as at
        from (select link, bucket % 1099511627776 as bucket, dimension, value, bot, clicks, visitors
            from click_statistics_1_sums where link in (
                select link from link_directory_1_links where owner = 'owner7' union values ('default/c0'), (''))
            and (bucket < 549755813888 or bucket > 7 * 1099511627776)) q) q
    join generate_series(1::bigint, 6) kind on (kind >= 4) = (dimension = 0)
    group by 1, 2, 3, 4, 5 on conflict do nothing;
insert into click_statistics_1_totals
    select link, count(*), 0, min(at) / 900000000, max(at) / 900000000, 9223372036854775807, -9223372036854775808
    from visits group by link on conflict do nothing;
";

/// Sections of the document.
struct Plans<'a> {
    server: &'a PostgresServer,
    text: String,
}

impl Plans<'_> {
    /// Writes down what the server logs while a question is asked; twice, so that it is warm.
    async fn add<T>(&mut self, title: &str, ask: impl AsyncFn() -> T) -> String {
        let _ = ask().await;
        let before = self.server.log().len();
        let _ = ask().await;
        let log = self.server.log();
        let lines = log[before..].lines().map(|line| match line.split_once("LOG:  ") {
            Some((_, entry)) => entry,
            None => line.trim_start_matches('\t'),
        });
        let begin = self.text.len();
        let _ = write!(self.text, "\n## {title}\n\n```text\n");
        let mut skipping = false;
        for line in lines {
            if line.contains("->") {
                skipping = line.contains("(never executed)");
            }
            if !skipping {
                let _ = writeln!(self.text, "{}", line.trim_end());
            }
        }
        self.text.push_str("```\n");
        self.text[begin..].to_owned()
    }
}

async fn filled(server: &PostgresServer) -> World {
    let options = PostgresOptions::new(server.url() + LOGGED);
    let world = World::new(Database::open_postgres(options).await.unwrap()).await;
    // One click of each month: their parts are made as they always are.
    for month in 0..24 {
        let at = format!("{}-{:02}-01T00:00:00Z", 2024 + month / 12, 1 + month % 12);
        world.clicks(vec![click("seed", &at, json!({ "country": "DE" }))]).await;
    }
    world.clicks(vec![click("seed", "2023-12-01T00:00:00Z", json!({ "country": "DE" }))]).await;
    world.caught_up().await;
    let mut transaction = world.database.begin().await.unwrap();
    transaction
        .define("set local auto_explain.log_min_duration = -1; set local statement_timeout = 0")
        .await
        .unwrap();
    // One by one: each has to end in time.
    for statement in FILL.split(';') {
        transaction.define(statement).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let mut transaction = world.database.begin().await.unwrap();
    transaction.define("analyze").await.unwrap();
    transaction.commit().await.unwrap();
    world
}

fn statistics(scope: Scope) -> StatisticsQuery {
    StatisticsQuery {
        scope,
        from: Some(at("2025-11-01T00:00:00Z")),
        to: Some(at("2025-12-01T00:00:00Z")),
        tz: Tz::Europe__Berlin,
        interval: Some(Interval::Day),
        bots: BotFilter::Exclude,
        filters: Vec::new(),
    }
}

async fn links(plans: &mut Plans<'_>, world: &World) {
    let directory = world.models.link_directory();
    let (owner, url) = ("owner7".parse().unwrap(), "https://example.com/7".parse().unwrap());
    plans.add("One link", async || directory.get(&key("c7")).await.unwrap()).await;
    let now = at("2025-12-01T00:00:00Z");
    let reusable = async || {
        directory
            .find_reusable(&owner, (&hoplog_events::link::Domain::service(), &url), now)
            .await
            .unwrap()
    };
    plans.add("A link to reuse", reusable).await;
    plans
        .add("Links that are due", async || directory.due_for_expiry(now, 100).await.unwrap())
        .await;
    for (title, sort, filter, index) in lists() {
        let query = LinkQuery { filter, sort, cursor: None, limit: 50 };
        let plan = plans.add(title, async || directory.list(&query).await.unwrap()).await;
        // Of links that nearly all have a text, the first that are met are as many as are few.
        let is_scanned = plan.contains("Seq Scan") && !plan.contains("limit 5001");
        assert!(plan.contains(index) && !is_scanned, "{plan}");
    }
}

/// Lists, and the index by which each is read.
fn lists() -> Vec<(&'static str, LinkSort, LinkFilter, &'static str)> {
    let all = LinkFilter::default;
    let owned = || LinkFilter { owner: "owner7".parse().ok(), ..all() };
    let tagged = LinkFilter { tag: "tag7".parse().ok(), ..all() };
    let both = LinkFilter { tag: "tag7".parse().ok(), ..owned() };
    let text = |text: &str| LinkFilter { text: Some(text.into()), ..all() };
    let (newest, clicks) = (LinkSort::NewestFirst, LinkSort::MostClicked);
    vec![
        ("An owner's newest links", newest, owned(), "links_by_owner"),
        ("The newest links", newest, all(), "links_by_creation"),
        ("The newest links with a tag", newest, tagged.clone(), "tags_by_tag"),
        ("An owner's newest links with a tag", newest, both, "tags_pkey"),
        ("Links with a tag, by code", LinkSort::Code, tagged, "tags_by_tag"),
        ("All links by code", LinkSort::Code, all(), "links_by_code"),
        ("Links with a text that few have", newest, text("Title 777"), "links_texts"),
        ("Links with a text that all have", newest, text("example"), "links_by_creation"),
        ("The most clicked links", clicks, all(), "totals_by_clicks"),
        ("The most clicked links of an owner", clicks, owned(), "links_by_owner"),
    ]
}

async fn clicks(plans: &mut Plans<'_>, world: &World) {
    let statistics_of = world.models.click_statistics();
    let mut page = ClickQuery {
        link: key("c0"),
        from: None,
        to: None,
        bots: BotFilter::Include,
        cursor: None,
        limit: 100,
    };
    let clicks = world.models.clicks();
    plans
        .add("The newest clicks of a link with 200,000", async || clicks.list(&page).await.unwrap())
        .await;
    page.cursor = clicks.list(&page).await.unwrap().next_cursor;
    plans.add("The page after that", async || clicks.list(&page).await.unwrap()).await;
    page.from = Some(at("2024-06-10T00:00:00Z"));
    page.to = Some(at("2024-06-11T00:00:00Z"));
    page.cursor = None;
    plans.add("Its clicks of one day", async || clicks.list(&page).await.unwrap()).await;
    let keys: Vec<_> = (0..50).map(|n| key(&format!("c{n}"))).collect();
    plans.add("Totals of 50 links", async || statistics_of.totals(&keys).await.unwrap()).await;
    let link = statistics(Scope::Link(key("c0")));
    let ever = StatisticsQuery { from: None, to: None, ..link.clone() };
    let year = StatisticsQuery { from: Some(at("2024-12-01T00:00:00Z")), ..link.clone() };
    let owner = statistics(Scope::Owner("owner7".parse().unwrap()));
    let filter = DimensionFilter {
        dimension: Dimension::Country,
        include: vec!["DE".into()],
        exclude: vec![],
    };
    let filtered = StatisticsQuery { filters: vec![filter], ..link.clone() };
    for (title, query) in [
        ("A month's statistics of a link with 200,000 clicks", link),
        ("The same from the first click on", ever),
        ("A year's statistics of the same link", year),
        ("A month's statistics of an owner", owner),
        ("A month's statistics of all links", statistics(Scope::All)),
        ("A month's statistics of a link with a filter: from the clicks", filtered),
    ] {
        plans.add(title, async || statistics_of.statistics(&query).await.unwrap()).await;
    }
}

/// A million links that were clicked ever, this month and lately; a tenth of them in two weeks each.
async fn fill_rankings(world: &World) {
    let (now, week) =
        (at("2025-11-20T12:00:00Z"), |day: &str| Span::of(Period::Week, day.parse().unwrap()));
    let spans = [
        (Span::EVER, 1),
        (Span::of(Period::Month, now.date_naive()), 1),
        (Span::trend(HalfLife::Day, now), 1),
        (week("2025-11-03"), 10),
        (week("2025-11-10"), 10),
    ];
    let mut transaction = world.database.begin().await.unwrap();
    transaction
        .define("set local auto_explain.log_min_duration = -1; set local statement_timeout = 0")
        .await
        .unwrap();
    for (span, nth) in spans {
        let sql = format!(
            "insert into top_links_1_scores select {}, 'default/c' || n, 1 + n * 7919 % 10007, -n * 3 \
             from generate_series(0::bigint, 999999) n where n % {nth} = 0",
            span.number()
        );
        transaction.define(&sql).await.unwrap();
    }
    transaction.commit().await.unwrap();
    // As the server does by itself after a while.
    let sql = "vacuum analyze top_links_1_scores".to_owned();
    world.database.fetch(Purpose::Projection, sql, &[], |row| row.int(0)).await.unwrap();
}

async fn rankings(plans: &mut Plans<'_>, world: &World) {
    fill_rankings(world).await;
    let (links, all) = (world.models.top_links(), Among::default());
    let (now, ever) = (at("2025-11-20T12:00:00Z"), Ranking::ever());
    let trend = Ranking::trending(HalfLife::Day, now);
    let month = Ranking::of(Period::Month, now.date_naive());
    for (title, ranking) in [
        ("The top 100 of 1,000,000 links", &ever),
        ("The top 100 of a month", &month),
        ("The top 100 of a trend", &trend),
    ] {
        let plan = plans.add(title, async || links.top(ranking, &all, 100).await.unwrap()).await;
        assert!(plan.contains("Index Only Scan") && !plan.contains("Sort"), "{plan}");
    }
    let high = links.top(&ever, &all, 100).await.unwrap().pop().unwrap().link;
    for (title, link) in [
        ("The place of a link that is high up, and its neighbours", high),
        ("The place of a link that is in the middle of 1,000,000", key("c500000")),
    ] {
        let around = async || links.around(&ever, &all, &link, 5).await.unwrap().unwrap();
        let plan = plans.add(title, around).await;
        assert!(!plan.contains("Seq Scan") && !plan.contains("Sort"), "{plan}");
    }
    let owner = Among { owner: "owner7".parse().ok(), tag: None };
    let tag = Among { owner: None, tag: "tag7".parse().ok() };
    let days = |day: &str| day.parse().unwrap();
    let weeks = Ranking::between(days("2025-11-03"), days("2025-11-16")).unwrap();
    for (title, ranking, among) in [
        ("The top 100 of an owner with 1,000 links", &ever, &owner),
        ("The top 100 of a tag with 200 links", &month, &tag),
        ("The top 100 of two weeks: the rows of each are added up", &weeks, &all),
    ] {
        plans.add(title, async || links.top(ranking, among, 100).await.unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes docs/postgres-queries.md: run it when a question or an index changes"]
async fn write_down_the_plan_of_every_question() {
    let server = PostgresServer::start();
    let world = filled(&server).await;
    let text = include_str!("plans.md").to_owned();
    let mut plans = Plans { server: &server, text };
    links(&mut plans, &world).await;
    clicks(&mut plans, &world).await;
    rankings(&mut plans, &world).await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/postgres-queries.md");
    std::fs::write(file, plans.text).unwrap();
}
