//! Moving a log: export, import, verify.
//!
//! An export is NDJSON: a header, a line per event, a trailer with counts and a SHA-256 of all
//! lines before it. Bodies are carried byte for byte. Positions are of the log that gave them, so
//! an import gives events new ones, in the same order.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{AppendError, ReadError};
use crate::envelope::CommandId;
use crate::position::{LogId, Topic, Version};

mod export;
mod import;
mod verify;

pub use export::export;
pub use import::{check, import};
pub use verify::{PROBLEMS_TOLD, Report, verify};

/// The version of the export's format; a newer one is refused.
const FORMAT: u32 = 1;

/// Why a log was not moved.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// Look at the file and its disk.
    #[error("the export can't be read or written: {0}")]
    Io(#[from] io::Error),
    /// The source can't be read; try again later.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The target took a part only: remove it before trying again.
    #[error("line {line}: {error}")]
    Append {
        /// The line of the export.
        line: u64,
        /// What the target says.
        error: AppendError,
    },
    /// The export is damaged, or no export; take another copy.
    #[error("line {line}: {reason}")]
    Line {
        /// The line of the export.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Import into an empty log only.
    #[error("the log is not empty: its topic {0} has events")]
    NotEmpty(Topic),
}

/// What was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Events of links.
    pub links: u64,
    /// Events of clicks.
    pub clicks: u64,
    /// Events of accounts.
    pub accounts: u64,
}

impl Counts {
    fn of(&mut self, topic: Topic) -> &mut u64 {
        match topic {
            Topic::Links => &mut self.links,
            Topic::Clicks => &mut self.clicks,
            Topic::Accounts => &mut self.accounts,
        }
    }
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    hoplog_export: u32,
    log: LogId,
}

/// One event.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventLine<'a> {
    topic: Topic,
    sequence: u64,
    stream: std::borrow::Cow<'a, str>,
    version: Version,
    command_id: CommandId,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
struct Trailer {
    end: bool,
    events: Counts,
    sha256: String,
}

/// What a log needs to know of a body it did not write.
#[derive(Deserialize)]
struct Identity<'a> {
    id: Uuid,
    #[serde(rename = "type", borrow)]
    event_type: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    subject: std::borrow::Cow<'a, str>,
}

impl<'a> Identity<'a> {
    fn of(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }
}

#[cfg(test)]
mod tests;
