//! The one script: keep an entry unless a newer one is there.

use std::sync::LazyLock;

use redis::{Pipeline, Script, ServerErrorKind, Value};

use super::Level2Error;
use super::connection::Level2;

static SET_IF_NEWER: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("set_if_newer.lua")));

/// Runs the script for keys, entries and lifetimes in milliseconds. Returns how many were kept.
pub(super) async fn set_if_newer<'a>(
    level2: &Level2,
    entries: impl Iterator<Item = (String, &'a [u8], u64)>,
) -> Result<usize, Level2Error> {
    let mut pipeline = redis::pipe();
    for (key, bytes, ttl_ms) in entries {
        let hash = SET_IF_NEWER.get_hash();
        pipeline.cmd("EVALSHA").arg(hash).arg(1).arg(key).arg(bytes).arg(ttl_ms);
    }
    // Each call is answered on its own: one that is refused does not hide the others.
    pipeline.ignore_errors();
    let mut answers: Vec<Value> = level2.call("set", &pipeline).await?;
    if answers.iter().any(|answer| is(answer, ServerErrorKind::NoScript)) {
        // Redis was restarted or its scripts were flushed. What was kept already stays kept:
        // the second time it is not newer any more.
        let mut load = Pipeline::new();
        load.cmd("SCRIPT").arg("LOAD").arg(include_str!("set_if_newer.lua")).ignore();
        let () = level2.call("load", &load).await?;
        answers = level2.call("set", &pipeline).await?;
    }
    if answers.iter().any(|answer| is(answer, ServerErrorKind::ReadOnly)) {
        // A replica that was the primary before: its address may lead to the new one.
        level2.disconnect();
    }
    kept(&answers)
}

fn kept(answers: &[Value]) -> Result<usize, Level2Error> {
    let refused = answers.iter().find_map(|answer| match answer {
        Value::ServerError(error) => Some(error.to_string()),
        _ => None,
    });
    match refused {
        Some(reason) => {
            metrics::counter!("hoplog_shared_cache_errors_total", "call" => "set").increment(1);
            Err(Level2Error::Failed(reason))
        }
        None => Ok(answers.iter().filter(|answer| **answer == Value::Int(1)).count()),
    }
}

fn is(answer: &Value, kind: ServerErrorKind) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind() == Some(kind))
}
