//! `hoplog link`: the commands and queries of links, against a running server.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Out;
use super::client::{Client, ServerArgs, json};
use super::error::CliError;
use super::table::print_json;

mod create;
mod edit;
mod fields;
mod list;
mod show;
mod split;
#[cfg(test)]
mod tests;

use create::Create;
use edit::Edit;
use list::List;
use show::print_link;
use split::Split;

/// `hoplog link`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example:\n  hoplog link create https://example.com/ --alias launch")]
pub(super) struct LinkArgs {
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
    /// Create a link and print its short URL. One on another domain is named with it later: go.example.com/launch
    #[command(
        after_help = "Example:\n  hoplog link create https://example.com/ --alias launch --expires-in 7d"
    )]
    Create(Box<Create>),
    /// Show a link
    #[command(after_help = "Example:\n  hoplog link show launch --as-of 2030-01-01T00:00:00Z")]
    Show {
        /// The code of the link
        code: String,
        /// As it was at this instant
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
    },
    /// List links
    #[command(after_help = "Example:\n  hoplog link list --tag mail --state active --limit 20")]
    List(List),
    /// Change a link
    #[command(
        after_help = "Example:\n  hoplog link edit launch --url https://example.com/new --clear expiry"
    )]
    Edit(Box<Edit>),
    /// Say how the variants of a link do, and whether they differ by more than chance
    #[command(
        after_help = "Example:\n  hoplog link split launch --converted control:30 --converted green:45"
    )]
    Split(Split),
    /// Switch a link off for the time being
    #[command(after_help = "Example:\n  hoplog link disable launch")]
    Disable {
        /// The code of the link
        code: String,
    },
    /// Switch a disabled link on again
    #[command(after_help = "Example:\n  hoplog link enable launch")]
    Enable {
        /// The code of the link
        code: String,
    },
    /// Let a link lead nowhere until it is released (for administrators)
    #[command(after_help = "Example:\n  hoplog link quarantine launch --reason phishing")]
    Quarantine {
        /// The code of the link
        code: String,
        /// Why, for its owner
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// End the quarantine of a link, and deal with its reports (for administrators)
    #[command(after_help = "Example:\n  hoplog link release launch")]
    Release {
        /// The code of the link
        code: String,
    },
    /// Say why a link in quarantine should be released
    #[command(after_help = "Example:\n  hoplog link appeal launch --text clean-again")]
    Appeal {
        /// The code of the link
        code: String,
        /// For the operator
        #[arg(long, value_name = "TEXT")]
        text: String,
    },
    /// Put a link away: lists leave it out, it redirects all the same
    #[command(after_help = "Example:\n  hoplog link archive launch")]
    Archive {
        /// The code of the link
        code: String,
    },
    /// List a link again
    #[command(after_help = "Example:\n  hoplog link unarchive launch")]
    Unarchive {
        /// The code of the link
        code: String,
    },
    /// Delete a link for ever; its code is never given out again
    #[command(after_help = "Example:\n  hoplog link delete launch")]
    Delete {
        /// The code of the link
        code: String,
    },
}

/// Runs `hoplog link`.
pub(super) async fn run(args: LinkArgs, out: &mut Out) -> Result<(), CliError> {
    let client = Client::new(args.server)?;
    let show = |link: &Value, out: &mut Out| {
        if args.json { print_json(link, out) } else { print_link(link, out) }
    };
    match args.action {
        Action::Create(create) => create.run(&client, args.json, out).await?,
        Action::Show { code, as_of } => {
            let query: Vec<_> = as_of.iter().map(|at| ("asOf", at.as_str())).collect();
            show(&client.get(&["links", &code], &query).await?, out)?;
        }
        Action::List(list) => list.print(&client, args.json, out).await?,
        Action::Edit(edit) => show(&edit.send(&client).await?, out)?,
        Action::Split(split) => split.run(&client, args.json, out).await?,
        Action::Disable { code } => {
            show(&client.post(&["links", &code, "disable"], &json!({})).await?, out)?;
        }
        Action::Enable { code } => {
            show(&client.post(&["links", &code, "enable"], &json!({})).await?, out)?;
        }
        Action::Quarantine { code, reason } => {
            let body = json!({ "reason": reason });
            show(&client.post(&["links", &code, "quarantine"], &body).await?, out)?;
        }
        Action::Release { code } => {
            show(&client.post(&["links", &code, "release"], &json!({})).await?, out)?;
        }
        Action::Appeal { code, text } => {
            let body = json!({ "text": text });
            show(&client.post(&["links", &code, "appeal"], &body).await?, out)?;
        }
        Action::Archive { code } => show(&archive(&client, &code, true).await?, out)?,
        Action::Unarchive { code } => show(&archive(&client, &code, false).await?, out)?,
        Action::Delete { code } => {
            json(client.request(Method::DELETE, &["links", &code])?).await?;
        }
    }
    Ok(())
}

async fn archive(client: &Client, code: &str, archived: bool) -> Result<Value, CliError> {
    let request = client.request(Method::PATCH, &["links", code])?;
    json(request.json(&json!({ "archived": archived }))).await
}
