//! What most links do without: how it is asked for, and what follows.

use chrono::{DateTime, Utc};
use hoplog_events::link::{
    Destination, Extras, LinkArchived, LinkEvent, LinkExpiredUrlChanged, LinkMaxClicksChanged,
    LinkPasswordChanged, LinkPathForwardingChanged, LinkQueryForwardingChanged, LinkRulesChanged,
    LinkSplitChanged, LinkUnarchived, LinkValidFromChanged, MaxClicks, PasswordHash,
    QueryForwarding, Rules, Split,
};

use super::decide::{changed, check_destination};
use super::{DestinationField, EditPreview, LinkError, Request, preview};
use crate::domain::expiry::is_too_far;

/// Extras to change; `None`: stays as it is, `Some(None)`: is cleared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EditExtras {
    /// From when on it shall be served.
    pub valid_from: Option<Option<DateTime<Utc>>>,
    /// Where it shall lead once it has expired.
    pub expired_url: Option<Option<Destination>>,
    /// Whether lists shall leave it out.
    pub archived: Option<bool>,
    /// How queries of visitors shall be forwarded.
    pub forward_query: Option<Option<QueryForwarding>>,
    /// Whether paths behind the code shall be forwarded.
    pub forward_path: Option<bool>,
    /// What visitors shall have to know.
    pub password: Option<Option<PasswordHash>>,
    /// How many clicks it shall be good for.
    pub max_clicks: Option<Option<MaxClicks>>,
    /// Where it shall lead some visitors instead.
    pub rules: Option<Rules>,
    /// How it shall share those whom no rule leads elsewhere.
    pub split: Option<Split>,
    /// What chats and networks shall be shown of it.
    pub preview: EditPreview,
}

/// Whether a new link may have these.
pub(super) fn check(
    extras: &Extras,
    expires_at: Option<DateTime<Utc>>,
    request: &Request,
) -> Result<(), LinkError> {
    check_expired_url(extras.expired_url.as_ref(), request)?;
    check_rules(&extras.rules, request)?;
    check_split(&extras.split, request)?;
    if let Some(own) = &extras.preview {
        preview::check(own, request)?;
    }
    check_valid_from(extras.valid_from, expires_at, request.now)
}

/// One event per fact that changes, in a fixed order. `expires_at`: when the link ends after the edit.
pub(super) fn decide(
    extras: &Extras,
    edit: &EditExtras,
    (old_end, expires_at): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    request: &Request,
) -> Result<Vec<LinkEvent>, LinkError> {
    let mut events = Vec::new();
    let valid_from = changed(edit.valid_from.as_ref(), &extras.valid_from).copied();
    if valid_from.is_some() || old_end != expires_at {
        check_valid_from(valid_from.unwrap_or(extras.valid_from), expires_at, request.now)?;
    }
    if let Some(valid_from) = valid_from {
        events.push(LinkEvent::ValidFromChanged(LinkValidFromChanged { valid_from }));
    }
    if let Some(expired_url) = changed(edit.expired_url.as_ref(), &extras.expired_url) {
        check_expired_url(expired_url.as_ref(), request)?;
        let expired_url = expired_url.clone();
        events.push(LinkEvent::ExpiredUrlChanged(LinkExpiredUrlChanged { expired_url }));
    }
    match changed(edit.archived.as_ref(), &extras.archived) {
        Some(true) => events.push(LinkEvent::Archived(LinkArchived {})),
        Some(false) => events.push(LinkEvent::Unarchived(LinkUnarchived {})),
        None => {}
    }
    if let Some(forward_query) = changed(edit.forward_query.as_ref(), &extras.forward_query) {
        let forward_query = *forward_query;
        let change = LinkQueryForwardingChanged { forward_query };
        events.push(LinkEvent::QueryForwardingChanged(change));
    }
    if let Some(forward_path) = changed(edit.forward_path.as_ref(), &extras.forward_path) {
        let change = LinkPathForwardingChanged { forward_path: *forward_path };
        events.push(LinkEvent::PathForwardingChanged(change));
    }
    if let Some(password) = changed(edit.password.as_ref(), &extras.password) {
        let password = password.clone();
        events.push(LinkEvent::PasswordChanged(LinkPasswordChanged { password }));
    }
    // Also below what was given already: then nothing is left.
    if let Some(max_clicks) = changed(edit.max_clicks.as_ref(), &extras.max_clicks) {
        let change = LinkMaxClicksChanged { max_clicks: *max_clicks };
        events.push(LinkEvent::MaxClicksChanged(change));
    }
    if let Some(rules) = changed(edit.rules.as_ref(), &extras.rules) {
        check_rules(rules, request)?;
        events.push(LinkEvent::RulesChanged(LinkRulesChanged { rules: rules.clone() }));
    }
    if let Some(split) = changed(edit.split.as_ref(), &extras.split) {
        check_split(split, request)?;
        events.push(LinkEvent::SplitChanged(LinkSplitChanged { split: split.clone() }));
    }
    events.extend(preview::decide(extras.preview.as_deref(), &edit.preview, request)?);
    Ok(events)
}

fn check_expired_url(url: Option<&Destination>, request: &Request) -> Result<(), LinkError> {
    url.map_or(Ok(()), |url| check_destination(url, DestinationField::ExpiredUrl, request))
}

/// Trap 19: what a rule leads to is looked at like what the link leads to.
fn check_rules(rules: &Rules, request: &Request) -> Result<(), LinkError> {
    if rules.is_empty() {
        return Ok(());
    }
    let mut rules = rules.as_slice().iter().enumerate();
    rules.try_for_each(|(place, rule)| {
        check_destination(&rule.url, DestinationField::Rule(place), request)
    })
}

/// Trap 19: the same of what variants lead to.
fn check_split(split: &Split, request: &Request) -> Result<(), LinkError> {
    let mut variants = split.as_slice().iter().enumerate();
    variants.try_for_each(|(place, variant)| match &variant.url {
        Some(url) => check_destination(url, DestinationField::Variant(place), request),
        None => Ok(()),
    })
}

fn check_valid_from(
    valid_from: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), LinkError> {
    match (valid_from, expires_at) {
        (Some(from), _) if is_too_far(from, now) => Err(LinkError::ValidFromTooFar),
        (Some(from), Some(end)) if from >= end => Err(LinkError::ValidFromBehindEnd),
        _ => Ok(()),
    }
}
