//! The read models on a real log.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use hoplog_events::catalogue::Event;
use hoplog_events::click::ClicksRecorded;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::link::{LinkCreated, LinkKey};
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::{Append, EventLog, ExpectedVersion};
use hoplog_events::position::{Position, StreamId, Topic};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use crate::click_statistics::{DimensionFilter, Interval, Scope, StatisticsQuery};
use crate::clicks::{BotFilter, ClickQuery};
use crate::dimension::Dimension;
use crate::link_directory::{LinkQuery, LinkSort};
use crate::{Database, ReadModels};

const NAMES: [&str; 3] = ["link_directory", "clicks", "click_statistics"];
const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

async fn append(log: &dyn EventLog, stream: StreamId, event: Event) -> Position {
    let command_id = CommandId(Uuid::new_v4());
    let metadata =
        Metadata { actor: "test".into(), command_id, command_hash: None, correlation_id: None };
    let time = at("2026-03-01T00:00:00Z");
    let event = NewEvent::write(&stream, &event, Uuid::now_v7(), time, time, &metadata).unwrap();
    let append = Append { stream, expected: ExpectedVersion::Any, command_id, events: vec![event] };
    log.append(append).await.unwrap().position
}

async fn world() -> (TempDir, Arc<EmbeddedLog>, ReadModels) {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(&dir.path().join("log.db"), OpenOptions::default()).await.unwrap();
    let log = Arc::new(log);
    let database = Database::open_sqlite(&dir.path().join("read.db")).await.unwrap();
    let models = ReadModels::open(database, log.clone()).await.unwrap();
    models.run();
    (dir, log, models)
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_clicks_are_counted_filtered_rebuilt_and_the_same() {
    let (_dir, log, models) = world().await;
    let created: LinkCreated = serde_json::from_value(json!({
        "domain": "default", "code": "a", "url": "https://example.com/", "owner": "ann",
        "redirect": 302, "tags": ["x", "y"], "title": "A \"title\"",
    }))
    .unwrap();
    let key: LinkKey = "default/a".parse().unwrap();
    let link = append(&*log, key.stream(), created.into()).await;
    let mut last = link;
    for batch in 0..3_u64 {
        let clicks: Vec<_> = (0..20_u64)
            .map(|n| {
                json!({
                    "domain": "default", "code": "a", "visitor": format!("{:016x}", n % 7),
                    "at": format!("2026-03-01T{:02}:{:02}:00Z", batch * 8, n),
                    "userAgent": if n % 5 == 0 { "curl/8" } else { CHROME },
                    "country": if n % 2 == 0 { "DE" } else { "IN" },
                    "referrer": "https://News.example.com/a\u{0}b",
                })
            })
            .collect();
        let recorded: ClicksRecorded = serde_json::from_value(json!({ "clicks": clicks })).unwrap();
        last = append(&*log, StreamId::new(Topic::Clicks, "0"), recorded.into()).await;
    }
    for position in [link, last] {
        models.wait_for_all(position, Duration::from_secs(20)).await.unwrap();
    }
    let row = models.link_directory().get(&key).await.unwrap().unwrap();
    assert_eq!((row.tags.iter().count(), row.version.0), (2, 1));
    let query = LinkQuery { sort: LinkSort::MostClicked, limit: 10, ..LinkQuery::default() };
    let page = models.link_directory().list(&query).await.unwrap();
    assert_eq!((page.links[0].1.humans, page.links[0].1.bots), (48, 12));

    let mut query = StatisticsQuery {
        scope: Scope::Link(key.clone()),
        from: Some(at("2026-03-01T00:00:00Z")),
        to: Some(at("2026-03-02T00:00:00Z")),
        tz: Tz::Asia__Kolkata,
        interval: Interval::Day,
        bots: BotFilter::Include,
        filters: Vec::new(),
    };
    let statistics = models.click_statistics().statistics(&query).await.unwrap();
    assert_eq!((statistics.total_clicks, statistics.unique_visitors), (60, 7));
    let days: Vec<u64> = statistics.series.iter().map(|point| point.clicks).collect();
    assert_eq!(days, [60, 0], "trap 10: the days add up to the total");
    for scope in [Scope::All, Scope::Owner("ann".parse().unwrap())] {
        let all = StatisticsQuery { scope, ..query.clone() };
        assert_eq!(models.click_statistics().statistics(&all).await.unwrap(), statistics);
    }
    let any = DimensionFilter { dimension: Dimension::Country, include: vec![], exclude: vec![] };
    query.filters = vec![any];
    let filtered = models.click_statistics().statistics(&query).await.unwrap();
    assert_eq!(filtered, statistics, "both ways agree");
    query.filters[0].exclude = vec!["DE".into()];
    assert_eq!(models.click_statistics().statistics(&query).await.unwrap().total_clicks, 30);

    let clicks = ClickQuery {
        link: key,
        from: None,
        to: None,
        bots: BotFilter::Exclude,
        cursor: None,
        limit: 30,
    };
    let first = models.clicks().list(&clicks).await.unwrap();
    let next = ClickQuery { cursor: first.next_cursor.clone(), ..clicks };
    let second = models.clicks().list(&next).await.unwrap();
    assert_eq!((first.clicks.len(), second.clicks.len()), (30, 18));
    assert!(first.clicks[29].at >= second.clicks[0].at && second.next_cursor.is_none());

    for name in NAMES {
        let report = models.verify(name).await.unwrap();
        assert!(report.is_equal(), "{report:?}");
        assert!(report.tables[0].live_rows > 0);
        models.rebuild(name).await.unwrap();
        assert!(models.verify(name).await.unwrap().is_equal());
    }
    models.stop().await;
}
