//! Exports: whole, in either form, safe to open in a spreadsheet, and what an import reads.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Server};

/// Columns of what an import can't decide: whose it is, when it was made, how often it was clicked.
const OF_THE_SERVER: [&str; 7] =
    ["shortUrl", "createdAt", "owner", "clicks", "humanClicks", "botClicks", "clicksLeft"];

/// More than a page of links, and one that has everything.
const LINKS: usize = 520;

fn awkward() -> Value {
    json!({
        "url": "https://example.com/a?b=1&utm_source=x", "alias": "-Case_sensitive",
        "title": "=HYPERLINK(\"https://evil.example\")", "tags": ["-a;b", "plain", " spaced, "],
        "note": "'quoted'\n\t=and;-\n \"more\" \n", "externalId": "@id", "redirect": 301,
        "expiresAt": "2099-01-01T00:00:00.000001Z", "validFrom": "2020-01-01T00:00:00Z",
        "expiredUrl": "https://example.com/over", "archived": true, "forwardQuery": "append",
        "forwardPath": true, "maxClicks": 7,
    })
}

async fn filled() -> Server {
    let server = Server::start();
    let links: Vec<Value> = (1..LINKS)
        .map(|n| json!({"url": format!("https://example.com/{n}"), "alias": format!("l{n}")}))
        .chain([awkward()])
        .collect();
    let answer = server.client.post("/api/v1/links/bulk", &json!({ "links": links })).await;
    let results = answer.expect(200).json();
    assert!(results["results"].as_array().unwrap().iter().all(|one| one["status"] == 201));
    server.client.caught_up("link_directory").await;
    server
}

/// The rows of a CSV file by their code, without the columns that an import can't decide.
fn carried(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let head = reader.headers().unwrap().clone();
    let kept = |record: &csv::StringRecord| -> Vec<String> {
        let cells = head.iter().zip(record).filter(|(name, _)| !OF_THE_SERVER.contains(name));
        cells.map(|(_, cell)| cell.to_owned()).collect()
    };
    let mut rows: Vec<_> = reader.records().map(|record| kept(&record.unwrap())).collect();
    rows.sort();
    rows.insert(0, kept(&head));
    rows
}

fn exported(server: &Server, directory: &Path, format: &str) -> PathBuf {
    let path = directory.join(format!("links.{format}"));
    let name = path.to_str().unwrap();
    server.cli_ok(&["export", "links", "--format", format, "--output", name]);
    assert!(!directory.join(format!("links.{format}.part")).exists());
    path
}

/// Export, import into an empty server, export again: the same.
#[tokio::test]
async fn an_export_is_the_same_behind_an_import() {
    let server = filled().await;
    let directory = tempfile::tempdir().unwrap();
    let first = exported(&server, directory.path(), "csv");
    let other = Server::start();
    let said = other.cli_ok(&["import", "links", first.to_str().unwrap(), "--json"]);
    let summary: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&summary["created"], &summary["failed"]), (&LINKS.into(), &0.into()), "{summary}");
    other.client.caught_up("link_directory").await;
    let again = tempfile::tempdir().unwrap();
    let second = exported(&other, again.path(), "csv");
    let rows = carried(&first);
    assert_eq!(rows.len(), LINKS + 1);
    assert_eq!(rows, carried(&second));
    let heads = other.client.heads().await;
    other.cli_ok(&["import", "links", first.to_str().unwrap()]);
    assert_eq!(other.client.heads().await, heads, "a second run changes nothing");
}

/// Fault 14 in the field: no cell of an export is run by a spreadsheet, whoever wrote what is in it.
#[tokio::test]
async fn fault_14_no_cell_of_an_export_is_a_formula() {
    let server = filled().await;
    let agent = "=cmd|' /C calc'!A0";
    let split = "x;=cmd|' /C calc'!A0";
    server.client.send(server.client.request(Method::GET, "/l1").header("user-agent", split)).await;
    let request = server.client.request(Method::GET, "/l1").header("user-agent", agent);
    server.client.send(request.header("referer", "+https://evil.example/")).await.expect(302);
    server.client.caught_up("clicks").await;
    server.client.caught_up("click_statistics").await;
    let [links, clicks, stats] = [&["links"][..], &["clicks", "l1"], &["stats", "l1"]]
        .map(|what| server.cli_ok(&[&["export"], what].concat()));
    for text in [&links, &clicks, &stats] {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        for cell in reader
            .records()
            .flat_map(|row| row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>())
        {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
        }
        // Nor for a program that splits at what others take for a separator, whatever is quoted.
        for cell in text.split([',', ';', '\t', '\r', '\n']) {
            let cell = cell.trim_start_matches(|c: char| c == '"' || c.is_whitespace());
            assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell:?}");
        }
    }
    assert!(clicks.contains("x;'=cmd|' /C calc'!A0"), "{clicks}");
    assert!(links.contains("'=HYPERLINK"), "{links}");
    assert!(clicks.contains("'=cmd|' /C calc'!A0"), "{clicks}");
    assert!(stats.contains("'+https://evil.example/"), "{stats}");
    // The other form says what there is.
    let clicks = server.cli_ok(&["export", "clicks", "--format", "ndjson"]);
    let clicks: Vec<Value> =
        clicks.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(clicks.len(), 2);
    for agent in [agent, split] {
        assert!(clicks.iter().any(|click| click["code"] == "l1" && click["userAgent"] == agent));
    }
}

async fn file(client: &Client, path: &str, accept: &str) -> Answer {
    client.send(client.authorized(Method::GET, path).header("accept", accept)).await
}

/// The API gives the same files, all of them and not a page, and only one's own.
#[tokio::test]
async fn a_list_is_a_file_for_who_asks_for_one() {
    let server = filled().await;
    let client = &server.client;
    let path = "/api/v1/links?sort=createdAt&archived=include";
    let csv = file(client, path, "text/csv").await.expect(200);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"links.csv\"");
    assert_eq!(csv.body, server.cli_ok(&["export", "links"]));
    let lines = file(client, path, "application/x-ndjson").await.expect(200);
    assert_eq!(lines.body, server.cli_ok(&["export", "links", "--format", "ndjson"]));
    assert_eq!(lines.body.lines().count(), LINKS);
    let mut all = lines.body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let link = all.find(|link| link["code"] == awkward()["alias"]).unwrap();
    assert_eq!(link["title"], awkward()["title"]);
    let one = file(client, "/api/v1/links?q=l519", "text/csv").await.expect(200);
    assert_eq!(one.body.lines().count(), 2, "filters hold");
    for wrong in ["limit=5", "cursor=x", "sort=-clicks"] {
        let refused = file(client, &format!("/api/v1/links?{wrong}"), "text/csv").await.expect(400);
        assert_eq!(refused.json()["errors"][0]["code"], "conflict", "{wrong}");
    }
    client.get(&format!("{path}&limit=5")).await.expect(200).json();
    let stranger = client.keyed("stranger", &["links:read", "stats:read"]).await;
    assert_eq!(file(&stranger, path, "text/csv").await.expect(200).body.lines().count(), 1);
    file(&stranger, "/api/v1/links/l1/clicks", "text/csv").await.expect(404);
    let clicks = file(client, "/api/v1/links/l1/clicks", "text/csv").await.expect(200);
    assert!(clicks.body.starts_with("id,code,at,"), "{clicks:?}");
}

/// An export that fails leaves nothing behind that looks like one.
#[tokio::test]
async fn an_export_that_fails_leaves_no_file() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("clicks.csv");
    let output = server.cli(&["export", "clicks", "nobody", "-o", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
