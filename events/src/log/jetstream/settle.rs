//! Waiting until the replicas have deleted what the leader has.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::HeaderMap;
use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::read::{NOT_FOUND, status};
use super::rewrite::{Rewriter, unavailable};
use crate::log::RewriteError;

/// How often, and with which pause, the replicas are asked whether they have deleted what the
/// leader has.
const SETTLED_ATTEMPTS: u32 = 250;
const SETTLED_PAUSE: Duration = Duration::from_millis(20);

/// How many answers in a row have to be without what was erased: of three servers, one that still has
/// it gives none of these once in 16,000 times.
const GONE_ANSWERS: usize = 24;

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    cluster: Cluster,
}

#[derive(Deserialize, Default)]
struct Cluster {
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Replica {
    name: String,
    #[serde(default)]
    current: bool,
    #[serde(default)]
    offline: bool,
    #[serde(default)]
    lag: u64,
}

impl Rewriter {
    /// Waits until no server gives any more what stands for all that was erased of a stream.
    pub(super) async fn settle(&self, name: &str, erased: &[u64]) -> Result<(), RewriteError> {
        if !self.reader.replicated {
            return Ok(());
        }
        self.are_told(name).await?;
        self.see_that_it_is_gone(name, erased).await
    }

    async fn info(&self, name: &str) -> Result<Info, RewriteError> {
        let info = self.reader.api.ask(&format!("STREAM.INFO.{name}"), &Value::Null).await;
        info.map_err(|error| unavailable(&error))
    }

    /// Waits until every server that answers reads has heard of what the leader has deleted. One that
    /// is away does so before it answers any.
    async fn are_told(&self, name: &str) -> Result<(), RewriteError> {
        let mut settled = BTreeSet::new();
        for _ in 0..SETTLED_ATTEMPTS {
            let Info { cluster, .. } = self.info(name).await?;
            let all = cluster.replicas.len();
            let done = cluster
                .replicas
                .into_iter()
                .filter(|replica| replica.offline || (replica.current && replica.lag == 0));
            settled.extend(done.map(|replica| replica.name));
            if settled.len() >= all {
                return Ok(());
            }
            sleep(SETTLED_PAUSE).await;
        }
        Err(RewriteError::Unavailable("a replica still has the old bytes".to_owned()))
    }

    /// Who has heard of it has not yet done it, and no server says what it has done. So it is asked for,
    /// until whoever answers gives it no more, many times in a row.
    async fn see_that_it_is_gone(&self, name: &str, erased: &[u64]) -> Result<(), RewriteError> {
        for _ in 0..SETTLED_ATTEMPTS {
            let mut are_gone = true;
            for _ in 0..GONE_ANSWERS {
                let asked = erased.iter().map(|sequence| self.is_gone(name, *sequence));
                let asked: Vec<_> = asked.collect();
                are_gone = are_gone && try_join_all(asked).await?.into_iter().all(|gone| gone);
            }
            if are_gone {
                return Ok(());
            }
            sleep(SETTLED_PAUSE).await;
        }
        Err(RewriteError::Unavailable("a replica still gives the old bytes".to_owned()))
    }

    /// Whether the server that happens to answer does not have a message.
    async fn is_gone(&self, name: &str, sequence: u64) -> Result<bool, RewriteError> {
        let wanted = json!({ "seq": sequence }).to_string();
        let request = format!("$JS.API.DIRECT.GET.{name}");
        let answer = self.reader.api.request(request, HeaderMap::new(), wanted.into()).await;
        let answer = answer.map_err(|error| unavailable(&error))?;
        Ok(status(&answer) == Some(NOT_FOUND))
    }
}
