//! Appends per second on the embedded log, each acknowledged after its fsync, for some numbers of
//! callers at the same time, and what it costs two writers to expect exact versions: `cargo bench -p hoplog-events`. Set `TMPDIR` to choose the disk.
#![expect(clippy::print_stdout, reason = "the figures are the point")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::link::LinkCreated;
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::{Append, EventLog, ExpectedVersion};
use hoplog_events::position::{StreamId, Topic, Version};
use uuid::Uuid;

/// How many callers wait for their append at the same time.
const CALLERS: [usize; 4] = [1, 16, 64, 256];

/// How many writers have a stream of their own, as a recorder has.
const WRITERS: usize = 2;

/// How often the two ways of writing are measured in turn.
const ROUNDS: usize = 3;

/// How long each number of callers is measured.
const MEASURED: Duration = Duration::from_secs(3);

type Failure = Box<dyn Error + Send + Sync>;

/// The first event of a stream of its own, as the creation of a link appends it.
fn link(caller: usize, n: u64) -> Result<Append, Failure> {
    let code = format!("c{caller}x{n}");
    let command_id = CommandId(Uuid::now_v7());
    let metadata = Metadata {
        actor: "system:bench".into(),
        command_id,
        command_hash: None,
        correlation_id: None,
    };
    let created = LinkCreated {
        domain: "default".parse()?,
        code: code.parse()?,
        url: "https://example.com/a/path?with=a&query=string".parse()?,
        owner: "bench".parse()?,
        expires_at: None,
        redirect: 302.try_into()?,
        title: None,
        tags: Vec::new().try_into()?,
        note: None,
        external_id: None,
        extras: hoplog_events::link::Extras::default(),
    };
    let stream = StreamId::new(Topic::Links, format!("default/{code}"));
    let time = DateTime::UNIX_EPOCH;
    let event = NewEvent::write(&stream, &created.into(), Uuid::now_v7(), time, time, &metadata)?;
    let expected = ExpectedVersion::Exact(Version::NONE);
    Ok(Append { stream, expected, command_id, events: vec![event] })
}

/// What a caller appends, given its number and how much it has appended.
type Make = fn(usize, u64) -> Result<Append, Failure>;

/// One event more of the caller's own stream, as recorders append batches of clicks.
fn own_stream(caller: usize, n: u64) -> Result<Append, Failure> {
    let stream = StreamId::new(Topic::Clicks, format!("node/{caller}"));
    let expected = ExpectedVersion::Exact(Version(n));
    Ok(Append { stream, expected, ..link(caller, n)? })
}

/// The same at any version.
fn own_stream_unchecked(caller: usize, n: u64) -> Result<Append, Failure> {
    Ok(Append { expected: ExpectedVersion::Any, ..own_stream(caller, n)? })
}

/// Appends one after the other until the time is over; how many there were.
async fn caller(
    log: Arc<EmbeddedLog>,
    make: Make,
    number: usize,
    end: Instant,
) -> Result<u64, Failure> {
    let mut appended = 0;
    while Instant::now() < end {
        log.append(make(number, appended)?).await?;
        appended += 1;
    }
    Ok(appended)
}

async fn measure(what: &str, make: Make, callers: usize) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("log.db");
    let log = Arc::new(EmbeddedLog::open(&path, OpenOptions::default()).await?);
    let started = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|number| tokio::spawn(caller(Arc::clone(&log), make, number, started + MEASURED)))
        .collect();
    let mut appended = 0;
    for task in tasks {
        appended += task.await??;
    }
    let per_second = u128::from(appended) * 1_000_000 / started.elapsed().as_micros().max(1);
    println!("{what}, {callers:>4} callers: {per_second:>7} appends per second");
    log.close().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    for callers in CALLERS {
        measure("new streams", link, callers).await?;
    }
    for _ in 0..ROUNDS {
        measure("own streams, any version", own_stream_unchecked, WRITERS).await?;
        measure("own streams, exact version", own_stream, WRITERS).await?;
    }
    Ok(())
}
