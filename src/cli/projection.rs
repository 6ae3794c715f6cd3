//! `hoplog projection`: the read models of a running server.

use std::io;
use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Out;
use super::client::{Client, ServerArgs, json_within};
use super::error::CliError;
use super::table::{Table, cell, plain, print_json};

mod progress;

/// How long computing a read model again may take.
const OPERATION_TIMEOUT: Duration = Duration::from_hours(24);

/// `hoplog projection`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example:\n  hoplog projection verify click_statistics")]
pub(super) struct ProjectionArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the read models: how far they are, and how far behind the log
    #[command(after_help = "Example:\n  hoplog projection list --json")]
    List,
    /// Show everything about one read model, or the list of all
    #[command(after_help = "Example:\n  hoplog projection status link_directory")]
    Status {
        /// The name of the read model
        name: Option<String>,
    },
    /// Compute a read model again from the first event, then swap it in
    #[command(after_help = "Example:\n  hoplog projection rebuild click_statistics")]
    Rebuild {
        #[command(flatten)]
        name: Name,
        /// Also if the log has lost its beginning: what the read model has of it is lost, too
        #[arg(long)]
        force: bool,
    },
    /// Read the tables again that were read before the last rebuild; they catch up first
    #[command(after_help = "Example:\n  hoplog projection rollback click_statistics")]
    Rollback(Name),
    /// Compute a read model aside and compare every row with the live one
    #[command(after_help = "Example:\n  hoplog projection verify click_statistics")]
    Verify(Name),
    /// Stop a read model where it is
    #[command(after_help = "Example:\n  hoplog projection pause clicks")]
    Pause(Name),
    /// Let a paused read model go on
    #[command(after_help = "Example:\n  hoplog projection resume clicks")]
    Resume(Name),
    /// List the events that a read model can't handle, and how many wait for them
    #[command(after_help = "Example:\n  hoplog projection parked link_directory")]
    Parked(Name),
    /// Try parked events again
    #[command(after_help = "Example:\n  hoplog projection retry link_directory default/spring")]
    Retry {
        #[command(flatten)]
        name: Name,
        /// One sequence, as `parked` names it; all if none is given
        sequence: Option<String>,
    },
    /// Pass over, for good, the event that a parked sequence waits for, and try the rest
    #[command(after_help = "Example:\n  hoplog projection skip link_directory default/spring")]
    Skip {
        #[command(flatten)]
        name: Name,
        /// The sequence, as `parked` names it
        sequence: String,
    },
}

#[derive(Debug, Args)]
struct Name {
    /// The name of the read model (see `hoplog projection list`)
    name: String,
}

/// Runs `hoplog projection`.
pub(super) async fn run(args: ProjectionArgs, out: &mut Out) -> Result<(), CliError> {
    let client = Client::new(args.server)?;
    let (name, verb, query): (_, _, Vec<(&str, String)>) = match args.action {
        Action::List | Action::Status { name: None } => {
            let mut answer = client.get(&["projections"], &[]).await?;
            let list = answer["data"].take();
            let print = if args.json { print_json } else { print_list };
            return Ok(print(&list, out)?);
        }
        Action::Status { name: Some(name) } => {
            let status = client.get(&["projections", &name], &[]).await?;
            return Ok(print(&status, args.json, out)?);
        }
        Action::Parked(Name { name }) => {
            let parked = client.list(&["projections", &name, "parked"], &[], usize::MAX).await?;
            let print = if args.json { print_json } else { print_parked };
            return Ok(print(&parked.into(), out)?);
        }
        Action::Rebuild { name: Name { name }, force } => {
            (name, "rebuild", force.then(|| ("force", "true".to_owned())).into_iter().collect())
        }
        Action::Retry { name: Name { name }, sequence } => {
            (name, "retry", sequence.map(|sequence| ("sequence", sequence)).into_iter().collect())
        }
        Action::Skip { name: Name { name }, sequence } => {
            (name, "skip", vec![("sequence", sequence)])
        }
        Action::Rollback(Name { name }) => (name, "rollback", Vec::new()),
        Action::Verify(Name { name }) => (name, "verify", Vec::new()),
        Action::Pause(Name { name }) => (name, "pause", Vec::new()),
        Action::Resume(Name { name }) => (name, "resume", Vec::new()),
    };
    let request = client.request(Method::POST, &["projections", &name, verb])?;
    let request = json_within(request.query(&query).json(&json!({})), OPERATION_TIMEOUT);
    let answer = progress::shown(&client, &name, request).await?;
    print(&answer, args.json, out)?;
    out.flush()?;
    // What was found is data and printed; the verdict is the exit code.
    verdict(&name, &answer)
}

fn verdict(name: &str, answer: &Value) -> Result<(), CliError> {
    if answer["identical"] == false {
        return Err(CliError::Failed(format!("{name} differs from what the log says")));
    }
    let still = |item: &Value| item["error"].is_string();
    let retried = answer["data"].as_array().into_iter().flatten().chain([answer]);
    match retried.filter(|item| still(item)).count() {
        0 => Ok(()),
        _ => Err(CliError::Failed(format!("{name} still has parked events"))),
    }
}

fn print_parked(list: &Value, out: &mut Out) -> io::Result<()> {
    const FIELDS: [&str; 6] = ["sequence", "events", "attempts", "parkedAt", "eventType", "error"];
    let headings = ["SEQUENCE", "EVENTS", "ATTEMPTS", "SINCE", "EVENT", "ERROR"];
    let mut table = Table::new(&headings, &[1, 2]);
    for parked in list.as_array().into_iter().flatten() {
        table.row(FIELDS.map(|name| cell(&parked[name])));
    }
    table.print(out)
}

fn print_list(list: &Value, out: &mut Out) -> io::Result<()> {
    const FIELDS: [&str; 7] =
        ["name", "state", "lagEvents", "lagSeconds", "rate", "parked", "lastError"];
    let headings =
        ["NAME", "STATE", "LAG EVENTS", "LAG SECONDS", "EVENTS/S", "PARKED", "LAST ERROR"];
    let mut table = Table::new(&headings, &[2, 3, 4, 5]);
    for projection in list.as_array().into_iter().flatten() {
        table.row(FIELDS.map(|name| cell(&projection[name])));
    }
    table.print(out)
}

/// Every field on a line of its own.
fn print(answer: &Value, json: bool, out: &mut Out) -> io::Result<()> {
    if json {
        return print_json(answer, out);
    }
    for (name, value) in answer.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for item in items {
                    writeln!(out, "{name:<14}  {}", plain(&item.to_string()))?;
                }
            }
            Value::Null => {}
            other => writeln!(out, "{name:<14}  {}", plain(&cell(other)))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_models_are_listed_with_their_lag() {
        let list = json!([
            {"name": "clicks", "state": "live", "lagEvents": 0, "lagSeconds": 0, "rate": 12.5, "parked": 0, "lastError": null},
            {"name": "link_directory", "state": "paused", "lagEvents": 17, "lagSeconds": 3, "parked": 2},
        ]);
        let mut out = Vec::new();
        print_list(&list, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        NAME            STATE   LAG EVENTS  LAG SECONDS  EVENTS/S  PARKED  LAST ERROR
        clicks          live             0            0      12.5       0
        link_directory  paused          17            3                 2
        ");
    }
}
