//! The promise: an operator can start it, watch it, stop it, back it up and be told what is wrong.

use std::path::Path;
use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, NewLink, Server, Settings};

mod contract;
mod requests;

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs `serve` where it can't start.
fn refused(settings: &Settings) -> Output {
    let output = settings.command().arg("serve").output().expect("the program runs");
    assert!(!output.status.success(), "{}", stderr(&output));
    output
}

#[tokio::test]
async fn a_wrong_setting_stops_the_start_with_one_line_that_names_it() {
    for (name, value) in [
        ("HOPLOG_LISTEN", "nowhere"),
        ("HOPLOG_LISTEN", "127.0.0.1:99999"),
        ("HOPLOG_BASE_URL", "ftp://example.com"),
        ("HOPLOG_LOG_URL", "kafka://host"),
        ("HOPLOG_READ_URL", "mysql://host"),
        ("HOPLOG_CACHE_URL", "memcached://host"),
        ("HOPLOG_ROLES", "king"),
        ("HOPLOG_PROJECTOR_PARTITIONS", "65"),
        ("HOPLOG_ADMIN_KEY", "short"),
        ("HOPLOG_GEOIP_DB", "/nowhere/geo.mmdb"),
        ("HOPLOG_TRUSTED_PROXIES", "10.0.0.0/99"),
        ("HOPLOG_FORWARDED_HEADER", "x-real-ip"),
        ("HOPLOG_CLICKS_ACK", "maybe"),
        ("HOPLOG_SPOOL_MAX_BYTES", "1000"),
        ("HOPLOG_KEEP_ADDRESSES", "perhaps"),
        ("HOPLOG_CODES", "sequential"),
        ("HOPLOG_DISABLED_STATUS", "200"),
        ("HOPLOG_REDIRECT_MAX_AGE", "-1"),
        ("HOPLOG_STALL_SECONDS", "0"),
        ("HOPLOG_REDIRECT_THREADS", "some"),
        ("HOPLOG_EVENTS_CACHE", "everybody"),
        ("HOPLOG_WEBHOOK_ALLOW", "10.0.0.0/99"),
        ("HOPLOG_FETCH_TITLES", "yes"),
        ("HOPLOG_FETCH_TITLES_ALLOW", "127.0.0.1/99"),
        ("HOPLOG_BLOCKLIST", "/nowhere/hosts"),
        ("HOPLOG_BLOCKLIST", "ftp://lists.example/hosts"),
        ("HOPLOG_BLOCKLIST_RELOAD", "0"),
        ("HOPLOG_QUARANTINE", "404"),
        ("HOPLOG_REPORTS_TO_QUARANTINE", "101"),
        ("HOPLOG_ORPHANS", "some"),
        ("HOPLOG_ORPHANS_PER_DAY", "100001"),
        ("HOPLOG_ORPHANS_DAYS", "0"),
        ("HOPLOG_RATE_LIMITS", "sometimes"),
        ("HOPLOG_RATE_LIMIT_URL", "counts:6379"),
        ("HOPLOG_RATE_LIMIT_NODES", "0"),
        ("HOPLOG_RATE_LIMIT_LEASE", "-1"),
        ("HOPLOG_RATE_LIMIT_DEADLINE_MS", "0"),
        ("HOPLOG_APPLE_APPS", "com.example.app"),
        ("HOPLOG_ANDROID_APPS", "com.example.app"),
        ("HOPLOG_LOG_FORMAT", "xml"),
    ] {
        let settings = Settings::new().with(name, value);
        let output = refused(&settings);
        let told = stderr(&output);
        assert_eq!(told.trim_end().lines().count(), 1, "{name}={value}: {told}");
        assert!(told.contains(name), "{name}={value}: {told}");
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(name != "HOPLOG_ADMIN_KEY" || !told.contains(value), "secrets are not printed");
        assert!(!settings.data_dir().exists(), "{name}: nothing is made");
    }
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let server = Server::start();
    let output = refused(&server.settings);
    let told = stderr(&output);
    assert!(told.contains("HOPLOG_DATA_DIR"), "{told}");
    assert_eq!(told.trim_end().lines().count(), 1, "{told}");
    server.client.visit("/health/ready").await.expect(200);
    // The lock ends with its process, however that ends.
    server.kill().start();
}

/// Without a key of the operator's own, the first start prints one, once.
#[tokio::test]
async fn the_first_start_prints_an_admin_key_once() {
    let settings = Settings::new().without("HOPLOG_ADMIN_KEY");
    let server = settings.start();
    let line = server.next_line();
    let key = line.split_whitespace().last().unwrap();
    let client = server.client.with_key(key);
    client.post("/api/v1/links", &NewLink::to("https://example.com/").0).await.expect(201);
    assert!(!server.settings.log().contains(key), "the key is not logged");
    let server = server.stop().start();
    server.client.with_key(key).get("/api/v1/links").await.expect(200);
    assert_eq!(server.printed(), Vec::<String>::new());
}

#[tokio::test]
async fn sigterm_flushes_what_is_queued() {
    let mut server = Settings::new().with("HOPLOG_CLICKS_ACK", "queued").start();
    let code = server.client.code(NewLink::to("https://example.com/")).await;
    let mut visits = 0;
    for round in 1..=5 {
        let path = format!("/{code}");
        let answers = (0..100 * round).map(|_| server.client.visit(&path));
        for answer in futures::future::join_all(answers).await {
            answer.expect(302);
            visits += 1;
        }
        server = server.stop().start();
        assert_eq!(server.client.stats(&code, "").await["totalClicks"], visits);
    }
    server.client.verify_read_models().await;
}

/// Requests that are being answered when the stop comes are answered.
#[tokio::test]
async fn sigterm_lets_requests_in_flight_finish() {
    let server = Server::start();
    let links: Vec<Value> =
        (0..2_000).map(|n| json!({ "url": format!("https://example.com/{n}") })).collect();
    let client = server.client.clone();
    let body = json!({ "links": links });
    let before = server.client.heads().await;
    let request = tokio::spawn(async move { client.post("/api/v1/links/bulk", &body).await });
    // The request is on its way in once its first link is on the log.
    while server.client.heads().await == before {
        tokio::task::yield_now().await;
    }
    let settings = tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    let answer = request.await.unwrap().expect(200).json();
    let made = answer["results"].as_array().unwrap().iter().filter(|r| r["status"] == 201);
    assert_eq!(made.count(), 2_000);
    let events = settings.start().client.events("links").await;
    assert_eq!(events.len(), 2_000);
}

fn log(data_dir: &Path, settings: &Settings, arguments: &[&str]) -> Output {
    let mut command = settings.command();
    command.arg("log").args(arguments).env("HOPLOG_DATA_DIR", data_dir);
    command.output().expect("the program runs")
}

#[tokio::test]
async fn a_log_is_verified_exported_and_imported() {
    let server = Server::start();
    let client = &server.client;
    let code = client.code(NewLink::to("https://example.com/")).await;
    for _ in 0..20 {
        client.visit(&format!("/{code}")).await.expect(302);
    }
    client.keyed("one", &["links:read"]).await;
    let once = async |client: &Client| {
        let request = client.authorized(Method::POST, "/api/v1/links");
        let request = request.json(&json!({ "url": "https://example.com/" }));
        let answer = client.send(request.header("idempotency-key", "order-9")).await.expect(201);
        answer.json()["code"].as_str().unwrap().to_owned()
    };
    let ordered = once(client).await;
    let stats = client.stats(&code, "").await;
    let events = client.events("links").await;
    let settings = server.settings.clone();
    let directory = tempfile::tempdir().unwrap();
    let (backup, again) = (directory.path().join("1.ndjson"), directory.path().join("2.ndjson"));
    let [backup, again] = [backup.to_str().unwrap(), again.to_str().unwrap()];

    // A server is running meanwhile.
    let verified = log(&settings.data_dir(), &settings, &["verify", "--json"]);
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!((&report["problemCount"], &report["events"]["links"]), (&json!(0), &json!(2)));
    assert!(log(&settings.data_dir(), &settings, &["export", backup]).status.success());
    let busy = log(&settings.data_dir(), &settings, &["import", backup]);
    assert_eq!(busy.status.code(), Some(1), "not where a server writes: {}", stderr(&busy));

    let restored = Settings::new();
    let imported = log(&restored.data_dir(), &restored, &["import", backup]);
    assert!(imported.status.success(), "{}", stderr(&imported));
    let twice = log(&restored.data_dir(), &restored, &["import", backup]);
    assert_eq!(twice.status.code(), Some(1), "only into an empty log");
    let server = restored.start();
    assert_eq!(server.client.stats(&code, "").await, stats);
    let [before, after] = [events, server.client.events("links").await]
        .map(|events| events.into_iter().map(|e| e["data"].clone()).collect::<Vec<_>>());
    assert_eq!(before, after);
    assert_eq!(once(&server.client).await, ordered, "idempotency keys move with the log");
    let settings = server.stop();
    assert!(log(&settings.data_dir(), &settings, &["export", again]).status.success());
    let lines = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let ([.., _], [.., _]) = (&lines(backup)[..], &lines(again)[..]) else { panic!("empty") };
    assert_eq!(lines(backup).split_last().unwrap().1, lines(again).split_last().unwrap().1);
}

#[tokio::test]
async fn a_damaged_backup_is_refused_before_anything_is_written() {
    let server = Server::start();
    server.client.create(NewLink::to("https://example.com/").with("alias", "kept")).await;
    let settings = server.stop();
    let directory = tempfile::tempdir().unwrap();
    let backup = directory.path().join("backup.ndjson");
    let path = backup.to_str().unwrap();
    assert!(log(&settings.data_dir(), &settings, &["export", path]).status.success());
    let whole = std::fs::read_to_string(&backup).unwrap();
    std::fs::write(&backup, whole.replace("example.com", "evil.example")).unwrap();
    let restored = Settings::new();
    let output = log(&restored.data_dir(), &restored, &["import", path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("line "), "{}", stderr(&output));
    assert!(!restored.data_dir().exists(), "nothing is made");
}
