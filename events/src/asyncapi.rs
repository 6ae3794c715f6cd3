//! The events as an `AsyncAPI` 3.0 document describes them: the parts that are the same wherever
//! they are read. Whoever gives them away adds how: a log that others can read, the server's own
//! streams.

use serde_json::{Map, Value, json};

use crate::catalogue::{EVENT_TYPES, EventType};
use crate::position::Topic;

/// A part of a document: what it has of each kind, by name.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// Where messages are to be had.
    pub servers: Map<String, Value>,
    /// Where on these.
    pub channels: Map<String, Value>,
    /// What happens there.
    pub operations: Map<String, Value>,
    /// What is said there.
    pub messages: Map<String, Value>,
    /// What it looks like.
    pub schemas: Map<String, Value>,
}

impl Description {
    /// Both parts.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.servers.extend(other.servers);
        self.channels.extend(other.channels);
        self.operations.extend(other.operations);
        self.messages.extend(other.messages);
        self.schemas.extend(other.schemas);
        self
    }
}

/// The types of a topic.
pub fn types(topic: Topic) -> impl Iterator<Item = &'static EventType> {
    EVENT_TYPES.iter().filter(move |event| event.topic == topic)
}

/// A reference to something in the document.
#[must_use]
pub fn reference(path: &str) -> Value {
    json!({ "$ref": format!("#/{path}") })
}

/// The message of an event type: its name, what it says, and what it looks like.
#[must_use]
pub fn message(event: &EventType, payload: &Value, more: Value) -> Value {
    let description = description(event);
    let summary = description.split_once(". ").map_or(&*description, |(first, _)| first);
    let mut message = json!({
        "name": event.name,
        "title": event.name,
        "summary": summary.trim_end_matches('.'),
        "description": description,
        "contentType": "application/cloudevents+json",
        "payload": payload,
    });
    if let (Value::Object(message), Value::Object(more)) = (&mut message, more) {
        message.extend(more);
    }
    message
}

fn description(event: &EventType) -> String {
    let schema = (event.schema)();
    let text = schema.get("description").and_then(Value::as_str);
    text.unwrap_or_default().replace('\n', " ")
}

/// The schema of every event type, which is named as the type is, and those that they are made of.
#[must_use]
pub fn schemas() -> Description {
    let mut schemas = Map::new();
    schemas.insert("envelope".to_owned(), envelope());
    schemas.insert("place".to_owned(), place());
    for event in EVENT_TYPES {
        let data = take_apart((event.schema)().to_value(), &mut schemas);
        let data_name = format!("{}.data", event.name);
        let own = json!({
            "type": "object",
            "properties": {
                "type": { "const": event.name },
                "data": reference(&format!("components/schemas/{data_name}")),
            },
        });
        let whole = json!({ "allOf": [reference("components/schemas/envelope"), own] });
        schemas.insert(data_name, data);
        schemas.insert(event.name.to_owned(), whole);
    }
    Description { schemas, ..Description::default() }
}

/// The schema alone; the definitions in it go to the others, and references to them along.
fn take_apart(mut schema: Value, schemas: &mut Map<String, Value>) -> Value {
    if let Value::Object(fields) = &mut schema {
        fields.remove("$schema");
        if let Some(Value::Object(definitions)) = fields.remove("$defs") {
            for (name, mut definition) in definitions {
                redirect(&mut definition);
                schemas.insert(name, definition);
            }
        }
    }
    redirect(&mut schema);
    schema
}

fn redirect(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get_mut("$ref") {
                *target = target.replace("#/$defs/", "#/components/schemas/");
            }
            fields.values_mut().for_each(redirect);
        }
        Value::Array(items) => items.iter_mut().for_each(redirect),
        _ => {}
    }
}

/// What stands in every event, as it was written.
fn envelope() -> Value {
    let uuid = json!({ "type": "string", "format": "uuid" });
    let time = |description| json!({ "type": "string", "format": "date-time", "description": description });
    let text =
        |description| json!({ "type": "string", "minLength": 1, "description": description });
    json!({
        "type": "object",
        "description": "A CloudEvent (1.0, JSON). Its bytes never change.",
        "required": [
            "specversion", "id", "source", "type", "subject", "time", "datacontenttype",
            "recordedtime", "actor", "commandid", "data",
        ],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": { "type": "string", "format": "uuid", "description": "tells a repetition" },
            "source": { "const": "/hoplog" },
            "type": text("the type, with its version"),
            "subject": { "type": "string", "description": "the stream: of a link, its domain/code" },
            "time": time("when it happened"),
            "datacontenttype": { "const": "application/json" },
            "recordedtime": time("when it was written down"),
            "actor": text("who did it: key:<id>, system:<job> or visitor"),
            "commandid": uuid,
            "commandhash": text("tells a retry from another request under the same idempotency key"),
            "correlationid": text("the X-Request-Id of the request that caused it"),
            "data": { "type": "object" },
        },
    })
}

/// What a reader of the server's own streams is given in addition.
fn place() -> Value {
    json!({
        "type": "object",
        "required": ["sequence", "position", "streamversion"],
        "properties": {
            "sequence": {
                "type": "string", "pattern": "^[0-9]{20}$",
                "description": "the place in the topic: in the order of the log, may have gaps",
            },
            "position": { "type": "string", "description": "the token to go on behind" },
            "streamversion": {
                "type": "string", "pattern": "^[0-9]+$",
                "description": "how many events the stream has with this one",
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All references of a value.
    fn references(value: &Value) -> Vec<String> {
        match value {
            Value::Object(fields) => fields
                .iter()
                .flat_map(|(name, value)| match value {
                    Value::String(target) if name == "$ref" => vec![target.clone()],
                    value => references(value),
                })
                .collect(),
            Value::Array(items) => items.iter().flat_map(references).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_type_has_a_schema_that_needs_nothing_from_elsewhere() {
        let schemas = schemas().schemas;
        for event in EVENT_TYPES {
            assert!(schemas.contains_key(event.name), "{}", event.name);
        }
        let all = references(&Value::Object(schemas.clone()));
        assert!(all.len() > 3 * EVENT_TYPES.len(), "{}", all.len());
        for target in all {
            let name = target.strip_prefix("#/components/schemas/");
            assert!(name.is_some_and(|name| schemas.contains_key(name)), "{target}");
        }
    }

    /// Two types of one name would be taken for each other.
    #[test]
    fn what_has_one_name_is_one_thing() {
        let mut known: Map<String, Value> = Map::new();
        for event in EVENT_TYPES {
            let mut own = Map::new();
            take_apart((event.schema)().to_value(), &mut own);
            for (name, definition) in own {
                let before = known.insert(name.clone(), definition.clone());
                assert!(before.is_none_or(|before| before == definition), "{name}");
            }
        }
    }
}
