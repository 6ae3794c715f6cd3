//! `hoplog import shlink`: links and visits of a Shlink server, by its REST API, version 3.
//!
//! Documented at <https://api-spec.shlink.io> (`GET /rest/v3/short-urls`, `GET /rest/v3/short-urls/{shortCode}/visits`),
//! the source of which is `docs/swagger` of <https://github.com/shlinkio/shlink>.

use chrono::SecondsFormat;
use clap::Args;
use serde_json::Value;
use url::Url;

use super::super::bar::progress;
use super::answer::{list, number};
use super::intake::Intake;
use super::item::{Item, time_of};
use super::past::{Past, PastClick};
use super::remote::{Remote, RemoteArgs, Token};
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::{Out, table};

pub(super) const ABOUT: &str = "Take over the links and visits of a Shlink server, by its REST API.

Codes, long URLs, titles, tags, validSince, validUntil, maxVisits (what is left of it) and forwardQuery come over; visits come at their own time with their referrer, user agent and country, and need a key with the scope admin. Redirect rules and crawlable have no place here and are counted.";

/// Links and visits on a page.
const PAGE_LINKS: &str = "200";
const PAGE_VISITS: &str = "1000";

#[derive(Debug, Args)]
pub(super) struct ShlinkArgs {
    /// The address of the Shlink server
    #[arg(long, value_name = "URL")]
    from: Url,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Take links only
    #[arg(long)]
    no_clicks: bool,
}

/// Runs `hoplog import shlink`.
pub(super) async fn run(
    args: ShlinkArgs,
    client: &Client,
    json: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let remote = Remote::new(args.from, &args.remote, Token::Header("x-api-key"))?;
    let mut past = Past::new(client, remote.source("shlink"));
    let mut intake = Intake::new(client, args.remote.dry_run, progress("links", 0));
    let (mut page, mut pages) = (1_u64, 1);
    while page <= pages {
        let this = page.to_string();
        let query =
            [("page", &*this), ("itemsPerPage", PAGE_LINKS), ("orderBy", "dateCreated-ASC")];
        let answer = remote.get(&["rest", "v3", "short-urls"], &query).await?;
        let links = list(&answer, "/shortUrls/data")?;
        pages = number(&answer, "/shortUrls/pagination/pagesCount")?;
        intake.bar.set_length(number(&answer, "/shortUrls/pagination/totalItems")?);
        intake.bar.inc(links.len() as u64);
        let wanted: Vec<&Value> =
            links.into_iter().filter(|link| is_of(link, args.remote.domain.as_deref())).collect();
        let items: Vec<Item> = wanted.iter().map(|link| item(link)).collect();
        for place in intake.take(&items).await? {
            let visits = visits_of(wanted[place]);
            if intake.is_dry {
                past.foreseen += visits;
            } else if visits > 0 && !args.no_clicks {
                take_visits(&remote, wanted[place], &mut past, &intake).await?;
            }
        }
        past.send().await?;
        page += 1;
    }
    intake.finish((!args.no_clicks).then_some(&past), json, out)
}

/// A link without a domain is of the server's own.
fn is_of(link: &Value, domain: Option<&str>) -> bool {
    let is_it = |domain| host(link).is_some_and(|host| host.eq_ignore_ascii_case(domain));
    domain.is_none_or(is_it)
}

fn host(link: &Value) -> Option<String> {
    link["domain"].as_str().map(str::to_owned).or_else(|| {
        let url: Url = link["shortUrl"].as_str()?.parse().ok()?;
        url.host_str().map(str::to_owned)
    })
}

/// Older servers have one number only.
fn visits_of(link: &Value) -> u64 {
    link["visitsSummary"]["total"].as_u64().or(link["visitsCount"].as_u64()).unwrap_or_default()
}

fn item(link: &Value) -> Item {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let code = text(&link["shortCode"]);
    let mut item = Item::new(text(&link["shortUrl"]), &code, &text(&link["longUrl"]));
    item.host = host(link);
    item.set_title(&text(&link["title"]));
    item.set("tags", link["tags"].clone());
    item.set_instant("validFrom", &text(&link["meta"]["validSince"]));
    item.set_instant("expiresAt", &text(&link["meta"]["validUntil"]));
    if let Some(allowed) = link["meta"]["maxVisits"].as_u64() {
        item.set_clicks_left(allowed.saturating_sub(visits_of(link)));
    }
    // There, what a visitor brings along goes before what the long URL has.
    if link["forwardQuery"] == true {
        item.set("forwardQuery", "override");
    }
    item.leave("crawlable", link["crawlable"] == true);
    item.leave("redirect rules", link["hasRedirectRules"] == true);
    item
}

async fn take_visits(
    remote: &Remote,
    link: &Value,
    past: &mut Past,
    intake: &Intake<'_>,
) -> Result<(), CliError> {
    let code = link["shortCode"].as_str().unwrap_or_default();
    past.next_link();
    // Pages count from the newest visit: one that came between two pages would move all others, and the last of
    // the first page would be read again. So the list ends where this run began.
    let until = past.whole_second_before().to_rfc3339_opts(SecondsFormat::Secs, false);
    let (mut page, mut pages, mut total) = (1_u64, 1, None);
    while page <= pages {
        let this = page.to_string();
        let mut query = vec![("page", &*this), ("itemsPerPage", PAGE_VISITS), ("endDate", &*until)];
        query.extend(link["domain"].as_str().map(|domain| ("domain", domain)));
        let answer = remote.get(&["rest", "v3", "short-urls", code, "visits"], &query).await?;
        pages = number(&answer, "/visits/pagination/pagesCount")?;
        let now = number(&answer, "/visits/pagination/totalItems")?;
        if *total.get_or_insert(now) != now {
            return Err(moved(code, &until));
        }
        for visit in list(&answer, "/visits/data")? {
            past.take(click(code, visit), &intake.bar).await?;
        }
        page += 1;
    }
    Ok(())
}

/// Visits came or went although the list has an end: nobody can tell which were read twice or not at all.
fn moved(code: &str, until: &str) -> CliError {
    let code = table::one_line(code);
    CliError::Failed(format!(
        "the visits of {code} until {until} changed while they were read; check that the clock of this machine is right, and import again"
    ))
}

fn click(code: &str, visit: &Value) -> PastClick {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    PastClick {
        code: code.to_owned(),
        at: time_of(&text(&visit["date"])),
        user_agent: text(&visit["userAgent"]),
        referrer: text(&visit["referer"]),
        country: text(&visit["visitLocation"]["countryCode"]),
        ..PastClick::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_link_is_what_its_answer_says() {
        let link = json!({
            "shortCode": "aB3", "shortUrl": "https://s.test/aB3", "longUrl": "https://e.com/",
            "tags": ["x"], "title": "T", "forwardQuery": true, "crawlable": true, "hasRedirectRules": true,
            "visitsSummary": {"total": 4, "nonBots": 3, "bots": 1}, "domain": null,
            "meta": {"validSince": "2020-01-01T00:00:00+02:00", "validUntil": null, "maxVisits": 10},
        });
        let item = item(&link);
        let expected = json!({
            "alias": "aB3", "url": "https://e.com/", "tags": ["x"], "title": "T", "forwardQuery": "override",
            "validFrom": "2019-12-31T22:00:00Z", "maxClicks": 6,
        });
        assert_eq!(Value::from(item.body), expected);
        assert_eq!(item.left, ["crawlable", "redirect rules"]);
        assert!(is_of(&link, Some("S.test")) && !is_of(&link, Some("other.test")));
    }

    /// Fault of click limits in the field: moving must not give a link its visits again.
    #[test]
    fn a_link_whose_visits_are_used_up_stays_out() {
        let link = json!({"shortCode": "a", "longUrl": "https://e.com/", "visitsCount": 3, "meta": {"maxVisits": 3}});
        assert!(item(&link).refused.is_some());
    }
}
