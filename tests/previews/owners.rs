//! What is shown, in every way that owners have to set it.

use super::*;

const LINK: &str = "/api/v1/links/a";

#[tokio::test]
async fn what_is_shown_is_set_changed_and_removed_and_each_is_in_the_history() {
    let server = Server::start();
    let client = &server.client;
    let link = client.create(NewLink::to(URL).with("alias", "a")).await;
    assert_eq!((&link["preview"], &link["fetchedTitle"]), (&Value::Null, &Value::Null));
    let set = async |preview: Value| {
        client.patch(LINK, &json!({ "preview": preview })).await.expect(200).json()["preview"]
            .clone()
    };
    let (one, two) = (json!({ "title": "one" }), json!({ "title": "one", "description": "two" }));
    assert_eq!(set(one.clone()).await, one);
    let heads = client.heads().await;
    assert_eq!(set(one.clone()).await, one);
    assert_eq!(set(json!({})).await, one);
    assert_eq!(client.heads().await, heads, "what changes nothing is no event");
    assert_eq!(set(json!({ "description": "two" })).await, two, "a merge patch");
    assert_eq!(set(json!({ "title": null, "description": null })).await, Value::Null);
    assert_eq!(set(own()).await, own());
    assert_eq!(set(Value::Null).await, Value::Null);
    let history = client.get(&format!("{LINK}/history")).await.expect(200).json();
    let events = history["data"].as_array().unwrap();
    let changes: Vec<_> =
        events[1..].iter().map(|event| event["data"]["preview"].clone()).collect();
    assert_eq!(changes, [one, two.clone(), Value::Null, own(), Value::Null]);
    assert!(events[1..].iter().all(|event| event["type"] == "hoplog.link.preview-changed.v1"));
    let at = events[2]["time"].as_str().unwrap();
    let was = client.get(&format!("{LINK}?asOf={at}")).await.expect(200).json();
    assert_eq!(was["preview"], two);
    // A replay gives the same.
    client.patch(LINK, &json!({ "preview": own() })).await.expect(200);
    client.verify_read_models().await;
    let server = server.kill().start();
    shown(&server.client, "/a").await;
    let bob = server.client.keyed("bob", &["links:read", "links:write"]).await;
    bob.patch(LINK, &json!({ "preview": null })).await.expect(404);
}

/// Trap 19: a picture is looked at like a destination, on every way there is.
#[tokio::test]
async fn trap_19_no_picture_skips_the_checks_of_destinations() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a")).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("links.csv");
    let (own, heads) = (format!("{}/a", server.url), client.heads().await);
    for url in
        ["javascript:alert(1)", "data:image/png,x", "https://u:p@example.com/", "/x", "", &own]
    {
        let preview = json!({ "title": "t", "image": url });
        let link = json!({ "url": URL, "alias": "b", "preview": preview });
        let upsert = json!({ "url": URL, "externalId": "e", "upsert": true, "preview": preview });
        for body in [&link, &upsert] {
            let refused = client.post("/api/v1/links", body).await.expect(422).json();
            assert_eq!(pointers(&refused), ["/preview/image"], "{url}");
        }
        let refused = client.patch(LINK, &json!({ "preview": preview })).await.expect(422).json();
        assert_eq!(pointers(&refused), ["/preview/image"], "{url}");
        let bulk = json!({ "links": [link, upsert] });
        let results = client.post("/api/v1/links/bulk", &bulk).await.expect(200).json();
        for item in 0..2 {
            let expected = format!("/links/{item}/preview/image");
            assert_eq!(pointers(&results["results"][item]["problem"]), [&*expected], "{url}");
        }
        let cell = preview.to_string().replace('"', "\"\"");
        std::fs::write(&file, format!("url,preview\n{URL},\"{cell}\"\n")).unwrap();
        let imported = server.cli(&["import", "links", file.to_str().unwrap()]);
        let told = String::from_utf8_lossy(&imported.stderr).into_owned();
        assert!(told.contains("line 2: ") && told.contains("/links/0/pre"), "{url}: {told}");
        let edited = server.cli(&["link", "edit", "a", "--preview-image", url]);
        assert_eq!(edited.status.code(), Some(1), "{url}: {edited:?}");
    }
    assert_eq!(client.heads().await, heads, "nothing is stored");
    let alike = json!({ "preview": { "image": "https://аpple.com/" } });
    let link = client.patch(LINK, &alike).await.expect(200).json();
    assert_eq!(link["warnings"][0]["code"], "homograph_host");
}

#[tokio::test]
async fn what_is_shown_is_set_in_bulk_from_a_file_and_at_the_command_line() {
    let server = Server::start();
    let client = &server.client;
    let links = json!({ "links": [{ "url": URL, "alias": "many", "preview": own() }] });
    client.post("/api/v1/links/bulk", &links).await.expect(200);
    let (title, image) = ("Our <own> title", "https://example.com/card.png?a=1&b=2");
    let words = "Our \"own\" words";
    server.cli_ok(&[
        "link",
        "create",
        URL,
        "--alias",
        "cli",
        "--preview-title",
        title,
        "--preview-description",
        words,
        "--preview-image",
        image,
    ]);
    client.caught_up("link_directory").await;
    let directory = tempfile::tempdir().unwrap();
    for (import, form) in [("links", "csv"), ("ndjson", "ndjson")] {
        let path = directory.path().join(format!("links.{form}"));
        let path = path.to_str().unwrap();
        server.cli_ok(&["export", "links", "--format", form, "-o", path]);
        let other = Server::start();
        other.cli_ok(&["import", import, path]);
        for code in ["many", "cli"] {
            let link = other.client.get(&format!("/api/v1/links/{code}")).await.expect(200).json();
            assert_eq!(link["preview"], own(), "{form} {code}");
        }
    }
    let printed = server.cli_ok(&["link", "show", "cli"]);
    assert!(printed.contains("title: Our <own> title") && printed.contains(image), "{printed}");
    server.cli_ok(&["link", "edit", "cli", "--preview-title", "other"]);
    let link = client.get("/api/v1/links/cli").await.expect(200).json();
    assert_eq!(
        (&link["preview"]["title"], &link["preview"]["image"]),
        (&json!("other"), &json!(image))
    );
    server.cli_ok(&["link", "edit", "cli", "--clear", "preview"]);
    let link = client.get("/api/v1/links/cli").await.expect(200).json();
    assert_eq!(link["preview"], Value::Null);
}
