//! Quarantine: what operators, and block lists, do about a link, and what its owner may say against it.

use std::iter;

use hoplog_events::link::{
    Destination, Extras, FoundBy, LinkAppealed, LinkEvent, LinkQuarantined, LinkReleased, Reason,
    Statement,
};

use super::{Link, LinkError, Request, Requester};

/// What a quarantine by a block list says.
const ON_A_LIST: &str = "a destination of the link is on the block list of this service";

/// What somebody wants of a link's quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oversee {
    /// It begins, for this reason.
    Quarantine(Reason),
    /// It begins if one of the link's destinations is blocked.
    QuarantineIfBlocked,
    /// It ends.
    Release,
    /// It should end, says the owner.
    Appeal(Statement),
}

/// Only an appeal is an owner's to make.
pub(super) fn decide(
    link: &Link,
    oversee: &Oversee,
    request: &Request,
) -> Result<Vec<LinkEvent>, LinkError> {
    let is_admin = request.requester == Requester::Admin;
    if !is_admin && !matches!(oversee, Oversee::Appeal(_)) {
        return Err(LinkError::NotFound);
    }
    Ok(match (oversee, link.extras.quarantine()) {
        (Oversee::Quarantine(reason), now) => {
            let is_same = now.is_some_and(|now| now.begun.reason == *reason);
            let begun = quarantined(reason.clone(), FoundBy::Operator, None, request);
            if is_same { Vec::new() } else { vec![begun] }
        }
        (Oversee::QuarantineIfBlocked, None) => blocked(link, request).into_iter().collect(),
        // Whatever it is in quarantine for comes first.
        (Oversee::QuarantineIfBlocked, Some(_)) | (Oversee::Release, None) => Vec::new(),
        (Oversee::Release, Some(_)) => vec![LinkEvent::Released(LinkReleased {})],
        (Oversee::Appeal(_), None) => return Err(LinkError::NotQuarantined),
        (Oversee::Appeal(text), Some(now)) => {
            let appealed = LinkEvent::Appealed(LinkAppealed { text: text.clone() });
            if now.appeal.as_ref() == Some(text) { Vec::new() } else { vec![appealed] }
        }
    })
}

fn quarantined(
    reason: Reason,
    by: FoundBy,
    entry: Option<Box<str>>,
    request: &Request,
) -> LinkEvent {
    LinkEvent::Quarantined(LinkQuarantined { reason, by, entry, since: request.now })
}

/// An entry that an operator has released the link from leads to no other quarantine.
fn blocked(link: &Link, request: &Request) -> Option<LinkEvent> {
    let cleared = link.extras.cleared();
    let mut entries =
        destinations(&link.url, &link.extras).filter_map(|url| request.blocked.find(url));
    let entry = entries.find(|entry| Some(&**entry) != cleared)?;
    let reason = ON_A_LIST.parse().ok()?;
    Some(quarantined(reason, FoundBy::Blocklist, Some(entry), request))
}

/// Everything that a link may lead to.
pub fn destinations<'a>(
    url: &'a Destination,
    extras: &'a Extras,
) -> impl Iterator<Item = &'a Destination> {
    let rules = extras.rules.as_slice().iter().map(|rule| &rule.url);
    iter::once(url).chain(&extras.expired_url).chain(rules)
}
