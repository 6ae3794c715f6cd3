//! `hoplog import kutt`: links of a Kutt server, by its API, version 2.
//!
//! Documented at <https://docs.kutt.it> (`GET /api/v2/links`), the source of which is `docs/api` of
//! <https://github.com/thedevs-network/kutt>.

use clap::Args;
use serde_json::Value;
use url::Url;

use super::super::bar::progress;
use super::answer::{list, number};
use super::columns::parts;
use super::intake::Intake;
use super::item::Item;
use super::past::Past;
use super::remote::{Remote, RemoteArgs, Token};
use crate::cli::Out;
use crate::cli::client::Client;
use crate::cli::error::CliError;

pub(super) const ABOUT: &str = "Take over the links of a Kutt server, by its API.

Addresses, targets, descriptions (as notes) and expiry come over; a banned link comes switched off. A link with a password is a conflict: Kutt does not tell it. Visits are only counted there and can't come in.";

/// Links on a page, as many as Kutt gives.
const PAGE_LINKS: &str = "50";

#[derive(Debug, Args)]
pub(super) struct KuttArgs {
    /// The address of the Kutt server
    #[arg(long, value_name = "URL")]
    from: Url,
    /// The links of all users, for administrators
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Runs `hoplog import kutt`.
pub(super) async fn run(
    args: KuttArgs,
    client: &Client,
    json: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let remote = Remote::new(args.from, &args.remote, Token::Header("x-api-key"))?;
    let mut past = Past::new(client, remote.source("kutt"));
    let mut intake = Intake::new(client, args.remote.dry_run, progress("links", 0));
    let mut skip = 0;
    loop {
        let offset = skip.to_string();
        let mut query = vec![("limit", PAGE_LINKS), ("skip", &*offset)];
        query.extend(args.all.then_some(("all", "true")));
        let answer = remote.get(&["api", "v2", "links"], &query).await?;
        let (total, links) = (number(&answer, "/total")?, list(&answer, "/data")?);
        intake.bar.set_length(total);
        intake.bar.inc(links.len() as u64);
        skip += links.len() as u64;
        let wanted: Vec<&&Value> =
            links.iter().filter(|link| is_of(link, args.remote.domain.as_deref())).collect();
        let items: Vec<Item> = wanted.iter().map(|link| item(link)).collect();
        for place in intake.take(&items).await? {
            past.only_counted += wanted[place]["visit_count"].as_u64().unwrap_or_default();
        }
        if links.is_empty() || skip >= total {
            return intake.finish(Some(&past), json, out);
        }
    }
}

fn is_of(link: &Value, domain: Option<&str>) -> bool {
    let host = link["link"].as_str().and_then(|link| parts(link).1);
    domain.is_none_or(|domain| host.is_some_and(|host| host.eq_ignore_ascii_case(domain)))
}

fn item(link: &Value) -> Item {
    let text = |name: &str| link[name].as_str().unwrap_or_default();
    let mut item = Item::new(text("link").to_owned(), text("address"), text("target"));
    item.host = parts(text("link")).1;
    item.set_note(text("description"));
    item.set_instant("expiresAt", text("expire_in"));
    item.is_disabled = link["banned"] == true;
    item.needs_password(link["password"] == true);
    item
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_link_is_what_its_answer_says() {
        let link = json!({
            "address": "aB3", "link": "https://kutt.test/aB3", "target": "https://e.com/", "banned": true,
            "description": "D", "password": false, "expire_in": "2099-01-01T00:00:00.000Z", "visit_count": 2,
        });
        let item = item(&link);
        let expected = json!({
            "alias": "aB3", "url": "https://e.com/", "note": "D", "expiresAt": "2099-01-01T00:00:00Z",
        });
        assert_eq!(Value::from(item.body), expected);
        assert!(item.is_disabled && item.refused.is_none());
        assert!(is_of(&link, Some("kutt.test")) && !is_of(&link, Some("other.test")));
    }
}
