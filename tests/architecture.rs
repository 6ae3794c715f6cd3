//! The promise: imports run downwards. Each rule names a place, what must not be said there, and
//! why; the code is read, not run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::checkout;

/// Where, what must not stand there, why not.
struct Rule {
    places: &'static [&'static str],
    forbidden: &'static [&'static str],
    because: &'static str,
}

/// What a library in `src` knows nothing of: all that hoplog is.
const OTHERS: &[&str] = &[
    "hoplog_events",
    "hoplog_projections",
    "axum",
    "crate::accounts",
    "crate::app",
    "crate::cli::",
    "crate::clicks",
    "crate::clock",
    "crate::commands",
    "crate::config",
    "crate::domain",
    "crate::execute",
    "crate::http",
    "crate::queries",
    "crate::telemetry",
    "crate::webhooks",
];

/// The rate limiter and the cache have a way to Redis in common, and nothing else.
const NO_CACHE: Rule = Rule {
    places: &["src/ratelimit", "src/ratelimit.rs"],
    forbidden: &["crate::cache"],
    because: "the rate limiter does without the cache",
};

const RULES: &[Rule] = &[
    Rule {
        places: &["events/src"],
        forbidden: &["hoplog_projections", "hoplog::", "axum", "reqwest", "clap"],
        because: "floor 1 uses no crate of ours and knows no HTTP",
    },
    Rule {
        places: &["projections/src"],
        forbidden: &["hoplog::", "axum", "reqwest", "clap", "log::embedded"],
        because: "floor 2 uses the events only, and any log",
    },
    Rule {
        places: &["src/domain", "src/domain.rs"],
        forbidden: &[
            "tokio",
            "sqlx",
            "axum",
            "rand::",
            "async fn",
            ".await",
            "Utc::now",
            "reqwest",
            "hoplog_projections",
            "events::log",
            "serde_json",
            "metrics::",
            "std::fs",
            "crate::http",
            "crate::commands",
            "crate::queries",
            "crate::execute",
            "crate::clicks",
            "crate::app",
            "crate::cli::",
            "crate::config",
            "crate::accounts",
            "crate::cache",
            "crate::redis_connection",
            "crate::clock",
        ],
        because: "decisions are pure: state and command in, events out",
    },
    Rule {
        places: &["src/execute", "src/execute.rs", "src/commands", "src/commands.rs"],
        forbidden: &[
            "axum",
            "sqlx",
            "hoplog_projections",
            "crate::http",
            "crate::queries",
            "crate::clicks",
            "crate::app",
            "crate::cli::",
            "crate::cache",
            "crate::redis_connection",
        ],
        because: "commands fold the link's own events; they read no read model and know no HTTP",
    },
    Rule {
        places: &["src/queries", "src/queries.rs"],
        forbidden: &[
            "axum",
            "sqlx",
            "crate::http",
            "crate::commands",
            "crate::clicks",
            "crate::app",
            "crate::cli::",
            ".append(",
        ],
        because: "queries do not write and know no HTTP",
    },
    Rule {
        places: &["src/clicks", "src/clicks.rs"],
        forbidden: &["sqlx", "hoplog_projections", "crate::http", "crate::app", "crate::cli::"],
        because: "the recorder writes to the log and knows no read model",
    },
    Rule {
        places: &["src/accounts", "src/accounts.rs"],
        forbidden: &[
            "axum",
            "sqlx",
            "hoplog_projections",
            "crate::http",
            "crate::queries",
            "crate::app",
            "crate::cli::",
            "crate::clicks",
        ],
        because: "keys are events; who asks over HTTP is not their business",
    },
    Rule {
        places: &["src/webhooks", "src/webhooks.rs"],
        forbidden: &["axum", "sqlx", "crate::http", "crate::app", "crate::cli::", "crate::clicks"],
        because: "deliveries know the log and their own tables; who asks over HTTP is not their business",
    },
    Rule {
        places: &["src/titles", "src/titles.rs"],
        forbidden: &[
            "axum",
            "sqlx",
            "hoplog_projections",
            "crate::http",
            "crate::commands",
            "crate::app",
            "crate::cli::",
            "crate::clicks",
        ],
        because: "whoever fetches a title knows pages, and neither links nor who wants it",
    },
    Rule {
        places: &["src/cache", "src/cache.rs"],
        forbidden: OTHERS,
        because: "the cache is a library that knows nothing of links",
    },
    Rule {
        places: &["src/ratelimit", "src/ratelimit.rs"],
        forbidden: OTHERS,
        because: "the rate limiter is a library that knows nothing of links",
    },
    NO_CACHE,
    Rule {
        places: &["src/redis_connection", "src/redis_connection.rs"],
        forbidden: &["crate::", "hoplog_events", "hoplog_projections", "axum"],
        because: "the way to a Redis leads anybody there",
    },
    Rule {
        places: &["src/limits", "src/limits.rs"],
        forbidden: &[
            "axum",
            "sqlx",
            "hoplog_projections",
            "std::fs",
            "crate::http",
            "crate::commands",
            "crate::queries",
            "crate::execute",
            "crate::clicks",
            "crate::app",
            "crate::cli::",
            "crate::config",
            "crate::cache",
        ],
        because: "rules say who is limited; how requests come in and how counts are kept is not their business",
    },
    Rule {
        places: &["src/http", "src/http.rs"],
        forbidden: &["sqlx", "crate::cli::", "log::embedded", ".append(", "std::fs"],
        because: "handlers call a command or a query, and nothing below",
    },
    Rule {
        places: &["src/cli", "src/cli.rs"],
        forbidden: &["sqlx", "axum", "crate::http", "crate::commands", "crate::queries"],
        because: "the command line speaks HTTP, as everybody else",
    },
];

/// All Rust files below a place, without those that hold tests only.
fn files(place: &str) -> Vec<PathBuf> {
    let path = checkout(place);
    if path.is_file() {
        return vec![path];
    }
    let Ok(entries) = fs::read_dir(&path) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(checkout("")).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if !name.ends_with("/tests") {
                found.extend(files(&name));
            }
        } else if is_rust(&path) && !name.ends_with("tests.rs") && !name.contains("/contract/") {
            found.push(path);
        }
    }
    found
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// The code of a file, line by line: no comments, nothing behind the first inline tests.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().take_while(|line| *line != "mod tests {").enumerate();
    let code = lines.map(|(at, line)| (at + 1, line.split("//").next().unwrap().to_owned()));
    code.collect()
}

#[test]
fn imports_run_downwards() {
    let mut broken = Vec::new();
    for rule in RULES {
        let files: Vec<_> = rule.places.iter().flat_map(|place| files(place)).collect();
        assert!(!files.is_empty(), "the rule for {:?} holds nothing", rule.places);
        for path in files {
            for (at, line) in code(&path) {
                for forbidden in rule.forbidden.iter().filter(|word| says(&line, word)) {
                    let place = path.display();
                    broken.push(format!("{place}:{at} says {forbidden}: {}", rule.because));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// Whether a line has a word that is not the end of a longer one.
fn says(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !word.starts_with(char::is_alphanumeric)
            || !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// Only the wiring names concrete backends.
#[test]
fn only_the_wiring_names_backends() {
    let allowed = ["src/app/backends.rs", "src/config.rs", "src/config/backends.rs"];
    for path in files("src") {
        let name = path.strip_prefix(checkout("")).unwrap().to_str().unwrap();
        let lines = code(&path);
        for backend in ["EmbeddedLog", "JetStream", "NATS", "nats", "EventStore", "esdb"] {
            let names = lines.iter().any(|(_, line)| says(line, backend));
            assert!(!names || allowed.contains(&name), "{name} names {backend}");
        }
    }
}

/// A module with children is `name.rs` beside `name/`; folders are domains, not drawers.
#[test]
fn files_are_named_and_sized_as_the_house_wants() {
    let mut sizes = Vec::new();
    for place in ["events/src", "projections/src", "src", "tests"] {
        for path in files(place) {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let drawer = ["mod", "util", "utils", "helpers", "common", "misc", "manager"];
            assert!(!drawer.contains(&stem), "{}", path.display());
            let lines = code(&path).len();
            assert!(lines <= 400, "{} has {lines} lines", path.display());
            sizes.push(lines);
        }
    }
    sizes.sort_unstable();
    assert!(sizes[sizes.len() * 9 / 10] <= 250, "nine files of ten are short");
}

/// The rules find what they look for.
#[test]
fn a_rule_finds_a_word_and_not_its_like() {
    assert!(says("use tokio::sync;", "tokio"));
    assert!(says("    let x = rand::random();", "rand::"));
    assert!(!says("use mytokio::sync;", "tokio"));
    assert!(!says("operand::x", "rand::"));
    assert!(says("log.append(x)", ".append("));
}
