//! `hoplog webhook`: who is told of what happens.

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Map, Value};

use super::Out;
use super::client::{Client, ServerArgs, json};
use super::error::CliError;
use super::table::{Table, cell, plain, print_json};

/// `hoplog webhook`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(
    after_help = "Example:\n  hoplog webhook create https://hooks.example.com/hoplog --types hoplog.link.created"
)]
pub(super) struct WebhookArgs {
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
    /// Create a webhook and print its secret: it is shown this once
    #[command(
        after_help = "Example:\n  hoplog webhook create https://hooks.example.com/hoplog --types hoplog.link.created,hoplog.clicks.recorded"
    )]
    Create(Create),
    /// List webhooks
    #[command(after_help = "Example:\n  hoplog webhook list --json")]
    List,
    /// Show one webhook
    #[command(after_help = "Example:\n  hoplog webhook show 0190163d-8694-739b-aea5-966c26f8ad91")]
    Show(Id),
    /// Change a webhook
    #[command(
        after_help = "Example:\n  hoplog webhook edit 0190163d-8694-739b-aea5-966c26f8ad91 --tag mail --clear link"
    )]
    Edit(Edit),
    /// Delete a webhook, with what it had still to send
    #[command(
        after_help = "Example:\n  hoplog webhook delete 0190163d-8694-739b-aea5-966c26f8ad91"
    )]
    Delete(Id),
    /// Send a test message and print what the receiver says; fails if the receiver does
    #[command(after_help = "Example:\n  hoplog webhook test 0190163d-8694-739b-aea5-966c26f8ad91")]
    Test(Id),
    /// List what was sent, the newest first, and what the receiver said
    #[command(
        after_help = "Example:\n  hoplog webhook deliveries 0190163d-8694-739b-aea5-966c26f8ad91 --limit 20"
    )]
    Deliveries(Deliveries),
    /// Have a message tried again at once
    #[command(
        after_help = "Example:\n  hoplog webhook retry 0190163d-8694-739b-aea5-966c26f8ad91 msg_4fd0b6f0a7f05b5c8a8e0a3a2e5f9c11"
    )]
    Retry {
        #[command(flatten)]
        id: Id,
        /// The id of the message (see `hoplog webhook deliveries`)
        message: String,
    },
    /// Make another secret and print it; for a day the one before signs as well
    #[command(
        after_help = "Example:\n  hoplog webhook rotate-secret 0190163d-8694-739b-aea5-966c26f8ad91"
    )]
    RotateSecret(Id),
    /// Let a disabled webhook go on where it stopped
    #[command(
        after_help = "Example:\n  hoplog webhook enable 0190163d-8694-739b-aea5-966c26f8ad91"
    )]
    Enable(Id),
    /// Send nothing until the webhook is enabled
    #[command(
        after_help = "Example:\n  hoplog webhook disable 0190163d-8694-739b-aea5-966c26f8ad91"
    )]
    Disable(Id),
}

#[derive(Debug, Args)]
struct Id {
    /// The id of the webhook (see `hoplog webhook list`)
    id: String,
}

#[derive(Debug, Args)]
struct Create {
    /// Where messages are sent
    url: String,
    /// What it is told of, comma-separated
    #[arg(long, value_delimiter = ',', required = true)]
    types: Vec<String>,
    #[command(flatten)]
    fields: Fields,
    /// Whose links it is told of [default: yours; an administrator's: everybody's]
    #[arg(long)]
    owner: Option<String>,
}

#[derive(Debug, Args)]
struct Edit {
    #[command(flatten)]
    id: Id,
    /// Where messages are sent from now on
    #[arg(long)]
    url: Option<String>,
    /// What it is told of from now on, comma-separated
    #[arg(long, value_delimiter = ',')]
    types: Option<Vec<String>>,
    #[command(flatten)]
    fields: Fields,
    /// Fields to empty, comma-separated
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FIELDS")]
    clear: Vec<Clearable>,
}

#[derive(Debug, Args)]
struct Fields {
    /// Only events of the link with this code
    #[arg(long, value_name = "CODE")]
    link: Option<String>,
    /// Only events of links with this tag
    #[arg(long)]
    tag: Option<String>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Clearable {
    Link,
    Tag,
    Description,
}

#[derive(Debug, Args)]
struct Deliveries {
    #[command(flatten)]
    id: Id,
    /// How many at most
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    limit: usize,
}

/// Runs `hoplog webhook`.
pub(super) async fn run(args: WebhookArgs, out: &mut Out) -> Result<(), CliError> {
    let client = Client::new(args.server)?;
    let as_json = args.json;
    match args.action {
        Action::Create(create) => {
            let webhook = client.post(&["webhooks"], &create.body()).await?;
            if as_json { print_json(&webhook, out)? } else { show(&webhook, out)? }
        }
        Action::List => {
            let webhooks = client.list(&["webhooks"], &[], usize::MAX).await?.into();
            if as_json { print_json(&webhooks, out)? } else { print(&webhooks, &LIST, out)? }
        }
        Action::Show(Id { id }) => {
            let webhook = client.get(&["webhooks", &id], &[]).await?;
            if as_json { print_json(&webhook, out)? } else { show(&webhook, out)? }
        }
        Action::Edit(edit) => {
            let (id, patch) = edit.patch()?;
            let request = client.request(Method::PATCH, &["webhooks", &id])?;
            let webhook = json(request.json(&patch)).await?;
            if as_json { print_json(&webhook, out)? } else { show(&webhook, out)? }
        }
        Action::Delete(Id { id }) => {
            json(client.request(Method::DELETE, &["webhooks", &id])?).await?;
        }
        Action::Test(Id { id }) => test(&client, &id, as_json, out).await?,
        Action::Deliveries(Deliveries { id: Id { id }, limit }) => {
            let log = client.list(&["webhooks", &id, "deliveries"], &[], limit).await?.into();
            if as_json { print_json(&log, out)? } else { print(&log, &DELIVERIES, out)? }
        }
        Action::Retry { id: Id { id }, message } => {
            let path = ["webhooks", &id, "deliveries", &message, "retry"];
            client.post(&path, &Value::Object(Map::new())).await?;
        }
        Action::RotateSecret(id) => act(&client, &id, "rotate-secret", as_json, out).await?,
        Action::Enable(id) => act(&client, &id, "enable", as_json, out).await?,
        Action::Disable(id) => act(&client, &id, "disable", as_json, out).await?,
    }
    Ok(())
}

async fn act(
    client: &Client,
    id: &Id,
    verb: &str,
    as_json: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let webhook = client.post(&["webhooks", &id.id, verb], &Value::Object(Map::new())).await?;
    Ok(if as_json { print_json(&webhook, out) } else { show(&webhook, out) }?)
}

async fn test(client: &Client, id: &str, as_json: bool, out: &mut Out) -> Result<(), CliError> {
    let path = ["webhooks", id, "test"];
    let attempt = client.post(&path, &Value::Object(Map::new())).await?;
    if as_json {
        print_json(&attempt, out)?;
    } else {
        show(&attempt, out)?;
    }
    if attempt["outcome"] == "delivered" {
        return Ok(());
    }
    let error = attempt["error"].as_str().unwrap_or("it was not taken");
    Err(CliError::Failed(format!("the test failed: {error}")))
}

impl Create {
    fn body(self) -> Value {
        let mut body = self.fields.body();
        body.insert("url".to_owned(), self.url.into());
        body.insert("types".to_owned(), self.types.into());
        if let Some(owner) = self.owner {
            body.insert("owner".to_owned(), owner.into());
        }
        body.into()
    }
}

impl Edit {
    /// A merge patch: `null` clears a field.
    fn patch(self) -> Result<(String, Value), CliError> {
        let mut patch = self.fields.body();
        if let Some(url) = self.url {
            patch.insert("url".to_owned(), url.into());
        }
        if let Some(types) = self.types {
            patch.insert("types".to_owned(), types.into());
        }
        for field in self.clear {
            if patch.insert(field.name().to_owned(), Value::Null).is_some_and(|it| !it.is_null()) {
                let wrong =
                    format!("{} can't be given a value and be cleared at once", field.name());
                return Err(CliError::Usage(wrong));
            }
        }
        if patch.is_empty() {
            return Err(CliError::Usage("nothing to change: name a field".to_owned()));
        }
        Ok((self.id.id, patch.into()))
    }
}

impl Fields {
    fn body(self) -> Map<String, Value> {
        let given = [("link", self.link), ("tag", self.tag), ("description", self.description)];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
        given.map(|(name, value)| (name.to_owned(), value.into())).collect()
    }
}

impl Clearable {
    fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Tag => "tag",
            Self::Description => "description",
        }
    }
}

/// The columns of a table: heading and field.
type Columns = [(&'static str, &'static str)];

const LIST: [(&str, &str); 6] = [
    ("ID", "id"),
    ("STATE", "state"),
    ("OWNER", "owner"),
    ("URL", "url"),
    ("TYPES", "types"),
    ("DESCRIPTION", "description"),
];

const DELIVERIES: [(&str, &str); 8] = [
    ("AT", "at"),
    ("MESSAGE", "messageId"),
    ("TYPE", "type"),
    ("ATTEMPT", "attempt"),
    ("OUTCOME", "outcome"),
    ("STATUS", "status"),
    ("ERROR", "error"),
    ("NEXT", "nextAttemptAt"),
];

fn print(items: &Value, columns: &Columns, out: &mut Out) -> std::io::Result<()> {
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    let mut table = Table::new(&headings, &[]);
    for item in items.as_array().into_iter().flatten() {
        table.row(columns.iter().map(|(_, field)| cell(&item[*field])));
    }
    table.print(out)
}

/// Every field that has a value, on a line of its own; what a receiver said can't drive the
/// terminal.
fn show(object: &Value, out: &mut Out) -> std::io::Result<()> {
    for (name, value) in object.as_object().into_iter().flatten() {
        let value = cell(value);
        // What is cut off can't be checked.
        let value = if name == "url" { value } else { plain(&value) };
        if !value.is_empty() {
            writeln!(out, "{name:<20}  {value}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_delivery_log_is_a_table() {
        let log = json!([{ "at": "2026-01-01T00:00:00Z", "messageId": "msg_1",
            "type": "hoplog.link.created.v2", "attempt": 1, "outcome": "retrying", "status": 500,
            "error": "the answer is 500", "nextAttemptAt": "2026-01-01T00:00:05Z" }]);
        let mut out = Vec::new();
        print(&log, &DELIVERIES, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        AT                    MESSAGE  TYPE                    ATTEMPT  OUTCOME   STATUS  ERROR              NEXT
        2026-01-01T00:00:00Z  msg_1    hoplog.link.created.v2  1        retrying  500     the answer is 500  2026-01-01T00:00:05Z
        ");
    }
}
