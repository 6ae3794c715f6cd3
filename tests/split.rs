//! The promise: a link with a split shares its visitors by weight, each visitor is led to the same place every time,
//! and nothing is kept of them for it.

use std::collections::BTreeMap;
use std::fmt::Write;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, NewLink, Server, Settings, pointers, skip_no_check};

mod owners;
mod results;
mod statistics;

const URL: &str = "https://example.com/own";

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";

const SLACK: &str = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)";

/// Variants of these names and weights, each to a place of its name, but the first: where the link leads.
fn split(variants: &[(&str, u16)]) -> Value {
    let variant = |(place, (name, weight)): (usize, &(&str, u16))| match place {
        0 => json!({ "name": name, "weight": weight }),
        _ => {
            json!({ "name": name, "weight": weight, "url": format!("https://example.com/{name}") })
        }
    };
    variants.iter().enumerate().map(variant).collect()
}

/// A server that believes whoever says where a request comes from.
fn proxied() -> Settings {
    Settings::new().with("HOPLOG_TRUSTED_PROXIES", "127.0.0.0/8")
}

/// Where a visitor is led, behind `https://example.com/`.
async fn led(client: &Client, path: &str, visitor: u32) -> String {
    let address = std::net::Ipv4Addr::from(0x0a00_0000 | visitor).to_string();
    led_from(client, path, &address, AGENT).await
}

async fn led_from(client: &Client, path: &str, address: &str, agent: &str) -> String {
    let visit = client.request(Method::GET, path).header("x-forwarded-for", address);
    let answer = client.send(visit.header("user-agent", agent)).await.expect(302);
    let to = answer.header("location").strip_prefix("https://example.com/");
    to.expect("one of ours").to_owned()
}

async fn all_led(client: &Client, path: &str, visitors: u32) -> Vec<String> {
    let mut all = Vec::new();
    for visitor in 0..visitors {
        all.push(led(client, path, visitor).await);
    }
    all
}

/// How many were led to each place.
fn counted(led: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for to in led {
        *counts.entry(&**to).or_default() += 1;
    }
    counts
}

/// Four standard deviations of so many throws; who is led where is the same in each run.
#[track_caller]
fn is_near(count: Option<&usize>, all: u32, part: f64) {
    let (count, all) = (f64::from(u32::try_from(*count.unwrap()).unwrap()), f64::from(all));
    let bound = 4.0 * (all * part * (1.0 - part)).sqrt();
    assert!((count - all * part).abs() <= bound, "{count} of {all} is not {part}");
}

#[tokio::test]
async fn visitors_are_shared_by_weight_and_each_stays_where_he_is() {
    const VISITORS: u32 = 2_000;
    let server = proxied().start();
    let client = &server.client;
    let variants = split(&[("a", 50), ("b", 30), ("c", 20), ("paused", 0)]);
    client.create(NewLink::to(URL).with("alias", "x").with("split", variants.clone())).await;
    client.create(NewLink::to(URL).with("alias", "y").with("split", variants)).await;
    let first = all_led(client, "/x", VISITORS).await;
    let counts = counted(&first);
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), ["b", "c", "own"], "nobody is paused");
    for (to, part) in [("own", 0.5), ("b", 0.3), ("c", 0.2)] {
        is_near(counts.get(to), VISITORS, part);
    }
    let others = all_led(client, "/y", 200).await;
    assert_ne!(others, first[..200], "each link draws anew");
    // Another process, with another day's salts for all that is known here.
    let server = server.kill().start();
    let client = &server.client;
    assert_eq!(all_led(client, "/x", 300).await, first[..300]);
    // Half of those who are led to the link's own place go elsewhere; nobody else moves.
    let lighter = split(&[("a", 20), ("b", 30), ("c", 20), ("paused", 0)]);
    client.patch("/api/v1/links/x", &json!({ "split": lighter })).await.expect(200);
    let after = all_led(client, "/x", 300).await;
    let moved: Vec<_> = first.iter().zip(&after).filter(|(old, new)| old != new).collect();
    assert!(!moved.is_empty() && moved.iter().all(|(old, _)| *old == "own"), "{moved:?}");
    client.verify_read_models().await;
}

/// Trap 15, and what a browser's update is.
#[tokio::test]
async fn trap_15_a_visitor_is_a_network_and_a_kind_of_browser() {
    let server = proxied().start();
    let client = &server.client;
    let many: Vec<_> = (0..16).map(|n| format!("v{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (&**name, 1)).collect();
    client.create(NewLink::to(URL).with("alias", "a").with("split", split(&many))).await;
    let newer = AGENT.replace("127.0", "128.3.1");
    for network in 1..20 {
        let address = |host: &str| format!("2001:db8:0:{network}::{host}");
        let here = led_from(client, "/a", &address("1"), AGENT).await;
        assert_eq!(led_from(client, "/a", &address("ffff:2"), AGENT).await, here);
        assert_eq!(led_from(client, "/a", &address("1"), &newer).await, here);
    }
    // Whoever only says to be elsewhere is not.
    let plain = Server::start();
    let client = &plain.client;
    client.create(NewLink::to(URL).with("alias", "a").with("split", split(&many))).await;
    let here = led(client, "/a", 1).await;
    for visitor in 2..40 {
        assert_eq!(led(client, "/a", visitor).await, here);
    }
}

#[tokio::test]
async fn rules_come_first_and_clicks_say_who_was_led_where() {
    let server = proxied().start();
    let client = &server.client;
    let rules = json!([
        { "name": "beta", "when": { "query": { "utm_content": ["beta"] } }, "url": "https://example.com/beta" },
        { "name": "Eva", "when": { "query": { "to": ["k7f3"] } }, "url": "https://example.com/eva?utm_campaign=eva" },
    ]);
    let variants = split(&[("a", 0), ("b", 1)]);
    let link = NewLink::to(URL).with("alias", "x").with("rules", rules);
    client.create(link.with("split", variants)).await;
    assert_eq!(led(client, "/x?utm_content=beta", 1).await, "beta");
    assert_eq!(led(client, "/x?to=k7f3", 1).await, "eva?utm_campaign=eva");
    assert_eq!(led(client, "/x", 1).await, "b");
    // Also who is no person is led: there is no other answer. Statistics tell them apart.
    assert_eq!(led_from(client, "/x", "10.0.0.1", SLACK).await, "b");
    client.patch("/api/v1/links/x", &json!({ "split": split(&[("a", 1), ("b", 0)]) })).await;
    assert_eq!(led(client, "/x", 1).await, "own");
    client.patch("/api/v1/links/x", &json!({ "split": null })).await.expect(200);
    assert_eq!(led(client, "/x", 1).await, "own");
    let clicks = clicks(client).await;
    // Clicks don't say what else was behind the link: the rule would.
    assert_eq!(clicks[1]["utm"], Value::Null, "{}", clicks[1]);
    let told: Vec<_> =
        clicks.iter().map(|click| (click["rule"].clone(), click["variant"].clone())).collect();
    let variant = |name: &str| (Value::Null, json!(name));
    let none = (Value::Null, Value::Null);
    assert_eq!(
        told,
        [
            (json!("beta"), Value::Null),
            none.clone(),
            variant("b"),
            variant("b"),
            variant("a"),
            none
        ]
    );
}

async fn clicks(client: &Client) -> Vec<Value> {
    let events = client.events("clicks").await;
    events
        .iter()
        .flat_map(|event| event["data"]["clicks"].as_array().cloned().unwrap_or_default())
        .collect()
}

/// Trap 1: what is right for one visitor is kept by nobody for the next, whatever status the owner chose.
#[tokio::test]
async fn trap_1_nobody_keeps_where_a_link_with_a_split_leads() {
    let server = Settings::new().with("HOPLOG_REDIRECT_MAX_AGE", "60").start();
    let client = &server.client;
    for (status, answered) in [(301, 302), (302, 302), (307, 307), (308, 307)] {
        let alias = format!("a{status}");
        let link = NewLink::to(URL).with("alias", &*alias).with("redirect", status);
        let link = client.create(link.with("split", split(&[("a", 1), ("b", 1)]))).await;
        assert_eq!((&link["redirect"], &link["warnings"]), (&json!(status), &json!([])));
        let answer = client.visit(&format!("/{alias}")).await.expect(answered);
        assert_eq!(answer.header("cache-control"), "private, no-store", "{status}");
        let path = format!("/api/v1/links/{alias}");
        client.patch(&path, &json!({ "split": [] })).await.expect(200);
        let plain = client.visit(&format!("/{alias}")).await.expect(status);
        assert_ne!(plain.header("cache-control"), "private, no-store");
    }
}

#[tokio::test]
async fn what_holds_for_a_link_holds_for_every_variant() {
    let server = Server::start();
    let client = &server.client;
    let variants = json!([{ "name": "a", "weight": 0 },
        { "name": "b", "weight": 1, "url": "https://example.com/b?a=1" }]);
    let link = NewLink::to("https://example.com/own?a=1").with("alias", "a");
    let link = link.with("split", variants).with("utm", json!({ "source": "mail" }));
    let link = link.with("forwardQuery", "override").with("forwardPath", true);
    let link = client.create(link.with("password", "sesame")).await;
    assert_eq!(link["split"][1]["url"], "https://example.com/b?a=1&utm_source=mail");
    let asked = client.visit("/a").await.expect(403);
    assert!(!asked.body.contains("example.com/b"), "{}", asked.body);
    client.patch("/api/v1/links/a", &json!({ "password": null })).await.expect(200);
    assert_eq!(led(client, "/a/c?x=1&a=2", 1).await, "b/c?utm_source=mail&x=1&a=2");
    let utm = json!({ "utm": { "source": "chat" } });
    let link = client.patch("/api/v1/links/a", &utm).await.expect(200).json();
    assert_eq!(link["split"][1]["url"], "https://example.com/b?a=1&utm_source=chat");
    let up = client.visit("/a/..%2fb").await;
    assert_eq!(up.status, 404, "a path leads no higher there either");
    // What ends a link ends it for everybody.
    for (patch, status) in [
        (json!({ "maxClicks": 1 }), 302),
        (json!({}), 410),
        (json!({ "maxClicks": null, "validFrom": "2099-01-01T00:00:00Z" }), 404),
        (json!({ "validFrom": null }), 302),
    ] {
        client.patch("/api/v1/links/a", &patch).await.expect(200);
        client.visit("/a").await.expect(status);
    }
}

/// What is not followed says where it would lead whoever asks, and that it leads others elsewhere.
#[tokio::test]
async fn a_preview_is_of_where_it_would_lead() {
    let server = proxied().start();
    let client = &server.client;
    let variants = split(&[("a", 1), ("b", 1)]);
    client.create(NewLink::to(URL).with("alias", "a").with("split", variants)).await;
    let mut seen = String::new();
    for visitor in 0..12 {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 | visitor).to_string();
        let request = client.get_with("/a+", &[]).header("x-forwarded-for", address);
        let preview = client.send(request.header("user-agent", AGENT)).await.expect(200).json();
        let to = led(client, "/a", visitor).await;
        assert_eq!(preview["url"], format!("https://example.com/{to}"), "{visitor}");
        assert_eq!((&preview["hasRules"], &preview["hasSplit"]), (&json!(false), &json!(true)));
        write!(seen, "{to} ").unwrap();
    }
    assert!(seen.contains("own") && seen.contains('b'), "{seen}");
    let page = client.get_with("/a+", &[]).header("accept", "text/html");
    let page = client.send(page).await.expect(200);
    assert!(page.body.contains("others may be led elsewhere"), "{page:?}");
    assert_eq!(client.stats("a", "").await["totalClicks"], 12, "previews are no clicks");
}

fn said(answer: &Answer) -> String {
    answer.json().to_string()
}
