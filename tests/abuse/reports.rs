//! Reports: anybody says that a link does harm, few times, and nobody learns who.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, NewLink, Server, Settings};

const URL: &str = "https://harmful-place.example/there";

/// What the form of the page sends, from an address behind a trusted proxy.
async fn report(client: &Client, code: &str, from: &str, form: &str) -> Answer {
    let request = client.request(Method::POST, &format!("/report/{code}"));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let request = request.header("x-request-id", format!("of-{from}"));
    client.send(request.header("x-forwarded-for", from).body(form.to_owned())).await
}

async fn reports(client: &Client) -> Vec<Value> {
    let events = client.events("links").await.into_iter();
    events.filter(|event| event["type"] == "hoplog.link.reported.v1").collect()
}

async fn shown(client: &Client, code: &str) -> Value {
    client.get(&format!("/api/v1/links/{code}")).await.expect(200).json()
}

#[tokio::test]
async fn a_report_is_on_the_log_without_whoever_made_it() {
    let server = Settings::new().with("HOPLOG_TRUSTED_PROXIES", "127.0.0.1").start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "bad")).await;
    let preview = client.get_with("/bad+", &[("accept", "text/html")]);
    let preview = client.send(preview).await.expect(200);
    assert!(preview.body.contains("href=\"/report/bad\""), "{preview:?}");
    let page = client.visit("/report/bad").await.expect(200);
    assert!(page.body.contains("<form method=\"post\">"), "{page:?}");
    assert!(page.header("content-security-policy").contains("form-action 'self';"), "{page:?}");
    // The page does not tell which codes there are; a report does, as a visit would.
    client.visit("/report/nobodys").await.expect(200);
    report(client, "nobodys", "203.0.113.7", "category=spam").await.expect(404);
    let text = "category=phishing&text=It+asks%0D%0Afor+%3Cb%3E";
    report(client, "bad", "203.0.113.7", text).await.expect(200);
    report(client, "bad", "203.0.113.8", "category=other&text=").await.expect(200);
    let events = reports(client).await;
    assert_eq!(events[0]["data"], json!({ "category": "phishing", "text": "It asks\nfor <b>" }));
    assert_eq!(events[1]["data"], json!({ "category": "other" }));
    for event in &events {
        assert_eq!(event["actor"], "system:report");
        assert!(!event.to_string().contains("203.0.113"), "{event}");
    }
    assert_eq!(shown(client, "bad").await["reports"], 2);
    client.visit("/bad").await.expect(302);
    for (form, status) in [
        ("category=boring", 422),
        ("text=x", 422),
        (&*format!("category=spam&text={}", "x".repeat(2_001)), 422),
        (&*format!("category=spam&text={}", "x".repeat(33_000)), 413),
    ] {
        report(client, "bad", "203.0.113.7", form).await.expect(status);
    }
    let json = client.request(Method::POST, "/report/bad").json(&json!({ "category": "spam" }));
    client.send(json).await.expect(415);
    assert_eq!(reports(client).await.len(), 2);
    client.delete("/api/v1/links/bad").await.expect(204);
    report(client, "bad", "203.0.113.7", "category=spam").await.expect(410);
    client.verify_read_models().await;
}

/// Another site does not report by the hands of its visitors; over plain http their browsers say the origin only.
#[tokio::test]
async fn a_form_of_another_site_reports_nothing() {
    let server = Settings::new().with("HOPLOG_BASE_URL", "https://go.example").start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "bad")).await;
    let page = client.visit("/report/bad").await.expect(200);
    assert_eq!(page.header("referrer-policy"), "same-origin", "or the origin is not said");
    let own = client.request(Method::GET, "/").build().unwrap();
    let own = own.url().origin().ascii_serialization();
    for (name, value, is_own) in [
        ("sec-fetch-site", "cross-site", false),
        ("sec-fetch-site", "same-site", false),
        ("origin", "http://other.example", false),
        ("origin", "https://go.example.org", false),
        ("origin", "null", false),
        ("sec-fetch-site", "same-origin", true),
        ("origin", "https://go.example", true),
        ("origin", &own, true),
    ] {
        let before = reports(client).await.len();
        let form = client.request(Method::POST, "/report/bad").header(name, value);
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        let answer = client.send(form.body("category=spam")).await.expect(200);
        assert_eq!(answer.body.contains("<form"), !is_own, "{name}: {value}: {answer:?}");
        assert_eq!(reports(client).await.len(), before + usize::from(is_own), "{name}: {value}");
    }
}

/// Whoever sends nonsense for a link keeps nobody from reporting it, and guesses no codes.
#[tokio::test]
async fn only_reports_of_links_that_are_there_count_as_such() {
    let settings = Settings::new().with("HOPLOG_TRUSTED_PROXIES", "127.0.0.1").limited();
    let server = settings.start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "bad")).await;
    for n in 0..40 {
        report(client, "bad", &format!("198.51.100.{n}"), "category=boring").await.expect(422);
    }
    report(client, "bad", "198.51.100.7", "category=spam").await.expect(200);
    let guess = |n: usize| async move {
        report(client, &format!("nobodys{n}"), "203.0.113.7", "category=spam").await.status
    };
    let mut guesses = 0;
    while guess(guesses).await == 404 {
        guesses += 1;
    }
    assert!(guesses >= 60, "{guesses} are as many as for visits");
    let visit = client.get_with("/nobodys", &[("x-forwarded-for", "203.0.113.7")]);
    client.send(visit).await.expect(429);
}

#[tokio::test]
async fn reports_quarantine_only_where_the_operator_wants_it_and_count_anew_after_a_release() {
    let server = Settings::new().with("HOPLOG_REPORTS_TO_QUARANTINE", "2").start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "bad")).await;
    for round in 1..=2 {
        report(client, "bad", "203.0.113.7", "category=spam").await.expect(200);
        client.visit("/bad").await.expect(302);
        report(client, "bad", "203.0.113.8", "category=spam").await.expect(200);
        client.visit("/bad").await.expect(451);
        let link = shown(client, "bad").await;
        assert_eq!(link["quarantine"]["by"], "reports", "{round}: {link}");
        client.post("/api/v1/links/bad/release", &json!({})).await.expect(200);
        assert_eq!(shown(client, "bad").await["reports"], 0);
    }
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "bad")).await;
    for n in 0..102 {
        let from = format!("203.0.113.{n}");
        report(client, "bad", &from, "category=spam").await.expect(200);
    }
    client.visit("/bad").await.expect(302);
    assert_eq!(reports(client).await.len(), 100, "further ones are not kept");
}

#[tokio::test]
async fn who_reports_too_often_is_told_to_come_back() {
    let settings = Settings::new().with("HOPLOG_TRUSTED_PROXIES", "127.0.0.1").limited();
    let server = settings.start();
    let client = &server.client;
    for code in ["one", "two"] {
        client.create(NewLink::to(URL).with("alias", code)).await;
    }
    for n in 0..5 {
        let code = if n % 2 == 0 { "one" } else { "two" };
        report(client, code, "203.0.113.7", "category=spam").await.expect(200);
    }
    let refused = report(client, "one", "203.0.113.7", "category=spam").await.expect(429);
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    assert_eq!(reports(client).await.len(), 5);
    // Others may go on, until there are too many of one link.
    for n in 3..30 {
        report(client, "one", &format!("198.51.100.{n}"), "category=spam").await.expect(200);
    }
    report(client, "one", "198.51.100.99", "category=spam").await.expect(429);
    report(client, "two", "198.51.100.99", "category=spam").await.expect(200);
}
