//! Erasures that meet in the same batches, with nothing between them but the log.

use std::sync::Arc;

use hoplog_events::click::{ClicksRecorded, VisitorHash};
use hoplog_events::log::EventLog;
use hoplog_events::log::contract::nats_cluster::NatsCluster;
use hoplog_events::log::contract::nats_server::NatsServer;
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::jetstream::{JetStreamLog, JetStreamOptions};
use serde_json::json;

use super::*;
use crate::commands::code::CodeMaker;
use crate::commands::code_secret::CodeSecret;
use crate::commands::worker::WorkerId;
use crate::config::Codes;

/// Visitors of every batch.
const VISITORS: usize = 3;
const BATCHES: usize = 12;

async fn commands(log: Arc<dyn EventLog>) -> Commands {
    let codes = CodeMaker::new(Codes::Random, WorkerId::ONLY);
    let secret = CodeSecret::of(&log, DateTime::UNIX_EPOCH).await.unwrap();
    Commands::new(log, codes, secret, Vec::new())
}

fn hash(visitor: usize) -> VisitorHash {
    VisitorHash(0xaaaa_bbbb_cccc_0000 + visitor as u64)
}

/// Gives where the batch is, and its id.
async fn batch(log: &dyn EventLog) -> (Sequence, Uuid) {
    let click = |visitor| {
        let (at, visitor) = ("2026-03-01T00:00:00Z", String::from(hash(visitor)));
        json!({ "domain": "default", "code": "a", "at": at, "visitor": visitor })
    };
    let clicks: Vec<_> = (0..VISITORS).map(click).collect();
    let event: ClicksRecorded = serde_json::from_value(json!({ "clicks": clicks })).unwrap();
    let (stream, command_id) = (StreamId::new(Topic::Clicks, "0"), CommandId(Uuid::new_v4()));
    let metadata =
        Metadata { actor: "test".into(), command_id, command_hash: None, correlation_id: None };
    let (now, id) = (DateTime::UNIX_EPOCH, Uuid::now_v7());
    let event = NewEvent::write(&stream, &event.into(), id, now, now, &metadata).unwrap();
    let (expected, events) = (ExpectedVersion::Any, vec![event]);
    let appended = log.append(Append { stream, expected, command_id, events }).await.unwrap();
    (appended.position.sequence, id)
}

fn anonymous((sequence, event): (Sequence, Uuid), visitor: usize) -> AnonymousClick {
    let record = ErasedClickRecord {
        event,
        place: u32::try_from(visitor).unwrap(),
        domain: "default".parse().unwrap(),
        code: "a".parse().unwrap(),
        at: "2026-03-01T00:00:00Z".parse().unwrap(),
        visitor: VisitorHash(u64::from(event.as_fields().0) + visitor as u64),
        user_agent: None,
    };
    AnonymousClick { sequence, record }
}

/// What one makes of a batch, the others keep: whoever was second makes it of that. Each comes by a way
/// of its own.
async fn all_are_erased(ways: [Arc<dyn EventLog>; VISITORS], rounds: usize) {
    let [one, two, three] = &ways;
    let nodes =
        [commands(one.clone()).await, commands(two.clone()).await, commands(three.clone()).await];
    for round in 0..rounds {
        let mut batches = Vec::new();
        for _ in 0..BATCHES {
            batches.push(batch(one.as_ref()).await);
        }
        let of = |visitor| batches.iter().map(|it| anonymous(*it, visitor)).collect::<Vec<_>>();
        let clicks = [of(0), of(1), of(2)];
        // A member of a cluster may not have a batch yet; whoever erases asks again.
        let erase = async |(node, clicks): (&Commands, &Vec<AnonymousClick>)| loop {
            match node.rewrite_clicks(clicks).await {
                Err(EraseError::Unavailable(_)) => tokio::task::yield_now().await,
                erased => return erased,
            }
        };
        let erased = nodes.iter().zip(&clicks).map(erase);
        for erased in futures::future::join_all(erased).await {
            erased.unwrap();
        }
        for event in
            one.read_kept(Topic::Clicks, Sequence::START, ReadLimit::default()).await.unwrap()
        {
            let body = String::from_utf8_lossy(&event.body);
            let left = (0..VISITORS).find(|visitor| body.contains(&String::from(hash(*visitor))));
            assert_eq!(left, None, "round {round}: {body}");
        }
    }
}

#[tokio::test]
async fn erasures_at_once_on_the_embedded_log_are_all_done() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(&dir.path().join("log.db"), OpenOptions::default()).await.unwrap();
    let log: Arc<dyn EventLog> = Arc::new(log);
    all_are_erased([log.clone(), log.clone(), log], 20).await;
}

async fn opened(options: &JetStreamOptions) -> Arc<dyn EventLog> {
    Arc::new(JetStreamLog::open(options).await.unwrap().0)
}

#[tokio::test]
async fn erasures_at_once_on_jetstream_are_all_done() {
    let server = NatsServer::start();
    let options: JetStreamOptions = server.url().parse().unwrap();
    let ways = [opened(&options).await, opened(&options).await, opened(&options).await];
    all_are_erased(ways, 10).await;
}

#[tokio::test]
async fn erasures_at_once_on_a_cluster_are_all_done() {
    let mut cluster = NatsCluster::start().await;
    let options: JetStreamOptions = cluster.url().parse().unwrap();
    let options = JetStreamOptions { stale: std::time::Duration::ZERO, ..options };
    let first = opened(&options).await;
    let by = |number: usize, cluster: &mut NatsCluster| JetStreamOptions {
        servers: vec![cluster.server(number).url()],
        ..options.clone()
    };
    let (second, third) = (by(1, &mut cluster), by(2, &mut cluster));
    all_are_erased([first, opened(&second).await, opened(&third).await], 5).await;
}

/// Finished long after it was told, by a process that knows nothing of it, it is told once.
#[tokio::test]
async fn what_was_told_is_not_told_again_beyond_the_deduplication_window() {
    let server = NatsServer::start();
    let window = std::time::Duration::from_millis(100);
    let options: JetStreamOptions = server.url().parse().unwrap();
    let options = JetStreamOptions { deduplication: window, ..options };
    let log = opened(&options).await;
    let clicks = [anonymous(batch(log.as_ref()).await, 0)];
    let asked = Asked { actor: "key:test".into(), now: DateTime::UNIX_EPOCH };
    let id = Uuid::now_v7();
    let first = commands(log).await.tell_erased(&asked, id, &clicks).await.unwrap();
    // The servers forget it in their own time.
    tokio::time::sleep(window * 5).await;
    let log = opened(&options).await;
    let again = commands(log.clone()).await.tell_erased(&asked, id, &clicks).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(log.head(Topic::Clicks).await.unwrap(), first);
}
