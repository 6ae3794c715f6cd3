//! Which messages stand for all that were erased, where servers delete one after the other.

use super::*;
use crate::log::contract::nats_server::NatsServer;
use crate::log::contract::{self, rewrites::rewrite};
use crate::log::jetstream::{JetStreamLog, JetStreamOptions};
use crate::log::{EventLog, ExpectedVersion, ReadLimit};
use crate::position::StreamId;

/// A log with clicks, and who rewrites it as if it were on several servers.
async fn filled(clicks: usize) -> (NatsServer, JetStreamLog, Rewriter) {
    let server = NatsServer::start();
    let options: JetStreamOptions = server.url().parse().unwrap();
    let (log, _) = JetStreamLog::open(&options).await.unwrap();
    let stream = StreamId::new(Topic::Clicks, "node/0");
    for _ in 0..clicks {
        log.append(contract::append(&stream, ExpectedVersion::Any, 1)).await.unwrap();
    }
    let rewriter = Rewriter::new(Reader { replicated: true, ..log.reader.clone() });
    (server, log, rewriter)
}

async fn all(log: &JetStreamLog, body: &str) -> Vec<Rewrite> {
    let events = log.read_kept(Topic::Clicks, Sequence::START, ReadLimit::default()).await.unwrap();
    events.iter().map(|event| rewrite(event, body)).collect()
}

async fn planned(rewriter: &Rewriter, wanted: &[Rewrite]) -> Vec<Planned> {
    let mut planned = Vec::new();
    for one in wanted {
        planned.push(rewriter.plan(one.clone()).await.unwrap());
    }
    planned
}

fn of(stream: &str, sequences: &[u64]) -> BTreeMap<String, Vec<u64>> {
    BTreeMap::from([(stream.to_owned(), sequences.to_vec())])
}

#[tokio::test]
async fn one_message_of_a_stream_stands_for_all_that_were_erased() {
    let (_server, log, rewriter) = filled(40).await;
    let plan = planned(&rewriter, &all(&log, "{}").await).await;
    assert_eq!(rewriter.carry_out_all(plan).await.unwrap(), of("CLICKS", &[40]));
    // What they were rewritten to as well, and of what was gone before nothing is erased.
    let plan = planned(&rewriter, &all(&log, "{\"n\":1}").await).await;
    let erased = rewriter.carry_out_all(plan).await.unwrap();
    assert_eq!(erased["REWRITTEN"].len(), 1, "{erased:?}");
}

/// A node died between storing the last and deleting it, and had not come to the first: the last is deleted
/// before the others are, so it says nothing of them.
#[tokio::test]
async fn what_is_deleted_before_the_others_does_not_stand_for_them() {
    let (_server, log, rewriter) = filled(3).await;
    let wanted = all(&log, "{}").await;
    let died = rewriter.plan(wanted[2].clone()).await.unwrap();
    let subject = rewriter.reader.subjects.rewritten(&died.event);
    rewriter.store(&died, &subject).await.unwrap();
    let plan = planned(&rewriter, &wanted).await;
    assert!(plan[1].is_kept && !plan[2].is_kept);
    assert_eq!(rewriter.carry_out_all(plan).await.unwrap(), of("CLICKS", &[2]));
}

/// Two that are at the same, of whom the other one is faster.
#[tokio::test]
async fn what_others_delete_meanwhile_does_not_stand_for_the_rest() {
    let (_server, log, rewriter) = filled(3).await;
    let mut plan = planned(&rewriter, &all(&log, "{}").await).await;
    let others = plan.pop().unwrap();
    rewriter.erase("CLICKS", 3).await.unwrap();
    plan.push(others);
    let mut erased = rewriter.carry_out_all(plan).await.unwrap();
    erased.get_mut("CLICKS").unwrap().sort_unstable();
    assert_eq!(erased, of("CLICKS", &[1, 2, 3]));
}
