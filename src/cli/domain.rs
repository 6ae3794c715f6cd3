//! `hoplog domain`: the hosts that links live on.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Map, Value};

use super::Out;
use super::client::{Client, ServerArgs, json};
use super::error::{CliError, input};
use super::table::{Table, cell, plain, print_json};

/// `hoplog domain`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(
    after_help = "Example:\n  hoplog domain add go.example.com --not-found-url https://example.com/lost"
)]
pub(super) struct DomainArgs {
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
    /// Add a domain that links can live on; its host has to lead to the service
    ///
    /// Links of the service's own domain that were given away under this host are not answered there any more, also after the
    /// domain was removed: there is no way back. Add the domain first, then let its host lead here.
    #[command(
        after_help = "Example:\n  hoplog domain add go.example.com --default-url https://example.com/ --redirect 302"
    )]
    Add(Settings),
    /// List domains
    #[command(after_help = "Example:\n  hoplog domain list --json")]
    List,
    /// Show a domain
    #[command(after_help = "Example:\n  hoplog domain show go.example.com")]
    Show {
        /// The domain's host; default: the service's own
        name: String,
    },
    /// Change what a domain answers
    #[command(
        after_help = "Example:\n  hoplog domain change default --robots-file robots.txt --clear not-found-url"
    )]
    Change {
        #[command(flatten)]
        settings: Settings,
        /// Settings to empty, comma-separated
        #[arg(long, value_enum, value_delimiter = ',', value_name = "SETTINGS")]
        clear: Vec<Clearable>,
    },
    /// Remove a domain: it answers nothing any more, nor the service's own links; its links stay, and are answered again once it is added again
    #[command(after_help = "Example:\n  hoplog domain remove go.example.com")]
    Remove {
        /// The domain's host
        name: String,
    },
}

#[derive(Debug, Args)]
struct Settings {
    /// The domain's host; default: the service's own
    name: String,
    /// Where the bare host leads
    #[arg(long, value_name = "URL")]
    default_url: Option<String>,
    /// Where codes lead that nobody has
    #[arg(long, value_name = "URL")]
    not_found_url: Option<String>,
    /// The file with its robots.txt
    #[arg(long, value_name = "FILE")]
    robots_file: Option<PathBuf>,
    /// The status of the redirect of the bare host, and of new links that name none: 301, 302, 307 or 308
    #[arg(long, value_name = "STATUS")]
    redirect: Option<u16>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Clearable {
    DefaultUrl,
    NotFoundUrl,
    Robots,
    Redirect,
}

impl Settings {
    fn body(&self) -> Result<Map<String, Value>, CliError> {
        let robots = self.robots_file.as_deref().map(read).transpose()?;
        let given = [
            ("defaultUrl", self.default_url.clone().map(Value::from)),
            ("notFoundUrl", self.not_found_url.clone().map(Value::from)),
            ("robots", robots.map(Value::from)),
            ("redirect", self.redirect.map(Value::from)),
        ];
        Ok(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    }
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| input(path, &error))
}

impl Clearable {
    fn name(self) -> &'static str {
        match self {
            Clearable::DefaultUrl => "defaultUrl",
            Clearable::NotFoundUrl => "notFoundUrl",
            Clearable::Robots => "robots",
            Clearable::Redirect => "redirect",
        }
    }
}

/// Runs `hoplog domain`.
pub(super) async fn run(args: DomainArgs, out: &mut Out) -> Result<(), CliError> {
    let client = Client::new(args.server)?;
    let show = |domain: &Value, out: &mut Out| {
        if args.json { print_json(domain, out) } else { print(domain, out) }
    };
    match args.action {
        Action::Add(settings) => {
            let mut body = settings.body()?;
            body.insert("name".to_owned(), settings.name.into());
            show(&client.post(&["domains"], &body.into()).await?, out)?;
        }
        Action::List => list(&client, args.json, out).await?,
        Action::Show { name } => show(&client.get(&["domains", &name], &[]).await?, out)?,
        Action::Change { settings, clear } => {
            show(&change(&client, &settings, &clear).await?, out)?;
        }
        Action::Remove { name } => {
            json(client.request(Method::DELETE, &["domains", &name])?).await?;
        }
    }
    Ok(())
}

async fn change(
    client: &Client,
    settings: &Settings,
    clear: &[Clearable],
) -> Result<Value, CliError> {
    let mut body = settings.body()?;
    for setting in clear {
        if body.insert(setting.name().to_owned(), Value::Null).is_some() {
            let name = setting.name();
            let wrong = format!("{name} can't be given a value and be cleared at once");
            return Err(CliError::Usage(wrong));
        }
    }
    if body.is_empty() {
        return Err(CliError::Usage("nothing to change: name a setting".to_owned()));
    }
    let request = client.request(Method::PATCH, &["domains", &settings.name])?;
    json(request.json(&Value::from(body))).await
}

async fn list(client: &Client, json: bool, out: &mut Out) -> Result<(), CliError> {
    let mut answer = client.get(&["domains"], &[]).await?;
    let domains = answer["data"].take();
    if json {
        return Ok(print_json(&domains, out)?);
    }
    let mut table = Table::new(&["NAME", "HOST", "REDIRECT", "DEFAULT URL", "NOT FOUND URL"], &[]);
    for domain in domains.as_array().into_iter().flatten() {
        let fields = ["name", "host", "redirect", "defaultUrl", "notFoundUrl"];
        table.row(fields.map(|name| cell(&domain[name])));
    }
    Ok(table.print(out)?)
}

/// Every setting that has a value, on a line of its own.
fn print(domain: &Value, out: &mut Out) -> std::io::Result<()> {
    for name in ["name", "host", "redirect", "defaultUrl", "notFoundUrl", "createdAt", "robots"] {
        let value = cell(&domain[name]);
        if !value.is_empty() {
            let value = if name.ends_with("Url") { value } else { plain(&value) };
            writeln!(out, "{name:<11}  {value}")?;
        }
    }
    Ok(())
}
