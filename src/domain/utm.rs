//! The campaign fields of a destination. They are nothing but parameters of its query, so there is one truth:
//! the destination. These set them, change them and read them one by one.

use std::str::FromStr;

use hoplog_events::link::{Destination, DestinationError, Rules, RulesError, Split, SplitError};
use url::form_urlencoded::{byte_serialize, parse as pairs};

/// The fields, in the order in which they are added.
pub const FIELDS: [&str; 5] = ["source", "medium", "campaign", "term", "content"];

/// The longest value, in characters.
const VALUE_CHARS_MAX: usize = 255;

/// Use shorter fields, or have fewer rules or variants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UtmError {
    /// Use shorter fields.
    #[error("a destination {0}")]
    Destination(#[from] DestinationError),
    /// Have fewer or shorter rules.
    #[error("the rules {0}")]
    Rules(#[from] RulesError),
    /// Have fewer or shorter variants.
    #[error("the split {0}")]
    Split(#[from] SplitError),
}

/// The value of a campaign field: one line of 1 to 255 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UtmValue(Box<str>);

/// Write it with 1 to 255 characters on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {VALUE_CHARS_MAX} characters, none of them a control character")]
pub struct UtmValueError;

impl FromStr for UtmValue {
    type Err = UtmValueError;

    fn from_str(text: &str) -> Result<Self, UtmValueError> {
        let is_long = text.chars().count() > VALUE_CHARS_MAX;
        if text.trim().is_empty() || is_long || text.chars().any(char::is_control) {
            return Err(UtmValueError);
        }
        Ok(Self(text.into()))
    }
}

/// Campaign fields to change, in the order of [`FIELDS`]; `None`: stays as it is, `Some(None)`: is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EditUtm(pub [Option<Option<UtmValue>>; 5]);

impl EditUtm {
    /// All of them are removed.
    #[must_use]
    pub fn clear() -> Self {
        Self([const { Some(None) }; 5])
    }

    /// Rules whose destinations have the changes.
    ///
    /// # Errors
    /// When one of them, or all of them, would be too long.
    pub fn apply_to_rules(&self, rules: &Rules) -> Result<Rules, UtmError> {
        rules.with_destinations(|url| Ok(self.apply(url)?))
    }

    /// A split whose destinations have the changes.
    ///
    /// # Errors
    /// When one of them, or all of them, would be too long.
    pub fn apply_to_split(&self, split: &Split) -> Result<Split, UtmError> {
        split.with_destinations(|url| Ok(self.apply(url)?))
    }

    /// A destination with the changes. Parameters that are not meant stay as they were written.
    ///
    /// # Errors
    /// When it would be too long.
    pub fn apply(&self, destination: &Destination) -> Result<Destination, DestinationError> {
        let url = destination.to_url().filter(|_| *self != Self::default());
        let Some(mut url) = url else { return Ok(destination.clone()) };
        let before = url.query().unwrap_or_default().to_owned();
        let mut parameters: Vec<String> = before.split('&').map(str::to_owned).collect();
        for (field, change) in FIELDS.iter().zip(&self.0) {
            let Some(value) = change else { continue };
            let name = format!("utm_{field}");
            let written = value.as_ref().map(|value| {
                let encoded: String = byte_serialize(value.0.as_bytes()).collect();
                format!("{name}={encoded}")
            });
            set(&mut parameters, &name, written);
        }
        parameters.retain(|parameter| !parameter.is_empty());
        let query = parameters.join("&");
        // What changes nothing leaves the destination as it is written.
        if query != before {
            url.set_query(Some(&*query).filter(|query| !query.is_empty()));
        }
        String::from(url).parse()
    }
}

/// Puts a parameter in the place of the first of its name, or behind all; the others of its name go.
fn set(parameters: &mut Vec<String>, name: &str, written: Option<String>) {
    let is_meant = |parameter: &String| is_named(parameter, name);
    let place = parameters.iter().position(is_meant);
    parameters.retain(|parameter| !is_named(parameter, name));
    if let Some(written) = written {
        let end = parameters.len();
        parameters.insert(place.unwrap_or(end).min(end), written);
    }
}

fn is_named(parameter: &str, name: &str) -> bool {
    pairs(parameter.as_bytes()).next().is_some_and(|(own, _)| own == name)
}

/// The campaign fields that a destination has, in the order of [`FIELDS`].
#[must_use]
pub fn utm_of(destination: &Destination) -> [Option<String>; 5] {
    let query = destination.as_str().split('#').next().and_then(|url| url.split_once('?'));
    let query = query.map_or("", |(_, query)| query);
    FIELDS.map(|field| {
        let name = format!("utm_{field}");
        pairs(query.as_bytes()).find(|(own, _)| *own == name).map(|(_, value)| value.into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(changes: &[(&str, Option<&str>)]) -> EditUtm {
        EditUtm(FIELDS.map(|field| {
            let change = changes.iter().find(|(name, _)| *name == field);
            change.map(|(_, value)| value.map(|value| value.parse().unwrap()))
        }))
    }

    fn applied(url: &str, changes: &[(&str, Option<&str>)]) -> String {
        edit(changes).apply(&url.parse().unwrap()).unwrap().into()
    }

    #[test]
    fn campaign_fields_are_parameters_of_the_destination() {
        let both = [("medium", Some("e mail&more")), ("source", Some("été"))];
        for (url, expected) in [
            ("https://e.com/", "https://e.com/?utm_source=%C3%A9t%C3%A9&utm_medium=e+mail%26more"),
            (
                "https://e.com/p?a=%26#f",
                "https://e.com/p?a=%26&utm_source=%C3%A9t%C3%A9&utm_medium=e+mail%26more#f",
            ),
            (
                "https://e.com/?utm_source=x&a&utm%5Fsource=y",
                "https://e.com/?utm_source=%C3%A9t%C3%A9&a&utm_medium=e+mail%26more",
            ),
        ] {
            let with = applied(url, &both);
            assert_eq!(with, expected);
            assert_eq!(applied(&with, &both), with, "a second time");
            let read = utm_of(&with.parse().unwrap());
            assert_eq!(
                (read[0].as_deref(), read[1].as_deref()),
                (Some("été"), Some("e mail&more"))
            );
            assert_eq!(read[2..], [None, None, None]);
        }
        assert_eq!(applied("https://e.com/?a=%20b&", &[]), "https://e.com/?a=%20b&");
        assert_eq!(applied("https://e.com/?utm_term=x", &[("term", None)]), "https://e.com/");
        let cleared =
            EditUtm::clear().apply(&"https://e.com/?utm_x=1&utm_content=2".parse().unwrap());
        assert_eq!(cleared.unwrap().as_str(), "https://e.com/?utm_x=1");
    }

    #[test]
    fn a_value_is_one_line_and_the_destination_not_too_long() {
        for text in ["", " ", "a\nb", "a\0", &"x".repeat(256)] {
            assert_eq!(text.parse::<UtmValue>(), Err(UtmValueError), "{text:?}");
        }
        let long = format!("https://e.com/{}", "a".repeat(8_100));
        let value = "é".repeat(255);
        let refused = edit(&[("source", Some(&value))]).apply(&long.parse().unwrap());
        assert_eq!(refused, Err(DestinationError::TooLong));
    }
}
