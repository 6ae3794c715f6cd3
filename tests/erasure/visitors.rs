//! Who made clicks.

use super::*;
use crate::support::{Manner, Receiver};

/// Clicks of the past: his, and somebody else's on the same days.
async fn import(client: &Client, code: &str, events: usize, each: usize) {
    for event in 0..events {
        let past: Vec<Value> = (0..each)
            .map(|n| {
                let (agent, address) =
                    if n % 2 == 0 { (AGENT, ADDRESS) } else { (OTHER_AGENT, OTHER_ADDRESS) };
                json!({
                    "code": code, "at": format!("2026-03-{:02}T{:02}:10:00Z", 1 + event % 28, n % 24),
                    "importId": format!("{event}-{n}"), "address": address, "userAgent": agent,
                    "referrer": "https://news.example/page",
                })
            })
            .collect();
        client.import_clicks(&format!("past-{event}"), &past).await;
    }
}

fn is_his(click: &Value) -> bool {
    click["userAgent"] == AGENT
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_visitor_is_counted_and_nobody() {
    let server = settings().start();
    let client = &server.client;
    let stuck = Receiver::start(Manner::Says(500)).await;
    let body =
        json!({ "url": stuck.url, "types": ["hoplog.clicks.recorded", "hoplog.clicks.erased"] });
    let webhook = client.post("/api/v1/webhooks", &body).await.expect(201).json();
    for code in ["a", "b"] {
        client.create(NewLink::to("https://example.com/").with("alias", code)).await;
    }
    for n in 0..30 {
        visit(client, if n % 2 == 0 { "a" } else { "b" }, AGENT, ADDRESS).await;
        visit(client, "a", OTHER_AGENT, OTHER_ADDRESS).await;
    }
    import(client, "a", 10, 60).await;
    stuck.until("his clicks", |all| all.iter().any(|it| it.body.contains("Telltale"))).await;
    client.post("/api/v1/projections/clicks/rebuild", &json!({})).await.expect(200);
    let hash = visitor(client, "b", AGENT).await;
    let before = numbers(client, &["a", "b"]).await;
    let others: Vec<Value> =
        clicks(client, "a").await.into_iter().filter(|click| !is_his(click)).collect();
    has_all("the service", &told(&server, &["a", "b"]).await, &["Telltale", ADDRESS, &hash]);

    let answer = erase(client, &format!("visitors/{hash}")).await.expect(200);
    assert_eq!(answer.json()["clicks"], 30, "{}", answer.body);
    assert!(answer.json()["events"].as_u64().unwrap() > 0 && !answer.position().is_empty());
    has_none("the service", &told(&server, &["b"]).await, &[&hash]);
    same_numbers(client, &["a", "b"], &before).await;
    // His clicks of other days are another visitor's; an operator who keeps addresses finds them.
    let answer = erase(client, &format!("visitors/{ADDRESS}")).await.expect(200);
    assert_eq!(answer.json()["clicks"], 300, "{}", answer.body);
    let secrets = ["Telltale", ADDRESS, hash.as_str()];
    has_none("the disk", &kept(&server.settings), &secrets);
    has_none("the service", &told(&server, &["a", "b"]).await, &secrets);
    same_numbers(client, &["a", "b"], &before).await;
    let all = clicks(client, "a").await;
    let is_anonymous = |click: &Value| {
        let agent = click["userAgent"].as_str().unwrap();
        agent == "hoplog-erased/1 (human; mobile; Chrome; Android)"
    };
    let (anonymous, rest): (Vec<Value>, Vec<Value>) = all.into_iter().partition(is_anonymous);
    assert_eq!(rest, others, "clicks of others are as they were");
    assert!(anonymous.iter().all(|click| click["address"].is_null()));
    let visitors: std::collections::BTreeSet<&str> =
        anonymous.iter().map(|click| click["visitor"].as_str().unwrap()).collect();
    assert_eq!(visitors.len(), anonymous.len(), "nothing says that they belong together");
    client.verify_read_models().await;

    told_which_to_forget(client, &stuck, &webhook, &secrets).await;
    rebuild(client).await;
    same_numbers(client, &["a", "b"], &before).await;
    for who in [hash.as_str(), ADDRESS] {
        let again = erase(client, &format!("visitors/{who}")).await.expect(200).json();
        assert_eq!(again, nothing());
    }
    let server = server.stop().start();
    has_none("the disk", &kept(&server.settings), &secrets);
    has_none("the service", &told(&server, &["a", "b"]).await, &secrets);
}

/// What waited says nothing of him, and whoever has copies is told of which clicks he made.
async fn told_which_to_forget(
    client: &Client,
    stuck: &Receiver,
    webhook: &Value,
    secrets: &[&str],
) {
    let seen = stuck.received().len();
    stuck.becomes(Manner::Takes(""));
    let path = format!("/api/v1/webhooks/{}", webhook["id"].as_str().unwrap());
    client.post(&format!("{path}/enable"), &json!({})).await.expect(200);
    let count = |all: &[crate::support::Received], kind: &str| {
        let of = all.iter().filter(|it| it.kind() == kind);
        of.map(|it| it.event()["data"]["clicks"].as_array().unwrap().len()).sum::<usize>()
    };
    let all =
        stuck.until("all clicks", |all| count(&all[seen..], "hoplog.clicks.erased.v1") >= 330);
    let all = all.await;
    let bodies: String = all[seen..].iter().map(|it| it.body.as_str()).collect();
    has_none("a message", &bodies, secrets);
    let recorded: std::collections::BTreeSet<String> =
        events_of(client, "hoplog.clicks.recorded.v1", "a").await.into_iter().collect();
    for message in all[seen..].iter().filter(|it| it.kind() == "hoplog.clicks.erased.v1") {
        for click in message.event()["data"]["clicks"].as_array().unwrap() {
            let id = click["id"].as_str().unwrap();
            assert!(click["code"] == "b" || recorded.contains(id), "{click}");
        }
    }
}

/// Subscribers of one link are told of what was erased of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_a_link_is_told_which_of_its_clicks_to_forget() {
    let server = settings().start();
    let client = &server.client;
    for code in ["a", "b"] {
        client.create(NewLink::to("https://example.com/").with("alias", code)).await;
    }
    let receiver = Receiver::start(Manner::Takes("")).await;
    let body = json!({ "url": receiver.url, "types": ["hoplog.clicks.erased"], "link": "b" });
    client.post("/api/v1/webhooks", &body).await.expect(201);
    for code in ["a", "b", "a"] {
        visit(client, code, AGENT, ADDRESS).await;
    }
    let hash = visitor(client, "b", AGENT).await;
    erase(client, &format!("visitors/{hash}")).await.expect(200);
    let messages = receiver.count(1).await;
    assert_eq!(messages[0].codes(), ["b"]);
    let told = messages[0].event()["data"]["clicks"][0].clone();
    let click = clicks(client, "b").await[0].clone();
    assert_eq!((&told["id"], &told["visitor"]), (&click["id"], &click["visitor"]));
    assert_eq!(events_of(client, "hoplog.clicks.erased.v1", "a").await.len(), 3, "the whole event");
    client.create(NewLink::to("https://example.com/").with("alias", "c")).await;
    assert_eq!(events_of(client, "hoplog.clicks.erased.v1", "c").await, Vec::<String>::new());
}

/// Each is in every batch of the other: what one erasure makes of a batch, the other keeps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_of_the_same_batches_erased_at_once_are_all_erased() {
    let server = settings().start();
    let client = &server.client;
    client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    import(client, "a", 40, 30).await;
    let before = numbers(client, &["a"]).await;
    let (his, others) = (format!("visitors/{ADDRESS}"), format!("visitors/{OTHER_ADDRESS}"));
    let (one, other) = tokio::join!(erase(client, &his), erase(client, &others));
    assert_eq!(one.expect(200).json()["clicks"], 600);
    assert_eq!(other.expect(200).json()["clicks"], 600);
    let secrets = ["Telltale", "Firefox/127.0", ADDRESS, OTHER_ADDRESS];
    has_none("the disk", &kept(&server.settings), &secrets);
    has_none("the service", &told(&server, &["a"]).await, &secrets);
    rebuild(client).await;
    has_none("the service", &told(&server, &["a"]).await, &secrets);
    same_numbers(client, &["a"], &before).await;
}
