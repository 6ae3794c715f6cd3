//! Clicks per second through the recorder onto a real embedded log, each acknowledged after its
//! fsync, for some numbers of redirects that wait at the same time; beside them bare appends of
//! one click each by as many callers: `cargo bench --bench recorder`. Set `TMPDIR` to choose the
//! disk.
#![expect(clippy::print_stdout, reason = "the figures are the point")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, Method, header};
use chrono::{DateTime, Utc};
use hoplog::clicks::country::Locator;
use hoplog::clicks::enrichment::Enricher;
use hoplog::clicks::lane::{Bounds, Outlet};
use hoplog::clicks::node::NodeId;
use hoplog::clicks::recorder::ClickRecorder;
use hoplog::clicks::visit::Visit;
use hoplog::clicks::visitor::VisitorSalts;
use hoplog::clock::Clock;
use hoplog::config::ClicksAck;
use hoplog::queries::resolve_link::Target;
use hoplog_events::click::ClicksData;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::link::{LinkState, RedirectStatus};
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::{Append, EventLog, ExpectedVersion};
use hoplog_events::position::{StreamId, Topic, Version};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many redirects wait for their click at the same time.
const REDIRECTS: [usize; 4] = [1, 16, 64, 256];

/// How long each number of redirects is measured.
const MEASURED: Duration = Duration::from_secs(3);

const URL: &str = "https://example.com/landing?utm_source=mail&utm_campaign=launch";
const AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                     Chrome/126.0 Safari/537.36";

type Failure = Box<dyn Error + Send + Sync>;

/// What is measured, and what it stands on.
struct World {
    directory: tempfile::TempDir,
    log: Arc<dyn EventLog>,
    embedded: Arc<EmbeddedLog>,
    enricher: Arc<Enricher>,
    clock: Clock,
    target: Arc<Target>,
    headers: HeaderMap,
}

impl World {
    async fn new() -> Result<Self, Failure> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("log.db");
        let embedded = Arc::new(EmbeddedLog::open(&path, OpenOptions::default()).await?);
        let log: Arc<dyn EventLog> = Arc::<EmbeddedLog>::clone(&embedded);
        let salts = VisitorSalts::open(&directory.path().join("salts.json"))?;
        let enricher = Arc::new(Enricher::new(Locator::open(None)?, salts, false));
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(header::REFERER, HeaderValue::from_static("https://news.example.org/item"));
        headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static("en-GB,en;q=0.8"));
        let target = Arc::new(target()?);
        let clock = Clock::system();
        Ok(Self { directory, log, embedded, enricher, clock, target, headers })
    }

    fn outlet(&self) -> Result<Outlet, Failure> {
        let node = Arc::new(NodeId::open(&self.directory.path().join("node-id"))?);
        let log = Arc::clone(&self.log);
        Ok(Outlet { log, node, spool: None, bounds: Bounds::default() })
    }

    fn visit(&self) -> Visit {
        let address = Some([203, 0, 113, 9].into());
        let request = (&Method::GET, None, &self.headers);
        Visit::new(Arc::clone(&self.target), self.clock.now(), address, request)
    }

    /// One append of one click, without the recorder.
    fn append(&self, caller: usize) -> Result<Append, Failure> {
        let now = self.clock.now();
        let (mut clicks, visit) = (ClicksData::default(), self.visit());
        clicks.push(&self.enricher.click(&visit, now)?)?;
        let stream = StreamId::new(Topic::Clicks, caller.to_string());
        let command_id = CommandId(Uuid::now_v7());
        let metadata = Metadata {
            actor: "visitor".into(),
            command_id,
            command_hash: None,
            correlation_id: None,
        };
        let event = NewEvent::write_clicks(&stream, &clicks, Uuid::now_v7(), now, &metadata)?;
        Ok(Append { stream, expected: ExpectedVersion::Any, command_id, events: vec![event] })
    }
}

fn target() -> Result<Target, Failure> {
    Ok(Target {
        key: "default/launch".parse()?,
        owner: "ann".parse()?,
        url: URL.parse()?,
        location: URL.into(),
        redirect: RedirectStatus::Found,
        state: LinkState::Active,
        expires_at: None,
        extras: None,
        created_at: DateTime::<Utc>::UNIX_EPOCH,
        version: Version(1),
    })
}

/// Records one visit after the other until the time is over; how many there were.
async fn redirect(
    world: Arc<World>,
    recorder: Arc<ClickRecorder>,
    end: Instant,
) -> Result<u64, Failure> {
    let mut clicks = 0;
    while Instant::now() < end {
        recorder.record(world.visit()).await?;
        clicks += 1;
    }
    Ok(clicks)
}

/// The same without the recorder: an append for each click.
async fn bare(world: Arc<World>, caller: usize, end: Instant) -> Result<u64, Failure> {
    let mut appended = 0;
    while Instant::now() < end {
        world.log.append(world.append(caller)?).await?;
        appended += 1;
    }
    Ok(appended)
}

/// Starts as many tasks, and gives what they did, all together, and how much of it in a second.
async fn run<T, F>(count: usize, task: T) -> Result<(u64, u64), Failure>
where
    T: Fn(usize, Instant) -> F,
    F: Future<Output = Result<u64, Failure>> + Send + 'static,
{
    let started = Instant::now();
    let tasks: Vec<_> =
        (0..count).map(|number| tokio::spawn(task(number, started + MEASURED))).collect();
    let mut done = 0;
    for task in tasks {
        done += task.await??;
    }
    let elapsed_us = u64::try_from(started.elapsed().as_micros())?;
    Ok((done, done * 1_000_000 / elapsed_us.max(1)))
}

async fn measure(redirects: usize) -> Result<(), Failure> {
    let world = Arc::new(World::new().await?);
    let (_, bare) = run(redirects, |number, end| bare(Arc::clone(&world), number, end)).await?;
    world.embedded.close().await;

    let world = Arc::new(World::new().await?);
    let (outlet, enricher) = (world.outlet()?, &world.enricher);
    let recorder = ClickRecorder::start(&outlet, enricher, &world.clock, ClicksAck::Durable);
    let recorder = Arc::new(recorder);
    let task = |_, end| redirect(Arc::clone(&world), Arc::clone(&recorder), end);
    let (clicks, per_second) = run(redirects, task).await?;
    recorder.close().await;
    let appends = world.log.head(Topic::Clicks).await?.sequence.0;
    let batch = clicks / appends.max(1);
    println!(
        "{redirects:>4} redirects: {per_second:>7} clicks per second, about {batch:>3} an append; \
         {bare:>6} with an append each"
    );
    world.embedded.close().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    for redirects in REDIRECTS {
        measure(redirects).await?;
    }
    Ok(())
}
