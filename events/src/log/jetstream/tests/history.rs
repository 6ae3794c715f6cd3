//! Logs that are not what a reader has seen: put back to an older copy, or without their beginning.

use super::*;
use crate::log::contract::nats_cluster::NatsCluster;
use crate::log::{Seen, transfer};

#[tokio::test]
async fn a_log_that_lost_its_end_is_told_from_one_that_is_quiet() {
    let (_full, log) = empty().await;
    let seen = log.append(click(0)).await.unwrap().position.sequence;
    let (_rewound, emptied) = empty().await;
    let error = emptied.subscribe(Topic::Clicks, seen, ReadLimit::default()).await.err();
    assert_eq!(error, Some(ReadError::Rewound { head: Sequence::START, after: seen }));
}

/// As long as before when the reader looks again, or longer: what waited was delivered meanwhile.
#[tokio::test]
async fn a_log_that_was_put_back_and_goes_on_is_told_from_the_one_before() {
    let (mut server, log) = empty().await;
    log.append(click(0)).await.unwrap();
    server.copy_store();
    let log = open(&server).await;
    let mut reader =
        log.subscribe(Topic::Clicks, Sequence::START, ReadLimit::default()).await.unwrap();
    for n in 1..3 {
        log.append(click(n)).await.unwrap();
    }
    let mut seen = Sequence::START;
    while seen < Sequence(3) {
        seen = reader.next().await.unwrap().last().unwrap().position.sequence;
    }
    let mut late = log.subscribe(Topic::Clicks, seen, ReadLimit::default()).await.unwrap();
    server.put_copy_back();
    let others = open(&server).await;
    for n in 1..6 {
        others.append(click(n)).await.unwrap();
    }
    let rewound = ReadError::Rewound { head: Sequence(6), after: seen };
    for reader in [&mut reader, &mut late] {
        let told = loop {
            match reader.next().await {
                Err(ReadError::Unavailable(_)) => tokio::task::yield_now().await,
                told => break told,
            }
        };
        assert_eq!(told, Err(rewound.clone()));
    }
}

/// A topic that keeps 64 KB, so that its first events are gone.
async fn with_little_room() -> (NatsServer, Arc<dyn EventLog>) {
    let server = NatsServer::start();
    let options = JetStreamOptions { clicks_max_bytes: Some(64 * 1024), ..options(&server) };
    let log = open_with(&options).await;
    (server, log)
}

#[tokio::test]
async fn what_is_no_longer_kept_is_told_before_the_rest_is_given() {
    let (_server, log) = with_little_room().await;
    let limit = ReadLimit::default();
    let mut idle = log.subscribe(Topic::Clicks, Sequence::START, limit).await.unwrap();
    log.append(click(0)).await.unwrap();
    assert_eq!(idle.next().await.unwrap().len(), 1);
    for n in 1..400 {
        log.append(click(n)).await.unwrap();
    }
    let kept = log.read_kept(Topic::Clicks, Sequence::START, limit).await.unwrap();
    let to = Sequence(kept[0].position.sequence.0 - 1);
    assert!((2..400).contains(&to.0), "{to}");
    let gone = |after: u64| Err(ReadError::Trimmed { from: Sequence(after + 1), to });
    assert_eq!(log.read_all(Topic::Clicks, Sequence(1), limit).await, gone(1));
    assert_eq!(log.read_all(Topic::Clicks, to, limit).await.as_ref(), Ok(&kept));
    assert_eq!(idle.next().await, gone(1));
    assert_eq!(idle.next().await.as_ref(), Ok(&kept), "told once");
    let mut late = log.subscribe(Topic::Clicks, Sequence(2), limit).await.unwrap();
    assert_eq!(late.next().await, gone(2));
    assert_eq!(late.next().await.as_ref(), Ok(&kept));
    let first = Seen { sequence: Sequence(1), command_id: kept[0].command_id };
    assert_eq!(log.confirm(Topic::Clicks, first).await, Ok(()), "nobody can tell any more");
    let report = transfer::verify(&*log).await.unwrap();
    assert_eq!((report.trimmed_events.clicks, report.problem_count), (to.0, 0), "{report:?}");
}

/// Also where nothing is left: who waits there would wait for the wrong event.
#[tokio::test]
async fn that_nothing_is_kept_is_told_as_well() {
    let server = NatsServer::start();
    let age = Some(Duration::from_secs(1));
    let log = open_with(&JetStreamOptions {
        clicks_max_age: age,
        deduplication: Duration::from_millis(500),
        ..options(&server)
    })
    .await;
    let mut reader =
        log.subscribe(Topic::Clicks, Sequence::START, ReadLimit::default()).await.unwrap();
    log.append(click(0)).await.unwrap();
    assert_eq!(reader.next().await.unwrap().len(), 1);
    for n in 1..4 {
        log.append(click(n)).await.unwrap();
    }
    let gone = loop {
        match log.read_all(Topic::Clicks, Sequence(1), ReadLimit::default()).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(gone) => break gone,
        }
    };
    let ReadError::Trimmed { from: Sequence(2), .. } = gone else { panic!("{gone}") };
    let mut after = Sequence(1);
    while after < Sequence(4) {
        match reader.next().await {
            Ok(events) => after = events.last().unwrap().position.sequence,
            Err(ReadError::Trimmed { from, to }) => {
                assert_eq!(from.0, after.0 + 1);
                after = to;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// What somebody set with the servers' own tools while no node looked.
#[tokio::test]
async fn streams_that_throw_links_away_are_refused_before_anything_is_written() {
    let (server, log) = empty().await;
    drop(log);
    let client = async_nats::connect(server.url()).await.unwrap();
    let ask = async |what: &str, body: serde_json::Value| {
        let answer = client.request(format!("$JS.API.STREAM.{what}"), body.to_string().into());
        let answer: serde_json::Value =
            serde_json::from_slice(&answer.await.unwrap().payload).unwrap();
        assert!(answer.get("error").is_none(), "{what}: {answer}");
        answer["config"].clone()
    };
    for (stream, setting, value) in [
        ("LINKS", "max_msgs_per_subject", 1),
        ("ACCOUNTS", "max_age", 3_600_000_000_000_i64),
        ("LINKS", "max_bytes", 1_000_000),
    ] {
        let before = ask(&format!("INFO.{stream}"), serde_json::Value::Null).await;
        let mut changed = before.clone();
        changed[setting] = value.into();
        ask(&format!("UPDATE.{stream}"), changed).await;
        let refused = JetStreamLog::open(&options(&server)).await.unwrap_err();
        let JetStreamOpenError::Destructive { stream: named, setting: what, found, .. } = refused
        else {
            panic!("{refused}")
        };
        assert_eq!((&*named, &*what, found), (stream, setting, value.to_string()));
        ask(&format!("UPDATE.{stream}"), before).await;
    }
    let mut clicks = ask("INFO.CLICKS", serde_json::Value::Null).await;
    clicks["max_msgs_per_subject"] = 10.into();
    ask("UPDATE.CLICKS", clicks).await;
    let (_, told) = JetStreamLog::open(&options(&server)).await.unwrap();
    assert!(told.len() == 1 && told[0].contains("max_msgs_per_subject is 10"), "{told:?}");
}

/// A page that ends where a replica does looks like the last one.
#[tokio::test]
async fn a_page_has_the_newest_event_whichever_server_answers() {
    let mut cluster = NatsCluster::start().await;
    let options: JetStreamOptions = cluster.url().parse().unwrap();
    let options = JetStreamOptions { stale: Duration::ZERO, ..options };
    let mut by_server = Vec::new();
    for number in 0..3 {
        let server = vec![cluster.server(number).url()];
        by_server.push(open_with(&JetStreamOptions { servers: server, ..options.clone() }).await);
    }
    for n in 0..300 {
        let one = click(n);
        let stream = one.stream.clone();
        by_server[0].append(one).await.unwrap();
        let after = Version(n.saturating_sub(2));
        let pages = by_server.iter().map(|log| log.read_page(&stream, after, ReadLimit::default()));
        for page in futures::future::join_all(pages).await {
            let newest = page.unwrap().last().map(|event| event.version);
            assert_eq!(newest, Some(Version(n + 1)));
        }
    }
}
