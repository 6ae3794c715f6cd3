//! `hoplog top`: the links that are clicked most.

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::Out;
use super::client::{Client, ServerArgs};
use super::error::CliError;
use super::range::given;
use super::table::{Table, count, print_json};

/// `hoplog top`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hoplog top --trending --half-life 1h --tag launch")]
pub(super) struct TopArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// What is hot now, instead of all clicks
    #[arg(long)]
    trending: bool,
    /// With --trending: after how long a click counts half: 1h, 24h or 7d
    #[arg(long, value_name = "TIME", requires = "trending")]
    half_life: Option<String>,
    /// Only clicks of the current day, week or month
    #[arg(long, conflicts_with_all = ["trending", "from", "to"])]
    period: Option<String>,
    /// First day whose clicks count
    #[arg(long, value_name = "DAY", conflicts_with = "trending", requires = "to")]
    from: Option<String>,
    /// Last day whose clicks count
    #[arg(long, value_name = "DAY", conflicts_with = "trending", requires = "from")]
    to: Option<String>,
    /// Only links with this tag
    #[arg(long)]
    tag: Option<String>,
    /// How many links, 1 to 100
    #[arg(long)]
    limit: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What of a link is printed as a table.
#[derive(Debug, Deserialize)]
struct Ranked {
    rank: Option<u64>,
    clicks: Option<u64>,
    score: Option<f64>,
    link: Option<Link>,
    #[serde(default)]
    unreadable: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Link {
    #[serde(default)]
    id: String,
    code: String,
    url: String,
}

/// Runs `hoplog top`.
pub(super) async fn run(args: TopArgs, out: &mut Out) -> Result<(), CliError> {
    let (by, limit) =
        (args.trending.then(|| "trending".to_owned()), args.limit.map(|n| n.to_string()));
    let query = given([
        ("by", &by),
        ("halfLife", &args.half_life),
        ("period", &args.period),
        ("from", &args.from),
        ("to", &args.to),
        ("tag", &args.tag),
        ("limit", &limit),
    ]);
    let answer = Client::new(args.server)?.get(&["top"], &query).await?;
    if args.json {
        return Ok(print_json(&answer, out)?);
    }
    print(&answer, args.trending, out)
}

fn print(answer: &Value, is_trend: bool, out: &mut Out) -> Result<(), CliError> {
    let links = Vec::<Ranked>::deserialize(&answer["data"])?;
    let number = if is_trend { "SCORE" } else { "CLICKS" };
    let mut table = Table::new(&["RANK", "CODE", number, "URL"], &[0, 2]);
    for Ranked { rank, clicks, score, link, unreadable } in links {
        let link = link.unwrap_or_else(|| Link {
            id: String::new(),
            code: unreadable.unwrap_or_default(),
            url: "(can't be read)".to_owned(),
        });
        let rank = rank.map(count).unwrap_or_default();
        let number = clicks.map(count).or(score.map(|score| format!("{score:.3}")));
        let is_elsewhere = !link.id.is_empty() && !link.id.starts_with("default/");
        let name = if is_elsewhere { link.id } else { link.code };
        table.row([rank, name, number.unwrap_or_default(), link.url]);
    }
    Ok(table.print(out)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn links_are_a_table_in_their_order() {
        let link = |code: &str| json!({ "code": code, "url": "https://example.com/" });
        let answer = json!({ "data": [
            { "rank": 1, "clicks": 1_500, "score": null, "link": link("a") },
            { "rank": 2, "clicks": 7, "score": null, "link": link("longer") },
        ]});
        let mut out = Vec::new();
        print(&answer, false, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        RANK  CODE    CLICKS  URL
           1  a        1,500  https://example.com/
           2  longer       7  https://example.com/
        ");
        let trend = json!({ "data": [
            { "rank": 1, "clicks": null, "score": 2.5, "link": link("a") },
        ]});
        let mut out = Vec::new();
        print(&trend, true, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        RANK  CODE  SCORE  URL
           1  a     2.500  https://example.com/
        ");
        assert!(print(&json!({}), true, &mut Vec::new()).is_err());
    }
}
