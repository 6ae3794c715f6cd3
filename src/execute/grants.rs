//! Clicks of a link's budget: decided on what is known of the link, and kept at no other version of it.
//!
//! A link with a budget is visited often and is the sum of many events, so it is not read from its start each
//! time. What is known of it may be old: then the append conflicts, and only what came since is read. That is
//! what makes it safe on any number of nodes; nobody else has to agree.

use std::num::NonZeroU32;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hoplog_events::catalogue::Event;
use hoplog_events::envelope::Envelope;
use hoplog_events::link::{LinkEvent, LinkKey};
use hoplog_events::log::{AppendError, EventLog};
use hoplog_events::position::{Position, Version};

use super::{ExecuteError, Origin, load_link, step_back};
use crate::domain::link::{Link, LinkCommand, LinkError, Request, decide, evolve};

/// How often a grant is decided again because somebody was faster: other nodes give clicks of the same link.
const ATTEMPTS_MAX: u32 = 32;

/// How often an append is sent whose outcome is unknown. It is the same command each time: what was kept the
/// first time is not kept again, and its clicks are not lost.
const SENT_MAX: u32 = 3;

/// Who gives clicks away.
const ACTOR: &str = "visitor";

/// What was given.
#[derive(Debug, Clone)]
pub struct Granted {
    /// How many clicks: fewer than were asked for, or none, if the budget has no more.
    pub count: u32,
    /// The link as that left it.
    pub link: Link,
    /// Where that is on the log; `None`: nothing had to be written.
    pub position: Option<Position>,
}

/// Gives up to `wanted` clicks of a link's budget. `known`: the link as it was; not used if it is older than
/// `least`.
///
/// # Errors
/// See [`ExecuteError`]. After [`ExecuteError::Unavailable`] the clicks may have been taken from the budget,
/// which nobody was given then.
pub async fn grant(
    log: &Arc<dyn EventLog>,
    key: &LinkKey,
    (known, least): (Option<Link>, Version),
    wanted: NonZeroU32,
    now: DateTime<Utc>,
) -> Result<Granted, ExecuteError> {
    let mut link = match known {
        // Nobody is given a click for want of a budget that may have been set since: there is no append to tell.
        Some(link) if link.version >= least && link.extras.max_clicks.is_some() => link,
        Some(link) if link.extras.max_clicks.is_none() => whole(log.as_ref(), key).await?,
        known => newer(log.as_ref(), key, known).await?,
    };
    for _ in 0..ATTEMPTS_MAX {
        let left = link.extras.clicks_left().unwrap_or(u32::MAX);
        let count = NonZeroU32::new(left.min(wanted.get())).unwrap_or(wanted);
        let events = match decide(Some(&link), &request(count, now)) {
            Err(LinkError::ClicksSpent { .. }) => {
                return Ok(Granted { count: 0, link, position: None });
            }
            decided => decided?,
        };
        if events.is_empty() {
            return Ok(Granted { count: count.get(), link, position: None });
        }
        match append_surely(log, &link, &events, now).await {
            Ok(position) => {
                let mut changed = Some(link);
                for event in &events {
                    changed = evolve(changed, key, event, now);
                }
                let link = changed.ok_or(LinkError::NotFound)?;
                return Ok(Granted { count: count.get(), link, position: Some(position) });
            }
            Err(AppendError::Conflict { .. }) => {
                step_back().await;
                link = newer(log.as_ref(), key, Some(link)).await?;
            }
            Err(error @ (AppendError::Unavailable(_) | AppendError::Size)) => {
                return Err(ExecuteError::Unavailable(error.to_string()));
            }
        }
    }
    Err(ExecuteError::Contended)
}

fn request(count: NonZeroU32, now: DateTime<Utc>) -> Request {
    Request::of_service(LinkCommand::GrantClicks(count), now)
}

/// Appends behind a version of the link, also where it is not known at first whether it was kept.
async fn append_surely(
    log: &Arc<dyn EventLog>,
    link: &Link,
    events: &[LinkEvent],
    now: DateTime<Utc>,
) -> Result<Position, AppendError> {
    // Another decision is another command: only what was sent already may be found to be kept.
    let origin = Origin::once(ACTOR, None);
    let mut sent = 1;
    loop {
        match origin.append(log.as_ref(), (link.key.stream(), link.version), events, now).await {
            Ok(appended) => return Ok(appended.position),
            Err(AppendError::Unavailable(_)) if sent < SENT_MAX => sent += 1,
            Err(error) => return Err(error),
        }
        step_back().await;
    }
}

/// The link as it is: what is known of it, and what came since.
async fn newer(
    log: &dyn EventLog,
    key: &LinkKey,
    known: Option<Link>,
) -> Result<Link, ExecuteError> {
    let Some(known) = known else { return whole(log, key).await };
    let since = log.read(&key.stream(), known.version).await?;
    if since.is_empty() {
        // A log that was put back has other events: nothing is known of them.
        return whole(log, key).await;
    }
    let mut link = known;
    for recorded in since {
        if let Some(Envelope { time, event: Event::Link(event), .. }) = recorded.decode()? {
            link = evolve(Some(link), key, &event, time).ok_or(LinkError::NotFound)?;
        }
        // Events of types that are unknown here count, too.
        link.version = recorded.version;
    }
    Ok(link)
}

async fn whole(log: &dyn EventLog, key: &LinkKey) -> Result<Link, ExecuteError> {
    Ok(load_link(log, key).await?.ok_or(LinkError::NotFound)?)
}
