//! The log goes away and comes back; the spool fills; the visitors notice nothing, or are told.

use super::faulty::Mode;
use super::node::Node;
use super::*;

const ROOMY: u64 = 16 * 1024 * 1024;

async fn node() -> Node {
    Node::new(ClicksAck::Durable, ROOMY).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_log_is_away_clicks_wait_in_the_spool_and_are_delivered_once_in_order() {
    for fault in [Mode::Away, Mode::Hanging, Mode::LosesAnswerAndGoes, Mode::Late] {
        let mut node = node().await;
        assert_eq!(node.visits(3).await, 3);
        node.log.set(fault);
        for _ in 0..10 {
            assert_eq!(node.visits(5).await, 5, "{fault:?}: redirects are answered");
        }
        let status = node.spool.as_ref().unwrap().status();
        assert_eq!(status.clicks, 50, "{fault:?}");
        assert!(status.since.is_some() && !status.is_full);
        node.settle().await;
        assert_eq!(node.on_the_log().await.len(), 53, "{fault:?}");
        node.assert_exactly_once().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_that_keep_coming_do_not_keep_the_spool_from_being_emptied() {
    let mut node = node().await;
    node.log.set(Mode::Away);
    assert_eq!(node.visits(20).await, 20);
    node.log.set(Mode::Well);
    while node.spool.as_ref().unwrap().status().batches > 0 {
        assert_eq!(node.visits(2).await, 2);
    }
    node.settle().await;
    node.assert_exactly_once().await;
}

/// An answer that is lost is asked for again, on a log without a spool too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_doubles_nothing() {
    let mut node = node().await;
    for _ in 0..5 {
        node.log.set(Mode::LosesAnswers);
        node.visits(4).await;
        node.log.set(Mode::Well);
        assert_eq!(node.visits(4).await, 4);
    }
    node.settle().await;
    node.assert_exactly_once().await;
}

/// The disk's end is the same: to SQLite a bound that is reached is a full disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_refuses_visitors_and_loses_none_that_it_took() {
    let mut node = Node::new(ClicksAck::Durable, 120_000).await;
    node.log.set(Mode::Away);
    let mut taken = 0;
    loop {
        let acknowledged = node.visits(20).await;
        taken += acknowledged;
        if acknowledged < 20 {
            break;
        }
    }
    assert!(taken > 100, "{taken}");
    assert!(node.spool.as_ref().unwrap().status().is_full);
    node.kill().await;
    node.start().await;
    node.log.set(Mode::Well);
    node.spool.as_ref().unwrap().emptied().await;
    assert_eq!(node.visits(20).await, 20, "there is room again");
    node.settle().await;
    node.assert_exactly_once().await;
}

/// A lane whose first batch the spool can't take goes on trying the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_in_the_spool_visitors_are_refused_until_the_log_is_back() {
    let mut node = Node::new(ClicksAck::Durable, 20_480).await;
    node.log.set(Mode::Away);
    let mut refused = 0;
    while refused < 200 {
        refused += 60 - node.visits(60).await;
    }
    node.log.set(Mode::Well);
    while node.visits(60).await < 60 {}
    node.settle().await;
    node.assert_exactly_once().await;
}

/// Two nodes on copies of one data directory have one name, and then the same spool, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_data_directory_doubles_nothing_and_becomes_a_node_of_its_own() {
    let mut one = node().await;
    one.visits(5).await;
    one.log.set(Mode::Away);
    one.visits(5).await;
    let mut other = one.cloned().await;
    one.visits(5).await;
    other.visits(5).await;
    one.log.set(Mode::Well);
    for node in [&one, &other] {
        node.spool.as_ref().unwrap().emptied().await;
    }
    for _ in 0..10 {
        assert_eq!((one.visits(2).await, other.visits(2).await), (2, 2));
    }
    one.settle().await;
    other.settle().await;
    one.assert_exactly_once().await;
    let nodes = one.on_the_log().await.into_iter();
    let nodes: std::collections::HashSet<_> =
        nodes.filter_map(|(stream, _)| Some(stream.split_once('/')?.0.to_owned())).collect();
    assert!(nodes.len() > 1, "{nodes:?}");
}

/// A log that was restored from nothing takes what the spool holds, and what comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_lost_events_gets_the_spooled_ones_all_the_same() {
    let mut node = node().await;
    for _ in 0..10 {
        node.visits(2).await;
    }
    node.acknowledged.lock().unwrap().clear();
    node.log.set(Mode::Away);
    for _ in 0..10 {
        assert_eq!(node.visits(2).await, 2);
    }
    node.lose_the_log().await;
    node.log.set(Mode::Well);
    for _ in 0..10 {
        assert_eq!(node.visits(2).await, 2);
    }
    node.settle().await;
    assert_eq!(node.on_the_log().await.len(), 40);
    node.assert_exactly_once().await;
}
