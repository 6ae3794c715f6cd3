//! `/health/live`, `/health/ready`, `/metrics`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hoplog_events::envelope::rfc3339;
use hoplog_events::position::Topic;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::app::{App, AppState};
use crate::clicks::spool::SpoolStatus;

/// How long the log is waited for before it is said to be away.
const LOG_TIMEOUT: Duration = Duration::from_secs(1);

/// How a dependency is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// `ready` or `unready`.
    pub status: &'static str,
    /// `ok`, or what is wrong.
    pub log: String,
    /// `ok`, or what is wrong. Redirects and commands work without.
    pub read_models: String,
    /// `empty`, or what waits there for the log; not there without a spool. Redirects work as
    /// long as it is not full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool: Option<String>,
    /// `ok`, or what is wrong; not there without a shared cache. Everything works without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// `ok`, or that each node decides alone; not there where rate limits are not shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limits: Option<String>,
    /// `ok`, or which block list can't be read (the one before stays in use) or is less than a tenth of what it was; not there
    /// without lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocklist: Option<String>,
}

/// Whether the process runs.
#[utoipa::path(get, path = "/health/live", tag = "operations",
    responses((status = 200, description = "it does")))]
pub async fn live() -> &'static str {
    "live\n"
}

/// Whether it can do its work.
#[utoipa::path(get, path = "/health/ready", tag = "operations",
    responses(
        (status = 200, description = "it can", body = Readiness),
        (status = 503, description = "it can't", body = Readiness),
    ))]
pub async fn ready(State(app): State<AppState>) -> Response {
    let log = log_is_there(&app).await;
    let spool = app.spool.as_ref().map(|spool| spool.status());
    let projections = app.read_models.status(app.clock.now()).await;
    let failed: Vec<_> =
        projections.iter().filter(|p| p.state.name() == "failed").map(|p| p.name).collect();
    let stopping = app.shutdown.is_cancelled();
    let takes_clicks = log.is_ok() || spool.is_some_and(|spool| !spool.is_full);
    let is_ready = takes_clicks && !stopping;
    let ok = || "ok".to_owned();
    let read_models =
        if failed.is_empty() { ok() } else { format!("failed: {}", failed.join(", ")) };
    let answer = Readiness {
        status: if is_ready { "ready" } else { "unready" },
        log: log.map_or_else(|error| error, |()| ok()),
        read_models,
        spool: spool.map(spool_in_words),
        cache: app.shared_cache_status().await,
        rate_limits: app.limits_status(),
        blocklist: app.blocklist_status(),
    };
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

async fn log_is_there(app: &App) -> Result<(), String> {
    match timeout(LOG_TIMEOUT, app.log.head(Topic::Links)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

fn spool_in_words(spool: SpoolStatus) -> String {
    let SpoolStatus { batches, clicks, since, is_full } = spool;
    let full = if is_full { "full: " } else { "" };
    match since {
        Some(since) => {
            let since = rfc3339(since);
            format!("{full}{clicks} clicks in {batches} batches wait, the oldest since {since}")
        }
        None => format!("{full}empty"),
    }
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "metrics", content_type = "text/plain", body = String)))]
pub async fn metrics(State(app): State<AppState>) -> Response {
    // Asking for the status sets the gauges of the lag, measuring those of the spool.
    app.read_models.status(app.clock.now()).await;
    if let Some(spool) = &app.spool {
        spool.measure(app.clock.now());
    }
    app.links.cache().measure();
    app.limits.measure();
    let text = app.metrics.render();
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4");
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn the_state_of_the_spool_is_told_in_one_line() {
        let empty = SpoolStatus::default();
        assert_eq!(spool_in_words(empty), "empty");
        let waiting = SpoolStatus {
            batches: 2,
            clicks: 30,
            since: Some(DateTime::UNIX_EPOCH),
            is_full: true,
        };
        assert_eq!(
            spool_in_words(waiting),
            "full: 30 clicks in 2 batches wait, the oldest since 1970-01-01T00:00:00Z"
        );
    }
}
