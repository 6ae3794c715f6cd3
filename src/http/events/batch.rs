//! Events that are sent together, as server-sent events: written once, whoever they are for.

use axum::body::Bytes;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::position::{Position, Sequence};

use super::filter::Filter;

/// About what an event has in addition when it is sent.
const ADDED_BYTES: usize = 256;

/// Events that follow each other; at least one.
#[derive(Debug)]
pub(super) struct Batch {
    events: Vec<Written>,
    /// All of them, as they are sent.
    bytes: Bytes,
}

#[derive(Debug)]
struct Written {
    event: RecordedEvent,
    /// Where it ends in the bytes.
    end: usize,
}

impl Batch {
    pub(super) fn of(events: Vec<RecordedEvent>) -> Self {
        let bodies: usize = events.iter().map(|event| event.body.len()).sum();
        // Held until it is sent, so no larger than it has to be.
        let mut text = String::with_capacity(bodies + events.len() * ADDED_BYTES);
        let written = events.into_iter().map(|event| {
            write(&event, &mut text);
            Written { event, end: text.len() }
        });
        let events = written.collect();
        Self { events, bytes: text.into() }
    }

    #[cfg(test)]
    pub(super) fn first(&self) -> Sequence {
        self.events[0].event.position.sequence
    }

    pub(super) fn last(&self) -> Sequence {
        self.events.last().map_or(Sequence::START, |last| last.event.position.sequence)
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// What this takes of memory, about.
    pub(super) fn weight_bytes(&self) -> usize {
        let bodies: usize = self.events.iter().map(|written| written.event.body.len()).sum();
        bodies + self.bytes.len() + self.events.len() * size_of::<Written>()
    }

    /// Those behind a place that are wanted, as they are sent. Without a copy where that is a
    /// piece of what is there.
    pub(super) fn wanted(&self, after: Sequence, filter: &Filter) -> Bytes {
        let before = self.events.partition_point(|it| it.event.position.sequence <= after);
        let begin = before.checked_sub(1).map_or(0, |last| self.events[last].end);
        if filter.is_all() {
            return self.bytes.slice(begin..);
        }
        let (mut wanted, mut begin) = (Vec::new(), begin);
        for Written { event, end } in &self.events[before..] {
            if filter.wants(event) {
                wanted.extend_from_slice(&self.bytes[begin..*end]);
            }
            begin = *end;
        }
        wanted.into()
    }
}

/// One event. A line break, which none of ours has, would end the field.
fn write(event: &RecordedEvent, text: &mut String) {
    let (position, name) = (event.position.to_string(), &*event.event_type);
    text.extend(["id: ", &position, "\nevent: ", name, "\n"]);
    for line in event.to_cloud_event().split(['\r', '\n']) {
        text.extend(["data: ", line, "\n"]);
    }
    text.push('\n');
}

/// How a stream begins: where, and after how long to come back when it breaks off.
pub(super) fn opening(position: Position, retry_ms: u32) -> Bytes {
    format!("retry: {retry_ms}\nid: {position}\n\n").into()
}

/// Where a stream is, without an event: clients keep it as the last id and tell nobody.
pub(super) fn place(position: Position) -> Bytes {
    format!("id: {position}\n\n").into()
}

/// The same, said because there is nothing else to say.
pub(super) fn heartbeat(position: Position) -> Bytes {
    format!(": heartbeat\nid: {position}\n\n").into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::http::fields::Parameters;
    use crate::http::links::place::Places;
    use hoplog_events::envelope::CommandId;
    use hoplog_events::position::{LogId, StreamId, Topic, Version};
    use uuid::Uuid;

    /// Events of one link after another, each so many bytes long at least.
    pub(in crate::http::events) fn events(first: u64, n: u64, bytes: usize) -> Vec<RecordedEvent> {
        let event = |sequence| RecordedEvent {
            position: Position {
                log: LogId(Uuid::from_u128(7)),
                topic: Topic::Links,
                sequence: Sequence(sequence),
            },
            stream: StreamId::new(Topic::Links, format!("default/l{sequence}")),
            version: Version(1),
            command_id: CommandId(Uuid::from_u128(sequence.into())),
            event_type: "hoplog.link.created.v2".into(),
            body: format!("{{\"n\":{sequence},\"fill\":\"{}\"}}", "x".repeat(bytes)).into(),
        };
        (first..first + n).map(event).collect()
    }

    fn wanted(batch: &Batch, after: u64, query: &str) -> Vec<u64> {
        let mut query = Parameters::new(Some(query));
        let places = Places::new("own.example", std::sync::Arc::default());
        let filter = Filter::take(&mut query, Topic::Links, &places);
        query.finish().unwrap();
        let bytes = batch.wanted(Sequence(after), &filter);
        let text = std::str::from_utf8(&bytes).unwrap();
        let messages = text.split_terminator("\n\n").map(|message| {
            let data = message.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            let event: serde_json::Value = serde_json::from_str(data).unwrap();
            event["n"].as_u64().unwrap()
        });
        messages.collect()
    }

    #[test]
    fn what_is_behind_a_place_and_wanted_is_sent() {
        let batch = Batch::of(events(5, 4, 1));
        assert_eq!(wanted(&batch, 0, ""), [5, 6, 7, 8]);
        assert_eq!(wanted(&batch, 6, ""), [7, 8]);
        assert_eq!(wanted(&batch, 8, ""), [0_u64; 0]);
        assert_eq!(wanted(&batch, 0, "link=l7"), [7]);
        assert_eq!(wanted(&batch, 7, "link=l7"), [0_u64; 0]);
        assert_eq!(wanted(&batch, 5, "types=hoplog.link.created"), [6, 7, 8]);
        assert_eq!(wanted(&batch, 0, "types=hoplog.link.deleted"), [0_u64; 0]);
    }

    #[test]
    fn what_everybody_gets_is_not_copied() {
        let batch = Batch::of(events(1, 3, 100));
        let all = batch.wanted(Sequence::START, &Filter::default());
        assert_eq!(all.as_ptr(), batch.bytes.as_ptr());
    }

    #[test]
    fn a_line_break_in_an_event_does_not_end_it() {
        let mut broken = events(1, 1, 1);
        broken[0].body = "{\"n\":1,\n\"x\":2}".into();
        let batch = Batch::of(broken);
        let text = String::from_utf8(batch.bytes.to_vec()).unwrap();
        assert!(text.contains("data: {\"n\":1,\ndata: \"x\":2"), "{text}");
    }
}
