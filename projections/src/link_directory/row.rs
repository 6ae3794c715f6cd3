//! One link as the tables hold it.

use chrono::{DateTime, Utc};
use hoplog_events::link::{
    Destination, ExternalId, Extras, LinkCreated, LinkEvent, LinkKey, LinkState, Note, OwnerId,
    RedirectStatus, Tag, Tags, Title,
};
use hoplog_events::position::{Sequence, Version};

use crate::database::{Column, DatabaseError, Row, Rows};

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRow {
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
    /// What became of it.
    pub state: LinkState,
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
    /// How many events it is the sum of.
    pub version: Version,
    /// The last of them in its topic.
    pub sequence: Sequence,
}

impl LinkRow {
    pub(super) fn new(
        created: LinkCreated,
        created_at: DateTime<Utc>,
        version: Version,
        sequence: Sequence,
    ) -> Self {
        Self {
            key: LinkKey { domain: created.domain, code: created.code },
            url: created.url,
            owner: created.owner,
            created_at,
            expires_at: created.expires_at,
            redirect: created.redirect,
            state: LinkState::Active,
            title: created.title,
            tags: created.tags,
            note: created.note,
            external_id: created.external_id,
            extras: created.extras,
            version,
            sequence,
        }
    }

    /// What one more event makes of the link.
    pub(super) fn apply(&mut self, event: LinkEvent, version: Version, sequence: Sequence) {
        self.extras.apply(&event);
        self.state.apply(&mut self.extras, &event);
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
            LinkEvent::DestinationChanged(changed) => self.url = changed.url,
            LinkEvent::ExpiryChanged(changed) => self.expires_at = changed.expires_at,
            LinkEvent::RedirectChanged(changed) => self.redirect = changed.redirect,
            LinkEvent::Titled(changed) => self.title = changed.title,
            LinkEvent::Tagged(changed) => self.tags = changed.tags,
            LinkEvent::Noted(changed) => self.note = changed.note,
            LinkEvent::ExternalIdChanged(changed) => self.external_id = changed.external_id,
            LinkEvent::Erased(_) => self.erase(),
        }
        self.version = version;
        self.sequence = sequence;
    }

    /// What was written in it by people is gone.
    fn erase(&mut self) {
        self.url = Destination::erased();
        (self.title, self.note, self.external_id) = (None, None, None);
        self.tags = Tags::default();
    }

    /// The columns in the order of [`COLUMNS`]. The number is the place of the link's first event in its
    /// topic: links are told apart by it, and it grows as they are created.
    pub(super) fn push_to(&self, number: Sequence, rows: &mut Rows) {
        let tags: Vec<&str> = self.tags.iter().map(Tag::as_str).collect();
        rows.push(|row| {
            row.text(&self.key.to_string())
                .text(self.key.domain.as_str())
                .text(self.key.code.as_str())
                .text(self.url.as_str())
                .text(self.owner.as_str())
                .int(self.created_at.timestamp_micros())
                .optional_int(self.expires_at.map(|at| at.timestamp_micros()))
                .int(u16::from(self.redirect).into())
                .text(self.state.name())
                .optional_text(self.title.as_ref().map(Title::as_str))
                .optional_text(self.note.as_ref().map(Note::as_str))
                .optional_text(self.external_id.as_ref().map(ExternalId::as_str))
                .text(&tags.join("\n"))
                .count(self.version.0)
                .count(self.sequence.0)
                .int(self.extras.archived.into())
                .optional_int(self.extras.valid_from.map(|at| at.timestamp_micros()))
                .optional_text(self.extras_as_json().as_deref())
                .count(number.0);
        });
    }

    /// `None`: there are none. It never is for want of a way to write them.
    fn extras_as_json(&self) -> Option<String> {
        if self.extras.is_empty() { None } else { serde_json::to_string(&self.extras).ok() }
    }

    /// Reads [`SELECTED`].
    pub(super) fn read(row: &Row) -> Result<Self, DatabaseError> {
        let broken = |reason: &str| crate::database::bad_row(reason);
        let tags = row.text(10)?.split('\n').filter(|tag| !tag.is_empty());
        let tags: Result<Vec<Tag>, _> = tags.map(str::parse).collect();
        let tags = tags.and_then(Tags::try_from).map_err(|error| broken(&error.to_string()))?;
        let redirect = u16::try_from(row.int(5)?).ok().and_then(|code| code.try_into().ok());
        let expires_at = row.optional_int(4)?.and_then(DateTime::from_timestamp_micros);
        let extras = row.optional_text(13)?.map_or(Ok(Extras::default()), serde_json::from_str);
        Ok(Self {
            key: row.parse(0)?,
            url: row.parse(1)?,
            owner: row.parse(2)?,
            created_at: row.instant(3)?,
            expires_at,
            redirect: redirect.ok_or_else(|| broken("not a redirect status"))?,
            state: row.parse(6)?,
            title: row.optional_parse(7)?,
            note: row.optional_parse(8)?,
            external_id: row.optional_parse(9)?,
            tags,
            extras: extras.map_err(|error| broken(&error.to_string()))?,
            version: Version(row.count(11)?),
            sequence: Sequence(row.count(12)?),
        })
    }
}

/// What [`LinkRow::read`] reads.
pub(super) const SELECTED: &str = "l.link, l.url, l.owner, l.created_at, l.expires_at, \
    l.redirect, l.state, l.title, l.note, l.external_id, l.tags, l.version, l.sequence, \
    l.extras";

/// How many columns that is.
pub(super) const SELECTED_COLUMNS: usize = 14;

/// The columns of the table, in its order.
pub(super) const COLUMNS: &[Column] = &[
    Column::Text("link"),
    Column::Text("domain"),
    Column::Text("code"),
    Column::Text("url"),
    Column::Text("owner"),
    Column::Int("created_at"),
    Column::Int("expires_at"),
    Column::Int("redirect"),
    Column::Text("state"),
    Column::Text("title"),
    Column::Text("note"),
    Column::Text("external_id"),
    Column::Text("tags"),
    Column::Int("version"),
    Column::Int("sequence"),
    Column::Int("archived"),
    Column::Int("valid_from"),
    Column::Text("extras"),
    Column::Int("number"),
];
