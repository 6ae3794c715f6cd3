//! `/{code}+`: what is known of how safe a destination is.

use super::*;
use crate::support::Settings;

async fn page(client: &Client, path: &str) -> String {
    client.send(client.get_with(path, &[("accept", "text/html")])).await.expect(200).body
}

#[tokio::test]
async fn a_preview_says_how_a_destination_is_named_and_reached() {
    let server = Server::start();
    let client = &server.client;
    for (alias, url, safety) in [
        (
            "plain",
            "http://example.com/",
            json!({ "encrypted": false, "host": "example.com",
            "unicodeHost": null, "imitates": false, "blocked": null }),
        ),
        (
            "honest",
            "https://пример.рф/",
            json!({ "encrypted": true,
            "host": "xn--e1afmkfd.xn--p1ai", "unicodeHost": "пример.рф", "imitates": false,
            "blocked": null }),
        ),
        (
            "alike",
            "https://аpple.com/",
            json!({ "encrypted": true,
            "host": "xn--pple-43d.com", "unicodeHost": "аpple.com", "imitates": true,
            "blocked": null }),
        ),
    ] {
        client.create(NewLink::to(url).with("alias", alias)).await;
        let told = client.visit(&format!("/{alias}+")).await.expect(200).json();
        assert_eq!((&told["safety"], &told["title"]), (&safety, &Value::Null), "{alias}");
        let page = page(client, &format!("/{alias}+")).await;
        assert!(!page.contains("block list"), "nobody claims lists that there are not: {page}");
        assert_eq!(page.contains("not encrypted"), alias == "plain", "{page}");
        assert_eq!(page.contains("looks like another name"), alias == "alike", "{page}");
        if alias != "plain" {
            let unicode = safety["unicodeHost"].as_str().unwrap();
            assert!(page.contains(&format!("may be shown as <bdi>{unicode}</bdi>")), "{page}");
        }
    }
    client.create(NewLink::to(URL).with("alias", "secret").with("password", "sesame")).await;
    client.create(NewLink::to(URL).with("alias", "once").with("maxClicks", 1)).await;
    for path in ["/secret+", "/once+"] {
        let told = client.visit(path).await.expect(200).json();
        assert_eq!((&told["url"], &told["safety"]), (&Value::Null, &Value::Null), "{path}");
        assert!(!page(client, path).await.contains("example.com"), "{path}");
    }
}

/// An operator who releases a link has looked at it; the entry of the list is told all the same.
#[tokio::test]
async fn a_preview_says_whether_the_service_s_lists_have_a_destination() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("blocklist");
    std::fs::write(&list, "other.example\n").unwrap();
    let settings = Settings::new().with("HOPLOG_BLOCKLIST", list.to_str().unwrap());
    let server = settings.start();
    let client = &server.client;
    client.create(NewLink::to("https://listed.example/").with("alias", "a")).await;
    let told = client.visit("/a+").await.expect(200).json();
    assert_eq!(told["safety"]["blocked"], false);
    let says = page(client, "/a+").await;
    assert!(says.contains("on none of the block lists of this service"), "{says}");
    std::fs::write(&list, "listed.example\n").unwrap();
    server.hang_up();
    client.visit_becomes("/a", 451).await;
    client.visit("/a+").await.expect(451);
    client.post("/api/v1/links/a/release", &json!({})).await.expect(200);
    let told = client.visit("/a+").await.expect(200).json();
    assert_eq!(told["safety"]["blocked"], true);
    assert!(page(client, "/a+").await.contains("on a block list of this service"));
}
