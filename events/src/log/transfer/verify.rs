//! Whether a log holds what it promises.

use std::collections::{BTreeMap, HashMap};

use super::{Counts, Identity, TransferError};
use crate::envelope::RecordedEvent;
use crate::log::{EventLog, ReadError, ReadLimit};
use crate::position::{Sequence, StreamId, Topic, Version};

/// Problems that are told one by one; further ones are only counted.
pub const PROBLEMS_TOLD: usize = 100;

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Events per topic.
    pub events: Counts,
    /// Streams of all topics.
    pub streams: u64,
    /// Streams of clicks whose beginning is gone. They are no problem where the log is set to keep
    /// clicks for a time, or up to a size.
    pub trimmed: u64,
    /// Events of types this version does not know, by type. They are no problem: a newer version
    /// wrote them.
    pub unknown_types: BTreeMap<String, u64>,
    /// Events per topic that were on the log and are no longer kept.
    pub trimmed_events: Counts,
    /// What is wrong, with the place; [`PROBLEMS_TOLD`] at most.
    pub problems: Vec<String>,
    /// How much is wrong.
    pub problem_count: u64,
}

/// Reads the whole log: places ascend, versions of a stream have no gap, every event decodes and
/// says that it is of its stream. Keeps the version of each stream in memory (about 100 bytes a
/// stream).
///
/// # Errors
/// When the log can't be read. What is wrong *in* it is in the report.
pub async fn verify(log: &dyn EventLog) -> Result<Report, TransferError> {
    let mut report = Report::default();
    for topic in Topic::ALL {
        let mut versions = HashMap::new();
        let mut after = Sequence::START;
        loop {
            let events = match log.read_all(topic, after, ReadLimit::default()).await {
                Err(ReadError::Trimmed { to, .. }) => {
                    *report.trimmed_events.of(topic) += to.0 - after.0;
                    after = to;
                    continue;
                }
                events => events?,
            };
            let Some(last) = events.last() else { break };
            let end = last.position.sequence;
            for event in &events {
                report.look_at(event, after, &mut versions);
                after = event.position.sequence;
                *report.events.of(topic) += 1;
            }
            after = after.max(end);
        }
        report.streams += versions.len() as u64;
    }
    Ok(report)
}

impl Report {
    pub(super) fn look_at(
        &mut self,
        event: &RecordedEvent,
        after: Sequence,
        versions: &mut HashMap<StreamId, Version>,
    ) {
        if event.position.sequence <= after {
            self.problem(event, "its place does not follow the last one");
        }
        let seen = versions.insert(event.stream.clone(), event.version);
        let expected = Version(seen.unwrap_or_default().0 + 1);
        if seen.is_none() && event.version > expected && event.position.topic == Topic::Clicks {
            self.trimmed += 1;
        } else if event.version != expected {
            let reason = format!("has version {}, expected is {expected}", event.version);
            self.problem(event, &reason);
        }
        match Identity::of(&event.body) {
            Ok(identity) if identity.subject != event.stream.key() => {
                self.problem(event, &format!("says that it is of {}", identity.subject));
            }
            Ok(identity) if *identity.event_type != *event.event_type => {
                self.problem(event, &format!("says that it is a {}", identity.event_type));
            }
            Ok(_) => self.decode(event),
            Err(error) => self.problem(event, &error.to_string()),
        }
    }

    fn decode(&mut self, event: &RecordedEvent) {
        match event.decode() {
            Ok(Some(_)) => {}
            Ok(None) => *self.unknown_types.entry(event.event_type.to_string()).or_default() += 1,
            Err(error) => self.problem(event, &error.to_string()),
        }
    }

    fn problem(&mut self, event: &RecordedEvent, reason: &str) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_TOLD {
            let RecordedEvent { position, stream, .. } = event;
            self.problems.push(format!("{stream} at {}: {reason}", position.sequence));
        }
    }
}
