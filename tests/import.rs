//! The promise: the clicks of an access log are recorded once, at their own times, and counted
//! right. The expected numbers are computed here, from the file, without the product's code.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Client, NewLink, Server, checkout};

const SITE: &str = "http://www.semicomplete.com";

/// How far the estimate of unique visitors may be off: five times its standard error would be 4 %.
const VISITORS_ERROR_MAX: f64 = 0.02;

/// The most values that a breakdown shows; ranges here are small enough to stay below.
const BREAKDOWN_MAX: usize = 100;

/// The longest referrer that is counted apart, in characters.
const REFERRER_CHARS_MAX: usize = 512;

/// What a log says, by other means than the product's: split at quotes, days read off the text.
#[derive(Debug, Default)]
struct Expected {
    clicks: u64,
    days: BTreeMap<String, u64>,
    urls: BTreeMap<String, u64>,
    referrers: BTreeMap<String, u64>,
    visitors: HashSet<(String, String, String)>,
}

impl Expected {
    fn of(log: &str) -> Self {
        let mut expected = Self::default();
        log.lines().for_each(|line| expected.count(line));
        expected
    }

    fn count(&mut self, line: &str) {
        let parts: Vec<&str> = line.split('"').collect();
        let (address, rest) = parts[0].split_once(' ').unwrap();
        let time = rest.split(['[', ']']).nth(1).unwrap();
        let date = time.split(':').next().unwrap();
        let (day, year) = (&date[..2], &date[7..]);
        let day = format!("{year}-{}-{day}", month(&date[3..6]));
        assert!(time.ends_with("+0000"), "days are those of UTC");
        let target = parts[1].split(' ').collect::<Vec<_>>();
        let target = target[1..target.len() - 1].join(" ");
        let url = url::Url::parse(&format!("{SITE}{target}")).unwrap();
        let referrer = if parts[3] == "-" { "" } else { parts[3] };
        let referrer: String = referrer.chars().take(REFERRER_CHARS_MAX).collect();
        self.clicks += 1;
        *self.days.entry(day.clone()).or_default() += 1;
        *self.urls.entry(url.to_string()).or_default() += 1;
        *self.referrers.entry(referrer).or_default() += 1;
        self.visitors.insert((day, address.to_owned(), parts[5].to_owned()));
    }
}

fn month(name: &str) -> &'static str {
    match name {
        "May" => "05",
        other => panic!("no log of {other}"),
    }
}

/// Clicks per link's URL, from the list of links, page by page.
async fn clicks_by_url(client: &Client) -> BTreeMap<String, u64> {
    let mut clicks = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/links?limit=100&sort=code{cursor}");
        let page = client.get(&path).await.expect(200).json();
        for link in page["data"].as_array().unwrap() {
            let url = link["url"].as_str().unwrap().to_owned();
            let twice = clicks.insert(url, link["clicks"]["total"].as_u64().unwrap());
            assert_eq!(twice, None, "each URL has one link: {link}");
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return clicks,
        }
    }
}

/// Clicks per referrer over all links: hour by hour, so that no breakdown is cut.
async fn clicks_by_referrer(client: &Client, days: &[&str]) -> BTreeMap<String, u64> {
    let mut clicks = BTreeMap::new();
    for day in days {
        for hour in 0..24 {
            let query = format!("from={day}T{hour:02}:00:00Z&to={day}T{hour:02}:30:00Z");
            add_referrers(client, &query, &mut clicks).await;
            let next = if hour == 23 { day_after(day) } else { (*day).to_owned() };
            let end = (hour + 1) % 24;
            let query = format!("from={day}T{hour:02}:30:00Z&to={next}T{end:02}:00:00Z");
            add_referrers(client, &query, &mut clicks).await;
        }
    }
    clicks
}

fn day_after(day: &str) -> String {
    let day: chrono::NaiveDate = day.parse().unwrap();
    day.succ_opt().unwrap().to_string()
}

async fn add_referrers(client: &Client, query: &str, clicks: &mut BTreeMap<String, u64>) {
    let stats = client.get(&format!("/api/v1/stats?{query}")).await.expect(200).json();
    let referrers = stats["referrerUrls"].as_array().unwrap();
    assert!(referrers.len() < BREAKDOWN_MAX, "the range is too large to see every referrer");
    for referrer in referrers {
        let value = referrer["value"].as_str().unwrap().to_owned();
        *clicks.entry(value).or_default() += referrer["clicks"].as_u64().unwrap();
    }
}

fn series(stats: &Value) -> BTreeMap<String, u64> {
    let points = stats["series"].as_array().unwrap().iter();
    points
        .map(|point| {
            (point["start"].as_str().unwrap()[..10].to_owned(), point["clicks"].as_u64().unwrap())
        })
        .filter(|(_, clicks)| *clicks > 0)
        .collect()
}

/// Runs the import and gives its summary.
fn import(server: &Server, file: &Path) -> Value {
    let file = file.to_str().unwrap();
    let said = server.cli_ok(&["import", "access-log", file, "--site", SITE, "--json"]);
    serde_json::from_str(&said).unwrap()
}

/// Holds every number that the product gives against those of the file.
async fn compare(server: &Server, expected: &Expected) {
    let client = &server.client;
    for projection in ["link_directory", "clicks", "click_statistics"] {
        client.caught_up(projection).await;
    }
    let stats = client.get("/api/v1/stats?interval=day").await.expect(200).json();
    assert_eq!(stats["totalClicks"], expected.clicks);
    assert_eq!(series(&stats), expected.days);
    assert_eq!(clicks_by_url(client).await, expected.urls);
    let days: Vec<&str> = expected.days.keys().map(String::as_str).collect();
    assert_eq!(clicks_by_referrer(client, &days).await, expected.referrers);
    let exact = u32::try_from(expected.visitors.len()).unwrap();
    let estimate = u32::try_from(stats["uniqueVisitors"].as_u64().unwrap()).unwrap();
    let error = (f64::from(estimate) / f64::from(exact) - 1.0).abs();
    assert!(error <= VISITORS_ERROR_MAX, "{estimate} visitors, there were {exact}");
}

async fn import_and_compare(file: &Path) {
    let log = fs::read_to_string(file).unwrap();
    let expected = Expected::of(&log);
    let server = Server::start();
    let summary = import(&server, file);
    assert_eq!(summary["added"], expected.clicks, "{summary}");
    compare(&server, &expected).await;
    let heads = server.client.heads().await;
    let again = import(&server, file);
    assert_eq!((&again["added"], &again["known"]), (&0.into(), &expected.clicks.into()), "{again}");
    assert_eq!(server.client.heads().await, heads, "the second import adds nothing");
    server.client.verify_read_models().await;
}

#[tokio::test]
async fn an_imported_log_is_counted_as_the_file_says() {
    import_and_compare(&checkout("tests/data/access.log")).await;
}

#[tokio::test]
#[ignore = "for a whole access log in the combined format: HOPLOG_TEST_ACCESS_LOG names the file"]
async fn a_whole_real_log_is_counted_as_the_file_says() {
    let file = std::env::var_os("HOPLOG_TEST_ACCESS_LOG").expect("HOPLOG_TEST_ACCESS_LOG");
    import_and_compare(Path::new(&file)).await;
}

#[tokio::test]
async fn a_log_that_has_grown_adds_its_new_lines() {
    let log = fs::read_to_string(checkout("tests/data/access.log")).unwrap();
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let lines: Vec<&str> = log.lines().collect();
    // The last line is there twice: two requests in one second may look the same.
    let grown = [&lines[..], &lines[lines.len() - 1..]].concat();
    for (count, added) in [(200, 200), (350, 150), (500, 150), (501, 1)] {
        // The next line is being written: what is there of it would be another line.
        let next = grown.get(count).map_or("", |line| &line[..line.len() - 40]);
        let part = grown[..count].join("\n") + "\n" + next;
        fs::write(&file, &part).unwrap();
        let summary = import(&server, &file);
        assert_eq!(summary["added"], added, "{summary}");
        assert_eq!(summary["bad"], u64::from(!next.is_empty()), "{summary}");
    }
    compare(&server, &Expected::of(&grown.join("\n"))).await;
}

/// Lines that are no requests are told and skipped; bytes that are no text are kept harmless.
#[tokio::test]
async fn lines_that_are_no_requests_are_skipped() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let good = br#"192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 1 "-" "A""#;
    let reset = br#"192.0.2.1 - - [01/Jan/1970:00:00:07 +0000] "GET /a HTTP/1.1" 200 1 "-" "A""#;
    let broken = [&b"nonsense\n\xff\xfe\n\"\"\n"[..], good, b"\n[x] \"GET\n", reset, b"\n"];
    let broken = broken.concat();
    fs::write(&file, broken).unwrap();
    let output =
        server.cli(&["import", "access-log", file.to_str().unwrap(), "--site", SITE, "--json"]);
    assert!(output.status.success(), "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["added"], &summary["bad"]), (&1.into(), &5.into()), "{summary}");
    let told = String::from_utf8(output.stderr).unwrap();
    for line in ["line 1:", "line 2:", "line 3:", "line 5:", "line 6: must be a time from 1990 on"]
    {
        assert!(told.contains(line), "{told}");
    }
}

/// Trap 19: an import can't bring in what the API would refuse.
#[tokio::test]
async fn trap_19_imported_links_are_checked_like_all_others() {
    let server = Server::start();
    server.client.create(NewLink::to("https://example.com/").with("alias", "taken")).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("links.csv");
    let rows = "url,alias\njavascript:alert(1),\nhttps://example.com/,api\nhttps://example.com/,taken\nhttps://user:pw@example.com/,\nhttps://example.com/good,good\n";
    fs::write(&file, rows).unwrap();
    let output = server.cli(&["import", "links", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    server.client.visit("/good").await.expect(302);
    server.client.caught_up("link_directory").await;
    let links = server.client.get("/api/v1/links").await.json();
    let codes: Vec<&str> =
        links["data"].as_array().unwrap().iter().map(|l| l["code"].as_str().unwrap()).collect();
    assert_eq!(codes.len(), 2, "{links}");
}
