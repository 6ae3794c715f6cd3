//! What is left of what was erased, wherever that may be.

use std::path::Path;
use std::process::Command;

use crate::support::Settings;

/// What is on disk and on servers, as far as it can be looked at from outside.
pub(super) fn kept(settings: &Settings) -> String {
    let mut kept = String::new();
    read_all(&settings.data_dir(), &mut kept);
    if std::env::var("HOPLOG_TEST_BACKENDS").as_deref() == Ok("production") {
        let script = "local all = '' for _, key in ipairs(redis.call('KEYS', '*')) do all = all .. key \
                      if redis.call('TYPE', key).ok == 'string' then all = all .. redis.call('GET', key) end \
                      end return all";
        kept += &settings.redis().command(&["EVAL", script, "0"]);
        kept += &dump(&settings.postgres().url());
    }
    kept
}

fn read_all(dir: &Path, into: &mut String) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, into);
        } else {
            into.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
        }
    }
}

/// All rows of all tables.
fn dump(url: &str) -> String {
    let programs = std::fs::read_dir("/usr/lib/postgresql").unwrap();
    let programs = programs.map(|entry| entry.unwrap().path().join("bin/pg_dump"));
    let program = programs.filter(|program| program.exists()).max().expect("pg_dump is there");
    let output = Command::new(program).args(["--data-only", "--inserts", url]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// None of these texts is in what is told or kept.
#[track_caller]
pub(super) fn has_none(what: &str, text: &str, secrets: &[&str]) {
    for secret in secrets {
        if let Some(at) = text.find(secret) {
            let begin = text[..at].char_indices().rev().nth(300).map_or(0, |(begin, _)| begin);
            let around: String = text[begin..].chars().take(700).collect();
            panic!("{what} has {secret}: {around}");
        }
    }
}

/// Every one of these texts is: the test would find them.
#[track_caller]
pub(super) fn has_all(what: &str, text: &str, secrets: &[&str]) {
    for secret in secrets {
        assert!(text.contains(secret), "{what} lacks {secret}");
    }
}
