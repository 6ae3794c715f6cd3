//! The link: its state, the commands it takes, and the events that follow.

use std::num::NonZeroU32;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hoplog_events::link::{
    Destination, ExternalId, Extras, LinkEvent, LinkKey, LinkState, Note, OwnerId, RedirectStatus,
    Tag, Tags, Title, URL_BYTES_MAX,
};
use hoplog_events::position::Version;

use crate::domain::blocklist::BlockLists;
use crate::domain::domains::Domains;
use crate::domain::utm::EditUtm;

mod decide;
mod evolve;
mod extras;
mod oversight;
mod preview;
#[cfg(test)]
mod tests;

pub use decide::decide;
pub use evolve::evolve;
pub use extras::EditExtras;
pub use oversight::{Oversee, REPORTS_MAX, Report, destinations, uncleared};
pub use preview::{EditPreview, PageTitle, wants_title};

/// A link: the sum of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its identity.
    pub key: LinkKey,
    /// Where it leads.
    pub url: Destination,
    /// Whose it is.
    pub owner: OwnerId,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// From this instant on it is not served.
    pub expires_at: Option<DateTime<Utc>>,
    /// The status of the redirect.
    pub redirect: RedirectStatus,
    /// A name for people.
    pub title: Option<Title>,
    /// Labels.
    pub tags: Tags,
    /// Free text.
    pub note: Option<Note>,
    /// Its name in the owner's system.
    pub external_id: Option<ExternalId>,
    /// What most links do without.
    pub extras: Extras,
    /// What became of it.
    pub state: LinkState,
    /// Whether what people wrote in it was erased, for good.
    pub is_erased: bool,
    /// How many events it is the sum of.
    pub version: Version,
}

impl Link {
    /// The state that the link's owner has given it: also of one in quarantine.
    #[must_use]
    pub fn own_state(&self) -> LinkState {
        self.extras.quarantine().map_or(self.state, |quarantine| quarantine.was)
    }

    /// The status that redirects are answered with: nobody may keep for good where a link leads that is good for so
    /// many clicks, or leads others elsewhere.
    #[must_use]
    pub fn answered_redirect(&self) -> RedirectStatus {
        answered_redirect(self.redirect, &self.extras)
    }
}

/// The same of a link of which only this is known.
#[must_use]
pub fn answered_redirect(redirect: RedirectStatus, extras: &Extras) -> RedirectStatus {
    let varies = extras.max_clicks.is_some() || extras.leads_apart();
    if varies { redirect.temporary() } else { redirect }
}

/// Who wants something of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requester {
    /// The holder of a key of this owner.
    Owner(OwnerId),
    /// An administrator, or the service itself.
    Admin,
}

impl Requester {
    /// Whether a link of this owner exists for them.
    #[must_use]
    pub fn sees(&self, owner: &OwnerId) -> bool {
        match self {
            Requester::Owner(own) => own == owner,
            Requester::Admin => true,
        }
    }
}

/// What somebody wants of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkCommand {
    /// A new link.
    Create(Box<CreateLink>),
    /// Some of its properties changed.
    Edit(Box<EditLink>),
    /// One of its tags called otherwise, if it has it.
    RenameTag(Box<RenameTag>),
    /// No more redirects for now.
    Disable,
    /// Redirects again.
    Enable,
    /// In quarantine, or out of it.
    Oversee(Box<Oversee>),
    /// What its destination calls itself noted, if it leads there still.
    NoteTitle(Box<PageTitle>),
    /// Its end noted, if it has come.
    Expire,
    /// So many of the clicks that it is good for, for visitors who wait; none is needed where it is good for any.
    GrantClicks(NonZeroU32),
    /// Gone for good.
    Delete,
    /// Gone, and what people wrote in it as well.
    Erase,
}

/// A new link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateLink {
    /// Its identity.
    pub key: LinkKey,
    /// Where it shall lead.
    pub url: Destination,
    /// Whose it shall be.
    pub owner: OwnerId,
    /// When it shall end.
    pub expires_at: Option<DateTime<Utc>>,
    /// The status of the redirect.
    pub redirect: RedirectStatus,
    /// A name for people.
    pub title: Option<Title>,
    /// Labels.
    pub tags: Tags,
    /// Free text.
    pub note: Option<Note>,
    /// Its name in the owner's system.
    pub external_id: Option<ExternalId>,
    /// What most links do without.
    pub extras: Extras,
}

/// Properties to change; `None`: stays as it is, `Some(None)`: is cleared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EditLink {
    /// Where it shall lead.
    pub url: Option<Destination>,
    /// When it shall end.
    pub expires_at: Option<Option<DateTime<Utc>>>,
    /// The status of the redirect.
    pub redirect: Option<RedirectStatus>,
    /// A name for people.
    pub title: Option<Option<Title>>,
    /// Labels.
    pub tags: Option<Tags>,
    /// Free text.
    pub note: Option<Option<Note>>,
    /// Its name in the owner's system.
    pub external_id: Option<Option<ExternalId>>,
    /// What most links do without.
    pub extras: EditExtras,
    /// The campaign fields of where it leads, or shall lead.
    pub utm: EditUtm,
}

/// Another name for a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenameTag {
    /// What it is called.
    pub from: Tag,
    /// What it shall be called; a link that has a tag of this name has one of the two then.
    pub to: Tag,
}

/// A command with what its rules need to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who wants it.
    pub requester: Requester,
    /// When.
    pub now: DateTime<Utc>,
    /// Only if the link has one of these versions; a new one: only at one of these of its stream.
    pub expected: Option<Vec<Version>>,
    /// Only while the link has this external id.
    pub named: Option<ExternalId>,
    /// The hosts of this service: a link to them would lead in a circle.
    pub own_hosts: Vec<Box<str>>,
    /// Its other domains: likewise.
    pub domains: Arc<Domains>,
    /// Where else no link may lead.
    pub blocked: Arc<BlockLists>,
    /// What.
    pub command: LinkCommand,
}

impl Request {
    /// Of the service itself, which leads no link anywhere: whatever version the link has.
    #[must_use]
    pub fn of_service(command: LinkCommand, now: DateTime<Utc>) -> Self {
        Self {
            requester: Requester::Admin,
            now,
            expected: None,
            named: None,
            own_hosts: Vec::new(),
            domains: Arc::default(),
            blocked: Arc::default(),
            command,
        }
    }
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Choose another code; this one is taken, or was once.
    #[error("the code {0} is taken")]
    CodeTaken(LinkKey),
    /// Check the code: there is no such link, or it is somebody else's.
    #[error("there is no such link")]
    NotFound,
    /// Nothing can be done with a deleted link.
    #[error("the link was deleted")]
    Deleted,
    /// Load the link again and decide again.
    #[error("the link is at version {actual}, which is not the expected one")]
    VersionMismatch {
        /// The version it has.
        actual: Version,
    },
    /// Choose an instant in the future.
    #[error("the expiry must lie in the future")]
    ExpiryPassed,
    /// Choose an earlier instant.
    #[error("the expiry must lie within 100 years")]
    ExpiryTooFar,
    /// Choose another destination.
    #[error("the destination is on this service itself; a short link can't lead to short links")]
    Loop(DestinationField),
    /// Choose another destination, or ask the operator about the entry.
    #[error("the destination is on the block list of this service, by the entry {entry}")]
    Blocked {
        /// Which destination.
        field: DestinationField,
        /// The entry of the list.
        entry: Box<str>,
    },
    /// There is nothing to say against.
    #[error("the link is in no quarantine")]
    NotQuarantined,
    /// Choose an earlier instant.
    #[error("the instant must lie within 100 years")]
    ValidFromTooFar,
    /// Choose an instant before the link's end, or move that.
    #[error("the link would end before it is valid")]
    ValidFromBehindEnd,
    /// Choose shorter campaign fields, or fewer rules or variants.
    #[error(
        "a destination would be longer than {URL_BYTES_MAX} bytes with these fields, or the rules or the split too long"
    )]
    UtmTooLong,
    /// Give fewer clicks, or none.
    #[error("of the clicks that the link is good for, {left} are left")]
    ClicksSpent {
        /// How many there are.
        left: u32,
    },
    /// Choose another external id, or change the link that has it.
    #[error("the external id is that of the link {0}")]
    ExternalIdTaken(LinkKey),
}

/// Which destination of a link is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationField {
    /// Where it leads.
    Url,
    /// Where it leads once it has expired.
    ExpiredUrl,
    /// Where its rule at this place leads, from 0.
    Rule(usize),
    /// Where the variant at this place of its split leads, from 0.
    Variant(usize),
    /// Where the picture is that chats and networks show of it.
    PreviewImage,
}

/// A link after some events; `None`: after none.
pub fn replay<'e>(
    key: &LinkKey,
    events: impl IntoIterator<Item = (&'e LinkEvent, DateTime<Utc>)>,
) -> Option<Link> {
    events.into_iter().fold(None, |link, (event, at)| evolve(link, key, event, at))
}
