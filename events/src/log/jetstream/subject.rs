//! Subjects: `<prefix><topic>.<partition>.<key>`, where `/` in a key separates tokens and what a
//! subject can't hold is written as `=XX`. What was rewritten has a subject per event,
//! `<prefix>rewritten.<topic>.<range>.<key in one token>.<sequence>.<version>`: it is found by its
//! place as well as by its stream, and a list of subjects says all that has to be known.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::envelope::RecordedEvent;
use crate::position::{Sequence, StreamId, Topic, Version};

/// How many places of a topic are one range: what was rewritten is looked for range by range.
pub(super) const RANGE: u64 = 1_000;

/// Which event a subject of a rewritten one stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) stream: StreamId,
    pub(super) sequence: Sequence,
    pub(super) version: Version,
}

/// The range that a place is in.
pub(super) fn range_of(sequence: Sequence) -> u64 {
    sequence.0 / RANGE
}

/// A whole key as one token.
fn token(key: &str) -> String {
    let mut token = String::new();
    encode(key, &mut token);
    token
}

/// Makes subjects of one log.
#[derive(Debug, Clone)]
pub(super) struct Subjects {
    prefix: String,
    partitions: u16,
}

impl Subjects {
    pub(super) fn new(prefix: &str, partitions: u16) -> Self {
        Self { prefix: prefix.to_owned(), partitions }
    }

    /// The name of the stream of a topic.
    pub(super) fn stream_name(&self, topic: Topic) -> String {
        format!("{}{}", self.prefix, topic.name()).to_uppercase()
    }

    /// How many partitions there are.
    pub(super) fn partitions(&self) -> u16 {
        self.partitions
    }

    /// How the subjects of a topic look; the tokens are named.
    pub(super) fn pattern<'a>(
        &self,
        topic: Topic,
        tokens: impl Iterator<Item = &'a str>,
    ) -> String {
        let start = format!("{}{}.{{partition}}", self.prefix, topic.name());
        tokens.fold(start, |pattern, token| format!("{pattern}.{{{token}}}"))
    }

    /// Everything of a topic.
    pub(super) fn all(&self, topic: Topic) -> String {
        format!("{}{}.>", self.prefix, topic.name())
    }

    /// The one subject of a stream.
    pub(super) fn of(&self, stream: &StreamId) -> String {
        let partition = partition(stream.key(), self.partitions);
        let mut subject = format!("{}{}.{partition}", self.prefix, stream.topic().name());
        for segment in stream.key().split('/') {
            subject.push('.');
            encode(segment, &mut subject);
        }
        subject
    }

    /// The name of the stream of events that were rewritten.
    pub(super) fn rewritten_name(&self) -> String {
        format!("{}rewritten", self.prefix).to_uppercase()
    }

    /// All of it.
    pub(super) fn all_rewritten(&self) -> String {
        format!("{}rewritten.>", self.prefix)
    }

    /// All of it that is of clicks.
    pub(super) fn all_rewritten_clicks(&self) -> String {
        format!("{}rewritten.{}.>", self.prefix, Topic::Clicks.name())
    }

    /// What was rewritten of one range of a topic.
    pub(super) fn rewritten_in(&self, topic: Topic, range: u64) -> String {
        format!("{}rewritten.{}.{range}.>", self.prefix, topic.name())
    }

    /// What was rewritten of one stream.
    pub(super) fn rewritten_of(&self, stream: &StreamId) -> String {
        format!("{}rewritten.{}.*.{}.*.*", self.prefix, stream.topic().name(), token(stream.key()))
    }

    /// What an event has become, of which the place only is known.
    pub(super) fn rewritten_at(&self, topic: Topic, sequence: Sequence) -> String {
        let range = range_of(sequence);
        format!("{}rewritten.{}.{range}.*.{sequence}.*", self.prefix, topic.name())
    }

    /// The one subject of what an event has become.
    pub(super) fn rewritten(&self, event: &RecordedEvent) -> String {
        let (sequence, version) = (event.position.sequence, event.version);
        let (topic, range) = (event.position.topic.name(), range_of(sequence));
        let key = token(event.stream.key());
        format!("{}rewritten.{topic}.{range}.{key}.{sequence}.{version}", self.prefix)
    }

    /// Which event such a subject stands for.
    pub(super) fn place(&self, subject: &str) -> Option<Place> {
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix("rewritten.")?;
        let mut tokens = rest.split('.');
        let topic = tokens.next()?;
        let topic = Topic::ALL.into_iter().find(|known| known.name() == topic)?;
        let _range = tokens.next()?;
        let stream = StreamId::new(topic, decode(tokens.next()?)?);
        let sequence = Sequence(tokens.next()?.parse().ok()?);
        let version = Version(tokens.next()?.parse().ok()?);
        Some(Place { stream, sequence, version })
    }

    /// The stream that a subject stands for.
    pub(super) fn stream(&self, topic: Topic, subject: &str) -> Option<StreamId> {
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix(topic.name())?;
        let (_, tokens) = rest.strip_prefix('.')?.split_once('.')?;
        let segments: Option<Vec<String>> = tokens.split('.').map(decode).collect();
        Some(StreamId::new(topic, segments?.join("/")))
    }
}

/// The same key is in the same partition for ever, whatever program asks.
fn partition(key: &str, count: u16) -> u64 {
    fingerprint(key) % u64::from(count)
}

/// The first 64 bits of a key's SHA-256.
pub(super) fn fingerprint(key: &str) -> u64 {
    let hash = Sha256::digest(key.as_bytes());
    hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

fn encode(segment: &str, subject: &mut String) {
    if segment.is_empty() {
        subject.push('=');
    }
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            subject.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(subject, "={byte:02X}");
        }
    }
}

fn decode(token: &str) -> Option<String> {
    if token == "=" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'=' {
            let (hex, after) = after.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::envelope::CommandId;
    use crate::position::{LogId, Position};

    #[test]
    fn a_link_has_one_readable_subject() {
        let subjects = Subjects::new("t-", 16);
        let link = StreamId::new(Topic::Links, "default/Launch_1");
        assert_eq!(subjects.of(&link), "t-links.13.default.Launch_1");
        assert_eq!(subjects.stream_name(Topic::Links), "T-LINKS");
        let international = StreamId::new(Topic::Links, "go.example.com/été");
        assert!(subjects.of(&international).ends_with(".go=2Eexample=2Ecom.=C3=A9t=C3=A9"));
    }

    #[test]
    fn a_rewritten_event_is_found_by_its_place_and_by_its_stream() {
        let subjects = Subjects::new("t-", 16);
        let stream = StreamId::new(Topic::Clicks, "import/été.log/2026");
        let event = RecordedEvent {
            position: Position {
                log: LogId(Uuid::nil()),
                topic: Topic::Clicks,
                sequence: Sequence(12_345),
            },
            stream: stream.clone(),
            version: Version(7),
            command_id: CommandId(Uuid::nil()),
            event_type: "t".into(),
            body: Bytes::new(),
        };
        let subject = subjects.rewritten(&event);
        assert_eq!(subject, "t-rewritten.clicks.12.import=2F=C3=A9t=C3=A9=2Elog=2F2026.12345.7");
        let place =
            Place { stream: stream.clone(), sequence: Sequence(12_345), version: Version(7) };
        assert_eq!(subjects.place(&subject), Some(place));
        for other in ["t-links.1.a.b", "t-rewritten.clicks.12.a.x.7", "rewritten.clicks.12.a.1.7"] {
            assert_eq!(subjects.place(other), None, "{other}");
        }
        for filter in
            [subjects.rewritten_of(&stream), subjects.rewritten_at(Topic::Clicks, Sequence(12_345))]
        {
            let admits = |(wanted, token)| wanted == "*" || wanted == token;
            assert_eq!(filter.split('.').count(), subject.split('.').count(), "{filter}");
            assert!(filter.split('.').zip(subject.split('.')).all(admits), "{filter}");
        }
    }

    proptest! {
        #[test]
        fn a_subject_leads_back_to_its_stream(key in "\\PC{1,40}", other in "\\PC{1,40}", partitions in 1..1_024_u16) {
            let subjects = Subjects::new("p", partitions);
            let stream = StreamId::new(Topic::Clicks, key.clone());
            let subject = subjects.of(&stream);
            prop_assert!(subject.bytes().all(|b| b.is_ascii_graphic() && b != b'*' && b != b'>'));
            prop_assert!(subject.split('.').all(|token| !token.is_empty()));
            prop_assert_eq!(subjects.stream(Topic::Clicks, &subject), Some(stream));
            let another = subjects.of(&StreamId::new(Topic::Clicks, other.clone()));
            prop_assert_eq!(subject == another, key == other);
        }
    }
}
