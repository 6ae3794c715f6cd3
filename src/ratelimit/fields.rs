//! How things stand, as header fields: those of the IETF draft
//! `draft-ietf-httpapi-ratelimit-headers-10`, and the older `X-RateLimit-…` beside them.

use std::fmt::Write as _;
use std::time::Duration;

use hyper::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::{Charge, Decision, Policy, Standing};

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What an answer says of limits. Times are whole seconds, rounded up.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    policies: String,
    standings: String,
    /// Of the standing that matters most: limit, what is left of it, and until all is back.
    matters: Option<(u32, u32, u64)>,
}

impl Fields {
    /// Of charges and what was decided about them. Shadows are not told of.
    #[must_use]
    pub fn of(charges: &[Charge], decision: &Decision) -> Self {
        let mut fields = Self::default();
        for charge in charges.iter().filter(|charge| !charge.policy().is_shadow()) {
            let policy = charge.policy();
            for tier in policy.tiers() {
                let (name, window) = (item(policy, tier.window()), tier.window().as_secs());
                list(&mut fields.policies);
                let _ = write!(fields.policies, "{name};q={};w={window}", tier.limit());
            }
        }
        for standing in decision.standings() {
            let Some(charge) = charges.get(standing.charge()) else { continue };
            if charge.policy().is_shadow() {
                continue;
            }
            let name = item(charge.policy(), standing.window());
            list(&mut fields.standings);
            let t = seconds_up(standing.more_in());
            let _ = write!(fields.standings, "{name};r={};t={t}", standing.remaining());
        }
        let is_told = |standing: &&Standing| {
            charges.get(standing.charge()).is_some_and(|charge| !charge.policy().is_shadow())
        };
        fields.matters = decision
            .standing()
            .filter(is_told)
            .map(|standing| (standing.limit(), standing.remaining(), seconds_up(standing.reset())));
        fields
    }

    /// With what a later decision about the same request says; what is left of that matters if it is
    /// the smaller part of its limit.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (own, more) in
            [(&mut self.policies, &other.policies), (&mut self.standings, &other.standings)]
        {
            if !more.is_empty() {
                list(own);
                own.push_str(more);
            }
        }
        let part =
            |(limit, left, _): (u32, u32, u64)| u64::from(left) * 1_000 / u64::from(limit.max(1));
        self.matters = match (self.matters, other.matters) {
            (Some(own), Some(more)) if part(own) <= part(more) => Some(own),
            (own, more) => more.or(own),
        };
        self
    }

    /// Writes them. `now_s`: seconds since 1970, as `X-RateLimit-Reset` is an instant.
    pub fn write(&self, headers: &mut HeaderMap, now_s: u64) {
        for (name, value) in [(RATELIMIT_POLICY, &self.policies), (RATELIMIT, &self.standings)] {
            if let Some(value) = HeaderValue::from_str(value).ok().filter(|value| !value.is_empty())
            {
                headers.insert(name, value);
            }
        }
        if let Some((limit, remaining, reset_s)) = self.matters {
            headers.insert(X_LIMIT, limit.into());
            headers.insert(X_REMAINING, remaining.into());
            headers.insert(X_RESET, now_s.saturating_add(reset_s).into());
        }
    }
}

/// What a policy, or a tier of several, is called in fields and problems.
#[must_use]
pub fn item_name(policy: &Policy, window: Option<Duration>) -> String {
    match (policy.tiers(), window) {
        ([_, _, ..], Some(window)) => format!("{}-{}s", policy.name(), window.as_secs()),
        _ => policy.name().to_string(),
    }
}

/// As a string of the structured fields. Names have no character that would have to be escaped.
fn item(policy: &Policy, window: Duration) -> String {
    format!("\"{}\"", item_name(policy, Some(window)))
}

/// Whole seconds, rounded up: nobody comes too early.
#[must_use]
pub fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Whether an answer may have fields. Not a redirect: clients may delay following it. Nor one that
/// somebody may keep: it would tell of another time, and to others.
#[must_use]
pub fn may_tell<B>(response: &Response<B>) -> bool {
    let status = response.status();
    let is_kept = |value: &HeaderValue| {
        let value = value.as_bytes();
        let says =
            |word: &[u8]| value.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
        (says(b"max-age=") && !says(b"max-age=0")) || says(b"immutable") || says(b"s-maxage=")
    };
    let leads_elsewhere = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
    !leads_elsewhere && !response.headers().get_all(CACHE_CONTROL).iter().any(is_kept)
}

fn list(items: &mut String) {
    if !items.is_empty() {
        items.push_str(", ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up() {
        for (micros, seconds) in [(0, 0), (1, 1), (1_000_000, 1), (1_000_001, 2)] {
            assert_eq!(seconds_up(Duration::from_micros(micros)), seconds);
        }
    }

    /// Trap 16 (R22).
    #[test]
    fn trap_16_redirects_and_what_may_be_kept_have_no_fields() {
        let answer = |status: u16, cache: &'static str| {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
            may_tell(&response)
        };
        for (status, cache) in [
            (200, "no-store"),
            (201, "private, no-cache"),
            (200, "private, max-age=0"),
            (304, "no-cache"),
            (429, "no-store"),
        ] {
            assert!(answer(status, cache), "{status} {cache}");
        }
        for (status, cache) in [
            (302, "no-store"),
            (307, ""),
            (200, "private, max-age=60"),
            (200, "public, Immutable"),
            (200, "s-maxage=1"),
        ] {
            assert!(!answer(status, cache), "{status} {cache}");
        }
    }
}
