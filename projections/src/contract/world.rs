//! Read models on a database under test, fed from a log of their own.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoplog_events::catalogue::Event;
use hoplog_events::click::ClicksRecorded;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::link::{LinkCreated, LinkKey};
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::{Append, EventLog, ExpectedVersion};
use hoplog_events::position::{Position, StreamId, Topic};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::lease::Part;
use crate::partition::Partitions;
use crate::{Database, ReadModels};

/// Every projection.
pub(crate) const NAMES: [&str; 5] =
    ["link_directory", "clicks", "click_statistics", "top_links", "orphans"];

/// An agent of a person.
pub(crate) const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 \
                                 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";

/// How long a projection may take to catch up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A log, a database, and the read models between them.
pub(crate) struct World {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) database: Database,
    pub(crate) models: ReadModels,
    dir: TempDir,
}

/// An instant.
pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The key of a link on the service's own domain.
pub(crate) fn key(code: &str) -> LinkKey {
    format!("default/{code}").parse().unwrap()
}

/// A click of a person, with other fields on top.
pub(crate) fn click(code: &str, at: &str, fields: Value) -> Value {
    let mut click = json!({
        "domain": "default", "code": code, "at": at, "visitor": "00000000000000a1", "userAgent": CHROME,
    });
    let Value::Object(fields) = fields else { panic!("an object") };
    click.as_object_mut().unwrap().extend(fields);
    click
}

/// An empty log.
pub(crate) async fn empty_log() -> (TempDir, Arc<dyn EventLog>) {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(&dir.path().join("log.db"), OpenOptions::default()).await.unwrap();
    (dir, Arc::new(log))
}

/// A connection that a killed node leaves behind fails once, and is gone then.
pub(crate) async fn alive<T, E: std::fmt::Debug>(ask: impl AsyncFn() -> Result<T, E>) -> T {
    for _ in 0..16 {
        if let Ok(answer) = ask().await {
            return answer;
        }
    }
    ask().await.unwrap()
}

impl World {
    pub(crate) async fn new(database: Database) -> Self {
        let (dir, log) = empty_log().await;
        let models =
            ReadModels::open(database.clone(), Arc::clone(&log), Part::Alone, Partitions::ONE)
                .await
                .unwrap();
        models.run();
        Self { log, database, models, dir }
    }

    /// The same log and database, opened by read models that start anew.
    pub(crate) async fn opened_again(&self) -> ReadModels {
        let models = ReadModels::open(
            self.database.clone(),
            Arc::clone(&self.log),
            Part::Alone,
            Partitions::ONE,
        )
        .await
        .unwrap();
        models.run();
        models
    }

    /// Changes tables behind the projections' backs.
    pub(crate) async fn execute(&self, sql: &str, values: &[crate::database::Value]) {
        let change = async || {
            let mut transaction = self.database.begin().await?;
            transaction.execute(sql.to_owned(), values).await?;
            transaction.commit().await
        };
        alive(change).await;
    }

    /// Appends an event to a stream, as it happened at `time`.
    pub(crate) async fn append(
        &self,
        stream: StreamId,
        event: Event,
        time: DateTime<Utc>,
    ) -> Position {
        let command_id = CommandId(Uuid::new_v4());
        let metadata =
            Metadata { actor: "test".into(), command_id, command_hash: None, correlation_id: None };
        let event =
            NewEvent::write(&stream, &event, Uuid::now_v7(), time, time, &metadata).unwrap();
        let expected = ExpectedVersion::Any;
        let append = Append { stream, expected, command_id, events: vec![event] };
        self.log.append(append).await.unwrap().position
    }

    /// Creates a link of Ann's, with other fields on top.
    pub(crate) async fn link(&self, code: &str, created: &str, fields: Value) -> Position {
        let mut link = json!({
            "domain": "default", "code": code, "url": "https://example.com/", "owner": "ann", "redirect": 302,
        });
        let Value::Object(fields) = fields else { panic!("an object") };
        link.as_object_mut().unwrap().extend(fields);
        let event: LinkCreated = serde_json::from_value(link).unwrap();
        self.append(key(code).stream(), event.into(), at(created)).await
    }

    /// Something happens to a link.
    pub(crate) async fn change(&self, code: &str, event: impl Into<Event>) -> Position {
        self.append(key(code).stream(), event.into(), at("2026-03-01T12:00:00Z")).await
    }

    /// Records a batch of clicks.
    pub(crate) async fn clicks(&self, clicks: Vec<Value>) -> Position {
        let event: ClicksRecorded = serde_json::from_value(json!({ "clicks": clicks })).unwrap();
        let stream = StreamId::new(Topic::Clicks, "0");
        self.append(stream, event.into(), at("2026-03-01T00:00:00Z")).await
    }

    /// Waits until the read models account for everything on the log.
    pub(crate) async fn caught_up(&self) {
        for topic in [Topic::Links, Topic::Clicks] {
            let head = self.log.head(topic).await.unwrap();
            self.models.wait_for_all(head, PATIENCE).await.unwrap();
        }
    }

    /// Compares every row of every table with what the log gives.
    pub(crate) async fn verified(&self) {
        self.caught_up().await;
        for name in NAMES {
            let report = self.models.verify(name).await.unwrap();
            assert!(report.is_equal(), "{name}: {report:?}");
        }
        assert!(self.dir.path().exists());
    }
}
