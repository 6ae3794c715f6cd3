//! `hoplog tag`: the tags of links.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Out;
use super::client::{Client, ServerArgs};
use super::error::CliError;
use super::table::{Table, cell, count, print_json};

/// `hoplog tag`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example:\n  hoplog tag rename springs spring")]
pub(super) struct TagArgs {
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
    /// List tags, and how many links have each
    #[command(after_help = "Example:\n  hoplog tag list --prefix spring")]
    List {
        /// Only tags that begin with this text
        #[arg(long)]
        prefix: Option<String>,
    },
    /// Give a tag another name on every link that has it; if there is a tag of that name, the two become one
    #[command(after_help = "Example:\n  hoplog tag rename springs spring")]
    Rename {
        /// What the tag is called
        from: String,
        /// What it shall be called
        to: String,
    },
}

/// What a request has done.
#[derive(Debug, Deserialize)]
struct Renamed {
    merged: bool,
    changed: u64,
    left: bool,
}

/// Runs `hoplog tag`.
pub(super) async fn run(args: TagArgs, out: &mut Out) -> Result<(), CliError> {
    let client = Client::new(args.server)?;
    match args.action {
        Action::List { prefix } => {
            let query: Vec<_> = prefix.iter().map(|prefix| ("prefix", prefix.as_str())).collect();
            let tags = client.list(&["tags"], &query, usize::MAX).await?.into();
            if args.json { print_json(&tags, out)? } else { print(&tags, out)? }
        }
        Action::Rename { from, to } => {
            let renamed = rename(&client, &from, &to).await?;
            if args.json {
                let Renamed { merged, changed, left } = renamed;
                let answer = json!({
                    "from": from, "to": to, "merged": merged, "changed": changed, "left": left,
                });
                print_json(&answer, out)?;
            } else {
                let joined = if renamed.merged { ", joined to those that had it" } else { "" };
                writeln!(out, "{} links changed{joined}", count(renamed.changed))?;
            }
            if renamed.left {
                let detail = format!("some links are still called {from}: ask again");
                return Err(CliError::Failed(detail));
            }
        }
    }
    Ok(())
}

/// Asks until no link is left, or nothing happens any more.
async fn rename(client: &Client, from: &str, to: &str) -> Result<Renamed, CliError> {
    let ask = async || {
        let answer = client.post(&["tags", from, "rename"], &json!({ "to": to })).await?;
        Ok::<_, CliError>(Renamed::deserialize(answer)?)
    };
    // Only the first one tells whether there was such a tag before.
    let mut all = ask().await?;
    let mut is_moving = all.changed > 0;
    while all.left && is_moving {
        let more = ask().await?;
        is_moving = more.changed > 0;
        (all.changed, all.left) = (all.changed + more.changed, more.left);
    }
    Ok(all)
}

fn print(tags: &Value, out: &mut Out) -> std::io::Result<()> {
    let mut table = Table::new(&["TAG", "LINKS"], &[1]);
    for tag in tags.as_array().into_iter().flatten() {
        table.row([cell(&tag["tag"]), count(tag["links"].as_u64().unwrap_or_default())]);
    }
    table.print(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_a_table_with_how_many_links_have_them() {
        let tags = json!([{ "tag": "spring", "links": 1_200 }, { "tag": "x", "links": 1 }]);
        let mut out = Vec::new();
        print(&tags, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        TAG     LINKS
        spring  1,200
        x           1
        ");
    }
}
