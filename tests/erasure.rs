//! The promise: personal data is erased from wherever this service has it, the numbers stay what
//! they were, and a rebuild proves it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, NewLink, Server, Settings};

mod interrupted;
mod links;
mod refused;
mod traces;
mod visitors;

use traces::{has_all, has_none, kept};

/// The agent of whoever is to be erased: `Telltale` is nobody else's.
const AGENT: &str = "Mozilla/5.0 (Linux; Android 13; Telltale-Phone 7) AppleWebKit/537.36 \
                     (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36";

/// The agent of somebody else.
const OTHER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";

/// His address.
const ADDRESS: &str = "203.0.113.77";
const OTHER_ADDRESS: &str = "198.51.100.9";

/// Every projection.
const PROJECTIONS: [&str; 5] =
    ["link_directory", "clicks", "click_statistics", "top_links", "orphans"];

/// A server that keeps addresses, and believes what this machine says of them.
fn settings() -> Settings {
    Settings::new()
        .with("HOPLOG_KEEP_ADDRESSES", "true")
        .with("HOPLOG_TRUSTED_PROXIES", "127.0.0.0/8")
        .with("HOPLOG_WEBHOOK_ALLOW", "private")
}

async fn caught_up(client: &Client) {
    for projection in PROJECTIONS {
        client.caught_up(projection).await;
    }
}

/// Visits as somebody, from an address.
async fn visit(client: &Client, code: &str, agent: &str, address: &str) {
    let visit = client.request(Method::GET, &format!("/{code}?utm_source=mail"));
    let visit = visit.header("user-agent", agent).header("x-forwarded-for", address);
    let visit =
        visit.header("referer", "https://news.example/page").header("accept-language", "de");
    client.send(visit).await.expect(302);
}

/// Erases, and waits until files have nothing of it either: on a slow machine they may be written
/// anew a little later.
async fn erase(client: &Client, what: &str) -> Answer {
    let path = format!("/api/v1/{what}/personal-data");
    let answer = client.delete(&path).await;
    let mut last = answer.clone();
    for _ in 0..600 {
        if last.status != 200 || last.json()["nextScrubAt"].is_null() {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        last = client.delete(&path).await;
    }
    panic!("files are not written anew: {}", last.body);
}

/// The ids of the clicks in the events that are given for a link.
async fn events_of(client: &Client, kind: &str, code: &str) -> Vec<String> {
    let path = format!("/api/v1/events?topic=clicks&types={kind}&link={code}");
    let request = client.authorized(Method::GET, &path).header("accept", "application/x-ndjson");
    let answer = client.send(request).await.expect(200);
    let events = answer.body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut ids = Vec::new();
    for event in events {
        for (place, click) in event["data"]["clicks"].as_array().unwrap().iter().enumerate() {
            let (event, place) = match click["event"].as_str() {
                Some(event) => (event, click["place"].as_u64().unwrap()),
                None => (event["id"].as_str().unwrap(), place as u64),
            };
            ids.push(format!("{event}-{place}"));
        }
    }
    ids
}

/// What is answered where there was nothing to erase.
fn nothing() -> Value {
    json!({ "events": 0, "clicks": 0, "nextScrubAt": null })
}

/// Every number there is of some links, as it is answered.
async fn numbers(client: &Client, codes: &[&str]) -> Vec<String> {
    caught_up(client).await;
    let mut numbers = Vec::new();
    for code in codes {
        for query in [
            "",
            "bots=only",
            "bots=exclude",
            "interval=hour&tz=Asia/Kolkata",
            "browser=Chrome",
            "device=mobile,desktop",
            "system=-Android",
            "referrer=news.example",
            "interval=month",
        ] {
            let path = format!("/api/v1/links/{code}/stats?{query}");
            numbers.push(client.get(&path).await.expect(200).body);
        }
        for query in ["by=clicks", "period=month", "by=trending"] {
            let path = format!("/api/v1/links/{code}/rank?neighbours=0&{query}");
            let rank = client.get(&path).await.expect(200).json();
            // A trend decays from one moment to the next.
            numbers.push(format!("{} {}", rank["rank"], rank["clicks"]));
        }
        numbers.push(client.get(&format!("/api/analytics/{code}")).await.expect(200).body);
    }
    for query in ["", "bots=include&browser=Chrome"] {
        numbers.push(client.get(&format!("/api/v1/stats?{query}")).await.expect(200).body);
    }
    let top = client.get("/api/v1/top").await.expect(200).json();
    let ranked = top["data"].as_array().unwrap().iter();
    numbers
        .extend(ranked.map(|it| format!("{} {} {}", it["rank"], it["link"]["code"], it["clicks"])));
    numbers
}

/// The numbers are what they were, byte for byte.
async fn same_numbers(client: &Client, codes: &[&str], before: &[String]) {
    let now = numbers(client, codes).await;
    assert_eq!(now.len(), before.len());
    for (now, before) in now.iter().zip(before) {
        assert!(now == before, "{now:.2000}\nwas\n{before:.2000}");
    }
}

/// All single clicks of a link.
async fn clicks(client: &Client, code: &str) -> Vec<Value> {
    caught_up(client).await;
    let page = client.get(&format!("/api/v1/links/{code}/clicks?limit=500")).await.expect(200);
    page.json()["data"].as_array().unwrap().clone()
}

/// The hash of whoever uses an agent, as the clicks of a link show it.
async fn visitor(client: &Client, code: &str, agent: &str) -> String {
    let clicks = clicks(client, code).await;
    let his = clicks.iter().find(|click| click["userAgent"] == agent);
    his.expect("he was there")["visitor"].as_str().unwrap().to_owned()
}

/// Builds every read model anew, and then holds each against another one.
async fn rebuild(client: &Client) {
    for projection in PROJECTIONS {
        let path = format!("/api/v1/projections/{projection}/rebuild");
        client.post(&path, &json!({})).await.expect(200);
    }
    client.verify_read_models().await;
}

/// Everything that this service tells of links and clicks, to whoever may ask for all of it.
async fn told(server: &Server, codes: &[&str]) -> String {
    let client = &server.client;
    caught_up(client).await;
    let mut told = String::new();
    for code in codes {
        for part in ["", "/history?limit=500", "/clicks?limit=500", "/stats", "/rank"] {
            told += &client.get(&format!("/api/v1/links/{code}{part}")).await.body;
        }
        told += &client.visit(&format!("/{code}+")).await.body;
    }
    for path in ["links?limit=500", "links?state=deleted", "stats", "top", "webhooks"] {
        told += &client.get(&format!("/api/v1/{path}")).await.body;
    }
    for topic in ["links", "clicks"] {
        let request = client.authorized(Method::GET, &format!("/api/v1/events?topic={topic}"));
        told += &client.send(request.header("accept", "application/x-ndjson")).await.body;
        told += &pages(client, topic).await;
        told += &server.cli_ok(&["events", "tail", "--topic", topic]);
    }
    told
}

/// A topic, page by page.
async fn pages(client: &Client, topic: &str) -> String {
    let (mut after, mut all) = ("earliest".to_owned(), String::new());
    loop {
        let path = format!("/api/v1/events?topic={topic}&limit=40&after={after}");
        let page = client.get(&path).await.expect(200);
        all += &page.body;
        after = page.position();
        if page.header("link").is_empty() {
            return all;
        }
    }
}
