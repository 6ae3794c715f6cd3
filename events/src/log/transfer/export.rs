//! From a log to NDJSON.

use std::borrow::Cow;
use std::io::Write;

use sha2::{Digest, Sha256};

use super::{Counts, EventLine, FORMAT, Header, Trailer, TransferError};
use crate::envelope::RecordedEvent;
use crate::hex::hex;
use crate::log::{EventLog, ReadLimit};
use crate::position::{Sequence, Topic};

/// Writes everything that the log keeps when the export reaches its topic.
///
/// # Errors
/// When the log can't be read or the output can't be written.
pub async fn export(log: &dyn EventLog, out: impl Write) -> Result<Counts, TransferError> {
    let mut out = Lines { out, hash: Sha256::new(), line: Vec::new() };
    out.write(&Header { hoplog_export: FORMAT, log: log.id() })?;
    let mut counts = Counts::default();
    for topic in Topic::ALL {
        let head = log.head(topic).await?.sequence;
        let mut after = Sequence::START;
        while after < head {
            let events = log.read_kept(topic, after, ReadLimit::default()).await?;
            let Some(last) = events.last() else { break };
            after = last.position.sequence;
            for event in events.iter().filter(|event| event.position.sequence <= head) {
                out.write(&line(event)?)?;
                *counts.of(topic) += 1;
            }
        }
    }
    let Lines { mut out, hash, .. } = out;
    let trailer = Trailer { end: true, events: counts, sha256: hex(&hash.finalize()) };
    serde_json::to_writer(&mut out, &trailer).map_err(std::io::Error::from)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(counts)
}

fn line(event: &RecordedEvent) -> Result<EventLine<'_>, std::io::Error> {
    Ok(EventLine {
        topic: event.stream.topic(),
        sequence: event.position.sequence.0,
        stream: Cow::Borrowed(event.stream.key()),
        version: event.version,
        command_id: event.command_id,
        body: serde_json::from_slice(&event.body)?,
    })
}

/// Lines that are hashed while they are written.
struct Lines<W> {
    out: W,
    hash: Sha256,
    line: Vec<u8>,
}

impl<W: Write> Lines<W> {
    fn write(&mut self, line: &impl serde::Serialize) -> std::io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.hash.update(&self.line);
        self.out.write_all(&self.line)
    }
}
