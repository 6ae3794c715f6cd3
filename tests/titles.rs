//! The promise: where the operator wants it, pages are asked what they call themselves when links to them are there already;
//! the owner's title wins, nobody waits for it, and nothing inside is reached. The servers that mean harm are in
//! `src/titles/tests.rs`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::{Client, NewLink, Settings};

/// It stands for the public network: the operator names it. The rest of 127.0.0.0/8 is inside.
const OUTSIDE: &str = "127.0.0.2";

/// How long a title may take to arrive.
/// Also where the machine is so busy that a page is late, and asked again a minute later.
const PATIENCE: Duration = Duration::from_secs(150);

/// A web site. A page at `/x` is called `Page x`, but for those of which the way says something else.
struct Site {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    answers: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Desk = (Arc<Mutex<Vec<String>>>, watch::Receiver<bool>);

impl Site {
    async fn start(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (answers, may_answer) = watch::channel(true);
        let desk: Desk = (Arc::clone(&asked), may_answer);
        let app = Router::new().fallback(answer).with_state(desk);
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, asked, answers, task }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked for so far.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn is_asked(&self, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.asked().len() < times {
            assert!(Instant::now() < deadline, "asked for {:?} only", self.asked());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn answer(State((asked, mut may_answer)): State<Desk>, uri: Uri) -> Response {
    asked.lock().unwrap().push(uri.to_string());
    may_answer.wait_for(|may| *may).await.unwrap();
    let query = uri.query().unwrap_or_default();
    if let Some(to) = query.strip_prefix("to=") {
        return (StatusCode::FOUND, [(header::LOCATION, to.to_owned())]).into_response();
    }
    let title = uri.path().trim_start_matches('/');
    Html(format!("<title>Page {title} &amp; more</title><body>")).into_response()
}

fn settings() -> Settings {
    Settings::new().with("HOPLOG_FETCH_TITLES", "true").with("HOPLOG_FETCH_TITLES_ALLOW", OUTSIDE)
}

/// Waits for the title of a link's page.
async fn fetched(client: &Client, code: &str, title: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let link = client.get(&format!("/api/v1/links/{code}")).await.expect(200).json();
        if link["fetchedTitle"] == title {
            return link;
        }
        assert!(Instant::now() < deadline, "{code} is {link}, and not called {title}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_page_is_asked_what_it_calls_itself_when_its_link_is_there() {
    let site = Site::start(OUTSIDE).await;
    let server = settings().start();
    let client = &server.client;
    site.answers.send_replace(false);
    let link = client.create(NewLink::to(&site.url("/a")).with("alias", "a")).await;
    assert_eq!((&link["title"], &link["fetchedTitle"]), (&Value::Null, &Value::Null));
    client.visit("/a").await.expect(302);
    site.answers.send_replace(true);
    let link = fetched(client, "a", "Page a & more").await;
    assert_eq!((&link["title"], &link["version"]), (&Value::Null, &json!(2)));
    let history = client.get("/api/v1/links/a/history").await.expect(200).json();
    let event = &history["data"][1];
    assert_eq!(event["type"], "hoplog.link.title-fetched.v1");
    assert_eq!(event["actor"], "system:titles");
    assert_eq!(event["data"], json!({ "url": site.url("/a"), "title": "Page a & more" }));
    // It is shown where the destination is.
    let told = client.visit("/a+").await.expect(200).json();
    assert_eq!(told["title"], "Page a & more");
    let page = client.send(client.get_with("/a+", &[("accept", "text/html")])).await.expect(200);
    assert!(
        page.body.contains("calls itself</p><blockquote><bdi>Page a &amp; more</bdi>"),
        "{}",
        page.body
    );
    // Another destination has another title, and none until it is known.
    let moved = json!({ "url": site.url("/b") });
    site.answers.send_replace(false);
    let link = client.patch("/api/v1/links/a", &moved).await.expect(200).json();
    assert_eq!(link["fetchedTitle"], Value::Null);
    site.answers.send_replace(true);
    fetched(client, "a", "Page b & more").await;
    // It is no wish of anybody's: a link that is reused has it or not.
    let again = NewLink::to(&site.url("/b")).with("reuse", true);
    assert_eq!(client.post("/api/v1/links", &again.0).await.expect(200).json()["code"], "a");
    client.visit("/a").await.expect(302);
    client.verify_read_models().await;
    client.delete("/api/v1/links/a/personal-data").await.expect(200);
    let links = serde_json::to_string(&client.events("links").await).unwrap();
    assert!(!links.contains("Page") && !links.contains(OUTSIDE), "{links}");
}

#[tokio::test]
async fn the_owner_s_title_wins_and_what_is_for_few_is_not_asked() {
    let site = Site::start(OUTSIDE).await;
    let server = settings().start();
    let client = &server.client;
    let link = |alias| NewLink::to(&site.url(&format!("/{alias}"))).with("alias", alias);
    client.create(link("named").with("title", "Ours")).await;
    client.create(link("secret").with("password", "sesame")).await;
    client.create(link("once").with("maxClicks", 1)).await;
    client.create(link("own")).await;
    // Pages are asked in the order of the log, or nearly: those before would have been asked.
    fetched(client, "own", "Page own & more").await;
    assert_eq!(site.asked(), ["/own"]);
    let titled = client.patch("/api/v1/links/own", &json!({ "title": "Ours" })).await.expect(200);
    assert_eq!(titled.json()["fetchedTitle"], Value::Null);
    let told = client.visit("/own+").await.expect(200).json();
    assert_eq!(told["title"], Value::Null, "the owner's title is the owner's to tell");
    client.patch("/api/v1/links/named", &json!({ "title": null })).await.expect(200);
    fetched(client, "named", "Page named & more").await;
    for code in ["secret", "once"] {
        let link = client.get(&format!("/api/v1/links/{code}")).await.expect(200).json();
        assert_eq!((&link["fetchedTitle"], &link["version"]), (&Value::Null, &json!(1)), "{code}");
    }
    assert_eq!(site.asked(), ["/own", "/named"]);
}

/// SSRF: whatever a link or its redirects name, nothing inside is connected to, and the next link is looked at all the same.
#[tokio::test]
async fn nothing_inside_is_reached_by_a_title() {
    let (site, inside) = (Site::start(OUTSIDE).await, Site::start("127.0.0.3").await);
    let server = settings().start();
    let client = &server.client;
    let port = inside.address.port();
    for (number, url) in [
        inside.url("/"),
        format!("http://localhost:{port}/"),
        format!("http://2130706435:{port}/"),
        format!("http://[::ffff:127.0.0.3]:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        client.create(NewLink::to(&url).with("alias", format!("direct-{number}"))).await;
        let hop = site.url(&format!("/hop?to={url}"));
        client.create(NewLink::to(&hop).with("alias", format!("hop-{number}"))).await;
    }
    client.create(NewLink::to(&site.url("/last")).with("alias", "last")).await;
    fetched(client, "last", "Page last & more").await;
    site.is_asked(6).await;
    assert_eq!(inside.asked(), Vec::<String>::new());
    let deadline = Instant::now() + PATIENCE;
    while !client
        .visit("/metrics")
        .await
        .body
        .contains("hoplog_titles_total{outcome=\"refused\"} 10")
    {
        assert!(Instant::now() < deadline, "{}", client.visit("/metrics").await.body);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What was not looked at when the server was killed is looked at by the next one; without the setting nobody asks.
#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let site = Site::start(OUTSIDE).await;
    let server = settings().start();
    site.answers.send_replace(false);
    for alias in ["a", "b"] {
        let link = NewLink::to(&site.url(&format!("/{alias}"))).with("alias", alias);
        server.client.create(link).await;
    }
    site.is_asked(2).await;
    let server = server.kill().with("HOPLOG_FETCH_TITLES", "false").start();
    server.client.create(NewLink::to(&site.url("/c")).with("alias", "c")).await;
    server.client.caught_up("link_directory").await;
    assert!(!site.asked().contains(&"/c".to_owned()));
    site.answers.send_replace(true);
    let server = server.stop().with("HOPLOG_FETCH_TITLES", "true").start();
    for alias in ["a", "b", "c"] {
        fetched(&server.client, alias, &format!("Page {alias} & more")).await;
    }
    // Also not while nobody should have.
    assert_eq!(site.asked().iter().filter(|path| *path == "/c").count(), 1);
}

/// Trap 14: of several nodes one asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_14_of_two_nodes_one_asks() {
    let site = Site::start(OUTSIDE).await;
    let with = |settings: Settings| {
        settings.with("HOPLOG_FETCH_TITLES", "true").with("HOPLOG_FETCH_TITLES_ALLOW", OUTSIDE)
    };
    let settings = with(Settings::production());
    let second = with(settings.another_node());
    let (one, two) = (settings.start(), second.start());
    for (number, node) in [&one, &two, &one, &two].into_iter().enumerate() {
        let code = format!("l{number}");
        node.client.create(NewLink::to(&site.url(&format!("/{code}"))).with("alias", &*code)).await;
    }
    for number in 0..4 {
        fetched(&two.client, &format!("l{number}"), &format!("Page l{number} & more")).await;
    }
    let mut asked = site.asked();
    asked.sort();
    assert_eq!(asked, ["/l0", "/l1", "/l2", "/l3"]);
    // When it is gone, the other one goes on.
    let _killed = one.kill();
    let link = NewLink::to(&site.url("/later")).with("alias", "later");
    two.client
        .send(two.client.authorized(Method::POST, "/api/v1/links").json(&link.0))
        .await
        .expect(201);
    fetched(&two.client, "later", "Page later & more").await;
}

/// A host that is silent keeps no other host waiting, however many links lead there.
#[tokio::test]
async fn a_silent_host_keeps_nobody_else_waiting() {
    let (site, silent) = (Site::start(OUTSIDE).await, Site::start("127.0.0.4").await);
    silent.answers.send_replace(false);
    let server = settings().with("HOPLOG_FETCH_TITLES_ALLOW", "127.0.0.2,127.0.0.4").start();
    let client = &server.client;
    let mut links: Vec<Value> =
        (0..200).map(|number| json!({ "url": silent.url(&format!("/{number}")) })).collect();
    links.push(json!({ "url": site.url("/last"), "alias": "last" }));
    client.post("/api/v1/links/bulk", &json!({ "links": links })).await;
    fetched(client, "last", "Page last & more").await;
    assert!(silent.asked().len() <= 4, "two at once: {:?}", silent.asked());
}

/// What is for few is told nobody in passing, also where it was for everybody before; and `/{code}+` tells no other's title.
#[tokio::test]
async fn a_title_that_was_fetched_is_not_told_of_what_is_for_few_by_now() {
    let site = Site::start(OUTSIDE).await;
    let server = settings().start();
    let client = &server.client;
    for alias in ["locked", "limited", "ruled"] {
        client.create(NewLink::to(&site.url(&format!("/{alias}"))).with("alias", alias)).await;
    }
    for alias in ["locked", "limited", "ruled"] {
        fetched(client, alias, &format!("Page {alias} & more")).await;
        assert_eq!(
            client.visit(&format!("/{alias}+")).await.expect(200).json()["title"],
            format!("Page {alias} & more")
        );
    }
    // Whatever this program is taken for.
    let rule = |visitor: &str| json!({ "name": visitor, "when": { "visitor": visitor }, "url": "https://example.com/others" });
    let elsewhere = json!([rule("bot"), rule("human")]);
    for (alias, edit) in [
        ("locked", json!({ "password": "sesame" })),
        ("limited", json!({ "maxClicks": 3 })),
        ("ruled", json!({ "rules": elsewhere })),
    ] {
        client.patch(&format!("/api/v1/links/{alias}"), &edit).await.expect(200);
        let told = client.visit(&format!("/{alias}+")).await.expect(200);
        assert_eq!(told.json()["title"], Value::Null, "{alias}");
        let request = client.get_with(&format!("/{alias}+"), &[("accept", "text/html")]);
        let page = client.send(request).await.expect(200);
        assert!(!page.body.contains(&format!("Page {alias}")), "{alias}: {}", page.body);
    }
    client.verify_read_models().await;
}

/// No proxy is asked: it would connect to what nobody has looked at.
#[tokio::test]
async fn no_proxy_is_asked_for_a_page() {
    let (site, proxy) = (Site::start(OUTSIDE).await, Site::start("127.0.0.3").await);
    let server = settings()
        .with("HTTP_PROXY", &proxy.url(""))
        .with("http_proxy", &proxy.url(""))
        .with("ALL_PROXY", &proxy.url(""))
        .start();
    server.client.create(NewLink::to(&site.url("/a")).with("alias", "a")).await;
    fetched(&server.client, "a", "Page a & more").await;
    assert_eq!((site.asked().len(), proxy.asked().len()), (1, 0));
}
