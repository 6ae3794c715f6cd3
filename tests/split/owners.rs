//! Splits in every way that owners have to set them.

use super::*;

const LINK: &str = "/api/v1/links/a";

#[tokio::test]
async fn a_split_is_set_changed_and_removed_and_each_is_in_the_history() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a")).await;
    let set = async |split: Value| {
        client.patch(LINK, &json!({ "split": split })).await.expect(200).json()["split"].clone()
    };
    let given = json!([{ "name": "a", "weight": 10_000, "url": null },
        { "url": "https://EXAMPLE.com", "weight": 0, "name": "b" }]);
    let kept = json!([{ "name": "a", "weight": 10_000 },
        { "name": "b", "url": "https://example.com/", "weight": 0 }]);
    assert_eq!(set(given).await, kept);
    let heads = client.heads().await;
    assert_eq!(set(kept.clone()).await, kept);
    assert_eq!(client.heads().await, heads, "what changes nothing is no event");
    let all = split(&[("a", 0), ("b", 1)]);
    assert_eq!(set(all.clone()).await, all);
    assert_eq!(led(client, "/a", 1).await, "b");
    assert_eq!(set(json!([])).await, json!([]));
    assert_eq!(led(client, "/a", 1).await, "own");
    let history = client.get(&format!("{LINK}/history")).await.expect(200).json();
    let events = history["data"].as_array().unwrap();
    let changes: Vec<_> = events[1..].iter().map(|event| event["data"]["split"].clone()).collect();
    assert_eq!(changes, [kept, all.clone(), json!([])]);
    assert!(events[1..].iter().all(|event| event["type"] == "hoplog.link.split-changed.v1"));
    let at = events[2]["time"].as_str().unwrap();
    let was = client.get(&format!("{LINK}?asOf={at}")).await.expect(200).json();
    assert_eq!(was["split"], all);
    // A replay gives the same.
    client.patch(LINK, &json!({ "split": all })).await.expect(200);
    client.verify_read_models().await;
    let server = server.kill().start();
    assert_eq!(led(&server.client, "/a", 1).await, "b");
    // Whoever may not see the link may not set it either.
    let bob = server.client.keyed("bob", &["links:read", "links:write"]).await;
    bob.patch(LINK, &json!({ "split": null })).await.expect(404);
}

/// Trap 19: a variant's destination is looked at like the link's own, on every way there is.
#[tokio::test]
async fn trap_19_no_variant_skips_the_checks_of_destinations() {
    let variants = |first: &str, second: &str| {
        json!([
            { "name": "a", "weight": 1, "url": first },
            { "name": "b", "weight": 0, "url": second },
        ])
    };
    skip_no_check("split", "--variant", variants).await;
}

#[tokio::test]
async fn every_mistake_in_a_split_is_told_at_its_place_with_what_is_allowed() {
    let server = Server::start();
    let client = &server.client;
    let many: Vec<_> = (0..17).map(|n| json!({ "name": n.to_string(), "weight": 1 })).collect();
    for (split, expected, allowed) in [
        (json!("none"), vec!["/split"], "must be a list"),
        (json!({}), vec!["/split"], "must be a list"),
        (json!([{ "name": "a", "weight": 1 }]), vec!["/split"], "2 to 16 variants"),
        (json!(many), vec!["/split"], "16 at most"),
        (json!([1, {}]), vec!["/split/0", "/split/1/name", "/split/1/weight"], "must be given"),
        (
            json!([{ "name": "a", "weight": 1 }, { "name": "a", "weight": 2 }]),
            vec!["/split"],
            "different names",
        ),
        (
            json!([{ "name": "a", "weight": 0 }, { "name": "b", "weight": 0 }]),
            vec!["/split"],
            "weight above 0",
        ),
        (
            json!([{ "name": "a", "weight": 10_001 }, { "name": "b", "weight": -1 },
                { "name": "c", "weight": 0.5 }]),
            vec!["/split/0/weight", "/split/1/weight", "/split/2/weight"],
            "a whole number from 0 to 10000",
        ),
        (
            json!([{ "name": "a", "weight": "1" }, { "name": "", "weight": 1, "wait": 1 }]),
            vec!["/split/0/weight", "/split/1/name", "/split/1/wait"],
            "1 to 64 characters",
        ),
    ] {
        let body = json!({ "url": URL, "split": split });
        let refused = client.post("/api/v1/links", &body).await.expect(422);
        assert_eq!(pointers(&refused.json()), expected, "{split}");
        assert!(said(&refused).contains(allowed), "{allowed}: {}", said(&refused));
    }
    let long = format!("https://example.com/{}", "a".repeat(8_000));
    let split: Value =
        (0..3).map(|n| json!({ "name": n.to_string(), "weight": 1, "url": long })).collect();
    let refused = client.post("/api/v1/links", &json!({ "url": URL, "split": split })).await;
    assert!(said(&refused.expect(422)).contains("16384 bytes"));
}

#[tokio::test]
async fn a_split_is_set_in_bulk_from_a_file_and_at_the_command_line() {
    let server = Server::start();
    let client = &server.client;
    let to_b = split(&[("a", 0), ("b", 1)]);
    let links = json!({ "links": [{ "url": URL, "alias": "bulk", "split": to_b }] });
    let results = client.post("/api/v1/links/bulk", &links).await.expect(200).json();
    assert_eq!(results["results"][0]["link"]["split"], to_b);
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let cell = to_b.to_string().replace('"', "\"\"");
    let rows = format!("url,alias,split\n{URL},csv,\"{cell}\"\n{URL},plain,\n{URL},bad,no split\n");
    std::fs::write(path("links.csv"), rows).unwrap();
    let output = server.cli(&["import", "links", &path("links.csv")]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("line 4: ") && told.contains("/links/2/spl"), "{told}");
    let [a, b] = [to_b[0].to_string(), to_b[1].to_string()];
    server.cli_ok(&["link", "create", URL, "--alias", "cli", "--variant", &a, "--variant", &b]);
    for code in ["bulk", "csv", "cli"] {
        assert_eq!(led(client, &format!("/{code}"), 1).await, "b", "{code}");
    }
    assert_eq!(led(client, "/plain", 1).await, "own");
    client.caught_up("link_directory").await;
    let exported = server.cli_ok(&["export", "links"]);
    assert!(exported.contains(&cell), "{exported}");
    let shown = server.cli_ok(&["link", "show", "cli"]);
    assert!(shown.contains("b: weight 1") && shown.contains("https://example.com/b"), "{shown}");
    std::fs::write(path("split.json"), split(&[("a", 1), ("c", 0)]).to_string()).unwrap();
    server.cli_ok(&["link", "edit", "cli", "--split-file", &path("split.json")]);
    assert_eq!(led(client, "/cli", 1).await, "own");
    server.cli_ok(&["link", "edit", "cli", "--clear", "split"]);
    let link = client.get("/api/v1/links/cli").await.expect(200).json();
    assert_eq!(link["split"], json!([]));
    let broken = server.cli(&["link", "edit", "cli", "--variant", "{name"]);
    assert!(String::from_utf8_lossy(&broken.stderr).contains("--variant is no JSON"), "{broken:?}");
}

/// What was written in it goes from everything that the link ever was. Names of variants and rules that led clicks are what
/// these are counted by, as are names of campaigns: they stay there, and nowhere else.
#[tokio::test]
async fn of_an_erased_link_the_names_are_left_that_clicks_are_counted_by() {
    let server = Server::start();
    let client = &server.client;
    let secret = |name: &str| {
        json!([{ "name": "sesame", "weight": 0 },
            { "name": name, "weight": 1, "url": "https://example.com/sesame" }])
    };
    let rules = json!([{ "name": "label rule", "when": { "query": { "utm_term": null } },
        "url": "https://example.com/sesame/rule" }]);
    let link = NewLink::to(URL).with("alias", "a").with("rules", rules);
    client.create(link.with("split", secret("label variant"))).await;
    assert_eq!(led(client, "/a", 1).await, "sesame");
    assert_eq!(led(client, "/a?utm_term=campaign", 1).await, "sesame/rule");
    client.patch(LINK, &json!({ "split": secret("sésame") })).await.expect(200);
    client.caught_up("clicks").await;
    client.caught_up("click_statistics").await;
    let before = client.stats("a", "").await;
    client.delete(&format!("{LINK}/personal-data")).await.expect(200);
    let links = serde_json::to_string(&client.events("links").await).unwrap();
    assert!(!links.contains("same") && !links.contains("label"), "{links}");
    assert!(links.contains(r#""split":[]"#), "{links}");
    let page = client.get(&format!("{LINK}/clicks")).await.expect(200).body;
    let clicks = serde_json::to_string(&client.events("clicks").await).unwrap();
    for clicks in [&clicks, &page] {
        assert!(!clicks.contains("same"), "{clicks}");
        assert!(
            ["label rule", "label variant", "campaign"].iter().all(|name| clicks.contains(name))
        );
    }
    assert_eq!(client.stats("a", "").await, before, "every number stays, for any filter");
    assert_eq!(client.stats("a", "variant=label+variant").await["totalClicks"], 1);
    assert_eq!(client.stats("a", "rule=label+rule").await["totalClicks"], 1);
    client.verify_read_models().await;
}

/// Trap 2 and C2: both nodes lead a visitor to the same place, also when one of them changes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_2_two_nodes_share_visitors_alike() {
    let settings = Settings::production().with("HOPLOG_TRUSTED_PROXIES", "127.0.0.0/8");
    let second = settings.another_node();
    let (one, two) = (settings.start(), second.start());
    let (one, two) = (&one.client, &two.client);
    one.create(NewLink::to(URL).with("alias", "a").with("split", split(&[("a", 1), ("b", 1)])))
        .await;
    two.visit_becomes("/a", 302).await;
    let led_by_one = all_led(one, "/a", 100).await;
    assert_eq!(all_led(two, "/a", 100).await, led_by_one);
    assert!(counted(&led_by_one).len() == 2, "{led_by_one:?}");
    for round in 0..4 {
        let (owner, other) = if round % 2 == 0 { (one, two) } else { (two, one) };
        let to = format!("round-{round}");
        let set = json!({ "split": split(&[("a", 0), (&to, 1)]) });
        owner.patch(LINK, &set).await.expect(200);
        assert_eq!(led(owner, "/a", 1).await, to);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while led(other, "/a", 1).await != to {
            assert!(std::time::Instant::now() < deadline, "the other node never hears of {to}");
        }
    }
}
