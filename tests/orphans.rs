//! The promise: visits that lead nowhere are recorded apart from clicks, as nobody's, and no more of them than a
//! limit allows: all of them are counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, Client, NewLink, Settings};

const URL: &str = "https://example.com/";

/// The agent of a crawler.
const BOT: &str = "Googlebot/2.1 (+http://www.google.com/bot.html)";

async fn visits(client: &Client, query: &str) -> Vec<Value> {
    let page = client.get(&format!("/api/v1/orphans?limit=500&{query}")).await.expect(200).json();
    page["data"].as_array().unwrap().clone()
}

/// Kind and path of each visit.
async fn told(client: &Client, query: &str) -> BTreeMap<(String, String), usize> {
    let mut told = BTreeMap::new();
    for visit in visits(client, query).await {
        let text = |name: &str| visit[name].as_str().unwrap().to_owned();
        *told.entry((text("kind"), text("path"))).or_default() += 1;
    }
    told
}

/// Links in every state that is not served, called like it.
async fn links(client: &Client) {
    let create = async |link: NewLink| client.create(link).await;
    let called = |alias: &str| NewLink::to(URL).with("alias", alias);
    create(called("alive")).await;
    create(called("expired").with("expiresIn", 1)).await;
    create(called("fallback").with("expiresIn", 1).with("expiredUrl", "https://example.com/over"))
        .await;
    create(called("spent").with("maxClicks", 1)).await;
    create(called("scheduled").with("validFrom", "2099-01-01T00:00:00Z")).await;
    for alias in ["deleted", "disabled", "taken"] {
        create(called(alias)).await;
    }
    client.delete("/api/v1/links/deleted").await.expect(204);
    client.post("/api/v1/links/disabled/disable", &json!({})).await.expect(200);
    let reason = json!({ "reason": "asks for passwords" });
    client.post("/api/v1/links/taken/quarantine", &reason).await.expect(200);
    // A QR code is no visit.
    for alias in ["expired", "fallback"] {
        client.visit_becomes(&format!("/{alias}.qr"), 410).await;
    }
}

/// What was asked for, and why it led nowhere.
const LED_NOWHERE: &[(&str, u16, &str, &str)] = &[
    ("/nobody", 404, "unknown-code", "nobody"),
    ("/nobody?token=secret", 404, "unknown-code", "nobody"),
    ("/alive).", 404, "unknown-code", "alive)."),
    ("/ann@example.com", 404, "unknown-code", ""),
    ("/nobody/behind/it", 404, "unknown-code", "nobody/"),
    ("/alive/behind/it", 404, "unknown-code", "alive/"),
    ("/", 404, "base-url", ""),
    ("/?token=secret", 404, "base-url", ""),
    ("/expired", 410, "expired", "expired"),
    ("/fallback", 302, "expired", "fallback"),
    ("/spent", 410, "spent", "spent"),
    ("/deleted", 410, "deleted", "deleted"),
    ("/disabled", 404, "disabled", "disabled"),
    ("/scheduled", 404, "not-yet", "scheduled"),
    ("/taken", 451, "quarantined", "taken"),
];

/// What is no visit, or leads somewhere.
const ANOTHER_THING: &[(&str, u16)] = &[
    ("/alive", 302),
    ("/nobody+", 404),
    ("/nobody.qr", 404),
    ("/favicon.ico", 404),
    ("/robots.txt", 404),
    ("/.well-known/change-password", 404),
    ("/api/v1/nothing", 404),
    ("/health/live", 200),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_is_recorded_apart_and_none_is_a_click() {
    let server = Settings::new().start();
    let client = &server.client;
    links(client).await;
    client.visit("/spent").await.expect(302);
    let mut expected = BTreeMap::new();
    for (path, status, kind, kept) in LED_NOWHERE {
        client.visit(path).await.expect(*status);
        *expected.entry(((*kind).to_owned(), (*kept).to_owned())).or_default() += 1;
    }
    for (path, status) in ANOTHER_THING {
        client.visit(path).await.expect(*status);
    }
    let sent = LED_NOWHERE.len() as u64;
    let stats = client.orphans(sent).await;
    assert_eq!((&stats["totalUnrecorded"], &stats["uniqueVisitors"]), (&json!(0), &json!(1)));
    assert_eq!(told(client, "").await, expected);
    assert_eq!(told(client, "kind=expired,spent").await.len(), 3);
    assert_eq!(told(client, "path=nobody").await.len(), 1);
    let kinds = stats["kinds"].as_array().unwrap();
    assert_eq!(kinds.iter().map(|kind| kind["clicks"].as_u64().unwrap()).sum::<u64>(), sent);
    assert!(!stats.to_string().contains("secret"));

    // Clicks are those of before: of what led somewhere.
    client.caught_up("clicks").await;
    for (code, clicks) in
        [("alive", 1), ("spent", 1), ("expired", 0), ("fallback", 0), ("taken", 0)]
    {
        assert_eq!(client.stats(code, "").await["totalClicks"], clicks, "{code}");
    }
    assert_eq!(client.get("/api/v1/stats").await.json()["totalClicks"], 2);

    // All of it is on the log: built again it is the same.
    client.post("/api/v1/projections/orphans/rebuild", &json!({})).await.expect(200);
    assert_eq!(told(client, "").await, expected);
    client.verify_read_models().await;
    let printed = server.cli_ok(&["orphans", "--kind", "spent,deleted"]);
    assert!(printed.contains("2 visits recorded") && printed.contains("deleted"), "{printed}");
    let printed = server.cli_ok(&["orphans", "--show", "visits", "--path", "alive)."]);
    assert_eq!(printed.lines().count(), 2, "{printed}");
    let file = server.cli_ok(&["export", "orphans"]);
    assert_eq!(file.lines().count() as u64, sent + 1, "{file}");
}

/// Whoever comes while others take the last click is a visit too, wherever it is led: clicks and visits in vain are all
/// that came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_as_the_last_click_goes_leads_nowhere_and_is_counted() {
    const AT_ONCE: u64 = 50;
    let server = Settings::new().start();
    let client = &server.client;
    let limited = |alias: &str| NewLink::to(URL).with("alias", alias).with("maxClicks", 1);
    client.create(limited("a")).await;
    client.create(limited("b").with("expiredUrl", "https://example.com/over")).await;
    for (path, status) in [("/a", 410), ("/b", 302)] {
        let answers = (0..AT_ONCE).map(|_| client.visit(path));
        let answers = futures::future::join_all(answers).await;
        let led = |answer: &&Answer| answer.status == 302 && answer.header("location") == URL;
        assert_eq!(answers.iter().filter(led).count(), 1);
        let late = answers.iter().filter(|answer| !led(answer));
        assert!(late.into_iter().all(|answer| answer.status == status), "{path}");
    }
    // Counts are written at the stop at the latest.
    let server = server.stop().start();
    let client = &server.client;
    let stats = client.orphans(2 * (AT_ONCE - 1)).await;
    let (kinds, counted) = (&stats["kinds"], &stats["unrecorded"]);
    assert_eq!((kinds[0]["value"].as_str(), &kinds[1]), (Some("spent"), &Value::Null), "{stats}");
    assert_eq!((counted[0]["kind"].as_str(), &counted[1]), (Some("spent"), &Value::Null));
    for code in ["a", "b"] {
        assert_eq!(client.stats(code, "").await["totalClicks"], 1, "{code}");
    }
}

/// The page with the form was no visit that led nowhere, as the link was there.
#[tokio::test]
async fn a_form_for_a_link_that_has_ended_meanwhile_is_a_visit() {
    let server = Settings::new().start();
    let client = &server.client;
    let link = NewLink::to(URL).with("password", "sesame").with("maxClicks", 1);
    // It begins as what browsers ask every host for.
    client.create(link.with("alias", "apple-touch-icon-a")).await;
    let send = async |path: &str, status: u16| {
        let form = client.request(Method::POST, path).body("password=sesame");
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        client.send(form).await.expect(status);
    };
    let path = "/apple-touch-icon-a";
    send(path, 303).await;
    send(path, 410).await;
    send("/nobody", 404).await;
    client.delete("/api/v1/links/apple-touch-icon-a").await.expect(204);
    send(path, 410).await;
    client.visit(path).await.expect(410);
    client.orphans(3).await;
    let of = |kind: &str| (kind.to_owned(), "apple-touch-icon-a".to_owned());
    let expected = BTreeMap::from([(of("spent"), 1), (of("deleted"), 2)]);
    assert_eq!(told(client, "").await, expected);
    assert!(visits(client, "").await.iter().all(|visit| visit["class"] != "head"));
}

/// The same dimensions as clicks have, and the same way to leave out who is nobody's visitor.
#[tokio::test]
async fn what_is_known_of_a_click_is_known_of_them() {
    let settings = Settings::new().with("HOPLOG_TRUSTED_PROXIES", "127.0.0.0/8");
    let server = settings.start();
    let client = &server.client;
    let visit = |method: Method, headers: &[(&str, &str)]| {
        let visit = client.request(method, "/nobody").header("x-forwarded-for", "193.0.6.139");
        headers.iter().fold(visit, |visit, (name, value)| visit.header(*name, *value))
    };
    let person = [("referer", "https://News.example/a?b"), ("accept-language", "de-AT,en;q=0.5")];
    client.send(visit(Method::GET, &person)).await.expect(404);
    client.send(visit(Method::GET, &[("user-agent", BOT)])).await.expect(404);
    client.send(visit(Method::HEAD, &[])).await.expect(404);
    client.send(visit(Method::GET, &[("sec-purpose", "prefetch")])).await.expect(404);
    client.orphans(4).await;
    let people = visits(client, "bots=exclude").await;
    let [person] = &people[..] else { panic!("{people:?}") };
    for (field, value) in [
        ("class", "human"),
        ("country", "NL"),
        ("device", "desktop"),
        ("browser", "Firefox"),
        ("system", "Linux"),
        ("referrer", "news.example"),
        ("language", "de-at"),
        ("domain", "default"),
    ] {
        assert_eq!(person[field], value, "{field}: {person}");
    }
    let classes: BTreeSet<String> = visits(client, "bots=only")
        .await
        .iter()
        .map(|visit| visit["class"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(classes.into_iter().collect::<Vec<_>>(), ["bot", "head", "prefetch"]);
    let counted = async |query: &str| {
        let path = format!("/api/v1/orphans/stats?{query}");
        client.get(&path).await.expect(200).json()["totalClicks"].as_u64().unwrap()
    };
    for (query, visits) in
        [("country=NL", 4), ("country=-NL", 0), ("class=bot,head", 2), ("bots=exclude", 1)]
    {
        assert_eq!(counted(query).await, visits, "{query}");
    }
}

/// Tries codes, each from an address of its own, without waiting for one answer after the other.
async fn scan(codes: Vec<u32>, server: String) {
    const AT_ONCE: usize = 64;
    let mut stream = TcpStream::connect(&server).await.unwrap();
    for some in codes.chunks(AT_ONCE) {
        let mut requests = String::new();
        for n in some {
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + n);
            write!(
                requests,
                "GET /scan-{n} HTTP/1.1\r\nhost: {server}\r\nx-forwarded-for: {address}\r\n\r\n"
            )
            .unwrap();
        }
        stream.write_all(requests.as_bytes()).await.unwrap();
        let (mut answers, mut answered) = (Vec::new(), 0);
        while answered < some.len() {
            assert_ne!(stream.read_buf(&mut answers).await.unwrap(), 0, "the server hung up");
            let text = String::from_utf8_lossy(&answers);
            answered = text.matches("\"status\":404").count();
        }
    }
}

/// Pitfall 5 in the field (enumeration), and 13 (privacy): whoever tries 100,000 codes from as many addresses leaves
/// what the limit allows, on the log and in the read model, and is counted to the last one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pitfall_5_a_scanner_does_not_fill_the_disk_and_is_counted() {
    const CODES: u32 = 100_000;
    const SCANNERS: u32 = 16;
    // A hundredth of a day's in each minute.
    const PER_MINUTE: usize = 50;
    let settings = Settings::embedded()
        .with("HOPLOG_TRUSTED_PROXIES", "127.0.0.0/8")
        .with("HOPLOG_ORPHANS_PER_DAY", "5000");
    let server = settings.start();
    let address = server.url.trim_start_matches("http://").to_owned();
    let scan =
        |part: u32| scan((part..CODES).step_by(SCANNERS as usize).collect(), address.clone());
    let scans = (0..SCANNERS).map(|part| tokio::spawn(scan(part)));
    for scanned in futures::future::join_all(scans).await {
        scanned.unwrap();
    }
    // What waits is written at the stop.
    let server = server.stop().start();
    let client = &server.client;
    let stats = client.orphans(CODES.into()).await;
    let recorded = stats["totalClicks"].as_u64().unwrap();
    let mut of_minutes: BTreeMap<String, usize> = BTreeMap::new();
    let events = client.events("clicks").await;
    let mut bytes = 0;
    for event in &events {
        assert_eq!(event["type"], "hoplog.orphans.recorded.v1");
        bytes += event.to_string().len();
        for visit in event["data"]["visits"].as_array().into_iter().flatten() {
            let minute = visit["at"].as_str().unwrap()[..16].to_owned();
            *of_minutes.entry(minute).or_default() += 1;
        }
    }
    assert_eq!(of_minutes.values().sum::<usize>() as u64, recorded);
    assert!(of_minutes.values().all(|visits| *visits <= PER_MINUTE), "{of_minutes:?}");
    let most = of_minutes.len() * PER_MINUTE * 1_000 + events.len() * 1_500;
    assert!(bytes <= most, "{bytes} bytes in {} events of {of_minutes:?}", events.len());
    println!("{recorded} of {CODES} recorded, {bytes} bytes in {} events", events.len());
    client.verify_read_models().await;
}

/// With the limits that are built in, who tries too many is turned away before anybody looks: those are no visits.
#[tokio::test]
async fn pitfall_5_who_is_turned_away_is_not_recorded() {
    let settings = Settings::new().limited().with("HOPLOG_TRUSTED_PROXIES", "127.0.0.0/8");
    let server = settings.start();
    let mut found = 0;
    for n in 0..100 {
        let visit = server.client.request(Method::GET, &format!("/scan-{n}"));
        let answer = server.client.send(visit.header("x-forwarded-for", "198.51.100.7")).await;
        assert!(answer.status == 404 || answer.status == 429, "{answer:?}");
        found += u64::from(answer.status == 404);
    }
    assert!((1..100).contains(&found), "{found}");
    let server = server.stop().start();
    server.client.orphans(found).await;
}

/// Pitfall 13 in the field (privacy): there is nothing to erase. Neither address nor agent nor the hash of a click is kept,
/// also where the operator keeps addresses. (That what is left of the hashes says nothing of clicks is shown where they are made.)
#[tokio::test]
async fn pitfall_13_of_who_came_in_vain_there_is_nothing_to_erase() {
    const AGENT: &str = "Mozilla/5.0 (Linux; Android 13; Telltale-Phone 7) AppleWebKit/537.36 \
                         (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36";
    let settings = Settings::new()
        .with("HOPLOG_KEEP_ADDRESSES", "true")
        .with("HOPLOG_TRUSTED_PROXIES", "127.0.0.0/8");
    let server = settings.start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a")).await;
    for (path, status) in [("/a", 302), ("/nobody", 404), ("/nobody", 404)] {
        let visit = client.request(Method::GET, path).header("user-agent", AGENT);
        let visit = visit.header("x-forwarded-for", "203.0.113.77");
        client.send(visit).await.expect(status);
    }
    let stats = client.orphans(2).await;
    assert_eq!(stats["uniqueVisitors"], 1, "they count as one: {stats}");
    client.caught_up("clicks").await;
    let click = client.get("/api/v1/links/a/clicks").await.json()["data"][0].clone();
    assert_eq!(click["address"], "203.0.113.77");
    let visitor = click["visitor"].as_str().unwrap();
    let events = client.events("clicks").await;
    let orphans = events.iter().filter(|event| event["type"] == "hoplog.orphans.recorded.v1");
    let (mut visitors, mut all) = (BTreeSet::new(), String::new());
    for event in orphans {
        all += &event.to_string();
        for visit in event["data"]["visits"].as_array().unwrap() {
            assert!(visitors.insert(visit["visitor"].as_str().unwrap().to_owned()));
        }
    }
    assert_eq!(visitors.len(), 2);
    for told in ["Telltale", "203.0.113.77", visitor] {
        assert!(!all.contains(told), "{told} in {all}");
    }
    for who in [visitor, "203.0.113.77"] {
        client.delete(&format!("/api/v1/visitors/{who}/personal-data")).await.expect(200);
    }
    assert_eq!(client.orphans(2).await, stats);
    client.verify_read_models().await;
}

/// Nobody waits for them: while the log is away every answer is what it was, and they are recorded or counted when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_log_is_away_nobody_waits_for_them() {
    let server = Settings::embedded().on_jetstream().start();
    let client = &server.client;
    for alias in ["a", "gone"] {
        client.create(NewLink::to(URL).with("alias", alias)).await;
    }
    client.delete("/api/v1/links/gone").await.expect(204);
    client.visit("/a").await.expect(302);
    client.visit("/gone").await.expect(410);
    server.settings.broker().kill();
    for _ in 0..15 {
        client.visit("/gone").await.expect(410);
        client.visit("/a").await.expect(302);
    }
    server.settings.broker().restart();
    client.recovered().await;
    client.orphans(16).await;
    assert_eq!(client.stats("a", "").await["totalClicks"], 16);
}

#[tokio::test]
async fn turned_off_nothing_is_recorded() {
    let server = Settings::new().with("HOPLOG_ORPHANS", "off").start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a")).await;
    client.visit("/nobody").await.expect(404);
    client.visit("/a").await.expect(302);
    let server = server.stop().start();
    let events = server.client.events("clicks").await;
    assert!(events.iter().all(|event| event["type"] == "hoplog.clicks.recorded.v1"), "{events:?}");
    server.client.orphans(0).await;
}
