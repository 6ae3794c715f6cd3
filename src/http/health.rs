//! `/health/live`, `/health/ready`, `/metrics`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hoplog_events::position::Topic;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AppState;

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
    let log = app.log.head(Topic::Links).await.map(|_| ()).map_err(|error| error.to_string());
    let projections = app.read_models.status(app.clock.now()).await;
    let failed: Vec<_> =
        projections.iter().filter(|p| p.state.name() == "failed").map(|p| p.name).collect();
    let stopping = app.shutdown.is_cancelled();
    let is_ready = log.is_ok() && !stopping;
    let ok = || "ok".to_owned();
    let read_models =
        if failed.is_empty() { ok() } else { format!("failed: {}", failed.join(", ")) };
    let answer = Readiness {
        status: if is_ready { "ready" } else { "unready" },
        log: log.map_or_else(|error| error, |()| ok()),
        read_models,
    };
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "metrics", content_type = "text/plain", body = String)))]
pub async fn metrics(State(app): State<AppState>) -> Response {
    // Asking for the status sets the gauges of the lag.
    app.read_models.status(app.clock.now()).await;
    let text = app.metrics.render();
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4");
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
