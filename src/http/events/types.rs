//! Which types of events a reader wants.

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::position::Topic;
use hoplog_events::selector::TypeSelector;

use crate::http::fields::Parameters;

/// The types that were named; none: all.
#[derive(Debug, Default)]
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

    pub(super) fn want(&self, event: &RecordedEvent) -> bool {
        self.0.is_empty() || self.0.iter().any(|wanted| wanted.admits(&event.event_type))
    }
}
