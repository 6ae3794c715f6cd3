//! Which of 1,024 workers a node is, for codes that are made of it: leased, never configured, so that
//! no two nodes have one number.
//!
//! A lease is an agreement of the log's nodes that a number is this node's. It ends by itself some
//! days after it was made, and is then made again by who holds it. Should two nodes have one number
//! for a moment all the same, the log gives each code to one of them.

use std::time::Duration;

use hoplog_events::agreement::{Agreed, Agreements};
use hoplog_events::log::{EventLog, ReadError};
use uuid::Uuid;

use super::code::CodeMaker;

/// How many numbers there are.
const WORKERS: u16 = 1_024;

/// How often the lease is looked at; it ends after days.
const RENEWAL: Duration = Duration::from_mins(10);

/// Which of 1,024 workers this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerId(pub(super) u16);

/// Why a node has no number.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Start again when the log is there.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// Run fewer nodes, or codes that need no number (`random`).
    #[error("all {WORKERS} worker numbers are taken")]
    NoneLeft,
}

impl WorkerId {
    /// The only node of a log that no other writes to.
    pub const ONLY: WorkerId = WorkerId(0);

    /// Leases a number for a node: the one it had, if it still has it, else a free one.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub async fn lease(log: &dyn EventLog, node: Uuid) -> Result<Self, WorkerError> {
        let Some(agreements) = log.agreements() else { return Ok(Self::ONLY) };
        let [.., high, low] = *node.as_bytes();
        let first = u16::from_be_bytes([high, low]);
        for step in 0..WORKERS {
            let worker = Self(first.wrapping_add(step) % WORKERS);
            if worker.is_of(agreements, node).await? {
                return Ok(worker);
            }
        }
        Err(WorkerError::NoneLeft)
    }

    /// Keeps the lease for as long as it is polled, and has codes made with the number it is for. A
    /// node may get another name meanwhile.
    pub async fn keep(log: &dyn EventLog, node: impl Fn() -> Uuid, codes: &CodeMaker) {
        loop {
            tokio::time::sleep(RENEWAL).await;
            match Self::lease(log, node()).await {
                Ok(worker) => codes.become_worker(worker),
                Err(error) => tracing::warn!(%error, "the worker number can't be looked after"),
            }
        }
    }

    async fn is_of(self, agreements: &dyn Agreements, node: Uuid) -> Result<bool, ReadError> {
        let mut proposal = [0; 32];
        proposal[..16].copy_from_slice(node.as_bytes());
        let holder = agreements.agree(&format!("worker-{}", self.0), Agreed(proposal)).await?;
        Ok(holder == Agreed(proposal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoplog_events::log::contract::nats_server::NatsServer;
    use hoplog_events::log::jetstream::JetStreamLog;

    fn node(n: u128, drawn: u16) -> Uuid {
        Uuid::from_u128((n << 32) | u128::from(drawn))
    }

    /// Trap 6 (U4): also where both nodes would have drawn the same.
    #[tokio::test]
    async fn trap_6_no_two_nodes_have_one_worker_number() {
        let server = NatsServer::start();
        let (log, _) = JetStreamLog::open(&server.url().parse().unwrap()).await.unwrap();
        let lease = async |node| WorkerId::lease(&log, node).await.unwrap().0;
        let nodes: Vec<Uuid> = (0..8).map(|n| node(n, 1_023)).collect();
        let numbers = futures::future::join_all(nodes.iter().map(|node| lease(*node))).await;
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6, 1_023]);
        let again = futures::future::join_all(nodes.iter().map(|node| lease(*node))).await;
        assert_eq!(again, numbers, "a node keeps its number");
        // Whoever is gone for days leaves its number to others.
        log.agreements().unwrap().forget(&format!("worker-{}", numbers[3])).await.unwrap();
        assert_eq!(lease(node(99, numbers[3])).await, numbers[3]);
        assert!(!numbers.contains(&lease(nodes[3]).await), "and finds another when it is back");
    }
}
