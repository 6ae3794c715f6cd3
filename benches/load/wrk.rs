//! As many requests as are answered, by `wrk` on one thread.

use std::process::Command;
use std::time::Duration;

use super::support::{ADMIN_KEY, checkout};

/// What a load came to.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub rate: f64,
    /// p50, p99 and p99.9.
    pub latencies_ms: [f64; 3],
    pub errors: f64,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Script {
    /// Redirects of so many links.
    Visit { links: usize },
    /// New links.
    Create,
}

/// Asks a server for some time.
pub fn load(script: Script, connections: u32, time: Duration, url: &str) -> Outcome {
    let (name, links) = match script {
        Script::Visit { links } => ("visit.lua", links),
        Script::Create => ("create.lua", 0),
    };
    // One script is all it takes.
    let texts = [name, "done.lua"].map(|name| {
        std::fs::read_to_string(checkout("benches/load").join(name)).expect("the script is there")
    });
    let directory = tempfile::tempdir().expect("a directory");
    let script = directory.path().join("script.lua");
    std::fs::write(&script, texts.concat()).expect("a script");
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{}s", time.as_secs()), "-s"])
        .arg(script)
        .arg(url)
        .env("LINKS", links.to_string())
        .env("KEY", ADMIN_KEY)
        .output()
        .expect("wrk is there: benches/run installs it");
    let printed = String::from_utf8_lossy(&output.stdout);
    read(&printed).unwrap_or_else(|| panic!("{printed}{}", String::from_utf8_lossy(&output.stderr)))
}

fn read(printed: &str) -> Option<Outcome> {
    let line = printed.lines().find_map(|line| line.strip_prefix("RESULT "))?;
    let figures: Vec<f64> = line.split(' ').map_while(|figure| figure.parse().ok()).collect();
    let [rate, p50, p99, nearly_all, errors] = figures[..] else { return None };
    Some(Outcome { rate, latencies_ms: [p50, p99, nearly_all], errors })
}
