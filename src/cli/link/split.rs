//! `hoplog link split`: how the variants of a link do.

use clap::Args;
use serde_json::Value;

use crate::cli::Out;
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::range::RangeArgs;
use crate::cli::table::{Table, cell, count, print_json};

/// The columns of the table.
const HEADINGS: [&str; 8] =
    ["VARIANT", "WEIGHT", "CLICKS", "VISITORS", "CONVERTED", "RATE", "95 %", "COMPARED"];

#[derive(Debug, Args)]
pub(super) struct Split {
    /// The code of the link
    code: String,
    /// How many visitors of a variant did what was hoped for, such as green:45; give it for each
    #[arg(long, value_name = "NAME:COUNT")]
    converted: Vec<String>,
    /// The variant that the others are compared with [default: the first of the link's split]
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    #[command(flatten)]
    range: RangeArgs,
}

impl Split {
    pub(super) async fn run(
        self,
        client: &Client,
        json: bool,
        out: &mut Out,
    ) -> Result<(), CliError> {
        let converted = Some(self.converted.join(",")).filter(|converted| !converted.is_empty());
        let query = self.range.with([("converted", &converted), ("baseline", &self.baseline)]);
        let answer = client.get(&["links", &self.code, "split"], &query).await?;
        if json {
            return Ok(print_json(&answer, out)?);
        }
        let mut table = Table::new(&HEADINGS, &[1, 2, 3, 4, 5]);
        for variant in answer["variants"].as_array().into_iter().flatten() {
            table.row(row(variant, &answer["baseline"]));
        }
        Ok(table.print(out)?)
    }
}

fn row(variant: &Value, baseline: &Value) -> [String; 8] {
    let number = |name: &str| variant[name].as_u64().map(count).unwrap_or_default();
    let interval = &variant["interval"];
    let bounds = percent(&interval["low"]).zip(percent(&interval["high"]));
    let comparison = &variant["comparison"];
    let p = comparison["p"].as_f64().map(|p| format!(" (p {p:.3})")).unwrap_or_default();
    let is_baseline = variant["name"] == *baseline;
    let compared = if is_baseline {
        "baseline".to_owned()
    } else {
        format!("{}{p}", cell(&comparison["verdict"]))
    };
    [
        cell(&variant["name"]),
        cell(&variant["weight"]),
        number("clicks"),
        number("visitors"),
        number("conversions"),
        percent(&variant["rate"]).unwrap_or_default(),
        bounds.map(|(low, high)| format!("{low} to {high}")).unwrap_or_default(),
        compared,
    ]
}

fn percent(part: &Value) -> Option<String> {
    part.as_f64().map(|part| format!("{:.1} %", part * 100.0))
}
