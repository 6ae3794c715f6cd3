//! Which events a reader wants.

use hoplog_events::catalogue::Event;
use hoplog_events::click::ClickEvent;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::link::{Domain, LinkKey, ShortCode};
use hoplog_events::position::{StreamId, Topic};

use super::types::Types;
use crate::http::fields::Parameters;
use crate::http::links::place::{LinkName, Places};

/// Types and a link; neither: every event.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    types: Types,
    link: Option<Wanted>,
}

/// A link whose events are wanted.
#[derive(Debug, Clone)]
struct Wanted {
    key: LinkKey,
    /// Its own stream, where the topic has one for each link.
    stream: Option<StreamId>,
    /// How its code stands in an event.
    code: String,
}

impl Filter {
    /// Takes `types` and `link` from a query.
    pub(super) fn take(query: &mut Parameters, topic: Topic, places: &Places) -> Self {
        let types = Types::take(query, topic);
        let found = |text: &str| text.parse().and_then(|name: LinkName| places.link(name));
        let link = query.raw("link").and_then(|text| match found(&text) {
            _ if topic == Topic::Accounts => {
                query.wrong("link", "invalid", "the topic accounts has no events of links");
                None
            }
            Err(detail) => {
                query.wrong("link", "invalid", detail);
                None
            }
            Ok(key) => Some(Wanted::new(key, topic)),
        });
        Self { types, link }
    }

    /// Whether nothing is left out.
    pub(super) fn is_all(&self) -> bool {
        self.types.is_all() && self.link.is_none()
    }

    /// The one stream that has all that is wanted.
    pub(super) fn stream(&self) -> Option<&StreamId> {
        self.link.as_ref()?.stream.as_ref()
    }

    pub(super) fn wants(&self, event: &RecordedEvent) -> bool {
        self.types.want(event) && self.link.as_ref().is_none_or(|link| link.wanted_by(event))
    }
}

impl Wanted {
    fn new(key: LinkKey, topic: Topic) -> Self {
        let stream = (topic == Topic::Links).then(|| key.stream());
        let code = format!("\"code\":\"{}\"", key.code);
        Self { key, stream, code }
    }

    fn wanted_by(&self, event: &RecordedEvent) -> bool {
        match &self.stream {
            Some(stream) => event.stream == *stream,
            None => self.is_clicked_in(event),
        }
    }

    /// Most batches have no click of the link: they are told by a look at their bytes. One that
    /// can't be read says nothing of any link.
    fn is_clicked_in(&self, event: &RecordedEvent) -> bool {
        let code = self.code.as_bytes();
        if !event.body.windows(code.len()).any(|bytes| bytes == code) {
            return false;
        }
        let Ok(Some(envelope)) = event.decode() else { return false };
        let is_meant = |domain: &Domain, code: &ShortCode| {
            (domain, code) == (&self.key.domain, &self.key.code)
        };
        match envelope.event {
            Event::Click(ClickEvent::Recorded(batch)) => {
                batch.clicks.iter().any(|click| is_meant(&click.domain, &click.code))
            }
            Event::Click(ClickEvent::Erased(batch)) => {
                batch.clicks.iter().any(|click| is_meant(&click.domain, &click.code))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use hoplog_events::domain::DomainSettings;
    use hoplog_events::position::Version;

    use crate::domain::domains::{Domains, LinkDomain};

    fn places() -> Places {
        let added = LinkDomain {
            name: "go.example.com".parse().unwrap(),
            settings: DomainSettings::default(),
            added_at: chrono::DateTime::UNIX_EPOCH,
            is_removed: false,
            version: Version(1),
        };
        Places::new("own.example", Arc::new(Domains::of([added])))
    }

    fn filter(query: &str, topic: Topic) -> Result<Filter, Vec<String>> {
        let mut query = Parameters::new(Some(query));
        let filter = Filter::take(&mut query, topic, &places());
        let wrong = |problem: crate::http::problem::Problem| {
            problem.errors().iter().map(|error| error.pointer.clone()).collect()
        };
        query.finish().map(|()| filter).map_err(wrong)
    }

    #[test]
    fn a_link_is_named_by_its_code_or_its_subject() {
        for text in [
            "link=launch",
            "link=default/launch",
            "link=default%2Flaunch",
            "link=own.example/launch",
            "link=OWN.example/launch",
        ] {
            let filter = filter(text, Topic::Links).unwrap();
            assert_eq!(filter.stream().unwrap().key(), "default/launch", "{text}");
            assert!(!filter.is_all());
        }
        for text in ["link=go.example.com/launch", "link=GO.Example.com/launch"] {
            let elsewhere = filter(text, Topic::Links).unwrap();
            assert_eq!(elsewhere.stream().unwrap().key(), "go.example.com/launch", "{text}");
        }
        assert!(filter("link=launch", Topic::Clicks).unwrap().stream().is_none());
        assert!(filter("", Topic::Links).unwrap().is_all());
    }

    #[test]
    fn what_names_no_link_is_refused() {
        for text in [
            "link=",
            "link=a%20b",
            "link=/launch",
            "link=default/",
            "link=a/b/c",
            "link=x.example/a",
        ] {
            assert_eq!(filter(text, Topic::Links).unwrap_err(), ["?link"], "{text}");
        }
        assert_eq!(filter("link=launch", Topic::Accounts).unwrap_err(), ["?link"]);
    }
}
