//! How variants do: rates, intervals, and whether they differ by more than chance.

use super::*;
use crate::shapes::{check_contract, keys};

const RESULTS: &str = "/api/v1/links/x/split";

const ANSWER: &[&str] = &["baseline", "from", "level", "to", "variants"];

const VARIANT: &[&str] = &[
    "clicks",
    "comparison",
    "conversions",
    "interval",
    "name",
    "rate",
    "url",
    "visitors",
    "weight",
];

/// So many people led to each of some variants, from addresses of their own.
async fn led_people(server: &Server, variants: &[(&str, usize)]) {
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "x")).await;
    for (place, (name, people)) in variants.iter().enumerate() {
        let only: Vec<_> = variants.iter().map(|(n, _)| (*n, u16::from(n == name))).collect();
        client.patch("/api/v1/links/x", &json!({ "split": split(&only) })).await.expect(200);
        for person in 0..*people {
            led(client, "/x", u32::try_from(place * 10_000 + person).unwrap()).await;
        }
    }
    led_from(client, "/x", "10.0.0.1", SLACK).await;
    client.caught_up("click_statistics").await;
}

#[track_caller]
fn is(value: &Value, expected: f64) {
    assert!((value.as_f64().unwrap() - expected).abs() < 1e-9, "{value} is not {expected}");
}

/// A number of each variant, in their order.
fn of_each(answer: &Value, name: &str) -> Vec<f64> {
    let variants = answer["variants"].as_array().unwrap();
    variants.iter().map(|variant| variant[name].as_f64().unwrap()).collect()
}

/// Worked out by hand from 12 of 60 and 27 of 60: p = 39/120, √(0.325 · 0.675 · 2/60) = 0.0855132, 0.25 / 0.0855132 = 2.92353,
/// of which 0.346 % are as far from 0. Visitors are estimated, so they are taken as the answer has them, and the estimate's
/// error is added, which is next to nothing for so few.
#[tokio::test]
async fn variants_are_compared_by_what_was_reported() {
    let server = proxied().start();
    let client = &server.client;
    led_people(&server, &[("control", 60), ("green", 60), ("blue", 10), ("new", 0)]).await;
    let plain = client.get(RESULTS).await.expect(200).json();
    assert_eq!(of_each(&plain, "clicks"), [60.0, 60.0, 10.0, 0.0], "bots are no people");
    let visitors = of_each(&plain, "visitors");
    assert!((visitors[0] - 60.0).abs() <= 2.0, "{plain}");
    let variants = plain["variants"].as_array().unwrap();
    assert!(variants.iter().all(|variant| variant["rate"].is_null()), "{plain}");
    let told = client.get(&format!("{RESULTS}?converted=control:12,green:27,blue:2")).await;
    let told = told.expect(200).json();
    let [control, green, blue, new] = [0, 1, 2, 3].map(|place| &told["variants"][place]);
    is(&control["rate"], 12.0 / visitors[0]);
    is(&green["rate"], 27.0 / visitors[1]);
    is(&told["level"], 0.025);
    assert!(control["comparison"].is_null());
    let pooled = 39.0 / (visitors[0] + visitors[1]);
    let chance = pooled * (1.0 - pooled) * (1.0 / visitors[0] + 1.0 / visitors[1]);
    let error = (chance + 2.0 * (pooled * 1.04 / 128.0).powi(2)).sqrt();
    is(&green["comparison"]["z"], (27.0 / visitors[1] - 12.0 / visitors[0]) / error);
    let p = green["comparison"]["p"].as_f64().unwrap();
    assert!((0.002..0.006).contains(&p), "{p}");
    assert_eq!(green["comparison"]["verdict"], "higher");
    assert_eq!(blue["comparison"]["verdict"], "few", "of 10 nothing can be said");
    assert!(new["comparison"].is_null() && new["conversions"].is_null(), "{new}");
    for (converted, verdict) in
        [("control:20,green:24", "undecided"), ("control:27,green:12", "lower")]
    {
        let told = client.get(&format!("{RESULTS}?converted={converted}")).await.expect(200).json();
        assert_eq!(told["variants"][1]["comparison"]["verdict"], verdict, "{told}");
    }
    what_was_a_variant_is_behind_those_that_are(&server).await;
}

/// What the others are compared with is the first of those that are left, unless whoever asks says which.
async fn what_was_a_variant_is_behind_those_that_are(server: &Server) {
    let client = &server.client;
    let left = json!({ "split": split(&[("green", 1), ("blue", 1)]) });
    client.patch("/api/v1/links/x", &left).await.expect(200);
    let told = client.get(RESULTS).await.expect(200).json();
    let named = told["variants"].as_array().unwrap().iter();
    let named: Vec<_> =
        named.map(|variant| (variant["name"].clone(), variant["weight"].clone())).collect();
    let (green, blue) = ((json!("green"), json!(1)), (json!("blue"), json!(1)));
    assert_eq!(named, [green, blue, (json!("control"), Value::Null)]);
    let converted = ["--converted", "green:27", "--converted", "control:12"];
    let told = server.cli_ok(&[&["link", "split", "x"], &converted[..]].concat());
    assert!(told.contains("lower (p 0.00") && told.contains("baseline"), "{told}");
    let verdicts = async |query: &str| {
        let told = client.get(&format!("{RESULTS}?{query}")).await.expect(200).json();
        let variants = told["variants"].as_array().unwrap().iter();
        let verdict = |variant: &Value| match &variant["comparison"]["verdict"] {
            Value::Null => format!("{} -", variant["name"].as_str().unwrap()),
            verdict => {
                format!("{} {}", variant["name"].as_str().unwrap(), verdict.as_str().unwrap())
            }
        };
        (told["baseline"].clone(), variants.map(verdict).collect::<Vec<_>>().join(", "))
    };
    let converted = "converted=green:27,control:12";
    let of_control = (json!("control"), "green higher, blue -, control -".to_owned());
    assert_eq!(verdicts("").await, (json!("green"), "green -, blue -, control -".to_owned()));
    assert_eq!(verdicts(converted).await.1, "green -, blue -, control lower");
    assert_eq!(verdicts(&format!("{converted}&baseline=control")).await, of_control);
    let chosen = ["link", "split", "x", "--converted", "green:27", "--converted", "control:12"];
    let told = server.cli_ok(&[&chosen[..], &["--baseline", "control"]].concat());
    assert!(told.contains("higher (p 0.00"), "{told}");
    // When the test is over there is no first one any more: it is said, or nothing is compared.
    client.patch("/api/v1/links/x", &json!({ "split": null })).await.expect(200);
    let none = (Value::Null, "blue -, control -, green -".to_owned());
    assert_eq!(verdicts(converted).await, none);
    let of_control = (json!("control"), "blue -, control -, green higher".to_owned());
    assert_eq!(verdicts(&format!("{converted}&baseline=control")).await, of_control);
    client.patch("/api/v1/links/x", &left).await.expect(200);
    let tomorrow = client.get(&format!("{RESULTS}?from=2099-01-01")).await.expect(200).json();
    assert_eq!(of_each(&tomorrow, "clicks"), [0.0, 0.0]);
}

#[tokio::test]
async fn what_is_wrong_with_conversions_is_told_with_what_is_allowed() {
    let server = proxied().start();
    let client = &server.client;
    led_people(&server, &[("a", 3), ("b", 3), ("c", 1)]).await;
    for _ in 0..5 {
        led(client, "/x", 20_000).await;
    }
    client.caught_up("click_statistics").await;
    for (query, said) in [
        ("converted=", "control:30,green:45"),
        ("converted=a", "control:30,green:45"),
        ("converted=a:x", "control:30,green:45"),
        ("converted=a:-1", "control:30,green:45"),
        ("converted=a:1,a:2", "each once"),
        ("converted=d:1", "there are: a, b, c"),
        ("converted=a:4", "a: conversions (4) can't be more than visitors (about 3)"),
        // Sales in the place of visitors who bought.
        (
            "converted=a:1,c:4",
            "c: conversions (4) can't be more than visitors (about 1) or clicks of people (6)",
        ),
        ("baseline=d", "there are: a, b, c"),
        ("baseline=", "there are: a, b, c"),
    ] {
        let refused = client.get(&format!("{RESULTS}?{query}")).await.expect(400);
        let pointer = format!("?{}", query.split('=').next().unwrap());
        assert_eq!(pointers(&refused.json()), [pointer], "{query}");
        assert!(super::said(&refused).contains(said), "{query}: {}", super::said(&refused));
    }
    client.get(&format!("{RESULTS}?bots=include")).await.expect(400);
    client.get("/api/v1/links/nobody/split").await.expect(404);
}

/// A key that reads statistics learns no destination from them, and nobody those of a link that is gone.
#[tokio::test]
async fn destinations_are_for_those_who_may_read_links() {
    let server = Server::start();
    let owner = server.client.keyed("one", &["links:read", "links:write", "stats:read"]).await;
    let counter = server.client.keyed("one", &["stats:read"]).await;
    let link = NewLink::to(URL).with("alias", "x").with("split", split(&[("a", 1), ("b", 2)]));
    owner.create(link).await;
    for (client, urls) in [
        (&owner, [json!(URL), json!("https://example.com/b")]),
        (&counter, [Value::Null, Value::Null]),
    ] {
        let told = client.get(RESULTS).await.expect(200).json();
        assert_eq!(keys(&told), ANSWER);
        for (place, url) in urls.iter().enumerate() {
            let variant = &told["variants"][place];
            assert_eq!(keys(variant), VARIANT);
            assert_eq!((&variant["url"], &variant["weight"]), (url, &json!(place + 1)), "{told}");
        }
    }
    let contract = server.client.visit("/openapi.json").await.json();
    check_contract(&contract, "SplitAnswer", ANSWER);
    check_contract(&contract, "VariantAnswer", VARIANT);
    owner.delete("/api/v1/links/x").await.expect(204);
    for client in [&owner, &counter] {
        assert_eq!(client.get(RESULTS).await.expect(410).code(), "link_deleted");
    }
}

/// Who asks with the position of a change has the answer of the link as it was changed, from every node.
#[tokio::test]
async fn an_answer_is_of_the_link_as_it_was_at_the_position() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "x")).await;
    client.caught_up("link_directory").await;
    client.post("/api/v1/projections/link_directory/pause", &json!({})).await.expect(200);
    let changed = json!({ "split": split(&[("a", 1), ("b", 1)]) });
    let changed = client.patch("/api/v1/links/x", &changed).await.expect(200).position();
    let ask = || client.authorized(Method::GET, RESULTS).header("hoplog-position", &changed);
    assert_eq!(client.send(ask()).await.status, 503, "it is not there yet");
    client.post("/api/v1/projections/link_directory/resume", &json!({})).await.expect(200);
    let told = client.send(ask()).await.expect(200).json();
    assert_eq!(told["variants"][1]["name"], "b");
}
