//! What most links do without, in one place: a link that has none of it carries nothing for it.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Destination, LinkEvent, MaxClicks, Oversight, OwnPreview, PasswordHash, Rules, ShortCode,
    Split, Title,
};
use crate::position::Version;

/// What most links do without. What is not said is not written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::envelope::may_lack_hash)]
#[serde(rename_all = "camelCase")]
pub struct Extras {
    /// Before this instant it is answered as if there were no such link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<DateTime<Utc>>,
    /// Where it leads once it has expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_url: Option<Destination>,
    /// It is put away: not listed unless asked for; it redirects all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
    /// What becomes of the query that a visitor's request has; nothing unless it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_query: Option<QueryForwarding>,
    /// Whether the path behind the code goes behind that of the destination.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forward_path: bool,
    /// The hash of what visitors have to know. Only the log itself has it.
    #[serde(default, rename = "passwordHash", skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
    /// How many clicks it is good for; then it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_clicks: Option<MaxClicks>,
    /// How many of them were given. No event says it: it is their sum.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(skip)]
    pub clicks_granted: u32,
    /// Where it leads some visitors instead.
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub rules: Rules,
    /// How it shares those whom no rule leads elsewhere.
    #[serde(default, skip_serializing_if = "Split::is_empty")]
    pub split: Split,
    /// What chats and networks are shown of it, in the place of what its destination says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Box<OwnPreview>>,
    /// What its destination calls itself. An event of its own says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub fetched_title: Option<Title>,
    /// What operators have done about it. No event says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub oversight: Option<Box<Oversight>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// How the query of a visitor's request is added to the destination's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueryForwarding {
    /// Behind what is there.
    Append,
    /// In the place of parameters with the same names.
    Override,
}

/// Write `append` or `override`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be append or override")]
pub struct QueryForwardingError;

impl QueryForwarding {
    /// The name on the log and in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Override => "override",
        }
    }
}

impl FromStr for QueryForwarding {
    type Err = QueryForwardingError;

    fn from_str(text: &str) -> Result<Self, QueryForwardingError> {
        let all = [Self::Append, Self::Override];
        all.into_iter().find(|one| one.name() == text).ok_or(QueryForwardingError)
    }
}

impl Extras {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What a redirect has to know of them; `None`: it goes as if there were none.
    #[must_use]
    pub fn of_redirects(mut self) -> Option<Box<Self>> {
        self.archived = false;
        self.fetched_title = None;
        if self.quarantine().is_none() {
            self.oversight = None;
        }
        if self.is_empty() { None } else { Some(Box::new(self)) }
    }

    /// Whether it leads not all of its visitors to the same place.
    #[must_use]
    pub fn leads_apart(&self) -> bool {
        !self.rules.is_empty() || !self.split.is_empty()
    }

    /// Whether its time has not come yet.
    #[must_use]
    pub fn is_before_validity(&self, now: DateTime<Utc>) -> bool {
        self.valid_from.is_some_and(|valid_from| now < valid_from)
    }

    /// What is for few is not told in passing, what its destination calls itself included.
    fn forget_title_if_guarded(&mut self) {
        if self.password.is_some() || self.max_clicks.is_some() {
            self.fetched_title = None;
        }
    }

    /// How many clicks of the budget are left; `None`: there is no budget.
    #[must_use]
    pub fn clicks_left(&self) -> Option<u32> {
        Some(self.max_clicks?.get().saturating_sub(self.clicks_granted))
    }

    /// Whether there is a budget and nothing is left of it.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.clicks_left() == Some(0)
    }

    /// What one more event of the link makes of them.
    pub fn apply(&mut self, event: &LinkEvent) {
        match event {
            LinkEvent::ValidFromChanged(change) => self.valid_from = change.valid_from,
            LinkEvent::ExpiredUrlChanged(change) => {
                self.expired_url.clone_from(&change.expired_url);
            }
            LinkEvent::Archived(_) => self.archived = true,
            LinkEvent::Unarchived(_) => self.archived = false,
            LinkEvent::QueryForwardingChanged(change) => self.forward_query = change.forward_query,
            LinkEvent::PathForwardingChanged(change) => self.forward_path = change.forward_path,
            LinkEvent::PasswordChanged(change) => {
                self.password.clone_from(&change.password);
                self.forget_title_if_guarded();
            }
            LinkEvent::MaxClicksChanged(change) => {
                self.max_clicks = change.max_clicks;
                self.forget_title_if_guarded();
                if change.max_clicks.is_none() {
                    self.clicks_granted = 0;
                }
            }
            LinkEvent::ClicksGranted(grant) => {
                self.clicks_granted = self.clicks_granted.saturating_add(grant.count.get());
            }
            LinkEvent::RulesChanged(change) => self.rules.clone_from(&change.rules),
            LinkEvent::SplitChanged(change) => self.split.clone_from(&change.split),
            LinkEvent::PreviewChanged(change) => {
                self.preview = change.preview.clone().map(Box::new);
            }
            LinkEvent::TitleFetched(fetched) => self.fetched_title.clone_from(&fetched.title),
            // It was the title of another page, or the owner knows a better one.
            LinkEvent::DestinationChanged(_) | LinkEvent::Titled(_) => self.fetched_title = None,
            // What people wrote in it is gone; the rest is of no use any more.
            LinkEvent::Erased(_) => *self = Self::default(),
            _ => {}
        }
    }
}

/// The link is served from another instant on, or from its creation on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkValidFromChanged {
    /// Before this instant it is answered as if there were no such link; `null`: always served.
    pub valid_from: Option<DateTime<Utc>>,
}

/// The link leads somewhere else once it has expired, or nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkExpiredUrlChanged {
    /// Where it leads then; `null`: it is gone then.
    pub expired_url: Option<Destination>,
}

/// The link is put away: lists leave it out unless they are asked for it. It redirects as before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LinkArchived {}

/// The link is listed again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LinkUnarchived {}

/// The query that a visitor's request has is forwarded in another way, or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkQueryForwardingChanged {
    /// How it is added to the destination's; `null`: not at all.
    pub forward_query: Option<QueryForwarding>,
}

/// The path behind the code is forwarded, or no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkPathForwardingChanged {
    /// Whether it goes behind that of the destination.
    pub forward_path: bool,
}

/// Visitors have to know another password, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::envelope::may_lack_hash)]
#[serde(rename_all = "camelCase")]
pub struct LinkPasswordChanged {
    /// The hash of the one that they have to know now; `null`: none. Only the log itself has it.
    #[serde(rename = "passwordHash")]
    pub password: Option<PasswordHash>,
}

/// Whoever has an external id has it alone. This is on the stream that stands for the id of one owner, and says
/// which link may take it next: with the event that follows on a version of that link. A claim whose link
/// went on without it is void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkExternalIdClaimed {
    /// The link that may take it.
    pub link: ShortCode,
    /// The version of that link on which the taking follows; 0: its creation.
    #[schemars(with = "u64")]
    pub version: Version,
}
