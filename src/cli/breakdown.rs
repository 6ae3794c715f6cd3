//! Breakdowns of statistics, as tables with bars.

use serde::Deserialize;
use serde_json::Value;

use super::Out;
use super::chart::bar;
use super::error::CliError;
use super::table::{Table, count, plain};

/// The longest bar of a chart.
pub(super) const BAR_CHARS: usize = 40;

/// Values printed per breakdown, where there are several.
pub(super) const TOP_VALUES: usize = 10;

/// What one value has.
#[derive(Debug, Deserialize)]
pub(super) struct Share {
    value: String,
    clicks: u64,
    visitors: u64,
}

/// A breakdown of an answer, by a JSON Pointer; none: a server of before does not have it.
pub(super) fn shares(answer: &Value, place: &str) -> Result<Vec<Share>, CliError> {
    Ok(answer.pointer(place).map(Vec::deserialize).transpose()?.unwrap_or_default())
}

/// Prints the first values of a breakdown. `counted`: what is counted, as a heading.
pub(super) fn print_breakdown(
    [heading, counted]: [&'static str; 2],
    shares: &[Share],
    values: usize,
    out: &mut Out,
) -> Result<(), CliError> {
    let max = shares.iter().map(|share| share.clicks).max().unwrap_or_default();
    let mut table = Table::new(&[heading, counted, "VISITORS", ""], &[1, 2]);
    for share in shares.iter().take(values) {
        let value = if share.value.is_empty() { "(none)" } else { &share.value };
        let bar = bar(share.clicks, max, BAR_CHARS);
        table.row([plain(value), count(share.clicks), count(share.visitors), bar]);
    }
    Ok(table.print(out)?)
}
