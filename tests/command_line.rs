//! The promise: the command line does what its help says, tells what went wrong, and ends with the
//! exit code that scripts go by.

use std::fs;
use std::process::Output;

use crate::support::{NewLink, Server};

const URL: &str = "https://example.com/";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn ended(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(output.stderr.is_empty(), code == 0, "{output:?}");
}

/// Every order that the help names can be given as it is written there.
#[tokio::test]
async fn links_are_listed_in_every_order_that_the_help_names() {
    let server = Server::start();
    for alias in ["b", "a"] {
        server.client.create(NewLink::to(URL).with("alias", alias)).await;
    }
    server.client.visit("/a").await.expect(302);
    server.client.caught_up("link_directory").await;
    server.client.caught_up("click_statistics").await;
    let help = server.cli_ok(&["link", "list", "--help"]);
    for (order, first) in [("-createdAt", "a"), ("createdAt", "b"), ("code", "a"), ("-clicks", "a")]
    {
        assert!(help.contains(order), "{help}");
        let list = server.cli_ok(&["link", "list", "--sort", order]);
        assert!(list.lines().nth(1).unwrap().starts_with(first), "{order}: {list}");
    }
    ended(&server.cli(&["link", "list", "--sort", "clicks"]), 1);
}

/// A dot is no name: in an address it would mean what is above it.
#[tokio::test]
async fn names_that_can_be_none_are_misuse() {
    let server = Server::start();
    server.client.create(NewLink::to(URL).with("alias", "kept")).await;
    for arguments in [
        &["link", "show"][..],
        &["link", "edit", "--title", "x"],
        &["link", "disable"],
        &["link", "enable"],
        &["link", "delete"],
        &["key", "revoke"],
        &["stats"],
        &["projection", "status"],
        &["projection", "rebuild"],
        &["projection", "rollback"],
        &["projection", "parked"],
    ] {
        for name in [".", "..", ""] {
            let arguments = [arguments, &[name]].concat();
            let output = server.cli(&arguments);
            ended(&output, 2);
            assert_eq!(text(&output.stdout), "", "{arguments:?}");
        }
    }
    ended(&server.cli(&["link", "show", "%2e"]), 1);
    ended(&server.cli(&["link", "show", "kept"]), 0);
}

/// What an owner should know is told where a person sees it and a script does not trip over it.
#[tokio::test]
async fn a_look_alike_destination_is_warned_of() {
    let server = Server::start();
    let output = server.cli(&["link", "create", "https://аррӏе.com/", "--alias", "a"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stdout), format!("{}/a\n", server.url));
    assert!(text(&output.stderr).starts_with("warning: "), "{output:?}");
    ended(&server.cli(&["link", "create", URL]), 0);
    ended(&server.cli(&["link", "create", "https://аррӏе.com/", "--json"]), 0);
}

/// What is given a value and emptied at once can't be meant.
#[tokio::test]
async fn a_field_is_set_or_cleared_not_both() {
    let server = Server::start();
    server.client.create(NewLink::to(URL).with("alias", "a").with("title", "t")).await;
    for arguments in [
        &["--title", "x", "--clear", "title"][..],
        &["--expires-in", "7d", "--clear", "expiry"],
        &["--expires-at", "2099-01-01T00:00:00Z", "--clear", "note,expiry"],
        &["--tag", "x", "--clear", "tags"],
        &["--redirect", "301", "--clear", "redirect"],
        &["--note", "x", "--clear", "note"],
        &["--external-id", "x", "--clear", "external-id"],
    ] {
        ended(&server.cli(&[&["link", "edit", "a"], arguments].concat()), 2);
    }
    assert_eq!(server.client.get("/api/v1/links/a").await.json()["version"], 1);
    server.cli_ok(&["link", "edit", "a", "--title", "x", "--clear", "note,expiry"]);
}

/// An import of which nothing came has failed, whatever it was an import of.
#[tokio::test]
async fn an_import_that_took_nothing_has_failed() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let site = ["--site", "https://www.example.com"];
    let log = |content: &str| {
        fs::write(&file, content).unwrap();
        server.cli(&[&["import", "access-log", file.to_str().unwrap()][..], &site].concat())
    };
    let good = "192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET /a HTTP/1.1\" 200 1 \"-\" \"A\"\n";
    for bad in ["nonsense\n", "nonsense\nmore of it\n", good.trim_end()] {
        let output = log(bad);
        ended(&output, 1);
        assert!(text(&output.stdout).contains("0 clicks added"), "{output:?}");
    }
    for content in [good.to_owned(), good.to_owned(), format!("nonsense\n{good}"), String::new()] {
        assert_eq!(log(&content).status.code(), Some(0), "{content}");
    }
    for (rows, code) in
        [("url\nnonsense\n", 1), ("url\nnonsense\nhttps://example.com/\n", 1), ("url\n", 0)]
    {
        fs::write(&file, rows).unwrap();
        ended(&server.cli(&["import", "links", file.to_str().unwrap()]), code);
    }
}

/// More keys than one page of the server's holds.
#[tokio::test]
async fn every_key_is_listed() {
    let server = Server::start();
    for n in 0..60 {
        server.client.keyed(&format!("owner{n}"), &["links:read"]).await;
    }
    assert_eq!(server.cli_ok(&["key", "list"]).lines().count(), 61);
}
