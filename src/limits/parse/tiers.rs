//! How much: tiers, and what a request costs of them.

use std::num::NonZeroU32;
use std::time::Duration;

use toml::{Spanned, Value};

use super::parse;
use crate::domain::expiry::ExpiresIn;
use crate::limits::file::{PolicyFileError, Text, WrittenTier};
use crate::limits::places::Place;
use crate::limits::rules::Cost;
use crate::ratelimit::{Algorithm, Policy, TIERS_MAX, Tier, TierError};

pub(super) fn tiers(
    text: Text<'_>,
    written: &Spanned<Vec<Spanned<WrittenTier>>>,
) -> Result<Vec<Tier>, PolicyFileError> {
    let tiers = written.get_ref();
    if !(1..=TIERS_MAX).contains(&tiers.len()) {
        let reason = format!("tiers: there are {}; allowed: 1 to {TIERS_MAX}", tiers.len());
        return Err(text.wrong(written.span(), reason));
    }
    let mut read: Vec<Tier> = Vec::with_capacity(tiers.len());
    for written in tiers {
        let tier = tier(text, written)?;
        // Clients know a tier of several by its window.
        if read.iter().any(|other| other.window() == tier.window()) {
            let per = &written.get_ref().per;
            let reason = format!("per: two tiers have {}; allowed: one of each", per.get_ref());
            return Err(text.wrong(per.span(), reason));
        }
        read.push(tier);
    }
    Ok(read)
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
pub(super) fn cost(
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
