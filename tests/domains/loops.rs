//! Fault 8 of link platforms: the service redirects to itself.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ONE, TWO, URL, add, settings, visit, with_domains};
use crate::support::NewLink;

/// Bodies of links that lead to a URL, each in another way.
fn leading_to(url: &str) -> Vec<Value> {
    let rule = json!({ "when": { "visitor": "bot" }, "url": url });
    let split = json!([{ "name": "a", "weight": 1 }, { "name": "b", "weight": 0, "url": url }]);
    vec![
        json!({ "url": url }),
        json!({ "url": URL, "expiredUrl": url }),
        json!({ "url": URL, "rules": [rule] }),
        json!({ "url": URL, "split": split }),
    ]
}

#[tokio::test]
async fn trap_8_no_destination_is_on_any_of_our_domains() {
    let server = with_domains().await;
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "kept")).await;
    client.create(NewLink::to(URL).with("alias", "kept").with("domain", ONE)).await;
    for url in ["https://one.example/x", "http://TWO.example.:8080/", "https://own.example/kept"] {
        for body in leading_to(url) {
            let on_two = {
                let mut body = body.clone();
                body["domain"] = json!(TWO);
                body
            };
            for (method, path, body) in [
                (Method::POST, "/api/v1/links", &body),
                (Method::POST, "/api/v1/links", &on_two),
                (Method::PATCH, "/api/v1/links/kept", &body),
                (Method::PATCH, "/api/v1/links/kept?domain=one.example", &body),
                (Method::POST, "/api/v1/links/bulk", &json!({ "links": [body] })),
            ] {
                let answer = client.send(client.authorized(method, path).json(body)).await.json();
                let said = answer["results"].get(0).map_or(&answer, |one| &one["problem"]);
                assert_eq!(said["errors"][0]["code"], "loop", "{path} {body}: {answer}");
            }
        }
        let short = client.post("/api/shorten", &json!({ "longURL": url })).await.expect(422);
        assert_eq!(short.json()["errors"][0]["code"], "loop");
        for field in ["defaultUrl", "notFoundUrl"] {
            for path in ["/api/v1/domains/default", "/api/v1/domains/one.example"] {
                let answer = client.patch(path, &json!({ field: url })).await.expect(422).json();
                assert_eq!(answer["errors"][0]["code"], "loop", "{path} {field} {url}");
            }
            let body = json!({ "name": "new.example", field: url });
            let answer = client.post("/api/v1/domains", &body).await.expect(422).json();
            assert_eq!(answer["errors"][0]["code"], "loop", "{field} {url}");
        }
    }
    let itself = json!({ "name": "new.example", "defaultUrl": "https://new.example/" });
    client.post("/api/v1/domains", &itself).await.expect(422);
}

/// What links lead to may become a domain of ours later: then nobody is sent round, and no click is counted.
#[tokio::test]
async fn trap_8_a_link_that_leads_to_what_became_ours_is_not_followed() {
    let server = settings().start();
    let client = &server.client;
    for (place, body) in leading_to("https://one.example/x").into_iter().enumerate() {
        let mut body = body;
        body["alias"] = json!(format!("a{place}"));
        client.post("/api/v1/links", &body).await.expect(201);
    }
    let ended = json!({ "alias": "ended", "url": URL, "expiredUrl": "https://one.example/", "maxClicks": 1 });
    client.post("/api/v1/links", &ended).await.expect(201);
    let said =
        json!({ "defaultUrl": "https://one.example/", "notFoundUrl": "https://one.example/" });
    client.patch("/api/v1/domains/default", &said).await.expect(200);
    client.visit("/a0").await.expect(302);
    client.visit("/ended").await.expect(302);
    client.visit("/ended").await.expect(302);
    add(client, json!({ "name": ONE })).await;
    let looped = client.visit("/a0").await.expect(508);
    assert_eq!(looped.code(), "loop");
    client.visit("/ended").await.expect(508);
    client.visit("/").await.expect(508);
    client.visit("/nobody").await.expect(508);
    let bot = client.get_with("/a2", &[("user-agent", "Googlebot/2.1")]);
    client.send(bot).await.expect(508);
    client.visit("/a2").await.expect(302);
    assert_eq!(client.stats("a0", "").await["totalClicks"], 1);
    // Whoever owns it can lead it elsewhere.
    client.patch("/api/v1/links/a0", &json!({ "url": URL })).await.expect(200);
    client.visit("/a0").await.expect(302);
    client.delete("/api/v1/domains/one.example").await.expect(204);
    client.visit("/ended").await.expect(302);
    visit(client, ONE, "/a0").await.expect(404);
}
