//! Webhooks are made, changed and listed; their secrets are shown once.

use super::*;

async fn accounts(client: &Client) -> String {
    format!("{:?}", client.events("accounts").await)
}

#[tokio::test]
async fn after_a_rotation_both_secrets_sign() {
    let server = settings().start();
    let client = &server.client;
    let receiver = Receiver::start(Manner::Takes("")).await;
    let webhook = subscribe(client, &receiver, &["hoplog.link.created"]).await;
    let before = webhook["secret"].as_str().unwrap().to_owned();
    let rotate = format!("{}/rotate-secret", path(&webhook));
    let rotated = client.post(&rotate, &json!({})).await.expect(200);
    assert_eq!(rotated.header("cache-control"), "no-store");
    let rotated = rotated.json();
    let after = rotated["secret"].as_str().unwrap().to_owned();
    assert_ne!(before, after);
    assert!(rotated["previousSecretUntil"].is_string(), "{rotated}");
    // The node hears of it from the log, which may be slow.
    while client.get(&path(&webhook)).await.expect(200).json()["previousSecretUntil"].is_null() {
        tokio::task::yield_now().await;
    }
    client.create(NewLink::to(URL).with("alias", "one")).await;
    let message = &receiver.told_of("one").await[0];
    let expected = [&after, &before].map(|secret| signature(secret, message));
    assert_eq!(message.signature, expected.join(" "));
    // They are on the log, and given out by nobody.
    for answer in [
        client.get(&path(&webhook)).await.body,
        client.get("/api/v1/webhooks").await.body,
        client.get(&format!("{}/deliveries", path(&webhook))).await.body,
        client.patch(&path(&webhook), &json!({ "description": "d" })).await.expect(200).body,
        client.post(&format!("{}/disable", path(&webhook)), &json!({})).await.expect(200).body,
        client.get("/api/v1/events?topic=accounts").await.body,
        accounts(client).await,
        server.settings.log(),
    ] {
        for secret in [&before, &after] {
            assert!(!answer.contains(&secret[6..]), "{answer}");
        }
    }
    assert!(accounts(client).await.contains("hoplog.webhook.secret-rotated.v1"));
    // A node that starts signs with both as well.
    let server = server.kill().start();
    server.client.post(&format!("{}/enable", path(&webhook)), &json!({})).await.expect(200);
    server.client.create(NewLink::to(URL).with("alias", "two")).await;
    let messages = receiver.told_of("two").await;
    let message = messages.last().unwrap();
    assert_eq!(message.signature, [&after, &before].map(|it| signature(it, message)).join(" "));
}

#[tokio::test]
async fn a_wrong_webhook_is_refused_with_every_mistake() {
    let server = settings().start();
    let client = &server.client;
    let heads = client.heads().await;
    let wrong = |body: Value| async move {
        let refused = client.post("/api/v1/webhooks", &body).await.expect(422).json();
        let errors = refused["errors"].as_array().unwrap().iter();
        let pointers = errors.map(|error| error["pointer"].as_str().unwrap().to_owned());
        pointers.collect::<Vec<_>>()
    };
    assert_eq!(wrong(json!({})).await, ["/url", "/types"]);
    let body = json!({
        "url": "ftp://example.com/", "types": ["hoplog.link.created", "hoplog.api-key.created", 7],
        "link": "no code", "tag": "", "description": "\n", "secret": "mine",
    });
    let pointers = wrong(body).await;
    let expected = ["/url", "/types/1", "/types/2", "/link", "/tag", "/description", "/secret"];
    assert_eq!(pointers, expected);
    for url in ["https://user:password@example.com/", "https://", "//example.com/", "javascript:1"]
    {
        let body = json!({ "url": url, "types": ["hoplog.link.created"] });
        assert_eq!(wrong(body).await, ["/url"], "{url}");
    }
    assert_eq!(client.heads().await, heads, "nothing is stored");
}

#[tokio::test]
async fn a_webhook_is_changed_and_listed_page_by_page() {
    let server = settings().start();
    let client = &server.client;
    let receiver = Receiver::start(Manner::Takes("")).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, subscribe(client, &receiver, &["hoplog.link.created"]).await["id"].clone());
    }
    let (mut listed, mut query) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/api/v1/webhooks?limit=2{query}")).await.expect(200).json();
        listed.extend(page["data"].as_array().unwrap().iter().map(|it| it["id"].clone()));
        let Some(next) = page["nextCursor"].as_str() else { break };
        query = format!("&cursor={next}");
    }
    assert_eq!(listed, made);
    let path = format!("/api/v1/webhooks/{}", made[0].as_str().unwrap());
    let other = Receiver::start(Manner::Takes("")).await;
    client.create(NewLink::to(URL).with("alias", "before")).await;
    // All five of them: what is under way goes where the webhook leads by then.
    receiver.count(5).await;
    client.post("/api/v1/links/before/disable", &json!({})).await.expect(200);
    let wanted = json!({
        "url": other.url, "types": ["hoplog.link.enabled", "hoplog.clicks.recorded"],
        "link": "before", "tag": "t", "description": "d",
    });
    let changed = client.patch(&path, &wanted).await.expect(200).json();
    for field in ["url", "types", "link", "tag", "description"] {
        assert_eq!(changed[field], wanted[field], "{changed}");
    }
    let clear = json!({ "tag": null, "description": null });
    let changed = client.patch(&path, &clear).await.expect(200).json();
    assert_eq!((&changed["tag"], &changed["link"]), (&json!(null), &json!("before")));
    client.post("/api/v1/links/before/enable", &json!({})).await.expect(200);
    let messages = other.told_of("before").await;
    assert_eq!(messages[0].kind(), "hoplog.link.enabled.v1");
    client.visit("/before").await.expect(302);
    let messages = other.count(2).await;
    assert_eq!(messages[1].kind(), "hoplog.clicks.recorded.v1");
    for (wrong, pointer) in [
        (json!({ "url": null }), "/url"),
        (json!({ "types": [] }), "/types"),
        (json!({ "types": null }), "/types"),
        (json!({ "state": "active" }), "/state"),
    ] {
        let refused = client.patch(&path, &wrong).await.expect(422).json();
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
}

#[tokio::test]
async fn a_request_that_is_sent_twice_is_done_once() {
    let server = settings().start();
    let client = &server.client;
    let receiver = Receiver::start(Manner::Takes("")).await;
    let post = async |path: &str, key: &str, body: Value| {
        let request = client.authorized(Method::POST, path).header("idempotency-key", key);
        client.send(request.json(&body)).await
    };
    let body = json!({ "url": receiver.url, "types": ["hoplog.link.created"] });
    let first = post("/api/v1/webhooks", "order-1", body.clone()).await.expect(201).json();
    let again = post("/api/v1/webhooks", "order-1", body.clone()).await.expect(201).json();
    assert_eq!(first, again, "with its secret: the first answer may have been lost");
    let mut other = body.clone();
    other["description"] = json!("another");
    let refused = post("/api/v1/webhooks", "order-1", other).await.expect(422);
    assert_eq!(refused.code(), "idempotency_key_reused");
    let rotate = format!("{}/rotate-secret", path(&first));
    let once = post(&rotate, "rotate-1", json!({})).await.expect(200).json();
    let twice = post(&rotate, "rotate-1", json!({})).await.expect(200).json();
    assert_eq!(once, twice);
    let test = format!("{}/test", path(&first));
    let once = post(&test, "test-1", json!({})).await.expect(200).json();
    let twice = post(&test, "test-1", json!({})).await.expect(200).json();
    assert_eq!(once["messageId"], twice["messageId"], "a receiver can tell that it is the same");
    let list = client.get("/api/v1/webhooks").await.expect(200).json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_owner_has_as_many_webhooks_as_there_may_be() {
    let server = settings().start();
    let ann = server.client.keyed("ann", &["webhooks"]).await;
    let body = json!({ "url": "https://hooks.example.com/", "types": ["hoplog.link.created"] });
    for _ in 0..100 {
        ann.post("/api/v1/webhooks", &body).await.expect(201);
    }
    let refused = ann.post("/api/v1/webhooks", &body).await.expect(409);
    assert_eq!(refused.code(), "too_many_webhooks");
    let bob = server.client.keyed("bob", &["webhooks"]).await;
    let made = bob.post("/api/v1/webhooks", &body).await.expect(201).json();
    let list = ann.get("/api/v1/webhooks?limit=1").await.expect(200).json();
    ann.delete(&path(&list["data"][0])).await.expect(204);
    ann.post("/api/v1/webhooks", &body).await.expect(201);
    assert_eq!(made["owner"], "bob");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_are_made_and_operated_on_the_command_line() {
    let server = settings().start();
    let receiver = Receiver::start(Manner::Takes("hello")).await;
    let types = "hoplog.link.created,hoplog.link.deleted";
    let made = server.cli_ok(&[
        "webhook",
        "create",
        &receiver.url,
        "--types",
        types,
        "--description",
        "d",
        "--json",
    ]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let plain = server.cli_ok(&["webhook", "create", &receiver.url, "--types", types]);
    assert!(plain.contains("whsec_"), "{plain}");
    let listed = server.cli_ok(&["webhook", "list"]);
    assert!(listed.contains(id) && listed.contains("active") && !listed.contains("whsec_"));
    let tested = server.cli_ok(&["webhook", "test", id]);
    assert!(tested.contains("delivered") && tested.contains("200"), "{tested}");
    assert_eq!(receiver.received()[0].kind(), "hoplog.webhook.test.v1");
    server.cli_ok(&["webhook", "edit", id, "--tag", "mail", "--clear", "description"]);
    let shown: Value =
        serde_json::from_str(&server.cli_ok(&["webhook", "show", id, "--json"])).unwrap();
    assert_eq!((&shown["tag"], &shown["description"]), (&json!("mail"), &json!(null)));
    server.cli_ok(&["webhook", "disable", id]);
    assert!(server.cli_ok(&["webhook", "show", id]).contains("operator"));
    server.cli_ok(&["webhook", "enable", id]);
    let rotated = server.cli_ok(&["webhook", "rotate-secret", id]);
    assert!(rotated.contains("whsec_") && !rotated.contains(secret), "{rotated}");
    let log = server.cli_ok(&["webhook", "deliveries", id]);
    assert!(log.contains("hoplog.webhook.test.v1") && log.contains("delivered"), "{log}");
    assert_eq!(server.cli(&["webhook", "retry", id, "msg_1"]).status.code(), Some(1));
    server.cli_ok(&["webhook", "delete", id]);
    assert_eq!(server.cli(&["webhook", "show", id]).status.code(), Some(1));
    assert_eq!(server.cli(&["webhook", "edit", id]).status.code(), Some(2));
    receiver.becomes(Manner::Says(500));
    let other = plain.split_whitespace().find(|word| word.len() == 36).unwrap();
    let failed = server.cli(&["webhook", "test", other]);
    assert_eq!(failed.status.code(), Some(1), "a test that fails fails");
}
