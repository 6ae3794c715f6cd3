//! `hoplog import links`: a link for each row of a CSV file.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use csv::{ReaderBuilder, StringRecord, Trim};
use serde_json::{Map, Value, json};

use super::super::bar::progress;
use super::bulk::{self, BATCH_LINKS, Outcome};
use super::{LeavesOut, verdict};
use crate::cli::client::Client;
use crate::cli::error::{CliError, input};
use crate::cli::{Out, table};
use crate::rows::{Standing, link};

pub(super) const ABOUT: &str = "Create a link for each row of a CSV file.

The first row names the columns, in any order: url (needed), alias, domain (the host that the link is to live on, instead of the one in id), title, tags (separated by ; or ,), redirect, expiresAt, note, externalId, validFrom, expiredUrl, archived (true or false), forwardQuery (append or override), forwardPath (true or false), maxClicks, rules and split (lists, as JSON), preview (an object, as JSON), password, utmSource, utmMedium, utmCampaign, utmTerm, utmContent; and those of `hoplog export links`. Empty cells are left out. A row of an export that was disabled, deleted or expired, that asks for a password and has none, or has no clicks left is refused. Running it again adds nothing: a row is known by the file's name and its content, but for its password: a row whose password was changed fails. With --upsert every row has an externalId, and each run brings the links to what the rows say, whatever they were changed to before; what an empty cell stands for stays as it is.";

#[derive(Debug, Args)]
pub(super) struct LinksArgs {
    /// The CSV file (UTF-8)
    file: PathBuf,
    /// Change the links of yours that have the external ids of the file; the others are created
    #[arg(long)]
    upsert: bool,
}

/// One row that is to become a link.
#[derive(Debug, PartialEq)]
struct Row {
    line: u64,
    body: Value,
    /// Why it must not.
    refused: Option<String>,
}

/// What became of the rows.
#[derive(Debug, Default)]
struct Summary {
    rows: u64,
    created: u64,
    updated: u64,
    known: u64,
    failed: u64,
}

/// Runs `hoplog import links`.
pub(super) async fn run(
    args: LinksArgs,
    client: &Client,
    json: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let file = std::fs::File::open(&args.file).map_err(|error| input(&args.file, &error))?;
    let rows = read(file, &args.file, args.upsert)?;
    let bar = progress("rows", rows.len() as u64);
    let mut summary = Summary::default();
    for batch in rows.chunks(BATCH_LINKS) {
        let (refused, batch): (Vec<&Row>, _) = batch.iter().partition(|row| row.refused.is_some());
        bar.inc(refused.len() as u64);
        for row in refused {
            summary.rows += 1;
            summary.failed += 1;
            let reason = row.refused.as_deref().unwrap_or_default();
            bar.suspend(|| writeln!(std::io::stderr(), "line {}: {reason}", row.line))?;
        }
        let links: Vec<Value> = batch.iter().map(|row| row.body.clone()).collect();
        let outcomes = match (&*links, args.upsert) {
            ([], _) => continue,
            (links, true) => bulk::upsert(client, links).await?,
            (links, false) => bulk::create(client, links).await?,
        };
        for (row, outcome) in batch.iter().zip(outcomes) {
            if let Some(reason) = summary.count(&outcome) {
                bar.suspend(|| writeln!(std::io::stderr(), "line {}: {reason}", row.line))?;
            }
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    summary.print(json, out)?;
    verdict(
        "rows",
        summary.created + summary.updated + summary.known,
        summary.failed,
        LeavesOut::Nothing,
    )
}

/// Reads the rows; each with an idempotency key made of its content. Not for upserts: under the key of a
/// row that is back at its earlier content nothing would be done, because it was done before.
fn read(file: impl Read, path: &Path, upsert: bool) -> Result<Vec<Row>, CliError> {
    let mut reader = ReaderBuilder::new().trim(Trim::Headers).from_reader(file);
    let columns = reader.headers().map_err(|error| input(path, &error))?.clone();
    check_columns(&columns, path)?;
    let name = path.file_name().unwrap_or_default().as_encoded_bytes().to_owned();
    let mut seen: HashMap<Vec<u8>, u64> = HashMap::new();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| input(path, &error))?;
        let mut body = fields(&columns, &record);
        let line = record.position().map_or(0, csv::Position::line);
        let standing = Standing::of_cells(columns.iter().zip(&record));
        let refused = refused(&standing, &body);
        if upsert {
            body.insert("upsert".to_owned(), true.into());
            rows.push(Row { line, body: body.into(), refused });
            continue;
        }
        // Not in upserts: of a link that is there already these are left of what it has.
        body.extend(standing.clicks_left.map(|left| ("maxClicks".to_owned(), left.into())));
        // The key is a hash that is no secret: what is in it could be guessed.
        let password = body.remove("password");
        let content = serde_json::to_vec(&body)?;
        body.extend(password.map(|password| ("password".to_owned(), password)));
        // Two rows that say the same are two links; which of them it is, is their order.
        let occurrence = seen.get(&content).copied().unwrap_or(0);
        let key = bulk::key(&[&name, &content, &occurrence.to_be_bytes()]);
        seen.insert(content, occurrence + 1);
        body.insert("idempotencyKey".to_owned(), key.into());
        rows.push(Row { line, body: body.into(), refused });
    }
    Ok(rows)
}

fn check_columns(columns: &StringRecord, path: &Path) -> Result<(), CliError> {
    if let Some(unknown) = columns.iter().find(|column| link::field(column).is_none()) {
        let known: Vec<&str> = link::FIELDS.iter().map(|field| field.name).collect();
        let known = known.join(", ");
        return Err(input(path, &format!("unknown column {unknown:?}; known are {known}")));
    }
    if columns.iter().any(|column| column == "url") {
        Ok(())
    } else {
        Err(input(path, &"the first row names no column url"))
    }
}

/// Why a row of an export must not become a link that everybody can follow.
fn refused(standing: &Standing, body: &Map<String, Value>) -> Option<String> {
    if standing.is_protected && !body.contains_key("password") {
        let reason = "asks for a password, which an export does not have; add a column password";
        return Some(format!("the link {reason}"));
    }
    if standing.is_used_up() {
        return Some("the link has had all the clicks that it may have".to_owned());
    }
    let reason = "would be open here; allowed: active, scheduled, or no state";
    (!standing.is_open()).then(|| format!("the link was {} and {reason}", standing.state))
}

/// The cells that are not empty, as the API names them.
fn fields(columns: &StringRecord, record: &StringRecord) -> Map<String, Value> {
    link::body(columns.iter().zip(record))
}

impl Summary {
    /// Counts an outcome; gives the reason if it failed.
    fn count(&mut self, outcome: &Outcome) -> Option<String> {
        self.rows += 1;
        if outcome.link.is_some() && outcome.status < 300 {
            let counted = match outcome.status {
                _ if outcome.replayed => &mut self.known,
                200 => &mut self.updated,
                _ => &mut self.created,
            };
            *counted += 1;
            return None;
        }
        self.failed += 1;
        let status = || format!("status {}", outcome.status);
        Some(outcome.problem.as_ref().map_or_else(status, |problem| table::plain(&problem.line())))
    }

    fn print(&self, as_json: bool, out: &mut Out) -> Result<(), CliError> {
        let Self { rows, created, updated, known, failed } = self;
        if as_json {
            let summary = json!({
                "rows": rows, "created": created, "updated": updated, "known": known,
                "failed": failed,
            });
            table::print_json(&summary, out)?;
        } else {
            writeln!(
                out,
                "{rows} rows: {created} links created, {updated} updated, {known} known, {failed} failed"
            )?;
        }
        Ok(out.flush()?)
    }
}

#[cfg(test)]
mod tests;
