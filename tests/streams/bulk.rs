//! Everything in one answer, compressed.

use std::io::Read;

use serde_json::Value;

use super::{make_heavy_links, make_links};
use crate::support::{Client, Live, Server, events};

async fn bulk(client: &Client, encodings: &str) -> (reqwest::header::HeaderMap, Vec<u8>) {
    let request = events(client, "topic=links").header("accept", "application/x-ndjson");
    let request = request.header("accept-encoding", encodings);
    let response = request.timeout(std::time::Duration::from_mins(2)).send().await.unwrap();
    assert_eq!(response.status(), 200, "{encodings}");
    (response.headers().clone(), response.bytes().await.unwrap().to_vec())
}

fn decoded(encoding: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    match encoding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap(),
        "zstd" => zstd::Decoder::new(bytes).unwrap().read_to_string(&mut text).unwrap(),
        other => panic!("{other}"),
    };
    text
}

#[tokio::test]
async fn a_bulk_answer_is_compressed_as_the_reader_takes_it() {
    let server = Server::start();
    let client = &server.client;
    make_links(client, "a", 1_500).await;
    make_heavy_links(client, 2).await;
    let (headers, plain) = bulk(client, "identity").await;
    assert!(!headers.contains_key("content-encoding"));
    let head = client.heads().await.remove(0);
    for (encodings, expected) in [
        ("gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.5, gzip;q=0.9", "gzip"),
        ("zstd;q=0, gzip", "gzip"),
    ] {
        let (headers, bytes) = bulk(client, encodings).await;
        assert_eq!(headers["content-encoding"], expected, "{encodings}");
        assert!(headers["vary"].to_str().unwrap().contains("accept-encoding"));
        assert_eq!(headers["hoplog-position"], head);
        assert_eq!(headers["hoplog-starts-after"], "earliest");
        assert!(bytes.len() * 4 < plain.len(), "{encodings}: {} bytes", bytes.len());
        assert_eq!(decoded(expected, &bytes).as_bytes(), plain, "{encodings}");
    }
    let events: Vec<Value> = std::str::from_utf8(&plain)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events, client.events("links").await);
}

#[tokio::test]
async fn what_is_not_for_compression_comes_as_it_is() {
    let server = Server::start();
    let client = &server.client;
    make_links(client, "a", 100).await;
    let nothing = events(client, "").header("accept", "application/x-ndjson");
    let nothing = nothing.header("accept-encoding", "br, identity;q=0");
    assert_eq!(client.send(nothing).await.expect(406).code(), "not_acceptable");
    let page = client.send(events(client, "").header("accept-encoding", "gzip, zstd")).await;
    assert_eq!(page.expect(200).header("content-encoding"), "");
    // A live stream is not kept back to be compressed.
    let request = events(client, "").header("accept", "text/event-stream");
    let response = request.header("accept-encoding", "gzip, zstd").send().await.unwrap();
    assert!(!response.headers().contains_key("content-encoding"));
    let mut live = Live::open(client, "", None).await;
    live.take(100).await;
    super::make_link(client, "late").await;
    assert_eq!(live.next().await.event["subject"], "default/late");
}
