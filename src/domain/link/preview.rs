//! What chats and networks are shown of a link: how its owner asks for it, and what its destination calls itself.

use chrono::{DateTime, Utc};
use hoplog_events::link::{
    Description, Destination, LinkEvent, LinkPreviewChanged, LinkState, LinkTitleFetched,
    OwnPreview, Title,
};

use super::decide::check_destination;
use super::{DestinationField, Link, LinkError, Request};

/// What to change of what is shown; `None`: stays as it is, `Some(None)`: is left to the destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EditPreview {
    /// The title.
    pub title: Option<Option<Title>>,
    /// What stands below it.
    pub description: Option<Option<Description>>,
    /// Where the picture is.
    pub image: Option<Option<Destination>>,
}

impl EditPreview {
    /// All of it is left to the destination.
    #[must_use]
    pub fn clear() -> Self {
        Self { title: Some(None), description: Some(None), image: Some(None) }
    }

    /// What is shown after the change; `None`: what the destination says.
    #[must_use]
    pub fn apply(&self, before: Option<&OwnPreview>) -> Option<OwnPreview> {
        let before = before.cloned().unwrap_or_default();
        let after = OwnPreview {
            title: self.title.clone().unwrap_or(before.title),
            description: self.description.clone().unwrap_or(before.description),
            image: self.image.clone().unwrap_or(before.image),
        };
        (after != OwnPreview::default()).then_some(after)
    }
}

/// A picture is fetched by whoever shows it: it is looked at like what the link leads to (trap 19).
pub(super) fn check(preview: &OwnPreview, request: &Request) -> Result<(), LinkError> {
    let Some(image) = &preview.image else { return Ok(()) };
    check_destination(image, DestinationField::PreviewImage, request)
}

/// The event of a change, if it is one.
pub(super) fn decide(
    before: Option<&OwnPreview>,
    edit: &EditPreview,
    request: &Request,
) -> Result<Option<LinkEvent>, LinkError> {
    let preview = edit.apply(before);
    if preview.as_ref() == before {
        return Ok(None);
    }
    if let Some(preview) = &preview {
        check(preview, request)?;
    }
    Ok(Some(LinkEvent::PreviewChanged(LinkPreviewChanged { preview })))
}

/// What the page at a destination calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageTitle {
    /// The destination that was looked at.
    pub url: Destination,
    /// What it calls itself.
    pub title: Title,
}

/// Whether the service may look what a link's destination calls itself, and has not yet. Not at what is not for everybody, or
/// good for so many visits only: to look may be one. Nor where the link leads nobody now: of one that is not valid yet, nobody
/// learns that it will be there.
#[must_use]
pub fn wants_title(link: &Link, now: DateTime<Utc>) -> bool {
    let is_guarded = link.extras.password.is_some() || link.extras.max_clicks.is_some();
    let is_named = link.title.is_some() || link.extras.fetched_title.is_some();
    let has_ended = link.expires_at.is_some_and(|expires_at| expires_at <= now);
    let is_served = link.state == LinkState::Active && !has_ended;
    is_served && !link.extras.is_before_validity(now) && !is_guarded && !is_named
}

/// Only while the link leads there still, and its owner has named it in no other way.
pub(super) fn note_title(link: &Link, page: &PageTitle, now: DateTime<Utc>) -> Vec<LinkEvent> {
    let PageTitle { url, title } = page.clone();
    if link.url != url || !wants_title(link, now) {
        return Vec::new();
    }
    vec![LinkEvent::TitleFetched(LinkTitleFetched { url, title: Some(title) })]
}
