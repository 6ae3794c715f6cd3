//! What a link was at an instant: its own events until then.

use chrono::{DateTime, Utc};
use hoplog_events::catalogue::Event;
use hoplog_events::link::LinkKey;
use hoplog_events::log::EventLog;
use hoplog_events::position::Version;

use super::QueryFailure;
use crate::domain::link::{Link, Requester, evolve};
use crate::execute::ExecuteError;

/// The link as it was at an instant, deleted or not. Of a link that was erased since, nobody knows any more
/// what was written in it.
///
/// # Errors
/// When there was none yet, it is not the requester's, or the log can't be read.
pub async fn link_as_of(
    log: &dyn EventLog,
    key: &LinkKey,
    at: DateTime<Utc>,
    requester: &Requester,
) -> Result<Link, QueryFailure> {
    let mut link: Option<Link> = None;
    let events = log.read(&key.stream(), Version::NONE).await.map_err(ExecuteError::from)?;
    for recorded in events {
        let Some(envelope) = recorded.decode().map_err(ExecuteError::from)? else { continue };
        let Event::Link(event) = envelope.event else { continue };
        // Clocks of nodes differ: what comes behind the first event that is too late was not there yet.
        if envelope.time > at {
            break;
        }
        link = evolve(link, key, &event, envelope.time);
        // Events of types that are unknown here count, too.
        if let Some(link) = &mut link {
            link.version = recorded.version;
        }
    }
    link.filter(|link| requester.sees(&link.owner)).ok_or(QueryFailure::NotFound)
}
