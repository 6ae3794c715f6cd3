//! What is sent: everything, in order, signed, from the creation of the webhook on.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::support::now;

#[tokio::test]
async fn a_receiver_is_told_of_every_event_as_the_log_has_it_in_order_and_signed() {
    let server = settings().start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "before")).await;
    let receiver = Receiver::start(Manner::Takes("thanks")).await;
    let webhook = subscribe(client, &receiver, &LINKS).await;
    for n in 0..10 {
        let code = format!("a{n}");
        client.create(NewLink::to(URL).with("alias", code.clone())).await;
        let link = format!("/api/v1/links/{code}");
        client.post(&format!("{link}/disable"), &json!({})).await.expect(200);
        client.patch(&link, &json!({ "title": "not asked for" })).await.expect(200);
        client.post(&format!("{link}/enable"), &json!({})).await.expect(200);
    }
    let messages = receiver.count(30).await;
    assert_eq!(messages.len(), 30, "each is sent once");
    let log = client.get("/api/v1/events?topic=links&limit=1000").await.expect(200).json();
    let log = log.as_array().unwrap().iter();
    let wanted = |event: &&Value| {
        let kind = event["type"].as_str().unwrap();
        LINKS.iter().any(|known| kind.starts_with(known)) && event["subject"] != "default/before"
    };
    let expected: Vec<Value> = log.filter(wanted).cloned().collect();
    let told: Vec<Value> = messages.iter().map(Received::event).collect();
    let of = |events: &[Value], n: usize| -> Vec<Value> {
        let subject = json!(format!("default/a{n}"));
        events.iter().filter(|event| event["subject"] == subject).cloned().collect()
    };
    for n in 0..10 {
        assert_eq!(of(&told, n), of(&expected, n), "in the order of the log");
    }
    let ids: BTreeSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids.len(), 30);
    for message in &messages[..3] {
        assert_eq!(message.content_type, "application/json");
        let sent = message.timestamp.parse::<i64>().unwrap();
        assert!((now().timestamp() - sent).abs() < 120, "{sent}");
        assert_eq!(message.signature, signature(webhook["secret"].as_str().unwrap(), message));
    }
    let log = deliveries(client, &webhook, |log| log.len() == 30).await;
    for (field, value) in [
        ("outcome", json!("delivered")),
        ("status", json!(200)),
        ("response", json!("thanks")),
        ("attempt", json!(1)),
        ("error", Value::Null),
        ("nextAttemptAt", Value::Null),
    ] {
        assert!(log.iter().all(|attempt| attempt[field] == value), "{field}: {log:?}");
    }
    let listed: BTreeSet<&str> = log.iter().map(|it| it["messageId"].as_str().unwrap()).collect();
    assert_eq!(listed, ids);
    all_delivered(client, 30).await;
}

/// Waits until the metrics say that nothing waits; that is counted now and then.
async fn all_delivered(client: &Client, messages: u32) {
    let count = format!("hoplog_webhook_deliveries_total{{outcome=\"delivered\"}} {messages}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = client.visit("/metrics").await.body;
        if metrics.contains(&count) && metrics.contains("hoplog_webhook_pending 0") {
            return;
        }
        assert!(Instant::now() < deadline, "{metrics}");
        tokio::task::yield_now().await;
    }
}

/// Clicks come in batches; each has the id that the API gives it.
#[tokio::test]
async fn clicks_are_told_one_by_one_each_with_its_id() {
    let server = settings().start();
    let client = &server.client;
    let code = client.code(NewLink::to(URL)).await;
    let other = client.code(NewLink::to(URL)).await;
    let receiver = Receiver::start(Manner::Takes("")).await;
    let link = json!({
        "url": receiver.url, "types": ["hoplog.clicks.recorded"], "link": code,
    });
    let webhook = client.post("/api/v1/webhooks", &link).await.expect(201).json();
    assert_eq!(webhook["link"], json!(code));
    let visits = (0..60).map(|n| if n % 3 == 0 { format!("/{other}") } else { format!("/{code}") });
    let visits: Vec<String> = visits.collect();
    let visits = visits.iter().map(|path| client.visit(path));
    futures::future::join_all(visits).await.into_iter().for_each(|it| drop(it.expect(302)));
    let told = |messages: &[Received]| messages.iter().map(|it| it.codes().len()).sum::<usize>();
    let messages = receiver.until("every click", |messages| told(messages) >= 40).await;
    assert!(messages.iter().flat_map(Received::codes).all(|told| told == code));
    client.caught_up("clicks").await;
    let page = client.get(&format!("/api/v1/links/{code}/clicks?limit=500")).await.json();
    let expected = page["data"].as_array().unwrap().iter().map(|it| it["id"].to_string());
    let clicks = messages.iter().map(|it| it.event()["data"]["clicks"].clone());
    let clicks: Vec<Value> = clicks.flat_map(|it| it.as_array().unwrap().clone()).collect();
    let ids: Vec<String> = clicks.iter().map(|it| it["id"].to_string()).collect();
    assert_eq!(ids.len(), 40, "each once");
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), expected.collect());
    assert!(clicks.iter().all(|click| click["visitor"].is_string() && click["at"].is_string()));
}

/// A receiver that is slower than the visitors is told of all of them in few messages.
#[tokio::test]
async fn clicks_gather_while_a_message_is_under_way() {
    let server = settings().start();
    let client = &server.client;
    let code = client.code(NewLink::to(URL)).await;
    let receiver = Receiver::start(Manner::Slow(Duration::from_millis(200))).await;
    subscribe(client, &receiver, &["hoplog.clicks.recorded"]).await;
    for _ in 0..200 {
        client.visit(&format!("/{code}")).await.expect(302);
    }
    let told = |messages: &[Received]| messages.iter().map(|it| it.codes().len()).sum::<usize>();
    let messages = receiver.until("every click", |messages| told(messages) >= 200).await;
    let batches = client.events("clicks").await.len();
    assert!(messages.len() < batches / 2, "{} of {batches}", messages.len());
    let clicks = messages.iter().map(|it| it.event()["data"]["clicks"].clone());
    let clicks: Vec<Value> = clicks.flat_map(|it| it.as_array().unwrap().clone()).collect();
    let ids: BTreeSet<String> = clicks.iter().map(|it| it["id"].to_string()).collect();
    assert_eq!((clicks.len(), ids.len()), (200, 200), "each once");
    let times: Vec<chrono::DateTime<chrono::Utc>> =
        clicks.iter().map(|it| it["at"].as_str().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted(), "in the order of the log");
}

#[tokio::test]
async fn a_filter_by_tag_tells_of_links_while_they_have_it() {
    let server = settings().start();
    let client = &server.client;
    let receiver = Receiver::start(Manner::Takes("")).await;
    let body = json!({
        "url": receiver.url, "tag": "mail",
        "types": ["hoplog.link.created.v2", "hoplog.link.tagged", "hoplog.link.titled"],
    });
    client.post("/api/v1/webhooks", &body).await.expect(201);
    let tags = |tags: &[&str]| json!({ "tags": tags });
    let title = |title: &str| json!({ "title": title });
    client.create(NewLink::to(URL).with("alias", "plain")).await;
    client.create(NewLink::to(URL).with("alias", "tagged").with("tags", json!(["mail"]))).await;
    for change in [title("one"), tags(&["other"]), title("two"), tags(&["mail", "x"])] {
        client.patch("/api/v1/links/tagged", &change).await.expect(200);
        client.patch("/api/v1/links/plain", &change).await.expect(200);
    }
    client.create(NewLink::to(URL).with("alias", "last").with("tags", json!(["mail"]))).await;
    receiver.told_of("last").await;
    // Another link's may come before.
    let messages = receiver.count(6).await;
    let of = |code: &str| -> Vec<Value> {
        let events = messages.iter().map(Received::event);
        let subject = json!(format!("default/{code}"));
        let events = events.filter(|event| event["subject"] == subject);
        events.map(|event| event["data"].clone()).collect()
    };
    let told = of("tagged");
    assert_eq!((told.len(), &told[1]["title"]), (4, &json!("one")), "{told:?}");
    assert_eq!((&told[2]["tags"], &told[3]["tags"]), (&json!(["other"]), &json!(["mail", "x"])));
    assert_eq!(of("plain").len(), 1, "when it got the tag: {messages:?}");
}

/// Killed at any moment: nothing is skipped, and what comes twice has the id that it had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_told_at_least_once_however_often_the_server_is_killed() {
    let receiver = Receiver::start(Manner::Slow(Duration::from_millis(20))).await;
    let mut server = settings().start();
    let webhook =
        subscribe(&server.client, &receiver, &["hoplog.link.created", "hoplog.clicks.recorded"])
            .await;
    let (mut codes, mut clicks) = (Vec::new(), 0);
    for round in 0..4 {
        for n in 0..15 {
            let code = format!("r{round}-{n}");
            server.client.create(NewLink::to(URL).with("alias", code.clone())).await;
            server.client.visit(&format!("/{code}")).await.expect(302);
            clicks += 1;
            codes.push(code);
        }
        // In the middle of it: some were told, some wait, some are under way.
        receiver.count(codes.len() / 2).await;
        server = server.kill().start();
    }
    let told = |messages: &[Received]| {
        let of = |kind: &str| -> BTreeSet<String> {
            let of_kind = messages.iter().filter(|it| it.kind().starts_with(kind));
            of_kind.flat_map(Received::codes).collect()
        };
        (of("hoplog.link.created").len(), of("hoplog.clicks.recorded").len())
    };
    let messages =
        receiver.until("everything", |messages| told(messages) == (codes.len(), clicks)).await;
    let mut ids: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for message in &messages {
        let event = message.event()["id"].as_str().unwrap().to_owned();
        ids.entry(event).or_default().insert(&message.id);
    }
    assert!(ids.values().all(|ids| ids.len() == 1), "{ids:?}");
    becomes(&server.client, &webhook, "active").await;
}

/// Stopped in good order, a server hears what receivers say to what is under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_sends_nothing_twice() {
    let receiver = Receiver::start(Manner::Slow(Duration::from_millis(500))).await;
    let mut server = settings().start();
    subscribe(&server.client, &receiver, &["hoplog.link.created"]).await;
    for round in 1..=3 {
        for n in 0..6 {
            let code = format!("r{round}-{n}");
            server.client.create(NewLink::to(URL).with("alias", code)).await;
        }
        receiver.count(6 * (round - 1) + 2).await;
        server = tokio::task::spawn_blocking(|| server.stop()).await.unwrap().start();
    }
    let messages = receiver.count(18).await;
    let ids: BTreeSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    assert_eq!((messages.len(), ids.len()), (18, 18));
}

#[tokio::test]
async fn what_happens_while_a_webhook_is_disabled_is_told_when_it_is_enabled() {
    let server = settings().start();
    let client = &server.client;
    let receiver = Receiver::start(Manner::Takes("")).await;
    let webhook = subscribe(client, &receiver, &["hoplog.link.created"]).await;
    client.create(NewLink::to(URL).with("alias", "first")).await;
    receiver.told_of("first").await;
    client.post(&format!("{}/disable", path(&webhook)), &json!({})).await.expect(200);
    let other = Receiver::start(Manner::Takes("")).await;
    subscribe(client, &other, &["hoplog.link.created"]).await;
    client.create(NewLink::to(URL).with("alias", "meanwhile")).await;
    other.told_of("meanwhile").await;
    let server = server.stop().start();
    let client = &server.client;
    let shown = client.get(&path(&webhook)).await.expect(200).json();
    assert_eq!(
        (&shown["state"], &shown["disabledReason"]),
        (&json!("disabled"), &json!("operator"))
    );
    assert_eq!(receiver.received().len(), 1);
    let enabled = client.post(&format!("{}/enable", path(&webhook)), &json!({})).await.expect(200);
    assert_eq!(enabled.json()["state"], "active");
    let messages = receiver.told_of("meanwhile").await;
    assert_eq!(messages.len(), 2);
    // One that is gone is told nothing more.
    client.delete(&path(&webhook)).await.expect(204);
    client.get(&path(&webhook)).await.expect(404);
    client.create(NewLink::to(URL).with("alias", "last")).await;
    other.told_of("last").await;
    assert_eq!(receiver.received().len(), 2);
}

/// A log that was put back to an older copy: what comes then is told, in the place of what is gone.
#[tokio::test]
async fn a_log_that_was_put_back_goes_on() {
    let embedded = Settings::embedded().with("HOPLOG_WEBHOOK_ALLOW", "private");
    let server = embedded.start();
    let receiver = Receiver::start(Manner::Takes("")).await;
    let webhook = subscribe(&server.client, &receiver, &["hoplog.link.created"]).await;
    server.client.create(NewLink::to(URL).with("alias", "one")).await;
    deliveries(&server.client, &webhook, |log| log.len() == 1).await;
    let settings = server.stop();
    let file = settings.data_dir().join("log.db");
    let copy = std::fs::read(&file).unwrap();
    let server = settings.start();
    for alias in ["gone-1", "gone-2", "gone-3"] {
        server.client.create(NewLink::to(URL).with("alias", alias)).await;
    }
    deliveries(&server.client, &webhook, |log| log.len() == 4).await;
    let settings = server.stop();
    std::fs::write(&file, copy).unwrap();
    std::fs::remove_file(settings.data_dir().join("read.db")).unwrap();
    let server = settings.start();
    for alias in ["two", "three"] {
        server.client.create(NewLink::to(URL).with("alias", alias)).await;
    }
    deliveries(&server.client, &webhook, |log| log.len() == 6).await;
    let codes: Vec<String> = receiver.received().iter().flat_map(Received::codes).collect();
    assert_eq!(codes[0], "one");
    let sorted = |codes: &[String]| {
        let mut codes = codes.to_vec();
        codes.sort_unstable();
        codes
    };
    assert_eq!(sorted(&codes[1..4]), ["gone-1", "gone-2", "gone-3"]);
    assert_eq!(sorted(&codes[4..]), ["three", "two"]);
}

/// Read models may be thrown away: that changes nothing here. Where the state of deliveries itself
/// is lost, nobody is told again of what is long past.
#[tokio::test]
async fn what_is_lost_with_its_database_is_not_told_again_from_the_beginning() {
    let embedded = Settings::embedded().with("HOPLOG_WEBHOOK_ALLOW", "private");
    let server = embedded.start();
    let receiver = Receiver::start(Manner::Takes("")).await;
    let webhook = subscribe(&server.client, &receiver, &["hoplog.link.created"]).await;
    server.client.create(NewLink::to(URL).with("alias", "one")).await;
    deliveries(&server.client, &webhook, |log| log.len() == 1).await;
    let mut settings = server.stop();
    for (file, alias) in [("read.db", "two"), ("webhooks.db", "three")] {
        std::fs::remove_file(settings.data_dir().join(file)).unwrap();
        let server = settings.start();
        server.client.create(NewLink::to(URL).with("alias", alias)).await;
        receiver.told_of(alias).await;
        settings = server.stop();
    }
    let codes: Vec<String> = receiver.received().iter().flat_map(Received::codes).collect();
    assert_eq!(codes, ["one", "two", "three"]);
}
