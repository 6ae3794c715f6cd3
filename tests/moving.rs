//! The promise: what was somewhere else comes in, what is here comes out, and neither loses or adds anything.

use std::process::Output;

use serde_json::Value;

use crate::support::Server;

mod bitly;
mod bulk;
mod dub;
mod export;
mod files;
mod kutt;
mod manners;
mod shlink;
mod source;
mod yourls;

/// The token of the other side, in a file as its owner keeps it.
const TOKEN: &str = "t0ken-of-the-source";

/// Runs an import that prints JSON; gives its exit code, its summary and what it told on the way.
fn import(server: &Server, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let mut all = vec!["import", "--json"];
    all.extend(arguments);
    if arguments.contains(&"--from") {
        all.extend(["--token-file", token.to_str().unwrap()]);
    }
    let Output { status, stdout, stderr } = server.cli(&all);
    let summary = serde_json::from_slice(&stdout).unwrap_or_default();
    (status.code(), summary, String::from_utf8(stderr).unwrap())
}

/// Runs an import of which everything comes in; gives its summary.
#[track_caller]
fn imported(server: &Server, arguments: &[&str]) -> Value {
    let (code, summary, told) = import(server, arguments);
    assert_eq!(code, Some(0), "{summary} {told}");
    summary
}

/// The reasons of conflicts by their code.
fn conflicts(summary: &Value) -> Vec<(&str, &str)> {
    let conflicts = summary["conflicts"].as_array().unwrap().iter();
    conflicts
        .map(|one| (one["code"].as_str().unwrap_or(""), one["reason"].as_str().unwrap()))
        .collect()
}

/// How many links there were, came in, and had come before.
#[track_caller]
fn counts(summary: &Value) -> [u64; 3] {
    ["links", "created", "known"].map(|name| summary[name].as_u64().unwrap())
}
