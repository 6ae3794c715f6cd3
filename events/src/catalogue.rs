//! Every event type there is: its name with its version, and the Rust type of its data.
//! A new event is a new line here; a changed one is a new version and an upcaster.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::account::{AccountEvent, ApiKeyCreated, ApiKeyRevoked, CodeSecretMade};
use crate::click::{ClickEvent, ClicksErased, ClicksRecorded};
use crate::domain::{DomainAdded, DomainChanged, DomainEvent, DomainRemoved};
use crate::link::{
    LinkAppealed, LinkArchived, LinkClicksGranted, LinkCodeForgone, LinkCreated, LinkDeleted,
    LinkDestinationChanged, LinkDisabled, LinkEnabled, LinkErased, LinkEvent, LinkExpired,
    LinkExpiredUrlChanged, LinkExpiryChanged, LinkExternalIdChanged, LinkExternalIdClaimed,
    LinkMaxClicksChanged, LinkNoted, LinkPasswordChanged, LinkPathForwardingChanged,
    LinkPreviewChanged, LinkQuarantined, LinkQueryForwardingChanged, LinkRedirectChanged,
    LinkReleased, LinkReported, LinkRulesChanged, LinkSplitChanged, LinkTagged, LinkTitleFetched,
    LinkTitled, LinkUnarchived, LinkValidFromChanged,
};
use crate::orphan::{OrphanEvent, OrphansRecorded};
use crate::position::Topic;
use crate::upcast;
use crate::webhook::{
    WebhookChanged, WebhookCreated, WebhookDeleted, WebhookDisabled, WebhookEnabled, WebhookEvent,
    WebhookSecretRotated,
};

/// Any event of any aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something happened to a link.
    Link(LinkEvent),
    /// Clicks were recorded.
    Click(ClickEvent),
    /// Visits led nowhere.
    Orphan(OrphanEvent),
    /// Something happened to an API key, or to the service.
    Account(AccountEvent),
    /// Something happened to a webhook.
    Webhook(WebhookEvent),
    /// Something happened to a domain.
    Domain(DomainEvent),
}

/// The type of clicks, which are written without an [`Event`].
pub(crate) const CLICKS_RECORDED: &str = "hoplog.clicks.recorded.v1";

/// The type of what a link's budget was spent on: it comes often, and most of it changes nothing of where a link
/// leads.
pub const CLICKS_GRANTED: &str = "hoplog.link.clicks-granted.v1";

/// The current version of one event type, as documented in `docs/events.md`.
#[derive(Debug, Clone, Copy)]
pub struct EventType {
    /// The CloudEvents `type`, ending in the version.
    pub name: &'static str,
    /// The topic it is appended to.
    pub topic: Topic,
    /// The JSON Schema of its `data`.
    pub schema: fn() -> schemars::Schema,
}

/// The data of an event is not what its type says. The event can't be handled by this version.
#[derive(Debug, Clone, thiserror::Error)]
#[error("data of {event_type}: {reason}")]
pub struct DecodeError {
    /// The type as it was written.
    pub event_type: String,
    /// What is wrong with the data.
    pub reason: String,
}

macro_rules! catalogue {
    ($($name:literal, $topic:ident: $family:ident($events:ident::$variant:ident($data:ident));)*) => {
        /// The current version of every event type, in the order of the documentation.
        pub const EVENT_TYPES: &[EventType] = &[$(
            EventType { name: $name, topic: Topic::$topic, schema: || schemars::schema_for!($data) },
        )*];

        impl Event {
            /// The CloudEvents `type` this event is written with.
            #[must_use]
            pub fn type_name(&self) -> &'static str {
                match self { $(Event::$family($events::$variant(_)) => $name,)* }
            }

            /// The event's data as JSON.
            pub(crate) fn data(&self) -> Result<Box<RawValue>, serde_json::Error> {
                match self {
                    $(Event::$family($events::$variant(data)) => serde_json::value::to_raw_value(data),)*
                }
            }

            /// Reads data written with any version of any known type; `None`: the type is
            /// unknown here (a newer version wrote it) and is to be skipped.
            ///
            /// # Errors
            /// When the data does not fit the type.
            pub fn decode(event_type: &str, data: &str) -> Result<Option<Event>, DecodeError> {
                match event_type {
                    $($name => parse(event_type, data).map(|data| Some(Event::$family($events::$variant(data)))),)*
                    old => match upcast::upcast(old, data)? {
                        Some((newer, data)) => Event::decode(newer, &data),
                        None => Ok(None),
                    },
                }
            }
        }

        $(impl From<$data> for Event {
            fn from(data: $data) -> Event {
                Event::$family($events::$variant(data))
            }
        })*
    };
}

catalogue! {
    "hoplog.link.created.v2", Links: Link(LinkEvent::Created(LinkCreated));
    "hoplog.link.destination-changed.v1", Links: Link(LinkEvent::DestinationChanged(LinkDestinationChanged));
    "hoplog.link.expiry-changed.v1", Links: Link(LinkEvent::ExpiryChanged(LinkExpiryChanged));
    "hoplog.link.redirect-changed.v1", Links: Link(LinkEvent::RedirectChanged(LinkRedirectChanged));
    "hoplog.link.titled.v1", Links: Link(LinkEvent::Titled(LinkTitled));
    "hoplog.link.tagged.v1", Links: Link(LinkEvent::Tagged(LinkTagged));
    "hoplog.link.noted.v1", Links: Link(LinkEvent::Noted(LinkNoted));
    "hoplog.link.external-id-changed.v1", Links: Link(LinkEvent::ExternalIdChanged(LinkExternalIdChanged));
    "hoplog.link.valid-from-changed.v1", Links: Link(LinkEvent::ValidFromChanged(LinkValidFromChanged));
    "hoplog.link.expired-url-changed.v1", Links: Link(LinkEvent::ExpiredUrlChanged(LinkExpiredUrlChanged));
    "hoplog.link.archived.v1", Links: Link(LinkEvent::Archived(LinkArchived));
    "hoplog.link.unarchived.v1", Links: Link(LinkEvent::Unarchived(LinkUnarchived));
    "hoplog.link.query-forwarding-changed.v1", Links: Link(LinkEvent::QueryForwardingChanged(LinkQueryForwardingChanged));
    "hoplog.link.path-forwarding-changed.v1", Links: Link(LinkEvent::PathForwardingChanged(LinkPathForwardingChanged));
    "hoplog.link.password-changed.v1", Links: Link(LinkEvent::PasswordChanged(LinkPasswordChanged));
    "hoplog.link.max-clicks-changed.v1", Links: Link(LinkEvent::MaxClicksChanged(LinkMaxClicksChanged));
    "hoplog.link.clicks-granted.v1", Links: Link(LinkEvent::ClicksGranted(LinkClicksGranted));
    "hoplog.link.rules-changed.v1", Links: Link(LinkEvent::RulesChanged(LinkRulesChanged));
    "hoplog.link.split-changed.v1", Links: Link(LinkEvent::SplitChanged(LinkSplitChanged));
    "hoplog.link.preview-changed.v1", Links: Link(LinkEvent::PreviewChanged(LinkPreviewChanged));
    "hoplog.link.title-fetched.v1", Links: Link(LinkEvent::TitleFetched(LinkTitleFetched));
    "hoplog.link.quarantined.v1", Links: Link(LinkEvent::Quarantined(LinkQuarantined));
    "hoplog.link.released.v1", Links: Link(LinkEvent::Released(LinkReleased));
    "hoplog.link.appealed.v1", Links: Link(LinkEvent::Appealed(LinkAppealed));
    "hoplog.link.reported.v1", Links: Link(LinkEvent::Reported(LinkReported));
    "hoplog.link.disabled.v1", Links: Link(LinkEvent::Disabled(LinkDisabled));
    "hoplog.link.enabled.v1", Links: Link(LinkEvent::Enabled(LinkEnabled));
    "hoplog.link.expired.v1", Links: Link(LinkEvent::Expired(LinkExpired));
    "hoplog.link.deleted.v1", Links: Link(LinkEvent::Deleted(LinkDeleted));
    "hoplog.link.code-forgone.v1", Links: Link(LinkEvent::CodeForgone(LinkCodeForgone));
    "hoplog.link.external-id-claimed.v1", Links: Link(LinkEvent::ExternalIdClaimed(LinkExternalIdClaimed));
    "hoplog.link.erased.v1", Links: Link(LinkEvent::Erased(LinkErased));
    "hoplog.clicks.recorded.v1", Clicks: Click(ClickEvent::Recorded(ClicksRecorded));
    "hoplog.clicks.erased.v1", Clicks: Click(ClickEvent::Erased(ClicksErased));
    "hoplog.orphans.recorded.v1", Clicks: Orphan(OrphanEvent::Recorded(OrphansRecorded));
    "hoplog.api-key.created.v1", Accounts: Account(AccountEvent::ApiKeyCreated(ApiKeyCreated));
    "hoplog.api-key.revoked.v1", Accounts: Account(AccountEvent::ApiKeyRevoked(ApiKeyRevoked));
    "hoplog.code-secret.made.v1", Accounts: Account(AccountEvent::CodeSecretMade(CodeSecretMade));
    "hoplog.webhook.created.v1", Accounts: Webhook(WebhookEvent::Created(WebhookCreated));
    "hoplog.webhook.changed.v1", Accounts: Webhook(WebhookEvent::Changed(WebhookChanged));
    "hoplog.webhook.secret-rotated.v1", Accounts: Webhook(WebhookEvent::SecretRotated(WebhookSecretRotated));
    "hoplog.webhook.disabled.v1", Accounts: Webhook(WebhookEvent::Disabled(WebhookDisabled));
    "hoplog.webhook.enabled.v1", Accounts: Webhook(WebhookEvent::Enabled(WebhookEnabled));
    "hoplog.webhook.deleted.v1", Accounts: Webhook(WebhookEvent::Deleted(WebhookDeleted));
    "hoplog.domain.added.v1", Accounts: Domain(DomainEvent::Added(DomainAdded));
    "hoplog.domain.changed.v1", Accounts: Domain(DomainEvent::Changed(DomainChanged));
    "hoplog.domain.removed.v1", Accounts: Domain(DomainEvent::Removed(DomainRemoved));
}

impl From<LinkEvent> for Event {
    fn from(event: LinkEvent) -> Event {
        Event::Link(event)
    }
}

impl From<WebhookEvent> for Event {
    fn from(event: WebhookEvent) -> Event {
        Event::Webhook(event)
    }
}

impl From<DomainEvent> for Event {
    fn from(event: DomainEvent) -> Event {
        Event::Domain(event)
    }
}

impl From<AccountEvent> for Event {
    fn from(event: AccountEvent) -> Event {
        Event::Account(event)
    }
}

pub(crate) fn parse<T: DeserializeOwned>(event_type: &str, data: &str) -> Result<T, DecodeError> {
    serde_json::from_str(data).map_err(|error| DecodeError {
        event_type: event_type.to_owned(),
        reason: error.to_string(),
    })
}
