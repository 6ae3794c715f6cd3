//! Splits: several destinations that share a link's visitors by their weights.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{Destination, ServedName};

/// The fewest variants a split can have.
pub const VARIANTS_MIN: usize = 2;

/// The most variants a split can have.
pub const VARIANTS_MAX: usize = 16;

/// The greatest weight of a variant.
pub const WEIGHT_MAX: u16 = 10_000;

/// The most bytes all variants of a link can have, as JSON: links are kept in memory by the thousand.
pub const SPLIT_BYTES_MAX: usize = 16 * 1024;

/// How the visitors of a link are shared, those whom no rule leads elsewhere. Most links have none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Variant>")]
#[schemars(with = "Vec<Variant>", extend("maxItems" = VARIANTS_MAX))]
pub struct Split(Option<Box<[Variant]>>);

/// One of the destinations that share visitors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Variant {
    /// What it is told apart by, in clicks and statistics, and when weights change.
    pub name: ServedName,
    /// Where it leads; without it where the link does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Destination>,
    /// Its part of the visitors, among the sum of all weights; 0: none of them.
    pub weight: Weight,
}

/// A variant's part of the visitors, among the sum of all weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u16", into = "u16")]
#[schemars(with = "u16", extend("maximum" = WEIGHT_MAX))]
pub struct Weight(u16);

/// Write a number up to [`WEIGHT_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 0 to {WEIGHT_MAX}")]
pub struct WeightError;

impl Weight {
    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> u16 {
        weight.0
    }
}

impl TryFrom<u16> for Weight {
    type Error = WeightError;

    fn try_from(weight: u16) -> Result<Self, WeightError> {
        if weight > WEIGHT_MAX { Err(WeightError) } else { Ok(Self(weight)) }
    }
}

impl FromStr for Weight {
    type Err = WeightError;

    fn from_str(text: &str) -> Result<Self, WeightError> {
        text.parse::<u16>().map_err(|_| WeightError)?.try_into()
    }
}

/// Why variants are no split. Each says what to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Have more, or fewer.
    #[error("must be {VARIANTS_MIN} to {VARIANTS_MAX} variants, or none")]
    Count,
    /// Choose other names.
    #[error("must have variants of different names")]
    Names,
    /// Give one some weight.
    #[error("must have a variant with a weight above 0")]
    Weights,
    /// Have fewer or shorter ones.
    #[error("must have {SPLIT_BYTES_MAX} bytes at most, all variants together")]
    TooLong,
}

impl Serialize for Split {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(serializer)
    }
}

impl Split {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The variants in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[Variant] {
        self.0.as_deref().unwrap_or_default()
    }

    /// The same split with other destinations.
    ///
    /// # Errors
    /// When one can't be made, or all together would be too long.
    pub fn with_destinations<E: From<SplitError>>(
        &self,
        other: impl Fn(&Destination) -> Result<Destination, E>,
    ) -> Result<Self, E> {
        let variants = self.as_slice().iter().map(|variant| {
            let url = variant.url.as_ref().map(&other).transpose()?;
            Ok(Variant { url, ..variant.clone() })
        });
        let variants: Result<Vec<Variant>, E> = variants.collect();
        Ok(Self::try_from(variants?)?)
    }
}

impl TryFrom<Vec<Variant>> for Split {
    type Error = SplitError;

    /// No variants are no split.
    fn try_from(variants: Vec<Variant>) -> Result<Self, SplitError> {
        if variants.is_empty() {
            return Ok(Self(None));
        }
        if !(VARIANTS_MIN..=VARIANTS_MAX).contains(&variants.len()) {
            return Err(SplitError::Count);
        }
        let is_again = |(place, one): (usize, &Variant)| {
            variants[..place].iter().any(|before| before.name == one.name)
        };
        if variants.iter().enumerate().any(is_again) {
            return Err(SplitError::Names);
        }
        if variants.iter().all(|variant| variant.weight.get() == 0) {
            return Err(SplitError::Weights);
        }
        // What can't be written is not small enough either; it never happens.
        let bytes = serde_json::to_vec(&variants).map_or(usize::MAX, |json| json.len());
        if bytes > SPLIT_BYTES_MAX {
            return Err(SplitError::TooLong);
        }
        Ok(Self(Some(variants.into())))
    }
}

/// The link shares its visitors in another way, or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkSplitChanged {
    /// All variants it has now.
    pub split: Split,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(name: &str, weight: u16) -> Variant {
        let weight = weight.try_into().unwrap();
        Variant { name: name.parse().unwrap(), url: "https://e.com/".parse().ok(), weight }
    }

    #[test]
    fn a_split_has_some_variants_that_somebody_is_led_to() {
        let split = |variants: Vec<Variant>| Split::try_from(variants).map(|_| ());
        assert_eq!(split(vec![]), Ok(()));
        assert_eq!(split(vec![variant("a", 1), variant("b", 0)]), Ok(()));
        assert_eq!(split(vec![variant("a", 1)]), Err(SplitError::Count));
        let many = |count: usize| (0..count).map(|n| variant(&n.to_string(), 1)).collect();
        assert_eq!(split(many(16)), Ok(()));
        assert_eq!(split(many(17)), Err(SplitError::Count));
        assert_eq!(split(vec![variant("a", 1), variant("a", 1)]), Err(SplitError::Names));
        assert_eq!(split(vec![variant("a", 0), variant("b", 0)]), Err(SplitError::Weights));
        let url = format!("https://e.com/{}", "a".repeat(8_000)).parse().ok();
        let long = |n: usize| Variant { url: url.clone(), ..variant(&n.to_string(), 1) };
        assert_eq!(split((0..2).map(long).collect()), Ok(()));
        assert_eq!(split((0..3).map(long).collect()), Err(SplitError::TooLong));
    }

    #[test]
    fn a_weight_is_a_whole_number() {
        for (text, weight) in [("0", 0), ("10000", 10_000)] {
            assert_eq!(text.parse(), Ok(Weight(weight)));
        }
        for wrong in ["10001", "70000", "-1", "2.5", "1e2", ""] {
            assert_eq!(wrong.parse::<Weight>(), Err(WeightError), "{wrong}");
        }
    }

    #[test]
    fn the_links_own_destination_is_not_written() {
        let json = r#"[{"name":"a","weight":1},{"name":"b","url":"https://e.com/","weight":3}]"#;
        let split: Split = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&split).unwrap(), json);
        let heavy = json.replace('3', "10001");
        assert!(serde_json::from_str::<Split>(&heavy).is_err());
        let bad = json.replace("https:", "javascript:");
        assert!(serde_json::from_str::<Split>(&bad).is_err(), "trap 19: also on the log");
    }
}
