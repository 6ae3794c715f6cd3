//! `hoplog erase`: personal data, for good.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::Out;
use super::client::{Client, ServerArgs, json_within};
use super::error::CliError;
use super::table::{cell, print_json};

/// How long it may take: all clicks are looked through for a visitor, and files are written anew.
const TIMEOUT: Duration = Duration::from_hours(1);

/// `hoplog erase`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example:\n  hoplog erase link launch --yes")]
pub(super) struct EraseArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Don't ask: it can't be undone
    #[arg(long, global = true)]
    yes: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Delete a link and erase what people wrote in it: destination, title, note, tags, external id.
    /// Its clicks stay counted
    #[command(after_help = "Example:\n  hoplog erase link launch --yes")]
    Link {
        /// The code of the link
        code: String,
    },
    /// Make all clicks of a visitor anonymous: hash, address and raw user agent are erased. What is
    /// counted stays
    #[command(
        after_help = "Example:\n  hoplog erase visitor 9f86d081884c7d65 --yes\n  hoplog erase visitor 203.0.113.7 --yes"
    )]
    Visitor {
        /// The visitor of a click, as the API shows it, or an IP address, where addresses are kept
        visitor: String,
    },
}

/// Runs `hoplog erase`.
pub(super) async fn run(args: EraseArgs, out: &mut Out) -> Result<(), CliError> {
    let (kind, name) = match &args.what {
        What::Link { code } => ("links", code),
        What::Visitor { visitor } => ("visitors", visitor),
    };
    if !args.yes {
        confirm(name)?;
    }
    let client = Client::new(args.server)?;
    let request = client.request(Method::DELETE, &[kind, name, "personal-data"])?;
    let answer = json_within(request, TIMEOUT).await?;
    if args.json {
        print_json(&answer, out)?;
    } else {
        print(&answer, out)?;
    }
    Ok(())
}

/// Asks whoever sits there; a script has to say it beforehand.
fn confirm(name: &str) -> Result<(), CliError> {
    if !io::stdin().is_terminal() {
        let usage = "this can't be undone: say --yes";
        return Err(CliError::Usage(usage.to_owned()));
    }
    let mut terminal = io::stderr();
    write!(terminal, "Erase the personal data of {name} for good? [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(CliError::Failed("nothing was erased".to_owned()))
    }
}

fn print(answer: &Value, out: &mut Out) -> io::Result<()> {
    let (events, clicks) = (cell(&answer["events"]), cell(&answer["clicks"]));
    writeln!(out, "erased: {events} events rewritten, {clicks} clicks anonymous")?;
    if let Some(at) = answer["nextScrubAt"].as_str() {
        writeln!(
            out,
            "files of read models have copies of it, which nothing reads; not written anew before {at}"
        )?;
    }
    Ok(())
}
