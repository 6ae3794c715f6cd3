//! Accepts connections and serves them until shutdown, then lets requests in flight finish.
//!
//! A request for a code goes straight to [`visit`](super::visit): it is the hot path, and needs
//! neither routing nor what the layers of the API add. Everything else goes to the router, on other
//! threads: no redirect waits behind a list or an import.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tower::ServiceExt;

mod aside;
mod deadline;
mod forms;
mod places;
mod stall;

pub use stall::Cut;

use aside::answered;
use deadline::{Deadlines, look_now_and_then};
use places::{Place, Places};
use stall::Patient;

use super::limits::Peer;
use super::method_not_allowed;
use super::roles::wrong_role;
use super::visit::forwarding::visit_below;
use super::visit::password::knock_below;
use super::visit::visit;
use crate::app::AppState;
use crate::config::Role;

/// How long a client may take to send its request's headers.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);

/// How many connections are held at once; further ones wait until one ends. Redirects come over
/// few connections of proxies or many short ones; an idle one takes 22 KiB and ends after 10 s.
const CONNECTIONS_MAX: usize = 10_000;

/// How long requests in flight may take to finish at shutdown.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How often connections are counted while clients leave.
const LEAVING_POLL: Duration = Duration::from_millis(10);

/// How long accepting pauses when the machine is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Routes of the API that have one segment; all of them are reserved words for aliases.
const ROUTES: [&str; 4] = ["asyncapi.json", "docs", "metrics", "openapi.json"];

/// Answers requests.
#[derive(Debug)]
pub struct Edge {
    app: AppState,
    router: Router,
    /// The threads of what is no redirect.
    aside: Handle,
    /// Whether this process is about to stop: every answer tells its client to go elsewhere.
    leaving: AtomicBool,
}

impl Edge {
    /// Redirects of an application, and its API, which is answered on the threads of `aside`.
    #[must_use]
    pub fn new(app: AppState, aside: Handle) -> Self {
        let router = super::router(AppState::clone(&app));
        Self { router, app, aside, leaving: AtomicBool::new(false) }
    }

    async fn answer(
        self: Arc<Self>,
        (peer, cut): (IpAddr, Cut),
        request: hyper::Request<Incoming>,
    ) -> Result<Response, Infallible> {
        let mut answer = Arc::clone(&self).respond((peer, cut), request).await?;
        if self.leaving.load(Ordering::Relaxed) {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(answer)
    }

    /// The answer to a request; there always is one.
    async fn respond(
        self: Arc<Self>,
        (peer, cut): (IpAddr, Cut),
        request: hyper::Request<Incoming>,
    ) -> Result<Response, Infallible> {
        if !is_code(request.uri().path()) {
            // Boxed, like every other way that is not a redirect's: what an answer is made in is
            // moved with every request, and stays as small as the redirect needs it.
            return Ok(Box::pin(self.respond_elsewhere((peer, cut), request)).await);
        }
        if request.method() == Method::POST {
            return Ok(Box::pin(self.knock(peer, request)).await);
        }
        let (request, _) = request.into_parts();
        Ok(match request.method {
            _ if !self.app.roles.has(Role::Query) => {
                wrong_role(&self.app, Role::Query).into_response()
            }
            Method::GET | Method::HEAD => visit(&self.app, peer, &request).await,
            _ => method_not_allowed()
                .with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD"))
                .into_response(),
        })
    }

    /// The answer to what is not the bare code of a link: what is behind a code, or a request of the API.
    async fn respond_elsewhere(
        &self,
        (peer, cut): (IpAddr, Cut),
        request: hyper::Request<Incoming>,
    ) -> Response {
        let (mut request, body) = request.into_parts();
        if let Some(answer) = visit_below(&self.app, peer, &request).await {
            return answer;
        }
        match knock_below(&self.app, peer, &request).await {
            None => {}
            Some(Ok(knock)) => return self.open(knock, request, body).await,
            Some(Err(answer)) => return answer,
        }
        request.extensions.insert(cut);
        request.extensions.insert(Peer(peer));
        let request = hyper::Request::from_parts(request, Body::new(body));
        let answer = self.router.clone().oneshot(request);
        answered(&self.aside, async { answer.await.unwrap_or_else(|never| match never {}) }).await
    }
}

/// Whether a path is one segment that no route of the API has.
fn is_code(path: &str) -> bool {
    let segment = path.strip_prefix('/').unwrap_or_default();
    !segment.is_empty() && !segment.contains('/') && !ROUTES.contains(&segment)
}

/// How long clients are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// After the word to stop, until their connections are closed.
    pub drain: Duration,
    /// While they take nothing of what they are sent.
    pub stall: Duration,
}

/// Serves connections until `shutdown` resolves, then drains: whoever is connected, or still comes,
/// has a while to be answered and told to go elsewhere, so that no request meets a connection
/// that closes under it.
pub async fn serve(
    listener: TcpListener,
    edge: Edge,
    shutdown: impl Future<Output = ()>,
    patience: Patience,
) {
    let edge = Arc::new(edge);
    let mut builder = http1::Builder::new();
    // An answer is one small piece: writing pieces where there is one costs the system more.
    builder.timer(Deadlines).header_read_timeout(HEADERS_TIMEOUT).writev(false);
    let graceful = GracefulShutdown::new();
    let places = Places::new(CONNECTIONS_MAX);
    let accepting = async {
        loop {
            match places.accept(&listener).await {
                Ok((stream, peer, place)) => {
                    let connection = (stream, peer.ip(), place);
                    spawn((&builder, &graceful), Arc::clone(&edge), connection, patience.stall);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    let ending = async {
        shutdown.await;
        edge.leaving.store(true, Ordering::Relaxed);
        everybody_has_left(&graceful, patience.drain).await;
    };
    tokio::select! {
        () = ending => {}
        () = accepting => {}
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!(timeout_s = DRAIN_TIMEOUT.as_secs(), "connections were cut off at shutdown");
    }
}

async fn everybody_has_left(connections: &GracefulShutdown, limit: Duration) {
    let left = async {
        while connections.count() > 0 {
            tokio::time::sleep(LEAVING_POLL).await;
        }
    };
    // Who is connected still has not asked for anything lately.
    let _ = tokio::time::timeout(limit, left).await;
}

/// One task per connection; `graceful` owns its end.
fn spawn(
    (builder, graceful): (&http1::Builder, &GracefulShutdown),
    edge: Arc<Edge>,
    (stream, peer, place): (TcpStream, IpAddr, Place),
    stall: Duration,
) {
    // Answers are single small writes: waiting to fill a packet would only add latency.
    let _ = stream.set_nodelay(true);
    let cut = Cut::default();
    let stream = Patient::new(TokioIo::new(stream), stall, cut.clone());
    let service = hyper::service::service_fn(move |request| {
        Arc::clone(&edge).answer((peer, cut.clone()), request)
    });
    let connection = builder.serve_connection(stream, service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = look_now_and_then(connection).await {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(place);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_answer<F>(
        _: impl FnOnce(Arc<Edge>, (IpAddr, Cut), hyper::Request<Incoming>) -> F,
    ) -> usize {
        size_of::<F>()
    }

    /// What an answer is made in is moved about for every request.
    #[test]
    fn the_ways_that_are_rarely_taken_weigh_nothing_on_the_redirect() {
        let bytes = size_of_answer(Edge::answer);
        assert!(bytes <= 2_048, "{bytes} bytes");
    }
}
