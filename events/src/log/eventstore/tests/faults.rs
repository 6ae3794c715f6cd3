//! Connections, answers and servers that go away, and a log that was put back.

use std::time::{Duration, Instant};

use super::super::double::Fault;
use super::*;

/// The servers answer the same event ids as if they were new.
#[tokio::test]
async fn an_append_whose_answer_is_lost_is_kept_once() {
    for (expected, events) in [
        (ExpectedVersion::Exact(Version::NONE), 1),
        (ExpectedVersion::Any, 1),
        (ExpectedVersion::Any, 3),
    ] {
        let (server, log) = empty().await;
        let one = contract::append(&stream(Topic::Links, "a"), expected, events);
        server.next_append(Fault::AnswerLost);
        let lost = log.append(one.clone()).await;
        assert!(matches!(lost, Err(AppendError::Unavailable(_))), "{lost:?}");
        let again = log.append(one.clone()).await.unwrap();
        assert!(again.duplicate);
        assert_eq!(again.version, Version(events as u64));
        assert_eq!(again.position, log.head(Topic::Links).await.unwrap());
        assert_eq!(log.read(&one.stream, Version::NONE).await.unwrap().len(), events);
    }
}

#[tokio::test]
async fn an_append_that_is_not_answered_is_given_up_and_may_be_repeated() {
    let server = EventStoreDouble::start().await;
    let options = EventStoreOptions { timeout: Duration::from_millis(200), ..options(&server) };
    let log = EventStoreLog::open(&options).await.unwrap();
    server.next_append(Fault::Silence);
    let unanswered = log.append(click(0)).await;
    assert_eq!(unanswered, Err(AppendError::Unavailable("no answer".to_owned())));
    assert!(!log.append(click(0)).await.unwrap().duplicate);
}

/// Obligations 4, 5 and 6, with the connections cut and the server away again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_and_a_reader_across_restarts_miss_and_repeat_nothing() {
    let (mut server, log) = empty().await;
    let mut reader = follow(&log, Sequence::START).await;
    let (progress, mut told) = tokio::sync::watch::channel(0);
    let writing = tokio::spawn(async move {
        for n in 0..400 {
            let one = click(n);
            while let Err(error) = log.append(one.clone()).await {
                assert!(matches!(error, AppendError::Unavailable(_)), "{error}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            progress.send_replace(n);
        }
    });
    let reading = tokio::spawn(async move {
        let mut versions = Vec::new();
        while versions.len() < 400 {
            match reader.next().await {
                Ok(events) => versions.extend(events.into_iter().map(|event| event.version.0)),
                Err(error) => assert!(matches!(error, ReadError::Unavailable(_)), "{error}"),
            }
        }
        versions
    });
    for at in [80, 160, 240, 320] {
        told.wait_for(|n| *n >= at).await.unwrap();
        server.next_append(Fault::AnswerLost);
        told.wait_for(|n| *n >= at + 20).await.unwrap();
        server.restart().await;
    }
    writing.await.unwrap();
    assert_eq!(reading.await.unwrap(), (1..=400).collect::<Vec<u64>>());
}

/// A reader that waits is told what comes after a restart.
#[tokio::test]
async fn a_reader_that_waits_goes_on_after_a_restart() {
    let (mut server, log) = empty().await;
    let mut reader = follow(&log, Sequence::START).await;
    let mut following = server.following();
    {
        let mut waiting = std::pin::pin!(reader.next());
        tokio::select! {
            read = &mut waiting => panic!("{read:?}"),
            under_way = following.wait_for(|count| *count == 1) => drop(under_way.unwrap()),
        }
        server.restart().await;
        let cut = waiting.await;
        assert!(matches!(cut, Err(ReadError::Unavailable(_))), "{cut:?}");
    }
    log.append(click(0)).await.unwrap();
    assert_eq!(reader.next().await.unwrap().len(), 1);
}

/// Obligation 7.
#[tokio::test]
async fn a_reader_that_does_not_ask_has_nothing_under_way() {
    let (server, log) = empty().await;
    for n in 0..100 {
        log.append(click(n)).await.unwrap();
    }
    let limit = ReadLimit { events_max: 3, ..ReadLimit::default() };
    let mut reader = log.subscribe(Topic::Clicks, Sequence::START, limit).await.unwrap();
    let mut following = server.following();
    following.wait_for(|count| *count == 0).await.unwrap();
    for _ in 0..3 {
        assert_eq!(reader.next().await.unwrap().len(), 3);
        following.wait_for(|count| *count == 0).await.unwrap();
    }
}

#[tokio::test]
async fn a_log_that_was_put_back_is_told_from_one_that_is_quiet() {
    let (server, log) = empty().await;
    let kept = log.append(click(0)).await.unwrap().position.sequence;
    let seen = log.append(click(1)).await.unwrap().position.sequence;
    let mut reader = follow(&log, kept).await;
    assert_eq!(reader.next().await.unwrap().len(), 1);
    server.forget_last(1);
    let rewound = ReadError::Rewound { head: kept, after: seen };
    let limit = ReadLimit::default();
    assert_eq!(reader.next().await, Err(rewound.clone()));
    assert_eq!(log.read_all(Topic::Clicks, seen, limit).await, Err(rewound.clone()));
    assert_eq!(log.subscribe(Topic::Clicks, seen, limit).await.err(), Some(rewound));
    // Others have written since, and the place is in the middle of what they wrote.
    log.append(any(Topic::Links, "a", 5)).await.unwrap();
    let middle = Sequence(seen.0 + 1);
    let rewound = Err(ReadError::Rewound { head: kept, after: middle });
    assert_eq!(log.read_all(Topic::Clicks, middle, limit).await, rewound);
    assert!(log.read_all(Topic::Clicks, kept, limit).await.unwrap().is_empty());
}

#[tokio::test]
async fn without_a_server_the_log_says_so_at_once() {
    let (mut server, log) = empty().await;
    server.stop().await;
    let asked = Instant::now();
    assert!(matches!(log.append(click(0)).await, Err(AppendError::Unavailable(_))));
    assert!(matches!(log.head(Topic::Links).await, Err(ReadError::Unavailable(_))));
    let refused = EventStoreLog::open(&options(&server)).await.unwrap_err();
    assert!(matches!(refused, EventStoreOpenError::Connect(_)), "{refused}");
    assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
    server.restart().await;
    log.append(click(0)).await.unwrap();
}

/// The library's client gives up for ever when it can't connect.
#[tokio::test]
async fn a_client_that_could_not_connect_is_replaced() {
    let mut server = EventStoreDouble::start().await;
    let log = EventStoreLog::open(&options(&server)).await.unwrap();
    log.close();
    server.stop().await;
    for _ in 0..2 {
        assert!(matches!(log.append(click(0)).await, Err(AppendError::Unavailable(_))));
    }
    server.restart().await;
    log.append(click(0)).await.unwrap();
}
