//! Weeks, months and filters, held against numbers that were counted by hand.

use serde_json::{Value, json};

use super::{CRAWLER, FIREFOX, PHONE, owned, points, slices};
use crate::support::{Mmdb, NewLink, Server, Settings};

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";

/// One address in each country; the last is in none.
const INDIA: &str = "203.0.113.1";
const GERMANY: &str = "198.51.100.1";
const FRANCE: &str = "192.0.2.1";
const NOWHERE: &str = "127.0.0.1";

/// What is counted by hand below: when (2026), from where, with what.
const CLICKS: &[(&str, &str, &str)] = &[
    // Saturday and Sunday of week 9, the end of February.
    ("2026-02-28T10:00:00Z", INDIA, FIREFOX),
    ("2026-02-28T18:29:59Z", INDIA, PHONE),
    // In Kolkata it is the first of March from here on.
    ("2026-02-28T18:30:00Z", GERMANY, FIREFOX),
    ("2026-03-01T18:29:59Z", FRANCE, CHROME),
    // In Kolkata it is Monday, the second, from here on.
    ("2026-03-01T18:30:00Z", GERMANY, CRAWLER),
    ("2026-03-01T23:59:59Z", NOWHERE, CHROME),
    // Monday in UTC, too: week 10.
    ("2026-03-02T00:00:00Z", INDIA, CHROME),
    ("2026-03-08T23:59:59Z", FRANCE, FIREFOX),
    // Week 11; in Kolkata since 18:30 the day before.
    ("2026-03-09T00:00:00Z", GERMANY, PHONE),
    // The last second of March in UTC, and the first of April.
    ("2026-03-31T23:59:59Z", INDIA, FIREFOX),
    ("2026-04-01T00:00:00Z", FRANCE, FIREFOX),
];

/// A server that knows where those addresses are, with those clicks on the link `a`.
async fn server() -> Server {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("places.mmdb");
    let country = |code: &str| json!({ "country": { "iso_code": code } });
    let database = Mmdb::new().with("::203.0.113.0/120", &country("IN"));
    let database = database.with("::198.51.100.0/120", &country("DE"));
    database.with("::192.0.2.0/120", &country("FR")).put(&path);
    let server = Settings::new().with("HOPLOG_GEOIP_DB", path.to_str().unwrap()).start();
    server.client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    let clicks = CLICKS.iter().enumerate().map(|(n, (at, address, agent))| {
        json!({ "code": "a", "at": at, "importId": n.to_string(), "address": address,
                "userAgent": agent })
    });
    let clicks: Vec<Value> = clicks.collect();
    server.client.import_clicks("hand", &clicks).await;
    server
}

#[tokio::test]
async fn weeks_begin_on_monday_and_months_on_the_first_where_the_reader_lives() {
    let server = server().await;
    for (query, expected) in [
        (
            "interval=week",
            &[
                ("2026-02-23T00:00:00Z", 6),
                ("2026-03-02T00:00:00Z", 2),
                ("2026-03-09T00:00:00Z", 1),
                ("2026-03-30T00:00:00Z", 2),
            ][..],
        ),
        (
            "interval=week&tz=Asia/Kolkata",
            &[
                ("2026-02-22T18:30:00Z", 4),
                ("2026-03-01T18:30:00Z", 3),
                ("2026-03-08T18:30:00Z", 2),
                ("2026-03-29T18:30:00Z", 2),
            ],
        ),
        (
            "interval=month",
            &[
                ("2026-02-01T00:00:00Z", 3),
                ("2026-03-01T00:00:00Z", 7),
                ("2026-04-01T00:00:00Z", 1),
            ],
        ),
        (
            "interval=month&tz=Asia/Kolkata",
            &[
                ("2026-01-31T18:30:00Z", 2),
                ("2026-02-28T18:30:00Z", 7),
                ("2026-03-31T18:30:00Z", 2),
            ],
        ),
        // A range cuts the first and the last of them; it never adds anything.
        ("interval=month&from=2026-03-01&to=2026-03-08", &[("2026-03-01T00:00:00Z", 5)]),
        (
            "interval=week&from=2026-03-01T18:30:00Z&to=2026-03-02T00:00:00Z",
            &[("2026-02-23T00:00:00Z", 2)],
        ),
    ] {
        let stats = server.client.stats("a", query).await;
        assert_eq!(points(&stats), owned(expected), "{query}");
        let total: u64 = expected.iter().map(|(_, clicks)| clicks).sum();
        assert_eq!(stats["totalClicks"], total, "{query}");
    }
    // Weeks without clicks are points, too: from week 9 to week 14.
    let weeks = server.client.stats("a", "interval=week").await;
    assert_eq!(weeks["series"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn a_comma_is_or_a_dash_is_not_and_two_filters_are_and() {
    let server = server().await;
    // India 4, Germany 3, France 3, nowhere 1; Firefox 5, Chrome 3, Safari 2, the crawler 1.
    let browsers = slices(&server.client.stats("a", "").await, "browsers");
    assert_eq!((browsers["Firefox"], browsers["Chrome"], browsers["Safari"]), (5, 3, 2));
    for (query, total) in [
        ("country=IN", 4),
        ("country=IN,DE", 7),
        ("country=DE,IN", 7),
        ("country=IN,DE,FR", 10),
        ("country=-IN", 7),
        ("country=-IN,-DE", 4),
        ("country=IN,DE,-DE", 4),
        ("country=", 1),
        ("country=,IN", 5),
        ("country=XX", 0),
        ("browser=-Firefox", 6),
        ("browser=-Firefox,-Chrome", 3),
        ("browser=Chrome,Safari", 5),
        ("country=IN,DE&browser=Firefox", 3),
        ("country=IN,DE&browser=-Firefox", 4),
        ("country=IN,DE&browser=-Firefox&bots=exclude", 3),
        ("country=IN,DE&browser=-Firefox&bots=only", 1),
        ("country=IN,FR&from=2026-03-01&to=2026-03-31", 4),
        ("country=-FR&interval=month&from=2026-03-01&to=2026-04-01", 5),
    ] {
        let stats = server.client.stats("a", query).await;
        assert_eq!(stats["totalClicks"], total, "{query}: {stats}");
        let parts = ["countries", "browsers", "devices", "systems", "classes"];
        let sums = parts.map(|part| slices(&stats, part).values().sum::<u64>());
        assert_eq!(sums, [total; 5], "{query}");
        assert_eq!(points(&stats).iter().map(|(_, clicks)| clicks).sum::<u64>(), total, "{query}");
    }
    let both = server.client.stats("a", "country=IN,DE").await;
    assert_eq!(slices(&both, "countries"), [("IN".into(), 4), ("DE".into(), 3)].into());
}
