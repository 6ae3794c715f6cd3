//! The promise: telephones learn which apps open this host's links, and whoever has no such app is led to where
//! there is one.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, NewLink, Server, Settings};

const APPLE: &str = "/.well-known/apple-app-site-association";

const ANDROID: &str = "/.well-known/assetlinks.json";

const URL: &str = "https://example.com/offer";

const APP_STORE: &str = "https://apps.apple.com/app/id123456789";

const PLAY: &str = "https://play.google.com/store/apps/details?id=com.example.app";

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";

const PHONE: &str = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36";

const DESKTOP: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36";

/// It says that it is a telephone, to see what telephones see.
const GOOGLEBOT: &str = "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

/// The SHA-256 of a certificate that is not there.
fn certificate(pair: &str) -> String {
    [pair; 32].join(":")
}

fn with_apps() -> Settings {
    let android = format!("com.example.app={}+{}", certificate("0a"), certificate("1B"));
    Settings::new()
        .with("HOPLOG_APPLE_APPS", "ABCDE12345.com.example.app, ABCDE12345.com.example.beta")
        .with("HOPLOG_ANDROID_APPS", &format!("{android},org.example.other={}", certificate("2C")))
}

/// What those who ask insist on: they follow no redirect, and have no key.
fn document(answer: Answer) -> Value {
    let answer = answer.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "public, max-age=3600");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    answer.json()
}

#[tokio::test]
async fn the_documents_name_the_apps_of_the_settings() {
    let server = with_apps().start();
    let client = &server.client;
    let apple = document(client.visit(APPLE).await);
    let details = &apple["applinks"]["details"];
    assert_eq!(details.as_array().map(Vec::len), Some(1), "{apple}");
    let apps = json!(["ABCDE12345.com.example.app", "ABCDE12345.com.example.beta"]);
    assert_eq!(details[0]["appIDs"], apps);
    let statement = |package: &str, certificates: &[String]| {
        json!({
            "relation": ["delegate_permission/common.handle_all_urls"],
            "target": {
                "namespace": "android_app",
                "package_name": package,
                "sha256_cert_fingerprints": certificates,
            },
        })
    };
    let app = statement("com.example.app", &["0A", "1B"].map(certificate));
    let other = statement("org.example.other", &["2C"].map(certificate));
    assert_eq!(document(client.visit(ANDROID).await), json!([app, other]));
    for path in [APPLE, ANDROID] {
        let head = client.send(client.request(Method::HEAD, path)).await.expect(200);
        assert_eq!((head.header("content-type"), &*head.body), ("application/json", ""));
        let sent = client.send(client.request(Method::POST, path)).await.expect(405);
        assert!(sent.header("allow").contains("GET"), "{sent:?}");
    }
}

#[tokio::test]
async fn without_apps_there_is_nothing() {
    let server = Server::start();
    for path in [APPLE, ANDROID] {
        assert_eq!(server.client.visit(path).await.expect(404).code(), "not_found");
    }
    let settings = Settings::new().with("HOPLOG_APPLE_APPS", "ABCDE12345.com.example.app");
    let server = settings.with("HOPLOG_ANDROID_APPS", "").start();
    server.client.visit(APPLE).await.expect(200);
    server.client.visit(ANDROID).await.expect(404);
}

/// As Apple says: `*` is any text, `?` any one character.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            matches(rest, text) || !text.is_empty() && matches(pattern, &text[1..])
        }
        (Some((wanted, pattern)), Some((is, text))) => {
            (*wanted == b'?' || wanted == is) && matches(pattern, text)
        }
        _ => false,
    }
}

/// Whether the app opens a path: the first component that fits decides.
fn is_the_apps(components: &[Value], path: &str) -> bool {
    let fits =
        |component: &&Value| matches(component["/"].as_str().unwrap().as_bytes(), path.as_bytes());
    components.iter().find(fits).is_some_and(|component| component["exclude"] != true)
}

/// Trap 9: what is not a link's stays the browser's, in whichever route it is.
#[tokio::test]
async fn trap_9_an_app_opens_links_and_no_route_of_the_service() {
    let server = with_apps().start();
    let client = &server.client;
    let apple = document(client.visit(APPLE).await);
    let components = apple["applinks"]["details"][0]["components"].as_array().unwrap();
    let contract = client.visit("/openapi.json").await.expect(200).json();
    let paths = contract["paths"].as_object().unwrap().keys();
    let (mut links, mut others) = (0, 0);
    for path in paths {
        let is_link = path == "/{code}";
        let concrete = path.replace("{code}", "launch").replace(['{', '}'], "");
        assert_eq!(is_the_apps(components, &concrete), is_link, "{path}");
        if is_link { links += 1 } else { others += 1 }
    }
    assert!(links == 1 && others > 40, "{links} {others}");
    for (path, expected) in [
        ("/", false),
        ("/docs/page.js", false),
        ("/docs2030", true),
        ("/metrics-2030", true),
        ("/apis", true),
        ("/launch/what/is/forwarded", true),
    ] {
        assert_eq!(is_the_apps(components, path), expected, "{path}");
    }
}

/// What stands in these places is nobody's link.
#[tokio::test]
async fn the_places_where_systems_look_are_nobodys_link() {
    let server = with_apps().start();
    let client = &server.client;
    for alias in [".well-known", "well-known", "apple-app-site-association", "assetlinks.json"] {
        let link = json!({ "url": URL, "alias": alias });
        client.post("/api/v1/links", &link).await.expect(422);
    }
    for path in
        ["/.well-known", "/.well-known/", "/.well-known/other", "/apple-app-site-association"]
    {
        client.visit(path).await.expect(404);
    }
}

/// Where a visit of a kind of device is led.
async fn led(client: &Client, path: &str, agent: &'static str) -> Answer {
    client.send(client.get_with(path, &[("user-agent", agent)])).await.expect(302)
}

/// The example of docs/api.md. Where the app is installed, its telephone does not come here.
#[tokio::test]
async fn who_has_no_app_is_led_to_the_store_of_the_telephone() {
    let server = with_apps().start();
    let client = &server.client;
    let rules = json!([
        { "name": "app", "when": { "query": { "utm_source": ["app"] } }, "url": "https://example.com/offer?in=app" },
        { "name": "ios", "when": { "system": ["iOS"], "visitor": "human" }, "url": APP_STORE },
        { "name": "android", "when": { "system": ["Android"], "visitor": "human" }, "url": PLAY },
    ]);
    client.create(NewLink::to(URL).with("alias", "a").with("rules", rules)).await;
    for (path, agent, url) in [
        ("/a", IPHONE, APP_STORE),
        ("/a", PHONE, PLAY),
        ("/a", DESKTOP, URL),
        ("/a", GOOGLEBOT, URL),
        ("/a?utm_source=app", IPHONE, "https://example.com/offer?in=app"),
        ("/a?utm_source=app", PHONE, "https://example.com/offer?in=app"),
    ] {
        let answer = led(client, path, agent).await;
        assert_eq!(answer.header("location"), url, "{path} {agent}");
        assert_eq!(answer.header("cache-control"), "private, no-store", "{path} {agent}");
    }
    let clicks = client.events("clicks").await;
    let clicks = clicks
        .iter()
        .flat_map(|event| event["data"]["clicks"].as_array().cloned().unwrap_or_default());
    let rules: Vec<Value> = clicks.map(|click| click["rule"].clone()).collect();
    let none = Value::Null;
    let expected = [&json!("ios"), &json!("android"), &none, &none, &json!("app"), &json!("app")];
    assert_eq!(rules.iter().collect::<Vec<_>>(), expected, "statistics tell them apart");
    client.verify_read_models().await;
}

/// Notes' §5.2: an app is opened by the https link itself; no destination has the scheme of an app or a store, which
/// would start what its owner likes on the visitor's telephone.
#[tokio::test]
async fn notes_5_2_no_destination_has_the_scheme_of_an_app() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a")).await;
    let heads = client.heads().await;
    for (url, scheme) in [
        ("intent://offer#Intent;scheme=https;package=com.example.app;end", "intent"),
        ("market://details?id=com.example.app", "market"),
        ("itms-apps://itunes.apple.com/app/id123456789", "itms-apps"),
        ("android-app://com.example.app/https/example.com", "android-app"),
        ("example-app://offer", "example-app"),
    ] {
        let rule = json!({ "when": { "system": ["Android"] }, "url": url });
        let split = json!([{ "name": "a", "weight": 1 }, { "name": "b", "weight": 1, "url": url }]);
        for (body, pointer) in [
            (json!({ "url": url }), "/url"),
            (json!({ "url": URL, "expiredUrl": url }), "/expiredUrl"),
            (json!({ "url": URL, "rules": [rule] }), "/rules/0/url"),
            (json!({ "url": URL, "split": split }), "/split/1/url"),
        ] {
            for (method, path) in
                [(Method::POST, "/api/v1/links"), (Method::PATCH, "/api/v1/links/a")]
            {
                let request = client.authorized(method.clone(), path).json(&body);
                let refused = client.send(request).await.expect(422).json();
                let error = &refused["errors"][0];
                assert_eq!(error["pointer"], pointer, "{method} {refused}");
                let detail = error["detail"].as_str().unwrap();
                let says = format!("has the scheme \"{scheme}\"; allowed are http and https");
                assert!(detail.contains(&says), "{method} {detail}");
            }
        }
    }
    assert_eq!(client.heads().await, heads, "nothing is stored");
}
