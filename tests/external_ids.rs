//! The promise: a name in its owner's own system leads to one link, whoever gives it at the same moment, and a
//! link can be kept as that system wants it without looking whether it is there.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, NewLink, Server, Settings};

const URL: &str = "https://example.com/";

fn wanted(external_id: &str) -> Value {
    json!({ "url": URL, "externalId": external_id, "upsert": true })
}

async fn upsert(client: &Client, body: &Value) -> Answer {
    client.post("/api/v1/links", body).await
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap().to_owned()
}

/// The codes of the links that have an external id.
async fn having(client: &Client, external_id: &str) -> Vec<String> {
    client.caught_up("link_directory").await;
    let path = format!("/api/v1/links?externalId={external_id}");
    let list = client.get(&path).await.expect(200).json();
    let links = list["data"].as_array().unwrap().iter();
    links.map(|link| link["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_upsert_creates_a_link_once_and_changes_it_from_then_on() {
    let server = Server::start();
    let client = &server.client;
    let mut body = wanted("crm:1");
    body["title"] = "t".into();
    body["note"] = "n".into();
    let made = upsert(client, &body).await.expect(201);
    let heads = client.heads().await;
    let again = upsert(client, &body).await.expect(200);
    assert_eq!(again.json(), made.json(), "what changes nothing is no event");
    assert_eq!(client.heads().await, heads);
    let change = json!({
        "url": "https://example.org/", "externalId": "crm:1", "upsert": true, "title": null,
        "tags": ["x"],
    });
    let changed = upsert(client, &change).await.expect(200);
    assert_eq!(changed.header("etag"), "\"4\"");
    let link = changed.json();
    assert_eq!((&link["url"], &link["title"]), (&json!("https://example.org/"), &Value::Null));
    assert_eq!(
        (&link["note"], &link["tags"]),
        (&json!("n"), &json!(["x"])),
        "not given: as it was"
    );
    let visit = client.visit(&format!("/{}", code(&made))).await.expect(302);
    assert_eq!(visit.header("location"), "https://example.org/", "at once");
    assert_eq!(having(client, "crm:1").await, [code(&made)]);
    // Its code stays what it is.
    let mut other = wanted("crm:1");
    other["alias"] = "other".into();
    assert_eq!(upsert(client, &other).await.expect(409).code(), "external_id_taken");
    other["alias"] = code(&made).into();
    upsert(client, &other).await.expect(200);
    client.verify_read_models().await;
}

#[tokio::test]
async fn an_external_id_belongs_to_one_link_of_an_owner() {
    let server = Server::start();
    let client = &server.client;
    let plain = NewLink::to(URL).with("externalId", "e").0;
    let first = code(&client.post("/api/v1/links", &plain).await.expect(201));
    let taken = client.post("/api/v1/links", &plain).await.expect(409);
    assert_eq!(taken.code(), "external_id_taken");
    assert!(taken.json()["detail"].as_str().unwrap().contains(&first), "{taken:?}");
    client.create(NewLink::to(URL).with("alias", "other")).await;
    let patch = json!({ "externalId": "e" });
    client.patch("/api/v1/links/other", &patch).await.expect(409);
    let bob = client.keyed("bob", &["links:read", "links:write"]).await;
    let bobs = bob.post("/api/v1/links", &plain).await.expect(201);
    assert_ne!(code(&bobs), first, "another owner's is another one");
    client.delete(&format!("/api/v1/links/{first}")).await.expect(204);
    client.patch("/api/v1/links/other", &patch).await.expect(200);
    assert_eq!(code(&upsert(client, &wanted("e")).await.expect(200)), "other");
    client.patch("/api/v1/links/other", &json!({ "externalId": null })).await.expect(200);
    upsert(client, &wanted("e")).await.expect(201);
    // What can't be meant.
    for (body, pointer) in [
        (json!({ "url": URL, "upsert": true }), "/externalId"),
        (json!({ "url": URL, "upsert": true, "externalId": "e", "reuse": true }), "/reuse"),
        (json!({ "url": URL, "upsert": "yes", "externalId": "e" }), "/upsert"),
        (json!({ "upsert": true, "externalId": "e" }), "/url"),
    ] {
        let refused = upsert(client, &body).await.expect(422).json();
        let errors = refused["errors"].as_array().unwrap();
        assert_eq!((errors.len(), &errors[0]["pointer"]), (1, &json!(pointer)), "{refused}");
    }
}

#[tokio::test]
async fn an_upsert_under_an_idempotency_key_is_done_once() {
    let server = Server::start();
    let client = &server.client;
    let once = async |key: &str, body: &Value| {
        let request = client.authorized(Method::POST, "/api/v1/links").json(body);
        client.send(request.header("idempotency-key", key)).await
    };
    let made = once("k1", &wanted("e")).await.expect(201);
    let mut change = wanted("e");
    change["title"] = "t".into();
    let changed = once("k2", &change).await.expect(200);
    client
        .patch(&format!("/api/v1/links/{}", code(&made)), &json!({ "title": "u" }))
        .await
        .expect(200);
    let heads = client.heads().await;
    for (key, body, first) in [("k1", &wanted("e"), &made), ("k2", &change, &changed)] {
        let again = once(key, body).await;
        assert_eq!((again.status, again.json()), (first.status, first.json()), "{key}");
        assert_eq!(again.position(), first.position(), "{key}");
    }
    assert_eq!(client.heads().await, heads);
}

/// U11, U14: two creators on two nodes at the same moment make one link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_want_one_external_id_make_one_link() {
    let settings = Settings::production();
    let second = settings.another_node();
    let (one, two) = (settings.start(), second.start());
    for n in 0..20 {
        let mut body = wanted(&format!("e{n}"));
        if n % 2 == 0 {
            body["alias"] = format!("chosen{n}").into();
        }
        let (first, second) = tokio::join!(upsert(&one.client, &body), upsert(&two.client, &body));
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 201], "{first:?} {second:?}");
        assert_eq!(code(&first), code(&second));
        // And so of two links that are there.
        let (x, y) = (format!("x{n}"), format!("y{n}"));
        one.client.create(NewLink::to(URL).with("alias", x.as_str())).await;
        two.client.create(NewLink::to(URL).with("alias", y.as_str())).await;
        let patch = json!({ "externalId": format!("f{n}") });
        let (x, y) = (format!("/api/v1/links/{x}"), format!("/api/v1/links/{y}"));
        let (first, second) =
            tokio::join!(one.client.patch(&x, &patch), two.client.patch(&y, &patch));
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{first:?} {second:?}");
    }
    for n in 0..20 {
        assert_eq!(having(&one.client, &format!("e{n}")).await.len(), 1);
        assert_eq!(having(&one.client, &format!("f{n}")).await.len(), 1);
    }
    one.client.verify_read_models().await;
}

#[tokio::test]
async fn links_are_upserted_in_bulk_from_files_and_by_hand() {
    let server = Server::start();
    let client = &server.client;
    let links: Vec<Value> = (0..30).map(|n| wanted(&format!("e{}", n % 3))).collect();
    let answer = client.post("/api/v1/links/bulk", &json!({ "links": links })).await.expect(200);
    let results = answer.json()["results"].as_array().unwrap().clone();
    let codes: BTreeSet<String> =
        results.iter().map(|result| result["link"]["code"].as_str().unwrap().to_owned()).collect();
    assert_eq!(codes.len(), 3, "{codes:?}");
    assert_eq!(results.iter().filter(|result| result["status"] == 201).count(), 3);
    assert_eq!(results.iter().filter(|result| result["status"] == 200).count(), 27);
    // Those with one external id in their order: the last one is what stays.
    let links: Vec<Value> = (0..60)
        .map(|n| {
            let mut link = wanted(&format!("o{}", n % 2));
            link["title"] = format!("t{n}").into();
            link
        })
        .collect();
    let answer = client.post("/api/v1/links/bulk", &json!({ "links": links })).await.expect(200);
    for (n, result) in answer.json()["results"].as_array().unwrap().iter().enumerate() {
        assert_eq!(result["status"], if n < 2 { 201 } else { 200 }, "{result}");
        assert_eq!(result["link"]["title"], format!("t{n}"), "{result}");
        assert_eq!(result["link"]["version"], n / 2 + 1, "{result}");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("links.csv");
    let import = |rows: &str| {
        std::fs::write(&file, rows).unwrap();
        let path = file.to_str().unwrap();
        let told = server.cli_ok(&["import", "links", path, "--upsert", "--json"]);
        let told: Value = serde_json::from_str(&told).unwrap();
        ["created", "updated", "known", "failed"].map(|what| told[what].as_u64().unwrap())
    };
    let rows = format!("url,externalId,title\n{URL},e0,changed\n{URL},new,first\n");
    assert_eq!(import(&rows), [1, 1, 0, 0]);
    let heads = client.heads().await;
    assert_eq!(import(&rows), [0, 2, 0, 0]);
    assert_eq!(client.heads().await, heads, "a second run adds nothing");
    let [new] = &having(client, "new").await[..] else { panic!("one link") };
    // There and back, and over what was changed by hand.
    let path = format!("/api/v1/links/{new}");
    for title in ["second", "first", "by hand", "first", "second"] {
        if title == "by hand" {
            client.patch(&path, &json!({ "title": title })).await.expect(200);
        } else {
            assert_eq!(import(&rows.replace("first", title)), [0, 2, 0, 0]);
        }
        assert_eq!(client.get(&path).await.expect(200).json()["title"], title);
    }
    let shown = client.get(&format!("/api/v1/links/{new}")).await.expect(200).json();
    assert_eq!(shown["title"], "second");
    let create = ["link", "create", URL, "--upsert", "--external-id", "new", "--title", "third"];
    assert_eq!(server.cli_ok(&create).trim(), format!("{}/{new}", server.url));
    let shown = client.get(&format!("/api/v1/links/{new}")).await.expect(200).json();
    assert_eq!(shown["title"], "third");
    assert!(server.cli_ok(&["link", "list", "--external-id", "new"]).contains(new.as_str()));
    assert_eq!(server.cli(&["link", "create", URL, "--upsert"]).status.code(), Some(2));
}
