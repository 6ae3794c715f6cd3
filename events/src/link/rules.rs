//! Rules: where a link leads some of its visitors instead, and whom.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::Destination;

mod network;
mod values;
mod window;

pub use network::{Network, NetworkError};
pub use values::{
    Country, Device, HostPattern, LanguageRange, ParameterText, ServedName, ValueError,
    VisitorKind, Word,
};
pub use window::{Day, TimeOfDay, TimeWindow, TimeZone, WindowError};

/// The most rules a link can have.
pub const RULES_MAX: usize = 32;

/// The most values a condition can have.
pub const RULE_VALUES_MAX: usize = 64;

/// The most parameters of the query a rule can ask for.
pub const RULE_PARAMETERS_MAX: usize = 8;

/// The most bytes all rules of a link can have, as JSON: links are kept in memory by the thousand.
pub const RULES_BYTES_MAX: usize = 16 * 1024;

/// The rules of a link in their order: the first that holds decides where a visitor is led. Most links have none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Rule>")]
#[schemars(with = "Vec<Rule>", extend("maxItems" = RULES_MAX))]
pub struct Rules(Option<Box<[Rule]>>);

impl Serialize for Rules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(serializer)
    }
}

/// Have fewer or shorter rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Have fewer.
    #[error("must be {RULES_MAX} rules at most")]
    TooMany,
    /// Have shorter ones.
    #[error("must have {RULES_BYTES_MAX} bytes at most, all rules together")]
    TooLong,
}

impl Rules {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The same rules with other destinations.
    ///
    /// # Errors
    /// When one can't be made, or all together would be too long.
    pub fn with_destinations<E: From<RulesError>>(
        &self,
        other: impl Fn(&Destination) -> Result<Destination, E>,
    ) -> Result<Self, E> {
        let rules =
            self.as_slice().iter().map(|rule| Ok(Rule { url: other(&rule.url)?, ..rule.clone() }));
        let rules: Result<Vec<Rule>, E> = rules.collect();
        Ok(Self::try_from(rules?)?)
    }

    /// The rules in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[Rule] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl TryFrom<Vec<Rule>> for Rules {
    type Error = RulesError;

    fn try_from(rules: Vec<Rule>) -> Result<Self, RulesError> {
        if rules.len() > RULES_MAX {
            return Err(RulesError::TooMany);
        }
        // What can't be written is not small enough either; it never happens.
        let bytes = serde_json::to_vec(&rules).map_or(usize::MAX, |json| json.len());
        if bytes > RULES_BYTES_MAX {
            return Err(RulesError::TooLong);
        }
        Ok(Self((!rules.is_empty()).then(|| rules.into())))
    }
}

/// One rule of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// What clicks say of it, in the place of its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<ServedName>,
    /// Whom it is for: all conditions have to hold.
    pub when: Conditions,
    /// Where it leads them.
    pub url: Destination,
}

/// The conditions of a rule. Of several values of one any will do; a condition that is not there holds for everybody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conditions {
    /// Countries; where it is unknown in which a visitor is, the condition does not hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub country: Vec<Country>,
    /// Regions, as the operator's database names them, in upper or lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub region: Vec<Word>,
    /// Cities, as the operator's database names them, in upper or lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub city: Vec<Word>,
    /// Kinds of devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device: Vec<Device>,
    /// Operating systems, in upper or lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<Word>,
    /// Browsers, in upper or lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub browser: Vec<Word>,
    /// What the language has to be that a visitor likes best.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub language: Vec<LanguageRange>,
    /// Parameters of the query, all of which have to be there: with one of these values, or with any (`null`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<ParameterText, Option<Vec<ParameterText>>>,
    /// The hosts that visitors come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub referrer: Vec<HostPattern>,
    /// The networks that visitors are in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<Network>,
    /// From this instant on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// Before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Days of the week, and a part of the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeWindow>,
    /// People, or what is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visitor: Option<VisitorKind>,
}

/// The link has other rules, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkRulesChanged {
    /// All rules it has now.
    pub rules: Rules,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(url: &str) -> Rule {
        Rule { name: None, when: Conditions::default(), url: url.parse().unwrap() }
    }

    #[test]
    fn rules_are_few_and_short() {
        assert!(Rules::try_from(vec![rule("https://e.com/"); RULES_MAX]).is_ok());
        let many = Rules::try_from(vec![rule("https://e.com/"); RULES_MAX + 1]);
        assert_eq!(many, Err(RulesError::TooMany));
        let long = format!("https://e.com/{}", "a".repeat(8_000));
        assert!(Rules::try_from(vec![rule(&long); 2]).is_ok());
        assert_eq!(Rules::try_from(vec![rule(&long); 3]), Err(RulesError::TooLong));
    }

    #[test]
    fn what_is_not_asked_for_is_not_written() {
        let json = r#"[{"when":{"query":{"a":["1"],"b":null}},"url":"https://e.com/"}]"#;
        let rules: Rules = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&rules).unwrap(), json);
        let bad = json.replace("https:", "javascript:");
        assert!(serde_json::from_str::<Rules>(&bad).is_err(), "trap 19: also on the log");
    }
}
