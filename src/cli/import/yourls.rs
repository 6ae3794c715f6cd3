//! `hoplog import yourls`: links and clicks of a YOURLS database, as `mysqldump` writes it.
//!
//! The tables are documented where they are made: `includes/functions-install.php` of
//! <https://github.com/YOURLS/YOURLS>. The dump is read twice: it has the clicks before the links, because it is in the
//! order of the names of the tables.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use chrono::{FixedOffset, NaiveDateTime, TimeZone};
use clap::Args;

use super::super::bar::progress;
use super::intake::{BATCH_LINKS, Intake};
use super::item::Item;
use super::past::{Past, PastClick};
use crate::cli::Out;
use crate::cli::client::Client;
use crate::cli::error::{CliError, input};

mod sql;

use sql::{Dump, Row};

pub(super) const ABOUT: &str = "Take over the links and clicks of a YOURLS database, from its SQL dump (mysqldump).

Keywords, URLs and titles come over; clicks come at their own time with their referrer, user agent, address and country, and need a key with the scope admin. For a table written out as CSV see `hoplog import csv`.";

/// The columns of the tables, in the order in which YOURLS makes them: for dumps that do not say.
const URL_COLUMNS: [&str; 6] = ["keyword", "url", "title", "timestamp", "ip", "clicks"];
const LOG_COLUMNS: [&str; 7] =
    ["click_id", "click_time", "shorturl", "referrer", "user_agent", "ip_address", "country_code"];

#[derive(Debug, Args)]
pub(super) struct YourlsArgs {
    /// The SQL dump
    file: PathBuf,
    /// What the names of the tables begin with
    #[arg(long, value_name = "TEXT", default_value = "yourls_")]
    table_prefix: String,
    /// The offset from UTC that the times of the clicks have, such as +05:30; give the same in every run: with another
    /// one every click counts again
    #[arg(long, value_name = "OFFSET", default_value = "+00:00", allow_hyphen_values = true)]
    offset: FixedOffset,
    /// Names the YOURLS site; give the same in every run, and another for another site
    #[arg(long, value_name = "NAME", default_value = "yourls")]
    site: String,
    /// Take links only
    #[arg(long)]
    no_clicks: bool,
    /// Say what would be done and print every conflict; do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs `hoplog import yourls`.
pub(super) async fn run(
    args: YourlsArgs,
    client: &Client,
    json: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let length = std::fs::metadata(&args.file).map_err(|error| input(&args.file, &error))?.len();
    let passes = if args.no_clicks { 1 } else { 2 };
    let mut intake = Intake::new(client, args.dry_run, progress("bytes", passes * length));
    let (here, counted) = take_links(&args, &mut intake).await?;
    let mut past = Past::new(client, format!("yourls:{}", args.site));
    if !args.no_clicks {
        intake.bar.set_position(length);
        let rows = take_clicks(&args, &here, &mut past, &intake).await?;
        if rows == 0 && counted > 0 {
            let table = format!("{}log", args.table_prefix);
            past.refused = Some(format!(
                "{counted} are counted, but the dump has no rows of the table {table}; dump it as well, or give --no-clicks"
            ));
        }
    }
    intake.finish((!args.no_clicks).then_some(&past), json, out)
}

/// Takes the links; gives the codes of those that are here now, and how many clicks all of them had.
async fn take_links(
    args: &YourlsArgs,
    intake: &mut Intake<'_>,
) -> Result<(HashSet<String>, u64), CliError> {
    let table = format!("{}url", args.table_prefix);
    let mut dump = open(&args.file, &table, &URL_COLUMNS)?;
    let (mut items, mut here, mut rows) = (Vec::new(), HashSet::new(), 0_u64);
    let mut counted = 0_u64;
    loop {
        let row = next(&mut dump, &args.file)?;
        let is_last = row.is_none();
        rows += u64::from(!is_last);
        if let Some(row) = row {
            counted += row.text("clicks").parse::<u64>().unwrap_or_default();
            items.push(item(&row));
        }
        if is_last || items.len() == BATCH_LINKS {
            for place in intake.take(&items).await? {
                here.extend(items[place].code().map(str::to_owned));
            }
            items.clear();
            intake.bar.set_position(dump.bytes());
        }
        if is_last {
            break;
        }
    }
    if rows == 0 {
        let reason = format!("has no rows of the table {table}; see --table-prefix");
        return Err(input(&args.file, &reason));
    }
    Ok((here, counted))
}

/// Takes the clicks; gives how many rows there are.
async fn take_clicks(
    args: &YourlsArgs,
    here: &HashSet<String>,
    past: &mut Past,
    intake: &Intake<'_>,
) -> Result<u64, CliError> {
    let table = format!("{}log", args.table_prefix);
    let mut dump = open(&args.file, &table, &LOG_COLUMNS)?;
    let before = intake.bar.position();
    let mut rows = 0_u64;
    while let Some(row) = next(&mut dump, &args.file)? {
        rows += 1;
        if rows.is_multiple_of(1_000) {
            intake.bar.set_position(before + dump.bytes());
        }
        let click = click(&row, args.offset);
        // What came in as another link, or not at all, has none of these clicks.
        if !here.contains(&click.code) {
            continue;
        }
        if intake.is_dry {
            past.foreseen += 1;
        } else {
            past.take(click, &intake.bar).await?;
        }
    }
    past.send().await?;
    Ok(rows)
}

fn open(path: &Path, table: &str, columns: &[&str]) -> Result<Dump<BufReader<File>>, CliError> {
    let file = File::open(path).map_err(|error| input(path, &error))?;
    Ok(Dump::new(BufReader::new(file), table, columns))
}

fn next(dump: &mut Dump<BufReader<File>>, path: &Path) -> Result<Option<Row>, CliError> {
    dump.next_row().map_err(|error| input(path, &error))
}

fn item(row: &Row) -> Item {
    let code = row.text("keyword");
    let mut item = Item::new(format!("keyword {code}"), &code, &row.text("url"));
    item.set_title(&row.text("title"));
    item
}

fn click(row: &Row, offset: FixedOffset) -> PastClick {
    let time = NaiveDateTime::parse_from_str(&row.text("click_time"), "%Y-%m-%d %H:%M:%S").ok();
    let at = time.and_then(|time| offset.from_local_datetime(&time).single());
    let referrer = row.text("referrer");
    PastClick {
        code: row.text("shorturl"),
        at: at.map(|at| at.to_utc()),
        user_agent: row.text("user_agent"),
        // What YOURLS writes where there was none.
        referrer: if referrer == "direct" { String::new() } else { referrer },
        address: row.text("ip_address"),
        country: row.text("country_code"),
        name: Some(row.text("click_id")).filter(|id| !id.is_empty()),
    }
}
