//! What partitions cost a single node: clicks per second from the log into the read models on
//! PostgreSQL, all partitions in one process.
//!
//! `cargo bench -p hoplog-projections --bench partitions --features postgres-server`.

#![expect(clippy::expect_used, reason = "a benchmark that can't be set up ends")]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use hoplog_events::log::EventLog;
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::position::Topic;
use hoplog_projections::lease::{Member, Part};
use hoplog_projections::partition::Partitions;
use hoplog_projections::postgres_server::PostgresServer;
use hoplog_projections::{Database, PostgresOptions, ReadModels};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

mod made;
mod visits;

use visits::CLICKS;

/// How often each is measured.
const SAMPLES: u32 = 5;

/// How long the read models may take for all clicks.
const PATIENCE: Duration = Duration::from_mins(5);

/// A log, and a server for the read models.
struct World {
    runtime: Runtime,
    log: Arc<dyn EventLog>,
    server: PostgresServer,
    _dir: TempDir,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let log = runtime.block_on(async {
        let path = dir.path().join("log.db");
        let log = EmbeddedLog::open(&path, OpenOptions::default()).await.expect("a log");
        visits::write(&log).await;
        log
    });
    World { runtime, log: Arc::new(log), server: PostgresServer::start(), _dir: dir }
});

fn main() {
    divan::main();
}

/// Empty read models in a schema of their own.
async fn open(count: u32) -> ReadModels {
    let schema = Some(format!("bench_{}", Uuid::new_v4().simple()));
    let options = PostgresOptions { schema, ..PostgresOptions::new(WORLD.server.url()) };
    let database = Database::open_postgres(options).await.expect("a database");
    let partitions = Partitions::new(count).expect("some partitions");
    let part = Part::Member(Member(Uuid::new_v4()));
    let models = ReadModels::open(database, Arc::clone(&WORLD.log), part, partitions).await;
    models.expect("read models")
}

#[divan::bench(args = [1, 2, 4, 8], sample_count = SAMPLES, sample_size = 1)]
fn catch_up_with_the_log(bencher: Bencher<'_, '_>, partitions: u32) {
    let World { runtime, log, .. } = &*WORLD;
    let bencher = bencher.counter(ItemsCount::new(CLICKS));
    let fresh = || runtime.block_on(open(partitions));
    bencher.with_inputs(fresh).bench_local_values(|models| {
        runtime.block_on(async {
            models.run();
            let head = log.head(Topic::Clicks).await.expect("the log can be read");
            models.wait_for_all(head, PATIENCE).await.expect("the read models catch up");
            models.stop().await;
        });
    });
}
