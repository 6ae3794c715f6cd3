//! What an event makes of a link. Facts are not judged here: they happened.

use chrono::{DateTime, Utc};
use hoplog_events::link::{Destination, LinkCreated, LinkEvent, LinkKey, LinkState, Tags};
use hoplog_events::position::Version;

use super::Link;

/// The link after one more event, which happened at `at`.
#[must_use]
pub fn evolve(
    link: Option<Link>,
    key: &LinkKey,
    event: &LinkEvent,
    at: DateTime<Utc>,
) -> Option<Link> {
    let mut link = match (link, event) {
        (None, LinkEvent::Created(created)) => return Some(created_link(created, key, at)),
        // A stream begins with its creation; anything else before it has nothing to change.
        (None, _) => return None,
        (Some(link), _) => link,
    };
    link.version = Version(link.version.0 + 1);
    link.extras.apply(event);
    link.state.apply(&mut link.extras, event);
    apply(&mut link, event);
    Some(link)
}

fn created_link(created: &LinkCreated, key: &LinkKey, at: DateTime<Utc>) -> Link {
    Link {
        key: key.clone(),
        url: created.url.clone(),
        owner: created.owner.clone(),
        created_at: at,
        expires_at: created.expires_at,
        redirect: created.redirect,
        title: created.title.clone(),
        tags: created.tags.clone(),
        note: created.note.clone(),
        external_id: created.external_id.clone(),
        extras: created.extras.clone(),
        state: LinkState::Active,
        is_erased: false,
        version: Version(1),
    }
}

fn apply(link: &mut Link, event: &LinkEvent) {
    match event {
        LinkEvent::Created(_)
        | LinkEvent::CodeForgone(_)
        | LinkEvent::ExternalIdClaimed(_)
        | LinkEvent::ValidFromChanged(_)
        | LinkEvent::ExpiredUrlChanged(_)
        | LinkEvent::Archived(_)
        | LinkEvent::Unarchived(_)
        | LinkEvent::QueryForwardingChanged(_)
        | LinkEvent::PathForwardingChanged(_)
        | LinkEvent::PasswordChanged(_)
        | LinkEvent::MaxClicksChanged(_)
        | LinkEvent::ClicksGranted(_)
        | LinkEvent::RulesChanged(_)
        | LinkEvent::SplitChanged(_)
        | LinkEvent::PreviewChanged(_)
        | LinkEvent::TitleFetched(_)
        | LinkEvent::Quarantined(_)
        | LinkEvent::Released(_)
        | LinkEvent::Appealed(_)
        | LinkEvent::Reported(_)
        | LinkEvent::Disabled(_)
        | LinkEvent::Enabled(_)
        | LinkEvent::Expired(_)
        | LinkEvent::Deleted(_) => {}
        LinkEvent::DestinationChanged(change) => link.url = change.url.clone(),
        LinkEvent::ExpiryChanged(change) => link.expires_at = change.expires_at,
        LinkEvent::RedirectChanged(change) => link.redirect = change.redirect,
        LinkEvent::Titled(change) => link.title.clone_from(&change.title),
        LinkEvent::Tagged(change) => link.tags.clone_from(&change.tags),
        LinkEvent::Noted(change) => link.note.clone_from(&change.note),
        LinkEvent::ExternalIdChanged(change) => link.external_id.clone_from(&change.external_id),
        LinkEvent::Erased(_) => erase(link),
    }
}

/// What people wrote in it is gone; whose it is, and what became of it, is not.
fn erase(link: &mut Link) {
    link.is_erased = true;
    link.url = Destination::erased();
    (link.title, link.note, link.external_id) = (None, None, None);
    link.tags = Tags::default();
}
