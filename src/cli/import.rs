//! `hoplog import`: links from files and from other programs, clicks from access logs and from other programs. All
//! can be run again: what is already there is found by what it is made of, and not added twice.

use clap::{Args, Subcommand};

use super::Out;
use super::client::{Client, ServerArgs};
use super::error::CliError;

mod access_log;
mod answer;
mod bitly;
mod bulk;
mod clicks;
mod columns;
mod combined;
mod dub;
mod files;
mod intake;
mod item;
mod kutt;
mod links;
mod past;
mod remote;
mod shlink;
mod yourls;

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
    /// Record the clicks of a file, as `hoplog export clicks` writes it
    #[command(long_about = clicks::ABOUT)]
    #[command(after_help = "Example:\n  hoplog import clicks clicks.csv")]
    Clicks(clicks::ClicksArgs),
    /// Create a link for each row of a CSV file of any program; nothing that is here is changed
    #[command(long_about = files::ABOUT_CSV)]
    #[command(after_help = "Example:\n  hoplog import csv short_urls.csv --dry-run")]
    Csv(files::CsvArgs),
    /// Create a link for each line of an NDJSON file
    #[command(long_about = files::ABOUT_NDJSON)]
    #[command(after_help = "Example:\n  hoplog import ndjson links.ndjson --dry-run")]
    Ndjson(files::FileArgs),
    /// Take over the links and visits of a Shlink server
    #[command(long_about = shlink::ABOUT)]
    #[command(
        after_help = "Example:\n  hoplog import shlink --from https://s.example.com --token-file shlink.key"
    )]
    Shlink(shlink::ShlinkArgs),
    /// Take over the links and clicks of a YOURLS database, from its SQL dump
    #[command(long_about = yourls::ABOUT)]
    #[command(after_help = "Example:\n  hoplog import yourls yourls.sql --dry-run")]
    Yourls(yourls::YourlsArgs),
    /// Take over the links of a Kutt server
    #[command(long_about = kutt::ABOUT)]
    #[command(
        after_help = "Example:\n  hoplog import kutt --from https://kutt.example.com --token-file kutt.key"
    )]
    Kutt(kutt::KuttArgs),
    /// Take over the links of a Bitly group
    #[command(long_about = bitly::ABOUT)]
    #[command(
        after_help = "Example:\n  hoplog import bitly --group Ba1bc23dE4F --token-file bitly.key --domain bit.ly"
    )]
    Bitly(bitly::BitlyArgs),
    /// Take over the links and clicks of a Dub workspace
    #[command(long_about = dub::ABOUT)]
    #[command(
        after_help = "Example:\n  hoplog import dub --token-file dub.key --domain go.example.com"
    )]
    Dub(dub::DubArgs),
}

/// Runs `hoplog import`.
pub(super) async fn run(args: ImportArgs, out: &mut Out) -> Result<(), CliError> {
    let client = Client::new(args.server)?;
    match args.action {
        Action::Links(links) => links::run(links, &client, args.json, out).await,
        Action::AccessLog(log) => access_log::run(log, &client, args.json, out).await,
        Action::Clicks(clicks) => clicks::run(clicks, &client, args.json, out).await,
        Action::Csv(csv) => files::run_csv(csv, &client, args.json, out).await,
        Action::Ndjson(file) => files::run_ndjson(file, &client, args.json, out).await,
        Action::Shlink(shlink) => shlink::run(shlink, &client, args.json, out).await,
        Action::Yourls(yourls) => yourls::run(yourls, &client, args.json, out).await,
        Action::Kutt(kutt) => kutt::run(kutt, &client, args.json, out).await,
        Action::Bitly(bitly) => bitly::run(bitly, &client, args.json, out).await,
        Action::Dub(dub) => dub::run(dub, &client, args.json, out).await,
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
