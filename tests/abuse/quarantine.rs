//! Quarantine: nobody is led to where a link leads, until an operator releases it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, NewLink, Server, Settings};

const URL: &str = "https://harmful-place.example/there";

async fn act(client: &Client, code: &str, what: &str, body: &Value) -> Answer {
    client.post(&format!("/api/v1/links/{code}/{what}"), body).await
}

async fn quarantine(client: &Client, code: &str) -> Value {
    let reason = json!({ "reason": "asks for passwords" });
    act(client, code, "quarantine", &reason).await.expect(200).json()
}

/// A visit as browsers make it.
async fn browse(client: &Client, path: &str) -> Answer {
    client.send(client.get_with(path, &[("accept", "text/html,*/*")])).await
}

/// What an answer must not have that leads nowhere.
#[track_caller]
fn leads_nowhere(answer: &Answer) {
    assert_eq!(answer.status, 451, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
    assert_eq!(answer.header("location"), "", "{answer:?}");
    assert!(!answer.body.contains("harmful-place"), "{answer:?}");
}

async fn listed(client: &Client, state: &str) -> Vec<Value> {
    client.caught_up("link_directory").await;
    let list = client.get(&format!("/api/v1/links?state={state}")).await.expect(200).json();
    list["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_link_in_quarantine_leads_nowhere_whatever_its_owner_does() {
    let server = Server::start();
    let admin = &server.client;
    let ann = admin.keyed("ann", &["links:read", "links:write"]).await;
    ann.create(NewLink::to(URL).with("alias", "bad")).await;
    ann.create(NewLink::to("https://example.com/").with("alias", "good")).await;
    admin.visit("/bad").await.expect(302);
    let reason = json!({ "reason": "mine" });
    assert_eq!(act(&ann, "bad", "quarantine", &reason).await.expect(403).code(), "missing_scope");
    let link = quarantine(admin, "bad").await;
    assert_eq!(
        (&link["state"], &link["quarantine"]["by"]),
        (&json!("quarantined"), &json!("operator"))
    );
    for path in ["/bad", "/bad+", "/bad.qr", "/bad?x=1"] {
        let told = admin.visit(path).await;
        leads_nowhere(&told);
        assert_eq!(told.code(), "link_quarantined", "{path}");
        let page = browse(admin, path).await;
        leads_nowhere(&page);
        assert!(page.body.contains("blocked") && page.header("referrer-policy") == "no-referrer");
    }
    leads_nowhere(&admin.send(admin.request(Method::HEAD, "/bad")).await);
    for (what, body) in [("disable", json!({})), ("enable", json!({}))] {
        act(&ann, "bad", what, &body).await.expect(200);
        leads_nowhere(&admin.visit("/bad").await);
    }
    let edit =
        json!({ "url": format!("{URL}/else"), "title": "t", "expiresAt": "2099-01-01T00:00:00Z" });
    ann.patch("/api/v1/links/bad", &edit).await.expect(200);
    leads_nowhere(&admin.visit("/bad").await);
    assert_eq!(act(&ann, "bad", "release", &json!({})).await.expect(403).code(), "missing_scope");
    // The same URL is not given out by another way.
    let reuse = json!({ "url": format!("{URL}/else"), "reuse": true });
    assert_ne!(ann.post("/api/v1/links", &reuse).await.expect(201).json()["code"], "bad");
    assert_eq!(listed(admin, "quarantined").await.len(), 1);
    let own = ann.get("/api/v1/links?state=quarantined").await.expect(200).json();
    assert_eq!(own["data"][0]["code"], "bad");
    act(admin, "bad", "release", &json!({})).await.expect(200);
    admin.visit("/bad").await.expect(302);
    assert!(listed(admin, "quarantined").await.is_empty());
    admin.verify_read_models().await;
}

#[tokio::test]
async fn an_owner_appeals_and_the_operator_sees_it() {
    let server = Server::start();
    let admin = &server.client;
    let ann = admin.keyed("ann", &["links:read", "links:write"]).await;
    let bob = admin.keyed("bob", &["links:read", "links:write"]).await;
    ann.create(NewLink::to(URL).with("alias", "bad")).await;
    let text = json!({ "text": "The page is clean again,\nlook at it." });
    assert_eq!(act(&ann, "bad", "appeal", &text).await.expect(409).code(), "not_quarantined");
    quarantine(admin, "bad").await;
    act(&bob, "bad", "appeal", &text).await.expect(404);
    let none = act(&ann, "bad", "appeal", &json!({ "text": "" })).await.expect(422);
    assert_eq!(none.json()["errors"][0]["pointer"], "/text");
    act(&ann, "bad", "appeal", &text).await.expect(200);
    let seen = listed(admin, "quarantined").await;
    assert_eq!(seen[0]["quarantine"]["appeal"], text["text"]);
    assert_eq!(seen[0]["quarantine"]["reason"], "asks for passwords");
    act(admin, "bad", "release", &json!({})).await.expect(200);
    let history = ann.get("/api/v1/links/bad/history").await.expect(200).json();
    let events = history["data"].as_array().unwrap();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let link = |what: &str| format!("hoplog.link.{what}");
    let expected = ["created.v2", "quarantined.v1", "appealed.v1", "released.v1"].map(link);
    assert_eq!(types, expected);
    let at = events[2]["time"].as_str().unwrap();
    let then = ann.get(&format!("/api/v1/links/bad?asOf={at}")).await.expect(200).json();
    assert_eq!(
        (&then["state"], &then["quarantine"]["appeal"]),
        (&json!("quarantined"), &text["text"])
    );
    let now = ann.get("/api/v1/links/bad").await.expect(200).json();
    assert_eq!((&now["state"], &now["quarantine"]), (&json!("active"), &Value::Null));
}

/// On the command line, too.
#[tokio::test]
async fn the_command_line_quarantines_releases_and_appeals() {
    let server = Server::start();
    server.client.create(NewLink::to(URL).with("alias", "bad")).await;
    let told = server.cli_ok(&["link", "quarantine", "bad", "--reason", "asks for passwords"]);
    assert!(told.contains("quarantined") && told.contains("asks for passwords, since"), "{told}");
    server.client.visit("/bad").await.expect(451);
    let told = server.cli_ok(&["link", "appeal", "bad", "--text", "It is ours."]);
    assert!(told.contains("It is ours."), "{told}");
    server.client.caught_up("link_directory").await;
    assert!(server.cli_ok(&["link", "list", "--state", "quarantined"]).contains("bad"));
    server.cli_ok(&["link", "release", "bad"]);
    server.client.visit("/bad").await.expect(302);
}

/// There is no address of ours that leads around the warning, and what a link keeps to itself stays there.
#[tokio::test]
async fn a_warning_tells_browsers_where_a_link_would_lead() {
    let server = Settings::new().with("HOPLOG_QUARANTINE", "warn").start();
    let client = &server.client;
    for (code, field, value) in [
        ("open", "title", json!("t")),
        ("locked", "password", json!("sesame")),
        ("few", "maxClicks", json!(3)),
    ] {
        client.create(NewLink::to(URL).with("alias", code).with(field, value)).await;
        quarantine(client, code).await;
    }
    client.create(NewLink::to(URL).with("alias", "off")).await;
    act(client, "off", "disable", &json!({})).await.expect(200);
    quarantine(client, "off").await;
    let page = browse(client, "/open").await.expect(451);
    let link = format!("<a rel=\"noreferrer nofollow\" href=\"{URL}\">");
    assert!(page.body.contains(&link), "{page:?}");
    assert_eq!((page.header("cache-control"), page.header("location")), ("no-store", ""));
    leads_nowhere(&client.visit("/open").await);
    for code in ["locked", "few", "off"] {
        leads_nowhere(&browse(client, &format!("/{code}")).await);
        leads_nowhere(&browse(client, &format!("/{code}+")).await);
    }
    let form = client.request(Method::POST, "/locked").header("accept", "text/html");
    let form =
        form.header("content-type", "application/x-www-form-urlencoded").body("password=sesame");
    leads_nowhere(&client.send(form).await);
}

/// Trap 2: the warning goes by the instant at which a link ends, not by whether that is on the log.
#[tokio::test]
async fn trap_2_a_warning_does_not_tell_where_a_link_led_that_has_ended() {
    let server = Settings::new().with("HOPLOG_QUARANTINE", "warn").start();
    let client = &server.client;
    for code in ["brief", "gone"] {
        client.create(NewLink::to(URL).with("alias", code).with("expiresIn", 3)).await;
        quarantine(client, code).await;
    }
    client.delete("/api/v1/links/gone").await.expect(204);
    assert_eq!(browse(client, "/gone").await.expect(410).body.matches("harmful-place").count(), 0);
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while browse(client, "/brief").await.expect(451).body.contains("harmful-place") {
        assert!(std::time::Instant::now() < deadline, "the page still tells the destination");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    leads_nowhere(&browse(client, "/brief").await);
}

/// The kill switch: a quarantine is a change like any other, and goes where changes go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantine_reaches_the_caches_of_every_node() {
    let settings = Settings::production();
    let second = settings.another_node();
    let (one, two) = (settings.start(), second.start());
    one.client.create(NewLink::to(URL).with("alias", "bad")).await;
    for round in 0..3 {
        two.client.visit_becomes("/bad", 302).await;
        one.client.visit("/bad").await.expect(302);
        quarantine(&one.client, "bad").await;
        leads_nowhere(&one.client.visit("/bad").await);
        two.client.visit_becomes("/bad", 451).await;
        if round == 2 {
            break;
        }
        act(&two.client, "bad", "release", &json!({})).await.expect(200);
        two.client.visit("/bad").await.expect(302);
        one.client.visit_becomes("/bad", 302).await;
    }
    // Neither a new process nor an empty Redis opens it.
    let one = one.stop().start();
    leads_nowhere(&one.client.visit("/bad").await);
    one.settings.redis().flush();
    let two = two.stop().start();
    leads_nowhere(&two.client.visit("/bad").await);
}
