//! From settings to a running server, and back to silence.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hoplog_events::link::LinkKey;
use hoplog_events::position::{Position, Topic};
use hoplog_projections::link_directory;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet};

use super::{App, AppState, StartError, abuse, limits, shared_cache, warming};
use crate::accounts::ApiKey;
use crate::commands::expire_links::{SWEEP_INTERVAL, SWEEP_LINKS_MAX};
use crate::commands::worker::WorkerId;
use crate::config::{Role, Settings};
use crate::http;
use crate::http::server::{Edge, Patience};
use crate::telemetry;
use crate::webhooks::courier;

mod titles;

/// Connections that wait to be accepted before the system turns further ones away.
const CONNECTIONS_WAITING_MAX: u32 = 1_024;

/// How long jobs may take to end at shutdown.
const JOBS_TIMEOUT: Duration = Duration::from_secs(5);

/// The threads of what is not to wait for anything else. All else is done by those that call.
#[derive(Debug, Clone, Copy)]
pub struct Threads<'a> {
    /// Accept connections and answer redirects.
    pub redirects: &'a Handle,
    /// Keep the read models up to date.
    pub projectors: &'a Handle,
}

/// Runs the server until SIGTERM or SIGINT, then flushes everything.
///
/// # Errors
/// When it can't start.
pub async fn serve(settings: Settings, threads: Threads<'_>) -> Result<(), StartError> {
    let projectors = threads.projectors;
    let telemetry = |error: &dyn std::fmt::Display| StartError::Telemetry(error.to_string());
    telemetry::start_logging(settings.json_logs).map_err(|error| telemetry(&error))?;
    let metrics = telemetry::start_metrics().map_err(|error| telemetry(&error))?;
    let app = Arc::new(App::open(&settings, metrics, projectors).await?);
    let address = settings.listen;
    let listen = |error| StartError::Listen { address, error };
    let listener = listener(address, threads.redirects).map_err(listen)?;
    let first_key = app.first_key().await?;
    run_projectors(&app, projectors);
    let mut jobs = start_jobs(&app);
    shared_cache::start(&app, &mut jobs, projectors);
    limits::start(&app, &mut jobs).await;
    abuse::start(&app, &mut jobs);
    titles::start(&app, &settings.titles, (&mut jobs, projectors)).await?;
    let courier = start_webhooks(&app, projectors);
    announce(listener.local_addr().map_err(listen)?, first_key.as_ref().map(ApiKey::reveal));
    let shutdown = app.shutdown.clone();
    jobs.spawn(async move {
        wait_for_signal().await;
        shutdown.cancel();
    });
    let edge = Edge::new(Arc::clone(&app), Handle::current());
    let patience = Patience { drain: settings.drain, stall: settings.stall };
    let shutdown = app.shutdown.clone().cancelled_owned();
    let serving = threads.redirects.spawn(http::server::serve(listener, edge, shutdown, patience));
    let served = serving.await.map_err(StartError::Serving);
    // It ended by itself only if it broke: everything else is to end as well.
    app.shutdown.cancel();
    stop(&app, jobs, courier).await;
    served
}

/// What connections come to, on the threads that serve them.
fn listener(address: SocketAddr, redirects: &Handle) -> io::Result<TcpListener> {
    let _on_their_threads = redirects.enter();
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(CONNECTIONS_WAITING_MAX)
}

fn run_projectors(app: &App, projectors: &Handle) {
    let _on_their_threads = projectors.enter();
    app.read_models.run();
}

/// Requests are drained by now: what is queued goes to the log, then everything is closed.
async fn stop(app: &App, mut jobs: JoinSet<()>, courier: Option<JoinHandle<()>>) {
    tracing::info!("stopping");
    // At once: what is queued does not wait for what may take its whole time.
    tokio::join!(app.erasures_end(), app.clicks.close(), app.orphans.close());
    app.streams.feeds.close().await;
    // It was told to end when the stop came.
    if let Some(courier) = courier
        && tokio::time::timeout(JOBS_TIMEOUT, courier).await.is_err()
    {
        tracing::warn!("deliveries did not end in time");
    }
    limits::stop(app).await;
    jobs.abort_all();
    let ended = async { while jobs.join_next().await.is_some() {} };
    if tokio::time::timeout(JOBS_TIMEOUT, ended).await.is_err() {
        tracing::warn!("jobs did not end in time");
    }
    app.webhooks.deliveries.close().await;
    app.read_models.stop().await;
    app.log_backend.close().await;
    tracing::info!("stopped");
}

/// The jobs that run beside the requests; each ends when it is aborted.
fn start_jobs(app: &AppState) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    let links = Arc::clone(app);
    jobs.spawn(async move { links.links.follow().await });
    let keys = Arc::clone(app);
    jobs.spawn(async move { keys.keys.follow(&keys.log).await });
    let budgets = Arc::clone(app);
    jobs.spawn(async move { budgets.budgets.give().await });
    let addresses = Arc::clone(app);
    jobs.spawn(async move { addresses.enricher.locator().reload_on_change().await });
    let salts = Arc::clone(app);
    jobs.spawn(async move {
        salts.enricher.salts().look_after(salts.log.as_ref(), &salts.clock).await;
    });
    if app.numbers_codes {
        let codes = Arc::clone(app);
        jobs.spawn(async move {
            let node = || codes.node.id();
            WorkerId::keep(codes.log.as_ref(), node, codes.commands.codes()).await;
        });
    }
    let erased = Arc::clone(app);
    jobs.spawn(async move { erased.keep_erased().await });
    let expiry = Arc::clone(app);
    jobs.spawn(async move { sweep(&expiry).await });
    let warm = Arc::clone(app);
    jobs.spawn(async move { warming::keep_warm(&warm).await });
    jobs
}

/// Messages are sent by copies that keep read models, on the threads of the projectors: whoever
/// follows a link goes first.
fn start_webhooks(app: &AppState, projectors: &Handle) -> Option<JoinHandle<()>> {
    let (webhooks, shutdown) = (Arc::clone(&app.webhooks), app.shutdown.clone());
    let delivers = app.roles.has(Role::Projector);
    delivers.then(|| projectors.spawn(courier::run(webhooks, shutdown)))
}

/// Notes the end of links, one sweep after the other, on the node that keeps the link directory.
/// For a moment two nodes may both think that they do: expiry is a command like any other, which
/// the log takes once.
async fn sweep(app: &App) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        while app.read_models.leads() && sweep_once(app).await {}
    }
}

/// Whether there may be more to note at once.
async fn sweep_once(app: &App) -> bool {
    let limit = u32::try_from(SWEEP_LINKS_MAX).unwrap_or(u32::MAX);
    let due = app.read_models.link_directory().due_for_expiry(app.clock.now(), limit).await;
    let due = due.unwrap_or_else(|error| {
        tracing::warn!(%error, "due links can't be looked for");
        Vec::new()
    });
    let is_full = due.len() == SWEEP_LINKS_MAX;
    let due: Vec<LinkKey> = due.into_iter().map(|row| row.key).collect();
    let (mut last, era) = (None, app.links.era());
    for outcome in app.commands.expire_links(due, &app.clock).await {
        last = last.max(Some(outcome.position.sequence));
        app.links.remember(era, outcome.link, outcome.position, app.clock.now());
    }
    // Those that were noted are due in the directory until it has read so.
    let Some(sequence) = last.filter(|_| is_full) else { return false };
    let position = Position { log: app.log.id(), topic: Topic::Links, sequence };
    app.wait_for(link_directory::NAME, Some(position)).await.is_ok()
}

/// What a person (or a script) needs to know: where, and the first key.
fn announce(address: SocketAddr, first_key: Option<&str>) {
    let mut out = std::io::stdout().lock();
    // Without stdout nobody waits for it.
    let _ = writeln!(out, "hoplog listens on http://{address}");
    if let Some(key) = first_key {
        let _ = writeln!(out, "admin API key (shown once): {key}");
    }
    let _ = out.flush();
}

async fn wait_for_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!(
            "signals can't be received; stop with SIGKILL, nothing acknowledged is lost"
        );
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
