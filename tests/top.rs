//! The promise: who is on top is who was clicked most, ever, in a period or lately; the same from Redis
//! as from the tables, and nobody sees another owner's.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, NewLink, RedisServer, Server, Settings, now};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";

/// How long anything may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// Imports clicks: code, minutes ago, agent.
async fn clicks(client: &Client, source: &str, clicks: &[(&str, i64, &str)]) {
    let click = |(n, (code, minutes, agent)): (usize, &(&str, i64, &str))| {
        json!({ "code": code, "at": now() - chrono::TimeDelta::minutes(*minutes),
                "importId": format!("{source}{n}"), "userAgent": agent })
    };
    let clicks: Vec<Value> = clicks.iter().enumerate().map(click).collect();
    client.import_clicks(source, &clicks).await;
}

/// Answers of everything that is on the log now.
async fn ask(client: &Client, path: &str) -> Value {
    let clicked = client.heads().await.swap_remove(1);
    let request = client.authorized(Method::GET, path).header("hoplog-position", &clicked);
    client.send(request).await.expect(200).json()
}

/// Rank, code and number of each.
fn shown(ranked: &Value) -> Vec<(u64, String, f64)> {
    let one = |it: &Value| {
        let number = it["clicks"].as_f64().or(it["score"].as_f64()).unwrap();
        (it["rank"].as_u64().unwrap(), it["link"]["code"].as_str().unwrap().to_owned(), number)
    };
    ranked.as_array().unwrap().iter().map(one).collect()
}

fn codes(ranked: &Value) -> Vec<String> {
    shown(ranked).into_iter().map(|(_, code, _)| code).collect()
}

async fn links(client: &Client, codes: &[(&str, &str)]) {
    for (code, tag) in codes {
        let link = NewLink::to("https://example.com/").with("alias", *code);
        client.create(link.with("tags", json!([tag, "all"]))).await;
    }
}

#[tokio::test]
async fn links_are_ranked_ever_in_periods_and_by_what_is_hot() {
    let server = Server::start();
    let client = &server.client;
    links(client, &[("old", "x"), ("hot", "y"), ("even", "x"), ("bots", "y"), ("none", "x")]).await;
    client.caught_up("link_directory").await;
    let year = 365 * 24 * 60;
    let mut some = vec![("old", year, FIREFOX); 5];
    some.extend([("even", 0, FIREFOX), ("hot", 0, FIREFOX), ("even", 60, FIREFOX)]);
    some.extend([("hot", 0, FIREFOX), ("bots", 0, "curl/8"), ("bots", 0, "Googlebot/2.1")]);
    clicks(client, "one", &some).await;
    let top = ask(client, "/api/v1/top").await;
    let expected =
        [(1, "old".to_owned(), 5.0), (2, "even".to_owned(), 2.0), (3, "hot".to_owned(), 2.0)];
    assert_eq!(shown(&top["data"]), expected, "of two the one that came first");
    let nothing = [&top["from"], &top["to"], &top["halfLife"]];
    assert_eq!((top["by"].as_str(), nothing), (Some("clicks"), [&Value::Null; 3]));
    assert_eq!(codes(&ask(client, "/api/v1/top?limit=1").await["data"]), ["old"]);
    assert_eq!(codes(&ask(client, "/api/v1/top?tag=x").await["data"]), ["old", "even"]);
    assert_eq!(codes(&ask(client, "/api/v1/top?tag=nobody").await["data"]), [""; 0]);

    let day = (now() - chrono::TimeDelta::minutes(year)).date_naive();
    let then = ask(client, &format!("/api/v1/top?from={day}&to={day}")).await;
    assert_eq!(shown(&then["data"]), expected[..1]);
    assert_eq!(then["from"], day.to_string());
    let today = now().date_naive();
    let yesterday = today.pred_opt().unwrap();
    let lately = ask(client, &format!("/api/v1/top?from={yesterday}&to={today}")).await;
    assert_eq!(codes(&lately["data"]), ["even", "hot"]);

    for half_life in ["1h", "24h", "7d"] {
        let path = format!("/api/v1/top?by=trending&halfLife={half_life}");
        let trend = ask(client, &path).await;
        assert_eq!(codes(&trend["data"]), ["hot", "even"], "{trend}");
        assert_eq!(trend["halfLife"], half_life);
        let (hot, even) = (shown(&trend["data"])[0].2, shown(&trend["data"])[1].2);
        assert!(hot <= 2.0 && hot > 1.9 && even < hot, "{trend}");
    }
    client.verify_read_models().await;
}

#[tokio::test]
async fn a_link_is_shown_with_its_neighbours_and_only_to_its_owner() {
    let server = Server::start();
    let scopes = ["links:read", "links:write", "stats:read"];
    let (one, other) =
        (server.client.keyed("one", &scopes).await, server.client.keyed("other", &scopes).await);
    links(&one, &[("a", "x"), ("b", "x"), ("c", "y"), ("d", "y"), ("unseen", "y")]).await;
    links(&other, &[("theirs", "x")]).await;
    server.client.caught_up("link_directory").await;
    let mut some = Vec::new();
    for (code, times) in [("a", 5), ("theirs", 4), ("b", 3), ("c", 2), ("d", 1)] {
        some.extend(std::iter::repeat_n((code, 0, FIREFOX), times));
    }
    clicks(&server.client, "one", &some).await;
    server.client.caught_up("top_links").await;
    let rank = async |client: &Client, code: &str, query: &str| {
        let path = format!("/api/v1/links/{code}/rank?{query}");
        let it = client.get(&path).await.expect(200).json();
        (it["rank"].as_u64(), it["clicks"].as_u64(), codes(&it["above"]), codes(&it["below"]))
    };
    let all = &server.client;
    let of = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>();
    assert_eq!(rank(all, "b", "").await, (Some(3), Some(3), of(&["a", "theirs"]), of(&["c", "d"])));
    assert_eq!(rank(&one, "b", "").await, (Some(2), Some(3), of(&["a"]), of(&["c", "d"])));
    assert_eq!(rank(&one, "a", "neighbours=1").await, (Some(1), Some(5), of(&[]), of(&["b"])));
    assert_eq!(rank(all, "d", "neighbours=1").await, (Some(5), Some(1), of(&["c"]), of(&[])));
    assert_eq!(rank(&one, "d", "tag=y").await, (Some(2), Some(1), of(&["c"]), of(&[])));
    assert_eq!(rank(&one, "unseen", "").await, (None, Some(0), of(&[]), of(&[])));
    assert_eq!(rank(&one, "a", "tag=y").await, (None, Some(0), of(&[]), of(&[])), "no such tag");
    assert_eq!(rank(&other, "theirs", "").await, (Some(1), Some(4), of(&[]), of(&[])));
    let top = async |client: &Client, query: &str| {
        codes(&client.get(&format!("/api/v1/top?{query}")).await.expect(200).json()["data"])
    };
    assert_eq!(top(&other, "").await, ["theirs"]);
    assert_eq!(top(&one, "tag=x&period=month").await, ["a", "b"]);
    assert_eq!(top(all, "tag=x").await, ["a", "theirs", "b"]);
    // What was clicked was clicked: a deleted link keeps its place, and is told to be deleted.
    one.delete("/api/v1/links/b").await.expect(204);
    all.caught_up("link_directory").await;
    let after = one.get("/api/v1/top").await.expect(200).json();
    assert_eq!(codes(&after["data"]), ["a", "b", "c", "d"]);
    assert_eq!(after["data"][1]["link"]["state"], "deleted");
}

#[tokio::test]
async fn the_command_line_shows_the_top() {
    let server = Server::start();
    let client = &server.client;
    links(client, &[("a", "x"), ("b", "y")]).await;
    client.caught_up("link_directory").await;
    clicks(client, "one", &[("a", 0, FIREFOX), ("b", 0, FIREFOX), ("b", 0, FIREFOX)]).await;
    client.caught_up("top_links").await;
    let second = |text: &str| text.lines().nth(1).unwrap().trim_start().to_owned();
    assert!(second(&server.cli_ok(&["top"])).starts_with("1  b"));
    assert!(
        second(&server.cli_ok(&["top", "--tag", "x", "--period", "month"])).starts_with("1  a")
    );
    let trend = server.cli_ok(&["top", "--trending", "--half-life", "7d", "--limit", "1"]);
    assert_eq!(trend.lines().count(), 2, "{trend}");
    let json: Value = serde_json::from_str(&server.cli_ok(&["top", "--json"])).unwrap();
    assert_eq!(codes(&json["data"]), ["b", "a"]);
    for misuse in
        [&["--half-life", "1h"][..], &["--from", "2026-01-01"], &["--trending", "--period", "day"]]
    {
        let output = server.cli(&[&["top"], misuse].concat());
        assert_eq!(output.status.code(), Some(2), "{misuse:?}");
    }
}

/// With Redis, without it, and while it is emptied: the same answers. And Redis does answer.
#[tokio::test]
async fn redis_answers_the_same_and_is_built_anew() {
    let redis = RedisServer::start();
    let server = Settings::new().with("HOPLOG_CACHE_URL", &redis.url()).start();
    let client = &server.client;
    links(client, &[("a", "x"), ("b", "x"), ("c", "x")]).await;
    let built = async || {
        let script = "return #redis.call('KEYS', 'hoplog:*:z:0')";
        let deadline = Instant::now() + PATIENCE;
        while redis.command(&["EVAL", script, "0"]) != ":1" {
            assert!(Instant::now() < deadline, "rankings are not built");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    for (round, code) in ["a", "b", "b", "c", "a", "c"].into_iter().enumerate() {
        clicks(client, &format!("r{round}"), &[(code, 0, FIREFOX), ("b", 5, FIREFOX)]).await;
        let (ever, trend) = ("/api/v1/top", "/api/v1/top?by=trending&halfLife=7d");
        let before =
            (shown(&ask(client, ever).await["data"]), codes(&ask(client, trend).await["data"]));
        built().await;
        if round % 2 == 1 {
            redis.flush();
        }
        let after =
            (shown(&ask(client, ever).await["data"]), codes(&ask(client, trend).await["data"]));
        assert_eq!(before, after);
    }
    // What the tables lack while they are paused, Redis has: it follows the log, not the tables.
    client.post("/api/v1/projections/top_links/pause", &json!({})).await.expect(200);
    clicks(client, "last", &[("c", 0, FIREFOX); 20]).await;
    let clicked = client.heads().await.swap_remove(1);
    let deadline = Instant::now() + PATIENCE;
    let answer = loop {
        let request = client.authorized(Method::GET, "/api/v1/links/c/rank");
        let answer = client.send(request.header("hoplog-position", &clicked)).await;
        if answer.status == 200 {
            break answer.json();
        }
        assert!(Instant::now() < deadline, "{answer:?}");
    };
    assert_eq!((answer["rank"].as_u64(), answer["clicks"].as_u64()), (Some(1), Some(22)));
    assert_eq!(codes(&answer["below"]), ["b", "a"]);
}
