//! Several nodes deliver as one.

use std::collections::BTreeMap;

use super::*;

/// How often each message came.
fn times(messages: &[Received]) -> BTreeMap<&str, usize> {
    let mut times = BTreeMap::new();
    for message in messages {
        *times.entry(message.id.as_str()).or_default() += 1;
    }
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_nodes_delivers_and_the_other_takes_over() {
    let all = Settings::production().with("HOPLOG_WEBHOOK_ALLOW", "private");
    let (one, two) = (all.another_node().start(), all.another_node().start());
    let receiver = Receiver::start(Manner::Takes("")).await;
    let types = ["hoplog.link.created", "hoplog.clicks.recorded"];
    let webhook = subscribe(&one.client, &receiver, &types).await;
    for n in 0..20 {
        let client = if n % 2 == 0 { &one.client } else { &two.client };
        client.create(NewLink::to(URL).with("alias", format!("a{n}"))).await;
    }
    let messages = receiver.count(20).await;
    assert_eq!(times(&messages).len(), 20);
    assert!(times(&messages).values().all(|times| *times == 1), "{:?}", times(&messages));
    // Either of them knows what was sent, and can have it tested.
    for client in [&one.client, &two.client] {
        let log = deliveries(client, &webhook, |log| log.len() >= 20).await;
        assert!(log.iter().all(|attempt| attempt["outcome"] == "delivered"));
        client.post(&format!("{}/test", path(&webhook)), &json!({})).await.expect(200);
    }
    // The node that does not deliver may be killed without notice, and so may the other.
    let pending = "hoplog_webhook_deliveries_total{outcome=\"delivered\"}";
    let sent = async |server: &Server| {
        let metrics = server.client.visit("/metrics").await.body;
        let line = metrics.lines().find_map(|line| line.strip_prefix(pending)?.trim().parse().ok());
        line.unwrap_or(0_u32)
    };
    let (killed, left) = if sent(&one).await > sent(&two).await { (one, two) } else { (two, one) };
    drop(killed.kill());
    for n in 0..20 {
        left.client.create(NewLink::to(URL).with("alias", format!("b{n}"))).await;
    }
    let is_all = |messages: &[Received]| {
        (0..20).all(|n| {
            messages
                .iter()
                .any(|it| it.kind().starts_with("hoplog.link.") && it.codes() == [format!("b{n}")])
        })
    };
    receiver.until("what the killed one left", is_all).await;
    // It counts what was taken a moment after the receiver has taken it.
    let deadline = Instant::now() + PATIENCE;
    while sent(&left).await < 20 {
        assert!(Instant::now() < deadline, "{}", sent(&left).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
