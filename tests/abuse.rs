//! The promise: no link leads to what the operator has blocked, or has put in quarantine.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Client, Settings};

mod blocklist;
mod quarantine;
mod recheck;
mod reports;

/// A block list, and settings for servers that read it.
struct List {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl List {
    fn of(lines: &str) -> (Self, Settings) {
        let dir = tempfile::tempdir().unwrap();
        let list = Self { path: dir.path().join("blocklist"), _dir: dir };
        list.write(lines);
        let settings = Settings::new().with("HOPLOG_BLOCKLIST", list.path.to_str().unwrap());
        (list, settings)
    }

    /// Puts another list in its place, at once.
    fn write(&self, lines: &str) {
        let new = self.path.with_extension("new");
        std::fs::write(&new, lines).unwrap();
        std::fs::rename(new, &self.path).unwrap();
    }
}

/// Waits until a link to a place is created (201) or refused (422).
async fn creations_become(client: &Client, url: &str, status: u16) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while client.post("/api/v1/links", &json!({ "url": url })).await.status != status {
        assert!(Instant::now() < deadline, "{url} does not become {status}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
