//! The connection, and when it is given up. A server that stands still, or can't be reached any
//! more, closes nothing: who waits for TCP to notice waits for minutes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions};
use tokio::time::{Instant, timeout};

use super::login::with_login;
use super::{JetStreamOpenError, JetStreamOptions, SERVER_MIN};
use crate::log::APPEND_BYTES_MAX;

/// How often a server that says nothing is asked whether it is there. After two without an answer
/// the connection is given up.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// How many requests in a row stay without an answer, and for how long, until another server is
/// asked: one may answer pings and be cut off from the others.
const UNANSWERED_MAX: (u32, Duration) = (3, Duration::from_secs(2));

/// How long it may take to tell the client to connect anew.
const RECONNECT_TIMEOUT: Duration = Duration::from_millis(100);

/// The bytes of headers that go with an event at most: ids, numbers and the names of types.
const HEADER_BYTES_MAX: usize = 2_048;

/// Connects to servers that are new enough and take what an append may need.
pub(super) async fn connect(options: &JetStreamOptions) -> Result<Client, JetStreamOpenError> {
    let refused = |error: &dyn std::fmt::Display| JetStreamOpenError::Connect(error.to_string());
    let connection = ConnectOptions::new()
        .name("hoplog")
        .request_timeout(Some(options.timeout))
        .connection_timeout(options.timeout)
        .ping_interval(PING_INTERVAL);
    let mut connection = with_login(connection, &options.servers);
    if let Some(path) = &options.credentials {
        connection = connection.credentials_file(path).await.map_err(|error| refused(&error))?;
    }
    let client = connection.connect(&options.servers[..]).await;
    let client = client.map_err(|error| refused(&error))?;
    let (major, minor, patch) = SERVER_MIN;
    if !client.is_server_compatible(major, minor, patch) {
        return Err(JetStreamOpenError::Version(client.server_info().version));
    }
    let (found, needed) = (client.server_info().max_payload, APPEND_BYTES_MAX + HEADER_BYTES_MAX);
    if found < needed {
        return Err(JetStreamOpenError::MaxPayload { found, needed });
    }
    Ok(client)
}

/// Counts requests that stay without an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Patience(Arc<Mutex<Option<Unanswered>>>);

#[derive(Debug, Clone, Copy)]
struct Unanswered {
    requests: u32,
    since: Instant,
}

impl Patience {
    /// The servers are there.
    pub(super) fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A request stayed without an answer: the last one that is waited for is the reason to go to
    /// another server.
    pub(super) async fn unanswered(&self, client: &Client) {
        let is_over = self.is_over_at(Instant::now());
        if is_over && client.connection_state() == State::Connected {
            tracing::warn!("the server does not answer: another one is asked");
            // If this fails, the client is about to connect anew.
            let _ = timeout(RECONNECT_TIMEOUT, client.force_reconnect()).await;
        }
    }

    /// Whether it is over with one request more. Begins anew when it is, so that the next
    /// connection gets as much.
    fn is_over_at(&self, now: Instant) -> bool {
        let (requests_max, within) = UNANSWERED_MAX;
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Unanswered { requests, since } =
            state.unwrap_or(Unanswered { requests: 0, since: now });
        let requests = requests + 1;
        let is_over = requests >= requests_max && now.duration_since(since) >= within;
        *state = if is_over { None } else { Some(Unanswered { requests, since }) };
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_over_after_some_requests_and_some_time_without_any_answer() {
        let (requests_max, within) = UNANSWERED_MAX;
        let (patience, mut now) = (Patience::default(), Instant::now());
        for _ in 0..100 {
            assert!(!patience.is_over_at(now), "all at once");
        }
        now += within;
        patience.answered();
        for _ in 1..requests_max {
            assert!(!patience.is_over_at(now), "too few");
            now += within;
        }
        assert!(patience.is_over_at(now));
        assert!(!patience.is_over_at(now + within), "anew");
    }
}
