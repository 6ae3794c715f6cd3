//! The connection: one for all calls of this process, pipelined; it comes back by itself.
//!
//! ```text
//!         ┌── calls fail ────► away: every call fails at once ──┐
//! here ◄──┴──────────── keep_connected, every second ◄──────────┘
//! ```
//!
//! No call waits for a connection, and no call tries to make one: that is the work of one task.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisError};
use tokio::sync::Notify;
use url::Url;

use super::Level2Error;

/// How long Redis may take to accept a connection and to answer the first call.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);

/// Calls in a row that may time out before the connection is given up.
pub(super) const TIMEOUTS_MAX: u32 = 3;

/// How long after a failure before a connection is tried again, at most.
const CONNECT_PAUSE: Duration = Duration::from_secs(1);

/// The place of a Redis: `redis://[user][:password@]host[:port][/database]`, or `rediss://` for TLS.
#[derive(Clone)]
pub struct Level2Address(Client);

/// Correct the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a Redis")]
pub struct AddressError;

impl FromStr for Level2Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| AddressError)?;
        if !matches!(url.scheme(), "redis" | "rediss") || !url.has_host() {
            return Err(AddressError);
        }
        Client::open(url).map(Self).map_err(|_| AddressError)
    }
}

impl fmt::Debug for Level2Address {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Level2Address({})", self.0.get_connection_info().addr())
    }
}

/// The second level. Share it in an `Arc`, and give it a task that runs
/// [`keep_connected`](Level2::keep_connected): without it, it is away.
pub struct Level2 {
    client: Client,
    /// How long a call may take, whatever it asks.
    deadline: Duration,
    /// `None`: away.
    connection: ArcSwapOption<MultiplexedConnection>,
    lost: Notify,
    /// Calls in a row that were not answered in time.
    timeouts: AtomicU32,
}

impl fmt::Debug for Level2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Level2").field("away", &self.is_away()).finish_non_exhaustive()
    }
}

impl Level2 {
    /// The Redis at this address; no call takes longer than `deadline`. Nothing is sent before the
    /// task runs.
    #[must_use]
    pub fn new(address: Level2Address, deadline: Duration) -> Self {
        // For `rediss://`: TLS is rustls with ring. Fails if that is installed already: just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let connection = ArcSwapOption::empty();
        let (lost, timeouts) = (Notify::new(), AtomicU32::new(0));
        Self { client: address.0, deadline, connection, lost, timeouts }
    }

    /// Connects, and connects again whenever the connection is lost, for as long as it is polled.
    pub async fn keep_connected(&self) {
        let mut told = false;
        loop {
            match self.connect().await {
                Ok(connection) => {
                    tracing::info!("the shared cache is here");
                    told = false;
                    self.timeouts.store(0, Ordering::Relaxed);
                    self.connection.store(Some(Arc::new(connection)));
                    metrics::gauge!("hoplog_shared_cache_up").set(1.0);
                    self.lost.notified().await;
                }
                Err(error) if !told => {
                    tracing::warn!(%error, "the shared cache is away; tried again every second");
                    told = true;
                }
                Err(_) => {}
            }
            metrics::gauge!("hoplog_shared_cache_up").set(0.0);
            // Nodes that lost it together do not come back together.
            let pause = CONNECT_PAUSE.mul_f64(rand::random_range(0.5..1.0));
            tokio::time::sleep(pause).await;
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Level2Error> {
        // Calls have a deadline of their own.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_DEADLINE))
            .set_response_timeout(None);
        let connect = async {
            let mut connection =
                self.client.get_multiplexed_async_connection_with_config(&config).await?;
            let () = redis::cmd("PING").query_async(&mut connection).await?;
            Ok(connection)
        };
        match tokio::time::timeout(CONNECT_DEADLINE, Box::pin(connect)).await {
            Ok(connected) => connected.map_err(|error: RedisError| failed(&error)),
            Err(_) => Err(Level2Error::TimedOut),
        }
    }

    /// Whether there is no connection. There may be none although this says otherwise: only a
    /// call finds out.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.connection.load().is_none()
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), Level2Error> {
        let mut ping = redis::pipe();
        ping.cmd("PING").ignore();
        self.call("ping", &ping).await
    }

    /// Sends some commands and waits for their answers, up to the deadline.
    pub(super) async fn call<T: FromRedisValue>(
        &self,
        name: &'static str,
        commands: &Pipeline,
    ) -> Result<T, Level2Error> {
        let started = Instant::now();
        let Some(connection) = self.connection.load_full() else { return Err(Level2Error::Away) };
        let mut sending = MultiplexedConnection::clone(&connection);
        let answer = commands.query_async(&mut sending);
        let outcome = match tokio::time::timeout(self.deadline, answer).await {
            Ok(Ok(answer)) => {
                self.timeouts.store(0, Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(error)) => {
                if is_connection_lost(&error) {
                    self.drop_connection(&connection);
                }
                Err(failed(&error))
            }
            Err(_) => {
                // One slow answer is no reason to do without for a second; several are.
                let in_a_row = self.timeouts.fetch_add(1, Ordering::Relaxed) + 1;
                if in_a_row >= TIMEOUTS_MAX {
                    self.drop_connection(&connection);
                }
                Err(Level2Error::TimedOut)
            }
        };
        metrics::histogram!("hoplog_shared_cache_seconds", "call" => name)
            .record(started.elapsed());
        if outcome.is_err() {
            metrics::counter!("hoplog_shared_cache_errors_total", "call" => name).increment(1);
        }
        outcome
    }

    /// Gives the connection up; the task makes another one.
    pub(super) fn disconnect(&self) {
        if let Some(connection) = self.connection.load_full() {
            self.drop_connection(&connection);
        }
    }

    /// Only this connection: the failure of an old one says nothing about a newer.
    fn drop_connection(&self, broken: &Arc<MultiplexedConnection>) {
        let current = self.connection.load();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, broken)) {
            self.connection.compare_and_swap(&current, None);
            self.lost.notify_one();
        }
    }
}

/// Whether the next call on this connection would fail as well.
fn is_connection_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}

fn failed(error: &RedisError) -> Level2Error {
    Level2Error::Failed(error.to_string())
}
