//! Visits that lead nowhere: codes that nobody has, the base URL, links that are not served. They
//! are recorded apart from clicks, in batches, and no more of them than a limit allows: of the rest
//! it is known how many there were.
//!
//! Anybody can make any number of them, and nobody asked for them to be kept. So they are nobody's
//! from the beginning: they say of a visitor what is left of a click whose visitor was erased.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::click::VisitorHash;
use crate::link::Domain;

/// Orphan visits in one event at most: with the longest texts it still fits into every log.
pub const ORPHANS_MAX: usize = 250;

/// One fact about visits that led nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrphanEvent {
    /// Some were recorded, or counted.
    Recorded(OrphansRecorded),
}

/// Visits that led nowhere were recorded. No more than a limit allows: of those beyond it only
/// their number is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrphansRecorded {
    /// The visits. The id of one is the event's id, a dash and its place here (from 0).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub visits: Vec<Orphan>,
    /// How many more there were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrecorded: Vec<Unrecorded>,
    /// Read models keep no visits of before this, whenever they are built.
    pub kept_from: DateTime<Utc>,
}

/// Why a visit led nowhere.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum OrphanKind {
    /// Nobody has the code.
    UnknownCode,
    /// There was no code.
    BaseUrl,
    /// The link's end has passed.
    Expired,
    /// The link was followed as often as it may be.
    Spent,
    /// The link was deleted.
    Deleted,
    /// The link is disabled.
    Disabled,
    /// The link will be there, but is not yet.
    NotYet,
    /// The link is in quarantine.
    Quarantined,
}

impl OrphanKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::UnknownCode,
        Self::BaseUrl,
        Self::Expired,
        Self::Spent,
        Self::Deleted,
        Self::Disabled,
        Self::NotYet,
        Self::Quarantined,
    ];

    /// The name on the log, in tables and in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownCode => "unknown-code",
            Self::BaseUrl => "base-url",
            Self::Expired => "expired",
            Self::Spent => "spent",
            Self::Deleted => "deleted",
            Self::Disabled => "disabled",
            Self::NotYet => "not-yet",
            Self::Quarantined => "quarantined",
        }
    }
}

/// A visit that led nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Orphan {
    /// Why.
    pub kind: OrphanKind,
    /// The domain that was visited.
    pub domain: Domain,
    /// What was asked for there: the code of the link, or what could have been meant for one. Nothing else is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Box<str>>,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The HTTP method, when it was not `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Box<str>>,
    /// `Sec-Purpose`, or `Purpose` of older browsers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Box<str>>,
    /// What the `User-Agent` header was recognised as, as an erased click has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Box<str>>,
    /// The host of the `Referer` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<Box<str>>,
    /// The first language of `Accept-Language`, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Box<str>>,
    /// ISO 3166 code of the country, in upper case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Box<str>>,
    /// The region's name or code, when the operator's database has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Box<str>>,
    /// The city's name, when the operator's database has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<Box<str>>,
    /// Nobody's hash, that counts as the visitor's would: another one for each visit.
    pub visitor: VisitorHash,
}

/// Visits that were counted and not recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unrecorded {
    /// Why they led nowhere.
    pub kind: OrphanKind,
    /// The domain that was visited.
    pub domain: Domain,
    /// The beginning of the quarter of an hour in which they came.
    pub since: DateTime<Utc>,
    /// How many there were.
    pub visits: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_called_as_it_is_written() {
        for kind in OrphanKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
