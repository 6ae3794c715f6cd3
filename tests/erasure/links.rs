//! What people wrote in a link.

use super::*;
use crate::support::{Manner, Received, Receiver};

/// What is to be found nowhere.
const SECRETS: [&str; 9] = [
    "telltale-first",
    "telltale-second",
    "Telltale title",
    "Another telltale",
    "telltale note",
    "telltale-tag",
    "telltale-label",
    "telltale-external",
    "telltale-later",
];

const TYPES: [&str; 4] =
    ["hoplog.link.created", "hoplog.link.titled", "hoplog.link.deleted", "hoplog.link.erased"];

/// A link with something telling in every field, and in everything that it ever was.
async fn telltale(client: &Client, code: &str) {
    let link =
        NewLink::to("https://telltale-first.example/?utm_campaign=counted").with("alias", code);
    let link = link.with("title", "Telltale title").with("note", "telltale note");
    let link = link.with("expiredUrl", "https://telltale-later.example/");
    client
        .create(
            link.with("tags", json!(["telltale-tag"]))
                .with("externalId", format!("telltale-external-{code}")),
        )
        .await;
    let change = json!({
        "url": "https://telltale-second.example/", "title": "Another telltale", "tags": ["telltale-label"],
    });
    client.patch(&format!("/api/v1/links/{code}"), &change).await.expect(200);
}

async fn subscribe(client: &Client, receiver: &Receiver) -> Value {
    let body = json!({ "url": receiver.url, "types": TYPES });
    client.post("/api/v1/webhooks", &body).await.expect(201).json()
}

fn bodies(messages: &[Received]) -> String {
    messages.iter().map(|message| message.body.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_link_is_counted_and_nothing_else() {
    let server = settings().start();
    let client = &server.client;
    let (quick, stuck) =
        (Receiver::start(Manner::Takes("")).await, Receiver::start(Manner::Says(500)).await);
    subscribe(client, &quick).await;
    let webhook = subscribe(client, &stuck).await;
    telltale(client, "gone").await;
    client
        .create(NewLink::to("https://stays.example/").with("alias", "stays").with("title", "Stays"))
        .await;
    for n in 0..20 {
        visit(client, "gone", if n % 3 == 0 { AGENT } else { OTHER_AGENT }, ADDRESS).await;
        visit(client, "stays", OTHER_AGENT, OTHER_ADDRESS).await;
    }
    // What is kept of a message that failed, of one that was delivered, and of tables before.
    stuck.until("a message", |all| all.iter().any(|it| it.body.contains("telltale"))).await;
    quick.until("a message", |all| all.iter().any(|it| it.body.contains("telltale"))).await;
    client.post("/api/v1/projections/link_directory/rebuild", &json!({})).await.expect(200);
    let before = numbers(client, &["gone", "stays"]).await;
    let stays = client.get("/api/v1/links/stays").await.expect(200).json();
    has_all("the service", &told(&server, &["gone"]).await, &SECRETS);

    let answer = erase(client, "links/gone").await.expect(200);
    assert!(answer.json()["events"].as_u64().unwrap() >= 4, "{}", answer.body);
    assert_eq!(answer.json()["clicks"], 0);
    assert!(!answer.position().is_empty());
    has_none("the disk", &kept(&server.settings), &SECRETS);
    has_none("the service", &told(&server, &["gone"]).await, &SECRETS);
    assert_eq!(client.visit("/gone").await.status, 410);
    assert_eq!(client.get("/api/v1/links/gone").await.expect(410).code(), "link_deleted");
    client
        .post("/api/v1/links", &json!({ "url": "https://e.example/", "alias": "gone" }))
        .await
        .expect(409);
    same_numbers(client, &["gone", "stays"], &before).await;
    assert_eq!(client.get("/api/v1/links/stays").await.expect(200).json(), stays);
    client.verify_read_models().await;

    // Whoever has copies is told, and what waited has nothing in it any more.
    quick
        .until("the erasure", |all| all.iter().any(|it| it.kind() == "hoplog.link.erased.v1"))
        .await;
    let seen = stuck.received().len();
    stuck.becomes(Manner::Takes(""));
    let path = format!("/api/v1/webhooks/{}", webhook["id"].as_str().unwrap());
    client.post(&format!("{path}/enable"), &json!({})).await.expect(200);
    let all = stuck.until("the rest", |all| {
        let kinds: Vec<String> = all[seen..].iter().map(Received::kind).collect();
        TYPES.iter().all(|kind| kinds.iter().any(|told| told.starts_with(kind)))
    });
    has_none("a message", &bodies(&all.await[seen..]), &SECRETS);

    rebuild(client).await;
    same_numbers(client, &["gone", "stays"], &before).await;
    has_none("the service", &told(&server, &["gone"]).await, &SECRETS);
    let again = erase(client, "links/gone").await.expect(200).json();
    assert_eq!(again, nothing());
    has_none("the disk", &kept(&server.settings), &SECRETS);

    // And behind a restart, which finds nothing to be done.
    let server = server.stop().start();
    has_none("the disk", &kept(&server.settings), &SECRETS);
    has_none("the service", &told(&server, &["gone"]).await, &SECRETS);
    same_numbers(&server.client, &["gone", "stays"], &before).await;
}

/// Also what was deleted long ago, and whatever somebody expects of it by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_link_is_erased_as_well_and_once() {
    let server = settings().start();
    let client = &server.client;
    telltale(client, "gone").await;
    client.delete("/api/v1/links/gone").await.expect(204);
    let conditional = |tag: &'static str| {
        let path = "/api/v1/links/gone/personal-data";
        let request = client.authorized(Method::DELETE, path).header("if-match", tag);
        client.send(request.header("idempotency-key", "erase-it"))
    };
    assert_eq!(conditional("\"1\"").await.expect(412).code(), "version_mismatch");
    has_all("the log", &pages(client, "links").await, &SECRETS);
    let version = client.events("links").await.last().unwrap()["streamversion"].clone();
    let tag: &'static str = format!("\"{}\"", version.as_str().unwrap()).leak();
    assert!(conditional(tag).await.expect(200).json()["events"].as_u64().unwrap() >= 4);
    let events = client.events("links").await;
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((of("hoplog.link.deleted.v1"), of("hoplog.link.erased.v1")), (1, 1));
    for answer in
        [conditional(tag).await, conditional("\"1\"").await, erase(client, "links/gone").await]
    {
        assert_eq!(answer.expect(200).json(), nothing());
    }
    assert_eq!(client.events("links").await, events);
    has_none("the disk", &kept(&server.settings), &SECRETS);
    client.verify_read_models().await;
}

/// Readers that follow live get what was before from the log, which was rewritten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_erased_is_given_to_those_who_follow() {
    let server = settings().start();
    let client = &server.client;
    let follows = client.authorized(Method::GET, "/api/v1/events?topic=links&after=earliest");
    let mut follows = follows.header("accept", "text/event-stream").send().await.unwrap();
    let mut live = String::new();
    telltale(client, "gone").await;
    while !live.contains("telltale-label") {
        live += &String::from_utf8_lossy(&follows.chunk().await.unwrap().unwrap());
    }
    erase(client, "links/gone").await.expect(200);
    while !live.contains("hoplog.link.erased.v1") {
        live += &String::from_utf8_lossy(&follows.chunk().await.unwrap().unwrap());
    }
    // The first still follows, so that what is new is at hand.
    let late = client.authorized(Method::GET, "/api/v1/events?topic=links&after=earliest");
    let mut late = late.header("accept", "text/event-stream").send().await.unwrap();
    let mut given = String::new();
    while !given.contains("hoplog.link.erased.v1") {
        given += &String::from_utf8_lossy(&late.chunk().await.unwrap().unwrap());
    }
    has_none("a live stream", &given, &SECRETS);
    assert!(given.contains("hoplog.link.created.v2"));
}

/// The hash of what was asked for is erased with it: a retry is told that the link is gone, not that
/// its key was used for something else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_that_is_repeated_after_the_erasure_finds_the_link_deleted() {
    let server = settings().start();
    let client = &server.client;
    for alias in [json!(null), json!("chosen")] {
        let create = || {
            let body = json!({ "url": "https://telltale-first.example/", "alias": alias });
            let request = client.authorized(Method::POST, "/api/v1/links").json(&body);
            client.send(request.header("idempotency-key", format!("key-{alias}")))
        };
        let code = create().await.expect(201).json()["code"].as_str().unwrap().to_owned();
        assert_eq!(create().await.expect(201).json()["code"], *code);
        let erased = || {
            let path = format!("/api/v1/links/{code}/personal-data");
            let request = client.authorized(Method::DELETE, &path);
            client.send(request.header("idempotency-key", format!("erase-{alias}")))
        };
        erased().await.expect(200);
        assert_eq!(create().await.expect(410).code(), "link_deleted");
        erased().await.expect(200);
    }
}

/// So is what a change was asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_repeated_after_the_erasure_finds_the_link_deleted() {
    let server = settings().start();
    let client = &server.client;
    telltale(client, "gone").await;
    let change = || {
        let request = client.authorized(Method::PATCH, "/api/v1/links/gone");
        let request = request.json(&json!({ "title": "Telltale title, changed" }));
        client.send(request.header("idempotency-key", "change-it"))
    };
    let first = change().await.expect(200).json();
    assert_eq!(change().await.expect(200).json()["version"], first["version"]);
    erase(client, "links/gone").await.expect(200);
    let heads = client.heads().await;
    assert_eq!(change().await.expect(410).code(), "link_deleted");
    assert_eq!(client.heads().await, heads);
    has_none("the service", &told(&server, &["gone"]).await, &SECRETS);
}

/// Its tags are gone, and with them its place among the links that have them. It keeps all others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_link_leaves_the_rankings_of_its_tags_and_no_others() {
    let server = settings().start();
    let client = &server.client;
    for code in ["gone", "stays"] {
        let link = NewLink::to("https://example.com/").with("alias", code);
        client.create(link.with("tags", json!(["telltale-tag"]))).await;
    }
    for code in ["gone", "gone", "stays"] {
        visit(client, code, OTHER_AGENT, ADDRESS).await;
    }
    let ranked = async |query: &str| -> Vec<(String, u64, u64)> {
        caught_up(client).await;
        let top = client.get(&format!("/api/v1/top{query}")).await.expect(200).json();
        let number = |value: &Value| value.as_u64().unwrap();
        let one = |it: &Value| {
            let code = it["link"]["code"].as_str().unwrap().to_owned();
            (code, number(&it["rank"]), number(&it["clicks"]))
        };
        top["data"].as_array().unwrap().iter().map(one).collect()
    };
    let both = [("gone".to_owned(), 1, 2), ("stays".to_owned(), 2, 1)];
    assert_eq!(ranked("?tag=telltale-tag").await, both);
    erase(client, "links/gone").await.expect(200);
    for _ in 0..2 {
        assert_eq!(ranked("?tag=telltale-tag").await, [("stays".to_owned(), 1, 1)]);
        assert_eq!(ranked("").await, both);
        rebuild(client).await;
    }
}
