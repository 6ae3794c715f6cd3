//! hoplog under load, each case beside its reference in the same run, several rounds in turn: see
//! `benches/run`, which installs what this needs.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    unreachable_pub,
    reason = "the figures are the point, and a measurement that fails says where"
)]

use std::process::Command;
use std::time::Duration;

mod bare;
mod creates;
mod memory;
mod nginx;
mod node;
mod redirects;
mod report;
#[path = "../harness.rs"]
mod support;
#[path = "../backends/load.rs"]
mod visitors;
mod wrk;

use nginx::Nginx;
use report::Figures;
use support::checkout;

/// Names that `CASES` may have.
const CASES: [&str; 7] =
    ["queued", "durable", "servers", "limits", "create", "create-servers", "memory"];

/// Between these lines of the documentation the tables stand.
const BEGIN: &str = "<!-- load:begin -->";
const END: &str = "<!-- load:end -->";

/// The two ways to run hoplog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Everything in the data directory.
    Embedded,
    /// JetStream, PostgreSQL, Redis.
    Servers,
}

/// What is measured, and how.
pub struct Run {
    rounds: usize,
    time: Duration,
    links: usize,
    cases: Vec<String>,
    nginx: Nginx,
}

impl Run {
    /// As the environment says.
    fn new() -> Self {
        let cases = std::env::var("CASES").unwrap_or_else(|_| CASES.join(","));
        let cases: Vec<String> = cases.split(',').map(|case| case.trim().to_owned()).collect();
        for case in &cases {
            assert!(CASES.contains(&case.as_str()), "CASES has {case}; there are {CASES:?}");
        }
        let time = Duration::from_secs(number("SECONDS_EACH", 10) as u64);
        let (rounds, links) = (number("ROUNDS", 5), number("LINKS", 1_000));
        Self { rounds, time, links, cases, nginx: Nginx::start() }
    }

    fn wants(&self, case: &str) -> bool {
        self.cases.iter().any(|wanted| wanted == case)
    }
}

fn number(name: &str, default: usize) -> usize {
    let Ok(text) = std::env::var(name) else { return default };
    let number = text.parse().unwrap_or(0);
    assert!(number > 0, "{name} must be a whole number above 0, not {text}");
    number
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let write = std::env::args().any(|argument| argument == "--write");
    let run = Run::new();
    assert!(!write || run.cases.len() == CASES.len(), "--write needs all cases: leave CASES out");
    let mut figures = Figures::default();
    for round in 1..=run.rounds {
        println!("round {round} of {}", run.rounds);
        redirects::measure(&run, &mut figures).await;
        creates::measure(&run, &mut figures).await;
        memory::measure(&run, &mut figures).await;
    }
    let tables = [redirects::report(&figures), creates::report(&figures), memory::report(&figures)];
    let text = format!("{}{}", heading(&run), tables.concat());
    println!("\n{text}");
    if write {
        put_into_documentation(&text);
    }
}

/// When, of what, on what.
fn heading(run: &Run) -> String {
    let printed = |command: &mut Command| {
        let output = command.output().map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&output).trim().to_owned()
    };
    let day = printed(Command::new("date").args(["-u", "+%F"]));
    let commit = printed(Command::new("git").args(["rev-parse", "--short", "HEAD"]));
    let of = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let processor = of("/proc/cpuinfo", "model name");
    let memory = of("/proc/meminfo", "MemTotal").replace(" kB", "").parse::<f64>();
    let memory = memory.unwrap_or_default() / (1024.0 * 1024.0);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "Measured {day} at commit {commit} on {cores} cores ({processor}), {memory:.0} GiB of memory, \
         {} rounds of {} s.\n",
        run.rounds,
        run.time.as_secs()
    )
}

fn put_into_documentation(tables: &str) {
    let path = checkout("docs/performance.md");
    let text = std::fs::read_to_string(&path).expect("the documentation is there");
    let (before, rest) = text.split_once(BEGIN).expect("the tables have a place");
    let (_, after) = rest.split_once(END).expect("their place has an end");
    let text = format!("{before}{BEGIN}\n\n{tables}\n{END}{after}");
    std::fs::write(path, text).expect("the documentation can be written");
}
