//! `hoplog import csv` and `hoplog import ndjson`: links of files of any program, and of our own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use csv::{ReaderBuilder, Trim};
use serde_json::{Map, Value};

use super::super::bar::progress;
use super::columns::{Columns, parts, take_over};
use super::intake::{BATCH_LINKS, Intake};
use super::item::Item;
use crate::cli::Out;
use crate::cli::client::Client;
use crate::cli::error::{CliError, input};
use crate::rows::{Standing, link};

pub(super) const ABOUT_CSV: &str = "Create a link for each row of a CSV file of any program.

The first row names the columns. Those of `hoplog export links`, of Shlink's web client, of YOURLS tables and of Bitly's export are known; others are named with --column. Codes keep their case. Nothing that is here is changed: a code that is taken by another link, a URL that is none, a code that the service needs itself, a code that is there twice are conflicts, told one by one, and the exit code is 1. Running it again adds nothing; broken off, it goes on where it was.";

pub(super) const ABOUT_NDJSON: &str = "Create a link for each line of a file, as `hoplog export links --format ndjson` writes it.

Each line is a JSON object with the fields of a link: url (needed), code or alias, title, tags, note, externalId, redirect, expiresAt, validFrom, expiredUrl, archived, forwardQuery, forwardPath, maxClicks, password, utm. See `hoplog import csv --help` for conflicts.";

#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// The file (UTF-8)
    file: PathBuf,
    /// Only links of this domain, where the file says it
    #[arg(long, value_name = "HOST")]
    domain: Option<String>,
    /// Say what would be done and print every conflict; do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(super) struct CsvArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Which column a field is in, such as url="Long address"; can be given several times
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = assignment)]
    column: Vec<(String, String)>,
}

fn assignment(text: &str) -> Result<(String, String), &'static str> {
    let (field, column) =
        text.split_once('=').ok_or("must be a field, =, and the name of a column")?;
    Ok((field.to_owned(), column.to_owned()))
}

/// Runs `hoplog import csv`.
pub(super) async fn run_csv(
    args: CsvArgs,
    client: &Client,
    json: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let FileArgs { file: path, domain, dry_run } = args.file;
    let (file, length) = open(&path)?;
    let mut reader = ReaderBuilder::new().trim(Trim::Headers).flexible(false).from_reader(file);
    let head = reader.headers().map_err(|error| input(&path, &error))?.clone();
    let columns = Columns::new(&head, &args.column)?;
    let mut intake = Intake::new(client, dry_run, progress("bytes", length));
    let mut items = Vec::with_capacity(BATCH_LINKS);
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| input(&path, &error))? {
        let line = record.position().map_or(0, csv::Position::line);
        items.extend(columns.item(&record, format!("line {line}"), domain.as_deref()));
        if items.len() == BATCH_LINKS {
            intake.take(&items).await?;
            items.clear();
            intake.bar.set_position(reader.position().byte());
        }
    }
    intake.take(&items).await?;
    intake.finish(None, json, out)
}

/// Runs `hoplog import ndjson`.
pub(super) async fn run_ndjson(
    args: FileArgs,
    client: &Client,
    json: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let FileArgs { file: path, domain, dry_run } = args;
    let (file, length) = open(&path)?;
    let mut intake = Intake::new(client, dry_run, progress("bytes", length));
    let mut reader = BufReader::new(file);
    let mut items = Vec::with_capacity(BATCH_LINKS);
    let (mut text, mut line) = (Vec::new(), 0_u64);
    loop {
        text.clear();
        let read = reader.read_until(b'\n', &mut text).map_err(|error| input(&path, &error))?;
        line += 1;
        intake.bar.inc(read as u64);
        if !text.trim_ascii().is_empty() {
            let object: Map<String, Value> = serde_json::from_slice(&text).map_err(|error| {
                input(&path, &format!("line {line} is no JSON object: {error}"))
            })?;
            items.extend(of_object(object, format!("line {line}"), domain.as_deref()));
        }
        if read == 0 || items.len() == BATCH_LINKS {
            intake.take(&items).await?;
            items.clear();
        }
        if read == 0 {
            return intake.finish(None, json, out);
        }
    }
}

fn open(path: &Path) -> Result<(File, u64), CliError> {
    let file = File::open(path).map_err(|error| input(path, &error))?;
    let length = file.metadata().map_err(|error| input(path, &error))?.len();
    Ok((file, length))
}

/// The link of a line; `None`: it is of another domain than the one that is asked for.
fn of_object(mut object: Map<String, Value>, place: String, domain: Option<&str>) -> Option<Item> {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let its_domain = text("domain").map(str::to_owned).or_else(|| parts(text("shortUrl")?).1);
    let is_of = |wanted| its_domain.as_ref().is_some_and(|it| it.eq_ignore_ascii_case(wanted));
    if domain.is_some_and(|wanted| !is_of(wanted)) {
        return None;
    }
    // An answer of the API has the campaign fields in its URL as well.
    let is_answer = object.contains_key("version");
    let standing = Standing::of_answer(&object);
    if let Some(code) = object.remove("code").filter(|code| !code.is_null()) {
        object.insert("alias".to_owned(), code);
    }
    let mut item = Item { place, host: its_domain, ..Item::default() };
    let mut body = Map::new();
    for (name, value) in object {
        if name == "utm" && !is_answer || link::is_asked(&name) {
            body.insert(name, value);
        } else if !is_answer && !value.is_null() {
            item.leave(&format!("field {name}"), true);
        }
    }
    take_over(&mut item, body);
    item.stood(&standing);
    Some(item)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_of_the_api_is_a_link_again() {
        let Value::Object(answer) = json!({
            "id": "default/a", "code": "a", "url": "https://e.com/?utm_source=x", "title": null,
            "tags": ["t"], "utm": {"source": "x"}, "version": 3, "state": "disabled", "redirect": 301,
            "archived": false, "clicks": {"total": 3}, "hasPassword": false, "domain": "s.test",
        }) else {
            unreachable!()
        };
        let item = of_object(answer.clone(), String::new(), None).unwrap();
        let expected = json!({
            "alias": "a", "url": "https://e.com/?utm_source=x", "tags": ["t"], "redirect": 301,
        });
        assert_eq!(Value::from(item.body), expected);
        assert!(item.is_disabled && item.left.is_empty());
        let mut spent = answer.clone();
        spent.insert("clicksLeft".to_owned(), 0.into());
        assert!(of_object(spent, String::new(), None).unwrap().refused.is_some());
        assert!(of_object(answer, String::new(), Some("other.test")).is_none());
    }

    #[test]
    fn what_has_no_place_is_left_aside() {
        let Value::Object(line) =
            json!({"url": "https://e.com/", "colour": "red", "utm": {"term": "x"}})
        else {
            unreachable!()
        };
        let item = of_object(line, String::new(), None).unwrap();
        assert_eq!(item.left, ["field colour"]);
        assert_eq!(Value::from(item.body), json!({"url": "https://e.com/", "utm": {"term": "x"}}));
    }
}
