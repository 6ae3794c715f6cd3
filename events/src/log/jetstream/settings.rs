//! Whether a stream that is there is set as it has to be. What somebody else has made of it, or a
//! tool changed since, may throw events away without a word.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::JetStreamOpenError;
use crate::position::Topic;

/// Settings with which the servers delete events, leave them out or change them, or keep them
/// nowhere. Links and accounts are never to be touched; with clicks an operator may do without.
const DESTRUCTIVE: [&str; 13] = [
    "retention",
    "storage",
    "max_age",
    "max_bytes",
    "max_msgs",
    "max_msgs_per_subject",
    "discard_new_per_subject",
    "allow_rollup_hdrs",
    "sealed",
    "no_ack",
    "mirror",
    "sources",
    "subject_transform",
];

/// What each setting is where a configuration does not say. Those that are not here make no
/// difference to events.
fn defaults() -> BTreeMap<String, Value> {
    let defaults = json!({
        "subjects": null,
        "retention": "limits",
        "storage": "file",
        "num_replicas": 1,
        "max_age": 0,
        "max_bytes": -1,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "discard": "old",
        "discard_new_per_subject": false,
        "duplicate_window": 0,
        "compression": "none",
        "persist_mode": "default",
        "first_seq": 0,
        "allow_direct": false,
        "deny_delete": false,
        "deny_purge": false,
        "allow_rollup_hdrs": false,
        "allow_msg_ttl": false,
        "allow_msg_counter": false,
        "allow_msg_schedules": false,
        "subject_delete_marker_ttl": 0,
        "sealed": false,
        "no_ack": false,
        "mirror": null,
        "sources": null,
        "subject_transform": null,
        "republish": null,
    });
    serde_json::from_value(defaults).unwrap_or_default()
}

/// What differs, in words. What may not is an error.
pub(super) fn compare(
    topic: Topic,
    stream: &str,
    wanted: &Value,
    found: &BTreeMap<String, Value>,
) -> Result<Vec<String>, JetStreamOpenError> {
    let mut differences = Vec::new();
    for (setting, default) in defaults() {
        let wanted = said(wanted.get(&setting), &default);
        let found = said(found.get(&setting), &default);
        if wanted == found {
            continue;
        }
        let destroys = DESTRUCTIVE.contains(&&*setting);
        if destroys && topic != Topic::Clicks {
            let (stream, found) = (stream.to_owned(), found.to_string());
            let wanted = wanted.to_string();
            return Err(JetStreamOpenError::Destructive { stream, setting, found, wanted });
        }
        let consequence = if setting == "deny_delete" && *found == Value::Bool(true) {
            "; nothing on it can be erased, and the servers don't take that back: export the log \
             and import it under another prefix"
        } else {
            ""
        };
        differences.push(format!(
            "{stream}: {setting} is {found} on the servers, {wanted} in the settings{consequence}"
        ));
    }
    Ok(differences)
}

/// What a configuration says of a setting. There are several ways to say nothing.
fn said<'a>(value: Option<&'a Value>, default: &'a Value) -> &'a Value {
    let says_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        // No limit is -1, or not said, which is 0.
        Value::Number(number) => number.as_i64() == Some(0) && *default == json!(-1),
        _ => false,
    };
    value.filter(|value| !says_nothing(value)).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare_with(topic: Topic, found: Value) -> Result<Vec<String>, JetStreamOpenError> {
        let wanted = json!({ "max_msgs": -1, "deny_purge": true, "sources": [] });
        compare(topic, "S", &wanted, &serde_json::from_value(found).unwrap())
    }

    #[test]
    fn what_is_not_said_is_the_servers_default() {
        for found in [
            json!({ "deny_purge": true }),
            json!({ "deny_purge": true, "max_msgs": 0, "max_msg_size": -1, "mirror": null }),
            json!({ "deny_purge": true, "sources": [], "subject_transform": {}, "discard": "old" }),
            json!({ "deny_purge": true, "description": "x", "placement": { "cluster": "c" } }),
        ] {
            assert_eq!(compare_with(Topic::Links, found.clone()).unwrap(), [""; 0], "{found}");
        }
    }

    #[test]
    fn what_throws_links_away_is_refused_and_told_of_clicks() {
        for (setting, value) in [
            ("retention", json!("workqueue")),
            ("storage", json!("memory")),
            ("max_age", json!(1_000_000_000)),
            ("max_bytes", json!(1_000)),
            ("max_msgs", json!(1_000)),
            ("max_msgs_per_subject", json!(1)),
            ("discard_new_per_subject", json!(true)),
            ("allow_rollup_hdrs", json!(true)),
            ("sealed", json!(true)),
            ("no_ack", json!(true)),
            ("mirror", json!({ "name": "OTHER" })),
            ("sources", json!([{ "name": "OTHER" }])),
            ("subject_transform", json!({ "src": "links.>", "dest": "lost.>" })),
        ] {
            let found = json!({ "deny_purge": true, setting: value });
            for topic in [Topic::Links, Topic::Accounts] {
                let refused = compare_with(topic, found.clone()).unwrap_err().to_string();
                let told = format!("{setting} is {value}");
                assert!(refused.contains(&told) && refused.contains('S'), "{refused}");
            }
            assert_eq!(compare_with(Topic::Clicks, found).unwrap().len(), 1, "{setting}");
        }
    }

    #[test]
    fn the_rest_is_told() {
        for (setting, value) in [
            ("deny_purge", json!(false)),
            ("deny_delete", json!(true)),
            ("discard", json!("new")),
            ("max_msg_size", json!(1_000)),
            ("persist_mode", json!("async")),
            ("num_replicas", json!(3)),
        ] {
            let mut found = json!({ "deny_purge": true });
            found[setting] = value;
            let told = compare_with(Topic::Links, found).unwrap();
            assert!(told.len() == 1 && told[0].contains(setting), "{told:?}");
        }
    }
}
