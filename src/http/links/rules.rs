//! Rules, as clients send them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use hoplog_events::link::{
    Conditions, Country, ParameterText, RULE_PARAMETERS_MAX, RULE_VALUES_MAX, RULES_MAX, Rule,
    Rules, TimeWindow, Word,
};
use hoplog_projections::user_agents::{is_browser, is_system};
use serde_json::Value;

use super::request::Rfc3339;
use crate::domain::countries::is_country;
use crate::http::fields::{Fields, Patch, kind};

mod body;

pub(super) use body::RuleBody;

/// The field of the rules.
pub(super) const RULES: &str = "rules";

/// Takes the rules; `null`: none. `None`: they are not there, or something is wrong with them.
pub(super) fn rules(fields: &mut Fields) -> Option<Rules> {
    let rules = fields.objects(RULES, RULES_MAX, rule)?;
    Rules::try_from(rules).map_err(|error| fields.wrong(RULES, "too_long", error.to_string())).ok()
}

fn rule(rule: &mut Fields) -> Option<Rule> {
    // All of them are looked at, so that all that is wrong is told.
    let (name, when, url) = (rule.optional("name"), when(rule), rule.required("url"));
    Some(Rule { name, when: when?, url: url? })
}

/// A rule for everybody would be the end of the list: the link's own destination is that already.
fn when(rule: &mut Fields) -> Option<Conditions> {
    let was_right = rule.is_right();
    let mut when = match rule.object("when") {
        Patch::Set(when) => when,
        Patch::Keep | Patch::Clear => {
            if rule.is_right() || !was_right {
                rule.wrong("when", "required", "must be given");
            }
            return None;
        }
    };
    let conditions = conditions(&mut when);
    let asks_nothing =
        conditions == Conditions::default() && when.is_right() && when.names().is_empty();
    rule.absorb(when);
    if asks_nothing {
        let detail = "must have a condition: all others are led to the link's own url";
        rule.wrong("when", "required", detail);
    }
    Some(conditions)
}

fn conditions(when: &mut Fields) -> Conditions {
    let conditions = Conditions {
        country: values(when, "country"),
        region: values(when, "region"),
        city: values(when, "city"),
        device: values(when, "device"),
        system: values(when, "system"),
        browser: values(when, "browser"),
        language: values(when, "language"),
        query: query(when),
        referrer: values(when, "referrer"),
        address: values(when, "address"),
        from: when.optional("from").map(|Rfc3339(instant)| instant),
        until: when.optional("until").map(|Rfc3339(instant)| instant),
        time: time(when),
        visitor: when.optional("visitor"),
    };
    check(when, &conditions);
    conditions
}

/// What would never hold, and nobody would notice.
fn check(when: &mut Fields, conditions: &Conditions) {
    let Conditions { country, system, browser, from, until, .. } = conditions;
    if when.is_right() {
        check_names(when, country, system, browser);
    }
    if from.zip(*until).is_some_and(|(from, until)| until <= from) {
        when.wrong("until", "invalid", "must be later than from");
    }
}

/// Only where all values of all lists are there: what could not be read has left its place to the next.
fn check_names(when: &mut Fields, countries: &[Country], systems: &[Word], browsers: &[Word]) {
    for place in unknown(countries, is_country) {
        let detail = "is no country of ISO 3166 (the United Kingdom is GB)";
        when.wrong(&format!("country/{place}"), "unknown", detail);
    }
    for place in unknown(systems, |name| is_system(name.as_str())) {
        let detail = "is no system that visits are told apart by, such as Windows, macOS, Linux, Android or iOS";
        when.wrong(&format!("system/{place}"), "unknown", detail);
    }
    for place in unknown(browsers, |name| is_browser(name.as_str())) {
        let detail =
            "is no browser that visits are told apart by, such as Chrome, Safari, Firefox or Edge";
        when.wrong(&format!("browser/{place}"), "unknown", detail);
    }
}

fn unknown<T>(values: &[T], is_known: impl Fn(&T) -> bool) -> Vec<usize> {
    let values = values.iter().enumerate();
    values.filter(|(_, value)| !is_known(value)).map(|(place, _)| place).collect()
}

fn values<T>(when: &mut Fields, name: &str) -> Vec<T>
where
    T: FromStr,
    T::Err: Display,
{
    when.some(name, RULE_VALUES_MAX)
}

/// Parameters with the values that will do: one, a list of them, or `null` for any.
fn query(when: &mut Fields) -> BTreeMap<ParameterText, Option<Vec<ParameterText>>> {
    let Patch::Set(mut query) = when.object("query") else { return BTreeMap::new() };
    let (names, mut wanted) = (query.names(), BTreeMap::new());
    if names.is_empty() || names.len() > RULE_PARAMETERS_MAX {
        let detail = format!("must name 1 to {RULE_PARAMETERS_MAX} parameters");
        when.wrong("query", "too_many", detail);
        return wanted;
    }
    for name in names {
        match name.parse() {
            Ok(parsed) => {
                wanted.insert(parsed, parameter(&mut query, &name));
            }
            Err(error) => {
                query.raw(&name);
                query.wrong_named(&name, "invalid", format!("the name {error}"));
            }
        }
    }
    when.absorb(query);
    wanted
}

/// Also what is wrong with one gives a value: the request is refused as a whole.
fn parameter(query: &mut Fields, name: &str) -> Option<Vec<ParameterText>> {
    let values = match query.raw(name)? {
        Value::Null => return None,
        Value::String(value) => vec![Value::String(value)],
        Value::Array(values) if (1..=RULE_VALUES_MAX).contains(&values.len()) => values,
        Value::Array(_) => {
            query.wrong_named(name, "invalid", format!("must have 1 to {RULE_VALUES_MAX} values"));
            return None;
        }
        other => {
            let detail =
                format!("must be a string, a list of strings or null, not {}", kind(&other));
            query.wrong_named(name, "type", detail);
            return None;
        }
    };
    let mut parsed = Vec::with_capacity(values.len());
    for value in values {
        match value.as_str().map(str::parse::<ParameterText>) {
            Some(Ok(value)) => parsed.push(value),
            Some(Err(error)) => query.wrong_named(name, "invalid", error.to_string()),
            None => query.wrong_named(name, "type", "must be a string, a list of strings or null"),
        }
    }
    Some(parsed)
}

fn time(when: &mut Fields) -> Option<TimeWindow> {
    let Patch::Set(mut time) = when.object("time") else { return None };
    let (days, from, until) = (time.some("days", 7), time.optional("from"), time.optional("until"));
    let says_nothing = days.is_empty() && from.is_none() && until.is_none() && time.is_right();
    let timezone = time.required("timezone");
    if says_nothing {
        time.wrong("days", "required", "must be given, or from or until");
    }
    let window = timezone.map(|timezone| TimeWindow { days, from, until, timezone });
    if let Some(Err(error)) = window.as_ref().map(TimeWindow::check) {
        time.wrong("until", "invalid", error.to_string());
    }
    when.absorb(time);
    window
}
