//! The promise: a link leads each visitor where the first of its rules says that holds, and all others where it
//! leads itself.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, NewLink, Server, Settings, pointers, skip_no_check};

mod owners;

const URL: &str = "https://example.com/for-all";

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";

const SLACK: &str = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)";

/// A list of rules, each of whom it is for and where it leads below `https://example.com/`.
fn rules(rules: &[(Value, &str)]) -> Value {
    rules
        .iter()
        .map(|(when, to)| json!({ "when": when, "url": format!("https://example.com/{to}") }))
        .collect()
}

/// Where a visit leads, behind `https://example.com/`.
async fn led(client: &Client, path: &str, headers: &[(&'static str, &'static str)]) -> String {
    let answer = client.send(client.get_with(path, headers)).await.expect(302);
    let to = answer.header("location").strip_prefix("https://example.com/");
    to.expect("one of ours").to_owned()
}

/// A server that believes whoever says where a request comes from.
fn proxied() -> Server {
    Settings::new().with("HOPLOG_TRUSTED_PROXIES", "127.0.0.0/8").start()
}

/// In the Netherlands, as the registries say.
const DUTCH: (&str, &str) = ("x-forwarded-for", "193.0.6.139");

#[tokio::test]
async fn the_first_rule_that_holds_decides() {
    let server = proxied();
    let client = &server.client;
    let rules = rules(&[
        (json!({ "country": ["NL", "BE"], "device": ["mobile"] }), "dutch-phone"),
        (json!({ "country": ["NL"] }), "dutch"),
        (json!({ "system": ["ios"], "browser": ["safari"] }), "phone"),
        (json!({ "visitor": "bot" }), "bot"),
        (json!({ "language": ["de"] }), "german"),
        (json!({ "query": { "ref": ["mail", "chat"], "beta": null } }), "beta"),
        (json!({ "referrer": ["*.news.example", "news.example"] }), "news"),
        (json!({ "address": ["10.0.0.0/8", "2001:db8::/32"] }), "office"),
        (json!({ "from": "2099-01-01T00:00:00Z" }), "later"),
        (json!({ "until": "2020-01-01T00:00:00Z" }), "earlier"),
    ]);
    client.create(NewLink::to(URL).with("alias", "a").with("rules", rules)).await;
    let phone = ("user-agent", PHONE);
    for (path, headers, expected) in [
        ("/a", &[DUTCH, phone][..], "dutch-phone"),
        ("/a", &[DUTCH], "dutch"),
        ("/a", &[phone], "phone"),
        ("/a", &[("user-agent", SLACK)], "bot"),
        ("/a", &[("sec-purpose", "prefetch")], "bot"),
        ("/a", &[("accept-language", "de-AT, en;q=0.9")], "german"),
        ("/a", &[("accept-language", "en, de;q=0.9")], "for-all"),
        ("/a", &[("accept-language", "*")], "german"),
        ("/a?beta&ref=chat", &[], "beta"),
        ("/a?ref=chat", &[], "for-all"),
        ("/a", &[("referer", "https://www.News.example/today?x=1")], "news"),
        ("/a", &[("referer", "https://fakenews.example/")], "for-all"),
        ("/a", &[("x-forwarded-for", "10.1.2.3")], "office"),
        ("/a", &[("x-forwarded-for", "2001:db8::7")], "office"),
        // Notes' §5.13: where nobody knows the country, it is none of those that a rule names.
        ("/a", &[("x-forwarded-for", "192.0.2.1")], "for-all"),
        ("/a", &[], "for-all"),
    ] {
        assert_eq!(led(client, path, headers).await, expected, "{path} {headers:?}");
    }
    let head = client.send(client.request(Method::HEAD, "/a")).await.expect(302);
    assert_eq!(head.header("location"), "https://example.com/bot", "a HEAD request is nobody's");
    let stats = client.stats("a", "").await;
    assert_eq!(stats["totalClicks"], 17, "whoever is led elsewhere clicked all the same: {stats}");
    client.verify_read_models().await;
}

/// Notes' §5.4: nobody is believed to be elsewhere who only says so.
#[tokio::test]
async fn a_visitor_does_not_choose_the_country() {
    let server = Server::start();
    let client = &server.client;
    let rules = rules(&[(json!({ "country": ["NL"] }), "dutch")]);
    client.create(NewLink::to(URL).with("alias", "a").with("rules", rules)).await;
    assert_eq!(led(client, "/a", &[DUTCH]).await, "for-all");
}

/// Trap 1 and notes' §5.12: what is right for one visitor is kept by nobody for the next, whatever status the owner
/// chose. Links without rules are kept as long as before.
#[tokio::test]
async fn trap_1_nobody_keeps_where_a_link_with_rules_leads() {
    let server = Settings::new().with("HOPLOG_REDIRECT_MAX_AGE", "60").start();
    let client = &server.client;
    for (status, answered) in [(301, 302), (302, 302), (307, 307), (308, 307)] {
        let rules = rules(&[(json!({ "visitor": "bot" }), "bot")]);
        let alias = format!("a{status}");
        let link = NewLink::to(URL).with("alias", &*alias).with("redirect", status);
        let link = client.create(link.with("rules", rules)).await;
        assert_eq!((&link["redirect"], &link["warnings"]), (&json!(status), &json!([])));
        for headers in [&[][..], &[("user-agent", SLACK)]] {
            let answer = client.send(client.get_with(&format!("/{alias}"), headers)).await;
            let answer = answer.expect(answered);
            assert_eq!(answer.header("cache-control"), "private, no-store", "{status} {headers:?}");
        }
        let path = format!("/api/v1/links/{alias}");
        client.patch(&path, &json!({ "rules": null })).await.expect(200);
        let plain = client.visit(&format!("/{alias}")).await.expect(status);
        assert_ne!(plain.header("cache-control"), "private, no-store");
    }
}

#[tokio::test]
async fn what_holds_for_a_link_holds_wherever_it_leads() {
    let server = Server::start();
    let client = &server.client;
    let all = json!({ "query": { "x": null } });
    let rule = json!([{ "when": all, "url": "https://example.com/rule?a=1", "name": "other" }]);
    let link = NewLink::to("https://example.com/own?a=1").with("alias", "a").with("rules", rule);
    let link = link.with("forwardQuery", "override").with("forwardPath", true);
    let utm = json!({ "source": "mail" });
    let link = client.create(link.with("utm", utm).with("password", "sesame")).await;
    assert_eq!(link["rules"][0]["url"], "https://example.com/rule?a=1&utm_source=mail");
    let asked = client.visit("/a?x=1").await.expect(403);
    assert_eq!(asked.code(), "password_required");
    assert!(!asked.body.contains("rule"), "{}", asked.body);
    client.patch("/api/v1/links/a", &json!({ "password": null })).await.expect(200);
    assert_eq!(led(client, "/a/b?x=1&a=2", &[]).await, "rule/b?utm_source=mail&x=1&a=2");
    assert_eq!(led(client, "/a/b?a=2", &[]).await, "own/b?utm_source=mail&a=2");
    let up = client.visit("/a/..%2fb?x=1").await;
    assert_eq!(up.status, 404, "a path leads no higher there either");
    // What ends a link ends it for everybody.
    for (patch, status) in [
        (json!({ "maxClicks": 1 }), 302),
        (json!({}), 410),
        (json!({ "maxClicks": null, "validFrom": "2099-01-01T00:00:00Z" }), 404),
        (json!({ "validFrom": null }), 302),
    ] {
        client.patch("/api/v1/links/a", &patch).await.expect(200);
        client.visit("/a?x=1").await.expect(status);
    }
    let german = json!([{ "when": { "language": ["de"] }, "name": "german",
        "url": "https://example.com/rule?utm_source=chat" }]);
    client.patch("/api/v1/links/a", &json!({ "rules": german })).await.expect(200);
    led(client, "/a", &[("accept-language", "de")]).await;
    client.post("/api/v1/links/a/disable", &json!({})).await.expect(200);
    client.visit("/a?x=1").await.expect(404);
    let clicks: Vec<Value> = client.events("clicks").await;
    let clicks = clicks
        .iter()
        .flat_map(|event| event["data"]["clicks"].as_array().cloned().unwrap_or_default());
    let told: Vec<_> =
        clicks.map(|click| (click["rule"].clone(), click["utm"]["source"].clone())).collect();
    // What asks for more than clicks say is told by none, nor is its campaign.
    let (other, own) = ((Value::Null, Value::Null), (Value::Null, json!("mail")));
    let german = (json!("german"), json!("chat"));
    let expected = [other.clone(), own, other.clone(), other, german];
    assert_eq!(told, expected, "also the campaign is of where it led");
}

/// What is not followed says where it would lead whoever asks, and that it leads others elsewhere.
#[tokio::test]
async fn a_preview_is_of_where_it_would_lead() {
    let server = Server::start();
    let client = &server.client;
    let rules = rules(&[(json!({ "language": ["de"] }), "german")]);
    client.create(NewLink::to(URL).with("alias", "a").with("rules", rules)).await;
    for (languages, url) in [("de", "https://example.com/german"), ("en", URL)] {
        let request = client.get_with("/a+", &[]).header("accept-language", languages);
        let preview = client.send(request).await.expect(200).json();
        assert_eq!((&preview["url"], &preview["hasRules"]), (&json!(url), &json!(true)));
    }
    let page = client.get_with("/a+", &[]).header("accept", "text/html");
    let page = client.send(page).await.expect(200);
    assert!(page.body.contains("others may be led elsewhere"), "{page:?}");
    client.visit("/a.qr").await.expect(200);
    assert_eq!(client.stats("a", "").await["totalClicks"], 0);
}

fn said(answer: &Answer) -> String {
    answer.json().to_string()
}
