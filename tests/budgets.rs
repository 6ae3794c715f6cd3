//! The promise: a link that is good for so many clicks leads as many people to its destination, and nobody else.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, NewLink, Server};

mod durable;
mod exactly;
mod owners;

/// Where links of these tests lead.
const URL: &str = "https://rare-place.example/there";

/// Where they lead in the end.
const OVER: &str = "https://example.com/over";

const SLACK: &str = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)";

/// A link that is good for so many clicks, and perhaps more.
async fn limited(client: &Client, code: &str, clicks: u32, more: &[(&str, Value)]) -> Value {
    let link = NewLink::to(URL).with("alias", code).with("maxClicks", clicks);
    client
        .create(more.iter().fold(link, |link, (name, value)| link.with(name, value.clone())))
        .await
}

/// What the owner is told: the budget, and what is left of it.
async fn budget(client: &Client, code: &str) -> (Value, Value) {
    client.caught_up("link_directory").await;
    let link = client.get(&format!("/api/v1/links/{code}")).await.expect(200).json();
    (link["maxClicks"].clone(), link["clicksLeft"].clone())
}

/// How many clicks were given, as the log says.
async fn given(client: &Client, code: &str) -> u64 {
    let events = client.events("links").await.into_iter();
    let of_link = events.filter(|event| event["subject"] == format!("default/{code}"));
    let grants = of_link.filter(|event| event["type"] == "hoplog.link.clicks-granted.v1");
    grants.map(|event| event["data"]["count"].as_u64().unwrap()).sum()
}

/// What an answer must not have that is no redirect.
#[track_caller]
fn says_nothing(answer: &Answer) {
    let said = format!("{:?} {}", answer.headers, answer.body);
    assert!(!said.contains("rare-place"), "{said}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("location"), "");
}

#[tokio::test]
async fn a_link_for_one_visit_works_once() {
    let server = Server::start();
    let client = &server.client;
    let link = limited(client, "a", 1, &[]).await;
    assert_eq!((&link["maxClicks"], &link["clicksLeft"]), (&json!(1), &json!(1)));
    let once = client.visit("/a").await.expect(302);
    assert_eq!((once.header("location"), once.header("cache-control")), (URL, "no-store"));
    let spent = client.visit("/a").await.expect(410);
    assert_eq!(spent.code(), "link_spent");
    says_nothing(&spent);
    let page = client.send(client.get_with("/a", &[("accept", "text/html")])).await.expect(410);
    assert!(page.header("content-type").starts_with("text/html"));
    says_nothing(&page);
    for request in [
        client.request(Method::HEAD, "/a"),
        client.get_with("/a", &[("user-agent", SLACK)]),
        client.get_with("/a+", &[]),
        client.get_with("/a.qr", &[]),
    ] {
        client.send(request).await.expect(410);
    }
    assert_eq!(budget(client, "a").await, (json!(1), json!(0)));
    let stats = client.stats("a", "").await;
    assert_eq!(stats["totalClicks"], 1, "what is no redirect is no click: {stats}");
    let history = client.get("/api/v1/links/a/history").await.expect(200).json();
    let last = &history["data"][1];
    assert_eq!(
        (&last["type"], &last["actor"]),
        (&json!("hoplog.link.clicks-granted.v1"), &json!("visitor"))
    );
    assert_eq!(last["data"], json!({ "count": 1, "left": 0 }));
    client.verify_read_models().await;
    // A restart forgets nothing, and needs nothing but the log.
    let server = server.stop().start();
    server.client.visit("/a").await.expect(410);
    let as_of = history["data"][0]["time"].as_str().unwrap();
    let path = format!("/api/v1/links/a?asOf={as_of}");
    assert_eq!(server.client.get(&path).await.expect(200).json()["clicksLeft"], 1);
}

#[tokio::test]
async fn a_spent_link_leads_where_an_expired_one_does() {
    let server = Server::start();
    let client = &server.client;
    limited(client, "a", 2, &[("expiredUrl", json!(OVER))]).await;
    for _ in 0..2 {
        assert_eq!(client.visit("/a").await.expect(302).header("location"), URL);
    }
    for request in [client.get_with("/a", &[]), client.request(Method::HEAD, "/a")] {
        let over = client.send(request).await.expect(302);
        assert_eq!((over.header("location"), over.header("cache-control")), (OVER, "no-store"));
    }
    assert_eq!(client.stats("a", "").await["totalClicks"], 2);
    assert_eq!(client.get("/api/v1/links/a").await.json()["state"], "active");
}

/// Trap 17 (U25): what is no person takes no click away from one. It is not let through either, or a name would be a
/// way around the budget.
#[tokio::test]
async fn trap_17_what_is_no_person_spends_nothing_and_learns_nothing() {
    let server = Server::start();
    let client = &server.client;
    limited(client, "a", 1, &[]).await;
    let programs: [&[(&str, &str)]; 9] = [
        &[("user-agent", SLACK)],
        &[("user-agent", "WhatsApp/2.23.20.0")],
        &[(
            "user-agent",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        )],
        &[("user-agent", "curl/8.5.0")],
        &[("sec-purpose", "prefetch;prerender")],
        &[("purpose", "prefetch")],
        &[("range", "bytes=0-")],
        &[("if-none-match", "\"a\"")],
        &[("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT")],
    ];
    for headers in programs {
        let shown = client.send(client.get_with("/a", headers)).await.expect(200);
        says_nothing(&shown);
        let shown = shown.json();
        assert_eq!((&shown["url"], &shown["hasMaxClicks"]), (&Value::Null, &json!(true)));
        let html = [headers, &[("accept", "text/html")]].concat();
        let page = client.send(client.get_with("/a", &html)).await.expect(200);
        assert!(page.body.contains("a limited number of times"), "{}", page.body);
        says_nothing(&page);
    }
    says_nothing(&client.send(client.request(Method::HEAD, "/a")).await.expect(200));
    says_nothing(&client.visit("/a+").await.expect(200));
    client.visit("/a.qr").await.expect(200);
    assert_eq!(budget(client, "a").await, (json!(1), json!(1)));
    assert_eq!(client.stats("a", "").await["totalClicks"], 0);
    client.visit("/a").await.expect(302);
    assert_eq!(budget(client, "a").await, (json!(1), json!(0)));
}

#[tokio::test]
async fn a_redirect_that_counts_is_kept_by_nobody() {
    let server = Server::start();
    let client = &server.client;
    for (code, redirect, answered) in
        [("a", 301, 302), ("b", 302, 302), ("c", 307, 307), ("d", 308, 307)]
    {
        limited(client, code, 2, &[("redirect", json!(redirect))]).await;
        let link = client.get(&format!("/api/v1/links/{code}")).await.expect(200).json();
        assert_eq!((&link["redirect"], &link["warnings"]), (&json!(redirect), &json!([])));
        let answer = client.visit(&format!("/{code}")).await.expect(answered);
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    // With nothing to count it is what its owner says again.
    client.patch("/api/v1/links/a", &json!({ "maxClicks": null })).await.expect(200);
    client.visit("/a").await.expect(301);
}

#[tokio::test]
async fn a_budget_and_a_password_are_both_asked_for() {
    let server = Server::start();
    let client = &server.client;
    let more = [("password", json!("sesame")), ("expiredUrl", json!(OVER))];
    limited(client, "a", 2, &more).await;
    let form = |password: &str| {
        let request = client.request(Method::POST, "/a");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(format!("password={password}"))
    };
    let page = client.get_with("/a", &[("accept", "text/html")]);
    assert!(client.send(page).await.expect(200).body.contains("<form"));
    client.visit("/a").await.expect(403);
    client.send(form("wrong")).await.expect(403);
    assert_eq!(budget(client, "a").await.1, 2, "nobody was let in");
    let bot = client.send(form("sesame").header("user-agent", SLACK)).await.expect(200);
    says_nothing(&bot);
    let right = client.send(form("sesame")).await.expect(303);
    assert_eq!(right.header("location"), URL);
    let pass = right.header("set-cookie").split_once(';').unwrap().0.to_owned();
    assert_eq!(budget(client, "a").await.1, 1);
    let again = client.request(Method::GET, "/a").header("cookie", &pass);
    assert_eq!(client.send(again).await.expect(302).header("location"), URL);
    // Whoever comes now is not asked for a password that leads nowhere.
    assert_eq!(client.visit("/a").await.expect(302).header("location"), OVER);
    assert_eq!(client.send(form("sesame")).await.expect(303).header("location"), OVER);
    assert_eq!(client.stats("a", "").await["totalClicks"], 2);
}

#[tokio::test]
async fn what_is_forwarded_goes_to_those_who_are_given_a_click() {
    let server = Server::start();
    let client = &server.client;
    limited(client, "a", 1, &[("forwardPath", json!(true)), ("forwardQuery", json!("append"))])
        .await;
    client.visit(&format!("/a/{}", "x".repeat(8_180))).await.expect(414);
    let answer = client.visit("/a/more?x=1").await.expect(302);
    assert_eq!(answer.header("location"), format!("{URL}/more?x=1"));
    client.visit("/a/more").await.expect(410);
    client.visit("/a").await.expect(410);
}
