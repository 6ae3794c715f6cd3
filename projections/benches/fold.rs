//! Clicks per second into the read models on SQLite, from a real log: folded in memory, taken in
//! from the log, rebuilt; and beside them a bare multi-row insert of the same rows into the same
//! tables, which is what the database costs alone.
//!
//! `cargo bench -p hoplog-projections`. Set `TMPDIR` to choose the disk.

#![expect(clippy::expect_used, clippy::panic, reason = "a benchmark that can't be set up ends")]

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use divan::Bencher;
use divan::counter::ItemsCount;
use hoplog_events::click::ClicksRecorded;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent, RecordedEvent};
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::{Append, EventLog, ExpectedVersion, ReadLimit};
use hoplog_events::position::{Sequence, StreamId, Topic};
use hoplog_projections::click_statistics::ClickStatisticsProjection;
use hoplog_projections::clicks::ClicksProjection;
use hoplog_projections::lease::Part;
use hoplog_projections::partition::{Partitions, Share};
use hoplog_projections::projection::Projection;
use hoplog_projections::user_agents::UserAgents;
use hoplog_projections::{Database, ReadModels};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

mod bare;

use bare::Tables;

/// Clicks on the log.
const CLICKS: usize = 40_000;

/// Clicks in one event, as a busy server writes them.
const EVENT_CLICKS: usize = 200;

/// What clicks differ in: links, hours, agents, referrers and countries.
const VARIETY: [usize; 5] = [1_000, 48, 60, 40, 30];

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
        for first in (0..CLICKS).step_by(EVENT_CLICKS) {
            log.append(recorded(first)).await.expect("the log can be written");
        }
        let limit = ReadLimit { events_max: usize::MAX, bytes_max: usize::MAX };
        let events = log.read_all(Topic::Clicks, Sequence::START, limit).await.expect("events");
        let models = open(&dir.path().join("read.db"), &log).await;
        catch_up(&models, &log).await;
        (log, events, models)
    });
    World { runtime, dir, log, events, models }
});

/// One event of clicks that differ as those of a day do.
fn recorded(first: usize) -> Append {
    let clicks: Vec<_> = (first..first + EVENT_CLICKS).map(click).collect();
    let clicks: ClicksRecorded =
        serde_json::from_value(json!({ "clicks": clicks })).expect("clicks");
    let (stream, time) = (StreamId::new(Topic::Clicks, "0"), DateTime::UNIX_EPOCH);
    let command_id = CommandId(Uuid::now_v7());
    let metadata =
        Metadata { actor: "bench".into(), command_id, command_hash: None, correlation_id: None };
    let event = NewEvent::write(&stream, &clicks.into(), Uuid::now_v7(), time, time, &metadata);
    let events = vec![event.expect("an event")];
    Append { stream, expected: ExpectedVersion::Any, command_id, events }
}

fn click(n: usize) -> serde_json::Value {
    // Fibonacci hashing: spreads the numbers, the same at every run.
    let spread = n.wrapping_mul(11_400_714_819_323_198_485) >> 20;
    let [link, hour, agent, referrer, country] = VARIETY.map(|kinds| (spread / 7 + n) % kinds);
    let hours = TimeDelta::hours(i64::try_from(hour).unwrap_or_default());
    let country = [b'A' + u8::try_from(country % 26).unwrap_or_default(), b'E'];
    json!({
        "domain": "default", "code": format!("c{link}"), "visitor": format!("{spread:016x}"),
        "at": (DateTime::UNIX_EPOCH + hours).to_rfc3339(),
        "userAgent": format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 \
                              (KHTML, like Gecko) Chrome/{agent}.0.0.0 Safari/537.36"),
        "referrer": format!("https://site{referrer}.example/page"),
        "country": String::from_utf8_lossy(&country), "language": "en-gb",
    })
}

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

/// In memory: events read, agents parsed, counted; nothing written.
#[divan::bench(args = NAMES, sample_count = SAMPLES, sample_size = 1)]
fn fold(bencher: Bencher<'_, '_>, name: &str) {
    let agents = Arc::new(UserAgents::default());
    let projection: Arc<dyn Projection> = match name {
        "clicks" => Arc::new(ClicksProjection::new(agents)),
        "click_statistics" => Arc::new(ClickStatisticsProjection::new(agents)),
        other => panic!("no projection is called {other}"),
    };
    let events = &WORLD.events;
    bencher
        .counter(ItemsCount::new(CLICKS))
        .bench(|| projection.fold(events, Share::All(Partitions::ONE)));
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
