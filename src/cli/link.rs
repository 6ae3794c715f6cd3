//! `hoplog link`: the commands and queries of links, against a running server.

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde_json::{Map, Value, json};

use super::client::{Client, ServerArgs, json};
use super::error::CliError;
use super::table::{Table, cell, plain, print_json};
use super::{Out, table};

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
    /// Create a link and print its short URL
    #[command(
        after_help = "Example:\n  hoplog link create https://example.com/ --alias launch --expires-in 7d"
    )]
    Create(Box<Create>),
    /// Show a link
    #[command(after_help = "Example:\n  hoplog link show launch")]
    Show {
        /// The code of the link
        code: String,
    },
    /// List links, newest first
    #[command(after_help = "Example:\n  hoplog link list --tag mail --state active --limit 20")]
    List(List),
    /// Change a link
    #[command(
        after_help = "Example:\n  hoplog link edit launch --url https://example.com/new --clear expiry"
    )]
    Edit(Box<Edit>),
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
    /// Delete a link for ever; its code is never given out again
    #[command(after_help = "Example:\n  hoplog link delete launch")]
    Delete {
        /// The code of the link
        code: String,
    },
}

#[derive(Debug, Args)]
struct Create {
    /// Where the link leads
    url: String,
    /// The code you choose [default: a random one]
    #[arg(long)]
    alias: Option<String>,
    #[command(flatten)]
    fields: Fields,
    /// Answer with your own live link to the same URL, if there is one
    #[arg(long)]
    reuse: bool,
}

#[derive(Debug, Args)]
struct Edit {
    /// The code of the link
    code: String,
    /// Where the link leads from now on
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    fields: Fields,
    /// Fields to empty, comma-separated
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FIELDS")]
    clear: Vec<Clearable>,
    /// Change it only if it is still at this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
}

/// What both a new and an old link can be given.
#[derive(Debug, Args)]
struct Fields {
    /// How long it lives, such as 90m, 12h, 7d, 2w
    #[arg(long, conflicts_with = "expires_at", value_name = "DURATION")]
    expires_in: Option<String>,
    /// The instant from which it is not served, such as 2030-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// The status of the redirect: 301, 302, 307 or 308
    #[arg(long, value_name = "STATUS")]
    redirect: Option<u16>,
    /// A name for people
    #[arg(long)]
    title: Option<String>,
    /// A label to find it by; give it several times for several (an edit replaces all)
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Free text
    #[arg(long)]
    note: Option<String>,
    /// Its name in your own system
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Clearable {
    Expiry,
    Redirect,
    Title,
    Tags,
    Note,
    ExternalId,
}

#[derive(Debug, Args)]
struct List {
    /// Only links with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only links in this state: active, disabled, expired, deleted
    #[arg(long)]
    state: Option<String>,
    /// Only links with this text in their code, URL or title
    #[arg(long, short, value_name = "TEXT")]
    query: Option<String>,
    /// Order, such as createdAt, code or clicks; see the API for all
    #[arg(long)]
    sort: Option<String>,
    /// How many links at most
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

/// Runs `hoplog link`.
pub(super) async fn run(args: LinkArgs, out: &mut Out) -> Result<(), CliError> {
    let client = Client::new(args.server)?;
    let show = |link: &Value, out: &mut Out| {
        if args.json { print_json(link, out) } else { print_link(link, out) }
    };
    match args.action {
        Action::Create(create) => {
            let link = client.post(&["links"], &create.body()).await?;
            if args.json {
                print_json(&link, out)?;
            } else {
                writeln!(out, "{}", cell(&link["shortUrl"]))?;
            }
        }
        Action::Show { code } => show(&client.get(&["links", &code], &[]).await?, out)?,
        Action::List(list) => list.print(&client, args.json, out).await?,
        Action::Edit(edit) => show(&edit.send(&client).await?, out)?,
        Action::Disable { code } => {
            show(&client.post(&["links", &code, "disable"], &json!({})).await?, out)?;
        }
        Action::Enable { code } => {
            show(&client.post(&["links", &code, "enable"], &json!({})).await?, out)?;
        }
        Action::Delete { code } => {
            json(client.request(Method::DELETE, &["links", &code])).await?;
        }
    }
    Ok(())
}

impl Create {
    fn body(self) -> Value {
        let mut body = self.fields.body();
        body.insert("url".to_owned(), self.url.into());
        if let Some(alias) = self.alias {
            body.insert("alias".to_owned(), alias.into());
        }
        if self.reuse {
            body.insert("reuse".to_owned(), true.into());
        }
        body.into()
    }
}

impl Edit {
    /// A merge patch: `null` clears a field.
    fn patch(self) -> Value {
        let mut patch = self.fields.body();
        if let Some(url) = self.url {
            patch.insert("url".to_owned(), url.into());
        }
        for field in self.clear {
            patch.insert(field.name().to_owned(), Value::Null);
        }
        patch.into()
    }

    async fn send(self, client: &Client) -> Result<Value, CliError> {
        let mut request = client.request(Method::PATCH, &["links", &self.code]);
        if let Some(version) = self.if_version {
            request = request.header(IF_MATCH, format!("\"{version}\""));
        }
        let patch = self.patch();
        if patch.as_object().is_some_and(Map::is_empty) {
            return Err(CliError::Usage("nothing to change: name a field".to_owned()));
        }
        json(request.json(&patch)).await
    }
}

impl Clearable {
    fn name(self) -> &'static str {
        match self {
            Clearable::Expiry => "expiresAt",
            Clearable::Redirect => "redirect",
            Clearable::Title => "title",
            Clearable::Tags => "tags",
            Clearable::Note => "note",
            Clearable::ExternalId => "externalId",
        }
    }
}

impl Fields {
    /// The fields that were given.
    fn body(self) -> Map<String, Value> {
        let given = [
            ("expiresIn", self.expires_in.map(Value::from)),
            ("expiresAt", self.expires_at.map(Value::from)),
            ("redirect", self.redirect.map(Value::from)),
            ("title", self.title.map(Value::from)),
            ("tags", Some(self.tags).filter(|tags| !tags.is_empty()).map(Value::from)),
            ("note", self.note.map(Value::from)),
            ("externalId", self.external_id.map(Value::from)),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.collect()
    }
}

impl List {
    async fn print(self, client: &Client, json: bool, out: &mut Out) -> Result<(), CliError> {
        let links = client.list(&["links"], &self.query(), self.limit).await?;
        if json {
            return Ok(print_json(&links.into(), out)?);
        }
        let mut table = Table::new(&["CODE", "STATE", "CLICKS", "CREATED", "URL"], &[2]);
        for link in &links {
            let clicks = link["clicks"]["total"].as_u64().unwrap_or(0);
            let [code, state, created, url] =
                ["code", "state", "createdAt", "url"].map(|name| cell(&link[name]));
            table.row([code, state, table::count(clicks), created, url]);
        }
        Ok(table.print(out)?)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        let given = [
            ("tag", self.tag.as_deref()),
            ("state", self.state.as_deref()),
            ("q", self.query.as_deref()),
            ("sort", self.sort.as_deref()),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Every field that has a value, on a line of its own.
fn print_link(link: &Value, out: &mut Out) -> std::io::Result<()> {
    const FIELDS: [&str; 12] = [
        "shortUrl",
        "url",
        "state",
        "createdAt",
        "expiresAt",
        "redirect",
        "title",
        "tags",
        "note",
        "externalId",
        "owner",
        "version",
    ];
    for name in FIELDS {
        let value = cell(&link[name]);
        if !value.is_empty() {
            // A destination is shown whole: what is cut off can't be checked.
            let value = if name == "url" { value } else { plain(&value) };
            writeln!(out, "{name:<10}  {value}")?;
        }
    }
    let [total, humans, bots] =
        ["total", "humans", "bots"].map(|name| link["clicks"][name].as_u64().unwrap_or(0));
    writeln!(out, "{:<10}  {total} ({humans} of people, {bots} of bots)", "clicks")?;
    for warning in link["warnings"].as_array().into_iter().flatten() {
        writeln!(out, "{:<10}  {}", "warning", plain(&cell(&warning["detail"])))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    fn action(line: &str) -> Action {
        let command = Action::augment_subcommands(clap::Command::new("link"));
        let matches = command.try_get_matches_from(line.split_whitespace()).unwrap();
        Action::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn a_new_link_has_the_fields_that_were_given_and_no_others() {
        let line = "link create https://e.com/ --alias a --expires-in 7d --tag x --tag y";
        let Action::Create(create) = action(line) else { panic!("not a create") };
        let body =
            json!({"url": "https://e.com/", "alias": "a", "expiresIn": "7d", "tags": ["x", "y"]});
        assert_eq!(create.body(), body);
    }

    #[test]
    fn an_edit_is_a_merge_patch() {
        let line = "link edit a --title T --clear expiry,external-id --redirect 308";
        let Action::Edit(edit) = action(line) else { panic!("not an edit") };
        let patch = json!({"title": "T", "expiresAt": null, "externalId": null, "redirect": 308});
        assert_eq!(edit.patch(), patch);
    }

    #[test]
    fn a_link_is_printed_field_by_field() {
        let link = json!({
            "shortUrl": "http://h/a", "url": "https://e.com/", "state": "active", "tags": ["x", "y"],
            "title": "a\u{1b}[2J", "note": null, "redirect": 302, "version": 2,
            "clicks": {"total": 3, "humans": 2, "bots": 1},
            "warnings": [{"code": "c", "detail": "looks alike"}],
        });
        let mut out = Vec::new();
        print_link(&link, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        shortUrl    http://h/a
        url         https://e.com/
        state       active
        redirect    302
        title       a�[2J
        tags        x, y
        version     2
        clicks      3 (2 of people, 1 of bots)
        warning     looks alike
        ");
    }
}
