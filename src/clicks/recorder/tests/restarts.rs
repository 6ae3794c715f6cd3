//! The node is killed or stopped while clicks wait in the spool.

use proptest::prelude::*;

use super::faulty::Mode;
use super::node::Node;
use super::*;

async fn node(ack: ClicksAck) -> Node {
    Node::new(ack, 16 * 1024 * 1024).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_survives_a_kill_and_goes_before_what_comes_later() {
    let mut node = node(ClicksAck::Durable).await;
    node.visits(3).await;
    for fault in [Mode::Away, Mode::Hanging, Mode::LosesAnswerAndGoes, Mode::Late] {
        node.log.set(fault);
        assert_eq!(node.visits(5).await, 5);
        node.kill().await;
        node.start().await;
        assert_eq!(node.visits(5).await, 5);
    }
    node.settle().await;
    assert_eq!(node.on_the_log().await.len(), 43);
    node.assert_exactly_once().await;
}

/// Delivered, but not yet taken out of the spool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_delivery_and_removal_doubles_nothing() {
    let mut node = node(ClicksAck::Durable).await;
    node.log.set(Mode::Away);
    for _ in 0..4 {
        assert_eq!(node.visits(3).await, 3);
    }
    for _ in 0..4 {
        node.log.set(Mode::LosesAnswerAndGoes);
        node.log.until(Mode::Away).await;
        node.kill().await;
        node.start().await;
    }
    assert!(!node.on_the_log().await.is_empty(), "something was delivered");
    node.settle().await;
    assert_eq!(node.on_the_log().await.len(), 12);
    node.assert_exactly_once().await;
}

/// A node that does not know where its stream ends begins another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_while_the_log_is_away_answers_redirects() {
    let mut node = node(ClicksAck::Durable).await;
    assert_eq!(node.visits(4).await, 4);
    for fault in [Mode::Away, Mode::Hanging] {
        node.stop().await;
        node.log.set(fault);
        node.start().await;
        assert_eq!(node.visits(4).await, 4);
        node.settle().await;
        node.start().await;
    }
    node.settle().await;
    assert_eq!(node.on_the_log().await.len(), 12);
    node.assert_exactly_once().await;
}

/// Trap 11 (U23), with the log away: what is queued goes to the spool before the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_11_a_stop_while_the_log_is_away_keeps_what_is_queued() {
    let mut node = node(ClicksAck::Queued).await;
    for fault in [Mode::Away, Mode::Hanging] {
        node.log.set(fault);
        assert_eq!(node.visits(3_000).await, 3_000);
        node.stop().await;
        node.start().await;
        assert!(node.spool.as_ref().unwrap().status().clicks >= 3_000);
    }
    node.settle().await;
    assert_eq!(node.on_the_log().await.len(), 6_000);
    node.acknowledged.lock().unwrap().truncate(0);
    node.assert_exactly_once().await;
}

/// One thing that happens to a node.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Fault(Mode),
    Visits(usize),
    /// Visits come, and so many steps later the node is killed.
    KilledWithVisits(usize, usize),
    Stopped,
    Delivered,
}

fn anything() -> impl Strategy<Value = Happens> {
    let mode = prop_oneof![
        3 => Just(Mode::Well),
        2 => Just(Mode::Away),
        1 => Just(Mode::Hanging),
        2 => Just(Mode::LosesAnswers),
        2 => Just(Mode::LosesAnswerAndGoes),
        2 => Just(Mode::Late),
    ];
    prop_oneof![
        4 => mode.prop_map(Happens::Fault),
        4 => (1..12_usize).prop_map(Happens::Visits),
        2 => (1..12_usize, 0..200_usize).prop_map(|(v, steps)| Happens::KilledWithVisits(v, steps)),
        1 => Just(Happens::Stopped),
        1 => Just(Happens::Delivered),
    ]
}

async fn happen(node: &mut Node, what: Happens) {
    match what {
        Happens::Fault(mode) => node.log.set(mode),
        Happens::Visits(count) => {
            node.visits(count).await;
        }
        Happens::KilledWithVisits(count, steps) => {
            let visits = tokio::spawn(node.visits(count));
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
            node.kill().await;
            visits.abort();
            let _ = visits.await;
            node.start().await;
        }
        Happens::Stopped => {
            node.stop().await;
            node.start().await;
        }
        Happens::Delivered => {
            node.settle().await;
            node.start().await;
        }
    }
}

/// No step takes that long.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens in whatever order: in the end every acknowledged click is on the log
    /// once, and each lane has kept its order.
    #[test]
    fn every_acknowledged_click_is_on_the_log_once_whatever_happens(
        story in proptest::collection::vec(anything(), 1..20),
        spool_bytes_max in prop_oneof![Just(20_480_u64), Just(16 * 1024 * 1024)],
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut node = Node::new(ClicksAck::Durable, spool_bytes_max).await;
            for (step, what) in story.into_iter().enumerate() {
                let happens = tokio::time::timeout(STEP_TIMEOUT, happen(&mut node, what));
                happens.await.unwrap_or_else(|_| panic!("step {step} does not end"));
            }
            tokio::time::timeout(STEP_TIMEOUT, node.settle()).await.expect("the end comes");
            node.assert_exactly_once().await;
        });
    }
}
