//! The promise: links do what the contract says: once per key, seen at once, changed by whom they
//! belong to and only as they were.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, NewLink, Server};

const URL: &str = "https://example.com/";

/// Creates a link under an idempotency key.
async fn create_once(client: &Client, key: &str, body: &Value) -> Answer {
    let request = client.authorized(Method::POST, "/api/v1/links").json(body);
    client.send(request.header("idempotency-key", key)).await
}

fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    let items = list["data"].as_array().unwrap();
    items.iter().map(|item| item[field].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_link_is_answered_with_all_it_has() {
    let server = Server::start();
    let wanted = json!({
        "url": "https://bücher.example/a?b=c", "alias": "all", "expiresIn": "7d", "redirect": 307,
        "title": "All", "tags": ["b", "a", "b"], "note": "Two\nlines", "externalId": "x:1",
    });
    let answer = server.client.post("/api/v1/links", &wanted).await.expect(201);
    let link = answer.json();
    assert_eq!(link["url"], "https://xn--bcher-kva.example/a?b=c", "hosts are stored in punycode");
    assert_eq!(link["shortUrl"], format!("{}/all", server.url));
    assert_eq!(link["tags"], json!(["a", "b"]));
    assert_eq!((&link["state"], &link["version"]), (&json!("active"), &json!(1)));
    assert_eq!(link["clicks"], json!({ "total": 0, "humans": 0, "bots": 0 }));
    assert!(link["id"].is_string(), "U16: ids are texts");
    assert_eq!(answer.header("etag"), "\"1\"");
    assert_eq!(answer.header("location"), "/api/v1/links/all");
    let shown = server.client.get("/api/v1/links/all").await.expect(200);
    assert_eq!(shown.json(), link);
    assert_eq!(shown.header("etag"), "\"1\"");
}

#[tokio::test]
async fn the_same_request_with_the_same_key_is_done_once() {
    let server = Server::start();
    let client = &server.client;
    let body = json!({ "url": URL, "title": "once" });
    let answers = (0..16).map(|_| create_once(client, "k1", &body));
    let answers = futures::future::join_all(answers).await;
    let first = answers[0].clone().expect(201).json();
    for answer in answers {
        assert_eq!(answer.expect(201).json(), first, "every retry gets the first answer");
    }
    // Also after the link has changed, and after a kill.
    let path = format!("/api/v1/links/{}", first["code"].as_str().unwrap());
    client.patch(&path, &json!({ "title": "changed" })).await.expect(200);
    let server = server.kill().start();
    let client = &server.client;
    let again = create_once(client, "k1", &body).await.expect(201).json();
    assert_eq!((&again["code"], &again["title"]), (&first["code"], &first["title"]));
    let other = create_once(client, "k1", &json!({ "url": URL, "title": "twice" })).await;
    assert_eq!(other.expect(422).code(), "idempotency_key_reused");
    create_once(client, "k2", &body).await.expect(201);
    client.caught_up("link_directory").await;
    let list = client.get("/api/v1/links").await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 2, "{list}");
}

/// The key of one owner says nothing about another's.
#[tokio::test]
async fn idempotency_keys_are_each_owners_own() {
    let server = Server::start();
    let [one, other] = [
        server.client.keyed("one", &["links:write"]).await,
        server.client.keyed("other", &["links:write"]).await,
    ];
    let body = json!({ "url": URL });
    let first = create_once(&one, "k", &body).await.expect(201).json();
    let second = create_once(&other, "k", &body).await.expect(201).json();
    assert_ne!(first["code"], second["code"]);
    assert_eq!((&first["owner"], &second["owner"]), (&json!("one"), &json!("other")));
}

#[tokio::test]
async fn a_change_is_made_only_to_the_version_it_was_meant_for() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a")).await;
    let change = |tag: &'static str, title: &'static str| async move {
        let request = client.authorized(Method::PATCH, "/api/v1/links/a");
        let request = request.header("if-match", tag).json(&json!({ "title": title }));
        client.send(request).await
    };
    let changed = change("\"1\"", "two").await.expect(200);
    assert_eq!(changed.header("etag"), "\"2\"");
    assert_eq!(change("\"1\"", "three").await.expect(412).code(), "version_mismatch");
    change("*", "four").await.expect(200);
    change("\"1\", \"3\"", "five").await.expect(200);
    change("*", "four").await.expect(200);
    let delete = client.authorized(Method::DELETE, "/api/v1/links/a").header("if-match", "\"2\"");
    client.send(delete).await.expect(412);
    assert_eq!(client.get("/api/v1/links/a").await.json()["title"], "four");
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_clears() {
    let server = Server::start();
    let client = &server.client;
    let link = NewLink::to(URL).with("alias", "a").with("title", "t").with("note", "n");
    client.create(link.with("tags", vec!["x"]).with("expiresIn", "1d")).await;
    let patch = json!({ "title": null, "tags": ["y"], "expiresAt": null });
    let link = client.patch("/api/v1/links/a", &patch).await.expect(200).json();
    assert_eq!((&link["title"], &link["note"]), (&Value::Null, &json!("n")));
    assert_eq!((&link["tags"], &link["expiresAt"]), (&json!(["y"]), &Value::Null));
    let heads = client.heads().await;
    client.patch("/api/v1/links/a", &patch).await.expect(200);
    client.patch("/api/v1/links/a", &json!({})).await.expect(200);
    assert_eq!(client.heads().await, heads, "what changes nothing is no event");
}

#[tokio::test]
async fn a_query_with_the_position_of_a_command_sees_it() {
    let server = Server::start();
    let client = &server.client;
    for n in 0..30 {
        let body = NewLink::to(URL).with("title", format!("t{n}")).0;
        let position = client.post("/api/v1/links", &body).await.expect(201).position();
        let list = client.authorized(Method::GET, "/api/v1/links?limit=1");
        let list = client.send(list.header("hoplog-position", position)).await.expect(200).json();
        assert_eq!(list["data"][0]["title"], format!("t{n}"));
    }
}

#[tokio::test]
async fn pages_cover_every_link_once_whatever_is_created_meanwhile() {
    let server = Server::start();
    let client = &server.client;
    let links: Vec<Value> = (0..95).map(|n| json!({ "url": format!("{URL}{n}") })).collect();
    client.post("/api/v1/links/bulk", &json!({ "links": links })).await.expect(200);
    client.caught_up("link_directory").await;
    for sort in ["-createdAt", "createdAt", "code", "-clicks"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/links?limit=10&sort={sort}{cursor}");
            let page = client.get(&path).await.expect(200).json();
            seen.extend(texts(&page, "url").into_iter().map(str::to_owned));
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
            let fresh = NewLink::to("https://example.org/").0;
            client.post("/api/v1/links", &fresh).await.expect(201);
        }
        let old = seen.iter().filter(|url| url.starts_with(URL)).collect::<Vec<_>>();
        let unique: HashSet<_> = old.iter().collect();
        assert_eq!((old.len(), unique.len()), (95, 95), "sorted by {sort}");
    }
}

#[tokio::test]
async fn lists_are_filtered() {
    let server = Server::start();
    let client = &server.client;
    for (alias, url, tag) in
        [("one", "https://a.example/x", "red"), ("two", "https://b.example/y", "blue")]
    {
        client.create(NewLink::to(url).with("alias", alias).with("tags", vec![tag])).await;
    }
    client.post("/api/v1/links/two/disable", &json!({})).await.expect(200);
    client.create(NewLink::to(URL).with("alias", "gone")).await;
    client.delete("/api/v1/links/gone").await.expect(204);
    client.caught_up("link_directory").await;
    for (query, expected) in [
        ("", &["one", "two"][..]),
        ("tag=red", &["one"]),
        ("tag=green", &[]),
        ("state=disabled", &["two"]),
        ("state=deleted", &["gone"]),
        ("q=b.exam", &["two"]),
        ("q=%25", &[]),
        ("q=_", &[]),
        ("url=https://a.example/x", &["one"]),
        ("createdAfter=2099-01-01T00:00:00Z", &[]),
        ("createdBefore=2099-01-01T00:00:00Z&state=active", &["one"]),
    ] {
        let list = client.get(&format!("/api/v1/links?sort=code&{query}")).await.expect(200).json();
        assert_eq!(texts(&list, "code"), expected, "{query}");
    }
}

/// Trap 5 (U14): only the owner's own, live link with the same end is reused.
#[tokio::test]
async fn trap_5_a_link_is_reused_only_where_it_is_the_same() {
    let server = Server::start();
    let one = server.client.keyed("one", &["links:write", "links:read"]).await;
    let other = server.client.keyed("other", &["links:write"]).await;
    let wanted = json!({ "url": URL, "reuse": true });
    let reuse = |client: Client, body: Value| async move {
        let answer = client.post("/api/v1/links", &body).await;
        (answer.status.as_u16(), answer.json()["code"].as_str().unwrap().to_owned())
    };
    let (status, first) = reuse(one.clone(), wanted.clone()).await;
    assert_eq!(status, 201);
    assert_eq!(reuse(one.clone(), wanted.clone()).await, (200, first.clone()), "at once");
    assert_eq!(reuse(other, wanted.clone()).await.0, 201, "somebody else's");
    let expiring = json!({ "url": URL, "reuse": true, "expiresAt": "2100-01-01T00:00:00Z" });
    let (status, ending) = reuse(one.clone(), expiring.clone()).await;
    assert_eq!(status, 201, "another end");
    assert_eq!(reuse(one.clone(), expiring).await, (200, ending), "the same end");
    for previous in 0..3 {
        let (status, code) = reuse(one.clone(), wanted.clone()).await;
        assert_eq!(status, if previous == 0 { 200 } else { 201 }, "a disabled one");
        assert_eq!(reuse(one.clone(), wanted.clone()).await, (200, code.clone()));
        one.post(&format!("/api/v1/links/{code}/disable"), &json!({})).await.expect(200);
    }
    // One that leads elsewhere by now is another link.
    let (_, code) = reuse(one.clone(), wanted.clone()).await;
    let change = json!({ "url": "https://example.org/" });
    one.patch(&format!("/api/v1/links/{code}"), &change).await.expect(200);
    assert_eq!(reuse(one.clone(), wanted).await.0, 201, "an edited one");
}

/// Trap 5 (U14): to look and then to make is no race either.
#[tokio::test]
async fn trap_5_of_many_who_want_to_reuse_one_makes_the_link() {
    let server = Server::start();
    let client = &server.client;
    let body = json!({ "url": URL, "reuse": true });
    let all = (0..32).map(|_| client.post("/api/v1/links", &body));
    let all = futures::future::join_all(all).await;
    let code = |answer: &Answer| answer.json()["code"].as_str().unwrap().to_owned();
    let codes: HashSet<String> = all.iter().map(code).collect();
    assert_eq!(codes.len(), 1, "{codes:?}");
    assert_eq!(all.iter().filter(|answer| answer.status == 201).count(), 1);
    // In one request, too; and what is found has its clicks and a position.
    let twice = json!({ "links": [body, body, { "url": format!("{URL}2"), "reuse": true }] });
    let results =
        client.post("/api/v1/links/bulk", &twice).await.expect(200).json()["results"].clone();
    let statuses: Vec<u64> =
        results.as_array().unwrap().iter().map(|it| it["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 200, 201]);
    for _ in 0..3 {
        client.visit(&format!("/{}", code(&all[0]))).await.expect(302);
    }
    client.caught_up("click_statistics").await;
    let found = client.post("/api/v1/links", &body).await.expect(200);
    assert_eq!(found.json()["clicks"]["total"], 3);
    assert!(!found.position().is_empty());
}

/// Trap 3 (U11): one atomic claim.
#[tokio::test]
async fn trap_3_of_many_who_want_an_alias_one_gets_it() {
    let server = Server::start();
    let body = json!({ "url": URL, "alias": "wanted" });
    let claims = (0..64).map(|_| server.client.post("/api/v1/links", &body));
    let answers = futures::future::join_all(claims).await;
    let won = answers.iter().filter(|answer| answer.status == 201).count();
    let lost = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!((won, lost), (1, 63));
}

#[tokio::test]
async fn ten_thousand_links_are_made_in_one_request() {
    let server = Server::start();
    let links: Vec<Value> =
        (0..10_000).map(|n| json!({ "url": format!("{URL}{n}"), "tags": ["bulk"] })).collect();
    let answer = server.client.post("/api/v1/links/bulk", &json!({ "links": links })).await;
    let answer = answer.expect(200).json();
    let results = answer["results"].as_array().unwrap();
    let codes: HashSet<_> =
        results.iter().map(|result| result["link"]["code"].as_str().unwrap()).collect();
    assert_eq!((results.len(), codes.len()), (10_000, 10_000));
    assert!(results.iter().all(|result| result["status"] == 201));
    for place in [0, 4_999, 9_999] {
        let code = results[place]["link"]["code"].as_str().unwrap();
        let answer = server.client.visit(&format!("/{code}")).await.expect(302);
        assert_eq!(answer.header("location"), format!("{URL}{place}"));
    }
}

#[tokio::test]
async fn the_history_says_who_changed_what() {
    let server = Server::start();
    let editor = server.client.keyed("one", &["links:write", "links:read"]).await;
    let code = editor.code(NewLink::to(URL)).await;
    let path = format!("/api/v1/links/{code}");
    editor.patch(&path, &json!({ "url": "https://example.org/" })).await.expect(200);
    server.client.post(&format!("{path}/disable"), &json!({})).await.expect(200);
    editor.delete(&path).await.expect(204);
    let history = editor.get(&format!("{path}/history")).await.expect(200).json();
    let types = texts(&history, "type");
    assert_eq!(
        types,
        [
            "hoplog.link.created.v2",
            "hoplog.link.destination-changed.v1",
            "hoplog.link.disabled.v1",
            "hoplog.link.deleted.v1",
        ]
    );
    let actors = texts(&history, "actor");
    assert!(actors[0].starts_with("key:") && actors[0] == actors[1] && actors[1] != actors[2]);
    assert_eq!(history["data"][1]["data"], json!({ "url": "https://example.org/" }));
    assert_eq!(texts(&history, "streamversion"), ["1", "2", "3", "4"]);
    // Page by page it is the same.
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = editor.get(&format!("{path}/history?limit=3{cursor}")).await.expect(200).json();
        paged.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["nextCursor"].as_str() else { break };
        assert_eq!(page["data"].as_array().unwrap().len(), 3, "{page}");
        cursor = format!("&cursor={next}");
    }
    assert_eq!((json!(paged), cursor.is_empty()), (history["data"].clone(), false));
    assert_eq!(history["nextCursor"], Value::Null);
}

/// The short forms do what the long ones do.
#[tokio::test]
async fn the_short_forms_work() {
    let server = Server::start();
    let client = &server.client;
    let body = json!({ "longURL": URL, "customAlias": "short", "expiresIn": 3_600 });
    let answer = client.post("/api/shorten", &body).await.expect(201).json();
    assert_eq!(answer["shortURL"], format!("{}/short", server.url));
    client.visit("/short").await.expect(302);
    client.caught_up("click_statistics").await;
    let analytics = client.get("/api/analytics/short").await.expect(200).json();
    assert_eq!(analytics["totalClicks"], 1);
    assert_eq!(analytics["clicksByDay"][0]["clicks"], 1);
    assert_eq!(analytics["clicksByDevice"][0]["value"], "desktop");
    assert_eq!(analytics["clicksByCountry"].as_array().unwrap().len(), 1);
}
