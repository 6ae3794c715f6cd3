//! From what a policy file says to rules, word by word; the first mistake is named with its line.

use std::num::NonZeroU32;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use hoplog_events::account::Scope;
use hyper::Method;
use toml::{Spanned, Value};
use uuid::Uuid;

use super::file::{Except, Matches, PolicyFile, PolicyFileError, Text, Written, WrittenTier};
use super::places::{Place, WORDS as PLACES};
use super::rules::{Cost, Rule, Rules};
use super::who::{By, Filter, WORDS as BYS};
use crate::domain::expiry::ExpiresIn;
use crate::ratelimit::{
    Algorithm, CHARGES_MAX, Outage, Policy, PolicyName, Refund, TIERS_MAX, Tier, TierError,
};

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
        match rules.overcrowded() {
            None => Ok(rules),
            Some(place) => {
                let name = place.name();
                let reason =
                    format!("more than {CHARGES_MAX} policies hold for every request at {name}");
                Err(PolicyFileError { line: 1, reason })
            }
        }
    }
}

fn rule(text: Text<'_>, written: &Spanned<Written>) -> Result<Rule, PolicyFileError> {
    let Written { name, matches, except, by, tiers, cost, outage, refund, shadow } =
        written.get_ref();
    let parsed: PolicyName = parse(text, name, |error| format!("a policy's name: {error}"))?;
    let places = places(text, matches)?;
    let by = fitting(text, by, &places)?;
    let tiers = self::tiers(text, tiers)?;
    let refund = word(text, "refund", refund.as_ref(), &REFUNDS)?;
    let outage = word(text, "outage", outage.as_ref(), &OUTAGES)?;
    let policy = Policy::new(parsed, tiers);
    let policy = policy.map_err(|error| text.wrong(written.span(), error.to_string()))?;
    let policy = policy.with_outage(outage).with_refund(refund).with_shadow(*shadow);
    let cost = self::cost(text, cost.as_ref(), &places, &policy)?;
    let only = only(text, matches.get_ref())?;
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
        Place::Service => &[By::Subject, By::Everyone],
        Place::Bulk => &[By::Address, By::Key, By::Owner, By::Everyone],
        Place::Api | Place::Create | Place::Route(_) => {
            &[By::Address, By::Key, By::Owner, By::KeyOrAddress, By::Everyone]
        }
    }
}

fn tiers(
    text: Text<'_>,
    written: &Spanned<Vec<Spanned<WrittenTier>>>,
) -> Result<Vec<Tier>, PolicyFileError> {
    let tiers = written.get_ref();
    if !(1..=TIERS_MAX).contains(&tiers.len()) {
        let reason = format!("tiers: there are {}; allowed: 1 to {TIERS_MAX}", tiers.len());
        return Err(text.wrong(written.span(), reason));
    }
    tiers.iter().map(|written| tier(text, written)).collect()
}

fn tier(text: Text<'_>, written: &Spanned<WrittenTier>) -> Result<Tier, PolicyFileError> {
    let WrittenTier { limit, per, algorithm, burst } = written.get_ref();
    let algorithm =
        algorithm.as_ref().map(|given| parse(text, given, |error: TierError| error.to_string()));
    let algorithm = algorithm.transpose()?.unwrap_or(Algorithm::Gcra);
    // What is no such number is refused as one that is out of bounds.
    let number = |given: &Spanned<i64>| u32::try_from(*given.get_ref()).unwrap_or(0);
    let (count, burst_count) = (number(limit), burst.as_ref().map(number));
    let window: ExpiresIn = parse(text, per, |error| format!("per: {error}"))?;
    let tier = Tier::new(algorithm, count, Duration::from_secs(window.seconds()), burst_count);
    tier.map_err(|error| {
        let at = match error {
            TierError::Limit | TierError::LogLimit => limit.span(),
            TierError::Window => per.span(),
            TierError::Burst | TierError::NoBurst => {
                burst.as_ref().map_or(written.span(), Spanned::span)
            }
            TierError::Algorithm | TierError::Fill => written.span(),
        };
        text.wrong(at, error.to_string())
    })
}

/// What a request costs. One that costs more than a tier ever has could never pass.
fn cost(
    text: Text<'_>,
    given: Option<&Spanned<Value>>,
    places: &[Place],
    policy: &Policy,
) -> Result<Cost, PolicyFileError> {
    let Some(given) = given else { return Ok(Cost::Of(NonZeroU32::MIN)) };
    let wrong = |reason: String| Err(text.wrong(given.span(), format!("cost: {reason}")));
    match given.get_ref() {
        Value::String(word) if word == "links" => {
            let makes = |place: &Place| matches!(place, Place::Bulk | Place::Create);
            if places.iter().all(makes) {
                return Ok(Cost::Links);
            }
            wrong("links are made at create and bulk only".to_owned())
        }
        Value::Integer(number) => {
            let most = policy.capacity();
            let number = u32::try_from(*number).ok().and_then(NonZeroU32::new);
            match number.filter(|number| number.get() <= most) {
                Some(number) => Ok(Cost::Of(number)),
                None => wrong(format!(
                    "a request that costs that could never pass; allowed: 1 to {most}"
                )),
            }
        }
        _ => wrong("allowed: a whole number, or \"links\"".to_owned()),
    }
}

fn only(text: Text<'_>, written: &Matches) -> Result<Filter, PolicyFileError> {
    let Matches { routes: _, methods, addresses, keys, owners, scopes } = written;
    filter(text, [methods, addresses, keys, owners, scopes])
}

fn exceptions(text: Text<'_>, written: &Except) -> Result<Filter, PolicyFileError> {
    let Except { methods, addresses, keys, owners, scopes } = written;
    filter(text, [methods, addresses, keys, owners, scopes])
}

fn filter(
    text: Text<'_>,
    [methods, addresses, keys, owners, scopes]: [&Vec<Spanned<String>>; 5],
) -> Result<Filter, PolicyFileError> {
    let network = |given: &Spanned<String>| {
        let one = given.get_ref().parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
        let network = one.or_else(|_| given.get_ref().parse::<ipnet::IpNet>());
        network.map_err(|_| {
            let reason = format!(
                "addresses: {:?} is none; allowed: networks such as 10.0.0.0/8, fd00::/8",
                given.get_ref()
            );
            text.wrong(given.span(), reason)
        })
    };
    let method = |given: &Spanned<String>| {
        let known = [Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE];
        known.into_iter().find(|method| method.as_str() == given.get_ref()).ok_or_else(|| {
            let reason = format!(
                "methods: {:?} is none; allowed: GET, HEAD, POST, PATCH, DELETE",
                given.get_ref()
            );
            text.wrong(given.span(), reason)
        })
    };
    let key = |given: &Spanned<String>| {
        let id: Uuid = parse(text, given, |_: uuid::Error| {
            "keys: the id of a key, as `hoplog key list` has it".to_owned()
        })?;
        Ok(format!("key:{id}").into())
    };
    let owner = |given: &Spanned<String>| {
        let owner: hoplog_events::link::OwnerId =
            parse(text, given, |error| format!("owners: {error}"))?;
        Ok(owner.as_str().into())
    };
    let scope =
        |given: &Spanned<String>| parse::<Scope>(text, given, |error| format!("scopes: {error}"));
    Ok(Filter {
        methods: methods.iter().map(method).collect::<Result<_, _>>()?,
        addresses: addresses.iter().map(network).collect::<Result<_, _>>()?,
        keys: keys.iter().map(key).collect::<Result<_, _>>()?,
        owners: owners.iter().map(owner).collect::<Result<_, _>>()?,
        scopes: scopes.iter().map(scope).collect::<Result<_, _>>()?,
    })
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
