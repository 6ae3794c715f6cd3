//! What owners do with their links on a domain.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ONE, TWO, URL, visit, with_domains};
use crate::support::{Answer, Client, NewLink};

fn new(domain: &str) -> NewLink {
    NewLink::to(URL).with("domain", domain)
}

fn webhook_to(link: &str) -> Value {
    let url = "https://hooks.example.com/";
    json!({ "url": url, "types": ["hoplog.link.created"], "link": link })
}

/// A creation under an idempotency key.
async fn keyed(client: &Client, key: &str, body: &Value) -> Answer {
    let request = client.authorized(Method::POST, "/api/v1/links");
    client.send(request.header("idempotency-key", key).json(body)).await
}

#[tokio::test]
async fn every_request_about_a_link_takes_its_domain() {
    let server = with_domains().await;
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a").with("title", "own")).await;
    client.create(new(ONE).with("alias", "a").with("title", "one")).await;
    visit(client, ONE, "/a").await.expect(302);
    client.caught_up("clicks").await;
    client.caught_up("click_statistics").await;
    client.caught_up("top_links").await;
    let here = |path: &str| format!("/api/v1/links/a{path}?domain=one.example");
    assert_eq!(client.get(&here("")).await.expect(200).json()["title"], "one");
    assert_eq!(client.get(&here("/stats")).await.expect(200).json()["totalClicks"], 1);
    let clicks = client.get(&here("/clicks")).await.expect(200).json();
    assert_eq!(clicks["data"].as_array().unwrap().len(), 1);
    client.get(&here("/split")).await.expect(200);
    assert_eq!(client.get(&here("/rank")).await.expect(200).json()["clicks"], 1);
    let analytics = client.get("/api/analytics/a?domain=one.example").await.expect(200).json();
    assert_eq!(analytics["totalClicks"], 1);
    let now = crate::support::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let as_of = client.get(&format!("{}&asOf={now}", here(""))).await.expect(200).json();
    assert_eq!(as_of["title"], "one");
    for (path, state) in [("/disable", "disabled"), ("/enable", "active")] {
        let answer = client.post(&here(path), &json!({})).await.expect(200).json();
        assert_eq!(answer["state"], state);
    }
    client.post(&here("/quarantine"), &json!({ "reason": "r" })).await.expect(200);
    client.post(&here("/appeal"), &json!({ "text": "t" })).await.expect(200);
    visit(client, ONE, "/a").await.expect(451);
    client.visit("/a").await.expect(302);
    client.post(&here("/release"), &json!({})).await.expect(200);
    client.patch(&here(""), &json!({ "title": "new" })).await.expect(200);
    let history = client.get(&here("/history")).await.expect(200).json();
    assert_eq!(history["data"].as_array().unwrap().len(), 7);
    assert_eq!(client.get("/api/v1/links/a").await.expect(200).json()["title"], "own");
    client.delete(&here("/personal-data")).await.expect(200);
    client.get(&here("")).await.expect(410);
    visit(client, ONE, "/a").await.expect(410);
    client.visit("/a").await.expect(302);
    client.delete("/api/v1/links/a?domain=two.example").await.expect(404);
}

/// A misspelled parameter must not become the service's own link of that code.
#[tokio::test]
async fn a_domain_that_is_none_is_refused_with_those_that_are() {
    let server = with_domains().await;
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a")).await;
    for query in [
        "domain=three.example",
        "domain=",
        "domain=one.example&domain=one.example",
        "domian=one.example",
    ] {
        for (method, path) in [
            (Method::GET, ""),
            (Method::DELETE, ""),
            (Method::POST, "/disable"),
            (Method::GET, "/stats"),
            (Method::GET, "/history"),
            (Method::DELETE, "/personal-data"),
        ] {
            let path = format!("/api/v1/links/a{path}?{query}");
            client.send(client.authorized(method.clone(), &path)).await.expect(400);
        }
    }
    let answer = client.get("/api/v1/links/a?domain=three.example").await.expect(400).json();
    let detail = answer["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("own.example, one.example, two.example"), "{detail}");
    for name in ["default", "own.example", "OWN.example"] {
        client.get(&format!("/api/v1/links/a?domain={name}")).await.expect(200);
    }
    client.visit("/a").await.expect(302);
}

/// Trap 4: a code is one owner's on its domain, and says nothing of the others.
#[tokio::test]
async fn trap_4_a_code_is_taken_on_its_domain_for_ever() {
    let server = with_domains().await;
    let client = &server.client;
    let bob = client.keyed("bob", &["links:read", "links:write"]).await;
    client.create(new(ONE).with("alias", "a")).await;
    bob.create(new(TWO).with("alias", "a")).await;
    let taken = bob.post("/api/v1/links", &new(ONE).with("alias", "a").0).await.expect(409);
    assert_eq!(taken.code(), "code_taken");
    client.delete("/api/v1/links/a?domain=one.example").await.expect(204);
    bob.post("/api/v1/links", &new(ONE).with("alias", "a").0).await.expect(409);
    bob.get("/api/v1/links/a?domain=one.example").await.expect(404);
    bob.get("/api/v1/links/a?domain=two.example").await.expect(200);
    for reserved in ["api", "Docs", "robots"] {
        bob.post("/api/v1/links", &new(ONE).with("alias", reserved).0).await.expect(422);
    }
}

#[tokio::test]
async fn an_idempotency_key_is_for_one_link_on_one_domain() {
    let server = with_domains().await;
    let client = &server.client;
    let first = keyed(client, "k", &new(ONE).0).await.expect(201).json();
    let again = keyed(client, "k", &new(ONE).0).await.expect(201).json();
    assert_eq!(first["id"], again["id"]);
    for other in [new(TWO), NewLink::to(URL), new(ONE).with("alias", "b")] {
        let refused = keyed(client, "k", &other.0).await.expect(422);
        assert_eq!(refused.code(), "idempotency_key_reused", "{other:?}");
    }
    keyed(client, "own", &NewLink::to(URL).0).await.expect(201);
    let refused = keyed(client, "own", &new(ONE).0).await.expect(422);
    assert_eq!(refused.code(), "idempotency_key_reused");
    let chosen = new(ONE).with("alias", "c");
    let first = keyed(client, "c", &chosen.0).await.expect(201).json();
    assert_eq!(keyed(client, "c", &chosen.0).await.expect(201).json()["id"], first["id"]);
    keyed(client, "c", &new(TWO).with("alias", "c").0).await.expect(422);
    // Also where a link that is there would do.
    let reuse = |domain: &str| new(domain).with("reuse", true);
    client.post("/api/v1/links", &reuse(TWO).0).await.expect(201);
    let made = reuse("default").with("url", "https://example.com/r");
    keyed(client, "r", &made.0).await.expect(201);
    let refused = keyed(client, "r", &reuse(TWO).0).await.expect(422);
    assert_eq!(refused.code(), "idempotency_key_reused");
    // In one request with others.
    let body = json!({ "links": [
        { "url": URL, "domain": ONE, "idempotencyKey": "bulk" },
        { "url": URL, "domain": "three.example" },
    ] });
    for replayed in [false, true] {
        let results = client.post("/api/v1/links/bulk", &body).await.expect(200).json();
        assert_eq!(results["results"][0]["replayed"], replayed);
        assert_eq!(results["results"][0]["link"]["domain"], ONE);
        let wrong = &results["results"][1]["problem"]["errors"][0];
        assert_eq!(wrong["pointer"], "/links/1/domain");
    }
    let short = json!({ "longURL": URL, "domain": ONE });
    let short = client.post("/api/shorten", &short).await.expect(201).json();
    assert!(short["shortURL"].as_str().unwrap().starts_with("https://one.example/"), "{short}");
}

/// Trap 5: a link is reused, or found by its external id, on its own domain only.
#[tokio::test]
async fn trap_5_links_are_found_again_on_their_domain() {
    let server = with_domains().await;
    let client = &server.client;
    let id = |answer: Answer| answer.json()["id"].clone();
    let reuse = |domain: &str| new(domain).with("reuse", true);
    let mut made = Vec::new();
    for domain in ["default", ONE, TWO] {
        made.push(id(client.post("/api/v1/links", &reuse(domain).0).await.expect(201)));
    }
    for (domain, first) in ["default", ONE, TWO].into_iter().zip(&made) {
        let again = client.post("/api/v1/links", &reuse(domain).0).await.expect(200);
        assert_eq!(id(again), *first);
    }
    let named = |domain: &str| new(domain).with("externalId", "e").with("upsert", true);
    for domain in ["default", ONE] {
        let first = client.post("/api/v1/links", &named(domain).0).await.expect(201).json();
        let changed = named(domain).with("title", domain).0;
        let again = client.post("/api/v1/links", &changed).await.expect(200).json();
        assert_eq!((&again["id"], &again["title"]), (&first["id"], &json!(domain)));
    }
}

#[tokio::test]
async fn lists_streams_and_webhooks_take_a_domain() {
    let server = with_domains().await;
    let client = &server.client;
    for domain in ["default", ONE, TWO] {
        client.create(new(domain).with("alias", "a").with("tags", json!(["t"]))).await;
        client.create(new(domain).with("alias", format!("only-{}", &domain[..3]))).await;
    }
    client.caught_up("link_directory").await;
    let listed = async |query: &str| {
        let list = client.get(&format!("/api/v1/links?{query}")).await.expect(200).json();
        let ids = list["data"].as_array().unwrap().iter();
        ids.map(|link| link["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for sort in ["-createdAt", "createdAt", "code", "-clicks"] {
        let mut of_one = listed(&format!("domain={ONE}&sort={sort}")).await;
        of_one.sort();
        assert_eq!(of_one, ["one.example/a", "one.example/only-one"], "{sort}");
    }
    assert_eq!(listed("domain=default&tag=t").await, ["default/a"]);
    assert_eq!(listed("domain=own.example&q=only").await, ["default/only-def"]);
    assert_eq!(listed("").await.len(), 6);
    client.get("/api/v1/links?domain=three.example").await.expect(400);
    // One after the other, page by page.
    let first = client.get("/api/v1/links?domain=two.example&limit=1").await.expect(200).json();
    let cursor = first["nextCursor"].as_str().unwrap();
    let next = listed(&format!("domain=two.example&limit=1&cursor={cursor}")).await;
    assert_eq!(next, ["two.example/a"]);
    visit(client, ONE, "/a").await.expect(302);
    for (topic, count) in [("links", 1), ("clicks", 1)] {
        let of = |link: &str| format!("/api/v1/events?topic={topic}&link={link}");
        let request = client.authorized(Method::GET, &of("one.example/a"));
        let events =
            client.send(request.header("accept", "application/x-ndjson")).await.expect(200);
        assert_eq!(events.body.lines().count(), count, "{topic}");
    }
    let webhook =
        client.post("/api/v1/webhooks", &webhook_to("one.example/a")).await.expect(201).json();
    assert_eq!(webhook["link"], "one.example/a");
    let path = format!("/api/v1/webhooks/{}", webhook["id"].as_str().unwrap());
    for (link, kept) in [("own.example/a", "a"), ("ONE.example/a", "one.example/a"), ("a", "a")] {
        let changed = client.patch(&path, &json!({ "link": link })).await.expect(200).json();
        assert_eq!(changed["link"], kept, "{link}");
        let mut new = webhook_to(link);
        let made = client.post("/api/v1/webhooks", &new).await.expect(201).json();
        assert_eq!(made["link"], kept, "{link}");
        new["link"] = json!("three.example/a");
        let refused = client.post("/api/v1/webhooks", &new).await.expect(422).json();
        assert_eq!(refused["errors"][0]["code"], "unknown_domain");
    }
    client.get("/api/v1/events?link=three.example/a").await.expect(400);
    let past = json!({ "code": "one.example/a", "at": "2026-01-01T00:00:00Z", "importId": "1" });
    client.import_clicks("s", &[past]).await;
    let own = json!({ "code": "OWN.example/a", "at": "2026-01-01T00:00:00Z", "importId": "2" });
    client.import_clicks("s", &[own]).await;
    assert_eq!(client.stats("a", "").await["totalClicks"], 1);
    assert_eq!(client.stats("a", "domain=one.example").await["totalClicks"], 2);
    // And those of all links of a domain together.
    for (domain, clicks) in [("default", 1), ("OWN.example", 1), ("one.example", 2)] {
        let path = format!("/api/v1/stats?domain={domain}");
        assert_eq!(client.get(&path).await.expect(200).json()["totalClicks"], clicks, "{domain}");
    }
    client.get("/api/v1/stats?domain=three.example").await.expect(400);
}
