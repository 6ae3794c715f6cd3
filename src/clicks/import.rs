//! Clicks of the past, from another program's log: each line is recorded once, however often
//! and in however many pieces it is imported.
//!
//! The clicks of one source and one UTC hour are a stream. What is on it already is known by its
//! import ids; only the rest is appended, at the version that was read. Two imports of the same
//! file at the same time meet there, and the slower one looks again.
//!
//! A log is in order of time, so most batches are of the hour before them: that one is remembered.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use hoplog_events::catalogue::DecodeError;
use hoplog_events::click::{Click, ClicksData};
use hoplog_events::hex::hex;
use hoplog_events::log::{AppendError, EventLog, ReadError};
use hoplog_events::position::{Position, StreamId, Topic};
use sha2::{Digest, Sha256};

mod hour;

use hour::Latest;

use super::batch::clicks_event;
use super::enrichment::{Enricher, HistoricalClick};
use crate::clock::Clock;

/// How often an hour is looked at again because another import was faster.
const ATTEMPTS_MAX: u32 = 16;

/// Clicks that one request may bring.
pub const IMPORT_CLICKS_MAX: usize = 1_000;

/// The first year that clicks can be of: before that there was no web.
const YEAR_MIN: i32 = 1990;

/// How far a clock may be ahead of this one.
const AHEAD_MAX: TimeDelta = TimeDelta::days(1);

/// Whether a click can have happened then. One time that is far out would stretch every series
/// that has no range of its own, and events can't be taken back.
///
/// # Errors
/// What is allowed.
pub fn click_time(at: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), &'static str> {
    if at.year() >= YEAR_MIN && at <= now + AHEAD_MAX {
        Ok(())
    } else {
        Err("must be a time from 1990 on, and not in the future")
    }
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Clicks that were recorded.
    pub added: usize,
    /// Clicks that had been recorded before.
    pub known: usize,
    /// The last event that was appended.
    pub position: Option<Position>,
}

/// Why an import stopped. What was added so far stays; importing again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Try again: other imports write the same hour all the time.
    #[error("the same hour is being imported by too many at once")]
    Contended,
    /// Try again later.
    #[error("the log is away: {0}")]
    Unavailable(String),
    /// An event can't be read; an operator has to look at it.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
}

impl From<ReadError> for ImportError {
    fn from(error: ReadError) -> Self {
        ImportError::Unavailable(error.to_string())
    }
}

/// Records clicks of the past.
#[derive(Debug)]
pub struct ClickImport {
    log: Arc<dyn EventLog>,
    enricher: Arc<Enricher>,
    clock: Clock,
    latest: Latest,
}

impl ClickImport {
    /// An import that appends to a log.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, enricher: Arc<Enricher>, clock: Clock) -> Self {
        Self { log, enricher, clock, latest: Latest::default() }
    }

    /// Records the clicks of a source that are not recorded yet.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub async fn record(
        &self,
        source: &str,
        clicks: Vec<HistoricalClick>,
        actor: &str,
    ) -> Result<ImportReport, ImportError> {
        let mut hours: BTreeMap<String, Vec<Click<'static>>> = BTreeMap::new();
        for click in clicks {
            let hour = click.at.format("%Y%m%d%H").to_string();
            hours.entry(hour).or_default().push(self.enricher.historical_click(click));
        }
        let mut report = ImportReport::default();
        for (hour, clicks) in hours {
            let stream = hour_stream(source, &hour);
            let mut left = &clicks[..];
            while !left.is_empty() {
                let (now, later) = left.split_at(as_many_as_fit(left)?);
                self.record_event(&stream, now, actor, &mut report).await?;
                left = later;
            }
        }
        Ok(report)
    }

    async fn record_event(
        &self,
        stream: &StreamId,
        clicks: &[Click<'static>],
        actor: &str,
        report: &mut ImportReport,
    ) -> Result<(), ImportError> {
        let mut hour = self.latest.take(stream);
        for _ in 0..ATTEMPTS_MAX {
            hour.catch_up(self.log.as_ref()).await?;
            let new = hour.lines_to_add(clicks);
            let (added, skipped) = (new.len(), clicks.len() - new.len());
            if added > 0 {
                let mut data = ClicksData::default();
                for click in new {
                    data.push(click).map_err(unwritable)?;
                }
                let append = clicks_event(stream, hour.version(), &data, &self.clock, actor);
                let append = append.map_err(unwritable)?;
                match self.log.append(append).await {
                    Ok(appended) => report.position = Some(appended.position),
                    Err(AppendError::Conflict { .. }) => continue,
                    Err(error) => return Err(ImportError::Unavailable(error.to_string())),
                }
            }
            report.added += added;
            report.known += skipped;
            self.latest.put(hour);
            return Ok(());
        }
        Err(ImportError::Contended)
    }
}

/// How many of the first clicks one event has room for.
fn as_many_as_fit(clicks: &[Click<'_>]) -> Result<usize, ImportError> {
    let mut data = ClicksData::default();
    for (count, click) in clicks.iter().enumerate() {
        if !data.push(click).map_err(unwritable)? {
            return Ok(count);
        }
    }
    Ok(clicks.len())
}

fn unwritable(error: impl std::fmt::Display) -> ImportError {
    ImportError::Unavailable(error.to_string())
}

fn hour_stream(source: &str, hour: &str) -> StreamId {
    let source = hex(&Sha256::digest(source.as_bytes())[..8]);
    StreamId::new(Topic::Clicks, format!("import/{source}/{hour}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clicks::country::Locator;
    use crate::clicks::visitor::VisitorSalts;
    use chrono::DateTime;
    use futures::future::join_all;
    use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};

    async fn import(dir: &std::path::Path) -> ClickImport {
        let log = EmbeddedLog::open(&dir.join("log.db"), OpenOptions::default()).await.unwrap();
        let salts = VisitorSalts::open(&dir.join("salts.json")).unwrap();
        let enricher = Enricher::new(Locator::open(None).unwrap(), salts, false);
        ClickImport::new(Arc::new(log), Arc::new(enricher), Clock::system())
    }

    fn lines(range: std::ops::Range<i64>) -> Vec<HistoricalClick> {
        let line = |n: i64| HistoricalClick {
            link: "default/a".parse().unwrap(),
            at: DateTime::from_timestamp(1_431_857_103 + n * 60, 0).unwrap(),
            address: None,
            method: "GET".into(),
            user_agent: Some("agent".into()),
            referrer: None,
            country: None,
            import_id: n.to_string().into(),
        };
        range.map(line).collect()
    }

    #[tokio::test]
    async fn what_was_imported_is_not_imported_again() {
        let dir = tempfile::tempdir().unwrap();
        let import = import(dir.path()).await;
        let report = |report: ImportReport| (report.added, report.known);
        assert_eq!(report(import.record("s", lines(0..200), "t").await.unwrap()), (200, 0));
        assert_eq!(report(import.record("s", lines(0..200), "t").await.unwrap()), (0, 200));
        assert_eq!(
            report(import.record("s", lines(150..250), "t").await.unwrap()),
            (50, 50),
            "a log that grew"
        );
        assert_eq!(report(import.record("other", lines(0..10), "t").await.unwrap()), (10, 0));
        let twice = [lines(300..310), lines(300..310)].concat();
        assert_eq!(report(import.record("s", twice, "t").await.unwrap()), (10, 10));
    }

    /// A busy hour takes many requests: none reads again what an earlier one has read or written.
    #[tokio::test]
    async fn an_hour_that_is_imported_in_pieces_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let import = import(dir.path()).await;
        let hour = |line: HistoricalClick| HistoricalClick {
            at: DateTime::from_timestamp(1_431_857_103, 0).unwrap(),
            ..line
        };
        for n in 0..8 {
            let piece = lines(n * 10..n * 10 + 11).into_iter().map(hour).collect();
            let report = import.record("s", piece, "t").await.unwrap();
            assert_eq!((report.added, report.known), if n == 0 { (11, 0) } else { (10, 1) });
            let stream = hour_stream("s", "2015051710");
            let mut remembered = import.latest.take(&stream);
            assert_eq!(remembered.catch_up(import.log.as_ref()).await.unwrap(), 1, "its own event");
            import.latest.put(remembered);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn imports_that_run_at_the_same_time_add_each_line_once() {
        let dir = tempfile::tempdir().unwrap();
        let import = Arc::new(import(dir.path()).await);
        let runs = (0..6).map(|_| {
            let import = Arc::clone(&import);
            tokio::spawn(async move { import.record("s", lines(0..300), "t").await.unwrap() })
        });
        let added: usize = join_all(runs).await.into_iter().map(|run| run.unwrap().added).sum();
        assert_eq!(added, 300);
    }
}
