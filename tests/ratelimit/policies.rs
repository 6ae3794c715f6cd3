//! What policies can say.

use super::*;
use crate::support::NewLink;

/// Runs `serve` where it can't start, and gives what it said.
fn refused(settings: &Settings) -> String {
    let output = settings.command().arg("serve").output().expect("the program runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!settings.data_dir().exists(), "nothing is made");
    String::from_utf8_lossy(&output.stderr).trim_end().to_owned()
}

#[tokio::test]
async fn a_wrong_policy_stops_the_start_with_its_file_and_line() {
    let settings = only(&policy("a", "redirect", "key", 1, ""));
    let told = refused(&settings);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("HOPLOG_RATE_LIMITS") && told.contains("policies.toml line 5"), "{told}");
    assert!(told.contains("allowed: address, everyone"), "{told}");

    let settings = Settings::embedded().without("HOPLOG_RATE_LIMITS");
    let file = settings.data_dir().with_file_name("hoplog.toml");
    std::fs::write(&file, "codes = 'random'\n\n[[rate_limits.policies]]\nname = 'A'\n").unwrap();
    let told = refused(&settings);
    assert!(told.contains("hoplog.toml line 3") || told.contains("hoplog.toml line 4"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");

    let told = refused(&Settings::embedded().with("HOPLOG_RATE_LIMIT_NODES", "0"));
    assert!(
        told.contains("HOPLOG_RATE_LIMIT_NODES is \"0\"; allowed: a whole number from 1"),
        "{told}"
    );
}

#[tokio::test]
async fn policies_may_stand_in_the_settings_file() {
    let settings = Settings::embedded().without("HOPLOG_RATE_LIMITS");
    let file = settings.data_dir().with_file_name("hoplog.toml");
    let reads = policy("reads", "api", "everyone", 2, "");
    let text =
        format!("codes = 'random'\n{}", reads.replace("[[policies]]", "[[rate_limits.policies]]"));
    std::fs::write(&file, text).unwrap();
    let server = settings.start();
    let answer = server.client.get("/api/v1/links").await.expect(200);
    assert!(answer.header("ratelimit-policy").contains("\"reads\";q=2;w=86400"), "{answer:?}");
    assert!(
        answer.header("ratelimit-policy").contains("\"api-admin\""),
        "what is built in holds, too"
    );
    server.client.get("/api/v1/links").await.expect(200);
    server.client.get("/api/v1/links").await.expect(429);
}

/// In shadow mode nobody is refused or told, and the operator sees who would have been.
#[tokio::test]
async fn a_shadow_counts_and_refuses_nobody() {
    let shadow = policy("shadow", "api", "key", 2, "shadow = true");
    let redirects = policy("shadow-redirects", "redirect", "address", 1, "shadow = true");
    let server = server(&format!("{shadow}{redirects}{}", policy("reads", "api", "key", 9, "")));
    let client = &server.client;
    let path = format!("/{}", client.code(NewLink::to(URL)).await);
    for n in 0..4 {
        let answer = client.get("/api/v1/links").await.expect(200);
        assert_eq!(answer.header("x-ratelimit-remaining"), (7 - n).to_string());
        assert!(!format!("{:?}", answer.headers).contains("shadow"), "{answer:?}");
        client.visit(&path).await.expect(302);
    }
    let of = |policy: &str, decision: &str| {
        format!("hoplog_ratelimit_decisions_total{{policy=\"{policy}\",decision=\"{decision}\"}}")
    };
    for (policy, decision, count) in [
        ("shadow", "allowed", 2.0),
        ("shadow", "shadowed", 3.0),
        ("shadow-redirects", "shadowed", 3.0),
        ("reads", "allowed", 5.0),
        ("shadow", "refused", 0.0),
    ] {
        let value = metric(client, &of(policy, decision)).await;
        assert!((value - count).abs() < f64::EPSILON, "{policy} {decision}: {value}");
    }
}

/// Only failures count, or only successes.
#[tokio::test]
async fn what_succeeds_or_fails_is_given_back() {
    let successes = policy("failures-count", "/api/v1/links", "key", 2, "refund = 'success'");
    let failures = policy("successes-count", "/api/shorten", "key", 2, "refund = 'failure'");
    let server = server(&format!("{successes}{failures}"));
    let client = &server.client;
    for _ in 0..5 {
        create(client).await.expect(201);
    }
    let wrong = json!({ "url": "javascript:alert(1)" });
    for _ in 0..2 {
        client.post("/api/v1/links", &wrong).await.expect(422);
    }
    client.post("/api/v1/links", &wrong).await.expect(429);
    assert_eq!(violated(&create(client).await.expect(429)), json!(["failures-count"]));

    let (good, wrong) = (json!({ "longURL": URL }), json!({ "longURL": "javascript:alert(1)" }));
    for _ in 0..5 {
        client.post("/api/shorten", &wrong).await.expect(422);
    }
    for _ in 0..2 {
        client.post("/api/shorten", &good).await.expect(201);
    }
    client.post("/api/shorten", &good).await.expect(429);
}

async fn make_at_once(client: &Client, key: &str, links: &Value) -> Answer {
    let request = client.authorized(Method::POST, "/api/v1/links/bulk");
    let body = json!({ "links": links });
    client.send(request.header("idempotency-key", key).json(&body)).await
}

/// Traps 10 and 15: who lost an answer asks again, and is not charged for links that were made before.
#[tokio::test]
async fn a_bulk_request_that_is_answered_again_costs_nothing() {
    let server = server(&policy("bulk", "bulk", "key", 10, "cost = 'links'"));
    let five = json!(vec![json!({ "url": URL }); 5]);
    for n in 0..4 {
        let answer = make_at_once(&server.client, "first", &five).await.expect(200);
        assert_eq!(answer.json()["results"][4]["replayed"], json!(n > 0));
    }
    make_at_once(&server.client, "second", &five).await.expect(200);
    make_at_once(&server.client, "third", &five).await.expect(429);
}

/// Only links that are made count, also of many at once: a request of which none is made is given back.
#[tokio::test]
async fn a_bulk_request_that_fails_is_given_back() {
    let server = server(&policy("bulk", "bulk", "key", 2, "cost = 'links'\nrefund = 'failure'"));
    let wrong = json!([{ "url": "javascript:alert(1)" }, { "url": 7 }]);
    for n in 0..3 {
        make_at_once(&server.client, &format!("wrong{n}"), &wrong).await.expect(200);
    }
    let one_of_two = json!([{ "url": URL }, { "url": 7 }]);
    make_at_once(&server.client, "one", &one_of_two).await.expect(200);
    make_at_once(&server.client, "two", &one_of_two).await.expect(429);
}

/// Trap 10 (R14): a cost that could never pass is a mistake of the request, and told so.
#[tokio::test]
async fn trap_10_what_can_never_pass_is_a_mistake() {
    let server = server(&policy("bulk", "bulk", "key", 5, "cost = 'links'"));
    let links = |count: usize| json!({ "links": vec![json!({ "url": URL }); count] });
    let told = server.client.post("/api/v1/links/bulk", &links(6)).await.expect(422);
    assert_eq!(told.code(), "cost_too_high");
    let detail = told.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("bulk") && detail.contains('5') && detail.contains('6'), "{detail}");
    server.client.post("/api/v1/links/bulk", &links(5)).await.expect(200);
    server.client.post("/api/v1/links/bulk", &links(1)).await.expect(429);
}

#[tokio::test]
async fn requests_are_matched_by_method_owner_and_scope() {
    let writes = "[[policies]]\nname = 'writes'\nmatch = { routes = ['api'], methods = ['POST'], owners = ['one'] }\n\
                  except = { scopes = ['admin'] }\nby = 'owner'\ntiers = [{ limit = 2, per = '1d' }]\n";
    let server = server(writes);
    let admin = &server.client;
    let one = admin.keyed("one", &["links:write", "links:read"]).await;
    let again = admin.keyed("one", &["links:write"]).await;
    let two = admin.keyed("two", &["links:write"]).await;
    create(&one).await.expect(201);
    create(&again).await.expect(201);
    // Both keys are of one owner.
    create(&one).await.expect(429);
    create(&again).await.expect(429);
    one.get("/api/v1/links").await.expect(200);
    for _ in 0..3 {
        create(&two).await.expect(201);
        create(admin).await.expect(201);
    }
}

/// Owners who got their first key just now are limited, with a second key as well; those who have been there for longer are not.
#[tokio::test]
async fn owners_are_limited_while_they_are_new() {
    let policy = |name: &str, age: &str| {
        format!(
            "[[policies]]\nname = '{name}'\nmatch = {{ routes = ['create', 'bulk'], new_for = '{age}' }}\n\
             except = {{ scopes = ['admin'] }}\nby = 'owner'\ntiers = [{{ limit = 2, per = '1d' }}]\ncost = 'links'\n"
        )
    };
    let server = server(&policy("new-owner", "7d"));
    let one = server.client.keyed("one", &["links:write"]).await;
    create(&one).await.expect(201);
    create(&one).await.expect(201);
    let refused = create(&one).await.expect(429);
    assert_eq!(refused.json()["violated-policies"], json!(["new-owner"]));
    let again = server.client.keyed("one", &["links:write"]).await;
    make_at_once(&again, "more", &json!([{ "url": URL }])).await.expect(429);
    create(&server.client.keyed("two", &["links:write"]).await).await.expect(201);
    for _ in 0..3 {
        create(&server.client).await.expect(201);
    }
}

#[tokio::test]
async fn nobody_is_new_for_ever() {
    let server = server(
        "[[policies]]\nname = 'new-owner'\nmatch = { routes = ['create'], new_for = '1s' }\n\
         by = 'owner'\ntiers = [{ limit = 1, per = '1d' }]\n",
    );
    let one = server.client.keyed("one", &["links:write"]).await;
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut created = 0;
    while created < 3 {
        match create(&one).await.status.as_u16() {
            201 => created += 1,
            429 => assert!(Instant::now() < deadline, "{created} created"),
            status => panic!("{status}"),
        }
    }
}

/// Trap 13 (R19): whatever stands in the path, it is one route.
#[tokio::test]
async fn trap_13_a_route_is_its_template() {
    let server = server(&policy("shown", "/api/v1/links/{code}", "key", 3, ""));
    for n in 0..3 {
        server.client.get(&format!("/api/v1/links/nobody{n}")).await.expect(404);
    }
    server.client.get("/api/v1/links/nobody9").await.expect(429);
    server.client.get("/api/v1/links").await.expect(200);
}

/// How many that are is bounded where they are held, and tested there (trap 11).
#[tokio::test]
async fn an_operator_sees_of_how_many_subjects_a_node_holds_counts() {
    let policies = policy("redirect", "redirect", "address", 3, "");
    let server = only(&policies).with("HOPLOG_TRUSTED_PROXIES", "127.0.0.1").start();
    let client = &server.client;
    let path = format!("/{}", client.code(NewLink::to(URL)).await);
    for n in 0..200 {
        visit_from(client, &format!("203.0.113.{n}"), &path).await.expect(302);
    }
    let held = metric(client, "hoplog_ratelimit_subjects").await;
    assert!((held - 200.0).abs() < f64::EPSILON, "{held}");
}
