//! The promise: answers have the fields that the surface names, no others and none missing, whether
//! they have a value or not.

mod webhooks;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, NewLink, Server, Settings};

/// A link, as the surface lists it, and two more: whose it is, and what its owner should know.
const LINK: &[&str] = &[
    "archived",
    "clicks",
    "clicksLeft",
    "code",
    "createdAt",
    "domain",
    "expiredUrl",
    "expiresAt",
    "externalId",
    "fetchedTitle",
    "forwardPath",
    "forwardQuery",
    "hasPassword",
    "id",
    "maxClicks",
    "note",
    "owner",
    "preview",
    "quarantine",
    "redirect",
    "reports",
    "rules",
    "shortUrl",
    "split",
    "state",
    "tags",
    "title",
    "url",
    "utm",
    "validFrom",
    "version",
    "warnings",
];

const QUARANTINE: &[&str] = &["appeal", "by", "entry", "reason", "since"];

const STATISTICS: &[&str] = &[
    "browsers",
    "cities",
    "classes",
    "countries",
    "devices",
    "from",
    "interval",
    "languages",
    "referrerUrls",
    "referrers",
    "regions",
    "rules",
    "series",
    "systems",
    "to",
    "totalClicks",
    "uniqueVisitors",
    "utm",
    "variants",
];

const TOP: &[&str] = &["by", "data", "from", "halfLife", "to"];

const RANK: &[&str] =
    &["above", "below", "by", "clicks", "from", "halfLife", "rank", "score", "to"];

const RANKED: &[&str] = &["clicks", "link", "rank", "score", "unreadable"];

const ERASURE: &[&str] = &["clicks", "events", "nextScrubAt"];

const CLICK: &[&str] = &[
    "address",
    "at",
    "browser",
    "city",
    "class",
    "code",
    "country",
    "device",
    "id",
    "language",
    "recordedAt",
    "referrer",
    "referrerUrl",
    "region",
    "rule",
    "system",
    "userAgent",
    "utm",
    "variant",
    "visitor",
];

const ORPHAN: &[&str] = &[
    "at", "browser", "city", "class", "country", "device", "domain", "id", "kind", "language",
    "path", "referrer", "region", "system",
];

const ORPHAN_STATISTICS: &[&str] = &[
    "browsers",
    "cities",
    "classes",
    "countries",
    "devices",
    "from",
    "interval",
    "kinds",
    "languages",
    "paths",
    "referrers",
    "regions",
    "series",
    "systems",
    "to",
    "totalClicks",
    "totalUnrecorded",
    "uniqueVisitors",
    "unrecorded",
];

const PROJECTION: &[&str] = &[
    "build",
    "lagEvents",
    "lagSeconds",
    "lastError",
    "name",
    "parked",
    "partitions",
    "position",
    "rate",
    "state",
    "trimmedEvents",
    "version",
];

const CHECK: &[&str] = &[
    "allowed",
    "degraded",
    "limit",
    "policy",
    "remaining",
    "resetSeconds",
    "retryAfterSeconds",
    "shadowed",
    "windowSeconds",
];

const POLICY: &[&str] = &["by", "cost", "name", "outage", "refund", "routes", "shadow", "tiers"];

const UTM: &[&str] = &["campaign", "content", "medium", "source", "term"];

const SLICE: &[&str] = &["clicks", "value", "visitors"];

/// The names of an object's fields, in order.
#[track_caller]
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    let object = object.as_object().unwrap_or_else(|| panic!("no object: {object}"));
    object.keys().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The contract lists the same fields for a schema, all of them required but for these.
pub(crate) fn check_contract(contract: &Value, schema: &str, expected: &[&str]) {
    let schema = &contract["components"]["schemas"][schema];
    assert_eq!(keys(&schema["properties"]), expected, "{schema}");
}

/// A link with nothing but a destination, and one with all there is.
fn wanted() -> [Value; 2] {
    let full = json!({
        "url": "https://bücher.example/?utm_source=s", "alias": "full", "domain": "default",
        "expiresIn": "1d", "redirect": 301, "title": "t", "tags": ["x"], "note": "n",
        "externalId": "e", "reuse": false, "validFrom": "2020-01-01T00:00:00Z",
        "expiredUrl": "https://example.com/over", "archived": true, "forwardQuery": "append",
        "forwardPath": true, "password": "sesame", "maxClicks": 3, "utm": { "source": "s" },
        "rules": [{ "when": { "visitor": "bot" }, "url": "https://example.com/" }],
        "split": [{ "name": "a", "weight": 1 }, { "name": "b", "weight": 1, "url": "https://example.com/" }],
        "preview": { "title": "t", "description": "d", "image": "https://example.com/i.png" },
    });
    [json!({ "url": "https://example.com/" }), full]
}

async fn list(client: &Client, path: &str) -> Vec<Value> {
    let page = client.get(path).await.expect(200).json();
    page["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_link_has_the_same_fields_wherever_it_is_answered() {
    let server = Server::start();
    let client = &server.client;
    for wanted in wanted() {
        let link = client.post("/api/v1/links", &wanted).await.expect(201).json();
        assert_eq!(keys(&link), LINK);
        assert_eq!(keys(&link["clicks"]), ["bots", "humans", "total"]);
        assert_eq!(keys(&link["utm"]), UTM);
        let path = format!("/api/v1/links/{}", link["code"].as_str().unwrap());
        assert_eq!(keys(&client.get(&path).await.expect(200).json()), LINK);
        let disabled = client.post(&format!("{path}/disable"), &json!({})).await.expect(200);
        assert_eq!(keys(&disabled.json()), LINK);
        let patched = client.patch(&path, &json!({ "title": "other" })).await.expect(200);
        assert_eq!(keys(&patched.json()), LINK);
        let reason = json!({ "reason": "asks for passwords" });
        let taken = client.post(&format!("{path}/quarantine"), &reason).await.expect(200).json();
        assert_eq!(keys(&taken), LINK);
        assert_eq!(keys(&taken["quarantine"]), QUARANTINE);
        let appeal = json!({ "text": "It is ours." });
        let appealed = client.post(&format!("{path}/appeal"), &appeal).await.expect(200).json();
        assert_eq!(keys(&appealed["quarantine"]), QUARANTINE);
        let released = client.post(&format!("{path}/release"), &json!({})).await.expect(200);
        assert_eq!(keys(&released.json()), LINK);
    }
    client.caught_up("link_directory").await;
    let listed = list(client, "/api/v1/links?archived=include").await;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|link| keys(link) == LINK), "{listed:?}");
    let page = client.get("/api/v1/links").await.json();
    assert_eq!(keys(&page), ["data", "nextCursor"]);
    let odd = json!({ "links": [{ "url": "https://example.com/" }, {}] });
    let bulk = client.post("/api/v1/links/bulk", &odd).await.expect(200).json();
    assert_eq!(keys(&bulk), ["results"]);
    assert_eq!(keys(&bulk["results"][0]), ["link", "replayed", "status"]);
    assert_eq!(keys(&bulk["results"][0]["link"]), LINK);
    assert_eq!(keys(&bulk["results"][1]), ["problem", "replayed", "status"]);
    check_contract(&client.visit("/openapi.json").await.json(), "LinkAnswer", LINK);
    check_contract(&client.visit("/openapi.json").await.json(), "QuarantineAnswer", QUARANTINE);
}

#[tokio::test]
async fn numbers_and_clicks_have_all_their_fields_with_and_without_clicks() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    assert_eq!(keys(&client.stats("a", "").await), STATISTICS);
    let visit = client.request(Method::GET, "/a?utm_source=s&utm_medium=m");
    client
        .send(visit.header("referer", "https://e.example/").header("accept-language", "en"))
        .await;
    client.visit("/a").await.expect(302);
    for stats in [
        client.stats("a", "").await,
        client.stats("a", "browser=Firefox").await,
        client.get("/api/v1/stats").await.expect(200).json(),
    ] {
        assert_eq!(keys(&stats), STATISTICS);
        assert_eq!(keys(&stats["utm"]), UTM);
        assert_eq!(keys(&stats["series"][0]), ["clicks", "start", "visitors"]);
        for breakdown in ["classes", "countries", "devices", "browsers", "referrers", "languages"] {
            assert_eq!(keys(&stats[breakdown][0]), SLICE, "{breakdown}");
        }
        assert_eq!(keys(&stats["utm"]["source"][0]), SLICE);
    }
    let clicks = list(client, "/api/v1/links/a/clicks").await;
    assert_eq!(clicks.len(), 2);
    for click in &clicks {
        assert_eq!((keys(click), keys(&click["utm"])), (CLICK.to_vec(), UTM.to_vec()));
        let unknown = click.as_object().unwrap().iter().filter(|(_, value)| value.is_null());
        assert_eq!(unknown.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["address"]);
    }
    let contract = client.visit("/openapi.json").await.json();
    check_contract(&contract, "StatisticsAnswer", STATISTICS);
    check_contract(&contract, "ClickAnswer", CLICK);
}

#[tokio::test]
async fn orphan_visits_have_all_their_fields_with_and_without_visits() {
    let server = Server::start();
    let client = &server.client;
    assert_eq!(keys(&client.orphans(0).await), ORPHAN_STATISTICS);
    client.visit("/nobody").await.expect(404);
    client.visit("/").await.expect(404);
    let stats = client.orphans(2).await;
    assert_eq!(keys(&stats), ORPHAN_STATISTICS);
    for breakdown in ["kinds", "paths", "classes", "countries", "devices", "browsers", "languages"]
    {
        assert_eq!(keys(&stats[breakdown][0]), SLICE, "{breakdown}");
    }
    let visits = list(client, "/api/v1/orphans").await;
    assert_eq!(visits.len(), 2);
    assert!(visits.iter().all(|visit| keys(visit) == ORPHAN), "{visits:?}");
    let contract = client.visit("/openapi.json").await.json();
    check_contract(&contract, "OrphanAnswer", ORPHAN);
    check_contract(&contract, "OrphanStatisticsAnswer", ORPHAN_STATISTICS);
    check_contract(&contract, "KindAnswer", &["kind", "visits"]);
}

#[tokio::test]
async fn rankings_have_all_their_fields_with_and_without_clicks() {
    let server = Server::start();
    let client = &server.client;
    for alias in ["a", "b", "c"] {
        client.create(NewLink::to("https://example.com/").with("alias", alias)).await;
    }
    for code in ["a", "b", "b"] {
        client.visit(&format!("/{code}")).await.expect(302);
    }
    client.caught_up("top_links").await;
    for query in ["by=clicks", "period=week", "by=trending"] {
        let top = client.get(&format!("/api/v1/top?{query}")).await.expect(200).json();
        assert_eq!(keys(&top), TOP);
        let rank = client.get(&format!("/api/v1/links/a/rank?{query}")).await.expect(200).json();
        assert_eq!(keys(&rank), RANK);
        for ranked in [&top["data"][0], &top["data"][1], &rank["above"][0]] {
            assert_eq!(keys(ranked), RANKED);
            assert_eq!(keys(&ranked["link"]), LINK);
        }
        let none = client.get(&format!("/api/v1/links/c/rank?{query}")).await.expect(200).json();
        assert_eq!(keys(&none), RANK);
    }
    let contract = client.visit("/openapi.json").await.json();
    check_contract(&contract, "RankedLinkAnswer", RANKED);
}

#[tokio::test]
async fn erasures_say_what_they_did() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    for erased in ["links/a", "links/a", "visitors/00000000000000a1", "visitors/192.0.2.1"] {
        let answer = client.delete(&format!("/api/v1/{erased}/personal-data")).await.expect(200);
        assert_eq!(keys(&answer.json()), ERASURE, "{erased}");
        answer.position();
    }
    let contract = client.visit("/openapi.json").await.json();
    check_contract(&contract, "ErasureAnswer", ERASURE);
}

#[tokio::test]
async fn operations_and_short_forms_have_their_fields() {
    let server = Server::start();
    let client = &server.client;
    let short = json!({ "longURL": "https://example.com/", "customAlias": "a" });
    let short = client.post("/api/shorten", &short).await.expect(201).json();
    assert_eq!(keys(&short), ["expiresAt", "longURL", "shortCode", "shortURL"]);
    let analytics = client.get("/api/analytics/a").await.expect(200).json();
    let fields = ["clicksByCountry", "clicksByDay", "clicksByDevice", "totalClicks"];
    assert_eq!(keys(&analytics), fields);
    let projections = list(client, "/api/v1/projections").await;
    assert_eq!(projections.len(), 5);
    assert!(projections.iter().all(|it| keys(it) == PROJECTION), "{projections:?}");
    let verified = client.post("/api/v1/projections/clicks/verify", &json!({})).await.expect(200);
    assert_eq!(keys(&verified.json()), ["identical", "position", "tables", "trimmedEvents"]);
    let problem = client.get("/api/v1/links/nothere").await.expect(404).json();
    assert_eq!(keys(&problem), ["code", "detail", "status", "title", "type"]);
    let problem = client.post("/api/v1/links", &json!({})).await.expect(422).json();
    assert_eq!(keys(&problem), ["code", "detail", "errors", "status", "title", "type"]);
    assert_eq!(keys(&problem["errors"][0]), ["code", "detail", "pointer"]);
    let contract = client.visit("/openapi.json").await.json();
    check_contract(&contract, "ProjectionAnswer", PROJECTION);
}

#[tokio::test]
async fn tags_and_renames_have_their_fields() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to("https://example.com/").with("tags", json!(["x"]))).await;
    client.caught_up("link_directory").await;
    let page = client.get("/api/v1/tags").await.expect(200).json();
    assert_eq!(keys(&page), ["data", "nextCursor"]);
    assert_eq!(keys(&page["data"][0]), ["links", "tag"]);
    let fields = ["changed", "from", "left", "merged", "to"];
    for _ in 0..2 {
        let renamed = client.post("/api/v1/tags/x/rename", &json!({ "to": "y" })).await;
        assert_eq!(keys(&renamed.expect(200).json()), fields);
    }
    let contract = client.visit("/openapi.json").await.json();
    check_contract(&contract, "RenameAnswer", &fields);
}

#[tokio::test]
async fn limits_say_how_things_stand() {
    let policies = "[[policies]]\nname = 'a'\nmatch = { routes = ['service'] }\nby = 'subject'\n\
                    tiers = [{ limit = 1, per = '1d' }]\n";
    let server = Settings::new().limited_by(policies).start();
    let client = &server.client;
    let ask = json!({ "policy": "a", "subject": "s" });
    for _ in 0..2 {
        let answer = client.post("/api/v1/ratelimit/check", &ask).await.expect(200).json();
        assert_eq!(keys(&answer), CHECK);
    }
    let policies = list(client, "/api/v1/ratelimit/policies").await;
    assert_eq!(policies.len(), 14);
    assert!(policies.iter().all(|policy| keys(policy) == POLICY), "{policies:?}");
    let tier = ["algorithm", "burst", "limit", "windowSeconds"];
    assert_eq!(keys(&policies[0]["tiers"][0]), tier);
    let contract = client.visit("/openapi.json").await.json();
    check_contract(&contract, "CheckAnswer", CHECK);
    check_contract(&contract, "PolicyAnswer", POLICY);
}
