//! The streams on the servers: made where they are missing, looked at where they are there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{Api, ApiError, STREAM_EXISTS, STREAM_NOT_FOUND};
use super::subject::Subjects;
use super::{JetStreamOpenError, JetStreamOptions, settings};
use crate::position::{LogId, Sequence, Topic};

/// Where the log's identity is kept.
const LOG_ID: &str = "hoplog-log-id";

/// Where the number of partitions is kept.
const PARTITIONS: &str = "hoplog-partitions";

#[derive(Deserialize)]
struct Info {
    config: Config,
    state: State,
}

/// Where a topic begins and ends. One of which everything got too old begins behind its end.
#[derive(Deserialize)]
pub(super) struct State {
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    messages: u64,
}

impl State {
    /// Whether anything behind a place may be missing: between what is there, or before it.
    pub(super) fn has_holes_behind(&self, after: Sequence) -> bool {
        let is_whole = self.messages >= (self.last_seq + 1).saturating_sub(self.first_seq);
        self.last_seq > after.0 && (!is_whole || self.first_seq > after.0 + 1)
    }
}

/// What was found out about the streams.
pub(super) struct Opened {
    /// The log's identity.
    pub(super) id: LogId,
    /// What differs from the options, in words.
    pub(super) differences: Vec<String>,
    /// Whether messages may be deleted.
    pub(super) can_rewrite: bool,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    allow_atomic: bool,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// Makes the streams that are missing and compares the others with the options.
pub(super) async fn open(
    api: &Api,
    options: &JetStreamOptions,
) -> Result<Opened, JetStreamOpenError> {
    let subjects = Subjects::new(&options.prefix, options.partitions);
    let id = LogId(Uuid::new_v4());
    let (differences, can_rewrite) = (Vec::new(), true);
    let mut opened = Opened { id, differences, can_rewrite };
    for (place, topic) in Topic::ALL.into_iter().enumerate() {
        let wanted = config(&subjects, topic, opened.id, options);
        let name = subjects.stream_name(topic);
        let found = open_one(api, &name, &wanted).await?;
        // Whoever made the first stream named the log; the others must be of the same.
        let found_id = check(&name, &found.config, options)?;
        if place == 0 {
            opened.id = found_id;
        } else if opened.id != found_id {
            return Err(JetStreamOpenError::Mixed(name));
        }
        let differences = settings::compare(topic, &name, &wanted, &found.config.rest)?;
        opened.differences.extend(differences);
        let says = |setting: &str| found.config.rest.get(setting);
        if says("deny_delete") == Some(&Value::Bool(true)) && topic != Topic::Accounts {
            opened.can_rewrite = false;
        }
    }
    let name = subjects.rewritten_name();
    let wanted = rewritten_config(&subjects, opened.id, options);
    let found = open_one(api, &name, &wanted).await?;
    if check(&name, &found.config, options)? != opened.id {
        return Err(JetStreamOpenError::Mixed(name));
    }
    // What was rewritten is as dear as links are: it may be of one.
    let differences = settings::compare(Topic::Links, &name, &wanted, &found.config.rest)?;
    opened.differences.extend(differences);
    Ok(opened)
}

async fn open_one(api: &Api, name: &str, wanted: &Value) -> Result<Info, ApiError> {
    match api.ask(&format!("STREAM.INFO.{name}"), &Value::Null).await {
        Err(ApiError::Refused { code: STREAM_NOT_FOUND, .. }) => {}
        answer => return answer,
    }
    match api.ask(&format!("STREAM.CREATE.{name}"), wanted).await {
        // Somebody else was faster.
        Err(ApiError::Refused { code: STREAM_EXISTS, .. }) => {
            api.ask(&format!("STREAM.INFO.{name}"), &Value::Null).await
        }
        answer => answer,
    }
}

/// How a topic is, as its leader knows it.
pub(super) async fn state(api: &Api, name: &str) -> Result<State, ApiError> {
    let info: Info = api.ask(&format!("STREAM.INFO.{name}"), &Value::Null).await?;
    Ok(info.state)
}

fn check(
    name: &str,
    found: &Config,
    options: &JetStreamOptions,
) -> Result<LogId, JetStreamOpenError> {
    let id = found.metadata.get(LOG_ID).and_then(|id| Uuid::parse_str(id).ok());
    let id = id.ok_or_else(|| JetStreamOpenError::Foreign(name.to_owned()))?;
    let recorded = found.metadata.get(PARTITIONS).cloned().unwrap_or_default();
    if recorded != options.partitions.to_string() {
        let (name, wanted) = (name.to_owned(), options.partitions);
        return Err(JetStreamOpenError::Partitions { name, recorded, wanted });
    }
    if !found.allow_atomic {
        return Err(JetStreamOpenError::Foreign(name.to_owned()));
    }
    Ok(LogId(id))
}

fn config(subjects: &Subjects, topic: Topic, id: LogId, options: &JetStreamOptions) -> Value {
    let is_clicks = topic == Topic::Clicks;
    let max_age = options.clicks_max_age.filter(|_| is_clicks).map_or(0, nanos);
    let max_bytes = options.clicks_max_bytes.filter(|_| is_clicks);
    json!({
        "name": subjects.stream_name(topic),
        "description": format!("hoplog: the events of topic {topic}"),
        "subjects": [subjects.all(topic)],
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "num_replicas": options.replicas,
        "max_msgs": -1,
        "max_bytes": max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        "max_age": max_age,
        "duplicate_window": nanos(options.deduplication),
        "compression": if options.compression { "s2" } else { "none" },
        "allow_direct": true,
        "allow_atomic": true,
        // Facts are neither deleted nor overwritten; clicks only get old. What is rewritten is
        // deleted when there is something in its place, and keys never are.
        "deny_delete": topic == Topic::Accounts,
        "deny_purge": true,
        "metadata": { LOG_ID: id.to_string(), PARTITIONS: options.partitions.to_string() },
    })
}

/// The stream of what was rewritten. Nothing in it ends on its own.
fn rewritten_config(subjects: &Subjects, id: LogId, options: &JetStreamOptions) -> Value {
    let mut config = config(subjects, Topic::Links, id, options);
    config["name"] = subjects.rewritten_name().into();
    config["description"] = "hoplog: events that were rewritten, in the place of the old".into();
    config["subjects"] = json!([subjects.all_rewritten()]);
    config
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
