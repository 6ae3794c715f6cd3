//! A Shlink server, as its API is documented: two pages of links, two pages of visits, and no patience.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::DateTime;
use serde_json::{Value, json};

use super::source::{Asked, Source, busy, json as answer, refused};
use super::{TOKEN, conflicts, counts, imported};
use crate::support::Server;

fn short_url(code: &str, visits: u64, more: &Value) -> Value {
    let mut link = json!({
        "shortCode": code, "shortUrl": format!("https://s.test/{code}"), "longUrl": format!("https://example.com/{code}"),
        "dateCreated": "2024-01-01T00:00:00+00:00", "tags": [], "domain": null, "title": null,
        "crawlable": false, "forwardQuery": true, "hasRedirectRules": false,
        "meta": {"validSince": null, "validUntil": null, "maxVisits": null},
        "visitsSummary": {"total": visits, "nonBots": visits, "bots": 0},
    });
    for (name, value) in more.as_object().unwrap() {
        link[name] = value.clone();
    }
    link
}

fn links() -> Vec<Value> {
    vec![
        short_url("aBc", 3, &json!({"title": "First", "tags": ["x", "y"]})),
        short_url("abc", 0, &json!({"hasRedirectRules": true, "meta": {"maxVisits": 5}})),
        short_url("multi/part", 2, &json!({})),
        short_url("spent", 4, &json!({"meta": {"maxVisits": 4}})),
        short_url(
            "elsewhere",
            0,
            &json!({"domain": "other.test", "shortUrl": "https://other.test/elsewhere"}),
        ),
    ]
}

fn visits() -> Vec<Value> {
    let visit = |date: &str, agent: &str, country: Value| {
        json!({
            "referer": "https://news.example/", "date": date, "userAgent": agent,
            "visitLocation": country, "potentialBot": false, "visitedUrl": "https://s.test/aBc",
        })
    };
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";
    let india = json!({"countryCode": "IN", "countryName": "India", "cityName": "Pune"});
    vec![
        visit("2024-02-01T10:00:00+05:30", firefox, india.clone()),
        // Two visits in one second may look the same, and are two.
        visit("2024-02-01T10:00:00+05:30", firefox, india),
        visit("2024-02-02T00:00:00+00:00", "Googlebot/2.1", Value::Null),
    ]
}

fn page(asked: &Asked, name: &str, all: &[Value], size: usize) -> Value {
    let number: usize = asked.parameter("page").parse().unwrap();
    let data: Vec<&Value> = all.iter().skip((number - 1) * size).take(size).collect();
    json!({ name: {"data": data, "pagination": {
        "currentPage": number, "pagesCount": all.len().div_ceil(size), "totalItems": all.len(),
    }}})
}

async fn shlink() -> Source {
    Source::start(|asked, before| {
        if asked.token != TOKEN {
            return refused(
                401,
                &json!({"title": "Invalid authorization", "detail": "no such key"}),
            );
        }
        if before % 3 == 1 {
            return busy();
        }
        answer(&match asked.path.as_str() {
            "/rest/v3/short-urls" => page(asked, "shortUrls", &links(), 3),
            "/rest/v3/short-urls/aBc/visits" => page(asked, "visits", &visits(), 2),
            other => return refused(404, &json!({"detail": format!("nothing at {other}")})),
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_and_visits_come_in_once() {
    let (server, source) = (Server::start(), shlink().await);
    let arguments = ["shlink", "--from", &source.url, "--domain", "s.test"];
    let (dry, told) = {
        let (code, summary, told) =
            super::import(&server, &[&arguments[..], &["--dry-run"]].concat());
        assert_eq!(code, Some(1), "{told}");
        (summary, told)
    };
    let (code, summary, _) = super::import(&server, &arguments);
    assert_eq!(code, Some(1), "what can't come in is told");
    assert_eq!(counts(&summary), [4, 2, 0], "{summary}");
    for summary in [&dry, &summary] {
        let conflicts = conflicts(summary);
        assert_eq!(conflicts.len(), 2, "{summary}");
        assert!(conflicts[0].1.contains("contains '/'"), "{summary}");
        assert!(conflicts[1].1.contains("had all the clicks"), "{summary}");
        assert_eq!(summary["left"], json!({"redirect rules": 1}));
    }
    assert!(told.contains("conflict: https://s.test/multi/part (multi/part): "), "{told}");
    assert_eq!(dry["clicks"]["foreseen"], 3);
    assert_eq!((&summary["clicks"]["added"], &summary["clicks"]["bad"]), (&3.into(), &0.into()));
    let client = &server.client;
    client.visit("/aBc?a=b").await.expect(302);
    let link = client.get("/api/v1/links/aBc").await.expect(200).json();
    assert_eq!((&link["title"], &link["tags"]), (&"First".into(), &json!(["x", "y"])));
    assert_eq!(client.get("/api/v1/links/abc").await.json()["maxClicks"], 5);
    let stats = client.stats("aBc", "to=2024-12-31").await;
    assert_eq!(stats["totalClicks"], 3);
    assert_eq!(stats["countries"][0]["value"], "IN");
    assert_eq!(stats["classes"].as_array().unwrap().len(), 2, "a bot is one here as well: {stats}");
    let heads = client.heads().await;
    let (_, again, _) = super::import(&server, &arguments);
    assert_eq!((counts(&again), &again["clicks"]["known"]), ([4, 0, 2], &3.into()), "{again}");
    assert_eq!(client.heads().await, heads, "a second run changes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_does_nothing() {
    let (server, source) = (Server::start(), shlink().await);
    let heads = server.client.heads().await;
    super::import(&server, &["shlink", "--from", &source.url, "--dry-run"]);
    assert_eq!(server.client.heads().await, heads);
    assert!(source.asked().iter().all(|asked| asked.path == "/rest/v3/short-urls"));
    let other = ["shlink", "--from", &source.url, "--domain", "other.test"];
    assert_eq!(counts(&imported(&server, &other)), [1, 1, 0]);
}

/// Pages count from the newest: a visit that comes between two pages moves no other onto the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_between_two_pages_doubles_none() {
    let source = Source::start(|asked, before| {
        let instant = |text: &str| DateTime::parse_from_rfc3339(text).unwrap();
        answer(&match asked.path.as_str() {
            "/rest/v3/short-urls" => page(asked, "shortUrls", &links()[..1], 3),
            "/rest/v3/short-urls/aBc/visits" => {
                let mut all = visits();
                all.reverse();
                // As many more as there were requests: each page stands on a longer list.
                let late = "2099-01-01T00:00:00+00:00";
                for n in 0..before {
                    all.insert(0, json!({"date": late, "userAgent": format!("Late/{n}")}));
                }
                let until = asked.parameter("endDate");
                let is_in = |visit: &Value| {
                    until.is_empty() || instant(visit["date"].as_str().unwrap()) <= instant(until)
                };
                all.retain(is_in);
                page(asked, "visits", &all, 2)
            }
            other => panic!("{other}"),
        })
    })
    .await;
    let server = Server::start();
    let summary = imported(&server, &["shlink", "--from", &source.url]);
    assert_eq!(summary["clicks"]["added"], 3, "{summary}");
    assert_eq!(server.client.stats("aBc", "to=2024-12-31").await["totalClicks"], 3);
}

/// A server that pays no heed to the end of the list is not read to its end as if it had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_grows_all_the_same_is_told() {
    let source = Source::start(|asked, before| {
        let mut all = visits();
        all.extend(visits().into_iter().take(before));
        answer(&match asked.path.as_str() {
            "/rest/v3/short-urls" => page(asked, "shortUrls", &links()[..1], 3),
            _ => page(asked, "visits", &all, 2),
        })
    })
    .await;
    let (code, _, told) = super::import(&Server::start(), &["shlink", "--from", &source.url]);
    assert!(code == Some(1) && told.contains("changed while they were read"), "{told}");
}

/// Shlink looks up later where a visit came from: it is the same visit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_that_is_located_between_two_runs_is_known() {
    let is_located = Arc::new(AtomicBool::new(false));
    let located = Arc::clone(&is_located);
    let source = Source::start(move |asked, _| {
        let mut all = visits();
        if !located.load(Ordering::SeqCst) {
            for visit in &mut all {
                visit["visitLocation"] = Value::Null;
            }
        }
        answer(&match asked.path.as_str() {
            "/rest/v3/short-urls" => page(asked, "shortUrls", &links()[..1], 3),
            _ => page(asked, "visits", &all, 2),
        })
    })
    .await;
    let server = Server::start();
    let arguments = ["shlink", "--from", &source.url];
    assert_eq!(imported(&server, &arguments)["clicks"]["added"], 3);
    let heads = server.client.heads().await;
    is_located.store(true, Ordering::SeqCst);
    let again = imported(&server, &arguments);
    assert_eq!((&again["clicks"]["added"], &again["clicks"]["known"]), (&0.into(), &3.into()));
    assert_eq!(server.client.heads().await, heads);
}

/// What is left of `maxVisits` is another number in each run, and no conflict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_was_visited_between_two_runs_is_the_same() {
    let source = Source::start(|asked, before| {
        let link = short_url("aBc", 1 + before as u64, &json!({"meta": {"maxVisits": 9}}));
        answer(&page(asked, "shortUrls", &[link], 3))
    })
    .await;
    let server = Server::start();
    let arguments = ["shlink", "--from", &source.url, "--no-clicks"];
    assert_eq!(counts(&imported(&server, &arguments)), [1, 1, 0]);
    assert_eq!(server.client.get("/api/v1/links/aBc").await.json()["maxClicks"], 8);
    assert_eq!(counts(&imported(&server, &arguments)), [1, 0, 1]);
}

/// Two domains have the code, with the same URL: two links with visitors of their own, and that is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_two_domains_is_a_conflict() {
    let source = Source::start(|asked, _| {
        let other = json!({"domain": "other.test", "shortUrl": "https://other.test/aBc"});
        let all = [short_url("aBc", 3, &json!({})), short_url("aBc", 2, &other)];
        answer(&match asked.path.as_str() {
            "/rest/v3/short-urls" => page(asked, "shortUrls", &all, 3),
            _ => page(asked, "visits", &visits(), 2),
        })
    })
    .await;
    let server = Server::start();
    let (code, summary, _) = super::import(&server, &["shlink", "--from", &source.url]);
    assert_eq!((code, counts(&summary)), (Some(1), [2, 1, 0]), "{summary}");
    let [(_, reason)] = conflicts(&summary)[..] else { panic!("{summary}") };
    assert!(reason.contains("that of https://s.test/aBc"), "{summary}");
    assert_eq!(summary["clicks"]["added"], 3);
}
