//! Budgets in every way that owners have to set them.

use super::*;
use crate::support::Settings;

const LINK: &str = "/api/v1/links/a";

#[tokio::test]
async fn a_budget_is_raised_lowered_and_removed() {
    let server = Server::start();
    let client = &server.client;
    limited(client, "a", 1, &[]).await;
    let set = async |clicks: Value| {
        let link = client.patch(LINK, &json!({ "maxClicks": clicks })).await.expect(200).json();
        (link["maxClicks"].clone(), link["clicksLeft"].clone())
    };
    client.visit("/a").await.expect(302);
    client.visit("/a").await.expect(410);
    assert_eq!(set(json!(3)).await, (json!(3), json!(2)));
    client.visit("/a").await.expect(302);
    // Below what was given: it is spent, and it is not forgotten what was given.
    assert_eq!(set(json!(1)).await, (json!(1), json!(0)));
    client.visit("/a").await.expect(410);
    assert_eq!(set(json!(3)).await, (json!(3), json!(1)));
    client.visit("/a").await.expect(302);
    client.visit("/a").await.expect(410);
    assert_eq!(set(Value::Null).await, (Value::Null, Value::Null));
    let open = client.visit("/a").await.expect(302);
    assert_ne!(open.header("cache-control"), "no-store");
    // A budget that is set then counts from then on.
    assert_eq!(set(json!(1)).await, (json!(1), json!(1)));
    client.visit("/a").await.expect(302);
    client.visit("/a").await.expect(410);
    assert_eq!(client.stats("a", "").await["totalClicks"], 5);
    client.verify_read_models().await;
    // Whoever may not see the link may not set it either.
    let bob = client.keyed("bob", &["links:read", "links:write"]).await;
    bob.patch(LINK, &json!({ "maxClicks": 9 })).await.expect(404);
}

/// The owner of two nodes sees a raise through either of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raise_through_one_node_is_seen_by_the_other() {
    let settings = Settings::production();
    let second = settings.another_node();
    let (one, two) = (settings.start(), second.start());
    let (one, two) = (&one.client, &two.client);
    limited(one, "a", 1, &[]).await;
    two.visit_becomes("/a", 302).await;
    one.visit_becomes("/a", 410).await;
    for round in 2..6 {
        let (raiser, other) = if round % 2 == 0 { (one, two) } else { (two, one) };
        raiser.patch(LINK, &json!({ "maxClicks": round })).await.expect(200);
        other.visit_becomes("/a", 302).await;
        for client in [one, two] {
            assert_eq!(client.visit("/a").await.status, 410);
        }
    }
    assert_eq!(given(one, "a").await, 5);
}

#[tokio::test]
async fn an_upsert_sets_a_budget_and_leaves_what_was_given() {
    let server = Server::start();
    let client = &server.client;
    let upsert = async |more: Value| {
        let mut body = json!({ "url": URL, "externalId": "e", "alias": "a", "upsert": true });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.post("/api/v1/links", &body).await
    };
    upsert(json!({ "maxClicks": 2 })).await.expect(201);
    client.visit("/a").await.expect(302);
    for (more, left) in [
        (json!({ "maxClicks": 2 }), json!(1)),
        (json!({}), json!(1)),
        (json!({ "maxClicks": 5 }), json!(4)),
        (json!({ "maxClicks": null }), Value::Null),
    ] {
        let link = upsert(more.clone()).await.expect(200).json();
        assert_eq!(link["clicksLeft"], left, "{more}");
    }
}

/// A link for a few visits is not one that will do for somebody else.
#[tokio::test]
async fn a_link_with_a_budget_is_not_reused() {
    let server = Server::start();
    let client = &server.client;
    limited(client, "a", 1, &[]).await;
    let body = json!({ "url": URL, "reuse": true });
    let other = client.post("/api/v1/links", &body).await.expect(201).json();
    assert_eq!(other["maxClicks"], Value::Null);
    let both = json!({ "url": URL, "reuse": true, "maxClicks": 1 });
    let errors = client.post("/api/v1/links", &both).await.expect(422).json();
    assert_eq!(
        (&errors["errors"][0]["pointer"], &errors["errors"][0]["code"]),
        (&json!("/reuse"), &json!("conflict"))
    );
}

#[tokio::test]
async fn a_budget_is_set_in_bulk_from_a_file_and_at_the_command_line() {
    let server = Server::start();
    let client = &server.client;
    let links = json!({ "links": [
        { "url": URL, "alias": "bulk", "maxClicks": 1 }, { "url": URL, "maxClicks": 0 },
        { "url": URL, "maxClicks": "1" },
    ] });
    let results =
        client.post("/api/v1/links/bulk", &links).await.expect(200).json()["results"].clone();
    assert_eq!(results[0]["link"]["maxClicks"], 1);
    for (place, said) in
        [(1, "must be a whole number from 1 to 100000"), (2, "must be a number, not a string")]
    {
        let error = &results[place]["problem"]["errors"][0];
        assert_eq!(error["pointer"], format!("/links/{place}/maxClicks"));
        assert_eq!(error["detail"], said);
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("links.csv");
    let rows = format!("url,alias,maxClicks\n{URL},csv,1\n{URL},any,\n{URL},none,few\n");
    std::fs::write(&file, rows).unwrap();
    let output = server.cli(&["import", "links", file.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("line 4: ") && told.contains("/links/2/max"), "{told}");
    server.cli_ok(&["link", "create", URL, "--alias", "cli", "--max-clicks", "1"]);
    for code in ["bulk", "csv", "cli"] {
        client.visit(&format!("/{code}")).await.expect(302);
        client.visit(&format!("/{code}")).await.expect(410);
    }
    client.visit("/any").await.expect(302);
    client.caught_up("link_directory").await;
    assert!(server.cli_ok(&["link", "show", "cli"]).contains("maxClicks   1, of which 0 are left"));
    server.cli_ok(&["link", "edit", "cli", "--max-clicks", "2"]);
    client.visit("/cli").await.expect(302);
    client.visit("/cli").await.expect(410);
    server.cli_ok(&["link", "edit", "cli", "--clear", "max-clicks"]);
    client.visit("/cli").await.expect(302);
}
