//! The promise: every number is exact for its range, its time zone and its filters.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, NewLink, Server, Settings};

mod ranges;

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
const CRAWLER: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

const POSITION: &str = "hoplog-position";

fn click(n: usize, code: &str, at: &str) -> Value {
    json!({ "code": code, "at": at, "importId": format!("id{n}"), "userAgent": FIREFOX,
            "address": format!("192.0.2.{}", n % 250) })
}

/// A server with a link `a` and these clicks on it.
async fn server_with(clicks: &[Value]) -> Server {
    let server = Server::start();
    server.client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    let answer = server.client.import_clicks("test", clicks).await.json();
    assert_eq!(answer["added"], clicks.len(), "{answer}");
    server
}

fn slices(stats: &Value, name: &str) -> HashMap<String, u64> {
    let slices = stats[name].as_array().unwrap().iter();
    slices
        .map(|s| (s["value"].as_str().unwrap().to_owned(), s["clicks"].as_u64().unwrap()))
        .collect()
}

/// The points of a series that have clicks.
fn points(stats: &Value) -> Vec<(String, u64)> {
    let points = stats["series"].as_array().unwrap().iter();
    let points =
        points.map(|p| (p["start"].as_str().unwrap().to_owned(), p["clicks"].as_u64().unwrap()));
    points.filter(|(_, clicks)| *clicks > 0).collect()
}

async fn days(client: &Client, query: &str) -> Vec<(String, u64)> {
    points(&client.stats("a", query).await)
}

fn owned(points: &[(&str, u64)]) -> Vec<(String, u64)> {
    points.iter().map(|(start, clicks)| ((*start).to_owned(), *clicks)).collect()
}

#[tokio::test]
async fn days_are_exact_in_zones_with_odd_offsets() {
    // The last and the first second of a day in UTC, in Kolkata (+5:30), in Kathmandu (+5:45).
    let at = [
        "2026-03-01T18:14:59Z",
        "2026-03-01T18:15:00Z",
        "2026-03-01T18:29:59Z",
        "2026-03-01T18:30:00Z",
        "2026-03-01T23:59:59Z",
        "2026-03-02T00:00:00Z",
    ];
    let clicks: Vec<_> = at.iter().enumerate().map(|(n, at)| click(n, "a", at)).collect();
    let server = server_with(&clicks).await;
    let client = &server.client;
    assert_eq!(
        days(client, "tz=UTC").await,
        owned(&[("2026-03-01T00:00:00Z", 5), ("2026-03-02T00:00:00Z", 1)])
    );
    assert_eq!(
        days(client, "tz=Asia/Kolkata").await,
        owned(&[("2026-02-28T18:30:00Z", 3), ("2026-03-01T18:30:00Z", 3)])
    );
    assert_eq!(
        days(client, "tz=Asia/Kathmandu").await,
        owned(&[("2026-02-28T18:15:00Z", 1), ("2026-03-01T18:15:00Z", 5)])
    );
    let one_day = client.stats("a", "tz=Asia/Kathmandu&from=2026-03-02&to=2026-03-02").await;
    assert_eq!(one_day["totalClicks"], 5);
}

/// A day on which clocks change has 23 or 25 hours, each of its own.
#[tokio::test]
async fn hours_are_exact_where_clocks_change() {
    let at = [
        "2026-10-24T22:00:00Z",
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:30:00Z",
        "2026-10-25T22:59:59Z",
        "2026-10-25T23:00:00Z",
    ];
    let clicks: Vec<_> = at.iter().enumerate().map(|(n, at)| click(n, "a", at)).collect();
    let server = server_with(&clicks).await;
    let day = "tz=Europe/Vienna&from=2026-10-25&to=2026-10-25";
    let stats = server.client.stats("a", &format!("{day}&interval=hour")).await;
    assert_eq!(stats["totalClicks"], 4);
    assert_eq!(stats["series"].as_array().unwrap().len(), 25);
    let hours: Vec<_> = points(&stats).into_iter().map(|(start, _)| start).collect();
    assert_eq!(
        hours,
        [
            "2026-10-24T22:00:00Z",
            "2026-10-25T00:00:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T22:00:00Z",
        ]
    );
}

/// Trap 13 (U24): range and filters hold for every number; trap 10 (U22): totals are the sum of their
/// parts.
#[tokio::test]
async fn trap_13_every_breakdown_has_the_same_range_and_filters() {
    let mut clicks = Vec::new();
    for n in 0..60 {
        let at = format!("2026-03-{:02}T12:00:00Z", 1 + n % 6);
        let mut click = click(n, "a", &at);
        click["userAgent"] = [FIREFOX, PHONE, CRAWLER][n % 3].into();
        click["referrer"] =
            ["", "https://news.example/x", "https://search.example/?q=1"][n / 20].into();
        clicks.push(click);
    }
    let server = server_with(&clicks).await;
    let client = &server.client;
    for (query, total) in [
        ("", 60),
        ("from=2026-03-02&to=2026-03-03", 20),
        ("bots=exclude", 40),
        ("bots=only", 20),
        ("referrer=news.example", 20),
        ("referrer=news.example,search.example", 40),
        ("referrer=-news.example", 40),
        ("referrer=-news.example,-search.example", 20),
        ("device=mobile", 20),
        ("device=mobile&referrer=news.example", 6),
        ("device=mobile&referrer=-news.example&from=2026-03-02&to=2026-03-02", 7),
        ("country=ZZ", 0),
    ] {
        let stats = client.stats("a", query).await;
        let sum_of = |name: &str| slices(&stats, name).values().sum::<u64>();
        let sums =
            ["classes", "countries", "devices", "browsers", "systems", "referrers", "languages"]
                .map(sum_of);
        let days: u64 = points(&stats).iter().map(|(_, clicks)| clicks).sum();
        assert_eq!(stats["totalClicks"], total, "{query}: {stats}");
        assert_eq!((sums, days), ([total; 7], total), "{query}");
    }
    assert_eq!(slices(&client.stats("a", "").await, "classes")["bot"], 20);
}

#[tokio::test]
async fn campaign_parameters_of_the_visit_go_before_those_of_the_link() {
    let server = Server::start();
    let client = &server.client;
    let url = "https://example.com/?utm_source=paper&utm_medium=print";
    client.create(NewLink::to(url).with("alias", "a")).await;
    client.visit("/a").await.expect(302);
    client.visit("/a?utm_source=mail").await.expect(302);
    let utm = client.stats("a", "").await["utm"].clone();
    assert_eq!(slices(&utm, "source"), HashMap::from([("paper".into(), 1), ("mail".into(), 1)]));
    let filtered = client.stats("a", "utm_source=mail").await;
    assert_eq!(filtered["totalClicks"], 1);
}

/// With filters or without, of one link, of an owner or of all: whatever the numbers come from.
#[tokio::test]
async fn numbers_that_are_given_a_position_have_everything_up_to_it() {
    let server = Server::start();
    let owner = server.client.keyed("one", &["links:write", "stats:read"]).await;
    for n in 0..10 {
        let alias = format!("b{n}");
        let link = NewLink::to("https://example.com/").with("alias", alias.as_str());
        let created = owner.post("/api/v1/links", &link.0).await.expect(201).position();
        let clicks = [click(n, &alias, "2026-03-01T12:00:00Z")];
        let imported = server.client.import_clicks(&alias, &clicks).await.position();
        for (path, total) in [
            (format!("/api/v1/links/{alias}/stats?browser=Firefox"), 1),
            (format!("/api/v1/links/{alias}/stats"), 1),
            ("/api/v1/stats?browser=Firefox".to_owned(), n + 1),
            ("/api/v1/stats".to_owned(), n + 1),
        ] {
            // The links' position for the owner's links, the clicks' for their clicks.
            let links = owner.authorized(Method::GET, &path).header(POSITION, &created);
            owner.send(links).await.expect(200);
            let clicks = owner.authorized(Method::GET, &path).header(POSITION, &imported);
            assert_eq!(owner.send(clicks).await.expect(200).json()["totalClicks"], total, "{path}");
        }
    }
}

/// Single clicks: newest first, page by page, each once, and no address in them.
#[tokio::test]
async fn single_clicks_are_listed_newest_first() {
    let clicks: Vec<_> =
        (0..57).map(|n| click(n, "a", &format!("2026-03-01T{:02}:00:00Z", n % 24))).collect();
    let server = server_with(&clicks).await;
    server.client.caught_up("clicks").await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/links/a/clicks?limit=10{cursor}");
        let page = server.client.get(&path).await.expect(200).json();
        seen.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let ids: std::collections::HashSet<_> = seen.iter().map(|c| c["id"].to_string()).collect();
    assert_eq!((seen.len(), ids.len()), (57, 57));
    let times: Vec<_> = seen.iter().map(|click| click["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|one, next| one >= next), "{times:?}");
    assert!(seen.iter().all(|click| click["address"].is_null() && click["browser"] == "Firefox"));
}

/// Trap 15 (U27).
///
/// Addresses are dropped, unless the operator keeps them. U15: forwarding headers are believed
/// from configured proxies only.
#[tokio::test]
async fn trap_15_addresses_are_those_of_the_visitors_and_not_kept() {
    let spoofed = "203.0.113.7";
    for (proxies, keep, expected) in [
        (None, None, None),
        (None, Some("true"), Some("127.0.0.1")),
        (Some("127.0.0.0/8"), Some("true"), Some(spoofed)),
    ] {
        let mut settings = Settings::new();
        for (name, value) in [("HOPLOG_TRUSTED_PROXIES", proxies), ("HOPLOG_KEEP_ADDRESSES", keep)]
        {
            if let Some(value) = value {
                settings = settings.with(name, value);
            }
        }
        let server = settings.start();
        server.client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
        let visit = server.client.request(Method::GET, "/a");
        server.client.send(visit.header("x-forwarded-for", spoofed)).await.expect(302);
        let events = server.client.events("clicks").await;
        let click = &events[0]["data"]["clicks"][0];
        assert_eq!(click["address"].as_str(), expected, "{click}");
        if expected.is_none() {
            assert!(!events[0].to_string().contains("127.0.0.1"), "{click}");
        }
    }
}
