//! The promise: chats and networks show what a link's owner wants shown, everybody else is led on, and what is for few is told
//! to nobody in passing. `/{code}+` says where a link leads and what is known of how safe that is, and no more.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, NewLink, Server, pointers};

mod owners;
mod safety;

const URL: &str = "https://example.com/destination";

const PERSON: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";

const SLACK: &str = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)";

/// Who shows what is behind a link that was posted.
const AGENTS: &[&str] = &[
    SLACK,
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Twitterbot/1.0",
    "WhatsApp/2.23.20.0 A",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
];

/// Who does not: people, search engines, scripts.
const OTHERS: &[&str] = &[
    PERSON,
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "curl/8.5.0",
    "",
];

fn own() -> Value {
    json!({ "title": "Our <own> title", "description": "Our \"own\" words",
        "image": "https://example.com/card.png?a=1&b=2" })
}

async fn ask(client: &Client, method: Method, path: &str, agent: &str) -> Answer {
    client.send(client.request(method, path).header("user-agent", agent)).await
}

/// What such an agent is shown.
async fn shown(client: &Client, path: &str) -> Answer {
    let shown = ask(client, Method::GET, path, SLACK).await.expect(200);
    assert_eq!(shown.header("content-type"), "text/html; charset=utf-8");
    assert_eq!((shown.header("cache-control"), shown.header("location")), ("no-store", ""));
    assert!(shown.body.contains("<meta property=\"og:title\" content=\"Our &lt;own&gt; title\">"));
    shown
}

#[tokio::test]
async fn chats_and_networks_show_the_owner_s_words_and_everybody_else_is_led_on() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a").with("preview", own())).await;
    client.create(NewLink::to(URL).with("alias", "plain")).await;
    for agent in AGENTS {
        let shown = ask(client, Method::GET, "/a", agent).await.expect(200);
        for part in [
            "<meta property=\"og:title\" content=\"Our &lt;own&gt; title\">",
            "<meta property=\"og:description\" content=\"Our &quot;own&quot; words\">",
            "<meta property=\"og:image\" content=\"https://example.com/card.png?a=1&amp;b=2\">",
            "<meta name=\"twitter:card\" content=\"summary_large_image\">",
            "<meta name=\"robots\" content=\"noindex\">",
            &format!("<meta property=\"og:url\" content=\"{}/a\">", server.url),
            &format!("href=\"{URL}\""),
        ] {
            assert!(shown.body.contains(part), "{agent} is not shown {part}: {}", shown.body);
        }
        assert_eq!(shown.header("cache-control"), "no-store", "{agent}");
        assert!(!shown.body.contains("<own>") && !shown.body.contains("http-equiv"), "{agent}");
        let led = ask(client, Method::GET, "/plain", agent).await.expect(302);
        assert_eq!(led.header("location"), URL, "{agent} sees what the destination says");
    }
    for agent in OTHERS {
        let led = ask(client, Method::GET, "/a", agent).await.expect(302);
        assert_eq!(led.header("location"), URL, "{agent}");
    }
    let head = ask(client, Method::HEAD, "/a", SLACK).await.expect(200);
    assert_eq!((head.header("content-type"), &*head.body), ("text/html; charset=utf-8", ""));
}

/// Trap 17: what is shown is a visit of the kind that it was, also where nobody is led on.
#[tokio::test]
async fn trap_17_what_is_shown_is_a_visit_and_no_person_s() {
    let server = Server::start();
    let client = &server.client;
    let rules = json!([{ "name": "bots", "when": { "visitor": "bot" }, "url": "https://example.com/bots" }]);
    client
        .create(NewLink::to(URL).with("alias", "a").with("preview", own()).with("rules", rules))
        .await;
    let page = shown(client, "/a?utm_source=chat").await;
    assert!(page.body.contains("href=\"https://example.com/bots\""), "where a redirect would lead");
    ask(client, Method::HEAD, "/a", SLACK).await.expect(200);
    ask(client, Method::GET, "/a", PERSON).await.expect(302);
    let stats = client.stats("a", "bots=include").await;
    assert_eq!(stats["totalClicks"], 3);
    assert_eq!(client.stats("a", "bots=exclude").await["totalClicks"], 1);
    let mut classes: Vec<_> =
        stats["classes"].as_array().unwrap().iter().map(|c| c["value"].as_str().unwrap()).collect();
    classes.sort_unstable();
    assert_eq!(classes, ["head", "human", "preview"]);
    assert_eq!(client.stats("a", "bots=include&rule=bots").await["totalClicks"], 2);
}

/// The owner's words are shown, and where the link leads is not.
#[tokio::test]
async fn what_is_for_few_is_shown_without_where_it_leads_and_costs_no_click() {
    let server = Server::start();
    let client = &server.client;
    let link = |alias| NewLink::to(URL).with("alias", alias).with("preview", own());
    client.create(link("secret").with("password", "sesame")).await;
    client.create(link("once").with("maxClicks", 1)).await;
    for path in ["/secret", "/once"] {
        assert!(!shown(client, path).await.body.contains("destination"), "{path}");
        let head = ask(client, Method::HEAD, path, SLACK).await.expect(200);
        assert_eq!(head.header("location"), "");
    }
    assert_eq!(client.get("/api/v1/links/once").await.json()["clicksLeft"], 1);
    ask(client, Method::GET, "/once", PERSON).await.expect(302);
    for code in ["secret", "once"] {
        let clicks = client.stats(code, "bots=only").await["totalClicks"].clone();
        assert_eq!(clicks, 0, "{code}: as before, no click was made");
    }
    // A person whose program calls itself like one of those gets on all the same.
    let page = shown(client, "/secret").await;
    assert!(page.body.contains("<form method=\"post\">"), "{}", page.body);
    assert!(page.header("content-security-policy").contains("form-action 'self'"));
    let form = client.request(Method::POST, "/secret").header("user-agent", SLACK);
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let led = client.send(form.body("password=sesame")).await.expect(303);
    assert_eq!(led.header("location"), URL);
}

#[tokio::test]
async fn of_a_link_that_leads_nowhere_nothing_is_shown() {
    let server = Server::start();
    let client = &server.client;
    let link = |alias| NewLink::to(URL).with("alias", alias).with("preview", own());
    client.create(link("soon").with("validFrom", "2099-01-01T00:00:00Z")).await;
    for alias in ["bad", "off", "gone", "spent"] {
        client.create(link(alias)).await;
    }
    client.patch("/api/v1/links/spent", &json!({ "maxClicks": 1 })).await.expect(200);
    ask(client, Method::GET, "/spent", PERSON).await.expect(302);
    let reason = json!({ "reason": "asks for passwords" });
    client.post("/api/v1/links/bad/quarantine", &reason).await.expect(200);
    client.post("/api/v1/links/off/disable", &json!({})).await.expect(200);
    client.delete("/api/v1/links/gone").await.expect(204);
    for (path, status) in
        [("/soon", 404), ("/bad", 451), ("/off", 404), ("/gone", 410), ("/spent", 410)]
    {
        let told = ask(client, Method::GET, path, SLACK).await.expect(status);
        assert!(!told.body.contains("Our"), "{path}: {}", told.body);
    }
}

/// What is forwarded goes on to where the page leads as well.
#[tokio::test]
async fn the_way_on_is_where_a_redirect_would_lead() {
    let server = Server::start();
    let client = &server.client;
    let link = NewLink::to(URL).with("alias", "a").with("preview", own()).with("forwardPath", true);
    client.create(link.with("forwardQuery", "append")).await;
    let page = shown(client, "/a/more?x=1&y=%22").await;
    assert!(page.body.contains(&format!("href=\"{URL}/more?x=1&amp;y=%22\"")), "{}", page.body);
}

/// One address has two answers, and a card names the address that it is of.
#[tokio::test]
async fn no_cache_gives_one_answer_to_others_and_a_card_is_of_the_address_that_was_asked_for() {
    let server = Server::start();
    let client = &server.client;
    let link = NewLink::to(URL).with("alias", "a").with("preview", own()).with("redirect", 301);
    client.create(link.with("forwardPath", true).with("forwardQuery", "append")).await;
    let led = ask(client, Method::GET, "/a/more?x=1&y=2", PERSON).await.expect(301);
    assert_eq!(led.header("cache-control"), "private, no-store");
    let page = shown(client, "/a/more?x=1&y=2").await;
    let url = format!("<meta property=\"og:url\" content=\"{}/a/more?x=1&amp;y=2\">", server.url);
    assert!(page.body.contains(&url), "{}", page.body);
    client.create(NewLink::to(URL).with("alias", "b").with("preview", own())).await;
    let page = shown(client, "/b?x=1").await;
    let url = format!("<meta property=\"og:url\" content=\"{}/b\">", server.url);
    assert!(page.body.contains(&url), "{}", page.body);
}
