//! `hoplog stats`: a link's clicks, as a table with a small chart.

use std::io;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::Out;
use super::chart::bar;
use super::client::{Client, ServerArgs};
use super::error::CliError;
use super::table::{Table, count, plain, print_json};

/// The longest bar of the chart.
const BAR_CHARS: usize = 40;

/// Values printed per breakdown.
const TOP_VALUES: usize = 10;

/// The breakdowns (JSON Pointers into the answer) in the order in which they are printed, with
/// their headings.
const BREAKDOWNS: [(&str, &str); 9] = [
    ("/countries", "COUNTRY"),
    ("/devices", "DEVICE"),
    ("/browsers", "BROWSER"),
    ("/systems", "SYSTEM"),
    ("/referrers", "REFERRER"),
    ("/languages", "LANGUAGE"),
    ("/utm/source", "UTM SOURCE"),
    ("/utm/medium", "UTM MEDIUM"),
    ("/utm/campaign", "UTM CAMPAIGN"),
];

/// `hoplog stats`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hoplog stats launch --from 2026-05-01 --to 2026-05-31 --tz Asia/Kolkata --interval day"
)]
pub(super) struct StatsArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The code of the link
    code: String,
    /// First instant or day of the range
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Last day of the range, or the instant at which it ends
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Time zone of days, such as Asia/Kolkata
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// hour, day, week or month
    #[arg(long)]
    interval: Option<String>,
    /// Clicks of bots: include, exclude or only
    #[arg(long)]
    bots: Option<String>,
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

#[derive(Debug, Deserialize)]
struct Share {
    value: String,
    clicks: u64,
    visitors: u64,
}

/// Runs `hoplog stats`.
pub(super) async fn run(args: StatsArgs, out: &mut Out) -> Result<(), CliError> {
    let given = [
        ("from", &args.from),
        ("to", &args.to),
        ("tz", &args.tz),
        ("interval", &args.interval),
        ("bots", &args.bots),
    ];
    let query: Vec<_> =
        given.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let client = Client::new(args.server)?;
    let answer = client.get(&["links", &args.code, "stats"], &query).await?;
    if args.json {
        return Ok(print_json(&answer, out)?);
    }
    print(&answer, out)
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
    for (place, heading) in BREAKDOWNS {
        if let Some(shares) = answer.pointer(place) {
            print_breakdown(heading, &Vec::deserialize(shares)?, out)?;
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

fn print_breakdown(heading: &'static str, shares: &[Share], out: &mut Out) -> io::Result<()> {
    let Some(max) = shares.iter().map(|share| share.clicks).max() else { return Ok(()) };
    let mut table = Table::new(&[heading, "CLICKS", "VISITORS", ""], &[1, 2]);
    for share in shares.iter().take(TOP_VALUES) {
        let value = if share.value.is_empty() { "(none)" } else { &share.value };
        let bar = bar(share.clicks, max, BAR_CHARS);
        table.row([plain(value), count(share.clicks), count(share.visitors), bar]);
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
