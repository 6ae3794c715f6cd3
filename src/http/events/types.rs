//! Which types of events a reader wants.

use hoplog_events::catalogue::EVENT_TYPES;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::position::Topic;

use crate::http::fields::Parameters;

/// The types that were named; none: all.
#[derive(Debug, Clone, Default)]
pub(super) struct Types(Vec<String>);

impl Types {
    /// Takes `types` from a query. A type that a topic can't have would be waited for for ever.
    pub(super) fn take(query: &mut Parameters, topic: Topic) -> Self {
        let Some(given) = query.raw("types") else { return Self::default() };
        let types: Vec<String> = given.split(',').map(|name| name.trim().to_owned()).collect();
        if !types.iter().all(|name| is_known(name, topic)) {
            let known: Vec<&str> = families(topic).map(|(family, _)| family).collect();
            let known = known.join(", ");
            let detail =
                format!("must be of {known}; each with a version, such as .v1, or without");
            query.wrong("types", "invalid", detail);
        }
        Self(types)
    }

    /// Whether none is left out.
    pub(super) fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// A type is named with its version, or without to mean every version.
    pub(super) fn want(&self, event: &RecordedEvent) -> bool {
        let family = event.event_type.rsplit_once(".v").map_or("", |(family, _)| family);
        self.is_all()
            || self.0.iter().any(|wanted| **wanted == *event.event_type || *wanted == family)
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

/// Old versions are known as well: the log keeps what was written with them.
fn is_known(name: &str, topic: Topic) -> bool {
    families(topic).any(|(family, newest)| {
        name.strip_prefix(family).is_some_and(|version| {
            version.is_empty() || (1..=newest).any(|known| version == format!(".v{known}"))
        })
    })
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
            assert_eq!(is_known(name, topic), known, "{name} of {topic}");
        }
    }
}
