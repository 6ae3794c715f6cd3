//! The topics as those who read them on the servers see them, for an `AsyncAPI` document.
//!
//! Links and clicks only. API keys are the administrator's business, and what nodes agree on is
//! nobody's.

use serde_json::{Map, Value, json};

use super::subject::Subjects;
use super::{COMMAND_ID, EVENT_TYPE, VERSION};
use crate::asyncapi::{Description, message, reference, types};
use crate::position::Topic;

/// The topics that are described: how the key of a stream stands in its subject, and what it is.
const TOPICS: [(Topic, &[(&str, &str)]); 2] = [
    (
        Topic::Links,
        &[
            ("domain", "the link's domain; `default` where the service has one"),
            ("code", "the link's code"),
        ],
    ),
    (
        Topic::Clicks,
        &[(
            "writer",
            "who recorded the batch, in one or more tokens: a node and its lane, or `import`, a \
             source and an hour",
        )],
    ),
];

/// The part of the document that is about these subjects.
pub(super) fn part(subjects: &Subjects) -> Description {
    let mut part = Description::default();
    let server = json!({
        "host": "{host}",
        "protocol": "nats",
        "description": "NATS with JetStream, where HOPLOG_LOG_URL says nats://. Who may read is \
                        the broker's to say: grant reading of these streams only.",
        "variables": { "host": { "default": "localhost:4222", "description": "host and port" } },
    });
    part.servers.insert("nats".to_owned(), server);
    part.schemas.insert("subjectHeaders".to_owned(), headers());
    for (topic, tokens) in TOPICS {
        add(&mut part, subjects, topic, tokens);
    }
    part
}

fn add(part: &mut Description, subjects: &Subjects, topic: Topic, tokens: &[(&str, &str)]) {
    let (name, stream) = (format!("{topic}-subjects"), subjects.stream_name(topic));
    let mut messages = Map::new();
    for event in types(topic) {
        let key = format!("subject.{}", event.name);
        let payload = reference(&format!("components/schemas/{}", event.name));
        let headers = reference("components/schemas/subjectHeaders");
        let whole = message(event, &payload, json!({ "headers": headers }));
        part.messages.insert(key.clone(), whole);
        messages.insert(event.name.to_owned(), reference(&format!("components/messages/{key}")));
    }
    let channel = json!({
        "address": subjects.pattern(topic, tokens.iter().map(|(name, _)| *name)),
        "title": format!("The topic {topic} on the broker"),
        "description": format!(
            "The JetStream stream {stream}: one message per event, in the order of the log; the \
             sequence of a message is the place of its event. In a token, what a subject can't \
             hold is written as =XX. Events of older versions of a type may be there as well. An event \
             whose personal data was erased is not there any more: its sequence is left out."
        ),
        "servers": [reference("servers/nats")],
        "parameters": parameters(subjects, tokens),
        "messages": messages,
    });
    let operation = json!({
        "action": "send",
        "title": format!("Events of {topic}"),
        "summary": format!("Every event of the topic {topic}, as soon as it is on the log"),
        "channel": reference(&format!("channels/{name}")),
        "bindings": { "nats": { "bindingVersion": "0.1.0" } },
    });
    part.channels.insert(name.clone(), channel);
    part.operations.insert(format!("send-{name}"), operation);
}

fn parameters(subjects: &Subjects, tokens: &[(&str, &str)]) -> Value {
    let count = subjects.partitions();
    let partition = format!("a number below {count}: of the same stream always the same");
    let mut parameters = Map::new();
    parameters.insert("partition".to_owned(), json!({ "description": partition }));
    for (name, description) in tokens {
        parameters.insert((*name).to_owned(), json!({ "description": description }));
    }
    parameters.into()
}

/// The headers of a message, which can be looked at without reading the event.
fn headers() -> Value {
    let text = |description| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "required": [EVENT_TYPE, VERSION, COMMAND_ID],
        "properties": {
            EVENT_TYPE: text("the type of the event, with its version"),
            VERSION: text("how many events the stream has with this one"),
            COMMAND_ID: text("the command that caused it, in 32 hexadecimal digits"),
            "Content-Type": { "const": "application/cloudevents+json" },
            "Nats-Msg-Id": text("tells a repetition to the broker"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_of_keys_and_agreements() {
        let part = part(&Subjects::new("t-", 16));
        let names: Vec<&String> = part.channels.keys().collect();
        assert_eq!(names, ["clicks-subjects", "links-subjects"]);
        let all = format!("{part:?}").to_lowercase();
        for secret in ["accounts", "agreement", "rewritten", "api-key", "code-secret"] {
            assert!(!all.contains(secret), "{secret}");
        }
        let address = &part.channels["links-subjects"]["address"];
        assert_eq!(address, "t-links.{partition}.{domain}.{code}");
    }
}
