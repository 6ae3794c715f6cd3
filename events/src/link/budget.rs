//! How many clicks a link may be given.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most clicks a budget can have. Each may be an event of its own, and a link is the sum of its events.
pub const MAX_CLICKS_MAX: u32 = 100_000;

/// How many clicks a link is good for: 1 to [`MAX_CLICKS_MAX`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "u32", into = "u32")]
#[schemars(with = "u32", extend("minimum" = 1, "maximum" = MAX_CLICKS_MAX))]
pub struct MaxClicks(NonZeroU32);

/// Give a whole number within the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 1 to {MAX_CLICKS_MAX}")]
pub struct MaxClicksError;

impl MaxClicks {
    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for MaxClicks {
    type Error = MaxClicksError;

    fn try_from(clicks: u32) -> Result<Self, MaxClicksError> {
        let clicks = NonZeroU32::new(clicks).filter(|clicks| clicks.get() <= MAX_CLICKS_MAX);
        clicks.map(Self).ok_or(MaxClicksError)
    }
}

impl From<MaxClicks> for u32 {
    fn from(clicks: MaxClicks) -> u32 {
        clicks.get()
    }
}

impl FromStr for MaxClicks {
    type Err = MaxClicksError;

    fn from_str(text: &str) -> Result<Self, MaxClicksError> {
        text.parse::<u32>().map_err(|_| MaxClicksError)?.try_into()
    }
}

impl fmt::Display for MaxClicks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The link is good for another number of clicks, or for any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkMaxClicksChanged {
    /// How many it is good for, those that were given since it was first set among them; `null`: any number, and
    /// what was given is forgotten.
    pub max_clicks: Option<MaxClicks>,
}

/// Some visitors were given clicks of the link's budget: each was sent to where it leads after this was written,
/// or was gone by then. This is what a click costs; the click itself is recorded as all others are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkClicksGranted {
    /// How many.
    pub count: NonZeroU32,
    /// How many are left then.
    pub left: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_whole_number_within_bounds() {
        assert_eq!("1".parse::<MaxClicks>().map(MaxClicks::get), Ok(1));
        assert_eq!("100000".parse::<MaxClicks>().map(MaxClicks::get), Ok(MAX_CLICKS_MAX));
        for bad in ["0", "100001", "-1", "1.5", "1e3", "", "many", "99999999999"] {
            assert_eq!(bad.parse::<MaxClicks>(), Err(MaxClicksError), "{bad}");
        }
        assert!(serde_json::from_str::<MaxClicks>("0").is_err());
    }
}
