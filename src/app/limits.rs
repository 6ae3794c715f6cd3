//! The limits' part in the application: opened, kept connected, read again on SIGHUP.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use hoplog_events::position::LogId;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use super::{App, AppState};
use crate::config::{RateLimits, Settings};
use crate::limits::Limits;
use crate::ratelimit::{Limiter, MonotonicClock, SharedOptions};

/// Subjects that a process keeps counts of, each under one policy; 64 bytes each, and up to
/// 170 with the room that tables of subjects who come and go keep free.
const SUBJECTS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(99_999);

/// How long the start waits for the store that is shared.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// How often it looks whether that is there.
const CONNECT_POLL: Duration = Duration::from_millis(5);

impl App {
    /// How the limits that are shared are: `ok`, or what is wrong; `None`: they are not shared.
    #[must_use]
    pub fn limits_status(&self) -> Option<String> {
        let away = "the shared store is away: each node decides alone";
        let is_degraded = self.limits.is_degraded()?;
        Some(if is_degraded { away } else { "ok" }.to_owned())
    }
}

/// Limits as the settings want them; nothing is asked yet. Nodes on one log count together, whoever else
/// is on the same Redis.
pub(super) fn open(settings: &Settings, log: LogId) -> Limits {
    let (limits, clock) = (&settings.limits, MonotonicClock::system());
    let limiter = match &limits.store {
        Some(address) if limits.source != RateLimits::Off => {
            let mut options = SharedOptions::new(&format!("hoplog:limit:{log}:"));
            options.nodes = Arc::new(AtomicU32::new(limits.nodes.get()));
            options.deadline = limits.deadline;
            options.lease = limits.lease;
            Limiter::shared(address.clone(), options, SUBJECTS_MAX, clock)
        }
        _ => Limiter::in_process(SUBJECTS_MAX, clock),
    };
    Limits::new(limits.rules.clone(), limiter)
}

/// Keeps the shared store connected, and follows SIGHUP. The store is waited for, but not long: who is
/// counted before it is there is not counted with the others.
pub(super) async fn start(app: &AppState, jobs: &mut JoinSet<()>) {
    let limiter = Arc::clone(app.limits.limiter());
    jobs.spawn(async move { limiter.keep_connected().await });
    // From now on, before anybody is told that the server is there: without this the signal ends it.
    match signal(SignalKind::hangup()) {
        Ok(hangups) => {
            let hung_up = Arc::clone(app);
            jobs.spawn(async move { follow(hangups, &hung_up).await });
        }
        Err(error) => {
            tracing::error!(%error, "SIGHUP can't be received: policies stay as they are");
        }
    }
    let connected = async {
        while app.limits.is_degraded() == Some(true) {
            tokio::time::sleep(CONNECT_POLL).await;
        }
    };
    if tokio::time::timeout(CONNECT_TIMEOUT, connected).await.is_err() {
        tracing::warn!("the shared store of the rate limits is away; this node decides alone");
    }
}

async fn follow(mut hangups: Signal, app: &App) {
    while hangups.recv().await.is_some() {
        read_again(app);
    }
}

/// Units that were taken ahead of others are given back.
pub(super) async fn stop(app: &App) {
    app.limits.limiter().give_back().await;
}

/// Policies that stay the same keep their counts; if any is wrong, all stay as they are.
fn read_again(app: &App) {
    let outcome = match app.rate_limits.read() {
        Ok(rules) => {
            let policies = rules.all().len();
            app.limits.replace(rules);
            tracing::info!(policies, "the policies of the rate limits were read again");
            "done"
        }
        Err(error) => {
            tracing::error!(%error, "the policies of the rate limits stay as they were");
            "refused"
        }
    };
    metrics::counter!("hoplog_ratelimit_reloads_total", "outcome" => outcome).increment(1);
}
