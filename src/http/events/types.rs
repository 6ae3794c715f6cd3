//! Which types of events a reader wants.

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::position::Topic;
use hoplog_events::selector::TypeSelector;

use crate::http::fields::Parameters;

/// The types that were named; none: all.
#[derive(Debug, Clone, Default)]
pub(super) struct Types(Vec<TypeSelector>);

impl Types {
    /// Takes `types` from a query.
    pub(super) fn take(query: &mut Parameters, topic: Topic) -> Self {
        let Some(given) = query.raw("types") else { return Self::default() };
        let types = given.split(',').map(|name| TypeSelector::of(&[topic], name));
        match types.collect() {
            Ok(types) => Self(types),
            Err(error) => {
                query.wrong("types", "invalid", error.to_string());
                Self::default()
            }
        }
    }

    /// Whether none is left out.
    pub(super) fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// A type is named with its version, or without to mean every version.
    pub(super) fn want(&self, event: &RecordedEvent) -> bool {
        self.is_all() || self.0.iter().any(|wanted| wanted.admits(&event.event_type))
    }
}
