//! The promise: Redis helps and is never needed. Whatever happens to it, redirects, commands and
//! numbers are the same.

use std::time::{Duration, Instant};

use hoplog::clock::Clock;
use serde_json::{Value, json};

use crate::support::{NewLink, RedisServer, Server, Settings};

/// How long anything may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

fn server(redis: &RedisServer) -> Server {
    Settings::new().with("HOPLOG_CACHE_URL", &redis.url()).start()
}

/// Waits until the server says this of its cache.
async fn cache_is(server: &Server, is: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ready = server.client.visit("/health/ready").await.expect(200).json();
        if is(ready["cache"].as_str().expect("the cache is told of")) {
            return;
        }
        assert!(Instant::now() < deadline, "{ready}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The keys of a kind in Redis.
fn count(redis: &RedisServer, kind: &str) -> String {
    let script = format!("return #redis.call('KEYS', 'hoplog:*:{kind}.*')");
    redis.command(&["EVAL", &script, "0"])
}

async fn counted(redis: &RedisServer, kind: &str, expected: usize) {
    let deadline = Instant::now() + PATIENCE;
    while count(redis, kind) != format!(":{expected}") {
        assert!(Instant::now() < deadline, "{kind}: {}", count(redis, kind));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Creates, edits, visits and ends links, and asks about them. Every answer that shows what
/// became of them is the same on every server, with or without Redis.
async fn life(server: &Server, mut between: impl FnMut()) -> Vec<Value> {
    let client = &server.client;
    let mut answers = Vec::new();
    for n in 0..12 {
        let alias = format!("life{n}");
        let path = format!("/api/v1/links/{alias}");
        let to = |what: &str| format!("https://example.com/{what}/{n}");
        client.create(NewLink::to(&to("first")).with("alias", alias.as_str())).await;
        for what in ["visit", "edit", "visit", "end", "visit"] {
            between();
            let answer = match (what, n % 4) {
                ("visit", _) => client.visit(&format!("/{alias}")).await,
                ("edit", _) => client.patch(&path, &json!({ "url": to("second") })).await,
                (_, 0) => client.post(&format!("{path}/disable"), &json!({})).await,
                (_, 1) => client.delete(&path).await,
                (_, 2) => {
                    let body = json!({ "expiresAt": "2999-01-01T00:00:00Z" });
                    client.patch(&path, &body).await
                }
                _ => client.get(&path).await,
            };
            let (status, location) = (answer.status.as_u16(), answer.header("location"));
            answers.push(json!([alias, what, status, location]));
        }
    }
    client.caught_up("click_statistics").await;
    for n in 0..12 {
        let link = client.get(&format!("/api/v1/links/life{n}")).await;
        let link = if link.status == 200 { link.json() } else { Value::Null };
        answers.push(json!([n, link["url"], link["state"], link["clicks"]]));
    }
    answers
}

/// Emptying Redis at any moment changes no answer.
#[tokio::test]
async fn an_emptied_redis_changes_no_answer() {
    let redis = RedisServer::start();
    let (with, without) = (server(&redis), Server::start());
    cache_is(&with, |cache| cache == "ok").await;
    let emptied = life(&with, || redis.flush()).await;
    assert_eq!(emptied, life(&without, || {}).await);
    with.client.verify_read_models().await;
}

/// Trap 15: an outage is nobody's error, and nobody waits for its end.
#[tokio::test]
async fn redirects_and_commands_go_on_without_redis_and_it_is_used_again() {
    let mut redis = RedisServer::start();
    let (with, without) = (server(&redis), Server::start());
    let expected = life(&without, || {}).await;
    cache_is(&with, |cache| cache == "ok").await;
    redis.freeze();
    // It is thawed when all that is over: who waited for it would never be answered.
    assert_eq!(life(&with, || {}).await, expected);
    cache_is(&with, |cache| cache != "ok").await;
    redis.thaw();
    cache_is(&with, |cache| cache == "ok").await;
    redis.kill();
    let link = with.client.code(NewLink::to("https://example.com/killed")).await;
    with.client.visit(&format!("/{link}")).await.expect(302);
    cache_is(&with, |cache| cache != "ok").await;
    let edit = json!({ "url": "https://example.com/edited" });
    with.client.patch(&format!("/api/v1/links/{link}"), &edit).await.expect(200);
    redis.start_again();
    cache_is(&with, |cache| cache == "ok").await;
    // What was changed meanwhile is there, and what is committed from now on.
    let link = with.client.code(NewLink::to("https://example.com/back")).await;
    with.client.visit(&format!("/{link}")).await.expect(302);
    counted(&redis, "l7", 2).await;
    counted(&redis, "c1", 1).await;
    let metrics = with.client.visit("/metrics").await.expect(200).body;
    for name in [
        "hoplog_shared_cache_errors_total",
        "hoplog_shared_cache_breaker 0",
        "hoplog_shared_cache_breaker_opened_total",
        "hoplog_cache_hits_total{cache=\"links\",level=\"1\"}",
        "hoplog_cache_misses_total{cache=\"links\"}",
        "hoplog_cache_stale_served_total{cache=\"links\"} 0",
        "hoplog_cache_entries{cache=\"links\"}",
    ] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    with.client.verify_read_models().await;
}

/// A server starts without Redis, and says so.
#[tokio::test]
async fn a_server_starts_while_redis_is_away() {
    let mut redis = RedisServer::start();
    redis.kill();
    let with = server(&redis);
    cache_is(&with, |cache| cache == "away; circuit breaker open").await;
    let link = with.client.code(NewLink::to("https://example.com/")).await;
    with.client.visit(&format!("/{link}")).await.expect(302);
    redis.start_again();
    cache_is(&with, |cache| cache == "ok").await;
}

/// Clicks in Redis are used where they are as new as was asked for, and not otherwise.
#[tokio::test]
async fn live_clicks_are_as_new_as_asked_for() {
    let redis = RedisServer::start();
    let with = server(&redis);
    cache_is(&with, |cache| cache == "ok").await;
    let client = &with.client;
    let code = client.code(NewLink::to("https://example.com/")).await;
    let path = format!("/api/v1/links/{code}");
    for visits in 1..=5 {
        client.visit(&format!("/{code}")).await.expect(302);
        let clicked = client.heads().await.swap_remove(1);
        let request = client.authorized(reqwest::Method::GET, &path);
        let link =
            client.send(request.header("hoplog-position", &clicked)).await.expect(200).json();
        assert_eq!(link["clicks"]["total"], visits, "{link}");
        if visits == 3 {
            redis.flush();
        }
    }
    counted(&redis, "c1", 1).await;
    // What stands in Redis is believed only for the position it carries.
    client.post("/api/v1/projections/click_statistics/pause", &json!({})).await.expect(200);
    client.visit(&format!("/{code}")).await.expect(302);
    let clicked = client.heads().await.swap_remove(1);
    let request = client.authorized(reqwest::Method::GET, &path);
    let behind = client.send(request.header("hoplog-position", &clicked)).await;
    assert_eq!(behind.status, 503, "{}", behind.body);
}

/// The hottest links are brought in at the start, and when the server says so all of them are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_start_the_hottest_links_are_at_hand() {
    let server = Server::start();
    let client = &server.client;
    let mut paths = Vec::new();
    for n in 0..5 {
        let code = client.code(NewLink::to(&format!("https://example.com/{n}"))).await;
        paths.push(format!("/{code}"));
        client.visit(&paths[n]).await.expect(302);
    }
    for projection in ["link_directory", "top_links"] {
        client.caught_up(projection).await;
    }
    let settings = server.kill();
    // It may have found some of them hot already.
    let said = |settings: &Settings| settings.log().matches("the cache is warm").count();
    let before = said(&settings);
    let server = settings.start();
    let deadline = Instant::now() + PATIENCE;
    while said(&server.settings) == before {
        assert!(Instant::now() < deadline, "{}", server.settings.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for path in &paths {
        server.client.visit(path).await.expect(302);
    }
    let metrics = server.client.visit("/metrics").await.expect(200).body;
    for name in [
        "hoplog_cache_misses_total{cache=\"links\"} 0",
        "hoplog_cache_hits_total{cache=\"links\",level=\"1\"} 5",
    ] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
}

/// While log, read models and Redis are away, a link that was at hand is served, said to be
/// possibly old as soon as that is known, and kept by no browser; never beyond its own end (trap 2 of the
/// shortener). One that was not at hand is no 404.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_served_as_stale_while_nobody_can_be_asked() {
    let server = Settings::production().start();
    let client = &server.client;
    let code = client.code(NewLink::to("https://example.com/")).await;
    client.caught_up("link_directory").await;
    let path = format!("/{code}");
    let stale = async || {
        let answer = client.visit(&path).await.expect(302);
        let stale = answer.headers.get("hoplog-stale").map(|value| value == "true");
        let expected = if stale.is_some() { "no-store" } else { "private, max-age=0" };
        assert_eq!(answer.header("cache-control"), expected);
        stale
    };
    assert_eq!(stale().await, None);
    let clock = Clock::system();
    let ends = clock.now() + chrono::TimeDelta::seconds(12);
    let ending = NewLink::to("https://example.com/ending").with("expiresAt", ends.to_rfc3339());
    let ending = format!("/{}", client.code(ending).await);
    client.visit(&ending).await.expect(302);
    server.settings.postgres().crash();
    server.settings.redis().kill();
    server.settings.broker().kill();
    let deadline = Instant::now() + PATIENCE;
    while stale().await != Some(true) {
        assert!(Instant::now() < deadline, "{}", server.settings.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.visit("/nobody-knows").await.expect(503);
    let mut was_stale = false;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let is_over = clock.now() >= ends;
        let answer = client.visit(&ending).await;
        if answer.status == 410 {
            break;
        }
        was_stale |= answer.status == 302 && answer.headers.contains_key("hoplog-stale");
        assert!(!is_over && Instant::now() < deadline, "{} at its end", answer.status);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(was_stale, "it was shown as long as it was not over");
    server.settings.broker().restart();
    server.settings.postgres().go_on();
    let deadline = Instant::now() + PATIENCE;
    while stale().await.is_some() {
        assert!(Instant::now() < deadline, "{}", server.settings.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
