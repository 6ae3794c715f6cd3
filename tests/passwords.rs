//! The promise: who does not know the password of a link learns nothing of where it leads, who does is counted
//! once, and nobody is ever shown the password or what is kept of it.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::support::{Answer, Client, NewLink, Server, Settings};

mod guesses;
mod owners;
mod secrecy;

/// Where links of these tests lead.
const URL: &str = "https://secret-place.example/there";

const PASSWORD: &str = "Sésame & öffne=dich+%41";

/// A form, as the page sends it.
fn form(client: &Client, path: &str, password: &str) -> RequestBuilder {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("password", password);
    let request = client.request(Method::POST, path);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    request.body(body.finish())
}

async fn try_password(client: &Client, path: &str, password: &str) -> Answer {
    client.send(form(client, path, password)).await
}

/// The pass that an answer gives, as a browser sends it back.
#[track_caller]
fn pass(answer: &Answer) -> String {
    answer.header("set-cookie").split_once(';').expect("a cookie with attributes").0.to_owned()
}

/// A visit with a pass.
async fn visit_with(client: &Client, path: &str, pass: &str) -> Answer {
    client.send(client.request(Method::GET, path).header("cookie", pass)).await
}

/// A visit of a browser.
async fn browse(client: &Client, path: &str) -> Answer {
    client.send(client.request(Method::GET, path).header("accept", "text/html")).await
}

/// A link with the password, and perhaps more.
async fn locked(client: &Client, code: &str, more: &[(&str, Value)]) -> Value {
    let link = NewLink::to(URL).with("alias", code).with("password", PASSWORD);
    client
        .create(more.iter().fold(link, |link, (name, value)| link.with(name, value.clone())))
        .await
}

/// What an answer must not have before the password was right.
#[track_caller]
fn says_nothing(answer: &Answer) {
    let said = format!("{:?} {}", answer.headers, answer.body);
    assert!(!said.contains("secret-place") && !said.contains("argon2"), "{said}");
}

/// Fault 6: asked for by a page, taken by POST only, and counted.
#[tokio::test]
async fn fault_6_who_knows_the_password_is_let_in_and_counted_once() {
    let server = Server::start();
    let client = &server.client;
    locked(client, "a", &[]).await;
    let page = browse(client, "/a").await.expect(200);
    says_nothing(&page);
    assert!(page.body.contains("<form method=\"post\">") && !page.body.contains("<script"));
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; "));
    let told = client.visit("/a").await.expect(403);
    assert_eq!(told.code(), "password_required");
    says_nothing(&told);
    assert_eq!(told.header("cache-control"), "no-store");
    client.send(client.request(Method::HEAD, "/a")).await.expect(403);
    let in_query: String = form_urlencoded::byte_serialize(PASSWORD.as_bytes()).collect();
    client.visit(&format!("/a?password={in_query}")).await.expect(403);
    let wrong = try_password(client, "/a", "sesame").await.expect(403);
    assert_eq!(wrong.code(), "wrong_password");
    says_nothing(&wrong);
    let wrong = form(client, "/a", "sesame").header("accept", "text/html");
    let wrong = client.send(wrong).await.expect(403);
    assert!(wrong.body.contains("role=\"alert\"") && wrong.body.contains("<form"), "{wrong:?}");
    let nothing = client.request(Method::POST, &format!("/a?password={in_query}"));
    let nothing = nothing.header("content-type", "application/x-www-form-urlencoded");
    client.send(nothing).await.expect(403);

    let right = try_password(client, "/a", PASSWORD).await.expect(303);
    assert_eq!(right.header("location"), URL);
    assert_eq!(
        (right.header("cache-control"), right.header("referrer-policy")),
        ("no-store", "no-referrer")
    );
    assert!(right.header("set-cookie").ends_with("; Path=/a; Max-Age=600; HttpOnly; SameSite=Lax"));
    let again = visit_with(client, "/a", &pass(&right)).await.expect(302);
    assert_eq!((again.header("location"), again.header("cache-control")), (URL, "no-store"));
    let stats = client.stats("a", "").await;
    assert_eq!(stats["totalClicks"], 2, "the right password, and the visit with the pass: {stats}");
    let classes = stats["classes"].as_array().unwrap();
    assert_eq!((classes.len(), &classes[0]["value"]), (1, &json!("human")), "{stats}");
    client.verify_read_models().await;
}

#[tokio::test]
async fn a_pass_is_for_one_link_and_one_password() {
    let server = Server::start();
    let client = &server.client;
    locked(client, "a", &[]).await;
    locked(client, "b", &[]).await;
    let right = pass(&try_password(client, "/a", PASSWORD).await.expect(303));
    visit_with(client, "/b", &right).await.expect(403);
    visit_with(client, "/a", &format!("{right}A")).await.expect(403);
    let same = client.patch("/api/v1/links/a", &json!({ "password": PASSWORD })).await.expect(200);
    assert_eq!(same.json()["version"], 1, "nothing was changed");
    visit_with(client, "/a", &right).await.expect(302);
    client.patch("/api/v1/links/a", &json!({ "password": "other" })).await.expect(200);
    visit_with(client, "/a", &right).await.expect(403);
    try_password(client, "/a", PASSWORD).await.expect(403);
    let other = pass(&try_password(client, "/a", "other").await.expect(303));
    visit_with(client, "/a", &format!("{right}; {other}")).await.expect(302);
    let open = client.patch("/api/v1/links/a", &json!({ "password": null })).await.expect(200);
    assert_eq!(open.json()["hasPassword"], false);
    assert_eq!(client.visit("/a").await.expect(302).header("location"), URL);
    try_password(client, "/a", "other").await.expect(405);
}

/// Over https only, where that is how the service is reached.
#[tokio::test]
async fn a_pass_goes_over_https_where_links_do() {
    let server = Settings::new().with("HOPLOG_BASE_URL", "https://go.example.com").start();
    locked(&server.client, "a", &[]).await;
    let right = try_password(&server.client, "/a", PASSWORD).await.expect(303);
    assert!(right.header("set-cookie").ends_with("; SameSite=Lax; Secure"), "{right:?}");
}

#[tokio::test]
async fn a_password_and_a_pass_outlive_the_process() {
    let server = Server::start();
    locked(&server.client, "a", &[]).await;
    let pass = pass(&try_password(&server.client, "/a", PASSWORD).await.expect(303));
    let server = server.kill().start();
    let client = &server.client;
    client.visit("/a").await.expect(403);
    try_password(client, "/a", "wrong").await.expect(403);
    visit_with(client, "/a", &pass).await.expect(302);
    try_password(client, "/a", PASSWORD).await.expect(303);
    client.caught_up("link_directory").await;
    assert_eq!(client.get("/api/v1/links/a").await.expect(200).json()["hasPassword"], true);
    assert_eq!(client.stats("a", "").await["totalClicks"], 3);
    client.post("/api/v1/projections/link_directory/rebuild", &json!({})).await.expect(200);
    client.verify_read_models().await;
    client.visit("/a").await.expect(403);
}

/// Trap 2 of the cache: what one node is told of a password holds on the others, and so do its passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_2_nodes_agree_on_passwords_and_passes() {
    let settings = Settings::production();
    let second = settings.another_node();
    let (one, two) = (settings.start(), second.start());
    let (one, two) = (&one.client, &two.client);
    one.create(NewLink::to(URL).with("alias", "a")).await;
    two.visit("/a").await.expect(302);
    one.patch("/api/v1/links/a", &json!({ "password": PASSWORD })).await.expect(200);
    one.visit("/a").await.expect(403);
    two.visit_becomes("/a", 403).await;
    let pass = pass(&try_password(two, "/a", PASSWORD).await.expect(303));
    visit_with(one, "/a", &pass).await.expect(302);
    two.patch("/api/v1/links/a", &json!({ "password": null })).await.expect(200);
    one.visit_becomes("/a", 302).await;
}

/// Whatever else is to be said of a link comes first.
#[tokio::test]
async fn what_became_of_a_link_comes_before_its_password() {
    let server = Server::start();
    let client = &server.client;
    let over = json!("https://example.com/over");
    locked(client, "soon", &[("validFrom", json!("2099-01-01T00:00:00Z"))]).await;
    locked(client, "put-away", &[("archived", json!(true))]).await;
    locked(client, "switched-off", &[]).await;
    locked(client, "gone", &[]).await;
    locked(client, "over", &[("expiresIn", json!(1)), ("expiredUrl", over.clone())]).await;
    client.post("/api/v1/links/switched-off/disable", &json!({})).await.expect(200);
    client.delete("/api/v1/links/gone").await.expect(204);
    for (path, status) in [
        ("/soon", 404),
        ("/put-away", 403),
        ("/switched-off", 404),
        ("/gone", 410),
        ("/nobodys", 404),
    ] {
        client.visit(path).await.expect(status);
        let status = if path == "/put-away" { 303 } else { status };
        let tried = try_password(client, path, PASSWORD).await.expect(status);
        assert_eq!(tried.header("location").is_empty(), status != 303, "{tried:?}");
    }
    assert_eq!(client.visit_becomes("/over", 302).await.header("location"), over);
    let tried = try_password(client, "/over", PASSWORD).await.expect(303);
    assert_eq!(tried.header("location"), over);
}

/// What a visitor adds goes on, and nothing of the form does: neither in the query, nor by a status that sends
/// the form again.
#[tokio::test]
async fn what_is_forwarded_is_forwarded_behind_the_password() {
    let server = Server::start();
    let client = &server.client;
    let forwards =
        [("forwardQuery", json!("append")), ("forwardPath", json!(true)), ("redirect", json!(307))];
    locked(client, "a", &forwards).await;
    locked(client, "b", &[]).await;
    assert!(
        browse(client, "/a/more?x=1").await.expect(200).body.contains("<form method=\"post\">")
    );
    let right = try_password(client, "/a/more?x=1", PASSWORD).await.expect(303);
    assert_eq!(right.header("location"), "https://secret-place.example/there/more?x=1");
    let again = visit_with(client, "/a/other", &pass(&right)).await.expect(307);
    assert_eq!(again.header("location"), "https://secret-place.example/there/other");
    assert_eq!(client.stats("a", "").await["totalClicks"], 2);
    try_password(client, "/b/more", PASSWORD).await.expect(404);
    try_password(client, "/nobodys/more", PASSWORD).await.expect(404);
    let long = format!("/a?c={}", "x".repeat(8_190));
    try_password(client, &long, PASSWORD).await.expect(414);
}

#[tokio::test]
async fn a_preview_tells_no_destination_and_a_picture_is_one() {
    let server = Server::start();
    let client = &server.client;
    locked(client, "a", &[]).await;
    let preview = client.visit("/a+").await.expect(200);
    says_nothing(&preview);
    let preview = preview.json();
    assert_eq!((&preview["url"], &preview["hasPassword"]), (&Value::Null, &json!(true)));
    says_nothing(&browse(client, "/a+").await.expect(200));
    client.visit("/a.qr").await.expect(200);
    // Also with a pass: it is for following the link.
    let pass = pass(&try_password(client, "/a", PASSWORD).await.expect(303));
    says_nothing(&visit_with(client, "/a+", &pass).await.expect(200));
    for path in ["/a+", "/a.qr"] {
        try_password(client, path, PASSWORD).await.expect(404);
    }
}
