//! Clicks per second into the read models on SQLite, from a real log: folded in memory, taken in
//! from the log, rebuilt; and beside them a bare multi-row insert of the same rows into the same
//! tables, which is what the database costs alone.
//!
//! `cargo bench -p hoplog-projections`. Set `TMPDIR` to choose the disk.

#![expect(clippy::expect_used, clippy::panic, reason = "a benchmark that can't be set up ends")]

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::{EventLog, ReadLimit};
use hoplog_events::position::{Sequence, Topic};
use hoplog_projections::click_statistics::ClickStatisticsProjection;
use hoplog_projections::clicks::ClicksProjection;
use hoplog_projections::lease::Part;
use hoplog_projections::partition::{Partitions, Share};
use hoplog_projections::projection::Projection;
use hoplog_projections::runner::Batch;
use hoplog_projections::user_agents::UserAgents;
use hoplog_projections::{Database, ReadModels};
use tempfile::TempDir;
use tokio::runtime::Runtime;

mod bare;
mod made;
mod visits;

use bare::Tables;
use visits::CLICKS;

/// Whose clicks per second are measured.
const NAMES: [&str; 2] = ["clicks", "click_statistics"];

/// How often each is measured.
const SAMPLES: u32 = 5;

/// How long the read models may take for all clicks.
const PATIENCE: Duration = Duration::from_mins(2);

/// A log, and read models that are up to date with it.
struct World {
    runtime: Runtime,
    dir: TempDir,
    log: Arc<dyn EventLog>,
    events: Vec<RecordedEvent>,
    models: ReadModels,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let (log, events, models) = runtime.block_on(async {
        let path = dir.path().join("log.db");
        let log = EmbeddedLog::open(&path, OpenOptions::default()).await.expect("a log");
        let log: Arc<dyn EventLog> = Arc::new(log);
        visits::write(log.as_ref()).await;
        let limit = ReadLimit { events_max: usize::MAX, bytes_max: usize::MAX };
        let events = log.read_all(Topic::Clicks, Sequence::START, limit).await.expect("events");
        let models = open(&dir.path().join("read.db"), &log).await;
        catch_up(&models, &log).await;
        (log, events, models)
    });
    World { runtime, dir, log, events, models }
});

async fn open(path: &Path, log: &Arc<dyn EventLog>) -> ReadModels {
    let database = Database::open_sqlite(path).await.expect("a database");
    let models = ReadModels::open(database, Arc::clone(log), Part::Alone, Partitions::ONE).await;
    models.expect("read models")
}

async fn catch_up(models: &ReadModels, log: &Arc<dyn EventLog>) {
    models.run();
    let head = log.head(Topic::Clicks).await.expect("the log can be read");
    models.wait_for_all(head, PATIENCE).await.expect("the read models catch up");
}

fn main() {
    divan::main();
}

fn projection(name: &str) -> Arc<dyn Projection> {
    let agents = Arc::new(UserAgents::default());
    match name {
        "clicks" => Arc::new(ClicksProjection::new(agents)),
        "click_statistics" => Arc::new(ClickStatisticsProjection::new(agents)),
        other => panic!("no projection is called {other}"),
    }
}

/// In memory: events read, agents parsed, counted; nothing written.
#[divan::bench(args = NAMES, sample_count = SAMPLES, sample_size = 1)]
fn fold(bencher: Bencher<'_, '_>, name: &str) {
    let (projection, events) = (projection(name), &WORLD.events);
    let everything = Share::All(Partitions::ONE);
    bencher
        .counter(ItemsCount::new(CLICKS))
        .bench(|| projection.fold(&Batch::from(events.clone()), everything));
}

/// The same work in four partitions, one after the other: each passes over what is not its own.
#[divan::bench(args = NAMES, sample_count = SAMPLES, sample_size = 1)]
fn fold_in_four_partitions(bencher: Bencher<'_, '_>, name: &str) {
    let (projection, events) = (projection(name), &WORLD.events);
    let four = Partitions::new(4).expect("four partitions");
    bencher.counter(ItemsCount::new(CLICKS)).bench(|| {
        for partition in (0..4).filter_map(|number| four.get(number)) {
            let batch = Batch::from(events.clone());
            divan::black_box(projection.fold(&batch, Share::One(partition)).expect("clicks"));
        }
    });
}

/// A rebuild as an operator asks for it: read, folded, written, swapped in.
#[divan::bench(args = NAMES, sample_count = SAMPLES, sample_size = 1)]
fn rebuild(bencher: Bencher<'_, '_>, name: &str) {
    let World { runtime, models, .. } = &*WORLD;
    bencher.counter(ItemsCount::new(CLICKS)).bench_local(|| {
        let report = runtime.block_on(models.rebuild(name)).expect("a rebuild");
        assert_eq!(report.facts, CLICKS as u64);
    });
}

/// All read models at once from an empty database to the head of the log.
#[divan::bench(sample_count = SAMPLES, sample_size = 1)]
fn catch_up_with_the_log(bencher: Bencher<'_, '_>) {
    let World { runtime, log, .. } = &*WORLD;
    let fresh = || {
        let dir = tempfile::tempdir().expect("a directory");
        let models = runtime.block_on(open(&dir.path().join("read.db"), log));
        (dir, models)
    };
    let bencher = bencher.counter(ItemsCount::new(CLICKS)).with_inputs(fresh);
    bencher.bench_local_values(|(dir, models)| {
        runtime.block_on(catch_up(&models, log));
        (dir, models)
    });
}

/// The rows that the clicks end up as, put into empty tables by multi-row inserts.
#[divan::bench(args = NAMES, sample_count = SAMPLES, sample_size = 1)]
fn bare_insert_of_the_same_rows(bencher: Bencher<'_, '_>, name: &str) {
    let World { runtime, dir, .. } = &*WORLD;
    let tables = runtime.block_on(Tables::read(&dir.path().join("read.db"), name));
    let fresh = || {
        let dir = tempfile::tempdir().expect("a directory");
        let connection = runtime.block_on(tables.create(&dir.path().join("bare.db")));
        (dir, connection)
    };
    let bencher = bencher.counter(ItemsCount::new(CLICKS)).with_inputs(fresh);
    bencher.bench_local_values(|(dir, mut connection)| {
        runtime.block_on(tables.fill(&mut connection));
        (dir, connection)
    });
}
