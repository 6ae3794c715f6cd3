//! `hoplog log`: moves and checks a log, directly on its files.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hoplog_events::log::transfer::{self, Counts, Report, TransferError};
use serde_json::{Value, json};

use super::Out;
use super::error::{CliError, input};
use super::table::{plain, print_json};
use crate::app::backends::LogBackend;
use crate::config::{LogSettings, log_url};
use crate::data_dir::DataDir;

/// `hoplog log`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example:\n  hoplog log export backup.ndjson")]
pub(super) struct LogArgs {
    /// Directory of the embedded log
    #[arg(long, env = "HOPLOG_DATA_DIR", default_value = "./hoplog-data", value_name = "DIR")]
    #[arg(global = true)]
    data_dir: PathBuf,
    /// Where the log is: `embedded:`, `nats://host:4222` or `esdb://host:2113`
    #[arg(long, env = "HOPLOG_LOG_URL", default_value = "embedded:", value_name = "URL")]
    #[arg(global = true, hide_env_values = true)]
    log_url: String,
    /// Print the summary as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write every event to a file, or to stdout; a server may be running
    #[command(after_help = "Example:\n  hoplog log export backup.ndjson")]
    Export {
        /// The file, which must not exist [default: stdout]
        file: Option<PathBuf>,
    },
    /// Fill an empty log from an export; no server may be running
    #[command(after_help = "Example:\n  hoplog log import backup.ndjson --data-dir ./restored")]
    Import {
        /// The export
        file: PathBuf,
    },
    /// Read every event and check that the log holds what it promises; a server may be running
    #[command(after_help = "Example:\n  hoplog log verify --data-dir ./hoplog-data")]
    Verify,
}

/// Runs `hoplog log`.
pub(super) async fn run(args: LogArgs, out: &mut Out) -> Result<(), CliError> {
    let settings = log_url(&args.log_url).map_err(|error| CliError::Usage(error.to_string()))?;
    let place = Place { directory: DataDir::new(args.data_dir), settings };
    match args.action {
        Action::Export { file } => export(&place, file.as_deref(), args.json, out).await,
        Action::Import { file } => import(&place, &file, args.json, out).await,
        Action::Verify => verify(&place, args.json, out).await,
    }
}

/// Where the log is.
struct Place {
    directory: DataDir,
    settings: LogSettings,
}

impl Place {
    /// Opens a log that is there; a misspelt directory must not become an empty log.
    async fn open(&self) -> Result<LogBackend, CliError> {
        let Self { directory, settings } = self;
        if *settings == LogSettings::Embedded && !directory.log_file().is_file() {
            let reason = format!("there is no log in {}", directory.path().display());
            return Err(CliError::Failed(reason));
        }
        self.open_or_make().await
    }

    async fn open_or_make(&self) -> Result<LogBackend, CliError> {
        let log = LogBackend::open(&self.settings, &self.directory).await;
        log.map_err(|error| CliError::Failed(error.to_string()))
    }
}

async fn export(
    place: &Place,
    file: Option<&Path>,
    as_json: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let log = place.open().await?;
    let Some(path) = file else {
        transfer::export(&*log.events(), &mut *out).await.map_err(failed)?;
        log.close().await;
        return Ok(());
    };
    let file = File::create_new(path).map_err(|error| input(path, &error))?;
    let mut buffered = io::BufWriter::new(&file);
    let counts = transfer::export(&*log.events(), &mut buffered).await.map_err(failed)?;
    drop(buffered);
    // A backup that is only in the page cache is none.
    file.sync_all().map_err(|error| input(path, &error))?;
    log.close().await;
    print_counts("exported", counts, as_json, out)
}

async fn import(place: &Place, path: &Path, as_json: bool, out: &mut Out) -> Result<(), CliError> {
    let reader = || File::open(path).map(BufReader::new).map_err(|error| input(path, &error));
    let in_file = |error: TransferError| input(path, &error);
    // A damaged export is found before anything is written.
    transfer::check(reader()?).map_err(in_file)?;
    let _lock = place.directory.lock().map_err(|error| CliError::Failed(error.to_string()))?;
    let log = place.open_or_make().await?;
    let counts = transfer::import(&*log.events(), reader()?).await.map_err(in_file)?;
    log.close().await;
    print_counts("imported", counts, as_json, out)
}

async fn verify(place: &Place, as_json: bool, out: &mut Out) -> Result<(), CliError> {
    let log = place.open().await?;
    let report = transfer::verify(&*log.events()).await.map_err(failed)?;
    log.close().await;
    if as_json {
        print_json(&json_of(&report), out)?;
    } else {
        print_report(&report, out)?;
    }
    out.flush()?;
    match report.problem_count {
        0 => Ok(()),
        count => Err(CliError::Failed(format!("the log has {count} problems"))),
    }
}

fn print_counts(done: &str, counts: Counts, as_json: bool, out: &mut Out) -> Result<(), CliError> {
    if as_json {
        return Ok(print_json(&json!({ "events": counts }), out)?);
    }
    let Counts { links, clicks, accounts } = counts;
    writeln!(out, "{done}: {links} events of links, {clicks} of clicks, {accounts} of accounts")?;
    Ok(())
}

fn json_of(report: &Report) -> Value {
    json!({
        "events": report.events,
        "streams": report.streams,
        "trimmedStreams": report.trimmed,
        "trimmedEvents": report.trimmed_events,
        "unknownTypes": report.unknown_types,
        "problems": report.problems,
        "problemCount": report.problem_count,
    })
}

fn print_report(report: &Report, out: &mut Out) -> Result<(), CliError> {
    print_counts("verified", report.events, false, out)?;
    writeln!(out, "streams: {}", report.streams)?;
    if report.trimmed > 0 {
        writeln!(out, "streams of clicks without their beginning: {}", report.trimmed)?;
    }
    let Counts { links, clicks, accounts } = report.trimmed_events;
    for (topic, count) in [("links", links), ("clicks", clicks), ("accounts", accounts)] {
        if count > 0 {
            writeln!(out, "no longer kept: {count} of {topic}")?;
        }
    }
    for (event_type, count) in &report.unknown_types {
        writeln!(out, "unknown here: {count} of {}", plain(event_type))?;
    }
    for problem in &report.problems {
        writeln!(out, "problem: {}", plain(problem))?;
    }
    writeln!(out, "problems: {}", report.problem_count)?;
    Ok(())
}

fn failed(error: TransferError) -> CliError {
    match error {
        // The reader of stdout may have left.
        TransferError::Io(error) => CliError::Output(error),
        error => CliError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};

    async fn run_in(directory: &Path, action: Action) -> Result<String, CliError> {
        let (data_dir, log_url) = (directory.to_owned(), "embedded:".to_owned());
        let mut out = Vec::new();
        run(LogArgs { data_dir, log_url, json: false, action }, &mut out).await?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn a_log_moves_from_one_directory_to_another() {
        let parent = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| parent.path().join(name));
        let file = parent.path().join("backup.ndjson");
        std::fs::create_dir(&from).unwrap();
        let log_file = DataDir::new(from.clone()).log_file();
        EmbeddedLog::open(&log_file, OpenOptions::default()).await.unwrap().close().await;

        let said = run_in(&from, Action::Export { file: Some(file.clone()) }).await.unwrap();
        assert_eq!(said, "exported: 0 events of links, 0 of clicks, 0 of accounts\n");
        run_in(&to, Action::Import { file: file.clone() }).await.unwrap();
        let said = run_in(&to, Action::Verify).await.unwrap();
        assert!(said.ends_with("streams: 0\nproblems: 0\n"), "{said}");
        // An export is never written over.
        let error = run_in(&from, Action::Export { file: Some(file) }).await.unwrap_err();
        assert!(matches!(error, CliError::Input { .. }), "{error}");
    }

    #[tokio::test]
    async fn nothing_is_made_where_there_is_no_log_and_nothing_written_where_somebody_writes() {
        let parent = tempfile::tempdir().unwrap();
        let missing = parent.path().join("missing");
        assert!(run_in(&missing, Action::Verify).await.is_err());
        assert!(!missing.exists());

        let export = parent.path().join("e.ndjson");
        std::fs::write(&export, "nonsense\n").unwrap();
        assert!(run_in(&missing, Action::Import { file: export }).await.is_err());
        assert!(!missing.exists());
    }
}
