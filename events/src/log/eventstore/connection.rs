//! The client of the library, made again when it has failed.
//!
//! What of the library this is built around (4.0.0, read in its source): a client that could not
//! connect once answers "closed" for ever; one that has chosen a node of a cluster stays with it, also
//! when it is gone; one that was connected keeps its task when it is dropped. So each client lives in
//! a runtime of its own, which ends with the last who uses it, and after a failure there is a new one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ::eventstore::{
    AppendToStreamOptions, Client, ClientSettings, Credentials, DeleteStreamOptions, Error,
    ReadAllOptions, ReadStreamOptions, SubscribeToAllOptions,
};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::options::{EventStoreOptions, Login};
use crate::log::{AppendError, ReadError};

/// The status of a request that can't be answered as it is: `INVALID_ARGUMENT`.
const INVALID: i32 = 3;

/// Options of any request, with whom the servers see. Their types have no trait in common.
macro_rules! logged_in {
    ($connection:expr, $options:expr) => {
        match &$connection.credentials {
            Some(credentials) => $options.authenticated(credentials.clone()),
            None => $options,
        }
    };
}

/// Speaks to the servers.
pub(super) struct Connection {
    settings: ClientSettings,
    credentials: Option<Credentials>,
    timeout: Duration,
    current: Mutex<Option<Arc<Running>>>,
}

/// A client, and what keeps its runtime going.
struct Running {
    client: Client,
    /// The runtime ends when this is dropped.
    _alive: oneshot::Sender<()>,
}

/// One request and its answer.
pub(super) struct Call<'a> {
    connection: &'a Connection,
    running: Arc<Running>,
}

/// Why a request was not answered as wished.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// Whether it was done is unknown.
    #[error("{0}")]
    Away(String),
    /// The answer.
    #[error("{0}")]
    Refused(Error),
    /// The answer makes no sense to this program.
    #[error("{0}")]
    Odd(String),
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("hosts", self.settings.hosts()).finish_non_exhaustive()
    }
}

impl Running {
    fn start(settings: ClientSettings) -> Result<Self, CallError> {
        let away = |error: std::io::Error| CallError::Away(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(away)?;
        let client = Client::with_runtime_handle(runtime.handle().clone(), settings);
        let client = client.map_err(CallError::Refused)?;
        let (alive, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("log-client".to_owned());
        // Ends with an error: nothing is ever sent.
        let run = move || drop(runtime.block_on(ended));
        thread.spawn(run).map_err(away)?;
        Ok(Self { client, _alive: alive })
    }
}

impl Connection {
    /// Connects with the first request.
    pub(super) fn new(options: &EventStoreOptions) -> Self {
        Self {
            settings: options.settings.clone(),
            credentials: options.login.as_ref().map(Login::credentials),
            timeout: options.timeout,
            current: Mutex::default(),
        }
    }

    /// Begins a request.
    pub(super) fn call(&self) -> Result<Call<'_>, CallError> {
        let mut current = self.lock();
        let running = match &*current {
            Some(running) => Arc::clone(running),
            None => Arc::clone(current.insert(Arc::new(Running::start(self.settings.clone())?))),
        };
        Ok(Call { connection: self, running })
    }

    /// Lets go of the client; who uses it may go on.
    pub(super) fn close(&self) {
        self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Running>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn append_options(&self) -> AppendToStreamOptions {
        logged_in!(self, AppendToStreamOptions::default().deadline(self.timeout))
    }

    pub(super) fn delete_options(&self) -> DeleteStreamOptions {
        logged_in!(self, DeleteStreamOptions::default().deadline(self.timeout))
    }

    pub(super) fn read_stream_options(&self) -> ReadStreamOptions {
        logged_in!(self, ReadStreamOptions::default())
    }

    pub(super) fn read_all_options(&self) -> ReadAllOptions {
        logged_in!(self, ReadAllOptions::default())
    }

    pub(super) fn subscribe_options(&self) -> SubscribeToAllOptions {
        logged_in!(self, SubscribeToAllOptions::default())
    }
}

impl Call<'_> {
    /// Sends the request, or waits for the next part of its answer; not for ever.
    pub(super) async fn soon<T>(
        &self,
        request: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, CallError> {
        let answer = timeout(self.connection.timeout, request(&self.running.client)).await;
        answer.unwrap_or(Err(Error::DeadlineExceeded)).map_err(|error| self.failed(error))
    }

    /// Waits for a part of the answer that may come at any time.
    pub(super) async fn some_day<T>(
        &self,
        part: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, CallError> {
        part.await.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: Error) -> CallError {
        let text = error.to_string().lines().next().unwrap_or_default().to_owned();
        let error = match error {
            Error::DeadlineExceeded => CallError::Away("no answer".to_owned()),
            Error::ConnectionClosed | Error::GrpcConnectionError(_) | Error::ServerError(_) => {
                CallError::Away(text)
            }
            Error::Grpc { code, .. } if i32::from(code) != INVALID => CallError::Away(text),
            // The client goes to the leader by itself.
            Error::NotLeaderException(_) => {
                return CallError::Away("another node leads".to_owned());
            }
            error => return CallError::Refused(error),
        };
        // Of many that fail together, the first has it replaced.
        let mut current = self.connection.lock();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &self.running)) {
            current.take();
        }
        error
    }
}

impl From<CallError> for ReadError {
    fn from(error: CallError) -> Self {
        ReadError::Unavailable(error.to_string())
    }
}

impl From<CallError> for AppendError {
    fn from(error: CallError) -> Self {
        AppendError::Unavailable(error.to_string())
    }
}
