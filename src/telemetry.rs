//! Log lines and metrics: both are part of the interface and named in `docs/operations.md`.

use std::io;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// What is logged when `RUST_LOG` does not say.
const DEFAULT_FILTER: &str = "info,sqlx=warn,hyper=warn";

/// Upper bounds of the buckets of every `_seconds` histogram.
const SECONDS_BUCKETS: [f64; 12] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Upper bounds of the buckets of every histogram that counts things.
const COUNT_BUCKETS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 500.0, 2_500.0];

/// Starts writing log lines to stderr.
///
/// # Errors
/// When it was started before.
pub fn start_logging(json: bool) -> Result<(), TryInitError> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    if json {
        registry.with(lines.json().flatten_event(true)).try_init()
    } else {
        registry.with(lines.with_ansi(false)).try_init()
    }
}

/// Starts collecting metrics; the handle prints them.
///
/// # Errors
/// When it was started before.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    use metrics_exporter_prometheus::Matcher::Suffix;
    PrometheusBuilder::new()
        .set_buckets_for_metric(Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .set_buckets(&COUNT_BUCKETS)?
        .install_recorder()
}
