//! `hoplog stats`: clicks of a link, or of several together, as a table with a small chart.

use std::io;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::Out;
use super::breakdown::{BAR_CHARS, TOP_VALUES, print_breakdown, shares};
use super::chart::bar;
use super::client::{Client, ServerArgs};
use super::error::CliError;
use super::range::RangeArgs;
use super::table::{Table, count, print_json};

/// A breakdown: what `--by` calls it, where the answer has it (a JSON Pointer), and its heading.
type Breakdown = (&'static str, &'static str, &'static str);

/// The breakdowns in the order in which they are printed.
const BREAKDOWNS: [Breakdown; 11] = [
    ("country", "/countries", "COUNTRY"),
    ("device", "/devices", "DEVICE"),
    ("browser", "/browsers", "BROWSER"),
    ("system", "/systems", "SYSTEM"),
    ("referrer", "/referrers", "REFERRER"),
    ("language", "/languages", "LANGUAGE"),
    ("utm-source", "/utm/source", "UTM SOURCE"),
    ("utm-medium", "/utm/medium", "UTM MEDIUM"),
    ("utm-campaign", "/utm/campaign", "UTM CAMPAIGN"),
    ("variant", "/variants", "VARIANT"),
    ("rule", "/rules", "RULE"),
];

/// `hoplog stats`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hoplog stats launch --from 2026-05-01 --to 2026-05-31 --tz Asia/Kolkata --interval day\n  hoplog stats launch --by variant --bots exclude\n  hoplog stats --tag spring --interval month"
)]
pub(super) struct StatsArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The code of the link
    #[arg(required_unless_present_any = ["tag", "domain"])]
    code: Option<String>,
    /// Of all links that have this tag
    #[arg(long, conflicts_with = "code")]
    tag: Option<String>,
    /// Of all links of this domain; `default` is the server's own
    #[arg(long, conflicts_with = "code")]
    domain: Option<String>,
    #[command(flatten)]
    range: RangeArgs,
    /// hour, day, week or month
    #[arg(long)]
    interval: Option<String>,
    /// Clicks of bots: include, exclude or only
    #[arg(long)]
    bots: Option<String>,
    /// Print this breakdown alone, with all its values
    #[arg(long, value_name = "WHAT", value_parser = BREAKDOWNS.map(|(name, ..)| name))]
    by: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What of the answer is printed as a table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statistics {
    total_clicks: u64,
    unique_visitors: u64,
    #[serde(default)]
    series: Vec<Point>,
}

#[derive(Debug, Deserialize)]
struct Point {
    start: String,
    clicks: u64,
    visitors: u64,
}

/// Runs `hoplog stats`.
pub(super) async fn run(args: StatsArgs, out: &mut Out) -> Result<(), CliError> {
    let query = args.range.with([
        ("tag", &args.tag),
        ("domain", &args.domain),
        ("interval", &args.interval),
        ("bots", &args.bots),
    ]);
    let client = Client::new(args.server)?;
    let path = match &args.code {
        Some(code) => vec!["links", code, "stats"],
        None => vec!["stats"],
    };
    let answer = client.get(&path, &query).await?;
    if args.json {
        return Ok(print_json(&answer, out)?);
    }
    match BREAKDOWNS.iter().find(|(name, ..)| args.by.as_deref() == Some(name)) {
        Some((_, place, heading)) => {
            print_breakdown([heading, "CLICKS"], &shares(&answer, place)?, usize::MAX, out)
        }
        None => print(&answer, out),
    }
}

fn print(answer: &Value, out: &mut Out) -> Result<(), CliError> {
    let statistics = Statistics::deserialize(answer)?;
    writeln!(
        out,
        "{} clicks, {} unique visitors (estimated)",
        count(statistics.total_clicks),
        count(statistics.unique_visitors)
    )?;
    print_series(&statistics.series, out)?;
    for (_, place, heading) in BREAKDOWNS {
        let shares = shares(answer, place)?;
        if !shares.is_empty() {
            writeln!(out)?;
            print_breakdown([heading, "CLICKS"], &shares, TOP_VALUES, out)?;
        }
    }
    Ok(())
}

fn print_series(series: &[Point], out: &mut Out) -> io::Result<()> {
    let Some(max) = series.iter().map(|point| point.clicks).max() else { return Ok(()) };
    let mut table = Table::new(&["START", "CLICKS", "VISITORS", ""], &[1, 2]);
    for point in series {
        let bar = bar(point.clicks, max, BAR_CHARS);
        table.row([point.start.clone(), count(point.clicks), count(point.visitors), bar]);
    }
    writeln!(out)?;
    table.print(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn statistics_are_a_table_with_a_chart() {
        let answer = json!({
            "totalClicks": 1_500, "uniqueVisitors": 900,
            "series": [
                {"start": "2026-05-17T00:00:00+05:30", "clicks": 1_000, "visitors": 700},
                {"start": "2026-05-18T00:00:00+05:30", "clicks": 0, "visitors": 0},
                {"start": "2026-05-19T00:00:00+05:30", "clicks": 500, "visitors": 300},
            ],
            "countries": [{"value": "IN", "clicks": 1_400, "visitors": 850},
                          {"value": "", "clicks": 100, "visitors": 50}],
            "devices": [],
            "utm": {"source": [{"value": "mail", "clicks": 2, "visitors": 1}]},
        });
        let mut out = Vec::new();
        print(&answer, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        1,500 clicks, 900 unique visitors (estimated)

        START                      CLICKS  VISITORS
        2026-05-17T00:00:00+05:30   1,000       700  ████████████████████████████████████████
        2026-05-18T00:00:00+05:30       0         0
        2026-05-19T00:00:00+05:30     500       300  ████████████████████

        COUNTRY  CLICKS  VISITORS
        IN        1,400       850  ████████████████████████████████████████
        (none)      100        50  ██▊

        UTM SOURCE  CLICKS  VISITORS
        mail             2         1  ████████████████████████████████████████
        ");
    }

    #[test]
    fn an_answer_that_is_none_is_not_understood() {
        let error = print(&json!({"total": 1}), &mut Vec::new()).unwrap_err();
        assert!(matches!(error, CliError::Answer(_)), "{error}");
    }
}
