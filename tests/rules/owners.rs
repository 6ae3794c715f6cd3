//! Rules in every way that owners have to set them.

use super::*;

const LINK: &str = "/api/v1/links/a";

#[tokio::test]
async fn rules_are_set_changed_and_removed_and_each_is_in_the_history() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a")).await;
    let set = async |rules: Value| {
        client.patch(LINK, &json!({ "rules": rules })).await.expect(200).json()["rules"].clone()
    };
    let given = json!([{ "name": "n", "url": "https://EXAMPLE.com", "when": {
        "country": ["de"], "language": ["pt-BR"], "address": ["10.1.2.3/8"],
        "referrer": ["BÜCHER.de"], "query": { "a": "1", "b": ["2"], "c": null },
        "from": "2026-01-01T01:00:00+01:00",
        "time": { "days": ["mon"], "until": "24:00", "timezone": "Europe/Berlin" },
    } }]);
    let kept = json!([{ "name": "n", "url": "https://example.com/", "when": {
        "country": ["DE"], "language": ["pt-br"], "address": ["10.0.0.0/8"],
        "referrer": ["xn--bcher-kva.de"], "query": { "a": ["1"], "b": ["2"], "c": null },
        "from": "2026-01-01T00:00:00Z",
        "time": { "days": ["mon"], "until": "24:00", "timezone": "Europe/Berlin" },
    } }]);
    assert_eq!(set(given).await, kept);
    let heads = client.heads().await;
    assert_eq!(set(kept.clone()).await, kept);
    assert_eq!(client.heads().await, heads, "what changes nothing is no event");
    let all =
        rules(&[(json!({ "query": { "x": null } }), "x"), (json!({ "visitor": "human" }), "y")]);
    assert_eq!(set(all.clone()).await, all);
    assert_eq!(led(client, "/a", &[]).await, "y");
    assert_eq!(led(client, "/a?x", &[]).await, "x");
    assert_eq!(set(json!([])).await, json!([]));
    assert_eq!(led(client, "/a", &[]).await, "for-all");
    let history = client.get(&format!("{LINK}/history")).await.expect(200).json();
    let events = history["data"].as_array().unwrap();
    let changes: Vec<_> = events[1..].iter().map(|event| event["data"]["rules"].clone()).collect();
    assert_eq!(changes, [kept, all.clone(), json!([])]);
    assert!(events[1..].iter().all(|event| event["type"] == "hoplog.link.rules-changed.v1"));
    let at = events[2]["time"].as_str().unwrap();
    let was = client.get(&format!("{LINK}?asOf={at}")).await.expect(200).json();
    assert_eq!(was["rules"], all);
    // A replay gives the same.
    client.patch(LINK, &json!({ "rules": all })).await.expect(200);
    client.verify_read_models().await;
    let server = server.kill().start();
    assert_eq!(led(&server.client, "/a?x", &[]).await, "x");
    // Whoever may not see the link may not set them either.
    let bob = server.client.keyed("bob", &["links:read", "links:write"]).await;
    bob.patch(LINK, &json!({ "rules": null })).await.expect(404);
}

/// Trap 19 (notes' §5.2 and §5.8): a rule's destination is looked at like the link's own, on every way there is.
#[tokio::test]
async fn trap_19_no_rule_skips_the_checks_of_destinations() {
    let rules = |first: &str, second: &str| {
        json!([
            { "when": { "visitor": "bot" }, "url": first },
            { "when": { "visitor": "human" }, "url": second },
        ])
    };
    skip_no_check("rules", "--rule", rules).await;
}

fn rule(when: &Value) -> Value {
    json!({ "when": when, "url": "https://example.com/" })
}

/// What is wrong, and where that is told.
type Wrong = Vec<(Value, Vec<&'static str>)>;

fn wrong_rules() -> Wrong {
    vec![
        (json!("none"), vec!["/rules"]),
        (json!({}), vec!["/rules"]),
        (json!([1, rule(&json!({ "visitor": "bot" })), []]), vec!["/rules/0", "/rules/2"]),
        (json!(vec![rule(&json!({ "visitor": "bot" })); 33]), vec!["/rules"]),
        (json!([{}]), vec!["/rules/0/when", "/rules/0/url"]),
        (
            json!([{ "when": 1, "url": 1, "more": 1 }]),
            vec!["/rules/0/when", "/rules/0/url", "/rules/0/more"],
        ),
        (json!([rule(&json!({}))]), vec!["/rules/0/when"]),
        (json!([rule(&json!({ "country": null }))]), vec!["/rules/0/when"]),
        (json!([rule(&json!({ "contry": ["DE"] }))]), vec!["/rules/0/when/contry"]),
        (
            json!([rule(&json!({ "country": ["DE", "UK", "D", 1] }))]),
            vec!["/rules/0/when/country/2", "/rules/0/when/country/3"],
        ),
        (json!([rule(&json!({ "country": ["DE", "UK"] }))]), vec!["/rules/0/when/country/1"]),
        (json!([rule(&json!({ "country": [] }))]), vec!["/rules/0/when/country"]),
        (json!([rule(&json!({ "country": "DE" }))]), vec!["/rules/0/when/country"]),
        (json!([rule(&json!({ "country": vec!["DE"; 65] }))]), vec!["/rules/0/when/country"]),
    ]
}

fn wrong_conditions() -> Wrong {
    vec![
        (
            json!([rule(
                &json!({ "device": ["mobile"], "system": ["Windows 95"], "browser": ["x"] })
            )]),
            vec!["/rules/0/when/system/0", "/rules/0/when/browser/0"],
        ),
        (json!([rule(&json!({ "device": ["phone"] }))]), vec!["/rules/0/when/device/0"]),
        (json!([rule(&json!({ "language": ["de_AT"] }))]), vec!["/rules/0/when/language/0"]),
        (json!([rule(&json!({ "city": ["", "x"] }))]), vec!["/rules/0/when/city/0"]),
        (json!([rule(&json!({ "query": {} }))]), vec!["/rules/0/when/query"]),
        (
            json!([rule(&json!({ "query": { "a/b": [], "c": 1, "d": [1] } }))]),
            vec!["/rules/0/when/query/a~1b", "/rules/0/when/query/c", "/rules/0/when/query/d"],
        ),
        (
            json!([rule(&json!({ "referrer": ["https://e.com/"] }))]),
            vec!["/rules/0/when/referrer/0"],
        ),
        (json!([rule(&json!({ "address": ["10.0.0.0/33"] }))]), vec!["/rules/0/when/address/0"]),
        (
            json!([rule(
                &json!({ "from": "2026-01-02T00:00:00Z", "until": "2026-01-02T00:00:00Z" })
            )]),
            vec!["/rules/0/when/until"],
        ),
        (json!([rule(&json!({ "from": "soon" }))]), vec!["/rules/0/when/from"]),
        (
            json!([rule(&json!({ "time": { "days": ["monday"], "from": "9:00" } }))]),
            vec![
                "/rules/0/when/time/days/0",
                "/rules/0/when/time/from",
                "/rules/0/when/time/timezone",
            ],
        ),
        (json!([rule(&json!({ "time": { "timezone": "UTC" } }))]), vec!["/rules/0/when/time/days"]),
        (
            json!([rule(
                &json!({ "time": { "from": "09:00", "until": "09:00", "timezone": "UTC" } })
            )]),
            vec!["/rules/0/when/time/until"],
        ),
        (json!([rule(&json!({ "visitor": "people" }))]), vec!["/rules/0/when/visitor"]),
    ]
}

#[tokio::test]
async fn every_mistake_in_rules_is_told_at_its_place() {
    let server = Server::start();
    let client = &server.client;
    for (rules, expected) in wrong_rules().into_iter().chain(wrong_conditions()) {
        let body = json!({ "url": URL, "rules": rules });
        let refused = client.post("/api/v1/links", &body).await.expect(422).json();
        assert_eq!(pointers(&refused), expected, "{rules}");
    }
    let long = "a".repeat(8_000);
    let rule = rule(&json!({ "visitor": "bot", "query": { "a": vec!["x".repeat(250); 20] } }));
    let body = json!({ "url": format!("https://example.com/{long}"), "rules": vec![rule; 8] });
    let refused = client.post("/api/v1/links", &body).await.expect(422);
    assert!(said(&refused).contains("16384 bytes"), "{}", said(&refused));
}

#[tokio::test]
async fn rules_are_set_in_bulk_from_a_file_and_at_the_command_line() {
    let server = Server::start();
    let client = &server.client;
    let bots = rules(&[(json!({ "visitor": "bot" }), "bot")]);
    let links = json!({ "links": [{ "url": URL, "alias": "bulk", "rules": bots }] });
    let results = client.post("/api/v1/links/bulk", &links).await.expect(200).json();
    assert_eq!(results["results"][0]["link"]["rules"], bots);
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let cell = bots.to_string().replace('"', "\"\"");
    let rows = format!("url,alias,rules\n{URL},csv,\"{cell}\"\n{URL},plain,\n{URL},bad,no rules\n");
    std::fs::write(path("links.csv"), rows).unwrap();
    let output = server.cli(&["import", "links", &path("links.csv")]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("line 4: ") && told.contains("/links/2/rul"), "{told}");
    let one = bots[0].to_string();
    let query = r#"{"when":{"query":{"x":null}},"url":"https://example.com/x"}"#;
    server.cli_ok(&["link", "create", URL, "--alias", "cli", "--rule", query, "--rule", &one]);
    for code in ["bulk", "csv", "cli"] {
        let path = format!("/{code}");
        assert_eq!(led(client, &path, &[("user-agent", SLACK)]).await, "bot", "{code}");
        assert_eq!(led(client, &path, &[]).await, "for-all", "{code}");
    }
    assert_eq!(led(client, "/cli?x", &[("user-agent", SLACK)]).await, "x");
    assert_eq!(led(client, "/plain", &[("user-agent", SLACK)]).await, "for-all");
    client.caught_up("link_directory").await;
    let shown = server.cli_ok(&["link", "show", "cli"]);
    assert!(
        shown.contains(r#"{"query":{"x":null}}"#) && shown.contains("https://example.com/x"),
        "{shown}"
    );
    std::fs::write(path("rules.json"), bots.to_string()).unwrap();
    server.cli_ok(&["link", "edit", "cli", "--rules-file", &path("rules.json")]);
    assert_eq!(led(client, "/cli?x", &[]).await, "for-all");
    assert_eq!(led(client, "/cli?x", &[("user-agent", SLACK)]).await, "bot");
    server.cli_ok(&["link", "edit", "cli", "--clear", "rules"]);
    assert_eq!(led(client, "/cli", &[("user-agent", SLACK)]).await, "for-all");
    let broken = server.cli(&["link", "edit", "cli", "--rule", "{when"]);
    assert!(String::from_utf8_lossy(&broken.stderr).contains("--rule is no JSON"), "{broken:?}");
}

/// Trap 2 and C2: rules that one node changes decide at the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_2_two_nodes_follow_the_same_rules() {
    let settings = Settings::production();
    let second = settings.another_node();
    let (one, two) = (settings.start(), second.start());
    let (one, two) = (&one.client, &two.client);
    one.create(NewLink::to(URL).with("alias", "a")).await;
    two.visit_becomes("/a", 302).await;
    for round in 0..4 {
        let (owner, other) = if round % 2 == 0 { (one, two) } else { (two, one) };
        let to = format!("round-{round}");
        let set = rules(&[(json!({ "visitor": "human" }), &to)]);
        owner.patch(LINK, &json!({ "rules": set })).await.expect(200);
        assert_eq!(led(owner, "/a", &[]).await, to);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while led(other, "/a", &[]).await != to {
            assert!(std::time::Instant::now() < deadline, "the other node never hears of {to}");
        }
    }
}
