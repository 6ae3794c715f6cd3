//! Receivers that fail, hang, redirect, answer slowly, or are gone.

use super::*;

/// One that fails holds up neither other webhooks nor its own later messages, and gets every
/// message again under the same id.
#[tokio::test]
async fn a_message_that_fails_is_sent_again_and_holds_nothing_up() {
    let server = settings().start();
    let client = &server.client;
    let receiver = Receiver::start(Manner::FailsFirst).await;
    let webhook = subscribe(client, &receiver, &["hoplog.link.created"]).await;
    for code in ["one", "two", "three"] {
        client.create(NewLink::to(URL).with("alias", code)).await;
    }
    let first = receiver.count(3).await;
    let codes = |messages: &[Received]| -> Vec<String> {
        messages.iter().flat_map(Received::codes).collect()
    };
    let mut seen = codes(&first[..3]);
    seen.sort_unstable();
    assert_eq!(seen, ["one", "three", "two"], "each once before any is sent again");
    let messages = receiver.count(6).await;
    for message in &messages[..3] {
        let again = messages[3..].iter().find(|again| again.id == message.id).unwrap();
        assert_eq!(again.body, message.body);
        let seconds = |message: &Received| message.timestamp.parse::<i64>().unwrap();
        assert!(seconds(again) - seconds(message) >= 4, "after a pause");
        assert_ne!(again.signature, message.signature, "signed anew with its time");
    }
    let log = deliveries(client, &webhook, |log| log.len() == 6).await;
    let of = |outcome: &str| log.iter().filter(|it| it["outcome"] == outcome).count();
    assert_eq!((of("retrying"), of("delivered")), (3, 3), "{log:#?}");
    let failed = log.last().unwrap();
    assert_eq!((&failed["status"], &failed["attempt"]), (&json!(500), &json!(1)));
    assert!(failed["error"].as_str().unwrap().contains("500"), "{failed}");
    assert!(failed["nextAttemptAt"].is_string(), "{failed}");
}

/// Four receivers of the same events, of which one is well: it is told at once of everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_redirects_or_is_slow_holds_nobody_up() {
    let server = settings().start();
    let client = &server.client;
    let elsewhere = Receiver::start(Manner::Takes("")).await;
    let good = Receiver::start(Manner::Takes("")).await;
    let hangs = Receiver::start(Manner::Hangs).await;
    let slow = Receiver::start(Manner::Slow(Duration::from_secs(2))).await;
    let types = ["hoplog.link.created"];
    let mut redirects = Vec::new();
    for status in [301, 302, 303, 307, 308] {
        let receiver = Receiver::start(Manner::Redirects(status, elsewhere.url.clone())).await;
        redirects.push((subscribe(client, &receiver, &types).await, receiver));
    }
    let inside = Manner::Redirects(307, "http://169.254.169.254/latest/meta-data/".to_owned());
    let receiver = Receiver::start(inside).await;
    redirects.push((subscribe(client, &receiver, &types).await, receiver));
    let [hanging, slowly] = [&hangs, &slow].map(|it| subscribe(client, it, &types));
    let (hanging, slowly) = (hanging.await, slowly.await);
    subscribe(client, &good, &types).await;
    for n in 0..20 {
        client.create(NewLink::to(URL).with("alias", format!("n{n}"))).await;
    }
    good.count(20).await;
    assert!(hangs.received().len() <= 4, "few at once: {:?}", hangs.received().len());
    let log = deliveries(client, &slowly, |log| log.len() >= 4).await;
    let took = |attempt: &Value| attempt["durationMs"].as_u64().unwrap() >= 2_000;
    assert!(
        log.iter().all(|attempt| attempt["outcome"] == "delivered" && took(attempt)),
        "{log:?}"
    );
    for (webhook, receiver) in &redirects {
        let log = deliveries(client, webhook, |log| !log.is_empty()).await;
        let failed = log.last().unwrap();
        assert_eq!(failed["outcome"], "retrying");
        assert!(
            failed["error"].as_str().unwrap().contains("redirects are not followed"),
            "{log:?}"
        );
        assert!(!receiver.received().is_empty());
    }
    let log = deliveries(client, &hanging, |log| !log.is_empty()).await;
    let failed = log.last().unwrap();
    assert_eq!((&failed["status"], &failed["error"]), (&json!(null), &json!("no answer in time")));
    assert!(elsewhere.received().is_empty(), "no redirect is followed");
}

#[tokio::test]
async fn a_receiver_that_says_it_is_gone_is_sent_nothing_more() {
    let server = settings().start();
    let client = &server.client;
    let receiver = Receiver::start(Manner::Says(410)).await;
    let webhook = subscribe(client, &receiver, &["hoplog.link.created"]).await;
    client.create(NewLink::to(URL).with("alias", "first")).await;
    let shown = becomes(client, &webhook, "disabled").await;
    assert_eq!(shown["disabledReason"], "gone");
    assert!(shown["disabledAt"].is_string(), "{shown}");
    let events = client.events("accounts").await;
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["actor"], &last["data"]),
        (
            &json!("hoplog.webhook.disabled.v1"),
            &json!("system:webhooks"),
            &json!({ "reason": "gone" })
        )
    );
    client.create(NewLink::to(URL).with("alias", "second")).await;
    receiver.becomes(Manner::Takes(""));
    client.post(&format!("{}/enable", path(&webhook)), &json!({})).await.expect(200);
    receiver.told_of("second").await;
    // What it refused is sent again as well.
    let messages = receiver.count(3).await;
    assert_eq!(messages.len(), 3, "nothing while it was disabled");
    let of_first = messages.iter().filter(|message| message.codes() == ["first"]);
    assert_eq!(of_first.count(), 2);
}

#[tokio::test]
async fn a_message_is_tried_again_at_once_if_somebody_wants_it() {
    let server = settings().start();
    let client = &server.client;
    let receiver = Receiver::start(Manner::Says(503)).await;
    let webhook = subscribe(client, &receiver, &["hoplog.link.created"]).await;
    client.create(NewLink::to(URL).with("alias", "one")).await;
    // Behind the second attempt comes a pause of half a minute.
    let log = deliveries(client, &webhook, |log| log.len() == 2).await;
    let message = log[0]["messageId"].as_str().unwrap();
    receiver.becomes(Manner::Takes(""));
    let retry = format!("{}/deliveries/{message}/retry", path(&webhook));
    client.post(&retry, &json!({})).await.expect(202);
    let log = deliveries(client, &webhook, |log| log.len() == 3).await;
    assert_eq!((&log[0]["outcome"], &log[0]["attempt"]), (&json!("delivered"), &json!(3)));
    client.post(&retry, &json!({})).await.expect(404);
    let unknown = format!("{}/deliveries/msg_0/retry", path(&webhook));
    assert_eq!(client.post(&unknown, &json!({})).await.expect(404).code(), "message_not_found");
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_is_given_it() {
    let server = settings().start();
    let client = &server.client;
    let receiver = Receiver::start(Manner::Asks("100")).await;
    let webhook = subscribe(client, &receiver, &["hoplog.link.created"]).await;
    client.create(NewLink::to(URL).with("alias", "one")).await;
    let log = deliveries(client, &webhook, |log| log.len() == 1).await;
    let instant = |field: &str| -> chrono::DateTime<chrono::Utc> {
        log[0][field].as_str().unwrap().parse().unwrap()
    };
    assert_eq!((&log[0]["status"], &log[0]["outcome"]), (&json!(429), &json!("retrying")));
    let pause = (instant("nextAttemptAt") - instant("at")).num_seconds();
    assert!((100..600).contains(&pause), "{pause}");
}

/// The status says it all: of an answer's body a little is kept, and its end is not waited for.
#[tokio::test]
async fn an_answer_that_is_large_or_never_ends_is_an_answer() {
    let server = settings().start();
    let client = &server.client;
    let receiver = Receiver::start(Manner::Trickles).await;
    let webhook = subscribe(client, &receiver, &["hoplog.link.created"]).await;
    client.create(NewLink::to(URL).with("alias", "one")).await;
    let log = deliveries(client, &webhook, |log| log.len() == 1).await;
    let told = (&log[0]["outcome"], &log[0]["response"]);
    assert_eq!(told, (&json!("delivered"), &json!("so far")));
    receiver.becomes(Manner::Takes("x".repeat(10_000_000).leak()));
    client.create(NewLink::to(URL).with("alias", "two")).await;
    let log = deliveries(client, &webhook, |log| log.len() == 2).await;
    assert_eq!(log[0]["outcome"], "delivered");
    assert_eq!(log[0]["response"].as_str().unwrap().len(), 1_024);
}

#[tokio::test]
async fn a_test_says_what_the_receiver_says() {
    let server = settings().start();
    let client = &server.client;
    let receiver = Receiver::start(Manner::Takes("it works")).await;
    let webhook = subscribe(client, &receiver, &["hoplog.link.deleted"]).await;
    let test = format!("{}/test", path(&webhook));
    let answer = client.post(&test, &json!({})).await.expect(200).json();
    assert_eq!(
        (&answer["outcome"], &answer["status"], &answer["response"]),
        (&json!("delivered"), &json!(200), &json!("it works"))
    );
    let message = &receiver.received()[0];
    assert_eq!(message.kind(), "hoplog.webhook.test.v1");
    assert_eq!(json!(message.id), answer["messageId"]);
    assert_eq!(message.signature, signature(webhook["secret"].as_str().unwrap(), message));
    receiver.becomes(Manner::Says(500));
    let answer = client.post(&test, &json!({})).await.expect(200).json();
    assert_eq!((&answer["outcome"], &answer["status"]), (&json!("failed"), &json!(500)));
    drop(receiver);
    let answer = client.post(&test, &json!({})).await.expect(200).json();
    assert_eq!((&answer["outcome"], &answer["status"]), (&json!("failed"), &json!(null)));
    let log = deliveries(client, &webhook, |log| log.len() == 3).await;
    assert_eq!(log[0], answer, "the newest first");
}
