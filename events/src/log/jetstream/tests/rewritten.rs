//! Events that get another body: what becomes of their messages.

use serde_json::{Value, json};

use super::*;
use crate::log::contract::Log;
use crate::log::contract::nats_cluster::NatsCluster;
use crate::log::contract::rewrites::{
    is_on_disk, nothing_of_a_rewritten_event_is_on_the_disk, reads_are_those_of_a_model, rewrite,
};
use crate::log::transfer;

/// Asks a server's management API.
async fn ask(server: &NatsServer, what: &str, body: Value) -> Value {
    let client = async_nats::connect(server.url()).await.unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = client.request(format!("$JS.API.STREAM.{what}"), body.into()).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

async fn messages(server: &NatsServer, stream: &str) -> u64 {
    let info = ask(server, &format!("INFO.{stream}"), Value::Null).await;
    info["state"]["messages"].as_u64().unwrap()
}

async fn clicks_of(log: &Log) -> Vec<RecordedEvent> {
    log.read_kept(Topic::Clicks, Sequence::START, ReadLimit::default()).await.unwrap()
}

#[tokio::test]
async fn reads_of_a_rewritten_log_are_those_of_a_model() {
    let (server, log) = empty().await;
    let server = std::sync::Mutex::new(server);
    let reopen = async |_| {
        let options = {
            let mut server = server.lock().unwrap();
            server.restart();
            options(&server)
        };
        open_with(&options).await
    };
    reads_are_those_of_a_model(log, 400, reopen).await;
}

#[tokio::test]
async fn reads_of_a_rewritten_log_on_a_cluster_are_those_of_a_model() {
    let cluster = NatsCluster::start().await;
    let options: JetStreamOptions = cluster.url().parse().unwrap();
    let options = JetStreamOptions { stale: Duration::ZERO, ..options };
    let log = open_with(&options).await;
    reads_are_those_of_a_model(log, 150, async |_| open_with(&options).await).await;
}

#[tokio::test]
async fn no_file_of_the_server_holds_what_was_rewritten() {
    for compression in [true, false] {
        let server = NatsServer::start();
        let options = JetStreamOptions { compression, ..options(&server) };
        let log = open_with(&options).await;
        nothing_of_a_rewritten_event_is_on_the_disk(log, &server.store()).await;
    }
}

/// The new one is stored, the old one is not deleted yet.
#[tokio::test]
async fn who_died_in_the_middle_has_lost_nothing_and_goes_on() {
    let (server, log) = empty().await;
    for n in 0..3 {
        log.append(click(n)).await.unwrap();
    }
    let before = clicks_of(&log).await;
    log.rewrite(vec![rewrite(&before[1], "{}")]).await.unwrap();
    let rewritten = clicks_of(&log).await;
    assert_eq!(messages(&server, "CLICKS").await, 2);
    // The same as of the first event, without the rest of it.
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(VERSION, "1");
    headers.insert(COMMAND_ID, before[0].command_id.0.simple().to_string());
    headers.insert(EVENT_TYPE, &*before[0].event_type);
    headers.insert(STORED, "2026-03-14T09:26:53Z");
    let subject = "rewritten.clicks.0.node=2F0.1.1";
    client.publish_with_headers(subject, headers, "{\"half\":1}".into()).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(clicks_of(&log).await, rewritten, "the old one as long as it is there");
    log.rewrite(vec![rewrite(&before[0], "{\"half\":1}")]).await.unwrap();
    assert_eq!(&clicks_of(&log).await[0].body[..], b"{\"half\":1}");
    assert_eq!(messages(&server, "CLICKS").await, 1);
    assert_eq!(messages(&server, "REWRITTEN").await, 2, "each event once");
}

/// Else its code could be claimed again.
#[tokio::test]
async fn the_last_event_of_a_link_is_not_rewritten() {
    let (_server, log) = empty().await;
    let a = StreamId::new(Topic::Links, "a");
    log.append(contract::append(&a, ExpectedVersion::Any, 2)).await.unwrap();
    let events = log.read(&a, Version::NONE).await.unwrap();
    let both = events.iter().map(|event| rewrite(event, "{}")).collect();
    let refused = log.rewrite(both).await.unwrap_err();
    assert!(refused.to_string().contains("links:a"), "{refused}");
    assert_eq!(log.read(&a, Version::NONE).await.unwrap(), events, "nothing was changed");
    let claimed = log.append(contract::append(&a, ExpectedVersion::Exact(Version(0)), 1)).await;
    assert_eq!(claimed, Err(AppendError::Conflict { actual: Version(2) }));
}

/// Made by a version that did not rewrite. The servers don't take it back.
#[tokio::test]
async fn a_log_that_denies_to_delete_says_that_it_cannot_rewrite() {
    let (server, log) = empty().await;
    log.append(click(0)).await.unwrap();
    let mut config = ask(&server, "INFO.CLICKS", Value::Null).await["config"].clone();
    config["deny_delete"] = true.into();
    assert!(ask(&server, "UPDATE.CLICKS", config.clone()).await.get("error").is_none());
    config["deny_delete"] = false.into();
    assert!(ask(&server, "UPDATE.CLICKS", config).await.get("error").is_some(), "it can be undone");
    let (log, differences) = JetStreamLog::open(&options(&server)).await.unwrap();
    assert!(differences.len() == 1 && differences[0].contains("export"), "{differences:?}");
    assert!(!log.can_rewrite());
    let log: Log = Arc::new(log);
    let before = clicks_of(&log).await;
    let asked = log.rewrite(vec![rewrite(&before[0], "{}")]).await;
    assert_eq!(asked, Err(RewriteError::Unsupported));
    assert_eq!(clicks_of(&log).await, before);
}

/// Somebody used the servers' own tools: that is told as it was, between events that were
/// rewritten as well, and those are not lost for it.
#[tokio::test]
async fn what_somebody_else_deleted_is_told_as_gone() {
    let (server, log) = empty().await;
    let a = StreamId::new(Topic::Links, "a");
    for version in 0..9 {
        let expected = ExpectedVersion::Exact(Version(version));
        log.append(contract::append(&a, expected, 1)).await.unwrap();
    }
    let events = log.read(&a, Version::NONE).await.unwrap();
    // 1 2 3 4 5 6 7 8 9: rewritten are 1, 3, 6; others deleted 2, 4, 5.
    let rewrites = [0, 2, 5].map(|n: usize| rewrite(&events[n], "{}"));
    log.rewrite(rewrites.to_vec()).await.unwrap();
    for sequence in [2, 4, 5] {
        let answer = ask(&server, "MSG.DELETE.LINKS", json!({ "seq": sequence })).await;
        assert_eq!(answer["success"], true, "{answer}");
    }
    let limit = ReadLimit::default();
    let (mut after, mut told) = (Sequence::START, Vec::new());
    while after < Sequence(9) {
        match log.read_all(Topic::Links, after, limit).await {
            Ok(events) => {
                told.push(events.iter().map(|it| it.position.sequence.0).collect());
                after = events.last().unwrap().position.sequence;
            }
            Err(ReadError::Trimmed { from, to }) => {
                assert_eq!(from.0, after.0 + 1);
                told.push(vec![]);
                after = to;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(told, [vec![1], vec![], vec![3], vec![], vec![6, 7, 8, 9]]);
    let of_link = log.read(&a, Version::NONE).await.unwrap();
    let versions: Vec<u64> = of_link.iter().map(|event| event.version.0).collect();
    assert_eq!(versions, [1, 3, 6, 7, 8, 9]);
}

/// What was rewritten ends with the clicks around it.
#[tokio::test]
async fn clicks_that_are_gone_do_not_come_back_because_they_were_rewritten() {
    let server = NatsServer::start();
    let options = JetStreamOptions { clicks_max_bytes: Some(64 * 1024), ..options(&server) };
    let log = open_with(&options).await;
    for n in 0..40 {
        log.append(click(n)).await.unwrap();
    }
    let early = clicks_of(&log).await;
    log.rewrite(early[..20].iter().map(|it| rewrite(it, "{}")).collect()).await.unwrap();
    assert_eq!(clicks_of(&log).await.len(), 40, "none is gone yet");
    for n in 40..400 {
        log.append(click(n)).await.unwrap();
    }
    let kept = clicks_of(&log).await;
    let first = kept[0].position.sequence;
    assert!(first > Sequence(40), "{first}");
    let gone = ReadError::Trimmed { from: Sequence(1), to: Sequence(first.0 - 1) };
    let told = log.read_all(Topic::Clicks, Sequence::START, ReadLimit::default()).await;
    assert_eq!(told, Err(gone));
    let of_stream = log.read(&click(0).stream, Version::NONE).await.unwrap();
    assert_eq!(of_stream, kept);
    // The first three that are left, then the whole topic.
    log.rewrite(kept[..3].iter().map(|it| rewrite(it, "{}")).collect()).await.unwrap();
    let again = clicks_of(&log).await;
    assert_eq!((again.len(), again[0].position.sequence), (kept.len(), first));
    assert_eq!(messages(&server, "REWRITTEN").await, 23);
    let log = open_with(&options).await;
    assert_eq!(messages(&server, "REWRITTEN").await, 3, "the others are swept away");
    assert_eq!(clicks_of(&log).await, again);
    log.rewrite(again.iter().map(|it| rewrite(it, "{}")).collect()).await.unwrap();
    assert_eq!(messages(&server, "CLICKS").await, 0);
    assert_eq!(clicks_of(&log).await.len(), kept.len());
    let next = log.append(click(400)).await.unwrap();
    assert_eq!((next.version, next.position.sequence), (Version(401), Sequence(401)));
    let report = transfer::verify(&*log).await.unwrap();
    assert_eq!(report.trimmed_events.clicks, first.0 - 1, "{report:?}");
}

/// How long clicks are kept may be changed later; what they have become has to be there as long.
#[tokio::test]
async fn what_clicks_have_become_does_not_end_on_its_own() {
    let server = NatsServer::start();
    let options =
        JetStreamOptions { clicks_max_age: Some(Duration::from_hours(24)), ..options(&server) };
    let log = open_with(&options).await;
    log.append(click(0)).await.unwrap();
    let events = clicks_of(&log).await;
    log.rewrite(vec![rewrite(&events[0], "{}")]).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let answer = client.request("$JS.API.DIRECT.GET.REWRITTEN", "{\"last_by_subj\":\">\"}".into());
    let headers = answer.await.unwrap().headers.unwrap();
    assert!(headers.get(STORED).is_some() && headers.get("Nats-TTL").is_none(), "{headers:?}");
    let config = &ask(&server, "INFO.REWRITTEN", Value::Null).await["config"];
    assert_eq!(config["max_age"], 0, "{config}");
}

/// Long runs of rewritten events, at the beginning and the end, and pages that are cut.
#[tokio::test]
async fn long_runs_of_rewritten_events_are_read_page_by_page() {
    let (_server, log) = empty().await;
    let appends = 40;
    for n in 0..appends {
        let stream = StreamId::new(Topic::Clicks, format!("node/{}", n % 2));
        log.append(contract::append(&stream, ExpectedVersion::Any, 15)).await.unwrap();
    }
    let events = log.read_all(Topic::Clicks, Sequence::START, ReadLimit::default()).await.unwrap();
    assert_eq!(events.len(), 600);
    for run in [0..290, 310..600] {
        let rewrites = events[run].iter().map(|event| rewrite(event, "{}"));
        log.rewrite(rewrites.collect()).await.unwrap();
    }
    let (mut after, mut read) = (Sequence::START, Vec::new());
    while read.len() < 600 {
        let page = log.read_all(Topic::Clicks, after, ReadLimit::default()).await.unwrap();
        after = page.last().unwrap().position.sequence;
        read.extend(page);
    }
    let places = |events: &[RecordedEvent]| -> Vec<_> {
        events.iter().map(|event| (event.position, event.version, event.stream.clone())).collect()
    };
    assert_eq!(places(&read), places(&events));
    let few = ReadLimit { events_max: 7, bytes_max: 9 };
    for after in [0, 288, 289, 309, 598] {
        let page = log.read_all(Topic::Clicks, Sequence(after), few).await.unwrap();
        let next: Vec<u64> = page.iter().map(|event| event.position.sequence.0).collect();
        assert!(!next.is_empty() && next.len() <= 7, "{next:?}");
        assert_eq!(next[0], after + 1);
    }
    let stream = StreamId::new(Topic::Clicks, "node/1");
    let all = log.read(&stream, Version(250)).await.unwrap();
    assert_eq!(all.first().map(|event| event.version), Some(Version(251)));
    assert_eq!(all.len(), 50);
    let page = log.read_page(&stream, Version(120), few).await.unwrap();
    assert_eq!(page.first().map(|event| event.version), Some(Version(121)));
}

/// A server that is not asked any more has the old bytes until it is back.
#[tokio::test]
async fn every_replica_has_forgotten_what_was_rewritten() {
    let mut cluster = NatsCluster::start().await;
    let options: JetStreamOptions = cluster.url().parse().unwrap();
    let log = open_with(&JetStreamOptions { stale: Duration::ZERO, ..options }).await;
    let mut one = click(0);
    one.events[0].body = "{\"secret\":\"of nobody\"}".into();
    log.append(one).await.unwrap();
    log.append(click(1)).await.unwrap();
    let events = clicks_of(&log).await;
    log.rewrite(vec![rewrite(&events[0], "{}")]).await.unwrap();
    for _ in 0..20 {
        assert_eq!(&clicks_of(&log).await[0].body[..], b"{}", "whichever server answers");
    }
    cluster.settled("CLICKS").await;
    for number in 0..3 {
        let store = cluster.server(number).store();
        let found = is_on_disk(&store.join("jetstream").join("$G"), b"of nobody");
        assert!(!found, "server {number}");
    }
}

/// A replica that is behind has what the event was in between, which another erasure must not be made
/// of, and no reader may get.
#[tokio::test]
async fn an_event_that_is_rewritten_twice_is_the_newest_whichever_server_answers() {
    let mut cluster = NatsCluster::start().await;
    let options: JetStreamOptions = cluster.url().parse().unwrap();
    let options = JetStreamOptions { stale: Duration::ZERO, ..options };
    let log = open_with(&options).await;
    let mut by_server = Vec::new();
    for number in 0..3 {
        let server = vec![cluster.server(number).url()];
        by_server.push(open_with(&JetStreamOptions { servers: server, ..options.clone() }).await);
    }
    for n in 0..2 {
        log.append(click(n)).await.unwrap();
    }
    for time in 0..40 {
        let events = clicks_of(&by_server[time % 3]).await;
        let body = format!("{{\"n\":{time}}}");
        log.rewrite(vec![rewrite(&events[0], &body)]).await.unwrap();
        for reader in &by_server {
            assert_eq!(&clicks_of(reader).await[0].body[..], body.as_bytes(), "time {time}");
        }
    }
}

/// A leader of what was rewritten that was cut off does not know of the newest: a hole that retention
/// can't have made is not told as gone before it must have learned that it leads no longer.
#[tokio::test]
async fn a_hole_is_not_told_as_gone_while_its_replacement_may_not_be_known() {
    let mut cluster = NatsCluster::start().await;
    let options: JetStreamOptions = cluster.url().parse().unwrap();
    let log =
        open_with(&JetStreamOptions { stale: Duration::from_mins(1), ..options.clone() }).await;
    let impatient = open_with(&JetStreamOptions { stale: Duration::ZERO, ..options }).await;
    for topic in [Topic::Links, Topic::Clicks] {
        let stream = StreamId::new(topic, "a");
        log.append(contract::append(&stream, ExpectedVersion::Any, 1)).await.unwrap();
        log.append(contract::append(&stream, ExpectedVersion::Any, 1)).await.unwrap();
        log.append(contract::append(&stream, ExpectedVersion::Any, 1)).await.unwrap();
        let limit = ReadLimit::default();
        let before = log.read_all(topic, Sequence(1), limit).await.unwrap();
        let name = format!("MSG.DELETE.{}", topic.name().to_uppercase());
        let deleted = ask(cluster.server(0), &name, json!({ "seq": 2 })).await;
        assert_eq!(deleted["success"], true, "{deleted}");
        // A replica may still give it.
        while !matches!(
            impatient.read_all(topic, Sequence(1), limit).await,
            Err(ReadError::Trimmed { .. })
        ) {
            tokio::task::yield_now().await;
        }
        let mut read = log.read_all(topic, Sequence(1), limit);
        let waits = tokio::time::timeout(Duration::from_millis(300), &mut read).await;
        assert!(waits.is_err(), "{waits:?}");
        {
            let client = async_nats::connect(cluster.server(0).url()).await.unwrap();
            let mut headers = async_nats::HeaderMap::new();
            headers.insert(COMMAND_ID, before[0].command_id.0.simple().to_string());
            headers.insert(EVENT_TYPE, &*before[0].event_type);
            headers.insert(STORED, "2026-03-14T09:26:53Z");
            let subject = format!("rewritten.{}.0.a.2.2", topic.name());
            client.publish_with_headers(subject, headers, "{}".into()).await.unwrap();
            client.flush().await.unwrap();
        }
        let read = read.await.unwrap();
        assert_eq!((read.len(), &read[0].body[..]), (2, &b"{}"[..]));
    }
}
