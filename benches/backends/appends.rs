//! Appends a second on the bare log, each acknowledged when it is on disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hoplog_events::log::contract::{self, nats_server::NatsServer};
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::jetstream::JetStreamLog;
use hoplog_events::log::{EventLog, ExpectedVersion};
use hoplog_events::position::{StreamId, Topic, Version};
use tokio::task::JoinSet;

use super::{Backend, Report};

/// How many callers wait for their append at the same time.
const CALLERS: [usize; 2] = [64, 256];

/// How long each number of callers is measured.
const MEASURED: Duration = Duration::from_secs(3);

pub async fn measure(backend: Backend, report: &mut Report) {
    match backend {
        Backend::Embedded => {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("log.db");
            let log = EmbeddedLog::open(&path, OpenOptions::default()).await.unwrap();
            measure_log(Arc::new(log), backend, report).await;
        }
        Backend::Production => {
            let server = NatsServer::start();
            let (log, _) = JetStreamLog::open(&server.url().parse().unwrap()).await.unwrap();
            measure_log(Arc::new(log), backend, report).await;
        }
    }
}

async fn measure_log(log: Arc<dyn EventLog>, backend: Backend, report: &mut Report) {
    for callers in CALLERS {
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for number in 0..callers {
            tasks.spawn(caller(Arc::clone(&log), format!("{callers}x{number}"), started));
        }
        let mut appended = 0_u64;
        while let Some(count) = tasks.join_next().await {
            appended += count.unwrap();
        }
        let rate = appended as f64 / started.elapsed().as_secs_f64();
        report.add(&format!("appends/s, {callers} callers, new streams"), backend, rate);
    }
}

/// Claims one stream after the other; how many there were.
async fn caller(log: Arc<dyn EventLog>, name: String, started: Instant) -> u64 {
    let mut appended = 0;
    while started.elapsed() < MEASURED {
        let stream = StreamId::new(Topic::Links, format!("default/{name}x{appended}"));
        let claim = contract::append(&stream, ExpectedVersion::Exact(Version::NONE), 1);
        log.append(claim).await.unwrap();
        appended += 1;
    }
    appended
}
