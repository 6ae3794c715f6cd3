//! How streams are called on the servers: `<prefix>-<topic>-<key>`.

use crate::position::{StreamId, Topic};

/// The names of one log's streams.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    /// A prefix holds no `-`, so the streams of one log are never taken for those of another.
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The stream that holds the log's id.
    pub(super) fn log(&self) -> String {
        format!("{}-log", self.prefix)
    }

    /// The stream that holds what is agreed on under a name.
    pub(super) fn agreement(&self, name: &str) -> String {
        format!("{}-agreement-{name}", self.prefix)
    }

    /// What the names of a topic's streams begin with, and no others.
    pub(super) fn topic(&self, topic: Topic) -> String {
        format!("{}-{}-", self.prefix, topic.name())
    }

    /// The name of a stream.
    pub(super) fn of(&self, stream: &StreamId) -> String {
        format!("{}-{}-{}", self.prefix, stream.topic().name(), stream.key())
    }

    /// The stream of a topic that a name stands for.
    pub(super) fn stream(&self, topic: Topic, name: &str) -> Option<StreamId> {
        let key = name.strip_prefix(&*self.topic(topic))?;
        Some(StreamId::new(topic, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_streams_of_a_topic_begin_alike_and_no_others_do() {
        let names = Names::new("hoplog");
        let link = StreamId::new(Topic::Links, "go.example.com/été-1");
        assert_eq!(names.of(&link), "hoplog-links-go.example.com/été-1");
        assert!(!names.log().starts_with(&names.topic(Topic::Links)));
        for other in ["hoplo", "hoplogs", "links"] {
            let other = Names::new(other);
            assert_eq!(names.stream(Topic::Links, &other.of(&link)), None);
        }
    }

    proptest! {
        #[test]
        fn a_name_leads_back_to_its_stream_alone(key in "\\PC{1,40}", other in "\\PC{1,40}") {
            let names = Names::new("h");
            let stream = StreamId::new(Topic::Clicks, key.clone());
            let name = names.of(&stream);
            prop_assert_eq!(names.stream(Topic::Links, &name), None);
            prop_assert_eq!(names.stream(Topic::Clicks, &name), Some(stream));
            let another = names.of(&StreamId::new(Topic::Clicks, other.clone()));
            prop_assert_eq!(name == another, key == other);
        }
    }
}
