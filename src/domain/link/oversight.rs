//! Quarantine: what operators, and block lists, do about a link, and what its owner may say against it.

use std::iter;

use hoplog_events::link::{
    Destination, ENTRIES_CLEARED_MAX, Extras, FoundBy, LinkAppealed, LinkEvent, LinkQuarantined,
    LinkReleased, LinkReported, Reason, ReportCategory, Statement,
};

use super::{Link, LinkError, Request, Requester};
use crate::domain::blocklist::BlockLists;

/// What a quarantine by a block list says.
const ON_A_LIST: &str = "a destination of the link is on the block list of this service";

/// What a quarantine by visitors says.
const REPORTED: &str = "visitors have reported the link";

/// How many reports of a link are kept until it is released.
pub const REPORTS_MAX: u32 = 100;

/// What somebody wants of a link's quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oversee {
    /// It begins, for this reason.
    Quarantine(Reason),
    /// It begins if one of the link's destinations is blocked.
    QuarantineIfBlocked,
    /// It ends, and the reports are dealt with.
    Release,
    /// It should end, says the owner.
    Appeal(Statement),
    /// Somebody says that the link does harm.
    Report(Report),
}

/// A report of a visitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What harm.
    pub category: ReportCategory,
    /// What else they say.
    pub text: Option<Statement>,
    /// How many reports put a link in quarantine; 0: none does.
    pub threshold: u32,
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
        // Whatever it is in quarantine for comes first; a release looks at the lists again.
        (Oversee::QuarantineIfBlocked, Some(_)) => Vec::new(),
        (Oversee::Release, now) => released(link, now.is_some(), request).into_iter().collect(),
        (Oversee::Report(report), now) => reported(link, report, now.is_some(), request),
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

/// Beyond some nobody learns anything from one more, and the link is the sum of its events. Where so many are enough that
/// there are, also before that was so, the next one is the occasion.
fn reported(
    link: &Link,
    report: &Report,
    is_quarantined: bool,
    request: &Request,
) -> Vec<LinkEvent> {
    let reports = link.extras.reports();
    let Report { category, text, threshold } = report.clone();
    let reported = LinkEvent::Reported(LinkReported { category, text });
    let reported = (reports < REPORTS_MAX).then_some(reported);
    let is_enough = threshold > 0 && reports.saturating_add(1) >= threshold && !is_quarantined;
    let reason = REPORTED.parse().ok().filter(|_| is_enough);
    let begun = reason.map(|reason| quarantined(reason, FoundBy::Reports, None, request));
    reported.into_iter().chain(begun).collect()
}

/// Whoever ends a quarantine has looked at the link: what the lists have of it now leads to no other one. Whoever deals
/// with reports of one that is in none has nothing of a list before them.
fn released(link: &Link, is_quarantined: bool, request: &Request) -> Option<LinkEvent> {
    if !is_quarantined {
        let released = LinkEvent::Released(LinkReleased::default());
        return (link.extras.reports() > 0).then_some(released);
    }
    let mut entries: Vec<Box<str>> = Vec::new();
    for entry in destinations(&link.url, &link.extras).flat_map(|url| request.blocked.entries(url))
    {
        if entries.len() < ENTRIES_CLEARED_MAX && !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    Some(LinkEvent::Released(LinkReleased { entries }))
}

/// An entry that an operator has released the link from leads to no other quarantine.
fn blocked(link: &Link, request: &Request) -> Option<LinkEvent> {
    let entry = uncleared(&link.url, &link.extras, &request.blocked)?;
    let reason = ON_A_LIST.parse().ok()?;
    Some(quarantined(reason, FoundBy::Blocklist, Some(entry), request))
}

/// The first entry of the lists that has a destination of a link, and that the link was not released from.
#[must_use]
pub fn uncleared(url: &Destination, extras: &Extras, lists: &BlockLists) -> Option<Box<str>> {
    let mut entries = destinations(url, extras).flat_map(|url| lists.entries(url));
    entries.find(|entry| !extras.cleared().contains(entry))
}

/// Everything that a link may lead to, and the picture that is shown of it.
pub fn destinations<'a>(
    url: &'a Destination,
    extras: &'a Extras,
) -> impl Iterator<Item = &'a Destination> {
    let rules = extras.rules.as_slice().iter().map(|rule| &rule.url);
    let variants = extras.split.as_slice().iter().filter_map(|variant| variant.url.as_ref());
    let image = extras.preview.as_ref().and_then(|preview| preview.image.as_ref());
    iter::once(url).chain(&extras.expired_url).chain(rules).chain(variants).chain(image)
}
