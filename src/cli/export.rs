//! `hoplog export`: links, clicks and statistics as files, page by page. What is read is written before the next page
//! is asked for, so that it does not matter how much there is.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Out;
use super::client::{Client, PAGE_ITEMS_MAX, ServerArgs};
use super::error::{CliError, input};
use super::range::RangeArgs;
use super::table::link_name;
use crate::rows::{Form, Table, click, link, orphan, statistics};

/// `hoplog export`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example:\n  hoplog export links --output links.csv")]
pub(super) struct ExportArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// csv (cells that a spreadsheet would run get an apostrophe) or ndjson (as the API answers)
    #[arg(long, default_value = "csv", global = true)]
    format: Form,
    /// The file to write, instead of the standard output; it is there when it is whole
    #[arg(long, short, value_name = "FILE", global = true)]
    output: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Your links, the oldest first; every owner's with the scope admin
    #[command(after_help = "Example:\n  hoplog export links --tag spring --format ndjson")]
    Links(LinksArgs),
    /// Single clicks, link by link, the newest first
    #[command(
        after_help = "Example:\n  hoplog export clicks launch --from 2026-05-01 --to 2026-05-31"
    )]
    Clicks(ClicksArgs),
    /// Statistics, link by link: a row for each value of each dimension
    #[command(
        after_help = "Example:\n  hoplog export stats launch --interval day --tz Asia/Kolkata"
    )]
    Stats(StatsArgs),
    /// Visits that led nowhere, the newest first; with the scope admin
    #[command(after_help = "Example:\n  hoplog export orphans --kind unknown-code --bots exclude")]
    Orphans(OrphansArgs),
}

#[derive(Debug, Args)]
struct OrphansArgs {
    /// Only these kinds, with commas: unknown-code, base-url, expired, spent, deleted, disabled, not-yet, quarantined
    #[arg(long, value_name = "KINDS")]
    kind: Option<String>,
    #[command(flatten)]
    which: WhichArgs,
}

#[derive(Debug, Args)]
struct LinksArgs {
    /// Only links with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only links in this state: active, scheduled, disabled, expired, quarantined, deleted
    #[arg(long)]
    state: Option<String>,
    /// Links that are put away: exclude, include, only
    #[arg(long, value_name = "WHICH", default_value = "include")]
    archived: String,
}

/// Which clicks or visits.
#[derive(Debug, Args)]
struct WhichArgs {
    #[command(flatten)]
    range: RangeArgs,
    /// Clicks of bots: include, exclude or only
    #[arg(long)]
    bots: Option<String>,
}

#[derive(Debug, Args)]
struct ClicksArgs {
    /// The codes of the links; none: of all
    codes: Vec<String>,
    #[command(flatten)]
    which: WhichArgs,
}

#[derive(Debug, Args)]
struct StatsArgs {
    /// The codes of the links; none: of all
    codes: Vec<String>,
    #[command(flatten)]
    which: WhichArgs,
    /// hour, day, week or month
    #[arg(long)]
    interval: Option<String>,
}

/// Runs `hoplog export`.
pub(super) async fn run(args: ExportArgs, out: &mut Out) -> Result<(), CliError> {
    let client = Client::new(args.server)?;
    let export = Export { client, form: args.format };
    let Some(path) = args.output else { return export.run(args.action, out).await };
    let part = beside(&path);
    let failed = |error: std::io::Error| input(&path, &error);
    let mut file = BufWriter::new(File::create(&part).map_err(failed)?);
    let written = export.run(args.action, &mut file).await;
    let written = written.and_then(|()| {
        Ok(file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?)
    });
    if let Err(error) = written {
        // The error that counts is the first.
        let _ = std::fs::remove_file(&part);
        return Err(error);
    }
    std::fs::rename(&part, &path).map_err(failed)
}

/// Where a file is written until it is whole.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

struct Export {
    client: Client,
    form: Form,
}

impl Export {
    async fn run(&self, action: Action, out: &mut Out) -> Result<(), CliError> {
        match action {
            Action::Links(args) => self.links(&args, out).await,
            Action::Clicks(args) => {
                let (table, query) = (click::table(self.form), args.which.query());
                out.write_all(&table.head())?;
                self.each_link(&args.codes, Each::Clicks(&table, &query), out).await
            }
            Action::Stats(args) => {
                let (table, mut query) = (statistics::table(self.form), args.which.query());
                query.extend(args.interval.as_deref().map(|interval| ("interval", interval)));
                out.write_all(&table.head())?;
                self.each_link(&args.codes, Each::Statistics(&table, &query), out).await
            }
            Action::Orphans(args) => {
                let (table, mut query) = (orphan::table(self.form), args.which.query());
                query.extend(args.kind.as_deref().map(|kind| ("kind", kind)));
                out.write_all(&table.head())?;
                self.list(&["orphans"], &query, (&table, &|_| {}), out).await
            }
        }
    }

    async fn links(&self, args: &LinksArgs, out: &mut Out) -> Result<(), CliError> {
        let given = [
            ("tag", args.tag.as_deref()),
            ("state", args.state.as_deref()),
            ("archived", Some(&*args.archived)),
            ("sort", Some("createdAt")),
        ];
        let query: Vec<_> =
            given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let table = link::table(self.form);
        out.write_all(&table.head())?;
        self.list(&["links"], &query, (&table, &|_| {}), out).await
    }

    /// Writes a list, page by page.
    async fn list(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        (table, complete): (&Table, &(dyn Fn(&mut Value) + Sync)),
        out: &mut Out,
    ) -> Result<(), CliError> {
        let mut cursor = None;
        loop {
            let place = (PAGE_ITEMS_MAX, cursor.as_deref());
            let (items, next) = self.client.page(path, query, place).await?;
            for mut item in items {
                complete(&mut item);
                out.write_all(&table.row(&item))?;
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Writes what there is of each of the links, or of every link.
    async fn each_link(
        &self,
        codes: &[String],
        each: Each<'_>,
        out: &mut Out,
    ) -> Result<(), CliError> {
        for code in codes {
            self.one_link(&self.name_of(code).await?, &each, out).await?;
        }
        if !codes.is_empty() {
            return Ok(());
        }
        let (query, mut cursor) = ([("sort", "createdAt"), ("archived", "include")], None);
        loop {
            let place = (PAGE_ITEMS_MAX, cursor.as_deref());
            let (links, next) = self.client.page(&["links"], &query, place).await?;
            for link in &links {
                self.one_link(&link_name(link), &each, out).await?;
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// A link's name as another service finds it, too, whose own host is another one.
    async fn name_of(&self, code: &str) -> Result<String, CliError> {
        if !code.contains('/') {
            return Ok(code.to_owned());
        }
        Ok(link_name(&self.client.get(&["links", code], &[]).await?))
    }

    async fn one_link(&self, code: &str, each: &Each<'_>, out: &mut Out) -> Result<(), CliError> {
        match each {
            Each::Clicks(table, query) => {
                // Clicks name their links as `hoplog import clicks` takes them.
                let named = |click: &mut Value| click["code"] = code.into();
                self.list(&["links", code, "clicks"], query, (table, &named), out).await
            }
            Each::Statistics(table, query) => {
                let answer = self.client.get(&["links", code, "stats"], query).await?;
                for row in statistics::rows(code, &answer) {
                    out.write_all(&table.row(&row))?;
                }
                Ok(())
            }
        }
    }
}

/// What is written of each link.
enum Each<'a> {
    Clicks(&'a Table, &'a [(&'a str, &'a str)]),
    Statistics(&'a Table, &'a [(&'a str, &'a str)]),
}

impl WhichArgs {
    fn query(&self) -> Vec<(&str, &str)> {
        self.range.with([("bots", &self.bots)])
    }
}
