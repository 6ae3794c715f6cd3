//! Golden files: one event of every version ever written, as its bytes were. They are never
//! changed; a new version gets a new file. Reading all of them is the proof that a log of any age
//! can be read.

use std::path::{Path, PathBuf};

use crate::catalogue::EVENT_TYPES;
use crate::envelope::{CommandId, Envelope, NewEvent, RecordedEvent};
use crate::position::{LogId, Position, Sequence, StreamId, Topic, Version};

/// Where the files are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// The bytes of a golden event, without the line's end.
pub(crate) fn read(name: &str) -> String {
    let path = folder().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.trim_end_matches('\n').to_owned()
}

/// The names of all golden events, without the expected results of upcasts.
pub(crate) fn names() -> Vec<String> {
    let files = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name());
    let names = files.map(|file| file.to_str().unwrap().strip_suffix(".json").unwrap().to_owned());
    names.filter(|name| !name.ends_with(".expected")).collect()
}

#[derive(serde::Deserialize)]
struct Place {
    subject: String,
    #[serde(rename = "type")]
    event_type: Box<str>,
    commandid: CommandId,
}

/// The event as a log would give it.
pub(crate) fn recorded(text: &str) -> RecordedEvent {
    let place: Place = serde_json::from_str(text).unwrap();
    let topic = match place.event_type.split('.').nth(1) {
        Some("clicks" | "orphans") => Topic::Clicks,
        Some("api-key" | "code-secret" | "domain" | "webhook") => Topic::Accounts,
        _ => Topic::Links,
    };
    RecordedEvent {
        position: Position { log: LogId(uuid::Uuid::nil()), topic, sequence: Sequence(1) },
        stream: StreamId::new(topic, place.subject),
        version: Version(1),
        command_id: place.commandid,
        event_type: place.event_type,
        body: text.to_owned().into(),
    }
}

/// The event as this version writes it.
fn rewritten(stream: &StreamId, envelope: &Envelope) -> String {
    let Envelope { id, time, recorded_time, metadata, event } = envelope;
    let written = NewEvent::write(stream, event, *id, *time, *recorded_time, metadata).unwrap();
    String::from_utf8(written.body.to_vec()).unwrap()
}

#[test]
fn every_event_type_has_a_golden_file() {
    for event_type in EVENT_TYPES {
        let recorded = recorded(&read(event_type.name));
        assert_eq!(&*recorded.event_type, event_type.name);
        assert_eq!(recorded.stream.topic(), event_type.topic);
    }
}

#[test]
fn every_golden_event_is_read_and_written_again_with_the_same_bytes() {
    for name in names() {
        let golden = read(&name);
        let recorded = recorded(&golden);
        assert!(name.starts_with(&*recorded.event_type), "{name} holds a {}", recorded.event_type);
        let envelope = recorded.decode().unwrap().unwrap_or_else(|| panic!("{name} is unknown"));
        let current = EVENT_TYPES.iter().any(|known| *known.name == *recorded.event_type);
        let expected = if current { golden } else { read(&format!("{name}.expected")) };
        assert_eq!(rewritten(&recorded.stream, &envelope), expected, "{name}");
    }
}

/// Fault 6 of passwords in the field: whoever reads the stream sees that there is one, and no hash to guess at.
#[test]
fn readers_see_that_there_is_a_password_and_no_hash() {
    for (name, before, after) in [
        ("hoplog.link.created.v2.password", "", Some(true)),
        ("hoplog.link.password-changed.v1", "", Some(true)),
        ("hoplog.link.password-changed.v1", "\"passwordHash\":null", Some(false)),
        ("hoplog.link.created.v2.extras", "", None),
    ] {
        let mut golden = read(name);
        if !before.is_empty() {
            let at = golden.find("\"passwordHash\"").unwrap();
            let end = at + golden[at..].find('}').unwrap();
            golden.replace_range(at..end, before);
        }
        let shown = recorded(&golden).to_cloud_event();
        let data = &serde_json::from_str::<serde_json::Value>(&shown).unwrap()["data"];
        assert_eq!(data.get("hasPassword").map(|has| has.as_bool().unwrap()), after, "{name}");
        assert!(!shown.contains("argon2") && !shown.contains("passwordHash"), "{shown}");
    }
    // A text of somebody's that looks like one stays as it is.
    let quoted = read("hoplog.link.created.v2").replace("Launch", "a \\\"passwordHash\\\"");
    assert!(recorded(&quoted).to_cloud_event().starts_with(quoted.strip_suffix('}').unwrap()));
}

#[test]
fn an_event_of_an_unknown_type_is_skipped() {
    let golden = read("hoplog.link.titled.v1");
    for unknown in ["hoplog.link.titled.v2", "hoplog.link.blessed.v1", "other.link.titled.v1"] {
        let newer = golden.replace("hoplog.link.titled.v1", unknown);
        assert_eq!(recorded(&newer).decode().unwrap(), None, "{unknown}");
    }
}

#[test]
fn data_that_does_not_fit_its_type_is_an_error_that_names_the_type() {
    let golden = read("hoplog.link.created.v2");
    for (good, bad) in [
        (r#""redirect":302"#, r#""redirect":200"#),
        (r#""code":"launch""#, r#""code":"""#),
        (r#""url":"https:"#, r#""url":"javascript:"#),
        (r#""owner":"#, r#""nobody":"#),
    ] {
        let error = recorded(&golden.replacen(good, bad, 1)).decode().unwrap_err();
        assert_eq!(error.event_type, "hoplog.link.created.v2", "{bad}");
    }
    let error = recorded(
        r#"{"subject":"a","type":"t","commandid":"7d444840-9dc0-51d1-b245-5ffdce74fad2"}"#,
    )
    .decode()
    .unwrap_err();
    assert!(error.reason.starts_with("envelope: "), "{error}");
}
