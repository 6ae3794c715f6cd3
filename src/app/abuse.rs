//! What the application does against abuse beside its requests.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::{App, AppState};

mod looks;

impl App {
    /// How the block lists are: `ok`, or what can't be read; `None`: there are none.
    #[must_use]
    pub fn blocklist_status(&self) -> Option<String> {
        self.commands.blocked().status()
    }
}

/// Keeps the block lists as their sources are, and holds the links that are there against them.
pub(super) fn start(app: &AppState, jobs: &mut JoinSet<()>) {
    if app.blocklist_status().is_none() {
        return;
    }
    let hangups = signal(SignalKind::hangup());
    let hangups = hangups.inspect_err(|error| {
        tracing::error!(%error, "SIGHUP can't be received: block lists are read in their time only");
    });
    let (lists, hangups) = (Arc::clone(app.commands.blocked()), hangups.ok());
    jobs.spawn(async move { lists.keep(hangups).await });
    let links = Arc::clone(app);
    jobs.spawn(async move { looks::look_through_links(&links).await });
}
