//! Where an event is: topics, streams, versions, sequences and positions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A family of streams with one order and one retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// One stream per link, kept for ever.
    Links,
    /// Batches of clicks.
    Clicks,
    /// API keys (hashes only), domains and webhooks.
    Accounts,
}

impl Topic {
    /// Every topic, in the order in which exports are written.
    pub const ALL: [Topic; 3] = [Topic::Links, Topic::Clicks, Topic::Accounts];

    /// The lower-case name used in URLs, metrics and subjects.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Topic::Links => "links",
            Topic::Clicks => "clicks",
            Topic::Accounts => "accounts",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Topic {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Topic::ALL.into_iter().find(|topic| topic.name() == text).ok_or(ParseError::Topic)
    }
}

/// The name of one aggregate's stream: a topic and a key inside it, such as
/// `links` and `default/launch`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    topic: Topic,
    key: String,
}

impl StreamId {
    /// Names a stream. Keys are made by the aggregates (`LinkKey::stream`), never by users.
    pub fn new(topic: Topic, key: impl Into<String>) -> Self {
        Self { topic, key: key.into() }
    }

    /// The topic that orders this stream.
    #[must_use]
    pub fn topic(&self) -> Topic {
        self.topic
    }

    /// The key inside the topic; also the CloudEvents `subject`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.topic, self.key)
    }
}

/// How many events a stream holds: 1 after its first event.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// The version of a stream that does not exist.
    pub const NONE: Version = Version(0);
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of an event in its topic: 1 for the first; grows, may have gaps.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Before the first event.
    pub const START: Sequence = Sequence(0);
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a log: made once with it.
/// A position of one log means nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogId(pub Uuid);

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where an event is: which log, which topic, which place. Written as one opaque token
/// (`Display`, `FromStr`) wherever a client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The log that gave the sequence.
    pub log: LogId,
    /// The topic that is ordered by it.
    pub topic: Topic,
    /// The place in the topic.
    pub sequence: Sequence,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = match self.topic {
            Topic::Links => 'l',
            Topic::Clicks => 'c',
            Topic::Accounts => 'a',
        };
        write!(f, "p1{topic}{}{:x}", self.log.0.simple(), self.sequence.0)
    }
}

/// A text that is not a topic or a position token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Name one of the topics.
    #[error("not a topic: expected links, clicks or accounts")]
    Topic,
    /// Use the token exactly as an answer gave it.
    #[error("not a position token")]
    Position,
}

impl FromStr for Position {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = ParseError::Position;
        let rest = text.strip_prefix("p1").filter(|rest| rest.is_ascii()).ok_or(bad)?;
        let topic = match rest.get(..1) {
            Some("l") => Topic::Links,
            Some("c") => Topic::Clicks,
            Some("a") => Topic::Accounts,
            _ => return Err(bad),
        };
        let log = rest.get(1..33).and_then(|hex| Uuid::try_parse(hex).ok()).ok_or(bad)?;
        let hex = rest.get(33..).ok_or(bad)?;
        let sequence = u64::from_str_radix(hex, 16).map_err(|_| bad)?;
        let position = Position { log: LogId(log), topic, sequence: Sequence(sequence) };
        // One position has one spelling: `+1`, leading zeros and capitals are refused.
        if position.to_string() == text { Ok(position) } else { Err(bad) }
    }
}

impl Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_reads_back_as_the_position_it_came_from(log: u128, topic in 0..3usize, n: u64) {
            let position = Position {
                log: LogId(Uuid::from_u128(log)),
                topic: Topic::ALL[topic],
                sequence: Sequence(n),
            };
            prop_assert_eq!(position.to_string().parse(), Ok(position));
        }

        #[test]
        fn any_text_is_refused_or_spelled_the_one_way(text in "\\PC{0,60}") {
            if let Ok(position) = text.parse::<Position>() {
                prop_assert_eq!(position.to_string(), text);
            }
        }
    }

    #[test]
    fn a_token_has_one_spelling() {
        let log = "0190163d8694739baea5966c26f8ad91";
        for sequence in ["", "01", "+1", "A", "1ffffffffffffffff", "g"] {
            let text = format!("p1l{log}{sequence}");
            assert_eq!(text.parse::<Position>(), Err(ParseError::Position), "{text}");
        }
    }
}
