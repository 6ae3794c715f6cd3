//! `hoplog import dub`: links and clicks of a Dub workspace, by its API.
//!
//! Documented at <https://dub.co/docs/api-reference/links/list> and <https://dub.co/docs/api-reference/events/list>.

use clap::Args;
use serde_json::Value;
use url::Url;

use super::super::bar::progress;
use super::answer::list;
use super::columns::parts;
use super::intake::Intake;
use super::item::{Item, time_of};
use super::past::{Past, PastClick};
use super::remote::{Remote, RemoteArgs, Token};
use crate::cli::Out;
use crate::cli::client::Client;
use crate::cli::error::CliError;

pub(super) const ABOUT: &str = "Take over the links and clicks of a Dub workspace, by its API.

Keys, URLs, titles, comments (as notes), tags, external ids, expiry with its URL, passwords, whether they are archived or disabled come over; clicks come at their own time with their referrer and country and a user agent made of device, browser and system, where the plan of the workspace gives them, and need a key with the scope admin. Targeting, previews, cloaking and tests have no place here and are counted.";

/// Links and events on a page, as many as Dub gives.
const PAGE_ITEMS: &str = "100";
const PAGE_ITEMS_COUNT: usize = 100;

/// What Dub knows of a link and a link here does not: the field, and what it is called.
const LEFT: &[(&str, &str)] = &[
    ("ios", "iOS targeting"),
    ("android", "Android targeting"),
    ("geo", "country targeting"),
    ("testVariants", "A/B tests"),
    ("proxy", "previews of its own"),
    ("rewrite", "cloaking"),
    ("trackConversion", "conversion tracking"),
    ("doIndex", "indexing"),
];

#[derive(Debug, Args)]
pub(super) struct DubArgs {
    /// The address of the API
    #[arg(long, value_name = "URL", default_value = "https://api.dub.co")]
    from: Url,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Take links only
    #[arg(long)]
    no_clicks: bool,
}

/// Runs `hoplog import dub`.
pub(super) async fn run(
    args: DubArgs,
    client: &Client,
    json: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let remote = Remote::new(args.from, &args.remote, Token::Bearer)?;
    let mut past = Past::new(client, remote.source("dub"));
    let mut intake = Intake::new(client, args.remote.dry_run, progress("links", 0));
    let mut after = String::new();
    loop {
        let mut query = vec![("pageSize", PAGE_ITEMS), ("showArchived", "true")];
        query.extend(args.remote.domain.as_deref().map(|domain| ("domain", domain)));
        query.extend((!after.is_empty()).then_some(("startingAfter", &*after)));
        let answer = remote.get(&["links"], &query).await?;
        let links = list(&answer, "")?;
        intake.bar.inc_length(links.len() as u64);
        intake.bar.inc(links.len() as u64);
        let items: Vec<Item> = links.iter().map(|link| item(link)).collect();
        for place in intake.take(&items).await? {
            let clicks = links[place]["clicks"].as_u64().unwrap_or_default();
            if intake.is_dry {
                past.foreseen += clicks;
            } else if clicks > 0 && !args.no_clicks && past.refused.is_none() {
                take_clicks(&remote, links[place], &mut past, &intake).await?;
            }
        }
        past.send().await?;
        let next = links.last().and_then(|link| link["id"].as_str()).unwrap_or_default();
        if links.len() < PAGE_ITEMS_COUNT || next.is_empty() || next == after {
            return intake.finish((!args.no_clicks).then_some(&past), json, out);
        }
        after = next.to_owned();
    }
}

fn item(link: &Value) -> Item {
    let text = |name: &str| link[name].as_str().unwrap_or_default();
    let mut item = Item::new(text("shortLink").to_owned(), text("key"), text("url"));
    item.host = parts(text("shortLink")).1;
    if text("key") == "_root" {
        item.refuse("is the page of the domain itself");
    }
    item.set_title(text("title"));
    item.set_note(text("comments"));
    item.set("externalId", text("externalId"));
    let tags = link["tags"].as_array().into_iter().flatten();
    let tags = tags.filter_map(|tag| tag["name"].as_str()).collect::<Vec<_>>();
    item.set("tags", tags);
    item.set_instant("expiresAt", text("expiresAt"));
    item.set("expiredUrl", text("expiredUrl"));
    item.set("password", text("password"));
    item.set("archived", link["archived"] == true);
    item.is_disabled = !link["disabledAt"].is_null();
    for (field, what) in LEFT {
        let value = &link[*field];
        let says_nothing = value.is_null() || *value == false || value.as_str() == Some("");
        item.leave(what, !says_nothing);
    }
    item
}

async fn take_clicks(
    remote: &Remote,
    link: &Value,
    past: &mut Past,
    intake: &Intake<'_>,
) -> Result<(), CliError> {
    let text = |name: &str| link[name].as_str().unwrap_or_default();
    past.next_link();
    let mut page = 1_u64;
    loop {
        let number = page.to_string();
        let query = [
            ("event", "clicks"),
            ("linkId", text("id")),
            ("interval", "all"),
            ("limit", PAGE_ITEMS),
            ("page", &*number),
        ];
        let answer = match remote.ask(&["events"], &query).await? {
            Ok(answer) => answer,
            // The plan of the workspace has none.
            Err(refusal) if refusal.status == 403 => {
                past.refused = Some(CliError::from(refusal).to_string());
                return Ok(());
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let events = list(&answer, "")?;
        for event in &events {
            past.take(click(text("key"), event), &intake.bar).await?;
        }
        if events.len() < PAGE_ITEMS_COUNT {
            return Ok(());
        }
        page += 1;
    }
}

fn click(code: &str, event: &Value) -> PastClick {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let click = &event["click"];
    let referrer = text(&click["refererUrl"]);
    let at = time_of(&text(&event["timestamp"])).or_else(|| time_of(&text(&click["timestamp"])));
    PastClick {
        code: code.to_owned(),
        at,
        user_agent: agent(click),
        referrer: if referrer == "(direct)" { String::new() } else { referrer },
        address: text(&click["ip"]),
        country: text(&click["country"]),
        name: click["id"].as_str().map(str::to_owned),
    }
}

/// A user agent that says what Dub tells of it. Without one a click would be a bot's, and Dub records none of those.
/// The versions are 0.0: nobody knows them any more.
fn agent(click: &Value) -> String {
    let text = |name: &str| click[name].as_str().unwrap_or_default();
    let system = match text("os") {
        "Mac OS" | "macOS" => "Macintosh; Intel Mac OS X",
        "iOS" if text("device") == "Tablet" => "iPad; CPU OS like Mac OS X",
        "iOS" => "iPhone; CPU iPhone OS like Mac OS X",
        "Android" if text("device") == "Mobile" => "Linux; Android; Mobile",
        "Android" => "Linux; Android",
        "Linux" | "Ubuntu" => "X11; Linux",
        "Windows" => "Windows NT 10.0",
        _ => "unknown",
    };
    let browser = match text("browser") {
        "Mobile Safari" | "Safari" => "AppleWebKit/0.0 Version/0.0 Safari/0.0",
        "Firefox" => "Gecko/0.0 Firefox/0.0",
        "Edge" => "AppleWebKit/0.0 Chrome/0.0 Safari/0.0 Edg/0.0",
        "Chrome" | "Mobile Chrome" => "AppleWebKit/0.0 Chrome/0.0 Safari/0.0",
        // Every browser of people has an engine.
        _ => "AppleWebKit/0.0",
    };
    format!("Mozilla/5.0 ({system}) {browser}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_link_is_what_its_answer_says() {
        let link = json!({
            "id": "link_1", "key": "Spring", "shortLink": "https://d.test/Spring", "url": "https://e.com/",
            "title": "T", "comments": "C", "externalId": "x1", "tags": [{"id": "t", "name": "a", "color": "red"}],
            "expiresAt": "2099-01-01T00:00:00.000Z", "expiredUrl": "https://e.com/over", "password": "sesame",
            "archived": true, "disabledAt": null, "ios": "https://apps.test/", "geo": {"US": "https://u.test"},
            "proxy": false, "testVariants": null, "doIndex": false,
        });
        let item = item(&link);
        let expected = json!({
            "alias": "Spring", "url": "https://e.com/", "title": "T", "note": "C", "externalId": "x1",
            "tags": ["a"], "expiresAt": "2099-01-01T00:00:00Z", "expiredUrl": "https://e.com/over",
            "password": "sesame", "archived": true,
        });
        assert_eq!(Value::from(item.body), expected);
        assert_eq!(item.left, ["iOS targeting", "country targeting"]);
        assert!(!item.is_disabled);
    }

    #[test]
    fn a_click_is_known_by_its_id() {
        let event = json!({"timestamp": "2026-05-17T10:00:00.000Z", "click": {
            "id": "c1", "refererUrl": "(direct)", "country": "IN",
        }});
        let click = click("a", &event);
        assert_eq!(
            (click.name.as_deref(), &*click.referrer, &*click.country),
            (Some("c1"), "", "IN")
        );
    }
}
