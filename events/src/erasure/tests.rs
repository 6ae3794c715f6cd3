use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::golden;

/// What the golden events say that could name a person.
const PERSONAL: [&str; 10] = [
    "example.com",
    "utm_source",
    "Launch",
    "press",
    "spring",
    "\"mail\"",
    "crm:",
    "9f86d081884c7d65",
    "req-7Hq2",
    "argon2id",
];

/// What of an envelope is never touched.
const KEPT: [&str; 10] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "recordedtime",
    "actor",
    "commandid",
];

fn value(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

fn with_body(event: &RecordedEvent, body: Bytes) -> RecordedEvent {
    RecordedEvent { body, ..event.clone() }
}

/// Erases, checks what holds of every event, and gives what is left; the event itself where there
/// was nothing to erase.
fn erased(
    event: &RecordedEvent,
    erase: impl Fn(&RecordedEvent) -> Result<Option<Bytes>, DecodeError>,
) -> RecordedEvent {
    let Some(body) = erase(event).unwrap() else { return event.clone() };
    let after = with_body(event, body);
    assert_eq!(erase(&after).unwrap(), None, "a second time");
    let (before, now) = (value(&event.body), value(&after.body));
    for kept in KEPT {
        assert_eq!(before[kept], now[kept], "{kept}");
    }
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect();
    let (before, now): (BTreeSet<_>, BTreeSet<_>) = (fields(&before), fields(&now));
    assert!(now.is_subset(&before), "{now:?}");
    after.decode().unwrap().expect("it is still of a known type");
    after
}

#[test]
fn every_golden_event_of_a_link_is_erased_and_still_read() {
    let mut seen = 0;
    for name in golden::names().iter().filter(|name| name.starts_with("hoplog.link.")) {
        let event = golden::recorded(&golden::read(name));
        let after = erased(&event, erase_link);
        let text = String::from_utf8(after.body.to_vec()).unwrap();
        for personal in PERSONAL {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
        seen += 1;
    }
    assert!(seen >= 16, "only {seen}");
}

#[test]
fn what_says_which_link_it_is_stays() {
    for (name, redirect) in [
        ("hoplog.link.created.v1", json!({ "permanent": true })),
        ("hoplog.link.created.v2", json!({ "redirect": 302 })),
    ] {
        let after = erased(&golden::recorded(&golden::read(name)), erase_link);
        let mut expected = json!({
            "domain": "default",
            "code": "launch",
            "url": ERASED_DESTINATION,
            "owner": "0195a3c2-7b1e-7c55-9d0a-2f6b8c1d4e5f",
            "expiresAt": "2027-01-01T00:00:00Z",
        });
        expected.as_object_mut().unwrap().extend(redirect.as_object().unwrap().clone());
        assert_eq!(value(&after.body)["data"], expected, "{name}");
    }
}

#[test]
fn events_without_personal_data_are_left_alone() {
    for name in ["hoplog.link.erased.v1", "hoplog.clicks.erased.v1"] {
        let event = golden::recorded(&golden::read(name));
        assert_eq!(erase_link(&event).unwrap(), None, "{name}");
        assert_eq!(erase_clicks(&event, &[anybody(0)]).unwrap(), None, "{name}");
    }
}

#[test]
fn an_event_of_an_unknown_type_is_an_error() {
    let newer = golden::read("hoplog.link.titled.v1").replace("titled.v1", "titled.v2");
    assert!(erase_link(&golden::recorded(&newer)).unwrap_err().reason.contains("does not know"));
    let newer = golden::read("hoplog.clicks.recorded.v1").replace("recorded.v1", "recorded.v2");
    assert!(erase_clicks(&golden::recorded(&newer), &[anybody(0)]).is_err());
}

fn anybody(place: usize) -> ErasedClick {
    ErasedClick { place, visitor: VisitorHash(7), user_agent: Some("Firefox".into()) }
}

#[test]
fn an_erased_click_counts_the_same_and_the_others_are_untouched() {
    let event = golden::recorded(&golden::read("hoplog.clicks.recorded.v1"));
    let after = erased(&event, |event| erase_clicks(event, &[anybody(0)]));
    let (mut expected, now) = (value(&event.body), value(&after.body));
    expected.as_object_mut().unwrap().remove("correlationid");
    let click = expected["data"]["clicks"][0].as_object_mut().unwrap();
    click.insert("visitor".into(), "0000000000000007".into());
    click.insert("userAgent".into(), "Firefox".into());
    click.remove("address");
    assert_eq!(now, expected);
    // The second has no agent and gets one; the first loses its own.
    let nobody = ErasedClick { user_agent: None, ..anybody(0) };
    let after = erased(&event, |event| erase_clicks(event, &[nobody.clone(), anybody(1)]));
    let clicks = &value(&after.body)["data"]["clicks"];
    assert_eq!((clicks[0].get("userAgent"), &clicks[1]["userAgent"]), (None, &json!("Firefox")));
    assert!(erase_clicks(&event, &[anybody(2)]).unwrap_err().reason.contains("no click 2"));
    assert_eq!(erase_clicks(&event, &[]).unwrap(), None);
}

/// A text that stands nowhere else, with what JSON has to escape.
fn secret() -> impl Strategy<Value = String> {
    "[a-zé\"\\\\]{0,6}".prop_map(|text| format!("sécret{text}"))
}

/// An event with this data as one of this type.
fn event_with(name: &str, data: &Value, correlation: &str) -> RecordedEvent {
    let mut envelope = value(&golden::read(name).into_bytes());
    envelope["data"] = data.clone();
    envelope["correlationid"] = correlation.into();
    golden::recorded(&envelope.to_string())
}

proptest! {
    #[test]
    fn nothing_personal_is_left_of_a_link(
        which in 0..15_usize,
        text in secret(),
        correlation in secret(),
        spaces in proptest::bool::ANY,
    ) {
        let url = format!("https://s%C3%A9cret.example/{}", text.replace(['"', '\\'], ""));
        let (name, data) = [
            ("hoplog.link.created.v2", json!({ "domain": "default", "code": "a", "owner": "admin",
                "redirect": 302, "url": &url, "title": &text, "note": &text, "tags": [&text],
                "externalId": &text, "expiredUrl": &url,
                "rules": [{ "when": { "query": { &text: [&text] } }, "url": &url }],
                "split": [{ "name": &text, "weight": 1, "url": &url }, { "name": "b", "weight": 1 }],
                "preview": { "title": &text, "description": &text, "image": &url } })),
            ("hoplog.link.destination-changed.v1", json!({ "url": &url })),
            ("hoplog.link.titled.v1", json!({ "title": &text })),
            ("hoplog.link.tagged.v1", json!({ "tags": [&text, "b"] })),
            ("hoplog.link.noted.v1", json!({ "note": &text })),
            ("hoplog.link.external-id-changed.v1", json!({ "externalId": &text })),
            ("hoplog.link.expired-url-changed.v1", json!({ "expiredUrl": &url })),
            ("hoplog.link.quarantined.v1", json!({ "reason": &text, "by": "blocklist",
                "entry": &text, "since": "2026-03-14T09:26:53.500Z" })),
            ("hoplog.link.released.v1", json!({ "entries": [&text] })),
            ("hoplog.link.appealed.v1", json!({ "text": &text })),
            ("hoplog.link.reported.v1", json!({ "category": "spam", "text": &text })),
            ("hoplog.link.rules-changed.v1",
                json!({ "rules": [{ "name": &text, "when": { "city": [&text] }, "url": &url }] })),
            ("hoplog.link.preview-changed.v1",
                json!({ "preview": { "title": &text, "description": &text, "image": &url } })),
            ("hoplog.link.title-fetched.v1", json!({ "url": &url, "title": &text })),
            ("hoplog.link.split-changed.v1", json!({ "split": [
                { "name": &text, "weight": 1, "url": &url }, { "name": "b", "weight": 1 }] })),
        ][which].clone();
        let mut event = event_with(name, &data, &correlation);
        if spaces {
            let pretty = serde_json::to_string_pretty(&value(&event.body)).unwrap();
            event.body = pretty.into();
        }
        let left = String::from_utf8(erased(&event, erase_link).body.to_vec()).unwrap();
        prop_assert!(!left.contains("cret"), "{}", left);
    }

    #[test]
    fn nobody_is_left_in_clicks_that_are_erased(
        clicks in proptest::collection::vec((secret(), any::<u64>(), any::<bool>()), 1..8),
        correlation in secret(),
    ) {
        let click = |(text, visitor, _): &(String, u64, bool)| json!({
            "domain": "default", "code": "a", "at": "2026-03-14T09:26:53.500Z", "country": "AT",
            "visitor": format!("{visitor:016x}"), "userAgent": text, "address": text,
            "rule": "r", "variant": "v",
        });
        let data = json!({ "clicks": clicks.iter().map(click).collect::<Vec<_>>() });
        let event = event_with("hoplog.clicks.recorded.v1", &data, &correlation);
        let places: Vec<ErasedClick> = clicks.iter().enumerate()
            .filter(|(_, (_, _, erase))| *erase)
            .map(|(place, (_, visitor, _))| ErasedClick {
                place, visitor: VisitorHash(!visitor), user_agent: Some("A".into()),
            })
            .collect();
        let after = value(&erased(&event, |event| erase_clicks(event, &places)).body);
        for (place, (text, visitor, erase)) in clicks.iter().enumerate() {
            let now = &after["data"]["clicks"][place];
            // What is counted stays, with the names that it is counted by; who made it is in none of it.
            let mut expected = click(&(text.clone(), *visitor, *erase));
            if *erase {
                expected["visitor"] = format!("{:016x}", !visitor).into();
                expected["userAgent"] = "A".into();
                expected.as_object_mut().unwrap().remove("address");
                prop_assert!(!now.to_string().contains("cret"), "{}", now);
            }
            prop_assert_eq!(now, &expected);
        }
        prop_assert_eq!(after.get("correlationid").is_none(), !places.is_empty());
    }
}
