use super::*;
use serde_json::json;

#[test]
fn times_of_other_programs_are_understood() {
    for (text, expected) in [
        ("2026-05-17T10:00:00+05:30", Some("2026-05-17T04:30:00Z")),
        ("2026-05-17T10:00:00+0000", Some("2026-05-17T10:00:00Z")),
        ("2026-05-17 10:00:00", Some("2026-05-17T10:00:00Z")),
        ("2026-05-17T10:00:00.250Z", Some("2026-05-17T10:00:00.250Z")),
        ("2026-05-17", Some("2026-05-17T00:00:00Z")),
        ("tomorrow", None),
    ] {
        assert_eq!(instant(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn a_link_that_says_the_same_differs_in_nothing() {
    let mut item = Item::new("line 2".to_owned(), "a", "https://Bücher.example");
    item.set("tags", json!(["b", "a"]));
    item.set("expiresAt", "2099-01-01T05:30:00+05:30");
    item.set("archived", false);
    let mut link = json!({
        "url": "https://xn--bcher-kva.example/", "tags": ["a", "b"], "archived": true,
        "expiresAt": "2099-01-01T00:00:00Z", "title": "of no interest",
    });
    assert!(item.differences(&link).is_empty());
    link["url"] = "https://other.example/".into();
    link["tags"] = json!(["a"]);
    assert_eq!(item.differences(&link), ["tags", "url"]);
    item.set("utm", json!({"source": "x"}));
    link["url"] = "https://xn--bcher-kva.example/?utm_source=x".into();
    link["utm"] = json!({"source": "x", "medium": null});
    assert_eq!(item.differences(&link), ["tags"]);
}

/// Fault 6 of passwords in the field: an open link here is not the protected one of the source.
#[test]
fn fault_6_an_open_link_is_not_the_one_that_is_closed_there() {
    let mut item = Item::new("line 2".to_owned(), "a", "https://e.com/");
    item.set("password", "sesame");
    item.is_disabled = true;
    let open = json!({"url": "https://e.com/", "hasPassword": false, "state": "active"});
    assert_eq!(item.differences(&open), ["password", "state"]);
    let closed = json!({"url": "https://e.com/", "hasPassword": true, "state": "disabled"});
    assert!(item.differences(&closed).is_empty());
}

#[test]
fn long_texts_are_cut_and_that_is_told() {
    let mut item = Item::new(String::new(), "a", "https://e.com/");
    item.set_title(&format!("a\nb{}", "é".repeat(300)));
    item.set_note("x\r\ny\u{0}");
    assert_eq!(item.body["title"].as_str().unwrap().chars().count(), TITLE_CHARS_MAX);
    assert_eq!(item.body["note"], "x\ny");
    assert_eq!(item.left, ["the end of the title"]);
}

/// Fault 6 of passwords in the field: what was protected is not opened by moving.
#[test]
fn fault_6_a_password_that_is_not_told_keeps_a_link_out() {
    let mut item = Item::new(String::new(), "a", "https://e.com/");
    item.needs_password(true);
    assert!(item.refused.unwrap().contains("password"));
    let mut item = Item::new(String::new(), "a", "https://e.com/");
    item.set("password", "sesame");
    item.needs_password(true);
    assert_eq!(item.refused, None);
}
