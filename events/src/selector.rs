//! Which types of events somebody wants: a type by its name, with its version or without.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalogue::EVENT_TYPES;
use crate::position::Topic;

/// One type of events. With its version it means that version, without it every one.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct TypeSelector(Box<str>);

/// A text that names no type of events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be of {}; each with a version, such as .v1, or without", .0.join(", "))]
pub struct UnknownType(Vec<&'static str>);

impl TypeSelector {
    /// Reads the name of a type of one of these topics. A type that they can't have would be
    /// waited for for ever.
    ///
    /// # Errors
    /// When it is none.
    pub fn of(topics: &[Topic], text: &str) -> Result<Self, UnknownType> {
        let text = text.trim();
        let known = topics.iter().any(|topic| is_known(text, *topic));
        if known { Ok(Self(text.into())) } else { Err(UnknownType(names(topics))) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an event of a type is meant.
    #[must_use]
    pub fn admits(&self, event_type: &str) -> bool {
        let family = event_type.rsplit_once(".v").map_or("", |(family, _)| family);
        *self.0 == *event_type || *self.0 == *family
    }

    /// The topic that the type is of; `None`: this version knows no such type.
    #[must_use]
    pub fn topic(&self) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| is_known(&self.0, *topic))
    }
}

impl fmt::Display for TypeSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The types of a topic without their versions, and the newest version of each.
fn families(topic: Topic) -> impl Iterator<Item = (&'static str, u32)> {
    let of_topic = EVENT_TYPES.iter().filter(move |known| known.topic == topic);
    of_topic.filter_map(|known| {
        let (family, version) = known.name.rsplit_once(".v")?;
        Some((family, version.parse().ok()?))
    })
}

/// What the types of orphan visits begin with.
const ORPHANS: &str = "hoplog.orphans.";

fn names(topics: &[Topic]) -> Vec<&'static str> {
    topics.iter().flat_map(|topic| families(*topic).map(|(family, _)| family)).collect()
}

/// Old versions are known as well: the log keeps what was written with them.
fn is_known(name: &str, topic: Topic) -> bool {
    families(topic).any(|(family, newest)| {
        name.strip_prefix(family).is_some_and(|version| {
            version.is_empty() || (1..=newest).any(|known| version == format!(".v{known}"))
        })
    })
}

/// A type of what webhooks may be told of: of links and clicks. What happens to keys, and to
/// webhooks themselves, is for administrators; and orphan visits are nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookType(pub TypeSelector);

impl FromStr for WebhookType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        const TOPICS: [Topic; 2] = [Topic::Links, Topic::Clicks];
        let is_told = |name: &str| !name.starts_with(ORPHANS);
        let told = || names(&TOPICS).into_iter().filter(|name| is_told(name)).collect();
        let selector = TypeSelector::of(&TOPICS, text).ok();
        selector.filter(|it| is_told(it.as_str())).map(Self).ok_or_else(|| UnknownType(told()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_known_by_topic_and_version() {
        for (name, topic, known) in [
            ("hoplog.link.created", Topic::Links, true),
            ("hoplog.link.created.v1", Topic::Links, true),
            ("hoplog.link.created.v2", Topic::Links, true),
            ("hoplog.link.created.v3", Topic::Links, false),
            ("hoplog.link.created.v", Topic::Links, false),
            ("hoplog.link.created.", Topic::Links, false),
            ("hoplog.link.createdx", Topic::Links, false),
            ("hoplog.link", Topic::Links, false),
            ("", Topic::Links, false),
            ("hoplog.link.created", Topic::Clicks, false),
            ("hoplog.clicks.recorded", Topic::Clicks, true),
            ("hoplog.api-key.revoked.v1", Topic::Accounts, true),
        ] {
            assert_eq!(TypeSelector::of(&[topic], name).is_ok(), known, "{name} of {topic}");
        }
    }

    #[test]
    fn a_type_without_a_version_means_every_version() {
        let of = |name| TypeSelector::of(&Topic::ALL, name).unwrap();
        let every = of("hoplog.link.created");
        assert!(every.admits("hoplog.link.created.v1") && every.admits("hoplog.link.created.v9"));
        assert!(!every.admits("hoplog.link.createdx.v1"));
        let first = of("hoplog.link.created.v1");
        assert!(first.admits("hoplog.link.created.v1") && !first.admits("hoplog.link.created.v2"));
        assert_eq!(every.topic(), Some(Topic::Links));
    }

    #[test]
    fn webhooks_are_told_nothing_of_keys_and_webhooks() {
        for (name, allowed) in [
            ("hoplog.link.deleted", true),
            ("hoplog.clicks.recorded.v1", true),
            ("hoplog.api-key.created", false),
            ("hoplog.webhook.created.v1", false),
            ("hoplog.code-secret.made", false),
            ("hoplog.domain.added.v1", false),
            ("hoplog.orphans.recorded", false),
            ("*", false),
        ] {
            assert_eq!(name.parse::<WebhookType>().is_ok(), allowed, "{name}");
        }
        let error = "*".parse::<WebhookType>().unwrap_err().to_string();
        assert!(error.contains("hoplog.clicks.recorded") && !error.contains("orphans"), "{error}");
    }
}
