//! What is known of a click when it happens. Clicks are recorded in batches: one
//! [`ClicksRecorded`] event per batch and node, because a message per click costs ten times as much.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::link::{Domain, LinkKey, ShortCode};

mod data;
mod instant;

pub use data::ClicksData;

/// One fact about clicks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClickEvent {
    /// A batch of clicks was recorded.
    Recorded(ClicksRecorded),
    /// It was forgotten who made some clicks.
    Erased(ClicksErased),
}

/// Clicks that were recorded together, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClicksRecorded {
    /// The clicks. The id of a click is the event's id, a dash and its place here (from 0).
    pub clicks: Vec<Click<'static>>,
}

/// Clicks were made anonymous: readers that keep clicks have to forget who made them. Says for each
/// what stands in the place of the visitor and the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClicksErased {
    /// The clicks.
    pub clicks: Vec<ErasedClickRecord>,
}

/// A click of which nobody knows any more who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErasedClickRecord {
    /// The event that recorded it.
    pub event: Uuid,
    /// Its place there, from 0.
    pub place: u32,
    /// The link's domain.
    pub domain: Domain,
    /// The link's code.
    pub code: ShortCode,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What stands in the place of the visitor: nobody's hash, that counts the same.
    pub visitor: VisitorHash,
    /// What stands in the place of the `User-Agent` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Box<str>>,
}

/// One visit to a short link, as raw as it may be kept, so that better classification can be
/// replayed over history. The address itself is dropped unless the operator keeps it.
// What is written down borrows from the request it is made of; what is read back owns itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Click<'a> {
    /// The link's domain.
    pub domain: Cow<'a, Domain>,
    /// The link's code.
    pub code: Cow<'a, ShortCode>,
    /// When it happened.
    #[serde(serialize_with = "instant::serialize")]
    pub at: DateTime<Utc>,
    /// The HTTP method, when it was not `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Cow<'a, str>>,
    /// `Sec-Purpose`, or `Purpose` of older browsers: a prefetch is not a visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Cow<'a, str>>,
    /// The `User-Agent` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Cow<'a, str>>,
    /// The `Referer` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<Cow<'a, str>>,
    /// The first language of `Accept-Language`, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Cow<'a, str>>,
    /// ISO 3166 code of the country, in upper case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Cow<'a, str>>,
    /// The region's name or code, when the operator's database has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Cow<'a, str>>,
    /// The city's name, when the operator's database has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<Cow<'a, str>>,
    /// A hash of address and user agent under a salt that changes every UTC day and is then
    /// destroyed: the same visitor on the same day, and nobody on any other.
    pub visitor: VisitorHash,
    /// The address, only where the operator keeps addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Cow<'a, str>>,
    /// Campaign parameters of the request or, where it has none, of the destination.
    #[serde(default, skip_serializing_if = "Utm::is_empty")]
    pub utm: Utm<'a>,
    /// The rule of the link that said where the visitor was led: its name, or its number (from 1). A rule that asks for
    /// addresses is not said: it would tell who somebody was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Cow<'a, str>>,
    /// The variant of the link's split that the visitor was led to, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Cow<'a, str>>,
    /// Which line of an imported log this was; a line is imported once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import_id: Option<Cow<'a, str>>,
}

impl Click<'_> {
    /// The link that was visited.
    #[must_use]
    pub fn link(&self) -> LinkKey {
        LinkKey { domain: self.domain.clone().into_owned(), code: self.code.clone().into_owned() }
    }
}

/// Campaign parameters (`utm_source` and so on), as they were given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Utm<'a> {
    /// `utm_source`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Cow<'a, str>>,
    /// `utm_medium`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<Cow<'a, str>>,
    /// `utm_campaign`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<Cow<'a, str>>,
    /// `utm_term`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<Cow<'a, str>>,
    /// `utm_content`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Cow<'a, str>>,
}

impl Utm<'_> {
    /// Whether no parameter was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// 64 bits of a keyed hash, written as 16 hexadecimal digits (a JSON number would lose bits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[0-9a-f]{16}$"))]
pub struct VisitorHash(pub u64);

impl From<VisitorHash> for String {
    fn from(hash: VisitorHash) -> String {
        format!("{:016x}", hash.0)
    }
}

impl TryFrom<String> for VisitorHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits =
            text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let hash = u64::from_str_radix(&text, 16).ok().filter(|_| digits);
        hash.map(Self).ok_or("not a visitor hash: expected 16 hexadecimal digits")
    }
}
