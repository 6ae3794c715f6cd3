//! How administrators keep domains.

use serde_json::{Value, json};

use super::{BASE_URL, ONE, TWO, URL, add, settings, visit, with_domains};
use crate::support::{NewLink, Settings};

fn names(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn domains_are_added_listed_changed_and_removed() {
    let server = with_domains().await;
    let client = &server.client;
    let list = client.get("/api/v1/domains").await.expect(200).json();
    assert_eq!(names(&list), ["default", ONE, TWO]);
    assert_eq!(list["data"][0]["host"], "own.example");
    assert_eq!(list["data"][0]["createdAt"], Value::Null);
    let again = client.post("/api/v1/domains", &json!({ "name": "ONE.example" })).await;
    assert_eq!(again.expect(409).code(), "domain_taken");
    let shown = client.get("/api/v1/domains/Two.example").await.expect(200).json();
    assert_eq!(shown, list["data"][2]);
    client.create(NewLink::to(URL).with("alias", "a").with("domain", TWO)).await;
    client.create(NewLink::to("https://example.com/own").with("alias", "a")).await;
    visit(client, TWO, "/a").await.expect(302);
    client.delete("/api/v1/domains/two.example").await.expect(204);
    // Neither its own links, nor those of the service's own domain, which it never had.
    for path in ["/a", "/nobody", "/", "/robots.txt", "/a+", "/a.qr", "/report/a"] {
        visit(client, TWO, path).await.expect(404);
    }
    for (answer, status) in [
        (client.get("/api/v1/domains/two.example").await, 404),
        (client.patch("/api/v1/domains/two.example", &json!({ "redirect": 301 })).await, 404),
        (client.delete("/api/v1/domains/two.example").await, 404),
        (client.delete("/api/v1/domains/default").await, 409),
    ] {
        answer.expect(status);
    }
    let refused = NewLink::to(URL).with("domain", TWO).0;
    let refused = client.post("/api/v1/links", &refused).await.expect(422).json();
    assert_eq!(refused["errors"][0]["code"], "unknown_domain");
    let detail = refused["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.ends_with("allowed is own.example, one.example"), "{detail}");
    // Its links are there still, for their owners.
    let link = client.get("/api/v1/links/a?domain=two.example").await.expect(200).json();
    assert_eq!(link["shortUrl"], "https://two.example/a");
    add(client, json!({ "name": TWO })).await;
    visit(client, TWO, "/a").await.expect(302);
}

#[tokio::test]
async fn names_that_are_no_domains_are_refused_and_unicode_becomes_punycode() {
    let server = settings().start();
    let client = &server.client;
    for name in [
        "127.0.0.1",
        "[::1]",
        "one.example:80",
        "https://one.example",
        "one.example/",
        "one.example.",
        "a_b.example",
        "-a.example",
        "default",
        "own.example",
        "",
    ] {
        let answer = client.post("/api/v1/domains", &json!({ "name": name })).await;
        assert_eq!(answer.expect(422).json()["errors"][0]["pointer"], "/name", "{name}");
    }
    let domain = add(client, json!({ "name": "Bücher.example" })).await;
    assert_eq!(domain["name"], "xn--bcher-kva.example");
    // Whoever makes a link may write it in either way.
    for (alias, name) in [("a", "bücher.example"), ("b", "xn--bcher-kva.example")] {
        let link = client.create(NewLink::to(URL).with("alias", alias).with("domain", name)).await;
        assert_eq!(link["domain"], "xn--bcher-kva.example");
        visit(client, "xn--bcher-kva.example", &format!("/{alias}")).await.expect(302);
    }
    for (field, value) in [
        ("robots", json!("")),
        ("robots", json!("a\u{0}")),
        ("redirect", json!(303)),
        ("defaultUrl", json!("javascript:alert(1)")),
        ("notFoundUrl", json!(1)),
        ("more", json!(1)),
    ] {
        let body = json!({ "name": ONE, field: value });
        client.post("/api/v1/domains", &body).await.expect(422);
        client.patch("/api/v1/domains/default", &json!({ field: value })).await.expect(422);
    }
    client.post("/api/v1/domains?x=1", &json!({ "name": ONE })).await.expect(400);
}

/// Who is no administrator sees where links can live, and changes nothing.
#[tokio::test]
async fn only_administrators_change_domains() {
    let server = with_domains().await;
    let owner = server.client.keyed("ann", &["links:read", "links:write", "stats:read"]).await;
    let list = owner.get("/api/v1/domains").await.expect(200).json();
    assert_eq!(names(&list), ["default", ONE, TWO]);
    owner.post("/api/v1/domains", &json!({ "name": "three.example" })).await.expect(403);
    owner.patch("/api/v1/domains/one.example", &json!({ "redirect": 301 })).await.expect(403);
    owner.delete("/api/v1/domains/one.example").await.expect(403);
    server.client.with_key("x").get("/api/v1/domains").await.expect(401);
    owner.create(NewLink::to(URL).with("domain", ONE)).await;
}

/// Without a public origin the service would not know its own links from those of a domain.
#[tokio::test]
async fn there_are_no_domains_without_a_public_origin() {
    let server = Settings::new().start();
    let answer = server.client.post("/api/v1/domains", &json!({ "name": ONE })).await;
    assert_eq!(answer.expect(409).code(), "no_base_url");
    let said = json!({ "defaultUrl": URL });
    server.client.patch("/api/v1/domains/default", &said).await.expect(200);
    server.client.visit("/").await.expect(302);
}

/// The public origin is no domain's host, nor was it one: its links would be somebody else's. With domains there is one.
#[tokio::test]
async fn the_public_origin_is_not_taken_from_a_domain() {
    let server = with_domains().await;
    server.client.delete("/api/v1/domains/two.example").await.expect(204);
    let stopped = server.stop();
    for (base_url, said) in [
        ("https://one.example", "HOPLOG_BASE_URL: one.example is a domain"),
        ("https://ONE.example.:8443/", "HOPLOG_BASE_URL: one.example is a domain"),
        ("https://two.example", "HOPLOG_BASE_URL: two.example is a domain"),
        ("", "HOPLOG_BASE_URL has to be set"),
    ] {
        let mut serve = stopped.command();
        if base_url.is_empty() {
            serve.env_remove("HOPLOG_BASE_URL");
        } else {
            serve.env("HOPLOG_BASE_URL", base_url);
        }
        let output = serve.arg("serve").output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{base_url}: {error}");
        assert!(error.lines().last().is_some_and(|line| line.contains(said)), "{error}");
    }
    let server = stopped.start();
    server.client.get("/api/v1/domains").await.expect(200);
}

/// Who has the host lead here first asks by it, also for its addition.
#[tokio::test]
async fn a_domain_is_added_by_its_own_host() {
    let server = settings().start();
    let client = &server.client;
    let add = client.authorized(reqwest::Method::POST, "/api/v1/domains");
    let add = add.header("host", "ONE.example.").json(&json!({ "name": ONE }));
    client.send(add).await.expect(201);
    let own = client.authorized(reqwest::Method::POST, "/api/v1/domains");
    let own = own.header("host", "own.example").json(&json!({ "name": "own.example" }));
    assert_eq!(client.send(own).await.expect(422).json()["errors"][0]["code"], "own_domain");
}

#[tokio::test]
async fn a_command_that_is_sent_twice_is_done_once() {
    let server = settings().start();
    let client = &server.client;
    let send = |body: Value| {
        let request = client.authorized(reqwest::Method::POST, "/api/v1/domains");
        client.send(request.header("idempotency-key", "k").json(&body))
    };
    let first = send(json!({ "name": ONE })).await.expect(201);
    let again = send(json!({ "name": ONE })).await.expect(201);
    assert_eq!((first.position(), first.json()), (again.position(), again.json()));
    let other = send(json!({ "name": ONE, "redirect": 301 })).await.expect(422);
    assert_eq!(other.code(), "idempotency_key_reused");
}

/// What is on the log is all there is: after a restart, and when the read models are built anew.
#[tokio::test]
async fn domains_and_their_links_outlive_a_restart_and_a_rebuild() {
    let settings = settings();
    let server = settings.start();
    let client = server.client.clone();
    add(&client, json!({ "name": ONE, "notFoundUrl": "https://example.com/lost" })).await;
    client.create(NewLink::to(URL).with("alias", "a").with("domain", ONE)).await;
    client.verify_read_models().await;
    let server = server.stop().start();
    let client = &server.client;
    visit(client, ONE, "/a").await.expect(302);
    let lost = visit(client, ONE, "/b").await.expect(302);
    assert_eq!(lost.header("location"), "https://example.com/lost");
    for projection in ["link_directory", "clicks"] {
        let rebuild = format!("/api/v1/projections/{projection}/rebuild");
        client.post(&rebuild, &json!({})).await.expect(200);
        client.caught_up(projection).await;
    }
    client.verify_read_models().await;
    let link = client.get("/api/v1/links/a?domain=one.example").await.expect(200).json();
    assert_eq!(link["shortUrl"], "https://one.example/a");
    let own = client.get(&format!("/api/v1/domains/{}", &BASE_URL[8..])).await.expect(200).json();
    assert_eq!(own["name"], "default");
}

#[tokio::test]
async fn the_command_line_keeps_domains_and_names_their_links() {
    let server = settings().start();
    let robots = server.settings.data_dir().with_extension("robots");
    std::fs::write(&robots, "User-agent: *\n").unwrap();
    let robots = robots.to_str().unwrap();
    let added =
        server.cli_ok(&["domain", "add", ONE, "--robots-file", robots, "--redirect", "307"]);
    assert!(added.contains("one.example") && added.contains("307"), "{added}");
    let lost = ["domain", "change", ONE, "--not-found-url", "https://example.com/lost"];
    server.cli_ok(&[&lost[..], &["--clear", "redirect"]].concat());
    let shown = server.cli_ok(&["domain", "show", ONE]);
    assert!(shown.contains("https://example.com/lost") && !shown.contains("307"), "{shown}");
    assert!(shown.contains("User-agent: *"), "{shown}");
    let made = server.cli_ok(&["link", "create", URL, "--alias", "a", "--domain", ONE]);
    assert_eq!(made, "https://one.example/a\n");
    server.cli_ok(&["link", "create", "https://example.com/own", "--alias", "a"]);
    server.cli_ok(&["link", "edit", "one.example/a", "--title", "Of one"]);
    let shown = server.cli_ok(&["link", "show", "one.example/a"]);
    assert!(shown.contains("Of one") && shown.contains("https://one.example/a"), "{shown}");
    assert!(!server.cli_ok(&["link", "show", "a"]).contains("Of one"));
    server.client.caught_up("link_directory").await;
    let listed = server.cli_ok(&["link", "list", "--domain", ONE]);
    assert!(listed.contains(URL) && !listed.contains("/own"), "{listed}");
    server.cli_ok(&["link", "delete", "one.example/a"]);
    server.client.visit("/a").await.expect(302);
    visit(&server.client, ONE, "/a").await.expect(410);
    let listed = server.cli_ok(&["domain", "list"]);
    assert!(listed.contains("default") && listed.contains(ONE), "{listed}");
    server.cli_ok(&["domain", "remove", ONE]);
    assert!(!server.cli_ok(&["domain", "list"]).contains(ONE));
    let nothing = server.cli(&["domain", "change", "default"]);
    assert_eq!(nothing.status.code(), Some(2));
}

/// What is exported comes in again where it was, also where the service's own host is another one.
#[tokio::test]
async fn an_export_keeps_the_domains_of_links() {
    let (from, to) =
        (settings().start(), settings().with("HOPLOG_BASE_URL", "https://new.example").start());
    let file = from.settings.data_dir().with_extension("csv");
    for server in [&from, &to] {
        add(&server.client, json!({ "name": ONE })).await;
    }
    for (domain, url) in [("default", "https://example.com/own"), (ONE, "https://example.com/one")]
    {
        let link = NewLink::to(url).with("alias", "a").with("domain", domain);
        from.client.create(link).await;
    }
    from.client.caught_up("link_directory").await;
    visit(&from.client, ONE, "/a").await.expect(302);
    from.client.caught_up("clicks").await;
    let clicks = from.cli_ok(&["export", "clicks"]);
    assert_eq!(clicks.lines().count(), 2, "{clicks}");
    assert!(clicks.contains("one.example/a"), "{clicks}");
    // However the link is named, clicks are written as another service finds them.
    let clicks = from.cli_ok(&["export", "clicks", "ONE.example/a", "own.example/a"]);
    assert!(clicks.contains("one.example/a") && !clicks.contains("ONE"), "{clicks}");
    visit(&from.client, "own.example", "/a").await.expect(302);
    from.client.caught_up("clicks").await;
    let clicks = from.cli_ok(&["export", "clicks", "own.example/a"]);
    assert!(clicks.lines().count() == 2 && !clicks.contains("own.example/a"), "{clicks}");
    std::fs::write(&file, from.cli_ok(&["export", "links", "--format", "csv"])).unwrap();
    let file = file.to_str().unwrap();
    to.cli_ok(&["import", "links", file]);
    to.cli_ok(&["import", "links", file]);
    let location = async |host: &str| {
        visit(&to.client, host, "/a").await.expect(302).header("location").to_owned()
    };
    assert_eq!(location(ONE).await, "https://example.com/one");
    assert_eq!(location("new.example").await, "https://example.com/own");
}
