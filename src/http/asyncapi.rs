//! `/asyncapi.json`: the streams of events, described for programs. The log's own part comes from
//! whoever keeps it, the events' from their types.

use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use hoplog_events::asyncapi::{Description, message, reference, schemas, types};
use hoplog_events::position::Topic;
use serde_json::{Map, Value, json};

use super::origin::Origin;

/// A form in which a topic is given: its name, what is accepted for it, and what it is.
type Form = (&'static str, &'static str, &'static str);

const FORMS: [Form; 3] = [
    (
        "page",
        "application/cloudevents-batch+json",
        "A page: an array of events. `Hoplog-Position` says where to go on, `Link` with \
         `rel=\"next\"` is the next page's address. A full page that starts at a token never \
         changes: it is cacheable, and has an `ETag`.",
    ),
    (
        "bulk",
        "application/x-ndjson",
        "Every event up to now, one on each line, compressed as `Accept-Encoding` says (zstd, \
         gzip). `Hoplog-Position` says where to go on when all of it is read.",
    ),
    (
        "follow",
        "text/event-stream",
        "Every event and what is to come, as server-sent events: `id` is the token to resume \
         behind (`Last-Event-ID`), `event` the type, `data` the event. A message without data \
         says only where the stream is.",
    ),
];

/// This description of the streams.
#[utoipa::path(get, path = "/asyncapi.json", tag = "operations",
    responses((status = 200, description = "an AsyncAPI document", content_type = "application/json")))]
pub fn description(document: Bytes) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document)
}

/// The document: what this server gives, and what the log gives.
pub(super) fn document(log: Description, origin: Option<&Origin>) -> Bytes {
    let Description { servers, channels, operations, messages, schemas } =
        schemas().and(http(origin)).and(log);
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "hoplog events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The log of an event-sourced link platform, from outside: every event \
                            in order, resumed anywhere without a gap or a repeat.",
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": servers,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "an API key with the scope events:read",
                },
                "adminKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "an API key with the scope admin",
                },
            },
        },
    });
    serde_json::to_vec_pretty(&document).unwrap_or_default().into()
}

/// The part that is served here.
fn http(origin: Option<&Origin>) -> Description {
    let mut part = Description::default();
    part.servers.insert("http".to_owned(), server(origin));
    for topic in Topic::ALL {
        let messages = messages(&mut part, topic);
        part.channels.insert(topic.name().to_owned(), channel(topic, &messages));
        for form in &FORMS {
            part.operations.insert(format!("{}-{topic}", form.0), operation(topic, form));
        }
    }
    part
}

fn server(origin: Option<&Origin>) -> Value {
    let description = "this server";
    match origin {
        Some(origin) => {
            let (scheme, authority) = origin.scheme_and_authority();
            json!({ "host": authority, "protocol": scheme, "description": description })
        }
        None => json!({
            "host": "{host}",
            "protocol": "http",
            "description": description,
            "variables": {
                "host": { "default": "localhost:8080", "description": "host and port" },
            },
        }),
    }
}

/// The messages of a topic, by their types; each an event with its place.
fn messages(part: &mut Description, topic: Topic) -> Value {
    let mut messages = Map::new();
    for event in types(topic) {
        let key = format!("stream.{}", event.name);
        let own = reference(&format!("components/schemas/{}", event.name));
        let payload = json!({ "allOf": [own, reference("components/schemas/place")] });
        part.messages.insert(key.clone(), message(event, &payload, json!({})));
        messages.insert(event.name.to_owned(), reference(&format!("components/messages/{key}")));
    }
    messages.into()
}

fn channel(topic: Topic, messages: &Value) -> Value {
    json!({
        "address": "/api/v1/events",
        "title": format!("The topic {topic}"),
        "description": format!(
            "The events of the topic {topic}, in the order of the log. Delivery is at least once; \
             `id` tells a repetition. Events of older versions of a type may be there as well."
        ),
        "servers": [reference("servers/http")],
        "messages": messages,
    })
}

fn operation(topic: Topic, (name, accepted, description): &Form) -> Value {
    let key = if topic == Topic::Accounts { "adminKey" } else { "apiKey" };
    json!({
        "action": "send",
        "title": format!("{name} {topic}"),
        "summary": format!("GET /api/v1/events?topic={topic} with Accept: {accepted}"),
        "description": description,
        "channel": reference(&format!("channels/{topic}")),
        "security": [reference(&format!("components/securitySchemes/{key}"))],
        "bindings": {
            "http": { "method": "GET", "query": query(topic, name), "bindingVersion": "0.3.0" },
        },
    })
}

/// What the address may say.
fn query(topic: Topic, form: &str) -> Value {
    let text = |description| json!({ "type": "string", "description": description });
    let mut properties = json!({
        "topic": { "const": topic.name() },
        "types": text("event types, comma-separated, with or without their version"),
        "after": text("a position token, earliest (default) or latest"),
    });
    if topic != Topic::Accounts {
        properties["link"] = text("only events of this link: its code, or domain/code");
    }
    if form == "page" {
        properties["limit"] = json!({ "type": "integer", "minimum": 1, "maximum": 1000 });
    }
    let required: &[&str] = if topic == Topic::Links { &[] } else { &["topic"] };
    json!({ "type": "object", "properties": properties, "required": required })
}
