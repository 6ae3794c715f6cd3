//! The streams on the servers: made where they are missing, looked at where they are there.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{Api, ApiError, STREAM_EXISTS, STREAM_NOT_FOUND};
use super::subject::Subjects;
use super::{JetStreamOpenError, JetStreamOptions, settings};
use crate::position::{LogId, Topic};

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

/// Makes the streams that are missing and compares the others with the options. Gives the log's
/// identity and what differs, in words.
pub(super) async fn open(
    api: &Api,
    options: &JetStreamOptions,
) -> Result<(LogId, Vec<String>), JetStreamOpenError> {
    let subjects = Subjects::new(&options.prefix, options.partitions);
    let mut id = LogId(Uuid::new_v4());
    let mut differences = Vec::new();
    for (place, topic) in Topic::ALL.into_iter().enumerate() {
        let wanted = config(&subjects, topic, id, options);
        let found = open_one(api, &subjects.stream_name(topic), &wanted).await?;
        // Whoever made the first stream named the log; the others must be of the same.
        let found_id = check(&subjects.stream_name(topic), &found.config, options)?;
        if place == 0 {
            id = found_id;
        } else if id != found_id {
            return Err(JetStreamOpenError::Mixed(subjects.stream_name(topic)));
        }
        let name = subjects.stream_name(topic);
        differences.extend(settings::compare(topic, &name, &wanted, &found.config.rest)?);
    }
    Ok((id, differences))
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
    let nanos =
        |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
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
        // Facts are neither deleted nor overwritten; clicks only get old.
        "deny_delete": true,
        "deny_purge": true,
        "metadata": { LOG_ID: id.to_string(), PARTITIONS: options.partitions.to_string() },
    })
}
