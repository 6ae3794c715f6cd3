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
    /// Compute a read model aside and compare every row with the live one
    #[command(after_help = "Example:\n  hoplog projection verify click_statistics")]
    Verify(Name),
    /// Stop a read model where it is
    #[command(after_help = "Example:\n  hoplog projection pause clicks")]
    Pause(Name),
    /// Let a paused read model go on
    #[command(after_help = "Example:\n  hoplog projection resume clicks")]
    Resume(Name),
}

#[derive(Debug, Args)]
struct Name {
    /// The name of the read model (see `hoplog projection list`)
    name: String,
}

/// Runs `hoplog projection`.
pub(super) async fn run(args: ProjectionArgs, out: &mut Out) -> Result<(), CliError> {
    let client = Client::new(args.server)?;
    let forced = matches!(args.action, Action::Rebuild { force: true, .. });
    let (name, verb) = match args.action {
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
        Action::Rebuild { name: Name { name }, .. } => (name, "rebuild"),
        Action::Verify(Name { name }) => (name, "verify"),
        Action::Pause(Name { name }) => (name, "pause"),
        Action::Resume(Name { name }) => (name, "resume"),
    };
    let request = client.request(Method::POST, &["projections", &name, verb])?;
    let request = if forced { request.query(&[("force", "true")]) } else { request };
    let answer = json_within(request.json(&json!({})), OPERATION_TIMEOUT).await?;
    print(&answer, args.json, out)?;
    if answer["identical"] == false {
        // The comparison is data and printed; the verdict is the exit code.
        out.flush()?;
        return Err(CliError::Failed(format!("{name} differs from what the log says")));
    }
    Ok(())
}

fn print_list(list: &Value, out: &mut Out) -> io::Result<()> {
    const FIELDS: [&str; 6] = ["name", "state", "lagEvents", "lagSeconds", "rate", "lastError"];
    let headings = ["NAME", "STATE", "LAG EVENTS", "LAG SECONDS", "EVENTS/S", "LAST ERROR"];
    let mut table = Table::new(&headings, &[2, 3, 4]);
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
            {"name": "clicks", "state": "live", "lagEvents": 0, "lagSeconds": 0, "rate": 12.5, "lastError": null},
            {"name": "link_directory", "state": "paused", "lagEvents": 17, "lagSeconds": 3},
        ]);
        let mut out = Vec::new();
        print_list(&list, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        NAME            STATE   LAG EVENTS  LAG SECONDS  EVENTS/S  LAST ERROR
        clicks          live             0            0      12.5
        link_directory  paused          17            3
        ");
    }
}
