//! What the servers take: how many batches at once, and how large a message.

use async_nats::{HeaderMap, Subject};

use super::*;

/// How many batches the servers take at once, on one stream.
const BATCHES: usize = 50;

/// Batches that other nodes have begun are waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_waits_for_batches_of_other_nodes() {
    let (server, log) = empty().await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let part = |batch: usize, sequence: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Batch-Id", format!("b{batch}"));
        headers.insert("Nats-Batch-Sequence", sequence);
        if sequence == "2" {
            headers.insert("Nats-Batch-Commit", "1");
        }
        let subject = Subject::from(format!("links.0.default.other{batch}"));
        client.request_with_headers(subject, headers, "{}".into())
    };
    for batch in 0..BATCHES {
        part(batch, "1").await.unwrap();
    }
    let stream = StreamId::new(Topic::Links, "a");
    let two = contract::append(&stream, ExpectedVersion::Exact(Version::NONE), 2);
    let finish = async {
        for batch in 0..BATCHES {
            part(batch, "2").await.unwrap();
        }
    };
    let (appended, ()) = futures::join!(log.append(two), finish);
    assert_eq!(appended.unwrap().version, Version(2));
}

/// At the start, and if somebody lowers the limit later.
#[tokio::test]
async fn servers_that_take_too_little_are_refused_and_told_from_those_that_are_away() {
    let (mut server, log) = empty().await;
    server.restart_with("max_payload: 64KB\n");
    let refused = JetStreamLog::open(&options(&server)).await.unwrap_err();
    let JetStreamOpenError::MaxPayload { found: 65_536, .. } = refused else { panic!("{refused}") };
    assert!(refused.to_string().contains("raise max_payload"), "{refused}");
    for (n, events) in [1, 2].into_iter().enumerate() {
        let stream = StreamId::new(Topic::Links, format!("a{n}"));
        let mut large = contract::append(&stream, ExpectedVersion::Exact(Version::NONE), events);
        large.events[0].body = vec![b'x'; 100_000].into();
        let refused = loop {
            match log.append(large.clone()).await {
                Err(AppendError::Unavailable(_)) => tokio::task::yield_now().await,
                other => break other,
            }
        };
        assert_eq!(refused, Err(AppendError::Size), "{events} events");
    }
    // The servers' own default will do.
    server.restart_with("max_payload: 1MB\n");
    open(&server).await;
}
