//! From NDJSON to a log.

use std::collections::HashMap;
use std::io::BufRead;
use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use super::{Counts, EventLine, FORMAT, Header, Identity, Trailer, TransferError};
use crate::envelope::NewEvent;
use crate::hex::hex;
use crate::log::{APPEND_BYTES_MAX, Append, EventLog, ExpectedVersion};
use crate::position::{Position, Sequence, StreamId, Topic, Version};

/// Appends that are under way at the same time, so that they share syncs.
const APPENDS_IN_FLIGHT: usize = 256;

/// The longest line: a body of the largest append, escaped nowhere, and room for its frame.
const LINE_BYTES_MAX: usize = 2 * APPEND_BYTES_MAX;

/// Reads a whole export and checks it, without a log. Do this before an import: a damaged export
/// is then found before anything is written.
///
/// # Errors
/// Names the first line that is wrong.
pub fn check(input: impl BufRead) -> Result<Counts, TransferError> {
    let mut lines = Lines::open(input)?;
    while lines.next_append()?.is_some() {}
    Ok(lines.counts)
}

/// Fills an empty log from an export.
///
/// # Errors
/// When the log is not empty, or names the line that is wrong. What was imported before that line
/// stays: remove the log before trying again.
pub async fn import(log: &dyn EventLog, input: impl BufRead) -> Result<Counts, TransferError> {
    for topic in Topic::ALL {
        if log.head(topic).await?.sequence > Sequence::START {
            return Err(TransferError::NotEmpty(topic));
        }
    }
    let mut lines = Lines::open(input)?;
    let appends = std::iter::from_fn(|| lines.next_append().transpose());
    stream::iter(appends)
        .map(|next| async {
            let (line, append) = next?;
            // Without tokio's budget: it would put an append off and so let the next go first.
            let appended = tokio::task::unconstrained(log.append(append)).await;
            let appended = appended.map_err(|error| TransferError::Append { line, error })?;
            Ok((line, appended.position))
        })
        .buffered(if log.keeps_order_of_appends_under_way() { APPENDS_IN_FLIGHT } else { 1 })
        .try_fold(None, in_order)
        .await?;
    Ok(lines.counts)
}

/// The log must have kept the order in which the appends were sent.
async fn in_order(
    last: Option<Position>,
    (line, position): (u64, Position),
) -> Result<Option<Position>, TransferError> {
    match last {
        Some(last) if last.topic == position.topic && last.sequence >= position.sequence => {
            Err(wrong(line, "the log gave it a place before the last one"))
        }
        _ => Ok(Some(position)),
    }
}

/// Reads lines, checks their order and groups them into the appends they came from.
struct Lines<R> {
    input: R,
    hash: Sha256,
    line: u64,
    counts: Counts,
    last: Option<(Topic, u64)>,
    /// The versions of each stream of clicks: retention may have taken its beginning.
    clicks: HashMap<Box<str>, Range<u64>>,
    /// The first event of the next append.
    ahead: Option<(u64, Append)>,
    ended: bool,
}

fn wrong(line: u64, reason: impl Into<String>) -> TransferError {
    TransferError::Line { line, reason: reason.into() }
}

impl<R: BufRead> Lines<R> {
    fn open(input: R) -> Result<Self, TransferError> {
        let (hash, counts) = (Sha256::new(), Counts::default());
        let (last, clicks, ahead) = (None, HashMap::new(), None);
        let mut lines = Self { input, hash, line: 0, counts, last, clicks, ahead, ended: false };
        let text = lines.read()?;
        let header: Header = serde_json::from_slice(&text).map_err(|_| wrong(1, "no export"))?;
        if header.hoplog_export > FORMAT {
            return Err(wrong(1, "written by a newer version of hoplog"));
        }
        lines.hash.update(&text);
        Ok(lines)
    }

    fn read(&mut self) -> Result<Vec<u8>, TransferError> {
        self.line += 1;
        let mut text = Vec::new();
        let limit = LINE_BYTES_MAX as u64 + 1;
        std::io::Read::take(&mut self.input, limit).read_until(b'\n', &mut text)?;
        if text.last() == Some(&b'\n') {
            Ok(text)
        } else {
            Err(wrong(self.line, "the export is cut off"))
        }
    }

    /// The next append and the line it begins at.
    fn next_append(&mut self) -> Result<Option<(u64, Append)>, TransferError> {
        let mut current = self.ahead.take();
        while !self.ended {
            let Some((line, append)) = self.next_event()? else { break };
            match &mut current {
                None => current = Some((line, append)),
                Some((_, group)) if belongs(group, &append) => group.events.extend(append.events),
                Some(_) => {
                    self.ahead = Some((line, append));
                    break;
                }
            }
        }
        Ok(current)
    }

    /// The next event as an append of its own; `None` behind the trailer.
    fn next_event(&mut self) -> Result<Option<(u64, Append)>, TransferError> {
        let text = self.read()?;
        let line = self.line;
        let Ok(event) = serde_json::from_slice::<EventLine<'_>>(&text) else {
            self.end(&text)?;
            return Ok(None);
        };
        self.hash.update(&text);
        if self.last.is_some_and(|last| last >= (event.topic, event.sequence)) {
            return Err(wrong(line, "out of order"));
        }
        self.last = Some((event.topic, event.sequence));
        *self.counts.of(event.topic) += 1;
        let before = self.version_before(&event).map_err(|reason| wrong(line, reason))?;
        let append = append_of(&event, before).map_err(|reason| wrong(line, reason))?;
        Ok(Some((line, append)))
    }

    /// The version that the event's stream has before it in the log that is filled. Streams of
    /// clicks are counted anew there from the first event that is left of them.
    fn version_before(&mut self, event: &EventLine<'_>) -> Result<Version, &'static str> {
        let version = event.version.0;
        if version == 0 {
            return Err("version 0 is before the first event");
        }
        if event.topic != Topic::Clicks {
            return Ok(Version(version - 1));
        }
        let stream = self.clicks.entry(event.stream.as_ref().into());
        let versions = stream.or_insert(version..version);
        if versions.end != version {
            return Err("an event of its stream is missing before it");
        }
        versions.end += 1;
        Ok(Version(version - versions.start))
    }

    fn end(&mut self, text: &[u8]) -> Result<(), TransferError> {
        let trailer: Trailer =
            serde_json::from_slice(text).map_err(|error| wrong(self.line, error.to_string()))?;
        let hash = hex(&std::mem::take(&mut self.hash).finalize());
        if !trailer.end || trailer.events != self.counts || trailer.sha256 != hash {
            return Err(wrong(self.line, "the lines are not those that were exported"));
        }
        self.ended = true;
        Ok(())
    }
}

fn append_of(event: &EventLine<'_>, before: Version) -> Result<Append, String> {
    let body = event.body.get().as_bytes();
    let identity = Identity::of(body).map_err(|error| error.to_string())?;
    if identity.subject != event.stream {
        return Err(format!("the event is of {}, not of {}", identity.subject, event.stream));
    }
    Ok(Append {
        stream: StreamId::new(event.topic, event.stream.as_ref()),
        expected: ExpectedVersion::Exact(before),
        command_id: event.command_id,
        events: vec![NewEvent {
            id: identity.id,
            event_type: identity.event_type.into(),
            body: Bytes::copy_from_slice(body),
        }],
    })
}

/// Whether an event continues an append: same stream, same command, next version.
fn belongs(group: &Append, next: &Append) -> bool {
    let ExpectedVersion::Exact(Version(first)) = group.expected else { return false };
    let following = ExpectedVersion::Exact(Version(first + group.events.len() as u64));
    (&group.stream, group.command_id, following) == (&next.stream, next.command_id, next.expected)
}
