//! Writes `docs/events.md` from the catalogue, the schemas and the golden files, and holds the
//! file against them.

use std::fmt::Write as _;
use std::path::Path;

use crate::catalogue::{EVENT_TYPES, EventType};
use crate::golden;

/// What is said of all events.
const INTRODUCTION: &str = include_str!("documentation/introduction.md");

/// How to write the file again.
const UPDATE: &str = "HOPLOG_UPDATE=1 cargo test -p hoplog-events documentation";

/// The whole page.
fn page() -> String {
    let mut page = INTRODUCTION.replace("{update}", UPDATE);
    page.push_str("\n| type | topic | |\n|---|---|---|\n");
    for event in EVENT_TYPES {
        let EventType { name, topic, .. } = event;
        let anchor = name.replace('.', "");
        writeln!(page, "| [`{name}`](#{anchor}) | {topic} | {} |", summary(event)).unwrap();
    }
    for event in EVENT_TYPES {
        section(&mut page, event);
    }
    page
}

/// The first sentence of what the type's documentation says.
fn summary(event: &EventType) -> String {
    let text = description(event);
    text.split_once(". ").map_or(text.clone(), |(first, _)| format!("{first}."))
}

/// What the type's documentation says, on one line.
fn description(event: &EventType) -> String {
    let schema = (event.schema)();
    let text = schema.get("description").and_then(|text| text.as_str());
    text.unwrap_or_else(|| panic!("{} has no documentation", event.name)).replace('\n', " ")
}

fn section(page: &mut String, event: &EventType) {
    let name = event.name;
    let schema = serde_json::to_string_pretty(&(event.schema)()).unwrap();
    let (text, example) = (description(event), pretty(&golden::read(name)));
    write!(
        page,
        "\n## {name}\n\n{text}\n\n```json\n{example}\n```\n\n\
         <details><summary>JSON Schema of <code>data</code></summary>\n\n\
         ```json\n{schema}\n```\n\n</details>\n"
    )
    .unwrap();
}

/// JSON with line breaks, its fields in the order in which they are written.
fn pretty(json: &str) -> String {
    let (mut out, mut depth, mut in_text, mut escaped) = (String::new(), 0, false, false);
    let mut characters = json.chars().peekable();
    while let Some(c) = characters.next() {
        let empty = matches!((c, characters.peek()), ('{', Some('}')) | ('[', Some(']')));
        match c {
            _ if in_text => {
                in_text = escaped || c != '"';
                escaped = c == '\\' && !escaped;
                out.push(c);
            }
            '{' | '[' if empty => out.extend([c, characters.next().unwrap()]),
            '{' | '[' => {
                depth += 1;
                out.extend([c, '\n']);
                out.push_str(&"  ".repeat(depth));
            }
            '}' | ']' => {
                depth -= 1;
                write!(out, "\n{}{c}", "  ".repeat(depth)).unwrap();
            }
            ',' => write!(out, ",\n{}", "  ".repeat(depth)).unwrap(),
            ':' => out.push_str(": "),
            _ => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out
}

#[test]
fn documentation_is_as_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    let page = page();
    if std::env::var_os("HOPLOG_UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "docs/events.md is stale; write it again: {UPDATE}");
}

#[test]
fn documentation_examples_are_the_golden_events() {
    let golden = golden::read("hoplog.clicks.recorded.v1");
    let (one, other) = (pretty(&golden), golden.as_str());
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(&one), value(other));
    assert!(one.starts_with("{\n  \"specversion\": \"1.0\",\n  \"id\": "), "{one}");
}
