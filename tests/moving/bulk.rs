//! What imports are made of, for those who write one of their own: dry runs, and clicks that know their country.

use serde_json::{Value, json};

use crate::support::{NewLink, Server};

/// A dry run says what the real one will say, and leaves nothing behind.
#[tokio::test]
async fn a_dry_run_foresees_what_a_bulk_does() {
    let server = Server::start();
    let client = &server.client;
    client
        .create(NewLink::to("https://example.com/").with("alias", "taken").with("externalId", "id"))
        .await;
    let links = json!([
        {"url": "https://example.com/", "alias": "free", "idempotencyKey": "free"},
        {"url": "https://example.com/"},
        {"url": "https://example.com/", "alias": "taken"},
        {"url": "https://example.com/", "alias": "other", "externalId": "id"},
        {"url": "https://example.com/", "alias": "old", "expiresAt": "2020-01-01T00:00:00Z"},
        {"url": format!("{}/taken", server.url), "alias": "loop"},
        {"url": "https://example.com/", "alias": "locked", "password": "sesame"},
        {"url": "nonsense", "alias": "x/y"},
    ]);
    let heads = client.heads().await;
    let bulk = async |dry_run: bool| -> Vec<Value> {
        let body = json!({ "links": links, "dryRun": dry_run });
        let answer = client.post("/api/v1/links/bulk", &body).await.expect(200).json();
        answer["results"].as_array().unwrap().clone()
    };
    let said = |results: &[Value]| -> Vec<(Value, Value)> {
        results.iter().map(|one| (one["status"].clone(), one["problem"].clone())).collect()
    };
    let dry = bulk(true).await;
    assert_eq!(client.heads().await, heads);
    assert!(dry.iter().all(|one| one["link"].is_null() && one["replayed"] == false), "{dry:?}");
    let statuses: Vec<u64> = dry.iter().map(|one| one["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 201, 409, 409, 422, 422, 201, 422]);
    let done = bulk(false).await;
    assert_eq!(said(&done), said(&dry));
    let heads = client.heads().await;
    let again = bulk(true).await;
    assert_eq!((&again[0]["replayed"], &again[0]["link"]["code"]), (&true.into(), &"free".into()));
    assert_eq!(again[6]["problem"]["code"], "code_taken", "without a key it is another request");
    assert_eq!(client.heads().await, heads);
}

#[tokio::test]
async fn a_dry_run_is_of_creations() {
    let server = Server::start();
    let link =
        |field: &str| json!({"url": "https://example.com/", "externalId": "id", field: true});
    let body = json!({ "links": [link("upsert"), link("reuse")], "dryRun": true });
    let answer = server.client.post("/api/v1/links/bulk", &body).await.expect(200).json();
    for (place, field) in [(0, "upsert"), (1, "reuse")] {
        let error = &answer["results"][place]["problem"]["errors"][0];
        assert_eq!(error["pointer"], format!("/links/{place}/{field}"), "{answer}");
        assert_eq!(error["code"], "conflict");
    }
    let body = json!({ "links": [link("archived")], "dryRun": "yes" });
    server.client.post("/api/v1/links/bulk", &body).await.expect(422);
}

/// Sources that drop addresses keep the country; an address that is there goes before it.
#[tokio::test]
async fn a_click_of_the_past_knows_its_country() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    let click = |id: &str, more: Value| {
        let mut click = json!({"code": "a", "at": "2024-01-01T00:00:00Z", "importId": id});
        click.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        click
    };
    let clicks = [
        click("1", json!({"country": "JP"})),
        click("2", json!({"country": "JP", "address": "193.0.6.139"})),
        click("3", json!({"country": null})),
    ];
    client.import_clicks("test", &clicks).await;
    let stats = client.stats("a", "to=2024-12-31").await;
    let mut countries: Vec<&str> = stats["countries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["value"].as_str().unwrap())
        .collect();
    countries.sort_unstable();
    assert_eq!(countries, ["", "JP", "NL"]);
    for wrong in ["jp", "JPN", "Japan", ""] {
        let body = json!({"source": "test", "clicks": [click("4", json!({"country": wrong}))]});
        let refused = client.post("/api/v1/clicks/import", &body).await.expect(422).json();
        assert_eq!(refused["errors"][0]["pointer"], "/clicks/0/country", "{refused}");
    }
}
