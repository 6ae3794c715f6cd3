//! What a command makes happen, or why it may not.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use hoplog_events::link::{
    Destination, LinkClicksGranted, LinkCreated, LinkDeleted, LinkDestinationChanged, LinkDisabled,
    LinkEnabled, LinkErased, LinkEvent, LinkExpired, LinkExpiryChanged, LinkExternalIdChanged,
    LinkNoted, LinkRedirectChanged, LinkState, LinkTagged, LinkTitled, Rules, Split,
};

use super::{
    CreateLink, DestinationField, EditExtras, EditLink, Link, LinkCommand, LinkError, Request,
    extras, oversight, preview,
};
use crate::domain::domains::leads_home;
use crate::domain::expiry::is_too_far;
use crate::domain::utm::EditUtm;

/// The events that follow from a request; none if nothing would change.
///
/// # Errors
/// See [`LinkError`].
pub fn decide(link: Option<&Link>, request: &Request) -> Result<Vec<LinkEvent>, LinkError> {
    if let LinkCommand::Create(create) = &request.command {
        return match link {
            // Also when it was deleted: a code that is printed somewhere never changes hands.
            Some(taken) => Err(LinkError::CodeTaken(taken.key.clone())),
            None => decide_create(create, request),
        };
    }
    let link =
        link.filter(|link| request.requester.sees(&link.owner)).ok_or(LinkError::NotFound)?;
    if request.command == LinkCommand::Erase {
        return decide_erase(link, request);
    }
    if link.state == LinkState::Deleted {
        return Err(LinkError::Deleted);
    }
    check_version(link, request)?;
    match &request.command {
        LinkCommand::Edit(edit) => decide_edit(link, edit, request),
        LinkCommand::RenameTag(rename) => {
            let renamed = link.tags.renamed(&rename.from, &rename.to);
            Ok(renamed.map(|tags| LinkEvent::Tagged(LinkTagged { tags })).into_iter().collect())
        }
        LinkCommand::Disable if link.own_state() == LinkState::Disabled => Ok(Vec::new()),
        LinkCommand::Disable => Ok(vec![LinkEvent::Disabled(LinkDisabled {})]),
        LinkCommand::Enable if link.own_state() == LinkState::Disabled => {
            Ok(vec![LinkEvent::Enabled(LinkEnabled {})])
        }
        // A creation and an erasure were decided above.
        LinkCommand::Enable | LinkCommand::Create(_) | LinkCommand::Erase => Ok(Vec::new()),
        LinkCommand::Oversee(oversee) => oversight::decide(link, oversee, request),
        LinkCommand::NoteTitle(page) => Ok(preview::note_title(link, page, request.now)),
        LinkCommand::Expire => Ok(decide_expire(link, request.now)),
        LinkCommand::GrantClicks(count) => decide_grant(link, *count),
        LinkCommand::Delete => Ok(vec![LinkEvent::Deleted(LinkDeleted {})]),
    }
}

/// Also of a link that was deleted long ago. Once it is erased there is nothing left to do,
/// whatever version somebody expects: who asks again finishes what was broken off.
fn decide_erase(link: &Link, request: &Request) -> Result<Vec<LinkEvent>, LinkError> {
    if link.is_erased {
        return Ok(Vec::new());
    }
    check_version(link, request)?;
    let deleted = LinkEvent::Deleted(LinkDeleted {});
    let is_there = link.state != LinkState::Deleted;
    let erased = LinkEvent::Erased(LinkErased {});
    Ok(is_there.then_some(deleted).into_iter().chain([erased]).collect())
}

/// A link that was found by its external id is another one without it.
fn check_version(link: &Link, request: &Request) -> Result<(), LinkError> {
    let is_expected =
        request.expected.as_ref().is_none_or(|expected| expected.contains(&link.version));
    if is_expected && (request.named.is_none() || request.named == link.external_id) {
        Ok(())
    } else {
        Err(LinkError::VersionMismatch { actual: link.version })
    }
}

fn decide_create(create: &CreateLink, request: &Request) -> Result<Vec<LinkEvent>, LinkError> {
    check_destination(&create.url, DestinationField::Url, request)?;
    check_expiry(create.expires_at, request.now)?;
    extras::check(&create.extras, create.expires_at, request)?;
    Ok(vec![LinkEvent::Created(LinkCreated {
        domain: create.key.domain.clone(),
        code: create.key.code.clone(),
        url: create.url.clone(),
        owner: create.owner.clone(),
        expires_at: create.expires_at,
        redirect: create.redirect,
        title: create.title.clone(),
        tags: create.tags.clone(),
        note: create.note.clone(),
        external_id: create.external_id.clone(),
        extras: create.extras.clone(),
    })])
}

/// One event per fact that changes, in a fixed order.
fn decide_edit(
    link: &Link,
    edit: &EditLink,
    request: &Request,
) -> Result<Vec<LinkEvent>, LinkError> {
    let mut events = Vec::new();
    let url = destination_after(link, edit)?;
    if let Some(url) = changed(url.as_ref(), &link.url) {
        check_destination(url, DestinationField::Url, request)?;
        events.push(LinkEvent::DestinationChanged(LinkDestinationChanged { url: url.clone() }));
    }
    if let Some(expires_at) = changed(edit.expires_at.as_ref(), &link.expires_at) {
        check_expiry(*expires_at, request.now)?;
        events.push(LinkEvent::ExpiryChanged(LinkExpiryChanged { expires_at: *expires_at }));
    }
    if let Some(redirect) = changed(edit.redirect.as_ref(), &link.redirect) {
        events.push(LinkEvent::RedirectChanged(LinkRedirectChanged { redirect: *redirect }));
    }
    if let Some(title) = changed(edit.title.as_ref(), &link.title) {
        events.push(LinkEvent::Titled(LinkTitled { title: title.clone() }));
    }
    if let Some(tags) = changed(edit.tags.as_ref(), &link.tags) {
        events.push(LinkEvent::Tagged(LinkTagged { tags: tags.clone() }));
    }
    if let Some(note) = changed(edit.note.as_ref(), &link.note) {
        events.push(LinkEvent::Noted(LinkNoted { note: note.clone() }));
    }
    if let Some(external_id) = changed(edit.external_id.as_ref(), &link.external_id) {
        let external_id = external_id.clone();
        events.push(LinkEvent::ExternalIdChanged(LinkExternalIdChanged { external_id }));
    }
    let ends = (link.expires_at, edit.expires_at.unwrap_or(link.expires_at));
    let (rules, split) = (rules_after(link, edit)?, split_after(link, edit)?);
    let extras = EditExtras { rules, split, ..edit.extras.clone() };
    events.extend(extras::decide(&link.extras, &extras, ends, request)?);
    Ok(events)
}

/// Where the link shall lead, with its campaign fields; `None`: where it does.
fn destination_after(link: &Link, edit: &EditLink) -> Result<Option<Destination>, LinkError> {
    if edit.utm == EditUtm::default() {
        return Ok(edit.url.clone());
    }
    let url = edit.utm.apply(edit.url.as_ref().unwrap_or(&link.url));
    url.map(Some).map_err(|_| LinkError::UtmTooLong)
}

/// The rules that the link shall have, with the campaign fields that all of its destinations get; `None`: those
/// that it has.
fn rules_after(link: &Link, edit: &EditLink) -> Result<Option<Rules>, LinkError> {
    if edit.utm == EditUtm::default() {
        return Ok(edit.extras.rules.clone());
    }
    let rules = edit.extras.rules.as_ref().unwrap_or(&link.extras.rules);
    edit.utm.apply_to_rules(rules).map(Some).map_err(|_| LinkError::UtmTooLong)
}

/// The same of its split.
fn split_after(link: &Link, edit: &EditLink) -> Result<Option<Split>, LinkError> {
    if edit.utm == EditUtm::default() {
        return Ok(edit.extras.split.clone());
    }
    let split = edit.extras.split.as_ref().unwrap_or(&link.extras.split);
    edit.utm.apply_to_split(split).map(Some).map_err(|_| LinkError::UtmTooLong)
}

/// The new value, if one is given and it is another.
pub(super) fn changed<'v, T: PartialEq>(new: Option<&'v T>, old: &T) -> Option<&'v T> {
    new.filter(|new| *new != old)
}

/// The instant may have been moved since somebody looked: then nothing happens. A disabled link
/// stays so; if it is enabled after its end, it expires then.
fn decide_expire(link: &Link, now: DateTime<Utc>) -> Vec<LinkEvent> {
    match link.expires_at {
        Some(expires_at) if expires_at <= now && link.state == LinkState::Active => {
            vec![LinkEvent::Expired(LinkExpired { expires_at })]
        }
        _ => Vec::new(),
    }
}

/// All of them or none. Whether the link is served otherwise was looked at by whoever asks for them.
fn decide_grant(link: &Link, count: NonZeroU32) -> Result<Vec<LinkEvent>, LinkError> {
    let Some(left) = link.extras.clicks_left() else { return Ok(Vec::new()) };
    let left = left.checked_sub(count.get()).ok_or(LinkError::ClicksSpent { left })?;
    Ok(vec![LinkEvent::ClicksGranted(LinkClicksGranted { count, left })])
}

fn check_expiry(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), LinkError> {
    match expires_at {
        Some(expires_at) if expires_at <= now => Err(LinkError::ExpiryPassed),
        Some(expires_at) if is_too_far(expires_at, now) => Err(LinkError::ExpiryTooFar),
        _ => Ok(()),
    }
}

/// A link to the service itself would lead in a circle, whichever of its destinations it is; and none leads to a
/// place that is blocked.
pub(super) fn check_destination(
    destination: &Destination,
    field: DestinationField,
    request: &Request,
) -> Result<(), LinkError> {
    if leads_home(destination, &request.own_hosts, &request.domains) {
        return Err(LinkError::Loop(field));
    }
    match request.blocked.find(destination) {
        Some(entry) => Err(LinkError::Blocked { field, entry }),
        None => Ok(()),
    }
}
