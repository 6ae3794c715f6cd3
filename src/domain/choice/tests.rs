use serde_json::{Value, json};

use super::*;

/// What clicks say of a rule with these conditions.
fn told(when: &Value) -> Option<String> {
    let rules = json!([{ "name": "Eva", "when": when, "url": "https://example.com/" }]);
    let extras = Extras { rules: serde_json::from_value(rules).unwrap(), ..Extras::default() };
    Choice::Rule(0).rule(Some(&extras)).map(Cow::into_owned)
}

/// What clicks say is counted for good, also when it was forgotten who made them.
#[test]
fn no_rule_is_told_that_says_more_of_a_visitor_than_a_click_without_one_does() {
    for when in [
        json!({ "country": ["DE"], "region": ["Bavaria"], "city": ["Munich"] }),
        json!({ "device": ["mobile"], "system": ["iOS"], "browser": ["Safari"], "visitor": "human" }),
        json!({ "language": ["de"], "referrer": ["example.com"] }),
        json!({ "from": "2030-01-01T00:00:00Z", "until": "2031-01-01T00:00:00Z" }),
        json!({ "query": { "utm_source": null, "utm_medium": ["a"], "utm_campaign": ["b"] } }),
        json!({ "query": { "utm_term": null, "utm_content": null } }),
    ] {
        assert_eq!(told(&when).as_deref(), Some("Eva"), "{when}");
    }
    for when in [
        json!({ "address": ["192.0.2.7"] }),
        json!({ "country": ["DE"], "address": ["10.0.0.0/8"] }),
        json!({ "query": { "to": ["k7f3"] } }),
        json!({ "query": { "to": null } }),
        json!({ "query": { "utm_source": ["mail"], "to": null } }),
        json!({ "query": { "utm_id": ["k7f3"] } }),
        json!({ "query": { "UTM_SOURCE": ["k7f3"] } }),
    ] {
        assert_eq!(told(&when), None, "{when}");
    }
}
