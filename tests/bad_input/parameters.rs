//! Paths, query strings and methods.

use reqwest::Method;
use serde_json::json;

use super::check;
use crate::support::{NewLink, Server};

/// Query strings that are wrong, and the parameter that is named.
const PARAMETERS: &[(&str, &str)] = &[
    ("/api/v1/links?limit=0", "?limit"),
    ("/api/v1/links?limit=501", "?limit"),
    ("/api/v1/links?limit=-1", "?limit"),
    ("/api/v1/links?limit=1e2", "?limit"),
    ("/api/v1/links?limit=99999999999999999999", "?limit"),
    ("/api/v1/links?limit=1&limit=2", "?limit"),
    ("/api/v1/links?cursor=", "?cursor"),
    ("/api/v1/links?cursor=x", "?cursor"),
    ("/api/v1/links?cursor=AAAAAAAAAAAAAAAAAAAAAAAA", "?cursor"),
    ("/api/v1/links?cursor=%00%FF", "?cursor"),
    ("/api/v1/links?state=gone", "?state"),
    ("/api/v1/links?sort=id;drop table links", "?sort"),
    ("/api/v1/links?createdAfter=yesterday", "?createdAfter"),
    ("/api/v1/links?url=x", "?url"),
    ("/api/v1/links?tag=", "?tag"),
    ("/api/v1/links?offset=10", "?offset"),
    ("/api/v1/stats?from=yesterday", "?from"),
    ("/api/v1/stats?from=-262143-01-01&interval=week", "?from"),
    ("/api/v1/stats?to=%2B262142-12-31", "?to"),
    ("/api/v1/stats?to=0001-01-01T00:00:00Z", "?to"),
    ("/api/v1/stats?from=2026-02-30", "?from"),
    ("/api/v1/stats?to=1", "?to"),
    ("/api/v1/stats?from=2026-01-02&to=2026-01-01T00:00:00Z", "?to"),
    ("/api/v1/stats?tz=Mars/Base", "?tz"),
    ("/api/v1/stats?tz=", "?tz"),
    ("/api/v1/stats?tz=../../etc/passwd", "?tz"),
    ("/api/v1/stats?interval=second", "?interval"),
    ("/api/v1/stats?interval=hour&from=1970-01-01&to=2100-01-01", "?interval"),
    ("/api/v1/stats?bots=maybe", "?bots"),
    ("/api/v1/stats?planet=earth", "?planet"),
    ("/api/v1/stats?tag=", "?tag"),
    ("/api/v1/stats?tag=a%0Ab", "?tag"),
    ("/api/v1/stats?domain=", "?domain"),
    ("/api/v1/stats?domain=no%20host", "?domain"),
    ("/api/v1/stats?domain=go.example.com/", "?domain"),
    ("/api/v1/links/kept/stats?tag=x", "?tag"),
    ("/api/v1/tags?prefix=", "?prefix"),
    ("/api/v1/tags?prefix=%00", "?prefix"),
    ("/api/v1/tags?limit=501", "?limit"),
    ("/api/v1/tags?cursor=x", "?cursor"),
    ("/api/v1/tags?tag=x", "?tag"),
    ("/api/v1/links/kept/stats?tz=Mars/Base", "?tz"),
    ("/api/v1/links/kept/clicks?cursor=x", "?cursor"),
    ("/api/v1/links/kept/clicks?limit=1001", "?limit"),
    ("/api/analytics/kept?interval=x", "?interval"),
    ("/api/v1/top?by=name", "?by"),
    ("/api/v1/top?limit=0", "?limit"),
    ("/api/v1/top?limit=101", "?limit"),
    ("/api/v1/top?period=year", "?period"),
    ("/api/v1/top?period=day&from=2026-01-01&to=2026-01-02", "?period"),
    ("/api/v1/top?from=2026-01-01", "?to"),
    ("/api/v1/top?from=2026-01-02&to=2026-01-01", "?to"),
    ("/api/v1/top?from=2024-01-01&to=2026-01-01", "?to"),
    ("/api/v1/top?from=2026-02-30&to=2026-03-01", "?from"),
    ("/api/v1/top?to=-262143-01-01&from=1970-01-01", "?to"),
    ("/api/v1/top?halfLife=1h", "?halfLife"),
    ("/api/v1/top?by=trending&halfLife=0", "?halfLife"),
    ("/api/v1/top?by=trending&period=day", "?period"),
    ("/api/v1/top?tag=", "?tag"),
    ("/api/v1/top?tz=Asia/Kolkata", "?tz"),
    ("/api/v1/top?neighbours=1", "?neighbours"),
    ("/api/v1/links/kept/rank?neighbours=11", "?neighbours"),
    ("/api/v1/links/kept/split?converted=a", "?converted"),
    ("/api/v1/links/kept/split?converted=a:18446744073709551616", "?converted"),
    ("/api/v1/links/kept/split?baseline=a", "?baseline"),
    ("/api/v1/links/kept/split?bots=include", "?bots"),
    ("/api/v1/links/kept/split?tz=Mars/Base", "?tz"),
    ("/api/v1/links/kept/rank?neighbours=-1", "?neighbours"),
    ("/api/v1/links/kept/rank?limit=1", "?limit"),
    ("/api/v1/links/kept/rank?by=", "?by"),
    ("/api/v1/orphans?kind=lost", "?kind"),
    ("/api/v1/orphans?kind=expired,,spent", "?kind"),
    ("/api/v1/orphans?limit=501", "?limit"),
    ("/api/v1/orphans?cursor=x", "?cursor"),
    ("/api/v1/orphans?country=IN", "?country"),
    ("/api/v1/orphans/stats?kind=", "?kind"),
    ("/api/v1/orphans/stats?utm_source=mail", "?utm_source"),
    ("/api/v1/orphans/stats?interval=hour&from=1970-01-01&to=2100-01-01", "?interval"),
    ("/api/v1/events?topic=secrets", "?topic"),
    ("/api/v1/events?after=17", "?after"),
    ("/api/v1/events?limit=1001", "?limit"),
    ("/api/v1/events?link=", "?link"),
    ("/api/v1/events?link=a%20b", "?link"),
    ("/api/v1/events?link=a/b/c", "?link"),
    ("/api/v1/events?topic=accounts&link=kept", "?link"),
    ("/api/v1/events?types=", "?types"),
    ("/api/v1/events?types=hoplog.link.created,", "?types"),
    ("/api/v1/events?types=hoplog.link.craeted", "?types"),
    ("/api/v1/events?types=hoplog.link", "?types"),
    ("/api/v1/events?types=hoplog.link.created.v3", "?types"),
    ("/api/v1/events?types=hoplog.link.created.v0", "?types"),
    ("/api/v1/events?types=hoplog.link.created.v01", "?types"),
    ("/api/v1/events?topic=clicks&types=hoplog.link.created", "?types"),
    ("/api/v1/links/kept?nonsense=1", "?nonsense"),
    ("/api/v1/links/kept/history?nonsense=1", "?nonsense"),
    ("/api/v1/links/kept/history?limit=0", "?limit"),
    ("/api/v1/links/kept/history?cursor=x", "?cursor"),
    ("/api/v1/links/kept/history?cursor=-1", "?cursor"),
    ("/api/v1/keys?nonsense=1", "?nonsense"),
    ("/api/v1/keys?limit=501", "?limit"),
    ("/api/v1/keys?cursor=x", "?cursor"),
    ("/api/v1/projections?x=1", "?x"),
    ("/api/v1/projections/clicks?x=1", "?x"),
    ("/api/v1/projections/clicks/parked?limit=0", "?limit"),
];

/// Paths and methods that there are not.
const PATHS: &[(&str, &str, u16, &str)] = &[
    ("GET", "/api", 404, "link_not_found"),
    ("GET", "/api/", 404, "not_found"),
    ("GET", "/api/v1", 404, "not_found"),
    ("GET", "/api/v2/links", 404, "not_found"),
    ("GET", "/a/b", 404, "not_found"),
    ("GET", "/", 404, "not_found"),
    ("GET", "/nobody", 404, "link_not_found"),
    ("GET", "/%00", 404, "link_not_found"),
    ("GET", "/%ff%fe", 404, "link_not_found"),
    ("GET", "/..%2f..%2fetc%2fpasswd", 404, "link_not_found"),
    ("GET", "/kept%2b", 404, "link_not_found"),
    ("GET", "/<script>", 404, "link_not_found"),
    ("GET", "/nobody+", 404, "link_not_found"),
    ("GET", "/nobody.qr", 404, "link_not_found"),
    ("GET", "/KEPT", 404, "link_not_found"),
    ("POST", "/kept", 405, "method_not_allowed"),
    ("DELETE", "/kept", 405, "method_not_allowed"),
    ("PUT", "/api/v1/links/kept", 405, "method_not_allowed"),
    ("DELETE", "/api/v1/links", 405, "method_not_allowed"),
    ("TRACE", "/api/v1/links", 405, "method_not_allowed"),
    ("BREW", "/api/v1/links", 405, "method_not_allowed"),
    ("GET", "/api/v1/links/nobody", 404, "link_not_found"),
    ("GET", "/api/v1/links/a%20b", 404, "link_not_found"),
    ("GET", "/api/v1/links/%ff", 404, "not_found"),
    ("GET", "/api/v1/links/nobody/stats", 404, "link_not_found"),
    ("GET", "/api/v1/links/nobody/history", 404, "link_not_found"),
    ("GET", "/api/v1/links/nobody/rank", 404, "link_not_found"),
    ("POST", "/api/v1/top", 405, "method_not_allowed"),
    ("DELETE", "/api/v1/links/nobody", 404, "link_not_found"),
    ("GET", "/api/v1/projections/nothing", 404, "projection_not_found"),
    ("POST", "/api/v1/projections/nothing/rebuild", 404, "projection_not_found"),
    ("POST", "/api/v1/projections/nothing/rollback", 404, "projection_not_found"),
    ("POST", "/api/v1/projections/clicks/rollback", 409, "no_tables_before"),
    ("GET", "/api/v1/projections/nothing/parked", 404, "projection_not_found"),
    ("POST", "/api/v1/projections/nothing/retry", 404, "projection_not_found"),
    ("POST", "/api/v1/projections/clicks/retry?sequence=x", 404, "not_parked"),
    ("POST", "/api/v1/projections/clicks/skip?sequence=x", 404, "not_parked"),
    ("DELETE", "/api/v1/keys/nobody", 404, "key_not_found"),
    ("DELETE", "/api/v1/keys/7d444840-9dc0-51d1-b245-5ffdce74fad2", 404, "key_not_found"),
];

#[tokio::test]
async fn parameters_that_are_wrong_are_named() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to("https://example.com/").with("alias", "kept")).await;
    for (path, pointer) in PARAMETERS {
        check(path, &client.get(path).await, 400, "invalid_parameter", &[pointer]);
    }
    let long = format!("/api/v1/links?q={}", "x".repeat(201));
    check("a long search", &client.get(&long).await, 400, "invalid_parameter", &["?q"]);
    let values = vec!["DE"; 51].join(",");
    let many = format!("/api/v1/stats?country={values}");
    check("a long filter", &client.get(&many).await, 400, "invalid_parameter", &["?country"]);
}

#[tokio::test]
async fn paths_and_methods_that_there_are_not_are_told_apart() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to("https://example.com/").with("alias", "kept")).await;
    let heads = client.heads().await;
    for (method, path, status, code) in PATHS {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = client.send(client.authorized(method.clone(), path)).await;
        check(&format!("{method} {path}"), &answer, *status, code, &[]);
    }
    assert_eq!(client.heads().await, heads, "nothing is stored");
}

/// Positions of another log, of another topic and of the future.
#[tokio::test]
async fn positions_that_are_not_of_this_log_are_refused() {
    let (server, other) = (Server::start(), Server::start());
    let link = NewLink::to("https://example.com/").with("alias", "kept").0;
    server.client.post("/api/v1/links", &link).await.expect(201);
    let foreign = other.client.post("/api/v1/links", &link).await.expect(201).position();
    let request = server.client.authorized(Method::GET, "/api/v1/links/kept");
    let answer = server.client.send(request.header("hoplog-position", &foreign)).await;
    check("another log's", &answer, 409, "another_log", &[]);
    let after = format!("/api/v1/events?after={foreign}");
    check("another log's", &server.client.get(&after).await, 409, "another_log", &[]);
    let own = server.client.heads().await.remove(0);
    let after = format!("/api/v1/events?topic=clicks&after={own}");
    check("another topic's", &server.client.get(&after).await, 400, "invalid_position", &[]);
}

/// Items of a bulk request fail alone, each with its own place.
#[tokio::test]
async fn items_of_a_bulk_fail_for_themselves() {
    let server = Server::start();
    let own = format!("{}/other", server.url);
    let body = json!({ "links": [
        { "url": "https://example.com/1" },
        { "url": "javascript:alert(1)" },
        { "url": "https://example.com/2", "alias": "api" },
        "x",
        { "url": "https://example.com/3", "idempotencyKey": "" },
        { "url": "https://example.com/4", "alias": "four" },
        { "url": "https://example.com/5", "alias": "four" },
        { "url": own },
        { "url": "https://example.com/6", "expiresAt": "2020-01-01T00:00:00Z" },
    ]});
    let answer = server.client.post("/api/v1/links/bulk", &body).await.expect(200).json();
    let results = answer["results"].as_array().unwrap();
    let statuses: Vec<u64> = results.iter().map(|r| r["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses[..5], [201, 422, 422, 422, 422], "{answer}");
    let mut fours = [statuses[5], statuses[6]];
    fours.sort_unstable();
    assert_eq!(fours, [201, 409], "one of two gets the alias: {answer}");
    assert_eq!(statuses[7..], [422, 422], "{answer}");
    for (place, pointer) in [
        (1, "/links/1/url"),
        (2, "/links/2/alias"),
        (3, "/links/3"),
        (4, "/links/4/idempotencyKey"),
        (7, "/links/7/url"),
        (8, "/links/8/expiresAt"),
    ] {
        assert_eq!(results[place]["problem"]["errors"][0]["pointer"], pointer, "{answer}");
    }
    server.client.caught_up("link_directory").await;
    let list = server.client.get("/api/v1/links").await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 2, "{list}");
}
