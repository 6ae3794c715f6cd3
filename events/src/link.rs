//! What can happen to a link. One stream per link; its first event is always [`LinkCreated`].

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::position::{StreamId, Topic};

mod budget;
mod code;
mod destination;
mod extras;
mod labels;
mod oversight;
mod password;
mod preview;
mod rules;
mod split;
mod state;

pub use budget::{
    LinkClicksGranted, LinkMaxClicksChanged, MAX_CLICKS_MAX, MaxClicks, MaxClicksError,
};
pub use code::{CODE_CHARS_MAX, CodeError, DOMAIN_CHARS_MAX, Domain, SERVICE_DOMAIN, ShortCode};
pub use destination::{Destination, DestinationError, ERASED_DESTINATION, URL_BYTES_MAX};
pub use extras::{
    Extras, LinkArchived, LinkExpiredUrlChanged, LinkExternalIdClaimed, LinkPasswordChanged,
    LinkPathForwardingChanged, LinkQueryForwardingChanged, LinkUnarchived, LinkValidFromChanged,
    QueryForwarding, QueryForwardingError,
};
pub use labels::{
    Description, ExternalId, LabelError, Note, OwnerId, Reason, Statement, TAGS_MAX, Tag, Tags,
    Title,
};
pub use oversight::{
    ENTRIES_CLEARED_MAX, FoundBy, LinkAppealed, LinkQuarantined, LinkReleased, LinkReported,
    Oversight, Quarantine, ReportCategory, UnknownCategory,
};
pub use password::{PasswordHash, PasswordHashError};
pub use preview::{LinkPreviewChanged, LinkTitleFetched, OwnPreview};
pub use rules::{
    Conditions, Country, Day, Device, HostPattern, LanguageRange, LinkRulesChanged, Network,
    NetworkError, ParameterText, RULE_PARAMETERS_MAX, RULE_VALUES_MAX, RULES_BYTES_MAX, RULES_MAX,
    Rule, Rules, RulesError, ServedName, TimeOfDay, TimeWindow, TimeZone, ValueError, VisitorKind,
    WindowError, Word,
};
pub use split::{
    LinkSplitChanged, SPLIT_BYTES_MAX, Split, SplitError, VARIANTS_MAX, VARIANTS_MIN, Variant,
    WEIGHT_MAX, Weight, WeightError,
};
pub use state::{LinkState, UnknownState};

/// The identity of a link: a code is unique per domain and is never given out twice.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct LinkKey {
    /// The domain the link lives on.
    pub domain: Domain,
    /// The path behind it.
    pub code: ShortCode,
}

impl LinkKey {
    /// The stream that holds this link's events.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        StreamId::new(Topic::Links, self.to_string())
    }
}

impl std::fmt::Display for LinkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.domain, self.code)
    }
}

impl std::str::FromStr for LinkKey {
    type Err = CodeError;

    /// Reads the key of a link's stream: `<domain>/<code>`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (domain, code) = text.split_once('/').ok_or(CodeError::Host)?;
        Ok(Self { domain: domain.parse()?, code: code.parse()? })
    }
}

/// The status a redirect answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u16", into = "u16")]
#[schemars(with = "u16", extend("enum" = [301, 302, 307, 308]))]
pub enum RedirectStatus {
    /// 301: browsers keep it for good; later edits and clicks may never be seen.
    MovedPermanently,
    /// 302, the default.
    #[default]
    Found,
    /// 307: like 302, the method is kept.
    TemporaryRedirect,
    /// 308: like 301, the method is kept.
    PermanentRedirect,
}

impl RedirectStatus {
    /// The status that nobody keeps for good.
    #[must_use]
    pub fn temporary(self) -> Self {
        match self {
            Self::MovedPermanently | Self::Found => Self::Found,
            Self::TemporaryRedirect | Self::PermanentRedirect => Self::TemporaryRedirect,
        }
    }
}

impl From<RedirectStatus> for u16 {
    fn from(status: RedirectStatus) -> u16 {
        match status {
            RedirectStatus::MovedPermanently => 301,
            RedirectStatus::Found => 302,
            RedirectStatus::TemporaryRedirect => 307,
            RedirectStatus::PermanentRedirect => 308,
        }
    }
}

impl TryFrom<u16> for RedirectStatus {
    type Error = &'static str;

    fn try_from(status: u16) -> Result<Self, Self::Error> {
        match status {
            301 => Ok(RedirectStatus::MovedPermanently),
            302 => Ok(RedirectStatus::Found),
            307 => Ok(RedirectStatus::TemporaryRedirect),
            308 => Ok(RedirectStatus::PermanentRedirect),
            _ => Err("not a redirect status: expected 301, 302, 307 or 308"),
        }
    }
}

/// One fact about one link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "most events are creations, which would be boxed")]
pub enum LinkEvent {
    /// The link exists from now on.
    Created(LinkCreated),
    /// It leads somewhere else.
    DestinationChanged(LinkDestinationChanged),
    /// It expires at another instant, or never.
    ExpiryChanged(LinkExpiryChanged),
    /// It redirects with another status.
    RedirectChanged(LinkRedirectChanged),
    /// It has another title, or none.
    Titled(LinkTitled),
    /// It has another set of tags.
    Tagged(LinkTagged),
    /// It has another note, or none.
    Noted(LinkNoted),
    /// Its name in the owner's own system changed.
    ExternalIdChanged(LinkExternalIdChanged),
    /// It is served from another instant on.
    ValidFromChanged(LinkValidFromChanged),
    /// It leads somewhere else once it has expired, or nowhere.
    ExpiredUrlChanged(LinkExpiredUrlChanged),
    /// Lists leave it out.
    Archived(LinkArchived),
    /// It is listed again.
    Unarchived(LinkUnarchived),
    /// The query of visitors is forwarded in another way, or not.
    QueryForwardingChanged(LinkQueryForwardingChanged),
    /// The path behind the code is forwarded, or no more.
    PathForwardingChanged(LinkPathForwardingChanged),
    /// Visitors have to know another password, or none.
    PasswordChanged(LinkPasswordChanged),
    /// It is good for another number of clicks, or for any.
    MaxClicksChanged(LinkMaxClicksChanged),
    /// Visitors were given some of the clicks that it is good for.
    ClicksGranted(LinkClicksGranted),
    /// It leads some visitors somewhere else than before.
    RulesChanged(LinkRulesChanged),
    /// It shares its visitors in another way, or not.
    SplitChanged(LinkSplitChanged),
    /// Chats and networks show something else of it.
    PreviewChanged(LinkPreviewChanged),
    /// The service has looked what its destination calls itself.
    TitleFetched(LinkTitleFetched),
    /// It leads nowhere until it is released.
    Quarantined(LinkQuarantined),
    /// Its quarantine has ended.
    Released(LinkReleased),
    /// Its owner says that it should be released.
    Appealed(LinkAppealed),
    /// Somebody says that it does harm.
    Reported(LinkReported),
    /// It redirects no more, until it is enabled.
    Disabled(LinkDisabled),
    /// It redirects again.
    Enabled(LinkEnabled),
    /// Its expiry instant has passed.
    Expired(LinkExpired),
    /// It is gone; its code stays taken.
    Deleted(LinkDeleted),
    /// There is no link: the request that could have made it chose another code.
    CodeForgone(LinkCodeForgone),
    /// There is no link: the stream stands for an external id, and says which link may take it.
    ExternalIdClaimed(LinkExternalIdClaimed),
    /// Nobody knows any more what it was about.
    Erased(LinkErased),
}

/// The first event of every link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkCreated {
    /// The domain the link lives on.
    pub domain: Domain,
    /// The path behind it.
    pub code: ShortCode,
    /// Where it leads.
    pub url: Destination,
    /// Who it belongs to.
    pub owner: OwnerId,
    /// From this instant on it is not served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The status of the redirect.
    pub redirect: RedirectStatus,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// Labels to find it by.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Free text for the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
    /// Its name in the owner's own system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<ExternalId>,
    /// What most links do without.
    #[serde(flatten)]
    pub extras: Extras,
}

/// The link leads somewhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkDestinationChanged {
    /// Where it leads now.
    pub url: Destination,
}

/// The link expires at another instant, or never. An expired link that gets a later instant,
/// or none, lives again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkExpiryChanged {
    /// From this instant on it is not served; `null`: never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The link redirects with another status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkRedirectChanged {
    /// The status now.
    pub redirect: RedirectStatus,
}

/// The link has another title, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkTitled {
    /// The title now.
    pub title: Option<Title>,
}

/// The link has another set of tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkTagged {
    /// All tags it has now.
    pub tags: Tags,
}

/// The link has another note, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkNoted {
    /// The note now.
    pub note: Option<Note>,
}

/// The link's name in the owner's own system changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkExternalIdChanged {
    /// The name now.
    pub external_id: Option<ExternalId>,
}

/// The link redirects no more, until it is enabled.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LinkDisabled {}

/// The link redirects again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LinkEnabled {}

/// The link's expiry instant has passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkExpired {
    /// The instant that has passed; the link was not served after it, whenever this was noticed.
    pub expires_at: DateTime<Utc>,
}

/// The link is gone; its code stays taken for ever.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LinkDeleted {}

/// A request with an idempotency key chose a code of its own. The stream of the code that the key
/// stands for remembers it, so that the key can't be used for another request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkCodeForgone {
    /// The code that was chosen.
    pub chosen: ShortCode,
    /// The domain it was chosen on, where that is another one than this stream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
}

/// The link's personal data was erased from the log; it is deleted before or with this.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LinkErased {}
