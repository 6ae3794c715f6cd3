//! An append that is done once, whatever became of the answer to it.
//!
//! The version check is what decides: an append that expects a version the stream has left can't
//! land any more. So after a conflict the stream tells whether the command is on it, and no memory
//! of commands with an end (a deduplication window) is relied on.

use hoplog_events::log::{Append, AppendError, EventLog, ExpectedVersion, ReadError};
use hoplog_events::position::Version;

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is on the stream, by this attempt or an earlier one.
    Kept {
        /// The version of the stream now.
        end: Version,
    },
    /// It is not, and won't be: the stream is at another version than was expected.
    Passed {
        /// The version of the stream now.
        end: Version,
    },
}

/// Appends at an exact version and settles what a conflict means.
///
/// # Errors
/// When the log can't be asked; whether the events were kept is unknown then.
pub(super) async fn append_once(
    log: &dyn EventLog,
    append: &Append,
) -> Result<Outcome, AppendError> {
    match log.append(append.clone()).await {
        Ok(appended) => Ok(Outcome::Kept { end: appended.version }),
        Err(AppendError::Conflict { .. }) => {
            let settled = settle(log, append).await;
            settled.map_err(|error| AppendError::Unavailable(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

async fn settle(log: &dyn EventLog, append: &Append) -> Result<Outcome, ReadError> {
    let after = match append.expected {
        ExpectedVersion::Exact(version) => version,
        ExpectedVersion::Any => Version::NONE,
    };
    let mut events = log.read(&append.stream, after).await?;
    if events.is_empty() {
        // The stream is shorter than expected; one that waits was sent last, if it was sent.
        events.extend(log.last(&append.stream).await?);
    }
    let end = events.last().map_or(Version::NONE, |event| event.version);
    let is_kept = events.iter().any(|event| event.command_id == append.command_id);
    Ok(if is_kept { Outcome::Kept { end } } else { Outcome::Passed { end } })
}
