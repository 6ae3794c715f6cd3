//! Pages that caches may keep.

use reqwest::header::HeaderValue;
use serde_json::Value;

use super::{make_link, make_links, page, subjects};
use crate::support::{Answer, Client, Server, Settings};

const FOR_EVER: &str = "private, max-age=31536000, immutable";

/// The address of the next page, if there is one.
fn next(page: &Answer) -> Option<String> {
    let link = page.headers.get("link")?.to_str().unwrap();
    let address = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?;
    Some(address.to_owned())
}

/// Every page from an address on, each with its address.
async fn walk(client: &Client, address: &str) -> Vec<(String, Answer)> {
    let (mut pages, mut address) = (Vec::new(), Some(address.to_owned()));
    while let Some(at) = address {
        let answer = client.send(page(client, &at)).await.expect(200);
        address = next(&answer);
        pages.push((at, answer));
    }
    pages
}

/// Asks for a page that is known.
async fn ask_again(client: &Client, address: &str, known: &Answer) -> Answer {
    let etag = HeaderValue::from_str(known.header("etag")).unwrap();
    client.send(page(client, address).header("if-none-match", etag)).await
}

#[tokio::test]
async fn a_full_page_never_changes_and_the_last_one_says_when_it_has() {
    let server = Server::start();
    let client = &server.client;
    make_links(client, "a", 25).await;
    let pages = walk(client, "/api/v1/events?limit=10").await;
    let codes: Vec<String> =
        pages.iter().flat_map(|(_, page)| subjects(page.json().as_array().unwrap())).collect();
    assert_eq!(codes, (0..25).map(|n| format!("default/a{n}")).collect::<Vec<_>>());
    let [(_, first), (address, full), (tail_address, tail)] = &pages[..] else { panic!("3 pages") };
    // Where the log begins may change.
    assert_eq!(first.header("cache-control"), "private, no-cache");
    assert_eq!(full.header("cache-control"), FOR_EVER);
    assert_eq!(tail.header("cache-control"), "private, no-cache");
    assert_eq!(full.header("vary"), "accept, authorization");
    // What a header says is not in the address, which caches go by.
    let elsewhere = client.send(page(client, address).header("last-event-id", first.position()));
    let elsewhere = elsewhere.await.expect(200);
    assert_eq!(elsewhere.header("cache-control"), "private, no-cache");
    for (address, page) in &pages {
        let again = ask_again(client, address, page).await.expect(304);
        assert_eq!(again.body, "");
        for name in ["etag", "cache-control", "vary", "hoplog-position", "link"] {
            assert_eq!(again.header(name), page.header(name), "{name} of {address}");
        }
    }

    make_links(client, "b", 10).await;
    assert_eq!(client.send(page(client, address)).await.expect(200).body, full.body);
    let longer = ask_again(client, tail_address, tail).await.expect(200);
    assert_eq!(longer.json().as_array().unwrap().len(), 10);
    assert_eq!(longer.header("cache-control"), FOR_EVER, "it is full now");
    let tags: Vec<&str> = pages.iter().map(|(_, page)| page.header("etag")).collect();
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && longer.header("etag") != tags[2]);
}

/// What a page leaves out is part of its address, and how much it may hold.
#[tokio::test]
async fn pages_of_a_selection_follow_each_other_as_well() {
    let server = Server::start();
    let client = &server.client;
    for round in 0..4 {
        make_links(client, &format!("r{round}n"), 3).await;
        client.delete(&format!("/api/v1/links/r{round}n0")).await.expect(204);
    }
    let address = "/api/v1/events?types=hoplog.link.deleted&limit=1";
    let pages = walk(client, address).await;
    assert_eq!(pages.len(), 5, "four full ones, and the end");
    assert!(pages[1..4].iter().all(|(_, page)| page.header("cache-control") == FOR_EVER));
    let deleted: Vec<Value> =
        pages.iter().flat_map(|(_, page)| page.json().as_array().unwrap().clone()).collect();
    assert_eq!(subjects(&deleted), (0..4).map(|n| format!("default/r{n}n0")).collect::<Vec<_>>());
    let pages = walk(client, "/api/v1/events?link=default/r2n0&limit=1").await;
    assert_eq!(pages.len(), 3);
    assert_eq!(pages[1].1.header("cache-control"), FOR_EVER);
    assert_eq!(pages[1].1.json()[0]["type"], "hoplog.link.deleted.v1");
}

/// Whoever is asked, and whenever: also after a restart.
#[tokio::test]
async fn a_full_page_is_the_same_on_every_node() {
    let settings = Settings::embedded().on_jetstream();
    let (one, other) = (settings.clone().start(), settings.another_node().start());
    make_links(&one.client, "a", 40).await;
    let pages = walk(&one.client, "/api/v1/events?limit=7").await;
    assert_eq!(pages.len(), 6);
    let one = one.kill().start();
    for (address, known) in &pages[1..5] {
        for client in [&other.client, &one.client] {
            let same = client.send(page(client, address)).await.expect(200);
            assert_eq!(same.body, known.body);
            assert_eq!(same.header("cache-control"), FOR_EVER);
            ask_again(client, address, known).await.expect(304);
        }
    }
}

/// The operator may let caches in front keep them, which then look at keys themselves.
#[tokio::test]
async fn pages_are_kept_by_caches_in_front_where_the_operator_says_so() {
    let server = Settings::new().with("HOPLOG_EVENTS_CACHE", "shared").start();
    let client = &server.client;
    make_links(client, "a", 5).await;
    let pages = walk(client, "/api/v1/events?limit=2").await;
    let said: Vec<&str> = pages.iter().map(|(_, page)| page.header("cache-control")).collect();
    let for_ever = "public, max-age=31536000, immutable";
    assert_eq!(said, ["private, no-cache", for_ever, "private, no-cache"]);
    // Who has no key gets nothing, whatever it says it knows.
    let (address, known) = &pages[1];
    let stranger = client.request(reqwest::Method::GET, address);
    let stranger = stranger.header("if-none-match", known.header("etag"));
    client.send(stranger).await.expect(401);
    make_link(client, "late").await;
}
