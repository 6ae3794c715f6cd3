//! Who has an external id. One stream stands for the id of one owner; it holds claims, and the last of
//! them counts: see [`LinkExternalIdClaimed`]. Of those who want the id at the same moment the log lets
//! one append its claim, so no two links have it.
//!
//! A claim names a link and a version of it. Only the event behind that version may bring the id to the
//! link, so a link that went on without it can never come back to the claim: then the next may be made.
//! Whoever waits for too long makes the link go on, and the claim void.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoplog_events::catalogue::Event;
use hoplog_events::envelope::Envelope;
use hoplog_events::link::{
    ExternalId, LinkCodeForgone, LinkEvent, LinkExternalIdChanged, LinkExternalIdClaimed, LinkKey,
    LinkState, OwnerId,
};
use hoplog_events::log::{AppendError, EventLog};
use hoplog_events::position::Version;

use rand::RngExt;

use super::{ExecuteError, Origin, load};
use crate::domain::link::Link;

/// How long who waits for somebody else steps back at first, at most, in microseconds; twice as long each time.
const PAUSE_US_MAX: u64 = 2_000;

/// How often it is doubled at most.
const DOUBLINGS_MAX: u32 = 8;

/// Who has an external id of an owner.
#[derive(Debug)]
pub enum Holder {
    /// Nobody. It can be claimed on this version of the stream that stands for it.
    Nobody(Version),
    /// This link.
    Link(Box<Link>),
    /// Nobody yet: this one may take it.
    Next(Claimant),
}

/// A link that may take an external id, with the event behind a version.
#[derive(Debug)]
pub struct Claimant {
    /// Its identity.
    pub key: LinkKey,
    /// The version it has.
    pub version: Version,
    /// As it is; `None`: it is to be created.
    pub link: Option<Box<Link>>,
}

/// Who has an external id. `stream`: stands for it.
///
/// # Errors
/// When the log can't be read, or an event can't be understood.
pub async fn holder(
    log: &dyn EventLog,
    stream: &LinkKey,
    owner: &OwnerId,
    external_id: &ExternalId,
) -> Result<Holder, ExecuteError> {
    let (mut last, mut version) = (None, Version::NONE);
    for recorded in log.read(&stream.stream(), Version::NONE).await? {
        version = recorded.version;
        if let Some(Envelope { event: Event::Link(LinkEvent::ExternalIdClaimed(claim)), .. }) =
            recorded.decode()?
        {
            last = Some(claim);
        }
    }
    let Some(claim) = last else { return Ok(Holder::Nobody(version)) };
    let key = LinkKey { domain: stream.domain.clone(), code: claim.link };
    let loaded = load(log, &key, None).await?;
    let has_it = |link: &Link| {
        let is_there = link.state != LinkState::Deleted && link.owner == *owner;
        is_there && link.external_id.as_ref() == Some(external_id)
    };
    Ok(match loaded.link {
        Some(link) if has_it(&link) => Holder::Link(Box::new(link)),
        // Nothing happens to it any more.
        Some(link) if link.state == LinkState::Deleted => Holder::Nobody(version),
        link if loaded.version == claim.version => {
            Holder::Next(Claimant { key, version: claim.version, link: link.map(Box::new) })
        }
        _ => Holder::Nobody(version),
    })
}

/// Claims an external id for a link, which takes it with the event behind `version`. `at`: the version of
/// the stream that was looked at. `false`: somebody was faster.
///
/// # Errors
/// When the log is away.
pub async fn claim(
    log: &Arc<dyn EventLog>,
    (stream, at): (&LinkKey, Version),
    (link, version): (&LinkKey, Version),
    now: DateTime<Utc>,
    actor: &str,
) -> Result<bool, ExecuteError> {
    let claimed = LinkExternalIdClaimed { link: link.code.clone(), version };
    // Nothing of the request: nobody finds this from the link, so it could not be erased.
    let origin = Origin::once(actor, None);
    let events = [LinkEvent::ExternalIdClaimed(claimed)];
    match origin.append(log.as_ref(), (stream.stream(), at), &events, now).await {
        Ok(_) => Ok(true),
        Err(AppendError::Conflict { .. }) => Ok(false),
        Err(error) => Err(ExecuteError::Unavailable(error.to_string())),
    }
}

/// Makes a claim void: its link goes on, with an event that says what is so anyway. Was its owner only slow,
/// then one of the two is first.
///
/// # Errors
/// When the log is away.
pub async fn make_void(
    log: &Arc<dyn EventLog>,
    claimant: &Claimant,
    now: DateTime<Utc>,
    actor: &str,
) -> Result<(), ExecuteError> {
    let event = if let Some(link) = &claimant.link {
        let external_id = link.external_id.clone();
        LinkEvent::ExternalIdChanged(LinkExternalIdChanged { external_id })
    } else {
        // The code stays free.
        let chosen = claimant.key.code.clone();
        LinkEvent::CodeForgone(LinkCodeForgone { chosen, domain: None })
    };
    let origin = Origin::once(actor, None);
    let stream = (claimant.key.stream(), claimant.version);
    match origin.append(log.as_ref(), stream, &[event], now).await {
        Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
        Err(error) => Err(ExecuteError::Unavailable(error.to_string())),
    }
}

/// Leaves somebody else time for what they have begun; longer in each round, because an append to a log on other
/// machines takes its time.
pub async fn leave_time(round: u32) {
    let longest_us = PAUSE_US_MAX << round.min(DOUBLINGS_MAX);
    let pause_us = rand::rng().random_range(longest_us / 2..longest_us);
    tokio::time::sleep(Duration::from_micros(pause_us)).await;
}
