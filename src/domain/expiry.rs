//! When a link ends: an instant, or a time from now.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};

/// The furthest end: about a hundred years.
const SECONDS_MAX: u64 = 100 * 366 * 86_400;

/// When a link ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// At this instant.
    At(DateTime<Utc>),
    /// This long from the command.
    In(ExpiresIn),
}

impl Expiry {
    /// The instant, for a command that is given at `now`.
    #[must_use]
    pub fn instant(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Expiry::At(instant) => instant,
            Expiry::In(ExpiresIn { seconds }) => {
                let delta = TimeDelta::try_seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
                let end = delta.and_then(|delta| now.checked_add_signed(delta));
                end.unwrap_or(DateTime::<Utc>::MAX_UTC)
            }
        }
    }
}

/// Whether an end is further away than links may live.
#[must_use]
pub fn is_too_far(expires_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (expires_at - now).num_seconds().unsigned_abs() > SECONDS_MAX
}

/// A time from now: a whole number with a unit (`30s`, `90m`, `12h`, `7d`, `2w`), or of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiresIn {
    seconds: u64,
}

/// A text that is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExpiresInError {
    /// Write it like the examples.
    #[error("must be a whole number with a unit s, m, h, d or w, such as 7d, or of seconds")]
    Syntax,
    /// Give at least a second.
    #[error("must be longer than nothing")]
    Zero,
    /// Give less.
    #[error("must be at most 100 years")]
    TooLong,
}

impl ExpiresIn {
    /// How long, in seconds; one at least.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.seconds
    }
}

impl FromStr for ExpiresIn {
    type Err = ExpiresInError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
        let unit: u64 = match &text[digits.len()..] {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return Err(ExpiresInError::Syntax),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ExpiresInError::Syntax);
        }
        let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        match seconds {
            Some(0) => Err(ExpiresInError::Zero),
            Some(seconds) if seconds <= SECONDS_MAX => Ok(Self { seconds }),
            _ => Err(ExpiresInError::TooLong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(text: &str) -> Result<u64, ExpiresInError> {
        text.parse::<ExpiresIn>().map(|within| within.seconds)
    }

    #[test]
    fn a_duration_is_a_number_with_a_unit() {
        for (text, expected) in [
            ("30s", 30),
            ("90m", 5_400),
            ("12h", 43_200),
            ("7d", 604_800),
            ("2w", 1_209_600),
            ("60", 60),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
    }

    /// Trap 16 (U16): texts that concatenate, negative and absurd durations.
    #[test]
    fn trap_16_strange_durations_are_refused() {
        for text in [
            "", "d", "-1d", "+1d", "1.5d", "1e9", "0x10", " 7d", "7 d", "7D", "7dd", "1d2h", "٣d",
            "NaN",
        ] {
            assert_eq!(seconds(text), Err(ExpiresInError::Syntax), "{text}");
        }
        assert_eq!(seconds("0"), Err(ExpiresInError::Zero));
        for text in ["101y9", "36601d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        for text in ["5300w", "99999999999999999999d", "18446744073709551615w"] {
            assert_eq!(seconds(text), Err(ExpiresInError::TooLong), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_duration_gives_an_instant_after_now(number in 1..3_000_000_000_u64, now in 0..4_000_000_000_i64) {
            let now = DateTime::from_timestamp(now, 0).unwrap();
            let within: ExpiresIn = number.to_string().parse().unwrap();
            prop_assert!(Expiry::In(within).instant(now) > now);
        }
    }
}
