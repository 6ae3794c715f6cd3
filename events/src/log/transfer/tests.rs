use sha2::{Digest, Sha256};

use std::collections::HashMap;

use super::*;
use crate::envelope::NewEvent;
use crate::hex::hex;
use crate::log::embedded::{EmbeddedLog, OpenOptions};
use crate::log::{Append, EventLog, ExpectedVersion};
use crate::position::{Sequence, StreamId};

async fn log(directory: &tempfile::TempDir, name: &str) -> EmbeddedLog {
    EmbeddedLog::open(&directory.path().join(name), OpenOptions::default()).await.unwrap()
}

/// A body that no serializer of ours would write: the bytes have to survive.
fn event(stream: &StreamId, n: u64) -> NewEvent {
    let id = Uuid::from_u128(u128::from(n));
    let event_type = "hoplog.test.happened.v1";
    let subject = stream.key();
    let body = format!(
        r#"{{ "specversion":"1.0", "id": "{id}",  "source":"/hoplog", "type":"{event_type}",
            "subject":"{subject}", "time":"2026-01-01T00:00:00Z","recordedtime":"2026-01-01T00:00:00Z",
            "datacontenttype":"application/json", "actor":"system:test", "commandid":"{id}",
            "data": {{"n": 1.0e2, "x":"\u00fc"}} }}"#
    );
    let body = body.replace('\n', " ");
    NewEvent { id, event_type: event_type.into(), body: body.into() }
}

async fn append(log: &EmbeddedLog, topic: Topic, key: &str, command: u128, events: &[u64]) {
    let stream = StreamId::new(topic, key);
    let events = events.iter().map(|&n| event(&stream, n)).collect();
    let command_id = CommandId(Uuid::from_u128(command));
    let append = Append { stream, expected: ExpectedVersion::Any, command_id, events };
    log.append(append).await.unwrap();
}

async fn filled(directory: &tempfile::TempDir) -> EmbeddedLog {
    let log = log(directory, "source").await;
    append(&log, Topic::Links, "default/a", 1, &[1, 2]).await;
    append(&log, Topic::Links, "default/b", 2, &[3]).await;
    append(&log, Topic::Links, "default/a", 3, &[4]).await;
    append(&log, Topic::Clicks, "0", 4, &[5, 6, 7]).await;
    append(&log, Topic::Clicks, "0", 5, &[8]).await;
    append(&log, Topic::Accounts, "key/x", 6, &[9]).await;
    log
}

async fn exported(log: &EmbeddedLog) -> String {
    let mut out = Vec::new();
    export(log, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

fn events_of(export: &str) -> Vec<&str> {
    export.lines().filter(|line| line.starts_with(r#"{"topic""#)).collect()
}

#[tokio::test]
async fn an_imported_log_exports_the_same_events() {
    let directory = tempfile::tempdir().unwrap();
    let first = exported(&filled(&directory).await).await;
    let copy = log(&directory, "copy").await;
    let counts = import(&copy, first.as_bytes()).await.unwrap();
    assert_eq!(counts, Counts { links: 4, clicks: 4, accounts: 1 });
    let second = exported(&copy).await;
    assert_eq!(events_of(&first).len(), 9);
    assert_eq!(events_of(&first), events_of(&second));
    // A retried command finds itself on the copy, too.
    append(&copy, Topic::Links, "default/a", 1, &[1, 2]).await;
    assert_eq!(exported(&copy).await, second);
}

/// The export without some of its lines, sealed anew: as of a log that forgets.
fn without(export: &str, gone: impl Fn(&str) -> bool) -> String {
    let lines = export.lines().filter(|line| !line.contains(r#""end":true"#) && !gone(line));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    let mut events = Counts::default();
    for line in events_of(&text) {
        *events.of(serde_json::from_str::<EventLine<'_>>(line).unwrap().topic) += 1;
    }
    let sha256 = hex(&Sha256::digest(&text));
    let trailer = serde_json::to_string(&Trailer { end: true, events, sha256 }).unwrap();
    format!("{text}{trailer}\n")
}

/// Clicks may be kept for a time only: what is left of a stream begins at any version.
#[tokio::test]
async fn a_log_that_forgets_old_clicks_can_be_moved_and_is_no_broken_one() {
    let directory = tempfile::tempdir().unwrap();
    let whole = exported(&filled(&directory).await).await;
    let is_click = |line: &str, version: u64| {
        line.contains(r#""topic":"clicks""#) && line.contains(&format!(r#""version":{version},"#))
    };
    let trimmed = without(&whole, |line| is_click(line, 1));
    let copy = log(&directory, "copy").await;
    assert_eq!(check(trimmed.as_bytes()).unwrap().clicks, 3);
    assert_eq!(import(&copy, trimmed.as_bytes()).await.unwrap().clicks, 3);
    assert_eq!(verify(&copy).await.unwrap().problem_count, 0);
    let bodies = |export: &str| -> Vec<String> {
        let lines = events_of(export).into_iter();
        lines.map(|line| line.split_once(r#""body":"#).unwrap().1.to_owned()).collect()
    };
    assert_eq!(bodies(&exported(&copy).await), bodies(&trimmed), "byte for byte");
    let source = log(&directory, "source").await;
    let limit = crate::log::ReadLimit::default();
    let clicks = source.read_all(Topic::Clicks, Sequence::START, limit).await.unwrap();
    let (mut report, mut versions) = (Report::default(), HashMap::new());
    for event in &clicks[1..] {
        report.look_at(event, Sequence::START, &mut versions);
    }
    assert_eq!((report.trimmed, report.problem_count), (1, 0), "{:?}", report.problems);
    // A hole is none of retention's doing, and a link keeps its beginning for ever.
    let hole = without(&whole, |line| is_click(line, 2));
    assert!(matches!(check(hole.as_bytes()), Err(TransferError::Line { line: 7, .. })));
}

/// What was rewritten is moved as it is now, and is no broken log. A copy that was filled before is
/// another log: it is rewritten itself, or filled anew.
#[tokio::test]
async fn a_rewritten_log_is_moved_without_what_it_said_before() {
    let directory = tempfile::tempdir().unwrap();
    let source = filled(&directory).await;
    let before = exported(&source).await;
    let earlier = log(&directory, "earlier").await;
    import(&earlier, before.as_bytes()).await.unwrap();
    let limit = crate::log::ReadLimit::default();
    let links = source.read_all(Topic::Links, Sequence::START, limit).await.unwrap();
    let new = String::from_utf8(links[0].body.to_vec()).unwrap().replace("1.0e2", "2");
    let rewrite = crate::log::contract::rewrites::rewrite(&links[0], &new);
    source.rewrite(vec![rewrite]).await.unwrap();
    let after = exported(&source).await;
    assert_eq!(after.matches("1.0e2").count(), before.matches("1.0e2").count() - 1);
    assert_eq!(verify(&source).await.unwrap().problem_count, 0);
    let copy = log(&directory, "copy").await;
    import(&copy, after.as_bytes()).await.unwrap();
    assert_eq!(events_of(&exported(&copy).await), events_of(&after));
    assert_eq!(verify(&copy).await.unwrap().problem_count, 0);
    let refused = import(&earlier, after.as_bytes()).await;
    assert!(matches!(refused, Err(TransferError::NotEmpty(_))), "{refused:?}");
    assert_eq!(events_of(&exported(&earlier).await), events_of(&before));
}

#[tokio::test]
async fn the_order_is_kept_however_many_appends_are_under_way() {
    let directory = tempfile::tempdir().unwrap();
    let source = log(&directory, "source").await;
    let appends = (0..1_000).map(|n| {
        let stream = StreamId::new(Topic::Links, format!("default/{}", n % 700));
        let events = vec![event(&stream, n)];
        let command_id = CommandId(Uuid::from_u128(u128::from(n) + 1));
        source.append(Append { stream, expected: ExpectedVersion::Any, command_id, events })
    });
    futures::future::try_join_all(appends).await.unwrap();
    let export = exported(&source).await;
    let copy = log(&directory, "copy").await;
    import(&copy, export.as_bytes()).await.unwrap();
    assert_eq!(events_of(&exported(&copy).await), events_of(&export));
}

#[tokio::test]
async fn a_log_that_is_not_empty_is_not_filled() {
    let directory = tempfile::tempdir().unwrap();
    let source = filled(&directory).await;
    let export = exported(&source).await;
    let error = import(&source, export.as_bytes()).await.unwrap_err();
    assert!(matches!(error, TransferError::NotEmpty(Topic::Links)), "{error}");
}

#[tokio::test]
async fn a_damaged_export_is_found_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let whole = exported(&filled(&directory).await).await;
    assert_eq!(check(whole.as_bytes()).unwrap().links, 4);
    let lines: Vec<&str> = whole.lines().collect();
    let without = |n: usize| [&lines[..n], &lines[n + 1..]].concat().join("\n") + "\n";
    let swapped = {
        let mut lines = lines.clone();
        lines.swap(1, 2);
        lines.join("\n") + "\n"
    };
    for (export, line, reason) in [
        (String::new(), 1, "cut off"),
        ("{}\n".to_owned(), 1, "no export"),
        (whole.replacen("\"hoplogExport\":1", "\"hoplogExport\":2", 1), 1, "newer"),
        (without(10), 11, "cut off"),
        (without(3), 10, "not those that were exported"),
        (swapped, 3, "out of order"),
        (whole.replacen("1.0e2", "1.0e3", 1), 11, "not those that were exported"),
        (whole.replacen("\"stream\":\"default/a\"", "\"stream\":\"default/c\"", 1), 2, "is of"),
        (whole.trim_end().to_owned(), 11, "cut off"),
    ] {
        match check(export.as_bytes()).unwrap_err() {
            TransferError::Line { line: at, reason: why } => {
                assert_eq!(at, line, "{why}");
                assert!(why.contains(reason), "{why}");
            }
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn verify_counts_and_finds_what_does_not_belong() {
    let directory = tempfile::tempdir().unwrap();
    let log = filled(&directory).await;
    let report = verify(&log).await.unwrap();
    assert_eq!((report.streams, report.problem_count), (4, 0), "{:?}", report.problems);
    assert_eq!(report.unknown_types["hoplog.test.happened.v1"], 9);

    let elsewhere = event(&StreamId::new(Topic::Links, "default/other"), 10);
    let stream = StreamId::new(Topic::Links, "default/b");
    let command_id = CommandId(Uuid::from_u128(7));
    let expected = ExpectedVersion::Any;
    log.append(Append { stream, expected, command_id, events: vec![elsewhere] }).await.unwrap();
    let report = verify(&log).await.unwrap();
    assert_eq!(report.problems, ["links:default/b at 5: says that it is of default/other"]);
}
