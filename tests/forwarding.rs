//! The promise: what a visitor adds to a short link goes on to the destination where its owner wants that, and
//! nowhere else.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, NewLink, Server};

/// Where a visit of a path leads.
async fn to(client: &Client, path: &str) -> String {
    client.visit(path).await.expect(302).header("location").to_owned()
}

#[tokio::test]
async fn a_query_goes_on_where_its_owner_wants_it() {
    let server = Server::start();
    let client = &server.client;
    let url = "https://example.com/p?a=1&b=1#f";
    client.create(NewLink::to(url).with("alias", "a")).await;
    assert_eq!(to(client, "/a?b=2").await, url, "off by default");
    for (forwarding, expected) in [
        ("append", "https://example.com/p?a=1&b=1&b=2#f"),
        ("override", "https://example.com/p?a=1&b=2#f"),
    ] {
        let patch = json!({ "forwardQuery": forwarding });
        let link = client.patch("/api/v1/links/a", &patch).await.expect(200).json();
        assert_eq!((&link["forwardQuery"], &link["url"]), (&json!(forwarding), &json!(url)));
        assert_eq!(to(client, "/a?b=2").await, expected);
        assert_eq!(to(client, "/a").await, url);
        assert_eq!(to(client, "/a?").await, url);
    }
    // Also when it comes from the read model, behind a restart.
    let server = server.kill().start();
    let client = &server.client;
    assert_eq!(to(client, "/a?b=2").await, "https://example.com/p?a=1&b=2#f");
    let long = format!("/a?c={}", "x".repeat(8_190));
    assert_eq!(client.visit(&long).await.expect(414).code(), "destination_too_long");
    client.patch("/api/v1/links/a", &json!({ "forwardQuery": null })).await.expect(200);
    assert_eq!(to(client, "/a?b=2").await, url);
    let stats = client.stats("a", "").await;
    assert_eq!(stats["totalClicks"], 9, "what led nowhere was no click");
    client.verify_read_models().await;
}

#[tokio::test]
async fn a_path_goes_on_where_its_owner_wants_it() {
    let server = Server::start();
    let client = &server.client;
    let link = NewLink::to("https://example.com/docs/?v=1").with("alias", "docs-of-ours");
    client.create(link.with("forwardPath", true)).await;
    client.create(NewLink::to("https://example.com/").with("alias", "plain")).await;
    for (path, expected) in [
        ("/docs-of-ours", "https://example.com/docs/?v=1"),
        ("/docs-of-ours/", "https://example.com/docs/?v=1"),
        ("/docs-of-ours/a/b", "https://example.com/docs/a/b?v=1"),
        ("/docs-of-ours/a%20b/", "https://example.com/docs/a%20b/?v=1"),
        ("/docs-of-ours/a?ignored=1", "https://example.com/docs/a?v=1"),
        ("/docs-of-ours/a+", "https://example.com/docs/a+?v=1"),
        ("/docs-of-ours//evil.example", "https://example.com/docs//evil.example?v=1"),
        ("/docs-of-ours/https://evil.example", "https://example.com/docs/https://evil.example?v=1"),
    ] {
        assert_eq!(to(client, path).await, expected, "{path}");
    }
    let head = client.send(client.request(Method::HEAD, "/docs-of-ours/x")).await.expect(302);
    assert_eq!(head.header("location"), "https://example.com/docs/x?v=1");
    let nothing = client.visit("/nobodys/x").await.expect(404);
    for path in ["/plain/x", "/plain/", "/api/x", "/.x/y"] {
        let answer = client.visit(path).await.expect(404);
        assert_eq!((answer.code(), answer.body), (nothing.code(), nothing.body.clone()), "{path}");
    }
    client.send(client.request(Method::POST, "/docs-of-ours/x")).await.expect(404);
    // What holds for the link holds for what is behind it.
    let path = "/api/v1/links/docs-of-ours";
    client.post(&format!("{path}/disable"), &json!({})).await.expect(200);
    client.visit("/docs-of-ours/a").await.expect(404);
    client.post(&format!("{path}/enable"), &json!({})).await.expect(200);
    let later = json!({ "validFrom": "2099-01-01T00:00:00Z" });
    client.patch(path, &later).await.expect(200);
    client.visit("/docs-of-ours/a").await.expect(404);
    client.patch(path, &json!({ "validFrom": null })).await.expect(200);
    client.delete(path).await.expect(204);
    assert_eq!(client.visit("/docs-of-ours/a").await.expect(410).code(), "link_deleted");
    assert_eq!(client.stats("docs-of-ours", "").await["totalClicks"], 9);
    client.verify_read_models().await;
}

/// Trap 19: neither path nor query chooses the host, whatever is sent.
#[tokio::test]
async fn trap_19_what_is_forwarded_stays_with_the_owners_host() {
    let server = Server::start();
    let client = &server.client;
    let link = NewLink::to("https://example.com").with("alias", "a").with("forwardPath", true);
    client.create(link.with("forwardQuery", "override")).await;
    for path in [
        "/a/@evil.example/",
        "/a/.evil.example",
        "/a/%0d%0aLocation:%20https://evil.example",
        "/a/%5C%5Cevil.example",
        "/a///evil.example",
        "/a?url=https://evil.example&redir_url=//evil.example",
        "/a?%0d%0aSet-Cookie:a=b",
        "/a/:8080",
    ] {
        let answer = client.visit(path).await.expect(302);
        let location = answer.header("location");
        assert!(location.starts_with("https://example.com/"), "{path}: {location}");
        assert_eq!(answer.header("set-cookie"), "", "{path}");
    }
}

/// Campaign fields are parameters of the destination: set, changed and read one by one.
#[tokio::test]
async fn campaign_fields_are_built_into_the_destination() {
    let server = Server::start();
    let client = &server.client;
    let utm = json!({ "source": "news letter", "campaign": "spring" });
    let link = NewLink::to("https://example.com/?a=1#f").with("alias", "a").with("utm", utm);
    let link = client.create(link).await;
    let url = "https://example.com/?a=1&utm_source=news+letter&utm_campaign=spring#f";
    assert_eq!(link["url"], url);
    assert_eq!(
        link["utm"],
        json!({
            "source": "news letter", "medium": null, "campaign": "spring", "term": null, "content": null,
        })
    );
    assert_eq!(to(client, "/a").await, url);
    let patch = json!({ "utm": { "source": null, "campaign": "summer", "medium": "é" } });
    let link = client.patch("/api/v1/links/a", &patch).await.expect(200).json();
    let url = "https://example.com/?a=1&utm_campaign=summer&utm_medium=%C3%A9#f";
    assert_eq!((&link["url"], &link["version"]), (&json!(url), &json!(2)));
    let heads = client.heads().await;
    client.patch("/api/v1/links/a", &patch).await.expect(200);
    assert_eq!(client.heads().await, heads, "what changes nothing is no event");
    let moved = json!({ "url": "https://example.org/?utm_term=t", "utm": { "source": "s" } });
    let link = client.patch("/api/v1/links/a", &moved).await.expect(200).json();
    assert_eq!(link["url"], "https://example.org/?utm_term=t&utm_source=s");
    let cleared = client.patch("/api/v1/links/a", &json!({ "utm": null })).await.expect(200);
    assert_eq!(cleared.json()["url"], "https://example.org/");
}

#[tokio::test]
async fn campaign_fields_that_are_wrong_are_named() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    let long = format!("https://example.com/{}", "a".repeat(8_100));
    let bad = json!([
        { "url": "https://example.com/", "utm": { "source": "", "medium": 1, "more": "x" } },
        { "url": "https://example.com/", "utm": "source" },
        { "url": long, "utm": { "source": "x".repeat(100) } },
    ]);
    let answer =
        client.post("/api/v1/links/bulk", &json!({ "links": bad })).await.expect(200).json();
    let pointers = |place: usize| -> Vec<String> {
        let errors = answer["results"][place]["problem"]["errors"].as_array().unwrap().iter();
        errors.map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    };
    let all = ["/links/0/utm/source", "/links/0/utm/medium", "/links/0/utm/more"];
    assert_eq!(pointers(0), all);
    assert_eq!(pointers(1), ["/links/1/utm"]);
    assert_eq!(pointers(2), ["/links/2/utm"]);
    let too_long = json!({ "url": long, "utm": { "source": "x".repeat(100) } });
    let refused = client.patch("/api/v1/links/a", &too_long).await.expect(422).json();
    assert_eq!(refused["errors"][0]["pointer"], "/utm");
}

#[tokio::test]
async fn what_is_forwarded_is_chosen_by_hand_and_in_files() {
    let server = Server::start();
    let client = &server.client;
    let create = ["link", "create", "https://example.com/", "--alias", "b", "--utm-source", "cli"];
    server
        .cli_ok(&[&create[..], &["--forward-query", "append", "--forward-path", "true"]].concat());
    let link = client.get("/api/v1/links/b").await.json();
    assert_eq!(
        (&link["url"], &link["forwardPath"]),
        (&json!("https://example.com/?utm_source=cli"), &json!(true))
    );
    assert_eq!(to(client, "/b/x?y=1").await, "https://example.com/x?utm_source=cli&y=1");
    server.cli_ok(&[
        "link",
        "edit",
        "b",
        "--clear",
        "utm,forward-query",
        "--forward-path",
        "false",
    ]);
    assert_eq!(to(client, "/b?y=1").await, "https://example.com/");
    client.visit("/b/x").await.expect(404);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("links.csv");
    std::fs::write(
        &file,
        "url,alias,utmSource,forwardQuery,forwardPath\nhttps://example.com/,c,csv,append,true\n",
    )
    .unwrap();
    server.cli_ok(&["import", "links", file.to_str().unwrap()]);
    assert_eq!(to(client, "/c/x?y=1").await, "https://example.com/x?utm_source=csv&y=1");
}

/// Notes' §5.12: what browsers keep for good is warned of.
#[tokio::test]
async fn a_permanent_redirect_is_warned_of() {
    let server = Server::start();
    let client = &server.client;
    for (redirect, expected) in [(301, 1), (302, 0), (307, 0), (308, 1)] {
        let alias = format!("a{redirect}");
        let link = NewLink::to("https://example.com/").with("alias", alias.as_str());
        let link = client.create(link.with("redirect", redirect)).await;
        let codes: Vec<&Value> =
            link["warnings"].as_array().unwrap().iter().map(|warning| &warning["code"]).collect();
        assert_eq!(codes, vec!["permanent_redirect"; expected], "{redirect}");
        client.visit(&format!("/{alias}")).await.expect(redirect);
    }
    let told = server.cli(&["link", "create", "https://example.com/", "--redirect", "301"]);
    assert!(String::from_utf8_lossy(&told.stderr).starts_with("warning: "), "{told:?}");
    assert_eq!(told.status.code(), Some(0));
}
