//! What visitors of a domain get.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::Method;
use serde_json::json;

use super::{BASE_URL, ONE, TWO, URL, add, location, settings, visit, with_domains};
use crate::support::{Answer, NewLink, Server};

/// The type of what pages send.
const FORM: &str = "application/x-www-form-urlencoded";

/// A request as it is written here, and the answer's head.
fn raw(server: &Server, request: &str) -> String {
    let authority = server.url.strip_prefix("http://").expect("plain http");
    let mut stream = TcpStream::connect(authority).expect("a connection");
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[tokio::test]
async fn the_same_code_on_three_domains_leads_to_three_places() {
    let server = with_domains().await;
    let client = &server.client;
    for (domain, url) in [
        ("default", "https://example.com/own"),
        (ONE, "https://example.com/one"),
        (TWO, "https://example.com/two"),
    ] {
        let link = NewLink::to(url).with("alias", "launch").with("domain", domain);
        let made = client.post("/api/v1/links", &link.0).await.expect(201);
        let answer = made.json();
        let host = if domain == "default" { "own.example" } else { domain };
        assert_eq!(answer["domain"], host);
        assert_eq!(answer["id"], format!("{domain}/launch"));
        assert_eq!(answer["shortUrl"], format!("https://{host}/launch"));
        assert_eq!(client.get(made.header("location")).await.expect(200).json()["url"], url);
    }
    // Also from the cache.
    for _ in 0..2 {
        assert_eq!(location(client, "own.example", "/launch").await, "https://example.com/own");
        assert_eq!(location(client, ONE, "/launch").await, "https://example.com/one");
        assert_eq!(location(client, TWO, "/launch").await, "https://example.com/two");
    }
    // Whoever asks by another name, as before there were domains.
    assert_eq!(location(client, "127.0.0.1", "/launch").await, "https://example.com/own");
    // What one has the others have not.
    client.create(NewLink::to(URL).with("alias", "alone").with("domain", ONE)).await;
    visit(client, ONE, "/alone").await.expect(302);
    visit(client, TWO, "/alone").await.expect(404);
    client.visit("/alone").await.expect(404);
    assert_eq!(client.stats("launch", "").await["totalClicks"], 3);
    assert_eq!(client.stats("launch", "domain=one.example").await["totalClicks"], 2);
    client.verify_read_models().await;
}

/// Traps of hosts: a port, upper case, a dot at the end, a target that names a host, and none at all (HTTP/1.0).
#[tokio::test]
async fn a_domain_is_the_same_however_its_host_is_written() {
    let server = with_domains().await;
    let client = &server.client;
    client.create(NewLink::to("https://example.com/own").with("alias", "a")).await;
    let on_one = NewLink::to("https://example.com/one").with("alias", "a").with("domain", ONE);
    client.create(on_one).await;
    for host in
        ["one.example", "ONE.Example", "one.example:8080", "one.example.", "One.example.:80"]
    {
        assert_eq!(location(client, host, "/a").await, "https://example.com/one", "{host}");
    }
    for host in ["x.one.example", "one.example.evil", "default", "[::1]:80"] {
        assert_eq!(location(client, host, "/a").await, "https://example.com/own", "{host}");
    }
    let own = "location: https://example.com/own\r\n";
    let one = "location: https://example.com/one\r\n";
    assert!(raw(&server, "GET /a HTTP/1.0\r\n\r\n").contains(own));
    let target =
        "GET http://one.example/a HTTP/1.1\r\nHost: two.example\r\nConnection: close\r\n\r\n";
    assert!(raw(&server, target).contains(one), "the target goes before Host");
    let target = target.replace("one.example", "x@one.example");
    assert!(raw(&server, &target).contains(one), "whoever asks");
    // Who asks does not choose the domain by what only proxies say.
    let forwarded = client.get_with("/a", &[("x-forwarded-host", ONE)]);
    assert_eq!(client.send(forwarded).await.header("location"), "https://example.com/own");
}

#[tokio::test]
async fn a_domain_answers_for_its_bare_host_its_unknown_codes_and_robots() {
    let server = with_domains().await;
    let client = &server.client;
    let bare = client.visit("/").await.expect(404).body;
    assert_eq!(visit(client, ONE, "/").await.expect(404).body, bare, "nothing is said");
    let robots = client.visit("/robots.txt").await.expect(404).body;
    assert_eq!(visit(client, ONE, "/robots.txt").await.expect(404).body, robots);
    let said = json!({
        "defaultUrl": "https://example.com/home", "notFoundUrl": "https://example.com/lost",
        "robots": "User-agent: *\nDisallow: /\n", "redirect": 301,
    });
    let changed = client.patch("/api/v1/domains/one.example", &said).await.expect(200).json();
    assert_eq!((&changed["redirect"], &changed["host"]), (&json!(301), &json!(ONE)));
    let home = visit(client, ONE, "/").await.expect(301);
    assert_eq!(home.header("location"), "https://example.com/home");
    assert_eq!(visit(client, ONE, "/robots.txt").await.expect(200).body, said["robots"]);
    for path in ["/nobody", "/nobody/more", "/nobody?a=b"] {
        // Never for ever: tomorrow it may be somebody's.
        let lost = visit(client, ONE, path).await.expect(302);
        assert_eq!(lost.header("location"), "https://example.com/lost", "{path}");
        assert_eq!(lost.header("cache-control"), "no-store", "{path}");
    }
    for path in ["/nobody+", "/nobody.qr", "/api/v1/nothing", "/.well-known/x", "/favicon.ico"] {
        visit(client, ONE, path).await.expect(404);
    }
    for path in ["/", "/nobody", "/robots.txt"] {
        visit(client, TWO, path).await.expect(404);
        client.visit(path).await.expect(404);
    }
    // The service's own domain likewise.
    client.patch("/api/v1/domains/default", &said).await.expect(200);
    client.visit("/").await.expect(301);
    client.visit("/robots.txt").await.expect(200);
    client.visit("/nobody").await.expect(302);
    let nothing =
        json!({ "defaultUrl": null, "notFoundUrl": null, "robots": null, "redirect": null });
    client.patch("/api/v1/domains/default", &nothing).await.expect(200);
    assert_eq!(client.visit("/").await.expect(404).body, bare);
    client.visit("/docs").await.expect(200);
    visit(client, ONE, "/docs").await.expect(200);
}

#[tokio::test]
async fn new_links_redirect_as_their_domain_does_unless_they_say_otherwise() {
    let server = settings().start();
    let client = &server.client;
    add(client, json!({ "name": ONE, "redirect": 308 })).await;
    let new = |alias: &str| NewLink::to(URL).with("alias", alias).with("domain", ONE);
    client.create(new("a")).await;
    client.create(new("b").with("redirect", 307)).await;
    client.create(new("none").with("redirect", json!(null))).await;
    visit(client, ONE, "/none").await.expect(308);
    client.create(NewLink::to(URL).with("alias", "a")).await;
    visit(client, ONE, "/a").await.expect(308);
    visit(client, ONE, "/b").await.expect(307);
    client.visit("/a").await.expect(302);
    // What is there stays as it is.
    client.patch("/api/v1/domains/one.example", &json!({ "redirect": 301 })).await.expect(200);
    visit(client, ONE, "/a").await.expect(308);
    client.create(new("c")).await;
    visit(client, ONE, "/c").await.expect(301);
}

#[tokio::test]
async fn what_hangs_on_a_code_is_of_the_domain_that_was_asked() {
    let server = with_domains().await;
    let client = &server.client;
    client.create(NewLink::to("https://example.com/own").with("alias", "a")).await;
    let one = NewLink::to("https://example.com/one/").with("alias", "a").with("domain", ONE);
    client.create(one.with("forwardPath", true)).await;
    let preview = visit(client, ONE, "/a+").await.expect(200).json();
    assert_eq!(preview["shortUrl"], "https://one.example/a");
    assert_eq!(preview["url"], "https://example.com/one/");
    let own = client.visit("/a+").await.expect(200).json();
    assert_eq!(own["shortUrl"], format!("{BASE_URL}/a"));
    let code = |host| visit(client, host, "/a.qr");
    assert_ne!(code(ONE).await.expect(200).body, code("own.example").await.expect(200).body);
    assert_eq!(location(client, ONE, "/a/more").await, "https://example.com/one/more");
    client.visit("/a/more").await.expect(404);
    let form = visit(client, ONE, "/report/a").await.expect(200).body;
    assert!(form.contains("one.example/a"), "{form}");
    let report = client.request(Method::POST, "/report/a").header("host", ONE);
    client.send(report.header("content-type", FORM).body("category=spam")).await.expect(200);
    let reports = |answer: Answer| answer.expect(200).json()["reports"].clone();
    assert_eq!(reports(client.get("/api/v1/links/a?domain=one.example").await), 1);
    assert_eq!(reports(client.get("/api/v1/links/a").await), 0);
}

/// A block list that an administrator writes later holds for what a domain leads to as well.
#[tokio::test]
async fn nobody_is_led_to_what_came_on_a_block_list() {
    let settings = settings();
    let listed = settings.data_dir().with_extension("blocked");
    std::fs::write(&listed, "other.example\n").unwrap();
    let server = settings.with("HOPLOG_BLOCKLIST", listed.to_str().unwrap()).start();
    let client = &server.client;
    let said = json!({
        "defaultUrl": "https://bad.example/", "notFoundUrl": "https://bad.example/", "robots": "x",
    });
    client.patch("/api/v1/domains/default", &said).await.expect(200);
    client.visit("/").await.expect(302);
    client.visit("/nobody").await.expect(302);
    let server = server.stop();
    std::fs::write(&listed, "bad.example\n").unwrap();
    let server = server.start();
    let client = &server.client;
    client.visit("/").await.expect(404);
    client.visit("/nobody").await.expect(404);
    // What does not lead there can be changed still.
    client.patch("/api/v1/domains/default", &json!({ "robots": null })).await.expect(200);
    let again = json!({ "notFoundUrl": "https://bad.example/again" });
    let again = client.patch("/api/v1/domains/default", &again).await.expect(422).json();
    assert_eq!(again["errors"][0]["code"], "destination_blocked");
}

/// Visitors who follow links of a removed domain use up nothing of what they may look for.
#[tokio::test]
async fn a_removed_domain_charges_nobody() {
    let policies = r#"
        builtin = false
        [[policies]]
        name = "unknown"
        match = { routes = ["unknown-code"] }
        by = "everyone"
        tiers = [{ limit = 2, per = "1h" }]
    "#;
    let server = settings().limited_by(policies).start();
    let client = &server.client;
    add(client, json!({ "name": ONE })).await;
    client.delete("/api/v1/domains/one.example").await.expect(204);
    for _ in 0..9 {
        visit(client, ONE, "/a").await.expect(404);
    }
    for status in [404, 404, 429] {
        client.visit("/nobody").await.expect(status);
    }
}

/// Fault 6 of passwords: a pass of one domain's link opens no other domain's.
#[tokio::test]
async fn a_pass_is_for_the_link_of_its_domain() {
    let server = with_domains().await;
    let client = &server.client;
    for domain in ["default", ONE] {
        let link = NewLink::to(URL).with("alias", "a").with("domain", domain);
        client.create(link.with("password", "open sesame")).await;
    }
    let form = client.request(Method::POST, "/a").header("host", ONE);
    let opened = client
        .send(form.header("content-type", FORM).body("password=open+sesame"))
        .await
        .expect(303);
    let cookie = opened.header("set-cookie").split(';').next().unwrap().to_owned();
    let with = |host: &'static str| {
        let request = client.request(Method::GET, "/a").header("host", host);
        client.send(request.header("cookie", cookie.clone()).header("accept", "*/*"))
    };
    with(ONE).await.expect(302);
    with("own.example").await.expect(403);
}
