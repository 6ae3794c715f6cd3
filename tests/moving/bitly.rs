//! A group of Bitly, as its API is documented.

use serde_json::{Value, json};

use super::source::{Source, json as answer, refused};
use super::{TOKEN, counts, imported};
use crate::support::Server;

fn bitlink(n: usize) -> Value {
    json!({
        "id": format!("bit.ly/3x{n}"), "link": format!("https://bit.ly/3x{n}"),
        "long_url": format!("https://example.com/{n}"), "title": format!("Title {n}"), "archived": n == 1,
        "created_at": "2024-01-01T00:00:00+0000", "tags": ["spring"], "references": {},
        "custom_bitlinks": if n == 0 { json!(["https://bit.ly/Spring"]) } else { json!([]) },
        "deeplinks": if n == 2 { json!([{"os": "ios", "app_uri_path": "/x"}]) } else { json!([]) },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_and_their_custom_back_halves_come_in() {
    let source = Source::start(|asked, _| {
        if asked.token != format!("Bearer {TOKEN}") {
            return refused(403, &json!({"message": "FORBIDDEN", "description": "not yours"}));
        }
        assert_eq!(asked.path, "/v4/groups/Ba1bc23dE4F/bitlinks");
        assert_eq!(asked.parameter("archived"), "both");
        let (from, next) = match asked.parameter("search_after") {
            "" => (0, "page two"),
            "page two" => (3, ""),
            other => panic!("{other}"),
        };
        let links: Vec<Value> = (from..from + 3).map(bitlink).collect();
        // What an answer names is not asked: the next page is at the address that was given.
        let next_url = "http://192.0.2.1/elsewhere";
        answer(&json!({"links": links, "pagination": {"next": next_url, "search_after": next, "size": 3}}))
    })
    .await;
    let server = Server::start();
    let arguments = ["bitly", "--group", "Ba1bc23dE4F", "--from", &source.url];
    let summary = imported(&server, &arguments);
    assert_eq!(counts(&summary), [7, 7, 0], "{summary}");
    assert_eq!(summary["left"], json!({"deep links": 1}));
    let client = &server.client;
    client.visit("/Spring").await.expect(302);
    client.visit("/spring").await.expect(404);
    let link = client.get("/api/v1/links/3x1").await.json();
    assert_eq!((&link["archived"], &link["title"]), (&true.into(), &"Title 1".into()));
    let heads = client.heads().await;
    assert_eq!(counts(&imported(&server, &arguments)), [7, 0, 7]);
    assert_eq!(client.heads().await, heads, "a second run changes nothing");
    assert_eq!(source.asked().len(), 4);
}
