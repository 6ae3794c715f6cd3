//! From what a policy file says to rules, word by word; the first mistake is named with its line.

use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;

use super::file::{Matches, PolicyFile, PolicyFileError, Text, Written};
use super::places::{Place, WORDS as PLACES};
use super::rules::{Crowd, Rule, Rules};
use super::who::{By, WORDS as BYS};
use crate::ratelimit::{CHARGES_MAX, Outage, Policy, PolicyName, Refund};

mod filters;
mod tiers;

use filters::{exceptions, first_of_request, only};

/// Policies that hold at the same time: each has metrics of its own.
pub const POLICIES_MAX: usize = 64;

/// The policies that are built in.
const DEFAULTS: &str = include_str!("defaults.toml");

const OUTAGES: [(&str, Outage); 3] =
    [("local", Outage::Local), ("open", Outage::Open), ("closed", Outage::Closed)];

const REFUNDS: [(&str, Refund); 3] =
    [("never", Refund::Never), ("success", Refund::OnSuccess), ("failure", Refund::OnFailure)];

impl Rules {
    /// The policies that are built in.
    ///
    /// # Errors
    /// Never, as a test says.
    pub fn builtin() -> Result<Self, PolicyFileError> {
        let text = Text(DEFAULTS);
        Self::of(text, &text.read()?, Vec::new())
    }

    /// The policies of a policy file.
    ///
    /// # Errors
    /// Names the line of the first mistake.
    pub fn parse(text: &str) -> Result<Self, PolicyFileError> {
        let text = Text(text);
        Self::with_builtin(text, &text.read()?)
    }

    /// The policies under `rate_limits` in a settings file.
    ///
    /// # Errors
    /// Names the line of the first mistake.
    pub fn parse_settings(text: &str) -> Result<Self, PolicyFileError> {
        let text = Text(text);
        Self::with_builtin(text, &text.read_settings()?)
    }

    fn with_builtin(text: Text<'_>, file: &PolicyFile) -> Result<Self, PolicyFileError> {
        let builtin = if file.builtin { Self::builtin()?.into_all() } else { Vec::new() };
        Self::of(text, file, builtin)
    }

    /// A policy takes the place of one of its name that is built in.
    fn of(
        text: Text<'_>,
        file: &PolicyFile,
        mut rules: Vec<Rule>,
    ) -> Result<Self, PolicyFileError> {
        let builtin = rules.len();
        for written in &file.policies {
            let rule = rule(text, written)?;
            let name = written.get_ref().name.span();
            let same = rules.iter().position(|other| other.name() == rule.name());
            match same {
                Some(place) if place < builtin => rules[place] = rule,
                Some(_) => {
                    let reason = format!("there are two policies with the name {:?}", rule.name());
                    return Err(text.wrong(name, reason));
                }
                None => rules.push(rule),
            }
            if rules.len() > POLICIES_MAX {
                let reason = format!("there are more than {POLICIES_MAX} policies");
                return Err(text.wrong(written.span(), reason));
            }
        }
        let rules = Self::new(rules);
        match rules.crowd() {
            None => Ok(rules),
            Some(crowd) => Err(crowded(text, file, &crowd)),
        }
    }
}

/// Names the first policy that is one too many.
fn crowded(text: Text<'_>, file: &PolicyFile, crowd: &Crowd<'_>) -> PolicyFileError {
    let names = file.policies.iter().map(|written| &written.get_ref().name);
    let written: Vec<_> =
        names.filter(|name| crowd.policies.contains(&name.get_ref().as_str())).collect();
    let builtin = crowd.policies.len() - written.len();
    let at = written.get(CHARGES_MAX.saturating_sub(builtin)).or(written.last());
    let reason = format!(
        "{} policies may hold for one request at {} ({}); allowed: {CHARGES_MAX}",
        crowd.policies.len(),
        crowd.place,
        crowd.policies.join(", ")
    );
    text.wrong(at.map(|name| name.span()).unwrap_or_default(), reason)
}

fn rule(text: Text<'_>, written: &Spanned<Written>) -> Result<Rule, PolicyFileError> {
    let Written { name, matches, except, by, tiers, cost, outage, refund, shadow } =
        written.get_ref();
    let parsed: PolicyName = parse(text, name, |error| format!("a policy's name: {error}"))?;
    let places = places(text, matches)?;
    let by = fitting(text, by, &places)?;
    let tiers = tiers::tiers(text, tiers)?;
    let refund = giving_back(text, refund.as_ref(), &places)?;
    let outage = word(text, "outage", outage.as_ref(), &OUTAGES)?;
    let policy = Policy::new(parsed, tiers);
    let policy = policy.map_err(|error| text.wrong(written.span(), error.to_string()))?;
    let policy = policy.with_outage(outage).with_refund(refund).with_shadow(*shadow);
    let cost = tiers::cost(text, cost.as_ref(), &places, &policy)?;
    let only = only(text, matches.get_ref())?;
    if let Some(given) = first_of_request(matches.get_ref(), except)
        && places.contains(&Place::Service)
    {
        let reason =
            "service: another service asks there, whose methods and addresses mean nothing";
        return Err(text.wrong(given.span(), reason));
    }
    let except = exceptions(text, except)?;
    let looks_at_keys = only.needs_keys() || except.needs_keys();
    if looks_at_keys && let Some(place) = places.iter().find(|place| !place.knows_keys()) {
        let reason = format!("{}: nothing is known of keys there", place.name());
        return Err(text.wrong(matches.span(), reason));
    }
    Ok(Rule::new(policy, (places, by, cost), (only, except)))
}

fn places(text: Text<'_>, matches: &Spanned<Matches>) -> Result<Vec<Place>, PolicyFileError> {
    let routes = &matches.get_ref().routes;
    if routes.is_empty() {
        let reason =
            format!("match needs routes: {}", allowed(PLACES.iter().map(|(name, _)| *name)));
        return Err(text.wrong(matches.span(), reason));
    }
    let place = |route: &Spanned<String>| {
        Place::of(route.get_ref()).ok_or_else(|| {
            let parts = allowed(PLACES.iter().map(|(name, _)| *name));
            let reason = format!(
                "routes: {:?} is none; allowed: {parts}, or a route of the API as /openapi.json \
                 has it, such as /api/v1/links/{{code}}",
                route.get_ref()
            );
            text.wrong(route.span(), reason)
        })
    };
    routes.iter().map(place).collect()
}

/// By what is counted, if that is known in all the places.
fn fitting(text: Text<'_>, by: &Spanned<String>, places: &[Place]) -> Result<By, PolicyFileError> {
    let chosen = word(text, "by", Some(by), &BYS)?;
    let misfit = places.iter().find(|place| !known_at(**place).contains(&chosen));
    match misfit {
        None => Ok(chosen),
        Some(place) => {
            let known = allowed(known_at(*place).iter().map(|by| by.name()));
            let reason = format!(
                "by: {:?} is not known at {}; allowed: {known}",
                chosen.name(),
                place.name()
            );
            Err(text.wrong(by.span(), reason))
        }
    }
}

fn known_at(place: Place) -> &'static [By] {
    match place {
        Place::Redirect | Place::UnknownCode => &[By::Address, By::Everyone],
        Place::AuthFailure => &[By::Address, By::KeyPrefix, By::Everyone],
        Place::WrongPassword | Place::Report => &[By::Address, By::Link, By::Everyone],
        Place::Service => &[By::Subject, By::Everyone],
        Place::Bulk => &[By::Address, By::Key, By::Owner, By::Everyone],
        Place::Api | Place::Create | Place::Rename | Place::Route(_) => {
            &[By::Address, By::Key, By::Owner, By::KeyOrAddress, By::Everyone]
        }
    }
}

/// When something is given back, where it is known how a request ends.
fn giving_back(
    text: Text<'_>,
    given: Option<&Spanned<String>>,
    places: &[Place],
) -> Result<Refund, PolicyFileError> {
    let refund = word(text, "refund", given, &REFUNDS)?;
    let is_known = |place: &&Place| place.is_of_the_api() || **place == Place::Bulk;
    match places.iter().find(|place| !is_known(place)) {
        Some(place) if refund != Refund::Never => {
            let at = given.map(Spanned::span).unwrap_or_default();
            let reason =
                format!("refund: nothing is given back at {}; allowed: never", place.name());
            Err(text.wrong(at, reason))
        }
        _ => Ok(refund),
    }
}

fn parse<T: FromStr>(
    text: Text<'_>,
    given: &Spanned<String>,
    reason: impl Fn(T::Err) -> String,
) -> Result<T, PolicyFileError> {
    given.get_ref().parse().map_err(|error| text.wrong(given.span(), reason(error)))
}

/// One of several words; the first is the default.
fn word<T: Copy>(
    text: Text<'_>,
    name: &str,
    given: Option<&Spanned<String>>,
    words: &[(&str, T)],
) -> Result<T, PolicyFileError> {
    let at: Range<usize> = given.map(Spanned::span).unwrap_or_default();
    let said = given.map_or(words[0].0, |given| given.get_ref());
    let known = words.iter().find(|(word, _)| *word == said);
    known.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let reason = format!(
            "{name} is {said:?}; allowed: {}",
            allowed(words.iter().map(|(word, _)| *word))
        );
        text.wrong(at, reason)
    })
}

fn allowed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}
