//! What it costs, in requests to the servers: counted, as times are of a machine.

use std::sync::atomic::Ordering;

use super::*;
use crate::log::contract::rewrites::rewrite;

/// How many requests something takes, and what it gives.
async fn requests<T>(log: &JetStreamLog, asking: impl Future<Output = T>) -> (u64, T) {
    let sent = || log.reader.api.client.statistics().out_messages.load(Ordering::Relaxed);
    let before = sent();
    let given = asking.await;
    (sent() - before, given)
}

async fn rewritten_one_after_the_other(log: &JetStreamLog, count: usize) -> u64 {
    for n in 0..count as u64 + 2 {
        log.append(click(n)).await.unwrap();
    }
    let events = log.read_kept(Topic::Clicks, Sequence::START, ReadLimit::default()).await.unwrap();
    let rewrites = events[1..=count].iter().map(|event| rewrite(event, "{}")).collect();
    let (taken, rewritten) = requests(log, log.rewrite(rewrites)).await;
    rewritten.unwrap();
    taken
}

/// Counted, not timed: who erases thousands of batches pays for each of these.
#[tokio::test]
async fn rewriting_takes_four_requests_for_an_event() {
    let server = NatsServer::start();
    let (log, _) = JetStreamLog::open(&options(&server)).await.unwrap();
    assert_eq!(rewritten_one_after_the_other(&log, 64).await, 4 * 64);
    let one = ReadLimit { events_max: 1, bytes_max: 1 };
    let (taken, read) = requests(&log, log.read_all(Topic::Clicks, Sequence(30), one)).await;
    assert_eq!((taken, &read.unwrap()[0].body[..]), (3, &b"{}"[..]));
}

/// Where a stream of clicks goes on behind a page, nothing can be missing at its end.
#[tokio::test]
async fn a_whole_page_of_clicks_takes_one_request() {
    let server = NatsServer::start();
    let (log, _) = JetStreamLog::open(&options(&server)).await.unwrap();
    let stream = StreamId::new(Topic::Clicks, "node/0");
    for _ in 0..80 {
        log.append(contract::append(&stream, ExpectedVersion::Any, 15)).await.unwrap();
    }
    let few = ReadLimit { events_max: 7, ..ReadLimit::default() };
    let (taken, page) = requests(&log, log.read_page(&stream, Version(3), few)).await;
    assert_eq!((taken, page.unwrap().len()), (1, 7));
    // At its end that has to be looked up.
    let (_, page) = requests(&log, log.read_page(&stream, Version(1_195), few)).await;
    assert_eq!(page.unwrap().len(), 5);
}
