//! The promise: a link is served from one instant on and until another, leads elsewhere afterwards if
//! its owner says so, and is put away without anybody noticing who follows it.

use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use hoplog_events::envelope::rfc3339;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, NewLink, Server, Settings, now};

const URL: &str = "https://example.com/";

/// Somebody on the internet, behind a proxy.
const VISITOR: &str = "203.0.113.7";

/// How long something may take that is bound to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// In so many milliseconds.
fn in_ms(milliseconds: i64) -> (DateTime<Utc>, String) {
    // The server keeps microseconds.
    let instant = (now() + TimeDelta::milliseconds(milliseconds)).trunc_subsecs(6);
    (instant, rfc3339(instant))
}

/// Visits until the answer has a status; gives the first that has, and when it was asked for at the latest.
async fn becomes(client: &Client, code: &str, status: u16) -> (Answer, DateTime<Utc>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = client.visit(&format!("/{code}")).await;
        if answer.status == status {
            return (answer, now());
        }
        assert!(Instant::now() < deadline, "/{code} stays {answer:?}");
    }
}

async fn codes(client: &Client, query: &str) -> Vec<String> {
    client.caught_up("link_directory").await;
    let list = client.get(&format!("/api/v1/links?sort=code&{query}")).await.expect(200).json();
    let links = list["data"].as_array().unwrap().iter();
    links.map(|link| link["code"].as_str().unwrap().to_owned()).collect()
}

/// Trap 2 (U6): what is not valid yet is not remembered as nobody's beyond its instant, on this node or
/// another, and is served not a moment before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_2_a_link_is_nobodys_until_it_is_valid() {
    let settings = Settings::production();
    let second = settings.another_node();
    let (one, two) = (settings.start(), second.start());
    let nobodys = one.client.visit("/nobodys").await.expect(404);
    let (instant, valid_from) = in_ms(1_500);
    let link = NewLink::to(URL).with("alias", "soon").with("validFrom", valid_from);
    let link = one.client.create(link).await;
    assert_eq!(link["state"], "scheduled", "its owner knows better");
    for client in [&one.client, &two.client] {
        for path in ["/soon", "/soon+", "/soon.qr"] {
            let answer = client.visit(path).await;
            let is_early = now() < instant;
            assert!(answer.status == 404 || !is_early, "{path}: {answer:?}");
            assert!(!is_early || answer.body == nobodys.body, "as if there were none: {answer:?}");
        }
    }
    for client in [&one.client, &two.client] {
        let (answer, at) = becomes(client, "soon", 302).await;
        assert!(at >= instant, "served at {at}, before {instant}");
        assert_eq!(answer.header("location"), URL);
    }
    let shown = two.client.get("/api/v1/links/soon").await.expect(200).json();
    assert_eq!(shown["state"], "active");
}

#[tokio::test]
async fn a_link_that_is_moved_before_its_time_is_nobodys_again() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a")).await;
    client.visit("/a").await.expect(302);
    let (_, later) = in_ms(3_600_000);
    let patch = json!({ "validFrom": later });
    let link = client.patch("/api/v1/links/a", &patch).await.expect(200).json();
    assert_eq!((&link["state"], &link["validFrom"]), (&json!("scheduled"), &json!(later)));
    assert_eq!(client.visit("/a").await.expect(404).code(), "link_not_found");
    assert_eq!(codes(client, "state=scheduled").await, ["a"]);
    assert_eq!(codes(client, "state=active").await, [""; 0]);
    let server = server.kill().start();
    let client = &server.client;
    client.visit("/a").await.expect(404);
    client.patch("/api/v1/links/a", &json!({ "validFrom": null })).await.expect(200);
    client.visit("/a").await.expect(302);
    assert_eq!(client.stats("a", "").await["totalClicks"], 2, "what was nobody's was no click");
    assert_eq!(codes(client, "state=active").await, ["a"]);
    let ended = json!({ "validFrom": later, "expiresIn": "1m" });
    let refused = client.patch("/api/v1/links/a", &ended).await.expect(422).json();
    let error = &refused["errors"][0];
    assert_eq!(
        (&error["pointer"], &error["code"]),
        (&json!("/validFrom"), &json!("valid_from_behind_end"))
    );
    client.verify_read_models().await;
}

/// Trap 2: from its end on, whatever is cached, and only there.
#[tokio::test]
async fn trap_2_an_expired_link_leads_where_its_owner_says() {
    let server = Server::start();
    let client = &server.client;
    let over = "https://example.com/over";
    let (end, expires_at) = in_ms(1_500);
    let link = NewLink::to(URL).with("alias", "a").with("expiresAt", expires_at);
    client.create(link.with("expiredUrl", over).with("redirect", 301)).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = client.visit("/a").await;
        if answer.header("location") == over {
            assert!(now() >= end, "before {end}");
            assert_eq!(
                answer.status, 302,
                "not for good, whatever the link says: the end can be moved"
            );
            assert_eq!(answer.header("cache-control"), "no-store");
            break;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
        assert_eq!((answer.status.as_u16(), answer.header("location")), (301, URL));
    }
    let clicks = client.stats("a", "").await["totalClicks"].clone();
    client.visit("/a").await.expect(302);
    assert_eq!(client.visit("/a+").await.expect(410).code(), "link_expired");
    client.visit("/a.qr").await.expect(410);
    assert_eq!(client.stats("a", "").await["totalClicks"], clicks, "no click of the link");
    // Also with the fact on the log, and what was cached forgotten.
    let server = server.kill().start();
    let client = &server.client;
    assert_eq!(client.visit("/a").await.expect(302).header("location"), over);
    let patch = json!({ "expiredUrl": null });
    client.patch("/api/v1/links/a", &patch).await.expect(200);
    assert_eq!(client.visit("/a").await.expect(410).code(), "link_expired");
    client.patch("/api/v1/links/a", &json!({ "expiredUrl": over })).await.expect(200);
    client.post("/api/v1/links/a/disable", &json!({})).await.expect(200);
    client.visit("/a").await.expect(410);
    client.post("/api/v1/links/a/enable", &json!({})).await.expect(200);
    assert_eq!(client.visit("/a").await.expect(302).header("location"), over);
    client.delete("/api/v1/links/a").await.expect(204);
    assert_eq!(client.visit("/a").await.expect(410).code(), "link_deleted");
    client.verify_read_models().await;
}

#[tokio::test]
async fn an_archived_link_is_listed_on_demand_and_redirects_all_the_same() {
    let server = Server::start();
    let client = &server.client;
    for alias in ["a", "b"] {
        client.create(NewLink::to(URL).with("alias", alias)).await;
    }
    client.create(NewLink::to(URL).with("alias", "c").with("archived", true)).await;
    let archived = client.patch("/api/v1/links/a", &json!({ "archived": true })).await.expect(200);
    assert_eq!(archived.json()["archived"], true);
    client.visit("/a").await.expect(302);
    for (query, expected) in [
        ("", &["b"][..]),
        ("archived=exclude", &["b"]),
        ("archived=include", &["a", "b", "c"]),
        ("archived=only", &["a", "c"]),
        ("archived=only&state=disabled", &[]),
    ] {
        assert_eq!(codes(client, query).await, expected, "{query}");
    }
    assert_eq!(
        client.get("/api/v1/links?archived=yes").await.expect(400).code(),
        "invalid_parameter"
    );
    server.cli_ok(&["link", "unarchive", "a"]);
    server.cli_ok(&["link", "archive", "b"]);
    assert_eq!(codes(client, "").await, ["a"]);
    let listed = server.cli_ok(&["link", "list", "--archived", "only", "--sort", "code"]);
    let listed: Vec<_> = listed.lines().skip(1).map(|line| &line[..1]).collect();
    assert_eq!(listed, ["b", "c"]);
    assert!(server.cli_ok(&["link", "show", "b"]).contains("archived    yes"));
    let types: Vec<Value> = client.get("/api/v1/links/a/history").await.json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(
        types,
        ["hoplog.link.created.v2", "hoplog.link.archived.v1", "hoplog.link.unarchived.v1"]
    );
    // An archived link is none to reuse for somebody who wants one that is listed.
    let reuse = json!({ "url": URL, "reuse": true });
    assert_eq!(client.post("/api/v1/links", &reuse).await.expect(200).json()["code"], "a");
    client.patch("/api/v1/links/a", &json!({ "archived": true })).await.expect(200);
    client.post("/api/v1/links", &reuse).await.expect(201);
    client.verify_read_models().await;
}

/// Trap 7: what is answered as nobody's costs what that costs, so guessing ends there as well.
#[tokio::test]
async fn trap_7_what_is_answered_as_nobodys_is_limited_as_such() {
    for path in ["/nobodys", "/soon", "/plain/x"] {
        let settings = Settings::new().limited().with("HOPLOG_TRUSTED_PROXIES", "127.0.0.1");
        let server = settings.start();
        let client = &server.client;
        client.create(NewLink::to(URL).with("alias", "plain")).await;
        let soon = NewLink::to(URL).with("alias", "soon");
        client.create(soon.with("validFrom", "2099-01-01T00:00:00Z")).await;
        // 60 a minute, and one more with each second that passes meanwhile.
        let visit = async |path: &str| {
            let request = client.request(Method::GET, path).header("x-forwarded-for", VISITOR);
            client.send(request).await
        };
        let mut visits = 0;
        while visit(path).await.status != 429 {
            visits += 1;
            assert!(visits < 300, "{path} is free");
        }
        assert!(visits >= 60, "{path} is refused after {visits}");
        visit("/plain").await.expect(302);
    }
}

/// In bulk and from a file it is the same, and the mistakes are told at their places.
#[tokio::test]
async fn what_is_made_in_bulk_or_imported_has_a_life_too() {
    let server = Server::start();
    let client = &server.client;
    let good = json!({
        "url": URL, "alias": "good", "validFrom": "2099-01-01T00:00:00Z", "expiredUrl": URL,
        "archived": true,
    });
    let bad = json!({ "url": URL, "validFrom": "soon", "expiredUrl": "ftp://a/", "archived": 1 });
    let looped = json!({ "url": URL, "expiredUrl": format!("{}/x", server.url) });
    let answer = client.post("/api/v1/links/bulk", &json!({ "links": [good, bad, looped] })).await;
    let results = answer.expect(200).json()["results"].clone();
    assert_eq!(results[0]["link"]["state"], "scheduled");
    let pointers = |place: usize| -> Vec<String> {
        let errors = results[place]["problem"]["errors"].as_array().unwrap().iter();
        errors.map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(pointers(1), ["/links/1/validFrom", "/links/1/expiredUrl", "/links/1/archived"]);
    assert_eq!(pointers(2), ["/links/2/expiredUrl"]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("links.csv");
    let rows = format!(
        "url,alias,validFrom,expiredUrl,archived\n{URL},x,2099-01-01T00:00:00Z,{URL}over,true\n\
         {URL},y,,,false\n{URL},z,,{}/x,\n{URL},w,,,perhaps\n",
        server.url
    );
    std::fs::write(&file, rows).unwrap();
    let output = server.cli(&["import", "links", file.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("line 4: ") && told.contains("line 5: "), "{told}");
    let link = client.get("/api/v1/links/x").await.expect(200).json();
    assert_eq!(link["expiredUrl"], format!("{URL}over"));
    assert_eq!((&link["state"], &link["archived"]), (&json!("scheduled"), &json!(true)));
    assert_eq!(client.get("/api/v1/links/y").await.expect(200).json()["archived"], false);
    client.visit("/x").await.expect(404);
    client.visit("/y").await.expect(302);
    client.get("/api/v1/links/z").await.expect(404);
}
