//! Subjects: `<prefix><topic>.<partition>.<key>`, where `/` in a key separates tokens and what a
//! subject can't hold is written as `=XX`.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::position::{StreamId, Topic};

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
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_link_has_one_readable_subject() {
        let subjects = Subjects::new("t-", 16);
        let link = StreamId::new(Topic::Links, "default/Launch_1");
        assert_eq!(subjects.of(&link), "t-links.13.default.Launch_1");
        assert_eq!(subjects.stream_name(Topic::Links), "T-LINKS");
        let international = StreamId::new(Topic::Links, "go.example.com/été");
        assert!(subjects.of(&international).ends_with(".go=2Eexample=2Ecom.=C3=A9t=C3=A9"));
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
