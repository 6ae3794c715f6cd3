//! `hoplog import clicks`: clicks of a file, as `hoplog export clicks` writes it, or any other with such columns.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use clap::Args;
use csv::{ReaderBuilder, StringRecord, Trim};
use serde_json::{Map, Value};

use super::super::bar::progress;
use super::item::time_of;
use super::past::{Past, PastClick};
use crate::cli::client::Client;
use crate::cli::error::{CliError, input};
use crate::cli::{Out, table};
use crate::rows::{Form, cell};

pub(super) const ABOUT: &str = "Record the clicks of a file, at their own times.

CSV whose first row names the columns, or NDJSON: code and at (needed), userAgent, referrerUrl, address, country, id; others are left aside. The links must be here: import them first. Clicks of codes that no link has are left out and counted, and the exit code is 1. A click is known by its id or, without one, by what the file says of it: running it again adds nothing. Needs a key with the scope admin.";

#[derive(Debug, Args)]
pub(super) struct ClicksArgs {
    /// The file (UTF-8)
    file: PathBuf,
    /// csv or ndjson
    #[arg(long, default_value = "csv")]
    format: Form,
    /// Names where the clicks come from; give the same in every run
    #[arg(long, value_name = "NAME", default_value = "clicks")]
    source: String,
}

/// Runs `hoplog import clicks`.
pub(super) async fn run(
    args: ClicksArgs,
    client: &Client,
    json: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let wrong = |reason: &dyn ToString| input(&args.file, &reason.to_string());
    let file = File::open(&args.file).map_err(|error| wrong(&error))?;
    let bar = progress("bytes", file.metadata().map_err(|error| wrong(&error))?.len());
    let mut past = Past::new(client, args.source.clone());
    match args.format {
        Form::Csv => {
            let mut reader = ReaderBuilder::new().trim(Trim::Headers).from_reader(file);
            let head = reader.headers().map_err(|error| wrong(&error))?.clone();
            if let Some(missing) =
                ["code", "at"].iter().find(|name| !head.iter().any(|it| it == **name))
            {
                return Err(wrong(&format!("the first row names no column {missing}")));
            }
            let mut record = StringRecord::new();
            while reader.read_record(&mut record).map_err(|error| wrong(&error))? {
                let text = |name: &str| {
                    let place = head.iter().position(|column| column == name);
                    let found = place.and_then(|place| record.get(place)).unwrap_or_default();
                    cell::plain(found).into_owned()
                };
                past.take(click(text), &bar).await?;
                bar.set_position(reader.position().byte());
            }
        }
        Form::Ndjson => {
            for (line, text) in (1_u64..).zip(BufReader::new(file).lines()) {
                let text = text.map_err(|error| wrong(&error))?;
                bar.inc(text.len() as u64 + 1);
                if text.trim().is_empty() {
                    continue;
                }
                let object: Map<String, Value> = serde_json::from_str(&text)
                    .map_err(|error| wrong(&format!("line {line} is no JSON object: {error}")))?;
                let text = |name: &str| {
                    object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
                };
                past.take(click(text), &bar).await?;
            }
        }
    }
    past.send().await?;
    bar.finish_and_clear();
    finish(&past, json, out)
}

/// Tells what became of everything. An import that left clicks out has failed; what came in stays.
fn finish(past: &Past, json: bool, out: &mut Out) -> Result<(), CliError> {
    if json {
        table::print_json(&past.summary(), out)?;
    } else {
        writeln!(out, "{}", past.told(false))?;
    }
    out.flush()?;
    past.lost().map_or(Ok(()), |lost| Err(CliError::Failed(lost)))
}

fn click(text: impl Fn(&str) -> String) -> PastClick {
    PastClick {
        code: text("code"),
        at: time_of(&text("at")),
        user_agent: text("userAgent"),
        referrer: text("referrerUrl"),
        address: text("address"),
        country: text("country"),
        name: Some(text("id")).filter(|id| !id.is_empty()),
    }
}
