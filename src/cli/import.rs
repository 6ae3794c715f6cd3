//! `hoplog import`: links from CSV, clicks from access logs. Both can be run again: what is
//! already there is found by what it is made of, and not added twice.

use clap::{Args, Subcommand};

use super::Out;
use super::client::{Client, ServerArgs};
use super::error::CliError;

mod access_log;
mod bulk;
mod combined;
mod links;

/// `hoplog import`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example:\n  hoplog import links links.csv")]
pub(super) struct ImportArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print the summary as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a link for each row of a CSV file
    #[command(long_about = links::ABOUT)]
    #[command(after_help = "Example:\n  hoplog import links links.csv")]
    Links(links::LinksArgs),
    /// Record the clicks of an access log, at their own times
    #[command(long_about = access_log::ABOUT)]
    #[command(
        after_help = "Example:\n  hoplog import access-log access.log --site https://www.example.com"
    )]
    AccessLog(access_log::AccessLogArgs),
}

/// Runs `hoplog import`.
pub(super) async fn run(args: ImportArgs, out: &mut Out) -> Result<(), CliError> {
    let client = Client::new(args.server)?;
    match args.action {
        Action::Links(links) => links::run(links, &client, args.json, out).await,
        Action::AccessLog(log) => access_log::run(log, &client, args.json, out).await,
    }
}

/// Whether an import has failed: when it took nothing of what it was given, or when it may leave
/// nothing out and did.
fn verdict(what: &str, taken: u64, failed: u64, leaves_out: LeavesOut) -> Result<(), CliError> {
    match (failed, leaves_out) {
        (0, _) => Ok(()),
        (_, LeavesOut::BadLines) if taken > 0 => Ok(()),
        _ => Err(CliError::Failed(format!("{failed} {what} failed"))),
    }
}

/// What an import leaves out without having failed.
#[derive(Debug, Clone, Copy)]
enum LeavesOut {
    /// Nothing: every row was meant.
    Nothing,
    /// Lines of a log that are none: whoever scans a site leaves such behind.
    BadLines,
}
