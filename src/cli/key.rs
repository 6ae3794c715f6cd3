//! `hoplog key`: API keys.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Out;
use super::client::{Client, ServerArgs, json};
use super::error::CliError;
use super::table::{Table, cell, print_json};

/// `hoplog key`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(
    after_help = "Example:\n  hoplog key create --name reports --scopes links:read,stats:read"
)]
pub(super) struct KeyArgs {
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
    /// Create a key and print it: it is shown this once, and kept as a hash only
    #[command(
        after_help = "Example:\n  hoplog key create --name reports --scopes links:read,stats:read --expires-in 90d"
    )]
    Create(Create),
    /// List keys
    #[command(after_help = "Example:\n  hoplog key list --json")]
    List,
    /// Revoke a key; it stops working at once
    #[command(after_help = "Example:\n  hoplog key revoke 0190163d-8694-739b-aea5-966c26f8ad91")]
    Revoke {
        /// The id of the key (see `hoplog key list`)
        id: String,
    },
}

#[derive(Debug, Args)]
struct Create {
    /// What the key is for
    #[arg(long)]
    name: String,
    /// What it may do: links:read, links:write, stats:read, events:read, webhooks, ratelimit, admin;
    /// comma-separated
    #[arg(long, value_delimiter = ',', required = true)]
    scopes: Vec<String>,
    /// Whose links it sees and makes [default: yours]
    #[arg(long)]
    owner: Option<String>,
    /// How long it works, such as 90d [default: until it is revoked]
    #[arg(long, value_name = "DURATION")]
    expires_in: Option<String>,
}

/// Runs `hoplog key`.
pub(super) async fn run(args: KeyArgs, out: &mut Out) -> Result<(), CliError> {
    let client = Client::new(args.server)?;
    match args.action {
        Action::Create(create) => {
            let key = client.post(&["keys"], &create.body()).await?;
            if args.json {
                print_json(&key, out)?;
            } else {
                writeln!(out, "{}", cell(&key["key"]))?;
            }
        }
        Action::List => {
            let keys = client.list(&["keys"], &[], usize::MAX).await?.into();
            if args.json { print_json(&keys, out)? } else { print(&keys, out)? }
        }
        Action::Revoke { id } => {
            json(client.request(Method::DELETE, &["keys", &id])?).await?;
        }
    }
    Ok(())
}

impl Create {
    fn body(self) -> Value {
        let mut body = json!({"name": self.name, "scopes": self.scopes});
        if let Some(owner) = self.owner {
            body["owner"] = owner.into();
        }
        if let Some(expires_in) = self.expires_in {
            body["expiresIn"] = expires_in.into();
        }
        body
    }
}

fn print(keys: &Value, out: &mut Out) -> std::io::Result<()> {
    const FIELDS: [&str; 7] =
        ["id", "name", "owner", "scopes", "createdAt", "expiresAt", "revokedAt"];
    let headings = ["ID", "NAME", "OWNER", "SCOPES", "CREATED", "EXPIRES", "REVOKED"];
    let mut table = Table::new(&headings, &[]);
    for key in keys.as_array().into_iter().flatten() {
        table.row(FIELDS.map(|name| cell(&key[name])));
    }
    table.print(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_listed_with_when_it_ended() {
        let keys = json!([{"id": "k1", "name": "reports", "owner": "ann", "scopes": ["links:read",
            "stats:read"], "createdAt": "2026-01-01T00:00:00Z", "expiresAt": null,
            "revokedAt": "2026-02-01T00:00:00Z"}]);
        let mut out = Vec::new();
        print(&keys, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        ID  NAME     OWNER  SCOPES                  CREATED               EXPIRES  REVOKED
        k1  reports  ann    links:read, stats:read  2026-01-01T00:00:00Z           2026-02-01T00:00:00Z
        ");
    }
}
