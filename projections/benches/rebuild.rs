//! Clicks per second through a rebuild of all read models of clicks at once, on PostgreSQL beside a
//! plain `COPY` of the rows that it makes into the same server, and on SQLite beside plain inserts of
//! the same rows into a file of the same settings.
//!
//! `cargo bench -p hoplog-projections --bench rebuild --features postgres-server [-- --write]`; with
//! `--write` the table goes into docs/performance.md. `CLICKS` says how many there are, and `ROUNDS`
//! how often each is measured.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that can't be set up ends"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hoplog_events::log::EventLog;
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::position::Topic;
use hoplog_projections::lease::Part;
use hoplog_projections::partition::Partitions;
use hoplog_projections::postgres_server::PostgresServer;
use hoplog_projections::{Database, PostgresOptions, ReadModels};
use sqlx::{Connection, PgConnection};

mod made;
mod plain;
mod span;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The read models of clicks.
const NAMES: [&str; 3] = ["clicks", "click_statistics", "top_links"];

/// How many clicks there are when nobody says.
const CLICKS: usize = 500_000;

/// In how many hours they came: the more clicks a link has in a quarter of an hour, the fewer rows of
/// statistics each makes.
const HOURS: [usize; 2] = [24, 1];

/// How often each is measured; the median counts.
const ROUNDS: usize = 5;

fn rounds() -> usize {
    std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS)
}

/// How long the read models may take for all clicks.
const PATIENCE: Duration = Duration::from_mins(10);

/// Where the table goes.
const PERFORMANCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");

#[tokio::main]
async fn main() {
    let clicks = std::env::var("CLICKS").ok().and_then(|clicks| clicks.parse().ok());
    let clicks: usize = clicks.unwrap_or(CLICKS);
    let mut tables = Vec::new();
    for hours in HOURS {
        tables.push(measure(clicks, hours).await);
    }
    let tables = tables.join("\n");
    println!("{tables}");
    if std::env::args().any(|argument| argument == "--write") {
        write(&format!("Median of {} rounds.\n\n{tables}", rounds()));
    }
}

/// The table for so many clicks in so many hours.
async fn measure(clicks: usize, hours: usize) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let log = EmbeddedLog::open(&dir.path().join("log.db"), OpenOptions::default()).await;
    let log: Arc<dyn EventLog> = Arc::new(log.expect("a log"));
    span::write(log.as_ref(), clicks, hours).await;
    let postgres = on_postgres(&log, clicks).await;
    let sqlite = on_sqlite(&log, clicks, dir.path()).await;
    let span = if hours == 1 { "an hour".to_owned() } else { format!("{hours} hours") };
    format!(
        "{clicks} clicks in {span}:\n\n\
         | | rebuild, clicks/s | plain copy of the rows, clicks/s | ratio | rows a click |\n\
         |---|---|---|---|---|\n{postgres}\n{sqlite}\n"
    )
}

async fn on_postgres(log: &Arc<dyn EventLog>, clicks: usize) -> String {
    let server = PostgresServer::start_durable();
    let database = Database::open_postgres(PostgresOptions::new(server.url()));
    let models = open(database.await.expect("a database"), log).await;
    let mut connection = PgConnection::connect(&server.url()).await.expect("a connection");
    let (mut rebuilds, mut copies, mut rows) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds() {
        rebuilds.push(rebuild(&models).await);
        let (count, took) = plain::copy_on_postgres(&mut connection).await;
        copies.push(took);
        rows = count;
    }
    models.stop().await;
    line("PostgreSQL", clicks, rows, &rebuilds, &copies)
}

async fn on_sqlite(log: &Arc<dyn EventLog>, clicks: usize, dir: &Path) -> String {
    let file = dir.join("read.db");
    let database = Database::open_sqlite(&file).await.expect("a database");
    let models = open(database, log).await;
    let (mut rebuilds, mut copies, mut rows) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds() {
        rebuilds.push(rebuild(&models).await);
        let (count, took) = plain::insert_on_sqlite(&file, dir).await;
        copies.push(took);
        rows = count;
    }
    models.stop().await;
    line("SQLite", clicks, rows, &rebuilds, &copies)
}

/// Read models that are up to date.
async fn open(database: Database, log: &Arc<dyn EventLog>) -> ReadModels {
    let models = ReadModels::open(database, Arc::clone(log), Part::Alone, Partitions::ONE).await;
    let models = models.expect("read models");
    models.run();
    let head = log.head(Topic::Clicks).await.expect("the log can be read");
    models.wait_for_all(head, PATIENCE).await.expect("the read models catch up");
    models
}

/// All at once.
async fn rebuild(models: &ReadModels) -> Duration {
    let started = Instant::now();
    let rebuilds = NAMES.map(|name| models.rebuild(name));
    futures::future::try_join_all(rebuilds).await.expect("rebuilds");
    started.elapsed()
}

fn line(
    name: &str,
    clicks: usize,
    rows: u64,
    rebuilds: &[Duration],
    copies: &[Duration],
) -> String {
    let rate = |took: &Duration| count(clicks) / took.as_secs_f64();
    let rates = |all: &[Duration]| all.iter().map(rate).collect::<Vec<_>>();
    let ratios = rebuilds
        .iter()
        .zip(copies)
        .map(|(rebuild, copy)| copy.as_secs_f64() / rebuild.as_secs_f64());
    let ratio = Spread::of(ratios.collect());
    let (rebuild, copy) = (Spread::of(rates(rebuilds)), Spread::of(rates(copies)));
    format!(
        "| {name} | {rebuild:.0} | {copy:.0} | {ratio:.2} | {:.1} |",
        count(usize::try_from(rows).unwrap_or_default()) / count(clicks)
    )
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn count(count: usize) -> f64 {
    count as f64
}

/// The median of some figures, and their range.
struct Spread([f64; 3]);

impl Spread {
    fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let median = figures[figures.len() / 2];
        Self([median, figures[0], figures[figures.len() - 1]])
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = out.precision().unwrap_or(2);
        let Self([median, least, most]) = self;
        write!(out, "{median:.digits$} ({least:.digits$}–{most:.digits$})")
    }
}

/// Between the marks in the document.
fn write(text: &str) {
    let document = std::fs::read_to_string(PERFORMANCE).expect("docs/performance.md");
    let (begin, end) = ("<!-- rebuild:begin -->", "<!-- rebuild:end -->");
    let (before, rest) = document.split_once(begin).expect("a begin mark");
    let (_, after) = rest.split_once(end).expect("an end mark");
    let document = format!("{before}{begin}\n\n{text}\n{end}{after}");
    std::fs::write(PERFORMANCE, document).expect("docs/performance.md can be written");
}
