//! What belongs to others is told to nobody else.

use super::*;

const SCOPES: [&str; 3] = ["webhooks", "links:write", "links:read"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_of_another_owners_links_and_clicks() {
    let server = settings().start();
    let admin = &server.client;
    let everything = Receiver::start(Manner::Takes("")).await;
    let types = ["hoplog.link.created", "hoplog.link.titled", "hoplog.clicks.recorded"];
    subscribe(admin, &everything, &types).await;
    let mut owners = Vec::new();
    for name in ["ann", "bob"] {
        let client = admin.keyed(name, &SCOPES).await;
        let receiver = Receiver::start(Manner::Takes("")).await;
        let webhook = subscribe(&client, &receiver, &types).await;
        assert_eq!(webhook["owner"], name);
        owners.push((name, client, receiver));
    }
    for n in 0..10 {
        for (name, client, _) in &owners {
            let code = format!("{name}-{n}");
            client.create(NewLink::to(URL).with("alias", code.clone())).await;
            let title = json!({ "title": "t" });
            client.patch(&format!("/api/v1/links/{code}"), &title).await.expect(200);
        }
        // In one batch, as far as that can be helped from outside.
        let visits = ["ann", "bob", "bob", "ann"].map(|name| format!("/{name}-{n}"));
        futures::future::join_all(visits.iter().map(|path| admin.visit(path))).await;
    }
    // Click batches that hold clicks of both, for certain.
    let at = crate::support::now().to_rfc3339();
    let click = |name: &str, n: usize| json!({ "code": format!("{name}-{n}"), "at": at, "importId": format!("{name}{n}") });
    let batch: Vec<Value> = (0..10).flat_map(|n| [click("ann", n), click("bob", n)]).collect();
    admin.import_clicks("mixed", &batch).await;
    let clicks = |messages: &[Received], name: &str| {
        let of_clicks = messages.iter().filter(|it| it.kind() == "hoplog.clicks.recorded.v1");
        of_clicks.flat_map(Received::codes).filter(|code| code.starts_with(name)).count()
    };
    let links = |messages: &[Received], name: &str| {
        let of_links = messages.iter().filter(|it| it.kind().starts_with("hoplog.link."));
        of_links.flat_map(Received::codes).filter(|code| code.starts_with(name)).count()
    };
    for (name, _, receiver) in &owners {
        let is_all =
            |messages: &[Received]| (links(messages, name), clicks(messages, name)) == (20, 30);
        let messages = receiver.until("all of one's own", is_all).await;
        let foreign =
            messages.iter().filter(|it| it.codes().iter().any(|it| !it.starts_with(name)));
        assert_eq!(foreign.count(), 0, "{name}: {messages:#?}");
    }
    everything
        .until("all of all", |messages| {
            ["ann", "bob"]
                .iter()
                .all(|name| clicks(messages, name) == 30 && links(messages, name) == 20)
        })
        .await;
    let mixed = |it: &Received| {
        let codes = it.codes();
        ["ann", "bob"].iter().all(|name| codes.iter().any(|code| code.starts_with(name)))
    };
    assert!(everything.received().iter().any(mixed), "a batch had clicks of both");
}

#[tokio::test]
async fn a_webhook_of_another_owner_is_as_good_as_not_there() {
    let server = settings().start();
    let admin = &server.client;
    let (ann, bob) = (admin.keyed("ann", &SCOPES).await, admin.keyed("bob", &SCOPES).await);
    let receiver = Receiver::start(Manner::Takes("")).await;
    let anns = subscribe(&ann, &receiver, &["hoplog.link.created"]).await;
    let everybodys = subscribe(admin, &receiver, &["hoplog.link.created"]).await;
    for webhook in [&anns, &everybodys] {
        let path = path(webhook);
        for (method, path) in [
            (Method::GET, path.clone()),
            (Method::PATCH, path.clone()),
            (Method::DELETE, path.clone()),
            (Method::GET, format!("{path}/deliveries")),
            (Method::POST, format!("{path}/deliveries/msg_1/retry")),
            (Method::POST, format!("{path}/test")),
            (Method::POST, format!("{path}/rotate-secret")),
            (Method::POST, format!("{path}/enable")),
            (Method::POST, format!("{path}/disable")),
        ] {
            let request = bob.authorized(method.clone(), &path).json(&json!({}));
            let answer = bob.send(request).await.expect(404);
            assert_eq!(answer.code(), "webhook_not_found", "{method} {path}");
        }
    }
    assert!(receiver.received().is_empty(), "no test was sent");
    let listed = async |client: &Client| {
        let list = client.get("/api/v1/webhooks").await.expect(200).json();
        list["data"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&bob).await, Vec::<Value>::new());
    assert_eq!(listed(&ann).await, [anns["id"].clone()]);
    assert_eq!(listed(admin).await, [everybodys["id"].clone(), anns["id"].clone()]);
    // Nobody has themselves told of what is another's.
    let foreign = json!({ "url": receiver.url, "types": ["hoplog.link.created"], "owner": "ann" });
    let refused = bob.post("/api/v1/webhooks", &foreign).await.expect(422).json();
    assert_eq!(refused["errors"][0]["pointer"], "/owner");
    let made = admin.post("/api/v1/webhooks", &foreign).await.expect(201).json();
    assert_eq!(made["owner"], "ann");
    assert_eq!(listed(&ann).await.len(), 2);
}
