//! The line to Redis: to one server, or to the primaries of a cluster. Replicas are never read: one
//! that is behind would fill the first level with what was just deleted.

use std::time::Duration;

use futures::FutureExt;
use futures::future::{join_all, select_ok};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::SentinelClient;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value,
};

use super::address::{Place, RedisAddress, Sentinels};
use super::breaker::Outcome;

/// How often a command of a cluster is sent again at most: its slot has moved, or is moving.
const RETRIES: u32 = 3;

/// How long before it is, in milliseconds.
const RETRY_WAIT_MAX_MS: u64 = 10;

/// What a command was answered: a value, or why it was refused.
pub(crate) type Reply = Result<Value, Refusal>;

/// Redis is there, and does not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: Option<ServerErrorKind>,
    pub(crate) text: String,
}

impl Refusal {
    /// Whether the next command would be refused as well: whoever has not said who they are, or may
    /// not run a command at all. That one key may not be touched says nothing of others.
    pub(crate) fn is_of_all(&self) -> bool {
        use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, NoPerm};
        match self.kind {
            Some(BusyLoading | ClusterDown | MasterDown) => true,
            Some(NoPerm) => self.text.contains(" to run the "),
            Some(_) => false,
            None => self.text.contains("NOAUTH"),
        }
    }

    /// Whether Redis does not know the script: it was restarted, or its scripts were flushed.
    pub(crate) fn is_of_a_script(&self) -> bool {
        self.kind == Some(ServerErrorKind::NoScript)
    }

    /// Whether it is refused because this is no primary any more.
    pub(crate) fn is_of_a_replica(&self) -> bool {
        self.kind == Some(ServerErrorKind::ReadOnly)
    }
}

/// What replies say of those that come after them. A refusal that all others would get as well counts.
pub(crate) fn outcome_of(replies: &[Reply]) -> Outcome {
    let refusals = || replies.iter().filter_map(|reply| reply.as_ref().err());
    if refusals().any(Refusal::is_of_a_replica) {
        // The primary before: its address may lead to the new one.
        Outcome::Lost
    } else if refusals().any(Refusal::is_of_all) {
        Outcome::Failed
    } else {
        Outcome::Answered
    }
}

/// The same of an error.
pub(crate) fn outcome_of_error(error: &RedisError) -> Outcome {
    let lost = error.is_io_error() || error.is_unrecoverable_error();
    if lost { Outcome::Lost } else { Outcome::Failed }
}

/// A connection that is pipelined over.
#[derive(Clone)]
pub(crate) enum Line {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Line {
    /// Connects. Calls have deadlines of their own.
    pub(crate) async fn connect(
        address: &RedisAddress,
        deadline: Duration,
    ) -> Result<Self, RedisError> {
        match &address.0 {
            Place::One(client) => to(client, deadline).await.map(Self::One),
            Place::Sentinel(sentinels) => {
                let primary = ask_sentinels(sentinels).await?;
                to(&primary, deadline).await.map(Self::One)
            }
            Place::Cluster(nodes) => {
                let client = ClusterClient::builder(nodes.iter().cloned())
                    .connection_timeout(deadline)
                    .retries(RETRIES)
                    .max_retry_wait(RETRY_WAIT_MAX_MS)
                    .build()?;
                client.get_async_connection().await.map(Self::Cluster)
            }
        }
    }

    /// Sends commands, each with keys of one slot only, and gives their answers in the same order.
    pub(crate) async fn send(&mut self, commands: &[Cmd]) -> Result<Vec<Reply>, RedisError> {
        match self {
            Self::One(line) => {
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command.clone());
                }
                // Each is answered on its own: one that is refused does not hide the others.
                pipeline.ignore_errors();
                let answers: Vec<Value> = pipeline.query_async(line).await?;
                Ok(answers.into_iter().map(reply).collect())
            }
            Self::Cluster(line) => {
                // Each goes where its slot is, also if that moves meanwhile; those for the same
                // node share its connection.
                let send = |command| {
                    let mut line = line.clone();
                    async move { line.req_packed_command(command).await }
                };
                let answers = join_all(commands.iter().map(send)).await.into_iter();
                answers.map(reply_or_error).collect()
            }
        }
    }
}

/// All at the same time: who is silent keeps nobody waiting. The first who knows a primary that says so
/// itself is believed.
async fn ask_sentinels(sentinels: &Sentinels) -> Result<Client, RedisError> {
    let ask = |client: Result<SentinelClient, RedisError>| {
        async move { client?.async_get_client().await }.boxed()
    };
    select_ok(sentinels.clients().map(ask)).await.map(|(primary, _)| primary)
}

async fn to(client: &Client, deadline: Duration) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(deadline))
        .set_response_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await
}

fn reply(value: Value) -> Reply {
    match value {
        Value::ServerError(error) => Err(Refusal { kind: error.kind(), text: error.to_string() }),
        value => Ok(value),
    }
}

fn reply_or_error(answered: Result<Value, RedisError>) -> Result<Reply, RedisError> {
    match answered {
        Ok(value) => Ok(reply(value)),
        Err(error) => match error.kind() {
            ErrorKind::Server(kind) => {
                Ok(Err(Refusal { kind: Some(kind), text: error.to_string() }))
            }
            _ => Err(error),
        },
    }
}
