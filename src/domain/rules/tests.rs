//! Against a model that is slow and plain.

use std::net::IpAddr;

use chrono::{DateTime, Timelike, Utc};
use hoplog_events::link::{Rule, Rules};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};
use url::form_urlencoded::parse;

use super::{Preferred, Visitor, first_that_holds, preferred};

/// Somebody of whom everything is known, or nothing.
#[derive(Debug, Clone)]
struct Somebody {
    now: DateTime<Utc>,
    address: &'static str,
    query: &'static str,
    country: Option<&'static str>,
    city: Option<&'static str>,
    device: &'static str,
    system: &'static str,
    is_bot: bool,
    referrer: &'static str,
    languages: &'static str,
}

impl Visitor for Somebody {
    fn now(&self) -> DateTime<Utc> {
        self.now
    }

    fn address(&self) -> Option<IpAddr> {
        self.address.parse().ok()
    }

    fn user_agent(&self) -> &'static str {
        ""
    }

    fn query(&self) -> Option<&str> {
        Some(self.query).filter(|query| !query.is_empty())
    }

    fn country(&self) -> Option<&str> {
        self.country
    }

    fn region(&self) -> Option<&str> {
        self.city
    }

    fn city(&self) -> Option<&str> {
        self.city
    }

    fn device(&self) -> &str {
        self.device
    }

    fn system(&self) -> &str {
        self.system
    }

    fn browser(&self) -> &str {
        self.system
    }

    fn is_bot(&self) -> bool {
        self.is_bot
    }

    fn referrer_host(&self) -> &str {
        self.referrer
    }

    fn language(&self) -> Option<Preferred<'_>> {
        preferred(self.languages)
    }
}

const COUNTRIES: [&str; 3] = ["DE", "AT", "US"];
const CITIES: [&str; 3] = ["Wien", "Zürich", "ÖDENBURG"];
const DEVICES: [&str; 3] = ["desktop", "mobile", "bot"];
const SYSTEMS: [&str; 3] = ["iOS", "Windows", "Android"];
const LANGUAGES: [&str; 5] = ["de", "de-at", "en", "fr", "*"];
const HOSTS: [&str; 4] = ["", "a.example", "*.a.example", "b.example"];
const NETWORKS: [&str; 3] = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"];
const INSTANTS: [&str; 3] =
    ["2026-01-01T06:00:00Z", "2026-01-01T12:00:00Z", "2026-01-01T18:00:00Z"];

fn somebody() -> impl Strategy<Value = Somebody> {
    let place = (
        select(vec![None, Some("DE"), Some("AT"), Some("FR")]),
        select(vec![None, Some("wien"), Some("ZÜRICH"), Some("ödenburg")]),
    );
    let program = (select(&DEVICES[..]), select(vec!["iOS", "WINDOWS", "Unknown"]), any::<bool>());
    let request = (
        select(vec!["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1", "192.0.2.1", "192.0.2.2"]),
        select(vec!["", "a=1", "a=%31&b", "a=2&b=x+y", "b=x%20y", "c"]),
        select(vec!["", "a.example", "x.a.example", "xa.example", "b.example"]),
        select(vec!["", "de-AT,en;q=0.9", "en;q=0.1,fr;q=0.2", "*", "*,de;q=0", "de;q=0"]),
    );
    let hour = 0..24_u32;
    (place, program, request, hour).prop_map(|(place, program, request, hour)| Somebody {
        now: "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap().with_hour(hour).unwrap(),
        address: request.0,
        query: request.1,
        country: place.0,
        city: place.1,
        device: program.0,
        system: program.1,
        is_bot: program.2,
        referrer: request.2,
        languages: request.3,
    })
}

/// Some of the conditions there are, each with some of the values.
fn when() -> impl Strategy<Value = Value> {
    let some = |values: &'static [&'static str]| {
        subsequence(values, 1..=values.len()).prop_map(|values| json!(values)).boxed()
    };
    let query = select(vec![
        json!({ "a": ["1"] }),
        json!({ "a": null }),
        json!({ "a": ["1", "2"], "b": ["x y", ""] }),
    ]);
    let time = select(vec![
        json!({ "from": "06:00", "until": "18:00", "timezone": "UTC" }),
        json!({ "from": "18:00", "until": "06:00", "days": ["thu"], "timezone": "UTC" }),
    ]);
    let conditions = vec![
        ("country", some(&COUNTRIES)),
        ("region", some(&CITIES)),
        ("city", some(&CITIES)),
        ("device", some(&DEVICES)),
        ("system", some(&SYSTEMS)),
        ("browser", some(&SYSTEMS)),
        ("language", some(&LANGUAGES)),
        ("query", query.boxed()),
        ("referrer", some(&HOSTS)),
        ("address", some(&NETWORKS)),
        ("from", select(&INSTANTS[..]).prop_map(|at| json!(at)).boxed()),
        ("until", select(&INSTANTS[..]).prop_map(|at| json!(at)).boxed()),
        ("time", time.boxed()),
        ("visitor", select(vec![json!("human"), json!("bot")]).boxed()),
    ];
    subsequence(conditions, 0..=3).prop_flat_map(|conditions| {
        let (names, values): (Vec<_>, Vec<_>) = conditions.into_iter().unzip();
        values.prop_map(move |values| names.iter().copied().zip(values).collect::<Value>())
    })
}

/// The model: everything is decoded, copied and compared in lower case.
fn model_holds(when: &Value, who: &Somebody) -> bool {
    when.as_object().unwrap().iter().all(|(name, wanted)| {
        let some = || -> Vec<String> {
            wanted
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it.as_str().unwrap().to_lowercase())
                .collect()
        };
        let has = |value: Option<&str>| value.is_some_and(|it| some().contains(&it.to_lowercase()));
        let instant = || wanted.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
        match name.as_str() {
            "country" => has(who.country),
            "region" | "city" => has(who.city),
            "device" => has(Some(who.device)),
            "system" | "browser" => has(Some(who.system)),
            "language" => some().iter().any(|range| model_likes(who.languages, range)),
            "query" => model_query(wanted, who.query),
            "referrer" => some().iter().any(|pattern| match pattern.strip_prefix("*") {
                Some(end) => who.referrer.ends_with(end) && who.referrer != end,
                None => who.referrer == pattern,
            }),
            "address" => some().iter().any(|network| match &**network {
                "10.0.0.0/8" => who.address.contains("10.1."),
                "2001:db8::/32" => who.address.starts_with("2001:db8:"),
                other => who.address == other,
            }),
            "from" => instant() <= who.now,
            "until" => who.now < instant(),
            // The day is a Thursday: what began on the evening before is of a Wednesday.
            "time" if wanted["days"].is_array() => who.now.hour() >= 18,
            "time" => (6..18).contains(&who.now.hour()),
            "visitor" => who.is_bot == (wanted == "bot"),
            other => panic!("{other}"),
        }
    })
}

fn model_query(wanted: &Value, query: &str) -> bool {
    wanted.as_object().unwrap().iter().all(|(name, values)| {
        parse(query.as_bytes()).any(|(given, value)| {
            given == *name
                && (values.is_null() || values.as_array().unwrap().contains(&json!(value)))
        })
    })
}

/// Written out: which ranges each header that is sent here is liked by.
fn model_likes(header: &str, range: &str) -> bool {
    let liked: &[&str] = match header {
        "de-AT,en;q=0.9" => &["de", "de-at", "*"],
        "en;q=0.1,fr;q=0.2" => &["fr", "*"],
        "*" => &LANGUAGES,
        "*,de;q=0" => &["en", "fr", "*"],
        _ => &[],
    };
    liked.contains(&range)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_first_rule_that_holds_decides(
        whens in proptest::collection::vec(when(), 0..6),
        who in somebody(),
    ) {
        let rule = |when: &Value| -> Rule {
            serde_json::from_value(json!({ "when": when, "url": "https://e.com/" })).unwrap()
        };
        let rules = Rules::try_from(whens.iter().map(rule).collect::<Vec<_>>()).unwrap();
        let expected = whens.iter().position(|when| model_holds(when, &who));
        prop_assert_eq!(first_that_holds(&rules, &who), expected);
    }
}
