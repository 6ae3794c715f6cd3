//! The lists: what they refuse, and how they are read again.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::{List, creations_become};
use crate::support::NewLink;

const URL: &str = "https://example.com/";

/// Trap 19 and 8: on every way that a destination comes in, in every spelling.
#[tokio::test]
async fn trap_19_no_destination_of_a_link_is_on_the_block_list() {
    let (_list, settings) =
        List::of("0.0.0.0 bad.example\nb\u{fc}cher.example\n203.0.113.7\nok.example/evil*\n");
    let server = settings.start();
    let client = &server.client;
    client.code(NewLink::to(URL).with("alias", "kept")).await;
    let heads = client.heads().await;
    for (url, entry) in [
        ("https://bad.example/", "bad.example"),
        ("http://WWW.Bad.Example.:8080/x", "bad.example"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("http://0xcb007107/", "203.0.113.7"),
        ("http://[::ffff:203.0.113.7]/", "203.0.113.7"),
        ("https://ok.example/%65vil/page", "ok.example/evil*"),
    ] {
        let body = json!({ "url": url });
        let later = json!({ "url": URL, "expiredUrl": url });
        let ruled = json!({ "url": URL, "rules": [{ "when": { "visitor": "bot" }, "url": url }] });
        let varied = json!({ "url": URL, "split": [
            { "name": "own", "weight": 1 }, { "name": "other", "weight": 1, "url": url },
        ] });
        let upsert = json!({ "url": url, "externalId": "x", "upsert": true });
        let bulk = |one: &serde_json::Value| json!({ "links": [one] });
        for (method, path, pointer, body) in [
            (Method::POST, "/api/v1/links", "/url", body.clone()),
            (Method::POST, "/api/v1/links", "/expiredUrl", later.clone()),
            (Method::POST, "/api/v1/links", "/rules/0/url", ruled.clone()),
            (Method::POST, "/api/v1/links", "/split/1/url", varied.clone()),
            (Method::POST, "/api/v1/links", "/url", upsert.clone()),
            (Method::PATCH, "/api/v1/links/kept", "/url", body.clone()),
            (Method::PATCH, "/api/v1/links/kept", "/expiredUrl", later.clone()),
            (Method::PATCH, "/api/v1/links/kept", "/rules/0/url", ruled.clone()),
            (Method::PATCH, "/api/v1/links/kept", "/split/1/url", varied.clone()),
            (Method::POST, "/api/v1/links/bulk", "/split/1/url", bulk(&varied)),
            (Method::POST, "/api/v1/links/bulk", "/url", bulk(&body)),
            (Method::POST, "/api/v1/links/bulk", "/expiredUrl", bulk(&later)),
            (Method::POST, "/api/v1/links/bulk", "/rules/0/url", bulk(&ruled)),
            (Method::POST, "/api/v1/links/bulk", "/url", bulk(&upsert)),
            (Method::POST, "/api/shorten", "URL", json!({ "longURL": url })),
        ] {
            let request = client.authorized(method.clone(), path).json(&body);
            let said = client.send(request).await.json();
            let is_bulk = path.ends_with("bulk");
            let problem = if is_bulk { &said["results"][0]["problem"] } else { &said };
            let error = &problem["errors"][0];
            assert_eq!(problem["status"], 422, "{method} {path} to {url}: {said}");
            assert_eq!(error["code"], "destination_blocked", "{method} {path} to {url}: {said}");
            let told = error["pointer"].as_str().unwrap();
            assert!(told.ends_with(pointer), "{method} {path} to {url}: {said}");
            assert!(error["detail"].as_str().unwrap().ends_with(entry), "{said}");
        }
    }
    assert_eq!(client.heads().await[0], heads[0], "nothing is stored");
    for url in ["https://notbad.example/", "https://ok.example/", "http://203.0.113.8/"] {
        client.code(NewLink::to(url)).await;
    }
}

#[tokio::test]
async fn a_list_is_read_again_and_one_that_is_broken_keeps_the_one_before() {
    let (list, settings) = List::of("one.example\n");
    let server = settings.with("HOPLOG_BLOCKLIST_RELOAD", "1").start();
    let client = &server.client;
    creations_become(client, "https://one.example/", 422).await;
    list.write("two.example\nthis is no entry\n");
    creations_become(client, "https://two.example/", 422).await;
    creations_become(client, "https://one.example/", 201).await;
    let log = server.settings.log();
    assert!(log.contains("line=2"), "{log}");
    list.write("<html>\nplease log in\n");
    let deadline = Instant::now() + Duration::from_mins(1);
    let status = loop {
        let ready = client.visit("/health/ready").await.expect(200).json();
        let status = ready["blocklist"].as_str().unwrap().to_owned();
        if status != "ok" {
            break status;
        }
        assert!(Instant::now() < deadline, "{ready}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(status.contains(list.path.to_str().unwrap()), "{status}");
    creations_become(client, "https://two.example/", 422).await;
    let metrics = client.visit("/metrics").await.expect(200).body;
    assert!(metrics.contains("hoplog_blocklist_reads_total{outcome=\"failed\"}"), "{metrics}");
    assert!(metrics.contains("hoplog_blocklist_entries 1"), "{metrics}");
}

#[tokio::test]
async fn sighup_reads_the_lists_again() {
    let (list, settings) = List::of("one.example\n");
    let server = settings.with("HOPLOG_BLOCKLIST_RELOAD", "86400").start();
    creations_become(&server.client, "https://one.example/", 422).await;
    list.write("two.example\n");
    server.hang_up();
    creations_become(&server.client, "https://two.example/", 422).await;
}
