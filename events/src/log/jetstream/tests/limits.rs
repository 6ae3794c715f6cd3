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
