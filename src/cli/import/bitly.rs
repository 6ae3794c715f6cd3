//! `hoplog import bitly`: links of a Bitly group, by its API, version 4.
//!
//! Documented at <https://dev.bitly.com/api-reference> (`GET /v4/groups/{group_guid}/bitlinks`); how to go on from a
//! page at <https://dev.bitly.com/docs/getting-started/changes-to-retrieve-bitlinks-by-group/>.

use clap::Args;
use serde_json::Value;
use url::Url;

use super::super::bar::progress;
use super::answer::list;
use super::columns::parts;
use super::intake::Intake;
use super::item::Item;
use super::remote::{Remote, RemoteArgs, Token};
use crate::cli::Out;
use crate::cli::client::Client;
use crate::cli::error::CliError;

pub(super) const ABOUT: &str = "Take over the links of a Bitly group, by its API.

Back-halves (custom ones are links of their own), long URLs, titles, tags and whether they are archived come over. Deep links have no place here and are counted. Bitly gives clicks as counts only: they can't come in.";

/// Links on a page, as many as Bitly gives.
const PAGE_LINKS: &str = "100";

#[derive(Debug, Args)]
pub(super) struct BitlyArgs {
    /// The GUID of the group, such as `Ba1bc23dE4F`
    #[arg(long)]
    group: String,
    /// The address of the API
    #[arg(long, value_name = "URL", default_value = "https://api-ssl.bitly.com")]
    from: Url,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Runs `hoplog import bitly`.
pub(super) async fn run(
    args: BitlyArgs,
    client: &Client,
    json: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let remote = Remote::new(args.from, &args.remote, Token::Bearer)?;
    let mut intake = Intake::new(client, args.remote.dry_run, progress("links", 0));
    let (path, mut after) = (["v4", "groups", &*args.group, "bitlinks"], String::new());
    loop {
        let mut query = vec![("size", PAGE_LINKS), ("archived", "both")];
        // An empty one would be the first page again.
        query.extend((!after.is_empty()).then_some(("search_after", &*after)));
        let answer = remote.get(&path, &query).await?;
        let links = list(&answer, "/links")?;
        intake.bar.set_length(answer["pagination"]["total"].as_u64().unwrap_or_default());
        intake.bar.inc(links.len() as u64);
        let items = links.iter().flat_map(|link| items(link, args.remote.domain.as_deref()));
        for items in items.collect::<Vec<_>>().chunks(super::intake::BATCH_LINKS) {
            intake.take(items).await?;
        }
        let next = answer["pagination"]["search_after"].as_str().unwrap_or_default();
        if next.is_empty() || next == after {
            return intake.finish(None, json, out);
        }
        after = next.to_owned();
    }
}

/// The link, and one for each custom back-half that it has.
fn items(link: &Value, domain: Option<&str>) -> Vec<Item> {
    let text = |name: &str| link[name].as_str().unwrap_or_default();
    let own = if text("link").is_empty() { text("id") } else { text("link") };
    let custom = link["custom_bitlinks"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut places: Vec<(String, Option<String>, Option<String>)> = Vec::new();
    for short in std::iter::once(own).chain(custom) {
        let (code, host) = parts(short);
        if !places.iter().any(|(_, other, its)| (other, its) == (&code, &host)) {
            places.push((short.to_owned(), code, host));
        }
    }
    let is_of = |host: &Option<String>| {
        domain.is_none_or(|wanted| {
            host.as_ref().is_some_and(|host| host.eq_ignore_ascii_case(wanted))
        })
    };
    let wanted = places.into_iter().filter(|(_, _, host)| is_of(host));
    let item = |(place, code, host): (String, Option<String>, Option<String>)| {
        let mut item = Item::new(place, code.as_deref().unwrap_or_default(), text("long_url"));
        item.host = host;
        item.set_title(text("title"));
        item.set("tags", link["tags"].clone());
        item.set("archived", link["archived"] == true);
        item.leave("deep links", link["deeplinks"].as_array().is_some_and(|all| !all.is_empty()));
        item
    };
    wanted.map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_back_half_is_a_link() {
        let link = json!({
            "id": "bit.ly/3xYz", "link": "https://bit.ly/3xYz", "long_url": "https://e.com/", "title": "T",
            "tags": ["x"], "archived": true, "deeplinks": [{"os": "ios"}],
            "custom_bitlinks": ["https://bit.ly/spring", "https://go.test/spring", "https://bit.ly/3xYz"],
        });
        let of = |domain| -> Vec<Value> {
            items(&link, domain).into_iter().map(|item| item.body.into()).collect()
        };
        let body = |code| json!({"alias": code, "url": "https://e.com/", "title": "T", "tags": ["x"], "archived": true});
        assert_eq!(of(Some("bit.ly")), [body("3xYz"), body("spring")]);
        assert_eq!(of(None).len(), 3);
        assert_eq!(items(&link, None)[0].left, ["deep links"]);
    }
}
