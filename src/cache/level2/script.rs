//! The script behind every write: keep an entry unless a newer one is there.

use std::sync::LazyLock;

use redis::{Cmd, Script, Value};

use super::connection::Level2;
use super::missed::MissedWrite;
use super::{Level2Error, refused};
use crate::redis_connection::{Refusal, Reply};

const TEXT: &str = include_str!("set_if_newer.lua");

static SET_IF_NEWER: LazyLock<Script> = LazyLock::new(|| Script::new(TEXT));

/// The script with its text: for when it is not known whether Redis has it.
pub(super) fn whole(write: &MissedWrite) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(TEXT);
    with(command, write)
}

fn with(mut command: Cmd, write: &MissedWrite) -> Cmd {
    command.arg(1).arg(&write.key).arg(&write.bytes).arg(write.ttl_ms);
    command
}

/// Runs the script for entries. Says of each whether it was kept, or why it was refused.
pub(super) async fn set_if_newer(
    level2: &Level2,
    writes: &[MissedWrite],
) -> Result<Vec<Result<bool, Refusal>>, Level2Error> {
    let by_hash = |write| {
        let mut command = redis::cmd("EVALSHA");
        command.arg(SET_IF_NEWER.get_hash());
        with(command, write)
    };
    let commands: Vec<Cmd> = writes.iter().map(by_hash).collect();
    let mut answers = level2.call("set", &commands).await?;
    let is_unknown = |answer: &Reply| answer.as_ref().is_err_and(Refusal::is_of_a_script);
    if answers.iter().any(is_unknown) {
        // Redis was restarted or its scripts were flushed. What was kept already stays kept: the
        // second time it is not newer any more.
        let commands: Vec<Cmd> = writes.iter().map(whole).collect();
        answers = level2.call("set", &commands).await?;
    }
    refused("set", answers.iter().filter(|answer| answer.is_err()).count());
    Ok(answers.into_iter().map(|answer| answer.map(|answer| answer == Value::Int(1))).collect())
}
