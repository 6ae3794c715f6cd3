//! The promise: the service's own hosts and routes are nobody's link, and its own page needs
//! nobody else.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, NewLink, Server, Settings, checkout};

const URL: &str = "https://example.com/";

/// The codes of the fields that are wrong.
fn mistakes(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"].as_array().unwrap().iter();
    errors.map(|e| (e["pointer"].as_str().unwrap(), e["code"].as_str().unwrap())).collect()
}

/// The first words of every route.
async fn routes(client: &Client) -> BTreeSet<String> {
    let contract = client.visit("/openapi.json").await.expect(200).json();
    let paths = contract["paths"].as_object().unwrap().keys();
    let words = paths.map(|path| path.split('/').nth(1).unwrap().to_owned());
    // No alias has a dot: what stands before it is reserved as well.
    let words = words.map(|word| word.split('.').next().unwrap().to_owned());
    // What begins with one (`/.well-known/…`) is nobody's in any case.
    words.filter(|word| !word.is_empty() && !word.starts_with('{')).collect()
}

/// The words that the source reserves.
fn reserved() -> BTreeSet<String> {
    let source = std::fs::read_to_string(checkout("src/domain/alias.rs")).unwrap();
    let (_, list) = source.split_once("RESERVED: &[&str] = &[").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    let words = list.split(',').map(|word| word.trim().trim_matches('"').to_owned());
    words.filter(|word| !word.is_empty()).collect()
}

/// Trap 9 (U13): in whatever case, in every way to make a link.
#[tokio::test]
async fn trap_9_no_alias_is_a_route_in_whatever_case() {
    let server = Server::start();
    let client = &server.client;
    let (routes, reserved) = (routes(client).await, reserved());
    assert!(routes.is_subset(&reserved), "{routes:?}");
    assert!(reserved.len() > 50, "{reserved:?}");
    let heads = client.heads().await;
    for word in &reserved {
        let mixed: String = word[..1].to_uppercase() + &word[1..];
        for alias in [word.clone(), word.to_uppercase(), mixed] {
            let link = json!({ "url": URL, "alias": alias });
            let refused = client.post("/api/v1/links", &link).await.expect(422).json();
            assert_eq!(mistakes(&refused), [("/alias", "invalid")], "{alias}: {refused}");
            let detail = refused["errors"][0]["detail"].as_str().unwrap();
            assert!(detail.contains("reserved"), "{alias}: {detail}");
            let short = json!({ "longURL": URL, "customAlias": alias });
            client.post("/api/shorten", &short).await.expect(422);
            let bulk = client.post("/api/v1/links/bulk", &json!({ "links": [link] })).await;
            assert_eq!(bulk.expect(200).json()["results"][0]["status"], 422, "{alias}");
        }
    }
    assert_eq!(client.heads().await, heads, "nothing is stored");
}

/// Trap 8 (U15): behind a public origin the service still has the name that the request was sent to.
#[tokio::test]
async fn trap_8_a_link_leads_neither_to_the_public_origin_nor_to_the_host_that_was_asked() {
    let server = Settings::new().with("HOPLOG_BASE_URL", "https://go.example.com").start();
    let client = &server.client;
    let kept = client.create(NewLink::to(URL).with("alias", "kept")).await;
    assert_eq!(kept["shortUrl"], "https://go.example.com/kept");
    let port = server.url.rsplit(':').next().unwrap();
    for (host, url) in [
        ("127.0.0.1", "https://go.example.com/kept".to_owned()),
        ("127.0.0.1", "http://GO.example.com.:8080/".to_owned()),
        ("127.0.0.1", format!("http://127.0.0.1:{port}/kept")),
        ("127.0.0.1", "http://127.1/kept".to_owned()),
        ("inside.example:8080", "http://inside.example/kept".to_owned()),
        ("Inside.Example.", "https://inside.example:444/".to_owned()),
        ("inside.example", "https://go.example.com/".to_owned()),
        ("[::1]:80", "http://[0:0::1]/".to_owned()),
    ] {
        let body = json!({ "url": url });
        // Wherever else it may lead.
        let later = json!({ "url": URL, "expiredUrl": url });
        let later_bulk = json!({ "links": [later] });
        let rule = json!({ "when": { "visitor": "bot" }, "url": url });
        let ruled = json!({ "url": URL, "rules": [rule] });
        let ruled_bulk = json!({ "links": [ruled] });
        let split = json!([{ "name": "a", "weight": 1 }, { "name": "b", "weight": 0, "url": url }]);
        let split = json!({ "url": URL, "split": split });
        let split_bulk = json!({ "links": [split] });
        let shown = json!({ "url": URL, "preview": { "title": "t", "image": url } });
        let shown_bulk = json!({ "links": [shown] });
        let short = json!({ "longURL": url });
        let bulk = json!({ "links": [body] });
        for (method, path, body) in [
            (Method::POST, "/api/v1/links", &body),
            (Method::PATCH, "/api/v1/links/kept", &body),
            (Method::POST, "/api/shorten", &short),
            (Method::POST, "/api/v1/links/bulk", &bulk),
            (Method::POST, "/api/v1/links", &later),
            (Method::PATCH, "/api/v1/links/kept", &later),
            (Method::POST, "/api/v1/links/bulk", &later_bulk),
            (Method::POST, "/api/v1/links", &ruled),
            (Method::PATCH, "/api/v1/links/kept", &ruled),
            (Method::POST, "/api/v1/links/bulk", &ruled_bulk),
            (Method::POST, "/api/v1/links", &split),
            (Method::PATCH, "/api/v1/links/kept", &split),
            (Method::POST, "/api/v1/links/bulk", &split_bulk),
            (Method::POST, "/api/v1/links", &shown),
            (Method::PATCH, "/api/v1/links/kept", &shown),
            (Method::POST, "/api/v1/links/bulk", &shown_bulk),
        ] {
            let request = client.authorized(method.clone(), path).header("host", host).json(body);
            let answer = client.send(request).await;
            let said = answer.json();
            let one = if path.ends_with("bulk") { &said["results"][0] } else { &said };
            assert_eq!(one["status"], 422, "{method} {path} to {url} at {host}: {said}");
            let problem = if path.ends_with("bulk") { &one["problem"] } else { one };
            assert_eq!(problem["errors"][0]["code"], "loop", "{method} {path} to {url}: {said}");
        }
    }
    let elsewhere =
        client.authorized(Method::POST, "/api/v1/links").header("host", "inside.example");
    client.send(elsewhere.json(&json!({ "url": "https://other.example/" }))).await.expect(201);
}

/// Where a page takes things from: the values of `src` and `href`.
fn sources(html: &str) -> Vec<&str> {
    let after = |name: &'static str| html.split(name).skip(1);
    let values = after(" src=\"").chain(after(" href=\""));
    values.map(|rest| rest.split('"').next().unwrap()).collect()
}

/// The page's own rules forbid everything from elsewhere, and it asks for nothing of the kind.
#[tokio::test]
async fn the_page_of_the_contract_needs_nothing_from_elsewhere() {
    let server = Server::start();
    let client = &server.client;
    let page = client.visit("/docs").await.expect(200);
    let policy = page.header("content-security-policy").to_owned();
    let directives: Vec<Vec<&str>> =
        policy.split(';').map(|directive| directive.split_whitespace().collect()).collect();
    assert!(directives.contains(&vec!["default-src", "'none'"]), "{policy}");
    for directive in &directives {
        assert!(directive[1..].iter().all(|from| ["'none'", "'self'"].contains(from)), "{policy}");
    }
    for needed in ["base-uri", "form-action", "frame-ancestors"] {
        // These do not fall back on default-src.
        assert!(directives.contains(&vec![needed, "'none'"]), "{needed}: {policy}");
    }
    let inline = ["<script>", "<style", " style=", " onclick=", " onload=", "javascript:"];
    assert!(inline.iter().all(|inline| !page.body.contains(inline)), "the policy forbids it");
    let sources = sources(&page.body);
    assert!(sources.len() >= 3, "{sources:?}");
    for source in sources {
        assert!(source.starts_with('/') && !source.starts_with("//"), "{source}");
        let part = client.visit(source).await.expect(200);
        assert_eq!(part.header("x-content-type-options"), "nosniff", "{source}");
        if source.starts_with("/docs/") {
            assert_eq!(part.header("content-security-policy"), policy, "{source}");
            let elsewhere = ["http:", "https:", "url(", "@import", "eval(", "\"//", "'//", "`//"];
            assert!(elsewhere.iter().all(|from| !part.body.contains(from)), "{source}");
        }
    }
}
