//! The command line: `hoplog serve` is the server, everything else talks to one (or, for
//! `hoplog log`, to the log's own files).
//!
//! One file per command group. Data goes to stdout, everything else to stderr. The exit code is
//! 0 when it is done, 1 when it failed, 2 when it was misused.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bar;
mod breakdown;
mod chart;
mod client;
mod domain;
mod erase;
mod error;
mod events;
mod export;
mod import;
mod key;
mod link;
mod log;
mod orphans;
mod projection;
mod range;
mod ratelimit;
mod serve;
mod stats;
mod table;
mod tag;
mod top;
mod webhook;

use error::CliError;

/// An event-sourced link platform: durable clicks, recomputable numbers, fast redirects.
#[derive(Debug, Parser)]
#[command(name = "hoplog", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Example:\n  hoplog link create https://example.com/launch --alias launch")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<serve::ServeArgs>),
    /// Create, show, list and change links
    Link(link::LinkArgs),
    /// Show the clicks of a link, a tag or a domain: over time, and by country, device, referrer…
    Stats(stats::StatsArgs),
    /// List and rename the tags of links
    Tag(tag::TagArgs),
    /// Show the links that are clicked most
    Top(top::TopArgs),
    /// Show visits that led nowhere: unknown codes, the base URL, links that are not served
    Orphans(orphans::OrphansArgs),
    /// Import links and clicks: from files, access logs and other link shorteners
    Import(import::ImportArgs),
    /// Export links, clicks, statistics and orphan visits as CSV or NDJSON
    Export(export::ExportArgs),
    /// Print events as NDJSON
    Events(events::EventsArgs),
    /// Operate the read models
    Projection(projection::ProjectionArgs),
    /// Add, list, change and remove domains that links live on
    Domain(domain::DomainArgs),
    /// Create, list and revoke API keys
    Key(key::KeyArgs),
    /// Create, test and operate webhooks
    Webhook(webhook::WebhookArgs),
    /// Ask about rate limits
    Ratelimit(ratelimit::RateLimitArgs),
    /// Erase personal data for good
    Erase(erase::EraseArgs),
    /// Export, import and verify the log
    Log(log::LogArgs),
}

/// Where data is printed.
type Out = dyn Write + Send;

/// Runs the program with the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are no mistakes: clap knows where each text goes and its exit code.
        Err(error) => {
            let _ = error.print();
            return exit_code(error.exit_code());
        }
    };
    let mut out = BufWriter::new(io::stdout());
    let result = run(cli.command, &mut out).and_then(|()| Ok(out.flush()?));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without stderr there is nobody to tell.
            let _ = write!(io::stderr(), "{}", error.report());
            exit_code(error.exit_code())
        }
    }
}

fn exit_code(code: i32) -> ExitCode {
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn run(command: Command, out: &mut Out) -> Result<(), CliError> {
    // The server has a thread for each core; everybody else makes do with one.
    let command = match command {
        Command::Serve(args) => return serve::run(*args),
        other => other,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Serve(_) => Ok(()),
            Command::Link(args) => link::run(args, out).await,
            Command::Stats(args) => stats::run(args, out).await,
            Command::Tag(args) => tag::run(args, out).await,
            Command::Top(args) => top::run(args, out).await,
            Command::Orphans(args) => orphans::run(args, out).await,
            Command::Import(args) => import::run(args, out).await,
            Command::Export(args) => export::run(args, out).await,
            Command::Events(args) => events::run(args, out).await,
            Command::Projection(args) => projection::run(args, out).await,
            Command::Domain(args) => domain::run(args, out).await,
            Command::Key(args) => key::run(args, out).await,
            Command::Webhook(args) => webhook::run(args, out).await,
            Command::Ratelimit(args) => ratelimit::run(args, out).await,
            Command::Erase(args) => erase::run(args, out).await,
            Command::Log(args) => log::run(args, out).await,
        }
    })
}

#[cfg(test)]
mod tests;
