//! `hoplog orphans`: visits that led nowhere, as numbers or one by one.

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::Value;

use super::Out;
use super::breakdown::{TOP_VALUES, print_breakdown, shares};
use super::client::{Client, ServerArgs};
use super::error::CliError;
use super::range::RangeArgs;
use super::table::{Table, count, plain, print_json};

/// Where an answer has its breakdowns, and their headings.
const BREAKDOWNS: [(&str, &str); 7] = [
    ("/kinds", "KIND"),
    ("/paths", "PATH"),
    ("/classes", "CLASS"),
    ("/countries", "COUNTRY"),
    ("/browsers", "BROWSER"),
    ("/referrers", "REFERRER"),
    ("/languages", "LANGUAGE"),
];

/// `hoplog orphans`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hoplog orphans --bots exclude --from 2026-05-01 --to 2026-05-31\n  hoplog orphans --show visits --kind unknown-code --limit 20"
)]
pub(super) struct OrphansArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// What to show
    #[arg(long, value_enum, default_value = "stats")]
    show: Show,
    /// Only these kinds, with commas: unknown-code, base-url, expired, spent, deleted, disabled, not-yet, quarantined
    #[arg(long, value_name = "KINDS")]
    kind: Option<String>,
    /// Only visits that asked for this
    #[arg(long)]
    path: Option<String>,
    #[command(flatten)]
    range: RangeArgs,
    /// Visits of bots: include, exclude or only
    #[arg(long)]
    bots: Option<String>,
    /// With --show visits: how many, 1 to 500
    #[arg(long)]
    limit: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Show {
    /// How many there were, of which kinds, and from where
    Stats,
    /// The last ones, one by one
    Visits,
}

/// What of the answer is printed as a table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statistics {
    total_clicks: u64,
    unique_visitors: u64,
    total_unrecorded: u64,
}

/// Runs `hoplog orphans`.
pub(super) async fn run(args: OrphansArgs, out: &mut Out) -> Result<(), CliError> {
    let limit = args.limit.map(|limit| limit.to_string());
    let query = args.range.with([
        ("kind", &args.kind),
        ("path", &args.path),
        ("bots", &args.bots),
        ("limit", &limit),
    ]);
    let path: &[&str] = match args.show {
        Show::Stats => &["orphans", "stats"],
        Show::Visits => &["orphans"],
    };
    let answer = Client::new(args.server)?.get(path, &query).await?;
    match args.show {
        _ if args.json => Ok(print_json(&answer, out)?),
        Show::Stats => print_statistics(&answer, out),
        Show::Visits => print_visits(&answer, out),
    }
}

fn print_statistics(answer: &Value, out: &mut Out) -> Result<(), CliError> {
    let statistics = Statistics::deserialize(answer)?;
    writeln!(
        out,
        "{} visits recorded, {} unique visitors (estimated); {} more counted only",
        count(statistics.total_clicks),
        count(statistics.unique_visitors),
        count(statistics.total_unrecorded),
    )?;
    for (place, heading) in BREAKDOWNS {
        let shares = shares(answer, place)?;
        if !shares.is_empty() {
            writeln!(out)?;
            print_breakdown([heading, "VISITS"], &shares, TOP_VALUES, out)?;
        }
    }
    Ok(())
}

fn print_visits(answer: &Value, out: &mut Out) -> Result<(), CliError> {
    let visits = Vec::<Value>::deserialize(&answer["data"])?;
    let mut table = Table::new(&["AT", "KIND", "PATH", "CLASS", "COUNTRY", "REFERRER"], &[]);
    for visit in visits {
        let text = |name: &str| plain(visit[name].as_str().unwrap_or_default());
        table.row(["at", "kind", "path", "class", "country", "referrer"].map(text));
    }
    Ok(table.print(out)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_visits_are_tables() {
        let answer = json!({
            "totalClicks": 1_500, "uniqueVisitors": 20, "totalUnrecorded": 98_500,
            "kinds": [{"value": "unknown-code", "clicks": 1_500, "visitors": 20}],
            "paths": [],
            "referrers": [{"value": "", "clicks": 750, "visitors": 10}],
        });
        let mut out = Vec::new();
        print_statistics(&answer, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        1,500 visits recorded, 20 unique visitors (estimated); 98,500 more counted only

        KIND          VISITS  VISITORS
        unknown-code   1,500        20  ████████████████████████████████████████

        REFERRER  VISITS  VISITORS
        (none)       750        10  ████████████████████████████████████████
        ");
        let answer = json!({ "data": [{
            "at": "2026-05-17T00:00:00Z", "kind": "unknown-code", "path": "lunch", "class": "human",
            "country": "AT", "referrer": "",
        }]});
        let mut out = Vec::new();
        print_visits(&answer, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        AT                    KIND          PATH   CLASS  COUNTRY  REFERRER
        2026-05-17T00:00:00Z  unknown-code  lunch  human  AT
        ");
        assert!(print_statistics(&json!({}), &mut Vec::new()).is_err());
    }
}
