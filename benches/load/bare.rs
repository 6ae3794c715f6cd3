//! The reference of creations: the bare log, which gets the same events from as many callers at once, and
//! acknowledges each when it is on disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::link::LinkCreated;
use hoplog_events::log::contract::nats_server::NatsServer;
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::jetstream::JetStreamLog;
use hoplog_events::log::{Append, EventLog, ExpectedVersion};
use hoplog_events::position::{StreamId, Topic, Version};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Backend;

/// Appends a second.
pub async fn appends(backend: Backend, callers: usize, time: Duration) -> f64 {
    match backend {
        Backend::Embedded => {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("log.db");
            let log = EmbeddedLog::open(&path, OpenOptions::default()).await.expect("a new log");
            measure(Arc::new(log), callers, time).await
        }
        Backend::Servers => {
            let server = NatsServer::start();
            let url = server.url().parse().expect("its address");
            let (log, _) = JetStreamLog::open(&url).await.expect("a new log");
            measure(Arc::new(log), callers, time).await
        }
    }
}

async fn measure(log: Arc<dyn EventLog>, callers: usize, time: Duration) -> f64 {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..callers {
        tasks.spawn(caller(Arc::clone(&log), number, started + time));
    }
    let mut appended = 0_u64;
    while let Some(count) = tasks.join_next().await {
        appended += count.expect("a caller does not panic");
    }
    appended as f64 / started.elapsed().as_secs_f64()
}

/// Claims one code after the other; how many there were.
async fn caller(log: Arc<dyn EventLog>, caller: usize, end: Instant) -> u64 {
    let mut appended = 0;
    while Instant::now() < end {
        log.append(creation(caller, appended)).await.expect("the log can be written");
        appended += 1;
    }
    appended
}

/// What the creation of a link appends.
fn creation(caller: usize, n: u64) -> Append {
    let code = format!("c{caller}x{n}");
    let command_id = CommandId(Uuid::now_v7());
    let correlation_id = Some(Uuid::now_v7().to_string().into());
    let metadata =
        Metadata { actor: "key:bench".into(), command_id, command_hash: None, correlation_id };
    let created = LinkCreated {
        domain: "default".parse().expect("a domain"),
        code: code.parse().expect("a code"),
        url: "https://example.com/landing?utm_source=bench".parse().expect("a URL"),
        owner: "admin".parse().expect("an owner"),
        expires_at: None,
        redirect: 302.try_into().expect("a status"),
        title: None,
        tags: Vec::new().try_into().expect("no tags"),
        note: None,
        external_id: None,
        extras: hoplog_events::link::Extras::default(),
    };
    let stream = StreamId::new(Topic::Links, format!("default/{code}"));
    let time = DateTime::UNIX_EPOCH;
    let event = NewEvent::write(&stream, &created.into(), Uuid::now_v7(), time, time, &metadata);
    let events = vec![event.expect("it is written")];
    Append { stream, expected: ExpectedVersion::Exact(Version::NONE), command_id, events }
}
