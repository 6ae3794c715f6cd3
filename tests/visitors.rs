//! The promise: who visits, and from where, is what can be believed, and what the operator's own
//! database says.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Mmdb, NewLink, Settings};

const URL: &str = "https://example.com/";

/// How long a changed database may stay unnoticed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server behind proxies on this machine and in 10.0.0.0/8.
fn behind_proxies() -> Settings {
    Settings::new().with("HOPLOG_TRUSTED_PROXIES", "127.0.0.0/8,10.0.0.0/8,fd00::/8")
}

/// Visits with these headers and gives the click that it became.
async fn visit(client: &Client, headers: &[(&str, &str)]) -> Value {
    let visit = client.request(Method::GET, "/a");
    let visit = headers.iter().fold(visit, |visit, (name, value)| visit.header(*name, *value));
    client.send(visit).await.expect(302);
    client.caught_up("clicks").await;
    let clicks = client.get("/api/v1/links/a/clicks?limit=1").await.expect(200).json();
    clicks["data"][0].clone()
}

/// Trap 15 (R16): walked from the right, through the proxies that are trusted and no further.
#[tokio::test]
async fn trap_15_the_visitor_is_found_behind_several_proxies() {
    let server = behind_proxies().with("HOPLOG_KEEP_ADDRESSES", "true").start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a")).await;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "127.0.0.1"),
        (&[("x-forwarded-for", "203.0.113.7")], "203.0.113.7"),
        (&[("x-forwarded-for", "203.0.113.7, 10.0.0.2, 10.0.0.1")], "203.0.113.7"),
        // What stands left of the first untrusted hop is that hop's invention.
        (&[("x-forwarded-for", "198.51.100.1, 203.0.113.7, 10.0.0.2")], "203.0.113.7"),
        (&[("x-forwarded-for", "10.0.0.9, 203.0.113.7, 10.0.0.2")], "203.0.113.7"),
        // One header line per hop is the same list.
        (&[("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "10.0.0.2")], "203.0.113.7"),
        (&[("x-forwarded-for", "203.0.113.7, nonsense, 10.0.0.2")], "10.0.0.2"),
        (&[("x-forwarded-for", "2001:db8::7, fd00::1")], "2001:db8::7"),
        (&[("x-forwarded-for", "[2001:db8::7]:443")], "2001:db8::7"),
        (&[("x-forwarded-for", "::ffff:203.0.113.7")], "203.0.113.7"),
        (&[("forwarded", "for=203.0.113.7;proto=https;by=10.0.0.1")], "203.0.113.7"),
        (
            &[("forwarded", "for=198.51.100.1, For=\"203.0.113.7:4711\", for=10.0.0.2")],
            "203.0.113.7",
        ),
        (&[("forwarded", "proto=http;for=\"[2001:db8::7]:4711\"")], "2001:db8::7"),
        (&[("forwarded", "for=198.51.100.1, for=_secret, for=10.0.0.2")], "10.0.0.2"),
        (&[("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=198.51.100.1")], "203.0.113.7"),
    ];
    for (headers, expected) in cases {
        assert_eq!(visit(client, headers).await["address"], *expected, "{headers:?}");
    }
    assert_eq!(client.stats("a", "").await["totalClicks"], cases.len());
}

/// Trap 15 (U25): a /64 is what one household gets; its members change addresses by the hour.
#[tokio::test]
async fn trap_15_ipv6_visitors_are_one_per_network() {
    let server = behind_proxies().start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a")).await;
    let mut visitors = Vec::new();
    for address in [
        "2001:db8:1:2::7",
        "2001:db8:1:2:ffff:ffff:ffff:ffff",
        "2001:db8:1:3::7",
        "192.0.2.1",
        "192.0.2.2",
        "::ffff:192.0.2.2",
    ] {
        let click = visit(client, &[("x-forwarded-for", address)]).await;
        visitors.push(click["visitor"].as_str().unwrap().to_owned());
    }
    let same = |one: usize, other: usize| visitors[one] == visitors[other];
    assert!(same(0, 1) && !same(0, 2), "one per /64: {visitors:?}");
    assert!(!same(3, 4) && same(4, 5), "one per IPv4 address: {visitors:?}");
    assert_eq!(client.stats("a", "").await["uniqueVisitors"], 4);
    // Imported clicks follow the same rule.
    let clicks = ["2001:db8:9:9::1", "2001:db8:9:9::2", "2001:db8:9:8::1"].map(|address| {
        json!({ "code": "a", "at": "2026-03-01T12:00:00Z", "importId": address, "address": address })
    });
    client.import_clicks("test", &clicks).await;
    assert_eq!(client.stats("a", "to=2026-03-02").await["uniqueVisitors"], 2);
}

fn place(click: &Value) -> [&str; 3] {
    ["country", "region", "city"].map(|field| click[field].as_str().unwrap())
}

/// The operator's database: what it says today of a network in India and one in Germany.
fn put_database(path: &Path, berlin_is_in: &str) {
    let mumbai = json!({
        "country": { "iso_code": "IN" }, "city": { "names": { "en": "Mumbai" } },
        "subdivisions": [{ "iso_code": "MH", "names": { "en": "Maharashtra" } }],
    });
    let berlin = json!({ "country": { "iso_code": berlin_is_in } });
    let database = Mmdb::new().with("::203.0.113.0/120", &mumbai);
    database.with("::198.51.100.0/120", &berlin).with("2001:db8::/32", &berlin).put(path);
}

#[tokio::test]
async fn places_come_from_the_operators_database_and_follow_its_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("places.mmdb");
    put_database(&path, "DE");
    let server = behind_proxies().with("HOPLOG_GEOIP_DB", path.to_str().unwrap()).start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a")).await;
    let visit_from = async |address| visit(client, &[("x-forwarded-for", address)]).await;
    let mumbai = ["IN", "Maharashtra", "Mumbai"];
    assert_eq!(place(&visit_from("203.0.113.7").await), mumbai);
    assert_eq!(place(&visit_from("198.51.100.7").await), ["DE", "", ""]);
    assert_eq!(place(&visit_from("2001:db8::7").await), ["DE", "", ""]);
    // The built-in table knows this one; the operator's database goes before it.
    assert_eq!(place(&visit_from("193.0.6.139").await), ["", "", ""]);
    assert_eq!(place(&visit_from("127.0.0.1").await), ["", "", ""]);

    // A file that is broken changes nothing; the next whole one is used.
    std::fs::write(&path, "no database").unwrap();
    assert_eq!(place(&visit_from("198.51.100.7").await), ["DE", "", ""]);
    put_database(&path, "FR");
    let deadline = Instant::now() + PATIENCE;
    while place(&visit_from("198.51.100.7").await) != ["FR", "", ""] {
        assert!(Instant::now() < deadline, "the new database is not used");
    }
    assert_eq!(place(&visit_from("203.0.113.7").await), mumbai);
    let stats = client.stats("a", "country=IN").await;
    assert_eq!(
        (&stats["totalClicks"], &stats["cities"][0]["value"]),
        (&json!(2), &json!("Mumbai"))
    );
}
