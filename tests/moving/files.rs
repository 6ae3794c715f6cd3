//! Files of any program: every conflict is told, nothing here is changed, and a run goes on where one was broken off.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{conflicts, counts, import, imported};
use crate::support::{NewLink, Server, Settings};

fn written(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

const CONFLICTS: &str = "code,url,title\n\
    good,https://example.com/good,Good\n\
    taken,https://example.com/other,\n\
    mine,https://example.com/mine,Another\n\
    gone,https://example.com/gone,\n\
    stranger,https://example.com/,\n\
    js,javascript:alert(1),\n\
    API,https://example.com/,\n\
    a/b,https://example.com/,\n\
    twice,https://example.com/1,\n\
    twice,https://example.com/2,\n\
    good,https://example.com/good,Good\n\
    same,https://example.com/same,\n\
    ,https://example.com/any,\n";

/// Fault 5 of imports in the field: what is in the way is told, each of it, before anything is done.
#[tokio::test]
async fn a_dry_run_prints_every_conflict_and_does_nothing() {
    let server = Server::start();
    let admin = &server.client;
    let body =
        json!({ "name": "owner", "owner": "owner", "scopes": ["links:read", "links:write"] });
    let key = admin.post("/api/v1/keys", &body).await.expect(201).json();
    let key = key["key"].as_str().unwrap();
    let client = admin.with_key(key);
    client.create(NewLink::to("https://example.com/").with("alias", "taken")).await;
    client.create(NewLink::to("https://example.com/mine").with("alias", "mine")).await;
    client.create(NewLink::to("https://example.com/same").with("alias", "same")).await;
    client.create(NewLink::to("https://example.com/gone").with("alias", "gone")).await;
    client.delete("/api/v1/links/gone").await;
    admin.create(NewLink::to("https://example.com/").with("alias", "stranger")).await;
    admin.caught_up("link_directory").await;
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), "links.csv", CONFLICTS);
    let heads = admin.heads().await;
    let (code, dry, told) = import(&server, &["csv", &path, "--api-key", key, "--dry-run"]);
    assert_eq!((code, admin.heads().await), (Some(1), heads), "{told}");
    let reasons = conflicts(&dry);
    let expected = [
        ("twice", "the source has this code twice: it is that of line 10 already"),
        ("taken", "the code is taken by a link to https://example.com/"),
        ("mine", "the link is here and has another title"),
        ("gone", "deleted"),
        ("stranger", "the code is taken by somebody else's link"),
        ("js", "url has the scheme"),
        ("API", "reserved"),
        ("a/b", "contains '/'"),
    ];
    assert_eq!(reasons.len(), expected.len(), "{dry}");
    for (code, reason) in expected {
        let found = reasons.iter().find(|(of, _)| *of == code);
        assert!(found.is_some_and(|(_, told)| told.contains(reason)), "{code}: {dry}");
    }
    assert_eq!(
        told.lines().filter(|line| line.starts_with("conflict: line ")).count(),
        8,
        "{told}"
    );
    let (code, done, _) = import(&server, &["csv", &path, "--api-key", key]);
    assert_eq!(code, Some(1));
    assert_eq!(done["conflicts"], dry["conflicts"], "what was foretold");
    assert_eq!(counts(&done), [13, 3, 2], "{done}");
    let kept = admin.get("/api/v1/links/taken").await.json();
    assert_eq!((&kept["url"], &kept["version"]), (&"https://example.com/".into(), &1.into()));
}

/// What was changed here since is not changed back; what was changed there is told.
#[tokio::test]
async fn a_second_run_changes_nothing() {
    let server = Server::start();
    let client = &server.client;
    let directory = tempfile::tempdir().unwrap();
    let row = "code,url,title,tags,externalId\na,https://example.com/,First,x;y,ext\n";
    let path = written(directory.path(), "links.csv", row);
    assert_eq!(counts(&imported(&server, &["csv", &path])), [1, 1, 0]);
    client.patch("/api/v1/links/a", &json!({"title": "Mine"})).await.expect(200);
    client.caught_up("link_directory").await;
    let heads = client.heads().await;
    assert_eq!(counts(&imported(&server, &["csv", &path])), [1, 0, 1]);
    let path = written(directory.path(), "links.csv", &row.replace("First", "Theirs"));
    let (code, summary, _) = import(&server, &["csv", &path]);
    assert_eq!(code, Some(1));
    assert_eq!(conflicts(&summary), [("a", "the link is here and has another title")]);
    let path = written(directory.path(), "links.csv", &row.replace("First", "Mine"));
    assert_eq!(counts(&imported(&server, &["csv", &path])), [1, 0, 1]);
    assert_eq!(client.heads().await, heads);
}

/// Killed in the middle and run again: the same as if it had never been.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_killed_is_gone_on_with() {
    const LINKS: u64 = 3_000;
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let mut rows = String::from("code,url\n");
    for n in 0..LINKS {
        // Every third has no code of its own: it is known by what it says.
        let code = if n % 3 == 0 { String::new() } else { format!("l{n}") };
        let _ = writeln!(rows, "{code},https://example.com/{n}");
    }
    let path = written(directory.path(), "links.csv", &rows);
    let mut child = server.cli_command(&["import", "csv", &path]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while server.client.get("/api/v1/links?limit=1").await.json()["data"] == json!([]) {
        assert!(Instant::now() < deadline, "nothing comes in");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _ = child.kill();
    child.wait().unwrap();
    let summary = imported(&server, &["csv", &path]);
    let [links, created, known] = counts(&summary);
    assert_eq!((links, created + known), (LINKS, LINKS), "{summary}");
    assert!(known > 0, "{summary}");
    server.client.caught_up("link_directory").await;
    let all = server.cli_ok(&["export", "links", "--format", "ndjson"]);
    let urls: std::collections::BTreeSet<String> = all
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["url"].to_string())
        .collect();
    assert_eq!((all.lines().count(), urls.len()), (3_000, 3_000));
    let heads = server.client.heads().await;
    assert_eq!(counts(&imported(&server, &["csv", &path])), [LINKS, 0, LINKS]);
    assert_eq!(server.client.heads().await, heads);
}

/// Both forms of our own export, with links that are off, put away, and protected.
#[tokio::test]
async fn an_export_moves_to_another_server() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to("https://example.com/?utm_source=x").with("alias", "on")).await;
    client
        .create(NewLink::to("https://example.com/").with("alias", "-off").with("archived", true))
        .await;
    client.post("/api/v1/links/-off/disable", &json!({})).await.expect(200);
    client
        .create(NewLink::to("https://example.com/").with("alias", "locked").with("password", "p"))
        .await;
    client.caught_up("link_directory").await;
    let directory = tempfile::tempdir().unwrap();
    for format in ["csv", "ndjson"] {
        let text = server.cli_ok(&["export", "links", "--format", format]);
        let path = written(directory.path(), "links", &text);
        let other = Server::start();
        let (code, summary, _) = import(&other, &[format, &path]);
        assert_eq!((code, counts(&summary)), (Some(1), [3, 2, 0]), "{summary}");
        let [(locked, reason)] = conflicts(&summary)[..] else { panic!("{summary}") };
        assert!(locked == "locked" && reason.contains("password"), "fault 6: {summary}");
        other.client.visit("/on").await.expect(302);
        assert_eq!(other.client.visit_becomes("/-off", 404).await.code(), "link_disabled");
        assert_eq!(other.client.get("/api/v1/links/-off").await.json()["archived"], true);
        other.client.caught_up("link_directory").await;
        let heads = other.client.heads().await;
        import(&other, &[format, &path]);
        assert_eq!(other.client.heads().await, heads, "a second run changes nothing");
    }
    let text = server.cli_ok(&["export", "links"]);
    let path = written(directory.path(), "links.csv", &text);
    let other = Server::start();
    let output = other.cli(&["import", "links", &path]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("the link was disabled") && told.contains("asks for a password"),
        "{told}"
    );
    other.client.visit("/on").await.expect(302);
    for closed in ["/-off", "/locked"] {
        other.client.visit(closed).await.expect(404);
    }
}

/// Fault of click limits in the field: moving does not give a link its clicks again.
#[tokio::test]
async fn a_link_moves_with_the_clicks_that_are_left() {
    let server = Server::start();
    let client = &server.client;
    for (code, visits) in [("some", 1), ("spent", 3)] {
        let link = NewLink::to("https://example.com/").with("alias", code).with("maxClicks", 3);
        client.create(link).await;
        for _ in 0..visits {
            client.visit(&format!("/{code}")).await.expect(302);
        }
    }
    client.caught_up("link_directory").await;
    let directory = tempfile::tempdir().unwrap();
    for (import, format) in [("csv", "csv"), ("ndjson", "ndjson"), ("links", "csv")] {
        let text = server.cli_ok(&["export", "links", "--format", format]);
        let path = written(directory.path(), "links", &text);
        let other = Server::start();
        let output = other.cli(&["import", import, &path]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("has had all the clicks that it may have"), "{told}");
        assert_eq!(other.client.get("/api/v1/links/some").await.json()["maxClicks"], 2);
        other.client.visit("/spent").await.expect(404);
    }
}

#[tokio::test]
async fn columns_are_found_or_named() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let rows = "\u{feff}Where to,Short,Colour\nhttps://example.com/, 'x ,red\n";
    let path = written(directory.path(), "links.csv", rows);
    let (code, _, told) = import(&server, &["csv", &path]);
    assert!(code == Some(2) && told.contains("--column url=NAME"), "{told}");
    let named = ["csv", &path, "--column", "url=Where to", "--column", "title=Short"];
    let summary = imported(&server, &named);
    assert_eq!((counts(&summary), &summary["left"]), ([1, 1, 0], &json!({"column Colour": 1})));
    let both = "url,Target page\nhttps://example.com/wrong,https://example.com/right\n";
    let path = written(directory.path(), "both.csv", both);
    let named = ["csv", &path, "--column", "url=Target page"];
    imported(&server, &named);
    let all = server.cli_ok(&["export", "links", "--format", "ndjson"]);
    assert!(!all.contains("/wrong"), "{all}");
    let path = written(directory.path(), "two.csv", "url,original_url\nhttps://a.example/,x\n");
    let (code, _, told) = import(&server, &["csv", &path]);
    assert!(code == Some(2) && told.contains("say which with --column"), "{told}");
    let bitly =
        "Bitlink,Long URL,Title,Tags,Total Clicks\nbit.ly/3xYz,https://example.com/,T,\"a,b\",9\n";
    let path = written(directory.path(), "bitly.csv", bitly);
    imported(&server, &["csv", &path]);
    let link = server.client.get("/api/v1/links/3xYz").await.expect(200).json();
    assert_eq!((&link["title"], &link["tags"]), (&"T".into(), &json!(["a", "b"])));
    let shlink = "\"createdAt\",\"title\",\"shortUrl\",\"domain\",\"shortCode\",\"longUrl\",\"tags\",\"visits\"\n\
        \"2024-01-01T00:00:00+00:00\",\"'=1+1\",\"https://s.test/aB\",\"s.test\",\"aB\",\"https://example.com/\",\"a|b, c\",3\n";
    let path = written(directory.path(), "short_urls.csv", shlink);
    imported(&server, &["csv", &path, "--domain", "s.test"]);
    let link = server.client.get("/api/v1/links/aB").await.expect(200).json();
    assert_eq!((&link["title"], &link["tags"]), (&"=1+1".into(), &json!(["a", "b, c"])));
}

/// Clicks of our own export, in both forms: the same statistics elsewhere, and each once.
#[tokio::test]
async fn clicks_move_to_another_server() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";
    let past: Vec<Value> = (0..1_200)
        .map(|n| {
            json!({
                "code": "a", "at": format!("2024-01-{:02}T10:00:00Z", n % 28 + 1), "importId": n.to_string(),
                "userAgent": agent, "country": if n % 3 == 0 { "IN" } else { "DE" },
                "referrer": "https://news.example/?q==1",
            })
        })
        .collect();
    for part in past.chunks(1_000) {
        client.import_clicks("test", part).await;
    }
    // Two servers number visitors differently: an estimate of 28 may be one less where two of them meet.
    let clicks_alone = |mut stats: Value, name: &str| {
        for part in stats[name].as_array_mut().into_iter().flatten() {
            let visitors = part.as_object_mut().unwrap().remove("visitors").unwrap();
            assert!(
                (26..=28).contains(&visitors.as_u64().unwrap()) || name != "classes",
                "{visitors}"
            );
        }
        stats[name].to_string()
    };
    let figures = |stats: &Value| {
        ["totalClicks", "series", "classes", "browsers", "referrerUrls", "countries"]
            .map(|name| clicks_alone(stats.clone(), name))
    };
    let range = "to=2024-12-31&interval=day";
    let expected = figures(&client.stats("a", range).await);
    assert_eq!(expected[0], "1200");
    let directory = tempfile::tempdir().unwrap();
    for format in ["csv", "ndjson"] {
        let text = server.cli_ok(&["export", "clicks", "--format", format]);
        let path = written(directory.path(), "clicks", &text);
        let other = Server::start();
        let (code, _, told) = import(&other, &["clicks", &path, "--format", format]);
        assert!(code == Some(1) && told.contains("1200 clicks were left out"), "{told}");
        other.client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
        let summary = imported(&other, &["clicks", &path, "--format", format]);
        assert_eq!((&summary["added"], &summary["bad"]), (&1_200.into(), &0.into()), "{summary}");
        assert_eq!(figures(&other.client.stats("a", range).await), expected);
        let heads = other.client.heads().await;
        assert_eq!(imported(&other, &["clicks", &path, "--format", format])["known"], 1_200);
        assert_eq!(other.client.heads().await, heads, "a second run changes nothing");
    }
}

/// Clicks of a link that did not come in do not keep the others away, and are told.
#[tokio::test]
async fn clicks_of_a_code_that_no_link_has_are_left_out() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    let mut rows = String::from("code,at,userAgent,id\n");
    for n in 0..2_500 {
        let code = ["a", "gone", "other"][n % 3];
        let _ = writeln!(rows, "{code},2024-01-01T10:00:00Z,Agent,{n}");
    }
    rows.push_str("a,17/05/2024,Agent,x\n");
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), "clicks.csv", &rows);
    let (code, summary, told) = import(&server, &["clicks", &path]);
    assert!(code == Some(1) && told.contains("1667 clicks were left out"), "{told}");
    assert_eq!((&summary["added"], &summary["bad"]), (&834.into(), &1.into()), "{summary}");
    assert_eq!(summary["withoutLink"], json!({"gone": 833, "other": 833}));
    assert_eq!(client.stats("a", "to=2024-12-31").await["totalClicks"], 834);
    client.create(NewLink::to("https://example.com/").with("alias", "gone")).await;
    client.create(NewLink::to("https://example.com/").with("alias", "other")).await;
    let (_, summary, _) = import(&server, &["clicks", &path]);
    assert_eq!((&summary["added"], &summary["known"]), (&1_666.into(), &834.into()));
}

/// A link that is open here is not the one that asks for a password, or is off, at the source.
#[tokio::test]
async fn fault_6_a_link_that_is_open_here_is_not_the_closed_one() {
    let server = Server::start();
    for code in ["locked", "off"] {
        server.client.create(NewLink::to("https://example.com/").with("alias", code)).await;
    }
    let rows = "code,url,password,state\nlocked,https://example.com/,sesame,active\n\
                off,https://example.com/,,DISABLED\n";
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), "links.csv", rows);
    let (code, summary, _) = import(&server, &["csv", &path]);
    let expected = [
        ("locked", "the link is here and has another password"),
        ("off", "the link is here and has another state"),
    ];
    assert_eq!((code, conflicts(&summary)), (Some(1), expected.to_vec()));
}

/// A log that is away for a moment is no conflict of any link: they come in when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_away_is_no_conflict() {
    let server = Settings::embedded().on_jetstream().start();
    server.client.create(NewLink::to("https://example.com/").with("alias", "before")).await;
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), "links.csv", "code,url\na,https://example.com/\n");
    server.settings.broker().kill();
    let refused = json!({"links": [{"url": "https://example.com/", "alias": "b"}]});
    let refused = server.client.post("/api/v1/links/bulk", &refused).await.expect(200).json();
    assert_eq!(refused["results"][0]["status"], 503, "{refused}");
    let mut command = server.cli_command(&["import", "csv", &path, "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    server.settings.broker().restart();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((counts(&summary), conflicts(&summary)), ([1, 1, 0], vec![]));
    server.client.visit_becomes("/a", 302).await;
}
