//! Nothing is sent into private networks, unless the operator allows it.

use super::*;

/// By address in every spelling, and by name; when the webhook is made, and when it is changed.
#[tokio::test]
async fn a_private_target_is_refused_where_it_is_not_allowed() {
    let server = Settings::new().start();
    let client = &server.client;
    let types = ["hoplog.link.created"];
    let good = json!({ "url": "https://hooks.example.com/", "types": types });
    let webhook = client.post("/api/v1/webhooks", &good).await.expect(201).json();
    let heads = client.heads().await;
    for (host, code) in [
        ("127.0.0.1", "private_target"),
        ("127.1", "private_target"),
        ("2130706433", "private_target"),
        ("0x7f000001", "private_target"),
        ("localhost", "private_target"),
        ("Localhost.", "private_target"),
        ("hooks.localhost", "private_target"),
        ("[::1]", "private_target"),
        ("[::ffff:127.0.0.1]", "private_target"),
        ("[64:ff9b::7f00:1]", "private_target"),
        ("10.0.0.1", "private_target"),
        ("172.16.0.1", "private_target"),
        ("192.168.1.1", "private_target"),
        ("100.64.0.1", "private_target"),
        ("169.254.169.254", "private_target"),
        ("[fd00:ec2::254]", "private_target"),
        ("[fe80::1]", "private_target"),
        ("0.0.0.0", "private_target"),
    ] {
        for port in ["", ":8443"] {
            let url = format!("https://{host}{port}/hook");
            let body = json!({ "url": url, "types": types });
            let made = client.post("/api/v1/webhooks", &body).await.expect(422).json();
            assert_eq!(made["errors"][0]["code"], code, "{url}: {made}");
            let patch = json!({ "url": url });
            let changed = client.patch(&path(&webhook), &patch).await.expect(422).json();
            assert_eq!(changed["errors"][0]["code"], code, "{url}: {changed}");
        }
    }
    let plain = json!({ "url": "http://hooks.example.com/", "types": types });
    let refused = client.post("/api/v1/webhooks", &plain).await.expect(422).json();
    assert_eq!(refused["errors"][0]["code"], "insecure", "{refused}");
    assert_eq!(client.heads().await, heads, "nothing is stored");
}

/// A name says nothing of where it leads: that is looked at when something is sent.
#[tokio::test]
async fn a_name_that_leads_inside_is_not_connected_to() {
    let listener = Receiver::start(Manner::Takes("")).await;
    let port = listener.url.rsplit(':').next().unwrap().replace("/hook", "");
    let server = Settings::new().start();
    let client = &server.client;
    let hostname = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    for name in ["ip6-localhost", "ip6-loopback", hostname.trim(), "nowhere.invalid"] {
        if name.is_empty() {
            continue;
        }
        let body =
            json!({ "url": format!("https://{name}:{port}/"), "types": ["hoplog.link.created"] });
        let webhook = client.post("/api/v1/webhooks", &body).await.expect(201).json();
        let test = format!("{}/test", path(&webhook));
        let answer = client.post(&test, &json!({})).await.expect(200).json();
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains("no address that is allowed"), "{name}: {answer}");
    }
    assert!(listener.received().is_empty());
}

/// What was allowed when the webhook was made may not be any more.
#[tokio::test]
async fn what_is_allowed_is_looked_at_whenever_something_is_sent() {
    let receiver = Receiver::start(Manner::Takes("")).await;
    let server = settings().start();
    let webhook = subscribe(&server.client, &receiver, &["hoplog.link.created"]).await;
    let by_name = receiver.url.replace("127.0.0.1", "localhost");
    let body = json!({ "url": by_name, "types": ["hoplog.link.created"] });
    let named = server.client.post("/api/v1/webhooks", &body).await.expect(201).json();
    server.client.create(NewLink::to(URL).with("alias", "one")).await;
    receiver.count(2).await;
    let server = server.stop().with("HOPLOG_WEBHOOK_ALLOW", "10.0.0.0/8").start();
    server.client.create(NewLink::to(URL).with("alias", "two")).await;
    for webhook in [&webhook, &named] {
        let failed = |log: &[Value]| log.first().is_some_and(|it| it["outcome"] == "retrying");
        let log = deliveries(&server.client, webhook, failed).await;
        let error = log[0]["error"].as_str().unwrap();
        assert!(error.contains("HOPLOG_WEBHOOK_ALLOW"), "{log:?}");
    }
    assert_eq!(receiver.received().len(), 2);
}
