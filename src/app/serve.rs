//! From settings to a running server, and back to silence.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use hoplog_events::link::LinkKey;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::{App, AppState, StartError, shared_cache};
use crate::accounts::ApiKey;
use crate::commands::expire_links::{SWEEP_INTERVAL, SWEEP_LINKS_MAX};
use crate::config::Settings;
use crate::http::{self, server::Edge};
use crate::telemetry;

/// How long jobs may take to end at shutdown.
const JOBS_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the server until SIGTERM or SIGINT, then flushes everything. The read models are kept up
/// to date on the threads of `projectors`.
///
/// # Errors
/// When it can't start.
pub async fn serve(settings: Settings, projectors: &Handle) -> Result<(), StartError> {
    let telemetry = |error: &dyn std::fmt::Display| StartError::Telemetry(error.to_string());
    telemetry::start_logging(settings.json_logs).map_err(|error| telemetry(&error))?;
    let metrics = telemetry::start_metrics().map_err(|error| telemetry(&error))?;
    let app = Arc::new(App::open(&settings, metrics, projectors).await?);
    let address = settings.listen;
    let listen = |error| StartError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let first_key = app.first_key().await?;
    run_projectors(&app, projectors);
    let mut jobs = start_jobs(&app);
    shared_cache::start(&app, &mut jobs, projectors);
    announce(listener.local_addr().map_err(listen)?, first_key.as_ref().map(ApiKey::reveal));
    let shutdown = app.shutdown.clone();
    jobs.spawn(async move {
        wait_for_signal().await;
        shutdown.cancel();
    });
    let edge = Edge::new(Arc::clone(&app));
    http::server::serve(listener, edge, app.shutdown.cancelled(), settings.drain).await;
    stop(&app, jobs).await;
    Ok(())
}

fn run_projectors(app: &App, projectors: &Handle) {
    let _on_their_threads = projectors.enter();
    app.read_models.run();
}

/// Requests are drained by now: what is queued goes to the log, then everything is closed.
async fn stop(app: &App, mut jobs: JoinSet<()>) {
    tracing::info!("stopping");
    app.clicks.close().await;
    jobs.abort_all();
    let ended = async { while jobs.join_next().await.is_some() {} };
    if tokio::time::timeout(JOBS_TIMEOUT, ended).await.is_err() {
        tracing::warn!("jobs did not end in time");
    }
    app.read_models.stop().await;
    app.log_backend.close().await;
    tracing::info!("stopped");
}

/// The jobs that run beside the requests; each ends when it is aborted.
fn start_jobs(app: &AppState) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    let links = Arc::clone(app);
    jobs.spawn(async move {
        if let Err(error) = links.follow_links().await {
            tracing::error!(%error, "link changes can't be followed");
        }
    });
    let keys = Arc::clone(app);
    jobs.spawn(async move { keys.keys.follow(&keys.log).await });
    let addresses = Arc::clone(app);
    jobs.spawn(async move { addresses.enricher.locator().reload_on_change().await });
    let salts = Arc::clone(app);
    jobs.spawn(async move {
        salts.enricher.salts().look_after(salts.log.as_ref(), &salts.clock).await;
    });
    let expiry = Arc::clone(app);
    jobs.spawn(async move { sweep(&expiry).await });
    jobs
}

/// Notes the end of links, one sweep after the other, on the node that keeps the link directory.
/// For a moment two nodes may both think that they do: expiry is a command like any other, which
/// the log takes once.
async fn sweep(app: &App) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        if !app.read_models.leads() {
            continue;
        }
        let limit = u32::try_from(SWEEP_LINKS_MAX).unwrap_or(u32::MAX);
        let due = app.read_models.link_directory().due_for_expiry(app.clock.now(), limit).await;
        match due {
            Ok(due) => {
                let due: Vec<LinkKey> = due.into_iter().map(|row| row.key).collect();
                for outcome in app.commands.expire_links(due, &app.clock).await {
                    app.links.remember(outcome.link, outcome.position).await;
                }
            }
            Err(error) => tracing::warn!(%error, "due links can't be looked for"),
        }
    }
}

/// What a person (or a script) needs to know: where, and the first key.
fn announce(address: std::net::SocketAddr, first_key: Option<&str>) {
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
