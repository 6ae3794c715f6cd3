//! Links and clicks by the million, written straight to the log as the server would have written them.

use std::borrow::Cow;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::{self, StreamExt};
use hoplog_events::click::{Click, ClicksData};
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::link::{LinkCreated, LinkKey};
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::{Append, EventLog, ExpectedVersion};
use hoplog_events::position::{StreamId, Topic, Version};
use serde_json::json;
use uuid::Uuid;

/// Appends under way at the same time: what the log takes in one group.
const CONCURRENCY: usize = 4_096;

/// When the first link was made and the first click came: links come over two years, clicks over one.
const BEGIN_SECONDS: i64 = 1_735_689_600;
const YEAR: i64 = 365 * 24 * 3_600;

/// Tags, owners and hosts: links share them.
const TAGS: usize = 50;
pub const OWNERS: usize = 1_000;
const HOSTS: usize = 5_000;

/// What clicks differ in.
const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
];
const COUNTRIES: [&str; 12] =
    ["IN", "DE", "US", "GB", "FR", "BR", "JP", "NG", "ID", "MX", "ES", "IT"];
const LANGUAGES: [&str; 8] = ["en-gb", "de", "en-us", "fr", "pt-br", "ja", "es", "it"];
const REFERRERS: usize = 20;

/// The same numbers at every run, all over the place.
fn spread(n: usize, kinds: usize) -> usize {
    (n.wrapping_mul(11_400_714_819_323_198_485) >> 20) % kinds
}

/// A new log in the data directory, with that many links, `b0`, `b1`, …, and as many clicks of `b0`.
pub async fn write(data_dir: &Path, count: usize) {
    std::fs::create_dir_all(data_dir).expect("the data directory");
    let path = data_dir.join("log.db");
    let log = EmbeddedLog::open(&path, OpenOptions::default()).await.expect("a new log");
    append_all(&log, (0..count).map(|n| creation(n, count))).await;
    append_all(&log, Clicks { next: 0, count, data: ClicksData::default() }).await;
    log.close().await;
}

async fn append_all(log: &EmbeddedLog, appends: impl Iterator<Item = Append>) {
    let under_way = stream::iter(appends).map(|append| log.append(append));
    let mut done = under_way.buffer_unordered(CONCURRENCY);
    while let Some(appended) = done.next().await {
        appended.expect("the log can be written");
    }
}

fn time(n: usize, count: usize, seconds: i64) -> DateTime<Utc> {
    let span = i128::from(seconds) * 1_000_000;
    let micros = span * n as i128 / count.max(1) as i128;
    let begin = DateTime::from_timestamp(BEGIN_SECONDS, 0).unwrap_or_default();
    begin + TimeDelta::microseconds(i64::try_from(micros).unwrap_or_default())
}

fn metadata(command_id: CommandId) -> Metadata {
    Metadata { actor: "bench".into(), command_id, command_hash: None, correlation_id: None }
}

fn creation(n: usize, count: usize) -> Append {
    let (code, command_id) = (format!("b{n}"), CommandId(Uuid::now_v7()));
    let (host, tag) = (spread(n, HOSTS), spread(n + 1, TAGS));
    let owner = format!("owner{}", spread(n + 2, OWNERS));
    // As the catalogue describes it: what a server wrote.
    let created: LinkCreated = serde_json::from_value(json!({
        "domain": "default", "code": code, "owner": owner, "redirect": 302,
        "url": format!("https://shop{host}.example/products/{n}?utm_source=mail"),
        "title": format!("Product {n} of shop {host}"), "tags": [format!("tag{tag}")],
    }))
    .expect("a creation");
    let stream = StreamId::new(Topic::Links, format!("default/{code}"));
    let at = time(n, count, 2 * YEAR);
    let metadata = metadata(command_id);
    let event = NewEvent::write(&stream, &created.into(), Uuid::now_v7(), at, at, &metadata);
    let events = vec![event.expect("it is written")];
    Append { stream, expected: ExpectedVersion::Exact(Version::NONE), command_id, events }
}

/// Events that are filled with clicks.
struct Clicks {
    next: usize,
    count: usize,
    data: ClicksData,
}

impl Iterator for Clicks {
    type Item = Append;

    fn next(&mut self) -> Option<Append> {
        let key: LinkKey = "default/b0".parse().expect("a key");
        self.data.clear();
        while self.next < self.count {
            let click = click(&key, self.next, self.count);
            if !self.data.push(&click).expect("it is written") {
                break;
            }
            self.next += 1;
        }
        let at = self.data.first_at()?;
        let (stream, command_id) = (StreamId::new(Topic::Clicks, "0"), CommandId(Uuid::now_v7()));
        let metadata = metadata(command_id);
        let event = NewEvent::write_clicks(&stream, &self.data, Uuid::now_v7(), at, &metadata);
        let events = vec![event.expect("it is written")];
        Some(Append { stream, expected: ExpectedVersion::Any, command_id, events })
    }
}

fn click<'a>(key: &'a LinkKey, n: usize, count: usize) -> Click<'a> {
    let mut click: Click<'a> = Click {
        domain: Cow::Borrowed(&key.domain),
        code: Cow::Borrowed(&key.code),
        ..blank(time(n, count, YEAR), n)
    };
    click.user_agent = Some(AGENTS[spread(n, AGENTS.len())].into());
    click.country = Some(COUNTRIES[spread(n + 1, COUNTRIES.len())].into());
    click.language = Some(LANGUAGES[spread(n + 2, LANGUAGES.len())].into());
    click.referrer = Some(format!("https://site{}.example/", spread(n + 3, REFERRERS)).into());
    click
}

/// A click without what browsers tell. A visitor clicks three times.
fn blank(at: DateTime<Utc>, n: usize) -> Click<'static> {
    let visitor = format!("{:016x}", (n / 3).wrapping_mul(11_400_714_819_323_198_485));
    let json =
        json!({ "domain": "default", "code": "b0", "at": at.to_rfc3339(), "visitor": visitor });
    serde_json::from_value(json).expect("a click")
}
