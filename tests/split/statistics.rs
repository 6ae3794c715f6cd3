//! Clicks by what led them.

use super::*;

fn slices(stats: &Value, name: &str) -> Vec<(String, u64)> {
    let slice = |slice: &Value| {
        (slice["value"].as_str().unwrap().to_owned(), slice["clicks"].as_u64().unwrap())
    };
    stats[name].as_array().unwrap().iter().map(slice).collect()
}

/// Whoever was led where is counted, and told apart from bots; who was erased is counted as before.
#[tokio::test]
async fn statistics_tell_variants_and_rules_apart() {
    let server = proxied().start();
    let client = &server.client;
    let rules = json!([
        { "when": { "address": ["192.0.2.7"] }, "name": "bob", "url": "https://example.com/bob?utm_campaign=bob" },
        { "when": { "query": { "utm_term": null } }, "url": "https://example.com/term" },
        { "when": { "query": { "to": null } }, "name": "eva", "url": "https://example.com/eva?utm_campaign=eva" },
    ]);
    let variants = split(&[("a", 1), ("b", 1)]);
    let link = NewLink::to(URL).with("alias", "x").with("rules", rules);
    client.create(link.with("split", variants)).await;
    let all = all_led(client, "/x", 40).await;
    let counts = counted(&all);
    for visitor in 0..3 {
        assert_eq!(led(client, "/x?utm_term=x", visitor).await, "term");
    }
    assert_eq!(led(client, "/x?to=k7f3", 1).await, "eva?utm_campaign=eva");
    assert_eq!(led_from(client, "/x", "192.0.2.7", AGENT).await, "bob?utm_campaign=bob");
    let bot = led_from(client, "/x", "10.0.0.1", SLACK).await;
    let people = client.stats("x", "bots=exclude").await;
    let mut expected =
        [("a".to_owned(), counts["own"] as u64), ("b".to_owned(), counts["b"] as u64)];
    expected.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    assert_eq!(slices(&people, "variants"), expected);
    // A rule for addresses is told of nobody, nor one for what clicks don't have of the query: it would say who it was.
    assert_eq!(slices(&people, "rules"), [("2".to_owned(), 3)]);
    let told = people.to_string();
    assert!(!told.contains("bob") && !told.contains("eva"), "nor by its campaign: {told}");
    let of_bots = slices(&client.stats("x", "bots=only").await, "variants");
    assert_eq!(of_bots, [(if bot == "own" { "a" } else { "b" }.to_owned(), 1)]);
    for (query, clicks) in [
        ("variant=a", counts["own"]),
        ("variant=b", counts["b"]),
        ("variant=-a,-", counts["b"]),
        ("variant=c", 0),
        ("rule=2", 3),
        ("rule=&variant=", 2),
    ] {
        let stats = client.stats("x", &format!("bots=exclude&{query}")).await;
        assert_eq!(stats["totalClicks"], clicks, "{query}");
    }
    let told = server.cli_ok(&["stats", "x", "--by", "variant", "--bots", "exclude"]);
    assert!(told.starts_with("VARIANT") && told.lines().count() == 3, "{told}");
    assert!(server.cli_ok(&["stats", "x"]).contains("RULE"));
    let page = client.get("/api/v1/links/x/clicks?limit=500").await.expect(200).json();
    let first = page["data"].as_array().unwrap().last().unwrap();
    let name = if all[0] == "own" { "a" } else { "b" };
    assert_eq!((&first["variant"], &first["rule"]), (&json!(name), &json!("")));
    let visitor = first["visitor"].as_str().unwrap();
    client.delete(&format!("/api/v1/visitors/{visitor}/personal-data")).await.expect(200);
    assert_eq!(slices(&client.stats("x", "bots=exclude").await, "variants"), expected);
    client.verify_read_models().await;
}
